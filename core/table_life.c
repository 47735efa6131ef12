/* core/table_life.c - tables come and go.
 *
 * Job      larder_table_create() and larder_table_drop(), and the recovery of both.
 * Picture  life    FREE -> CREATING -> READY -> READY (changed) -> ... -> DROPPING -> FREE
 *                  a new generation at each arrow
 *          blocks  two arrays of stripes, made by the first table of a catalog entry and kept for ever (rule L3 of
 *                  core/layout.h); the definition, one block that every change replaces (core/table_change.c)
 * Crash    Create, under the catalog lock, with the slot's op noted from 1 to 5:
 *           1 life CREATING                         dead from here: undone. The definition goes back if it was
 *           2 stripe arrays, one step each          stored, then life FREE. Stripes that were stored stay with
 *           3 take the definition's block, fill it  the entry: its next table needs them
 *           4 schema_off, one step
 *           5 life READY                            dead from here: the table is there
 *          Drop, under the catalog lock, with the slot's op noted from 1 to 5:
 *           1 life DROPPING                         dead from here: finished, by recovery or the next drop or create
 *           2 wait out the writers (table_flush)
 *           3 lists, items, bucket arrays           each by its own protocol; what is gone already is passed over
 *           4 schema_off 0, one step
 *           5 life FREE
 * Locks    The catalog lock is held to the end of a drop, so that nobody makes a new table over stripes that are
 *          still being emptied. Views are made before it is taken: they need private memory (recovery has no such
 *          choice).
 * Tests    tests/unit/table_life_test.c, tests/api/table_test.c
 */
#include "core/table_life.h"

#include <string.h>

#include "core/catalog.h"
#include "core/db.h"
#include "core/err.h"
#include "core/hooks.h"
#include "core/write.h"

static void note_op(struct writer *w, uint32_t op, uint32_t ordinal) {
    SHM_STORE(&w->slot->op_a, ordinal);
    SHM_STORE(&w->slot->op, op);
}

/* A stuck writer keeps its note, for recovery. */
static void forget_op(struct writer *w) {
    if (!w->is_stuck)
        SHM_STORE(&w->slot->op, OP_NONE);
}

/* ---- Create ------------------------------------------------------------------------------------------------------ */

static uint64_t stripes_bytes(const struct writer *w) {
    return (uint64_t)w->seg->stripe_count * sizeof(struct stripe_shm);
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

/* A table that is not there yet goes: its definition, then the entry is free. */
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
    if (result == LARDER_OK)
        result = table_publish(w, t, source, 0);
    if (result == LARDER_OK) {
        table_life_next(t, TABLE_READY);
        return LARDER_OK;
    }
    /* Nobody saw the stripes, so here, and only here, they may go back to the heap. */
    if (!w->is_stuck && !had_partitions && SHM_LOAD(&t->partitions_off) != 0)
        table_swap(w, &t->partitions_off, 0);
    if (!w->is_stuck && !had_items && SHM_LOAD(&t->items_off) != 0)
        table_swap(w, &t->items_off, 0);
    if (!w->is_stuck)
        undo_create(w, t);
    return result;
}

/* An entry without a table: rather one that has its stripes. NULL: all are taken. */
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
        return err_set(LARDER_E_EXISTS, "there is a table \"%s\" already", source->def.name);
    if (result != LARDER_NOT_FOUND)
        return result;
    struct table_shm *t = free_entry(w, &ordinal);
    if (!t)
        return err_set(LARDER_FULL, "no room for table \"%s\": a segment holds at most %u tables", source->def.name,
                       LARDER_TABLES_MAX);
    note_op(w, OP_TABLE_CREATE, ordinal);
    result = create_in(w, t, source);
    forget_op(w);
    return result;
}

/* Tables that somebody began to drop: best effort, a table that cannot be emptied now stays for the next one. */
int table_has_drops(const struct seg *s) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (LIFE_STATE(SHM_LOAD(&seg_table(s, i)->life)) == TABLE_DROPPING)
            return 1;
    return 0;
}

int table_resume_drops(struct writer *w) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && !w->is_stuck; i++)
        if (LIFE_STATE(SHM_LOAD(&seg_table(w->seg, i)->life)) == TABLE_DROPPING)
            (void)table_empty(w, i);
    return w->is_stuck ? LARDER_BUSY : LARDER_OK;
}

static int create(struct writer *w, struct schema_source *source) {
    int result = table_resume_drops(w);
    if (result != LARDER_OK)
        return result;
    heap_claim_ahead(w, 2 * stripes_bytes(w) + schema_bytes(source));
    do {
        result = table_lock_catalog(w);
        if (result == LARDER_OK) {
            result = create_locked(w, source);
            table_leave_catalog(w);
        }
    } while (result == LARDER_E_RETRY && !w->is_stuck && (result = writer_claim(w)) == LARDER_OK);
    return result == LARDER_E_RETRY
               ? err_set(LARDER_BUSY, "a stopped process holds a lock that creating the table needs")
               : result;
}

LARDER_API int larder_table_create(struct larder *db, const struct larder_table_def *def) {
    struct writer *w;
    struct schema_source source;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(def))
        return LARDER_E_INVAL;
    int result = db_check(db);
    if (result == LARDER_OK)
        result = schema_check(def);
    if (result == LARDER_OK)
        result = writer_borrow(db, &w);
    if (result != LARDER_OK)
        return result;
    schema_source_of_def(def, &source);
    result = create(w, &source);
    writer_end(w);
    return result;
}

/* ---- Drop -------------------------------------------------------------------------------------------------------- */

/* Steps 2 to 5 of the Crash list. v is NULL if the definition is gone already, by step 4. */
static int empty_locked(struct writer *w, struct table_shm *t, const struct table_view *v) {
    if (v) {
        int result = table_flush(w, v);
        if (result == LARDER_OK)
            result = core_hooks->index_clear(w, v, -1);
        for (uint32_t i = 0; result == LARDER_OK && i < v->items.stripe_count; i++)
            result = write_empty_stripe(w, v, i);
        if (result != LARDER_OK)
            return result;
        table_swap(w, &t->schema_off, 0);
    }
    SHM_STORE(&t->restamp, 0);
    table_life_next(t, TABLE_FREE);
    return LARDER_OK;
}

/* The view of what stands at ordinal; *v NULL if nothing does. */
static int view_or_none(struct writer *w, uint32_t ordinal, struct table_view **v) {
    *v = NULL;
    int result = table_view_read(w->db, ordinal, v);
    return result == LARDER_NOT_FOUND ? LARDER_OK : result;
}

/* table_empty() with the lock held, and a view that was read before. LARDER_E_RETRY: it is not the present one any
 * more. */
static int empty_as_seen_locked(struct writer *w, uint32_t ordinal, const struct table_view *v) {
    struct table_shm *t = seg_table(w->seg, ordinal);
    if (LIFE_STATE(SHM_LOAD(&t->life)) != TABLE_DROPPING)
        return LARDER_OK;
    if (v ? !view_is_current(v) : SHM_LOAD(&t->schema_off) != 0)
        return LARDER_E_RETRY;
    note_op(w, OP_TABLE_DROP, ordinal);
    int result = empty_locked(w, t, v);
    forget_op(w);
    return result;
}

int table_empty(struct writer *w, uint32_t ordinal) {
    int is_held = lock_is_held(w, LOCK_CATALOG), result;
    do {
        struct table_view *v;
        result = view_or_none(w, ordinal, &v);
        if (result != LARDER_OK)
            return result;
        if (!is_held)
            result = table_lock_catalog(w);
        if (result == LARDER_OK) {
            result = empty_as_seen_locked(w, ordinal, v);
            if (!is_held)
                table_leave_catalog(w);
        }
        priv_free(db_priv(w->db), v);
    } while (result == LARDER_E_RETRY);
    return result;
}

/* LARDER_E_RETRY: the view is not the present one any more. */
static int drop_locked(struct writer *w, struct table_view *v) {
    if (!view_is_current(v) || LIFE_STATE(v->life) != TABLE_READY)
        return LARDER_E_RETRY;
    int result = table_flush(w, v); /* if a stopped process holds a stripe, better say so while nothing has changed */
    if (result != LARDER_OK)
        return result;
    note_op(w, OP_TABLE_DROP, v->ordinal);
    v->life = table_life_next(v->shm, TABLE_DROPPING); /* our own view follows: it describes what is being emptied */
    result = empty_locked(w, v->shm, v);
    forget_op(w);
    /* From that store on the table is dropped. Memory that cannot be had back now is fetched by table_resume_drops(). */
    return result == LARDER_E_CORRUPT || result == LARDER_E_RETRY ? result : LARDER_OK;
}

static int drop_once(struct writer *w, const char *name) {
    struct catalog_entry e;
    struct table_view *v;
    int result = catalog_find(w->seg, name, TABLE_READY, &e);
    if (result == LARDER_NOT_FOUND && catalog_find(w->seg, name, TABLE_DROPPING, &e) == LARDER_OK)
        return table_empty(w, e.ordinal);
    if (result != LARDER_OK)
        return result == LARDER_NOT_FOUND ? err_set(LARDER_E_NO_TABLE, "there is no table \"%s\"", name) : result;
    result = view_or_none(w, e.ordinal, &v);
    if (result != LARDER_OK || !v)
        return result != LARDER_OK ? result : LARDER_E_RETRY;
    result = strcmp(v->def.name, name) == 0 ? table_lock_catalog(w) : LARDER_E_RETRY;
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
    do
        result = drop_once(w, name);
    while (result == LARDER_E_RETRY);
    writer_end(w);
    return result;
}

/* ---- Recovery ---------------------------------------------------------------------------------------------------- */

int table_recover_op(struct writer *w, uint32_t op, uint32_t ordinal) {
    if (ordinal >= LARDER_TABLES_MAX || (op != OP_TABLE_CREATE && op != OP_TABLE_DROP))
        return err_set(LARDER_E_CORRUPT, "slot %u notes operation %u on table number %u", w->id, op, ordinal);
    struct table_shm *t = seg_table(w->seg, ordinal);
    uint32_t state = LIFE_STATE(SHM_LOAD(&t->life));
    if (op == OP_TABLE_CREATE && state == TABLE_CREATING)
        undo_create(w, t);
    if (op == OP_TABLE_DROP && state == TABLE_DROPPING) {
        int result = table_empty(w, ordinal);
        /* A stopped process holds a stripe. The catalog is not to wait for it: the next create or drop goes on. */
        if (result != LARDER_BUSY || w->is_stuck)
            return result;
    }
    return w->is_stuck ? LARDER_BUSY : LARDER_OK;
}
