/* index/skl.h - the blocked skip list: the entries of one partition of one index, in order.
 *
 * Job      Adds and removes entries under the lock of the partition's stripe, and reads them
 *          without a lock. Whether an entry counts is decided by the item it names
 *          (core/table/read.h), not here.
 * Picture  A partition is found in the table's second hash table (table_view.partitions) by a hash
 *          of index number and partition key. Its slot refers to
 *            a leaf                                 all entries of a small partition
 *          or, from the first split on, to a head node:
 *            head -------- tower[2] --------> node ------------------------------> 0
 *            head -------- tower[1] --------> node --------> node ---------------> 0
 *             | leaf                           | leaf         | leaf
 *            entries -------- next ---------> (node) entries -(node) entries ----> 0
 *          A node stays where it is, unless memory is short; its leaf is replaced as a whole. A
 *          leaf's `next` is the node after it. So one store of a leaf's offset publishes an entry,
 *          or a whole split.
 * Rules    B1 A node holds the entries from its low bound up to the next node's low bound; the head
 *             has the lowest bound there is. Low bounds rise.
 *          B2 While the stripe's lock is free, tower[l] links exactly the nodes of height above l,
 *             in order; every node has a height of at least 2. Readers may find a link missing (it
 *             is set after the split is published), but never a link to a node outside the list.
 *          B3 Only the head's leaf may be without live entries, and only if another node follows.
 *          B4 A partition's block knows its hash and index number; different indexes share no list.
 *             Different partition keys of equal hash share one: readers compare the item's own
 *             partition key with the one they want.
 *          B5 A leaf that has left its list, replaced or dropped, is noted in the stripe
 *             (skl_left.c) before the lock is free.
 * Locks    Changing needs the partition stripe's lock (LOCK_PARTITION). Reading needs none:
 *          everything read between htab_read_begin() and a true htab_read_ok() was linked all
 *          along.
 * Crash    Every change is one swap of a word (step 1 of core/memory/journal.h), or one store. In
 *          the order of the stores:
 *          Adding   1 new leaf, on a split also node and head  2 swap slot or node.leaf
 *                   3 tower links to the new node  4 the old leaf is noted (stripe.left,
 *                   stripe.moves).
 *                   Dead in 3: a link is missing; skl_recover_stripe sets it. Dead before 4: the
 *                   item is not published, so no reader misses anything, and skl_recover_stripe
 *                   notes all leaves as left.
 *          Removing 1 key sequence 0 in place  2 if the leaf is empty: tower links past the node,
 *                   from the top  3 swap the `next` before it, or the slot  4 the leaf is noted.
 *                   Dead in 2: skl_recover_stripe sets the links again. Dead before 3: recovery
 *                   removes the same entry again, finds the empty leaf and goes on. Dead before 4:
 *                   as above.
 *          Merging  1 joined leaf  2 tower links past the later node, from the top  3 swap the
 *                   earlier node's leaf: both leaves and the later node go  4 both leaves are
 *                   noted. Dead before 3 or 4: as above.
 *          Moving   a node: as a removal's 2, then 3 swaps the `next` to its copy, then as 3 of
 *                   adding.
 *          stripe.count is recounted by skl_recover_stripe.
 * Tests    tests/unit/index/skl_test.c, tests/unit/index/skl_left_test.c,
 *          tests/unit/index/skl_death_test.c
 */
#ifndef LARDER_INDEX_SKL_H
#define LARDER_INDEX_SKL_H

#include "core/base/circle.h"
#include "core/memory/htab.h"
#include "index/leaf.h"

/* A quarter of the nodes reach each level from 2 on. In a list of over 4^8 leaves the highest level
 * is a long walk; more levels would make every head larger. */
#define SKL_HEIGHT_MAX 10u

struct node_shm {
    struct block_shm block; /* key_bytes: of the low bound */
    shm_word leaf;          /* changed under the stripe's lock, one store; readers validate */
    uint64_t low_hash, low_kseq;
    /* Then the low bound's sort key, zero-padded to 8, and shm_word tower[height - 1] for levels
     * 1..height - 1. */
};
_Static_assert(sizeof(struct node_shm) == 40, "node_shm is part of the segment format");

/* A node that was found; its bounds are checked. */
struct skl_node {
    struct node_shm *shm; /* NULL: none */
    uint64_t off;
    uint32_t height, low_bytes;
};

/* A low bound, copied. */
struct skl_bound {
    struct leaf_cut cut;
    _Alignas(8) uint8_t key[LEAF_KEY_BYTES_MAX];
};

static inline uint64_t skl_node_bytes(uint32_t low_bytes, uint32_t height) {
    return sizeof(struct node_shm) + ((low_bytes + 7u) & ~7u) + sizeof(shm_word) * (height - 1);
}
static inline shm_word *skl_tower(const struct skl_node *n, uint32_t level) {
    return (shm_word *)((uint8_t *)(n->shm + 1) + ((n->low_bytes + 7u) & ~7u)) + (level - 1);
}

/* ---- Finding (skl_seek.c): by readers and lock holders --------------------------------------- */

/* A list as found at one moment. */
struct skl_list {
    const struct htab *tab;
    struct stripe_shm *stripe;
    uint64_t hash;
    uint32_t index;
    uint64_t seq;   /* of the stripe; what was read since is good while it has this value */
    shm_word *slot; /* NULL: there is no such partition */
    uint64_t slot_word;
    uint64_t leaf_off; /* of a small partition; else 0, and the list has a head: */
    struct skl_node head;
};

/* The place of a cut: the node that holds it, and on every level the last node that is not after
 * it. */
struct skl_path {
    struct skl_node node;
    struct skl_node before[SKL_HEIGHT_MAX]; /* by level, from 1 */
};

/* Sets hash and index number and finds the partition. Returns 0 if its block is damaged. */
int skl_find(struct skl_list *list, const struct htab *tab, uint64_t hash, uint32_t index);
/* Reads the node at off. Returns 0 if it is no node of this list. */
int skl_node_read(const struct skl_list *list, uint64_t off, struct skl_node *n);
void skl_node_bound(const struct skl_node *n, struct skl_bound *bound);
/* The node after n on a level; on level 0 through n's leaf. *off 0: there is none. Returns 0 on a
 * bad offset. */
int skl_link(const struct skl_list *list, const struct skl_node *n, uint32_t level, uint64_t *off);
/* The last node whose low bound is not after the cut (is_strict: is before it), or else the head.
 * Returns 0 if the list is damaged. */
int skl_seek(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_path *path);
/* The same node without its path: for readers. */
int skl_seek_node(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_node *node);

/* ---- Leaves that have left (skl_left.c) ------------------------------------------------------ */

/* The leaves that a reader has read, or tried to read: the marks of the first ones, and one bit per
 * mark for all further ones. A bit may be another leaf's: then a page is read again without
 * need. */
#define SKL_SEEN 16u
#define SKL_SEEN_BITS 16384u /* a page of 1 MiB has some hundreds of leaves */
struct skl_seen {
    uint32_t count;
    uint16_t mark[SKL_SEEN];
    uint64_t more[SKL_SEEN_BITS / 64]; /* set only if count is more than SKL_SEEN */
};
enum skl_left { SKL_NONE_LEFT, SKL_ONE_LEFT, SKL_MANY_LEFT /* more than were noted */ };

static inline uint16_t skl_mark(uint64_t leaf_off) {
    return (uint16_t)(leaf_off * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}
void skl_see_more(struct skl_seen *seen, uint16_t mark);
static inline void skl_see(struct skl_seen *seen, uint64_t leaf_off) {
    if (seen->count < SKL_SEEN)
        seen->mark[seen->count] = skl_mark(leaf_off);
    else
        skl_see_more(seen, skl_mark(leaf_off));
    seen->count++;
}
/* Under the lock: this leaf (0: there was none, now there is one) has left its list; or any may. */
void skl_note_left(struct stripe_shm *stripe, uint64_t leaf_off);
void skl_note_all_left(struct stripe_shm *stripe);
/* Whether any of these leaves has left since stripe.moves was `since`, which was loaded before the
 * first of them was read. */
enum skl_left skl_have_left(const struct stripe_shm *stripe, uint32_t since, const struct skl_seen *seen);

/* ---- Reading (skl_read.c): without locks ----------------------------------------------------- */

struct skl_reader {
    struct skl_list list;
    struct skl_seen seen;
    struct skl_node node; /* shm NULL: a small partition */
    struct leaf leaf;
    uint32_t begin;       /* read upwards: number of the leaf's first entry at or after the cut */
    int is_first;         /* no leaf comes before this one */
    struct circle way;    /* nodes since the last search: a damaged list may be a circle */
    struct skl_bound low; /* when read downwards and not is_first: where the leaf begins */
};

/* A reader that has read nothing. Its parts are large, so only these are set. */
static inline void skl_reader_init(struct skl_reader *r) {
    r->is_first = 1;
    r->seen.count = 0;
    memset(r->leaf.bytes, 0, sizeof(struct leaf_shm));
}
/* Reads the leaf with the first entry at or after the cut: LARDER_OK; LARDER_NOT_FOUND: there is
 * none; LARDER_E_CORRUPT. */
int skl_read_up(struct skl_reader *r, const struct htab *tab, uint64_t hash, uint32_t index,
                const struct leaf_cut *cut);
/* The same for the leaf of the last entry before the cut. */
int skl_read_down(struct skl_reader *r, const struct htab *tab, uint64_t hash, uint32_t index,
                  const struct leaf_cut *cut);
/* After skl_read_up: the next leaf. `cut` is where to go on if the list has changed since. */
int skl_read_next(struct skl_reader *r, const struct leaf_cut *cut);

/* ---- Changing (skl_add.c, skl_remove.c, skl_merge.c, skl_move.c): under the stripe's lock ---- */

/* LARDER_OK, also if the entry was there; LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY,
 * LARDER_E_CORRUPT. After a failure with step 1 open, or with blocks of it in hand, the caller's
 * writer is stuck and keeps the lock. */
int skl_add_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index, const struct leaf_entry *e);
/* LARDER_OK, also if it was not there; LARDER_E_BUSY, LARDER_E_CORRUPT. Needs no memory. */
int skl_remove_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index,
                      const struct leaf_entry *e);
/* Frees a whole list, or about *budget blocks of it, which counts down: LARDER_MORE. It may be cut
 * off anywhere and repeated: what is left is a list. */
int skl_clear_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index, uint32_t *budget);

/* Lets all leaves of a stripe shrink, if memory is short; adds to *trimmed. LARDER_OK; else the
 * writer is stuck. */
int skl_trim_stripe_locked(struct writer *w, const struct htab *tab, struct stripe_shm *stripe, uint32_t *trimmed);

/* Moves the leaf or node at off to another block. LARDER_NOT_FOUND: no list of tab refers to it;
 * else as skl_add_locked(). */
int skl_move_locked(struct writer *w, const struct htab *tab, uint64_t off);

/* For these four: the leaf that an entry belongs to, and the word that refers to the leaf. */
struct skl_place {
    struct skl_list list;
    struct skl_path path; /* path.node.shm NULL: a small partition */
    shm_word *word;
    uint64_t leaf_off, tag; /* *word is leaf_off | tag */
    struct leaf leaf;
};
/* LARDER_OK, LARDER_NOT_FOUND (no such partition), LARDER_E_CORRUPT. */
int skl_place_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index,
                     const struct leaf_entry *e, struct skl_place *p);
/* Takes a block (HAND_NEW of step 1) and fills it. */
int skl_take(struct writer *w, const void *from, size_t bytes, uint64_t *off);
/* Lets the word at p refer to the leaf or head at off. */
int skl_publish_leaf(struct writer *w, struct skl_place *p, uint64_t off);
/* Towers lead past the node. From the top: a node that a reader finds on a level is also on the
 * levels below. before: of its low bound, strict. */
void skl_unlink_towers(const struct skl_node *node, const struct skl_path *before);
/* The head's last node is gone: its leaf is the whole partition again. */
int skl_drop_head(struct writer *w, struct skl_list *list);
/* p's leaf and a small neighbour's become one (is_forward: the next one's); or it gets a new leaf
 * without its dead entries. Without memory it stays. LARDER_OK; else the writer is stuck. p is of
 * no use after it, unless is_forward. */
int skl_shrink(struct writer *w, struct skl_place *p, int is_forward);
/* A new leaf of the live entries, of which there are some. */
int skl_take_live(struct writer *w, struct skl_place *p);
/* A node being put together, or a copy of one. */
#define SKL_NODE_BYTES_MAX (sizeof(struct node_shm) + LEAF_KEY_BYTES_MAX + sizeof(shm_word) * (SKL_HEIGHT_MAX - 1))
struct skl_image {
    _Alignas(8) uint8_t bytes[SKL_NODE_BYTES_MAX];
};
/* Replaces the old leaf by a new one with all of the run's entries. */
int skl_replace_leaf(struct writer *w, struct skl_place *p, const struct leaf_run *run);

/* ---- The whole list (skl_recover.c) ---------------------------------------------------------- */

/* core_hooks->index_recover_stripe. */
int skl_recover_stripe(struct writer *w, struct stripe_shm *stripe);

int skl_corrupt(uint64_t hash);

#endif
