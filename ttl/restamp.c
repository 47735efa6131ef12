/* ttl/restamp.c - see restamp.h. */
#include "ttl/restamp.h"

#include "core/base/debug.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/upkeep.h"

static int restamp_is_wanted(const struct seg *s, uint32_t ordinal) {
    struct table_shm *shm = seg_table(s, ordinal);
    return SHM_LOAD(&shm->restamp) != 0 && LIFE_STATE(SHM_LOAD(&shm->life)) == TABLE_READY;
}

int restamp_is_pending(const struct seg *s) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (restamp_is_wanted(s, i))
            return 1;
    return 0;
}

int restamp_table(struct writer *w, const struct table_view *v) {
    DEBUG_ASSERT(w->ranks_held == 0);
    for (uint32_t stripe = 0; stripe < v->items.stripe_count; stripe++) {
        int r = upkeep_restamp_stripe(w, v, stripe);
        if (r)
            return r;
        if (w->is_stopping && atomic_load_explicit(w->is_stopping, memory_order_relaxed))
            return LARDER_MORE;
    }
    int r = lock_take(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
    if (r)
        return r;
    if (view_is_current(v))
        SHM_STORE(&v->shm->restamp, 0);
    else
        r = LARDER_NOT_FOUND;
    lock_drop(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
    return r;
}

int restamp_all(struct writer *w) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && !w->is_stuck; i++) {
        const struct table_view *v;
        if (!restamp_is_wanted(w->seg, i))
            continue;
        int r = table_view_by_ordinal(w->db, i, &v);
        if (r == LARDER_OK)
            r = restamp_table(w, v);
        if (r < 0)
            result = r;
    }
    return result;
}
