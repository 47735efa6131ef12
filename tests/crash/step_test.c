/* tests/crash/step_test.c - a process killed at every instruction of a call.
 *
 * Goal     Promises 1 and 3 for the library as it is shipped, and without believing that its stores are all in the macros that
 *          tests/crash/enum_test.c counts: whatever instruction of larder_put() or larder_delete() a process dies at, the
 *          others see the call wholly or not at all, through all paths alike, go on at once, and no block is lost.
 * Method   Per operation a base segment is prepared. For each instruction: copy it; a process attaches (or inherits the handle
 *          by a fork), acknowledges one write, and is driven by ptrace through the first n instructions of the call
 *          (step_driver.h), system calls, dynamic linker and all; there it dies. Another process that was attached all the
 *          while at once (1) reads: the text of all paths (world.h) must be the one before or the one after; (2) writes into the same
 *          stripes; (3) larder_check() is clean; (4) reads the same again, and what is in use is what it would be without a death.
 *          The call is the same every time, so there is one instruction that publishes: none before it may show the
 *          change, none after it may miss it, and one that has returned least of all.
 *          Recovery is stepped, too: a put is killed just before and just after it publishes and at two other
 *          instructions, and the next process to write the same key is killed at every instruction of that.
 *          Held instead of killed: the process stands still there, readers do not notice, and then it ends its call.
 * Effort   Every STRIDEth instruction from a random first one, and all those around the one that publishes. The stride follows
 *          from a number of kills per operation; LARDER_STEP_STRIDE sets it, LARDER_TEST_LONG means every instruction. The
 *          seed is fresh each time and printed; LARDER_SEED repeats it.
 */
#include "tests/crash/step_driver.h"
#include "tests/crash/world.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

TestSuite(step, .timeout = 7200); /* of the long run; a usual one is ended by the alarm of criterion_env.c */

#define KILLS (SLOW_FACTOR > 1 ? 10u : 220u) /* per operation; instrumented code is not what is shipped */
#define HOLDS (SLOW_FACTOR > 1 ? 3u : 15u)
#define LONG_TIMES 20u  /* so many more holds */
#define NEAR 8u         /* instructions tried on each side of the one that publishes */
#define PROMPT_MS 1500u /* for the survivor to read everything, notice the death, repair it and write */
#define LATER_S 500     /* by then everything has expired */
#define TRIES 5         /* for one instruction, should the process stray */
#define PROBE 399       /* an item that only the survivor writes */
#define WARM 8          /* one that the process writes and acknowledges before the call */
#define SUBJECT 7       /* the one that the call changes */
#define NEW 50          /* the one that the call adds */

enum how {
    ATTACHED, /* has a slot, and has written */
    COLD,     /* has a slot */
    FORKED,   /* inherited the handle of a process that has written: takes its slot in the call */
    ATTACHING /* the call is larder_open() */
};

struct operation {
    const char *name;
    enum how how;
    void (*prepare)(struct larder *db);
    void (*act)(struct larder *db); /* NULL: nothing but attach */
    const void *function;           /* that it calls, once */
};

/* What is seen of a segment, and what is in use once a survivor has written and checked. */
struct state {
    char *text;
    uint64_t used_bytes;
};

/* One operation being tried. */
struct trial {
    const struct operation *op;
    int base;
    struct state before, after;
    struct step_target target;
    struct step_driver *driver;
    uint32_t count;               /* instructions of the call */
    uint32_t old_until, new_from; /* after so many it was not published; after so many it was */
    uint32_t kills, strayed;
    uint64_t slowest_ms;
    struct rng *rng;
};

/* ---- The process that dies -------------------------------------------------------------------------------------------- */

static void warm_up(const struct operation *op, struct larder *db) {
    if (op->how == ATTACHED || op->how == FORKED)
        world_put(db, WARM, 112, 77, 0);
}

static int run_tracee(int memfd, const void *arg) {
    const struct operation *op = arg;
    if (op->how == ATTACHING)
        step_ready();
    struct larder *db = world_open(memfd);
    warm_up(op, db);
    if (op->how == FORKED && fork() != 0)
        for (;;)
            pause();
    if (op->how != ATTACHING)
        step_ready();
    if (op->act)
        op->act(db);
    larder_close(db);
    return 0;
}

/* ---- The process that survives ---------------------------------------------------------------------------------------- */

/* Says where a process was: file and offset, for addr2line. */
static const char *place(const struct trial *t, uint32_t n) {
    static char text[512];
    Dl_info info;
    const void *pc = (const void *)(uintptr_t)step_driver_trace(t->driver)->spot[n].pc;
    if (!dladdr(pc, &info))
        info = (Dl_info){.dli_fname = "?"};
    snprintf(text, sizeof text, "%s: %u of %u instructions (next: %s+0x%lx)", t->op->name, n, t->count, info.dli_fname,
             (unsigned long)((uintptr_t)pc - (uintptr_t)info.dli_fbase));
    return text;
}

/* Writes into every stripe, which makes the survivor recover the dead. Leaves no trace in the text. */
static void write_probe(struct larder *db) {
    for (int n = PROBE; n > PROBE - 6; n--) {
        world_put(db, n, 0, 10, 0);
        cr_assert(world_delete(db, n) == LARDER_OK);
    }
}

static void must_be_clean(struct larder *db, const char *where) {
    struct larder_check_report report;
    struct larder_slot_stats slots[64];
    uint32_t count;
    int r = larder_check(db, NULL, NULL, &report);
    cr_assert(r == LARDER_OK && report.leaked_blocks == 0, "%s: check: %s: %s", where, larder_result_name(r),
              larder_error());
    cr_assert(larder_slot_stats(db, slots, 64, &count) == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(slots[i].is_alive && slots[i].lock_count == 0, "%s: slot %u was not recovered", where, slots[i].slot);
}

/* Blocks in use when all that expires is gone, timers included: so a timer of an undone write does not count. */
static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    world_now_s += LATER_S;
    int r = larder_expire(db, 0, NULL);
    world_now_s -= LATER_S;
    cr_assert(r == LARDER_OK && larder_segment_stats(db, &stats) == LARDER_OK, "expire: %s", larder_error());
    return stats.used_bytes;
}

static void show_difference(const char *expected, const char *found) {
    const char *a = expected, *b = found;
    while (*a && *a == *b)
        a++, b++;
    while (a > expected && a[-1] != '\n')
        a--, b--;
    fprintf(stderr, "  expected %.100s\n  found    %.100s\n", a, b);
}

/* Whether the new state is seen; if neither the new nor the old one is, something is half done. */
static int is_new(const struct trial *t, struct larder *db, const char *where, const char *when) {
    char *text = world_dump(db);
    int is_after = strcmp(text, t->after.text) == 0, is_before = strcmp(text, t->before.text) == 0;
    if (!is_after && !is_before) {
        show_difference(t->before.text, text);
        show_difference(t->after.text, text);
    }
    free(text);
    cr_assert(is_after || is_before, "%s: what is seen %s is neither the state before nor the one after", where, when);
    return is_after;
}

/* Blocks in use. An undone write may leave leaves and arrays as large as the finished one would have. */
static void must_not_leak(const struct trial *t, struct larder *db, int is_after, const char *where) {
    uint64_t used = used_bytes(db), a = t->before.used_bytes, b = t->after.used_bytes;
    uint64_t low = is_after || a > b ? b : a, high = is_after || b > a ? b : a;
    cr_assert(low <= used && used <= high, "%s: %lu bytes in use, not %lu..%lu", where, (unsigned long)used,
              (unsigned long)low, (unsigned long)high);
}

static void note_time(struct trial *t, uint64_t start_ms, const char *where) {
    uint64_t ms = until_now_ms() - start_ms;
    if (ms > t->slowest_ms)
        t->slowest_ms = ms;
    cr_assert(ms <= PROMPT_MS * SLOW_FACTOR, "%s: the survivor was held up for %lu ms", where, (unsigned long)ms);
}

/* The verdict of the survivor, which was attached before the death. Returns whether the new state stands. */
static int judge(struct trial *t, struct larder *survivor, uint32_t n) {
    char where[512];
    snprintf(where, sizeof where, "%s", place(t, n));
    uint64_t start_ms = until_now_ms();
    int at_once = is_new(t, survivor, where, "at once");
    write_probe(survivor);
    note_time(t, start_ms, where);
    must_be_clean(survivor, where);
    int later = is_new(t, survivor, where, "after recovery");
    cr_assert(later == at_once, "%s: recovery %s what was seen", where, later ? "published" : "took back");
    must_not_leak(t, survivor, later, where);
    return later;
}

/* ---- One instruction ---------------------------------------------------------------------------------------------------- */

/* Nothing before the instruction that publishes may show the change, nothing after it may miss it. */
static void note_outcome(struct trial *t, uint32_t n, int is_after) {
    if (strcmp(t->before.text, t->after.text) == 0)
        return;
    if (is_after && n < t->new_from)
        t->new_from = n;
    if (!is_after && n > t->old_until)
        t->old_until = n;
    cr_assert(t->old_until < t->new_from, "%s: is %s, though %s", place(t, n), is_after ? "published" : "lost",
              is_after        ? "it was not after more instructions"
              : n == t->count ? "it had returned"
                              : "it was after fewer");
}

static void must_have(enum step_result r, const struct trial *t, uint32_t n) {
    cr_assert(r == STEP_DONE || r == STEP_STRAYED, "%s: the process that is stepped: %s", place(t, n),
              step_result_name(r));
}

static int kill_once(struct trial *t, uint32_t n, int *is_strayed) {
    int memfd = world_copy(t->base);
    struct larder *survivor = world_open(memfd);
    enum step_result r = step_kill_after(t->driver, memfd, n);
    must_have(r, t, n);
    *is_strayed = r == STEP_STRAYED;
    int is_after = judge(t, survivor, n);
    larder_close(survivor);
    close(memfd);
    return is_after;
}

/* A process that strayed was killed, too, and judged, but somewhere else. */
static void kill_after(struct trial *t, uint32_t n) {
    int is_strayed = 1;
    for (int tries = 0; is_strayed; tries++) {
        cr_assert(tries < TRIES, "%s: the process does not get there", place(t, n));
        int is_after = kill_once(t, n, &is_strayed);
        t->kills++;
        t->strayed += (uint32_t)is_strayed;
        if (!is_strayed)
            note_outcome(t, n, is_after);
    }
}

/* It stands still after n instructions, readers do not notice; then it ends the call. */
static void hold_after(struct trial *t, uint32_t n) {
    int memfd = world_copy(t->base);
    struct larder *survivor = world_open(memfd);
    enum step_result r = step_hold_after(t->driver, memfd, n);
    must_have(r, t, n);
    uint64_t start_ms = until_now_ms();
    int is_after = is_new(t, survivor, place(t, n), "of a process that stands still");
    note_time(t, start_ms, place(t, n));
    if (r == STEP_DONE)
        note_outcome(t, n, is_after);
    must_have(step_go_on(t->driver), t, n);
    cr_assert(judge(t, survivor, n), "%s: held there, it ended its call, and nothing is seen of it", place(t, n));
    larder_close(survivor);
    close(memfd);
}

/* ---- One operation ------------------------------------------------------------------------------------------------------ */

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

/* The state before or after the operation, without a death. */
static struct state undisturbed(const struct trial *t, int is_after) {
    int memfd = world_copy(t->base);
    struct larder *survivor = world_open(memfd), *db = world_open(memfd);
    warm_up(t->op, db);
    if (is_after && t->op->act)
        t->op->act(db);
    larder_close(db);
    struct state state = {.text = world_dump(survivor)};
    write_probe(survivor);
    must_be_clean(survivor, t->op->name);
    state.used_bytes = used_bytes(survivor);
    larder_close(survivor);
    close(memfd);
    return state;
}

static int prepare(const struct operation *op) {
    int memfd = world_create(2);
    struct larder *db = world_open(memfd);
    op->prepare(db);
    larder_close(db);
    return memfd;
}

static void begin(struct trial *t, const struct operation *op, int base, struct rng *rng) {
    *t = (struct trial){.op = op, .base = base, .rng = rng};
    t->before = undisturbed(t, 0);
    t->after = undisturbed(t, 1);
    t->target = (struct step_target){run_tracee, op, op->function, op->how == FORKED};
    t->driver = step_driver_start(&t->target);
    int memfd = world_copy(base);
    struct larder *survivor = world_open(memfd);
    enum step_result r = step_record(t->driver, memfd);
    if (r == STEP_REFUSED) {
        step_driver_end(t->driver);
        cr_skip_test("ptrace with debug registers is not to be had here");
    }
    cr_assert(r == STEP_DONE, "%s: recording: %s", op->name, step_result_name(r));
    t->new_from = t->count = step_driver_trace(t->driver)->count;
    cr_assert(judge(t, survivor, t->count), "%s: nothing is seen of it", op->name);
    larder_close(survivor);
    close(memfd);
}

static void end(struct trial *t) {
    step_driver_end(t->driver);
    free(t->before.text);
    free(t->after.text);
    close(t->base);
}

/* Kills around the instruction that publishes, once it is found. */
static void kill_near_publication(struct trial *t) {
    while (t->new_from - t->old_until > 1)
        kill_after(t, t->old_until + (t->new_from - t->old_until) / 2);
    uint32_t from = t->new_from > NEAR ? t->new_from - NEAR : 0;
    for (uint32_t n = from; n <= t->count && n < from + 2 * NEAR; n++)
        kill_after(t, n);
}

/* Of `count` things every so-manieth. */
static uint32_t stride_of(uint32_t count, uint32_t kills) {
    const char *given = getenv("LARDER_STEP_STRIDE");
    if (given && atoi(given) > 0)
        return (uint32_t)atoi(given);
    return is_long() || count < kills ? 1 : count / kills;
}

/* Most of a call is loops that copy: the same number of kills spread over the program's code meets the rest more often. */
static void kill_all_over_the_code(struct trial *t, uint32_t kills) {
    const struct step_trace *trace = step_driver_trace(t->driver);
    uint32_t stride = stride_of(trace->address_count, kills);
    for (uint32_t i = (uint32_t)rng_below(t->rng, stride); i < trace->address_count; i += stride) {
        uint32_t first = trace->address[i], passed = trace->address[i + 1] - first;
        kill_after(t, trace->by_address[first + (uint32_t)rng_below(t->rng, passed)]);
    }
}

static void kill_everywhere(struct trial *t, uint32_t kills) {
    uint32_t stride = stride_of(t->count, kills / 2), first = (uint32_t)rng_below(t->rng, stride);
    for (uint32_t n = first; n <= t->count; n += stride)
        kill_after(t, n);
    uint32_t regular = t->kills - t->strayed;
    kill_after(t, t->count); /* it has returned: acknowledged */
    if (strcmp(t->before.text, t->after.text) != 0)
        kill_near_publication(t);
    if (stride > 1)
        kill_all_over_the_code(t, kills / 2);
    fprintf(stderr,
            "%-22s %6u instructions in the call at %5u addresses, %5u killed (stride %u from %u) and %u more, "
            "publishes at %u, "
            "%.0f steps each, %u strayed, survivor read and wrote within %lu ms\n",
            t->op->name, t->count, step_driver_trace(t->driver)->address_count, regular, stride, first,
            t->kills - regular, t->new_from, step_trace_cost(step_driver_trace(t->driver)), t->strayed,
            (unsigned long)t->slowest_ms);
}

static void hold_somewhere(struct trial *t) {
    uint32_t holds = is_long() ? HOLDS * LONG_TIMES : HOLDS;
    for (uint32_t i = 0; i < holds; i++)
        hold_after(t, (uint32_t)rng_below(t->rng, t->count + 1));
}

/* A seed of its own for every run: over time, all instructions. */
static struct rng start(const char *name) {
    struct rng rng;
    struct timespec now;
    uint64_t seed;
    if (getenv("LARDER_SEED"))
        seed = rng_test_seed(name);
    else {
        clock_gettime(CLOCK_REALTIME, &now);
        seed = (uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec;
        fprintf(stderr, "%s: LARDER_SEED=0x%lx\n", name, (unsigned long)seed);
    }
    rng_seed(&rng, seed);
    if ((is_long() || getenv("LARDER_STEP_STRIDE")) && !getenv("LARDER_TEST_TIMEOUT_S"))
        alarm(7200); /* in place of the short run's, criterion_env.c */
    return rng;
}

static void step_operation(const struct operation *op) {
    struct rng rng = start(op->name);
    struct trial t;
    begin(&t, op, prepare(op), &rng);
    kill_everywhere(&t, KILLS);
    hold_somewhere(&t);
    end(&t);
}

/* ---- The operations ------------------------------------------------------------------------------------------------------- */

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
static void expire(struct larder *db) { /* by a clock ahead of the survivor's, who therefore sees it happen */
    world_now_s += 5;
    larder_expire(db, 1, NULL); /* without a bound it would go on to sweep the wheel */
    world_now_s -= 5;
}
/* Somebody else writes what the dead process was writing. */
static void put_again(struct larder *db) {
    world_put(db, NEW, 3332, 90, 0);
}

#define STEP(id, how, prepare, act, stepped)                                                                           \
    Test(step, id) {                                                                                                   \
        const struct operation op = {#id, how, prepare, act, (const void *)(uintptr_t)(stepped)};                      \
        step_operation(&op);                                                                                           \
    }

STEP(put_new, ATTACHED, some_items, put_new, larder_put)
STEP(put_new_without_slot, FORKED, some_items, put_new, larder_put)
STEP(put_splits_leaves, ATTACHED, full_leaf, put_new, larder_put)
STEP(put_expiring, ATTACHED, some_items, put_expiring, larder_put)
STEP(overwrite, ATTACHED, some_items, overwrite, larder_put)
STEP(change_sort_key, ATTACHED, some_items, change_sort_key, larder_put)
STEP(change_partition, ATTACHED, some_items, change_partition, larder_put)
STEP(delete_one, ATTACHED, some_items, delete_one, larder_delete)
STEP(expire, ATTACHED, expiring_item, expire, larder_expire)
STEP(attach, ATTACHING, some_items, NULL, larder_open)

/* ---- Recovery ------------------------------------------------------------------------------------------------------------- */

/* The put dies after n instructions. Then the next one to write that item dies at every instruction of that. */
static void step_recovery_of(struct trial *dead, uint32_t n) {
    char name[64];
    snprintf(name, sizeof name, "put after death at %u", n);
    const struct operation op = {name, COLD, NULL, put_again, (const void *)(uintptr_t)larder_put};
    struct trial t;
    int base = world_copy(dead->base);
    cr_assert(step_kill_after(dead->driver, base, n) == STEP_DONE, "%s: not killed there", place(dead, n));
    begin(&t, &op, base, dead->rng);
    kill_everywhere(&t, KILLS / 4);
    end(&t);
}

Test(step, recovery) {
    const struct operation op = {"put_new", ATTACHED, some_items, put_new, (const void *)(uintptr_t)larder_put};
    struct rng rng = start("recovery");
    struct trial t;
    begin(&t, &op, prepare(&op), &rng);
    while (t.new_from - t.old_until > 1)
        kill_after(&t, t.old_until + (t.new_from - t.old_until) / 2);
    uint32_t after = t.count - t.new_from;
    step_recovery_of(&t, t.old_until);
    step_recovery_of(&t, t.new_from);
    step_recovery_of(&t, t.old_until / 4 + (uint32_t)rng_below(&rng, t.old_until / 4 * 3));
    step_recovery_of(&t, t.new_from + after / 8 + (uint32_t)rng_below(&rng, after / 4 * 3));
    end(&t);
}
