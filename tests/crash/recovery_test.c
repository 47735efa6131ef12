/* tests/crash/recovery_test.c - recovery is killed, too, and so is the recovery of that.
 *
 * Goal     A process that finishes or undoes what a dead one was doing may die at any of its
 *          stores. The next process finds a state that is as good as the first death's.
 * Method   An operation dies at its store k. A recoverer is run on what that left, by check,
 *          expirer, waiter or writer (death.h), once to its end: this tells the state that a death
 *          at each of its stores j would leave. Then, for each state that was not met before, a
 *          recoverer dies there and must leave that very state, and a survivor that was attached
 *          all the while gives its verdict (verdict.h). The same once more on what the second death
 *          left. Most pairs (k, j) leave bytes that another pair left already, so a state is judged
 *          once; every pair counts as tried. Where the short run takes only every n-th store it
 *          says "sampled"; LARDER_TEST_LONG takes all.
 */
#include "core/segment/layout.h"
#include "tests/crash/death.h"
#include "tests/crash/tally.h"
#include "tests/crash/verdict.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(crash_recovery, .timeout = 7200);
TestSuite(crash_recovery_full, .timeout = 7200);
TestSuite(crash_recovery_again, .timeout = 7200);

#define LEVEL_MAX 4 /* deaths in a row */

/* A sanitizer makes everything many times slower, and it looks for other mistakes. */
#define SLOWER (SLOW_FACTOR > 1 ? 5 : 1)

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

/* What is tried: at level 1 every step[1]-th store of the operation, at level n every step[n]-th of
 * the n-th process. */
struct plan {
    int by; /* an enum recoverer, or -1: they take turns */
    int levels;
    unsigned part, parts; /* of the operation's stores, to keep a test short. parts 0: all */
    uint64_t sample;      /* 0, or step[1] is chosen so that this many stores are taken */
    uint64_t step[LEVEL_MAX + 1];
};

struct expedition {
    const char *name;
    const struct plan *plan;
    struct stage stage;
    struct story story;
    /* states that a death of this level left, with what can follow tried */
    struct seen seen[LEVEL_MAX + 1];
    /* count up, so that survivors and recoverers differ from death to death */
    uint64_t deeds, turns;
    uint64_t points[LEVEL_MAX + 1], judged[LEVEL_MAX + 1];
};

/* The state that there would be without the survivor, which stays: as if it had detached, which
 * frees its slot. */
static struct state take_without_survivor(const struct expedition *e) {
    struct state state = stage_take(&e->stage);
    const struct seg_shm *head = (const struct seg_shm *)state.bytes;
    struct slot_shm *slots = (struct slot_shm *)(state.bytes + head->slots_off);
    for (uint32_t i = 0; i < head->slot_count; i++)
        if (slots[i].pid == getpid())
            slots[i].state = SLOT_FREE;
    return state;
}

/* Whether what follows from this state was tried, at least as deep as now. Else it counts as tried
 * from here on. */
static int is_explored(struct expedition *e, uint64_t hash, int level) {
    for (int above = 1; above < level; above++)
        if (seen_has(&e->seen[above], hash))
            return 1;
    return !seen_add(&e->seen[level], hash);
}

static enum recoverer next_recoverer(struct expedition *e) {
    return e->plan->by >= 0 ? (enum recoverer)e->plan->by : (enum recoverer)(e->turns++ % RECOVER_COUNT);
}

static void descend(struct expedition *e, const struct state *from, int acked, enum recoverer by, int level,
                    uint64_t k);

/* Store j of a recovery from this state: it dies there and is judged. `hash` is what the death must
 * leave. */
static void die_in_recovery(struct expedition *e, const struct state *from, int acked, enum recoverer by, int level,
                            uint64_t k, uint64_t j, uint64_t hash) {
    struct doing doing = doing_recovery(by);
    struct state left = {0};
    stage_set(&e->stage, from);
    struct larder *survivor = world_open(e->stage.memfd);
    die_at(&e->stage, &doing, j, e->name);
    cr_assert(state_hash(e->stage.bytes) == hash, "%s, store %lu.%lu: the death left another state than was foreseen",
              e->name, (unsigned long)k, (unsigned long)j);
    if (level < e->plan->levels)
        left = take_without_survivor(e);
    verdict(survivor, &e->stage, &e->story, acked, (enum deed)(e->deeds++ % DEED_COUNT), e->name, k, j);
    e->judged[level]++;
    if (left.bytes)
        descend(e, &left, acked, next_recoverer(e), level + 1, k);
    state_free(&left);
}

/* Every store of a recovery from this state. */
static void descend(struct expedition *e, const struct state *from, int acked, enum recoverer by, int level,
                    uint64_t k) {
    static uint64_t hashes[LEVEL_MAX + 1][DEATH_STORES_MAX + 1];
    struct doing doing = doing_recovery(by);
    uint64_t step = e->plan->step[level];
    stage_set(&e->stage, from);
    struct larder *survivor = world_open(e->stage.memfd);
    uint64_t stores = live_through(&e->stage, &doing, hashes[level], e->name);
    larder_close(survivor);
    for (uint64_t j = 1 + k % step; j <= stores; j += step) {
        e->points[level]++;
        if (!is_explored(e, hashes[level][j] ^ (uint64_t)acked, level))
            die_in_recovery(e, from, acked, by, level, k, j, hashes[level][j]);
    }
}

static void report(const struct expedition *e, uint64_t stores) {
    const struct plan *p = e->plan;
    fprintf(stderr, "recovery: %-20s by %-6s: died at %lu of %lu stores, which left %lu states", e->name,
            p->by < 0 ? "turns" : recoverer_name((enum recoverer)p->by), (unsigned long)e->points[1],
            (unsigned long)stores, (unsigned long)e->judged[1]);
    for (int level = 2; level <= p->levels; level++) {
        fprintf(stderr, "; level %d: %lu crash points%s, %lu states judged", level, (unsigned long)e->points[level],
                p->step[level] > 1 ? " (sampled)" : "", (unsigned long)e->judged[level]);
        tally_add(level == 2 ? TALLY_RECOVERY : TALLY_AGAIN, e->points[level], e->judged[level], e->judged[level]);
    }
    fprintf(stderr, "\n");
}

static void explore(const char *name, const struct plan *wanted) {
    const struct scenario *s = scenario_named(name);
    struct plan plan = *wanted;
    struct expedition e = {.name = name, .plan = &plan};
    int first_step;
    scenario_base(s, &e.stage, &first_step);
    story_tell(&e.story, s, &e.stage, first_step);
    struct state base = stage_take(&e.stage);
    struct doing doing = doing_of(s, first_step);
    uint64_t stores = live_through(&e.stage, &doing, NULL, name);
    if (plan.sample)
        plan.step[1] = stores / plan.sample + 1;
    plan.step[1] *= SLOWER;
    uint64_t first = 1, last = stores;
    if (plan.parts) {
        first = stores * plan.part / plan.parts + 1;
        last = stores * (plan.part + 1) / plan.parts;
    }
    for (uint64_t k = first; k <= last; k += plan.step[1]) {
        stage_set(&e.stage, &base);
        int acked = die_at(&e.stage, &doing, k, name);
        e.points[1]++;
        if (is_explored(&e, state_hash(e.stage.bytes) ^ (uint64_t)acked, 1))
            continue; /* its recoveries were tried */
        e.judged[1]++;
        struct state left = stage_take(&e.stage);
        descend(&e, &left, acked, next_recoverer(&e), 2, k);
        state_free(&left);
    }
    report(&e, stores);
    for (int level = 1; level <= LEVEL_MAX; level++)
        seen_free(&e.seen[level]);
    story_free(&e.story);
    state_free(&base);
    stage_close(&e.stage);
    world_now_s -= s->clock_s;
}

/* ---- Every store of the recovery, and in the long run every store of the operation ----------- */

#define FULL_PART(id, n)                                                                                               \
    Test(crash_recovery_full, id##_##n) {                                                                              \
        explore(#id,                                                                                                   \
                &(const struct plan){                                                                                  \
                    .by = RECOVER_BY_CHECK, .levels = 2, .part = n, .parts = 4, .step = {0, is_long() ? 1 : 3, 1}});   \
    }
#define FULL(id) FULL_PART(id, 0) FULL_PART(id, 1) FULL_PART(id, 2) FULL_PART(id, 3)
FULL(put_into_empty)
FULL(put_new)
FULL(change_4_keys)
FULL(delete_one)

/* ---- And every store of the recovery of that ------------------------------------------------- */

#define AGAIN(id, by_whom, level_count, ...)                                                                           \
    Test(crash_recovery_again, id) {                                                                                   \
        explore(#id, &(const struct plan){.by = by_whom, .levels = level_count, .step = {0, __VA_ARGS__}});            \
    }
AGAIN(attach_detach, RECOVER_BY_CHECK, 3, 1, 1, 1)
AGAIN(close_partition, RECOVER_BY_CHECK, 3, 1, 1, is_long() ? 1 : 3)
AGAIN(change_4_keys, -1, 3, is_long() ? 7 : 61, is_long() ? 3 : 19, is_long() ? 5 : 29)
AGAIN(delete_one, -1, 4, is_long() ? 3 : 13, is_long() ? 7 : 29, is_long() ? 13 : 31, is_long() ? 13 : 37)

/* ---- Recoveries of all operations, by all recoverers ----------------------------------------- */

/* The short run takes this many stores of each operation, recovered by all recoverers in turn. The
 * long run takes every store, recovered by larder_check(), and more than the short run with the
 * others. */
#define RECOVER(id)                                                                                                    \
    Test(crash_recovery, id) {                                                                                         \
        if (!is_long())                                                                                                \
            explore(#id, &(const struct plan){.by = -1, .levels = 2, .sample = 8, .step = {0, 1, 7}});                 \
        else {                                                                                                         \
            explore(#id, &(const struct plan){.by = RECOVER_BY_CHECK, .levels = 2, .step = {0, 1, 1}});                \
            explore(#id, &(const struct plan){.by = -1, .levels = 2, .sample = 100, .step = {0, 1, 2}});               \
        }                                                                                                              \
    }
SCENARIOS(RECOVER)
