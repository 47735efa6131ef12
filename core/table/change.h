/* core/table/change.h - one item changes under its stripe's lock: the base of write.c and upkeep.c.
 *
 * Job      The steps of the write protocol between taking the stripe and leaving it. write.h has
 *          the crash list.
 * Locks    The caller holds the item's stripe (LOCK_STRIPE).
 * Tests    tests/crash/enum_test.c, tests/crash/order_test.c
 */
#ifndef LARDER_TABLE_CHANGE_H
#define LARDER_TABLE_CHANGE_H

#include "core/item/item.h"
#include "core/memory/htab.h"
#include "core/memory/writer.h"
#include "core/table/table.h"

/* A write number, which is a version, has the table's place in the catalog above this bit, and
 * below it how often the stripe was written. */
#define CHANGE_TABLE_SHIFT 54
/* The highest number of a stripe: far beyond what is ever written, and far below the numbers of the
 * next table. */
#define CHANGE_NUMBER_MAX (UINT64_C(1) << (CHANGE_TABLE_SHIFT - 1))
/* Whether a stripe of this catalog entry may have this number. One that an older library wrote does
 * not name its entry. */
static inline int change_is_number(uint32_t ordinal, uint64_t writes) {
    uint64_t entry = writes >> CHANGE_TABLE_SHIFT, number = writes & ((UINT64_C(1) << CHANGE_TABLE_SHIFT) - 1);
    return (entry == ordinal || entry == 0) && number <= CHANGE_NUMBER_MAX;
}

/* What a change works on, under the lock of `stripe`. */
struct item_swap {
    struct stripe_shm *stripe;
    uint64_t hash; /* of the key */
    shm_word *slot;
    uint64_t old_word;
    const struct item_peek *before; /* what is there; NULL: nothing */
    const struct item_head *old;    /* before->image */
    /* what goes in, in private memory and in the segment; NULL: nothing */
    struct item_head *image, *block;
    int differs; /* some index entry has to come or go */
};

/* Puts `image` (NULL: nothing) in the place of `before` (NULL: nothing): steps 1 to 9 of write.h,
 * without the unlocking. The stripe is locked, and was when `before` was opened. Sets old, block
 * and differs of *s. An image that changes no index key skips the work on indexes. LARDER_OK, or a
 * failure that changed nothing. Either may leave the writer stuck. */
int change_locked(struct writer *w, const struct table_view *v, struct item_swap *s);

/* Parts of change_locked(), for core/table/commit.c.
 * Stamps s->image, and copies it to a block, which is in hand as HAND_NEW of step 0. Sets block and
 * differs of *s. LARDER_OK and *off; else as heap_take(). After a failure, too, a block may be in
 * hand. */
int change_take_block(struct writer *w, const struct table_view *v, struct item_swap *s, uint64_t *off);
/* Waits for the locks that this change needs later. LARDER_OK, LARDER_E_BUSY. */
int change_pass(struct writer *w, const struct table_view *v, const struct item_swap *s);
/* Makes sure that a timer stands for the expiry of the new block: the old item's if that is early
 * enough, else a new one. Results as those of core_hooks->timer_add. */
int change_arm(struct writer *w, const struct table_view *v, const struct item_swap *s);

/* LARDER_E_CORRUPT, with a message, for the item in a slot with this word. */
int change_damaged(uint64_t word);
/* Opens the item in a slot that is about to be replaced. Checks that its head, and what decides its
 * expiry, stay inside its block. LARDER_OK or LARDER_E_CORRUPT. */
int change_open_old(const struct table_view *v, uint64_t word, const struct item_head *old, struct item_peek *p);

/* Before the first store of an operation on an item, and after the last: notes in the slot what its
 * thread is doing, and clears the note. */
void change_note(struct writer *w, const struct table_view *v, const struct stripe_shm *stripe);
void change_forget(struct writer *w);
/* For a call that fails with r. `undone` is the result of undoing it: LARDER_OK clears the note;
 * else the writer is stuck, and its slot is given up as it is. Returns r. */
int change_fail(struct writer *w, int r, int undone);

/* Drops the stripe's lock, unless the writer is stuck: then the lock stays with the slot, for
 * recovery. */
static inline void change_leave_stripe(struct writer *w, struct stripe_shm *stripe) {
    if (!w->is_stuck)
        lock_drop(w, &stripe->lock, LOCK_STRIPE);
}

/* Whether an image was made under another definition of its table. */
static inline int change_is_outdated(const struct table_view *v, const struct item_head *item) {
    return item->index_count != v->shape.index_count || item_ttl_generation(item) != v->ttl_generation;
}

/* Adds to a counter of the writer's slot. */
static inline void change_count(shm_word *counter, uint64_t by) {
    SHM_STORE(counter, SHM_LOAD_RELAXED(counter) + by);
}

/* Recovery of a slot that died inside OP_ITEM, in its name. */
int change_recover(struct writer *w);

#endif
