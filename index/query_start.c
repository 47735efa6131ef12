/* index/query_start.c - where one page of a query ends and the next begins.
 *
 * Idea     The resume key is the last item's key attributes, of table and index. Its place in the
 *          order is (sort key, primary hash, key sequence). The first two follow from the key. The
 *          key sequence is looked up in the item as it is now: it matters only between items whose
 *          sort keys and hashes are both equal.
 * Tests    tests/api/query_resume_test.c
 */
#include "core/base/err.h"
#include "core/item/item_records.h"
#include "index/query.h"

/* An index key of the start key, encoded. */
static int start_index_key(const struct larder_item *start_key, const struct item_key_attr *key, size_t bytes_max,
                           uint8_t *to, size_t *bytes) {
    struct larder_value value[LARDER_KEY_ATTRIBUTES_MAX];
    const struct larder_value *values[LARDER_KEY_ATTRIBUTES_MAX];
    uint32_t count = item_key_count(key);
    for (uint32_t i = 0; i < count; i++) {
        const struct item_key_attr *attr = item_key_attr_at(key, i);
        if (larder_item_getn(start_key, attr->name, attr->name_bytes, &value[i]) != LARDER_OK)
            return err_set(LARDER_E_INVAL, "the start key has no attribute \"%.64s\"", attr->name);
        values[i] = &value[i];
    }
    return count > 1 ? item_encode_key(key, values, count, 1, "start key", bytes_max, to, bytes)
                     : item_encode_key_value(key, &value[0], "start key", bytes_max, to, bytes);
}

/* The start key's partition and sort key in the query's index. */
static int start_keys(struct query *q, const struct larder_item *start_key, uint8_t *partition,
                      size_t *partition_bytes) {
    const struct item_key *primary = &q->start_key;
    size_t sort_bytes = 0;
    int r = LARDER_OK;
    if (q->number == 0) {
        *partition_bytes = primary->partition_bytes;
        sort_bytes = primary->sort_bytes;
        memcpy(partition, primary->area, *partition_bytes);
        memcpy(q->start_sort, primary->area + *partition_bytes, sort_bytes);
    } else {
        r = start_index_key(start_key, query_partition_attr(q), LARDER_PARTITION_KEY_BYTES_MAX, partition,
                            partition_bytes);
        if (r == LARDER_OK && query_sort_attr(q)->name)
            r = start_index_key(start_key, query_sort_attr(q), LEAF_KEY_BYTES_MAX, q->start_sort, &sort_bytes);
    }
    q->start_sort_bytes = (uint32_t)sort_bytes;
    return r;
}

static int start_is_same(struct bytes a, const uint8_t *at, size_t bytes) {
    return a.len == bytes && (!bytes || memcmp(a.at, at, bytes) == 0);
}

/* The key sequence that the start item has now; 0 if it is gone or moved to another key. Overwrites
 * the page's contents. */
static int start_kseq(struct query *q, uint32_t *kseq) {
    *kseq = 0;
    page_reset(q->page);
    int r = read_by_key(q->v, &q->start_key, q->start_hash, q->now_s, q->page);
    if (r)
        return r == LARDER_NOT_FOUND ? LARDER_OK : r;
    const struct item_head *image = item_head(larder_page_item(q->page, 0));
    uint32_t now = index_kseq(image, q->number);
    if (now && start_is_same(index_partition_key(image, q->number), q->partition, q->partition_bytes) &&
        start_is_same(index_sort_key(image, q->number), q->start_sort, q->start_sort_bytes))
        *kseq = now;
    return LARDER_OK;
}

static int start_is_in_range(const struct query *q) {
    struct leaf_cut cut = {.key = q->start_sort, .key_bytes = q->start_sort_bytes, .hash = q->start_hash};
    return leaf_compare_cuts(&cut, &q->range.from) >= 0 && leaf_compare_cuts(&cut, &q->range.to) < 0;
}

static void start_narrow(struct query *q, uint32_t kseq) {
    struct leaf_cut cut = {.key = q->start_sort, .key_bytes = q->start_sort_bytes, .hash = q->start_hash};
    if (q->is_descending) {
        cut.kseq = kseq ? kseq : LEAF_KSEQ_END;
        if (leaf_compare_cuts(&cut, &q->range.to) < 0)
            q->range.to = cut;
    } else {
        cut.kseq = kseq ? (uint64_t)kseq + 1 : 0;
        if (leaf_compare_cuts(&cut, &q->range.from) > 0)
            q->range.from = cut;
    }
}

int query_start(struct query *q, const struct larder_item *start_key) {
    uint8_t partition[LARDER_PARTITION_KEY_BYTES_MAX];
    size_t partition_bytes = 0;
    uint32_t kseq;
    const struct item_index_shape *index = q->number ? &q->v->shape.indexes[q->number - 1] : NULL;
    int r = item_start_key(&q->v->shape, index, start_key, &q->start_key);
    if (r == LARDER_OK)
        r = start_keys(q, start_key, partition, &partition_bytes);
    if (r)
        return r;
    if (partition_bytes != q->partition_bytes || memcmp(partition, q->partition, partition_bytes) != 0)
        return err_set(LARDER_E_INVAL, "the start key is of another partition than the query's");
    q->start_hash = read_hash(q->v, &q->start_key);
    if (!start_is_in_range(q))
        return err_set(LARDER_E_INVAL, "the start key's sort key is outside the query's range");
    q->has_start = 1;
    r = start_kseq(q, &kseq);
    if (r == LARDER_OK)
        start_narrow(q, kseq);
    return r;
}

int query_is_start(const struct query *q, const struct query_seen *seen, const struct item_head *image) {
    uint8_t sort[LEAF_KEY_BYTES_MAX];
    if (!q->has_start || seen->place.spot.hash != q->start_hash)
        return 0;
    struct bytes mine = {item_key_area(image), (size_t)image->partition_bytes + image->sort_bytes};
    if (image->partition_bytes != q->start_key.partition_bytes ||
        !start_is_same(mine, q->start_key.area, (size_t)q->start_key.partition_bytes + q->start_key.sort_bytes))
        return 0;
    return start_is_same((struct bytes){sort, leaf_key(&q->reader.leaf, seen->entry, sort)}, q->start_sort,
                         q->start_sort_bytes);
}

/* The next page begins after the place that is computed from the key. If the item lay under another
 * hash, that place could be before it. */
static int start_is_possible(const struct query *q, const struct larder_item *last) {
    const struct item_head *image = item_head(last);
    struct item_key key;
    if (image->version != 0) /* it has its key area */
        return read_hash_of(q->v, item_key_area(image), image->partition_bytes, image->sort_bytes) == q->taken.hash;
    return item_key_from_item(&q->v->shape, last, &key) == LARDER_OK && read_hash(q->v, &key) == q->taken.hash;
}

/* The keys of the page's last item in the query's index, if they are short texts that the image
 * leads to: most are. */
static void start_find_keys(const struct query *q, const struct item_head *image, struct bytes *partition,
                            struct bytes *sort) {
    uint32_t ordinal = q->number - 1;
    if (q->number == 0 || q->is_projected || ordinal >= image->index_count || !item_is_walked(image))
        return;
    const struct item_index_slot *slot = &item_index_slots(image)[ordinal];
    /* a joined key is no attribute's value */
    if (query_partition_attr(q)->type != LARDER_S || query_partition_attr(q)->more_count ||
        !item_short_text(image, slot->partition_attr, partition))
        *partition = (struct bytes){NULL, 0};
    if (query_sort_attr(q)->type != LARDER_S || query_sort_attr(q)->more_count ||
        !item_short_text(image, slot->sort_attr, sort))
        *sort = (struct bytes){NULL, 0};
}

int query_set_resume(const struct query *q) {
    const struct item_key_attr *all[] = {&q->v->shape.partition, &q->v->shape.sort, query_partition_attr(q),
                                         query_sort_attr(q)};
    const struct item_key_attr *attrs[ITEM_KEYS_MAX];
    struct bytes keys[4] = {{NULL, 0}}, known[ITEM_KEYS_MAX];
    uint32_t count = 0;
    const struct larder_item *last = larder_page_item(q->page, larder_page_count(q->page) - 1);
    start_find_keys(q, item_head(last), &keys[2], &keys[3]);
    for (unsigned i = 0; i < (q->number ? 4 : 2); i++)
        if (all[i]->name) {
            known[count] = keys[i];
            attrs[count++] = all[i];
        }
    for (unsigned i = 2; q->v->shape.joined_count && q->number && i < 4; i++)
        for (uint32_t part = 1; part < item_key_count(all[i]); part++) {
            known[count] = (struct bytes){NULL, 0};
            attrs[count++] = item_key_attr_at(all[i], part);
        }
    if (!start_is_possible(q, last))
        return err_set(LARDER_E_CORRUPT, "an item of table \"%.64s\" does not have its key's hash", q->v->def.name);
    int r = page_set_resume(q->page, attrs, known, count);
    return r ? r : LARDER_MORE;
}
