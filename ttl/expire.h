/* ttl/expire.h - the expirer's work: firing what is due.
 *
 * Job      Moves the wheel's shards to the present and lets core/ remove what has expired (write_expire). Used by
 *          larder_expire() in the caller's thread and by the expirer's thread.
 * Rules    X1 Any number may work at a time, in any process, and may be stopped or killed anywhere: what is done to an
 *             item is decided under its stripe's lock, and what is taken out of the wheel follows rule W4. Who is the
 *             expirer (expirer.c) is a matter of economy.
 *          X2 A timer that could not be handled stays: for want of memory to arm it anew, or because its stripe is
 *             locked by a process that is stopped. The shard's time then stands still, and the whole shard is also
 *             looked through for what has expired. So a full segment does not keep expired items because it is full,
 *             and a stopped process keeps nothing but the items of stripes that it holds.
 *          X3 A stripe that could not be had is not waited for again by the same job, and after the first such wait no
 *             other takes long.
 */
#ifndef LARDER_TTL_EXPIRE_H
#define LARDER_TTL_EXPIRE_H

#include "core/table/db.h"
#include "ttl/wheel.h"

#define EXPIRE_BUSY_MAX 8u /* stripes that could not be had; then the job ends */

struct expire_job {
    struct writer *w;
    int64_t now_s;
    uint64_t items_max;             /* 0: no bound */
    const _Atomic int *is_stopping; /* NULL, or ends the work early when it is not 0 */
    void (*beat)(void *arg);        /* NULL, or called again and again while it works */
    void *beat_arg;
    uint64_t removed;                               /* out */
    const struct stripe_shm *busy[EXPIRE_BUSY_MAX]; /* private: rule X3 */
    uint32_t busy_count;
    const struct table_view *views[LARDER_TABLES_MAX]; /* private: as last seen */
};

/* All shards. LARDER_OK, LARDER_MORE (items_max, or stopping), LARDER_E_BUSY (something stays locked, all else is done),
 * LARDER_E_CORRUPT. w may be stuck afterwards. */
int expire_run(struct expire_job *job);
/* Fires what is due in a batch and marks what is done with. LARDER_OK; LARDER_MORE (items_max); LARDER_E_BUSY at once if
 * w is stuck or too much is locked; else the last failure. */
int expire_fire(struct expire_job *job, struct wheel_batch *batch);

/* ---- For ttl/purge.c --------------------------------------------------------------------------------------------- */

/* The table's present view. LARDER_E_NO_TABLE: it has no items, so whatever a timer of it was for is gone. */
int expire_view(struct expire_job *job, uint32_t table, const struct table_view **v);
/* Lets core/ look at the items of a timer. LARDER_OK: it is done with. LARDER_E_BUSY: rule X3. */
int expire_fire_one(struct expire_job *job, const struct wheel_entry *e);
int expire_is_stopping(const struct expire_job *job);
/* LARDER_E_BUSY was said as often as may be: the job ends. */
static inline int expire_has_waited(const struct expire_job *job) {
    return job->w->is_stuck || job->busy_count >= EXPIRE_BUSY_MAX;
}
/* job->now_s as the wheel counts. */
uint32_t expire_wheel_now(const struct expire_job *job);

#endif
