/* core/memory/obstacle.h - what was in the way of a try.
 *
 * Idea     Under a lock of the segment nobody allocates private memory, asks the kernel for memory,
 *          or makes a view. So a call tries. A try that lacks something changes nothing, drops its
 *          locks and returns what it lacks: an obstacle. Outside the locks the obstacle is removed,
 *          and the call tries again (core/table/attempt.h).
 * Rules    O1 An obstacle is an internal result. No public call returns one.
 *          O2 LARDER_E_FULL is an obstacle, too, where room can be made; a closed gate is one that
 *             gate_take_stripe() removes by itself.
 * Tests    tests/crash/room_test.c, tests/crash/alloc_test.c
 */
#ifndef LARDER_MEMORY_OBSTACLE_H
#define LARDER_MEMORY_OBSTACLE_H

#define OBSTACLE_CLAIM (-100)   /* w->need_bytes have to be claimed from the kernel */
#define OBSTACLE_VIEW (-101)    /* the table's definition has changed: another view is needed */
#define OBSTACLE_BEFORE (-102)  /* w->before has to have w->need_bytes */
#define OBSTACLE_SCRATCH (-103) /* w->scratch has to have w->need_bytes */

static inline int is_obstacle(int r) {
    return r <= OBSTACLE_CLAIM && r >= OBSTACLE_SCRATCH;
}

#endif
