/* tests/fuzz/template_fuzz.c - templates in JSON and YAML, and the other descriptions of tables.
 *
 * Goal     Any document is a list of table definitions or a readable error. A definition survives
 *          being printed as create-table JSON and read again, being written into a block and read
 *          again, and being made into a table.
 * Method   The definitions are compared field by field after each of these ways. What the parser
 *          accepts and the engine does not must be refused by the engine's own check, with a text,
 *          before any segment is touched (rule T3).
 */
#include <jansson.h>

#include "cli/template.h"
#include "cli/template_file.h"
#include "core/table/schema.h"
#include "core/table/token.h"
#include "tests/fuzz/fuzz.h"

#define TABLE_BYTES (8u << 20)

/* ---- Are two definitions the same ------------------------------------------------------------ */

static int is_same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int is_same_key(const struct larder_key_def *a, const struct larder_key_def *b) {
    return is_same_text(a->name, b->name) && (!a->name || a->type == b->type);
}

static int is_same_index(const struct larder_index_def *a, const struct larder_index_def *b) {
    if (!is_same_text(a->name, b->name) || !is_same_key(&a->partition, &b->partition) ||
        !is_same_key(&a->sort, &b->sort) || a->is_local != b->is_local || a->projection != b->projection ||
        a->included_count != b->included_count)
        return 0;
    for (uint32_t i = 0; i < a->included_count; i++)
        if (!is_same_text(a->included[i], b->included[i]))
            return 0;
    if (a->partition_more_count != b->partition_more_count || a->sort_more_count != b->sort_more_count)
        return 0;
    for (uint32_t i = 0; i < a->partition_more_count; i++)
        if (!is_same_key(&a->partition_more[i], &b->partition_more[i]))
            return 0;
    for (uint32_t i = 0; i < a->sort_more_count; i++)
        if (!is_same_key(&a->sort_more[i], &b->sort_more[i]))
            return 0;
    return 1;
}

static int is_same_table(const struct larder_table_def *a, const struct larder_table_def *b) {
    return is_same_text(a->name, b->name) && is_same_key(&a->partition, &b->partition) &&
           is_same_key(&a->sort, &b->sort) && is_same_text(a->ttl_attribute, b->ttl_attribute) &&
           a->removal == b->removal && a->index_count == b->index_count;
}

static int is_same(const struct larder_table_def *a, const struct larder_table_def *b) {
    if (!is_same_table(a, b))
        return 0;
    for (uint32_t i = 0; i < a->index_count; i++)
        if (!is_same_index(&a->indexes[i], &b->indexes[i]))
            return 0;
    return 1;
}

/* ---- Printing as create-table JSON ----------------------------------------------------------- */

static json_t *text_of(const char *text) {
    json_t *json = json_string(text);
    FUZZ_CHECK(json, "a name that is no text");
    return json;
}

/* Each key attribute once. */
static void declare(json_t *attributes, const struct larder_key_def *key) {
    static const char *const types[] = {[LARDER_S] = "S", [LARDER_N] = "N", [LARDER_B] = "B"};
    if (!key->name)
        return;
    for (size_t i = 0; i < json_array_size(attributes); i++)
        if (is_same_text(json_string_value(json_object_get(json_array_get(attributes, i), "AttributeName")), key->name))
            return;
    json_array_append_new(
        attributes, json_pack("{s:o, s:s}", "AttributeName", text_of(key->name), "AttributeType", types[key->type]));
}

static void add_key(json_t *schema, const struct larder_key_def *key, const char *type) {
    if (key->name)
        json_array_append_new(schema, json_pack("{s:o, s:s}", "AttributeName", text_of(key->name), "KeyType", type));
}

static json_t *table_keys(const struct larder_table_def *def) {
    json_t *schema = json_array();
    add_key(schema, &def->partition, "HASH");
    add_key(schema, &def->sort, "RANGE");
    return schema;
}

static json_t *index_keys(const struct larder_index_def *index) {
    json_t *schema = json_array();
    add_key(schema, &index->partition, "HASH");
    for (uint32_t i = 0; i < index->partition_more_count; i++)
        add_key(schema, &index->partition_more[i], "HASH");
    add_key(schema, &index->sort, "RANGE");
    for (uint32_t i = 0; i < index->sort_more_count; i++)
        add_key(schema, &index->sort_more[i], "RANGE");
    return schema;
}

static json_t *index_json(const struct larder_index_def *index) {
    static const char *const projections[] = {
        [LARDER_PROJECT_ALL] = "ALL", [LARDER_PROJECT_KEYS_ONLY] = "KEYS_ONLY", [LARDER_PROJECT_INCLUDE] = "INCLUDE"};
    json_t *projection = json_pack("{s:s}", "ProjectionType", projections[index->projection]);
    json_t *names = index->included_count ? json_array() : NULL;
    for (uint32_t i = 0; i < index->included_count; i++)
        json_array_append_new(names, text_of(index->included[i]));
    if (names)
        json_object_set_new(projection, "NonKeyAttributes", names);
    return json_pack("{s:o, s:o, s:o}", "IndexName", text_of(index->name), "KeySchema", index_keys(index), "Projection",
                     projection);
}

static json_t *table_json(const struct larder_table_def *def) {
    json_t *attributes = json_array(), *indexes[2] = {json_array(), json_array()};
    declare(attributes, &def->partition);
    declare(attributes, &def->sort);
    for (uint32_t i = 0; i < def->index_count; i++) {
        const struct larder_index_def *index = &def->indexes[i];
        declare(attributes, &index->partition);
        declare(attributes, &index->sort);
        for (uint32_t k = 0; k < index->partition_more_count; k++)
            declare(attributes, &index->partition_more[k]);
        for (uint32_t k = 0; k < index->sort_more_count; k++)
            declare(attributes, &index->sort_more[k]);
        json_array_append_new(indexes[index->is_local != 0], index_json(index));
    }
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "TableName", text_of(def->name), "AttributeDefinitions", attributes,
                  "KeySchema", table_keys(def), "GlobalSecondaryIndexes", indexes[0], "LocalSecondaryIndexes",
                  indexes[1], "DeletionProtectionEnabled", def->removal == LARDER_REMOVAL_RETAIN);
    if (def->ttl_attribute)
        json_object_set_new(json, "TimeToLiveSpecification",
                            json_pack("{s:b, s:o}", "Enabled", 1, "AttributeName", text_of(def->ttl_attribute)));
    FUZZ_CHECK(json, "out of memory");
    return json;
}

static void check_print(const struct larder_table_def *def) {
    struct template_set set = {NULL};
    struct place place = {.path_bytes = 0};
    json_t *json = table_json(def);
    int r = template_add(&set, json, "printed", &place);
    FUZZ_CHECK(r == LARDER_OK, "%s", place.problem);
    FUZZ_CHECK(set.first && !set.first->next && is_same(def, &set.first->def), "another table than was printed");
    template_free(&set);
    json_decref(json);
}

/* ---- In the engine --------------------------------------------------------------------------- */

/* The block that holds a definition gives it back (core/table/schema_blob.c). */
static void check_block(const struct larder_table_def *def) {
    static struct schema_source source; /* large */
    static struct larder_index_def index[LARDER_INDEXES_MAX];
    static uint8_t state[LARDER_INDEXES_MAX];
    static const char *included[LARDER_PROJECTED_NAMES_MAX];
    static struct larder_key_def more[SCHEMA_MORE_MAX];
    struct schema_parts parts = {.index = index, .state = state, .included = included, .more = more};
    schema_source_of_def(def, &source);
    uint32_t bytes = schema_bytes(&source);
    FUZZ_CHECK(bytes <= SCHEMA_BYTES_MAX && bytes % 8 == 0, "%u bytes", bytes);
    struct schema_head *block = calloc(1, bytes);
    FUZZ_CHECK(block, "out of memory");
    schema_write(&source, block);
    FUZZ_CHECK(block->bytes == bytes && schema_head_is_sane(block), "%u bytes", block->bytes);
    FUZZ_CHECK(schema_decode(block, &parts) == LARDER_OK, "%s", larder_error());
    parts.def.index_count = def->index_count;
    parts.def.indexes = index;
    FUZZ_CHECK(is_same(def, &parts.def), "the block holds another table");
    FUZZ_CHECK(is_same_text(schema_name(block, bytes), def->name), "the block holds another name");
    free(block);
}

static void check_table(const struct larder_table_def *def) {
    static struct larder *db;
    struct larder_options options = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = TABLE_BYTES, .stripe_count = 2};
    struct larder_table *table;
    const struct larder_table_def *made;
    if (!db)
        FUZZ_CHECK(larder_open(&options, &db) == LARDER_OK, "%s", larder_error());
    int r = larder_table_create(db, def);
    if (token_reserves(def->name)) {
        FUZZ_CHECK(r == LARDER_E_INVAL, "a table of the library's own was made: %d", r);
        return;
    }
    FUZZ_CHECK(r == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_table_open(db, def->name, &table) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_table_describe(table, &made) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(is_same(def, made), "the table is another than was asked for");
    FUZZ_CHECK(larder_table_drop(db, def->name) == LARDER_OK, "%s", larder_error());
    static unsigned count;
    if (++count % 1000 == 0) { /* a view lives as long as its handle */
        larder_close(db);
        db = NULL;
    }
}

/* What the templates of the corpus need. */
static struct evaluate_pair parameter = {.name = "AWS::StackName", .name_bytes = 14, .value = "stack"};
static struct template_settings settings = {.parameters = {.pairs = &parameter, .count = 1}, .only_name = "only"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct template_set set = {.settings = &settings};
    struct node_lines lines = {0};
    struct place place = {.lines = &lines};
    json_t *json = NULL;
    int r = template_file_parse("input", (const char *)data, size, &lines, &place, &json);
    FUZZ_CHECK((r == LARDER_OK) == (json != NULL), "%d", r);
    if (r == LARDER_OK)
        r = template_add(&set, json, "input", &place);
    if (json)
        json_decref(json);
    if (r != LARDER_OK) {
        FUZZ_CHECK(r == LARDER_E_INVAL, "%d", r);
        fuzz_check_message(place.problem);
    } else {
        FUZZ_CHECK(set.first || json_array_size(set.notes) > 0, "no table, and no word about it");
        FUZZ_CHECK(!place.path_bytes, "lost at %s", place.path);
    }
    for (const struct template_table *t = r ? NULL : set.first; t; t = t->next) {
        check_print(&t->def);
        r = schema_check(&t->def);
        FUZZ_CHECK(r == LARDER_OK || r == LARDER_E_INVAL, "%d", r);
        if (r == LARDER_OK) {
            check_block(&t->def);
            if (size % 8 == 0) /* takes a hundred times as long as everything else */
                check_table(&t->def);
        } else {
            fuzz_check_message(larder_error());
        }
    }
    template_free(&set);
    node_lines_free(&lines);
    return 0;
}
