/* dynamodb/table_request.h - a request of an operation on tables, read.
 *
 * Job      All parameters that these operations have, in one structure. Parameters that nobody
 *          knows are skipped.
 * Memory   Texts lie in the document. The arrays grow, and are kept from request to request.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#ifndef LARDER_DYNAMODB_TABLE_REQUEST_H
#define LARDER_DYNAMODB_TABLE_REQUEST_H

#include "dynamodb/wire.h"

enum table_operation {
    TABLE_CREATE,
    TABLE_UPDATE,
    TABLE_DESCRIBE,
    TABLE_DELETE,
    TABLE_LIST,
    TABLE_SET_TTL,
    TABLE_DESCRIBE_TTL,
    TABLE_TAG,
    TABLE_UNTAG,
    TABLE_LIST_TAGS
};

/* AttributeName with AttributeType or KeyType; at NULL: absent. */
struct table_attribute {
    struct text name, type;
};

#define TABLE_KEYS_KEPT (2u * LARDER_KEY_ATTRIBUTES_MAX + 1u) /* of a key schema: one more than are allowed */

struct table_keys {
    struct table_attribute element[TABLE_KEYS_KEPT];
    uint32_t count; /* of all that were given */
    int is_given;
};

#define TABLE_UNITS_MAX INT64_C(1000000000000)

/* ProvisionedThroughput, OnDemandThroughput, WarmThroughput: units for reads and for writes. */
struct table_throughput {
    int is_given, has_read, has_write;
    int64_t read, write;
};

/* StreamSpecification; is_enabled -1: absent. */
struct table_stream {
    int is_given, is_enabled;
    struct text view;
};

/* SSESpecification; is_enabled -1: absent. */
struct table_encryption {
    int is_given, is_enabled;
    struct text type, key;
};

#define TABLE_TAGS_MAX 50u /* developer guide, "Tagging restrictions" */

struct table_tag {
    struct text key, value;
};

/* What UpdateTable does with an index; of CreateTable all are created. */
enum table_index_change { TABLE_INDEX_CREATE, TABLE_INDEX_UPDATE, TABLE_INDEX_DELETE };

struct table_index {
    int is_local;
    struct text name;
    struct table_keys keys;
    int has_projection, has_included;
    struct text projection;
    uint32_t included, included_count; /* of the request's `included` */
    struct table_throughput throughput, on_demand, warm;
    enum table_index_change change;
    uint32_t change_count; /* of UpdateTable: how many kinds were given for it; one is allowed */
};

struct table_request {
    struct text table_name, start_name, billing, table_class;
    struct table_attribute *attributes;
    uint32_t attribute_count, attribute_capacity;
    int has_attributes;
    struct table_keys keys;
    struct table_throughput throughput, on_demand, warm;
    struct table_index *indexes; /* the local ones and the global ones, in the order given */
    uint32_t index_count, index_capacity;
    int has_local, has_global; /* the list was given; it may be empty */
    struct text *included;
    uint32_t included_count, included_capacity;
    struct table_stream stream;
    struct table_encryption encryption;
    int is_protected; /* -1: absent */
    int has_vectors, has_replicas;
    struct text arn;
    int has_tags;
    struct table_tag *tags; /* of UntagResource: their keys */
    uint32_t tag_count, tag_capacity;
    int has_limit;
    int64_t limit;
    int has_ttl, ttl_enabled; /* ttl_enabled -1: absent */
    struct text ttl_attribute;
};

/* Zero it before the first. LARDER_OK; LARDER_E_INVAL, LARDER_E_NO_MEMORY with wire->failure
 * set. */
int table_request_read(struct table_request *q, enum table_operation operation, struct wire *wire);
void table_request_free(struct table_request *q);

/* Parts that are kept in a table's settings, too (settings.h). LARDER_OK, or
 * LARDER_NOT_FOUND: null. */
int table_request_read_pair(struct table_throughput *t, struct wire *wire);
int table_request_read_tag(struct table_tag *tag, struct wire *wire);

#endif
