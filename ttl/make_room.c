/* ttl/make_room.c - core_hooks->timer_make_room: a write found no room, so expired items go.
 *
 * Job      Sweeps the wheel for due timers (ttl/wheel.h), and fires a bounded number of them per
 *          call. Moves nothing in the wheel and leaves its time: that would need memory.
 * Rules    M1 Each writer goes on where it was (struct room_cursor). So many calls together search
 *             a large wheel, and several writers begin at different shards.
 *          M2 It takes one chunk of each shard in turn. Items that were stored one after the other
 *             lie side by side, and their timers are spread over the shards: so whole spans become
 *             empty, which larger blocks and other sizes need.
 *          M3 A writer that came through all shards and found nothing tells all threads of its
 *             process (larder.quiet_s). Until the clock moves on, nothing else is due except items
 *             that are late already when they are stored, and these wait for the next second.
 *          M5 A due timer whose stripe or shard a live process has locked is passed over, others
 *             are tried. If nothing else is due the caller is told (LARDER_E_BUSY): the segment is
 *             not full.
 *          M4 The cursor is a hint: if the wheel has changed since, the slot is begun again
 *             (rule W4).
 * Tests    tests/crash/room_test.c
 */
#include "ttl/fire.h"
#include "ttl/ttl.h"

#define ROOM_CHUNKS 1024u /* looked at by one call: of up to 63 timers each, 0.3 ms */
#define ROOM_ITEMS 64u    /* removed by one call; it still finishes the chunk it is in */

struct room_search {
    struct fire_job job;
    struct room_cursor *at;
    uint32_t chunks, handled;
    int only_table; /* -1: all */
    int is_blocked; /* something is due, and waits for a lock of a live process */
};

static void room_begin(struct room_search *s) {
    struct writer *w = s->job.w;
    struct room_cursor *at = s->at = &w->room;
    if (at->now_s == s->job.now_s && at->place[0].is_used)
        return;
    if (!at->place[0].is_used)
        at->shard = w->id * 5 % w->seg->shard_count;
    at->now_s = s->job.now_s;
    for (uint32_t i = 0; i < ROOM_SHARDS; i++) { /* passed timers may be due by now */
        at->place[i].is_used = 1;
        at->place[i].is_quiet = 0;
        at->place[i].has_found = 1;
    }
}

/* If there are very many shards, several share a place. */
static struct room_place *room_place(struct room_search *s, uint32_t shard) {
    struct room_place *place = &s->at->place[shard % ROOM_SHARDS];
    if (place->shard != shard)
        *place = (struct room_place){.is_used = 1, .shard = shard};
    return place;
}

/* The shard is through. It is quiet if nothing was found from its beginning on. */
static void room_end_shard(struct room_place *place) {
    place->is_quiet = !place->has_found;
    place->has_found = 0;
    place->slot = 0;
    place->after = 0;
}

/* Removes timers of other tables from the batch: they stay, as if they could not be fired. */
static void room_leave_out(const struct room_search *s, struct wheel_batch *batch) {
    uint32_t kept = 0;
    for (uint32_t i = 0; s->only_table >= 0 && i < batch->count; i++)
        if (batch->entry[i].table == (uint32_t)s->only_table) {
            batch->entry[kept] = batch->entry[i];
            batch->place[kept++] = batch->place[i];
        }
    if (s->only_table >= 0)
        batch->count = kept;
}

/* LARDER_OK, or LARDER_E_BUSY: going on is useless. */
static int room_fire(struct room_search *s, struct room_place *place, struct wheel_walk *walk,
                     struct wheel_batch *batch) {
    room_leave_out(s, batch);
    int fired = fire_batch(&s->job, batch);
    if (s->job.w->is_stuck)
        return LARDER_E_BUSY;
    s->handled += (uint32_t)__builtin_popcountll(batch->done);
    int r = wheel_retire(s->job.w, walk, batch), is_blocked = fired == LARDER_E_BUSY || r == LARDER_E_BUSY;
    place->has_found |= batch->done != 0;
    place->is_blocked |= is_blocked;
    s->is_blocked |= is_blocked;
    return r || (fired && fire_has_waited(&s->job)) ? LARDER_E_BUSY : LARDER_OK;
}

/* Looks on until one chunk has due timers, or as far as the call may. LARDER_OK, or LARDER_E_BUSY:
 * going on is useless. */
static int room_look_at(struct room_search *s, struct room_place *place) {
    struct wheel_walk walk = {.shard = place->shard,
                              .now_s = fire_sweep_now(&s->job),
                              .is_sweep = 1,
                              .slot = place->slot,
                              .after = place->after,
                              .taken = place->taken};
    struct wheel_batch batch = {.count = 0};
    int r;
    do
        r = wheel_collect(s->job.w, &walk, &batch);
    while (r == LARDER_MORE && batch.count == 0 && s->chunks + walk.looked < ROOM_CHUNKS);
    int fired = batch.count ? room_fire(s, place, &walk, &batch) : LARDER_OK;
    if (r == LARDER_E_BUSY)
        s->is_blocked = place->is_blocked = 1;
    s->chunks += walk.looked;
    place->slot = walk.slot;
    place->after = walk.after;
    place->taken = walk.taken;
    if (r != LARDER_MORE) /* also if the shard is locked, or damaged */
        room_end_shard(place);
    return fired;
}

/* M2. */
static void room_sweep(struct room_search *s) {
    struct writer *w = s->job.w;
    uint32_t quiet = 0, shards = w->seg->shard_count;
    while (quiet < shards && s->handled < ROOM_ITEMS && s->chunks < ROOM_CHUNKS) {
        struct room_place *place = room_place(s, s->at->shard % shards);
        if (!place->is_quiet && room_look_at(s, place))
            return;
        quiet = place->is_quiet ? quiet + 1 : 0;
        s->at->shard = (s->at->shard + 1) % shards;
    }
    if (quiet == shards && s->only_table < 0 && !s->is_blocked)
        atomic_store_explicit(&w->db->quiet_s, s->job.now_s + 1, memory_order_relaxed);
}

/* What was locked is looked at again by the next call, in the same second, too. */
static void room_wake_blocked(struct room_cursor *at) {
    for (uint32_t i = 0; i < ROOM_SHARDS; i++)
        if (at->place[i].is_blocked)
            at->place[i].is_blocked = at->place[i].is_quiet = 0;
}

int timer_make_room(struct writer *w, int64_t now_s) {
    if (atomic_load_explicit(&w->db->quiet_s, memory_order_relaxed) == now_s + 1)
        return LARDER_NOT_FOUND;
    struct room_search s = {.job = {.w = w, .now_s = now_s}, .only_table = -1};
    if (SHM_LOAD_RELAXED(&w->slot->op) != OP_NONE) /* rule R1 of core/table/make_room.h */
        s.only_table = (int)SHM_LOAD_RELAXED(&w->slot->op_a);
    room_begin(&s);
    room_sweep(&s);
    room_wake_blocked(s.at);
    if (w->is_stuck)
        return LARDER_E_BUSY;
    return s.handled ? LARDER_OK : s.is_blocked ? LARDER_E_BUSY : LARDER_NOT_FOUND;
}
