/* tests/api/filter_test.c - filters, projections and key conditions of queries and scans.
 *
 * Goal     A filter comes after limit and size: a page may be empty and not the last. The count
 *          before it is larder_page_scanned(). A projection gives what it names, also of items that
 *          it makes larger. A key condition asks for the same items as partition and sort_op.
 * Method   The public functions only. The language itself: tests/unit/expr/.
 * Source   Developer guide, "Filter expressions for the Query operation", "Limiting the number of
 *          items in the result set", "Counting the items in the results", "Projection expressions",
 *          "Key condition expressions for the Query operation".
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(filter, .timeout = 60 * SLOW_FACTOR);

#define ITEMS 60

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    const struct larder_item *values; /* ":p" = "P", ":n" = 3, ":low" = 10, ":high" = 19 */
};

static const struct larder_index_def by_kind = {
    .name = "by-kind", .partition = {"kind", LARDER_S}, .sort = {"n", LARDER_N}};

/* n % 7 is "rest"; "info" is a map, "marks" a list. */
static void put(struct fixture *f, int n) {
    const struct larder_item *item;
    char text[100];
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "PK", "P");
    larder_builder_add_int(f->b, "n", n);
    larder_builder_add_s(f->b, "kind", n % 2 ? "odd" : "even");
    larder_builder_add_int(f->b, "rest", n % 7);
    snprintf(text, sizeof text, "%*d", n % 40 + 1, n);
    larder_builder_add_s(f->b, "line", text);
    larder_builder_begin(f->b, "info", LARDER_M);
    larder_builder_add_int(f->b, "square", (int64_t)n * n);
    larder_builder_add_s(f->b, "more", text);
    larder_builder_end(f->b);
    larder_builder_begin(f->b, "marks", LARDER_L);
    larder_builder_add_int(f->b, NULL, n);
    larder_builder_add_int(f->b, NULL, -n);
    larder_builder_end(f->b);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

static void begin(struct fixture *f) {
    const struct larder_table_def def = {
        .name = "table", .partition = {"PK", LARDER_S}, .sort = {"n", LARDER_N}, .indexes = &by_kind, .index_count = 1};
    struct larder_builder *values;
    f->db = testseg_open(16u << 20, 4);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &values), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    for (int n = 0; n < ITEMS; n++)
        put(f, n);
    larder_builder_add_s(values, ":p", "P");
    larder_builder_add_int(values, ":n", 3);
    larder_builder_add_int(values, ":low", 10);
    larder_builder_add_int(values, ":high", 19);
    EXPECT(larder_builder_finish(values, &f->values), LARDER_OK);
}

static struct larder_expr *prepared(struct fixture *f, enum larder_expr_kind kind, const char *text) {
    struct larder_expr *expr;
    EXPECT(larder_prepare(f->db, kind, text, NULL, 0, &expr), LARDER_OK);
    return expr;
}

static int64_t number_at(const struct larder_page *page, uint32_t i, const char *name) {
    struct larder_value value;
    int64_t number;
    EXPECT(larder_item_get(larder_page_item(page, i), name, &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &number), LARDER_OK);
    return number;
}

Test(filter, comes_after_the_limit) {
    struct fixture f;
    begin(&f);
    struct larder_query_spec spec = {.partition = larder_str("P"),
                                     .limit = 3,
                                     .filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n"),
                                     .values = f.values};
    struct larder_page *pages[2] = {f.page, NULL};
    EXPECT(larder_page_new(f.db, &pages[1]), LARDER_OK);
    int r = LARDER_MORE, found = 0, empty = 0, read = 0;
    for (int turn = 0; r == LARDER_MORE; turn ^= 1) {
        r = larder_query(f.t, &spec, pages[turn]);
        cr_assert(r == LARDER_OK || r == LARDER_MORE, "%s", larder_error());
        cr_assert_leq(larder_page_scanned(pages[turn]), 3);
        read += (int)larder_page_scanned(pages[turn]);
        empty += larder_page_count(pages[turn]) == 0 && r == LARDER_MORE;
        for (uint32_t i = 0; i < larder_page_count(pages[turn]); i++)
            cr_assert_eq(number_at(pages[turn], i, "n"), 3 + 7 * found++);
        spec.start_key = larder_page_resume(pages[turn]);
    }
    cr_assert_eq(read, ITEMS);
    cr_assert_eq(found, 9);
    cr_assert_gt(empty, 0);
    larder_close(f.db);
}

/* The first call with its page: that has no memory yet. */
Test(filter, of_nothing) {
    struct fixture f;
    begin(&f);
    const struct larder_query_spec spec = {
        .partition = larder_str("none"), .filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n"), .values = f.values};
    EXPECT(larder_query(f.t, &spec, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    larder_close(f.db);
}

Test(filter, of_a_scan) {
    struct fixture f;
    begin(&f);
    struct larder_scan_spec spec = {.filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n AND kind = :p"),
                                    .values = f.values};
    EXPECT(larder_scan(f.t, &spec, f.page), LARDER_OK);
    cr_assert(larder_page_count(f.page) == 0 && larder_page_scanned(f.page) == ITEMS);
    spec.filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n OR rest = :low");
    EXPECT(larder_scan(f.t, &spec, f.page), LARDER_OK);
    cr_assert(larder_page_count(f.page) == 9 && larder_page_scanned(f.page) == ITEMS);
    larder_close(f.db);
}

/* Alone and behind a filter, of the table (whose items become larger: keys become attributes) and
 * of an index. */
Test(filter, projection) {
    struct fixture f;
    begin(&f);
    struct larder_query_spec spec = {.partition = larder_str("P"),
                                     .projection = prepared(&f, LARDER_EXPR_PROJECTION, "n, info.square, marks[1]")};
    EXPECT(larder_query(f.t, &spec, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        cr_assert_eq(number_at(f.page, i, "n"), i);
        cr_assert_eq(larder_item_count(larder_page_item(f.page, i)), 3);
    }
    spec.projection = prepared(&f, LARDER_EXPR_PROJECTION, "PK, n, kind, rest, info, nothing, marks[7]");
    spec.filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n");
    spec.values = f.values;
    EXPECT(larder_query(f.t, &spec, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 9);
    for (uint32_t i = 0; i < 9; i++) {
        cr_assert_eq(number_at(f.page, i, "n"), 3 + 7 * i);
        cr_assert_eq(larder_item_count(larder_page_item(f.page, i)), 5, "nothing and marks[7] are not there");
    }
    spec.index = "by-kind";
    spec.partition = larder_str("odd");
    EXPECT(larder_query(f.t, &spec, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 5);
    larder_close(f.db);
}

static uint32_t count_of(struct fixture *f, const char *index, const char *text) {
    struct larder_expr *condition = prepared(f, LARDER_EXPR_KEY_CONDITION, text);
    struct larder_query_spec spec = {.index = index, .key_condition = condition, .values = f->values};
    EXPECT(larder_query(f->t, &spec, f->page), LARDER_OK);
    larder_expr_free(condition);
    return larder_page_count(f->page);
}

Test(filter, key_conditions) {
    struct fixture f;
    begin(&f);
    cr_assert_eq(count_of(&f, NULL, "PK = :p"), ITEMS);
    cr_assert_eq(count_of(&f, NULL, "PK = :p AND n = :n"), 1);
    cr_assert_eq(count_of(&f, NULL, "n < :low AND PK = :p"), 10);
    cr_assert_eq(count_of(&f, NULL, "PK = :p AND n <= :low"), 11);
    cr_assert_eq(count_of(&f, NULL, "PK = :p AND n > :low"), ITEMS - 11);
    cr_assert_eq(count_of(&f, NULL, "PK = :p AND n >= :low"), ITEMS - 10);
    cr_assert_eq(count_of(&f, NULL, "(PK = :p) AND (n BETWEEN :low AND :high)"), 10);
    cr_assert_eq(count_of(&f, "by-kind", "kind = :p"), 0);
    larder_close(f.db);
}

static void expect_invalid(struct fixture *f, struct larder_query_spec *spec, const char *words) {
    EXPECT(larder_query(f->t, spec, f->page), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    cr_assert_eq(larder_page_count(f->page), 0);
}

/* Select COUNT: as many as without it, page after page, and no items. */
Test(filter, only_a_count) {
    struct fixture f;
    begin(&f);
    struct larder_query_spec spec = {.partition = larder_str("P"),
                                     .limit = 7,
                                     .filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n"),
                                     .values = f.values,
                                     .select = LARDER_SELECT_COUNT};
    struct larder_page *pages[2] = {f.page, NULL};
    EXPECT(larder_page_new(f.db, &pages[1]), LARDER_OK);
    uint64_t matched = 0, scanned = 0;
    int r = LARDER_MORE;
    for (int turn = 0; r == LARDER_MORE; turn ^= 1) {
        r = larder_query(f.t, &spec, pages[turn]);
        cr_assert_eq(larder_page_count(pages[turn]), 0);
        cr_assert_null(larder_page_item(pages[turn], 0));
        matched += larder_page_matched(pages[turn]);
        scanned += larder_page_scanned(pages[turn]);
        spec.start_key = larder_page_resume(pages[turn]);
    }
    cr_assert(r == LARDER_OK && matched == 9 && scanned == ITEMS);
    EXPECT(larder_scan(f.t, &(struct larder_scan_spec){.select = LARDER_SELECT_COUNT}, f.page), LARDER_OK);
    cr_assert(larder_page_matched(f.page) == ITEMS && larder_page_scanned(f.page) == ITEMS);
    EXPECT(larder_scan(f.t, &(struct larder_scan_spec){.limit = 5}, f.page), LARDER_MORE);
    cr_assert(larder_page_matched(f.page) == 5 && larder_page_count(f.page) == 5, "without COUNT both are the same");
    EXPECT(larder_get(f.t, &(struct larder_key){larder_str("P"), larder_num("1")}, f.page), LARDER_OK);
    cr_assert_eq(larder_page_matched(f.page), 1, "an earlier count is forgotten");
    larder_close(f.db);
}

/* A scan orders the items of a bucket by hash, so they lie in the page in any order. */
Test(filter, projection_of_a_scan) {
    struct fixture f;
    char seen[500] = {0};
    begin(&f);
    for (int n = ITEMS; n < (int)sizeof seen; n++)
        put(&f, n);
    struct larder_scan_spec spec = {.projection = prepared(&f, LARDER_EXPR_PROJECTION, "PK, n, kind, line, info")};
    EXPECT(larder_scan(f.t, &spec, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), sizeof seen);
    for (uint32_t i = 0; i < sizeof seen; i++) {
        struct larder_value line;
        int64_t n = number_at(f.page, i, "n");
        cr_assert(n >= 0 && n < (int64_t)sizeof seen && !seen[n]);
        seen[n] = 1;
        EXPECT(larder_item_get(larder_page_item(f.page, i), "line", &line), LARDER_OK);
        cr_assert_eq(strtoll((const char *)line.data + line.bytes - (n < 10 ? 1 : n < 100 ? 2 : 3), NULL, 10), n);
    }
    larder_close(f.db);
}

/* ---- A scan of an index ---------------------------------------------------------------------- */

/* API reference, Scan, "IndexName": the items that are in the index, each once, page after page and
 * part by part. */
static void scan_index(struct fixture *f, struct larder_scan_spec spec, int items) {
    struct larder_page *pages[2] = {f->page, NULL};
    char seen[ITEMS + 10] = {0};
    int r = LARDER_MORE, found = 0;
    EXPECT(larder_page_new(f->db, &pages[1]), LARDER_OK);
    for (int turn = 0; r == LARDER_MORE; turn ^= 1) {
        r = larder_scan(f->t, &spec, pages[turn]);
        cr_assert(r == LARDER_OK || r == LARDER_MORE, "%s", larder_error());
        for (uint32_t i = 0; i < larder_page_count(pages[turn]); i++, found++) {
            int64_t n = number_at(pages[turn], i, "n");
            cr_assert(!seen[n]);
            seen[n] = 1;
            cr_assert_eq(larder_item_count(larder_page_item(pages[turn], i)), spec.index[0] == 'k' ? 3 : 7);
        }
        cr_assert(!spec.limit || larder_page_scanned(pages[turn]) <= spec.limit);
        spec.start_key = larder_page_resume(pages[turn]);
        if (r == LARDER_MORE) /* PK, n, kind */
            cr_assert_eq(larder_item_count(spec.start_key), 3);
    }
    cr_assert_eq(found, items);
    larder_page_free(pages[1]);
}

Test(filter, scan_of_an_index) {
    struct fixture f;
    struct larder_index_def keys = by_kind;
    const struct larder_item *item;
    begin(&f);
    keys.name = "keys-only";
    keys.projection = LARDER_PROJECT_KEYS_ONLY;
    EXPECT(larder_index_add(f.t, &keys), LARDER_OK);
    for (int n = 1000; n < 1010; n++) { /* in no index */
        larder_builder_reset(f.b);
        larder_builder_add_s(f.b, "PK", "P");
        larder_builder_add_int(f.b, "n", n);
        EXPECT(larder_builder_finish(f.b, &item), LARDER_OK);
        EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    }
    scan_index(&f, (struct larder_scan_spec){.index = "by-kind"}, ITEMS);
    scan_index(&f, (struct larder_scan_spec){.index = "by-kind", .limit = 7}, ITEMS);
    scan_index(&f, (struct larder_scan_spec){.index = "keys-only", .limit = 1}, ITEMS);
    scan_index(&f, (struct larder_scan_spec){.index = "keys-only", .bytes_max = 1000}, ITEMS);
    uint32_t parts = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct larder_scan_spec spec = {.index = "by-kind", .segment = i, .segment_count = 3};
        spec.select = LARDER_SELECT_COUNT;
        EXPECT(larder_scan(f.t, &spec, f.page), LARDER_OK);
        parts += larder_page_matched(f.page);
    }
    cr_assert_eq(parts, ITEMS);
    struct larder_scan_spec odd = {
        .index = "keys-only", .filter = prepared(&f, LARDER_EXPR_FILTER, "rest = :n OR n < :n"), .values = f.values};
    EXPECT(larder_scan(f.t, &odd, f.page), LARDER_OK);
    cr_assert(larder_page_count(f.page) == 3 && larder_page_scanned(f.page) == ITEMS, "\"rest\" is not in the index");
    larder_close(f.db);
}

static void scan_refused(struct fixture *f, const struct larder_scan_spec *spec, int result, const char *words) {
    EXPECT(larder_scan(f->t, spec, f->page), result);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
}

Test(filter, scans_that_are_refused) {
    struct fixture f;
    const struct larder_item *start;
    begin(&f);
    scan_refused(&f, &(struct larder_scan_spec){.index = "none"}, LARDER_E_NO_INDEX, "no index \"none\"");
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "PK", "P");
    larder_builder_add_int(f.b, "n", 1);
    EXPECT(larder_builder_finish(f.b, &start), LARDER_OK);
    scan_refused(&f, &(struct larder_scan_spec){.index = "by-kind", .start_key = start}, LARDER_E_INVAL, "\"kind\"");
    larder_builder_add_s(f.b, "kind", "odd");
    EXPECT(larder_builder_finish(f.b, &start), LARDER_OK);
    scan_refused(&f, &(struct larder_scan_spec){.start_key = start}, LARDER_E_INVAL, "only the keys of the table");
    EXPECT(larder_scan(f.t, &(struct larder_scan_spec){.index = "by-kind", .start_key = start}, f.page), LARDER_OK);
    scan_refused(&f, &(struct larder_scan_spec){.select = 7}, LARDER_E_INVAL, "spec->select is 7; 0 (ITEMS) and 1");
    struct larder_scan_spec both = {.select = LARDER_SELECT_COUNT,
                                    .projection = prepared(&f, LARDER_EXPR_PROJECTION, "PK")};
    /* the live service's words, by a conformance suite that was recorded there */
    scan_refused(&f, &both, LARDER_E_INVAL,
                 "Cannot specify the ProjectionExpression when choosing to get only the Count");
    larder_close(f.db);
}

Test(filter, what_is_refused) {
    struct fixture f;
    begin(&f);
    struct larder_query_spec spec = {.key_condition = prepared(&f, LARDER_EXPR_KEY_CONDITION, "PK = :nothing")};
    expect_invalid(&f, &spec, ":nothing");
    spec.key_condition = prepared(&f, LARDER_EXPR_KEY_CONDITION, "PK = :n");
    spec.values = f.values;
    expect_invalid(&f, &spec, "Condition parameter type does not match schema type");
    spec.key_condition = prepared(&f, LARDER_EXPR_KEY_CONDITION, "kind = :p");
    expect_invalid(&f, &spec, "PK");
    spec.key_condition = prepared(&f, LARDER_EXPR_FILTER, "PK = :p");
    expect_invalid(&f, &spec, "another kind of expression");
    /* API reference, Query: KeyConditionExpression says what is asked for, and nothing else does */
    spec.key_condition = prepared(&f, LARDER_EXPR_KEY_CONDITION, "PK = :p");
    spec.partition = larder_str("P");
    expect_invalid(&f, &spec, "spec->partition is given beside spec->key_condition");
    spec.partition = (struct larder_value){.data = NULL};
    spec.sort_op = LARDER_SORT_GE;
    expect_invalid(&f, &spec, "spec->sort_op is given beside spec->key_condition");
    spec.sort_op = LARDER_SORT_ANY;
    spec.sort_value2 = larder_num("2");
    expect_invalid(&f, &spec, "spec->sort_value2 is given beside spec->key_condition");
    spec.sort_value2 = (struct larder_value){.data = NULL};
    EXPECT(larder_query(f.t, &spec, f.page), LARDER_OK);
    spec.key_condition = NULL;
    spec.partition = larder_str("P");
    spec.filter = prepared(&f, LARDER_EXPR_CONDITION, "rest = :n");
    expect_invalid(&f, &spec, "kind of expression, LARDER_EXPR_CONDITION; it has to be LARDER_EXPR_FILTER");
    spec.filter = prepared(&f, LARDER_EXPR_FILTER, "begins_with(line, :n)");
    expect_invalid(&f, &spec, "Incorrect operand type");
    larder_close(f.db);
}
