/* core/table/write.h - the write protocol: one item and all its index entries change in one step.
 *
 * Crash    Under the item's stripe lock:
 *           1 op = OP_ITEM with table and stripe           dead here: nothing happened
 *           2 take the new block, copy the image in        in hand: given back
 *           3 step 0 opened on the slot word, old block in hand; waits for what 4 to 8 will lock (a stopped owner: undone)
 *           4 add the index entries only the new image has  undone from the new block: remove-if-present
 *           5 arm the timer, note it in the new block       a timer for nothing is dropped when it fires
 *           6 publish: the slot word                        the item, through every path, is the new one
 *           7 remove the entries only the old image had     finished from the old block: remove-if-present
 *           8 close step 0: sequence, old block back        9 op = OP_NONE, unlock
 *          Between 4 and 7 entries exist whose key sequence the item in the slot does not have; readers ignore them.
 */
#ifndef LARDER_TABLE_WRITE_H
#define LARDER_TABLE_WRITE_H

#include "core/item/page.h"
#include "core/table/table.h"

/* larder_increment() of a number that is there (core/table/increment.c). As larder_put(), and LARDER_E_INVAL of item_sum(); LARDER_NOT_FOUND: there
 * is no such item or attribute, or the item has to be made anew for another reason. Nothing was changed then. */
struct write_increment {
    const struct larder_key *key;
    struct bytes name;
    int64_t by, sum; /* sum: what is there afterwards */
};
int write_increment(struct larder_table *t, struct write_increment *increment);

/* A timer fired (ttl/): looks at the items with this hash whose armed_s is this second. Expired at now_s: removed like any delete.
 * Not expired (its expiry moved on): a new timer is added for it (core_hooks->timer_add) and armed_s set. No such item: nothing.
 * Takes and drops the item's stripe lock; the caller holds no lock of a rank above LOCK_GATE.
 * LARDER_OK: *removed counts up by what was removed; the timer is done with. LARDER_E_FULL, LARDER_E_RETRY, LARDER_E_BUSY: it is still needed. */
int write_expire(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t armed_s, int64_t now_s,
                 uint64_t *removed);

/* A put finds no memory: removes what has expired of the bucket that the hash is in, the item that is to be replaced included, and what
 * stands where the new one is to go. Their timers find nothing when they fire. Locks the stripe. How many; the writer may be stuck. */
int write_expire_bucket(struct writer *w, const struct table_view *v, uint64_t hash, int64_t now_s);

/* Rewrites the items of a stripe whose image was made under an older definition (fewer index slots than the shape, another TTL
 * generation): same attributes, new image, index entries and timer added. Locks the stripe per item; claims memory
 * itself. LARDER_OK; LARDER_NOT_FOUND: v is no longer current; LARDER_E_FULL; LARDER_E_BUSY; LARDER_E_CORRUPT. */
int write_restamp_stripe(struct writer *w, const struct table_view *v, uint32_t stripe);

/* Recovery of a slot that died inside OP_ITEM, in its name. */
int write_recover_item(struct writer *w);

/* Deletes what is in the stripe, at most *budget items, which counts down; without index work: the table is being dropped. Stripe lock taken
 * inside. LARDER_OK: it is empty; LARDER_MORE; LARDER_E_BUSY; LARDER_E_CORRUPT. */
int write_empty_stripe(struct writer *w, const struct table_view *v, uint32_t stripe, uint32_t *budget);

#endif
