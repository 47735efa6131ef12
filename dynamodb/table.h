/* dynamodb/table.h - tables by name, and keys and items against their schema.
 *
 * Tests    tests/dynamodb/dynamodb_item_test.c
 */
#ifndef LARDER_DYNAMODB_TABLE_H
#define LARDER_DYNAMODB_TABLE_H

#include "dynamodb/context.h"

/* The table that the request names. *out lives until the request ends. Also with LARDER_E_INVAL the
 * failure is set: ResourceNotFoundException and others. */
int table_take(struct larder_dynamodb *d, const struct known_table **out);
/* Opens a table for this request alone. LARDER_E_NO_TABLE and other results of the engine's, with
 * its message and no failure set. */
int table_find(struct larder_dynamodb *d, struct text name, const struct known_table **out);
/* After LARDER_E_NO_TABLE: a table was dropped; the next table_take() looks again. */
void table_forget_all(struct larder_dynamodb *d);
/* At the end of a request: gives back what was replaced. */
void table_free_replaced(struct larder_dynamodb *d);

static inline uint32_t table_key_count(const struct larder_table_def *def) {
    return def->sort.name ? 2 : 1;
}
/* The key attributes of a table (index NULL) or an index: of the partition key, then of the sort
 * key. */
struct table_schema {
    const struct larder_key_def *key[2 * LARDER_KEY_ATTRIBUTES_MAX];
    uint32_t partition_count, count;
};
struct table_schema table_schema(const struct larder_table_def *def, const struct larder_index_def *index);
/* "S", "NULL", .. */
const char *table_type_name(enum larder_type type);

/* The key of a request: exactly the key attributes, of the right types and sizes. */
int table_key(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_item *item,
              struct larder_key *out);
/* A value of a key attribute: neither empty nor too long. */
int table_check_key_size(struct larder_dynamodb *d, const char *name, const struct larder_value *value, int is_sort);
/* An item to put: its keys, and those of indexes as far as it has them. */
int table_check_item(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_item *item);
/* What an expression may not do with keys. */
int table_check_expression(struct larder_dynamodb *d, const struct larder_table_def *def, const struct expr *e);
/* The same of a filter: that of a query must not name the keys that are queried, those of the table
 * or of `queried`. */
int table_check_filter(struct larder_dynamodb *d, const struct larder_table_def *def,
                       const struct larder_index_def *queried, const struct expr *e, int is_query);
/* The service's words for the engine's, of what an update made. */
const char *table_words_of_update(const struct larder_table_def *def, const char *said);
/* An update that sets an index's key to a value of a wrong type, or an empty one; its values are
 * bound. */
int table_check_update(struct larder_dynamodb *d, const struct larder_table_def *def, const struct expr *update);

#endif
