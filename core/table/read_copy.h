/* core/table/read_copy.h - copies of items, made where a spot says: the usual way of every read.
 *
 * Job      Copies the block that a spot names to the end of a page, and checks the copy. Inline, so
 *          that a loop over items has it in place.
 * Rules    C1 A copy is handed out only if the stripe's sequence stood from before the look at the
 *             slot until after the copy, and it lies in the page by the size that it has.
 *          C2 Anything unusual is no copy: no slot, damage, a writer meanwhile, a page without
 *             room. The caller then reads the slow way (core/table/read.c), which tells these
 *             apart.
 *          C3 The caller checks the rest of the head before it follows it: read_is_usual(), else
 *             item_parts_are_sane().
 * Tests    tests/api/items_test.c, tests/api/query_test.c, tests/api/snapshot_test.c
 */
#ifndef LARDER_TABLE_READ_COPY_H
#define LARDER_TABLE_READ_COPY_H

#include "core/base/wide.h"
#include "core/base/words.h"
#include "core/table/read.h"

/* What the heads of nearly all items of a read have in common: it is compared at once. Differences
 * are looked at closely. */
struct read_usual {
    uint64_t sizes; /* last word of a head; the HEAD_ bits that are the same in all count */
    uint64_t stamp; /* of the word with the key sequence: the generation of the TTL */
    uint32_t fixed; /* bytes of head, index slots, and of keys of the same size in all */
};
#define HEAD_PARTITION_BYTES UINT64_C(0xffff)
#define HEAD_SORT_BYTES UINT64_C(0xffff0000)
#define HEAD_KIND UINT64_C(0xfdff000000000000) /* index_count, flags but ITEM_TIMED */
#define HEAD_TIMED ((uint64_t)ITEM_TIMED << 56)
#define READ_STAMP UINT64_C(0xfff00000ffffffff) /* key sequence in table order, TTL generation */
#define READ_STAMP_GENERATION(generation) ((uint64_t)(generation) << (32 + ITEM_DDB_BITS))
_Static_assert(offsetof(struct item_head, ddb_ttl) == offsetof(struct item_head, kseq) + 4, "a stamp is one word");
_Static_assert(offsetof(struct item_head, partition_bytes) == 24 && offsetof(struct item_head, flags) == 31,
               "sizes are one word");
_Static_assert((HEAD_KIND & HEAD_TIMED) == 0, "whether an item is timed is looked at by itself");

HTAB_INLINE uint64_t read_sizes_of(const struct item_head *image) {
    return words_load((const uint8_t *)image + offsetof(struct item_head, partition_bytes));
}
HTAB_INLINE uint64_t read_stamp_of(const struct item_head *image) {
    return words_load((const uint8_t *)image + offsetof(struct item_head, kseq));
}

/* Items of the table's present shape. Sizes of keys: 0 if they may differ. */
HTAB_INLINE struct read_usual read_usual(const struct table_view *v, size_t partition_bytes, size_t sort_bytes) {
    uint64_t slots = v->shape.index_count;
    return (struct read_usual){.sizes = (uint64_t)ITEM_WALKED << 56 | slots << 48 | (uint64_t)sort_bytes << 16 |
                                        partition_bytes,
                               .stamp = READ_STAMP_GENERATION(v->ttl_generation),
                               .fixed = (uint32_t)(sizeof(struct item_head) + slots * sizeof(struct item_index_slot) +
                                                   partition_bytes + sort_bytes)};
}
/* From now on images like this one, whose head is sane, are the usual ones, if they can be: walked.
 * `same`: HEAD_KIND and the sizes of keys that are the same in all. */
void read_usual_learn(struct read_usual *u, uint64_t same, const struct item_head *image);

/* Whether a copy is an image of the usual kind, with a sane head, and does not expire by now_s, if
 * its TTL generation is the table's: as item_parts_are_sane() and read_has_expired(), by few
 * comparisons. 0: it may be so all the same, as in the second when an item expires. Its bytes are a
 * multiple of 8, as are those that follow the key area: so the area's padding need not be
 * counted. */
HTAB_INLINE int read_is_usual(const struct item_head *image, const struct read_usual *u, uint64_t same, int64_t now_s) {
    uint32_t fixed = u->fixed;
    uint64_t differ = (read_sizes_of(image) ^ u->sizes) & (same | HEAD_TIMED);
    if (__builtin_expect(differ != 0, 0)) {
        uint64_t expiry_s = words_load((const uint8_t *)image + image->bytes - sizeof(struct item_timed));
        fixed += (uint32_t)sizeof(struct item_timed);
        /* 0 is never; a negative now_s is no time of which this can be told */
        if (differ != HEAD_TIMED || expiry_s - 1 <= (uint64_t)now_s)
            return 0;
    }
    if (!(same & HEAD_PARTITION_BYTES)) {
        fixed += image->partition_bytes;
        if (image->partition_bytes - 1u >= LARDER_PARTITION_KEY_BYTES_MAX)
            return 0;
    }
    if (!(same & HEAD_SORT_BYTES)) {
        fixed += image->sort_bytes;
        if (image->sort_bytes > LARDER_SORT_KEY_BYTES_MAX)
            return 0;
    }
    return fixed <= image->bytes;
}

/* The image, copied to `to`, where `room` bytes are; NULL: C2. Its first word is the one that was
 * looked at here, whatever the block says by then. *size: its bytes. */
HTAB_INLINE const struct item_head *read_copy(const struct htab_aim *a, const struct htab_spot *s, uint8_t *to,
                                              size_t room, uint32_t *size, int is_wide) {
    if (__builtin_expect(!s->block, 0)) {
        *size = 0;
        return NULL;
    }
    uint64_t first = SHM_LOAD_RELAXED((const shm_word *)(const void *)s->block);
    uint32_t bytes = *size = (uint32_t)first;
    if (__builtin_expect(!item_can_have_bytes(bytes) || bytes > room || bytes > seg_reach_bytes(&a->reach, s->block),
                         0))
        return NULL;
    struct item_head *image = (struct item_head *)(void *)to;
    shm_copy_out_here(to, s->block, bytes, is_wide);
    memcpy(to, &first, sizeof first);
    return __builtin_expect(image->version != 0 && htab_spot_stands(s), 1) ? image : NULL;
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
