/* tests/unit/cli/yaml_tree_test.c - YAML text as JSON, and the lines of its nodes.
 *
 * Goal     What CloudFormation reads of YAML is read as it reads it; the rest is refused with its
 *          line and column, and in bounded time.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/template_file.h"
#include "cli/yaml_tree.h"
#include "larder.h"
#include "tests/support/slow.h"

TestSuite(yaml_tree, .timeout = 10 * SLOW_FACTOR);

static int load(const char *text, size_t bytes, struct node_lines *lines, struct place *place, json_t **out) {
    memset(lines, 0, sizeof *lines);
    memset(place, 0, sizeof *place);
    *out = NULL;
    return yaml_tree_load(text, bytes, lines, place, out);
}

/* Appends to a text in an array of so many bytes. */
static void append(char *text, size_t text_bytes, const char *more) {
    size_t used = strlen(text);
    snprintf(text + used, text_bytes - used, "%s", more);
}

static void expect_json(const char *yaml, const char *json) {
    struct node_lines lines;
    struct place place;
    json_t *node;
    cr_assert_eq(load(yaml, strlen(yaml), &lines, &place, &node), LARDER_OK, "%s: %s", yaml, place.problem);
    char *text = json_dumps(node, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    cr_expect_str_eq(text, json, "%s gives %s", yaml, text);
    free(text);
    json_decref(node);
    node_lines_free(&lines);
    cr_expect_eq(place.path_bytes, 0);
}

static void expect_refused(const char *yaml, int line, const char *reason) {
    struct node_lines lines;
    struct place place;
    json_t *node;
    cr_expect_eq(load(yaml, strlen(yaml), &lines, &place, &node), LARDER_E_INVAL, "accepted: %s", yaml);
    cr_expect(strstr(place.problem, reason) != NULL && place.line == line, "%s: line %d: %s", yaml, place.line,
              place.problem);
    node_lines_free(&lines);
}

Test(yaml_tree, scalars_keep_their_text) {
    expect_json("a: true\nb: FALSE\nc: ~\nd:\n", "{\"a\":true,\"b\":false,\"c\":null,\"d\":null}");
    expect_json("[012, 1.10, 2010-09-09, N, no, 1e3, 0x10]",
                "[\"012\",\"1.10\",\"2010-09-09\",\"N\",\"no\",\"1e3\",\"0x10\"]");
    expect_json("['true', \"null\", !!str true, ! false, \"\"]", "[\"true\",\"null\",\"true\",\"false\",\"\"]");
    expect_json("a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
    expect_json("\"\\u00e9\\x41\"", "\"\xc3\xa9"
                                    "A\"");
}

Test(yaml_tree, short_tags_are_functions) {
    expect_json("!Ref Name", "{\"Ref\":\"Name\"}");
    expect_json("!Condition IsProd", "{\"Condition\":\"IsProd\"}");
    expect_json("!Sub '${A}-b'", "{\"Fn::Sub\":\"${A}-b\"}");
    expect_json("!Sub ['${A}', {A: !Ref B}]", "{\"Fn::Sub\":[\"${A}\",{\"A\":{\"Ref\":\"B\"}}]}");
    expect_json("!Join ['-', [a, !Ref B]]", "{\"Fn::Join\":[\"-\",[\"a\",{\"Ref\":\"B\"}]]}");
    expect_json("!If [C, a, !Ref AWS::NoValue]", "{\"Fn::If\":[\"C\",\"a\",{\"Ref\":\"AWS::NoValue\"}]}");
    expect_json("!GetAtt A.B.C", "{\"Fn::GetAtt\":[\"A\",\"B.C\"]}");
    expect_json("!Equals [!Ref A, prod]", "{\"Fn::Equals\":[{\"Ref\":\"A\"},\"prod\"]}");
    expect_json("!FindInMap [M, a, b]", "{\"Fn::FindInMap\":[\"M\",\"a\",\"b\"]}");
    expect_json("!Not [!Condition C]", "{\"Fn::Not\":[{\"Condition\":\"C\"}]}");
    expect_json("!Base64\n  Fn::Sub: x", "{\"Fn::Base64\":{\"Fn::Sub\":\"x\"}}");
    expect_json("!Transform {Name: x}", "{\"Fn::Transform\":{\"Name\":\"x\"}}");
}

Test(yaml_tree, anchors_and_merges) {
    expect_json("a: &x {k: v}\nb: *x\n", "{\"a\":{\"k\":\"v\"},\"b\":{\"k\":\"v\"}}");
    expect_json("a: &x {k: v, l: w}\nb:\n  <<: *x\n  k: own\n",
                "{\"a\":{\"k\":\"v\",\"l\":\"w\"},\"b\":{\"k\":\"own\",\"l\":\"w\"}}");
    expect_json("a: {<<: [{k: 1}, {k: 2, m: 3}]}\n", "{\"a\":{\"k\":\"1\",\"m\":\"3\"}}");
    expect_json("[&a x, &a y, *a]", "[\"x\",\"y\",\"y\"]");
    expect_refused("a: *x\n", 1, "no anchor");
    expect_refused("a: &x [b, *x]\n", 1, "inside of what it repeats");
    expect_refused("a:\n  <<: text\n", 2, "<< merges a mapping");
}

Test(yaml_tree, what_is_refused_has_its_line) {
    expect_refused("", 1, "empty");
    expect_refused("# nothing\n", 2, "empty");
    expect_refused("a: 1\nb: 2\na: 3\n", 3, "\"a\" comes twice");
    expect_refused("a: 1\n---\nb: 2\n", 3, "second document");
    expect_refused("a: [1, 2\nb: 3\n", 2, "");
    expect_refused("a:\n\t- b\n", 2, "cannot start any token");
    expect_refused("? [a]\n: b\n", 1, "a key is a text");
    expect_refused("a: b: c\n", 1, "mapping values are not allowed");
    expect_refused("a: \"\\0\"\n", 1, "zero bytes");
    expect_refused("a: '\xff'\n", 1, "UTF-8");
}

Test(yaml_tree, lists_and_mappings_in_each_other_are_bounded) {
    char text[4096];
    for (int opening = 0; opening < 2; opening++) {
        memset(text, 0, sizeof text);
        for (int i = 0; i < 1000; i++)
            append(text, sizeof text, opening == 0 ? "[" : "{a: ");
        expect_refused(text, 1, "in each other");
    }
    memset(text, 0, sizeof text);
    for (int i = 0; i < 200; i++)
        append(text, sizeof text, "- ");
    expect_refused(text, 1, "in each other");
}

Test(yaml_tree, aliases_of_aliases_are_refused) {
    char text[2048] = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n", line[128];
    for (int i = 1; i < 12; i++) {
        int p = i - 1;
        snprintf(line, sizeof line, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, p, p, p,
                 p, p, p, p, p, p);
        append(text, sizeof text, line);
    }
    expect_refused(text, 6, "more than 200000 values");
}

/* The line that a place in the text has. */
static void expect_line(const char *name, const char *text, const char *path, int line) {
    struct node_lines lines = {0};
    struct place place = {0};
    json_t *node;
    cr_assert_eq(template_file_parse(name, text, strlen(text), &lines, &place, &node), LARDER_OK, "%s", place.problem);
    cr_expect_eq(node_lines_find(&lines, path), line, "%s is in line %d", path, node_lines_find(&lines, path));
    json_decref(node);
    node_lines_free(&lines);
}

Test(yaml_tree, a_path_finds_its_line) {
    static const char yaml[] = "A:\n  B:\n    - x\n    - K: !Sub\n        - t\n        - v: w\n";
    static const char json[] = "{\"A\":\n\t{\"B\": [1,\n 2, {\"K\":\n 3}]}}";
    expect_line("t.yaml", yaml, "A", 1);
    expect_line("t.yaml", yaml, "A.B[1].K", 4);
    expect_line("t.yaml", yaml, "A.B[1].K.Fn::Sub[1].v", 6);
    expect_line("t.yaml", yaml, "A.B[0].gone.far", 3);
    expect_line("t.yaml", yaml, "other", 1); /* of the document */
    expect_line("t.json", json, "A.B[1]", 3);
    expect_line("t.json", json, "A.B[2].K", 3);
    expect_line("-", json, "A.B", 2);
    cr_expect_eq(node_lines_find(NULL, "A"), 0);
}

Test(yaml_tree, encodings) {
    struct node_lines lines = {0};
    struct place place = {0};
    json_t *node = NULL;
    static const char mark[] = "\xef\xbb\xbf{\"a\": 1}", wide[] = "\xff\xfe{\0}\0", bare[] = "{\0}\0";
    cr_assert_eq(template_file_parse("t.json", mark, sizeof mark - 1, &lines, &place, &node), LARDER_OK);
    json_decref(node);
    cr_expect_eq(template_file_parse("t.json", wide, sizeof wide - 1, &lines, &place, &node), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "UTF-16; save it as UTF-8") != NULL, "%s", place.problem);
    cr_expect_eq(template_file_parse("t.yaml", bare, sizeof bare - 1, &lines, &place, &node), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "UTF-16") != NULL, "%s", place.problem);
    node_lines_free(&lines);
}
