/* core/memory/writer.h - writers: a slot of the segment, and what this process knows beside it.
 *
 * Job      A writer is the right to change the segment: every function that stores takes one. A
 *          thread takes a writer from its handle's pool for the length of a call. Recovery makes a
 *          writer for the slot of a dead thread and goes on in its name, with its locks and its
 *          journal. So a recovery that is killed is simply done again.
 * Stuck    A call may not be able to go on between its first store and its last: a live but stopped
 *          process holds a lock it needs. Then it gives up its slot instead of waiting
 *          (writer_abandon). It drops the liveness lock, so that the slot looks dead; the first
 *          that can take the lock finishes or undoes the rest. Death and being stuck are one case.
 * Rules    W1 A slot is used by one thread at a time.
 *          W2 The thread that acts for a slot holds its liveness lock (core/segment/live.h).
 *          W3 A thread that finds an owner dead says which (found_dead = its generation) before it
 *             takes that lock. So a slot that is being recovered is not taken for one with a living
 *             owner. A free slot whose lock is held is about to be taken or left. A thread that
 *             needs a slot waits for both.
 *          W4 A handle keeps slots between calls, since taking one costs several system calls; but
 *             others come first. It keeps at most eight. It keeps none of the last quarter of the
 *             segment's slots, so that only calls under way hold those. It keeps none at all while
 *             a thread waits for a slot. A process that has changed its user keeps its last slot,
 *             whichever it is: it may be unable to take another.
 *          W5 A slot is left with nothing open and no lock held: state, liveness lock, map, bell,
 *             in this order.
 * Tests    tests/unit/memory/slot_test.c, tests/crash/stop_test.c
 */
#ifndef LARDER_MEMORY_WRITER_H
#define LARDER_MEMORY_WRITER_H

#include "core/base/epoch.h"
#include "core/item/item.h"
#include "core/memory/obstacle.h"
#include "core/segment/layout.h"

/* Spans of the heap, in rows that ascend and do not overlap. */
#define SPAN_RANGES_MAX 128u
struct span_ranges {
    uint32_t count;
    struct span_range {
        uint32_t from, count;
    } at[SPAN_RANGES_MAX];
};

/* How many of the rows begin at or before a span. */
static inline uint32_t span_ranges_before(const struct span_ranges *ranges, uint32_t span) {
    uint32_t low = 0, high = ranges->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (ranges->at[middle].from <= span)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
/* Whether one of the spans [from, from + count) is in a row. */
static inline int span_ranges_meet(const struct span_ranges *ranges, uint32_t from, uint32_t count) {
    uint32_t before = span_ranges_before(ranges, from + count - 1);
    return before != 0 && from < ranges->at[before - 1].from + ranges->at[before - 1].count;
}

#define WRITER_NEAR 16u /* kinds of items for which places of attributes are remembered */

struct candidates;
struct larder;
struct seg;

/* Where this writer looked last for expired items (ttl/make_room.c). */
#define ROOM_SHARDS 8u
struct room_cursor {
    int64_t now_s;
    uint32_t shard;
    struct room_place {
        uint64_t after, taken;
        uint32_t shard, slot;
        uint8_t is_used, is_quiet, has_found, is_blocked;
    } place[ROOM_SHARDS];
};

/* Where this writer looked last for timers that no item needs (ttl/purge_some.c). */
struct purge_cursor {
    uint64_t after, taken;
    uint32_t shard, slot;
    uint32_t is_begun, shards_done;       /* of this round over all shards */
    uint64_t looked, dropped, spent_ns;   /* in this round: timers, time */
    uint64_t rest_until_ns, rest_changes; /* it rests until then, or until so many changes are made */
};

struct writer {
    struct writer_pool *pool;
    struct larder *db; /* the pool's; nothing of it is known here */
    struct seg *seg;
    struct slot_shm *slot;
    uint32_t id;              /* slot number */
    uint32_t busy_timeout_ms; /* 0: LARDER_NO_WAIT */
    /* 0, or while busy_timeout_ms is cut short: for locks in the middle of a change */
    uint32_t inner_timeout_ms;
    uint64_t need_bytes;  /* of an obstacle (core/memory/obstacle.h) */
    uint64_t asked_bytes; /* of heap_take(), for which need_bytes are needed: for the message */
    /* 0, or how deep: recovering a dead thread may need a lock of another dead one */
    int is_recovery;
    void *live;           /* the liveness lock (core/segment/live.h) */
    struct epoch_use use; /* of the call that has it, recovery included: begun unless it is idle */
    struct writer *next;  /* in the handle's pool */
    void *scratch;        /* private memory for images, grown outside locks */
    size_t scratch_bytes;
    struct item_key key; /* of the item that is being written: too large for a small stack */
    void *before;        /* private memory: the item that is being replaced, for the caller */
    size_t before_bytes;
    /* where key attributes were in earlier items, by kind of item: see near_of() in put.c */
    uint16_t near[WRITER_NEAR][ITEM_NEAR_COUNT];
    /* bit per enum lock_rank: what this writer holds, by its private record */
    uint32_t ranks_held;
    uint32_t stripes_held; /* LOCK_STRIPE is the one rank of which several may be held */
    /* 0, or the process that owned the lock which this call could not have */
    int32_t busy_pid;
    /* a lock could not be had in the middle: the slot will be abandoned, and recovered */
    int is_stuck;
    /* a lock's dead owner cannot be recovered by a thread that holds stripes, as this one does */
    int is_in_way;
    /* NULL, or long work ends when it becomes true: ttl/expirer.c */
    const _Atomic int *is_stopping;
    int cancel_state; /* of the thread, while borrowed */
    /* bin + 1 that had a block when a class of the own arena had none: core/memory/heap.c */
    uint16_t found_in[CLASS_COUNT];
    uint32_t run_spans;               /* taken in runs since kept spans were last given back */
    uint32_t trim_table, trim_stripe; /* where table_trim() goes on */
    uint64_t trim_seen, trim_visits;  /* stripes: since it found anything; ever */
    uint64_t trim_not_before_ns;      /* it found nothing a moment ago */
    uint64_t drops_not_before_ms;     /* no process went on with dropped tables a moment ago */
    /* nonzero: this writer empties so many spans from avoid_from on (core/table/compact.h), and
     * takes blocks elsewhere; in free spans, too, if moves_to_free */
    uint32_t avoid_from, avoid_count, moves_from_bytes; /* those of their blocks */
    int moves_to_free;
    /* meanwhile it takes none of these spans either: they wait for the call, or are emptied next */
    const struct span_ranges *also_avoided;              /* NULL: none */
    uint32_t compact_at, compact_loan_at, compact_table; /* where table_compact() goes on */
    /* it found nothing a moment ago for so much, when so many items had been removed */
    uint64_t compact_not_before_ns, compact_lacked, compact_removed;
    uint32_t compact_free_spans; /* and so many spans were free */
    /* where table_evict() goes on, and its chance; 0: it has not begun. candidates: NULL, or
     * private memory of it */
    uint32_t evict_table, evict_at, evict_chance;
    struct candidates *candidates;
    uint32_t claims_to_skip; /* heap_claim_ahead() was refused a moment ago */
    /* of this call: no room could be made, so a block may be much larger than what it is for
     * (core/memory/heap.h, P3) */
    int is_short;
    /* a repair found no block for a leaf with one more entry: the leaf becomes two
     * (index/index_repair.c) */
    int halves_leaves;
    struct room_cursor room;
    struct purge_cursor purge;
    /* what was counted last for a LARDER_E_FULL, when, and how long that took */
    uint64_t full_counted_ns, full_count_ns, full_used_bytes, full_free_bytes, full_run_bytes;
};

static inline void writer_avoid(struct writer *w, uint32_t from, uint32_t count, int moves_to_free) {
    w->avoid_from = from;
    w->avoid_count = count;
    w->moves_to_free = moves_to_free;
    w->moves_from_bytes = 0;
}
static inline int writer_avoids(const struct writer *w, uint32_t span) {
    return span - w->avoid_from < w->avoid_count || (w->also_avoided && span_ranges_meet(w->also_avoided, span, 1));
}

/* The writers of a handle. The handle sets what is above the line. */
struct writer_pool {
    struct larder *db;
    struct seg *seg;
    struct priv *priv;
    struct epochs *epochs;
    /* whether the segment is still usable: LARDER_OK or a failure */
    int (*check)(struct larder *db);
    uint32_t busy_timeout_ms; /* 0: LARDER_NO_WAIT */
    /* ---- */
    uint32_t kept_slots;           /* slots below this number may be idle: rule W4 */
    uint32_t opened_as;            /* effective user at the beginning */
    _Atomic uint32_t writer_count; /* slots it has, idle or not */
    /* NULL, or one more idle writer, taken and put back without the mutex */
    struct writer *_Atomic spare;
    pthread_mutex_t mutex; /* guards the list; no other is taken under it */
    struct writer *idle;   /* writers with a live slot that no thread uses now */
    uint32_t idle_count;   /* in that list */
};

/* Slots that idle handles may keep (W4); the others always go round. */
static inline uint32_t writer_kept_slots(uint32_t slot_count) {
    return slot_count - (slot_count < 4 ? 1 : slot_count / 4);
}

/* Both are true of every free slot. */
static inline int slot_has_nothing_open(const struct slot_shm *slot) {
    uint64_t open = SHM_LOAD(&slot->op) | SHM_LOAD(&slot->op_stripe_off) | SHM_LOAD(&slot->record_off);
    for (unsigned i = 0; i < SLOT_HAND; i++)
        open |= SHM_LOAD(&slot->hand[i]);
    for (unsigned i = 0; i < SLOT_STEPS; i++)
        open |= SHM_LOAD(&slot->step[i].word_off);
    return open == 0;
}
static inline int slot_holds_no_locks(const struct slot_shm *slot) {
    uint64_t noted = 0;
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        noted |= SHM_LOAD(&slot->locks[i]);
    return noted == 0;
}

/* `fields` has what is above the line; the rest is zero. */
void writer_pool_begin(struct writer_pool *pool, const struct writer_pool *fields);
/* Gives the slots back. No call is under way. */
void writer_pool_end(struct writer_pool *pool);
/* Gives the slots of idle writers back. */
void writer_close_all(struct writer_pool *pool);
/* In the child of a fork: forgets the parent's slots. */
void writer_forget_all(struct writer_pool *pool);

/* A writer for this thread, from the pool or by slot_take(), whose results it returns. Holds off
 * cancellation until writer_return(). */
int writer_take(struct writer_pool *pool, uint32_t wait_ms, struct writer **w);
/* Whether another thread wants w's slot: then w must not be kept idle (rule W4). */
int writer_is_wanted(const struct writer *w);
void writer_return(struct writer *w);
/* Gives the slot up in the middle of an operation: from now on it counts as dead. Frees the
 * writer. */
void writer_abandon(struct writer *w);
/* writer_return(), or writer_abandon() if it is stuck. Then, outside locks, adds to the message on
 * a lock that could not be had whether its owner is stopped. */
void writer_end(struct writer *w);
/* Whether an idle writer of the pool has this slot. */
int writer_is_idle(struct writer_pool *pool, uint32_t slot);
/* Grows w->scratch to at least bytes. Outside locks. LARDER_OK or LARDER_E_NO_MEMORY. */
int writer_scratch(struct writer *w, size_t bytes);
/* After OBSTACLE_CLAIM, outside locks: claims w->need_bytes. LARDER_OK, LARDER_E_FULL, ... */
int writer_claim(struct writer *w);

/* For slot_take.c. writer_new: a writer that acts for this slot; NULL: LARDER_E_NO_MEMORY.
 * writer_free: frees its memory. writer_take_idle: an idle writer of the pool, or NULL. */
struct writer *writer_new(struct writer_pool *pool, uint32_t slot, void *live);
void writer_free(struct writer *w);
struct writer *writer_take_idle(struct writer_pool *pool);

#endif
