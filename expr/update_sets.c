/* expr/update_sets.c - ADD and DELETE of sets.
 *
 * Idea     Members are sorted by their bytes (I4 of core/item/item.h), so two sets are merged as
 *          two sorted lists are.
 * Tests    tests/unit/expr/expr_apply_test.c
 */
#include "expr/update_parts.h"

/* The members of a set that are left. */
struct set_walk {
    const uint8_t *at, *next;
    struct bytes member; /* its value */
    uint32_t left;
};

static void read_member(struct set_walk *w) {
    size_t bytes;
    if (!w->left)
        return;
    const uint8_t *value = item_get_scalar(*w->at, w->at + 1, &bytes);
    w->member = (struct bytes){value, bytes};
    w->next = value + bytes;
}

static void begin(struct set_walk *w, const struct larder_value *set) {
    *w = (struct set_walk){.at = set->data, .left = set->count};
    read_member(w);
}

static void pass(struct set_walk *w) {
    w->at = w->next;
    w->left--;
    read_member(w);
}

static uint8_t *put(uint8_t *to, struct set_walk *w) {
    return item_put_bytes(to, w->at, (size_t)(w->next - w->at));
}

uint8_t *update_close(uint8_t *to, const uint8_t *end, uint32_t count) {
    const uint8_t *members = to + UPDATE_LENGTHS;
    size_t bytes = (size_t)(end - members);
    to = item_put_varint(item_put_varint(to, item_varint_bytes(count) + bytes), count);
    memmove(to, members, bytes);
    return to + bytes;
}

static uint8_t *merge(uint8_t *to, const struct larder_value *set, const struct larder_value *other, int is_union,
                      uint32_t *count) {
    struct set_walk a, b;
    begin(&a, set);
    begin(&b, other);
    *count = 0;
    while (a.left || (is_union && b.left)) {
        int order = !b.left ? -1 : !a.left ? 1 : item_compare_bytes(a.member, b.member);
        int is_kept = order < 0 || is_union;
        if (is_kept)
            to = put(to, order <= 0 ? &a : &b);
        *count += (uint32_t)is_kept;
        if (order <= 0)
            pass(&a);
        if (order >= 0)
            pass(&b);
    }
    return to;
}

uint8_t *update_put_union(uint8_t *to, const struct larder_value *set, const struct larder_value *other) {
    uint32_t count;
    uint8_t *end = merge(to + UPDATE_LENGTHS, set, other, 1, &count);
    return update_close(to, end, count);
}

uint8_t *update_put_rest(uint8_t *to, const struct larder_value *set, const struct larder_value *other,
                         uint32_t *count) {
    uint8_t *end = merge(to + UPDATE_LENGTHS, set, other, 0, count);
    return update_close(to, end, *count);
}
