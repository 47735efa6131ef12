/* tests/crash/death.h - what tests/crash/death_test.c and the program that dies for it agree on. */
#ifndef LARDER_TESTS_CRASH_DEATH_H
#define LARDER_TESTS_CRASH_DEATH_H

#include "index/leaf.h"
#include "tests/crash/world.h"

#define DEATH_ITEM 7
#define DEATH_OTHERS 24  /* items 0.. of the world */
#define DEATH_PROBE 399  /* written and deleted by who tries whether it still works */
#define DEATH_PROBES 6   /* in all stripes */
#define DEATH_BUSY_MS 20 /* the patience of one who writes beside a thread that stands still */

/* The operation that is cut off: the item changes its key in every index, its size and its expiry. */
static inline int death_act(struct larder *db) {
    return world_try_put(db, DEATH_ITEM, 421, 900, 5000);
}

static inline void death_prepare(struct larder *db) {
    for (int n = 0; n < DEATH_OTHERS; n++)
        world_put(db, n, 100 * (n % 3) + 10 * (n % 4) + n % 5, (unsigned)(n * 37 % 600), n % 4 ? 0 : 7000);
    world_put(db, DEATH_ITEM, 132, 300, 6000);
}

/* Writes and deletes in every stripe and leaves no trace, also when several do it at once. LARDER_OK, or the first failure. */
static inline int death_probe(struct larder *db) {
    for (int n = DEATH_PROBE; n > DEATH_PROBE - DEATH_PROBES; n--) {
        int r = world_try_put(db, n, 111, 10, 0);
        if (r == LARDER_OK)
            r = world_delete(db, n);
        if (r < 0)
            return r;
    }
    return LARDER_OK;
}

#endif
