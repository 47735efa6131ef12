/* dynamodb/number.c - what the service says of a text that is no number of it.
 *
 * Note     The service reads a number as Java's BigDecimal does: an exponent that does not fit in
 *          32 bits is no number at all, one within is too large or too small. 1e2147483647 is too
 *          small there, because precision minus scale wraps around.
 * Sources  dynalite's suites; the dynamodb-conformance suite ("PartiQL parameters - numbers") for
 *          exponents, run against the service.
 * Tests    tests/dynamodb/dynamodb_values_test.c
 */
#include "dynamodb/number.h"

#include <stdio.h>

#include "core/base/utf8.h"
#include "core/item/num.h"

#define NO_NUMBER "The parameter cannot be converted to a numeric value"

struct decimal {
    int64_t first, last; /* powers of ten of the first and last digit that is not 0 */
    int is_zero;
    int64_t exponent; /* as written, clamped */
};

static const char *take_digits(const char *at, const char *end, struct decimal *d, int64_t *power, int step) {
    for (; at < end && *at >= '0' && *at <= '9'; at++, *power += step) {
        if (*at == '0')
            continue;
        if (d->is_zero)
            d->first = *power;
        d->last = *power;
        d->is_zero = 0;
    }
    return at;
}

/* 0: no number. */
static int read_exponent(const char *at, const char *end, int64_t *out) {
    int is_negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    if (at == end)
        return 0;
    for (*out = 0; at < end; at++) {
        if (*at < '0' || *at > '9')
            return 0;
        *out = *out > INT32_MAX ? *out : *out * 10 + (*at - '0');
    }
    *out = is_negative ? -*out : *out;
    return 1;
}

/* 0: no number. */
static int read_decimal(struct text text, struct decimal *d) {
    const char *at = text.at, *end = text.at + text.bytes, *whole, *point;
    *d = (struct decimal){.is_zero = 1};
    at += at < end && (*at == '-' || *at == '+');
    for (whole = at; at < end && *at >= '0' && *at <= '9'; at++)
        ;
    int64_t power = at - whole - 1;
    size_t digits = (size_t)(at - whole);
    take_digits(whole, at, d, &power, -1);
    if (at < end && *at == '.') {
        point = ++at;
        at = take_digits(at, end, d, &power, -1);
        digits += (size_t)(at - point);
    }
    if (!digits)
        return 0;
    if (at < end && (*at == 'e' || *at == 'E'))
        return read_exponent(at + 1, end, &d->exponent);
    return at == end;
}

int number_problem(struct text text, char *message, size_t bytes) {
    uint8_t encoded[NUM_BYTES_MAX];
    size_t encoded_bytes;
    struct decimal d;
    if (num_encode(text.at, text.bytes, encoded, &encoded_bytes) == LARDER_OK)
        return 0;
    if (!text.bytes)
        snprintf(message, bytes, NO_NUMBER);
    else if (!read_decimal(text, &d) || d.exponent > INT32_MAX || d.exponent < INT32_MIN)
        snprintf(message, bytes, NO_NUMBER ": %.*s", (int)(text.bytes < bytes ? text.bytes : bytes), text.at);
    else if (d.exponent + d.first > 125 && d.exponent < INT32_MAX)
        snprintf(message, bytes,
                 "Number overflow. Attempting to store a number with magnitude larger than supported "
                 "range");
    else if (d.exponent + d.first > 125 || d.exponent + d.first < -130)
        snprintf(message, bytes,
                 "Number underflow. Attempting to store a number with magnitude smaller than "
                 "supported range");
    else
        snprintf(message, bytes, "Attempting to store more than 38 significant digits in a Number");
    message[utf8_valid_bytes(message, strlen(message))] = 0;
    return 1;
}
