/* dynamodb/capacity.c - what a request consumes. See capacity.h. */
#include "dynamodb/capacity.h"

#include "dynamodb/index_item.h"

#define READ_BYTES 4096u
#define WRITE_BYTES 1024u

int capacity_is_wanted(const struct request *q) {
    struct text wanted = q->strings[STRING_RETURN_CAPACITY];
    return wanted.at && !text_is(wanted, TEXT("NONE"));
}

static uint64_t units(uint64_t bytes, uint64_t unit) {
    return bytes ? (bytes + unit - 1) / unit : 1;
}

uint64_t capacity_of_read(uint64_t bytes, int is_consistent) {
    return units(bytes, READ_BYTES) * (is_consistent ? 2 : 1);
}

/* ---- Indexes --------------------------------------------------------------------------------- */

/* Values of one type have equal bytes if they are equal (rule I4 of core/item/item.h). */
static int is_same(const struct larder_value *a, const struct larder_value *b) {
    return a->type == b->type && a->bytes == b->bytes && a->is_true == b->is_true &&
           (!a->bytes || memcmp(a->data, b->data, a->bytes) == 0);
}

static int is_same_at(const struct larder_item *old, const struct larder_item *new, struct text name) {
    struct larder_value a, b;
    int in_old = larder_item_getn(old, name.at, name.bytes, &a) == LARDER_OK;
    int in_new = larder_item_getn(new, name.at, name.bytes, &b) == LARDER_OK;
    return in_old == in_new && (!in_old || is_same(&a, &b));
}

static int is_same_key(const struct larder_item *old, const struct larder_item *new, const struct larder_key_def *key) {
    return is_same_at(old, new, (struct text){key->name, strlen(key->name)});
}

/* Whether all attributes of `one` that the index has are the same in `other`. */
static int are_same(const struct larder_table_def *def, const struct larder_index_def *index,
                    const struct larder_item *one, const struct larder_item *other) {
    struct larder_iter it;
    struct larder_member member;
    larder_iter_item(one, &it);
    while (larder_iter_next(&it, &member) == LARDER_OK) {
        struct text name = {member.name, member.name_bytes};
        if (index_item_is_projected(def, index, name) && !is_same_at(one, other, name))
            return 0;
    }
    return 1;
}

static uint64_t projected_bytes(const struct larder_table_def *def, const struct larder_index_def *index,
                                const struct larder_item *item, struct larder_builder *b) {
    const struct larder_item *made;
    return index_item_project(def, index, item, b, &made) == LARDER_OK ? larder_item_size(made) : 0;
}

static uint64_t index_units(const struct larder_table_def *def, const struct larder_index_def *index,
                            const struct larder_item *old, const struct larder_item *new, struct larder_builder *b) {
    int was_in = index_item_is_in(index, old), is_now = index_item_is_in(index, new);
    uint64_t before = was_in ? units(projected_bytes(def, index, old, b), WRITE_BYTES) : 0;
    uint64_t after = is_now ? units(projected_bytes(def, index, new, b), WRITE_BYTES) : 0;
    int is_same = was_in && is_now;
    for (uint32_t i = 0; is_same && i < index_key_count(index); i++)
        is_same = is_same_key(old, new, index_key_at(index, i));
    if (!is_same)
        return before + after;
    if (are_same(def, index, old, new) && are_same(def, index, new, old))
        return 0;
    return before > after ? before : after;
}

void capacity_of_write(const struct larder_dynamodb *d, const struct larder_table_def *def,
                       const struct larder_item *old, const struct larder_item *new, struct capacity *out) {
    uint64_t before = old ? larder_item_size(old) : 0, after = new ? larder_item_size(new) : 0;
    out->table = 2 * units(before > after ? before : after, WRITE_BYTES);
    for (uint32_t i = 0; i < def->index_count; i++)
        out->indexes[i] = 2 * index_units(def, &def->indexes[i], old, new, d->builder);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_sum(struct document_writer *w, enum capacity_kind kind, uint64_t halves) {
    document_put_name(w, TEXT("CapacityUnits"));
    document_put_halves(w, halves);
    if (kind == CAPACITY_PLAIN)
        return;
    document_put_name(w, kind == CAPACITY_OF_READS ? TEXT("ReadCapacityUnits") : TEXT("WriteCapacityUnits"));
    document_put_halves(w, halves);
}

static void write_units(struct document_writer *w, struct text name, enum capacity_kind kind, uint64_t halves) {
    document_put_name(w, name);
    document_put_begin(w, DOCUMENT_OBJECT);
    write_sum(w, kind, halves);
    document_put_end(w, DOCUMENT_OBJECT);
}

/* An index that costs nothing is not named. */
static void write_indexes(const struct larder_table_def *def, const struct capacity *c, int is_local,
                          struct document_writer *w) {
    int is_begun = 0;
    for (uint32_t i = 0; i < def->index_count; i++) {
        const struct larder_index_def *index = &def->indexes[i];
        if (!c->indexes[i] || !index->is_local != !is_local)
            continue;
        if (!is_begun) {
            document_put_name(w, is_local ? TEXT("LocalSecondaryIndexes") : TEXT("GlobalSecondaryIndexes"));
            document_put_begin(w, DOCUMENT_OBJECT);
        }
        is_begun = 1;
        write_units(w, (struct text){index->name, strlen(index->name)}, c->kind, c->indexes[i]);
    }
    if (is_begun)
        document_put_end(w, DOCUMENT_OBJECT);
}

void capacity_write_object(const struct larder_dynamodb *d, const struct larder_table_def *def,
                           const struct capacity *c, struct document_writer *w) {
    const struct request *q = &d->request;
    uint64_t total = c->table;
    for (uint32_t i = 0; i < def->index_count; i++)
        total += c->indexes[i];
    document_put_begin(w, DOCUMENT_OBJECT);
    document_put_name(w, TEXT("TableName"));
    document_put_text(w, q->strings[STRING_TABLE_NAME]); /* as it was given, also an ARN */
    write_sum(w, c->kind, total);
    if (text_is(q->strings[STRING_RETURN_CAPACITY], TEXT("INDEXES"))) {
        write_units(w, TEXT("Table"), c->kind, c->table);
        write_indexes(def, c, 0, w);
        write_indexes(def, c, 1, w);
    }
    document_put_end(w, DOCUMENT_OBJECT);
}

void capacity_write(const struct larder_dynamodb *d, const struct larder_table_def *def, const struct capacity *c,
                    struct document_writer *w) {
    if (!capacity_is_wanted(&d->request))
        return;
    document_put_name(w, TEXT("ConsumedCapacity"));
    capacity_write_object(d, def, c, w);
}
