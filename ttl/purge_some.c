/* ttl/purge_some.c - core_hooks->timer_purge: a write found no room and nothing has expired, so
 * timers that no item needs go.
 *
 * Job      Goes through the wheel, due or not, and drops such timers (ttl/purge.h), a bounded
 *          number per call. So deleted items do not fill a segment that has no expirer.
 * Rules    P1 Each writer goes on where it was (struct purge_cursor). The cursor is a hint: if the
 *             wheel has changed since, the slot is begun again (rule W4 of ttl/wheel.h).
 *          P2 After a round over all shards that found few, the writer rests for PURGE_REST_TIMES
 *             as long as the round took, or until it has made so many changes that they could have
 *             left new ones. So a segment that is full of items pays a tenth.
 *          P3 Rule R1 of core/table/make_room.h: with an operation noted, the timers of other
 *             tables stay.
 * Tests    tests/api/ttl_full_test.c, tests/crash/scenarios.c (make_room_purge ..)
 */
#include "core/base/wait.h"
#include "ttl/purge.h"
#include "ttl/ttl.h"

#define PURGE_CHUNKS 256u /* looked at by one call: of up to 63 timers each, some ms */
#define PURGE_FREED 16u   /* chunks given back by one call */
#define PURGE_FEW 16u     /* few: less than one in so many timers was dropped */
#define PURGE_REST_TIMES 10u
#define PURGE_CHANGES_MIN 64u

struct purge_search {
    struct fire_job job;
    struct purge_cursor *at;
    uint32_t chunks, freed;
    int only_table; /* -1: all */
};

/* ---- Rounds (P2) ----------------------------------------------------------------------------- */

/* What may leave a timer. */
static uint64_t purge_changes(const struct writer *w) {
    return SHM_LOAD_RELAXED(&w->slot->puts) + SHM_LOAD_RELAXED(&w->slot->deletes);
}

static int purge_is_resting(const struct writer *w) {
    return purge_changes(w) < w->purge.rest_changes && wait_now_ns() < w->purge.rest_until_ns;
}

static void purge_begin_round(struct purge_cursor *at) {
    at->is_begun = 1;
    at->shards_done = 0;
    at->looked = at->dropped = at->spent_ns = 0;
}

/* True: the round is through, and it found few. */
static int purge_end_shard(struct purge_search *s, uint64_t begin_ns) {
    const struct writer *w = s->job.w;
    struct purge_cursor *at = s->at;
    at->shard = (at->shard + 1) % w->seg->shard_count;
    at->slot = 0;
    at->after = 0;
    if (++at->shards_done < w->seg->shard_count)
        return 0;
    uint64_t now_ns = wait_now_ns(), looked = at->looked;
    int is_few = at->dropped <= looked / PURGE_FEW;
    if (is_few) {
        at->rest_until_ns = now_ns + (at->spent_ns + now_ns - begin_ns) * PURGE_REST_TIMES;
        at->rest_changes = purge_changes(w) + looked / PURGE_FEW + PURGE_CHANGES_MIN;
    }
    purge_begin_round(at);
    return is_few;
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

/* P3. What the batch lacks stays in the wheel. */
static void purge_leave_out(const struct purge_search *s, struct wheel_batch *batch) {
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
static int purge_chunk(struct purge_search *s, struct wheel_walk *walk, struct wheel_batch *batch) {
    uint64_t kept = 0;
    s->chunks++;
    s->at->looked += batch->count;
    purge_leave_out(s, batch);
    int purged = purge_batch(&s->job, batch, &kept);
    if (s->job.w->is_stuck)
        return LARDER_E_BUSY;
    s->at->dropped += (uint64_t)__builtin_popcountll(batch->done);
    int r = wheel_retire(s->job.w, walk, batch);
    return r || purged ? LARDER_E_BUSY : LARDER_OK;
}

/* Looks on in the cursor's shard, as far as the call may. LARDER_OK: to its end, or it is locked or
 * damaged; LARDER_MORE; LARDER_E_BUSY: going on is useless. */
static int purge_look(struct purge_search *s) {
    struct purge_cursor *at = s->at;
    struct wheel_walk walk = {.shard = at->shard,
                              .now_s = WHEEL_LAST_S,
                              .is_sweep = 1,
                              .slot = at->slot,
                              .after = at->after,
                              .taken = at->taken};
    struct wheel_batch batch;
    int r = LARDER_MORE;
    while (r == LARDER_MORE && walk.freed + s->freed < PURGE_FREED && s->chunks < PURGE_CHUNKS) {
        r = wheel_collect(s->job.w, &walk, &batch) == LARDER_MORE ? LARDER_MORE : LARDER_OK;
        if (r == LARDER_MORE && purge_chunk(s, &walk, &batch))
            r = LARDER_E_BUSY;
    }
    s->freed += walk.freed;
    at->slot = walk.slot;
    at->after = walk.after;
    at->taken = walk.taken;
    return r;
}

static int purge_search(struct purge_search *s) {
    uint64_t begin_ns = wait_now_ns();
    int r = LARDER_MORE;
    while (r == LARDER_MORE && s->freed < PURGE_FREED && s->chunks < PURGE_CHUNKS) {
        r = purge_look(s);
        if (r == LARDER_OK)
            r = purge_end_shard(s, begin_ns) ? LARDER_NOT_FOUND : LARDER_MORE;
    }
    s->at->spent_ns += wait_now_ns() - begin_ns;
    if (s->freed > 0)
        return LARDER_OK;
    return r == LARDER_MORE ? LARDER_MORE : LARDER_NOT_FOUND;
}

int timer_purge(struct writer *w, int64_t now_s) {
    struct purge_search s = {.job = {.w = w, .now_s = now_s}, .at = &w->purge, .only_table = -1};
    if (purge_is_resting(w))
        return LARDER_NOT_FOUND;
    if (SHM_LOAD_RELAXED(&w->slot->op) != OP_NONE)
        s.only_table = (int)SHM_LOAD_RELAXED(&w->slot->op_a);
    if (!w->purge.is_begun) {
        w->purge.shard = w->id * 5 % w->seg->shard_count;
        purge_begin_round(&w->purge);
    }
    int r = purge_search(&s);
    return w->is_stuck ? LARDER_E_BUSY : r;
}
