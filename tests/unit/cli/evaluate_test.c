/* tests/unit/cli/evaluate_test.c - templates with functions, and the other kinds of documents.
 *
 * Goal     A function gives what CloudFormation documents; what only AWS knows is refused by a
 *          message with its place; what means nothing to a cache is noted and stops nothing.
 * Method   Templates in YAML. Most tests put one value in place of TableName and look at the name.
 * Sources  Each test names the page of the CloudFormation user guide that it follows.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/template.h"
#include "cli/template_file.h"
#include "tests/support/slow.h"

TestSuite(evaluate, .timeout = 20 * SLOW_FACTOR);

/* A template as it was read. */
static struct template_set set;
static struct place place;
static struct node_lines lines;
static struct template_settings settings;
static struct evaluate_pair parameters[4], names[4];

static void give(struct evaluate_pairs *pairs, struct evaluate_pair *array, const char *name, const char *value) {
    pairs->pairs = array;
    array[pairs->count++] = (struct evaluate_pair){.name = name, .name_bytes = strlen(name), .value = value};
}

static int add(const char *text) {
    json_t *document = NULL;
    memset(&place, 0, sizeof place);
    place.lines = &lines;
    set.settings = &settings;
    int result = template_file_parse("test", text, strlen(text), &lines, &place, &document);
    cr_assert_eq(result, LARDER_OK, "%s", place.problem);
    result = template_add(&set, document, "test", &place);
    json_decref(document);
    return result;
}

static void done(void) {
    template_free(&set);
    node_lines_free(&lines);
    memset(&settings, 0, sizeof settings);
}

static const char *note(size_t i) {
    const char *text = json_string_value(json_array_get(set.notes, i));
    return text != NULL ? text : "";
}

#define TABLE                                                                                                          \
    "AttributeDefinitions: [{AttributeName: id, AttributeType: S}]\n"                                                  \
    "      KeySchema: [{AttributeName: id, KeyType: HASH}]\n"
#define TOP                                                                                                            \
    "Parameters:\n"                                                                                                    \
    "  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}\n"                                              \
    "  Count: {Type: Number, Default: 3}\n"                                                                            \
    "  Names: {Type: CommaDelimitedList, Default: 'a, b,c'}\n"                                                         \
    "  Bare: {Type: String}\n"                                                                                         \
    "  Stored: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /path}\n"                                         \
    "Mappings:\n"                                                                                                      \
    "  ByStage: {dev: {Name: orders-dev, Short: true}, prod: {Name: orders-prod}}\n"                                   \
    "Conditions:\n"                                                                                                    \
    "  IsProd: !Equals [!Ref Stage, prod]\n"                                                                           \
    "  IsDev: !Not [!Condition IsProd]\n"                                                                              \
    "  Both: !And [!Condition IsProd, !Equals [!Ref Bare, x]]\n"                                                       \
    "  Either: !Or [!Condition IsDev, !Equals [!Ref Bare, x]]\n"                                                       \
    "  Three: !Equals [!Ref Count, '3']\n"                                                                             \
    "  Circle: !Not [!Condition Circle]\n"                                                                             \
    "Resources:\n"

/* A template whose one table has this TableName. */
static int add_named(const char *value) {
    char text[8192];
    snprintf(text, sizeof text,
             TOP "  Orders:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      " TABLE "      TableName: %s\n",
             value);
    return add(text);
}

static void expect_name(const char *value, const char *name) {
    cr_expect_eq(add_named(value), LARDER_OK, "%s: %s", value, place.problem);
    if (set.first != NULL && set.first->def.name != NULL)
        cr_expect_str_eq(set.first->def.name, name, "%s gives %s", value, set.first->def.name);
    cr_expect_eq(place.path_bytes, 0);
    done();
}

static void expect_refused(const char *value, const char *reason) {
    cr_expect_eq(add_named(value), LARDER_E_INVAL, "accepted: %s", value);
    cr_expect(strstr(place.problem, reason) != NULL, "%s: %s", value, place.problem);
    cr_expect(place.line > 0, "%s: no line", value);
    done();
}

/* "Ref", "Parameters", "Pseudo parameters reference" */
Test(evaluate, names) {
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
    expect_name("!Ref Stage", "dev");
    expect_name("!Ref Count", "3");
    expect_name("!Ref AWS::Region", "us-east-1");
    expect_name("!Ref AWS::AccountId", "000000000000");
    expect_name("!Ref AWS::NoValue", "Orders");
    setenv("AWS_REGION", "eu-west-2", 1);
    expect_name("!Ref AWS::Region", "eu-west-2");
    expect_refused("!Ref Bare", "parameter Bare has no Default; give --parameter Bare=VALUE");
    expect_refused("!Ref Stored", "parameter store");
    expect_refused("!Ref AWS::StackName", "give --parameter AWS::StackName=VALUE; --name Orders=NAME names the table");
    expect_refused("!Ref Nothing", "there is no parameter \"Nothing\"");
    expect_refused("!Ref Orders", "only CloudFormation knows");
    expect_refused("!Ref Names", "TableName: needs a string");
    expect_refused("!GetAtt A.B", "only CloudFormation knows");
    expect_refused("!ImportValue A", "only CloudFormation knows");
    expect_refused("!Foo A", "no function that larder knows");
    expect_refused("!Equals [a, a]", "is a condition");
    expect_refused("'{{resolve:ssm:/x}}'", "looked up by CloudFormation");
    expect_refused("'${Stage}-orders'", "no argument of Fn::Sub");
}

Test(evaluate, given_parameters) {
    give(&settings.parameters, parameters, "Stage", "prod");
    expect_name("!If [IsProd, yes-prod, no-dev]", "yes-prod");
    give(&settings.parameters, parameters, "Bare", "x");
    expect_name("!Ref Bare", "x");
    give(&settings.parameters, parameters, "AWS::StackName", "shop");
    cr_expect_eq(add_named("!Sub '${AWS::StackName}-orders'"), LARDER_OK);
    cr_expect_str_eq(set.first->def.name, "shop-orders");
    cr_expect(parameters[0].is_used, "a name that is pseudo is used");
    done();
    give(&settings.parameters, parameters, "Stage", "prof");
    expect_refused("!Ref Stage", "parameter Stage is \"prof\"; allowed are dev, prod");
    give(&settings.parameters, parameters, "Count", "3x");
    expect_refused("!Ref Count", "parameter Count is \"3x\"; its type is Number");
    give(&settings.parameters, parameters, "Stored", "value");
    expect_name("!Ref Stored", "value");
    give(&settings.parameters, parameters, "None", "value");
    cr_expect_eq(add_named("x"), LARDER_OK);
    cr_expect_not(parameters[0].is_used);
    done();
}

/* "Fn::Sub" */
Test(evaluate, sub) {
    expect_name("!Sub 'orders-${Stage}-${Count}'", "orders-dev-3");
    expect_name("!Sub ['${A}-${Stage}-${B}', {A: x, B: !Sub '${Count}'}]", "x-dev-3");
    expect_name("!Sub 'a-$c{d}'", "a-$c{d}");
    expect_name("!Select [1, !Split ['{', !Sub 'a${!Stage}b']]", "Stage}b");
    expect_name("!Sub ''", "");
    expect_refused("!Sub '${Orders.Arn}'", "attributes of resources");
    expect_refused("!Sub '${Stage'", "has no }");
    expect_refused("!Sub '${self:custom.x}'", "variable of the Serverless Framework");
    expect_refused("!Sub '${Names}'", "needs a text, not a list");
    expect_refused("!Sub [a, b]", "an object of variables");
    expect_refused("!Sub {a: b}", "an object of variables");
    expect_refused("!Sub '${AWS::NoValue}'", "has no text");
}

/* "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "Fn::Base64", "Fn::Length" */
Test(evaluate, lists_and_texts) {
    expect_name("!Join ['-', [a, !Ref Stage, 1, !Ref AWS::NoValue]]", "a-dev-1");
    expect_name("!Join ['.', !Ref Names]", "a.b.c");
    expect_name("!Select [1, !Ref Names]", "b");
    expect_name("!Select [!Select [0, ['2']], !Split ['-', 'x-y-z']]", "z");
    expect_name("!FindInMap [ByStage, !Ref Stage, Name]", "orders-dev");
    expect_name("!FindInMap [ByStage, test, Name, {DefaultValue: other}]", "other");
    expect_name("!Base64 'orders'", "b3JkZXJz");
    expect_name("!Sub ['n${N}', {N: {'Fn::Length': !Ref Names}}]", "n3");
    expect_name("!Sub ['n${N}', {N: !FindInMap [ByStage, dev, Short]}]", "ntrue");
    expect_refused("!FindInMap [ByStage, test, Name]", "there is no Mappings.ByStage.test");
    expect_refused("!Select [3, !Ref Names]", "the list has 3 elements");
    expect_refused("!Select [-1, !Ref Names]", "the list has 3 elements");
    expect_refused("!Join ['-', a]", "needs a list");
    expect_refused("!Join ['-', [[a]]]", "not a list");
    expect_refused("!Split ['', a]", "empty");
    expect_refused("!Select [0]", "takes an index and a list");
}

/* "Condition functions" */
Test(evaluate, conditions) {
    expect_name("!If [IsProd, a, b]", "b");
    expect_name("!If [IsDev, a, b]", "a");
    expect_name("!If [Both, a, b]", "b");   /* the second operand has no value */
    expect_name("!If [Either, a, b]", "a"); /* the same */
    expect_name("!If [Three, a, b]", "a");  /* a number and a text */
    expect_name("!If [IsProd, a, !Ref AWS::NoValue]", "Orders");
    expect_refused("!If [Gone, a, b]", "there is no condition \"Gone\"");
    expect_refused("!If [Circle, a, b]", "conditions that need themselves");
    expect_refused("!If [!Ref IsProd, a, b]", "the name of a condition");
    expect_refused("!If [IsProd, a]", "two values");
}

Test(evaluate, conditions_of_resources) {
    cr_assert_eq(
        add(TOP "  Live: {Type: AWS::DynamoDB::Table, Condition: IsProd, Properties: 5}\n"
                "  Condition:\n    Type: AWS::DynamoDB::Table\n    Condition: IsDev\n    Properties:\n      " TABLE),
        LARDER_OK, "%s", place.problem);
    cr_expect_str_eq(set.first->def.name, "Condition"); /* a logical id like any other */
    cr_expect_null(set.first->next);
    cr_expect_str_eq(note(0), "table Live is left out: its condition IsProd is false");
    done();
}

/* What is not read may hold anything; what is read may be a function at every level. */
Test(evaluate, properties) {
    cr_assert_eq(
        add(TOP "  Bucket: {Type: AWS::S3::Bucket}\n"
                "  Orders:\n    Type: AWS::DynamoDB::Table\n    DeletionPolicy: !If [IsDev, Retain, Delete]\n"
                "    Properties:\n"
                "      TableName: orders\n"
                "      BillingMode: !Ref Gone\n"
                "      Tags: [{Key: a, Value: !ImportValue b}]\n"
                "      DeletionProtectionEnabled: !If [IsProd, true, false]\n"
                "      AttributeDefinitions:\n"
                "        - {AttributeName: id, AttributeType: S}\n"
                "        - !If [IsDev, {AttributeName: at, AttributeType: N}, !Ref AWS::NoValue]\n"
                "      KeySchema: [{AttributeName: id, KeyType: HASH}]\n"
                "      GlobalSecondaryIndexes:\n"
                "        - !If [IsProd, {IndexName: gone}, !Ref AWS::NoValue]\n"
                "        - IndexName: !Sub 'by-${Stage}'\n"
                "          KeySchema: [{AttributeName: at, KeyType: HASH}]\n"
                "          Projection: {ProjectionType: INCLUDE, NonKeyAttributes: !Ref Names}\n"
                "          ProvisionedThroughput: {ReadCapacityUnits: !GetAtt x.y}\n"
                "      TimeToLiveSpecification: !If [IsDev, {AttributeName: ttl, Enabled: yes}, !Ref AWS::NoValue]\n"),
        LARDER_OK, "%s", place.problem);
    const struct larder_table_def *def = &set.first->def;
    cr_expect_str_eq(def->name, "orders");
    cr_expect_eq(def->removal, LARDER_REMOVAL_RETAIN);
    cr_assert_eq(def->index_count, 1);
    cr_expect_str_eq(def->indexes[0].name, "by-dev");
    cr_expect_eq(def->indexes[0].partition.type, LARDER_N);
    cr_expect_eq(def->indexes[0].included_count, 3);
    cr_expect_str_eq(def->ttl_attribute, "ttl");
    cr_expect_str_eq(note(0), "ignored, for it means nothing to a cache: BillingMode, Tags, ProvisionedThroughput; "
                              "1 resource (AWS::S3::Bucket)");
    done();
}

/* "Fn::ForEach" */
Test(evaluate, for_each) {
    cr_assert_eq(
        add("Transform: AWS::LanguageExtensions\n"
            "Parameters: {Kinds: {Type: CommaDelimitedList, Default: 'hot,cold-1'}}\n"
            "Resources:\n"
            "  Fn::ForEach::Outer:\n    - Stage\n    - [dev, prod]\n"
            "    - Fn::ForEach::Inner:\n        - Kind\n        - !Ref Kinds\n"
            "        - Table${Stage}&{Kind}:\n            Type: AWS::DynamoDB::Table\n            Properties:\n"
            "              TableName: !Join ['-', [!Ref Stage, !Sub '${Kind}']]\n"
            "              AttributeDefinitions: [{AttributeName: '${Stage}', AttributeType: S}]\n"
            "              KeySchema: [{AttributeName: '${Stage}', KeyType: HASH}]\n"),
        LARDER_OK, "%s", place.problem);
    static const char *const expected[] = {"dev-hot", "dev-cold-1", "prod-hot", "prod-cold-1"};
    const struct template_table *table = set.first;
    for (size_t i = 0; i < 4; i++, table = table->next) {
        cr_assert_not_null(table);
        cr_expect_str_eq(table->def.name, expected[i]);
        cr_expect_str_eq(table->def.partition.name, i < 2 ? "dev" : "prod");
    }
    cr_expect_null(table);
    done();
    cr_expect_eq(add("Resources:\n  Fn::ForEach::L: [X, [a, b], {Same: {Type: AWS::DynamoDB::Table}}]\n"),
                 LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "comes twice") != NULL, "%s", place.problem);
    done();
    cr_expect_eq(add("Resources:\n  Fn::ForEach::L: [X, a, {'${X}': 1}]\n"), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "needs a list") != NULL, "%s", place.problem);
    done();
}

/* SAM developer guide, "AWS::Serverless::SimpleTable" */
Test(evaluate, simple_tables) {
    cr_assert_eq(
        add("Transform: AWS::Serverless-2016-10-31\n"
            "Globals: {SimpleTable: {SSESpecification: {SSEEnabled: true}, PrimaryKey: {Name: n, Type: Number}}}\n"
            "Resources:\n"
            "  Users: {Type: AWS::Serverless::SimpleTable}\n"
            "  Posts: {Type: AWS::Serverless::SimpleTable, Properties: {TableName: posts, PrimaryKey: {Name: b, Type: "
            "Binary}}}\n"),
        LARDER_OK, "%s", place.problem);
    cr_expect_str_eq(set.first->def.name, "Users");
    cr_expect_str_eq(set.first->def.partition.name, "n");
    cr_expect_eq(set.first->def.partition.type, LARDER_N);
    cr_expect_str_eq(set.first->next->def.name, "posts");
    cr_expect_eq(set.first->next->def.partition.type, LARDER_B);
    done();
    cr_assert_eq(add("Resources:\n  Users: {Type: AWS::Serverless::SimpleTable}\n"), LARDER_OK);
    cr_expect_str_eq(set.first->def.partition.name, "id");
    cr_expect_eq(set.first->def.partition.type, LARDER_S);
    done();
    cr_expect_eq(add("Resources:\n  Users: {Type: AWS::Serverless::SimpleTable, Properties: {PrimaryKey: {Name: a, "
                     "Type: S}}}\n"),
                 LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "Type is \"S\"; allowed are String, Number and Binary") != NULL, "%s",
              place.problem);
    done();
}

Test(evaluate, serverless_framework) {
    static const char text[] = "service: shop\ncustom: {t: '${opt:stage, ''dev''}'}\nresources:\n  Resources:\n"
                               "    Orders:\n      Type: AWS::DynamoDB::Table\n      Properties:\n"
                               "        TableName: ${self:custom.t}-orders\n        BillingMode: ${self:custom.mode}\n"
                               "        AttributeDefinitions: [{AttributeName: id, AttributeType: S}]\n"
                               "        KeySchema: [{AttributeName: id, KeyType: HASH}]\n"
                               "    Others: ${file(others.yml)}\n";
    cr_expect_eq(add(text), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "resources.Resources.Orders.Properties.TableName: \"${self:custom.t}-orders\"") !=
                      NULL &&
                  strstr(place.problem, "Serverless Framework") != NULL &&
                  strstr(place.problem, "--name Orders=NAME") != NULL,
              "%s", place.problem);
    cr_expect_eq(place.line, 8);
    done();
    give(&settings.names, names, "Orders", "orders-here");
    cr_assert_eq(add(text), LARDER_OK, "%s", place.problem);
    cr_expect_str_eq(set.first->def.name, "orders-here");
    cr_expect(names[0].is_used);
    cr_expect_str_eq(note(0), "ignored: resource Others is the text ${file(others.yml)}");
    done();
    cr_assert_eq(add("service: x\nresources:\n  - ${file(a.yml)}\n  - Resources:\n"
                     "      T:\n        Type: AWS::DynamoDB::Table\n        Properties:\n"
                     "          AttributeDefinitions: [{AttributeName: id, AttributeType: S}]\n"
                     "          KeySchema: [{AttributeName: id, KeyType: HASH}]\n"),
                 LARDER_OK, "%s", place.problem);
    cr_expect_str_eq(note(0), "ignored: ${file(a.yml)}: give larder create that file, too");
    done();
    cr_expect_eq(add("service: x\nresources: ${file(a.yml)}\n"), LARDER_E_INVAL);
    cr_expect_str_eq(
        place.problem,
        "resources: the text ${file(a.yml)} has no Resources; give larder create the file with the tables");
    done();
    cr_expect_eq(add("service: x\nresources:\n  Resources: ${file(a.yml)}\n"), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "${file(a.yml)}") != NULL, "%s", place.problem);
    done();
    cr_expect_eq(add("service: x\nresources:\n  Conditions: {C: !Equals ['${sls:stage}', a]}\n  Resources:\n"
                     "    T: {Type: AWS::DynamoDB::Table, Condition: C}\n"),
                 LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "resources.Conditions.C.Fn::Equals[0]: \"${sls:stage}\" has a variable") != NULL,
              "%s", place.problem);
    cr_expect_eq(place.line, 3);
    done();
    /* a file that has nothing but resources */
    cr_assert_eq(add("T:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      " TABLE), LARDER_OK, "%s",
                 place.problem);
    done();
}

Test(evaluate, descriptions) {
    static const char *const wrappers[] = {"{\"Table\": %s}", "{\"TableDescription\": %s}", "%s"};
    for (size_t i = 0; i < 3; i++) {
        char text[1024];
        snprintf(text, sizeof text, wrappers[i],
                 "{\"TableName\": \"orders\", \"TableStatus\": \"ACTIVE\", \"GlobalSecondaryIndexes\": null,"
                 " \"AttributeDefinitions\": [{\"AttributeName\": \"a${b}\", \"AttributeType\": \"S\"}],"
                 " \"KeySchema\": [{\"AttributeName\": \"a${b}\", \"KeyType\": \"HASH\"}]}");
        cr_assert_eq(add(text), LARDER_OK, "%s", place.problem);
        cr_expect_str_eq(set.first->def.name, "orders");
        cr_expect_str_eq(set.first->def.partition.name, "a${b}");
        cr_expect_str_eq(note(0), "ignored, for it means nothing to a cache: TableStatus");
        done();
    }
}

Test(evaluate, workbench) {
    static const char keys[] =
        "{\"PartitionKey\": {\"AttributeName\": \"g\"}, \"SortKey\": {\"AttributeName\": \"SK\", "
        "\"AttributeType\": \"S\"}}";
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"ModelName\": \"Shop\", \"ModelMetadata\": {}, \"DataModel\": [{\"TableName\": \"shop\", \"KeyAttributes\":"
        " {\"PartitionKey\": {\"AttributeName\": \"PK\", \"AttributeType\": \"S\"}, \"SortKey\": {\"AttributeName\": "
        "\"SK\","
        " \"AttributeType\": \"S\"}}, \"NonKeyAttributes\": [{\"AttributeName\": \"g\", \"AttributeType\": \"N\"}],"
        " \"GlobalSecondaryIndexes\": [{\"IndexName\": \"byG\", \"KeyAttributes\": %s, \"Projection\":"
        " {\"ProjectionType\": \"ALL\", \"NonKeyAttributes\": []}}], \"BillingMode\": \"PAY_PER_REQUEST\","
        " \"TableData\": [{\"PK\": {\"S\": \"a\"}, \"SK\": {\"S\": \"1\"}}]}]}",
        keys);
    cr_assert_eq(add(text), LARDER_OK, "%s", place.problem);
    const struct larder_table_def *def = &set.first->def;
    cr_expect_str_eq(def->name, "shop");
    cr_expect_str_eq(def->sort.name, "SK");
    cr_assert_eq(def->index_count, 1);
    cr_expect_str_eq(def->indexes[0].partition.name, "g");
    cr_expect_eq(def->indexes[0].partition.type, LARDER_N); /* of NonKeyAttributes */
    cr_expect_eq(json_array_size(set.first->items), 1);
    cr_expect_str_eq(note(0), "ignored, for it means nothing to a cache: BillingMode");
    done();
}

Test(evaluate, names_of_tables) {
    static const char text[] = "{\"AttributeDefinitions\": [{\"AttributeName\": \"a\", \"AttributeType\": \"S\"}],"
                               " \"KeySchema\": [{\"AttributeName\": \"a\", \"KeyType\": \"HASH\"}]%s}";
    char document[512];
    settings.only_name = "here";
    snprintf(document, sizeof document, text, "");
    cr_assert_eq(add(document), LARDER_OK, "%s", place.problem);
    cr_expect_str_eq(set.first->def.name, "here");
    cr_expect(settings.is_only_name_used);
    done();
    give(&settings.names, names, "there", "elsewhere");
    snprintf(document, sizeof document, text, ", \"TableName\": \"there\"");
    cr_assert_eq(add(document), LARDER_OK, "%s", place.problem);
    cr_expect_str_eq(set.first->def.name, "elsewhere");
    done();
}

/* Appends to a text in an array of so many bytes. */
static void append(char *text, size_t text_bytes, const char *more) {
    size_t used = strlen(text);
    snprintf(text + used, text_bytes - used, "%s", more);
}

/* A few lines that would give gigabytes, or take for ever. */
Test(evaluate, bounded) {
    char text[16384] = "Resources:\n  T:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      TableName: ",
         value[8192] = "x";
    for (int i = 0; i < 40; i++) { /* twice as long at each level */
        char outer[8400];
        snprintf(outer, sizeof outer, "!Sub ['${A}${A}', {A: %s}]", value);
        memcpy(value, outer, sizeof value);
    }
    append(text, sizeof text, value);
    append(text, sizeof text, "\n");
    cr_expect_eq(add(text), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "more than") != NULL, "%s", place.problem);
    done();
    snprintf(text, sizeof text, "Resources:\n");
    for (int i = 0; i < 12; i++) { /* ten times as many at each level */
        char line[256];
        snprintf(line, sizeof line, "%*sFn::ForEach::L%d:\n%*s- X%d\n%*s- [a,b,c,d,e,f,g,h,i,j]\n%*s-\n", 2 + 4 * i, "",
                 i, 4 + 4 * i, "", i, 4 + 4 * i, "", 4 + 4 * i, "");
        append(text, sizeof text, line);
    }
    append(text, sizeof text,
           "                                                  "
           "'T${X0}${X1}${X2}${X3}${X4}${X5}${X6}${X7}${X8}${X9}${X10}${X11}': x\n");
    cr_expect_eq(add(text), LARDER_E_INVAL);
    cr_expect(strstr(place.problem, "more than") != NULL, "%s", place.problem);
    done();
}
