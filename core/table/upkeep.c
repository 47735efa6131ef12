/* core/table/upkeep.c - what is done to items without a caller who asks for it: timers that fire, images made under an older definition, tables
 * that are dropped. See write.h.
 */
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/make_room.h"
#include "core/table/read.h"
#include "core/table/write.h"

/* ---- Timers ---------------------------------------------------------------------------------------------------------------------- */

/* The next item of the hash whose timer this is. */
static shm_word *next_armed(const struct table_view *v, struct htab_walk *walk, uint32_t armed_s, uint64_t *word,
                            struct item_head **item) {
    void *block;
    shm_word *slot;
    while ((slot = htab_walk_next(walk, sizeof(struct item_head), word, &block))) {
        *item = block;
        if (read_armed_s(v, *word, block) == armed_s)
            return slot;
    }
    return NULL;
}

/* The item's expiry moved on: a timer for the new second, then the item says that it is the one that counts. */
static int rearm_locked(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_peek *peek,
                        int64_t now_s) {
    const struct item_head *item = peek->image;
    struct item_timed *timed = item_timed_at(item, &peek->head);
    if (!timed) /* it was armed a moment ago */
        return err_set(LARDER_E_CORRUPT, "an item of hash %016llx lost its timer", (unsigned long long)hash);
    uint64_t expiry_s = timed->expiry_s;
    if (item_ttl_generation(&peek->head) != v->ttl_generation)
        expiry_s = v->shape.ttl_name ? item_ttl_of(item, v->shape.ttl_name, v->shape.ttl_name_bytes, now_s) : 0;
    uint32_t at_s = expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)expiry_s;
    SHM_NOT_YET(armed_before_timer, SHM_STORE(&timed->armed_s, at_s));
    int r = at_s != 0 ? core_hooks->timer_add(w, v, hash, at_s) : LARDER_OK;
    if (r == LARDER_OK)
        SHM_STORE(&timed->armed_s, at_s);
    return r;
}

static int expire_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, uint64_t hash,
                         uint32_t armed_s, int64_t now_s, uint64_t *removed) {
    struct htab_walk walk;
    struct item_head *item;
    uint64_t word;
    shm_word *slot;
    if (!view_is_current(v))
        return LARDER_E_RETRY;
    htab_walk_begin(&walk, &v->items, stripe, hash);
    while ((slot = next_armed(v, &walk, armed_s, &word, &item))) {
        struct item_peek peek;
        int r = change_open_old(v, word, item, &peek);
        if (r)
            return r;
        int is_expired = read_is_expired(v, item, now_s);
        struct item_swap s = {.stripe = stripe, .hash = hash, .slot = slot, .old_word = word, .before = &peek};
        r = is_expired ? change_locked(w, v, &s) : rearm_locked(w, v, hash, &peek, now_s);
        if (r)
            return r;
        if (is_expired) {
            *removed += 1;
            change_count(&w->slot->expired, 1);
        }
        if (w->is_stuck)
            return LARDER_E_BUSY;
    }
    return LARDER_OK;
}

int write_expire(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t armed_s, int64_t now_s,
                 uint64_t *removed) {
    struct stripe_shm *stripe = htab_stripe(&v->items, hash);
    w->need_bytes = 0; /* of LARDER_E_RETRY: nothing to claim if the definition moved */
    int r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    r = expire_locked(w, v, stripe, hash, armed_s, now_s, removed);
    change_leave_stripe(w, stripe);
    return r;
}

/* An item of the bucket that has expired. */
static shm_word *find_expired(const struct table_view *v, struct stripe_shm *stripe, uint64_t hash, int64_t now_s,
                              uint64_t *word, struct item_head **item) {
    uint64_t words[64];
    uint32_t buckets = htab_bucket_count(&v->items, stripe);
    int n = buckets ? htab_bucket_slots(&v->items, stripe, htab_bucket_of(&v->items, buckets, hash), words, 64) : 0;
    for (int i = 0; i < n; i++) {
        struct htab_walk walk;
        struct item_peek peek;
        void *block;
        shm_word *slot;
        struct item_head *h = seg_at(v->items.seg, WORD_OFF(words[i]), sizeof *h);
        if (!h || change_open_old(v, words[i], h, &peek) != LARDER_OK || !read_is_expired(v, h, now_s))
            continue;
        htab_walk_begin(&walk, &v->items, stripe, htab_hash_in(words[i], SHM_LOAD((const shm_word *)h)));
        while ((slot = htab_walk_next(&walk, sizeof *h, word, &block)))
            if (*word == words[i]) {
                *item = h;
                return slot;
            }
    }
    return NULL;
}

int write_expire_bucket(struct writer *w, const struct table_view *v, uint64_t hash, int64_t now_s) {
    struct stripe_shm *stripe = htab_stripe(&v->items, hash);
    struct item_head *item;
    uint64_t word;
    shm_word *slot;
    int removed = 0, r = gate_take_stripe(w, stripe);
    if (r)
        return 0;
    while (r == LARDER_OK && !w->is_stuck && view_is_current(v) &&
           (slot = find_expired(v, stripe, hash, now_s, &word, &item))) {
        struct item_peek peek;
        r = change_open_old(v, word, item, &peek);
        struct item_swap s = {.stripe = stripe, .slot = slot, .old_word = word, .before = &peek};
        if (r == LARDER_OK) {
            s.hash = read_hash_of_item(v, &peek);
            r = change_locked(w, v, &s);
        }
        if (r == LARDER_OK) {
            removed++;
            change_count(&w->slot->expired, 1);
        }
    }
    change_leave_stripe(w, stripe);
    return removed;
}

/* ---- Items under an older definition ------------------------------------------------------------------------------------------------ */

/* The first outdated item of the stripe in bucket order from *bucket on. */
static shm_word *find_outdated(const struct table_view *v, struct stripe_shm *stripe, uint32_t *bucket, uint64_t *word,
                               struct item_head **item) {
    for (uint32_t total = htab_bucket_count(&v->items, stripe); *bucket < total; ++*bucket) {
        uint64_t words[HTAB_CHAIN_MAX];
        int n = htab_bucket_slots(&v->items, stripe, *bucket, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < n; i++) {
            struct item_head *h = seg_at(v->items.seg, WORD_OFF(words[i]), sizeof *h);
            if (!h || !change_is_outdated(v, h))
                continue;
            struct htab_walk walk;
            void *block;
            shm_word *slot;
            htab_walk_begin(&walk, &v->items, stripe, htab_hash_in(words[i], SHM_LOAD((const shm_word *)h)));
            while ((slot = htab_walk_next(&walk, sizeof *h, word, &block)))
                if (*word == words[i]) {
                    *item = h;
                    return slot;
                }
        }
    }
    return NULL;
}

/* Rewrites one item. LARDER_NOT_FOUND: none is left. TRY_SCRATCH_SMALL: w->scratch needs need_bytes. */
static int restamp_one_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, uint32_t *bucket,
                              int64_t now_s) {
    struct item_head *old, *image;
    struct item_peek before;
    uint64_t word;
    if (!view_is_current(v))
        return TRY_VIEW_MOVED;
    shm_word *slot = find_outdated(v, stripe, bucket, &word, &old);
    if (!slot)
        return LARDER_NOT_FOUND;
    if (heap_block_bytes(w->seg, WORD_OFF(word)) < old->bytes || !item_is_readable(old, old->bytes))
        return change_damaged(word);
    size_t most = item_stored_bytes_max(&v->shape, (const struct larder_item *)old);
    if (w->scratch_bytes < most) {
        w->need_bytes = most;
        return TRY_SCRATCH_SMALL;
    }
    struct item_shape shape = v->shape;
    shape.is_lenient = 1; /* an item that an index filled later left out stays as it is */
    int r = item_to_stored(&shape, (const struct larder_item *)old, now_s, w->scratch, &image);
    if (r)
        return r;
    image->hash_high = old->hash_high;
    item_set_ttl_generation(image, v->ttl_generation);
    r = change_open_old(v, word, old, &before);
    if (r)
        return r;
    struct item_swap s = {.stripe = stripe, .hash = read_hash_of_item(v, &before), .slot = slot, .old_word = word};
    s.before = &before;
    s.image = image;
    return change_locked(w, v, &s);
}

int write_restamp_stripe(struct writer *w, const struct table_view *v, uint32_t number) {
    struct stripe_shm *stripe = &v->items.stripes[number];
    int64_t now_s = db_now(v->db);
    struct room room = {.now_s = now_s};
    uint32_t bucket = 0, buckets = 0;
    uint64_t left = 0; /* more items than the array has slots cannot be outdated */
    for (;;) {
        heap_claim_ahead(w, (uint64_t)(v->shape.index_count + 8) * SPAN_BYTES);
        int r = gate_take_stripe(w, stripe);
        if (r)
            return r;
        if (htab_bucket_count(&v->items, stripe) != buckets) { /* grown meanwhile: items moved between buckets */
            buckets = htab_bucket_count(&v->items, stripe);
            bucket = 0;
            left = (uint64_t)(buckets + HTAB_SPARES(buckets)) * BUCKET_SLOTS;
        }
        r = restamp_one_locked(w, v, stripe, &bucket, now_s);
        if (r == LARDER_OK && left-- == 0)
            r = err_set(LARDER_E_CORRUPT, "stripe %u has items that stay outdated", number);
        change_leave_stripe(w, stripe);
        if (w->is_stuck)
            return r ? r : LARDER_E_BUSY;
        if (r == TRY_VIEW_MOVED)
            return LARDER_NOT_FOUND;
        if (r == LARDER_NOT_FOUND)
            return LARDER_OK;
        if (r == LARDER_OK)
            room.rounds = 0; /* each item is a write of its own */
        else if (r == TRY_SCRATCH_SMALL)
            r = writer_scratch(w, w->need_bytes);
        else
            r = room_after(w, &room, r);
        if (r && r != LARDER_E_RETRY)
            return r;
    }
}

/* Removes one item. LARDER_OK, also if a damaged bucket does not lead to it. */
static int empty_slot_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, uint64_t word) {
    shm_word *block = seg_at(w->seg, WORD_OFF(word), sizeof(uint64_t)), *slot;
    struct htab_walk walk;
    uint64_t seen = 0;
    void *found;
    if (!block)
        return LARDER_OK;
    htab_walk_begin(&walk, &v->items, stripe, htab_hash_in(word, SHM_LOAD(block)));
    while ((slot = htab_walk_next(&walk, sizeof(uint64_t), &seen, &found)) && seen != word)
        ;
    if (!slot)
        return LARDER_OK;
    int r = step_swap(w, 0, slot, word, 0, &stripe->seq, (uint64_t[]){WORD_OFF(word)}, 1);
    if (r == LARDER_OK)
        htab_count_locked(stripe, -1);
    return r;
}

static int empty_buckets_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe,
                                uint32_t *budget) {
    uint64_t words[HTAB_CHAIN_MAX];
    for (uint32_t b = 0, total = htab_bucket_count(&v->items, stripe); b < total; b++) {
        int n = htab_bucket_slots(&v->items, stripe, b, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < n; i++) {
            if (*budget == 0)
                return LARDER_MORE;
            --*budget;
            int r = empty_slot_locked(w, v, stripe, words[i]);
            if (r)
                return r;
        }
    }
    return LARDER_OK;
}

int write_empty_stripe(struct writer *w, const struct table_view *v, uint32_t number, uint32_t *budget) {
    struct stripe_shm *stripe = &v->items.stripes[number];
    int r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    change_note(w, v, stripe);
    r = empty_buckets_locked(w, v, stripe, budget);
    if (r == LARDER_OK)
        r = htab_clear_locked(w, stripe);
    if (r == LARDER_OK || r == LARDER_MORE)
        change_forget(w);
    else
        w->is_stuck = 1;
    change_leave_stripe(w, stripe);
    return r;
}
