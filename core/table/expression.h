/* core/table/expression.h - what larder_prepare() gives to a caller: an expression of the handle.
 *
 * Tests    tests/api/write_test.c
 */
#ifndef LARDER_TABLE_EXPRESSION_H
#define LARDER_TABLE_EXPRESSION_H

#include <stdatomic.h>

#include "core/base/priv.h"
#include "expr/expr.h"

struct larder_expr {
    struct priv *priv; /* where it and its compiled form are allocated */
    struct expr *compiled;
    _Atomic uint32_t users; /* callers that prepared it, and core/table/prepared.h */
    enum larder_expr_kind kind;
    uint64_t hash;
    size_t key_bytes;
    uint8_t key[]; /* what prepared_key_copy() copied */
};

/* Values of one expression, found for one call. Begin with all zero. */
#define EXPRESSION_FEW 12u
struct expression_values {
    struct larder_value few[EXPRESSION_FEW], *all; /* all: few, or of private memory */
};

/* Finds the values of an expression, which must be of this kind; `what` is its name for a message.
 * Outside locks. LARDER_OK, to be ended with expression_unbind(); LARDER_E_INVAL, LARDER_E_CORRUPT,
 * LARDER_E_NO_MEMORY: nothing is to be ended. */
int expression_bind(const struct larder_expr *expr, enum larder_expr_kind kind, const char *what,
                    const struct larder_item *values, struct expression_values *bound);
void expression_unbind(const struct larder_expr *expr, struct expression_values *bound);

#endif
