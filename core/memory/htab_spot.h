/* core/memory/htab_spot.h - where a block probably is, found in steps that never wait.
 *
 * Job      Finds the first slot with a hash's tag in three steps: stripe, bucket, slot. Each ends
 *          with a prefetch of what the next one reads. If each step is made for many hashes before
 *          the next, their cache misses overlap.
 * Rules    P1 Nothing that a spot names is trusted. Every address in it may be read: it is inside
 *             claimed memory (a guess was checked when it was noted), the head of the segment or
 *             htab_no_bucket. What lies there is checked by the caller.
 *          P2 A spot has the stripe's sequence from before the look at array and slot. While the
 *             sequence stands (htab_spot_stands), no block that was linked then has been reused.
 *             While the slot has the same word, too (htab_spot_holds), it refers to the same block:
 *             every replacement of a word is followed by a bump before the next one.
 *          P3 A spot that finds nothing shows nothing: the caller walks (htab_walk_begin). But if
 *             there is no other bucket to look at, and the sequence stands, nothing was linked
 *             under the hash (htab_spot_shows_none).
 *          P4 The sequence is kept without SEQ_MARK. So it never stands while a transaction changes
 *             items of the stripe, and the caller reads by its record (core/memory/record.h).
 * Speed    Inline, and branches for the usual case only: reads make these steps for every item.
 * Tests    tests/unit/memory/htab_test.c
 */
#ifndef LARDER_MEMORY_HTAB_SPOT_H
#define LARDER_MEMORY_HTAB_SPOT_H

#include "core/memory/htab.h"

#define HTAB_INLINE static inline __attribute__((always_inline))

/* What the steps need of a table, loaded once for many looks. */
struct htab_aim {
    struct seg_reach reach;
    const struct htab *tab;
    unsigned char *base; /* of the segment */
    struct stripe_shm *stripes;
    const _Atomic uint64_t *seen; /* as htab.seen; or one word, none, and seen_mask 0 */
    uint64_t seen_mask;
    uint32_t stripe_bits;
};

struct htab_spot {
    uint64_t hash;
    struct stripe_shm *stripe;
    uint64_t seq;         /* of the stripe: P2 */
    uint64_t array, word; /* of the stripe, and of the slot */
    shm_word *slot;       /* until htab_spot_slot() the first one of the bucket */
    const uint8_t *block; /* its first 64 bytes are readable; NULL: nothing found */
};

/* Where a spot leads without a bucket, and where it leads if no bucket can have the hash. */
extern const struct bucket_shm htab_no_bucket, htab_none_has_it;
extern const _Atomic uint64_t htab_no_guess;

HTAB_INLINE struct htab_aim htab_aim(const struct htab *t) {
    return (struct htab_aim){.reach = seg_reach(t->seg),
                             .tab = t,
                             .base = t->seg->base,
                             .stripes = t->stripes,
                             .seen = t->seen ? t->seen : &htab_no_guess,
                             .seen_mask = t->seen ? UINT64_MAX : 0,
                             .stripe_bits = 64 - t->stripe_shift};
}

/* The stripe, and the bucket where this process saw the array last. */
HTAB_INLINE void htab_spot_stripe(const struct htab_aim *a, uint64_t hash, struct htab_spot *s) {
    /* two numbers in one word: of the stripe, and of the place in it */
    uint64_t way = (hash >> 32) << a->stripe_bits, number = way >> 32;
    uint64_t array = SHM_LOAD_RELAXED(&a->seen[number & a->seen_mask]) ^ HTAB_NO_ARRAY;
    s->hash = hash;
    s->stripe = &a->stripes[number];
    SHM_PREFETCH(s->stripe);
    s->array = array;
    s->slot = (shm_word *)(a->base + WORD_OFF(array) + ((uint32_t)way * (uint64_t)WORD_TAG(array) >> 32) * 64);
    SHM_PREFETCH(s->slot);
}

/* The guess of the array was wrong. */
void htab_spot_guess_again(const struct htab_aim *a, struct htab_spot *s, uint64_t array);
/* The slot is in another bucket of the chain, or in none. */
void htab_spot_follow(const struct htab_aim *a, struct htab_spot *s);

/* The bucket. */
HTAB_INLINE void htab_spot_bucket(const struct htab_aim *a, struct htab_spot *s) {
    const struct stripe_shm *stripe = s->stripe;
    s->seq = htab_read_begin(stripe) & ~SEQ_MARK; /* P4 */
    uint64_t array = SHM_LOAD(&stripe->array);
    if (__builtin_expect(array != s->array, 0))
        htab_spot_guess_again(a, s, array);
}

/* The number of the last line to prefetch of a block of which so many bytes, at least 1, are
 * wanted. Found once for many looks. */
HTAB_INLINE uint32_t htab_last_line(uint32_t ahead_bytes) {
    return (ahead_bytes - 1) / 64;
}

/* The slot, and lines 0 to last_line of the block that it refers to. */
HTAB_INLINE void htab_spot_slot(const struct htab_aim *a, struct htab_spot *s, uint32_t last_line) {
    uint64_t word;
    shm_word *slot = htab_bucket_slot((struct bucket_shm *)s->slot, (uint16_t)s->hash, &word);
    if (__builtin_expect(slot != NULL, 1)) {
        s->slot = slot;
        s->word = word;
    } else {
        htab_spot_follow(a, s);
        word = s->word;
    }
    const uint8_t *block = seg_reach_line(&a->reach, WORD_OFF(word));
    s->block = block;
    if (__builtin_expect(!block, 0))
        return;
    /* up to eight in a row, the rest in a loop */
    switch (last_line) {
    default:
        for (uint32_t i = 8; i <= last_line; i++)
            SHM_PREFETCH(block + i * 64);
        __attribute__((fallthrough));
#define HTAB_LINE(i)                                                                                                   \
    case i:                                                                                                            \
        SHM_PREFETCH(block + (i)*64);                                                                                  \
        __attribute__((fallthrough))
        HTAB_LINE(7);
        HTAB_LINE(6);
        HTAB_LINE(5);
        HTAB_LINE(4);
        HTAB_LINE(3);
        HTAB_LINE(2);
        HTAB_LINE(1);
    case 0:
        SHM_PREFETCH(block);
#undef HTAB_LINE
    }
}

/* Asked after a read of the block: it was linked all the while. */
HTAB_INLINE int htab_spot_stands(const struct htab_spot *s) {
    return htab_read_ok(s->stripe, s->seq);
}
/* For a spot without a block. The stripe has no bucket at all, or that of the hash has neither its
 * tag nor a next one. */
HTAB_INLINE int htab_spot_shows_none(const struct htab_spot *s) {
    atomic_thread_fence(memory_order_acquire); /* tags were loaded without */
    return s->slot == (shm_word *)htab_none_has_it.slot && htab_spot_stands(s);
}
/* Also, the slot has referred to it until now. */
HTAB_INLINE int htab_spot_holds(const struct htab_spot *s) {
    return SHM_LOAD(s->slot) == s->word && htab_spot_stands(s);
}

#endif
