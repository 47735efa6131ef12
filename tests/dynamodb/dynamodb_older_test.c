/* tests/dynamodb/dynamodb_older_test.c - the parameters that were there before expressions.
 *
 * Goal     Expected, AttributeUpdates, KeyConditions, filters, ConditionalOperator and
 *          AttributesToGet do what the expression does that the developer guide gives for each, and
 *          refuse in words of their own.
 * Source   Developer guide, "Legacy conditional parameters" [g]; dynalite's suites
 *          (validateConditions, validateAttributeConditions, updateItem), run against the
 *          service [d].
 */
#include <criterion/criterion.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

#define LONELY "ConditionalOperator cannot be used without Filter or Expected"
#define SINGLE "ConditionalOperator can only be used when Filter or Expected has two or more elements"

TestSuite(dynamodb_older, .timeout = 30 * SLOW_FACTOR);

#define KEY "'TableName':'Plain','Key':{'pk':{'S':'k'}}"
#define PUT(rest)                                                                                                      \
    "PutItem",                                                                                                         \
        "{'TableName':'Plain','Item':{'pk':{'S':'k'},'n':{'N':'5'},'s':{'S':'abc'},'t':{'SS':['x','y']}}" rest "}"
#define EXPECTED(rest) PUT(",'Expected':{" rest "}")
#define C(op, values) "{'ComparisonOperator':'" op "','AttributeValueList':[" values "]}"
#define N(n) "{'N':'" n "'}"
#define S(s) "{'S':'" s "'}"

/* [g] */
Test(dynamodb_older, expected) {
    static const struct row rows[] = {
        {EXPECTED("'pk':{'Exists':false}"), 200, "{}"},
        {EXPECTED("'pk':{'Exists':false}"), 400, REFUSED},
        {EXPECTED("'n':{'Value':{'N':'5'}}"), 200, "{}"},
        {EXPECTED("'n':{'Value':{'N':'6'},'Exists':true}"), 400, REFUSED},
        {EXPECTED("'n':{'Value':{'N':'4'},'ComparisonOperator':'GT'}"), 200, "{}"},
        {EXPECTED("'n':" C("EQ", N("5"))), 200, "{}"},
        {EXPECTED("'n':" C("NE", N("5"))), 400, REFUSED},
        {EXPECTED("'n':" C("NE", N("6"))), 200, "{}"},
        {EXPECTED("'n':" C("LE", N("5"))), 200, "{}"},
        {EXPECTED("'n':" C("LT", N("5"))), 400, REFUSED},
        {EXPECTED("'n':" C("GE", N("6"))), 400, REFUSED},
        {EXPECTED("'n':" C("BETWEEN", N("4") "," N("6"))), 200, "{}"},
        {EXPECTED("'n':" C("IN", N("4") "," N("5"))), 200, "{}"},
        {EXPECTED("'s':" C("BEGINS_WITH", S("ab"))), 200, "{}"},
        {EXPECTED("'s':" C("CONTAINS", S("bc"))), 200, "{}"},
        {EXPECTED("'t':" C("CONTAINS", S("y"))), 200, "{}"},
        {EXPECTED("'t':" C("NOT_CONTAINS", S("y"))), 400, REFUSED},
        {EXPECTED("'none':{'ComparisonOperator':'NULL'}"), 200, "{}"},
        {EXPECTED("'none':{'ComparisonOperator':'NOT_NULL'}"), 400, REFUSED},
        /* all of them, or one */
        {EXPECTED("'n':{'Value':{'N':'5'}},'s':{'Value':{'S':'x'}}"), 400, REFUSED},
        {PUT(",'ConditionalOperator':'OR','Expected':{'n':{'Value':{'N':'5'}},'s':{'Value':{'S':'x'}}}"), 200, "{}"},
        {PUT(",'ConditionalOperator':'AND','Expected':{'n':{'Value':{'N':'5'}},'s':{'Value':{'S':'x'}}}"), 400,
         REFUSED},
        /* a name that is reserved, and one with a point, is one attribute */
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'},'a.b':{'S':'1'},'size':{'S':'2'}}}", 200, "{}"},
        {"DeleteItem", "{" KEY ",'Expected':{'a.b':{'Value':{'S':'2'}}}}", 400, REFUSED},
        {"DeleteItem",
         "{" KEY ",'Expected':{'a.b':{'Value':{'S':'1'}},'size':{'Value':{'S':'2'}}},'ReturnValues':'ALL_OLD'}", 200,
         "{'Attributes':{'a.b':{'S':'1'},'pk':{'S':'k'},'size':{'S':'2'}}}"},
        /* the last of two members with one name counts */
        {EXPECTED("'pk':{'Value':{'S':'no'}},'pk':{'Exists':false}"), 200, "{}"},
        {EXPECTED(""), 200, "{}"},
    };
    DYNAMODB_RUN(rows);
}

/* [g] */
Test(dynamodb_older, updates) {
    static const struct row rows[] = {
        {"UpdateItem",
         "{" KEY ",'AttributeUpdates':{'a':{'Value':{'S':'1'}},'n':{'Action':'ADD','Value':{'N':'2'}},'t':{'Action':'"
         "PUT','Value':{'SS':['x','y']}}},"
         "'ReturnValues':'ALL_NEW'}",
         200, "{'Attributes':{'a':{'S':'1'},'n':{'N':'2'},'pk':{'S':'k'},'t':{'SS':['x','y']}}}"},
        {"UpdateItem",
         "{" KEY ",'AttributeUpdates':{'a':{'Action':'DELETE'},'n':{'Action':'ADD','Value':{'N':'-3'}},'t':{'Action':'"
         "DELETE','Value':{'SS':['x']}}},"
         "'ReturnValues':'UPDATED_NEW'}",
         200, "{'Attributes':{'n':{'N':'-1'},'t':{'SS':['y']}}}"},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'n':{'Value':{'N':'9'}}},'Expected':{'n':{'Value':{'N':'8'}}}}",
         400, REFUSED},
        {"UpdateItem",
         "{" KEY ",'AttributeUpdates':{'n':{'Value':{'N':'9'}}},'Expected':{'n':{'Value':{'N':'-1'}}},'ReturnValues':'"
         "UPDATED_OLD'}",
         200, "{'Attributes':{'n':{'N':'-1'}}}"},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{}}", 200, "{}"},
        /* [d] */
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'a':{}}}", 400,
         INVALID("Only DELETE action is allowed when no attribute value is specified")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'a':{'Action':'DELETE','Value':{'N':'1'}}}}", 400,
         INVALID("DELETE action with value is not supported for the type N")},
        /* [d] */
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'t':{'Action':'ADD','Value':{'N':'1'}}}}", 400,
         VALIDATION("Type mismatch for attribute to update")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'n':{'Action':'DELETE','Value':{'SS':['y']}}}}", 400,
         VALIDATION("Type mismatch for attribute to update")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'a':{'Action':'ADD','Value':{'S':'1'}}}}", 400,
         INVALID("ADD action is not supported for the type S")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'a':{'Value':{'N':'b'}}}}", 400,
         VALIDATION("The parameter cannot be converted to a numeric value: b")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'a':{'Value':'x'}}}", 400, SERIALIZATION("Unexpected field type")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'a':'x'}}", 400,
         SERIALIZATION("Unexpected value type in payload")},
        {"UpdateItem", "{" KEY ",'AttributeUpdates':{'pk':{'Value':{'S':'x'}}}}", 400,
         INVALID("Cannot update attribute pk. This attribute is part of the key")},
    };
    DYNAMODB_RUN(rows);
}

#define SONGS "'TableName':'Songs'"
#define SONG(title, rest) "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'" title "'}" rest "}}"
#define ONE "{'Artist':{'S':'a'},'Length':{'N':'1'},'Title':{'S':'one'}}"
#define TWO "{'Artist':{'S':'a'},'Length':{'N':'2'},'Title':{'S':'two'}}"
#define ARTIST "'Artist':" C("EQ", S("a"))

/* [g] */
Test(dynamodb_older, reading) {
    static const struct row rows[] = {
        {"PutItem", SONG("one", ",'Length':{'N':'1'}"), 200, "{}"},
        {"PutItem", SONG("two", ",'Length':{'N':'2'}"), 200, "{}"},
        {"GetItem", "{" SONGS ",'Key':{'Artist':{'S':'a'},'Title':{'S':'one'}},'AttributesToGet':['Length','None']}",
         200, "{'Item':{'Length':{'N':'1'}}}"},
        {"BatchGetItem",
         "{'RequestItems':{'Songs':{'Keys':[{'Artist':{'S':'a'},'Title':{'S':'one'}}],'AttributesToGet':['Length']}}}",
         200, "{'Responses':{'Songs':[{'Length':{'N':'1'}}]},'UnprocessedKeys':{}}"},
        {"Query", "{" SONGS ",'KeyConditions':{" ARTIST "}}", 200,
         "{'Items':[" ONE "," TWO "],'Count':2,'ScannedCount':2}"},
        {"Query", "{" SONGS ",'KeyConditions':{'Title':" C("BEGINS_WITH", S("t")) "," ARTIST "}}", 200,
         "{'Items':[" TWO "],'Count':1,'ScannedCount':1}"},
        {"Query",
         "{" SONGS ",'IndexName':'by-length','KeyConditions':{" ARTIST
         ",'Length':" C("BETWEEN", N("0") "," N("1")) "}}",
         200, "{'Items':[" ONE "],'Count':1,'ScannedCount':1}"},
        {"Query", "{" SONGS ",'KeyConditions':{" ARTIST "},'QueryFilter':{'Length':" C("GT", N("1")) "}}", 200,
         "{'Items':[" TWO "],'Count':1,'ScannedCount':2}"},
        {"Query",
         "{" SONGS ",'KeyConditions':{" ARTIST "},'QueryFilter':{'Length':" C(
             "GT",
             N("1")) ",'None':{'ComparisonOperator':'NULL'}},'ConditionalOperator':'OR','AttributesToGet':['Title']}",
         200, "{'Items':[{'Title':{'S':'one'}},{'Title':{'S':'two'}}],'Count':2,'ScannedCount':2}"},
        {"Scan", "{" SONGS ",'ScanFilter':{'Length':" C("IN", N("2") "," N("3")) "}}", 200,
         "{'Items':[" TWO "],'Count':1,'ScannedCount':2}"},
        /* [d] */
        {"Query", "{" SONGS ",'KeyConditions':{}}", 400, VALIDATION("Conditions can be of length 1 or 2 only")},
        {"Query", "{" SONGS ",'KeyConditions':{" ARTIST ",'Title':" C("NE", S("t")) "}}", 400,
         VALIDATION("Attempted conditional constraint is not an indexable operation")},
        {"Query", "{" SONGS ",'KeyConditions':{" ARTIST ",'Title':" C("BETWEEN", S("t")) "}}", 400,
         INVALID("Invalid number of argument(s) for the BETWEEN ComparisonOperator")},
        {"Query", "{" SONGS ",'KeyConditions':{" ARTIST "},'QueryFilter':{'Title':" C("EQ", S("t")) "}}", 400,
         VALIDATION("QueryFilter can only contain non-primary key attributes: Primary key attribute: Title")},
        {"Query", "{" SONGS ",'KeyConditions':{" ARTIST "},'QueryFilter':{'x':" C("BETWEEN", N("2") "," N("1")) "}}",
         400,
         VALIDATION(
             "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")},
        {"Scan", "{" SONGS ",'ScanFilter':{'x':" C("BETWEEN", N("1") "," S("1")) "}}", 400,
         INVALID("AttributeValues inside AttributeValueList must be of same type")},
        {"Scan", "{" SONGS ",'ScanFilter':{'x':" C("LT", "{'BOOL':true}") "}}", 400,
         INVALID("ComparisonOperator LT is not valid for BOOL AttributeValue type")},
        {"Scan", "{" SONGS ",'ScanFilter':{'x':{}}}", 400,
         VALIDATION("1 validation error detected: Value null at `scanFilter.x.member.comparisonOperator` failed to "
                    "satisfy constraint: Member must not be null")},
        {"GetItem", "{" KEY ",'AttributesToGet':['a','b','a']}", 400, INVALID("Duplicate value in attribute name: a")},
        {"GetItem", "{" KEY ",'AttributesToGet':[]}", 400,
         VALIDATION("1 validation error detected: Value `[]` at `attributesToGet` failed to satisfy constraint: Member "
                    "must have length greater than or equal to 1")},
        {"Scan", "{" SONGS ",'AttributesToGet':['a'],'Select':'COUNT'}", 400,
         VALIDATION("Cannot specify the AttributesToGet when choosing to get only the Count")},
        {"Scan", "{" SONGS ",'AttributesToGet':['Title'],'Select':'SPECIFIC_ATTRIBUTES','Limit':1}", 200,
         "{'Items':[{'Title':..."},
    };
    DYNAMODB_RUN(rows);
}

/* [d] */
Test(dynamodb_older, expected_refused) {
    static const struct row rows[] = {
        {EXPECTED("'n':{'Value':{'N':'1'},'AttributeValueList':[]}"), 400,
         INVALID("Value and AttributeValueList cannot be used together for Attribute: n")},
        {EXPECTED("'n':{'Exists':true,'ComparisonOperator':'EQ'}"), 400,
         INVALID("Exists and ComparisonOperator cannot be used together for Attribute: n")},
        {EXPECTED("'n':{'ComparisonOperator':'EQ'}"), 400,
         INVALID("Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: n")},
        {EXPECTED("'n':{'ComparisonOperator':'NULL','Value':{'N':'1'}}"), 400,
         INVALID("Invalid number of argument(s) for the NULL ComparisonOperator")},
        {EXPECTED("'n':{'AttributeValueList':[{'N':'1'}]}"), 400,
         INVALID("AttributeValueList can only be used with a ComparisonOperator for Attribute: n")},
        {EXPECTED("'n':{}"), 400, INVALID("Value must be provided when Exists is null for Attribute: n")},
        {EXPECTED("'n':{'Exists':true}"), 400, INVALID("Value must be provided when Exists is true for Attribute: n")},
        {EXPECTED("'n':{'Exists':false,'Value':{'N':'1'}}"), 400,
         INVALID("Value cannot be used when Exists is false for Attribute: n")},
        {EXPECTED("'n':{'Value':{}}"), 400,
         VALIDATION("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")},
        {EXPECTED("'n':{'ComparisonOperator':'LIKE'}"), 400,
         VALIDATION("1 validation error detected: Value `LIKE` at `expected.n.member.comparisonOperator` failed to "
                    "satisfy constraint: Member must satisfy enum value "
                    "set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]")},
        {PUT(",'ConditionalOperator':'XOR'"), 400,
         VALIDATION("1 validation error detected: Value `XOR` at `conditionalOperator` failed to satisfy constraint: "
                    "Member must satisfy enum value set: [OR, AND]")},
        {PUT(",'ConditionalOperator':'OR'"), 400, VALIDATION(LONELY)},
        {PUT(",'ConditionalOperator':'AND','Expected':{}"), 400, VALIDATION(LONELY)},
        {PUT(",'ConditionalOperator':'AND','Expected':{'n':{'Value':{'N':'5'}}}"), 400, VALIDATION(SINGLE)},
        {"Scan", "{'TableName':'Plain','ConditionalOperator':'OR'}", 400, VALIDATION(LONELY)},
        {"Scan", "{'TableName':'Plain','ConditionalOperator':'OR','ScanFilter':{'n':" C("EQ", N("4")) "}}", 400,
         VALIDATION(SINGLE)},
        {"Query", "{'TableName':'Plain','ConditionalOperator':'OR','KeyConditions':{'pk':" C("EQ", S("k")) "}}", 400,
         VALIDATION(LONELY)},
        {EXPECTED("'n':[]"), 400,
         SERIALIZATION("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.ExpectedAttributeValue")},
        {PUT(",'Expected':[]"), 400,
         SERIALIZATION("Unrecognized collection type java.util.Map<java.lang.String, "
                       "com.amazonaws.dynamodb.v20120810.ExpectedAttributeValue>")},
    };
    DYNAMODB_RUN(rows);
}
