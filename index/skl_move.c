/* index/skl_move.c - moving a leaf or a node to another block.
 *
 * Job      Puts the same bytes into a new block, and lets what led to the old one lead there
 *          (core/table/move.h). A leaf that moves loses its dead entries.
 * Crash    A leaf, a head: one swap of a word, as for an added entry. Another node: 1 tower links
 *          past it, from the top  2 the `next` before it, by step 1  3 tower links to the new node,
 *          bottom up. Dead in 1 or 3: skl_recover_stripe sets the links.
 * Tests    tests/crash/scenarios.c (move_blocks)
 */
#include "index/skl.h"

#define ON_ITS_OWN_STACK __attribute__((noinline))

/* Seeks the leaf at off, which p->leaf is a copy of, by a live entry. Only a head's leaf may have
 * none (B3). */
ON_ITS_OWN_STACK static int skl_seek_leaf(struct skl_place *p, uint64_t off) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < leaf_count(&p->leaf); i++) {
        if (leaf_kseq(&p->leaf, i) == 0)
            continue;
        struct leaf_cut cut = {.key = key, .key_bytes = leaf_key(&p->leaf, i, key), .hash = leaf_hash(&p->leaf, i)};
        cut.kseq = leaf_kseq(&p->leaf, i);
        return skl_seek(&p->list, &cut, 0, &p->path) && SHM_LOAD_RELAXED(&p->path.node.shm->leaf) == off;
    }
    return 0;
}

/* The place of the leaf at off. False: the list does not refer to it. */
static int skl_place_of(struct skl_place *p, uint64_t off) {
    const struct skl_list *list = &p->list;
    if (!leaf_read(list->tab->seg, off, list->hash, list->index, &p->leaf))
        return 0;
    p->leaf_off = off;
    p->path.node = list->head;
    if (list->leaf_off) {
        p->word = list->slot;
        p->tag = list->slot_word - list->leaf_off;
        return list->leaf_off == off;
    }
    if (SHM_LOAD_RELAXED(&list->head.shm->leaf) != off && !skl_seek_leaf(p, off))
        return 0;
    p->word = &p->path.node.shm->leaf;
    p->tag = 0;
    return 1;
}

ON_ITS_OWN_STACK int skl_take_live(struct writer *w, struct skl_place *p) {
    struct leaf_run run;
    leaf_take_apart(&p->leaf, &run);
    return skl_replace_leaf(w, p, &run);
}

ON_ITS_OWN_STACK static int skl_move_leaf(struct writer *w, const struct skl_list *list, uint64_t off) {
    struct skl_place p = {.list = *list};
    uint64_t to;
    if (!skl_place_of(&p, off))
        return LARDER_NOT_FOUND;
    uint32_t live = leaf_live_count(&p.leaf);
    if (live != 0 && live < leaf_count(&p.leaf))
        return skl_take_live(w, &p);
    int r = skl_take(w, p.leaf.bytes, leaf_bytes(&p.leaf), &to);
    return r ? r : skl_publish_leaf(w, &p, to);
}

/* A copy of the node in a new block. */
ON_ITS_OWN_STACK static int skl_take_copy(struct writer *w, const struct skl_node *node, uint64_t *to) {
    struct skl_image image;
    size_t bytes = skl_node_bytes(node->low_bytes, node->height);
    shm_copy_out(image.bytes, node->shm, bytes);
    return skl_take(w, image.bytes, bytes, to);
}

static int skl_move_head(struct writer *w, const struct skl_list *list) {
    uint64_t to;
    int r = skl_take_copy(w, &list->head, &to);
    return r ? r
             : step_swap(w, 1, list->slot, list->slot_word, WORD_MAKE(list->hash, to), &list->stripe->seq,
                         &list->head.off, 1);
}

ON_ITS_OWN_STACK static int skl_move_node(struct writer *w, const struct skl_list *list, uint64_t off) {
    struct skl_node node;
    struct skl_bound low;
    struct skl_path before;
    uint64_t to;
    if (!skl_node_read(list, off, &node) || node.height > list->head.height)
        return LARDER_NOT_FOUND;
    skl_node_bound(&node, &low);
    if (!skl_seek(list, &low.cut, 1, &before))
        return LARDER_NOT_FOUND;
    struct leaf_shm *leaf = seg_at(w->seg, SHM_LOAD_RELAXED(&before.node.shm->leaf), sizeof *leaf);
    if (!leaf || SHM_LOAD_RELAXED(&leaf->next) != off)
        return LARDER_NOT_FOUND;
    int r = skl_take_copy(w, &node, &to);
    if (r)
        return r;
    skl_unlink_towers(&node, &before);
    r = step_swap(w, 1, &leaf->next, off, to, &list->stripe->seq, &off, 1);
    for (uint32_t level = 1; r == LARDER_OK && level < node.height; level++)
        SHM_STORE(skl_tower(&before.before[level], level), to);
    return r;
}

int skl_move_locked(struct writer *w, const struct htab *tab, uint64_t off) {
    const struct block_shm *block = seg_at(w->seg, off, sizeof *block);
    struct skl_list list;
    struct block_shm b;
    if (!block)
        return LARDER_NOT_FOUND;
    b = block_read(block);
    if (!skl_find(&list, tab, b.hash, b.index) || !list.slot)
        return LARDER_NOT_FOUND;
    if (b.kind == BLOCK_LEAF)
        return skl_move_leaf(w, &list, off);
    if (b.kind != BLOCK_NODE || list.leaf_off)
        return LARDER_NOT_FOUND;
    return list.head.off == off ? skl_move_head(w, &list) : skl_move_node(w, &list, off);
}
