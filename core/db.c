/* core/db.c - the handle: attaching, detaching, forking. See db.h. */
#include "core/db.h"
#include "core/err.h"
#include "core/hooks.h"
#include "core/live.h"
#include <time.h>
#include <unistd.h>

#define DEFAULT_BUSY_TIMEOUT_MS 2000

void (*db_stop_expirer)(struct larder *db, int is_forked_child);

/* ---- Forks: every open handle of this process goes on in the child with slots of its own ------------------------------- */

static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards open_handles; before any db->mutex */
static struct larder *open_handles;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void fork_prepare(void) {
    pthread_mutex_lock(&open_mutex);
    for (struct larder *db = open_handles; db; db = db->next_open)
        pthread_mutex_lock(&db->mutex);
    live_fork_prepare();
    for (struct larder *db = open_handles; db; db = db->next_open) {
        views_fork_prepare(&db->views);
        priv_fork_prepare(db->priv);
    }
}

static void fork_parent(void) {
    live_fork_parent();
    for (struct larder *db = open_handles; db; db = db->next_open) {
        priv_fork_done(db->priv);
        views_fork_parent(&db->views);
        pthread_mutex_unlock(&db->mutex);
    }
    pthread_mutex_unlock(&open_mutex);
}

static void fork_child(void) {
    live_fork_child();
    for (struct larder *db = open_handles; db; db = db->next_open) {
        priv_fork_done(db->priv);
        views_fork_child(&db->views);
        if (db->expirer && db_stop_expirer)
            db_stop_expirer(db, 1);
        writer_forget_all(db);
        pthread_mutex_unlock(&db->mutex);
    }
    pthread_mutex_unlock(&open_mutex);
}

static void fork_register(void) {
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* ---- Opening and closing -------------------------------------------------------------------------------------------------- */

/* Takes the first slot now, so that larder_slot_stats() shows who is attached, and a process may give up privileges afterwards.
 * If there is none, the first write will say so. */
static void show_attached(struct larder *db) {
    struct writer *w;
    if (!db->seg.is_read_only && writer_borrow_within(db, 0, &w) == LARDER_OK)
        writer_end(w);
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
    db->busy_timeout_ms = o->busy_timeout_ms ? o->busy_timeout_ms : DEFAULT_BUSY_TIMEOUT_MS;
    pthread_mutex_init(&db->mutex, NULL);
    views_begin(&db->views);
    pthread_once(&fork_once, fork_register); /* before seg_open takes a liveness lock: see the fork guard */
    int r = seg_open(&db->seg, o);
    if (r) {
        views_end(&db->views);
        pthread_mutex_destroy(&db->mutex);
        priv_destroy(priv);
        return r;
    }
    pthread_mutex_lock(&open_mutex);
    db->next_open = open_handles;
    open_handles = db;
    pthread_mutex_unlock(&open_mutex);
    db->opened_as = geteuid();
    db->kept_slots = writer_kept_slots(db->seg.slot_count);
    show_attached(db);
    *out = db;
    return LARDER_OK;
}

/* A thread that is cancelled in the middle of this would leave the creation lock, descriptors and mappings with its process. */
int larder_open(const struct larder_options *options, struct larder **out) {
    int cancel_state;
    if (ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    int r = open_handle(options, out);
    pthread_setcancelstate(cancel_state, NULL);
    return r;
}

static void close_handle(struct larder *db) {
    if (db->expirer && db_stop_expirer)
        db_stop_expirer(db, 0);
    pthread_mutex_lock(&open_mutex);
    for (struct larder **at = &open_handles; *at; at = &(*at)->next_open)
        if (*at == db) {
            *at = db->next_open;
            break;
        }
    pthread_mutex_unlock(&open_mutex);
    writer_close_all(db);
    seg_close(&db->seg);
    views_end(&db->views);
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

/* Another thread may be reading any clock that was ever set, so none is freed; but the same one is made once. */
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

void larder_set_clock(struct larder *db, int64_t (*now)(void *arg), void *arg) {
    if (!db)
        return;
    struct db_clock *clock = now ? find_clock(db, now, arg) : NULL;
    if (now && !clock)
        return; /* out of memory, and no way to say so: the clock stays what it was */
    atomic_store_explicit(&db->clock, clock, memory_order_release);
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

int db_check(const struct larder *db) {
    uint32_t state = SHM_LOAD(&db->seg.shm->state);
    if (__builtin_expect(state == SEG_STATE_READY, 1))
        return LARDER_OK;
    if (state == SEG_STATE_DESTROYED)
        return err_set(LARDER_E_DESTROYED, "the segment was destroyed; close it and open it anew");
    if (state == SEG_STATE_REPAIRING && live_is_locked(&db->seg, LIVE_CREATE_BYTE) == 1)
        return err_set(LARDER_BUSY, "the segment is being repaired");
    if (state == SEG_STATE_REPAIRING)
        return err_set(LARDER_E_CORRUPT, "a repair of the segment was cut off; larder check --repair finishes it");
    return err_set(LARDER_E_CORRUPT, "the segment's state is %u", state);
}
