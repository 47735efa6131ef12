/* tests/api/items_kit.c - see items_kit.h. */
#include <criterion/criterion.h>
#include <string.h>

#include "larder.h"
#include "tests/api/items_kit.h"
#include "tests/support/expect.h"
#include "tests/support/testseg.h"

#define MIB (UINT64_C(1) << 20)

void begin(struct fixture *f, enum larder_type partition, enum larder_type sort) {
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

void close_all(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    larder_close(f->other);
    larder_close(f->db);
}

const struct larder_item *finish(struct fixture *f) {
    const struct larder_item *item = NULL;
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

const struct larder_item *small_item(struct fixture *f, struct larder_value pk, struct larder_value sk, int mark) {
    larder_builder_reset(f->b);
    EXPECT(larder_builder_add(f->b, "pk", &pk), LARDER_OK);
    if (sk.type)
        EXPECT(larder_builder_add(f->b, "sk", &sk), LARDER_OK);
    EXPECT(larder_builder_add_int(f->b, "mark", mark), LARDER_OK);
    return finish(f);
}

void put_small(struct fixture *f, struct larder_value pk, struct larder_value sk, int mark) {
    EXPECT(larder_put(f->t, small_item(f, pk, sk, mark), NULL), LARDER_OK);
}

int64_t int_of(const struct larder_item *item, const char *name) {
    struct larder_value v;
    int64_t n = INT64_MIN;
    cr_assert_not_null(item);
    EXPECT(larder_item_get(item, name, &v), LARDER_OK);
    EXPECT(larder_value_int64(&v, &n), LARDER_OK);
    return n;
}

int64_t mark_of(struct fixture *f, struct larder_value pk, struct larder_value sk) {
    const struct larder_key key = {pk, sk};
    int r = larder_get(f->seen, &key, f->page);
    cr_assert(r == LARDER_OK || r == LARDER_NOT_FOUND, "%s: %s", larder_result_name(r), larder_error());
    return r == LARDER_OK ? int_of(larder_page_item(f->page, 0), "mark") : -1;
}

uint64_t item_count(struct fixture *f) {
    struct larder_table_stats stats;
    EXPECT(larder_table_stats(f->seen, &stats), LARDER_OK);
    return stats.item_count;
}

const struct larder_value none = {0};

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

void expect_same(const struct larder_item *a, const struct larder_item *b) {
    struct larder_iter in_a, in_b;
    cr_assert(a && b);
    cr_assert_eq(larder_item_count(a), larder_item_count(b));
    cr_assert_eq(larder_item_size(a), larder_item_size(b));
    larder_iter_item(a, &in_a);
    larder_iter_item(b, &in_b);
    expect_same_members(&in_a, &in_b);
}

void expect_read(struct fixture *f, const struct larder_key *key, const struct larder_item *item) {
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

void add_all_types(struct larder_builder *b) {
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

void expect_text(const struct larder_item *item, const char *name, enum larder_type type, const char *text,
                 size_t bytes) {
    struct larder_value v;
    EXPECT(larder_item_get(item, name, &v), LARDER_OK);
    cr_assert(v.type == type && v.bytes == bytes && memcmp(v.data, text, bytes) == 0, "%s", name);
}

void expect_all_types(const struct larder_item *item) {
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
