/* core/base/epoch.h - which calls are under way: what they may read is freed only after them.
 *
 * Job      Readers use some private memory without a lock. Such memory is retired first, and freed
 *          when no call that may have found it is still under way.
 * Picture  now = 7     use A since 5     use B since 7     use C since 0 (in no call)
 *          Memory retired when `now` became 6 waits for A. Memory retired at 5 can be freed.
 * Rules    E1 Each call has an epoch_use, whose `since` is the epoch when the call began.
 *             epoch_enter comes before its first look, epoch_leave after its last.
 *          E2 To retire memory: first remove the last reference to it, then raise the epoch
 *             (epoch_raise). It can be freed when every active use began in that epoch or later
 *             (epoch_oldest).
 *          E3 A reader stores `since` and then loads the reference, without a fence. epoch_oldest()
 *             fences for both sides: it calls membarrier() after E2 and before it looks at the
 *             uses. A use that it does not see then belongs to a reader that cannot find retired
 *             memory. On a kernel without membarrier() nothing is ever reported free.
 * Locks    `mutex` guards the list of uses. It is the last lock that a thread takes.
 * Fork     Only the forking thread goes on in the child, and it is in no call: the child has no
 *          active use.
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
    struct epoch_use *next, **at; /* the list of uses; at NULL: not in it */
};

struct epochs {
    _Atomic uint64_t now; /* 1.. */
    pthread_mutex_t mutex;
    struct epoch_use *uses;
};

void epoch_begin(struct epochs *e);
void epoch_end(struct epochs *e);

/* Puts a use into the list, or takes it out. */
void epoch_use_add(struct epochs *e, struct epoch_use *u);
void epoch_use_remove(struct epochs *e, struct epoch_use *u);

static inline void epoch_enter(struct epochs *e, struct epoch_use *u) {
    /* Acquire; pairs with the release in epoch_raise(): a call in that epoch does not find memory
     * that was retired before. */
    atomic_store_explicit(&u->since, atomic_load_explicit(&e->now, memory_order_acquire), memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* rule E3 */
}
static inline void epoch_leave(struct epoch_use *u) {
    /* Release; pairs with the acquire in epoch_oldest(): all reads come before the free. */
    atomic_store_explicit(&u->since, 0, memory_order_release);
}

/* The epoch that the next epoch_raise() begins, which is the number of memory retired now. Raises
 * do not overlap. */
static inline uint64_t epoch_next(struct epochs *e) {
    return atomic_load_explicit(&e->now, memory_order_relaxed) + 1;
}
static inline void epoch_raise(struct epochs *e) {
    atomic_store_explicit(&e->now, epoch_next(e), memory_order_release);
}
/* Memory retired in this epoch or earlier can be freed. 0: none can. */
uint64_t epoch_oldest(struct epochs *e);

void epoch_fork_prepare(struct epochs *e);
void epoch_fork_parent(struct epochs *e);
void epoch_fork_child(struct epochs *e);

#endif
