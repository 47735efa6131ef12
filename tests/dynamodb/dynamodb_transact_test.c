/* tests/dynamodb/dynamodb_transact_test.c - TransactWriteItems and TransactGetItems.
 *
 * Goal     A transaction is done as a whole or not at all, and says why; what is refused changes
 *          nothing; a token makes it count once.
 * Source   [c] the dynamodb-conformance suite (transactWriteItems, transactGetItems,
 *          transactIndexKeys, valueLayers, itemSizeBySurface; "validation ordering" of
 *          transactions and of deep requests), run against the service in 2026. [d] a suite in
 *          dynalite's form (transactWriteItems). [m] moto's tests, checked against the service.
 *          [a] API reference of both. [g] developer guide, "Capacity management for transactions".
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_transact, .timeout = 60 * SLOW_FACTOR);

#define WRITE(actions) "{'TransactItems':[" actions "]}"
#define PUT(pk) "{'Put':{'TableName':'Plain','Item':{'pk':{'S':'" pk "'},'v':{'N':'1'}}}}"
#define PUT_IF(pk, condition)                                                                                          \
    "{'Put':{'TableName':'Plain','Item':{'pk':{'S':'" pk "'}},'ConditionExpression':'" condition "'}}"
#define DELETE(pk) "{'Delete':{'TableName':'Plain','Key':{'pk':{'S':'" pk "'}}}}"
#define CHECK(pk, condition)                                                                                           \
    "{'ConditionCheck':{'TableName':'Plain','Key':{'pk':{'S':'" pk "'}},'ConditionExpression':'" condition "'}}"
#define ADD(pk, by)                                                                                                    \
    "{'Update':{'TableName':'Plain','Key':{'pk':{'S':'" pk "'}},'UpdateExpression':'ADD v :n',"                        \
    "'ExpressionAttributeValues':{':n':{'N':'" by "'}}}}"
#define GET(pk) "{'Get':{'TableName':'Plain','Key':{'pk':{'S':'" pk "'}}}}"
#define ITEM(pk, v) "{'Item':{'pk':{'S':'" pk "'},'v':{'N':'" v "'}}}"
#define NONE "{'Code':'None'}"
#define REFUSED_REASON(item) "{'Code':'ConditionalCheckFailed'," item "'Message':'The conditional request failed'}"
#define INVALID_REASON(message) "{'Code':'ValidationError','Message':'" message "'}"
#define CANCELED(codes, reasons)                                                                                       \
    "{'__type':'com.amazonaws.dynamodb.v20120810#TransactionCanceledException','Message':'Transaction cancelled, "     \
    "please refer cancellation reasons for specific reasons [" codes "]','CancellationReasons':[" reasons "]}"
#define ONE_INVALID(message) CANCELED("ValidationError", INVALID_REASON(message))
#define ONE(message) VALIDATION("1 validation error detected: " message)
#define CONSTRAINT "failed to satisfy constraint: Member must "
#define NULL_AT(name) "Value null at `" name "` " CONSTRAINT "not be null"
#define EMPTY_KEY                                                                                                      \
    VALIDATION("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an " \
               "empty string value. Key: pk")
#define MISMATCH "The provided key element does not match the schema"

Test(dynamodb_transact, all_or_none) {
    static const struct row rows[] = {
        {"TransactWriteItems", WRITE(PUT("a") "," PUT("b")), 200, "{}"},
        {"TransactWriteItems",
         WRITE(CHECK("a", "attribute_exists(pk)") "," ADD("b", "4") "," DELETE("a2") "," ADD("c", "7")), 200, "{}"},
        {"TransactGetItems", WRITE(GET("c") "," GET("none") "," GET("b")), 200,
         "{'Responses':[" ITEM("c", "7") ",{}," ITEM("b", "5") "]}"},
        /* tables of several shapes, and a key of an index */
        {"TransactWriteItems",
         WRITE(
             "{'Put':{'TableName':'Songs','Item':{'Artist':{'S':'N'},'Title':{'S':'1'},'Year':{'N':'1958'}}}}," DELETE(
                 "c")),
         200, "{}"},
        {"Query",
         "{'TableName':'Songs','IndexName':'by-year','KeyConditionExpression':'#y=:y','ExpressionAttributeNames':{'#y':"
         "'Year'},'ExpressionAttributeValues':{':y':{'N':'1958'}}}",
         200, "{'Items':[{'Artist':{'S':'N'},'Title':{'S':'1'},'Year':{'N':'1958'}}],'Count':1,'ScannedCount':1}"},
        /* a projection of each get; of nothing it is {} of the item, not of the answer */
        {"TransactGetItems",
         WRITE(
             "{'Get':{'TableName':'Plain','Key':{'pk':{'S':'b'}},'ProjectionExpression':'#v','"
             "ExpressionAttributeNames':"
             "{'#v':'v'}}},{'Get':{'TableName':'Plain','Key':{'pk':{'S':'a'}},'ProjectionExpression':'nowhere'}}," GET(
                 "c")),
         200, "{'Responses':[{'Item':{'v':{'N':'5'}}},{'Item':{}},{}]}"},
        /* [c] a reason for each action, None for one that would have been done */
        {"TransactWriteItems", WRITE(ADD("b", "100") "," PUT_IF("a", "attribute_not_exists(pk)") "," PUT("d")), 400,
         CANCELED("None, ConditionalCheckFailed, None", NONE "," REFUSED_REASON("") "," NONE)},
        {"TransactGetItems", WRITE(GET("b") "," GET("d")), 200, "{'Responses':[" ITEM("b", "5") ",{}]}"},
        /* [c] the item as it is, if it is asked for and there is one */
        {"TransactWriteItems",
         WRITE("{'Delete':{'TableName':'Plain','Key':{'pk':{'S':'b'}},'ConditionExpression':'v > :v',"
               "'ExpressionAttributeValues':{':v':{'N':'9'}},'ReturnValuesOnConditionCheckFailure':'ALL_OLD'}},"
               "{'ConditionCheck':{'TableName':'Plain','Key':{'pk':{'S':'none'}},'ConditionExpression':"
               "'attribute_exists(pk)','ReturnValuesOnConditionCheckFailure':'ALL_OLD'}},"
               "{'ConditionCheck':{'TableName':'Plain','Key':{'pk':{'S':'a'}},'ConditionExpression':"
               "'attribute_not_exists(pk)','ReturnValuesOnConditionCheckFailure':'NONE'}}"),
         400,
         CANCELED(
             "ConditionalCheckFailed, ConditionalCheckFailed, ConditionalCheckFailed",
             REFUSED_REASON("'Item':{'pk':{'S':'b'},'v':{'N':'5'}},") "," REFUSED_REASON("") "," REFUSED_REASON(""))},
        /* an update that does not suit the item */
        {"TransactWriteItems",
         WRITE(
             PUT("e") ",{'Update':{'TableName':'Plain','Key':{'pk':{'S':'b'}},'UpdateExpression':'SET x = nothing'}}"),
         400,
         CANCELED(
             "None, ValidationError", NONE
             "," INVALID_REASON("The provided expression refers to an attribute that does not exist in the item"))},
        {"TransactGetItems", WRITE(GET("e")), 200, "{'Responses':[{}]}"},
        /* by ARN, and what is not known is ignored */
        {"TransactGetItems",
         "{'More':[1],'TransactItems':[{'Get':{'TableName':'arn:aws:dynamodb:eu-west-2:1:table/"
         "Plain','Key':{'pk':{'S':'b'}},'X':1}}]}",
         200, "{'Responses':[" ITEM("b", "5") "]}"},
        /* of two members with one name the last counts */
        {"TransactWriteItems",
         "{'TransactItems':[" PUT("x") "],'TransactItems':[{'Put':null,"
                                       "'Delete':null,'Put':{'TableName':"
                                       "'Plain','TableName':'Plain','Item':{'pk':{'S':'p'},'pk':{'S':'q'}}}}]}",
         200, "{}"},
        {"TransactGetItems", WRITE(GET("x") "," GET("p") "," GET("q")), 200,
         "{'Responses':[{},{},{'Item':{'pk':{'S':'q'}}}]}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_transact, constraints) {
    static const struct row rows[] = {
        /* [d], [c] */
        {"TransactWriteItems", "{}", 400, ONE(NULL_AT("transactItems"))},
        {"TransactGetItems", "{}", 400, ONE(NULL_AT("transactItems"))},
        {"TransactWriteItems", "{'TransactItems':[]}", 400,
         ONE("Value `[]` at `transactItems` " CONSTRAINT "have length greater than or equal to 1")},
        {"TransactWriteItems",
         "{'ReturnConsumedCapacity':'BOGUS','ReturnItemCollectionMetrics':'BOGUS2','TransactItems':[" PUT("a") "]}",
         400,
         VALIDATION("2 validation errors detected: Value `BOGUS` at `returnConsumedCapacity` " CONSTRAINT
                    "satisfy enum value set: [INDEXES, TOTAL, NONE]; Value `BOGUS2` at "
                    "`returnItemCollectionMetrics` " CONSTRAINT "satisfy enum value set: [SIZE, NONE]")},
        {"TransactGetItems", "{'ReturnConsumedCapacity':'BOGUS','TransactItems':[" GET("a") "," GET("a") "]}", 400,
         ONE("Value `BOGUS` at `returnConsumedCapacity` " CONSTRAINT "satisfy enum value set: [INDEXES, TOTAL, NONE]")},
        {"TransactWriteItems",
         "{'ClientRequestToken':'1234567890123456789012345678901234567','ReturnConsumedCapacity':'x','TransactItems':[]"
         "}",
         400, ONE("Value at `ClientRequestToken` " CONSTRAINT "have length less than or equal to 36")},
        {"TransactWriteItems", "{'ClientRequestToken':'','TransactItems':[" PUT("a") "]}", 400,
         ONE("Value at `ClientRequestToken` " CONSTRAINT "have length greater than or equal to 1")},
        {"TransactWriteItems",
         WRITE("{'Put':{'TableName':'Plain'}},{'Update':{'TableName':'a;','Key':{}}},{'ConditionCheck':{'Key':{}}}"),
         400,
         VALIDATION("6 validation errors detected: " NULL_AT("transactItems.1.member.put.item") "; " NULL_AT(
             "transactItems.2.member.update.updateExpression") "; Value `a;` at "
                                                               "`transactItems.2.member.update.tableName`"
                                                               " " CONSTRAINT "satisfy regular expression pattern: "
                                                               "[a-zA-Z0-9_.-]+; Value `a;` at "
                                                               "`transactItems.2.member.update."
                                                               "tableName` " CONSTRAINT
                                                               "have length greater than or equal to 3; " NULL_AT(
                                                                   "transactItems.3.member.conditionCheck."
                                                                   "tableName") "; " NULL_AT("transactItems.3."
                                                                                             "member."
                                                                                             "conditionCheck."
                                                                                             "conditionExpressio"
                                                                                             "n"))},
        {"TransactWriteItems",
         WRITE(
             "{'Delete':{'TableName':'Plain','Key':{'pk':{'S':'a'}},'ReturnValuesOnConditionCheckFailure':'ALL_NEW'}}"),
         400,
         ONE("Value `ALL_NEW` at `transactItems.1.member.delete.returnValuesOnConditionCheckFailure` " CONSTRAINT
             "satisfy enum value set: [ALL_OLD, NONE]")},
        {"TransactGetItems", WRITE("{}"), 400, ONE(NULL_AT("transactItems.1.member.get"))},
        /* [m] */
        {"TransactWriteItems",
         WRITE("{'Put':{'TableName':'Plain','Item':{'pk':{'S':'a'}}},'Delete':{'TableName':'Plain','Key':{'pk':{'S':'a'"
               "}}}}"),
         400, VALIDATION("TransactItems can only contain one of Check, Put, Update or Delete")},
        {"TransactWriteItems", WRITE(PUT("a") ",{}"), 400,
         VALIDATION("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")},
        {"TransactWriteItems", WRITE("null"), 400,
         VALIDATION("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")},
        /* types */
        {"TransactWriteItems", "[]", 400, MALFORMED},
        {"TransactWriteItems", "{'TransactItems':'x'}", 400, SERIALIZATION("Unexpected field type")},
        {"TransactWriteItems", "{'TransactItems':{}}", 400,
         SERIALIZATION("Start of structure or map found where not expected")},
        {"TransactWriteItems", "{'TransactItems':[1]}", 400, SERIALIZATION("Unexpected value type in payload")},
        {"TransactWriteItems", "{'TransactItems':[{'Put':1}]}", 400, SERIALIZATION("Unexpected field type")},
        {"TransactWriteItems", "{'TransactItems':[{'Put':[]}]}", 400,
         SERIALIZATION("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.Put")},
        {"TransactWriteItems", "{'TransactItems':[{'Put':{'Item':{'a':1}}}]}", 400,
         SERIALIZATION("Unexpected value type in payload")},
        {"TransactWriteItems", "{'TransactItems':[{'Update':{'UpdateExpression':{}}}]}", 400,
         SERIALIZATION("Start of structure or map found where not expected")},
        {"TransactWriteItems", "{'ClientRequestToken':1}", 400,
         SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"TransactGetItems", "{'TransactItems':[{'Get':{'Key':[]}}]}", 400,
         SERIALIZATION("Unrecognized collection type java.util.Map<java.lang.String, "
                       "com.amazonaws.dynamodb.v20120810.AttributeValue>")},
    };
    DYNAMODB_RUN(rows);
}

/* [c]: actions are checked one at a time, in their order, before any table is looked for. */
Test(dynamodb_transact, order_of_checks) {
    static const struct row rows[] = {
        {"TransactWriteItems",
         WRITE("{'Put':{'TableName':'Missing','Item':{'pk':{'S':'a'}}}}," CHECK("a", "attribute_not_exists(")), 400,
         VALIDATION("Invalid ConditionExpression: Syntax error; token: \\'<EOF>\\', near: \\'(\\'")},
        {"TransactWriteItems",
         WRITE("{'Put':{'TableName':'Missing','Item':{'pk':{'S':'a'}}}},{'ConditionCheck':{'TableName':'Plain','Key':{'"
               "pk':{"
               "'S':'a'}},'ConditionExpression':'attribute_exists(pk)','ExpressionAttributeValues':{':v':{'S':'x'}}}}"),
         400, VALIDATION("Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}")},
        {"TransactWriteItems",
         WRITE(PUT("a") ",{'ConditionCheck':{'TableName':'Plain','Key':{'pk':{'S':'a'}},"
                        "'ConditionExpression':'attribute_exists(pk)','ExpressionAttributeValues':{':v':{'S':'x'}}}}"),
         400, VALIDATION("Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}")},
        {"TransactWriteItems", WRITE("{'Delete':{'TableName':'Plain','Key':{'pk':{'N':'x'}}}}," PUT_IF("a", "a = = b")),
         400, VALIDATION("The parameter cannot be converted to a numeric value: x")},
        {"TransactWriteItems",
         WRITE("{'Delete':{'TableName':'Plain','Key':{'pk':{'N':'x'}},'ConditionExpression':'a = = b'}}"), 400,
         VALIDATION("Invalid ConditionExpression: Syntax error; token: \\'=\\', near: \\'= = b\\'")},
        {"TransactWriteItems", WRITE(PUT_IF("a", "a = = b") ",{'Delete':{'TableName':'Plain','Key':{'pk':{'N':'x'}}}}"),
         400, VALIDATION("Invalid ConditionExpression: Syntax error; token: \\'=\\', near: \\'= = b\\'")},
        /* numbers and sets, bare */
        {"TransactWriteItems",
         WRITE("{'Update':{'TableName':'Plain','Key':{'pk':{'S':'a'}},'UpdateExpression':'SET n = :v',"
               "'ExpressionAttributeValues':{':v':{'N':'abc'}}}}"),
         400, VALIDATION("The parameter cannot be converted to a numeric value: abc")},
        {"TransactGetItems", WRITE("{'Get':{'TableName':'Plain','Key':{'pk':{'N':'1e126'}}}}"), 400,
         VALIDATION("Number overflow. Attempting to store a number with magnitude larger than supported range")},
        {"TransactGetItems", WRITE("{'Get':{'TableName':'Plain','Key':{'pk':{'S':'a'}},'ProjectionExpression':'!!!'}}"),
         400, VALIDATION("Invalid ProjectionExpression: Syntax error; token: \\'!\\', near: \\'!!\\'")},
        /* a table that is missing comes before two actions on one item */
        {"TransactWriteItems",
         WRITE(PUT("a") "," PUT("a") ",{'Delete':{'TableName':'Missing','Key':{'pk':{'S':'a'}}}}"), 400, NOT_FOUND},
        {"TransactGetItems", WRITE("{'Get':{'TableName':'Missing','Key':{'pk':{'S':'a'}}}}"), 400, NOT_FOUND},
        {"TransactWriteItems", WRITE(PUT("a") "," DELETE("a")), 400,
         VALIDATION("Transaction request cannot include multiple operations on one item")},
        {"TransactWriteItems", WRITE(CHECK("a", "attribute_exists(pk)") "," ADD("a", "1")), 400,
         VALIDATION("Transaction request cannot include multiple operations on one item")},
        {"TransactGetItems", WRITE(GET("a") "," GET("a")), 400,
         VALIDATION("Transaction request cannot include multiple operations on one item")},
        {"TransactGetItems", WRITE(GET("a")), 200, "{'Responses':[{}]}"},
    };
    DYNAMODB_RUN(rows);
}

/* [c]: against the schema, a value of a wrong type cancels, an empty one is refused at once. */
Test(dynamodb_transact, keys) {
    static const struct row rows[] = {
        {"TransactWriteItems", WRITE("{'Put':{'TableName':'Plain','Item':{'pk':{'N':'5'}}}}"), 400,
         ONE_INVALID("One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N")},
        {"TransactWriteItems", WRITE("{'Put':{'TableName':'Plain','Item':{'pk':{'L':[{'S':'x'}]}}}}"), 400,
         ONE_INVALID("One or more parameter values were invalid: Type mismatch for key pk expected: S actual: L")},
        {"TransactWriteItems", WRITE("{'Put':{'TableName':'Plain','Item':{'other':{'N':'5'}}}}," PUT("b")), 400,
         CANCELED(
             "ValidationError, None",
             INVALID_REASON("One or more parameter values were invalid: Missing the key pk in the item") "," NONE)},
        {"TransactWriteItems", WRITE("{'Put':{'TableName':'Plain','Item':{'pk':{'S':''}}}}"), 400, EMPTY_KEY},
        {"TransactWriteItems", WRITE(ADD("", "1")), 400, EMPTY_KEY},
        {"TransactWriteItems", WRITE(DELETE("")), 400, EMPTY_KEY},
        {"TransactWriteItems", WRITE(CHECK("", "attribute_exists(pk)")), 400, EMPTY_KEY},
        {"TransactWriteItems", WRITE("{'Delete':{'TableName':'Plain','Key':{'pk':{'N':'5'}}}}"), 400,
         ONE_INVALID(MISMATCH)},
        {"TransactWriteItems", WRITE("{'Delete':{'TableName':'Plain','Key':{'pk':{'L':[{'S':'x'}]}}}}"), 400,
         ONE_INVALID(MISMATCH)},
        {"TransactWriteItems",
         WRITE("{'ConditionCheck':{'TableName':'Plain','Key':{'pk':{'N':'5'}},'ConditionExpression':'attribute_exists("
               "pk)'}}"),
         400, ONE_INVALID(MISMATCH)},
        {"TransactGetItems", WRITE("{'Get':{'TableName':'Plain','Key':{}}}," GET("a")), 400,
         CANCELED("ValidationError, None", INVALID_REASON(MISMATCH) "," NONE)},
        {"TransactWriteItems",
         WRITE("{'Put':{'TableName':'Songs','Item':{'Artist':{'S':'N'},'Title':{'S':'1'},'Year':{'S':'x'}}}}"), 400,
         ONE_INVALID("One or more parameter values were invalid: Type mismatch for Index Key Year Expected: N Actual: "
                     "S IndexName: "
                     "by-year")},
        {"TransactWriteItems",
         WRITE("{'Update':{'TableName':'Songs','Key':{'Artist':{'S':'N'},'Title':{'S':'1'}},'UpdateExpression':'SET #y "
               "= :y',"
               "'ExpressionAttributeNames':{'#y':'Year'},'ExpressionAttributeValues':{':y':{'S':'x'}}}}"),
         400,
         ONE_INVALID("One or more parameter values were invalid: Type mismatch for Index Key Year Expected: N Actual: "
                     "S IndexName: "
                     "by-year")},
        {"TransactWriteItems",
         WRITE("{'Update':{'TableName':'Plain','Key':{'pk':{'S':'a'}},'UpdateExpression':'SET pk = :y',"
               "'ExpressionAttributeValues':{':y':{'S':'x'}}}}"),
         400,
         ONE_INVALID("One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of "
                     "the key")},
        {"Scan", "{'TableName':'Plain','Select':'COUNT'}", 200, "{'Count':0,'ScannedCount':0}"},
        {"Scan", "{'TableName':'Songs','Select':'COUNT'}", 200, "{'Count':0,'ScannedCount':0}"},
    };
    DYNAMODB_RUN(rows);
}

#define WITH_TOKEN(rest, actions) "{'ClientRequestToken':'t1'" rest ",'TransactItems':[" actions "]}"

Test(dynamodb_transact, a_token_counts_once) {
    static const struct row rows[] = {
        {"TransactWriteItems", WITH_TOKEN("", ADD("a", "3")), 200, "{}"},
        {"TransactWriteItems", WITH_TOKEN("", ADD("a", "3")), 200, "{}"},
        {"TransactGetItems", WRITE(GET("a")), 200, "{'Responses':[" ITEM("a", "3") "]}"},
        {"TransactWriteItems", WITH_TOKEN("", ADD("a", "4")), 400,
         "{'__type':'com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException','Message':'The request "
         "uses the same "
         "client token as a previous, but non-identical request'}"},
        /* one that was cancelled was not done */
        {"TransactWriteItems",
         "{'ClientRequestToken':'t2','TransactItems':[" PUT_IF("a", "attribute_not_exists(pk)") "]}", 400,
         CANCELED("ConditionalCheckFailed", REFUSED_REASON(""))},
        {"TransactWriteItems", "{'ClientRequestToken':'t2','TransactItems':[" ADD("a", "1") "]}", 200, "{}"},
        /* api notes: the second time it is charged as a read */
        {"TransactWriteItems", WITH_TOKEN(",'ReturnConsumedCapacity':'TOTAL'", ADD("a", "3")), 200,
         "{'ConsumedCapacity':[{'TableName':'Plain','CapacityUnits':2.0,'ReadCapacityUnits':2.0}]}"},
        {"TransactGetItems", WRITE(GET("a")), 200, "{'Responses':[" ITEM("a", "4") "]}"},
        {"ListTables", "{}", 200, "{'TableNames':['Bytes','Numbers','Plain','Songs']}"},
    };
    DYNAMODB_RUN(rows);
}

/* [g], [c]: twice the units, each table once; indexes too. */
Test(dynamodb_transact, capacity_and_metrics) {
    static const struct row rows[] = {
        {"TransactWriteItems", "{'ReturnConsumedCapacity':'TOTAL','TransactItems':[" PUT("a") "," PUT("b") "]}", 200,
         "{'ConsumedCapacity':[{'TableName':'Plain','CapacityUnits':4.0,'WriteCapacityUnits':4.0}]}"},
        {"TransactGetItems", "{'ReturnConsumedCapacity':'TOTAL','TransactItems':[" GET("a") "," GET("none") "]}", 200,
         "{'Responses':[" ITEM(
             "a", "1") ",{}],'ConsumedCapacity':[{'TableName':'Plain','CapacityUnits':4.0,'ReadCapacityUnits':4.0}"
                       "]}"},
        {"TransactGetItems", "{'ReturnConsumedCapacity':'INDEXES','TransactItems':[" GET("a") "]}", 200,
         "{'Responses':[" ITEM(
             "a", "1") "],'ConsumedCapacity':[{'TableName':'Plain','CapacityUnits':2.0,'ReadCapacityUnits':2.0,"
                       "'Table':{'CapacityUnits':2.0,'ReadCapacityUnits':2.0}}]}"},
        {"TransactWriteItems",
         "{'ReturnConsumedCapacity':'INDEXES','ReturnItemCollectionMetrics':'SIZE','TransactItems':[" ADD(
             "a", "1") ",{'Put':{"
                       "'TableName':'Songs','Item':{'Artist':{'S':'N'},'Title':{'S':'1'},'Year':{'N':'1958'}}}},{'Put':"
                       "{'TableName':'Songs','Item'"
                       ":{'Artist':{'S':'N'},'Title':{'S':'2'}}}}," CHECK("b", "attribute_exists(pk)") "]}",
         200,
         "{'ConsumedCapacity':[{'TableName':'Plain','CapacityUnits':4.0,'WriteCapacityUnits':4.0,'Table':{'"
         "CapacityUnits':4.0,"
         "'WriteCapacityUnits':4.0}},{'TableName':'Songs','CapacityUnits':6.0,'WriteCapacityUnits':6.0,'Table':{'"
         "CapacityUnits':4.0,"
         "'WriteCapacityUnits':4.0},'GlobalSecondaryIndexes':{'by-year':{'CapacityUnits':2.0,'WriteCapacityUnits':2.0}}"
         "}],"
         "'ItemCollectionMetrics':{'Songs':[{'ItemCollectionKey':{'Artist':{'S':'N'}},'SizeEstimateRangeGB':[0.0,1.0]}]"
         "}}"},
    };
    DYNAMODB_RUN(rows);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

struct text_buffer {
    char *at;
    size_t bytes;
};

static void add(struct text_buffer *b, const char *text) {
    size_t bytes = strlen(text);
    b->at = realloc(b->at, b->bytes + bytes + 1);
    cr_assert(b->at);
    memcpy(b->at + b->bytes, text, bytes + 1);
    b->bytes += bytes;
}

static void add_pad(struct text_buffer *b, size_t bytes) {
    b->at = realloc(b->at, b->bytes + bytes + 1);
    cr_assert(b->at);
    memset(b->at + b->bytes, 'x', bytes);
    b->at[b->bytes += bytes] = 0;
}

/* `count` puts of items of 2 + 3 + 1 + pad bytes. */
static struct text_buffer puts_of(int count, size_t pad) {
    struct text_buffer b = {NULL, 0};
    char start[128];
    add(&b, "{\"TransactItems\":[");
    for (int i = 0; i < count; i++) {
        snprintf(start, sizeof start,
                 "%s{\"Put\":{\"TableName\":\"Plain\",\"Item\":{\"pk\":{\"S\":\"%03d\"},\"v\":{\"S\":\"", i ? "," : "",
                 i);
        add(&b, start);
        add_pad(&b, pad);
        add(&b, "\"}}}}");
    }
    add(&b, "]}");
    return b;
}

static void expect_puts(struct dynamodb_fixture *f, int count, size_t pad, int status, const char *reply) {
    struct text_buffer b = puts_of(count, pad);
    dynamodb_expect_bytes(f, "TransactWriteItems", b.at, b.bytes, status, reply);
    free(b.at);
}

/* [c]: 100 actions; 409,600 bytes an item; 4 MB. A put that is too large is refused at once, an
 * update cancels. */
Test(dynamodb_transact, limits) {
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    expect_puts(&f, 100, 1, 200, "{}");
    expect_puts(&f, 101, 1, 400, ONE("Value at `TransactItems` " CONSTRAINT "have length less than or equal to 100"));
    expect_puts(&f, 1, 409600 - 6, 200, "{}");
    expect_puts(&f, 1, 409601 - 6, 400, VALIDATION("Item size has exceeded the maximum allowed size"));
    expect_puts(&f, 10, 350000, 200, "{}");
    expect_puts(&f, 12, 350000, 400,
                VALIDATION("The items of the transaction have 4200072 bytes; 4194304 are allowed"));
    struct text_buffer b = {NULL, 0};
    add(&b, "{\"TransactItems\":[{\"Update\":{\"TableName\":\"Plain\",\"Key\":{\"pk\":{\"S\":\"000\"}},"
            "\"UpdateExpression\":"
            "\"SET w = :w\",\"ExpressionAttributeValues\":{\":w\":{\"S\":\"");
    add_pad(&b, 100000);
    add(&b, "\"}}}}]}");
    dynamodb_expect_bytes(&f, "TransactWriteItems", b.at, b.bytes, 400,
                          ONE_INVALID("Item size to update has exceeded the maximum allowed size"));
    free(b.at);
    dynamodb_end(&f);
}

/* A hundred actions with expressions of their own: more than the context keeps. */
Test(dynamodb_transact, many_expressions) {
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (int round = 0; round < 4; round++) {
        struct text_buffer b = {NULL, 0};
        char action[512];
        add(&b, "{\"TransactItems\":[");
        for (int i = 0; i < 100; i++) {
            snprintf(action, sizeof action,
                     "%s{\"Update\":{\"TableName\":\"Plain\",\"Key\":{\"pk\":{\"S\":\"%d\"}},\"UpdateExpression\":"
                     "\"ADD n%d_%d :n\","
                     "\"ConditionExpression\":\"attribute_not_exists(n%d_%d)\",\"ExpressionAttributeValues\":{\":n\":{"
                     "\"N\":\"%d\"}}}}",
                     i ? "," : "", i, round, i, round, i, i);
            add(&b, action);
        }
        add(&b, "]}");
        dynamodb_expect_bytes(&f, "TransactWriteItems", b.at, b.bytes, 200, "{}");
        free(b.at);
    }
    dynamodb_expect(
        &f, &(struct row){"TransactGetItems", WRITE(GET("7")), 200,
                          "{'Responses':[{'Item':{'n0_7':{'N':'7'},'n1_7':{'N':'7'},'n2_7':{'N':'7'},'n3_7':{'N':'7'},"
                          "'pk':{'S':'7'}}}]}"});
    dynamodb_end(&f);
}
