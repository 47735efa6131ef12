/* core/table/upkeep.c - changes to items that no caller asked for. See upkeep.h.
 *
 * Job      Timers that fire; room in the bucket of a put; images made under an older definition;
 *          items of dropped tables.
 * Tests    tests/api/ttl_move_test.c, tests/api/drop_test.c
 */
#include "core/table/upkeep.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/table/attempt.h"
#include "core/table/db.h"
#include "core/table/read.h"

/* The slot with this word, whose block has `first` as its first word. NULL: a damaged bucket does
 * not lead to it. */
static shm_word *slot_of(const struct table_view *v, struct stripe_shm *stripe, uint64_t word, uint64_t first) {
    struct htab_walk walk;
    uint64_t seen = 0;
    void *block;
    shm_word *slot;
    htab_walk_begin(&walk, &v->items, stripe, htab_hash_in(word, first));
    while ((slot = htab_walk_next(&walk, sizeof(uint64_t), &seen, &block)) && seen != word)
        ;
    return slot;
}

int upkeep_point_at(const struct table_view *v, uint64_t word, const struct item_head *item, struct item_swap *s) {
    struct item_peek peek;
    s->slot = slot_of(v, s->stripe, word, SHM_LOAD((const shm_word *)item));
    s->old_word = word;
    s->old = item;
    s->hash = change_open_old(v, word, item, &peek) == LARDER_OK ? read_hash_of_item(v, &peek) : 0;
    return s->slot != NULL;
}

/* ---- Timers ---------------------------------------------------------------------------------- */

/* The next item of the hash to which this timer belongs. */
static int next_armed(const struct table_view *v, struct htab_walk *walk, uint32_t armed_s, struct item_swap *s) {
    void *block;
    while ((s->slot = htab_walk_next(walk, sizeof(struct item_head), &s->old_word, &block))) {
        s->old = block;
        if (read_armed_s(v, s->old_word, block) == armed_s)
            return 1;
    }
    return 0;
}

/* The item's expiry moved on: adds a timer for the new second, then notes in the item that this
 * timer counts. */
static int rearm_locked(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_peek *peek,
                        int64_t now_s) {
    const struct item_head *item = peek->image;
    struct item_timed *timed = item_timed_at(item, &peek->head);
    if (!timed) /* impossible: it was armed a moment ago */
        return err_set(LARDER_E_CORRUPT, "an item of hash %016llx lost its timer", (unsigned long long)hash);
    uint64_t expiry_s = timed->expiry_s;
    if (item_ttl_generation(&peek->head) != v->ttl_generation)
        expiry_s = v->shape.ttl_name ? item_ttl_of(item, v->shape.ttl_name, v->shape.ttl_name_bytes, now_s) : 0;
    uint32_t at_s = expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)expiry_s;
    if (at_s == UINT32_MAX && SHM_LOAD(&timed->armed_s) == at_s)
        return LARDER_NOT_FOUND; /* later than a timer can say: this one stays */
    SHM_NOT_YET(armed_before_timer, SHM_STORE(&timed->armed_s, at_s));
    int r = at_s != 0 ? core_hooks->timer_add(w, v, hash, at_s) : LARDER_OK;
    if (r == LARDER_OK)
        SHM_STORE(&timed->armed_s, at_s);
    return r;
}

static int decide_expiry(struct writer *w, struct write *c) {
    return c->was_there ? rearm_locked(w, c->view, c->hash, c->old, c->now_s) : WRITE_DELETE;
}

static int expire_locked(struct writer *w, struct write *c, struct stripe_shm *stripe, uint32_t armed_s,
                         uint64_t *removed) {
    struct htab_walk walk;
    struct item_swap s = {.stripe = stripe, .hash = c->hash};
    int result = LARDER_OK;
    if (!view_is_current(c->view))
        return OBSTACLE_VIEW;
    htab_walk_begin(&walk, &c->view->items, stripe, c->hash);
    while (next_armed(c->view, &walk, armed_s, &s)) {
        int r = write_item_locked(w, c, &s);
        if (r == LARDER_NOT_FOUND) {
            result = r;
            continue;
        }
        if (r)
            return r;
        if (c->done) {
            *removed += 1;
            change_count(&w->slot->expired, 1);
        }
        if (w->is_stuck)
            return LARDER_E_BUSY;
    }
    return result;
}

int upkeep_expire(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t armed_s, int64_t now_s,
                  uint64_t *removed) {
    static const struct write_kind kind = {.decide = decide_expiry};
    struct write c = {.kind = &kind, .view = v, .hash = hash, .now_s = now_s};
    struct stripe_shm *stripe = htab_stripe(&v->items, hash);
    int r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    r = expire_locked(w, &c, stripe, armed_s, removed);
    change_leave_stripe(w, stripe);
    return r;
}

/* Finds an item of the bucket that has expired. */
static int find_expired(const struct write *c, struct item_swap *s) {
    const struct table_view *v = c->view;
    uint64_t words[64];
    uint32_t buckets = htab_bucket_count(&v->items, s->stripe);
    int n =
        buckets ? htab_bucket_slots(&v->items, s->stripe, htab_bucket_of(&v->items, buckets, c->hash), words, 64) : 0;
    for (int i = 0; i < n; i++) {
        const struct item_head *h = seg_at(v->items.seg, WORD_OFF(words[i]), sizeof *h);
        struct item_peek peek;
        if (h && change_open_old(v, words[i], h, &peek) == LARDER_OK && read_is_expired(v, h, c->now_s) &&
            upkeep_point_at(v, words[i], h, s))
            return 1;
    }
    return 0;
}

static int decide_removal(struct writer *w, struct write *c) {
    (void)w;
    return c->was_there ? LARDER_NOT_FOUND : WRITE_DELETE;
}

int upkeep_expire_bucket(struct writer *w, const struct table_view *v, uint64_t hash, int64_t now_s) {
    static const struct write_kind kind = {.decide = decide_removal};
    struct write c = {.kind = &kind, .view = v, .hash = hash, .now_s = now_s};
    struct item_swap s = {.stripe = htab_stripe(&v->items, hash)};
    int removed = 0, r = gate_take_stripe(w, s.stripe);
    if (r)
        return 0;
    while (r == LARDER_OK && !w->is_stuck && view_is_current(v) && find_expired(&c, &s)) {
        r = write_item_locked(w, &c, &s);
        if (r == LARDER_OK) {
            removed++;
            change_count(&w->slot->expired, 1);
        }
    }
    change_leave_stripe(w, s.stripe);
    return removed;
}

/* ---- Items under an older definition --------------------------------------------------------- */

struct restamp {
    struct write write;
    uint32_t number;          /* of the stripe */
    uint32_t bucket, buckets; /* those before `bucket` are done, in an array of `buckets` */
    uint64_t left;            /* counts down: an array has no more outdated items than slots */
};

/* The first outdated item of the stripe in bucket order. */
static int find_outdated(struct restamp *restamp, struct item_swap *s) {
    const struct table_view *v = restamp->write.view;
    for (; restamp->bucket < restamp->buckets; restamp->bucket++) {
        uint64_t words[HTAB_CHAIN_MAX];
        int n = htab_bucket_slots(&v->items, s->stripe, restamp->bucket, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < n; i++) {
            const struct item_head *h = seg_at(v->items.seg, WORD_OFF(words[i]), sizeof *h);
            if (h && change_is_outdated(v, h) && upkeep_point_at(v, words[i], h, s))
                return 1;
        }
    }
    return 0;
}

/* The same attributes in an image by the present definition. */
static int decide_restamp(struct writer *w, struct write *c) {
    const struct table_view *v = c->view;
    const struct item_head *old = c->old->image;
    if (heap_block_bytes(w->seg, WORD_OFF(c->old_word)) < old->bytes || !item_is_readable(old, old->bytes))
        return change_damaged(c->old_word);
    size_t most = item_stored_bytes_max(&v->shape, (const struct larder_item *)old);
    if (w->scratch_bytes < most) {
        w->need_bytes = most;
        return OBSTACLE_SCRATCH;
    }
    struct item_shape shape = v->shape;
    shape.is_lenient = 1; /* an index filled later may have left the item out; it stays as it is */
    int r = item_to_stored(&shape, (const struct larder_item *)old, c->now_s, w->scratch, &c->image);
    if (r)
        return r;
    c->image->hash_high = old->hash_high;
    item_set_ttl_generation(c->image, v->ttl_generation);
    return WRITE_STORE;
}

static int restamp_locked(struct writer *w, struct restamp *restamp, struct stripe_shm *stripe) {
    const struct table_view *v = restamp->write.view;
    struct item_swap s = {.stripe = stripe};
    uint32_t buckets = htab_bucket_count(&v->items, stripe);
    if (!view_is_current(v))
        return LARDER_NOT_FOUND;
    if (buckets != restamp->buckets) { /* grown meanwhile: items moved between buckets */
        restamp->buckets = buckets;
        restamp->bucket = 0;
        restamp->left = (uint64_t)(buckets + HTAB_SPARES(buckets)) * BUCKET_SLOTS;
    }
    if (!find_outdated(restamp, &s))
        return LARDER_OK;
    int r = write_item_locked(w, &restamp->write, &s);
    if (r == LARDER_OK && restamp->left-- == 0)
        r = err_set(LARDER_E_CORRUPT, "stripe %u has items that stay outdated", restamp->number);
    return r ? r : LARDER_MORE;
}

/* Rewrites one item. LARDER_MORE; LARDER_OK: none was left; LARDER_NOT_FOUND: the view is no longer
 * current. */
static int try_restamp(struct writer *w, void *arg) {
    struct restamp *restamp = arg;
    const struct table_view *v = restamp->write.view;
    struct stripe_shm *stripe = &v->items.stripes[restamp->number];
    heap_claim_ahead(w, (uint64_t)(v->shape.index_count + 8) * SPAN_BYTES);
    int r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    r = restamp_locked(w, restamp, stripe);
    change_leave_stripe(w, stripe);
    return r >= 0 && w->is_stuck ? LARDER_E_BUSY : r;
}

int upkeep_restamp_stripe(struct writer *w, const struct table_view *v, uint32_t number) {
    static const struct write_kind kind = {.decide = decide_restamp};
    struct restamp restamp = {.write = {.kind = &kind, .view = v, .now_s = db_now(v->db)}, .number = number};
    int r;
    do {
        struct room room = {.now_s = restamp.write.now_s}; /* each item is a write of its own */
        r = attempt(w, &room, try_restamp, &restamp);
    } while (r == LARDER_MORE);
    return r;
}

/* ---- Items of a dropped table ---------------------------------------------------------------- */

/* Removes one item. LARDER_OK, also if a damaged bucket does not lead to it. */
static int empty_slot_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, uint64_t word) {
    const shm_word *block = seg_at(w->seg, WORD_OFF(word), sizeof(uint64_t));
    shm_word *slot = block ? slot_of(v, stripe, word, SHM_LOAD(block)) : NULL;
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

int upkeep_empty_stripe(struct writer *w, const struct table_view *v, uint32_t number, uint32_t *budget) {
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
