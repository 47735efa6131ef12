/* dynamodb/base64.h - base64 as the service reads and writes it (RFC 4648, padded, canonical). */
#ifndef LARDER_DYNAMODB_BASE64_H
#define LARDER_DYNAMODB_BASE64_H

#include <stddef.h>

/* Bytes of text for `bytes` of data, and room that decoding needs. */
static inline size_t base64_encoded_bytes(size_t bytes) {
    return (bytes + 2) / 3 * 4;
}
static inline size_t base64_decoded_bytes_max(size_t text_bytes) {
    return text_bytes / 4 * 3;
}

/* Writes base64_encoded_bytes(bytes) characters, not 0-terminated. */
void base64_write(const void *data, size_t bytes, char *text);

/* What is wrong with a text that is not the one text of some bytes. */
enum base64_fault {
    BASE64_OK,
    BASE64_LENGTH,    /* no multiple of 4 */
    BASE64_CHARACTER, /* not of the alphabet, or a '=' that is not at the end */
    BASE64_STRAY_BITS /* the last character has bits that stand for nothing */
};
/* `data` has room for base64_decoded_bytes_max(). *bad: the character, with BASE64_CHARACTER. */
enum base64_fault base64_read(const char *text, size_t text_bytes, void *data, size_t *bytes, char *bad);

#endif
