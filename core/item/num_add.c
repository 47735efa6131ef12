/* core/item/num_add.c - exact sums and differences of DynamoDB numbers.
 *
 * Idea     38 digits fit in 128 bits. Both numbers become integers in units of the lower last
 *          digit. Their sum is made there, and its digits are the result.
 * Picture  12.5 + 0.25:  125 x 10^-1 and 25 x 10^-2  ->  1250 + 25 in units of 10^-2  ->  12.75
 * Rules    A1 Nothing is rounded. If the last digits differ in place, the lower one stays in the
 *             sum. So a sum of more than 38 digits is seen before it is made: at most 2 x 10^38 is
 *             aligned, and 3 x 10^38 fits.
 * Sources  Test suites that were run against the service, ScyllaDB's test_number.py among them:
 *          9e125 + 9e125 and 1e50 + 1 are refused, both as an overflow.
 * Tests    tests/unit/item/num_add_test.c
 */
#include "core/item/num_decimal.h"
#include "larder.h"

typedef unsigned __int128 u128;

#define WORD_DIGITS 19 /* of a uint64_t, all values */
#define WORD_LIMIT UINT64_C(10000000000000000000)
/* no number of 38 digits brings one that reaches so far down to 38 digits */
#define ALIGNED_DIGITS_MAX (LARDER_NUMBER_DIGITS_MAX + 1)

/* value x 10^last */
struct scaled {
    u128 value;
    int64_t last;
    int is_negative;
};

static u128 power_of_ten(int64_t exponent) {
    u128 power = 1;
    for (int64_t i = 0; i < exponent; i++)
        power *= 10;
    return power;
}

static struct scaled scale(const struct num_decimal *d) {
    uint32_t high_count = d->count > WORD_DIGITS ? d->count - WORD_DIGITS : 0, i = 0;
    uint64_t high = 0, low = 0;
    for (; i < high_count; i++)
        high = high * 10 + d->digits[i];
    for (; i < d->count; i++)
        low = low * 10 + d->digits[i];
    return (struct scaled){(u128)high * WORD_LIMIT + low, d->point - d->count, d->is_negative};
}

/* Writes the value in units of 10^last. False: the sum will have too many digits, whatever the
 * other number is (A1). */
static int align(struct scaled *s, const struct num_decimal *d, int64_t last) {
    int64_t digits = d->point - last;
    if (digits > ALIGNED_DIGITS_MAX || (digits == ALIGNED_DIGITS_MAX && d->digits[0] > 1))
        return 0;
    s->value *= power_of_ten(s->last - last);
    s->last = last;
    return 1;
}

/* The digits of `value` before to[0]; returns where they begin. */
static uint8_t *put_digits(uint64_t value, uint8_t *to) {
    for (; value; value /= 10)
        *--to = (uint8_t)(value % 10);
    return to;
}

static void unscale(const struct scaled *s, struct num_decimal *d) {
    uint8_t digits[3 * WORD_DIGITS] = {0}, *end = digits + sizeof digits, *at = end;
    for (u128 rest = s->value; rest;) {
        uint8_t *word = at - WORD_DIGITS;
        at = put_digits((uint64_t)(rest % WORD_LIMIT), at);
        rest /= WORD_LIMIT;
        if (rest)
            at = word;
    }
    *d = (struct num_decimal){.count = 0};
    if (at == end)
        return;
    d->is_negative = s->is_negative;
    d->point = s->last + (end - at);
    while (end[-1] == 0)
        end--;
    d->count = (uint32_t)(end - at);
    for (uint32_t i = 0; i < d->count && i < sizeof d->digits; i++)
        d->digits[i] = at[i];
}

static enum num_sum add(const struct num_decimal *left, const struct num_decimal *right, struct num_decimal *sum) {
    if (!left->count || !right->count) {
        *sum = left->count ? *left : *right;
        return NUM_SUM_OK;
    }
    struct scaled a = scale(left), b = scale(right), s;
    int fits = a.last >= b.last ? align(&a, left, b.last) : align(&b, right, a.last);
    if (!fits)
        return NUM_SUM_TOO_LONG;
    s = a;
    if (a.is_negative == b.is_negative)
        s.value = a.value + b.value;
    else if (a.value >= b.value)
        s.value = a.value - b.value;
    else
        s = (struct scaled){b.value - a.value, b.last, b.is_negative};
    unscale(&s, sum);
    if (sum->count && sum->point > NUM_POINT_MAX)
        return NUM_SUM_TOO_LARGE;
    if (sum->count && sum->point < NUM_POINT_MIN)
        return NUM_SUM_TOO_SMALL;
    return sum->count > LARDER_NUMBER_DIGITS_MAX ? NUM_SUM_TOO_LONG : NUM_SUM_OK;
}

static enum num_sum combine(const uint8_t *left, size_t left_bytes, const uint8_t *right, size_t right_bytes,
                            int is_minus, uint8_t *to, size_t *bytes) {
    struct num_decimal l, r, sum;
    if (!num_unpack(left, left_bytes, &l) || !num_unpack(right, right_bytes, &r))
        return NUM_SUM_NO_NUMBER;
    if (is_minus && r.count)
        r.is_negative = !r.is_negative;
    enum num_sum result = add(&l, &r, &sum);
    if (result == NUM_SUM_OK)
        *bytes = num_pack(&sum, to);
    return result;
}

enum num_sum num_add(const uint8_t *left, size_t left_bytes, const uint8_t *right, size_t right_bytes, uint8_t *to,
                     size_t *bytes) {
    return combine(left, left_bytes, right, right_bytes, 0, to, bytes);
}

enum num_sum num_subtract(const uint8_t *left, size_t left_bytes, const uint8_t *right, size_t right_bytes, uint8_t *to,
                          size_t *bytes) {
    return combine(left, left_bytes, right, right_bytes, 1, to, bytes);
}
