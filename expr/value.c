/* expr/value.c - see value.h. */
#include "expr/value.h"

#include <string.h>

#include "core/item/item_records.h"

static struct bytes run_of(const struct larder_value *value) {
    return (struct bytes){value->data, value->bytes};
}

int value_is_same(const struct larder_value *a, const struct larder_value *b) {
    if (a->type != b->type)
        return 0;
    if (a->type == LARDER_BOOL)
        return !a->is_true == !b->is_true;
    return a->type == LARDER_NULL ||
           (a->count == b->count && a->bytes == b->bytes && (!a->bytes || memcmp(a->data, b->data, a->bytes) == 0));
}

int value_compare(const struct larder_value *a, const struct larder_value *b, int *order) {
    if (a->type != b->type || a->type > LARDER_B)
        return 0;
    *order = item_compare_bytes(run_of(a), run_of(b));
    return 1;
}

int value_begins_with(const struct larder_value *text, const struct larder_value *begin) {
    return text->type == begin->type && (text->type == LARDER_S || text->type == LARDER_B) &&
           text->bytes >= begin->bytes && (!begin->bytes || memcmp(text->data, begin->data, begin->bytes) == 0);
}

int value_contains(const struct larder_value *in, const struct larder_value *part) {
    struct larder_iter it;
    struct larder_member member;
    if (in->type == LARDER_S || in->type == LARDER_B)
        return part->type == in->type &&
               (!part->bytes || (in->bytes && memmem(in->data, in->bytes, part->data, part->bytes)));
    if (in->type < LARDER_L)
        return 0;
    larder_iter_value(in, &it);
    int result;
    while ((result = larder_iter_next(&it, &member)) == LARDER_OK)
        if (value_is_same(&member.value, part))
            return 1;
    return result == LARDER_NOT_FOUND ? 0 : result;
}

/* UTF-16 code units, as the service counts: two for a character of four bytes. */
static int64_t text_size(struct bytes text) {
    int64_t units = 0;
    for (size_t i = 0; i < text.len; i++)
        units += !utf8_is_inner_byte(text.at[i]) + (text.at[i] >= 0xf0);
    return units;
}

int64_t value_size(const struct larder_value *value) {
    switch (value->type) {
    case LARDER_S:
        return text_size(run_of(value));
    case LARDER_B:
        return (int64_t)value->bytes;
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        return value->count;
    default:
        return -1;
    }
}
