/* core/table/db.h - the handle: this process's attachment to a segment.
 *
 * Job      Owns the mapping, the private arena, the pool of writers, the tables' views and the
 *          clock.
 * Locks    `mutex` guards the process-private lists below. It is never held together with a segment
 *          lock.
 * Tests    tests/api/open_test.c, tests/api/fork_test.c
 */
#ifndef LARDER_TABLE_DB_H
#define LARDER_TABLE_DB_H

#include "core/base/priv.h"
#include "core/memory/writer.h"
#include "core/segment/seg.h"
#include "core/table/prepared.h"
#include "core/table/table.h"
#include "core/table/views.h"
#include <pthread.h>

/* A clock that larder_set_clock() was given. */
struct db_clock {
    int64_t (*now)(void *arg);
    void *arg;
    struct db_clock *next;
};

/* A name that larder_table_list() gave away. */
struct table_name {
    struct table_name *next;
    char text[];
};

struct larder {
    struct seg seg;
    struct priv *priv;
    pthread_mutex_t mutex;
    struct writer_pool writers;
    struct larder_table *tables;                 /* opened ones */
    struct table_name *names[LARDER_TABLES_MAX]; /* by ordinal; each once */
    struct views views;
    struct prepared prepared;
    /* by ordinal: struct htab's `seen` of both hash tables; NULL: none yet */
    _Atomic uint64_t *guesses[LARDER_TABLES_MAX];
    struct notes *notes[LARDER_TABLES_MAX]; /* by ordinal: core/table/marks.h; NULL: none yet */
    struct db_clock *_Atomic clock;         /* NULL: the system's; else one of `clocks` */
    struct db_clock *clocks;                /* all that were ever set, each kind once */
    /* of the system's clock, at the latest db_check(); when it changes, db_check() looks at the
     * file */
    _Atomic int64_t second;
    _Atomic int is_removed;              /* the file has no name any more */
    void *expirer;                       /* ttl/expirer.c: the thread, if it was started */
    void *dropper;                       /* core/table/drop_thread.c: the thread, if it was started */
    struct workspace *_Atomic workspace; /* core/table/workspace.h; NULL: a call has it, or none is */
    _Atomic int64_t quiet_s;             /* ttl/make_room.c: in this second no expired item was left */
    struct larder *next_open;            /* in the list of open handles, for forks */
};

struct priv *db_priv(struct larder *db);
/* Epoch seconds by the handle's clock. Calls user code: never under a segment lock. */
int64_t db_now(const struct larder *db);
/* The same as of this call's db_check(), without another look at the system's clock. */
int64_t db_now_checked(const struct larder *db);
/* A writer for this thread. LARDER_OK, LARDER_E_READ_ONLY, LARDER_E_OS, LARDER_E_ACCESS,
 * LARDER_E_NO_MEMORY; LARDER_E_NO_SLOT or LARDER_E_BUSY after busy_timeout_ms; what db_check()
 * returns. Holds off cancellation until writer_return(). */
int writer_borrow(struct larder *db, struct writer **w);
/* The same with another time limit. */
int writer_borrow_within(struct larder *db, uint32_t wait_ms, struct writer **w);
/* Stops the expirer thread if one runs. ttl/expirer.c registers it; larder_close() and forked
 * children call it. */
extern void (*db_stop_expirer)(struct larder *db, int is_forked_child);

#endif
