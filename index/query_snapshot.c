/* index/query_snapshot.c - whether all of a page was there at one moment.
 *
 * Why      Entries are added to a list before the item that has them is published. A page is read
 *          item by item. Meanwhile an item may move from a key that the page has not reached to one
 *          that it has passed, and would be missed; or the other way round, and would come twice.
 * Idea     After the page is full, three facts show that it was all there when its last item had
 *          been read. (1) Its range got no new entry: no leaf that was read has left the list
 *          (skl_left.c; a writer notes it after it added an entry and before it publishes).
 *          (2) Every item that was read is still the one in its slot. (3) Every entry that had no
 *          item still has none.
 *          A page that takes long sees more leaves leave than are noted. A page out of one leaf is
 *          right, too, if that leaf, read again from the same place, is unchanged, and after that
 *          every item is still there: then the page was all there when the leaf was read again.
 *          Otherwise the page is read again.
 * Not here An entry that had no item, got one and lost it again between two looks. Therefore in the
 *          first tries entries without an item are a reason to read again, too.
 * Limits   QUERY_TRIES tries; fewer for a large page that sees many changes while it is read. If
 *          writers keep changing the partition faster than it can be read, each item of the page
 *          was whole and under the key it had, no item is in it twice, and
 *          larder_page_is_snapshot() says 0. A try of a page of 1 MiB takes about a millisecond. It
 *          fails if one of its items or leaves changes after it was read: with a thousand writes a
 *          second, every second or third try does.
 * Tests    tests/unit/index/query_snapshot_test.c, tests/api/snapshot_test.c
 */
#include <stdlib.h>

#include "core/table/db.h"
#include "index/query.h"

#define QUERY_TRIES 32u
#define QUERY_TRIES_STRICT 4u  /* the first of these fail if an entry has no item */
#define QUERY_LARGE 256u       /* a page of more entries than this takes long: */
#define QUERY_CHANGES_MANY 16u /* a try that saw this many changes is poor */
/* After this many poor tries it gives up. A single one may be a reader that was not scheduled. */
#define QUERY_TRIES_POOR 3u

/* Whether an entry that had no item still has none. Its item, if there is one now, is copied behind
 * the page's last one. */
static int snapshot_is_stale(struct query *q, const struct query_seen *seen) {
    int is_expired;
    const struct item_head *image;
    uint64_t hash = seen->place.spot.hash;
    int r = read_by_entry(q->v, query_ordinal(q), seen->kseq, hash, q->now_s, q->page, NULL, &image, &is_expired);
    return r == LARDER_NOT_FOUND && !is_expired;
}

/* How many of the entries have changed, counted up to `most`. */
static uint32_t snapshot_changes(struct query *q, uint32_t most) {
    uint32_t changes = 0;
    for (uint32_t i = 0; i < q->seen.count && changes < most; i++) {
        const struct query_seen *seen = &q->seen.at[i];
        changes += seen->is_stale ? !snapshot_is_stale(q, seen) : !read_is_still_there(q->v->items.seg, &seen->place);
    }
    return changes;
}

static int snapshot_items_stay(struct query *q) {
    const struct query_seen *seen = q->seen.at;
    if (q->seen.stale_count)
        return snapshot_changes(q, 1) == 0;
    const struct seg *s = q->v->items.seg;
    for (uint32_t left = q->seen.count; left > 0; left--, seen++)
        if (!read_is_still_there(s, &seen->place))
            return 0;
    return 1;
}

/* After a failed try: whether the next one has little hope, because writers are much faster than
 * this page can be read. */
static int snapshot_is_poor(struct query *q, const struct stripe_shm *stripe, uint32_t moves) {
    if (q->seen.count <= QUERY_LARGE)
        return 0;
    return SHM_LOAD(&stripe->moves) - moves >= QUERY_CHANGES_MANY ||
           snapshot_changes(q, QUERY_CHANGES_MANY) == QUERY_CHANGES_MANY;
}

/* Whether the only leaf of the page is unchanged. */
static int snapshot_leaf_stays(const struct query *q) {
    const struct htab *tab = &q->v->partitions;
    struct skl_reader again;
    if (q->leaves != 1)
        return 0;
    skl_reader_init(&again);
    int r = q->is_descending ? skl_read_down(&again, tab, q->partition_hash, q->number, &q->range.to)
                             : skl_read_up(&again, tab, q->partition_hash, q->number, &q->range.from);
    return r == LARDER_OK && leaf_bytes(&again.leaf) == leaf_bytes(&q->reader.leaf) &&
           memcmp(again.leaf.bytes, q->reader.leaf.bytes, leaf_bytes(&again.leaf)) == 0;
}

static int snapshot_holds(struct query *q, const struct stripe_shm *stripe, uint32_t moves, unsigned tries) {
    if ((q->seen.stale_count && tries < QUERY_TRIES_STRICT) || !snapshot_items_stay(q))
        return 0;
    enum skl_left left = skl_have_left(stripe, moves, &q->reader.seen);
    if (left != SKL_MANY_LEFT)
        return left == SKL_NONE_LEFT;
    return q->seen.stale_count == 0 && snapshot_leaf_stays(q) && snapshot_items_stay(q);
}

/* Primary hash and place in the page. */
struct snapshot_item {
    uint64_t hash;
    uint32_t i, is_twice;
};

static int snapshot_compare(const void *a, const void *b) {
    const struct snapshot_item *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

static int snapshot_compare_places(const void *a, const void *b) {
    const struct snapshot_item *x = a, *y = b;
    return (x->i > y->i) - (x->i < y->i);
}

static int snapshot_is_same_item(const struct query *q, uint32_t a, uint32_t b) {
    struct item_key x, y;
    return item_key_from_item(&q->v->shape, larder_page_item(q->page, a), &x) == LARDER_OK &&
           item_key_from_item(&q->v->shape, larder_page_item(q->page, b), &y) == LARDER_OK &&
           item_is_same_key(item_key_of(&x), item_key_of(&y));
}

/* The hash of an item that may be projected. */
static uint64_t snapshot_hash(const struct query *q, uint32_t i) {
    struct item_key key;
    const struct larder_item *item = larder_page_item(q->page, i);
    const struct item_head *h = item_head(item);
    if (h->partition_bytes)
        return read_hash_of(q->v, item_key_area(h), h->partition_bytes, h->sort_bytes);
    return item_key_from_item(&q->v->shape, item, &key) == LARDER_OK ? read_hash(q->v, &key) : 0;
}

/* An item that moved while the page was read may be in it under both keys: the later look is
 * newer. */
static int snapshot_drop_twice(struct query *q) {
    struct larder_page *page = q->page;
    uint32_t count = page->count, kept = 0;
    struct snapshot_item *items = count > 1 ? priv_alloc(db_priv(q->v->db), count * sizeof *items) : NULL;
    if (!items)
        return count > 1 ? LARDER_E_NO_MEMORY : LARDER_OK;
    for (uint32_t i = 0; i < count; i++)
        items[i] = (struct snapshot_item){.hash = snapshot_hash(q, i), .i = i};
    qsort(items, count, sizeof *items, snapshot_compare);
    for (uint32_t k = 0; k + 1 < count; k++)
        for (uint32_t m = k + 1; m < count && items[m].hash == items[k].hash && !items[k].is_twice; m++)
            items[k].is_twice = (uint32_t)snapshot_is_same_item(q, items[k].i, items[m].i);
    qsort(items, count, sizeof *items, snapshot_compare_places);
    for (uint32_t i = 0; i < count; i++)
        if (!items[i].is_twice)
            page->at[kept++] = page->at[i];
    page->count = kept;
    priv_free(db_priv(q->v->db), items);
    return LARDER_OK;
}

int query_fill_snapshot(struct query *q) {
    const struct stripe_shm *stripe = htab_stripe(&q->v->partitions, q->partition_hash);
    unsigned poor = 0;
    int r = LARDER_OK, is_held = 0;
    q->seen.at = q->page->seen.at;
    q->seen.capacity = (uint32_t)(q->page->seen.bytes / sizeof *q->seen.at);
    for (unsigned tries = 0; tries < QUERY_TRIES && poor < QUERY_TRIES_POOR; tries++) {
        uint32_t moves = SHM_LOAD(&stripe->moves);
        page_reset(q->page);
        q->seen.count = q->seen.stale_count = 0;
        r = query_fill(q);
        if (r < 0)
            return r;
        is_held = snapshot_holds(q, stripe, moves, tries);
        if (is_held)
            break;
        poor += (unsigned)snapshot_is_poor(q, stripe, moves);
    }
    q->page->is_snapshot = is_held;
    if (!is_held && snapshot_drop_twice(q) != LARDER_OK)
        return LARDER_E_NO_MEMORY;
    return r;
}
