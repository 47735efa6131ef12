/* core/table/make_room.h - a call that needs memory finds none: dead memory makes room, and the
 * call tries again.
 *
 * Job      The one place for it. Three kinds of memory are dead: tables that were dropped and are
 *          not empty yet (core/table/table_empty.c), items that have expired (ttl/make_room.c), and
 *          timers that no item needs (ttl/purge_some.c).
 *          After that items of tables that evict go (core/table/evict.h). Bucket arrays that are
 *          too large give some (core/table/trim.h), and blocks are moved, so that free memory lies
 *          together (core/table/compact.h). None of this needs an expirer or another thread.
 * Bounds   A round gives some hundred blocks back, and the call tries again. So it makes little
 *          more than it needs, and nothing that it removes has to be removed later. It evicts in
 *          ROOM_ROUNDS rounds, and one more for each KiB it asks for, since larger blocks need free
 *          neighbours. Only a call that finds nothing goes through all of the segment (R8). What
 *          it found is remembered: the next one costs next to nothing.
 * Rules    R1 Outside locks. index/fill.c is the exception: it holds the catalog lock all the way,
 *             with its operation noted in the slot. Then only items of that table are removed, for
 *             a slot can note only one table (core/table/change.h).
 *          R2 What a live process has locked is passed over, before anything is changed. In the
 *             middle of a change its locks are waited for as in any other call. Only a dropped
 *             table that is being emptied is waited for: as long as pieces of it come back, within
 *             the writer's busy_timeout.
 *          R3 If no room can be made, result and message are those of the call.
 *          R4 If no room can be made, the call tries once more and takes blocks of any larger size
 *             (P3 of core/memory/heap.h). So LARDER_E_FULL says that no free block was large
 *             enough, not that none is free: free blocks may be smaller, or the call needs a bucket
 *             array, which gets no loans.
 *          R5 A transaction has blocks for the time of a try, and may give them back. A call that
 *             would fail waits for it, and tries again, a few times.
 *          R6 A call that takes several large blocks, and gives all back if one is missing, says so
 *             (room.runs): then room is made for all of them at the same time. They are not held
 *             meanwhile: two such calls can wait for each other in no circle, and what one has
 *             made serves the other. If another call takes of it, it is made again.
 *          R7 Items that have expired or may be evicted, and wait for locks of live processes, are
 *             waited for within busy_timeout. So LARDER_E_FULL never says that such items could not
 *             go just now; that is LARDER_E_BUSY. Dead owners are recovered on the way.
 *          R8 LARDER_E_FULL is said after a look everywhere that found nothing, or after a tenth of
 *             a second of moving in vain: in this call, or in an earlier one after which little has
 *             changed. A tenth of that time is enough for nearly all that a segment can give, so a
 *             loaded machine makes little difference. For creations: three seconds.
 * Tests    tests/crash/room_test.c, tests/crash/room_locked_test.c, tests/crash/scenarios.c
 *          (make_room ..)
 */
#ifndef LARDER_TABLE_MAKE_ROOM_H
#define LARDER_TABLE_MAKE_ROOM_H

#include "core/memory/writer.h"
#include "core/table/table.h"
#include "core/table/windows.h"

#define ROOM_ROUNDS 512u

/* The needs of one call. */
struct room {
    uint64_t bytes;     /* roughly */
    uint64_t run_bytes; /* 0, or a run so long serves all that a try takes, block after block */
    struct runs *runs;  /* NULL, or all that the last try would have taken; total 0: it is not known */
    int64_t now_s;      /* by the handle's clock */
    /* Of the item that is to be written: expired items in its bucket go first. NULL: there is no
     * item. */
    const struct table_view *view;
    uint64_t hash;
    /* A try costs so much that all room is made before the next one; once per call. */
    int wants_all;
    /* A new table: how long to wait for dropped ones. had_drops: there were some when the try
     * began. */
    uint64_t drops_until_ms;
    int had_drops;
    /* Private */
    uint32_t rounds, evicts, founds;
    uint64_t trim_visits;
    int has_no_drops, is_all_made, has_looked;
    int has_evicted, has_trimmed; /* in the last round */
    int is_blocked;               /* nothing was evicted: live processes hold what the items need */
    uint64_t blocked_until_ms;    /* how long they are waited for; 0: not begun */
    uint32_t awaits;              /* rule R5 */
    uint32_t reclaims;            /* steps of reclaim_runs() */
    uint64_t compacted_ns;        /* spent on moving, */
    uint64_t compacted_bytes;     /* for so much, the last time */
    uint64_t evicted_ns;          /* on evicting */
    uint64_t empty_until_ms;      /* how long dropped tables are waited for; 0: not begun */
};

/* After a try that ended with LARDER_E_FULL. LARDER_OK: room was made, try again. LARDER_E_FULL,
 * with the message of before; LARDER_E_BUSY: the writer is stuck. */
int room_make(struct writer *w, struct room *room);

#endif
