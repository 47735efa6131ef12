/* dynamodb/shape.c - GetItem requests that differ in their keys only. See shape.h. */
#include "dynamodb/shape.h"

#include "dynamodb/json_string.h"
#include "dynamodb/table.h"

#define LEARN_EVERY 16u /* text without a shape, once all places are taken */

/* ---- Meeting one ----------------------------------------------------------------------------- */

static int is_plain(signed char c) {
    return c >= 0x20 && c != '"' && c != '\\'; /* signed: what is no ASCII is less */
}

/* The byte behind the value that begins at `at`: the first that is not plain. */
static const char *value_end(const char *at, const char *end) {
#ifdef __SSE2__
    for (; end - at >= JSON_LOOK_BYTES; at += JSON_LOOK_BYTES) {
        unsigned special = json_look(at);
        if (special)
            return at + __builtin_ctz(special);
    }
#endif
    while (at < end && is_plain(*at))
        at++;
    return at;
}

static int is_same(const char *a, const char *b, size_t bytes) {
    return memcmp(a, b, bytes) == 0;
}

/* Whether the text has this shape, and its values then. */
static int has_shape(const struct shape *s, const char *json, size_t bytes, struct text *values) {
    const char *part = s->text, *at = json, *end = json + bytes;
    for (uint32_t i = 0; i < s->value_count; i++) {
        size_t part_bytes = s->parts[i];
        if ((size_t)(end - at) <= part_bytes || !is_same(at, part, part_bytes))
            return 0;
        at += part_bytes;
        part += part_bytes;
        values[i].at = at;
        at = value_end(at, end);
        values[i].bytes = (size_t)(at - values[i].at);
    }
    return (size_t)(end - at) == s->parts[s->value_count] && is_same(at, part, (size_t)(end - at));
}

static const struct shape *find(struct shapes *all, const char *json, size_t bytes, struct text *values) {
    for (uint32_t i = 0; i < SHAPES; i++) {
        uint32_t number = (all->last + i) % SHAPES;
        struct shape *s = &all->at[number];
        if (s->value_count && has_shape(s, json, bytes, values)) {
            all->last = number;
            s->was_used = 1;
            return s;
        }
    }
    return NULL;
}

static struct larder_value string(struct text text) {
    return (struct larder_value){.type = LARDER_S, .data = text.at, .bytes = text.bytes};
}

/* The text's values as the table's key. 0: one is empty or too long. */
static int take_key(const struct shape *s, const struct text *values, struct larder_key *key) {
    struct text partition = values[s->first_is_sort], sort = values[!s->first_is_sort];
    if (partition.bytes - 1 >= LARDER_PARTITION_KEY_BYTES_MAX)
        return 0;
    key->partition = string(partition);
    key->sort = (struct larder_value){.type = 0};
    if (s->value_count == 1)
        return 1;
    key->sort = string(sort);
    return sort.bytes - 1 < LARDER_SORT_KEY_BYTES_MAX;
}

int shape_answer(struct larder_dynamodb *d, const char *json, size_t bytes) {
    struct text values[2];
    struct larder_key key;
    const struct shape *s = find(&d->shapes, json, bytes, values);
    const struct known_table *t = s ? d->tables[s->table] : NULL;
    if (!t || t->opened != s->opened || !take_key(s, values, &key))
        return 0;
    int r = larder_get(t->handle, &key, d->page);
    if (r < 0)
        return 0;
    json_writer_begin_item(&d->writer, r == LARDER_OK ? larder_page_item(d->page, 0) : NULL);
    return json_writer_finish(&d->writer) == LARDER_OK;
}

/* ---- Learning one ---------------------------------------------------------------------------- */

/* Nothing but the table, the key and ConsistentRead, which changes what is charged, not what is
 * read. */
static int is_simple(const struct request *q) {
    for (int i = STRING_TABLE_NAME + 1; i < STRING_COUNT; i++)
        if (request_has_string(q, (enum request_string)i))
            return 0;
    return q->operation == OPERATION_GET_ITEM && !q->has_names && !q->older.given && q->has_maps == 1u << MAP_KEY;
}

/* Takes {"S": "text"}, the value of a key attribute, as a value of the shape. 0: it is something
 * else. */
static int learn_value(struct shape *s, struct document_reader *r, const char *json, size_t bytes, size_t *from,
                       size_t *used) {
    struct text name, value;
    if (document_kind(r) != DOCUMENT_OBJECT || document_begin(r) || document_member(r, &name) ||
        !text_is(name, TEXT("S")) || document_kind(r) != DOCUMENT_STRING || document_text(r, &value))
        return 0;
    /* with escapes, it does not stand in the text */
    size_t at = (size_t)(value.at - json);
    if (value.at < json || at > bytes || value_end(value.at, json + bytes) != value.at + value.bytes)
        return 0;
    s->parts[s->value_count++] = (uint16_t)(at - *from);
    memcpy(s->text + *used, json + *from, at - *from);
    *used += at - *from;
    *from = at + value.bytes;
    return document_member(r, &name) == LARDER_NOT_FOUND;
}

/* Takes the members of Key: one for each key attribute of the table. */
static int learn_key(struct shape *s, const struct larder_table_def *def, struct document_reader *r, const char *json,
                     size_t bytes, size_t *from, size_t *used) {
    struct text name;
    int result;
    if (document_kind(r) != DOCUMENT_OBJECT || document_begin(r))
        return 0;
    while ((result = document_member(r, &name)) == LARDER_OK) {
        int is_sort = def->sort.name && text_is(name, (struct text){def->sort.name, strlen(def->sort.name)});
        if (s->value_count == table_key_count(def))
            return 0;
        if (s->value_count == 0)
            s->first_is_sort = (uint8_t)is_sort;
        if (!learn_value(s, r, json, bytes, from, used))
            return 0;
    }
    return result == LARDER_NOT_FOUND && s->value_count == table_key_count(def);
}

/* Reads the text again, which is known to be a request that can be answered. */
static int learn(struct shape *s, const struct larder_table_def *def, struct json_reader *reader, const char *json,
                 size_t bytes) {
    struct document_reader *r = &reader->reader;
    struct text name;
    size_t from = 0, used = 0;
    int result;
    json_reader_begin(reader, json, bytes);
    if (document_begin(r))
        return 0;
    while ((result = document_member(r, &name)) == LARDER_OK) {
        if (text_is(name, TEXT("Key"))) {
            if (s->value_count || !learn_key(s, def, r, json, bytes, &from, &used))
                return 0;
        } else if (document_skip(r))
            return 0;
    }
    if (result != LARDER_NOT_FOUND || !s->value_count)
        return 0;
    s->parts[s->value_count] = (uint16_t)(bytes - from);
    memcpy(s->text + used, json + from, bytes - from);
    return 1;
}

/* An empty place, or now and then one that was not used of late. NULL: not now. */
static struct shape *place_for_new(struct shapes *all) {
    for (uint32_t i = 0; i < SHAPES; i++)
        if (!all->at[i].value_count)
            return &all->at[i];
    if (++all->missed % LEARN_EVERY)
        return NULL;
    for (;; all->hand++) {
        struct shape *s = &all->at[all->hand % SHAPES];
        if (!s->was_used)
            return s;
        s->was_used = 0;
    }
}

void shape_learn(struct larder_dynamodb *d, const char *json, size_t bytes) {
    const struct known_table *t;
    struct shape *s, learned = {.value_count = 0};
    if (bytes > SHAPE_BYTES_MAX || !is_simple(&d->request) || table_take(d, &t) || !(s = place_for_new(&d->shapes)))
        return;
    if (t->def->partition.type != LARDER_S || (t->def->sort.name && t->def->sort.type != LARDER_S))
        return;
    if (!learn(&learned, t->def, &d->reader, json, bytes))
        return;
    learned.opened = t->opened;
    while (d->tables[learned.table] != t)
        learned.table++;
    *s = learned;
}
