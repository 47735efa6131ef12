/* core/write.c - the write protocol. See write.h for the crash list. */
#include "core/write.h"
#include "core/db.h"
#include "core/debug.h"
#include "core/err.h"
#include "core/gate.h"
#include "core/hooks.h"
#include "core/read.h"
#include "core/swap.h"
#include <string.h>

/* ---- Finding, under the stripe's lock ------------------------------------------------------------------------------------ */

/* The slot of the item with this key, or NULL. *is_damaged: it may be there all the same. */
static shm_word *find_locked(const struct table_view *v, struct stripe_shm *stripe, const struct item_key *key,
                             uint64_t hash, uint64_t *word, struct item_head **old, int *is_damaged) {
    struct htab_walk walk;
    void *block;
    shm_word *slot;
    htab_walk_begin(&walk, &v->items, stripe, hash);
    while ((slot = htab_walk_next(&walk, sizeof(struct item_head), word, &block))) {
        struct item_head *h = block;
        if (h->partition_bytes == key->partition_bytes && h->sort_bytes == key->sort_bytes &&
            seg_at(v->items.seg, WORD_OFF(*word), sizeof *h + key->area_bytes) &&
            shm_is_equal(item_key_area(h), key->area, key->area_bytes)) {
            *old = h;
            return slot;
        }
    }
    *word = 0;
    *old = NULL;
    *is_damaged = walk.is_damaged;
    return NULL;
}

static int damaged_item(uint64_t word) {
    return err_set(LARDER_E_CORRUPT, "the item in block %llu is damaged", (unsigned long long)WORD_OFF(word));
}

/* The item in a slot, which is about to be replaced: its head, and what its expiry is decided by, stay inside its block. */
static int open_old(const struct table_view *v, uint64_t word, const struct item_head *old, struct item_peek *p) {
    uint64_t room = heap_block_bytes(v->items.seg, WORD_OFF(word));
    if (!item_peek_open(p, old, room))
        return damaged_item(word);
    /* By the attribute, which has to be looked for. */
    if (item_ttl_generation(&p->head) != v->ttl_generation && !item_is_readable(old, p->head.bytes))
        return damaged_item(word);
    return LARDER_OK;
}

/* Whether an entry of this item may have that key sequence: the low half of a write number comes round again after 2^32 writes. */
static int has_kseq(const struct item_peek *item, uint32_t kseq) {
    for (uint32_t i = 0; i < item->head.index_count; i++)
        if (item_peek_kseq(item, i) == kseq)
            return 1;
    return item->head.kseq == kseq;
}

/* A number for this write. Its low half, a key sequence, is not 0 ("not in the index") and not one that `old` has. Its high bits
 * name the catalog entry: a stripe stays with its entry and is never counted anew, so no item of another table, nor of one that
 * was dropped, has the number of one that larder_put_if() compares with. */
#define WRITE_TABLE_SHIFT 54
_Static_assert((LARDER_TABLES_MAX - UINT64_C(1)) << WRITE_TABLE_SHIFT < ITEM_VERSION_MAX,
               "a damaged one is told from it");

static uint64_t next_write_number(const struct table_view *v, struct stripe_shm *stripe, const struct item_peek *old) {
    uint64_t number = (SHM_LOAD_RELAXED(&stripe->writes) | (uint64_t)v->ordinal << WRITE_TABLE_SHIFT) + 1;
    while ((uint32_t)number == 0 || (old && has_kseq(old, (uint32_t)number)))
        number++;
    SHM_STORE(&stripe->writes, number);
    return number;
}

/* ---- The image that goes in -------------------------------------------------------------------------------------------------- */

/* The second of the timer that stands for an item of the segment; 0 none. */
static uint32_t armed_s_of(const struct item_peek *item) {
    const struct item_timed *timed = item ? item_timed_at(item->image, &item->head) : NULL;
    return timed ? SHM_LOAD_RELAXED(&timed->armed_s) : 0;
}

/* Key sequences: an index key that did not change keeps its sequence and so its entry. Nonzero: some entry is the new image's or the
 * old one's alone. And a place for what arm() stores: an earlier try may have met another item there. */
static int stamp(struct item_head *image, const struct item_peek *old, uint64_t number) {
    struct item_index_slot *mine = item_index_slots(image);
    item_make_timed(image, item_expiry_s(image) != 0 || armed_s_of(old) != 0);
    image->version = number;
    image->kseq = old ? old->head.kseq : (uint32_t)number;
    if (old)
        return item_peek_take_kseqs(old, image, (uint32_t)number);
    for (uint32_t i = 0; i < image->index_count; i++)
        if (mine[i].kseq != 0)
            mine[i].kseq = (uint32_t)number;
    return 1;
}

/* What a change works on, under the lock of `stripe`. */
struct item_swap {
    struct stripe_shm *stripe;
    uint64_t hash; /* of the key */
    shm_word *slot;
    uint64_t old_word;
    const struct item_peek *before;  /* NULL: there was nothing */
    const struct item_head *old;     /* before->image */
    struct item_head *image, *block; /* what goes in, in private memory and in the segment; NULL: nothing */
    int differs;                     /* some index entry has to come or go */
};

/* Makes sure that a timer stands for the expiry of the new block: the one the old item had if that is early enough, else a new
 * one. The last thing that may fail before the publish: a put that is tried again and again leaves no timer each time. */
static int arm(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    struct item_timed *timed = item_timed_at(s->block, s->image);
    if (!timed)
        return LARDER_OK;
    uint64_t expiry_s = item_expiry_s(s->image);
    uint32_t armed_s = armed_s_of(s->before);
    uint32_t wanted_s = expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)expiry_s;
    if (expiry_s != 0 && (armed_s == 0 || armed_s > wanted_s)) {
        int r = core_hooks->timer_add(w, v, s->hash, wanted_s);
        if (r)
            return r;
        armed_s = wanted_s;
    }
    if (armed_s != 0)
        SHM_STORE(&timed->armed_s, armed_s);
    return LARDER_OK;
}

/* ---- The protocol -------------------------------------------------------------------------------------------------------------- */

static void note_operation(struct writer *w, const struct table_view *v, const struct stripe_shm *stripe) {
    struct slot_shm *slot = w->slot;
    if (SHM_LOAD_RELAXED(&slot->op) == OP_NONE) {
        SHM_STORE(&slot->op_a, v->ordinal);
        SHM_STORE(&slot->op, OP_ITEM);
    }
    SHM_STORE(&slot->op_stripe_off, seg_off(w->seg, stripe));
}

static void forget_operation(struct writer *w) {
    SHM_STORE(&w->slot->op_stripe_off, 0);
    if (SHM_LOAD_RELAXED(&w->slot->op) == OP_ITEM)
        SHM_STORE(&w->slot->op, OP_NONE);
}

/* Nothing may be half done when a call returns a failure. If what it takes cannot be had, the slot is given up as it is. */
static int fail(struct writer *w, int r, int undone) {
    if (undone != LARDER_OK)
        w->is_stuck = 1;
    else
        forget_operation(w);
    return r;
}

/* Takes the new block, fills it, and opens step 0. On failure nothing is left. */
static int prepare_locked(struct writer *w, const struct table_view *v, struct item_swap *s) {
    uint64_t off = 0;
    struct item_head *image = s->image;
    if (image) {
        s->differs = stamp(image, s->before, next_write_number(v, s->stripe, s->before));
        int r = heap_take(w, image->bytes, HAND_STEP0 | HAND_NEW, 0, &off);
        s->block = r ? NULL : seg_at(w->seg, off, image->bytes);
        if (!s->block) {
            if (r == LARDER_OK)
                r = err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
            return fail(w, r, step_abandon(w, 0));
        }
        shm_copy_in(s->block, image, image->bytes);
    }
    uint64_t new_word = image ? WORD_MAKE(s->hash, off) : 0, retired = WORD_OFF(s->old_word);
    int sane = step_check(w, s->slot, s->old_word, new_word, &retired, 1);
    if (sane)
        return fail(w, sane, step_abandon(w, 0));
    step_open(w, 0, s->slot, s->old_word, new_word, &s->stripe->seq);
    if (s->old)
        step_retire(w, 0, retired);
    return LARDER_OK;
}

/* A process that stands still with a lock that this write needs is better met now, while everything can be taken back. Later the
 * writer would be stuck, and its stripe with it: then one stopped process keeps others from stripes that it never took. */
static int pass_locked(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    int r = s->block && s->differs ? core_hooks->index_pass(w, v, s->hash, s->block, s->old) : LARDER_OK;
    if (r == LARDER_OK && s->old && s->differs)
        r = core_hooks->index_pass(w, v, s->hash, s->old, s->block);
    if (r == LARDER_OK && s->old)
        r = heap_pass(w, WORD_OFF(s->old_word));
    return r;
}

/* From here the change is acknowledged whatever happens: a failure to tidy up only makes the writer stuck. */
static void finish_locked(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    SHM_NOT_YET(remove_before_publish, if (s->old) core_hooks->index_remove(w, v, s->hash, s->old, s->block));
    step_publish(w, 0);
    if (!s->old)
        htab_count_locked(s->stripe, 1);
    if (!s->block)
        htab_count_locked(s->stripe, -1);
    int r = s->old && s->differs ? core_hooks->index_remove(w, v, s->hash, s->old, s->block) : LARDER_OK;
    if (r == LARDER_OK)
        r = step_close(w, 0);
    if (r == LARDER_OK)
        forget_operation(w);
    else
        w->is_stuck = 1;
}

/* Adds the entries that only the new image has, and its timer. On failure they are gone again, and step 0 is closed. */
static int add_locked(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    SHM_NOT_YET(publish_before_entries, step_publish(w, 0));
    int r = s->differs ? core_hooks->index_add(w, v, s->hash, s->block, s->old) : LARDER_OK;
    SHM_NOT_YET(publish_before_timer, step_publish(w, 0));
    if (r == LARDER_OK)
        r = arm(w, v, s);
    if (r == LARDER_OK)
        return r;
    int undone = core_hooks->index_remove(w, v, s->hash, s->block, s->old);
    return fail(w, r, undone ? undone : step_settle(w, 0));
}

/* Puts `image` (or with NULL, nothing) where `before` (or NULL) is: steps 1 to 9 of write.h. The stripe is locked, and was when
 * `before` was opened. old, block and differs of *s are set here. An image that changes no index key leaves out what is done for the
 * indexes: there would be nothing to do.
 * LARDER_OK, or a failure that changed nothing. Either may leave the writer stuck. */
static int change_locked(struct writer *w, const struct table_view *v, struct item_swap *s) {
    s->old = s->before ? s->before->image : NULL;
    s->block = NULL;
    s->differs = 1;
    DEBUG_ASSERT(lock_is_held(w, LOCK_STRIPE));
    note_operation(w, v, s->stripe);
    int r = prepare_locked(w, v, s);
    if (r)
        return r;
    r = pass_locked(w, v, s);
    if (r)
        return fail(w, r, step_settle(w, 0));
    r = s->block ? add_locked(w, v, s) : LARDER_OK;
    if (r == LARDER_OK)
        finish_locked(w, v, s);
    return r;
}

/* Drops the stripe's lock, unless the writer is stuck: then it stays with the slot, for recovery. */
static void leave_stripe(struct writer *w, struct stripe_shm *stripe) {
    if (!w->is_stuck)
        lock_drop(w, &stripe->lock, LOCK_STRIPE);
}

/* ---- Put and delete ------------------------------------------------------------------------------------------------------------ */

#define PUT_AHEAD_BYTES 512u /* of an item are fetched before it is looked at */

/* Internal results of one try. */
#define TRY_VIEW_MOVED (-101)
#define TRY_BEFORE_SMALL (-102)
#define TRY_SCRATCH_SMALL (-103)

struct change {
    const struct larder_item *item;  /* put: what the caller gave; else NULL */
    const struct larder_key *wanted; /* delete, increment: what the caller gave; else NULL */
    struct write_increment *increment;
    const struct table_view *view;
    struct item_key key;
    uint64_t hash;
    int64_t now_s;
    struct item_head *image; /* what goes in, in w->scratch; NULL: delete. Of an increment it is made under the lock */
    struct larder_page *before; /* NULL, or gets the item that was there */
    int was_there;
    int is_conditional;               /* put_if: only if `expected` is what is there; NULL: only if nothing is */
    const struct item_head *expected; /* in a page of the caller's, with a version */
};

/* Copies the old item for the caller: to the writer, for the page may hold the item that is being put. Memory must be there
 * already, nothing is allocated under a lock. */
static int keep_before(struct writer *w, uint64_t old_word, const struct item_peek *old) {
    uint32_t bytes = old->head.bytes;
    if (w->before_bytes < bytes) {
        w->need_bytes = bytes;
        return TRY_BEFORE_SMALL;
    }
    shm_copy_out(w->before, old->image, bytes);
    const struct item_head *copy = w->before;
    int is_same = copy->bytes == bytes && copy->version != 0;
    return is_same && item_head_is_sane(copy, bytes) ? LARDER_OK : damaged_item(old_word);
}

static int grow_before(struct writer *w) {
    void *grown = priv_realloc(w->db->priv, w->before, w->need_bytes);
    if (!grown)
        return LARDER_E_NO_MEMORY;
    w->before = grown;
    w->before_bytes = w->need_bytes;
    return LARDER_OK;
}

/* After the change: what was kept becomes the page's, memory and all. Cannot fail. */
static void hand_over_before(struct writer *w, struct change *c) {
    struct larder_page *page = c->before;
    if (!page)
        return;
    page_reset(page);
    if (c->was_there)
        page_take_over(page, &w->before, &w->before_bytes);
}

/* put_if: whether what is there is what the caller expects. Both have the key (check_expected); the hash tells items of other
 * segments, whose write numbers may be the same. `old` counts only if c->was_there: expired is gone. */
static int is_as_expected(const struct change *c, const struct item_peek *old) {
    if (!c->was_there || !c->expected)
        return !c->was_there && !c->expected;
    return old->head.version == c->expected->version && old->head.hash_high == c->expected->hash_high;
}

static int is_outdated(const struct table_view *v, const struct item_head *item) {
    return item->index_count != v->shape.index_count || item_ttl_generation(item) != v->ttl_generation;
}

/* The item that goes in is the one that is there with a number changed. Made of a private copy, in memory that is there already. */
static int make_sum(struct writer *w, struct change *c, uint64_t old_word, const struct item_peek *old) {
    size_t room = item_round8(old->head.bytes + ITEM_ADDED_BYTES_MAX);
    if (!c->was_there)
        return LARDER_NOT_FOUND;
    if (w->scratch_bytes < 2 * room) {
        w->need_bytes = 2 * room;
        return TRY_SCRATCH_SMALL;
    }
    struct item_head *copy = (struct item_head *)((uint8_t *)w->scratch + room);
    shm_copy_out(copy, old->image, old->head.bytes);
    if (copy->bytes != old->head.bytes || !item_is_readable(copy, copy->bytes))
        return damaged_item(old_word);
    if (is_outdated(c->view, copy))
        return LARDER_NOT_FOUND;
    c->image = w->scratch;
    int r = item_add_int(copy, c->increment->name, c->increment->by, c->image, &c->increment->sum);
    struct item_timed *timed = r ? NULL : item_timed_at(c->image, c->image);
    if (timed)
        atomic_init(&timed->armed_s, 0); /* until arm() */
    return r == LARDER_E_CORRUPT ? damaged_item(old_word) : r;
}

static int try_change_locked(struct writer *w, struct change *c, struct stripe_shm *stripe) {
    struct item_head *old;
    struct item_peek peek;
    uint64_t old_word;
    int r = LARDER_OK, is_damaged = 0;
    if (!view_is_current(c->view))
        return TRY_VIEW_MOVED;
    shm_word *slot = find_locked(c->view, stripe, &c->key, c->hash, &old_word, &old, &is_damaged);
    if (is_damaged)
        return err_set(LARDER_E_CORRUPT, "a bucket of the table is damaged");
    if (old && (r = open_old(c->view, old_word, old, &peek)))
        return r;
    c->was_there = old && !read_is_expired(c->view, old, c->now_s);
    if (!old && !c->item)
        return LARDER_NOT_FOUND;
    if (c->increment)
        r = make_sum(w, c, old_word, &peek);
    if (c->before && c->was_there)
        r = keep_before(w, old_word, &peek);
    if (r == LARDER_OK && c->is_conditional && !is_as_expected(c, &peek))
        return LARDER_CHANGED; /* nothing is stored yet */
    if (r == LARDER_OK && !slot) {
        note_operation(w, c->view, stripe);
        r = htab_free_slot_locked(w, &c->view->items, stripe, c->hash, &slot);
        if (r)
            r = fail(w, r, step_is_open(w, 1) ? LARDER_BUSY : step_abandon(w, 1));
    }
    if (r)
        return r;
    struct item_swap s = {.stripe = stripe, .hash = c->hash, .slot = slot, .old_word = old_word, .image = c->image};
    s.before = old ? &peek : NULL;
    return change_locked(w, c->view, &s);
}

static int try_change(struct writer *w, struct change *c) {
    struct stripe_shm *stripe = htab_stripe(&c->view->items, c->hash);
    int r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    r = try_change_locked(w, c, stripe);
    leave_stripe(w, stripe);
    return r;
}

/* Room for what the write needs besides its block: leaves and nodes of every index, a bucket array. */
static uint64_t bytes_ahead(const struct change *c) {
    uint64_t image = c->image ? c->image->bytes : 0;
    return image + (uint64_t)(c->view->shape.index_count + 4) * SPAN_BYTES;
}

/* Tries until it is done, removing one obstacle after the other outside the lock. TRY_VIEW_MOVED goes to the caller. */
static int change_item(struct writer *w, struct change *c) {
    if (c->item || c->increment)
        heap_claim_ahead(w, bytes_ahead(c));
    for (;;) {
        int r = try_change(w, c);
        if (r == LARDER_E_RETRY && w->is_stuck) /* what was done is taken back by whoever recovers the slot */
            return err_set(LARDER_BUSY, "a stopped process holds a lock that this write needs");
        if (r == LARDER_E_RETRY)
            r = writer_claim(w);
        else if (r == TRY_BEFORE_SMALL)
            r = grow_before(w);
        else if (r == TRY_SCRATCH_SMALL)
            r = writer_scratch(w, w->need_bytes);
        else
            return r;
        if (r)
            return r;
    }
}

static void count(shm_word *counter, uint64_t by) {
    SHM_STORE(counter, SHM_LOAD_RELAXED(counter) + by);
}

/* Where attributes stood in items of the same kind: as far as can be told at once, the same table and as many attributes. */
static uint16_t *near_of(struct writer *w, const struct table_view *v, const struct larder_item *item) {
    return w->near[(v->ordinal * 5 + item_head(item)->attr_count) % WRITER_NEAR];
}

/* The image to put, and its key, as the view's definition has them. Two misses, or three, are on the way to the item that is there:
 * bucket, and block with its span. Each is fetched while a part of the image is made. */
static int take_item(struct writer *w, struct change *c) {
    struct item_store store;
    const struct table_view *v = c->view;
    int r = writer_scratch(w, item_stored_bytes_max(&v->shape, c->item));
    if (r == LARDER_OK)
        r = item_store_key(&store, &v->shape, c->item, near_of(w, v, c->item), w->scratch);
    if (r)
        return r;
    struct item_head *image = store.to;
    c->hash = read_hash_of(v, item_key_area(image), image->partition_bytes, image->sort_bytes);
    struct read_hint hint = read_hint_stripe(v, c->hash);
    c->key.partition_bytes = image->partition_bytes;
    c->key.sort_bytes = image->sort_bytes;
    c->key.area_bytes = (uint32_t)item_key_area_bytes(image);
    memcpy(c->key.area, item_key_area(image), c->key.area_bytes);
    read_hint_bucket(v, &hint);
    r = item_store_slots(&store);
    if (r)
        return r;
    read_hint_item(v, &hint, item_head(c->item)->bytes);
    if (hint.slot)
        heap_prefetch(w->seg, WORD_OFF(hint.word));
    item_store_records(&store, c->now_s);
    image->hash_high = (uint32_t)(c->hash >> 32);
    item_set_ttl_generation(image, v->ttl_generation);
    c->image = image;
    return LARDER_OK;
}

/* The item that larder_put_if() is to replace is one with the key of the item that goes in. */
static int check_expected(const struct change *c) {
    const struct item_head *e = c->expected;
    if (!e || (e->partition_bytes == c->key.partition_bytes && e->sort_bytes == c->key.sort_bytes &&
               memcmp(item_key_area(e), c->key.area, c->key.area_bytes) == 0))
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "larder_put_if: the expected item has another key than the item; read it from this "
                                   "table by the item's key");
}

static int take_key(struct change *c) {
    int r = item_key_from_values(&c->view->shape, c->wanted, &c->key);
    if (r == LARDER_OK)
        c->hash = read_hash(c->view, &c->key);
    return r;
}

static int has_name(const char *name, size_t name_bytes, struct bytes wanted) {
    return name && name_bytes == wanted.len && memcmp(name, wanted.at, wanted.len) == 0;
}

static int take_increment(struct change *c) {
    const struct item_shape *shape = &c->view->shape;
    struct bytes name = c->increment->name;
    if (has_name(shape->partition.name, shape->partition.name_bytes, name) ||
        has_name(shape->sort.name, shape->sort.name_bytes, name))
        return err_set(LARDER_E_INVAL, "larder_increment: attribute \"%.*s\" is part of the key of table \"%s\"",
                       (int)name.len, (const char *)name.at, c->view->def.name);
    int r = take_key(c);
    if (r)
        return r;
    if (has_name(shape->ttl_name, shape->ttl_name_bytes, name)) /* another expiry, which a put works out */
        return LARDER_NOT_FOUND;
    struct read_hint hint = read_hint_stripe(c->view, c->hash);
    read_hint_bucket(c->view, &hint);
    read_hint_item(c->view, &hint, PUT_AHEAD_BYTES);
    return LARDER_OK;
}

static int change_under_view(struct writer *w, struct larder_table *t, struct change *c) {
    int r = table_view(t, &c->view);
    if (r == LARDER_OK)
        r = c->item ? take_item(w, c) : c->increment ? take_increment(c) : take_key(c);
    if (r == LARDER_OK && c->is_conditional)
        r = check_expected(c);
    return r ? r : change_item(w, c);
}

/* The whole call. */
static int run_change(struct larder_table *t, struct change *c) {
    struct writer *w;
    int r = c->before ? page_make_places(c->before) : LARDER_OK;
    if (r == LARDER_OK)
        r = writer_borrow(t->db, &w);
    if (r)
        return r;
    c->now_s = db_now(t->db);
    do
        r = change_under_view(w, t, c);
    while (r == TRY_VIEW_MOVED);
    if (r >= 0)
        hand_over_before(w, c);
    if (r == LARDER_OK && !w->is_stuck)
        count(c->item || c->increment ? &w->slot->puts : &w->slot->deletes, 1);
    writer_end(w);
    return r;
}

/* The caller's item is looked at here and there first, and later as a whole. If it was made a while ago it had better come at once;
 * fetching more than it has does no harm. */
static void prefetch_item(const struct larder_item *item) {
    for (size_t at = 0; at < PUT_AHEAD_BYTES; at += 64)
        SHM_PREFETCH((const uint8_t *)item + at);
}

/* Large: its parts are set one by one. Exactly one of item and wanted is not NULL. */
static void begin_change(struct change *c, const struct larder_item *item, const struct larder_key *wanted,
                         struct larder_page *before) {
    c->item = item;
    c->wanted = wanted;
    c->increment = NULL;
    c->image = NULL;
    c->before = before;
    c->was_there = 0;
    c->is_conditional = 0;
}

int larder_put(struct larder_table *t, const struct larder_item *item, struct larder_page *replaced) {
    struct change c;
    if (!item)
        return err_set(LARDER_E_INVAL, "larder_put: item is NULL");
    prefetch_item(item);
    begin_change(&c, item, NULL, replaced);
    return run_change(t, &c);
}

int larder_put_if(struct larder_table *t, const struct larder_item *item, const struct larder_item *expected,
                  struct larder_page *found) {
    struct change c;
    if (!item)
        return err_set(LARDER_E_INVAL, "larder_put_if: item is NULL");
    if (expected && item_head(expected)->version == 0)
        return err_set(LARDER_E_INVAL,
                       "larder_put_if: the expected item was made by a builder or a projection; one that "
                       "was read whole from the table is needed, or NULL for no item");
    begin_change(&c, item, NULL, found);
    c.is_conditional = 1;
    c.expected = expected ? item_head(expected) : NULL;
    return run_change(t, &c);
}

int write_increment(struct larder_table *t, struct write_increment *increment) {
    struct change c;
    begin_change(&c, NULL, increment->key, NULL);
    c.increment = increment;
    return run_change(t, &c);
}

int larder_delete(struct larder_table *t, const struct larder_key *key, struct larder_page *deleted) {
    struct change c;
    if (!key)
        return err_set(LARDER_E_INVAL, "larder_delete: key is NULL");
    begin_change(&c, NULL, key, deleted);
    int r = run_change(t, &c);
    return r == LARDER_OK && !c.was_there ? LARDER_NOT_FOUND : r;
}

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
        int r = open_old(v, word, item, &peek);
        if (r)
            return r;
        int is_expired = read_is_expired(v, item, now_s);
        struct item_swap s = {.stripe = stripe, .hash = hash, .slot = slot, .old_word = word, .before = &peek};
        r = is_expired ? change_locked(w, v, &s) : rearm_locked(w, v, hash, &peek, now_s);
        if (r)
            return r;
        if (is_expired) {
            *removed += 1;
            count(&w->slot->expired, 1);
        }
        if (w->is_stuck)
            return LARDER_BUSY;
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
    leave_stripe(w, stripe);
    return r;
}

/* ---- Items under an older definition ------------------------------------------------------------------------------------------------ */

/* The first outdated item of the stripe in bucket order from *bucket on. */
static shm_word *find_outdated(const struct table_view *v, struct stripe_shm *stripe, uint32_t *bucket, uint64_t *word,
                               struct item_head **item) {
    for (uint32_t total = htab_bucket_count(&v->items, stripe); *bucket < total; ++*bucket) {
        uint64_t words[512];
        int n = htab_bucket_slots(&v->items, stripe, *bucket, words, 512);
        for (int i = 0; i < n; i++) {
            struct item_head *h = seg_at(v->items.seg, WORD_OFF(words[i]), sizeof *h);
            if (!h || !is_outdated(v, h))
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
        return damaged_item(word);
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
    r = open_old(v, word, old, &before);
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
            left = (uint64_t)(buckets + buckets / 8 + 1) * BUCKET_SLOTS;
        }
        r = restamp_one_locked(w, v, stripe, &bucket, now_s);
        if (r == LARDER_OK && left-- == 0)
            r = err_set(LARDER_E_CORRUPT, "stripe %u has items that stay outdated", number);
        leave_stripe(w, stripe);
        if (w->is_stuck)
            return r ? r : LARDER_BUSY;
        if (r == TRY_VIEW_MOVED)
            return LARDER_NOT_FOUND;
        if (r == LARDER_NOT_FOUND)
            return LARDER_OK;
        if (r == LARDER_E_RETRY)
            r = heap_claim(w, w->need_bytes);
        else if (r == TRY_SCRATCH_SMALL)
            r = writer_scratch(w, w->need_bytes);
        if (r)
            return r;
    }
}

int write_empty_stripe(struct writer *w, const struct table_view *v, uint32_t number) {
    struct stripe_shm *stripe = &v->items.stripes[number];
    int r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    note_operation(w, v, stripe);
    uint64_t words[512];
    for (uint32_t b = 0, total = htab_bucket_count(&v->items, stripe); b < total && r == LARDER_OK; b++) {
        int n = htab_bucket_slots(&v->items, stripe, b, words, 512);
        for (int i = 0; i < n && r == LARDER_OK; i++) {
            shm_word *block = seg_at(w->seg, WORD_OFF(words[i]), sizeof(uint64_t)), *slot = NULL;
            struct htab_walk walk;
            uint64_t word = 0;
            void *found;
            if (!block)
                continue;
            htab_walk_begin(&walk, &v->items, stripe, htab_hash_in(words[i], SHM_LOAD(block)));
            while ((slot = htab_walk_next(&walk, sizeof(uint64_t), &word, &found)) && word != words[i])
                ;
            if (!slot)
                continue;
            r = step_swap(w, 0, slot, word, 0, &stripe->seq, (uint64_t[]){WORD_OFF(word)}, 1);
            if (r == LARDER_OK)
                htab_count_locked(stripe, -1);
        }
    }
    if (r == LARDER_OK)
        r = htab_clear_locked(w, stripe);
    if (r)
        w->is_stuck = 1;
    else
        forget_operation(w);
    leave_stripe(w, stripe);
    return r;
}

/* ---- Recovery -------------------------------------------------------------------------------------------------------------------------- */

/* The block that a word of step 0 links, if it is still ours to look at. NULL: the word is 0. */
static struct item_head *linked_by(const struct writer *w, uint64_t word) {
    return word ? seg_at(w->seg, WORD_OFF(word), sizeof(struct item_head)) : NULL;
}

static int is_in_hand(const struct writer *w, uint64_t word, unsigned side) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if (SHM_LOAD(&w->slot->hand[i]) == (WORD_OFF(word) | HAND_STEP0 | side))
            return 1;
    return 0;
}

/* Before the publish: take back the entries that only the new image has. After it: those that only the old one had. A block that
 * is no longer in hand had its entries removed already: it is given back last. */
static int settle_entries(struct writer *w, const struct table_view *v) {
    const struct step_shm *step = &w->slot->step[0];
    uint64_t old_word = SHM_LOAD(&step->old_word), new_word = SHM_LOAD(&step->new_word);
    int is_published = step_is_published(w, 0);
    uint64_t gone = is_published ? old_word : new_word, stays = is_published ? new_word : old_word;
    struct item_head *item = linked_by(w, gone);
    if (!item || !is_in_hand(w, gone, is_published ? HAND_OLD : HAND_NEW))
        return LARDER_OK;
    struct item_peek peek;
    if (!item_peek_open(&peek, item, heap_block_bytes(w->seg, WORD_OFF(gone))))
        return damaged_item(gone);
    return core_hooks->index_remove(w, v, read_hash_of_item(v, &peek), item, linked_by(w, stays));
}

int write_recover_item(struct writer *w) {
    struct slot_shm *slot = w->slot;
    const struct table_view *v;
    uint64_t stripe_off = SHM_LOAD(&slot->op_stripe_off);
    struct stripe_shm *stripe = seg_at(w->seg, stripe_off, sizeof *stripe);
    if (!stripe)
        return err_set(LARDER_E_CORRUPT, "slot %u notes a stripe at %llu, outside the heap", w->id,
                       (unsigned long long)stripe_off);
    int r = table_view_by_ordinal(w->db, SHM_LOAD(&slot->op_a), &v);
    if (r)
        return r;
    uint64_t from = stripe_off - seg_off(w->seg, v->items.stripes); /* wraps round to a large one */
    if (from % sizeof *stripe != 0 || from / sizeof *stripe >= v->items.stripe_count)
        return err_set(LARDER_E_CORRUPT, "slot %u notes a stripe at %llu, which is not of table \"%s\"", w->id,
                       (unsigned long long)stripe_off, v->def.name);
    if (step_is_open(w, 0)) {
        SHM_NOT_YET(settle_before_entries, step_settle(w, 0));
        r = settle_entries(w, v);
        if (r)
            return r;
        count(step_is_published(w, 0) ? &slot->finished : &slot->undone, 1);
    }
    r = step_settle(w, 0);
    if (r)
        return r;
    /* The lock may be dropped already: then somebody else may count just now, and our last stores left nothing to count. */
    if (lock_is_mine(w, &stripe->lock))
        htab_recount_locked(&v->items, stripe);
    forget_operation(w);
    return LARDER_OK;
}
