/* core/table/action.c - larder_write(): a put, update or delete under a condition.
 *
 * Idea     Everything is decided under the stripe's lock, on a private copy of the present item: so
 *          no other write comes between, nothing is tried again because of others, and of many
 *          processes that change one item each makes progress. A copy costs less than checking each
 *          byte of the segment as it is read.
 * Rules    A1 Values are found and their types checked before the lock is taken.
 *          A2 Under the lock an expression is evaluated in memory that the writer has; what is
 *             lacking is an obstacle (core/memory/obstacle.h).
 *          A3 An expired item counts as none.
 * Tests    tests/api/write_test.c, tests/crash/scenarios.c (write ..)
 */
#include <string.h>

#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/item/item_records.h"
#include "core/item/num.h"
#include "core/table/action.h"
#include "core/table/db.h"
#include "core/table/put.h"
#include "core/table/read.h"
#include "core/table/replace.h"
#include "expr/update.h"

#define KEY_ITEM_BYTES 128u     /* of an item of two keys, besides names and values */
#define UPDATE_BYTES_FIRST 1024 /* room that is tried first */

/* ---- Conditions ------------------------------------------------------------------------------ */

/* The present item, copied to w->before, or NULL. */
static int copy_present(struct writer *w, const struct write *c, const struct item_head **present) {
    int r = write_copy_old(w, c);
    *present = r == LARDER_OK && c->was_there ? w->before : NULL;
    if (*present && !item_is_readable(*present, (*present)->bytes))
        return change_damaged(c->old_word);
    return r;
}

/* LARDER_OK: the condition is true, or there is none. */
static int check(const struct act *act, const struct item_head *present) {
    const struct larder_expr *condition = act->action->condition;
    int truth = condition ? expr_truth(condition->compiled, act->condition.all, present) : 1;
    return truth < 0 ? truth : truth ? LARDER_OK : LARDER_REFUSED;
}

/* Under the lock. LARDER_OK and the present item, if it is needed; LARDER_REFUSED. */
static int admit(struct writer *w, struct act *act, const struct item_head **present) {
    struct write *c = &act->write;
    const struct larder_action *a = act->action;
    *present = NULL;
    int is_needed = a->condition || a->kind == LARDER_ACTION_UPDATE || (c->page && a->returns);
    int r = is_needed ? copy_present(w, c, present) : LARDER_OK;
    if (r == LARDER_OK)
        r = check(act, *present);
    int gives_old = r == LARDER_REFUSED ? a->returns_on_refusal : a->returns == LARDER_RETURNS_ALL_OLD;
    c->gives = gives_old                                                ? WRITE_GIVES_OLD
               : r == LARDER_OK && a->returns == LARDER_RETURNS_ALL_NEW ? WRITE_GIVES_NEW
                                                                        : WRITE_GIVES_NONE;
    return r;
}

/* UPDATED_OLD and UPDATED_NEW: puts what the update's paths name, in the old or the new item, in
 * place of the old item in w->before. Nothing is given if that is nothing. */
static int keep_updated(struct writer *w, struct act *act, const struct item_head *present) {
    struct write *c = &act->write;
    const struct larder_action *a = act->action;
    const struct item_head *of = a->returns == LARDER_RETURNS_UPDATED_OLD ? present : c->image;
    size_t behind = present ? item_round8(present->bytes) : 0;
    if (!of || !a->update)
        return LARDER_OK;
    if (w->before_bytes < behind + expr_project_bytes_max(of)) {
        w->need_bytes = behind + expr_project_bytes_max(of);
        return OBSTACLE_BEFORE;
    }
    size_t bytes = expr_project(a->update->compiled, of, (uint8_t *)w->before + behind);
    memmove(w->before, (uint8_t *)w->before + behind, bytes);
    c->gives = ((const struct item_head *)w->before)->attr_count ? WRITE_GIVES_MADE : WRITE_GIVES_NONE;
    return LARDER_OK;
}

/* ---- Put and delete -------------------------------------------------------------------------- */

static struct act *act_of(struct write *c) {
    return (struct act *)c;
}

static int prepare_put(struct writer *w, struct write *c) {
    return put_prepare(w, c, act_of(c)->action->item);
}

static int decide_put(struct writer *w, struct write *c) {
    const struct item_head *present;
    int r = admit(w, act_of(c), &present);
    return r ? r : WRITE_STORE;
}

static int prepare_key(struct writer *w, struct write *c) {
    (void)w;
    c->image = NULL; /* of an earlier try */
    int r = write_take_key(c, &act_of(c)->action->key);
    if (r == LARDER_OK)
        write_fetch_old(c);
    return r;
}

static int is_key(const struct item_shape *shape, struct bytes name) {
    return (name.len == shape->partition.name_bytes && memcmp(name.at, shape->partition.name, name.len) == 0) ||
           (shape->sort.name && name.len == shape->sort.name_bytes && memcmp(name.at, shape->sort.name, name.len) == 0);
}

/* An update must leave the key alone. */
static int check_keys(const struct act *act, const struct table_view *v) {
    const struct expr *update = act->action->update->compiled;
    const struct item_shape *shape = &v->shape;
    if (act->sum)
        return is_key(shape, update->steps[0].name)
                   ? err_set(LARDER_E_INVAL, "larder_increment: attribute \"%.*s\" is part of the key of table \"%s\"",
                             ITEM_SHOWN(update->steps[0].name), v->def.name)
                   : LARDER_OK;
    struct bytes keys[] = {{(const uint8_t *)shape->partition.name, shape->partition.name_bytes},
                           {(const uint8_t *)shape->sort.name, shape->sort.name_bytes}};
    return expr_check_keys(update, keys, shape->sort.name ? 2 : 1, 0);
}

static int prepare_update(struct writer *w, struct write *c) {
    int r = act_of(c)->action->update ? check_keys(act_of(c), c->view) : LARDER_OK;
    return r ? r : prepare_key(w, c);
}

static int decide_delete(struct writer *w, struct write *c) {
    const struct item_head *present;
    int r = admit(w, act_of(c), &present);
    if (r)
        return r;
    return c->old ? WRITE_DELETE : LARDER_NOT_FOUND;
}

/* Under the lock, inside a transaction. */
static int decide_check(struct writer *w, struct write *c) {
    const struct item_head *present;
    return admit(w, act_of(c), &present);
}

/* ---- Update ---------------------------------------------------------------------------------- */

static int wants_scratch(struct writer *w, size_t bytes) {
    w->need_bytes = bytes;
    return OBSTACLE_SCRATCH;
}

/* The key as an item of its own, for an update that makes the item. */
static size_t key_bytes_max(const struct write *c) {
    return item_round8(c->key->area_bytes + 2 * (size_t)LARDER_NAME_BYTES_MAX + KEY_ITEM_BYTES);
}

static void make_key_item(const struct write *c, void *to) {
    const struct item_shape *shape = &c->view->shape;
    const struct item_key *key = c->key;
    const struct item_key_attr *attrs[] = {&shape->partition, &shape->sort};
    struct larder_value values[] = {
        {.type = shape->partition.type, .data = key->area, .bytes = key->partition_bytes},
        {.type = shape->sort.type, .data = key->area + key->partition_bytes, .bytes = key->sort_bytes}};
    uint32_t count = shape->sort.name ? 2 : 1;
    for (uint32_t i = 0; i < count; i++)
        values[i].count = values[i].type == LARDER_N ? ITEM_N_IS_ENCODED : 0;
    DEBUG_ASSERT(item_of_keys_bytes_max(attrs, values, count) <= key_bytes_max(c));
    item_of_keys(attrs, values, count, to);
}

/* For larder_increment(): the sum, or what is wrong with it, and the value that is added. */
static int find_sum(struct act *act, const struct expr_update *u) {
    struct larder_value value;
    struct item_sum *sum = act->sum;
    struct bytes name = u->e->steps[0].name;
    int r = item_check_name(name), found = LARDER_NOT_FOUND;
    if (r == LARDER_OK && u->old)
        found = larder_item_getn((const struct larder_item *)u->old, (const char *)name.at, name.len, &value);
    if (r == LARDER_OK)
        r = found < 0 ? found : item_sum(name, found == LARDER_OK ? &value : NULL, sum);
    if (r != LARDER_OK)
        return r;
    size_t bytes = sum->by_bytes ? sum->by_bytes : num_encode_int64(sum->by, sum->by_number);
    act->update.all[0] = item_encoded_number(sum->by_number, bytes);
    return LARDER_OK;
}

/* Under the lock. The first half of the scratch memory is for the image that the table stores. The
 * second half begins with the key as an item, if there is none; what the update makes follows. */
static int update_locked(struct writer *w, struct act *act, const struct item_head *present) {
    struct write *c = &act->write;
    size_t half = w->scratch_bytes / 2 & ~(size_t)7, key_bytes = present ? 0 : key_bytes_max(c), need;
    if (half <= key_bytes)
        return wants_scratch(w, 2 * (key_bytes + UPDATE_BYTES_FIRST));
    uint8_t *second = (uint8_t *)w->scratch + half;
    const struct larder_expr *update = act->action->update;
    const struct item_head *made = present ? present : (const void *)second;
    if (!present)
        make_key_item(c, second);
    struct expr_update u = {.bound = act->update.all, .old = present, .keys = present ? NULL : made};
    if (update) {
        u.e = update->compiled;
        int r = present ? replace_locked(w, c, &u, half, act->sum) : LARDER_NOT_FOUND;
        if (r == LARDER_NOT_FOUND && act->sum && (r = find_sum(act, &u)) == LARDER_OK)
            r = LARDER_NOT_FOUND;
        if (r != LARDER_NOT_FOUND)
            return r;
        r = expr_update(&u, second + key_bytes, half - key_bytes, &made, &need);
        if (r)
            return r == EXPR_TOO_SMALL ? wants_scratch(w, 2 * (key_bytes + need + 8)) : r;
    }
    size_t stored = item_stored_bytes_max(&c->view->shape, (const struct larder_item *)made);
    return stored > half ? wants_scratch(w, 2 * stored + 16) : put_make(w, c, (const struct larder_item *)made);
}

/* A missing item to which nothing is added stays missing. */
static int decide_update(struct writer *w, struct write *c) {
    const struct item_head *present;
    int r = admit(w, act_of(c), &present);
    if (r == LARDER_OK)
        r = update_locked(w, act_of(c), present);
    if (r == LARDER_OK && act_of(c)->action->returns >= LARDER_RETURNS_UPDATED_OLD)
        r = keep_updated(w, act_of(c), present);
    if (r == LARDER_NOT_FOUND)
        return LARDER_OK;
    return r ? r : WRITE_STORE;
}

/* ---- Check ----------------------------------------------------------------------------------- */

/* Reads as any read does: without a lock. */
static int check_only(struct act *act, struct larder_page *read) {
    const struct larder_action *a = act->action;
    int r = larder_get(a->table, &a->key, read);
    if (r != LARDER_OK && r != LARDER_NOT_FOUND)
        return r;
    return check(act, r == LARDER_OK ? page_last(read) : NULL);
}

/* On a failure the caller's page stays as it was, so the item is read to another one. */
static int run_check(struct act *act) {
    struct larder_page *read, *page = act->write.page;
    struct larder *db = act->action->table->db;
    int r = page ? write_take_page(act->action->table, page) : LARDER_OK;
    if (r == LARDER_OK)
        r = larder_page_new(db, &read);
    if (r)
        return r;
    r = check_only(act, read);
    if (r >= 0 && page) {
        page_reset(page);
        if (r == LARDER_REFUSED && act->action->returns_on_refusal && read->count)
            page_take_over(page, (void **)&read->bytes, &read->capacity);
    }
    larder_page_free(read);
    return r;
}

/* ---- The call -------------------------------------------------------------------------------- */

static int refuse(const char *member, const char *why) {
    return err_set(LARDER_E_INVAL, "action->%s %s", member, why);
}

int action_check(const struct larder_action *a) {
    static const char *const needs[] = {"PUT", "UPDATE", "DELETE", "CHECK"};
    if (a->kind < LARDER_ACTION_PUT || a->kind > LARDER_ACTION_CHECK)
        return err_set(LARDER_E_INVAL, "action->kind is %d; 1 (PUT) to 4 (CHECK) are allowed", (int)a->kind);
    if (!a->table)
        return refuse("table", "is NULL");
    if ((a->kind == LARDER_ACTION_PUT) != (a->item != NULL))
        return refuse("item", a->item ? "is given; only a PUT has one" : "is NULL; a PUT needs one");
    if (a->update && a->kind != LARDER_ACTION_UPDATE)
        return refuse("update", "is given; only an UPDATE has one");
    if (!a->condition && a->kind == LARDER_ACTION_CHECK)
        return refuse("condition", "is NULL; a CHECK needs one");
    int returns_max = a->kind == LARDER_ACTION_CHECK    ? LARDER_RETURNS_NONE
                      : a->kind == LARDER_ACTION_UPDATE ? LARDER_RETURNS_UPDATED_NEW
                                                        : LARDER_RETURNS_ALL_OLD;
    if ((int)a->returns < 0 || (int)a->returns > returns_max)
        return err_set(LARDER_E_INVAL, "action->returns is %d; 0 to %d are allowed with %s", (int)a->returns,
                       returns_max, needs[a->kind - 1]);
    return RESERVED_CHECK(a, "larder_action");
}

int action_bind(struct act *act) {
    const struct larder_action *a = act->action;
    int r = LARDER_OK;
    if (a->condition)
        r = expression_bind(a->condition, LARDER_EXPR_CONDITION, "action->condition", a->values, &act->condition);
    if (r == LARDER_OK && a->update)
        r = expression_bind(a->update, LARDER_EXPR_UPDATE, "action->update", a->values, &act->update);
    return r;
}

void action_unbind(struct act *act) {
    expression_unbind(act->action->condition, &act->condition);
    expression_unbind(act->action->update, &act->update);
}

const struct write_kind *action_kind(const struct larder_action *a) {
    static const struct write_kind kinds[] = {
        [LARDER_ACTION_PUT] = {prepare_put, decide_put, .takes_memory = 1},
        [LARDER_ACTION_UPDATE] = {prepare_update, decide_update, .takes_memory = 1},
        [LARDER_ACTION_DELETE] = {prepare_key, decide_delete, .takes_memory = 0},
        [LARDER_ACTION_CHECK] = {prepare_key, decide_check, .takes_memory = 0},
    };
    return &kinds[a->kind];
}

int action_run(struct act *act) {
    enum larder_action_kind kind = act->action->kind;
    if (kind == LARDER_ACTION_CHECK)
        return run_check(act);
    act->write.kind = action_kind(act->action);
    int r = write_run(&act->write);
    return kind == LARDER_ACTION_DELETE && r == LARDER_OK && !act->write.was_there ? LARDER_NOT_FOUND : r;
}

LARDER_API int larder_write(const struct larder_action *action, struct larder_page *page) {
    struct act act = {.action = action};
    if (ERR_IS_NULL(action))
        return LARDER_E_INVAL;
    int r = action_check(action);
    if (r)
        return err_set(r, "larder_write: %s", larder_error());
    write_begin(&act.write, NULL, action->table, page);
    r = action_bind(&act);
    if (r == LARDER_OK)
        r = action_run(&act);
    action_unbind(&act);
    return r;
}
