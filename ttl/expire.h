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

#endif
