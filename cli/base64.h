/* cli/base64.h - RFC 4648 base64, the form of binary values in DynamoDB JSON. */
#ifndef LARDER_CLI_BASE64_H
#define LARDER_CLI_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of text for `bytes` of data, and an upper bound in the other direction. */
size_t base64_text_bytes(size_t bytes);
size_t base64_data_bytes_max(size_t text_bytes);

/* Writes base64_text_bytes(bytes) characters, not 0-terminated. */
void base64_encode(const void *data, size_t bytes, char *text);

/* Strict: standard alphabet, padded, no spaces, no stray bits in the last character, so each value
 * has one text. Returns false for any other text. `data` has room for base64_data_bytes_max(). */
bool base64_decode(const char *text, size_t text_bytes, void *data, size_t *bytes);

#endif
