/* core/item_peek.c - looks at an image that lies in a segment and may be damaged.
 *
 * Why      A writer reads the index keys of the item that it replaces, changes lists, and reads the next. In a damaged segment
 *          those changes may go to the bytes of the item. So what was checked once is kept in private memory (the head),
 *          and everything else is bounded each time it is read: whatever it says, nobody leaves the image.
 * Not here Values other than S, N and B: no index has them as keys.
 * Tests    tests/unit/item_test.c, tests/crash/damage_test.c, tests/fuzz/segment_fuzz.c
 */
#include "core/item.h"
#include "core/item_records.h"

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

/* A varint at *at that ends before `end`; *at moves behind it. */
static int peek_varint(const uint8_t *start, size_t *at, size_t end, size_t *value) {
    size_t got = 0;
    for (unsigned i = 0; i < ITEM_VARINT_BYTES_MAX && *at < end; i++) {
        uint8_t byte = start[(*at)++];
        got |= (size_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *value = got;
            return 1;
        }
    }
    return 0;
}

/* Length and bytes at *at; *at moves behind them. */
static int peek_bytes(const uint8_t *start, size_t *at, size_t end, struct bytes *out) {
    if (*at < end && start[*at] < 128)
        out->len = start[(*at)++];
    else if (!peek_varint(start, at, end, &out->len))
        return 0;
    if (out->len > end - *at)
        return 0;
    out->at = start + *at;
    *at += out->len;
    return 1;
}

/* Moves *at behind a name. */
static int peek_past_name(const uint8_t *start, size_t *at, size_t end) {
    struct bytes name;
    if (*at >= end)
        return 0;
    if (start[*at] & ITEM_NAME_LISTED) {
        ++*at;
        return 1;
    }
    *at += start[*at] == 0;
    return peek_bytes(start, at, end, &name);
}

static int peek_attr(const struct item_peek *p, uint16_t ordinal, size_t bytes_max, struct bytes *out) {
    const uint8_t *start = (const uint8_t *)p->image;
    size_t end = p->head.bytes, width = item_directory_entry_bytes(&p->head);
    uint32_t at32 = 0;
    *out = (struct bytes){NULL, 0};
    if (ordinal == ITEM_NO_ATTR)
        return 1;
    if (ordinal >= p->head.attr_count)
        return 0;
    size_t directory = peek_slots(p) + sizeof(struct item_index_slot) * p->head.index_count;
    memcpy(&at32, start + directory + width * ordinal, width); /* little-endian, as all of the image */
    size_t at = at32;
    if (at >= end)
        return 0;
    uint8_t tag = start[at++];
    if (!peek_past_name(start, &at, end))
        return 0;
    enum larder_type type = tag & ITEM_TYPE_MASK;
    if (type < LARDER_S || type > LARDER_B)
        return 0;
    if (tag & ITEM_IN_PARTITION_KEY)
        *out = (struct bytes){start + sizeof p->head, p->head.partition_bytes};
    else if (tag & ITEM_IN_SORT_KEY)
        *out = (struct bytes){start + sizeof p->head + p->head.partition_bytes, p->head.sort_bytes};
    else if (!peek_bytes(start, &at, end, out))
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

/* What comparing attributes of an image takes, once and for all. */
struct peek_table {
    const uint8_t *start, *directory;
    size_t end;
    uint32_t attr_count;
    int is_wide;
};

static struct peek_table peek_table_of(const struct item_head *image, const struct item_head *head) {
    size_t directory =
        sizeof *head + item_key_area_bytes(head) + sizeof(struct item_index_slot) * (size_t)head->index_count;
    return (struct peek_table){.start = (const uint8_t *)image,
                               .directory = (const uint8_t *)image + directory,
                               .end = head->bytes,
                               .attr_count = head->attr_count,
                               .is_wide = head->flags & ITEM_WIDE};
}

static inline size_t peek_offset(const struct peek_table *t, uint32_t ordinal) {
    uint32_t wide;
    uint16_t narrow;
    if (__builtin_expect(t->is_wide, 0)) {
        memcpy(&wide, t->directory + ordinal * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, t->directory + ordinal * sizeof narrow, sizeof narrow);
    return narrow;
}

static int is_same_key_area(const struct item_peek *p, const struct item_head *image) {
    return p->head.partition_bytes == image->partition_bytes && p->head.sort_bytes == image->sort_bytes &&
           memcmp(item_key_area(p->image), item_key_area(image), item_key_area_bytes(image)) == 0;
}

/* Where a comparison of the old image with the new, sane one stands. */
struct peek_pair {
    const struct item_peek *old;
    const struct item_head *image;
    struct peek_table theirs, ours;
};

/* Whether the attribute has the same type, name and value in both: then its record has the same bytes (I4), wherever they lie. */
static inline int is_same_attr(const struct peek_pair *pair, uint32_t theirs, uint32_t ours) {
    const struct peek_table *t = &pair->theirs, *o = &pair->ours;
    if (ours == ITEM_NO_ATTR || theirs >= t->attr_count)
        return ours == ITEM_NO_ATTR && theirs == ITEM_NO_ATTR;
    size_t from = peek_offset(o, ours), at = peek_offset(t, theirs);
    size_t bytes =
        (ours + 1 < o->attr_count ? peek_offset(o, ours + 1) : (size_t)(item_records_end(pair->image) - o->start)) -
        from;
    if (at >= t->end || bytes > t->end - at || memcmp(t->start + at, o->start + from, bytes) != 0)
        return 0;
    return !(o->start[from] & ITEM_KEY_FLAGS) || is_same_key_area(pair->old, pair->image);
}

int item_peek_take_kseqs(const struct item_peek *old, struct item_head *image, uint32_t fresh) {
    struct item_index_slot *mine = item_index_slots(image);
    uint32_t slots = old->head.index_count > image->index_count ? old->head.index_count : image->index_count;
    struct peek_pair pair = {.old = old,
                             .image = image,
                             .theirs = peek_table_of(old->image, &old->head),
                             .ours = peek_table_of(image, image)};
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
