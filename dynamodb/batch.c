/* dynamodb/batch.c - what BatchGetItem and BatchWriteItem share. See batch.h.
 *
 * Sources  Order and words: dynalite's suites (batchGetItem, batchWriteItem), run against the
 *          service. The value of a map is left out of a constraint's message, as the service does
 *          since June 2026.
 */
#include "dynamodb/batch.h"

#include <stdio.h>

#include "dynamodb/capacity.h"
#include "dynamodb/constraint.h"
#include "dynamodb/table.h"

#define AT_ITEMS "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: "

static int refuse(struct failure *f, const char *message) {
    return failure_set(f, FAILURE_VALIDATION, "%s", message);
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static void check_entries(struct constraints *c, const struct batch *b, const struct batch_table *t) {
    char name[400];
    for (uint32_t i = 0; i < t->count; i++) {
        const struct batch_entry *e = &b->entries[t->first + i];
        if (!e->is_null)
            continue;
        snprintf(name, sizeof name,
                 b->is_write ? "requestItems.%.*s.member.%u.member.%s" : "requestItems.%.*s.member.keys.%u.member",
                 (int)t->name.bytes, t->name.at, i + 1, e->is_put ? "putRequest.item" : "deleteRequest.key");
        constraint_add_null(c, name);
    }
}

static int check_gets(struct constraints *c, const struct batch *b, struct failure *f) {
    char name[400];
    for (uint32_t i = 0; i < b->table_count; i++) {
        const struct batch_table *t = &b->tables[i];
        snprintf(name, sizeof name, "requestItems.%.*s.member.keys", (int)t->name.bytes, t->name.at);
        if (!t->has_entries)
            constraint_add_null(c, name);
        else if (!t->count)
            constraint_add(c, TEXT("[]"), name, "have length greater than or equal to 1");
        else if (t->count > BATCH_GETS_MAX)
            return failure_set(f, FAILURE_VALIDATION,
                               "1 validation error detected: Value at '%s' " CONSTRAINT
                               "have length less than or equal to %u",
                               name, BATCH_GETS_MAX);
    }
    return LARDER_OK;
}

static int check_counts(const struct batch *b, struct failure *f) {
    for (uint32_t i = 0; b->is_write && i < b->table_count; i++)
        if (!b->tables[i].count || b->tables[i].count > BATCH_WRITES_MAX)
            return refuse(f, AT_ITEMS
                          "Map value must satisfy constraint: [Member must have length less than or equal to 25, "
                          "Member must have length greater than or equal to 1]");
    return LARDER_OK;
}

static int check_names(const struct batch *b, struct failure *f) {
    for (uint32_t i = 0; i < b->table_count; i++) {
        struct constraints c = {.count = 0};
        constraint_add_name(&c, b->tables[i].name, "");
        if (c.count)
            return refuse(f, AT_ITEMS
                          "Map keys must satisfy constraint: [Member must have length less than or equal to 255, "
                          "Member must have length greater than or equal to 3, Member must satisfy regular "
                          "expression pattern: [a-zA-Z0-9_.-]+]");
    }
    return LARDER_OK;
}

static int check_total(const struct batch *b, struct failure *f) {
    if (b->entry_count > (b->is_write ? BATCH_WRITES_MAX : BATCH_GETS_MAX))
        return failure_set(f, FAILURE_VALIDATION, "Too many items requested for the Batch%sItem call",
                           b->is_write ? "Write" : "Get");
    return LARDER_OK;
}

int batch_check(const struct batch *b, struct failure *f) {
    struct constraints c = {.count = 0};
    int r;
    if (b->return_capacity.at)
        constraint_add_choice(&c, b->return_capacity, "returnConsumedCapacity", "INDEXES, TOTAL, NONE");
    if (b->return_metrics.at)
        constraint_add_choice(&c, b->return_metrics, "returnItemCollectionMetrics", "SIZE, NONE");
    if (!b->has_items)
        constraint_add_null(&c, "requestItems");
    else if (!b->table_count)
        constraint_add(&c, TEXT("{}"), "requestItems", "have length greater than or equal to 1");
    if ((r = constraint_report(&c, f)) || (r = check_names(b, f)) || (r = check_counts(b, f)))
        return r;
    if (!b->is_write && (r = check_gets(&c, b, f)))
        return r;
    for (uint32_t i = 0; i < b->table_count; i++)
        check_entries(&c, b, &b->tables[i]);
    return (r = constraint_report(&c, f)) ? r : check_total(b, f);
}

/* ---- A table's part -------------------------------------------------------------------------- */

void batch_set_request(struct larder_dynamodb *d, const struct batch_table *t, enum operation operation) {
    struct request *q = &d->request;
    request_forget(q);
    q->operation = operation;
    q->strings[STRING_TABLE_NAME] = t->name;
    q->strings[STRING_RETURN_CAPACITY] = d->batch.return_capacity;
    q->strings[STRING_RETURN_METRICS] = d->batch.return_metrics;
    q->strings[STRING_PROJECTION] = t->projection;
    q->booleans[BOOLEAN_CONSISTENT_READ] = t->is_consistent;
    q->older.given = t->has_attributes ? 1u << OLDER_ATTRIBUTES_TO_GET : 0;
    for (uint32_t i = 0; i < t->attribute_count; i++) /* there is room: it has held them */
        older_add_attribute(&q->older, d->batch.attributes[t->first_attribute + i]);
    q->has_names = t->has_names;
    for (uint32_t i = 0; i < t->name_count; i++) /* there is room: it has held them */
        q->names[q->name_count++] = d->batch.names[t->first_name + i];
}

int batch_write_capacity(struct larder_dynamodb *d, struct document_writer *w) {
    const struct batch *b = &d->batch;
    const struct known_table *known;
    if (!b->return_capacity.at || text_is(b->return_capacity, TEXT("NONE")))
        return LARDER_OK;
    document_put_name(w, TEXT("ConsumedCapacity"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < b->table_count; i++) {
        batch_set_request(d, &b->tables[i], OPERATION_GET_ITEM);
        int r = table_take(d, &known);
        if (r)
            return r;
        capacity_write_object(d, known->def, &b->tables[i].capacity, w);
    }
    document_put_end(w, DOCUMENT_ARRAY);
    return LARDER_OK;
}
