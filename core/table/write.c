/* core/table/write.c - the path of every write: from a caller's call to one change under a stripe's
 * lock. See write.h.
 *
 * Idea     Image, hash and memory are got ready outside the lock. Under it, a try is done, or
 *          changes nothing and says what it lacks; that is got outside, and the call tries again
 *          (core/table/attempt.h).
 * Not here What each kind of write makes and decides: put.c, delete.c, increment.c, upkeep.c.
 * Tests    tests/api/items_test.c, tests/crash/enum_test.c
 */
#include "core/table/write.h"
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/journal.h"
#include "core/table/attempt.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/read.h"

/* ---- Under the stripe's lock ----------------------------------------------------------------- */

/* Sets slot, old_word and old of *s. */
static inline __attribute__((always_inline)) int find_locked(const struct table_view *v, const struct item_key *key,
                                                             struct item_swap *s) {
    struct htab_walk walk;
    void *block;
    htab_walk_begin(&walk, &v->items, s->stripe, s->hash);
    while ((s->slot = htab_walk_next(&walk, sizeof(struct item_head), &s->old_word, &block))) {
        const struct item_head *h = s->old = block;
        if (h->partition_bytes == key->partition_bytes && h->sort_bytes == key->sort_bytes &&
            seg_at(v->items.seg, WORD_OFF(s->old_word), sizeof *h + key->area_bytes) &&
            shm_is_equal(item_key_area(h), key->area, key->area_bytes))
            return LARDER_OK;
    }
    s->old_word = 0;
    s->old = NULL;
    return walk.is_damaged ? err_set(LARDER_E_CORRUPT, "a bucket of the table is damaged") : LARDER_OK;
}

/* A slot for an item that is not there yet. */
static int make_slot_locked(struct writer *w, const struct table_view *v, struct item_swap *s) {
    change_note(w, v, s->stripe);
    int r = htab_free_slot_locked(w, &v->items, s->stripe, s->hash, &s->slot);
    return r ? change_fail(w, r, step_is_open(w, 1) ? LARDER_E_BUSY : step_abandon(w, 1)) : LARDER_OK;
}

static inline __attribute__((always_inline)) int decide_locked(struct writer *w, struct write *c, struct item_swap *s) {
    int r = s->old ? change_open_old(c->view, s->old_word, s->old, &c->peek) : LARDER_OK;
    if (r)
        return r;
    s->before = c->old = s->old ? &c->peek : NULL;
    c->old_word = s->old_word;
    c->was_there = s->old && !read_is_expired(c->view, s->old, c->now_s);
    c->done = 0;
    int what = c->kind->decide(w, c);
    s->image = what == WRITE_STORE ? c->image : NULL;
    return what;
}

int write_item_locked(struct writer *w, struct write *c, struct item_swap *s) {
    int what = decide_locked(w, c, s);
    if (what != WRITE_STORE && what != WRITE_DELETE)
        return what;
    int r = s->slot ? LARDER_OK : make_slot_locked(w, c->view, s);
    if (r == LARDER_OK)
        r = change_locked(w, c->view, s);
    if (r == LARDER_OK)
        c->done = what;
    return r;
}

static int write_locked(struct writer *w, struct write *c, struct stripe_shm *stripe) {
    struct item_swap s = {.stripe = stripe, .hash = c->hash};
    int r = view_is_current(c->view) ? find_locked(c->view, c->key, &s) : OBSTACLE_VIEW;
    return r ? r : write_item_locked(w, c, &s);
}

/* Inline above, since every write goes there. */
int write_find_locked(const struct table_view *v, const struct item_key *key, struct item_swap *s) {
    return find_locked(v, key, s);
}
int write_decide_locked(struct writer *w, struct write *c, struct item_swap *s) {
    return decide_locked(w, c, s);
}

/* ---- One try --------------------------------------------------------------------------------- */

/* Memory that the write needs besides its block: leaves and nodes of every index, a bucket
 * array. */
static uint64_t bytes_ahead(const struct write *c) {
    return c->room.bytes + (uint64_t)(c->view->shape.index_count + 4) * SPAN_BYTES;
}

static int try_write(struct writer *w, void *arg) {
    struct write *c = arg;
    int r = table_view_checked(c->table, &c->view);
    if (r == LARDER_OK)
        r = c->kind->prepare(w, c);
    if (r)
        return r;
    c->room.bytes = c->image ? c->image->bytes : 0;
    c->room.view = c->view;
    c->room.hash = c->hash;
    if (c->kind->takes_memory)
        heap_claim_ahead(w, bytes_ahead(c));
    struct stripe_shm *stripe = htab_stripe(&c->view->items, c->hash);
    r = gate_take_stripe(w, stripe);
    if (r)
        return r;
    r = write_locked(w, c, stripe);
    if (r >= 0 && c->view->notes && !w->is_stuck)
        marks_publish_locked(c->view, 1);
    change_leave_stripe(w, stripe);
    return r;
}

int write_take_key(struct write *c, const struct larder_key *key) {
    int r = item_key_from_values(&c->view->shape, key, c->key);
    if (r == LARDER_OK)
        c->hash = read_hash(c->view, c->key);
    return r;
}

void write_fetch_old(const struct write *c) {
    struct htab_spot spot;
    struct htab_aim aim = htab_aim(&c->view->items);
    htab_spot_stripe(&aim, c->hash, &spot);
    htab_spot_bucket(&aim, &spot);
    htab_spot_slot(&aim, &spot, htab_last_line(WRITE_AHEAD_BYTES));
}

/* ---- What was there -------------------------------------------------------------------------- */

/* Copied to the writer's memory: the page may hold the item that is being put. */
int write_copy_old(struct writer *w, const struct write *c) {
    if (!c->was_there)
        return LARDER_OK;
    uint32_t bytes = c->old->head.bytes;
    if (w->before_bytes < bytes) {
        w->need_bytes = bytes;
        return OBSTACLE_BEFORE;
    }
    shm_copy_out(w->before, c->old->image, bytes);
    const struct item_head *copy = w->before;
    int is_same = copy->bytes == bytes && copy->version != 0;
    return is_same && item_head_is_sane(copy, bytes) ? LARDER_OK : change_damaged(c->old_word);
}

/* After the change: gives the copy, or the new image, to the page, memory and all. Cannot fail. */
static void hand_over(struct writer *w, const struct write *c) {
    struct larder_page *page = c->page;
    if (!page)
        return;
    page_reset(page);
    if ((c->gives == WRITE_GIVES_OLD && c->was_there) || c->gives == WRITE_GIVES_MADE)
        page_take_over(page, &w->before, &w->before_bytes);
    else if (c->gives == WRITE_GIVES_NEW && c->done == WRITE_STORE)
        page_take_over(page, &w->scratch, &w->scratch_bytes);
}

/* The memory comes from the table's handle
 * and ends with it, so the page must be of that handle. */
int write_take_page(const struct larder_table *t, struct larder_page *page) {
    if (__builtin_expect(page->epochs != &t->db->views.epochs, 0))
        return err_set(LARDER_E_INVAL, "the page is one of another attachment; make it with the table's");
    return page_make_places(page, 1);
}

/* ---- The whole call -------------------------------------------------------------------------- */

int write_run(struct write *c) {
    struct writer *w;
    int r = writer_borrow(c->table->db, &w);
    if (r)
        return r;
    if (c->page && (r = write_take_page(c->table, c->page))) {
        writer_end(w);
        return r;
    }
    c->key = &w->key;
    c->now_s = db_now_checked(c->table->db);
    c->room = (struct room){.now_s = c->now_s};
    r = attempt(w, &c->room, try_write, c);
    if (r >= 0)
        hand_over(w, c);
    if (c->done && !w->is_stuck)
        change_count(c->done == WRITE_STORE ? &w->slot->puts : &w->slot->deletes, 1);
    writer_end(w);
    return r;
}
