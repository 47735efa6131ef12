/* core/memory/recover.h - finishing or undoing what a dead thread was doing, in its name.
 *
 * Job      A waiter for a lock that finds the holder dead recovers it, as far as that lock's rank
 *          needs. The expirer and larder_check recover dead slots entirely.
 * Stages   heap     rebuild bins and spans whose lock the dead slot holds, drop those locks
 *          inner    settle step 1, correct stripe or shard caches, drop partition and shard locks
 *          outer    finish or undo the operation (item, table, index), drop all locks, free slot
 *          A waiter for a lock runs only the stages up to that lock's rank: it may itself hold
 *          locks that the later stages need.
 * Pid      slot.pid is that of the dead process. While a process recovers the slot it is the
 *          recoverer's, so that a waiter is told which process is in the way. (Between taking the
 *          liveness lock and this store lies one instruction. A recoverer that died leaves its own
 *          number.)
 * Why safe Taking the dead slot's liveness lock makes the recoverer the slot: there is one at a
 *          time, and if it dies the next can. Each stage only repeats idempotent steps
 *          (core/memory/journal.h), so it can be cut off anywhere and run again.
 * Tests    tests/crash/recovery_test.c
 */
#ifndef LARDER_MEMORY_RECOVER_H
#define LARDER_MEMORY_RECOVER_H

#include "core/memory/lock.h"

/* For finish_operation(): drops the locks of this rank that the dead slot holds. */
int recover_drop_held(struct writer *dead, enum lock_rank rank);
/* A waiter for a lock of `rank` suspects that slot `id` is dead. LARDER_OK: that lock is free now,
 * or the slot was not dead: then the caller goes on waiting. LARDER_E_BUSY: it is alive, or a live
 * process is recovering it. */
int recover_for_lock(struct writer *me, uint32_t id, enum lock_rank rank);
/* Recovers all dead slots entirely. *count is their number. */
int recover_all(struct writer *me, uint32_t *count);
/* The same for the dead ones among the next `probes` taken slots from *from on, which moves on and
 * goes round. A look at a slot's owner is a system call, the slower the more slots are taken. */
int recover_some(struct writer *me, uint32_t *from, uint32_t probes, uint32_t *count);

#endif
