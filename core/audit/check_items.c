/* core/audit/check_items.c - the audit of a stripe of items: array, chains, images. See check.h.
 *
 * Tests    tests/api/check_damage_test.c, tests/crash/check_live_test.c
 */
#include "core/audit/check.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/table/catalog.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/read.h"

#define AHEAD_BYTES 256u /* of an item */

/* The position of a look at a stripe. */
struct item_look {
    const struct table_view *v;
    uint64_t from; /* items of lower hashes were looked at */
    uint32_t stripe;
    int is_begun, is_judging;
};

/* Whether the item has the key attributes of the definition, and they are the key it is found
 * by. */
static int has_true_key(const struct table_view *v, const struct item_head *h) {
    struct item_key key;
    return item_key_from_item(&v->shape, (const struct larder_item *)h, &key) == LARDER_OK &&
           item_is_same_key(item_key_of(&key), item_key_in(h));
}

/* Whether the expiry is what the attribute says. It may be "never" if the attribute's time has
 * passed: it may have been too far in the past when the item was put. An expiry by an older
 * attribute waits to be recomputed. */
static int has_true_expiry(const struct check_state *c, const struct table_view *v, const struct item_head *h) {
    uint64_t at_s = item_expiry_s(h), says = 0;
    if (item_ttl_generation(h) != v->ttl_generation)
        return 1;
    if (v->shape.ttl_name)
        says = item_ttl_of(h, v->shape.ttl_name, v->shape.ttl_name_bytes, 0);
    return at_s == says || (at_s == 0 && (int64_t)says <= c->now_s);
}

/* Heads are private copies, keys are in the segment: few have an equal hash_high. */
static int is_same_key(const struct item_peek *a, const struct item_peek *b) {
    return a->head.hash_high == b->head.hash_high && item_is_same_key(item_peek_key(a), item_peek_key(b));
}

/* Copies the image in a slot to c->image, if it can be read at all: the copy does not change while
 * it is checked. */
static const struct item_head *copy_image(struct check_state *c, uint64_t word, struct item_peek *item) {
    const struct item_head *in_place = check_block(c, WORD_OFF(word), sizeof *in_place, "item"),
                           *h = (const struct item_head *)c->image;
    int is_sane = in_place && item_peek_open(item, in_place, heap_block_bytes(c->seg, WORD_OFF(word)));
    if (is_sane) {
        shm_copy_out(c->image, in_place, item->head.bytes);
        is_sane = h->bytes == item->head.bytes && item_is_sane(c->image, h->bytes);
    }
    if (in_place && !is_sane)
        check_error(c, "item: block %llu holds no sane image (I1 to I3)", (unsigned long long)WORD_OFF(word));
    return is_sane ? h : NULL;
}

/* In each index the item has the keys that its attributes say: else a query finds it by what it
 * does not have. */
static void check_index_slots(struct check_state *c, const struct table_view *v, uint64_t off,
                              const struct item_head *h) {
    for (uint32_t i = 0; i < v->shape.index_count; i++) {
        int has_slot = i < h->index_count;
        if (!has_slot && v->index_state[i] == INDEX_ACTIVE)
            check_error(c, "item: block %llu has no slot for index \"%s\"", (unsigned long long)off,
                        v->shape.indexes[i].name);
        if (!has_slot || v->index_state[i] == INDEX_DEAD)
            continue;
        struct item_index_slot slot = item_index_slots(h)[i];
        if ((slot.kseq == 0 && slot.partition_attr != ITEM_NO_ATTR) || !item_slot_is_true(h, i, &v->shape.indexes[i]))
            check_error(c, "item: block %llu has other keys of index \"%s\" than its attributes say",
                        (unsigned long long)off, v->shape.indexes[i].name);
    }
}

static void check_image(struct check_state *c, const struct item_look *l, uint64_t off, const struct item_head *h,
                        uint64_t hash) {
    const struct table_view *v = l->v;
    unsigned long long at = off;
    if (hash >> 32 != h->hash_high)
        check_error(c, "item: the hash of block %llu is not that of its key", at);
    if (h->version == 0 || h->version > SHM_LOAD(&v->items.stripes[l->stripe].writes))
        check_error(c, "item: block %llu has version %llu, which its stripe never gave", at,
                    (unsigned long long)h->version);
    if (h->kseq == 0)
        check_error(c, "item: block %llu has no key sequence", at);
    if (!has_true_key(v, h))
        check_error(c, "item: block %llu has other key attributes than its table", at);
    if (!has_true_expiry(c, v, h))
        check_error(c, "item: block %llu expires at %llu, which its TTL attribute does not say", at,
                    (unsigned long long)item_expiry_s(h));
    if ((h->flags & ITEM_TIMED) && item_timed_at(h, h)->zero != 0)
        check_error(c, "item: the end of block %llu is not zero", at);
    if (h->index_count > v->shape.index_count)
        check_error(c, "item: block %llu has slots for %u indexes, the table has %u", at, h->index_count,
                    v->shape.index_count);
    check_index_slots(c, v, off, h);
}

/* Under its lock a stripe has no mark: the transaction that marked it holds the lock. */
static int is_marked(const struct stripe_shm *stripe) {
    return (SHM_LOAD(&stripe->seq) & SEQ_MARK) || SHM_LOAD(&stripe->record_off) != 0;
}
static void check_mark(struct check_state *c, const struct item_look *l) {
    if (c->w && is_marked(&l->v->items.stripes[l->stripe]))
        check_error(c, "stripe %u: says that a transaction changes it, and none does (X3)", l->stripe);
}

/* Checks its entries and its timer. */
static void check_belongings(struct check_state *c, const struct item_look *l, const struct item_head *h,
                             uint64_t hash) {
    struct item_peek copy;
    if (c->is_again || c->is_mute || !item_peek_open(&copy, h, h->bytes))
        return;
    c->report->items++;
    core_hooks->index_sum_item(c, l->v, hash, &copy);
    core_hooks->timer_check_item(c, l->v, hash, &copy);
}

static void check_chain(struct check_state *c, const struct item_look *l, uint32_t bucket, int count) {
    const struct htab *tab = &l->v->items;
    struct item_peek *items = c->peeks;
    uint32_t buckets = htab_bucket_count(tab, &tab->stripes[l->stripe]);
    for (int i = 0; i < count; i++) {
        uint64_t off = WORD_OFF(c->words[i]);
        const shm_word *first = seg_at(c->seg, off, sizeof *first);
        uint64_t high = first ? htab_high(SHM_LOAD(first)) : 0;
        items[i].image = NULL;
        if (first && high < l->from && high >> tab->stripe_shift == l->stripe &&
            htab_bucket_of(tab, buckets, high) == bucket) /* the array has grown since */
            continue;
        const struct item_head *h = copy_image(c, c->words[i], &items[i]);
        if (!h) {
            items[i].image = NULL;
            continue;
        }
        uint64_t hash = read_hash_of(l->v, item_key_area(h), h->partition_bytes, h->sort_bytes);
        check_image(c, l, off, h, hash);
        if (hash >> tab->stripe_shift != l->stripe || htab_bucket_of(tab, buckets, hash) != bucket ||
            WORD_TAG(c->words[i]) != (uint16_t)hash)
            check_error(c, "item: block %llu is in the wrong chain (H1)", (unsigned long long)off);
        for (int k = 0; k < i; k++)
            if (items[k].image && is_same_key(&items[k], &items[i]))
                check_error(c, "item: blocks %llu and %llu have the same key",
                            (unsigned long long)WORD_OFF(c->words[k]), (unsigned long long)off);
        check_belongings(c, l, h, hash);
    }
}

/* Looks up the entries of the chain's items in groups whose sum is not 0. */
static void judge_chain(struct check_state *c, const struct item_look *l, int count) {
    for (int i = 0; i < count; i++) {
        const struct item_head *image = seg_at(c->seg, WORD_OFF(c->words[i]), sizeof *image);
        struct item_peek item;
        if (!image || !item_peek_open(&item, image, heap_block_bytes(c->seg, WORD_OFF(c->words[i]))))
            continue; /* reported before */
        uint64_t hash = read_hash_of_item(l->v, &item);
        if (hash >= l->from && *check_sum(c, hash) != 0)
            core_hooks->index_judge_item(c, l->v, hash, &item);
    }
}

/* Whether a bucket has hashes of a group whose sum is not 0. */
static int is_wanted(const struct check_state *c, const struct item_look *l, uint32_t buckets, uint32_t bucket) {
    const struct htab *tab = &l->v->items;
    uint64_t first = htab_first_hash(tab, l->stripe, buckets, bucket), last;
    if (!l->is_judging)
        return 1;
    /* after the last stripe, stripe + 1 wraps round, and the last hash is the largest one */
    last = bucket + 1 < buckets ? htab_first_hash(tab, l->stripe, buckets, bucket + 1)
                                : (((uint64_t)l->stripe + 1) << tab->stripe_shift) - 1;
    for (const uint64_t *sum = check_sum(c, first); sum <= check_sum(c, last); sum++)
        if (*sum != 0)
            return 1;
    return 0;
}

static int look_at_bucket(struct check_state *c, void *at, uint32_t buckets, uint32_t bucket, uint64_t next) {
    struct item_look *l = at;
    const struct htab *tab = &l->v->items;
    int count = is_wanted(c, l, buckets, bucket)
                    ? htab_bucket_slots(tab, &tab->stripes[l->stripe], bucket, c->words, HTAB_CHAIN_MAX)
                    : 0;
    if (l->is_judging)
        judge_chain(c, l, count);
    else
        check_chain(c, l, bucket, count);
    if (next <= l->from || !check_is_due(c))
        return LARDER_OK;
    l->from = next;
    return LARDER_MORE;
}

static void check_head(struct check_state *c, const struct item_look *l) {
    uint64_t writes = SHM_LOAD(&l->v->items.stripes[l->stripe].writes);
    if (!change_is_number(l->v->ordinal, writes))
        check_error(c, "stripe %u: counts %llu writes, more than possible", l->stripe, (unsigned long long)writes);
    check_stripe_head(c, &l->v->items, l->stripe, "stripe", "items");
    check_mark(c, l);
}

static int look_at_items(struct check_state *c, void *at) {
    struct item_look *l = at;
    if (!view_is_current(l->v))
        return OBSTACLE_VIEW;
    if (!l->is_begun && !l->is_judging)
        check_head(c, l);
    l->is_begun = 1;
    struct check_walk walk = {.tab = &l->v->items,
                              .stripe = l->stripe,
                              .ahead_bytes = l->is_judging ? 0 : AHEAD_BYTES,
                              .from = l->from,
                              .look = look_at_bucket};
    return check_buckets(c, &walk, l);
}

int check_item_stripe(struct check_state *c, uint32_t ordinal, uint32_t stripe, int is_judging) {
    struct item_look l = {.stripe = stripe, .is_judging = is_judging};
    unsigned tries = 0;
    int r;
    do {
        r = check_view(c, ordinal, &l.v);
        if (r)
            return r;
        if (change_is_number(ordinal, SHM_LOAD(&l.v->items.stripes[stripe].writes)) &&
            check_is_empty(c, &l.v->items.stripes[stripe]) && !is_marked(&l.v->items.stripes[stripe]))
            return LARDER_OK;
        c->is_mute = LIFE_STATE(l.v->life) != TABLE_READY;
        l.from = l.from ? l.from : (uint64_t)stripe << l.v->items.stripe_shift;
        r = check_look(c, &l.v->items.stripes[stripe].lock, LOCK_STRIPE, look_at_items, &l, sizeof l);
        c->is_mute = 0;
    } while (check_retry(c, &r, &tries));
    return r;
}
