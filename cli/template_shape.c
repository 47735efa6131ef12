/* cli/template_shape.c - of an evaluated template, what a table is made of.
 *
 * Job      Walks the properties of a table along a list of what is read, and evaluates nothing
 *          else: billing, streams, tags may hold anything. What is passed over is noted.
 * Tests    tests/unit/cli/evaluate_test.c, tests/cli/template_test.sh
 */
#include "cli/template_shape.h"

#include <string.h>

#include "larder.h"

static const struct template_shape attribute[] = {{"AttributeName", SHAPE_TEXT}, {"AttributeType", SHAPE_TEXT}, {NULL}};
static const struct template_shape key[] = {{"AttributeName", SHAPE_TEXT}, {"KeyType", SHAPE_TEXT}, {NULL}};
static const struct template_shape projection[] = {
    {"ProjectionType", SHAPE_TEXT}, {"NonKeyAttributes", SHAPE_LIST}, {NULL}};
static const struct template_shape secondary[] = {
    {"IndexName", SHAPE_TEXT}, {"KeySchema", SHAPE_LIST, key}, {"Projection", SHAPE_OBJECT, projection}, {NULL}};
static const struct template_shape ttl[] = {{"AttributeName", SHAPE_TEXT}, {"Enabled", SHAPE_TEXT}, {NULL}};
static const struct template_shape simple_key[] = {{"Name", SHAPE_TEXT}, {"Type", SHAPE_TEXT}, {NULL}};
static const struct template_shape workbench_keys[] = {{"PartitionKey", SHAPE_OBJECT, attribute},
                                                       {"PartitionKeys", SHAPE_LIST, attribute},
                                                       {"SortKey", SHAPE_OBJECT, attribute},
                                                       {"SortKeys", SHAPE_LIST, attribute},
                                                       {NULL}};
static const struct template_shape workbench_index[] = {{"IndexName", SHAPE_TEXT},
                                                        {"KeyAttributes", SHAPE_OBJECT, workbench_keys},
                                                        {"Projection", SHAPE_OBJECT, projection},
                                                        {NULL}};

const struct template_shape template_shape_table[] = {{"AttributeDefinitions", SHAPE_LIST, attribute},
                                                      {"KeySchema", SHAPE_LIST, key},
                                                      {"GlobalSecondaryIndexes", SHAPE_LIST, secondary},
                                                      {"LocalSecondaryIndexes", SHAPE_LIST, secondary},
                                                      {"TimeToLiveSpecification", SHAPE_OBJECT, ttl},
                                                      {"DeletionProtectionEnabled", SHAPE_TEXT},
                                                      {NULL}};
const struct template_shape template_shape_simple[] = {{"PrimaryKey", SHAPE_OBJECT, simple_key}, {NULL}};
const struct template_shape template_shape_workbench[] = {{"TableName", SHAPE_TEXT},
                                                          {"KeyAttributes", SHAPE_OBJECT, workbench_keys},
                                                          {"NonKeyAttributes", SHAPE_LIST, attribute},
                                                          {"GlobalSecondaryIndexes", SHAPE_LIST, workbench_index},
                                                          {"LocalSecondaryIndexes", SHAPE_LIST, workbench_index},
                                                          {NULL}};

int template_shape_note(struct evaluator *e, json_t *texts, const char *text) {
    for (size_t i = 0; i < json_array_size(texts); i++)
        if (strcmp(json_string_value(json_array_get(texts, i)), text) == 0)
            return LARDER_OK;
    return json_array_append_new(texts, json_string(text)) == 0 ? LARDER_OK : evaluate_no_memory(e);
}

static const struct template_shape *shape_find(const struct template_shape *members, const char *name) {
    while (members->name != NULL && strcmp(members->name, name) != 0)
        members++;
    return members->name != NULL ? members : NULL;
}

/* A scalar, plain. */
static int shape_text(struct evaluator *e, json_t *node, json_t **out) {
    int result = evaluate_all(e, node, out);
    const char *text = result >= 0 ? json_string_value(*out) : NULL;
    if (text == NULL || e->is_data)
        return result;
    if (strstr(text, "{{resolve:") != NULL)
        result = place_fail(e->place, "\"%.120s\" is looked up by CloudFormation, which alone knows its value", text);
    else if (strstr(text, "${") != NULL)
        result = place_fail(e->place, "\"%.120s\" has a variable in it, but is no argument of Fn::Sub", text);
    if (result < 0)
        json_decref(*out);
    return result;
}

static int shape_element(struct evaluator *e, json_t *element, const struct template_shape *members, json_t *ignored,
                         json_t *into) {
    json_t *plain = NULL;
    int result =
        members != NULL ? template_shape_copy(e, element, members, ignored, &plain) : shape_text(e, element, &plain);
    if (result >= 0 && plain != NULL && json_array_append_new(into, plain) != 0)
        result = evaluate_no_memory(e);
    return result;
}

static int shape_list(struct evaluator *e, json_t *node, const struct template_shape *members, json_t *ignored,
                      json_t **out) {
    json_t *head = NULL, *list;
    int result = evaluate_head(e, node, &head);
    if (result < 0 || !json_is_array(head)) { /* the reader says what is allowed */
        *out = head;
        return result;
    }
    list = json_array();
    result = list != NULL ? LARDER_OK : evaluate_no_memory(e);
    for (size_t i = 0; i < json_array_size(head) && result >= 0; i++) {
        size_t mark = place_enter_index(e->place, i);
        result = shape_element(e, json_array_get(head, i), members, ignored, list);
        place_leave(e->place, mark);
    }
    json_decref(head);
    if (result >= 0)
        *out = list;
    else
        json_decref(list);
    return result;
}

static int shape_member(struct evaluator *e, const char *name, json_t *value, const struct template_shape *members,
                        json_t *ignored, json_t *into) {
    const struct template_shape *shape = shape_find(members, name);
    json_t *plain = NULL;
    if (shape == NULL)
        return template_shape_note(e, ignored, name);
    size_t mark = place_enter_name(e->place, name);
    int result = shape->kind == SHAPE_TEXT     ? shape_text(e, value, &plain)
                 : shape->kind == SHAPE_OBJECT ? template_shape_copy(e, value, shape->members, ignored, &plain)
                                               : shape_list(e, value, shape->members, ignored, &plain);
    if (result >= 0 && plain != NULL && json_object_set_new(into, name, plain) != 0)
        result = evaluate_no_memory(e);
    place_leave(e->place, mark);
    return result;
}

int template_shape_copy(struct evaluator *e, json_t *node, const struct template_shape *members, json_t *ignored,
                        json_t **out) {
    json_t *head = NULL, *all = NULL, *value;
    const char *name;
    int result = evaluate_head(e, node, &head);
    if (result < 0 || !json_is_object(head)) { /* the reader says what is allowed */
        *out = head;
        return result;
    }
    json_t *copy = json_object();
    result = copy != NULL ? evaluate_members(e, head, &all) : evaluate_no_memory(e);
    json_object_foreach(all, name, value) {
        if (result >= 0)
            result = shape_member(e, name, value, members, ignored, copy);
    }
    json_decref(all);
    json_decref(head);
    if (result >= 0)
        *out = copy;
    else
        json_decref(copy);
    return result;
}
