/* tests/unit/base/words_test.c - comparing bytes in place.
 *
 * Goal     core/base/words.h compares as memcmp() does, and reads no byte beyond what it compares.
 * Method   Every length up to a hundred, every place where two texts can differ, each way; they
 *          end where their memory ends, so that the address sanitizer sees a longer look.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/words.h"
#include "tests/support/slow.h"

#define BYTES_MAX 100u

TestSuite(words, .timeout = 20 * SLOW_FACTOR);

static int sign(int order) {
    return (order > 0) - (order < 0);
}

/* A copy at the end of its own memory. */
static uint8_t *copy_of(const uint8_t *from, size_t bytes) {
    uint8_t *to = malloc(bytes ? bytes : 1);
    cr_assert_not_null(to);
    memcpy(to, from, bytes);
    return to;
}

static void expect_like_memcmp(const uint8_t *x, const uint8_t *y, size_t bytes) {
    uint8_t *a = copy_of(x, bytes), *b = copy_of(y, bytes);
    int right = sign(memcmp(a, b, bytes));
    cr_assert_eq(sign(words_order(a, b, bytes)), right, "%zu bytes", bytes);
    cr_assert_eq(words_are_equal(a, b, bytes), right == 0, "%zu bytes", bytes);
    free(a);
    free(b);
}

Test(words, compare_as_memcmp_does) {
    uint8_t x[BYTES_MAX], y[BYTES_MAX];
    for (size_t i = 0; i < BYTES_MAX; i++)
        x[i] = (uint8_t)(i * 41 + 7);
    for (size_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
        memcpy(y, x, bytes);
        expect_like_memcmp(x, y, bytes);
        for (size_t at = 0; at < bytes; at++) {
            y[at] ^= 0x81; /* also in the highest bit: bytes are unsigned */
            expect_like_memcmp(x, y, bytes);
            expect_like_memcmp(y, x, bytes);
            /* the first difference decides */
            y[bytes - 1] ^= 0xff;
            expect_like_memcmp(x, y, bytes);
            memcpy(y, x, bytes);
        }
    }
}

/* The first difference, seen from whole words. */
static void find_the_first_word(int is_wide) {
    uint8_t x[BYTES_MAX + 2 * WORDS_BEHIND], y[sizeof x];
    uint64_t a, b;
    for (size_t i = 0; i < sizeof x; i++)
        x[i] = (uint8_t)(i * 41 + 7);
    for (size_t bytes = 1; bytes <= BYTES_MAX; bytes++) {
        memcpy(y, x, sizeof x);
        cr_assert_geq(words_differ_at(x, y, bytes, &a, &b, is_wide), bytes);
        for (size_t at = 0; at < bytes; at++) {
            uint8_t *mine = copy_of(x, bytes + WORDS_BEHIND), *other = copy_of(x, bytes + WORDS_BEHIND);
            other[at] ^= 0x81;
            other[bytes - 1] ^= 0x42;
            size_t found = words_differ_at(mine, other, bytes, &a, &b, is_wide);
            cr_assert_eq(found, at / WORD_BYTES * WORD_BYTES, "%zu of %zu", at, bytes);
            cr_assert(a == words_load(mine + found) && b == words_load(other + found));
            free(mine);
            free(other);
        }
    }
}

Test(words, find_the_first_word_that_differs) {
    find_the_first_word(0);
    if (wide_is_here())
        find_the_first_word(1);
}

static void expect_many_like_memcmp(const uint8_t *x, const uint8_t *y, size_t bytes, int is_equal) {
    uint8_t *a = copy_of(x, bytes), *b = copy_of(y, bytes);
    cr_assert_eq(words_many_are_equal(a, b, bytes, 0), is_equal, "%zu", bytes);
    if (wide_is_here())
        cr_assert_eq(words_many_are_equal(a, b, bytes, 1), is_equal, "%zu, wide", bytes);
    free(a);
    free(b);
}

Test(words, many_are_equal_as_by_memcmp) {
    uint8_t x[100], y[sizeof x];
    for (size_t i = 0; i < sizeof x; i++)
        x[i] = (uint8_t)(i * 41 + 7);
    for (size_t bytes = WIDE_BYTES; bytes <= sizeof x; bytes++) {
        memcpy(y, x, sizeof x);
        expect_many_like_memcmp(x, y, bytes, 1);
        for (size_t at = 0; at < bytes; at++) {
            y[at] ^= 0x20;
            expect_many_like_memcmp(x, y, bytes, 0);
            y[at] ^= 0x20;
        }
    }
}
