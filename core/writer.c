/* core/writer.c - taking, keeping and giving up slots. See writer.h.
 *
 * Crash    A slot is taken under its liveness lock: fields first, then state = LIVE. Dead before: the slot is free. Dead after: it
 *          is a dead slot with nothing to recover.
 */
#include "core/db.h"
#include "core/debug.h"
#include "core/err.h"
#include "core/live.h"
#include "core/recover.h"
#include "core/wait.h"
#include <pthread.h>
#include <time.h>
#include <unistd.h>

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
    return w;
}

static void writer_release_memory(struct writer *w) {
    struct priv *p = w->db->priv;
    priv_free(p, w->scratch);
    priv_free(p, w->before);
    priv_free(p, w);
}

/* Takes slot i if it is free. LARDER_OK and *out; LARDER_E_NO_SLOT: it is not; LARDER_BUSY: it is, but somebody is about to take it
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
    *out = w;
    return LARDER_OK;
}

static int is_taken(int result) {
    return result == LARDER_BUSY || result == LARDER_E_NO_SLOT;
}

static int claim_any(struct larder *db, struct writer **out) {
    for (uint32_t i = 0; i < db->seg.slot_count; i++) {
        int r = claim_slot(db, i, out);
        if (!is_taken(r))
            return r;
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

/* Takes slot i if it is free, or dead and can be recovered. LARDER_OK and *out; LARDER_BUSY and a message: it can be had soon;
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
    if (r == LARDER_BUSY)
        err_set(r, "a process, perhaps %d, takes or leaves slot %u", (int)SHM_LOAD_RELAXED(&slot->pid), i);
    return r;
}

/* How many owners the slots have had. While it stays the same, no slot gets an owner. */
static uint64_t count_owners(const struct larder *db) {
    uint64_t owners = 0;
    for (uint32_t i = 0; i < db->seg.slot_count; i++)
        owners += SHM_LOAD(&seg_slot(&db->seg, i)->generation);
    return owners;
}

/* One look at all slots. LARDER_OK and *out; LARDER_BUSY and a message: one can be had soon; LARDER_E_NO_SLOT: there was a moment
 * when all had living owners; or a failure. If a slot gets an owner while we look, another one may have been free all the time. */
static int claim_or_recover_any(struct larder *db, struct writer **out) {
    uint64_t owners = count_owners(db);
    int result = LARDER_E_NO_SLOT;
    for (uint32_t i = 0; i < db->seg.slot_count; i++) {
        int r = claim_or_recover_slot(db, i, out);
        if (!is_taken(r))
            return r;
        if (r == LARDER_BUSY)
            result = r;
    }
    if (result == LARDER_E_NO_SLOT && count_owners(db) != owners)
        result = err_set(LARDER_BUSY, "others took those that became free");
    return result;
}

/* No slot was free. Dead ones will be, once they are recovered, by us or by others; who comes upon them meanwhile waits. */
static int claim_recovered(struct larder *db, struct writer **out) {
    uint64_t deadline_ms = wait_now_ms() + db->busy_timeout_ms;
    int r;
    while ((r = claim_or_recover_any(db, out)) == LARDER_BUSY)
        if (!wait_until(deadline_ms))
            return err_set(r, "no writer slot is free, though not all have living owners: %s", larder_error());
    if (r == LARDER_E_NO_SLOT)
        err_set(r, "all %u writer slots of the segment are taken by live threads", db->seg.slot_count);
    return r;
}

/* A writer of the pool, or NULL. Usually the one that was put back last, which nobody else wants. */
static struct writer *take_idle(struct larder *db) {
    struct writer *w = atomic_exchange_explicit(&db->spare, NULL, memory_order_acq_rel);
    if (w)
        return w;
    pthread_mutex_lock(&db->mutex);
    w = db->idle;
    if (w)
        db->idle = w->next;
    pthread_mutex_unlock(&db->mutex);
    return w;
}

static void put_idle(struct writer *w) {
    struct larder *db = w->db;
    struct writer *none = NULL;
    /* Release; pairs with the exchange in take_idle(): the next thread sees what this one did with it. */
    if (atomic_compare_exchange_strong_explicit(&db->spare, &none, w, memory_order_acq_rel, memory_order_relaxed))
        return;
    pthread_mutex_lock(&db->mutex);
    w->next = db->idle;
    db->idle = w;
    pthread_mutex_unlock(&db->mutex);
}

int writer_is_idle(struct larder *db, uint32_t slot) {
    int is_idle = 0;
    pthread_mutex_lock(&db->mutex);
    struct writer *w = atomic_exchange_explicit(&db->spare, NULL, memory_order_acq_rel);
    if (w) { /* whoever looks for it meanwhile waits for the mutex */
        w->next = db->idle;
        db->idle = w;
    }
    for (w = db->idle; w; w = w->next)
        is_idle |= w->id == slot;
    pthread_mutex_unlock(&db->mutex);
    return is_idle;
}

int writer_borrow(struct larder *db, struct writer **out) {
    int r = db_check(db);
    if (r)
        return r;
    if (db->seg.is_read_only)
        return err_set(LARDER_E_READ_ONLY, "the segment is attached read-only");
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    struct writer *w = take_idle(db);
    if (!w) {
        r = claim_any(db, &w);
        if (r == LARDER_E_NO_SLOT)
            r = claim_recovered(db, &w);
        if (r || !w) {
            pthread_setcancelstate(cancel_state, NULL);
            return r ? r : LARDER_E_NO_SLOT;
        }
    }
    w->next = NULL;
    w->is_stopping = NULL;
    w->cancel_state = cancel_state;
    w->busy_timeout_ms = db->busy_timeout_ms;
    *out = w;
    return LARDER_OK;
}

void writer_return(struct writer *w) {
    int cancel_state = w->cancel_state;
    DEBUG_ASSERT(w->ranks_held == 0 && !w->is_stuck);
    DEBUG_ASSERT(!step_is_open(w, 0) && !step_is_open(w, 1));
    put_idle(w);
    pthread_setcancelstate(cancel_state, NULL);
}

void writer_abandon(struct writer *w) {
    int cancel_state = w->cancel_state;
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
        SHM_STORE(&w->slot->state, SLOT_FREE);
        live_drop(w->seg, w->live);
        writer_release_memory(w);
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
}
