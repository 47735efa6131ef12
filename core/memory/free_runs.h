/* core/memory/free_runs.h - free spans, as lists of runs by length.
 *
 * Job      Finds the shortest run of free spans that is long enough, and joins a run that is given
 *          back with the free ones beside it, at a cost that does not depend on the size of the
 *          segment.
 * Picture  free_list[k] -> shortest run of 2^k spans and more -> next longer -> .. -> longest below
 *          2^(k+1)
 *                               |                                    |
 *                          as long as it                        as long as it          (runs of one length: a chain)
 *          All of it lies in the descriptors of the free spans, which have no other use for these
 *          words. The first span of a run has its length and its links, the last one the number of
 *          the first.
 * Rules    F1 Every free span that is claimed belongs to one run, which is as long as can be and in
 *             one list.
 *          F2 Lengths rise along a list. So a take for n spans looks at n - 1 of them at most: no
 *             length is there twice.
 *          F3 The lists are a cache (P2 of core/memory/heap.h). States are asked before a span is
 *             handed out; where they say otherwise, or free_listed is not what is claimed (a
 *             segment of an older library, a death), the lists are made again.
 * Locks    LOCK_SPAN, held by the caller.
 * Crash    The owner of the span lock is dead: span_rebuild() makes the lists again.
 * Tests    tests/unit/memory/free_runs_test.c
 */
#ifndef LARDER_MEMORY_FREE_RUNS_H
#define LARDER_MEMORY_FREE_RUNS_H

#include "core/segment/seg.h"

/* Takes the first spans of the shortest run of at least `count`: they are in no list, and still
 * FREE. Their number, or -1: there is no such run, or fewer than `kept` spans would be left. */
int64_t free_runs_take(const struct seg *s, uint32_t count, uint32_t kept);
/* Whether the lists have a run of at least `count`. */
int free_runs_has(const struct seg *s, uint32_t count);
/* `count` spans from `first` on have become FREE. */
void free_runs_give(const struct seg *s, uint32_t first, uint32_t count);
/* claimed_bytes has risen from `before` spans to what it is now. */
void free_runs_grow(const struct seg *s, uint32_t before);
/* Makes the lists from the states. */
void free_runs_rebuild(const struct seg *s);
/* Without the lock, a guess: how many spans are free. UINT32_MAX: the lists do not know. */
uint32_t free_runs_count(const struct seg *s);
/* For check, nobody writing: NULL, or what is wrong (rules F1 and F2) with *span. Lists that are to
 * be made again are right. */
const char *free_runs_check(const struct seg *s, uint32_t *span);

#endif
