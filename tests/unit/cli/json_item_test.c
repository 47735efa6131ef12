/* tests/unit/cli/json_item_test.c - DynamoDB JSON <-> items, and base64.
 *
 * Goal     Every good item comes back as it went in, to the byte. Every bad one is refused with the
 *          place in the message.
 * Method   Text to item to text. ' stands for " in the documents of this file.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/base64.h"
#include "cli/json_item.h"
#include "cli/json_nul.h"
#include "cli/json_text.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(base64, .timeout = 10 * SLOW_FACTOR);
TestSuite(json_item, .timeout = 10 * SLOW_FACTOR);

Test(base64, known_texts) {
    static const struct {
        const char *data, *text;
    } pairs[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"},
                 {"\xfb\xff\xfe", "+//+"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[32] = "", data[32] = "";
        size_t bytes;
        base64_encode(pairs[i].data, strlen(pairs[i].data), text);
        cr_expect_str_eq(text, pairs[i].text);
        cr_assert(base64_decode(pairs[i].text, strlen(pairs[i].text), data, &bytes));
        cr_expect_eq(bytes, strlen(pairs[i].data));
        cr_expect_str_eq(data, pairs[i].data);
    }
}

Test(base64, refuses_everything_else) {
    static const char *const texts[] = {"Z",       "Zg",    "Zg=",  "Zg===", "=",        "====",
                                        "Z===",    "Zm9v=", "Zh==", "Zm9=",  "Zg==Zg==", "Zm 9",
                                        "Zm9v\n",  "Zm-v",  "Zm_v", "Zm=v",  "Z=9v",     "\xc3\xa4\xc3\xa4",
                                        "Zm9vYg=a"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char data[32];
        size_t bytes;
        cr_expect_not(base64_decode(texts[i], strlen(texts[i]), data, &bytes), "accepted \"%s\"", texts[i]);
    }
}

Test(base64, all_lengths_and_bytes) {
    unsigned char data[256] = {0}, back[256];
    char text[512];
    for (size_t bytes = 0; bytes <= sizeof data; bytes++) {
        for (size_t i = 0; i < bytes; i++)
            data[i] = (unsigned char)(i * 7 + bytes);
        base64_encode(data, bytes, text);
        size_t text_bytes = base64_text_bytes(bytes), got = 0;
        cr_assert_leq(bytes, base64_data_bytes_max(text_bytes));
        cr_assert(base64_decode(text, text_bytes, back, &got));
        cr_assert_eq(got, bytes);
        cr_assert(memcmp(data, back, bytes) == 0);
    }
}

static json_t *parse(const char *text) {
    size_t bytes = strlen(text);
    char *json = malloc(bytes + 1);
    cr_assert_not_null(json);
    for (size_t i = 0; i <= bytes; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    json_error_t error;
    json_t *document = json_loadb(json, bytes, JSON_TEXT_ITEM, &error);
    free(json);
    cr_assert_not_null(document, "%s in %s", error.text, text);
    return document;
}

struct fixture {
    struct larder *db;
    struct larder_builder *builder;
};

static void open_fixture(struct fixture *fixture) {
    fixture->db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
    cr_assert_eq(larder_builder_new(fixture->db, &fixture->builder), LARDER_OK);
}

static void close_fixture(struct fixture *fixture) {
    larder_builder_free(fixture->builder);
    larder_close(fixture->db);
}

static int build(struct fixture *fixture, const char *text, const struct larder_item **item, struct place *place) {
    json_t *json = parse(text);
    memset(place, 0, sizeof *place);
    int result = json_item_build(fixture->builder, json, item, place);
    json_decref(json);
    return result;
}

/* `text` makes an item that is written as `expected`. */
static void expect_written(struct fixture *fixture, const char *text, const char *expected) {
    const struct larder_item *item;
    struct place place;
    cr_assert_eq(build(fixture, text, &item, &place), LARDER_OK, "%s: %s", text, place.problem);
    cr_expect_str_eq(place.path, "", "%s left the place at %s", text, place.path);
    json_t *json = json_item_json(item);
    cr_assert_not_null(json);
    char *written = json_dumps(json, JSON_COMPACT);
    for (char *at = written; *at != 0; at++) {
        if (*at == '"')
            *at = '\'';
    }
    cr_expect_str_eq(written, expected);
    free(written);
    json_decref(json);
}

static void expect_same(struct fixture *fixture, const char *text) {
    expect_written(fixture, text, text);
}

static void expect_refused(struct fixture *fixture, const char *text, const char *where) {
    const struct larder_item *item;
    struct place place;
    int result = build(fixture, text, &item, &place);
    cr_expect_eq(result, LARDER_E_INVAL, "%s gives %d", text, result);
    cr_expect(strncmp(place.problem, where, strlen(where)) == 0 && strlen(place.problem) > strlen(where),
              "for %s the message is: %s", text, place.problem);
}

Test(json_item, all_types_come_back) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_same(&fixture, "{'a':{'S':'text'}}");
    expect_same(&fixture, "{'a':{'S':''}}");
    expect_same(&fixture, "{'a':{'S':'\\u0000x\\u0000'}}");
    expect_same(&fixture, "{'a':{'N':'17'}}");
    expect_same(&fixture, "{'a':{'N':'-0.000123'}}");
    expect_same(&fixture, "{'a':{'N':'12345678901234567890123456789012345678'}}");
    expect_same(&fixture, "{'a':{'B':'AAEC/w=='}}");
    expect_same(&fixture, "{'a':{'B':''}}");
    expect_same(&fixture, "{'a':{'BOOL':true},'b':{'BOOL':false},'c':{'NULL':true}}");
    expect_same(&fixture, "{'a':{'M':{}},'b':{'L':[]}}");
    expect_same(&fixture, "{'a':{'M':{'x':{'L':[{'M':{'y':{'S':'z'}}},{'N':'1'}]}}}}");
    expect_same(&fixture, "{'a':{'SS':['x','y']},'b':{'NS':['1','2.5']},'c':{'BS':['AA==','AQ==']}}");
    expect_same(&fixture, "{'\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x98':{'S':'\xf0\x9f\x90\x98'}}");
    close_fixture(&fixture);
}

Test(json_item, numbers_are_written_in_one_form) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_written(&fixture, "{'a':{'N':'1.50e1'}}", "{'a':{'N':'15'}}");
    expect_written(&fixture, "{'a':{'N':'-0'}}", "{'a':{'N':'0'}}");
    expect_written(&fixture, "{'a':{'NS':['2','1.0']}}", "{'a':{'NS':['1','2']}}");
    close_fixture(&fixture);
}

Test(json_item, attributes_are_sorted) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_written(&fixture, "{'b':{'N':'1'},'a':{'N':'2'}}", "{'a':{'N':'2'},'b':{'N':'1'}}");
    expect_written(&fixture, "{'b':{'SS':['y','x']}}", "{'b':{'SS':['x','y']}}");
    close_fixture(&fixture);
}

/* Rule J3. */
Test(json_item, item_wrapper) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_written(&fixture, "{'Item':{'a':{'S':'x'}}}", "{'a':{'S':'x'}}");
    expect_written(&fixture, "{'Item':{'a':{'S':'x'},'b':{'N':'1'}}}", "{'a':{'S':'x'},'b':{'N':'1'}}");
    expect_written(&fixture, "{'Item':{'Item':{'S':'x'}}}", "{'Item':{'S':'x'}}");
    /* an attribute named S */
    expect_written(&fixture, "{'Item':{'S':{'S':'x'}}}", "{'S':{'S':'x'}}");
    expect_written(&fixture, "{'Item':{'M':{'S':'x'}}}", "{'M':{'S':'x'}}");
    expect_written(&fixture, "{'Item':{'M':{'M':{}}}}", "{'M':{'M':{}}}");
    expect_same(&fixture, "{'Item':{'S':'x'}}");
    expect_same(&fixture, "{'Item':{'L':[]}}");
    expect_same(&fixture, "{'Item':{'M':{}}}");
    expect_same(&fixture, "{'Item':{'M':{'a':{'N':'1'}}}}");
    expect_same(&fixture, "{'Item':{'M':{'M':{'M':{}}}}}");
    expect_same(&fixture, "{'Item':{'S':'x'},'b':{'S':'y'}}");
    expect_refused(&fixture, "{'Item':{'a':{'S':5}}}", "Item.a: ");
    expect_refused(&fixture, "{'Item':5}", "");
    close_fixture(&fixture);
}

Test(json_item, refuses_with_the_place) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_refused(&fixture, "{'a':'x'}", "a: ");
    expect_refused(&fixture, "{'a':{}}", "a: ");
    expect_refused(&fixture, "{'a':{'S':'x','N':'1'}}", "a: ");
    expect_refused(&fixture, "{'a':{'s':'x'}}", "a: \"s\" is no type");
    expect_refused(&fixture, "{'a':{'X':'x'}}", "a: \"X\" is no type");
    expect_refused(&fixture, "{'a':{'':'x'}}", "a: \"\" is no type");
    expect_refused(&fixture, "{'a':{'S':1}}", "a: S takes");
    expect_refused(&fixture, "{'a':{'S':null}}", "a: S takes");
    expect_refused(&fixture, "{'a':{'N':1}}", "a: N takes");
    expect_refused(&fixture, "{'a':{'B':'AA'}}", "a: B takes");
    expect_refused(&fixture, "{'a':{'BOOL':'true'}}", "a: BOOL takes");
    expect_refused(&fixture, "{'a':{'NULL':false}}", "a: NULL takes");
    expect_refused(&fixture, "{'a':{'M':[]}}", "a: M takes");
    expect_refused(&fixture, "{'a':{'L':{}}}", "a: L takes");
    expect_refused(&fixture, "{'a':{'SS':'x'}}", "a: SS takes");
    expect_refused(&fixture, "{'a':{'NS':['1',2]}}", "a[1]: N takes");
    expect_refused(&fixture, "{'a':{'BS':['AA==','A']}}", "a[1]: B takes");
    expect_refused(&fixture, "{'a':{'M':{'b':{'L':[{'S':'x'},{'Q':1}]}}}}", "a.b[1]: ");
    expect_refused(&fixture, "[]", "an item is");
    close_fixture(&fixture);
}

/* A text in a message is cut between characters, wherever the limit falls: the name of a type, and
 * the path. */
Test(json_item, messages_hold_whole_characters) {
    struct fixture fixture;
    static char text[1024];
    open_fixture(&fixture);
    for (int before = 0; before < 300; before++) {
        const struct larder_item *item;
        struct place place;
        snprintf(text, sizeof text, "{'%.*s\xf0\x9f\x90\x98\xe2\x82\xac':{'%.*s\xf0\x9f\x90\x98\xe2\x82\xac%s':'x'}}",
                 before > 200 ? before : 1,
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 before % 50, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccc");
        cr_assert_eq(build(&fixture, text, &item, &place), LARDER_E_INVAL);
        json_t *as_text = json_string(place.problem); /* jansson takes UTF-8 only */
        cr_expect_not_null(as_text, "%d: %s", before, place.problem);
        cr_expect(strstr(place.problem, "is no type") != NULL, "%s", place.problem);
        json_decref(as_text);
    }
    close_fixture(&fixture);
}

/* What the builder refuses is reported with its place, and the builder is good for the next
 * item. */
Test(json_item, refusals_of_the_builder) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_refused(&fixture, "{'a':{'N':'twelve'}}", "a: ");
    expect_refused(&fixture, "{'a':{'N':'1\\u00002'}}", "a: ");
    expect_refused(&fixture, "{'a':{'N':''}}", "a: ");
    expect_refused(&fixture, "{'a':{'N':'1e200'}}", "a: ");
    expect_refused(&fixture, "{'a':{'N':'123456789012345678901234567890123456789'}}", "a: ");
    expect_refused(&fixture, "{'a':{'SS':[]}}", "a: ");
    expect_refused(&fixture, "{'a':{'SS':['x','x']}}", "a");
    expect_refused(&fixture, "{'a':{'NS':['1','1.0']}}", "a");
    expect_refused(&fixture, "{'':{'S':'x'}}", "");
    expect_same(&fixture, "{'a':{'S':'still good'}}");
    close_fixture(&fixture);
}

/* Parses by json_nul_load() and builds; the name of the item's first attribute is as given. */
static void expect_name(struct fixture *fixture, const char *text, const char *name, size_t bytes) {
    const struct larder_item *item;
    struct larder_iter it;
    struct larder_member member;
    struct place place = {0};
    json_error_t error;
    json_t *json = json_nul_load(text, strlen(text), &place, &error);
    cr_assert_not_null(json, "%s in %s", error.text, text);
    cr_assert_eq(json_item_build(fixture->builder, json, &item, &place), LARDER_OK, "%s: %s", text, place.problem);
    json_decref(json);
    larder_iter_item(item, &it);
    cr_assert_eq(larder_iter_next(&it, &member), LARDER_OK);
    cr_assert(member.name_bytes == bytes && memcmp(member.name, name, bytes) == 0, "%s", text);
    json_t *back = json_item_json(item); /* and the same after export and import */
    char *printed = json_dumps(back, JSON_COMPACT);
    json_decref(back);
    json = json_nul_load(printed, strlen(printed), &place, &error);
    cr_assert_not_null(json, "%s in %s", error.text, printed);
    cr_assert_eq(json_item_build(fixture->builder, json, &item, &place), LARDER_OK);
    json_decref(json);
    larder_iter_item(item, &it);
    cr_assert_eq(larder_iter_next(&it, &member), LARDER_OK);
    cr_assert(member.name_bytes == bytes && memcmp(member.name, name, bytes) == 0, "%s", printed);
    free(printed);
}

Test(json_item, names_with_zero_bytes) {
    struct fixture fixture;
    open_fixture(&fixture);
#define NAME(text, name) expect_name(&fixture, text, name, sizeof(name) - 1)
    NAME("{\"a\\u0000b\":{\"S\":\"v\"}}", "a\0b");
    NAME("{\"\\u0000\" : {\"S\":\"\\u0000\"}}", "\0");
    NAME("{\"\\u0000\\u0000x\\u0001\":{\"S\":\"a\\u0000b: \"}}", "\0\0x\x01");
    /* an escaped backslash, then a zero byte */
    NAME("{\"\\\\u0000\\u0000\":{\"S\":\"v\"}}", "\\u0000\0");
    /* stand-ins that are taken */
    NAME("{\"\\u0000\xee\x80\x80\":{\"S\":\"\\uE001\"}}", "\0\xee\x80\x80");
    NAME("{\"\\\"\\u0000\":{\"M\":{\"\\u0000\":{\"L\":[{\"M\":{\"\\u0000\":{\"NULL\":true}}}]}}}}", "\"\0");
    NAME("{\"Item\":{\"a\\u0000b\":{\"S\":\"v\"},\"p\":{\"S\":\"x\"}}}", "a\0b");
#undef NAME
    close_fixture(&fixture);
}

/* `depth` lists, one in another, in an attribute. */
static void nest(char *text, size_t text_bytes, int depth) {
    size_t at = (size_t)snprintf(text, text_bytes, "{'a':");
    for (int i = 0; i < depth; i++)
        at += (size_t)snprintf(text + at, text_bytes - at, "{'L':[");
    for (int i = 0; i < depth; i++)
        at += (size_t)snprintf(text + at, text_bytes - at, "]}");
    snprintf(text + at, text_bytes - at, "}");
}

Test(json_item, nesting) {
    struct fixture fixture;
    static char text[16384];
    open_fixture(&fixture);
    nest(text, sizeof text, LARDER_NESTING_MAX - 1);
    expect_same(&fixture, text);
    nest(text, sizeof text, LARDER_NESTING_MAX);
    expect_refused(&fixture, text, "a[0][0]");
    nest(text, sizeof text, 900);
    expect_refused(&fixture, text, "a[0][0]");
    close_fixture(&fixture);
}
