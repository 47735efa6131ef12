/* core/table/attempt.h - try; remove the obstacle outside the locks; try again.
 *
 * Job      The one loop for every call that may meet an obstacle (core/memory/obstacle.h). The
 *          caller gives a try: a function that takes the locks it needs, does all or nothing, and
 *          drops them. A try looks for its view itself, so it finds a new one after OBSTACLE_VIEW.
 * Picture  try --> done, or a failure ---------------------------------> the caller
 *           ^  --> OBSTACLE_CLAIM      claim memory from the kernel --.
 *           |  --> OBSTACLE_VIEW       nothing: the next try sees it  |
 *           |  --> OBSTACLE_BEFORE     grow w->before                 |  not possible, or writer
 *           |  --> OBSTACLE_SCRATCH    grow w->scratch                |  stuck
 *           |  --> LARDER_E_FULL       make room                      |----------------> the caller
 *           '---------------------------------------------------------'
 * Locks    None is held between tries, except by callers that hold the catalog lock all the way.
 * Tests    tests/api/full_test.c, tests/crash/room_test.c, tests/crash/scenarios.c (make_room ..)
 */
#ifndef LARDER_TABLE_ATTEMPT_H
#define LARDER_TABLE_ATTEMPT_H

#include "core/memory/obstacle.h"
#include "core/table/make_room.h"

typedef int attempt_try(struct writer *w, void *arg);

/* Removes what a try met. room: NULL if no room can be made: then a claim that finds none lets the
 * next try take any larger block (w->is_short), once; LARDER_E_FULL of a try is the caller's.
 * LARDER_OK: try again. Else the result of the call: r, LARDER_E_BUSY if the writer is stuck, or
 * why the obstacle stays. */
int attempt_remove(struct writer *w, struct room *room, int r);

/* Tries until the result is one for the caller. Inline: one try is the usual case. */
static inline int attempt(struct writer *w, struct room *room, attempt_try *try, void *arg) {
    for (;;) {
        int r = try(w, arg);
        if (__builtin_expect(!is_obstacle(r) && r != LARDER_E_FULL, 1))
            return r;
        r = attempt_remove(w, room, r);
        if (r != LARDER_OK)
            return r;
    }
}

#endif
