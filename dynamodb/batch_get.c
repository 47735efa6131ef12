/* dynamodb/batch_get.c - BatchGetItem.
 *
 * Sources  API reference, BatchGetItem: 16 MB, UnprocessedKeys. Capacity: each item is rounded up
 *          by itself.
 * Tests    tests/dynamodb/dynamodb_batch_test.c
 */
#include "dynamodb/batch.h"
#include "dynamodb/capacity.h"
#include "dynamodb/check.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"

#define BYTES_MAX (16u << 20)

static int is_same_item(const struct larder_item *a, const struct larder_item *b) {
    size_t bytes = item_head(a)->bytes;
    return bytes == item_head(b)->bytes && memcmp(a, b, bytes) == 0;
}

static int has_duplicates(const struct batch *b, const struct batch_table *t) {
    for (uint32_t i = 1; i < t->count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (is_same_item(b->entries[t->first + i].item, b->entries[t->first + k].item))
                return 1;
    return 0;
}

/* Expressions and values of a table's part, without the table. */
static int check_part(struct larder_dynamodb *d, const struct batch_table *t) {
    batch_set_request(d, t, OPERATION_GET_ITEM);
    d->request.has_maps = 1u << MAP_KEY; /* its problems are the batch's affair */
    d->request.maps[MAP_KEY].problem = VALUES_OK;
    d->request.maps[MAP_KEY].is_too_large = d->request.maps[MAP_KEY].has_duplicates = 0;
    int r = check_request(&d->request, &d->failure);
    if (r || (r = prepared_take(d)))
        return r;
    if (t->has_problem)
        return failure_set(&d->failure, FAILURE_VALIDATION, "%s", d->batch.message);
    if (has_duplicates(&d->batch, t))
        return failure_set(&d->failure, FAILURE_VALIDATION, "Provided list of item keys contains duplicates");
    return LARDER_OK;
}

/* d->batch.keys against the table's schema. */
static int take_keys(struct larder_dynamodb *d, const struct batch_table *t, const struct known_table **known) {
    batch_set_request(d, t, OPERATION_GET_ITEM);
    int r = table_take(d, known);
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++)
        r = table_key(d, (*known)->def, d->batch.entries[t->first + i].item, &d->batch.keys[i]);
    return r;
}

static int check(struct larder_dynamodb *d) {
    const struct batch *b = &d->batch;
    const struct known_table *known;
    int r = batch_check(b, &d->failure);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        r = check_part(d, &b->tables[i]);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        r = take_keys(d, &b->tables[i], &known);
    return r;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static int answer_item(struct larder_dynamodb *d, const struct larder_item *item, struct document_writer *w) {
    const struct larder_item *shown = item;
    if (d->expressions.projection) {
        int r = prepared_project(d, d->expressions.projection, item, &shown);
        if (r)
            return r;
    }
    document_put_item(w, shown ? shown : d->no_values);
    return LARDER_OK;
}

static int answer_table(struct larder_dynamodb *d, struct batch_table *t, uint64_t *bytes, struct document_writer *w) {
    const struct known_table *known;
    int r = take_keys(d, t, &known);
    if (r || (r = prepared_take(d)))
        return r;
    if (d->expressions.projection && (r = table_check_expression(d, known->def, d->expressions.projection->checked)))
        return r;
    if ((r = larder_get_many(known->handle, d->batch.keys, t->count, d->page)))
        return context_fail(d, r);
    t->capacity = (struct capacity){.table = 0};
    document_put_name(w, t->name);
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++) {
        const struct larder_item *item = larder_page_item(d->page, i);
        uint64_t size = item ? larder_item_size(item) : 0;
        struct batch_entry *e = &d->batch.entries[t->first + i];
        e->is_left = *bytes + size > BYTES_MAX;
        if (e->is_left)
            continue;
        *bytes += size;
        t->capacity.table += capacity_of_read(size, t->is_consistent == 1);
        r = item ? answer_item(d, item, w) : LARDER_OK;
    }
    document_put_end(w, DOCUMENT_ARRAY);
    return r;
}

static void write_names(const struct batch *b, const struct batch_table *t, struct document_writer *w) {
    document_put_name(w, TEXT("ExpressionAttributeNames"));
    document_put_begin(w, DOCUMENT_OBJECT);
    for (uint32_t i = 0; i < t->name_count; i++) {
        const struct expr_name *n = &b->names[t->first_name + i];
        document_put_name(w, (struct text){(const char *)n->placeholder.at, n->placeholder.len});
        document_put_text(w, (struct text){(const char *)n->name.at, n->name.len});
    }
    document_put_end(w, DOCUMENT_OBJECT);
}

/* What is left, as a request for it. */
static void write_left(const struct batch *b, const struct batch_table *t, struct document_writer *w) {
    int is_begun = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (!b->entries[t->first + i].is_left)
            continue;
        if (!is_begun) {
            document_put_name(w, t->name);
            document_put_begin(w, DOCUMENT_OBJECT);
            document_put_name(w, TEXT("Keys"));
            document_put_begin(w, DOCUMENT_ARRAY);
        }
        is_begun = 1;
        document_put_item(w, b->entries[t->first + i].item);
    }
    if (!is_begun)
        return;
    document_put_end(w, DOCUMENT_ARRAY);
    if (t->projection.at) {
        document_put_name(w, TEXT("ProjectionExpression"));
        document_put_text(w, t->projection);
    }
    if (t->has_attributes) {
        document_put_name(w, TEXT("AttributesToGet"));
        document_put_begin(w, DOCUMENT_ARRAY);
        for (uint32_t i = 0; i < t->attribute_count; i++)
            document_put_text(w, b->attributes[t->first_attribute + i]);
        document_put_end(w, DOCUMENT_ARRAY);
    }
    if (t->name_count)
        write_names(b, t, w);
    if (t->is_consistent >= 0) {
        document_put_name(w, TEXT("ConsistentRead"));
        document_put_boolean(w, t->is_consistent);
    }
    document_put_end(w, DOCUMENT_OBJECT);
}

int operation_batch_get_item(struct larder_dynamodb *d, struct document_writer *w) {
    struct batch *b = &d->batch;
    uint64_t bytes = 0;
    int r = check(d);
    if (r)
        return r;
    document_put_name(w, TEXT("Responses"));
    document_put_begin(w, DOCUMENT_OBJECT);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        r = answer_table(d, &b->tables[i], &bytes, w);
    document_put_end(w, DOCUMENT_OBJECT);
    document_put_name(w, TEXT("UnprocessedKeys"));
    document_put_begin(w, DOCUMENT_OBJECT);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        write_left(b, &b->tables[i], w);
    document_put_end(w, DOCUMENT_OBJECT);
    return r ? r : batch_write_capacity(d, w);
}
