/* tests/dynamodb/dynamodb_capacity_test.c - ReturnConsumedCapacity of item operations.
 *
 * Source   The dynamodb-conformance suite, "index write capacity" (measured in eu-west-2 in August
 *          2026), "consumedCapacity"; developer guide, "DynamoDB read and write operations".
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"

TestSuite(dynamodb_capacity, .timeout = 30 * SLOW_FACTOR);

#define PLAIN(units) "{'ConsumedCapacity':{'TableName':'Plain','CapacityUnits':" units "}}"
#define TOTAL ",'ReturnConsumedCapacity':'TOTAL'}"
#define INDEXES ",'ReturnConsumedCapacity':'INDEXES'}"
#define SONGS(total, rest)                                                                                             \
    "{'ConsumedCapacity':{'TableName':'Songs','CapacityUnits':" total ",'Table':{'CapacityUnits':1.0}" rest "}}"
#define BY_YEAR(units) ",'GlobalSecondaryIndexes':{'by-year':{'CapacityUnits':" units "}}"
#define BY_LENGTH(units) ",'LocalSecondaryIndexes':{'by-length':{'CapacityUnits':" units "}}"
#define SONG(rest) "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'t'}" rest "}"
#define YEAR ",'Year':{'N':'1965'}"
#define LENGTH ",'Length':{'N':'10'}"
#define KEY "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'t'}}"
#define SET(name, value)                                                                                               \
    KEY ",'UpdateExpression':'SET #a = :v','ExpressionAttributeNames':{'#a':'" name                                    \
        "'},'ExpressionAttributeValues':{':v':" value "}"

Test(dynamodb_capacity, one_table) {
    static const struct row rows[] = {
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}}" TOTAL, 200, PLAIN("0.5")},
        {"GetItem", "{'TableName':'Plain','ConsistentRead':true,'Key':{'pk':{'S':'k'}}" TOTAL, 200, PLAIN("1.0")},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ReturnConsumedCapacity':'NONE'}", 200, "{}"},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'}}" TOTAL, 200, PLAIN("1.0")},
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}}" TOTAL, 200, PLAIN("1.0")},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}}" TOTAL, 200, PLAIN("1.0")},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}}" INDEXES, 200,
         "{'ConsumedCapacity':{'TableName':'Plain','CapacityUnits':1.0,'Table':{'CapacityUnits':1.0}}}"},
        /* a name that was given as an ARN comes back as one */
        {"GetItem", "{'TableName':'arn:aws:dynamodb:eu-west-2:1:table/Plain','Key':{'pk':{'S':'k'}}" TOTAL, 200,
         "{'ConsumedCapacity':{'TableName':'arn:aws:dynamodb:eu-west-2:1:table/Plain','CapacityUnits':0.5}}"},
    };
    DYNAMODB_RUN(rows);
}

/* The larger of the old and the new item counts; a read is charged before its projection. */
Test(dynamodb_capacity, sizes) {
    struct dynamodb_fixture f;
    char *request = malloc(10000);
    cr_assert(request);
    dynamodb_begin(&f);
    int used = snprintf(request, 10000, "{'TableName':'Plain','Item':{'pk':{'S':'k'},'v':{'S':'");
    memset(request + used, 'x', 8190);
    snprintf(request + used + 8190, 100, "'}}" TOTAL);
    dynamodb_expect(&f, &(struct row){"PutItem", request, 200, PLAIN("9.0")}); /* 8,194 bytes */
    static const struct row rows[] = {
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ProjectionExpression':'nothing'" TOTAL, 200,
         "{'Item':{},'ConsumedCapacity':{'TableName':'Plain','CapacityUnits':1.5}}"},
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'UpdateExpression':'REMOVE v'" TOTAL, 200,
         PLAIN("9.0")},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'}}" TOTAL, 200, PLAIN("1.0")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dynamodb_expect(&f, &rows[i]);
    dynamodb_end(&f);
    free(request);
}

Test(dynamodb_capacity, indexes) {
    static const struct row rows[] = {
        {"PutItem", SONG("") INDEXES, 200, SONGS("1.0", "")},
        {"PutItem", SONG(YEAR) INDEXES, 200, SONGS("2.0", BY_YEAR("1.0"))},
        {"PutItem", SONG(YEAR) INDEXES, 200, SONGS("1.0", "")},
        {"PutItem", SONG(YEAR LENGTH) INDEXES, 200, SONGS("2.0", BY_LENGTH("1.0"))},
        {"PutItem", SONG(YEAR LENGTH ",'other':{'S':'x'}") INDEXES, 200, SONGS("2.0", BY_LENGTH("1.0"))},
        {"UpdateItem", SET("other", "{'S':'y'}") INDEXES, 200, SONGS("2.0", BY_LENGTH("1.0"))},
        {"UpdateItem", SET("Label", "{'S':'y'}") INDEXES, 200, SONGS("3.0", BY_YEAR("1.0") BY_LENGTH("1.0"))},
        {"UpdateItem", SET("Year", "{'N':'1966'}") INDEXES, 200, SONGS("4.0", BY_YEAR("2.0") BY_LENGTH("1.0"))},
        {"UpdateItem", SET("Length", "{'N':'11'}") ",'ReturnValues':'UPDATED_OLD'" INDEXES, 200,
         "{'Attributes':{'Length':{'N':'10'}},'ConsumedCapacity':{'TableName':'Songs','CapacityUnits':3.0,'Table':"
         "{'CapacityUnits':1.0}" BY_LENGTH("2.0") "}}"},
        {"UpdateItem", KEY ",'UpdateExpression':'REMOVE #y','ExpressionAttributeNames':{'#y':'Year'}" INDEXES, 200,
         SONGS("3.0", BY_YEAR("1.0") BY_LENGTH("1.0"))},
        {"DeleteItem", KEY TOTAL, 200, "{'ConsumedCapacity':{'TableName':'Songs','CapacityUnits':2.0}}"},
        {"DeleteItem", KEY INDEXES, 200, SONGS("1.0", "")},
    };
    DYNAMODB_RUN(rows);
}
