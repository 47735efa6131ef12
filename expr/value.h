/* expr/value.h - what expressions ask of values: equal, less, size, contains.
 *
 * Job      Values are read from images: N in its encoded form, sets and maps in their order. So
 *          equality of any two is memcmp, and the order of S, N and B, too (rule E4 of
 *          expr/expr.h).
 * Tests    tests/unit/expr/expr_truth_test.c
 */
#ifndef LARDER_EXPR_VALUE_H
#define LARDER_EXPR_VALUE_H

#include "core/item/item.h"

int value_is_same(const struct larder_value *a, const struct larder_value *b);
/* False: of different types, or of a type without order. *order as of memcmp. */
int value_compare(const struct larder_value *a, const struct larder_value *b, int *order);
int value_begins_with(const struct larder_value *text, const struct larder_value *begin);
/* An S or B has another as a part, or a set or list as a member. 1, 0, LARDER_E_CORRUPT. */
int value_contains(const struct larder_value *in, const struct larder_value *part);
/* What size() gives; -1: the type has none. */
int64_t value_size(const struct larder_value *value);

#endif
