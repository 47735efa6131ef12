/* tests/unit/memory/no_wait_test.c - LARDER_NO_WAIT.
 *
 * Goal     A call of such an attachment that finds its item's lock, or every writer slot, taken
 *          says so at once, and names the holder. What a dead process holds is recovered instead.
 *          All else is as with any other attachment.
 * Method   The test holds the locks itself, by the writer's own functions, through a second
 *          attachment.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/wait.h"
#include "core/table/db.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(no_wait, .timeout = 60 * SLOW_FACTOR);

#define AT_ONCE_MS (500 * SLOW_FACTOR) /* the default would be 2000 */
#define DEADLINE_MS 20000

struct fixture {
    struct larder *holder, *db;
    struct larder_table *t;
    struct larder_builder *b;
    const struct larder_item *item;
};

static void begin(struct fixture *f, uint32_t slot_count) {
    const struct larder_table_def def = {.name = "table", .partition = {"id", LARDER_S}};
    const struct larder_options made = {.flags = LARDER_CREATE | LARDER_MEMFD,
                                        .memfd = -1,
                                        .size_bytes = 8u << 20,
                                        .stripe_count = 2,
                                        .slot_count = slot_count};
    EXPECT(larder_open(&made, &f->holder), LARDER_OK);
    EXPECT(larder_table_create(f->holder, &def), LARDER_OK);
    const struct larder_options options = {
        .flags = LARDER_MEMFD, .memfd = larder_memfd(f->holder), .busy_timeout_ms = LARDER_NO_WAIT};
    EXPECT(larder_open(&options, &f->db), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_builder_add_s(f->b, "id", "one"), LARDER_OK);
    EXPECT(larder_builder_finish(f->b, &f->item), LARDER_OK);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->holder, NULL, &report), LARDER_OK);
    larder_close(f->db);
    larder_close(f->holder);
}

/* Both stripes of the table, by a handle. Returns the writer. */
static struct writer *hold_stripes(struct larder *db) {
    struct larder_table *t;
    const struct table_view *v;
    struct writer *w;
    if (larder_table_open(db, "table", &t) || table_view(t, &v) || writer_borrow(db, &w))
        return NULL;
    for (uint32_t i = 0; i < v->items.stripe_count; i++)
        if (lock_take(w, &v->items.stripes[i].lock, LOCK_STRIPE))
            return NULL;
    return w;
}

static void drop_stripes(struct larder *db, struct writer *w) {
    struct larder_table *t;
    const struct table_view *v;
    cr_assert(larder_table_open(db, "table", &t) == LARDER_OK && table_view(t, &v) == LARDER_OK);
    for (uint32_t i = 0; i < v->items.stripe_count; i++)
        lock_drop(w, &v->items.stripes[i].lock, LOCK_STRIPE);
    writer_end(w);
}

Test(no_wait, a_lock_of_a_live_process) {
    struct fixture f;
    begin(&f, 0);
    EXPECT(larder_put(f.t, f.item, NULL), LARDER_OK);
    struct writer *w = hold_stripes(f.holder);
    cr_assert_not_null(w);
    uint64_t begun_ms = until_own_ms();
    EXPECT(larder_put(f.t, f.item, NULL), LARDER_E_BUSY);
    cr_assert_lt(until_own_ms() - begun_ms, AT_ONCE_MS);
    char pid[32];
    snprintf(pid, sizeof pid, "process %d", (int)getpid());
    cr_assert(strstr(larder_error(), pid), "%s", larder_error());
    const struct larder_key key = {.partition = larder_str("one")};
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_E_BUSY);
    int64_t value = 4711;
    EXPECT(larder_increment(f.t, &key, "n", 1, &value), LARDER_E_BUSY);
    cr_assert_eq(value, 4711);
    drop_stripes(f.holder, w);
    EXPECT(larder_put(f.t, f.item, NULL), LARDER_OK);
    end(&f);
}

static int hold_for_ever(void *arg) {
    PROC_CHECK(hold_stripes(arg) != NULL);
    for (;;)
        pause();
}

/* With and without a waiter's mark on the lock: a waiter may have died, too. */
Test(no_wait, a_lock_of_a_dead_process) {
    for (int is_marked = 0; is_marked < 2; is_marked++) {
        struct fixture f;
        const struct table_view *v;
        begin(&f, 0);
        cr_assert_eq(table_view(f.t, &v), LARDER_OK);
        pid_t pid = proc_fork(hold_for_ever, f.holder);
        uint64_t end_ms = wait_now_ms() + DEADLINE_MS * SLOW_FACTOR * SLOW_PATIENCE;
        while (lock_owner(&v->items.stripes[1].lock) < 0)
            cr_assert(wait_until(end_ms));
        proc_kill(pid);
        for (uint32_t i = 0; is_marked && i < 2; i++)
            atomic_fetch_or(&v->items.stripes[i].lock, LOCK_WAITERS);
        uint64_t begun_ms = until_own_ms();
        EXPECT(larder_put(f.t, f.item, NULL), LARDER_OK);
        cr_assert_lt(until_own_ms() - begun_ms, AT_ONCE_MS);
        end(&f);
    }
}

Test(no_wait, no_slot) {
    struct fixture f;
    struct writer *w[2];
    begin(&f, 2);
    larder_close(f.db);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(writer_borrow(f.holder, &w[i]), LARDER_OK, "%s", larder_error());
    const struct larder_options options = {
        .flags = LARDER_MEMFD, .memfd = larder_memfd(f.holder), .busy_timeout_ms = LARDER_NO_WAIT};
    EXPECT(larder_open(&options, &f.db), LARDER_OK);
    EXPECT(larder_table_open(f.db, "table", &f.t), LARDER_OK);
    uint64_t begun_ms = until_own_ms();
    const struct larder_key key = {.partition = larder_str("one")};
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_E_NO_SLOT);
    struct larder_table_stats stats; /* what only looks needs none */
    EXPECT(larder_table_stats(f.t, &stats), LARDER_OK);
    cr_assert_lt(until_own_ms() - begun_ms, AT_ONCE_MS);
    writer_end(w[0]);
    writer_end(w[1]);
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_NOT_FOUND);
    end(&f);
}

/* Reads never wait; background work goes on. */
Test(no_wait, the_rest_works_as_ever) {
    struct fixture f;
    struct larder_page *page;
    const struct larder_key key = {.partition = larder_str("one")};
    begin(&f, 0);
    EXPECT(larder_page_new(f.db, &page), LARDER_OK);
    EXPECT(larder_expirer_start(f.db), LARDER_OK);
    for (int i = 0; i < 200; i++) {
        EXPECT(larder_put(f.t, f.item, NULL), LARDER_OK);
        EXPECT(larder_get(f.t, &key, page), LARDER_OK);
    }
    EXPECT(larder_ttl_set(f.t, "expires"), LARDER_OK);
    EXPECT(larder_table_drop(f.db, "table"), LARDER_OK);
    larder_expirer_stop(f.db); /* its locks, too, are not waited for */
    EXPECT(larder_expire(f.db, 0, NULL), LARDER_OK);
    end(&f);
}
