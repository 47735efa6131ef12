/* ttl/expirer.c - the expirer as a thread of this process.
 *
 * Job      Takes the expirer's place in the segment when it is free. Then looks ten times a second
 *          for dead slots, and in each new second of the handle's clock for due timers. If free
 *          memory is scarce it moves blocks, at most 2 MB a turn, so that calls seldom have to
 *          (core/table/compact.h), and evicts from tables that allow it (core/table/evict.h). It
 *          publishes what its process has read of those (core/table/marks.h).
 * Rules    E1 One thread per handle, started and ended under db->mutex.
 *          E2 The thread keeps its writer while it is the expirer or stands in for it; otherwise it
 *             has none. If other threads want the slot, it gives up both at the end of its turn.
 *          E3 It receives no signals: they are for the host program.
 *          E4 A forked child has no such thread, whatever its copy of the handle says: the child
 *             forgets it.
 *          E5 The expirer holds seg_shm.expirer_lock, and moves seg_shm.expirer_beat on ten times a
 *             second. The lock shows that it is alive, the beat that it runs. A thread that sees
 *             the same beat for a second stands in for it: it moves the beat from that value to one
 *             of its own, and works while the beat is its own. It ends when the expirer runs again,
 *             or takes the lock when the expirer has died. Both may work at the same time (rule X1
 *             of expire.h): lock and beat only save work.
 *          E6 Emptying dropped tables and restamping take the catalog lock, which ranks before the
 *             expirer's lock: the latter is dropped for that time. It empties tables only if no
 *             other process does: the catalog's cursors have not moved for a turn.
 * Tests    tests/api/ttl_thread_test.c, tests/api/ttl_process_test.c
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "core/base/err.h"
#include "core/base/thread.h"
#include "core/base/wait.h"
#include "core/memory/recover.h"
#include "core/segment/live.h"
#include "core/table/compact.h"
#include "core/table/evict.h"
#include "core/table/marks.h"
#include "ttl/expire.h"
#include "ttl/restamp.h"

#define EXPIRER_TURN_NS 100000000    /* between two looks at dead slots or at a lock holder */
#define EXPIRER_SHORT_NS 2000000     /* after a turn in which it had to evict */
#define EXPIRER_BEAT_NS 50000000     /* between two beats while it works */
#define EXPIRER_STILL_NS 1000000000  /* a beat that has not moved so long: a stopped process */
#define EXPIRER_EMPTY_NS 100000000   /* of emptying tables in a row, before timers come again */
#define EXPIRER_CLOCK_LAG_NS 5000000 /* the clock that decides expiry moves in kernel ticks */
#define EXPIRER_PROBES 256           /* slots whose owners are looked at in one turn */
#define EXPIRER_BUSY_MS_MAX 100      /* then it retries next turn; must not delay larder_close() */
#define SECOND_NS 1000000000

struct expirer {
    struct larder *db;
    pthread_t thread;
    pthread_mutex_t mutex; /* for the condition */
    pthread_cond_t wake;
    _Atomic int is_stopping;
    /* The thread's own. */
    struct writer *w;   /* NULL: another is the expirer */
    int is_stand_in;    /* w does not hold the lock */
    int64_t done_s;     /* second of the last complete run */
    uint32_t dead_from; /* slot where the next look for dead owners begins */
    uint64_t beat;      /* seg_shm.expirer_beat as last seen, or stored */
    uint64_t beat_ns;   /* when that was new */
    int has_evicted;    /* in its last turn: the next one comes soon */
    uint64_t drop_mark; /* how far emptying tables had come in the last turn */
};

#if LARDER_CRASH_POINTS
_Atomic uint64_t expirer_test_turn_ns; /* tests: the time between turns, if not 0 */
#endif

/* ---- The beat (E5): a count, and in its low half the slot of the process that works, + 1 ----- */

static shm_word *expirer_beat_word(const struct expirer *x) {
    return &x->db->seg.shm->expirer_beat;
}

static uint64_t expirer_next_beat(const struct expirer *x, uint64_t beat) {
    return (((beat >> 32) + 1) << 32) | (x->w->id + 1);
}

/* Moves the beat on. Returns 0 if the beat is not ours any more. */
static int expirer_beat_now(struct expirer *x) {
    uint64_t seen = x->is_stand_in ? x->beat : SHM_LOAD(expirer_beat_word(x)), next = expirer_next_beat(x, seen);
    if (!x->is_stand_in)
        SHM_STORE(expirer_beat_word(x), next);
    else if (!SHM_CAS(expirer_beat_word(x), &seen, next))
        return 0;
    x->beat = next;
    x->beat_ns = wait_now_ns();
    return 1;
}

/* While it works. A stand-in that has lost the beat notices it at its next turn. */
static void expirer_beat(void *arg) {
    struct expirer *x = arg;
    if (wait_now_ns() - x->beat_ns >= EXPIRER_BEAT_NS)
        (void)expirer_beat_now(x);
}

/* Whether the beat has not moved for EXPIRER_STILL_NS. */
static int expirer_is_still(struct expirer *x) {
    uint64_t beat = SHM_LOAD(expirer_beat_word(x)), now_ns = wait_now_ns();
    if (beat != x->beat || x->beat_ns == 0) {
        x->beat = beat;
        x->beat_ns = now_ns;
    }
    return now_ns - x->beat_ns >= EXPIRER_STILL_NS;
}

/* ---- Being the expirer ----------------------------------------------------------------------- */

/* Whether expirer_lock() might succeed. Needs no writer. */
static int expirer_can_lock(const struct seg *s) {
    int owner = lock_owner(&s->shm->expirer_lock);
    return owner < 0 || (uint32_t)owner >= s->slot_count || live_is_held(s, (uint32_t)owner) == 0;
}

/* The holder may be dead: then it is recovered first. */
static int expirer_lock(struct writer *w) {
    lock_word *lock = &w->seg->shm->expirer_lock;
    int r = lock_try(w, lock, LOCK_EXPIRER);
    if (r != LARDER_E_BUSY)
        return r;
    int owner = lock_owner(lock);
    if (owner < 0 || (uint32_t)owner >= w->seg->slot_count || (uint32_t)owner == w->id ||
        live_is_held(w->seg, (uint32_t)owner) != 0 || recover_for_lock(w, (uint32_t)owner, LOCK_EXPIRER) != LARDER_OK)
        return r;
    return lock_try(w, lock, LOCK_EXPIRER);
}

/* Not if w is stuck: then the lock stays with the slot. */
static void expirer_unlock(struct expirer *x) {
    if (!x->w->is_stuck && !x->is_stand_in)
        lock_drop(x->w, &x->w->seg->shm->expirer_lock, LOCK_EXPIRER);
}

static void expirer_leave(struct expirer *x) {
    writer_end(x->w);
    x->w = NULL;
    x->is_stand_in = 0;
    x->beat_ns = 0;
}

static void expirer_resign(struct expirer *x) {
    expirer_unlock(x);
    expirer_leave(x);
}

/* The handle's timeout, within bounds. LARDER_NO_WAIT is for the handle's callers, not this
 * thread. */
static void expirer_set_timeout(struct expirer *x) {
    uint32_t ms = x->db->writers.busy_timeout_ms;
    x->w->busy_timeout_ms = ms && ms < EXPIRER_BUSY_MS_MAX ? ms : EXPIRER_BUSY_MS_MAX;
}

static int expirer_apply(struct expirer *x) {
    int can_lock = expirer_can_lock(&x->db->seg);
    if ((!can_lock && !expirer_is_still(x)) || writer_borrow_within(x->db, EXPIRER_BUSY_MS_MAX, &x->w) != LARDER_OK) {
        x->w = NULL;
        return 0;
    }
    x->w->is_stopping = &x->is_stopping;
    expirer_set_timeout(x);
    x->is_stand_in = !can_lock;
    if (can_lock ? expirer_lock(x->w) == LARDER_OK : expirer_beat_now(x)) {
        x->done_s = INT64_MIN;
        return 1;
    }
    expirer_leave(x);
    return 0;
}

/* Whether it is still the one that works. A stand-in becomes the expirer as soon as possible. */
static int expirer_stays(struct expirer *x) {
    if (x->is_stand_in && expirer_can_lock(&x->db->seg) && expirer_lock(x->w) == LARDER_OK)
        x->is_stand_in = 0;
    if (expirer_beat_now(x))
        return 1;
    expirer_resign(x);
    return 0;
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* E6. Whether dropped tables are left to empty, and no other process empties them. */
static int expirer_must_empty(struct expirer *x) {
    uint64_t mark = table_drop_mark(&x->db->seg), before = x->drop_mark;
    x->drop_mark = mark;
    return mark != 0 && mark == before;
}

/* The work that takes the catalog lock. Returns 0 if another thread has taken the expirer's place
 * meanwhile, which is no harm. */
static int expirer_tend_tables(struct expirer *x, int must_empty) {
    uint64_t end_ns = wait_now_ns() + EXPIRER_EMPTY_NS;
    int r = must_empty ? LARDER_MORE : LARDER_OK;
    expirer_unlock(x);
    while (r == LARDER_MORE && !x->is_stopping && wait_now_ns() < end_ns) {
        r = table_resume_piece(x->w);
        expirer_beat(x);
    }
    x->drop_mark = table_drop_mark(&x->db->seg); /* it goes on in the next turn */
    if (!x->w->is_stuck && restamp_is_pending(&x->db->seg))
        (void)restamp_all(x->w);
    if (!x->w->is_stuck && (x->is_stand_in || expirer_lock(x->w) == LARDER_OK))
        return 1;
    expirer_leave(x);
    return 0;
}

/* Its writer's use of views ends with each turn, or no view could ever be freed
 * (core/table/views.h). */
static void expirer_rest(struct expirer *x) {
    if (x->w)
        epoch_leave(&x->w->use);
}

/* What this process has read, while another one is the expirer. */
static void expirer_publish(struct larder *db) {
    struct writer *w;
    if (!marks_are_noted(db) || writer_borrow_within(db, EXPIRER_BUSY_MS_MAX, &w) != LARDER_OK)
        return;
    marks_publish_all(w);
    writer_end(w);
}

static void expirer_turn(struct expirer *x) {
    uint32_t dead;
    if (x->w) {
        epoch_enter(&x->db->views.epochs, &x->w->use);
        x->w->is_short = 0; /* each turn is a call of its own */
    }
    if (db_check(x->db) != LARDER_OK) { /* destroyed: wait for larder_close() */
        if (x->w)
            expirer_resign(x);
        return;
    }
    if (x->w ? !expirer_stays(x) : !expirer_apply(x)) {
        expirer_publish(x->db);
        return;
    }
    /* a slot that cannot be recovered now is looked at again */
    (void)recover_some(x->w, &x->dead_from, EXPIRER_PROBES, &dead);
    int64_t now_s = db_now(x->db);
    int must_empty = expirer_must_empty(x);
    if (!x->w->is_stuck && (must_empty || (now_s != x->done_s && restamp_is_pending(&x->db->seg))) &&
        !expirer_tend_tables(x, must_empty))
        return;
    if (!x->w->is_stuck && now_s != x->done_s) {
        struct fire_job job = {
            .w = x->w, .now_s = now_s, .is_stopping = &x->is_stopping, .beat = expirer_beat, .beat_arg = x};
        if (expire_run(&job) == LARDER_OK)
            x->done_s = now_s;
        expirer_set_timeout(x); /* a job shortens it */
    }
    if (!x->w->is_stuck)
        marks_publish_all(x->w);
    if (!x->w->is_stuck)
        x->has_evicted = table_evict_ahead(x->w) > 0;
    if (!x->w->is_stuck)
        table_compact_ahead(x->w);
    if (x->w->is_stuck || writer_is_wanted(x->w)) /* rule W4 of core/memory/writer.h */
        expirer_resign(x);
}

static int64_t expirer_turn_ns(const struct expirer *x) {
#if LARDER_CRASH_POINTS
    if (expirer_test_turn_ns != 0)
        return (int64_t)expirer_test_turn_ns;
#endif
    return x->has_evicted ? EXPIRER_SHORT_NS : EXPIRER_TURN_NS;
}

/* One turn from now, or the next full second if that is sooner. */
static struct timespec expirer_next_turn(const struct expirer *x) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    int64_t wait_ns = expirer_turn_ns(x), to_second_ns = SECOND_NS - real.tv_nsec + EXPIRER_CLOCK_LAG_NS;
    if (!atomic_load_explicit(&x->db->clock, memory_order_relaxed) && to_second_ns < wait_ns)
        wait_ns = to_second_ns;
    return wait_timespec(wait_now_ns() + (uint64_t)wait_ns);
}

static void *expirer_main(void *arg) {
    struct expirer *x = arg;
    pthread_mutex_lock(&x->mutex);
    while (!x->is_stopping) {
        pthread_mutex_unlock(&x->mutex);
        expirer_turn(x);
        expirer_rest(x);
        struct timespec until = expirer_next_turn(x);
        pthread_mutex_lock(&x->mutex);
        while (!x->is_stopping && pthread_cond_timedwait(&x->wake, &x->mutex, &until) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&x->mutex);
    if (x->w)
        expirer_resign(x);
    return NULL;
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

static void expirer_free(struct larder *db, struct expirer *x) {
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->mutex);
    priv_free(db_priv(db), x);
}

static int expirer_start_locked(struct larder *db) {
    struct expirer *x = priv_alloc(db_priv(db), sizeof *x);
    pthread_condattr_t monotonic;
    if (!x)
        return LARDER_E_NO_MEMORY;
    x->db = db;
    pthread_mutex_init(&x->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&x->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = thread_start(&x->thread, "larder-expirer", expirer_main, x); /* rule E3 */
    if (error) {
        expirer_free(db, x);
        errno = error;
        return err_set_errno("pthread_create", "the expirer's thread");
    }
    db->expirer = x;
    return LARDER_OK;
}

int larder_expirer_start(struct larder *db) {
    if (ERR_IS_NULL(db))
        return LARDER_E_INVAL;
    int r = db_check(db);
    if (r)
        return r;
    if (db->seg.is_read_only)
        return err_set(LARDER_E_READ_ONLY, "the expirer needs a segment that is attached read-write");
    pthread_mutex_lock(&db->mutex);
    if (!db->expirer)
        r = expirer_start_locked(db);
    pthread_mutex_unlock(&db->mutex);
    return r;
}

void larder_expirer_stop(struct larder *db) {
    if (!db)
        return;
    pthread_mutex_lock(&db->mutex);
    struct expirer *x = db->expirer;
    db->expirer = NULL;
    pthread_mutex_unlock(&db->mutex);
    if (!x)
        return;
    pthread_mutex_lock(&x->mutex);
    x->is_stopping = 1;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->mutex);
    thread_join(x->thread);
    expirer_free(db, x);
}

/* In a forked child db->mutex is held, and the thread may have been anywhere when the process was
 * copied: nothing of it is touched, and its memory is freed with the handle (rule E4). */
static void expirer_stop_hook(struct larder *db, int is_forked_child) {
    if (is_forked_child)
        db->expirer = NULL;
    else
        larder_expirer_stop(db);
}

__attribute__((constructor)) static void expirer_register(void) {
    db_stop_expirer = expirer_stop_hook;
}
