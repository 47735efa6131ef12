/* core/memory/obstacle.h - what a try under a lock lacks.
 *
 * Idea     Under a lock of the segment no call allocates private memory, asks the kernel for
 *          memory, or makes a view. So a call tries. A try that lacks something changes nothing,
 *          drops its locks and returns what it lacks: an obstacle. Outside the locks the call
 *          removes the obstacle, and tries again (core/table/attempt.h).
 * Rules    O1 An obstacle is an internal result. No public call returns one.
 *          O2 LARDER_E_FULL is an obstacle, too, where room can be made. A closed gate is one that
 *             gate_take_stripe() removes by itself.
 * Tests    tests/crash/room_test.c, tests/crash/alloc_test.c
 */
#ifndef LARDER_MEMORY_OBSTACLE_H
#define LARDER_MEMORY_OBSTACLE_H

#define OBSTACLE_CLAIM (-100)   /* claim w->need_bytes from the kernel */
#define OBSTACLE_VIEW (-101)    /* the table's definition has changed: make another view */
#define OBSTACLE_BEFORE (-102)  /* grow w->before to w->need_bytes */
#define OBSTACLE_SCRATCH (-103) /* grow w->scratch to w->need_bytes */

static inline int is_obstacle(int r) {
    return r <= OBSTACLE_CLAIM && r >= OBSTACLE_SCRATCH;
}

#endif
