/* core/memory/slot_take.c - taking a slot: a free one, a dead owner's, or after a wait. See
 * slot_take.h.
 *
 * Crash    A slot is taken under its liveness lock: its bit in the map, fields, then state = LIVE.
 *          Dead before: the slot is free. Dead after: it is a dead slot with nothing to recover.
 * Tests    tests/unit/memory/slot_test.c, tests/unit/memory/slot_wait_test.c
 */
#include "core/memory/slot_take.h"
#include "core/base/err.h"
#include "core/base/priv.h"
#include "core/base/wait.h"
#include "core/memory/recover.h"
#include "core/memory/slot_map.h"
#include "core/segment/live.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 5u            /* a waiter's sleep: how late it notices what no bell tells */
#define OLD_MS 100u           /* a waiter that has waited this long comes first */
#define TURN_SLOTS 64u        /* looked at for dead owners in one turn */
#define LAST_LOOK_SLOTS 1024u /* looked at in the end, after a wait that was too short for turns */

/* Takes slot i if it is free. LARDER_OK and *out; LARDER_E_NO_SLOT: it is not; LARDER_E_BUSY: it
 * is, but another thread is about to take it or has not quite left it; or a failure. */
static int take_if_free(struct writer_pool *pool, uint32_t i, struct writer **out) {
    struct slot_shm *slot = seg_slot(pool->seg, i);
    void *live;
    if (SHM_LOAD(&slot->state) != SLOT_FREE)
        return LARDER_E_NO_SLOT;
    int r = live_take(pool->seg, LIVE_SLOT_BASE + i, &live);
    if (r)
        return r;
    /* An owner that took it meanwhile may have died: a dead slot, not a free one. A free slot with
     * something open is damaged: its writer would give back blocks that are not its own. */
    if (SHM_LOAD(&slot->state) != SLOT_FREE || !slot_has_nothing_open(slot) || !slot_holds_no_locks(slot)) {
        live_drop(pool->seg, live);
        return LARDER_E_NO_SLOT;
    }
    struct writer *w = writer_new(pool, i, live);
    if (!w) {
        live_drop(pool->seg, live);
        return LARDER_E_NO_MEMORY;
    }
    SHM_STORE(&slot->pid, (int32_t)getpid());
    SHM_STORE(&slot->generation, SHM_LOAD_RELAXED(&slot->generation) + 1);
    SHM_STORE(&slot->started_s, (uint64_t)time(NULL));
    SHM_STORE(&slot->state, SLOT_LIVE);
    atomic_fetch_add_explicit(&pool->writer_count, 1, memory_order_relaxed);
    *out = w;
    return LARDER_OK;
}

static int is_taken(int result) {
    return result == LARDER_E_BUSY || result == LARDER_E_NO_SLOT;
}

/* Takes the first slot that is free by the map. */
static int take_free(struct writer_pool *pool, struct writer **out) {
    const struct seg *s = pool->seg;
    for (uint32_t i = slot_map_take(s, 0); i < s->slot_count; i = slot_map_take(s, i + 1)) {
        int r = take_if_free(pool, i, out);
        if (r == LARDER_OK)
            return r;
        if (!is_taken(r)) {
            slot_map_give(s, i);
            return r;
        } /* else another thread has it, unknown to the map: now the map knows */
    }
    return LARDER_E_NO_SLOT;
}

static int recover_slot(struct writer_pool *pool, uint32_t i) {
    struct writer *me = writer_new(pool, i, NULL); /* only lends its settings to the recovery */
    if (!me)
        return LARDER_E_NO_MEMORY;
    int r = recover_for_lock(me, i, LOCK_CATALOG);
    writer_free(me);
    return r;
}

/* Takes slot i if it is free, or dead and can be recovered. LARDER_OK and *out; LARDER_E_BUSY with
 * a message: it can be had soon; LARDER_E_NO_SLOT: its owner lives, or it is damaged; or a
 * failure. */
static int take_or_recover(struct writer_pool *pool, uint32_t i, struct writer **out) {
    struct slot_shm *slot = seg_slot(pool->seg, i);
    if (SHM_LOAD(&slot->state) == SLOT_LIVE) {
        uint32_t owner = (uint32_t)SHM_LOAD(&slot->generation);
        if (live_is_held(pool->seg, i) != 0 && SHM_LOAD(&slot->found_dead) != owner)
            return LARDER_E_NO_SLOT;
        int r = recover_slot(pool, i);
        if (r)
            return r == LARDER_E_CORRUPT ? LARDER_E_NO_SLOT : r;
    }
    int r = take_if_free(pool, i, out);
    if (r == LARDER_E_BUSY)
        err_set(r, "slot %u is being taken or left, perhaps by process %d", i, (int)SHM_LOAD_RELAXED(&slot->pid));
    return r;
}

/* ---- Waiting for one ------------------------------------------------------------------------- */

/* Looks at `count` slots themselves, whatever the map says. */
static int take_looking(struct writer_pool *pool, uint32_t from, uint32_t count, uint32_t *at, struct writer **out) {
    const struct seg *s = pool->seg;
    for (uint32_t n = 0; n < count && n < s->slot_count; n++) {
        *at = (from + n) % s->slot_count;
        int r = take_or_recover(pool, *at, out);
        if (r == LARDER_OK)
            slot_map_mark(s, *at);
        if (!is_taken(r))
            return r;
    }
    return LARDER_E_NO_SLOT;
}

/* A dead owner's slot, if it is this thread's turn to look for them. */
static int take_dead(struct writer_pool *pool, uint64_t now_ms, struct writer **out) {
    uint32_t from, at;
    if (!slot_turn_take(pool->seg, now_ms, TURN_SLOTS, &from))
        return LARDER_E_NO_SLOT;
    int r = take_looking(pool, from, TURN_SLOTS, &at, out);
    if (r == LARDER_OK)
        slot_turn_pass(pool->seg, now_ms, at + 1);
    return r;
}

/* The turns for all slots are over sooner than a usual wait. After a shorter wait this looks at all
 * of them now. */
static int take_at_last(struct writer_pool *pool, uint64_t waited_ms, struct writer **out) {
    uint32_t at;
    if (waited_ms > (uint64_t)(pool->seg->slot_count / TURN_SLOTS + 1) * 2 * WAIT_MS)
        return LARDER_E_NO_SLOT;
    return take_looking(pool, 0, LAST_LOOK_SLOTS, &at, out);
}

/* 1 and *slot: it can be had soon, for its owner is known to be dead, or another thread is about to
 * take or to leave it. */
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

/* How many processes the slots name; 0: it cannot be told. */
static uint32_t count_processes(struct writer_pool *pool) {
    uint32_t slots = pool->seg->slot_count, count = 0;
    int32_t *pid = priv_alloc(pool->priv, slots * sizeof *pid);
    if (!pid)
        return 0;
    for (uint32_t i = 0; i < slots; i++)
        pid[i] = SHM_LOAD_RELAXED(&seg_slot(pool->seg, i)->pid);
    qsort(pid, slots, sizeof *pid, compare_pids);
    for (uint32_t i = 0; i < slots; i++)
        count += i == 0 || pid[i] != pid[i - 1];
    priv_free(pool->priv, pid);
    return count;
}

static int refuse(struct writer_pool *pool, uint64_t waited_ms) {
    uint32_t slot;
    if (is_one_to_come(pool->seg, &slot))
        return err_set(LARDER_E_BUSY,
                       "no writer slot is free after %llu ms (busy_timeout_ms), though not all owners are alive: "
                       "process %d is recovering, taking or leaving slot %u",
                       (unsigned long long)waited_ms, (int)SHM_LOAD_RELAXED(&seg_slot(pool->seg, slot)->pid), slot);
    return err_set(LARDER_E_NO_SLOT,
                   "all %u writer slots of the segment are in use by calls under way, or kept by one of its %u live "
                   "processes, after %llu ms (busy_timeout_ms); create the segment with more, up to %u "
                   "(options.slot_count, larder create --slots)",
                   pool->seg->slot_count, count_processes(pool), (unsigned long long)waited_ms, LARDER_SLOTS_MAX);
}

/* Whether waiting helps: all slots are taken; or this process cannot take one (its user changed, it
 * lacks a descriptor), and another of its threads will give one back. */
static int is_worth_waiting(const struct writer_pool *pool, int result) {
    int is_unable = result == LARDER_E_OS || result == LARDER_E_ACCESS || result == LARDER_E_NO_MEMORY;
    return is_taken(result) || (is_unable && atomic_load_explicit(&pool->writer_count, memory_order_relaxed) > 0);
}

static int take_once(struct writer_pool *pool, uint64_t now_ms, struct writer **out) {
    *out = writer_take_idle(pool); /* another thread may have put one back */
    int r = *out ? LARDER_OK : take_free(pool, out);
    return is_taken(r) ? take_dead(pool, now_ms, out) : r;
}

/* No slot was free. Rule M3 of core/memory/slot_map.h: young waiters give way while old ones are
 * served, that is, while the bell is rung. */
static int take_waiting(struct writer_pool *pool, uint32_t wait_ms, struct writer **out) {
    const struct seg *s = pool->seg;
    uint64_t start_ms = wait_now_ms(), now_ms = start_ms;
    uint32_t old_ms = wait_ms / 4 < OLD_MS ? wait_ms / 4 : OLD_MS, heard_before = 0;
    for (;; now_ms = wait_now_ms()) {
        int is_old = now_ms - start_ms >= old_ms;
        uint32_t heard = slot_bell_listen(s, is_old);
        int gives_way = !is_old && slot_bell_is_for_old(heard) && heard != heard_before;
        int r = gives_way ? LARDER_E_NO_SLOT : take_once(pool, now_ms, out);
        if (!is_worth_waiting(pool, r))
            return r;
        uint64_t waited_ms = wait_now_ms() - start_ms;
        if (waited_ms >= wait_ms && is_taken(r))
            r = take_at_last(pool, waited_ms, out);
        if (waited_ms >= wait_ms)
            return is_taken(r) ? refuse(pool, waited_ms) : r;
        uint64_t left_ms = wait_ms - waited_ms;
        slot_bell_sleep(s, heard, is_old, left_ms < WAIT_MS ? (uint32_t)left_ms : WAIT_MS);
        heard_before = heard;
        if ((r = pool->check(pool->db)) != LARDER_OK)
            return r;
    }
}

int slot_take(struct writer_pool *pool, uint32_t wait_ms, struct writer **out) {
    int gives_way = slot_bell_is_for_old(SHM_LOAD(&pool->seg->shm->slot_bell));
    int r = gives_way ? LARDER_E_NO_SLOT : take_free(pool, out);
    return is_worth_waiting(pool, r) ? take_waiting(pool, wait_ms, out) : r;
}
