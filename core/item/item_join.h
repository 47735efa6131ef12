/* core/item/item_join.h - keys of several attributes as one run of bytes.
 *
 * Idea     An index may order its items by up to four attributes. Their values, each in the form
 *          that its type is ordered by, are joined to one key. Its memcmp order is the order by the
 *          first value, then by the second, and so on. So lists, pages, start keys and recovery
 *          know only keys, as before.
 * Picture  escaped value, 0x00, escaped value, 0x00, .., last value as it is
 *          escaped: 0x00 is 0x01 0x01, and 0x01 is 0x01 0x02; other bytes stay
 * Rules    J1 memcmp, then shorter first, is the order of the values, attribute by attribute. An
 *             end is smaller than every escaped byte, so a value comes before those it begins.
 *          J2 Two lists of values never join to the same bytes.
 *          J3 A key of one attribute is its value: the form of all keys before this file.
 *          J4 Values that begin with `p` join to keys that begin with the escaped `p`.
 * Limits   A joined key has at most as many bytes as a key of one attribute.
 * Tests    tests/unit/item/item_join_test.c, tests/api/query_join_test.c
 */
#ifndef LARDER_ITEM_ITEM_JOIN_H
#define LARDER_ITEM_ITEM_JOIN_H

#include "core/item/item_records.h"

#define ITEM_NAME_JOINED 0xffu /* in place of a name; no name is listed there */
_Static_assert((ITEM_NAME_JOINED & ~ITEM_NAME_LISTED) >= ITEM_NAMES_COUNT, "no name has the byte");

/* Bytes of a value that is not the last one, with its end. */
size_t item_join_bytes(struct bytes value);
/* Writes it; returns the end. */
uint8_t *item_join_put(uint8_t *to, struct bytes value);

/* ---- In an image ----------------------------------------------------------------------------- */

/* Bytes of the record of a joined key. */
static inline size_t item_joined_record_bytes(size_t bytes) {
    return 2 + (item_scalar_tag(LARDER_S, bytes) < ITEM_SHORT_N ? item_varint_bytes(bytes) : 0) + bytes;
}
/* The most that joined keys add to an image of this shape. */
static inline size_t item_joined_bytes_max(const struct item_shape *shape) {
    return shape->joined_count * (2 + ITEM_VARINT_BYTES_MAX + (size_t)LARDER_PARTITION_KEY_BYTES_MAX);
}
/* Bounded: the bytes of the joined key whose record begins at `at`. 0: there is none. */
static inline int item_take_joined(const uint8_t *at, const uint8_t *end, struct bytes *out) {
    return at && end - at > 2 && at[1] == ITEM_NAME_JOINED && item_tag_type(at[0]) == LARDER_S &&
           !item_tag_keys(at[0]) && item_take_scalar(at[0], at + 2, end, out);
}
/* Bounded: the record of joined key `number` of an image, whose checked head is given. NULL: there
 * is none. */
const uint8_t *item_joined(const struct item_head *image, const struct item_head *head, uint32_t number);
/* Bounded: the joined key that an index slot of an image with a sane head refers to. 0: it refers
 * to none. */
int item_joined_at(const struct item_head *h, uint16_t attr, struct bytes *out);
/* Bounded: behind the last joined key, of those that begin at `at`. NULL: one leads outside. */
const uint8_t *item_joined_end(const uint8_t *at, const uint8_t *end);
/* Takes the joined keys, or whatever lies in their place, off a private image with a sane head. 0:
 * a record leads outside. */
int item_drop_joined(struct item_head *h);
/* The value of an attribute of the item that is stored. */
static inline struct bytes item_joined_part(const struct item_store *s, uint16_t ordinal) {
    struct larder_value value;
    item_read_record(s->from, s->places.start + item_place(&s->places, ordinal), &value);
    return (struct bytes){value.data, value.bytes};
}
/* Writes the joined keys that were planned behind the records, at offset `at`, and makes all slots
 * say where their keys are. Returns the end. */
size_t item_put_joined(struct item_store *s, size_t at);
/* What an index's key is by the attributes of a sane image: LARDER_OK; LARDER_NOT_FOUND: it lacks
 * one, or one does not fit, or they are too long together. `to` has room for bytes_max. */
int item_join_of(const struct item_head *h, const struct item_key_attr *key, size_t bytes_max, uint8_t *to,
                 size_t *bytes);

#endif
