/* core/base/crash.h - dying, stopping or doing something else at the k-th store to shared memory;
 * for tests.
 *
 * Job      In builds with LARDER_CRASH_POINTS every store to a segment, and every system call that
 *          makes, sizes or removes its file, passes shm_crash_point(). A test counts the points of
 *          an operation in one run, then dies before each of them in turn. Other builds have none
 *          of this.
 * Tests    tests/unit/segment/seg_birth_test.c, and every suite under tests/crash/.
 */
#ifndef LARDER_BASE_CRASH_H
#define LARDER_BASE_CRASH_H

#include "core/base/shm.h"

#if LARDER_CRASH_POINTS
/* Restarts the count at 0. The process dies by SIGKILL before its k-th store (1 is the next one; 0:
 * never). All threads share the count; a forked child continues with a copy of it. */
void shm_crash_arm(uint64_t k);
/* The same with SIGSTOP. After SIGCONT the process goes on from there. */
void shm_crash_arm_stop(uint64_t k);
/* The same, but the thread at the k-th store calls `what`. It may wait there while other threads
 * fork, execute a program, exit, or destroy the segment. */
void shm_crash_arm_call(uint64_t k, void (*what)(void));
/* Points passed since shm_crash_arm(), or since the process began. */
uint64_t shm_crash_count(void);
/* Calls fn at every point, before the store and before a death there; NULL ends it. fn must not
 * store to a segment. */
void shm_crash_watch(void (*fn)(uint64_t number));
#endif

#endif
