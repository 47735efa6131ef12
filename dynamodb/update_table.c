/* dynamodb/update_table.c - UpdateTable: indexes come and go, settings change.
 *
 * Picture  constraints -> what may be changed together -> the table -> the change against what the
 *          table has -> the index -> the settings
 * Order    An index first: it may not fit. Then the settings, by comparison with those that the
 *          check saw: if another process changed them meanwhile, all is checked again.
 * Sources  API reference, UpdateTable. Order and words: dynalite's suite (updateTable), run against
 *          the service; what may not be changed together: the service's words as its users and
 *          controllers report them (2026).
 * Tests    tests/dynamodb/dynamodb_update_table_test.c
 */
#include <stdio.h>

#include "dynamodb/describe.h"
#include "dynamodb/index_item.h"
#include "dynamodb/operations.h"
#include "dynamodb/settings.h"
#include "dynamodb/table_parts.h"

#define INVALID "One or more parameter values were invalid: "
#define ONLY(what) INVALID what " must be the only operation in the request"
#define NEITHER INVALID "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "

static int refuse(struct larder_dynamodb *d, const char *message) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", message);
}

static int refuse_index(struct larder_dynamodb *d, const char *message, struct text index) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s%.*s", message, (int)index.bytes, index.at);
}

static int is_given(struct text text, struct text wanted) {
    return text.at && text_is(text, wanted);
}

/* ---- Constraints ----------------------------------------------------------------------------- */

static void check_change_name(struct constraints *c, const struct table_index *index, uint32_t i) {
    struct parts_path p;
    parts_path(&p, "globalSecondaryIndexUpdates", i,
               index->change == TABLE_INDEX_UPDATE ? "update.indexName" : "delete.indexName");
    if (index->name.at)
        constraint_add_name(c, index->name, p.text);
    else
        constraint_add_null(c, p.text);
}

static void check_index_changes(struct constraints *c, const struct table_request *q) {
    struct parts_path p;
    for (uint32_t i = 0; i < q->index_count; i++) {
        const struct table_index *index = &q->indexes[i];
        if (index->change_count && index->change == TABLE_INDEX_CREATE)
            parts_check_index(c, index, "globalSecondaryIndexUpdates", i, "create.");
        else if (index->change_count)
            check_change_name(c, index, i);
        if (index->change_count && index->change == TABLE_INDEX_UPDATE)
            parts_check_throughput(c, &index->throughput,
                                   parts_path(&p, "globalSecondaryIndexUpdates", i, "update.provisionedThroughput"));
    }
}

static int check_constraints(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    struct constraints c = {.count = 0};
    parts_check_table(&c, q);
    check_index_changes(&c, q);
    describe_check_choices(&c, q);
    return constraint_report(&c, &d->failure);
}

/* ---- What may be changed together ------------------------------------------------------------ */

/* In the order of enum parts_of. */
enum part {
    PART_THROUGHPUT = 1,
    PART_BILLING = 2,
    PART_STREAM = 4,
    PART_INDEXES = 8,
    PART_ENCRYPTION = 16,
    PART_PROTECTION = 32,
    PART_ON_DEMAND = 64,
    PART_WARM = 128,
    PART_CLASS = 256
};

static unsigned parts_of(const struct table_request *q) {
    return (q->throughput.is_given ? PART_THROUGHPUT : 0u) | (q->billing.at ? PART_BILLING : 0u) |
           (q->stream.is_given ? PART_STREAM : 0u) | (q->has_global && q->index_count ? PART_INDEXES : 0u) |
           (q->encryption.is_given ? PART_ENCRYPTION : 0u) | (q->is_protected >= 0 ? PART_PROTECTION : 0u) |
           (q->on_demand.is_given ? PART_ON_DEMAND : 0u) | (q->warm.is_given ? PART_WARM : 0u) |
           (q->table_class.at ? PART_CLASS : 0u);
}

static int check_parts(struct larder_dynamodb *d) {
    static const struct {
        unsigned part;
        const char *message;
    } alone[] = {{PART_ENCRYPTION, ONLY("Server-Side Encryption modification")},
                 {PART_CLASS, ONLY("TableClass modification")},
                 {PART_PROTECTION, ONLY("DeletionProtection modification")},
                 {PART_WARM, ONLY("WarmThroughput")}};
    const struct table_request *q = &d->tables_request;
    unsigned parts = parts_of(q);
    if (q->has_replicas)
        return refuse(d, "Larder does not have replicas: ReplicaUpdates must be absent");
    if (q->has_vectors)
        return refuse(d, "Larder does not have vector indexes: VectorIndexUpdates must be absent");
    if (!parts)
        return refuse(d,
                      "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "
                      "GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, "
                      "ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, "
                      "WarmThroughput or TableClass is required");
    if (q->has_global && !q->index_count)
        return refuse(d, INVALID "List of GlobalSecondaryIndexUpdates is empty");
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        if (parts & alone[i].part && parts != alone[i].part)
            return refuse(d, alone[i].message);
    if (parts & PART_ON_DEMAND && parts & ~(unsigned)(PART_ON_DEMAND | PART_BILLING))
        return refuse(d, INVALID "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request");
    if (parts & PART_STREAM && parts & PART_THROUGHPUT)
        return refuse(d, INVALID "You cannot modify stream status while updating table IOPS");
    return LARDER_OK;
}

static int check_billing(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    if (is_given(q->billing, TEXT("PROVISIONED")) && !q->throughput.is_given)
        return refuse(d, INVALID "ProvisionedThroughput must be specified when BillingMode is PROVISIONED");
    if (is_given(q->billing, TEXT("PAY_PER_REQUEST")) && q->throughput.is_given)
        return refuse(d, NEITHER "when BillingMode is PAY_PER_REQUEST");
    return describe_check_units(d, &q->throughput);
}

static int check_changes(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    uint32_t comings = 0;
    for (uint32_t i = 0; i < q->index_count; i++) {
        const struct table_index *index = &q->indexes[i];
        if (!index->change_count)
            return refuse(d, INVALID "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                                     "GlobalSecondaryIndexUpdate.Delete must not be null");
        if (index->change_count > 1)
            return refuse(d, INVALID "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate "
                                     "object");
        for (uint32_t k = 0; k < i; k++)
            if (text_is(q->indexes[k].name, index->name))
                return refuse_index(
                    d, INVALID "Only one global secondary index update per index is allowed simultaneously. Index: ",
                    index->name);
        comings += index->change != TABLE_INDEX_UPDATE;
    }
    if (comings > 1)
        return failure_set(
            &d->failure, FAILURE_LIMIT,
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per "
            "table");
    if (comings && q->throughput.is_given && !q->billing.at)
        return refuse(d, INVALID "You cannot create or delete index while updating table IOPS");
    return comings && q->stream.is_given
               ? refuse(d, INVALID "You cannot create or delete index while changing stream status")
               : LARDER_OK;
}

static int check_stream(struct larder_dynamodb *d) {
    const struct table_stream *s = &d->tables_request.stream;
    if (!s->is_given)
        return LARDER_OK;
    if (s->is_enabled == 1 && !s->view.at)
        return refuse(d, INVALID "If stream is being enabled then UpdateViewType is required");
    return s->is_enabled == 0 && s->view.at
               ? refuse(d, INVALID "If stream is being disabled, then UpdateViewType must not be specified")
               : LARDER_OK;
}

static int check(struct larder_dynamodb *d) {
    int r = describe_check_name(d);
    if (r || (r = check_constraints(d)) || (r = check_parts(d)) || (r = check_billing(d)) || (r = check_changes(d)))
        return r;
    return (r = check_stream(d)) ? r : describe_check_encryption(d);
}

/* ---- Against the table ----------------------------------------------------------------------- */

static const struct larder_index_def *find_index(const struct larder_table_def *def, struct text name) {
    for (uint32_t i = 0; i < def->index_count; i++)
        if (text_is((struct text){def->indexes[i].name, strlen(def->indexes[i].name)}, name))
            return &def->indexes[i];
    return NULL;
}

static int check_there(struct larder_dynamodb *d, const struct larder_table_def *def, const struct table_index *index) {
    const struct larder_index_def *found = find_index(def, index->name);
    if (index->change == TABLE_INDEX_CREATE)
        return found ? refuse(d, "Attempting to create an index which already exists") : LARDER_OK;
    if (!found)
        return failure_set(&d->failure, FAILURE_NOT_FOUND, "Requested resource not found: Index %.*s for table %s",
                           (int)index->name.bytes, index->name.at, def->name);
    if (!found->is_local)
        return LARDER_OK;
    return refuse_index(d,
                        index->change == TABLE_INDEX_DELETE
                            ? "Cannot delete an index that is not a GlobalSecondaryIndex: "
                            : "Cannot update an index that is not a GlobalSecondaryIndex: ",
                        index->name);
}

static int is_same_throughput(const struct table_throughput *a, const struct table_throughput *b) {
    return a->is_given && b->is_given && a->read == b->read && a->write == b->write;
}

static int refuse_same(struct larder_dynamodb *d, const char *what, struct text name,
                       const struct table_throughput *t) {
    return failure_set(
        &d->failure, FAILURE_VALIDATION,
        "The provisioned throughput for the %s%s%.*s will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for the %s: %lld. Requested ReadCapacityUnits: %lld. Current "
        "WriteCapacityUnits provisioned for the %s: %lld. Requested WriteCapacityUnits: %lld. Refer to the Amazon "
        "DynamoDB Developer Guide for current limits and how to request higher limits.",
        what, name.bytes ? " " : "", (int)name.bytes, name.bytes ? name.at : "", what, (long long)t->read,
        (long long)t->read, what, (long long)t->write, (long long)t->write);
}

/* What an index may have by the billing mode that the table will have. */
static int check_index_units(struct larder_dynamodb *d, const struct settings *s, const struct table_index *index,
                             int is_provisioned) {
    const struct settings_index *kept = settings_find_index(s, index->name);
    if (index->change == TABLE_INDEX_DELETE)
        return LARDER_OK;
    if (!is_provisioned && index->throughput.is_given && index->change == TABLE_INDEX_UPDATE)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID
                           "The only Updates for index: %.*s when TableThroughputMode is PAY_PER_REQUEST can be "
                           "to OnDemandThroughput, WarmThroughput",
                           (int)index->name.bytes, index->name.at);
    if (!is_provisioned && index->throughput.is_given)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           NEITHER "for index: %.*s when BillingMode is PAY_PER_REQUEST", (int)index->name.bytes,
                           index->name.at);
    if (is_provisioned && !index->throughput.is_given && !index->warm.is_given)
        return refuse_index(d, INVALID "ProvisionedThroughput must be specified for index: ", index->name);
    int r = describe_check_units(d, &index->throughput);
    if (r || !kept || !is_same_throughput(&kept->throughput, &index->throughput))
        return r;
    return refuse_same(d, "index", index->name, &index->throughput);
}

/* A table that becomes provisioned: each of its indexes needs throughput in the same request. */
static int check_all_units(struct larder_dynamodb *d, const struct larder_table_def *def) {
    const struct table_request *q = &d->tables_request;
    for (uint32_t i = 0; i < def->index_count; i++) {
        struct text name = {def->indexes[i].name, strlen(def->indexes[i].name)};
        int is_given = def->indexes[i].is_local;
        for (uint32_t k = 0; k < q->index_count; k++)
            is_given |= text_is(q->indexes[k].name, name);
        if (!is_given)
            return refuse_index(d, INVALID "ProvisionedThroughput must be specified for index: ", name);
    }
    return LARDER_OK;
}

static int check_settings(struct larder_dynamodb *d, const struct larder_table_def *def, const struct settings *s) {
    const struct table_request *q = &d->tables_request;
    int was = settings_are_provisioned(s);
    int will = q->billing.at ? is_given(q->billing, TEXT("PROVISIONED")) : was, r;
    if (q->throughput.is_given && !will)
        return refuse(d, NEITHER "when BillingMode is PAY_PER_REQUEST");
    if (was && is_same_throughput(&q->throughput, &s->throughput))
        return refuse_same(d, "table", TEXT(""), &q->throughput);
    if (q->on_demand.is_given && will)
        return refuse(d, INVALID "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table "
                                 "BillingMode is PROVISIONED");
    if (will && !was && (r = check_all_units(d, def)))
        return r;
    for (uint32_t i = 0; i < q->index_count; i++)
        if ((r = check_index_units(d, s, &q->indexes[i], will)))
            return r;
    if (q->stream.is_enabled == 1 && s->stream_view.at)
        return failure_set(&d->failure, FAILURE_VALIDATION, "Table already has an enabled stream: TableName: %s",
                           def->name);
    if (q->stream.is_given && q->stream.is_enabled != 1 && !s->stream_view.at)
        return failure_set(&d->failure, FAILURE_VALIDATION, "Table has no stream to disable: TableName: %s", def->name);
    if (q->encryption.is_given && q->encryption.is_enabled != 1 && !s->key_arn.at)
        return refuse(d, INVALID "Table is already encrypted by default");
    return LARDER_OK;
}

/* ---- Indexes --------------------------------------------------------------------------------- */

static int define(struct table_request *q, struct wire *w, const struct larder_key_def *key) {
    static const struct text types[] = {[LARDER_S] = {"S", 1}, [LARDER_N] = {"N", 1}, [LARDER_B] = {"B", 1}};
    if (!key->name)
        return LARDER_OK;
    struct text name = {key->name, strlen(key->name)};
    for (uint32_t i = 0; i < q->attribute_count; i++)
        if (text_is(q->attributes[i].name, name))
            return LARDER_OK;
    int r = wire_grow(w, &q->attributes, q->attribute_count, &q->attribute_capacity, sizeof *q->attributes);
    if (r == LARDER_OK)
        q->attributes[q->attribute_count++] = (struct table_attribute){name, types[key->type]};
    return r;
}

/* What the request does not define is as the table has it. */
static int define_known(struct larder_dynamodb *d, const struct larder_table_def *def) {
    struct wire wire = {.reader = &d->reader.reader, .failure = &d->failure};
    struct table_request *q = &d->tables_request;
    int r = define(q, &wire, &def->partition);
    if (r == LARDER_OK)
        r = define(q, &wire, &def->sort);
    for (uint32_t i = 0; i < def->index_count; i++)
        for (uint32_t k = 0; k < index_key_count(&def->indexes[i]) && r == LARDER_OK; k++)
            r = define(q, &wire, index_key_at(&def->indexes[i], k));
    return r;
}

static int check_created(struct larder_dynamodb *d, const struct larder_table_def *def,
                         const struct table_index *index) {
    uint32_t global = 0;
    for (uint32_t i = 0; i < def->index_count; i++)
        global += !def->indexes[i].is_local;
    int r = parts_check_count(d, &index->keys, 1);
    if (r)
        return r;
    if (!d->tables_request.has_attributes)
        return refuse_index(d, INVALID "AttributeDefinitions is not specified for index: ", index->name);
    if ((r = parts_check_twice(d)))
        return r;
    r = define_known(d, def);
    if (r || (r = parts_check_defined(d, &index->keys)) || (r = parts_check_order(d, &index->keys, 1)) ||
        (r = parts_check_projection(d, index)))
        return r;
    if (global >= LARDER_GLOBAL_INDEXES_MAX)
        return failure_set(&d->failure, FAILURE_LIMIT,
                           "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of "
                           "20");
    return LARDER_OK;
}

/* The index that comes or goes; NULL: none does. */
static const struct table_index *moving_index(const struct table_request *q) {
    for (uint32_t i = 0; i < q->index_count; i++)
        if (q->indexes[i].change != TABLE_INDEX_UPDATE)
            return &q->indexes[i];
    return NULL;
}

static int check_indexes(struct larder_dynamodb *d, const struct larder_table_def *def) {
    const struct table_request *q = &d->tables_request;
    for (uint32_t i = 0; i < q->index_count; i++) {
        int r = check_there(d, def, &q->indexes[i]);
        if (r)
            return r;
    }
    const struct table_index *moving = moving_index(q);
    return moving && moving->change == TABLE_INDEX_CREATE ? check_created(d, def, moving) : LARDER_OK;
}

static int create_index(struct larder_dynamodb *d, struct larder_table *table, const struct table_index *index) {
    struct parts_made m;
    int r = parts_make(&m, &d->tables_request);
    if (r == LARDER_E_INVAL)
        r = refuse(d, "Larder does not have attribute names with a zero byte in keys and projections");
    else if (r)
        r = failure_set(&d->failure, FAILURE_INTERNAL, "out of memory");
    else if ((r = larder_index_add(table, &m.indexes[index - d->tables_request.indexes])))
        r = r == LARDER_E_EXISTS ? refuse(d, "Attempting to create an index which already exists") : context_fail(d, r);
    parts_free(&m);
    return r;
}

static int drop_index(struct larder_dynamodb *d, struct larder_table *table, const char *table_name,
                      const struct table_index *index) {
    char name[LARDER_NAME_BYTES_MAX + 1];
    memcpy(name, index->name.at, index->name.bytes);
    name[index->name.bytes] = 0;
    int r = larder_index_drop(table, name);
    if (r == LARDER_E_NO_INDEX)
        return failure_set(&d->failure, FAILURE_NOT_FOUND, "Requested resource not found: Index %s for table %s", name,
                           table_name);
    return r ? context_fail(d, r) : LARDER_OK;
}

/* ---- The operation --------------------------------------------------------------------------- */

static int change_settings(struct larder_dynamodb *d, struct settings *s, const void *def) {
    int r = check_settings(d, def, s);
    if (r == LARDER_OK)
        settings_update(s, &d->tables_request);
    return r;
}

static int change(struct larder_dynamodb *d) {
    const struct table_index *moving = moving_index(&d->tables_request);
    const struct larder_table_def *def;
    struct larder_table *table;
    struct settings s;
    int r = describe_open(d, &table, &def);
    if (r || (r = check_indexes(d, def)))
        return r;
    settings_read(&s, def, &d->settings_reader);
    if ((r = check_settings(d, def, &s)))
        return r;
    if (moving)
        r = moving->change == TABLE_INDEX_CREATE ? create_index(d, table, moving)
                                                 : drop_index(d, table, def->name, moving);
    return r ? r : describe_change(d, table, change_settings, def);
}

int operation_update_table(struct larder_dynamodb *d, struct document_writer *w) {
    int r = check(d);
    if (r || (r = change(d)))
        return r;
    return describe_named(d, "TableDescription", "ACTIVE", w);
}
