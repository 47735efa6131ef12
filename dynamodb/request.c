/* dynamodb/request.c - a request of an item operation, read. See request.h.
 *
 * Sources  API reference: the request parameters of each operation.
 */
#include "dynamodb/request.h"

#include <stdlib.h>

#define GET (1u << OPERATION_GET_ITEM)
#define PUT (1u << OPERATION_PUT_ITEM)
#define DELETE (1u << OPERATION_DELETE_ITEM)
#define UPDATE (1u << OPERATION_UPDATE_ITEM)
#define QUERY (1u << OPERATION_QUERY)
#define SCAN (1u << OPERATION_SCAN)
#define WRITES (PUT | DELETE | UPDATE)
#define READS (GET | QUERY | SCAN)
#define ALL (WRITES | READS)

enum form { FORM_STRING, FORM_BOOLEAN, FORM_INTEGER, FORM_MAP, FORM_NAMES, FORM_OLDER };

/* Frequent ones first. */
static const struct parameter {
    struct text name;
    enum form form;
    uint8_t number; /* of its form's enum */
    uint8_t operations;
} parameters[] = {
    {TEXT("TableName"), FORM_STRING, STRING_TABLE_NAME, ALL},
    {TEXT("Key"), FORM_MAP, MAP_KEY, GET | DELETE | UPDATE},
    {TEXT("Item"), FORM_MAP, MAP_ITEM, PUT},
    {TEXT("ConsistentRead"), FORM_BOOLEAN, BOOLEAN_CONSISTENT_READ, READS},
    {TEXT("KeyConditionExpression"), FORM_STRING, STRING_KEY_CONDITION, QUERY},
    {TEXT("UpdateExpression"), FORM_STRING, STRING_UPDATE, UPDATE},
    {TEXT("ExpressionAttributeValues"), FORM_MAP, MAP_VALUES, WRITES | QUERY | SCAN},
    {TEXT("ExpressionAttributeNames"), FORM_NAMES, 0, ALL},
    {TEXT("ConditionExpression"), FORM_STRING, STRING_CONDITION, WRITES},
    {TEXT("FilterExpression"), FORM_STRING, STRING_FILTER, QUERY | SCAN},
    {TEXT("ProjectionExpression"), FORM_STRING, STRING_PROJECTION, READS},
    {TEXT("IndexName"), FORM_STRING, STRING_INDEX_NAME, QUERY | SCAN},
    {TEXT("Limit"), FORM_INTEGER, INTEGER_LIMIT, QUERY | SCAN},
    {TEXT("ExclusiveStartKey"), FORM_MAP, MAP_START_KEY, QUERY | SCAN},
    {TEXT("ScanIndexForward"), FORM_BOOLEAN, BOOLEAN_SCAN_FORWARD, QUERY},
    {TEXT("Select"), FORM_STRING, STRING_SELECT, QUERY | SCAN},
    {TEXT("Segment"), FORM_INTEGER, INTEGER_SEGMENT, SCAN},
    {TEXT("TotalSegments"), FORM_INTEGER, INTEGER_TOTAL_SEGMENTS, SCAN},
    {TEXT("ReturnValues"), FORM_STRING, STRING_RETURN_VALUES, WRITES},
    {TEXT("ReturnConsumedCapacity"), FORM_STRING, STRING_RETURN_CAPACITY, ALL},
    {TEXT("ReturnItemCollectionMetrics"), FORM_STRING, STRING_RETURN_METRICS, WRITES},
    {TEXT("ReturnValuesOnConditionCheckFailure"), FORM_STRING, STRING_RETURN_ON_FAILURE, WRITES},
    {TEXT("AttributesToGet"), FORM_OLDER, OLDER_ATTRIBUTES_TO_GET, READS},
    {TEXT("AttributeUpdates"), FORM_OLDER, OLDER_ATTRIBUTE_UPDATES, UPDATE},
    {TEXT("Expected"), FORM_OLDER, OLDER_EXPECTED, WRITES},
    {TEXT("QueryFilter"), FORM_OLDER, OLDER_QUERY_FILTER, QUERY},
    {TEXT("ScanFilter"), FORM_OLDER, OLDER_SCAN_FILTER, SCAN},
    {TEXT("ConditionalOperator"), FORM_OLDER, OLDER_CONDITIONAL_OPERATOR, ALL & ~GET},
    {TEXT("KeyConditions"), FORM_OLDER, OLDER_KEY_CONDITIONS, QUERY},
};

int request_init(struct request *q, struct larder *db) {
    for (int i = 0; i < MAP_COUNT; i++)
        if ((i == MAP_VALUES ? larder_builder_new_values : larder_builder_new)(db, &q->maps[i].builder) != LARDER_OK)
            return LARDER_E_NO_MEMORY;
    return LARDER_OK;
}

void request_free(struct request *q) {
    for (int i = 0; i < MAP_COUNT; i++) {
        values_free(&q->maps[i]);
        larder_builder_free(q->maps[i].builder);
    }
    free(q->names);
    older_free(&q->older);
}

int request_may_have_duplicates(const struct request *q) {
    if (q->older.given)
        return 1;
    for (int i = 0; i < MAP_COUNT; i++)
        if (request_has(q, i) && (q->maps[i].has_duplicates || q->maps[i].problem))
            return 1;
    return 0;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static struct expr_name *take_name(struct request *q) {
    if (q->name_count == q->name_capacity) {
        uint32_t capacity = q->name_capacity ? 2 * q->name_capacity : 16;
        struct expr_name *names = realloc(q->names, capacity * sizeof *names);
        if (!names)
            return NULL;
        q->names = names;
        q->name_capacity = capacity;
    }
    return &q->names[q->name_count++];
}

int request_add_name(struct request *q, struct text placeholder, struct text name) {
    struct expr_name *place = take_name(q);
    if (!place)
        return LARDER_E_NO_MEMORY;
    *place = (struct expr_name){
        {(const uint8_t *)placeholder.at, placeholder.bytes}, {(const uint8_t *)name.at, name.bytes}, 0};
    return LARDER_OK;
}

/* The place of a placeholder: the one that it has already, or a new one. */
static struct expr_name *place_of(struct request *q, struct text placeholder) {
    for (uint32_t i = 0; i < q->name_count; i++) {
        struct bytes known = q->names[i].placeholder;
        if (known.len == placeholder.bytes && memcmp(known.at, placeholder.at, known.len) == 0)
            return &q->names[i];
    }
    return take_name(q);
}

int request_read_names(struct request *q, struct wire *w) {
    struct text placeholder, name;
    int r = wire_map(w, "java.lang.String");
    q->has_names = 0;
    q->name_count = 0;
    if (r)
        return r;
    q->has_names = 1;
    while ((r = wire_result(w, document_member(w->reader, &placeholder))) == LARDER_OK) {
        if ((r = wire_string(w, &name)) < 0)
            return r;
        struct expr_name *place = r == LARDER_OK ? place_of(q, placeholder) : NULL;
        if (r == LARDER_OK && !place)
            return wire_result(w, LARDER_E_NO_MEMORY);
        if (place)
            *place = (struct expr_name){
                {(const uint8_t *)placeholder.at, placeholder.bytes}, {(const uint8_t *)name.at, name.bytes}, 0};
    }
    return r < 0 ? r : LARDER_OK;
}

int request_append_names(struct request *q, struct wire *w, struct expr_name **names, uint32_t *count,
                         uint32_t *capacity) {
    int r = request_read_names(q, w);
    for (uint32_t i = 0; r >= 0 && i < q->name_count; i++) {
        if (wire_grow(w, names, *count, capacity, sizeof **names))
            return LARDER_E_NO_MEMORY;
        (*names)[(*count)++] = q->names[i];
    }
    return r;
}

/* ---- The request ----------------------------------------------------------------------------- */

static const struct parameter *parameter_of(enum operation operation, struct text name) {
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (parameters[i].operations >> operation & 1 && text_is(name, parameters[i].name))
            return &parameters[i];
    return NULL;
}

/* null stands for nothing, also after a value. */
static int read_parameter(struct request *q, struct wire *w, const struct parameter *p) {
    unsigned bit = 1u << p->number;
    int r;
    switch (p->form) {
    case FORM_STRING:
        q->strings[p->number].at = NULL;
        return wire_string(w, &q->strings[p->number]);
    case FORM_BOOLEAN:
        q->booleans[p->number] = -1;
        return wire_boolean(w, &q->booleans[p->number]);
    case FORM_INTEGER:
        r = wire_integer(w, &q->integers[p->number]);
        q->has_integers = r == LARDER_OK ? q->has_integers | bit : q->has_integers & ~bit;
        return r;
    case FORM_MAP:
        r = values_read(&q->maps[p->number], w);
        q->has_maps = r == LARDER_OK ? q->has_maps | bit : q->has_maps & ~bit;
        return r;
    case FORM_NAMES:
        return request_read_names(q, w);
    default:
        return older_read(&q->older, (enum older_parameter)p->number, &q->maps[MAP_OLDER], w);
    }
}

void request_forget(struct request *q) {
    memset(q->strings, 0, sizeof q->strings);
    for (int i = 0; i < BOOLEAN_COUNT; i++)
        q->booleans[i] = -1;
    q->has_integers = q->has_maps = 0;
    q->values_map = MAP_VALUES;
    older_forget(&q->older);
    q->has_names = 0;
    q->name_count = 0;
}

int request_read(struct request *q, enum operation operation, struct wire *w) {
    struct text name;
    q->operation = operation;
    request_forget(q);
    if (document_kind(w->reader) != DOCUMENT_OBJECT)
        return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", "");
    int r = wire_result(w, document_begin(w->reader));
    while (r >= 0 && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        const struct parameter *p = parameter_of(operation, name);
        r = p ? read_parameter(q, w, p) : wire_skip(w);
    }
    return r < 0 ? r : older_end(&q->older, &q->maps[MAP_OLDER], w);
}
