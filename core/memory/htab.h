/* core/memory/htab.h - hash tables of blocks: lock stripes, tagged cache-line buckets.
 *
 * Job      Finds, links and unlinks blocks by a 64-bit hash. A block's first word has the high half
 *          of it. Used twice per table: for items (core/item/item.h) and for the partitions of all
 *          its indexes (index/). Knows nothing else of a block; an item, which has to be small, has
 *          no more of its hash.
 * Picture  hash: | stripe bits ... | bucket bits ............ | tag 16 |
 *          stripe[top bits] -> array of buckets (by the next bits, scaled to any count) -> seven
 *          slots, spare buckets linked from inside the same array. Bucket order is hash order.
 *          The high 32 bits choose stripe and bucket. They and the tag are all that is used of a
 *          hash (htab_hash_in), so an array grows without a look at keys.
 * Rules    H1 A block is in exactly one slot of the bucket chain that its hash selects. (In two, if
 *             a death left the chain half cut.)
 *          H2 stripe.count equals the slots in use.
 *          H3 Links stay inside the array: an array and its spares are one block, replaced as a
 *             whole. Links lead to spares only, and their numbers rise along a chain, so no chain
 *             is a circle.
 *          H4 An array has as many buckets as its block has room for. (Only repair uses this: it
 *             shows a damaged count.)
 *          H5 Spares are linked in order. Those not linked are empty, and stripe.spares_used is at
 *             least the number of linked ones.
 * Locks    Changing needs the stripe's lock. Reading needs none: load seq, read, load seq again
 *          (htab_read_begin, htab_read_ok).
 * Speed    A look is three dependent misses: stripe, bucket, block. A process remembers where each
 *          bucket array probably is (htab.seen, eight stripes to a cache line), so the bucket is
 *          fetched while the stripe still comes.
 * Crash    A slot changes by one store. An array is replaced by a step of core/memory/journal.h.
 *          count and spares_used are recounted.
 * Size     Arrays grow with what is put. An array is given back when the last block of its stripe
 *          goes, and made smaller when memory is short (core/table/trim.h), not earlier: a cache
 *          refills.
 * Tests    tests/unit/memory/htab_test.c
 */
#ifndef LARDER_MEMORY_HTAB_H
#define LARDER_MEMORY_HTAB_H

#include "core/memory/journal.h"
#include "core/segment/seg.h"

/* The most slots of a bucket chain that are looked at. Seven are usual. */
#define HTAB_CHAIN_MAX 512u

/* For so many main buckets: the spares behind them, and the bytes of both. */
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
    /* NULL, or private: each stripe's array word as this process saw it last. A guess, never
     * trusted */
    _Atomic uint64_t *seen;
};

static inline struct stripe_shm *htab_stripe(const struct htab *t, uint64_t hash) {
    return &t->stripes[hash >> t->stripe_shift];
}

/* The high half of a hash with 0 below it: what a block has of it. */
static inline uint64_t htab_high(uint64_t hash) {
    return hash >> 32 << 32;
}
/* The bits of a hash in HTAB_HASH_MASK: its tag and high half. The bits between are 0. */
static inline uint64_t htab_hash_of(uint16_t tag, uint32_t high) {
    return (uint64_t)high << 32 | tag;
}
/* The known bits of a block's hash, by the word of its slot and the block's first word. */
static inline uint64_t htab_hash_in(uint64_t word, uint64_t first) {
    return htab_high(first) | WORD_TAG(word);
}

/* No block is linked, and there is no array: as a table begins, and as a dropped one leaves it. */
static inline int htab_is_blank(const struct stripe_shm *s) {
    return SHM_LOAD(&s->array) == 0 && SHM_LOAD(&s->count) == 0 && SHM_LOAD(&s->spares_used) == 0;
}

/* A read of a stripe: if htab_read_ok() is true, what was read since htab_read_begin() was linked
 * and unchanged. Reads of items heed a transaction's mark, too: P4 of core/memory/htab_spot.h. */
static inline uint64_t htab_read_begin(const struct stripe_shm *s) {
    return SHM_LOAD(&s->seq);
}
static inline int htab_read_ok(const struct stripe_shm *s, uint64_t seq) {
    /* The reads before are acquire loads, or copies with a fence: none can move below this load */
    return SHM_LOAD_RELAXED(&s->seq) == seq;
}

/* Walks the slots that may hold `hash`: those of its bucket chain that have its tag. For readers
 * and lock holders. */
struct htab_walk {
    const struct htab *tab;
    struct bucket_shm *array, *bucket;
    uint64_t hash;
    uint32_t bucket_count, bucket_total, at;
    /* set by the caller: how much of a block to prefetch before its hash is looked at */
    uint32_t ahead_bytes;
    /* a word on the way made no sense: a block that was not found may exist all the same */
    int is_damaged;
};
/* Prefetches the first bytes of the block in a slot. */
static inline void htab_prefetch(const struct htab *t, uint64_t word, size_t bytes) {
    const uint8_t *block = seg_at(t->seg, WORD_OFF(word), bytes);
    for (size_t at = 0; block && at < bytes; at += 64)
        SHM_PREFETCH(block + at);
}

/* The tag in a slot, alone: half a look. */
static inline uint16_t htab_tag_in(const shm_word *slot) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segments are little-endian");
    return SHM_LOAD_RELAXED((const _Atomic uint16_t *)slot + 3);
}
/* The first slot of a bucket with this tag, and its word. NULL: none. Written out: a look sees four
 * or five slots, and a loop costs ten instructions for each. */
static inline __attribute__((always_inline)) shm_word *htab_bucket_slot(struct bucket_shm *bucket, uint16_t tag,
                                                                        uint64_t *word) {
    shm_word *slot = bucket->slot;
    uint64_t seen;
#define HTAB_SLOT(i)                                                                                                   \
    if (htab_tag_in(&slot[i]) == tag) {                                                                                \
        seen = SHM_LOAD(&slot[i]);                                                                                     \
        if (WORD_TAG(seen) == tag && seen != 0)                                                                        \
            return *word = seen, &slot[i];                                                                             \
    }
    HTAB_SLOT(0)
    HTAB_SLOT(1)
    HTAB_SLOT(2)
    HTAB_SLOT(3)
    HTAB_SLOT(4)
    HTAB_SLOT(5)
    HTAB_SLOT(6)
#undef HTAB_SLOT
    return NULL;
}
_Static_assert(BUCKET_SLOTS == 7, "htab_bucket_slot() has a line for each slot");

/* Guesses are kept so that memory of zeros means "none": a word that no array has. */
#define HTAB_NO_ARRAY UINT64_C(8)
/* htab_guess: the array word that this process saw last for the hash's stripe; HTAB_NO_ARRAY: none.
 * htab_note: it sees another one now. Noted is only an array that lies wholly in claimed memory,
 * which never shrinks: so every bucket of a guess may be looked at. */
static inline uint64_t htab_guess(const struct htab *t, uint64_t hash) {
    return t->seen ? SHM_LOAD_RELAXED(&t->seen[hash >> t->stripe_shift]) ^ HTAB_NO_ARRAY : HTAB_NO_ARRAY;
}
void htab_note(const struct htab *t, uint64_t hash, uint64_t array_word);
/* Prefetches stripe and bucket of a hash, as far as can be guessed without waiting. */
void htab_ahead(const struct htab *t, uint64_t hash);
/* Prefetches the bucket line of a hash in the array that a stripe's word names, and returns it.
 * NULL: there is none. */
struct bucket_shm *htab_bucket(const struct htab *t, uint64_t array_word, uint64_t hash);
/* The first slot with the hash's tag in the chain that begins with `bucket` (from htab_bucket()
 * with the same array_word), and its word: a block with this hash is probably there. NULL: none.
 * Nothing is promised: the caller checks the stripe's sequence. */
shm_word *htab_peek(const struct htab *t, uint64_t array_word, struct bucket_shm *bucket, uint64_t hash,
                    uint64_t *word);
void htab_walk_begin(struct htab_walk *walk, const struct htab *t, struct stripe_shm *s, uint64_t hash);
/* The next slot with the tag of `hash` and its high half in the block. Those are 48 bits: among ten
 * million blocks one pair shares them. A caller that looks for a key compares it. *word is the
 * slot's content. NULL: the end. min_bytes: this many bytes of the block are readable. */
shm_word *htab_walk_next(struct htab_walk *walk, uint64_t min_bytes, uint64_t *word, void **block);

/* Under the stripe's lock: a slot for one more block with this hash. Grows the array if it must
 * (step 1). LARDER_OK, LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY, LARDER_E_CORRUPT. */
int htab_free_slot_locked(struct writer *w, const struct htab *t, struct stripe_shm *s, uint64_t hash, shm_word **slot);
/* The same in any array, of this table or a new one. A full chain gets a spare bucket. is_private:
 * the array is in private memory. *spares_used counts up. NULL: no spare is left, or the chain is
 * damaged. */
shm_word *htab_empty_slot(const struct htab *t, struct bucket_shm *array, uint32_t buckets, uint64_t hash,
                          uint32_t *spares_used, int is_private);
/* After linking or unlinking one block. */
void htab_count_locked(struct stripe_shm *s, int by);
/* The most buckets that fit the block which the heap hands out for an array of `least`. Every array
 * has that many (H4). */
uint32_t htab_buckets_filling(uint32_t least);
/* The slot, and its word, that refers to the block at off, whose first word is `first`. NULL: the
 * stripe does not refer to it. Without the stripe's lock a guess. */
shm_word *htab_slot_of(const struct htab *t, const struct stripe_shm *s, uint64_t first, uint64_t off, uint64_t *word);
/* Under the lock: an array of the same size in another block. Results as those of
 * htab_free_slot_locked(). */
int htab_move_locked(struct writer *w, const struct htab *t, struct stripe_shm *s);
/* For checks: whether spares that are not linked are empty, and spares_used covers the others
 * (H5). */
int htab_has_true_spares(const struct htab *t, const struct stripe_shm *s);
/* Recovery: recounts count and spares_used, and ends what a half cut chain left (htab.c). */
int htab_recount_locked(const struct htab *t, struct stripe_shm *s);
/* Under the lock, with all slots empty: gives the array back. */
int htab_clear_locked(struct writer *w, struct stripe_shm *s);
/* The same if the stripe is empty and its array larger than this; else nothing. Called after the
 * last block was unlinked: a block that comes and goes alone keeps its array, and many that went
 * leave nothing. LARDER_OK, LARDER_E_BUSY, LARDER_E_CORRUPT. */
#define HTAB_KEPT_BYTES 1024u
int htab_clear_large_locked(struct writer *w, const struct htab *t, struct stripe_shm *s);
/* htab_is_too_large, without the lock, a guess: at most three eighths of the slots are in use, and
 * three quarters of the array would do; or none is, since an empty array cannot be moved out of the
 * way (core/table/move.h). htab_shrink_locked: makes it so small, as a larger one is made, or gives
 * an empty one back. Results as those of htab_free_slot_locked(). */
int htab_is_too_large(const struct htab *t, const struct stripe_shm *s);
int htab_shrink_locked(struct writer *w, const struct htab *t, struct stripe_shm *s);

/* Buckets of a stripe in hash order, for scans and checks. Copies the slots of bucket `bucket`'s
 * chain, at most max. Returns their number, or -1 if the array does not make sense. */
int htab_bucket_slots(const struct htab *t, const struct stripe_shm *s, uint32_t bucket, uint64_t *words, uint32_t max);
uint32_t htab_bucket_count(const struct htab *t, const struct stripe_shm *s);
/* The bucket of a stripe that a hash selects. */
uint32_t htab_bucket_of(const struct htab *t, uint32_t bucket_count, uint64_t hash);
/* The smallest hash that htab_bucket_of() maps to this bucket, with the stripe's bits in front. */
uint64_t htab_first_hash(const struct htab *t, uint32_t stripe, uint32_t buckets, uint32_t bucket);

#endif
