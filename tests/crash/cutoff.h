/* tests/crash/cutoff.h - what death_test.c and the program that dies for it agree on. */
#ifndef LARDER_TESTS_CRASH_CUTOFF_H
#define LARDER_TESTS_CRASH_CUTOFF_H

#include "index/leaf.h"
#include "tests/crash/world.h"

#define CUTOFF_ITEM 7
#define CUTOFF_OTHERS 24  /* items 0.. of the world */
#define CUTOFF_PROBE 399  /* written and deleted to try whether writing still works */
#define CUTOFF_PROBES 6   /* in all stripes */
#define CUTOFF_BUSY_MS 20 /* the time limit of a writer beside a thread that stands still */

/* The operation that is cut off. The item changes its size, its expiry and its key in every
 * index. */
static inline int cutoff_act(struct larder *db) {
    return world_try_put(db, CUTOFF_ITEM, 421, 900, 5000);
}

static inline void cutoff_prepare(struct larder *db) {
    for (int n = 0; n < CUTOFF_OTHERS; n++)
        world_put(db, n, 100 * (n % 3) + 10 * (n % 4) + n % 5, (unsigned)(n * 37 % 600), n % 4 ? 0 : 7000);
    world_put(db, CUTOFF_ITEM, 132, 300, 6000);
}

/* Writes and deletes in every stripe and leaves no trace, also when several processes do it at
 * once. LARDER_OK, or the first failure. */
static inline int cutoff_probe(struct larder *db) {
    for (int n = CUTOFF_PROBE; n > CUTOFF_PROBE - CUTOFF_PROBES; n--) {
        int r = world_try_put(db, n, 111, 10, 0);
        if (r == LARDER_OK)
            r = world_delete(db, n);
        if (r < 0)
            return r;
    }
    return LARDER_OK;
}

#endif
