/* tests/unit/item/num_add_test.c - sums and differences of DynamoDB numbers.
 *
 * Goal     num_add() and num_subtract() give the exact number, or say why there is none.
 * Method   A table for what people write and for each limit. Random numbers, close to each other
 *          and far apart, judged by schoolbook addition on digit strings, which knows nothing of
 *          the encoding or of 128 bits. num_oracle_test.sh has Python's decimal judge the same.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/item/num.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(num_add, .timeout = 30 * SLOW_FACTOR);

#define NINES_38 "99999999999999999999999999999999999999"
#define ONES_38 "11111111111111111111111111111111111111"
#define ROUNDS (20000u / SLOW_FACTOR)

static size_t encode(const char *text, uint8_t *to) {
    size_t bytes = 0;
    cr_assert_eq(num_encode(text, strlen(text), to, &bytes), LARDER_OK, "%s: %s", text, larder_error());
    return bytes;
}

/* The sum as text, or why there is none. */
static const char *sum_of(const char *left, const char *right, int is_minus) {
    static char text[LARDER_NUMBER_TEXT_MAX];
    static const char *const refusals[] = {"", "too long", "too large", "too small", "no number"};
    uint8_t a[NUM_BYTES_MAX], b[NUM_BYTES_MAX], to[NUM_BYTES_MAX];
    size_t a_bytes = encode(left, a), b_bytes = encode(right, b), bytes = 99;
    enum num_sum r = (is_minus ? num_subtract : num_add)(a, a_bytes, b, b_bytes, to, &bytes);
    if (r != NUM_SUM_OK) {
        cr_assert_eq(bytes, 99, "an output was written with a refusal");
        return refusals[r];
    }
    cr_assert(num_is_sane(to, bytes), "%s and %s", left, right);
    num_decode(to, bytes, text);
    return text;
}

/* Rows without a source are arithmetic. */
Test(num_add, sums) {
    static const struct {
        const char *left, *right, *sum;
    } rows[] = {
        {"1.5", "1", "2.5"},
        {"1.5", "-1", "0.5"},
        {"0.1", "0.2", "0.3"},
        {"0", "0", "0"},
        {"0", "-7.25", "-7.25"},
        {"-7.25", "0", "-7.25"},
        {"5", "-5", "0"},
        {"-5", "5", "0"},
        {"-1.0001", "1", "-0.0001"},
        {"99", "1", "100"},
        {"999999999999999999", "1", "1000000000000000000"},
        {"9999999999999999999", "1", "10000000000000000000"},
        {"18446744073709551615", "1", "18446744073709551616"},
        {"9223372036854775807", "1", "9223372036854775808"},
        {"-9223372036854775808", "-1", "-9223372036854775809"},
        {"0.0000000001", "100000000000000000000", "100000000000000000000.0000000001"},
        {"1E-130", "1E-130",
         "0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "000000000000000000000000000000000000000000000002"},
        /* ScyllaDB's test_number.py, run against the service: no binary fraction in between */
        {"1", "10000000000000000000000", "10000000000000000000001"},
        /* the longest, and one digit more */
        {NINES_38, "-1", "99999999999999999999999999999999999998"},
        {NINES_38, "1", "100000000000000000000000000000000000000"},
        {NINES_38, "2", "too long"},
        {NINES_38, NINES_38, "too long"},
        {NINES_38, "0.1", "too long"},
        {ONES_38, ONES_38, "22222222222222222222222222222222222222"},
        {"1E+37", "1", "10000000000000000000000000000000000001"},
        {"1E+38", "1", "too long"},
        /* 38 digits again by what is taken away */
        {"1E+38", "-1", NINES_38},
        {"-1E+38", "1", "-" NINES_38},
        {"1.1E+38", "-1E+37", "100000000000000000000000000000000000000"},
        {"1.1E+38", "-10000000000000000000000000000000000001", NINES_38},
        {"1.9E+38", "-" NINES_38, "90000000000000000000000000000000000001"},
        {"2E+38", "-" NINES_38, "too long"},
        {"1E+39", "-" NINES_38, "too long"},
        /* test_number.py: "1e50 and 1 cannot be represented in 38 digits" */
        {"1E+50", "1", "too long"},
        {"1E+50", "-1", "too long"},
        {"1E+125", "1E-130", "too long"},
        /* test_number.py: 9e125 + 9e125; numberPrecision of the conformance suite: 9.9e125 twice */
        {"9E+125", "9E+125", "too large"},
        {"9.9E+125", "9.9E+125", "too large"},
        {"-9E+125", "-1E+125", "too large"},
        {"9.9999999999999999999999999999999999999E+125", "1E+88", "too large"},
        {"9.9999999999999999999999999999999999999E+125", "1E+125", "too large"},
        {"9E+125", "-9E+125", "0"},
        /* developer guide, "Data types: Number": from 1E-130 on */
        {"1.1E-130", "-1E-130", "too small"},
        {"-1.1E-130", "1E-130", "too small"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_str_eq(sum_of(rows[i].left, rows[i].right, 0), rows[i].sum, "%s + %s", rows[i].left, rows[i].right);
        cr_assert_str_eq(sum_of(rows[i].right, rows[i].left, 0), rows[i].sum, "%s + %s", rows[i].right, rows[i].left);
    }
}

Test(num_add, differences) {
    static const struct {
        const char *left, *right, *difference;
    } rows[] = {
        {"7", "2", "5"},
        {"2", "7", "-5"},
        {"0", "7", "-7"},
        {"7", "0", "7"},
        {"0", "0", "0"},
        {"-2", "-7", "5"},
        {"1.5", "0.25", "1.25"},
        {"100", "0.01", "99.99"},
        {"10000000000000000000000", "1", "9999999999999999999999"}, /* test_number.py */
        {"1E+50", "1", "too long"},                                 /* test_number.py */
        {"9E+125", "-9E+125", "too large"},                         /* test_number.py */
        {"1.1E-130", "1E-130", "too small"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_str_eq(sum_of(rows[i].left, rows[i].right, 1), rows[i].difference, "%s - %s", rows[i].left,
                         rows[i].right);
}

Test(num_add, what_is_no_number_has_no_sum) {
    static const uint8_t one[] = {0xc1, 1}, bad[] = {0xc1, 100};
    uint8_t to[NUM_BYTES_MAX];
    size_t bytes = 77;
    cr_assert_eq(num_add(one, 2, bad, 2, to, &bytes), NUM_SUM_NO_NUMBER);
    cr_assert_eq(num_add(bad, 2, one, 2, to, &bytes), NUM_SUM_NO_NUMBER);
    cr_assert_eq(num_subtract(one, 2, one, 0, to, &bytes), NUM_SUM_NO_NUMBER);
    cr_assert_eq(bytes, 77);
}

/* ---- A naive sum ----------------------------------------------------------------------------- */

/* Digits with the point in a fixed place: 10^0 at place 170. Room for every number. */
#define PLACES 300
#define UNIT 170
struct naive {
    int is_negative;
    int digits[PLACES]; /* [i]: of 10^(i - UNIT) */
};

static struct naive naive_of(const char *text) {
    struct naive n = {.is_negative = *text == '-'};
    text += n.is_negative;
    const char *point = strchr(text, '.');
    int place = UNIT + (int)(point ? (size_t)(point - text) : strlen(text)) - 1;
    for (; *text; text++)
        if (*text != '.')
            n.digits[place--] = *text - '0';
    return n;
}

static int compare_magnitudes(const struct naive *a, const struct naive *b) {
    for (int i = PLACES - 1; i >= 0; i--)
        if (a->digits[i] != b->digits[i])
            return a->digits[i] - b->digits[i];
    return 0;
}

static struct naive naive_sum(const struct naive *a, const struct naive *b) {
    int is_swapped = compare_magnitudes(a, b) < 0, carry = 0;
    const struct naive *large = is_swapped ? b : a, *small = is_swapped ? a : b;
    int sign = a->is_negative == b->is_negative ? 1 : -1;
    struct naive sum = {.is_negative = large->is_negative};
    for (int i = 0; i < PLACES; i++) {
        int digit = large->digits[i] + sign * small->digits[i] + carry;
        carry = digit > 9 ? 1 : digit < 0 ? -1 : 0;
        sum.digits[i] = digit - 10 * carry;
    }
    return sum;
}

/* The sum as num_decode() writes it, or why there is none. */
static const char *naive_text(const struct naive *n, char *text) {
    int top = PLACES - 1, last = 0;
    char *to = text;
    while (top >= 0 && !n->digits[top])
        top--;
    while (last < PLACES && !n->digits[last])
        last++;
    if (top < 0) {
        stpcpy(text, "0");
        return text;
    }
    if (top >= UNIT + 126)
        return "too large";
    if (top - last >= LARDER_NUMBER_DIGITS_MAX)
        return "too long";
    if (top < UNIT - 130)
        return "too small";
    if (n->is_negative)
        *to++ = '-';
    for (int i = top > UNIT ? top : UNIT; i >= (last < UNIT ? last : UNIT); i--) {
        if (i == UNIT - 1)
            *to++ = '.';
        *to++ = (char)('0' + n->digits[i]);
    }
    *to = 0;
    return text;
}

/* Up to 38 digits, often few, often nines or zeros inside; exponents near those of `near`. */
static int random_number(struct rng *r, int near, char *text) {
    int count = 1 + (int)rng_below(r, rng_below(r, 2) ? 38 : 6), kind = (int)rng_below(r, 4);
    int exponent = rng_below(r, 8) ? near + (int)rng_below(r, 46) - 23 : (int)rng_below(r, 218) - 130;
    char *to = text;
    if (rng_below(r, 2))
        *to++ = '-';
    *to++ = (char)('1' + rng_below(r, 9));
    *to++ = '.';
    for (int i = 1; i < count; i++)
        *to++ = (char)('0' + (kind == 0 ? 9 : kind == 1 ? 0 : rng_below(r, 10)));
    if (exponent < -130)
        exponent = -130;
    if (exponent > 125)
        exponent = 125;
    sprintf(to, "0E%d", exponent);
    return exponent;
}

Test(num_add, random_sums_are_those_of_a_schoolbook) {
    struct rng r;
    uint32_t refused = 0;
    rng_seed(&r, rng_test_seed("num_add_test"));
    for (unsigned round = 0; round < ROUNDS; round++) {
        char left[64], right[64], plain[2][LARDER_NUMBER_TEXT_MAX], text[PLACES + 3];
        uint8_t bytes[NUM_BYTES_MAX];
        int near = random_number(&r, (int)rng_below(&r, 218) - 110, left), is_minus = (int)rng_below(&r, 2);
        random_number(&r, near, right);
        num_decode(bytes, encode(left, bytes), plain[0]);
        num_decode(bytes, encode(right, bytes), plain[1]);
        struct naive a = naive_of(plain[0]), b = naive_of(plain[1]);
        b.is_negative ^= is_minus;
        struct naive sum = naive_sum(&a, &b);
        const char *wanted = naive_text(&sum, text), *got = sum_of(left, right, is_minus);
        refused += wanted != text;
        /* beyond the range and beyond 38 digits: either is right */
        if (strncmp(wanted, "too l", 5) == 0 && strncmp(got, "too l", 5) == 0)
            continue;
        cr_assert_str_eq(got, wanted, "%s %c %s", left, is_minus ? '-' : '+', right);
    }
    cr_assert(refused > ROUNDS / 50 && refused < ROUNDS / 2, "%u of %u were refused", refused, ROUNDS);
}
