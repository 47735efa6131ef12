/* cli/base64.h - RFC 4648 base64, the form of binary values in DynamoDB JSON. */
#ifndef LARDER_CLI_BASE64_H
#define LARDER_CLI_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of text for `bytes` of data, and an upper bound of the other way. */
size_t base64_text_bytes(size_t bytes);
size_t base64_data_bytes_max(size_t text_bytes);

/* Writes base64_text_bytes(bytes) characters, not 0-terminated. */
void base64_encode(const void *data, size_t bytes, char *text);

/* Strict: standard alphabet, padded, no spaces, no stray bits in the last character, so that each
 * value has one text. False if the text is anything else. `data` has room for
 * base64_data_bytes_max(). */
bool base64_decode(const char *text, size_t text_bytes, void *data, size_t *bytes);

#endif
