/* tests/dynamodb/dynamodb_item_test.c - GetItem, PutItem, DeleteItem, UpdateItem: what they do.
 *
 * Goal     Items come back as they were put, of all types. Conditions, ReturnValues and the old
 *          item in a failed condition are the service's. What a call keeps never changes the next
 *          one: a table that was dropped and made again is the new one.
 * Source   API reference, GetItem, PutItem, DeleteItem, UpdateItem: "ReturnValues",
 *          "ReturnValuesOnConditionCheckFailure", "ProjectionExpression". Developer guide, "Update
 *          expressions". Where a row has another one, it says so.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_item, .timeout = 30 * SLOW_FACTOR);

#define ALL_TYPES                                                                                                      \
    "'b':{'B':'AAEC'},'bs':{'BS':['AA==','AAE=']},'l':{'L':[{'S':'x'},{'N':'1'}]},'m':{'M':{'k':{'S':'v'}}},"          \
    "'n':{'N':'1.5'},'no':{'BOOL':false},'ns':{'NS':['-1','2']},'nu':{'NULL':true},'pk':{'S':'all'},"                  \
    "'s':{'S':'text'},'ss':{'SS':['a','b']},'yes':{'BOOL':true}"

Test(dynamodb_item, items_come_back) {
    static const struct row rows[] = {
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'all'}}}", 200, "{}"},
        {"PutItem", "{'TableName':'Plain','Item':{" ALL_TYPES "}}", 200, "{}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'all'}}}", 200, "{'Item':{" ALL_TYPES "}}"},
        {"GetItem", "{'Key':{'pk':{'S':'all'}},'ConsistentRead':true,'TableName':'Plain','Unknown':[{'a':1}]}", 200,
         "{'Item':{" ALL_TYPES "}}"},
        /* an ARN: API reference, TableName */
        {"GetItem", "{'TableName':'arn:aws:dynamodb:eu-west-2:123456789012:table/Plain','Key':{'pk':{'S':'all'}}}", 200,
         "{'Item':{" ALL_TYPES "}}"},
        {"GetItem", "{'TableName':'arn:aws-cn:dynamodb:cn-north-1:1:table/Plain','Key':{'pk':{'S':'none'}}}", 200,
         "{}"},
        {"GetItem", "{'TableName':'arn:aws:s3:eu-west-2:1:table/Plain','Key':{'pk':{'S':'none'}}}", 400,
         VALIDATION("1 validation error detected: Value `arn:aws:s3:eu-west-2:1:table/Plain` at `tableName` failed to "
                    "satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")},
        /* numbers in plain notation: api of the service, "Data types: Number" */
        {"PutItem", "{'TableName':'Numbers','Item':{'pk':{'N':'1E3'},'v':{'N':'-1.50e-2'}}}", 200, "{}"},
        {"GetItem", "{'TableName':'Numbers','Key':{'pk':{'N':'1000.0'}}}", 200,
         "{'Item':{'pk':{'N':'1000'},'v':{'N':'-0.015'}}}"},
        {"PutItem", "{'TableName':'Bytes','Item':{'pk':{'B':'/+8='}}}", 200, "{}"},
        {"GetItem", "{'TableName':'Bytes','Key':{'pk':{'B':'/+8='}}}", 200, "{'Item':{'pk':{'B':'/+8='}}}"},
        /* empty values are allowed where they are no key: developer guide, "Data types" */
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'empty'},'s':{'S':''},'b':{'B':''},'ss':{'SS':['']},'m':{'M':{}},"
         "'l':{'L':[]}}}",
         200, "{}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'empty'}}}", 200,
         "{'Item':{'b':{'B':''},'l':{'L':[]},'m':{'M':{}},'pk':{'S':'empty'},'s':{'S':''},'ss':{'SS':['']}}}"},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'S':'all'}}}", 200, "{}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'all'}}}", 200, "{}"},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'S':'all'}}}", 200, "{}"},
        {"Nothing", "{}", 400, "{'__type':'com.amazon.coral.service#UnknownOperationException'}"},
        {"ExecuteStatement", "{}", 400, "{'__type':'com.amazon.coral.service#UnknownOperationException'}"},
    };
    DYNAMODB_RUN(rows);
}

#define PUT_M(m) "{'TableName':'Plain','Item':{'pk':{'S':'k'},'m':{'N':'" m "'}}"

Test(dynamodb_item, puts_and_deletes_under_conditions) {
    static const struct row rows[] = {
        {"PutItem", PUT_M("1") ",'ConditionExpression':'attribute_not_exists(pk)'}", 200, "{}"},
        {"PutItem", PUT_M("2") ",'ConditionExpression':'attribute_not_exists(pk)'}", 400, REFUSED},
        {"PutItem",
         PUT_M(
             "2") ",'ConditionExpression':'attribute_not_exists(pk)','ReturnValuesOnConditionCheckFailure':'ALL_OLD'}",
         400,
         "{'__type':'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException','message':'The conditional "
         "request failed','Item':{'m':{'N':'1'},'pk':{'S':'k'}}}"},
        {"PutItem",
         PUT_M("2") ",'ConditionExpression':'attribute_not_exists(pk)','ReturnValuesOnConditionCheckFailure':'NONE'}",
         400, REFUSED},
        {"PutItem", PUT_M("3") ",'ReturnValues':'ALL_OLD'}", 200, "{'Attributes':{'m':{'N':'1'},'pk':{'S':'k'}}}"},
        {"PutItem", PUT_M("4") ",'ReturnValues':'NONE'}", 200, "{}"},
        {"PutItem",
         PUT_M("5") ",'ConditionExpression':'#m = :m','ExpressionAttributeNames':{'#m':'m'},"
                    "'ExpressionAttributeValues':{':m':{'N':'4.0'}},'ReturnValues':'ALL_OLD'}",
         200, "{'Attributes':{'m':{'N':'4'},'pk':{'S':'k'}}}"},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'new'}},'ReturnValues':'ALL_OLD'}", 200, "{}"},
        {"DeleteItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ConditionExpression':'m = :m','ExpressionAttributeValues':"
         "{':m':{'N':'4'}},'ReturnValuesOnConditionCheckFailure':'ALL_OLD'}",
         400,
         "{'__type':'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException','message':'The conditional "
         "request failed','Item':{'m':{'N':'5'},'pk':{'S':'k'}}}"},
        {"DeleteItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ConditionExpression':'m = :m','ExpressionAttributeValues':"
         "{':m':{'N':'5'}},'ReturnValues':'ALL_OLD'}",
         200, "{'Attributes':{'m':{'N':'5'},'pk':{'S':'k'}}}"},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ReturnValues':'ALL_OLD'}", 200, "{}"},
        /* a condition on an item that is not there */
        {"DeleteItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ConditionExpression':'attribute_exists(pk)',"
         "'ReturnValuesOnConditionCheckFailure':'ALL_OLD'}",
         400, REFUSED},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'ConditionExpression':'attribute_not_exists(pk)'}",
         200, "{}"},
    };
    DYNAMODB_RUN(rows);
}

#define UPDATE(rest) "{'TableName':'Plain','Key':{'pk':{'S':'u'}}," rest "}"
#define V(value) "'ExpressionAttributeValues':{':v':" value "}"

Test(dynamodb_item, updates) {
    static const struct row rows[] = {
        /* makes the item, also without an expression */
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'only-key'}},'ReturnValues':'ALL_NEW'}", 200,
         "{'Attributes':{'pk':{'S':'only-key'}}}"},
        {"UpdateItem", UPDATE("'UpdateExpression':'SET c = :v'," V("{'N':'1'}") ",'ReturnValues':'ALL_OLD'"), 200,
         "{}"},
        {"UpdateItem", UPDATE("'UpdateExpression':'SET c = c + :v'," V("{'N':'1.5'}") ",'ReturnValues':'ALL_OLD'"), 200,
         "{'Attributes':{'c':{'N':'1'},'pk':{'S':'u'}}}"},
        {"UpdateItem", UPDATE("'UpdateExpression':'ADD c :v'," V("{'N':'-4'}") ",'ReturnValues':'ALL_NEW'"), 200,
         "{'Attributes':{'c':{'N':'-1.5'},'pk':{'S':'u'}}}"},
        {"UpdateItem",
         UPDATE("'UpdateExpression':'SET l = :v, m = :m','ExpressionAttributeValues':{':v':{'L':[{'S':'a'},{'S':'b'}]},"
                "':m':{'M':{'x':{'N':'1'},'y':{'N':'2'}}}},'ReturnValues':'UPDATED_NEW'"),
         200, "{'Attributes':{'l':{'L':[{'S':'a'},{'S':'b'}]},'m':{'M':{'x':{'N':'1'},'y':{'N':'2'}}}}}"},
        {"UpdateItem",
         UPDATE("'UpdateExpression':'SET l[1] = :v, m.y = :v'," V("{'S':'c'}") ",'ReturnValues':'UPDATED_OLD'"), 200,
         "{'Attributes':{'l':{'L':[{'S':'b'}]},'m':{'M':{'y':{'N':'2'}}}}}"},
        {"UpdateItem",
         UPDATE("'UpdateExpression':'SET l[1] = :v, m.y = :v'," V("{'S':'d'}") ",'ReturnValues':'UPDATED_NEW'"), 200,
         "{'Attributes':{'l':{'L':[{'S':'d'}]},'m':{'M':{'y':{'S':'d'}}}}}"},
        /* what was removed is not there to be returned */
        {"UpdateItem", UPDATE("'UpdateExpression':'REMOVE c','ReturnValues':'UPDATED_NEW'"), 200, "{}"},
        {"UpdateItem", UPDATE("'UpdateExpression':'REMOVE m','ReturnValues':'UPDATED_OLD'"), 200,
         "{'Attributes':{'m':{'M':{'x':{'N':'1'},'y':{'S':'d'}}}}}"},
        {"UpdateItem",
         UPDATE("'UpdateExpression':'SET s = :v','ConditionExpression':'attribute_exists(nothing)'," V("{'S':'d'}")),
         400, REFUSED},
        {"UpdateItem",
         UPDATE("'UpdateExpression':'SET s = :v','ConditionExpression':'attribute_exists(nothing)'," V(
             "{'S':'d'}") ",'ReturnValuesOnConditionCheckFailure':'ALL_OLD'"),
         400,
         "{'__type':'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException','message':'The conditional "
         "request failed','Item':{'l':{'L':[{'S':'a'},{'S':'d'}]},'pk':{'S':'u'}}}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'u'}}}", 200,
         "{'Item':{'l':{'L':[{'S':'a'},{'S':'d'}]},'pk':{'S':'u'}}}"},
        /* one request, two expressions with the same text of values and names */
        {"UpdateItem",
         UPDATE("'UpdateExpression':'SET #n = :v','ConditionExpression':'attribute_not_exists(#n)',"
                "'ExpressionAttributeNames':{'#n':'a.b'}," V("{'SS':['x']}") ",'ReturnValues':'UPDATED_NEW'"),
         200, "{'Attributes':{'a.b':{'SS':['x']}}}"},
        {"UpdateItem",
         UPDATE("'UpdateExpression':'DELETE #n :v','ExpressionAttributeNames':{'#n':'a.b'}," V("{'SS':['x']}")), 200,
         "{}"},
        {"GetItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'u'}},'ProjectionExpression':'pk, #n, l[1]',"
         "'ExpressionAttributeNames':{'#n':'a.b'}}",
         200, "{'Item':{'l':{'L':[{'S':'d'}]},'pk':{'S':'u'}}}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'u'}},'ProjectionExpression':'nothing'}", 200,
         "{'Item':{}}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'missing'}},'ProjectionExpression':'nothing'}", 200, "{}"},
    };
    DYNAMODB_RUN(rows);
}

/* Capacity to the last unit: dynamodb_capacity_test.c. */
Test(dynamodb_item, collection_metrics_of_tables_with_local_indexes) {
    static const struct row rows[] = {
        {"PutItem",
         "{'TableName':'Songs','Item':{'Artist':{'S':'N'},'Title':{'S':'S'}},'ReturnItemCollectionMetrics':'SIZE'}",
         200, "{'ItemCollectionMetrics':{'ItemCollectionKey':{'Artist':{'S':'N'}},'SizeEstimateRangeGB':[0.0,1.0]}}"},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'N'}},'ReturnItemCollectionMetrics':'SIZE'}", 200, "{}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_item, a_table_that_was_made_again_is_the_new_one) {
    static const struct row before = {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'1'}}}", 200, "{}"};
    static const struct row after[] = {
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'1'}}}", 400, INVALID("Missing the key id in the item")},
        {"PutItem", "{'TableName':'Plain','Item':{'id':{'N':'1'}}}", 200, "{}"},
    };
    static const struct row gone = {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'1'}}}", 400, NOT_FOUND};
    static const struct larder_table_def other = {.name = "Plain", .partition = {"id", LARDER_N}};
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    dynamodb_expect(&f, &before);
    EXPECT(larder_table_drop(f.db, "Plain"), LARDER_OK);
    dynamodb_expect(&f, &gone);
    EXPECT(larder_table_create(f.db, &other), LARDER_OK);
    dynamodb_expect(&f, &after[0]);
    dynamodb_expect(&f, &after[1]);
    dynamodb_end(&f);
}

/* More expressions than are kept, and again: those that were replaced are made anew. */
Test(dynamodb_item, many_expressions) {
    struct dynamodb_fixture f;
    char request[256], reply[128];
    int count = 1500 / SLOW_FACTOR;
    dynamodb_begin(&f);
    for (int i = 0; i < 2 * count; i++) {
        int number = i % count;
        snprintf(request, sizeof request,
                 "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'UpdateExpression':'SET a%d = :v','ConditionExpression':"
                 "'attribute_not_exists(b%d)',%s,'ReturnValues':'UPDATED_NEW'}",
                 number, number, V("{'N':'7'}"));
        snprintf(reply, sizeof reply, "{'Attributes':{'a%d':{'N':'7'}}}", number);
        dynamodb_expect(&f, &(struct row){"UpdateItem", request, 200, reply});
    }
    dynamodb_end(&f);
}
