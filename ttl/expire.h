/* ttl/expire.h - the expirer's work: firing what is due.
 *
 * Job      Moves the wheel's shards to the present and lets core/ remove what has expired (write_expire). Used by
 *          larder_expire() in the caller's thread and by the expirer's thread.
 * Rules    X1 One works at a time: the holder of seg_shm.expirer_lock. A dead holder is recovered by the next that
 *          looks.
 *          X2 A timer that could not be handled stays: for want of memory to arm it anew, or because its stripe is
 *             locked by a process that is stopped. The shard's time then stands still. For want of memory, the whole
 *             shard is also looked through for what has expired, so that a full segment does not keep expired items
 *             because it is full.
 */
#ifndef LARDER_TTL_EXPIRE_H
#define LARDER_TTL_EXPIRE_H

#include "core/db.h"
#include "ttl/wheel.h"

/* LARDER_OK: w is the expirer now (expire_unlock). LARDER_BUSY: a live process is. LARDER_E_CORRUPT. */
int expire_lock(struct writer *w);
/* Not if w is stuck: then the lock goes with the slot. */
void expire_unlock(struct writer *w);
/* Whether expire_lock might succeed. Needs no writer. */
int expire_can_lock(const struct seg *s);

struct expire_job {
    struct writer *w;
    int64_t now_s;
    uint64_t items_max;                                /* 0: no bound */
    const _Atomic int *is_stopping;                    /* NULL, or ends the work early when it is not 0 */
    uint64_t removed;                                  /* out */
    const struct table_view *views[LARDER_TABLES_MAX]; /* private: as last seen */
};

/* All shards. The caller holds the expirer lock. LARDER_OK, LARDER_MORE (items_max, or stopping), LARDER_BUSY
 * (something stays locked, all else is done), LARDER_E_CORRUPT. w may be stuck afterwards. */
int expire_run(struct expire_job *job);

/* ---- For ttl/purge.c --------------------------------------------------------------------------------------------- */

/* The table's present view. LARDER_E_NO_TABLE: it has no items, so whatever a timer of it was for is gone. */
int expire_view(struct expire_job *job, uint32_t table, const struct table_view **v);
/* Lets core/ look at the items of a timer. LARDER_OK: it is done with. */
int expire_fire_one(struct expire_job *job, const struct wheel_entry *e);
int expire_is_stopping(const struct expire_job *job);
/* job->now_s as the wheel counts. */
uint32_t expire_wheel_now(const struct expire_job *job);

#endif
