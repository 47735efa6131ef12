/* tests/crash/enum_test.c - for every operation and every store in it: die there.
 *
 * Goal     At whatever store a process dies, all others see the operation wholly or not at all,
 *          through all paths alike, and go on at once; no block is lost.
 * Method   SIGKILL leaves what was stored, so the states that a death can leave are the prefixes of
 *          the stores: few enough to try all. Each operation of tests/crash/scenarios.h is run once
 *          undisturbed. Then, for each k, a child does it and dies at its k-th store, and a process
 *          that was attached all the while gives its verdict (verdict.h). A store that writes the
 *          value already there leaves the same state as the death before. Such a state is judged
 *          once, by the hash of stage.h. The order of what the survivor does changes from death to
 *          death.
 * See also recovery_test.c for deaths within recoveries, stores_test.c for the proof that no store
 *          is missing here.
 */
#include "tests/crash/death.h"
#include "tests/crash/tally.h"
#include "tests/crash/verdict.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(crash_enum, .timeout = 200 * SLOW_FACTOR);

/* A sanitizer makes everything many times slower, and it looks for other mistakes: there, every
 * 15th store. */
#define STEP (SLOW_FACTOR > 1 ? 15 : 1)

static void enumerate(const struct scenario *s) {
    struct stage stage;
    struct story story;
    struct seen seen = {0};
    uint64_t tried = 0, judged = 0;
    int first_step;
    scenario_base(s, &stage, &first_step);
    story_tell(&story, s, &stage, first_step);
    struct state base = stage_take(&stage);
    struct doing doing = doing_of(s, first_step);
    struct larder *survivor = world_open(stage.memfd);
    uint64_t stores = live_through(&stage, &doing, NULL, s->name);
    larder_close(survivor);
    for (uint64_t k = 1; k <= stores; k += STEP, tried++) {
        stage_set(&stage, &base);
        survivor = world_open(stage.memfd);
        int acked = die_at(&stage, &doing, k, s->name);
        if (seen_add(&seen, state_hash(stage.bytes) ^ (uint64_t)acked)) {
            verdict(survivor, &stage, &story, acked, (enum deed)(judged % DEED_COUNT), s->name, k, 0);
            judged++;
        } else
            larder_close(survivor);
    }
    tally_add(TALLY_STORES, tried, tried, judged);
    fprintf(stderr, "enum: %-20s %5lu stores, died at %s%lu: %5lu states judged\n", s->name, (unsigned long)stores,
            tried < stores ? "(sampled) " : "each, ", (unsigned long)tried, (unsigned long)judged);
    seen_free(&seen);
    story_free(&story);
    state_free(&base);
    stage_close(&stage);
}

#define ENUMERATE(id)                                                                                                  \
    Test(crash_enum, id) {                                                                                             \
        enumerate(scenario_named(#id));                                                                                \
    }

SCENARIOS(ENUMERATE)
