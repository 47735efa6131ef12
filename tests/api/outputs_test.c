/* tests/api/outputs_test.c - what a failing call leaves behind, and what it may return.
 *
 * Goal     A call that fails writes none of its outputs: variables stay as they are, pages of
 *          writes keep their items, and pages of reads are empty. Each of these calls returns a
 *          result that the function's comment in larder.h lists.
 * Method   A table of calls that fail (calls()), for every reason that can be made easily: NULL,
 *          wrong arguments, a table that was dropped, a read-only attachment, a segment that was
 *          destroyed, one that is full, one that is damaged. The declarations of larder.h are read:
 *          each output of each function that returns an int must have a row, and each comment must
 *          name its results.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(outputs, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define FILL 0x5a
#define ROWS_MAX 256
#define NAME_BYTES 48

/* One attachment, and objects of it. */
struct world {
    struct larder *db;
    struct larder_table *t, *gone; /* `gone` was dropped */
    struct larder_builder *b;
    struct larder_page *page, *other; /* `page` holds the item "one", `other` the item "two" */
    const struct larder_item *item;
};

static const struct larder_key one = {.partition = {.type = LARDER_S, .data = "one", .bytes = 3}};
static const struct larder_key two = {.partition = {.type = LARDER_S, .data = "two", .bytes = 3}};
static const struct larder_key wrong = {.partition = {.type = LARDER_N, .data = "1", .bytes = 1}};
static const struct larder_index_def by_kind = {.name = "by_kind", .partition = {"kind", LARDER_S}};
static const struct larder_table_def def = {
    .name = "table", .partition = {"id", LARDER_S}, .indexes = &by_kind, .index_count = 1};
static const struct larder_table_def def_gone = {.name = "gone", .partition = {"id", LARDER_S}};

/* What was called, to compare with the header. */
static struct row {
    char function[NAME_BYTES], output[NAME_BYTES];
    int result;
} rows[ROWS_MAX];
static unsigned row_count;

static void note(const char *function, const char *output, int result) {
    struct row *row = &rows[row_count++];
    cr_assert_lt(row_count, ROWS_MAX);
    snprintf(row->function, NAME_BYTES, "%s", function);
    snprintf(row->output, NAME_BYTES, "%s", output);
    row->result = result;
}

static int is_untouched(const void *at, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)at)[i] != FILL)
            return 0;
    return 1;
}

/* The call fails and leaves `variable`, its output of the name in larder.h, as it was. */
#define UNTOUCHED(function, output, variable, ...)                                                                     \
    do {                                                                                                               \
        memset(&(variable), FILL, sizeof(variable));                                                                   \
        int r_ = function(__VA_ARGS__);                                                                                \
        note(#function, #output, r_);                                                                                  \
        cr_expect_lt(r_, 0, "%s(%s) gives %s", #function, #__VA_ARGS__, larder_result_name(r_));                       \
        cr_expect(is_untouched(&(variable), sizeof(variable)), "%s(%s) writes %s", #function, #__VA_ARGS__, #output);  \
    } while (0)

/* A write fails and leaves the page that would receive the old item as it was. */
#define PAGE_KEPT(function, output, w, ...)                                                                            \
    do {                                                                                                               \
        EXPECT(refill(w), LARDER_OK);                                                                                  \
        int r_ = function(__VA_ARGS__);                                                                                \
        note(#function, #output, r_);                                                                                  \
        cr_expect_lt(r_, 0, "%s(%s) gives %s", #function, #__VA_ARGS__, larder_result_name(r_));                       \
        cr_expect(is_two((w)->other), "%s(%s) changes the page", #function, #__VA_ARGS__);                             \
    } while (0)

/* A read fails and leaves its page empty. */
#define PAGE_EMPTIED(function, output, p, ...)                                                                         \
    do {                                                                                                               \
        int r_ = function(__VA_ARGS__);                                                                                \
        note(#function, #output, r_);                                                                                  \
        cr_expect_lt(r_, 0, "%s(%s) gives %s", #function, #__VA_ARGS__, larder_result_name(r_));                       \
        cr_expect(larder_page_count(p) == 0 && !larder_page_resume(p) && larder_page_scanned(p) == 0,                  \
                  "%s(%s) leaves something in the page", #function, #__VA_ARGS__);                                     \
    } while (0)

static int is_two(const struct larder_page *page) {
    struct larder_value id;
    return larder_page_count(page) == 1 && larder_item_get(larder_page_item(page, 0), "id", &id) == LARDER_OK &&
           id.bytes == 3 && memcmp(id.data, "two", 3) == 0;
}

/* The page is filled by a segment that is always there: the one under test may be gone. */
static struct larder_table *always;
static int refill(struct world *w) {
    return larder_get(always, &two, w->other);
}

static void put(struct larder_table *t, struct larder_builder *b, const char *id) {
    const struct larder_item *item;
    larder_builder_reset(b);
    larder_builder_add_s(b, "id", id);
    larder_builder_add_s(b, "kind", "k");
    larder_builder_add_s(b, "text", "no number");
    larder_builder_add_int(b, "n", 17);
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
}

/* Tables of one segment, by its first attachment. */
static void fill(struct larder *db) {
    struct larder_table *t;
    struct larder_builder *b;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_create(db, &def_gone), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    put(t, b, "one");
    put(t, b, "two");
    larder_builder_free(b);
}

static void enter(struct world *w, struct larder *db) {
    w->db = db;
    EXPECT(larder_table_open(db, "table", &w->t), LARDER_OK);
    EXPECT(larder_table_open(db, "gone", &w->gone), LARDER_OK);
    EXPECT(larder_builder_new(db, &w->b), LARDER_OK);
    EXPECT(larder_page_new(db, &w->page), LARDER_OK);
    EXPECT(larder_page_new(db, &w->other), LARDER_OK);
    EXPECT(larder_get(w->t, &one, w->page), LARDER_OK);
    w->item = larder_page_item(w->page, 0);
}

/* ---- Outputs of the whole segment ------------------------------------------------------------ */

/* Calls that fail for any unusable attachment. */
static void calls_of_dead(struct world *w) {
    struct larder_segment_stats segment;
    struct larder_class_stats classes[2];
    struct larder_slot_stats slots[2];
    struct larder_check_report check;
    struct larder_repair_report repair;
    struct larder_table *t;
    const char *names[2];
    uint32_t count;
    uint64_t removed;
    UNTOUCHED(larder_segment_stats, out, segment, w->db, &segment);
    UNTOUCHED(larder_class_stats, out, classes, w->db, classes, 2, &count);
    UNTOUCHED(larder_class_stats, count, count, w->db, classes, 2, &count);
    UNTOUCHED(larder_slot_stats, out, slots, w->db, slots, 2, &count);
    UNTOUCHED(larder_slot_stats, count, count, w->db, slots, 2, &count);
    UNTOUCHED(larder_table_list, names, names, w->db, names, 2, &count);
    UNTOUCHED(larder_table_list, count, count, w->db, names, 2, &count);
    UNTOUCHED(larder_check, report, check, w->db, NULL, &check);
    UNTOUCHED(larder_repair, report, repair, w->db, NULL, &repair);
    UNTOUCHED(larder_table_open, out, t, w->db, "table", &t);
    UNTOUCHED(larder_expire, removed, removed, w->db, 0, &removed);
}

/* Calls that fail for any unusable table. */
static void calls_of_dead_table(struct world *w, struct larder_table *t) {
    const struct larder_query_spec query = {.partition = one.partition};
    const struct larder_scan_spec scan = {.limit = 1};
    const struct larder_table_def *described;
    struct larder_table_stats stats;
    struct larder_index_stats indexes[2];
    uint32_t count;
    int64_t value;
    char sum[LARDER_NUMBER_TEXT_MAX];
    UNTOUCHED(larder_table_describe, out, described, t, &described);
    UNTOUCHED(larder_table_stats, out, stats, t, &stats);
    UNTOUCHED(larder_index_stats, out, indexes, t, indexes, 2, &count);
    UNTOUCHED(larder_index_stats, count, count, t, indexes, 2, &count);
    UNTOUCHED(larder_increment, value, value, t, &one, "n", 1, &value);
    UNTOUCHED(larder_increment_n, sum, sum, t, &one, "n", "0.5", sum);
    PAGE_KEPT(larder_put, replaced, w, t, w->item, w->other);
    PAGE_KEPT(larder_put_if, found, w, t, w->item, NULL, w->other);
    PAGE_KEPT(larder_delete, deleted, w, t, &one, w->other);
    const struct larder_action put = {.kind = LARDER_ACTION_PUT, .table = t, .item = w->item};
    PAGE_KEPT(larder_write, page, w, &put, w->other);
    uint32_t done;
    UNTOUCHED(larder_batch_write, done, done, &put, 1, &done);
    EXPECT(refill(w), LARDER_OK);
    struct larder_batch_get gets = {.table = t, .keys = &one, .count = 1, .page = w->other};
    PAGE_EMPTIED(larder_batch_get, gets, w->other, &gets, 1);
    EXPECT(refill(w), LARDER_OK);
    const struct larder_transaction all = {.actions = &put, .count = 1};
    const struct larder_transact_key key = {.table = t, .key = one};
    int results[1];
    UNTOUCHED(larder_transact, results, results, w->db, &all, results, NULL);
    PAGE_KEPT(larder_transact, page, w, w->db, &all, NULL, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_transact_get, page, w->other, w->db, &key, 1, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_get, page, w->other, t, &one, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_get_many, page, w->other, t, &one, 1, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_query, page, w->other, t, &query, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_scan, page, w->other, t, &scan, w->other);
}

/* ---- Wrong arguments ------------------------------------------------------------------------- */

static void calls_with_nulls(struct world *w) {
    struct larder_value value;
    struct larder_member member;
    struct larder_builder *b;
    struct larder_page *page;
    struct larder_item *copy;
    struct larder_table *t;
    const struct larder_item *item;
    struct larder_value text = larder_str("x");
    char number[LARDER_NUMBER_TEXT_MAX];
    int64_t integer;
    const char *names[1];
    uint32_t count;
    UNTOUCHED(larder_item_get, out, value, NULL, "id", &value);
    UNTOUCHED(larder_item_get, out, value, w->item, NULL, &value);
    UNTOUCHED(larder_item_getn, out, value, NULL, "id", 2, &value);
    UNTOUCHED(larder_iter_next, out, member, NULL, &member);
    UNTOUCHED(larder_value_number, text, number, &text, number);
    UNTOUCHED(larder_value_number, text, number, NULL, number);
    text = larder_num("1.5");
    UNTOUCHED(larder_value_int64, out, integer, &text, &integer);
    text = larder_num("no number");
    UNTOUCHED(larder_value_number, text, number, &text, number);
    UNTOUCHED(larder_value_int64, out, integer, &text, &integer);
    UNTOUCHED(larder_builder_new, out, b, NULL, &b);
    UNTOUCHED(larder_builder_new_values, out, b, NULL, &b);
    UNTOUCHED(larder_page_new, out, page, NULL, &page);
    UNTOUCHED(larder_item_copy, out, copy, NULL, w->item, &copy);
    UNTOUCHED(larder_item_copy, out, copy, w->db, NULL, &copy);
    UNTOUCHED(larder_table_open, out, t, w->db, "no", &t);
    UNTOUCHED(larder_table_open, out, t, w->db, "no_such_table", &t);
    UNTOUCHED(larder_table_list, count, count, w->db, NULL, 1, &count);
    UNTOUCHED(larder_table_list, names, names, w->db, names, 1, NULL);
    larder_builder_reset(w->b);
    larder_builder_add_n(w->b, "n", "no number");
    UNTOUCHED(larder_builder_finish, out, item, w->b, &item);
    larder_builder_reset(w->b);
    larder_builder_begin(w->b, "m", LARDER_M);
    UNTOUCHED(larder_builder_finish, out, item, w->b, &item);
    larder_builder_reset(w->b);
}

static void calls_with_expressions(struct world *w) {
    struct larder_expr *expr, *update;
    UNTOUCHED(larder_prepare, out, expr, w->db, LARDER_EXPR_CONDITION, "a = ", NULL, 0, &expr);
    UNTOUCHED(larder_prepare, out, expr, w->db, 0, "a = b", NULL, 0, &expr);
    EXPECT(larder_prepare(w->db, LARDER_EXPR_UPDATE, "SET id = n", NULL, 0, &update), LARDER_OK);
    struct larder_action action = {.kind = LARDER_ACTION_UPDATE, .table = w->t, .key = one, .update = update};
    PAGE_KEPT(larder_write, page, w, &action, w->other);
    action.kind = LARDER_ACTION_CHECK;
    PAGE_KEPT(larder_write, page, w, &action, w->other);
    larder_expr_free(update);
    action.key = wrong;
    action.update = NULL;
    EXPECT(larder_prepare(w->db, LARDER_EXPR_CONDITION, "attribute_exists(n)", NULL, 0, &expr), LARDER_OK);
    action.condition = expr;
    PAGE_KEPT(larder_write, page, w, &action, w->other);
    larder_expr_free(expr);
}

static void calls_with_wrong_values(struct world *w) {
    const struct larder_query_spec query = {.partition = wrong.partition};
    const struct larder_query_spec no_index = {.index = "no_such_index", .partition = one.partition};
    const struct larder_scan_spec scan = {.segment = 2, .segment_count = 2};
    const struct larder_item *item;
    int64_t value;
    char sum[LARDER_NUMBER_TEXT_MAX];
    UNTOUCHED(larder_increment, value, value, w->t, &wrong, "n", 1, &value);
    UNTOUCHED(larder_increment, value, value, w->t, &one, "id", 1, &value);
    UNTOUCHED(larder_increment, value, value, w->t, &one, "text", 1, &value);
    UNTOUCHED(larder_increment, value, value, w->t, &one, "n", INT64_MAX, &value);
    UNTOUCHED(larder_increment_n, sum, sum, w->t, &wrong, "n", "1", sum);
    UNTOUCHED(larder_increment_n, sum, sum, w->t, &one, "id", "1", sum);
    UNTOUCHED(larder_increment_n, sum, sum, w->t, &one, "text", "1", sum);
    UNTOUCHED(larder_increment_n, sum, sum, w->t, &one, "n", "1E+99", sum);
    UNTOUCHED(larder_increment_n, sum, sum, w->t, &one, "n", "one", sum);
    PAGE_KEPT(larder_delete, deleted, w, w->t, &wrong, w->other);
    calls_with_expressions(w);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_get, page, w->other, w->t, &wrong, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_get_many, page, w->other, w->t, (const struct larder_key[]){one, wrong}, 2, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_query, page, w->other, w->t, &query, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_query, page, w->other, w->t, &no_index, w->other);
    EXPECT(refill(w), LARDER_OK);
    PAGE_EMPTIED(larder_scan, page, w->other, w->t, &scan, w->other);
    larder_builder_reset(w->b);
    larder_builder_add_s(w->b, "kind", "an item without a key");
    EXPECT(larder_builder_finish(w->b, &item), LARDER_OK);
    PAGE_KEPT(larder_put, replaced, w, w->t, item, w->other);
    PAGE_KEPT(larder_put_if, found, w, w->t, item, NULL, w->other);
    /* an item without a version */
    PAGE_KEPT(larder_put_if, found, w, w->t, w->item, item, w->other);
    larder_builder_reset(w->b);
}

/* An item that does not fit replaces a stored one. The page is filled by then, if it ever is. */
static void calls_in_a_full_segment(struct world *w) {
    static char data[300 * 1024];
    const struct larder_item *item;
    memset(data, 'x', sizeof data);
    int r = LARDER_OK;
    for (int n = 0; n < 1000 && r == LARDER_OK; n++) {
        larder_builder_reset(w->b);
        larder_builder_add_int(w->b, "n", n);
        larder_builder_add_s(w->b, "id", n == 0 ? "one" : (char[]){(char)('A' + n / 26), (char)('a' + n % 26), 0});
        larder_builder_add_b(w->b, "data", data, sizeof data);
        EXPECT(larder_builder_finish(w->b, &item), LARDER_OK);
        r = larder_put(w->t, item, NULL);
    }
    EXPECT(r, LARDER_E_FULL);
    larder_builder_reset(w->b);
    larder_builder_add_s(w->b, "id", "two");
    larder_builder_add_b(w->b, "data", data, sizeof data);
    EXPECT(larder_builder_finish(w->b, &item), LARDER_OK);
    PAGE_KEPT(larder_put, replaced, w, w->t, item, w->other);
    EXPECT(larder_get(w->t, &two, w->page), LARDER_OK);
    PAGE_KEPT(larder_put_if, found, w, w->t, item, larder_page_item(w->page, 0), w->other);
}

static void calls_read_only(struct world *w) {
    uint64_t removed;
    int64_t value;
    char sum[LARDER_NUMBER_TEXT_MAX];
    struct larder_repair_report repair;
    UNTOUCHED(larder_expire, removed, removed, w->db, 0, &removed);
    UNTOUCHED(larder_repair, report, repair, w->db, NULL, &repair);
    UNTOUCHED(larder_increment, value, value, w->t, &one, "n", 1, &value);
    UNTOUCHED(larder_increment_n, sum, sum, w->t, &one, "n", "0.5", sum);
    PAGE_KEPT(larder_put, replaced, w, w->t, w->item, w->other);
    PAGE_KEPT(larder_put_if, found, w, w->t, w->item, NULL, w->other);
    PAGE_KEPT(larder_delete, deleted, w, w->t, &one, w->other);
    const struct larder_action put = {.kind = LARDER_ACTION_PUT, .table = w->t, .item = w->item};
    PAGE_KEPT(larder_write, page, w, &put, w->other);
}

/* Items with damaged bytes in a page cannot be made here; files for larder_open() can. */
static void calls_to_open(void) {
    struct larder *db;
    const struct larder_options wrong_options[] = {{.segment = "no/such/directory/segment"},
                                                   {.segment = "larder-outputs-no-such-segment"},
                                                   {.segment = "/dev/null"},
                                                   {.flags = 1u << 31},
                                                   {.flags = LARDER_MEMFD, .memfd = 12345},
                                                   {.segment = "", .flags = LARDER_CREATE},
                                                   {.segment = "outputs", .flags = LARDER_CREATE, .stripe_count = 3},
                                                   {.segment = "outputs", .flags = LARDER_CREATE, .reserved = {1}}};
    for (size_t i = 0; i < sizeof wrong_options / sizeof *wrong_options; i++)
        UNTOUCHED(larder_open, out, db, &wrong_options[i], &db);
}

static void make_calls(void) {
    char name[TESTSEG_NAME_MAX];
    struct world w, reader, full;
    struct larder *source = testseg_open(8 * MIB, 4);
    fill(source);
    EXPECT(larder_table_open(source, "table", &always), LARDER_OK);
    testseg_name(name);
    struct larder *db = testseg_open_named(name, 8 * MIB, 4), *read_only;
    fill(db);
    enter(&w, db);
    EXPECT(larder_open(&(struct larder_options){.segment = name, .flags = LARDER_READ_ONLY}, &read_only), LARDER_OK);
    enter(&reader, read_only);
    calls_to_open();
    calls_with_nulls(&w);
    calls_with_wrong_values(&w);
    calls_read_only(&reader);
    EXPECT(larder_table_drop(db, "gone"), LARDER_OK);
    calls_of_dead_table(&w, w.gone);
    calls_of_dead_table(&reader, reader.gone);
    EXPECT(larder_destroy(name, LARDER_FORCE), LARDER_OK);
    calls_of_dead(&w);
    calls_of_dead_table(&w, w.t);
    calls_of_dead(&reader);
    calls_of_dead_table(&reader, reader.t);
    larder_close(read_only);
    larder_close(db);
    struct larder *small = testseg_open(4 * MIB, 2);
    fill(small);
    enter(&full, small);
    calls_in_a_full_segment(&full);
    larder_close(small);
    larder_close(source);
}

Test(outputs, a_call_that_fails_writes_none) {
    make_calls();
    cr_assert_gt(row_count, 100);
}

/* ---- The header ------------------------------------------------------------------------------ */

static const char *read_header(void) {
    static char text[256 * 1024];
    FILE *file = fopen(LARDER_HEADER, "rb");
    cr_assert_not_null(file, "cannot read %s", LARDER_HEADER);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* The declaration of a function, or NULL. */
static const char *declaration_of(const char *header, const char *function) {
    for (const char *at = header; (at = strstr(at, "\nLARDER_API ")) != NULL; at++) {
        const char *open = strchr(at, '('), *name = open - strlen(function);
        if (name > at && strncmp(name, function, strlen(function)) == 0 && (name[-1] == ' ' || name[-1] == '*'))
            return at;
    }
    return NULL;
}

/* Copies the comment of a declaration: the nearest one above it that begins with two stars. */
static void comment_of(const char *header, const char *declaration, char *comment, size_t size) {
    const char *from = declaration, *to;
    while (from > header && strncmp(from, "/**", 3) != 0)
        from--;
    to = strstr(from, "*/");
    snprintf(comment, size, "%.*s", (int)(to - from), from);
}

/* Whether the comment of a function lists a result, itself or by "As larder_x()". */
static int is_listed(const char *header, const char *function, const char *result, int depth) {
    char comment[16 * 1024];
    const char *declaration = declaration_of(header, function);
    if (!declaration || depth > 3)
        return 0;
    comment_of(header, declaration, comment, sizeof comment);
    const char *list = strstr(comment, "@return");
    size_t bytes = strlen(result);
    for (const char *at = list; at && (at = strstr(at, result)) != NULL; at++)
        if (!isalnum((unsigned char)at[bytes]) && at[bytes] != '_')
            return 1;
    for (const char *at = list; at && (at = strstr(at, " larder_")) != NULL; at++) {
        char other[NAME_BYTES];
        if (strncmp(at - 2, "As", 2) != 0 && strncmp(at - 2, "as", 2) != 0)
            continue;
        snprintf(other, sizeof other, "%.*s", (int)strcspn(at + 1, "(),. "), at + 1);
        if (strcmp(other, function) != 0 && is_listed(header, other, result, depth + 1))
            return 1;
    }
    return 0;
}

Test(outputs, each_result_is_one_that_the_header_lists) {
    const char *header = read_header();
    make_calls();
    for (unsigned i = 0; i < row_count; i++)
        cr_expect(is_listed(header, rows[i].function, larder_result_name(rows[i].result), 0),
                  "%s() gives %s, which its comment does not list: %s", rows[i].function,
                  larder_result_name(rows[i].result), larder_error());
}

/* The name of a parameter; empty if it is not an output. Objects that a call only works on are
 * not. */
static void output_of(const char *from, const char *to, char name[NAME_BYTES]) {
    static const char *const objects[] = {"struct larder *",         "struct larder_table *", "struct larder_builder *",
                                          "struct larder_builder *", "struct larder_iter *",  "void *"};
    size_t bytes = (size_t)(to - from);
    char text[256];
    name[0] = 0;
    snprintf(text, sizeof text, "%.*s", (int)bytes, from);
    char *star = strchr(text, '*'), *at = text + strspn(text, " \n");
    if (!star || strchr(text, '(') || (strncmp(at, "const ", 6) == 0 && !strchr(star + 1, '*')) ||
        strstr(text, "*const *"))
        return;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (strncmp(at, objects[i], strlen(objects[i])) == 0 && !strchr(star + 1, '*'))
            return;
    char *last = text + strlen(text);
    while (last > text && (isalnum((unsigned char)last[-1]) || last[-1] == '_'))
        last--;
    snprintf(name, NAME_BYTES, "%.40s", last);
}

static int has_row(const char *function, const char *output) {
    for (unsigned i = 0; i < row_count; i++)
        if (strcmp(rows[i].function, function) == 0 && strcmp(rows[i].output, output) == 0)
            return 1;
    return 0;
}

Test(outputs, every_function_and_every_output_of_the_header) {
    const char *header = read_header();
    unsigned functions = 0;
    make_calls();
    for (const char *at = header; (at = strstr(at, "\nLARDER_API int ")) != NULL; at++) {
        const char *open = strchr(at, '('), *end = strchr(open, ';');
        char function[NAME_BYTES], comment[16 * 1024], name[NAME_BYTES];
        at += strlen("\nLARDER_API int ");
        snprintf(function, sizeof function, "%.*s", (int)(open - at), at);
        comment_of(header, at, comment, sizeof comment);
        if (strcmp(function, "larder_errno") == 0 || strcmp(function, "larder_memfd") == 0 ||
            strcmp(function, "larder_page_is_snapshot") == 0 || strcmp(function, "larder_table_def_is_current") == 0)
            continue; /* functions without a result */
        functions++;
        cr_expect(strstr(comment, "@return"), "the comment of %s() lists no results", function);
        cr_expect(is_listed(header, function, "LARDER_OK", 0), "the comment of %s() does not list LARDER_OK", function);
        cr_expect(is_listed(header, function, "LARDER_E_INVAL", 0),
                  "the comment of %s() does not list LARDER_E_INVAL, which NULL gives", function);
        int depth = 0;
        for (const char *from = open + 1, *to = from; to < end; to++) {
            depth += (*to == '(') - (*to == ')');
            if ((*to != ',' || depth != 0) && depth >= 0)
                continue;
            output_of(from, to, name);
            cr_expect(!name[0] || has_row(function, name), "no row for the output %s of %s()", name, function);
            from = to + 1;
        }
    }
    cr_assert_gt(functions, 40);
}
