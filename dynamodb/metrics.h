/* dynamodb/metrics.h - ItemCollectionMetrics of a write.
 *
 * Source   API reference, ItemCollectionMetrics: only tables with local indexes have it. A
 *          collection's size is an estimate, which the service gives as a range of GB.
 * Tests    tests/dynamodb/dynamodb_capacity_test.c
 */
#ifndef LARDER_DYNAMODB_METRICS_H
#define LARDER_DYNAMODB_METRICS_H

#include "dynamodb/context.h"

/* Whether the request asks for it, and the table has it. */
int metrics_are_wanted(const struct request *q, const struct larder_table_def *def);
/* {"ItemCollectionKey": .., "SizeEstimateRangeGB": ..} of a partition. */
void metrics_write_object(struct larder_dynamodb *d, const struct larder_table_def *def,
                          const struct larder_value *partition, struct document_writer *w);
/* The same as a member of the answer, if it is wanted. */
void metrics_write(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_value *partition,
                   struct document_writer *w);

#endif
