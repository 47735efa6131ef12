/* core/memory/writer.c - taking, keeping and giving back slots. See writer.h.
 *
 * Crash    A slot is taken under its liveness lock: its bit in the map, fields, then state = LIVE. Dead before: the slot is
 *          free. Dead after: it is a dead slot with nothing to recover. It is left the other way round: state = FREE, the
 *          lock dropped, the bit, the bell. Dead before the first store: a dead slot with nothing to recover. After it:
 *          a free slot, which the map or a waiter's own look finds (core/memory/slot_map.h).
 * Tests    tests/unit/slot_test.c, tests/unit/slot_wait_test.c
 */
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/recover.h"
#include "core/memory/slot_map.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POOL_IDLE_MAX 8u      /* slots that a handle keeps while nobody uses them */
#define WAIT_MS 5u            /* between two looks of one who waits: bounds the time to notice what no bell tells */
#define OLD_MS 100u           /* after so long one who waits comes first */
#define TURN_SLOTS 64u        /* looked at for dead owners in one turn */
#define LAST_LOOK_SLOTS 1024u /* the same at the end of a wait that was too short for turns */

static struct writer *writer_alloc(struct larder *db, uint32_t slot, void *live) {
    struct writer *w = priv_alloc(db->priv, sizeof *w);
    if (!w)
        return NULL;
    w->db = db;
    w->seg = &db->seg;
    w->slot = seg_slot(&db->seg, slot);
    w->id = slot;
    w->live = live;
    w->busy_timeout_ms = db->busy_timeout_ms;
    view_use_add(&db->views, &w->use);
    view_enter(&db->views, &w->use);
    return w;
}

static void writer_release_memory(struct writer *w) {
    struct priv *p = w->db->priv;
    view_use_remove(&w->db->views, &w->use);
    priv_free(p, w->scratch);
    priv_free(p, w->before);
    priv_free(p, w);
}

/* Takes slot i if it is free. LARDER_OK and *out; LARDER_E_NO_SLOT: it is not; LARDER_E_BUSY: it is, but somebody is about to take it
 * or has not quite left it; or a failure. */
static int claim_slot(struct larder *db, uint32_t i, struct writer **out) {
    struct slot_shm *slot = seg_slot(&db->seg, i);
    void *live;
    if (SHM_LOAD(&slot->state) != SLOT_FREE)
        return LARDER_E_NO_SLOT;
    int r = live_take(&db->seg, LIVE_SLOT_BASE + i, &live);
    if (r)
        return r;
    /* Its owner may have died meanwhile: a dead slot, not a free one. And a free one that has something open is damaged: with it, a
     * writer would give back blocks that are not its own. */
    if (SHM_LOAD(&slot->state) != SLOT_FREE || !slot_has_nothing_open(slot) || !slot_holds_no_locks(slot)) {
        live_drop(&db->seg, live);
        return LARDER_E_NO_SLOT;
    }
    struct writer *w = writer_alloc(db, i, live);
    if (!w) {
        live_drop(&db->seg, live);
        return LARDER_E_NO_MEMORY;
    }
    SHM_STORE(&slot->pid, (int32_t)getpid());
    SHM_STORE(&slot->generation, SHM_LOAD_RELAXED(&slot->generation) + 1);
    SHM_STORE(&slot->started_s, (uint64_t)time(NULL));
    SHM_STORE(&slot->state, SLOT_LIVE);
    atomic_fetch_add_explicit(&db->writer_count, 1, memory_order_relaxed);
    *out = w;
    return LARDER_OK;
}

static int is_taken(int result) {
    return result == LARDER_E_BUSY || result == LARDER_E_NO_SLOT;
}

/* The first one that is free by the map. */
static int claim_free(struct larder *db, struct writer **out) {
    const struct seg *s = &db->seg;
    for (uint32_t i = slot_map_take(s, 0); i < s->slot_count; i = slot_map_take(s, i + 1)) {
        int r = claim_slot(db, i, out);
        if (r == LARDER_OK)
            return r;
        if (!is_taken(r)) {
            slot_map_give(s, i);
            return r;
        } /* else somebody has it, without the map's knowledge: now the map knows */
    }
    return LARDER_E_NO_SLOT;
}

static int recover_slot(struct larder *db, uint32_t i) {
    struct writer *me = writer_alloc(db, i, NULL); /* only lends its settings to the recovery */
    if (!me)
        return LARDER_E_NO_MEMORY;
    int r = recover_for_lock(me, i, LOCK_CATALOG);
    writer_release_memory(me);
    return r;
}

/* Takes slot i if it is free, or dead and can be recovered. LARDER_OK and *out; LARDER_E_BUSY and a message: it can be had soon;
 * LARDER_E_NO_SLOT: its owner lives, or it is damaged; or a failure. */
static int claim_or_recover_slot(struct larder *db, uint32_t i, struct writer **out) {
    struct slot_shm *slot = seg_slot(&db->seg, i);
    if (SHM_LOAD(&slot->state) == SLOT_LIVE) {
        uint32_t owner = (uint32_t)SHM_LOAD(&slot->generation);
        if (live_is_held(&db->seg, i) != 0 && SHM_LOAD(&slot->found_dead) != owner)
            return LARDER_E_NO_SLOT;
        int r = recover_slot(db, i);
        if (r)
            return r == LARDER_E_CORRUPT ? LARDER_E_NO_SLOT : r;
    }
    int r = claim_slot(db, i, out);
    if (r == LARDER_E_BUSY)
        err_set(r, "a process, perhaps %d, takes or leaves slot %u", (int)SHM_LOAD_RELAXED(&slot->pid), i);
    return r;
}

/* ---- Waiting for one ----------------------------------------------------------------------------------------------- */

/* Looks at `count` slots themselves, whatever the map says. */
static int claim_looking(struct larder *db, uint32_t from, uint32_t count, uint32_t *at, struct writer **out) {
    const struct seg *s = &db->seg;
    for (uint32_t n = 0; n < count && n < s->slot_count; n++) {
        *at = (from + n) % s->slot_count;
        int r = claim_or_recover_slot(db, *at, out);
        if (r == LARDER_OK)
            slot_map_mark(s, *at);
        if (!is_taken(r))
            return r;
    }
    return LARDER_E_NO_SLOT;
}

/* A dead owner's slot, if it is this thread's turn to look for them. */
static int claim_dead(struct larder *db, uint64_t now_ms, struct writer **out) {
    uint32_t from, at;
    if (!slot_turn_take(&db->seg, now_ms, TURN_SLOTS, &from))
        return LARDER_E_NO_SLOT;
    int r = claim_looking(db, from, TURN_SLOTS, &at, out);
    if (r == LARDER_OK)
        slot_turn_pass(&db->seg, now_ms, at + 1);
    return r;
}

/* Turns that all slots need are over sooner than a usual wait. After a shorter one: all of them, now. */
static int claim_at_last(struct larder *db, uint64_t waited_ms, struct writer **out) {
    uint32_t at;
    if (waited_ms > (uint64_t)(db->seg.slot_count / TURN_SLOTS + 1) * 2 * WAIT_MS)
        return LARDER_E_NO_SLOT;
    return claim_looking(db, 0, LAST_LOOK_SLOTS, &at, out);
}

/* 1 and *slot: it can be had soon, for its owner is known to be dead, or somebody is about to take or to leave it. */
static int is_one_to_come(const struct seg *s, uint32_t *slot) {
    for (*slot = 0; *slot < s->slot_count; ++*slot) {
        const struct slot_shm *at = seg_slot(s, *slot);
        int is_live = SHM_LOAD(&at->state) == SLOT_LIVE;
        if (is_live && SHM_LOAD(&at->found_dead) == (uint32_t)SHM_LOAD(&at->generation))
            return 1;
        if (!is_live && slot_has_nothing_open(at) && slot_holds_no_locks(at))
            return 1;
    }
    return 0;
}

static int compare_pids(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* How many processes the slots name; 0 if it cannot be told. */
static uint32_t count_processes(struct larder *db) {
    uint32_t slots = db->seg.slot_count, count = 0;
    int32_t *pid = priv_alloc(db->priv, slots * sizeof *pid);
    if (!pid)
        return 0;
    for (uint32_t i = 0; i < slots; i++)
        pid[i] = SHM_LOAD_RELAXED(&seg_slot(&db->seg, i)->pid);
    qsort(pid, slots, sizeof *pid, compare_pids);
    for (uint32_t i = 0; i < slots; i++)
        count += i == 0 || pid[i] != pid[i - 1];
    priv_free(db->priv, pid);
    return count;
}

static int refuse(struct larder *db, uint64_t waited_ms) {
    uint32_t slot;
    if (is_one_to_come(&db->seg, &slot))
        return err_set(LARDER_E_BUSY,
                       "no writer slot is free after %llu ms (busy_timeout_ms), though not all have living owners: "
                       "process %d recovers, takes or leaves slot %u",
                       (unsigned long long)waited_ms, (int)SHM_LOAD_RELAXED(&seg_slot(&db->seg, slot)->pid), slot);
    return err_set(LARDER_E_NO_SLOT,
                   "all %u writer slots of the segment are in use by calls under way, or kept by one of its %u live "
                   "processes, since %llu ms (busy_timeout_ms); a segment can be made with up to %u "
                   "(options.slot_count, larder create --slots)",
                   db->seg.slot_count, count_processes(db), (unsigned long long)waited_ms, LARDER_SLOTS_MAX);
}

/* Whether waiting helps: all slots are taken; or this process cannot take one (its user changed, it lacks a descriptor), and
 * another thread will give back one that it has. */
static int is_worth_waiting(const struct larder *db, int result) {
    int is_unable = result == LARDER_E_OS || result == LARDER_E_ACCESS || result == LARDER_E_NO_MEMORY;
    return is_taken(result) || (is_unable && atomic_load_explicit(&db->writer_count, memory_order_relaxed) > 0);
}

static struct writer *take_idle(struct larder *db);

static int claim_once(struct larder *db, uint64_t now_ms, struct writer **out) {
    *out = take_idle(db); /* another thread may have put one back meanwhile */
    int r = *out ? LARDER_OK : claim_free(db, out);
    return is_taken(r) ? claim_dead(db, now_ms, out) : r;
}

/* None was free. Rule M3 of core/memory/slot_map.h: young ones give way while old ones are served, that is, while the bell is rung. */
static int claim_waiting(struct larder *db, uint32_t wait_ms, struct writer **out) {
    const struct seg *s = &db->seg;
    uint64_t start_ms = wait_now_ms(), now_ms = start_ms;
    uint32_t old_ms = wait_ms / 4 < OLD_MS ? wait_ms / 4 : OLD_MS, heard_before = 0;
    for (;; now_ms = wait_now_ms()) {
        int is_old = now_ms - start_ms >= old_ms;
        uint32_t heard = slot_bell_listen(s, is_old);
        int gives_way = !is_old && slot_bell_is_for_old(heard) && heard != heard_before;
        int r = gives_way ? LARDER_E_NO_SLOT : claim_once(db, now_ms, out);
        if (!is_worth_waiting(db, r))
            return r;
        uint64_t waited_ms = wait_now_ms() - start_ms;
        if (waited_ms >= wait_ms && is_taken(r))
            r = claim_at_last(db, waited_ms, out);
        if (waited_ms >= wait_ms)
            return is_taken(r) ? refuse(db, waited_ms) : r;
        uint64_t left_ms = wait_ms - waited_ms;
        slot_bell_sleep(s, heard, is_old, left_ms < WAIT_MS ? (uint32_t)left_ms : WAIT_MS);
        heard_before = heard;
        if ((r = db_check(db)) != LARDER_OK)
            return r;
    }
}

static __attribute__((noinline)) int claim(struct larder *db, uint32_t wait_ms, struct writer **out) {
    int gives_way = slot_bell_is_for_old(SHM_LOAD(&db->seg.shm->slot_bell));
    int r = gives_way ? LARDER_E_NO_SLOT : claim_free(db, out);
    return is_worth_waiting(db, r) ? claim_waiting(db, wait_ms, out) : r;
}

/* ---- The pool ------------------------------------------------------------------------------------------------------ */

static __attribute__((noinline)) struct writer *take_listed(struct larder *db) {
    pthread_mutex_lock(&db->mutex);
    struct writer *w = db->idle;
    if (w) {
        db->idle = w->next;
        db->idle_count--;
    }
    pthread_mutex_unlock(&db->mutex);
    return w;
}

/* A writer of the pool, or NULL. Usually the one that was put back last, which nobody else wants. */
static inline struct writer *take_idle(struct larder *db) {
    struct writer *w = atomic_exchange_explicit(&db->spare, NULL, memory_order_acq_rel);
    return __builtin_expect(w != NULL, 1) ? w : take_listed(db);
}

/* Rule W5. */
static void leave(struct writer *w) {
    struct seg *s = w->seg;
    SHM_STORE(&w->slot->state, SLOT_FREE);
    live_drop(s, w->live);
    slot_map_give(s, w->id);
    writer_release_memory(w);
}

/* 0: it is the last one of a process that could not take another, being another user than it was. */
static int may_leave(struct larder *db) {
    uint32_t count = atomic_load_explicit(&db->writer_count, memory_order_relaxed);
    uint32_t least = geteuid() == db->opened_as ? 0 : 1;
    while (count > least)
        if (atomic_compare_exchange_weak_explicit(&db->writer_count, &count, count - 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return 1;
    return 0;
}

static inline int is_wanted(const struct writer *w) {
    return w->id >= w->db->kept_slots || slot_bell_is_waited_for(w->seg);
}

int writer_is_wanted(const struct writer *w) {
    return is_wanted(w);
}

static __attribute__((noinline)) int put_listed(struct writer *w) {
    struct larder *db = w->db;
    pthread_mutex_lock(&db->mutex);
    int has_room = db->idle_count < POOL_IDLE_MAX - 1;
    if (has_room) {
        w->next = db->idle;
        db->idle = w;
        db->idle_count++;
    }
    pthread_mutex_unlock(&db->mutex);
    return has_room;
}

/* Returns 0 if the pool is full. */
static inline int put_idle(struct writer *w) {
    struct writer *none = NULL;
    /* Release; pairs with the exchange in take_idle(): the next thread sees what this one did with it. */
    if (atomic_compare_exchange_strong_explicit(&w->db->spare, &none, w, memory_order_acq_rel, memory_order_relaxed))
        return 1;
    return put_listed(w);
}

int writer_is_idle(struct larder *db, uint32_t slot) {
    int is_idle = 0;
    pthread_mutex_lock(&db->mutex);
    struct writer *w = atomic_exchange_explicit(&db->spare, NULL, memory_order_acq_rel);
    if (w) { /* whoever looks for it meanwhile waits for the mutex */
        w->next = db->idle;
        db->idle = w;
        db->idle_count++;
    }
    for (w = db->idle; w; w = w->next)
        is_idle |= w->id == slot;
    pthread_mutex_unlock(&db->mutex);
    return is_idle;
}

static inline int borrow(struct larder *db, const uint32_t *wait_ms, struct writer **out) {
    int r = db_check(db);
    if (r)
        return r;
    if (db->seg.is_read_only)
        return err_set(LARDER_E_READ_ONLY, "the segment is attached read-only");
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    struct writer *w = take_idle(db);
    if (__builtin_expect(!w, 0) && (r = claim(db, *wait_ms, &w)) != LARDER_OK) {
        pthread_setcancelstate(cancel_state, NULL);
        return r;
    }
    view_enter(&db->views, &w->use);
    w->next = NULL;
    w->is_stopping = NULL;
    w->cancel_state = cancel_state;
    w->busy_timeout_ms = db->busy_timeout_ms;
    *out = w;
    return LARDER_OK;
}

int writer_borrow(struct larder *db, struct writer **out) {
    return borrow(db, &db->busy_timeout_ms, out);
}

int writer_borrow_within(struct larder *db, uint32_t wait_ms, struct writer **out) {
    return borrow(db, &wait_ms, out);
}

/* The slot was wanted, or the pool is full. */
static __attribute__((noinline)) void give_back(struct writer *w) {
    const struct seg *s = w->seg;
    if (may_leave(w->db))
        leave(w);
    else if (put_idle(w))
        slot_bell_ring(s); /* a thread of this process may wait for it */
}

void writer_return(struct writer *w) {
    int cancel_state = w->cancel_state;
    DEBUG_ASSERT(w->ranks_held == 0 && !w->is_stuck);
    DEBUG_ASSERT(!step_is_open(w, 0) && !step_is_open(w, 1));
    view_leave(&w->use);
    if (__builtin_expect(is_wanted(w), 0) || !put_idle(w))
        give_back(w);
    pthread_setcancelstate(cancel_state, NULL);
}

void writer_abandon(struct writer *w) {
    int cancel_state = w->cancel_state;
    atomic_fetch_sub_explicit(&w->db->writer_count, 1, memory_order_relaxed);
    live_drop(w->seg, w->live);
    writer_release_memory(w);
    pthread_setcancelstate(cancel_state, NULL);
}

void writer_end(struct writer *w) {
    if (w->is_stuck)
        writer_abandon(w);
    else
        writer_return(w);
}

int writer_scratch(struct writer *w, size_t bytes) {
    if (bytes <= w->scratch_bytes)
        return LARDER_OK;
    size_t grown = bytes + bytes / 2;
    void *scratch = priv_realloc(w->db->priv, w->scratch, grown);
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

/* Gives the slots of all idle writers back: at larder_close, when no call is under way. */
void writer_close_all(struct larder *db) {
    struct writer *w;
    while ((w = take_idle(db))) {
        atomic_fetch_sub_explicit(&db->writer_count, 1, memory_order_relaxed);
        leave(w);
    }
}

void writer_forget_all(struct larder *db) {
    struct writer *w = atomic_exchange_explicit(&db->spare, NULL, memory_order_acq_rel);
    if (w)
        writer_release_memory(w);
    while ((w = db->idle)) { /* under the mutex */
        db->idle = w->next;
        writer_release_memory(w); /* its liveness page was not inherited, the slot is the parent's */
    }
    db->idle_count = 0;
    atomic_store_explicit(&db->writer_count, 0, memory_order_relaxed);
}
