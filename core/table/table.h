/* core/table/table.h - tables: the catalog in the segment and this process's view of a definition.
 *
 * Job      Creates, finds, changes and drops tables. Keeps for each table a view: an immutable
 *          private copy of the definition with everything resolved that a call needs.
 * Rules    T1 Every change of the definition takes a new life before it publishes the new block in
 *             schema_off, so the pair of both names one definition. A view holds the pair that it
 *             was made from.
 *          T2 Readers use the view that was current when they began. Writers compare the pair again
 *             under the stripe's lock (view_is_current), and start over if it moved. A process that
 *             changes a definition publishes the new life, then takes and drops every stripe's lock
 *             once (table_flush). From then on no process writes under the old one.
 *          T3 A view that is no longer current is freed when no call that may have found it is
 *             under way (core/table/views.h).
 * Tests    tests/api/table_test.c
 */
#ifndef LARDER_TABLE_TABLE_H
#define LARDER_TABLE_TABLE_H

#include "core/item/item.h"
#include "core/memory/htab.h"

#define INDEX_FILLING 1u /* being added: writers keep it, readers refuse it */
#define INDEX_ACTIVE 2u
#define INDEX_DEAD 3u /* an addition that failed: the ordinal stays used, no write keeps it */

struct marks_shm;
struct notes;
struct schema_head;

struct table_view {
    struct larder *db;
    uint32_t ordinal; /* in the catalog */
    /* of table_shm when this was read; together they name this definition (core/table/catalog.h) */
    uint64_t life, schema_off;
    uint32_t birth; /* as in struct larder_table */
    /* 1..ITEM_TTL_GENERATION_MAX, then 1 again; counts changes of the TTL attribute */
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
    /* core/table/marks.h. NULL unless the table evicts. On a read-only attachment notes is NULL */
    struct marks_shm *marks;
    struct notes *notes;
    const struct schema_head *source; /* the definition's bytes, in the same block */
    int has_bad_settings;             /* they do not have their checksum; def has none */
    struct table_view *older;         /* in a list of core/table/views.h */
    uint64_t retired_at;              /* epoch */
    uint64_t holds;                   /* of its definition: larder_table_describe() */
    /* of the latest view with the same definition for which this one was given away; 0: none */
    _Atomic uint64_t same_life, same_schema_off;
};

struct larder_table {
    struct larder *db;
    uint32_t ordinal;
    /* generation of its creation: a table that is dropped and created again is another one */
    uint32_t birth;
    uint64_t opens; /* larder_table_open() without its larder_table_close() */
    struct table_view *_Atomic view;
    struct larder_table *next;
    char name[];
};

/* The current view of a table, for a caller whose use of views has begun (core/table/views.h). It
 * is good until that use ends. LARDER_OK, LARDER_E_NO_TABLE (dropped), LARDER_E_NO_MEMORY,
 * LARDER_E_CORRUPT, what db_check() returns. */
static inline int table_view(struct larder_table *t, const struct table_view **view);
/* The same in a call that has done db_check(), as writer_borrow() does. */
static inline int table_view_checked(struct larder_table *t, const struct table_view **view);

/* larder_table_open() of any table, the library's own included. */
int table_open(struct larder *db, const char *name, struct larder_table **out);

/* Asked under a stripe's lock, before anything is changed. */
static inline int view_is_current(const struct table_view *v) {
    return SHM_LOAD(&v->shm->life) == v->life && SHM_LOAD(&v->shm->schema_off) == v->schema_off;
}
/* An index that is ready to be read: its ordinal + 1; 0: none of that name. */
uint32_t table_index_number(const struct table_view *v, const char *name);
/* The rest of table_view(): the view is not current, or there is none yet. */
int table_view_anew(struct larder_table *t, const struct table_view **view);
/* Makes a view that is in no list: the caller's own, to be freed with priv_free() or put into
 * db->views.current. LARDER_OK, LARDER_NOT_FOUND (there is no definition), LARDER_E_CORRUPT,
 * LARDER_E_NO_MEMORY. */
int table_view_read(struct larder *db, uint32_t ordinal, struct table_view **view);
/* db.c. The first step of every call. LARDER_OK; LARDER_E_DESTROYED, also within a second after the
 * file was removed by hand; LARDER_E_BUSY, LARDER_E_CORRUPT. */
int db_check(struct larder *db);
static inline int table_view_checked(struct larder_table *t, const struct table_view **view) {
    /* Acquire; pairs with the release in renew_view(): a thread that sees the view sees its
     * contents. */
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
/* After a read under a view. LARDER_OK: the table is still the same, under whatever definition.
 * Else what table_view() returns: if the table was dropped, and another made in its place, the
 * reader may have met items of that one. */
static inline int table_still(struct larder_table *t, const struct table_view *v) {
    const struct table_view *now;
    return __builtin_expect(view_is_current(v), 1) ? LARDER_OK : table_view(t, &now);
}
/* The result for the caller of a read under a view that gave r. A table that is another one now
 * also explains damage that was met. */
static inline int table_judge(struct larder_table *t, const struct table_view *v, int r) {
    if (r < 0 && r != LARDER_E_CORRUPT)
        return r;
    int still = table_still(t, v);
    return still ? still : r;
}
/* A view for recovery, which has no larder_table: by catalog ordinal, also of a table that is being
 * created or dropped. The handle keeps it as it keeps others. Called outside locks. */
int table_view_by_ordinal(struct larder *db, uint32_t ordinal, const struct table_view **view);
/* Takes and drops the lock of every item stripe once: rule T2. */
int table_flush(struct writer *w, const struct table_view *v);

/* Changes a definition under the catalog lock (index/fill.c, larder_ttl_set()): builds a new schema
 * block from `v` with these fields edited, and publishes it with a new life. */
struct table_change {
    const struct larder_index_def *added; /* NULL, or an index to append as INDEX_FILLING */
    int set_state_ordinal;                /* -1, or an ordinal whose state becomes set_state */
    uint8_t set_state;
    int set_ttl; /* nonzero: ttl_attribute becomes ttl */
    const char *ttl;
    int set_removal;
    enum larder_removal removal;
    int set_eviction;
    enum larder_eviction eviction;
    int set_settings;
    const void *settings;
    uint64_t settings_bytes;
};
int table_change_locked(struct writer *w, const struct table_view *v, const struct table_change *change);
/* Part of a try (core/table/attempt.h): calls `change` under the catalog lock, if v is still the
 * table's view; else OBSTACLE_VIEW. A stuck writer's lock stays with its slot. */
typedef int table_locked(struct writer *w, const struct table_view *v, const void *arg);
int table_under_catalog(struct writer *w, const struct table_view *v, table_locked *change, const void *arg);

#define TABLE_EMPTY_PIECE 256u /* blocks given back, or stripes passed: about half a millisecond */
/* Tables that were dropped and are not empty yet (core/table/table_empty.c). Empties one piece.
 * Takes the catalog lock, unless the caller holds it. LARDER_MORE: there may be more;
 * LARDER_NOT_FOUND: there are none; LARDER_E_BUSY (the writer may be stuck), LARDER_E_CORRUPT: the
 * rest cannot be emptied now. */
int table_resume_piece(struct writer *w);
/* Empties all pieces, as far as is possible now. LARDER_OK: all that was dropped when the call
 * began is empty; LARDER_MORE: w->is_stopping ended the call;
 * LARDER_E_BUSY (the writer may be stuck), LARDER_E_CORRUPT: the rest cannot be emptied now. */
int table_resume_drops(struct writer *w);
int table_has_drops(const struct seg *s);
/* 0: there are none. Else a number that changes with every piece, whichever process does it. */
uint64_t table_drop_mark(const struct seg *s);

#endif
