/* dynamodb/batch_write.c - BatchWriteItem.
 *
 * Idea     Writes are made one after the other, each as PutItem or DeleteItem without a condition.
 *          If another process holds what one of them needs for too long, it and all that follow are
 *          given back as UnprocessedItems, as the service does with writes that it throttles.
 * Full     A segment that gets full in the middle is a LimitExceededException; what was written
 *          before stays. Clients may send the request again: puts and deletes can be repeated.
 * Sources  API reference, BatchWriteItem; words: dynalite's suite (batchWriteItem).
 * Tests    tests/dynamodb/dynamodb_batch_test.c
 */
#include "dynamodb/batch.h"
#include "dynamodb/capacity.h"
#include "dynamodb/metrics.h"
#include "dynamodb/operations.h"

static int refuse_key(struct larder_dynamodb *d) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "The provided key element does not match the schema");
}

/* ---- Checks ---------------------------------------------------------------------------------- */

/* Against the table; the item's key, to compare it with others. A batch says of a missing key and
 * of one of a wrong type what DeleteItem says. */
static int take_key(struct larder_dynamodb *d, const struct larder_table_def *def, const struct batch_entry *e,
                    struct larder_key *key) {
    struct larder_value *values[] = {&key->partition, &key->sort};
    const struct larder_key_def *keys[] = {&def->partition, &def->sort};
    if (!e->is_put)
        return table_key(d, def, e->item, key);
    for (uint32_t i = 0; i < table_key_count(def); i++)
        if (larder_item_get(e->item, keys[i]->name, values[i]) != LARDER_OK || values[i]->type != keys[i]->type)
            return refuse_key(d);
    return table_check_item(d, def, e->item);
}

static int is_same_value(const struct larder_value *a, const struct larder_value *b) {
    return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static int check_table(struct larder_dynamodb *d, const struct batch_table *t) {
    struct larder_key *keys = d->batch.keys;
    const struct known_table *known;
    batch_set_request(d, t, OPERATION_PUT_ITEM);
    int r = table_take(d, &known);
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++) {
        r = take_key(d, known->def, &d->batch.entries[t->first + i], &keys[i]);
        for (uint32_t k = 0; k < i && r == LARDER_OK; k++)
            if (is_same_value(&keys[i].partition, &keys[k].partition) &&
                (!known->def->sort.name || is_same_value(&keys[i].sort, &keys[k].sort)))
                r = failure_set(&d->failure, FAILURE_VALIDATION, "Provided list of item keys contains duplicates");
    }
    return r;
}

static int check(struct larder_dynamodb *d) {
    const struct batch *b = &d->batch;
    int r = batch_check(b, &d->failure);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        if (b->tables[i].has_problem)
            r = failure_set(&d->failure, FAILURE_VALIDATION, "%s", b->message);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        r = check_table(d, &b->tables[i]);
    return r;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int write_entry(struct larder_dynamodb *d, const struct known_table *known, struct batch_table *t,
                       struct batch_entry *e) {
    struct larder_action action = {.kind = e->is_put ? LARDER_ACTION_PUT : LARDER_ACTION_DELETE,
                                   .table = known->handle};
    struct capacity c = {.table = 0};
    int is_counted = capacity_is_wanted(&d->request);
    int r = take_key(d, known->def, e, &action.key);
    if (r)
        return r;
    action.item = e->is_put ? e->item : NULL;
    action.returns = is_counted ? LARDER_RETURNS_ALL_OLD : LARDER_RETURNS_NONE;
    if (e->is_put)
        action.key = (struct larder_key){.partition = {.type = 0}};
    r = larder_write(&action, is_counted ? d->page : NULL);
    if (r < 0 || !is_counted)
        return r < 0 ? r : LARDER_OK; /* also if there was nothing to delete */
    capacity_of_write(d, known->def, larder_page_item(d->page, 0), action.item, &c);
    t->capacity.table += c.table;
    for (uint32_t i = 0; i < known->def->index_count; i++)
        t->capacity.indexes[i] += c.indexes[i];
    return LARDER_OK;
}

static int write_table(struct larder_dynamodb *d, struct batch_table *t, int *is_busy) {
    const struct known_table *known;
    batch_set_request(d, t, OPERATION_PUT_ITEM);
    int r = table_take(d, &known);
    t->capacity = (struct capacity){.table = 0};
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++) {
        struct batch_entry *e = &d->batch.entries[t->first + i];
        if (!*is_busy)
            r = write_entry(d, known, t, e);
        if (r == LARDER_E_BUSY || r == LARDER_E_NO_SLOT) {
            *is_busy = 1;
            r = LARDER_OK;
        }
        e->is_left = *is_busy;
    }
    return r && d->failure.kind == FAILURE_NONE ? context_fail(d, r) : r;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void write_left(const struct batch *b, const struct batch_table *t, struct document_writer *w) {
    int is_begun = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct batch_entry *e = &b->entries[t->first + i];
        if (!e->is_left)
            continue;
        if (!is_begun) {
            document_put_name(w, t->name);
            document_put_begin(w, DOCUMENT_ARRAY);
        }
        is_begun = 1;
        document_put_begin(w, DOCUMENT_OBJECT);
        document_put_name(w, e->is_put ? TEXT("PutRequest") : TEXT("DeleteRequest"));
        document_put_begin(w, DOCUMENT_OBJECT);
        document_put_name(w, e->is_put ? TEXT("Item") : TEXT("Key"));
        document_put_item(w, e->item);
        document_put_end(w, DOCUMENT_OBJECT);
        document_put_end(w, DOCUMENT_OBJECT);
    }
    if (is_begun)
        document_put_end(w, DOCUMENT_ARRAY);
}

/* "ItemCollectionMetrics": {"Table": [..]} of tables with local indexes, each partition once. */
static int write_metrics(struct larder_dynamodb *d, struct document_writer *w) {
    const struct batch *b = &d->batch;
    const struct known_table *known;
    int is_begun = 0;
    for (uint32_t i = 0; i < b->table_count; i++) {
        const struct batch_table *t = &b->tables[i];
        batch_set_request(d, t, OPERATION_PUT_ITEM);
        int r = table_take(d, &known);
        if (r)
            return r;
        if (!metrics_are_wanted(&d->request, known->def))
            continue;
        if (!is_begun) {
            document_put_name(w, TEXT("ItemCollectionMetrics"));
            document_put_begin(w, DOCUMENT_OBJECT);
        }
        is_begun = 1;
        document_put_name(w, t->name);
        document_put_begin(w, DOCUMENT_ARRAY);
        for (uint32_t k = 0; k < t->count; k++) {
            int is_known = b->entries[t->first + k].is_left;
            if ((r = take_key(d, known->def, &b->entries[t->first + k], &d->batch.keys[k])))
                return r;
            for (uint32_t l = 0; l < k; l++)
                is_known |= is_same_value(&d->batch.keys[k].partition, &d->batch.keys[l].partition);
            if (!is_known)
                metrics_write_object(d, known->def, &d->batch.keys[k].partition, w);
        }
        document_put_end(w, DOCUMENT_ARRAY);
    }
    if (is_begun)
        document_put_end(w, DOCUMENT_OBJECT);
    return LARDER_OK;
}

int operation_batch_write_item(struct larder_dynamodb *d, struct document_writer *w) {
    struct batch *b = &d->batch;
    int is_busy = 0, r = check(d);
    for (uint32_t i = 0; i < b->table_count && r == LARDER_OK; i++)
        r = write_table(d, &b->tables[i], &is_busy);
    if (r)
        return r;
    if (is_busy && b->entries[0].is_left) /* nothing was done */
        return context_fail(d, LARDER_E_BUSY);
    document_put_name(w, TEXT("UnprocessedItems"));
    document_put_begin(w, DOCUMENT_OBJECT);
    for (uint32_t i = 0; i < b->table_count; i++)
        write_left(b, &b->tables[i], w);
    document_put_end(w, DOCUMENT_OBJECT);
    return (r = write_metrics(d, w)) ? r : batch_write_capacity(d, w);
}
