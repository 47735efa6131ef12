/* tests/crash/step_test.c - a process killed at every instruction of a call.
 *
 * Goal     Promises 1 and 3 for the library as it is shipped, without trusting that all its stores
 *          are in the macros that tests/crash/enum_test.c counts: at whatever instruction of
 *          larder_put() or larder_delete() a process dies, the others see the call wholly or not at
 *          all, through all paths alike, and go on at once; no block is lost.
 * Method   Per operation a base segment is prepared. For each instruction: copy it; a process
 *          attaches (or inherits the handle by a fork), acknowledges one write, and is driven by
 *          ptrace through the first n instructions of the call (step_driver.h), system calls,
 *          dynamic linker and all; there it dies. Another process that was attached all the while
 *          reads, writes, checks and judges (step_trial.h). Recovery is stepped, too: a put is
 *          killed just before and just after it publishes and at two other instructions, and the
 *          next process to write the same key is killed at every instruction of that. Held instead
 *          of killed: the process stands still there, readers do not notice, and then it ends its
 *          call.
 * Effort   Every STRIDEth instruction from a random first one, every n-th address of the code, and
 *          all instructions around the one that publishes. The stride follows from a number of
 *          kills per operation. LARDER_STEP_STRIDE sets it. LARDER_TEST_LONG means every
 *          instruction, one to three minutes per operation and ten for recovery (not under a
 *          sanitizer: instrumented code is not what is shipped). The seed is fresh each time and
 *          printed; LARDER_SEED repeats it.
 */
#include "tests/crash/step_trial.h"
#include "tests/crash/world.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(step, .timeout = 7200);

#define IS_SANITIZED (SLOW_FACTOR > 1)
#define KILLS (IS_SANITIZED ? 10u : 220u) /* per operation */
#define HOLDS (IS_SANITIZED ? 3u : 15u)
#define LONG_TIMES 20u /* times as many in a long run */
#define NEAR 8u        /* instructions tried on each side of the one that publishes */
#define SUBJECT 7      /* the item that a call changes */
#define NEW 50         /* the one that a call adds */

/* ---- How many -------------------------------------------------------------------------------- */

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

/* Of `count` things every n-th. */
static uint32_t stride_of(uint32_t count, uint32_t kills) {
    const char *given = getenv("LARDER_STEP_STRIDE");
    if (given && atoi(given) > 0)
        return (uint32_t)atoi(given);
    if (is_long())
        kills = IS_SANITIZED ? kills * LONG_TIMES : count;
    return kills < count ? count / kills : 1;
}

static void kill_regularly(struct step_trial *t, uint32_t stride, uint32_t first) {
    for (uint32_t n = first; n <= t->count; n += stride)
        step_kill(t, n);
    step_kill(t, t->count); /* it has returned: acknowledged */
}

static void kill_near_publication(struct step_trial *t) {
    step_find_publication(t);
    uint32_t from = t->new_from > NEAR ? t->new_from - NEAR : 0;
    for (uint32_t n = from; n <= t->count && n < from + 2 * NEAR; n++)
        step_kill(t, n);
}

/* Most of a call is loops that copy. The same number of kills spread over the program's code meets
 * the rest more often. */
static void kill_all_over_the_code(struct step_trial *t, uint32_t kills, struct rng *rng) {
    const struct step_trace *trace = t->trace;
    uint32_t stride = stride_of(trace->address_count, kills);
    for (uint32_t i = (uint32_t)rng_below(rng, stride); i < trace->address_count; i += stride) {
        uint32_t first = trace->address[i], passed = trace->address[i + 1] - first;
        step_kill(t, trace->by_address[first + (uint32_t)rng_below(rng, passed)]);
    }
}

static void kill_everywhere(struct step_trial *t, uint32_t kills, struct rng *rng) {
    uint32_t stride = stride_of(t->count, kills / 2), first = (uint32_t)rng_below(rng, stride);
    kill_regularly(t, stride, first);
    uint32_t regular = t->kills - t->strayed;
    if (t->is_visible)
        kill_near_publication(t);
    if (stride > 1)
        kill_all_over_the_code(t, kills / 2, rng);
    fprintf(stderr, "%-22s %6u instructions at %5u addresses: killed after %5u (stride %u from %u) and %u more",
            t->op->name, t->count, t->trace->address_count, regular, stride, first, t->kills - regular - t->strayed);
    if (t->is_visible)
        fprintf(stderr, ", number %u publishes", t->new_from);
    fprintf(stderr, "; %.0f steps each, %u strayed, survivors read and wrote within %lu ms\n",
            step_trace_cost(t->trace), t->strayed, (unsigned long)t->slowest_ms);
}

static void hold_somewhere(struct step_trial *t, struct rng *rng) {
    uint32_t holds = is_long() ? HOLDS * LONG_TIMES : HOLDS;
    for (uint32_t i = 0; i < holds; i++)
        step_hold(t, (uint32_t)rng_below(rng, t->count + 1));
}

/* A seed of its own for every run: over time, all instructions. It is put into the environment, for
 * other code that draws from it. */
static struct rng start(const char *name) {
    struct rng rng;
    struct timespec now;
    char text[32];
    if (SLOW_IS_TSAN)
        cr_skip_test("the thread sanitizer does not watch other processes");
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof text, "0x%lx", (unsigned long)now.tv_sec << 20 ^ (unsigned long)now.tv_nsec);
    setenv("LARDER_SEED", text, 0);
    rng_seed(&rng, rng_test_seed(name));
    if ((is_long() || getenv("LARDER_STEP_STRIDE")) && !getenv("LARDER_TEST_TIMEOUT_S"))
        alarm(7200); /* in place of the short run's, criterion_env.c */
    return rng;
}

static void step_everywhere(const struct step_operation *op) {
    struct rng rng = start(op->name);
    struct step_trial t;
    step_begin(&t, op, step_prepare(op));
    kill_everywhere(&t, KILLS, &rng);
    hold_somewhere(&t, &rng);
    step_end(&t);
}

/* ---- The operations -------------------------------------------------------------------------- */

static void some_items(struct larder *db) {
    for (int n = 0; n < 20; n++)
        world_put(db, n, 1111, 50, 0);
}
static void full_leaf(struct larder *db) { /* in G1's "P0", G2's and, by thirds, L1's partitions */
    for (int n = 0; n < 48; n++)
        world_put(db, n, 1111, 20, 0);
}
static void expiring_item(struct larder *db) {
    some_items(db);
    world_put(db, SUBJECT, 1111, 50, world_now_s + 2);
    larder_expire(db, 0, NULL); /* or the call would begin with the seconds since the epoch */
}
static void put_new(struct larder *db) {
    world_put(db, NEW, 1111, 50, 0);
}
static void put_expiring(struct larder *db) {
    world_put(db, NEW, 1111, 50, world_now_s + 400);
}
static void overwrite(struct larder *db) {
    world_put(db, SUBJECT, 1111, 60, 0);
}
static void change_sort_key(struct larder *db) {
    world_put(db, SUBJECT, 1113, 50, 0);
}
static void change_partition(struct larder *db) {
    world_put(db, SUBJECT, 1112, 50, 0);
}
static void delete_one(struct larder *db) {
    world_delete(db, SUBJECT);
}
/* by a clock ahead of the survivor's, which therefore sees it happen */
static void expire(struct larder *db) {
    world_now_s += 5;
    larder_expire(db, 1, NULL); /* without a bound it would go on to sweep the wheel */
    world_now_s -= 5;
}
/* Another process writes what the dead process was writing. */
static void put_again(struct larder *db) {
    world_put(db, NEW, 3332, 90, 0);
}

#define STEP(id, how, prepare, act, stepped)                                                                           \
    Test(step, id) {                                                                                                   \
        const struct step_operation op = {#id, how, prepare, act, (const void *)(uintptr_t)(stepped)};                 \
        step_everywhere(&op);                                                                                          \
    }

#define STEP_PLAIN(id, how, prepare, act, stepped)                                                                     \
    Test(step, id) {                                                                                                   \
        const struct step_operation op = {#id, how, prepare, act, (const void *)(uintptr_t)(stepped)};                 \
        if (IS_SANITIZED)                                                                                              \
            cr_skip_test("instrumented code is not what is shipped, and five times as long");                          \
        step_everywhere(&op);                                                                                          \
    }

STEP_PLAIN(put_new, STEP_ATTACHED, some_items, put_new, larder_put)
STEP_PLAIN(put_new_without_slot, STEP_FORKED, some_items, put_new, larder_put)
STEP_PLAIN(put_splits_leaves, STEP_ATTACHED, full_leaf, put_new, larder_put)
STEP_PLAIN(put_expiring, STEP_ATTACHED, some_items, put_expiring, larder_put)
STEP(overwrite, STEP_ATTACHED, some_items, overwrite, larder_put)
STEP(change_sort_key, STEP_ATTACHED, some_items, change_sort_key, larder_put)
STEP_PLAIN(change_partition, STEP_ATTACHED, some_items, change_partition, larder_put)
STEP(delete_one, STEP_ATTACHED, some_items, delete_one, larder_delete)
STEP_PLAIN(expire, STEP_ATTACHED, expiring_item, expire, larder_expire)
STEP_PLAIN(attach, STEP_ATTACHING, some_items, NULL, larder_open)

/* ---- Recovery -------------------------------------------------------------------------------- */

/* The put dies after n instructions. Then the next process that writes the item dies at every
 * instruction of that write. */
static void step_recovery_of(struct step_trial *dead, uint32_t n, struct rng *rng) {
    char name[64];
    snprintf(name, sizeof name, "put after death at %u", n);
    const struct step_operation op = {name, STEP_COLD, NULL, put_again, (const void *)(uintptr_t)larder_put};
    struct step_trial t;
    step_begin(&t, &op, step_wreck(dead, n));
    kill_everywhere(&t, KILLS / 4, rng);
    step_end(&t);
}

Test(step, recovery) {
    const struct step_operation op = {"put_new", STEP_ATTACHED, some_items, put_new,
                                      (const void *)(uintptr_t)larder_put};
    struct rng rng = start("recovery");
    struct step_trial t;
    step_begin(&t, &op, step_prepare(&op));
    step_find_publication(&t);
    uint32_t last = t.old_until, after = t.count - t.new_from;
    step_recovery_of(&t, last, &rng);
    step_recovery_of(&t, t.new_from, &rng);
    if (!IS_SANITIZED) {
        step_recovery_of(&t, last / 4 + (uint32_t)rng_below(&rng, last / 4 * 3), &rng);
        step_recovery_of(&t, t.new_from + after / 8 + (uint32_t)rng_below(&rng, after / 4 * 3), &rng);
    }
    step_end(&t);
}

/* ---- The way to an instruction --------------------------------------------------------------- */

/* A call of nothing but small loops and repeated instructions. */
static void make_up_trace(struct step_trace *t, uint32_t count, struct rng *rng) {
    t->count = count;
    for (uint32_t n = 0; n <= count; n++) {
        uint64_t pc = 1 + rng_below(rng, 40 + n / 4);
        t->spot[n].pc = n && rng_is_one_in(rng, 8) ? t->spot[n - 1].pc : pc;
    }
}

/* The breakpoint of an anchor is passed as often as the plan says, and stops there every time. */
static void must_lead_to(const struct step_trace *t, uint32_t n) {
    uint32_t anchor = t->spot[n].anchor, passed = 0;
    cr_assert(anchor <= n);
    if (anchor == 0)
        return;
    cr_assert(t->spot[anchor].pc != t->spot[0].pc);
    for (uint32_t i = 1; i <= anchor; i++) {
        passed += t->spot[i].pc == t->spot[anchor].pc;
        cr_assert(t->spot[i].pc != t->spot[anchor].pc || t->spot[i - 1].pc != t->spot[i].pc);
    }
    cr_assert(passed == t->spot[anchor].hits && passed > 0);
}

/* The one test here that needs no ptrace: a suite in which all tests are skipped would count as
 * failed. */
Test(step, plan) {
    struct rng rng;
    rng_seed(&rng, rng_test_seed("plan"));
    for (uint32_t count = 0; count < 600; count += 37) {
        struct step_trace *t = calloc(1, sizeof *t);
        make_up_trace(t, count, &rng);
        step_trace_plan(t);
        for (uint32_t n = 0; n <= count; n++)
            must_lead_to(t, n);
        for (uint32_t i = 0; i < t->address_count; i++)
            for (uint32_t k = t->address[i]; k < t->address[i + 1]; k++)
                cr_assert(t->spot[t->by_address[k]].pc == t->spot[t->by_address[t->address[i]]].pc);
        cr_assert(t->address[t->address_count] == count + 1 && (count < 300 || step_trace_cost(t) < count / 3.0));
        free(t);
    }
}
