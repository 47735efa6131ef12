/* core/table/schema_check.c - which definitions of tables are allowed: DynamoDB's rules.
 *
 * Job      Refuses what CreateTable and UpdateTable refuse. Says which value was wrong and what is
 *          allowed.
 * Rules    It is lenient where DynamoDB is known to be: the TTL attribute may be a key, and a key
 *          may be among the projected names (it is projected anyway). DynamoDB's older limit of 20
 *          projected names per index gave way to 100 over all indexes of a table; the newer limit
 *          is kept here.
 * Tests    tests/unit/table/schema_test.c
 */
#include "core/table/schema.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/base/utf8.h"

#define CHECK_NAME_MIN 3u

/* All indexes of a table: those it has, and one that is to be added. */
struct check_set {
    const struct larder_table_def *table;
    const struct larder_index_def *index[LARDER_INDEXES_MAX + 1];
    uint32_t count;
};

/* The arguments of "%.*s" for a name in a message, cut and made harmless. */
#define CHECK_SHOWN(name) utf8_shown_bytes((name), strnlen((name), LARDER_NAME_BYTES_MAX + 1u)), (name)

/* ---- Names ----------------------------------------------------------------------------------- */

static int is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

int schema_check_name(const char *name, const char *what) {
    if (!name)
        return err_set(LARDER_E_INVAL, "the %s has no name; %u to %u characters of a-z A-Z 0-9 _ - . are needed", what,
                       CHECK_NAME_MIN, LARDER_NAME_BYTES_MAX);
    size_t bytes = strnlen(name, LARDER_NAME_BYTES_MAX + 1u);
    if (bytes < CHECK_NAME_MIN || bytes > LARDER_NAME_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "%s name \"%.*s\" has %s characters; %u to %u are allowed", what,
                       CHECK_SHOWN(name), bytes < CHECK_NAME_MIN ? "too few" : "too many", CHECK_NAME_MIN,
                       LARDER_NAME_BYTES_MAX);
    for (size_t i = 0; i < bytes; i++)
        if (!is_name_char(name[i]))
            return err_set(LARDER_E_INVAL,
                           "%s name \"%.*s\" has a character at byte %zu that is none of a-z A-Z 0-9 _ - .", what,
                           CHECK_SHOWN(name), i);
    return LARDER_OK;
}

/* Checks the name of an attribute; `of` names its table or index. */
static int check_attribute(const char *name, const char *what, const char *of) {
    size_t bytes = strnlen(name, LARDER_NAME_BYTES_MAX + 1u);
    if (bytes < 1 || bytes > LARDER_NAME_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "%s of \"%.*s\" has a name of %s; 1 to %u bytes are allowed", what,
                       CHECK_SHOWN(of), bytes < 1 ? "no bytes" : "too many bytes", LARDER_NAME_BYTES_MAX);
    size_t valid = utf8_valid_bytes(name, bytes);
    if (valid < bytes)
        return err_set(LARDER_E_INVAL, "%s of \"%.*s\" has a name that is not valid UTF-8 from byte %zu on", what,
                       CHECK_SHOWN(of), valid);
    return LARDER_OK;
}

int schema_check_ttl(const char *name) {
    return name ? check_attribute(name, "the TTL attribute", "the table") : LARDER_OK;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static int check_key(const struct larder_key_def *key, const char *what, const char *of) {
    int result = check_attribute(key->name, what, of);
    if (result == LARDER_OK && key->type != LARDER_S && key->type != LARDER_N && key->type != LARDER_B)
        result =
            err_set(LARDER_E_INVAL, "%s \"%.*s\" of \"%.*s\" has type %d; LARDER_S, LARDER_N or LARDER_B is needed",
                    what, CHECK_SHOWN(key->name), CHECK_SHOWN(of), (int)key->type);
    return result;
}

static int check_keys(const struct larder_key_def *partition, const struct larder_key_def *sort, const char *of) {
    if (!partition->name)
        return err_set(LARDER_E_INVAL, "\"%.*s\" has no partition key; one is needed", CHECK_SHOWN(of));
    int result = check_key(partition, "the partition key", of);
    if (result != LARDER_OK || !sort->name)
        return result;
    result = check_key(sort, "the sort key", of);
    if (result == LARDER_OK && strcmp(partition->name, sort->name) == 0)
        result = err_set(LARDER_E_INVAL,
                         "\"%.*s\" has \"%.*s\" as both partition key and sort key; two attributes are needed",
                         CHECK_SHOWN(of), CHECK_SHOWN(sort->name));
    return result;
}

/* One attribute cannot be declared with two types. */
static int check_same_type(const struct larder_key_def *a, const struct larder_key_def *b) {
    if (!a->name || !b->name || a->type == b->type || strcmp(a->name, b->name) != 0)
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "key attribute \"%.*s\" is declared with two types (%d and %d); one is allowed",
                   CHECK_SHOWN(a->name), (int)a->type, (int)b->type);
}

/* The key attributes of an index: partition key, sort key, the others; NULL behind the last. */
static const struct larder_key_def *index_key_at(const struct larder_index_def *def, uint32_t i) {
    if (i < 2)
        return i ? &def->sort : &def->partition;
    i -= 2;
    if (i < def->partition_more_count)
        return &def->partition_more[i];
    i -= def->partition_more_count;
    return i < def->sort_more_count ? &def->sort_more[i] : NULL;
}

static int check_types_of(const struct larder_key_def *key, const struct check_set *set) {
    const struct larder_key_def *other;
    int result = check_same_type(key, &set->table->partition);
    if (result == LARDER_OK)
        result = check_same_type(key, &set->table->sort);
    for (uint32_t i = 0; result == LARDER_OK && i < set->count; i++)
        for (uint32_t k = 0; result == LARDER_OK && (other = index_key_at(set->index[i], k)); k++)
            result = check_same_type(key, other);
    return result;
}

static int check_types_of_index(const struct larder_index_def *def, const struct check_set *set) {
    const struct larder_key_def *key;
    int result = LARDER_OK;
    for (uint32_t i = 0; result == LARDER_OK && (key = index_key_at(def, i)); i++)
        result = check_types_of(key, set);
    return result;
}

static int check_more_count(const struct larder_index_def *def, const struct larder_key_def *more, uint32_t count,
                            const char *what) {
    if (count > LARDER_KEY_ATTRIBUTES_MAX - 1)
        return err_set(LARDER_E_INVAL, "the %s of \"%.*s\" has %llu attributes; at most %d are allowed", what,
                       CHECK_SHOWN(def->name), count + 1ull, LARDER_KEY_ATTRIBUTES_MAX);
    if (count && !more)
        return err_set(LARDER_E_INVAL, "the %s of \"%.*s\" has %u more attributes, but the array is NULL", what,
                       CHECK_SHOWN(def->name), count);
    return LARDER_OK;
}

/* The attributes behind the first of each key of an index, whose first ones were checked. */
static int check_more_keys(const struct larder_index_def *def) {
    const struct larder_key_def *key, *other;
    if (!schema_is_joined(def))
        return LARDER_OK;
    int result = check_more_count(def, def->partition_more, def->partition_more_count, "partition key");
    if (result == LARDER_OK)
        result = check_more_count(def, def->sort_more, def->sort_more_count, "sort key");
    if (result != LARDER_OK)
        return result;
    if (def->is_local)
        return err_set(LARDER_E_INVAL, "local index \"%.*s\" has keys of several attributes; only global ones may",
                       CHECK_SHOWN(def->name));
    if (def->sort_more_count && !def->sort.name)
        return err_set(LARDER_E_INVAL, "\"%.*s\" has more sort key attributes, but no first one",
                       CHECK_SHOWN(def->name));
    for (uint32_t i = 2; (key = index_key_at(def, i)); i++) {
        if (!key->name)
            return err_set(LARDER_E_INVAL, "a further key attribute of \"%.*s\" has no name; one is needed",
                           CHECK_SHOWN(def->name));
        result = check_key(key, "a key attribute", def->name);
        for (uint32_t k = 0; result == LARDER_OK && k < i; k++)
            if ((other = index_key_at(def, k))->name && strcmp(other->name, key->name) == 0)
                result = err_set(LARDER_E_INVAL, "\"%.*s\" has key attribute \"%.*s\" twice; once is allowed",
                                 CHECK_SHOWN(def->name), CHECK_SHOWN(key->name));
        if (result != LARDER_OK)
            return result;
    }
    return LARDER_OK;
}

/* ---- Indexes --------------------------------------------------------------------------------- */

static int check_included_name(const struct larder_index_def *def, uint32_t i) {
    const char *name = def->included[i];
    if (!name)
        return err_set(LARDER_E_INVAL, "included attribute number %u of index \"%.*s\" is NULL; a name is needed",
                       i + 1, CHECK_SHOWN(def->name));
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(name, def->included[k]) == 0)
            return err_set(LARDER_E_INVAL, "index \"%.*s\" includes attribute \"%.*s\" twice; once is allowed",
                           CHECK_SHOWN(def->name), CHECK_SHOWN(name));
    return check_attribute(name, "an included attribute", def->name);
}

static int check_included(const struct larder_index_def *def) {
    if (def->projection != LARDER_PROJECT_INCLUDE) {
        if (def->included_count)
            return err_set(LARDER_E_INVAL,
                           "index \"%.*s\" names %u attributes to include; only LARDER_PROJECT_INCLUDE has any",
                           CHECK_SHOWN(def->name), def->included_count);
        return LARDER_OK;
    }
    if (!def->included || def->included_count < 1 || def->included_count > LARDER_PROJECTED_NAMES_MAX)
        return err_set(LARDER_E_INVAL, "index \"%.*s\" includes %u attributes; LARDER_PROJECT_INCLUDE needs 1 to %u",
                       CHECK_SHOWN(def->name), def->included ? def->included_count : 0, LARDER_PROJECTED_NAMES_MAX);
    for (uint32_t i = 0; i < def->included_count; i++) {
        int result = check_included_name(def, i);
        if (result != LARDER_OK)
            return result;
    }
    return LARDER_OK;
}

static int check_local(const struct larder_table_def *table, const struct larder_index_def *def) {
    if (!table->sort.name)
        return err_set(LARDER_E_INVAL,
                       "local index \"%.*s\": the table has no sort key, so it can have no local indexes",
                       CHECK_SHOWN(def->name));
    if (strcmp(def->partition.name, table->partition.name) != 0 || def->partition.type != table->partition.type)
        return err_set(LARDER_E_INVAL,
                       "local index \"%.*s\" has partition key \"%.*s\"; it must be the table's, \"%.*s\"",
                       CHECK_SHOWN(def->name), CHECK_SHOWN(def->partition.name), CHECK_SHOWN(table->partition.name));
    if (!def->sort.name)
        return err_set(LARDER_E_INVAL, "local index \"%.*s\" has no sort key; one is needed", CHECK_SHOWN(def->name));
    return LARDER_OK;
}

/* Checks an index by itself and against the table's own keys. */
static int check_index(const struct larder_table_def *table, const struct larder_index_def *def) {
    int result = schema_check_name(def->name, "index");
    if (result == LARDER_OK)
        result = check_keys(&def->partition, &def->sort, def->name);
    if (result == LARDER_OK)
        result = check_more_keys(def);
    if (result == LARDER_OK && def->is_local)
        result = check_local(table, def);
    if (result == LARDER_OK && (unsigned)def->projection > LARDER_PROJECT_INCLUDE)
        result = err_set(LARDER_E_INVAL,
                         "index \"%.*s\" has projection %d; LARDER_PROJECT_ALL, _KEYS_ONLY or _INCLUDE is needed",
                         CHECK_SHOWN(def->name), (int)def->projection);
    return result == LARDER_OK ? check_included(def) : result;
}

static int check_counts(const struct check_set *set) {
    uint32_t local = 0, included = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        local += set->index[i]->is_local ? 1 : 0;
        included += set->index[i]->included_count;
    }
    if (set->count - local > LARDER_GLOBAL_INDEXES_MAX)
        return err_set(LARDER_E_INVAL, "the definition has %u global indexes; at most %u are allowed",
                       set->count - local, LARDER_GLOBAL_INDEXES_MAX);
    if (local > LARDER_LOCAL_INDEXES_MAX)
        return err_set(LARDER_E_INVAL, "the definition has %u local indexes; at most %u are allowed", local,
                       LARDER_LOCAL_INDEXES_MAX);
    if (included > LARDER_PROJECTED_NAMES_MAX)
        return err_set(LARDER_E_INVAL,
                       "the definition has %u included attributes over all indexes; at most %u are allowed", included,
                       LARDER_PROJECTED_NAMES_MAX);
    return LARDER_OK;
}

/* Checks the last `fresh` indexes of the set, by themselves and against all others. */
static int check_set(const struct check_set *set, uint32_t fresh) {
    int result = check_types_of(&set->table->partition, set);
    if (result == LARDER_OK)
        result = check_types_of(&set->table->sort, set);
    for (uint32_t i = set->count - fresh; result == LARDER_OK && i < set->count; i++) {
        result = check_types_of_index(set->index[i], set);
        for (uint32_t k = 0; result == LARDER_OK && k < i; k++)
            if (strcmp(set->index[i]->name, set->index[k]->name) == 0)
                result = err_set(LARDER_E_INVAL, "two indexes have the name \"%.*s\"; names must differ",
                                 CHECK_SHOWN(set->index[i]->name));
    }
    return result == LARDER_OK ? check_counts(set) : result;
}

int schema_check_settings(const void *settings, uint64_t bytes) {
    if (bytes > LARDER_SETTINGS_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "the settings have %llu bytes; %u are allowed", (unsigned long long)bytes,
                       LARDER_SETTINGS_BYTES_MAX);
    if (bytes && !settings)
        return err_set(LARDER_E_INVAL, "settings_bytes is %llu, but `settings` is NULL", (unsigned long long)bytes);
    return LARDER_OK;
}

int schema_check_eviction(uint64_t eviction) {
    if (eviction == LARDER_EVICTION_NONE || eviction == LARDER_EVICTION_SIEVE)
        return LARDER_OK;
    return err_set(LARDER_E_INVAL,
                   "the eviction policy is %llu; LARDER_EVICTION_NONE or LARDER_EVICTION_SIEVE is needed",
                   (unsigned long long)eviction);
}

/* ---- Whole definitions ----------------------------------------------------------------------- */

int schema_check(const struct larder_table_def *def) {
    if (!def)
        return err_set(LARDER_E_INVAL, "the table definition is NULL; one is needed");
    if (RESERVED_CHECK(def, "struct larder_table_def"))
        return LARDER_E_INVAL;
    int result = schema_check_name(def->name, "table");
    if (result == LARDER_OK)
        result = check_keys(&def->partition, &def->sort, def->name);
    if (result == LARDER_OK)
        result = schema_check_ttl(def->ttl_attribute);
    if (result != LARDER_OK)
        return result;
    if (def->removal != LARDER_REMOVAL_DELETE && def->removal != LARDER_REMOVAL_RETAIN)
        return err_set(LARDER_E_INVAL,
                       "the removal policy is %d; LARDER_REMOVAL_DELETE or LARDER_REMOVAL_RETAIN is needed",
                       (int)def->removal);
    if (schema_check_eviction(def->eviction) != LARDER_OK ||
        schema_check_settings(def->settings, def->settings_bytes) != LARDER_OK)
        return LARDER_E_INVAL;
    if (def->index_count > LARDER_INDEXES_MAX)
        return err_set(LARDER_E_INVAL, "the definition has %u indexes; at most %u global and %u local ones are allowed",
                       def->index_count, LARDER_GLOBAL_INDEXES_MAX, LARDER_LOCAL_INDEXES_MAX);
    if (def->index_count && !def->indexes)
        return err_set(LARDER_E_INVAL, "index_count is %u, but `indexes` is NULL; an array of as many is needed",
                       def->index_count);
    struct check_set set = {.table = def, .count = def->index_count};
    for (uint32_t i = 0; i < def->index_count; i++) {
        set.index[i] = &def->indexes[i];
        if (RESERVED_CHECK(set.index[i], "struct larder_index_def"))
            return LARDER_E_INVAL;
        result = check_index(def, set.index[i]);
        if (result != LARDER_OK)
            return result;
    }
    return check_set(&set, set.count);
}

int schema_check_index(const struct table_view *v, const struct larder_index_def *def) {
    if (!def)
        return err_set(LARDER_E_INVAL, "the index definition is NULL; one is needed");
    if (RESERVED_CHECK(def, "struct larder_index_def"))
        return LARDER_E_INVAL;
    int result = schema_check_name(def->name, "index");
    if (result != LARDER_OK)
        return result;
    struct check_set set = {.table = &v->def};
    for (uint32_t i = 0; i < v->shape.index_count; i++) {
        const struct larder_index_def *present = v->index_def[i];
        if (!present || set.count == LARDER_INDEXES_MAX)
            continue;
        if (strcmp(present->name, def->name) == 0)
            return err_set(LARDER_E_EXISTS, "table \"%s\" already has an index \"%s\"", v->def.name, def->name);
        set.index[set.count++] = present;
    }
    if (def->is_local)
        return err_set(LARDER_E_INVAL, "local index \"%s\" cannot be added; create local indexes with their table",
                       def->name);
    if (v->shape.index_count >= SCHEMA_ORDINALS_MAX)
        return err_set(LARDER_E_INVAL,
                       "table \"%s\" has had %u indexes, failed additions included; no more are possible", v->def.name,
                       SCHEMA_ORDINALS_MAX);
    result = check_index(&v->def, def);
    if (result != LARDER_OK)
        return result;
    set.index[set.count++] = def;
    return check_set(&set, 1);
}
