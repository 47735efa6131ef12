/* core/base/utf8.c - whether bytes are UTF-8 text.
 *
 * Job      Names and S values are checked once, when a caller gives them.
 * Tests    tests/unit/base/utf8_test.c
 */
#include "core/base/utf8.h"

#include <stdint.h>
#include <string.h>

#define UTF8_SHOWN_MAX 48

/* Length of the character at `at`; 0 if it is not well-formed. The range of the second byte
 * excludes overlong forms, surrogates and code points over U+10FFFF (Unicode standard, table
 * 3-7). */
static size_t utf8_char_bytes(const uint8_t *at, size_t left) {
    uint8_t first = at[0], low = 0x80, high = 0xbf;
    size_t bytes;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        bytes = 2;
    else if (first >= 0xe0 && first <= 0xef)
        bytes = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        bytes = 4;
    else
        return 0;
    if (left < bytes)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

size_t utf8_valid_bytes(const char *text, size_t bytes) {
    const uint8_t *at = (const uint8_t *)text;
    size_t i = 0;
    if (utf8_is_ascii(text, bytes))
        return bytes;
    while (i < bytes) {
        uint64_t word;
        if (bytes - i >= sizeof word) {
            memcpy(&word, at + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                i += sizeof word;
                continue;
            }
        }
        size_t step = utf8_char_bytes(at + i, bytes - i);
        if (!step)
            break;
        i += step;
    }
    return i;
}

int utf8_shown_bytes(const char *text, size_t bytes) {
    const uint8_t *at = (const uint8_t *)text;
    size_t i = 0;
    while (i < bytes && at[i] >= 0x20 && at[i] != 0x7f) {
        size_t step = utf8_char_bytes(at + i, bytes - i);
        if (!step || i + step > UTF8_SHOWN_MAX)
            break;
        i += step;
    }
    return (int)i;
}
