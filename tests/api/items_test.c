/* tests/api/items_test.c - items in, the same items out.
 *
 * Goal     What was put is what every read path gives back: all ten types, exact numbers, zero
 *          bytes, the largest item. Replaced and deleted items come back whole. larder_get_many()
 *          keeps the order of its keys.
 * Method   The public functions only, on the two attachments of items_kit.h.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/api/items_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"

TestSuite(items, .timeout = 60 * SLOW_FACTOR);

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

/* ---- Types ----------------------------------------------------------------------------------- */

Test(items, all_types_come_back_on_every_path) {
    struct fixture f;
    begin(&f, LARDER_S, LARDER_S);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_s(f.b, "sk", "s");
    add_all_types(f.b);
    const struct larder_item *item = finish(&f);
    const struct larder_key key = {larder_str("p"), larder_str("s")};
    EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    expect_read(&f, &key, item);
    expect_all_types(larder_page_item(f.page, 0));
    close_all(&f);
}

/* ---- Copies ---------------------------------------------------------------------------------- */

Test(items, numbers_are_exact) {
    struct fixture f;
    char name[16], text[LARDER_NUMBER_TEXT_MAX];
    begin(&f, LARDER_S, LARDER_N);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_n(f.b, "sk", "-1.5e2");
    for (size_t i = 0; i < NUMBERS; i++) {
        snprintf(name, sizeof name, "n%zu", i);
        EXPECT(larder_builder_add_n(f.b, name, numbers[i].given), LARDER_OK);
    }
    EXPECT(larder_put(f.t, finish(&f), NULL), LARDER_OK);
    const struct larder_key key = {larder_str("p"), larder_num("-150")};
    EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
    const struct larder_item *item = larder_page_item(f.page, 0);
    for (size_t i = 0; i < NUMBERS; i++) {
        struct larder_value v;
        snprintf(name, sizeof name, "n%zu", i);
        EXPECT(larder_item_get(item, name, &v), LARDER_OK);
        EXPECT(larder_value_number(&v, text), LARDER_OK);
        cr_assert_str_eq(text, numbers[i].read);
    }
    cr_assert_eq(int_of(item, "sk"), -150);
    close_all(&f);
}

/* ---- Replacing and deleting ------------------------------------------------------------------ */

Test(items, replaced_and_deleted_items_come_back) {
    struct fixture f;
    begin(&f, LARDER_S, LARDER_S);
    const struct larder_value p = larder_str("p"), s = larder_str("s");
    const struct larder_key key = {p, s};
    EXPECT(larder_delete(f.t, &key, f.page2), LARDER_NOT_FOUND);
    cr_assert_eq(larder_page_count(f.page2), 0);
    EXPECT(larder_put(f.t, small_item(&f, p, s, 1), f.page2), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page2), 0, "there was none");
    EXPECT(larder_put(f.t, small_item(&f, p, s, 2), f.page2), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page2), 1);
    cr_assert_eq(int_of(larder_page_item(f.page2, 0), "mark"), 1);
    cr_assert_eq(mark_of(&f, p, s), 2);
    EXPECT(larder_delete(f.t, &key, f.page2), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page2), 1);
    cr_assert_eq(int_of(larder_page_item(f.page2, 0), "mark"), 2);
    cr_assert_eq(mark_of(&f, p, s), -1);
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_NOT_FOUND);
    cr_assert_eq(item_count(&f), 0);
    close_all(&f);
}

/* Sizes through every class of block and up to runs, each replaced by the next. At the end nothing
 * is in use. */
Test(items, an_item_may_change_its_size) {
    struct fixture f;
    static char text[300000];
    begin(&f, LARDER_S, 0);
    put_small(&f, larder_str("other"), none, 0);
    put_small(&f, larder_str("p"), none, 0);
    const struct larder_key key = {.partition = larder_str("p")};
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_OK);
    uint64_t bytes = used_bytes(f.db);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 400; i++) {
        size_t fill = i % 2 ? i * i * 3 / 2 : (400 - i) * 10; /* up and down in turn */
        struct larder_value v;
        larder_builder_reset(f.b);
        larder_builder_add_s(f.b, "pk", "p");
        larder_builder_add_sn(f.b, "fill", text, fill);
        EXPECT(larder_put(f.t, finish(&f), f.page2), LARDER_OK);
        cr_assert_eq(larder_page_count(f.page2), i > 0);
        EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
        EXPECT(larder_item_get(larder_page_item(f.page, 0), "fill", &v), LARDER_OK);
        cr_assert(v.bytes == fill && memcmp(v.data, text, fill) == 0);
    }
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_OK);
    cr_assert_eq(used_bytes(f.db), bytes);
    close_all(&f);
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

Test(items, largest_item_fits_and_one_byte_more_does_not) {
    static char text[LARDER_ITEM_BYTES_MAX];
    struct fixture f;
    const struct larder_item *item;
    begin(&f, LARDER_S, LARDER_S);
    memset(text, 'y', sizeof text);
    const size_t names_and_keys = 2 + 1 + 2 + 1 + 4; /* pk, p, sk, s, fill */
    for (int pass = 0; pass < 3; pass++) {
        larder_builder_reset(f.b);
        larder_builder_add_s(f.b, "pk", "p");
        larder_builder_add_s(f.b, "sk", "s");
        EXPECT(larder_builder_add_sn(f.b, "fill", text, sizeof text - names_and_keys), LARDER_OK);
        text[0] = (char)('0' + pass);
        item = finish(&f);
        cr_assert_eq(larder_item_size(item), LARDER_ITEM_BYTES_MAX);
        EXPECT(larder_put(f.t, item, pass ? f.page2 : NULL), LARDER_OK);
        expect_read(&f, &(struct larder_key){larder_str("p"), larder_str("s")}, item);
    }
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_s(f.b, "sk", "s");
    EXPECT(larder_builder_add_sn(f.b, "fill", text, sizeof text - names_and_keys + 1), LARDER_E_INVAL);
    EXPECT(larder_builder_finish(f.b, &item), LARDER_E_INVAL);
    close_all(&f);
}

Test(items, many_attributes) {
    struct fixture f;
    char name[24];
    begin(&f, LARDER_S, LARDER_S);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_s(f.b, "sk", "s");
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "a%d", i * 7919 % 20000);
        EXPECT(larder_builder_add_int(f.b, name, i), LARDER_OK);
    }
    const struct larder_item *item = finish(&f);
    cr_assert_eq(larder_item_count(item), 20002);
    EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    expect_read(&f, &(struct larder_key){larder_str("p"), larder_str("s")}, item);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "a%d", i * 7919 % 20000);
        cr_assert_eq(int_of(larder_page_item(f.page, 0), name), i);
    }
    close_all(&f);
}

/* An item of a page can be put, also into a table with other keys. */
Test(items, item_of_a_page_may_be_put) {
    struct fixture f;
    const struct larder_table_def def = {.name = "turned", .partition = {"mark", LARDER_N}, .sort = {"pk", LARDER_S}};
    struct larder_table *turned;
    struct larder_page *page;
    begin(&f, LARDER_S, LARDER_S);
    EXPECT(larder_table_create(f.db, &def), LARDER_OK);
    EXPECT(larder_table_open(f.db, "turned", &turned), LARDER_OK);
    EXPECT(larder_page_new(f.db, &page), LARDER_OK);
    put_small(&f, larder_str("p"), larder_str("s"), 42);
    const struct larder_key key = {larder_str("p"), larder_str("s")}, key2 = {larder_num("42"), larder_str("p")};
    EXPECT(larder_get(f.t, &key, page), LARDER_OK);
    EXPECT(larder_put(turned, larder_page_item(page, 0), NULL), LARDER_OK);
    EXPECT(larder_put(f.t, larder_page_item(page, 0), f.page2), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page2), 1);
    EXPECT(larder_get(turned, &key2, f.page2), LARDER_OK);
    expect_same(larder_page_item(f.page2, 0), larder_page_item(page, 0));
    EXPECT(larder_put(f.t, larder_page_item(page, 0), page), LARDER_OK); /* into the page that holds it */
    cr_assert_eq(larder_page_count(page), 1);
    expect_same(larder_page_item(f.page2, 0), larder_page_item(page, 0));
    EXPECT(larder_get(turned, &(struct larder_key){larder_num("43"), larder_str("p")}, f.page2), LARDER_NOT_FOUND);
    close_all(&f);
}

/* ---- Many at once ---------------------------------------------------------------------------- */

Test(items, get_many_keeps_order_holes_and_repetitions) {
    static struct larder_key keys[1000];
    static char text[1000][16];
    struct fixture f;
    begin(&f, LARDER_S, LARDER_N);
    for (int i = 0; i < 1000; i++) {
        snprintf(text[i], sizeof text[i], "p%d", i);
        if (i % 3)
            put_small(&f, larder_str(text[i]), larder_num("5"), i);
    }
    for (int i = 0; i < 1000; i++) /* every key of 500, twice, backwards */
        keys[i] = (struct larder_key){larder_str(text[999 - i % 500]), larder_num("5.0")};
    EXPECT(larder_get_many(f.seen, keys, 1000, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 1000);
    for (int i = 0; i < 1000; i++) {
        int n = 999 - i % 500;
        const struct larder_item *item = larder_page_item(f.page, (uint32_t)i);
        cr_assert_eq(item != NULL, n % 3 != 0, "place %d", i);
        if (item)
            cr_assert_eq(int_of(item, "mark"), n);
    }
    cr_assert_null(larder_page_item(f.page, 1000));
    EXPECT(larder_get_many(f.seen, keys, 0, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    close_all(&f);
}

Test(items, get_many_refuses_all_for_one_bad_key) {
    struct larder_key keys[40];
    struct fixture f;
    begin(&f, LARDER_S, 0);
    put_small(&f, larder_str("p"), none, 1);
    for (unsigned bad = 0; bad < 40; bad += 13) {
        for (unsigned i = 0; i < 40; i++)
            keys[i] = (struct larder_key){.partition = i == bad ? larder_num("1") : larder_str("p")};
        EXPECT(larder_get_many(f.seen, keys, 40, f.page), LARDER_E_INVAL);
        cr_assert_eq(larder_page_count(f.page), 0);
        keys[bad].partition = larder_str("p");
        EXPECT(larder_get_many(f.seen, keys, 40, f.page), LARDER_OK);
        cr_assert_eq(int_of(larder_page_item(f.page, 39), "mark"), 1);
    }
    close_all(&f);
}
