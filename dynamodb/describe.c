/* dynamodb/describe.c - a table as the service describes it. See describe.h.
 *
 * Sources  API reference, TableDescription and what is in it. Messages: dynalite's suites.
 */
#include "dynamodb/describe.h"

#include <stdio.h>
#include <time.h>

#include "dynamodb/constraint.h"
#include "dynamodb/index_item.h"
#include "dynamodb/settings.h"
#include "dynamodb/table.h"

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
    const struct known_table *known;
    int r = describe_check_name(d);
    if (r)
        return r;
    constraint_add_name(&c, d->tables_request.table_name, "tableName");
    if ((r = constraint_report(&c, &d->failure)))
        return r;
    struct text given = constraint_table_name(d->tables_request.table_name);
    if ((r = table_find(d, given, &known)) == LARDER_OK) {
        *table = known->handle;
        *def = known->def;
        return LARDER_OK;
    }
    if (r != LARDER_E_NO_TABLE)
        context_fail(d, r);
    else
        failure_set(&d->failure, FAILURE_NOT_FOUND, "Requested resource not found: Table: %.*s not found",
                    (int)given.bytes, given.at);
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

static void put_index_keys(struct document_writer *w, const struct larder_index_def *index) {
    begin(w, "KeySchema", DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < index_key_count(index); i++)
        put_attribute(w, index_key_at(index, i)->name, "KeyType", i < index_partition_count(index) ? "HASH" : "RANGE");
    document_put_end(w, DOCUMENT_ARRAY);
}

/* The key attributes of the table, then of each index; NULL behind the last. */
static const struct larder_key_def *key_at(const struct larder_table_def *def, uint32_t i) {
    uint32_t of_table = def->sort.name ? 2 : 1;
    if (i < of_table)
        return i ? &def->sort : &def->partition;
    i -= of_table;
    for (uint32_t k = 0; k < def->index_count; i -= index_key_count(&def->indexes[k++]))
        if (i < index_key_count(&def->indexes[k]))
            return index_key_at(&def->indexes[k], i);
    return NULL;
}

/* The key attribute with the least name behind this one. NULL: there is none. */
static const struct larder_key_def *key_after(const struct larder_table_def *def, const char *name) {
    const struct larder_key_def *key, *least = NULL;
    for (uint32_t i = 0; (key = key_at(def, i)); i++)
        if (strcmp(key->name, name) > 0 && (!least || strcmp(key->name, least->name) < 0))
            least = key;
    return least;
}

/* The key attributes of table and indexes, each once, by name. */
static void put_definitions(struct document_writer *w, const struct larder_table_def *def) {
    begin(w, "AttributeDefinitions", DOCUMENT_ARRAY);
    for (const struct larder_key_def *key = key_after(def, ""); key; key = key_after(def, key->name))
        put_attribute(w, key->name, "AttributeType", key->type == LARDER_N ? "N" : key->type == LARDER_B ? "B" : "S");
    document_put_end(w, DOCUMENT_ARRAY);
}

/* On demand it is 0. */
static void put_throughput(struct document_writer *w, const struct table_throughput *t) {
    begin(w, "ProvisionedThroughput", DOCUMENT_OBJECT);
    put_count(w, "NumberOfDecreasesToday", 0);
    put_count(w, "ReadCapacityUnits", t && t->is_given ? (uint64_t)t->read : 0);
    put_count(w, "WriteCapacityUnits", t && t->is_given ? (uint64_t)t->write : 0);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_units(struct document_writer *w, const char *name, const char *read, const char *write,
                      const struct table_throughput *t, const char *status) {
    if (!t->has_read && !t->has_write)
        return;
    begin(w, name, DOCUMENT_OBJECT);
    if (t->has_read)
        put_count(w, read, (uint64_t)t->read);
    if (t->has_write)
        put_count(w, write, (uint64_t)t->write);
    if (status)
        put_text(w, "Status", status);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_other_throughput(struct document_writer *w, const struct table_throughput *on_demand,
                                 const struct table_throughput *warm) {
    put_units(w, "OnDemandThroughput", "MaxReadRequestUnits", "MaxWriteRequestUnits", on_demand, NULL);
    put_units(w, "WarmThroughput", "ReadUnitsPerSecond", "WriteUnitsPerSecond", warm, "ACTIVE");
}

/* ---- Indexes --------------------------------------------------------------------------------- */

static const char *included_after(const struct larder_index_def *index, const char *name) {
    const char *least = NULL;
    for (uint32_t i = 0; i < index->included_count; i++)
        if (strcmp(index->included[i], name) > 0 && (!least || strcmp(index->included[i], least) < 0))
            least = index->included[i];
    return least;
}

static void put_projection(struct document_writer *w, const struct larder_index_def *index) {
    static const char *const names[] = {
        [LARDER_PROJECT_ALL] = "ALL", [LARDER_PROJECT_KEYS_ONLY] = "KEYS_ONLY", [LARDER_PROJECT_INCLUDE] = "INCLUDE"};
    begin(w, "Projection", DOCUMENT_OBJECT);
    put_text(w, "ProjectionType", names[index->projection]);
    if (index->projection == LARDER_PROJECT_INCLUDE) {
        begin(w, "NonKeyAttributes", DOCUMENT_ARRAY);
        for (const char *name = included_after(index, ""); name; name = included_after(index, name))
            document_put_text(w, text_of(name));
        document_put_end(w, DOCUMENT_ARRAY);
    }
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_index(struct document_writer *w, const struct larder_table_def *def, const struct settings *s,
                      const struct larder_index_def *index) {
    const struct settings_index *kept = settings_find_index(s, text_of(index->name));
    char arn[sizeof ARN + 2 * LARDER_NAME_BYTES_MAX + 16];
    document_put_begin(w, DOCUMENT_OBJECT);
    put_text(w, "IndexName", index->name);
    put_index_keys(w, index);
    put_projection(w, index);
    if (!index->is_local) {
        put_text(w, "IndexStatus", "ACTIVE");
        put_throughput(w, kept ? &kept->throughput : NULL);
    }
    if (kept)
        put_other_throughput(w, &kept->on_demand, &kept->warm);
    snprintf(arn, sizeof arn, ARN "%s/index/%s", def->name, index->name);
    put_text(w, "IndexArn", arn);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_indexes(struct document_writer *w, const struct larder_table_def *def, const struct settings *s,
                        int is_local) {
    int is_begun = 0;
    for (uint32_t i = 0; i < def->index_count; i++) {
        if (!def->indexes[i].is_local != !is_local)
            continue;
        if (!is_begun)
            begin(w, is_local ? "LocalSecondaryIndexes" : "GlobalSecondaryIndexes", DOCUMENT_ARRAY);
        is_begun = 1;
        put_index(w, def, s, &def->indexes[i]);
    }
    if (is_begun)
        document_put_end(w, DOCUMENT_ARRAY);
}

/* ---- The table ------------------------------------------------------------------------------- */

static void put_billing(struct document_writer *w, const struct settings *s) {
    if (settings_are_provisioned(s) && !s->on_demand_s)
        return; /* a table that was never on demand has none */
    begin(w, "BillingModeSummary", DOCUMENT_OBJECT);
    put_text(w, "BillingMode", settings_are_provisioned(s) ? "PROVISIONED" : "PAY_PER_REQUEST");
    if (s->on_demand_s)
        put_count(w, "LastUpdateToPayPerRequestDateTime", (uint64_t)s->on_demand_s);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_view(struct document_writer *w, struct text view) {
    begin(w, "StreamSpecification", DOCUMENT_OBJECT);
    document_put_name(w, TEXT("StreamEnabled"));
    document_put_boolean(w, 1);
    document_put_name(w, TEXT("StreamViewType"));
    document_put_text(w, view);
    document_put_end(w, DOCUMENT_OBJECT);
}

/* A stream's name stays after its end. */
static void put_stream(struct document_writer *w, const struct larder_table_def *def, const struct settings *s) {
    char label[32], arn[sizeof ARN + LARDER_NAME_BYTES_MAX + sizeof label + 16];
    time_t since = (time_t)s->stream_s;
    struct tm at;
    if (s->stream_view.at)
        put_view(w, s->stream_view);
    if (!s->stream_s || !gmtime_r(&since, &at) || !strftime(label, sizeof label, "%Y-%m-%dT%H:%M:%S.000", &at))
        return;
    snprintf(arn, sizeof arn, ARN "%s/stream/%s", def->name, label);
    put_text(w, "LatestStreamLabel", label);
    put_text(w, "LatestStreamArn", arn);
}

static void put_encryption(struct document_writer *w, const struct settings *s) {
    if (!s->key_arn.at)
        return;
    begin(w, "SSEDescription", DOCUMENT_OBJECT);
    put_text(w, "Status", "ENABLED");
    put_text(w, "SSEType", "KMS");
    document_put_name(w, TEXT("KMSMasterKeyArn"));
    document_put_text(w, s->key_arn);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_class(struct document_writer *w, const struct settings *s) {
    if (!s->table_class.at)
        return;
    begin(w, "TableClassSummary", DOCUMENT_OBJECT);
    document_put_name(w, TEXT("TableClass"));
    document_put_text(w, s->table_class);
    if (s->class_s)
        put_count(w, "LastUpdateDateTime", (uint64_t)s->class_s);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_birth(struct document_writer *w, const struct settings *s) {
    if (s->created_s)
        put_count(w, "CreationDateTime", (uint64_t)s->created_s);
    if (!s->id.at)
        return;
    document_put_name(w, TEXT("TableId"));
    document_put_text(w, s->id);
}

static void put_table(struct document_writer *w, const struct larder_table_def *def, const struct settings *s,
                      const struct larder_table_stats *stats, const char *status) {
    char arn[sizeof ARN + LARDER_NAME_BYTES_MAX];
    document_put_begin(w, DOCUMENT_OBJECT);
    put_definitions(w, def);
    put_text(w, "TableName", def->name);
    put_keys(w, &def->partition, &def->sort);
    put_text(w, "TableStatus", status);
    put_birth(w, s);
    put_throughput(w, &s->throughput);
    put_count(w, "TableSizeBytes", stats->item_bytes);
    put_count(w, "ItemCount", stats->item_count);
    snprintf(arn, sizeof arn, ARN "%s", def->name);
    put_text(w, "TableArn", arn);
    put_billing(w, s);
    put_other_throughput(w, &s->on_demand, &s->warm);
    put_indexes(w, def, s, 1);
    put_indexes(w, def, s, 0);
    put_stream(w, def, s);
    put_encryption(w, s);
    put_class(w, s);
    document_put_name(w, TEXT("DeletionProtectionEnabled"));
    document_put_boolean(w, s->is_protected);
    document_put_end(w, DOCUMENT_OBJECT);
}

int describe_named(struct larder_dynamodb *d, const char *member, const char *status, struct document_writer *w) {
    const struct larder_table_def *def;
    struct larder_table_stats stats;
    struct larder_table *table;
    struct settings s;
    int r = describe_open(d, &table, &def);
    if (r)
        return r;
    if ((r = larder_table_stats(table, &stats)))
        return context_fail(d, r);
    document_put_name(w, text_of(member));
    settings_read(&s, def, &d->settings_reader);
    put_table(w, def, &s, &stats, status);
    return LARDER_OK;
}

/* ---- Settings -------------------------------------------------------------------------------- */

#define CHANGES_MAX 1000 /* that others may make in between */

/* LARDER_OK; LARDER_CHANGED: the table's settings are no longer those of `def`; LARDER_E_INVAL with
 * the failure set. */
static int try_change(struct larder_dynamodb *d, struct larder_table *table, const struct larder_table_def *def,
                      describe_changer *change, const void *arg) {
    struct settings s;
    char id[SETTINGS_ID_BYTES];
    int r;
    settings_read(&s, def, &d->settings_reader);
    if (!s.id.at) /* a table that was made without settings */
        settings_begin(&s, id);
    if ((r = change(d, &s, arg)))
        return r;
    if ((r = settings_write(&s, &d->settings_writer)))
        return settings_fail(&d->failure, r);
    r = larder_settings_set(table, def, d->settings_writer.text, d->settings_writer.bytes);
    return r < 0 ? context_fail(d, r) : r;
}

int describe_change(struct larder_dynamodb *d, struct larder_table *table, describe_changer *change, const void *arg) {
    const struct larder_table_def *def;
    int r;
    for (int i = 0; i < CHANGES_MAX; i++) {
        if ((r = larder_table_describe(table, &def)))
            return context_fail(d, r);
        r = try_change(d, table, def, change, arg);
        larder_table_def_free(def);
        if (r != LARDER_CHANGED)
            return r;
    }
    return failure_set(&d->failure, FAILURE_THROTTLED, "others change the table's settings faster");
}

void describe_check_choices(struct constraints *c, const struct table_request *q) {
    if (q->stream.is_given && q->stream.is_enabled < 0)
        constraint_add_null(c, "streamSpecification.streamEnabled");
    if (q->stream.view.at)
        constraint_add_choice(c, q->stream.view, "streamSpecification.streamViewType",
                              "NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY");
    if (q->encryption.type.at)
        constraint_add_choice(c, q->encryption.type, "sSESpecification.sSEType", "AES256, KMS");
    if (q->table_class.at)
        constraint_add_choice(c, q->table_class, "tableClass", "STANDARD, STANDARD_INFREQUENT_ACCESS");
}

int describe_check_units(struct larder_dynamodb *d, const struct table_throughput *t) {
    int is_read = t->read > TABLE_UNITS_MAX;
    if (!t->is_given || (!is_read && t->write <= TABLE_UNITS_MAX))
        return LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION, "Given value %lld for %sCapacityUnits is out of bounds",
                       (long long)(is_read ? t->read : t->write), is_read ? "Read" : "Write");
}

int describe_check_encryption(struct larder_dynamodb *d) {
    const struct table_encryption *e = &d->tables_request.encryption;
    const char *said = NULL;
    if (e->is_enabled == 0 && e->type.at)
        said = "SSEType can not be specified if Enabled is false";
    else if (e->is_enabled == 0 && e->key.at)
        said = "KMSMasterKeyId can not be specified if Enabled is false";
    else if (e->type.at && text_is(e->type, TEXT("AES256")))
        said = "SSEType AES256 is not supported";
    else if (e->key.at && !e->type.at)
        said = "SSEType KMS is required if KMSMasterKeyId is specified";
    if (!e->is_given || !said)
        return LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION, "One or more parameter values were invalid: %s", said);
}
