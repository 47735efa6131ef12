/* index/skl_merge.c - two leaves that became small become one.
 *
 * Job      A removal left few entries in a leaf (skl_remove.c). If they and those of a neighbour
 *          fit into three quarters of a leaf, the earlier node gets one leaf with both, and the
 *          later node goes. If that was the last node, the head goes, too. Else a leaf of the live
 *          entries alone takes its place. When memory is short (core/table/trim.h) the same is done
 *          to all leaves of which an eighth is dead.
 * Why      Leaves that are nearly empty cost twice the bytes of an entry, and stay for ever where
 *          no key comes again. Three quarters: the next entries do not split it at once.
 * Crash    1 the joined leaf is filled, in hand           dead here: given back
 *          2 tower links past the later node, top down    skl_recover_stripe sets them again
 *          3 step 1: the earlier node's leaf; both old leaves and the later node are given back
 *          4 the old leaves are noted                     skl_recover_stripe notes all
 *          5 step 1: a head without nodes gives the slot to its leaf; it may also stay
 * Tests    tests/unit/index/skl_test.c, tests/unit/index/skl_death_test.c,
 *          tests/crash/scenarios.c (merge_leaves, merge_last, trim_leaves, ..)
 */
#include "core/base/swap.h"
#include "core/memory/journal.h"
#include "index/skl.h"

#define ON_ITS_OWN_STACK __attribute__((noinline))

#define JOINED_BYTES_MAX (LEAF_BYTES / 4 * 3)
static uint32_t joined_entries_max(void) {
    return leaf_capacity / 4 * 3 > 1 ? leaf_capacity / 4 * 3 : leaf_capacity;
}

/* The node at off, and its leaf. */
struct neighbour {
    struct skl_node node;
    uint64_t leaf_off;
};

/* Live entries of a linked leaf, counted in place. More than a leaf has if it is none. */
static uint32_t count_live(const struct seg *s, uint64_t off) {
    const struct leaf_shm *leaf = seg_at(s, off, sizeof *leaf);
    uint32_t live = 0, count = leaf ? block_read(leaf).count : 0;
    if (count < 1 || count > LEAF_ENTRIES || !seg_at(s, off, sizeof *leaf + LEAF_ENTRY_BYTES * count))
        return LEAF_ENTRIES + 1;
    for (uint32_t i = 0; i < count; i++)
        live += SHM_LOAD_RELAXED(&leaf_shm_kseq(leaf, count)[i]) != 0;
    return live;
}

/* Whether this leaf and `live` entries more are worth a try. */
static int is_small(const struct skl_place *p, uint64_t leaf_off, uint32_t live) {
    return live + count_live(p->list.tab->seg, leaf_off) <= joined_entries_max();
}

/* The node after p's, if it is small. */
static int find_next(const struct skl_place *p, struct neighbour *next) {
    uint64_t off = leaf_next(&p->leaf);
    if (!off || !skl_node_read(&p->list, off, &next->node))
        return 0;
    next->leaf_off = SHM_LOAD_RELAXED(&next->node.shm->leaf);
    return is_small(p, next->leaf_off, leaf_live_count(&p->leaf));
}

/* p becomes the place of the node before it, if that is small. Else it stays. */
ON_ITS_OWN_STACK static int go_to_previous(struct skl_place *p) {
    struct skl_bound low;
    struct skl_path before;
    if (p->path.node.off == p->list.head.off)
        return 0;
    skl_node_bound(&p->path.node, &low);
    if (!skl_seek(&p->list, &low.cut, 1, &before))
        return 0;
    uint64_t leaf_off = SHM_LOAD_RELAXED(&before.node.shm->leaf);
    if (!is_small(p, leaf_off, leaf_live_count(&p->leaf)))
        return 0;
    p->path = before;
    p->word = &before.node.shm->leaf;
    p->leaf_off = leaf_off;
    return leaf_read(p->list.tab->seg, leaf_off, p->list.hash, p->list.index, &p->leaf);
}

ON_ITS_OWN_STACK static int take_joined(struct writer *w, const struct skl_place *p, uint64_t next_off, uint64_t *off) {
    struct leaf next, made;
    if (!leaf_read(w->seg, next_off, p->list.hash, p->list.index, &next))
        return skl_corrupt(p->list.hash);
    uint32_t bytes = leaf_join(&p->leaf, &next, joined_entries_max(), JOINED_BYTES_MAX, &made);
    return bytes ? skl_take(w, made.bytes, bytes, off) : LARDER_NOT_FOUND;
}

ON_ITS_OWN_STACK static int publish_joined(struct writer *w, struct skl_place *p, const struct neighbour *next,
                                           uint64_t off) {
    struct skl_bound low;
    struct skl_path before;
    const struct skl_list *list = &p->list;
    uint64_t retired[3] = {p->leaf_off, next->leaf_off, next->node.off};
    skl_node_bound(&next->node, &low);
    if (next->node.height > list->head.height || !skl_seek(list, &low.cut, 1, &before) ||
        before.node.off != p->path.node.off)
        return skl_corrupt(list->hash);
    int r;
    SHM_IN_ORDER(node_before_towers, skl_unlink_towers(&next->node, &before),
                 r = step_swap(w, 1, p->word, p->leaf_off, off, &list->stripe->seq, retired, 3));
    if (r)
        return r;
    skl_note_left(list->stripe, p->leaf_off);
    skl_note_left(list->stripe, next->leaf_off);
    return LARDER_OK;
}

static int join(struct writer *w, struct skl_place *p, const struct neighbour *next) {
    uint64_t off = 0;
    int r = take_joined(w, p, next->leaf_off, &off);
    if (r)
        return r;
    const struct leaf_shm *made = seg_at(w->seg, off, sizeof *made);
    int is_last = p->path.node.off == p->list.head.off && made && !SHM_LOAD_RELAXED(&made->next);
    SHM_NOT_YET(head_before_join, if (is_last)(void) skl_drop_head(w, &p->list));
    r = publish_joined(w, p, next, off);
    return r == LARDER_OK && is_last ? skl_drop_head(w, &p->list) : r;
}

/* p becomes the place of this node again. */
static int go_back(struct skl_place *p, const struct skl_node *node) {
    p->path.node = *node;
    p->word = &node->shm->leaf;
    p->leaf_off = SHM_LOAD_RELAXED(p->word);
    return leaf_read(p->list.tab->seg, p->leaf_off, p->list.hash, p->list.index, &p->leaf);
}

/* LARDER_NOT_FOUND: no neighbour is small enough, and nothing has changed. */
static int merge(struct writer *w, struct skl_place *p, int is_forward) {
    struct skl_node node = p->path.node;
    struct neighbour next;
    if (!node.shm)
        return LARDER_NOT_FOUND;
    int r = find_next(p, &next) ? join(w, p, &next) : LARDER_NOT_FOUND;
    if (r != LARDER_NOT_FOUND || is_forward || !go_to_previous(p))
        return r;
    r = find_next(p, &next) ? join(w, p, &next) : LARDER_NOT_FOUND;
    return r && !step_is_open(w, 1) && !go_back(p, &node) ? skl_corrupt(p->list.hash) : r;
}

int skl_shrink(struct writer *w, struct skl_place *p, int is_forward) {
    uint32_t live = leaf_live_count(&p->leaf);
    int r = merge(w, p, is_forward);
    if (r == LARDER_OK || step_is_open(w, 1))
        return r;
    r = step_abandon(w, 1);
    if (r || live == 0 || live == leaf_count(&p->leaf))
        return r;
    r = skl_take_live(w, p);
    return r == LARDER_OK || step_is_open(w, 1) ? r : step_abandon(w, 1);
}

/* ---- All leaves of a stripe ------------------------------------------------------------------ */

/* Whether a leaf has so many dead entries that it is worth a new one, or a neighbour to join. */
static int is_worth_it(const struct seg *s, const struct skl_place *p) {
    const struct leaf_shm *leaf = seg_at(s, p->leaf_off, sizeof *leaf);
    uint32_t count = leaf ? block_read(leaf).count : 0, live = count_live(s, p->leaf_off);
    struct skl_node next;
    if (live > LEAF_ENTRIES)
        return 0;
    if (live > 0 && live * 8 <= count * 7)
        return 1;
    uint64_t off = p->path.node.shm ? SHM_LOAD_RELAXED(&leaf->next) : 0;
    return off && skl_node_read(&p->list, off, &next) && is_small(p, SHM_LOAD_RELAXED(&next.shm->leaf), live);
}

/* One leaf, and those after it that it takes in. LARDER_OK, or the writer is stuck. */
static int trim_leaf(struct writer *w, struct skl_place *p, uint32_t *trimmed) {
    const struct seg *s = w->seg;
    uint32_t before;
    int r = LARDER_OK;
    do {
        before = *trimmed;
        p->leaf_off = p->path.node.shm ? SHM_LOAD_RELAXED(p->word) : p->list.leaf_off;
        if (!is_worth_it(s, p) || !leaf_read(s, p->leaf_off, p->list.hash, p->list.index, &p->leaf))
            return LARDER_OK;
        uint32_t moves = SHM_LOAD_RELAXED(&p->list.stripe->moves);
        r = skl_shrink(w, p, 1);
        *trimmed += SHM_LOAD_RELAXED(&p->list.stripe->moves) != moves;
    } while (r == LARDER_OK && *trimmed != before && SHM_LOAD_RELAXED(p->list.slot) == p->list.slot_word);
    return r;
}

ON_ITS_OWN_STACK static int trim_list(struct writer *w, const struct skl_list *list, uint32_t *trimmed) {
    struct skl_place p = {.list = *list, .word = list->slot, .tag = list->slot_word - list->leaf_off};
    struct circle way = {0};
    uint64_t next = 0;
    if (list->leaf_off)
        return trim_leaf(w, &p, trimmed);
    p.path.node = list->head;
    p.tag = 0;
    for (;;) {
        p.word = &p.path.node.shm->leaf;
        int r = trim_leaf(w, &p, trimmed);
        if (r || SHM_LOAD_RELAXED(list->slot) != list->slot_word) /* the head is gone */
            return r;
        if (!skl_link(list, &p.path.node, 0, &next) || !next || circle_is_closed(&way, next) ||
            !skl_node_read(list, next, &p.path.node))
            return LARDER_OK;
    }
}

int skl_trim_stripe_locked(struct writer *w, const struct htab *tab, struct stripe_shm *stripe, uint32_t *trimmed) {
    uint64_t words[HTAB_CHAIN_MAX];
    int r = LARDER_OK;
    for (uint32_t b = 0, total = htab_bucket_count(tab, stripe); b < total; b++) {
        int count = htab_bucket_slots(tab, stripe, b, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < count && r == LARDER_OK; i++) {
            const struct block_shm *block = seg_at(w->seg, WORD_OFF(words[i]), sizeof *block);
            struct skl_list list;
            if (block && skl_find(&list, tab, block->hash, block->index) && list.slot)
                r = trim_list(w, &list, trimmed);
        }
    }
    return r;
}
