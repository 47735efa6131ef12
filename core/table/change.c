/* core/table/change.c - one item changes under its stripe's lock; recovery of a change that was cut
 * off. See change.h, and write.h for the crash list.
 *
 * Reading  SHM_NOT_YET() and SHM_IN_ORDER() are for tests of wrong orders (core/base/swap.h).
 *          Elsewhere the first does nothing, and the second does its two steps in the order given.
 */
#include "core/table/change.h"
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/read.h"
#include "core/table/write.h"

int change_damaged(uint64_t word) {
    return err_set(LARDER_E_CORRUPT, "the item in block %llu is damaged", (unsigned long long)WORD_OFF(word));
}

int change_open_old(const struct table_view *v, uint64_t word, const struct item_head *old, struct item_peek *p) {
    uint64_t room = heap_block_bytes(v->items.seg, WORD_OFF(word));
    if (!item_peek_open(p, old, room))
        return change_damaged(word);
    /* Under another TTL generation its expiry is an attribute, which has to be looked for. */
    if (item_ttl_generation(&p->head) != v->ttl_generation && !item_is_readable(old, p->head.bytes))
        return change_damaged(word);
    return LARDER_OK;
}

/* Whether an index entry of this item may have that key sequence: the low half of a write number
 * repeats after 2^32 writes. */
static int has_kseq(const struct item_peek *item, uint32_t kseq) {
    for (uint32_t i = 0; i < item->head.index_count; i++)
        if (item_peek_kseq(item, i) == kseq)
            return 1;
    return item->head.kseq == kseq;
}

/* A number for this write. Its low half, a key sequence, is not 0 ("not in the index") and not one
 * that `old` has. Its high bits name the catalog entry. A stripe stays with its entry and never
 * counts again from 0. So no item of another or of a dropped table has the number of an item that
 * larder_put_if() compares with. */
_Static_assert((LARDER_TABLES_MAX - UINT64_C(1)) << CHANGE_TABLE_SHIFT < ITEM_VERSION_MAX,
               "a damaged version can be told from a real one");

static uint64_t next_write_number(const struct table_view *v, struct stripe_shm *stripe, const struct item_peek *old) {
    uint64_t number = (SHM_LOAD_RELAXED(&stripe->writes) | (uint64_t)v->ordinal << CHANGE_TABLE_SHIFT) + 1;
    while ((uint32_t)number == 0 || (old && has_kseq(old, (uint32_t)number)))
        number++;
    SHM_STORE(&stripe->writes, number);
    return number;
}

/* ---- The image that goes in ------------------------------------------------------------------ */

/* The second of the timer that stands for an item of the segment; 0: none. */
static uint32_t armed_s_of(const struct item_peek *item) {
    const struct item_timed *timed = item ? item_timed_at(item->image, &item->head) : NULL;
    return timed ? SHM_LOAD_RELAXED(&timed->armed_s) : 0;
}

/* Sets version and key sequences: an index key that did not change keeps its sequence and so its
 * entry. Nonzero: some entry is the new image's or the old one's alone. Also makes or removes the
 * place for what arm() stores: an earlier try may have met another item. */
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

/* It is the last step that may fail before the publish, so a put that is tried again and again does
 * not leave a timer each time. */
static inline __attribute__((always_inline)) int arm(struct writer *w, const struct table_view *v,
                                                     const struct item_swap *s) {
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

/* ---- The protocol ---------------------------------------------------------------------------- */

void change_note(struct writer *w, const struct table_view *v, const struct stripe_shm *stripe) {
    struct slot_shm *slot = w->slot;
    if (SHM_LOAD_RELAXED(&slot->op) == OP_NONE) {
        SHM_STORE(&slot->op_a, v->ordinal);
        SHM_STORE(&slot->op, OP_ITEM);
    }
    SHM_STORE(&slot->op_stripe_off, seg_off(w->seg, stripe));
}

void change_forget(struct writer *w) {
    SHM_STORE(&w->slot->op_stripe_off, 0);
    if (SHM_LOAD_RELAXED(&w->slot->op) == OP_ITEM)
        SHM_STORE(&w->slot->op, OP_NONE);
}

int change_fail(struct writer *w, int r, int undone) {
    if (undone != LARDER_OK)
        w->is_stuck = 1;
    else
        change_forget(w);
    return r;
}

static inline __attribute__((always_inline)) int take_block(struct writer *w, const struct table_view *v,
                                                            struct item_swap *s, uint64_t *off) {
    struct item_head *image = s->image;
    s->differs = stamp(image, s->before, next_write_number(v, s->stripe, s->before));
    int r = heap_take(w, image->bytes, HAND_STEP0 | HAND_NEW, 0, off);
    s->block = r ? NULL : seg_at(w->seg, *off, image->bytes);
    if (r)
        return r;
    if (!s->block)
        return err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
    shm_copy_in(s->block, image, image->bytes);
    return LARDER_OK;
}

/* Takes the new block, fills it, and opens step 0. A failure leaves nothing behind. */
static int prepare_locked(struct writer *w, const struct table_view *v, struct item_swap *s) {
    uint64_t off = 0;
    int r = s->image ? take_block(w, v, s, &off) : LARDER_OK;
    if (r)
        return change_fail(w, r, step_abandon(w, 0));
    uint64_t new_word = s->image ? WORD_MAKE(s->hash, off) : 0, retired = WORD_OFF(s->old_word);
    r = step_check(w, s->slot, s->old_word, new_word, &retired, 1);
    if (r)
        return change_fail(w, r, step_abandon(w, 0));
    step_open(w, 0, s->slot, s->old_word, new_word, &s->stripe->seq);
    if (s->old)
        step_retire(w, 0, retired);
    return LARDER_OK;
}

/* A stopped process that holds a lock is better met now, while everything can be undone. Later the
 * writer would be stuck, and its stripe with it: then one stopped process keeps others from stripes
 * that it never took. */
static inline __attribute__((always_inline)) int pass_locked(struct writer *w, const struct table_view *v,
                                                             const struct item_swap *s) {
    int r = s->block && s->differs ? core_hooks->index_pass(w, v, s->hash, s->block, s->old) : LARDER_OK;
    if (r == LARDER_OK && s->old && s->differs)
        r = core_hooks->index_pass(w, v, s->hash, s->old, s->block);
    if (r == LARDER_OK && s->old)
        r = heap_pass(w, WORD_OFF(s->old_word));
    return r;
}

/* From here the change is acknowledged whatever happens. A failure to tidy up only makes the writer
 * stuck. */
static void finish_locked(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    SHM_NOT_YET(remove_before_publish, if (s->old) core_hooks->index_remove(w, v, s->hash, s->old, s->block));
    step_publish(w, 0);
    if (v->marks && s->block) /* an overwrite is a use; its block was another one */
        marks_put(v, seg_off(w->seg, s->block), s->old != NULL);
    if (!s->old)
        htab_count_locked(s->stripe, 1);
    if (!s->block)
        htab_count_locked(s->stripe, -1);
    int r = s->old && s->differs ? core_hooks->index_remove(w, v, s->hash, s->old, s->block) : LARDER_OK;
    if (r == LARDER_OK)
        r = step_close(w, 0);
    if (r == LARDER_OK && !s->block && SHM_LOAD_RELAXED(&s->stripe->count) == 0)
        r = htab_clear_large_locked(w, &v->items, s->stripe);
    if (r == LARDER_OK)
        change_forget(w);
    else
        w->is_stuck = 1;
}

/* Adds the entries that only the new image has, and its timer. A failure removes the entries again
 * and closes step 0. */
static int add_locked(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    SHM_NOT_YET(publish_before_entries, step_publish(w, 0));
    int r = s->differs ? core_hooks->index_add(w, v, s->hash, s->block, s->old) : LARDER_OK;
    SHM_NOT_YET(publish_before_timer, step_publish(w, 0));
    if (r == LARDER_OK)
        r = arm(w, v, s);
    if (r == LARDER_OK)
        return r;
    int undone = core_hooks->index_remove(w, v, s->hash, s->block, s->old);
    return change_fail(w, r, undone ? undone : step_settle(w, 0));
}

int change_locked(struct writer *w, const struct table_view *v, struct item_swap *s) {
    s->old = s->before ? s->before->image : NULL;
    s->block = NULL;
    s->differs = 1;
    DEBUG_ASSERT(lock_is_held(w, LOCK_STRIPE));
    change_note(w, v, s->stripe);
    int r = prepare_locked(w, v, s);
    if (r)
        return r;
    r = pass_locked(w, v, s);
    if (r)
        return change_fail(w, r, step_settle(w, 0));
    r = s->block ? add_locked(w, v, s) : LARDER_OK;
    if (r == LARDER_OK)
        finish_locked(w, v, s);
    return r;
}

/* Inline above, since every put goes there. */
int change_take_block(struct writer *w, const struct table_view *v, struct item_swap *s, uint64_t *off) {
    return take_block(w, v, s, off);
}
int change_pass(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    return pass_locked(w, v, s);
}
int change_arm(struct writer *w, const struct table_view *v, const struct item_swap *s) {
    return arm(w, v, s);
}

/* ---- Recovery -------------------------------------------------------------------------------- */

/* The block that a word of step 0 links. NULL: the word is 0, or leads outside the heap. */
static struct item_head *linked_by(const struct writer *w, uint64_t word) {
    return word ? seg_at(w->seg, WORD_OFF(word), sizeof(struct item_head)) : NULL;
}

static int is_in_hand(const struct writer *w, uint64_t word, unsigned side) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if (SHM_LOAD(&w->slot->hand[i]) == (WORD_OFF(word) | HAND_STEP0 | side))
            return 1;
    return 0;
}

/* Before the publish: removes the entries that only the new image has. After it: those that only
 * the old one had. A block that is no longer in hand has lost its entries already, since it is
 * given back last. */
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
        return change_damaged(gone);
    return core_hooks->index_remove(w, v, read_hash_of_item(v, &peek), item, linked_by(w, stays));
}

int change_recover(struct writer *w) {
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
        change_count(step_is_published(w, 0) ? &slot->finished : &slot->undone, 1);
    }
    r = step_settle(w, 0);
    if (r)
        return r;
    /* If the lock is dropped already, another writer may be counting now, and our last stores left
     * nothing to count. */
    if (lock_is_mine(w, &stripe->lock))
        htab_recount_locked(&v->items, stripe);
    change_forget(w);
    return LARDER_OK;
}
