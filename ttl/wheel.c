/* ttl/wheel.c - hierarchical timer wheel. See wheel.h for the picture and the rules.
 *
 * Crash    add: 1 the entry's two words  2 fill. Dead before 2: its place counts as free.
 *          add, no room: 1 a new chunk with the entry and next = head  2 step 1 on the slot word
 *          (core/memory/journal.h).
 *          take apart: 1 the entry is added on a lower level  2 taken out here. Dead before 2: it
 *          is there twice and fires twice; the second time it finds nothing.
 *          take out: 1 taken counts up  2 the entries that stay move to the front  3 fill; or if
 *          none stays, step 1 on the word that links the chunk. Dead after 1: others look again for
 *          nothing. Dead before 3: all that stay are still there, because an entry moves only to a
 *          place that is done or was moved already. A place half overwritten names the item of one
 *          timer and the second of another, and fires for nothing.
 *          merge (W6): 1 taken counts up  2 the entries that stay are added to the chunk in front,
 *          its fill last  3 the chunk is taken out, step 1. Dead between: they are there twice.
 *          now_s is stored last, when its slot is empty. A death leaves nothing to repair: no count
 *          and no list is kept twice here.
 */
#include "ttl/wheel.h"

#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/memory/gate.h"

#define WHEEL_HOLD_CHUNKS 8 /* at most this many are taken apart under one hold of the lock */
#define WHEEL_CAPACITY_MIN 4u
#define WHEEL_RESTARTS_MAX 4u /* of a slot in a sweep; its rest then waits for the next sweep */

static uint32_t wheel_byte(uint64_t second, uint32_t level) {
    return (uint32_t)(second >> (8 * level)) & (WHEEL_SLOTS - 1);
}

struct wheel_shard_shm *wheel_shard(const struct seg *s, uint32_t i) {
    DEBUG_ASSERT(i < s->shard_count);
    return (struct wheel_shard_shm *)(s->base + s->shards_off) + i;
}

/* By the bits that select the item's stripe, so that writers of different stripes mostly use
 * different shards. */
uint32_t wheel_shard_of(const struct seg *s, uint64_t hash) {
    return (uint32_t)((hash >> 32) * s->shard_count >> 32);
}

static shm_word *wheel_slot(struct wheel_shard_shm *shard, uint32_t place) {
    return &shard->slot[place / WHEEL_SLOTS][place % WHEEL_SLOTS];
}

/* The counter of rule W4 for a slot's level. */
static shm_word *wheel_taken(struct wheel_shard_shm *shard, uint32_t place) {
    return &shard->taken[place / WHEEL_SLOTS];
}

uint32_t wheel_place(uint32_t next, uint32_t second) {
    uint32_t differs = next ^ second;
    uint32_t level = differs ? (31 - (uint32_t)__builtin_clz(differs)) / 8 : 0;
    return level * WHEEL_SLOTS + wheel_byte(second, level);
}

static uint32_t wheel_next_locked(const struct wheel_shard_shm *shard) {
    uint64_t now_s = SHM_LOAD_RELAXED(&shard->now_s);
    return (uint32_t)(now_s < WHEEL_NOW_MAX ? now_s : WHEEL_NOW_MAX) + 1;
}

/* Locks the shard to take entries out. Waits while larder_repair() works: then nothing may move. */
static int wheel_lock_with_gate(struct writer *w, struct wheel_shard_shm *shard) {
    for (;;) {
        int r = lock_take(w, &shard->lock, LOCK_SHARD);
        if (r || !gate_is_closed(w))
            return r;
        lock_drop(w, &shard->lock, LOCK_SHARD);
        r = gate_wait(w);
        if (r)
            return r;
    }
}

/* A step that could not be closed keeps its lock: no other writer changes the word before the step
 * is finished. */
static void wheel_unlock(struct writer *w, struct wheel_shard_shm *shard) {
    if (!w->is_stuck)
        lock_drop(w, &shard->lock, LOCK_SHARD);
}

static int wheel_swap_locked(struct writer *w, shm_word *word, uint64_t old_off, uint64_t new_off, uint64_t retired) {
    int r = step_swap(w, 1, word, old_off, new_off, NULL, &retired, 1);
    if (r && (step_is_open(w, 1) || step_abandon(w, 1)))
        w->is_stuck = 1;
    return r;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

static uint64_t wheel_chunk_bytes(uint32_t capacity) {
    return sizeof(struct wheel_chunk_shm) + capacity * sizeof(struct wheel_entry);
}

/* Sizes that, with the head, are size classes of the heap: 80, 128, 256, 512, 1024 bytes. After a
 * chunk of another size: about twice that size. */
static uint32_t wheel_larger(uint32_t capacity) {
    if (capacity == 0)
        return WHEEL_CAPACITY_MIN;
    return capacity == WHEEL_CAPACITY_MIN           ? 7
           : capacity * 2 + 1 < WHEEL_CHUNK_ENTRIES ? capacity * 2 + 1
                                                    : WHEEL_CHUNK_ENTRIES;
}

static uint64_t wheel_fill(uint32_t count, uint32_t capacity) {
    return (uint64_t)capacity << 32 | count;
}

int wheel_chunk_at(const struct seg *s, uint64_t off, struct wheel_chunk *chunk) {
    struct wheel_chunk_shm *shm = seg_at(s, off, sizeof *shm);
    uint64_t fill = shm ? SHM_LOAD(&shm->fill) : 0;
    *chunk = (struct wheel_chunk){.shm = shm, .off = off, .count = (uint32_t)fill, .capacity = (uint32_t)(fill >> 32)};
    if (chunk->count == 0 || chunk->count > chunk->capacity || chunk->capacity > WHEEL_CHUNK_ENTRIES ||
        !seg_at(s, off, wheel_chunk_bytes(chunk->capacity)))
        return err_set(LARDER_E_CORRUPT, "timers: offset %llu is no chunk of entries", (unsigned long long)off);
    chunk->next = SHM_LOAD(&shm->next);
    return LARDER_OK;
}

struct wheel_entry wheel_chunk_entry(const struct wheel_chunk *chunk, uint32_t i) {
    uint64_t words[2];
    struct wheel_entry e;
    shm_copy_out(words, chunk->shm->entry[i], sizeof words);
    memcpy(&e, words, sizeof e);
    return e;
}

static void wheel_entry_store(struct wheel_chunk_shm *chunk, uint32_t i, const struct wheel_entry *e) {
    uint64_t words[2];
    memcpy(words, e, sizeof words);
    SHM_STORE(&chunk->entry[i][0], words[0]);
    SHM_STORE(&chunk->entry[i][1], words[1]);
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* What a block has room for. */
static uint32_t wheel_capacity_of(const struct seg *s, uint64_t off) {
    uint64_t bytes = heap_block_bytes(s, off);
    if (bytes >= wheel_chunk_bytes(WHEEL_CHUNK_ENTRIES))
        return WHEEL_CHUNK_ENTRIES;
    return (uint32_t)((bytes - sizeof(struct wheel_chunk_shm)) / sizeof(struct wheel_entry));
}

/* Puts a new chunk with one entry in front of the list: of this capacity, or as large as
 * possible (rule W1). */
static int wheel_push_locked(struct writer *w, shm_word *slot, uint64_t head, uint32_t capacity,
                             const struct wheel_entry *e) {
    uint64_t off;
    int r = heap_take_part(w, wheel_chunk_bytes(1), wheel_chunk_bytes(capacity), HAND_STEP1 | HAND_NEW, &off);
    if (r)
        return r;
    struct {
        uint64_t next, fill;
        struct wheel_entry entry;
    } image = {head, wheel_fill(1, wheel_capacity_of(w->seg, off)), *e};
    shm_copy_in(w->seg->base + off, &image, sizeof image);
    return wheel_swap_locked(w, slot, head, off, 0);
}

static int wheel_insert_locked(struct writer *w, struct wheel_shard_shm *shard, const struct wheel_entry *e) {
    DEBUG_ASSERT(lock_is_held(w, LOCK_SHARD));
    uint32_t next = wheel_next_locked(shard), second = e->second < next ? next : e->second;
    shm_word *slot = wheel_slot(shard, wheel_place(next, second));
    uint64_t head = SHM_LOAD_RELAXED(slot);
    struct wheel_chunk chunk = {0};
    if (head != 0) {
        int r = wheel_chunk_at(w->seg, head, &chunk);
        if (r)
            return r;
        if (chunk.count < chunk.capacity) {
            wheel_entry_store(chunk.shm, chunk.count, e);
            SHM_STORE(&chunk.shm->fill, wheel_fill(chunk.count + 1, chunk.capacity));
            return LARDER_OK;
        }
    }
    return wheel_push_locked(w, slot, head, wheel_larger(chunk.capacity), e);
}

int wheel_add(struct writer *w, uint64_t hash, uint32_t second, uint16_t table) {
    struct wheel_entry e = {.hash = hash, .second = second, .table = table};
    struct wheel_shard_shm *shard = wheel_shard(w->seg, wheel_shard_of(w->seg, hash));
    int r = lock_take(w, &shard->lock, LOCK_SHARD);
    if (r)
        return r;
    r = wheel_insert_locked(w, shard, &e);
    wheel_unlock(w, shard);
    return r;
}

/* ---- Taking out ------------------------------------------------------------------------------ */

/* Finds the word that links chunk_off: the slot, or the next of the chunk in front of it. `from`: a
 * chunk known to be in front of it, or 0. Newer chunks may have been pushed meanwhile (rule W4). */
static int wheel_find_link(const struct seg *s, shm_word *slot, uint64_t from, uint64_t chunk_off, shm_word **link) {
    struct wheel_chunk chunk;
    *link = slot;
    if (from != 0) {
        int r = wheel_chunk_at(s, from, &chunk);
        if (r)
            return r;
        *link = &chunk.shm->next;
    }
    for (struct circle way = {0};;) {
        uint64_t off = SHM_LOAD_RELAXED(*link);
        if (off == chunk_off)
            return LARDER_OK;
        if (circle_is_closed(&way, off))
            return err_set(LARDER_E_CORRUPT, "timers: a list of chunks has no end");
        int r = wheel_chunk_at(s, off, &chunk);
        if (r)
            return r;
        *link = &chunk.shm->next;
    }
}

static int wheel_unlink_locked(struct writer *w, struct wheel_shard_shm *shard, uint32_t slot, uint64_t from,
                               const struct wheel_chunk *chunk) {
    shm_word *link;
    int r = wheel_find_link(w->seg, wheel_slot(shard, slot), from, chunk->off, &link);
    return r ? r : wheel_swap_locked(w, link, chunk->off, chunk->next, chunk->off);
}

/* Whether the chunk in front of it has room for that many entries (W6). */
static int wheel_has_room(const struct seg *s, uint64_t front_off, uint32_t kept, struct wheel_chunk *front) {
    return front_off != 0 && wheel_chunk_at(s, front_off, front) == LARDER_OK && front->count + kept <= front->capacity;
}

/* Adds the entries that are not `gone` to another chunk of the same slot. */
static void wheel_merge_locked(const struct wheel_chunk *chunk, uint64_t gone, const struct wheel_chunk *front) {
    uint32_t to = front->count;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (gone >> i & 1)
            continue;
        struct wheel_entry e = wheel_chunk_entry(chunk, i);
        wheel_entry_store(front->shm, to++, &e);
    }
    SHM_STORE(&front->shm->fill, wheel_fill(to, front->capacity));
}

/* Takes the entries at the places of `gone` out of a chunk. *is_left: the chunk stays. */
static int wheel_compact_locked(struct writer *w, struct wheel_shard_shm *shard, uint32_t slot, uint64_t from,
                                uint64_t chunk_off, uint64_t gone, int *is_left) {
    DEBUG_ASSERT(lock_is_held(w, LOCK_SHARD));
    struct wheel_chunk chunk, front;
    int r = wheel_chunk_at(w->seg, chunk_off, &chunk);
    if (r)
        return r;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < chunk.count; i++)
        kept += !(gone >> i & 1);
    int merges = kept != 0 && wheel_has_room(w->seg, from, kept, &front);
    *is_left = kept != 0 && !merges;
    if (kept == chunk.count && !merges)
        return LARDER_OK;
    shm_word *taken = wheel_taken(shard, slot); /* rule W4 */
    SHM_STORE(taken, SHM_LOAD_RELAXED(taken) + 1);
    if (merges)
        wheel_merge_locked(&chunk, gone, &front);
    if (!*is_left)
        return wheel_unlink_locked(w, shard, slot, from, &chunk);
    for (uint32_t i = 0, to = 0; i < chunk.count; i++) {
        if (gone >> i & 1)
            continue;
        struct wheel_entry e = wheel_chunk_entry(&chunk, i);
        if (to != i)
            wheel_entry_store(chunk.shm, to, &e);
        to++;
    }
    SHM_STORE(&chunk.shm->fill, wheel_fill(kept, chunk.capacity));
    return LARDER_OK;
}

/* The sweep is done with a chunk that stays. */
static int wheel_go_past(struct wheel_walk *walk, uint64_t chunk_off) {
    walk->after = chunk_off;
    if (circle_is_closed(&walk->way, chunk_off))
        return err_set(LARDER_E_CORRUPT, "timers: a list of chunks has no end");
    return LARDER_OK;
}

static void wheel_next_slot(struct wheel_walk *walk) {
    walk->slot++;
    walk->after = 0;
    walk->restarts = 0;
    walk->way = (struct circle){0};
}

/* Rule W4: other threads took entries of this level out, so the sweep has lost its place in the
 * slot. */
static void wheel_restart_slot(struct wheel_walk *walk) {
    if (++walk->restarts > WHEEL_RESTARTS_MAX) {
        wheel_next_slot(walk);
        return;
    }
    walk->after = 0;
    walk->way = (struct circle){0};
}

int wheel_retire(struct writer *w, struct wheel_walk *walk, const struct wheel_batch *batch) {
    struct wheel_shard_shm *shard = wheel_shard(w->seg, walk->shard);
    uint64_t gone = 0;
    int is_left = 1;
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->done >> i & 1)
            gone |= UINT64_C(1) << batch->place[i];
    int r = wheel_lock_with_gate(w, shard);
    if (r)
        return r;
    /* Otherwise the block may be another chunk by now, or none. */
    int is_same = SHM_LOAD_RELAXED(wheel_taken(shard, batch->slot)) == batch->taken;
    if (!is_same && walk->is_sweep)
        wheel_restart_slot(walk);
    if (is_same) {
        r = wheel_compact_locked(w, shard, batch->slot, walk->after, batch->chunk_off, gone, &is_left);
        if (r == LARDER_OK && walk->is_sweep && is_left)
            r = wheel_go_past(walk, batch->chunk_off);
        walk->taken = SHM_LOAD_RELAXED(wheel_taken(shard, batch->slot));
        walk->freed += r == LARDER_OK && !is_left;
    }
    wheel_unlock(w, shard);
    return r;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* The place of the next work: a slot, and the first second that it includes, or next. */
struct wheel_work {
    uint32_t second, place;
};

/* Looks on the higher levels at the slots of next itself, if they were not taken apart yet. */
static int wheel_find_above_locked(const struct wheel_shard_shm *shard, uint32_t next, struct wheel_work *work) {
    for (uint32_t level = WHEEL_LEVELS - 1; level > 0; level--)
        if (SHM_LOAD_RELAXED(&shard->slot[level][wheel_byte(next, level)]) != 0) {
            *work = (struct wheel_work){.second = next, .place = level * WHEEL_SLOTS + wheel_byte(next, level)};
            return 1;
        }
    return 0;
}

/* Looks on one level, from the slot of next (on level 0) or the one after it, to the slot of the
 * second `to` or the last slot of this turn. */
static int wheel_find_on_level_locked(const struct wheel_shard_shm *shard, uint32_t level, uint32_t next, uint32_t to,
                                      struct wheel_work *work) {
    uint64_t block = next >> (8 * level), last = block | (WHEEL_SLOTS - 1), end = to >> (8 * level);
    last = last < end ? last : end;
    for (block += level > 0; block <= last; block++) {
        uint32_t place = level * WHEEL_SLOTS + (uint32_t)(block % WHEEL_SLOTS);
        if (SHM_LOAD_RELAXED(&shard->slot[level][block % WHEEL_SLOTS]) != 0) {
            *work = (struct wheel_work){.second = (uint32_t)(block << (8 * level)), .place = place};
            return 1;
        }
    }
    return 0;
}

/* The first slot with work for the seconds next..to. */
static int wheel_find_work_locked(const struct wheel_shard_shm *shard, uint32_t next, uint32_t to,
                                  struct wheel_work *work) {
    int is_found = wheel_find_above_locked(shard, next, work);
    for (uint32_t level = 0; level < WHEEL_LEVELS && !is_found; level++)
        is_found = wheel_find_on_level_locked(shard, level, next, to, work);
    return is_found;
}

/* Fills the batch with the due entries of a chunk. */
static void wheel_batch_due(struct wheel_batch *batch, struct wheel_shard_shm *shard, const struct wheel_chunk *chunk,
                            uint32_t slot, uint32_t now_s) {
    *batch = (struct wheel_batch){.chunk_off = chunk->off, .slot = slot};
    batch->taken = SHM_LOAD_RELAXED(wheel_taken(shard, slot));
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct wheel_entry e = wheel_chunk_entry(chunk, i);
        if (e.second > now_s)
            continue;
        batch->place[batch->count] = (uint8_t)i;
        batch->entry[batch->count++] = e;
    }
}

/* Moves entries that are not due to their slots on lower levels. *gone: bits of their places. */
static int wheel_move_down_locked(struct writer *w, struct wheel_shard_shm *shard, const struct wheel_chunk *chunk,
                                  uint32_t slot, uint32_t now_s, uint64_t *gone) {
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct wheel_entry e = wheel_chunk_entry(chunk, i);
        if (e.second <= now_s)
            continue;
        /* Rule W2: it must go down. Otherwise it would be taken apart again for ever. */
        uint32_t place = wheel_place(wheel_next_locked(shard), e.second);
        if (place / WHEEL_SLOTS >= slot / WHEEL_SLOTS || SHM_LOAD_RELAXED(wheel_slot(shard, place)) == chunk->off)
            return err_set(LARDER_E_CORRUPT, "timers: an entry for second %u is in the wrong slot (W2)", e.second);
        int r = wheel_insert_locked(w, shard, &e);
        if (r)
            return r;
        *gone |= UINT64_C(1) << i;
    }
    return LARDER_OK;
}

/* Opens the newest chunk of a slot that has work. LARDER_OK: none of its entries was due, and it is
 * gone. LARDER_MORE: see the batch. */
static int wheel_open_chunk_locked(struct writer *w, struct wheel_shard_shm *shard, struct wheel_walk *walk,
                                   uint32_t slot, struct wheel_batch *batch) {
    struct wheel_chunk chunk;
    uint64_t gone = 0;
    int is_left, r = wheel_chunk_at(w->seg, SHM_LOAD_RELAXED(wheel_slot(shard, slot)), &chunk);
    if (r)
        return r;
    int moved = wheel_move_down_locked(w, shard, &chunk, slot, walk->now_s, &gone);
    if (w->is_stuck)
        return moved;
    r = wheel_compact_locked(w, shard, slot, 0, chunk.off, gone, &is_left);
    if (r || !is_left)
        return r;
    r = wheel_chunk_at(w->seg, chunk.off, &chunk);
    if (r)
        return r;
    wheel_batch_due(batch, shard, &chunk, slot, walk->now_s);
    /* An entry that could not be moved is tried again after these have fired and perhaps made
     * room. */
    return batch->count > 0 ? LARDER_MORE : moved;
}

/* The shard's time is the present. Entries that were late when they were added wait in the slot of
 * next, beside those that are due then: this sweep finds them. */
static int wheel_turn_to_late(const struct wheel_shard_shm *shard, struct wheel_walk *walk) {
    uint32_t next = wheel_next_locked(shard);
    walk->is_sweep = 1;
    walk->now_s = walk->late_s ? walk->late_s : walk->now_s;
    walk->slot = wheel_place(next, next);
    walk->slots_end = walk->slot + 1;
    return LARDER_MORE;
}

/* Moves the shard's time on to the next work. Returns 0 if there is none up to the walk's end,
 * which the time then is. Rule W3: all slots that it passes are empty. */
static int wheel_reach_work_locked(struct wheel_shard_shm *shard, struct wheel_walk *walk, struct wheel_work *work) {
    uint32_t next = wheel_next_locked(shard);
    if (next > walk->now_s)
        return 0;
    if (!wheel_find_work_locked(shard, next, walk->now_s, work)) {
        SHM_STORE(&shard->now_s, walk->now_s);
        return 0;
    }
    if (work->second > next) {
        SHM_STORE(&shard->now_s, work->second - 1);
        walk->opened = 0;
    }
    return 1;
}

static int wheel_step_locked(struct writer *w, struct wheel_shard_shm *shard, struct wheel_walk *walk,
                             struct wheel_batch *batch) {
    uint64_t chunks_max = w->seg->bytes / wheel_chunk_bytes(1);
    for (int chunks = 0; chunks < WHEEL_HOLD_CHUNKS; chunks++) {
        struct wheel_work work;
        if (!wheel_reach_work_locked(shard, walk, &work))
            return wheel_turn_to_late(shard, walk);
        if (walk->opened++ > chunks_max) /* each chunk goes, and there cannot be more */
            return err_set(LARDER_E_CORRUPT, "timers: a slot does not become empty");
        int r = wheel_open_chunk_locked(w, shard, walk, work.place, batch);
        if (r)
            return r;
    }
    return LARDER_MORE;
}

/* Whether all seconds of a slot are later. An entry that was late when it was added lies in the
 * slot of next. */
static int wheel_is_later(const struct wheel_shard_shm *shard, uint32_t place, uint32_t now_s) {
    uint32_t level = place / WHEEL_SLOTS, next = wheel_next_locked(shard);
    uint64_t block = ((uint64_t)next >> (8 * level) & ~UINT64_C(0xff)) | place % WHEEL_SLOTS;
    uint64_t first_s = block << (8 * level);
    return first_s > now_s && first_s > next;
}

/* Stops at the first chunk with due entries and puts these into the batch. */
static int wheel_sweep_locked(struct writer *w, struct wheel_shard_shm *shard, struct wheel_walk *walk,
                              struct wheel_batch *batch) {
    struct wheel_chunk chunk;
    for (int chunks = 0; walk->slot < walk->slots_end;) {
        if (walk->after == 0 && wheel_is_later(shard, walk->slot, walk->now_s)) {
            wheel_next_slot(walk);
            continue;
        }
        uint64_t taken = SHM_LOAD_RELAXED(wheel_taken(shard, walk->slot)); /* rule W4 */
        if (walk->after != 0 && walk->taken != taken) {
            wheel_restart_slot(walk);
            continue;
        }
        walk->taken = taken;
        uint64_t off = SHM_LOAD_RELAXED(wheel_slot(shard, walk->slot));
        if (walk->after != 0) {
            int r = wheel_chunk_at(w->seg, walk->after, &chunk);
            if (r)
                return r;
            off = chunk.next;
        }
        if (off == 0) {
            wheel_next_slot(walk);
            continue;
        }
        int r = wheel_chunk_at(w->seg, off, &chunk);
        if (r)
            return r;
        walk->looked++;
        wheel_batch_due(batch, shard, &chunk, walk->slot, walk->now_s);
        if (batch->count > 0)
            return LARDER_MORE;
        r = wheel_go_past(walk, off);
        if (r)
            return r;
        if (++chunks == WHEEL_HOLD_CHUNKS)
            return LARDER_MORE;
    }
    return LARDER_OK;
}

int wheel_collect(struct writer *w, struct wheel_walk *walk, struct wheel_batch *batch) {
    struct wheel_shard_shm *shard = wheel_shard(w->seg, walk->shard);
    DEBUG_ASSERT(walk->is_sweep || walk->now_s <= WHEEL_NOW_MAX);
    batch->count = 0;
    if (walk->is_sweep && walk->slots_end == 0)
        walk->slots_end = WHEEL_LEVELS * WHEEL_SLOTS;
    int r = wheel_lock_with_gate(w, shard);
    if (r)
        return r;
    r = walk->is_sweep ? wheel_sweep_locked(w, shard, walk, batch) : wheel_step_locked(w, shard, walk, batch);
    wheel_unlock(w, shard);
    if (r != LARDER_MORE)
        batch->count = 0;
    return r;
}
