/* core/table/read.c - reading items without locks. See read.h.
 *
 * Long copies
 *          Writers of other items of the stripe move its sequence, too. A copy that takes longer
 *          than the pause between two of their writes would never see it stand still. So after a
 *          few tries the item is pinned by what only it has: (bucket array, slot word, version).
 *          All are read within one standing sequence before the copy, and again after it. The array
 *          shows that the slot is still one of this stripe, and a version is used once per stripe.
 *          So if all are equal it is the same block, linked all the while: unless it was moved away
 *          and back, which the stripe's count of moves shows.
 */
#include "core/table/read.h"
#include "core/base/err.h"
#include "core/table/db.h"
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define SHORT_TRIES 4

/* What to look for: a key, or the item behind an index entry. */
struct wanted {
    const struct item_key *key; /* NULL: by entry */
    int ordinal;                /* secondary index, or -1 for table order */
    uint32_t kseq;
    uint64_t hash;
};

/* An item found in a slot, and the copy of it at the end of the page. */
struct found {
    const struct stripe_shm *stripe;
    shm_word *slot;
    uint64_t word, array; /* of the slot, and of the stripe, when it was found */
    const uint8_t *block;
    const struct item_head *image; /* in the page, not committed */
};

uint64_t read_hash_in(const struct seg *s, const uint8_t *area, size_t partition_bytes, size_t sort_bytes) {
    uint64_t seed = s->hash_seed + partition_bytes * UINT64_C(0x9e3779b97f4a7c15);
    return XXH3_64bits_withSeed(area, partition_bytes + sort_bytes, seed) & HTAB_HASH_MASK;
}

uint64_t read_hash_of(const struct table_view *v, const uint8_t *area, size_t partition_bytes, size_t sort_bytes) {
    return read_hash_in(v->items.seg, area, partition_bytes, sort_bytes);
}

uint64_t read_hash(const struct table_view *v, const struct item_key *key) {
    return read_hash_of(v, key->area, key->partition_bytes, key->sort_bytes);
}

uint64_t read_hash_of_item(const struct table_view *v, const struct item_peek *item) {
    return read_hash_of(v, item_key_area(item->image), item->head.partition_bytes, item->head.sort_bytes);
}

uint32_t read_armed_s(const struct table_view *v, uint64_t word, const struct item_head *image) {
    struct item_head head;
    shm_copy_out(&head, image, sizeof head);
    if (!(head.flags & ITEM_TIMED) || head.bytes < sizeof head + sizeof(struct item_timed) || head.bytes % 8 != 0 ||
        !seg_at(v->items.seg, WORD_OFF(word), head.bytes))
        return 0;
    return SHM_LOAD(&item_timed_at(image, &head)->armed_s);
}

/* The clock that decides expiry, to the millisecond. A clock set by larder_set_clock() is exact,
 * and is not called here: writers come this way with a stripe locked. */
static int64_t exact_now(const struct larder *db, int64_t now_s) {
    struct timespec ts;
    if (atomic_load_explicit(&db->clock, memory_order_relaxed))
        return now_s;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}

int read_is_expired(const struct table_view *v, const struct item_head *image, int64_t now_s) {
    uint64_t at_s = item_expiry_s(image);
    if (__builtin_expect(item_ttl_generation(image) != v->ttl_generation, 0)) {
        int has_ttl = v->shape.ttl_name && item_is_readable(image, image->bytes);
        at_s = has_ttl ? item_ttl_of(image, v->shape.ttl_name, v->shape.ttl_name_bytes, now_s) : 0;
    }
    if (at_s == 0)
        return 0;
    /* the cheap clock may lag a few milliseconds behind a new second */
    if (now_s >= 0 && at_s == (uint64_t)now_s + 1)
        now_s = exact_now(v->db, now_s);
    return now_s >= 0 && at_s <= (uint64_t)now_s;
}

/* Key sequence of a copy whose head is sane. */
static uint32_t kseq_in(const struct item_head *image, int ordinal) {
    if (ordinal < 0)
        return image->kseq;
    return ordinal < image->index_count ? item_index_slots(image)[ordinal].kseq : 0;
}

static int is_wanted(const struct item_head *image, const struct wanted *want) {
    if (!want->key)
        return image->hash_high == want->hash >> 32 && kseq_in(image, want->ordinal) == want->kseq && want->kseq != 0;
    return item_is_same_key(item_key_in(image), item_key_of(want->key));
}

/* What a copy turned out to be. */
enum { COPY_WANTED, COPY_OTHER, COPY_INSANE };

/* Copies the block's image to the end of the page, whatever it is by now. Validates only what is
 * needed to look at the copy. LARDER_OK and *kind, or a failure. */
static inline __attribute__((always_inline)) int copy_image(const struct table_view *v, const struct wanted *want,
                                                            struct larder_page *page, struct found *f, int *kind) {
    const _Atomic uint32_t *length = (const _Atomic uint32_t *)(f->block + offsetof(struct item_head, bytes));
    size_t bytes = SHM_LOAD_RELAXED(length);
    *kind = COPY_INSANE;
    if (bytes < sizeof *f->image || bytes > ITEM_IMAGE_BYTES_MAX || bytes % 8 != 0 ||
        !seg_at(v->items.seg, WORD_OFF(f->word), bytes))
        return LARDER_OK;
    int r = page_reserve(page, bytes);
    if (r)
        return r;
    struct item_head *image = (struct item_head *)(page->bytes + page->used);
    shm_copy_out(image, f->block, bytes);
    f->image = image;
    if (image->bytes == bytes && image->version != 0 && item_head_is_sane(image, bytes))
        *kind = is_wanted(image, want) ? COPY_WANTED : COPY_OTHER;
    return LARDER_OK;
}

/* One look, nothing validated. LARDER_OK and *f; LARDER_NOT_FOUND; LARDER_E_CORRUPT: not found, but
 * something on the way makes no sense; LARDER_E_NO_MEMORY. */
static int look(const struct table_view *v, struct stripe_shm *stripe, const struct wanted *want,
                struct larder_page *page, struct found *f) {
    struct htab_walk walk;
    void *block;
    f->stripe = stripe;
    f->array = SHM_LOAD(&stripe->array);
    htab_walk_begin(&walk, &v->items, stripe, want->hash);
    walk.ahead_bytes = page->ahead_bytes;
    while ((f->slot = htab_walk_next(&walk, sizeof(struct item_head), &f->word, &block))) {
        int kind;
        f->block = block;
        int r = copy_image(v, want, page, f, &kind);
        if (r || kind == COPY_WANTED)
            return r;
        walk.is_damaged |= kind == COPY_INSANE;
    }
    return walk.is_damaged ? LARDER_E_CORRUPT : LARDER_NOT_FOUND;
}

/* Whether the item found is still the one in its slot. Also 0 if the sequence moved during the
 * look. */
static int is_pinned(const struct read_place *place) {
    uint64_t seq = htab_read_begin(place->stripe);
    if (SHM_LOAD(&place->stripe->array) != place->array || SHM_LOAD(place->slot) != place->word)
        return 0;
    return SHM_LOAD(place->version_at) == place->version && htab_read_ok(place->stripe, seq);
}

static struct read_place place_of(const struct found *f) {
    return (struct read_place){.stripe = f->stripe,
                               .slot = f->slot,
                               .array = f->array,
                               .word = f->word,
                               .version_at = (const shm_word *)(f->block + offsetof(struct item_head, version)),
                               .version = f->image->version};
}

static int damaged(void) {
    return err_set(LARDER_E_CORRUPT, "an item of the table, or what refers to it, is damaged");
}

/* Copies the item once more from the place where it was seen. True: it was still there
 * afterwards. */
static int copy_pinned(const struct table_view *v, const struct wanted *want, struct larder_page *page,
                       struct found *f) {
    struct read_place place = place_of(f);
    uint32_t moves = SHM_LOAD(&f->stripe->moves);
    int kind = COPY_INSANE;
    return is_pinned(&place) && copy_image(v, want, page, f, &kind) == LARDER_OK && kind == COPY_WANTED &&
           is_pinned(&place) && SHM_LOAD(&f->stripe->moves) == moves;
}

/* Finds an item and copies it to the end of the page, validated. The caller commits. */
static int find_and_copy(const struct table_view *v, const struct wanted *want, struct larder_page *page,
                         struct found *f) {
    struct stripe_shm *stripe = htab_stripe(&v->items, want->hash);
    for (unsigned tries = 0;; tries++) {
        uint64_t seq = htab_read_begin(stripe);
        int r = look(v, stripe, want, page, f);
        if (r == LARDER_E_NO_MEMORY)
            return r;
        if (htab_read_ok(stripe, seq))
            return r == LARDER_E_CORRUPT ? damaged() : r;
        if (r == LARDER_OK && tries >= SHORT_TRIES && copy_pinned(v, want, page, f))
            return LARDER_OK;
    }
}

/* The same where the hint says. 0: it says nothing, or nothing that is still true. */
static int copy_hinted(const struct table_view *v, const struct wanted *want, const struct read_hint *hint,
                       struct larder_page *page, struct found *f) {
    int kind = COPY_INSANE;
    if (!hint->slot)
        return 0;
    uint64_t seq = htab_read_begin(hint->stripe);
    if (SHM_LOAD(&hint->stripe->array) != hint->array || SHM_LOAD(hint->slot) != hint->word)
        return 0;
    *f = (struct found){.stripe = hint->stripe,
                        .slot = hint->slot,
                        .word = hint->word,
                        .array = hint->array,
                        .block = seg_at(v->items.seg, WORD_OFF(hint->word), sizeof(struct item_head))};
    return f->block && copy_image(v, want, page, f, &kind) == LARDER_OK && kind == COPY_WANTED &&
           htab_read_ok(hint->stripe, seq);
}

static int read_wanted(const struct table_view *v, const struct wanted *want, const struct read_hint *hint,
                       struct larder_page *page, struct found *f) {
    return copy_hinted(v, want, hint, page, f) ? LARDER_OK : find_and_copy(v, want, page, f);
}

/* Most items never expire, and most have the table's present TTL generation: those need no look. */
static inline int has_expired(const struct table_view *v, const struct item_head *image, int64_t now_s) {
    int is_asked = (image->flags & ITEM_TIMED) || item_ttl_generation(image) != v->ttl_generation;
    return is_asked && read_is_expired(v, image, now_s);
}

int read_by_key(const struct table_view *v, const struct item_key *key, const struct read_hint *hint, int64_t now_s,
                struct larder_page *page) {
    struct wanted want = {.key = key, .hash = hint->hash};
    struct found f;
    int r = read_wanted(v, &want, hint, page, &f);
    if (r)
        return r;
    return has_expired(v, f.image, now_s) ? LARDER_NOT_FOUND : page_commit(page, f.image->bytes);
}

int read_by_entry(const struct table_view *v, int ordinal, uint32_t kseq, const struct read_hint *hint, int64_t now_s,
                  struct larder_page *page, struct read_place *place, int *is_expired) {
    struct wanted want = {.ordinal = ordinal, .kseq = kseq, .hash = hint->hash};
    struct found f;
    int r = read_wanted(v, &want, hint, page, &f);
    *is_expired = 0;
    if (place)
        *place = r == LARDER_OK ? place_of(&f) : (struct read_place){.slot = NULL};
    if (r)
        return r;
    *is_expired = has_expired(v, f.image, now_s);
    return *is_expired ? LARDER_NOT_FOUND : page_commit(page, f.image->bytes);
}

int read_is_still_there(const struct read_place *place) {
    for (unsigned tries = 0; tries < SHORT_TRIES; tries++)
        if (is_pinned(place))
            return 1;
    return 0;
}

/* ---- Many at once: hints --------------------------------------------------------------------- */

struct read_hint read_hint_stripe(const struct table_view *v, uint64_t hash) {
    struct read_hint hint = {.hash = hash, .stripe = htab_stripe(&v->items, hash)};
    SHM_PREFETCH(hint.stripe);
    hint.array = htab_guess(&v->items, hash);
    hint.bucket = htab_bucket(&v->items, hint.array, hash);
    return hint;
}

void read_hint_bucket(const struct table_view *v, struct read_hint *hint) {
    uint64_t array = SHM_LOAD_RELAXED(&hint->stripe->array);
    if (array == hint->array)
        return;
    hint->array = array;
    hint->bucket = htab_bucket(&v->items, array, hint->hash);
    htab_note(&v->items, hint->hash, array);
}

void read_hint_item(const struct table_view *v, struct read_hint *hint, size_t ahead_bytes) {
    hint->slot = hint->bucket ? htab_peek(&v->items, hint->array, hint->bucket, hint->hash, &hint->word) : NULL;
    if (hint->slot)
        htab_prefetch(&v->items, hint->word, ahead_bytes);
}

/* ---- Public calls ---------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) int get(const struct table_view *v, const void *key,
                                                     struct larder_page *page) {
    struct item_key k;
    int r = item_key_from_values(&v->shape, key, &k);
    if (r)
        return r;
    /* what this prefetches comes in during the next calls */
    struct read_hint hint = read_hint_stripe(v, read_hash(v, &k));
    page_reset(page);
    page->scanned = 1;
    int64_t now_s = db_now_checked(v->db);
    read_hint_bucket(v, &hint);
    read_hint_item(v, &hint, page->ahead_bytes);
    r = read_by_key(v, &k, &hint, now_s, page);
    page->is_snapshot = 1; /* one item, or none */
    return r;
}

int larder_get(struct larder_table *t, const struct larder_key *key, struct larder_page *page) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    return read_page(t, page, get, key);
}

/* Keys of one round of larder_get_many: enough to overlap their misses, few enough for the
 * first-level cache. */
#define MANY_AT_ONCE 16

/* The encoded keys of a round, one after the other in the page's memory for keys. */
struct round {
    const struct item_key *key[MANY_AT_ONCE];
    struct read_hint hint[MANY_AT_ONCE];
};

static int begin_round(const struct table_view *v, const struct larder_key *keys, uint32_t count, uint8_t *memory,
                       size_t ahead_bytes, struct round *round) {
    for (uint32_t i = 0; i < count; i++) {
        struct item_key *key = (struct item_key *)memory;
        int r = item_key_from_values(&v->shape, &keys[i], key);
        if (r)
            return r;
        memory += offsetof(struct item_key, area) + key->area_bytes;
        round->key[i] = key;
        round->hint[i] = read_hint_stripe(v, read_hash(v, key));
    }
    for (uint32_t i = 0; i < count; i++)
        read_hint_bucket(v, &round->hint[i]);
    for (uint32_t i = 0; i < count; i++)
        read_hint_item(v, &round->hint[i], ahead_bytes);
    return LARDER_OK;
}

static int get_round(const struct table_view *v, const struct larder_key *keys, uint32_t count, int64_t now_s,
                     struct larder_page *page) {
    struct round round;
    int r = begin_round(v, keys, count, page->keys, page->ahead_bytes, &round);
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        r = read_by_key(v, round.key[i], &round.hint[i], now_s, page);
        if (r == LARDER_NOT_FOUND)
            r = page_add_hole(page);
    }
    return r;
}

struct many {
    const struct larder_key *keys;
    uint32_t count;
};

static int get_many(const struct table_view *v, const void *arg, struct larder_page *page) {
    const struct many *many = arg;
    uint32_t count = many->count;
    int r = page_make_keys(page, MANY_AT_ONCE * sizeof(struct item_key));
    if (r)
        return r;
    int64_t now_s = db_now_checked(v->db);
    page_reset(page);
    page->scanned = count;
    for (uint32_t at = 0; at < count && r == LARDER_OK; at += MANY_AT_ONCE)
        r = get_round(v, many->keys + at, count - at < MANY_AT_ONCE ? count - at : MANY_AT_ONCE, now_s, page);
    return r;
}

int larder_get_many(struct larder_table *t, const struct larder_key *keys, uint32_t count, struct larder_page *page) {
    if (ERR_IS_NULL(t) || (count && ERR_IS_NULL(keys)) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    return read_page(t, page, get_many, &(struct many){keys, count});
}
