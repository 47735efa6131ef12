/* core/audit/check_stripe.c - what the audits of stripes share, of items or of lists. See check.h.
 *
 * Idea     A look goes from bucket to bucket. Bucket order is hash order, so its position is a
 *          hash, which stays valid if the array grows meanwhile. The count is compared with the
 *          chains in one hold, before the first look at a block.
 * Speed    The time goes into cache misses: block, span and mark. Those of the next buckets are
 *          prefetched.
 * Tests    tests/api/check_test.c, tests/crash/check_live_test.c
 */
#include "core/audit/check.h"
#include "core/memory/heap.h"

#define AHEAD_BUCKETS 2u

void check_stripe_head(struct check_state *c, const struct htab *tab, uint32_t number, const char *kind,
                       const char *blocks) {
    const struct stripe_shm *stripe = &tab->stripes[number];
    uint64_t word = SHM_LOAD(&stripe->array);
    uint32_t in_slots = 0;
    if (word != 0)
        check_block(c, WORD_OFF(word), htab_array_bytes(WORD_TAG(word)), "bucket array");
    for (uint32_t b = 0, total = htab_bucket_count(tab, stripe); b < total; b++) {
        int count = htab_bucket_slots(tab, stripe, b, c->words, HTAB_CHAIN_MAX);
        if (count < 0)
            check_error(c, "%s %u: the chain of bucket %u is damaged (H3)", kind, number, b);
        else
            in_slots += (uint32_t)count;
    }
    if (!htab_has_true_spares(tab, stripe))
        check_error(c, "%s %u: its word says that %u spare buckets are in use, but others are (H5)", kind, number,
                    SHM_LOAD(&stripe->spares_used));
    if (in_slots != SHM_LOAD(&stripe->count))
        check_error(c, "%s %u: counts %u %s and links %u (H2)", kind, number, SHM_LOAD(&stripe->count), blocks,
                    in_slots);
}

static void fetch_bucket(const struct check_state *c, const struct htab *tab, const struct bucket_shm *bucket,
                         uint32_t bytes) {
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t word = SHM_LOAD_RELAXED(&bucket->slot[i]), off = WORD_OFF(word);
        if (!word || !seg_at(c->seg, off, bytes))
            continue;
        htab_prefetch(tab, word, bytes);
        heap_prefetch(c->seg, off);
        check_prefetch(c, off);
    }
}

int check_buckets(struct check_state *c, const struct check_walk *walk, void *at) {
    const struct htab *tab = walk->tab;
    const struct stripe_shm *stripe = &tab->stripes[walk->stripe];
    uint64_t word = SHM_LOAD(&stripe->array);
    uint32_t buckets = htab_bucket_count(tab, stripe);
    const struct bucket_shm *array = buckets ? seg_at(c->seg, WORD_OFF(word), buckets * sizeof *array) : NULL;
    for (uint32_t b = htab_bucket_of(tab, buckets, walk->from); array && b < buckets; b++) {
        if (walk->ahead_bytes && b + AHEAD_BUCKETS < buckets)
            fetch_bucket(c, tab, &array[b + AHEAD_BUCKETS], walk->ahead_bytes);
        uint64_t next = b + 1 < buckets ? htab_first_hash(tab, walk->stripe, buckets, b + 1) : 0;
        int r = walk->look(c, at, buckets, b, next);
        if (r)
            return r;
    }
    return LARDER_OK;
}
