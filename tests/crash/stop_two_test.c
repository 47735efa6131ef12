/* tests/crash/stop_two_test.c - two processes stand still, one because of the other.
 *
 * Goal     A process that was stopped while it waited for a stopped one, or is killed there, leaves
 *          things as they were.
 * Method   The first child stops at a store where it holds a lock; the second runs into it and is
 *          stopped, continued and killed there, in every order.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/segment/live.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "tests/crash/halt.h"
#include "tests/crash/stop_judge_kit.h"
#include "tests/crash/stop_kit.h"
#include "tests/crash/world.h"
#include "tests/support/until.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(stop_two, .timeout = 3600);

/* ---- One stop -------------------------------------------------------------------------------- */

static int has_dead_slot(struct larder *db) {
    for (uint32_t i = 0; i < db->seg.slot_count; i++)
        if (SHM_LOAD(&seg_slot(&db->seg, i)->state) == SLOT_LIVE && live_is_held(&db->seg, i) == 0)
            return 1;
    return 0;
}

/* ---- Two stand still ------------------------------------------------------------------------- */

/* Two processes write to the same lists from different stripes. */
#define FIRST 1 /* bits of what is seen */
#define SECOND 2
#define FIRST_ITEM 50
#define CHILD_BUSY 7

struct pair {
    struct scene c; /* c.child is the first */
    struct halt second;
    char *text[4];   /* by what is done */
    int seen, never; /* bits: seen done; known to be not done */
    uint64_t stuck, refused, pairs;
};

static int second_item; /* what the second changes */

static int act_of_pair(struct larder *db, int who) {
    return who == FIRST ? world_try_put(db, FIRST_ITEM, 1111, 50, world_now_s + 500)
                        : world_try_put(db, second_item, 3333, 90, 0);
}

static uint64_t stripe_of_world(struct larder *db, int n) {
    const struct table_view *v;
    struct item_key key;
    char pk[16], sk[32];
    snprintf(pk, sizeof pk, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, sizeof sk, "SK#%05d", n);
    struct larder_key given = {larder_str(pk), larder_str(sk)};
    cr_assert(table_view(table_named(db, WORLD_TABLE), &v) == LARDER_OK &&
              item_key_from_values(&v->shape, &given, &key) == LARDER_OK);
    return seg_off(&db->seg, &htab_stripe(&v->items, read_hash(v, &key))->lock);
}

/* An item of another stripe than the first's. Else the second waits for that stripe, and never has
 * anything to undo. */
static void choose_second_item(int base) {
    struct larder *db = world_open(base);
    for (second_item = 0; stripe_of_world(db, second_item) == stripe_of_world(db, FIRST_ITEM); second_item++)
        ;
    cr_assert(second_item < 20);
    larder_close(db);
}

struct pair_act {
    int memfd, who;
};

static int pair_child(void *arg) {
    const struct pair_act *a = arg;
    struct larder *db = open_impatient(a->memfd);
    int r = act_of_pair(db, a->who);
    PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY);
    larder_close(db);
    return r == LARDER_OK ? 0 : CHILD_BUSY;
}

static void learn_pair(struct pair *p) {
    for (int done = 0; done < 4; done++) {
        int memfd = world_copy(p->c.base);
        struct larder *db = world_open(memfd);
        for (int who = FIRST; who <= SECOND; who++)
            cr_assert(!(done & who) || act_of_pair(db, who) == LARDER_OK);
        p->text[done] = look(db);
        larder_close(db);
        close(memfd);
    }
}

static void judge_pair(struct pair *p) {
    char *text = look(p->c.db);
    int seen = 0;
    while (seen < 4 && strcmp(text, p->text[seen]) != 0)
        seen++;
    free(text);
    cr_assert(seen < 4, "first at %lu, second at %lu: something is half done", (unsigned long)p->c.child.at,
              (unsigned long)p->second.at);
    cr_assert((seen & p->seen) == p->seen && (seen & p->never) == 0,
              "first at %lu, second at %lu: done is %d, was %d, refused %d", (unsigned long)p->c.child.at,
              (unsigned long)p->second.at, seen, p->seen, p->never);
    p->seen = seen;
}

/* A child is over: the result it got decides what is seen from now on. */
static void end_of(struct pair *p, struct halt *h, int who) {
    cr_assert(proc_is_exit(h->end, 0) || proc_is_exit(h->end, CHILD_BUSY), "%d: %s", who, proc_text(h->end));
    int is_done = proc_is_exit(h->end, 0);
    p->refused += !is_done;
    if (is_done)
        p->seen |= who;
    else
        p->never |= who;
    judge_pair(p);
}

static void start_of_pair(struct pair *p, struct halt *h, int who, uint64_t first) {
    struct pair_act act = {p->c.memfd, who};
    halt_start(h, pair_child, &act, first);
    if (!halt_wait(h, DEADLINE_MS))
        end_of(p, h, who);
    judge_pair(p);
}

static void run_to_end(struct pair *p, struct halt *h, int who, uint64_t step) {
    while (h->is_stopped) {
        halt_go_on(h, step);
        if (!halt_wait(h, DEADLINE_MS))
            end_of(p, h, who);
        judge_pair(p);
    }
}

/* The second stops at j, then the first at k. Then the second goes on step by step, to its end, and
 * then the first. Or the second is killed. 0: the second has fewer than j stores. */
static int try_pair(struct pair *p, uint64_t j, uint64_t k, uint64_t step) {
    open_copy(&p->c);
    p->seen = p->never = 0;
    start_of_pair(p, &p->second, SECOND, j);
    int is_there = p->second.is_stopped;
    start_of_pair(p, &p->c.child, FIRST, k);
    run_to_end(p, &p->second, SECOND, step);
    p->stuck += has_dead_slot(p->c.db);
    if (p->c.child.is_stopped && (j + k) % 3 == 0)
        halt_kill(&p->c.child);
    else
        run_to_end(p, &p->c.child, FIRST, 0);
    struct larder_check_report report;
    cr_assert_eq(larder_check(p->c.db, NULL, &report), LARDER_OK, "first at %lu, second at %lu: %s", (unsigned long)k,
                 (unsigned long)j, larder_error());
    judge_pair(p);
    for (int who = FIRST; who <= SECOND; who++)
        cr_assert_eq(act_of_pair(p->c.db, who), LARDER_OK, "again: %s", larder_error());
    p->seen = p->never = 0;
    judge_pair(p);
    cr_assert_eq(p->seen, FIRST | SECOND);
    cr_assert_eq(larder_check(p->c.db, NULL, &report), LARDER_OK, "%s", larder_error());
    halt_forget(&p->second);
    close_copy(&p->c);
    p->pairs++;
    return is_there;
}

/* Stores of the first at which the set of locks it holds has changed. */
static uint32_t learn_changes(struct pair *p, uint64_t *at, uint32_t max) {
    struct halt_locks held;
    uint64_t signature = 0;
    uint32_t count = 0;
    open_copy(&p->c);
    p->seen = p->never = 0;
    for (start_of_pair(p, &p->c.child, FIRST, 1); p->c.child.is_stopped; halt_wait(&p->c.child, DEADLINE_MS)) {
        halt_look(p->c.db, &held);
        if (halt_signature(&held) != signature && held.count > 1 && count < max)
            at[count++] = p->c.child.at;
        signature = halt_signature(&held);
        halt_go_on(&p->c.child, 1);
    }
    cr_assert(proc_is_exit(p->c.child.end, 0));
    close_copy(&p->c);
    return count;
}

Test(stop_two, stuck_behind_a_stopped_process) {
    static const struct scenario s = {"pair", expiring_items, NULL, 0, 0};
    static struct pair p;
    uint64_t at[200], start_ms = until_now_ms();
    prepare(&p.c, &s);
    choose_second_item(p.c.base);
    learn_pair(&p);
    uint32_t changes = learn_changes(&p, at, 200);
    cr_assert(changes > 10);
    unsigned k_step = is_long() ? 1 : 4, j_step = is_long() ? 3 : 13 * COARSE;
    for (uint32_t i = 0; i < changes; i += k_step)
        for (uint64_t j = 1 + i % j_step; try_pair(&p, j, at[i], is_long() ? 1 : 19); j += j_step)
            ;
    fprintf(stderr, "two stopped: %lu pairs, %lu refused, %lu times stuck; %lu ms\n", (unsigned long)p.pairs,
            (unsigned long)p.refused, (unsigned long)p.stuck, (unsigned long)(until_now_ms() - start_ms));
    cr_assert_gt(p.refused, 0);
    cr_assert(p.stuck > 0 || COARSE > 1, "no process was ever stuck"); /* one pair in twenty is */
    for (int i = 0; i < 4; i++)
        free(p.text[i]);
    close(p.c.base);
}
