/* core/table/drop_thread.c - see drop_thread.h. */
#include "core/table/drop_thread.h"

#include <sched.h>

#include "core/base/thread.h"
#include "core/base/wait.h"
#include "core/table/db.h"

#define DROP_BUSY_MS 100       /* limit for one lock: larder_close() waits for the thread */
#define DROP_PIECES 64         /* with one writer */
#define DROP_PATIENCE_MS 10000 /* without a piece done: a lock is held elsewhere */

struct drop_thread {
    struct larder *db;
    pthread_t thread;
    _Atomic int is_stopping;
    int is_done; /* under db->mutex: nothing was left */
};

#if LARDER_CRASH_POINTS
_Atomic int drop_test_is_alone; /* tests that count stores: no thread is started */
static int test_says_none(void) {
    return atomic_load(&drop_test_is_alone);
}
#else
static int test_says_none(void) {
    return 0;
}
#endif

/* Empties some pieces with one writer, not more: others may want its slot (rule W4 of
 * core/memory/writer.h), and it keeps views from being freed. LARDER_MORE: go on; else nothing is
 * left, or nothing can be done. */
static int empty_some(struct drop_thread *d) {
    struct writer *w;
    int r = writer_borrow(d->db, &w);
    if (r)
        return r;
    /* LARDER_NO_WAIT is for callers, not for this thread */
    if (!w->busy_timeout_ms || w->busy_timeout_ms > DROP_BUSY_MS)
        w->busy_timeout_ms = DROP_BUSY_MS;
    w->is_stopping = &d->is_stopping;
    uint64_t give_up_ms = wait_now_ms() + DROP_PATIENCE_MS;
    for (int pieces = 0; pieces < DROP_PIECES && !d->is_stopping && !w->is_stuck && !writer_is_wanted(w); pieces++) {
        r = table_resume_piece(w);
        if (r != LARDER_MORE && (r != LARDER_E_BUSY || !wait_until(give_up_ms)))
            break;
        sched_yield();
    }
    writer_end(w);
    return r == LARDER_OK ? LARDER_MORE : r;
}

static void *run(void *arg) {
    struct drop_thread *d = arg;
    for (int is_done = 0; !is_done;) {
        int r = empty_some(d);
        /* A table dropped since the last piece is seen here, or its dropper sees is_done. */
        pthread_mutex_lock(&d->db->mutex);
        is_done = d->is_done = (r != LARDER_MORE && r != LARDER_NOT_FOUND) || d->is_stopping ||
                               db_check(d->db) != LARDER_OK || !table_has_drops(&d->db->seg);
        pthread_mutex_unlock(&d->db->mutex);
    }
    return NULL;
}

static struct drop_thread *start_locked(struct larder *db) {
    struct drop_thread *d = priv_alloc(db_priv(db), sizeof *d);
    if (!d)
        return NULL;
    d->db = db;
    if (thread_start(&d->thread, "larder-drop", run, d) == 0)
        return d;
    priv_free(db_priv(db), d);
    return NULL;
}

static void end(struct drop_thread *d) {
    struct larder *db = d->db;
    d->is_stopping = 1;
    thread_join(d->thread);
    priv_free(db_priv(db), d);
}

void drop_thread_start(struct larder *db) {
    struct drop_thread *ended = NULL;
    if (test_says_none())
        return;
    pthread_mutex_lock(&db->mutex);
    struct drop_thread *d = db->dropper;
    if (!d || d->is_done) {
        ended = d;
        db->dropper = start_locked(db);
    }
    pthread_mutex_unlock(&db->mutex);
    if (ended)
        end(ended);
}

void drop_thread_stop(struct larder *db, int is_forked_child) {
    if (is_forked_child) { /* its memory goes with the handle */
        db->dropper = NULL;
        return;
    }
    pthread_mutex_lock(&db->mutex);
    struct drop_thread *d = db->dropper;
    db->dropper = NULL;
    pthread_mutex_unlock(&db->mutex);
    if (d)
        end(d);
}
