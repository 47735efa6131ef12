/* tests/api/item_copy_test.c - larder_item_copy(): an item that outlives its page.
 *
 * Goal     A copy is the item in every respect, whatever becomes of the page, builder or table that
 *          it came from: attributes, size, and the version that larder_put_if() compares. Its
 *          memory goes with larder_item_free(), or with larder_close().
 */
#include <criterion/criterion.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/same_item.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(item_copy, .timeout = 60 * SLOW_FACTOR);

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
};

static const struct larder_key key = {.partition = {.type = LARDER_S, .data = "one", .bytes = 3}};

static void begin(struct fixture *f) {
    const struct larder_table_def def = {.name = "table", .partition = {"id", LARDER_S}};
    f->db = testseg_open(8u << 20, 4);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
}

static const struct larder_item *build(struct fixture *f, int64_t n, size_t text_bytes) {
    static char text[100 * 1024];
    const struct larder_item *item;
    memset(text, 'x', sizeof text);
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", "one");
    larder_builder_add_int(f->b, "n", n);
    larder_builder_add_sn(f->b, "text", text, text_bytes);
    larder_builder_begin(f->b, "m", LARDER_M);
    larder_builder_add_bool(f->b, "is", 1);
    larder_builder_end(f->b);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

Test(item_copy, outlives_page_and_builder) {
    for (size_t bytes = 0; bytes <= 100 * 1024; bytes = bytes * 10 + 1) {
        struct fixture f;
        struct larder_item *built, *read;
        struct larder_value n;
        int64_t value = 0;
        begin(&f);
        EXPECT(larder_item_copy(f.db, build(&f, 1, bytes), &built), LARDER_OK);
        EXPECT(larder_put(f.t, built, NULL), LARDER_OK);
        EXPECT(larder_get(f.t, &key, f.page), LARDER_OK);
        EXPECT(larder_item_copy(f.db, larder_page_item(f.page, 0), &read), LARDER_OK);
        EXPECT(larder_put(f.t, build(&f, 2, 5), f.page), LARDER_OK);
        EXPECT(larder_get(f.t, &key, f.page), LARDER_OK);
        larder_page_free(f.page);
        larder_builder_free(f.b);
        cr_assert(is_same_item(built, read) && larder_item_size(built) == larder_item_size(read));
        EXPECT(larder_item_get(read, "n", &n), LARDER_OK);
        EXPECT(larder_value_int64(&n, &value), LARDER_OK);
        cr_assert_eq(value, 1);
        larder_item_free(built);
        larder_item_free(NULL);
        larder_close(f.db); /* `read` goes with it */
    }
}

Test(item_copy, has_the_version_of_the_item) {
    struct fixture f;
    struct larder_item *read, *again, *built;
    begin(&f);
    EXPECT(larder_put(f.t, build(&f, 1, 5), NULL), LARDER_OK);
    EXPECT(larder_get(f.t, &key, f.page), LARDER_OK);
    EXPECT(larder_item_copy(f.db, larder_page_item(f.page, 0), &read), LARDER_OK);
    EXPECT(larder_item_copy(f.db, read, &again), LARDER_OK);
    larder_page_free(f.page);
    EXPECT(larder_put_if(f.t, build(&f, 2, 5), again, NULL), LARDER_OK);
    EXPECT(larder_put_if(f.t, build(&f, 3, 5), read, NULL), LARDER_CHANGED);
    EXPECT(larder_item_copy(f.db, build(&f, 4, 5), &built), LARDER_OK);
    EXPECT(larder_put_if(f.t, build(&f, 5, 5), built, NULL), LARDER_E_INVAL);
    larder_close(f.db);
}

/* Copying and freeing leaves nothing behind. */
Test(item_copy, memory_comes_back) {
    struct fixture f;
    struct larder_segment_stats before, after;
    begin(&f);
    const struct larder_item *item = build(&f, 1, 50 * 1024);
    for (int i = 0; i < 100; i++) {
        struct larder_item *copy;
        EXPECT(larder_item_copy(f.db, item, &copy), LARDER_OK);
        larder_item_free(copy);
        if (i == 10)
            EXPECT(larder_segment_stats(f.db, &before), LARDER_OK);
    }
    EXPECT(larder_segment_stats(f.db, &after), LARDER_OK);
    cr_assert_eq(after.private_bytes, before.private_bytes);
    larder_close(f.db);
}
