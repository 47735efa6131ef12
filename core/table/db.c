/* core/table/db.c - the handle: attaching, detaching, forking. See db.h. */
#include "core/table/db.h"
#include "core/base/err.h"
#include "core/memory/hooks.h"
#include "core/segment/live.h"
#include "core/segment/seg_lock.h"
#include "core/table/drop_thread.h"
#include <time.h>
#include <unistd.h>

void (*db_stop_expirer)(struct larder *db, int is_forked_child);

/* ---- Forks: every open handle of this process goes on in the child with slots of its own ----- */

/* guards open_handles; taken before any db->mutex */
static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct larder *open_handles;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void fork_prepare(void) {
    pthread_mutex_lock(&open_mutex);
    for (struct larder *db = open_handles; db; db = db->next_open)
        pthread_mutex_lock(&db->mutex);
    live_fork_prepare();
    for (struct larder *db = open_handles; db; db = db->next_open) {
        pthread_mutex_lock(&db->writers.mutex);
        pthread_mutex_lock(&db->prepared.mutex);
        epoch_fork_prepare(&db->views.epochs);
        priv_fork_prepare(db->priv);
    }
}

static void fork_parent(void) {
    live_fork_parent();
    for (struct larder *db = open_handles; db; db = db->next_open) {
        priv_fork_done(db->priv);
        epoch_fork_parent(&db->views.epochs);
        pthread_mutex_unlock(&db->prepared.mutex);
        pthread_mutex_unlock(&db->writers.mutex);
        pthread_mutex_unlock(&db->mutex);
    }
    pthread_mutex_unlock(&open_mutex);
}

static void fork_child(void) {
    live_fork_child();
    for (struct larder *db = open_handles; db; db = db->next_open) {
        priv_fork_done(db->priv);
        epoch_fork_child(&db->views.epochs);
        pthread_mutex_unlock(&db->prepared.mutex);
        if (db->expirer && db_stop_expirer)
            db_stop_expirer(db, 1);
        drop_thread_stop(db, 1);
        writer_forget_all(&db->writers);
        pthread_mutex_unlock(&db->writers.mutex);
        pthread_mutex_unlock(&db->mutex);
    }
    pthread_mutex_unlock(&open_mutex);
}

static void fork_register(void) {
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Takes the first slot now, so that larder_slot_stats() shows the process, and it may give up
 * privileges afterwards. If no slot is free, the first write reports it. */
static void show_attached(struct larder *db) {
    struct writer *w = NULL;
    if (!db->seg.is_read_only && writer_borrow_within(db, 0, &w) == LARDER_OK)
        writer_end(w);
}

/* 0: LARDER_NO_WAIT. */
static uint32_t timeout_of(const struct larder_options *o) {
    if (o->busy_timeout_ms == LARDER_NO_WAIT)
        return 0;
    return o->busy_timeout_ms ? o->busy_timeout_ms : SEG_BUSY_TIMEOUT_MS;
}

static int open_handle(const struct larder_options *options, struct larder **out) {
    static const struct larder_options defaults;
    const struct larder_options *o = options ? options : &defaults;
    struct priv *priv = priv_new();
    struct larder *db = priv ? priv_alloc(priv, sizeof *db) : NULL;
    if (!db) {
        if (priv)
            priv_destroy(priv);
        return err_set(LARDER_E_NO_MEMORY, "out of private memory");
    }
    db->priv = priv;
    pthread_mutex_init(&db->mutex, NULL);
    pthread_mutex_init(&db->prepared.mutex, NULL);
    epoch_begin(&db->views.epochs);
    /* before seg_open() takes a liveness lock, which a fork must not meet halfway */
    pthread_once(&fork_once, fork_register);
    int r = seg_open(&db->seg, o);
    if (r) {
        epoch_end(&db->views.epochs);
        pthread_mutex_destroy(&db->prepared.mutex);
        pthread_mutex_destroy(&db->mutex);
        priv_destroy(priv);
        return r;
    }
    writer_pool_begin(&db->writers, &(struct writer_pool){.db = db,
                                                          .seg = &db->seg,
                                                          .priv = priv,
                                                          .epochs = &db->views.epochs,
                                                          .check = db_check,
                                                          .busy_timeout_ms = timeout_of(o)});
    pthread_mutex_lock(&open_mutex);
    db->next_open = open_handles;
    open_handles = db;
    pthread_mutex_unlock(&open_mutex);
    show_attached(db);
    *out = db;
    return LARDER_OK;
}

/* A thread cancelled in the middle of this would leave the creation lock, descriptors and mappings
 * with its process. */
int larder_open(const struct larder_options *options, struct larder **out) {
    int cancel_state;
    struct err_kept before;
    if (ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    err_keep(&before);
    int r = open_handle(options, out);
    if (r >= 0) /* the message may be of a name that did not exist before it was made */
        err_put_back(&before);
    pthread_setcancelstate(cancel_state, NULL);
    return r;
}

static void close_handle(struct larder *db) {
    if (db->expirer && db_stop_expirer)
        db_stop_expirer(db, 0);
    drop_thread_stop(db, 0);
    pthread_mutex_lock(&open_mutex);
    for (struct larder **at = &open_handles; *at; at = &(*at)->next_open)
        if (*at == db) {
            *at = db->next_open;
            break;
        }
    pthread_mutex_unlock(&open_mutex);
    writer_pool_end(&db->writers);
    seg_close(&db->seg);
    epoch_end(&db->views.epochs);
    pthread_mutex_destroy(&db->prepared.mutex);
    pthread_mutex_destroy(&db->mutex);
    priv_destroy(db->priv);
}

void larder_close(struct larder *db) {
    int cancel_state;
    if (!db)
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    close_handle(db);
    pthread_setcancelstate(cancel_state, NULL);
}

int larder_memfd(const struct larder *db) {
    return db && db->seg.is_memfd ? db->seg.fd : -1;
}

/* Another thread may be reading any clock that was ever set, so none is freed; but the same clock
 * is made once only. */
static struct db_clock *find_clock(struct larder *db, int64_t (*now)(void *arg), void *arg) {
    pthread_mutex_lock(&db->mutex);
    struct db_clock *clock = db->clocks;
    while (clock && (clock->now != now || clock->arg != arg))
        clock = clock->next;
    if (!clock && (clock = priv_alloc(db->priv, sizeof *clock)) != NULL) {
        *clock = (struct db_clock){now, arg, db->clocks};
        db->clocks = clock;
    }
    pthread_mutex_unlock(&db->mutex);
    return clock;
}

int larder_set_clock(struct larder *db, int64_t (*now)(void *arg), void *arg) {
    if (ERR_IS_NULL(db))
        return LARDER_E_INVAL;
    struct db_clock *clock = now ? find_clock(db, now, arg) : NULL;
    if (now && !clock)
        return LARDER_E_NO_MEMORY;
    atomic_store_explicit(&db->clock, clock, memory_order_release);
    return LARDER_OK;
}

struct priv *db_priv(struct larder *db) {
    return db->priv;
}

int64_t db_now(const struct larder *db) {
    const struct db_clock *clock = atomic_load_explicit(&db->clock, memory_order_acquire);
    if (clock)
        return clock->now(clock->arg);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    return ts.tv_sec;
}

int64_t db_now_checked(const struct larder *db) {
    return atomic_load_explicit(&db->clock, memory_order_relaxed)
               ? db_now(db)
               : atomic_load_explicit(&db->second, memory_order_relaxed);
}

/* A new second of the system's clock: looks whether the file still has a name. If not, marks the
 * segment for all attachments. A read-only one notes it for itself alone. */
static void look_at_name(struct larder *db, int64_t second) {
    int64_t before = atomic_load_explicit(&db->second, memory_order_relaxed);
    if (before == second || atomic_load_explicit(&db->is_removed, memory_order_relaxed) ||
        !atomic_compare_exchange_strong_explicit(&db->second, &before, second, memory_order_relaxed,
                                                 memory_order_relaxed))
        return; /* the same second, or known, or another thread looks */
    if (!seg_is_removed(&db->seg))
        return;
    seg_lock_remove_orphan(&db->seg);
    uint32_t ready = SEG_STATE_READY;
    if (!db->seg.is_read_only)
        (void)SHM_CAS(&db->seg.shm->state, &ready, SEG_STATE_DESTROYED);
    atomic_store_explicit(&db->is_removed, 1, memory_order_relaxed);
    /* so that every call comes here from now on */
    atomic_store_explicit(&db->second, INT64_MIN, memory_order_relaxed);
}

static int check_slowly(struct larder *db, int64_t second) {
    look_at_name(db, second);
    uint32_t state = SHM_LOAD(&db->seg.shm->state);
    if (state == SEG_STATE_DESTROYED || atomic_load_explicit(&db->is_removed, memory_order_relaxed))
        return err_set(LARDER_E_DESTROYED,
                       "the segment was destroyed, or its file removed; close it and open it again");
    if (state == SEG_STATE_READY)
        return LARDER_OK;
    int is_locked = state == SEG_STATE_REPAIRING ? live_is_locked(&db->seg, LIVE_CREATE_BYTE) : 0;
    if (is_locked == 1)
        return err_set(LARDER_E_BUSY, "the segment is being repaired");
    if (is_locked < 0)
        return err_set(LARDER_E_BUSY,
                       "the segment is being repaired, or its repair was cut off; this user cannot tell");
    if (state == SEG_STATE_REPAIRING)
        return err_set(LARDER_E_CORRUPT, "a repair of the segment was cut off; larder check --repair finishes it");
    return err_set(LARDER_E_CORRUPT, "the segment's state word is %u, which means nothing", state);
}

int db_check(struct larder *db) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    int is_same_second = now.tv_sec == atomic_load_explicit(&db->second, memory_order_relaxed);
    if (__builtin_expect(SHM_LOAD(&db->seg.shm->state) == SEG_STATE_READY && is_same_second, 1))
        return LARDER_OK;
    return check_slowly(db, now.tv_sec);
}

/* ---- Writers --------------------------------------------------------------------------------- */

static inline int borrow(struct larder *db, uint32_t wait_ms, struct writer **w) {
    int r = db_check(db);
    if (r)
        return r;
    if (db->seg.is_read_only)
        return err_set(LARDER_E_READ_ONLY, "the segment is attached read-only");
    return writer_take(&db->writers, wait_ms, w);
}

int writer_borrow(struct larder *db, struct writer **w) {
    return borrow(db, db->writers.busy_timeout_ms, w);
}

int writer_borrow_within(struct larder *db, uint32_t wait_ms, struct writer **w) {
    return borrow(db, wait_ms, w);
}
