/* tests/crash/dead_timers.c - see dead_timers.h. */
#include "tests/crash/dead_timers.h"
#include "core/table/db.h"
#include "tests/crash/world.h"
#include <stdio.h>
#include <stdlib.h>

#define ALL_KEYS 1111
#define DEAD_ITEMS 20
#define DEAD_STAY 5 /* of them */

/* 0: the heap says that it is full, until room was made (core/table/make_room.c). */
extern _Atomic int64_t heap_test_takes_left;

static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "dead_timers: %s\n", larder_error());
    abort();
}

void dead_timers(struct larder *db) {
    for (int n = 0; n < DEAD_ITEMS; n++) {
        world_put(db, n, ALL_KEYS, 40, world_now_s + 300 + n);
        if (n % (DEAD_ITEMS / DEAD_STAY) != 0)
            must(world_delete(db, n) == LARDER_OK);
    }
}

void dead_timers_act_expire(struct larder *db, int step) {
    (void)step;
    heap_test_takes_left = 0;
    must(larder_expire(db, 0, NULL) == LARDER_OK);
    heap_test_takes_left = -1;
}

void dead_timers_act_put(struct larder *db, int step) {
    (void)step;
    heap_test_takes_left = 0;
    world_put(db, 50, 0, 40, 0);
    heap_test_takes_left = -1;
}

/* What is left of several chunks lies in fewer (rule W6 of ttl/wheel.h). */
static int have_gone(const struct facts *a, const struct facts *b) {
    return a->timers == DEAD_ITEMS && b->timers == DEAD_STAY && b->chunks < a->chunks;
}

int dead_timers_went(const struct facts *before, const struct facts *after) {
    return have_gone(before, after) && after->items == before->items;
}

int dead_timers_made_room(const struct facts *before, const struct facts *after) {
    return have_gone(before, after) && after->items == before->items + 1;
}
