/* tests/unit/cli/template_test.c - table definitions from CloudFormation templates and create-table
 * JSON.
 *
 * Goal     What DynamoDB accepts becomes the same table here. What it refuses is refused, with the
 *          place in the message. Functions of templates: tests/unit/cli/evaluate_test.c.
 * Method   One good document; each bad one is the good one with a single piece of text replaced.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/template.h"
#include "tests/support/slow.h"

TestSuite(template, .timeout = 10 * SLOW_FACTOR);

/* The table that all tests vary. Every text that a test replaces occurs once. */
static const char good_properties[] =
    "{'TableName': 'Jobs',"
    " 'AttributeDefinitions': [{'AttributeName': 'PK', 'AttributeType': 'S'},"
    "   {'AttributeName': 'SK', 'AttributeType': 'N'}, {'AttributeName': 'G', 'AttributeType': 'B'},"
    "   {'AttributeName': 'L', 'AttributeType': 'S'}],"
    " 'KeySchema': [{'AttributeName': 'PK', 'KeyType': 'HASH'}, {'AttributeName': 'SK', 'KeyType': 'RANGE'}],"
    " 'GlobalSecondaryIndexes': [{'IndexName': 'ByG', 'KeySchema': [{'AttributeName': 'G', 'KeyType': 'HASH' }],"
    "   'Projection': {'ProjectionType': 'INCLUDE', 'NonKeyAttributes': ['a', 'b']}}],"
    " 'LocalSecondaryIndexes': [{'IndexName': 'ByL',"
    "   'KeySchema': [{'KeyType': 'HASH', 'AttributeName': 'PK'}, {'KeyType': 'RANGE', 'AttributeName': 'L'}],"
    "   'Projection': {'ProjectionType': 'KEYS_ONLY'}}],"
    " 'TimeToLiveSpecification': {'AttributeName': 'ExpiresAt', 'Enabled': true},"
    " 'BillingMode': 'PAY_PER_REQUEST', 'Tags': [{'Key': 'k', 'Value': {'Ref': 'AWS::StackName'}}]}";

/* ' stands for " in the documents of this file. */
static json_t *load(const char *text) {
    char json[8192];
    size_t bytes = strlen(text);
    cr_assert_lt(bytes, sizeof json);
    for (size_t i = 0; i <= bytes; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    json_error_t error;
    json_t *document = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(document, "%s at %d", error.text, error.position);
    return document;
}

static int add(struct template_set *set, const char *text, struct place *place) {
    json_t *document = load(text);
    memset(place, 0, sizeof *place);
    int result = template_add(set, document, "test", place);
    json_decref(document); /* the set must keep what it needs */
    return result;
}

/* good_properties with `from` replaced by `to`, into text. */
static void vary(const char *from, const char *to, char *text, size_t text_bytes) {
    const char *at = strstr(good_properties, from);
    cr_assert_not_null(at, "the good document has no %s", from);
    cr_assert_null(strstr(at + 1, from), "the good document has %s twice", from);
    int bytes =
        snprintf(text, text_bytes, "%.*s%s%s", (int)(at - good_properties), good_properties, to, at + strlen(from));
    cr_assert_lt((size_t)bytes, text_bytes);
}

/* With this change the document is refused, and the message starts with `place` and contains
 * `reason`. */
static void expect_refused(const char *from, const char *to, const char *where, const char *reason) {
    char text[8192];
    struct template_set set = {0};
    struct place place;
    vary(from, to, text, sizeof text);
    cr_expect_eq(add(&set, text, &place), LARDER_E_INVAL, "accepted: %s", to);
    cr_expect(strncmp(place.problem, where, strlen(where)) == 0 && strstr(place.problem, reason) != NULL,
              "for %s the message is: %s", to, place.problem);
    template_free(&set);
}

static void expect_accepted(const char *from, const char *to, struct template_set *set) {
    char text[8192];
    struct place place;
    vary(from, to, text, sizeof text);
    cr_assert_eq(add(set, text, &place), LARDER_OK, "%s", place.problem);
}

static void check_good(const struct larder_table_def *def) {
    cr_expect_str_eq(def->partition.name, "PK");
    cr_expect_eq(def->partition.type, LARDER_S);
    cr_expect_str_eq(def->sort.name, "SK");
    cr_expect_eq(def->sort.type, LARDER_N);
    cr_expect_str_eq(def->ttl_attribute, "ExpiresAt");
    cr_assert_eq(def->index_count, 2);
    const struct larder_index_def *global = &def->indexes[0], *local = &def->indexes[1];
    cr_expect_str_eq(global->name, "ByG");
    cr_expect_eq(global->is_local, 0);
    cr_expect_str_eq(global->partition.name, "G");
    cr_expect_eq(global->partition.type, LARDER_B);
    cr_expect_null(global->sort.name);
    cr_expect_eq(global->projection, LARDER_PROJECT_INCLUDE);
    cr_assert_eq(global->included_count, 2);
    cr_expect_str_eq(global->included[0], "a");
    cr_expect_str_eq(global->included[1], "b");
    cr_expect_str_eq(local->name, "ByL");
    cr_expect_eq(local->is_local, 1);
    cr_expect_str_eq(local->partition.name, "PK");
    cr_expect_str_eq(local->sort.name, "L");
    cr_expect_eq(local->projection, LARDER_PROJECT_KEYS_ONLY);
}

Test(template, reads_create_table_json) {
    struct template_set set = {0};
    struct place place;
    cr_assert_eq(add(&set, good_properties, &place), LARDER_OK, "%s", place.problem);
    cr_assert_not_null(set.first);
    cr_expect_null(set.first->next);
    cr_expect_str_eq(set.first->def.name, "Jobs");
    cr_expect_eq(set.first->def.removal, LARDER_REMOVAL_DELETE);
    check_good(&set.first->def);
    template_free(&set);
}

/* A template around good_properties; `extra` goes into the resource, before its properties. */
static int add_template(struct template_set *set, const char *type, const char *extra, const char *properties,
                        struct place *place) {
    char text[8192];
    snprintf(text, sizeof text,
             "{'Resources': {'Bucket': {'Type': 'AWS::S3::Bucket'}, 'Table1': {'Type': '%s', %s 'Properties': %s}},"
             " 'Outputs': {}}",
             type, extra, properties);
    return add(set, text, place);
}

Test(template, reads_cloudformation) {
    static const char *const types[] = {"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"};
    for (size_t i = 0; i < 2; i++) {
        struct template_set set = {0};
        struct place place;
        cr_assert_eq(add_template(&set, types[i], "", good_properties, &place), LARDER_OK, "%s", place.problem);
        cr_assert_not_null(set.first);
        cr_expect_str_eq(set.first->def.name, "Jobs");
        check_good(&set.first->def);
        template_free(&set);
    }
}

Test(template, several_documents_in_order) {
    struct template_set set = {0};
    struct place place;
    cr_assert_eq(add(&set, good_properties, &place), LARDER_OK);
    cr_assert_eq(add_template(&set, "AWS::DynamoDB::Table", "", good_properties, &place), LARDER_OK);
    expect_accepted("Jobs", "Last", &set);
    cr_expect_str_eq(set.first->def.name, "Jobs");
    cr_expect_str_eq(set.first->next->next->def.name, "Last");
    cr_expect_null(set.first->next->next->next);
    check_good(&set.first->next->def);
    template_free(&set);
}

Test(template, name_is_the_logical_id_if_missing) {
    static const char *const names[] = {"", "'TableName': {'Ref': 'AWS::NoValue'},"};
    for (size_t i = 0; i < 2; i++) {
        char properties[4096];
        struct template_set set = {0};
        struct place place;
        vary("'TableName': 'Jobs',", names[i], properties, sizeof properties);
        cr_assert_eq(add_template(&set, "AWS::DynamoDB::Table", "", properties, &place), LARDER_OK, "%s",
                     place.problem);
        cr_expect_str_eq(set.first->def.name, "Table1");
        template_free(&set);
    }
    /* there is no id in create-table JSON */
    expect_refused("'TableName': 'Jobs',", "", "TableName is missing", "");
}

Test(template, deletion_policies) {
    static const struct {
        const char *extra;
        enum larder_removal removal;
    } cases[] = {{"", LARDER_REMOVAL_DELETE},
                 {"'DeletionPolicy': 'Delete',", LARDER_REMOVAL_DELETE},
                 {"'UpdateReplacePolicy': 'Retain',", LARDER_REMOVAL_DELETE},
                 {"'DeletionPolicy': 'Retain',", LARDER_REMOVAL_RETAIN},
                 {"'DeletionPolicy': 'RetainExceptOnCreate',", LARDER_REMOVAL_RETAIN}};
    struct place place;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct template_set set = {0};
        cr_assert_eq(add_template(&set, "AWS::DynamoDB::Table", cases[i].extra, good_properties, &place), LARDER_OK);
        cr_expect_eq(set.first->def.removal, cases[i].removal, "%s", cases[i].extra);
        template_free(&set);
    }
    struct template_set set = {0};
    cr_expect_eq(add_template(&set, "AWS::DynamoDB::Table", "'DeletionPolicy': 'retain',", good_properties, &place),
                 LARDER_E_INVAL);
    template_free(&set);
}

Test(template, protection_retains) {
    struct template_set set = {0};
    expect_accepted("'BillingMode'", "'DeletionProtectionEnabled': true, 'BillingMode'", &set);
    cr_expect_eq(set.first->def.removal, LARDER_REMOVAL_RETAIN);
    template_free(&set);
}

Test(template, ttl_off_or_absent) {
    static const char ttl[] = "'TimeToLiveSpecification': {'AttributeName': 'ExpiresAt', 'Enabled': true},";
    static const char *const off[] = {"", "'TimeToLiveSpecification': {'AttributeName': 'x', 'Enabled': false},",
                                      "'TimeToLiveSpecification': {'Enabled': 'false'},",
                                      "'TimeToLiveSpecification': {'Ref': 'AWS::NoValue'},"};
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        struct template_set set = {0};
        expect_accepted(ttl, off[i], &set);
        cr_expect_null(set.first->def.ttl_attribute, "%s", off[i]);
        template_free(&set);
    }
    expect_refused(ttl, "'TimeToLiveSpecification': {'Enabled': true},", "TimeToLiveSpecification", "AttributeName");
    expect_refused(ttl, "'TimeToLiveSpecification': {'AttributeName': 'x'},", "TimeToLiveSpecification", "Enabled");
    expect_refused(ttl, "'TimeToLiveSpecification': {'AttributeName': 'x', 'Enabled': 1},",
                   "TimeToLiveSpecification.Enabled", "true or false");
}

Test(template, attributes_and_keys_must_match) {
    expect_refused("{'AttributeName': 'L', 'AttributeType': 'S'}",
                   "{'AttributeName': 'L', 'AttributeType': 'S'}, {'AttributeName': 'Z', 'AttributeType': 'S'}",
                   "AttributeDefinitions", "\"Z\" is not a key attribute");
    expect_refused("{'AttributeName': 'L', 'AttributeType': 'S'}", "{'AttributeName': 'PK', 'AttributeType': 'S'}",
                   "AttributeDefinitions", "\"PK\" is defined twice");
    expect_refused("'AttributeName': 'SK', 'KeyType'", "'AttributeName': 'S2', 'KeyType'", "KeySchema[1]",
                   "\"S2\" is not in AttributeDefinitions");
    expect_refused("'AttributeType': 'N'", "'AttributeType': 'BOOL'", "AttributeDefinitions[1]", "BOOL");
    expect_refused("'AttributeType': 'N'", "'Type': 'N'", "AttributeDefinitions[1]", "AttributeType is missing");
}

Test(template, key_schemas) {
    expect_refused("{'AttributeName': 'PK', 'KeyType': 'HASH'}", "{'AttributeName': 'PK', 'KeyType': 'RANGE'}",
                   "KeySchema[0]", "HASH");
    expect_refused("{'AttributeName': 'G', 'KeyType': 'HASH' }", "", "GlobalSecondaryIndexes[0].KeySchema",
                   "0 elements");
    expect_refused("{'AttributeName': 'G', 'KeyType': 'HASH' }", "5", "GlobalSecondaryIndexes[0].KeySchema[0]",
                   "needs an object, not a number");
    expect_refused("{'AttributeName': 'SK', 'KeyType': 'RANGE'}", "{'AttributeName': 'PK', 'KeyType': 'RANGE'}",
                   "KeySchema", "the same attribute");
    expect_refused("'KeySchema': [{'AttributeName': 'PK', 'KeyType': 'HASH'},",
                   "'KeySchema': [{'AttributeName': 'PK', 'KeyType': 'HASH'}, {}, ", "KeySchema", "3 elements");
}

Test(template, indexes) {
    expect_refused("'IndexName': 'ByG',", "", "GlobalSecondaryIndexes[0]", "IndexName is missing");
    expect_refused("'KEYS_ONLY'", "'ONLY_KEYS'", "LocalSecondaryIndexes[0].Projection", "ONLY_KEYS");
    expect_refused("'ProjectionType': 'KEYS_ONLY'", "", "LocalSecondaryIndexes[0].Projection",
                   "ProjectionType is missing");
    expect_refused("'KEYS_ONLY'", "'INCLUDE'", "LocalSecondaryIndexes[0].Projection", "NonKeyAttributes");
    expect_refused("'INCLUDE'", "'ALL'", "GlobalSecondaryIndexes[0].Projection", "NonKeyAttributes");
    expect_refused("['a', 'b']", "[]", "GlobalSecondaryIndexes[0].Projection.NonKeyAttributes", "0 names");
    expect_refused("['a', 'b']", "['a', 7]", "GlobalSecondaryIndexes[0].Projection.NonKeyAttributes[1]", "a string");
    expect_refused("{'KeyType': 'HASH', 'AttributeName': 'PK'}", "{'KeyType': 'HASH', 'AttributeName': 'G'}",
                   "LocalSecondaryIndexes[0]", "the table's");
    expect_refused(", {'KeyType': 'RANGE', 'AttributeName': 'L'}", "", "LocalSecondaryIndexes[0]", "RANGE key");
    expect_refused(", {'AttributeName': 'SK', 'KeyType': 'RANGE'}", "", "LocalSecondaryIndexes[0]", "RANGE key");
    expect_refused("'GlobalSecondaryIndexes': [", "'GlobalSecondaryIndexes': [1,", "GlobalSecondaryIndexes[0]",
                   "an object");
}

Test(template, too_many_indexes) {
    char many[2048];
    int bytes = snprintf(many, sizeof many, "'GlobalSecondaryIndexes': [");
    for (int i = 0; i < 20; i++)
        bytes += snprintf(many + bytes, sizeof many - (size_t)bytes, "{},");
    expect_refused("'GlobalSecondaryIndexes': [", many, "GlobalSecondaryIndexes", "21 indexes; 20 are allowed");
    expect_refused("'LocalSecondaryIndexes': [", "'LocalSecondaryIndexes': [{},{},{},{},{},", "LocalSecondaryIndexes",
                   "6 indexes; 5 are allowed");
}

Test(template, intrinsic_functions_name_the_place) {
    expect_refused("'TableName': 'Jobs'", "'TableName': {'Ref': 'Name'}", "TableName", "Ref");
    expect_refused("'TableName': 'Jobs'", "'TableName': {'Fn::Sub': '${AWS::StackName}-jobs'}", "TableName", "Fn::Sub");
    expect_refused("'IndexName': 'ByL'", "'IndexName': {'Fn::Join': ['', ['a', {'Ref': 'b'}]]}",
                   "LocalSecondaryIndexes[0].IndexName", "Fn::Join");
    expect_refused("'Enabled': true", "'Enabled': {'Fn::If': ['c', true, false]}", "TimeToLiveSpecification.Enabled",
                   "Fn::If");
    expect_refused("{'AttributeName': 'G', 'KeyType': 'HASH' }", "{'Fn::If': ['c', {}, {}]}",
                   "GlobalSecondaryIndexes[0].KeySchema[0]", "Fn::If");
    struct template_set set = {0};
    struct place place;
    cr_expect_eq(
        add_template(&set, "AWS::DynamoDB::Table", "'DeletionPolicy': {'Ref': 'Policy'},", good_properties, &place),
        LARDER_E_INVAL);
    cr_expect_str_eq(place.problem, "Resources.Table1.DeletionPolicy.Ref: there is no parameter \"Policy\"");
    template_free(&set);
}

Test(template, other_documents) {
    static const char *const documents[] = {"{}",
                                            "[]",
                                            "{'Resources': []}",
                                            "{'Resources': {}}",
                                            "{'Resources': {'B': {'Type': 'AWS::S3::Bucket'}}}",
                                            "{'Resources': {'T': {'Type': 'AWS::DynamoDB::Table'}}}",
                                            "{'Resources': {'T': {'Type': 'AWS::DynamoDB::Table', 'Properties': []}}}"};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct template_set set = {0};
        struct place place;
        cr_expect_eq(add(&set, documents[i], &place), LARDER_E_INVAL, "accepted: %s", documents[i]);
        cr_expect_str_neq(place.problem, "");
        template_free(&set);
    }
}

Test(template, every_piece_missing_or_of_another_kind) {
    /* Walks the good document and puts each other kind of JSON in every place: no crash, no leak,
     * an answer. */
    static const char *const kinds[] = {"{}", "[]", "''", "null", "1", "true", "[null]", "[{}]", "{'Ref': 'x'}"};
    json_t *good = load(good_properties);
    for (void *at = json_object_iter(good); at != NULL; at = json_object_iter_next(good, at)) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            char quoted[64];
            snprintf(quoted, sizeof quoted, "[%s]", kinds[i]);
            json_t *other = load(quoted), *copy = json_deep_copy(good);
            json_object_set(copy, json_object_iter_key(at), json_array_get(other, 0));
            struct template_set set = {0};
            struct place place = {0};
            int result = template_add(&set, copy, "test", &place);
            cr_expect(result == LARDER_OK || place.problem[0] != 0);
            template_free(&set);
            json_decref(copy);
            json_decref(other);
        }
    }
    json_decref(good);
}
