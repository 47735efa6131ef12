/* tests/unit/cli/plain_json_test.c - plain JSON as DynamoDB JSON.
 *
 * Goal     Every kind of value gets its type, numbers keep their digits, keys get the table's
 *          types.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plain_json.h"
#include "tests/support/slow.h"

TestSuite(plain_json, .timeout = 10 * SLOW_FACTOR);

static void swap(char *text, char from, char to) {
    for (; *text != 0; text++)
        *text = *text == from ? to : *text;
}

/* ' stands for ". */
static void expect(const char *plain, const char *typed) {
    char *text = strdup(plain), *out = NULL;
    size_t bytes = 0;
    swap(text, '\'', '"');
    const char *problem = plain_json_typed(text, strlen(text), &out, &bytes);
    cr_assert_null(problem, "%s: %s", plain, problem);
    char *got = malloc(bytes);
    memcpy(got, out + 1, bytes - 1);
    got[bytes - 1] = 0;
    swap(got, '"', '\'');
    cr_expect_str_eq(got, typed, "%s\n  gives %s", plain, got);
    free(got);
    free(out);
    free(text);
}

static void expect_refused(const char *plain, const char *reason) {
    char *out = NULL;
    size_t bytes = 0;
    const char *problem = plain_json_typed(plain, strlen(plain), &out, &bytes);
    cr_expect(problem != NULL && strstr(problem, reason) != NULL, "%s: %s", plain,
              problem != NULL ? problem : "accepted");
    free(problem == NULL ? out : NULL);
}

Test(plain_json, types) {
    expect("{}", "{}");
    expect("{'a':'x','b':1,'c':true,'d':false,'e':null}",
           "{'a':{'S':'x'},'b':{'N':'1'},'c':{'BOOL':true},'d':{'BOOL':false},'e':{'NULL':true}}");
    expect("{'m':{'n':{'o':[1,'x',[],{}]}}}",
           "{'m':{'M':{'n':{'M':{'o':{'L':[{'N':'1'},{'S':'x'},{'L':[]},{'M':{}}]}}}}}}");
    expect("{ 'a' : [ 1 ,\n2 ] }", "{ 'a' : {'L':[ {'N':'1'} ,\n{'N':'2'} ]} }");
    expect("{'a{[,:':'b}],:\\u0041'}", "{'a{[,:':{'S':'b}],:\\u0041'}}");
}

Test(plain_json, numbers_keep_their_digits) {
    expect("{'a':37769.585000000006402842700481414794922}", "{'a':{'N':'37769.585000000006402842700481414794922'}}");
    expect("{'a':[-0,0.50,1E+2,1e-2,12345678901234567890123456789012345678]}",
           "{'a':{'L':[{'N':'-0'},{'N':'0.50'},{'N':'1E+2'},{'N':'1e-2'},{'N':'12345678901234567890123456789012345678'}"
           "]}}");
    expect_refused("{\"a\":01}", "number");
    expect_refused("{\"a\":1.}", "number");
    expect_refused("{\"a\":-}", "number");
    expect_refused("{\"a\":1e}", "number");
    expect_refused("{\"a\":.5}", "word");
    expect_refused("{\"a\":NaN}", "word");
    expect_refused("{\"a\":nul", "word");
}

Test(plain_json, depth_is_bounded) {
    char text[1024] = "{\"a\":";
    memset(text + 5, '[', 500);
    expect_refused(text, "in each other");
}

Test(plain_json, what_is_no_json_stays_none) {
    static const char *const texts[] = {"",          "{",           "}",     "]]",        "{\"a\"",
                                        "{\"a\":\"", "{\"a\":\"\\", "{1:2}", "{\"a\" 1}", "[1,]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *out = NULL;
        size_t bytes = 0;
        json_error_t error;
        const char *problem = plain_json_typed(texts[i], strlen(texts[i]), &out, &bytes);
        if (problem != NULL)
            continue;
        json_t *json = json_loadb(out, bytes, 0, &error);
        cr_expect_null(json, "%s became JSON", texts[i]);
        json_decref(json);
        free(out);
    }
}

Test(plain_json, keys_have_the_types_of_the_table) {
    struct larder_index_def index = {.name = "byG", .partition = {"g", LARDER_S}, .sort = {"h", LARDER_N}};
    struct larder_table_def def = {
        .name = "t", .partition = {"p", LARDER_S}, .sort = {"s", LARDER_B}, .indexes = &index, .index_count = 1};
    json_t *item = json_pack("{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}", "p", "N", "101", "s", "S", "AAE=", "g",
                             "N", "5", "h", "S", "7", "x", "N", "1");
    cr_assert_eq(plain_json_keys(item, &def), 0);
    char *text = json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS);
    cr_expect_str_eq(
        text,
        "{\"g\":{\"S\":\"5\"},\"h\":{\"N\":\"7\"},\"p\":{\"S\":\"101\"},\"s\":{\"B\":\"AAE=\"},\"x\":{\"N\":\"1\"}}");
    free(text);
    json_decref(item);
}

Test(plain_json, likely) {
    json_t *plain = json_pack("{s:i}", "a", 1), *typed = json_pack("{s:{s:s}}", "a", "S", "x");
    cr_expect(plain_json_is_likely(plain));
    cr_expect_not(plain_json_is_likely(typed));
    json_decref(plain);
    json_decref(typed);
}
