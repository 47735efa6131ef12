/* core/table/write.h - the write protocol: one item and all its index entries change in one step.
 *
 * Crash    Under the item's stripe lock:
 *           1 op = OP_ITEM with table and stripe           dead here: nothing happened
 *           2 take the new block, copy the image in        in hand: given back
 *           3 step 0 opened on the slot word, old block in hand; waits for what 4 to 8 will lock (a
 *             stopped owner: undone)
 *           4 add the index entries only the new image has  undone from the new block: remove-if-present
 *           5 arm the timer, note it in the new block       a timer for nothing is dropped when it fires
 *           6 publish: the slot word                        the item, through every path, is the new one
 *           7 remove the entries only the old image had     finished from the old block: remove-if-present
 *           8 close step 0: sequence, old block back        9 op = OP_NONE, unlock
 *          Between 4 and 7 entries exist whose key sequence the item in the slot does not have;
 *          readers ignore them.
 * Tests    tests/api/put_if_test.c, tests/crash/enum_test.c
 */
#ifndef LARDER_TABLE_WRITE_H
#define LARDER_TABLE_WRITE_H

#include "core/item/page.h"
#include "core/table/change.h"
#include "core/table/make_room.h"

/* ---- Kinds of writes -------------------------------------------------------------------------------
 *
 * All writes go the same way. What a kind of write has of its own is two functions: what it makes
 * outside the stripe's lock, and what it decides under it. put.c, delete.c, increment.c and
 * upkeep.c have the kinds there are.
 */

/* What a decision comes to, beside an outcome, a failure or an obstacle. */
#define WRITE_STORE 101  /* write.image takes the place of what is there */
#define WRITE_DELETE 102 /* what is there goes */

struct write;

struct write_kind {
    /* Outside locks, at the begin of each try: write.key and hash for the view, and what can be
     * made of the new image. NULL: the caller found the item by other means (write_item_locked). */
    int (*prepare)(struct writer *w, struct write *c);
    /* Under the stripe's lock, when nothing is stored yet. Sees write.old and was_there. It stores
     * nothing there, allocates nothing and calls nobody: what it lacks is an obstacle. WRITE_STORE,
     * WRITE_DELETE; LARDER_OK: the item stays as it is; else the result of the call. */
    int (*decide)(struct writer *w, struct write *c);
    int takes_memory; /* a block, and what else a new image needs, is claimed ahead */
};

/* One write. A kind with arguments has it as the first part of a struct of its own. */
struct write {
    const struct write_kind *kind;
    struct larder_table *table;
    const struct table_view *view; /* of this try */
    struct item_key *key;          /* in the writer */
    uint64_t hash;
    int64_t now_s;
    struct item_head *image;     /* of WRITE_STORE: in w->scratch */
    struct larder_page *before;  /* NULL, or gets the item that was there */
    const struct item_peek *old; /* under the lock: what is there, expired or not; NULL: nothing */
    uint64_t old_word;           /* of its slot */
    int was_there;               /* there is an item, and it has not expired */
    int done;                    /* WRITE_STORE or WRITE_DELETE: it was; 0: nothing was changed */
    struct room room;
};

/* The whole call: borrows a writer, tries until it is done, hands c->before over. c->kind, table
 * and before are set, by write_begin(). */
int write_run(struct write *c);
static inline void write_begin(struct write *c, const struct write_kind *kind, struct larder_table *t,
                               struct larder_page *before) {
    c->kind = kind;
    c->table = t;
    c->before = before;
    c->image = NULL;
    c->was_there = c->done = 0;
}

/* For kinds that prepare with the caller's key. */
int write_take_key(struct write *c, const struct larder_key *key);
/* For decisions: copies what is there for c->before. OBSTACLE_BEFORE, LARDER_E_CORRUPT. */
int write_keep_before(struct writer *w, const struct write *c);

/* The item that s->slot, old_word and old say (none: old is NULL; no slot for it yet: slot is
 * NULL): decides, and changes it. c->kind, view and now_s are set, the stripe is locked. */
int write_item_locked(struct writer *w, struct write *c, struct item_swap *s);

/* Of a caller's item so much is fetched before it is looked at, and of the one that is there before
 * the lock is taken. */
#define WRITE_AHEAD_BYTES 512u

/* ---- Upkeep: core/table/upkeep.c ------------------------------------------------------------- */

/* A timer fired (ttl/): looks at the items with this hash whose armed_s is this second. Expired at
 * now_s: removed like any delete. Not expired (its expiry moved on): a new timer is added for it
 * (core_hooks->timer_add) and armed_s set. No such item: nothing. Takes and drops the item's stripe
 * lock; the caller holds no lock of a rank above LOCK_GATE. LARDER_OK: *removed counts up by what
 * was removed; the timer is done with. LARDER_E_FULL, LARDER_E_BUSY, an obstacle: it is still
 * needed. */
int write_expire(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t armed_s, int64_t now_s,
                 uint64_t *removed);

/* A put finds no memory: removes what has expired of the bucket that the hash is in, the item that
 * is to be replaced included, and what stands where the new one is to go. Their timers find nothing
 * when they fire. Locks the stripe. How many; the writer may be stuck. */
int write_expire_bucket(struct writer *w, const struct table_view *v, uint64_t hash, int64_t now_s);

/* Rewrites the items of a stripe whose image was made under an older definition (fewer index slots
 * than the shape, another TTL generation): same attributes, new image, index entries and timer
 * added. Locks the stripe per item; claims memory itself. LARDER_OK; LARDER_NOT_FOUND: v is no
 * longer current; LARDER_E_FULL; LARDER_E_BUSY; LARDER_E_CORRUPT. */
int write_restamp_stripe(struct writer *w, const struct table_view *v, uint32_t stripe);

/* Recovery of a slot that died inside OP_ITEM, in its name. */
int write_recover_item(struct writer *w);

/* Deletes what is in the stripe, at most *budget items, which counts down; without index work: the
 * table is being dropped. Stripe lock taken inside. LARDER_OK: it is empty; LARDER_MORE;
 * LARDER_E_BUSY; LARDER_E_CORRUPT. */
int write_empty_stripe(struct writer *w, const struct table_view *v, uint32_t stripe, uint32_t *budget);

#endif
