/* index/skl_seek.c - finding a partition, and a place in its list.
 *
 * Job      The walk that readers and lock holders share. It checks every offset, and ends even in a
 *          circle: a reader may be walking through blocks that were freed and became something
 *          else. What it found is then discarded.
 * Tests    tests/unit/index/skl_test.c
 */
#include <endian.h>

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
    const struct seg *s = list->tab->seg;
    uint64_t room = seg_bytes_at(s, off), words[2];
    if (room < sizeof(struct node_shm))
        return 0;
    struct node_shm *shm = (struct node_shm *)(s->base + off);
    shm_copy_out(words, &shm->block, sizeof words);
    /* struct block_shm by its two words: read member by member it costs twice as much */
    uint32_t height = (uint8_t)(words[1] >> 8), low_bytes = (uint16_t)(words[1] >> 48);
    if (words[0] != list->hash || (words[1] & 0xffff00ff) != ((uint64_t)list->index << 16 | BLOCK_NODE))
        return 0;
    if (height - 2 > SKL_HEIGHT_MAX - 2 || low_bytes > LEAF_KEY_BYTES_MAX)
        return 0;
    *n = (struct skl_node){.shm = shm, .off = off, .height = height, .low_bytes = low_bytes};
    htab_prefetch(list->tab, SHM_LOAD_RELAXED(&shm->leaf), SKL_PREFETCH_BYTES);
    return skl_node_bytes(low_bytes, height) <= room;
}
_Static_assert(offsetof(struct block_shm, kind) == 8 && offsetof(struct block_shm, height) == 9 &&
                   offsetof(struct block_shm, index) == 10 && offsetof(struct block_shm, key_bytes) == 14,
               "skl_node_read() knows where they are");

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

static inline int skl_compare_words(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

/* The last bytes before `end`, 1 to 7, as a word whose first bytes they are. */
static inline uint64_t skl_tail(const uint8_t *key, uint32_t end, uint32_t bytes) {
    uint64_t word = 0;
    if (end < sizeof word) {
        for (uint32_t i = 0; i < bytes; i++)
            word |= (uint64_t)key[end - bytes + i] << 8 * i;
        return word;
    }
    memcpy(&word, key + end - sizeof word, sizeof word);
    return word >> 8 * (sizeof word - bytes);
}

/* The order of the node's low bound and the cut, which has a key. In place, word by word: a node
 * that changes meanwhile is one that left the list, and the walk is discarded. */
static inline int skl_compare_low(const struct skl_node *n, const struct leaf_cut *cut) {
    const shm_word *low = (const shm_word *)(n->shm + 1);
    uint32_t common = n->low_bytes < cut->key_bytes ? n->low_bytes : cut->key_bytes, rest = common % 8;
    for (uint32_t at = 0; at + 8 <= common; at += 8, low++) {
        uint64_t theirs = SHM_LOAD_RELAXED(low), mine;
        memcpy(&mine, cut->key + at, sizeof mine);
        if (theirs != mine)
            return skl_compare_words(be64toh(theirs), be64toh(mine));
    }
    if (rest) {
        uint64_t theirs = SHM_LOAD_RELAXED(low) & ((UINT64_C(1) << 8 * rest) - 1);
        uint64_t mine = skl_tail(cut->key, common, rest);
        if (theirs != mine)
            return skl_compare_words(be64toh(theirs), be64toh(mine));
    }
    if (n->low_bytes != cut->key_bytes)
        return n->low_bytes < cut->key_bytes ? -1 : 1;
    uint64_t hash = SHM_LOAD_RELAXED((const shm_word *)&n->shm->low_hash);
    return hash != cut->hash ? skl_compare_words(hash, cut->hash)
                             : skl_compare_words(SHM_LOAD_RELAXED((const shm_word *)&n->shm->low_kseq), cut->kseq);
}

/* Whether node n begins after the cut, or (strict) at it. */
static inline int skl_is_beyond(const struct skl_node *n, const struct leaf_cut *cut, int is_strict) {
    int order = cut->is_end ? -1 : skl_compare_low(n, cut);
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

/* before: by level, as in struct skl_path; has_path 0: only the node is wanted. */
HTAB_INLINE int skl_walk(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, int has_path,
                         struct skl_node *before, struct skl_node *found) {
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
        if (has_path)
            before[level] = n; /* on level 0: the node itself */
    }
    *found = n;
    return 1;
}

int skl_seek(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_path *path) {
    if (!skl_walk(list, cut, is_strict, 1, path->before, &path->node))
        return 0;
    for (uint32_t level = list->head.height; level < SKL_HEIGHT_MAX; level++)
        path->before[level] = list->head;
    return 1;
}

int skl_seek_node(const struct skl_list *list, const struct leaf_cut *cut, int is_strict, struct skl_node *node) {
    return skl_walk(list, cut, is_strict, 0, NULL, node);
}
