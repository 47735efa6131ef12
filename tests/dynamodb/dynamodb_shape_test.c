/* tests/dynamodb/dynamodb_shape_test.c - GetItem and Query requests of a shape that is known.
 *
 * Goal     A context that has seen many requests answers each as one that has seen none, whatever
 *          is the same in two texts and whatever is not.
 * Method   Texts of some shapes, and the same with a few bytes changed, each to an old context and
 *          to a new one. Every text comes often enough for its shape to be learned.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_shape, .timeout = 60 * SLOW_FACTOR);

#define TEXT_BYTES 3000

#define SONGS "{'TableName':'Songs','KeyConditionExpression':"
#define VALUES ",'ExpressionAttributeValues':"
static const struct {
    const char *operation, *text;
} shapes[] = {
    {"GetItem", "{'TableName':'Songs','Key':{'Artist':{'S':'a'},'Title':{'S':'b'}}}"},
    {"GetItem", "{'TableName':'Songs','Key':{'Title':{'S':'b'},'Artist':{'S':'a'}}}"},
    {"GetItem", "{'Key':{'Title':{'S':'a'},'Artist':{'S':'b'}},'TableName':'Songs','ConsistentRead':true}"},
    {"GetItem", " { 'TableName' : 'Songs', 'Key' : { 'Artist' : {'S': 'a' } , 'Title' : {'S':'missing'}} } "},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one'}}}"},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one'}},'Unknown':[1,{'S':'x'}]}"},
    {"GetItem", "{'TableName':'Numbers','Key':{'pk':{'N':'1'}}}"},
    {"GetItem", "{'TableName':'Bytes','Key':{'pk':{'B':'AAAA'}}}"},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one'}},'Key':{'pk':{'S':'two'}}}"},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one'}},'ProjectionExpression':'pk'}"},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one'}},'ReturnConsumedCapacity':'TOTAL'}"},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one','S':'two'}}}"},
    {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'one'},'pk':{'S':'two'}}}"},
    {"GetItem", "{'TableName':'Songs','Key':{'Artist':{'S':'a'}}}"},
    {"GetItem", "{'TableName':'None','Key':{'pk':{'S':'one'}}}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'}}}"},
    {"Query", " " SONGS "'Artist=:a AND Title>:t','ScanIndexForward':false" VALUES "{':t':{'S':'a'},':a':{'S':'a'}}}"},
    {"Query", SONGS "'Artist = :a AND Title BETWEEN :l AND :h'" VALUES
                    "{':a':{'S':'a'},':l':{'S':'a'},':h':{'S':'c'}},'Limit':1}"},
    {"Query", SONGS "'#n = :a AND begins_with(Title, :t)','ExpressionAttributeNames':{'#n':'Artist'}" VALUES
                    "{':a':{'S':'a'},':t':{'S':'b'}}}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'}},'Limit':3}"},
    {"Query", SONGS "'Artist = :a AND Title = :a'" VALUES "{':a':{'S':'a'}}}"},
    {"Query", SONGS "'Artist = :a AND Title BETWEEN :a AND :h'" VALUES "{':a':{'S':'a'},':h':{'S':'c'}},'Limit':2}"},
    {"Query", SONGS "'Artist = :a AND Title > :t','IndexName':'by-length'" VALUES "{':a':{'S':'a'},':t':{'S':'b'}}}"},
    {"Query", SONGS "'Artist = :a','IndexName':'by-length','Limit':1" VALUES "{':a':{'S':'a'}}}"},
    {"Query",
     SONGS "'#y = :y','ExpressionAttributeNames':{'#y':'Year'},'IndexName':'by-year'" VALUES "{':y':{'N':'1965'}}}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'}},'FilterExpression':'Title <> :a'}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'}},'Select':'COUNT'}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'}},'ReturnConsumedCapacity':'TOTAL'}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'},':b':{'S':'b'}}}"},
    {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'},':a':{'S':'b'}}}"},
    {"Query",
     SONGS "'Artist = :a'" VALUES "{':a':{'S':'a'}},'ExclusiveStartKey':{'Artist':{'S':'a'},'Title':{'S':'b'}}}"},
    {"Query",
     "{'TableName':'Songs','KeyConditions':{'Artist':{'ComparisonOperator':'EQ','AttributeValueList':[{'S':'a'}]}}}"},
};
#define SHAPE_COUNT (sizeof shapes / sizeof *shapes)

static uint64_t draws = 88172645463325252u;

static uint32_t draw(uint32_t below) {
    draws ^= draws << 13, draws ^= draws >> 7, draws ^= draws << 17;
    return (uint32_t)(draws % below);
}

static void put(struct dynamodb_fixture *f, const char *request) {
    struct row row = {"PutItem", request, 200, "{}"};
    dynamodb_expect(f, &row);
}

static void begin(struct dynamodb_fixture *f) {
    dynamodb_begin(f);
    put(f, "{'TableName':'Plain','Item':{'pk':{'S':'one'},'n':{'N':'1'}}}");
    put(f, "{'TableName':'Plain','Item':{'pk':{'S':'two'},'n':{'N':'2'}}}");
    put(f, "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'b'},'Year':{'N':'1965'}}}");
    put(f, "{'TableName':'Songs','Item':{'Artist':{'S':'b'},'Title':{'S':'a'},'Year':{'N':'1966'}}}");
    put(f, "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'a'},'Length':{'N':'3'}}}");
    put(f, "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'c'},'Length':{'N':'2'}}}");
    put(f, "{'TableName':'Numbers','Item':{'pk':{'N':'1'}}}");
}

static size_t copy_quoted(char *to, const char *text) {
    size_t bytes = strlen(text);
    for (size_t i = 0; i <= bytes; i++)
        to[i] = text[i] == '\'' ? '"' : text[i];
    return bytes;
}

/* The same from a context that has just begun. The text has no byte behind it. */
static void expect_same(struct dynamodb_fixture *f, const char *operation, const char *text, size_t bytes) {
    struct larder_dynamodb *fresh;
    struct larder_dynamodb_reply old, new;
    char *alone = malloc(bytes ? bytes : 1);
    memcpy(alone, text, bytes);
    EXPECT(larder_dynamodb_new(f->db, &fresh), LARDER_OK);
    EXPECT(larder_dynamodb_call(f->dynamodb, operation, alone, bytes, &old), LARDER_OK);
    EXPECT(larder_dynamodb_call(fresh, operation, alone, bytes, &new), LARDER_OK);
    cr_assert(old.status == new.status &&old.bytes == new.bytes &&memcmp(old.body, new.body, old.bytes) == 0,
              "%.*s\nold: %s\nnew: %s", (int)bytes, text, old.body, new.body);
    larder_dynamodb_free(fresh);
    free(alone);
}

/* Asks for it until its shape has been learned and met: a request for a table that is missing makes
 * all shapes old, and others of late have taken its place. */
static void learn(struct dynamodb_fixture *f, uint32_t shape) {
    char text[TEXT_BYTES];
    for (int i = 0; i < 3; i++)
        expect_same(f, shapes[shape].operation, text, copy_quoted(text, shapes[shape].text));
}

static void learn_all(struct dynamodb_fixture *f) {
    for (int round = 0; round < 20; round++)
        for (uint32_t i = 0; i < SHAPE_COUNT; i++)
            learn(f, i);
}

Test(dynamodb_shape, changed_texts) {
    static const char bytes[] = "\"\\{}[]:,abS \x01\x7f\x80\xc3";
    struct dynamodb_fixture f;
    char text[TEXT_BYTES];
    begin(&f);
    learn_all(&f);
    for (int round = 0; round < 3000 / SLOW_FACTOR; round++) {
        uint32_t shape = draw(SHAPE_COUNT);
        learn(&f, shape);
        size_t length = copy_quoted(text, shapes[shape].text);
        for (uint32_t changes = draw(3); changes > 0; changes--) {
            size_t at = draw((uint32_t)length);
            char c = bytes[draw(sizeof bytes)];
            if (draw(3) == 0)
                text[at] = c;
            else if (draw(2) == 0) {
                memmove(text + at + 1, text + at, length - at);
                text[at] = c;
                length++;
            } else
                memmove(text + at, text + at + 1, --length - at);
        }
        expect_same(&f, shapes[shape].operation, text, length);
    }
    dynamodb_end(&f);
}

Test(dynamodb_shape, keys_of_any_length) {
    static const size_t lengths[] = {0, 1, 14, 15, 16, 17, 31, 32, 33, 1023, 1024, 1025, 2047, 2048, 2049};
    static const struct {
        const char *operation, *start;
    } starts[] = {
        {"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'"},
        {"GetItem", "{'TableName':'Songs','Key':{'Artist':{'S':'x'},'Title':{'S':'"},
        {"Query", SONGS "'Artist = :a'" VALUES "{':a':{'S':'"},
        {"Query",
         SONGS "'Artist = :a AND Title BETWEEN :l AND :h'" VALUES "{':a':{'S':'x'},':l':{'S':'k'},':h':{'S':'"},
        {"Query",
         SONGS "'Artist = :a AND Title BETWEEN :l AND :h'" VALUES "{':a':{'S':'x'},':h':{'S':'k'},':l':{'S':'"},
        {"Query", SONGS "'Artist = :a AND Title <= :a'" VALUES "{':a':{'S':'"},
    };
    const size_t start_count = sizeof starts / sizeof *starts;
    struct dynamodb_fixture f;
    char text[TEXT_BYTES];
    begin(&f);
    learn_all(&f);
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < start_count * sizeof lengths / sizeof *lengths; i++) {
            size_t used = copy_quoted(text, starts[i % start_count].start), bytes = lengths[i / start_count];
            memset(text + used, 'k', bytes);
            used += bytes;
            used += (size_t)sprintf(text + used, "\"}}}");
            expect_same(&f, starts[i % start_count].operation, text, used);
        }
    dynamodb_end(&f);
}

/* Another table has the name, with another key; or none has. */
Test(dynamodb_shape, a_table_that_was_replaced) {
    static const char wanted[] = "{'TableName':'Temp','Key':{'a':{'S':'x'},'b':{'S':'y'}}}";
    static const struct row rows[] = {
        {"CreateTable",
         "{'TableName':'Temp','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'a',"
         "'AttributeType':'S'},{'AttributeName':'b','AttributeType':'S'}],'KeySchema':[{'AttributeName':'a',"
         "'KeyType':'HASH'},{'AttributeName':'b','KeyType':'RANGE'}]}",
         200, "{'TableDescription':..."},
        {"PutItem", "{'TableName':'Temp','Item':{'a':{'S':'x'},'b':{'S':'y'}}}", 200, "{}"},
        {"GetItem", wanted, 200, "{'Item':{'a':{'S':'x'},'b':{'S':'y'}}}"},
        {"GetItem", wanted, 200, "{'Item':{'a':{'S':'x'},'b':{'S':'y'}}}"},
        {"DeleteTable", "{'TableName':'Temp'}", 200, "{'TableDescription':..."},
        {"GetItem", wanted, 400, NOT_FOUND},
        {"CreateTable",
         "{'TableName':'Temp','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'a',"
         "'AttributeType':'S'},{'AttributeName':'b','AttributeType':'S'}],'KeySchema':[{'AttributeName':'b',"
         "'KeyType':'HASH'},{'AttributeName':'a','KeyType':'RANGE'}]}",
         200, "{'TableDescription':..."},
        {"GetItem", wanted, 200, "{}"},
        {"PutItem", "{'TableName':'Temp','Item':{'a':{'S':'x'},'b':{'S':'y'},'n':{'N':'1'}}}", 200, "{}"},
        {"GetItem", wanted, 200, "{'Item':{'a':{'S':'x'},'b':{'S':'y'},'n':{'N':'1'}}}"},
        {"DeleteTable", "{'TableName':'Temp'}", 200, "{'TableDescription':..."},
        {"CreateTable",
         "{'TableName':'Temp','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'a',"
         "'AttributeType':'S'}],'KeySchema':[{'AttributeName':'a','KeyType':'HASH'}]}",
         200, "{'TableDescription':..."},
        {"GetItem", wanted, 400, VALIDATION("The provided key element does not match the schema")},
        {"GetItem", wanted, 400, VALIDATION("The provided key element does not match the schema")},
    };
    DYNAMODB_RUN(rows);
}

/* An index has the name of one that was dropped, with other keys; the table is the same. */
Test(dynamodb_shape, an_index_that_was_replaced) {
#define INDEX "'ByTag'"
#define UPDATE(attribute, change)                                                                                      \
    "{'TableName':'Tags','AttributeDefinitions':[{'AttributeName':'" attribute "','AttributeType':'S'}],"              \
    "'GlobalSecondaryIndexUpdates':[" change "]}"
#define REMOVE UPDATE("pk", "{'Delete':{'IndexName':" INDEX "}}")
#define ADD(attribute)                                                                                                 \
    UPDATE(attribute, "{'Create':{'IndexName':" INDEX ",'KeySchema':[{'AttributeName':'" attribute                     \
                      "','KeyType':'HASH'}],'Projection':{'ProjectionType':'KEYS_ONLY'}}}")
    static const char wanted[] =
        "{'TableName':'Tags','IndexName':" INDEX ",'KeyConditionExpression':'tag = :t'" VALUES "{':t':{'S':'x'}}}";
    static const char found[] = "{'Items':[{'pk':{'S':'1'},'tag':{'S':'x'}}],'Count':1,'ScannedCount':1}";
    static const struct row rows[] = {
        {"CreateTable",
         "{'TableName':'Tags','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'pk',"
         "'AttributeType':'S'}],'KeySchema':[{'AttributeName':'pk','KeyType':'HASH'}]}",
         200, "{'TableDescription':..."},
        {"PutItem", "{'TableName':'Tags','Item':{'pk':{'S':'1'},'tag':{'S':'x'},'mark':{'S':'x'}}}", 200, "{}"},
        {"UpdateTable", ADD("tag"), 200, "{'TableDescription':..."},
        {"Query", wanted, 200, found},
        {"Query", wanted, 200, found},
        {"UpdateTable", REMOVE, 200, "{'TableDescription':..."},
        {"Query", wanted, 400, VALIDATION("The table does not have the specified index: ByTag")},
        {"UpdateTable", ADD("tag"), 200, "{'TableDescription':..."},
        {"Query", wanted, 200, found},
        {"Query", wanted, 200, found},
        {"UpdateTable", REMOVE, 200, "{'TableDescription':..."},
        {"UpdateTable", ADD("mark"), 200, "{'TableDescription':..."},
        {"Query", wanted, 400, VALIDATION("Query condition missed key schema element: mark")},
    };
    DYNAMODB_RUN(rows);
}

/* ---- Attributes as text ---------------------------------------------------------------------- */

/* An item with attributes in the order of their names, which is that of the answer. */
static size_t write_random_item(char *to, const char *key) {
    static const char *const names[] = {"PK",    "a", "abcdefghijklmn", "abcdefghijklmno", "city", "createdAt",
                                        "q\\\"", "s", "status",         "total",           "ttl",  "zz"};
    static const char *const values[] = {"{'S':''}",
                                         "{'S':'x'}",
                                         "{'S':'0123456789abcde'}",
                                         "{'S':'0123456789abcdef'}",
                                         "{'S':'0123456789abcdef0123456789abcdef'}",
                                         "{'S':'0123456789abcdef0123456789abcdef0'}",
                                         "{'S':'a \\' in it'}",
                                         "{'S':'\xc3\xa9'}",
                                         "{'S':'tab\\tand \\\\'}",
                                         "{'S':'} is next'}",
                                         "{'N':'0'}",
                                         "{'N':'7'}",
                                         "{'N':'10'}",
                                         "{'N':'12345678901234567890'}",
                                         "{'N':'100000000000000000000'}",
                                         "{'N':'-5'}",
                                         "{'N':'1.5'}",
                                         "{'N':'100'}",
                                         "{'BOOL':true}",
                                         "{'NULL':true}",
                                         "{'B':'AAEC'}",
                                         "{'L':[{'N':'1'},{'S':'l'}]}",
                                         "{'M':{'a':{'S':'m'}}}",
                                         "{'SS':['a','b']}"};
    size_t used = (size_t)sprintf(to, "{'PK':{'S':'%s'}", key);
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (draw(5) != 0)
            used += (size_t)sprintf(to + used, ",'%s':%s", names[i], values[draw(sizeof values / sizeof *values)]);
    for (uint32_t i = 0, more = draw(8) == 0 ? 20 + draw(60) : 0; i < more; i++) /* more than there are places */
        used += (size_t)sprintf(to + used, ",'zz%03u':%s", i, values[draw(sizeof values / sizeof *values)]);
    return used + (size_t)sprintf(to + used, "}");
}

/* Items with the same attributes, and with others, one after the other: each is answered as it was
 * put. */
Test(dynamodb_shape, attributes_as_they_were_put) {
    static const struct row create = {
        "CreateTable",
        "{'TableName':'Any','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'PK',"
        "'AttributeType':'S'}],'KeySchema':[{'AttributeName':'PK','KeyType':'HASH'}]}",
        200, "{'TableDescription':..."};
    struct dynamodb_fixture f;
    char item[8000], request[8200], answer[8200], key[100] = "";
    dynamodb_begin(&f);
    dynamodb_expect(&f, &create);
    for (int round = 0; round < 2000 / SLOW_FACTOR; round++) {
        uint32_t key_bytes = 1 + draw(60);
        memset(key, 'k', key_bytes);
        key[key_bytes] = 0;
        write_random_item(item, key);
        snprintf(request, sizeof request, "{'TableName':'Any','Item':%s}", item);
        put(&f, request);
        snprintf(request, sizeof request, "{'TableName':'Any','Key':{'PK':{'S':'%s'}}}", key);
        snprintf(answer, sizeof answer, "{'Item':%s}", item);
        struct row get = {"GetItem", request, 200, answer};
        dynamodb_expect(&f, &get);
    }
    dynamodb_end(&f);
}
