/* tests/api/put_if_test.c - larder_put_if(): of all processes that read the same version, one may
 * replace it.
 *
 * Goal     Each outcome, and what the page then holds. A refused put changed nothing. Every write
 *          of an item makes older copies of it outdated: a put of the same item, a delete, an index
 *          that is added, another TTL attribute, a table that is dropped and made again in any
 *          place of the catalog. An item that is not a version of this item is an error and the
 *          message says so. Counters that threads and processes count up together come to the right
 *          sum.
 * Method   The public functions only. Deaths: tests/crash/scenarios.c (put_if, put_if_refused).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(put_if, .timeout = 100 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define DEADLINE_MS 60000
#define COUNTS (8000u / SLOW_FACTOR)
#define COUNTERS 2

#define EXPECT_ERROR(result, expected, words)                                                                          \
    do {                                                                                                               \
        EXPECT(result, expected);                                                                                      \
        cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);        \
    } while (0)

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page, *found;
};

static int64_t now_s;

static int64_t test_now(void *arg) {
    (void)arg;
    return now_s;
}

static const struct larder_index_def indexes[] = {
    {.name = "all", .partition = {"kind", LARDER_S}, .sort = {"n", LARDER_N}},
    {.name = "keys", .partition = {"kind", LARDER_S}, .sort = {"n", LARDER_N}, .projection = LARDER_PROJECT_KEYS_ONLY},
};

static void create_table(struct larder *db, const char *name) {
    const struct larder_table_def def = {
        .name = name, .partition = {"id", LARDER_S}, .indexes = indexes, .index_count = 2, .ttl_attribute = "expires"};
    EXPECT(larder_table_create(db, &def), LARDER_OK);
}

static void begin_in(struct fixture *f, struct larder *db) {
    f->db = db;
    now_s = 1700000000;
    larder_set_clock(f->db, test_now, NULL);
    create_table(f->db, "table");
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->found), LARDER_OK);
}

static void begin(struct fixture *f) {
    begin_in(f, testseg_open(16 * MIB, 4));
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
    larder_close(f->db);
}

/* An item of one kind; valid until the next. */
static const struct larder_item *item_of(struct fixture *f, const char *id, int64_t n, int64_t expires_s) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_s(f->b, "kind", "k");
    larder_builder_add_int(f->b, "n", n);
    if (expires_s)
        larder_builder_add_int(f->b, "expires", expires_s);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

static void put(struct fixture *f, const char *id, int64_t n) {
    EXPECT(larder_put(f->t, item_of(f, id, n, 0), NULL), LARDER_OK);
}

static int put_if(struct fixture *f, const char *id, int64_t n, const struct larder_item *expected) {
    return larder_put_if(f->t, item_of(f, id, n, 0), expected, f->found);
}

/* The item in a page of one, or NULL. */
static const struct larder_item *read_into(struct fixture *f, const char *id, struct larder_page *page) {
    struct larder_key key = {.partition = larder_str(id)};
    int r = larder_get(f->t, &key, page);
    cr_assert(r == LARDER_OK || r == LARDER_NOT_FOUND, "%s", larder_error());
    return larder_page_item(page, 0);
}

static const struct larder_item *read(struct fixture *f, const char *id) {
    return read_into(f, id, f->page);
}

/* The n of an item; -1: there is none. */
static int64_t n_of(const struct larder_item *item) {
    struct larder_value value;
    int64_t n;
    if (!item)
        return -1;
    EXPECT(larder_item_get(item, "n", &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &n), LARDER_OK);
    return n;
}

/* What the page holds; -1: nothing. */
static int64_t n_in(const struct larder_page *page) {
    cr_assert_leq(larder_page_count(page), 1);
    return n_of(larder_page_item(page, 0));
}

/* The same by a read, through the table and through an index; -1: nothing, -2: they differ. */
static int64_t n_stored(struct fixture *f, const char *id) {
    struct larder_page *page;
    struct larder_query_spec q = {.index = "all", .partition = larder_str("k")};
    struct larder_value value;
    int64_t by_index = -1;
    EXPECT(larder_page_new(f->db, &page), LARDER_OK);
    int64_t n = n_of(read_into(f, id, page));
    EXPECT(larder_query(f->t, &q, page), LARDER_OK);
    for (uint32_t i = 0; i < larder_page_count(page); i++) {
        const struct larder_item *item = larder_page_item(page, i);
        EXPECT(larder_item_get(item, "id", &value), LARDER_OK);
        if (value.bytes == strlen(id) && memcmp(value.data, id, value.bytes) == 0)
            by_index = n_of(item);
    }
    larder_page_free(page);
    return n == by_index ? n : -2;
}

static uint64_t put_count(struct fixture *f) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(f->db, &stats), LARDER_OK);
    return stats.counters.puts;
}

static uint64_t used_bytes(struct fixture *f) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(f->db, &stats), LARDER_OK);
    return stats.used_bytes;
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

Test(put_if, creates_only_what_is_not_there) {
    struct fixture f;
    begin(&f);
    read_into(&f, "a", f.found);
    EXPECT(put_if(&f, "a", 1, NULL), LARDER_OK);
    cr_assert_eq(larder_page_count(f.found), 0);
    EXPECT(put_if(&f, "a", 2, NULL), LARDER_CHANGED);
    cr_assert_eq(n_in(f.found), 1);
    cr_assert_eq(n_stored(&f, "a"), 1);
    end(&f);
}

Test(put_if, replaces_only_what_was_read) {
    struct fixture f;
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    EXPECT(put_if(&f, "a", 2, old), LARDER_OK);
    cr_assert_eq(n_in(f.found), 1); /* what was replaced */
    cr_assert_eq(n_stored(&f, "a"), 2);
    EXPECT(put_if(&f, "a", 3, old), LARDER_CHANGED);
    cr_assert_eq(n_in(f.found), 2); /* what is there */
    cr_assert_eq(n_stored(&f, "a"), 2);
    EXPECT(put_if(&f, "a", 3, larder_page_item(f.found, 0)), LARDER_OK);
    cr_assert_eq(n_stored(&f, "a"), 3);
    end(&f);
}

Test(put_if, does_not_bring_back_what_was_deleted) {
    struct fixture f;
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    struct larder_key key = {.partition = larder_str("a")};
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_OK);
    EXPECT(put_if(&f, "a", 2, old), LARDER_CHANGED);
    cr_assert_eq(larder_page_count(f.found), 0);
    cr_assert_eq(n_stored(&f, "a"), -1);
    put(&f, "a", 1); /* the same attributes, but another version */
    EXPECT(put_if(&f, "a", 2, old), LARDER_CHANGED);
    cr_assert_eq(n_in(f.found), 1);
    end(&f);
}

Test(put_if, refused_changes_nothing) {
    struct fixture f;
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    put(&f, "a", 5);
    uint64_t puts_before = put_count(&f), bytes_before = used_bytes(&f);
    for (int i = 0; i < 100; i++)
        EXPECT(larder_put_if(f.t, item_of(&f, "a", 9, 0), i % 2 ? old : NULL, NULL), LARDER_CHANGED);
    cr_assert_eq(put_count(&f), puts_before);
    cr_assert_eq(used_bytes(&f), bytes_before);
    cr_assert_eq(n_stored(&f, "a"), 5);
    end(&f);
}

Test(put_if, every_write_makes_a_new_version) {
    struct fixture f;
    const struct larder_index_def added = {.name = "added", .partition = {"kind", LARDER_S}};
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    put(&f, "a", 1);
    EXPECT(put_if(&f, "a", 2, old), LARDER_CHANGED);
    old = read(&f, "a");
    EXPECT(larder_index_add(f.t, &added), LARDER_OK);
    /* no attribute differs, as the header says; trying again helps */
    EXPECT(put_if(&f, "a", 2, old), LARDER_CHANGED);
    cr_assert_eq(n_in(f.found), 1);
    EXPECT(put_if(&f, "a", 2, larder_page_item(f.found, 0)), LARDER_OK);
    cr_assert_eq(n_stored(&f, "a"), 2);
    end(&f);
}

/* ---- What may be expected -------------------------------------------------------------------- */

Test(put_if, takes_items_of_every_read) {
    struct fixture f;
    struct larder_key keys[] = {{.partition = larder_str("none")}, {.partition = larder_str("a")}};
    struct larder_query_spec table = {.partition = larder_str("a")};
    struct larder_query_spec index = {.index = "all", .partition = larder_str("k"), .is_descending = 1};
    struct larder_scan_spec scan = {0};
    begin(&f);
    put(&f, "a", 1);
    EXPECT(larder_get_many(f.t, keys, 2, f.page), LARDER_OK);
    EXPECT(put_if(&f, "a", 2, larder_page_item(f.page, 1)), LARDER_OK);
    EXPECT(larder_query(f.t, &table, f.page), LARDER_OK);
    EXPECT(put_if(&f, "a", 3, larder_page_item(f.page, 0)), LARDER_OK);
    EXPECT(larder_query(f.t, &index, f.page), LARDER_OK);
    EXPECT(put_if(&f, "a", 4, larder_page_item(f.page, 0)), LARDER_OK);
    EXPECT(larder_scan(f.t, &scan, f.page), LARDER_OK);
    EXPECT(put_if(&f, "a", 5, larder_page_item(f.page, 0)), LARDER_OK);
    cr_assert_eq(n_stored(&f, "a"), 5);
    end(&f);
}

Test(put_if, refuses_what_has_no_version) {
    struct fixture f;
    struct larder_query_spec keys = {.index = "keys", .partition = larder_str("k"), .limit = 1};
    struct larder_builder *other;
    const struct larder_item *built;
    begin(&f);
    put(&f, "a", 1);
    put(&f, "b", 2);
    EXPECT(larder_builder_new(f.db, &other), LARDER_OK);
    larder_builder_add_s(other, "id", "a");
    EXPECT(larder_builder_finish(other, &built), LARDER_OK);
    EXPECT_ERROR(put_if(&f, "a", 9, built), LARDER_E_INVAL, "made by a builder or a projection");
    EXPECT(larder_query(f.t, &keys, f.page), LARDER_MORE);
    EXPECT_ERROR(put_if(&f, "a", 9, larder_page_item(f.page, 0)), LARDER_E_INVAL, "projection");
    EXPECT_ERROR(put_if(&f, "a", 9, larder_page_resume(f.page)), LARDER_E_INVAL, "projection");
    EXPECT_ERROR(larder_put_if(f.t, NULL, NULL, f.found), LARDER_E_INVAL, "item is NULL");
    cr_assert_eq(n_stored(&f, "a"), 1);
    end(&f);
}

Test(put_if, refuses_an_item_of_another_key) {
    struct fixture f;
    begin(&f);
    put(&f, "a", 1);
    put(&f, "b", 2);
    EXPECT_ERROR(put_if(&f, "a", 9, read(&f, "b")), LARDER_E_INVAL, "another key");
    EXPECT_ERROR(put_if(&f, "ab", 9, read(&f, "a")), LARDER_E_INVAL, "another key");
    cr_assert_eq(n_stored(&f, "a"), 1);
    cr_assert_eq(n_stored(&f, "ab"), -1);
    end(&f);
}

/* The n-th write of a stripe in one table, and in the other. */
Test(put_if, an_item_of_another_table_is_no_match) {
    struct fixture f;
    struct larder_table *other;
    begin(&f);
    create_table(f.db, "other");
    EXPECT(larder_table_open(f.db, "other", &other), LARDER_OK);
    put(&f, "a", 1);
    EXPECT(larder_put(other, item_of(&f, "a", 1, 0), NULL), LARDER_OK);
    const struct larder_item *mine = read(&f, "a");
    EXPECT(larder_put_if(other, item_of(&f, "a", 2, 0), mine, f.found), LARDER_CHANGED);
    cr_assert_eq(n_in(f.found), 1);
    end(&f);
}

Test(put_if, a_table_made_anew_is_another_one) {
    struct fixture f;
    struct larder_table *old_table;
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    for (int is_elsewhere = 0; is_elsewhere < 2; is_elsewhere++) {
        old_table = f.t;
        EXPECT(larder_table_drop(f.db, "table"), LARDER_OK);
        EXPECT(larder_put_if(old_table, item_of(&f, "a", 9, 0), old, NULL), LARDER_E_NO_TABLE);
        if (is_elsewhere)
            create_table(f.db, "other"); /* takes the place in the catalog */
        create_table(f.db, "table");
        EXPECT(larder_table_open(f.db, "table", &f.t), LARDER_OK);
        EXPECT(put_if(&f, "a", 9, old), LARDER_CHANGED);
        put(&f, "a", 1);
        EXPECT(put_if(&f, "a", 9, old), LARDER_CHANGED);
        cr_assert_eq(n_stored(&f, "a"), 1);
        EXPECT(larder_put_if(old_table, item_of(&f, "a", 9, 0), old, NULL), LARDER_E_NO_TABLE);
    }
    end(&f);
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

Test(put_if, expired_is_not_there) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, item_of(&f, "a", 1, now_s + 10), NULL), LARDER_OK);
    const struct larder_item *old = read(&f, "a");
    EXPECT(put_if(&f, "a", 2, NULL), LARDER_CHANGED);
    now_s += 10;
    /* for every process it is gone, for its owner, too */
    EXPECT(put_if(&f, "a", 2, old), LARDER_CHANGED);
    cr_assert_eq(larder_page_count(f.found), 0);
    EXPECT(put_if(&f, "a", 3, NULL), LARDER_OK);
    cr_assert_eq(larder_page_count(f.found), 0);
    cr_assert_eq(n_stored(&f, "a"), 3);
    end(&f);
}

Test(put_if, another_expiry_attribute_makes_new_versions) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, item_of(&f, "a", now_s + 5, now_s + 10), NULL), LARDER_OK);
    const struct larder_item *old = read(&f, "a");
    EXPECT(larder_ttl_set(f.t, "n"), LARDER_OK);
    int r = put_if(&f, "a", now_s + 7, old); /* rewritten meanwhile or not */
    if (r == LARDER_CHANGED)
        r = put_if(&f, "a", now_s + 7, larder_page_item(f.found, 0));
    EXPECT(r, LARDER_OK);
    now_s += 7;
    cr_assert_null(read(&f, "a"));
    end(&f);
}

/* ---- Pages ----------------------------------------------------------------------------------- */

Test(put_if, one_page_is_enough) {
    struct fixture f;
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    put(&f, "a", 2);
    EXPECT(larder_put_if(f.t, item_of(&f, "a", 3, 0), old, f.page), LARDER_CHANGED);
    cr_assert_eq(n_in(f.page), 2);
    EXPECT(larder_put_if(f.t, item_of(&f, "a", 3, 0), larder_page_item(f.page, 0), f.page), LARDER_OK);
    cr_assert_eq(n_in(f.page), 2);
    cr_assert_eq(n_stored(&f, "a"), 3);
    end(&f);
}

Test(put_if, a_page_of_many_holds_the_expected_one) {
    struct fixture f;
    struct larder_key keys[] = {
        {.partition = larder_str("a")}, {.partition = larder_str("b")}, {.partition = larder_str("c")}};
    begin(&f);
    put(&f, "a", 1);
    put(&f, "b", 2);
    put(&f, "c", 3);
    EXPECT(larder_get_many(f.t, keys, 3, f.page), LARDER_OK);
    EXPECT(put_if(&f, "c", 4, larder_page_item(f.page, 2)), LARDER_OK);
    EXPECT(put_if(&f, "b", 4, larder_page_item(f.page, 1)), LARDER_OK);
    cr_assert_eq(n_of(larder_page_item(f.page, 0)), 1);
    EXPECT(larder_put_if(f.t, item_of(&f, "a", 4, 0), larder_page_item(f.page, 0), f.page), LARDER_OK);
    cr_assert_eq(n_in(f.page), 1);
    cr_assert(n_stored(&f, "a") == 4 && n_stored(&f, "b") == 4 && n_stored(&f, "c") == 4);
    end(&f);
}

/* ---- Failures -------------------------------------------------------------------------------- */

Test(put_if, a_reader_may_not) {
    struct fixture f;
    struct larder_table *read_only;
    begin(&f);
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    struct larder *reader = testseg_attach(f.db, LARDER_READ_ONLY);
    EXPECT(larder_table_open(reader, "table", &read_only), LARDER_OK);
    EXPECT(larder_put_if(read_only, item_of(&f, "a", 2, 0), old, NULL), LARDER_E_READ_ONLY);
    EXPECT(larder_put_if(read_only, item_of(&f, "b", 2, 0), NULL, NULL), LARDER_E_READ_ONLY);
    cr_assert_eq(n_stored(&f, "a"), 1);
    larder_close(reader);
    end(&f);
}

static const struct larder_item *large_item(struct fixture *f, const char *id, unsigned bytes) {
    static const char fill[LARDER_ITEM_BYTES_MAX];
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_int(f->b, "n", 7);
    larder_builder_add_b(f->b, "fill", fill, bytes);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

Test(put_if, full_is_full) {
    struct fixture f;
    begin_in(&f, testseg_open(LARDER_SEGMENT_BYTES_MIN, 2));
    put(&f, "a", 1);
    const struct larder_item *old = read(&f, "a");
    int r = LARDER_OK;
    for (unsigned bytes = 300000, n = 0; bytes > 4; bytes /= r == LARDER_E_FULL ? 2 : 1) {
        char id[16];
        snprintf(id, sizeof id, "x%u", n++);
        r = larder_put(f.t, large_item(&f, id, bytes), NULL);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
    }
    read_into(&f, "a", f.found);
    EXPECT(larder_put_if(f.t, large_item(&f, "a", 30000), old, f.found), LARDER_E_FULL);
    EXPECT(larder_put_if(f.t, large_item(&f, "new", 30000), NULL, f.found), LARDER_E_FULL);
    cr_assert_eq(n_in(f.found), 1); /* left as it was */
    EXPECT(larder_put_if(f.t, large_item(&f, "a", 30000), NULL, f.found), LARDER_CHANGED);
    cr_assert_eq(n_stored(&f, "a"), 1);
    end(&f);
}

/* ---- Counting -------------------------------------------------------------------------------- */

struct counter {
    struct larder *db;
    unsigned counts, changed;
};

/* The example of larder.h. Returns what failed. */
static int count_one(struct larder_table *t, struct larder_builder *b, struct larder_page *page, unsigned *changed) {
    const struct larder_key key = {.partition = larder_str("counter")};
    int r;
    for (r = larder_get(t, &key, page); r >= 0;) {
        const struct larder_item *old = larder_page_item(page, 0), *item;
        struct larder_value value;
        int64_t n = 0;
        larder_builder_reset(b);
        if (old && larder_item_get(old, "n", &value) == LARDER_OK)
            larder_value_int64(&value, &n);
        if (old)
            larder_builder_add_all(b, old, (const char *const[]){"n"}, 1);
        else
            larder_builder_add(b, "id", &key.partition);
        larder_builder_add_int(b, "n", n + 1);
        if ((r = larder_builder_finish(b, &item)) == LARDER_OK &&
            (r = larder_put_if(t, item, old, page)) != LARDER_CHANGED)
            break;
        *changed += r == LARDER_CHANGED;
    }
    return r;
}

static int count_up(struct counter *c) {
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    PROC_CHECK(larder_table_open(c->db, "table", &t) == LARDER_OK);
    PROC_CHECK(larder_builder_new(c->db, &b) == LARDER_OK && larder_page_new(c->db, &page) == LARDER_OK);
    for (unsigned i = 0; i < c->counts; i++)
        PROC_CHECK(count_one(t, b, page, &c->changed) == LARDER_OK);
    larder_page_free(page);
    larder_builder_free(b);
    return 0;
}

static int count_in_process(void *arg) {
    return count_up(arg);
}

static void *count_in_thread(void *arg) {
    return (void *)(intptr_t)count_up(arg);
}

/* They begin without the item, too: one of them creates it. */
Test(put_if, processes_count_together) {
    struct fixture f;
    struct counter c;
    pid_t pids[COUNTERS];
    begin(&f);
    c = (struct counter){.db = f.db, .counts = COUNTS};
    for (int i = 0; i < COUNTERS; i++)
        pids[i] = proc_fork(count_in_process, &c);
    for (int i = 0; i < COUNTERS; i++) {
        struct proc_result r = proc_wait(pids[i], DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(n_of(read(&f, "counter")), COUNTERS * COUNTS);
    end(&f);
}

Test(put_if, threads_count_together) {
    struct fixture f;
    struct counter c[COUNTERS];
    pthread_t threads[COUNTERS];
    void *result;
    begin(&f);
    for (int i = 0; i < COUNTERS; i++) {
        c[i] = (struct counter){.db = f.db, .counts = COUNTS};
        cr_assert_eq(pthread_create(&threads[i], NULL, count_in_thread, &c[i]), 0);
    }
    for (int i = 0; i < COUNTERS; i++) {
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_null(result);
    }
    cr_assert_eq(n_of(read(&f, "counter")), COUNTERS * COUNTS);
    end(&f);
}
