/* core/item/item_add.c - an item of a table with one of its numbers changed.
 *
 * Idea     All but one record stay as they are: what lies before it is copied, what lies behind it moves by the few bytes that the number
 *          has become longer or shorter, and the offsets of what moved change by as much. No builder, and nothing is sorted.
 * Tests    tests/unit/item/item_test.c, tests/api/increment_test.c
 */
#include <inttypes.h>

#include "core/base/err.h"
#include "core/item/item.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

int item_sum(struct bytes name, const struct larder_value *value, int64_t by, int64_t *sum) {
    int64_t number;
    if (value->type != LARDER_N)
        return err_set(LARDER_E_INVAL, "attribute \"%.*s\" is of type %s; N is needed to add to it", ITEM_SHOWN(name),
                       item_type_name(value->type));
    if (!num_to_int64(value->data, value->bytes, &number))
        return err_set(LARDER_E_INVAL, "attribute \"%.*s\" is no integer of 64 bits: nothing can be added to it",
                       ITEM_SHOWN(name));
    if (__builtin_add_overflow(number, by, sum))
        return err_set(LARDER_E_INVAL, "attribute \"%.*s\": %" PRId64 " and %" PRId64 " make no integer of 64 bits",
                       ITEM_SHOWN(name), number, by);
    return LARDER_OK;
}

/* Offsets of what lies behind `at`, where record number `ordinal` begins, change by `longer`. */
static void move_places(struct item_head *h, uint32_t ordinal, size_t at, size_t longer) {
    struct item_index_slot *slots = item_index_slots(h);
    for (uint32_t i = ordinal + 1; !item_is_walked(h) && i < h->attr_count; i++)
        item_set_record_offset(h, i, (uint32_t)(item_record_offset(h, i) + longer));
    for (uint32_t i = 0; item_is_walked(h) && i < h->index_count; i++) {
        if (slots[i].partition_attr != ITEM_NO_ATTR && slots[i].partition_attr > at)
            slots[i].partition_attr = (uint16_t)(slots[i].partition_attr + longer);
        if (slots[i].sort_attr != ITEM_NO_ATTR && slots[i].sort_attr > at)
            slots[i].sort_attr = (uint16_t)(slots[i].sort_attr + longer);
    }
}

int item_add_int(const struct item_head *from, struct bytes name, int64_t by, struct item_head *to, int64_t *sum) {
    const uint8_t *start = (const uint8_t *)from, *limit = start + from->bytes - item_timed_bytes(from);
    struct item_record r;
    struct larder_value value;
    uint32_t ordinal;
    int result = item_find_record(from, name, &r, &ordinal);
    if (result != LARDER_OK)
        return result;
    if (item_tag_type(r.tag) != LARDER_N)
        return item_sum(name, &(struct larder_value){.type = item_tag_type(r.tag)}, by, sum);
    const uint8_t *next = item_take_record_value(from, &r, limit, &value);
    const uint8_t *end = item_walk(next, limit, from->attr_count - ordinal - 1u);
    if (!end || item_tag_keys(r.tag))
        return LARDER_E_CORRUPT;
    if ((result = item_sum(name, &value, by, sum)) != LARDER_OK)
        return result;

    uint8_t number[NUM_BYTES_MAX];
    size_t number_bytes = num_encode_int64(*sum, number), longer = number_bytes - value.bytes; /* or wraps round */
    size_t at = (size_t)(r.name_field.at - 1 - start), before = (size_t)(r.value - start);
    size_t records_bytes = (size_t)(end - item_first_record(from)) + longer, used = (size_t)(end - start) + longer;
    if (item_flags(from, records_bytes) != (from->flags & (ITEM_WIDE | ITEM_WALKED)))
        return LARDER_NOT_FOUND;
    memcpy(to, from, before);
    uint8_t *into = (uint8_t *)to;
    into[at] = item_scalar_tag(LARDER_N, number_bytes);
    uint8_t *behind = item_put_bytes(into + before, number, number_bytes);
    item_put_bytes(behind, next, (size_t)(end - next));
    memset(into + used, 0, item_round8(used) - used);
    item_put_bytes(into + item_round8(used), limit, item_timed_bytes(from));
    to->bytes = (uint32_t)(item_round8(used) + item_timed_bytes(from));
    item_set_ddb_bytes(to, item_ddb_bytes(from) + longer);
    if (longer)
        move_places(to, ordinal, at, longer);
    return item_ddb_bytes(to) <= LARDER_ITEM_BYTES_MAX ? LARDER_OK : LARDER_NOT_FOUND;
}
