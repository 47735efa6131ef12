/* tests/unit/table/table_life_test.c - tables come, change and go, and something goes wrong on the
 * way.
 *
 * Goal     A death at any store, a full heap at any block, a stripe that cannot be had: afterwards
 *          the table is there or is not, its definition is the old or the new one for every process
 *          at once, and no block is lost.
 * Method   A forked child does one operation and dies before its k-th store, for every k. Recovery
 *          dies a few times, too. Then the segment is audited, and the table used and dropped. The
 *          segment stays the same, so that what a death leaves in a slot meets the next one.
 *          heap_test_takes_left makes the heap full at the n-th block.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/crash.h"
#include "core/memory/lock.h"
#include "core/table/db.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(table_life, .timeout = 110 * SLOW_FACTOR);

extern _Atomic int64_t heap_test_takes_left;

#define MIB (UINT64_C(1) << 20)
#define NAME "table"
#define RECOVERY_DEATHS 3

static const struct larder_index_def indexes[] = {
    {.name = "global", .partition = {.name = "G", .type = LARDER_S}, .sort = {.name = "H", .type = LARDER_N}},
    {.name = "local",
     .is_local = 1,
     .partition = {.name = "PK", .type = LARDER_S},
     .sort = {.name = "H", .type = LARDER_N},
     .projection = LARDER_PROJECT_KEYS_ONLY},
};
static const struct larder_table_def table_def = {.name = NAME,
                                                  .partition = {.name = "PK", .type = LARDER_S},
                                                  .sort = {.name = "SK", .type = LARDER_S},
                                                  .indexes = indexes,
                                                  .index_count = 2};

static struct larder_table *opened(struct larder *db) {
    struct larder_table *t = NULL;
    EXPECT(larder_table_open(db, NAME, &t), LARDER_OK);
    return t;
}

static void put_items(struct larder *db, int count) {
    struct larder_table *t = opened(db);
    struct larder_builder *b;
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (int i = 0; i < count; i++) {
        const struct larder_item *item;
        char key[16];
        snprintf(key, sizeof key, "p%d", i);
        larder_builder_reset(b);
        larder_builder_add_s(b, "PK", key);
        larder_builder_add_s(b, "SK", "s");
        larder_builder_add_s(b, "G", i % 2 ? "odd" : "even");
        larder_builder_add_int(b, "H", i);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        EXPECT(larder_put(t, item, NULL), LARDER_OK);
    }
    larder_builder_free(b);
}

static void expect_clean(struct larder *db, const char *what, uint64_t k) {
    struct larder_check_report report;
    int result = larder_check(db, NULL, &report);
    cr_assert_eq(result, LARDER_OK, "%s, store %lu: %s, %lu errors, first \"%s\": %s", what, (unsigned long)k,
                 larder_result_name(result), (unsigned long)report.errors, report.first_error, larder_error());
    cr_assert_eq(report.leaked_blocks, 0, "%s, store %lu: %lu blocks leaked", what, (unsigned long)k,
                 (unsigned long)report.leaked_blocks);
}

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static int run_create(struct larder *db) {
    return larder_table_create(db, &table_def);
}

static int run_drop(struct larder *db) {
    return larder_table_drop(db, NAME);
}

static int run_removal(struct larder *db) {
    struct larder_table *t;
    int result = larder_table_open(db, NAME, &t);
    return result == LARDER_OK ? larder_removal_set(t, LARDER_REMOVAL_RETAIN) : result;
}

struct operation {
    const char *name;
    int (*run)(struct larder *db);
    int item_count; /* in the table before; -1: there is no table */
};

/* Whether the operation was done, for a table handle that may have an older view; -1 if two
 * attachments disagree. */
static int is_done(struct larder *db, const struct operation *o) {
    struct larder *fresh = testseg_attach(db, LARDER_READ_ONLY), *const both[] = {db, fresh};
    int done[2];
    for (int i = 0; i < 2; i++) {
        struct larder_table *t;
        const struct larder_table_def *def = NULL;
        int result = larder_table_open(both[i], NAME, &t);
        if (result == LARDER_OK)
            result = larder_table_describe(t, &def);
        cr_assert(result == LARDER_OK || result == LARDER_E_NO_TABLE, "%s: %s", o->name, larder_error());
        if (o->run == run_removal)
            done[i] = def && def->removal == LARDER_REMOVAL_RETAIN;
        else
            done[i] = (def != NULL) == (o->run == run_create);
        cr_assert(o->run != run_removal || def);
    }
    larder_close(fresh);
    return done[0] == done[1] ? done[0] : -1;
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

struct death {
    struct larder *db;
    int (*run)(struct larder *db);
    uint64_t k;
};

static int die_in_operation(void *arg) {
    const struct death *d = arg;
    shm_crash_arm(d->k);
    int result = d->run(d->db);
    shm_crash_arm(0);
    if (result != LARDER_OK)
        fprintf(stderr, "child: %s: %s\n", larder_result_name(result), larder_error());
    return result == LARDER_OK ? 0 : 1;
}

static int run_check(struct larder *db) {
    struct larder_check_report report;
    return larder_check(db, NULL, &report);
}

/* 1 if the child did all of it, 0 if it died. */
static int survives(struct death death) {
    struct proc_result r = proc_run(die_in_operation, &death, 20000);
    cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, SIGKILL), "store %lu: %s", (unsigned long)death.k, proc_text(r));
    return proc_is_exit(r, 0);
}

static void die_everywhere(const struct operation *o) {
    struct larder *db = testseg_open(8 * MIB, 2);
    uint64_t after_first = 0, undone_count = 0;
    int is_over = 0;
    /* the entry's stripes are there from now on */
    EXPECT(larder_table_create(db, &table_def), LARDER_OK);
    EXPECT(larder_table_drop(db, NAME), LARDER_OK);
    for (uint64_t k = 1; !is_over; k++) {
        if (o->item_count >= 0) {
            EXPECT(larder_table_create(db, &table_def), LARDER_OK);
            put_items(db, o->item_count);
        }
        is_over = survives((struct death){db, o->run, k});
        int before_recovery = is_done(db, o);
        cr_assert_neq(before_recovery, -1, "%s, store %lu: two attachments disagree", o->name, (unsigned long)k);
        for (uint64_t i = 0; i < RECOVERY_DEATHS && !survives((struct death){db, run_check, 1 + (k * 7 + i * 13) % 60});
             i++)
            ;
        expect_clean(db, o->name, k);
        int done = is_done(db, o);
        cr_assert_eq(done, before_recovery, "%s, store %lu: recovery changed what was seen", o->name, (unsigned long)k);
        cr_assert(done || !is_over, "%s: done and gone", o->name);
        undone_count += !done;
        if (o->run == run_create ? done : o->run == run_drop ? !done : 1) {
            put_items(db, 5);
            EXPECT(larder_table_drop(db, NAME), LARDER_OK);
        }
        expect_clean(db, o->name, k);
        if (k == 1)
            after_first = used_bytes(db);
        cr_assert_eq(used_bytes(db), after_first, "%s, store %lu", o->name, (unsigned long)k);
    }
    /* there were deaths on both sides of the one store that decides */
    cr_assert_gt(undone_count, 5);
    larder_close(db);
}

Test(table_life, a_death_in_create_leaves_a_table_or_none) {
    die_everywhere(&(struct operation){"create", run_create, -1});
}

Test(table_life, a_death_in_drop_leaves_a_table_or_none) {
    die_everywhere(&(struct operation){"drop", run_drop, 4});
}

Test(table_life, a_death_in_a_change_leaves_one_definition_for_all) {
    die_everywhere(&(struct operation){"change", run_removal, 1});
}

Test(table_life, the_first_create_of_an_entry_can_die_anywhere) {
    int is_over = 0;
    for (uint64_t k = 1; !is_over; k++) {
        struct larder *db = testseg_open(4 * MIB, 2);
        is_over = survives((struct death){db, run_create, k});
        expect_clean(db, "first create", k);
        int result = larder_table_create(db, &table_def);
        cr_assert(result == LARDER_OK || result == LARDER_E_EXISTS, "%s", larder_error());
        cr_assert(result == LARDER_E_EXISTS || !is_over);
        put_items(db, 5);
        expect_clean(db, "first create", k);
        larder_close(db);
    }
}

/* ---- No memory ------------------------------------------------------------------------------- */

Test(table_life, a_full_heap_at_any_block_changes_nothing) {
    struct larder *db = testseg_open(4 * MIB, 2);
    uint64_t before = used_bytes(db);
    int result = LARDER_E_FULL;
    for (int64_t n = 0; result == LARDER_E_FULL; n++) {
        cr_assert_lt(n, 10);
        heap_test_takes_left = n;
        result = larder_table_create(db, &table_def);
        heap_test_takes_left = -1;
        cr_assert(result == LARDER_OK || used_bytes(db) == before, "block %ld", (long)n);
        expect_clean(db, "create in a full heap", (uint64_t)n);
    }
    EXPECT(result, LARDER_OK);
    struct larder_table *t = opened(db);
    before = used_bytes(db);
    heap_test_takes_left = 0;
    EXPECT(larder_removal_set(t, LARDER_REMOVAL_RETAIN), LARDER_E_FULL);
    cr_assert_eq(used_bytes(db), before);
    EXPECT(larder_table_drop(db, NAME), LARDER_OK); /* needs no memory */
    heap_test_takes_left = -1;
    expect_clean(db, "drop in a full heap", 0);
    larder_close(db);
}

/* ---- A stripe that cannot be had ------------------------------------------------------------- */

Test(table_life, a_drop_that_must_wait_too_long_changes_nothing) {
    struct larder *db = testseg_open(8 * MIB, 2), *other = testseg_attach(db, 0);
    const struct table_view *v;
    struct writer *w;
    EXPECT(larder_table_create(db, &table_def), LARDER_OK);
    uint64_t empty = used_bytes(db);
    put_items(db, 20);
    db->writers.busy_timeout_ms = 50;
    EXPECT(table_view(opened(other), &v), LARDER_OK);
    EXPECT(writer_borrow(other, &w), LARDER_OK);
    EXPECT(lock_take(w, &v->items.stripes[1].lock, LOCK_STRIPE), LARDER_OK);
    EXPECT(larder_table_drop(db, NAME), LARDER_E_BUSY);
    uint32_t count = 0;
    EXPECT(larder_table_list(db, NULL, 0, &count), LARDER_OK);
    cr_assert_eq(count, 1);
    EXPECT(larder_table_create(db, &table_def), LARDER_E_EXISTS);
    lock_drop(w, &v->items.stripes[1].lock, LOCK_STRIPE);
    writer_end(w);
    put_items(db, 3);
    EXPECT(larder_table_drop(db, NAME), LARDER_OK);
    EXPECT(larder_table_drop(db, NAME), LARDER_E_NO_TABLE);
    expect_clean(db, "drop after a wait", 0);
    EXPECT(larder_table_create(db, &table_def), LARDER_OK);
    cr_assert_eq(used_bytes(db), empty);
    larder_close(other);
    larder_close(db);
}
