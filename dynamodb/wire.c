/* dynamodb/wire.c - values of a document as the types of the API's model. See wire.h.
 *
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#include "dynamodb/wire.h"

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

int wire_grow(struct wire *w, void *array, uint32_t count, uint32_t *capacity, size_t bytes) {
    void *old, *new;
    if (count < *capacity)
        return LARDER_OK;
    uint32_t wanted = *capacity ? 2 * *capacity : 16;
    memcpy(&old, array, sizeof old);
    if (!(new = realloc(old, wanted * bytes)))
        return wire_result(w, LARDER_E_NO_MEMORY);
    memcpy(array, &new, sizeof new);
    *capacity = wanted;
    return LARDER_OK;
}

static int refuse(struct wire *w, const char *message) {
    return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", message);
}

static int refuse_map(struct wire *w) {
    return refuse(w, "Start of structure or map found where not expected");
}

/* A list where a `class` is needed. */
static int refuse_list(struct wire *w, const char *class) {
    return failure_set(w->failure, FAILURE_SERIALIZATION, "Unrecognized collection type %s", class);
}

static int take_null(struct wire *w) {
    int r = wire_skip(w);
    return r ? r : LARDER_NOT_FOUND;
}

/* Of a scalar that was found where a `type` is needed. */
static int refuse_scalar(struct wire *w, enum document_kind kind, const char *type) {
    static const char *const names[] = {[DOCUMENT_FALSE] = "FALSE_VALUE",
                                        [DOCUMENT_TRUE] = "TRUE_VALUE",
                                        [DOCUMENT_INTEGER] = "NUMBER_VALUE",
                                        [DOCUMENT_DECIMAL] = "DECIMAL_VALUE",
                                        [DOCUMENT_STRING] = "STRING_VALUE"};
    return failure_set(w->failure, FAILURE_SERIALIZATION, "%s cannot be converted to %s", names[kind], type);
}

int wire_string(struct wire *w, struct text *out) {
    enum document_kind kind = document_kind(w->reader);
    switch (kind) {
    case DOCUMENT_STRING:
        return wire_result(w, document_text(w->reader, out));
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return refuse_list(w, "class java.lang.String");
    case DOCUMENT_OBJECT:
        return refuse_map(w);
    default:
        return refuse_scalar(w, kind, "String");
    }
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
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return refuse_list(w, "class java.lang.Boolean");
    case DOCUMENT_OBJECT:
        return refuse_map(w);
    default:
        return refuse_scalar(w, kind, "Boolean");
    }
}

/* `type`: Integer or Long; `class`: what a list is told. */
static int take_integer(struct wire *w, int64_t *out, const char *type, const char *class) {
    enum document_kind kind = document_kind(w->reader);
    switch (kind) {
    case DOCUMENT_INTEGER:
    case DOCUMENT_DECIMAL:
        return wire_result(w, document_integer(w->reader, out));
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return refuse_list(w, class);
    case DOCUMENT_OBJECT:
        return refuse_map(w);
    default:
        return refuse_scalar(w, kind, type);
    }
}

int wire_integer(struct wire *w, int64_t *out) {
    return take_integer(w, out, "Integer", "class java.lang.Integer");
}

int wire_long(struct wire *w, int64_t *out) {
    return take_integer(w, out, "Long", "class java.lang.Long");
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
    switch (document_kind(w->reader)) {
    case DOCUMENT_STRING:
        return take_blob(w, out);
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return refuse_list(w, "class java.nio.ByteBuffer");
    case DOCUMENT_OBJECT:
        return refuse_map(w);
    default:
        return refuse(w, "only base-64-encoded strings are convertible to bytes");
    }
}

int wire_list(struct wire *w) {
    switch (document_kind(w->reader)) {
    case DOCUMENT_ARRAY:
        return wire_result(w, document_begin(w->reader));
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_OBJECT:
        return refuse_map(w);
    default:
        return refuse(w, "Unexpected field type");
    }
}

int wire_map(struct wire *w, const char *of) {
    switch (document_kind(w->reader)) {
    case DOCUMENT_OBJECT:
        return wire_result(w, document_begin(w->reader));
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return failure_set(w->failure, FAILURE_SERIALIZATION,
                           "Unrecognized collection type java.util.Map<java.lang.String, %s%s>",
                           strchr(of, '.') ? "" : MODEL, of);
    default:
        return refuse(w, "Unexpected field type");
    }
}

static int take_structure(struct wire *w, const char *of, const char *refusal) {
    switch (document_kind(w->reader)) {
    case DOCUMENT_OBJECT:
        return wire_result(w, document_begin(w->reader));
    case DOCUMENT_NULL:
        return take_null(w);
    case DOCUMENT_BAD:
        return wire_result(w, w->reader->error);
    case DOCUMENT_ARRAY:
        return failure_set(w->failure, FAILURE_SERIALIZATION, "Unrecognized collection type class " MODEL "%s", of);
    default:
        return refuse(w, refusal);
    }
}

int wire_structure(struct wire *w, const char *of) {
    return take_structure(w, of, "Unexpected value type in payload");
}

int wire_field(struct wire *w, const char *of) {
    return take_structure(w, of, "Unexpected field type");
}
