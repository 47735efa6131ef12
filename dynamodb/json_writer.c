/* dynamodb/json_writer.c - a document as JSON text. See json_writer.h.
 *
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#include "dynamodb/json_writer.h"

#include <stdlib.h>

#include "core/base/utf8.h"
#include "core/item/item_records.h"
#include "dynamodb/base64.h"
#include "dynamodb/json_string.h"

#define FIRST_BYTES 4096u
#define FIRST_ITEM_BYTES 1024u /* room that most items need at most */

static struct json_writer *json(struct document_writer *w) {
    return (struct json_writer *)w;
}

/* Where `bytes` more may be written; NULL: the writer has failed. */
static char *room_for(struct json_writer *w, size_t bytes) {
    if (w->writer.error)
        return NULL;
    if (__builtin_expect(w->room_bytes - w->bytes >= bytes, 1))
        return w->text + w->bytes;
    size_t wanted = w->room_bytes ? w->room_bytes : FIRST_BYTES;
    while (wanted - w->bytes < bytes)
        wanted *= 2;
    char *text = realloc(w->text, wanted);
    if (!text) {
        w->writer.error = LARDER_E_NO_MEMORY;
        return NULL;
    }
    w->text = text;
    w->room_bytes = wanted;
    return text + w->bytes;
}

static void put(struct json_writer *w, const char *text, size_t bytes) {
    char *to = room_for(w, bytes);
    if (!to || !text)
        return;
    memcpy(to, text, bytes);
    w->bytes += bytes;
}

/* Before a value. */
static void put_comma(struct json_writer *w) {
    if (w->needs_comma)
        put(w, ",", 1);
    w->needs_comma = 1;
}

/* ---- Strings --------------------------------------------------------------------------------- */

static int is_plain(char c) {
    return (uint8_t)c >= 0x20 && c != '"' && c != '\\';
}

static char *put_escape(char *to, char c) {
    static const char meant[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    const char *known = c ? strchr(meant, c) : NULL;
    *to++ = '\\';
    if (known)
        *to++ = letters[known - meant];
    else {
        to[0] = 'u';
        to[1] = to[2] = '0';
        to[3] = hex[(uint8_t)c >> 4];
        to[4] = hex[(uint8_t)c & 15];
        to += 5;
    }
    return to;
}

/* A quoted string, without a comma. */
static void put_string(struct json_writer *w, const char *text, size_t bytes) {
    char *to = room_for(w, 6 * bytes + 2);
    if (!to)
        return;
    *to++ = '"';
    if (!json_copy(to, text, bytes)) {
        to[bytes] = '"';
        w->bytes += bytes + 2;
        return;
    }
    for (const char *end = text + bytes; text < end;) {
        const char *from = text;
        while (text < end && is_plain(*text))
            text++;
        memcpy(to, from, (size_t)(text - from));
        to += text - from;
        if (text < end)
            to = put_escape(to, *text++);
    }
    *to++ = '"';
    w->bytes = (size_t)(to - w->text);
}

/* ---- Values of items ------------------------------------------------------------------------- */

static void put_value(struct json_writer *w, const struct larder_value *value);

static void put_base64(struct json_writer *w, const struct larder_value *value) {
    size_t bytes = base64_encoded_bytes(value->bytes);
    char *to = room_for(w, bytes + 2);
    if (!to)
        return;
    *to = '"';
    base64_write(value->data, value->bytes, to + 1);
    to[bytes + 1] = '"';
    w->bytes += bytes + 2;
}

static void put_number(struct json_writer *w, const struct larder_value *value) {
    char *to = room_for(w, LARDER_NUMBER_TEXT_MAX + 2);
    if (!to)
        return;
    if (larder_value_number(value, to + 1) != LARDER_OK) {
        w->writer.error = LARDER_E_CORRUPT;
        return;
    }
    size_t bytes = strlen(to + 1);
    *to = '"';
    to[bytes + 1] = '"';
    w->bytes += bytes + 2;
}

/* Text of an image is not checked when it is read: a damaged one must not make the reply no
 * JSON. */
static void put_checked(struct json_writer *w, const char *text, size_t bytes) {
    if (utf8_valid_bytes(text, bytes) != bytes)
        w->writer.error = LARDER_E_CORRUPT;
    else
        put_string(w, text, bytes);
}

static void put_scalar(struct json_writer *w, const struct larder_value *value) {
    if (value->type == LARDER_N)
        put_number(w, value);
    else if (value->type == LARDER_B)
        put_base64(w, value);
    else
        put_checked(w, value->data, value->bytes);
}

/* Members of an M, L or set; the brackets are the caller's. */
static void put_members(struct json_writer *w, struct larder_iter *it, enum larder_type of) {
    struct larder_member member;
    int is_first = 1, r = LARDER_OK;
    while (!w->writer.error && (r = larder_iter_next(it, &member)) == LARDER_OK) {
        if (!is_first)
            put(w, ",", 1);
        is_first = 0;
        if (of == LARDER_M) {
            put_checked(w, member.name, member.name_bytes);
            put(w, ":", 1);
        }
        if (of == LARDER_M || of == LARDER_L)
            put_value(w, &member.value);
        else
            put_scalar(w, &member.value);
    }
    if (r != LARDER_OK && r != LARDER_NOT_FOUND)
        w->writer.error = LARDER_E_CORRUPT;
}

static void put_container(struct json_writer *w, const struct larder_value *value) {
    struct larder_iter it;
    larder_iter_value(value, &it);
    put(w, value->type == LARDER_M ? "{" : "[", 1);
    put_members(w, &it, value->type);
    put(w, value->type == LARDER_M ? "}" : "]", 1);
}

/* {"S":"text"}. Nested values are as deep as an item can be, so this ends. */
static void put_value(struct json_writer *w, const struct larder_value *value) {
    static const struct text starts[] = {
        [LARDER_S] = {"{\"S\":", 5},       [LARDER_N] = {"{\"N\":", 5},       [LARDER_B] = {"{\"B\":", 5},
        [LARDER_BOOL] = {"{\"BOOL\":", 8}, [LARDER_NULL] = {"{\"NULL\":", 8}, [LARDER_M] = {"{\"M\":", 5},
        [LARDER_L] = {"{\"L\":", 5},       [LARDER_SS] = {"{\"SS\":", 6},     [LARDER_NS] = {"{\"NS\":", 6},
        [LARDER_BS] = {"{\"BS\":", 6}};
    put(w, starts[value->type].at, starts[value->type].bytes);
    switch (value->type) {
    case LARDER_BOOL:
        put(w, value->is_true ? "true" : "false", value->is_true ? 4 : 5);
        break;
    case LARDER_NULL:
        put(w, "true", 4);
        break;
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        put_scalar(w, value);
        break;
    default:
        put_container(w, value);
    }
    put(w, "}", 1);
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* Between a name and the text of its S, of its N. */
static const char between[2][8] = {"\":{\"S\":\"", "\":{\"N\":\""};
#define BETWEEN_BYTES (sizeof between[0])

/* '"name":{"S":"value"},' of an S or N, where name and text are plain. 0: they are not, and nothing
 * was written. */
static int put_plain(struct json_writer *w, struct bytes name, int is_number, const uint8_t *value, size_t bytes) {
    char *to = room_for(w, 1 + name.len + BETWEEN_BYTES + (is_number ? LARDER_NUMBER_TEXT_MAX : bytes) + 3);
    if (!to)
        return 1;
    *to = '"';
    if (json_copy(to + 1, (const char *)name.at, name.len))
        return 0;
    to += 1 + name.len;
    memcpy(to, between[is_number], BETWEEN_BYTES);
    to += BETWEEN_BYTES;
    if (is_number ? !(bytes = num_decode(value, bytes, to)) : json_copy(to, (const char *)value, bytes) != 0)
        return 0;
    memcpy(to + bytes, "\"},", 3);
    w->bytes = (size_t)(to + bytes + 3 - w->text);
    return 1;
}

/* An attribute in its record, and a comma. NULL: it is damaged. */
static const uint8_t *put_attribute(struct json_writer *w, const struct item_head *h, const uint8_t *at,
                                    const uint8_t *end) {
    struct larder_value value;
    struct item_record r;
    if (!item_take_record(at, end, &r))
        return NULL;
    size_t bytes = item_tag_bytes(r.tag);
    if (__builtin_expect(r.tag >= ITEM_SHORT_N && bytes <= (size_t)(end - r.value), 1) &&
        put_plain(w, r.name, r.tag < ITEM_SHORT_S, r.value, bytes))
        return r.value + bytes;
    if (!(at = item_take_record_value(h, &r, end, &value)))
        return NULL;
    if (value.type <= LARDER_N && put_plain(w, r.name, value.type == LARDER_N, value.data, value.bytes))
        return at;
    put_checked(w, (const char *)r.name.at, r.name.len);
    put(w, ":", 1);
    put_value(w, &value);
    put(w, ",", 1);
    return at;
}

/* An attribute of any kind, and those behind it. */
static __attribute__((noinline)) void put_rest(struct json_writer *w, struct json_item *item) {
    while (item->left > 0 && !w->writer.error) {
        if (!(item->at = put_attribute(w, item->head, item->at, item->end))) {
            w->writer.error = LARDER_E_CORRUPT;
            return;
        }
        item->ordinal++;
        item->left--;
        if (!(item->to = room_for(w, json_item_room(item))) || item->left == 0)
            break;
        item->to_end = w->text + w->room_bytes;
        json_item_put(&w->places, item);
        w->bytes = (size_t)(item->to - w->text);
    }
    if (!w->writer.error)
        w->text[w->bytes - 1] = '}'; /* over the last comma */
}

/* ,{"name": {"S": ..}} of each; the first with a comma if it needs one. */
static void put_items(struct json_writer *w, const struct larder_item *const *items, uint32_t count) {
    size_t room = FIRST_ITEM_BYTES;
    while (count > 0) {
        struct json_item item = {.to = room_for(w, room)};
        if (!item.to)
            return;
        item.to_end = w->text + w->room_bytes;
        uint32_t whole = json_items_put(&w->places, items, count, (size_t)w->needs_comma, &item);
        w->bytes = (size_t)(item.to - w->text);
        w->needs_comma |= whole > 0 || item.head != NULL;
        items += whole;
        count -= whole;
        if (count == 0)
            return;
        if (item.head) {
            put_rest(w, &item);
            room = FIRST_ITEM_BYTES;
            items++;
            count--;
        } else {
            json_item_begin(&item, item_head(*items));
            room = json_item_room(&item);
        }
    }
}

/* ---- The document ---------------------------------------------------------------------------- */

static void write_begin(struct document_writer *writer, enum document_kind kind) {
    put_comma(json(writer));
    put(json(writer), kind == DOCUMENT_OBJECT ? "{" : "[", 1);
    json(writer)->needs_comma = 0;
}

static void write_end(struct document_writer *writer, enum document_kind kind) {
    put(json(writer), kind == DOCUMENT_OBJECT ? "}" : "]", 1);
    json(writer)->needs_comma = 1;
}

static void write_name(struct document_writer *writer, struct text name) {
    put_comma(json(writer));
    put_string(json(writer), name.at, name.bytes);
    put(json(writer), ":", 1);
    json(writer)->needs_comma = 0;
}

static void write_text(struct document_writer *writer, struct text text) {
    put_comma(json(writer));
    put_string(json(writer), text.at, text.bytes);
}

static void write_integer(struct document_writer *writer, int64_t value) {
    char text[24], *from = text + sizeof text;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        *--from = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--from = '-';
    put_comma(json(writer));
    put(json(writer), from, (size_t)(text + sizeof text - from));
}

static void write_halves(struct document_writer *writer, uint64_t halves) {
    write_integer(writer, (int64_t)(halves / 2));
    put(json(writer), halves % 2 ? ".5" : ".0", 2);
}

static void write_boolean(struct document_writer *writer, int is_true) {
    put_comma(json(writer));
    put(json(writer), is_true ? "true" : "false", is_true ? 4 : 5);
}

static void write_item(struct document_writer *writer, const struct larder_item *item) {
    put_items(json(writer), &item, 1);
}

static void write_items(struct document_writer *writer, const struct larder_item *const *items, uint32_t count) {
    put_items(json(writer), items, count);
}

static const struct document_writer_ops ops = {.begin = write_begin,
                                               .end = write_end,
                                               .name = write_name,
                                               .text = write_text,
                                               .integer = write_integer,
                                               .halves = write_halves,
                                               .boolean = write_boolean,
                                               .item = write_item,
                                               .items = write_items};

void json_writer_begin(struct json_writer *w) {
    w->writer = (struct document_writer){.ops = &ops};
    w->bytes = 0;
    w->needs_comma = 0;
}

void json_writer_begin_item(struct json_writer *w, const struct larder_item *item) {
    json_writer_begin(w);
    if (!item) {
        put(w, "{}", 2);
        return;
    }
    put(w, "{\"Item\":", 8);
    write_item(&w->writer, item);
    put(w, "}", 1);
}

int json_writer_finish(struct json_writer *w) {
    put(w, "", 1);
    w->bytes -= !w->writer.error;
    return w->writer.error;
}

void json_writer_free(struct json_writer *w) {
    free(w->text);
    *w = (struct json_writer){.text = NULL};
}
