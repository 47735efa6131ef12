/* tests/api/table_test.c - tables: create, open, describe, list, change, drop.
 *
 * Goal     What larder.h says of tables: all or nothing, no block lost, one winner of two creators,
 *          handles that know that their table is gone, and every process sees the same.
 * Method   A segment per test. A second attachment mapped elsewhere stands for another process
 *          where no death or race is needed, real processes where it is. larder_segment_stats()
 *          tells how much memory came back.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(table, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define STRIPES 4u
#define ATTACHMENTS 3
#define KEY_S(text)                                                                                                    \
    { .name = (text), .type = LARDER_S }
#define KEY_N(text)                                                                                                    \
    { .name = (text), .type = LARDER_N }

static struct larder_table_def plain(const char *name) {
    return (struct larder_table_def){.name = name, .partition = KEY_S("PK"), .sort = KEY_S("SK")};
}

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

static uint32_t table_count(struct larder *db) {
    uint32_t count = 0;
    EXPECT(larder_table_list(db, NULL, 0, &count), LARDER_OK);
    return count;
}

static void expect_clean(struct larder *db) {
    struct larder_check_report report;
    int result = larder_check(db, NULL, &report);
    cr_assert_eq(result, LARDER_OK, "%s, %lu errors, %lu leaked: %s", larder_result_name(result),
                 (unsigned long)report.errors, (unsigned long)report.leaked_blocks, report.first_error);
    cr_assert_eq(report.leaked_blocks, 0);
}

static struct larder_table *opened(struct larder *db, const char *name) {
    struct larder_table *t = NULL;
    EXPECT(larder_table_open(db, name, &t), LARDER_OK);
    return t;
}

/* Items "p<i>"/"s" with values of value_bytes. */
static void put_items(struct larder *db, struct larder_table *t, uint32_t count, size_t value_bytes) {
    static char value[4096];
    struct larder_builder *b;
    memset(value, 'v', sizeof value);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (uint32_t i = 0; i < count; i++) {
        const struct larder_item *item;
        char key[16];
        snprintf(key, sizeof key, "p%u", i);
        larder_builder_reset(b);
        larder_builder_add_s(b, "PK", key);
        larder_builder_add_s(b, "SK", "s");
        larder_builder_add_s(b, "GPK", "same for all");
        larder_builder_add_int(b, "GSK", i);
        larder_builder_add_sn(b, "value", value, value_bytes);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        EXPECT(larder_put(t, item, NULL), LARDER_OK);
    }
    larder_builder_free(b);
}

static int get_result(struct larder *db, struct larder_table *t, const char *partition) {
    struct larder_page *page;
    EXPECT(larder_page_new(db, &page), LARDER_OK);
    const struct larder_key key = {.partition = larder_str(partition), .sort = larder_str("s")};
    int result = larder_get(t, &key, page);
    larder_page_free(page);
    return result;
}

/* ---- Definitions ----------------------------------------------------------------------------- */

Test(table, a_bad_definition_changes_nothing) {
    static const struct larder_index_def local = {
        .name = "local", .is_local = 1, .partition = KEY_S("PK"), .sort = KEY_S("L")};
    static const struct larder_index_def twice[] = {{.name = "same", .partition = KEY_S("A")},
                                                    {.name = "same", .partition = KEY_S("B")}};
    static const struct larder_index_def typed = {.name = "index", .partition = KEY_N("PK")};
    const struct larder_table_def bad[] = {
        {0},
        {.name = "ab", .partition = KEY_S("PK")},
        {.name = "a/b", .partition = KEY_S("PK")},
        {.name = "table"},
        {.name = "table", .partition = KEY_S("")},
        {.name = "table", .partition = {.name = "PK", .type = LARDER_BOOL}},
        {.name = "table", .partition = KEY_S("PK"), .sort = KEY_N("PK")},
        {.name = "table", .partition = KEY_S("PK"), .ttl_attribute = ""},
        {.name = "table", .partition = KEY_S("PK"), .index_count = 1},
        {.name = "table", .partition = KEY_S("PK"), .indexes = &local, .index_count = 1},
        {.name = "table", .partition = KEY_S("PK"), .indexes = twice, .index_count = 2},
        {.name = "table", .partition = KEY_S("PK"), .indexes = &typed, .index_count = 1},
        {.name = "table", .partition = KEY_S("PK"), .indexes = twice, .index_count = LARDER_INDEXES_MAX + 1},
    };
    struct larder *db = testseg_open(8 * MIB, STRIPES);
    struct larder_table_def good = plain("before");
    EXPECT(larder_table_create(db, &good), LARDER_OK);
    uint64_t before = used_bytes(db);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int result = larder_table_create(db, &bad[i]);
        cr_assert_eq(result, LARDER_E_INVAL, "definition %zu gives %s", i, larder_result_name(result));
        cr_assert_neq(larder_error()[0], '\0');
        cr_assert_eq(used_bytes(db), before, "definition %zu", i);
    }
    EXPECT(larder_table_create(db, NULL), LARDER_E_INVAL);
    cr_assert_eq(table_count(db), 1);
    larder_close(db);
}

/* Five local and twenty global indexes, every kind of projection. */
struct full_def {
    struct larder_table_def def;
    struct larder_index_def indexes[LARDER_INDEXES_MAX];
    char names[LARDER_INDEXES_MAX][16];
};

static void make_full(struct full_def *f, const char *name) {
    static const char *const included[] = {"one", "two", "three", "four"};
    f->def = plain(name);
    f->def.indexes = f->indexes;
    f->def.index_count = LARDER_INDEXES_MAX;
    f->def.ttl_attribute = "ExpiresAt";
    f->def.removal = LARDER_REMOVAL_RETAIN;
    for (uint32_t i = 0; i < LARDER_INDEXES_MAX; i++) {
        struct larder_index_def *index = &f->indexes[i];
        snprintf(f->names[i], sizeof f->names[i], "index-%u", i);
        *index = (struct larder_index_def){.name = f->names[i], .sort = KEY_N("GSK"), .projection = i % 3};
        index->is_local = i < LARDER_LOCAL_INDEXES_MAX;
        index->partition = index->is_local ? f->def.partition : (struct larder_key_def)KEY_S("GPK");
        if (index->projection == LARDER_PROJECT_INCLUDE) {
            index->included = included;
            index->included_count = 4;
        }
    }
}

static void expect_same_key(const struct larder_key_def *a, const struct larder_key_def *b) {
    cr_assert_eq(!a->name, !b->name);
    cr_assert(!a->name || (strcmp(a->name, b->name) == 0 && a->type == b->type));
}

static void expect_same(const struct larder_table_def *a, const struct larder_table_def *b) {
    cr_assert_str_eq(a->name, b->name);
    expect_same_key(&a->partition, &b->partition);
    expect_same_key(&a->sort, &b->sort);
    cr_assert_str_eq(a->ttl_attribute ? a->ttl_attribute : "", b->ttl_attribute ? b->ttl_attribute : "");
    cr_assert_eq(a->removal, b->removal);
    cr_assert_eq(a->index_count, b->index_count);
    for (uint32_t i = 0; i < a->index_count; i++) {
        const struct larder_index_def *x = &a->indexes[i], *y = &b->indexes[i];
        cr_assert_str_eq(x->name, y->name);
        cr_assert(!x->is_local == !y->is_local && x->projection == y->projection);
        cr_assert_eq(x->included_count, y->included_count);
        expect_same_key(&x->partition, &y->partition);
        expect_same_key(&x->sort, &y->sort);
        for (uint32_t k = 0; k < x->included_count; k++)
            cr_assert_str_eq(x->included[k], y->included[k]);
    }
}

Test(table, every_attachment_sees_the_definition_that_was_given) {
    struct larder *db = testseg_open(8 * MIB, STRIPES), *other = testseg_attach(db, 0),
                  *reader = testseg_attach(db, LARDER_READ_ONLY);
    struct larder *const all[ATTACHMENTS] = {db, other, reader};
    struct full_def full;
    make_full(&full, "full");
    EXPECT(larder_table_create(db, &full.def), LARDER_OK);
    EXPECT(larder_table_create(other, &full.def), LARDER_E_EXISTS);
    EXPECT(larder_table_create(reader, &full.def), LARDER_E_READ_ONLY);
    EXPECT(larder_table_drop(reader, "full"), LARDER_E_READ_ONLY);
    for (size_t i = 0; i < ATTACHMENTS; i++) {
        const struct larder_table_def *def = NULL;
        struct larder_table *t = opened(all[i], "full");
        cr_assert_eq(opened(all[i], "full"), t);
        EXPECT(larder_table_describe(t, &def), LARDER_OK);
        expect_same(&full.def, def);
    }
    EXPECT(larder_table_drop(other, "full"), LARDER_OK);
    for (size_t i = 0; i < ATTACHMENTS; i++)
        cr_assert_eq(table_count(all[i]), 0);
    larder_close(reader);
    larder_close(other);
    larder_close(db);
}

Test(table, the_list_is_sorted_and_its_names_stay) {
    static const char *const names[] = {"mmm", "aaa", "zzz", "Zzz", "a.b", "a-b"}, *const sorted[] = {"Zzz", "a-b",
                                                                                                      "a.b", "aaa",
                                                                                                      "mmm", "zzz"};
    struct larder *db = testseg_open(8 * MIB, STRIPES);
    const char *listed[8] = {NULL};
    uint32_t count = 99;
    EXPECT(larder_table_list(db, listed, 8, &count), LARDER_OK);
    cr_assert_eq(count, 0);
    for (size_t i = 0; i < 6; i++) {
        struct larder_table_def def = plain(names[i]);
        EXPECT(larder_table_create(db, &def), LARDER_OK);
    }
    EXPECT(larder_table_list(db, listed, 8, &count), LARDER_OK);
    cr_assert_eq(count, 6);
    for (size_t i = 0; i < 6; i++)
        EXPECT(larder_table_drop(db, names[i]), LARDER_OK);
    for (size_t i = 0; i < 6; i++)
        cr_assert_str_eq(listed[i], sorted[i]);
    cr_assert_null(listed[6]);
    struct larder_table_def def = plain("other");
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_create(db, &(struct larder_table_def){.name = "more", .partition = KEY_S("PK")}), LARDER_OK);
    const char *one[2] = {NULL, "untouched"};
    EXPECT(larder_table_list(db, one, 1, &count), LARDER_OK);
    cr_assert(count == 2 && strcmp(one[0], "more") == 0 && strcmp(one[1], "untouched") == 0);
    EXPECT(larder_table_list(db, NULL, 1, &count), LARDER_E_INVAL);
    EXPECT(larder_table_list(db, one, 1, NULL), LARDER_E_INVAL);
    larder_close(db);
}

Test(table, names_that_are_none_are_refused_and_unknown_ones_are_said) {
    struct larder *db = testseg_open(8 * MIB, STRIPES);
    struct larder_table *t = NULL;
    EXPECT(larder_table_open(db, "missing", &t), LARDER_E_NO_TABLE);
    cr_assert(strstr(larder_error(), "missing") != NULL, "%s", larder_error());
    EXPECT(larder_table_drop(db, "missing"), LARDER_E_NO_TABLE);
    cr_assert(strstr(larder_error(), "missing") != NULL, "%s", larder_error());
    EXPECT(larder_table_open(db, NULL, &t), LARDER_E_INVAL);
    EXPECT(larder_table_open(db, "no", &t), LARDER_E_INVAL);
    EXPECT(larder_table_open(db, "valid", NULL), LARDER_E_INVAL);
    EXPECT(larder_table_drop(db, NULL), LARDER_E_INVAL);
    EXPECT(larder_table_drop(db, "a b"), LARDER_E_INVAL);
    cr_assert_null(t);
    larder_close(db);
}

Test(table, what_was_described_stays_readable) {
    struct larder *db = testseg_open(8 * MIB, STRIPES), *other = testseg_attach(db, 0);
    struct larder_table_def def = plain("table");
    const struct larder_table_def *first = NULL, *second = NULL;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    struct larder_table *t = opened(db, "table");
    EXPECT(larder_table_describe(t, &first), LARDER_OK);
    EXPECT(larder_removal_set(opened(other, "table"), LARDER_REMOVAL_RETAIN), LARDER_OK);
    EXPECT(larder_table_describe(t, &second), LARDER_OK);
    cr_assert_eq(first->removal, LARDER_REMOVAL_DELETE);
    cr_assert_eq(second->removal, LARDER_REMOVAL_RETAIN);
    EXPECT(larder_table_drop(other, "table"), LARDER_OK);
    expect_same(&def, first);
    EXPECT(larder_table_describe(t, &second), LARDER_E_NO_TABLE);
    cr_assert_eq(second->removal, LARDER_REMOVAL_RETAIN);
    larder_close(other);
    larder_close(db);
}

Test(table, a_removal_policy_can_be_changed_and_is_kept) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    struct larder *db = testseg_open_named(name, 8 * MIB, STRIPES);
    struct larder_table_def def = plain("table");
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    struct larder_table *t = opened(db, "table");
    uint64_t before = used_bytes(db);
    EXPECT(larder_removal_set(t, (enum larder_removal)7), LARDER_E_INVAL);
    EXPECT(larder_removal_set(t, LARDER_REMOVAL_RETAIN), LARDER_OK);
    EXPECT(larder_removal_set(t, LARDER_REMOVAL_RETAIN), LARDER_OK);
    cr_assert_eq(used_bytes(db), before);
    EXPECT(larder_destroy(name, 0), LARDER_E_RETAINED);
    cr_assert(strstr(larder_error(), "table") != NULL, "%s", larder_error());
    EXPECT(larder_removal_set(t, LARDER_REMOVAL_DELETE), LARDER_OK);
    expect_clean(db);
    EXPECT(larder_destroy(name, 0), LARDER_OK);
    EXPECT(larder_table_create(db, &def), LARDER_E_DESTROYED);
    EXPECT(larder_table_open(db, "table", &t), LARDER_E_DESTROYED);
    larder_close(db);
}

/* ---- Dropping -------------------------------------------------------------------------------- */

Test(table, a_table_made_anew_is_another_table) {
    struct larder *db = testseg_open(8 * MIB, STRIPES), *other = testseg_attach(db, 0);
    struct larder_table_def def = plain("table");
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    struct larder_table *old = opened(db, "table");
    put_items(db, old, 10, 10);
    EXPECT(get_result(db, old, "p3"), LARDER_OK);
    EXPECT(larder_table_drop(other, "table"), LARDER_OK);
    EXPECT(get_result(db, old, "p3"), LARDER_E_NO_TABLE);
    EXPECT(larder_table_create(other, &def), LARDER_OK);
    EXPECT(get_result(db, old, "p3"), LARDER_E_NO_TABLE);
    struct larder_table *fresh = opened(db, "table");
    cr_assert_neq(fresh, old);
    EXPECT(get_result(db, fresh, "p3"), LARDER_NOT_FOUND);
    put_items(other, opened(other, "table"), 4, 10);
    EXPECT(get_result(db, fresh, "p3"), LARDER_OK);
    EXPECT(get_result(db, old, "p3"), LARDER_E_NO_TABLE);
    EXPECT(larder_removal_set(old, LARDER_REMOVAL_RETAIN), LARDER_E_NO_TABLE);
    expect_clean(db);
    larder_close(other);
    larder_close(db);
}

Test(table, a_drop_gives_back_items_and_indexes) {
    struct larder *db = testseg_open(32 * MIB, STRIPES);
    struct full_def full;
    make_full(&full, "full");
    full.def.ttl_attribute = NULL;
    uint64_t after_first = 0;
    for (int round = 0; round < 5; round++) {
        EXPECT(larder_table_create(db, &full.def), LARDER_OK);
        put_items(db, opened(db, "full"), 500, 100 * (size_t)round);
        expect_clean(db);
        EXPECT(larder_table_drop(db, "full"), LARDER_OK);
        EXPECT(larder_table_drop(db, "full"), LARDER_E_NO_TABLE);
        expect_clean(db);
        if (round == 0)
            after_first = used_bytes(db);
        cr_assert_eq(used_bytes(db), after_first, "round %d", round);
    }
    larder_close(db);
}

Test(table, create_and_drop_a_thousand_times_leaks_nothing) {
    struct larder *db = testseg_open(8 * MIB, STRIPES);
    struct larder_segment_stats first = {0}, last;
    for (int round = 0; round < 1000; round++) {
        char name[16];
        snprintf(name, sizeof name, "table-%d", round % 7);
        struct larder_table_def def = plain(name);
        EXPECT(larder_table_create(db, &def), LARDER_OK);
        EXPECT(larder_table_drop(db, name), LARDER_OK);
        if (round == 0 || round == 999)
            EXPECT(larder_expire(db, 0, NULL), LARDER_OK); /* empties what was dropped */
        if (round == 0)
            EXPECT(larder_segment_stats(db, &first), LARDER_OK);
    }
    EXPECT(larder_segment_stats(db, &last), LARDER_OK);
    /* While one is emptied the next takes another entry of the catalog, whose stripes stay with
     * it. */
    cr_assert_leq(last.used_bytes, first.used_bytes + LARDER_TABLES_MAX * UINT64_C(2) * STRIPES * 64);
    cr_assert_leq(last.claimed_bytes, first.claimed_bytes + MIB);
    /* a writer, a view of the thread that empties */
    cr_assert_leq(last.private_bytes, first.private_bytes + 65536);
    cr_assert_eq(last.table_count, 0);
    expect_clean(db);
    larder_close(db);
}

/* ---- Many tables ----------------------------------------------------------------------------- */

Test(table, as_many_tables_as_allowed_and_not_one_more) {
    struct larder *db = testseg_open(32 * MIB, STRIPES);
    const char *names[LARDER_TABLES_MAX + 1];
    uint32_t count = 0;
    char name[16];
    struct larder_table_def def = plain(name);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        snprintf(name, sizeof name, "table-%03u", i);
        EXPECT(larder_table_create(db, &def), LARDER_OK);
    }
    uint64_t before = used_bytes(db);
    snprintf(name, sizeof name, "one-more");
    EXPECT(larder_table_create(db, &def), LARDER_E_FULL);
    cr_assert(strstr(larder_error(), "256 tables") != NULL, "%s", larder_error());
    cr_assert_eq(used_bytes(db), before);
    EXPECT(larder_table_list(db, names, LARDER_TABLES_MAX + 1, &count), LARDER_OK);
    cr_assert_eq(count, LARDER_TABLES_MAX);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        snprintf(name, sizeof name, "table-%03u", i);
        cr_assert_str_eq(names[i], name);
        opened(db, name);
    }
    EXPECT(larder_table_drop(db, "table-100"), LARDER_OK);
    snprintf(name, sizeof name, "one-more");
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    cr_assert_eq(used_bytes(db), before);
    put_items(db, opened(db, "one-more"), 20, 20);
    expect_clean(db);
    larder_close(db);
}

Test(table, a_create_that_does_not_fit_changes_nothing) {
    /* So many stripes that a few tables fill the smallest segment. */
    struct larder *db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 4096);
    char name[16];
    struct larder_table_def def = plain(name);
    uint32_t made = 0;
    int result = LARDER_OK;
    for (; result == LARDER_OK; made++) {
        uint64_t before = used_bytes(db);
        cr_assert_lt(made, LARDER_TABLES_MAX);
        snprintf(name, sizeof name, "table-%u", made);
        result = larder_table_create(db, &def);
        if (result != LARDER_OK)
            cr_assert_eq(used_bytes(db), before);
    }
    EXPECT(result, LARDER_E_FULL);
    cr_assert_neq(larder_error()[0], '\0');
    cr_assert_gt(made, 2);
    cr_assert_eq(table_count(db), made - 1);
    expect_clean(db);
    /* Its stripes stay with the entry, so the next table needs the definition only. */
    EXPECT(larder_table_drop(db, "table-0"), LARDER_OK);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    expect_clean(db);
    larder_close(db);
}

/* ---- Several processes ----------------------------------------------------------------------- */

/* Memory that a test shares with its children. */
struct shared {
    char segment[TESTSEG_NAME_MAX];
    _Atomic int ready, go, created, existed;
};

static struct shared *shared_new(void) {
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)s, MAP_FAILED);
    testseg_name(s->segment);
    return s;
}

#define ROUNDS 50
#define CREATORS 3

static int create_with_others(void *arg) {
    struct shared *s = arg;
    struct larder *db;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = s->segment}, &db) == LARDER_OK);
    for (int round = 0; round < ROUNDS; round++) {
        char name[16];
        struct larder_table *t;
        snprintf(name, sizeof name, "table-%d", round);
        struct larder_table_def def = plain(name);
        atomic_fetch_add(&s->ready, 1);
        PROC_CHECK(UNTIL(atomic_load(&s->go) > round, 10000));
        int result = larder_table_create(db, &def);
        PROC_CHECK(result == LARDER_OK || result == LARDER_E_EXISTS);
        atomic_fetch_add(result == LARDER_OK ? &s->created : &s->existed, 1);
        PROC_CHECK(larder_table_open(db, name, &t) == LARDER_OK);
    }
    larder_close(db);
    return 0;
}

Test(table, of_several_creators_one_wins) {
    struct shared *s = shared_new();
    struct larder *db = testseg_open_named(s->segment, 16 * MIB, STRIPES);
    pid_t pids[CREATORS];
    for (int i = 0; i < CREATORS; i++)
        pids[i] = proc_fork(create_with_others, s);
    for (int round = 0; round < ROUNDS; round++) {
        cr_assert(UNTIL(atomic_load(&s->ready) == CREATORS * (round + 1), 10000));
        atomic_store(&s->go, round + 1);
    }
    for (int i = 0; i < CREATORS; i++) {
        struct proc_result r = proc_wait(pids[i], 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(atomic_load(&s->created), ROUNDS);
    cr_assert_eq(atomic_load(&s->existed), ROUNDS * (CREATORS - 1));
    cr_assert_eq(table_count(db), ROUNDS);
    expect_clean(db);
    larder_close(db);
    testseg_destroy(s->segment);
}

/* Writes and reads until the table is gone. */
static int use_until_dropped(void *arg) {
    struct shared *s = arg;
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    const struct larder_item *item;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = s->segment}, &db) == LARDER_OK);
    PROC_CHECK(larder_table_open(db, "table", &t) == LARDER_OK);
    PROC_CHECK(larder_builder_new(db, &b) == LARDER_OK && larder_page_new(db, &page) == LARDER_OK);
    for (uint32_t i = 0;; i++) {
        char key[16];
        snprintf(key, sizeof key, "p%u", i % 100);
        larder_builder_reset(b);
        larder_builder_add_s(b, "PK", key);
        larder_builder_add_s(b, "SK", "s");
        larder_builder_add_s(b, "GPK", "same");
        larder_builder_add_int(b, "GSK", i);
        PROC_CHECK(larder_builder_finish(b, &item) == LARDER_OK);
        int result = larder_put(t, item, NULL);
        if (result == LARDER_E_NO_TABLE)
            break;
        PROC_CHECK(result == LARDER_OK);
        result = larder_get(t, &(struct larder_key){.partition = larder_str(key), .sort = larder_str("s")}, page);
        PROC_CHECK(result == LARDER_OK || result == LARDER_NOT_FOUND || result == LARDER_E_NO_TABLE);
        if (i == 200)
            atomic_fetch_add(&s->ready, 1);
    }
    const struct larder_table_def *def;
    PROC_CHECK(larder_table_describe(t, &def) == LARDER_E_NO_TABLE);
    PROC_CHECK(larder_table_open(db, "table", &t) == LARDER_E_NO_TABLE);
    larder_close(db);
    return 0;
}

Test(table, a_drop_under_writers_of_other_processes_leaves_nothing) {
    struct shared *s = shared_new();
    struct larder *db = testseg_open_named(s->segment, 32 * MIB, STRIPES);
    struct full_def full;
    make_full(&full, "table");
    full.def.ttl_attribute = NULL;
    full.def.removal = LARDER_REMOVAL_DELETE;
    uint64_t after_first = 0;
    for (int round = 0; round < 6; round++) {
        atomic_store(&s->ready, 0);
        EXPECT(larder_table_create(db, &full.def), LARDER_OK);
        pid_t pids[2] = {proc_fork(use_until_dropped, s), proc_fork(use_until_dropped, s)};
        cr_assert(UNTIL(atomic_load(&s->ready) == 2, 20000));
        EXPECT(larder_table_drop(db, "table"), LARDER_OK);
        for (int i = 0; i < 2; i++) {
            struct proc_result r = proc_wait(pids[i], 20000);
            cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
        }
        expect_clean(db);
        if (round == 0)
            after_first = used_bytes(db);
        cr_assert_eq(used_bytes(db), after_first, "round %d", round);
    }
    larder_close(db);
    testseg_destroy(s->segment);
}
