/* tests/crash/scenario_base.c - finds a scenario, and the world just before it. See scenarios.h. */
#include "core/table/db.h"
#include "index/leaf.h"
#include "tests/crash/scenarios.h"
#include "tests/crash/world.h"
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

const struct scenario *scenario_named(const char *name) {
    for (size_t i = 0; i < scenario_count(); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    cr_assert_fail("there is no scenario %s", name);
    return NULL;
}

int scenario_steps(const struct scenario *s) {
    return s->steps ? s->steps : 1;
}

static void act_from(const struct scenario *s, int memfd, int first_step) {
    struct larder *db = world_open(memfd);
    for (int step = 0; step < scenario_steps(s); step++)
        s->act(db, first_step + step);
    larder_close(db);
}

void scenario_base(const struct scenario *s, struct stage *stage, int *first_step) {
    leaf_capacity = 4;
    int memfd = world_create(2);
    struct larder *db = world_open(memfd);
    if (s->prepare)
        s->prepare(db);
    larder_close(db);
    world_now_s += s->clock_s;
    /* a memfd of the library is sealed against giving memory back */
    stage_open(stage, world_copy(memfd));
    close(memfd);
    for (int step = 0; step <= s->search_max; step++) {
        struct state base = stage_take(stage);
        struct facts before = facts_of(stage->bytes), after;
        act_from(s, stage->memfd, step);
        after = facts_of(stage->bytes);
        int is_it = s->happened(&before, &after);
        if (is_it) {
            stage_set(stage, &base);
            /* a word that is missing shows; and each store makes another state */
            stage_scrub(stage);
        }
        state_free(&base);
        *first_step = step;
        if (is_it)
            return;
    }
    cr_assert_fail("%s: it did not happen", s->name);
}
