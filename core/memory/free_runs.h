/* core/memory/free_runs.h - free spans, as lists of runs by length.
 *
 * Job      Finds the shortest run of free spans that is long enough. Joins a run that is given back
 *          with its free neighbours. The cost does not depend on the size of the segment.
 * Picture  free_list[k] -> shortest run of 2^k spans and more -> next longer -> .. -> longest below
 *                               |                                    |                    2^(k+1)
 *                          as long as it                        as long as it
 *          (Runs of one length form a chain.) Lists and chains lie in the descriptors of the free
 *          spans, which have no other use for these words. The first span of a run has its length
 *          and its links, the last one the number of the first.
 * Rules    F1 Every free span that is claimed belongs to one run. A run is as long as can be, and
 *             in one list.
 *          F2 Lengths rise along a list, and no length is there twice. So a take for n spans looks
 *             at n - 1 of them at most.
 *          F3 The lists are a cache (P2 of core/memory/heap.h). The states are asked before a span
 *             is handed out. The lists are made again where a state contradicts them, and where
 *             free_listed is not what is claimed (after an older library, or a death).
 * Locks    The caller holds LOCK_SPAN.
 * Crash    A dead owner of the span lock: span_rebuild() makes the lists again.
 * Tests    tests/unit/memory/free_runs_test.c
 */
#ifndef LARDER_MEMORY_FREE_RUNS_H
#define LARDER_MEMORY_FREE_RUNS_H

#include "core/memory/writer.h"
#include "core/segment/seg.h"

/* Takes the first spans of the shortest run of at least `count`. They are in no list, and still
 * FREE. Returns the number of the first; -1: there is no such run, or fewer than `kept` free spans
 * would be left. */
int64_t free_runs_take(const struct seg *s, uint32_t count, uint32_t kept);
/* The same with a run that has no span of the `avoided` ones from `from` on, and none of `also`
 * (NULL: none): one of the first that are long enough. */
int64_t free_runs_take_outside(const struct seg *s, uint32_t count, uint32_t kept, uint32_t from, uint32_t avoided,
                               const struct span_ranges *also);
/* Whether the lists have a run of at least `count`. */
int free_runs_has(const struct seg *s, uint32_t count);
/* `count` spans from `first` on have become FREE. */
void free_runs_give(const struct seg *s, uint32_t first, uint32_t count);
/* claimed_bytes has risen; it was `before` spans. */
void free_runs_grow(const struct seg *s, uint32_t before);
/* Makes the lists again from the states. */
void free_runs_rebuild(const struct seg *s);
/* Without the lock, a guess: the number of free spans. UINT32_MAX: the lists do not know. */
uint32_t free_runs_count(const struct seg *s);
/* For larder_check(), while no process writes: NULL, or what is wrong (rules F1 and F2) with *span.
 * Lists that are due to be made again count as right. */
const char *free_runs_check(const struct seg *s, uint32_t *span);

#endif
