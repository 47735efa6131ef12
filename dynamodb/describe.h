/* dynamodb/describe.h - a table as the service describes it.
 *
 * Job      Everything that the engine knows of the table, and its settings (settings.h): those that
 *          CreateTable and UpdateTable were given, an id, the creation time. A table that was made
 *          without them has none, and is on demand.
 * Cost     The number and bytes of items are counted: a walk over the table.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#ifndef LARDER_DYNAMODB_DESCRIBE_H
#define LARDER_DYNAMODB_DESCRIBE_H

#include "dynamodb/constraint.h"
#include "dynamodb/context.h"

struct settings;

/* TableName of a request on a table: present, of an allowed length. LARDER_E_INVAL with the failure
 * set. */
int describe_check_name(struct larder_dynamodb *d);
/* The table that the request names: describe_check_name(), its characters, whether there is one. */
int describe_open(struct larder_dynamodb *d, struct larder_table **table, const struct larder_table_def **def);
/* The request's table as a member of the answer, with this status. */
int describe_named(struct larder_dynamodb *d, const char *member, const char *status, struct document_writer *w);

/* Changes a table's settings: `change` is called with those that it has, and again if others
 * changed them meanwhile. LARDER_OK; LARDER_E_INVAL with the failure set, as `change` has it. */
typedef int describe_changer(struct larder_dynamodb *d, struct settings *s, const void *arg);
int describe_change(struct larder_dynamodb *d, struct larder_table *table, describe_changer *change, const void *arg);

/* Of settings in a request, as CreateTable and UpdateTable check them. */
void describe_check_choices(struct constraints *c, const struct table_request *q);
int describe_check_units(struct larder_dynamodb *d, const struct table_throughput *t);
int describe_check_encryption(struct larder_dynamodb *d);

#endif
