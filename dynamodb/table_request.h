/* dynamodb/table_request.h - a request of an operation on tables, read.
 *
 * Job      All parameters that these operations have, in one structure. Parameters that mean
 *          nothing to a cache (Tags, SSESpecification, ..) are skipped, as unknown ones are.
 * Memory   Texts lie in the document. The arrays grow, and are kept from request to request.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#ifndef LARDER_DYNAMODB_TABLE_REQUEST_H
#define LARDER_DYNAMODB_TABLE_REQUEST_H

#include "dynamodb/wire.h"

enum table_operation { TABLE_CREATE, TABLE_DESCRIBE, TABLE_DELETE, TABLE_LIST, TABLE_SET_TTL, TABLE_DESCRIBE_TTL };

/* AttributeName with AttributeType or KeyType; at NULL: absent. */
struct table_attribute {
    struct text name, type;
};

#define TABLE_KEYS_KEPT 3u /* of a key schema: one more than are allowed */

struct table_keys {
    struct table_attribute element[TABLE_KEYS_KEPT];
    uint32_t count; /* of all that were given */
    int is_given;
};

struct table_throughput {
    int is_given, has_read, has_write;
    int64_t read, write;
};

struct table_index {
    int is_local;
    struct text name;
    struct table_keys keys;
    int has_projection, has_included;
    struct text projection;
    uint32_t included, included_count; /* of the request's `included` */
    struct table_throughput throughput;
};

struct table_request {
    struct text table_name, start_name, billing, table_class;
    struct table_attribute *attributes;
    uint32_t attribute_count, attribute_capacity;
    int has_attributes;
    struct table_keys keys;
    struct table_throughput throughput;
    struct table_index *indexes; /* the local ones and the global ones, in the order given */
    uint32_t index_count, index_capacity;
    int has_local, has_global; /* the list was given; it may be empty */
    struct text *included;
    uint32_t included_count, included_capacity;
    int is_protected, has_stream, has_vectors;
    int has_limit;
    int64_t limit;
    int has_ttl, ttl_enabled; /* ttl_enabled -1: absent */
    struct text ttl_attribute;
};

/* Zero it before the first. LARDER_OK; LARDER_E_INVAL, LARDER_E_NO_MEMORY with wire->failure
 * set. */
int table_request_read(struct table_request *q, enum table_operation operation, struct wire *wire);
void table_request_free(struct table_request *q);

#endif
