/* tests/fuzz/document_fuzz.c - JSON as a document, its values as an item, and back.
 *
 * Goal     The pull reader takes what jansson takes, with the same values, and never looks beyond
 *          the text. json_once() leaves a text without names given twice, with the same meaning.
 *          An item that was read is written as JSON that jansson can read, and that gives the same
 *          image again. Between items of other shapes it is written as it is alone.
 * Not here Texts that jansson refuses for limits of its own: numbers beyond double, a zero byte in
 *          a name, more levels.
 */
#include <jansson.h>

#include "dynamodb/json_once.h"
#include "dynamodb/json_reader.h"
#include "dynamodb/json_writer.h"
#include "dynamodb/values.h"
#include "tests/fuzz/fuzz.h"

static struct json_reader reader;

/* ---- The reader beside jansson --------------------------------------------------------------- */

static int is_same_value(struct document_reader *r, const json_t *json);

static int is_same_text(struct document_reader *r, const json_t *json) {
    struct text text;
    FUZZ_CHECK(document_text(r, &text) == LARDER_OK, "a string is not read");
    return json_is_string(json) && json_string_length(json) == text.bytes &&
           !memcmp(json_string_value(json), text.at, text.bytes);
}

static int is_same_number(struct document_reader *r, const json_t *json) {
    int64_t value;
    FUZZ_CHECK(document_integer(r, &value) == LARDER_OK, "a number is not read");
    double there = json_number_value(json);
    if (!json_is_number(json))
        return 0;
    if (there >= 9e15 || there <= -9e15) /* doubles are no longer exact */
        return there > 0 ? value >= INT64_C(8999999999999000) : value <= -INT64_C(8999999999999000);
    int64_t whole = (int64_t)there;
    whole -= (double)whole > there;
    /* a double may have been rounded to the integer above */
    return value == whole || (value == whole - 1 && (double)whole == there);
}

static int are_same_members(struct document_reader *r, const json_t *json) {
    struct text name;
    size_t count = 0;
    int is_same = json_is_object(json), result;
    document_begin(r);
    for (; is_same && (result = document_member(r, &name)) == LARDER_OK; count++) {
        const json_t *there = json_object_getn(json, name.at, name.bytes);
        is_same = there && is_same_value(r, there);
    }
    return is_same && result == LARDER_NOT_FOUND && count == json_object_size(json);
}

static int are_same_elements(struct document_reader *r, const json_t *json) {
    size_t count = 0;
    int is_same = json_is_array(json), result;
    document_begin(r);
    for (; is_same && (result = document_element(r)) == LARDER_OK; count++)
        is_same = count < json_array_size(json) && is_same_value(r, json_array_get(json, count));
    return is_same && result == LARDER_NOT_FOUND && count == json_array_size(json);
}

static int is_same_value(struct document_reader *r, const json_t *json) {
    switch (document_kind(r)) {
    case DOCUMENT_OBJECT:
        return are_same_members(r, json);
    case DOCUMENT_ARRAY:
        return are_same_elements(r, json);
    case DOCUMENT_STRING:
        return is_same_text(r, json);
    case DOCUMENT_INTEGER:
    case DOCUMENT_DECIMAL:
        return is_same_number(r, json);
    case DOCUMENT_NULL:
        return json_is_null(json) && document_skip(r) == LARDER_OK;
    case DOCUMENT_TRUE:
        return json_is_true(json) && document_skip(r) == LARDER_OK;
    case DOCUMENT_FALSE:
        return json_is_false(json) && document_skip(r) == LARDER_OK;
    default:
        return 0;
    }
}

static int skips(const char *text, size_t bytes) {
    json_reader_begin(&reader, text, bytes);
    int r = document_skip(&reader.reader);
    return r == LARDER_OK && json_reader_finish(&reader) == LARDER_OK;
}

static void check_same(const char *text, size_t bytes, const json_t *json) {
    json_reader_begin(&reader, text, bytes);
    FUZZ_CHECK(is_same_value(&reader.reader, json), "other values: %.*s", (int)bytes, text);
    FUZZ_CHECK(json_reader_finish(&reader) == LARDER_OK, "not the end");
}

/* What jansson does not take although it is JSON. */
static int is_limit(const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_stack_overflow || code == json_error_null_character;
}

/* ---- Names given twice ----------------------------------------------------------------------- */

static void check_once(const char *text, size_t bytes, const json_t *json) {
    char *once = NULL, *again;
    size_t once_bytes, again_bytes;
    int r = json_once(text, bytes, &once, &once_bytes);
    FUZZ_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND, "%d", r);
    if (r == LARDER_NOT_FOUND) {
        check_same(text, bytes, json);
        return;
    }
    FUZZ_CHECK(json_once(once, once_bytes, &again, &again_bytes) == LARDER_NOT_FOUND, "still twice: %.*s",
               (int)once_bytes, once);
    check_same(once, once_bytes, json);
    free(once);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static const struct larder_item *item_of(struct values *v, struct larder_builder **kept, const char *text,
                                         size_t bytes) {
    struct failure failure = {.kind = FAILURE_NONE};
    struct wire wire = {.reader = &reader.reader, .failure = &failure};
    v->builder = fuzz_builder(kept);
    json_reader_begin(&reader, text, bytes);
    int r = values_read(v, &wire);
    FUZZ_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND || failure.kind == FAILURE_SERIALIZATION, "%d, %d", r,
               failure.kind);
    FUZZ_CHECK(!v->problem || v->message[0], "a problem without words");
    return r == LARDER_OK && !v->problem && !v->is_too_large && !v->has_duplicates ? v->item : NULL;
}

/* The item before, and its text. */
static struct {
    struct larder_item *item;
    char *text;
    size_t bytes;
} before;

static void remember(const struct larder_item *item, const struct json_writer *alone) {
    free(before.item);
    free(before.text);
    before.item = malloc(item_head(item)->bytes);
    before.text = malloc(alone->bytes);
    before.bytes = alone->bytes;
    memcpy(before.item, item, item_head(item)->bytes);
    memcpy(before.text, alone->text, alone->bytes);
}

/* The item, the one before, the item, in one call. */
static void check_items(const struct larder_item *item, const struct json_writer *alone) {
    static struct json_writer writer;
    const struct larder_item *items[] = {item, before.item ? before.item : item, item};
    const struct text texts[] = {{alone->text, alone->bytes},
                                 before.item ? (struct text){before.text, before.bytes}
                                             : (struct text){alone->text, alone->bytes},
                                 {alone->text, alone->bytes}};
    json_writer_begin(&writer);
    document_put_begin(&writer.writer, DOCUMENT_ARRAY);
    document_put_items(&writer.writer, items, 3);
    document_put_end(&writer.writer, DOCUMENT_ARRAY);
    FUZZ_CHECK(json_writer_finish(&writer) == LARDER_OK, "not written");
    const char *at = writer.text;
    for (int i = 0; i < 3; i++) {
        FUZZ_CHECK(*at++ == (i ? ',' : '[') && !memcmp(at, texts[i].at, texts[i].bytes), "%d: %s", i, writer.text);
        at += texts[i].bytes;
    }
    FUZZ_CHECK(*at == ']' && at + 1 == writer.text + writer.bytes, "no end: %s", writer.text);
    remember(item, alone);
}

static void check_item(const char *text, size_t bytes) {
    static struct values first, second;
    static struct larder_builder *first_kept, *second_kept;
    static struct json_writer writer;
    const struct larder_item *item = item_of(&first, &first_kept, text, bytes);
    if (!item)
        return;
    json_writer_begin(&writer);
    document_put_item(&writer.writer, item);
    FUZZ_CHECK(json_writer_finish(&writer) == LARDER_OK, "not written");
    FUZZ_CHECK(skips(writer.text, writer.bytes), "no JSON: %s", writer.text);
    const struct larder_item *again = item_of(&second, &second_kept, writer.text, writer.bytes);
    FUZZ_CHECK(again && item_head(again)->bytes == item_head(item)->bytes &&
                   !memcmp(again, item, item_head(item)->bytes),
               "another item: %s", writer.text);
    check_items(item, &writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    json_error_t error;
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    int is_taken = skips(text, size);
    if (json && memchr(text, 0, size))
        FUZZ_CHECK(!is_taken, "a zero byte is taken"); /* jansson ends there */
    else if (json) {
        FUZZ_CHECK(is_taken, "jansson takes it");
        check_once(text, size, json);
    } else
        FUZZ_CHECK(!is_taken || is_limit(&error), "jansson: %s", error.text);
    check_item(text, size);
    json_decref(json);
    return 0;
}
