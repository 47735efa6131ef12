/* core/memory/htab_spot.h - where a block probably is, found in steps that never wait.
 *
 * Job      Finds the first slot with a hash's tag in three steps: stripe, bucket, slot. Each ends
 *          with a prefetch of what the next one reads. If each step is made for many hashes before
 *          the next, their cache misses overlap.
 * Rules    P1 Nothing that a spot names is trusted. Every address in it is inside claimed memory;
 *             what lies there is checked by the caller.
 *          P2 A spot has the stripe's sequence from before the look at array and slot. While the
 *             sequence stands (htab_spot_stands), no block that was linked then has been reused.
 *             While the slot has the same word, too (htab_spot_holds), it refers to the same block:
 *             every replacement of a word is followed by a bump before the next one.
 *          P3 A spot that finds nothing shows nothing: the caller walks (htab_walk_begin).
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
    struct stripe_shm *stripes;
    _Atomic uint64_t *seen;
    uint32_t stripe_shift, stripe_bits; /* their sum is 64 */
};

struct htab_spot {
    uint64_t hash;
    struct stripe_shm *stripe;
    uint64_t seq;         /* of the stripe: P2 */
    uint64_t array, word; /* of the stripe, and of the slot */
    shm_word *slot;       /* until htab_spot_slot() the first one of the bucket. NULL: nothing */
    const uint8_t *block; /* its first 64 bytes are readable; NULL: nothing found */
};

HTAB_INLINE struct htab_aim htab_aim(const struct htab *t) {
    return (struct htab_aim){.reach = seg_reach(t->seg),
                             .tab = t,
                             .stripes = t->stripes,
                             .seen = t->seen,
                             .stripe_shift = t->stripe_shift,
                             .stripe_bits = 64 - t->stripe_shift};
}

/* The first slot of the bucket of a hash in the array that a stripe's word names. */
HTAB_INLINE shm_word *htab_aim_bucket(const struct htab_aim *a, uint64_t array_word, uint64_t hash) {
    uint32_t below_stripe = (uint32_t)(hash >> 32) << a->stripe_bits;
    uint64_t number = (uint64_t)below_stripe * WORD_TAG(array_word) >> 32;
    shm_word *slot = seg_reach_line(&a->reach, WORD_OFF(array_word) + number * sizeof(struct bucket_shm));
    SHM_PREFETCH(slot);
    return slot;
}

/* The stripe, and the bucket where this process saw the array last. */
HTAB_INLINE void htab_spot_stripe(const struct htab_aim *a, uint64_t hash, struct htab_spot *s) {
    uint64_t number = hash >> a->stripe_shift;
    s->hash = hash;
    s->stripe = &a->stripes[number];
    SHM_PREFETCH(s->stripe);
    s->array = a->seen ? SHM_LOAD_RELAXED(&a->seen[number]) : 0;
    s->slot = htab_aim_bucket(a, s->array, hash);
}

/* The bucket. */
HTAB_INLINE void htab_spot_bucket(const struct htab_aim *a, struct htab_spot *s) {
    s->seq = htab_read_begin(s->stripe) & ~SEQ_MARK; /* P4 */
    uint64_t array = SHM_LOAD(&s->stripe->array);
    if (__builtin_expect(array == s->array, 1))
        return;
    s->array = array;
    s->slot = htab_aim_bucket(a, array, s->hash);
    htab_note(a->tab, s->hash, array);
}

/* The slot, and `ahead_bytes` of the block that it refers to. */
HTAB_INLINE void htab_spot_slot(const struct htab_aim *a, struct htab_spot *s, size_t ahead_bytes) {
    shm_word *first = s->slot;
    s->block = NULL;
    s->word = 0;
    if (!first)
        return;
    s->slot = htab_bucket_slot((struct bucket_shm *)first, (uint16_t)s->hash, &s->word);
    if (__builtin_expect(!s->slot, 0)) {
        s->slot = htab_peek(a->tab, s->array, (struct bucket_shm *)first, s->hash, &s->word);
        if (!s->slot)
            return;
    }
    const uint8_t *block = seg_reach_line(&a->reach, WORD_OFF(s->word));
    s->block = block;
    for (size_t at = 0; block && at < ahead_bytes; at += 128) {
        SHM_PREFETCH(block + at);
        SHM_PREFETCH(block + at + 64);
    }
}

/* Asked after a read of the block: it was linked all the while. */
HTAB_INLINE int htab_spot_stands(const struct htab_spot *s) {
    return htab_read_ok(s->stripe, s->seq);
}
/* Also, the slot has referred to it until now. */
HTAB_INLINE int htab_spot_holds(const struct htab_spot *s) {
    return SHM_LOAD(s->slot) == s->word && htab_spot_stands(s);
}

#endif
