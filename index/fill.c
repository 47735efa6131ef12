/* index/fill.c - larder_index_add(): a global index for a table that may hold data and be in use.
 *
 * Idea     The definition gets the index as FILLING: from then on (once every stripe's lock was taken and dropped, core/table/table.h
 *          T2) every writer keeps it, and no reader sees it. Then every item that nobody has written since is written again as
 *          it is. When the last one is, the index becomes ACTIVE.
 * Locks    The catalog lock, all the way: definitions do not change meanwhile, and tables are neither made nor dropped.
 *          Readers and writers of items go on.
 * Crash    1 op = OP_INDEX_ADD, with table and ordinal   2 state FILLING   3 items are rewritten, one write each
 *          4 state ACTIVE   5 op = OP_NONE
 *          Dead before 2: the ordinal does not exist, nothing to do. Dead before 4: index_recover_add makes it DEAD, waits for
 *          writers who still keep it, and gives the lists back; each can be done again. Dead after 4: it is there.
 *          A DEAD state that finds no memory for the new definition is left for the next addition (fill_tidy): the index
 *          stays invisible, and costs what its entries take. An addition that fails and cannot undo for another reason gives
 *          its slot up, and so is undone like one that died.
 * Tests    tests/api/index_add_test.c, tests/crash/
 */
#include "core/audit/links.h"
#include "core/base/err.h"
#include "core/table/db.h"
#include "core/table/make_room.h"
#include "core/table/schema.h"
#include "core/table/write.h"
#include "index/index.h"

/* A definition without the index takes memory before it gives memory back. If there is none, what was filled is given back
 * first; writers, who fill it again meanwhile, may be faster. */
#define FILL_UNDO_TRIES 16
#define FILL_ROOM_BYTES (1u << 20) /* makes room as for a block of this size: an index takes as much, or more */

/* Under the catalog lock, claiming memory as needed. */
static int fill_set_state(struct writer *w, const struct table_view *v, uint32_t ordinal, uint8_t state) {
    const struct table_change change = {.set_state_ordinal = (int)ordinal, .set_state = state};
    struct room room = {.now_s = db_now(w->db)};
    int r;
    do
        r = room_after(w, &room, table_change_locked(w, v, &change));
    while (r == LARDER_E_RETRY && view_is_current(v));
    return r == LARDER_OK && w->is_stuck ? LARDER_E_BUSY : r;
}

/* Makes an index that was being filled DEAD and gives its lists back. Can be done again. */
static int fill_undo(struct writer *w, uint32_t table_ordinal, uint32_t ordinal) {
    const struct table_view *v;
    int r = table_view_by_ordinal(w->db, table_ordinal, &v);
    if (r)
        return r;
    if (ordinal >= v->shape.index_count || v->index_state[ordinal] == INDEX_ACTIVE)
        return LARDER_OK;
    for (int tries = 0; v->index_state[ordinal] == INDEX_FILLING; tries++) {
        r = fill_set_state(w, v, ordinal, INDEX_DEAD);
        if (r == LARDER_E_FULL && tries < FILL_UNDO_TRIES)
            r = index_clear(w, v, (int)ordinal);
        if (r == LARDER_OK)
            r = table_view_by_ordinal(w->db, table_ordinal, &v);
        if (r)
            return r;
    }
    r = table_flush(w, v);
    return r ? r : index_clear(w, v, (int)ordinal);
}

/* Nobody is filling an index while we hold the catalog lock: one in that state was left by an addition that could not undo. */
static int fill_tidy(struct writer *w, const struct table_view *v) {
    for (uint32_t i = 0; i < v->shape.index_count; i++)
        if (v->index_state[i] == INDEX_FILLING) {
            int r = fill_undo(w, v->ordinal, i);
            return r ? r : LARDER_E_RETRY; /* with a newer view */
        }
    return LARDER_OK;
}

static void fill_note(struct writer *w, uint32_t op, uint32_t table_ordinal, uint32_t ordinal) {
    SHM_STORE(&w->slot->op_a, table_ordinal);
    SHM_STORE(&w->slot->op_b, ordinal);
    SHM_STORE(&w->slot->op, op);
}

static int fill_items(struct writer *w, const struct table_view *v) {
    int r = table_flush(w, v);
    for (uint32_t i = 0; i < v->items.stripe_count && r == LARDER_OK; i++)
        r = write_restamp_stripe(w, v, i);
    if (r == LARDER_NOT_FOUND)
        return err_set(LARDER_E_CORRUPT, "the definition of table \"%s\" changed under the catalog lock", v->def.name);
    return r;
}

/* LARDER_E_RETRY: with a newer view, or more memory (w->need_bytes). */
static int fill_locked(struct writer *w, const struct table_view *v, const struct larder_index_def *def) {
    const struct table_change change = {.added = def, .set_state_ordinal = -1};
    uint32_t table_ordinal = v->ordinal, ordinal = v->shape.index_count;
    w->need_bytes = 0;
    int r = fill_tidy(w, v); /* first: what it takes back may have this name */
    if (r == LARDER_OK)
        r = schema_check_index(v, def);
    if (r)
        return r;
    fill_note(w, OP_INDEX_ADD, table_ordinal, ordinal);
    r = table_change_locked(w, v, &change);
    if (r == LARDER_OK && w->is_stuck) /* whoever recovers the slot takes the index back */
        r = err_set(LARDER_E_BUSY, "a stopped process holds a lock that adding the index needs");
    if (r == LARDER_OK) {
        r = table_view_by_ordinal(w->db, table_ordinal, &v);
        if (r == LARDER_OK)
            r = fill_items(w, v);
        if (r == LARDER_OK)
            r = fill_set_state(w, v, ordinal, INDEX_ACTIVE);
        /* The message is the failure's, whatever happens on the way back. */
        char message[256];
        strncpy(message, larder_error(), sizeof message - 1);
        message[sizeof message - 1] = 0;
        if (r && !w->is_stuck) {
            int undone = fill_undo(w, table_ordinal, ordinal);
            if (undone &&
                undone != LARDER_E_FULL) /* DEAD with lists would be nobody's: the slot's recovery goes on with it */
                w->is_stuck = 1;
            r = err_set(r, "%s", message);
        }
    }
    if (!w->is_stuck)
        fill_note(w, OP_NONE, 0, 0);
    return r;
}

static int fill_add(struct writer *w, struct larder_table *t, const struct larder_index_def *def) {
    const struct table_view *v;
    int r = table_view(t, &v);
    if (r)
        return r;
    r = lock_take(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
    if (r)
        return r;
    r = LARDER_E_RETRY;
    w->need_bytes = 0;
    if (view_is_current(v))
        r = fill_locked(w, v, def);
    if (!w->is_stuck)
        lock_drop(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
    return r;
}

/* All that can be had, for it begins with the first item again. LARDER_E_RETRY: there was some. */
static int fill_make_room(struct writer *w, struct room *room) {
    int r = LARDER_E_FULL, made = 0;
    while ((r = room_after(w, room, LARDER_E_FULL)) == LARDER_E_RETRY)
        made = 1;
    return r == LARDER_E_FULL && made ? LARDER_E_RETRY : r;
}

LARDER_API int larder_index_add(struct larder_table *t, const struct larder_index_def *def) {
    struct writer *w;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(def))
        return LARDER_E_INVAL;
    int r = writer_borrow(t->db, &w);
    if (r)
        return r;
    struct room room = {.bytes = FILL_ROOM_BYTES, .now_s = db_now(t->db)};
    int has_made_room = 0;
    do {
        r = fill_add(w, t, def);
        if (r == LARDER_E_FULL && !has_made_room) {
            has_made_room = 1;
            r = fill_make_room(w, &room);
        } else if (r != LARDER_E_FULL)
            r = room_after(w, &room, r);
    } while (r == LARDER_E_RETRY);
    writer_end(w);
    return r;
}

int index_recover_add(struct writer *w, uint32_t table_ordinal, uint32_t index_ordinal) {
    int r = links_check(w->db); /* what follows takes memory */
    if (r == LARDER_OK)
        r = fill_undo(w, table_ordinal, index_ordinal);
    /* No such table: dropped. No memory for another definition: the next addition does it (fill_tidy). */
    return r == LARDER_E_NO_TABLE || r == LARDER_E_FULL ? LARDER_OK : r;
}
