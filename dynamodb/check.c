/* dynamodb/check.c - what the service checks of a request before it looks for the table.
 *
 * Note     The service collects what breaks a constraint, in an order of its own for each
 *          operation. Some parameters are checked earlier, in other words, and then end it:
 *          an empty TableName, a Limit of 0, an enum of UpdateItem.
 * Sources  The dynamodb-conformance suite ("exact error messages", "validation ordering", captured
 *          in eu-west-2 in June 2026) where it says something; else dynalite's suites.
 */
#include "dynamodb/check.h"

#include <stdio.h>

#include "dynamodb/constraint.h"

/* ---- Constraints ----------------------------------------------------------------------------- */

static const struct choice {
    enum request_string string;
    const char *name, *alternatives;
} choices[] = {
    {STRING_RETURN_CAPACITY, "returnConsumedCapacity", "INDEXES, TOTAL, NONE"},
    {STRING_RETURN_VALUES, "returnValues", "ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW"},
    {STRING_RETURN_METRICS, "returnItemCollectionMetrics", "SIZE, NONE"},
    {STRING_RETURN_ON_FAILURE, "returnValuesOnConditionCheckFailure", "ALL_OLD, NONE"},
    {STRING_SELECT, "select", "SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES"},
};

static int breaks_choice(const struct request *q, const struct choice *c) {
    return request_has_string(q, c->string) && !constraint_is_one_of(q->strings[c->string], c->alternatives);
}

static void add_choice(struct constraints *e, const struct request *q, const struct choice *c) {
    if (request_has_string(q, c->string))
        constraint_add_choice(e, q->strings[c->string], c->name, c->alternatives);
}

/* Each of these ends the check. */
static int check_first(const struct request *q, struct failure *f) {
    struct text table = q->strings[STRING_TABLE_NAME];
    if (table.at && !table.bytes)
        return failure_set(f, FAILURE_VALIDATION,
                           "1 validation error detected: Value at 'TableName' " CONSTRAINT
                           "have length greater than or equal to 1");
    if (q->operation == OPERATION_QUERY && request_has_integer(q, INTEGER_LIMIT) && q->integers[INTEGER_LIMIT] < 1)
        return failure_set(f, FAILURE_VALIDATION,
                           "1 validation error detected: Value at 'Limit' " CONSTRAINT
                           "have value greater than or equal to 1");
    return LARDER_OK;
}

static void add_range(struct constraints *e, const struct request *q, enum request_integer integer, const char *name,
                      int64_t least, int64_t most) {
    if (request_has_integer(q, integer))
        constraint_add_range(e, q->integers[integer], name, least, most);
}

static int check_constraints(const struct request *q, struct failure *f) {
    static const uint8_t of_update[] = {1, 0, 2, 3};
    struct constraints e = {.count = 0};
    int is_update = q->operation == OPERATION_UPDATE_ITEM;
    for (size_t i = 0; is_update && i < sizeof of_update / sizeof *of_update; i++)
        if (breaks_choice(q, &choices[of_update[i]])) {
            add_choice(&e, q, &choices[of_update[i]]);
            return constraint_report(&e, f);
        }
    add_choice(&e, q, &choices[0]);
    if (request_has_string(q, STRING_TABLE_NAME))
        constraint_add_name(&e, q->strings[STRING_TABLE_NAME], "tableName");
    else
        constraint_add_null(&e, "tableName");
    if (request_has_string(q, STRING_INDEX_NAME))
        constraint_add_name(&e, q->strings[STRING_INDEX_NAME], "indexName");
    if (q->operation == OPERATION_PUT_ITEM && !request_has(q, MAP_ITEM))
        constraint_add_null(&e, "item");
    if (q->operation != OPERATION_PUT_ITEM && q->operation < OPERATION_QUERY && !request_has(q, MAP_KEY))
        constraint_add_null(&e, "key");
    add_range(&e, q, INTEGER_LIMIT, "limit", 1, INT64_MAX);
    add_range(&e, q, INTEGER_TOTAL_SEGMENTS, "totalSegments", 1, 1000000);
    add_range(&e, q, INTEGER_SEGMENT, "segment", 0, 999999);
    older_add_constraints(&q->older, &e);
    for (size_t i = 1; i < sizeof choices / sizeof *choices; i++)
        add_choice(&e, q, &choices[i]);
    return constraint_report(&e, f);
}

/* ---- Parameters that exclude each other ------------------------------------------------------ */

static const struct expression {
    enum request_string string;
    const char *name;
    int has_values;
} expressions[] = {
    {STRING_UPDATE, "UpdateExpression", 1},
    {STRING_CONDITION, "ConditionExpression", 1},
    {STRING_PROJECTION, "ProjectionExpression", 0},
    {STRING_FILTER, "FilterExpression", 1},
    {STRING_KEY_CONDITION, "KeyConditionExpression", 1},
};
#define EXPRESSIONS (sizeof expressions / sizeof *expressions)

static const uint8_t taken[OPERATION_COUNT] = {
    [OPERATION_GET_ITEM] = 1 << 2,
    [OPERATION_PUT_ITEM] = 1 << 1,
    [OPERATION_DELETE_ITEM] = 1 << 1,
    [OPERATION_UPDATE_ITEM] = 1 << 0 | 1 << 1,
    [OPERATION_QUERY] = 1 << 2 | 1 << 3 | 1 << 4,
    [OPERATION_SCAN] = 1 << 2 | 1 << 3,
};

static void list(char *to, size_t room, const char *name, size_t bytes, const char *between) {
    size_t used = strlen(to);
    snprintf(to + used, room - used, "%s%.*s", used ? between : "", (int)bytes, name);
}

/* KeyConditions do not count. */
static int check_operator(const struct older *o, struct failure *f) {
    uint32_t count = 0;
    if (!(o->given >> OLDER_CONDITIONAL_OPERATOR & 1))
        return LARDER_OK;
    for (uint32_t i = 0; i < o->condition_count; i++)
        count += o->conditions[i].parameter != OLDER_KEY_CONDITIONS;
    if (count > 1)
        return LARDER_OK;
    return failure_set(f, FAILURE_VALIDATION,
                       count ? "ConditionalOperator can only be used when Filter or Expected has two or more elements"
                             : "ConditionalOperator cannot be used without Filter or Expected");
}

static int check_older(const struct request *q, struct failure *f) {
    char older[256] = "", newer[256] = "";
    if (!q->older.given)
        return LARDER_OK;
    for (int i = 0; i < OLDER_COUNT; i++)
        if (q->older.given >> i & 1)
            list(older, sizeof older, older_names[i].at, older_names[i].bytes, ", ");
    for (size_t i = 0; i < EXPRESSIONS; i++)
        if (request_has_string(q, expressions[i].string))
            list(newer, sizeof newer, expressions[i].name, strlen(expressions[i].name), ", ");
    if (newer[0])
        return failure_set(f, FAILURE_VALIDATION,
                           "Can not use both expression and non-expression parameters in the same request: "
                           "Non-expression parameters: {%s} Expression parameters: {%s}",
                           older, newer);
    return check_operator(&q->older, f);
}

static int check_expressions(const struct request *q, struct failure *f) {
    char missing[256] = "";
    unsigned present = 0, have_values = 0, count = 0;
    if (!q->has_names && !request_has(q, MAP_VALUES))
        return LARDER_OK;
    for (size_t i = 0; i < EXPRESSIONS; i++) {
        int is_present = request_has_string(q, expressions[i].string);
        present |= (unsigned)is_present;
        if (!expressions[i].has_values || !(taken[q->operation] >> i & 1))
            continue;
        have_values |= (unsigned)is_present;
        count++;
    }
    for (size_t i = 0; !have_values && i < EXPRESSIONS; i++)
        if (expressions[i].has_values && taken[q->operation] >> i & 1)
            list(missing, sizeof missing, expressions[i].name, strlen(expressions[i].name), " and ");
    if (q->has_names && !present)
        return failure_set(f, FAILURE_VALIDATION,
                           "ExpressionAttributeNames can only be specified when using expressions");
    if (request_has(q, MAP_VALUES) && !have_values)
        return failure_set(f, FAILURE_VALIDATION,
                           "ExpressionAttributeValues can only be specified when using expressions: %s %s null",
                           missing, count > 1 ? "are" : "is");
    return LARDER_OK;
}

/* ---- Values ---------------------------------------------------------------------------------- */

int check_values(const struct request *q, enum request_map map, struct failure *f) {
    const struct values *v = &q->maps[map];
    /* api notes: these three put numbers and duplicates into the frame of a constraint */
    int is_framed = v->problem == VALUES_PROBLEM_OF_NUMBER_OR_SET && q->operation != OPERATION_GET_ITEM &&
                    q->operation < OPERATION_QUERY;
    if (!request_has(q, map) || !v->problem)
        return LARDER_OK;
    if (map == MAP_VALUES)
        return failure_set(f, FAILURE_VALIDATION, "ExpressionAttributeValues contains invalid value: %s for key %.*s",
                           v->message, (int)v->problem_at.bytes, v->problem_at.at);
    if (map == MAP_START_KEY && v->problem != VALUES_PROBLEM_OF_NUMBER_OR_SET)
        return failure_set(f, FAILURE_VALIDATION, "The provided starting key is invalid: %s", v->message);
    return failure_set(f, FAILURE_VALIDATION, "%s%s", is_framed ? "1 validation error detected: " : "", v->message);
}

static int check_returns(const struct request *q, struct failure *f) {
    struct text given = q->strings[STRING_RETURN_VALUES];
    if (q->operation == OPERATION_UPDATE_ITEM || !given.at || constraint_is_one_of(given, "ALL_OLD, NONE"))
        return LARDER_OK;
    return failure_set(f, FAILURE_VALIDATION, "ReturnValues can only be ALL_OLD or NONE");
}

static int check_size(const struct request *q, struct failure *f) {
    for (int i = 0; i < MAP_COUNT; i++) {
        const struct values *v = &q->maps[i];
        if (!request_has(q, i) || v->problem || !(v->is_too_large || v->has_duplicates))
            continue;
        return failure_set(f, FAILURE_VALIDATION, "Item size has exceeded the maximum allowed size");
    }
    return LARDER_OK;
}

/* Select against the projection and the index. */
static int check_select(const struct request *q, struct failure *f) {
    struct text select = q->strings[STRING_SELECT];
    int is_older = q->older.given >> OLDER_ATTRIBUTES_TO_GET & 1;
    int has_projection = is_older || request_has_string(q, STRING_PROJECTION),
        is_query = q->operation == OPERATION_QUERY;
    int is_specific = select.at && text_is(select, TEXT("SPECIFIC_ATTRIBUTES"));
    if (!select.at)
        return LARDER_OK;
    if (has_projection && !is_specific)
        return failure_set(f, FAILURE_VALIDATION, "Cannot specify the %s when choosing to get %.*s",
                           is_older ? "AttributesToGet" : "ProjectionExpression",
                           text_is(select, TEXT("COUNT")) ? 14 : (int)select.bytes,
                           text_is(select, TEXT("COUNT")) ? "only the Count" : select.at);
    if (is_specific && !has_projection)
        return failure_set(f, FAILURE_VALIDATION,
                           "%sMust specify the AttributesToGet or ProjectionExpression when choosing to get "
                           "SPECIFIC_ATTRIBUTES",
                           is_query ? "1 validation error detected: " : "");
    if (text_is(select, TEXT("ALL_PROJECTED_ATTRIBUTES")) && !request_has_string(q, STRING_INDEX_NAME))
        return failure_set(f, FAILURE_VALIDATION,
                           "ALL_PROJECTED_ATTRIBUTES can be used only when %s using an IndexName",
                           is_query ? "Querying" : "Scanning");
    return LARDER_OK;
}

static int check_segments(const struct request *q, struct failure *f) {
    int has_segment = request_has_integer(q, INTEGER_SEGMENT),
        has_total = request_has_integer(q, INTEGER_TOTAL_SEGMENTS);
    if (has_segment && !has_total)
        return failure_set(f, FAILURE_VALIDATION,
                           "The TotalSegments parameter is required but was not present in the request when Segment "
                           "parameter is present");
    if (has_total && !has_segment)
        return failure_set(f, FAILURE_VALIDATION,
                           "The Segment parameter is required but was not present in the request when parameter "
                           "TotalSegments is present");
    if (has_total && q->integers[INTEGER_SEGMENT] >= q->integers[INTEGER_TOTAL_SEGMENTS])
        return failure_set(
            f, FAILURE_VALIDATION,
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: "
            "%lld is not less than TotalSegments: %lld",
            (long long)q->integers[INTEGER_SEGMENT], (long long)q->integers[INTEGER_TOTAL_SEGMENTS]);
    return LARDER_OK;
}

int check_request(const struct request *q, struct failure *f) {
    int r = check_first(q, f);
    if (r || (r = check_constraints(q, f)) || (r = check_older(q, f)) || (r = check_expressions(q, f)))
        return r;
    if ((r = check_values(q, MAP_ITEM, f)) || (r = check_values(q, MAP_KEY, f)))
        return r;
    if ((r = older_check(&q->older, &q->maps[MAP_OLDER], f)))
        return r;
    if ((r = check_returns(q, f)) || (r = check_select(q, f)) || (r = check_segments(q, f)) ||
        (r = check_values(q, MAP_START_KEY, f)))
        return r;
    if (q->operation == OPERATION_QUERY && !request_has_string(q, STRING_KEY_CONDITION) &&
        !(q->older.given >> OLDER_KEY_CONDITIONS & 1))
        return failure_set(f, FAILURE_VALIDATION,
                           "Either the KeyConditions or KeyConditionExpression parameter must be specified in the "
                           "request.");
    return check_size(q, f);
}
