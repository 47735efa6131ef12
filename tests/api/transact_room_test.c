/* tests/api/transact_room_test.c - transactions of large items in segments with little or scattered
 * room.
 *
 * Goal     A transaction fits where its items would fit one by one: new ones and replaced ones, of
 *          one size and of many, by puts and by updates, without eviction and with it. It evicts
 *          about what single puts do. Two processes that hold for a moment what the other one needs
 *          do not make each other fail, nor a process that puts one item.
 * Method   A segment is filled with items, and some of them are deleted: that much is free, and
 *          nowhere in a row. The public functions only.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(transact_room, .timeout = 100 * SLOW_FACTOR);

#define ACTIONS_MAX 100
#define BYTES_MAX 400000u
#define DEADLINE_MS 60000
#define ROUNDS (200 / (SLOW_FACTOR > 1 ? 4 : 1))

struct fixture {
    struct larder *db;
    struct larder_table *small, *large;
    struct larder_builder *b[ACTIONS_MAX];
    uint32_t smalls; /* put into `small` */
};

static void begin_in(struct fixture *f, struct larder *db) {
    f->db = db;
    EXPECT(larder_table_open(db, "small", &f->small), LARDER_OK);
    EXPECT(larder_table_open(db, "large", &f->large), LARDER_OK);
    for (int i = 0; i < ACTIONS_MAX; i++)
        EXPECT(larder_builder_new(db, &f->b[i]), LARDER_OK);
}

static void begin(struct fixture *f, uint64_t mib, enum larder_eviction eviction) {
    struct larder *db = testseg_open(mib << 20, 8);
    struct larder_table_def def = {.name = "small", .partition = {"id", LARDER_S}, .eviction = eviction};
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    def.name = "large";
    def.eviction = LARDER_EVICTION_NONE;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    begin_in(f, db);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0, "%s", report.first_error);
    larder_close(f->db);
}

static const struct larder_item *item_of(struct fixture *f, uint32_t place, const char *kind, uint32_t n,
                                         uint32_t bytes) {
    static const char fill[BYTES_MAX];
    const struct larder_item *item = NULL;
    char id[32];
    snprintf(id, sizeof id, "%s%u", kind, n);
    larder_builder_reset(f->b[place]);
    larder_builder_add_s(f->b[place], "id", id);
    larder_builder_add_b(f->b[place], "fill", fill, bytes);
    return larder_builder_finish(f->b[place], &item) == LARDER_OK ? item : NULL;
}

/* Fills the segment with items of so many bytes and deletes all but `kept` of a hundred;
 * ONE_IN_TWO: every other one, so that no two free ones lie side by side. */
#define ONE_IN_TWO 0u
static void scatter(struct fixture *f, uint32_t bytes, uint32_t kept) {
    uint32_t random = 1;
    while (larder_put(f->small, item_of(f, 0, "s", f->smalls, bytes), NULL) == LARDER_OK)
        f->smalls++;
    for (uint32_t n = 0; n < f->smalls; n++) {
        char id[32];
        random = random * 1664525u + 1013904223u;
        if (kept == ONE_IN_TWO ? n % 2 : (random >> 16) % 100 < kept)
            continue;
        snprintf(id, sizeof id, "s%u", n);
        EXPECT(larder_delete(f->small, &(struct larder_key){.partition = larder_str(id)}, NULL), LARDER_OK);
    }
}

/* Puts items number 0 to count - 1 in one transaction. */
static int put_all(struct fixture *f, const char *kind, uint32_t count, uint32_t least, uint32_t most) {
    struct larder_action actions[ACTIONS_MAX];
    memset(actions, 0, sizeof actions);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = least + (most - least) * ((i * 7 + 3) % 10) / 9;
        actions[i] =
            (struct larder_action){.kind = LARDER_ACTION_PUT, .table = f->large, .item = item_of(f, i, kind, i, bytes)};
    }
    return larder_transact(f->db, &(struct larder_transaction){.actions = actions, .count = count}, NULL, NULL);
}

static uint64_t count_of(struct larder_table *t) {
    struct larder_table_stats stats;
    EXPECT(larder_table_stats(t, &stats), LARDER_OK);
    return stats.item_count;
}

Test(transact_room, two_items_longer_than_any_free_run) {
    struct fixture f = {0};
    begin(&f, 16, LARDER_EVICTION_NONE);
    scatter(&f, 20000, ONE_IN_TWO);
    EXPECT(put_all(&f, "l", 2, 40000, 40000), LARDER_OK);
    EXPECT(put_all(&f, "m", 30, 40000, 40000), LARDER_OK);
    cr_assert_eq(count_of(f.large), 32);
    end(&f);
}

Test(transact_room, among_small_items) {
    struct fixture f = {0};
    begin(&f, 16, LARDER_EVICTION_NONE);
    scatter(&f, 2000, 40);
    EXPECT(put_all(&f, "l", 10, BYTES_MAX, BYTES_MAX), LARDER_OK);
    cr_assert_eq(count_of(f.large), 10);
    end(&f);
}

Test(transact_room, items_of_all_sizes) {
    struct fixture f = {0};
    begin(&f, 16, LARDER_EVICTION_NONE);
    scatter(&f, 6000, 30);
    EXPECT(put_all(&f, "l", 60, 500, 120000), LARDER_OK);
    cr_assert_eq(count_of(f.large), 60);
    end(&f);
}

Test(transact_room, items_that_are_replaced) {
    struct fixture f = {0};
    begin(&f, 16, LARDER_EVICTION_NONE);
    EXPECT(put_all(&f, "l", 4, 40000, 40000), LARDER_OK);
    scatter(&f, 20000, ONE_IN_TWO);
    for (uint32_t count = 1; count <= 4; count++)
        EXPECT(put_all(&f, "l", count, 40000, 40000), LARDER_OK);
    end(&f);
}

Test(transact_room, items_that_updates_make) {
    struct fixture f = {0};
    struct larder_action actions[8];
    struct larder_expr *add;
    static const char fill[60000];
    const struct larder_item *values;
    begin(&f, 16, LARDER_EVICTION_NONE);
    EXPECT(put_all(&f, "l", 8, 40000, 40000), LARDER_OK);
    scatter(&f, 20000, ONE_IN_TWO);
    EXPECT(larder_prepare(f.db, LARDER_EXPR_UPDATE, "SET more = :m", NULL, 0, &add), LARDER_OK);
    larder_builder_reset(f.b[0]);
    larder_builder_add_b(f.b[0], ":m", fill, sizeof fill);
    EXPECT(larder_builder_finish(f.b[0], &values), LARDER_OK);
    memset(actions, 0, sizeof actions);
    char id[8][8];
    for (int i = 0; i < 8; i++) {
        snprintf(id[i], sizeof id[i], "l%d", i);
        actions[i] = (struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                            .table = f.large,
                                            .key = {.partition = larder_str(id[i])},
                                            .update = add,
                                            .values = values};
    }
    EXPECT(larder_transact(f.db, &(struct larder_transaction){.actions = actions, .count = 8}, NULL, NULL), LARDER_OK);
    larder_expr_free(add);
    end(&f);
}

/* 4 MB and 4 MB of 16, beside what is evicted: some of it stays. */
Test(transact_room, evicts_no_more_than_it_needs) {
    struct fixture f = {0};
    struct larder_table_stats before = {0}, after;
    begin(&f, 16, LARDER_EVICTION_SIEVE);
    do {
        EXPECT(larder_put(f.small, item_of(&f, 0, "s", f.smalls++, 20000), NULL), LARDER_OK);
        if (f.smalls % 100 == 0)
            EXPECT(larder_table_stats(f.small, &before), LARDER_OK);
    } while (before.evicted < 500);
    EXPECT(larder_table_stats(f.small, &before), LARDER_OK);
    EXPECT(put_all(&f, "m", 100, 40000, 40000), LARDER_OK);
    EXPECT(put_all(&f, "l", 10, BYTES_MAX, BYTES_MAX), LARDER_OK);
    EXPECT(larder_table_stats(f.small, &after), LARDER_OK);
    uint64_t evicted = after.evicted - before.evicted, items = before.item_count;
    cr_assert_leq(evicted, items * 70 / 100, "%llu of %llu items", (unsigned long long)evicted,
                  (unsigned long long)items);
    end(&f);
}

/* ---- At the same time ------------------------------------------------------------------------ */

struct replacer {
    struct larder *db;
    const char *kind;
    uint32_t count;
};

/* Replaces its items again and again: all in one transaction, or one by one. */
static int replace(void *arg) {
    const struct replacer *r = arg;
    struct fixture f = {0};
    begin_in(&f, r->db);
    for (int round = 0; round < ROUNDS; round++) {
        PROC_CHECK(r->count == 1 ? larder_put(f.large, item_of(&f, 0, r->kind, 0, BYTES_MAX), NULL) == LARDER_OK
                                 : put_all(&f, r->kind, r->count, BYTES_MAX, BYTES_MAX) == LARDER_OK);
    }
    return 0;
}

/* 2.4 MB of 8 are a's, as many b's, 0.4 MB c's. There is room for one more transaction, not two. */
Test(transact_room, what_another_holds_for_a_moment_is_waited_for) {
    struct fixture f = {0};
    begin(&f, 8, LARDER_EVICTION_NONE);
    struct replacer replacers[] = {{f.db, "a", 5}, {f.db, "b", 5}, {f.db, "c", 1}};
    pid_t pids[3];
    EXPECT(put_all(&f, "a", 5, BYTES_MAX, BYTES_MAX), LARDER_OK);
    EXPECT(put_all(&f, "b", 5, BYTES_MAX, BYTES_MAX), LARDER_OK);
    for (int i = 0; i < 3; i++)
        pids[i] = proc_fork(replace, &replacers[i]);
    for (int i = 0; i < 3; i++) {
        struct proc_result r = proc_wait(pids[i], DEADLINE_MS);
        cr_expect(proc_is_exit(r, 0), "%s: %s", replacers[i].kind, proc_text(r));
    }
    end(&f);
}
