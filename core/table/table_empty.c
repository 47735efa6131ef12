/* core/table/table_empty.c - the memory of dropped tables comes back, in pieces.
 *
 * Job      A table in state DROPPING is gone for every process. Its memory is given back in pieces
 *          of a few hundred blocks. Any process may do the next one: the thread of the process that
 *          dropped it (core/table/drop_thread.c), an expirer, larder_expire(), larder_check(), a
 *          write that finds no room (core/table/make_room.c).
 * Picture  life DROPPING -> items of stripe 0, 1, .. -> lists of stripe 0, 1, .. -> no definition
 *          -> life FREE
 *          table_shm.emptied: the low half counts stripes that are done, of items and lists
 *          together; the high half counts pieces, so that others see progress.
 * Rules    D1 A piece holds the catalog lock. So one process at a time works on a table, and none
 *             waits longer than for one piece.
 *          D2 Items go first. A writer that began before the drop holds its stripe until it is done
 *             with all lists (core/table/write.h). So once every stripe of items was taken, no list
 *             gets another entry.
 *          D3 `emptied` counts a stripe after it is empty, under the catalog lock.
 * Crash    Each item, node, list and array goes by a step of its own, under the lock of its stripe;
 *          then `emptied`, the definition (a step), `restamp`, `emptied` 0, life FREE. Dead
 *          anywhere: recovery finishes the step, drops the locks, and the next piece goes on at
 *          `emptied`. What is gone already is passed over.
 * Tests    tests/unit/table/table_life_test.c, tests/api/drop_test.c,
 *          tests/crash/scenarios.c (drop_table ..)
 */
#include "core/base/err.h"
#include "core/memory/hooks.h"
#include "core/table/attempt.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/table_life.h"
#include "core/table/upkeep.h"

#define EMPTIED_DONE(word) ((uint32_t)(word))
#define EMPTIED_PIECE (UINT64_C(1) << 32)

#if LARDER_CRASH_POINTS
_Atomic uint32_t empty_test_piece; /* tests: smaller pieces, if not 0 */
static uint32_t piece_blocks(void) {
    return empty_test_piece ? empty_test_piece : TABLE_EMPTY_PIECE;
}
#else
static uint32_t piece_blocks(void) {
    return TABLE_EMPTY_PIECE;
}
#endif

static int is_dropping(const struct seg *s, uint32_t ordinal) {
    return LIFE_STATE(SHM_LOAD(&seg_table(s, ordinal)->life)) == TABLE_DROPPING;
}

int table_has_drops(const struct seg *s) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (is_dropping(s, i))
            return 1;
    return 0;
}

uint64_t table_drop_mark(const struct seg *s) {
    uint64_t mark = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (is_dropping(s, i))
            mark = (mark ^ SHM_LOAD(&seg_table(s, i)->emptied) ^ (i + 1)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return mark;
}

/* Empties the next stripes. LARDER_OK: all are empty; LARDER_MORE: the piece is done. */
static int empty_stripes_locked(struct writer *w, struct table_shm *t, const struct table_view *v) {
    uint64_t emptied = SHM_LOAD(&t->emptied) + EMPTIED_PIECE;
    uint32_t count = v->items.stripe_count, budget = piece_blocks();
    SHM_STORE(&t->emptied, emptied);
    for (uint32_t done = EMPTIED_DONE(emptied); done < 2 * count; done++) {
        int r = done < count ? upkeep_empty_stripe(w, v, done, &budget)
                             : core_hooks->index_clear_stripe(w, v, done - count, &budget);
        if (r)
            return r;
        SHM_STORE(&t->emptied, ++emptied); /* rule D3 */
        if (budget-- <= 1)
            return LARDER_MORE;
    }
    return LARDER_OK;
}

/* v is NULL if the definition is gone already. LARDER_MORE, or why this piece could not be done. */
static int empty_locked(struct writer *w, struct table_shm *t, const struct table_view *v) {
    if (v) {
        int r = empty_stripes_locked(w, t, v);
        if (r)
            return r;
        table_swap(w, &t->schema_off, 0);
        if (w->is_stuck)
            return LARDER_E_BUSY;
    }
    SHM_STORE(&t->restamp, 0);
    SHM_STORE(&t->emptied, 0);
    table_life_next(t, TABLE_FREE);
    return LARDER_MORE;
}

/* LARDER_NOT_FOUND: the table is not being dropped any more. */
static int empty_as_seen_locked(struct writer *w, uint32_t ordinal, const struct table_view *v) {
    struct table_shm *t = seg_table(w->seg, ordinal);
    if (!is_dropping(w->seg, ordinal))
        return LARDER_NOT_FOUND;
    if (v ? !view_is_current(v) : SHM_LOAD(&t->schema_off) != 0)
        return OBSTACLE_VIEW;
    return empty_locked(w, t, v);
}

/* One piece of the table with this ordinal. Makes its view before the lock is taken: a view needs
 * private memory. */
static int try_empty_piece(struct writer *w, void *arg) {
    uint32_t ordinal = *(const uint32_t *)arg;
    int is_held = lock_is_held(w, LOCK_CATALOG);
    struct table_view *v = NULL;
    int r = table_view_read(w->db, ordinal, &v);
    if (r != LARDER_OK && r != LARDER_NOT_FOUND)
        return r;
    r = is_held ? LARDER_OK : table_lock_catalog(w);
    if (r == LARDER_OK) {
        r = empty_as_seen_locked(w, ordinal, v);
        if (!is_held)
            table_leave_catalog(w);
    }
    priv_free(db_priv(w->db), v);
    return r;
}

int table_resume_piece(struct writer *w) {
    int result = LARDER_NOT_FOUND;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        int r = is_dropping(w->seg, i) ? attempt(w, NULL, try_empty_piece, &i) : LARDER_NOT_FOUND;
        if (w->is_stuck)
            return LARDER_E_BUSY;
        if (r == LARDER_MORE)
            return r;
        /* if a table cannot be emptied now, the next one may be */
        if (r != LARDER_NOT_FOUND)
            result = r;
    }
    return result;
}

int table_resume_drops(struct writer *w) {
    int r;
    do
        r = table_resume_piece(w);
    while (r == LARDER_MORE && !(w->is_stopping && atomic_load_explicit(w->is_stopping, memory_order_relaxed)));
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}
