/* core/item/item_add.c - an item of a table with one of its numbers changed.
 *
 * Idea     Only one record changes. The bytes before it are copied. The bytes behind it move by the
 *          difference in the number's length, and so do their offsets. No builder, no sorting.
 * Tests    tests/unit/item/item_add_test.c, tests/api/increment_test.c
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
        return err_set(LARDER_E_INVAL, "attribute \"%.*s\" is not a 64-bit integer; only those can be added to",
                       ITEM_SHOWN(name));
    if (__builtin_add_overflow(number, by, sum))
        return err_set(LARDER_E_INVAL, "attribute \"%.*s\": the sum of %" PRId64 " and %" PRId64 " exceeds 64 bits",
                       ITEM_SHOWN(name), number, by);
    return LARDER_OK;
}

/* Adds `longer` to the offsets of the records behind record `ordinal`, which begins at `at`. */
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

/* The number that changes: its place among the records, and its new form. */
struct addition {
    const struct item_head *from;
    const uint8_t *limit; /* where item_timed begins, or the image ends */
    uint32_t ordinal;
    struct item_record record;
    const uint8_t *next, *end; /* behind this record; behind the last one */
    uint8_t number[NUM_BYTES_MAX];
    /* longer: the difference in bytes; wraps round if it is negative */
    size_t number_bytes, longer;
};

/* Of a value that is no number only the type is read. */
static int find_number(struct addition *a, struct bytes name, struct larder_value *value) {
    int result = item_find_record(a->from, name, &a->record, &a->ordinal);
    if (result != LARDER_OK)
        return result;
    *value = (struct larder_value){.type = item_tag_type(a->record.tag)};
    if (value->type != LARDER_N)
        return LARDER_OK;
    a->limit = (const uint8_t *)a->from + a->from->bytes - item_timed_bytes(a->from);
    a->next = item_take_record_value(a->from, &a->record, a->limit, value);
    a->end = item_walk(a->next, a->limit, a->from->attr_count - a->ordinal - 1u);
    return a->end && !item_tag_keys(a->record.tag) ? LARDER_OK : LARDER_E_CORRUPT;
}

static void set_number(struct addition *a, int64_t sum, size_t bytes_before) {
    a->number_bytes = num_encode_int64(sum, a->number);
    a->longer = a->number_bytes - bytes_before;
}

/* Whether the new length changes the layout: to a directory, or to wide offsets. */
static int is_laid_out_again(const struct addition *a) {
    size_t records_bytes = (size_t)(a->end - item_first_record(a->from)) + a->longer;
    return item_flags(a->from, records_bytes) != (a->from->flags & (ITEM_WIDE | ITEM_WALKED));
}

static void put_image(const struct addition *a, struct item_head *to) {
    const uint8_t *start = (const uint8_t *)a->from;
    uint8_t *into = (uint8_t *)to;
    size_t at = (size_t)(a->record.name_field.at - 1 - start), before = (size_t)(a->record.value - start);
    size_t used = (size_t)(a->end - start) + a->longer, timed = item_timed_bytes(a->from);
    memcpy(to, a->from, before);
    into[at] = item_scalar_tag(LARDER_N, a->number_bytes);
    uint8_t *behind = item_put_bytes(into + before, a->number, a->number_bytes);
    item_put_bytes(behind, a->next, (size_t)(a->end - a->next));
    memset(into + used, 0, item_round8(used) - used);
    item_put_bytes(into + item_round8(used), a->limit, timed);
    to->bytes = (uint32_t)(item_round8(used) + timed);
    item_set_ddb_bytes(to, item_ddb_bytes(a->from) + a->longer);
    if (a->longer)
        move_places(to, a->ordinal, at, a->longer);
}

int item_add_int(const struct item_head *from, struct bytes name, int64_t by, struct item_head *to, int64_t *sum) {
    struct addition a; /* find_number() and set_number() fill it in */
    struct larder_value value;
    a.from = from;
    int result = find_number(&a, name, &value);
    if (result == LARDER_OK)
        result = item_sum(name, &value, by, sum);
    if (result != LARDER_OK)
        return result;
    set_number(&a, *sum, value.bytes);
    if (is_laid_out_again(&a))
        return LARDER_NOT_FOUND;
    put_image(&a, to);
    return item_ddb_bytes(to) <= LARDER_ITEM_BYTES_MAX ? LARDER_OK : LARDER_NOT_FOUND;
}
