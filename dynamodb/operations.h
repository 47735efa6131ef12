/* dynamodb/operations.h - the operations.
 *
 * Job      Each is called with a request that was read and checked as far as it can be without the
 *          table, and its expressions (prepared.h). It writes the answer's members; the braces
 *          around them are call.c's.
 * Results  LARDER_OK; LARDER_E_INVAL with the failure set: then what was written is dropped.
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#ifndef LARDER_DYNAMODB_OPERATIONS_H
#define LARDER_DYNAMODB_OPERATIONS_H

#include "dynamodb/table.h"

int operation_get_item(struct larder_dynamodb *d, struct document_writer *w);
int operation_put_item(struct larder_dynamodb *d, struct document_writer *w);
int operation_delete_item(struct larder_dynamodb *d, struct document_writer *w);
int operation_update_item(struct larder_dynamodb *d, struct document_writer *w);
int operation_query(struct larder_dynamodb *d, struct document_writer *w);
int operation_scan(struct larder_dynamodb *d, struct document_writer *w);
int operation_batch_get_item(struct larder_dynamodb *d, struct document_writer *w);
int operation_batch_write_item(struct larder_dynamodb *d, struct document_writer *w);
int operation_transact_get_items(struct larder_dynamodb *d, struct document_writer *w);
int operation_transact_write_items(struct larder_dynamodb *d, struct document_writer *w);
int operation_create_table(struct larder_dynamodb *d, struct document_writer *w);
int operation_update_table(struct larder_dynamodb *d, struct document_writer *w);
int operation_tag_resource(struct larder_dynamodb *d, struct document_writer *w);
int operation_untag_resource(struct larder_dynamodb *d, struct document_writer *w);
int operation_list_tags(struct larder_dynamodb *d, struct document_writer *w);
int operation_describe_table(struct larder_dynamodb *d, struct document_writer *w);
int operation_delete_table(struct larder_dynamodb *d, struct document_writer *w);
int operation_list_tables(struct larder_dynamodb *d, struct document_writer *w);
int operation_update_ttl(struct larder_dynamodb *d, struct document_writer *w);
int operation_describe_ttl(struct larder_dynamodb *d, struct document_writer *w);
int operation_describe_limits(struct larder_dynamodb *d, struct document_writer *w);
int operation_describe_endpoints(struct larder_dynamodb *d, struct document_writer *w);

#endif
