/* tests/api/moved_test.c - items that were moved are the same items.
 *
 * Goal     A full segment of which little is live takes large items: blocks are moved until there
 *          is room (core/table/compact.h). Nobody can tell that an item was moved: its version is
 *          still the one that larder_put_if() expects, its index finds it, its memory is counted.
 *          A table is created where free memory lies in single blocks only.
 * Method   Small items until LARDER_E_FULL; all but a tenth deleted; large items until
 *          LARDER_E_FULL; then each survivor is overwritten by larder_put_if() with the item as it
 *          was read before.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(moved, .timeout = 100 * SLOW_FACTOR);

#define SEGMENT_BYTES (16u << 20)
#define SMALL_BYTES 300u
#define LARGE_BYTES 100000u
#define KEPT_MAX 8192u

struct fixture {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
    struct larder_page *page;
};

static void begin(struct fixture *f, uint32_t stripe_count) {
    const struct larder_index_def index = {.name = "ByGroup", .partition = {"G", LARDER_S}, .sort = {"SK", LARDER_S}};
    const struct larder_table_def def = {
        .name = "Moved", .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}, .indexes = &index, .index_count = 1};
    f->db = testseg_open(SEGMENT_BYTES, stripe_count);
    cr_assert_eq(larder_table_create(f->db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(f->db, "Moved", &f->table), LARDER_OK);
    cr_assert_eq(larder_builder_new(f->db, &f->builder), LARDER_OK);
    cr_assert_eq(larder_page_new(f->db, &f->page), LARDER_OK);
}

static void end(struct fixture *f) {
    larder_page_free(f->page);
    larder_builder_free(f->builder);
    larder_close(f->db);
}

static const struct larder_item *item_of(struct fixture *f, unsigned n, unsigned bytes) {
    static const char fill[LARGE_BYTES];
    const struct larder_item *item;
    char text[16];
    larder_builder_reset(f->builder);
    snprintf(text, sizeof text, "p%u", n / 50);
    larder_builder_add_s(f->builder, "PK", text);
    snprintf(text, sizeof text, "s%u", n);
    larder_builder_add_s(f->builder, "SK", text);
    snprintf(text, sizeof text, "g%u", n % 7);
    larder_builder_add_s(f->builder, "G", text);
    larder_builder_add_b(f->builder, "fill", fill, bytes);
    cr_assert_eq(larder_builder_finish(f->builder, &item), LARDER_OK);
    return item;
}

static unsigned fill_up(struct fixture *f, unsigned from, unsigned bytes) {
    unsigned n = from;
    int r;
    while ((r = larder_put(f->table, item_of(f, n, bytes), NULL)) == LARDER_OK)
        n++;
    cr_assert_eq(r, LARDER_E_FULL, "%s", larder_error());
    return n;
}

static struct larder_key key_of(unsigned n, char text[2][16]) {
    snprintf(text[0], 16, "p%u", n / 50);
    snprintf(text[1], 16, "s%u", n);
    return (struct larder_key){.partition = larder_str(text[0]), .sort = larder_str(text[1])};
}

Test(moved, large_items_find_room_and_versions_stay) {
    static struct larder_page *before[KEPT_MAX];
    struct fixture f;
    struct larder_check_report report;
    char text[2][16];
    unsigned kept = 0;
    begin(&f, 0);
    unsigned small = fill_up(&f, 0, SMALL_BYTES);
    cr_assert_leq(small / 10 + 1, KEPT_MAX);
    for (unsigned n = 0; n < small; n++) {
        struct larder_key key = key_of(n, text);
        if (n % 10 != 0)
            cr_assert_eq(larder_delete(f.table, &key, NULL), LARDER_OK);
        else {
            cr_assert_eq(larder_page_new(f.db, &before[kept]), LARDER_OK);
            cr_assert_eq(larder_get(f.table, &key, before[kept++]), LARDER_OK);
        }
    }
    unsigned large = fill_up(&f, small, LARGE_BYTES) - small;
    cr_expect_geq(large, SEGMENT_BYTES / 10 * 6 / LARGE_BYTES, "only %u large items", large);
    for (unsigned n = small; n < small + large; n++) {
        struct larder_key key = key_of(n, text);
        cr_assert_eq(larder_delete(f.table, &key, NULL), LARDER_OK);
    }
    for (unsigned i = 0; i < kept; i++) {
        const struct larder_item *was = larder_page_item(before[i], 0);
        cr_assert_eq(larder_put_if(f.table, item_of(&f, i * 10, SMALL_BYTES), was, NULL), LARDER_OK, "item %u", i * 10);
        larder_page_free(before[i]);
    }
    cr_expect_eq(larder_check(f.db, NULL, &report), LARDER_OK);
    cr_expect_eq(report.leaked_blocks, 0);
    cr_expect_eq(report.stale_entries, 0);
    end(&f);
}

enum { STRIPES = 8192 };

static void create_among_deleted_items(void) {
    const struct larder_table_def def = {.name = "Second", .partition = {"PK", LARDER_S}};
    struct larder_check_report report;
    struct fixture f;
    char text[2][16];
    begin(&f, STRIPES);
    unsigned small = fill_up(&f, 0, SMALL_BYTES);
    for (unsigned n = 0; n < small; n += 2) {
        struct larder_key key = key_of(n, text);
        cr_assert_eq(larder_delete(f.table, &key, NULL), LARDER_OK);
    }
    cr_expect_eq(larder_table_create(f.db, &def), LARDER_OK, "%s", larder_error());
    for (unsigned n = 1; n < small; n += 2) {
        struct larder_key key = key_of(n, text);
        cr_assert_eq(larder_get(f.table, &key, f.page), LARDER_OK, "item %u", n);
    }
    cr_expect_eq(larder_check(f.db, NULL, &report), LARDER_OK);
    cr_expect_eq(report.leaked_blocks, 0);
    end(&f);
}

/* A table's two stripe arrays are the longest runs that the engine asks for. In their way are
 * arrays that became empty, which have to go before the rest can be moved. Where they lie is a
 * matter of luck, so there are several tries. */
Test(moved, a_table_is_created_among_deleted_items) {
    for (int round = 0; round < 4; round++)
        create_among_deleted_items();
}
