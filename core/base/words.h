/* core/base/words.h - comparisons of a few dozen bytes in place, a word at a time.
 *
 * Why      A call of memcmp() costs as much as comparing a key, and loops over items compare two
 *          keys for each.
 */
#ifndef LARDER_BASE_WORDS_H
#define LARDER_BASE_WORDS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t words_load(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The place of the first word that differs, in `bytes` of at least 8; the last word may overlap the
 * one before. `bytes` if there is none. */
static inline __attribute__((always_inline)) size_t words_differ_at(const uint8_t *a, const uint8_t *b, size_t bytes) {
    size_t last = bytes - sizeof(uint64_t);
    for (size_t at = 0; at < last; at += sizeof(uint64_t))
        if (words_load(a + at) != words_load(b + at))
            return at;
    return words_load(a + last) != words_load(b + last) ? last : bytes;
}

/* Whether memcmp() would give 0. */
static inline __attribute__((always_inline)) int words_are_equal(const uint8_t *a, const uint8_t *b, size_t bytes) {
    if (__builtin_expect(bytes >= sizeof(uint64_t), 1))
        return words_differ_at(a, b, bytes) == bytes;
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}

/* The sign of memcmp(). */
static inline __attribute__((always_inline)) int words_order(const uint8_t *a, const uint8_t *b, size_t bytes) {
    if (__builtin_expect(bytes < sizeof(uint64_t), 0))
        return bytes ? memcmp(a, b, bytes) : 0;
    size_t at = words_differ_at(a, b, bytes);
    if (at == bytes)
        return 0;
    return be64toh(words_load(a + at)) < be64toh(words_load(b + at)) ? -1 : 1;
}

#endif
