/* core/item/item_builder.h - struct larder_builder, for the builder's four files.
 *
 * Files    item_builder.c keeps the first failure and the memory. item_order.c, which sorts
 *          members, uses it. item_build.c, which adds values and makes the image, and item_copy.c,
 *          which adds another item's attributes, use both. Picture and rules are in item_build.c.
 */
#ifndef LARDER_ITEM_ITEM_BUILDER_H
#define LARDER_ITEM_ITEM_BUILDER_H

#include "core/item/item.h"

#define BUILD_ERROR_BYTES 256

struct build_buffer {
    uint8_t *at;
    size_t len, capacity;
};

/* A member of an item, M or set, to be sorted. */
struct build_entry {
    /* first 8 bytes of its sort key, big-endian: settles most comparisons */
    uint64_t prefix;
    uint32_t offset; /* in records */
};

/* The item itself or an open container. */
struct build_level {
    enum larder_type type; /* LARDER_M for the item */
    int is_sorted;         /* members were added in order */
    uint32_t count;        /* members */
    size_t members;        /* where they begin in records */
    size_t entry_first;    /* where their entries begin; a list has none */
};

struct larder_builder {
    struct priv *priv;
    struct build_buffer records, scratch, image, name;
    struct build_entry *entries;
    size_t entry_count, entry_capacity;
    /* the item, then M and L; the innermost may be a set */
    struct build_level levels[LARDER_NESTING_MAX + 1];
    uint32_t level;
    size_t ddb_bytes, ddb_bytes_max;
    int has_name; /* `name` is for the next add */
    int error;
    char error_text[BUILD_ERROR_BYTES];
};

/* item_builder.c: keeps the first failure (B1). `result` was just set with its text by
 * err_set(). */
int build_fail(struct larder_builder *b, int result);
int build_say_failure(const struct larder_builder *b);
int build_grow(struct larder_builder *b, struct build_buffer *buffer, size_t bytes);
int build_grow_entries(struct larder_builder *b, size_t count);
/* The first failure, with its text again; LARDER_OK if there was none. */
static inline int build_ready(const struct larder_builder *b) {
    return __builtin_expect(b->error, 0) ? build_say_failure(b) : LARDER_OK;
}
/* Makes room for so many bytes or entries in all. */
static inline int build_reserve(struct larder_builder *b, struct build_buffer *buffer, size_t bytes) {
    return __builtin_expect(bytes <= buffer->capacity, 1) ? LARDER_OK : build_grow(b, buffer, bytes);
}
static inline int build_reserve_entries(struct larder_builder *b, size_t count) {
    return __builtin_expect(count <= b->entry_capacity, 1) ? LARDER_OK : build_grow_entries(b, count);
}

/* item_build.c: whether a container with so many levels of M and L may be added here. An attribute
 * is the first level of a document, so one M or L fewer than LARDER_NESTING_MAX may be nested. */
int build_check_levels(struct larder_builder *b, uint32_t levels);

/* item_order.c: a member's sort key: its name in an item or M, its bytes in a set. */
struct bytes build_sort_key(const struct larder_builder *b, enum larder_type of, uint32_t offset);
/* The first 8 bytes of that, for struct build_entry. */
uint64_t build_prefix(struct bytes key);
/* memcmp's order, then shorter first. */
int build_compare(const struct larder_builder *b, enum larder_type of, const struct build_entry *left,
                  const struct build_entry *right);
/* Sorts the entries of a level. Fails (B1) if two are equal. */
int build_sort(struct larder_builder *b, const struct build_level *level);

#endif
