/* core/table/write.h - the write protocol: one item and all its index entries change in one step.
 *
 * Crash    Under the item's stripe lock:
 *           1 op = OP_ITEM with table and stripe
 *               dead here: nothing happened
 *           2 take the new block, copy the image in
 *               dead here: it is in hand, and given back
 *           3 open step 0 on the slot word, old block in hand; wait for what 4 to 8 will lock
 *               a stopped owner: undone
 *           4 add the index entries that only the new image has
 *               dead here: undone from the new block, remove-if-present
 *           5 arm the timer, note it in the new block
 *               a timer for nothing is dropped when it fires
 *           6 publish: the slot word
 *               from here every path leads to the new item
 *           7 remove the index entries that only the old image had
 *               dead here: finished from the old block, remove-if-present
 *           8 close step 0: sequence, old block back
 *           9 op = OP_NONE, unlock
 *          Between 4 and 7 there are entries whose key sequence the item in the slot does not have.
 *          Readers ignore them.
 * Tests    tests/api/put_if_test.c, tests/crash/enum_test.c
 */
#ifndef LARDER_TABLE_WRITE_H
#define LARDER_TABLE_WRITE_H

#include "core/item/page.h"
#include "core/table/change.h"
#include "core/table/make_room.h"

/* ---- Kinds of writes -------------------------------------------------------------------------
 *
 * All writes go the same way. A kind of write adds two functions: what it makes outside the
 * stripe's lock, and what it decides under it. The kinds are in put.c, delete.c, increment.c and
 * upkeep.c.
 */

/* What a decision may be, besides an outcome, a failure or an obstacle. */
#define WRITE_STORE 101  /* write.image takes the place of what is there */
#define WRITE_DELETE 102 /* what is there goes */

struct write;

/* What the caller's page gets if the call does not fail. */
enum write_gives {
    WRITE_GIVES_OLD,  /* the item that was there; write_keep_old() has copied it */
    WRITE_GIVES_NEW,  /* the one that was stored: c->image is all that w->scratch begins with */
    WRITE_GIVES_MADE, /* the one that decide() has made in w->before */
    WRITE_GIVES_NONE
};

struct write_kind {
    /* Outside locks, at the beginning of each try: sets write.key and hash by the view, and makes
     * what it can of the new image. NULL: the caller found the item by other means
     * (write_item_locked). */
    int (*prepare)(struct writer *w, struct write *c);
    /* Under the stripe's lock, before the first store. Sees write.old and was_there. It stores
     * nothing in the segment, allocates nothing and calls no user code; what it lacks is an
     * obstacle. (The kind of upkeep_expire() moves a timer.) WRITE_STORE, WRITE_DELETE; LARDER_OK:
     * the item stays as it is; else the result of the call. */
    int (*decide)(struct writer *w, struct write *c);
    int takes_memory; /* a block, and what else a new image needs, is claimed ahead */
};

/* One write. A kind with arguments has it as the first member of its own struct. */
struct write {
    const struct write_kind *kind;
    struct larder_table *table;
    const struct table_view *view; /* of this try */
    struct item_key *key;          /* in the writer */
    uint64_t hash;
    int64_t now_s;
    struct item_head *image;     /* of WRITE_STORE: in w->scratch */
    struct larder_page *page;    /* NULL, or the caller's, for one item */
    enum write_gives gives;      /* which item it gets */
    struct item_peek peek;       /* where `old` points */
    const struct item_peek *old; /* under the lock: what is there, expired or not; NULL: nothing */
    uint64_t old_word;           /* of its slot */
    int was_there;               /* there is an item, and it has not expired */
    int done;                    /* WRITE_STORE or WRITE_DELETE; 0: nothing was changed */
    struct room room;
};

/* The whole call: borrows a writer, tries until it is done, fills c->page. write_begin() has
 * set c->kind, table and page. */
int write_run(struct write *c);
static inline void write_begin(struct write *c, const struct write_kind *kind, struct larder_table *t,
                               struct larder_page *page) {
    c->kind = kind;
    c->table = t;
    c->page = page;
    c->gives = WRITE_GIVES_OLD;
    c->image = NULL;
    c->was_there = c->done = 0;
}

/* Makes the caller's page ready to get an item, before anything is changed. LARDER_OK,
 * LARDER_E_INVAL, LARDER_E_NO_MEMORY. */
int write_take_page(const struct larder_table *t, struct larder_page *page);

/* For kinds whose prepare() has the caller's key. */
int write_take_key(struct write *c, const struct larder_key *key);
/* For kinds whose prepare() makes no image: fetches the present item, if it is where it was seen
 * last, before the lock is taken. */
void write_fetch_old(const struct write *c);
/* For decisions: copies the present item to w->before, if it was there. LARDER_OK, OBSTACLE_BEFORE,
 * LARDER_E_CORRUPT. */
int write_copy_old(struct writer *w, const struct write *c);
/* The same if the caller has a page for it. */
static inline int write_keep_old(struct writer *w, const struct write *c) {
    return c->page ? write_copy_old(w, c) : LARDER_OK;
}

/* For core/table/transact.c. Finds the item with this key: sets slot, old_word and old of *s; NULL
 * and 0 if there is none. LARDER_OK or LARDER_E_CORRUPT. */
int write_find_locked(const struct table_view *v, const struct item_key *key, struct item_swap *s);
/* The first half of write_item_locked(): sets before and image of *s, stores nothing in the
 * segment. What decide() returns, or LARDER_E_CORRUPT. */
int write_decide_locked(struct writer *w, struct write *c, struct item_swap *s);

/* Decides about the item that s->slot, old_word and old name, and changes it. old is NULL: there is
 * no item; slot is NULL: it has no slot yet. c->kind, view and now_s are set, the stripe is
 * locked. */
int write_item_locked(struct writer *w, struct write *c, struct item_swap *s);

/* Bytes that are fetched of a caller's item before it is looked at, and of the present item before
 * the lock is taken. */
#define WRITE_AHEAD_BYTES 512u

#endif
