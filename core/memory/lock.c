/* core/memory/lock.c - futex locks whose word names the owner's slot. See lock.h. */
#include "core/memory/lock.h"
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/base/wait.h"
#include "core/memory/recover.h"
#include "core/segment/live.h"
#include "core/segment/seg.h"
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPIN_COUNT 100
/* The time between two looks at the owner. It doubles with each sleep, from SLEEP_MIN_NS to
 * SLEEP_MAX_NS. So a death is noticed a millisecond after the waiter came, or after as long again
 * as it has waited; and a thousand waiters for a slow owner do not keep the kernel busy. */
#define SLEEP_MIN_NS 1000000
#define SLEEP_MAX_NS 16000000

static void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Not FUTEX_PRIVATE: the word is shared between processes. An error only means: look again. */
static void futex_sleep(lock_word *lock, uint32_t value, uint64_t ns) {
    struct timespec limit = {0, (long)ns};
    syscall(SYS_futex, lock, FUTEX_WAIT, value, &limit, NULL, 0);
}

static void futex_wake_one(lock_word *lock) {
    syscall(SYS_futex, lock, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Rule K1, first half. Returns the place in slot.locks[]. */
static shm_word *note_lock(struct writer *w, const lock_word *lock) {
    for (unsigned i = 0; i < SLOT_LOCKS; i++) {
        shm_word *place = &w->slot->locks[i];
        if (SHM_LOAD_RELAXED(place) == 0) {
            SHM_STORE(place, seg_off(w->seg, lock));
            return place;
        }
    }
    return NULL;
}

static void forget_lock(struct writer *w, const lock_word *lock) {
    uint64_t off = seg_off(w->seg, lock);
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        if (SHM_LOAD_RELAXED(&w->slot->locks[i]) == off) {
            SHM_STORE(&w->slot->locks[i], 0);
            return;
        }
}

static void mark_rank(struct writer *w, enum lock_rank rank) {
    uint32_t higher = w->ranks_held >> rank;
    DEBUG_ASSERT(rank == LOCK_STRIPE ? (higher >> 1) == 0 : higher == 0); /* rule K2 */
    (void)higher;
    if (w->ranks_held == 0)
        SHM_STORE(&w->slot->lock_since_ns, wait_now_coarse_ns());
    w->ranks_held |= 1u << rank;
    w->stripes_held += rank == LOCK_STRIPE;
}

/* is_dead: the owner is dead, and larder_error() says why it could not be recovered: a live process
 * is in the way. */
static int busy(struct writer *w, const lock_word *lock, int owner, enum lock_rank rank, uint64_t waited_ns,
                int is_dead) {
    struct slot_shm *holder = seg_slot(w->seg, (uint32_t)owner);
    int pid = SHM_LOAD_RELAXED(&holder->pid),
        is_damaged = SHM_LOAD(&holder->state) == SLOT_FREE && lock_owner(lock) == owner;
    forget_lock(w, lock);
    if (is_damaged) /* a slot is free only after its locks are (core/memory/recover.c) */
        return err_set(LARDER_E_CORRUPT, "a %s lock names slot %d as its owner, which is free", lock_rank_name(rank),
                       owner);
    if (is_dead)
        return err_set(LARDER_E_BUSY, "a dead process (slot %d) left a %s lock, and its recovery has to wait: %s",
                       owner, lock_rank_name(rank), larder_error());
    /* with LARDER_NO_WAIT a failure must cost next to nothing */
    w->busy_pid = w->busy_timeout_ms != 0 ? pid : 0;
    return err_set(
        LARDER_E_BUSY,
        "process %d (slot %d) has held a %s lock for more than %llu ms; the limit is %u ms (busy_timeout_ms)", pid,
        owner, lock_rank_name(rank), (unsigned long long)(waited_ns / 1000000), w->busy_timeout_ms);
}

/* The owner is dead, and this process lacks what recovering it takes: descriptors, memory,
 * permission. Another process may do it, so this one waits as for a living owner; but the message
 * at the end must not call the owner living. */
static int cannot_recover(int result) {
    return result == LARDER_E_OS || result == LARDER_E_NO_MEMORY || result == LARDER_E_ACCESS;
}

/* A wait for one lock, which slot.locks[] names already. */
struct lock_wait {
    struct writer *w;
    lock_word *lock;
    enum lock_rank rank;
    uint64_t start_ns, sleep_ns, limit_ns;
    /* LOCK_WAITERS once it has slept: from then on others may sleep, too, unknown to it */
    uint32_t waiters;
    uint32_t owner_before; /* at its last sleep */
};

/* Whether the owner is dead. Then *recovered is the result of recovering it, else LARDER_E_BUSY. A
 * look is a system call, the slower the more slots are taken. The first waiter looks at once. Later
 * all look whose owner is the same as before they slept: a lock that moves has no dead owner. With
 * LARDER_NO_WAIT this one look is all. */
static int is_dead_owner(const struct lock_wait *wait, uint32_t owner, int is_first, int *recovered) {
    int looks = owner == wait->owner_before || is_first || wait->limit_ns == 0;
    int is_dead = looks && live_is_held(wait->w->seg, owner) == 0;
    *recovered = is_dead ? recover_for_lock(wait->w, owner, wait->rank) : LARDER_E_BUSY;
    return is_dead;
}

static int refuse_owner(const struct lock_wait *wait, uint32_t owner) {
    forget_lock(wait->w, wait->lock);
    return err_set(LARDER_E_CORRUPT, "a %s lock names slot %u as its owner, which cannot be",
                   lock_rank_name(wait->rank), owner);
}

/* The time limit has passed. */
static int give_up(const struct lock_wait *wait, uint32_t owner, uint64_t waited_ns, int is_dead, int recovered) {
    if (!cannot_recover(recovered))
        return busy(wait->w, wait->lock, (int)owner, wait->rank, waited_ns, is_dead && recovered != LARDER_OK);
    forget_lock(wait->w, wait->lock);
    return recovered; /* with the message of the last try */
}

static void sleep_for(struct lock_wait *wait, uint32_t owner, uint32_t value) {
    if (owner != wait->owner_before)
        wait->sleep_ns = SLEEP_MIN_NS;
    futex_sleep(wait->lock, value, wait->sleep_ns);
    wait->sleep_ns = wait->sleep_ns * 2 < SLEEP_MAX_NS ? wait->sleep_ns * 2 : SLEEP_MAX_NS;
    wait->owner_before = owner;
}

/* The lock was `seen` to be held, and spinning did not help. LARDER_CHANGED: look again. */
static int wait_for_owner(struct lock_wait *wait, uint32_t seen) {
    struct writer *w = wait->w;
    uint32_t owner = (seen & ~LOCK_WAITERS) - 1;
    int is_first = !(seen & LOCK_WAITERS), recovered;
    if (owner >= w->seg->slot_count || owner == w->id)
        return refuse_owner(wait, owner);
    wait->waiters = LOCK_WAITERS;
    if (is_first && !SHM_CAS(wait->lock, &seen, seen | LOCK_WAITERS))
        return LARDER_CHANGED;
    int is_dead = is_dead_owner(wait, owner, is_first, &recovered);
    if (recovered == LARDER_OK && lock_owner(wait->lock) != (int)owner)
        return LARDER_CHANGED; /* else a damaged word names a slot that has nothing to recover */
    uint64_t waited_ns = wait_now_ns() - wait->start_ns;
    if (waited_ns > wait->limit_ns || w->is_in_way)
        return give_up(wait, owner, waited_ns, is_dead, recovered);
    sleep_for(wait, owner, seen | LOCK_WAITERS);
    return LARDER_CHANGED;
}

static int wait_for(struct writer *w, lock_word *lock, enum lock_rank rank, uint32_t limit_ms) {
    struct lock_wait wait = {.w = w, .lock = lock, .rank = rank, .owner_before = UINT32_MAX};
    wait.limit_ns = (uint64_t)limit_ms * 1000000u;
    int r = LARDER_CHANGED;
    wait.start_ns = wait_now_ns();
    SHM_STORE(&w->slot->lock_waits, SHM_LOAD_RELAXED(&w->slot->lock_waits) + 1);
    for (unsigned spins = 0; r == LARDER_CHANGED; spins++) {
        uint32_t seen = SHM_LOAD(lock);
        int is_free = (seen & ~LOCK_WAITERS) == 0;
        if (is_free && SHM_CAS(lock, &seen, (w->id + 1) | wait.waiters))
            return LARDER_OK;
        if (!is_free && spins < SPIN_COUNT)
            cpu_relax();
        else if (!is_free)
            r = wait_for_owner(&wait, seen);
    }
    return r;
}

static uint32_t usual_limit_ms(const struct writer *w) {
    return w->busy_timeout_ms || !w->ranks_held ? w->busy_timeout_ms : LOCK_NO_WAIT_INNER_MS;
}

/* In the middle of a change, to give up costs the slot, and the call fails. The heap's locks are
 * taken only there. */
static uint32_t taking_limit_ms(const struct writer *w, enum lock_rank rank) {
    uint32_t limit_ms = usual_limit_ms(w);
    int is_inner = rank >= LOCK_BIN || (rank > LOCK_STRIPE && lock_is_held(w, LOCK_STRIPE));
    return is_inner && w->inner_timeout_ms > limit_ms ? w->inner_timeout_ms : limit_ms;
}

/* The lock has a note. */
static inline int take_noted(struct writer *w, lock_word *lock, enum lock_rank rank, int is_passing) {
    uint32_t seen = 0;
    if (!SHM_CAS(lock, &seen, w->id + 1)) {
        int r = wait_for(w, lock, rank, is_passing ? usual_limit_ms(w) : taking_limit_ms(w, rank));
        if (r)
            return r;
    }
    mark_rank(w, rank);
    return LARDER_OK;
}

static inline int take(struct writer *w, lock_word *lock, enum lock_rank rank, int is_passing) {
    if (!note_lock(w, lock))
        return err_set(LARDER_E_CORRUPT, "slot %u holds more than %u locks", w->id, SLOT_LOCKS);
    return take_noted(w, lock, rank, is_passing);
}

int lock_take(struct writer *w, lock_word *lock, enum lock_rank rank) {
    return take(w, lock, rank, 0);
}

int lock_take_noted(struct writer *w, lock_word *lock) {
    return take_noted(w, lock, LOCK_STRIPE, 0);
}

int lock_try(struct writer *w, lock_word *lock, enum lock_rank rank) {
    if (!note_lock(w, lock))
        return err_set(LARDER_E_CORRUPT, "slot %u holds more than %u locks", w->id, SLOT_LOCKS);
    uint32_t seen = 0;
    int is_mine = SHM_CAS(lock, &seen, w->id + 1);
    /* this word is damage, no store makes it; wait_for() takes such a lock, too */
    if (!is_mine && seen == LOCK_WAITERS)
        is_mine = SHM_CAS(lock, &seen, (w->id + 1) | LOCK_WAITERS);
    if (!is_mine) {
        forget_lock(w, lock);
        return LARDER_E_BUSY;
    }
    mark_rank(w, rank);
    return LARDER_OK;
}

int lock_try_recover(struct writer *w, lock_word *lock, enum lock_rank rank) {
    int r = lock_try(w, lock, rank), owner = lock_owner(lock);
    if (r != LARDER_E_BUSY || owner < 0 || owner == (int)w->id || (uint32_t)owner >= w->seg->slot_count ||
        live_is_held(w->seg, (uint32_t)owner) != 0)
        return r;
    return recover_for_lock(w, (uint32_t)owner, rank) == LARDER_OK ? lock_try(w, lock, rank) : LARDER_E_BUSY;
}

int lock_pass(struct writer *w, lock_word *lock, enum lock_rank rank) {
    for (unsigned spins = 0; spins < SPIN_COUNT; spins++) {
        if (lock_owner(lock) < 0)
            return LARDER_OK;
        cpu_relax();
    }
    int r = take(w, lock, rank, 1);
    if (r == LARDER_OK)
        lock_drop(w, lock, rank);
    return r;
}

void lock_drop(struct writer *w, lock_word *lock, enum lock_rank rank) {
    /* a dead slot may claim two locks of a rank */
    DEBUG_ASSERT(w->is_recovery || lock_is_held(w, rank));
    if (rank != LOCK_STRIPE || --w->stripes_held == 0)
        w->ranks_held &= ~(1u << rank);
    /* a damaged segment: these bytes are something else, too, and were overwritten as such */
    if (!lock_is_mine(w, lock)) {
        forget_lock(w, lock);
        return;
    }
    uint32_t seen;
    SHM_IN_ORDER(unnote_before_unlock,
                 (shm_crash_point(), seen = atomic_exchange_explicit(lock, 0, memory_order_acq_rel)),
                 forget_lock(w, lock));
    if (seen & LOCK_WAITERS)
        futex_wake_one(lock);
}

int lock_is_mine(const struct writer *w, const lock_word *lock) {
    return lock && (SHM_LOAD_RELAXED(lock) & ~LOCK_WAITERS) == w->id + 1;
}

int lock_owner(const lock_word *lock) {
    return (int)(SHM_LOAD(lock) & ~LOCK_WAITERS) - 1;
}

const char *lock_rank_name(enum lock_rank rank) {
    static const char *const names[] = {"catalog",   "expirer",     "gate",     "stripe",
                                        "partition", "timer shard", "heap bin", "span"};
    return (unsigned)rank < sizeof names / sizeof *names ? names[rank] : "unknown";
}

/* Whether off is the lock of one of a table's stripes. The array's offset may be damaged. */
static int is_stripe_in(const struct seg *s, uint64_t array, uint64_t off) {
    uint64_t bytes = (uint64_t)s->stripe_count * sizeof(struct stripe_shm);
    return off >= array && off - array < bytes && (off - array) % sizeof(struct stripe_shm) == 0 && array % 64 == 0 &&
           seg_at(s, array, bytes);
}
_Static_assert(offsetof(struct stripe_shm, lock) == 0 && offsetof(struct bin_shm, lock) == 0,
               "a lock is its structure");

int lock_rank_of(const struct seg *s, uint64_t off, enum lock_rank *rank) {
    if (off == seg_off(s, &s->shm->catalog_lock))
        *rank = LOCK_CATALOG;
    else if (off == seg_off(s, &s->shm->expirer_lock))
        *rank = LOCK_EXPIRER;
    else if (off == seg_off(s, &s->shm->gate_lock))
        *rank = LOCK_GATE;
    else if (off == seg_off(s, &s->shm->span_lock))
        *rank = LOCK_SPAN;
    else if (off >= s->bins_off && off < s->shards_off) {
        *rank = LOCK_BIN;
        return (off - s->bins_off) % sizeof(struct bin_shm) == 0;
    } else if (off >= s->shards_off && off < s->spans_off) {
        *rank = LOCK_SHARD;
        return (off - s->shards_off) % sizeof(struct wheel_shard_shm) == 0;
    } else {
        for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
            struct table_shm *t = seg_table(s, i);
            uint64_t items = SHM_LOAD(&t->items_off), partitions = SHM_LOAD(&t->partitions_off);
            if (is_stripe_in(s, items, off)) {
                *rank = LOCK_STRIPE;
                return 1;
            }
            if (is_stripe_in(s, partitions, off)) {
                *rank = LOCK_PARTITION;
                return 1;
            }
        }
        return 0;
    }
    return 1;
}

const char *lock_kind(const struct seg *s, uint64_t off) {
    enum lock_rank rank;
    return lock_rank_of(s, off, &rank) ? lock_rank_name(rank) : "unknown";
}
