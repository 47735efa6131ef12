/* dynamodb/base64.c - base64 as the service reads and writes it. See base64.h.
 *
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#include "dynamodb/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(const void *data, size_t bytes, char *text) {
    const uint8_t *from = data;
    for (; bytes >= 3; bytes -= 3, from += 3, text += 4) {
        uint32_t group = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        text[0] = alphabet[group >> 18];
        text[1] = alphabet[group >> 12 & 63];
        text[2] = alphabet[group >> 6 & 63];
        text[3] = alphabet[group & 63];
    }
    if (!bytes)
        return;
    uint32_t group = (uint32_t)from[0] << 16 | (bytes == 2 ? (uint32_t)from[1] << 8 : 0);
    text[0] = alphabet[group >> 18];
    text[1] = alphabet[group >> 12 & 63];
    text[2] = bytes == 2 ? alphabet[group >> 6 & 63] : '=';
    text[3] = '=';
}

/* The six bits of a character; 64: not of the alphabet. */
static uint32_t bits_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

enum base64_fault base64_read(const char *text, size_t text_bytes, void *data, size_t *bytes, char *bad) {
    uint8_t *to = data;
    uint32_t group = 0;
    size_t padding = 0;
    if (text_bytes % 4)
        return BASE64_LENGTH;
    while (padding < 2 && padding < text_bytes && text[text_bytes - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text_bytes; i++) {
        uint32_t bits = i < text_bytes - padding ? bits_of(text[i]) : 0;
        if (bits > 63) {
            *bad = text[i];
            return BASE64_CHARACTER;
        }
        group = group << 6 | bits;
        if (i % 4 == 3 && (i + 1 < text_bytes || !padding)) {
            *to++ = (uint8_t)(group >> 16);
            *to++ = (uint8_t)(group >> 8);
            *to++ = (uint8_t)group;
        }
    }
    if (group & (padding == 2 ? 0xffffu : padding == 1 ? 0xffu : 0u))
        return BASE64_STRAY_BITS;
    if (padding)
        *to++ = (uint8_t)(group >> 16);
    if (padding == 1)
        *to++ = (uint8_t)(group >> 8);
    *bytes = (size_t)(to - (uint8_t *)data);
    return BASE64_OK;
}
