/* cli/json_nul.c - attribute names with zero bytes. See json_nul.h.
 *
 * Idea     Before the text is parsed, each \u0000 in a member's name becomes \uXXXX: a character of
 *          the private area (U+E000 to U+E0FF) that occurs nowhere in the text, plain or escaped.
 *          After parsing, that character in a name is a zero byte. Values stay as they are: jansson
 *          accepts zero bytes there. The text keeps its length, so lines and columns in messages
 *          are right.
 * Tests    tests/cli/cli_test.sh, tests/unit/cli/json_item_test.c
 */
#include "cli/json_nul.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json_text.h"

#define NUL_ESCAPE "\\u0000"
#define NUL_ESCAPE_BYTES (sizeof NUL_ESCAPE - 1)
#define STAND_IN_FIRST 0xe000u
#define STAND_INS 256u

static int json_nul_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character of a \uXXXX at `at`, or -1. */
static long json_nul_escaped(const char *at, const char *end) {
    long code = 0;
    if (end - at < (ptrdiff_t)NUL_ESCAPE_BYTES || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = json_nul_digit(at[i]);
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* A character of the area that the text does not contain. 0: it contains them all. */
static unsigned json_nul_choose(const char *text, size_t bytes) {
    bool is_used[STAND_INS] = {false};
    const char *end = text + bytes;
    for (const char *at = text; at < end; at++) {
        long code = json_nul_escaped(at, end);
        if ((unsigned char)*at == 0xee && end - at >= 3) /* three bytes of UTF-8 */
            code = 0xe000 | ((unsigned char)at[1] & 0x3f) << 6 | ((unsigned char)at[2] & 0x3f);
        if (code >= (long)STAND_IN_FIRST && code < (long)(STAND_IN_FIRST + STAND_INS))
            is_used[code - (long)STAND_IN_FIRST] = true;
    }
    for (unsigned i = 0; i < STAND_INS; i++)
        if (!is_used[i])
            return STAND_IN_FIRST + i;
    return 0;
}

/* The end of the string that begins at `at`, after its closing quote; `end` if it has none. */
static char *json_nul_string_end(char *at, char *end) {
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

static bool json_nul_is_name(const char *behind, const char *end) {
    while (behind < end && (*behind == ' ' || *behind == '\t' || *behind == '\r' || *behind == '\n'))
        behind++;
    return behind < end && *behind == ':';
}

/* Replaces the escapes of zero bytes in one string. */
static void json_nul_replace(char *at, const char *end, unsigned code) {
    static const char digits[] = "0123456789abcdef";
    for (; at < end; at++) {
        if (json_nul_escaped(at, end) == 0)
            for (int i = 0; i < 4; i++)
                at[2 + i] = digits[code >> (12 - 4 * i) & 15];
        at += *at == '\\'; /* an escaped character begins no escape */
    }
}

static void json_nul_hide(char *text, size_t bytes, unsigned code) {
    char *end = text + bytes;
    for (char *at = text; at < end;) {
        if (*at != '"') {
            at++;
            continue;
        }
        char *behind = json_nul_string_end(at, end);
        if (json_nul_is_name(behind, end))
            json_nul_replace(at, behind, code);
        at = behind;
    }
}

json_t *json_nul_load(const char *text, size_t bytes, struct place *place, json_error_t *error) {
    place->stand_in[0] = 0;
    json_t *json = json_loadb(text, bytes, JSON_TEXT_ITEM, error);
    if (json != NULL || json_error_code(error) != json_error_null_byte_in_key)
        return json;
    unsigned code = json_nul_choose(text, bytes);
    char *copy = code != 0 ? malloc(bytes) : NULL;
    if (copy == NULL)
        return NULL; /* *error is still jansson's */
    memcpy(copy, text, bytes);
    json_nul_hide(copy, bytes, code);
    json = json_loadb(copy, bytes, JSON_TEXT_ITEM, error);
    free(copy);
    place->stand_in[0] = (char)(0xe0 | code >> 12);
    place->stand_in[1] = (char)(0x80 | (code >> 6 & 0x3f));
    place->stand_in[2] = (char)(0x80 | (code & 0x3f));
    return json;
}

int json_nul_is_in(const char *name, size_t bytes, const struct place *place, char **shown, size_t *shown_bytes) {
    const char *next = place->stand_in[0] ? strstr(name, place->stand_in) : NULL;
    if (next == NULL)
        return 0;
    char *to = *shown = malloc(bytes);
    *shown_bytes = 0;
    if (to == NULL)
        return 1;
    for (const char *at = name; at < name + bytes;) {
        bool is_nul = strncmp(at, place->stand_in, 3) == 0;
        *to++ = (char)(is_nul ? 0 : *at);
        at += is_nul ? 3 : 1;
    }
    *shown_bytes = (size_t)(to - *shown);
    return 1;
}
