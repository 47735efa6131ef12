/* dynamodb/shape.c - GetItem and Query requests that differ in their keys only. See shape.h. */
#include "dynamodb/shape.h"

#include "dynamodb/json_string.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"
#include "dynamodb/reading.h"

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

static struct shape *find(struct shapes *all, const char *json, size_t bytes, struct text *values) {
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

/* The text's values in their roles. 0: one is empty or too long. */
static int take_values(const struct shape *s, const struct text *texts, struct larder_value *out) {
    for (int role = 0; role < SHAPE_ROLES; role++) {
        size_t most = role == SHAPE_PARTITION ? LARDER_PARTITION_KEY_BYTES_MAX : LARDER_SORT_KEY_BYTES_MAX;
        out[role] = (struct larder_value){.type = 0};
        if (!s->values[role])
            continue;
        out[role] = string(texts[s->values[role] - 1]);
        if (out[role].bytes - 1 >= most)
            return 0;
    }
    return 1;
}

/* The shape of a text, its table, and the values in it. NULL: it has none that is still right. One
 * of a table that was opened again since is forgotten, so that it is learned again. */
static const struct shape *meet(struct larder_dynamodb *d, struct shapes *all, const char *json, size_t bytes,
                                const struct known_table **t, struct larder_value *values) {
    struct text texts[SHAPE_ROLES];
    struct shape *s = find(all, json, bytes, texts);
    if (!s)
        return NULL;
    *t = d->tables[s->table];
    if (!*t || (*t)->opened != s->opened) {
        s->value_count = 0;
        return NULL;
    }
    return take_values(s, texts, values) ? s : NULL;
}

int shape_answer_get(struct larder_dynamodb *d, const char *json, size_t bytes) {
    struct larder_value values[SHAPE_ROLES];
    const struct known_table *t;
    if (!meet(d, &d->get_shapes, json, bytes, &t, values))
        return 0;
    struct larder_key key = {values[SHAPE_PARTITION], values[SHAPE_SORT]};
    int r = larder_get(t->handle, &key, d->page);
    if (r < 0)
        return 0;
    json_writer_begin_item(&d->writer, r == LARDER_OK ? larder_page_item(d->page, 0) : NULL);
    return json_writer_finish(&d->writer) == LARDER_OK;
}

int shape_answer_query(struct larder_dynamodb *d, const char *json, size_t bytes) {
    struct larder_value values[SHAPE_ROLES];
    struct reading r = {.count = 0};
    const struct shape *s = meet(d, &d->query_shapes, json, bytes, &r.table, values);
    if (!s || (s->index && !larder_table_def_is_current(r.table->def)))
        return 0;
    struct larder_query_spec spec = {.partition = values[SHAPE_PARTITION],
                                     .sort_op = (enum larder_sort_op)s->sort_op,
                                     .sort_value = values[SHAPE_SORT],
                                     .sort_value2 = values[SHAPE_HIGH],
                                     .is_descending = s->is_descending,
                                     .limit = s->limit < UINT32_MAX ? (uint32_t)s->limit : UINT32_MAX};
    if (s->index) {
        r.index = &r.table->def->indexes[s->index - 1];
        spec.index = r.index->name;
    }
    int result = larder_query(r.table->handle, &spec, d->page);
    if (result < 0 || reading_has_changed(&r))
        return 0;
    d->expressions = (struct expressions){.update = NULL};
    request_forget(&d->request);
    d->request.integers[INTEGER_LIMIT] = s->limit;
    d->request.has_integers = (unsigned)(s->limit != 0) << INTEGER_LIMIT;
    json_writer_begin(&d->writer);
    document_put_begin(&d->writer.writer, DOCUMENT_OBJECT);
    if (reading_answer(d, &r, result, &d->writer.writer) != LARDER_OK) {
        d->failure.kind = FAILURE_NONE;
        return 0;
    }
    document_put_end(&d->writer.writer, DOCUMENT_OBJECT);
    return json_writer_finish(&d->writer) == LARDER_OK;
}

/* ---- Learning one ---------------------------------------------------------------------------- */

/* The text that is learned from, and how far it was. */
struct lesson {
    struct document_reader *reader;
    const char *json;
    size_t bytes, from, used;       /* from: behind the last value; used: of the shape's text */
    struct text member;             /* that has the values */
    struct text names[SHAPE_ROLES]; /* of the values; at NULL: there is none */
};

/* Takes {"S": "text"} as a value of the shape. 0: it is something else. */
static int learn_value(struct shape *s, struct lesson *l) {
    struct document_reader *r = l->reader;
    struct text name, value;
    if (document_kind(r) != DOCUMENT_OBJECT || document_begin(r) || document_member(r, &name) ||
        !text_is(name, TEXT("S")) || document_kind(r) != DOCUMENT_STRING || document_text(r, &value))
        return 0;
    /* with escapes, it does not stand in the text */
    size_t at = (size_t)(value.at - l->json);
    if (value.at < l->json || at > l->bytes || value_end(value.at, l->json + l->bytes) != value.at + value.bytes)
        return 0;
    s->parts[s->value_count++] = (uint16_t)(at - l->from);
    memcpy(s->text + l->used, l->json + l->from, at - l->from);
    l->used += at - l->from;
    l->from = at + value.bytes;
    return document_member(r, &name) == LARDER_NOT_FOUND;
}

/* Takes the object that has the values: one for each name. */
static int learn_values(struct shape *s, struct lesson *l) {
    struct text name;
    int result;
    if (s->value_count || document_kind(l->reader) != DOCUMENT_OBJECT || document_begin(l->reader))
        return 0;
    while ((result = document_member(l->reader, &name)) == LARDER_OK) {
        int is_known = 0;
        for (int role = 0; role < SHAPE_ROLES && s->value_count < SHAPE_ROLES; role++)
            if (l->names[role].at && text_is(name, l->names[role])) {
                is_known = !s->values[role];
                s->values[role] = s->value_count + 1;
            }
        if (!is_known || !learn_value(s, l))
            return 0;
    }
    for (int role = 0; role < SHAPE_ROLES; role++)
        if (l->names[role].at && !s->values[role])
            return 0;
    return result == LARDER_NOT_FOUND;
}

/* Reads the text again, which is known to be a request that can be answered. */
static int learn(struct shape *s, struct lesson *l) {
    struct text name;
    int result;
    if (document_begin(l->reader))
        return 0;
    while ((result = document_member(l->reader, &name)) == LARDER_OK)
        if (text_is(name, l->member) ? !learn_values(s, l) : document_skip(l->reader) != LARDER_OK)
            return 0;
    if (result != LARDER_NOT_FOUND || !s->value_count)
        return 0;
    s->parts[s->value_count] = (uint16_t)(l->bytes - l->from);
    memcpy(s->text + l->used, l->json + l->from, l->bytes - l->from);
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

/* `learned` has what is not in the text, the lesson the member and the names. */
static void keep(struct larder_dynamodb *d, struct shapes *all, const struct known_table *t, struct shape *learned,
                 struct lesson *l, const char *json, size_t bytes) {
    struct shape *s = place_for_new(all);
    l->reader = &d->reader.reader;
    l->json = json;
    l->bytes = bytes;
    json_reader_begin(&d->reader, json, bytes);
    if (!s || !learn(learned, l))
        return;
    learned->opened = t->opened;
    while (d->tables[learned->table] != t)
        learned->table++;
    *s = *learned;
}

/* No parameter but these strings, each a bit, Limit, ConsistentRead, which changes what is charged,
 * not what is read, and the direction. */
static int has_only(const struct request *q, unsigned strings, enum request_map map) {
    for (int i = 0; i < STRING_COUNT; i++)
        if (request_has_string(q, (enum request_string)i) && !(strings >> i & 1))
            return 0;
    return !q->older.given && q->has_maps == 1u << map;
}

static struct text key_name(const struct larder_key_def *key) {
    return (struct text){key->name, key->name ? strlen(key->name) : 0};
}

static int is_text(const struct larder_key_def *key) {
    return !key->name || key->type == LARDER_S;
}

void shape_learn_get(struct larder_dynamodb *d, const char *json, size_t bytes) {
    const struct known_table *t;
    const struct request *q = &d->request;
    if (bytes > SHAPE_BYTES_MAX || q->has_names || !has_only(q, 1u << STRING_TABLE_NAME, MAP_KEY) || table_take(d, &t))
        return;
    struct shape learned = {.value_count = 0};
    struct lesson l = {.member = TEXT("Key"), .names = {key_name(&t->def->partition), key_name(&t->def->sort)}};
    if (is_text(&t->def->partition) && is_text(&t->def->sort))
        keep(d, &d->get_shapes, t, &learned, &l, json, bytes);
}

/* The placeholders of the key condition by their roles. 0: the condition is not of that kind. */
static int learn_condition(struct larder_dynamodb *d, const struct reading *r, struct shape *s, struct lesson *l) {
    const struct table_schema schema = table_schema(r->table->def, r->index);
    const struct expr *e = d->expressions.key_condition->checked;
    struct expr_key_term terms[EXPR_KEY_TERMS_MAX];
    struct item_key_attr keys[2];
    uint32_t count;
    if (schema.partition_count != 1 || schema.count > 2)
        return 0;
    for (uint32_t i = 0; i < schema.count; i++) {
        struct text name = key_name(schema.key[i]);
        keys[i] =
            (struct item_key_attr){.name = name.at, .name_bytes = (uint32_t)name.bytes, .type = schema.key[i]->type};
    }
    if (prepared_bind(d, d->expressions.key_condition) ||
        expr_key_terms(e, d->bound, keys, 1, schema.count, terms, &count))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (!is_text(schema.key[i]))
            return 0;
    const struct expr_key_term *sort = &terms[count - 1];
    uint16_t numbers[SHAPE_ROLES] = {terms[0].low, sort->low, sort->high};
    uint32_t roles = count == 1 ? 1 : sort->op == EXPR_BETWEEN ? 3 : 2;
    for (uint32_t i = 0; i < roles; i++)
        l->names[i] = (struct text){(const char *)e->values[numbers[i]].at, e->values[numbers[i]].len};
    s->sort_op = (uint8_t)(count > 1 ? expr_sort_op(sort) : 0);
    return 1;
}

void shape_learn_query(struct larder_dynamodb *d, const char *json, size_t bytes) {
    const unsigned strings = 1u << STRING_TABLE_NAME | 1u << STRING_INDEX_NAME | 1u << STRING_KEY_CONDITION;
    const struct request *q = &d->request;
    struct reading r;
    if (bytes > SHAPE_BYTES_MAX || !has_only(q, strings, MAP_VALUES) || reading_take(d, &r))
        return;
    struct shape learned = {.is_descending = q->booleans[BOOLEAN_SCAN_FORWARD] == 0};
    struct lesson l = {.member = TEXT("ExpressionAttributeValues")};
    if (r.index)
        learned.index = (uint8_t)(r.index - r.table->def->indexes + 1);
    if (request_has_integer(q, INTEGER_LIMIT))
        learned.limit = q->integers[INTEGER_LIMIT];
    if (learn_condition(d, &r, &learned, &l))
        keep(d, &d->query_shapes, r.table, &learned, &l, json, bytes);
}
