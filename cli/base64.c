/* cli/base64.c - RFC 4648 base64, the form of binary values in DynamoDB JSON.
 *
 * Tests    tests/unit/cli/json_item_test.c
 */
#include "cli/base64.h"

#include <stdint.h>
#include <string.h>

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_text_bytes(size_t bytes) {
    return (bytes + 2) / 3 * 4;
}

size_t base64_data_bytes_max(size_t text_bytes) {
    return text_bytes / 4 * 3;
}

void base64_encode(const void *data, size_t bytes, char *text) {
    const uint8_t *from = data;
    for (size_t at = 0; at < bytes; at += 3) {
        size_t left = bytes - at;
        uint32_t group = (uint32_t)from[at] << 16;
        if (left > 1)
            group |= (uint32_t)from[at + 1] << 8;
        if (left > 2)
            group |= from[at + 2];
        *text++ = base64_alphabet[group >> 18];
        *text++ = base64_alphabet[group >> 12 & 63];
        *text++ = left > 1 ? base64_alphabet[group >> 6 & 63] : '=';
        *text++ = left > 2 ? base64_alphabet[group & 63] : '=';
    }
}

/* The six bits of a character, or 64 if it is not in the alphabet. */
static uint32_t base64_sextet(char c) {
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : 64;
}

bool base64_decode(const char *text, size_t text_bytes, void *data, size_t *bytes) {
    uint8_t *to = data;
    if (text_bytes % 4 != 0)
        return false;
    for (size_t at = 0; at < text_bytes; at += 4) {
        bool is_last = at + 4 == text_bytes;
        size_t pad = is_last && text[at + 3] == '=' ? 1u + (text[at + 2] == '=') : 0;
        uint32_t group = 0;
        for (size_t i = 0; i < 4; i++) {
            uint32_t sextet = i + pad < 4 ? base64_sextet(text[at + i]) : 0;
            if (sextet > 63)
                return false;
            group = group << 6 | sextet;
        }
        if ((pad == 1 && (group & 0xff) != 0) || (pad == 2 && (group & 0xffff) != 0))
            return false;
        *to++ = (uint8_t)(group >> 16);
        if (pad < 2)
            *to++ = (uint8_t)(group >> 8);
        if (pad < 1)
            *to++ = (uint8_t)group;
    }
    *bytes = (size_t)(to - (uint8_t *)data);
    return true;
}
