/* cli/template_workbench.c - the tables of a model of NoSQL Workbench, with their data.
 *
 * Job      A model describes keys by KeyAttributes {PartitionKey, SortKey}, each with its type;
 *          this makes the words of CreateTable of it. TableData are items in DynamoDB JSON.
 * Several  How a model has the key of several attributes of an index is documented nowhere. Read
 *          are a list in place of the one attribute, and {PartitionKeys, SortKeys}.
 * Tests    tests/unit/cli/evaluate_test.c, tests/cli/template_test.sh
 */
#include <string.h>

#include "cli/template.h"
#include "cli/template_shape.h"

/* A model in the making. */
struct model {
    struct evaluator *e;
    json_t *table; /* in its own words, plain */
    json_t *attributes;
};

static bool model_is_defined(const struct model *model, const char *name) {
    for (size_t i = 0; i < json_array_size(model->attributes); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(model->attributes, i), "AttributeName")), name) ==
            0)
            return true;
    return false;
}

/* The type that one of the model's lists of attributes gives a name; NULL: none. */
static const char *model_type(const struct model *model, const char *name) {
    json_t *keys = json_object_get(model->table, "KeyAttributes"),
           *others = json_object_get(model->table, "NonKeyAttributes");
    json_t *known[] = {json_object_get(keys, "PartitionKey"), json_object_get(keys, "SortKey")};
    for (size_t i = 0; i < 2 + json_array_size(others); i++) {
        json_t *attribute = i < 2 ? known[i] : json_array_get(others, i - 2);
        const char *other = json_string_value(json_object_get(attribute, "AttributeName"));
        const char *type = json_string_value(json_object_get(attribute, "AttributeType"));
        if (other != NULL && type != NULL && strcmp(other, name) == 0)
            return type;
    }
    return NULL;
}

/* One key attribute: an element of KeySchema and, once, of AttributeDefinitions. */
static int model_key(struct model *model, json_t *key, const char *kind, json_t *schema) {
    struct place *place = model->e->place;
    const char *name = json_string_value(json_object_get(key, "AttributeName"));
    const char *type = json_string_value(json_object_get(key, "AttributeType"));
    if (name == NULL)
        return place_fail(place, "AttributeName is missing");
    if (type == NULL)
        type = model_type(model, name);
    if (type == NULL)
        return place_fail(place, "AttributeType of \"%.80s\" is missing", name);
    if (json_array_append_new(schema, json_pack("{s:s, s:s}", "AttributeName", name, "KeyType", kind)) != 0)
        return evaluate_no_memory(model->e);
    if (!model_is_defined(model, name) &&
        json_array_append_new(model->attributes,
                              json_pack("{s:s, s:s}", "AttributeName", name, "AttributeType", type)) != 0)
        return evaluate_no_memory(model->e);
    return LARDER_OK;
}

/* One member of KeyAttributes: an attribute, or a list of them. */
static int model_member(struct model *model, json_t *keys, const char *name, const char *kind, json_t *schema) {
    struct place *place = model->e->place;
    json_t *member = json_object_get(keys, name);
    size_t mark = place_enter_name(place, name);
    int result = LARDER_OK;
    if (member != NULL && !json_is_null(member) && !json_is_array(member))
        result = model_key(model, member, kind, schema);
    for (size_t i = 0; i < json_array_size(member) && result >= 0; i++) {
        size_t element = place_enter_index(place, i);
        result = model_key(model, json_array_get(member, i), kind, schema);
        place_leave(place, element);
    }
    place_leave(place, mark);
    return result;
}

/* Adds the KeySchema of `from`, a table or an index, to `into`. */
static int model_keys(struct model *model, json_t *from, json_t *into) {
    static const char *const members[][2] = {
        {"PartitionKey", "HASH"}, {"PartitionKeys", "HASH"}, {"SortKey", "RANGE"}, {"SortKeys", "RANGE"}};
    struct place *place = model->e->place;
    json_t *keys = json_object_get(from, "KeyAttributes"), *schema = json_array();
    int result = json_object_set_new(into, "KeySchema", schema) == 0 ? LARDER_OK : evaluate_no_memory(model->e);
    size_t mark = place_enter_name(place, "KeyAttributes");
    for (size_t i = 0; i < sizeof members / sizeof members[0] && result >= 0; i++) {
        result = model_member(model, keys, members[i][0], members[i][1], schema);
        if (result >= 0 && i == 1 && json_array_size(schema) == 0)
            result = place_fail(place, "PartitionKey is missing");
    }
    place_leave(place, mark);
    return result;
}

static int model_index(struct model *model, json_t *from, json_t *into) {
    static const char *const members[] = {"IndexName", "Projection"};
    json_t *index = json_object();
    if (json_array_append_new(into, index) != 0)
        return evaluate_no_memory(model->e);
    for (size_t i = 0; i < 2; i++) {
        json_t *member = json_object_get(from, members[i]);
        if (member != NULL && json_object_set(index, members[i], member) != 0)
            return evaluate_no_memory(model->e);
    }
    json_t *projection = json_object_get(from, "Projection"), *names = json_object_get(projection, "NonKeyAttributes");
    if (json_is_array(names) && json_array_size(names) == 0) /* Workbench writes it with ALL, too */
        json_object_del(projection, "NonKeyAttributes");
    return model_keys(model, from, index);
}

static int model_indexes(struct model *model, const char *name, json_t *into) {
    struct place *place = model->e->place;
    json_t *from = json_object_get(model->table, name), *indexes = json_array();
    int result = json_object_set_new(into, name, indexes) == 0 ? LARDER_OK : evaluate_no_memory(model->e);
    size_t mark = place_enter_name(place, name);
    for (size_t i = 0; i < json_array_size(from) && result >= 0; i++) {
        size_t element = place_enter_index(place, i);
        result = model_index(model, json_array_get(from, i), indexes);
        place_leave(place, element);
    }
    place_leave(place, mark);
    return result;
}

/* In the words of CreateTable; a new reference, also after a failure. */
static int model_describe(struct model *model, json_t **out) {
    json_t *plain = *out = json_object();
    model->attributes = json_array();
    int result = json_object_set_new(plain, "AttributeDefinitions", model->attributes) == 0
                     ? LARDER_OK
                     : evaluate_no_memory(model->e);
    if (result >= 0)
        result = model_keys(model, model->table, plain);
    if (result >= 0)
        result = model_indexes(model, "GlobalSecondaryIndexes", plain);
    if (result >= 0)
        result = model_indexes(model, "LocalSecondaryIndexes", plain);
    return result;
}

static int workbench_table(struct template_set *set, struct evaluator *e, json_t *raw, json_t *ignored,
                           const char *source) {
    struct template_table *table = template_append(set, source, e->place);
    json_t *items = json_object_get(raw, "TableData"), *others = json_is_object(raw) ? json_copy(raw) : NULL,
           *plain = NULL;
    struct model model = {.e = e};
    if (table == NULL || others == NULL) {
        json_decref(others);
        return json_is_object(raw) ? LARDER_E_NO_MEMORY : place_fail(e->place, "needs an object");
    }
    json_object_del(others, "TableData");
    int result = template_shape_copy(e, others, template_shape_workbench, ignored, &model.table);
    if (result >= 0)
        result = template_name(set, e, NULL, json_object_get(others, "TableName"), table);
    if (result >= 0 && items != NULL && !json_is_null(items) && !json_is_array(items))
        result = place_fail(e->place, "TableData needs an array");
    if (result >= 0) {
        result = model_describe(&model, &plain);
        if (result >= 0)
            result = template_define(set, e, plain, table);
        json_decref(plain);
        table->items = json_is_array(items) ? items : NULL;
    }
    json_decref(model.table);
    json_decref(others);
    return result;
}

int template_workbench(struct template_set *set, struct evaluator *e, json_t *models, const char *source) {
    json_t *ignored = json_array();
    int result = ignored != NULL ? LARDER_OK : evaluate_no_memory(e);
    size_t mark = place_enter_name(e->place, "DataModel");
    e->is_data = true;
    if (result >= 0 && json_array_size(models) == 0)
        result = place_fail(e->place, "has no tables");
    for (size_t i = 0; i < json_array_size(models) && result >= 0; i++) {
        size_t element = place_enter_index(e->place, i);
        result = workbench_table(set, e, json_array_get(models, i), ignored, source);
        place_leave(e->place, element);
    }
    if (result >= 0)
        result = template_note_ignored(set, e, ignored, NULL, 0);
    json_decref(ignored);
    place_leave(e->place, mark);
    return result;
}
