/* core/table/read_copy.h - copies of items, made where a spot says: the usual way of every read.
 *
 * Job      Copies the block that a spot names to the end of a page, and checks the copy. Inline, so
 *          that a loop over items has it in place.
 * Rules    C1 A copy is handed out only if its head is sane and the stripe's sequence stood from
 *             before the look at the slot until after the copy.
 *          C2 Anything unusual is no copy: no slot, another item, damage, a writer meanwhile, a
 *             page without room. The caller then reads the slow way (core/table/read.c), which
 *             tells these apart.
 * Tests    tests/api/items_test.c, tests/api/query_test.c, tests/api/snapshot_test.c
 */
#ifndef LARDER_TABLE_READ_COPY_H
#define LARDER_TABLE_READ_COPY_H

#include "core/table/read.h"

/* The image at the end of the page, not committed; NULL: C2. */
HTAB_INLINE const struct item_head *read_copy(const struct htab_aim *a, const struct htab_spot *s,
                                              const struct larder_page *page) {
    if (__builtin_expect(!s->block, 0))
        return NULL;
    uint32_t bytes = SHM_LOAD_RELAXED((const _Atomic uint32_t *)(s->block + offsetof(struct item_head, bytes)));
    if (__builtin_expect(!item_can_have_bytes(bytes) || bytes > seg_reach_bytes(&a->reach, s->block) ||
                             bytes > page->capacity - page->used,
                         0))
        return NULL;
    struct item_head *image = (struct item_head *)(page->bytes + page->used);
    shm_copy_out(image, s->block, bytes);
    int is_good = image->bytes == bytes && image->version != 0 && item_parts_are_sane(image);
    return __builtin_expect(is_good && htab_spot_stands(s), 1) ? image : NULL;
}

/* Key sequence of a copy whose head is sane. */
HTAB_INLINE uint32_t read_kseq_in(const struct item_head *image, int ordinal) {
    if (ordinal < 0)
        return image->kseq;
    return ordinal < image->index_count ? item_index_slots(image)[ordinal].kseq : 0;
}

/* Whether a copy is the item of the entry (hash, kseq). */
HTAB_INLINE int read_is_of_entry(const struct item_head *image, int ordinal, uint64_t hash, uint32_t kseq) {
    return image->hash_high == hash >> 32 && read_kseq_in(image, ordinal) == kseq && kseq != 0;
}

/* Most items never expire, and most have the table's present TTL generation: those need no look. */
HTAB_INLINE int read_has_expired(const struct table_view *v, const struct item_head *image, int64_t now_s) {
    int is_asked = (image->flags & ITEM_TIMED) || item_ttl_generation(image) != v->ttl_generation;
    return __builtin_expect(is_asked, 0) && read_is_expired(v, image, now_s);
}

#endif
