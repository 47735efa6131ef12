/* core/seg_layout.h - the geometry of a segment: which area lies where, as a function of its size and counts.
 *
 * Job      Plans a new segment from options, and checks the head of an existing one.
 * Idea     Offsets follow from size and counts alone (seg_layout_place). A head is right if placing its counts again
 *          gives its offsets: then every area is inside, aligned and apart from the others, by construction.
 * Tests    tests/unit/seg_test.c
 */
#ifndef LARDER_CORE_SEG_LAYOUT_H
#define LARDER_CORE_SEG_LAYOUT_H

#include "core/seg.h"

#define SEG_BYTES_DEFAULT (UINT64_C(1) << 30)
#define SEG_BYTES_MAX (UINT64_C(1) << 46) /* 32-bit span numbers of 16 KiB spans */
#define SEG_BYTES_STEP (UINT64_C(1) << 16)
#define SEG_STRIPES_MAX 65536u

/* Fills in what options decide: identity, size, counts and offsets of *head, all else zero. LARDER_OK or
 * LARDER_E_INVAL. */
int seg_layout_plan(struct seg_shm *head, const struct larder_options *options, uint64_t page_bytes);
/* What a new segment backs with memory before it is READY: its metadata and some spans. */
uint64_t seg_layout_first_claim(const struct seg_shm *head);
/* Checks an untrusted head. LARDER_OK or LARDER_E_FORMAT. `shown` names the segment in messages. */
int seg_layout_check(const struct seg_shm *head, uint64_t file_bytes, uint64_t page_bytes, const char *shown);
/* Sizes of structures, places of fields, byte order: equal in libraries that can share a segment. */
uint64_t seg_layout_fingerprint(void);

#endif
