/* core/item/item_join.c - keys of several attributes. See item_join.h.
 *
 * Tests    tests/unit/item/item_join_test.c
 */
#include "core/item/item_join.h"

#include "core/base/err.h"

#define JOIN_END 0x00u
#define JOIN_ESCAPE 0x01u /* then the byte + 1 */

size_t item_join_bytes(struct bytes value) {
    size_t bytes = value.len + 1;
    for (size_t i = 0; i < value.len; i++)
        bytes += value.at[i] <= JOIN_ESCAPE;
    return bytes;
}

uint8_t *item_join_put(uint8_t *to, struct bytes value) {
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.at[i];
        if (byte <= JOIN_ESCAPE) {
            *to++ = JOIN_ESCAPE;
            byte++;
        }
        *to++ = byte;
    }
    *to++ = JOIN_END;
    return to;
}

/* ---- What a caller asks for ------------------------------------------------------------------ */

static int refuse_length(const struct item_key_attr *key, const char *what, uint32_t count, size_t bytes_max) {
    return err_set(LARDER_E_INVAL,
                   "the %u attributes of the %s, from \"%.*s\" on, are too long together; %zu bytes are allowed, one "
                   "of them between two attributes, and a byte of value 0 or 1 counts twice before the last",
                   count, what, utf8_shown_bytes(key->name, key->name_bytes), key->name, bytes_max);
}

int item_encode_key(const struct item_key_attr *key, const struct larder_value *const *values, uint32_t count,
                    int is_whole, const char *what, size_t bytes_max, uint8_t *to, size_t *bytes) {
    uint8_t value[LARDER_PARTITION_KEY_BYTES_MAX];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes one = {value, 0};
        int result = item_encode_key_value(item_key_attr_at(key, i), values[i], what, bytes_max, value, &one.len);
        if (result != LARDER_OK)
            return result;
        int is_last = is_whole && i == count - 1;
        if ((is_last ? one.len : item_join_bytes(one)) > bytes_max - used)
            return refuse_length(key, what, count, bytes_max);
        uint8_t *end = is_last ? item_put_bytes(to + used, value, one.len) : item_join_put(to + used, one);
        used = (size_t)(end - to);
    }
    *bytes = used;
    return LARDER_OK;
}

/* ---- In an image ----------------------------------------------------------------------------- */

/* Behind the last attribute's record; NULL: one leads outside. */
static const uint8_t *records_end(const struct item_head *image, const struct item_head *head, const uint8_t *end) {
    const uint8_t *start = (const uint8_t *)image, *directory = start + item_first_offset(head);
    if (item_is_walked(head) || !head->attr_count)
        return item_walk(directory, end, head->attr_count);
    size_t last = item_get_offset(directory, head->flags & ITEM_WIDE, head->attr_count - 1u);
    return last < head->bytes ? item_skip_record(start + last, end) : NULL;
}

const uint8_t *item_joined(const struct item_head *image, const struct item_head *head, uint32_t number) {
    const uint8_t *end = (const uint8_t *)image + head->bytes;
    struct bytes key;
    if (!(head->flags & ITEM_JOINED) || number >= ITEM_JOINED_MAX)
        return NULL;
    const uint8_t *at = records_end(image, head, end);
    for (; number > 0 && item_take_joined(at, end, &key); number--)
        at = key.at + key.len;
    return item_take_joined(at, end, &key) ? at : NULL;
}

int item_joined_at(const struct item_head *h, uint16_t attr, struct bytes *out) {
    const uint8_t *start = (const uint8_t *)h;
    if (!(h->flags & ITEM_JOINED) || attr == ITEM_NO_ATTR)
        return 0;
    if (item_is_walked(h))
        return attr < h->bytes && item_take_joined(start + attr, start + h->bytes, out);
    const uint8_t *at = attr >= ITEM_JOINED_FIRST ? item_joined(h, h, attr - ITEM_JOINED_FIRST) : NULL;
    return item_take_joined(at, start + h->bytes, out);
}

const uint8_t *item_joined_end(const uint8_t *at, const uint8_t *end) {
    struct bytes key;
    while (at && at < end && *at) {
        if (!item_take_joined(at, end, &key))
            return NULL;
        at = key.at + key.len;
    }
    return at;
}

int item_drop_joined(struct item_head *h) {
    uint8_t *start = (uint8_t *)h, *timed = start + h->bytes - item_timed_bytes(h);
    const uint8_t *end = records_end(h, h, timed);
    if (!end)
        return 0;
    size_t used = (size_t)(end - start), timed_bytes = item_timed_bytes(h);
    memset(start + used, 0, item_round8(used) - used);
    memmove(start + item_round8(used), timed, timed_bytes);
    h->bytes = (uint32_t)(item_round8(used) + timed_bytes);
    h->flags &= (uint8_t)~ITEM_JOINED;
    return 1;
}

/* A slot says the number of a joined key, or the ordinal of an attribute: then, in a walked image,
 * where that lies. */
static inline uint16_t point_joined(const struct item_store *s, uint16_t attr, const uint16_t *offsets) {
    if (attr == ITEM_NO_ATTR)
        return attr;
    if (attr >= ITEM_JOINED_FIRST)
        return item_is_walked(s->to) ? offsets[attr - ITEM_JOINED_FIRST] : attr;
    return item_is_walked(s->to) ? s->moved[attr] : attr;
}

size_t item_put_joined(struct item_store *s, size_t at) {
    uint16_t offsets[ITEM_JOINED_MAX];
    struct item_index_slot *slots = item_index_slots(s->to);
    for (uint32_t i = 0; i < s->joined_count; i++) {
        const struct item_store_joined *joined = &s->joined[i];
        uint8_t *to = (uint8_t *)s->to + at;
        offsets[i] = (uint16_t)at;
        *to++ = item_scalar_tag(LARDER_S, joined->bytes);
        *to++ = ITEM_NAME_JOINED;
        if (to[-2] < ITEM_SHORT_N)
            to = item_put_varint(to, joined->bytes);
        for (uint32_t part = 0; part < joined->count - 1; part++)
            to = item_join_put(to, item_joined_part(s, joined->ordinal[part]));
        struct bytes last = item_joined_part(s, joined->ordinal[joined->count - 1]);
        at = (size_t)(item_put_bytes(to, last.at, last.len) - (uint8_t *)s->to);
    }
    for (uint32_t i = 0; i < s->to->index_count; i++) {
        slots[i].partition_attr = point_joined(s, slots[i].partition_attr, offsets);
        slots[i].sort_attr = point_joined(s, slots[i].sort_attr, offsets);
    }
    s->to->flags |= ITEM_JOINED;
    return at;
}

static int value_of(const struct item_head *h, const struct item_key_attr *attr, size_t bytes_max, struct bytes *out) {
    struct larder_value value;
    uint16_t ordinal = item_find_attr(h, attr->name, attr->name_bytes);
    if (ordinal == ITEM_NO_ATTR)
        return 0;
    item_read_attr(h, ordinal, &value);
    *out = (struct bytes){value.data, value.bytes};
    return value.type == attr->type && value.bytes >= 1 && value.bytes <= bytes_max;
}

int item_join_of(const struct item_head *h, const struct item_key_attr *key, size_t bytes_max, uint8_t *to,
                 size_t *bytes) {
    uint32_t count = item_key_count(key);
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes value;
        if (!value_of(h, item_key_attr_at(key, i), bytes_max, &value))
            return LARDER_NOT_FOUND;
        int is_last = i == count - 1;
        if ((is_last ? value.len : item_join_bytes(value)) > bytes_max - used)
            return LARDER_NOT_FOUND;
        uint8_t *end = is_last ? item_put_bytes(to + used, value.at, value.len) : item_join_put(to + used, value);
        used = (size_t)(end - to);
    }
    *bytes = used;
    return LARDER_OK;
}
