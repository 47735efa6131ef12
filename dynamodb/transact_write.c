/* dynamodb/transact_write.c - TransactWriteItems: larder_transact().
 *
 * Capacity Twice that of the single writes (developer guide, "Capacity management for
 *          transactions"). It follows from the items before and after, which are read beside the
 *          transaction: if others write the same items at that moment, the figure may be of
 *          theirs. A transaction that is sent again with its token costs the reads of its items.
 * Conflict A transaction waits for others that hold its items, where the service cancels it
 *          (TransactionConflict) or says that the one with this token is still under way
 *          (TransactionInProgressException). One that waited too long is a ThrottlingException.
 * Tests    tests/dynamodb/dynamodb_transact_test.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "dynamodb/capacity.h"
#include "dynamodb/metrics.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"

#define UNSUITABLE "The update expression does not suit the item"

/* ---- What failed ----------------------------------------------------------------------------- */

/* The engine's words for one action, behind "larder_transact: actions[3]: ". *number: of the
 * action, or UINT32_MAX. */
static const char *words_of_action(uint32_t *number) {
    const char *said = larder_error(), *end = strstr(said, "]: ");
    *number = UINT32_MAX;
    if (!end || sscanf(said, "larder_transact: actions[%u]", number) != 1)
        return said;
    return end + 3;
}

static int cancel(struct larder_dynamodb *d, const int *results) {
    struct transact *t = &d->transact;
    uint32_t said_of;
    const char *said = words_of_action(&said_of);
    for (uint32_t i = 0; i < t->count; i++) {
        struct failure_reason *reason = &t->reasons[i];
        *reason = (struct failure_reason){.code = "None"};
        if (results[i] == LARDER_REFUSED)
            *reason = (struct failure_reason){.code = "ConditionalCheckFailed",
                                              .message = "The conditional request failed",
                                              .item = larder_page_item(d->page, i)};
        if (results[i] != LARDER_E_INVAL)
            continue;
        int r = transact_set_reason(d, &t->actions[i],
                                    i == said_of ? table_words_of_update(t->actions[i].def, said) : UNSUITABLE);
        if (r)
            return r;
        *reason = (struct failure_reason){.code = "ValidationError", .message = t->actions[i].reason};
    }
    return transact_cancel(d);
}

static int fail(struct larder_dynamodb *d, int result) {
    uint32_t number;
    if (result != LARDER_E_INVAL)
        return context_fail(d, result);
    if (strstr(larder_error(), "(IdempotentParameterMismatch)"))
        return failure_set(&d->failure, FAILURE_MISMATCH,
                           "The request uses the same client token as a previous, but non-identical request");
    const char *said = words_of_action(&number);
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", said);
}

/* ---- The transaction ------------------------------------------------------------------------- */

static struct larder_action action_of(struct larder_dynamodb *d, const struct transact_action *a) {
    static const enum larder_action_kind kinds[] = {[TRANSACT_CHECK] = LARDER_ACTION_CHECK,
                                                    [TRANSACT_PUT] = LARDER_ACTION_PUT,
                                                    [TRANSACT_DELETE] = LARDER_ACTION_DELETE,
                                                    [TRANSACT_UPDATE] = LARDER_ACTION_UPDATE};
    const struct expressions *e = &a->expressions;
    struct larder_action action = {.kind = kinds[a->kind],
                                   .table = a->table,
                                   .condition = e->condition ? e->condition->engine : NULL,
                                   .update = e->update ? e->update->engine : NULL,
                                   .values = a->values ? a->values : d->no_values,
                                   .returns_on_refusal = a->on_failure.at && text_is(a->on_failure, TEXT("ALL_OLD"))};
    if (a->kind == TRANSACT_PUT)
        action.item = a->item;
    else
        action.key = a->key;
    return action;
}

/* *is_repeated: it had been done before, by its token. */
static int transact(struct larder_dynamodb *d, int *is_repeated) {
    const struct transact *t = &d->transact;
    struct larder_action actions[LARDER_TRANSACT_ACTIONS_MAX];
    int results[LARDER_TRANSACT_ACTIONS_MAX];
    char token[LARDER_TOKEN_BYTES_MAX + 1];
    for (uint32_t i = 0; i < t->count; i++)
        actions[i] = action_of(d, &t->actions[i]);
    if (t->token.at) {
        memcpy(token, t->token.at, t->token.bytes);
        token[t->token.bytes] = 0;
        if (strlen(token) != t->token.bytes)
            return failure_set(&d->failure, FAILURE_VALIDATION,
                               "Larder does not have a ClientRequestToken with a zero byte");
    }
    struct larder_transaction transaction = {
        .actions = actions, .count = t->count, .token = t->token.at ? token : NULL, .is_repeated = is_repeated};
    int r = larder_transact(d->db, &transaction, results, d->page);
    if (r == LARDER_REFUSED)
        return cancel(d, results);
    return r ? fail(d, r) : LARDER_OK;
}

/* ---- Capacity and metrics -------------------------------------------------------------------- */

static int is_counted(const struct transact *t) {
    return t->return_capacity.at && !text_is(t->return_capacity, TEXT("NONE"));
}

/* The items before the transaction, copied. */
static int keep_old(struct larder_dynamodb *d) {
    struct transact *t = &d->transact;
    for (uint32_t i = 0; is_counted(t) && i < t->count; i++) {
        struct transact_action *a = &t->actions[i];
        larder_item_free(a->old);
        a->old = NULL;
        int r = larder_get(a->table, &a->key, d->page);
        if (r == LARDER_OK)
            r = larder_item_copy(d->db, larder_page_item(d->page, 0), &a->old);
        if (r < 0)
            return context_fail(d, r);
    }
    return LARDER_OK;
}

static void double_capacity(struct capacity *c, enum capacity_kind kind) {
    c->kind = kind;
    c->table *= 2;
    for (uint32_t i = 0; i < LARDER_INDEXES_MAX; i++)
        c->indexes[i] *= 2;
}

/* The item after the action; NULL: there is none. A check leaves it as it is. */
static const struct larder_item *new_item(struct larder_dynamodb *d, const struct transact_action *a) {
    if (a->kind == TRANSACT_PUT)
        return a->item;
    if (a->kind == TRANSACT_CHECK)
        return a->old;
    if (a->kind == TRANSACT_DELETE)
        return NULL;
    return larder_get(a->table, &a->key, d->page) == LARDER_OK ? larder_page_item(d->page, 0) : NULL;
}

static void write_capacity(struct larder_dynamodb *d, int is_repeated, struct document_writer *w) {
    const struct transact *t = &d->transact;
    struct capacity capacity[LARDER_TRANSACT_ACTIONS_MAX];
    for (uint32_t i = 0; is_counted(t) && i < t->count; i++) {
        const struct transact_action *a = &t->actions[i];
        capacity[i] = (struct capacity){.table = 0};
        if (is_repeated)
            capacity[i].table = capacity_of_read(a->old ? larder_item_size(a->old) : 0, 1);
        else
            capacity_of_write(d, a->def, a->old, new_item(d, a), &capacity[i]);
        double_capacity(&capacity[i], is_repeated ? CAPACITY_OF_READS : CAPACITY_OF_WRITES);
    }
    transact_write_capacity(d, capacity, w);
}

/* Whether an action before it wrote the same partition. */
static int is_met(const struct transact *t, uint32_t number) {
    const struct transact_action *a = &t->actions[number];
    for (uint32_t i = 0; i < number; i++) {
        const struct transact_action *b = &t->actions[i];
        if (b->kind != TRANSACT_CHECK && b->table == a->table && b->key.partition.bytes == a->key.partition.bytes &&
            memcmp(b->key.partition.data, a->key.partition.data, a->key.partition.bytes) == 0)
            return 1;
    }
    return 0;
}

static void write_metrics_of_table(struct larder_dynamodb *d, uint32_t first, struct document_writer *w) {
    const struct transact *t = &d->transact;
    document_put_name(w, t->actions[first].table_name);
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = first; i < t->count; i++)
        if (t->actions[i].table == t->actions[first].table && t->actions[i].kind != TRANSACT_CHECK && !is_met(t, i))
            metrics_write_object(d, t->actions[i].def, &t->actions[i].key.partition, w);
    document_put_end(w, DOCUMENT_ARRAY);
}

/* "ItemCollectionMetrics": {"Table": [..]} of tables with local indexes, each partition once. */
static void write_metrics(struct larder_dynamodb *d, struct document_writer *w) {
    const struct transact *t = &d->transact;
    int is_begun = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t first = 0;
        transact_set_request(d, &t->actions[i]);
        while (t->actions[first].table != t->actions[i].table)
            first++;
        if (first < i || !metrics_are_wanted(&d->request, t->actions[i].def))
            continue;
        if (!is_begun) {
            document_put_name(w, TEXT("ItemCollectionMetrics"));
            document_put_begin(w, DOCUMENT_OBJECT);
        }
        is_begun = 1;
        write_metrics_of_table(d, i, w);
    }
    if (is_begun)
        document_put_end(w, DOCUMENT_OBJECT);
}

int operation_transact_write_items(struct larder_dynamodb *d, struct document_writer *w) {
    int is_repeated = 0, r = transact_check(d);
    if (r || (r = keep_old(d)) || (r = transact(d, &is_repeated)))
        return r;
    write_capacity(d, is_repeated, w);
    write_metrics(d, w);
    return LARDER_OK;
}
