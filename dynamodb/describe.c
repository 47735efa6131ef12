/* dynamodb/describe.c - a table as the service describes it. See describe.h.
 *
 * Sources  API reference, TableDescription and what is in it. Messages: dynalite's suites.
 */
#include "dynamodb/describe.h"

#include <stdio.h>

#include "dynamodb/constraint.h"

#define ARN "arn:aws:dynamodb:larder:000000000000:table/"

/* ---- The table of a request ------------------------------------------------------------------ */

int describe_check_name(struct larder_dynamodb *d) {
    struct text name = d->tables_request.table_name;
    if (!name.at)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "The parameter 'TableName' is required but was not present in the request");
    name = constraint_table_name(name);
    if (name.bytes < 3 || name.bytes > LARDER_NAME_BYTES_MAX)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "TableName must be at least 3 characters long and at most 255 characters long");
    return LARDER_OK;
}

int describe_open(struct larder_dynamodb *d, struct larder_table **table, const struct larder_table_def **def) {
    struct constraints c = {.count = 0};
    char name[LARDER_NAME_BYTES_MAX + 1];
    int r = describe_check_name(d);
    if (r)
        return r;
    constraint_add_name(&c, d->tables_request.table_name, "tableName");
    if ((r = constraint_report(&c, &d->failure)))
        return r;
    struct text given = constraint_table_name(d->tables_request.table_name);
    memcpy(name, given.at, given.bytes);
    name[given.bytes] = 0;
    if ((r = larder_table_open(d->db, name, table)) == LARDER_OK)
        r = larder_table_describe(*table, def);
    if (r == LARDER_OK)
        return LARDER_OK;
    if (r == LARDER_E_NO_TABLE)
        failure_set(&d->failure, FAILURE_NOT_FOUND, "Requested resource not found: Table: %s not found", name);
    else
        context_fail(d, r);
    return LARDER_E_INVAL;
}

/* ---- Parts ----------------------------------------------------------------------------------- */

static struct text text_of(const char *text) {
    return (struct text){text, strlen(text)};
}

static void put_text(struct document_writer *w, const char *name, const char *value) {
    document_put_name(w, text_of(name));
    document_put_text(w, text_of(value));
}

static void put_count(struct document_writer *w, const char *name, uint64_t value) {
    document_put_name(w, text_of(name));
    document_put_integer(w, (int64_t)value);
}

static void begin(struct document_writer *w, const char *name, enum document_kind kind) {
    document_put_name(w, text_of(name));
    document_put_begin(w, kind);
}

static void put_attribute(struct document_writer *w, const char *name, const char *other, const char *value) {
    document_put_begin(w, DOCUMENT_OBJECT);
    put_text(w, "AttributeName", name);
    put_text(w, other, value);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_keys(struct document_writer *w, const struct larder_key_def *partition,
                     const struct larder_key_def *sort) {
    begin(w, "KeySchema", DOCUMENT_ARRAY);
    put_attribute(w, partition->name, "KeyType", "HASH");
    if (sort->name)
        put_attribute(w, sort->name, "KeyType", "RANGE");
    document_put_end(w, DOCUMENT_ARRAY);
}

static const struct larder_key_def *key_at(const struct larder_table_def *def, uint32_t i) {
    if (i < 2)
        return i ? &def->sort : &def->partition;
    const struct larder_index_def *index = &def->indexes[(i - 2) / 2];
    return i % 2 ? &index->sort : &index->partition;
}

static int is_known(const struct larder_table_def *def, uint32_t before) {
    const char *name = key_at(def, before)->name;
    for (uint32_t i = 0; i < before; i++)
        if (key_at(def, i)->name && strcmp(key_at(def, i)->name, name) == 0)
            return 1;
    return 0;
}

/* The key attributes of table and indexes, each once. */
static void put_definitions(struct document_writer *w, const struct larder_table_def *def) {
    begin(w, "AttributeDefinitions", DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < 2 + 2 * def->index_count; i++) {
        const struct larder_key_def *key = key_at(def, i);
        if (key->name && !is_known(def, i))
            put_attribute(w, key->name, "AttributeType",
                          key->type == LARDER_N   ? "N"
                          : key->type == LARDER_B ? "B"
                                                  : "S");
    }
    document_put_end(w, DOCUMENT_ARRAY);
}

static void put_throughput(struct document_writer *w) {
    begin(w, "ProvisionedThroughput", DOCUMENT_OBJECT);
    put_count(w, "NumberOfDecreasesToday", 0);
    put_count(w, "ReadCapacityUnits", 0);
    put_count(w, "WriteCapacityUnits", 0);
    document_put_end(w, DOCUMENT_OBJECT);
}

/* ---- Indexes --------------------------------------------------------------------------------- */

static void put_projection(struct document_writer *w, const struct larder_index_def *index) {
    static const char *const names[] = {
        [LARDER_PROJECT_ALL] = "ALL", [LARDER_PROJECT_KEYS_ONLY] = "KEYS_ONLY", [LARDER_PROJECT_INCLUDE] = "INCLUDE"};
    begin(w, "Projection", DOCUMENT_OBJECT);
    put_text(w, "ProjectionType", names[index->projection]);
    if (index->projection == LARDER_PROJECT_INCLUDE) {
        begin(w, "NonKeyAttributes", DOCUMENT_ARRAY);
        for (uint32_t i = 0; i < index->included_count; i++)
            document_put_text(w, text_of(index->included[i]));
        document_put_end(w, DOCUMENT_ARRAY);
    }
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_index(struct document_writer *w, const struct larder_table_def *def,
                      const struct larder_index_def *index) {
    char arn[sizeof ARN + 2 * LARDER_NAME_BYTES_MAX + 16];
    document_put_begin(w, DOCUMENT_OBJECT);
    put_text(w, "IndexName", index->name);
    put_keys(w, &index->partition, &index->sort);
    put_projection(w, index);
    if (!index->is_local) {
        put_text(w, "IndexStatus", "ACTIVE");
        put_throughput(w);
    }
    snprintf(arn, sizeof arn, ARN "%s/index/%s", def->name, index->name);
    put_text(w, "IndexArn", arn);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_indexes(struct document_writer *w, const struct larder_table_def *def, int is_local) {
    int is_begun = 0;
    for (uint32_t i = 0; i < def->index_count; i++) {
        if (!def->indexes[i].is_local != !is_local)
            continue;
        if (!is_begun)
            begin(w, is_local ? "LocalSecondaryIndexes" : "GlobalSecondaryIndexes", DOCUMENT_ARRAY);
        is_begun = 1;
        put_index(w, def, &def->indexes[i]);
    }
    if (is_begun)
        document_put_end(w, DOCUMENT_ARRAY);
}

/* ---- The table ------------------------------------------------------------------------------- */

static void put_table(struct document_writer *w, const struct larder_table_def *def,
                      const struct larder_table_stats *stats, const char *status) {
    char arn[sizeof ARN + LARDER_NAME_BYTES_MAX];
    document_put_begin(w, DOCUMENT_OBJECT);
    put_definitions(w, def);
    put_text(w, "TableName", def->name);
    put_keys(w, &def->partition, &def->sort);
    put_text(w, "TableStatus", status);
    put_throughput(w);
    put_count(w, "TableSizeBytes", stats->item_bytes);
    put_count(w, "ItemCount", stats->item_count);
    snprintf(arn, sizeof arn, ARN "%s", def->name);
    put_text(w, "TableArn", arn);
    begin(w, "BillingModeSummary", DOCUMENT_OBJECT);
    put_text(w, "BillingMode", "PAY_PER_REQUEST");
    document_put_end(w, DOCUMENT_OBJECT);
    put_indexes(w, def, 1);
    put_indexes(w, def, 0);
    document_put_name(w, TEXT("DeletionProtectionEnabled"));
    document_put_boolean(w, 0);
    document_put_end(w, DOCUMENT_OBJECT);
}

int describe_named(struct larder_dynamodb *d, const char *member, const char *status, struct document_writer *w) {
    const struct larder_table_def *def;
    struct larder_table_stats stats;
    struct larder_table *table;
    int r = describe_open(d, &table, &def);
    if (r)
        return r;
    if ((r = larder_table_stats(table, &stats)))
        return context_fail(d, r);
    document_put_name(w, text_of(member));
    put_table(w, def, &stats, status);
    return LARDER_OK;
}
