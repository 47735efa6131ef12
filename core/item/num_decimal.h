/* core/item/num_decimal.h - a number as its decimal digits; for num.c and num_add.c.
 *
 * Idea     Text, integers, sums and encoded bytes all go through struct num_decimal, which has one
 *          form for each number.
 * Tests    tests/unit/item/num_test.c, num_add_test.c
 */
#ifndef LARDER_ITEM_NUM_DECIMAL_H
#define LARDER_ITEM_NUM_DECIMAL_H

#include "core/item/num.h"

#define NUM_PAIRS_MAX 20     /* 38 digits with the point inside a pair */
#define NUM_POINT_MIN (-129) /* 1E-130 is 0.1 x 10^-129 */
#define NUM_POINT_MAX 126    /* 9.9E+125 is 0.99 x 10^126 */

/* 0.d1 d2 .. dn x 10^point; d1 and dn are not 0. No digits: zero, never negative. */
struct num_decimal {
    int64_t point;
    uint32_t count;
    int is_negative;
    uint8_t digits[2 * NUM_PAIRS_MAX];
};

/* num.c: the encoded form of a decimal within the limits; returns its bytes. */
size_t num_pack(const struct num_decimal *d, uint8_t *to);
/* The other way. False if the bytes are no number in canonical form. */
int num_unpack(const uint8_t *from, size_t bytes, struct num_decimal *d);

#endif
