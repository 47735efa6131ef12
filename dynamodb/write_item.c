/* dynamodb/write_item.c - PutItem, DeleteItem, UpdateItem: larder_write() with a condition.
 *
 * Capacity What an update costs follows from the item before and after. larder_write() gives one of
 *          them; the other is read before or after it. If others write the same item at that
 *          moment, the figure may be of their item.
 * Tests    tests/dynamodb/dynamodb_item_test.c, dynamodb_capacity_test.c
 */
#include "dynamodb/capacity.h"
#include "dynamodb/metrics.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"

static int returns(const struct larder_dynamodb *d, struct text wanted) {
    struct text given = d->request.strings[STRING_RETURN_VALUES];
    return given.at && text_is(given, wanted);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int refuse(struct larder_dynamodb *d) {
    struct text wanted = d->request.strings[STRING_RETURN_ON_FAILURE];
    if (wanted.at && text_is(wanted, TEXT("ALL_OLD")))
        d->failure_item = larder_page_item(d->page, 0);
    return failure_set(&d->failure, FAILURE_CONDITION, "The conditional request failed");
}

/* The service has other words for AttributeUpdates. */
static int fail_update(struct larder_dynamodb *d, const struct larder_table_def *def) {
    const char *said = larder_error();
    if (d->request.older.given && strcmp(said, "An operand in the update expression has an incorrect data type") == 0)
        return failure_set(&d->failure, FAILURE_VALIDATION, "Type mismatch for attribute to update");
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", table_words_of_update(def, said));
}

/* What the page has after it is action->returns. */
static int write(struct larder_dynamodb *d, const struct larder_table_def *def, struct larder_action *action) {
    struct text on_failure = d->request.strings[STRING_RETURN_ON_FAILURE];
    if (d->expressions.condition)
        action->condition = d->expressions.condition->engine;
    action->values = prepared_values(d);
    action->returns_on_refusal = on_failure.at && text_is(on_failure, TEXT("ALL_OLD"));
    int needs_page = action->returns || action->returns_on_refusal;
    int r = larder_write(action, needs_page ? d->page : NULL);
    if (r == LARDER_REFUSED)
        return refuse(d);
    if (r == LARDER_E_INVAL && action->kind == LARDER_ACTION_UPDATE)
        return fail_update(d, def);
    return r < 0 ? context_fail(d, r) : LARDER_OK;
}

static const struct larder_item *written(const struct larder_dynamodb *d, const struct larder_action *action) {
    return action->returns ? larder_page_item(d->page, 0) : NULL;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void write_attributes(const struct larder_item *item, struct document_writer *w) {
    if (!item)
        return;
    document_put_name(w, TEXT("Attributes"));
    document_put_item(w, item);
}

static void write_capacity(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_item *old,
                           const struct larder_item *new, struct document_writer *w) {
    struct capacity c = {.table = 0};
    if (!capacity_is_wanted(&d->request))
        return;
    capacity_of_write(d, def, old, new, &c);
    capacity_write(d, def, &c, w);
}

/* ---- PutItem and DeleteItem ------------------------------------------------------------------ */

/* Also a put or delete without ReturnValues has to know the old item if its cost is asked for. */
static enum larder_returns old_if_needed(const struct larder_dynamodb *d) {
    return returns(d, TEXT("ALL_OLD")) || capacity_is_wanted(&d->request) ? LARDER_RETURNS_ALL_OLD
                                                                          : LARDER_RETURNS_NONE;
}

static void answer_old(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_item *old,
                       const struct larder_item *new, struct document_writer *w) {
    if (returns(d, TEXT("ALL_OLD")))
        write_attributes(old, w);
    write_capacity(d, def, old, new, w);
}

int operation_put_item(struct larder_dynamodb *d, struct document_writer *w) {
    const struct known_table *t;
    const struct larder_item *item = d->request.maps[MAP_ITEM].item;
    struct larder_value partition;
    int r = table_take(d, &t);
    if (r || (r = table_check_item(d, t->def, item)))
        return r;
    struct larder_action action = {
        .kind = LARDER_ACTION_PUT, .table = t->handle, .item = item, .returns = old_if_needed(d)};
    if ((r = write(d, t->def, &action)))
        return r;
    answer_old(d, t->def, written(d, &action), item, w);
    if (larder_item_get(item, t->def->partition.name, &partition) == LARDER_OK)
        metrics_write(d, t->def, &partition, w);
    return LARDER_OK;
}

int operation_delete_item(struct larder_dynamodb *d, struct document_writer *w) {
    const struct known_table *t;
    struct larder_action action = {.kind = LARDER_ACTION_DELETE, .returns = old_if_needed(d)};
    int r = table_take(d, &t);
    if (r || (r = table_key(d, t->def, d->request.maps[MAP_KEY].item, &action.key)))
        return r;
    action.table = t->handle;
    if ((r = write(d, t->def, &action)))
        return r;
    answer_old(d, t->def, written(d, &action), NULL, w);
    metrics_write(d, t->def, &action.key.partition, w);
    return LARDER_OK;
}

/* ---- UpdateItem ------------------------------------------------------------------------------ */

static int wants_old(const struct larder_dynamodb *d) {
    return returns(d, TEXT("ALL_OLD")) || returns(d, TEXT("UPDATED_OLD"));
}

static int wants_new(const struct larder_dynamodb *d) {
    return returns(d, TEXT("ALL_NEW")) || returns(d, TEXT("UPDATED_NEW"));
}

static int check_update(struct larder_dynamodb *d, const struct larder_table_def *def) {
    const struct prepared *update = d->expressions.update;
    if (!update)
        return LARDER_OK;
    int r = table_check_expression(d, def, update->checked);
    if (r || !def->index_count)
        return r;
    r = prepared_bind(d, update);
    return r ? r : table_check_update(d, def, update->checked);
}

/* What ReturnValues asks for of the item that the write gave. Without an UpdateExpression nothing
 * is updated. */
static int answer_update(struct larder_dynamodb *d, const struct larder_item *item, struct document_writer *w) {
    int is_part = returns(d, TEXT("UPDATED_OLD")) || returns(d, TEXT("UPDATED_NEW"));
    const struct larder_item *shown = item;
    int r = LARDER_OK;
    if (is_part && item) {
        shown = NULL;
        if (d->expressions.update)
            r = prepared_project(d, d->expressions.update, item, &shown);
    }
    if (r == LARDER_OK && (wants_old(d) || wants_new(d)))
        write_attributes(shown, w);
    return r;
}

/* The item beside the write: see "Capacity" in the head. NULL: there is none. */
static const struct larder_item *read_beside(struct larder_dynamodb *d, const struct larder_action *action) {
    return larder_get(action->table, &action->key, d->other_page) == LARDER_OK ? larder_page_item(d->other_page, 0)
                                                                               : NULL;
}

int operation_update_item(struct larder_dynamodb *d, struct document_writer *w) {
    const struct known_table *t;
    const struct larder_item *beside = NULL;
    struct larder_action action = {.kind = LARDER_ACTION_UPDATE};
    int is_counted = capacity_is_wanted(&d->request), r = table_take(d, &t);
    if (r || (r = table_key(d, t->def, d->request.maps[MAP_KEY].item, &action.key)) || (r = check_update(d, t->def)))
        return r;
    action.table = t->handle;
    action.update = d->expressions.update ? d->expressions.update->engine : NULL;
    action.returns = wants_old(d)                 ? LARDER_RETURNS_ALL_OLD
                     : wants_new(d) || is_counted ? LARDER_RETURNS_ALL_NEW
                                                  : LARDER_RETURNS_NONE;
    if (is_counted && !wants_old(d))
        beside = read_beside(d, &action);
    if ((r = write(d, t->def, &action)))
        return r;
    const struct larder_item *item = written(d, &action);
    if ((r = answer_update(d, item, w)))
        return r;
    if (is_counted && wants_old(d))
        beside = read_beside(d, &action);
    write_capacity(d, t->def, wants_old(d) ? item : beside, wants_old(d) ? beside : item, w);
    metrics_write(d, t->def, &action.key.partition, w);
    return LARDER_OK;
}
