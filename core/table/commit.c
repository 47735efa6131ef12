/* core/table/commit.c - the items of a transaction change in one step. See commit.h. */
#include "core/table/commit.h"

#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/read.h"

/* ---- The record ------------------------------------------------------------------------------ */

static void forget_in_hand(struct writer *w, uint64_t off) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if (SHM_LOAD_RELAXED(&w->slot->hand[i]) == (off | HAND_STEP0 | HAND_NEW))
            SHM_STORE(&w->slot->hand[i], 0);
}

static void fill_record(const struct writer *w, const struct commit *c) {
    struct record_shm *record = c->record;
    SHM_STORE(&record->magic, RECORD_MAGIC);
    SHM_STORE(&record->state, RECORD_PENDING);
    SHM_STORE(&record->count, c->count);
    SHM_STORE(&record->zero, 0);
    for (uint32_t i = 0; i < c->count; i++) {
        SHM_STORE(&record->entry[i].stripe_off, seg_off(w->seg, c->item[i].swap.stripe));
        SHM_STORE(&record->entry[i].table, c->item[i].v->ordinal);
        SHM_STORE(&record->entry[i].old_word, 0);
        SHM_STORE(&record->entry[i].new_word, 0);
    }
}

int commit_begin(struct writer *w, struct commit *c) {
    uint64_t off, bytes = record_bytes(c->count);
    c->is_locked = 0;
    DEBUG_ASSERT(c->count <= RECORD_ENTRIES_MAX);
    int r = heap_take(w, bytes, HAND_STEP0 | HAND_NEW, 0, &off);
    c->record = r ? NULL : seg_at(w->seg, off, bytes);
    if (r == LARDER_OK && !c->record)
        r = err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
    if (r) {
        w->is_stuck |= step_abandon(w, 0) != LARDER_OK;
        return r;
    }
    fill_record(w, c);
    SHM_STORE(&w->slot->record_off, off);
    forget_in_hand(w, off);
    return LARDER_OK;
}

static void take_in_hand(struct writer *w, uint64_t off) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if (SHM_LOAD_RELAXED(&w->slot->hand[i]) == 0) {
            SHM_STORE(&w->slot->hand[i], off | HAND_STEP0 | HAND_NEW);
            break;
        }
}

/* The block is in hand before the slot forgets it, so a death in between finds it twice:
 * commit_recover() forgets it in hand first. */
static int give_record(struct writer *w) {
    uint64_t off = SHM_LOAD_RELAXED(&w->slot->record_off);
    SHM_IN_ORDER(forget_before_hand, take_in_hand(w, off), SHM_STORE(&w->slot->record_off, 0));
    return step_abandon(w, 0);
}

/* ---- Stripes --------------------------------------------------------------------------------- */

/* Whether the item is the first of its stripe. */
static int is_first(const struct commit *c, uint32_t i) {
    return i == 0 || c->item[i].swap.stripe != c->item[i - 1].swap.stripe;
}

static void mark(const struct writer *w, const struct record_shm *record, struct stripe_shm *stripe) {
    SHM_IN_ORDER(mark_before_record, SHM_STORE(&stripe->record_off, seg_off(w->seg, record)),
                 SHM_STORE(&stripe->seq, (SHM_LOAD_RELAXED(&stripe->seq) + 1) | SEQ_MARK));
}

/* A stripe that was not marked stays as it is. */
static void unmark(struct stripe_shm *stripe) {
    if (SHM_LOAD_RELAXED(&stripe->record_off) == 0)
        return;
    SHM_STORE(&stripe->seq, (SHM_LOAD_RELAXED(&stripe->seq) + 1) & ~SEQ_MARK);
    SHM_STORE(&stripe->record_off, 0);
}

#if LARDER_CRASH_POINTS
/* For a swap (core/base/swap.h): too early. */
static void unmark_stripes(const struct commit *c) {
    for (uint32_t i = 0; i < c->count; i++)
        unmark(c->item[i].swap.stripe);
}
#endif

static void leave_stripe(struct writer *w, struct stripe_shm *stripe) {
    unmark(stripe);
    lock_drop(w, &stripe->lock, LOCK_STRIPE);
}

/* Drops the stripes of the first `count` items. */
static void leave_stripes(struct writer *w, const struct commit *c, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (is_first(c, i))
            leave_stripe(w, c->item[i].swap.stripe);
}

/* LARDER_CHANGED: all locks were dropped, try again. */
static int try_lock_all(struct writer *w, const struct commit *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        lock_word *lock = &c->item[i].swap.stripe->lock;
        int r = is_first(c, i) ? lock_take_noted(w, lock) : LARDER_OK;
        if (r == LARDER_OK)
            continue;
        leave_stripes(w, c, i);
        if (!w->is_in_way)
            return r;
        w->is_in_way = 0; /* now it can be recovered */
        r = lock_pass(w, lock, LOCK_STRIPE);
        return r ? r : LARDER_CHANGED;
    }
    return LARDER_OK;
}

int commit_lock(struct writer *w, struct commit *c) {
    int r;
    do {
        r = try_lock_all(w, c);
        if (r == LARDER_OK && gate_is_closed(w)) {
            leave_stripes(w, c, c->count);
            r = gate_wait(w);
            r = r ? r : LARDER_CHANGED;
        }
    } while (r == LARDER_CHANGED);
    c->is_locked = r == LARDER_OK;
    return r;
}

void commit_end(struct writer *w, struct commit *c) {
    if (w->is_stuck)
        return;
    if (c->is_locked)
        leave_stripes(w, c, c->count);
    w->is_stuck = give_record(w) != LARDER_OK;
}

/* ---- Before the commit ----------------------------------------------------------------------- */

/* Puts the new word into an empty slot of its bucket. */
static int place(struct writer *w, const struct commit_item *item, uint64_t word) {
    shm_word *slot;
    struct stripe_shm *stripe = item->swap.stripe;
    int r = htab_free_slot_locked(w, &item->v->items, stripe, item->swap.hash, &slot);
    if (r == LARDER_OK)
        r = step_check(w, slot, 0, word, NULL, 0);
    if (r)
        return r;
    step_open(w, 0, slot, 0, word, NULL);
    step_publish(w, 0);
    if (item->v->marks) /* as in core/table/change.c */
        marks_put(item->v, WORD_OFF(word), item->swap.before != NULL);
    htab_count_locked(stripe, 1);
    return step_close(w, 0);
}

static int prepare_image(struct writer *w, struct commit_item *item, struct record_entry_shm *entry) {
    uint64_t off;
    struct item_swap *s = &item->swap;
    int r = change_take_block(w, item->v, s, &off);
    if (r == LARDER_OK)
        r = change_pass(w, item->v, s);
    if (r)
        return r;
    uint64_t word = WORD_MAKE(s->hash, off);
    SHM_IN_ORDER(record_after_word, SHM_STORE(&entry->new_word, word), r = place(w, item, word));
    if (r == LARDER_OK && s->differs)
        r = core_hooks->index_add(w, item->v, s->hash, s->block, s->old);
    return r ? r : change_arm(w, item->v, s);
}

static int prepare(struct writer *w, struct commit_item *item, struct record_entry_shm *entry) {
    struct item_swap *s = &item->swap;
    s->old = s->before ? s->before->image : NULL;
    s->block = NULL;
    s->differs = 1;
    if (s->old)
        SHM_STORE(&entry->old_word, s->old_word);
    return s->image ? prepare_image(w, item, entry) : change_pass(w, item->v, s);
}

static void mark_stripes(const struct writer *w, const struct commit *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        struct stripe_shm *stripe = c->item[i].swap.stripe;
        if (c->item[i].is_changed && SHM_LOAD_RELAXED(&stripe->record_off) != seg_off(w->seg, c->record))
            mark(w, c->record, stripe);
    }
}

/* ---- Removing the side that does not count --------------------------------------------------- */

/* Removes the item of the entry that does not count, if it is still in a bucket: its index entries
 * first, then its word. */
static int settle(struct writer *w, const struct table_view *v, struct stripe_shm *stripe,
                  const struct record_entry_shm *entry, int is_committed, int differs) {
    uint64_t old_word = SHM_LOAD(&entry->old_word), new_word = SHM_LOAD(&entry->new_word), word;
    uint64_t gone = is_committed ? old_word : new_word, stays = is_committed ? new_word : old_word;
    uint64_t off = WORD_OFF(gone);
    struct item_head *item = gone ? seg_at(w->seg, off, sizeof *item) : NULL;
    struct item_peek peek;
    if (!item)
        return gone ? change_damaged(gone) : LARDER_OK;
    shm_word *slot = htab_slot_of(&v->items, stripe, SHM_LOAD((const shm_word *)item), off, &word);
    if (!slot || word != gone)
        return LARDER_OK;
    if (!item_peek_open(&peek, item, heap_block_bytes(w->seg, off)))
        return change_damaged(gone);
    const struct item_head *other = stays ? seg_at(w->seg, WORD_OFF(stays), sizeof *other) : NULL;
    int r = differs ? core_hooks->index_remove(w, v, read_hash_of_item(v, &peek), item, other) : LARDER_OK;
    if (r == LARDER_OK)
        r = step_swap(w, 0, slot, gone, 0, &stripe->seq, &off, 1);
    if (r)
        return r;
    htab_count_locked(stripe, -1);
    return htab_clear_large_locked(w, &v->items, stripe);
}

static int settle_all(struct writer *w, const struct commit *c, int is_committed) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < c->count && r == LARDER_OK; i++) {
        const struct commit_item *item = &c->item[i];
        if (item->is_changed)
            r = settle(w, item->v, item->swap.stripe, &c->record->entry[i], is_committed, item->swap.differs);
    }
    return r;
}

/* Before the commit, after a failure. */
static int undo(struct writer *w, const struct commit *c, int r) {
    int undone = step_is_open(w, 1) ? LARDER_E_BUSY : step_abandon(w, 1);
    if (undone == LARDER_OK)
        undone = step_settle(w, 0);
    if (undone == LARDER_OK)
        undone = settle_all(w, c, 0);
    w->is_stuck |= undone != LARDER_OK;
    return r;
}

static uint32_t bytes_of(const struct commit_item *item) {
    return item->is_changed && item->swap.image ? item->swap.image->bytes : 0;
}

/* The longest of the large images come first: rule N2 of core/table/windows.h. */
static void set_order(struct commit *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t bytes = bytes_of(&c->item[i]), at = i;
        for (; bytes > SPAN_BYTES && at > 0 && bytes_of(&c->item[c->order[at - 1]]) < bytes; at--)
            c->order[at] = c->order[at - 1];
        c->order[at] = (uint8_t)i;
    }
}

int commit_apply(struct writer *w, struct commit *c) {
    mark_stripes(w, c);
    set_order(c);
    for (uint32_t k = 0; k < c->count; k++) {
        uint32_t i = c->order[k];
        int r = c->item[i].is_changed ? prepare(w, &c->item[i], &c->record->entry[i]) : LARDER_OK;
        if (r)
            return undo(w, c, r);
    }
    SHM_NOT_YET(settle_before_commit, (void)settle_all(w, c, 1));
    SHM_STORE(&c->record->state, RECORD_COMMITTED);
    SHM_NOT_YET(unmark_before_settle, unmark_stripes(c));
    w->is_stuck |= settle_all(w, c, 1) != LARDER_OK;
    return LARDER_OK;
}

/* ---- Recovery -------------------------------------------------------------------------------- */

/* The stripe of an entry if the slot still holds its lock; then *v is its table. Else NULL, with
 * LARDER_OK: it is done, or was never begun. */
static struct stripe_shm *held_stripe(struct writer *w, const struct record_entry_shm *entry,
                                      const struct table_view **v, int *r) {
    uint64_t off = SHM_LOAD(&entry->stripe_off);
    struct stripe_shm *stripe = off % sizeof *stripe == 0 ? seg_at(w->seg, off, sizeof *stripe) : NULL;
    *r = LARDER_OK;
    if (!stripe || !lock_is_mine(w, &stripe->lock))
        return NULL;
    *r = table_view_by_ordinal(w->db, (uint32_t)SHM_LOAD(&entry->table), v);
    if (*r)
        return NULL;
    uint64_t from = off - seg_off(w->seg, (*v)->items.stripes); /* wraps round to a large one */
    if (from % sizeof *stripe == 0 && from / sizeof *stripe < (*v)->items.stripe_count)
        return stripe;
    *r = err_set(LARDER_E_CORRUPT, "slot %u notes a stripe at %llu, which is not of table \"%s\"", w->id,
                 (unsigned long long)off, (*v)->def.name);
    return NULL;
}

/* Whether an earlier entry has the same stripe. */
static int is_repeated(const struct record_shm *record, uint32_t i) {
    return i > 0 && SHM_LOAD(&record->entry[i].stripe_off) == SHM_LOAD(&record->entry[i - 1].stripe_off);
}

/* Takes over the locks that the record notes, and corrects what is counted under them. */
static int adopt_stripes(struct writer *w, const struct record_shm *record, uint32_t count) {
    int r = LARDER_OK, is_counted = 0;
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        const struct table_view *v;
        struct stripe_shm *stripe = is_repeated(record, i) ? NULL : held_stripe(w, &record->entry[i], &v, &r);
        if (!stripe)
            continue;
        w->ranks_held |= 1u << LOCK_STRIPE;
        w->stripes_held++;
        r = htab_recount_locked(&v->items, stripe);
        if (SHM_LOAD(&stripe->record_off) != 0 && !is_counted) {
            int is_committed = SHM_LOAD(&record->state) == RECORD_COMMITTED;
            change_count(is_committed ? &w->slot->finished : &w->slot->undone, 1);
            is_counted = 1;
        }
    }
    return r;
}

static int settle_entries(struct writer *w, const struct record_shm *record, uint32_t count) {
    int r = LARDER_OK, is_committed = SHM_LOAD(&record->state) == RECORD_COMMITTED;
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        const struct table_view *v;
        struct stripe_shm *stripe = held_stripe(w, &record->entry[i], &v, &r);
        if (stripe)
            r = settle(w, v, stripe, &record->entry[i], is_committed, 1);
    }
    return r;
}

int commit_recover(struct writer *w) {
    uint32_t count;
    uint64_t off = SHM_LOAD(&w->slot->record_off);
    const struct record_shm *record = record_at(w->seg, off, &count);
    if (!record)
        return err_set(LARDER_E_CORRUPT, "slot %u notes a transaction at %llu, where none is", w->id,
                       (unsigned long long)off);
    forget_in_hand(w, off);
    int r = step_settle(w, 0);
    if (r == LARDER_OK)
        r = adopt_stripes(w, record, count);
    if (r == LARDER_OK)
        r = settle_entries(w, record, count);
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        const struct table_view *v;
        struct stripe_shm *stripe = held_stripe(w, &record->entry[i], &v, &r);
        if (stripe)
            leave_stripe(w, stripe);
    }
    return r ? r : give_record(w);
}
