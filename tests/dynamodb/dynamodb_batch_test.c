/* tests/dynamodb/dynamodb_batch_test.c - BatchGetItem and BatchWriteItem.
 *
 * Goal     Many items of several tables are read and written; what is refused changes nothing.
 * Source   [d] dynalite's suites (batchGetItem, batchWriteItem), run against the service; [a] API
 *          reference of both.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_batch, .timeout = 30 * SLOW_FACTOR);

#define PUT(pk) "{'PutRequest':{'Item':{'pk':{'S':'" pk "'},'v':{'N':'1'}}}}"
#define DELETE(pk) "{'DeleteRequest':{'Key':{'pk':{'S':'" pk "'}}}}"
#define K(pk) "{'pk':{'S':'" pk "'}}"
#define SONG(a, t) "'Artist':{'S':'" a "'},'Title':{'S':'" t "'}"
#define AT_ITEMS "1 validation error detected: Value at `RequestItems` failed to satisfy constraint: "
#define NULL_AT(name)                                                                                                  \
    "1 validation error detected: Value null at `" name "` failed to satisfy constraint: Member must not be null"

Test(dynamodb_batch, reads_and_writes) {
    static const struct row rows[] = {
        {"BatchWriteItem",
         "{'RequestItems':{'Plain':[" PUT("a") "," PUT("b") "," DELETE(
             "none") "],'Songs':[{'PutRequest':{'Item':{" SONG("N", "1") ",'Year':{'N':'1958'}}}}]}}",
         200, "{'UnprocessedItems':{}}"},
        {"BatchGetItem",
         "{'RequestItems':{'Plain':{'Keys':[" K("b") "," K("none") "," K("a") "]},'Songs':{'Keys':[{" SONG("N",
                                                                                                           "1") "}]}}}",
         200,
         "{'Responses':{'Plain':[{'pk':{'S':'b'},'v':{'N':'1'}},{'pk':{'S':'a'},'v':{'N':'1'}}],'Songs':[{" SONG(
             "N", "1") ",'Year':{'N':'1958'}}]},'UnprocessedKeys':{}}"},
        /* each table has a projection of its own */
        {"BatchGetItem",
         "{'RequestItems':{'Plain':{'Keys':[" K(
             "a") "],'ProjectionExpression':'#v','ExpressionAttributeNames':{'#v':'v'}},"
                  "'Songs':{'Keys':[{" SONG(
                      "N", "1") "}],'ProjectionExpression':'#v','ExpressionAttributeNames':{'#v':'Year'}}}}",
         200, "{'Responses':{'Plain':[{'v':{'N':'1'}}],'Songs':[{'Year':{'N':'1958'}}]},'UnprocessedKeys':{}}"},
        /* each item by itself: 1 or 0.5, also where there is none */
        {"BatchGetItem",
         "{'ReturnConsumedCapacity':'TOTAL','RequestItems':{'Plain':{'Keys':[" K("a") "," K(
             "none") "],'ConsistentRead':true},"
                     "'Songs':{'Keys':[{" SONG("X", "1") "}]}}}",
         200,
         "{'Responses':{'Plain':[{'pk':{'S':'a'},'v':{'N':'1'}}],'Songs':[]},'UnprocessedKeys':{},'ConsumedCapacity':[{"
         "'TableName':'Plain',"
         "'CapacityUnits':2.0},{'TableName':'Songs','CapacityUnits':0.5}]}"},
        {"BatchWriteItem",
         "{'ReturnConsumedCapacity':'INDEXES','ReturnItemCollectionMetrics':'SIZE','RequestItems':{'Plain':[" DELETE(
             "a") "],'Songs':["
                  "{'PutRequest':{'Item':{" SONG("N", "2") ",'Year':{'N':'1958'}}}},{'DeleteRequest':{'Key':{" SONG(
                      "N", "1") "}}}]}}",
         200,
         "{'UnprocessedItems':{},'ItemCollectionMetrics':{'Songs':[{'ItemCollectionKey':{'Artist':{'S':'N'}},'"
         "SizeEstimateRangeGB':[0.0,1.0]}]},"
         "'ConsumedCapacity':[{'TableName':'Plain','CapacityUnits':1.0,'Table':{'CapacityUnits':1.0}},{'TableName':'"
         "Songs','CapacityUnits':4.0,"
         "'Table':{'CapacityUnits':2.0},'GlobalSecondaryIndexes':{'by-year':{'CapacityUnits':2.0}}}]}"},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[" K("a") "," K("b") "]}}}", 200,
         "{'Responses':{'Plain':["
         "{'pk':{'S':'b'},'v':{'N':'1'}}"
         "]},'UnprocessedKeys':{}}"},
        /* a table by its ARN answers under that name */
        {"BatchGetItem", "{'RequestItems':{'arn:aws:dynamodb:eu-west-2:1:table/Plain':{'Keys':[" K("a") "]}}}", 200,
         "{'Responses':{'arn:aws:dynamodb:eu-west-2:1:table/Plain':[]},'UnprocessedKeys':{}}"},
        /* the last of two members with one name counts */
        {"BatchGetItem",
         "{'RequestItems':{'Songs':{'Keys':[]},'Plain':{'Keys':[" K("a") "]},'Songs':{'Keys':[{" SONG("N", "9") "}]}}}",
         200, "{'Responses':{'Plain':[],'Songs':[]},'UnprocessedKeys':{}}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_batch, gets_refused) {
    static const struct row rows[] = {
        /* [d] */
        {"BatchGetItem", "{}", 400, VALIDATION(NULL_AT("requestItems"))},
        {"BatchGetItem", "{'RequestItems':{},'ReturnConsumedCapacity':'hi'}", 400,
         VALIDATION("2 validation errors detected: Value `hi` at `returnConsumedCapacity` failed to satisfy "
                    "constraint: Member must satisfy enum "
                    "value set: [INDEXES, TOTAL, NONE]; Value `{}` at `requestItems` failed to satisfy constraint: "
                    "Member must have length "
                    "greater than or equal to 1")},
        {"BatchGetItem", "{'RequestItems':{'a;':{'Keys':[" K("a") "]}}}", 400,
         VALIDATION(AT_ITEMS "Map keys must satisfy constraint: [Member must have length less than or equal to 255, "
                             "Member must have length greater than or equal to 3, "
                             "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{}}}", 400, VALIDATION(NULL_AT("requestItems.Plain.member.keys"))},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[]}}}", 400,
         VALIDATION("1 validation error detected: Value `[]` at `requestItems.Plain.member.keys` failed to satisfy "
                    "constraint: Member must have "
                    "length greater than or equal to 1")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[null]}}}", 400,
         VALIDATION(NULL_AT("requestItems.Plain.member.keys.1.member"))},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[{'pk':{}}]}}}", 400,
         VALIDATION("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[{'pk':{'N':'b'}}]}}}", 400,
         VALIDATION("The parameter cannot be converted to a numeric value: b")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[" K("a") "," K("b") "," K("a") "]}}}", 400,
         VALIDATION("Provided list of item keys contains duplicates")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[" K("a") "],'ProjectionExpression':''}}}", 400,
         VALIDATION("Invalid ProjectionExpression: The expression can not be empty;")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[" K("a") "],'ExpressionAttributeNames':{'#a':'a'}}}}", 400,
         VALIDATION("ExpressionAttributeNames can only be specified when using expressions")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[{'no':{'S':'a'}}]}}}", 400,
         VALIDATION("The provided key element does not match the schema")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[" K("") "]}}}", 400,
         VALIDATION("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    "an empty string value. Key: pk")},
        {"BatchGetItem", "{'RequestItems':{'None':{'Keys':[" K("a") "]}}}", 400, NOT_FOUND},
        /* types */
        {"BatchGetItem", "{'RequestItems':'x'}", 400, SERIALIZATION("Unexpected field type")},
        {"BatchGetItem", "{'RequestItems':[]}", 400,
         SERIALIZATION("Unrecognized collection type java.util.Map<java.lang.String, "
                       "com.amazonaws.dynamodb.v20120810.KeysAndAttributes>")},
        {"BatchGetItem", "{'RequestItems':{'a':'x'}}", 400, SERIALIZATION("Unexpected value type in payload")},
        {"BatchGetItem", "{'RequestItems':{'a':{'Keys':[3]}}}", 400,
         SERIALIZATION("class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
                       "java.lang.Class "
                       "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in "
                       "module java.base of loader `bootstrap`)")},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_batch, writes_refused) {
    static const struct row rows[] = {
        /* [d] */
        {"BatchWriteItem", "{}", 400, VALIDATION(NULL_AT("requestItems"))},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[]}}", 400,
         VALIDATION(AT_ITEMS "Map value must satisfy constraint: [Member must have length less than or equal to 25, "
                             "Member must have length greater than or equal to 1]")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[{}]}}", 400,
         VALIDATION("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
                    "supported datatypes")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[{'PutRequest':{}},{'DeleteRequest':{}}]}}", 400,
         VALIDATION("2 validation errors detected: Value null at `requestItems.Plain.member.1.member.putRequest.item` "
                    "failed to satisfy constraint: Member "
                    "must not be null; Value null at `requestItems.Plain.member.2.member.deleteRequest.key` failed to "
                    "satisfy constraint: Member must not be "
                    "null")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[{'PutRequest':{'Item':{'pk':{'S':'a'},'v':{}}}}]}}", 400,
         VALIDATION("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[" PUT("a") "," DELETE("a") "]}}", 400,
         VALIDATION("Provided list of item keys contains duplicates")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[" PUT("a") ",{'PutRequest':{'Item':{'v':{'S':'a'}}}}]}}", 400,
         VALIDATION("The provided key element does not match the schema")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[" PUT("a") ",{'PutRequest':{'Item':{'pk':{'N':'1'}}}}]}}", 400,
         VALIDATION("The provided key element does not match the schema")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[" PUT("a") "],'None':[" PUT("a") "]}}", 400, NOT_FOUND},
        {"BatchWriteItem", "{'RequestItems':{'Songs':[{'PutRequest':{'Item':{" SONG("a", "b") ",'Year':{'S':'x'}}}}]}}",
         400, INVALID("Type mismatch for Index Key Year Expected: N Actual: S IndexName: by-year")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':'x'}}", 400,
         SERIALIZATION("class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
                       "java.lang.Class "
                       "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in "
                       "module java.base of loader `bootstrap`)")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[{'PutRequest':5}]}}", 400,
         SERIALIZATION("Unexpected field type")},
        /* nothing of them was written */
        {"Scan", "{'TableName':'Plain'}", 200, "{'Items':[],'Count':0,'ScannedCount':0}"},
    };
    DYNAMODB_RUN(rows);
}

/* A request of `count` entries: what `each` makes of their numbers. */
static char *many(const char *start, const char *each, int count, const char *end) {
    size_t room = strlen(start) + (size_t)count * (strlen(each) + 16) + strlen(end) + 1;
    char *text = malloc(room);
    cr_assert(text);
    int at = snprintf(text, room, "%s", start);
    for (int i = 0; i < count; i++) {
        at += snprintf(text + at, room - (size_t)at, "%s", i ? "," : "");
        for (const char *c = each; *c; c++)
            at += *c == '@' ? snprintf(text + at, room - (size_t)at, "%d", i)
                            : snprintf(text + at, room - (size_t)at, "%c", *c);
    }
    snprintf(text + at, room - (size_t)at, "%s", end);
    return text;
}

/* [a]: 100 keys, 25 writes */
Test(dynamodb_batch, limits) {
    static const struct {
        const char *operation, *start, *each;
        int count;
        const char *end;
        int status;
        const char *reply;
    } rows[] = {
        {"BatchWriteItem", "{'RequestItems':{'Plain':[", PUT("@"), 25, "]}}", 200, "{'UnprocessedItems':{}}"},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[", PUT("@"), 26, "]}}", 400,
         VALIDATION(AT_ITEMS "Map value must satisfy constraint: [Member must have length less than or equal to 25, "
                             "Member must have length greater than or equal to 1]")},
        {"BatchWriteItem", "{'RequestItems':{'Bytes':[{'DeleteRequest':{'Key':{'pk':{'B':'AA=='}}}}],'Plain':[",
         PUT("@"), 25, "]}}", 400, VALIDATION("Too many items requested for the BatchWriteItem call")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[", K("x@"), 100, "]}}}", 200,
         "{'Responses':{'Plain':[]},'UnprocessedKeys':{}}"},
        {"BatchGetItem", "{'RequestItems':{'Plain':{'Keys':[", K("x@"), 101, "]}}}", 400,
         VALIDATION("1 validation error detected: Value at `requestItems.Plain.member.keys` failed to satisfy "
                    "constraint: Member must have length less than "
                    "or equal to 100")},
        {"BatchGetItem", "{'RequestItems':{'Bytes':{'Keys':[{'pk':{'B':'AA=='}}]},'Plain':{'Keys':[", K("x@"), 100,
         "]}}}", 400, VALIDATION("Too many items requested for the BatchGetItem call")},
    };
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *request = many(rows[i].start, rows[i].each, rows[i].count, rows[i].end);
        dynamodb_expect(&f, &(struct row){rows[i].operation, request, rows[i].status, rows[i].reply});
        free(request);
    }
    dynamodb_end(&f);
}

/* [a]: 16 MB in an answer; the keys of what is left come back, as a request for it. */
Test(dynamodb_batch, sixteen_megabytes) {
    enum { ITEMS = 45, BYTES = 380 * 1024 };
    struct larder *db;
    struct larder_dynamodb *dynamodb;
    struct larder_dynamodb_reply reply;
    struct larder_builder *b;
    struct larder_table *table;
    const struct larder_item *item;
    char *big = malloc(BYTES + 1), key[16];
    memset(big, 'x', BYTES);
    big[BYTES] = 0;
    EXPECT(
        larder_open(
            &(struct larder_options){.flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = 64u << 20}, &db),
        LARDER_OK);
    EXPECT(larder_table_create(db, &(struct larder_table_def){.name = "Big", .partition = {"pk", LARDER_S}}),
           LARDER_OK);
    EXPECT(larder_table_open(db, "Big", &table), LARDER_OK);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (int i = 0; i < ITEMS; i++) {
        snprintf(key, sizeof key, "%d", i);
        larder_builder_reset(b);
        larder_builder_add_s(b, "pk", key);
        larder_builder_add_s(b, "v", big);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        EXPECT(larder_put(table, item, NULL), LARDER_OK);
    }
    EXPECT(larder_dynamodb_new(db, &dynamodb), LARDER_OK);
    char *request =
        many("{'RequestItems':{'Big':{'Keys':[", K("@"), ITEMS,
             "],'ConsistentRead':true,'ProjectionExpression':'pk,#v','ExpressionAttributeNames':{'#v':'v'}}}}");
    for (char *c = request; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    EXPECT(larder_dynamodb_call(dynamodb, "BatchGetItem", request, strlen(request), &reply), LARDER_OK);
    cr_assert(reply.status == 200);
    const char *left = strstr(reply.body, "\"UnprocessedKeys\":");
    cr_assert(left && strcmp(left,
                             "\"UnprocessedKeys\":{\"Big\":{\"Keys\":[{\"pk\":{\"S\":\"43\"}},{\"pk\":{\"S\":\"44\"}}],"
                             "\"ProjectionExpression\":\"pk,#v\",\"ExpressionAttributeNames\":{\"#v\":\"v\"},"
                             "\"ConsistentRead\":true}}}") == 0,
              "%s", left);
    free(request);
    free(big);
    larder_dynamodb_free(dynamodb);
    larder_close(db);
}
