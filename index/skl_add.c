/* index/skl_add.c - adding an entry.
 *
 * Job      Builds the leaf that has the entry, or the two that a split makes of it, and publishes
 *          with one word. Where no room can be made for the one (w->is_short) two halves are tried.
 *          Two only: a leaf of which not even a half finds a block is refused.
 * Crash    1 new blocks are filled, in hand               dead here: given back
 *          2 step 1: the word that referred to the leaf   the entry is there, the split is whole
 *          3 a split in a list: tower links, bottom up    skl_recover_stripe sets the missing ones
 *          4 stripe.count, the leaf that left             recounted; skl.h has the leaf
 * Tests    tests/unit/index/skl_test.c
 */
#include "core/base/debug.h"
#include "index/skl.h"

/* Images of leaves and nodes are kilobytes. If these functions were inlined, all images would lie
 * on one stack frame, and a put must work in a thread with a stack of 16 KB. */
#define ON_ITS_OWN_STACK __attribute__((noinline))

int skl_place_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index,
                     const struct leaf_entry *e, struct skl_place *p) {
    struct leaf_cut cut = leaf_cut_before(e);
    if (!skl_find(&p->list, tab, hash, index))
        return skl_corrupt(hash);
    DEBUG_ASSERT(lock_is_held(w, LOCK_PARTITION));
    if (!p->list.slot)
        return LARDER_NOT_FOUND;
    p->path.node.shm = NULL;
    p->word = p->list.slot;
    p->leaf_off = p->list.leaf_off;
    p->tag = p->list.slot_word - p->list.leaf_off;
    if (!p->leaf_off) {
        if (!skl_seek(&p->list, &cut, 0, &p->path))
            return skl_corrupt(hash);
        p->word = &p->path.node.shm->leaf;
        p->leaf_off = SHM_LOAD_RELAXED(p->word);
        p->tag = 0;
    }
    return leaf_read(tab->seg, p->leaf_off, hash, index, &p->leaf) ? LARDER_OK : skl_corrupt(hash);
}

int skl_take(struct writer *w, const void *from, size_t bytes, uint64_t *off) {
    int r = heap_take(w, bytes, HAND_STEP1 | HAND_NEW, 0, off);
    if (r)
        return r;
    void *block = seg_at(w->seg, *off, bytes);
    if (!block)
        return skl_corrupt(0);
    shm_copy_in(block, from, bytes);
    return LARDER_OK;
}

int skl_publish_leaf(struct writer *w, struct skl_place *p, uint64_t off) {
    int r = step_swap(w, 1, p->word, p->leaf_off | p->tag, off | p->tag, &p->list.stripe->seq, &p->leaf_off, 1);
    if (r == LARDER_OK)
        skl_note_left(p->list.stripe, p->leaf_off);
    return r;
}

/* Replaces the old leaf by the one that was made. */
static int skl_put_leaf(struct writer *w, struct skl_place *p, const struct leaf *made, uint32_t bytes) {
    uint64_t off;
    int r = skl_take(w, made->bytes, bytes, &off);
    return r ? r : skl_publish_leaf(w, p, off);
}

ON_ITS_OWN_STACK int skl_replace_leaf(struct writer *w, struct skl_place *p, const struct leaf_run *run) {
    struct leaf made;
    uint32_t bytes = leaf_build(run, 0, run->count, p->list.hash, p->list.index, leaf_next(&p->leaf), &made);
    return bytes ? skl_put_leaf(w, p, &made, bytes) : skl_corrupt(p->list.hash);
}

/* The first entry of a partition: one small leaf. It replaces nothing that a reader could be
 * reading, so the sequence need not move. */
ON_ITS_OWN_STACK static int skl_add_first(struct writer *w, struct skl_list *list, const struct leaf_entry *e) {
    struct leaf_run run = {.prefix = e->key};
    struct leaf made;
    uint64_t off;
    /* Before the leaf is taken: growing the bucket array is a step 1 of its own. */
    int r = htab_free_slot_locked(w, list->tab, list->stripe, list->hash, &list->slot);
    if (r)
        return r;
    leaf_run_add(&run, e);
    uint32_t bytes = leaf_build(&run, 0, 1, list->hash, list->index, 0, &made);
    r = skl_take(w, made.bytes, bytes, &off);
    if (r)
        return r;
    r = step_swap(w, 1, list->slot, 0, WORD_MAKE(list->hash, off), NULL, NULL, 0);
    htab_count_locked(list->stripe, 1);
    if (r == LARDER_OK)
        skl_note_left(list->stripe, 0);
    return r;
}

/* A quarter of the nodes reach each further level. The primary hash is as good as a die, and a
 * caller cannot choose it. */
static uint32_t skl_height(const struct leaf_run_entry *e) {
    uint64_t die = (e->hash ^ e->kseq) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t height = 2;
    for (die >>= 24; height < SKL_HEIGHT_MAX && (die & 3) == 0; die >>= 2)
        height++;
    return height;
}

/* Puts a node together. links: by level, from 1. */
static size_t skl_build_node(const struct skl_list *list, const struct leaf_cut *low, uint32_t height,
                             uint64_t leaf_off, const uint64_t *links, struct skl_image *image) {
    struct node_shm *node = (struct node_shm *)image->bytes;
    struct skl_node n = {.shm = node, .height = height, .low_bytes = low->key_bytes};
    size_t bytes = skl_node_bytes(low->key_bytes, height);
    memset(image->bytes, 0, bytes);
    node->block = (struct block_shm){.hash = list->hash,
                                     .kind = BLOCK_NODE,
                                     .height = (uint8_t)height,
                                     .index = (uint16_t)list->index,
                                     .key_bytes = (uint16_t)low->key_bytes};
    atomic_init(&node->leaf, leaf_off);
    node->low_hash = low->hash;
    node->low_kseq = low->kseq;
    if (low->key_bytes)
        memcpy(node + 1, low->key, low->key_bytes);
    for (uint32_t level = 1; level < height; level++)
        atomic_init(skl_tower(&n, level), links[level]);
    return bytes;
}

/* Where to split a leaf: in the middle, or near an end if new keys come only at that end. Then most
 * entries go into leaves that stay full. */
static uint32_t skl_wanted_split(const struct skl_place *p, const struct leaf_run *run, uint32_t added) {
    uint32_t few = run->count / 10 ? run->count / 10 : 1;
    int is_first = !p->path.node.shm || p->path.node.off == p->list.head.off;
    if (added == run->count - 1 && !leaf_next(&p->leaf))
        return run->count - few;
    return added == 0 && is_first ? few : run->count / 2;
}

/* Links the new node of a split after p's node, from the lowest level up: a node that a reader
 * finds on a level is also on the levels below. */
static void skl_link_node(const struct skl_place *p, uint64_t node_off, uint32_t height) {
    for (uint32_t level = 1; level < height; level++) /* release: the node is filled */
        SHM_STORE(skl_tower(&p->path.before[level], level), node_off);
}

/* A small partition becomes a list: a head whose towers lead to the new node. */
ON_ITS_OWN_STACK static int skl_take_head(struct writer *w, const struct skl_place *p, uint64_t lower,
                                          uint64_t node_off, uint32_t height, uint64_t *off) {
    struct skl_image image;
    struct leaf_cut lowest = {.key = NULL};
    uint64_t links[SKL_HEIGHT_MAX] = {0};
    for (uint32_t level = 1; level < height; level++)
        links[level] = node_off;
    size_t bytes = skl_build_node(&p->list, &lowest, SKL_HEIGHT_MAX, lower, links, &image);
    return skl_take(w, image.bytes, bytes, off);
}

/* A leaf of the run's entries [from, to), taken and filled. */
ON_ITS_OWN_STACK static int skl_take_part(struct writer *w, const struct skl_place *p, const struct leaf_run *run,
                                          uint32_t from, uint32_t to, uint64_t next, uint64_t *off) {
    struct leaf part;
    uint32_t bytes = leaf_build(run, from, to, p->list.hash, p->list.index, next, &part);
    return bytes ? skl_take(w, part.bytes, bytes, off) : skl_corrupt(p->list.hash);
}

/* The node between both leaves, taken and filled. */
ON_ITS_OWN_STACK static int skl_take_node(struct writer *w, const struct skl_place *p, const struct leaf_run *run,
                                          uint32_t at, uint32_t height, uint64_t upper, uint64_t *off) {
    struct skl_image image;
    struct skl_bound low;
    uint64_t links[SKL_HEIGHT_MAX] = {0};
    for (uint32_t level = 1; level < height && p->path.node.shm; level++)
        links[level] = SHM_LOAD_RELAXED(skl_tower(&p->path.before[level], level));
    low.cut = leaf_run_bound(run, at, low.key);
    size_t bytes = skl_build_node(&p->list, &low.cut, height, upper, links, &image);
    return skl_take(w, image.bytes, bytes, off);
}

/* Takes and fills upper leaf, node and lower leaf of a split at entry `at`. */
static int skl_take_split(struct writer *w, const struct skl_place *p, const struct leaf_run *run, uint32_t at,
                          uint32_t height, uint64_t *lower, uint64_t *node_off) {
    uint64_t upper;
    int r = skl_take_part(w, p, run, at, run->count, leaf_next(&p->leaf), &upper);
    if (r == LARDER_OK)
        r = skl_take_node(w, p, run, at, height, upper, node_off);
    return r ? r : skl_take_part(w, p, run, 0, at, *node_off, lower);
}

static int skl_split(struct writer *w, struct skl_place *p, const struct leaf_run *run, uint32_t wanted) {
    uint64_t lower = 0, node_off = 0, head_off = 0;
    uint32_t at = leaf_split_at(run, wanted);
    uint32_t height = skl_height(&run->entry[at]);
    if (p->path.node.shm && height > p->list.head.height)
        height = p->list.head.height;
    int r = skl_take_split(w, p, run, at, height, &lower, &node_off);
    if (r)
        return r;
    if (p->path.node.shm) {
        r = skl_publish_leaf(w, p, lower);
        if (r == LARDER_OK)
            skl_link_node(p, node_off, height);
        return r;
    }
    r = skl_take_head(w, p, lower, node_off, height, &head_off);
    return r ? r : skl_publish_leaf(w, p, head_off);
}

/* The usual case. LARDER_NOT_FOUND: the leaf has to be taken apart. */
ON_ITS_OWN_STACK static int skl_insert(struct writer *w, struct skl_place *p, const struct leaf_entry *e,
                                       const struct leaf_place *place) {
    struct leaf made;
    uint32_t bytes = leaf_insert(&p->leaf, e, place, &made);
    return bytes ? skl_put_leaf(w, p, &made, bytes) : LARDER_NOT_FOUND;
}

ON_ITS_OWN_STACK static int skl_rebuild(struct writer *w, struct skl_place *p, const struct leaf_entry *e,
                                        int is_halved) {
    struct leaf_run run;
    leaf_take_apart(&p->leaf, &run);
    uint32_t added = leaf_run_add(&run, e);
    is_halved = is_halved && run.count > 2;
    if (!is_halved && leaf_run_fits(&run, 0, run.count))
        return skl_replace_leaf(w, p, &run);
    return skl_split(w, p, &run, is_halved ? run.count / 2 : skl_wanted_split(p, &run, added));
}

/* Adds an entry to the leaf at p. */
static int skl_add_to_leaf(struct writer *w, struct skl_place *p, const struct leaf_entry *e) {
    struct leaf_place place = leaf_place(&p->leaf, e);
    if (place.is_there)
        return LARDER_OK;
    int is_halved = w->halves_leaves;
    int r = is_halved ? LARDER_NOT_FOUND : skl_insert(w, p, e, &place);
    if (r == OBSTACLE_CLAIM && w->is_short) { /* no block for one: there may be two smaller ones */
        is_halved = 1;
        r = LARDER_NOT_FOUND;
    }
    return r == LARDER_NOT_FOUND ? skl_rebuild(w, p, e, is_halved) : r;
}

int skl_add_locked(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index,
                   const struct leaf_entry *e) {
    struct skl_place p;
    int r = skl_place_locked(w, tab, hash, index, e, &p);
    if (r == LARDER_NOT_FOUND)
        return skl_add_first(w, &p.list, e);
    return r ? r : skl_add_to_leaf(w, &p, e);
}
