/* core/audit/check_slots.c - the audit of lock words and slots. Both change while they are looked
 * at: see check.h, rule C3.
 *
 * Tests    tests/api/check_damage_test.c
 */
#include "core/audit/check.h"
#include "core/memory/heap.h"
#include "core/memory/record.h"
#include "core/table/db.h"

#define LOOKS 100u

static int is_noted(const struct check_state *c, int slot, uint64_t off) {
    if ((uint32_t)slot >= c->seg->slot_count)
        return 0;
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        if (SHM_LOAD(&seg_slot(c->seg, (uint32_t)slot)->locks[i]) == off)
            return 1;
    return record_notes_lock(c->seg, seg_slot(c->seg, (uint32_t)slot), off);
}

/* An owner may take and drop the lock between two loads: hence several looks. */
int check_lock(struct check_state *c, const lock_word *lock) {
    uint64_t off = seg_off(c->seg, lock);
    int owner = -1;
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        owner = lock_owner(lock);
        if (owner < 0 || is_noted(c, owner, off))
            return 1;
    }
    check_error(c, "a %s lock at %llu names slot %d, which does not hold it (K1)", lock_kind(c->seg, off),
                (unsigned long long)off, owner);
    return 0;
}

/* Whether a free slot has something open. A slot that is taken meanwhile is looked at again. */
static int is_free_and_open(const struct slot_shm *slot) {
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        uint64_t generation = SHM_LOAD(&slot->generation);
        if (SHM_LOAD(&slot->state) != SLOT_FREE || slot_has_nothing_open(slot))
            return 0;
        if (SHM_LOAD(&slot->state) == SLOT_FREE && SHM_LOAD(&slot->generation) == generation)
            return 1;
    }
    return 0;
}

void check_slots(struct check_state *c) {
    for (uint32_t i = 0; i < c->seg->slot_count; i++)
        if (is_free_and_open(seg_slot(c->seg, i)))
            check_error(c, "slot %u is free and has something open", i);
}

/* A number that changes whenever a process writes: for looks without locks. */
uint64_t check_activity(const struct check_state *c) {
    uint64_t sum = SHM_LOAD(&c->seg->shm->claimed_bytes);
    for (uint32_t i = 0; i < c->seg->slot_count; i++) {
        const struct slot_shm *slot = seg_slot(c->seg, i);
        sum += SHM_LOAD(&slot->generation) + SHM_LOAD(&slot->puts) + SHM_LOAD(&slot->deletes) +
               SHM_LOAD(&slot->expired) + SHM_LOAD(&slot->recoveries) + SHM_LOAD(&slot->lock_since_ns) +
               SHM_LOAD(&slot->op);
        for (unsigned k = 0; k < SLOT_LOCKS; k++)
            sum += SHM_LOAD(&slot->locks[k]);
    }
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        sum += SHM_LOAD(&seg_table(c->seg, i)->life);
    return sum;
}
