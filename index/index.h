/* index/index.h - the indexes of a table, as core/ and the public calls see them.
 *
 * Job      Turns an item into entries and entries into list operations. Table order (the table's
 *          own partition key and sort key) is index number 0; the secondary index of ordinal i is
 *          number i + 1.
 * Rules    N1 An item has an entry in every index whose key sequence in the item is not 0, and in
 *             table order if the table has a sort key.
 *          N2 An entry counts only if its item now has its key sequence. So entries are added
 *             before and removed after the one store that publishes an item, and no reader sees the
 *             difference.
 */
#ifndef LARDER_INDEX_INDEX_H
#define LARDER_INDEX_INDEX_H

#include "core/memory/hooks.h"
#include "core/table/table.h"
#include "index/skl.h"

/* For the table of hooks (core/memory/hooks.h). index_recover_stripe is skl_recover_stripe. */
int index_pass(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
               const struct item_head *but_not);
int index_add(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
              const struct item_head *but_not);
int index_remove(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
                 const struct item_head *but_not);
int index_clear_stripe(struct writer *w, const struct table_view *v, uint32_t stripe, uint32_t *budget);
/* Frees all lists of an index whose addition failed; ordinal -1: of all indexes. LARDER_OK,
 * LARDER_E_BUSY, LARDER_E_CORRUPT. */
int index_clear(struct writer *w, const struct table_view *v, int ordinal);
int index_recover_add(struct writer *w, uint32_t table_ordinal, uint32_t index_ordinal);
/* Adds one entry; takes and drops the lock of its list. Results: see skl_add_locked(). */
struct index_entry;
int index_add_entry(struct writer *w, const struct table_view *v, uint32_t number, const struct index_entry *e);
int index_refill(struct writer *w, const struct table_view *v, const uint64_t *item, size_t count, int is_dense,
                 uint64_t *entries);
int index_count_items(const struct table_view *v, uint32_t number, uint32_t *counts);
int index_check_stripe(struct check_state *c, uint32_t ordinal, uint32_t stripe, int is_judging);
void index_sum_item(struct check_state *c, const struct table_view *v, uint64_t hash, const struct item_peek *item);
void index_judge_item(struct check_state *c, const struct table_view *v, uint64_t hash, const struct item_peek *item);
int index_refers(const struct htab *tab, uint64_t off);
struct stripe_shm *index_stripe_of(const struct htab *tab, uint64_t off);
/* Table order, then the indexes of v->def in their order; writes at most `count` entries of
 * `out`. */
int index_stats(const struct table_view *v, struct larder_index_stats *out, uint32_t count);

/* ---- Shared by the files of this folder ------------------------------------------------------ */

/* Identifies a partition of one index: 64 bits of its key (index/skl.h, B4). */
uint64_t index_partition_hash(const struct table_view *v, uint32_t number, struct bytes key);

/* An item's place in one index. */
struct index_entry {
    uint64_t partition;
    struct bytes partition_key;
    struct leaf_entry entry; /* kseq 0: the item is not in this index */
};
/* Index numbers of the view: 0..index_count(v)-1. */
static inline uint32_t index_count(const struct table_view *v) {
    return v->shape.index_count + 1;
}
/* Whether writers keep index `number`. */
static inline int index_is_kept(const struct table_view *v, uint32_t number) {
    return number == 0 ? v->shape.sort.name != NULL : v->index_state[number - 1] != INDEX_DEAD;
}
uint32_t index_kseq(const struct item_head *item, uint32_t number);
/* Encoded keys of a page's item in an index; the partition key is empty if the item is damaged. */
static inline struct bytes index_partition_key(const struct item_head *item, uint32_t number) {
    if (number == 0)
        return (struct bytes){item_key_area(item), item->partition_bytes};
    return item_index_partition(item, number - 1);
}
static inline struct bytes index_sort_key(const struct item_head *item, uint32_t number) {
    if (number == 0)
        return (struct bytes){item_key_area(item) + item->partition_bytes, item->sort_bytes};
    return item_index_sort(item, number - 1);
}
/* hash: of the item's key. Returns 0 if the item is damaged. */
int index_entry_of(const struct table_view *v, uint64_t hash, const struct item_peek *item, uint32_t number,
                   struct index_entry *e);
uint32_t index_peek_kseq(const struct item_peek *item, uint32_t number);
/* Opens an item of the segment. Returns 0 if it is damaged, or lies in no block. */
int index_peek(const struct seg *s, const struct item_head *item, struct item_peek *p);

#endif
