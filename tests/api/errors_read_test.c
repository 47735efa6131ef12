/* tests/api/errors_read_test.c - reads and deletes that make no sense.
 *
 * Goal     Each wrong key, query or scan gives the result that larder.h promises, and a message
 *          that names what was wrong and what is allowed. The page is empty, and no byte of the
 *          segment changes.
 * Method   Tables of rows (errors_kit.h).
 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "larder.h"
#include "tests/api/errors_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"

TestSuite(errors_read, .timeout = 60 * SLOW_FACTOR);

/* ---- Keys to read and delete by -------------------------------------------------------------- */

static int get(struct world *w, struct larder_table *t, struct larder_value pk, struct larder_value sk) {
    const struct larder_key key = {pk, sk};
    int r = larder_get(t, &key, w->page);
    /* All calls that take a key refuse it alike. */
    if (larder_get_many(t, &key, 1, w->page) != r || larder_delete(t, &key, w->page) != r)
        return 1000;
    return r;
}
static int key_none(struct world *w) {
    return get(w, w->t, (struct larder_value){0}, text);
}
static int key_no_sort(struct world *w) {
    return get(w, w->t, text, (struct larder_value){0});
}
static int key_type(struct world *w) {
    return get(w, w->t, bytes4, text);
}
static int key_sort_type(struct world *w) {
    return get(w, w->t, text, one);
}
static int key_empty(struct world *w) {
    return get(w, w->t, empty, text);
}
static int key_null(struct world *w) {
    return get(w, w->t, (struct larder_value){.type = LARDER_S, .bytes = 7}, text);
}
static int key_long(struct world *w) {
    return get(w, w->t, long2049, text);
}
static int key_sort_long(struct world *w) {
    return get(w, w->t, text, long1025);
}
static int key_not_utf8(struct world *w) {
    return get(w, w->t, not_utf8, text);
}
static int key_39_digits(struct world *w) {
    return get(w, w->numbers, digits39, one);
}
static int key_no_number(struct world *w) {
    return get(w, w->numbers, one, larder_num("one"));
}
static int key_forged_number(struct world *w) {
    return get(w, w->numbers, (struct larder_value){.type = LARDER_N, .data = "\xff", .bytes = 1, .count = 1}, one);
}
static int key_of_dropped(struct world *w) {
    return get(w, w->dropped, text, text);
}
static int delete_read_only(struct world *w) {
    const struct larder_key key = {text, text};
    return larder_delete(w->read, &key, NULL);
}

static const struct row key_rows[] = {
    {"no key", key_none, LARDER_E_INVAL, {"partition key \"pk\"", "S is needed"}},
    {"no sort key", key_no_sort, LARDER_E_INVAL, {"sort key \"sk\"", "S is needed"}},
    {"key of type B", key_type, LARDER_E_INVAL, {"\"pk\"", "type B", "S is needed"}},
    {"sort key of type N", key_sort_type, LARDER_E_INVAL, {"\"sk\"", "type N", "S is needed"}},
    {"empty key", key_empty, LARDER_E_INVAL, {"\"pk\"", "0 bytes", "1 to 2048"}},
    {"NULL key", key_null, LARDER_E_INVAL, {"\"pk\"", "data is NULL"}},
    {"key of 2049 bytes", key_long, LARDER_E_INVAL, {"\"pk\"", "2049 bytes", "1 to 2048"}},
    {"sort key of 1025 bytes", key_sort_long, LARDER_E_INVAL, {"\"sk\"", "1025 bytes", "1 to 1024"}},
    {"key not UTF-8", key_not_utf8, LARDER_E_INVAL, {"\"pk\"", "UTF-8"}},
    {"key of 39 digits", key_39_digits, LARDER_E_INVAL, {"39 significant digits", "38"}},
    {"key that is no number", key_no_number, LARDER_E_INVAL, {"\"one\"", "not a number"}},
    {"forged number as key", key_forged_number, LARDER_E_INVAL, {"read from an item"}},
    {"key of a dropped table", key_of_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"delete read-only", delete_read_only, LARDER_E_READ_ONLY, {"read-only"}},
};

Test(errors_read, keys, .init = fill_many) {
    run_rows(key_rows, COUNT(key_rows));
}

/* ---- Queries and scans ----------------------------------------------------------------------- */

static int query(struct world *w, struct larder_query_spec spec) {
    return larder_query(w->t, &spec, w->page);
}
static int query_null(struct world *w) {
    return larder_query(w->t, NULL, w->page);
}
static int query_unknown_index(struct world *w) {
    return query(w, (struct larder_query_spec){.index = "byOther", .partition = text});
}
static int query_no_partition(struct world *w) {
    return query(w, (struct larder_query_spec){.index = NULL});
}
static int query_partition_type(struct world *w) {
    return query(w, (struct larder_query_spec){.index = "byKind", .partition = one});
}
static int query_partition_long(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = long2049});
}
static int query_sort_type(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text, .sort_op = LARDER_SORT_GT, .sort_value = one});
}
static int query_sort_long(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text, .sort_op = LARDER_SORT_EQ, .sort_value = long1025});
}
static int query_sort_op(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text, .sort_op = (enum larder_sort_op)99});
}
static int query_begins_with_number(struct world *w) {
    return query(w, (struct larder_query_spec){
                        .index = "byKind", .partition = text, .sort_op = LARDER_SORT_BEGINS_WITH, .sort_value = one});
}
static int query_between_reversed(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text,
                                               .sort_op = LARDER_SORT_BETWEEN,
                                               .sort_value = larder_str("b"),
                                               .sort_value2 = larder_str("a")});
}
static int query_sort_of_a_table_without(struct world *w) {
    const struct larder_query_spec spec = {.partition = bytes4, .sort_op = LARDER_SORT_EQ, .sort_value = text};
    return larder_query(w->plain, &spec, w->page);
}
static int query_start_incomplete(struct world *w) {
    const struct larder_item *key;
    larder_builder_add_s(w->b, "pk", "p");
    EXPECT(larder_builder_finish(w->b, &key), LARDER_OK);
    return query(w, (struct larder_query_spec){.partition = larder_str("p"), .start_key = key});
}
static int query_start_elsewhere(struct world *w) {
    const struct larder_item *key;
    larder_builder_add_s(w->b, "pk", "other");
    larder_builder_add_s(w->b, "sk", "s");
    EXPECT(larder_builder_finish(w->b, &key), LARDER_OK);
    return query(w, (struct larder_query_spec){.partition = larder_str("p"), .start_key = key});
}
static int query_dropped(struct world *w) {
    return larder_query(w->dropped, &(struct larder_query_spec){.partition = text}, w->page);
}
static int scan_null(struct world *w) {
    return larder_scan(w->t, NULL, w->page);
}
static int scan_segment(struct world *w) {
    return larder_scan(w->t, &(struct larder_scan_spec){.segment = 3, .segment_count = 3}, w->page);
}
static int scan_segments(struct world *w) {
    return larder_scan(w->t, &(struct larder_scan_spec){.segment_count = 2000000}, w->page);
}
static int scan_start(struct world *w) {
    const struct larder_item *key;
    larder_builder_add_s(w->b, "pk", "p");
    EXPECT(larder_builder_finish(w->b, &key), LARDER_OK);
    return larder_scan(w->t, &(struct larder_scan_spec){.start_key = key}, w->page);
}
static int scan_dropped(struct world *w) {
    return larder_scan(w->dropped, &(struct larder_scan_spec){0}, w->page);
}

static const struct row read_rows[] = {
    {"query NULL", query_null, LARDER_E_INVAL, {"NULL"}},
    {"unknown index", query_unknown_index, LARDER_E_NO_INDEX, {"\"table\"", "\"byOther\""}},
    {"no partition", query_no_partition, LARDER_E_INVAL, {"partition", "S is needed"}},
    {"partition of type N", query_partition_type, LARDER_E_INVAL, {"\"gpk\"", "type N", "S is needed"}},
    {"partition of 2049 bytes", query_partition_long, LARDER_E_INVAL, {"2049 bytes", "1 to 2048"}},
    {"sort value of type N", query_sort_type, LARDER_E_INVAL, {"\"sk\"", "type N", "S is needed"}},
    {"sort value of 1025 bytes", query_sort_long, LARDER_E_INVAL, {"1025 bytes", "1 to 1024"}},
    {"unknown sort_op", query_sort_op, LARDER_E_INVAL, {"sort_op 99"}},
    {"number begins with", query_begins_with_number, LARDER_E_INVAL, {"BEGINS_WITH", "\"gsk\""}},
    {"between b and a", query_between_reversed, LARDER_E_INVAL, {"BETWEEN", "larger"}},
    {"sort_op without sort key", query_sort_of_a_table_without, LARDER_E_INVAL, {"no sort key"}},
    {"start key without sort key", query_start_incomplete, LARDER_E_INVAL, {"\"sk\""}},
    {"start key of another partition", query_start_elsewhere, LARDER_E_INVAL, {"start key", "partition"}},
    {"query of a dropped table", query_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"scan NULL", scan_null, LARDER_E_INVAL, {"NULL"}},
    {"scan segment 3 of 3", scan_segment, LARDER_E_INVAL, {"segment is 3", "less than"}},
    {"2000000 scan segments", scan_segments, LARDER_E_INVAL, {"2000000", "1000000"}},
    {"scan start without sort key", scan_start, LARDER_E_INVAL, {"\"sk\""}},
    {"scan of a dropped table", scan_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
};

Test(errors_read, queries_and_scans, .init = fill_many) {
    run_rows(read_rows, COUNT(read_rows));
}

/* ---- Pages ----------------------------------------------------------------------------------- */

/* A caller that ignores the result must not take the last read's items for this one's. */
Test(errors_read, a_read_that_fails_leaves_its_page_empty) {
    struct world w;
    begin(&w);
    const struct larder_key good = {larder_str("p"), larder_str("s1")}, bad = {larder_num("1"), larder_str("s1")};
    const struct larder_query_spec wrong_key = {.partition = larder_num("1")},
                                   no_index = {.index = "none", .partition = larder_str("p")};
    const struct larder_scan_spec no_segment = {.segment = 3, .segment_count = 2};
#define MUST_EMPTY(call, expected)                                                                                     \
    do {                                                                                                               \
        EXPECT(larder_get(w.t, &good, w.page), LARDER_OK);                                                             \
        cr_assert_eq(larder_page_count(w.page), 1);                                                                    \
        EXPECT(call, expected);                                                                                        \
        cr_assert(larder_page_count(w.page) == 0 && !larder_page_item(w.page, 0), "%s leaves items", #call);           \
    } while (0)
    MUST_EMPTY(larder_get(w.t, &bad, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get(w.t, NULL, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get(w.dropped, &good, w.page), LARDER_E_NO_TABLE);
    MUST_EMPTY(larder_get_many(w.t, &bad, 1, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get_many(w.t, NULL, 1, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get_many(w.dropped, &good, 1, w.page), LARDER_E_NO_TABLE);
    MUST_EMPTY(larder_query(w.t, &wrong_key, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_query(w.t, &no_index, w.page), LARDER_E_NO_INDEX);
    MUST_EMPTY(larder_query(w.t, NULL, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_query(w.dropped, &(struct larder_query_spec){.partition = larder_str("p")}, w.page),
               LARDER_E_NO_TABLE);
    MUST_EMPTY(larder_scan(w.t, &no_segment, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_scan(w.t, NULL, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_scan(w.dropped, &(struct larder_scan_spec){0}, w.page), LARDER_E_NO_TABLE);
    finish(&w);
}
