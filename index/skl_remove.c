/* index/skl_remove.c - removing an entry, or a whole list.
 *
 * Job      Removing never needs memory: the entry dies in place, and a leaf without live entries is
 *          freed with its node. A leaf that is half dead is merged with a neighbour or replaced, if
 *          there is memory for it.
 * Crash    1 the entry's key sequence is 0: it is removed
 *          2 its leaf has no live entry: tower links past the node, from the top down
 *          3 step 1: the `next` that led to the node, or the slot; node and leaf are given back,
 *            and the leaf is noted
 *          4 step 1: a head without nodes gives the slot to its leaf
 *          Dead after 1 or 2: the same removal again finds an empty leaf and goes on at 2. Dead
 *          after 3: a head without nodes is allowed; if its leaf is empty, the same removal again
 *          finds and drops it.
 * Tests    tests/unit/index/skl_test.c
 */
#include "core/base/err.h"
#include "core/base/swap.h"
#include "index/skl.h"

/* The partition's last entry is gone. */
static int skl_drop_partition(struct writer *w, struct skl_list *list, uint64_t leaf_off) {
    uint64_t retired[2] = {leaf_off, list->head.off}; /* 0: a small partition has no head */
    int r = step_swap(w, 1, list->slot, list->slot_word, 0, &list->stripe->seq, retired, 2);
    htab_count_locked(list->stripe, -1);
    if (r == LARDER_OK)
        skl_note_left(list->stripe, leaf_off);
    return r;
}

int skl_drop_head(struct writer *w, struct skl_list *list) {
    struct leaf leaf;
    uint64_t leaf_off = SHM_LOAD_RELAXED(&list->head.shm->leaf);
    if (!leaf_read(list->tab->seg, leaf_off, list->hash, list->index, &leaf))
        return skl_corrupt(list->hash);
    if (leaf_live_count(&leaf) == 0)
        return skl_drop_partition(w, list, leaf_off);
    return step_swap(w, 1, list->slot, list->slot_word, WORD_MAKE(list->hash, leaf_off), &list->stripe->seq,
                     &list->head.off, 1);
}

void skl_unlink_towers(const struct skl_node *node, const struct skl_path *before) {
    for (uint32_t level = node->height; --level >= 1;) {
        shm_word *link = skl_tower(&before->before[level], level);
        if (SHM_LOAD_RELAXED(link) == node->off)
            SHM_STORE(link, SHM_LOAD_RELAXED(skl_tower(node, level)));
    }
}

static int skl_drop_node(struct writer *w, struct skl_place *p) {
    const struct skl_node *node = &p->path.node;
    struct skl_list *list = &p->list;
    struct skl_bound low;
    struct skl_path before;
    skl_node_bound(node, &low);
    if (node->height > list->head.height || !skl_seek(list, &low.cut, 1, &before))
        return skl_corrupt(list->hash);
    struct leaf_shm *leaf = seg_at(w->seg, SHM_LOAD_RELAXED(&before.node.shm->leaf), sizeof *leaf);
    if (!leaf || SHM_LOAD_RELAXED(&leaf->next) != node->off)
        return skl_corrupt(list->hash);
    uint64_t retired[2] = {node->off, p->leaf_off}, next = leaf_next(&p->leaf);
    int r;
    SHM_IN_ORDER(node_before_towers, skl_unlink_towers(node, &before),
                 r = step_swap(w, 1, &leaf->next, node->off, next, &list->stripe->seq, retired, 2));
    if (r)
        return r;
    skl_note_left(list->stripe, p->leaf_off);
    return !next && before.node.off == list->head.off ? skl_drop_head(w, list) : LARDER_OK;
}

/* p's leaf has no live entry. LARDER_NOT_FOUND: it stays, a head's before other nodes. */
static int skl_drop_leaf(struct writer *w, struct skl_place *p) {
    if (p->path.node.shm && p->path.node.off != p->list.head.off)
        return skl_drop_node(w, p);
    return leaf_next(&p->leaf) ? LARDER_NOT_FOUND : skl_drop_partition(w, &p->list, p->leaf_off);
}

int skl_remove_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index,
                      const struct leaf_entry *e) {
    struct skl_place p;
    int r = skl_place_locked(w, tab, hash, index, e, &p);
    if (r)
        return r == LARDER_NOT_FOUND ? LARDER_OK : r;
    int i = leaf_find(&p.leaf, e);
    if (i >= 0)
        leaf_kill(&p.leaf, seg_at(w->seg, p.leaf_off, sizeof(struct leaf_shm)), (uint32_t)i);
    uint32_t live = leaf_live_count(&p.leaf);
    r = live == 0 ? skl_drop_leaf(w, &p) : LARDER_NOT_FOUND;
    if (r == LARDER_NOT_FOUND && i >= 0 && live * 2 <= leaf_count(&p.leaf) && !w->is_recovery)
        r = skl_shrink(w, &p, 0); /* it costs readers time and memory */
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

/* Removes the first node after the head. *is_last: there was none. */
static int skl_clear_next(struct writer *w, struct skl_list *list, int *is_last) {
    struct leaf_shm *first = seg_at(w->seg, SHM_LOAD_RELAXED(&list->head.shm->leaf), sizeof *first), *leaf;
    struct skl_node node;
    uint64_t off = first ? SHM_LOAD_RELAXED(&first->next) : 0;
    *is_last = !off;
    if (!first || !off)
        return first ? LARDER_OK : skl_corrupt(list->hash);
    if (!skl_node_read(list, off, &node))
        return skl_corrupt(list->hash);
    uint64_t retired[2] = {off, SHM_LOAD_RELAXED(&node.shm->leaf)};
    leaf = seg_at(w->seg, retired[1], sizeof *leaf);
    if (!leaf)
        return skl_corrupt(list->hash);
    return step_swap(w, 1, &first->next, off, SHM_LOAD_RELAXED(&leaf->next), &list->stripe->seq, retired, 2);
}

static uint32_t skl_spend(uint32_t budget, uint32_t blocks) {
    return budget > blocks ? budget - blocks : 0;
}

int skl_clear_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index, uint32_t *budget) {
    struct skl_list list;
    int is_last = 0, r = LARDER_OK;
    if (!skl_find(&list, tab, hash, index))
        return skl_corrupt(hash);
    if (!list.slot)
        return LARDER_OK;
    if (*budget == 0)
        return LARDER_MORE;
    *budget = skl_spend(*budget, 2);
    if (list.leaf_off)
        return skl_drop_partition(w, &list, list.leaf_off);
    /* the nodes go from the front: no tower may lead past the first one */
    for (uint32_t level = list.head.height; --level >= 1;)
        SHM_STORE(skl_tower(&list.head, level), 0);
    for (; !is_last && r == LARDER_OK; *budget = skl_spend(*budget, 2))
        r = *budget ? skl_clear_next(w, &list, &is_last) : LARDER_MORE;
    skl_note_all_left(list.stripe);
    return r ? r : skl_drop_partition(w, &list, SHM_LOAD_RELAXED(&list.head.shm->leaf));
}
