/* ttl/expirer.c - the expirer as a thread of this process.
 *
 * Job      Takes the expirer's place in the segment when it is free. Then looks ten times a second for dead slots,
 *          and in each new second of the handle's clock for timers that are due.
 * Rules    E1 One thread per handle, made and ended under db->mutex.
 *          E2 The thread keeps its writer as long as it holds the expirer lock, and has none else. If others want the slot it
 *             gives up both at the end of its turn.
 *          E3 It receives no signal: they are the host program's.
 *          E4 A forked child has no such thread, whatever its copy of the handle says: it forgets it.
 * Tests    tests/api/ttl_test.c
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "core/recover.h"
#include "ttl/expire.h"
#include "ttl/restamp.h"

#define EXPIRER_TURN_NS 100000000    /* between two looks at dead slots, or at a holder of the lock */
#define EXPIRER_CLOCK_LAG_NS 5000000 /* the system clock that decides expiry moves by ticks of the kernel */
#define EXPIRER_PROBES 256           /* slots of which the owners are looked at in one turn */
#define EXPIRER_BUSY_MS_MAX 100      /* it tries again in its next turn, and must not delay larder_close() */
#define SECOND_NS 1000000000

struct expirer {
    struct larder *db;
    pthread_t thread;
    pthread_mutex_t mutex; /* for the condition */
    pthread_cond_t wake;
    _Atomic int is_stopping;
    /* The thread's own. */
    struct writer *w;   /* NULL: another is the expirer */
    int64_t done_s;     /* second of the last complete run */
    uint32_t dead_from; /* slot where the next look for dead owners begins */
};

/* ---- The thread ------------------------------------------------------------------------------------------------- */

static void expirer_resign(struct expirer *x) {
    expire_unlock(x->w);
    writer_end(x->w);
    x->w = NULL;
}

static int expirer_apply(struct expirer *x) {
    if (!expire_can_lock(&x->db->seg) || writer_borrow_within(x->db, EXPIRER_BUSY_MS_MAX, &x->w) != LARDER_OK) {
        x->w = NULL;
        return 0;
    }
    x->w->is_stopping = &x->is_stopping;
    if (x->w->busy_timeout_ms > EXPIRER_BUSY_MS_MAX)
        x->w->busy_timeout_ms = EXPIRER_BUSY_MS_MAX;
    if (expire_lock(x->w) == LARDER_OK) {
        x->done_s = INT64_MIN;
        return 1;
    }
    writer_end(x->w);
    x->w = NULL;
    return 0;
}

/* Without the lock: see restamp.h. If another takes the expirer's place meanwhile, so be it. */
static int expirer_restamp(struct expirer *x) {
    expire_unlock(x->w);
    (void)restamp_all(x->w);
    if (!x->w->is_stuck && expire_lock(x->w) == LARDER_OK)
        return 1;
    writer_end(x->w);
    x->w = NULL;
    return 0;
}

/* Its writer's use of views ends with each turn, or none could ever be freed (core/views.h). */
static void expirer_rest(struct expirer *x) {
    if (x->w)
        view_leave(&x->w->use);
}

static void expirer_turn(struct expirer *x) {
    uint32_t dead;
    if (x->w)
        view_enter(&x->db->views, &x->w->use);
    if (db_check(x->db) != LARDER_OK) { /* destroyed: wait for larder_close() */
        if (x->w)
            expirer_resign(x);
        return;
    }
    if (!x->w && !expirer_apply(x))
        return;
    (void)recover_some(x->w, &x->dead_from, EXPIRER_PROBES, &dead); /* who cannot be recovered now is looked at again */
    int64_t now_s = db_now(x->db);
    if (!x->w->is_stuck && now_s != x->done_s) {
        if (restamp_is_pending(&x->db->seg) && !expirer_restamp(x))
            return;
        struct expire_job job = {.w = x->w, .now_s = now_s, .is_stopping = &x->is_stopping};
        if (expire_run(&job) == LARDER_OK)
            x->done_s = now_s;
    }
    if (x->w->is_stuck || writer_is_wanted(x->w)) /* rule W4 of core/writer.h */
        expirer_resign(x);
}

/* A turn from now, or the next full second if that is sooner. */
static struct timespec expirer_next_turn(const struct expirer *x) {
    struct timespec now, real;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_gettime(CLOCK_REALTIME, &real);
    int64_t wait_ns = EXPIRER_TURN_NS, to_second_ns = SECOND_NS - real.tv_nsec + EXPIRER_CLOCK_LAG_NS;
    if (!atomic_load_explicit(&x->db->clock, memory_order_relaxed) && to_second_ns < wait_ns)
        wait_ns = to_second_ns;
    now.tv_nsec += wait_ns;
    now.tv_sec += now.tv_nsec / SECOND_NS;
    now.tv_nsec %= SECOND_NS;
    return now;
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

/* ---- Starting and stopping -------------------------------------------------------------------------------------- */

/* Returns an errno. */
static int expirer_create_thread(struct expirer *x) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread inherits it: rule E3 */
    int error = pthread_create(&x->thread, NULL, expirer_main, x);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(x->thread, "larder-expirer");
    return error;
}

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
    int error = expirer_create_thread(x);
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
    int cancel_state;
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
    /* To be cancelled here would leave a thread that nobody ends before the segment is unmapped. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_join(x->thread, NULL);
    pthread_setcancelstate(cancel_state, NULL);
    expirer_free(db, x);
}

/* In a forked child db->mutex is held, and the thread may have been anywhere when the process was copied: nothing of it
 * is touched, its memory goes with the handle (rule E4). */
static void expirer_stop_hook(struct larder *db, int is_forked_child) {
    if (is_forked_child)
        db->expirer = NULL;
    else
        larder_expirer_stop(db);
}

__attribute__((constructor)) static void expirer_register(void) {
    db_stop_expirer = expirer_stop_hook;
}
