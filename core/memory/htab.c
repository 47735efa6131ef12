/* core/memory/htab.c - hash tables of blocks. See htab.h. */
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/htab_spot.h"

#define BUCKETS_MAX 65535u
#define REFILL_AHEAD 2u /* buckets */

/* The main buckets of an array, by the stripe's word, and the array. 0 and NULL: it is empty or out
 * of bounds. */
static uint32_t array_of(const struct htab *t, uint64_t word, struct bucket_shm **array) {
    uint32_t buckets = WORD_TAG(word);
    *array = buckets ? seg_at(t->seg, WORD_OFF(word), htab_array_bytes(buckets)) : NULL;
    return *array ? buckets : 0;
}

/* The bucket after bucket number `at` of a chain. -1: there is none. -2: the link breaks H3. */
static int64_t next_of(const struct bucket_shm *array, uint32_t buckets, uint32_t total, uint32_t at) {
    uint64_t link = SHM_LOAD(&array[at].link);
    if (link == 0)
        return -1;
    return link > buckets && link <= total && link - 1 > at ? (int64_t)link - 1 : -2;
}

uint32_t htab_bucket_of(const struct htab *t, uint32_t bucket_count, uint64_t hash) {
    uint32_t below_stripe = (uint32_t)(hash >> 32) << (64 - t->stripe_shift);
    /* Monotone in the hash: bucket order is hash order. */
    return (uint32_t)((uint64_t)below_stripe * bucket_count >> 32);
}

uint64_t htab_first_hash(const struct htab *t, uint32_t stripe, uint32_t buckets, uint32_t bucket) {
    /* ceil: the 32 bits below the stripe's */
    uint64_t below = (((uint64_t)bucket << 32) + buckets - 1) / buckets;
    /* the lowest of them, as many as the stripe has, are of the low half of the hash */
    uint64_t beyond = (UINT64_C(1) << (64 - t->stripe_shift)) - 1;
    below = (below + beyond) & ~beyond;
    return (uint64_t)stripe << t->stripe_shift | below << 32 >> (64 - t->stripe_shift);
}

struct bucket_shm *htab_bucket(const struct htab *t, uint64_t array_word, uint64_t hash) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, array_word, &array);
    if (!buckets)
        return NULL;
    struct bucket_shm *bucket = &array[htab_bucket_of(t, buckets, hash)];
    SHM_PREFETCH(bucket);
    return bucket;
}

void htab_note(const struct htab *t, uint64_t hash, uint64_t array_word) {
    struct bucket_shm *array;
    if (t->seen)
        atomic_store_explicit(&t->seen[hash >> t->stripe_shift],
                              array_of(t, array_word, &array) ? array_word ^ HTAB_NO_ARRAY : 0, memory_order_relaxed);
}

void htab_ahead(const struct htab *t, uint64_t hash) {
    SHM_PREFETCH(htab_stripe(t, hash));
    htab_bucket(t, htab_guess(t, hash), hash);
}

void htab_walk_begin(struct htab_walk *walk, const struct htab *t, struct stripe_shm *s, uint64_t hash) {
    uint64_t word = SHM_LOAD(&s->array);
    if (htab_guess(t, hash) != word)
        htab_note(t, hash, word);
    uint32_t buckets = array_of(t, word, &walk->array);
    walk->tab = t;
    walk->hash = hash;
    walk->bucket_count = buckets;
    walk->bucket_total = buckets ? buckets + HTAB_SPARES(buckets) : 0;
    walk->bucket = buckets ? &walk->array[htab_bucket_of(t, buckets, hash)] : NULL;
    walk->at = 0;
    walk->ahead_bytes = 0;
    walk->is_damaged = !buckets && word != 0;
}

/* The first slot with the tag from slot `from` on, or BUCKET_SLOTS. Unrolled: a get looks at four
 * or five slots, and a loop costs ten instructions for each. */
static inline uint32_t slot_with_tag(const struct bucket_shm *bucket, uint32_t from, uint16_t tag) {
#define SLOT_OR_NEXT(i)                                                                                                \
    case i:                                                                                                            \
        if (WORD_TAG(SHM_LOAD(&bucket->slot[i])) == tag)                                                               \
            return i;                                                                                                  \
        __attribute__((fallthrough))
    switch (from) {
        SLOT_OR_NEXT(0);
        SLOT_OR_NEXT(1);
        SLOT_OR_NEXT(2);
        SLOT_OR_NEXT(3);
        SLOT_OR_NEXT(4);
        SLOT_OR_NEXT(5);
        SLOT_OR_NEXT(6);
    default:
        return BUCKET_SLOTS;
    }
#undef SLOT_OR_NEXT
}
_Static_assert(BUCKET_SLOTS == 7, "slot_with_tag() has a line for each slot");

/* Whether a block with this first word may be in the walk's chain although the walk does not look
 * for it. If not, the block or its slot is damaged. */
static __attribute__((noinline)) int is_neighbour(const struct htab_walk *walk, uint64_t first) {
    const struct htab *t = walk->tab;
    return first >> t->stripe_shift == walk->hash >> t->stripe_shift &&
           htab_bucket_of(t, walk->bucket_count, first) == htab_bucket_of(t, walk->bucket_count, walk->hash);
}

shm_word *htab_walk_next(struct htab_walk *walk, uint64_t min_bytes, uint64_t *word, void **block) {
    const uint16_t tag = (uint16_t)walk->hash;
    struct bucket_shm *bucket = walk->bucket;
    for (uint32_t i = walk->at; bucket; i = 0) {
        for (; (i = slot_with_tag(bucket, i, tag)) < BUCKET_SLOTS; i++) {
            uint64_t slot = SHM_LOAD(&bucket->slot[i]);
            if (slot == 0 || WORD_TAG(slot) != tag) /* empty with a tag of 0, or changed just now */
                continue;
            htab_prefetch(walk->tab, slot, walk->ahead_bytes);
            void *at = seg_at(walk->tab->seg, WORD_OFF(slot), min_bytes);
            uint64_t found = at ? SHM_LOAD((shm_word *)at) : 0;
            if (!at || (found ^ walk->hash) >> 32 != 0) {
                walk->is_damaged |= !at || !is_neighbour(walk, found);
                continue;
            }
            *word = slot;
            *block = at;
            walk->bucket = bucket;
            walk->at = i + 1;
            return &bucket->slot[i];
        }
        int64_t next = next_of(walk->array, walk->bucket_count, walk->bucket_total, (uint32_t)(bucket - walk->array));
        bucket = next >= 0 ? &walk->array[next] : NULL;
        walk->is_damaged |= next < -1;
    }
    walk->bucket = NULL;
    return NULL;
}

shm_word *htab_peek(const struct htab *t, uint64_t array_word, struct bucket_shm *bucket, uint64_t hash,
                    uint64_t *word) {
    struct bucket_shm *array = NULL;
    uint32_t buckets = 0;
    for (;;) {
        shm_word *slot = htab_bucket_slot(bucket, (uint16_t)hash, word);
        if (slot)
            return slot;
        if (SHM_LOAD_RELAXED(&bucket->link) == 0)
            return NULL;
        if (!array)
            buckets = array_of(t, array_word, &array);
        int64_t next =
            buckets ? next_of(array, buckets, buckets + HTAB_SPARES(buckets), (uint32_t)(bucket - array)) : -1;
        if (next < 0)
            return NULL;
        bucket = &array[next];
    }
}

const struct bucket_shm htab_no_bucket __attribute__((aligned(64)));
const struct bucket_shm htab_none_has_it __attribute__((aligned(64)));
const _Atomic uint64_t htab_no_guess;

void htab_spot_guess_again(const struct htab_aim *a, struct htab_spot *s, uint64_t array) {
    struct bucket_shm *bucket = htab_bucket(a->tab, array, s->hash);
    htab_note(a->tab, s->hash, array);
    s->array = array;
    s->slot = bucket ? bucket->slot : (shm_word *)htab_no_bucket.slot;
}

void htab_spot_follow(const struct htab_aim *a, struct htab_spot *s) {
    struct bucket_shm *bucket = (struct bucket_shm *)s->slot;
    uint64_t word = 0;
    int is_alone = SHM_LOAD(&bucket->link) == 0, is_known = bucket != &htab_no_bucket || s->array == 0;
    shm_word *slot = is_alone ? NULL : htab_peek(a->tab, s->array, bucket, s->hash, &word);
    s->word = slot ? word : 0;
    s->slot = slot ? slot : (shm_word *)(is_alone && is_known ? &htab_none_has_it : &htab_no_bucket)->slot;
}

/* ---- Changing, under the stripe's lock ------------------------------------------------------- */

static shm_word *empty_in(struct bucket_shm *bucket) {
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (SHM_LOAD_RELAXED(&bucket->slot[i]) == 0)
            return &bucket->slot[i];
    return NULL;
}

static int is_unused(const struct bucket_shm *bucket) {
    uint64_t used = SHM_LOAD_RELAXED(&bucket->link);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        used |= SHM_LOAD_RELAXED(&bucket->slot[i]);
    return used == 0;
}

/* The next spare, linked behind bucket number `last`, the end of a chain. NULL: none is left. A
 * spare in use is not linked again: a new array is built from what can be found. */
static struct bucket_shm *link_spare(struct bucket_shm *array, uint32_t buckets, uint32_t last, uint32_t *spares_used,
                                     int is_private) {
    uint32_t spare = buckets + *spares_used;
    if (*spares_used >= HTAB_SPARES(buckets) || spare <= last || !is_unused(&array[spare]))
        return NULL;
    ++*spares_used;
    if (is_private)
        atomic_init(&array[last].link, (uint64_t)spare + 1);
    else
        SHM_STORE(&array[last].link, (uint64_t)spare + 1);
    return &array[spare];
}

shm_word *htab_empty_slot(const struct htab *t, struct bucket_shm *array, uint32_t buckets, uint64_t hash,
                          uint32_t *spares_used, int is_private) {
    uint32_t at = htab_bucket_of(t, buckets, hash);
    for (;;) {
        shm_word *slot = empty_in(&array[at]);
        if (slot)
            return slot;
        int64_t next = next_of(array, buckets, buckets + HTAB_SPARES(buckets), at);
        if (next == -2) /* a damaged chain takes no more blocks */
            return NULL;
        if (next == -1)
            break;
        at = (uint32_t)next;
    }
    struct bucket_shm *spare = link_spare(array, buckets, at, spares_used, is_private);
    return spare ? &spare->slot[0] : NULL;
}

/* Prefetches the blocks of a bucket, for their hashes. */
static void fetch_blocks(const struct htab *t, const struct bucket_shm *bucket) {
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t word = SHM_LOAD_RELAXED(&bucket->slot[i]);
        if (word)
            htab_prefetch(t, word, sizeof(uint64_t));
    }
}

/* Puts a word of the old array into the new one, which no reader sees yet. LARDER_NOT_FOUND: its
 * chain needs one more spare. */
static int put_word(const struct htab *t, struct bucket_shm *array, uint32_t buckets, uint64_t word,
                    uint32_t *spares_used) {
    const shm_word *block = seg_at(t->seg, WORD_OFF(word), sizeof(uint64_t));
    if (!block)
        return err_set(LARDER_E_CORRUPT, "a bucket refers to %llu, outside the heap",
                       (unsigned long long)WORD_OFF(word));
    uint64_t hash = htab_hash_in(word, SHM_LOAD_RELAXED(block));
    shm_word *slot = htab_empty_slot(t, array, buckets, hash, spares_used, 0);
    if (!slot)
        return LARDER_NOT_FOUND;
    SHM_STORE(slot, word);
    return LARDER_OK;
}

/* The same with all words. */
static int refill(const struct htab *t, struct stripe_shm *s, const struct bucket_shm *old, uint32_t old_total,
                  struct bucket_shm *array, uint32_t buckets) {
    uint32_t spares_used = 0;
    for (uint32_t b = 0; b < old_total; b++) {
        if (b + REFILL_AHEAD < old_total)
            fetch_blocks(t, &old[b + REFILL_AHEAD]);
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = SHM_LOAD_RELAXED(&old[b].slot[i]);
            int r = word ? put_word(t, array, buckets, word, &spares_used) : LARDER_OK;
            if (r)
                return r;
        }
    }
    SHM_STORE(&s->spares_used, spares_used);
    return LARDER_OK;
}

static int publish_array(struct writer *w, struct stripe_shm *s, uint64_t old_word, uint64_t new_word) {
    return step_swap(w, 1, &s->array, old_word, new_word, &s->seq, (uint64_t[]){WORD_OFF(old_word)}, 1);
}

uint32_t htab_buckets_filling(uint32_t least) {
    uint32_t buckets = least;
    uint64_t bytes = heap_round(htab_array_bytes(least), HEAP_LINE);
    while (buckets < BUCKETS_MAX && htab_array_bytes(buckets + 1) <= bytes)
        buckets++;
    return buckets;
}

/* Replaces the array by one of `buckets`: built aside, published by one word, the old one given
 * back. LARDER_NOT_FOUND: too few buckets for a chain; nothing has changed. */
static int replace_array(struct writer *w, const struct htab *t, struct stripe_shm *s, uint32_t buckets) {
    struct bucket_shm *old, *array;
    uint64_t old_word = SHM_LOAD_RELAXED(&s->array), off, bytes = htab_array_bytes(buckets);
    uint32_t old_buckets = array_of(t, old_word, &old),
             old_total = old_buckets ? old_buckets + HTAB_SPARES(old_buckets) : 0;
    int r = heap_take(w, bytes, HAND_STEP1 | HAND_NEW, HEAP_LINE, &off);
    if (r)
        return r;
    array = seg_at(t->seg, off, bytes);
    if (!array)
        return err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
    shm_zero(array, bytes);
    int swapped = LARDER_OK;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): it fits */
    uint64_t word = WORD_MAKE(buckets, off);
    SHM_IN_ORDER(array_before_fill, r = refill(t, s, old, old_total, array, buckets),
                 if (r == LARDER_OK) swapped = publish_array(w, s, old_word, word));
    if (r == LARDER_OK)
        return swapped;
    int gave = step_abandon(w, 1);
    return gave ? gave : r;
}

/* The next larger size: a twelfth more, rounded up to what the block has room for. (With a sixth
 * more an item takes 1.5 bytes more.) 0: there is none. */
static uint32_t larger(uint32_t buckets) {
    uint32_t wanted = htab_buckets_filling(buckets + buckets / 12 + 1);
    return wanted <= BUCKETS_MAX ? wanted : 0;
}

static int grow(struct writer *w, const struct htab *t, struct stripe_shm *s) {
    struct bucket_shm *old;
    uint64_t old_word = SHM_LOAD_RELAXED(&s->array);
    uint32_t buckets = array_of(t, old_word, &old);
    /* a new array in its place would hide every item of the stripe */
    if (!buckets && old_word != 0)
        return err_set(LARDER_E_CORRUPT, "a stripe refers to a bucket array at %llu, which is none",
                       (unsigned long long)WORD_OFF(old_word));
    while ((buckets = larger(buckets)) != 0) {
        int r = replace_array(w, t, s, buckets);
        if (r != LARDER_NOT_FOUND)
            return r;
    }
    return err_set(LARDER_E_FULL,
                   "a stripe has reached its largest bucket array; create the segment with more stripes");
}

static unsigned slots_used(const struct bucket_shm *bucket) {
    unsigned count = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        count += SHM_LOAD_RELAXED(&bucket->slot[i]) != 0;
    return count;
}

/* ---- Spares that change chains ---------------------------------------------------------------
 *
 * Once all spares are linked, a stripe whose blocks come and go would sooner or later need a larger
 * array, however few they are. So before the array grows a chain gives the spare at its end to
 * another one, if its blocks fit in the buckets before it. In a well filled array this is tried
 * only when growing fails for lack of memory.
 *
 * Crash    1 copies of the spare's words in empty slots before it
 *          2 sequence
 *          3 its slots empty
 *          4 link to it 0
 *          5 sequence
 *          6 link from the other chain
 *          Dead between 1 and 3: a word is in a chain twice. htab_recount_locked() ends that; until
 *          then htab_bucket_slots() takes it once. Dead between 4 and 6: a spare less until the
 *          array is replaced. */

/* A chain's last bucket, the one before, and whether it can be spared: it is a spare, and all its
 * blocks fit further up. */
struct chain_end {
    uint32_t before, last;
    int is_spared;
};

static struct chain_end end_of_chain(const struct bucket_shm *array, uint32_t buckets, uint32_t total,
                                     uint32_t bucket) {
    struct chain_end end = {.before = bucket, .last = bucket};
    unsigned empty = 0;
    int64_t next;
    for (uint32_t at = bucket; (next = next_of(array, buckets, total, at)) >= 0; at = (uint32_t)next) {
        empty += BUCKET_SLOTS - slots_used(&array[at]);
        end.before = at;
        end.last = (uint32_t)next;
    }
    end.is_spared = next == -1 && end.last != bucket && slots_used(&array[end.last]) <= empty;
    return end;
}

/* Takes the last bucket out of the chain that begins at `bucket`. */
static void cut_chain(struct stripe_shm *s, struct bucket_shm *array, uint32_t bucket, const struct chain_end *end) {
    struct bucket_shm *last = &array[end->last];
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t word = SHM_LOAD_RELAXED(&last->slot[i]);
        uint32_t at = bucket;
        shm_word *slot = NULL;
        while (word != 0 && !(slot = empty_in(&array[at])) && at != end->last)
            at = (uint32_t)SHM_LOAD_RELAXED(&array[at].link) - 1;
        if (slot)
            SHM_STORE(slot, word);
    }
    /* A lock-free reader that has not seen the copies must not trust that it saw the last
     * bucket. */
    SHM_STORE(&s->seq, SHM_LOAD_RELAXED(&s->seq) + 1);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (SHM_LOAD_RELAXED(&last->slot[i]) != 0)
            SHM_STORE(&last->slot[i], 0);
    SHM_STORE(&array[end->before].link, 0);
    SHM_STORE(&s->seq, SHM_LOAD_RELAXED(&s->seq) + 1);
}

/* Takes a spare from another chain for that of this hash. False: no chain can spare one. */
static int take_over_spare(const struct htab *t, struct stripe_shm *s, uint64_t hash) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, SHM_LOAD_RELAXED(&s->array), &array), total = buckets + HTAB_SPARES(buckets);
    if (!buckets)
        return 0;
    uint32_t mine = htab_bucket_of(t, buckets, hash);
    struct chain_end my = end_of_chain(array, buckets, total, mine);
    if (next_of(array, buckets, total, my.last) != -1) /* damaged */
        return 0;
    for (uint32_t b = 0; b < buckets; b++) {
        if (b == mine || SHM_LOAD_RELAXED(&array[b].link) == 0)
            continue;
        struct chain_end end = end_of_chain(array, buckets, total, b);
        if (!end.is_spared || end.last <= my.last) /* H3 */
            continue;
        cut_chain(s, array, b, &end);
        SHM_STORE(&array[my.last].link, (uint64_t)end.last + 1);
        return 1;
    }
    return 0;
}

/* Above five eighths the array grows before other chains are searched for spares: few can spare
 * one. At seven tenths none can. */
static int is_well_filled(const struct htab *t, const struct stripe_shm *s) {
    return (uint64_t)SHM_LOAD_RELAXED(&s->count) * 8 > (uint64_t)htab_bucket_count(t, s) * BUCKET_SLOTS * 5;
}

/* Room for one more block with this hash. */
static int make_room(struct writer *w, const struct htab *t, struct stripe_shm *s, uint64_t hash) {
    int is_full = is_well_filled(t, s);
    if (!is_full && take_over_spare(t, s, hash))
        return LARDER_OK;
    int r = grow(w, t, s);
    int lacks_memory = r == OBSTACLE_CLAIM || r == LARDER_E_FULL;
    return lacks_memory && is_full && take_over_spare(t, s, hash) ? LARDER_OK : r;
}

int htab_free_slot_locked(struct writer *w, const struct htab *t, struct stripe_shm *s, uint64_t hash,
                          shm_word **slot) {
    DEBUG_ASSERT(lock_is_held(w, t->rank));
    for (;;) {
        struct bucket_shm *array;
        uint32_t buckets = array_of(t, SHM_LOAD_RELAXED(&s->array), &array);
        uint32_t spares_used = SHM_LOAD_RELAXED(&s->spares_used), before = spares_used;
        *slot = buckets ? htab_empty_slot(t, array, buckets, hash, &spares_used, 0) : NULL;
        if (spares_used != before)
            SHM_STORE(&s->spares_used, spares_used);
        if (*slot)
            return LARDER_OK;
        int r = make_room(w, t, s, hash);
        if (r)
            return r;
    }
}

void htab_count_locked(struct stripe_shm *s, int by) {
    SHM_STORE(&s->count, SHM_LOAD_RELAXED(&s->count) + (uint32_t)by);
}

/* Clears the words of a chain's last bucket that are further up, too: its owner died while it cut
 * the chain. */
static void end_duplicates(struct bucket_shm *array, uint32_t buckets, uint32_t total, uint32_t bucket) {
    struct bucket_shm *last = &array[end_of_chain(array, buckets, total, bucket).last];
    for (uint32_t at = bucket; &array[at] != last; at = (uint32_t)SHM_LOAD_RELAXED(&array[at].link) - 1)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            for (unsigned k = 0; k < BUCKET_SLOTS; k++) {
                uint64_t word = SHM_LOAD_RELAXED(&last->slot[k]);
                if (word != 0 && word == SHM_LOAD_RELAXED(&array[at].slot[i]))
                    SHM_STORE(&last->slot[k], 0);
            }
}

/* How many spares, from the first one on, are linked. */
static uint32_t linked_spares(const struct bucket_shm *array, uint32_t buckets) {
    uint32_t linked = 0;
    for (uint32_t b = 0; buckets && b < buckets + HTAB_SPARES(buckets); b++) {
        uint64_t link = SHM_LOAD(&array[b].link);
        if (link > buckets && link - buckets > linked && link <= buckets + HTAB_SPARES(buckets))
            linked = (uint32_t)link - buckets;
    }
    return linked;
}

int htab_has_true_spares(const struct htab *t, const struct stripe_shm *s) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, SHM_LOAD(&s->array), &array), linked = linked_spares(array, buckets);
    for (uint32_t i = linked; buckets && i < HTAB_SPARES(buckets); i++)
        if (!is_unused(&array[buckets + i]))
            return 0;
    return linked <= SHM_LOAD(&s->spares_used) && SHM_LOAD(&s->spares_used) <= (buckets ? HTAB_SPARES(buckets) : 0);
}

int htab_recount_locked(const struct htab *t, struct stripe_shm *s) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, SHM_LOAD(&s->array), &array), count = 0;
    for (uint32_t b = 0; b < buckets; b++)
        if (SHM_LOAD(&array[b].link) != 0)
            end_duplicates(array, buckets, buckets + HTAB_SPARES(buckets), b);
    for (uint32_t b = 0; buckets && b < buckets + HTAB_SPARES(buckets); b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            count += SHM_LOAD(&array[b].slot[i]) != 0;
    SHM_STORE(&s->count, count);
    SHM_STORE(&s->spares_used, linked_spares(array, buckets));
    return LARDER_OK;
}

int htab_clear_locked(struct writer *w, struct stripe_shm *s) {
    uint64_t word = SHM_LOAD_RELAXED(&s->array);
    if (SHM_LOAD_RELAXED(&s->count) != 0)
        return err_set(LARDER_E_CORRUPT, "a stripe that was emptied counts %u blocks", SHM_LOAD_RELAXED(&s->count));
    if (word == 0)
        return LARDER_OK;
    SHM_STORE(&s->spares_used, 0);
    return step_swap(w, 1, &s->array, word, 0, &s->seq, (uint64_t[]){WORD_OFF(word)}, 1);
}

static int is_array_empty(const struct bucket_shm *array, uint32_t total) {
    for (uint32_t b = 0; b < total; b++)
        if (slots_used(&array[b]) != 0)
            return 0;
    return 1;
}

/* Gives back an empty array of more than kept_bytes. */
static int clear_empty(struct writer *w, const struct htab *t, struct stripe_shm *s, uint64_t kept_bytes) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, SHM_LOAD_RELAXED(&s->array), &array);
    if (htab_array_bytes(buckets) <= kept_bytes || SHM_LOAD_RELAXED(&s->count) != 0 ||
        !is_array_empty(array, buckets + HTAB_SPARES(buckets))) /* the count is only a cache */
        return LARDER_OK;
    return htab_clear_locked(w, s);
}

int htab_clear_large_locked(struct writer *w, const struct htab *t, struct stripe_shm *s) {
    return clear_empty(w, t, s, HTAB_KEPT_BYTES);
}

/* When memory is short an array becomes smaller if at most three eighths of its slots are in use.
 * What a stripe lost may come back; then it grows again, by a twelfth at a time. */
#define SHRINK_EIGHTHS 3u
#define SHRUNK_FILL 4u /* blocks to a bucket */

/* Buckets of an array for what the stripe has now, with room for three quarters more. 0: it uses
 * too much of its array. */
static uint32_t buckets_wanted(const struct htab *t, const struct stripe_shm *s) {
    uint32_t buckets = htab_bucket_count(t, s), count = SHM_LOAD_RELAXED(&s->count);
    if ((uint64_t)count * 8 > (uint64_t)buckets * BUCKET_SLOTS * SHRINK_EIGHTHS)
        return 0;
    uint32_t wanted = htab_buckets_filling(count / SHRUNK_FILL + 1);
    return htab_array_bytes(buckets) > HTAB_KEPT_BYTES && htab_array_bytes(wanted) <= htab_array_bytes(buckets) / 4 * 3
               ? wanted
               : 0;
}

int htab_is_too_large(const struct htab *t, const struct stripe_shm *s) {
    return buckets_wanted(t, s) != 0 || (SHM_LOAD_RELAXED(&s->count) == 0 && SHM_LOAD_RELAXED(&s->array) != 0);
}

int htab_shrink_locked(struct writer *w, const struct htab *t, struct stripe_shm *s) {
    uint32_t wanted = buckets_wanted(t, s), most = htab_bucket_count(t, s) / 4 * 3;
    if (SHM_LOAD_RELAXED(&s->count) == 0)
        return clear_empty(w, t, s, 0);
    int r = LARDER_NOT_FOUND;
    for (; r == LARDER_NOT_FOUND && wanted != 0 && wanted <= most;
         wanted = htab_buckets_filling(wanted + wanted / 4 + 1))
        r = replace_array(w, t, s, wanted);
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

int htab_move_locked(struct writer *w, const struct htab *t, struct stripe_shm *s) {
    uint32_t buckets = htab_bucket_count(t, s);
    return buckets ? replace_array(w, t, s, buckets) : LARDER_NOT_FOUND;
}

/* ---- Walking in hash order ------------------------------------------------------------------- */

uint32_t htab_bucket_count(const struct htab *t, const struct stripe_shm *s) {
    struct bucket_shm *array;
    return array_of(t, SHM_LOAD(&s->array), &array);
}

shm_word *htab_slot_of(const struct htab *t, const struct stripe_shm *s, uint64_t first, uint64_t off, uint64_t *word) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, SHM_LOAD(&s->array), &array);
    if (!buckets)
        return NULL;
    for (int64_t at = htab_bucket_of(t, buckets, htab_high(first)); at >= 0;
         at = next_of(array, buckets, buckets + HTAB_SPARES(buckets), (uint32_t)at))
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            *word = SHM_LOAD(&array[at].slot[i]);
            if (WORD_OFF(*word) == off)
                return &array[at].slot[i];
        }
    return NULL;
}

/* Whether the word is among the 64 copied last: a chain has fewer, unless it is damaged. */
static int has_word(const uint64_t *words, uint32_t count, uint64_t word) {
    for (uint32_t i = count; i > 0 && count - i < 64; i--)
        if (words[i - 1] == word)
            return 1;
    return 0;
}

int htab_bucket_slots(const struct htab *t, const struct stripe_shm *s, uint32_t bucket, uint64_t *words,
                      uint32_t max) {
    struct bucket_shm *array;
    uint32_t buckets = array_of(t, SHM_LOAD(&s->array), &array), count = 0;
    if (bucket >= buckets)
        return buckets ? -1 : 0;
    for (uint32_t at = bucket;;) {
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = SHM_LOAD(&array[at].slot[i]);
            if (!word || (at != bucket && has_word(words, count, word)))
                continue;
            if (count == max)
                return -1;
            words[count++] = word;
        }
        int64_t next = next_of(array, buckets, buckets + HTAB_SPARES(buckets), at);
        if (next < 0)
            return next == -1 ? (int)count : -1;
        at = (uint32_t)next;
    }
}
