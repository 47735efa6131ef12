/* tests/dynamodb/dynamodb_values_test.c - AttributeValues, numbers, and the JSON around them.
 *
 * Goal     What the service refuses is refused in its words: types (SerializationException), values
 *          (ValidationException), and which of them first. JSON that is none is a
 *          SerializationException without a message.
 * Source   dynalite's suites ("serializations", "validations" of PutItem and GetItem), run against
 *          the service. {"NULL": false} was accepted in some regions, and is refused in all of them
 *          since July 2026: dynamodb-conformance suite. From it, run in 2026, too: "PartiQL
 *          parameters - numbers" (exponents, nesting). The frame "1 validation error detected" of
 *          PutItem, UpdateItem and DeleteItem was seen in eu-west-2 in 2026.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"

TestSuite(dynamodb_values, .timeout = 30 * SLOW_FACTOR);

#define NULL_FALSE "Null attribute value types must have the value of true"
#define ITEM(value) "{'TableName':'Plain','Item':{'pk':{'S':'k'},'v':" value "}}"
#define KEY(value) "{'TableName':'Plain','Key':{'pk':" value "}}"
#define EMPTY VALIDATION("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
#define TWO                                                                                                            \
    VALIDATION("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "   \
               "datatypes")
#define FRAMED(message) VALIDATION("1 validation error detected: " message)
#define NO_NUMBER "The parameter cannot be converted to a numeric value"
#define TOO_LARGE "Number overflow. Attempting to store a number with magnitude larger than supported range"
#define TOO_SMALL "Number underflow. Attempting to store a number with magnitude smaller than supported range"
#define TOO_LONG "Attempting to store more than 38 significant digits in a Number"

Test(dynamodb_values, types) {
    static const struct row rows[] = {
        {"PutItem", "{'TableName':'Plain','Item':'x'}", 400, SERIALIZATION("Unexpected field type")},
        {"PutItem", "{'TableName':'Plain','Item':1}", 400, SERIALIZATION("Unexpected field type")},
        {"PutItem", "{'TableName':'Plain','Item':[]}", 400,
         SERIALIZATION("Unrecognized collection type java.util.Map<java.lang.String, "
                       "com.amazonaws.dynamodb.v20120810.AttributeValue>")},
        {"PutItem", ITEM("'x'"), 400, SERIALIZATION("Unexpected value type in payload")},
        {"PutItem", ITEM("true"), 400, SERIALIZATION("Unexpected value type in payload")},
        {"PutItem", ITEM("[]"), 400,
         SERIALIZATION("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue")},
        {"PutItem", ITEM("{'S':1}"), 400, SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"PutItem", ITEM("{'S':1.5}"), 400, SERIALIZATION("DECIMAL_VALUE cannot be converted to String")},
        {"PutItem", ITEM("{'S':true}"), 400, SERIALIZATION("TRUE_VALUE cannot be converted to String")},
        {"PutItem", ITEM("{'N':1}"), 400, SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"PutItem", ITEM("{'S':[]}"), 400, SERIALIZATION("Unrecognized collection type class java.lang.String")},
        {"PutItem", ITEM("{'S':{}}"), 400, SERIALIZATION("Start of structure or map found where not expected")},
        {"PutItem", ITEM("{'BOOL':1}"), 400, SERIALIZATION("NUMBER_VALUE cannot be converted to Boolean")},
        {"PutItem", ITEM("{'BOOL':'maybe'}"), 400, SERIALIZATION("Unexpected token received from parser")},
        {"PutItem", ITEM("{'B':1}"), 400, SERIALIZATION("only base-64-encoded strings are convertible to bytes")},
        {"PutItem", ITEM("{'B':[]}"), 400, SERIALIZATION("Unrecognized collection type class java.nio.ByteBuffer")},
        {"PutItem", ITEM("{'B':'23456'}"), 400,
         SERIALIZATION("Base64 encoded length is expected a multiple of 4 bytes but found: 5")},
        {"PutItem", ITEM("{'B':'=+/='}"), 400, SERIALIZATION("Invalid Base64 character: `=`")},
        {"PutItem", ITEM("{'B':'+/+='}"), 400, SERIALIZATION("Invalid last non-pad Base64 character dectected")},
        {"PutItem", ITEM("{'SS':'x'}"), 400, SERIALIZATION("Unexpected field type")},
        {"PutItem", ITEM("{'SS':[1]}"), 400, SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"PutItem", ITEM("{'L':[{'M':{'a':{'BS':[1]}}}]}"), 400,
         SERIALIZATION("only base-64-encoded strings are convertible to bytes")},
        {"PutItem", ITEM("{'M':[]}"), 400,
         SERIALIZATION("Unrecognized collection type java.util.Map<java.lang.String, "
                       "com.amazonaws.dynamodb.v20120810.AttributeValue>")},
        /* a type counts before a value, wherever it stands */
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'},'a':{'N':'x'},'b':{'S':1}}}", 400,
         SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'},'a':{'S':'x','N':1}}}", 400,
         SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        /* words for booleans */
        {"PutItem", ITEM("{'BOOL':'Yes'}"), 200, "{}"},
        {"GetItem", KEY("{'S':'k'}"), 200, "{'Item':{'pk':{'S':'k'},'v':{'BOOL':true}}}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_values, values) {
    static const struct row rows[] = {
        {"PutItem", ITEM("{}"), 400, EMPTY},
        {"PutItem", ITEM("{'a':''}"), 400, EMPTY},
        {"PutItem", ITEM("null"), 400, EMPTY},
        {"PutItem", ITEM("{'S':null}"), 400, EMPTY},
        {"PutItem", ITEM("{'M':{'a':{}}}"), 400, EMPTY},
        {"PutItem", ITEM("{'L':[{'a':{}}]}"), 400, EMPTY},
        {"GetItem", KEY("{}"), 400, EMPTY},
        {"PutItem", ITEM("{'S':'a','N':'1'}"), 400, TWO},
        {"PutItem", ITEM("{'M':{},'L':[{'S':'a'}]}"), 400, TWO},
        {"PutItem", ITEM("{'S':'a','N':''}"), 400, FRAMED(NO_NUMBER)},
        {"PutItem", ITEM("{'NULL':false}"), 400, INVALID(NULL_FALSE)},
        {"PutItem", ITEM("{'L':[{'NULL':false}]}"), 400, INVALID(NULL_FALSE)},
        {"GetItem", KEY("{'NULL':false}"), 400, INVALID(NULL_FALSE)},
        {"PutItem", ITEM("{'NULL':true}"), 200, "{}"},
        {"GetItem", KEY("{'S':'k'}"), 200, "{'Item':{'pk':{'S':'k'},'v':{'NULL':true}}}"},
        {"PutItem", ITEM("{'SS':[]}"), 400, INVALID("An string set  may not be empty")},
        {"PutItem", ITEM("{'NS':[]}"), 400, INVALID("An number set  may not be empty")},
        {"PutItem", ITEM("{'BS':[]}"), 400, INVALID("Binary sets should not be empty")},
        {"PutItem", ITEM("{'SS':['a','b','a']}"), 400,
         FRAMED("One or more parameter values were invalid: Input collection [a, b, a] contains duplicates.")},
        {"GetItem", KEY("{'SS':['a','a']}"), 400, INVALID("Input collection [a, a] contains duplicates.")},
        {"GetItem", KEY("{'BS':['Yg==','Yg==']}"), 400,
         INVALID("Input collection [Yg==, Yg==]of type BS contains duplicates.")},
        {"GetItem", KEY("{'NS':['1','1.0']}"), 400, VALIDATION("Input collection contains duplicates")},
        {"GetItem", KEY("{'N':''}"), 400, VALIDATION(NO_NUMBER)},
        {"GetItem", KEY("{'N':'b'}"), 400, VALIDATION(NO_NUMBER ": b")},
        {"GetItem", KEY("{'NS':['1','b','a']}"), 400, VALIDATION(NO_NUMBER ": b")},
        {"GetItem", KEY("{'N':'123456789012345678901234567890123456789'}"), 400, VALIDATION(TOO_LONG)},
        {"GetItem", KEY("{'N':'-1.23456789012345678901234567890123456789'}"), 400, VALIDATION(TOO_LONG)},
        {"GetItem", KEY("{'N':'1e126'}"), 400, VALIDATION(TOO_LARGE)},
        {"GetItem", KEY("{'N':'-1e126'}"), 400, VALIDATION(TOO_LARGE)},
        {"GetItem", KEY("{'N':'1e-131'}"), 400, VALIDATION(TOO_SMALL)},
        {"GetItem", KEY("{'N':'-0.1e-130'}"), 400, VALIDATION(TOO_SMALL)},
        {"GetItem", KEY("{'N':'1e2147483647'}"), 400, VALIDATION(TOO_SMALL)},
        {"GetItem", KEY("{'N':'1e2147483648'}"), 400, VALIDATION(NO_NUMBER ": 1e2147483648")},
        {"GetItem", KEY("{'N':'1e-99999999999'}"), 400, VALIDATION(NO_NUMBER ": 1e-99999999999")},
        /* names: one empty, one twice (the last counts) */
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'},'':{'S':'x'}}}", 400,
         INVALID("Attribute name must not be empty")},
        {"PutItem", "{'TableName':'Plain','Item':{'a':{'S':'1'},'pk':{'S':'k'},'a':{'S':'2','S':'3'}}}", 200, "{}"},
        {"GetItem", KEY("{'S':'k'}"), 200, "{'Item':{'a':{'S':'3'},'pk':{'S':'k'}}}"},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'},'a':{'N':'x'},'a':{'N':'1'}}}", 200, "{}"},
        {"PutItem", ITEM("{'M':{'a':{'L':[{'M':{'b':{'N':'1'},'b':{'N':'2'}}}]},'a\\u0062':{'S':'x'},'ab':{'S':'y'}}}"),
         200, "{}"},
        {"GetItem", KEY("{'S':'k'}"), 200,
         "{'Item':{'pk':{'S':'k'},'v':{'M':{'a':{'L':[{'M':{'b':{'N':'2'}}}]},'ab':{'S':'y'}}}}}"},
        {"GetItem", "{'TableName':'Nothing','Key':{'pk':{'S':'x'}},'TableName':'Plain'}", 200, "{}"},
    };
    DYNAMODB_RUN(rows);
}

/* Developer guide, "Constraints": nesting 32 levels deep. */
Test(dynamodb_values, nesting) {
    static const char too_deep[] =
        VALIDATION("Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
                   "supported limit");
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (int levels = 30; levels < 100; levels += levels < 34 ? 1 : 30) {
        char request[4096] = "{'TableName':'Plain','Item':{'pk':{'S':'k'},'v':";
        for (int i = 0; i < levels; i++)
            strcat(request, i % 2 ? "{'L':[" : "{'M':{'a':");
        strcat(request, "{'S':'leaf'}");
        for (int i = levels; i-- > 0;)
            strcat(request, i % 2 ? "]}" : "}}");
        strcat(request, "}}");
        dynamodb_expect(&f, &(struct row){"PutItem", request, levels > 31 ? 400 : 200, levels > 31 ? too_deep : "{}"});
    }
    dynamodb_end(&f);
}

/* The service's limit of an item: 400 KB, names included. */
Test(dynamodb_values, size) {
    enum { ROOM = 420000 };
    struct dynamodb_fixture f;
    char *request = malloc(ROOM);
    cr_assert(request);
    dynamodb_begin(&f);
    for (int over = 0; over < 2; over++) {
        int used = snprintf(request, ROOM, "{'TableName':'Plain','Item':{'pk':{'S':'k'},'v':{'S':'");
        memset(request + used, 'x', 409600);
        /* "pk", "k" and "v" are 4 bytes */
        snprintf(request + used + 409596 + over, 64, "'}}}");
        dynamodb_expect(&f, &(struct row){"PutItem", request, over ? 400 : 200,
                                          over ? VALIDATION("Item size has exceeded the maximum allowed size") : "{}"});
    }
    dynamodb_end(&f);
    free(request);
}

/* An item that is mostly key: the room for its text is found before it is written. Each is in a
 * context of its own, whose room is small. */
Test(dynamodb_values, long_keys) {
    enum { ROOM = 32768 };
    char *request = malloc(ROOM), *reply = malloc(ROOM);
    cr_assert(request && reply);
    for (int key = 100; key <= 2000; key += SLOW_FACTOR > 1 ? 61 : 19)
        for (int attributes = 0; attributes <= 24; attributes += 6) {
            struct dynamodb_fixture f;
            int used = 0;
            dynamodb_begin(&f);
            used += sprintf(reply + used, "{'Item':{'pk':{'S':'%0*d'}", key, 7);
            for (int i = 0; i < attributes; i++)
                used += sprintf(reply + used, ",'z%02d':{'S':'%0*d'}", i, 124, i);
            sprintf(reply + used, "}}");
            sprintf(request, "{'TableName':'Plain',%s", reply + 1);
            request[strlen(request) - 1] = 0;
            strcat(request, "}");
            dynamodb_expect(&f, &(struct row){"PutItem", request, 200, "{}"});
            sprintf(request, "{'TableName':'Plain','Key':{'pk':{'S':'%0*d'}}}", key, 7);
            dynamodb_expect(&f, &(struct row){"GetItem", request, 200, reply});
            dynamodb_end(&f);
        }
    free(request);
    free(reply);
}

/* Developer guide, "Limits for expression parameters": 2 MB of names and values. */
Test(dynamodb_values, size_of_expression_values) {
    enum { COUNT = 5, BYTES_EACH = 400000, ROOM = COUNT * (BYTES_EACH + 100) + 1000 };
    struct dynamodb_fixture f;
    char *request = malloc(ROOM);
    cr_assert(request);
    dynamodb_begin(&f);
    for (int i = 0; i < COUNT + 1; i++) {
        int used = snprintf(request, ROOM,
                            "{'TableName':'Plain','Key':{'pk':{'S':'k'}},'UpdateExpression':'SET n = :n',"
                            "'ConditionExpression':'NOT pk IN (:0, :1, :2, :3, :4)','ExpressionAttributeValues':"
                            "{':n':{'N':'1'}");
        for (int k = 0; k < COUNT; k++) {
            used += snprintf(request + used, (size_t)(ROOM - used), ",':%d':{'S':'", k);
            size_t bytes = k < i ? BYTES_EACH : 1;
            memset(request + used, 'x', bytes);
            used += (int)bytes;
            used += snprintf(request + used, (size_t)(ROOM - used), "'}");
        }
        snprintf(request + used, (size_t)(ROOM - used), "}}");
        dynamodb_expect(&f, &(struct row){"UpdateItem", request, 200, "{}"});
    }
    dynamodb_end(&f);
    free(request);
}

static const struct {
    const char *text;
    size_t bytes;
} malformed[] = {
#define BYTES(text)                                                                                                    \
    { text, sizeof(text) - 1 }
    BYTES(""),
    BYTES(" "),
    BYTES("7"),
    BYTES("[]"),
    BYTES("null"),
    BYTES("\"a\""),
    BYTES("{"),
    BYTES("{}}"),
    BYTES("{},"),
    BYTES("{} x"),
    BYTES("{,}"),
    BYTES("{7}"),
    BYTES("{\"a\"}"),
    BYTES("{\"a\":}"),
    BYTES("{\"a\":1,}"),
    BYTES("{\"a\":1 \"b\":2}"),
    BYTES("{a:1}"),
    BYTES("{'a':1}"),
    BYTES("{\"a\":[1,]}"),
    BYTES("{\"a\":[1}"),
    BYTES("{\"a\":[}"),
    BYTES("{\"a\":{]}"),
    BYTES("{\"a\":01}"),
    BYTES("{\"a\":+1}"),
    BYTES("{\"a\":.5}"),
    BYTES("{\"a\":1.}"),
    BYTES("{\"a\":1e}"),
    BYTES("{\"a\":-}"),
    BYTES("{\"a\":nul}"),
    BYTES("{\"a\":True}"),
    BYTES("{\"a\":NaN}"),
    BYTES("{\"a\":\"\n\"}"),
    BYTES("{\"a\":\"\0\"}"),
    BYTES("{\"a\":\"x}"),
    BYTES("{\"a\":\"\\\"}"),
    BYTES("{\"a\":\"\\x\"}"),
    BYTES("{\"a\":\"\\u12g4\"}"),
    BYTES("{\"a\":\"\\u12\"}"),
    BYTES("{\"a\":\"\\ud800\"}"),
    BYTES("{\"a\":\"\\ud800\\u0041\"}"),
    BYTES("{\"a\":\"\\udc00\"}"),
    BYTES("{\"a\":\"\xff\"}"),
    BYTES("{\"a\":\"\xc0\x80\"}"),
    BYTES("{\"a\":\"\xed\xa0\x80\"}"),
    BYTES("{\"a\":\"\xe2\x82\"}"),
    BYTES("{\"\xff\":1}"),
    BYTES("\xef\xbb\xbf{}"),
    BYTES("// c\n{}"),
};

/* In a member that nobody looks at, and in one that is read. RFC 8259. */
Test(dynamodb_values, malformed_json) {
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        dynamodb_expect_bytes(&f, "GetItem", malformed[i].text, malformed[i].bytes, 400, MALFORMED);
        char nested[256] = "{\"TableName\":\"Plain\",\"Key\":{\"pk\":{\"S\":\"k\"}},\"x\":";
        size_t used = strlen(nested);
        if (malformed[i].text[0] != '{' || memchr(malformed[i].text, '}', malformed[i].bytes) == NULL)
            continue;
        memcpy(nested + used, malformed[i].text, malformed[i].bytes);
        nested[used + malformed[i].bytes] = '}';
        dynamodb_expect_bytes(&f, "GetItem", nested, used + malformed[i].bytes + 1, 400, MALFORMED);
    }
    dynamodb_end(&f);
}

/* Each prefix of a request, and depth without end. */
Test(dynamodb_values, cut_and_deep_json) {
    static const char whole[] = "{\"TableName\":\"Plain\",\"Key\":{\"pk\":{\"S\":\"\\u00e9\\ud83d\\ude00\xc3\xa9\"}},"
                                "\"x\":[null,true,-1.5e+3,{\"a\":\"\\n\"}]}";
    enum { DEPTH = 100000 };
    struct dynamodb_fixture f;
    char *deep = malloc(2 * DEPTH);
    cr_assert(deep);
    dynamodb_begin(&f);
    for (size_t bytes = 0; bytes < sizeof whole - 1; bytes++)
        dynamodb_expect_bytes(&f, "GetItem", whole, bytes, 400, MALFORMED);
    dynamodb_expect_bytes(&f, "GetItem", whole, sizeof whole - 1, 200, "{}");
    memset(deep, '[', DEPTH);
    memset(deep + DEPTH, ']', DEPTH);
    memcpy(deep, "{\"x\":", 5);
    dynamodb_expect_bytes(&f, "PutItem", deep, DEPTH, 400, MALFORMED);
    deep[2 * DEPTH - 5] = '}';
    dynamodb_expect_bytes(&f, "PutItem", deep, 2 * DEPTH - 4, 400, MALFORMED);
    dynamodb_end(&f);
    free(deep);
}

/* Every escape and control character, there and back. */
Test(dynamodb_values, strings_come_back) {
    static const struct row rows[] = {
        {"PutItem", ITEM("{'S':'\\u0000\\u0001\\u001f\\b\\f\\n\\r\\t\\/\\\\\\'\\u007f\\u00e9\\u20ac\\ud83d\\ude00'}"),
         200, "{}"},
        {"GetItem", KEY("{'S':'k'}"), 200,
         "{'Item':{'pk':{'S':'k'},'v':{'S':'\\u0000\\u0001\\u001f\\b\\f\\n\\r\\t/"
         "\\\\\\'\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f"
         "\x98\x80'}}}"},
        {"PutItem", "{'TableName':'Plain','Item':{'pk':{'S':'k'},'a\\u0000b\\n':{'B':'\\u0059\\u0067=='}}}", 200, "{}"},
        {"GetItem", KEY("{'S':'\\u006b'}"), 200, "{'Item':{'a\\u0000b\\n':{'B':'Yg=='},'pk':{'S':'k'}}}"},
    };
    DYNAMODB_RUN(rows);
}
