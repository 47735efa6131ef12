/* tests/api/null_values_test.c - values that are not allowed: inside structures, sizes, numbers,
 * objects of another segment.
 *
 * Goal     Each gives LARDER_E_INVAL, and larder_error() says what was wrong. The outputs of a
 *          failed call stay as they were. Pointers that are NULL: null_test.c.
 * Method   Calls in a row, and outputs full of a pattern.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "larder.h"
#include "tests/api/null_kit.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(null_values, .timeout = 100 * SLOW_FACTOR);

/* ---- Inside structures, and wrong sizes and numbers ------------------------------------------ */

/* Each of these definitions has one thing wrong. None makes a table, and the message is not
 * empty. */
static int definitions(void *arg) {
    struct fixture *f = arg;
    const char *const names[] = {"a", NULL};
    const struct larder_index_def indexes[] = {
        {.name = NULL, .partition = {"kind", LARDER_S}},
        {.name = "index"},
        {.name = "index", .partition = {"kind", (enum larder_type)99}},
        {.name = "index", .partition = {"kind", LARDER_S}, .sort = {"s", (enum larder_type) - 1}},
        {.name = "index", .partition = {"kind", LARDER_S}, .projection = (enum larder_projection)77},
        {.name = "index", .partition = {"kind", LARDER_S}, .projection = LARDER_PROJECT_INCLUDE, .included_count = 1},
        {.name = "index",
         .partition = {"kind", LARDER_S},
         .projection = LARDER_PROJECT_INCLUDE,
         .included = names,
         .included_count = 2},
        {.name = "index",
         .partition = {"kind", LARDER_S},
         .projection = LARDER_PROJECT_INCLUDE,
         .included = names,
         .included_count = UINT32_MAX},
        {.name = "index", .partition = {"\xff\xfe", LARDER_S}},
    };
    const struct larder_table_def tables[] = {
        {.name = NULL, .partition = {"id", LARDER_S}},
        {.name = "new_table"},
        {.name = "new_table", .partition = {NULL, LARDER_S}},
        {.name = "new_table", .partition = {"id", (enum larder_type)0}},
        {.name = "new_table", .partition = {"id", (enum larder_type)11}},
        {.name = "new_table", .partition = {"id", LARDER_S}, .indexes = NULL, .index_count = 1},
        {.name = "new_table", .partition = {"id", LARDER_S}, .indexes = indexes, .index_count = UINT32_MAX},
        {.name = "new_table", .partition = {"id", LARDER_S}, .removal = (enum larder_removal)9},
        {.name = "new_table", .partition = {"i\xc3", LARDER_S}},
        {.name = "new\xfftable", .partition = {"id", LARDER_S}},
        {.name = "new_table", .partition = {"id", LARDER_S}, .ttl_attribute = "\xed\xa0\x80"},
        {.name = "new_table", .partition = {"id", LARDER_S}, .ttl_attribute = ""},
    };
    struct larder_table_def with_index = {.name = "new_table", .partition = {"id", LARDER_S}, .index_count = 1};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        PROC_CHECK(larder_table_create(f->db, &tables[i]) == LARDER_E_INVAL && larder_error()[0]);
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        with_index.indexes = &indexes[i];
        PROC_CHECK(larder_table_create(f->db, &with_index) == LARDER_E_INVAL && larder_error()[0]);
        PROC_CHECK(larder_index_add(f->t, &indexes[i]) == LARDER_E_INVAL && larder_error()[0]);
    }
    PROC_CHECK(larder_removal_set(f->t, (enum larder_removal) - 1) == LARDER_E_INVAL);
    PROC_CHECK(larder_ttl_set(f->t, "\xff") == LARDER_E_INVAL);
    return 0;
}

static int keys(void *arg) {
    struct fixture *f = arg;
    static char large[4096];
    memset(large, 'x', sizeof large);
    const struct larder_value values[] = {
        {0},
        {.type = LARDER_S},
        {.type = LARDER_S, .bytes = 3},
        {.type = LARDER_S, .bytes = SIZE_MAX},
        {.type = LARDER_S, .data = large, .bytes = 0},
        {.type = LARDER_S, .data = large, .bytes = LARDER_PARTITION_KEY_BYTES_MAX + 1},
        {.type = LARDER_S, .data = large, .bytes = SIZE_MAX},
        {.type = LARDER_S, .data = "\xff\xff", .bytes = 2},
        {.type = LARDER_N, .data = "1", .bytes = 1},
        {.type = (enum larder_type) - 7, .data = large, .bytes = 4},
        {.type = (enum larder_type)4711, .data = large, .bytes = 4},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const struct larder_key key = {.partition = values[i]};
        const struct larder_query_spec spec = {.partition = values[i]};
        const struct larder_query_spec in_index = {.index = "by_kind", .partition = values[i]};
        int64_t value = 4711;
        PROC_CHECK(larder_get(f->t, &key, f->page) == LARDER_E_INVAL && larder_page_count(f->page) == 0);
        PROC_CHECK(larder_get_many(f->t, &key, 1, f->page) == LARDER_E_INVAL && larder_page_count(f->page) == 0);
        PROC_CHECK(larder_delete(f->t, &key, NULL) == LARDER_E_INVAL);
        PROC_CHECK(larder_increment(f->t, &key, "n", 1, &value) == LARDER_E_INVAL && value == 4711);
        PROC_CHECK(larder_increment_n(f->t, &key, "n", "0.5", NULL) == LARDER_E_INVAL);
        PROC_CHECK(larder_query(f->t, &spec, f->page) == LARDER_E_INVAL && larder_page_count(f->page) == 0);
        PROC_CHECK(larder_query(f->t, &in_index, f->page) == LARDER_E_INVAL && larder_page_count(f->page) == 0);
    }
    return 0;
}

static int sizes(void *arg) {
    struct fixture *f = arg;
    struct larder_query_spec query = {.partition = larder_str("one"), .limit = UINT32_MAX, .bytes_max = UINT32_MAX};
    struct larder_scan_spec scan = {.limit = UINT32_MAX, .bytes_max = UINT32_MAX};
    struct larder_value value;
    PROC_CHECK(larder_query(f->t, &query, f->page) == LARDER_OK && larder_page_count(f->page) == 1);
    PROC_CHECK(larder_page_item(f->page, 1) == NULL && larder_page_item(f->page, UINT32_MAX) == NULL);
    query.sort_op = (enum larder_sort_op)99;
    PROC_CHECK(larder_query(f->t, &query, f->page) == LARDER_E_INVAL);
    query.sort_op = (enum larder_sort_op) - 1;
    PROC_CHECK(larder_query(f->t, &query, f->page) == LARDER_E_INVAL);
    query = (struct larder_query_spec){.index = "\xff\xfe no such index", .partition = larder_str("one")};
    PROC_CHECK(larder_query(f->t, &query, f->page) == LARDER_E_NO_INDEX);
    PROC_CHECK(larder_scan(f->t, &scan, f->page) == LARDER_OK && larder_page_count(f->page) == 1);
    scan = (struct larder_scan_spec){.segment = UINT32_MAX, .segment_count = UINT32_MAX};
    PROC_CHECK(larder_scan(f->t, &scan, f->page) == LARDER_E_INVAL);
    scan = (struct larder_scan_spec){.segment = 1, .segment_count = 1};
    PROC_CHECK(larder_scan(f->t, &scan, f->page) == LARDER_E_INVAL);
    PROC_CHECK(larder_get(f->t, &f->key, f->page) == LARDER_OK);
    const struct larder_item *item = larder_page_item(f->page, 0);
    PROC_CHECK(larder_item_getn(item, "id", 0, &value) == LARDER_NOT_FOUND);
    PROC_CHECK(larder_item_get(item, "", &value) == LARDER_NOT_FOUND);
    PROC_CHECK(larder_item_get(item, "\xff", &value) == LARDER_NOT_FOUND);
    return 0;
}

static int builder_values(void *arg) {
    struct fixture *f = arg;
    static char large[LARDER_ATTRIBUTE_NAME_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    const enum larder_type types[] = {
        (enum larder_type)0,   LARDER_S, LARDER_NULL, (enum larder_type)11, (enum larder_type) - 1,
        (enum larder_type)4711};
    const struct larder_item *item = NULL;
#define IS_REFUSED(call)                                                                                               \
    PROC_CHECK((call) == LARDER_E_INVAL && larder_builder_finish(f->b, &item) == LARDER_E_INVAL && !item);             \
    larder_builder_reset(f->b)
    IS_REFUSED(larder_builder_add_sn(f->b, "a", "x", SIZE_MAX));
    IS_REFUSED(larder_builder_add_b(f->b, "a", "x", SIZE_MAX));
    IS_REFUSED(larder_builder_add_sn(f->b, "a", "x", LARDER_ITEM_BYTES_MAX + 1));
    IS_REFUSED(larder_builder_add_s(f->b, large, "x"));
    IS_REFUSED(larder_builder_add_s(f->b, "", "x"));
    IS_REFUSED(larder_builder_add_s(f->b, "\xc3", "x"));
    IS_REFUSED(larder_builder_add_s(f->b, "a", "\xc3"));
    IS_REFUSED(larder_builder_name(f->b, "x", SIZE_MAX));
    IS_REFUSED(larder_builder_name(f->b, "x", 0));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        IS_REFUSED(larder_builder_begin(f->b, "a", types[i]));
    }
    IS_REFUSED(larder_builder_end(f->b));
    return 0;
}

/* The page of another attachment works for reads; a call that would take its memory over is
 * refused. */
static int of_another(void *arg) {
    struct fixture *f = arg;
    struct larder *db = NULL;
    struct larder_page *page;
    struct larder_options options = {.flags = LARDER_MEMFD, .memfd = larder_memfd(f->db)};
    const struct larder_query_spec spec = {.partition = larder_str("one")};
    PROC_CHECK(larder_open(&options, &db) == LARDER_OK);
    PROC_CHECK(larder_page_new(db, &page) == LARDER_OK);
    PROC_CHECK(larder_get(f->t, &f->key, page) == LARDER_OK);
    PROC_CHECK(larder_query(f->t, &spec, page) == LARDER_OK);
    PROC_CHECK(larder_put(f->t, larder_page_item(page, 0), f->other) == LARDER_OK);
    PROC_CHECK(larder_put(f->t, f->item, page) == LARDER_E_INVAL);
    PROC_CHECK(larder_put_if(f->t, f->item, NULL, page) == LARDER_E_INVAL);
    PROC_CHECK(larder_delete(f->t, &f->key, page) == LARDER_E_INVAL);
    larder_close(db);
    PROC_CHECK(larder_put(f->t, f->item, f->other) == LARDER_OK);
    return 0;
}

Test(null_values, values_that_are_none) {
    static const struct {
        const char *name;
        int (*run)(void *arg);
    } parts[] = {{"definitions", definitions},
                 {"keys", keys},
                 {"sizes", sizes},
                 {"builder_values", builder_values},
                 {"of_another", of_another}};
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct proc_result r = proc_run(parts[i].run, &f, DEADLINE_MS);
        cr_expect(proc_is_exit(r, 0), "%s: %s", parts[i].name, proc_text(r));
    }
    larder_close(f.db);
}

/* ---- Outputs of a call that fails ------------------------------------------------------------ */

#define FILL 0x5a

static int is_untouched(const void *at, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)at)[i] != FILL)
            return 0;
    return 1;
}

#define IS_UNTOUCHED(call, out)                                                                                        \
    do {                                                                                                               \
        memset(&(out), FILL, sizeof(out));                                                                             \
        cr_expect_lt((call), 0, "%s", #call);                                                                          \
        cr_expect(is_untouched(&(out), sizeof(out)), "%s writes %s", #call, #out);                                     \
    } while (0)

Test(null_values, a_call_that_fails_writes_no_output) {
    char name[TESTSEG_NAME_MAX];
    struct larder_table *t, *found;
    const struct larder_table_def *described;
    struct larder_segment_stats segment;
    struct larder_table_stats table;
    struct larder_class_stats classes[2];
    struct larder_slot_stats slots[2];
    struct larder_check_report report;
    const char *names[2];
    uint32_t count;
    int64_t value;
    uint64_t removed;
    const struct larder_key key = {.partition = larder_str("one")};
    testseg_name(name);
    struct larder *db = testseg_open_named(name, 8 * MIB, 4), *other;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    IS_UNTOUCHED(larder_table_open(db, "no_such_table", &found), found);
    EXPECT(larder_destroy(name, LARDER_FORCE), LARDER_OK);
    IS_UNTOUCHED(larder_table_open(db, "table", &found), found);
    IS_UNTOUCHED(larder_table_describe(t, &described), described);
    IS_UNTOUCHED(larder_table_list(db, names, 2, &count), count);
    IS_UNTOUCHED(larder_table_list(db, names, 2, &count), names);
    IS_UNTOUCHED(larder_segment_stats(db, &segment), segment);
    IS_UNTOUCHED(larder_table_stats(t, &table), table);
    IS_UNTOUCHED(larder_class_stats(db, classes, 2, &count), classes);
    IS_UNTOUCHED(larder_class_stats(db, classes, 2, &count), count);
    IS_UNTOUCHED(larder_slot_stats(db, slots, 2, &count), slots);
    IS_UNTOUCHED(larder_slot_stats(db, slots, 2, &count), count);
    IS_UNTOUCHED(larder_check(db, NULL, &report), report);
    IS_UNTOUCHED(larder_increment(t, &key, "n", 1, &value), value);
    IS_UNTOUCHED(larder_expire(db, 0, &removed), removed);
    IS_UNTOUCHED(larder_open(&(struct larder_options){.segment = "no/such/segment"}, &other), other);
    larder_close(db);
}
