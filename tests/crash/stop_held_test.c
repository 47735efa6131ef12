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

/* What the checker is told to wait; more if it or the writer gets no core meanwhile. */
struct checking {
    int memfd;
    uint32_t patience_ms;
};

static int check_patiently(void *arg) {
    const struct checking *c = arg;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = c->memfd, .busy_timeout_ms = c->patience_ms};
    struct larder_check_report report;
    struct larder *db;
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    int r = larder_check(db, NULL, &report);
    larder_close(db);
    return r == LARDER_E_BUSY ? 0 : 1;
}

/* Writes while a check waits. True: all were done, and they were many. */
static int writes_go_on(struct scene *c, uint32_t patience_ms) {
    struct checking checking = {c->memfd, patience_ms};
    struct halt checker;
    int writes = 0, refused = 0;
    halt_start(&checker, check_patiently, &checking, 0);
    while (!halt_has_news(&checker)) {
        int r = put_other(c, 0);
        cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "%s", larder_error());
        refused += r == LARDER_E_BUSY;
        writes++;
        until_pause();
    }
    cr_assert(proc_is_exit(checker.end, 0), "%s", proc_text(checker.end));
    halt_forget(&checker);
    return writes > 50 && refused == 0;
}

/* It waits for a stripe that a stopped process holds, and keeps no writer waiting meanwhile. On a
 * busy machine the checker may have a lock and get no core: one of several tries is enough. */
Test(stop_held, a_check_that_waits_is_in_nobodys_way) {
    static const struct scenario s = {"check that waits", some_items, put_new, 1, 1};
    struct scene c;
    struct halt_locks held;
    int goes_on = 0;
    prepare(&c, &s);
    open_copy(&c);
    for (start(&c, 1); halt_wait(&c.child, DEADLINE_MS); halt_go_on(&c.child, 1)) {
        halt_look(c.db, &held);
        if (halt_find_rank(&held, LOCK_STRIPE, 1))
            break;
    }
    cr_assert(c.child.is_stopped);
    for (uint32_t patience_ms = 300; !goes_on && patience_ms <= 300 << 6; patience_ms *= 2)
        goes_on = writes_go_on(&c, patience_ms);
    cr_assert(goes_on, "writes wait for a check that waits");
    halt_go_on(&c.child, 0);
    cr_assert_eq(halt_wait(&c.child, DEADLINE_MS), 0);
    cr_assert_eq(check(&c, 0), LARDER_OK, "%s", larder_error());
    close_copy(&c);
    close(c.base);
}
