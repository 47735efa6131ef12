/* dynamodb/create_table.c - CreateTable: what is checked, and the engine's definition.
 *
 * Picture  constraints -> billing -> keys of the table -> local indexes, global indexes -> what
 *          Larder does not have -> the engine's own rules
 * Sources  Order and words: dynalite's suite ("createTable"), run against the service. "Some
 *          AttributeDefinitions are not used": API reference, CreateTable, and the service's
 *          words as users report them.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dynamodb/constraint.h"
#include "dynamodb/describe.h"
#include "dynamodb/operations.h"

#define INVALID "One or more parameter values were invalid: "
#define UNITS_MAX INT64_C(1000000000000)

static int refuse(struct larder_dynamodb *d, const char *message) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", message);
}

static int is_given(struct text text, struct text wanted) {
    return text.at && text_is(text, wanted);
}

/* ---- Constraints ----------------------------------------------------------------------------- */

struct path {
    char text[160];
};

static const char *path(struct path *p, const char *list, uint32_t number, const char *rest) {
    snprintf(p->text, sizeof p->text, "%s.%u.member.%s", list, number + 1, rest);
    return p->text;
}

static void check_text(struct constraints *c, struct text text, const char *name, const char *alternatives) {
    if (!text.at)
        constraint_add_null(c, name);
    else if (alternatives)
        constraint_add_choice(c, text, name, alternatives);
}

static void check_keys(struct constraints *c, const struct table_keys *keys, const char *name) {
    struct path p;
    if (!keys->is_given)
        constraint_add_null(c, name);
    else if (!keys->count)
        constraint_add(c, TEXT("[]"), name, "have length greater than or equal to 1");
    for (uint32_t i = 0; i < keys->count && i < TABLE_KEYS_KEPT; i++) {
        check_text(c, keys->element[i].name, path(&p, name, i, "attributeName"), NULL);
        check_text(c, keys->element[i].type, path(&p, name, i, "keyType"), "HASH, RANGE");
    }
}

static void check_throughput(struct constraints *c, const struct table_throughput *t, const char *name) {
    struct path p;
    if (!t->is_given)
        return;
    snprintf(p.text, sizeof p.text, "%s.writeCapacityUnits", name);
    if (t->has_write)
        constraint_add_range(c, t->write, p.text, 1, INT64_MAX);
    else
        constraint_add_null(c, p.text);
    snprintf(p.text, sizeof p.text, "%s.readCapacityUnits", name);
    if (t->has_read)
        constraint_add_range(c, t->read, p.text, 1, INT64_MAX);
    else
        constraint_add_null(c, p.text);
}

static void check_index(struct constraints *c, const struct table_index *index, uint32_t number) {
    const char *list = index->is_local ? "localSecondaryIndexes" : "globalSecondaryIndexes";
    struct path p;
    path(&p, list, number, "indexName");
    if (index->name.at)
        constraint_add_name(c, index->name, p.text);
    else
        constraint_add_null(c, p.text);
    check_keys(c, &index->keys, path(&p, list, number, "keySchema"));
    if (!index->has_projection)
        constraint_add_null(c, path(&p, list, number, "projection"));
    if (index->projection.at)
        constraint_add_choice(c, index->projection, path(&p, list, number, "projection.projectionType"),
                              "ALL, INCLUDE, KEYS_ONLY");
    if (index->has_included && !index->included_count)
        constraint_add(c, TEXT("[]"), path(&p, list, number, "projection.nonKeyAttributes"),
                       "have length greater than or equal to 1");
    check_throughput(c, &index->throughput, path(&p, list, number, "provisionedThroughput"));
}

static void check_indexes(struct constraints *c, const struct table_request *q, int is_local) {
    uint32_t number = 0;
    for (uint32_t i = 0; i < q->index_count; i++)
        if (q->indexes[i].is_local == is_local)
            check_index(c, &q->indexes[i], number++);
}

static int check_constraints(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    struct constraints c = {.count = 0};
    struct path p;
    if (!q->has_attributes)
        constraint_add_null(&c, "attributeDefinitions");
    for (uint32_t i = 0; i < q->attribute_count; i++) {
        check_text(&c, q->attributes[i].name, path(&p, "attributeDefinitions", i, "attributeName"), NULL);
        check_text(&c, q->attributes[i].type, path(&p, "attributeDefinitions", i, "attributeType"), "B, N, S");
    }
    constraint_add_name(&c, q->table_name, "tableName");
    if (q->billing.at)
        constraint_add_choice(&c, q->billing, "billingMode", "PROVISIONED, PAY_PER_REQUEST");
    check_throughput(&c, &q->throughput, "provisionedThroughput");
    check_keys(&c, &q->keys, "keySchema");
    check_indexes(&c, q, 1);
    check_indexes(&c, q, 0);
    if (q->table_class.at)
        constraint_add_choice(&c, q->table_class, "tableClass", "STANDARD, STANDARD_INFREQUENT_ACCESS");
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
    if (t->read > UNITS_MAX || t->write > UNITS_MAX)
        return failure_set(&d->failure, FAILURE_VALIDATION, "Given value %lld for %sCapacityUnits is out of bounds",
                           (long long)(t->read > UNITS_MAX ? t->read : t->write),
                           t->read > UNITS_MAX ? "Read" : "Write");
    return LARDER_OK;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static const struct table_attribute *definition(const struct table_request *q, struct text name) {
    for (uint32_t i = 0; i < q->attribute_count; i++)
        if (text_is(q->attributes[i].name, name))
            return &q->attributes[i];
    return NULL;
}

static size_t list_names(const struct table_attribute *attributes, uint32_t count, char *to, size_t room) {
    size_t used = 0;
    *to = 0;
    for (uint32_t i = 0; i < count && used + 1 < room; i++)
        used += (size_t)snprintf(to + used, room - used, "%s%.*s", i ? ", " : "", (int)attributes[i].name.bytes,
                                 attributes[i].name.at);
    return used;
}

static int check_defined(struct larder_dynamodb *d, const struct table_keys *keys) {
    const struct table_request *q = &d->tables_request;
    char names[400], defined[600];
    uint32_t missing = 0;
    for (uint32_t i = 0; i < keys->count; i++)
        missing += !definition(q, keys->element[i].name);
    if (!missing)
        return LARDER_OK;
    list_names(keys->element, keys->count, names, sizeof names);
    list_names(q->attributes, q->attribute_count, defined, sizeof defined);
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       INVALID "Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], "
                               "AttributeDefinitions: [%s]",
                       names, defined);
}

/* HASH, then at most one RANGE of another name. */
static int check_order(struct larder_dynamodb *d, const struct table_keys *keys) {
    if (keys->count > 1 && text_is(keys->element[0].name, keys->element[1].name))
        return refuse(d, "Both the Hash Key and the Range Key element in the KeySchema have the same name");
    if (!is_given(keys->element[0].type, TEXT("HASH")))
        return refuse(d, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    if (keys->count > 1 && !is_given(keys->element[1].type, TEXT("RANGE")))
        return refuse(d, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type");
    return LARDER_OK;
}

static int check_table_keys(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    if (q->keys.count > 2)
        return refuse(d, "1 validation error detected: Value at 'keySchema' " CONSTRAINT
                         "have length less than or equal to 2");
    if (q->keys.count > q->attribute_count)
        return refuse(d, "Invalid KeySchema: Some index key attribute have no definition");
    int r = check_defined(d, &q->keys);
    if (r || (r = check_order(d, &q->keys)))
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
    list_names(q->attributes, q->attribute_count, defined, sizeof defined);
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

static int check_projection(struct larder_dynamodb *d, const struct table_index *index) {
    int is_include = is_given(index->projection, TEXT("INCLUDE"));
    if (!index->projection.at)
        return refuse(d, INVALID "Unknown ProjectionType: null");
    if (index->has_included == is_include)
        return LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION, INVALID "ProjectionType is %.*s, but NonKeyAttributes is %s",
                       (int)index->projection.bytes, index->projection.at, is_include ? "not specified" : "specified");
}

static int check_one_index(struct larder_dynamodb *d, uint32_t number) {
    const struct table_request *q = &d->tables_request;
    const struct table_index *index = &q->indexes[number];
    if (index->keys.count > 2)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "Larder does not have keys of several attributes yet: the KeySchema of index %.*s has %u "
                           "elements; 2 are allowed",
                           (int)index->name.bytes, index->name.at, index->keys.count);
    int r = check_defined(d, &index->keys);
    if (r || (r = check_order(d, &index->keys)) || (index->is_local && (r = check_local(d, index))) ||
        (r = check_projection(d, index)))
        return r;
    if (is_given(q->billing, TEXT("PAY_PER_REQUEST")) && index->throughput.is_given)
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
            r = check_one_index(d, i);
    if (r || count <= (is_local ? LARDER_LOCAL_INDEXES_MAX : LARDER_GLOBAL_INDEXES_MAX))
        return r;
    return refuse(d, is_local ? INVALID "Number of LocalSecondaryIndexes exceeds per-table limit of 5"
                              : INVALID "GlobalSecondaryIndex count exceeds the per-table limit of 20");
}

/* Rather than to take it and not to do it. */
static int check_missing(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    if (q->is_protected)
        return refuse(d, "Larder does not have DeletionProtectionEnabled yet: true is not allowed, false is");
    if (q->has_stream)
        return refuse(d, "Larder does not have streams: StreamSpecification must be absent, or StreamEnabled false");
    if (q->has_vectors)
        return refuse(d, "Larder does not have vector indexes: VectorIndexes must be absent");
    return LARDER_OK;
}

static int check(struct larder_dynamodb *d) {
    int r = describe_check_name(d);
    if (r || (r = check_constraints(d)) || (r = check_billing(d)) || (r = check_table_keys(d)))
        return r;
    if ((r = check_kind(d, 1)) || (r = check_kind(d, 0)) || (r = check_all_used(d)))
        return r;
    return check_missing(d);
}

/* ---- The definition -------------------------------------------------------------------------- */

/* Everything that the engine's definition points to. */
struct made {
    struct larder_table_def def;
    struct larder_index_def indexes[LARDER_INDEXES_MAX];
    const char **included;
    char *texts, *at;
    int has_nul;
};

/* 0-terminated, in made->texts. */
static const char *keep(struct made *m, struct text text) {
    char *kept = m->at;
    if (!text.at)
        return NULL;
    if (text.bytes)
        memcpy(kept, text.at, text.bytes);
    kept[text.bytes] = 0;
    m->has_nul |= memchr(text.at, 0, text.bytes) != NULL;
    m->at += text.bytes + 1;
    return kept;
}

static size_t bytes_of_keys(const struct table_keys *keys) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < keys->count; i++)
        bytes += keys->element[i].name.bytes + 1;
    return bytes;
}

static size_t bytes_of_texts(const struct table_request *q) {
    size_t bytes = q->table_name.bytes + 1 + bytes_of_keys(&q->keys);
    for (uint32_t i = 0; i < q->index_count; i++)
        bytes += q->indexes[i].name.bytes + 1 + bytes_of_keys(&q->indexes[i].keys);
    for (uint32_t i = 0; i < q->included_count; i++)
        bytes += q->included[i].bytes + 1;
    return bytes;
}

static struct larder_key_def key_of(struct made *m, const struct table_request *q, const struct table_keys *keys,
                                    uint32_t number) {
    struct larder_key_def key = {.name = NULL};
    if (number >= keys->count)
        return key;
    key.name = keep(m, keys->element[number].name);
    switch (definition(q, keys->element[number].name)->type.at[0]) {
    case 'N':
        key.type = LARDER_N;
        break;
    case 'B':
        key.type = LARDER_B;
        break;
    default:
        key.type = LARDER_S;
    }
    return key;
}

static void make_index(struct made *m, const struct table_request *q, const struct table_index *from,
                       struct larder_index_def *index) {
    *index = (struct larder_index_def){.name = keep(m, from->name),
                                       .is_local = from->is_local,
                                       .partition = key_of(m, q, &from->keys, 0),
                                       .sort = key_of(m, q, &from->keys, 1),
                                       .projection = LARDER_PROJECT_ALL};
    if (text_is(from->projection, TEXT("KEYS_ONLY")))
        index->projection = LARDER_PROJECT_KEYS_ONLY;
    if (!text_is(from->projection, TEXT("INCLUDE")))
        return;
    index->projection = LARDER_PROJECT_INCLUDE;
    index->included = m->included + from->included;
    index->included_count = from->included_count;
}

static int make(struct made *m, const struct table_request *q) {
    memset(m, 0, sizeof *m);
    m->texts = malloc(bytes_of_texts(q));
    m->included = malloc((q->included_count + 1) * sizeof *m->included);
    if (!m->texts || !m->included)
        return LARDER_E_NO_MEMORY;
    m->at = m->texts;
    for (uint32_t i = 0; i < q->included_count; i++)
        m->included[i] = keep(m, q->included[i]);
    for (uint32_t i = 0; i < q->index_count; i++)
        make_index(m, q, &q->indexes[i], &m->indexes[i]);
    m->def = (struct larder_table_def){.name = keep(m, constraint_table_name(q->table_name)),
                                       .partition = key_of(m, q, &q->keys, 0),
                                       .sort = key_of(m, q, &q->keys, 1),
                                       .indexes = m->indexes,
                                       .index_count = q->index_count};
    return m->has_nul ? LARDER_E_INVAL : LARDER_OK;
}

static int create(struct larder_dynamodb *d) {
    struct made m;
    int r = make(&m, &d->tables_request);
    if (r == LARDER_E_INVAL)
        r = refuse(d, "Larder does not have attribute names with a zero byte in keys and projections");
    else if (r)
        r = failure_set(&d->failure, FAILURE_INTERNAL, "out of memory");
    else if ((r = larder_table_create(d->db, &m.def)) == LARDER_E_EXISTS)
        r = failure_set(&d->failure, FAILURE_IN_USE, "Table already exists: %s", m.def.name);
    else if (r)
        r = context_fail(d, r);
    free(m.texts);
    free(m.included);
    return r;
}

int operation_create_table(struct larder_dynamodb *d, struct document_writer *w) {
    int r = check(d);
    if (r || (r = create(d)))
        return r;
    return describe_named(d, "TableDescription", "ACTIVE", w);
}
