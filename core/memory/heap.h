/* core/memory/heap.h - the crash-safe allocator of segment memory.
 *
 * Job      Blocks for items, bucket arrays, lists and timers. Small blocks (size classes,
 *          core/memory/heap.c) are bits in the bitmap of a 16 KiB span. Larger ones are runs of
 *          whole spans. An empty span goes back and may serve any class.
 * Rules    P1 A block is in slot.hand[] of its taker before its bit is set, and until its bit is
 *             cleared or it is linked (core/memory/journal.h). The bit changes under the bin's
 *             lock. So every block is reachable from the tables or in the hand of a slot: a death
 *             leaks nothing.
 *          P2 The bitmaps and span states are the truth. Lists, counts and hints are caches that a
 *             recovery rebuilds.
 *          P3 A block is of the smallest class that holds what was asked for, or on loan from a
 *             larger one. A usual loan has at most half more than was asked for. So when the sizes
 *             of items shift, the free blocks of the old sizes serve the new ones. When no room can
 *             be made (w->is_short, core/table/make_room.c; or a repair is at work) the last resort
 *             is the smallest free block of any larger class. HEAP_LINE gets no loan.
 *          P4 A take fails only if no bin of any arena has a block that may serve, no span is free,
 *             and no bin keeps an empty one. But the last spans (span_kept_count) are for
 *             HEAP_LINE, bucket arrays. A writer's own arena comes first, so that writers do not
 *             meet. Small free blocks are not joined while their spans have others in use:
 *             core/table/compact.h moves those away when a call finds no room.
 *          P5 While a writer empties spans (w->avoid_count), it takes blocks outside them, in the
 *             fullest spans.
 * Locks    LOCK_BIN, then LOCK_SPAN.
 * Tests    tests/unit/memory/heap_test.c, tests/unit/memory/heap_arena_test.c,
 *          tests/unit/memory/heap_death_test.c
 */
#ifndef LARDER_MEMORY_HEAP_H
#define LARDER_MEMORY_HEAP_H

#include "core/memory/lock.h"

/* Low bits of the hand word: which step a block belongs to. Recovery goes by it
 * (core/memory/journal.h). */
#define HAND_STEP0 0u /* belongs to step 0 (the item) */
#define HAND_STEP1 1u /* belongs to step 1 (a structure: array, list, chunk) */
#define HAND_NEW 0u   /* linked by the step's new word */
#define HAND_OLD 2u   /* linked by the step's old word */
#define HAND_BITS 15u

#define HEAP_LINE 1u /* heap_take flags: align to a cache line */

/* Takes a block of at least `bytes`, in hand with the given tag. LARDER_OK and *off;
 * OBSTACLE_CLAIM, with w->need_bytes; LARDER_E_BUSY; LARDER_E_CORRUPT. The block's bytes are
 * whatever was there before. */
int heap_take(struct writer *w, uint64_t bytes, unsigned tag, unsigned flags, uint64_t *off);
/* For a caller that can do with less. As heap_take(most); but where the kernel has no more memory
 * it takes the largest free block of at least `least` bytes, before any that is much too large.
 * heap_block_bytes() says which it was. */
int heap_take_part(struct writer *w, uint64_t least, uint64_t most, unsigned tag, uint64_t *off);
/* Whether no more memory can be claimed: all is, or the kernel refused a moment ago, or this call
 * could make no room (w->is_short). */
int heap_is_used_up(const struct writer *w);
/* Gives the empty spans that bins keep back to the pool, where any class and any run can have them.
 * Takes bin locks and the span lock, so it may run under any others. Returns how many. */
int heap_trim(struct writer *w);
/* Gives back the block in slot.hand[hand_index]. Waits for the bin up to the writer's time limit;
 * LARDER_E_BUSY leaves the block in hand. */
int heap_give(struct writer *w, unsigned hand_index);
/* Waits for the lock that heap_give() of the block at off will take (lock_pass). LARDER_OK or
 * LARDER_E_BUSY. */
int heap_pass(struct writer *w, uint64_t off);
/* Bytes of the block at off (of its class, or its run). 0: no block is handed out there. */
uint64_t heap_block_bytes(const struct seg *s, uint64_t off);
/* Prefetches what heap_give() or heap_block_bytes() of the block at off will look at. Any off is
 * allowed. */
void heap_prefetch(const struct seg *s, uint64_t off);
/* Bytes of the blocks of a size class. */
uint32_t heap_class_bytes(uint32_t class_index);
/* The smallest block that heap_take() hands out for so many bytes. */
uint64_t heap_round(uint64_t bytes, unsigned flags);
/* Whether a block of so many bytes is much larger than what heap_round() says: a loan that is ended
 * when memory is short (core/table/compact.h). */
static inline int heap_is_lent(uint64_t rounded, uint64_t block_bytes) {
    return rounded * 5 < block_bytes * 4;
}
/* The largest block that heap_take() hands out for so many bytes (P3). */
uint64_t heap_round_most(uint64_t bytes, unsigned flags);

/* The lower half (core/memory/heap_span.c). Outside locks: claims at least `bytes` more from the
 * kernel. LARDER_OK; LARDER_E_FULL, with a message: bytes asked, in use, free; LARDER_E_OS;
 * LARDER_E_BUSY. */
int heap_claim(struct writer *w, uint64_t bytes);
/* Outside locks, before a call that will take `bytes`: claims ahead, so that OBSTACLE_CLAIM is
 * rare. Never fails. */
void heap_claim_ahead(struct writer *w, uint64_t bytes);

/* Recovery: w acts for a dead slot that holds this lock, a bin's or the span lock. Rebuilds its
 * caches from the truth, forgets blocks in hand whose bit is clear, and drops the lock. */
int heap_recover_lock(struct writer *w, lock_word *lock);

#endif
