/* ttl/expire.c - firing what is due, and larder_expire(). See expire.h. */
#include "ttl/expire.h"

#include "core/catalog.h"
#include "core/err.h"
#include "core/live.h"
#include "core/recover.h"
#include "core/write.h"
#include "ttl/purge.h"
#include "ttl/restamp.h"

#define EXPIRE_TRIES_MAX 16 /* definitions that change while one timer fires */

/* ---- Being the expirer ------------------------------------------------------------------------------------------ */

int expire_can_lock(const struct seg *s) {
    int owner = lock_owner(&s->shm->expirer_lock);
    return owner < 0 || (uint32_t)owner >= s->slot_count || live_is_held(s, (uint32_t)owner) == 0;
}

int expire_lock(struct writer *w) {
    lock_word *lock = &w->seg->shm->expirer_lock;
    int r = lock_try(w, lock, LOCK_EXPIRER);
    if (r != LARDER_BUSY)
        return r;
    int owner = lock_owner(lock), recovered = LARDER_OK;
    if (owner >= 0 && (uint32_t)owner >= w->seg->slot_count)
        return err_set(LARDER_E_CORRUPT, "the expirer lock names slot %d as its owner, which cannot be", owner);
    if (owner >= 0 && (uint32_t)owner != w->id && live_is_held(w->seg, (uint32_t)owner) == 0)
        recovered = recover_for_lock(w, (uint32_t)owner, LOCK_EXPIRER); /* if it fails the lock is not free */
    r = lock_try(w, lock, LOCK_EXPIRER);
    if (r == LARDER_BUSY && recovered == LARDER_BUSY) /* the text is that of the recovery: who is in its way */
        err_set(r, "the expirer died (slot %d), and its recovery has to wait: %s", owner, larder_error());
    else if (r == LARDER_BUSY && (owner = lock_owner(lock)) >= 0 && (uint32_t)owner < w->seg->slot_count)
        err_set(LARDER_BUSY, "process %d (slot %d) is the expirer now",
                (int)SHM_LOAD_RELAXED(&seg_slot(w->seg, (uint32_t)owner)->pid), owner);
    return r;
}

void expire_unlock(struct writer *w) {
    if (!w->is_stuck)
        lock_drop(w, &w->seg->shm->expirer_lock, LOCK_EXPIRER);
}

/* ---- Firing ----------------------------------------------------------------------------------------------------- */

int expire_view(struct expire_job *job, uint32_t table, const struct table_view **v) {
    struct seg *s = job->w->seg;
    if (table >= LARDER_TABLES_MAX || LIFE_STATE(SHM_LOAD(&seg_table(s, table)->life)) != TABLE_READY)
        return LARDER_E_NO_TABLE;
    if (!job->views[table] || !view_is_current(job->views[table])) {
        int r = table_view_by_ordinal(job->w->db, table, &job->views[table]);
        if (r) {
            job->views[table] = NULL;
            return r;
        }
    }
    *v = job->views[table];
    return LARDER_OK;
}

/* LARDER_OK: the timer is done with. Memory is claimed with the expirer lock held, which keeps nobody from anything
 * else. */
int expire_fire_one(struct expire_job *job, const struct wheel_entry *e) {
    struct writer *w = job->w;
    for (int tries = 0; tries < EXPIRE_TRIES_MAX; tries++) {
        const struct table_view *v;
        int r = expire_view(job, e->table, &v);
        if (r == LARDER_E_NO_TABLE)
            return LARDER_OK;
        if (r)
            return r;
        r = write_expire(w, v, e->hash, e->second, job->now_s, &job->removed);
        if (r == LARDER_E_RETRY)
            r = w->need_bytes ? heap_claim(w, w->need_bytes) : LARDER_OK; /* 0: only the definition moved */
        else
            return r;
        if (r || w->is_stuck)
            return r ? r : LARDER_BUSY;
    }
    return LARDER_BUSY;
}

/* Fires a batch and marks what is done with. LARDER_OK; LARDER_MORE (items_max); LARDER_BUSY at once; else the last
 * failure. */
static int expire_fire(struct expire_job *job, struct wheel_batch *batch) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (job->items_max && job->removed >= job->items_max)
            return LARDER_MORE;
        int r = expire_fire_one(job, &batch->entry[i]);
        if (r == LARDER_OK)
            batch->done |= UINT64_C(1) << i;
        else if (r == LARDER_BUSY || job->w->is_stuck)
            return LARDER_BUSY; /* each further one of that stripe would wait as long again */
        else
            result = r;
    }
    return result;
}

/* ---- Shards ----------------------------------------------------------------------------------------------------- */

int expire_is_stopping(const struct expire_job *job) {
    return job->is_stopping && atomic_load_explicit(job->is_stopping, memory_order_relaxed);
}

uint32_t expire_wheel_now(const struct expire_job *job) {
    if (job->now_s <= 0)
        return 0;
    return job->now_s < WHEEL_NOW_MAX ? (uint32_t)job->now_s : WHEEL_NOW_MAX;
}

/* A sweep goes on past timers that cannot be handled now; a walk ends there, for time stands still. */
static int expire_walk(struct expire_job *job, uint32_t shard, int is_sweep) {
    struct writer *w = job->w;
    struct wheel_walk walk = {.shard = shard, .now_s = expire_wheel_now(job), .is_sweep = is_sweep};
    struct wheel_batch batch;
    for (;;) {
        int r = wheel_collect(w, &walk, &batch);
        if (r == LARDER_E_RETRY)
            r = heap_claim(w, w->need_bytes) ? LARDER_FULL : LARDER_MORE;
        if (r != LARDER_MORE)
            return r;
        if (expire_is_stopping(job))
            return LARDER_MORE;
        if (batch.count == 0)
            continue;
        int fired = expire_fire(job, &batch);
        if (w->is_stuck)
            return LARDER_BUSY;
        r = wheel_retire(w, &walk, &batch);
        if (r)
            return r;
        if (fired == LARDER_MORE || fired == LARDER_BUSY || (fired && !is_sweep))
            return fired;
    }
}

/* Rule X2. What a sweep removes may be the memory that the walk lacked. */
static int expire_shard(struct expire_job *job, uint32_t shard) {
    for (;;) {
        int r = expire_walk(job, shard, 0);
        if (r == LARDER_OK && job->items_max == 0) /* who sets a bound wants a short call */
            r = purge_shard(job, shard);
        if ((r != LARDER_FULL && r != LARDER_E_CORRUPT) || job->w->is_stuck)
            return r;
        uint64_t before = job->removed;
        int swept = expire_walk(job, shard, 1);
        if (swept)
            return swept;
        if (job->removed == before)
            return r == LARDER_FULL ? LARDER_OK : r; /* nothing that has expired is left */
    }
}

int expire_run(struct expire_job *job) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < job->w->seg->shard_count; i++) {
        int r = expire_shard(job, i);
        if (r == LARDER_MORE || job->w->is_stuck)
            return r;
        if (r)
            result = r;
    }
    return result;
}

/* ---- One call --------------------------------------------------------------------------------------------------- */

/* First what dead processes left, so that their timers and items are there to be seen. */
static int expire_call(struct expire_job *job) {
    struct writer *w = job->w;
    uint32_t dead;
    int r = expire_lock(w);
    if (r)
        return r;
    (void)recover_all(w, &dead); /* who is not recovered now is in the hands of another, or will be met again */
    if (!w->is_stuck && restamp_is_pending(w->seg)) {
        expire_unlock(w);
        (void)restamp_all(w); /* what failed stays pending */
        r = w->is_stuck ? LARDER_BUSY : expire_lock(w);
        if (r)
            return r;
    }
    r = w->is_stuck ? LARDER_BUSY : expire_run(job);
    expire_unlock(w);
    return r;
}

int larder_expire(struct larder *db, uint64_t items_max, uint64_t *removed) {
    struct expire_job job = {.items_max = items_max};
    if (ERR_IS_NULL(db))
        return LARDER_E_INVAL;
    int r = writer_borrow(db, &job.w);
    if (r)
        return r;
    job.now_s = db_now(db);
    r = expire_call(&job);
    writer_end(job.w);
    if (r >= 0 && removed)
        *removed = job.removed;
    return r;
}
