/* tests/api/items_test.c - items in, the same items out.
 *
 * Goal     What was put is what every read path gives back: all ten types, exact numbers, zero bytes, the largest item, keys of
 *          every type and size; keys that are the same number are the same key, keys that only look alike are not; replaced and
 *          deleted items come back whole; larder_get_many() keeps the order of its keys.
 * Method   The public functions only. Reads go through a second attachment, mapped elsewhere, so that nothing private to the
 *          writer can help.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(items, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)

struct fixture {
    struct larder *db, *other;
    struct larder_table *t, *seen; /* the table, and the same through the other attachment */
    struct larder_builder *b;
    struct larder_page *page, *page2;
};

static void begin(struct fixture *f, enum larder_type partition, enum larder_type sort) {
    const struct larder_table_def def = {
        .name = "items", .partition = {"pk", partition}, .sort = {sort ? "sk" : NULL, sort}};
    f->db = testseg_open(32 * MIB, 4);
    f->other = testseg_attach(f->db, LARDER_READ_ONLY);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "items", &f->t), LARDER_OK);
    EXPECT(larder_table_open(f->other, "items", &f->seen), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->other, &f->page), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page2), LARDER_OK);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    larder_close(f->other);
    larder_close(f->db);
}

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

static const struct larder_item *finish(struct fixture *f) {
    const struct larder_item *item = NULL;
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

/* An item of two keys and a mark. */
static const struct larder_item *small_item(struct fixture *f, struct larder_value pk, struct larder_value sk,
                                            int mark) {
    larder_builder_reset(f->b);
    EXPECT(larder_builder_add(f->b, "pk", &pk), LARDER_OK);
    if (sk.type)
        EXPECT(larder_builder_add(f->b, "sk", &sk), LARDER_OK);
    EXPECT(larder_builder_add_int(f->b, "mark", mark), LARDER_OK);
    return finish(f);
}

static void put_small(struct fixture *f, struct larder_value pk, struct larder_value sk, int mark) {
    EXPECT(larder_put(f->t, small_item(f, pk, sk, mark), NULL), LARDER_OK);
}

static int64_t int_of(const struct larder_item *item, const char *name) {
    struct larder_value v;
    int64_t n = INT64_MIN;
    cr_assert_not_null(item);
    EXPECT(larder_item_get(item, name, &v), LARDER_OK);
    EXPECT(larder_value_int64(&v, &n), LARDER_OK);
    return n;
}

/* The mark of the item with this key, or -1. */
static int64_t mark_of(struct fixture *f, struct larder_value pk, struct larder_value sk) {
    const struct larder_key key = {pk, sk};
    int r = larder_get(f->seen, &key, f->page);
    cr_assert(r == LARDER_OK || r == LARDER_NOT_FOUND, "%s: %s", larder_result_name(r), larder_error());
    return r == LARDER_OK ? int_of(larder_page_item(f->page, 0), "mark") : -1;
}

static uint64_t item_count(struct fixture *f) {
    struct larder_table_stats stats;
    EXPECT(larder_table_stats(f->seen, &stats), LARDER_OK);
    return stats.item_count;
}

static const struct larder_value none = {0};

/* ---- Comparing whole items ------------------------------------------------------------------------------------------ */

static void expect_same_value(const struct larder_value *a, const struct larder_value *b);

static void expect_same_members(struct larder_iter *x, struct larder_iter *y) {
    struct larder_member a, b;
    while (larder_iter_next(x, &a) == LARDER_OK) {
        cr_assert_eq(larder_iter_next(y, &b), LARDER_OK);
        cr_assert(!a.name == !b.name && a.name_bytes == b.name_bytes);
        cr_assert(!a.name || memcmp(a.name, b.name, a.name_bytes) == 0);
        expect_same_value(&a.value, &b.value);
    }
    cr_assert_eq(larder_iter_next(y, &b), LARDER_NOT_FOUND);
}

static void expect_same_value(const struct larder_value *a, const struct larder_value *b) {
    char x[LARDER_NUMBER_TEXT_MAX], y[LARDER_NUMBER_TEXT_MAX];
    struct larder_iter in_a, in_b;
    cr_assert_eq(a->type, b->type);
    switch (a->type) {
    case LARDER_S:
    case LARDER_B:
        cr_assert(a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0);
        break;
    case LARDER_N:
        EXPECT(larder_value_number(a, x), LARDER_OK);
        EXPECT(larder_value_number(b, y), LARDER_OK);
        cr_assert_str_eq(x, y);
        break;
    case LARDER_BOOL:
        cr_assert_eq(a->is_true, b->is_true);
        break;
    case LARDER_NULL:
        break;
    default:
        cr_assert_eq(a->count, b->count);
        larder_iter_value(a, &in_a);
        larder_iter_value(b, &in_b);
        expect_same_members(&in_a, &in_b);
    }
}

static void expect_same(const struct larder_item *a, const struct larder_item *b) {
    struct larder_iter in_a, in_b;
    cr_assert(a && b);
    cr_assert_eq(larder_item_count(a), larder_item_count(b));
    cr_assert_eq(larder_item_size(a), larder_item_size(b));
    larder_iter_item(a, &in_a);
    larder_iter_item(b, &in_b);
    expect_same_members(&in_a, &in_b);
}

/* Through get, get_many, query and scan. */
static void expect_read(struct fixture *f, const struct larder_key *key, const struct larder_item *item) {
    struct larder_query_spec query = {.partition = key->partition, .sort_op = LARDER_SORT_EQ, .sort_value = key->sort};
    struct larder_scan_spec scan = {0};
    EXPECT(larder_get(f->seen, key, f->page), LARDER_OK);
    cr_assert_eq(larder_page_count(f->page), 1);
    expect_same(larder_page_item(f->page, 0), item);
    EXPECT(larder_get_many(f->seen, key, 1, f->page), LARDER_OK);
    expect_same(larder_page_item(f->page, 0), item);
    EXPECT(larder_query(f->seen, &query, f->page), LARDER_OK);
    cr_assert_eq(larder_page_count(f->page), 1);
    expect_same(larder_page_item(f->page, 0), item);
    int r = larder_scan(f->seen, &scan, f->page); /* LARDER_MORE if it is as large as a page */
    cr_assert(r == LARDER_OK || r == LARDER_MORE, "%s", larder_error());
    cr_assert_eq(larder_page_count(f->page), 1);
    expect_same(larder_page_item(f->page, 0), item);
}

/* ---- Types ---------------------------------------------------------------------------------------------------------- */

static const struct number {
    const char *given, *read;
} numbers[] = {
    {"0", "0"},
    {"-0", "0"},
    {"0e99", "0"},
    {"+7", "7"},
    {"007", "7"},
    {"-1", "-1"},
    {"1.50", "1.5"},
    {".5", "0.5"},
    {"5.", "5"},
    {"1e3", "1000"},
    {"12E-3", "0.012"},
    {"9223372036854775808", "9223372036854775808"},
    {"12345678901234567890123456789012345678", "12345678901234567890123456789012345678"},
    {"-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"},
    {"0.12345678901234567890123456789012345678", "0.12345678901234567890123456789012345678"},
    {"1000000000000000000000000000000000000000000", "1000000000000000000000000000000000000000000"},
};
#define NUMBERS (sizeof numbers / sizeof *numbers)

static void add_nested(struct larder_builder *b) {
    larder_builder_begin(b, "L", LARDER_L);
    larder_builder_add_null(b, NULL);
    larder_builder_begin(b, NULL, LARDER_M);
    larder_builder_begin(b, "empty list", LARDER_L);
    larder_builder_end(b);
    larder_builder_begin(b, "empty map", LARDER_M);
    larder_builder_end(b);
    larder_builder_begin(b, "set in a map in a list", LARDER_NS);
    larder_builder_add_n(b, NULL, "3");
    larder_builder_add_n(b, NULL, "-3");
    larder_builder_end(b);
    larder_builder_end(b);
    larder_builder_add_bool(b, NULL, 0);
    larder_builder_end(b);
}

static void add_all_types(struct larder_builder *b) {
    larder_builder_add_s(b, "S", "text \xe2\x82\xac");
    larder_builder_add_s(b, "S empty", "");
    larder_builder_add_sn(b, "S zeros", "a\0b\0", 4);
    larder_builder_add_b(b, "B", "\x00\xff\x80", 3);
    larder_builder_add_b(b, "B empty", "", 0);
    larder_builder_add_bool(b, "true", 1);
    larder_builder_add_bool(b, "false", 0);
    larder_builder_add_null(b, "NULL");
    larder_builder_name(b, "na\0me", 5);
    larder_builder_add_s(b, NULL, "under a name with a zero");
    larder_builder_begin(b, "SS", LARDER_SS);
    larder_builder_add_s(b, NULL, "z");
    larder_builder_add_sn(b, NULL, "a\0", 2);
    larder_builder_add_s(b, NULL, "a");
    larder_builder_end(b);
    larder_builder_begin(b, "BS", LARDER_BS);
    larder_builder_add_b(b, NULL, "\xff", 1);
    larder_builder_add_b(b, NULL, "\x00", 1);
    larder_builder_end(b);
    larder_builder_begin(b, "NS", LARDER_NS);
    for (size_t i = 3; i < NUMBERS; i++)
        if (i != 4) /* 7 twice */
            larder_builder_add_n(b, NULL, numbers[i].given);
    larder_builder_end(b);
    add_nested(b);
}

static void expect_text(const struct larder_item *item, const char *name, enum larder_type type, const char *text,
                        size_t bytes) {
    struct larder_value v;
    EXPECT(larder_item_get(item, name, &v), LARDER_OK);
    cr_assert(v.type == type && v.bytes == bytes && memcmp(v.data, text, bytes) == 0, "%s", name);
}

/* What add_all_types() added, by value: two paths could have the same fault. */
static void expect_all_types(const struct larder_item *item) {
    struct larder_value v;
    expect_text(item, "S", LARDER_S, "text \xe2\x82\xac", 8);
    expect_text(item, "S empty", LARDER_S, "", 0);
    expect_text(item, "S zeros", LARDER_S, "a\0b\0", 4);
    expect_text(item, "B", LARDER_B, "\x00\xff\x80", 3);
    expect_text(item, "B empty", LARDER_B, "", 0);
    EXPECT(larder_item_getn(item, "na\0me", 5, &v), LARDER_OK);
    cr_assert_eq(larder_item_get(item, "na", &v), LARDER_NOT_FOUND);
    EXPECT(larder_item_get(item, "true", &v), LARDER_OK);
    cr_assert(v.type == LARDER_BOOL && v.is_true == 1);
    EXPECT(larder_item_get(item, "false", &v), LARDER_OK);
    cr_assert(v.type == LARDER_BOOL && v.is_true == 0);
    EXPECT(larder_item_get(item, "NULL", &v), LARDER_OK);
    cr_assert_eq(v.type, LARDER_NULL);
    EXPECT(larder_item_get(item, "SS", &v), LARDER_OK);
    cr_assert(v.type == LARDER_SS && v.count == 3);
    EXPECT(larder_item_get(item, "BS", &v), LARDER_OK);
    cr_assert(v.type == LARDER_BS && v.count == 2);
    EXPECT(larder_item_get(item, "NS", &v), LARDER_OK);
    cr_assert(v.type == LARDER_NS && v.count == NUMBERS - 4);
    EXPECT(larder_item_get(item, "L", &v), LARDER_OK);
    cr_assert(v.type == LARDER_L && v.count == 3);
}

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
    end(&f);
}

/* ---- Copies --------------------------------------------------------------------------------------------------------- */

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

/* Every attribute is left out once, and none, of an item with its keys in front and of one with them in its records. */
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

Test(items, copies_leave_out_what_they_should) {
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
    end(&f);
}

Test(items, copies_are_changed_and_put_again) {
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
    end(&f);
}

/* Offsets of 32 bits, more attributes than a word has bits, two items in one. */
Test(items, copies_of_large_items) {
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
    end(&f);
}

static void expect_refused(struct fixture *f, int result, int expected, const char *words) {
    const struct larder_item *item;
    EXPECT(result, expected);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    EXPECT(larder_builder_finish(f->b, &item), expected); /* it is remembered */
    larder_builder_reset(f->b);
}

Test(items, copies_that_are_refused) {
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
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 0), LARDER_E_INVAL, "not to what is open");
    larder_builder_name(f.b, "name", 4);
    expect_refused(&f, larder_builder_add_all(f.b, item, NULL, 0), LARDER_E_INVAL, "not under a name");
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
    cr_assert_not_null(strstr(larder_error(), "\"pk\" is there twice"), "%s", larder_error());
    end(&f);
}

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
    end(&f);
}

/* ---- Replacing and deleting ------------------------------------------------------------------------------------------ */

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
    end(&f);
}

/* Sizes through every class of block and up to runs, each replaced by the next; then nothing is left in use. */
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
    end(&f);
}

/* ---- Keys ------------------------------------------------------------------------------------------------------------ */

Test(items, equal_numbers_are_one_key) {
    static const char *const same[] = {"1", "1.0", "1e0", "01", "+1", "100E-2", "0.1e1", "1.000000000000000000"};
    struct fixture f;
    begin(&f, LARDER_N, LARDER_N);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        put_small(&f, larder_num(same[i]), larder_num("-0"), (int)i);
        cr_assert_eq(item_count(&f), 1, "%s", same[i]);
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            cr_assert_eq(mark_of(&f, larder_num(same[k]), larder_num("0.0")), (int64_t)i);
    }
    put_small(&f, larder_num("-1"), larder_num("0"), 100);
    put_small(&f, larder_num("10"), larder_num("0"), 101);
    put_small(&f, larder_num("0.1"), larder_num("0"), 102);
    put_small(&f, larder_num("1.0000000000000000000000000000000000001"), larder_num("0"), 103);
    cr_assert_eq(item_count(&f), 5);
    /* A key as it was read serves as a key. */
    struct larder_key key = {larder_num("10"), larder_num("0")};
    EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f.page, 0), "pk", &key.partition), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f.page, 0), "sk", &key.sort), LARDER_OK);
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_OK);
    cr_assert_eq(item_count(&f), 4);
    end(&f);
}

/* Keys that are alike if a length, a zero or the border between the two is not looked at. */
Test(items, keys_that_look_alike_are_different) {
    static const struct {
        const char *pk, *sk;
        size_t pk_bytes, sk_bytes;
    } keys[] = {
        {"ab", "c", 2, 1},       {"a", "bc", 1, 2},        {"abc", "a", 3, 1}, {"a", "b", 1, 1},
        {"a\0", "b", 2, 1},      {"a", "\0b", 1, 2},       {"a", "b\0", 1, 2}, {"\0", "\0", 1, 1},
        {"\0\0", "\0", 2, 1},    {"\0", "\0\0", 1, 2},     {"A", "b", 1, 1},   {"abcdefgh", "i", 8, 1},
        {"abcdefg", "hi", 7, 2}, {"abcdefghi", "j", 9, 1},
    };
    static const enum larder_type types[] = {LARDER_S, LARDER_B};
    const int count = sizeof keys / sizeof *keys;
    for (unsigned type = 0; type < 2; type++) {
        struct fixture f;
        begin(&f, types[type], types[type]);
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < count; i++) {
                struct larder_value pk = {.type = types[type], .data = keys[i].pk, .bytes = keys[i].pk_bytes};
                struct larder_value sk = {.type = types[type], .data = keys[i].sk, .bytes = keys[i].sk_bytes};
                if (pass == 0)
                    put_small(&f, pk, sk, i);
                else
                    cr_assert_eq(mark_of(&f, pk, sk), i);
            }
        cr_assert_eq(item_count(&f), (uint64_t)count);
        end(&f);
    }
}

/* Texts of a to z, one of them with a letter of two bytes, or with a byte that no text has, at each place in turn. */
#define TEXT_BYTES_MAX 70

static struct larder_value text_of(char *to, int bytes, int at, const char *other) {
    for (int i = 0; i < bytes; i++)
        to[i] = (char)('a' + (i * 7 + bytes) % 26);
    for (int i = 0; at >= 0 && other[i]; i++)
        to[at + i] = other[i];
    return (struct larder_value){.type = LARDER_S, .data = to, .bytes = (size_t)bytes};
}

Test(items, text_keys_of_all_lengths) {
    struct fixture f;
    char pk_text[TEXT_BYTES_MAX], sk_text[TEXT_BYTES_MAX];
    begin(&f, LARDER_S, LARDER_S);
    for (int pass = 0; pass < 2; pass++)
        for (int bytes = 2; bytes <= TEXT_BYTES_MAX - 2; bytes++)
            for (int at = -1; at <= bytes - 2; at++) { /* -1: ASCII alone */
                struct larder_value pk = text_of(pk_text, bytes, at, "\xc3\xa9");
                struct larder_value sk = text_of(sk_text, TEXT_BYTES_MAX - bytes, bytes % 2 ? at % 2 : -1, "\xc3\xa9");
                if (pass == 0)
                    put_small(&f, pk, sk, bytes * 100 + at);
                else
                    cr_assert_eq(mark_of(&f, pk, sk), bytes * 100 + at, "%d bytes, other at %d", bytes, at);
            }
    end(&f);
}

Test(items, keys_that_are_no_text_are_refused) {
    struct fixture f;
    char pk_text[TEXT_BYTES_MAX], sk_text[TEXT_BYTES_MAX], words[40];
    begin(&f, LARDER_S, LARDER_S);
    for (int bytes = 1; bytes <= TEXT_BYTES_MAX; bytes++)
        for (int at = 0; at < bytes; at++)
            for (int is_sort = 0; is_sort < 2; is_sort++) {
                struct larder_key key = {text_of(pk_text, bytes, is_sort ? -1 : at, "\xff"),
                                         text_of(sk_text, bytes, is_sort ? at : -1, "\xff")};
                EXPECT(larder_get(f.seen, &key, f.page), LARDER_E_INVAL);
                snprintf(words, sizeof words, "from byte %d on", at);
                cr_assert(strstr(larder_error(), is_sort ? "sort key \"sk\"" : "partition key \"pk\"") &&
                              strstr(larder_error(), words),
                          "%s", larder_error());
            }
    end(&f);
}

Test(items, largest_keys) {
    static char pk[LARDER_PARTITION_KEY_BYTES_MAX], sk[LARDER_SORT_KEY_BYTES_MAX];
    struct fixture f;
    begin(&f, LARDER_B, LARDER_B);
    memset(pk, 0xff, sizeof pk);
    for (int i = 0; i < 200; i++) {
        pk[sizeof pk - 1] = (char)(i % 2);
        sk[sizeof sk - 1] = (char)i;
        put_small(&f, larder_bin(pk, sizeof pk), larder_bin(sk, sizeof sk), i);
    }
    for (int i = 0; i < 200; i++) {
        pk[sizeof pk - 1] = (char)(i % 2);
        sk[sizeof sk - 1] = (char)i;
        cr_assert_eq(mark_of(&f, larder_bin(pk, sizeof pk), larder_bin(sk, sizeof sk)), i);
    }
    cr_assert_eq(mark_of(&f, larder_bin(pk, sizeof pk - 1), larder_bin(sk, sizeof sk)), -1);
    end(&f);
}

Test(items, table_without_sort_key_ignores_one) {
    struct fixture f;
    begin(&f, LARDER_S, 0);
    put_small(&f, larder_str("p"), none, 1);
    cr_assert_eq(mark_of(&f, larder_str("p"), none), 1);
    cr_assert_eq(mark_of(&f, larder_str("p"), larder_str("anything")), 1);
    cr_assert_eq(mark_of(&f, larder_str("p"), larder_num("no number")), 1);
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_int(f.b, "sk", 5); /* an attribute like any other here */
    larder_builder_add_int(f.b, "mark", 2);
    EXPECT(larder_put(f.t, finish(&f), f.page2), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page2), 1);
    cr_assert_eq(item_count(&f), 1);
    end(&f);
}

/* ---- Sizes ----------------------------------------------------------------------------------------------------------- */

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
    end(&f);
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
    end(&f);
}

/* An item of a page is an item to put, also into a table of other keys. */
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
    EXPECT(larder_get(turned, &(struct larder_key){larder_num("43"), larder_str("p")}, f.page2), LARDER_NOT_FOUND);
    end(&f);
}

/* ---- Many at once ---------------------------------------------------------------------------------------------------- */

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
    end(&f);
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
    end(&f);
}
