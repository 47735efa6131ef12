/* index/fill.c - larder_index_add(), larder_index_drop(): a global index for a table that may hold
 * data and be in use, and one less.
 *
 * Idea     The definition gets the index in state FILLING. Once every stripe's lock has been taken
 *          and dropped (core/table/table.h T2), every writer keeps the index, and no reader sees
 *          it. Then every item that has not been written since is written again unchanged. After
 *          the last one the index becomes ACTIVE.
 * Drop     An addition that is taken back: the index becomes FILLING, which is the drop for every
 *          reader, and is then undone as above.
 * Locks    The catalog lock throughout: no definition changes, no table is created or dropped.
 *          Readers and writers of items go on.
 * Crash    1 op = OP_INDEX_ADD, with table and ordinal   2 state FILLING
 *          3 items are rewritten, one write each   4 state ACTIVE   5 op = OP_NONE
 *          Dead before 2: the ordinal does not exist, nothing to do. Dead before 4:
 *          index_recover_add makes it DEAD, waits for writers that still keep it, and frees its
 *          lists; each step can be repeated. Dead after 4: the index is there. If there is no
 *          memory for the definition with state DEAD, the next addition makes it (fill_tidy): until
 *          then the index is invisible and its entries take memory. An addition that fails and
 *          cannot undo for another reason gives up its slot, and is undone like one that died.
 *          A drop: 1 op = OP_INDEX_ADD   2 state FILLING   3 undone, as after a death before 4.
 *          Dead before 2: the index is there.
 * Tests    tests/api/index_add_test.c, tests/crash/
 */
#include "core/audit/links.h"
#include "core/base/err.h"
#include "core/table/attempt.h"
#include "core/table/db.h"
#include "core/table/schema.h"
#include "core/table/upkeep.h"
#include "index/index.h"

/* A definition without the index takes memory before it frees any. If there is none, the index's
 * entries are freed first; writers, which keep adding entries meanwhile, may be faster. */
#define FILL_UNDO_TRIES 16
/* Make room as for a block of this size: an index takes as much or more. */
#define FILL_ROOM_BYTES (1u << 20)

static int fill_view_has_gone(const struct table_view *v) {
    return err_set(LARDER_E_CORRUPT, "the definition of table \"%s\" changed under the catalog lock", v->def.name);
}

struct fill_state {
    const struct table_view *v;
    uint32_t ordinal;
    uint8_t state;
};

static int fill_try_state(struct writer *w, void *arg) {
    const struct fill_state *wanted = arg;
    const struct table_change change = {.set_state_ordinal = (int)wanted->ordinal, .set_state = wanted->state};
    int r = table_change_locked(w, wanted->v, &change);
    return r == OBSTACLE_VIEW ? fill_view_has_gone(wanted->v) : r;
}

/* Under the catalog lock, claiming memory as needed. */
static int fill_set_state(struct writer *w, const struct table_view *v, uint32_t ordinal, uint8_t state) {
    struct room room = {.now_s = db_now(w->db)};
    int r = attempt(w, &room, fill_try_state, &(struct fill_state){v, ordinal, state});
    return r == LARDER_OK && w->is_stuck ? LARDER_E_BUSY : r;
}

/* Makes an index in state FILLING DEAD and frees its lists. Can be repeated. */
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

/* While we hold the catalog lock, no other addition is under way: an index in state FILLING was
 * left by an addition that could not undo. */
static int fill_tidy(struct writer *w, const struct table_view *v) {
    for (uint32_t i = 0; i < v->shape.index_count; i++)
        if (v->index_state[i] == INDEX_FILLING) {
            int r = fill_undo(w, v->ordinal, i);
            return r ? r : OBSTACLE_VIEW;
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
        r = upkeep_restamp_stripe(w, v, i);
    return r == LARDER_NOT_FOUND ? fill_view_has_gone(v) : r;
}

/* The definition has the index as FILLING: 3 and 4 of the crash list. */
static int fill_to_the_end(struct writer *w, uint32_t table_ordinal, uint32_t ordinal) {
    const struct table_view *v;
    int r = table_view_by_ordinal(w->db, table_ordinal, &v);
    if (r == LARDER_OK)
        r = fill_items(w, v);
    return r == LARDER_OK ? fill_set_state(w, v, ordinal, INDEX_ACTIVE) : r;
}

/* After a failure. Keeps the failure's message, whatever happens while undoing. Returns r. */
static int fill_take_back(struct writer *w, uint32_t table_ordinal, uint32_t ordinal, int r) {
    struct err_kept why;
    err_keep(&why);
    int undone = fill_undo(w, table_ordinal, ordinal);
    /* no process would free the lists of a DEAD index: the slot's recovery goes on with it */
    if (undone && undone != LARDER_E_FULL)
        w->is_stuck = 1;
    err_put_back(&why);
    return r;
}

/* 2 to 4 of the crash list. */
static int fill_noted(struct writer *w, const struct table_view *v, const struct larder_index_def *def,
                      uint32_t ordinal) {
    const struct table_change change = {.added = def, .set_state_ordinal = -1};
    int r = table_change_locked(w, v, &change);
    if (r)
        return r;
    if (w->is_stuck) /* the process that recovers the slot takes the index back */
        return err_set(LARDER_E_BUSY, "a stopped process holds a lock that adding the index needs");
    r = fill_to_the_end(w, v->ordinal, ordinal);
    return r && !w->is_stuck ? fill_take_back(w, v->ordinal, ordinal, r) : r;
}

static int fill_locked(struct writer *w, const struct table_view *v, const void *def) {
    uint32_t ordinal = v->shape.index_count;
    int r = fill_tidy(w, v); /* first: an index that it undoes may have this name */
    if (r == LARDER_OK)
        r = schema_check_index(v, def);
    if (r)
        return r;
    fill_note(w, OP_INDEX_ADD, v->ordinal, ordinal);
    r = fill_noted(w, v, def, ordinal);
    if (!w->is_stuck)
        fill_note(w, OP_NONE, 0, 0);
    return r;
}

struct wanted {
    struct larder_table *table;
    table_locked *change;
    const void *arg;
};

static int try_change(struct writer *w, void *arg) {
    const struct wanted *wanted = arg;
    const struct table_view *v;
    int r = table_view(wanted->table, &v);
    return r ? r : table_under_catalog(w, v, wanted->change, wanted->arg);
}

static int change_indexes(struct wanted wanted, struct room room) {
    struct larder *db = wanted.table->db;
    struct writer *w;
    int r = writer_borrow(db, &w);
    if (r)
        return r;
    room.now_s = db_now(db);
    r = attempt(w, &room, try_change, &wanted);
    writer_end(w);
    return r;
}

LARDER_API int larder_index_add(struct larder_table *t, const struct larder_index_def *def) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(def))
        return LARDER_E_INVAL;
    /* Each try begins again with the first item. */
    return change_indexes((struct wanted){t, fill_locked, def},
                          (struct room){.bytes = FILL_ROOM_BYTES, .wants_all = 1});
}

/* ---- Drop ------------------------------------------------------------------------------------ */

static int drop_find(const struct table_view *v, const char *name, uint32_t *ordinal) {
    uint32_t number = table_index_number(v, name);
    if (!number)
        return err_set(LARDER_E_NO_INDEX, "table \"%.64s\" has no index \"%.64s\"", v->def.name, name);
    *ordinal = number - 1;
    if (v->index_def[*ordinal]->is_local)
        return err_set(LARDER_E_INVAL, "\"%.64s\" is a local index; only global ones can be dropped", name);
    return LARDER_OK;
}

static int drop_locked(struct writer *w, const struct table_view *v, const void *name) {
    uint32_t ordinal = 0;
    int r = drop_find(v, name, &ordinal);
    if (r)
        return r;
    fill_note(w, OP_INDEX_ADD, v->ordinal, ordinal);
    const struct table_change change = {.set_state_ordinal = (int)ordinal, .set_state = INDEX_FILLING};
    r = table_change_locked(w, v, &change);
    if (r == LARDER_OK && !w->is_stuck) {
        r = fill_undo(w, v->ordinal, ordinal);
        if (r && r != LARDER_E_FULL) /* it is gone; the slot's recovery frees its lists */
            w->is_stuck = 1;
        r = LARDER_OK;
    }
    if (!w->is_stuck)
        fill_note(w, OP_NONE, 0, 0);
    return r;
}

LARDER_API int larder_index_drop(struct larder_table *t, const char *name) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(name))
        return LARDER_E_INVAL;
    return change_indexes((struct wanted){t, drop_locked, name}, (struct room){0});
}

/* ---- Recovery -------------------------------------------------------------------------------- */

int index_recover_add(struct writer *w, uint32_t table_ordinal, uint32_t index_ordinal) {
    int r = links_check(w->db); /* the undo takes memory */
    if (r == LARDER_OK)
        r = fill_undo(w, table_ordinal, index_ordinal);
    /* No such table: it was dropped. No memory for the new definition: the next addition makes it
     * (fill_tidy). */
    return r == LARDER_E_NO_TABLE || r == LARDER_E_FULL ? LARDER_OK : r;
}
