/* core/table/compact.h - memory back from spans that are nearly empty, and long runs of free spans.
 *
 * Job      A block of one size finds no room while free blocks of other sizes lie in spans that
 *          have others in use. Items are moved out of the emptiest spans into the fullest (move.h),
 *          so that whole spans become free, which serve any size. If there are enough and no run of
 *          them is long enough, those spans in a row are emptied that are least work (windows.h).
 * Bounds   A call looks at 4,096 spans or a few times that, and moves up to 2 MB, or what lies in
 *          the run that it makes. What it makes lasts for many calls. Only a call that finds
 *          nothing looks everywhere.
 * Locks    Called without any. Passes over what another thread holds.
 * Tests    tests/api/moved_test.c, tests/crash/scenarios.c (move_blocks, ..); script/bench
 *          --only ageing measures it
 */
#ifndef LARDER_TABLE_COMPACT_H
#define LARDER_TABLE_COMPACT_H

#include "core/table/windows.h"

/* Makes room for all runs at the same time; begins no other one after limit_ns of work. What it
 * makes stays for the next call. Returns how many spans became free. 0: it is late; else there is
 * nothing to make, or a call a moment ago found nothing. *is_there: all of them were free, for
 * another writer had made them; it may be so no more. May leave the writer stuck. */
uint32_t table_compact(struct writer *w, const struct runs *runs, uint64_t limit_ns, int *is_there);
/* Work of worked_ns for so many bytes was in vain: for 20 times as long nothing is tried for as
 * many, unless much is freed meanwhile. */
void table_compact_pause(struct writer *w, uint64_t bytes, uint64_t worked_ns);
/* Whether there is room for all of them. A guess. */
int table_compact_is_done(struct writer *w, const struct runs *runs);
/* Empties up to `wanted` sparse spans, wherever they are: goes round the segment once, until there
 * are some. Returns how many. */
uint32_t table_compact_spans(struct writer *w, uint32_t wanted);
/* For a process that has time (ttl/expirer.c): if no memory is left to claim and few spans are
 * free, makes some, so that calls need not. Moves at most 2 MB. May leave the writer stuck. */
void table_compact_ahead(struct writer *w);

#endif
