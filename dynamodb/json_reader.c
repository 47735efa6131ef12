/* dynamodb/json_reader.c - JSON text as a document. See json_reader.h.
 *
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#include "dynamodb/json_reader.h"

#include <stdlib.h>

#include "core/base/utf8.h"
#include "dynamodb/base64.h"
#include "dynamodb/json_string.h"

static struct json_reader *json(struct document_reader *r) {
    return (struct json_reader *)r;
}

static int fail(struct json_reader *r, int error) {
    if (!r->reader.error)
        r->reader.error = error;
    r->at = r->end; /* nothing more is read */
    return r->reader.error;
}

static int bad(struct json_reader *r) {
    return fail(r, LARDER_E_INVAL);
}

static void skip_space(struct json_reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

/* ---- Strings --------------------------------------------------------------------------------- */

#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Nonzero if one of eight bytes is a quote, a backslash, a control character or not ASCII. May be
 * so for one that stands behind such a byte, never before it. */
static uint64_t special(uint64_t eight) {
    uint64_t quote = eight ^ EIGHT('"'), backslash = eight ^ EIGHT('\\');
    return ((eight - EIGHT(0x20)) | (quote - EIGHT(1)) | (backslash - EIGHT(1)) | eight) & EIGHT(0x80);
}

/* The first byte that is not plain. */
static const char *skip_plain(const char *at, const char *end) {
    uint64_t eight;
    while (end - at >= 8) {
        memcpy(&eight, at, 8);
        uint64_t found = special(eight);
        if (found)
            return at + __builtin_ctzll(found) / 8;
        at += 8;
    }
    while (at < end && (uint8_t)*at >= 0x20 && (uint8_t)*at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Finds the end of a string that begins at r->at, behind its quote. NULL: it has none, or a byte
 * that no string has. */
static const char *string_end(const struct json_reader *r, int *has_escapes, int *is_ascii) {
    const char *at = r->at;
    *has_escapes = 0;
    *is_ascii = 1;
    while ((at = skip_plain(at, r->end)) < r->end && *at != '"') {
        if (*at == '\\') {
            *has_escapes = 1;
            if (++at == r->end)
                return NULL;
        } else if ((uint8_t)*at < 0x20)
            return NULL;
        else
            *is_ascii = 0;
        at++;
    }
    return at < r->end ? at : NULL;
}

/* Four hexadecimal digits; -1: others. */
static int32_t read_hex(const char *at, const char *end) {
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *put_utf8(char *to, uint32_t c) {
    if (c < 0x80)
        *to++ = (char)c;
    else if (c < 0x800)
        *to++ = (char)(0xc0 | c >> 6);
    else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
    }
    if (c >= 0x80)
        *to++ = (char)(0x80 | (c & 63));
    return to;
}

/* \uXXXX, or two of them for one character; *at stands behind the 'u'. NULL: no character. */
static char *put_unicode(char *to, const char **at, const char *end) {
    int32_t first = read_hex(*at, end), second;
    if (first < 0 || (first >= 0xdc00 && first < 0xe000))
        return NULL;
    *at += 4;
    if (first < 0xd800 || first >= 0xe000)
        return put_utf8(to, (uint32_t)first);
    if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return NULL;
    second = read_hex(*at + 2, end);
    if (second < 0xdc00 || second >= 0xe000)
        return NULL;
    *at += 6;
    return put_utf8(to, 0x10000u + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00));
}

/* The string from `at` to `end` without its escapes. NULL: an escape that is none. */
static char *unescape(char *to, const char *at, const char *end) {
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    while (at < end && to) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        const char *letter = at[1] ? strchr(letters, at[1]) : NULL;
        char escape = at[1];
        at += 2;
        if (escape == 'u')
            to = put_unicode(to, &at, end);
        else if (letter)
            *to++ = meant[letter - letters];
        else
            to = NULL;
    }
    return to;
}

static char *take_room(struct json_reader *r) {
    if (r->room_bytes < r->text_bytes) {
        char *room = malloc(r->text_bytes);
        if (!room) {
            fail(r, LARDER_E_NO_MEMORY);
            return NULL;
        }
        /* the first use in this document: nothing refers to the old room */
        free(r->room);
        r->room = room;
        r->room_bytes = r->text_bytes;
    }
    return r->room + r->room_used;
}

/* The length of a string that begins at `at`, is short and plain; -1: it is not, or there are too
 * few bytes to look. */
static int short_bytes(const char *at, const char *end) {
#ifdef __SSE2__
    if (end - at >= JSON_LOOK_BYTES) {
        unsigned special = json_look(at);
        int bytes = special ? __builtin_ctz(special) : -1;
        return bytes >= 0 && at[bytes] == '"' ? bytes : -1;
    }
#endif
    (void)at, (void)end;
    return -1;
}

/* Takes the string whose quote stands at r->at. */
static int take_string(struct json_reader *r, struct text *out) {
    int has_escapes, is_ascii, bytes = short_bytes(r->at + 1, r->end);
    if (__builtin_expect(bytes >= 0, 1)) {
        *out = (struct text){r->at + 1, (size_t)bytes};
        r->at += 1 + bytes + 1;
        return LARDER_OK;
    }
    const char *from = ++r->at, *end = string_end(r, &has_escapes, &is_ascii);
    if (!end)
        return bad(r);
    *out = (struct text){from, (size_t)(end - from)};
    if (has_escapes) {
        char *to = take_room(r);
        if (!to)
            return r->reader.error;
        char *stop = unescape(to, from, end);
        if (!stop)
            return bad(r);
        *out = (struct text){to, (size_t)(stop - to)};
        r->room_used += out->bytes;
    }
    if (!is_ascii && utf8_valid_bytes(out->at, out->bytes) != out->bytes)
        return bad(r);
    r->at = end + 1;
    return LARDER_OK;
}

/* ---- Numbers and words ----------------------------------------------------------------------- */

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The end of the number at `at`; NULL: it is none. */
static const char *number_end(const char *at, const char *end, int *is_integer) {
    const char *digits = at + (at < end && *at == '-');
    at = skip_digits(digits, end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return NULL;
    *is_integer = 1;
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        *is_integer = 0;
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        digits = at;
        at = skip_digits(digits, end);
        *is_integer = 0;
        if (at == digits)
            return NULL;
    }
    return at;
}

static int64_t clamp(const char *at, const char *end) {
    int is_negative = *at == '-';
    uint64_t value = 0, most = (uint64_t)INT64_MAX + (uint64_t)is_negative;
    for (at += is_negative; at < end && *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        value = value > (most - digit) / 10 ? most : value * 10 + digit;
    }
    return is_negative ? (int64_t)(0 - value) : (int64_t)value;
}

/* The exponent of a number, clamped, and where its digits end. */
static int64_t exponent_of(const char *at, const char *end, const char **digits_end) {
    while (at < end && *at != 'e' && *at != 'E')
        at++;
    *digits_end = at;
    if (at == end)
        return 0;
    int is_negative = at[1] == '-';
    int64_t value = 0;
    for (at += 1 + (at[1] == '-' || at[1] == '+'); at < end; at++)
        value = value > INT32_MAX ? value : value * 10 + (*at - '0');
    return is_negative ? -value : value;
}

/* A number with an exponent or a fraction. */
static int64_t round_down(const char *at, const char *end) {
    const char *digits_end, *point;
    int is_negative = *at == '-', has_rest = 0;
    uint64_t value = 0, most = (uint64_t)INT64_MAX + (uint64_t)is_negative;
    at += is_negative;
    int64_t whole = exponent_of(at, end, &digits_end);
    for (point = at; point < digits_end && *point != '.'; point++)
        ;
    whole += point - at; /* digits before the point, the exponent applied */
    for (int64_t i = 0, zeros = 0; zeros < 20 && (i < whole || at < digits_end); i++) {
        at += at == point && at < digits_end;
        uint64_t digit = at < digits_end ? (uint64_t)(*at++ - '0') : 0 * (uint64_t)zeros++;
        if (i >= whole)
            has_rest |= digit != 0;
        else
            value = value > (most - digit) / 10 ? most : value * 10 + digit;
    }
    if (is_negative && has_rest && value < most)
        value++;
    return is_negative ? (int64_t)(0 - value) : (int64_t)value;
}

static int take_integer(struct document_reader *reader, int64_t *out) {
    struct json_reader *r = json(reader);
    int is_integer;
    skip_space(r);
    const char *end = number_end(r->at, r->end, &is_integer);
    if (!end)
        return bad(r);
    *out = is_integer ? clamp(r->at, end) : round_down(r->at, end);
    r->at = end;
    return LARDER_OK;
}

static int take_word(struct json_reader *r) {
    static const struct text words[] = {{"null", 4}, {"true", 4}, {"false", 5}};
    for (size_t i = 0; i < 3; i++)
        if ((size_t)(r->end - r->at) >= words[i].bytes && memcmp(r->at, words[i].at, words[i].bytes) == 0) {
            r->at += words[i].bytes;
            return LARDER_OK;
        }
    return bad(r);
}

/* ---- The document ---------------------------------------------------------------------------- */

static enum document_kind look(struct document_reader *reader) {
    struct json_reader *r = json(reader);
    int is_integer;
    skip_space(r);
    switch (r->at < r->end ? *r->at : 0) {
    case '"':
        return DOCUMENT_STRING;
    case '{':
        return DOCUMENT_OBJECT;
    case '[':
        return DOCUMENT_ARRAY;
    case 'n':
        return DOCUMENT_NULL;
    case 't':
        return DOCUMENT_TRUE;
    case 'f':
        return DOCUMENT_FALSE;
    default:
        if (r->at < r->end && number_end(r->at, r->end, &is_integer))
            return is_integer ? DOCUMENT_INTEGER : DOCUMENT_DECIMAL;
        bad(r);
        return DOCUMENT_BAD;
    }
}

static int take_text(struct document_reader *reader, struct text *out) {
    struct json_reader *r = json(reader);
    skip_space(r);
    return r->at < r->end && *r->at == '"' ? take_string(r, out) : bad(r);
}

static int take_binary(struct document_reader *reader, struct text *out, struct text *problem) {
    static const struct text problems[] = {
        [BASE64_LENGTH] = {"Base64 encoded length is expected a multiple of 4 bytes but found: ", 67},
        [BASE64_CHARACTER] = {"Invalid Base64 character: ", 26},
        [BASE64_STRAY_BITS] = {"Invalid last non-pad Base64 character dectected", 47}};
    struct json_reader *r = json(reader);
    struct text text;
    char wrong;
    size_t used = r->room_used;
    int error = take_text(reader, &text);
    char *room = error ? NULL : take_room(r);
    if (!room)
        return r->reader.error;
    /* over the text itself, if that was unescaped: decoding reads ahead of what it writes */
    room = r->room + used;
    enum base64_fault fault = base64_read(text.at, text.bytes, room, &out->bytes, &wrong);
    *problem = fault == BASE64_OK ? (struct text){NULL, 0} : problems[fault];
    out->at = fault == BASE64_OK ? room : text.at;
    if (fault == BASE64_OK)
        r->room_used = used + out->bytes;
    else
        out->bytes = text.bytes;
    return LARDER_OK;
}

static int begin(struct document_reader *reader) {
    struct json_reader *r = json(reader);
    skip_space(r);
    if (r->at == r->end || (*r->at != '{' && *r->at != '[') || r->level == JSON_LEVELS_MAX)
        return bad(r);
    r->is_object[r->level++] = *r->at++ == '{';
    r->is_first = 1;
    return LARDER_OK;
}

/* Takes the comma before a member or element, or the end of what holds it. */
static int next(struct json_reader *r, char closing) {
    int is_first = r->is_first;
    skip_space(r);
    r->is_first = 0;
    if (r->at == r->end || !r->level)
        return bad(r);
    if (*r->at == closing) {
        r->at++;
        r->level--;
        return LARDER_NOT_FOUND;
    }
    if (is_first)
        return LARDER_OK;
    if (*r->at++ != ',')
        return bad(r);
    return LARDER_OK;
}

static int take_member(struct document_reader *reader, struct text *name) {
    struct json_reader *r = json(reader);
    int error = next(r, '}');
    if (error || (error = take_text(reader, name)))
        return error;
    skip_space(r);
    if (r->at == r->end || *r->at++ != ':')
        return bad(r);
    return LARDER_OK;
}

static int take_element(struct document_reader *reader) {
    return next(json(reader), ']');
}

/* Takes a string, a number or a word, and gives back the room that it took. */
static int skip_scalar(struct json_reader *r, enum document_kind kind) {
    struct text text;
    int64_t number;
    size_t used = r->room_used;
    int error = kind == DOCUMENT_STRING                                ? take_string(r, &text)
                : kind == DOCUMENT_INTEGER || kind == DOCUMENT_DECIMAL ? take_integer(&r->reader, &number)
                                                                       : take_word(r);
    r->room_used = used;
    return error;
}

/* Takes the next value, or the start of one. */
static int skip_start(struct json_reader *r) {
    enum document_kind kind = look(&r->reader);
    if (kind == DOCUMENT_ARRAY || kind == DOCUMENT_OBJECT)
        return begin(&r->reader);
    return kind == DOCUMENT_BAD ? r->reader.error : skip_scalar(r, kind);
}

static int skip(struct document_reader *reader) {
    struct json_reader *r = json(reader);
    struct text name;
    uint32_t level = r->level;
    int error = skip_start(r);
    while (error == LARDER_OK && r->level > level) {
        size_t used = r->room_used;
        error = r->is_object[r->level - 1] ? take_member(reader, &name) : take_element(reader);
        r->room_used = used;
        if (error == LARDER_OK)
            error = skip_start(r);
        else if (error == LARDER_NOT_FOUND)
            error = LARDER_OK;
    }
    return error;
}

static const struct document_reader_ops ops = {.kind = look,
                                               .text = take_text,
                                               .binary = take_binary,
                                               .integer = take_integer,
                                               .begin = begin,
                                               .member = take_member,
                                               .element = take_element,
                                               .skip = skip};

void json_reader_begin(struct json_reader *r, const char *text, size_t bytes) {
    r->reader = (struct document_reader){.ops = &ops};
    r->at = text;
    r->end = text + bytes;
    r->text_bytes = bytes;
    r->room_used = 0;
    r->level = 0;
    r->is_first = 0;
}

int json_reader_finish(struct json_reader *r) {
    skip_space(r);
    if (r->reader.error)
        return r->reader.error;
    return r->at == r->end && !r->level ? LARDER_OK : bad(r);
}

void json_reader_free(struct json_reader *r) {
    free(r->room);
    r->room = NULL;
    r->room_bytes = 0;
}
