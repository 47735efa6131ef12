/* core/item/num.c - DynamoDB numbers: text to ordered bytes and back.
 *
 * Job      All conversions go through struct num_decimal, the digits of the number without leading
 *          and trailing zeros.
 * Picture  text -> num_scan -> decimal -> num_pack -> bytes
 *          bytes -> num_unpack -> decimal -> text or integer
 * Rules    N1 and N2 of core/item/num.h hold because a decimal has one form, and each pair of its
 *             digits is one base-100 digit.
 * Not here Sums: core/item/num_add.c.
 * Tests    tests/unit/item/num_test.c
 */
#include "core/item/num_decimal.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "larder.h"

#define NUM_EXPONENT_BIAS 64  /* the smallest base-100 exponent is stored as 0 */
#define NUM_ZERO 0x80         /* zero, and the smallest first byte of a positive number */
#define NUM_NEGATIVE_END 0xff /* after the digits of a negative number */

/* The result of num_scan(). Digits that do not fit are counted, not kept. */
struct num_scanned {
    struct num_decimal decimal;
    uint64_t digit_count;
};

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads the exponent at text[*i], which is an 'e'. A value beyond any legal number is clamped; it
 * is refused later. */
static int num_scan_exponent(const char *text, size_t bytes, size_t *i, int64_t *exponent) {
    const int64_t clamp = INT64_C(1000000000000000);
    int64_t value = 0;
    size_t at = *i + 1;
    int is_negative = at < bytes && text[at] == '-';
    if (at < bytes && (text[at] == '-' || text[at] == '+'))
        at++;
    size_t first = at;
    for (; at < bytes && is_digit(text[at]); at++)
        value = value < clamp ? value * 10 + (text[at] - '0') : clamp;
    *exponent = is_negative ? -value : value;
    *i = at;
    return at > first;
}

/* Reads digits and point. Zeros are held back until another digit follows, so trailing zeros are
 * never kept. */
static int num_scan_digits(const char *text, size_t bytes, size_t *i, struct num_scanned *out) {
    struct num_decimal *d = &out->decimal;
    uint64_t zeros = 0, significant = 0;
    int has_digit = 0, has_point = 0;
    size_t at = *i;
    for (; at < bytes && (is_digit(text[at]) || (text[at] == '.' && !has_point)); at++) {
        if (text[at] == '.') {
            has_point = 1;
            continue;
        }
        has_digit = 1;
        if (text[at] == '0' && !significant) {
            d->point -= has_point;
            continue;
        }
        d->point += !has_point;
        if (text[at] == '0') {
            zeros++;
            continue;
        }
        significant += zeros + 1;
        if (significant <= LARDER_NUMBER_DIGITS_MAX) {
            memset(d->digits + d->count, 0, zeros);
            d->count = (uint32_t)significant;
            d->digits[d->count - 1] = (uint8_t)(text[at] - '0');
        }
        zeros = 0;
    }
    out->digit_count = significant;
    *i = at;
    return has_digit;
}

/* True if the text is a number, even one beyond the limits. */
static int num_scan(const char *text, size_t bytes, struct num_scanned *out) {
    size_t i = 0;
    int64_t exponent = 0;
    *out = (struct num_scanned){.digit_count = 0};
    if (bytes && (text[0] == '-' || text[0] == '+'))
        out->decimal.is_negative = text[i++] == '-';
    if (!num_scan_digits(text, bytes, &i, out))
        return 0;
    if (i < bytes && (text[i] == 'e' || text[i] == 'E') && !num_scan_exponent(text, bytes, &i, &exponent))
        return 0;
    if (i != bytes)
        return 0;
    if (out->digit_count)
        out->decimal.point += exponent;
    else
        out->decimal = (struct num_decimal){.count = 0}; /* -0 and 0E99 are 0 */
    return 1;
}

size_t num_pack(const struct num_decimal *d, uint8_t *to) {
    if (!d->count) {
        to[0] = NUM_ZERO;
        return 1;
    }
    int is_odd = d->point % 2 != 0; /* the first pair is then a 0 and the first digit */
    uint8_t exponent = (uint8_t)((d->point + is_odd) / 2 + NUM_EXPONENT_BIAS);
    size_t n = 0;
    to[n++] = d->is_negative ? (uint8_t)(NUM_ZERO - 1 - exponent) : (uint8_t)(NUM_ZERO + exponent);
    for (uint32_t i = 0; i < d->count;) {
        int high = n == 1 && is_odd ? 0 : d->digits[i++];
        int low = i < d->count ? d->digits[i] : 0;
        i++;
        int pair = high * 10 + low;
        to[n++] = (uint8_t)(d->is_negative ? NUM_NEGATIVE_END - 1 - pair : pair);
    }
    if (d->is_negative)
        to[n++] = NUM_NEGATIVE_END;
    return n;
}

/* Sets the message for a text that is refused. number: what num_scan() read; NULL if it is no
 * number. */
static int num_refuse(const char *text, size_t bytes, const struct num_scanned *number) {
    int shown = text ? utf8_shown_bytes(text, bytes) : 0;
    const char *cut = (size_t)shown < bytes ? "..." : "";
    if (!number)
        return err_set(LARDER_E_INVAL,
                       "\"%.*s%s\" is not a number: an optional sign, decimal digits with an optional point, and an "
                       "optional exponent are allowed",
                       shown, text ? text : "", cut);
    if (number->digit_count > LARDER_NUMBER_DIGITS_MAX)
        return err_set(LARDER_E_INVAL, "number \"%.*s%s\" has %llu significant digits; at most %d are allowed", shown,
                       text, cut, (unsigned long long)number->digit_count, LARDER_NUMBER_DIGITS_MAX);
    if (number->decimal.point > NUM_POINT_MAX)
        return err_set(LARDER_E_INVAL, "number \"%.*s%s\" is too large: its magnitude must be below 1E+126", shown,
                       text, cut);
    return err_set(LARDER_E_INVAL, "number \"%.*s%s\" is too small: its magnitude must be 0 or at least 1E-130", shown,
                   text, cut);
}

int num_encode(const char *text, size_t text_bytes, uint8_t *to, size_t *bytes) {
    struct num_scanned scanned;
    const struct num_decimal *d = &scanned.decimal;
    if (!text || !num_scan(text, text_bytes, &scanned))
        return num_refuse(text, text_bytes, NULL);
    if (scanned.digit_count > LARDER_NUMBER_DIGITS_MAX || d->point > NUM_POINT_MAX || d->point < NUM_POINT_MIN)
        return num_refuse(text, text_bytes, &scanned);
    *bytes = num_pack(d, to);
    return LARDER_OK;
}

size_t num_encode_int64(int64_t value, uint8_t *to) {
    struct num_decimal d = {.is_negative = value < 0};
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (magnitude && magnitude % 10 == 0) {
        magnitude /= 10;
        d.point++;
    }
    for (uint64_t rest = magnitude; rest; rest /= 10)
        d.count++;
    for (uint32_t i = d.count; i > 0; magnitude /= 10)
        d.digits[--i] = (uint8_t)(magnitude % 10);
    d.point += d.count;
    return num_pack(&d, to);
}

int num_unpack(const uint8_t *from, size_t bytes, struct num_decimal *d) {
    *d = (struct num_decimal){.count = 0};
    if (bytes <= 1)
        return bytes == 1 && from[0] == NUM_ZERO;
    d->is_negative = from[0] < NUM_ZERO;
    size_t pairs = bytes - 1 - (size_t)d->is_negative;
    if (pairs < 1 || pairs > NUM_PAIRS_MAX || (d->is_negative && from[bytes - 1] != NUM_NEGATIVE_END))
        return 0;
    int exponent = (d->is_negative ? NUM_ZERO - 1 - from[0] : from[0] - NUM_ZERO) - NUM_EXPONENT_BIAS;
    for (size_t i = 0; i < pairs; i++) {
        int pair = d->is_negative ? NUM_NEGATIVE_END - 1 - from[1 + i] : from[1 + i];
        if (pair < 0 || pair > 99 || (pair == 0 && (i == 0 || i == pairs - 1)))
            return 0;
        if (i > 0 || pair >= 10)
            d->digits[d->count++] = (uint8_t)(pair / 10);
        d->digits[d->count++] = (uint8_t)(pair % 10);
    }
    /* a first pair below 10 gave only one digit */
    d->point = 2 * exponent - (int)(2 * pairs - d->count);
    d->count -= d->digits[d->count - 1] == 0;
    return d->count <= LARDER_NUMBER_DIGITS_MAX;
}

int num_is_sane(const uint8_t *from, size_t bytes) {
    struct num_decimal d;
    return num_unpack(from, bytes, &d);
}

size_t num_decode(const uint8_t *from, size_t bytes, char *text) {
    struct num_decimal d;
    size_t n = 0;
    int is_sane = num_unpack(from, bytes, &d);
    if (!is_sane || !d.count) {
        memcpy(text, "0", 2);
        return (size_t)is_sane;
    }
    if (d.is_negative)
        text[n++] = '-';
    if (d.point <= 0) {
        text[n++] = '0';
        text[n++] = '.';
        for (int64_t i = d.point; i < 0; i++)
            text[n++] = '0';
    }
    for (uint32_t i = 0; i < d.count; i++) {
        if (i > 0 && i == d.point)
            text[n++] = '.';
        text[n++] = (char)('0' + d.digits[i]);
    }
    for (int64_t i = d.count; i < d.point; i++)
        text[n++] = '0';
    text[n] = 0;
    return n;
}

/* The integer part of the magnitude; false if it has more than 19 digits, too many for an int64. */
static int num_magnitude(const struct num_decimal *d, uint64_t *out) {
    uint64_t magnitude = 0;
    if (d->point > 19)
        return 0;
    for (int64_t i = 0; i < d->point; i++)
        magnitude = magnitude * 10 + (i < d->count ? d->digits[i] : 0);
    *out = magnitude;
    return 1;
}

static int num_has_fraction(const struct num_decimal *d) {
    return d->count && d->point < d->count;
}

int64_t num_floor(const uint8_t *from, size_t bytes) {
    struct num_decimal d;
    uint64_t magnitude;
    if (!num_unpack(from, bytes, &d))
        return 0;
    if (!num_magnitude(&d, &magnitude))
        return d.is_negative ? INT64_MIN : INT64_MAX;
    if (!d.is_negative)
        return magnitude > INT64_MAX ? INT64_MAX : (int64_t)magnitude;
    magnitude += num_has_fraction(&d);
    return magnitude > INT64_MAX ? INT64_MIN : -(int64_t)magnitude;
}

int num_to_int64(const uint8_t *from, size_t bytes, int64_t *out) {
    struct num_decimal d;
    uint64_t magnitude;
    if (!num_unpack(from, bytes, &d) || num_has_fraction(&d) || !num_magnitude(&d, &magnitude))
        return 0;
    if (magnitude > (uint64_t)INT64_MAX + (uint64_t)d.is_negative)
        return 0;
    *out = d.is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 1;
}
