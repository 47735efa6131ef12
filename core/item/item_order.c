/* core/item/item_order.c - sorts the members of an item, M or set.
 *
 * Idea     Only entries move, and their 8-byte prefixes settle most comparisons. Short lists use
 *          insertion sort, since members often come nearly in order; long ones use merge sort,
 *          never worse than n log n.
 * Tests    tests/unit/item/item_build_test.c
 */
#include <endian.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/item/item_builder.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

#define BUILD_INSERTION_MAX 24 /* entries up to which insertion sort is faster */

struct bytes build_sort_key(const struct larder_builder *b, enum larder_type of, uint32_t offset) {
    const uint8_t *at = b->records.at + offset;
    struct bytes key;
    if (of == LARDER_M)
        return item_record_at(at).name;
    key.at = item_get_scalar(*at, at + 1, &key.len);
    return key;
}

uint64_t build_prefix(struct bytes key) {
    uint64_t prefix = 0;
    uint32_t first, last;
    if (key.len >= sizeof prefix) {
        memcpy(&prefix, key.at, sizeof prefix);
        return be64toh(prefix);
    }
    /* the last four bytes, without those that are among the first four */
    if (key.len >= sizeof first) {
        memcpy(&first, key.at, sizeof first);
        memcpy(&last, key.at + key.len - sizeof last, sizeof last);
        return (uint64_t)be32toh(first) << 32 | (uint32_t)((uint64_t)be32toh(last) << (8 * (sizeof prefix - key.len)));
    }
    for (size_t i = 0; i < key.len; i++)
        prefix |= (uint64_t)key.at[i] << (56 - 8 * i);
    return prefix;
}

/* Equal prefixes decide nothing: a name may contain zero bytes. */
int build_compare(const struct larder_builder *b, enum larder_type of, const struct build_entry *left,
                  const struct build_entry *right) {
    if (left->prefix != right->prefix)
        return left->prefix < right->prefix ? -1 : 1;
    return item_compare_bytes(build_sort_key(b, of, left->offset), build_sort_key(b, of, right->offset));
}

static void build_insertion_sort(const struct larder_builder *b, enum larder_type of, struct build_entry *entries,
                                 size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct build_entry entry = entries[i];
        size_t k = i;
        for (; k > 0 && build_compare(b, of, &entries[k - 1], &entry) > 0; k--)
            entries[k] = entries[k - 1];
        entries[k] = entry;
    }
}

/* Merges two neighbouring runs of `from`, [low, middle) and [middle, high), into `to`. */
static void build_merge(const struct larder_builder *b, enum larder_type of, const struct build_entry *from,
                        struct build_entry *to, size_t low, size_t middle, size_t high) {
    size_t left = low, right = middle;
    for (size_t i = low; i < high; i++) {
        int is_left = left < middle && (right == high || build_compare(b, of, &from[left], &from[right]) <= 0);
        to[i] = is_left ? from[left++] : from[right++];
    }
}

/* n log n, whatever order a caller adds in. */
static int build_merge_sort(struct larder_builder *b, enum larder_type of, struct build_entry *entries, size_t count) {
    int result = build_reserve(b, &b->scratch, count * sizeof *entries);
    if (result != LARDER_OK)
        return result;
    struct build_entry *from = entries, *to = (struct build_entry *)(void *)b->scratch.at;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = middle + width < count ? middle + width : count;
            build_merge(b, of, from, to, low, middle, high);
        }
        struct build_entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof *entries);
    return LARDER_OK;
}

static int build_refuse_double(struct larder_builder *b, enum larder_type of, uint32_t offset) {
    char number[LARDER_NUMBER_TEXT_MAX];
    struct bytes key = build_sort_key(b, of, offset);
    const char *what = of == LARDER_M ? "attribute" : "set member";
    const char *text = (const char *)key.at;
    int shown = utf8_shown_bytes(text, key.len);
    if (of == LARDER_NS) {
        shown = (int)num_decode(key.at, key.len, number);
        text = number;
    } else if (of == LARDER_BS) {
        return build_fail(b, err_set(LARDER_E_INVAL, "a set of type BS holds a value of %zu bytes twice", key.len));
    }
    return build_fail(b, err_set(LARDER_E_INVAL, "%s \"%.*s\" is given twice", what, shown, text));
}

int build_sort(struct larder_builder *b, const struct build_level *level) {
    if (level->is_sorted) /* an empty one is */
        return LARDER_OK;
    struct build_entry *entries = b->entries + level->entry_first;
    size_t count = b->entry_count - level->entry_first;
    int result = LARDER_OK;
    if (count <= BUILD_INSERTION_MAX)
        build_insertion_sort(b, level->type, entries, count);
    else
        result = build_merge_sort(b, level->type, entries, count);
    for (size_t i = 1; result == LARDER_OK && i < count; i++)
        if (build_compare(b, level->type, &entries[i - 1], &entries[i]) == 0)
            result = build_refuse_double(b, level->type, entries[i].offset);
    return result;
}
