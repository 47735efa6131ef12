/* core/memory/lock.h - futex locks whose word names the owner's slot.
 *
 * Job      Mutual exclusion that survives the owner. Taking a lock and naming its owner are the
 *          same compare-and-swap; a waiter that has waited a moment looks whether the owner's slot
 *          is alive, and if not recovers it (core/memory/recover.h).
 * Rules    K1 A lock's offset stands in slot.locks[] before the word can name the slot, and until
 *             after it no longer does.
 *          K2 Locks are taken in the order of enum lock_rank, of one rank at most one at a time,
 *             but LOCK_STRIPE, of which several may be held in address order.
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

/* With LARDER_NO_WAIT, for a lock inside another one, and for a recovery: it is held for
 * microseconds, and to go on without it means to take back what was begun. */
#define LOCK_NO_WAIT_INNER_MS 10u

/* LARDER_OK; LARDER_E_BUSY with a message naming the holder, after the writer's time limit;
 * LARDER_E_CORRUPT. Also after the time limit: LARDER_E_OS, LARDER_E_NO_MEMORY or LARDER_E_ACCESS
 * if the holder is dead and this process cannot recover it. */
int lock_take(struct writer *w, lock_word *lock, enum lock_rank rank);
/* LARDER_OK or LARDER_E_BUSY at once; recovers nobody. No message. */
int lock_try(struct writer *w, lock_word *lock, enum lock_rank rank);
/* Waits until nobody holds the lock that the caller will take later on. LARDER_OK, also while
 * owners come and go; LARDER_E_BUSY as with lock_take: one stands still. */
int lock_pass(struct writer *w, lock_word *lock, enum lock_rank rank);
void lock_drop(struct writer *w, lock_word *lock, enum lock_rank rank);
int lock_is_mine(const struct writer *w, const lock_word *lock);
/* Whether the writer holds a lock of this rank, by its own account, which no byte of the segment
 * can falsify. */
static inline int lock_is_held(const struct writer *w, enum lock_rank rank) {
    return (int)(w->ranks_held >> rank & 1);
}
/* Slot number of the owner, or -1. */
int lock_owner(const lock_word *lock);
const char *lock_rank_name(enum lock_rank rank);
/* The rank of the lock at an offset, from where it lies. 0: there is no lock there. */
int lock_rank_of(const struct seg *s, uint64_t off, enum lock_rank *rank);
/* The same as a constant string, for people. */
const char *lock_kind(const struct seg *s, uint64_t off);

#endif
