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
#include "core/base/err.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/read_copy.h"
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
    struct htab_spot spot;
    const struct item_head *image; /* in the page, not committed */
    struct record_view counts;     /* the last look at the stripe */
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

static int is_wanted(const struct item_head *image, const struct wanted *want) {
    if (!want->key)
        return read_is_of_entry(image, want->ordinal, want->hash, want->kseq);
    return item_is_same_key(item_key_in(image), item_key_of(want->key));
}

/* What a copy turned out to be. */
enum { COPY_WANTED, COPY_OTHER, COPY_INSANE };

/* Copies the block's image to the end of the page, whatever it is by now. Validates only what is
 * needed to look at the copy. LARDER_OK and *kind, or a failure. */
static int copy_image(const struct table_view *v, const struct wanted *want, struct larder_page *page, struct found *f,
                      int *kind) {
    const uint8_t *block = f->spot.block;
    uint32_t bytes = SHM_LOAD_RELAXED((const _Atomic uint32_t *)(block + offsetof(struct item_head, bytes)));
    *kind = COPY_INSANE;
    if (!item_can_have_bytes(bytes) || !seg_at(v->items.seg, WORD_OFF(f->spot.word), bytes))
        return LARDER_OK;
    int r = page_reserve(page, bytes);
    if (r)
        return r;
    struct item_head *image = (struct item_head *)(page->bytes + page->used);
    shm_copy_out(image, block, bytes);
    f->image = image;
    if (image->bytes == bytes && image->version != 0 && item_head_is_sane(image, bytes))
        *kind = is_wanted(image, want) ? COPY_WANTED : COPY_OTHER;
    return LARDER_OK;
}

/* One look at what counts, nothing validated. LARDER_OK and *f; LARDER_NOT_FOUND; LARDER_E_CORRUPT:
 * not found, but something on the way makes no sense; LARDER_E_NO_MEMORY. */
static int look(const struct table_view *v, const struct wanted *want, struct larder_page *page, struct found *f) {
    struct htab_walk walk;
    struct htab_spot *spot = &f->spot;
    void *block;
    spot->array = SHM_LOAD(&spot->stripe->array);
    htab_walk_begin(&walk, &v->items, spot->stripe, want->hash);
    walk.ahead_bytes = page->ahead_bytes;
    while ((spot->slot = htab_walk_next(&walk, sizeof(struct item_head), &spot->word, &block))) {
        int kind;
        spot->block = block;
        if (record_hides(&f->counts, spot->word))
            continue;
        int r = copy_image(v, want, page, f, &kind);
        if (r || kind == COPY_WANTED)
            return r;
        walk.is_damaged |= kind == COPY_INSANE;
    }
    return walk.is_damaged ? LARDER_E_CORRUPT : LARDER_NOT_FOUND;
}

/* Also 0 if the sequence moved during the look. */
static int is_pinned(const struct seg *s, const struct read_place *place) {
    struct record_view counts;
    const struct htab_spot *spot = &place->spot;
    const shm_word *version = (const shm_word *)(spot->block + offsetof(struct item_head, version));
    if (record_look(&counts, s, spot->stripe) != LARDER_OK)
        return 0;
    if (SHM_LOAD(&spot->stripe->array) != spot->array || SHM_LOAD(spot->slot) != spot->word ||
        record_hides(&counts, spot->word))
        return 0;
    return SHM_LOAD(version) == place->version && record_stands(&counts);
}

static struct read_place place_of(const struct found *f) {
    return (struct read_place){.spot = f->spot, .version = f->image->version};
}

static int damaged(void) {
    return err_set(LARDER_E_CORRUPT, "an item of the table, or what refers to it, is damaged");
}

/* Copies the item once more from the place where it was seen. True: it was still there
 * afterwards. */
static int copy_pinned(const struct table_view *v, const struct wanted *want, struct larder_page *page,
                       struct found *f) {
    struct read_place place = place_of(f);
    uint32_t moves = SHM_LOAD(&f->spot.stripe->moves);
    int kind = COPY_INSANE;
    const struct seg *s = v->items.seg;
    return is_pinned(s, &place) && copy_image(v, want, page, f, &kind) == LARDER_OK && kind == COPY_WANTED &&
           is_pinned(s, &place) && SHM_LOAD(&f->spot.stripe->moves) == moves;
}

/* Finds an item and copies it to the end of the page, validated. The caller commits. The spot's
 * sequence is the one before the last look, without its mark: if it moved or is marked,
 * read_is_still_there() looks closer. */
static int find_and_copy(const struct table_view *v, const struct wanted *want, struct larder_page *page,
                         struct found *f) {
    struct htab_spot *spot = &f->spot;
    *spot = (struct htab_spot){.hash = want->hash, .stripe = htab_stripe(&v->items, want->hash)};
    for (unsigned tries = 0;; tries++) {
        int r = record_look(&f->counts, v->items.seg, spot->stripe);
        if (r == LARDER_CHANGED)
            continue;
        spot->seq = f->counts.seq & ~SEQ_MARK;
        r = r ? r : look(v, want, page, f);
        if (r == LARDER_E_NO_MEMORY)
            return r;
        if (record_stands(&f->counts))
            return r == LARDER_E_CORRUPT ? damaged() : r;
        if (r == LARDER_OK && tries >= SHORT_TRIES && copy_pinned(v, want, page, f))
            return LARDER_OK;
    }
}

int read_by_key(const struct table_view *v, const struct item_key *key, uint64_t hash, int64_t now_s,
                struct larder_page *page) {
    struct wanted want = {.key = key, .hash = hash};
    struct found f;
    int r = find_and_copy(v, &want, page, &f);
    if (r)
        return r;
    if (read_has_expired(v, f.image, now_s))
        return LARDER_NOT_FOUND;
    marks_note(v, f.spot.block);
    return page_commit(page, f.image->bytes);
}

int read_by_key_at(const struct table_view *v, const struct item_key *key, uint64_t hash, int64_t now_s,
                   struct larder_page *page, struct read_place *place, struct record_view *counts,
                   const struct item_head **image) {
    struct wanted want = {.key = key, .hash = hash};
    struct found f;
    int r = find_and_copy(v, &want, page, &f);
    *counts = f.counts;
    *place = r == LARDER_OK ? place_of(&f) : (struct read_place){.version = 0};
    if (r)
        return r;
    *image = f.image;
    return read_has_expired(v, f.image, now_s) ? LARDER_NOT_FOUND : LARDER_OK;
}

int read_by_entry(const struct table_view *v, int ordinal, uint32_t kseq, uint64_t hash, int64_t now_s,
                  struct larder_page *page, struct read_place *place, const struct item_head **image, int *is_expired) {
    struct wanted want = {.ordinal = ordinal, .kseq = kseq, .hash = hash};
    struct found f;
    int r = find_and_copy(v, &want, page, &f);
    *is_expired = 0;
    if (place)
        *place = r == LARDER_OK ? place_of(&f) : (struct read_place){.version = 0};
    if (r)
        return r;
    *image = f.image;
    *is_expired = read_has_expired(v, f.image, now_s);
    return *is_expired ? LARDER_NOT_FOUND : LARDER_OK;
}

int read_is_pinned(const struct seg *s, const struct read_place *place) {
    for (unsigned tries = 0; tries < SHORT_TRIES; tries++)
        if (is_pinned(s, place))
            return 1;
    return 0;
}

/* ---- Public calls ---------------------------------------------------------------------------- */

void read_usual_learn(struct read_usual *u, uint64_t same, const struct item_head *image) {
    uint64_t sizes = read_sizes_of(image);
    if ((image->flags & ~(ITEM_TIMED | ITEM_JOINED)) != ITEM_WALKED || ((sizes ^ u->sizes) & same & ~HEAD_KIND))
        return;
    u->sizes = sizes & ~HEAD_TIMED;
    u->fixed = (uint32_t)(sizeof *image + image->index_count * sizeof(struct item_index_slot));
    if (same & HEAD_PARTITION_BYTES)
        u->fixed += image->partition_bytes;
    if (same & HEAD_SORT_BYTES)
        u->fixed += image->sort_bytes;
}

/* A copy that is not of the usual kind, or not the wanted item. */
static __attribute__((noinline)) int read_key_closely(const struct table_view *v, const struct item_head *image,
                                                      const struct htab_spot *spot, const struct item_key *key,
                                                      int64_t now_s, struct larder_page *page) {
    if (!item_parts_are_sane(image) || !item_is_same_key(item_key_in(image), item_key_of(key)))
        return read_by_key(v, key, spot->hash, now_s, page);
    if (read_has_expired(v, image, now_s))
        return LARDER_NOT_FOUND;
    marks_note(v, spot->block);
    page_put(page, image->bytes);
    return LARDER_OK;
}

HTAB_INLINE int read_is_same_area(const uint8_t *area, const struct item_key *key, int is_wide) {
    return key->area_bytes < WIDE_BYTES ? words_are_equal(area, key->area, key->area_bytes)
                                        : words_many_are_equal(area, key->area, key->area_bytes, is_wide);
}

/* The item of a key, whose spot is as far as its slot, to the end of the page, which has a place
 * for it. Results as read_by_key(). */
HTAB_INLINE int read_key(const struct table_view *v, const struct htab_aim *aim, const struct htab_spot *spot,
                         const struct item_key *key, int64_t now_s, struct larder_page *page, int is_wide) {
    uint32_t bytes;
    const struct item_head *image = read_copy(aim, spot, (uint8_t *)((uintptr_t)page->bytes + page->used),
                                              page->capacity - page->used, &bytes, is_wide);
    struct read_usual usual = read_usual(v, key->partition_bytes, key->sort_bytes);
    if (__builtin_expect(!image, 0)) {
        if (!spot->block && htab_spot_shows_none(spot))
            return LARDER_NOT_FOUND;
        return read_by_key(v, key, spot->hash, now_s, page);
    }
    if (__builtin_expect(!read_is_usual(image, &usual, HEAD_KIND | HEAD_PARTITION_BYTES | HEAD_SORT_BYTES, now_s) ||
                             ((read_stamp_of(image) ^ usual.stamp) & READ_STAMP & ~UINT64_C(0xffffffff)) ||
                             !read_is_same_area(item_key_area(image), key, is_wide),
                         0))
        return read_key_closely(v, image, spot, key, now_s, page);
    marks_note(v, spot->block);
    page_put(page, bytes);
    return LARDER_OK;
}

HTAB_INLINE int get(const struct table_view *v, const void *key, struct larder_page *page, int is_wide) {
    struct item_key k;
    struct htab_spot spot;
    int r = item_key_from_values(&v->shape, key, &k);
    if (r)
        return r;
    struct htab_aim aim = htab_aim(&v->items);
    htab_spot_stripe(&aim, read_hash(v, &k), &spot);
    /* what this prefetches comes in during the next lines */
    page_reset(page);
    r = page_make_places(page, 1);
    if (r)
        return r;
    page->scanned = 1;
    int64_t now_s = db_now_checked(v->db);
    htab_spot_bucket(&aim, &spot);
    htab_spot_slot(&aim, &spot, htab_last_line(page->ahead_bytes));
    r = read_key(v, &aim, &spot, &k, now_s, page, is_wide);
    if (r == LARDER_OK)
        page_learn_bytes(page, page->used);
    page->is_snapshot = 1; /* one item, or none */
    return r;
}

HTAB_INLINE int get_narrow(const struct table_view *v, const void *key, struct larder_page *page) {
    return get(v, key, page, 0);
}
WIDE_TARGET HTAB_INLINE int get_wide(const struct table_view *v, const void *key, struct larder_page *page) {
    return get(v, key, page, 1);
}
WIDE_TARGET static int larder_get_wide(struct larder_table *t, const struct larder_key *key, struct larder_page *page) {
    return read_page(t, page, get_wide, key);
}

int larder_get(struct larder_table *t, const struct larder_key *key, struct larder_page *page) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    return wide_is_here() ? larder_get_wide(t, key, page) : read_page(t, page, get_narrow, key);
}

/* Keys of one round of larder_get_many: enough to overlap their misses, few enough for the
 * first-level cache. */
#define MANY_AT_ONCE 16

/* The encoded keys of a round, one after the other in the page's memory for keys, and their
 * spots. */
struct round {
    const struct item_key *key[MANY_AT_ONCE];
    struct htab_spot spot[MANY_AT_ONCE];
};

HTAB_INLINE int begin_round(const struct table_view *v, const struct htab_aim *aim, const struct larder_key *keys,
                            uint32_t count, struct larder_page *page, struct round *round) {
    uint8_t *memory = page->keys;
    for (uint32_t i = 0; i < count; i++) {
        struct item_key *key = (struct item_key *)memory;
        int r = item_key_from_values(&v->shape, &keys[i], key);
        if (r)
            return r;
        memory += offsetof(struct item_key, area) + key->area_bytes;
        round->key[i] = key;
        htab_spot_stripe(aim, read_hash(v, key), &round->spot[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        htab_spot_bucket(aim, &round->spot[i]);
    for (uint32_t i = 0, last_line = htab_last_line(page->ahead_bytes); i < count; i++)
        htab_spot_slot(aim, &round->spot[i], last_line);
    return LARDER_OK;
}

HTAB_INLINE int get_round(const struct table_view *v, const struct larder_key *keys, uint32_t count, int64_t now_s,
                          struct larder_page *page, int is_wide) {
    struct round round;
    struct htab_aim aim = htab_aim(&v->items);
    int r = begin_round(v, &aim, keys, count, page, &round);
    if (r == LARDER_OK)
        r = page_make_places(page, count);
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        r = read_key(v, &aim, &round.spot[i], round.key[i], now_s, page, is_wide);
        if (r == LARDER_NOT_FOUND)
            r = page_add_hole(page);
    }
    if (r == LARDER_OK && page->at[page->count - 1] != PAGE_HOLE)
        page_learn_bytes(page, page_last(page)->bytes);
    return r;
}

static __attribute__((noinline)) int get_round_narrow(const struct table_view *v, const struct larder_key *keys,
                                                      uint32_t count, int64_t now_s, struct larder_page *page) {
    return get_round(v, keys, count, now_s, page, 0);
}
WIDE_TARGET static __attribute__((noinline)) int get_round_wide(const struct table_view *v,
                                                                const struct larder_key *keys, uint32_t count,
                                                                int64_t now_s, struct larder_page *page) {
    return get_round(v, keys, count, now_s, page, 1);
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
    int is_wide = wide_is_here();
    for (uint32_t at = 0; at < count && r == LARDER_OK; at += MANY_AT_ONCE) {
        uint32_t least = count - at < MANY_AT_ONCE ? count - at : MANY_AT_ONCE;
        r = is_wide ? get_round_wide(v, many->keys + at, least, now_s, page)
                    : get_round_narrow(v, many->keys + at, least, now_s, page);
    }
    return r;
}

int larder_get_many(struct larder_table *t, const struct larder_key *keys, uint32_t count, struct larder_page *page) {
    if (ERR_IS_NULL(t) || (count && ERR_IS_NULL(keys)) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    return read_page(t, page, get_many, &(struct many){keys, count});
}
