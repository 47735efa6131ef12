/* expr/lex.c - see lex.h. */
#include "expr/lex.h"

#include <string.h>
#include <strings.h>

#include "core/base/utf8.h"

static int is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int is_word(char c) {
    return is_letter(c) || is_digit(c) || c == '_';
}

static int is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static unsigned keyword(const char *word, size_t bytes) {
    static const struct {
        const char *text;
        uint8_t type;
    } keywords[] = {{"AND", LEX_AND},         {"OR", LEX_OR},   {"NOT", LEX_NOT},
                    {"BETWEEN", LEX_BETWEEN}, {"IN", LEX_IN},   {"SET", LEX_SET},
                    {"REMOVE", LEX_REMOVE},   {"ADD", LEX_ADD}, {"DELETE", LEX_DELETE}};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strlen(keywords[i].text) == bytes && strncasecmp(keywords[i].text, word, bytes) == 0)
            return keywords[i].type;
    return LEX_NAME;
}

/* The token of one or two characters at `at`, or LEX_BAD with the whole character. */
static unsigned symbol(const char *at, size_t left, size_t *bytes) {
    static const char symbols[] = "()[],.+-";
    char next = left > 1 ? at[1] : 0;
    const char *found = *at ? strchr(symbols, *at) : NULL;
    *bytes = 1;
    if (found)
        return LEX_OPEN + (unsigned)(found - symbols);
    if (*at == '=')
        return LEX_EQ;
    if ((*at == '<' && (next == '>' || next == '=')) || (*at == '>' && next == '=')) {
        *bytes = 2;
        return next == '>' ? LEX_NE : *at == '<' ? LEX_LE : LEX_GE;
    }
    if (*at == '<' || *at == '>')
        return *at == '<' ? LEX_LT : LEX_GT;
    while (*bytes < left && utf8_is_inner_byte((uint8_t)at[*bytes]))
        ++*bytes;
    return LEX_BAD;
}

static size_t word_bytes(const char *at, size_t left) {
    size_t bytes = 1;
    while (bytes < left && is_word(at[bytes]))
        bytes++;
    return bytes;
}

static unsigned scan(const char *at, size_t left, size_t *bytes) {
    if (is_letter(*at)) {
        *bytes = word_bytes(at, left);
        return keyword(at, *bytes);
    }
    if (*at == '#' || *at == ':') {
        *bytes = word_bytes(at, left);
        return *bytes == 1 ? LEX_BAD : *at == '#' ? LEX_PLACEHOLDER : LEX_VALUE;
    }
    if (!is_digit(*at))
        return symbol(at, left, bytes);
    *bytes = 1;
    while (*at != '0' && *bytes < left && is_digit(at[*bytes]))
        ++*bytes;
    return LEX_NUMBER;
}

uint32_t lex(const char *text, size_t bytes, struct lex_token *tokens) {
    uint32_t count = 0;
    size_t at = 0, length;
    while (at < bytes) {
        if (is_space(text[at])) {
            at++;
            continue;
        }
        unsigned type = scan(text + at, bytes - at, &length);
        tokens[count++] = (struct lex_token){.at = (uint16_t)at, .bytes = (uint16_t)length, .type = (uint8_t)type};
        at += length;
    }
    tokens[count++] = (struct lex_token){.at = (uint16_t)bytes, .type = LEX_END};
    return count;
}
