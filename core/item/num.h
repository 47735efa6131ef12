/* core/item/num.h - DynamoDB numbers: 38 decimal digits, exact, in bytes whose memcmp order is
 * numeric order.
 *
 * Picture  value = 0.D1 D2 .. Dn x 100^e with base-100 digits Di, D1 != 0, Dn != 0, -64 <= e <= 63:
 *            positive  0x80 + (e + 64), D1, .., Dn         zero  0x80 alone
 *            negative  0x7f - (e + 64), 0xfe - D1, .., 0xfe - Dn, 0xff
 *          The final 0xff is above every digit of a negative number, so -1 sorts after -1.0001.
 * Rules    N1 One value, one form: equal numbers have equal bytes.
 *          N2 memcmp, then shorter first, is numeric order.
 * Limits   Magnitude 1E-130 to 9.9..E+125, 38 significant digits (developer guide, "Data types:
 *          Number").
 * Tests    tests/unit/item/num_test.c, num_add_test.c
 */
#ifndef LARDER_ITEM_NUM_H
#define LARDER_ITEM_NUM_H

#include <stddef.h>
#include <stdint.h>

#define NUM_BYTES_MAX 23

/* Encodes decimal text: optional sign, digits with an optional point, optional exponent, nothing
 * else, no spaces. Writes at most NUM_BYTES_MAX bytes. LARDER_OK, or LARDER_E_INVAL with
 * larder_error() set. */
int num_encode(const char *text, size_t text_bytes, uint8_t *to, size_t *bytes);

/* The same for an integer, which always fits. Returns the number of bytes. */
size_t num_encode_int64(int64_t value, uint8_t *to);

/* Writes exact decimal text, 0-terminated, at most LARDER_NUMBER_TEXT_MAX bytes, and returns its
 * length. Plain notation, as DynamoDB returns it (up to 126 integer digits or 167 decimals). For
 * bytes that are no number it writes "0" and returns 0. */
size_t num_decode(const uint8_t *from, size_t bytes, char *text);

/* True if the bytes are a number in canonical form. */
int num_is_sane(const uint8_t *from, size_t bytes);

/* The number rounded down to an integer and clamped to the int64 range. Bytes that are no number
 * give 0. */
int64_t num_floor(const uint8_t *from, size_t bytes);
/* True, with *out set, if the number is an integer that fits. */
int num_to_int64(const uint8_t *from, size_t bytes, int64_t *out);

/* What became of a sum (core/item/num_add.c). DynamoDB never rounds one. */
enum num_sum {
    NUM_SUM_OK,
    NUM_SUM_TOO_LONG,  /* it has more than LARDER_NUMBER_DIGITS_MAX digits */
    NUM_SUM_TOO_LARGE, /* its magnitude is 1E+126 or more */
    NUM_SUM_TOO_SMALL, /* its magnitude is below 1E-130, and it is not 0 */
    NUM_SUM_NO_NUMBER  /* left or right is no number in canonical form */
};
/* The exact sum of two encoded numbers, or their difference. Writes at most NUM_BYTES_MAX bytes,
 * and only if it is NUM_SUM_OK. `to` may be left or right. */
enum num_sum num_add(const uint8_t *left, size_t left_bytes, const uint8_t *right, size_t right_bytes, uint8_t *to,
                     size_t *bytes);
enum num_sum num_subtract(const uint8_t *left, size_t left_bytes, const uint8_t *right, size_t right_bytes, uint8_t *to,
                          size_t *bytes);

#endif
