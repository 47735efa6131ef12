/* tests/crash/halt.h - a child process that stands still before chosen stores.
 *
 * Job      Runs a function in a forked child that stops (SIGSTOP) before a store to shared memory,
 *          says when it stands still, lets it go on to a later store, or kills it there. Lists the
 *          locks that are held in a segment, and their holders.
 * Method   core/base/crash.h stops the child. Its SIGCONT handler arms the next stop, so that one
 *          child life is stopped and judged hundreds of times.
 */
#ifndef LARDER_TESTS_CRASH_HALT_H
#define LARDER_TESTS_CRASH_HALT_H

#include "core/memory/lock.h"
#include "tests/support/proc.h"

struct halt {
    pid_t pid;
    _Atomic uint64_t *step; /* shared: what the SIGCONT handler arms; 0: no further stop */
    uint64_t at;            /* the store before which it stands, or stood last */
    int is_stopped;
    struct proc_result end; /* if it is over */
};

/* Forks run(arg), which stops before its `first`-th store (0: never). */
void halt_start(struct halt *h, int (*run)(void *arg), void *arg, uint64_t first);
/* Whether it has stopped, or is over: then h->end says how. Waits for neither. */
int halt_has_news(struct halt *h);
/* 1: it stands still before store h->at. 0: it is over. A child that does neither within the
 * deadline fails the test. */
int halt_wait(struct halt *h, uint32_t deadline_ms);
/* Lets it go on, to stop before the step-th store from here (1: the next one); 0: no further
 * stop. */
void halt_go_on(struct halt *h, uint64_t step);
/* Kills it where it stands. */
void halt_kill(struct halt *h);
/* To be called when it is over, or was killed. */
void halt_forget(struct halt *h);

/* A lock that is held. */
struct halt_lock {
    uint64_t off;
    enum lock_rank rank;
    uint32_t slot;
    /* a process acts for that slot; else the next one that needs the lock recovers it */
    int is_live;
};

#define HALT_LOCKS_MAX 128u

struct halt_locks {
    struct halt_lock at[HALT_LOCKS_MAX];
    uint32_t count;
};

/* All locks that are held by any slot of the segment. */
void halt_look(struct larder *db, struct halt_locks *held);
/* The first held lock at this offset; NULL: it is free. */
const struct halt_lock *halt_find(const struct halt_locks *held, uint64_t off);
/* The same by rank. */
const struct halt_lock *halt_find_rank(const struct halt_locks *held, enum lock_rank rank, int only_live);
/* Changes whenever the set does. */
uint64_t halt_signature(const struct halt_locks *held);

#endif
