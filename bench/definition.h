/* bench/definition.h - the data set's indexes as larder.h defines them. */
#ifndef LARDER_BENCH_DEFINITION_H
#define LARDER_BENCH_DEFINITION_H

#include <string.h>

#include "bench/dataset.h"
#include "larder.h"

static inline void definition_of_indexes(struct larder_index_def index[INDEX_COUNT]) {
    memset(index, 0, INDEX_COUNT * sizeof *index);
    for (int i = 0; i < INDEX_COUNT; i++) {
        index[i].name = dataset_index_names[i];
        index[i].partition = (struct larder_key_def){dataset_index_attributes[i][0], LARDER_S};
        index[i].sort = (struct larder_key_def){dataset_index_attributes[i][1], LARDER_S};
    }
}

#endif
