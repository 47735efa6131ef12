/* core/table/trim.h - memory back from bucket arrays and leaves that are too large.
 *
 * Job      Deleted items leave the arrays that they had filled. When memory is short, arrays that
 *          at most three eighths of their slots in use are built again, with three quarters of
 *          their size or less, by the same steps as a larger one. Leaves of indexes are built again
 *          without their dead entries, and small neighbours become one (index/skl_merge.c). (The
 *          heap's own reserves: heap_trim().)
 * Locks    Called without any. Takes an item stripe, and the partition stripe with its number.
 *          Passes over what another thread holds.
 * Crash    As for a larger array: [trim_arrays, trim_leaves] in ARCHITECTURE.md.
 * Tests    tests/api/full_test.c, tests/crash/scenarios.c (trim_arrays, trim_leaves)
 */
#ifndef LARDER_TABLE_TRIM_H
#define LARDER_TABLE_TRIM_H

#include "core/memory/writer.h"

/* Makes some arrays and leaves smaller, of any table. Returns how many, or that there is more to
 * look at, so that the caller tries again and comes back; 0: none is left, or a call a moment ago
 * found none. May leave the writer stuck. */
uint32_t table_trim(struct writer *w);
/* Stripes of all tables: so many it looks at in one round. */
uint64_t table_trim_stripes(const struct seg *s);

#endif
