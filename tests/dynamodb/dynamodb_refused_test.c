/* tests/dynamodb/dynamodb_refused_test.c - invalid requests, and the words for each.
 *
 * Goal     Every kind of mistake in a request has a row: in the values and names of expressions, in
 *          the expressions themselves, in older parameters, in start keys.
 * Source   [d] the words of dynalite 4, whose suites were run against the service: the same request
 *          was sent to both. Rows without it name their own source.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_refused, .timeout = 30 * SLOW_FACTOR);

#define NAMES(names) ",'ExpressionAttributeNames':{" names "}"
#define VALUES(values) ",'ExpressionAttributeValues':{" values "}"
#define CONDITION(text, more)                                                                                          \
    "PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'ConditionExpression':'" text "'" more "}"
#define UPDATE(text, more)                                                                                             \
    "UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'UpdateExpression':'" text "'" more "}"
#define QUERY(text, more) "Query", "{'TableName':'Songs','KeyConditionExpression':'" text "'" more "}"

/* [d] The name of the value stands behind what is wrong with it. */
Test(dynamodb_refused, values_of_expressions) {
    static const struct row rows[] = {
        {CONDITION("a = :v", VALUES("':v':{'N':'abc'}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric "
                    "value: abc for key :v")},
        {CONDITION("a = :v", VALUES("':v':{}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain "
                    "exactly one of the supported datatypes for key :v")},
        {CONDITION("a = :v", VALUES("':v':{'S':'a','N':'1'}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid value: Supplied AttributeValue has more than one "
                    "datatypes set, must contain exactly one of the supported datatypes for key :v")},
        {CONDITION("a = :v", VALUES("':v':{'SS':[]}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An "
                    "string set  may not be empty for key :v")},
        {CONDITION("a = :v", VALUES("':v':{'SS':['a','a']}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: "
                    "Input collection [a, a] contains duplicates. for key :v")},
        {CONDITION("a = :v", VALUES("':v':{'NS':['1','1.0']}")), 400,
         VALIDATION(
             "ExpressionAttributeValues contains invalid value: Input collection contains duplicates for key :v")},
        {CONDITION("a = :v", VALUES("':v':{'M':{'b':{'N':''}}}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric "
                    "value for key :v")},
        {CONDITION("a = :v", VALUES("'v':{'S':'a'}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid key: Syntax error; key: \\'v\\'")},
        {CONDITION("a = :v", VALUES("':':{'S':'a'}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid key: Syntax error; key: \\':\\'")},
        {CONDITION("a = :v", VALUES("':a-b':{'S':'a'}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid key: Syntax error; key: \\':a-b\\'")},
        {CONDITION("a = :v", VALUES("'':{'S':'a'}")), 400,
         VALIDATION("ExpressionAttributeValues contains invalid key: Syntax error; key: \\'\\'")},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_refused, conditions) {
    static const struct row rows[] = {
        {CONDITION("a = :v", ""), 400,
         VALIDATION("Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
                    "attribute value: :v")},
        {CONDITION("#a = :v", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid ConditionExpression: An expression attribute name used in the document path is not "
                    "defined; attribute name: #a")},
        {CONDITION("#a = :v", NAMES("'a':'b'") VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("ExpressionAttributeNames contains invalid key: Syntax error; key: \\'a\\'")},
        {CONDITION("#a = :v", NAMES("'#a':'b','#c':'d'") VALUES("':v':{'S':'1'},':w':{'S':'1'}")), 400,
         VALIDATION("Value provided in ExpressionAttributeNames unused in expressions: keys: {#c}")},
        {CONDITION("a BETWEEN :x AND :y", VALUES("':x':{'N':'2'},':y':{'N':'1'}")), 400,
         VALIDATION(
             "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to "
             "lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}")},
        {CONDITION("a BETWEEN :x AND :y", VALUES("':x':{'N':'2'},':y':{'S':'1'}")), 400,
         VALIDATION("Invalid ConditionExpression: The BETWEEN operator requires same data type for lower and upper "
                    "bounds; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {S:1}")},
        {CONDITION("attribute_exists(:v)", VALUES("':v':{'S':'a'}")), 400,
         VALIDATION("Invalid ConditionExpression: Operator or function requires a document path; operator or function: "
                    "attribute_exists")},
        {CONDITION("attribute_exists(a, b)", ""), 400,
         VALIDATION("Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or "
                    "function: attribute_exists, number of operands: 2")},
        {CONDITION("size(a)", ""), 400,
         VALIDATION("Invalid ConditionExpression: The function is not allowed to be used this way in an expression; "
                    "function: size")},
        {CONDITION("begins_with(a, :v)", VALUES("':v':{'N':'1'}")), 400,
         VALIDATION("Invalid ConditionExpression: Incorrect operand type for operator or function; operator or "
                    "function: begins_with, operand type: N")},
        {CONDITION("begins_with(a)", ""), 400,
         VALIDATION("Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or "
                    "function: begins_with, number of operands: 1")},
        {CONDITION("contains(a, a)", ""), 400,
         VALIDATION("Invalid ConditionExpression: The first operand must be distinct from the remaining operands for "
                    "this operator or function; operator: contains, first operand: [a]")},
        {CONDITION("attribute_type(a, :v)", VALUES("':v':{'N':'1'}")), 400,
         VALIDATION("Invalid ConditionExpression: Incorrect operand type for operator or function; operator or "
                    "function: attribute_type, operand type: N")},
        {CONDITION("foo(a)", ""), 400, VALIDATION("Invalid ConditionExpression: Invalid function name; function: foo")},
        {CONDITION("a = a", ""), 400,
         VALIDATION("Invalid ConditionExpression: The first operand must be distinct from the remaining operands for "
                    "this operator or function; operator: =, first operand: [a]")},
        {CONDITION("abort = b", ""), 400,
         VALIDATION("Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: abort")},
        {CONDITION("size(:v) = a", VALUES("':v':{'N':'1'}")), 400,
         VALIDATION("Invalid ConditionExpression: Incorrect operand type for operator or function; operator or "
                    "function: size, operand type: N")},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_refused, updates) {
    static const struct row rows[] = {
        {UPDATE("SET a = :v, a = :v", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one "
                    "of these paths; path one: [a], path two: [a]")},
        {UPDATE("SET a = :v SET b = :v", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: The \\'SET\\' section can only be used once in an update expression;")},
        {UPDATE("SET a.b = :v, a = :v", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one "
                    "of these paths; path one: [a, b], path two: [a]")},
        {UPDATE("SET a[0] = :v, a.b = :v", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one "
                    "of these paths; path one: [a, [0]], path two: [a, b]")},
        {UPDATE("SET a = :v + :w", VALUES("':v':{'S':'1'},':w':{'N':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: "
                    "+, operand type: S")},
        {UPDATE("SET a = if_not_exists(a)", ""), 400,
         VALIDATION("Invalid UpdateExpression: Incorrect number of operands for operator or function; operator or "
                    "function: if_not_exists, number of operands: 1")},
        {UPDATE("SET a = if_not_exists(:v, a)", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Operator or function requires a document path; operator or function: "
                    "if_not_exists")},
        {UPDATE("SET a = list_append(:v, a)", VALUES("':v':{'S':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: "
                    "list_append, operand type: S")},
        {UPDATE("REMOVE a[0], a[0]", ""), 400,
         VALIDATION("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one "
                    "of these paths; path one: [a, [0]], path two: [a, [0]]")},
        {UPDATE("SET #a.b = :v, #c.b = :v", NAMES("'#a':'x','#c':'x'") VALUES("':v':{'N':'1'}")), 400,
         VALIDATION("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one "
                    "of these paths; path one: [x, b], path two: [x, b]")},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_refused, key_conditions) {
    static const struct row rows[] = {
        {QUERY("Artist > :a", VALUES("':a':{'S':'1'}")), 400, VALIDATION("Query key condition not supported")},
        {QUERY("Artist = :a AND Foo = :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Query condition missed key schema element: Title")},
        {QUERY("Artist = :a OR Title = :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid operator used in KeyConditionExpression: OR")},
        {QUERY("Artist = :a AND Title <> :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid operator used in KeyConditionExpression: <>")},
        {QUERY("Artist = :a AND NOT Title = :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid operator used in KeyConditionExpression: NOT")},
        {QUERY("Artist = :a AND contains(Title, :a)", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid operator used in KeyConditionExpression: contains")},
        {QUERY("Artist = :a AND begins_with(Title, :b)", VALUES("':a':{'S':'1'},':b':{'N':'1'}")), 400,
         VALIDATION("Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
                    "function: begins_with, operand type: N")},
        {QUERY("Artist = :a AND Title BETWEEN :b AND :a", VALUES("':a':{'S':'1'},':b':{'S':'2'}")), 400,
         VALIDATION(
             "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to "
             "lower bound; lower bound operand: AttributeValue: {S:2}, upper bound operand: AttributeValue: {S:1}")},
        {QUERY("Artist = :a AND Title IN (:a)", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid operator used in KeyConditionExpression: IN")},
        {QUERY("Artist = :a AND attribute_exists(Title)", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid operator used in KeyConditionExpression: attribute_exists")},
        {QUERY("Artist = :a AND size(Title) = :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("KeyConditionExpressions cannot contain nested operations")},
        {QUERY("Artist.x = :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("KeyConditionExpressions cannot have conditions on nested attributes")},
        {QUERY("Artist = :a AND Artist = :a", VALUES("':a':{'S':'1'}")), 400,
         VALIDATION("Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per "
                    "key")},
        {QUERY("Artist = :a", VALUES("':a':{'S':'1'}") ",'IndexName':'by-year'"), 400,
         VALIDATION("Query condition missed key schema element: Year")},
        {QUERY("Year = :a", VALUES("':a':{'N':'1'}") ",'IndexName':'by-year','ConsistentRead':true"), 400,
         VALIDATION("Invalid KeyConditionExpression: Attribute name is a reserved keyword; reserved keyword: Year")},
        {QUERY("Artist = :a", VALUES("':a':{'S':'1'}") ",'IndexName':'none'"), 400,
         VALIDATION("The table does not have the specified index: none")},
        {QUERY("Artist = :a", VALUES("':a':{'S':'1'}") ",'IndexName':'ab'"), 400,
         VALIDATION("1 validation error detected: Value `ab` at `indexName` failed to satisfy constraint: Member must "
                    "have length greater than or equal to 3")},
        {QUERY("Artist = :a", VALUES("':a':{'S':'1'}") ",'ProjectionExpression':'Title, Title'"), 400,
         VALIDATION("Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite "
                    "one of these paths; path one: [Title], path two: [Title]")},
        {QUERY("Artist = :a", VALUES("':a':{'S':'1'}") ",'ProjectionExpression':'a.b, a'"), 400,
         VALIDATION("Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite "
                    "one of these paths; path one: [a, b], path two: [a]")},
        {QUERY("Artist = :a", VALUES("':a':{'S':'1'}") ",'ProjectionExpression':'a[0], a.b'"), 400,
         VALIDATION("Invalid ProjectionExpression: Two document paths conflict with each other; must remove or rewrite "
                    "one of these paths; path one: [a, [0]], path two: [a, b]")},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_refused, older_parameters) {
    static const struct row rows[] = {
        {"Query",
         "{'TableName':'Songs','KeyConditions':{'Artist':{'ComparisonOperator':'EQ','AttributeValueList':[]}}}", 400,
         INVALID("Invalid number of argument(s) for the EQ ComparisonOperator")},
        {"Scan", "{'TableName':'Songs','ScanFilter':{'a':{}}}", 400,
         VALIDATION("1 validation error detected: Value null at `scanFilter.a.member.comparisonOperator` failed to "
                    "satisfy constraint: Member must not be null")},
        {"UpdateItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'AttributeUpdates':{'a':{'Action':'DELETE','Value':{'S':'a'}}}}",
         400, INVALID("DELETE action with value is not supported for the type S")},
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'Expected':{'a':{'Exists':true}}}", 400,
         INVALID("Value must be provided when Exists is true for Attribute: a")},
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'Expected':{'a':{}}}", 400,
         INVALID("Value must be provided when Exists is null for Attribute: a")},
        {"UpdateItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'Expected':{'a':{'Exists':false,'Value':{'S':'x'}}}}", 400,
         INVALID("Value cannot be used when Exists is false for Attribute: a")},
        {"UpdateItem", "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'Expected':{'a':{'ComparisonOperator':'EQ'}}}", 400,
         INVALID("Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a")},
        {"UpdateItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'Expected':{'a':{'AttributeValueList':[{'S':'a'}]}}}", 400,
         INVALID("AttributeValueList can only be used with a ComparisonOperator for Attribute: a")},
        {"Scan",
         "{'TableName':'Songs','ScanFilter':{'a':{'ComparisonOperator':'BEGINS_WITH','AttributeValueList':[{'N':'1'}]}}"
         "}",
         400, INVALID("ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")},
        {"Scan",
         "{'TableName':'Songs','ScanFilter':{'a':{'ComparisonOperator':'LT','AttributeValueList':[{'SS':['a']}]}}}",
         400, INVALID("ComparisonOperator LT is not valid for SS AttributeValue type")},
        {"Scan",
         "{'TableName':'Songs','ScanFilter':{'a':{'ComparisonOperator':'CONTAINS','AttributeValueList':[{'L':[]}]}}}",
         400, INVALID("ComparisonOperator CONTAINS is not valid for L AttributeValue type")},
        {"Scan",
         "{'TableName':'Songs','ScanFilter':{'a':{'ComparisonOperator':'IN','AttributeValueList':[{'SS':['b']}]}}}",
         400, INVALID("ComparisonOperator IN is not valid for SS AttributeValue type")},
        {"Scan", "{'TableName':'Songs','ScanFilter':{'a':{'ComparisonOperator':'EQ'}}}", 400,
         INVALID("Invalid number of argument(s) for the EQ ComparisonOperator")},
        {"UpdateItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'AttributeUpdates':{'a':{'Action':'ADD','Value':{'BOOL':true}}}}",
         400, INVALID("ADD action is not supported for the type BOOL")},
        {"UpdateItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'AttributeUpdates':{'a':{'Action':'ADD','Value':{'M':{}}}}}", 400,
         INVALID("ADD action is not supported for the type M")},
        {"UpdateItem",
         "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'AttributeUpdates':{'a':{'Action':'DELETE','Value':{'M':{}}}}}",
         400, INVALID("DELETE action with value is not supported for the type M")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'Expected':{'a':{'ComparisonOperator':'IN','AttributeValueList':"
         "[]}}}",
         400, INVALID("Invalid number of argument(s) for the IN ComparisonOperator")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'Expected':{'a':{'ComparisonOperator':'NOT_NULL','"
         "AttributeValueList':[{'S':'a'}]}}}",
         400, INVALID("Invalid number of argument(s) for the NOT_NULL ComparisonOperator")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'Expected':{'a':{'Exists':true,'ComparisonOperator':'EQ','"
         "AttributeValueList':[{'S':'a'}]}}}",
         400, INVALID("Exists and ComparisonOperator cannot be used together for Attribute: a")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'Expected':{'a':{'Exists':false,'AttributeValueList':[{'S':'a'}]"
         "}}}",
         400, INVALID("AttributeValueList can only be used with a ComparisonOperator for Attribute: a")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},'Expected':{'a':{'ComparisonOperator':'FOO','AttributeValueList'"
         ":[{'S':'a'}]}}}",
         400,
         VALIDATION("1 validation error detected: Value `FOO` at `expected.a.member.comparisonOperator` failed to "
                    "satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, "
                    "GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]")},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_refused, other_operations) {
    static const struct row rows[] = {
        {"Scan", "{'TableName':'Songs','TotalSegments':0,'Segment':0}", 400,
         VALIDATION("1 validation error detected: Value `0` at `totalSegments` failed to satisfy constraint: Member "
                    "must have value greater than or equal to 1")},
        {"Scan", "{'TableName':'Songs','Segment':-1,'TotalSegments':2}", 400,
         VALIDATION("1 validation error detected: Value `-1` at `segment` failed to satisfy constraint: Member must "
                    "have value greater than or equal to 0")},
        {"Scan", "{'TableName':'Songs','Segment':2,'TotalSegments':2}", 400,
         VALIDATION("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is "
                    "not less than TotalSegments: 2")},
        {"Scan", "{'TableName':'Songs','FilterExpression':''}", 400,
         VALIDATION("Invalid FilterExpression: The expression can not be empty;")},
        {"Scan", "{'TableName':'Songs','IndexName':'none'}", 400,
         VALIDATION("The table does not have the specified index: none")},
        {"Scan", "{'TableName':'Songs','Select':'FOO'}", 400,
         VALIDATION("1 validation error detected: Value `FOO` at `select` failed to satisfy constraint: Member must "
                    "satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]")},
        {"BatchGetItem", "{}", 400,
         VALIDATION("1 validation error detected: Value null at `requestItems` failed to satisfy constraint: Member "
                    "must not be null")},
        {"BatchGetItem", "{'RequestItems':{}}", 400,
         VALIDATION("1 validation error detected: Value `{}` at `requestItems` failed to satisfy constraint: Member "
                    "must have length greater than or equal to 1")},
        {"BatchGetItem", "{'RequestItems':{'Plain':{}}}", 400,
         VALIDATION("1 validation error detected: Value null at `requestItems.Plain.member.keys` failed to satisfy "
                    "constraint: Member must not be null")},
        {"BatchWriteItem", "{'RequestItems':{}}", 400,
         VALIDATION("1 validation error detected: Value `{}` at `requestItems` failed to satisfy constraint: Member "
                    "must have length greater than or equal to 1")},
        {"BatchWriteItem", "{'RequestItems':{'Plain':[{'PutRequest':{}}]}}", 400,
         VALIDATION("1 validation error detected: Value null at `requestItems.Plain.member.1.member.putRequest.item` "
                    "failed to satisfy constraint: Member must not be null")},
        {"GetItem", "{'TableName':'Numbers','Key':{'pk':{'N':' 1'}}}", 400,
         VALIDATION("The parameter cannot be converted to a numeric value:  1")},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'a'},'b':{'B':'!!'}}}", 400,
         SERIALIZATION("Base64 encoded length is expected a multiple of 4 bytes but found: 2")},
        {"UpdateTable", "{'TableName':'Nope','BillingMode':'PAY_PER_REQUEST'}", 400,
         SERVICE("ResourceNotFoundException", "Requested resource not found: Table: Nope not found")},
        {"DeleteTable", "{'TableName':'Nope'}", 400,
         SERVICE("ResourceNotFoundException", "Requested resource not found: Table: Nope not found")},
        {"ListTables", "{'ExclusiveStartTableName':'a'}", 400,
         VALIDATION("1 validation error detected: Value `a` at `exclusiveStartTableName` failed to satisfy constraint: "
                    "Member must have length greater than or equal to 3")},
    };
    DYNAMODB_RUN(rows);
}

#define EMPTY_KEY(key)                                                                                                 \
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "      \
    "string value. Key: " key
#define BAD_START "The provided starting key is invalid: "

/* [d], but for "are not valid", which the service says of keys today. */
Test(dynamodb_refused, start_keys_that_are_empty_or_too_long) {
    static const struct row rows[] = {
        {"Scan", "{'TableName':'Songs','ExclusiveStartKey':{'Artist':{'S':''},'Title':{'S':'t'}}}", 400,
         VALIDATION(BAD_START EMPTY_KEY("Artist"))},
        {"Scan", "{'TableName':'Songs','ExclusiveStartKey':{'Artist':{'S':'a'},'Title':{'S':''}}}", 400,
         VALIDATION(BAD_START EMPTY_KEY("Title"))},
        {"Scan",
         "{'TableName':'Songs','IndexName':'by-year',"
         "'ExclusiveStartKey':{'Artist':{'S':''},'Title':{'S':'t'},'Year':{'N':'1'}}}",
         400, VALIDATION(BAD_START EMPTY_KEY("Artist"))},
        {QUERY("Artist = :a", VALUES("':a':{'S':'a'}") ",'ExclusiveStartKey':{'Artist':{'S':'a'},'Title':{'S':''}}"),
         400, VALIDATION(EMPTY_KEY("Title"))},
        {QUERY("Artist = :a", VALUES("':a':{'S':'a'}") ",'ExclusiveStartKey':{'Artist':{'S':''},'Title':{'S':'t'}}"),
         400, VALIDATION(EMPTY_KEY("Artist"))},
    };
    DYNAMODB_RUN(rows);
}

#define NO_NAME INVALID("Attribute name must not be empty")
#define KEYED "'TableName':'Plain','Key':{'pk':{'S':'k'}}"

/* The words are those of an item's names. No placeholder of ours is told. */
Test(dynamodb_refused, older_parameters_without_a_name) {
    static const struct row rows[] = {
        {"UpdateItem", "{" KEYED ",'AttributeUpdates':{'':{'Value':{'S':'a'}}}}", 400, NO_NAME},
        {"UpdateItem", "{" KEYED ",'Expected':{'':{'Exists':false}}}", 400, NO_NAME},
        {"DeleteItem", "{" KEYED ",'Expected':{'':{'Value':{'S':'a'}}}}", 400, NO_NAME},
        {"GetItem", "{" KEYED ",'AttributesToGet':['']}", 400, NO_NAME},
        {"Scan", "{'TableName':'Songs','ScanFilter':{'':{'ComparisonOperator':'NULL'}}}", 400, NO_NAME},
        {"Query",
         "{'TableName':'Songs','KeyConditions':{'':{'ComparisonOperator':'EQ','AttributeValueList':[{'S':'a'}]}}}", 400,
         NO_NAME},
        /* The API reference, ExpectedAttributeValue: what has an order is S, N or B. */
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},"
         "'Expected':{'a':{'ComparisonOperator':'LT','AttributeValueList':[{'L':[]}]}}}",
         400, INVALID("ComparisonOperator LT is not valid for L AttributeValue type")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},"
         "'Expected':{'a':{'ComparisonOperator':'BEGINS_WITH','AttributeValueList':[{'N':'1'}]}}}",
         400, INVALID("ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")},
        {"PutItem",
         "{'TableName':'Plain','Item':{'pk':{'S':'k'}},"
         "'Expected':{'a':{'ComparisonOperator':'BETWEEN','AttributeValueList':[{'BOOL':true},{'BOOL':true}]}}}",
         400, INVALID("ComparisonOperator BETWEEN is not valid for BOOL AttributeValue type")},
    };
    DYNAMODB_RUN(rows);
}

/* A name of 65,535 bytes is the longest. One more would not fit into the item that an update
 * makes, so it must not come that far; the fixture checks the segment. */
Test(dynamodb_refused, names_that_are_too_long) {
    static const struct {
        const char *operation, *format;
        int status;
        const char *reply;
    } rows[] = {
        {"UpdateItem", "{" KEYED ",'AttributeUpdates':{'%s':{'Value':{'S':'a'}}}}", 400,
         INVALID("Attribute name is too large, must be less than 65536 bytes")},
        {"UpdateItem",
         "{" KEYED ",'UpdateExpression':'SET #n = :v','ExpressionAttributeNames':{'#n':'%s'},"
         "'ExpressionAttributeValues':{':v':{'S':'a'}}}",
         400,
         VALIDATION("ExpressionAttributeNames contains invalid value: Attribute name is too large, must be less than "
                    "65536 bytes for key #n")},
        {"GetItem", "{" KEYED ",'AttributesToGet':['%s']}", 400,
         INVALID("Attribute name is too large, must be less than 65536 bytes")},
        {"GetItem", "{" KEYED "}", 200, "{}"},
    };
    enum { LONGEST = 65535 };
    char *name = malloc(LONGEST + 2), *request = malloc(LONGEST + 512);
    struct dynamodb_fixture f;
    cr_assert(name && request);
    dynamodb_begin(&f);
    memset(name, 'n', LONGEST + 1);
    name[LONGEST + 1] = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(request, LONGEST + 512, rows[i].format, name);
        dynamodb_expect(&f, &(struct row){rows[i].operation, request, rows[i].status, rows[i].reply});
    }
    name[LONGEST] = 0;
    snprintf(request, LONGEST + 512, rows[1].format, name);
    dynamodb_expect(&f, &(struct row){"UpdateItem", request, 200, "{}"});
    dynamodb_expect(&f,
                    &(struct row){"GetItem", "{" KEYED ",'AttributesToGet':['pk']}", 200, "{'Item':{'pk':{'S':'k'}}}"});
    dynamodb_end(&f);
    free(name);
    free(request);
}
