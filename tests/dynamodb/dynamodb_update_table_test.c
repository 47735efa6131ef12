/* tests/dynamodb/dynamodb_update_table_test.c - UpdateTable.
 *
 * Goal     Indexes come and go on a table in use; settings change and come back; what is refused
 *          changes nothing.
 * Source   [c] the dynamodb-conformance suite (updateTable), run against the service in 2026. [d]
 *          dynalite's suite (updateTable). [u] the service's words as its users report them. [a]
 *          API reference.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_update_table, .timeout = 30 * SLOW_FACTOR);

#define A(name, type) "{'AttributeName':'" name "','AttributeType':'" type "'}"
#define DEFINED(list) "'AttributeDefinitions':[" list "]"
#define H(name) "{'AttributeName':'" name "','KeyType':'HASH'}"
#define R(name) "{'AttributeName':'" name "','KeyType':'RANGE'}"
#define ALL_OF "'Projection':{'ProjectionType':'ALL'}"
#define CHANGES(list) "'GlobalSecondaryIndexUpdates':[" list "]"
#define INDEX(name, keys, rest) "{'Create':{'IndexName':'" name "','KeySchema':[" keys "]," rest "}}"
#define DROP(name) "{'Delete':{'IndexName':'" name "'}}"
#define UNITS(read, write) "'ProvisionedThroughput':{'ReadCapacityUnits':" read ",'WriteCapacityUnits':" write "}"
#define UPDATE(name, rest) "UpdateTable", "{'TableName':'" name "'," rest "}"
#define DONE "{'TableDescription':{..."
#define LIMIT(message) SERVICE("LimitExceededException", message)
#define ONE_INDEX "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
#define ON_DEMAND "'BillingMode':'PAY_PER_REQUEST'"
#define QUERY(index, value)                                                                                            \
    "Query", "{'TableName':'Plain','IndexName':'" index                                                                \
             "','KeyConditionExpression':'g = :g','ExpressionAttributeValues':{':g':{'S':'" value "'}}}"

/* [c] */
Test(dynamodb_update_table, indexes_come_and_go) {
    static const struct row rows[] = {
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'1'},'g':{'S':'x'},'n':{'N':'2'}}}", 200, "{}"},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'2'},'g':{'S':'x'},'n':{'N':'1'},'more':{'S':'m'}}}", 200,
         "{}"},
        {UPDATE("Plain",
                DEFINED(A("g", "S") "," A("n", "N")) "," CHANGES(INDEX(
                    "first", H("g") "," R("n"), "'Projection':{'ProjectionType':'INCLUDE','NonKeyAttributes':['q']}"))),
         200,
         "{'TableDescription':{'AttributeDefinitions':[" A("g", "S") "," A("n", "N") "," A(
             "pk",
             "S") "],'TableName':'Plain',"
                  "'KeySchema':[" H(
                      "pk") "],'TableStatus':'ACTIVE','CreationDateTime':~,'TableId':'~','ProvisionedThroughput':{"
                            "'NumberOfDecreasesToday':0,'ReadCapacityUnits':0,'WriteCapacityUnits':0},'"
                            "TableSizeBytes':~,'ItemCount':2,'TableArn':"
                            "'arn:aws:dynamodb:larder:000000000000:table/"
                            "Plain','BillingModeSummary':{'BillingMode':'PAY_PER_REQUEST'},"
                            "'GlobalSecondaryIndexes':[{'IndexName':'first','KeySchema':[" H("g") "," R(
                                "n") "],'Projection':{'ProjectionType':"
                                     "'INCLUDE','NonKeyAttributes':['q']},'IndexStatus':'ACTIVE',..."},
        {QUERY("first", "x"), 200,
         "{'Items':[{'g':{'S':'x'},'n':{'N':'1'},'pk':{'S':'2'}},{'g':{'S':'x'},'n':{'N':'2'},'pk':{'S':'1'}}],'Count':"
         "2,"
         "'ScannedCount':2}"},
        /* the second takes what the table defines already */
        {UPDATE("Plain", DEFINED(A("unused", "S")) "," CHANGES(INDEX("second", H("g"), ALL_OF))), 200, DONE},
        {QUERY("second", "y"), 200, "{'Items':[],'Count':0,'ScannedCount':0}"},
        {UPDATE("Plain", CHANGES(DROP("first"))), 200, DONE},
        {QUERY("first", "x"), 400, VALIDATION("The table does not have the specified index: first")},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'3'},'g':{'S':'y'},'n':{'S':'any type now'}}}", 200, "{}"},
        {QUERY("second", "y"), 200,
         "{'Items':[{'g':{'S':'y'},'n':{'S':'any type now'},'pk':{'S':'3'}}],'Count':1,'ScannedCount':1}"},
        /* the name is free */
        {UPDATE("Plain", DEFINED(A("n", "S")) "," CHANGES(INDEX("first", H("n"), ALL_OF))), 200, DONE},
        {"Scan", "{'TableName':'Plain','IndexName':'first','Select':'COUNT'}", 200, "{'Count':1,'ScannedCount':1}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_update_table, refused) {
    static const struct row rows[] = {
        /* [d] */
        {"UpdateTable", "{}", 400,
         VALIDATION("The parameter `TableName` is required but was not present in the request")},
        {"UpdateTable", "{'TableName':'abc;'}", 400,
         VALIDATION("1 validation error detected: Value `abc;` at `tableName` failed to satisfy constraint: Member "
                    "must satisfy "
                    "regular expression pattern: [a-zA-Z0-9_.-]+")},
        {UPDATE("Plain", "'ProvisionedThroughput':{}"), 400,
         VALIDATION(
             "2 validation errors detected: Value null at `provisionedThroughput.writeCapacityUnits` failed to satisfy "
             "constraint: Member must not be null; Value null at `provisionedThroughput.readCapacityUnits` failed to "
             "satisfy "
             "constraint: Member must not be null")},
        {UPDATE("Plain", UNITS("0", "5")), 400,
         VALIDATION(
             "1 validation error detected: Value `0` at `provisionedThroughput.readCapacityUnits` failed to satisfy "
             "constraint: Member must have value greater than or equal to 1")},
        {UPDATE("Plain", CHANGES("{'Create':{}}")), 400,
         VALIDATION("3 validation errors detected: Value null at "
                    "`globalSecondaryIndexUpdates.1.member.create.indexName` failed to "
                    "satisfy constraint: Member must not be null; Value null at "
                    "`globalSecondaryIndexUpdates.1.member.create.keySchema` failed to satisfy constraint: Member must "
                    "not be null; "
                    "Value null at `globalSecondaryIndexUpdates.1.member.create.projection` failed to satisfy "
                    "constraint: Member must "
                    "not be null")},
        {UPDATE("Plain", CHANGES("{'Delete':{}}")), 400,
         VALIDATION("1 validation error detected: Value null at "
                    "`globalSecondaryIndexUpdates.1.member.delete.indexName` failed to "
                    "satisfy constraint: Member must not be null")},
        {UPDATE("Plain", UNITS("1000000000001", "5") ",'BillingMode':'PROVISIONED'"), 400,
         VALIDATION("Given value 1000000000001 for ReadCapacityUnits is out of bounds")},
        {UPDATE("Plain", "'BillingMode':'PROVISIONED'"), 400,
         INVALID("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")},
        {UPDATE("Plain", CHANGES("{}")), 400,
         INVALID("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                 "GlobalSecondaryIndexUpdate.Delete "
                 "must not be null")},
        {UPDATE("Plain", CHANGES(DROP("abc") "," DROP("abc"))), 400,
         INVALID("Only one global secondary index update per index is allowed simultaneously. Index: abc")},
        {UPDATE("Plain", CHANGES(DROP("abc") "," DROP("abd"))), 400, LIMIT(ONE_INDEX)},
        /* [u] */
        {UPDATE("Plain", "'KeySchema':[" H("x") "]"), 400,
         VALIDATION(
             "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
             "SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, "
             "MultiRegionConsistency, "
             "DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required")},
        {UPDATE("Plain", "'GlobalSecondaryIndexUpdates':[]"), 400,
         "{'__type':'com.amazon.coral.validate#ValidationException',"
         "'message':'At least one of..."},
        {UPDATE("Plain", "'GlobalSecondaryIndexUpdates':[]," ON_DEMAND), 400,
         INVALID("List of GlobalSecondaryIndexUpdates is empty")},
        {UPDATE("Plain", CHANGES("{'Create':{'IndexName':'abc','KeySchema':[" H(
                             "g") "]," ALL_OF "},'Delete':{'IndexName':'abc'}}")),
         400, INVALID("Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")},
        {UPDATE("Plain", "'DeletionProtectionEnabled':true,'TableClass':'STANDARD'"), 400,
         INVALID("TableClass modification must be the only operation in the request")},
        {UPDATE("Plain", "'DeletionProtectionEnabled':true,'SSESpecification':{'Enabled':true}"), 400,
         INVALID("Server-Side Encryption modification must be the only operation in the request")},
        {UPDATE("Plain", "'DeletionProtectionEnabled':true," ON_DEMAND), 400,
         INVALID("DeletionProtection modification must be the only operation in the request")},
        {UPDATE("Plain", "'OnDemandThroughput':{'MaxReadRequestUnits':1},'StreamSpecification':{'StreamEnabled':true,'"
                         "StreamViewType':"
                         "'KEYS_ONLY'}"),
         400, INVALID("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request")},
        {UPDATE("Plain",
                CHANGES(DROP("abc")) ",'StreamSpecification':{'StreamEnabled':true,'StreamViewType':'KEYS_ONLY'}"),
         400, INVALID("You cannot create or delete index while changing stream status")},
        {UPDATE("Plain", "'StreamSpecification':{'StreamEnabled':true}"), 400,
         INVALID("If stream is being enabled then UpdateViewType is required")},
        {UPDATE("Plain", "'StreamSpecification':{'StreamEnabled':false}"), 400,
         VALIDATION("Table has no stream to disable: TableName: Plain")},
        {UPDATE("Plain", "'SSESpecification':{'Enabled':false}"), 400,
         INVALID("Table is already encrypted by default")},
        {UPDATE("None", ON_DEMAND), 400,
         SERVICE("ResourceNotFoundException", "Requested resource not found: Table: None not found")},
        {UPDATE("Plain", UNITS("1", "1")), 400,
         INVALID(
             "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")},
        {UPDATE("Plain", UNITS("1", "1") "," ON_DEMAND), 400,
         INVALID(
             "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")},
        {UPDATE("Plain", CHANGES(DROP("abc"))), 400,
         SERVICE("ResourceNotFoundException", "Requested resource not found: Index abc for table Plain")},
        {UPDATE("Songs", CHANGES(DROP("by-length"))), 400,
         VALIDATION("Cannot delete an index that is not a GlobalSecondaryIndex: by-length")},
        {UPDATE("Songs", DEFINED(A("Label", "S")) "," CHANGES(INDEX("by-year", H("Label"), ALL_OF))), 400,
         VALIDATION("Attempting to create an index which already exists")},
        {UPDATE("Plain", CHANGES(INDEX("abc", H("g"), ALL_OF))), 400,
         INVALID("AttributeDefinitions is not specified for index: abc")},
        {UPDATE("Plain", DEFINED(A("g", "S") "," A("g", "N")) "," CHANGES(INDEX("abc", H("g"), ALL_OF))), 400,
         VALIDATION("Attribute Name is duplicated: g")},
        {UPDATE("Songs", CHANGES("{'Update':{'IndexName':'by-year'," UNITS("1", "1") "}}")), 400,
         INVALID("The only Updates for index: by-year when TableThroughputMode is PAY_PER_REQUEST can be to "
                 "OnDemandThroughput, WarmThroughput")},
        {UPDATE("Plain", DEFINED(A("other", "S")) "," CHANGES(INDEX("abc", H("g"), ALL_OF))), 400,
         INVALID("Some index key attributes are not defined in AttributeDefinitions. Keys: [g], AttributeDefinitions: "
                 "[other, pk]")},
        {UPDATE("Plain", DEFINED(A("g", "S")) "," CHANGES(INDEX("abc", R("g"), ALL_OF))), 400,
         VALIDATION("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")},
        {UPDATE("Plain",
                DEFINED(A("g", "S")) "," CHANGES(INDEX("abc", H("g"), "'Projection':{'ProjectionType':'INCLUDE'}"))),
         400, INVALID("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")},
        {UPDATE("Plain", DEFINED(A("g", "S")) "," CHANGES(INDEX("abc", H("g"), ALL_OF "," UNITS("1", "1")))), 400,
         INVALID("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: abc when BillingMode is "
                 "PAY_PER_REQUEST")},
        {UPDATE("Plain", "'ReplicaUpdates':[{'Create':{'RegionName':'x'}}]"), 400,
         VALIDATION("Larder does not have replicas: ReplicaUpdates must be absent")},
        /* types */
        {"UpdateTable", "{'GlobalSecondaryIndexUpdates':{}}", 400,
         SERIALIZATION("Start of structure or map found where not expected")},
        {"UpdateTable", "{'GlobalSecondaryIndexUpdates':[1]}", 400, SERIALIZATION("Unexpected value type in payload")},
        {"UpdateTable", "{'GlobalSecondaryIndexUpdates':[{'Create':1}]}", 400, SERIALIZATION("Unexpected field type")},
        {"UpdateTable",
         "{'GlobalSecondaryIndexUpdates':[{'Update':{'ProvisionedThroughput':{'ReadCapacityUnits':'1'}}}]}", 400,
         SERIALIZATION("STRING_VALUE cannot be converted to Long")},
        /* nothing of all this did anything */
        {"DescribeTable", "{'TableName':'Plain'}", 200,
         "{'Table':{'AttributeDefinitions':[" A("pk", "S") "],'TableName':'Plain','KeySchema':[" H(
             "pk") "],'TableStatus':'ACTIVE','ProvisionedThroughput':{'NumberOfDecreasesToday':0,'ReadCapacityUnits':0,"
                   "'WriteCapacityUnits':0},..."},
    };
    DYNAMODB_RUN(rows);
}

#define SAME(read, write)                                                                                              \
    VALIDATION("The provisioned throughput for the table will not change. The requested value equals the current "     \
               "value. Current ReadCapacityUnits provisioned for the table: " read                                     \
               ". Requested ReadCapacityUnits: " read ". Current WriteCapacityUnits provisioned for the table: " write \
               ". Requested WriteCapacityUnits: " write                                                                \
               ". Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.")
#define MADE(units, rest)                                                                                              \
    "{'Table':{'AttributeDefinitions':[" A("a", "S") "],'TableName':'Made','KeySchema':[" H(                           \
        "a") "],'TableStatus':'ACTIVE','CreationDateTime':~,'TableId':'~','ProvisionedThroughput':{"                   \
             "'NumberOfDecreasesToday':0," units                                                                       \
             "},'TableSizeBytes':0,'ItemCount':0,'TableArn':'arn:aws:dynamodb:larder:000000000000:table/Made'" rest    \
             "}}"
#define PER_REQUEST ",'BillingModeSummary':{'BillingMode':'PAY_PER_REQUEST','LastUpdateToPayPerRequestDateTime':~}"
#define DESCRIBE "DescribeTable", "{'TableName':'Made'}"

/* [c], [d] */
Test(dynamodb_update_table, settings) {
    static const struct row rows[] = {
        {"CreateTable", "{'TableName':'Made'," DEFINED(A("a", "S")) ",'KeySchema':[" H("a") "]," UNITS("5", "5") "}",
         200, DONE},
        {UPDATE("Made", UNITS("20", "15")), 200, DONE},
        {DESCRIBE, 200, MADE("'ReadCapacityUnits':20,'WriteCapacityUnits':15", ",'DeletionProtectionEnabled':false")},
        {UPDATE("Made", UNITS("20", "15")), 400, SAME("20", "15")},
        {UPDATE("Made", UNITS("20", "15") ",'BillingMode':'PROVISIONED'"), 400, SAME("20", "15")},
        {UPDATE("Made", "'OnDemandThroughput':{'MaxReadRequestUnits':1}"), 400,
         INVALID("MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is "
                 "PROVISIONED")},
        /* an index of a provisioned table has throughput of its own */
        {UPDATE("Made", DEFINED(A("g", "S")) "," CHANGES(INDEX("abc", H("g"), ALL_OF))), 400,
         INVALID("ProvisionedThroughput must be specified for index: abc")},
        {UPDATE("Made", DEFINED(A("g", "S")) "," CHANGES(INDEX("abc", H("g"), ALL_OF "," UNITS("3", "4")))), 200, DONE},
        {UPDATE("Made", CHANGES("{'Update':{'IndexName':'abc'," UNITS("3", "4") "}}")), 400,
         VALIDATION("The provisioned throughput for the index abc will not change. The requested value equals the "
                    "current value. "
                    "Current ReadCapacityUnits provisioned for the index: 3. Requested ReadCapacityUnits: 3. Current "
                    "WriteCapacityUnits provisioned for the index: 4. Requested WriteCapacityUnits: 4. Refer to the "
                    "Amazon DynamoDB "
                    "Developer Guide for current limits and how to request higher limits.")},
        {UPDATE("Made", CHANGES("{'Update':{'IndexName':'abc'," UNITS("8", "4") "}}")), 200,
         "{'TableDescription':{'AttributeDefinitions':[" A("a", "S") "," A(
             "g",
             "S") "],'TableName':'Made','KeySchema':[" H("a") "],'TableStatus':'ACTIVE','CreationDateTime':~,'TableId':"
                                                              "'~','ProvisionedThroughput':{'NumberOfDecreasesToday':0,"
                                                              "'ReadCapacityUnits':20,'WriteCapacityUnits':15},'"
                                                              "TableSizeBytes':0,'ItemCount':0,'TableArn':"
                                                              "'arn:aws:dynamodb:larder:000000000000:table/"
                                                              "Made','GlobalSecondaryIndexes':[{'IndexName':'abc','"
                                                              "KeySchema':[" H(
                                                                  "g") "],'Projection':{'ProjectionType':'ALL'},'"
                                                                       "IndexStatus':'ACTIVE','ProvisionedThroughput':{"
                                                                       "'NumberOfDecreasesToday':0,'ReadCapacityUnits':"
                                                                       "8,'WriteCapacityUnits':4},..."},
        /* a switch drops what belongs to the other mode */
        {UPDATE("Made", ON_DEMAND), 200, DONE},
        {UPDATE("Made", ON_DEMAND), 200, DONE},
        {UPDATE("Made", UNITS("1", "1") ",'BillingMode':'PROVISIONED'"), 400,
         INVALID("ProvisionedThroughput must be specified for index: abc")},
        {UPDATE("Made", CHANGES(DROP("abc"))), 200, DONE},
        {DESCRIBE, 200,
         MADE("'ReadCapacityUnits':0,'WriteCapacityUnits':0", PER_REQUEST ",'DeletionProtectionEnabled':false")},
        {UPDATE("Made", "'OnDemandThroughput':{'MaxReadRequestUnits':20,'MaxWriteRequestUnits':15}"), 200, DONE},
        {UPDATE("Made", "'OnDemandThroughput':{'MaxReadRequestUnits':-1}"), 200, DONE},
        {UPDATE("Made", "'TableClass':'STANDARD_INFREQUENT_ACCESS'"), 200, DONE},
        {UPDATE("Made", "'StreamSpecification':{'StreamEnabled':true,'StreamViewType':'KEYS_ONLY'}"), 200, DONE},
        {UPDATE("Made", "'StreamSpecification':{'StreamEnabled':true,'StreamViewType':'KEYS_ONLY'}"), 400,
         VALIDATION("Table already has an enabled stream: TableName: Made")},
        {UPDATE("Made", "'StreamSpecification':{'StreamEnabled':false}"), 200, DONE},
        {UPDATE("Made", "'SSESpecification':{'Enabled':true,'SSEType':'KMS','KMSMasterKeyId':'arn:aws:kms:x'}"), 200,
         DONE},
        {UPDATE("Made", "'DeletionProtectionEnabled':true"), 200, DONE},
        {DESCRIBE, 200,
         MADE("'ReadCapacityUnits':0,'WriteCapacityUnits':0", PER_REQUEST
              ",'OnDemandThroughput':{'MaxWriteRequestUnits':15},'LatestStreamLabel':'~','LatestStreamArn':"
              "'arn:aws:dynamodb:larder:000000000000:table/Made/stream/"
              "~','SSEDescription':{'Status':'ENABLED','SSEType':"
              "'KMS','KMSMasterKeyArn':'arn:aws:kms:x'},'TableClassSummary':{'TableClass':'STANDARD_INFREQUENT_ACCESS',"
              "'LastUpdateDateTime':~},'DeletionProtectionEnabled':true")},
        {UPDATE("Made", UNITS("1", "2") ",'BillingMode':'PROVISIONED'"), 200, DONE},
        {UPDATE("Made", UNITS("2", "2")), 200, DONE},
    };
    DYNAMODB_RUN(rows);
}

/* [a]: 20 global indexes. */
Test(dynamodb_update_table, as_many_indexes_as_are_allowed) {
    struct dynamodb_fixture f;
    char request[512];
    dynamodb_begin(&f);
    for (int i = 0; i < 21; i++) {
        int bytes = snprintf(
            request, sizeof request,
            "{\"TableName\":\"Plain\",\"AttributeDefinitions\":[{\"AttributeName\":\"k%d\",\"AttributeType\":\"S\"}],"
            "\"GlobalSecondaryIndexUpdates\":[{\"Create\":{\"IndexName\":\"index%d\",\"KeySchema\":[{\"AttributeName\":"
            "\"k%d\",\"KeyType\":\"HASH\"}],\"Projection\":{\"ProjectionType\":\"ALL\"}}}]}",
            i, i, i);
        dynamodb_expect_bytes(
            &f, "UpdateTable", request, (size_t)bytes, i < 20 ? 200 : 400,
            i < 20
                ? DONE
                : LIMIT("Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20"));
    }
    dynamodb_end(&f);
}
