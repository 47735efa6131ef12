/* dynamodb/capacity.h - what a request consumes, in the service's arithmetic.
 *
 * Sources  Developer guide, "DynamoDB on-demand and provisioned capacity": a read unit is 4 KB,
 *          half of one if eventually consistent; a write unit 1 KB. "Using global secondary
 *          indexes": "Write capacity units". Measured: the dynamodb-conformance suite ("index write
 *          capacity").
 * Tests    tests/dynamodb/dynamodb_capacity_test.c
 */
#ifndef LARDER_DYNAMODB_CAPACITY_H
#define LARDER_DYNAMODB_CAPACITY_H

#include "dynamodb/table.h"

/* Whether the request asks for it. */
int capacity_is_wanted(const struct request *q);
/* A read of so many bytes; 0 costs as much as one. */
uint64_t capacity_of_read(uint64_t bytes, int is_consistent);
/* A write that made the new item of the old one; either may be NULL. */
void capacity_of_write(const struct larder_dynamodb *d, const struct larder_table_def *def,
                       const struct larder_item *old, const struct larder_item *new, struct capacity *out);
/* "ConsumedCapacity": {..}, with TOTAL or INDEXES; nothing with NONE. */
void capacity_write(const struct larder_dynamodb *d, const struct larder_table_def *def, const struct capacity *c,
                    struct document_writer *w);
/* What is in it, whether it is asked for or not. */
void capacity_write_object(const struct larder_dynamodb *d, const struct larder_table_def *def,
                           const struct capacity *c, struct document_writer *w);

#endif
