/* core/table/make_room.c - see make_room.h. */
#include "core/table/make_room.h"

#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/heap_span.h"
#include "core/memory/hooks.h"
#include "core/memory/record.h"
#include "core/table/compact.h"
#include "core/table/db.h"
#include "core/table/evict.h"
#include "core/table/trim.h"
#include "core/table/upkeep.h"

#define ROOM_BYTES_PER_ROUND 1024u
#define ROOM_STALL_MS 100u                 /* rule R2: gives up after so long without a piece emptied */
#define ROOM_STALL_AGAIN_MS 1000u          /* how long the writer then leaves dropped tables to others */
#define ROOM_COMPACT_NS UINT64_C(40000000) /* rule R8: for each so many spans, */
#define ROOM_COMPACT_LAST 2u               /* and so many times as long when nothing else is left */
#define ROOM_COMPACT_SPANS 64u
#define ROOM_COMPACT_RUN_NS UINT64_C(3000000000) /* a creation, which is rare and needs much */
#define ROOM_FOUNDS 64u                          /* room that others made is tried so often */
#define ROOM_AWAITS 8u                           /* rule R5: so often, */
#define ROOM_AWAIT_MS 20u                        /* and no longer each */
#define ROOM_WAIT_MS 1u                          /* rule R2: for a lock soon dropped, or with a dead owner */

#if LARDER_CRASH_POINTS
/* Tests: a heap that was made to report that it is full stops doing so once dead memory made
 * room. */
extern _Atomic int64_t heap_test_takes_left;
static void say_not_full(int has_made) {
    if (has_made && heap_test_takes_left == 0)
        heap_test_takes_left = -1;
}
#else
static void say_not_full(int has_made) {
    (void)has_made;
}
#endif

/* Another process holds the catalog, perhaps to empty a piece of the table. True: it has emptied
 * one, or all: that memory may be what was lacking. */
static int has_gone_on(const struct writer *w, uint64_t mark) {
    return table_drop_mark(w->seg) != mark;
}

/* Empties a piece of a dropped table, or waits until another process does (rule R2). True:
 * something was given back. */
static int empty_a_piece(struct writer *w) {
    uint64_t stalled_ms = wait_now_ms() + ROOM_STALL_MS;
    do {
        uint64_t mark = table_drop_mark(w->seg);
        int r = lock_pass(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
        if (r == LARDER_OK && !has_gone_on(w, mark)) {
            r = table_resume_piece(w);
            if (r == LARDER_MORE || r == LARDER_NOT_FOUND)
                return 1;
        } else if (has_gone_on(w, mark))
            return 1;
        if (r != LARDER_E_BUSY || w->is_stuck)
            return 0;
    } while (wait_now_ms() < stalled_ms);
    return 0;
}

static int empty_some(struct writer *w, struct room *room, uint64_t until_ms) {
    if (room->has_no_drops || SHM_LOAD_RELAXED(&w->slot->op) != OP_NONE) /* rule R1 */
        return 0;
    uint64_t now_ms = wait_now_ms();
    if (room->empty_until_ms == 0)
        room->empty_until_ms = until_ms;
    room->has_no_drops = !table_has_drops(w->seg) || now_ms < w->drops_not_before_ms || now_ms >= room->empty_until_ms;
    if (room->has_no_drops)
        return 0;
    int has_made = empty_a_piece(w);
    if (!has_made) {
        w->drops_not_before_ms = wait_now_ms() + ROOM_STALL_AGAIN_MS;
        room->has_no_drops = 1;
    }
    return has_made;
}

/* Rule R8. How long the call moves blocks before it tries other ways: for each piece of
 * ROOM_COMPACT_SPANS that it needs, and as long as it evicts, which is in vain if nothing makes
 * whole spans of it. */
static uint64_t compact_ns(const struct room *room, const struct runs *runs) {
    if (room->run_bytes)
        return ROOM_COMPACT_RUN_NS;
    return ROOM_COMPACT_NS * (1 + runs->total / ROOM_COMPACT_SPANS) + room->evicted_ns;
}

static int compact_for(struct writer *w, struct room *room, const struct runs *runs, int is_last_way) {
    uint64_t limit_ns = compact_ns(room, runs) * (is_last_way && !room->run_bytes ? ROOM_COMPACT_LAST : 1);
    struct wait_work begin = wait_work_now();
    if (room->compacted_ns > limit_ns || w->is_stuck)
        return 0;
    int is_there;
    uint32_t made = table_compact(w, runs, limit_ns - room->compacted_ns, &is_there);
    room->compacted_ns += wait_worked_ns(&begin);
    room->compacted_bytes = (uint64_t)runs->total * SPAN_BYTES;
    return made > 0 || (is_there && room->founds++ < ROOM_FOUNDS);
}

static int compact(struct writer *w, struct room *room, int is_last_way) {
    struct runs one = {0};
    runs_add(&one, w->asked_bytes > room->run_bytes ? w->asked_bytes : room->run_bytes);
    return compact_for(w, room, &one, is_last_way);
}

/* Rule R8: ends, since a round over all timers that finds few is the last one. */
static int drop_timers(struct writer *w, const struct room *room) {
    int r;
    do
        r = core_hooks->timer_purge(w, room->now_s);
    while (r == LARDER_MORE);
    return r == LARDER_OK;
}

static int expire(struct writer *w, struct room *room) {
    int r = core_hooks->timer_make_room(w, room->now_s);
    room->is_blocked |= r == LARDER_E_BUSY && !w->is_stuck && SHM_LOAD_RELAXED(&w->slot->op) == OP_NONE; /* R1 */
    return r == LARDER_OK;
}

static uint32_t rounds_max(const struct room *room) {
    return (uint32_t)(ROOM_ROUNDS + room->bytes / ROOM_BYTES_PER_ROUND);
}

static int evict(struct writer *w, struct room *room) {
    struct wait_work begin = wait_work_now();
    int is_blocked = 0;
    room->has_evicted =
        !w->is_stuck && room->evicts++ < rounds_max(room) && table_evict(w, w->asked_bytes, &is_blocked) > 0;
    room->evicted_ns += wait_worked_ns(&begin);
    room->is_blocked |= is_blocked;
    return room->has_evicted;
}

/* What is given back may be the array that this call's next try makes again. So other ways are
 * tried before it is done again, and it is done twice to each stripe at most.
 *
 * Arrays without an item cannot be moved (core/table/move.c), and are in the way of long runs. So a
 * creation, which is rare, looks for them although another call found none a moment ago. Once some
 * have gone, what could not be moved before may be. */
static int trim(struct writer *w, struct room *room) {
    uint64_t before = w->trim_visits;
    if (room->run_bytes && !room->has_looked)
        w->trim_not_before_ns = 0;
    room->has_looked = 1;
    room->has_trimmed = !w->is_stuck && room->trim_visits < 2 * table_trim_stripes(w->seg) && table_trim(w) > 0;
    room->trim_visits += w->trim_visits - before;
    if (room->has_trimmed && room->run_bytes)
        w->compact_not_before_ns = 0;
    return room->has_trimmed;
}

/* Dead memory is used up. Eviction gives blocks of the sizes that are in use, and costs least. If
 * that was not enough, what it gave is moved together, and so on in turn. */
static int reclaim(struct writer *w, struct room *room) {
    if (!room->has_evicted && evict(w, room))
        return 1;
    int may_evict = room->has_evicted, has_trimmed = room->has_trimmed;
    room->has_evicted = room->has_trimmed = 0;
    return (!has_trimmed && trim(w, room)) || compact(w, room, 0) || (has_trimmed && trim(w, room)) ||
           (may_evict && evict(w, room)) || compact(w, room, 1);
}

/* Whether there is less free memory, whole spans or not, than the runs need and a quarter. */
static int has_too_little(const struct writer *w, const struct runs *runs) {
    uint64_t spans = runs->total + runs->total / 4 + span_kept_count(w->seg, 0);
    return table_free_bytes(w->seg) < spans * SPAN_BYTES;
}

/* Makes room for all blocks of the call before it tries again: what is there for some of them is of
 * no use. Eviction makes free memory, and compaction whole spans of it; so it evicts no more than
 * that takes. */
static int reclaim_runs(struct writer *w, struct room *room) {
    struct runs *runs = room->runs;
    int has_made = 0, has_more = 1, is_done = table_compact_is_done(w, runs);
    if (is_done) /* and a block was missing all the same */
        is_done = runs_ask_again(runs, w->asked_bytes) && table_compact_is_done(w, runs);
    while (!is_done && has_more && !w->is_stuck && room->reclaims++ < ROOM_ROUNDS) {
        has_more = (has_too_little(w, runs) && evict(w, room)) || compact_for(w, room, runs, 0) || evict(w, room) ||
                   trim(w, room) || compact_for(w, room, runs, 1);
        has_made |= has_more;
        is_done = table_compact_is_done(w, runs);
    }
    return has_made || is_done;
}

/* True: something was given back. */
static int make_round(struct writer *w, struct room *room) {
    uint32_t busy_timeout_ms = w->busy_timeout_ms;
    uint64_t until_ms = wait_now_ms() + busy_timeout_ms;
    if (w->busy_timeout_ms > ROOM_WAIT_MS)
        w->busy_timeout_ms = ROOM_WAIT_MS;
    w->inner_timeout_ms = busy_timeout_ms;
    int has_made = room->rounds == 1 && room->view && upkeep_expire_bucket(w, room->view, room->hash, room->now_s) > 0;
    has_made = has_made || (!w->is_stuck && empty_some(w, room, until_ms)) || (!w->is_stuck && expire(w, room)) ||
               (!w->is_stuck && drop_timers(w, room));
    say_not_full(has_made);
    if (!has_made && !w->is_stuck && SHM_LOAD_RELAXED(&w->slot->op) == OP_NONE) /* rule R1 */
        has_made = room->runs && room->runs->total ? reclaim_runs(w, room) : reclaim(w, room);
    w->busy_timeout_ms = busy_timeout_ms;
    w->inner_timeout_ms = 0;
    return has_made;
}

static int make_some(struct writer *w, struct room *room) {
    /* R8: a round that evicts nothing empties a span at least, or visits a stripe */
    uint64_t most = rounds_max(room);
    if (!room->wants_all)
        most += w->seg->span_count + 2 * table_trim_stripes(w->seg);
    return w->is_recovery || room->rounds++ >= most ? 0 : make_round(w, room);
}

/* All that could go, expired or not, is locked by live processes, now. Waits for them as any call
 * does, within the writer's busy_timeout: a segment full of items that may go is not full. */
static int await_locked(struct writer *w, struct room *room) {
    int has_made = 0;
    if (room->blocked_until_ms == 0)
        room->blocked_until_ms = wait_now_ms() + w->busy_timeout_ms;
    while (!has_made && room->is_blocked && !w->is_stuck && wait_until(room->blocked_until_ms)) {
        room->is_blocked = 0;
        room->has_evicted = 0;
        has_made = make_round(w, room);
    }
    return has_made;
}

/* All the room that can be made, once per call. */
static int make_all(struct writer *w, struct room *room) {
    int has_made = 0;
    if (room->is_all_made)
        return 0;
    room->is_all_made = 1;
    while (make_some(w, room))
        has_made = 1;
    return has_made;
}

/* For a new table, whose entry may be one that was dropped before. True: a piece of a dropped table
 * was emptied, or another process emptied the last: its memory may be what was lacking. */
static int await_drops(struct writer *w, const struct room *room) {
    if (!room->had_drops || wait_now_ms() >= room->drops_until_ms)
        return 0;
    int r = table_resume_piece(w);
    return r == LARDER_MORE || r == LARDER_NOT_FOUND;
}

/* Whether a slot's transaction has blocks that are no items yet. */
static int has_pending_blocks(const struct seg *s, const struct slot_shm *slot) {
    uint32_t count;
    uint64_t off = SHM_LOAD(&slot->record_off);
    const struct record_shm *record = off ? record_at(s, off, &count) : NULL;
    if (!record || SHM_LOAD(&record->state) != RECORD_PENDING)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (SHM_LOAD(&record->entry[i].new_word) != 0)
            return 1;
    return 0;
}

/* Waits until another thread's transaction has ended. False: there was none. Two that lack what the
 * other one has do not begin again at the same moment. */
static int await_transaction(const struct writer *w) {
    const struct seg *s = w->seg;
    uint32_t i = 0;
    while (i < s->slot_count && (i == w->id || !has_pending_blocks(s, seg_slot(s, i))))
        i++;
    if (i == s->slot_count)
        return 0;
    uint64_t until_ms = wait_now_ms() + (w->busy_timeout_ms < ROOM_AWAIT_MS ? w->busy_timeout_ms : ROOM_AWAIT_MS);
    while (has_pending_blocks(s, seg_slot(s, i)) && wait_until(until_ms))
        ;
    for (uint32_t k = w->id % ROOM_AWAITS; k > 0 && wait_until(until_ms); k--)
        ;
    return 1;
}

/* A transaction that is under way holds what it has taken for the time of a try. Then it gives it
 * back, or what it replaces. That it was missing meanwhile fails no call. */
static int has_room_again(struct writer *w, struct room *room) {
    struct runs one = {0};
    runs_add(&one, w->asked_bytes);
    if (w->is_recovery || SHM_LOAD_RELAXED(&w->slot->op) != OP_NONE || room->awaits++ >= ROOM_AWAITS)
        return 0;
    return await_transaction(w) || table_compact_is_done(w, room->runs && room->runs->total ? room->runs : &one);
}

int room_make(struct writer *w, struct room *room) {
    struct err_kept why; /* rule R3 */
    err_keep(&why);
    room->is_blocked = 0;
    int has_made = await_drops(w, room);
    if (!has_made && !w->is_stuck)
        has_made = room->wants_all ? make_all(w, room) : make_some(w, room);
    if (!has_made && room->is_blocked && !w->is_stuck)
        has_made = await_locked(w, room);
    if (w->is_stuck)
        return err_set(LARDER_E_BUSY, "a stopped process holds a lock that making room needs");
    if (!has_made && !w->is_short) /* rule R4 */
        has_made = w->is_short = 1;
    else if (!has_made && !room->is_blocked)
        has_made = has_room_again(w, room); /* rule R5 */
    if (has_made)
        return LARDER_OK;
    if (room->is_blocked)
        return err_set(LARDER_E_BUSY, "the segment is full, and all items that have expired or may be evicted wait "
                                      "for a lock that a live process holds");
    err_put_back(&why);
    if (room->compacted_ns >= ROOM_COMPACT_NS && !room->run_bytes)
        table_compact_pause(w, room->compacted_bytes, room->compacted_ns);
    SHM_STORE(&w->seg->shm->full_bytes, w->asked_bytes);
    SHM_ADD(&w->seg->shm->full_count, 1);
    return LARDER_E_FULL;
}
