/* dynamodb/json_string.h - text that stands for itself in JSON, copied many bytes at a time.
 *
 * Idea     Most text is ASCII without quotes, backslashes and control characters. It is copied, and
 *          looked at while it is copied. Only if something else is found does it take the slow way.
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#ifndef LARDER_DYNAMODB_JSON_STRING_H
#define LARDER_DYNAMODB_JSON_STRING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* 0: each of these eight bytes stands for itself. A borrow goes out of a special byte only, so no
 * special byte is missed. */
static inline uint64_t json_special(uint64_t word) {
    uint64_t quote = word ^ JSON_EACH_BYTE('"'), backslash = word ^ JSON_EACH_BYTE('\\');
    return ((word - JSON_EACH_BYTE(0x20)) | (quote - JSON_EACH_BYTE(1)) | (backslash - JSON_EACH_BYTE(1)) | word) &
           JSON_EACH_BYTE(0x80);
}

static inline uint64_t json_copy_word(char *to, const char *from) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    memcpy(to, &word, sizeof word);
    return json_special(word);
}

/* Fewer than 8. */
static inline uint64_t json_copy_few(char *to, const char *from, size_t bytes) {
    uint64_t word = JSON_EACH_BYTE(' ');
    if (bytes >= 4) {
        uint32_t first, last;
        memcpy(&first, from, sizeof first);
        memcpy(&last, from + bytes - sizeof last, sizeof last);
        memcpy(to, &first, sizeof first);
        memcpy(to + bytes - sizeof last, &last, sizeof last);
        return json_special((uint64_t)last << 32 | first);
    }
    for (size_t i = 0; i < bytes; i++) {
        to[i] = from[i];
        word = word << 8 | (uint8_t)from[i];
    }
    return json_special(word);
}

#ifdef __SSE2__
#define JSON_LOOK_BYTES 16
/* A bit for each of 16 bytes that does not stand for itself. */
static inline unsigned json_look(const char *from) {
    __m128i block = _mm_loadu_si128((const __m128i *)from);
    __m128i quotes =
        _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(quotes, _mm_cmplt_epi8(block, _mm_set1_epi8(' '))));
}

/* At least 16 bytes. A signed comparison finds control characters and what is no ASCII. */
static inline uint64_t json_copy_many(char *to, const char *from, size_t bytes) {
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    __m128i special = _mm_setzero_si128();
    for (size_t i = 0, last = bytes - sizeof special;; i = i + sizeof special < last ? i + sizeof special : last) {
        __m128i block = _mm_loadu_si128((const __m128i *)(from + i));
        _mm_storeu_si128((__m128i *)(to + i), block);
        special = _mm_or_si128(special, _mm_cmplt_epi8(block, space));
        special = _mm_or_si128(special, _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
        if (i == last)
            return (unsigned)_mm_movemask_epi8(special);
    }
}
#endif

/* 0: all bytes stood for themselves, and were copied. */
static inline uint64_t json_copy(char *to, const char *from, size_t bytes) {
    uint64_t special = 0;
#ifdef __SSE2__
    if (bytes >= sizeof(__m128i))
        return json_copy_many(to, from, bytes);
#endif
    if (bytes < sizeof(uint64_t))
        return json_copy_few(to, from, bytes);
    size_t last = bytes - sizeof(uint64_t);
    for (size_t i = 0; i < last; i += sizeof(uint64_t))
        special |= json_copy_word(to + i, from + i);
    return special | json_copy_word(to + last, from + last);
}

#endif
