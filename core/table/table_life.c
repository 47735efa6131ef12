/* core/table/table_life.c - tables come and go.
 *
 * Job      larder_table_create() and larder_table_drop(), and the recovery of both.
 * Picture  life    FREE -> CREATING -> READY -> READY (changed) -> ... -> DROPPING -> FREE
 *                  a new generation at each arrow
 *          blocks  two arrays of stripes, made by the first table of a catalog entry and kept for
 *                  ever (rule L3 of core/segment/layout.h); the definition, one block that every
 *                  change replaces (core/table/table_change.c)
 * Crash    Create, under the catalog lock, with the slot's op noted from 1 to 5. Before 1 the
 *          entry's stripes are checked: no table is made on damaged ones.
 *           1 life CREATING
 *               dead from here: undone. A stored definition goes back, then life FREE. Stored
 *               stripes stay with the entry: its next table needs them
 *           2 stripe arrays, one step each
 *           3 take the definition's block, fill it
 *           4 schema_off, one step
 *           5 life READY
 *               dead from here: the table is there
 *          Drop, under the catalog lock:
 *           1 emptied 0, then life DROPPING: this store is the drop. The name is free, and every
 *             process sees that the entry is to be emptied (core/table/table_empty.c)
 * Locks    Views are made before the catalog lock is taken: they need private memory.
 * Tests    tests/unit/table/table_life_test.c, tests/api/table_test.c
 */
#include "core/table/table_life.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/table/attempt.h"
#include "core/table/catalog.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/drop_thread.h"
#include "core/table/marks.h"
#include "core/table/token.h"

#define REUSE_PIECES 8u   /* of a dropped table, besides those that pass its stripes */
#define REUSE_BUSY_MS 10u /* for a lock that a live process holds */

static void note_op(struct writer *w, uint32_t op, uint32_t ordinal) {
    SHM_STORE(&w->slot->op_a, ordinal);
    SHM_STORE(&w->slot->op, op);
}

/* A stuck writer keeps its note, for recovery. */
static void forget_op(struct writer *w) {
    if (!w->is_stuck)
        SHM_STORE(&w->slot->op, OP_NONE);
}

/* ---- Create ---------------------------------------------------------------------------------- */

static uint64_t stripes_bytes(const struct writer *w) {
    return (uint64_t)w->seg->stripe_count * sizeof(struct stripe_shm);
}

/* Checks the stripes that an entry's last table left: the next one needs them empty, with possible
 * write numbers. LARDER_OK or LARDER_E_CORRUPT. */
static int check_kept(const struct writer *w, uint32_t ordinal, const shm_word *word, int are_items) {
    uint64_t off = SHM_LOAD(word), bytes = stripes_bytes(w);
    if (off == 0)
        return LARDER_OK;
    const struct stripe_shm *stripes = heap_block_bytes(w->seg, off) < bytes ? NULL : seg_at(w->seg, off, bytes);
    for (uint32_t i = 0; i < w->seg->stripe_count; i++)
        if (!stripes || !htab_is_blank(&stripes[i]) ||
            (are_items && !change_is_number(ordinal, SHM_LOAD(&stripes[i].writes))))
            return err_set(LARDER_E_CORRUPT,
                           "stripe %u of %s that table number %u left is damaged, so no table is made of it; "
                           "larder_repair() mends it",
                           i, are_items ? "items" : "partitions", ordinal);
    return LARDER_OK;
}

/* Stripes for an entry that never had any: all zero, which is empty and unlocked. */
static int make_stripes(struct writer *w, shm_word *word) {
    static const struct stripe_shm zeros[32];
    uint64_t off = 0, bytes = stripes_bytes(w);
    if (SHM_LOAD(word) != 0)
        return LARDER_OK;
    int result = heap_take(w, bytes, HAND_STEP1 | HAND_NEW, HEAP_LINE, &off);
    if (result != LARDER_OK)
        return result;
    uint8_t *at = seg_at(w->seg, off, bytes);
    if (!at) {
        w->is_stuck = 1;
        return err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
    }
    for (uint64_t done = 0; done < bytes; done += sizeof zeros)
        shm_copy_in(at + done, zeros, bytes - done < sizeof zeros ? bytes - done : sizeof zeros);
    table_swap(w, word, off);
    return LARDER_OK;
}

/* Undoes a table that is not there yet: its definition goes, then the entry is free. */
static void undo_create(struct writer *w, struct table_shm *t) {
    if (SHM_LOAD(&t->schema_off) != 0)
        table_swap(w, &t->schema_off, 0);
    if (!w->is_stuck)
        table_life_next(t, TABLE_FREE);
}

static int create_in(struct writer *w, struct table_shm *t, struct schema_source *source) {
    int had_items = SHM_LOAD(&t->items_off) != 0, had_partitions = SHM_LOAD(&t->partitions_off) != 0;
    source->birth = (uint32_t)LIFE_GENERATION(table_life_next(t, TABLE_CREATING));
    SHM_STORE(&t->restamp, 0);
    int result = make_stripes(w, &t->items_off);
    if (result == LARDER_OK)
        result = make_stripes(w, &t->partitions_off);
    if (result == LARDER_OK && source->def.eviction != LARDER_EVICTION_NONE)
        result = marks_make(w, t);
    if (result == LARDER_OK)
        result = table_publish(w, t, source, 0);
    if (result == LARDER_OK) {
        table_life_next(t, TABLE_READY);
        return LARDER_OK;
    }
    /* No other process saw the stripes, so here, and only here, they may go back to the heap. */
    if (!w->is_stuck && !had_partitions && SHM_LOAD(&t->partitions_off) != 0)
        table_swap(w, &t->partitions_off, 0);
    if (!w->is_stuck && !had_items && SHM_LOAD(&t->items_off) != 0)
        table_swap(w, &t->items_off, 0);
    if (!w->is_stuck)
        undo_create(w, t);
    return result;
}

/* An entry without a table, preferably one that has its stripes. NULL: all are taken. */
static struct table_shm *free_entry(struct writer *w, uint32_t *ordinal) {
    struct table_shm *best = NULL;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        struct table_shm *t = seg_table(w->seg, i);
        if (LIFE_STATE(SHM_LOAD(&t->life)) != TABLE_FREE)
            continue;
        int has_stripes = SHM_LOAD(&t->items_off) && SHM_LOAD(&t->partitions_off);
        if (!best || has_stripes) {
            best = t;
            *ordinal = i;
        }
        if (has_stripes)
            break;
    }
    return best;
}

static int create_locked(struct writer *w, struct schema_source *source) {
    struct catalog_entry e;
    uint32_t ordinal = 0;
    int result = catalog_find(w->seg, source->def.name, TABLE_READY, &e);
    if (result == LARDER_OK)
        return err_set(LARDER_E_EXISTS, "table \"%s\" exists already", source->def.name);
    if (result != LARDER_NOT_FOUND)
        return result;
    struct table_shm *t = free_entry(w, &ordinal);
    if (!t)
        return err_set(LARDER_E_FULL, "no room for table \"%s\": a segment holds at most %u tables", source->def.name,
                       LARDER_TABLES_MAX);
    result = check_kept(w, ordinal, &t->items_off, 1);
    if (result == LARDER_OK)
        result = check_kept(w, ordinal, &t->partitions_off, 0);
    if (result != LARDER_OK)
        return result;
    note_op(w, OP_TABLE_CREATE, ordinal);
    result = create_in(w, t, source);
    forget_op(w);
    return result;
}

static int is_catalog_full(const struct seg *s) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (LIFE_STATE(SHM_LOAD(&seg_table(s, i)->life)) == TABLE_FREE)
            return 0;
    return 1;
}

/* While the catalog is full and some entries are of dropped tables, empties those. LARDER_OK: go
 * on, or find out that all are in use; else why no entry came free. */
static int await_entry(struct writer *w) {
    uint64_t deadline_ms = wait_now_ms() + w->busy_timeout_ms;
    while (is_catalog_full(w->seg) && table_has_drops(w->seg)) {
        int r = table_resume_piece(w);
        if (r != LARDER_MORE && r != LARDER_NOT_FOUND &&
            (r != LARDER_E_BUSY || w->is_stuck || !wait_until(deadline_ms)))
            return r;
        if (wait_now_ms() >= deadline_ms)
            return err_set(LARDER_E_BUSY,
                           "all %u entries for tables are in use, and a dropped one is still being emptied",
                           LARDER_TABLES_MAX);
    }
    return LARDER_OK;
}

static int has_kept_entry(const struct seg *s) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_shm *t = seg_table(s, i);
        if (LIFE_STATE(SHM_LOAD(&t->life)) == TABLE_FREE && SHM_LOAD(&t->items_off) && SHM_LOAD(&t->partitions_off))
            return 1;
    }
    return 0;
}

/* An entry that never had a table takes stripes that it keeps for ever. So while tables were
 * dropped and none of their entries is free, empties them, as far as a small table needs it: else
 * tables that come and go fast spread over all entries. */
static int await_kept_entry(struct writer *w) {
    struct err_kept before;
    uint32_t timeout_ms = w->busy_timeout_ms, pieces = 2 * w->seg->stripe_count / TABLE_EMPTY_PIECE + REUSE_PIECES;
    int r = LARDER_MORE;
    err_keep(&before);
    w->busy_timeout_ms = timeout_ms < REUSE_BUSY_MS ? timeout_ms : REUSE_BUSY_MS;
    w->inner_timeout_ms = timeout_ms;
    while (r == LARDER_MORE && pieces-- > 0 && !has_kept_entry(w->seg))
        r = table_resume_piece(w);
    w->busy_timeout_ms = timeout_ms;
    w->inner_timeout_ms = 0;
    if (w->is_stuck)
        return r;
    err_put_back(&before); /* it need not be possible */
    return LARDER_OK;
}

struct creation {
    struct schema_source source;
    struct room room;
};

static int try_create(struct writer *w, void *arg) {
    struct creation *c = arg;
    c->room.had_drops = table_has_drops(w->seg);
    int result = table_lock_catalog(w);
    if (result == LARDER_OK) {
        result = create_locked(w, &c->source);
        table_leave_catalog(w);
    }
    return result;
}

static int create(struct writer *w, struct creation *c) {
    int result = await_kept_entry(w);
    if (result == LARDER_OK)
        result = await_entry(w);
    if (result != LARDER_OK)
        return result;
    uint64_t bytes = 2 * stripes_bytes(w) + schema_bytes(&c->source);
    c->room = (struct room){.bytes = bytes,
                            .run_bytes = bytes,
                            .now_s = db_now(w->db),
                            .drops_until_ms = wait_now_ms() + w->busy_timeout_ms};
    heap_claim_ahead(w, c->room.bytes);
    return attempt(w, &c->room, try_create, c);
}

int table_create(struct larder *db, const struct larder_table_def *def) {
    struct writer *w;
    struct creation creation;
    int result = db_check(db);
    if (result == LARDER_OK)
        result = schema_check(def);
    if (result == LARDER_OK)
        result = writer_borrow(db, &w);
    if (result != LARDER_OK)
        return result;
    schema_source_of_def(def, &creation.source);
    result = create(w, &creation);
    writer_end(w);
    return result;
}

LARDER_API int larder_table_create(struct larder *db, const struct larder_table_def *def) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(def))
        return LARDER_E_INVAL;
    if (def->name && token_reserves(def->name))
        return err_set(LARDER_E_INVAL,
                       "a table name may not begin with \"" TOKEN_RESERVED "\", which is for the library's own tables");
    return table_create(db, def);
}

/* ---- Drop ------------------------------------------------------------------------------------ */

static int drop_locked(struct writer *w, struct table_view *v) {
    if (!view_is_current(v) || LIFE_STATE(v->life) != TABLE_READY)
        return OBSTACLE_VIEW;
    if (strcmp(v->def.name, TOKEN_TABLE) == 0 && token_table_is_sound(v))
        return token_check_name(v->def.name);
    /* if a stopped process holds a stripe, fail here, while nothing has changed */
    int result = table_flush(w, v);
    if (result != LARDER_OK)
        return result;
    SHM_STORE(&v->shm->emptied, 0);
    table_life_next(v->shm, TABLE_DROPPING);
    return LARDER_OK;
}

static int try_drop(struct writer *w, void *arg) {
    const char *name = arg;
    struct catalog_entry e;
    struct table_view *v;
    int result = catalog_find(w->seg, name, TABLE_READY, &e);
    if (result == LARDER_OK)
        result = table_view_read(w->db, e.ordinal, &v);
    else if (result == LARDER_NOT_FOUND)
        return err_set(LARDER_E_NO_TABLE, "there is no table \"%s\"", name);
    if (result != LARDER_OK)
        return result == LARDER_NOT_FOUND ? OBSTACLE_VIEW : result; /* it has gone meanwhile */
    result = strcmp(v->def.name, name) == 0 ? table_lock_catalog(w) : OBSTACLE_VIEW;
    if (result == LARDER_OK) {
        result = drop_locked(w, v);
        table_leave_catalog(w);
    }
    priv_free(db_priv(w->db), v);
    return result;
}

LARDER_API int larder_table_drop(struct larder *db, const char *name) {
    struct writer *w;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(name))
        return LARDER_E_INVAL;
    int result = db_check(db);
    if (result == LARDER_OK)
        result = schema_check_name(name, "table");
    if (result == LARDER_OK)
        result = writer_borrow(db, &w);
    if (result != LARDER_OK)
        return result;
    result = attempt(w, NULL, try_drop, (void *)(uintptr_t)name);
    writer_end(w);
    if (result == LARDER_OK)
        drop_thread_start(db);
    return result;
}

/* ---- Recovery -------------------------------------------------------------------------------- */

int table_recover_op(struct writer *w, uint32_t op, uint32_t ordinal) {
    if (ordinal >= LARDER_TABLES_MAX || (op != OP_TABLE_CREATE && op != OP_TABLE_DROP))
        return err_set(LARDER_E_CORRUPT, "slot %u notes operation %u on table number %u", w->id, op, ordinal);
    struct table_shm *t = seg_table(w->seg, ordinal);
    if (op == OP_TABLE_CREATE && LIFE_STATE(SHM_LOAD(&t->life)) == TABLE_CREATING)
        undo_create(w, t);
    /* OP_TABLE_DROP is noted no more. Older libraries left it; that the entry is DROPPING is all
     * that they noted. */
    return w->is_stuck ? LARDER_E_BUSY : LARDER_OK;
}
