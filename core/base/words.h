/* core/base/words.h - comparisons of a few dozen bytes in place, a word at a time.
 *
 * Why      A call of memcmp() costs as much as comparing a key, and loops over items compare two
 *          keys for each.
 * Idea     Up to 32 bytes are four words without a loop; words may overlap.
 * Tests    tests/unit/base/words_test.c
 */
#ifndef LARDER_BASE_WORDS_H
#define LARDER_BASE_WORDS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/wide.h"

#define WORDS_INLINE static inline __attribute__((always_inline))
#define WORD_BYTES sizeof(uint64_t)

WORDS_INLINE uint64_t words_load(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The bits that differ in the words at a and b. */
WORDS_INLINE uint64_t words_xor(const uint8_t *a, const uint8_t *b) {
    return words_load(a) ^ words_load(b);
}

/* Whether memcmp() would give 0. */
WORDS_INLINE int words_are_equal(const uint8_t *a, const uint8_t *b, size_t bytes) {
    size_t last = bytes - WORD_BYTES;
    if (__builtin_expect(bytes - 2 * WORD_BYTES <= 2 * WORD_BYTES, 1))
        return (words_xor(a, b) | words_xor(a + WORD_BYTES, b + WORD_BYTES) |
                words_xor(a + last - WORD_BYTES, b + last - WORD_BYTES) | words_xor(a + last, b + last)) == 0;
    if (bytes < WORD_BYTES)
        return bytes == 0 || memcmp(a, b, bytes) == 0;
    for (size_t at = 0; at < last; at += WORD_BYTES)
        if (words_xor(a + at, b + at))
            return 0;
    return words_xor(a + last, b + last) == 0;
}

/* The same for at least 32 bytes, most often up to 64. is_wide: core/base/wide.h. */
WORDS_INLINE int words_many_are_equal(const uint8_t *a, const uint8_t *b, size_t bytes, int is_wide) {
    size_t last = bytes - WIDE_BYTES;
    if (!is_wide || last > WIDE_BYTES)
        return memcmp(a, b, bytes) == 0;
    return wide_are_equal(a, b) && wide_are_equal(a + last, b + last);
}

/* The place of the first word at which a and b differ, and both words. `bytes` or more: none of the
 * words that begin before `bytes` differs. Up to WORDS_BEHIND bytes behind it must be readable;
 * they are looked at only if all before are equal. is_wide: core/base/wide.h. */
#define WORDS_BEHIND 32u
WORDS_INLINE size_t words_differ_at(const uint8_t *a, const uint8_t *b, size_t bytes, uint64_t *x, uint64_t *y,
                                    int is_wide) {
    size_t at = is_wide && bytes > WIDE_BYTES && wide_are_equal(a, b) ? WIDE_BYTES : 0;
#define WORDS_DIFFER(i) ((*x = words_load(a + (i))) != (*y = words_load(b + (i))))
    do {
        if (WORDS_DIFFER(at))
            return at;
        if (WORDS_DIFFER(at + WORD_BYTES))
            return at + WORD_BYTES;
        if (WORDS_DIFFER(at + 2 * WORD_BYTES))
            return at + 2 * WORD_BYTES;
        if (WORDS_DIFFER(at + 3 * WORD_BYTES))
            return at + 3 * WORD_BYTES;
        at += 4 * WORD_BYTES;
    } while (at < bytes);
#undef WORDS_DIFFER
    return at;
}

/* The sign of memcmp(). */
WORDS_INLINE int words_order(const uint8_t *a, const uint8_t *b, size_t bytes) {
    uint64_t x, y;
    size_t at = 0, last = bytes - WORD_BYTES;
#define WORDS_DIFFER_AT(i) ((x = words_load(a + (i))) != (y = words_load(b + (i))))
    if (bytes < WORD_BYTES) {
        for (; at < bytes; at++)
            if (a[at] != b[at])
                return a[at] < b[at] ? -1 : 1;
        return 0;
    }
    for (; last - at > 3 * WORD_BYTES; at += WORD_BYTES) /* more than four words are left */
        if (WORDS_DIFFER_AT(at))
            goto differ;
    if (WORDS_DIFFER_AT(at))
        goto differ;
    if (last - at > WORD_BYTES && (WORDS_DIFFER_AT(at + WORD_BYTES) || WORDS_DIFFER_AT(last - WORD_BYTES)))
        goto differ;
    if (WORDS_DIFFER_AT(last))
        goto differ;
#undef WORDS_DIFFER_AT
    return 0;
differ:
    return be64toh(x) < be64toh(y) ? -1 : 1;
}

#endif
