/* core/base/crash.h - dying, stopping or doing something else at the k-th store to shared memory;
 * for tests.
 *
 * Job      In builds with LARDER_CRASH_POINTS every store to a segment, and every system call that
 *          makes, sizes or removes its file, passes shm_crash_point(). A test counts the points of
 *          an operation in one run, and then dies before each of them in turn. Other builds have
 *          none of this.
 * Tests    tests/unit/segment/seg_birth_test.c, and every suite under tests/crash/.
 */
#ifndef LARDER_BASE_CRASH_H
#define LARDER_BASE_CRASH_H

#include "core/base/shm.h"

#if LARDER_CRASH_POINTS
/* From now on this process counts from 0, and dies by SIGKILL before its k-th store (k = 1 is the
 * next); 0: never. All threads count together. A forked child goes on with a copy of the count. */
void shm_crash_arm(uint64_t k);
/* The same with SIGSTOP: the process stops before its k-th store, and goes on from there when it is
 * continued. */
void shm_crash_arm_stop(uint64_t k);
/* The same with a call of `what` by the thread that comes to its k-th store: it may wait there
 * while other threads fork, execute a program, exit, or destroy the segment. */
void shm_crash_arm_call(uint64_t k, void (*what)(void));
/* Points passed since shm_crash_arm(), or since the process began. */
uint64_t shm_crash_count(void);
/* Calls fn at every point, before the store (and before dying there); NULL: no more. fn must not
 * store to a segment. */
void shm_crash_watch(void (*fn)(uint64_t number));
#endif

#endif
