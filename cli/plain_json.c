/* cli/plain_json.c - plain JSON as DynamoDB JSON.
 *
 * Job      A text goes in and a text comes out, token by token: "x" becomes {"S":"x"}, 1 {"N":"1"},
 *          an object inside of an item {"M":{...}}, a list {"L":[...]}. jansson then judges the
 *          result.
 * Why      Not on jansson's values: it makes doubles of numbers, and digits would be lost.
 * Tests    tests/unit/cli/plain_json_test.c, tests/fuzz/import_fuzz.c
 */
#include "cli/plain_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/index_keys.h"

struct plain {
    const char *at, *end;
    char *out;
    size_t bytes, capacity;
    bool is_object[PLAIN_JSON_DEPTH_MAX]; /* of the lists and objects around */
    size_t depth;
    bool is_name;        /* the next string is a member's name */
    const char *problem; /* NULL: none yet */
};

static void plain_put(struct plain *plain, const char *text, size_t bytes) {
    if (plain->capacity - plain->bytes < bytes) {
        size_t capacity = 2 * (plain->bytes + bytes) + 256;
        char *grown = realloc(plain->out, capacity);
        if (grown == NULL) {
            plain->problem = "out of memory";
            return;
        }
        plain->out = grown;
        plain->capacity = capacity;
    }
    memcpy(plain->out + plain->bytes, text, bytes);
    plain->bytes += bytes;
}

static void plain_put_text(struct plain *plain, const char *text) {
    plain_put(plain, text, strlen(text));
}

/* Takes what is between two bytes of the text, in a wrapper of its type. */
static void plain_wrap(struct plain *plain, const char *before, const char *end, const char *behind) {
    plain_put_text(plain, before);
    plain_put(plain, plain->at, (size_t)(end - plain->at));
    plain_put_text(plain, behind);
    plain->at = end;
}

static void plain_string(struct plain *plain) {
    const char *end = plain->at + 1;
    while (end < plain->end && *end != '"')
        end += *end == '\\' && end + 1 < plain->end ? 2 : 1;
    end += end < plain->end;
    if (plain->is_name)
        plain_wrap(plain, "", end, "");
    else
        plain_wrap(plain, "{\"S\":", end, "}");
}

static const char *plain_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* A number, by JSON's grammar. */
static void plain_number(struct plain *plain) {
    const char *at = plain->at + (*plain->at == '-'), *digits = at;
    at = plain_digits(at, plain->end);
    bool is_good = at > digits && (*digits != '0' || at == digits + 1);
    if (at < plain->end && *at == '.') {
        digits = at + 1;
        at = plain_digits(digits, plain->end);
        is_good = is_good && at > digits;
    }
    if (at < plain->end && (*at == 'e' || *at == 'E')) {
        digits = at + 1;
        digits += digits < plain->end && (*digits == '+' || *digits == '-');
        at = plain_digits(digits, plain->end);
        is_good = is_good && at > digits;
    }
    if (is_good)
        plain_wrap(plain, "{\"N\":\"", at, "\"}");
    else
        plain->problem = "a number that is none of JSON's";
}

static void plain_word(struct plain *plain) {
    static const struct {
        const char *word, *before;
    } words[] = {{"true", "{\"BOOL\":"}, {"false", "{\"BOOL\":"}, {"null", "{\"NULL\":"}};
    for (size_t i = 0; i < 3; i++) {
        size_t bytes = strlen(words[i].word);
        if ((size_t)(plain->end - plain->at) >= bytes && memcmp(plain->at, words[i].word, bytes) == 0) {
            plain_put_text(plain, words[i].before);
            plain_put_text(plain, i == 2 ? "true}" : i == 1 ? "false}" : "true}");
            plain->at += bytes;
            return;
        }
    }
    plain->problem = "a word that is neither true, false nor null";
}

static void plain_open(struct plain *plain, bool is_object) {
    if (plain->depth == PLAIN_JSON_DEPTH_MAX) {
        plain->problem = "too many lists and objects in each other";
        return;
    }
    if (plain->depth > 0)
        plain_put_text(plain, is_object ? "{\"M\":" : "{\"L\":");
    plain->is_object[plain->depth++] = is_object;
    plain->is_name = is_object;
    plain_put(plain, plain->at++, 1);
}

static void plain_close(struct plain *plain) {
    plain_put(plain, plain->at++, 1);
    if (plain->depth == 0)
        return; /* no JSON; jansson says so */
    if (--plain->depth > 0)
        plain_put_text(plain, "}");
    plain->is_name = false;
}

static void plain_token(struct plain *plain) {
    char c = *plain->at;
    switch (c) {
    case '"':
        plain_string(plain);
        break;
    case '{':
    case '[':
        plain_open(plain, c == '{');
        break;
    case '}':
    case ']':
        plain_close(plain);
        break;
    case ',':
    case ':':
        plain->is_name = c == ',' && plain->depth > 0 && plain->is_object[plain->depth - 1];
        plain_put(plain, plain->at++, 1);
        break;
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        plain_put(plain, plain->at++, 1);
        break;
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            plain_number(plain);
        else
            plain_word(plain);
    }
}

const char *plain_json_typed(const char *text, size_t bytes, char **out, size_t *out_bytes) {
    struct plain plain = {.at = text, .end = text + bytes};
    plain_put_text(&plain, " "); /* so that there is a text, whatever comes */
    while (plain.at < plain.end && plain.problem == NULL)
        plain_token(&plain);
    if (plain.problem != NULL) {
        free(plain.out);
        return plain.problem;
    }
    *out = plain.out;
    *out_bytes = plain.bytes;
    return NULL;
}

/* ---- Types of keys --------------------------------------------------------------------------- */

static int plain_key(json_t *item, const struct larder_key_def *key) {
    static const char *const types[] = {[LARDER_S] = "S", [LARDER_N] = "N", [LARDER_B] = "B"};
    json_t *value = key->name != NULL ? json_object_get(item, key->name) : NULL;
    if (!json_is_object(value) || json_object_size(value) != 1)
        return 0;
    void *member = json_object_iter(value);
    const char *type = json_object_iter_key(member), *wanted = types[key->type];
    if (strcmp(type, wanted) == 0 || (strcmp(type, "S") != 0 && strcmp(type, "N") != 0))
        return 0;
    json_t *text = json_incref(json_object_iter_value(member));
    if (json_object_clear(value) != 0 || json_object_set_new(value, wanted, text) != 0)
        return -1;
    return 0;
}

int plain_json_keys(json_t *item, const struct larder_table_def *def) {
    int failed = plain_key(item, &def->partition) | plain_key(item, &def->sort);
    for (uint32_t i = 0; i < def->index_count; i++)
        for (uint32_t k = 0; k < index_keys_count(&def->indexes[i]); k++)
            failed |= plain_key(item, index_keys_at(&def->indexes[i], k));
    return failed;
}

int plain_json_is_likely(const json_t *object) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) {
        if (!json_is_object(value))
            return 1;
    }
    return 0;
}
