/* core/table/commit.h - the items of a transaction change in one step: the protocol under locks.
 *
 * Job      Puts new items beside the old ones, commits by one store, and removes the side that does
 *          not count. core/memory/record.h says how readers tell the sides apart. What is to be
 *          written is decided by core/table/transact.c, between commit_lock() and commit_apply().
 * Idea     All that may fail (memory, a stopped process in the way) is done before the commit:
 *          blocks, places in buckets, index entries, timers. What follows only removes, so it needs
 *          no memory. Undoing removes the other side, by the same function. So does recovery.
 * Locks    The stripes of all items, in address order, from commit_lock() to commit_end().
 * Crash    No store before 6 changes what a reader gets. After 6 every read gives the new items.
 *           1 the record: block in hand, its words, slot.record_off, out of hand
 *               dead here: the block goes back
 *           2 lock by lock
 *               dead here: the record's entries name them; dropped
 *           3 stripe by stripe: record_off, the mark
 *               dead here: readers look at the record; it hides nothing. Marks are cleared
 *           4 item by item, large ones first: old word into the record; block in hand, its words;
 *             new word into the record; the word into an empty slot of the bucket (step 0); count
 *               dead here: undone as after 5. A block that is in hand still goes back
 *           5 its index entries, one step 1 each; its timer
 *               dead here: for each new word that is in a bucket its entries are removed, then the
 *               word (step 0: sequence, block back). A timer for nothing is dropped when it fires
 *           6 record.state = COMMITTED
 *               dead from here: finished, by the rest of the list:
 *           7 item by item: index entries that only the old one had; the old word out of its bucket
 *             (step 0: sequence, block back); count
 *               a word that is in no bucket any more has been removed with all of this
 *           8 stripe by stripe: mark off, record_off = 0, lock
 *               a stripe that the slot no longer holds is done
 *           9 the record in hand, slot.record_off = 0, back
 * Stuck    After 6 the transaction is acknowledged, even if a stopped process is in the way of 7:
 *          then the slot is given up, and recovered as after a death. Readers do not notice.
 * Tests    tests/api/transact_test.c, tests/crash/scenarios.c (transact ..)
 */
#ifndef LARDER_TABLE_COMMIT_H
#define LARDER_TABLE_COMMIT_H

#include "core/memory/record.h"
#include "core/table/change.h"

struct commit_item {
    const struct table_view *v;
    /* stripe and hash; between commit_lock() and commit_apply() also before, old_word, image */
    struct item_swap swap;
    int is_changed;  /* image (NULL: nothing) takes the place of what is there */
    uint32_t action; /* its number for the caller */
};

struct commit {
    struct commit_item *item;          /* in the order of their stripes' addresses */
    uint32_t count;                    /* at most RECORD_ENTRIES_MAX */
    uint8_t order[RECORD_ENTRIES_MAX]; /* in which they are made */
    struct record_shm *record;
    int is_locked;
};

/* Takes the record. LARDER_OK: commit_end() is due; else as heap_take(). */
int commit_begin(struct writer *w, struct commit *c);
/* Takes the stripes, with the gate open. LARDER_OK, or as lock_take(): none is held. */
int commit_lock(struct writer *w, struct commit *c);
/* Changes all items. LARDER_OK; else as change_locked(): nothing was changed. Either may leave the
 * writer stuck. */
int commit_apply(struct writer *w, struct commit *c);
/* Drops the stripes, gives the record back. Does nothing if the writer is stuck. */
void commit_end(struct writer *w, struct commit *c);

/* Recovery of a slot with a record, in its name: finishes or undoes its transaction. Idempotent.
 * LARDER_OK, LARDER_E_BUSY, LARDER_E_CORRUPT. */
int commit_recover(struct writer *w);

#endif
