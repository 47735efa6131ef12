/* index/skl_seek.c - finding a partition, and a place in its list.
 *
 * Job      The walk that readers and lock holders share. It checks every offset, and ends even in a
 *          circle: a reader may be walking through blocks that were freed and became something
 *          else. What it found is then discarded.
 * Tests    tests/unit/index/skl_test.c
 */
#include "core/base/err.h"
#include "core/memory/htab_spot.h"
#include "index/skl.h"

/* Nodes to walk between two looks whether the stripe has changed. */
#define SKL_HOPS_AT_ONCE 1024u
/* Of a leaf: its head and first entries. So the miss of a leaf overlaps with the miss of the node
 * after it, which decides whether the leaf is wanted. */
#define SKL_PREFETCH_BYTES 256u

int skl_corrupt(uint64_t hash) {
    return err_set(LARDER_E_CORRUPT, "index list %016llx is damaged", (unsigned long long)hash);
}

int skl_node_read(const struct skl_list *list, uint64_t off, struct skl_node *n) {
    unsigned char *at = seg_at(list->tab->seg, off, sizeof(struct node_shm));
    if (!at)
        return 0;
    struct block_shm b = block_read(at);
    if (b.hash != list->hash || b.kind != BLOCK_NODE || b.index != list->index)
        return 0;
    if (b.height < 2 || b.height > SKL_HEIGHT_MAX || b.key_bytes > LEAF_KEY_BYTES_MAX)
        return 0;
    *n = (struct skl_node){.shm = (struct node_shm *)at, .off = off, .height = b.height, .low_bytes = b.key_bytes};
    htab_prefetch(list->tab, SHM_LOAD_RELAXED(&n->shm->leaf), SKL_PREFETCH_BYTES);
    return seg_at(list->tab->seg, off, skl_node_bytes(b.key_bytes, b.height)) != NULL;
}

void skl_node_bound(const struct skl_node *n, struct skl_bound *bound) {
    uint64_t low[2];
    shm_copy_out(low, &n->shm->low_hash, sizeof low);
    shm_copy_out(bound->key, n->shm + 1, n->low_bytes);
    bound->cut = (struct leaf_cut){.key = bound->key, .key_bytes = n->low_bytes, .hash = low[0], .kseq = low[1]};
}

/* Takes the block in the list's slot if it is the list's. 1: it is, and makes sense; 0: it is
 * damaged; -1: it is another partition's: the table compares 48 bits, and indexes may share all
 * 64. */
static inline int skl_take_block(struct skl_list *list, const void *block) {
    struct block_shm b = block_read(block);
    uint64_t off = WORD_OFF(list->slot_word);
    if (b.hash != list->hash || b.index != list->index)
        return -1;
    if (b.kind == BLOCK_NODE)
        return skl_node_read(list, off, &list->head);
    list->leaf_off = off;
    return b.kind == BLOCK_LEAF;
}

int skl_find(struct skl_list *list, const struct htab *tab, uint64_t hash, uint32_t index) {
    struct htab_walk walk;
    struct htab_spot spot;
    struct htab_aim aim = htab_aim(tab);
    void *block;
    int taken = -1;
    htab_spot_stripe(&aim, hash, &spot);
    htab_spot_bucket(&aim, &spot);
    htab_spot_slot(&aim, &spot, 0);
    /* no transaction marks a partition stripe: there the bit can only be damage, and counts */
    spot.seq |= SHM_LOAD_RELAXED(&spot.stripe->seq) & SEQ_MARK;
    *list = (struct skl_list){.tab = tab, .stripe = spot.stripe, .hash = hash, .index = index, .seq = spot.seq};
    list->slot = spot.slot;
    list->slot_word = spot.word;
    if (spot.block && (taken = skl_take_block(list, spot.block)) >= 0)
        return taken;
    htab_walk_begin(&walk, tab, list->stripe, hash);
    while (taken < 0 && (list->slot = htab_walk_next(&walk, sizeof(struct block_shm), &list->slot_word, &block)))
        taken = skl_take_block(list, block);
    return taken != 0;
}

/* Whether node n begins after the cut, or (strict) at it. */
static int skl_is_beyond(const struct skl_node *n, const struct leaf_cut *cut, int is_strict) {
    struct skl_bound bound;
    skl_node_bound(n, &bound);
    int order = leaf_compare_cuts(&bound.cut, cut);
    return is_strict ? order >= 0 : order > 0;
}

int skl_link(const struct skl_list *list, const struct skl_node *n, uint32_t level, uint64_t *off) {
    if (level > 0) {
        *off = SHM_LOAD(skl_tower(n, level));
        return 1;
    }
    struct leaf_shm *leaf = seg_at(list->tab->seg, SHM_LOAD(&n->shm->leaf), sizeof(struct leaf_shm));
    if (!leaf)
        return 0;
    *off = SHM_LOAD(&leaf->next);
    return 1;
}

/* `path` NULL: only the node is wanted. */
HTAB_INLINE int skl_walk(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_path *path,
                         struct skl_node *found) {
    uint64_t off, beyond = 0, hops = 0;
    struct circle way = {0};
    struct skl_node n = list->head, next;
    for (uint32_t level = list->head.height; level-- > 0;) {
        /* `beyond` begins after the cut: most levels end at the node where the one above ended. */
        for (;;) {
            if (!skl_link(list, &n, level, &off))
                return 0;
            if (off == 0 || off == beyond)
                break;
            if (++hops % SKL_HOPS_AT_ONCE == 0 && !htab_read_ok(list->stripe, list->seq))
                return 0;
            if (!skl_node_read(list, off, &next) || next.height <= level)
                return 0;
            if (skl_is_beyond(&next, cut, is_strict)) {
                beyond = off;
                break;
            }
            if (circle_is_closed(&way, off))
                return 0;
            n = next;
        }
        if (path)
            path->before[level] = n; /* on level 0: the node itself */
    }
    *found = n;
    return 1;
}

int skl_seek(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_path *path) {
    if (!skl_walk(list, cut, is_strict, path, &path->node))
        return 0;
    for (uint32_t level = list->head.height; level < SKL_HEIGHT_MAX; level++)
        path->before[level] = list->head;
    return 1;
}

int skl_seek_node(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_node *node) {
    return skl_walk(list, cut, is_strict, NULL, node);
}
