/* core/memory/lock.h - futex locks whose word names the owner's slot.
 *
 * Job      Mutual exclusion that survives its owner. One compare-and-swap takes a lock and names
 *          its owner. A waiter soon looks whether the owner's slot is alive, and recovers it if not
 *          (core/memory/recover.h).
 * Rules    K1 A lock's offset is in slot.locks[] before the word can name the slot, and until after
 *             it no longer does. Stripes of a transaction are in its record instead
 *             (core/memory/record.h).
 *          K2 Locks are taken in the order of enum lock_rank, one of each rank at a time. Several
 *             LOCK_STRIPE may be held, in address order.
 *          K3 Under a lock: no call into user code, no private allocation, no system call but
 *             futex. (A repair and an index being filled hold catalog and gate while they claim
 *             memory.)
 * Tests    tests/unit/memory/lock_test.c
 */
#ifndef LARDER_MEMORY_LOCK_H
#define LARDER_MEMORY_LOCK_H

#include "core/memory/writer.h"

enum lock_rank {
    LOCK_CATALOG,   /* definitions of tables */
    LOCK_EXPIRER,   /* being the expirer */
    LOCK_GATE,      /* keeps all writers out (core/memory/gate.h) */
    LOCK_STRIPE,    /* items of a stripe */
    LOCK_PARTITION, /* lists of a partition stripe */
    LOCK_SHARD,     /* timers of a wheel shard */
    LOCK_BIN,       /* a size class of the heap */
    LOCK_SPAN       /* spans of the heap */
};

/* The time limit, with LARDER_NO_WAIT, for a lock inside another one and for a recovery. Such a
 * lock is held for microseconds, and going on without it means undoing what was begun. */
#define LOCK_NO_WAIT_INNER_MS 10u

/* LARDER_OK; LARDER_E_CORRUPT. After the writer's time limit: LARDER_E_BUSY with a message that
 * names the holder; LARDER_E_OS, LARDER_E_NO_MEMORY or LARDER_E_ACCESS if the holder is dead and
 * this process cannot recover it. */
int lock_take(struct writer *w, lock_word *lock, enum lock_rank rank);
/* The same for a stripe that the slot's record notes (core/memory/record.h), so that more can be
 * held than slot.locks[] has places. LARDER_E_BUSY with w->is_in_way: the owner is dead, and its
 * recovery needs that this writer holds no stripe. */
int lock_take_noted(struct writer *w, lock_word *lock);
/* LARDER_OK, or at once LARDER_E_BUSY without a message. Recovers no owner. */
int lock_try(struct writer *w, lock_word *lock, enum lock_rank rank);
/* The same, but a dead owner is recovered: for a caller that comes back to the lock only by trying
 * again, and may be the only process there is. */
int lock_try_recover(struct writer *w, lock_word *lock, enum lock_rank rank);
/* Waits until the lock, which the caller will take later, is free. LARDER_OK, also while owners
 * come and go; LARDER_E_BUSY as lock_take(): an owner stands still. */
int lock_pass(struct writer *w, lock_word *lock, enum lock_rank rank);
void lock_drop(struct writer *w, lock_word *lock, enum lock_rank rank);
int lock_is_mine(const struct writer *w, const lock_word *lock);
/* Whether the writer holds a lock of this rank, by its private record, which no damage in the
 * segment can falsify. */
static inline int lock_is_held(const struct writer *w, enum lock_rank rank) {
    return (int)(w->ranks_held >> rank & 1);
}
/* Slot number of the owner, or -1. */
int lock_owner(const lock_word *lock);
const char *lock_rank_name(enum lock_rank rank);
/* The rank of the lock at an offset, by where it lies. 0: there is no lock there. */
int lock_rank_of(const struct seg *s, uint64_t off, enum lock_rank *rank);
/* The name of that rank, for messages. */
const char *lock_kind(const struct seg *s, uint64_t off);

#endif
