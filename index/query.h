/* index/query.h - one call of larder_query().
 *
 * Files    query.c: the call and its arguments. query_start.c: where a page continues.
 *          query_page.c: filling a page. query_snapshot.c: whether the page was there at one
 *          moment.
 */
#ifndef LARDER_INDEX_QUERY_H
#define LARDER_INDEX_QUERY_H

#include "core/table/read_copy.h"
#include "index/index.h"
#include "index/range.h"

/* An entry that was looked at, and the item found for it. */
struct query_seen {
    struct read_place place; /* its hash is the entry's */
    uint32_t kseq;
    uint16_t entry;    /* number of the entry in its leaf */
    uint16_t is_stale; /* no item was found: the rest of place is not used */
};

struct query_seen_list {
    struct query_seen *at; /* in the page's memory for it */
    uint32_t count, capacity;
    uint32_t stale_count;
};

/* The place of an item that was taken, in the order of the index. */
struct query_taken {
    uint64_t hash;
    uint32_t kseq, key_bytes;
    size_t at; /* of its sort key in the page's bytes; QUERY_KEPT: the page has a projection */
    uint8_t kept[LEAF_KEY_BYTES_MAX];
};
#define QUERY_KEPT ((size_t)-1)
#define QUERY_NO_HASH (~HTAB_HASH_MASK) /* of no item */

/* Lies in the page's memory: it is too large for a small stack. */
struct query {
    const struct table_view *v;
    uint32_t number; /* of the index */
    int64_t now_s;
    struct larder_page *page;
    uint32_t limit; /* UINT32_MAX: none */
    size_t bytes_max;
    int is_descending; /* 0 or 1 */
    int is_projected;  /* the index keeps only some attributes */
    size_t partition_bytes;
    uint64_t partition_hash;
    struct range range;

    int has_start;
    uint64_t start_hash; /* QUERY_NO_HASH: has_start is 0 */
    uint32_t start_sort_bytes;
    struct query_seen_list seen;
    struct skl_reader reader; /* of the list: the last leaf that was read */
    uint32_t leaves;          /* the number of leaves read */
    struct read_usual usual;  /* heads of its items */
    int has_taken;            /* an item was taken since query_fill() began: */
    struct query_taken taken; /* the last one */

    uint8_t partition[LARDER_PARTITION_KEY_BYTES_MAX];
    uint8_t start_sort[LEAF_KEY_BYTES_MAX];
    struct item_key start_key;
};

static inline int query_ordinal(const struct query *q) {
    return (int)q->number - 1;
}
static inline const struct item_key_attr *query_partition_attr(const struct query *q) {
    return q->number ? &q->v->shape.indexes[q->number - 1].partition : &q->v->shape.partition;
}
static inline const struct item_key_attr *query_sort_attr(const struct query *q) {
    return q->number ? &q->v->shape.indexes[q->number - 1].sort : &q->v->shape.sort;
}

/* Narrows the range to the places after the start key. Everything that the caller gave has been
 * copied when this returns. */
int query_start(struct query *q, const struct larder_item *start_key);
/* Whether an item of the page is the start key's own item. Its entry is in the leaf that was read
 * last. */
int query_is_start(const struct query *q, const struct query_seen *seen, const struct item_head *image);
/* The key attributes of the page's last item become its resume key. LARDER_MORE, or a failure. */
int query_set_resume(const struct query *q);

/* Fills the page once, from the beginning. LARDER_OK: the range is finished; LARDER_MORE;
 * failures. */
int query_fill(struct query *q);
/* Fills the page, again if necessary, until all of it was there at one moment. Same results. */
int query_fill_snapshot(struct query *q);

#endif
