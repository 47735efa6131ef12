/* dynamodb/transact_check.c - what is checked of a transaction before it is done. See transact.h.
 *
 * Note     Actions without one of their parts and with wrong enums are reported all together, as
 *          constraints are; what is said of several kinds in one action, or none, comes after.
 * Tests    tests/dynamodb/dynamodb_transact_test.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "dynamodb/capacity.h"
#include "dynamodb/check.h"
#include "dynamodb/constraint.h"
#include "dynamodb/prepared.h"
#include "dynamodb/table.h"

#define FIRST "1 validation error detected: Value at "

static int refuse(struct larder_dynamodb *d, const char *message) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", message);
}

/* ---- Constraints ----------------------------------------------------------------------------- */

/* Each of these ends the check. */
static int check_first(struct larder_dynamodb *d) {
    const struct transact *t = &d->transact;
    if (t->token.at && !t->token.bytes)
        return refuse(d, FIRST "'ClientRequestToken' " CONSTRAINT "have length greater than or equal to 1");
    if (t->token.at && t->token.bytes > LARDER_TOKEN_BYTES_MAX)
        return refuse(d, FIRST "'ClientRequestToken' " CONSTRAINT "have length less than or equal to 36");
    if (t->count > LARDER_TRANSACT_ACTIONS_MAX)
        return refuse(d, FIRST "'TransactItems' " CONSTRAINT "have length less than or equal to 100");
    return LARDER_OK;
}

static const char *const kind_names[] = {[TRANSACT_CHECK] = "conditionCheck",
                                         [TRANSACT_PUT] = "put",
                                         [TRANSACT_DELETE] = "delete",
                                         [TRANSACT_UPDATE] = "update",
                                         [TRANSACT_GET] = "get"};

struct path {
    char text[96];
};

static const char *path(struct path *p, const struct transact_action *a, uint32_t number, const char *rest) {
    snprintf(p->text, sizeof p->text, "transactItems.%u.member.%s%s", number + 1, kind_names[a->kind], rest);
    return p->text;
}

static void check_parts(struct constraints *c, const struct transact_action *a, uint32_t i) {
    struct path p;
    if (a->kind == TRANSACT_GET && !a->kind_count)
        constraint_add_null(c, path(&p, a, i, ""));
    if (!a->kind_count)
        return;
    if (!a->has_item)
        constraint_add_null(c, path(&p, a, i, a->kind == TRANSACT_PUT ? ".item" : ".key"));
    if (a->kind == TRANSACT_UPDATE && !a->update.at)
        constraint_add_null(c, path(&p, a, i, ".updateExpression"));
    if (a->table_name.at)
        constraint_add_name(c, a->table_name, path(&p, a, i, ".tableName"));
    else
        constraint_add_null(c, path(&p, a, i, ".tableName"));
    if (a->kind == TRANSACT_CHECK && !a->condition.at)
        constraint_add_null(c, path(&p, a, i, ".conditionExpression"));
    if (a->on_failure.at)
        constraint_add_choice(c, a->on_failure, path(&p, a, i, ".returnValuesOnConditionCheckFailure"),
                              "ALL_OLD, NONE");
}

static int check_constraints(struct larder_dynamodb *d) {
    const struct transact *t = &d->transact;
    struct constraints c = {.count = 0};
    if (t->return_capacity.at)
        constraint_add_choice(&c, t->return_capacity, "returnConsumedCapacity", "INDEXES, TOTAL, NONE");
    if (t->return_metrics.at)
        constraint_add_choice(&c, t->return_metrics, "returnItemCollectionMetrics", "SIZE, NONE");
    if (!t->has_actions)
        constraint_add_null(&c, "transactItems");
    else if (!t->count)
        constraint_add(&c, TEXT("[]"), "transactItems", "have length greater than or equal to 1");
    for (uint32_t i = 0; i < t->count; i++)
        check_parts(&c, &t->actions[i], i);
    return constraint_report(&c, &d->failure);
}

static int check_kinds(struct larder_dynamodb *d) {
    for (uint32_t i = 0; i < d->transact.count; i++) {
        if (d->transact.actions[i].kind_count > 1)
            return refuse(d, "TransactItems can only contain one of Check, Put, Update or Delete");
        if (!d->transact.actions[i].kind_count)
            return refuse(d, "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request");
    }
    return LARDER_OK;
}

/* ---- An action without its table ------------------------------------------------------------- */

static enum operation operation_of(enum transact_kind kind) {
    static const enum operation operations[] = {[TRANSACT_CHECK] = OPERATION_DELETE_ITEM,
                                                [TRANSACT_PUT] = OPERATION_PUT_ITEM,
                                                [TRANSACT_DELETE] = OPERATION_DELETE_ITEM,
                                                [TRANSACT_UPDATE] = OPERATION_UPDATE_ITEM,
                                                [TRANSACT_GET] = OPERATION_GET_ITEM};
    return operations[kind];
}

static void set_map(struct request *q, enum request_map map, const struct larder_item *item) {
    struct values *v = &q->maps[map];
    q->has_maps |= 1u << map;
    v->item = item;
    v->problem = VALUES_OK; /* a problem is the transaction's affair */
    v->is_too_large = v->has_duplicates = 0;
}

void transact_set_request(struct larder_dynamodb *d, const struct transact_action *a) {
    struct request *q = &d->request;
    request_forget(q);
    q->operation = operation_of(a->kind);
    q->strings[STRING_TABLE_NAME] = a->table_name;
    q->strings[STRING_UPDATE] = a->update;
    q->strings[STRING_CONDITION] = a->condition;
    q->strings[STRING_PROJECTION] = a->projection;
    q->strings[STRING_RETURN_CAPACITY] = d->transact.return_capacity;
    q->strings[STRING_RETURN_METRICS] = d->transact.return_metrics;
    set_map(q, a->kind == TRANSACT_PUT ? MAP_ITEM : MAP_KEY, a->item);
    if (a->has_values) {
        set_map(q, MAP_VALUES, a->values);
        q->maps[MAP_VALUES].count = a->value_count;
        q->maps[MAP_VALUES].bad_placeholder = a->bad_placeholder;
    }
    q->has_names = a->has_names;
    for (uint32_t i = 0; i < a->name_count; i++) /* there is room: it has held them */
        q->names[q->name_count++] = d->transact.names[a->first_name + i];
}

/* Its expressions come before its key or item, and after the values of placeholders. */
static int check_action(struct larder_dynamodb *d, uint32_t i) {
    struct transact *t = &d->transact;
    struct transact_action *a = &t->actions[i];
    int has_problem = t->has_problem && t->problem_action == i;
    transact_set_request(d, a);
    int r = check_request(&d->request, &d->failure);
    if (r)
        return r;
    if (has_problem && t->is_problem_of_values)
        return refuse(d, t->problem);
    if ((r = prepared_take_more(d)))
        return r;
    a->expressions = d->expressions;
    return has_problem ? refuse(d, t->problem) : LARDER_OK;
}

/* ---- An action against its table ------------------------------------------------------------- */

int transact_set_reason(struct larder_dynamodb *d, struct transact_action *a, const char *message) {
    if (!a->reason && !(a->reason = strdup(message)))
        return failure_set(&d->failure, FAILURE_INTERNAL, "out of memory");
    return LARDER_OK;
}

/* A failure of a schema's check cancels the transaction, unless it is about a value that no table
 * would take: such a one ends the check. */
static int cancel_or_fail(struct larder_dynamodb *d, struct transact_action *a, int result) {
    if (result == LARDER_OK)
        return LARDER_OK;
    const char *said = d->failure.message;
    if (d->failure.kind != FAILURE_VALIDATION || strstr(said, "cannot contain an empty") ||
        strstr(said, "has exceeded the"))
        return result;
    d->failure.kind = FAILURE_NONE;
    return transact_set_reason(d, a, said);
}

static int check_update(struct larder_dynamodb *d, const struct transact_action *a) {
    const struct prepared *update = a->expressions.update;
    if (!update)
        return LARDER_OK;
    int r = table_check_expression(d, a->def, update->checked);
    if (r || !a->def->index_count)
        return r;
    r = prepared_bind(d, update);
    return r ? r : table_check_update(d, a->def, update->checked);
}

static int take_item_key(const struct larder_table_def *def, const struct larder_item *item, struct larder_key *key) {
    int r = larder_item_get(item, def->partition.name, &key->partition);
    return r || !def->sort.name ? r : larder_item_get(item, def->sort.name, &key->sort);
}

static int check_against_table(struct larder_dynamodb *d, struct transact_action *a) {
    transact_set_request(d, a);
    if (a->kind != TRANSACT_PUT) {
        int r = table_key(d, a->def, a->item, &a->key);
        if (r == LARDER_OK && a->kind == TRANSACT_GET && a->expressions.projection)
            r = table_check_expression(d, a->def, a->expressions.projection->checked);
        return r ? r : check_update(d, a);
    }
    int r = table_check_item(d, a->def, a->item);
    return r ? r : take_item_key(a->def, a->item, &a->key);
}

static int take_table(struct larder_dynamodb *d, struct transact_action *a) {
    const struct known_table *known;
    transact_set_request(d, a);
    int r = table_take(d, &known);
    if (r)
        return r;
    a->table = known->handle;
    a->def = known->def;
    return LARDER_OK;
}

/* ---- All actions together -------------------------------------------------------------------- */

static int is_same_value(const struct larder_value *a, const struct larder_value *b) {
    return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static int is_same_item(const struct transact_action *a, const struct transact_action *b) {
    return a->table == b->table && is_same_value(&a->key.partition, &b->key.partition) &&
           (!a->def->sort.name || is_same_value(&a->key.sort, &b->key.sort));
}

static int check_targets(struct larder_dynamodb *d) {
    const struct transact *t = &d->transact;
    for (uint32_t i = 1; i < t->count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (!t->actions[i].reason && !t->actions[k].reason && is_same_item(&t->actions[i], &t->actions[k]))
                return refuse(d, "Transaction request cannot include multiple operations on one item");
    return LARDER_OK;
}

/* Of puts: what updates make is known when the transaction is under way. */
static int check_bytes(struct larder_dynamodb *d) {
    const struct transact *t = &d->transact;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->count; i++)
        bytes += t->actions[i].kind == TRANSACT_PUT ? larder_item_size(t->actions[i].item) : 0;
    if (bytes <= LARDER_TRANSACT_BYTES_MAX)
        return LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION, "The items of the transaction have %llu bytes; %u are allowed",
                       (unsigned long long)bytes, LARDER_TRANSACT_BYTES_MAX);
}

static int check_reasons(struct larder_dynamodb *d) {
    struct transact *t = &d->transact;
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const char *reason = t->actions[i].reason;
        t->reasons[i] = (struct failure_reason){.code = reason ? "ValidationError" : "None", .message = reason};
        count += reason != NULL;
    }
    return count ? transact_cancel(d) : LARDER_OK;
}

int transact_cancel(struct larder_dynamodb *d) {
    const struct transact *t = &d->transact;
    char codes[FAILURE_MESSAGE_BYTES - 100];
    size_t used = 0;
    for (uint32_t i = 0; i < t->count && used < sizeof codes; i++)
        used += (size_t)snprintf(codes + used, sizeof codes - used, "%s%s", i ? ", " : "", t->reasons[i].code);
    d->failure_reasons = t->reasons;
    d->failure_reason_count = t->count;
    return failure_set(&d->failure, FAILURE_CANCELED,
                       "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", codes);
}

int transact_check(struct larder_dynamodb *d) {
    struct transact *t = &d->transact;
    int r = check_first(d);
    if (r || (r = check_constraints(d)) || (r = check_kinds(d)))
        return r;
    prepared_free_replaced(d);
    for (uint32_t i = 0; i < t->count; i++)
        if ((r = check_action(d, i)))
            return r;
    for (uint32_t i = 0; i < t->count; i++)
        if ((r = take_table(d, &t->actions[i])))
            return r;
    for (uint32_t i = 0; i < t->count; i++)
        if ((r = cancel_or_fail(d, &t->actions[i], check_against_table(d, &t->actions[i]))))
            return r;
    if ((r = check_targets(d)) || (r = check_bytes(d)))
        return r;
    return check_reasons(d);
}

/* ---- Capacity -------------------------------------------------------------------------------- */

static void add_capacity(struct capacity *sum, const struct capacity *c) {
    sum->table += c->table;
    for (uint32_t i = 0; i < LARDER_INDEXES_MAX; i++)
        sum->indexes[i] += c->indexes[i];
}

void transact_write_capacity(struct larder_dynamodb *d, struct capacity *capacity, struct document_writer *w) {
    const struct transact *t = &d->transact;
    if (!t->return_capacity.at || text_is(t->return_capacity, TEXT("NONE")))
        return;
    document_put_name(w, TEXT("ConsumedCapacity"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t first = 0;
        while (t->actions[first].table != t->actions[i].table)
            first++;
        if (first < i)
            continue;
        for (uint32_t k = i + 1; k < t->count; k++)
            if (t->actions[k].table == t->actions[i].table)
                add_capacity(&capacity[i], &capacity[k]);
        transact_set_request(d, &t->actions[i]);
        capacity_write_object(d, t->actions[i].def, &capacity[i], w);
    }
    document_put_end(w, DOCUMENT_ARRAY);
}
