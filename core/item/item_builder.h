/* core/item/item_builder.h - struct larder_builder, for the builder's five files.
 *
 * Files    item_builder.c keeps the first failure and the memory. item_order.c, which sorts
 *          members, uses it. item_build.c, which adds values and makes the image, item_top.c,
 *          which does the usual adds, and item_copy.c, which adds another item's attributes, use
 *          both. Picture and rules are in item_build.c.
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
    uint32_t bytes;  /* of the record; 0: they have to be counted */
};

/* The item itself or an open container. */
struct build_level {
    enum larder_type type; /* LARDER_M for the item */
    int is_sorted;         /* members were added in order */
    uint32_t count;        /* members */
    size_t members;        /* where they begin in records */
    size_t entry_first;    /* where their entries begin; a list has none */
};

/* What the builder remembers of earlier items, for item_top.c. */
#define BUILD_SHAPE_MAX 32u /* attributes */
#define BUILD_NAME_MAX 16u  /* bytes of a name */
struct build_name {
    uint64_t first, last; /* item_top.c, struct build_words */
    uint64_t prefix;      /* as build_prefix() */
    uint8_t bytes, byte;  /* length, 0: none; as item_name_byte() */
};
struct build_shape {
    struct build_name name[BUILD_SHAPE_MAX];
    /* the first entry by call order, the second ..: valid for items of order_count attributes */
    uint8_t order[BUILD_SHAPE_MAX];
    uint32_t order_count;
    int is_same;          /* all names of this item were remembered ones */
    int is_in_call_order; /* so are its entries */
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
    struct build_shape shape;
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

/* item_top.c. build_put_top: adds an attribute to the item itself, if it is a usual one. 0: it is
 * not, and nothing has changed, or the builder has failed. The caller: build_is_top().
 * build_sort_top: sorts the item's entries, or gives the order that they would have, as places;
 * NULL: as they lie. build_copy_ordered: writes the records to an image, in that order. Returns
 * their end. It copies by whole pieces: both buffers have one more. */
#define BUILD_LENGTH 1u          /* how: the value's length stands in front of it */
#define BUILD_OPEN 2u            /* how: a container, whose members follow */
#define BUILD_MORE(n) ((n) << 8) /* how: DynamoDB counts n bytes more than `bytes` */
#define BUILD_MORE_OF(how) ((how) >> 8)
#define BUILD_PIECE 32u
int build_put_top(struct larder_builder *b, const char *name, unsigned tag, unsigned how, const void *data,
                  size_t bytes);
/* Whether the value of a call is an attribute of the item itself, with one name. */
static inline int build_is_top(const struct larder_builder *b, const char *name) {
    return (b->error | (int)b->level) == 0 && (name != NULL) != b->has_name;
}
int build_sort_top(struct larder_builder *b, const uint8_t **order);
uint8_t *build_copy_ordered(const struct larder_builder *b, const uint8_t *order, struct item_head *h, uint8_t *to);

/* item_build.c: larder_builder_add_sn(), also if it is not usual, or wrong. */
int build_add_sn(struct larder_builder *b, const char *name, const char *text, size_t bytes);
/* item_build.c: bytes of the member at `at`, of an item, M or set. */
size_t build_member_bytes(enum larder_type of, const uint8_t *at);

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
