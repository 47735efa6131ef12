/* core/table/table.c - tables as a process sees them: handles, views, and the calls that look.
 *
 * Job      larder_table_open, _close, _describe and _list, and the views of table_view(), with
 *          which every call on a table begins.
 * Picture  struct larder_table (one per table and handle) -> its latest view. A view is made when a
 *          call finds that the pair (life, schema_off) moved. All threads share it.
 * Locks    db->mutex guards the lists of tables and views while one is looked for or made. The
 *          usual call takes no lock: it loads the handle's view, and two words of one cache line of
 *          the segment.
 * Files    table_life.c creates and drops, table_change.c changes, catalog.c reads the segment,
 *          schema.c makes a view of what was read.
 * Tests    tests/api/table_test.c
 */
#include "core/table/table.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/schema.h"
#include "core/table/token.h"

/* ---- Views ----------------------------------------------------------------------------------- */

static struct htab htab_of(const struct seg *s, uint64_t off, enum lock_rank rank) {
    uint32_t count = s->stripe_count;
    return (struct htab){.seg = s,
                         .stripes = seg_at(s, off, (uint64_t)count * sizeof(struct stripe_shm)),
                         .stripe_count = count,
                         .stripe_shift = 64 - (uint32_t)__builtin_ctz(count),
                         .rank = rank};
}

/* Sets what a view knows besides the definition. A table that is being created may have no stripes
 * yet. Then it has no definition either, so every view has stripes. */
static int attach_view(struct table_view *v, struct larder *db, const struct catalog_entry *e) {
    struct table_shm *t = seg_table(&db->seg, e->ordinal);
    uint64_t items = SHM_LOAD(&t->items_off), partitions = SHM_LOAD(&t->partitions_off);
    v->db = db;
    v->ordinal = e->ordinal;
    v->life = e->life;
    v->schema_off = e->schema_off;
    v->shm = t;
    v->items = htab_of(&db->seg, items, LOCK_STRIPE);
    v->partitions = htab_of(&db->seg, partitions, LOCK_PARTITION);
    if (v->items.stripes && v->partitions.stripes && (items | partitions) % 64 == 0)
        return LARDER_OK;
    return err_set(LARDER_E_CORRUPT, "table \"%s\" has its stripes outside the segment", v->def.name);
}

int table_view_read(struct larder *db, uint32_t ordinal, struct table_view **view) {
    for (;;) {
        struct catalog_entry e;
        struct schema_head *copy;
        int result = catalog_read(&db->seg, ordinal, &e);
        if (result != LARDER_OK)
            return result;
        struct table_view *v = schema_view_new(db_priv(db), &e.head, &copy);
        if (!v)
            return LARDER_E_NO_MEMORY;
        result = catalog_copy(&db->seg, &e, copy);
        if (result == LARDER_OK) {
            /* The head was read twice. If it differs now, the segment changes in ways that no
             * writer of ours does. */
            result = memcmp(copy, &e.head, sizeof e.head) == 0
                         ? schema_view_fill(v, copy)
                         : err_set(LARDER_E_CORRUPT, "a table's definition changed, but its generation did not");
            if (result == LARDER_OK && v->has_bad_settings)
                result =
                    err_set(LARDER_E_CORRUPT, "the settings of table \"%s\" do not have their checksum", v->def.name);
            if (result == LARDER_OK)
                result = attach_view(v, db, &e);
            if (result == LARDER_OK) {
                *view = v;
                return LARDER_OK;
            }
        }
        priv_free(db_priv(db), v);
        if (result != LARDER_NOT_FOUND)
            return result;
    }
}

/* The guesses of both hash tables stay the same from view to view, since stripes stay with their
 * catalog entry (rule L3). Without memory for them reads are only slower. Under db->mutex. */
static void take_guesses(struct larder *db, struct table_view *v) {
    _Atomic uint64_t **seen = &db->guesses[v->ordinal];
    if (!*seen)
        *seen = priv_alloc(db_priv(db), 2 * (size_t)v->items.stripe_count * sizeof **seen);
    if (!*seen)
        return;
    v->items.seen = *seen;
    v->partitions.seen = *seen + v->items.stripe_count;
}

/* The current view of the table at `ordinal`, found or made. Under db->mutex. */
static int find_view(struct larder *db, uint32_t ordinal, struct table_view **view) {
    for (struct table_view *v = db->views.current; v; v = v->older)
        if (v->ordinal == ordinal && view_is_current(v)) {
            *view = v;
            return LARDER_OK;
        }
    int result = table_view_read(db, ordinal, view);
    if (result == LARDER_OK) {
        take_guesses(db, *view);
        marks_attach(db, *view);
        views_retire(db, ordinal); /* those that it replaces */
        (*view)->older = db->views.current;
        db->views.current = *view;
    }
    return result;
}

static int no_table(const char *name) {
    return err_set(LARDER_E_NO_TABLE, "there is no table \"%s\"", name);
}

int table_view_by_ordinal(struct larder *db, uint32_t ordinal, const struct table_view **view) {
    struct table_view *v = NULL;
    if (ordinal >= LARDER_TABLES_MAX)
        return err_set(LARDER_E_CORRUPT, "table number %u does not exist; a segment has %u", ordinal,
                       LARDER_TABLES_MAX);
    pthread_mutex_lock(&db->mutex);
    int result = find_view(db, ordinal, &v);
    pthread_mutex_unlock(&db->mutex);
    if (result == LARDER_NOT_FOUND)
        return err_set(LARDER_E_NO_TABLE, "there is no table number %u", ordinal);
    if (result == LARDER_OK)
        *view = v;
    return result;
}

/* The current view of a table. With `def` also its definition, which the caller gives back. */
static int renew_view(struct larder_table *t, const struct table_view **view, const struct larder_table_def **def) {
    struct table_view *v = NULL;
    pthread_mutex_lock(&t->db->mutex);
    int result = find_view(t->db, t->ordinal, &v);
    if (result == LARDER_OK && (v->birth != t->birth || LIFE_STATE(v->life) != TABLE_READY))
        result = LARDER_NOT_FOUND;
    if (result == LARDER_OK) {
        atomic_store_explicit(&t->view, v, memory_order_release);
        *view = v;
        if (def)
            *def = &views_hand_out(t->db, v)->def;
    }
    pthread_mutex_unlock(&t->db->mutex);
    return result == LARDER_NOT_FOUND ? err_set(LARDER_E_NO_TABLE, "table \"%s\" was dropped", t->name) : result;
}

int table_view_anew(struct larder_table *t, const struct table_view **view) {
    return renew_view(t, view, NULL);
}

/* ---- Handles --------------------------------------------------------------------------------- */

/* The handle of the table in a catalog entry, found or made, opened once more.
 * NULL: LARDER_E_NO_MEMORY. */
static struct larder_table *open_handle(struct larder *db, const struct catalog_entry *e) {
    pthread_mutex_lock(&db->mutex);
    struct larder_table *t = db->tables;
    while (t && (t->ordinal != e->ordinal || t->birth != e->head.birth || strcmp(t->name, e->name) != 0))
        t = t->next;
    size_t bytes = strlen(e->name) + 1;
    if (!t && (t = priv_alloc(db_priv(db), sizeof *t + bytes)) != NULL) {
        t->db = db;
        t->ordinal = e->ordinal;
        t->birth = e->head.birth;
        memcpy(t->name, e->name, bytes);
        t->next = db->tables;
        db->tables = t;
    }
    if (t)
        t->opens++;
    pthread_mutex_unlock(&db->mutex);
    return t;
}

LARDER_API void larder_table_close(struct larder_table *t) {
    if (!t)
        return;
    struct larder *db = t->db;
    pthread_mutex_lock(&db->mutex);
    if (--t->opens == 0) {
        struct larder_table **at = &db->tables;
        while (*at != t)
            at = &(*at)->next;
        *at = t->next;
        priv_free(db_priv(db), t);
    }
    pthread_mutex_unlock(&db->mutex);
}

int table_open(struct larder *db, const char *name, struct larder_table **out) {
    struct catalog_entry e;
    const struct table_view *view;
    int result = db_check(db);
    if (result == LARDER_OK)
        result = schema_check_name(name, "table");
    if (result != LARDER_OK)
        return result;
    result = catalog_find(&db->seg, name, TABLE_READY, &e);
    if (result != LARDER_OK)
        return result == LARDER_NOT_FOUND ? no_table(name) : result;
    struct larder_table *t = open_handle(db, &e);
    if (!t)
        return LARDER_E_NO_MEMORY;
    result = renew_view(t, &view, NULL);
    if (result == LARDER_OK)
        *out = t;
    else
        larder_table_close(t);
    return result;
}

LARDER_API int larder_table_open(struct larder *db, const char *name, struct larder_table **out) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(name) || ERR_IS_NULL(out) || token_check_name(name) != LARDER_OK)
        return LARDER_E_INVAL;
    return table_open(db, name, out);
}

LARDER_API int larder_table_describe(struct larder_table *t, const struct larder_table_def **out) {
    const struct table_view *view;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    int result = db_check(t->db);
    return result == LARDER_OK ? renew_view(t, &view, out) : result;
}

static const struct table_view *view_of(const struct larder_table_def *def) {
    return (const struct table_view *)((const char *)def - offsetof(struct table_view, def));
}

LARDER_API int larder_table_def_is_current(const struct larder_table_def *def) {
    const struct table_view *v = def ? view_of(def) : NULL;
    if (!v || view_is_current(v))
        return v != NULL;
    /* Half of a pair that is being stored names this definition under another life, or nothing. */
    return SHM_LOAD(&v->shm->life) == atomic_load_explicit(&v->same_life, memory_order_relaxed) &&
           SHM_LOAD(&v->shm->schema_off) == atomic_load_explicit(&v->same_schema_off, memory_order_relaxed);
}

LARDER_API void larder_table_def_free(const struct larder_table_def *def) {
    if (!def)
        return;
    struct larder *db = view_of(def)->db;
    pthread_mutex_lock(&db->mutex);
    views_give_back(db, (struct table_view *)view_of(def));
    pthread_mutex_unlock(&db->mutex);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* A table's name in memory that stays until larder_close(). NULL: LARDER_E_NO_MEMORY. */
static const char *keep_name(struct larder *db, const struct catalog_entry *e) {
    struct table_name **names = &db->names[e->ordinal];
    pthread_mutex_lock(&db->mutex);
    struct table_name *n = *names; /* the latest first */
    while (n && strcmp(n->text, e->name) != 0)
        n = n->next;
    size_t bytes = strlen(e->name) + 1;
    if (!n && (n = priv_alloc(db_priv(db), sizeof *n + bytes)) != NULL) {
        memcpy(n->text, e->name, bytes);
        n->next = *names;
        *names = n;
    }
    pthread_mutex_unlock(&db->mutex);
    return n ? n->text : NULL;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A table that was dropped and made again meanwhile may have been met in two entries. */
static uint32_t keep_once(const char **names, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    return kept;
}

LARDER_API int larder_table_list(struct larder *db, const char **names, uint32_t capacity, uint32_t *count) {
    const char *found[LARDER_TABLES_MAX];
    uint32_t total = 0;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(count) || (capacity && ERR_IS_NULL(names)))
        return LARDER_E_INVAL;
    int result = db_check(db);
    if (result != LARDER_OK)
        return result;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        struct catalog_entry e;
        result = catalog_read(&db->seg, i, &e);
        if (result < 0)
            return result;
        if (result != LARDER_OK || LIFE_STATE(e.life) != TABLE_READY)
            continue;
        if (strcmp(e.name, TOKEN_TABLE) == 0)
            continue;
        found[total] = keep_name(db, &e);
        if (!found[total++])
            return LARDER_E_NO_MEMORY;
    }
    qsort(found, total, sizeof *found, compare_texts);
    total = keep_once(found, total);
    if (capacity)
        memcpy(names, found, (total < capacity ? total : capacity) * sizeof *found);
    *count = total;
    return LARDER_OK;
}

uint32_t table_index_number(const struct table_view *v, const char *name) {
    for (uint32_t i = 0; i < v->shape.index_count; i++)
        if (v->index_state[i] == INDEX_ACTIVE && strcmp(v->index_def[i]->name, name) == 0)
            return i + 1;
    return 0;
}
