/* tests/api/evict_kit.c - see evict_kit.h. */
#include "tests/api/evict_kit.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/testseg.h"

struct larder_table *make(struct larder *db, const char *name, enum larder_eviction eviction) {
    const struct larder_index_def index = {.name = "ByGroup", .partition = {"G", LARDER_S}, .sort = {"PK", LARDER_S}};
    const struct larder_table_def def = {
        .name = name, .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1, .eviction = eviction};
    struct larder_table *table;
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(db, name, &table), LARDER_OK);
    return table;
}

void begin(struct fixture *f) {
    f->db = testseg_open(SEGMENT_BYTES, 0);
    f->cache = make(f->db, "Cache", LARDER_EVICTION_SIEVE);
    f->kept = make(f->db, "Kept", LARDER_EVICTION_NONE);
    cr_assert_eq(larder_builder_new(f->db, &f->builder), LARDER_OK);
    cr_assert_eq(larder_page_new(f->db, &f->page), LARDER_OK);
}

uint64_t entries_of(struct larder_table *t, uint64_t *items) {
    struct larder_table_stats stats;
    struct larder_index_stats indexes[2];
    uint32_t count;
    cr_assert_eq(larder_table_stats(t, &stats), LARDER_OK);
    cr_assert_eq(larder_index_stats(t, indexes, 2, &count), LARDER_OK);
    *items = stats.item_count;
    return indexes[1].entries;
}

void end(struct fixture *f) {
    struct larder_check_report report;
    uint64_t items;
    cr_expect_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_expect_eq(report.leaked_blocks, 0);
    cr_expect_eq(report.stale_entries, 0);
    uint64_t entries = entries_of(f->cache, &items);
    cr_expect_eq(entries, items, "index entries go with their items");
    larder_page_free(f->page);
    larder_builder_free(f->builder);
    larder_close(f->db);
}

int put(struct fixture *f, struct larder_table *t, unsigned n, unsigned bytes) {
    static const char fill[LARGE_BYTES];
    const struct larder_item *item;
    char text[16];
    larder_builder_reset(f->builder);
    snprintf(text, sizeof text, "k%u", n);
    larder_builder_add_s(f->builder, "PK", text);
    snprintf(text, sizeof text, "g%u", n % 97);
    larder_builder_add_s(f->builder, "G", text);
    larder_builder_add_b(f->builder, "fill", fill, bytes);
    cr_assert_eq(larder_builder_finish(f->builder, &item), LARDER_OK);
    return larder_put(t, item, NULL);
}

int get(struct fixture *f, struct larder_table *t, unsigned n) {
    char text[16];
    snprintf(text, sizeof text, "k%u", n);
    return larder_get(t, &(struct larder_key){.partition = larder_str(text)}, f->page);
}

uint64_t evicted(struct larder_table *t) {
    struct larder_table_stats stats;
    cr_assert_eq(larder_table_stats(t, &stats), LARDER_OK);
    return stats.evicted;
}
