/* cli/index_keys.h - the key attributes of an index, one after the other. */
#ifndef LARDER_CLI_INDEX_KEYS_H
#define LARDER_CLI_INDEX_KEYS_H

#include "larder.h"

/* Those of the partition key; then those of the sort key, up to index_keys_count(). */
static inline uint32_t index_keys_partition(const struct larder_index_def *index) {
    return 1 + index->partition_more_count;
}
static inline uint32_t index_keys_count(const struct larder_index_def *index) {
    return index_keys_partition(index) + (index->sort.name != NULL ? 1 + index->sort_more_count : 0);
}
static inline const struct larder_key_def *index_keys_at(const struct larder_index_def *index, uint32_t i) {
    uint32_t sort = index_keys_partition(index);
    if (i < sort)
        return i > 0 ? &index->partition_more[i - 1] : &index->partition;
    return i > sort ? &index->sort_more[i - sort - 1] : &index->sort;
}

#endif
