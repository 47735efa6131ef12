/* index/index_stats.c - the sizes of a table's indexes, for larder_index_stats().
 *
 * Job      Walks every list as any reader does, without a lock. An entry that changes meanwhile may
 *          or may not be counted.
 * Tests    tests/api/stats_test.c
 */
#include "index/index.h"
#include <stdio.h>

/* Adds up one leaf and its node. */
static void stats_add_leaf(const struct skl_reader *r, struct larder_index_stats *out) {
    const struct seg *s = r->list.tab->seg;
    out->entries += leaf_live_count(&r->leaf);
    out->bytes += heap_block_bytes(s, r->node.shm ? SHM_LOAD(&r->node.shm->leaf) : r->list.leaf_off);
    out->bytes += r->node.shm ? heap_block_bytes(s, r->node.off) : 0;
}

static int stats_add_list(const struct table_view *v, uint64_t hash, uint32_t number, struct larder_index_stats *out) {
    struct skl_reader reader;
    struct skl_bound at = {.cut = {.key = NULL}};
    skl_reader_init(&reader);
    int r = skl_read_up(&reader, &v->partitions, hash, number, &at.cut);
    out->partitions += r == LARDER_OK;
    while (r == LARDER_OK) {
        stats_add_leaf(&reader, out);
        uint32_t last = leaf_count(&reader.leaf) - 1;
        at.cut = (struct leaf_cut){.key = at.key, .hash = leaf_hash(&reader.leaf, last), .kseq = LEAF_KSEQ_END};
        at.cut.key_bytes = leaf_key(&reader.leaf, last, at.key);
        r = skl_read_next(&reader, &at.cut);
    }
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

/* The place of index `number` in the result, or -1: an index that is filling or dead has none. */
static int stats_place(const struct table_view *v, uint32_t number, uint32_t count) {
    uint32_t place = 0;
    if (number >= index_count(v) || (number && v->index_state[number - 1] != INDEX_ACTIVE))
        return -1;
    for (uint32_t i = 0; i < number; i++)
        place += v->index_state[i] == INDEX_ACTIVE;
    return place < count ? (int)place : -1;
}

static int stats_add_word(const struct table_view *v, uint64_t word, struct larder_index_stats *out, uint32_t count) {
    const void *at = seg_at(v->partitions.seg, WORD_OFF(word), sizeof(struct block_shm));
    if (!at)
        return LARDER_OK;
    struct block_shm block = block_read(at);
    int place = stats_place(v, block.index, count);
    return place < 0 ? LARDER_OK : stats_add_list(v, block.hash, block.index, &out[place]);
}

int index_stats(const struct table_view *v, struct larder_index_stats *out, uint32_t count) {
    uint64_t words[HTAB_CHAIN_MAX];
    for (uint32_t i = 0; i < count; i++)
        snprintf(out[i].name, sizeof out[i].name, "%s", i && i <= v->def.index_count ? v->def.indexes[i - 1].name : "");
    for (uint32_t s = 0; s < v->partitions.stripe_count; s++) {
        const struct stripe_shm *stripe = &v->partitions.stripes[s];
        for (uint32_t b = 0; b < htab_bucket_count(&v->partitions, stripe); b++) {
            int n = htab_bucket_slots(&v->partitions, stripe, b, words, HTAB_CHAIN_MAX);
            for (int i = 0; i < n; i++) {
                int r = stats_add_word(v, words[i], out, count);
                if (r)
                    return r;
            }
        }
    }
    return LARDER_OK;
}
