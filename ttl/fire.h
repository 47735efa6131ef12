/* ttl/fire.h - firing timers: those of a batch, within the bounds of one job.
 *
 * Job      Calls core/ to look at the items of a timer (upkeep_expire), again if the definition
 *          changed or memory is missing. Says which entries of a batch are done. The walks that
 *          find the timers use it: expire.c, purge.c and make_room.c.
 * Rules    X3 A job does not wait twice for a stripe it could not lock, and after the first such
 *             wait all others are short. (X1, X2: expire.h)
 * Tests    tests/api/ttl_test.c, tests/api/stopped_test.c
 */
#ifndef LARDER_TTL_FIRE_H
#define LARDER_TTL_FIRE_H

#include "core/table/db.h"
#include "ttl/wheel.h"

#define FIRE_BUSY_MAX 8u /* stripes that could not be locked; then the job ends */

struct fire_job {
    struct writer *w;
    int64_t now_s;
    uint64_t items_max;             /* 0: no bound */
    const _Atomic int *is_stopping; /* NULL, or ends the work early when it is not 0 */
    void (*beat)(void *arg);        /* NULL, or called repeatedly during the work */
    void *beat_arg;
    uint64_t removed;                             /* out */
    const struct stripe_shm *busy[FIRE_BUSY_MAX]; /* private: rule X3 */
    uint32_t busy_count;
    const struct table_view *views[LARDER_TABLES_MAX]; /* private: as last seen */
};

/* Fires the timers of a batch and marks the entries that are done. LARDER_OK; LARDER_MORE
 * (items_max); LARDER_E_BUSY at once if w is stuck or too much is locked; else the last failure. */
int fire_batch(struct fire_job *job, struct wheel_batch *batch);
/* Calls core/ to look at the items of a timer. LARDER_OK: the timer is done. LARDER_NOT_FOUND: its
 * items expire later than the wheel can say, and it stays. LARDER_E_BUSY: X3. */
int fire_one(struct fire_job *job, const struct wheel_entry *e);
/* The table's present view. LARDER_E_NO_TABLE: the table has no items any more, so its timers are
 * done. */
int fire_view(struct fire_job *job, uint32_t table, const struct table_view **v);
/* A lock could not be taken: of this stripe, or (NULL) of a shard. */
void fire_note_busy(struct fire_job *job, const struct stripe_shm *stripe);
/* Whether the job ends: it has met LARDER_E_BUSY as often as it may. */
static inline int fire_has_waited(const struct fire_job *job) {
    return job->w->is_stuck || job->busy_count >= FIRE_BUSY_MAX;
}
static inline int fire_is_stopping(const struct fire_job *job) {
    return job->is_stopping && atomic_load_explicit(job->is_stopping, memory_order_relaxed);
}
/* What is due for a sweep: from 2106-02-07 on also the timers of the last second. */
static inline uint32_t fire_sweep_now(const struct fire_job *job) {
    if (job->now_s <= 0)
        return 0;
    return job->now_s < WHEEL_LAST_S ? (uint32_t)job->now_s : WHEEL_LAST_S;
}
/* job->now_s in the wheel's seconds. */
static inline uint32_t fire_wheel_now(const struct fire_job *job) {
    if (job->now_s <= 0)
        return 0;
    return job->now_s < WHEEL_NOW_MAX ? (uint32_t)job->now_s : WHEEL_NOW_MAX;
}

#endif
