/* core/table/drop_thread.h - the thread that empties what this process dropped.
 *
 * Why      larder_table_drop() returns at once, and the memory of ten million items takes seconds
 *          to come back. The process that drops is the one that is surely there; an expirer may not
 *          be, in any process. What it leaves when it ends is done by others: see
 *          core/table/table_empty.c.
 * Rules    One per handle, started by a drop and at its end when nothing is left, under db->mutex.
 *          core/base/thread.h has what holds for such threads; a forked child has none, whatever
 *          its copy of the handle says.
 * Tests    tests/api/drop_test.c
 */
#ifndef LARDER_TABLE_DROP_THREAD_H
#define LARDER_TABLE_DROP_THREAD_H

struct larder;

/* Starts it if it does not run. If that cannot be done, others do its work. */
void drop_thread_start(struct larder *db);
/* Ends it after its present piece; at larder_close, and in a forked child, where there is nothing
 * to end. */
void drop_thread_stop(struct larder *db, int is_forked_child);

#endif
