/* dynamodb/table_request.c - a request of an operation on tables, read. See table_request.h.
 *
 * Sources  API reference: the request parameters of each operation. Words for wrong types:
 *          dynalite's suites.
 */
#include "dynamodb/table_request.h"

#include <stdlib.h>

#define EACH_MEMBER(w, name, r) while (((r) = wire_result(w, document_member((w)->reader, &(name)))) == LARDER_OK)
#define EACH_ELEMENT(w, r) while (((r) = wire_result(w, document_element((w)->reader))) == LARDER_OK)

/* ---- Parts ----------------------------------------------------------------------------------- */

/* One element of AttributeDefinitions or KeySchema. null: both are absent. */
static int read_attribute(struct wire *w, const char *of, struct text type_name, struct table_attribute *out) {
    struct text name;
    *out = (struct table_attribute){{NULL, 0}, {NULL, 0}};
    int r = wire_structure(w, of);
    if (r)
        return r < 0 ? r : LARDER_OK;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("AttributeName")))
            r = wire_string(w, &out->name);
        else
            r = text_is(name, type_name) ? wire_string(w, &out->type) : wire_skip(w);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : LARDER_OK;
}

static int read_attributes(struct table_request *q, struct wire *w) {
    int r = wire_list(w);
    q->has_attributes = r == LARDER_OK;
    q->attribute_count = 0;
    if (r)
        return r;
    EACH_ELEMENT(w, r) {
        r = wire_grow(w, &q->attributes, q->attribute_count, &q->attribute_capacity, sizeof *q->attributes);
        if (r ||
            (r = read_attribute(w, "AttributeDefinition", TEXT("AttributeType"), &q->attributes[q->attribute_count])))
            return r;
        q->attribute_count++;
    }
    return r;
}

static int read_keys(struct table_keys *keys, struct wire *w) {
    struct table_attribute more;
    int r = wire_list(w);
    *keys = (struct table_keys){.is_given = r == LARDER_OK};
    if (r)
        return r;
    EACH_ELEMENT(w, r) {
        uint32_t i = keys->count++;
        if ((r = read_attribute(w, "KeySchemaElement", TEXT("KeyType"),
                                i < TABLE_KEYS_KEPT ? &keys->element[i] : &more)))
            return r;
    }
    return r;
}

static int read_throughput(struct table_throughput *t, struct wire *w) {
    struct text name;
    int r = wire_field(w, "ProvisionedThroughput");
    *t = (struct table_throughput){.is_given = r == LARDER_OK};
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("ReadCapacityUnits")))
            t->has_read = (r = wire_long(w, &t->read)) == LARDER_OK;
        else if (text_is(name, TEXT("WriteCapacityUnits")))
            t->has_write = (r = wire_long(w, &t->write)) == LARDER_OK;
        else
            r = wire_skip(w);
        if (r < 0)
            return r;
    }
    return r;
}

/* ---- Indexes --------------------------------------------------------------------------------- */

static int read_included(struct table_request *q, struct table_index *index, struct wire *w) {
    int r = wire_list(w);
    index->has_included = r == LARDER_OK;
    index->included = q->included_count;
    if (r)
        return r;
    EACH_ELEMENT(w, r) {
        r = wire_grow(w, &q->included, q->included_count, &q->included_capacity, sizeof *q->included);
        if (r || (r = wire_string(w, &q->included[q->included_count])) < 0)
            return r;
        q->included_count += r == LARDER_OK;
    }
    index->included_count = q->included_count - index->included;
    return r;
}

static int read_projection(struct table_request *q, struct table_index *index, struct wire *w) {
    struct text name;
    int r = wire_field(w, "Projection");
    index->has_projection = r == LARDER_OK;
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("ProjectionType")))
            r = wire_string(w, &index->projection);
        else
            r = text_is(name, TEXT("NonKeyAttributes")) ? read_included(q, index, w) : wire_skip(w);
        if (r < 0)
            return r;
    }
    return r;
}

static int read_index_member(struct table_request *q, struct table_index *index, struct text name, struct wire *w) {
    if (text_is(name, TEXT("IndexName")))
        return wire_string(w, &index->name);
    if (text_is(name, TEXT("KeySchema")))
        return read_keys(&index->keys, w);
    if (text_is(name, TEXT("Projection")))
        return read_projection(q, index, w);
    if (!index->is_local && text_is(name, TEXT("ProvisionedThroughput")))
        return read_throughput(&index->throughput, w);
    return wire_skip(w);
}

static int read_index(struct table_request *q, int is_local, struct wire *w) {
    struct table_index index = {.is_local = is_local};
    struct text name;
    int r = wire_grow(w, &q->indexes, q->index_count, &q->index_capacity, sizeof *q->indexes);
    if (r || (r = wire_structure(w, is_local ? "LocalSecondaryIndex" : "GlobalSecondaryIndex")) < 0)
        return r;
    if (r == LARDER_OK)
        EACH_MEMBER(w, name, r)
    if ((r = read_index_member(q, &index, name, w)) < 0)
        return r;
    if (r < 0)
        return r;
    q->indexes[q->index_count++] = index;
    return LARDER_OK;
}

/* A list that is given twice counts once (rule D3 of document.h). */
static void forget_indexes(struct table_request *q, int is_local) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < q->index_count; i++)
        if (q->indexes[i].is_local != is_local)
            q->indexes[kept++] = q->indexes[i];
    q->index_count = kept;
}

static int read_indexes(struct table_request *q, int is_local, struct wire *w) {
    int r = wire_list(w);
    *(is_local ? &q->has_local : &q->has_global) = r == LARDER_OK;
    forget_indexes(q, is_local);
    if (r)
        return r;
    EACH_ELEMENT(w, r)
    if ((r = read_index(q, is_local, w)) < 0)
        return r;
    return r;
}

/* ---- The request ----------------------------------------------------------------------------- */

static int read_stream(struct table_request *q, struct wire *w) {
    struct text name;
    int enabled = 0, r = wire_field(w, "StreamSpecification");
    while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        r = text_is(name, TEXT("StreamEnabled")) ? wire_boolean(w, &enabled) : wire_skip(w);
        r = r < 0 ? r : LARDER_OK;
    }
    q->has_stream = enabled;
    return r;
}

static int read_ttl(struct table_request *q, struct wire *w) {
    struct text name;
    int r = wire_field(w, "TimeToLiveSpecification");
    q->has_ttl = r == LARDER_OK;
    q->ttl_enabled = -1;
    q->ttl_attribute.at = NULL;
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("AttributeName")))
            r = wire_string(w, &q->ttl_attribute);
        else
            r = text_is(name, TEXT("Enabled")) ? wire_boolean(w, &q->ttl_enabled) : wire_skip(w);
        if (r < 0)
            return r;
    }
    return r;
}

static int read_vectors(struct table_request *q, struct wire *w) {
    q->has_vectors = document_kind(w->reader) != DOCUMENT_NULL;
    return wire_skip(w);
}

static int read_created(struct table_request *q, struct text name, struct wire *w) {
    if (text_is(name, TEXT("AttributeDefinitions")))
        return read_attributes(q, w);
    if (text_is(name, TEXT("KeySchema")))
        return read_keys(&q->keys, w);
    if (text_is(name, TEXT("LocalSecondaryIndexes")))
        return read_indexes(q, 1, w);
    if (text_is(name, TEXT("GlobalSecondaryIndexes")))
        return read_indexes(q, 0, w);
    if (text_is(name, TEXT("BillingMode")))
        return wire_string(w, &q->billing);
    if (text_is(name, TEXT("ProvisionedThroughput")))
        return read_throughput(&q->throughput, w);
    if (text_is(name, TEXT("StreamSpecification")))
        return read_stream(q, w);
    if (text_is(name, TEXT("TableClass")))
        return wire_string(w, &q->table_class);
    if (text_is(name, TEXT("DeletionProtectionEnabled")))
        return wire_boolean(w, &q->is_protected);
    return text_is(name, TEXT("VectorIndexes")) ? read_vectors(q, w) : wire_skip(w);
}

static int read_parameter(struct table_request *q, enum table_operation operation, struct text name, struct wire *w) {
    if (operation != TABLE_LIST && text_is(name, TEXT("TableName")))
        return wire_string(w, &q->table_name);
    if (operation == TABLE_LIST && text_is(name, TEXT("ExclusiveStartTableName")))
        return wire_string(w, &q->start_name);
    if (operation == TABLE_LIST && text_is(name, TEXT("Limit"))) {
        int r = wire_integer(w, &q->limit);
        q->has_limit = r == LARDER_OK;
        return r;
    }
    if (operation == TABLE_SET_TTL && text_is(name, TEXT("TimeToLiveSpecification")))
        return read_ttl(q, w);
    return operation == TABLE_CREATE ? read_created(q, name, w) : wire_skip(w);
}

static void forget(struct table_request *q) {
    *q = (struct table_request){.attributes = q->attributes,
                                .attribute_capacity = q->attribute_capacity,
                                .indexes = q->indexes,
                                .index_capacity = q->index_capacity,
                                .included = q->included,
                                .included_capacity = q->included_capacity};
}

int table_request_read(struct table_request *q, enum table_operation operation, struct wire *w) {
    struct text name;
    forget(q);
    if (document_kind(w->reader) != DOCUMENT_OBJECT)
        return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", "");
    int r = wire_result(w, document_begin(w->reader));
    while (r >= 0 && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        r = read_parameter(q, operation, name, w);
    return r < 0 ? r : LARDER_OK;
}

void table_request_free(struct table_request *q) {
    free(q->attributes);
    free(q->indexes);
    free(q->included);
}
