/* ttl/expire.c - firing what is due, and larder_expire(). See expire.h. */
#include "ttl/expire.h"

#include "core/base/err.h"
#include "core/memory/recover.h"
#include "core/segment/live.h"
#include "core/table/catalog.h"
#include "core/table/write.h"
#include "ttl/purge.h"
#include "ttl/restamp.h"

#define EXPIRE_TRIES_MAX 16     /* definitions that change while one timer fires */
#define EXPIRE_BUSY_AGAIN_MS 10 /* rule X3 */

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

/* ---- Locked stripes (X3) -------------------------------------------------------------------------------------------- */

static int expire_is_busy(const struct expire_job *job, const struct stripe_shm *stripe) {
    for (uint32_t i = 0; i < job->busy_count && i < EXPIRE_BUSY_MAX; i++)
        if (job->busy[i] == stripe)
            return 1;
    return 0;
}

static void expire_note_busy(struct expire_job *job, const struct stripe_shm *stripe) {
    if (job->busy_count < EXPIRE_BUSY_MAX)
        job->busy[job->busy_count++] = stripe;
    if (job->w->busy_timeout_ms > EXPIRE_BUSY_AGAIN_MS)
        job->w->busy_timeout_ms = EXPIRE_BUSY_AGAIN_MS; /* of this call: writer_borrow sets it again */
}

/* LARDER_OK: the timer is done with. */
int expire_fire_one(struct expire_job *job, const struct wheel_entry *e) {
    struct writer *w = job->w;
    for (int tries = 0; tries < EXPIRE_TRIES_MAX; tries++) {
        const struct table_view *v;
        int r = expire_view(job, e->table, &v);
        if (r == LARDER_E_NO_TABLE)
            return LARDER_OK;
        if (r)
            return r;
        const struct stripe_shm *stripe = htab_stripe(&v->items, e->hash);
        if (expire_is_busy(job, stripe))
            return LARDER_E_BUSY;
        r = write_expire(w, v, e->hash, e->second, job->now_s, &job->removed);
        if (r == LARDER_E_BUSY)
            expire_note_busy(job, stripe);
        if (r == LARDER_E_RETRY)
            r = w->need_bytes ? heap_claim(w, w->need_bytes) : LARDER_OK; /* 0: only the definition moved */
        else
            return r;
        if (r || w->is_stuck)
            return r ? r : LARDER_E_BUSY;
    }
    return LARDER_E_BUSY;
}

int expire_fire(struct expire_job *job, struct wheel_batch *batch) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (job->items_max && job->removed >= job->items_max)
            return LARDER_MORE;
        if (job->beat)
            job->beat(job->beat_arg);
        int r = expire_fire_one(job, &batch->entry[i]);
        if (r == LARDER_OK)
            batch->done |= UINT64_C(1) << i;
        else
            result = r;
        if (expire_has_waited(job))
            return LARDER_E_BUSY;
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
    int result = LARDER_OK;
    for (;;) {
        int r = wheel_collect(w, &walk, &batch);
        if (r == LARDER_E_RETRY)
            r = heap_claim(w, w->need_bytes) ? LARDER_E_FULL : LARDER_MORE;
        if (r == LARDER_E_BUSY)
            expire_note_busy(job, NULL); /* the shard itself */
        if (r != LARDER_MORE)
            return r ? r : result;
        if (expire_is_stopping(job))
            return LARDER_MORE;
        if (job->beat)
            job->beat(job->beat_arg);
        if (batch.count == 0)
            continue;
        int fired = expire_fire(job, &batch);
        if (w->is_stuck)
            return LARDER_E_BUSY;
        r = wheel_retire(w, &walk, &batch);
        if (r)
            return r;
        if (fired == LARDER_MORE || (fired && (!is_sweep || expire_has_waited(job))))
            return fired;
        if (fired == LARDER_E_BUSY)
            result = fired;
    }
}

/* Rule X2. What a sweep removes may be the memory that the walk lacked. */
static int expire_shard(struct expire_job *job, uint32_t shard) {
    for (;;) {
        int r = expire_walk(job, shard, 0);
        if (r == LARDER_OK && job->items_max == 0) /* who sets a bound wants a short call */
            r = purge_shard(job, shard);
        if (r == LARDER_OK || r == LARDER_MORE || expire_has_waited(job))
            return r;
        uint64_t before = job->removed;
        int swept = expire_walk(job, shard, 1);
        if (swept && swept != LARDER_E_BUSY)
            return swept;
        if (job->removed == before || r == LARDER_E_BUSY)
            return r == LARDER_E_FULL ? swept : r; /* nothing that has expired and can be had is left */
    }
}

int expire_run(struct expire_job *job) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < job->w->seg->shard_count; i++) {
        int r = expire_shard(job, i);
        if (r == LARDER_MORE || expire_has_waited(job))
            return r;
        if (r)
            result = r;
    }
    return result;
}

/* ---- One call --------------------------------------------------------------------------------------------------- */

/* All of it, or with a bound one piece. LARDER_OK; LARDER_MORE or LARDER_E_BUSY: some is left. */
static int expire_empty_tables(const struct expire_job *job) {
    struct writer *w = job->w;
    int r = job->items_max ? table_resume_piece(w) : table_resume_drops(w);
    if (w->is_stuck || !table_has_drops(w->seg))
        return w->is_stuck ? LARDER_E_BUSY : LARDER_OK;
    return r == LARDER_MORE ? LARDER_MORE : LARDER_E_BUSY;
}

/* First what dead processes left, so that their timers and items are there to be seen. */
static int expire_call(struct expire_job *job) {
    struct writer *w = job->w;
    uint32_t dead;
    (void)recover_all(w, &dead); /* who is not recovered now is in the hands of another, or will be met again */
    int emptied = w->is_stuck ? LARDER_E_BUSY : expire_empty_tables(job);
    if (!w->is_stuck && restamp_is_pending(w->seg))
        (void)restamp_all(w); /* what failed stays pending */
    if (w->is_stuck)
        return LARDER_E_BUSY;
    int r = expire_run(job);
    return r ? r : emptied;
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
