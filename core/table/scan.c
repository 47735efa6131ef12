/* core/table/scan.c - all items of a table, in hash order.
 *
 * Idea     Stripes are the top bits of the hash, and buckets the next ones, scaled. So walking them
 *          in order walks the hashes in order, whatever size the arrays have at the moment, and the
 *          cursor is a key: a scan continues at the hash of that key, and among equal hashes after
 *          its bytes. A bucket chain is read as one validated piece.
 * Hashes   Only the high half counts, for items and positions alike: items hold no more of it, and
 *          buckets are chosen by no more.
 * Tests    tests/api/scan_test.c
 */
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/item/item_records.h"
#include "core/memory/record.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "core/table/sift.h"
#include <stdlib.h>

#define CHAIN_TRIES 4 /* to copy a whole chain before its stripe's sequence moves */

struct position {
    uint64_t hash;              /* continue at this hash */
    const struct item_key *key; /* after this key if the hash is equal; NULL: at the hash */
};

/* An item of a chain, for scan_chain_singly(). */
struct member {
    uint64_t hash; /* as htab_hash_in() makes it: enough to find the item */
    uint32_t kseq;
};

/* A chain of a stripe that is being read, in the stripe's array as of the look. */
struct chain {
    struct stripe_shm *stripe;
    uint32_t number; /* of the stripe */
    uint32_t buckets, bucket;
    struct record_view counts;
    unsigned tries; /* how often it had to be looked for again */
};

/* Lies in the page's memory: it is too large for a small stack. */
struct scan {
    const struct table_view *v;
    struct larder_page *page;
    int64_t now_s;
    uint32_t number; /* of the index, 0: the table */
    struct position from;
    uint64_t last_hash; /* inclusive end */
    uint32_t limit, bytes_max;
    struct item_key last_key; /* of the page's last item: what from.key refers to */
    /* of the chain that is being read */
    uint64_t words[HTAB_CHAIN_MAX];
    struct member members[HTAB_CHAIN_MAX];
    const struct item_head *images[HTAB_CHAIN_MAX];
};

/* Orders items of a chain: by hash, then key bytes. */
static int by_hash(const void *a, const void *b) {
    const struct item_head *x = *(const struct item_head *const *)a, *y = *(const struct item_head *const *)b;
    if (x->hash_high != y->hash_high)
        return x->hash_high < y->hash_high ? -1 : 1;
    size_t x_bytes = item_key_area_bytes(x), y_bytes = item_key_area_bytes(y);
    int order = memcmp(item_key_area(x), item_key_area(y), x_bytes < y_bytes ? x_bytes : y_bytes);
    return order ? order : (x_bytes > y_bytes) - (x_bytes < y_bytes);
}

static uint64_t hash_of(const struct item_head *image) {
    return (uint64_t)image->hash_high << 32;
}

static int is_before(const struct item_head *image, const struct position *from) {
    uint64_t hash = hash_of(image);
    if (hash != from->hash || !from->key)
        return hash < from->hash;
    size_t mine = item_key_area_bytes(image), other = from->key->area_bytes;
    int order = memcmp(item_key_area(image), from->key->area, mine < other ? mine : other);
    return order < 0 || (order == 0 && mine <= other);
}

/* The words of a chain that count. -1: the array does not make sense. */
static int chain_words(struct scan *s, const struct chain *c) {
    int count = htab_bucket_slots(&s->v->items, c->stripe, c->bucket, s->words, HTAB_CHAIN_MAX), kept = 0;
    if (!c->counts.record)
        return count;
    for (int i = 0; i < count; i++)
        if (!record_hides(&c->counts, s->words[i]))
            s->words[kept++] = s->words[i];
    return count < 0 ? count : kept;
}

/* Copies one chain's items to the end of the page, unvalidated. LARDER_OK, or a failure. */
static int copy_chain(struct scan *s, int count) {
    const uint64_t *words = s->words;
    const struct seg *seg = s->v->items.seg;
    for (int i = 0; i < count; i++) {
        struct item_head head;
        const uint8_t *block = seg_at(seg, WORD_OFF(words[i]), sizeof head);
        if (!block)
            return LARDER_E_CORRUPT;
        shm_copy_out(&head, block, sizeof head);
        if (head.bytes < sizeof head || head.bytes > ITEM_IMAGE_BYTES_MAX || head.bytes % 8 != 0 ||
            !seg_at(seg, WORD_OFF(words[i]), head.bytes))
            return LARDER_E_CORRUPT;
        int r = page_reserve(s->page, head.bytes);
        if (r)
            return r;
        uint8_t *to = s->page->bytes + s->page->used;
        shm_copy_out(to, block, head.bytes);
        memcpy(to, &head, sizeof head); /* the length that was reserved, not one that came later */
        r = page_commit(s->page, head.bytes);
        if (r)
            return r;
    }
    return LARDER_OK;
}

static int corrupt(void) {
    return err_set(LARDER_E_CORRUPT, "a bucket of the table refers to something that is no item of it");
}

/* Whether all images make sense and belong into this chain. They are validated copies. */
static int is_chain_sane(const struct scan *s, const struct chain *c, const struct item_head *const *images,
                         uint32_t count) {
    const struct htab *t = &s->v->items;
    for (uint32_t i = 0; i < count; i++)
        if (!item_head_is_sane(images[i], images[i]->bytes) || images[i]->version == 0 ||
            hash_of(images[i]) >> t->stripe_shift != c->number ||
            htab_bucket_of(t, c->buckets, hash_of(images[i])) != c->bucket)
            return 0;
    return 1;
}

/* Whether the item is in the index that is scanned. */
static int is_in_index(const struct scan *s, const struct item_head *image) {
    uint32_t i = s->number - 1;
    return s->number == 0 || (i < image->index_count && item_index_slots(image)[i].kseq != 0);
}

/* Puts the chain's images in order. Drops those outside the range, and the expired ones. They are
 * the page's images from `first` on, and its bytes from `used` on. LARDER_OK or
 * LARDER_E_CORRUPT. */
static int settle_chain(struct scan *s, const struct chain *c, uint32_t first, size_t used) {
    struct larder_page *page = s->page;
    const struct item_head **images = s->images;
    uint32_t count = page->count - first, kept = first;
    for (uint32_t i = 0; i < count; i++)
        images[i] = (const struct item_head *)(page->bytes + page->at[first + i]);
    if (!is_chain_sane(s, c, images, count))
        return corrupt();
    qsort(images, count, sizeof(const struct item_head *), by_hash);
    for (uint32_t i = 1; i < count; i++)
        if (by_hash(&images[i - 1], &images[i]) == 0) /* twice in one chain */
            return corrupt();
    for (uint32_t i = 0; i < count; i++)
        if (!is_before(images[i], &s->from) && hash_of(images[i]) <= s->last_hash && is_in_index(s, images[i]) &&
            !read_is_expired(s->v, images[i], s->now_s))
            page->at[kept++] = (size_t)((const uint8_t *)images[i] - page->bytes);
    page->count = kept;
    if (kept == first) /* else the bytes between kept images stay in use until the page is full */
        page->used = used;
    return LARDER_OK;
}

/* Whether array and stripe are still as when the chain was looked for. A larger array is published
 * before the sequence moves, so its size is compared, too: the same bucket number means other
 * hashes there. */
static int is_unmoved(const struct scan *s, const struct chain *c) {
    return htab_bucket_count(&s->v->items, c->stripe) == c->buckets && record_stands(&c->counts);
}

/* Reads the chain, validated. LARDER_CHANGED: it may be gone, since the array grew. */
static int scan_chain(struct scan *s, const struct chain *c) {
    uint32_t first = s->page->count;
    size_t used = s->page->used;
    int count = chain_words(s, c);
    int r = count < 0 ? LARDER_E_CORRUPT : copy_chain(s, count);
    if (!is_unmoved(s, c)) {
        s->page->count = first;
        s->page->used = used;
        return r == LARDER_E_NO_MEMORY ? r : LARDER_CHANGED;
    }
    if (r == LARDER_E_CORRUPT)
        return corrupt();
    return r ? r : settle_chain(s, c, first, used);
}

/* Lists the chain's items as of one moment. LARDER_OK and *count; LARDER_CHANGED: try again;
 * LARDER_E_CORRUPT. */
static int list_chain(struct scan *s, const struct chain *c, int *count) {
    const uint64_t *words = s->words;
    *count = chain_words(s, c);
    int is_sane = *count >= 0;
    for (int i = 0; i < *count; i++) {
        struct item_head head = {0};
        const uint8_t *block = seg_at(s->v->items.seg, WORD_OFF(words[i]), sizeof head);
        if (block)
            shm_copy_out(&head, block, sizeof head);
        is_sane &= block != NULL;
        s->members[i] = (struct member){htab_hash_in(words[i], hash_of(&head)), head.kseq};
    }
    if (!is_unmoved(s, c))
        return LARDER_CHANGED;
    return is_sane ? LARDER_OK : corrupt();
}

/* As scan_chain(), for items so large that the stripe's sequence moves while they are copied. Lists
 * them, which is short, then reads each by itself. A replaced item keeps its key sequence, so an
 * item that stays is found. */
static int scan_chain_singly(struct scan *s, const struct chain *c) {
    uint32_t first = s->page->count;
    size_t used = s->page->used;
    int count, is_expired;
    int r = list_chain(s, c, &count);
    for (int i = 0; r == LARDER_OK && i < count; i++) {
        const struct item_head *image;
        uint64_t hash = s->members[i].hash;
        r = read_by_entry(s->v, -1, s->members[i].kseq, hash, s->now_s, s->page, NULL, &image, &is_expired);
        if (r == LARDER_OK)
            r = page_commit(s->page, image->bytes);
        if (r == LARDER_NOT_FOUND) /* deleted meanwhile, or expired */
            r = LARDER_OK;
    }
    return r ? r : settle_chain(s, c, first, used);
}

static int is_page_full(const struct scan *s) {
    return s->page->count > 0 && ((s->limit && s->page->count >= s->limit) || s->page->used >= s->bytes_max);
}

/* Moves the position right after the last item of the page. */
static void continue_after(struct scan *s) {
    struct item_key *key = &s->last_key;
    const struct item_head *last = item_head(larder_page_item(s->page, s->page->count - 1));
    key->partition_bytes = last->partition_bytes;
    key->sort_bytes = last->sort_bytes;
    key->area_bytes = (uint32_t)item_key_area_bytes(last);
    memcpy(key->area, item_key_area(last), key->area_bytes);
    s->from = (struct position){hash_of(last), key};
}

/* The chain that the scan's position is in, in the stripe as it is now. LARDER_OK, LARDER_CHANGED
 * or LARDER_E_CORRUPT, as record_look(). */
static int find_chain(const struct scan *s, struct chain *c) {
    int r = record_look(&c->counts, s->v->items.seg, c->stripe);
    c->buckets = htab_bucket_count(&s->v->items, c->stripe);
    c->bucket = c->buckets ? htab_bucket_of(&s->v->items, c->buckets, s->from.hash) : 0;
    return r;
}

/* After a chain was read: moves the position behind it, and cuts the page to the limit. */
static void move_on(struct scan *s, const struct chain *c, uint32_t count_before) {
    if (s->limit && s->page->count > s->limit)
        s->page->count = s->limit; /* the bytes stay in use: images lie in any order */
    if (s->page->count > count_before)
        continue_after(s);
    if (is_page_full(s) || c->bucket + 1 >= c->buckets)
        return;
    uint64_t next = htab_first_hash(&s->v->items, c->number, c->buckets, c->bucket + 1);
    if (s->from.hash < next)
        s->from = (struct position){next, NULL};
}

/* A stripe without chains. A word that says there is an array is damage, but not that of an array
 * published just now, before the sequence moved. */
static int scan_empty(const struct scan *s, const struct chain *c) {
    int is_damaged = SHM_LOAD(&c->stripe->array) != 0 && htab_bucket_count(&s->v->items, c->stripe) == 0;
    if (!record_stands(&c->counts))
        return LARDER_CHANGED;
    return is_damaged ? corrupt() : LARDER_OK;
}

/* From one chain on. LARDER_OK: the stripe is done, each chain validated by itself. LARDER_MORE:
 * the page is full. LARDER_CHANGED: look for the chain again. */
static int scan_chains(struct scan *s, struct chain *c) {
    for (; c->bucket < c->buckets; c->bucket++) {
        uint32_t before = s->page->count;
        int r = c->tries < CHAIN_TRIES ? scan_chain(s, c) : scan_chain_singly(s, c);
        if (r)
            return r;
        if (c->tries < CHAIN_TRIES)
            c->tries = 0;
        else /* the sequence has moved, else the short way would have worked at once */
            r = record_look(&c->counts, s->v->items.seg, c->stripe);
        move_on(s, c, before);
        if (r)
            return r;
        if (is_page_full(s))
            return LARDER_MORE;
    }
    return c->buckets ? LARDER_OK : scan_empty(s, c);
}

/* LARDER_OK: the stripe is done. LARDER_MORE: the page is full. */
static int scan_stripe(struct scan *s, uint32_t number) {
    const struct htab *t = &s->v->items;
    struct chain c = {.number = number, .stripe = &t->stripes[number]};
    uint64_t stripe_first = (uint64_t)number << t->stripe_shift;
    if (s->from.hash < stripe_first)
        s->from = (struct position){stripe_first, NULL};
    for (;; c.tries++) {
        int r = find_chain(s, &c);
        r = r ? r : scan_chains(s, &c);
        if (r != LARDER_CHANGED)
            return r;
    }
}

/* The first hash of a parallel scan's worker. Hashes are spread evenly. */
static uint64_t segment_start(uint32_t segment, uint32_t count) {
    return (uint64_t)(((unsigned __int128)segment << 64) / count);
}

static int check_spec(const struct larder_scan_spec *spec) {
    if (spec->segment_count > 1000000)
        return err_set(LARDER_E_INVAL, "segment_count is %u; 0 to 1000000 are allowed", spec->segment_count);
    if (spec->segment >= (spec->segment_count ? spec->segment_count : 1))
        return err_set(LARDER_E_INVAL, "segment is %u; it must be less than segment_count, which is %u", spec->segment,
                       spec->segment_count ? spec->segment_count : 1);
    return LARDER_OK;
}

/* The next page begins at the hash of this key. A last item with another hash would make a scan
 * without end. */
static int set_resume(struct scan *s) {
    const struct item_shape *shape = &s->v->shape;
    const struct item_head *last = item_head(larder_page_item(s->page, s->page->count - 1));
    if (read_hash(s->v, &s->last_key) >> 32 != last->hash_high)
        return corrupt();
    const struct item_index_shape *index = s->number ? &shape->indexes[s->number - 1] : NULL;
    const struct item_key_attr *attrs[ITEM_KEYS_MAX] = {&shape->partition};
    uint32_t count = 1;
    if (shape->sort.name)
        attrs[count++] = &shape->sort;
    for (uint32_t i = 0; index && i < item_key_count(&index->partition); i++)
        attrs[count++] = item_key_attr_at(&index->partition, i);
    for (uint32_t i = 0; index && i < item_key_count(&index->sort); i++)
        attrs[count++] = item_key_attr_at(&index->sort, i);
    return page_set_resume(s->page, attrs, NULL, count);
}

static int scan_range(struct scan *s) {
    const struct htab *t = &s->v->items;
    for (uint32_t stripe = (uint32_t)(s->from.hash >> t->stripe_shift); stripe < t->stripe_count; stripe++) {
        if ((uint64_t)stripe << t->stripe_shift > s->last_hash)
            break;
        int r = scan_stripe(s, stripe);
        if (r == LARDER_MORE)
            r = set_resume(s);
        else if (r == LARDER_OK)
            continue;
        return r ? r : LARDER_MORE;
    }
    return LARDER_OK;
}

static int find_index(struct scan *s, const char *name) {
    s->number = name ? table_index_number(s->v, name) : 0;
    if (!name || s->number)
        return LARDER_OK;
    return err_set(LARDER_E_NO_INDEX, "table \"%.64s\" has no index \"%.64s\"", s->v->def.name, name);
}

static int check_start_attr(const struct item_key_attr *attr, const struct larder_item *start_key) {
    struct larder_value value;
    int r = larder_item_getn(start_key, attr->name, attr->name_bytes, &value);
    if (r == LARDER_NOT_FOUND || (r == LARDER_OK && value.type != attr->type))
        return err_set(LARDER_E_INVAL, "the start key has no attribute \"%.64s\" of type %s", attr->name,
                       item_type_name(attr->type));
    return r;
}

/* Besides the table's keys a start key in an index has those of the index. */
static int check_start_key(const struct item_index_shape *index, const struct larder_item *start_key) {
    int r = LARDER_OK;
    for (uint32_t i = 0; r == LARDER_OK && i < item_key_count(&index->partition); i++)
        r = check_start_attr(item_key_attr_at(&index->partition, i), start_key);
    for (uint32_t i = 0; r == LARDER_OK && i < item_key_count(&index->sort); i++)
        r = check_start_attr(item_key_attr_at(&index->sort, i), start_key);
    return r;
}

static int take_start_key(struct scan *s, const struct larder_item *start_key) {
    const struct item_index_shape *index = s->number ? &s->v->shape.indexes[s->number - 1] : NULL;
    int r = item_start_key(&s->v->shape, index, start_key, &s->last_key);
    return r == LARDER_OK && index ? check_start_key(index, start_key) : r;
}

/* Reads the spec: where the page begins and ends. */
static int take_spec(struct scan *s, const struct larder_scan_spec *spec) {
    uint32_t count = spec->segment_count ? spec->segment_count : 1;
    s->limit = spec->limit;
    s->bytes_max = spec->bytes_max ? spec->bytes_max : PAGE_BYTES_DEFAULT;
    s->from = (struct position){segment_start(spec->segment, count), NULL};
    s->last_hash = spec->segment + 1 < count ? segment_start(spec->segment + 1, count) - 1 : UINT64_MAX;
    int r = find_index(s, spec->index);
    if (r || !spec->start_key)
        return r;
    r = take_start_key(s, spec->start_key);
    if (r)
        return r;
    uint64_t hash = htab_high(read_hash(s->v, &s->last_key));
    if (hash < s->from.hash || hash > s->last_hash)
        return err_set(LARDER_E_INVAL,
                       "the start key does not belong to segment %u of %u; continue a segment with the "
                       "key where its last page ended",
                       spec->segment, count);
    s->from = (struct position){hash, &s->last_key};
    return LARDER_OK;
}

static int scan(const struct table_view *v, const void *spec, struct larder_page *page) {
    int r = page_make(page, &page->work, sizeof(struct scan));
    if (r)
        return r;
    struct scan *s = page->work.at; /* large: its parts are set one by one */
    s->v = v;
    s->page = page;
    r = take_spec(s, spec);
    if (r)
        return r;
    s->now_s = db_now(v->db);
    page_reset(page);
    r = scan_range(s);
    page->scanned = page->count;
    const struct bytes *names = r >= 0 && s->number ? v->projected[s->number - 1] : NULL;
    int projected = names ? page_project_all(page, names, v->projected_count[s->number - 1]) : LARDER_OK;
    return projected ? projected : r;
}

static int scan_and_sift(struct larder_table *t, const struct larder_scan_spec *spec, struct sift *sift,
                         struct larder_page *page) {
    int r = sift_begin(sift, spec->values, page);
    return r ? page_fail(page, r) : sift_end(sift, page, read_page(t, page, scan, spec));
}

int larder_scan(struct larder_table *t, const struct larder_scan_spec *spec, struct larder_page *page) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(spec) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    int r = RESERVED_CHECK(spec, "struct larder_scan_spec");
    if (r == LARDER_OK)
        r = check_spec(spec);
    if (r)
        return page_fail(page, r);
    struct sift sift;
    return sift_is_wanted(&sift, spec->filter, spec->projection, spec->select) ? scan_and_sift(t, spec, &sift, page)
                                                                               : read_page(t, page, scan, spec);
}
