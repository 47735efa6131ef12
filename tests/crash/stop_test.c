/* tests/crash/stop_test.c - for every operation and every store in it: stand still there.
 *
 * Goal     Promise 2, and "nobody waits" for processes that live but stand still: readers go on;
 *          writers that need nothing that the stopped process holds go on. A writer that needs it
 *          gets LARDER_E_BUSY after its own time limit, is told which process holds what, and has
 *          changed nothing. After SIGCONT all is well, and after SIGKILL, too.
 * Method   A child runs the operation and stops before every store (halt.h). stop_judge_kit.h
 *          judges each stop.
 * Not here A recovery that stands still (stop_recovery_test.c), one held thing looked at closely
 *          (stop_held_test.c), two that stand still (stop_two_test.c).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/crash/halt.h"
#include "tests/crash/leaving.h"
#include "tests/crash/moving.h"
#include "tests/crash/stop_judge_kit.h"
#include "tests/crash/stop_kit.h"
#include "tests/crash/world.h"
#include "tests/support/until.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(stop, .timeout = 3600);

/* ---- Lives ----------------------------------------------------------------------------------- */

/* Stopped once, and never continued. 0: it ended before. */
static int stop_and_kill(struct scene *c, uint64_t k) {
    open_copy(c);
    start(c, k);
    int is_stopped = halt_wait(&c->child, DEADLINE_MS);
    if (is_stopped) {
        judge_stop(c, k % 3 == 0 || is_long());
        halt_kill(&c->child);
        judge_end(c);
    }
    close_copy(c);
    return is_stopped;
}

static void run(struct scene *c) {
    uint64_t step = is_long() ? 1 : c->s->stride * COARSE, start_ms = until_now_ms(), kills = 0;
    learn_texts(c);
    merge_equal_texts(c);
    stop_and_go(c, step, is_long() ? 1 : 29);
    if (COARSE == 1)
        cr_assert_eq(c->ranks_seen & c->s->ranks, c->s->ranks,
                     "%s: was not stopped with all locks it takes: %#x of %#x", c->s->name, c->ranks_seen, c->s->ranks);
    uint64_t stops = c->stops, kill_step = is_long() ? 1 : step * 23;
    for (uint64_t k = 1 + kill_step / 2; stop_and_kill(c, k); k += kill_step)
        kills++;
    uint64_t usual_ms = c->busy ? c->busy_ms / c->busy : 0;
    fprintf(stderr, "%-16s %5lu stops, %5lu calls, %4lu refused after %lu ms (%lu at most); %3lu killed; %lu ms\n",
            c->s->name, (unsigned long)stops, (unsigned long)c->calls, (unsigned long)c->busy, (unsigned long)usual_ms,
            (unsigned long)c->slowest_ms, (unsigned long)kills, (unsigned long)(until_now_ms() - start_ms));
    cr_assert(usual_ms <= USUAL_MS, "%s: refusals take %lu ms, the limit is %u", c->s->name, (unsigned long)usual_ms,
              LIMIT_MS);
    forget(c);
}

/* ---- The operations -------------------------------------------------------------------------- */

#define ITEM_RANKS (RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION) | RANK(LOCK_BIN))
#define STOP(id, ...)                                                                                                  \
    Test(stop, id) {                                                                                                   \
        static const struct scenario s = {#id, __VA_ARGS__};                                                           \
        struct scene c;                                                                                                \
        prepare(&c, &s);                                                                                               \
        run(&c);                                                                                                       \
    }

STOP(attach_detach, some_items, only_attach, 1, 1, RANK(LOCK_STRIPE))
STOP(put_new, some_items, put_new, 1, 1, ITEM_RANKS)
STOP(overwrite, some_items, overwrite_one, 1, 1, RANK(LOCK_STRIPE) | RANK(LOCK_BIN))
STOP(change_all_keys, some_items, change_all_keys, 1, 1, ITEM_RANKS)
STOP(transact, some_items, transact, 1, 3, ITEM_RANKS)
STOP(transact_in_both, two_tables, transact_in_both, 1, 5, ITEM_RANKS)
STOP(transact_refused, two_tables, transact_refused, 1, 3, RANK(LOCK_STRIPE) | RANK(LOCK_BIN))
STOP(update_if, some_items, update_if, 2, 3, ITEM_RANKS)
STOP(delete_one, some_items, delete_one, 1, 1, ITEM_RANKS)
STOP(grow_and_split, many_items, put_some_more, 5, 7, ITEM_RANKS)
STOP(take_spans, large_items, take_spans, 3, 7, RANK(LOCK_STRIPE) | RANK(LOCK_BIN) | RANK(LOCK_SPAN))
STOP(put_expiring, expiring_items, put_expiring, 1, 1, ITEM_RANKS | RANK(LOCK_SHARD))
STOP(create_table, some_items, create_table, 1, 3, RANK(LOCK_CATALOG))
STOP(drop_table, some_items, drop_table, 1, 7, RANK(LOCK_CATALOG) | RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION),
     .is_alone = 1)
STOP(drop_beside, some_items, drop_table, 1, 7, RANK(LOCK_CATALOG))
STOP(add_index, some_items, add_index, 1, 11, RANK(LOCK_CATALOG) | RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION),
     RANK(LOCK_PARTITION)) /* a put enters its item in the index that is being filled */
STOP(merge_leaves, leaving_half_leaves, leaving_act_merge, 2, 3, ITEM_RANKS)
STOP(evict, other_evicts, evict_one, 3, 3, ITEM_RANKS, .is_evicting = 1)
STOP(move_blocks, many_items, move_blocks, MOVING_KINDS, 3, ITEM_RANKS, RANK(LOCK_PARTITION))
STOP(trim_arrays, few_of_many, trim_arrays, 1, 3, RANK(LOCK_STRIPE) | RANK(LOCK_BIN))
STOP(check, some_items, check_all, 1, 1,
     RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION) | RANK(LOCK_SHARD) | RANK(LOCK_BIN) | RANK(LOCK_SPAN))

/* ---- A read of several items as of one moment, while their transaction stands still ---------- */

#define SEEN_NEW 1
#define SEEN_OLD 2

/* What transact_in_both() changes: each old or new, and all the same. */
static int all_seen(struct larder *db, struct larder_page *page) {
    struct larder_table *t = table_named(db, WORLD_TABLE), *other = table_named(db, WORLD_OTHER);
    struct larder_transact_key keys[] = {{.table = t, .key = {larder_str("P0"), larder_str("SK#00003")}},
                                         {.table = other, .key = {larder_str("P2"), larder_str("SK#00002")}},
                                         {.table = other, .key = {larder_str("P1"), larder_str("SK#00001")}}};
    struct larder_value v;
    int64_t variant;
    uint64_t start_ms = until_own_ms();
    cr_assert_eq(larder_transact_get(db, keys, 3, page), LARDER_OK, "%s", larder_error());
    cr_assert_lt(until_own_ms() - start_ms, LATE_MS);
    const struct larder_item *a = larder_page_item(page, 0), *b = larder_page_item(page, 1);
    cr_assert(a && b && larder_item_get(a, "keys", &v) == LARDER_OK && larder_value_int64(&v, &variant) == LARDER_OK);
    int is_new = variant == 2222;
    cr_assert_eq(larder_item_get(b, "fill", &v), is_new ? LARDER_NOT_FOUND : LARDER_OK);
    cr_assert_eq(larder_page_item(page, 2) == NULL, is_new);
    return is_new ? SEEN_NEW : SEEN_OLD;
}

/* At every store of the transaction. New is never followed by old. */
Test(stop, a_transact_get_beside_a_stopped_transaction) {
    static const struct scenario s = {"transact_get", two_tables, transact_in_both, 1, 1, 0};
    struct scene c;
    int seen = 0, before = SEEN_OLD;
    prepare(&c, &s);
    for (uint64_t k = 1;; k += COARSE) {
        open_copy(&c);
        start(&c, k);
        int is_stopped = halt_wait(&c.child, DEADLINE_MS), is = 0;
        if (is_stopped) {
            is = all_seen(c.db, c.page);
            cr_assert_eq(all_seen(c.db, c.page), is);
            cr_assert(is >= 1 && (before == SEEN_OLD || is == SEEN_NEW), "store %lu: old again", (unsigned long)k);
            halt_kill(&c.child);
            before = is;
            seen |= is;
        }
        close_copy(&c);
        if (!is_stopped)
            break;
    }
    cr_assert_eq(seen, SEEN_NEW | SEEN_OLD);
    close(c.base);
}

static void stop_expiry(const struct scenario *s) {
    struct scene c;
    prepare(&c, s);
    world_now_s += 5;
    run(&c);
}

Test(stop, expire) {
    static const struct scenario s = {
        "expire", expiring_items, remove_expired, 1, 13, RANK(LOCK_SHARD) | RANK(LOCK_STRIPE), .is_alone = 1};
    stop_expiry(&s);
}

/* Others fire the same timers while it stands still, and it goes on with what it remembers. */
Test(stop, expire_beside) {
    static const struct scenario s = {"expire_beside", expiring_items, remove_expired, 1, 3, RANK(LOCK_SHARD)};
    stop_expiry(&s);
}
