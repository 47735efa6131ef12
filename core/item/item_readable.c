/* core/item/item_readable.c - reads values of an image that is known to be readable.
 *
 * Why      No length is compared with the image's end: a builder's image needs no check, and any
 *          other has passed item_is_readable(). item_check.c uses these functions for what it has
 *          checked.
 * Tests    tests/unit/item/item_check_test.c
 */
#include "core/item/item.h"
#include "core/item/item_records.h"

const char *item_type_name(enum larder_type type) {
    static const char *const names[] = {"no type", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : names[0];
}

const uint8_t *item_read_value(unsigned tag, const uint8_t *at, struct larder_value *out) {
    enum larder_type type = item_tag_type(tag);
    *out = (struct larder_value){.type = type};
    size_t rest, count;
    const uint8_t *end;
    switch (type) {
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        at = item_get_scalar(tag, at, &out->bytes);
        out->data = at;
        out->count = type == LARDER_N ? ITEM_N_IS_ENCODED : 0;
        return at + out->bytes;
    case LARDER_BOOL:
        out->is_true = *at;
        return at + 1;
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        at = item_get_varint(at, &rest);
        end = at + rest;
        at = item_get_varint(at, &count);
        out->data = at;
        out->bytes = (size_t)(end - at);
        out->count = (uint32_t)count;
        return end;
    case LARDER_NULL:
    default:
        return at;
    }
}

const uint8_t *item_read_record(const struct item_head *h, const uint8_t *at, struct larder_value *out) {
    struct item_record r = item_record_at(at);
    if (!item_tag_keys(r.tag))
        return item_read_value(r.tag, r.value, out);
    item_read_key_value(h, r.tag, out);
    return r.value;
}

const uint8_t *item_read_attr(const struct item_head *h, uint32_t ordinal, struct larder_value *out) {
    return item_read_record(h, item_record(h, ordinal), out);
}
