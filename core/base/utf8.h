/* core/base/utf8.h - is a run of bytes UTF-8 text. */
#ifndef LARDER_BASE_UTF8_H
#define LARDER_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Whether this byte is part of a character that begins before it. */
static inline int utf8_is_inner_byte(uint8_t byte) {
    return (byte & 0xc0) == 0x80;
}

/* Bytes from the start that are well-formed UTF-8 (RFC 3629: no overlong form, no surrogate,
 * nothing over U+10FFFF). The whole is text if that is all of them; else the result is the position
 * of the first wrong one. */
size_t utf8_valid_bytes(const char *text, size_t bytes);

/* How many bytes of a name or value to show in a message with "%.*s": whole characters up to a few
 * dozen bytes, up to the first byte that is no text or a control character. */
int utf8_shown_bytes(const char *text, size_t bytes);

#endif
