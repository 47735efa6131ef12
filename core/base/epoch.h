/* core/base/epoch.h - which calls are under way, so that what they read is freed only after them.
 *
 * Job      Private memory that readers look at without a lock is retired first and freed later,
 *          when no call that may have found it is still under way.
 * Picture  now = 7     use A since 5     use B since 7     use C since 0 (in no call)
 *          What was retired when `now` became 6 waits for A. What was retired at 5 can be freed.
 * Rules    E1 A call has an epoch_use that says since when: the epoch at the time when it began.
 *             It begins (epoch_enter) before its first look and ends (epoch_leave) after its last.
 *          E2 Memory is retired in this order: nothing refers to it any more, then the epoch is
 *             raised (epoch_raise). It can be freed when every use that has begun did so in that
 *             epoch or later (epoch_oldest).
 *          E3 A reader stores `since` and then loads the reference, without a fence of its own.
 *             epoch_oldest() makes the fence for both sides: membarrier() between E2 and the look
 *             at the uses. After it, a use that was not seen belongs to a reader that will not find
 *             what was retired. Where the kernel has no membarrier(), nothing is ever said to be
 *             free.
 * Locks    `mutex` guards the list of uses. It is the last to be taken.
 * Fork     Only the thread that forks goes on in the child, and it is in no call: no use has begun
 *          there.
 * Source   Fraser, Practical lock-freedom, 2004 (epoch-based reclamation); membarrier(2).
 * Tests    tests/unit/table/views_test.c
 */
#ifndef LARDER_BASE_EPOCH_H
#define LARDER_BASE_EPOCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct epoch_use {
    _Atomic uint64_t since;
    struct epoch_use *next, **at; /* the list; NULL: in none */
};

struct epochs {
    _Atomic uint64_t now; /* 1.. */
    pthread_mutex_t mutex;
    struct epoch_use *uses;
};

void epoch_begin(struct epochs *e);
void epoch_end(struct epochs *e);

/* A use that has been in no list until now, or shall be in none any more. */
void epoch_use_add(struct epochs *e, struct epoch_use *u);
void epoch_use_remove(struct epochs *e, struct epoch_use *u);

static inline void epoch_enter(struct epochs *e, struct epoch_use *u) {
    /* Acquire; pairs with the release in epoch_raise(): a call with that epoch does not find what
     * was retired before. */
    atomic_store_explicit(&u->since, atomic_load_explicit(&e->now, memory_order_acquire), memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* rule E3 */
}
static inline void epoch_leave(struct epoch_use *u) {
    /* Release; pairs with the acquire in epoch_oldest(): what was read is read before it is
     * freed. */
    atomic_store_explicit(&u->since, 0, memory_order_release);
}

/* The epoch that the next epoch_raise() begins, one raise at a time: what is retired now gets this
 * number. */
static inline uint64_t epoch_next(struct epochs *e) {
    return atomic_load_explicit(&e->now, memory_order_relaxed) + 1;
}
static inline void epoch_raise(struct epochs *e) {
    atomic_store_explicit(&e->now, epoch_next(e), memory_order_release);
}
/* What was retired in this epoch or before it can be freed. 0: nothing can. */
uint64_t epoch_oldest(struct epochs *e);

void epoch_fork_prepare(struct epochs *e);
void epoch_fork_parent(struct epochs *e);
void epoch_fork_child(struct epochs *e);

#endif
