/* dynamodb/index_item.h - what of an item is in an index.
 *
 * Source   Developer guide, "Using global secondary indexes": "Attribute projections", "Read
 *          capacity units"; "Take advantage of sparse indexes".
 * Tests    tests/dynamodb/dynamodb_capacity_test.c, tests/dynamodb/dynamodb_scan_test.c
 */
#ifndef LARDER_DYNAMODB_INDEX_ITEM_H
#define LARDER_DYNAMODB_INDEX_ITEM_H

#include "dynamodb/document.h"

/* The key attributes of an index: of the partition key, then of the sort key. */
static inline uint32_t index_partition_count(const struct larder_index_def *index) {
    return 1 + index->partition_more_count;
}
static inline uint32_t index_key_count(const struct larder_index_def *index) {
    return index_partition_count(index) + (index->sort.name ? 1 + index->sort_more_count : 0);
}
static inline const struct larder_key_def *index_key_at(const struct larder_index_def *index, uint32_t i) {
    uint32_t sort = index_partition_count(index);
    if (i < sort)
        return i ? &index->partition_more[i - 1] : &index->partition;
    return i > sort ? &index->sort_more[i - sort - 1] : &index->sort;
}
/* Whether an item has the index's keys. NULL: no. */
int index_item_is_in(const struct larder_index_def *index, const struct larder_item *item);
/* Whether an index has an attribute, if the item has it. */
int index_item_is_projected(const struct larder_table_def *def, const struct larder_index_def *index, struct text name);
/* The item as the index has it: itself, or made by `b`. LARDER_OK, or a failure of the builder. */
int index_item_project(const struct larder_table_def *def, const struct larder_index_def *index,
                       const struct larder_item *item, struct larder_builder *b, const struct larder_item **out);

#endif
