/* tests/dynamodb/dynamodb_index_keys_test.c - indexes whose keys have several attributes.
 *
 * Goal     CreateTable and UpdateTable take them, DescribeTable gives them back, and Query, Scan
 *          and pages follow each attribute.
 * Source   Developer guide, "Multi-attribute keys pattern": 1 to 4 HASH and 0 to 4 RANGE, of global
 *          indexes alone; every HASH by equality, RANGE from left to right without a gap, only the
 *          last by a range; sparse. Messages of queries: the dynamodb-conformance suite (October
 *          2026). [c] messages that it has for keys of one attribute; [a] ack-api-quirks, recorded
 *          of the service (October 2026).
 */
#include <criterion/criterion.h>
#include <stdio.h>

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

#define MORE(conditions, attributes)                                                                                   \
    "The number of query conditions (" #conditions                                                                     \
    ") exceeds the number of key attributes defined in the schema (" #attributes ")"
#define EQ(name) "'" name "':{'ComparisonOperator':'EQ','AttributeValueList':[{'S':'x'}]}"

Test(dynamodb_index_keys, refused_queries) {
    static const struct row rows[] = {
        FILL,
        {QUERY("t = :t AND p > :p", "", ""), 400,
         VALIDATION("HASH key attributes p must have equality conditions specified in the query")},
        {QUERY("t = :t", "", ""), 400,
         VALIDATION("Value provided in ExpressionAttributeValues unused in expressions: keys: {:p}")},
        {"Query",
         "{'TableName':'Matches','IndexName':'byRound','KeyConditionExpression':'t = :t','ExpressionAttributeValues':{"
         "':t':{'S':'cup'}}}",
         400, VALIDATION("HASH key attributes p must have equality conditions specified in the query")},
        /* a gap */
        {QUERY("t = :t AND p = :p AND n = :n", ",':n':{'N':'1'}", ""), 400,
         VALIDATION("RANGE key attributes r must have equality conditions specified in the query because a condition "
                    "is present on key attribute n")},
        /* a range before the last */
        {QUERY("t = :t AND p = :p AND r > :r AND n = :n", ",':r':{'S':'A'},':n':{'N':'1'}", ""), 400,
         VALIDATION("RANGE key attributes r must have equality conditions specified in the query because a condition "
                    "is present on key attribute n")},
        /* more than the key has; the older parameters, too */
        {QUERY("t = :t AND p = :p AND r = :t AND n = :t AND id = :t", "", ""), 400, VALIDATION(MORE(5, 4))},
        {"Query",
         "{'TableName':'Matches','IndexName':'byRound','KeyConditions':{" EQ("t") "," EQ("p") "," EQ("r") "," EQ(
             "n") "," EQ("id") "}}",
         400, VALIDATION(MORE(5, 4))},
        {"Query",
         "{'TableName':'Matches','IndexName':'byPlace','KeyConditions':{" EQ("a") "," EQ("b") "," EQ("c") "," EQ(
             "d") "," EQ("e") "," EQ("f") "," EQ("g") "," EQ("h") "," EQ("i") "}}",
         400, VALIDATION(MORE(9, 2))},
        {"Query", "{'TableName':'Matches','KeyConditions':{" EQ("id") "," EQ("t") "}}", 400, VALIDATION(MORE(2, 1))},
        {"Query", "{'TableName':'Matches','IndexName':'byRound','KeyConditions':{" EQ("t") "," EQ("p") "," EQ("n") "}}",
         400,
         VALIDATION("RANGE key attributes r must have equality conditions specified in the query because a condition "
                    "is present on key attribute n")},
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
         "{'TableDescription':{'AttributeDefinitions':[" NINE "," A("id", "S") "],..."},
        {"DescribeTable", "{'TableName':'New'}", 200,
         "{'Table':{'AttributeDefinitions':[" NINE "," A("id", "S") "],'TableName':'New'," KEYS(H("id")) ",..."},
        {"DeleteTable", "{'TableName':'New'}", 200, "{'TableDescription':..."},
        /* [a] */
        {ON(NINE "," A("i", "S"), H("a") "," H("b") "," H("c") "," H("d") "," H("e") "," R("f") "," R("g") "," R("i")),
         400, INVALID("The KeySchema exceeds the maximum allowed number of HASH key attributes")},
        {ON(NINE, H("a") "," R("b") "," R("c") "," R("d") "," R("e") "," R("f")), 400,
         INVALID("The KeySchema exceeds the maximum allowed number of RANGE key attributes")},
        {ON(NINE "," A("i", "S"),
            H("a") "," H("b") "," H("c") "," H("d") "," R("e") "," R("f") "," R("g") "," R("h") "," R("i")),
         400,
         VALIDATION("1 validation error detected: Value at `keySchema` failed to satisfy constraint: Member must have "
                    "length less than or equal to 8")},
        {ON(A("a", "S") "," A("b", "S") "," A("c", "S"), H("a") "," R("b") "," H("c")), 400,
         INVALID("All HASH key attributes must precede RANGE key attributes in the KeySchema")},
        {ON(A("a", "S") "," A("b", "S"), H("a") "," R("b") "," R("a")), 400,
         VALIDATION("The KeySchema contains multiple key attributes with the same name")},
        {ON(A("a", "S"), H("a") "," H("a")), 400,
         VALIDATION("The KeySchema contains multiple key attributes with the same name")},
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

/* ---- Values of wrong sizes ------------------------------------------------------------------- */

#define UPDATED_KEY "The update expression attempted to update the secondary index key "
#define EMPTY_UPDATE(type)                                                                                             \
    "One or more parameter values are not valid. The update expression attempted to update a secondary index key to "  \
    "a value that is not supported. The AttributeValue for a key attribute cannot contain an empty " type " value."
#define CANCELED(message)                                                                                              \
    "{'__type':'com.amazonaws.dynamodb.v20120810#TransactionCanceledException','Message':'Transaction cancelled, "     \
    "please refer cancellation reasons for specific reasons [ValidationError]','CancellationReasons':[{'Code':'"       \
    "ValidationError','Message':'" message "'}]}"
#define LONG "%1100d" /* with 0: a text of that many spaces and a digit */

/* A request with long texts, each in place of one LONG. */
static void expect_long(struct dynamodb_fixture *f, const char *operation, const char *request, const char *reply) {
    static char text[8192];
    snprintf(text, sizeof text, request, 0, 0);
    dynamodb_expect(f, &(struct row){operation, text, 400, reply});
}

#define UPDATE(expression, values)                                                                                     \
    "{'TableName':'Matches','Key':{'id':{'S':'1'}},'UpdateExpression':'" expression                                    \
    "','ExpressionAttributeValues':{" values "}}"
#define TRANSACT(action, rest) "{'TransactItems':[{'" action "':" rest "}]}"

#define START(p, r, s)                                                                                                 \
    "{'TableName':'Long','IndexName':'byAll','ExclusiveStartKey':{'id':{'S':'1'},'t':{'S':'f'},'p':{'S':'" p           \
    "'},'r':{'S':'" r "'},'s':{'S':'" s "'}}}"
#define RANGES                                                                                                         \
    "The provided starting key is invalid: One or more parameter values were invalid: Aggregated size of all range "   \
    "keys has exceeded the size limit of 1024 bytes"

/* Sources: "beyond allowed size limits", API reference, TransactWriteItems; "is not supported", the
 * dynamodb-conformance suite; "Size limit exceeded", architect/dynalite#35. [l] Larder's own. */
Test(dynamodb_index_keys, sizes) {
    struct dynamodb_fixture f;
    static const struct row rows[] = {
        FILL,
        {"CreateTable", TABLE("Bytes2", A("b", "B") "," A("s", "S"), INDEX("byB", H("b") "," R("s"), "ALL")), 200,
         "{'TableDescription':..."},
        {"CreateTable",
         TABLE("Long", A("t", "S") "," A("p", "S") "," A("r", "S") "," A("s", "S"),
               INDEX("byAll", H("t") "," H("p") "," R("r") "," R("s"), "ALL")),
         200, "{'TableDescription':..."},
        {"PutItem", "{'TableName':'Bytes2','Item':{'id':{'S':'1'},'nothing':{'B':''}}}", 200, "{}"},
        {"UpdateItem", UPDATE("SET p = :v", "':v':{'S':''}"), 400, VALIDATION(EMPTY_UPDATE("string"))},
        {"UpdateItem", UPDATE("SET p = if_not_exists(x, :v)", "':v':{'S':''}"), 400,
         VALIDATION(EMPTY_UPDATE("string"))},
        {"UpdateItem", UPDATE("SET p = if_not_exists(x, :v)", "':v':{'N':'1'}"), 400,
         VALIDATION(UPDATED_KEY "to unsupported type")},
        {"UpdateItem", "{'TableName':'Bytes2','Key':{'id':{'S':'1'}},'UpdateExpression':'SET b = nothing'}", 400,
         VALIDATION(EMPTY_UPDATE("binary"))},
        {"TransactWriteItems", TRANSACT("Update", UPDATE("SET p = :v", "':v':{'S':''}")), 400,
         VALIDATION(EMPTY_UPDATE("string"))},
        {"TransactWriteItems", TRANSACT("Update", UPDATE("SET p = if_not_exists(x, :v)", "':v':{'S':''}")), 400,
         CANCELED(EMPTY_UPDATE("string"))},
    };
    dynamodb_begin(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dynamodb_expect(&f, &rows[i]);
    /* one attribute is too long, or all together are */
    expect_long(&f, "UpdateItem", UPDATE("SET r = :v", "':v':{'S':'" LONG "'}"),
                VALIDATION(UPDATED_KEY "beyond allowed size limits"));
    expect_long(&f, "UpdateItem", UPDATE("SET p = :v, t = :v", "':v':{'S':'" LONG "'}"),
                VALIDATION(UPDATED_KEY "beyond allowed size limits"));
    expect_long(&f, "UpdateItem",
                "{'TableName':'Matches','Key':{'id':{'S':'1'}},'AttributeUpdates':{'r':{'Value':{'S':'" LONG "'}}}}",
                VALIDATION(UPDATED_KEY "beyond allowed size limits"));
    expect_long(&f, "TransactWriteItems", TRANSACT("Update", UPDATE("SET p = :v, t = :v", "':v':{'S':'" LONG "'}")),
                CANCELED(UPDATED_KEY "beyond allowed size limits"));
    expect_long(&f, "PutItem", "{'TableName':'Matches','Item':{'id':{'S':'7'},'r':{'S':'" LONG "'}}}",
                INVALID("Size limit exceeded for Index Key r Actual Size: 1100 bytes Max Size: 1024 bytes IndexName: "
                        "byRound"));
    expect_long(&f, "BatchWriteItem",
                "{'RequestItems':{'Matches':[{'PutRequest':{'Item':{'id':{'S':'7'},'p':{'S':'" LONG LONG "'}}}}]}}",
                INVALID("Size limit exceeded for Index Key p Actual Size: 2200 bytes Max Size: 2048 bytes IndexName: "
                        "byRound"));
    expect_long(&f, "TransactWriteItems",
                TRANSACT("Put", "{'TableName':'Matches','Item':{'id':{'S':'7'},'r':{'S':'" LONG "'}}}"),
                CANCELED("One or more parameter values were invalid: Size limit exceeded for Index Key r Actual Size: "
                         "1100 bytes Max Size: 1024 bytes IndexName: "
                         "byRound"));
    /* of a start key each by its kind */
    expect_long(&f, "Scan", START(LONG LONG, "f", "f"),
                VALIDATION("The provided starting key is invalid: One or more parameter values were invalid: Size of "
                           "hashkey has exceeded the maximum size limit of2048 bytes"));
    expect_long(&f, "Scan", START(LONG, LONG, "f"), VALIDATION(RANGES));
    expect_long(&f, "Scan", START(LONG, "f", LONG), VALIDATION(RANGES));
    /* [l] */
    expect_long(&f, "PutItem",
                "{'TableName':'Matches','Item':{'id':{'S':'7'},'t':{'S':'" LONG "'},'p':{'S':'" LONG
                "'},'r':{'S':'1'},'n':{'N':'1'}}}",
                VALIDATION("key of index byRound, \\'t\\' and the attributes that follow it, has 2201 bytes in all; 1 "
                           "to 2048 are allowed (one between two attributes; before the last a byte of value 0 or 1 "
                           "counts twice)"));
    dynamodb_end(&f);
}
