/* tests/dynamodb/dynamodb_query_test.c - Query and Scan.
 *
 * Goal     Key conditions, order, filters, projections, indexes, pages and Select give what the
 *          service gives, and what it refuses is refused in its words.
 * Source   API reference, Query and Scan. [c] the dynamodb-conformance suite, captured in eu-west-2
 *          in 2026; [d] dynalite's suites, run against the service earlier.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_query, .timeout = 60 * SLOW_FACTOR);

#define SONG(artist, title, rest)                                                                                      \
    {                                                                                                                  \
        "PutItem", "{'TableName':'Songs','Item':{'Artist':{'S':'" artist "'},'Title':{'S':'" title "'}" rest "}}",     \
            200, "{}"                                                                                                  \
    }
#define YEAR(year) ",'Year':{'N':'" year "'}"
#define LENGTH(length) ",'Length':{'N':'" length "'}"
#define A "'Artist':{'S':'a'}"
#define T1 "'Title':{'S':'t1'}"
#define T2 "'Title':{'S':'t2'}"
#define T3 "'Title':{'S':'t3'}"
#define I1 "{" A ",'Label':{'S':'L'}," T1 ",'Year':{'N':'1965'}}"
#define I2 "{" A ",'Length':{'N':'10'}," T2 ",'Year':{'N':'1965'},'extra':{'S':'o'}}"
#define I3 "{" A ",'Length':{'N':'5'}," T3 "}"
#define PUT_ALL                                                                                                        \
    SONG("a", "t1", YEAR("1965") ",'Label':{'S':'L'}"),                                                                \
        SONG("a", "t2", YEAR("1965") LENGTH("10") ",'extra':{'S':'o'}"), SONG("a", "t3", LENGTH("5")),                 \
        SONG("b", "t1", YEAR("1970"))
#define Q(rest) "{'TableName':'Songs'," rest "}"
#define BY_A "'KeyConditionExpression':'Artist = :a','ExpressionAttributeValues':{':a':{'S':'a'}}"
#define BY(condition, values)                                                                                          \
    "'KeyConditionExpression':'" condition "','ExpressionAttributeValues':{':a':{'S':'a'}," values "}"
#define BY_YEAR                                                                                                        \
    "'IndexName':'by-year','KeyConditionExpression':'#y = :y','ExpressionAttributeNames':{'#y':'Year'},"               \
    "'ExpressionAttributeValues':{':y':{'N':'1965'}}"
#define ITEMS(items, count, scanned) "{'Items':[" items "],'Count':" count ",'ScannedCount':" scanned
#define LAST(key) ",'LastEvaluatedKey':{" key "}}"

Test(dynamodb_query, key_conditions_and_order) {
    static const struct row rows[] = {
        PUT_ALL,
        {"Query", Q(BY_A), 200, ITEMS(I1 "," I2 "," I3, "3", "3") "}"},
        {"Query", Q(BY_A ",'ScanIndexForward':false"), 200, ITEMS(I3 "," I2 "," I1, "3", "3") "}"},
        {"Query", Q(BY_A ",'ScanIndexForward':true,'ConsistentRead':true"), 200, ITEMS(I1 "," I2 "," I3, "3", "3") "}"},
        {"Query", Q(BY("Artist = :a AND Title = :t", "':t':{'S':'t2'}")), 200, ITEMS(I2, "1", "1") "}"},
        {"Query", Q(BY("Artist = :a AND Title < :t", "':t':{'S':'t2'}")), 200, ITEMS(I1, "1", "1") "}"},
        {"Query", Q(BY("Artist = :a AND Title <= :t", "':t':{'S':'t2'}")), 200, ITEMS(I1 "," I2, "2", "2") "}"},
        {"Query", Q(BY("Artist = :a AND Title > :t", "':t':{'S':'t2'}")), 200, ITEMS(I3, "1", "1") "}"},
        {"Query", Q(BY("Artist = :a AND Title >= :t", "':t':{'S':'t2'}")), 200, ITEMS(I2 "," I3, "2", "2") "}"},
        /* [c]: the value may stand on the left */
        {"Query", Q(BY("Artist = :a AND :t <= Title", "':t':{'S':'t2'}")), 200, ITEMS(I2 "," I3, "2", "2") "}"},
        {"Query", Q(BY("Title BETWEEN :t AND :u AND Artist = :a", "':t':{'S':'t0'},':u':{'S':'t1'}")), 200,
         ITEMS(I1, "1", "1") "}"},
        {"Query", Q(BY("Artist = :a AND begins_with(Title, :t)", "':t':{'S':'t'}")), 200,
         ITEMS(I1 "," I2 "," I3, "3", "3") "}"},
        {"Query", Q("'KeyConditionExpression':'Artist = :a','ExpressionAttributeValues':{':a':{'S':'none'}}"), 200,
         ITEMS("", "0", "0") "}"},
        /* the local index: by length */
        {"Query", Q("'IndexName':'by-length'," BY_A), 200, ITEMS(I3 "," I2, "2", "2") "}"},
        {"Query",
         Q("'IndexName':'by-length'," BY("Artist = :a AND #l > :l",
                                         "':l':{'N':'7'}") ",'ExpressionAttributeNames':{'#l':'Length'}"),
         200, ITEMS(I2, "1", "1") "}"},
        /* the global index has Label and no others */
        {"Query", Q(BY_YEAR), 200, ITEMS(I1 ",{" A "," T2 ",'Year':{'N':'1965'}}", "2", "2") "}"},
        {"Query", Q(BY_YEAR ",'Select':'ALL_PROJECTED_ATTRIBUTES','ScanIndexForward':false"), 200,
         ITEMS("{" A "," T2 ",'Year':{'N':'1965'}}," I1, "2", "2") "}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_query, filters_projections_and_select) {
    static const struct row rows[] = {
        PUT_ALL,
        {"Query", Q(BY_A ",'FilterExpression':'attribute_exists(extra)'"), 200, ITEMS(I2, "1", "3") "}"},
        {"Query",
         Q(BY("Artist = :a",
              "':l':{'N':'5'}") ",'FilterExpression':'#l = :l','ExpressionAttributeNames':{'#l':'Length'}"),
         200, ITEMS(I3, "1", "3") "}"},
        {"Query", Q(BY_A ",'ProjectionExpression':'Title, extra'"), 200,
         ITEMS("{" T1 "},{" T2 ",'extra':{'S':'o'}},{" T3 "}", "3", "3") "}"},
        {"Query", Q(BY_A ",'ProjectionExpression':'extra','Select':'SPECIFIC_ATTRIBUTES'"), 200,
         ITEMS("{},{'extra':{'S':'o'}},{}", "3", "3") "}"},
        {"Query", Q(BY_A ",'Select':'COUNT'"), 200, "{'Count':3,'ScannedCount':3}"},
        {"Query", Q(BY_A ",'Select':'COUNT','FilterExpression':'attribute_exists(extra)'"), 200,
         "{'Count':1,'ScannedCount':3}"},
        {"Query", Q(BY_A ",'Select':'ALL_ATTRIBUTES'"), 200, ITEMS(I1 "," I2 "," I3, "3", "3") "}"},
        {"Scan", Q("'FilterExpression':'Artist = :a','ExpressionAttributeValues':{':a':{'S':'b'}}"), 200,
         ITEMS("{'Artist':{'S':'b'}," T1 ",'Year':{'N':'1970'}}", "1", "4") "}"},
        {"Scan", Q("'Select':'COUNT'"), 200, "{'Count':4,'ScannedCount':4}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_query, pages) {
    static const struct row rows[] = {
        PUT_ALL,
        {"Query", Q(BY_A ",'Limit':2"), 200, ITEMS(I1 "," I2, "2", "2") LAST(A "," T2)},
        {"Query", Q(BY_A ",'Limit':2,'ExclusiveStartKey':{" A "," T2 "}"), 200, ITEMS(I3, "1", "1") "}"},
        {"Query", Q(BY_A ",'Limit':2,'ScanIndexForward':false,'ExclusiveStartKey':{" A "," T2 "}"), 200,
         ITEMS(I1, "1", "1") "}"},
        /* a limit that was reached, and nothing behind it [d] */
        {"Query", Q(BY_A ",'Limit':3"), 200, ITEMS(I1 "," I2 "," I3, "3", "3") LAST(A "," T3)},
        {"Query", Q(BY_A ",'Limit':4"), 200, ITEMS(I1 "," I2 "," I3, "3", "3") "}"},
        {"Query", Q(BY_A ",'Limit':1,'ExclusiveStartKey':{" A "," T3 "}"), 200, ITEMS("", "0", "0") "}"},
        /* Limit counts before the filter: API reference */
        {"Query", Q(BY_A ",'Limit':1,'FilterExpression':'attribute_exists(extra)'"), 200,
         ITEMS("", "0", "1") LAST(A "," T1)},
        /* of an index: its keys, too */
        {"Query", Q(BY_YEAR ",'Limit':1"), 200, ITEMS(I1, "1", "1") LAST(A "," T1 ",'Year':{'N':'1965'}")},
        {"Query", Q(BY_YEAR ",'Limit':2,'ExclusiveStartKey':{" A "," T1 ",'Year':{'N':'1965'}}"), 200,
         ITEMS("{" A "," T2 ",'Year':{'N':'1965'}}", "1", "1") "}"},
        {"Query", Q("'IndexName':'by-length'," BY_A ",'Limit':1"), 200,
         ITEMS(I3, "1", "1") LAST(A ",'Length':{'N':'5'}," T3)},
    };
    DYNAMODB_RUN(rows);
}

#define CONDITION_OF(text) "'KeyConditionExpression':'" text "','ExpressionAttributeValues':{':a':{'S':'a'}}"
#define START(key) Q(BY_A ",'ExclusiveStartKey':{" key "}")

Test(dynamodb_query, errors) {
    static const struct row rows[] = {
        /* [c] */
        {"Query", "{'TableName':'none'," BY_A "}", 400, NOT_FOUND},
        {"Query", "{'TableName':'Songs'}", 400,
         VALIDATION("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")},
        {"Query", Q("'KeyConditionExpression':'Title = :t','ExpressionAttributeValues':{':t':{'S':'x'}}"), 400,
         VALIDATION("Query condition missed key schema element: Artist")},
        {"Query", Q("'KeyConditionExpression':'extra = :t','ExpressionAttributeValues':{':t':{'S':'x'}}"), 400,
         VALIDATION("Query condition missed key schema element: Artist")},
        {"Query", Q(BY_A ",'ExpressionAttributeNames':{'#unused':'x'}"), 400,
         VALIDATION("Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}")},
        {"Query", Q(BY_A ",'Select':'INVALID_VALUE'"), 400,
         VALIDATION(
             "1 validation error detected: Value `INVALID_VALUE` at `select` failed to satisfy constraint: Member "
             "must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]")},
        {"Query", Q(BY_YEAR ",'ConsistentRead':true"), 400,
         VALIDATION("Consistent reads are not supported on global secondary indexes")},
        {"Query", Q(BY_A ",'Limit':0"), 400,
         VALIDATION(
             "1 validation error detected: Value at `Limit` failed to satisfy constraint: Member must have value "
             "greater than or equal to 1")},
        {"Scan", Q("'Limit':0"), 400,
         VALIDATION("1 validation error detected: Value `0` at `limit` failed to satisfy constraint: Member must have "
                    "value greater than or equal to 1")},
        {"Query", Q(CONDITION_OF("")), 400,
         VALIDATION("Invalid KeyConditionExpression: The expression can not be empty;")},
        {"Query", Q(CONDITION_OF("((Artist = :a))")), 400,
         VALIDATION("Invalid KeyConditionExpression: The expression has redundant parentheses;")},
        {"Query", Q(BY_A ",'FilterExpression':'#missing = :a'"), 400,
         VALIDATION("Invalid FilterExpression: An expression attribute name used in the document path is not defined; "
                    "attribute name: #missing")},
        {"Query", Q(BY_A ",'IndexName':'does_not_exist'"), 400,
         VALIDATION("The table does not have the specified index: does_not_exist")},
        {"Query", Q(BY_A ",'Select':'SPECIFIC_ATTRIBUTES'"), 400,
         VALIDATION(
             "1 validation error detected: Must specify the AttributesToGet or ProjectionExpression when choosing "
             "to get SPECIFIC_ATTRIBUTES")},
        {"Scan", Q("'Select':'SPECIFIC_ATTRIBUTES'"), 400,
         VALIDATION(
             "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")},
        {"Query", Q(BY_A ",'Select':'ALL_ATTRIBUTES','ProjectionExpression':'x'"), 400,
         VALIDATION("Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES")},
        {"Query", Q(BY_A ",'Select':'ALL_PROJECTED_ATTRIBUTES'"), 400,
         VALIDATION("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")},
        {"Query", START("'bad':{'S':'p'}"), 400, VALIDATION("The provided starting key is invalid")},
        /* [d] */
        {"Query", Q(BY_YEAR ",'Select':'ALL_ATTRIBUTES'"), 400,
         INVALID(
             "Select type ALL_ATTRIBUTES is not supported for global secondary index by-year because its projection "
             "type is not ALL")},
        {"Query", Q(BY_YEAR ",'ProjectionExpression':'Label, extra, Title, x'"), 400,
         INVALID("Global secondary index by-year does not project [extra, x]")},
        {"Query", Q(BY_A ",'FilterExpression':'Title = :a'"), 400,
         VALIDATION("Filter Expression can only contain non-primary key attributes: Primary key attribute: Title")},
        {"Query", Q("'KeyConditionExpression':'Artist = :a','ExpressionAttributeValues':{':a':{'N':'1'}}"), 400,
         INVALID("Condition parameter type does not match schema type")},
        {"Query", START("'Artist':{'S':'b'}," T1), 400,
         VALIDATION("The provided starting key is outside query boundaries based on provided conditions")},
        {"Query", Q(BY("Artist = :a AND Title > :t", "':t':{'S':'t2'}") ",'ExclusiveStartKey':{" A "," T1 "}"), 400,
         VALIDATION("The provided starting key does not match the range key predicate")},
        {"Query",
         Q(BY("Artist = :a AND Title > :t", "':t':{'S':'t0'}") ",'ExclusiveStartKey':{'Artist':{'S':'b'}," T1 "}"), 400,
         VALIDATION("The query can return at most one row and cannot be restarted")},
        {"Query", START(A "," T1 ",'x':{'S':'x'}"), 400, VALIDATION("The provided starting key is invalid")},
        {"Query", START(A ",'Title':{'N':'1'}"), 400,
         VALIDATION("The provided starting key is invalid: The provided key element does not match the schema")},
        {"Scan", Q("'ExclusiveStartKey':{" A "}"), 400,
         VALIDATION("The provided starting key is invalid: The provided key element does not match the schema")},
        {"Query", START("'Artist':{},'Title':{}"), 400,
         VALIDATION(
             "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of "
             "the supported datatypes")},
        /* [c] */
        {"Scan", Q("'Segment':0"), 400,
         VALIDATION(
             "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
             "present")},
        {"Scan", Q("'TotalSegments':4"), 400,
         VALIDATION(
             "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
             "present")},
        {"Scan", Q("'Segment':5,'TotalSegments':5"), 400,
         VALIDATION(
             "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not "
             "less than TotalSegments: 5")},
    };
    DYNAMODB_RUN(rows);
}

#define UNITS(units) ",'ConsumedCapacity':{'TableName':'Songs','CapacityUnits':" units "}}"

/* [c]: charged before filter and projection. */
Test(dynamodb_query, capacity) {
    static const struct row rows[] = {
        PUT_ALL,
        {"Query", Q(BY_A ",'Select':'COUNT','ReturnConsumedCapacity':'TOTAL'"), 200,
         "{'Count':3,'ScannedCount':3" UNITS("0.5")},
        {"Query", Q(BY_A ",'Select':'COUNT','ReturnConsumedCapacity':'TOTAL','ConsistentRead':true"), 200,
         "{'Count':3,'ScannedCount':3" UNITS("1.0")},
        {"Query", Q(BY_YEAR ",'Select':'COUNT','ReturnConsumedCapacity':'INDEXES'"), 200,
         "{'Count':2,'ScannedCount':2,'ConsumedCapacity':{'TableName':'Songs','CapacityUnits':0.5,'Table':{'"
         "CapacityUnits'"
         ":0.0},'GlobalSecondaryIndexes':{'by-year':{'CapacityUnits':0.5}}}}"},
    };
    DYNAMODB_RUN(rows);
}

/* A local index without all attributes: what is missing comes from the table (developer guide,
 * "Local secondary indexes"), and each item that is fetched costs a read. */
Test(dynamodb_query, attributes_fetched_through_a_local_index) {
    static const struct larder_index_def index = {.name = "keys-only",
                                                  .is_local = 1,
                                                  .partition = {"p", LARDER_S},
                                                  .sort = {"n", LARDER_N},
                                                  .projection = LARDER_PROJECT_KEYS_ONLY};
    static const struct larder_table_def def = {
        .name = "Local", .partition = {"p", LARDER_S}, .sort = {"s", LARDER_S}, .indexes = &index, .index_count = 1};
#define LOCAL(rest)                                                                                                    \
    "{'TableName':'Local','IndexName':'keys-only','KeyConditionExpression':'p = "                                      \
    ":p','ExpressionAttributeValues':{':p':"                                                                           \
    "{'S':'a'}}" rest "}"
#define KEYS "'n':{'N':'1'},'p':{'S':'a'},'s':{'S':'x'}"
    static const struct row rows[] = {
        {"PutItem", "{'TableName':'Local','Item':{" KEYS ",'z':{'S':'zz'}}}", 200, "{}"},
        {"Query", LOCAL(""), 200, ITEMS("{" KEYS "}", "1", "1") "}"},
        {"Query", LOCAL(",'Select':'ALL_ATTRIBUTES'"), 200, ITEMS("{" KEYS ",'z':{'S':'zz'}}", "1", "1") "}"},
        {"Query", LOCAL(",'ProjectionExpression':'z, n'"), 200, ITEMS("{'n':{'N':'1'},'z':{'S':'zz'}}", "1", "1") "}"},
        {"Query", LOCAL(",'ProjectionExpression':'z','ReturnConsumedCapacity':'INDEXES'"), 200,
         ITEMS("{'z':{'S':'zz'}}", "1",
               "1") ",'ConsumedCapacity':{'TableName':'Local','CapacityUnits':1.0,'Table':"
                    "{'CapacityUnits':0.5},'LocalSecondaryIndexes':{'keys-only':{'CapacityUnits'"
                    ":0.5}}}}"},
    };
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    EXPECT(larder_table_create(f.db, &def), LARDER_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dynamodb_expect(&f, &rows[i]);
    dynamodb_end(&f);
}

static const char *after(const char *text, const char *word) {
    const char *at = strstr(text, word);
    return at ? at + strlen(word) : NULL;
}

/* Follows LastEvaluatedKey to the end, and counts items. */
static int count_all(struct dynamodb_fixture *f, const char *operation, const char *start) {
    struct larder_dynamodb_reply reply;
    char request[1024], key[512] = "";
    int count = 0;
    do {
        snprintf(request, sizeof request, "%s%s%s}", start, key[0] ? ",\"ExclusiveStartKey\":" : "", key);
        EXPECT(larder_dynamodb_call(f->dynamodb, operation, request, strlen(request), &reply), LARDER_OK);
        cr_assert_eq(reply.status, 200, "%s", reply.body);
        count += atoi(after(reply.body, "\"Count\":"));
        const char *last = after(reply.body, "\"LastEvaluatedKey\":");
        snprintf(key, sizeof key, "%.*s", last ? (int)(strrchr(last, '}') - last) : 0, last ? last : "");
    } while (key[0]);
    return count;
}

/* Pages of 1 MB (API reference, Scan), segments that together are the table, each once. */
Test(dynamodb_query, scans_in_pages_and_segments) {
    enum { ITEMS_PUT = 40, BYTES = 60000 };
    struct dynamodb_fixture f;
    struct larder_dynamodb_reply reply;
    char *request = malloc(BYTES + 200), scan[200];
    cr_assert(request);
    dynamodb_begin(&f);
    for (int i = 0; i < ITEMS_PUT; i++) {
        int used =
            snprintf(request, 200, "{\"TableName\":\"Numbers\",\"Item\":{\"pk\":{\"N\":\"%d\"},\"v\":{\"S\":\"", i);
        memset(request + used, 'x', BYTES);
        strcpy(request + used + BYTES, "\"}}}");
        EXPECT(larder_dynamodb_call(f.dynamodb, "PutItem", request, strlen(request), &reply), LARDER_OK);
        cr_assert_eq(reply.status, 200, "%s", reply.body);
    }
    dynamodb_expect(&f, &(struct row){"Scan", "{'TableName':'Numbers','Select':'COUNT'}", 200,
                                      "{'Count':18,'ScannedCount':18,..."});
    cr_assert_eq(count_all(&f, "Scan", "{\"TableName\":\"Numbers\""), ITEMS_PUT);
    cr_assert_eq(count_all(&f, "Scan", "{\"TableName\":\"Numbers\",\"Select\":\"COUNT\",\"Limit\":7"), ITEMS_PUT);
    int count = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(scan, sizeof scan, "{\"TableName\":\"Numbers\",\"Limit\":5,\"Segment\":%d,\"TotalSegments\":3", i);
        count += count_all(&f, "Scan", scan);
    }
    cr_assert_eq(count, ITEMS_PUT);
    dynamodb_end(&f);
    free(request);
}
