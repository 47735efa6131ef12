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

#ifdef __SSE2__
#define BLOCK sizeof(__m128i)

/* A block of text, with a bit for each byte that does not stand for itself. */
static inline unsigned copy_block(char *to, const uint8_t *from) {
    __m128i block = _mm_loadu_si128((const __m128i *)from);
    _mm_storeu_si128((__m128i *)to, block);
    __m128i special = _mm_or_si128(
        _mm_cmplt_epi8(block, _mm_set1_epi8(' ')),
        _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
    return (unsigned)_mm_movemask_epi8(special);
}

/* Whole blocks, also beyond the end. 0: all bytes stood for themselves. */
static inline unsigned copy_blocks(char *to, const uint8_t *from, size_t bytes) {
    unsigned special = 0;
    for (; bytes > BLOCK; bytes -= BLOCK, from += BLOCK, to += BLOCK)
        special |= copy_block(to, from);
    return special | (copy_block(to, from) & (unsigned)((UINT32_C(1) << bytes) - 1));
}

/* A positive integer of at most 20 digits: its pairs of digits stand in the encoding one after the
 * other (core/item/num.c). 0: it is something else. */
static inline size_t copy_integer(char *to, const uint8_t *from, size_t bytes) {
    size_t pairs = bytes - 1, exponent = (size_t)from[0] - 0xc0;
    char *start = to;
    if (bytes < 2 || from[0] <= 0xc0 || exponent > 10 || exponent < pairs || !from[1] || from[1] > 99 || !from[pairs])
        return 0;
    if (from[1] >= 10)
        *to++ = (char)('0' + from[1] / 10);
    *to++ = (char)('0' + from[1] % 10);
    for (size_t i = 2; i <= pairs; i++, to += 2) {
        if (from[i] > 99)
            return 0;
        to[0] = (char)('0' + from[i] / 10);
        to[1] = (char)('0' + from[i] % 10);
    }
    for (; pairs < exponent; pairs++, to += 2)
        to[0] = to[1] = '0';
    return (size_t)(to - start);
}

/* Where the name's text begins; NULL: it is longer than a block, or no name. With the byte before
 * its text, which stands where the quote will. *value: what follows it. */
static inline const uint8_t *short_name(const uint8_t *at, const uint8_t *end, size_t *bytes, const uint8_t **value) {
    unsigned first = at[1];
    if (__builtin_expect(first & ITEM_NAME_LISTED, 1)) {
        const struct item_name *name = &item_names[first & ~ITEM_NAME_LISTED];
        *bytes = name->bytes;
        *value = at + 2;
        return name->bytes ? (const uint8_t *)name : NULL;
    }
    *bytes = first;
    *value = at + 2 + first;
    return first && first < BLOCK && (size_t)(end - at) > BLOCK ? at + 1 : NULL;
}

/* Bytes that an attribute takes at most, besides those of a text. */
#define SHORT_ROOM (3 * BLOCK + 20)

/* put_plain() of an S or N that is short or a key, a block at a time: it looks at bytes behind name
 * and value. *to: where to write, moved on. NULL: it is something else, and *to stays. */
static inline const uint8_t *put_short(const struct item_head *h, const uint8_t *at, const uint8_t *end, char **at_text,
                                       const char *text_end) {
    size_t name_bytes, bytes;
    const uint8_t *value, *next, *name;
    uint8_t tail[3 * BLOCK];
    char *to = *at_text;
    if ((size_t)(end - at) < 2 || !(name = short_name(at, end, &name_bytes, &value)))
        return NULL;
    unsigned tag = *at;
    int is_number = tag < ITEM_SHORT_S;
    bytes = item_tag_bytes(tag);
    next = value + bytes;
    if (__builtin_expect(tag < ITEM_SHORT_N, 0)) {
        struct larder_value key;
        if (!item_tag_keys(tag) || item_tag_type(tag) > LARDER_N)
            return NULL;
        item_read_key_value(h, tag, &key);
        next = value;
        value = key.data;
        bytes = key.bytes;
        is_number = key.type == LARDER_N;
    }
    if (next > end || value > end || (size_t)(end - value) < bytes || (size_t)(text_end - to) < SHORT_ROOM + bytes)
        return NULL;
    if (__builtin_expect((size_t)(end - value) < bytes + BLOCK, 0)) { /* the image ends before the block does */
        if (bytes > sizeof tail - BLOCK)
            return NULL;
        memset(tail, ' ', sizeof tail);
        value = memcpy(tail, value, bytes);
    }
    unsigned special = copy_block(to, name) & (unsigned)(((UINT32_C(1) << name_bytes) - 1) << 1);
    *to = '"';
    to += 1 + name_bytes;
    memcpy(to, between[is_number], BETWEEN_BYTES);
    to += BETWEEN_BYTES;
    if (is_number)
        special |= !(bytes = copy_integer(to, value, bytes));
    else
        special |= copy_blocks(to, value, bytes);
    to += bytes;
    if (__builtin_expect(special != 0, 0))
        return NULL;
    memcpy(to, "\"},", 4);
    *at_text = to + 3;
    return next;
}

/* As many of the attributes as are short. Returns how many; *at: the next record. */
static uint32_t put_shorts(struct json_writer *w, const struct item_head *h, const uint8_t **at, const uint8_t *end,
                           uint32_t count) {
    char *to = w->text + w->bytes;
    const char *text_end = w->text + w->room_bytes;
    const uint8_t *next;
    uint32_t done = 0;
    for (; done < count && (next = put_short(h, *at, end, &to, text_end)); done++)
        *at = next;
    w->bytes = (size_t)(to - w->text);
    return done;
}
#else
static uint32_t put_shorts(struct json_writer *w, const struct item_head *h, const uint8_t **at, const uint8_t *end,
                           uint32_t count) {
    (void)w, (void)h, (void)at, (void)end, (void)count;
    return 0;
}
#endif

static void put_attributes(struct json_writer *w, const struct item_head *h) {
    const uint8_t *at = h->attr_count ? item_first_record(h) : NULL;
    const uint8_t *end = (const uint8_t *)h + h->bytes - item_timed_bytes(h);
    uint32_t left = h->attr_count;
    if (!room_for(w, h->bytes))
        return;
    while ((left -= put_shorts(w, h, &at, end, left)) > 0) {
        if (!(at = put_attribute(w, h, at, end)))
            w->writer.error = LARDER_E_CORRUPT;
        if (w->writer.error)
            return;
        left--;
    }
    if (h->attr_count)
        w->bytes--; /* the last comma */
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
    put_comma(json(writer));
    put(json(writer), "{", 1);
    put_attributes(json(writer), item_head(item));
    put(json(writer), "}", 1);
}

static const struct document_writer_ops ops = {.begin = write_begin,
                                               .end = write_end,
                                               .name = write_name,
                                               .text = write_text,
                                               .integer = write_integer,
                                               .halves = write_halves,
                                               .boolean = write_boolean,
                                               .item = write_item};

void json_writer_begin(struct json_writer *w) {
    w->writer = (struct document_writer){.ops = &ops};
    w->bytes = 0;
    w->needs_comma = 0;
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
