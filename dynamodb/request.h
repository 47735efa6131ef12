/* dynamodb/request.h - a request of an item operation, read.
 *
 * Job      All parameters that item operations have, in one structure: an operation looks at those
 *          that it takes. Others, and parameters that nobody knows, are skipped, as the service
 *          does.
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#ifndef LARDER_DYNAMODB_REQUEST_H
#define LARDER_DYNAMODB_REQUEST_H

#include "dynamodb/older.h"
#include "expr/expr.h"

enum operation {
    OPERATION_GET_ITEM,
    OPERATION_PUT_ITEM,
    OPERATION_DELETE_ITEM,
    OPERATION_UPDATE_ITEM,
    OPERATION_QUERY,
    OPERATION_SCAN,
    OPERATION_COUNT
};

enum request_string {
    STRING_TABLE_NAME,
    STRING_INDEX_NAME,
    STRING_UPDATE,
    STRING_CONDITION,
    STRING_KEY_CONDITION,
    STRING_FILTER,
    STRING_PROJECTION,
    STRING_RETURN_VALUES,
    STRING_RETURN_CAPACITY,
    STRING_RETURN_METRICS,
    STRING_RETURN_ON_FAILURE,
    STRING_SELECT,
    STRING_COUNT
};
enum request_boolean { BOOLEAN_CONSISTENT_READ, BOOLEAN_SCAN_FORWARD, BOOLEAN_COUNT };
enum request_integer { INTEGER_LIMIT, INTEGER_SEGMENT, INTEGER_TOTAL_SEGMENTS, INTEGER_COUNT };
enum request_map { MAP_ITEM, MAP_KEY, MAP_START_KEY, MAP_VALUES, MAP_OLDER, MAP_COUNT };
/* The answer of a transaction names the units also by kind. */
enum capacity_kind { CAPACITY_PLAIN, CAPACITY_OF_READS, CAPACITY_OF_WRITES };
/* What a request consumes, in halves of units: capacity.h. */
struct capacity {
    enum capacity_kind kind;
    uint64_t table, indexes[LARDER_INDEXES_MAX];
};

struct request {
    enum operation operation;
    struct text strings[STRING_COUNT]; /* at NULL: absent */
    int booleans[BOOLEAN_COUNT];       /* -1: absent */
    int64_t integers[INTEGER_COUNT];
    unsigned has_integers, has_maps; /* a bit for each */
    enum request_map values_map;     /* of the expressions: MAP_VALUES, or MAP_OLDER */
    struct older older;
    struct values maps[MAP_COUNT];
    int has_names;
    struct expr_name *names; /* ExpressionAttributeNames */
    uint32_t name_count, name_capacity;
};

static inline int request_has(const struct request *q, enum request_map map) {
    return q->has_maps >> map & 1;
}
static inline int request_has_integer(const struct request *q, enum request_integer integer) {
    return q->has_integers >> integer & 1;
}
static inline int request_has_string(const struct request *q, enum request_string string) {
    return q->strings[string].at != NULL;
}

/* Makes builders. Zero the request before. LARDER_OK, LARDER_E_NO_MEMORY. */
int request_init(struct request *q, struct larder *db);
void request_free(struct request *q);
/* Reads a whole document. LARDER_OK; LARDER_E_INVAL, LARDER_E_NO_MEMORY with wire->failure set. */
int request_read(struct request *q, enum operation operation, struct wire *wire);
/* Sets all parameters to absent. */
void request_forget(struct request *q);
/* Reads ExpressionAttributeNames into it. As request_read(), and LARDER_NOT_FOUND: null. */
int request_read_names(struct request *q, struct wire *wire);
/* The same, and appends them to an array of wire_grow(). q keeps placeholders apart. */
int request_append_names(struct request *q, struct wire *wire, struct expr_name **names, uint32_t *count,
                         uint32_t *capacity);
/* One more placeholder; LARDER_E_NO_MEMORY. */
int request_add_name(struct request *q, struct text placeholder, struct text name);
/* Some map of it gave a name twice, or may have: after a problem nothing is built, so nothing is
 * noticed. Read it again, without those (json_once.h). */
int request_may_have_duplicates(const struct request *q);

#endif
