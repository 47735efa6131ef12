/* core/table/table.h - tables: the catalog in the segment and this process's view of a definition.
 *
 * Job      Creates, finds, changes and drops tables; keeps for each table a view, an immutable
 *          private copy of the definition with everything a call needs resolved.
 * Rules    T1 Every change of the definition takes a new life before it publishes the new block in
 *             schema_off, so the pair of both names one definition; a view says which pair it was
 *             made from.
 *          T2 Readers use the view that was current when they began. Writers compare the pair again
 *             under the stripe's lock (view_is_current) and start over if it moved: so whoever
 *             changes a definition publishes the new life and then takes and drops every stripe's
 *             lock once, and from then on nobody writes under the old one (table_flush).
 *          T3 A view that is not current any more is freed when no call that may have found it is
 *             under way (core/table/views.h).
 * Tests    tests/api/table_test.c
 */
#ifndef LARDER_TABLE_TABLE_H
#define LARDER_TABLE_TABLE_H

#include "core/item/item.h"
#include "core/memory/htab.h"

#define INDEX_FILLING 1u /* being added: writers keep it, readers refuse it */
#define INDEX_ACTIVE 2u
#define INDEX_DEAD 3u /* an addition that failed: the ordinal stays used, nobody keeps it */

struct schema_head;

struct table_view {
    struct larder *db;
    uint32_t ordinal; /* in the catalog */
    /* Of table_shm when this was read; together they name this definition
     * (core/table/catalog.h). */
    uint64_t life, schema_off;
    uint32_t birth; /* as in struct larder_table */
    /* 1..ITEM_TTL_GENERATION_MAX, round and round; counts changes of the TTL attribute */
    uint16_t ttl_generation;
    struct table_shm *shm;
    /* index_count counts all ordinals, dead ones too */
    struct item_shape shape;
    uint8_t index_state[256]; /* by ordinal of secondary index */
    /* what describe returns: dead and filling indexes left out */
    struct larder_table_def def;
    const struct larder_index_def *index_def[256]; /* by ordinal; NULL if dead */
    /* by ordinal: names an index page keeps, sorted; NULL: all */
    const struct bytes *projected[256];
    uint32_t projected_count[256];
    struct htab items, partitions;
    const struct schema_head *source; /* the definition's bytes, in the same block */
    struct table_view *older;         /* in a list of core/table/views.h */
    uint64_t retired_at;              /* epoch */
    int is_handed_out;
};

struct larder_table {
    struct larder *db;
    uint32_t ordinal;
    /* generation of its creation: a table dropped and created anew is another table */
    uint32_t birth;
    struct table_view *_Atomic view;
    struct larder_table *next;
    char name[LARDER_NAME_BYTES_MAX + 1];
};

/* The current view of a table, for a caller whose use of views has begun (core/table/views.h): good
 * until that ends. LARDER_OK, LARDER_E_NO_TABLE (dropped), LARDER_E_DESTROYED, LARDER_E_CORRUPT,
 * LARDER_E_NO_MEMORY. */
static inline int table_view(struct larder_table *t, const struct table_view **view);
/* The same in a call that has been through db_check(), as writer_borrow() goes. */
static inline int table_view_checked(struct larder_table *t, const struct table_view **view);

/* Under a stripe's lock, before changing anything. */
static inline int view_is_current(const struct table_view *v) {
    return SHM_LOAD(&v->shm->life) == v->life && SHM_LOAD(&v->shm->schema_off) == v->schema_off;
}
/* The rest of table_view(): the view is not current, or there is none yet. */
int table_view_anew(struct larder_table *t, const struct table_view **view);
/* db.c. LARDER_OK; LARDER_E_DESTROYED, also within a second of the removal of the file by hand;
 * LARDER_E_BUSY, LARDER_E_CORRUPT. First thing in every call. */
int db_check(struct larder *db);
static inline int table_view_checked(struct larder_table *t, const struct table_view **view) {
    /* Acquire; pairs with the release in renew_view(): a thread that sees the view sees what is in
     * it. */
    struct table_view *v = atomic_load_explicit(&t->view, memory_order_acquire);
    if (__builtin_expect(!v || !view_is_current(v), 0))
        return table_view_anew(t, view);
    *view = v;
    return LARDER_OK;
}
static inline int table_view(struct larder_table *t, const struct table_view **view) {
    int result = db_check(t->db);
    return __builtin_expect(result == LARDER_OK, 1) ? table_view_checked(t, view) : result;
}
/* After a read under a view: LARDER_OK if the table is still the same one, whatever its definition
 * is by now; else what table_view says. A table that was dropped meanwhile, and another made in its
 * place, may have lent the reader items of its own. */
static inline int table_still(struct larder_table *t, const struct table_view *v) {
    const struct table_view *now;
    return __builtin_expect(view_is_current(v), 1) ? LARDER_OK : table_view(t, &now);
}
/* What to tell the caller of a read under a view that gave r. That the table is another one now
 * explains damage that was met, too. */
static inline int table_judge(struct larder_table *t, const struct table_view *v, int r) {
    if (r < 0 && r != LARDER_E_CORRUPT)
        return r;
    int still = table_still(t, v);
    return still ? still : r;
}
/* A view for recovery, which has no larder_table: by catalog ordinal, also of a table that is being
 * created or dropped. Kept in the handle as others are, and good as long. Called outside locks. */
int table_view_by_ordinal(struct larder *db, uint32_t ordinal, const struct table_view **view);
/* Takes and drops the lock of every item stripe once: rule T2. */
int table_flush(struct writer *w, const struct table_view *v);

/* Changes definition fields under the catalog lock (index/fill.c, larder_ttl_set): a new schema
 * block is built from `v` by the caller's edit of def, states and ttl_generation, and published
 * with a new life. */
struct table_change {
    const struct larder_index_def *added; /* NULL, or an index to append as INDEX_FILLING */
    int set_state_ordinal;                /* -1, or an ordinal whose state becomes set_state */
    uint8_t set_state;
    int set_ttl; /* nonzero: ttl_attribute becomes ttl */
    const char *ttl;
    int set_removal;
    enum larder_removal removal;
};
int table_change_locked(struct writer *w, const struct table_view *v, const struct table_change *change);

/* Recovery of a slot that died inside OP_TABLE_CREATE or OP_TABLE_DROP, in its name; holds its
 * catalog lock. */
int table_recover_op(struct writer *w, uint32_t op, uint32_t ordinal);
/* Tables that were dropped and are not empty yet (core/table/table_empty.c). Takes the catalog
 * lock, unless the caller holds it. One piece. LARDER_MORE: there may be more; LARDER_NOT_FOUND:
 * there are none; LARDER_E_BUSY (the writer may be stuck), LARDER_E_CORRUPT: those that are left
 * cannot be emptied now. */
int table_resume_piece(struct writer *w);
/* All pieces, as far as that is possible now, and as w->is_stopping lets it. LARDER_OK;
 * LARDER_E_BUSY: the writer is stuck. */
int table_resume_drops(struct writer *w);
int table_has_drops(const struct seg *s);
/* 0: there are none. Else a number that changes with every piece, whoever does it. */
uint64_t table_drop_mark(const struct seg *s);

#endif
