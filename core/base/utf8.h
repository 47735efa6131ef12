/* core/base/utf8.h - whether bytes are UTF-8 text. */
#ifndef LARDER_BASE_UTF8_H
#define LARDER_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whether this byte continues a character that began before it. */
static inline int utf8_is_inner_byte(uint8_t byte) {
    return (byte & 0xc0) == 0x80;
}

/* Fewer than eight bytes, without a loop: some bytes are looked at twice. */
static inline int utf8_is_short_ascii(const char *text, size_t bytes) {
    uint32_t first = 0, last = 0;
    if (bytes >= sizeof first) {
        memcpy(&first, text, sizeof first);
        memcpy(&last, text + bytes - sizeof last, sizeof last);
    } else if (bytes) {
        first = (uint8_t)text[0] | (uint8_t)text[bytes / 2];
        last = (uint8_t)text[bytes - 1];
    }
    return !((first | last) & 0x80808080u);
}

/* Most text is ASCII. Eight bytes at a time; the last eight may overlap those before. */
static inline int utf8_is_ascii(const char *text, size_t bytes) {
    uint64_t word, high = 0;
    if (bytes < sizeof word)
        return utf8_is_short_ascii(text, bytes);
    for (size_t i = 0; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        high |= word;
    }
    memcpy(&word, text + bytes - sizeof word, sizeof word);
    return !((high | word) & 0x8080808080808080u);
}

/* How many bytes from the start are well-formed UTF-8 (RFC 3629: no overlong form, no surrogate,
 * nothing over U+10FFFF). `bytes` if all are; else the position of the first wrong byte. */
size_t utf8_valid_bytes(const char *text, size_t bytes);

/* How many bytes of a name or value a message shows ("%.*s"): whole characters, at most a few dozen
 * bytes, up to the first byte that is no text or a control character. */
int utf8_shown_bytes(const char *text, size_t bytes);

#endif
