/* index/query_page.c - filling a page: leaf by leaf, a batch of entries at a time.
 *
 * Idea     A leaf is read and validated, then its entries are looked up one stage after the other
 *          for the whole batch (stripes, buckets, items), so that the cache misses of the batch
 *          overlap.
 * Tests    tests/api/query_test.c, tests/api/query_resume_test.c
 */
#include "index/query.h"

#include "core/base/err.h"
#include "core/table/db.h"

#define QUERY_BATCH 24u /* about as many misses as a core keeps in flight, twice */

/* Tests: called between two leaves. */
#if LARDER_CRASH_POINTS
void (*query_test_between)(void);
#define QUERY_BETWEEN()                                                                                                \
    do {                                                                                                               \
        if (query_test_between)                                                                                        \
            query_test_between();                                                                                      \
    } while (0)
#else
#define QUERY_BETWEEN() ((void)0)
#endif

/* The walk over the list. */
struct query_walk {
    struct query *q;
    /* where to go on: all entries before it (descending: after it) were handed out */
    struct skl_bound at;
    int is_past; /* the range ends in this leaf */
    /* entries of this leaf in the range that were not looked at yet: begin to end - 1 */
    uint32_t begin, end;
    uint8_t order[QUERY_BATCH];         /* of a batch: live entries, in the order of the query */
    struct read_hint hint[QUERY_BATCH]; /* where their items are */
    /* the live entry of this leaf that was looked at last; LEAF_ENTRIES: none */
    uint32_t last;
};

/* Room to note one more entry. */
static int query_grow_seen(struct query *q) {
    struct query_seen_list *list = &q->seen;
    int r = page_make(q->page, &q->page->seen, (list->count + QUERY_SEEN_FEW) * sizeof *list->at);
    list->at = q->page->seen.at;
    list->capacity = (uint32_t)(q->page->seen.bytes / sizeof *list->at);
    return r;
}

static int query_corrupt(const struct query *q) {
    return err_set(LARDER_E_CORRUPT, "index %u of table \"%.64s\" and its items do not agree", q->number,
                   q->v->def.name);
}

/* Whether the items come in order, and the first one is in the range, by their own keys. An item
 * out of order was not put there by a writer of ours; a caller that went on after it would go round
 * in circles. */
static int query_is_in_order(struct query *q, struct bytes sort, uint64_t hash, uint32_t kseq) {
    struct leaf_cut here = {.key = sort.at, .key_bytes = (uint32_t)sort.len, .hash = hash, .kseq = kseq};
    if (sort.len > LEAF_KEY_BYTES_MAX)
        return 0;
    const struct leaf_cut *edge = q->has_taken ? &q->taken.cut : q->is_descending ? &q->range.to : &q->range.from;
    int order = leaf_compare_cuts(&here, edge);
    if (q->is_descending ? order >= 0 : q->has_taken ? order <= 0 : order < 0)
        return 0;
    if (sort.len)
        memcpy(q->taken.key, sort.at, sort.len);
    q->taken.cut = here;
    q->taken.cut.key = q->taken.key;
    q->has_taken = 1;
    return 1;
}

/* Whether the last item is inside the other end of the range; then all are. */
static int query_is_in_range(const struct query *q) {
    if (!q->has_taken)
        return 1;
    return q->is_descending ? leaf_compare_cuts(&q->taken.cut, &q->range.from) >= 0
                            : leaf_compare_cuts(&q->taken.cut, &q->range.to) < 0;
}

/* Whether the query asks for the page's last item: see B4 in skl.h, and query_start.c. 1, 0, or
 * LARDER_E_CORRUPT. */
static int query_wants(struct query *q, const struct leaf *leaf, uint32_t i, const struct query_seen *seen) {
    const struct item_head *image = page_last(q->page);
    struct bytes partition = index_partition_key(image, q->number);
    if (partition.len == 0)
        return query_corrupt(q);
    if (partition.len != q->partition_bytes || memcmp(partition.at, q->partition, partition.len) != 0 ||
        query_is_start(q, leaf, i, image))
        return 0;
    int is_right = query_is_in_order(q, index_sort_key(image, q->number), seen->hash, seen->kseq);
    return is_right ? 1 : query_corrupt(q);
}

/* Puts the item of entry i of the leaf into the page; the hint has its hash. */
static int query_take_entry(struct query *q, const struct leaf *leaf, uint32_t i, const struct read_hint *hint) {
    int is_expired, ordinal = query_ordinal(q);
    if (q->seen.count == q->seen.capacity && query_grow_seen(q) != LARDER_OK)
        return LARDER_E_NO_MEMORY;
    struct query_seen *seen = &q->seen.at[q->seen.count];
    seen->hash = hint->hash;
    seen->kseq = leaf_kseq(leaf, i);
    int r = read_by_entry(q->v, ordinal, seen->kseq, hint, q->now_s, q->page, &seen->place, &is_expired);
    if (r < 0)
        return r;
    seen->is_stale = r == LARDER_NOT_FOUND && !is_expired;
    q->seen.count++;
    q->seen.stale_count += seen->is_stale;
    if (r == LARDER_NOT_FOUND)
        return LARDER_OK;
    r = query_wants(q, leaf, i, seen);
    if (r <= 0) {
        page_truncate(q->page, q->page->count - 1);
        return r;
    }
    q->page->scanned++;
    if (q->number && q->v->projected[ordinal])
        return page_project_last(q->page, q->v->projected[ordinal], q->v->projected_count[ordinal]);
    return LARDER_OK;
}

static int query_is_full(const struct query *q) {
    return q->page->count >= q->limit || q->page->used >= q->bytes_max;
}

/* The entries of the leaf that are in the range. */
static void query_enter_leaf(struct query_walk *walk) {
    const struct query *q = walk->q;
    const struct leaf *leaf = &walk->q->reader.leaf;
    walk->begin = q->is_descending ? leaf_find_cut(leaf, &q->range.from) : q->reader.begin;
    walk->end = leaf_find_cut(leaf, q->is_descending ? &walk->at.cut : &q->range.to);
    walk->is_past = q->is_descending ? walk->begin > 0 : walk->end < leaf_count(leaf);
    walk->last = LEAF_ENTRIES;
}

/* The next live entry, or LEAF_ENTRIES. */
static inline uint32_t query_next_entry(struct query_walk *walk) {
    const struct leaf *leaf = &walk->q->reader.leaf;
    while (walk->begin < walk->end) {
        uint32_t entry = walk->q->is_descending ? --walk->end : walk->begin++;
        if (leaf_kseq(leaf, entry))
            return entry;
    }
    return LEAF_ENTRIES;
}

/* Takes at most `most` entries. Returns their number. */
static uint32_t query_next_batch(struct query_walk *walk, uint32_t most) {
    uint32_t count = 0, entry;
    while (count < most && (entry = query_next_entry(walk)) != LEAF_ENTRIES)
        walk->order[count++] = (uint8_t)entry;
    if (count)
        walk->last = walk->order[count - 1];
    return count;
}

/* Prefetches the batch's items, each stage for all of them. */
static void query_look_ahead(struct query_walk *walk, uint32_t count) {
    const struct table_view *v = walk->q->v;
    for (uint32_t i = 0; i < count; i++)
        walk->hint[i] = read_hint_stripe(v, leaf_hash(&walk->q->reader.leaf, walk->order[i]));
    for (uint32_t i = 0; i < count; i++)
        read_hint_bucket(v, &walk->hint[i]);
    for (uint32_t i = 0; i < count && i < READ_AHEAD_ITEMS; i++)
        read_hint_item(v, &walk->hint[i], walk->q->page->ahead_bytes);
}

/* Hands out the leaf's entries until they end or the page is full. *may_follow: the page is full,
 * and there are more entries. */
static int query_take_leaf(struct query_walk *walk, int *may_follow) {
    struct query *q = walk->q;
    uint32_t count, done;
    *may_follow = 0;
    do {
        uint32_t wanted = q->limit - q->page->count;
        count = query_next_batch(walk, wanted < QUERY_BATCH ? wanted : QUERY_BATCH);
        query_look_ahead(walk, count);
        for (done = 0; done < count && !query_is_full(q); done++) {
            if (done + READ_AHEAD_ITEMS < count)
                read_hint_item(q->v, &walk->hint[done + READ_AHEAD_ITEMS], q->page->ahead_bytes);
            int r = query_take_entry(q, &q->reader.leaf, walk->order[done], &walk->hint[done]);
            if (r)
                return r;
        }
    } while (count && !query_is_full(q));
    if (query_is_full(q))
        *may_follow = done < count || query_next_entry(walk) != LEAF_ENTRIES;
    return LARDER_OK;
}

static void query_set_at(struct query_walk *walk, const struct leaf_cut *cut) {
    if (cut->key_bytes)
        memmove(walk->at.key, cut->key, cut->key_bytes);
    walk->at.cut = *cut;
    walk->at.cut.key = walk->at.key;
}

/* Moves to the place after all of this leaf. A dead entry does not give the place: it lost its key
 * sequence. */
static void query_leave_leaf(struct query_walk *walk) {
    const struct leaf *leaf = &walk->q->reader.leaf;
    uint8_t key[LEAF_KEY_BYTES_MAX];
    if (walk->q->is_descending) {
        if (!walk->q->reader.is_first)
            query_set_at(walk, &walk->q->reader.low.cut);
    } else if (walk->last != LEAF_ENTRIES) {
        uint32_t last = walk->last;
        struct leaf_cut cut = {.key = key, .hash = leaf_hash(leaf, last), .kseq = (uint64_t)leaf_kseq(leaf, last) + 1};
        cut.key_bytes = leaf_key(leaf, last, key);
        query_set_at(walk, &cut);
    }
}

static int query_read_first(struct query_walk *walk) {
    const struct query *q = walk->q;
    const struct htab *tab = &q->v->partitions;
    query_set_at(walk, q->is_descending ? &q->range.to : &q->range.from);
    if (q->is_descending)
        return skl_read_down(&walk->q->reader, tab, q->partition_hash, q->number, &walk->at.cut);
    return skl_read_up(&walk->q->reader, tab, q->partition_hash, q->number, &walk->at.cut);
}

static int query_read_more(struct query_walk *walk) {
    const struct query *q = walk->q;
    if (!q->is_descending)
        return skl_read_next(&walk->q->reader, &walk->at.cut);
    if (walk->q->reader.is_first)
        return LARDER_NOT_FOUND;
    return skl_read_down(&walk->q->reader, &q->v->partitions, q->partition_hash, q->number, &walk->at.cut);
}

/* After the page has become full with the last entry of a leaf: whether more entries may follow in
 * the range. */
static int query_may_follow(const struct query_walk *walk) {
    if (walk->is_past)
        return 0;
    return walk->q->is_descending ? !walk->q->reader.is_first : leaf_next(&walk->q->reader.leaf) != 0;
}

static int query_walk_range(struct query *q) {
    struct query_walk walk;
    walk.q = q;
    skl_reader_init(&q->reader);
    int r = query_read_first(&walk);
    q->leaves = r == LARDER_OK;
    while (r == LARDER_OK) {
        int may_follow;
        query_enter_leaf(&walk);
        r = query_take_leaf(&walk, &may_follow);
        if (r)
            return r;
        if (query_is_full(q))
            return may_follow || query_may_follow(&walk) ? LARDER_MORE : LARDER_OK;
        if (walk.is_past)
            return LARDER_OK;
        QUERY_BETWEEN();
        query_leave_leaf(&walk);
        r = query_read_more(&walk);
        q->leaves += r == LARDER_OK;
    }
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

int query_fill(struct query *q) {
    q->has_taken = 0;
    int r = query_walk_range(q);
    return r < 0 || query_is_in_range(q) ? r : query_corrupt(q);
}
