/* tests/dynamodb/dynamodb_table_test.c - operations on tables, and time to live.
 *
 * Goal     A table that is created is described, listed, used and deleted as the service does it;
 *          each rule of CreateTable has a row, in the service's words.
 * Source   [d] dynalite's suites (createTable, listTables, describeTable, deleteTable), run against
 *          the service; [a] API reference of each operation; [u] messages as users of the service
 *          report them; [q] ack-api-quirks, messages recorded of the service (October 2026); [c]
 *          the dynamodb-conformance suite. [l] what Larder says of itself.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_table, .timeout = 30 * SLOW_FACTOR);

#define A(name, type) "{'AttributeName':'" name "','AttributeType':'" type "'}"
#define H(name) "{'AttributeName':'" name "','KeyType':'HASH'}"
#define R(name) "{'AttributeName':'" name "','KeyType':'RANGE'}"
#define DEFINED(list) "'AttributeDefinitions':[" list "]"
#define KEYS(list) "'KeySchema':[" list "]"
#define ON_DEMAND "'BillingMode':'PAY_PER_REQUEST'"
#define NO_UNITS "'ProvisionedThroughput':{'NumberOfDecreasesToday':0,'ReadCapacityUnits':0,'WriteCapacityUnits':0}"
#define BIRTH "'CreationDateTime':~,'TableId':'~'"
#define ARN "arn:aws:dynamodb:larder:000000000000:table/"
#define TABLE_GONE(name) SERVICE("ResourceNotFoundException", "Requested resource not found: Table: " name " not found")
#define CONSTRAINT(rest) VALIDATION("1 validation error detected: Value " rest)
#define AT(name) " at `" name "` failed to satisfy constraint: Member must "

#define FULL_TABLE                                                                                                     \
    DEFINED(A("a", "S") "," A("b", "N") "," A("c", "B"))                                                               \
    ",'TableName':'Full'," KEYS(H("a") "," R(                                                                          \
        "b")) ",'TableStatus':'%s'," BIRTH "," NO_UNITS ",'TableSizeBytes':0,'ItemCount':0,'TableArn':'" ARN "Full'"   \
              ",'BillingModeSummary':{'BillingMode':'PAY_PER_REQUEST','LastUpdateToPayPerRequestDateTime':~}"          \
              ",'LocalSecondaryIndexes':[{'IndexName':'loc'," KEYS(H("a") "," R(                                       \
                  "c")) ",'Projection':{'ProjectionType':'KEYS_ONLY'},'IndexArn':'" ARN "Full/index/loc'}]"            \
                        ",'GlobalSecondaryIndexes':[{'IndexName':'glo'," KEYS(                                         \
                            H("c")) ",'Projection':{'ProjectionType':'INCLUDE','NonKeyAttributes':['x','y']},"         \
                                    "'IndexStatus':'ACTIVE'," NO_UNITS ",'IndexArn':'" ARN "Full/index/glo'}]"         \
                                    ",'TableClassSummary':{'TableClass':'STANDARD'},'DeletionProtectionEnabled':false"

/* [a] */
Test(dynamodb_table, life) {
    static char created[2048], described[2048], deleted[2048];
    snprintf(created, sizeof created, "{'TableDescription':{" FULL_TABLE "}}", "ACTIVE");
    snprintf(described, sizeof described, "{'Table':{" FULL_TABLE "}}", "ACTIVE");
    snprintf(deleted, sizeof deleted, "{'TableDescription':{" FULL_TABLE "}}", "DELETING");
    const struct row rows[] = {
        {"CreateTable",
         "{'TableName':'Full'," DEFINED(A("a", "S") "," A("b", "N") "," A("c", "B")) "," KEYS(H("a") "," R(
             "b")) "," ON_DEMAND
                   ",'Tags':[{'Key':'k','Value':'v'}],'TableClass':'STANDARD','DeletionProtectionEnabled':false,"
                   "'LocalSecondaryIndexes':[{'IndexName':'loc'," KEYS(
                       H("a") "," R("c")) ",'Projection':{'ProjectionType':'KEYS_ONLY'}}],"
                                          "'GlobalSecondaryIndexes':[{'IndexName':'glo'," KEYS(
                                              H("c")) ",'Projection':{'ProjectionType':'INCLUDE',"
                                                      "'NonKeyAttributes':['x','y']}}]}",
         200, created},
        {"DescribeTable", "{'TableName':'Full'}", 200, described},
        {"DescribeTable", "{'TableName':'arn:aws:dynamodb:eu-west-2:123456789012:table/Full'}", 200, described},
        {"CreateTable", "{'TableName':'Full'," DEFINED(A("a", "S")) "," KEYS(H("a")) "," ON_DEMAND "}", 400,
         SERVICE("ResourceInUseException", "Table already exists: Full")},
        {"DescribeTable", "{'TableName':'Full'}", 200, described},
        {"PutItem", "{'TableName':'Full','Item':{'a':{'S':'k'},'b':{'N':'1'},'c':{'B':'AA=='},'x':{'S':'v'}}}", 200,
         "{}"},
        {"Query",
         "{'TableName':'Full','IndexName':'glo','KeyConditionExpression':'c = "
         ":c','ExpressionAttributeValues':{':c':{'B':"
         "'AA=='}}}",
         200, "{'Items':[{'a':{'S':'k'},'b':{'N':'1'},'c':{'B':'AA=='},'x':{'S':'v'}}],'Count':1,'ScannedCount':1}"},
        {"DeleteItem", "{'TableName':'Full','Key':{'a':{'S':'k'},'b':{'N':'1'}}}", 200, "{}"},
        {"DeleteTable", "{'TableName':'Full'}", 200, deleted},
        {"DescribeTable", "{'TableName':'Full'}", 400, TABLE_GONE("Full")},
        {"DeleteTable", "{'TableName':'Full'}", 400, TABLE_GONE("Full")},
        {"PutItem", "{'TableName':'Full','Item':{'a':{'S':'k'},'b':{'N':'1'}}}", 400, NOT_FOUND},
        /* another table of the same name: what was kept of the old one is not used */
        {"CreateTable", "{'TableName':'Full'," DEFINED(A("z", "S")) "," KEYS(H("z")) "," ON_DEMAND "}", 200,
         "{'TableDescription':..."},
        {"PutItem", "{'TableName':'Full','Item':{'z':{'S':'k'}}}", 200, "{}"},
        {"GetItem", "{'TableName':'Full','Key':{'z':{'S':'k'}}}", 200, "{'Item':{'z':{'S':'k'}}}"},
    };
    DYNAMODB_RUN(rows);
}

#define CREATE(rest) "CreateTable", "{'TableName':'New'," rest "}"
#define LSI(rest) "'LocalSecondaryIndexes':[" rest "]"
#define GSI(rest) "'GlobalSecondaryIndexes':[" rest "]"
#define ALL_OF "'Projection':{'ProjectionType':'ALL'}"
#define INCLUDES(names) "'Projection':{'ProjectionType':'INCLUDE','NonKeyAttributes':[" names "]}"
#define UNITS "'ProvisionedThroughput':{'ReadCapacityUnits':1,'WriteCapacityUnits':1}"
#define AB DEFINED(A("a", "S") "," A("b", "S")) "," KEYS(H("a") "," R("b")) "," ON_DEMAND

/* [q] NonKeyAttributes may name keys, which are kept; a description is in the order of names. */
Test(dynamodb_table, projections_of_keys) {
    static const struct row rows[] = {
        {CREATE(DEFINED(A("k", "S") "," A("g", "S") "," A("h", "N")) "," KEYS(H("k")) "," ON_DEMAND "," GSI(
             "{'IndexName':'idx'," KEYS(H("g") "," R("h")) "," INCLUDES("'z','k','g','b'") "}")),
         200,
         "{'TableDescription':{'AttributeDefinitions':[" A("g", "S") "," A("h", "N") "," A(
             "k", "S") "],'TableName':'New'," KEYS(H("k")) ",'TableStatus':'ACTIVE'," BIRTH "," NO_UNITS
                                                           ",'TableSizeBytes':0,'ItemCount':0,'TableArn':'" ARN
                                                           "New','BillingModeSummary':{'BillingMode':'PAY_PER_"
                                                           "REQUEST','LastUpdateToPayPerRequestDateTime':"
                                                           "~},'GlobalSecondaryIndexes':[{'IndexName':'idx'"
                                                           "," KEYS(H("g") "," R("h")) "," INCLUDES(
                                                               "'b','g','k','z'") ",'IndexStatus':'ACTIVE',..."},
        {"PutItem",
         "{'TableName':'New','Item':{'k':{'S':'1'},'g':{'S':'2'},'h':{'N':'3'},'b':{'S':'4'},'x':{'S':'5'}}}", 200,
         "{}"},
        {"Query",
         "{'TableName':'New','IndexName':'idx','KeyConditionExpression':'g = :g','ExpressionAttributeValues':{':g':{'S'"
         ":'2'}}}",
         200, "{'Items':[{'b':{'S':'4'},'g':{'S':'2'},'h':{'N':'3'},'k':{'S':'1'}}],'Count':1,'ScannedCount':1}"},
        {"Query",
         "{'TableName':'New','IndexName':'idx','KeyConditionExpression':'g = :g','ExpressionAttributeValues':{':g':{'S'"
         ":'2'}},'ProjectionExpression':'k,h'}",
         200, "{'Items':[{'h':{'N':'3'},'k':{'S':'1'}}],'Count':1,'ScannedCount':1}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_table, refused) {
    static const struct row rows[] = {
        /* [d] */
        {"CreateTable", "{}", 400,
         VALIDATION("The parameter `TableName` is required but was not present in the request")},
        {"CreateTable", "{'TableName':'ab'}", 400,
         VALIDATION("TableName must be at least 3 characters long and at most 255 characters long")},
        {"CreateTable", "{'TableName':'abc;'}", 400,
         VALIDATION(
             "3 validation errors detected: Value null" AT("attributeDefinitions") "not be null; Value `abc;`" AT(
                 "tableName") "satisfy "
                              "regular expression pattern: [a-zA-Z0-9_.-]+; Value null" AT("keySchema") "not be null")},
        {CREATE("'AttributeDefinitions':[],'KeySchema':[]"), 400,
         CONSTRAINT("`[]`" AT("keySchema") "have length greater than or equal to 1")},
        {CREATE(
             DEFINED("{'AttributeName':'a','AttributeType':'SS'}") "," KEYS("{'AttributeName':'a','KeyType':'LEFT'}")),
         400,
         VALIDATION("2 validation errors detected: Value `SS`" AT(
             "attributeDefinitions.1.member.attributeType") "satisfy enum value "
                                                            "set: [B, N, S]; Value `LEFT`" AT(
                                                                "keySchema.1.member.keyType") "satisfy enum value set: "
                                                                                              "[HASH, RANGE]")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(H("a")) ",'BillingMode':'FREE'"), 400,
         CONSTRAINT("`FREE`" AT("billingMode") "satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(H("a")) ",'ProvisionedThroughput':{'WriteCapacityUnits':0}"), 400,
         VALIDATION("2 validation errors detected: Value `0`" AT(
             "provisionedThroughput.writeCapacityUnits") "have value greater than or equal "
                                                         "to 1; Value null" AT(
                                                             "provisionedThroughput.readCapacityUnits") "not be null")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(H("a"))), 400,
         INVALID("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(
             H("a")) "," ON_DEMAND ",'ProvisionedThroughput':{'ReadCapacityUnits':1,'WriteCapacityUnits':1}"),
         400,
         INVALID(
             "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(
             H("a")) ",'ProvisionedThroughput':{'ReadCapacityUnits':1000000000001,'WriteCapacityUnits':1}"),
         400, VALIDATION("Given value 1000000000001 for ReadCapacityUnits is out of bounds")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(H("a") "," R("b")) "," ON_DEMAND), 400,
         VALIDATION("Invalid KeySchema: Some index key attribute have no definition")},
        {CREATE(DEFINED(A("a", "S") "," A("c", "S")) "," KEYS(H("a") "," R("b")) "," ON_DEMAND), 400,
         INVALID("Some index key attributes are not defined in AttributeDefinitions. Keys: [a, b], "
                 "AttributeDefinitions: [a, c]")},
        {CREATE(DEFINED(A("a", "S") "," A("b", "S")) "," KEYS(H("a") "," R("a")) "," ON_DEMAND), 400,
         VALIDATION("Both the Hash Key and the Range Key element in the KeySchema have the same name")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(R("a")) "," ON_DEMAND), 400,
         VALIDATION("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")},
        {CREATE(DEFINED(A("a", "S") "," A("b", "S")) "," KEYS(H("a") "," H("b")) "," ON_DEMAND), 400,
         VALIDATION("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")},
        {CREATE(DEFINED(A("a", "S") "," A("b", "S")) "," KEYS(H("a")) "," ON_DEMAND), 400,
         INVALID("Number of attributes in KeySchema does not exactly match number of attributes defined in "
                 "AttributeDefinitions")},
        {CREATE(AB "," LSI("")), 400, INVALID("List of LocalSecondaryIndexes is empty")},
        {CREATE(AB "," GSI("")), 400, INVALID("List of GlobalSecondaryIndexes is empty")},
        {CREATE(AB "," LSI("{}")), 400,
         VALIDATION("3 validation errors detected: Value null" AT(
             "localSecondaryIndexes.1.member.indexName") "not be null; Value null" AT("localSecondaryIndexes.1.member."
                                                                                      "keySchema") "not be null; Value "
                                                                                                   "null" AT("localSeco"
                                                                                                             "ndaryInde"
                                                                                                             "xes.1."
                                                                                                             "member."
                                                                                                             "projectio"
                                                                                                             "n") "not "
                                                                                                                  "be "
                                                                                                                  "nul"
                                                                                                                  "l")},
        {CREATE(AB "," LSI("{'IndexName':'idx'," KEYS(H("a")) "," ALL_OF "}")), 400,
         INVALID("Index KeySchema does not have a range key for index: idx")},
        {CREATE(AB "," LSI("{'IndexName':'idx'," KEYS(H("b") "," R("a")) "," ALL_OF "}")), 400,
         INVALID("Index KeySchema does not have the same leading hash key as table KeySchema for index: idx. index "
                 "hash key: b, table hash key: a")},
        {CREATE(DEFINED(A("a", "S")) "," KEYS(H("a")) "," ON_DEMAND
                                                      "," LSI("{'IndexName':'idx'," KEYS(H("a")) "," ALL_OF "}")),
         400,
         INVALID("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("x")) "," ALL_OF "}")), 400,
         INVALID("Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: "
                 "[a, b]")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("b")) ",'Projection':{}}")), 400,
         INVALID("Unknown ProjectionType: null")},
        {CREATE(AB "," GSI(
             "{'IndexName':'idx'," KEYS(H("b")) ",'Projection':{'ProjectionType':'ALL','NonKeyAttributes':['x']}}")),
         400, INVALID("ProjectionType is ALL, but NonKeyAttributes is specified")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(
             H("b")) "," ALL_OF ",'ProvisionedThroughput':{'ReadCapacityUnits':1,'WriteCapacityUnits':1}}")),
         400,
         INVALID("ProvisionedThroughput should not be specified for index: idx when BillingMode is PAY_PER_REQUEST")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("b")) "," ALL_OF "},{'IndexName':'idx'," KEYS(H("a")) "," ALL_OF
                                                                                                              "}")),
         400, INVALID("Duplicate index name: idx")},
        {CREATE(AB "," LSI("{'IndexName':'idx'," KEYS(H("a") "," R("b")) "," ALL_OF "}") "," GSI(
             "{'IndexName':'idx'," KEYS(H("b")) "," ALL_OF "}")),
         400, INVALID("Duplicate index name: idx")},
        /* [u] */
        {CREATE(DEFINED(A("a", "S") "," A("b", "S") "," A("c", "S")) "," KEYS(H("a")) "," ON_DEMAND "," GSI(
             "{'IndexName':'idx'," KEYS(H("b")) "," ALL_OF "}")),
         400, INVALID("Some AttributeDefinitions are not used. AttributeDefinitions: [a, b, c], keys used: [a, b]")},
        /* [q]: also if the types differ */
        {CREATE(DEFINED(A("a", "S") "," A("a", "S")) "," KEYS(H("a")) "," ON_DEMAND), 400,
         VALIDATION("Attribute Name is duplicated: a")},
        {CREATE(DEFINED(A("a", "S") "," A("b", "S") "," A("b", "N")) "," KEYS(H("a") "," R("b")) "," ON_DEMAND), 400,
         VALIDATION("Attribute Name is duplicated: b")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("b")) ",'Projection':{'ProjectionType':'INCLUDE'}}")), 400,
         INVALID("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("b")) "," INCLUDES("'x','y','x'") "}")), 400,
         INVALID("Duplicate element in NonKeyAttributes: x")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("b")) "," INCLUDES("") "}")), 400,
         CONSTRAINT("`[]`" AT(
             "globalSecondaryIndexes.1.member.projection.nonKeyAttributes") "have length greater than or equal to 1")},
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("b")) "," INCLUDES(
             "'1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17','18','19','20','21'") "}")),
         400,
         CONSTRAINT("`[..]`" AT(
             "globalSecondaryIndexes.1.member.projection.nonKeyAttributes") "have length less than or equal to 20")},
        {CREATE(DEFINED(A("a", "S") "," A("b", "S")) "," KEYS(H("a")) "," UNITS "," GSI(
             "{'IndexName':'idx'," KEYS(H("b")) "," ALL_OF "}")),
         400, INVALID("ProvisionedThroughput is not specified for index: idx")},
        /* what is not used is found before anything else of an index but its keys */
        {CREATE(DEFINED(A("a", "S") "," A("b", "S") "," A("c", "S")) "," KEYS(H("a")) "," ON_DEMAND "," GSI(
             "{'IndexName':'idx'," KEYS(H("b")) ",'Projection':{}}")),
         400, INVALID("Some AttributeDefinitions are not used. AttributeDefinitions: [a, b, c], keys used: [a, b]")},
        /* [c] global before local */
        {CREATE(AB "," LSI("{'IndexName':'l1'," KEYS(H("a") "," R("b")) "," ALL_OF "}") "," GSI(
             "{'IndexName':'g1'," KEYS(H("b")) "," ALL_OF "}")),
         400,
         VALIDATION("2 validation errors detected: Value `g1`" AT(
             "globalSecondaryIndexes.1.member.indexName") "have length greater than or equal to 3; Value "
                                                          "`l1`" AT("local"
                                                                    "SecondaryIndexes.1.member.indexName") "have"
                                                                                                           " len"
                                                                                                           "gth "
                                                                                                           "grea"
                                                                                                           "ter "
                                                                                                           "than"
                                                                                                           " or "
                                                                                                           "equa"
                                                                                                           "l "
                                                                                                           "to "
                                                                                                           "3")},
        /* [l] */
        {CREATE(AB "," GSI("{'IndexName':'idx'," KEYS(H("a") "," H("b") "," R("c")) "," ALL_OF "}")), 400,
         INVALID("Some index key attributes are not defined in AttributeDefinitions. Keys: [a, b, c], "
                 "AttributeDefinitions: [a, b]")},
        {CREATE(AB "," LSI("{'IndexName':'idx'," KEYS(H("a") "," R("b") "," R("c")) "," ALL_OF "}")), 400,
         CONSTRAINT("at `keySchema` failed to satisfy constraint: Member must have length less than or equal to 2")},
        {CREATE(AB ",'StreamSpecification':{'StreamEnabled':true}"), 400,
         INVALID("Table is being created with a stream enabled, UpdateViewType is required")},
        {CREATE(AB ",'StreamSpecification':{'StreamEnabled':false,'StreamViewType':'KEYS_ONLY'}"), 400,
         INVALID("Table is being created with a stream disabled, UpdateViewType should not be specified")},
        /* types [d] */
        {CREATE("'AttributeDefinitions':'x'"), 400, SERIALIZATION("Unexpected field type")},
        {CREATE("'AttributeDefinitions':['x']"), 400, SERIALIZATION("Unexpected value type in payload")},
        {CREATE("'AttributeDefinitions':[[]]"), 400,
         SERIALIZATION("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeDefinition")},
        {CREATE("'ProvisionedThroughput':{'ReadCapacityUnits':'x'}"), 400,
         SERIALIZATION("STRING_VALUE cannot be converted to Long")},
        {CREATE("'ProvisionedThroughput':5"), 400, SERIALIZATION("Unexpected field type")},
        {"ListTables", "{'TableNames':[]}", 200, "{'TableNames':['Bytes','Numbers','Plain','Songs']}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_table, twenty_indexes_and_no_more) {
    static char request[8192];
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (int count = 20; count <= 21; count++) {
        int at = snprintf(request, sizeof request, "{'TableName':'Of%d'," AB ",'GlobalSecondaryIndexes':[", count);
        for (int i = 0; i < count; i++)
            at += snprintf(request + at, sizeof request - (size_t)at,
                           "%s{'IndexName':'idx%d'," KEYS(H("b")) "," ALL_OF "}", i ? "," : "", i);
        snprintf(request + at, sizeof request - (size_t)at, "]}");
        dynamodb_expect(
            &f, &(struct row){"CreateTable", request, count == 20 ? 200 : 400,
                              count == 20 ? "{'TableDescription':..."
                                          : INVALID("GlobalSecondaryIndex count exceeds the per-table limit of 20")});
    }
    dynamodb_end(&f);
}

/* [d] [a] */
Test(dynamodb_table, list) {
    static const struct row rows[] = {
        {"ListTables", "{}", 200, "{'TableNames':['Bytes','Numbers','Plain','Songs']}"},
        {"ListTables", "{'Limit':2}", 200, "{'TableNames':['Bytes','Numbers'],'LastEvaluatedTableName':'Numbers'}"},
        {"ListTables", "{'Limit':2,'ExclusiveStartTableName':'Numbers'}", 200, "{'TableNames':['Plain','Songs']}"},
        {"ListTables", "{'Limit':1,'ExclusiveStartTableName':'Cats'}", 200,
         "{'TableNames':['Numbers'],'LastEvaluatedTableName':'Numbers'}"},
        {"ListTables", "{'ExclusiveStartTableName':'Songs'}", 200, "{'TableNames':[]}"},
        {"ListTables", "{'ExclusiveStartTableName':'Song'}", 200, "{'TableNames':['Songs']}"},
        {"ListTables", "{'Limit':0}", 400, CONSTRAINT("`0`" AT("limit") "have value greater than or equal to 1")},
        {"ListTables", "{'Limit':101}", 400, CONSTRAINT("`101`" AT("limit") "have value less than or equal to 100")},
        {"ListTables", "{'ExclusiveStartTableName':'a;'}", 400,
         VALIDATION("2 validation errors detected: Value `a;`" AT(
             "exclusiveStartTableName") "satisfy regular expression "
                                        "pattern: [a-zA-Z0-9_.-]+; Value `a;`" AT(
                                            "exclusiveStartTableName") "have length greater than or equal to 3")},
        {"ListTables", "{'Limit':'x'}", 400, SERIALIZATION("STRING_VALUE cannot be converted to Integer")},
        {"ListTables", "[]", 400, MALFORMED},
    };
    DYNAMODB_RUN(rows);
}

/* [a] [u] */
#define TTL(name, enabled) "'TimeToLiveSpecification':{'AttributeName':'" name "','Enabled':" enabled "}"
Test(dynamodb_table, time_to_live) {
    static const struct row rows[] = {
        {"DescribeTimeToLive", "{'TableName':'Plain'}", 200,
         "{'TimeToLiveDescription':{'TimeToLiveStatus':'DISABLED'}}"},
        {"UpdateTimeToLive", "{'TableName':'Plain'," TTL("at", "false") "}", 400,
         VALIDATION("TimeToLive is already disabled")},
        {"UpdateTimeToLive", "{'TableName':'Plain'," TTL("at", "true") "}", 200,
         "{'TimeToLiveSpecification':{'Enabled':true,'AttributeName':'at'}}"},
        {"DescribeTimeToLive", "{'TableName':'Plain'}", 200,
         "{'TimeToLiveDescription':{'TimeToLiveStatus':'ENABLED','AttributeName':'at'}}"},
        {"UpdateTimeToLive", "{'TableName':'Plain'," TTL("at", "true") "}", 400,
         VALIDATION("TimeToLive is already enabled")},
        {"UpdateTimeToLive", "{'TableName':'Plain'," TTL("other", "false") "}", 400,
         VALIDATION("TimeToLive is active on a different AttributeName: current AttributeName is at")},
        /* developer guide, "Using time to live": an item whose second has passed expires */
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'soon'},'at':{'N':'4000000000'}}}", 200, "{}"},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'soon'}}}", 200,
         "{'Item':{'at':{'N':'4000000000'},'pk':{'S':'soon'}}}"},
        {"UpdateTimeToLive", "{'TableName':'Plain'," TTL("at", "false") "}", 200,
         "{'TimeToLiveSpecification':{'Enabled':false,'AttributeName':'at'}}"},
        {"DescribeTimeToLive", "{'TableName':'Plain'}", 200,
         "{'TimeToLiveDescription':{'TimeToLiveStatus':'DISABLED'}}"},
        {"DescribeTimeToLive", "{'TableName':'None'}", 400, TABLE_GONE("None")},
        {"UpdateTimeToLive", "{'TableName':'None'," TTL("at", "true") "}", 400, TABLE_GONE("None")},
        {"UpdateTimeToLive", "{'TableName':'Plain'}", 400,
         CONSTRAINT("null" AT("timeToLiveSpecification") "not be null")},
        {"UpdateTimeToLive", "{'TableName':'Plain','TimeToLiveSpecification':{}}", 400,
         VALIDATION("2 validation errors detected: Value null" AT(
             "timeToLiveSpecification.enabled") "not be null; Value null" AT("timeToLiveSpecification."
                                                                             "attributeName") "not be null")},
        {"UpdateTimeToLive", "{'TableName':'Plain'," TTL("", "true") "}", 400,
         CONSTRAINT("``" AT("timeToLiveSpecification.attributeName") "have length greater than or equal to 1")},
    };
    DYNAMODB_RUN(rows);
}

/* [a] */
Test(dynamodb_table, of_the_account) {
    static const struct row rows[] = {
        {"DescribeLimits", "{}", 200,
         "{'AccountMaxReadCapacityUnits':80000,'AccountMaxWriteCapacityUnits':80000,'TableMaxReadCapacityUnits':40000,"
         "'TableMaxWriteCapacityUnits':40000}"},
        {"DescribeEndpoints", "{}", 200, "{'Endpoints':[{'Address':'localhost','CachePeriodInMinutes':1440}]}"},
        {"CreateBackup", "{}", 400, "{'__type':'com.amazon.coral.service#UnknownOperationException'}"},
        {"", "{}", 400, "{'__type':'com.amazon.coral.service#UnknownOperationException'}"},
        {"getItem", "{}", 400, "{'__type':'com.amazon.coral.service#UnknownOperationException'}"},
    };
    DYNAMODB_RUN(rows);
}
