/* tests/api/evict_kit.h - a small segment with a table that evicts and one that does not. */
#ifndef LARDER_TESTS_API_EVICT_KIT_H
#define LARDER_TESTS_API_EVICT_KIT_H

#include <stdint.h>

#include "larder.h"

#define SEGMENT_BYTES (8u << 20)
#define LARGE_BYTES 200000u

struct fixture {
    struct larder *db;
    struct larder_table *cache, *kept;
    struct larder_builder *builder;
    struct larder_page *page;
};

void begin(struct fixture *f);
/* Checks the segment, too. */
void end(struct fixture *f);

/* A table with one index. */
struct larder_table *make(struct larder *db, const char *name, enum larder_eviction eviction);
/* Item n, with so many bytes beside its key. */
int put(struct fixture *f, struct larder_table *t, unsigned n, unsigned bytes);
int get(struct fixture *f, struct larder_table *t, unsigned n);

/* Of the table's index. */
uint64_t entries_of(struct larder_table *t, uint64_t *items);
uint64_t evicted(struct larder_table *t);

#endif
