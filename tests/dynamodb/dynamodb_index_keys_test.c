/* tests/dynamodb/dynamodb_index_keys_test.c - indexes whose keys have several attributes.
 *
 * Goal     CreateTable and UpdateTable take them, DescribeTable gives them back, and Query, Scan
 *          and pages follow each attribute.
 * Source   Developer guide, "Multi-attribute keys pattern": 1 to 4 HASH and 0 to 4 RANGE, of global
 *          indexes alone; every HASH by equality, RANGE from left to right without a gap, only the
 *          last by a range; sparse. [c] messages that the dynamodb-conformance suite has for keys
 *          of one attribute; [l] Larder's own words.
 */
#include <criterion/criterion.h>

#include "tests/dynamodb/dynamodb_kit.h"

TestSuite(dynamodb_index_keys, .timeout = 60 * SLOW_FACTOR);

#define A(name, type) "{'AttributeName':'" name "','AttributeType':'" type "'}"
#define H(name) "{'AttributeName':'" name "','KeyType':'HASH'}"
#define R(name) "{'AttributeName':'" name "','KeyType':'RANGE'}"
#define KEYS(keys) "'KeySchema':[" keys "]"
#define TABLE(name, attributes, indexes)                                                                               \
    "{'TableName':'" name "','AttributeDefinitions':[" A("id", "S") "," attributes "]," KEYS(                          \
        H("id")) ",'BillingMode':'PAY_PER_REQUEST','GlobalSecondaryIndexes':[" indexes "]}"
#define INDEX(name, keys, projection)                                                                                  \
    "{'IndexName':'" name "'," KEYS(keys) ",'Projection':{'ProjectionType':'" projection "'}}"
#define MATCH_ATTRIBUTES A("t", "S") "," A("p", "S") "," A("r", "S") "," A("n", "N")
#define MATCH_KEYS H("t") "," H("p") "," R("r") "," R("n")
#define MATCHES                                                                                                        \
    {                                                                                                                  \
        "CreateTable",                                                                                                 \
            TABLE("Matches", MATCH_ATTRIBUTES,                                                                         \
                  INDEX("byRound", MATCH_KEYS, "KEYS_ONLY") "," INDEX("byPlace", H("p") "," H("t"), "ALL")),           \
            200, "{'TableDescription':..."                                                                             \
    }
#define ITEM(id, t, p, r, n)                                                                                           \
    "{'id':{'S':'" id "'},'n':{'N':'" n "'},'p':{'S':'" p "'},'r':{'S':'" r "'},'t':{'S':'" t "'}}"
#define PUT(item)                                                                                                      \
    { "PutItem", "{'TableName':'Matches','Item':" item "}", 200, "{}" }
#define M1 ITEM("1", "cup", "eu", "FINAL", "-5")
#define M2 ITEM("2", "cup", "eu", "FINAL", "10")
#define M3 ITEM("3", "cup", "eu", "FINAL", "9")
#define M4 ITEM("4", "cup", "eu", "SEMI", "1")
#define M5 ITEM("5", "cup", "us", "SEMI", "1")
#define FILL                                                                                                           \
    MATCHES, PUT(M1), PUT(M2), PUT(M3), PUT(M4), PUT(M5), {                                                            \
        "PutItem", "{'TableName':'Matches','Item':{'id':{'S':'6'},'t':{'S':'cup'},'p':{'S':'eu'},'n':{'N':'1'}}}",     \
            200, "{}"                                                                                                  \
    }
#define VALUES "':t':{'S':'cup'},':p':{'S':'eu'}"
#define QUERY(condition, values, rest)                                                                                 \
    "Query", "{'TableName':'Matches','IndexName':'byRound','KeyConditionExpression':'" condition                       \
             "','ExpressionAttributeValues':{" VALUES values "}" rest "}"
#define ITEMS(items, count) "{'Items':[" items "],'Count':" count ",'ScannedCount':" count
#define FOUND(items, count) 200, ITEMS(items, count) "}"

Test(dynamodb_index_keys, queries) {
    static const struct row rows[] = {
        FILL,
        {QUERY("t = :t AND p = :p", "", ""), FOUND(M1 "," M3 "," M2 "," M4, "4")},
        {QUERY("t = :t AND p = :p", "", ",'ScanIndexForward':false"), FOUND(M4 "," M2 "," M3 "," M1, "4")},
        /* clauses in any order */
        {QUERY("r = :r AND p = :p AND t = :t", ",':r':{'S':'FINAL'}", ""), FOUND(M1 "," M3 "," M2, "3")},
        {QUERY("t = :t AND p = :p AND r > :r", ",':r':{'S':'FINAL'}", ""), FOUND(M4, "1")},
        {QUERY("t = :t AND p = :p AND begins_with(r, :r)", ",':r':{'S':'F'}", ""), FOUND(M1 "," M3 "," M2, "3")},
        {QUERY("t = :t AND p = :p AND r = :r AND n BETWEEN :l AND :h",
               ",':r':{'S':'FINAL'},':l':{'N':'-5.0'},':h':{'N':'9'}", ""),
         FOUND(M1 "," M3, "2")},
        {QUERY("t = :t AND p = :p AND r = :r AND n >= :l", ",':r':{'S':'FINAL'},':l':{'N':'9'}", ""),
         FOUND(M3 "," M2, "2")},
        {"Query",
         "{'TableName':'Matches','IndexName':'byPlace','KeyConditionExpression':'t = :t AND p = :p',"
         "'ExpressionAttributeValues':{':t':{'S':'cup'},':p':{'S':'us'}}}",
         FOUND(M5, "1")},
        /* the older parameters */
        {"Query",
         "{'TableName':'Matches','IndexName':'byRound','KeyConditions':{'t':{'ComparisonOperator':'EQ',"
         "'AttributeValueList':[{'S':'cup'}]},'p':{'ComparisonOperator':'EQ','AttributeValueList':[{'S':'eu'}]},'r':{"
         "'ComparisonOperator':'GT','AttributeValueList':[{'S':'FINAL'}]}}}",
         FOUND(M4, "1")},
        {"Scan", "{'TableName':'Matches','IndexName':'byRound','Select':'COUNT'}", 200, "{'Count':5,'ScannedCount':5}"},
    };
    DYNAMODB_RUN(rows);
}

/* A key is a start key of the next page with all attributes of table and index, and no others. */
Test(dynamodb_index_keys, pages) {
    static const struct row rows[] = {
        FILL,
        {QUERY("t = :t AND p = :p", "", ",'Limit':2"), 200, ITEMS(M1 "," M3, "2") ",'LastEvaluatedKey':" M3 "}"},
        {QUERY("t = :t AND p = :p", "", ",'Limit':2,'ExclusiveStartKey':" M3), 200,
         ITEMS(M2 "," M4, "2") ",'LastEvaluatedKey':" M4 "}"},
        {QUERY("t = :t AND p = :p", "", ",'ExclusiveStartKey':" M4), FOUND("", "0")},
        {QUERY("t = :t AND p = :p", "",
               ",'ExclusiveStartKey':{'id':{'S':'3'},'t':{'S':'cup'},'p':{'S':'eu'},'r':{'S':'"
               "FINAL'}}"),
         400, VALIDATION("The provided starting key is invalid")},
        {QUERY("t = :t AND p = :p", "", ",'ExclusiveStartKey':" ITEM("5", "cup", "us", "SEMI", "1")), 400,
         VALIDATION("The provided starting key is outside query boundaries based on provided conditions")},
        {QUERY("t = :t AND p = :p AND r = :r", ",':r':{'S':'FINAL'}", ",'ExclusiveStartKey':" M4), 400,
         VALIDATION("The provided starting key does not match the range key predicate")},
        {"Scan", "{'TableName':'Matches','IndexName':'byRound','Limit':1,'ExclusiveStartKey':{'id':{'S':'3'}}}", 400,
         VALIDATION("The provided starting key is invalid")},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_index_keys, refused_queries) {
    static const struct row rows[] = {
        FILL,
        {QUERY("t = :t AND p > :p", "", ""), 400, VALIDATION("Query key condition not supported")},
        {QUERY("t = :t", "", ""), 400,
         VALIDATION("Value provided in ExpressionAttributeValues unused in expressions: keys: {:p}")},
        {"Query",
         "{'TableName':'Matches','IndexName':'byRound','KeyConditionExpression':'t = :t','ExpressionAttributeValues':{"
         "':t':{'S':'cup'}}}",
         400, VALIDATION("Query condition missed key schema element: p")},
        /* a gap */
        {QUERY("t = :t AND p = :p AND n = :n", ",':n':{'N':'1'}", ""), 400,
         VALIDATION("Query condition missed key schema element: r")},
        /* a range before the last */
        {QUERY("t = :t AND p = :p AND r > :r AND n = :n", ",':r':{'S':'A'},':n':{'N':'1'}", ""), 400,
         VALIDATION("Query key condition not supported")},
        {QUERY("t = :t AND p = :p AND r = :r AND n = :n", ",':r':{'S':'A'},':n':{'S':'1'}", ""), 400,
         INVALID("Condition parameter type does not match schema type")},
        {QUERY("t = :t AND p = :p", "", ",'FilterExpression':'n > :p'"), 400,
         VALIDATION("Filter Expression can only contain non-primary key attributes: Primary key attribute: n")},
    };
    DYNAMODB_RUN(rows);
}

/* An item of a wrong type is refused; one without the attribute is not in the index. */
Test(dynamodb_index_keys, writes) {
    static const struct row rows[] = {
        FILL,
        {"PutItem", "{'TableName':'Matches','Item':{'id':{'S':'7'},'n':{'S':'1'}}}", 400,
         INVALID("Type mismatch for Index Key n Expected: N Actual: S IndexName: byRound")},
        {"PutItem", "{'TableName':'Matches','Item':{'id':{'S':'7'},'r':{'S':''}}}", 400,
         VALIDATION("One or more parameter values are not valid. A value specified for a secondary index key is not "
                    "supported. The AttributeValue for a key attribute cannot contain an empty string value. "
                    "IndexName: byRound, IndexKey: r")},
        {"UpdateItem",
         "{'TableName':'Matches','Key':{'id':{'S':'1'}},'UpdateExpression':'SET n = :n','ExpressionAttributeValues':{"
         "':n':{'S':'x'}}}",
         400, INVALID("Type mismatch for Index Key n Expected: N Actual: S IndexName: byRound")},
        /* moved behind 10 by an update of one attribute; then out of the index */
        {"UpdateItem",
         "{'TableName':'Matches','Key':{'id':{'S':'1'}},'UpdateExpression':'ADD n :n','ExpressionAttributeValues':{"
         "':n':{'N':'100'}}}",
         200, "{}"},
        {QUERY("t = :t AND p = :p AND r = :r AND n > :n", ",':r':{'S':'FINAL'},':n':{'N':'9'}", ""),
         FOUND(M2 "," ITEM("1", "cup", "eu", "FINAL", "95"), "2")},
        {"UpdateItem", "{'TableName':'Matches','Key':{'id':{'S':'2'}},'UpdateExpression':'REMOVE n'}", 200, "{}"},
        {"DeleteItem", "{'TableName':'Matches','Key':{'id':{'S':'3'}}}", 200, "{}"},
        {QUERY("t = :t AND p = :p", "", ""), FOUND(ITEM("1", "cup", "eu", "FINAL", "95") "," M4, "2")},
        /* an index write: the entry goes and comes */
        {"UpdateItem",
         "{'TableName':'Matches','Key':{'id':{'S':'4'}},'UpdateExpression':'SET n = "
         ":n','ExpressionAttributeValues':{':n':{'N':'2'}},'ReturnConsumedCapacity':'INDEXES'}",
         200,
         "{'ConsumedCapacity':{'TableName':'Matches','CapacityUnits':4.0,'Table':{'CapacityUnits':1.0},"
         "'GlobalSecondaryIndexes':{'byRound':{'CapacityUnits':2.0},'byPlace':{'CapacityUnits':1.0}}}}"},
    };
    DYNAMODB_RUN(rows);
}

/* ---- Definitions ----------------------------------------------------------------------------- */

#define ON(attributes, keys) "CreateTable", TABLE("New", attributes, INDEX("idx", keys, "ALL"))
#define NINE                                                                                                           \
    A("a", "S")                                                                                                        \
    "," A("b", "S") "," A("c", "N") "," A("d", "B") "," A("e", "S") "," A("f", "S") "," A("g", "S") "," A("h", "S")

Test(dynamodb_index_keys, definitions) {
    static const struct row rows[] = {
        {ON(NINE, H("a") "," H("b") "," H("c") "," H("d") "," R("e") "," R("f") "," R("g") "," R("h")), 200,
         "{'TableDescription':{'AttributeDefinitions':[" A("id", "S") "," NINE "],..."},
        {"DescribeTable", "{'TableName':'New'}", 200,
         "{'Table':{'AttributeDefinitions':[" A("id", "S") "," NINE "],'TableName':'New'," KEYS(H("id")) ",..."},
        {"DeleteTable", "{'TableName':'New'}", 200, "{'TableDescription':..."},
        /* [l] */
        {ON(NINE "," A("i", "S"), H("a") "," H("b") "," H("c") "," H("d") "," H("e") "," R("f") "," R("g") "," R("i")),
         400,
         VALIDATION("Invalid KeySchema: 5 HASH and 3 RANGE key attributes are given; 1 to 4 HASH and 0 to 4 RANGE are "
                    "allowed")},
        {ON(NINE "," A("i", "S"),
            H("a") "," H("b") "," H("c") "," H("d") "," R("e") "," R("f") "," R("g") "," R("h") "," R("i")),
         400,
         VALIDATION("1 validation error detected: Value at `keySchema` failed to satisfy constraint: Member must have "
                    "length less than or equal to 8")},
        {ON(A("a", "S") "," A("b", "S") "," A("c", "S"), H("a") "," R("b") "," H("c")), 400,
         VALIDATION("Invalid KeySchema: HASH key attribute c comes after a RANGE key attribute")},
        {ON(A("a", "S") "," A("b", "S"), H("a") "," R("b") "," R("a")), 400,
         VALIDATION("Invalid KeySchema: attribute a is given twice")},
        {ON(A("a", "S"), H("a") "," H("a")), 400, VALIDATION("Invalid KeySchema: attribute a is given twice")},
        /* [c] */
        {ON(A("a", "S") "," A("b", "S"), R("a") "," R("b") "," R("id")), 400,
         VALIDATION("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_index_keys, added_later) {
    static const struct row rows[] = {
        FILL,
        {"UpdateTable",
         "{'TableName':'Matches','AttributeDefinitions':[" A("r", "S") "," A("n", "N") "," A(
             "t", "S") "],'GlobalSecondaryIndexUpdates':[{'Create':" INDEX("later", H("t") "," R("n") "," R("r"),
                                                                           "ALL") "}]}",
         200, "{'TableDescription':..."},
        {"Query",
         "{'TableName':'Matches','IndexName':'later','KeyConditionExpression':'t = :t AND n = :n AND r < :r',"
         "'ExpressionAttributeValues':{':t':{'S':'cup'},':n':{'N':'1'},':r':{'S':'T'}},'Select':'COUNT'}",
         200, "{'Count':2,'ScannedCount':2}"},
        {"UpdateTable",
         "{'TableName':'Matches','AttributeDefinitions':[" A("r", "S") "," A("n", "N") "," A(
             "t", "S") "],'GlobalSecondaryIndexUpdates':[{'Create':" INDEX("bad", R("t") "," R("n") "," R("r"),
                                                                           "ALL") "}]}",
         400, VALIDATION("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")},
    };
    DYNAMODB_RUN(rows);
}
