/* core/memory/htab.h - hash tables of blocks: lock stripes, tagged cache-line buckets.
 *
 * Job      Finds, links and unlinks blocks by a 64-bit hash, whose high half is that of each
 *          block's first word. Used twice per table: for items (core/item/item.h) and for the
 *          partitions of all its indexes (index/). Knows nothing more of what is in the blocks: an
 *          item, which is to be small, has nothing more of its hash.
 * Picture  hash: | stripe bits ... | bucket bits ............ | tag 16 |
 *          stripe[top bits] -> array of buckets (by the next bits, scaled to any count) -> seven
 *          slots, spare buckets linked from inside the same array. Bucket order is hash order.
 *          Stripe and bucket are chosen by the high 32 bits. With the tag they are all of a hash
 *          that anything here depends on (htab_hash_in), so arrays grow without a look at keys.
 * Rules    H1 A block is in exactly one slot (of a chain that a death left half cut: two), in the
 *             bucket chain its hash selects. H2 stripe.count equals the slots in use.
 *          H3 Links stay inside the array: an array and its spares are one block, replaced as a
 *             whole. They lead to spares only, and along a chain their numbers rise: so no chain is
 *             a circle.
 *          H4 An array has as many buckets as its block has room for. (Repair knows a damaged count
 *             by that; nobody else asks.)
 *          H5 Spares are linked one after the other. Those that are not linked are empty, and
 *             stripe.spares_used is not less than those that are.
 * Locks    Changing needs the stripe's lock. Reading needs none: load seq, read, load seq again
 *          (stripe_read_*).
 * Speed    A look is three dependent misses: stripe, bucket, block. The first two are made one:
 *          where the bucket probably is is remembered per process (htab.seen, eight stripes to a
 *          cache line), so that it is fetched while the stripe still comes.
 * Crash    Slots change by one store. An array is replaced by a step of core/memory/journal.h.
 *          count and spares_used are recounted.
 * Size     Arrays grow with what is put. They are given back when the last block of a stripe goes,
 *          and made smaller when memory is short (core/table/trim.h): not as soon as could be, for
 *          a cache refills.
 * Tests    tests/unit/memory/htab_test.c
 */
#ifndef LARDER_MEMORY_HTAB_H
#define LARDER_MEMORY_HTAB_H

#include "core/memory/journal.h"
#include "core/segment/seg.h"

/* Slots of a bucket chain that are looked at, at most: seven are usual. */
#define HTAB_CHAIN_MAX 512u

/* Of so many main buckets: the spares behind them, and the bytes of both. */
#define HTAB_SPARES(buckets) ((buckets) / 8 + 1)
static inline uint64_t htab_array_bytes(uint64_t buckets) {
    return (buckets + HTAB_SPARES(buckets)) * sizeof(struct bucket_shm);
}

struct htab {
    const struct seg *seg;
    struct stripe_shm *stripes;
    uint32_t stripe_count; /* a power of 2 */
    uint32_t stripe_shift; /* 64 - log2(stripe_count) */
    enum lock_rank rank;   /* of its stripes' locks */
    /* NULL, or private: each stripe's array word as this process last saw it. A guess, never
     * believed */
    _Atomic uint64_t *seen;
};

static inline struct stripe_shm *htab_stripe(const struct htab *t, uint64_t hash) {
    return &t->stripes[hash >> t->stripe_shift];
}

/* The high half of a hash, and 0: what blocks have of it. */
static inline uint64_t htab_high(uint64_t hash) {
    return hash >> 32 << 32;
}
/* What HTAB_HASH_MASK leaves. The bits between are 0 in those of items. */
static inline uint64_t htab_hash_of(uint16_t tag, uint32_t high) {
    return (uint64_t)high << 32 | tag;
}
/* As much of the hash of the block in a slot, by the slot's word and the block's first. */
static inline uint64_t htab_hash_in(uint64_t word, uint64_t first) {
    return htab_high(first) | WORD_TAG(word);
}

/* Nothing is linked, nor room for it made: what a table begins with, and a dropped one leaves. */
static inline int htab_is_blank(const struct stripe_shm *s) {
    return SHM_LOAD(&s->array) == 0 && SHM_LOAD(&s->count) == 0 && SHM_LOAD(&s->spares_used) == 0;
}

/* A read of a stripe: what was read between begin and a true htab_read_ok() was linked and
 * unchanged. */
static inline uint64_t htab_read_begin(const struct stripe_shm *s) {
    return SHM_LOAD(&s->seq);
}
static inline int htab_read_ok(const struct stripe_shm *s, uint64_t seq) {
    /* What is read before is acquire loads, or copies with a fence: it cannot move up */
    return SHM_LOAD_RELAXED(&s->seq) == seq;
}

/* Walks the slots that may hold `hash`: those with its tag in its bucket chain. For readers and
 * lock holders. */
struct htab_walk {
    const struct htab *tab;
    struct bucket_shm *array, *bucket;
    uint64_t hash;
    uint32_t bucket_count, bucket_total, at;
    /* of a block that are prefetched before its hash is looked at: set by who will read more of
     * it */
    uint32_t ahead_bytes;
    /* a word on the way made no sense: what was not found may be there all the same */
    int is_damaged;
};
/* Prefetches so much of the block in a slot. */
static inline void htab_prefetch(const struct htab *t, uint64_t word, size_t bytes) {
    const uint8_t *block = seg_at(t->seg, WORD_OFF(word), bytes);
    for (size_t at = 0; block && at < bytes; at += 64)
        SHM_PREFETCH(block + at);
}

/* The array word that this process saw last for the hash's stripe; 0 none. And what it sees now, if
 * that is another. */
static inline uint64_t htab_guess(const struct htab *t, uint64_t hash) {
    return t->seen ? SHM_LOAD_RELAXED(&t->seen[hash >> t->stripe_shift]) : 0;
}
static inline void htab_note(const struct htab *t, uint64_t hash, uint64_t array_word) {
    if (t->seen)
        atomic_store_explicit(&t->seen[hash >> t->stripe_shift], array_word, memory_order_relaxed);
}
/* Fetches stripe and bucket of a hash ahead, as far as can be guessed without waiting. */
void htab_ahead(const struct htab *t, uint64_t hash);
/* Prefetches the bucket line of a hash in the array that a stripe's word says, and returns it; NULL
 * if there is none. */
struct bucket_shm *htab_bucket(const struct htab *t, uint64_t array_word, uint64_t hash);
/* The first slot with the hash's tag in the chain that begins with `bucket`, as htab_bucket() found
 * it in that array, and its word: where a block with this hash probably is. NULL: nowhere. Nothing
 * is promised: whoever uses it asks the stripe's sequence. */
shm_word *htab_peek(const struct htab *t, uint64_t array_word, struct bucket_shm *bucket, uint64_t hash,
                    uint64_t *word);
void htab_walk_begin(struct htab_walk *walk, const struct htab *t, struct stripe_shm *s, uint64_t hash);
/* The next slot with the tag of `hash` and its high half in the block. These are 48 bits: among ten
 * million blocks a pair has them in common. Whoever asks for more than a key or a key sequence
 * looks at the rest. *word is the slot's content. NULL at the end. min_bytes: readable at block. */
shm_word *htab_walk_next(struct htab_walk *walk, uint64_t min_bytes, uint64_t *word, void **block);

/* Under the stripe's lock: a slot for one more block with this hash, growing the array if it must
 * (step 1). LARDER_OK, LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY, LARDER_E_CORRUPT. */
int htab_free_slot_locked(struct writer *w, const struct htab *t, struct stripe_shm *s, uint64_t hash, shm_word **slot);
/* The same in any array, of this table or one that is being made; a chain that is full is led on
 * to a spare bucket. is_private: in private memory. *spares_used counts up. NULL: no spare is
 * left, or the chain is damaged. */
shm_word *htab_empty_slot(const struct htab *t, struct bucket_shm *array, uint32_t buckets, uint64_t hash,
                          uint32_t *spares_used, int is_private);
/* After linking or unlinking one block. */
void htab_count_locked(struct stripe_shm *s, int by);
/* The most buckets whose array fits the block that the heap hands out for an array of `least`: what
 * every array has (H4). */
uint32_t htab_buckets_filling(uint32_t least);
/* For checks: spares that are not linked are empty (H5), and spares_used knows of all that are. */
int htab_has_true_spares(const struct htab *t, const struct stripe_shm *s);
/* Recovery: recounts count and spares_used, and ends what cutting a chain left
 * (core/memory/htab.c). */
int htab_recount_locked(const struct htab *t, struct stripe_shm *s);
/* Under the lock, all slots empty: gives the array back. */
int htab_clear_locked(struct writer *w, struct stripe_shm *s);
/* The same if the stripe is empty and its array larger than this; else nothing. After the last
 * block was unlinked: so what comes and goes alone keeps its array, and what filled a stripe and
 * went leaves nothing. LARDER_OK, LARDER_E_BUSY, LARDER_E_CORRUPT. */
#define HTAB_KEPT_BYTES 1024u
int htab_clear_large_locked(struct writer *w, const struct htab *t, struct stripe_shm *s);
/* Without the lock, a guess: the array could have half of its size. And under the lock: it gets
 * that, or less, as a larger one is made. As htab_free_slot_locked(). */
int htab_is_too_large(const struct htab *t, const struct stripe_shm *s);
int htab_shrink_locked(struct writer *w, const struct htab *t, struct stripe_shm *s);

/* Buckets of a stripe in hash order, for scans and checks: bucket i of *count main buckets; its
 * chain's slots are copied (at most max). Returns their number, or -1 if the array does not make
 * sense. */
int htab_bucket_slots(const struct htab *t, const struct stripe_shm *s, uint32_t bucket, uint64_t *words, uint32_t max);
uint32_t htab_bucket_count(const struct htab *t, const struct stripe_shm *s);
/* The bucket of a stripe that a hash selects. */
uint32_t htab_bucket_of(const struct htab *t, uint32_t bucket_count, uint64_t hash);
/* First hash of a bucket: the smallest that htab_bucket_of() maps to it, with the stripe's bits in
 * front. */
uint64_t htab_first_hash(const struct htab *t, uint32_t stripe, uint32_t buckets, uint32_t bucket);

#endif
