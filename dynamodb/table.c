/* dynamodb/table.c - tables by name, and keys and items against their schema. See table.h.
 *
 * Sources  Messages: the dynamodb-conformance suite ("exact error messages") and dynalite's suites,
 *          run against the service; "beyond allowed size limits": API reference,
 *          TransactWriteItems; "Size limit exceeded for Index Key": architect/dynalite#35.
 */
#include "dynamodb/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "dynamodb/constraint.h"
#include "dynamodb/index_item.h"

#define INVALID "One or more parameter values were invalid: "

extern const char *own_larder_error(void); /* of the copy of expr/: own_names.h */

/* ---- Tables ---------------------------------------------------------------------------------- */

static void forget(struct larder_dynamodb *d, struct known_table **place) {
    if (!*place)
        return;
    (*place)->next = d->replaced_tables;
    d->replaced_tables = *place;
    *place = NULL;
}

static void free_known(struct known_table *known) {
    larder_table_def_free(known->def);
    larder_table_close(known->handle);
    free(known);
}

static int open_known(struct larder_dynamodb *d, struct text name, struct known_table **out) {
    struct known_table *known = calloc(1, sizeof *known + name.bytes + 1);
    if (!known)
        return LARDER_E_NO_MEMORY;
    memcpy(known->name, name.at, name.bytes);
    known->opened = ++d->tables_opened;
    int r = larder_table_open(d->db, known->name, &known->handle);
    if (r == LARDER_OK)
        r = larder_table_describe(known->handle, &known->def);
    if (r)
        free_known(known);
    else
        *out = known;
    return r;
}

int table_find(struct larder_dynamodb *d, struct text name, const struct known_table **out) {
    struct known_table *known = NULL;
    int r = open_known(d, name, &known);
    *out = known;
    forget(d, &known);
    return r;
}

static int is_of(const struct known_table *known, struct text name) {
    return known && strlen(known->name) == name.bytes && memcmp(known->name, name.at, name.bytes) == 0;
}

int table_take(struct larder_dynamodb *d, const struct known_table **out) {
    struct text name = constraint_table_name(d->request.strings[STRING_TABLE_NAME]);
    struct known_table **place = &d->tables[XXH3_64bits(name.at, name.bytes) % KNOWN_TABLES];
    int r = LARDER_OK;
    /* an index may have been added, or the table dropped */
    if (!is_of(*place, name) || !larder_table_def_is_current((*place)->def)) {
        forget(d, place);
        r = open_known(d, name, place);
    }
    *out = *place;
    return r ? context_fail(d, r) : LARDER_OK;
}

void table_forget_all(struct larder_dynamodb *d) {
    for (uint32_t i = 0; i < KNOWN_TABLES; i++)
        forget(d, &d->tables[i]);
}

void table_free_replaced(struct larder_dynamodb *d) {
    while (d->replaced_tables) {
        struct known_table *known = d->replaced_tables;
        d->replaced_tables = known->next;
        free_known(known);
    }
}

const char *table_type_name(enum larder_type type) {
    static const char *const names[] = {
        [LARDER_S] = "S", [LARDER_N] = "N", [LARDER_B] = "B",   [LARDER_BOOL] = "BOOL", [LARDER_NULL] = "NULL",
        [LARDER_M] = "M", [LARDER_L] = "L", [LARDER_SS] = "SS", [LARDER_NS] = "NS",     [LARDER_BS] = "BS"};
    return names[type];
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static int refuse_key(struct larder_dynamodb *d) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "The provided key element does not match the schema");
}

struct table_schema table_schema(const struct larder_table_def *def, const struct larder_index_def *index) {
    struct table_schema s = {.key = {&def->partition, &def->sort}, .partition_count = 1};
    s.count = table_key_count(def);
    if (!index)
        return s;
    s.partition_count = index_partition_count(index);
    s.count = index_key_count(index);
    for (uint32_t i = 0; i < s.count; i++)
        s.key[i] = index_key_at(index, i);
    return s;
}

int table_check_key_size(struct larder_dynamodb *d, const char *name, const struct larder_value *value, int is_sort) {
    if (value->type == LARDER_N)
        return LARDER_OK;
    if (!value->bytes)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
                           "contain an empty %s value. Key: %s",
                           value->type == LARDER_S ? "string" : "binary", name);
    if (!is_sort && value->bytes > LARDER_PARTITION_KEY_BYTES_MAX)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID "Size of hashkey has exceeded the maximum size limit of2048 bytes");
    if (is_sort && value->bytes > LARDER_SORT_KEY_BYTES_MAX)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID "Aggregated size of all range keys has exceeded the size limit of 1024 bytes");
    return LARDER_OK;
}

static int take_key_value(struct larder_dynamodb *d, const struct larder_key_def *key, int is_sort,
                          const struct larder_item *item, struct larder_value *out) {
    if (larder_item_get(item, key->name, out) != LARDER_OK || out->type != key->type)
        return refuse_key(d);
    return table_check_key_size(d, key->name, out, is_sort);
}

int table_key(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_item *item,
              struct larder_key *out) {
    if (larder_item_count(item) != table_key_count(def))
        return refuse_key(d);
    int r = take_key_value(d, &def->partition, 0, item, &out->partition);
    return r || !def->sort.name ? r : take_key_value(d, &def->sort, 1, item, &out->sort);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static int check_item_key(struct larder_dynamodb *d, const struct larder_key_def *key, int is_sort,
                          const struct larder_item *item) {
    struct larder_value value;
    if (!key->name)
        return LARDER_OK;
    if (larder_item_get(item, key->name, &value) != LARDER_OK)
        return failure_set(&d->failure, FAILURE_VALIDATION, INVALID "Missing the key %s in the item", key->name);
    if (value.type != key->type)
        return failure_set(&d->failure, FAILURE_VALIDATION, INVALID "Type mismatch for key %s expected: %s actual: %s",
                           key->name, table_type_name(key->type), table_type_name(value.type));
    return table_check_key_size(d, key->name, &value, is_sort);
}

static int refuse_index_type(struct larder_dynamodb *d, const struct larder_index_def *index,
                             const struct larder_key_def *key, enum larder_type type) {
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       INVALID "Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", key->name,
                       table_type_name(key->type), table_type_name(type), index->name);
}

/* Key attribute `number` of an index. */
static int check_index_key(struct larder_dynamodb *d, const struct larder_index_def *index, uint32_t number,
                           const struct larder_item *item) {
    const struct larder_key_def *key = index_key_at(index, number);
    size_t most = number < index_partition_count(index) ? LARDER_PARTITION_KEY_BYTES_MAX : LARDER_SORT_KEY_BYTES_MAX;
    struct larder_value value;
    if (larder_item_get(item, key->name, &value) != LARDER_OK)
        return LARDER_OK;
    if (value.type != key->type)
        return refuse_index_type(d, index, key, value.type);
    if (value.bytes > most)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID "Size limit exceeded for Index Key %s Actual Size: %zu bytes Max Size: %zu bytes "
                                   "IndexName: %s",
                           key->name, value.bytes, most, index->name);
    if (value.type == LARDER_N || value.bytes)
        return LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       "One or more parameter values are not valid. A value specified for a secondary index key is not "
                       "supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: "
                       "%s, IndexKey: %s",
                       value.type == LARDER_S ? "string" : "binary", index->name, key->name);
}

int table_check_item(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_item *item) {
    int r = check_item_key(d, &def->partition, 0, item);
    if (r == LARDER_OK)
        r = check_item_key(d, &def->sort, 1, item);
    for (uint32_t i = 0; i < def->index_count; i++)
        for (uint32_t k = 0; k < index_key_count(&def->indexes[i]) && r == LARDER_OK; k++)
            r = check_index_key(d, &def->indexes[i], k, item);
    return r;
}

/* ---- Expressions ----------------------------------------------------------------------------- */

static int is_inside(const struct expr *e, uint32_t path, const char *name) {
    struct bytes first = expr_steps(e, path)[0].name;
    return e->paths[path].count > 1 && first.len == strlen(name) && memcmp(first.at, name, first.len) == 0;
}

/* No path leads into a key of an index. */
static int check_index_paths(struct larder_dynamodb *d, const struct larder_table_def *def, const struct expr *e) {
    for (uint32_t i = 0; i < def->index_count; i++) {
        const struct larder_index_def *index = &def->indexes[i];
        for (uint32_t path = 0; path < e->path_count; path++)
            for (uint32_t k = 0; k < index_key_count(index); k++)
                if (is_inside(e, path, index_key_at(index, k)->name))
                    return failure_set(&d->failure, FAILURE_VALIDATION,
                                       "Key attributes must be scalars; list random access '[]' and map lookup '.' are "
                                       "not allowed: IndexKey: %s",
                                       index_key_at(index, k)->name);
    }
    return LARDER_OK;
}

int table_check_expression(struct larder_dynamodb *d, const struct larder_table_def *def, const struct expr *e) {
    struct bytes keys[2] = {{(const uint8_t *)def->partition.name, strlen(def->partition.name)}};
    if (def->sort.name)
        keys[1] = (struct bytes){(const uint8_t *)def->sort.name, strlen(def->sort.name)};
    if (expr_check_keys(e, keys, table_key_count(def), 0) == LARDER_OK)
        return check_index_paths(d, def, e);
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", own_larder_error());
}

int table_check_filter(struct larder_dynamodb *d, const struct larder_table_def *def,
                       const struct larder_index_def *queried, const struct expr *e, int is_query) {
    const struct table_schema schema = table_schema(def, queried);
    struct bytes keys[2 * LARDER_KEY_ATTRIBUTES_MAX];
    for (uint32_t i = 0; i < schema.count; i++)
        keys[i] = (struct bytes){(const uint8_t *)schema.key[i]->name, strlen(schema.key[i]->name)};
    if (expr_check_keys(e, keys, schema.count, is_query) == LARDER_OK)
        return check_index_paths(d, def, e);
    static const char start[] = "Filter Expression";
    const char *said = own_larder_error();
    if (d->request.older.given && strncmp(said, start, sizeof start - 1) == 0)
        return failure_set(&d->failure, FAILURE_VALIDATION, "QueryFilter%s", said + sizeof start - 1);
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", said);
}

/* The value that an action sets, if the expression says it: else NULL. */
static const struct larder_value *literal_of(const struct larder_dynamodb *d, const struct expr *update,
                                             const struct expr_action *action) {
    const struct expr_operand *operand = &update->operands[action->operand];
    if (action->clause == EXPR_REMOVE || update->paths[action->path].count != 1)
        return NULL;
    return operand->op == EXPR_OF_VALUE ? &d->bound[operand->value] : NULL;
}

#define EMPTY_INDEX_KEY(type)                                                                                          \
    "One or more parameter values are not valid. The update expression attempted to update a secondary index key to "  \
    "a value that is not supported. The AttributeValue for a key attribute cannot contain an empty " type " value."

static const char *empty_index_key(const struct larder_key_def *key) {
    return key->type == LARDER_S ? EMPTY_INDEX_KEY("string") : EMPTY_INDEX_KEY("binary");
}

static int check_set_key(struct larder_dynamodb *d, const struct expr *update, const struct larder_index_def *index,
                         const struct larder_key_def *key) {
    for (uint32_t i = 0; i < update->action_count; i++) {
        const struct expr_action *action = &update->actions[i];
        const struct larder_value *value = literal_of(d, update, action);
        struct bytes name = expr_steps(update, action->path)[0].name;
        if (!value || name.len != strlen(key->name) || memcmp(name.at, key->name, name.len) != 0)
            continue;
        if (value->type != key->type)
            return refuse_index_type(d, index, key, value->type);
        if (!value->bytes && value->type != LARDER_N)
            return failure_set(&d->failure, FAILURE_VALIDATION, "%s", empty_index_key(key));
    }
    return LARDER_OK;
}

#define UPDATED_KEY "The update expression attempted to update the secondary index key "

/* Whether these are the engine's words for an empty value of the key. */
static int is_said_empty(const struct larder_key_def *key, const char *said) {
    char words[LARDER_NAME_BYTES_MAX + 32];
    snprintf(words, sizeof words, "\"%s\" has 0 bytes", key->name);
    return strstr(said, words) != NULL;
}

const char *table_words_of_update(const struct larder_table_def *def, const char *said) {
    if (strncmp(said, "key of index ", 13) != 0)
        return said;
    if (strstr(said, " is of type "))
        return UPDATED_KEY "to unsupported type";
    for (uint32_t i = 0; i < def->index_count; i++)
        for (uint32_t k = 0; k < index_key_count(&def->indexes[i]); k++) {
            const struct larder_key_def *key = index_key_at(&def->indexes[i], k);
            if (is_said_empty(key, said))
                return empty_index_key(key);
        }
    return UPDATED_KEY "beyond allowed size limits";
}

int table_check_update(struct larder_dynamodb *d, const struct larder_table_def *def, const struct expr *update) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < def->index_count; i++)
        for (uint32_t k = 0; k < index_key_count(&def->indexes[i]) && r == LARDER_OK; k++)
            r = check_set_key(d, update, &def->indexes[i], index_key_at(&def->indexes[i], k));
    return r;
}
