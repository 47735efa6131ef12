/* core/table/write.c - put, conditional put, increment and delete: from a caller's item or key to one change of a stripe. See write.h.
 *
 * Idea     What can be made outside the lock is: image, hash, memory. Inside, a try either is done or changes nothing and says what it
 *          lacks; that is got outside, and it is tried again.
 */
#include "core/table/write.h"
#include "core/base/err.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/journal.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/make_room.h"
#include "core/table/read.h"
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

/* ---- Put, increment, delete ------------------------------------------------------------------------------------------------------------ */

#define PUT_AHEAD_BYTES 512u /* of an item are fetched before it is looked at */

struct change {
    const struct larder_item *item;  /* put: what the caller gave; else NULL */
    const struct larder_key *wanted; /* delete, increment: what the caller gave; else NULL */
    struct write_increment *increment;
    const struct table_view *view;
    struct item_key *key; /* in the writer */
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
    return is_same && item_head_is_sane(copy, bytes) ? LARDER_OK : change_damaged(old_word);
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

/* The item that goes in is the one that is there with a number changed. Made of a private copy, in memory that is there already. */
static int make_sum(struct writer *w, struct change *c, uint64_t old_word, const struct item_peek *old) {
    size_t room = item_round8(old->head.bytes + ITEM_ADDED_BYTES_MAX);
    if (w->scratch_bytes < 2 * room) {
        w->need_bytes = 2 * room;
        return TRY_SCRATCH_SMALL;
    }
    struct item_head *copy = (struct item_head *)((uint8_t *)w->scratch + room);
    shm_copy_out(copy, old->image, old->head.bytes);
    if (copy->bytes != old->head.bytes || !item_is_readable(copy, copy->bytes))
        return change_damaged(old_word);
    if (change_is_outdated(c->view, copy))
        return LARDER_NOT_FOUND;
    c->image = w->scratch;
    int r = item_add_int(copy, c->increment->name, c->increment->by, c->image, &c->increment->sum);
    struct item_timed *timed = r ? NULL : item_timed_at(c->image, c->image);
    if (timed)
        atomic_init(&timed->armed_s, 0); /* until arm() */
    return r == LARDER_E_CORRUPT ? change_damaged(old_word) : r;
}

static int try_change_locked(struct writer *w, struct change *c, struct stripe_shm *stripe) {
    struct item_head *old;
    struct item_peek peek;
    uint64_t old_word;
    int r = LARDER_OK, is_damaged = 0;
    if (!view_is_current(c->view))
        return TRY_VIEW_MOVED;
    shm_word *slot = find_locked(c->view, stripe, c->key, c->hash, &old_word, &old, &is_damaged);
    if (is_damaged)
        return err_set(LARDER_E_CORRUPT, "a bucket of the table is damaged");
    if (old && (r = change_open_old(c->view, old_word, old, &peek)))
        return r;
    int was_there = c->was_there = old && !read_is_expired(c->view, old, c->now_s);
    if (!old && !c->item)
        return LARDER_NOT_FOUND;
    if (c->increment)
        r = was_there ? make_sum(w, c, old_word, &peek) : LARDER_NOT_FOUND;
    else if (c->before && was_there)
        r = keep_before(w, old_word, &peek);
    if (r == LARDER_OK && c->is_conditional && !is_as_expected(c, &peek))
        return LARDER_CHANGED; /* nothing is stored yet */
    if (r == LARDER_OK && !slot) {
        change_note(w, c->view, stripe);
        r = htab_free_slot_locked(w, &c->view->items, stripe, c->hash, &slot);
        if (r)
            r = change_fail(w, r, step_is_open(w, 1) ? LARDER_E_BUSY : step_abandon(w, 1));
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
    change_leave_stripe(w, stripe);
    return r;
}

/* Room for what the write needs besides its block: leaves and nodes of every index, a bucket array. */
static uint64_t bytes_ahead(const struct change *c) {
    uint64_t image = c->image ? c->image->bytes : 0;
    return image + (uint64_t)(c->view->shape.index_count + 4) * SPAN_BYTES;
}

/* Tries until it is done, removing one obstacle after the other outside the lock. TRY_VIEW_MOVED goes to the caller. */
static int change_item(struct writer *w, struct change *c) {
    struct room room = {.bytes = c->image ? c->image->bytes : 0, .now_s = c->now_s, .view = c->view, .hash = c->hash};
    if (c->item || c->increment)
        heap_claim_ahead(w, bytes_ahead(c));
    for (;;) {
        int r = try_change(w, c);
        if (r == LARDER_E_RETRY || r == LARDER_E_FULL)
            r = room_after(w, &room, r);
        else if (r == TRY_BEFORE_SMALL)
            r = grow_before(w);
        else if (r == TRY_SCRATCH_SMALL)
            r = writer_scratch(w, w->need_bytes);
        else
            return r;
        if (r && r != LARDER_E_RETRY)
            return r;
    }
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
    c->key->partition_bytes = image->partition_bytes;
    c->key->sort_bytes = image->sort_bytes;
    c->key->area_bytes = (uint32_t)item_key_area_bytes(image);
    memcpy(c->key->area, item_key_area(image), c->key->area_bytes);
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
    if (!e || item_is_same_key(item_key_in(e), item_key_of(c->key)))
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "larder_put_if: the expected item has another key than the item; read it from this "
                                   "table by the item's key");
}

static int take_key(struct change *c) {
    int r = item_key_from_values(&c->view->shape, c->wanted, c->key);
    if (r == LARDER_OK)
        c->hash = read_hash(c->view, c->key);
    return r;
}

static int has_name(const char *name, size_t name_bytes, struct bytes wanted) {
    return name && name_bytes == wanted.len && memcmp(name, wanted.at, wanted.len) == 0;
}

static int take_increment(struct change *c) {
    const struct item_shape *shape = &c->view->shape;
    struct bytes name = c->increment->name;
    c->image = NULL; /* of an earlier try */
    if (has_name(shape->partition.name, shape->partition.name_bytes, name) ||
        has_name(shape->sort.name, shape->sort.name_bytes, name))
        return err_set(LARDER_E_INVAL, "larder_increment: attribute \"%.*s\" is part of the key of table \"%s\"",
                       ITEM_SHOWN(name), c->view->def.name);
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
    int r = table_view_checked(t, &c->view);
    if (r == LARDER_OK)
        r = c->item ? take_item(w, c) : c->increment ? take_increment(c) : take_key(c);
    if (r == LARDER_OK && c->is_conditional)
        r = check_expected(c);
    return r ? r : change_item(w, c);
}

/* The item that was there is handed over with its memory, which ends with the table's attachment. */
static int take_page(const struct larder_table *t, struct larder_page *page) {
    if (__builtin_expect(page->epochs != &t->db->views.epochs, 0))
        return err_set(LARDER_E_INVAL, "the page is one of another attachment; make it with the table's");
    return page_make_places(page);
}

/* The whole call. */
static int run_change(struct larder_table *t, struct change *c) {
    struct writer *w;
    int r = writer_borrow(t->db, &w);
    if (r)
        return r;
    if (c->before && (r = take_page(t, c->before))) {
        writer_end(w);
        return r;
    }
    c->key = &w->key;
    c->now_s = db_now_checked(t->db);
    do
        r = change_under_view(w, t, c);
    while (r == TRY_VIEW_MOVED);
    if (r >= 0)
        hand_over_before(w, c);
    if (r == LARDER_OK && !w->is_stuck)
        change_count(c->item || c->increment ? &w->slot->puts : &w->slot->deletes, 1);
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
    if (ERR_IS_NULL(t) || ERR_IS_NULL(item))
        return LARDER_E_INVAL;
    prefetch_item(item);
    begin_change(&c, item, NULL, replaced);
    return run_change(t, &c);
}

int larder_put_if(struct larder_table *t, const struct larder_item *item, const struct larder_item *expected,
                  struct larder_page *found) {
    struct change c;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(item))
        return LARDER_E_INVAL;
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
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key))
        return LARDER_E_INVAL;
    begin_change(&c, NULL, key, deleted);
    int r = run_change(t, &c);
    return r == LARDER_OK && !c.was_there ? LARDER_NOT_FOUND : r;
}
