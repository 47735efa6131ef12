/* index/skl_recover.c - recovery of a partition stripe whose lock a dead writer held.
 *
 * Job      Step 1 is settled: every list is whole on level 0. Two things may be wrong: the towers
 *          of the list that was being changed, and the stripe's count. The list is not noted
 *          anywhere, so all lists of the stripe are walked. Only wrong links are stored, and each
 *          store leads to a node in the list. So readers may go on reading, and this may be cut off
 *          and repeated.
 * Tests    tests/unit/index/skl_death_test.c, tests/crash/
 */
#include "index/skl.h"

/* Finds the hash table that a partition stripe belongs to. Returns 0 if there is none. */
static int skl_table_of(const struct seg *s, const struct stripe_shm *stripe, struct htab *tab) {
    uint64_t off = seg_off(s, stripe), bytes = (uint64_t)s->stripe_count * sizeof *stripe;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        uint64_t first = SHM_LOAD(&seg_table(s, i)->partitions_off);
        struct stripe_shm *stripes = seg_at(s, first, bytes);
        if (!stripes || off < first || off - first >= bytes)
            continue;
        *tab = (struct htab){.seg = s,
                             .stripes = stripes,
                             .stripe_count = s->stripe_count,
                             .stripe_shift = 64 - (uint32_t)__builtin_ctz(s->stripe_count),
                             .rank = LOCK_PARTITION};
        return 1;
    }
    return 0;
}

/* Sets every tower link by a walk along level 0. Stops at damage: readers report it. */
static void skl_relink(const struct skl_list *list) {
    struct skl_node last[SKL_HEIGHT_MAX], n = list->head;
    struct circle way = {0};
    uint64_t off;
    for (uint32_t level = 1; level < SKL_HEIGHT_MAX; level++)
        last[level] = list->head;
    while (skl_link(list, &n, 0, &off) && off && !circle_is_closed(&way, off)) {
        if (!skl_node_read(list, off, &n) || n.height > list->head.height)
            return;
        for (uint32_t level = 1; level < n.height; level++) {
            SHM_PUT(skl_tower(&last[level], level), off);
            last[level] = n;
        }
    }
    for (uint32_t level = 1; level < list->head.height; level++)
        SHM_PUT(skl_tower(&last[level], level), 0);
}

int skl_recover_stripe(struct writer *w, struct stripe_shm *stripe) {
    struct htab tab;
    uint64_t words[HTAB_CHAIN_MAX];
    if (!skl_table_of(w->seg, stripe, &tab))
        return LARDER_OK;
    skl_note_all_left(stripe);
    for (uint32_t b = 0, total = htab_bucket_count(&tab, stripe); b < total; b++) {
        int count = htab_bucket_slots(&tab, stripe, b, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < count; i++) {
            struct block_shm *block = seg_at(w->seg, WORD_OFF(words[i]), sizeof *block);
            struct skl_list list;
            if (block && skl_find(&list, &tab, block->hash, block->index) && list.slot && !list.leaf_off)
                skl_relink(&list);
        }
    }
    return htab_recount_locked(&tab, stripe);
}
