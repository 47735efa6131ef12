/* core/memory/slot_map.c - see core/memory/slot_map.h. */
#include "core/memory/slot_map.h"
#include "core/base/wait.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAP_BITS 64u
#define BELL_WAITED_FOR 1u
#define BELL_FOR_OLD 2u
#define BELL_RUNG 4u
#define TURN_MS 5u /* between two turns */

/* ---- The map --------------------------------------------------------------------------------- */

static shm_word *map_of(const struct seg *s, uint32_t slot) {
    return &seg_slot(s, slot / MAP_BITS)->map;
}

static uint64_t bit_of(uint32_t slot) {
    return UINT64_C(1) << slot % MAP_BITS;
}

uint32_t slot_map_take(const struct seg *s, uint32_t from) {
    uint32_t slot = from;
    while (slot < s->slot_count) {
        shm_word *map = map_of(s, slot);
        uint64_t seen = SHM_LOAD(map), free = ~seen & ~(bit_of(slot) - 1);
        uint32_t group = slot / MAP_BITS * MAP_BITS;
        if (free == 0) {
            slot = group + MAP_BITS;
            continue;
        }
        slot = group + (uint32_t)__builtin_ctzll(free);
        if (slot < s->slot_count && SHM_CAS(map, &seen, seen | bit_of(slot)))
            return slot;
    }
    return s->slot_count;
}

int slot_map_is_taken(const struct seg *s, uint32_t slot) {
    return (SHM_LOAD(map_of(s, slot)) & bit_of(slot)) != 0;
}

static void set_bit(const struct seg *s, uint32_t slot, int is_taken) {
    shm_word *map = map_of(s, slot);
    uint64_t seen = SHM_LOAD(map);
    while (((seen & bit_of(slot)) != 0) != is_taken && !SHM_CAS(map, &seen, seen ^ bit_of(slot)))
        ;
}

void slot_map_mark(const struct seg *s, uint32_t slot) {
    set_bit(s, slot, 1);
}

void slot_map_give(const struct seg *s, uint32_t slot) {
    set_bit(s, slot, 0);
    slot_bell_ring(s);
}

/* ---- The bell -------------------------------------------------------------------------------- */

uint32_t slot_bell_listen(const struct seg *s, int is_old) {
    _Atomic uint32_t *bell = &s->shm->slot_bell;
    uint32_t seen = SHM_LOAD(bell), says = is_old ? BELL_WAITED_FOR | BELL_FOR_OLD : BELL_WAITED_FOR;
    while ((seen & says) != says && !SHM_CAS(bell, &seen, seen | says))
        ;
    return seen | says;
}

/* Not FUTEX_PRIVATE: other processes ring. Errors are a reason to look again, nothing else. */
void slot_bell_sleep(const struct seg *s, uint32_t heard, int is_old, uint32_t ms) {
    struct timespec until = wait_timespec(wait_now_ns() + ms * UINT64_C(1000000));
    syscall(SYS_futex, &s->shm->slot_bell, FUTEX_WAIT_BITSET, heard, &until, NULL,
            is_old ? BELL_WAITED_FOR | BELL_FOR_OLD : BELL_WAITED_FOR);
}

static int wake_one(_Atomic uint32_t *bell, uint32_t who) {
    return syscall(SYS_futex, bell, FUTEX_WAKE_BITSET, 1, NULL, NULL, who) > 0;
}

/* If others sleep, too, the one that wakes says again that it waits, before it looks for a slot.
 * The mark of those that have waited long stays until none of them sleeps. */
void slot_bell_ring(const struct seg *s) {
    _Atomic uint32_t *bell = &s->shm->slot_bell;
    uint32_t seen = SHM_LOAD(bell);
    while (seen & BELL_FOR_OLD)
        if (SHM_CAS(bell, &seen, seen + BELL_RUNG)) {
            if (wake_one(bell, BELL_FOR_OLD))
                return;
            seen += BELL_RUNG;
            break;
        }
    while (seen & (BELL_WAITED_FOR | BELL_FOR_OLD))
        if (SHM_CAS(bell, &seen, (seen & ~(BELL_WAITED_FOR | BELL_FOR_OLD)) + BELL_RUNG)) {
            wake_one(bell, BELL_WAITED_FOR);
            return;
        }
}

/* ---- Turns ----------------------------------------------------------------------------------- */

int slot_turn_take(const struct seg *s, uint64_t now_ms, uint32_t count, uint32_t *from) {
    uint64_t seen = SHM_LOAD(&s->shm->slot_turn);
    uint32_t at = (uint32_t)seen % s->slot_count;
    if ((uint32_t)now_ms - (uint32_t)(seen >> 32) < TURN_MS)
        return 0;
    uint32_t next = (uint32_t)(((uint64_t)at + count) % s->slot_count);
    if (!SHM_CAS(&s->shm->slot_turn, &seen, now_ms << 32 | next))
        return 0;
    *from = at;
    return 1;
}

void slot_turn_pass(const struct seg *s, uint64_t now_ms, uint32_t from) {
    SHM_STORE(&s->shm->slot_turn, (now_ms - TURN_MS) << 32 | from % s->slot_count);
    slot_bell_ring(s);
}
