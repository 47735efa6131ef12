/* core/read.c - reading items without locks. See read.h.
 *
 * Long copies  Writers of other items of the stripe move its sequence too. A copy that takes longer than the pause between two of
 *              their writes would never see it stand still. So after a few tries the item is pinned down by what only it
 *              has: (bucket array, slot word, version). All are read within one standing sequence before the copy and again
 *              after it. The array says that the slot still is one of this stripe, and a version is used once per stripe: so
 *              if they are equal it is the same block, linked all the while.
 */
#include "core/read.h"
#include "core/db.h"
#include "core/err.h"
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

/* An item found in a slot, its head copied. */
struct found {
    const struct stripe_shm *stripe;
    shm_word *slot;
    uint64_t word, array; /* of the slot, and of the stripe, when it was found */
    const uint8_t *block;
    struct item_head head;
};

uint64_t read_hash(const struct table_view *v, const struct item_key *key) {
    uint64_t seed = v->items.seg->hash_seed + key->partition_bytes * UINT64_C(0x9e3779b97f4a7c15);
    return XXH3_64bits_withSeed(key->area, (size_t)key->partition_bytes + key->sort_bytes, seed);
}

/* The clock that expiry is decided by, to the millisecond. A clock set by larder_set_clock() is exact, and is not called here:
 * writers come this way with a stripe locked. */
static int64_t exact_now(const struct larder *db, int64_t now_s) {
    struct timespec ts;
    if (atomic_load_explicit(&db->clock, memory_order_relaxed))
        return now_s;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}

int read_is_expired(const struct table_view *v, const struct item_head *image, int64_t now_s) {
    uint64_t at_s = image->expiry_s;
    if (item_ttl_generation(image) != v->ttl_generation)
        at_s = v->shape.ttl_name ? item_ttl_of(image, v->shape.ttl_name, v->shape.ttl_name_bytes, now_s) : 0;
    if (at_s == 0)
        return 0;
    if (now_s >= 0 && at_s == (uint64_t)now_s + 1) /* the cheap clock may be a few milliseconds behind a new second */
        now_s = exact_now(v->db, now_s);
    return now_s >= 0 && at_s <= (uint64_t)now_s;
}

/* The image's word with its slot in secondary index `ordinal`; 0 if the image has none. Bounds were checked by head_is_sane. */
static uint32_t kseq_in(const struct found *f, int ordinal) {
    if (ordinal < 0)
        return f->head.kseq;
    if (ordinal >= f->head.index_count)
        return 0;
    const uint8_t *at = f->block + sizeof f->head + item_key_area_bytes(&f->head) + (size_t)ordinal * 8;
    return (uint32_t)SHM_LOAD((const shm_word *)at);
}

static int head_is_sane(const struct table_view *v, const struct found *f) {
    const struct item_head *h = &f->head;
    return h->bytes >= sizeof *h + item_key_area_bytes(h) + (size_t)h->index_count * sizeof(struct item_index_slot) &&
           h->bytes <= ITEM_IMAGE_BYTES_MAX && h->bytes % 8 == 0 && seg_at(v->items.seg, WORD_OFF(f->word), h->bytes);
}

static int is_wanted(const struct found *f, const struct wanted *want) {
    if (!want->key)
        return kseq_in(f, want->ordinal) == want->kseq && want->kseq != 0;
    return f->head.partition_bytes == want->key->partition_bytes && f->head.sort_bytes == want->key->sort_bytes &&
           shm_is_equal(f->block + sizeof f->head, want->key->area, want->key->area_bytes);
}

/* One look, nothing validated: LARDER_OK and *f, LARDER_NOT_FOUND, or LARDER_E_CORRUPT: not found, but some of what was looked at
 * makes no sense. */
static int look(const struct table_view *v, struct stripe_shm *stripe, const struct wanted *want, struct found *f) {
    struct htab_walk walk;
    void *block;
    f->stripe = stripe;
    f->array = SHM_LOAD(&stripe->array);
    htab_walk_begin(&walk, &v->items, stripe, want->hash);
    while ((f->slot = htab_walk_next(&walk, sizeof f->head, &f->word, &block))) {
        f->block = block;
        shm_copy_out(&f->head, block, sizeof f->head);
        if (!head_is_sane(v, f))
            walk.is_damaged = 1;
        else if (is_wanted(f, want))
            return LARDER_OK;
    }
    return walk.is_damaged ? LARDER_E_CORRUPT : LARDER_NOT_FOUND;
}

/* Whether the item found is still the one in its slot. 0 also if the sequence would not stand still for the look. */
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
                               .version = f->head.version};
}

static int damaged(void) {
    return err_set(LARDER_E_CORRUPT, "an item of the table, or what refers to it, is damaged");
}

/* The copy is what its head said when it was made, and can be read. */
static int accept(const struct found *f, const struct larder_page *page) {
    const struct item_head *image = (const struct item_head *)(page->bytes + page->used);
    if (image->bytes == f->head.bytes && image->hash == f->head.hash && item_is_readable(image, f->head.bytes))
        return LARDER_OK;
    return damaged();
}

/* Finds and copies to the end of the page, validated. The caller commits. */
static int find_and_copy(const struct table_view *v, const struct wanted *want, struct larder_page *page,
                         struct found *f) {
    struct stripe_shm *stripe = htab_stripe(&v->items, want->hash);
    for (unsigned tries = 0;; tries++) {
        uint64_t seq = htab_read_begin(stripe);
        int r = look(v, stripe, want, f);
        if (r == LARDER_OK && tries >= SHORT_TRIES && !htab_read_ok(stripe, seq))
            continue; /* array, word and version must be of one moment */
        if (r == LARDER_OK) {
            int failed = page_reserve(page, f->head.bytes);
            if (failed)
                return failed;
            shm_copy_out(page->bytes + page->used, f->block, f->head.bytes);
        }
        if (htab_read_ok(stripe, seq))
            return r == LARDER_OK ? accept(f, page) : r == LARDER_NOT_FOUND ? r : damaged();
        if (r == LARDER_OK && tries >= SHORT_TRIES) {
            struct read_place place = place_of(f);
            if (is_pinned(&place))
                return accept(f, page);
        }
    }
}

int read_by_key(const struct table_view *v, const struct item_key *key, uint64_t hash, int64_t now_s,
                struct larder_page *page) {
    struct wanted want = {.key = key, .hash = hash};
    struct found f;
    int r = find_and_copy(v, &want, page, &f);
    if (r)
        return r;
    const struct item_head *image = (const struct item_head *)(page->bytes + page->used);
    return read_is_expired(v, image, now_s) ? LARDER_NOT_FOUND : page_commit(page, image->bytes);
}

int read_by_entry(const struct table_view *v, int ordinal, uint64_t hash, uint32_t kseq, int64_t now_s,
                  struct larder_page *page, struct read_place *place, int *is_expired) {
    struct wanted want = {.ordinal = ordinal, .kseq = kseq, .hash = hash};
    struct found f = {0};
    int r = find_and_copy(v, &want, page, &f);
    *is_expired = 0;
    if (place)
        *place = r == LARDER_OK ? place_of(&f) : (struct read_place){.slot = NULL};
    if (r)
        return r;
    const struct item_head *image = (const struct item_head *)(page->bytes + page->used);
    *is_expired = read_is_expired(v, image, now_s);
    return *is_expired ? LARDER_NOT_FOUND : page_commit(page, image->bytes);
}

int read_is_still_there(const struct read_place *place) {
    for (unsigned tries = 0; tries < SHORT_TRIES; tries++)
        if (is_pinned(place))
            return 1;
    return 0;
}

void read_prefetch_bucket(const struct table_view *v, uint64_t hash) {
    htab_bucket(&v->items, htab_stripe(&v->items, hash), hash);
}

void read_prefetch_item(const struct table_view *v, uint64_t hash) {
    struct bucket_shm *bucket = htab_bucket(&v->items, htab_stripe(&v->items, hash), hash);
    for (unsigned i = 0; bucket && i < BUCKET_SLOTS; i++) {
        uint64_t word = SHM_LOAD_RELAXED(&bucket->slot[i]);
        const uint8_t *block =
            word && WORD_TAG(word) == (uint16_t)hash ? seg_at(v->items.seg, WORD_OFF(word), 256) : NULL;
        if (block)
            for (unsigned line = 0; line < 4; line++)
                SHM_PREFETCH(block + line * 64);
    }
}

/* ---- Public calls ----------------------------------------------------------------------------------------------------------- */

int larder_get(struct larder_table *t, const struct larder_key *key, struct larder_page *page) {
    const struct table_view *v;
    struct item_key k;
    if (!key || !page)
        return page_fail(page, err_set(LARDER_E_INVAL, "larder_get: key or page is NULL"));
    int r = table_view(t, &v);
    if (r == LARDER_OK)
        r = item_key_from_values(&v->shape, key, &k);
    if (r)
        return page_fail(page, r);
    page_reset(page);
    page->scanned = 1;
    r = read_by_key(v, &k, read_hash(v, &k), db_now(t->db), page);
    r = table_judge(t, v, r);
    return r < 0 ? page_fail(page, r) : r;
}

/* Keys of one round of larder_get_many: enough to overlap their misses, few enough for the first-level cache. */
#define MANY_AT_ONCE 16

static int get_round(const struct table_view *v, const struct larder_key *keys, uint32_t count, int64_t now_s,
                     struct item_key *encoded, struct larder_page *page) {
    uint64_t hash[MANY_AT_ONCE];
    for (uint32_t i = 0; i < count; i++) {
        int r = item_key_from_values(&v->shape, &keys[i], &encoded[i]);
        if (r)
            return r;
        hash[i] = read_hash(v, &encoded[i]);
        SHM_PREFETCH(htab_stripe(&v->items, hash[i]));
    }
    for (uint32_t i = 0; i < count; i++)
        read_prefetch_bucket(v, hash[i]);
    for (uint32_t i = 0; i < count; i++)
        read_prefetch_item(v, hash[i]);
    for (uint32_t i = 0; i < count; i++) {
        int r = read_by_key(v, &encoded[i], hash[i], now_s, page);
        if (r == LARDER_NOT_FOUND)
            r = page_add_hole(page);
        if (r)
            return r;
    }
    return LARDER_OK;
}

int larder_get_many(struct larder_table *t, const struct larder_key *keys, uint32_t count, struct larder_page *page) {
    const struct table_view *v;
    if ((!keys && count) || !page)
        return page_fail(page, err_set(LARDER_E_INVAL, "larder_get_many: keys or page is NULL"));
    int r = table_view(t, &v);
    if (r)
        return page_fail(page, r);
    struct item_key *encoded = priv_alloc(t->db->priv, MANY_AT_ONCE * sizeof *encoded);
    if (!encoded)
        return page_fail(page, LARDER_E_NO_MEMORY);
    int64_t now_s = db_now(t->db);
    page_reset(page);
    page->scanned = count;
    for (uint32_t at = 0; at < count && r == LARDER_OK; at += MANY_AT_ONCE)
        r = get_round(v, keys + at, count - at < MANY_AT_ONCE ? count - at : MANY_AT_ONCE, now_s, encoded, page);
    priv_free(t->db->priv, encoded);
    r = table_judge(t, v, r);
    return r ? page_fail(page, r) : r;
}
