/* dynamodb/wire.c - values of a document as the types of the API's model. See wire.h.
 *
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#include "dynamodb/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "com.amazonaws.dynamodb.v20120810."

int wire_result(struct wire *w, int result) {
    if (result == LARDER_E_NO_MEMORY)
        failure_set(w->failure, FAILURE_INTERNAL, "out of memory");
    else if (result < 0)
        failure_set(w->failure, FAILURE_SERIALIZATION, "%s", "");
    return result;
}

int wire_skip(struct wire *w) {
    return wire_result(w, document_skip(w->reader));
}

int array_grow(void *array, uint32_t count, uint32_t *capacity, size_t bytes) {
    void *old, *new;
    if (count < *capacity)
        return LARDER_OK;
    uint32_t wanted = *capacity ? 2 * *capacity : 16;
    memcpy(&old, array, sizeof old);
    if (!(new = realloc(old, wanted * bytes)))
        return LARDER_E_NO_MEMORY;
    memcpy(array, &new, sizeof new);
    *capacity = wanted;
    return LARDER_OK;
}

int wire_grow(struct wire *w, void *array, uint32_t count, uint32_t *capacity, size_t bytes) {
    return wire_result(w, array_grow(array, count, capacity, bytes));
}

static int refuse(struct wire *w, const char *message) {
    return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", message);
}

static int take_null(struct wire *w) {
    int r = wire_skip(w);
    return r ? r : LARDER_NOT_FOUND;
}

/* A value of none of the wanted kinds. `list`: the type that a list is told; `scalar`: what a
 * scalar is told. */
static int take_other(struct wire *w, enum document_kind kind, const char *list, const char *scalar) {
    switch (kind) {
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return failure_set(w->failure, FAILURE_SERIALIZATION, "Unrecognized collection type %s", list);
    case DOCUMENT_OBJECT:
        return refuse(w, "Start of structure or map found where not expected");
    default:
        return refuse(w, scalar);
    }
}

/* The same where a scalar of a `type` is wanted. */
static int take_other_scalar(struct wire *w, enum document_kind kind, const char *type) {
    static const char *const names[DOCUMENT_OBJECT + 1] = {[DOCUMENT_FALSE] = "FALSE_VALUE",
                                                           [DOCUMENT_TRUE] = "TRUE_VALUE",
                                                           [DOCUMENT_INTEGER] = "NUMBER_VALUE",
                                                           [DOCUMENT_DECIMAL] = "DECIMAL_VALUE",
                                                           [DOCUMENT_STRING] = "STRING_VALUE"};
    char list[32], scalar[64];
    snprintf(list, sizeof list, "class java.lang.%s", type);
    snprintf(scalar, sizeof scalar, "%s cannot be converted to %s", names[kind] ? names[kind] : "", type);
    return take_other(w, kind, list, scalar);
}

int wire_string(struct wire *w, struct text *out) {
    enum document_kind kind = document_kind(w->reader);
    return kind == DOCUMENT_STRING ? wire_result(w, document_text(w->reader, out))
                                   : take_other_scalar(w, kind, "String");
}

static int is_word(struct text text, const char *word) {
    size_t i = 0;
    for (; i < text.bytes && word[i]; i++)
        if ((text.at[i] | 0x20) != (word[i] | 0x20))
            return 0;
    return i == text.bytes && !word[i];
}

/* A string is a Boolean if it is one of these words, in any case. */
static int take_boolean_text(struct wire *w, int *out) {
    struct text text;
    int r = wire_result(w, document_text(w->reader, &text));
    if (r)
        return r;
    *out = is_word(text, "true") || is_word(text, "1") || is_word(text, "yes");
    if (!*out && !is_word(text, "false") && !is_word(text, "0") && !is_word(text, "no"))
        return refuse(w, "Unexpected token received from parser");
    return LARDER_OK;
}

int wire_boolean(struct wire *w, int *out) {
    enum document_kind kind = document_kind(w->reader);
    switch (kind) {
    case DOCUMENT_FALSE:
    case DOCUMENT_TRUE:
        *out = kind == DOCUMENT_TRUE;
        return wire_skip(w);
    case DOCUMENT_STRING:
        return take_boolean_text(w, out);
    default:
        return take_other_scalar(w, kind, "Boolean");
    }
}

static int take_integer(struct wire *w, int64_t *out, const char *type) {
    enum document_kind kind = document_kind(w->reader);
    return kind == DOCUMENT_INTEGER || kind == DOCUMENT_DECIMAL ? wire_result(w, document_integer(w->reader, out))
                                                                : take_other_scalar(w, kind, type);
}

int wire_integer(struct wire *w, int64_t *out) {
    return take_integer(w, out, "Integer");
}

int wire_long(struct wire *w, int64_t *out) {
    return take_integer(w, out, "Long");
}

static int take_blob(struct wire *w, struct text *out) {
    struct text problem;
    int r = wire_result(w, document_binary(w->reader, out, &problem));
    if (r || !problem.at)
        return r;
    if (problem.at[problem.bytes - 1] != ' ')
        return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", problem.at);
    if (out->bytes % 4)
        return failure_set(w->failure, FAILURE_SERIALIZATION, "%s%zu", problem.at, out->bytes);
    return failure_set(w->failure, FAILURE_SERIALIZATION, "%s'='", problem.at);
}

int wire_blob(struct wire *w, struct text *out) {
    enum document_kind kind = document_kind(w->reader);
    return kind == DOCUMENT_STRING ? take_blob(w, out)
                                   : take_other(w, kind, "class java.nio.ByteBuffer",
                                                "only base-64-encoded strings are convertible to bytes");
}

int wire_list(struct wire *w) {
    enum document_kind kind = document_kind(w->reader);
    return kind == DOCUMENT_ARRAY ? wire_result(w, document_begin(w->reader))
                                  : take_other(w, kind, NULL, "Unexpected field type");
}

int wire_map(struct wire *w, const char *of) {
    enum document_kind kind = document_kind(w->reader);
    char list[160];
    if (kind == DOCUMENT_OBJECT)
        return wire_result(w, document_begin(w->reader));
    snprintf(list, sizeof list, "java.util.Map<java.lang.String, %s%s>", strchr(of, '.') ? "" : MODEL, of);
    return take_other(w, kind, list, "Unexpected field type");
}

static int take_structure(struct wire *w, const char *of, const char *scalar) {
    enum document_kind kind = document_kind(w->reader);
    char list[160];
    if (kind == DOCUMENT_OBJECT)
        return wire_result(w, document_begin(w->reader));
    snprintf(list, sizeof list, "class " MODEL "%s", of);
    return take_other(w, kind, list, scalar);
}

int wire_structure(struct wire *w, const char *of) {
    return take_structure(w, of, "Unexpected value type in payload");
}

int wire_field(struct wire *w, const char *of) {
    return take_structure(w, of, "Unexpected field type");
}
