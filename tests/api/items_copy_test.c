/* tests/api/items_copy_test.c - items copied into a builder.
 *
 * Goal     larder_builder_add_all() and the like copy what they should, leave out what they should,
 *          and refuse what cannot be copied.
 * Method   Copies are put again and compared with the same item built by hand.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/api/items_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"

TestSuite(items_copy, .timeout = 60 * SLOW_FACTOR);

/* The same attributes, added one by one. */
static const struct larder_item *copy_one_by_one(struct larder_builder *b, const struct larder_item *from,
                                                 const char *but) {
    const struct larder_item *copy;
    struct larder_iter it;
    struct larder_member m;
    larder_builder_reset(b);
    for (larder_iter_item(from, &it); larder_iter_next(&it, &m) == LARDER_OK;)
        if (!but || m.name_bytes != strlen(but) || memcmp(m.name, but, m.name_bytes) != 0)
            EXPECT(larder_builder_add_member(b, &m), LARDER_OK);
    EXPECT(larder_builder_finish(b, &copy), LARDER_OK);
    return copy;
}

/* Every attribute is left out once, and none, of an item with its keys in front and of one with
 * them in its records. */
static void copy_but_each(struct fixture *f, const struct larder_item *from) {
    struct larder_builder *plain;
    const struct larder_item *copy;
    struct larder_iter it;
    struct larder_member m;
    char name[32];
    EXPECT(larder_builder_new(f->db, &plain), LARDER_OK);
    larder_builder_reset(f->b);
    EXPECT(larder_builder_add_all(f->b, from, NULL, 0), LARDER_OK);
    EXPECT(larder_builder_finish(f->b, &copy), LARDER_OK);
    expect_same(copy, from);
    for (larder_iter_item(from, &it); larder_iter_next(&it, &m) == LARDER_OK;) {
        if (memchr(m.name, 0, m.name_bytes))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)m.name_bytes, m.name);
        larder_builder_reset(f->b);
        EXPECT(larder_builder_add_all(f->b, from, (const char *const[]){"none", name, name}, 3), LARDER_OK);
        EXPECT(larder_builder_finish(f->b, &copy), LARDER_OK);
        expect_same(copy, copy_one_by_one(plain, from, name));
    }
    larder_builder_free(plain);
}

Test(items_copy, copies_leave_out_what_they_should) {
    struct fixture f;
    const struct larder_key key = {larder_str("p"), larder_str("s")};
    struct larder_builder *other;
    begin(&f, LARDER_S, LARDER_S);
    EXPECT(larder_builder_new(f.db, &other), LARDER_OK);
    larder_builder_add_s(other, "pk", "p");
    larder_builder_add_s(other, "sk", "s");
    add_all_types(other);
    const struct larder_item *item;
    EXPECT(larder_builder_finish(other, &item), LARDER_OK);
    EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    copy_but_each(&f, item);
    EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
    copy_but_each(&f, larder_page_item(f.page, 0));
    close_all(&f);
}

Test(items_copy, copies_are_changed_and_put_again) {
    struct fixture f;
    const struct larder_key key = {larder_str("p"), larder_str("s")};
    begin(&f, LARDER_S, LARDER_S);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_s(f.b, "sk", "s");
    add_all_types(f.b);
    EXPECT(larder_put(f.t, finish(&f), NULL), LARDER_OK);
    EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
    const char *changed[] = {"S", "true", "first"};
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "first", "behind some and before others");
    EXPECT(larder_builder_add_all(f.b, larder_page_item(f.page, 0), changed, 3), LARDER_OK);
    larder_builder_add_bool(f.b, "true", 1);
    larder_builder_add_s(f.b, "S", "text \xe2\x82\xac");
    const struct larder_item *item = finish(&f);
    expect_all_types(item);
    expect_text(item, "first", LARDER_S, "behind some and before others", 29);
    EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    expect_read(&f, &key, item);
    close_all(&f);
}

/* Offsets of 32 bits, more attributes than a word has bits, two items in one. */
Test(items_copy, copies_of_large_items) {
    struct fixture f;
    struct larder_builder *other;
    const struct larder_item *item;
    const struct larder_key key = {larder_str("p"), larder_str("s")};
    static char fill[70000];
    const char *but[300];
    char names[300][8];
    begin(&f, LARDER_S, LARDER_S);
    EXPECT(larder_builder_new(f.db, &other), LARDER_OK);
    larder_builder_add_s(other, "pk", "p");
    larder_builder_add_s(other, "sk", "s");
    larder_builder_add_b(other, "fill", fill, sizeof fill);
    for (int i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "a%03d", i);
        but[i] = names[i];
        larder_builder_add_int(other, names[i], i);
    }
    EXPECT(larder_builder_finish(other, &item), LARDER_OK);
    EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
    EXPECT(larder_builder_add_all(f.b, larder_page_item(f.page, 0), but, 299), LARDER_OK);
    EXPECT(larder_builder_add_all(f.b, item, but + 299, 1), LARDER_OK);
    EXPECT(larder_builder_finish(f.b, &item), LARDER_E_INVAL); /* keys twice */
    but[299] = "fill";
    larder_builder_reset(f.b);
    EXPECT(larder_builder_add_all(f.b, larder_page_item(f.page, 0), but, 300), LARDER_OK);
    item = finish(&f);
    cr_assert_eq(larder_item_count(item), 3);
    cr_assert_eq(int_of(item, "a299"), 299);
    close_all(&f);
}

static void expect_refused(struct fixture *f, int result, int expected, const char *words) {
    const struct larder_item *item;
    EXPECT(result, expected);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    EXPECT(larder_builder_finish(f->b, &item), expected); /* the builder keeps the failure */
    larder_builder_reset(f->b);
}

Test(items_copy, copies_that_are_refused) {
    struct fixture f;
    struct larder_builder *other;
    const struct larder_item *item;
    static char fill[300000];
    begin(&f, LARDER_S, LARDER_S);
    EXPECT(larder_builder_new(f.db, &other), LARDER_OK);
    larder_builder_add_s(other, "pk", "p");
    larder_builder_add_b(other, "fill", fill, sizeof fill);
    EXPECT(larder_builder_finish(other, &item), LARDER_OK);
    expect_refused(&f, larder_builder_add_all(f.b, NULL, NULL, 0), LARDER_E_INVAL, "NULL");
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 1), LARDER_E_INVAL, "NULL");
    larder_builder_begin(f.b, "open", LARDER_M);
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 0), LARDER_E_INVAL, "no map, list or set may be open");
    larder_builder_name(f.b, "name", 4);
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 0), LARDER_E_INVAL, "no name given");
    larder_builder_add_s(other, "text", "text");
    EXPECT(larder_builder_finish(other, &item), LARDER_OK);
    struct larder_value value;
    EXPECT(larder_item_get(item, "text", &value), LARDER_OK);
    memset((void *)value.data, 0xff, 1); /* a damaged segment's page could hold that */
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 0), LARDER_E_CORRUPT, "damaged");
    memset((void *)value.data, 't', 1);
    larder_builder_add_b(f.b, "more", fill, 200000);
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 0), LARDER_E_INVAL, "500019 bytes; at most 409600");
    larder_builder_add_b(f.b, "more", fill, 200000);
    EXPECT(larder_builder_add_all(f.b, item, (const char *const[]){"fill"}, 1),
           LARDER_OK); /* what is left out does not count */
    EXPECT(larder_builder_add_all(f.b, item, (const char *const[]){"fill"}, 1), LARDER_OK);
    EXPECT(larder_builder_finish(f.b, &item), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "\"pk\" is given twice"), "%s", larder_error());
    close_all(&f);
}
