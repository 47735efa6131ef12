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

static int peek_attr(const struct item_peek *p, uint16_t ordinal, size_t bytes_max, struct bytes *out) {
    const uint8_t *start = (const uint8_t *)p->image;
    size_t end = p->head.bytes, width = item_directory_entry_bytes(&p->head);
    struct bytes name;
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
    if (!peek_bytes(start, &at, end, &name))
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

/* Where the record of an attribute begins; 0: nowhere inside the image. */
static size_t peek_record(const struct item_peek *p, uint16_t ordinal) {
    size_t width = item_directory_entry_bytes(&p->head);
    size_t directory = peek_slots(p) + sizeof(struct item_index_slot) * p->head.index_count;
    uint32_t wide = 0;
    uint16_t narrow;
    if (ordinal >= p->head.attr_count)
        return 0;
    if (width == sizeof narrow) {
        memcpy(&narrow, (const uint8_t *)p->image + directory + width * ordinal, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, (const uint8_t *)p->image + directory + width * ordinal, sizeof wide);
    return wide;
}

static size_t record_end(const struct item_head *image, uint16_t ordinal) {
    if (ordinal + 1u < image->attr_count)
        return item_record_offset(image, ordinal + 1u);
    return (size_t)(item_records_end(image) - (const uint8_t *)image);
}

/* Whether the attribute has the same type, name and value in both: then its record has the same bytes (I4), wherever they lie. */
static int peek_is_same_attr(const struct item_peek *p, uint16_t ordinal, const struct item_head *image,
                             uint16_t its_ordinal) {
    if (its_ordinal == ITEM_NO_ATTR)
        return ordinal == ITEM_NO_ATTR;
    const uint8_t *start = (const uint8_t *)p->image, *its_start = (const uint8_t *)image;
    size_t at = peek_record(p, ordinal), its = item_record_offset(image, its_ordinal);
    size_t bytes = record_end(image, its_ordinal) - its;
    if (at == 0 || at >= p->head.bytes || bytes > p->head.bytes - at || memcmp(start + at, its_start + its, bytes) != 0)
        return 0;
    return !(its_start[its] & ITEM_KEY_FLAGS) ||
           (p->head.partition_bytes == image->partition_bytes && p->head.sort_bytes == image->sort_bytes &&
            memcmp(item_key_area(p->image), item_key_area(image), item_key_area_bytes(image)) == 0);
}

int item_peek_has_keys_of(const struct item_peek *p, const struct item_head *image, uint32_t i) {
    if (i >= p->head.index_count)
        return 0;
    struct item_index_slot slot = peek_slot(p, i), its = item_index_slots(image)[i];
    return peek_is_same_attr(p, slot.partition_attr, image, its.partition_attr) &&
           peek_is_same_attr(p, slot.sort_attr, image, its.sort_attr);
}
