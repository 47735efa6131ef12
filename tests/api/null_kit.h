/* tests/api/null_kit.h - an object of each kind that larder.h has. */
#ifndef LARDER_TESTS_API_NULL_KIT_H
#define LARDER_TESTS_API_NULL_KIT_H

#include "larder.h"
#include "tests/support/slow.h"

#define MIB (UINT64_C(1) << 20)
#define DEADLINE_MS 20000
#define NAME_MAX_BYTES 64

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page, *other;
    const struct larder_item *item; /* in `page` */
    struct larder_key key;
};

extern const struct larder_index_def by_kind;
extern const struct larder_table_def def;
void begin(struct fixture *f);

#endif
