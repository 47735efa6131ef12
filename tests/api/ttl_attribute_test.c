/* tests/api/ttl_attribute_test.c - the TTL attribute of a table changes.
 *
 * Goal     A change of the attribute counts at once, also for stored items, and can be made again
 *          and again.
 * Method   Items with two attributes that name a time; the clock of ttl_kit.h.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/item/item.h"
#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/slow.h"

TestSuite(ttl_attribute, .timeout = 90 * SLOW_FACTOR);

static void put_both(struct fixture *f, const char *sk, const char *ttl, const char *other) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "pk", "p");
    larder_builder_add_s(f->b, "sk", sk);
    larder_builder_add_s(f->b, "owner", "me");
    larder_builder_add_n(f->b, "ttl", ttl);
    larder_builder_add_n(f->b, "other", other);
    cr_assert_eq(larder_builder_finish(f->b, &item), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_put(f->t, item, NULL), LARDER_OK, "%s", larder_error());
}

Test(ttl_attribute, the_attribute_can_be_changed) {
    struct fixture f = begin(), g = f;
    const struct larder_table_def *def;
    struct larder_options options = {.segment = f.name};
    /* knows the old definition */
    cr_assert_eq(larder_open(&options, &g.db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(attach(&g), LARDER_OK);
    put_both(&f, "a", "1700000010", "1700000100");
    put_both(&f, "b", "1700000100", "1700000010");
    cr_assert_eq(visible(&g), 2);
    set_attribute(&f, "other");
    cr_assert_eq(larder_table_describe(f.t, &def), LARDER_OK);
    cr_assert_str_eq(def->ttl_attribute, "other");
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(get(&g, "a"), LARDER_OK);
    cr_assert_eq(get(&g, "b"), LARDER_NOT_FOUND);
    cr_assert_eq(visible(&f), 1);
    cr_assert_eq(visible(&g), 1);
    cr_assert_eq(expire(&g), 1);
    check(&f);
    put_both(&g, "c", "1700000011", "1700000020");
    atomic_store(f.clock_s, NOW_S + 20);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(item_count(&f), 0);
    larder_close(g.db);
    finish(&f);
}

Test(ttl_attribute, the_attribute_can_be_removed_and_set_again) {
    struct fixture f = begin();
    put_many(&f, 3000, 50);
    put(&f, "a", NOW_S + 10);
    set_attribute(&f, NULL);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(scan_count(&f), 3001);
    check(&f);
    set_attribute(&f, "ttl");
    cr_assert_eq(get(&f, "a"), LARDER_NOT_FOUND);
    cr_assert_eq(scan_count(&f), 0);
    cr_assert_eq(expire(&f), 3001);
    set_attribute(&f, "ttl"); /* as it is already */
    finish(&f);
}

/* The counter of changes that an item remembers wraps around. */
Test(ttl_attribute, the_attribute_can_be_changed_thousands_of_times) {
    struct fixture f = begin();
    put_both(&f, "a", "1700000010", "1700000100");
    put_both(&f, "b", "1700000100", "1700000010");
    put_number(&f, "c", NULL, NULL);
    for (uint32_t i = 1; i <= ITEM_TTL_GENERATION_MAX + 2; i++) {
        set_attribute(&f, i % 2 ? "other" : "ttl");
        if (i % 1000 == 0 || i + 4 > ITEM_TTL_GENERATION_MAX) {
            cr_assert_eq(get(&f, "c"), LARDER_OK);
            uint32_t generation = item_ttl_generation(item_head(larder_page_item(f.page, 0)));
            cr_assert_eq(generation, 1 + i % ITEM_TTL_GENERATION_MAX);
            atomic_store(f.clock_s, NOW_S + 10);
            cr_assert_eq(get(&f, "a"), i % 2 ? LARDER_OK : LARDER_NOT_FOUND);
            cr_assert_eq(get(&f, "b"), i % 2 ? LARDER_NOT_FOUND : LARDER_OK);
            atomic_store(f.clock_s, NOW_S);
            check(&f);
        }
    }
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 2);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    finish(&f);
}

Test(ttl_attribute, a_table_without_attribute_can_get_one) {
    struct fixture f = begin();
    const struct larder_table_def def = {.name = "plain", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}};
    cr_assert_eq(larder_table_create(f.db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(f.db, "plain", &f.t), LARDER_OK);
    put(&f, "a", NOW_S + 10);
    put(&f, "b", NOW_S - 10);
    cr_assert_eq(scan_count(&f), 2);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    set_attribute(&f, "ttl");
    cr_assert_eq(scan_count(&f), 1);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(scan_count(&f), 0);
    cr_assert_eq(expire(&f), 1);
    finish(&f);
}

Test(ttl_attribute, bad_attribute_names_are_refused) {
    struct fixture f = begin();
    char name[LARDER_NAME_BYTES_MAX + 2];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    cr_assert_eq(larder_ttl_set(f.t, name), LARDER_E_INVAL);
    cr_assert_eq(larder_ttl_set(f.t, ""), LARDER_E_INVAL);
    cr_assert_eq(larder_ttl_set(f.t, "\xff"), LARDER_E_INVAL);
    name[LARDER_NAME_BYTES_MAX] = 0;
    cr_assert_eq(larder_ttl_set(f.t, name), LARDER_OK, "%s", larder_error());
    finish(&f);
}
