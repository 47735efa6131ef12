/* core/table/table_change.c - another definition takes the place of a table's present one.
 *
 * Job      table_change_locked(), under table_under_catalog(), for indexes and the TTL attribute;
 *          larder_removal_set(), larder_eviction_set(), larder_settings_set(); publishing a
 *          definition.
 * Crash    Under the catalog lock:
 *           1 take a block, fill it; format_version, if an index has a key of several attributes
 *               dead here: the block is in hand, and given back; the format stays, which is safe
 *           2 life: the next generation
 *               dead here: the same definition under a new life; views are made again
 *           3 schema_off, by step 1, with the old block in its hand
 *               dead before this store: the old definition holds; after it: the new one. The rest
 *               is in the step, so recovery need not know of tables.
 *          Life goes first. If it went last, a death between the two would leave a new definition
 *          under a life for which other processes hold views of the old one. This way the pair
 *          (life, schema_off) changes with the change itself, and no pair ever comes back
 *          (core/table/catalog.h).
 * Tests    tests/unit/table/table_life_test.c, tests/api/table_test.c
 */
#include <string.h>

#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/table/attempt.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/table_life.h"

int table_lock_catalog(struct writer *w) {
    return lock_take(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
}

void table_leave_catalog(struct writer *w) {
    if (!w->is_stuck)
        lock_drop(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
}

int table_under_catalog(struct writer *w, const struct table_view *v, table_locked *change, const void *arg) {
    int result = table_lock_catalog(w);
    if (result != LARDER_OK)
        return result;
    result = view_is_current(v) ? change(w, v, arg) : OBSTACLE_VIEW;
    table_leave_catalog(w);
    return result;
}

uint64_t table_life_next(struct table_shm *t, uint32_t state) {
    uint64_t life = LIFE_NEXT(SHM_LOAD(&t->life), state);
    SHM_STORE(&t->life, life);
    return life;
}

void table_swap(struct writer *w, shm_word *word, uint64_t new_word) {
    uint64_t old_word = SHM_LOAD(word);
    if (step_swap(w, 1, word, old_word, new_word, NULL, &old_word, 1) != LARDER_OK)
        w->is_stuck = 1;
}

/* Before a definition that older libraries do not understand: none of them attaches from now on. */
static void raise_format(struct writer *w, const struct schema_source *source) {
    _Atomic uint32_t *format = &w->seg->shm->format_version;
    for (uint32_t i = 0; i < source->index_count; i++)
        if (source->index[i] && schema_is_joined(source->index[i]) && SHM_LOAD(format) != SEG_FORMAT_JOINED)
            SHM_STORE(format, SEG_FORMAT_JOINED);
}

int table_publish(struct writer *w, struct table_shm *t, const struct schema_source *source, int is_change) {
    uint64_t off = 0;
    uint32_t bytes = schema_bytes(source);
    int result = heap_take(w, bytes, HAND_STEP1 | HAND_NEW, 0, &off);
    if (result != LARDER_OK)
        return result;
    void *block = seg_at(w->seg, off, bytes);
    if (!block) {
        w->is_stuck = 1;
        return err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
    }
    schema_write(source, block);
    raise_format(w, source);
    if (is_change)
        table_life_next(t, TABLE_READY);
    table_swap(w, &t->schema_off, off);
    return LARDER_OK;
}

int table_flush(struct writer *w, const struct table_view *v) {
    for (uint32_t i = 0; i < v->items.stripe_count; i++) {
        lock_word *lock = &v->items.stripes[i].lock;
        int result = lock_take(w, lock, LOCK_STRIPE);
        if (result != LARDER_OK)
            return result;
        lock_drop(w, lock, LOCK_STRIPE);
    }
    return LARDER_OK;
}

static int add_index(struct schema_source *source, const struct larder_index_def *def) {
    if (source->index_count >= SCHEMA_ORDINALS_MAX)
        return err_set(LARDER_E_INVAL,
                       "table \"%s\" has had %u indexes, failed additions included; no more are possible",
                       source->def.name, SCHEMA_ORDINALS_MAX);
    source->index[source->index_count] = def;
    source->state[source->index_count++] = INDEX_FILLING;
    return LARDER_OK;
}

static int apply_change(struct schema_source *source, const struct table_change *change) {
    int result = change->added ? add_index(source, change->added) : LARDER_OK;
    int ordinal = change->set_state_ordinal;
    if (ordinal >= 0 && (uint32_t)ordinal < source->index_count) {
        source->state[ordinal] = change->set_state;
        if (change->set_state == INDEX_DEAD)
            source->index[ordinal] = NULL;
    }
    if (change->set_ttl) {
        source->def.ttl_attribute = change->ttl;
        /* 0 is for an image that is in no table. All items are restamped at each change (ttl/). So
         * an item with the same number from the round before would have been left out four thousand
         * times. */
        source->ttl_generation = source->ttl_generation < ITEM_TTL_GENERATION_MAX ? source->ttl_generation + 1u : 1;
    }
    if (change->set_removal)
        source->def.removal = change->removal;
    if (change->set_eviction)
        source->def.eviction = change->eviction;
    if (change->set_settings) {
        source->def.settings = change->settings;
        source->def.settings_bytes = change->settings_bytes;
    }
    return result;
}

int table_change_locked(struct writer *w, const struct table_view *v, const struct table_change *change) {
    struct schema_source source;
    DEBUG_ASSERT(lock_is_held(w, LOCK_CATALOG));
    if (!view_is_current(v))
        return OBSTACLE_VIEW;
    if (LIFE_STATE(v->life) != TABLE_READY)
        return err_set(LARDER_E_NO_TABLE, "table \"%s\" is being dropped", v->def.name);
    schema_source_of_view(v, &source);
    int result = apply_change(&source, change);
    if (result == LARDER_OK && source.def.eviction != LARDER_EVICTION_NONE)
        result = marks_make(w, v->shm);
    return result == LARDER_OK ? table_publish(w, v->shm, &source, 1) : result;
}

/* ---- Policies -------------------------------------------------------------------------------- */

/* One field of a definition. */
struct policy_set {
    struct larder_table *table;
    struct table_change change;
    const struct larder_table_def *expected; /* NULL, or with these settings */
};

static int has_settings(const struct table_view *v, const void *settings, uint64_t bytes) {
    return v->def.settings_bytes == bytes && (!bytes || memcmp(v->def.settings, settings, bytes) == 0);
}

static int is_set(const struct table_view *v, const struct table_change *change) {
    if (change->set_settings)
        return has_settings(v, change->settings, change->settings_bytes);
    return change->set_removal ? v->def.removal == change->removal : v->def.eviction == change->eviction;
}

static int set_locked(struct writer *w, const struct table_view *v, const void *change) {
    return table_change_locked(w, v, change);
}

static int try_set(struct writer *w, void *arg) {
    const struct policy_set *set = arg;
    const struct table_view *v;
    int result = table_view(set->table, &v);
    if (result == LARDER_OK && set->expected &&
        !has_settings(v, set->expected->settings, set->expected->settings_bytes))
        return LARDER_CHANGED;
    if (result != LARDER_OK || is_set(v, &set->change))
        return result;
    return table_under_catalog(w, v, set_locked, &set->change);
}

static int set_policy(struct policy_set *set) {
    struct writer *w;
    struct larder *db = set->table->db;
    int result = writer_borrow(db, &w);
    if (result != LARDER_OK)
        return result;
    struct room room = {.bytes = 8 + set->change.settings_bytes, .now_s = db_now(db)};
    set->change.set_state_ordinal = -1;
    result = attempt(w, &room, try_set, set);
    writer_end(w);
    return result;
}

LARDER_API int larder_removal_set(struct larder_table *t, enum larder_removal removal) {
    struct policy_set set = {.table = t, .change = {.set_removal = 1, .removal = removal}};
    if (ERR_IS_NULL(t))
        return LARDER_E_INVAL;
    int result = db_check(t->db);
    if (result == LARDER_OK && removal != LARDER_REMOVAL_DELETE && removal != LARDER_REMOVAL_RETAIN)
        result =
            err_set(LARDER_E_INVAL,
                    "the removal policy is %d; LARDER_REMOVAL_DELETE or LARDER_REMOVAL_RETAIN is needed", (int)removal);
    return result == LARDER_OK ? set_policy(&set) : result;
}

LARDER_API int larder_eviction_set(struct larder_table *t, enum larder_eviction policy) {
    struct policy_set set = {.table = t, .change = {.set_eviction = 1, .eviction = policy}};
    if (ERR_IS_NULL(t))
        return LARDER_E_INVAL;
    int result = db_check(t->db);
    if (result == LARDER_OK)
        result = schema_check_eviction(policy);
    return result == LARDER_OK ? set_policy(&set) : result;
}

LARDER_API int larder_settings_set(struct larder_table *t, const struct larder_table_def *expected,
                                   const void *settings, size_t bytes) {
    struct policy_set set = {
        .table = t, .change = {.set_settings = 1, .settings = settings, .settings_bytes = bytes}, .expected = expected};
    if (ERR_IS_NULL(t) || (bytes && ERR_IS_NULL(settings)))
        return LARDER_E_INVAL;
    int result = db_check(t->db);
    if (result == LARDER_OK)
        result = schema_check_settings(settings, bytes);
    return result == LARDER_OK ? set_policy(&set) : result;
}
