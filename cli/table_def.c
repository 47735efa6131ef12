/* cli/table_def.c - the definition of a table from a plain description of it.
 *
 * Job      The one reader of AttributeDefinitions, KeySchema, indexes and TimeToLiveSpecification,
 *          wherever they come from: a template that was evaluated, create-table JSON, the output of
 *          describe-table, a model of NoSQL Workbench (cli/template.c).
 * Rules    T1 Every key attribute has one AttributeDefinition, and every AttributeDefinition is a
 *             key attribute: DynamoDB refuses anything else.
 *          T3 The rest (lengths of names, duplicates, counts) the engine judges: cli/cmd_create.c
 *             asks it first.
 * Tests    tests/unit/cli/template_test.c
 */
#include "cli/table_def.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/template_json.h"

/* What a table and the indexes that it can have may name as keys. */
#define DEF_ATTRIBUTES_MAX (2 + LARDER_LOCAL_INDEXES_MAX + 2 * LARDER_KEY_ATTRIBUTES_MAX * LARDER_GLOBAL_INDEXES_MAX)

/* The attributes that a table declares, and which of them its keys have named so far. */
struct def_attributes {
    const json_t *array;
    bool *is_used; /* one per element */
};

/* Element i of AttributeDefinitions, checked. */
static int def_attribute(struct place *place, const json_t *array, size_t i, const char **name,
                         enum larder_type *type) {
    const json_t *entry;
    const char *type_name;
    int result = template_json_object_at(place, array, i, &entry);
    if (result < 0)
        return result;
    size_t mark = place_enter_index(place, i);
    result = template_json_text(place, entry, "AttributeName", true, name);
    if (result >= 0)
        result = template_json_text(place, entry, "AttributeType", true, &type_name);
    if (result >= 0) {
        if (strcmp(type_name, "S") == 0)
            *type = LARDER_S;
        else if (strcmp(type_name, "N") == 0)
            *type = LARDER_N;
        else if (strcmp(type_name, "B") == 0)
            *type = LARDER_B;
        else
            result = place_fail(place, "AttributeType is \"%.40s\"; a key is S, N or B", type_name);
    }
    place_leave(place, mark);
    return result;
}

/* Reads AttributeDefinitions: all well formed, no name twice. */
static int def_attributes_load(struct place *place, const json_t *properties, struct def_attributes *out) {
    int result = template_json_array(place, properties, "AttributeDefinitions", true, &out->array);
    if (result < 0)
        return result;
    size_t count = json_array_size(out->array), mark = place_enter_name(place, "AttributeDefinitions");
    if (count > DEF_ATTRIBUTES_MAX) {
        result = place_fail(place, "has %zu entries; %d key attributes are possible", count, DEF_ATTRIBUTES_MAX);
        place_leave(place, mark);
        return result;
    }
    out->is_used = calloc(count + 1, sizeof *out->is_used);
    if (out->is_used == NULL) {
        place_fail(place, "out of memory");
        return LARDER_E_NO_MEMORY;
    }
    for (size_t i = 0; i < count && result >= 0; i++) {
        const char *name, *earlier;
        enum larder_type type;
        result = def_attribute(place, out->array, i, &name, &type);
        for (size_t j = 0; j < i && result >= 0; j++) {
            enum larder_type earlier_type;
            result = def_attribute(place, out->array, j, &earlier, &earlier_type);
            if (result >= 0 && strcmp(name, earlier) == 0)
                result = place_fail(place, "\"%.80s\" is defined twice", name);
        }
    }
    place_leave(place, mark);
    return result;
}

/* T1, second half. */
static int def_attributes_check_used(struct place *place, const struct def_attributes *attributes) {
    size_t mark = place_enter_name(place, "AttributeDefinitions");
    int result = LARDER_OK;
    for (size_t i = 0; i < json_array_size(attributes->array) && result >= 0; i++) {
        const char *name;
        enum larder_type type;
        result = def_attribute(place, attributes->array, i, &name, &type);
        if (result >= 0 && !attributes->is_used[i])
            result = place_fail(place, "\"%.80s\" is not a key attribute of the table or of an index", name);
    }
    place_leave(place, mark);
    return result;
}

/* T1, first half: the key attribute `name` with its declared type. */
static int def_key_attribute(struct place *place, struct def_attributes *attributes, const char *name,
                             struct larder_key_def *out) {
    for (size_t i = 0; i < json_array_size(attributes->array); i++) {
        const char *defined;
        enum larder_type type = LARDER_S;
        int result = def_attribute(place, attributes->array, i, &defined, &type);
        if (result < 0)
            return result;
        if (strcmp(defined, name) == 0) {
            attributes->is_used[i] = true;
            out->name = defined;
            out->type = type;
            return LARDER_OK;
        }
    }
    return place_fail(place, "key attribute \"%.80s\" is not in AttributeDefinitions", name);
}

/* Element i of a KeySchema. */
static int def_key_element(struct place *place, const json_t *schema, size_t i, struct def_attributes *attributes,
                           struct larder_key_def *out, bool *is_hash) {
    const json_t *entry;
    const char *name, *key_type;
    int result = template_json_object_at(place, schema, i, &entry);
    if (result < 0)
        return result;
    size_t mark = place_enter_index(place, i);
    result = template_json_text(place, entry, "AttributeName", true, &name);
    if (result >= 0)
        result = template_json_text(place, entry, "KeyType", true, &key_type);
    if (result >= 0) {
        *is_hash = strcmp(key_type, "HASH") == 0;
        if (!*is_hash && i == 0)
            result = place_fail(place, "KeyType is \"%.40s\"; this element is the HASH key", key_type);
        else if (!*is_hash && strcmp(key_type, "RANGE") != 0)
            result = place_fail(place, "KeyType is \"%.40s\"; allowed are HASH and RANGE", key_type);
    }
    if (result >= 0)
        result = def_key_attribute(place, attributes, name, out);
    place_leave(place, mark);
    return result;
}

/* A KeySchema: HASH keys, then RANGE keys. */
struct def_keys {
    struct larder_key_def key[2 * LARDER_KEY_ATTRIBUTES_MAX];
    uint32_t hash_count, count;
};

static int def_keys_add(struct place *place, const json_t *schema, struct def_attributes *attributes, uint32_t most,
                        struct def_keys *keys) {
    bool is_hash = false;
    int result = def_key_element(place, schema, keys->count, attributes, &keys->key[keys->count], &is_hash);
    const char *name = keys->key[keys->count].name;
    if (result >= 0 && is_hash && keys->hash_count < keys->count)
        return place_fail(place, "HASH key \"%.80s\" comes after a RANGE key", name);
    uint32_t of_type = is_hash ? keys->hash_count : keys->count - keys->hash_count;
    if (result >= 0 && of_type == most)
        return place_fail(place, "has more %s keys than %u%s", is_hash ? "HASH" : "RANGE", most,
                          most == 1 ? "; only global indexes may have several" : "");
    for (uint32_t i = 0; i < keys->count && result >= 0; i++)
        if (strcmp(keys->key[i].name, name) == 0)
            result = place_fail(place, "two keys are the same attribute \"%.80s\"", name);
    keys->hash_count += is_hash;
    keys->count++;
    return result;
}

/* `most`: HASH keys, and RANGE keys, that are allowed. */
static int def_key_schema(struct place *place, const json_t *from, struct def_attributes *attributes, uint32_t most,
                          struct def_keys *keys) {
    const json_t *schema;
    *keys = (struct def_keys){.count = 0};
    int result = template_json_array(place, from, "KeySchema", true, &schema);
    if (result < 0)
        return result;
    size_t count = json_array_size(schema), mark = place_enter_name(place, "KeySchema");
    if (count < 1 || count > 2 * (size_t)most)
        result = place_fail(place, "has %zu elements; 1 to %u HASH keys and at most %u RANGE keys are allowed", count,
                            most, most);
    while (result >= 0 && keys->count < count)
        result = def_keys_add(place, schema, attributes, most, keys);
    place_leave(place, mark);
    return result;
}

static int def_table_keys(struct place *place, const json_t *from, struct def_attributes *attributes,
                          struct larder_table_def *out) {
    struct def_keys keys;
    int result = def_key_schema(place, from, attributes, 1, &keys);
    out->partition = keys.key[0];
    if (keys.count > 1)
        out->sort = keys.key[1];
    return result;
}

static int def_index_keys(struct place *place, const json_t *from, struct def_attributes *attributes,
                          struct larder_index_def *out) {
    struct def_keys keys;
    int result = def_key_schema(place, from, attributes, out->is_local ? 1 : LARDER_KEY_ATTRIBUTES_MAX, &keys);
    if (result < 0)
        return result;
    uint32_t sort = keys.hash_count, made = 0;
    struct larder_key_def *more = malloc(sizeof keys.key);
    if (more == NULL) {
        place_fail(place, "out of memory");
        return LARDER_E_NO_MEMORY;
    }
    for (uint32_t i = 1; i < keys.count; i++)
        if (i != sort)
            more[made++] = keys.key[i];
    out->partition = keys.key[0];
    out->sort = keys.count > sort ? keys.key[sort] : (struct larder_key_def){.name = NULL};
    out->partition_more = more; /* freed by template_free() */
    out->partition_more_count = sort - 1;
    out->sort_more = more + sort - 1;
    out->sort_more_count = made - out->partition_more_count;
    return LARDER_OK;
}

static int def_included(struct place *place, const json_t *names, struct larder_index_def *out) {
    size_t count = json_array_size(names), mark = place_enter_name(place, "NonKeyAttributes");
    if (count == 0 || count > LARDER_PROJECTED_NAMES_MAX) {
        int result = place_fail(place, "has %zu names; 1 to %d are allowed", count, LARDER_PROJECTED_NAMES_MAX);
        place_leave(place, mark);
        return result;
    }
    const char **included = calloc(count, sizeof *included);
    if (included == NULL) {
        place_fail(place, "out of memory");
        return LARDER_E_NO_MEMORY;
    }
    out->included = included; /* freed by table_def_free(), also after a failure below */
    out->included_count = (uint32_t)count;
    int result = LARDER_OK;
    for (size_t i = 0; i < count && result >= 0; i++)
        result = template_json_text_at(place, names, i, &included[i]);
    place_leave(place, mark);
    return result;
}

static int def_projection(struct place *place, const json_t *from, struct larder_index_def *out) {
    const json_t *projection, *names = NULL;
    const char *type = NULL;
    int result = template_json_object(place, from, "Projection", true, &projection);
    if (result < 0)
        return result;
    size_t mark = place_enter_name(place, "Projection");
    result = template_json_text(place, projection, "ProjectionType", true, &type);
    if (result >= 0)
        result = template_json_array(place, projection, "NonKeyAttributes", false, &names);
    if (result >= 0) {
        if (strcmp(type, "ALL") == 0)
            out->projection = LARDER_PROJECT_ALL;
        else if (strcmp(type, "KEYS_ONLY") == 0)
            out->projection = LARDER_PROJECT_KEYS_ONLY;
        else if (strcmp(type, "INCLUDE") == 0)
            out->projection = LARDER_PROJECT_INCLUDE;
        else
            result = place_fail(place, "ProjectionType is \"%.40s\"; allowed are ALL, KEYS_ONLY and INCLUDE", type);
    }
    if (result >= 0 && (names != NULL) != (out->projection == LARDER_PROJECT_INCLUDE))
        result = place_fail(place, "NonKeyAttributes are allowed with ProjectionType INCLUDE only, and needed there");
    if (result >= 0 && names != NULL)
        result = def_included(place, names, out);
    place_leave(place, mark);
    return result;
}

/* What a local index requires of its table. */
static int def_check_local(struct place *place, const struct larder_table_def *table,
                           const struct larder_index_def *index) {
    if (table->sort.name == NULL)
        return place_fail(place, "a local index needs a table with a RANGE key");
    if (index->partition.name == NULL || table->partition.name == NULL ||
        strcmp(index->partition.name, table->partition.name) != 0)
        return place_fail(place, "the HASH key of a local index must be the table's, \"%.80s\"", table->partition.name);
    if (index->sort.name == NULL)
        return place_fail(place, "a local index needs a RANGE key");
    return LARDER_OK;
}

static int def_index(struct place *place, const json_t *from, struct def_attributes *attributes,
                     const struct larder_table_def *table, struct larder_index_def *out) {
    int result = template_json_text(place, from, "IndexName", true, &out->name);
    if (result >= 0)
        result = def_index_keys(place, from, attributes, out);
    if (result >= 0 && out->is_local)
        result = def_check_local(place, table, out);
    if (result >= 0)
        result = def_projection(place, from, out);
    return result;
}

/* GlobalSecondaryIndexes or LocalSecondaryIndexes. */
static int def_indexes(struct place *place, const json_t *properties, struct def_attributes *attributes, bool is_local,
                       struct larder_table_def *def, struct larder_index_def *indexes) {
    const char *name = is_local ? "LocalSecondaryIndexes" : "GlobalSecondaryIndexes";
    size_t count_max = is_local ? LARDER_LOCAL_INDEXES_MAX : LARDER_GLOBAL_INDEXES_MAX;
    const json_t *array;
    int result = template_json_array(place, properties, name, false, &array);
    if (result < 0 || array == NULL)
        return result;
    size_t mark = place_enter_name(place, name);
    if (json_array_size(array) > count_max)
        result = place_fail(place, "has %zu indexes; %zu are allowed", json_array_size(array), count_max);
    for (size_t i = 0; result >= 0 && i < json_array_size(array); i++) {
        struct larder_index_def *index = &indexes[def->index_count];
        const json_t *entry;
        result = template_json_object_at(place, array, i, &entry);
        if (result < 0)
            break;
        index->is_local = is_local;
        def->index_count++;
        size_t element = place_enter_index(place, i);
        result = def_index(place, entry, attributes, def, index);
        place_leave(place, element);
    }
    place_leave(place, mark);
    return result;
}

static int def_ttl(struct place *place, const json_t *properties, struct larder_table_def *out) {
    const json_t *ttl;
    const char *name;
    bool is_enabled = false;
    int result = template_json_object(place, properties, "TimeToLiveSpecification", false, &ttl);
    if (result < 0 || ttl == NULL)
        return result;
    size_t mark = place_enter_name(place, "TimeToLiveSpecification");
    result = template_json_flag(place, ttl, "Enabled", true, &is_enabled);
    if (result >= 0)
        result = template_json_text(place, ttl, "AttributeName", is_enabled, &name);
    if (result >= 0 && is_enabled)
        out->ttl_attribute = name;
    place_leave(place, mark);
    return result;
}

/* DeletionProtectionEnabled means the same as DeletionPolicy Retain, but is a property of the table
 * itself. */
static int def_protection(struct place *place, const json_t *properties, struct larder_table_def *out) {
    bool is_protected = false;
    int result = template_json_flag(place, properties, "DeletionProtectionEnabled", false, &is_protected);
    if (result >= 0 && is_protected)
        out->removal = LARDER_REMOVAL_RETAIN;
    return result;
}

int table_def_read(struct place *place, const json_t *properties, struct larder_table_def *def,
                   struct larder_index_def *indexes) {
    struct def_attributes attributes = {0};
    def->indexes = indexes;
    int result = def_attributes_load(place, properties, &attributes);
    if (result >= 0)
        result = def_table_keys(place, properties, &attributes, def);
    if (result >= 0)
        result = def_indexes(place, properties, &attributes, false, def, indexes);
    if (result >= 0)
        result = def_indexes(place, properties, &attributes, true, def, indexes);
    if (result >= 0)
        result = def_attributes_check_used(place, &attributes);
    if (result >= 0)
        result = def_ttl(place, properties, def);
    if (result >= 0)
        result = def_protection(place, properties, def);
    free(attributes.is_used);
    return result;
}
