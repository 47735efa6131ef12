/* core/memory/recover.c - finishing or undoing what a dead thread was doing, in its name. See
 * recover.h. */
#include "core/memory/recover.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/memory/slot_map.h"
#include "core/segment/live.h"
#include <unistd.h>

#define HELD_MAX SLOT_LOCKS
/* A recovery that another one waits for is of a lock of a higher rank. Only a damaged segment makes
 * a deeper chain. */
#define RECOVERY_DEPTH_MAX ((int)LOCK_SPAN + 1)

/* The i-th lock that the slot notes, and its rank. NULL: it names none that the slot holds. */
static lock_word *held_lock(const struct writer *dead, unsigned i, enum lock_rank *rank) {
    uint64_t off = SHM_LOAD(&dead->slot->locks[i]);
    if (off == 0)
        return NULL;
    lock_word *lock = seg_word(dead->seg, off);
    if (!lock || !lock_is_mine(dead, lock) || !lock_rank_of(dead->seg, off, rank))
        return NULL;
    return lock;
}

/* Notes what the slot holds. A lock that it was about to take, or had dropped, is forgotten here:
 * else every death would cost one of the slot's places for locks. */
static void note_ranks(struct writer *dead) {
    enum lock_rank rank;
    for (unsigned i = 0; i < HELD_MAX; i++)
        if (held_lock(dead, i, &rank)) {
            dead->ranks_held |= 1u << rank;
            dead->stripes_held += rank == LOCK_STRIPE;
        } else if (SHM_LOAD(&dead->slot->locks[i]) != 0)
            SHM_STORE(&dead->slot->locks[i], 0);
}

/* Calls fn for every lock of this rank that the slot holds. */
static int for_held(struct writer *dead, enum lock_rank wanted, int (*fn)(struct writer *dead, lock_word *lock)) {
    enum lock_rank rank;
    for (unsigned i = 0; i < HELD_MAX; i++) {
        lock_word *lock = held_lock(dead, i, &rank);
        int r = lock && rank == wanted ? fn(dead, lock) : LARDER_OK;
        if (r)
            return r;
    }
    return LARDER_OK;
}

static int settle_partition(struct writer *dead, lock_word *lock) {
    struct stripe_shm *stripe = (struct stripe_shm *)((unsigned char *)lock - offsetof(struct stripe_shm, lock));
    int r = core_hooks->index_recover_stripe(dead, stripe);
    if (r == LARDER_OK)
        lock_drop(dead, lock, LOCK_PARTITION);
    return r;
}

static int stage_heap(struct writer *dead) {
    int r = for_held(dead, LOCK_SPAN, heap_recover_lock);
    return r ? r : for_held(dead, LOCK_BIN, heap_recover_lock);
}

static int stage_inner(struct writer *dead) {
    int r = step_settle(dead, 1);
    if (r)
        return r;
    r = for_held(dead, LOCK_SHARD, core_hooks->timer_recover_shard);
    return r ? r : for_held(dead, LOCK_PARTITION, settle_partition);
}

static int drop_any(struct writer *dead, lock_word *lock) {
    enum lock_rank rank;
    if (lock_rank_of(dead->seg, seg_off(dead->seg, lock), &rank))
        lock_drop(dead, lock, rank);
    return LARDER_OK;
}

int recover_drop_held(struct writer *dead, enum lock_rank rank) {
    return for_held(dead, rank, drop_any);
}

static int stage_outer(struct writer *dead) {
    SHM_NOT_YET(free_before_finish, SHM_STORE(&dead->slot->state, SLOT_FREE));
    int r = core_hooks->finish_operation(dead);
    if (r)
        return r;
    /* While its locks are held: after a recovery that is cut off here only these are left. */
    SHM_STORE(&dead->slot->op, OP_NONE);
    for (enum lock_rank rank = LOCK_STRIPE; rank-- > 0;) {
        r = recover_drop_held(dead, rank);
        if (r)
            return r;
    }
    SHM_STORE(&dead->slot->recoveries, SHM_LOAD_RELAXED(&dead->slot->recoveries) + 1);
    SHM_STORE(&dead->slot->state, SLOT_FREE);
    return LARDER_OK;
}

/* Finishing an operation on a definition takes stripes, one after the other. A transaction that
 * waits for a stripe may hold some. */
static int is_in_way(struct writer *me, const struct slot_shm *slot, enum lock_rank rank) {
    me->is_in_way = rank == LOCK_STRIPE && me->stripes_held != 0 && SHM_LOAD(&slot->op) > OP_ITEM;
    return me->is_in_way;
}

static int run_stages(struct writer *dead, enum lock_rank rank) {
    /* rule M2 of core/audit/repair.h */
    if (SHM_LOAD(&dead->seg->shm->state) == SEG_STATE_REPAIRING)
        return err_set(LARDER_E_BUSY, "the segment is being repaired");
    note_ranks(dead);
    int r = stage_heap(dead);
    if (r || rank >= LOCK_BIN)
        return r;
    r = stage_inner(dead);
    if (r || rank > LOCK_STRIPE)
        return r;
    return stage_outer(dead);
}

/* Before its liveness lock looks like a living owner's again (W3 of core/memory/writer.h). An owner
 * takes that lock before its generation can be read (core/memory/slot_take.c). So an owner whose
 * lock is free is dead or has left. This says nothing of the slot's next owner, whatever comes
 * between. */
static void say_dead(const struct seg *s, uint32_t id) {
    struct slot_shm *slot = seg_slot(s, id);
    uint32_t owner = (uint32_t)SHM_LOAD(&slot->generation);
    if (SHM_LOAD(&slot->state) == SLOT_LIVE && SHM_LOAD(&slot->found_dead) != owner && live_is_held(s, id) == 0)
        SHM_STORE(&slot->found_dead, owner);
}

int recover_for_lock(struct writer *me, uint32_t id, enum lock_rank rank) {
    void *live;
    struct slot_shm *slot = seg_slot(me->seg, id);
    if (me->is_recovery >= RECOVERY_DEPTH_MAX)
        return err_set(LARDER_E_CORRUPT, "dead slots wait for each other: slot %u for slot %u", me->id, id);
    say_dead(me->seg, id);
    int r = live_take(me->seg, LIVE_SLOT_BASE + id, &live);
    if (r == LARDER_E_BUSY)
        return err_set(r, "process %d (slot %u) is recovering it", (int)SHM_LOAD_RELAXED(&slot->pid), id);
    if (r)
        return r;
    if (is_in_way(me, slot, rank))
        r = err_set(LARDER_E_BUSY, "it was changing a table");
    else if (SHM_LOAD(&slot->state) == SLOT_LIVE) {
        /* A process that has to wait for the slot meanwhile waits for this one. */
        int32_t dead_pid = SHM_LOAD_RELAXED(&slot->pid);
        SHM_STORE(&slot->pid, (int32_t)getpid());
        struct writer dead = {.pool = me->pool,
                              .db = me->db,
                              .seg = me->seg,
                              .slot = slot,
                              .id = id,
                              .busy_timeout_ms = me->busy_timeout_ms ? me->busy_timeout_ms : LOCK_NO_WAIT_INNER_MS,
                              .is_recovery = me->is_recovery + 1,
                              .live = live};
        r = run_stages(&dead, rank);
        if (SHM_LOAD_RELAXED(&slot->state) == SLOT_LIVE)
            SHM_STORE(&slot->pid, dead_pid);
    }
    int is_free = SHM_LOAD(&slot->state) == SLOT_FREE;
    live_drop(me->seg, live);
    if (is_free)
        slot_map_give(me->seg, id);
    return r;
}

/* A free slot that the map calls taken, and no thread is about to take: a death left its bit
 * (core/memory/slot_map.h). */
static void mend_map(const struct seg *s, uint32_t id) {
    if (SHM_LOAD(&seg_slot(s, id)->state) == SLOT_FREE && slot_map_is_taken(s, id) && live_is_held(s, id) == 0)
        slot_map_give(s, id);
}

int recover_some(struct writer *me, uint32_t *from, uint32_t probes, uint32_t *count) {
    const struct seg *s = me->seg;
    int result = LARDER_OK;
    *count = 0;
    for (uint32_t looked = 0; looked < s->slot_count && probes > 0; looked++) {
        uint32_t i = *from % s->slot_count;
        *from = i + 1;
        mend_map(s, i);
        if (i == me->id || SHM_LOAD(&seg_slot(s, i)->state) != SLOT_LIVE)
            continue;
        probes--;
        if (live_is_held(s, i) != 0)
            continue;
        int r = recover_for_lock(me, i, LOCK_CATALOG);
        if (r == LARDER_OK)
            ++*count;
        else if (result != LARDER_E_CORRUPT) /* waiting does not help against that one */
            result = r;
    }
    return result;
}

int recover_all(struct writer *me, uint32_t *count) {
    uint32_t from = 0;
    return recover_some(me, &from, UINT32_MAX, count);
}
