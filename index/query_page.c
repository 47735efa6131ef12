/* index/query_page.c - filling a page: leaf by leaf, a batch of entries at a time.
 *
 * Idea     A leaf is read and validated, then its entries are looked up one stage after the other
 *          for the whole batch (stripes, buckets, items), so that the cache misses of the batch
 *          overlap.
 * Tests    tests/api/query_test.c, tests/api/query_resume_test.c
 */
#include "core/base/err.h"
#include "core/base/words.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/read_copy.h"
#include "index/query.h"

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
    /* the live entry of this leaf that was looked at last; LEAF_ENTRIES: none */
    uint32_t last;
};

/* Room to note a batch of entries, and places for their items. */
static int query_make_room(struct query *q) {
    struct query_seen_list *list = &q->seen;
    int r = page_make_places(q->page, QUERY_BATCH);
    if (r || list->capacity - list->count >= QUERY_BATCH)
        return r;
    r = page_make(q->page, &q->page->seen, (list->count + QUERY_BATCH) * sizeof *list->at);
    list->at = q->page->seen.at;
    list->capacity = (uint32_t)(q->page->seen.bytes / sizeof *list->at);
    return r;
}

static int query_corrupt(const struct query *q) {
    return err_set(LARDER_E_CORRUPT, "index %u of table \"%.64s\" and its items do not agree", q->number,
                   q->v->def.name);
}

static const uint8_t *query_taken_key(const struct query *q) {
    return q->taken.at == QUERY_KEPT ? q->taken.kept : q->page->bytes + q->taken.at;
}

static int query_compare_taken(const struct query *q, const struct leaf_cut *edge) {
    const struct query_taken *t = &q->taken;
    struct leaf_cut cut = {.key = query_taken_key(q), .key_bytes = t->key_bytes, .hash = t->hash, .kseq = t->kseq};
    return leaf_compare_cuts(&cut, edge);
}

/* Whether the last item is inside this end of the range. */
static int query_is_after_from(const struct query *q) {
    return query_compare_taken(q, &q->range.from) >= 0;
}
static int query_is_before_to(const struct query *q) {
    return query_compare_taken(q, &q->range.to) < 0;
}

/* Whether an item with this place comes after the last one in the order of the query. */
HTAB_INLINE int query_is_next(const struct query *q, const struct query_taken *t, struct bytes sort, uint64_t hash,
                              uint32_t kseq) {
    size_t least = sort.len < t->key_bytes ? sort.len : t->key_bytes;
    int order = words_order(sort.at, query_taken_key(q), least);
    if (__builtin_expect(order == 0, 0))
        order = sort.len != t->key_bytes ? (sort.len > t->key_bytes ? 1 : -1)
                : hash != t->hash        ? (hash > t->hash ? 1 : -1)
                                         : (kseq > t->kseq) - (kseq < t->kseq);
    return (order > 0) ^ q->is_descending && order != 0;
}

/* Whether the items come in order, and the first one is in the range, by their own keys. An item
 * out of order was not put there by a writer of ours; a caller that went on after it would go round
 * in circles. `sort` is the sort key of the page's last item. */
HTAB_INLINE int query_is_in_order(struct query *q, struct bytes sort, uint64_t hash, uint32_t kseq) {
    int is_first = !q->has_taken;
    if (__builtin_expect(sort.len > LEAF_KEY_BYTES_MAX, 0))
        return 0;
    if (__builtin_expect(!is_first, 1) && !query_is_next(q, &q->taken, sort, hash, kseq))
        return 0;
    q->taken.hash = hash;
    q->taken.kseq = kseq;
    q->taken.key_bytes = (uint32_t)sort.len;
    q->taken.at = sort.len ? (size_t)(sort.at - q->page->bytes) : 0;
    q->has_taken = 1;
    if (__builtin_expect(!is_first, 1))
        return 1;
    return q->is_descending ? query_is_before_to(q) : query_is_after_from(q);
}

/* Whether the last item is inside the other end of the range; then all are. */
static int query_is_in_range(const struct query *q) {
    if (!q->has_taken)
        return 1;
    return q->is_descending ? query_is_after_from(q) : query_is_before_to(q);
}

/* Replaces the page's last item by what the index projects. */
static int query_project_last(struct query *q) {
    int ordinal = query_ordinal(q);
    if (q->taken.key_bytes)
        memcpy(q->taken.kept, query_taken_key(q), q->taken.key_bytes);
    q->taken.at = QUERY_KEPT;
    return page_project_last(q->page, q->v->projected[ordinal], q->v->projected_count[ordinal]);
}

/* Whether the query asks for the page's last item: see B4 in skl.h, and query_start.c. 1, 0, or
 * LARDER_E_CORRUPT. */
HTAB_INLINE int query_wants(struct query *q, uint32_t number, const struct query_seen *seen,
                            const struct item_head *image) {
    struct bytes partition = index_partition_key(image, number);
    if (__builtin_expect(partition.len == 0, 0))
        return query_corrupt(q);
    if (__builtin_expect(partition.len != q->partition_bytes, 0) ||
        !words_are_equal(partition.at, q->partition, partition.len) ||
        (__builtin_expect(q->has_start, 0) && query_is_start(q, seen, image)))
        return 0;
    int is_right = query_is_in_order(q, index_sort_key(image, number), seen->place.spot.hash, seen->kseq);
    return __builtin_expect(is_right, 1) ? 1 : query_corrupt(q);
}

/* Whether a copy is the entry's item and live. */
HTAB_INLINE int query_is_item_of(const struct query *q, uint32_t number, const struct query_seen *seen,
                                 const struct item_head *image) {
    return image->hash_high == seen->place.spot.hash >> 32 && read_kseq_in(image, (int)number - 1) == seen->kseq &&
           !read_has_expired(q->v, image, q->now_s);
}

/* Reads the item of an entry that query_take_entry() could not simply copy. */
static __attribute__((noinline)) int query_read_slowly(struct query *q, struct query_seen *seen,
                                                       const struct item_head **image) {
    int is_expired;
    struct read_place *place = &seen->place;
    uint64_t hash = place->spot.hash;
    int r = read_by_entry(q->v, query_ordinal(q), seen->kseq, hash, q->now_s, q->page, place, image, &is_expired);
    place->spot.hash = hash;
    seen->is_stale = r == LARDER_NOT_FOUND && !is_expired;
    q->seen.stale_count += seen->is_stale;
    return r;
}

/* Puts the item of an entry into the page, if the query wants it. *longest becomes at least its
 * bytes. */
HTAB_INLINE int query_take_entry(struct query *q, uint32_t number, const struct htab_aim *aim, struct query_seen *seen,
                                 uint32_t *longest) {
    const struct item_head *image = read_copy(aim, &seen->place.spot, q->page);
    if (__builtin_expect(!image || !query_is_item_of(q, number, seen, image), 0)) {
        int r = query_read_slowly(q, seen, &image);
        if (r)
            return r == LARDER_NOT_FOUND ? LARDER_OK : r;
    }
    seen->place.version = image->version;
    int r = query_wants(q, number, seen, image);
    if (__builtin_expect(r <= 0, 0))
        return r;
    marks_note(q->v, seen->place.spot.block);
    page_put(q->page, image->bytes);
    *longest = image->bytes > *longest ? image->bytes : *longest;
    return number && q->is_projected ? query_project_last(q) : LARDER_OK;
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

/* Whether the leaf has a live entry that was not looked at. */
static int query_has_more(const struct query_walk *walk) {
    const struct leaf *leaf = &walk->q->reader.leaf;
    for (uint32_t entry = walk->begin; entry < walk->end; entry++)
        if (leaf_kseq(leaf, entry))
            return 1;
    return 0;
}

/* Takes the next live entries of the leaf, at most `most`: finds their stripes and buckets. Returns
 * their number. */
static __attribute__((noinline)) uint32_t query_next_batch(struct query_walk *walk, const struct htab_aim *aim,
                                                           struct query_seen *seen, uint32_t most) {
    const struct leaf_arrays leaf = leaf_arrays(&walk->q->reader.leaf);
    const int is_descending = walk->q->is_descending;
    uint32_t left = walk->end > walk->begin ? walk->end - walk->begin : 0;
    uint32_t entry = is_descending ? walk->end - 1 : walk->begin;
    struct query_seen *next = seen, *end = seen + most;
    for (; left > 0 && next < end; left--, entry += is_descending ? UINT32_MAX : 1) {
        if (leaf.kseq[entry] == 0)
            continue;
        next->kseq = leaf.kseq[entry];
        next->entry = (uint16_t)entry;
        next->is_stale = 0;
        htab_spot_stripe(aim, htab_hash_of(leaf.tag[entry], leaf.hash_high[entry]), &next->place.spot);
        next++;
    }
    if (next > seen)
        walk->last = next[-1].entry;
    if (is_descending)
        walk->end = walk->begin + left;
    else
        walk->begin = walk->end - left;
    for (struct query_seen *one = seen; one < next; one++)
        htab_spot_bucket(aim, &one->place.spot);
    return (uint32_t)(next - seen);
}

/* Hands out the items of a batch until the page is full. *done: how many entries were looked at.
 * There are places for all of them. `number` is the query's; 0 makes a loop of its own. */
HTAB_INLINE int query_take_batch(struct query *q, uint32_t number, const struct htab_aim *aim, struct query_seen *seen,
                                 uint32_t count, uint32_t *done) {
    struct larder_page *page = q->page;
    struct query_seen *ahead = seen, *next = seen, *end = seen + count;
    uint32_t longest = 0;
    int r = LARDER_OK;
    for (; ahead < end && ahead < seen + READ_AHEAD_ITEMS; ahead++)
        htab_spot_slot(aim, &ahead->place.spot, page->ahead_bytes);
    for (; next < end && page->used < q->bytes_max && r == LARDER_OK; next++) {
        if (ahead < end)
            htab_spot_slot(aim, &ahead++->place.spot, page->ahead_bytes);
        r = query_take_entry(q, number, aim, next, &longest);
    }
    if (longest)
        page_learn_bytes(page, longest);
    *done = (uint32_t)(next - seen);
    return r;
}
static __attribute__((noinline)) int query_take_table_batch(struct query *q, const struct htab_aim *aim,
                                                            struct query_seen *seen, uint32_t count, uint32_t *done) {
    return query_take_batch(q, 0, aim, seen, count, done);
}
static __attribute__((noinline)) int query_take_index_batch(struct query *q, const struct htab_aim *aim,
                                                            struct query_seen *seen, uint32_t count, uint32_t *done) {
    return query_take_batch(q, q->number, aim, seen, count, done);
}

/* Hands out the leaf's entries until they end or the page is full. *may_follow: the page is full,
 * and there are more entries. */
static int query_take_leaf(struct query_walk *walk, int *may_follow) {
    struct query *q = walk->q;
    struct htab_aim aim = htab_aim(&q->v->items);
    uint32_t count, done;
    *may_follow = 0;
    do {
        uint32_t before = q->page->count, wanted = q->limit - before;
        int r = query_make_room(q);
        if (r)
            return r;
        struct query_seen *seen = &q->seen.at[q->seen.count];
        count = query_next_batch(walk, &aim, seen, wanted < QUERY_BATCH ? wanted : QUERY_BATCH);
        r = q->number ? query_take_index_batch(q, &aim, seen, count, &done)
                      : query_take_table_batch(q, &aim, seen, count, &done);
        q->seen.count += done;
        q->page->scanned += q->page->count - before;
        if (r)
            return r;
    } while (count && !query_is_full(q));
    if (query_is_full(q))
        *may_follow = done < count || query_has_more(walk);
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
    q->is_projected = q->number && q->v->projected[query_ordinal(q)];
    int r = query_walk_range(q);
    return r < 0 || query_is_in_range(q) ? r : query_corrupt(q);
}
