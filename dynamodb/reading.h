/* dynamodb/reading.h - what Query and Scan share: indexes, start keys, pages as answers.
 *
 * Idea     The engine reads a page; filter and projection are applied to it here, by the copy of
 *          expr/. So the size of all that was read is known, and that is what is charged.
 * Files    query.c, scan.c, scan_index.c
 * Tests    tests/dynamodb/dynamodb_query_test.c
 */
#ifndef LARDER_DYNAMODB_READING_H
#define LARDER_DYNAMODB_READING_H

#include "dynamodb/capacity.h"

#define READING_PAGE_BYTES (1u << 20) /* API reference, Query and Scan: 1 MB, before the filter */

struct reading {
    const struct known_table *table;
    const struct larder_index_def *index; /* NULL: the table itself */
    int is_fetched; /* a local index does not have all that is asked for: items come from the table */
    int is_count;   /* Select is COUNT */
    /* of the page: items, those that the filter left, bytes, and what fetching took of the table */
    uint32_t count;
    uint64_t shown, bytes, fetched_halves;
};

/* Table and index of the request, ConsistentRead, Select and the projection against the index. */
int reading_take(struct larder_dynamodb *d, struct reading *r);
/* Projection and filter against the keys. */
int reading_check(struct larder_dynamodb *d, struct reading *r, int is_query);
/* ExclusiveStartKey has the key attributes of table and index, of their types, and no others. */
int reading_check_start(struct larder_dynamodb *d, const struct reading *r, int is_query);
/* After the engine has read: values of a key condition go by the keys that the index had. It has
 * them still if the definition is current, for no definition comes twice. */
static inline int reading_has_changed(const struct reading *r) {
    return r->index && !larder_table_def_is_current(r->table->def);
}
/* d->page as the answer. `result` is what the engine said of it. */
int reading_answer(struct larder_dynamodb *d, struct reading *r, int result, struct document_writer *w);

/* The steps of it. `item` is as the filter is to see it; the key, or NULL, is where to go on. */
int reading_begin_items(struct larder_dynamodb *d, const struct reading *r, struct document_writer *w);
int reading_show(struct larder_dynamodb *d, struct reading *r, const struct larder_item *item,
                 struct document_writer *w);
void reading_finish(struct larder_dynamodb *d, const struct reading *r, const struct larder_item *key,
                    struct document_writer *w);
/* The key attributes of table and index that an item has; made by d->builder. NULL: no memory. */
const struct larder_item *reading_key(struct larder_dynamodb *d, const struct reading *r,
                                      const struct larder_item *last);

/* A scan of r->index, after all checks: scan_index.c. `result`: as larder_scan()'s if it failed. */
int reading_scan_index(struct larder_dynamodb *d, struct reading *r, struct larder_scan_spec *spec,
                       struct document_writer *w);

#endif
