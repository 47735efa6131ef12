/* tests/crash/stop_judge_kit.h - what others must be able to do while a process stands still.
 *
 * Method   At each stop, the locks that are held are read from the slots. From them follows what
 *          each call of the test must give (struct needs): OK if nothing in the call's way is held;
 *          LARDER_E_BUSY if a live slot holds something that it cannot do without; either if only
 *          something that it may need (memory of a size class, say) is held. The test's own items
 *          and table are left out of the text that is compared with the states before and after
 *          (world_dump). All calls are made at stores where the set of held locks has changed and
 *          at every n-th other one; readers and unhindered writers at every stop. LARDER_TEST_LONG:
 *          everything at every store of every operation.
 */
#ifndef LARDER_TESTS_CRASH_STOP_JUDGE_KIT_H
#define LARDER_TESTS_CRASH_STOP_JUDGE_KIT_H

#include "core/table/db.h"
#include "tests/crash/stop_kit.h"

/* world_dump() without the lines of the test's own items. */
char *look(struct larder *db);
void judge_stop(struct scene *c, int is_full);

/* When no process stands still any more: all is as it should be, and refused calls now succeed. */
void judge_end(struct scene *c);

/* The text before, and after each step. */
void learn_texts(struct scene *c);
void forget(struct scene *c);

/* One life, with a stop at every step-th store; all is tried where the held locks changed, and at
 * each full_step-th stop. */
void stop_and_go(struct scene *c, uint64_t step, unsigned full_step);

/* The last text may be the one before it (an expiry shows nothing): then it counts as the end. */
void merge_equal_texts(struct scene *c);

#endif
