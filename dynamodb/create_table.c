/* dynamodb/create_table.c - CreateTable: what is checked, and the engine's definition.
 *
 * Picture  constraints -> billing -> keys of the table, of local, of global indexes -> unused
 *          definitions -> the rest of the indexes -> what Larder does not have -> the engine's own
 *          rules
 * Sources  Order and words: dynalite's suite ("createTable"), run against the service; the order of
 *          global and local indexes: the dynamodb-conformance suite; that unused definitions are
 *          found before the rest of the indexes: the messages that ack-api-quirks recorded of the
 *          service (October 2026).
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dynamodb/constraint.h"
#include "dynamodb/describe.h"
#include "dynamodb/operations.h"
#include "dynamodb/settings.h"
#include "dynamodb/table_parts.h"
#include "dynamodb/tags.h"

#define INVALID "One or more parameter values were invalid: "

static int refuse(struct larder_dynamodb *d, const char *message) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", message);
}

static int is_given(struct text text, struct text wanted) {
    return text.at && text_is(text, wanted);
}

/* ---- Constraints ----------------------------------------------------------------------------- */

static void check_indexes(struct constraints *c, const struct table_request *q, int is_local) {
    uint32_t number = 0;
    for (uint32_t i = 0; i < q->index_count; i++)
        if (q->indexes[i].is_local == is_local)
            parts_check_index(c, &q->indexes[i], is_local ? "localSecondaryIndexes" : "globalSecondaryIndexes",
                              number++, "");
}

static int check_constraints(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    struct constraints c = {.count = 0};
    if (!q->has_attributes)
        constraint_add_null(&c, "attributeDefinitions");
    parts_check_table(&c, q);
    parts_check_keys(&c, &q->keys, "keySchema");
    check_indexes(&c, q, 0);
    check_indexes(&c, q, 1);
    describe_check_choices(&c, q);
    return constraint_report(&c, &d->failure);
}

/* ---- Billing --------------------------------------------------------------------------------- */

static int check_billing(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    const struct table_throughput *t = &q->throughput;
    if (is_given(q->billing, TEXT("PAY_PER_REQUEST")))
        return t->is_given ? refuse(d, INVALID "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
                                               "BillingMode is PAY_PER_REQUEST")
                           : LARDER_OK;
    if (!t->is_given)
        return refuse(d, INVALID "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is "
                                 "PROVISIONED");
    if (q->on_demand.is_given)
        return refuse(d, INVALID "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table "
                                 "BillingMode is PROVISIONED");
    return describe_check_units(d, t);
}

static int check_table_keys(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    int r = parts_check_twice(d);
    if (r || (r = parts_check_count(d, &q->keys, 0)))
        return r;
    if (q->keys.count > q->attribute_count)
        return refuse(d, "Invalid KeySchema: Some index key attribute have no definition");
    r = parts_check_defined(d, &q->keys);
    if (r || (r = parts_check_order(d, &q->keys, 0)))
        return r;
    if (!q->has_local && !q->has_global && q->keys.count != q->attribute_count)
        return refuse(d,
                      INVALID "Number of attributes in KeySchema does not exactly match number of attributes defined "
                              "in AttributeDefinitions");
    return LARDER_OK;
}

static int is_key(const struct table_keys *keys, struct text name) {
    for (uint32_t i = 0; i < keys->count; i++)
        if (text_is(keys->element[i].name, name))
            return 1;
    return 0;
}

static int check_all_used(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    char defined[600], used_names[500] = "";
    uint32_t unused = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < q->attribute_count; i++) {
        struct text name = q->attributes[i].name;
        int is_used = is_key(&q->keys, name);
        for (uint32_t k = 0; k < q->index_count; k++)
            is_used |= is_key(&q->indexes[k].keys, name);
        unused += !is_used;
        if (is_used && used + 1 < sizeof used_names)
            used += (size_t)snprintf(used_names + used, sizeof used_names - used, "%s%.*s", used ? ", " : "",
                                     (int)name.bytes, name.at);
    }
    if (!unused)
        return LARDER_OK;
    parts_list_names(q->attributes, q->attribute_count, defined, sizeof defined);
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       INVALID "Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
                       defined, used_names);
}

/* ---- Indexes --------------------------------------------------------------------------------- */

static int check_local(struct larder_dynamodb *d, const struct table_index *index) {
    struct text hash = index->keys.element[0].name, of_table = d->tables_request.keys.element[0].name;
    if (index->keys.count < 2)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID "Index KeySchema does not have a range key for index: %.*s", (int)index->name.bytes,
                           index->name.at);
    if (text_is(hash, of_table))
        return LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       INVALID "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                               "%.*s. index hash key: %.*s, table hash key: %.*s",
                       (int)index->name.bytes, index->name.at, (int)hash.bytes, hash.at, (int)of_table.bytes,
                       of_table.at);
}

static int check_index_keys(struct larder_dynamodb *d, const struct table_index *index) {
    int r = parts_check_count(d, &index->keys, !index->is_local);
    if (r || (r = parts_check_defined(d, &index->keys)) || (r = parts_check_order(d, &index->keys, !index->is_local)))
        return r;
    return index->is_local ? check_local(d, index) : LARDER_OK;
}

static int check_index_rest(struct larder_dynamodb *d, uint32_t number) {
    const struct table_request *q = &d->tables_request;
    const struct table_index *index = &q->indexes[number];
    int is_on_demand = is_given(q->billing, TEXT("PAY_PER_REQUEST")), r = parts_check_projection(d, index);
    if (r)
        return r;
    if (!is_on_demand && !index->is_local && !index->throughput.is_given)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID "ProvisionedThroughput is not specified for index: %.*s", (int)index->name.bytes,
                           index->name.at);
    if (is_on_demand && index->throughput.is_given)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           INVALID "ProvisionedThroughput should not be specified for index: %.*s when BillingMode is "
                                   "PAY_PER_REQUEST",
                           (int)index->name.bytes, index->name.at);
    for (uint32_t i = 0; i < q->index_count; i++)
        if (i != number &&
            (q->indexes[i].is_local > index->is_local || (q->indexes[i].is_local == index->is_local && i < number)) &&
            text_is(q->indexes[i].name, index->name))
            return failure_set(&d->failure, FAILURE_VALIDATION, INVALID "Duplicate index name: %.*s",
                               (int)index->name.bytes, index->name.at);
    return LARDER_OK;
}

/* What comes before the unused definitions: the lists, and keys. */
static int check_kind(struct larder_dynamodb *d, int is_local) {
    const struct table_request *q = &d->tables_request;
    uint32_t count = 0;
    int r = LARDER_OK;
    if (!(is_local ? q->has_local : q->has_global))
        return LARDER_OK;
    for (uint32_t i = 0; i < q->index_count; i++)
        count += q->indexes[i].is_local == is_local;
    if (!count)
        return failure_set(&d->failure, FAILURE_VALIDATION, INVALID "List of %sSecondaryIndexes is empty",
                           is_local ? "Local" : "Global");
    if (is_local && q->keys.count != 2)
        return refuse(d, INVALID "Table KeySchema does not have a range key, which is required when specifying a "
                                 "LocalSecondaryIndex");
    for (uint32_t i = 0; i < q->index_count && r == LARDER_OK; i++)
        if (q->indexes[i].is_local == is_local)
            r = check_index_keys(d, &q->indexes[i]);
    return r;
}

static int check_rest(struct larder_dynamodb *d, int is_local) {
    const struct table_request *q = &d->tables_request;
    uint32_t count = 0;
    int r = LARDER_OK;
    for (uint32_t i = 0; i < q->index_count && r == LARDER_OK; i++) {
        if (q->indexes[i].is_local != is_local)
            continue;
        r = check_index_rest(d, i);
        count++;
    }
    if (r || count <= (is_local ? LARDER_LOCAL_INDEXES_MAX : LARDER_GLOBAL_INDEXES_MAX))
        return r;
    return refuse(d, is_local ? INVALID "Number of LocalSecondaryIndexes exceeds per-table limit of 5"
                              : INVALID "GlobalSecondaryIndex count exceeds the per-table limit of 20");
}

/* Rather than to take it and not to do it. */
static int check_missing(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    if (q->has_vectors)
        return refuse(d, "Larder does not have vector indexes: VectorIndexes must be absent");
    return LARDER_OK;
}

static int check_settings(struct larder_dynamodb *d) {
    const struct table_stream *s = &d->tables_request.stream;
    if (s->is_given && s->is_enabled == 1 && !s->view.at)
        return refuse(d, INVALID "Table is being created with a stream enabled, UpdateViewType is required");
    if (s->is_given && s->is_enabled == 0 && s->view.at)
        return refuse(d, INVALID "Table is being created with a stream disabled, UpdateViewType should not be "
                                 "specified");
    int r = describe_check_encryption(d);
    return r ? r : tags_check(d);
}

static int check(struct larder_dynamodb *d) {
    int r = describe_check_name(d);
    if (r || (r = check_constraints(d)) || (r = check_billing(d)) || (r = check_table_keys(d)))
        return r;
    if ((r = check_kind(d, 1)) || (r = check_kind(d, 0)) || (r = check_all_used(d)) || (r = check_rest(d, 1)) ||
        (r = check_rest(d, 0)))
        return r;
    return (r = check_missing(d)) ? r : check_settings(d);
}

static int create(struct larder_dynamodb *d) {
    struct parts_made m;
    struct settings s;
    char id[SETTINGS_ID_BYTES];
    settings_create(&s, &d->tables_request, id);
    int r = settings_write(&s, &d->settings_writer);
    if (r)
        return settings_fail(&d->failure, r);
    r = parts_make(&m, &d->tables_request);
    m.def.settings = d->settings_writer.text;
    m.def.settings_bytes = d->settings_writer.bytes;
    if (r == LARDER_E_INVAL)
        r = refuse(d, "Larder does not have attribute names with a zero byte in keys and projections");
    else if (r)
        r = failure_set(&d->failure, FAILURE_INTERNAL, "out of memory");
    else if ((r = larder_table_create(d->db, &m.def)) == LARDER_E_EXISTS)
        r = failure_set(&d->failure, FAILURE_IN_USE, "Table already exists: %s", m.def.name);
    else if (r)
        r = context_fail(d, r);
    parts_free(&m);
    return r;
}

int operation_create_table(struct larder_dynamodb *d, struct document_writer *w) {
    int r = check(d);
    if (r || (r = create(d)))
        return r;
    return describe_named(d, "TableDescription", "ACTIVE", w);
}
