/* ttl/expire.c - firing due timers, shard by shard, and larder_expire(). See expire.h. */
#include "ttl/expire.h"

#include "core/base/err.h"
#include "core/memory/recover.h"
#include "core/table/attempt.h"
#include "core/table/evict.h"
#include "core/table/marks.h"
#include "core/table/write.h"
#include "ttl/purge.h"
#include "ttl/restamp.h"

/* ---- Shards ---------------------------------------------------------------------------------- */

struct expire_step {
    struct wheel_walk *walk;
    struct wheel_batch *batch;
};

static int expire_try_collect(struct writer *w, void *arg) {
    const struct expire_step *step = arg;
    return wheel_collect(w, step->walk, step->batch);
}

/* If the kernel gives no memory now, the segment counts as full. */
static int expire_collect(struct writer *w, struct wheel_walk *walk, struct wheel_batch *batch) {
    int r = attempt(w, NULL, expire_try_collect, &(struct expire_step){walk, batch});
    return r == LARDER_E_OS ? LARDER_E_FULL : r;
}

/* A sweep goes on past timers that cannot be handled now. A walk ends there: the shard's time
 * stands still. */
static int expire_walk(struct fire_job *job, uint32_t shard, int is_sweep) {
    struct writer *w = job->w;
    struct wheel_walk walk = {.shard = shard,
                              .now_s = is_sweep ? fire_sweep_now(job) : fire_wheel_now(job),
                              .is_sweep = is_sweep,
                              .late_s = fire_sweep_now(job)};
    struct wheel_batch batch;
    int result = LARDER_OK;
    for (;;) {
        int r = expire_collect(w, &walk, &batch);
        if (r == LARDER_E_BUSY)
            fire_note_busy(job, NULL); /* the shard itself */
        if (r != LARDER_MORE)
            return r ? r : result;
        if (fire_is_stopping(job))
            return LARDER_MORE;
        if (job->beat)
            job->beat(job->beat_arg);
        if (batch.count == 0)
            continue;
        int fired = fire_batch(job, &batch);
        if (w->is_stuck)
            return LARDER_E_BUSY;
        r = wheel_retire(w, &walk, &batch);
        if (r)
            return r;
        if (fired == LARDER_MORE || (fired && (!is_sweep || fire_has_waited(job))))
            return fired;
        if (fired == LARDER_E_BUSY)
            result = fired;
    }
}

/* No memory for the walk, and the sweep is through. True: timers that no item needs gave some. */
static int expire_purge(struct fire_job *job, uint32_t shard, int *r) {
    uint64_t freed = 0;
    int purged = job->items_max == 0 ? purge_whole_shard(job, shard, &freed) : LARDER_OK;
    if (purged)
        *r = purged;
    return freed > 0 && !purged;
}

/* Rule X2. A sweep may free the memory that the walk lacked, and so may a purge. If neither does,
 * nothing is left that has expired: what the walk lacks keeps no memory. */
static int expire_shard(struct fire_job *job, uint32_t shard) {
    for (;;) {
        int r = expire_walk(job, shard, 0);
        if (r == LARDER_OK && job->items_max == 0) /* a call with a bound is to be short */
            r = purge_shard(job, shard);
        if (r == LARDER_OK || r == LARDER_MORE || fire_has_waited(job))
            return r;
        uint64_t before = job->removed;
        int swept = expire_walk(job, shard, 1);
        if (swept && swept != LARDER_E_BUSY)
            return swept;
        if (job->removed != before && r != LARDER_E_BUSY)
            continue;
        if (r != LARDER_E_FULL)
            return r; /* no expired item that can be locked is left */
        if (!expire_purge(job, shard, &swept))
            return swept;
    }
}

int expire_run(struct fire_job *job) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < job->w->seg->shard_count; i++) {
        int r = expire_shard(job, i);
        if (r == LARDER_MORE || fire_has_waited(job))
            return r;
        if (r)
            result = r;
    }
    return result;
}

/* ---- One call -------------------------------------------------------------------------------- */

/* Empties all tables that were dropped before, or with a bound one piece. LARDER_OK; LARDER_MORE:
 * some is left; LARDER_E_BUSY, LARDER_E_CORRUPT: it cannot be emptied now. */
static int expire_empty_tables(const struct fire_job *job) {
    struct writer *w = job->w;
    int r = job->items_max ? table_resume_piece(w) : table_resume_drops(w);
    if (w->is_stuck)
        return LARDER_E_BUSY;
    return r == LARDER_NOT_FOUND || !table_has_drops(w->seg) ? LARDER_OK : r;
}

/* Recovers dead processes first, so that their timers and items are visible. */
static int expire_call(struct fire_job *job) {
    struct writer *w = job->w;
    uint32_t dead;
    /* a slot that is not recovered now is being recovered by another process, or will be met
     * again */
    (void)recover_all(w, &dead);
    int emptied = w->is_stuck ? LARDER_E_BUSY : expire_empty_tables(job);
    if (!w->is_stuck && restamp_is_pending(w->seg))
        (void)restamp_all(w); /* what failed stays pending */
    if (w->is_stuck)
        return LARDER_E_BUSY;
    int r = expire_run(job);
    if (!w->is_stuck) {
        marks_publish_all(w);
        (void)table_evict_ahead(w);
    }
    return w->is_stuck ? LARDER_E_BUSY : r ? r : emptied;
}

int larder_expire(struct larder *db, uint64_t items_max, uint64_t *removed) {
    struct fire_job job = {.items_max = items_max};
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
