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
