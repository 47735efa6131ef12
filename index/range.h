/* index/range.h - the sort keys of a query, as two places in the order of entries.
 *
 * Job      Checks the operator and its values against the index's sort key and encodes them. An
 *          ascending query begins at `from` and ends before `to`; a descending one begins before
 *          `to` and ends at `from`.
 * Tests    tests/api/query_test.c, tests/api/query_join_test.c
 */
#ifndef LARDER_INDEX_RANGE_H
#define LARDER_INDEX_RANGE_H

#include "core/item/item.h"
#include "index/leaf.h"

struct range {
    struct leaf_cut from, to;
    size_t from_key_bytes; /* of from_key, with any operator but ANY */
    uint8_t from_key[LEAF_KEY_BYTES_MAX], to_key[LEAF_KEY_BYTES_MAX];
};

/* LARDER_OK or LARDER_E_INVAL with a message. */
int range_of_query(const struct item_key_attr *sort, const struct larder_query_spec *spec, struct range *r);

#endif
