/* index/index_stats.c - the sizes of a table's indexes, for larder_index_stats() and for
 * larder_repair().
 *
 * Job      Walks every list as any reader does, without a lock. An entry that changes meanwhile may
 *          or may not be counted.
 * Tests    tests/api/stats_test.c, tests/crash/repair_loss_test.c
 */
#include "index/index.h"
#include <stdio.h>

/* A walk over lists: what is done with a leaf, and with what. */
struct stats_walk {
    const struct table_view *v;
    void (*add_leaf)(const struct stats_walk *walk, const struct skl_reader *r);
    struct larder_index_stats *out; /* of stats_add_leaf */
    uint32_t *counts;               /* of stats_add_entries */
};

/* ---- Walking --------------------------------------------------------------------------------- */

/* *is_there: the partition has a leaf. */
static int stats_walk_list(const struct stats_walk *walk, uint64_t hash, uint32_t number, int *is_there) {
    struct skl_reader reader;
    struct skl_bound at = {.cut = {.key = NULL}};
    skl_reader_init(&reader);
    int r = skl_read_up(&reader, &walk->v->partitions, hash, number, &at.cut);
    *is_there = r == LARDER_OK;
    while (r == LARDER_OK) {
        walk->add_leaf(walk, &reader);
        uint32_t last = leaf_count(&reader.leaf) - 1;
        at.cut = (struct leaf_cut){.key = at.key, .hash = leaf_hash(&reader.leaf, last), .kseq = LEAF_KSEQ_END};
        at.cut.key_bytes = leaf_key(&reader.leaf, last, at.key);
        r = skl_read_next(&reader, &at.cut);
    }
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

/* Calls `use` for each partition until it returns an error; with NULL for what cannot be read. */
static int stats_walk_partitions(const struct table_view *v, int (*use)(void *arg, const struct block_shm *block),
                                 void *arg) {
    uint64_t words[HTAB_CHAIN_MAX];
    int r = LARDER_OK;
    for (uint32_t s = 0; s < v->partitions.stripe_count && r == LARDER_OK; s++) {
        const struct stripe_shm *stripe = &v->partitions.stripes[s];
        for (uint32_t b = 0; b < htab_bucket_count(&v->partitions, stripe) && r == LARDER_OK; b++) {
            int n = htab_bucket_slots(&v->partitions, stripe, b, words, HTAB_CHAIN_MAX);
            if (n < 0)
                r = use(arg, NULL);
            for (int i = 0; i < n && r == LARDER_OK; i++) {
                const void *at = seg_at(v->partitions.seg, WORD_OFF(words[i]), sizeof(struct block_shm));
                struct block_shm block = at ? block_read(at) : (struct block_shm){.kind = 0};
                r = use(arg, at ? &block : NULL);
            }
        }
    }
    return r;
}

/* Whether readers may use index `number`: it is not filling or dead. */
static int stats_is_active(const struct table_view *v, uint32_t number) {
    return number < index_count(v) && (number == 0 || v->index_state[number - 1] == INDEX_ACTIVE);
}

/* ---- Statistics ------------------------------------------------------------------------------ */

/* Where the sizes of all indexes go. */
struct stats_sizes {
    const struct table_view *v;
    struct larder_index_stats *out;
    uint32_t count;
};

/* Adds up one leaf and its node. */
static void stats_add_leaf(const struct stats_walk *walk, const struct skl_reader *r) {
    const struct seg *s = r->list.tab->seg;
    walk->out->entries += leaf_live_count(&r->leaf);
    walk->out->bytes += heap_block_bytes(s, r->node.shm ? SHM_LOAD(&r->node.shm->leaf) : r->list.leaf_off);
    walk->out->bytes += r->node.shm ? heap_block_bytes(s, r->node.off) : 0;
}

/* The place of index `number` in the result, or -1: an index that is filling or dead has none. */
static int stats_place(const struct table_view *v, uint32_t number, uint32_t count) {
    uint32_t place = 0;
    if (!stats_is_active(v, number))
        return -1;
    for (uint32_t i = 0; i < number; i++)
        place += v->index_state[i] == INDEX_ACTIVE;
    return place < count ? (int)place : -1;
}

static int stats_add_partition(void *arg, const struct block_shm *block) {
    const struct stats_sizes *sizes = arg;
    int place = block ? stats_place(sizes->v, block->index, sizes->count) : -1, is_there = 0;
    if (place < 0)
        return LARDER_OK;
    const struct stats_walk walk = {.v = sizes->v, .add_leaf = stats_add_leaf, .out = &sizes->out[place]};
    int r = stats_walk_list(&walk, block->hash, block->index, &is_there);
    sizes->out[place].partitions += (uint64_t)is_there;
    return r;
}

int index_stats(const struct table_view *v, struct larder_index_stats *out, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        snprintf(out[i].name, sizeof out[i].name, "%s", i && i <= v->def.index_count ? v->def.indexes[i - 1].name : "");
    struct stats_sizes sizes = {v, out, count};
    return stats_walk_partitions(v, stats_add_partition, &sizes);
}

/* ---- Counts of items, for core/audit/repair_loss.c ------------------------------------------- */

struct stats_items {
    struct stats_walk walk;
    uint32_t number;
    int result;
};

static void stats_add_entries(const struct stats_walk *walk, const struct skl_reader *r) {
    for (uint32_t i = 0; i < leaf_count(&r->leaf); i++)
        if (leaf_kseq(&r->leaf, i) != 0)
            walk->counts[leaf_hash(&r->leaf, i) >> walk->v->items.stripe_shift]++;
}

/* A list that cannot be read does not keep others from being read. */
static int stats_count_partition(void *arg, const struct block_shm *block) {
    struct stats_items *items = arg;
    int is_there, r = block ? LARDER_OK : LARDER_E_CORRUPT;
    if (block && block->index == items->number)
        r = stats_walk_list(&items->walk, block->hash, block->index, &is_there);
    if (r)
        items->result = r;
    return LARDER_OK;
}

int index_count_items(const struct table_view *v, uint32_t number, uint32_t *counts) {
    struct stats_items items = {{.v = v, .add_leaf = stats_add_entries, .counts = counts}, number, LARDER_OK};
    if (!stats_is_active(v, number) || !index_is_kept(v, number))
        return LARDER_NOT_FOUND;
    (void)stats_walk_partitions(v, stats_count_partition, &items);
    return items.result;
}
