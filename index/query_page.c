/* index/query_page.c - filling a page: leaf by leaf, a batch of entries at a time.
 *
 * Idea     A leaf is read and validated, then its entries are looked up one stage after the other
 *          for the whole batch (stripes, buckets, items), so that the cache misses of the batch
 *          overlap.
 * Tests    tests/api/query_test.c, tests/api/query_resume_test.c
 */
#include "core/base/err.h"
#include "core/base/words.h"
#include "core/item/item_records.h"
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

/* Room to note a batch of entries, places for their items, and some memory for these. */
static int query_make_room(struct query *q) {
    struct query_seen_list *list = &q->seen;
    int r = page_make_places(q->page, QUERY_BATCH);
    r = r ? r : page_reserve(q->page, WORDS_BEHIND);
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

/* The page while a batch is put there: its end, and the item that was taken last. Local to a loop,
 * so that it lies in registers. */
struct query_pen {
    uint8_t *to;
    size_t room;    /* bytes from there to the end of the page's memory, less WORDS_BEHIND */
    uint8_t *end;   /* of what the caller wants */
    uint8_t *first; /* byte of the page */
    size_t *place;
    struct notes *notes;
    /* of the last item: NULL: there is none, or it was projected (q->taken.kept). Its sort key; in
     * table order its partition key lies before that */
    const uint8_t *sort;
    uint32_t sort_bytes, longest;
    const struct query_seen *seen; /* its entry; NULL: none of this batch */
};

HTAB_INLINE void query_lower(struct query *q, struct query_pen *pen) {
    const struct larder_page *page = q->page;
    size_t most = q->bytes_max < page->capacity ? q->bytes_max : page->capacity + 1;
    pen->to = page->bytes + page->used;
    pen->room = page->capacity - page->used;
    pen->room = pen->room > WORDS_BEHIND ? pen->room - WORDS_BEHIND : 0;
    pen->end = page->bytes + most;
    pen->first = page->bytes;
    pen->place = &page->at[page->count];
    pen->notes = q->v->notes;
    pen->sort = q->has_taken && q->taken.at != QUERY_KEPT ? page->bytes + q->taken.at : NULL;
    pen->sort_bytes = q->taken.key_bytes;
    pen->seen = NULL;
}

/* The page and q->taken as the pen has left them. */
HTAB_INLINE void query_lift(struct query *q, const struct query_pen *pen) {
    struct larder_page *page = q->page;
    page->used = (size_t)(pen->to - page->bytes);
    page->count = (uint32_t)(pen->place - page->at);
    if (!pen->seen)
        return;
    q->has_taken = 1;
    q->taken.hash = pen->seen->place.spot.hash;
    q->taken.kseq = pen->seen->kseq;
    q->taken.key_bytes = pen->sort_bytes;
    q->taken.at = (size_t)(pen->sort - page->bytes);
}

/* Whether the items come in order, and the first one is in the range, by their own keys. An item
 * out of order was not put there by a writer of ours; a caller that went on after it would go round
 * in circles. q->taken is the last item. */
static __attribute__((noinline)) int query_is_in_order(struct query *q, struct bytes sort, uint64_t hash,
                                                       uint32_t kseq) {
    struct leaf_cut cut = {.key = sort.at, .key_bytes = (uint32_t)sort.len, .hash = hash, .kseq = kseq};
    if (sort.len > LEAF_KEY_BYTES_MAX)
        return 0;
    if (q->has_taken)
        return q->is_descending ? query_compare_taken(q, &cut) > 0 : query_compare_taken(q, &cut) < 0;
    return q->is_descending ? leaf_compare_cuts(&cut, &q->range.to) < 0 : leaf_compare_cuts(&cut, &q->range.from) >= 0;
}

/* Whether the last item is inside the other end of the range; then all are. */
static int query_is_in_range(const struct query *q) {
    if (!q->has_taken)
        return 1;
    return q->is_descending ? query_is_after_from(q) : query_is_before_to(q);
}

/* Replaces the page's last item by what the index projects. */
static __attribute__((noinline)) int query_project_last(struct query *q, struct query_pen *pen) {
    int ordinal = query_ordinal(q);
    uint32_t longest = pen->longest;
    query_lift(q, pen);
    if (q->taken.key_bytes)
        memcpy(q->taken.kept, query_taken_key(q), q->taken.key_bytes);
    q->taken.at = QUERY_KEPT;
    int r = page_project_last(q->page, q->v->projected[ordinal], q->v->projected_count[ordinal]);
    query_lower(q, pen);
    pen->longest = longest;
    return r;
}

/* Whether the query asks for an item: see B4 in skl.h, and query_start.c. 1, 0, or
 * LARDER_E_CORRUPT. The pen is lifted. */
static __attribute__((noinline)) int query_wants(struct query *q, uint32_t number, const struct query_seen *seen,
                                                 const struct item_head *image) {
    struct bytes partition = index_partition_key(image, number);
    if (partition.len == 0)
        return query_corrupt(q);
    if (partition.len != q->partition_bytes || memcmp(partition.at, q->partition, partition.len) != 0 ||
        query_is_start(q, seen, image))
        return 0;
    int is_right = query_is_in_order(q, index_sort_key(image, number), seen->place.spot.hash, seen->kseq);
    return is_right ? 1 : query_corrupt(q);
}

/* The first byte of two words at `at` that differs. */
HTAB_INLINE size_t query_differ_at(size_t at, uint64_t mine, uint64_t last) {
    return at + (unsigned)__builtin_ctzll(mine ^ last) / 8;
}

/* The same for most items: 1 is yes. 0: it may be yes all the same. In table order the partition
 * key has the right size. */
HTAB_INLINE int query_surely_wants(const struct query *q, uint32_t number, const struct query_pen *pen,
                                   struct bytes partition, struct bytes sort, uint64_t hash, int is_wide) {
    uint64_t mine, last;
    size_t least = sort.len < pen->sort_bytes ? sort.len : pen->sort_bytes, at;
    if (__builtin_expect(!pen->sort || hash == q->start_hash, 0))
        return 0;
    if (number == 0) {
        /* Both keys at once: they lie side by side, and the last item has the right partition. The
         * byte that decides must be one of both sort keys. */
        size_t both = partition.len + least;
        at = words_differ_at(partition.at, pen->sort - partition.len, both, &mine, &last, is_wide);
        if (__builtin_expect(at < partition.len, 0) && query_differ_at(at, mine, last) < partition.len)
            return 0;
        if (at + sizeof mine > both && (at >= both || query_differ_at(at, mine, last) >= both))
            return 0;
        return (be64toh(mine) > be64toh(last)) ^ q->is_descending;
    }
    if (__builtin_expect(partition.len != q->partition_bytes || sort.len > LEAF_KEY_BYTES_MAX, 0) ||
        !words_are_equal(partition.at, q->partition, partition.len))
        return 0;
    int order = words_order(sort.at, pen->sort, least);
    if (__builtin_expect(order == 0, 0))
        /* many items of an index may have the same sort key, or it has none */
        order = sort.len != pen->sort_bytes ? (sort.len > pen->sort_bytes ? 1 : -1)
                : !pen->seen                ? 0
                                            : (hash > pen->seen->place.spot.hash) - (hash < pen->seen->place.spot.hash);
    return order != 0 && (order > 0) ^ q->is_descending;
}

/* What the heads of the query's items have in common. */
HTAB_INLINE uint64_t query_same(uint32_t number) {
    return number ? HEAD_KIND : HEAD_KIND | HEAD_PARTITION_BYTES;
}

/* Whether a copy is the entry's item and live. */
static __attribute__((noinline)) int query_is_item_of(struct query *q, uint32_t number, const struct query_seen *seen,
                                                      const struct item_head *image) {
    if (!item_parts_are_sane(image) || image->hash_high != seen->place.spot.hash >> 32 ||
        read_kseq_in(image, (int)number - 1) != seen->kseq || read_has_expired(q->v, image, q->now_s))
        return 0;
    read_usual_learn(&q->usual, query_same(number), image);
    return 1;
}

/* The same, and yes for most. */
HTAB_INLINE int query_is_surely_item_of(const struct query *q, uint32_t number, const struct query_seen *seen,
                                        const struct item_head *image) {
    uint64_t stamp = q->usual.stamp, same = READ_STAMP;
    if (!read_is_usual(image, &q->usual, query_same(number), q->now_s) ||
        image->hash_high != (uint32_t)(seen->place.spot.hash >> 32))
        return 0;
    if (number == 0)
        stamp |= seen->kseq;
    else
        same &= ~(uint64_t)UINT32_MAX;
    if ((read_stamp_of(image) ^ stamp) & same)
        return 0;
    return number == 0 || (number <= image->index_count && item_index_slots(image)[number - 1].kseq == seen->kseq);
}

/* Reads the item of an entry, whatever has become of it. */
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

/* Notes an item that was taken. */
HTAB_INLINE void query_put(struct query_pen *pen, const struct query_seen *seen, struct bytes sort,
                           const struct item_head *image, uint32_t bytes) {
    marks_note_in(pen->notes, seen->place.spot.block);
    *pen->place++ = (size_t)(pen->to - pen->first);
    pen->to += bytes;
    pen->room -= bytes;
    pen->longest = bytes > pen->longest ? bytes : pen->longest;
    pen->sort = sort.at ? sort.at : (const uint8_t *)image;
    pen->sort_bytes = (uint32_t)sort.len;
    pen->seen = seen;
}

/* What is left of query_take_entry() if it is not sure that the query wants an item: of the first
 * one, for instance. The pen is lifted. */
static __attribute__((noinline)) int query_take_if_wanted(struct query *q, uint32_t number, struct query_pen *pen,
                                                          struct query_seen *seen, const struct item_head *image) {
    uint32_t longest = pen->longest;
    seen->place.version = image->version;
    int r = query_wants(q, number, seen, image);
    query_lower(q, pen);
    pen->longest = longest;
    if (r <= 0)
        return r;
    if (pen->room < image->bytes) /* it is there, but not WORDS_BEHIND more */
        pen->room = image->bytes;
    query_put(pen, seen, index_sort_key(image, number), image, image->bytes);
    return LARDER_OK;
}

/* The same if an item could not simply be copied. */
static __attribute__((noinline)) int query_take_slowly(struct query *q, uint32_t number, struct query_pen *pen,
                                                       struct query_seen *seen) {
    const struct item_head *image;
    query_lift(q, pen);
    int r = query_read_slowly(q, seen, &image);
    if (r == LARDER_OK)
        return query_take_if_wanted(q, number, pen, seen, image);
    uint32_t longest = pen->longest;
    query_lower(q, pen); /* the page may have grown */
    pen->longest = longest;
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

/* The keys of a walked image. */
HTAB_INLINE void query_keys_of(const struct item_head *image, uint32_t number, struct bytes *partition,
                               struct bytes *sort) {
    if (number) {
        const struct item_index_slot *slot = &item_index_slots(image)[number - 1];
        if (__builtin_expect(!item_short_text(image, slot->partition_attr, partition), 0))
            *partition = index_partition_key(image, number);
        if (__builtin_expect(!item_short_text(image, slot->sort_attr, sort), 0))
            *sort = index_sort_key(image, number);
    } else {
        *partition = index_partition_key(image, 0);
        *sort = index_sort_key(image, 0);
    }
}

/* Puts the item of an entry into the page, if the query wants it. */
HTAB_INLINE int query_take_entry(struct query *q, uint32_t number, const struct htab_aim *aim, struct query_pen *pen,
                                 struct query_seen *seen, int is_wide) {
    uint32_t bytes;
    const struct item_head *image = read_copy(aim, &seen->place.spot, pen->to, pen->room, &bytes, is_wide);
    struct bytes partition, sort;
    if (__builtin_expect(!image, 0))
        return query_take_slowly(q, number, pen, seen);
    if (__builtin_expect(!query_is_surely_item_of(q, number, seen, image), 0)) {
        /* one of another size or shape, or that is about to expire */
        if (!query_is_item_of(q, number, seen, image))
            return query_take_slowly(q, number, pen, seen);
        if (number ? !item_is_walked(image) : image->partition_bytes != q->partition_bytes) {
            query_lift(q, pen);
            return query_take_if_wanted(q, number, pen, seen, image);
        }
    }
    query_keys_of(image, number, &partition, &sort);
    if (__builtin_expect(!query_surely_wants(q, number, pen, partition, sort, seen->place.spot.hash, is_wide), 0)) {
        query_lift(q, pen);
        return query_take_if_wanted(q, number, pen, seen, image);
    }
    seen->place.version = image->version;
    query_put(pen, seen, sort, image, bytes);
    return LARDER_OK;
}

static int query_is_full(const struct query *q) {
    return q->page->count >= q->limit || q->page->used >= q->bytes_max;
}

HTAB_INLINE void query_find_ahead(const struct htab_aim *aim, struct query_seen *seen, uint32_t last_line) {
    htab_spot_bucket(aim, &seen->place.spot);
    htab_spot_slot(aim, &seen->place.spot, last_line);
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

/* Takes the next live entries of the leaf, at most `most`: finds their stripes. Returns
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
    return (uint32_t)(next - seen);
}

/* A batch of entries of a query: the function's arguments. */
struct query_batch {
    struct query *q;
    const struct htab_aim *aim;
    struct query_seen *seen;
    uint32_t count;
};

/* Hands out the items of a batch until the page is full. *done: how many entries were looked at.
 * There are places for all of them. `number` is the query's; 0 makes a loop of its own. */
HTAB_INLINE int query_take_batch(const struct query_batch *b, uint32_t number, int is_wide, uint32_t *done) {
    struct query *q = b->q;
    const struct htab_aim *aim = b->aim;
    struct query_seen *ahead = b->seen, *next = b->seen, *end = b->seen + b->count;
    struct query_pen pen;
    uint32_t last_line = htab_last_line(q->page->ahead_bytes);
    int r = LARDER_OK;
    query_lower(q, &pen);
    pen.longest = 0;
    for (; ahead < end && ahead < next + READ_AHEAD_ITEMS; ahead++)
        query_find_ahead(aim, ahead, last_line);
    while (next < end && pen.to < pen.end) {
        if (ahead < end)
            query_find_ahead(aim, ahead++, last_line);
        r = query_take_entry(q, number, aim, &pen, next, is_wide);
        if (number && q->is_projected && r == LARDER_OK && pen.seen == next)
            r = query_project_last(q, &pen);
        next++;
        if (__builtin_expect(r, 0))
            break;
    }
    query_lift(q, &pen);
    if (pen.longest)
        page_learn_bytes(q->page, pen.longest);
    *done = (uint32_t)(next - b->seen);
    return r;
}
typedef int query_batch_taker(const struct query_batch *b, uint32_t *done);
static __attribute__((noinline)) int query_take_table(const struct query_batch *b, uint32_t *done) {
    return query_take_batch(b, 0, 0, done);
}
HTAB_INLINE uint32_t query_index_number(const struct query *q) {
    if (q->number == 0)
        __builtin_unreachable(); /* query_taker() */
    return q->number;
}
static __attribute__((noinline)) int query_take_index(const struct query_batch *b, uint32_t *done) {
    return query_take_batch(b, query_index_number(b->q), 0, done);
}
WIDE_TARGET static __attribute__((noinline)) int query_take_table_wide(const struct query_batch *b, uint32_t *done) {
    return query_take_batch(b, 0, 1, done);
}
WIDE_TARGET static __attribute__((noinline)) int query_take_index_wide(const struct query_batch *b, uint32_t *done) {
    return query_take_batch(b, query_index_number(b->q), 1, done);
}
static query_batch_taker *query_taker(const struct query *q) {
    if (wide_is_here())
        return q->number ? query_take_index_wide : query_take_table_wide;
    return q->number ? query_take_index : query_take_table;
}

/* Hands out the leaf's entries until they end or the page is full. *may_follow: the page is full,
 * and there are more entries. */
static int query_take_leaf(struct query_walk *walk, int *may_follow) {
    struct query *q = walk->q;
    struct htab_aim aim = htab_aim(&q->v->items);
    query_batch_taker *take = query_taker(q);
    uint32_t count, done;
    *may_follow = 0;
    do {
        uint32_t before = q->page->count, wanted = q->limit - before;
        int r = query_make_room(q);
        if (r)
            return r;
        struct query_batch batch = {.q = q, .aim = &aim, .seen = &q->seen.at[q->seen.count]};
        batch.count = count = query_next_batch(walk, &aim, batch.seen, wanted < QUERY_BATCH ? wanted : QUERY_BATCH);
        r = take(&batch, &done);
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
    q->taken.key_bytes = 0;
    q->usual = read_usual(q->v, q->number ? 0 : q->partition_bytes, 0);
    q->is_projected = q->number && q->v->projected[query_ordinal(q)];
    int r = query_walk_range(q);
    return r < 0 || query_is_in_range(q) ? r : query_corrupt(q);
}
