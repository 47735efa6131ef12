/* core/segment/seg_layout.h - the geometry of a segment: the areas, from its size and counts.
 *
 * Job      Plans a new segment from options, and checks the head of an existing one.
 * Idea     Offsets follow from size and counts alone (seg_layout_place). A head is right if its
 *          counts give its offsets again: then every area is inside, aligned and apart from the
 *          others by construction.
 * Tests    tests/unit/segment/seg_test.c, tests/unit/segment/seg_foreign_test.c
 */
#ifndef LARDER_SEGMENT_SEG_LAYOUT_H
#define LARDER_SEGMENT_SEG_LAYOUT_H

#include "core/segment/seg.h"

#define SEG_BYTES_DEFAULT (UINT64_C(1) << 30)
#define SEG_BYTES_MAX (UINT64_C(1) << 46) /* 32-bit span numbers of 16 KiB spans */
#define SEG_BYTES_STEP (UINT64_C(1) << 16)
#define SEG_STRIPES_MAX 65536u

/* Arenas of the heap in a segment of this size, made where so many processors are. Each put takes a
 * block in its writer's arena and gives one back in another, under the locks of both: with fewer
 * arenas than processors these locks bound all writes (bench/README.md, "More cores"). Processors
 * get arenas as far as each has SEG_ARENA_BYTES. */
#define SEG_ARENA_BYTES (UINT64_C(16) << 20)
uint32_t seg_layout_arenas(uint64_t size_bytes, uint32_t processors);

/* Fills in what options decide: magic, format, size, counts, offsets and sum of *head; the rest is
 * zero. LARDER_OK or LARDER_E_INVAL. */
int seg_layout_plan(struct seg_shm *head, const struct larder_options *options, uint64_t page_bytes);
/* Where the memory ends that a new segment claims before it is READY: metadata and some spans. */
uint64_t seg_layout_first_claim(const struct seg_shm *head);
/* Checks an untrusted head. LARDER_OK or LARDER_E_FORMAT. `shown` names the segment in messages. */
int seg_layout_check(const struct seg_shm *head, uint64_t file_bytes, uint64_t page_bytes, const char *shown);
/* A checksum of identity, geometry and hash seed. A segment where they are damaged is refused:
 * every item would be looked for in a wrong place. `format` is the one that the segment was made
 * with. It may have become SEG_FORMAT_JOINED since; the checksum stays, because two words cannot
 * change in one store (seg_layout_has_sum). */
static inline uint64_t seg_layout_sum_of(const struct seg_shm *head, uint32_t format) {
    uint64_t id[2], sum = UINT64_C(0x9e3779b97f4a7c15);
    memcpy(id, head->uuid, sizeof id);
    const uint64_t words[] = {head->magic,
                              (uint64_t)format << 32 | head->page_bytes,
                              head->fingerprint,
                              id[0],
                              id[1],
                              head->size_bytes,
                              head->stripe_count,
                              head->hash_seed,
                              head->created_s,
                              (uint64_t)head->slot_count << 32 | head->span_count,
                              (uint64_t)head->arena_count << 32 | head->shard_count,
                              head->slots_off,
                              head->catalog_off,
                              head->bins_off,
                              head->shards_off,
                              head->spans_off,
                              head->data_off};
    /* each step is invertible: two heads that differ in one word have different sums */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        sum = (sum ^ words[i]) * UINT64_C(0xbf58476d1ce4e5b9);
        sum ^= sum >> 29;
    }
    return sum;
}
static inline uint64_t seg_layout_sum(const struct seg_shm *head) {
    return seg_layout_sum_of(head, SHM_LOAD(&head->format_version));
}
static inline int seg_layout_has_sum(const struct seg_shm *head) {
    uint32_t format = SHM_LOAD(&head->format_version);
    uint32_t first = format == SEG_FORMAT_JOINED ? SEG_FORMAT_OLDEST : format;
    for (uint32_t made = first; made <= format; made++)
        if (head->sum == seg_layout_sum_of(head, made))
            return 1;
    return 0;
}
/* A hash of structure sizes, member offsets, byte order and listed names: equal in libraries that
 * can share a segment. */
uint64_t seg_layout_fingerprint(void);

#endif
