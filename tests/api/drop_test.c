/* tests/api/drop_test.c - a table is dropped at once, and its memory comes back while no call waits
 * for it.
 *
 * Goal     larder_table_drop() does not wait for the memory, its name is free at once, and no other
 *          call waits either. The memory comes back: by the process that dropped, or if it dies, by
 *          an expirer, larder_expire(), or the first write that finds no room. Statistics and check
 *          are right meanwhile.
 * Method   Tables of tens of thousands of items, one with a single large partition. A process that
 *          writes all the while notes its longest wait in shared memory.
 * See also crash/scenarios.c (drop_table, empty_table, resume_drop, create_beside_drop,
 *          create_after_drop), crash/stop_test.c (drop_beside).
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(drop, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (UINT64_C(48) << 20)
#define WAIT_MS 30000
#define ITEMS (SLOW_FACTOR > 1 ? 5000 : 40000)
#define LONG_MS (200 * SLOW_FACTOR) /* of one call beside a drop; usually it takes one */

static const struct larder_index_def by_owner = {
    .name = "by-owner", .partition = {"owner", LARDER_S}, .sort = {"at", LARDER_N}};
static const struct larder_table_def big = {
    .name = "big", .partition = {"id", LARDER_S}, .indexes = &by_owner, .index_count = 1, .ttl_attribute = "until"};
static const struct larder_table_def small = {.name = "small", .partition = {"id", LARDER_S}};

static int put(struct larder *db, struct larder_table *t, int n, int owners) {
    struct larder_builder *b;
    const struct larder_item *item;
    char text[32];
    int r = larder_builder_new(db, &b);
    if (r)
        return r;
    snprintf(text, sizeof text, "item-%d", n);
    larder_builder_add_s(b, "id", text);
    snprintf(text, sizeof text, "owner-%d", n % owners);
    larder_builder_add_s(b, "owner", text);
    larder_builder_add_int(b, "at", n);
    larder_builder_add_b(b, "payload", text, 32);
    r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static struct larder_table *make(struct larder *db, const struct larder_table_def *def, int items, int owners) {
    struct larder_table *t = NULL;
    EXPECT(larder_table_create(db, def), LARDER_OK);
    EXPECT(larder_table_open(db, def->name, &t), LARDER_OK);
    for (int n = 0; n < items; n++)
        EXPECT(put(db, t, n, owners), LARDER_OK);
    return t;
}

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

static void check(struct larder *db) {
    struct larder_check_report report;
    EXPECT(larder_check(db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.leaked_blocks, 0);
}

/* ---- The usual case -------------------------------------------------------------------------- */

Test(drop, the_name_is_free_at_once_and_the_memory_comes_back) {
    struct larder *db = testseg_open(SEGMENT_BYTES, 64);
    make(db, &small, 10, 1);
    EXPECT(larder_table_create(db, &big), LARDER_OK);
    EXPECT(larder_table_drop(db, "big"), LARDER_OK);
    cr_assert(UNTIL(larder_expire(db, 0, NULL) == LARDER_OK, WAIT_MS));
    uint64_t empty = used_bytes(db);
    struct larder_table *old = make(db, &big, ITEMS, 100), *fresh;
    struct larder_key key = {.partition = larder_str("item-7")};
    struct larder_page *page;
    EXPECT(larder_page_new(db, &page), LARDER_OK);
    EXPECT(larder_table_drop(db, "big"), LARDER_OK);
    EXPECT(larder_get(old, &key, page), LARDER_E_NO_TABLE);
    EXPECT(larder_table_drop(db, "big"), LARDER_E_NO_TABLE);
    fresh = make(db, &big, 10, 1);
    EXPECT(larder_get(fresh, &key, page), LARDER_OK);
    check(db);
    EXPECT(larder_table_drop(db, "big"), LARDER_OK);
    /* The second catalog entry has stripes of its own. */
    cr_assert(UNTIL(used_bytes(db) <= empty + 4 * 64 * 64, WAIT_MS));
    check(db);
    larder_page_free(page);
    larder_close(db);
}

Test(drop, closing_in_the_middle_leaves_the_rest_to_others) {
    struct larder *db = testseg_open(SEGMENT_BYTES, 64);
    make(db, &small, 10, 1);
    for (int round = 0; round < 3; round++) {
        struct larder *other = testseg_attach(db, 0);
        make(other, &big, ITEMS, 1);
        EXPECT(larder_table_drop(other, "big"), LARDER_OK);
        larder_close(other);
        EXPECT(larder_expire(db, 0, NULL), LARDER_OK);
        cr_assert_leq(used_bytes(db), UINT64_C(200000));
        check(db);
    }
    larder_close(db);
}

#define STRIPE_BYTES 64u
#define FEW 8u

/* A catalog entry keeps its stripes for ever. In a burst, new tables take over those of dropped
 * ones and do not spread over all 256 entries. */
Test(drop, a_burst_of_tables_takes_few_entries) {
    const uint32_t stripes = 256;
    struct larder *db = testseg_open(SEGMENT_BYTES, stripes);
    uint64_t before = used_bytes(db);
    for (int round = 0; round < 300; round++) {
        EXPECT(larder_table_create(db, &small), LARDER_OK);
        EXPECT(larder_table_drop(db, small.name), LARDER_OK);
    }
    EXPECT(larder_expire(db, 0, NULL), LARDER_OK);
    uint64_t entries = (used_bytes(db) - before) / (2u * stripes * STRIPE_BYTES);
    cr_assert(entries <= FEW, "%lu entries have stripes", (unsigned long)entries);
    check(db);
    larder_close(db);
}

Test(drop, many_tables_in_a_row) {
    struct larder *db = testseg_open(SEGMENT_BYTES, 4);
    for (int round = 0; round < 600; round++) { /* more than a catalog has entries */
        make(db, &big, 20, 1);
        EXPECT(larder_table_drop(db, "big"), LARDER_OK);
    }
    EXPECT(larder_expire(db, 0, NULL), LARDER_OK);
    check(db);
    larder_close(db);
}

/* ---- Others meanwhile ------------------------------------------------------------------------ */

struct beside {
    struct larder *db;
    struct shared {
        _Atomic int is_over;
        _Atomic uint64_t calls, failed;
        struct until_slowest slowest; /* of the process beside it, which alone writes it */
    } * shared;
};

static void note(struct shared *s, int r) {
    until_call_ends(&s->slowest);
    s->calls++;
    s->failed += r != LARDER_OK;
}

/* Writes, and creates and drops a table of its own. */
static int work_beside(void *arg) {
    struct beside *b = arg;
    struct larder_table *t;
    const struct larder_table_def mine = {.name = "mine", .partition = {"id", LARDER_S}};
    PROC_CHECK(larder_table_open(b->db, "small", &t) == LARDER_OK);
    for (int n = 0; !b->shared->is_over; n++) {
        until_call_begins(&b->shared->slowest);
        note(b->shared, put(b->db, t, n % 50, 1));
        if (n % 20)
            continue;
        until_call_begins(&b->shared->slowest);
        note(b->shared, larder_table_create(b->db, &mine));
        until_call_begins(&b->shared->slowest);
        note(b->shared, larder_table_drop(b->db, "mine"));
    }
    return 0;
}

static void drop_beside_others(int owners) {
    struct larder *db = testseg_open(SEGMENT_BYTES, 64);
    struct beside b = {db, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    make(db, &small, 50, 1);
    make(db, &big, ITEMS, owners);
    pid_t child = proc_fork(work_beside, &b);
    cr_assert(UNTIL(b.shared->calls > 50, WAIT_MS));
    struct until_slowest drop = {0};
    until_call_begins(&drop);
    EXPECT(larder_table_drop(db, "big"), LARDER_OK);
    until_call_ends(&drop);
    EXPECT(larder_expire(db, 0, NULL), LARDER_OK); /* helps to empty */
    b.shared->is_over = 1;
    cr_assert(proc_is_exit(proc_wait(child, WAIT_MS), 0));
    cr_assert_eq(b.shared->failed, 0);
    cr_assert(until_is_prompt(&b.shared->slowest, LONG_MS), "a call took %lu ms", b.shared->slowest.own_ms);
    /* One call: what the machine does to any is known from the others. */
    drop.queued_ms = drop.queued_ms > b.shared->slowest.queued_ms ? drop.queued_ms : b.shared->slowest.queued_ms;
    cr_assert(until_is_prompt(&drop, LONG_MS), "the drop took %lu ms", drop.own_ms);
    check(db);
    munmap((void *)b.shared, 4096);
    larder_close(db);
}

Test(drop, nobody_waits) {
    drop_beside_others(1000);
}

Test(drop, nobody_waits_for_a_large_partition) {
    drop_beside_others(1);
}

/* ---- The dropper dies ------------------------------------------------------------------------ */

static int drop_and_die(void *arg) {
    struct larder *db = arg;
    PROC_CHECK(larder_table_drop(db, "big") == LARDER_OK);
    raise(SIGKILL);
    return 0;
}

static struct larder *after_a_dead_dropper(void) {
    struct larder *db = testseg_open(SEGMENT_BYTES, 64);
    make(db, &small, 1, 1);
    make(db, &big, ITEMS, 10);
    cr_assert(proc_is_signal(proc_run(drop_and_die, db, WAIT_MS), SIGKILL));
    return db;
}

Test(drop, an_expirer_goes_on_for_a_dead_dropper) {
    struct larder *db = after_a_dead_dropper();
    EXPECT(larder_expirer_start(db), LARDER_OK);
    cr_assert(UNTIL(used_bytes(db) <= 200000, WAIT_MS));
    larder_expirer_stop(db);
    check(db);
    larder_close(db);
}

Test(drop, a_put_without_room_goes_on_for_a_dead_dropper) {
    struct larder *db = after_a_dead_dropper();
    struct larder_table *t;
    EXPECT(larder_table_open(db, "small", &t), LARDER_OK);
    int n = 0, r;
    while ((r = put(db, t, n, 1)) == LARDER_OK)
        n++;
    EXPECT(r, LARDER_E_FULL);
    cr_assert_gt((uint64_t)n * 100, SEGMENT_BYTES / 2, "only %d items went in", n);
    check(db);
    larder_close(db);
}
