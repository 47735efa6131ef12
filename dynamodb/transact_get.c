/* dynamodb/transact_get.c - TransactGetItems: larder_transact_get().
 *
 * Idea     The engine reads whole items; a projection is applied to what it read, as GetItem does.
 *          So the size of all that was read is known, which is what counts for capacity.
 * Tests    tests/dynamodb/dynamodb_transact_test.c
 */
#include "dynamodb/capacity.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"

/* Writers were faster than the items could be read together. The service says so of the items whose
 * writes are under way; which these are is not known here. */
static int conflict(struct larder_dynamodb *d) {
    struct transact *t = &d->transact;
    for (uint32_t i = 0; i < t->count; i++)
        t->reasons[i] =
            (struct failure_reason){.code = "TransactionConflict", .message = "Transaction is ongoing for the item"};
    return transact_cancel(d);
}

static int get(struct larder_dynamodb *d) {
    const struct transact *t = &d->transact;
    struct larder_transact_key keys[LARDER_TRANSACT_ACTIONS_MAX];
    for (uint32_t i = 0; i < t->count; i++)
        keys[i] = (struct larder_transact_key){.table = t->actions[i].table, .key = t->actions[i].key};
    int r = larder_transact_get(d->db, keys, t->count, d->page);
    if (r == LARDER_E_BUSY && strstr(larder_error(), "change faster"))
        return conflict(d);
    return r ? context_fail(d, r) : LARDER_OK;
}

/* {"Item": {..}}, or {} of an item that is not there. */
static int answer(struct larder_dynamodb *d, const struct transact_action *a, const struct larder_item *item,
                  struct document_writer *w) {
    const struct larder_item *shown = item;
    int r = LARDER_OK;
    if (item && a->expressions.projection)
        r = prepared_project(d, a->expressions.projection, item, &shown);
    document_put_begin(w, DOCUMENT_OBJECT);
    if (item && r == LARDER_OK) {
        document_put_name(w, TEXT("Item"));
        document_put_item(w, shown ? shown : d->no_values);
    }
    document_put_end(w, DOCUMENT_OBJECT);
    return r;
}

int operation_transact_get_items(struct larder_dynamodb *d, struct document_writer *w) {
    const struct transact *t = &d->transact;
    struct capacity capacity[LARDER_TRANSACT_ACTIONS_MAX];
    int r = transact_check(d);
    if (r || (r = get(d)))
        return r;
    document_put_name(w, TEXT("Responses"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++) {
        const struct larder_item *item = larder_page_item(d->page, i);
        capacity[i] = (struct capacity){.table = 2 * capacity_of_read(item ? larder_item_size(item) : 0, 1),
                                        .kind = CAPACITY_OF_READS};
        r = answer(d, &t->actions[i], item, w);
    }
    document_put_end(w, DOCUMENT_ARRAY);
    if (r == LARDER_OK)
        transact_write_capacity(d, capacity, w);
    return r;
}
