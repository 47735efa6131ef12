/* core/memory/recover.h - finishing or undoing what a dead thread was doing, in its name.
 *
 * Job      Whoever waits for a lock and finds the holder dead recovers it as far as that lock's
 *          rank needs; the expirer and larder_check recover dead slots entirely.
 * Stages   heap     rebuild bins and spans whose lock the dead slot holds, drop those locks
 *          inner    settle step 1, put stripe or shard caches right, drop partition and shard locks
 *          outer    finish or undo the operation (item, table, index), drop all locks, free the slot
 *          A waiter for a lock of some rank runs only the stages of that rank and below: it may
 *          itself hold locks that the later stages need.
 * Who      slot.pid is the dead process's but while somebody recovers the slot: then it is the
 *          recoverer's, so that whoever has to wait is told the process that is in the way.
 *          (Between taking the liveness lock and this store lies one instruction. A recoverer that
 *          died leaves its own number.)
 * Why safe Taking the dead slot's liveness lock makes the recoverer the slot: one at a time, and if
 *          it dies the next can. Each stage only repeats steps that are idempotent
 *          (core/memory/journal.h), so it can be cut off anywhere and run again.
 * Tests    tests/crash/recovery_test.c
 */
#ifndef LARDER_MEMORY_RECOVER_H
#define LARDER_MEMORY_RECOVER_H

#include "core/memory/lock.h"

/* For finish_operation(): drops the locks of this rank that the dead slot holds. */
int recover_drop_held(struct writer *dead, enum lock_rank rank);
/* Slot `id` is suspected dead by someone waiting for a lock of `rank`. LARDER_OK: that lock is free
 * now (or was not dead after all: then the caller goes on waiting). LARDER_E_BUSY: alive, or being
 * recovered by a live process. */
int recover_for_lock(struct writer *me, uint32_t id, enum lock_rank rank);
/* Recovers all dead slots entirely. *count is their number. */
int recover_all(struct writer *me, uint32_t *count);
/* The same for what is dead among the next `probes` taken slots from *from on, which moves on and
 * goes round: a look at a slot's owner is a system call, which is the slower the more slots are
 * taken. */
int recover_some(struct writer *me, uint32_t *from, uint32_t probes, uint32_t *count);

#endif
