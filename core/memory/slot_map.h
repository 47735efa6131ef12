/* core/memory/slot_map.h - finding a free slot among thousands, and waiting for one.
 *
 * Job      A bit per slot finds the first free one without a look at each. A bell wakes the threads
 *          that wait for one.
 * Picture  bit i % 64 of slot[i / 64].map   1: slot i is taken, or about to be; 0: unknown, look
 *          seg_shm.slot_bell                times it was rung * 4, + 1 if a thread waits,
 *                                           + 2 if one has waited long
 *          seg_shm.slot_turn                ms of the last look for dead owners << 32 | next slot
 * Rules    M1 All of these are hints. A slot is free if its state says so and its liveness lock can
 *             be had (core/memory/slot_take.c). A 0 is right everywhere, at any time: then the
 *             slots themselves are looked at.
 *          M2 A slot's bit is set before its liveness lock is taken, and cleared after that lock
 *             was dropped. So threads that look for a free slot try different ones.
 *          M3 Usually a thread that comes may overtake one that was woken: that costs least. When a
 *             thread has waited long, only such threads are woken and take slots until none is
 *             left, as with Go's mutex: no thread starves.
 * Crash    Dead between bit and state: a free slot with its bit set, which the map does not find. A
 *          waiter finds it by its state, and recover_some() clears the bit. A waiter that dies
 *          leaves its mark in the bell; the next slot that is given back clears it.
 * Tests    tests/unit/memory/slot_map_test.c, tests/unit/memory/slot_wait_test.c
 */
#ifndef LARDER_MEMORY_SLOT_MAP_H
#define LARDER_MEMORY_SLOT_MAP_H

#include "core/segment/seg.h"

/* The first slot from `from` on whose bit was 0; it is 1 now. slot_count if there is none. */
uint32_t slot_map_take(const struct seg *s, uint32_t from);
int slot_map_is_taken(const struct seg *s, uint32_t slot);
/* Slot `slot` was found without the map, and is taken now. */
void slot_map_mark(const struct seg *s, uint32_t slot);
/* Slot `slot` is free, and its liveness lock was dropped. Wakes one waiter. */
void slot_map_give(const struct seg *s, uint32_t slot);

static inline int slot_bell_is_waited_for(const struct seg *s) {
    return (int)(SHM_LOAD_RELAXED(&s->shm->slot_bell) & 1);
}
/* Whether threads that have waited long come first. */
static inline int slot_bell_is_for_old(uint32_t bell) {
    return (bell & 2) != 0;
}
/* Says that a thread waits (is_old: for long). After this look once more for a slot, then sleep on
 * the result. */
uint32_t slot_bell_listen(const struct seg *s, int is_old);
/* Sleeps until the bell is rung for a waiter of this kind after slot_bell_listen() gave `heard`, or
 * a signal comes, or ms have passed. */
void slot_bell_sleep(const struct seg *s, uint32_t heard, int is_old, uint32_t ms);
/* Wakes one waiter, if there is one. */
void slot_bell_ring(const struct seg *s);

/* Waiters take turns at looking for dead owners, since a look costs a system call per slot. 1: it
 * is the caller's turn, with `count` slots from *from on. */
int slot_turn_take(const struct seg *s, uint64_t now_ms, uint32_t count, uint32_t *from);
/* The next turn may begin at once, and goes on at `from`: where one owner is dead there are
 * more. */
void slot_turn_pass(const struct seg *s, uint64_t now_ms, uint32_t from);

#endif
