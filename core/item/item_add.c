/* core/item/item_add.c - an item of a table with one of its numbers changed.
 *
 * Idea     Only one record changes. The bytes before it are copied. The bytes behind it move by the
 *          difference in the number's length, and so do their offsets. No builder, no sorting.
 * Tests    tests/unit/item/item_add_test.c, tests/api/increment_test.c
 */
#include "core/base/err.h"
#include "core/item/item.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

static int refuse_sum(enum num_sum why, struct bytes name, const struct larder_value *value, const struct item_sum *s) {
    static const char *const allowed[] = {
        [NUM_SUM_TOO_LONG] = "has more than 38 significant digits; sums are never rounded",
        [NUM_SUM_TOO_LARGE] = "is too large: its magnitude must be below 1E+126",
        [NUM_SUM_TOO_SMALL] = "is too small: its magnitude must be 0 or at least 1E-130",
    };
    char left[LARDER_NUMBER_TEXT_MAX] = "0", right[LARDER_NUMBER_TEXT_MAX];
    if (why == NUM_SUM_NO_NUMBER)
        return err_set(LARDER_E_CORRUPT, "attribute \"%.*s\" is damaged: its N is no number", ITEM_SHOWN(name));
    if (value)
        num_decode(value->data, value->bytes, left);
    num_decode(s->by_number, s->by_bytes, right);
    return err_set(LARDER_E_INVAL, "attribute \"%.*s\": the sum of %.60s and %.60s %s", ITEM_SHOWN(name), left, right,
                   allowed[why]);
}

static int refuse_decimal(struct bytes name, const struct item_sum *s) {
    char text[LARDER_NUMBER_TEXT_MAX];
    num_decode(s->number, s->bytes, text);
    return err_set(
        LARDER_E_INVAL,
        "attribute \"%.*s\" would be %.60s, which is no 64-bit integer; larder_increment_n() gives it as text",
        ITEM_SHOWN(name), text);
}

/* Sums that are not three 64-bit integers. */
static int sum_exactly(struct bytes name, const struct larder_value *value, struct item_sum *s) {
    if (!s->by_bytes)
        s->by_bytes = num_encode_int64(s->by, s->by_number);
    if (value) {
        enum num_sum result = num_add(value->data, value->bytes, s->by_number, s->by_bytes, s->number, &s->bytes);
        if (result != NUM_SUM_OK)
            return refuse_sum(result, name, value, s);
    } else
        memcpy(s->number, s->by_number, s->bytes = s->by_bytes);
    s->is_int = num_to_int64(s->number, s->bytes, &s->sum);
    return s->only_int && !s->is_int ? refuse_decimal(name, s) : LARDER_OK;
}

int item_sum(struct bytes name, const struct larder_value *value, struct item_sum *s) {
    int64_t number = 0;
    if (value && value->type != LARDER_N)
        return err_set(LARDER_E_INVAL, "attribute \"%.*s\" is of type %s; N is needed to add to it", ITEM_SHOWN(name),
                       item_type_name(value->type));
    if (s->by_bytes || (value && !num_to_int64(value->data, value->bytes, &number)) ||
        __builtin_add_overflow(number, s->by, &s->sum))
        return sum_exactly(name, value, s);
    s->is_int = 1;
    s->bytes = num_encode_int64(s->sum, s->number);
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
    const uint8_t *number;
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

static void set_number(struct addition *a, const struct item_sum *s, size_t bytes_before) {
    a->number = s->number;
    a->number_bytes = s->bytes;
    a->longer = s->bytes - bytes_before;
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

int item_add(const struct item_head *from, struct bytes name, struct item_sum *s, struct item_head *to) {
    struct addition a; /* find_number() and set_number() fill it in */
    struct larder_value value;
    a.from = from;
    int result = find_number(&a, name, &value);
    if (result == LARDER_OK)
        result = item_sum(name, &value, s);
    if (result != LARDER_OK)
        return result;
    set_number(&a, s, value.bytes);
    if (is_laid_out_again(&a))
        return LARDER_NOT_FOUND;
    put_image(&a, to);
    return item_ddb_bytes(to) <= LARDER_ITEM_BYTES_MAX ? LARDER_OK : LARDER_NOT_FOUND;
}
