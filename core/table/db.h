/* core/table/db.h - the handle: this process's attachment to a segment.
 *
 * Job      Owns the mapping, the private arena, the pool of writers, the tables' views and the
 *          clock.
 * Locks    `mutex` guards the process-private lists below; it is never held together with a segment
 *          lock.
 * Tests    tests/api/open_test.c, tests/api/fork_test.c
 */
#ifndef LARDER_TABLE_DB_H
#define LARDER_TABLE_DB_H

#include "core/base/priv.h"
#include "core/memory/writer.h"
#include "core/segment/seg.h"
#include "core/table/table.h"
#include "core/table/views.h"
#include <pthread.h>

/* What larder_set_clock() was given. */
struct db_clock {
    int64_t (*now)(void *arg);
    void *arg;
    struct db_clock *next;
};

struct larder {
    struct seg seg;
    struct priv *priv;
    pthread_mutex_t mutex;
    struct writer_pool writers;
    struct larder_table *tables; /* opened ones */
    struct views views;
    _Atomic uint64_t
        *guesses[LARDER_TABLES_MAX]; /* by ordinal: struct htab's `seen` of both hash tables; NULL: none yet */
    struct db_clock *_Atomic clock;  /* NULL: the system's; else one of `clocks` */
    struct db_clock *clocks;         /* all that were ever set, each kind once */
    _Atomic int64_t
        second; /* of the system's clock, at the latest db_check(); when it changes, the file is looked at */
    _Atomic int is_removed;   /* the file has no name any more */
    void *expirer;            /* ttl/expirer.c: the thread, if it was started */
    void *dropper;            /* core/table/drop_thread.c: the thread, if it was started */
    _Atomic int64_t quiet_s;  /* ttl/make_room.c: in this second nothing that has expired is left */
    struct larder *next_open; /* list of open handles, for fork */
};

struct priv *db_priv(struct larder *db);
/* Epoch seconds by the handle's clock. Never under a segment lock. */
int64_t db_now(const struct larder *db);
/* The same as of the db_check() of this call, without another look at the clock. */
int64_t db_now_checked(const struct larder *db);
/* A writer for this thread: LARDER_OK, LARDER_E_READ_ONLY, LARDER_E_NO_SLOT or LARDER_E_BUSY after
 * waiting for busy_timeout_ms, LARDER_E_OS, LARDER_E_ACCESS, LARDER_E_DESTROYED. Cancellation is
 * held off until writer_return. */
int writer_borrow(struct larder *db, struct writer **w);
/* The same, with another limit to the wait. */
int writer_borrow_within(struct larder *db, uint32_t wait_ms, struct writer **w);
/* Stops the expirer thread if one runs; registered by ttl/expirer.c, called by larder_close and in
 * forked children. */
extern void (*db_stop_expirer)(struct larder *db, int is_forked_child);

#endif
