/* tests/unit/item/num_test.c - DynamoDB numbers.
 *
 * Goal     N1 and N2 of core/item/num.h, exact text both ways, the limits to the digit, the largest
 *             and smallest integers.
 * Method   Tables for what people write. Random numbers for order and uniqueness, judged by a
 *          comparison that knows nothing of the encoding: both numbers written out to 126 integer
 *          digits and 170 decimals, compared as text.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/item/num.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(num, .timeout = 20 * SLOW_FACTOR);

#define DIGITS_38 "12345678901234567890123456789012345678"
#define NINES_38 "99999999999999999999999999999999999999"
#define ZEROS_10 "0000000000"
#define ZEROS_50 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10
#define ZEROS_88 ZEROS_50 ZEROS_10 ZEROS_10 ZEROS_10 "00000000"
#define ZEROS_125 ZEROS_50 ZEROS_50 ZEROS_10 ZEROS_10 "00000"
#define ZEROS_129 ZEROS_125 "0000"

static size_t encode(const char *text, uint8_t *to) {
    size_t bytes = 0;
    cr_assert_eq(num_encode(text, strlen(text), to, &bytes), LARDER_OK, "%s: %s", text, larder_error());
    cr_assert_leq(bytes, NUM_BYTES_MAX, "%s", text);
    cr_assert(num_is_sane(to, bytes), "%s", text);
    return bytes;
}

static int compare_encoded(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes) {
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    if (order == 0)
        order = (a_bytes > b_bytes) - (a_bytes < b_bytes);
    return (order > 0) - (order < 0);
}

Test(num, writes_what_was_meant) {
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"0", "0"},
        {"-0", "0"},
        {"+0", "0"},
        {"000", "0"},
        {"0.000", "0"},
        {"-0.0E5", "0"},
        {"0E999999999999999999999", "0"},
        {"0E-999999999999999999999", "0"},
        {"1", "1"},
        {"+1", "1"},
        {"-1", "-1"},
        {"01", "1"},
        {"1.", "1"},
        {".5", "0.5"},
        {"-.5", "-0.5"},
        {"1.0", "1"},
        {"10", "10"},
        {"100", "100"},
        {"1E2", "100"},
        {"1e+2", "100"},
        {"1e2", "100"},
        {"100e-2", "1"},
        {"12.50", "12.5"},
        {"0.1", "0.1"},
        {"0.01", "0.01"},
        {"0.001", "0.001"},
        {"123.456", "123.456"},
        {"12.3456", "12.3456"},
        {"-123456789", "-123456789"},
        {"1.0001", "1.0001"},
        {"100000001", "100000001"},
        {"3.14159265358979323846264338327950288", "3.14159265358979323846264338327950288"},
        {DIGITS_38, DIGITS_38},
        {"-" DIGITS_38, "-" DIGITS_38},
        {"0." DIGITS_38, "0." DIGITS_38},
        {"0.0" DIGITS_38, "0.0" DIGITS_38},
        {ZEROS_50 DIGITS_38 "." ZEROS_50, DIGITS_38},
        {NINES_38 "E88", NINES_38 ZEROS_88},
        {("-" NINES_38 "E88"), "-" NINES_38 ZEROS_88},
        {"1E125", "1" ZEROS_125},
        {"10E124", "1" ZEROS_125},
        {"0.00001E130", "1" ZEROS_125},
        {"1E-130", "0." ZEROS_129 "1"},
        {"-1E-130", "-0." ZEROS_129 "1"},
        {"0.0001E-126", "0." ZEROS_129 "1"},
        {"1.2345678901234567890123456789012345678E-130", "0." ZEROS_129 DIGITS_38},
        {"-1.2345678901234567890123456789012345678E-130", "-0." ZEROS_129 DIGITS_38},
        {"0." ZEROS_129 "1E130", "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[NUM_BYTES_MAX];
        char text[LARDER_NUMBER_TEXT_MAX];
        size_t length = num_decode(bytes, encode(rows[i].text, bytes), text);
        cr_assert_str_eq(text, rows[i].canonical, "%s gives %s", rows[i].text, text);
        cr_assert_eq(length, strlen(text));
    }
}

Test(num, refuses_what_is_no_number_or_no_legal_one) {
    static const char *const rows[] = {"",
                                       " ",
                                       "1 ",
                                       " 1",
                                       "+",
                                       "-",
                                       ".",
                                       "-.",
                                       "e",
                                       "E5",
                                       "1E",
                                       "1E+",
                                       "1e-",
                                       "--1",
                                       "+-1",
                                       "1.2.3",
                                       "1..",
                                       "0x1",
                                       "NaN",
                                       "Infinity",
                                       "1,000",
                                       "1_000",
                                       "1E5.5",
                                       "1E1E1",
                                       "\xc2\xb9",
                                       "1\n",
                                       "1f",
                                       (DIGITS_38 "9"),
                                       ("1" ZEROS_50 "1"),
                                       ("0.1" ZEROS_50 "1"),
                                       ("-" DIGITS_38 "9"),
                                       (DIGITS_38 ".5"),
                                       "1E126",
                                       "-1E126",
                                       "10E125",
                                       (NINES_38 "E89"),
                                       "1E-131",
                                       "-1E-131",
                                       "0.1E-130",
                                       "9.9E-131",
                                       "1E999999999999999999999",
                                       "1E-999999999999999999999",
                                       ("1" ZEROS_125 "0")};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[NUM_BYTES_MAX];
        size_t count = 77;
        cr_assert_eq(num_encode(rows[i], strlen(rows[i]), bytes, &count), LARDER_E_INVAL, "\"%s\" passed", rows[i]);
        cr_assert_eq(count, 77, "an output was written");
        cr_assert_neq(larder_error()[0], 0);
    }
    uint8_t bytes[NUM_BYTES_MAX];
    size_t count;
    cr_assert_eq(num_encode(NULL, 0, bytes, &count), LARDER_E_INVAL);
    cr_assert_eq(num_encode(NULL, 5, bytes, &count), LARDER_E_INVAL);
    cr_assert_eq(num_encode("1\0002", 3, bytes, &count), LARDER_E_INVAL, "a zero byte inside");
    cr_assert_eq(num_encode("1E126", 5, bytes, &count), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "1E126") && strstr(larder_error(), "1E+126"), "%s", larder_error());
    cr_assert_eq(num_encode(DIGITS_38 "9", 39, bytes, &count), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "39") && strstr(larder_error(), "38"), "%s", larder_error());
}

/* Reads no further than it is told. */
Test(num, needs_no_final_zero) {
    uint8_t bytes[NUM_BYTES_MAX], expected[NUM_BYTES_MAX];
    size_t count;
    cr_assert_eq(num_encode("12345", 2, bytes, &count), LARDER_OK);
    cr_assert_eq(compare_encoded(bytes, count, expected, encode("12", expected)), 0);
}

Test(num, is_in_order) {
    static const char *const ascending[] = {("-" NINES_38 "E88"),
                                            "-1E125",
                                            "-1000001",
                                            "-1000000",
                                            "-100.5",
                                            "-100",
                                            "-99.99",
                                            "-99",
                                            "-10",
                                            "-2",
                                            "-1.01",
                                            "-1.0001",
                                            "-1",
                                            "-0.99",
                                            "-0.5",
                                            "-0.01",
                                            "-0.0001",
                                            "-1.5E-130",
                                            "-1E-130",
                                            "0",
                                            "1E-130",
                                            "1.5E-130",
                                            "0.0001",
                                            "0.01",
                                            "0.0101",
                                            "0.5",
                                            "0.99",
                                            "1",
                                            "1.0001",
                                            "1.01",
                                            "2",
                                            "9",
                                            "10",
                                            "10.01",
                                            "99",
                                            "99.99",
                                            "100",
                                            "100.5",
                                            "1000000",
                                            "1000001",
                                            "1E125",
                                            (NINES_38 "E88")};
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            uint8_t a[NUM_BYTES_MAX], b[NUM_BYTES_MAX];
            size_t a_bytes = encode(ascending[i], a), b_bytes = encode(ascending[k], b);
            cr_assert_eq(compare_encoded(a, a_bytes, b, b_bytes), (i > k) - (i < k), "%s and %s", ascending[i],
                         ascending[k]);
        }
    }
}

#define PLAIN_INTEGER 130
#define PLAIN_DECIMALS 170

/* sign digits x 10^exponent */
struct plain {
    int is_negative;
    char digits[LARDER_NUMBER_DIGITS_MAX + 1];
    int count, exponent;
};

static void write_plain(const struct plain *p, char *to) {
    memset(to, '0', PLAIN_INTEGER + PLAIN_DECIMALS);
    for (int i = 0; i < p->count; i++)
        to[PLAIN_INTEGER - p->exponent - p->count + i] = p->digits[i];
}

static int is_plain_zero(const struct plain *p) {
    return strspn(p->digits, "0") == (size_t)p->count;
}

static int compare_plain(const struct plain *a, const struct plain *b) {
    char a_text[PLAIN_INTEGER + PLAIN_DECIMALS], b_text[PLAIN_INTEGER + PLAIN_DECIMALS];
    int a_negative = a->is_negative && !is_plain_zero(a), b_negative = b->is_negative && !is_plain_zero(b);
    write_plain(a, a_text);
    write_plain(b, b_text);
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    int order = memcmp(a_text, b_text, sizeof a_text);
    order = (order > 0) - (order < 0);
    return a_negative ? -order : order;
}

/* Few digits and near exponents most of the time, so that pairs differ late or not at all. */
static void draw(struct rng *r, struct plain *p) {
    int is_wide = rng_is_one_in(r, 4);
    p->is_negative = (int)rng_below(r, 2);
    p->count = 1 + (int)rng_below(r, is_wide ? LARDER_NUMBER_DIGITS_MAX : 5);
    for (int i = 0; i < p->count; i++)
        p->digits[i] = (char)('0' + (rng_is_one_in(r, 3) ? 0 : rng_below(r, is_wide ? 10 : 3)));
    p->digits[p->count] = 0;
    p->exponent =
        /* up to E87: 38 + 87 < 126 digits */
        is_wide ? (int)rng_below(r, 218) - 130 : (int)rng_below(r, 8) - 4;
}

static size_t encode_drawn(const struct plain *p, uint8_t *to) {
    char text[80];
    snprintf(text, sizeof text, "%s%sE%d", p->is_negative ? "-" : "", p->digits, p->exponent);
    return encode(text, to);
}

Test(num, orders_random_pairs_as_numbers) {
    struct rng r;
    rng_seed(&r, rng_test_seed("num_test"));
    for (int i = 0; i < 200000; i++) {
        struct plain a, b;
        uint8_t a_bytes[NUM_BYTES_MAX], b_bytes[NUM_BYTES_MAX], again[NUM_BYTES_MAX];
        char text[LARDER_NUMBER_TEXT_MAX];
        draw(&r, &a);
        draw(&r, &b);
        size_t a_count = encode_drawn(&a, a_bytes), b_count = encode_drawn(&b, b_bytes);
        cr_assert_eq(compare_encoded(a_bytes, a_count, b_bytes, b_count), compare_plain(&a, &b), "%d %sE%d, %d %sE%d",
                     a.is_negative, a.digits, a.exponent, b.is_negative, b.digits, b.exponent);
        num_decode(a_bytes, a_count, text);
        cr_assert_eq(compare_encoded(a_bytes, a_count, again, encode(text, again)), 0, "%s", text);
    }
}

/* N1 the other way: bytes that pass as a number are exactly those that its text gives. */
Test(num, has_one_form_only) {
    struct rng r;
    int sane = 0;
    rng_seed(&r, rng_test_seed("num_test forms"));
    for (int i = 0; i < 300000; i++) {
        uint8_t bytes[NUM_BYTES_MAX + 2], again[NUM_BYTES_MAX];
        char text[LARDER_NUMBER_TEXT_MAX];
        struct plain p;
        size_t count = rng_below(&r, sizeof bytes + 1);
        if (rng_is_one_in(&r, 2)) {
            draw(&r, &p);
            count = encode_drawn(&p, bytes);
            bytes[rng_below(&r, count)] ^= (uint8_t)(1u << rng_below(&r, 8));
        } else {
            rng_bytes(&r, bytes, count);
        }
        cr_assert_leq(num_decode(bytes, count, text), LARDER_NUMBER_TEXT_MAX - 1);
        if (!num_is_sane(bytes, count)) {
            cr_assert_str_eq(text, "0");
            continue;
        }
        sane++;
        cr_assert_eq(compare_encoded(bytes, count, again, encode(text, again)), 0, "%s", text);
    }
    cr_assert_gt(sane, 1000);
}

Test(num, is_not_sane_when_cut_or_extended) {
    static const char *const rows[] = {"0", "1", "-1", "12.5", "-12.5", DIGITS_38, ("-" DIGITS_38)};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[NUM_BYTES_MAX + 1];
        size_t count = encode(rows[i], bytes);
        cr_assert_not(num_is_sane(bytes, 0));
        bytes[count] = 0;
        cr_assert_not(num_is_sane(bytes, count + 1), "%s with a zero", rows[i]);
        if (rows[i][0] == '-')
            for (size_t cut = 1; cut < count; cut++)
                cr_assert_not(num_is_sane(bytes, cut), "%s cut to %zu", rows[i], cut);
    }
}

Test(num, gives_integers) {
    static const struct {
        const char *text;
        int is_int64;
        int64_t exact, floor;
    } rows[] = {
        {"0", 1, 0, 0},
        {"1", 1, 1, 1},
        {"-1", 1, -1, -1},
        {"1E3", 1, 1000, 1000},
        {"1.5", 0, 0, 1},
        {"-1.5", 0, 0, -2},
        {"0.5", 0, 0, 0},
        {"-0.5", 0, 0, -1},
        {"1E-130", 0, 0, 0},
        {"-1E-130", 0, 0, -1},
        {"1764000000", 1, 1764000000, 1764000000},
        {"1764000000.999", 0, 0, 1764000000},
        {"9223372036854775807", 1, INT64_MAX, INT64_MAX},
        {"9223372036854775807.5", 0, 0, INT64_MAX},
        {"9223372036854775808", 0, 0, INT64_MAX},
        {"-9223372036854775807", 1, -INT64_MAX, -INT64_MAX},
        {"-9223372036854775808", 1, INT64_MIN, INT64_MIN},
        {"-9223372036854775807.1", 0, 0, INT64_MIN},
        {"-9223372036854775808.1", 0, 0, INT64_MIN},
        {"-9223372036854775809", 0, 0, INT64_MIN},
        {"9999999999999999999", 0, 0, INT64_MAX},
        {"-9999999999999999999.9", 0, 0, INT64_MIN},
        {"10000000000000000000", 0, 0, INT64_MAX},
        {"18446744073709551616", 0, 0, INT64_MAX},
        {"1E125", 0, 0, INT64_MAX},
        {"-1E125", 0, 0, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[NUM_BYTES_MAX];
        size_t count = encode(rows[i].text, bytes);
        int64_t got = 77;
        cr_assert_eq(num_to_int64(bytes, count, &got), rows[i].is_int64, "%s", rows[i].text);
        cr_assert_eq(got, rows[i].is_int64 ? rows[i].exact : 77, "%s gives %" PRId64, rows[i].text, got);
        cr_assert_eq(num_floor(bytes, count), rows[i].floor, "%s", rows[i].text);
    }
    int64_t untouched = 5;
    cr_assert_eq(num_floor((const uint8_t *)"", 0), 0);
    cr_assert_not(num_to_int64((const uint8_t *)"", 0, &untouched));
    cr_assert_eq(untouched, 5);
}

Test(num, takes_integers_as_it_takes_their_text) {
    struct rng r;
    int64_t fixed[] = {0, 1, -1, 10, -10, 99, 100, -100, 1000000, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    rng_seed(&r, rng_test_seed("num_test integers"));
    for (size_t i = 0; i < 20000; i++) {
        int64_t value = i < sizeof fixed / sizeof *fixed ? fixed[i] : (int64_t)rng_next(&r) >> rng_below(&r, 64);
        char text[24];
        uint8_t a[NUM_BYTES_MAX], b[NUM_BYTES_MAX];
        int64_t back = 0;
        snprintf(text, sizeof text, "%" PRId64, value);
        size_t a_count = num_encode_int64(value, a);
        cr_assert_eq(compare_encoded(a, a_count, b, encode(text, b)), 0, "%s", text);
        cr_assert(num_to_int64(a, a_count, &back) && back == value, "%s", text);
    }
}
