/* dynamodb/describe.h - a table as the service describes it.
 *
 * Job      Everything that the engine knows of the table. What a table of the service has besides
 *          (a creation time, an id, its billing mode) is not kept; dynamodb/README.md lists it.
 * Cost     The number and bytes of items are counted: a walk over the table.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#ifndef LARDER_DYNAMODB_DESCRIBE_H
#define LARDER_DYNAMODB_DESCRIBE_H

#include "dynamodb/context.h"

/* TableName of a request on a table: present, of an allowed length. LARDER_E_INVAL with the failure
 * set. */
int describe_check_name(struct larder_dynamodb *d);
/* The table that the request names: describe_check_name(), its characters, whether there is one. */
int describe_open(struct larder_dynamodb *d, struct larder_table **table, const struct larder_table_def **def);
/* The request's table as a member of the answer, with this status. */
int describe_named(struct larder_dynamodb *d, const char *member, const char *status, struct document_writer *w);

#endif
