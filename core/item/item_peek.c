/* core/item/item_peek.c - looks at an image that lies in a segment and may be damaged.
 *
 * Why      A writer reads an index key of the item that it replaces, changes a list, and reads the
 *          next key. In a damaged segment those changes may hit the bytes of the item. So the
 *          checked head is kept in private memory, and everything else is bounded each time it is
 *          read: no read leaves the image, whatever its bytes say.
 * Not here Values other than S, N and B: they are never index keys.
 * Tests    tests/unit/item/item_check_test.c, tests/crash/damage_test.c, tests/fuzz/segment_fuzz.c
 */
#include "core/item/item.h"
#include "core/item/item_join.h"
#include "core/item/item_records.h"

int item_peek_open(struct item_peek *p, const struct item_head *image, size_t room) {
    if (room < sizeof p->head)
        return 0;
    p->image = image;
    shm_copy_out(&p->head, image, sizeof p->head);
    return item_head_is_sane(&p->head, room);
}

/* Offset of what follows the key area. */
static size_t peek_slots(const struct item_peek *p) {
    return sizeof p->head + item_key_area_bytes(&p->head);
}

static struct item_index_slot peek_slot(const struct item_peek *p, uint32_t i) {
    struct item_index_slot slot;
    shm_copy_out(&slot, (const uint8_t *)p->image + peek_slots(p) + i * sizeof slot, sizeof slot);
    return slot;
}

uint32_t item_peek_kseq(const struct item_peek *p, uint32_t i) {
    return i < p->head.index_count ? peek_slot(p, i).kseq : 0;
}

static __attribute__((noinline)) size_t peek_joined_place(const struct item_head *image, const struct item_head *head,
                                                          uint32_t attr) {
    const uint8_t *at = attr >= ITEM_JOINED_FIRST ? item_joined(image, head, attr - ITEM_JOINED_FIRST) : NULL;
    return at ? (size_t)(at - (const uint8_t *)image) : head->bytes;
}

/* Offset of the record that an index slot refers to. `directory`: where the image's directory, or
 * its first record, lies. At least head.bytes: there is no such record. */
static inline size_t peek_place(const struct item_head *image, const uint8_t *directory, const struct item_head *head,
                                uint32_t attr) {
    if (__builtin_expect(item_is_walked(head), 1))
        return attr;
    if (attr < head->attr_count)
        return item_get_offset(directory, head->flags & ITEM_WIDE, attr);
    return peek_joined_place(image, head, attr);
}

static const uint8_t *peek_directory(const struct item_head *image, const struct item_head *head) {
    return (const uint8_t *)image + sizeof *head + item_key_area_bytes(head) +
           sizeof(struct item_index_slot) * head->index_count;
}

static int peek_attr(const struct item_peek *p, uint16_t attr, size_t bytes_max, struct bytes *out) {
    const uint8_t *start = (const uint8_t *)p->image, *end = start + p->head.bytes;
    *out = (struct bytes){NULL, 0};
    if (attr == ITEM_NO_ATTR)
        return 1;
    size_t offset = peek_place(p->image, peek_directory(p->image, &p->head), &p->head, attr);
    if (offset >= p->head.bytes)
        return 0;
    const uint8_t *at = start + offset;
    uint8_t tag = *at;
    enum larder_type type = item_tag_type(tag);
    unsigned keys = item_tag_keys(tag);
    at = item_skip_name(at + 1, end);
    if (!at || type < LARDER_S || type > LARDER_B)
        return 0;
    if (keys & ITEM_IN_PARTITION_KEY)
        *out = (struct bytes){start + sizeof p->head, p->head.partition_bytes};
    else if (keys)
        *out = (struct bytes){start + sizeof p->head + p->head.partition_bytes, p->head.sort_bytes};
    else if (!item_take_scalar(tag, at, end, out))
        return 0;
    return out->len >= 1 && out->len <= bytes_max;
}

int item_peek_keys(const struct item_peek *p, uint32_t i, struct bytes *partition, struct bytes *sort) {
    if (i >= p->head.index_count)
        return 0;
    struct item_index_slot slot = peek_slot(p, i);
    return slot.partition_attr != ITEM_NO_ATTR &&
           peek_attr(p, slot.partition_attr, LARDER_PARTITION_KEY_BYTES_MAX, partition) &&
           peek_attr(p, slot.sort_attr, LARDER_SORT_KEY_BYTES_MAX, sort);
}

/* A comparison of the old image with the new one. The new one is private and readable; but its
 * index slots may come from an old image (core/item/item_add.c), so they are bounded, too. */
struct peek_pair {
    const struct item_peek *old;
    const struct item_head *image;
    const uint8_t *theirs, *ours; /* directories, or first records */
};

/* Whether both have the same attribute: its record then has the same bytes (I4), wherever it
 * lies. */
static inline int is_same_attr(const struct peek_pair *pair, uint32_t theirs, uint32_t ours) {
    const uint8_t *old = (const uint8_t *)pair->old->image, *image = (const uint8_t *)pair->image;
    if (ours == ITEM_NO_ATTR || theirs == ITEM_NO_ATTR)
        return ours == theirs;
    size_t mine = peek_place(pair->image, pair->ours, pair->image, ours);
    size_t at = peek_place(pair->old->image, pair->theirs, &pair->old->head, theirs);
    size_t limit = pair->image->bytes, end = pair->old->head.bytes;
    const uint8_t *record = image + mine, *next = mine < limit ? item_skip_record(record, image + limit) : NULL;
    if (!next || at >= end || (size_t)(next - record) > end - at ||
        memcmp(old + at, record, (size_t)(next - record)) != 0)
        return 0;
    return !item_tag_keys(*record) || item_is_same_key(item_peek_key(pair->old), item_key_in(pair->image));
}

/* The end of the last record that an index slot of both images refers to; 0 unless both refer to
 * records at the same places, and are in the same indexes. */
static size_t end_of_same_slots(const struct item_peek *old, const struct item_head *image) {
    const struct item_index_slot *mine = item_index_slots(image);
    size_t last = 0;
    for (uint32_t i = 0; i < image->index_count; i++) {
        struct item_index_slot theirs = peek_slot(old, i);
        if (theirs.partition_attr != mine[i].partition_attr || theirs.sort_attr != mine[i].sort_attr ||
            !theirs.kseq != !mine[i].kseq)
            return 0;
        size_t partition = mine[i].kseq ? mine[i].partition_attr : 0;
        size_t sort = mine[i].kseq && mine[i].sort_attr != ITEM_NO_ATTR ? mine[i].sort_attr : 0;
        last = partition > last ? partition : last;
        last = sort > last ? sort : last;
    }
    const uint8_t *start = (const uint8_t *)image, *end = start + image->bytes;
    const uint8_t *next = last && last < image->bytes ? item_skip_record(start + last, end) : NULL;
    return next ? (size_t)(next - start) : 0;
}

/* The usual case, by two comparisons: walked images that are equal up to the last key attribute of
 * an index. */
static int has_same_beginning(const struct item_peek *old, const struct item_head *image) {
    const struct item_head *h = &old->head;
    if (!item_is_walked(image) || !item_is_walked(h) || h->index_count != image->index_count ||
        h->partition_bytes != image->partition_bytes || h->sort_bytes != image->sort_bytes)
        return 0;
    size_t end = end_of_same_slots(old, image), first = (size_t)(peek_directory(image, image) - (const uint8_t *)image);
    return end > first && end <= h->bytes && item_is_same_key(item_peek_key(old), item_key_in(image)) &&
           memcmp((const uint8_t *)old->image + first, (const uint8_t *)image + first, end - first) == 0;
}

int item_peek_take_kseqs(const struct item_peek *old, struct item_head *image, uint32_t fresh) {
    struct item_index_slot *mine = item_index_slots(image);
    if (has_same_beginning(old, image)) {
        for (uint32_t i = 0; i < image->index_count; i++)
            mine[i].kseq = mine[i].kseq ? peek_slot(old, i).kseq : 0;
        return 0;
    }
    uint32_t slots = old->head.index_count > image->index_count ? old->head.index_count : image->index_count;
    struct peek_pair pair = {.old = old,
                             .image = image,
                             .theirs = peek_directory(old->image, &old->head),
                             .ours = peek_directory(image, image)};
    int differs = 0;
    for (uint32_t i = 0; i < slots; i++) {
        struct item_index_slot theirs = {.kseq = 0};
        uint32_t ours = 0;
        if (i < old->head.index_count)
            theirs = peek_slot(old, i);
        if (i < image->index_count && mine[i].kseq != 0) {
            int is_same = theirs.kseq != 0 && is_same_attr(&pair, theirs.partition_attr, mine[i].partition_attr) &&
                          is_same_attr(&pair, theirs.sort_attr, mine[i].sort_attr);
            ours = mine[i].kseq = is_same ? theirs.kseq : fresh;
        }
        differs |= ours != theirs.kseq;
    }
    return differs;
}
