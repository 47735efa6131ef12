/* tests/crash/stop_held_test.c - a process that stands still holds one thing, and others do without
 * it.
 *
 * Goal     The memory of a stopped process's arena is passed by. A larder_check() that waits is in
 *          no process's way.
 * Method   A child stops at a store where it holds what the test is about.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "core/table/db.h"
#include "tests/crash/halt.h"
#include "tests/crash/stop_kit.h"
#include "tests/support/until.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(stop_held, .timeout = 3600);

/* ---- Arenas ---------------------------------------------------------------------------------- */

/* A process that stands still with the lock of a size class keeps no process of another arena from
 * that class. */
static int put_in_arena(struct larder *db, const char *id, unsigned fill) {
    static const char payload[4096];
    struct larder_builder *b;
    const struct larder_item *item;
    struct larder_table *t = table_named(db, "Other");
    PROC_CHECK(t && larder_builder_new(db, &b) == LARDER_OK);
    larder_builder_add_s(b, "id", id);
    larder_builder_add_b(b, "fill", payload, fill);
    PROC_CHECK(larder_builder_finish(b, &item) == LARDER_OK);
    int r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static int fill_arena(void *arg) {
    struct larder *db = open_impatient(*(int *)arg);
    for (int i = 0; i < 10; i++)
        PROC_CHECK(put_in_arena(db, "theirs", i % 2 ? 100 : 1900) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(stop_held, memory_of_another_arena) {
    struct larder_options o = {.flags = LARDER_MEMFD | LARDER_CREATE,
                               .memfd = -1,
                               .size_bytes = 512u << 20,
                               .stripe_count = STRIPES,
                               .busy_timeout_ms = LIMIT_MS};
    struct larder *db;
    struct halt child;
    struct halt_locks held;
    char ours[16] = "";
    int with_bin = 0, stops = 0;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_gt(db->seg.arena_count, 1u);
    create_other(db);
    for (int i = 0; !*ours || stripe_of(db, ours) == stripe_of(db, "theirs"); i++)
        snprintf(ours, sizeof ours, "ours%d", i);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(put_in_arena(db, ours, i % 2 ? 100 : 1900), LARDER_OK);
    int memfd = larder_memfd(db);
    halt_start(&child, fill_arena, &memfd, 1);
    while (halt_wait(&child, DEADLINE_MS)) {
        halt_look(db, &held);
        int has_bin = halt_find_rank(&held, LOCK_BIN, 1) != NULL,
            has_span = halt_find_rank(&held, LOCK_SPAN, 1) != NULL;
        int r = put_in_arena(db, ours, stops++ % 2 ? 100 : 1900);
        cr_assert(r == LARDER_OK || has_span, "store %lu: %s", (unsigned long)child.at, larder_error());
        with_bin += has_bin && r == LARDER_OK;
        halt_go_on(&child, 1);
    }
    cr_assert(proc_is_exit(child.end, 0), "%s", proc_text(child.end));
    cr_assert(with_bin > 20, "%d", with_bin);
    halt_forget(&child);
    larder_close(db);
}

/* ---- A check that has to wait ---------------------------------------------------------------- */

#define CHECKER_MS 300

static int check_patiently(void *arg) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = *(int *)arg, .busy_timeout_ms = CHECKER_MS};
    struct larder_check_report report;
    struct larder *db;
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    int r = larder_check(db, NULL, &report);
    larder_close(db);
    return r == LARDER_E_BUSY ? 0 : 1;
}

/* It waits for a stripe that a stopped process holds, and keeps no writer waiting meanwhile. */
Test(stop_held, a_check_that_waits_is_in_nobodys_way) {
    static const struct scenario s = {"check that waits", some_items, put_new, 1, 1};
    struct scene c;
    struct halt_locks held;
    int writes = 0;
    prepare(&c, &s);
    open_copy(&c);
    for (start(&c, 1); halt_wait(&c.child, DEADLINE_MS); halt_go_on(&c.child, 1)) {
        halt_look(c.db, &held);
        if (halt_find_rank(&held, LOCK_STRIPE, 1))
            break;
    }
    cr_assert(c.child.is_stopped);
    struct halt checker;
    halt_start(&checker, check_patiently, &c.memfd, 0);
    while (!halt_has_news(&checker)) {
        cr_assert_eq(put_other(&c, 0), LARDER_OK, "%s", larder_error());
        writes++;
        until_pause();
    }
    cr_assert(proc_is_exit(checker.end, 0), "%s", proc_text(checker.end));
    cr_assert(writes > 50, "%d", writes);
    halt_go_on(&c.child, 0);
    cr_assert_eq(halt_wait(&c.child, DEADLINE_MS), 0);
    cr_assert_eq(check(&c, 0), LARDER_OK, "%s", larder_error());
    halt_forget(&checker);
    close_copy(&c);
    close(c.base);
}
