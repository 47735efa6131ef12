/* cli/template_cloudformation.c - the tables of a CloudFormation or SAM template.
 *
 * Rules    F1 A table is a resource of type AWS::DynamoDB::Table, AWS::DynamoDB::GlobalTable or
 *             AWS::Serverless::SimpleTable. A resource whose Condition is false is none; that is
 *             noted.
 *          F2 What a SimpleTable does not say, Globals.SimpleTable says; its key is id, a String,
 *             by default.
 * Sources  CloudFormation template reference, "AWS::DynamoDB::Table"; SAM developer guide,
 *          "AWS::Serverless::SimpleTable", "Globals".
 * Tests    tests/unit/cli/template_test.c, tests/unit/cli/evaluate_test.c
 */
#include <string.h>

#include "cli/template.h"
#include "cli/template_shape.h"

enum resource_kind { RESOURCE_OTHER, RESOURCE_TABLE, RESOURCE_SIMPLE };

/* What resources of one template have in common. */
struct stack {
    struct template_set *set;
    struct evaluator *e;
    json_t *globals; /* of SimpleTable; NULL: none */
    json_t *ignored, *others;
    const char *source;
    size_t table_count, other_count;
};

static enum resource_kind resource_kind(json_t *resource) {
    const char *type = json_string_value(json_object_get(resource, "Type"));
    if (type == NULL)
        return RESOURCE_OTHER;
    if (strcmp(type, "AWS::DynamoDB::Table") == 0 || strcmp(type, "AWS::DynamoDB::GlobalTable") == 0)
        return RESOURCE_TABLE;
    return strcmp(type, "AWS::Serverless::SimpleTable") == 0 ? RESOURCE_SIMPLE : RESOURCE_OTHER;
}

bool template_is_table(json_t *resource) {
    return resource_kind(resource) != RESOURCE_OTHER;
}

/* ---- SimpleTable ----------------------------------------------------------------------------- */

/* F2: the table's own properties, then the global ones; a new reference. */
static json_t *simple_properties(struct stack *stack, json_t *properties) {
    json_t *all = json_object();
    if (all == NULL || (stack->globals != NULL && json_object_update(all, stack->globals) != 0) ||
        (properties != NULL && json_object_update(all, properties) != 0)) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static const char *simple_type(const char *type) {
    return type == NULL                  ? NULL
           : strcmp(type, "String") == 0 ? "S"
           : strcmp(type, "Number") == 0 ? "N"
           : strcmp(type, "Binary") == 0 ? "B"
                                         : NULL;
}

/* In the words of CreateTable. */
static int simple_describe(struct stack *stack, json_t *simple, json_t **out) {
    struct place *place = stack->e->place;
    json_t *key = json_object_get(simple, "PrimaryKey");
    const char *name = "id", *type = "String";
    if (key != NULL) {
        name = json_string_value(json_object_get(key, "Name"));
        type = json_string_value(json_object_get(key, "Type"));
        size_t mark = place_enter_name(place, "PrimaryKey");
        int result = LARDER_OK;
        if (name == NULL || type == NULL)
            result = place_fail(place, "needs a Name and a Type, both texts");
        else if (simple_type(type) == NULL)
            result = place_fail(place, "Type is \"%.40s\"; allowed are String, Number and Binary", type);
        place_leave(place, mark);
        if (result < 0)
            return result;
    }
    return evaluate_give(stack->e,
                         json_pack("{s:[{s:s, s:s}], s:[{s:s, s:s}]}", "AttributeDefinitions", "AttributeName", name,
                                   "AttributeType", simple_type(type), "KeySchema", "AttributeName", name, "KeyType",
                                   "HASH"),
                         out);
}

/* ---- Resources ------------------------------------------------------------------------------- */

static int resource_deletion_policy(struct stack *stack, json_t *resource, struct larder_table_def *out) {
    json_t *node = json_object_get(resource, "DeletionPolicy"), *text = NULL;
    struct place *place = stack->e->place;
    if (node == NULL)
        return LARDER_OK;
    size_t mark = place_enter_name(place, "DeletionPolicy");
    int result = evaluate_text(stack->e, node, &text);
    const char *policy = result >= 0 ? json_string_value(text) : "Delete";
    if (strcmp(policy, "Retain") == 0 || strcmp(policy, "RetainExceptOnCreate") == 0)
        out->removal = LARDER_REMOVAL_RETAIN;
    else if (strcmp(policy, "Delete") != 0)
        result = place_fail(place, "is \"%.40s\"; allowed are Delete, Retain and RetainExceptOnCreate", policy);
    if (text != NULL)
        json_decref(text);
    place_leave(place, mark);
    return result;
}

/* The properties: an object whose members are not evaluated yet; a new reference. */
static int resource_properties(struct stack *stack, json_t *resource, enum resource_kind kind, json_t **out) {
    json_t *node = json_object_get(resource, "Properties"), *head = NULL;
    struct place *place = stack->e->place;
    int result = LARDER_OK;
    if (node == NULL && kind == RESOURCE_TABLE)
        return place_fail(place, "Properties is missing");
    size_t mark = place_enter_name(place, "Properties");
    if (node != NULL)
        result = evaluate_head(stack->e, node, &head);
    if (result >= 0 && node != NULL && !json_is_object(head)) {
        json_decref(head);
        result = place_fail(place, "needs an object");
    } else if (result >= 0 && kind == RESOURCE_SIMPLE) {
        result = evaluate_give(stack->e, simple_properties(stack, head), out);
        json_decref(head);
    } else {
        *out = head;
    }
    place_leave(place, mark);
    return result;
}

/* The plain description of the properties. */
static int resource_describe(struct stack *stack, json_t *properties, enum resource_kind kind, json_t **out) {
    json_t *others = json_copy(properties), *simple = NULL; /* the name is read elsewhere */
    if (others == NULL)
        return evaluate_no_memory(stack->e);
    json_object_del(others, "TableName");
    int result;
    if (kind == RESOURCE_TABLE) {
        result = template_shape_copy(stack->e, others, template_shape_table, stack->ignored, out);
    } else {
        result = template_shape_copy(stack->e, others, template_shape_simple, stack->ignored, &simple);
        if (result >= 0)
            result = simple_describe(stack, simple, out);
        json_decref(simple);
    }
    json_decref(others);
    return result;
}

static int resource_table(struct stack *stack, const char *id, json_t *resource, enum resource_kind kind) {
    struct place *place = stack->e->place;
    json_t *properties = NULL, *plain = NULL;
    struct template_table *table = template_append(stack->set, stack->source, place);
    int result = table != NULL ? resource_deletion_policy(stack, resource, &table->def) : LARDER_E_NO_MEMORY;
    if (result >= 0)
        result = resource_properties(stack, resource, kind, &properties);
    if (result < 0)
        return result;
    size_t mark = place_enter_name(place, "Properties");
    result = template_name(stack->set, stack->e, id, json_object_get(properties, "TableName"), table);
    if (result >= 0)
        result = resource_describe(stack, properties, kind, &plain);
    if (result >= 0) {
        result = template_define(stack->set, stack->e, plain, table);
        json_decref(plain);
    }
    place_leave(place, mark);
    json_decref(properties);
    return result;
}

/* F1: whether the resource's condition, if it has one, is true. */
static int resource_is_wanted(struct stack *stack, const char *id, json_t *resource, bool *out) {
    json_t *node = json_object_get(resource, "Condition");
    const char *name = json_string_value(node);
    *out = true;
    if (node == NULL)
        return LARDER_OK;
    if (name == NULL)
        return place_fail(stack->e->place, "Condition needs the name of a condition");
    int result = evaluate_condition(stack->e, name, out);
    if (stack->set->settings != NULL) /* a name that is given counts as known */
        evaluate_pair(&stack->set->settings->names, id);
    if (result >= 0 && !*out)
        result = template_note(stack->set, stack->e, "table %.80s is left out: its condition %.80s is false", id, name);
    return result;
}

static int resource_add(struct stack *stack, const char *id, json_t *resource) {
    enum resource_kind kind = resource_kind(resource);
    bool is_wanted;
    if (kind == RESOURCE_OTHER) {
        const char *type = json_string_value(json_object_get(resource, "Type"));
        if (json_is_string(resource)) /* ${file(...)} of the Serverless Framework */
            return template_note(stack->set, stack->e, "ignored: resource %.80s is the text %.120s", id,
                                 json_string_value(resource));
        stack->other_count++;
        return template_shape_note(stack->e, stack->others, type != NULL ? type : id);
    }
    stack->table_count++;
    int result = resource_is_wanted(stack, id, resource, &is_wanted);
    return result >= 0 && is_wanted ? resource_table(stack, id, resource, kind) : result;
}

static int stack_resources(struct stack *stack, json_t *resources) {
    const char *id;
    json_t *resource;
    struct evaluator *e = stack->e;
    size_t mark = place_enter_name(e->place, "Resources");
    int result = json_is_object(resources) ? evaluate_members(e, resources, &e->resources)
                                           : place_fail(e->place, "needs an object");
    if (result < 0)
        e->resources = NULL;
    json_object_foreach(e->resources, id, resource) {
        if (result < 0)
            break;
        size_t inner = place_enter_name(e->place, id);
        result = resource_add(stack, id, resource);
        place_leave(e->place, inner);
    }
    if (result >= 0 && stack->table_count == 0)
        result = place_fail(e->place, "has no AWS::DynamoDB::Table");
    if (result >= 0)
        result = template_note_ignored(stack->set, e, stack->ignored, stack->others, stack->other_count);
    place_leave(e->place, mark);
    if (e->resources != NULL) /* names of tables borrow its keys */
        result = template_keep(stack->set, e, e->resources) < 0 && result >= 0 ? LARDER_E_NO_MEMORY : result;
    return result;
}

int template_cloudformation(struct template_set *set, struct evaluator *e, json_t *top, const char *source) {
    struct stack stack = {.set = set, .e = e, .source = source, .ignored = json_array(), .others = json_array()};
    json_t *conditions = json_object_get(top, "Conditions");
    e->root_bytes = e->place->path_bytes;
    e->parameters = json_object_get(top, "Parameters");
    e->mappings = json_object_get(top, "Mappings");
    stack.globals = json_object_get(json_object_get(top, "Globals"), "SimpleTable");
    int result = stack.ignored != NULL && stack.others != NULL ? LARDER_OK : evaluate_no_memory(e);
    size_t mark = place_enter_name(e->place, "Conditions");
    if (result >= 0 && conditions != NULL && json_is_object(conditions))
        result = evaluate_members(e, conditions, &e->conditions);
    place_leave(e->place, mark);
    /* A parameter that is given counts as known, whether or not a table needs it. */
    const char *name;
    json_t *parameter;
    json_object_foreach(e->parameters, name, parameter) evaluate_pair(e->given, name);
    if (result >= 0)
        result = stack_resources(&stack, json_object_get(top, "Resources"));
    if (e->conditions != NULL)
        json_decref(e->conditions);
    json_decref(stack.ignored);
    json_decref(stack.others);
    return result;
}
