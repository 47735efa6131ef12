/* tests/crash/park.h - a thread that stands still in the middle of a write.
 *
 * Job      Runs an operation in a thread of its own, which stops before its k-th store to the
 *          segment and waits there, with its locks and its journal as they are, while the rest of
 *          the process does what the test is about: forks, executes another program, exits,
 *          destroys the segment. Then it may go on.
 * Rules    Q1 One at a time in a process.
 *          Q2 No other thread of the process stores to a segment until it is parked: the count of
 *             core/base/crash.h belongs to the process.
 *          Q3 A forked child has no such thread, and touches nothing of it.
 */
#ifndef LARDER_TESTS_CRASH_PARK_H
#define LARDER_TESTS_CRASH_PARK_H

#include <stdint.h>

/* Starts a thread that runs run(arg). 1: it is parked before its k-th store. 0: it has ended with
 * fewer stores; 0 also for k 0. */
int park_begin(uint64_t k, int (*run)(void *arg), void *arg);
/* Lets the thread go on, from any thread; does not wait for it. */
void park_go_on(void);
/* Lets it go on, if it is parked, and waits for its end. Returns what run() returned. */
int park_end(void);
/* Stores that run(arg) makes, in this thread. */
uint64_t park_count(int (*run)(void *arg), void *arg);

#endif
