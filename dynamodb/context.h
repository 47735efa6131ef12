/* dynamodb/context.h - struct larder_dynamodb, and what operations find in it.
 *
 * Files    call.c makes and frees it. Everything in it belongs to the thread that calls.
 * Tests    tests/dynamodb/dynamodb_item_test.c
 */
#ifndef LARDER_DYNAMODB_CONTEXT_H
#define LARDER_DYNAMODB_CONTEXT_H

#include "dynamodb/batch.h"
#include "dynamodb/json_reader.h"
#include "dynamodb/json_writer.h"
#include "dynamodb/request.h"
#include "dynamodb/shape.h"
#include "dynamodb/table_request.h"
#include "dynamodb/transact.h"
#include "larder_dynamodb.h"

/* A table that was met, with its definition: table.h. */
struct known_table {
    struct known_table *next; /* in a list of those that were replaced */
    struct larder_table *handle;
    const struct larder_table_def *def;
    uint32_t opened; /* another number for each that was opened */
    char name[];
};

#define KNOWN_TABLES 16u /* by their names' hash; a power of 2 */
#define KNOWN_EXPRESSIONS 256u

struct larder_dynamodb {
    struct larder *db;
    struct priv *priv; /* of prepared expressions */
    struct json_reader reader;
    struct json_writer writer;
    struct json_reader settings_reader; /* of a table's settings: settings.h */
    struct json_writer settings_writer;
    struct failure failure;
    const struct larder_item *failure_item;       /* of a ConditionalCheckFailedException */
    const struct failure_reason *failure_reasons; /* of a TransactionCanceledException */
    uint32_t failure_reason_count;
    struct request request; /* of an operation on items */
    struct table_request tables_request;
    struct batch batch;
    struct transact transact;
    struct expressions expressions;
    struct larder_page *page, *other_page;
    struct larder_builder *no_values_builder, *builder;
    const struct larder_item *no_values; /* an item without attributes */
    char *key;                           /* of an expression that is looked for: prepared.c */
    size_t key_room;
    struct larder_value *bound; /* room for the values of an expression */
    uint32_t bound_capacity;
    void *projected; /* room for a projected item */
    size_t projected_bytes;
    struct known_table *tables[KNOWN_TABLES]; /* NULL: an empty place */
    struct known_table *replaced_tables;      /* by this request, which may use them still */
    uint32_t tables_opened;
    struct shapes get_shapes, query_shapes;
    struct prepared *prepared[KNOWN_EXPRESSIONS];
    struct prepared *replaced; /* by this request, which may use them still: a list */
};

/* The failure of an engine's call: LARDER_E_INVAL with the failure set. */
static inline int context_fail(struct larder_dynamodb *d, int result) {
    return failure_of_engine(&d->failure, d->db, result);
}

#endif
