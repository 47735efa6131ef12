/* core/table/trim.h - memory back from bucket arrays that are larger than they need be.
 *
 * Job      Items that were deleted leave the arrays that they had filled. When memory is short,
 *          arrays that could have half of their size are built again, smaller, by the steps by
 *          which they grow. (The heap's own reserves: heap_trim().)
 * Locks    Called without any. Takes an item stripe, and the partition stripe of its number; what
 *          another holds is passed by.
 * Crash    As a larger array: [trim_arrays] in ARCHITECTURE.md.
 * Tests    tests/api/full_test.c, tests/crash/scenarios.c (trim_arrays)
 */
#ifndef LARDER_TABLE_TRIM_H
#define LARDER_TABLE_TRIM_H

#include "core/memory/writer.h"

/* Makes some arrays smaller, of whatever table. Returns how many, so that the caller tries again
 * and comes back; 0: none is left, or that was found a moment ago. The writer may be stuck
 * afterwards. */
uint32_t table_trim(struct writer *w);

#endif
