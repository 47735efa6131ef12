/* index/index.c - the entries of an item: see index.h.
 *
 * Locks    One partition stripe at a time, inside the item's stripe.
 * Stuck    A list may be changed only in part: a live process holds a lock that freeing a block
 *          needs. Then the list stays locked and the writer is stuck: its slot is abandoned, and
 *          the next process that needs the lock finishes the step (core/memory/writer.h).
 * Tests    tests/api/query_test.c, tests/crash/
 */
#include "index/index.h"
#include "core/base/err.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t index_partition_hash(const struct table_view *v, uint32_t number, struct bytes key) {
    /* Each index has its own seed, so that equal keys of two indexes get different hashes. */
    uint64_t seed = v->partitions.seg->hash_seed ^ (number + 1) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return XXH3_64bits_withSeed(key.at, key.len, seed);
}

uint32_t index_kseq(const struct item_head *item, uint32_t number) {
    if (number == 0)
        return item->kseq;
    return number - 1 < item->index_count ? item_index_slots(item)[number - 1].kseq : 0;
}

uint32_t index_peek_kseq(const struct item_peek *item, uint32_t number) {
    return number == 0 ? item->head.kseq : item_peek_kseq(item, number - 1);
}

int index_entry_of(const struct table_view *v, uint64_t hash, const struct item_peek *item, uint32_t number,
                   struct index_entry *e) {
    struct bytes sort;
    e->entry.kseq = index_is_kept(v, number) ? index_peek_kseq(item, number) : 0;
    if (!e->entry.kseq)
        return 1;
    if (number == 0) {
        const uint8_t *keys = item_key_area(item->image);
        e->partition_key = (struct bytes){keys, item->head.partition_bytes};
        sort = (struct bytes){keys + item->head.partition_bytes, item->head.sort_bytes};
    } else if (!item_peek_keys(item, number - 1, &e->partition_key, &sort))
        return 0;
    e->partition = index_partition_hash(v, number, e->partition_key);
    e->entry.key = sort.at;
    e->entry.key_bytes = (uint32_t)sort.len;
    e->entry.hash = hash;
    return 1;
}

int index_peek(const struct seg *s, const struct item_head *item, struct item_peek *p) {
    return item_peek_open(p, item, heap_block_bytes(s, seg_off(s, item)));
}

/* A change of one list. */
typedef int index_change(struct writer *w, const struct htab *tab, uint64_t hash, uint32_t index,
                         const struct leaf_entry *e);

/* Restores the list after a failure. If that fails, the writer is stuck and keeps the lock. */
static int index_leave(struct writer *w, struct stripe_shm *stripe, int r) {
    if (r && (step_is_open(w, 1) || step_abandon(w, 1) != LARDER_OK))
        w->is_stuck = 1;
    else
        lock_drop(w, &stripe->lock, LOCK_PARTITION);
    return r;
}

static int index_change_entry(struct writer *w, const struct table_view *v, uint32_t number,
                              const struct index_entry *e, index_change *change) {
    struct stripe_shm *stripe = htab_stripe(&v->partitions, e->partition);
    int r = lock_take(w, &stripe->lock, LOCK_PARTITION);
    if (r)
        return r;
    return index_leave(w, stripe, change(w, &v->partitions, e->partition, number, &e->entry));
}

int index_add_entry(struct writer *w, const struct table_view *v, uint32_t number, const struct index_entry *e) {
    return index_change_entry(w, v, number, e, skl_add_locked);
}

/* An action for one entry. */
typedef int index_visit(struct writer *w, const struct table_view *v, uint32_t number, const struct index_entry *e,
                        void *arg);

static int index_visit_add(struct writer *w, const struct table_view *v, uint32_t number, const struct index_entry *e,
                           void *arg) {
    (void)arg;
    return index_add_entry(w, v, number, e);
}

static int index_visit_remove(struct writer *w, const struct table_view *v, uint32_t number,
                              const struct index_entry *e, void *arg) {
    (void)arg;
    return index_change_entry(w, v, number, e, skl_remove_locked);
}

#define INDEX_CLEAR_PIECE 256u /* blocks freed under one hold of a lock */

/* Partitions whose locks are passed together, before their lists change: all of a usual table. */
#define INDEX_AHEAD 8u
/* Of a head: its towers; of a leaf: enough for the processor to see a pattern. */
#define INDEX_AHEAD_BYTES 128u
struct index_ahead {
    uint64_t partition[INDEX_AHEAD];
    uint32_t count;
};

/* Prefetches the first bytes of the head or leaf that a bucket's matching slots lead to. */
static void index_prefetch(const struct htab *tab, const struct bucket_shm *bucket, uint64_t hash) {
    for (unsigned i = 0; bucket && i < BUCKET_SLOTS; i++) {
        uint64_t word = SHM_LOAD_RELAXED(&bucket->slot[i]);
        if (word != 0 && WORD_TAG(word) == (uint16_t)hash)
            htab_prefetch(tab, word, INDEX_AHEAD_BYTES);
    }
}

/* Waits for their locks, one after the other. Meanwhile prefetches for each the bucket, then the
 * head or leaf. */
static int index_pass_ahead(struct writer *w, const struct table_view *v, struct index_ahead *ahead) {
    const struct htab *tab = &v->partitions;
    struct bucket_shm *bucket[INDEX_AHEAD];
    uint32_t count = ahead->count;
    ahead->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct stripe_shm *stripe = htab_stripe(tab, ahead->partition[i]);
        int r = lock_pass(w, &stripe->lock, LOCK_PARTITION);
        if (r)
            return r;
        bucket[i] = htab_bucket(tab, SHM_LOAD_RELAXED(&stripe->array), ahead->partition[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        index_prefetch(tab, bucket[i], ahead->partition[i]);
    return LARDER_OK;
}

static int index_visit_pass(struct writer *w, const struct table_view *v, uint32_t number, const struct index_entry *e,
                            void *arg) {
    struct index_ahead *ahead = arg;
    (void)number;
    SHM_PREFETCH(htab_stripe(&v->partitions, e->partition));
    ahead->partition[ahead->count++] = e->partition;
    return ahead->count < INDEX_AHEAD ? LARDER_OK : index_pass_ahead(w, v, ahead);
}

/* Calls `visit` for every entry that `item` has and `but_not` lacks. */
static int index_visit_entries(struct writer *w, const struct table_view *v, uint64_t hash,
                               const struct item_head *item, const struct item_head *but_not, index_visit *visit,
                               void *arg) {
    struct index_entry e;
    struct item_peek has, has_not;
    if (!index_peek(w->seg, item, &has) || (but_not && !index_peek(w->seg, but_not, &has_not)))
        return err_set(LARDER_E_CORRUPT, "an item to be indexed is damaged");
    for (uint32_t number = 0; number < index_count(v); number++) {
        uint32_t kseq = index_peek_kseq(&has, number);
        if (kseq == 0 || (but_not && index_peek_kseq(&has_not, number) == kseq))
            continue;
        if (!index_entry_of(v, hash, &has, number, &e))
            return err_set(LARDER_E_CORRUPT, "an item of hash %016llx has no key for index %u",
                           (unsigned long long)hash, number);
        if (!e.entry.kseq)
            continue;
        int r = w->is_stuck ? LARDER_E_BUSY : visit(w, v, number, &e, arg);
        if (r)
            return r;
    }
    return LARDER_OK;
}

int index_pass(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
               const struct item_head *but_not) {
    struct index_ahead ahead = {.count = 0};
    int r = index_visit_entries(w, v, hash, item, but_not, index_visit_pass, &ahead);
    return r ? r : index_pass_ahead(w, v, &ahead);
}

int index_add(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
              const struct item_head *but_not) {
    return index_visit_entries(w, v, hash, item, but_not, index_visit_add, NULL);
}

int index_remove(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
                 const struct item_head *but_not) {
    return index_visit_entries(w, v, hash, item, but_not, index_visit_remove, NULL);
}

/* Clears the lists of index `number` (-1: of all indexes) in one bucket. */
static int index_clear_bucket(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, uint32_t bucket,
                              int number, uint32_t *budget) {
    uint64_t words[HTAB_CHAIN_MAX];
    int count = htab_bucket_slots(&v->partitions, stripe, bucket, words, HTAB_CHAIN_MAX);
    for (int i = 0; i < count; i++) {
        const struct block_shm *found = seg_at(w->seg, WORD_OFF(words[i]), sizeof *found);
        if (!found || (number >= 0 && found->index != number))
            continue;
        struct block_shm block = block_read(found); /* a copy: the block is freed with its list */
        int r = skl_clear_locked(w, &v->partitions, block.hash, block.index, budget);
        if (r)
            return r;
    }
    return count < 0 ? skl_corrupt(0) : LARDER_OK;
}

/* Clears at most `budget` blocks under one hold of the lock. */
static int index_clear_some(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, int number,
                            uint32_t *budget) {
    int r = lock_take(w, &stripe->lock, LOCK_PARTITION);
    if (r)
        return r;
    for (uint32_t b = 0, total = htab_bucket_count(&v->partitions, stripe); b < total && r == LARDER_OK; b++)
        r = index_clear_bucket(w, v, stripe, b, number, budget);
    if (r == LARDER_OK && number < 0)
        r = htab_clear_locked(w, stripe);
    return index_leave(w, stripe, r);
}

int index_clear_stripe(struct writer *w, const struct table_view *v, uint32_t stripe, uint32_t *budget) {
    return index_clear_some(w, v, &v->partitions.stripes[stripe], -1, budget);
}

int index_clear(struct writer *w, const struct table_view *v, int ordinal) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < v->partitions.stripe_count && (r == LARDER_OK || r == LARDER_MORE);) {
        uint32_t budget = INDEX_CLEAR_PIECE;
        r = index_clear_some(w, v, &v->partitions.stripes[i], ordinal < 0 ? -1 : ordinal + 1, &budget);
        i += r == LARDER_OK;
    }
    return r;
}
