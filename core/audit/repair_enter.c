/* core/audit/repair_enter.c - being alone with a damaged segment, and leaving it. Steps 1 and 6 of
 * core/audit/repair.h.
 *
 * Idea     The kernel knows which processes live (core/segment/live.h), whatever the slots say. The
 *          repair takes the liveness lock of every slot that no process holds: so no process can
 *          recover such a slot or begin to use it. The remaining owners are alive, and rule K1 of
 *          core/memory/lock.h says what they may hold: only locks that are noted in their slots. A
 *          word that names any other slot is damage.
 * Waits    For each live slot until it has nothing open, and notes no lock except those that one
 *          may wait for outside everything: catalog, gate, and the expirer's. If that takes too
 *          long, the process is named, and nothing was changed. A process that stands still is not
 *          waited for once the call has lasted as long as one wait for a lock may.
 * Why so   The gate is closed before the slots are looked at, and a writer notes its stripe before
 *          it looks at the gate: either we see the note, or it sees the gate. Claiming memory
 *          passes no gate. It only stores claimed_bytes under the span lock
 *          (core/memory/heap_span.c), which does no harm at any time.
 * Back     Until repair_flush() clears the first lock, only the state, our slot, claimed bytes,
 *          catalog and gate are changed. Their old values are remembered, and stored again if the
 *          repair is given up. Then dead slots' journals are needed again, and with them the locks
 *          that they note. A death in between leaves the segment marked.
 * Tests    tests/crash/repair_beside_test.c, tests/crash/repair_enter_test.c
 */
#include "core/audit/repair.h"
#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/hooks.h"
#include "core/memory/record.h"
#include "core/segment/live.h"
#include "core/segment/stopped.h"
#include "core/table/db.h"
#include <unistd.h>

/* ---- Slots ----------------------------------------------------------------------------------- */

static int is_lived_in(const struct repair *p, uint32_t slot) {
    return slot < p->seg->slot_count && !p->live[slot];
}

static int notes_lock(const struct repair *p, uint32_t slot, uint64_t off) {
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        if (SHM_LOAD(&seg_slot(p->seg, slot)->locks[i]) == off)
            return 1;
    return record_notes_lock(p->seg, seg_slot(p->seg, slot), off);
}

static void zero64(shm_word *word) {
    if (SHM_LOAD(word) != 0)
        SHM_STORE(word, 0);
}

static void zero32(_Atomic uint32_t *word) {
    if (SHM_LOAD(word) != 0)
        SHM_STORE(word, 0);
}

static void clear_slot(struct slot_shm *slot) {
    for (unsigned i = 0; i < SLOT_STEPS; i++)
        zero64(&slot->step[i].word_off);
    for (unsigned i = 0; i < SLOT_HAND; i++)
        zero64(&slot->hand[i]);
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        zero64(&slot->locks[i]);
    zero64(&slot->op_stripe_off);
    zero64(&slot->record_off);
    zero32(&slot->op);
}

void repair_clear_slots(struct repair *p) {
    for (uint32_t i = 0; i < p->seg->slot_count; i++) {
        struct slot_shm *slot = seg_slot(p->seg, i);
        zero64(&slot->map); /* rule M1 of core/memory/slot_map.h */
        if (i == p->w.id)
            continue;
        if (p->live[i]) {
            p->report->slots_cleared +=
                SHM_LOAD(&slot->state) != SLOT_FREE || !slot_has_nothing_open(slot) || !slot_holds_no_locks(slot);
            clear_slot(slot);
            zero32(&slot->state);
        } else if (SHM_LOAD(&slot->state) != SLOT_LIVE)
            SHM_STORE(&slot->state, SLOT_LIVE); /* its process is to be recovered when it dies */
    }
}

/* Takes the liveness lock of every slot that no process lives in. */
static int take_slots(struct repair *p) {
    for (uint32_t i = 0; i < p->seg->slot_count; i++) {
        int r = live_take(p->seg, LIVE_SLOT_BASE + i, &p->live[i]);
        if (r != LARDER_OK && r != LARDER_E_BUSY)
            return r;
        if (r != LARDER_OK)
            p->live[i] = NULL;
    }
    return LARDER_OK;
}

/* Chooses our slot: a free one rather than a dead one. Its contents come back if the repair is
 * given up (take_back). */
static int choose_slot(struct repair *p) {
    uint32_t chosen = p->seg->slot_count;
    for (uint32_t i = p->seg->slot_count; i-- > 0;) {
        const struct slot_shm *slot = seg_slot(p->seg, i);
        int is_free = SHM_LOAD(&slot->state) == SLOT_FREE && slot_has_nothing_open(slot) && slot_holds_no_locks(slot);
        if (p->live[i] && (is_free || chosen == p->seg->slot_count))
            chosen = i;
    }
    if (chosen == p->seg->slot_count)
        return err_set(LARDER_E_NO_SLOT,
                       "all %u writer slots of the segment are in use by live processes; the repair needs one", chosen);
    struct slot_shm *slot = seg_slot(p->seg, chosen);
    p->w = (struct writer){.pool = &p->db->writers,
                           .db = p->db,
                           .seg = p->seg,
                           .slot = slot,
                           .id = chosen,
                           .busy_timeout_ms = p->deadline_ms,
                           .live = p->live[chosen]};
    shm_copy_out(p->slot_before, slot, sizeof *slot);
    clear_slot(slot);
    SHM_STORE(&slot->pid, (int32_t)getpid());
    SHM_STORE(&slot->generation, SHM_LOAD_RELAXED(&slot->generation) + 1);
    SHM_STORE(&slot->started_s, (uint64_t)time(NULL));
    SHM_STORE(&slot->state, SLOT_LIVE);
    return LARDER_OK;
}

/* ---- Locks ----------------------------------------------------------------------------------- */

/* The slot that really may hold the lock, by this word of it: it is lived in and notes the lock.
 * -1: none. A live process may drop the lock and take it again while we look, with the same word: a
 * missing note has to be seen twice. */
static int64_t true_owner(const struct repair *p, const lock_word *lock, uint32_t seen) {
    uint32_t named = seen & ~LOCK_WAITERS;
    if (named == 0 || !is_lived_in(p, named - 1))
        return -1;
    for (int is_second = 0; is_second < 2; is_second++) {
        if (is_second)
            wait_a_moment();
        if (notes_lock(p, named - 1, seg_off(p->seg, lock)))
            return named - 1;
    }
    return -1;
}

/* Whether a slot's process stands still, and was given its time. */
static int is_given_up(const struct repair *p, uint32_t slot) {
    return wait_now_ms() >= p->patience_ms && stopped_is(p->seg, SHM_LOAD_RELAXED(&seg_slot(p->seg, slot)->pid));
}

/* Waits a moment for the process of a slot; 0 at once: no longer. */
static int wait_for_slot(const struct repair *p, uint32_t slot, uint64_t deadline) {
    return !is_given_up(p, slot) && wait_until(deadline);
}

static int held_by(const struct repair *p, const lock_word *lock, uint32_t owner) {
    return err_set(LARDER_E_BUSY, "a %s lock is held by process %d (slot %u); the repair needs it",
                   lock_kind(p->seg, seg_off(p->seg, lock)), SHM_LOAD_RELAXED(&seg_slot(p->seg, owner)->pid), owner);
}

/* Takes a lock that is free, or whose word names no real owner; that word is remembered. */
static int take_by_force(struct repair *p, lock_word *lock, enum lock_rank rank, unsigned place, uint32_t *before) {
    uint64_t deadline = wait_now_ms() + p->deadline_ms;
    SHM_STORE(&p->w.slot->locks[place], seg_off(p->seg, lock));
    for (;;) {
        uint32_t seen = SHM_LOAD(lock);
        int64_t owner = true_owner(p, lock, seen);
        *before = seen;
        if (owner < 0 && SHM_CAS(lock, &seen, (seen & LOCK_WAITERS) | (p->w.id + 1)))
            break;
        if (owner >= 0 && !wait_for_slot(p, (uint32_t)owner, deadline)) {
            SHM_STORE(&p->w.slot->locks[place], 0);
            return held_by(p, lock, (uint32_t)owner);
        }
    }
    p->w.ranks_held |= 1u << rank;
    return LARDER_OK;
}

/* Waits for a live process that holds the lock. */
static int await_lock(struct repair *p, lock_word *lock) {
    uint64_t deadline = wait_now_ms() + p->deadline_ms;
    int64_t owner;
    while ((owner = true_owner(p, lock, SHM_LOAD(lock))) >= 0)
        if (!wait_for_slot(p, (uint32_t)owner, deadline))
            return held_by(p, lock, (uint32_t)owner);
    return LARDER_OK;
}

/* Sets a lock word to 0 if it names no slot that may hold it. */
static int free_lock(struct repair *p, lock_word *lock) {
    uint64_t deadline = wait_now_ms() + p->deadline_ms;
    uint32_t seen;
    while (((seen = SHM_LOAD(lock)) & ~LOCK_WAITERS) != 0) {
        int64_t owner = true_owner(p, lock, seen);
        if (owner < 0) {
            p->has_begun = 1;
            p->report->locks_cleared += SHM_CAS(lock, &seen, 0);
        } else if (!wait_for_slot(p, (uint32_t)owner, deadline))
            return held_by(p, lock, (uint32_t)owner);
    }
    return LARDER_OK;
}

static int is_outer_lock(const struct repair *p, uint64_t off) {
    const struct seg_shm *head = p->seg->shm;
    return off == 0 || off == seg_off(p->seg, &head->catalog_lock) || off == seg_off(p->seg, &head->gate_lock) ||
           off == seg_off(p->seg, &head->expirer_lock);
}

static int is_idle(const struct repair *p, const struct slot_shm *slot) {
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        if (!is_outer_lock(p, SHM_LOAD(&slot->locks[i])))
            return 0;
    return slot_has_nothing_open(slot);
}

int repair_is_held_up(const struct repair *p) {
    for (uint32_t i = 0; i < p->seg->slot_count; i++) {
        const struct slot_shm *slot = seg_slot(p->seg, i);
        if (SHM_LOAD(&slot->state) == SLOT_LIVE && !is_idle(p, slot) &&
            stopped_is(p->seg, SHM_LOAD_RELAXED(&slot->pid)))
            return 1;
    }
    return 0;
}

static int wait_for_live(struct repair *p) {
    uint64_t deadline = wait_now_ms() + p->deadline_ms;
    for (uint32_t i = 0; i < p->seg->slot_count; i++) {
        const struct slot_shm *slot = seg_slot(p->seg, i);
        while (!p->live[i] && !is_idle(p, slot))
            if (!wait_for_slot(p, i, deadline))
                return err_set(LARDER_E_BUSY,
                               "process %d (slot %u) is in the middle of a change, or its slot is damaged; end it to "
                               "repair the segment",
                               SHM_LOAD_RELAXED(&slot->pid), i);
    }
    return LARDER_OK;
}

int repair_must_be_only_one(struct repair *p, const char *why) {
    for (uint32_t i = 0; i < p->seg->slot_count; i++) {
        if (!p->live[i] && !writer_is_idle(&p->db->writers, i))
            return err_set(LARDER_E_BUSY, "%s, which cannot be done while process %d (slot %u) is attached", why,
                           SHM_LOAD_RELAXED(&seg_slot(p->seg, i)->pid), i);
    }
    return LARDER_OK;
}

/* ---- In and out ------------------------------------------------------------------------------ */

int repair_begin(struct repair *p) {
    int r = live_take(p->seg, LIVE_CREATE_BYTE, &p->creation);
    return r == LARDER_E_BUSY ? err_set(r, "another process is repairing or removing the segment") : r;
}

void repair_end(struct repair *p) {
    live_drop(p->seg, p->creation);
}

int repair_enter(struct repair *p) {
    struct seg_shm *head = p->seg->shm;
    p->live = priv_alloc(db_priv(p->db), p->seg->slot_count * sizeof *p->live);
    if (!p->live)
        return LARDER_E_NO_MEMORY;
    p->state_before = SHM_LOAD(&head->state);
    if (p->state_before == SEG_STATE_DESTROYED)
        return err_set(LARDER_E_DESTROYED, "the segment was destroyed; close it and open it again");
    SHM_STORE(&head->state, SEG_STATE_REPAIRING);
    p->is_marked = 1;
    int r = take_slots(p);
    if (r == LARDER_OK)
        r = choose_slot(p);
    if (r == LARDER_OK)
        r = take_by_force(p, &head->catalog_lock, LOCK_CATALOG, 0, &p->catalog_before);
    p->has_catalog = r == LARDER_OK;
    if (r == LARDER_OK)
        r = take_by_force(p, &head->gate_lock, LOCK_GATE, 1, &p->gate_before);
    p->has_gate = r == LARDER_OK && p->has_catalog;
    return r ? r : wait_for_live(p);
}

static int for_stripes(struct repair *p, uint64_t off, int (*fn)(struct repair *p, lock_word *lock)) {
    struct stripe_shm *stripes = off ? seg_at(p->seg, off, p->seg->stripe_count * sizeof *stripes) : NULL;
    int r = LARDER_OK;
    for (uint32_t i = 0; stripes && i < p->seg->stripe_count && r == LARDER_OK; i++)
        r = fn(p, &stripes[i].lock);
    return r;
}

/* Calls fn for every lock but the outer ones. */
static int for_inner_locks(struct repair *p, int (*fn)(struct repair *p, lock_word *lock)) {
    struct seg *s = p->seg;
    int r = LARDER_OK;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++) {
        r = for_stripes(p, p->table[i].items_off, fn);
        if (r == LARDER_OK)
            r = for_stripes(p, p->table[i].partitions_off, fn);
    }
    for (uint32_t i = 0; i < s->shard_count && r == LARDER_OK; i++)
        r = fn(p, (lock_word *)(s->base + s->shards_off + i * sizeof(struct wheel_shard_shm)));
    for (uint32_t i = 0; i < s->arena_count * CLASS_COUNT && r == LARDER_OK; i++)
        r = fn(p, &seg_bin(s, i)->lock);
    return r ? r : fn(p, &s->shm->span_lock);
}

/* Waits until the writers that were let in before the gate was closed have left. */
static int pass_stripe(struct repair *p, lock_word *lock) {
    int r = lock_take(&p->w, lock, LOCK_STRIPE);
    if (r == LARDER_OK)
        lock_drop(&p->w, lock, LOCK_STRIPE);
    return r;
}

int repair_flush(struct repair *p) {
    lock_word *expirer = &p->seg->shm->expirer_lock;
    int r = for_inner_locks(p, await_lock); /* before any word is cleared, all must be clearable */
    if (r == LARDER_OK)
        r = for_inner_locks(p, free_lock);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++)
        r = for_stripes(p, p->table[i].items_off, pass_stripe);
    /* else its holder waits at the gate with it */
    if (r == LARDER_OK && true_owner(p, expirer, SHM_LOAD(expirer)) < 0)
        r = free_lock(p, expirer);
    p->has_begun |= r == LARDER_OK;
    return r;
}

/* Leaves the slot as a death would: with the gate in its name. No process gets past the gate, and
 * none recovers a slot of a marked segment. */
static void stay_closed(struct repair *p) {
    if (SHM_LOAD(&p->seg->shm->state) != SEG_STATE_REPAIRING)
        SHM_STORE(&p->seg->shm->state, SEG_STATE_REPAIRING);
}

static void open_up(struct repair *p) {
    SHM_STORE(&p->seg->shm->state, SEG_STATE_READY);
    if (p->has_gate)
        lock_drop(&p->w, &p->seg->shm->gate_lock, LOCK_GATE);
    if (p->has_catalog)
        lock_drop(&p->w, &p->seg->shm->catalog_lock, LOCK_CATALOG);
    if (p->w.slot)
        SHM_STORE(&p->w.slot->state, SLOT_FREE);
}

/* Whether a dead slot had noted the lock when we came: our own slot may have been that one. */
static int had_noted(const struct repair *p, uint32_t slot, uint64_t off) {
    const uint64_t *locks = p->slot_before + offsetof(struct slot_shm, locks) / sizeof *locks;
    for (unsigned i = 0; slot == p->w.id && i < SLOT_LOCKS; i++)
        if (locks[i] == off)
            return 1;
    return slot != p->w.id && notes_lock(p, slot, off);
}

/* Gives the lock back to the dead slot it was taken from, which needs it for its open step; else
 * drops it. */
static void give_back(struct repair *p, lock_word *lock, enum lock_rank rank, uint32_t before) {
    uint32_t named = before & ~LOCK_WAITERS;
    if (named != 0 && named <= p->seg->slot_count && p->live[named - 1] &&
        had_noted(p, named - 1, seg_off(p->seg, lock)))
        SHM_STORE(lock, named | LOCK_WAITERS); /* waiters may have come */
    else
        lock_drop(&p->w, lock, rank);
}

/* Restores everything. READY comes last: until then a death leaves a marked segment, whose slots no
 * process recovers. */
static void take_back(struct repair *p) {
    if (p->has_gate)
        give_back(p, &p->seg->shm->gate_lock, LOCK_GATE, p->gate_before);
    if (p->has_catalog)
        give_back(p, &p->seg->shm->catalog_lock, LOCK_CATALOG, p->catalog_before);
    if (p->has_claimed && SHM_LOAD(&p->seg->shm->claimed_bytes) != p->claimed_before)
        SHM_STORE(&p->seg->shm->claimed_bytes, p->claimed_before);
    if (p->w.slot)
        shm_copy_in(p->w.slot, p->slot_before, sizeof p->slot_before);
    SHM_STORE(&p->seg->shm->state, SEG_STATE_READY);
}

void repair_leave(struct repair *p, int is_whole) {
    if (p->is_marked) {
        if (is_whole)
            open_up(p);
        else if (!p->has_begun && p->state_before == SEG_STATE_READY)
            take_back(p);
        else
            stay_closed(p);
    }
    for (uint32_t i = 0; p->live && i < p->seg->slot_count; i++)
        if (p->live[i])
            live_drop(p->seg, p->live[i]);
    priv_free(db_priv(p->db), p->live);
}
