/* core/memory/heap_span.h - the lower half of the heap: whole spans, and the memory behind them.
 *
 * Job      Hands out single spans to bins, and runs of spans as large blocks. Claims memory from
 *          the kernel.
 * Rules    A span's state is the truth. core/memory/free_runs.h has the lists of free ones. No span
 *          below span_hint is free: this is kept up for older libraries on the same segment, and
 *          read by none of ours.
 * Locks    Each function takes LOCK_SPAN itself, unless it says otherwise.
 */
#ifndef LARDER_MEMORY_HEAP_SPAN_H
#define LARDER_MEMORY_HEAP_SPAN_H

#include "core/memory/heap.h"
#include "core/segment/seg.h"

static inline uint64_t span_off(const struct seg *s, uint32_t i) {
    return s->data_off + (uint64_t)i * SPAN_BYTES;
}
static inline uint32_t span_index(const struct seg *s, uint64_t off) {
    return (uint32_t)((off - s->data_off) / SPAN_BYTES);
}
/* Blocks of a small span that are in use, by its bitmap. */
static inline uint32_t span_blocks_used(const struct span_shm *span) {
    uint32_t count = 0;
    for (unsigned k = 0; k < SPAN_BITMAP_WORDS; k++)
        count += (uint32_t)__builtin_popcountll(SHM_LOAD_RELAXED(&span->bitmap[k]));
    return count;
}
/* Number of spans that are backed by memory. */
static inline __attribute__((always_inline)) uint32_t span_claimed_count(const struct seg *s) {
    uint64_t claimed = SHM_LOAD(&s->shm->claimed_bytes);
    if (__builtin_expect(claimed <= s->data_off, 0))
        return 0;
    uint64_t count = (claimed - s->data_off) / SPAN_BYTES;
    return count < s->span_count ? (uint32_t)count : s->span_count;
}

/* The caller holds the bin's lock. LARDER_OK; LARDER_NOT_FOUND: no span is free; LARDER_E_BUSY. The
 * span is SMALL with a clear bitmap, in no list. */
int span_take_small(struct writer *w, uint32_t arena, uint32_t class_index, unsigned flags, uint32_t *i);
/* The last free spans are kept for bucket arrays (HEAP_LINE). Now and then a stripe needs a larger
 * array when the heap is full of small blocks, and should not refuse items for lack of it. Kept are
 * 1 in 512 of the segment's spans, and a few more. A repair may use them for anything. */
#define SPANS_KEPT_MIN 3u
static inline uint32_t span_kept_count(const struct seg *s, unsigned flags) {
    int is_for_all = (flags & HEAP_LINE) || SHM_LOAD(&s->shm->state) == SEG_STATE_REPAIRING;
    return is_for_all ? 0 : s->span_count / 512 + SPANS_KEPT_MIN;
}
/* The caller holds the bin's lock; the span is in no list, and all its blocks are free. */
int span_give_small(struct writer *w, uint32_t i);
/* LARDER_OK; LARDER_NOT_FOUND: there is no such run; LARDER_E_BUSY. flags: those of heap_take(). */
int span_take_run(struct writer *w, uint32_t count, unsigned tag, unsigned flags, shm_word *hand, uint64_t *off);
int span_give_run(struct writer *w, uint32_t i, shm_word *hand);
/* The caller holds the span lock and that of the span's bin; else as span_give_small(). */
void span_free_locked(const struct seg *s, uint32_t i);
/* Recovery, with the span lock held: makes runs whole, and the lists of free spans again. */
void span_rebuild(const struct seg *s);

struct heap_totals {
    uint64_t free_bytes, used_bytes, largest_free_run_bytes;
    struct larder_class_stats classes[CLASS_COUNT + 1]; /* the last: runs */
};
/* Counts all spans, without locks: exact while no process writes. */
void heap_totals(const struct seg *s, struct heap_totals *out);

#endif
