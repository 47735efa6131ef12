/* tests/api/index_add_test.c - larder_index_add(), larder_index_drop(): an index for a table that
 * has data, and one less.
 *
 * Goal     The index appears at once and complete, however many writers are busy meanwhile. Items
 *          with unfit keys are left out of the index but stay in the table. Without memory, or when
 *          the process is killed, nothing of it is left.
 * Method   Compares the whole index with the whole table after the addition; larder_check()
 *          compares every entry.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(index_add, .timeout = 100 * SLOW_FACTOR);

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
};

static const struct larder_index_def by_group = {
    .name = "byGroup", .partition = {"group", LARDER_S}, .sort = {"rank", LARDER_N}};

static void must(int result) {
    cr_assert_eq(result, LARDER_OK, "%s: %s", larder_result_name(result), larder_error());
}

static struct fixture begin(uint64_t bytes) {
    struct fixture f = {.db = testseg_open(bytes, 4)};
    const struct larder_table_def def = {.name = "table", .partition = {"id", LARDER_S}};
    must(larder_table_create(f.db, &def));
    must(larder_table_open(f.db, "table", &f.t));
    must(larder_builder_new(f.db, &f.b));
    must(larder_page_new(f.db, &f.page));
    return f;
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    must(larder_check(f->db, NULL, &report));
    cr_assert_eq(report.stale_entries, 0);
    larder_close(f->db);
}

static int put(struct larder_table *t, struct larder_builder *b, int number, int rank) {
    const struct larder_item *item;
    char id[16], group[16];
    snprintf(id, sizeof id, "%06d", number);
    snprintf(group, sizeof group, "g%d", number % 4);
    larder_builder_reset(b);
    must(larder_builder_add_s(b, "id", id) | larder_builder_add_s(b, "group", group) |
         larder_builder_add_int(b, "rank", rank));
    must(larder_builder_finish(b, &item));
    return larder_put(t, item, NULL);
}

/* Items that the index gives, in order of their rank. */
static uint32_t count_index(struct fixture *f) {
    uint32_t count = 0;
    for (int group = 0; group < 4; group++) {
        char name[16];
        int result;
        snprintf(name, sizeof name, "g%d", group);
        struct larder_query_spec spec = {.index = "byGroup", .partition = larder_str(name), .limit = 300};
        int64_t last = INT64_MIN, rank;
        do {
            result = larder_query(f->t, &spec, f->page);
            cr_assert_geq(result, 0, "%s", larder_error());
            for (uint32_t i = 0; i < larder_page_count(f->page); i++) {
                struct larder_value value;
                must(larder_item_get(larder_page_item(f->page, i), "rank", &value));
                must(larder_value_int64(&value, &rank));
                cr_assert_geq(rank, last);
                last = rank;
            }
            count += larder_page_count(f->page);
            spec.start_key = larder_page_resume(f->page);
        } while (result == LARDER_MORE);
    }
    return count;
}

static int query_index(struct larder_table *t, struct larder_page *page) {
    return larder_query(t, &(struct larder_query_spec){.index = "byGroup", .partition = larder_str("g0")}, page);
}

Test(index_add, indexes_what_is_there_and_what_comes) {
    struct fixture f = begin(64 << 20);
    for (int i = 0; i < 3000; i++)
        must(put(f.t, f.b, i, i * 37 % 1000));
    cr_assert_eq(query_index(f.t, f.page), LARDER_E_NO_INDEX);
    must(larder_index_add(f.t, &by_group));
    cr_assert_eq(count_index(&f), 3000);
    for (int i = 0; i < 3000; i += 2)
        must(put(f.t, f.b, i, -i));
    for (int i = 3000; i < 3500; i++)
        must(put(f.t, f.b, i, i));
    cr_assert_eq(count_index(&f), 3500);
    const struct larder_table_def *def;
    must(larder_table_describe(f.t, &def));
    cr_assert_eq(def->index_count, 1);
    end(&f);
}

Test(index_add, appears_for_other_attachments) {
    struct fixture f = begin(64 << 20);
    struct larder *other = testseg_attach(f.db, 0);
    struct larder_table *t;
    struct larder_page *page;
    struct larder_builder *b;
    must(larder_table_open(other, "table", &t));
    must(larder_page_new(other, &page));
    must(larder_builder_new(other, &b));
    must(put(t, b, 4, 1));
    cr_assert_eq(query_index(t, page), LARDER_E_NO_INDEX);
    must(larder_index_add(f.t, &by_group));
    must(put(t, b, 8, 2));
    must(query_index(t, page));
    cr_assert_eq(larder_page_count(page), 2);
    larder_close(other);
    end(&f);
}

Test(index_add, leaves_out_items_with_unfit_keys) {
    struct fixture f = begin(64 << 20);
    const struct larder_item *item;
    static char long_text[LARDER_PARTITION_KEY_BYTES_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    for (int kind = 0; kind < 5; kind++) {
        larder_builder_reset(f.b);
        must(larder_builder_add_s(f.b, "id", (char[]){(char)('a' + kind), 0}));
        if (kind == 0)
            must(larder_builder_add_s(f.b, "group", "g0")); /* no rank */
        if (kind == 1)
            must(larder_builder_add_s(f.b, "group", "g0") | larder_builder_add_s(f.b, "rank", "high"));
        if (kind == 2)
            must(larder_builder_add_int(f.b, "group", 1) | larder_builder_add_int(f.b, "rank", 1));
        if (kind == 3)
            must(larder_builder_add_s(f.b, "group", long_text) | larder_builder_add_int(f.b, "rank", 1));
        if (kind == 4)
            must(larder_builder_add_s(f.b, "group", "") | larder_builder_add_int(f.b, "rank", 1));
        must(larder_builder_finish(f.b, &item));
        must(larder_put(f.t, item, NULL));
    }
    must(put(f.t, f.b, 4, 1));
    must(larder_index_add(f.t, &by_group));
    cr_assert_eq(count_index(&f), 1);
    must(larder_scan(f.t, &(struct larder_scan_spec){0}, f.page));
    cr_assert_eq(larder_page_count(f.page), 6);
    larder_builder_reset(f.b); /* from now on an item without the key is as with any index */
    must(larder_builder_add_s(f.b, "id", "z") | larder_builder_add_s(f.b, "group", "g0") |
         larder_builder_add_s(f.b, "rank", "high"));
    must(larder_builder_finish(f.b, &item));
    cr_assert_eq(larder_put(f.t, item, NULL), LARDER_E_INVAL);
    end(&f);
}

Test(index_add, refuses_what_is_no_new_global_index) {
    struct fixture f = begin(64 << 20);
    struct larder_index_def def = by_group;
    cr_assert_eq(larder_index_add(f.t, NULL), LARDER_E_INVAL);
    def.is_local = 1;
    cr_assert_eq(larder_index_add(f.t, &def), LARDER_E_INVAL);
    def = by_group;
    def.name = "x";
    cr_assert_eq(larder_index_add(f.t, &def), LARDER_E_INVAL);
    must(larder_index_add(f.t, &by_group));
    cr_assert_eq(larder_index_add(f.t, &by_group), LARDER_E_EXISTS);
    struct larder *reader = testseg_attach(f.db, LARDER_READ_ONLY);
    struct larder_table *t;
    must(larder_table_open(reader, "table", &t));
    cr_assert_eq(larder_index_add(t, &by_group), LARDER_E_READ_ONLY);
    larder_close(reader);
    end(&f);
}

/* ---- Without memory -------------------------------------------------------------------------- */

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    must(larder_segment_stats(db, &stats));
    return stats.used_bytes;
}

Test(index_add, leaves_no_trace_when_the_segment_is_full) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    int count = 0, result;
    while ((result = put(f.t, f.b, count, count)) == LARDER_OK)
        count++;
    cr_assert_eq(result, LARDER_E_FULL);
    cr_assert_gt(count, 100);
    for (int tries = 0; tries < 5; tries++) {
        cr_assert_eq(larder_index_add(f.t, &by_group), LARDER_E_FULL);
        cr_assert_eq(query_index(f.t, f.page), LARDER_E_NO_INDEX);
        struct larder_check_report report;
        must(larder_check(f.db, NULL, &report));
        cr_assert_eq(report.index_entries, 0);
        cr_assert_eq(report.items, (uint64_t)count);
    }
    /* All are deleted: the failed additions rewrote items in hash order, so that any that stay may
     * keep every span in its class. */
    for (int i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "%06d", i);
        must(larder_delete(f.t, &(struct larder_key){.partition = larder_str(id)}, NULL));
    }
    for (int i = 0; i < count / 4; i++)
        must(put(f.t, f.b, i, i));
    must(larder_index_add(f.t, &by_group));
    cr_assert_eq(count_index(&f), (uint32_t)(count / 4));
    end(&f);
}

/* ---- Beside writers -------------------------------------------------------------------------- */

struct writing {
    struct larder *db;
    _Atomic int is_over;
    _Atomic uint64_t puts;
};

static void *keep_writing(void *arg) {
    struct writing *w = arg;
    struct larder_table *t;
    struct larder_builder *b;
    struct rng r;
    rng_seed(&r, 7);
    must(larder_table_open(w->db, "table", &t));
    must(larder_builder_new(w->db, &b));
    while (!atomic_load(&w->is_over)) {
        int number = (int)rng_below(&r, 2000);
        if (rng_is_one_in(&r, 4)) {
            char id[16];
            snprintf(id, sizeof id, "%06d", number);
            int result = larder_delete(t, &(struct larder_key){.partition = larder_str(id)}, NULL);
            cr_assert(result == LARDER_OK || result == LARDER_NOT_FOUND, "%s", larder_error());
        } else {
            must(put(t, b, number, (int)rng_below(&r, 100)));
        }
        atomic_fetch_add(&w->puts, 1);
    }
    larder_builder_free(b);
    return NULL;
}

Test(index_add, is_complete_beside_writers) {
    for (int round = 0; round < 10; round++) {
        struct fixture f = begin(64 << 20);
        struct writing w = {.db = f.db};
        struct larder_table_stats stats;
        pthread_t thread;
        for (int i = 0; i < 2000; i++)
            must(put(f.t, f.b, i, i));
        cr_assert_eq(pthread_create(&thread, NULL, keep_writing, &w), 0);
        cr_assert(UNTIL(atomic_load(&w.puts) > 50, 5000));
        must(larder_index_add(f.t, &by_group));
        uint64_t then = atomic_load(&w.puts);
        cr_assert(UNTIL(atomic_load(&w.puts) > then + 50, 5000));
        atomic_store(&w.is_over, 1);
        pthread_join(thread, NULL);
        must(larder_table_stats(f.t, &stats));
        cr_assert_eq(count_index(&f), stats.item_count);
        struct larder_index_stats indexes[2];
        uint32_t count;
        must(larder_index_stats(f.t, indexes, 2, &count));
        cr_assert_eq(count, 2);
        cr_assert_eq(indexes[1].entries, stats.item_count);
        cr_assert_str_eq(indexes[1].name, "byGroup");
        end(&f);
    }
}

/* ---- Killed ---------------------------------------------------------------------------------- */

static int add_index(void *arg) {
    struct fixture *f = arg;
    return larder_index_add(f->t, &by_group) == LARDER_OK ? 0 : 1;
}

Test(index_add, leaves_all_or_nothing_of_a_killed_addition) {
    int undone = 0, done = 0;
    /* More rounds, if the child always came first. */
    for (int round = 0; round < 30 || (undone == 0 && round < 300); round++) {
        struct fixture f = begin(64 << 20);
        for (int i = 0; i < 3000; i++)
            must(put(f.t, f.b, i, i));
        uint64_t used = used_bytes(f.db);
        pid_t child = proc_fork(add_index, &f);
        usleep((useconds_t)(round % 30 * 150 * SLOW_FACTOR));
        struct proc_result killed = proc_kill(child);
        (void)killed;
        struct larder_check_report report;
        must(larder_check(f.db, NULL, &report)); /* recovers first */
        int result = query_index(f.t, f.page);
        if (result == LARDER_OK) {
            cr_assert_eq(count_index(&f), 3000);
            done++;
        } else {
            cr_assert_eq(result, LARDER_E_NO_INDEX);
            cr_assert_eq(report.index_entries, 0);
            /* images that have room for the index now */
            cr_assert_leq(used_bytes(f.db), used + 3000 * 16 + 65536);
            must(larder_index_add(f.t, &by_group));
            cr_assert_eq(count_index(&f), 3000);
            undone++;
        }
        end(&f);
    }
    cr_assert_gt(undone, 0);
    fprintf(stderr, "index_add: %d undone, %d done\n", undone, done);
}

/* ---- Dropping -------------------------------------------------------------------------------- */

Test(index_add, a_dropped_index_is_gone_and_may_come_again) {
    struct fixture f = begin(64 << 20);
    const struct larder_table_def *def;
    struct larder_segment_stats before, after;
    for (int i = 0; i < 3000; i++)
        must(put(f.t, f.b, i, i));
    must(larder_segment_stats(f.db, &before));
    for (int round = 0; round < 3; round++) {
        must(larder_index_add(f.t, &by_group));
        cr_assert_eq(count_index(&f), 3000);
        must(larder_index_drop(f.t, "byGroup"));
        cr_assert_eq(query_index(f.t, f.page), LARDER_E_NO_INDEX);
        cr_assert_eq(larder_index_drop(f.t, "byGroup"), LARDER_E_NO_INDEX);
        must(larder_table_describe(f.t, &def));
        cr_assert_eq(def->index_count, 0);
        must(put(f.t, f.b, 5, round));
    }
    must(larder_segment_stats(f.db, &after));
    /* 8 bytes an item stay for each index that was */
    cr_assert_leq(after.used_bytes, before.used_bytes + 3000 * 3 * 16 + (64u << 10));
    end(&f);
}

Test(index_add, a_local_index_stays) {
    struct fixture f = begin(64 << 20);
    struct larder_table *t;
    const struct larder_index_def local = {
        .name = "local", .is_local = 1, .partition = {"p", LARDER_S}, .sort = {"k", LARDER_S}};
    const struct larder_table_def def = {
        .name = "other", .partition = {"p", LARDER_S}, .sort = {"s", LARDER_S}, .indexes = &local, .index_count = 1};
    must(larder_table_create(f.db, &def));
    must(larder_table_open(f.db, "other", &t));
    cr_assert_eq(larder_index_drop(t, "local"), LARDER_E_INVAL);
    cr_assert_eq(larder_index_drop(t, "none"), LARDER_E_NO_INDEX);
    end(&f);
}

struct beside {
    struct larder *db;
    struct larder_table *t;
    atomic_int is_over;
    uint32_t whole, gone, wrong;
};

/* A query gives all or says that there is no index. */
static void *read_beside(void *arg) {
    struct beside *s = arg;
    struct larder_page *page;
    must(larder_page_new(s->db, &page));
    while (!atomic_load(&s->is_over)) {
        int r = query_index(s->t, page);
        s->gone += r == LARDER_E_NO_INDEX;
        s->whole += r == LARDER_OK && larder_page_count(page) == 150;
        s->wrong += r != LARDER_E_NO_INDEX && (r != LARDER_OK || larder_page_count(page) != 150);
    }
    larder_page_free(page);
    return NULL;
}

Test(index_add, a_query_beside_a_drop_is_whole) {
    struct fixture f = begin(64 << 20);
    struct beside s = {.db = f.db, .t = f.t};
    pthread_t thread;
    for (int i = 0; i < 600; i++)
        must(put(f.t, f.b, i, i));
    cr_assert_eq(pthread_create(&thread, NULL, read_beside, &s), 0);
    for (int round = 0; round < 60 || (s.whole < 20 && round < 240); round++) {
        must(larder_index_add(f.t, &by_group));
        must(larder_index_drop(f.t, "byGroup"));
    }
    atomic_store(&s.is_over, 1);
    pthread_join(thread, NULL);
    cr_assert_eq(s.wrong, 0, "%u whole, %u gone, %u wrong", s.whole, s.gone, s.wrong);
    end(&f);
}
