/* core/table/transact.c - larder_transact(): all actions or none.
 *
 * Idea     Everything is decided under the locks of all stripes, which are taken in one order. What
 *          is to be written waits in private memory until all conditions have been found true. Then
 *          core/table/commit.h changes all items in one step.
 * Rules    T1 Outside the locks: views, keys, images of puts, the values of expressions, memory.
 *          T2 Under them, before the first store to an item: every condition and update, also after
 *             one that is refused, since each action has a reason of its own.
 *          T3 What a try lacks is an obstacle, as for every write (core/table/attempt.h). The
 *             memory for images is one more.
 *          T4 A try that lacks memory gives back all that it took. So room is made for all of its
 *             blocks together (core/table/windows.h), not for the one that was missing.
 * Tests    tests/api/transact_test.c, tests/crash/scenarios.c (transact ..)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/memory/heap.h"
#include "core/table/action.h"
#include "core/table/attempt.h"
#include "core/table/commit.h"
#include "core/table/db.h"
#include "core/table/token.h"
#include "core/table/workspace.h"

#define OBSTACLE_BYTES (-110) /* grow t->bytes to t->wanted; of this file alone */
#define BYTES_FIRST(actions) (2048 + 768 * (size_t)(actions))
#define SORTED_AT_ONCE 16u /* up to so many items are sorted in place */
#define MESSAGE_BYTES 400u

/* One action. */
struct part {
    struct act act;
    const struct item_head *found; /* refused: the present item, if the caller wants it */
    int result;
};

struct transact {
    struct larder *db;
    const struct larder_transaction *given;
    struct part *part; /* in the order of the caller's actions; the token's is the last */
    struct token token;
    int is_repeated; /* it was done before, by its token */
    struct commit commit;
    struct room room;
    struct runs runs;            /* of the last try that lacked memory */
    struct workspace *workspace; /* parts, commit.item, and the first of `bytes` */
    /* images and keys of this try */
    uint8_t *bytes;
    void *grown; /* NULL, or `bytes` if the workspace was too small */
    size_t used, capacity, wanted;
    uint64_t item_bytes; /* of all items, each as it was or will be: the larger, as DynamoDB counts */
    uint32_t refused;
    char message[MESSAGE_BYTES]; /* of the first action that is not valid */
};

/* ---- Private memory -------------------------------------------------------------------------- */

/* NULL: OBSTACLE_BYTES. Under the locks, too. */
static void *take_bytes(struct transact *t, size_t bytes) {
    size_t taken = (bytes + 7) & ~(size_t)7;
    if (t->capacity - t->used < taken) {
        t->wanted = t->used + taken;
        return NULL;
    }
    t->used += taken;
    return t->bytes + t->used - taken;
}

/* What lies there is not kept: the try begins again. */
static int grow_bytes(struct transact *t) {
    size_t bytes = t->wanted + t->wanted / 2;
    void *grown = priv_realloc(db_priv(t->db), t->grown, bytes);
    if (!grown)
        return LARDER_E_NO_MEMORY;
    t->grown = t->bytes = grown;
    t->capacity = bytes;
    return LARDER_OK;
}

/* A copy with room for what change_locked() may add to an image. */
static int keep_image(struct transact *t, const struct item_head *image, struct item_head **kept) {
    *kept = take_bytes(t, image->bytes + sizeof(struct item_timed));
    if (!*kept)
        return OBSTACLE_BYTES;
    memcpy(*kept, image, image->bytes);
    return LARDER_OK;
}

static int keep_key(struct transact *t, struct write *c) {
    size_t bytes = offsetof(struct item_key, area) + c->key->area_bytes;
    struct item_key *kept = take_bytes(t, bytes);
    if (!kept)
        return OBSTACLE_BYTES;
    memcpy(kept, c->key, bytes);
    c->key = kept;
    return LARDER_OK;
}

/* ---- Outside the locks ----------------------------------------------------------------------- */

/* Says which action failed, if it is one of the caller's. */
static int blame(const struct transact *t, uint32_t i, int r) {
    if (i == t->given->count)
        return err_set(r, "larder_transact: the token: %s", larder_error());
    return err_set(r, "larder_transact: actions[%u]: %s", i, larder_error());
}

static int prepare_part(struct writer *w, struct transact *t, uint32_t i) {
    struct write *c = &t->part[i].act.write;
    c->key = &w->key;
    c->image = NULL;
    int r = table_view_checked(c->table, &c->view);
    if (r == LARDER_OK)
        r = c->kind->prepare(w, c);
    if (r < 0 && !is_obstacle(r))
        return blame(t, i, r);
    if (r == LARDER_OK)
        r = keep_key(t, c);
    if (r == LARDER_OK && c->image)
        r = keep_image(t, c->image, &c->image);
    if (r)
        return r;
    t->commit.item[i] = (struct commit_item){.v = c->view, .action = i};
    t->commit.item[i].swap.stripe = htab_stripe(&c->view->items, c->hash);
    t->commit.item[i].swap.hash = c->hash;
    return LARDER_OK;
}

static int by_stripe(const void *a, const void *b) {
    const struct commit_item *x = a, *y = b;
    if (x->swap.stripe != y->swap.stripe)
        return x->swap.stripe < y->swap.stripe ? -1 : 1;
    if (x->swap.hash != y->swap.hash)
        return x->swap.hash < y->swap.hash ? -1 : 1;
    return (x->action > y->action) - (x->action < y->action);
}

static void sort_by_stripe(struct commit *c) {
    if (c->count > SORTED_AT_ONCE) {
        qsort(c->item, c->count, sizeof *c->item, by_stripe);
        return;
    }
    for (uint32_t i = 1; i < c->count; i++) {
        struct commit_item moved = c->item[i];
        uint32_t at = i;
        for (; at > 0 && by_stripe(&c->item[at - 1], &moved) > 0; at--)
            c->item[at] = c->item[at - 1];
        c->item[at] = moved;
    }
}

/* DynamoDB: "TransactWriteItems", an item is the target of one action at most. Those of equal keys
 * have equal hashes, so they are neighbours; a stripe is of one table. */
static int check_targets(const struct transact *t) {
    const struct commit_item *item = t->commit.item;
    for (uint32_t i = 0; i < t->commit.count; i++)
        for (uint32_t k = i + 1; k < t->commit.count && item[k].swap.stripe == item[i].swap.stripe &&
                                 item[k].swap.hash == item[i].swap.hash;
             k++)
            if (item_is_same_key(item_key_of(t->part[item[i].action].act.write.key),
                                 item_key_of(t->part[item[k].action].act.write.key)))
                return err_set(LARDER_E_INVAL,
                               "larder_transact: Transaction request cannot include multiple operations on one item; "
                               "actions[%u] and actions[%u] have the same key",
                               item[i].action, item[k].action);
    return LARDER_OK;
}

static int prepare_all(struct writer *w, struct transact *t) {
    t->used = 0;
    t->room.bytes = record_bytes(t->commit.count);
    for (uint32_t i = 0; i < t->commit.count; i++) {
        int r = prepare_part(w, t, i);
        if (r)
            return r;
        const struct write *c = &t->part[i].act.write;
        if (i == 0 || c->kind->takes_memory) {
            t->room.view = c->view;
            t->room.hash = c->hash;
        }
        t->room.bytes += c->image ? c->image->bytes : 0;
    }
    sort_by_stripe(&t->commit);
    heap_claim_ahead(w, t->room.bytes + (uint64_t)(t->room.view->shape.index_count + 4) * SPAN_BYTES);
    return check_targets(t);
}

/* ---- Under the locks ------------------------------------------------------------------------- */

/* A result that cancels the transaction. Its condition was evaluated on a copy in w->before. */
static int refuse(struct writer *w, struct transact *t, struct part *part, uint32_t i, int r) {
    struct item_head *kept;
    if (r == LARDER_E_INVAL && t->message[0] == 0)
        snprintf(t->message, sizeof t->message, "larder_transact: actions[%u]: %s", i, larder_error());
    t->refused++;
    part->result = r;
    if (r != LARDER_REFUSED || !part->act.action->returns_on_refusal || !part->act.write.was_there)
        return LARDER_OK;
    r = keep_image(t, w->before, &kept);
    part->found = kept;
    return r;
}

/* An item that is read counts, too: API reference, TransactWriteItems, "aggregate size of the items
 * in the transaction". As for write capacity the larger of an item before and after counts. */
static uint64_t bytes_of(const struct write *c, int what) {
    uint64_t before = c->was_there ? item_ddb_bytes(&c->old->head) : 0;
    uint64_t after = what == WRITE_STORE ? item_ddb_bytes(c->image) : 0;
    return before > after ? before : after;
}

static int take_decision(struct writer *w, struct transact *t, struct commit_item *item, int what) {
    struct part *part = &t->part[item->action];
    struct write *c = &part->act.write;
    if (item->action < t->given->count)
        t->item_bytes += bytes_of(c, what);
    if (what == LARDER_REFUSED || what == LARDER_E_INVAL)
        return refuse(w, t, part, item->action, what);
    if (what < 0)
        return what;
    int was_missing = what == LARDER_NOT_FOUND || (what == WRITE_DELETE && !c->was_there);
    part->result = was_missing ? LARDER_NOT_FOUND : LARDER_OK;
    c->done = what == WRITE_STORE || what == WRITE_DELETE ? what : 0;
    item->is_changed = c->done != 0;
    if (what != WRITE_STORE)
        return LARDER_OK;
    return part->act.action->kind == LARDER_ACTION_UPDATE ? keep_image(t, c->image, &item->swap.image) : LARDER_OK;
}

static int decide_one(struct writer *w, struct transact *t, struct commit_item *item) {
    struct part *part = &t->part[item->action];
    struct write *c = &part->act.write;
    part->found = NULL;
    item->is_changed = 0;
    if (!view_is_current(c->view))
        return OBSTACLE_VIEW;
    int r = write_find_locked(c->view, c->key, &item->swap);
    if (r)
        return r;
    r = write_decide_locked(w, c, &item->swap);
    t->is_repeated |= r == TOKEN_IS_DONE;
    if (item->action == t->given->count && r != WRITE_STORE) /* the token says what becomes of all */
        return r == TOKEN_IS_DONE ? LARDER_OK : r;
    return take_decision(w, t, item, r);
}

/* T2. LARDER_OK: all may be written. */
static int decide_all(struct writer *w, struct transact *t) {
    t->item_bytes = t->refused = 0;
    t->is_repeated = 0;
    t->message[0] = 0;
    for (uint32_t i = 0; i < t->commit.count; i++) {
        int r = decide_one(w, t, &t->commit.item[i]);
        if (r)
            return r;
    }
    if (t->is_repeated)
        return TOKEN_IS_DONE;
    if (t->item_bytes > LARDER_TRANSACT_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "larder_transact: the items have %llu bytes; %u are allowed",
                       (unsigned long long)t->item_bytes, LARDER_TRANSACT_BYTES_MAX);
    return t->refused ? LARDER_REFUSED : LARDER_OK;
}

/* ---- The call -------------------------------------------------------------------------------- */

/* T4. What is to be written is known from the decision on. */
static void note_runs(struct transact *t) {
    runs_clear(&t->runs);
    for (uint32_t i = 0; i < t->commit.count; i++) {
        const struct commit_item *item = &t->commit.item[i];
        if (item->is_changed && item->swap.image)
            runs_add(&t->runs, item->swap.image->bytes + sizeof(struct item_timed));
    }
}

static int try_transact(struct writer *w, void *arg) {
    struct transact *t = arg;
    int r = prepare_all(w, t);
    if (r == LARDER_OK)
        r = commit_begin(w, &t->commit);
    if (r)
        return r;
    r = commit_lock(w, &t->commit);
    if (r == LARDER_OK)
        r = decide_all(w, t);
    if (r == LARDER_OK) {
        r = commit_apply(w, &t->commit);
        if (r == LARDER_E_FULL || r == OBSTACLE_CLAIM)
            note_runs(t);
    }
    commit_end(w, &t->commit);
    return r;
}

static int run(struct writer *w, struct transact *t) {
    for (;;) {
        int r = attempt(w, &t->room, try_transact, t);
        if (r != OBSTACLE_BYTES || w->is_stuck)
            return r;
        r = grow_bytes(t);
        if (r)
            return r;
    }
}

/* The page gets a place for each action, with the items of those that were refused and want it. */
static int fill_page(const struct transact *t, struct larder_page *page) {
    int r = LARDER_OK;
    page_reset(page);
    for (uint32_t i = 0; t->refused && i < t->given->count && r == LARDER_OK; i++) {
        const struct item_head *found = t->part[i].found;
        r = found ? page_reserve(page, found->bytes) : page_add_hole(page);
        if (r || !found)
            continue;
        memcpy(page->bytes + page->used, found, found->bytes);
        r = page_commit(page, found->bytes);
    }
    return r;
}

/* What the same transaction gave when it was done, but for what it found. */
static int repeat(struct transact *t) {
    t->refused = 0;
    for (uint32_t i = 0; i < t->commit.count; i++) {
        t->part[i].result = LARDER_OK;
        t->part[i].act.write.done = 0;
    }
    return LARDER_OK;
}

static void count_writes(struct writer *w, const struct transact *t) {
    uint64_t puts = 0, deletes = 0;
    for (uint32_t i = 0; i < t->commit.count; i++) {
        puts += t->part[i].act.write.done == WRITE_STORE;
        deletes += t->part[i].act.write.done == WRITE_DELETE;
    }
    if (puts)
        change_count(&w->slot->puts, puts);
    if (deletes)
        change_count(&w->slot->deletes, deletes);
}

static int write_all(struct transact *t, struct larder_page *page, int *results) {
    struct writer *w;
    int64_t now_s;
    int r = writer_borrow(t->db, &w);
    if (r)
        return r;
    now_s = db_now_checked(t->db);
    t->room = (struct room){.now_s = now_s, .runs = &t->runs};
    for (uint32_t i = 0; i < t->commit.count; i++)
        t->part[i].act.write.now_s = now_s;
    r = run(w, t);
    if (r == TOKEN_IS_DONE)
        r = repeat(t);
    if (r == LARDER_OK && !w->is_stuck)
        count_writes(w, t);
    writer_end(w);
    if (r >= 0 && page && fill_page(t, page) != LARDER_OK)
        return page_fail(page, LARDER_E_NO_MEMORY); /* refused: nothing was changed */
    if (r >= 0 && t->given->is_repeated)
        *t->given->is_repeated = t->is_repeated;
    for (uint32_t i = 0; r >= 0 && results && i < t->given->count; i++)
        results[i] = t->part[i].result;
    return r == LARDER_REFUSED && t->message[0] ? (err_set(LARDER_E_INVAL, "%s", t->message), r) : r;
}

static int begin_part(struct transact *t, uint32_t i) {
    struct part *part = &t->part[i];
    const struct larder_action *a = &t->given->actions[i];
    part->act.action = a;
    int r = action_check(a);
    if (r == LARDER_OK && a->returns != LARDER_RETURNS_NONE)
        r = err_set(LARDER_E_INVAL, "action->returns is %d; in a transaction only 0 (NONE) is allowed",
                    (int)a->returns);
    if (r == LARDER_OK && a->table->db != t->db)
        r = err_set(LARDER_E_INVAL, "action->table is of another attachment");
    if (r == LARDER_OK) {
        write_begin(&part->act.write, action_kind(a), a->table, NULL);
        r = action_bind(&part->act);
    }
    return r ? err_set(r, "larder_transact: actions[%u]: %s", i, larder_error()) : LARDER_OK;
}

/* The part behind the caller's. */
static int begin_token(struct transact *t) {
    struct part *part = &t->part[t->given->count];
    int r = token_begin(&t->token, t->db, t->given);
    if (r)
        return r;
    part->act.action = &t->token.action;
    write_begin(&part->act.write, &t->token.kind, t->token.action.table, NULL);
    t->commit.count++;
    return LARDER_OK;
}

/* Parts, items and images in one block, which is not zeroed: most of it is room for values that few
 * expressions have. */
static int make_parts(struct transact *t) {
    uint32_t count = t->given->count + (t->given->token != NULL);
    size_t bytes = count * (sizeof *t->part + sizeof *t->commit.item);
    t->workspace = workspace_take(t->db, bytes + BYTES_FIRST(count));
    if (!t->workspace)
        return LARDER_E_NO_MEMORY;
    t->part = (void *)t->workspace->at;
    t->commit.item = (void *)(t->part + count);
    t->bytes = t->workspace->at + bytes;
    t->capacity = t->workspace->bytes - bytes;
    for (uint32_t i = 0; i < count; i++) {
        struct act *act = &t->part[i].act;
        act->action = NULL;
        act->condition.all = act->update.all = NULL;
        act->sum = NULL;
    }
    return LARDER_OK;
}

static int begin(struct transact *t) {
    int r = make_parts(t);
    for (uint32_t i = 0; i < t->given->count && r == LARDER_OK; i++, t->commit.count++)
        r = begin_part(t, i);
    return r == LARDER_OK && t->given->token ? begin_token(t) : r;
}

static void end(struct transact *t) {
    for (uint32_t i = 0; t->part && i < t->given->count && t->part[i].act.action; i++)
        action_unbind(&t->part[i].act);
    token_end(&t->token);
    priv_free(db_priv(t->db), t->grown);
    workspace_give(t->db, t->workspace);
}

static int check_given(struct larder *db, const struct larder_transaction *given, const struct larder_page *page) {
    if (given->count && !given->actions)
        return err_set(LARDER_E_INVAL, "larder_transact: transaction->actions is NULL");
    if (given->count < 1 || given->count > LARDER_TRANSACT_ACTIONS_MAX)
        return err_set(LARDER_E_INVAL, "larder_transact: count is %u; 1 to %u actions are allowed", given->count,
                       LARDER_TRANSACT_ACTIONS_MAX);
    if (page && page->epochs != &db->views.epochs)
        return err_set(LARDER_E_INVAL, "the page is one of another attachment; make it with the tables'");
    return RESERVED_CHECK(given, "struct larder_transaction");
}

LARDER_API int larder_transact(struct larder *db, const struct larder_transaction *transaction, int *results,
                               struct larder_page *page) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(transaction))
        return LARDER_E_INVAL;
    int r = check_given(db, transaction, page);
    if (r)
        return r;
    struct transact t = {.db = db, .given = transaction};
    r = begin(&t);
    if (r == LARDER_OK)
        r = write_all(&t, page, results);
    end(&t);
    return r;
}
