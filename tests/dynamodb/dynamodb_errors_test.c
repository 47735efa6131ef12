/* tests/dynamodb/dynamodb_errors_test.c - what is refused, in which order, in which words.
 *
 * Goal     Each rule of a request has a row. Where a request breaks two, the service's first one is
 *          reported.
 * Source   [c] the dynamodb-conformance suite, "exact error messages" and "validation ordering",
 *          captured in eu-west-2 in June 2026; [d] dynalite's suites ("validations" of GetItem,
 *          PutItem, UpdateItem, DeleteItem), run against the service earlier. The language of
 *          expressions itself: tests/unit/expr/expr_errors_test.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_errors, .timeout = 30 * SLOW_FACTOR);

#define CONSTRAINT(rest) VALIDATION("1 validation error detected: Value " rest)
#define AT(name) " at `" name "` failed to satisfy constraint: Member must "
#define PATTERN "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
#define K "'Key':{'pk':{'S':'k'}}"
#define PLAIN "'TableName':'Plain'," K

#define INDEX_PATH(key)                                                                                                \
    VALIDATION(                                                                                                        \
        "Key attributes must be scalars; list random access `[]` and map lookup `.` are not allowed: IndexKey: " key)

Test(dynamodb_errors, constraints) {
    static const struct row rows[] = {
        /* [c] */
        {"PutItem", "{'Item':{'pk':{'S':'k'}}}", 400, CONSTRAINT("null" AT("tableName") "not be null")},
        {"PutItem", "{'TableName':null,'Item':{'pk':{'S':'k'}}}", 400,
         CONSTRAINT("null" AT("tableName") "not be null")},
        {"PutItem", "{'TableName':'','Item':{}}", 400,
         CONSTRAINT("at `TableName` failed to satisfy constraint: Member "
                    "must have length greater than or equal to 1")},
        {"PutItem", "{'TableName':'','ReturnValues':'INVALID'}", 400,
         CONSTRAINT("at `TableName` failed to satisfy constraint: Member must have length greater than or equal to 1")},
        {"PutItem", "{'TableName':'bad table!@#','Item':{'pk':{'S':'k'}}}", 400,
         CONSTRAINT("`bad table!@#`" AT("tableName") PATTERN)},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'ReturnConsumedCapacity':'INVALID',"
         "'ReturnItemCollectionMetrics':'INVALID','ReturnValues':'INVALID'}",
         400, "{'__type':'com.amazon.coral.validate#ValidationException','message':'3 validation errors detected: ..."},
        {"UpdateItem", "{" PLAIN ",'ReturnValues':'INVALID','ReturnConsumedCapacity':'INVALID'}", 400,
         CONSTRAINT("`INVALID`" AT(
             "returnValues") "satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]")},
        /* [d] */
        {"GetItem", "{}", 400,
         VALIDATION("2 validation errors detected: Value null" AT("tableName") "not be null; Value null" AT(
             "key") "not be null")},
        {"GetItem", "{'TableName':'a;'," K "}", 400,
         VALIDATION("2 validation errors detected: Value `a;`" AT("tableName") PATTERN
                    "; Value `a;`" AT("tableName") "have length greater than or equal to 3")},
        {"GetItem", "{" PLAIN ",'ReturnConsumedCapacity':'hi'}", 400,
         CONSTRAINT("`hi`" AT("returnConsumedCapacity") "satisfy enum value set: [INDEXES, TOTAL, NONE]")},
        {"PutItem", "{'TableName':'Plain'}", 400, CONSTRAINT("null" AT("item") "not be null")},
        {"DeleteItem", "{'TableName':'Plain'}", 400, CONSTRAINT("null" AT("key") "not be null")},
        {"DeleteItem", "{" PLAIN ",'ReturnItemCollectionMetrics':'hi'}", 400,
         CONSTRAINT("`hi`" AT("returnItemCollectionMetrics") "satisfy enum value set: [SIZE, NONE]")},
        {"DeleteItem", "{" PLAIN ",'ReturnValuesOnConditionCheckFailure':'hi'}", 400,
         CONSTRAINT("`hi`" AT("returnValuesOnConditionCheckFailure") "satisfy enum value set: [ALL_OLD, NONE]")},
        {"PutItem", "{'TableName':'Plain','Item':{},'ReturnValues':'UPDATED_OLD'}", 400,
         VALIDATION("ReturnValues can only be ALL_OLD or NONE")},
        {"DeleteItem", "{" PLAIN ",'ReturnValues':'ALL_NEW'}", 400,
         VALIDATION("ReturnValues can only be ALL_OLD or NONE")},
        /* types of parameters [d] */
        {"GetItem", "{'TableName':23," K "}", 400, SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"GetItem", "{" PLAIN ",'ConsistentRead':[]}", 400,
         SERIALIZATION("Unrecognized collection type class java.lang.Boolean")},
        {"GetItem", "{" PLAIN ",'ConsistentRead':{}}", 400,
         SERIALIZATION("Start of structure or map found where not expected")},
        {"GetItem", "{" PLAIN ",'ExpressionAttributeNames':[]}", 400,
         SERIALIZATION("Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>")},
        {"GetItem", "{" PLAIN ",'ExpressionAttributeNames':{'#a':1}}", 400,
         SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_errors, long_table_name) {
    char name[257], request[512], reply[512];
    struct dynamodb_fixture f;
    memset(name, 'a', 256);
    name[256] = 0;
    snprintf(request, sizeof request, "{'TableName':'%s','Item':{'pk':{'S':'test'}}}", name);
    snprintf(reply, sizeof reply, CONSTRAINT("`%s`" AT("tableName") "have length less than or equal to 255"), name);
    dynamodb_begin(&f);
    dynamodb_expect(&f, &(struct row){"PutItem", request, 400, reply});
    dynamodb_end(&f);
}

#define BOTH(older, newer)                                                                                             \
    VALIDATION("Can not use both expression and non-expression parameters in the same request: Non-expression "        \
               "parameters: {" older "} Expression parameters: {" newer "}")

Test(dynamodb_errors, parameters_that_exclude_each_other) {
    static const struct row rows[] = {
        /* [c] */
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'Expected':{'pk':{'Exists':false}},'ConditionExpression':"
         "'attribute_not_exists(pk)'}",
         400, BOTH("Expected", "ConditionExpression")},
        {"UpdateItem", "{" PLAIN ",'UpdateExpression':'SET a = :v','AttributeUpdates':{}}", 400,
         BOTH("AttributeUpdates", "UpdateExpression")},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'ExpressionAttributeValues':{':v':{'S':'x'}}}", 400,
         VALIDATION(
             "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")},
        /* [d] */
        {"UpdateItem", "{" PLAIN ",'ExpressionAttributeValues':{':v':{'S':'x'}}}", 400,
         VALIDATION("ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and "
                    "ConditionExpression are null")},
        {"GetItem", "{" PLAIN ",'AttributesToGet':['a'],'ExpressionAttributeNames':{},'ProjectionExpression':''}", 400,
         BOTH("AttributesToGet", "ProjectionExpression")},
        {"GetItem", "{" PLAIN ",'ExpressionAttributeNames':{}}", 400,
         VALIDATION("ExpressionAttributeNames can only be specified when using expressions")},
        {"GetItem", "{" PLAIN ",'AttributesToGet':null}", 200, "{}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_errors, expressions) {
    static const struct row rows[] = {
        /* [d], in their order */
        {"GetItem", "{'TableName':'none'," K ",'ProjectionExpression':'','ExpressionAttributeNames':{}}", 400,
         VALIDATION("ExpressionAttributeNames must not be empty")},
        {"GetItem", "{'TableName':'none'," K ",'ProjectionExpression':'','ExpressionAttributeNames':{'a':'a'}}", 400,
         VALIDATION("ExpressionAttributeNames contains invalid key: Syntax error; key: \\'a\\'")},
        {"UpdateItem", "{'TableName':'none'," K ",'UpdateExpression':'','ExpressionAttributeValues':{}}", 400,
         VALIDATION("ExpressionAttributeValues must not be empty")},
        {"UpdateItem", "{'TableName':'none'," K ",'UpdateExpression':'','ExpressionAttributeValues':{'b':{'S':'a'}}}",
         400, VALIDATION("ExpressionAttributeValues contains invalid key: Syntax error; key: \\'b\\'")},
        {"UpdateItem",
         "{'TableName':'none'," K ",'UpdateExpression':'','ExpressionAttributeValues':{':b':{'a':''},'b':{'S':'a'}}}",
         400, VALIDATION("ExpressionAttributeValues contains invalid key: Syntax error; key: \\'b\\'")},
        {"UpdateItem", "{'TableName':'none'," K ",'UpdateExpression':'','ExpressionAttributeValues':{':b':{'L':[{}]}}}",
         400,
         VALIDATION("ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain "
                    "exactly one of the supported datatypes for key :b")},
        {"UpdateItem", "{'TableName':'none'," K ",'UpdateExpression':'','ExpressionAttributeValues':{':b':{'SS':[]}}}",
         400,
         VALIDATION("ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An "
                    "string set  may not be empty for key :b")},
        {"UpdateItem", "{'TableName':'none'," K ",'UpdateExpression':'','ExpressionAttributeValues':{':b':{'N':'b'}}}",
         400,
         VALIDATION("ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric "
                    "value: b for key :b")},
        {"UpdateItem", "{'TableName':'none'," K ",'UpdateExpression':'','ConditionExpression':''}", 400,
         VALIDATION("Invalid UpdateExpression: The expression can not be empty;")},
        {"UpdateItem", "{'TableName':'none'," K ",'ConditionExpression':''}", 400,
         VALIDATION("Invalid ConditionExpression: The expression can not be empty;")},
        /* [c] */
        {"GetItem", "{" PLAIN ",'ProjectionExpression':'!!! INVALID !!!'}", 400,
         VALIDATION("Invalid ProjectionExpression: Syntax error; token: \\'!\\', near: \\'!!\\'")},
        {"UpdateItem", "{" PLAIN ",'UpdateExpression':'SET attr1 = :v'}", 400,
         VALIDATION(
             "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute "
             "value: :v")},
        {"UpdateItem",
         "{" PLAIN ",'UpdateExpression':'SET attr1 = :v','ExpressionAttributeValues':{':v':{'S':'val'}},"
         "'ExpressionAttributeNames':{'#unused':'someattr'}}",
         400, VALIDATION("Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}")},
        {"UpdateItem",
         "{" PLAIN ",'UpdateExpression':'SET attr1 = :v','ExpressionAttributeValues':{':v':{'S':'val'},':unused':{'S':"
         "'x'}}}",
         400, VALIDATION("Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'ConditionExpression':'((attribute_not_exists(pk)))'}", 400,
         VALIDATION("Invalid ConditionExpression: The expression has redundant parentheses;")},
        /* the same, when the expression is known from an earlier request */
        {"UpdateItem", "{" PLAIN ",'UpdateExpression':'ADD c :v','ExpressionAttributeValues':{':v':{'N':'1'}}}", 200,
         "{}"},
        {"UpdateItem", "{" PLAIN ",'UpdateExpression':'ADD c :v'}", 400,
         VALIDATION(
             "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute "
             "value: :v")},
        {"UpdateItem",
         "{'TableName':'none'," K ",'UpdateExpression':'ADD c :v','ExpressionAttributeValues':{':v':{'S':'1'}}}", 400,
         VALIDATION("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand "
                    "type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND")},
        {"UpdateItem",
         "{" PLAIN ",'UpdateExpression':'ADD c :v','ExpressionAttributeValues':{':v':{'N':'1'},':w':{'N':'1'}}}", 400,
         VALIDATION("Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}")},
        /* the engine's, with the service's message */
        {"UpdateItem", "{" PLAIN ",'UpdateExpression':'SET a = b'}", 400,
         VALIDATION("The provided expression refers to an attribute that does not exist in the item")},
    };
    DYNAMODB_RUN(rows);
}

#define MISMATCH VALIDATION("The provided key element does not match the schema")
#define EMPTY_KEY(type)                                                                                                \
    VALIDATION("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an " \
               "empty " type " value. Key: pk")

Test(dynamodb_errors, tables_and_keys) {
    static const struct row rows[] = {
        {"GetItem", "{'TableName':'none','Key':{}}", 400, NOT_FOUND}, /* [d] */
        {"PutItem", "{'TableName':'none','Item':{}}", 400, NOT_FOUND},
        {"DeleteItem", "{'TableName':'none'," K "}", 400, NOT_FOUND}, /* [c] */
        {"UpdateItem", "{'TableName':'none'," K "}", 400, NOT_FOUND},
        {"GetItem", "{'TableName':'Plain','Key':{}}", 400, MISMATCH}, /* [d] */
        {"GetItem", "{'TableName':'Plain','Key':{'b':{'S':'a'}}}", 400, MISMATCH},
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'a'},'b':{'S':'a'}}}", 400, MISMATCH},
        {"DeleteItem", "{'TableName':'Plain','Key':{'pk':{'N':'1'}}}", 400, MISMATCH},
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'M':{}}}}", 400, MISMATCH},
        {"GetItem", "{'TableName':'Songs','Key':{'Artist':{'S':'a'}}}", 400, MISMATCH}, /* [c] */
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':''}}}", 400, EMPTY_KEY("string")},
        {"GetItem", "{'TableName':'Bytes','Key':{'pk':{'B':''}}}", 400, EMPTY_KEY("binary")}, /* [c] */
        {"PutItem", "{'TableName':'Bytes','Item':{'pk':{'B':''}}}", 400, EMPTY_KEY("binary")},
        /* [d] */
        {"PutItem", "{'TableName':'Plain','Item':{}}", 400, INVALID("Missing the key pk in the item")},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'BS':['aaaa']}}}", 400,
         INVALID("Type mismatch for key pk expected: S actual: BS")},
        {"PutItem", "{'TableName':'Songs','Item':{'Artist':{'S':'a'}}}", 400,
         INVALID("Missing the key Title in the item")},
        {"PutItem", "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'b'},'Year':{'S':'x'}}}", 400,
         INVALID("Type mismatch for Index Key Year Expected: N Actual: S IndexName: by-year")},
        {"UpdateItem",
         "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'b'}},'UpdateExpression':'SET #y = :y',"
         "'ExpressionAttributeNames':{'#y':'Year'},'ExpressionAttributeValues':{':y':{'S':'x'}}}",
         400, INVALID("Type mismatch for Index Key Year Expected: N Actual: S IndexName: by-year")},
        {"PutItem", "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'b'},'x':{'S':'x'}}}", 200, "{}"},
        {"UpdateItem",
         "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'b'}},'UpdateExpression':'SET #y = x',"
         "'ExpressionAttributeNames':{'#y':'Year'}}",
         400, VALIDATION("The update expression attempted to update the secondary index key to unsupported type")},
        /* [c] */
        {"UpdateItem", "{" PLAIN ",'UpdateExpression':'SET pk = :v','ExpressionAttributeValues':{':v':{'S':'x'}}}", 400,
         INVALID("Cannot update attribute pk. This attribute is part of the key")},
        /* [d] */
        {"GetItem", "{" PLAIN ",'ProjectionExpression':'pk.a'}", 400,
         VALIDATION(
             "Key attributes must be scalars; list random access `[]` and map lookup `.` are not allowed: Key: pk")},
        {"GetItem",
         "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'b'}},'ProjectionExpression':'#y[0]',"
         "'ExpressionAttributeNames':{'#y':'Year'}}",
         400, INDEX_PATH("Year")},
        {"Scan",
         "{'TableName':'Songs','FilterExpression':'attribute_exists(#y.a)','ExpressionAttributeNames':{'#y':'Year'}}",
         400, INDEX_PATH("Year")},
        {"UpdateItem",
         "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'b'}},'UpdateExpression':'DELETE #y :v',"
         "'ExpressionAttributeNames':{'#y':'Year'},'ExpressionAttributeValues':{':v':{'SS':['x']}}}",
         400, INVALID("Type mismatch for Index Key Year Expected: N Actual: SS IndexName: by-year")},
        {"UpdateItem",
         "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'b'}},'UpdateExpression':'SET x = #y.a',"
         "'ExpressionAttributeNames':{'#y':'Year'}}",
         400, INDEX_PATH("Year")},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_errors, sizes_of_keys) {
    struct dynamodb_fixture f;
    char key[2100], request[2300];
    dynamodb_begin(&f);
    for (int over = 0; over < 2; over++) {
        memset(key, 'x', sizeof key);
        key[2048 + over] = 0;
        snprintf(request, sizeof request, "{'TableName':'Plain','Key':{'pk':{'S':'%s'}}}", key);
        dynamodb_expect(
            &f,
            &(struct row){"GetItem", request, over ? 400 : 200,
                          over ? INVALID("Size of hashkey has exceeded the maximum size limit of2048 bytes") : "{}"});
        key[1024 + over] = 0;
        snprintf(request, sizeof request, "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'%s'}}}", key);
        dynamodb_expect(
            &f,
            &(struct row){"GetItem", request, over ? 400 : 200,
                          over ? INVALID("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
                               : "{}"});
    }
    dynamodb_end(&f);
}

/* larder_dynamodb.h: LARDER_E_FULL is a LimitExceededException. It says what is asked and free. */
Test(dynamodb_errors, a_full_segment) {
    enum { BYTES = 300000 };
    struct dynamodb_fixture f;
    struct larder_dynamodb_reply reply = {.status = 200};
    char *request = malloc(BYTES + 200);
    cr_assert(request);
    dynamodb_begin(&f);
    for (int i = 0; i < 100 && reply.status == 200; i++) {
        int used =
            snprintf(request, 200, "{\"TableName\":\"Numbers\",\"Item\":{\"pk\":{\"N\":\"%d\"},\"v\":{\"S\":\"", i);
        memset(request + used, 'x', BYTES);
        strcpy(request + used + BYTES, "\"}}}");
        EXPECT(larder_dynamodb_call(f.dynamodb, "PutItem", request, strlen(request), &reply), LARDER_OK);
    }
    cr_assert(reply.status == 400 && strstr(reply.body, "LimitExceededException") && strstr(reply.body, "in use"), "%s",
              reply.body);
    dynamodb_end(&f);
    free(request);
}

Test(dynamodb_errors, arguments) {
    struct dynamodb_fixture f;
    struct larder_dynamodb_reply reply = {.status = 7};
    struct larder_dynamodb *none = NULL;
    dynamodb_begin(&f);
    EXPECT(larder_dynamodb_new(NULL, &none), LARDER_E_INVAL);
    EXPECT(larder_dynamodb_new(f.db, NULL), LARDER_E_INVAL);
    EXPECT(larder_dynamodb_call(NULL, "GetItem", "{}", 2, &reply), LARDER_E_INVAL);
    EXPECT(larder_dynamodb_call(f.dynamodb, NULL, "{}", 2, &reply), LARDER_E_INVAL);
    EXPECT(larder_dynamodb_call(f.dynamodb, "GetItem", NULL, 2, &reply), LARDER_E_INVAL);
    EXPECT(larder_dynamodb_call(f.dynamodb, "GetItem", "{}", 2, NULL), LARDER_E_INVAL);
    cr_assert(reply.status == 7 && !none);
    larder_dynamodb_free(NULL);
    EXPECT(larder_dynamodb_call(f.dynamodb, "GetItem", NULL, 0, &reply), LARDER_OK);
    cr_assert(reply.status == 400);
    dynamodb_end(&f);
}
