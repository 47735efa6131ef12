/* ttl/purge.c - dropping timers that no item needs any more. See purge.h. */
#include "ttl/purge.h"
#include "core/table/read.h"

#define PURGE_SLOT_FIRST WHEEL_SLOTS /* those of level 0 are due soon anyway */
#define PURGE_SLOT_END (WHEEL_LEVELS * WHEEL_SLOTS)
#define PURGE_KEPT_MAX 1000u
#define PURGE_REST_MAX_S 3600u

/* Whether some item is armed for this timer, as far as one can see without a lock. */
static int purge_is_wanted(struct fire_job *job, const struct wheel_entry *e) {
    const struct table_view *v;
    struct htab_walk walk;
    uint64_t word;
    void *block;
    int r = fire_view(job, e->table, &v);
    if (r)
        return r != LARDER_E_NO_TABLE;
    htab_walk_begin(&walk, &v->items, htab_stripe(&v->items, e->hash), e->hash);
    while (htab_walk_next(&walk, sizeof(struct item_head), &word, &block))
        if (read_armed_s(v, word, block) == e->second)
            return 1;
    return 0;
}

int purge_batch(struct fire_job *job, struct wheel_batch *batch, uint64_t *kept) {
    for (uint32_t i = 0; i < batch->count; i++) {
        int r = purge_is_wanted(job, &batch->entry[i]) ? LARDER_NOT_FOUND : fire_one(job, &batch->entry[i]);
        if (r == LARDER_OK)
            batch->done |= UINT64_C(1) << i;
        else if (fire_has_waited(job))
            return LARDER_E_BUSY;
        else
            ++*kept;
    }
    return LARDER_OK;
}

/* Slots of a shard from `slot` on, to before `end`. All entries are "due" for this sweep. */
static struct wheel_walk purge_walk(uint32_t shard, uint32_t slot, uint32_t end) {
    return (struct wheel_walk){.shard = shard, .now_s = WHEEL_LAST_S, .is_sweep = 1, .slot = slot, .slots_end = end};
}

static int purge_slots(struct fire_job *job, struct wheel_walk *walk, uint64_t *kept) {
    struct wheel_batch batch;
    for (;;) {
        int r = wheel_collect(job->w, walk, &batch);
        if (r != LARDER_MORE)
            return r;
        if (batch.count == 0)
            continue;
        if (job->beat)
            job->beat(job->beat_arg);
        int purged = fire_is_stopping(job) ? LARDER_E_BUSY : purge_batch(job, &batch, kept);
        if (job->w->is_stuck)
            return LARDER_E_BUSY;
        r = wheel_retire(job->w, walk, &batch);
        if (r || purged)
            return r ? r : purged;
    }
}

static uint32_t purge_next(uint32_t slot) {
    return slot < PURGE_SLOT_FIRST || slot + 1 >= PURGE_SLOT_END ? PURGE_SLOT_FIRST : slot + 1;
}

/* U1. A longer rest means that the clock was set back. */
static int purge_rests(const struct fire_job *job, uint64_t word) {
    uint32_t not_before_s = (uint32_t)(word >> 32), now_s = fire_wheel_now(job);
    return not_before_s > now_s && not_before_s - now_s <= PURGE_REST_MAX_S;
}

/* U2. */
static void purge_note(const struct fire_job *job, shm_word *word, uint32_t slot, uint64_t kept) {
    uint64_t now_s = fire_wheel_now(job);
    uint64_t rest_s = kept / PURGE_KEPT_MAX < PURGE_REST_MAX_S ? kept / PURGE_KEPT_MAX : PURGE_REST_MAX_S;
    if (!job->w->is_stuck)
        SHM_STORE(word, (now_s + rest_s) << 32 | slot);
}

int purge_shard(struct fire_job *job, uint32_t shard) {
    shm_word *word = &wheel_shard(job->w->seg, shard)->purge;
    uint32_t slot = (uint32_t)SHM_LOAD(word);
    uint64_t kept = 0;
    int r = LARDER_OK;
    if (purge_rests(job, SHM_LOAD(word)))
        return LARDER_OK;
    for (uint32_t i = PURGE_SLOT_FIRST; i < PURGE_SLOT_END && kept < PURGE_KEPT_MAX && r == LARDER_OK; i++) {
        slot = purge_next(slot);
        struct wheel_walk walk = purge_walk(shard, slot, slot + 1);
        r = purge_slots(job, &walk, &kept);
    }
    purge_note(job, word, slot, kept);
    return r;
}

int purge_whole_shard(struct fire_job *job, uint32_t shard, uint64_t *freed) {
    shm_word *word = &wheel_shard(job->w->seg, shard)->purge;
    struct wheel_walk walk = purge_walk(shard, 0, PURGE_SLOT_END);
    uint64_t kept = 0;
    if (job->beat && purge_rests(job, SHM_LOAD(word)))
        return LARDER_OK;
    int r = purge_slots(job, &walk, &kept);
    *freed += walk.freed;
    purge_note(job, word, PURGE_SLOT_FIRST, kept);
    return r;
}
