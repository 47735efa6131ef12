/* tests/unit/item/item_kit.h - what the suites of items (item_*_test.c) share.
 *
 * Job      A builder on an arena of its own, no segment; short ways to build, read and compare
 *          items; a table's shape and images stored under it; random items.
 * Rules    K1 Buffers that images go into are exactly as large as promised, so the address
 *             sanitizer sees a byte too many. They are filled with two patterns, so a byte left to
 *             chance shows.
 */
#ifndef LARDER_TESTS_UNIT_ITEM_ITEM_KIT_H
#define LARDER_TESTS_UNIT_ITEM_ITEM_KIT_H

#include <criterion/criterion.h>

#include "core/item/item.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

extern struct priv *arena;
extern struct larder_builder *builder;

/* .init and .fini of each suite. */
void set_up(void);
void tear_down(void);

#define OK(call) cr_assert_eq((call), LARDER_OK, "%s", larder_error())

/* malloc is 16-aligned, and to the byte for the address sanitizer. */
void *block_of(size_t bytes, int fill);

/* What the builder holds, checked. */
const struct larder_item *finish(void);

/* A copy that outlives the builder's next use. */
struct larder_item *keep(const struct larder_item *item);

int is_same(const struct larder_item *left, const struct larder_item *right);
struct larder_value get(const struct larder_item *item, const char *name);
int is_bytes(struct larder_value value, enum larder_type type, const void *data, size_t bytes);
int is_text(struct larder_value value, const char *text);
int is_number(struct larder_value value, const char *expected);

/* All ten types, some nested. */
void add_everything(void);

/* A text of everything that a value, or a walk, shows. */
void describe(struct larder_value value, char *to, size_t bytes);
void describe_members(struct larder_iter *it, char *to, size_t bytes);

struct larder_item *random_item(struct rng *r);

/* A table with PK, SK and three indexes; one whose keys may be of other types; one with a partition
 * key only. */
extern const struct item_shape shape, lenient_shape, hash_shape;

#define NOW_S INT64_C(1764000000)

/* With places of attributes of another item, or with none, the result is the same. */
void check_near(const struct item_shape *to_shape, const struct larder_item *item, const void *image);

/* Stores into two buffers of exactly the promised size with different garbage: I4. */
struct item_head *store(const struct item_shape *to_shape, const struct larder_item *item);
int is_run(struct bytes run, const void *data, size_t bytes);

/* All attributes of `stored` and those of `item` are the same to a reader. */
int reads_the_same(const struct larder_item *left, const struct larder_item *right);

/* PK, SK, three attributes of indexes, and others: `count` in all. */
struct larder_item *item_of_attrs(uint32_t count);

#endif
