/* core/base/utf8.h - whether bytes are UTF-8 text. */
#ifndef LARDER_BASE_UTF8_H
#define LARDER_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Whether this byte continues a character that began before it. */
static inline int utf8_is_inner_byte(uint8_t byte) {
    return (byte & 0xc0) == 0x80;
}

/* How many bytes from the start are well-formed UTF-8 (RFC 3629: no overlong form, no surrogate,
 * nothing over U+10FFFF). `bytes` if all are; else the position of the first wrong byte. */
size_t utf8_valid_bytes(const char *text, size_t bytes);

/* How many bytes of a name or value a message shows ("%.*s"): whole characters, at most a few dozen
 * bytes, up to the first byte that is no text or a control character. */
int utf8_shown_bytes(const char *text, size_t bytes);

#endif
