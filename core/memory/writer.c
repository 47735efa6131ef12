/* core/memory/writer.c - writers, and the pool of a handle that keeps them. See writer.h.
 *
 * Crash    A slot is left in this order: state = FREE, liveness lock dropped, bit, bell. Dead
 *          before the first store: a dead slot with nothing to recover. Dead after it: a free slot,
 *          which the map or a waiter's own look finds (core/memory/slot_map.h).
 * Tests    tests/unit/memory/slot_test.c, tests/unit/memory/slot_wait_test.c
 */
#include "core/memory/writer.h"
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/priv.h"
#include "core/memory/heap.h"
#include "core/memory/journal.h"
#include "core/memory/slot_map.h"
#include "core/memory/slot_take.h"
#include "core/segment/live.h"
#include "core/segment/stopped.h"
#include <unistd.h>

#define POOL_IDLE_MAX 8u /* idle slots that a handle keeps */

void writer_pool_begin(struct writer_pool *pool, const struct writer_pool *fields) {
    *pool = *fields;
    pthread_mutex_init(&pool->mutex, NULL);
    pool->opened_as = geteuid();
    pool->kept_slots = writer_kept_slots(pool->seg->slot_count);
}

void writer_pool_end(struct writer_pool *pool) {
    writer_close_all(pool);
    pthread_mutex_destroy(&pool->mutex);
}

struct writer *writer_new(struct writer_pool *pool, uint32_t slot, void *live) {
    struct writer *w = priv_alloc(pool->priv, sizeof *w);
    if (!w)
        return NULL;
    w->pool = pool;
    w->db = pool->db;
    w->seg = pool->seg;
    w->slot = seg_slot(pool->seg, slot);
    w->id = slot;
    w->live = live;
    w->busy_timeout_ms = pool->busy_timeout_ms;
    epoch_use_add(pool->epochs, &w->use);
    epoch_enter(pool->epochs, &w->use);
    return w;
}

void writer_free(struct writer *w) {
    struct priv *p = w->pool->priv;
    epoch_use_remove(w->pool->epochs, &w->use);
    priv_free(p, w->scratch);
    priv_free(p, w->candidates);
    priv_free(p, w->before);
    priv_free(p, w);
}

static __attribute__((noinline)) struct writer *take_listed(struct writer_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    struct writer *w = pool->idle;
    if (w) {
        pool->idle = w->next;
        pool->idle_count--;
    }
    pthread_mutex_unlock(&pool->mutex);
    return w;
}

/* A writer of the pool, or NULL. Usually the one that was put back last, which no other thread
 * wants. */
struct writer *writer_take_idle(struct writer_pool *pool) {
    struct writer *w = atomic_exchange_explicit(&pool->spare, NULL, memory_order_acq_rel);
    return __builtin_expect(w != NULL, 1) ? w : take_listed(pool);
}

/* Rule W5. */
static void leave(struct writer *w) {
    struct seg *s = w->seg;
    SHM_STORE(&w->slot->state, SLOT_FREE);
    live_drop(s, w->live);
    slot_map_give(s, w->id);
    writer_free(w);
}

/* 0: it is the last one of a process that has changed its user, and could not take another. */
static int may_leave(struct writer_pool *pool) {
    uint32_t count = atomic_load_explicit(&pool->writer_count, memory_order_relaxed);
    uint32_t least = geteuid() == pool->opened_as ? 0 : 1;
    while (count > least)
        if (atomic_compare_exchange_weak_explicit(&pool->writer_count, &count, count - 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return 1;
    return 0;
}

static inline int is_wanted(const struct writer *w) {
    return w->id >= w->pool->kept_slots || slot_bell_is_waited_for(w->seg);
}

int writer_is_wanted(const struct writer *w) {
    return is_wanted(w);
}

static __attribute__((noinline)) int put_listed(struct writer *w) {
    struct writer_pool *pool = w->pool;
    pthread_mutex_lock(&pool->mutex);
    int has_room = pool->idle_count < POOL_IDLE_MAX - 1;
    if (has_room) {
        w->next = pool->idle;
        pool->idle = w;
        pool->idle_count++;
    }
    pthread_mutex_unlock(&pool->mutex);
    return has_room;
}

/* Returns 0 if the pool is full. */
static inline int put_idle(struct writer *w) {
    struct writer *none = NULL;
    /* Release; pairs with the exchange in writer_take_idle(): the next thread sees what this one
     * did with the writer. */
    if (atomic_compare_exchange_strong_explicit(&w->pool->spare, &none, w, memory_order_acq_rel, memory_order_relaxed))
        return 1;
    return put_listed(w);
}

int writer_is_idle(struct writer_pool *pool, uint32_t slot) {
    int is_idle = 0;
    pthread_mutex_lock(&pool->mutex);
    struct writer *w = atomic_exchange_explicit(&pool->spare, NULL, memory_order_acq_rel);
    if (w) { /* a thread that looks for it meanwhile waits for the mutex */
        w->next = pool->idle;
        pool->idle = w;
        pool->idle_count++;
    }
    for (w = pool->idle; w; w = w->next)
        is_idle |= w->id == slot;
    pthread_mutex_unlock(&pool->mutex);
    return is_idle;
}

int writer_take(struct writer_pool *pool, uint32_t wait_ms, struct writer **out) {
    int cancel_state, r;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    struct writer *w = writer_take_idle(pool);
    if (__builtin_expect(!w, 0) && (r = slot_take(pool, wait_ms, &w)) != LARDER_OK) {
        pthread_setcancelstate(cancel_state, NULL);
        return r;
    }
    epoch_enter(pool->epochs, &w->use);
    w->next = NULL;
    w->is_stopping = NULL;
    w->is_short = 0;
    w->cancel_state = cancel_state;
    w->busy_timeout_ms = pool->busy_timeout_ms;
    *out = w;
    return LARDER_OK;
}

/* The slot was wanted, or the pool is full. */
static __attribute__((noinline)) void give_back(struct writer *w) {
    const struct seg *s = w->seg;
    if (may_leave(w->pool))
        leave(w);
    else if (put_idle(w))
        slot_bell_ring(s); /* a thread of this process may be waiting for it */
}

void writer_return(struct writer *w) {
    int cancel_state = w->cancel_state;
    DEBUG_ASSERT(w->ranks_held == 0 && !w->is_stuck);
    DEBUG_ASSERT(!step_is_open(w, 0) && !step_is_open(w, 1));
    epoch_leave(&w->use);
    if (__builtin_expect(is_wanted(w), 0) || !put_idle(w))
        give_back(w);
    pthread_setcancelstate(cancel_state, NULL);
}

void writer_abandon(struct writer *w) {
    int cancel_state = w->cancel_state;
    atomic_fetch_sub_explicit(&w->pool->writer_count, 1, memory_order_relaxed);
    live_drop(w->seg, w->live);
    writer_free(w);
    pthread_setcancelstate(cancel_state, NULL);
}

/* Adds to the message of a lock that could not be had that its owner is stopped, and what to do.
 * Leaves other messages as they are. */
static void tell_if_stopped(const struct seg *s, int32_t pid) {
    const char *text = larder_error();
    int is_about_it = strstr(text, ") has held a ") || strstr(text, "is held by process") ||
                      strstr(text, "a stopped process holds a lock");
    if (is_about_it && stopped_is(s, pid))
        err_set(LARDER_E_BUSY, "%s; process %d is stopped: continue it (SIGCONT) or kill it; nothing is lost", text,
                (int)pid);
}

/* Stuck, or one of its locks was another's for too long. */
static __attribute__((noinline)) void end_in_trouble(struct writer *w) {
    const struct seg *s = w->seg;
    int32_t pid = w->busy_pid;
    w->busy_pid = 0;
    if (w->is_stuck)
        writer_abandon(w);
    else
        writer_return(w);
    if (pid != 0)
        tell_if_stopped(s, pid);
}

void writer_end(struct writer *w) {
    if (__builtin_expect((w->is_stuck | w->busy_pid) != 0, 0))
        end_in_trouble(w);
    else
        writer_return(w);
}

int writer_scratch(struct writer *w, size_t bytes) {
    if (bytes <= w->scratch_bytes)
        return LARDER_OK;
    size_t grown = bytes + bytes / 2;
    void *scratch = priv_realloc(w->pool->priv, w->scratch, grown);
    if (!scratch)
        return LARDER_E_NO_MEMORY;
    w->scratch = scratch;
    w->scratch_bytes = grown;
    return LARDER_OK;
}

int writer_claim(struct writer *w) {
    DEBUG_ASSERT(w->ranks_held == 0);
    return heap_claim(w, w->need_bytes);
}

/* Gives the slots of all idle writers back: in larder_close(), when no call is under way. */
void writer_close_all(struct writer_pool *pool) {
    struct writer *w;
    while ((w = writer_take_idle(pool))) {
        atomic_fetch_sub_explicit(&pool->writer_count, 1, memory_order_relaxed);
        leave(w);
    }
}

void writer_forget_all(struct writer_pool *pool) {
    struct writer *w = atomic_exchange_explicit(&pool->spare, NULL, memory_order_acq_rel);
    if (w)
        writer_free(w);
    while ((w = pool->idle)) { /* under the mutex */
        pool->idle = w->next;
        writer_free(w); /* the child did not inherit its liveness page; the slot is the parent's */
    }
    pool->idle_count = 0;
    atomic_store_explicit(&pool->writer_count, 0, memory_order_relaxed);
}
