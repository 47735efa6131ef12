/* core/table/drop_thread.h - the thread that empties what this process dropped.
 *
 * Why      larder_table_drop() returns at once, and the memory of ten million items takes seconds
 *          to come back. The dropping process is the one that surely exists; an expirer may run in
 *          no process. What the thread leaves when it ends is done by others: see
 *          core/table/table_empty.c.
 * Rules    One thread per handle, under db->mutex. A drop starts it; it ends when nothing is left.
 *          core/base/thread.h has the rules for such threads. A forked child has none, whatever its
 *          copy of the handle says.
 * Tests    tests/api/drop_test.c
 */
#ifndef LARDER_TABLE_DROP_THREAD_H
#define LARDER_TABLE_DROP_THREAD_H

struct larder;

/* Starts it unless it runs. If that fails, others do its work. */
void drop_thread_start(struct larder *db);
/* Ends it after its present piece: in larder_close(). In a forked child there is nothing to end. */
void drop_thread_stop(struct larder *db, int is_forked_child);

#endif
