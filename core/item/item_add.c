/* core/item/item_add.c - an item of a table with one of its values changed: added to, or replaced.
 *
 * Idea     Only one record changes. The bytes before it are copied. The bytes behind it move by the
 *          difference in the value's length, and so do their offsets. No builder, no sorting.
 * Tests    tests/unit/item/item_add_test.c, tests/api/increment_test.c
 */
#include "core/base/err.h"
#include "core/item/item.h"
#include "core/item/item_join.h"
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
static inline __attribute__((always_inline)) void move_places(struct item_head *h, uint32_t ordinal, size_t at,
                                                              size_t longer) {
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

/* The value that changes: its place among the records, and its new form. */
struct replacement {
    const struct item_head *from;
    const uint8_t *limit; /* where item_timed begins, or the image ends */
    uint32_t ordinal;
    struct item_record record;
    const uint8_t *next, *end; /* behind this record; behind the last one, and the joined keys */
    const uint8_t *data;
    uint8_t tag;
    /* longer: the difference in bytes of the image, and of what DynamoDB counts; wraps round if it
     * is negative */
    size_t bytes, longer, ddb_longer;
};

/* Finds the record of an S, N or B. Of a value of another type than `wanted` only the type is
 * read. */
static inline __attribute__((always_inline)) int find_scalar(struct replacement *r, struct bytes name, unsigned wanted,
                                                             struct larder_value *value) {
    int result = item_find_record(r->from, name, &r->record, &r->ordinal);
    if (result != LARDER_OK)
        return result;
    *value = (struct larder_value){.type = item_tag_type(r->record.tag)};
    if (value->type != wanted)
        return LARDER_OK;
    r->limit = (const uint8_t *)r->from + r->from->bytes - item_timed_bytes(r->from);
    r->next = item_take_record_value(r->from, &r->record, r->limit, value);
    r->end = item_walk(r->next, r->limit, r->from->attr_count - r->ordinal - 1u);
    if (__builtin_expect(r->from->flags & ITEM_JOINED, 0))
        r->end = item_joined_end(r->end, r->limit);
    return r->end && !item_tag_keys(r->record.tag) ? LARDER_OK : LARDER_E_CORRUPT;
}

static void set_value(struct replacement *r, enum larder_type type, const uint8_t *data, size_t bytes,
                      size_t bytes_before) {
    r->data = data;
    r->bytes = bytes;
    r->tag = item_scalar_tag(type, bytes);
    size_t length_bytes = r->tag < ITEM_SHORT_N ? item_varint_bytes(bytes) : 0;
    r->longer = length_bytes + bytes - (size_t)(r->next - r->record.value);
    r->ddb_longer = bytes - bytes_before;
}

/* Whether the new length changes the layout: to a directory, or to wide offsets. */
static int is_laid_out_again(const struct replacement *r) {
    size_t records_bytes = (size_t)(r->end - item_first_record(r->from)) + r->longer;
    return item_flags(r->from, records_bytes) != (r->from->flags & (ITEM_WIDE | ITEM_WALKED));
}

static inline __attribute__((always_inline)) void put_image(const struct replacement *r, struct item_head *to) {
    const uint8_t *start = (const uint8_t *)r->from;
    uint8_t *into = (uint8_t *)to;
    size_t at = (size_t)(r->record.name_field.at - 1 - start), before = (size_t)(r->record.value - start);
    size_t used = (size_t)(r->end - start) + r->longer, timed = item_timed_bytes(r->from);
    memcpy(to, r->from, before);
    into[at] = r->tag;
    uint8_t *behind = item_put_scalar(into + before, r->tag, r->data, r->bytes);
    item_put_bytes(behind, r->next, (size_t)(r->end - r->next));
    memset(into + used, 0, item_round8(used) - used);
    item_put_bytes(into + item_round8(used), r->limit, timed);
    to->bytes = (uint32_t)(item_round8(used) + timed);
    item_set_ddb_bytes(to, item_ddb_bytes(r->from) + r->ddb_longer);
    if (r->longer)
        move_places(to, r->ordinal, at, r->longer);
}

static inline __attribute__((always_inline)) int replace(const struct replacement *r, struct item_head *to) {
    if (is_laid_out_again(r))
        return LARDER_NOT_FOUND;
    put_image(r, to);
    return item_ddb_bytes(to) <= LARDER_ITEM_BYTES_MAX ? LARDER_OK : LARDER_NOT_FOUND;
}

int item_add(const struct item_head *from, struct bytes name, struct item_sum *s, struct item_head *to) {
    struct replacement r; /* find_scalar() and set_value() fill it in */
    struct larder_value value;
    r.from = from;
    int result = find_scalar(&r, name, LARDER_N, &value);
    if (result == LARDER_OK)
        result = item_sum(name, &value, s);
    if (result != LARDER_OK)
        return result;
    set_value(&r, LARDER_N, s->number, s->bytes, value.bytes);
    return replace(&r, to);
}

/* Any N is a key of an index, if one is. So are an S and a B of so many bytes. */
static int is_fit_for_any_key(const struct larder_value *value) {
    return value->type == LARDER_N || value->bytes - 1 < LARDER_SORT_KEY_BYTES_MAX;
}

int item_replace(const struct item_head *from, struct bytes name, const struct larder_value *with,
                 struct item_head *to) {
    struct replacement r;
    struct larder_value value;
    r.from = from;
    int result = find_scalar(&r, name, with->type, &value);
    if (result != LARDER_OK)
        return result;
    if (value.type != with->type || with->type > LARDER_B || !is_fit_for_any_key(&value) || !is_fit_for_any_key(with))
        return LARDER_NOT_FOUND;
    set_value(&r, with->type, with->data, with->bytes, value.bytes);
    return replace(&r, to);
}
