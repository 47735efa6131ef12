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

static int read_units(struct table_throughput *t, const char *model, struct text read, struct text write,
                      struct wire *w) {
    struct text name;
    int r = wire_field(w, model);
    *t = (struct table_throughput){.is_given = r == LARDER_OK};
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, read))
            t->has_read = (r = wire_long(w, &t->read)) == LARDER_OK;
        else if (text_is(name, write))
            t->has_write = (r = wire_long(w, &t->write)) == LARDER_OK;
        else
            r = wire_skip(w);
        if (r < 0)
            return r;
    }
    return r;
}

static int read_throughput(struct table_throughput *t, struct wire *w) {
    return read_units(t, "ProvisionedThroughput", TEXT("ReadCapacityUnits"), TEXT("WriteCapacityUnits"), w);
}

static int read_on_demand(struct table_throughput *t, struct wire *w) {
    return read_units(t, "OnDemandThroughput", TEXT("MaxReadRequestUnits"), TEXT("MaxWriteRequestUnits"), w);
}

static int read_warm(struct table_throughput *t, struct wire *w) {
    return read_units(t, "WarmThroughput", TEXT("ReadUnitsPerSecond"), TEXT("WriteUnitsPerSecond"), w);
}

int table_request_read_pair(struct table_throughput *t, struct wire *w) {
    return read_throughput(t, w);
}

/* ---- Tags ------------------------------------------------------------------------------------ */

int table_request_read_tag(struct table_tag *tag, struct wire *w) {
    struct text name;
    *tag = (struct table_tag){{NULL, 0}, {NULL, 0}};
    int r = wire_structure(w, "Tag");
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("Key")))
            r = wire_string(w, &tag->key);
        else
            r = text_is(name, TEXT("Value")) ? wire_string(w, &tag->value) : wire_skip(w);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : LARDER_OK;
}

/* Tags, or with are_keys their keys alone. */
static int read_tags(struct table_request *q, int are_keys, struct wire *w) {
    int r = wire_list(w);
    q->has_tags = r == LARDER_OK;
    q->tag_count = 0;
    if (r)
        return r;
    EACH_ELEMENT(w, r) {
        if ((r = wire_grow(w, &q->tags, q->tag_count, &q->tag_capacity, sizeof *q->tags)))
            return r;
        struct table_tag *tag = &q->tags[q->tag_count++];
        *tag = (struct table_tag){{NULL, 0}, {NULL, 0}};
        if ((r = are_keys ? wire_string(w, &tag->key) : table_request_read_tag(tag, w)) < 0)
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
    if (!index->is_local && text_is(name, TEXT("OnDemandThroughput")))
        return read_on_demand(&index->on_demand, w);
    if (!index->is_local && text_is(name, TEXT("WarmThroughput")))
        return read_warm(&index->warm, w);
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

/* ---- GlobalSecondaryIndexUpdates ------------------------------------------------------------- */

static const struct change {
    struct text name;
    const char *model;
} changes[] = {[TABLE_INDEX_CREATE] = {TEXT("Create"), "CreateGlobalSecondaryIndexAction"},
               [TABLE_INDEX_UPDATE] = {TEXT("Update"), "UpdateGlobalSecondaryIndexAction"},
               [TABLE_INDEX_DELETE] = {TEXT("Delete"), "DeleteGlobalSecondaryIndexAction"}};

static int read_change(struct table_request *q, struct table_index *index, struct text kind, struct wire *w) {
    struct text name;
    size_t i = 0;
    while (i < sizeof changes / sizeof *changes && !text_is(kind, changes[i].name))
        i++;
    if (i == sizeof changes / sizeof *changes)
        return wire_skip(w);
    int r = wire_field(w, changes[i].model);
    if (r)
        return r;
    *index = (struct table_index){.change = (enum table_index_change)i, .change_count = index->change_count + 1};
    EACH_MEMBER(w, name, r)
    if ((r = read_index_member(q, index, name, w)) < 0)
        return r;
    return r;
}

static int read_changes(struct table_request *q, struct wire *w) {
    struct text kind;
    int r = wire_list(w);
    q->has_global = r == LARDER_OK;
    q->index_count = q->included_count = 0;
    if (r)
        return r;
    EACH_ELEMENT(w, r) {
        struct table_index index = {.change_count = 0};
        if ((r = wire_grow(w, &q->indexes, q->index_count, &q->index_capacity, sizeof *q->indexes)) ||
            (r = wire_structure(w, "GlobalSecondaryIndexUpdate")) < 0)
            return r;
        while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &kind))) == LARDER_OK) {
            if ((r = read_change(q, &index, kind, w)) < 0)
                return r;
            r = LARDER_OK;
        }
        if (r < 0)
            return r;
        q->indexes[q->index_count++] = index;
    }
    return r;
}

/* ---- The request ----------------------------------------------------------------------------- */

static int read_stream(struct table_request *q, struct wire *w) {
    struct text name;
    int r = wire_field(w, "StreamSpecification");
    q->stream = (struct table_stream){.is_given = r == LARDER_OK, .is_enabled = -1};
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("StreamEnabled")))
            r = wire_boolean(w, &q->stream.is_enabled);
        else
            r = text_is(name, TEXT("StreamViewType")) ? wire_string(w, &q->stream.view) : wire_skip(w);
        if (r < 0)
            return r;
    }
    return r;
}

static int read_encryption(struct table_request *q, struct wire *w) {
    struct text name;
    int r = wire_field(w, "SSESpecification");
    q->encryption = (struct table_encryption){.is_given = r == LARDER_OK, .is_enabled = -1};
    if (r)
        return r;
    EACH_MEMBER(w, name, r) {
        if (text_is(name, TEXT("Enabled")))
            r = wire_boolean(w, &q->encryption.is_enabled);
        else if (text_is(name, TEXT("SSEType")))
            r = wire_string(w, &q->encryption.type);
        else
            r = text_is(name, TEXT("KMSMasterKeyId")) ? wire_string(w, &q->encryption.key) : wire_skip(w);
        if (r < 0)
            return r;
    }
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

/* What CreateTable and UpdateTable have. */
static int read_shared(struct table_request *q, struct text name, struct wire *w) {
    if (text_is(name, TEXT("AttributeDefinitions")))
        return read_attributes(q, w);
    if (text_is(name, TEXT("BillingMode")))
        return wire_string(w, &q->billing);
    if (text_is(name, TEXT("ProvisionedThroughput")))
        return read_throughput(&q->throughput, w);
    if (text_is(name, TEXT("OnDemandThroughput")))
        return read_on_demand(&q->on_demand, w);
    if (text_is(name, TEXT("WarmThroughput")))
        return read_warm(&q->warm, w);
    if (text_is(name, TEXT("StreamSpecification")))
        return read_stream(q, w);
    if (text_is(name, TEXT("SSESpecification")))
        return read_encryption(q, w);
    if (text_is(name, TEXT("TableClass")))
        return wire_string(w, &q->table_class);
    return text_is(name, TEXT("DeletionProtectionEnabled")) ? wire_boolean(w, &q->is_protected) : wire_skip(w);
}

static int read_updated(struct table_request *q, struct text name, struct wire *w) {
    if (text_is(name, TEXT("GlobalSecondaryIndexUpdates")))
        return read_changes(q, w);
    if (text_is(name, TEXT("VectorIndexUpdates")))
        return read_vectors(q, w);
    if (!text_is(name, TEXT("ReplicaUpdates")))
        return read_shared(q, name, w);
    q->has_replicas = document_kind(w->reader) != DOCUMENT_NULL;
    return wire_skip(w);
}

static int read_created(struct table_request *q, struct text name, struct wire *w) {
    if (text_is(name, TEXT("KeySchema")))
        return read_keys(&q->keys, w);
    if (text_is(name, TEXT("LocalSecondaryIndexes")))
        return read_indexes(q, 1, w);
    if (text_is(name, TEXT("GlobalSecondaryIndexes")))
        return read_indexes(q, 0, w);
    if (text_is(name, TEXT("Tags")))
        return read_tags(q, 0, w);
    return text_is(name, TEXT("VectorIndexes")) ? read_vectors(q, w) : read_shared(q, name, w);
}

static int is_of_tags(enum table_operation operation) {
    return operation == TABLE_TAG || operation == TABLE_UNTAG || operation == TABLE_LIST_TAGS;
}

static int read_tagging(struct table_request *q, enum table_operation operation, struct text name, struct wire *w) {
    if (text_is(name, TEXT("ResourceArn")))
        return wire_string(w, &q->arn);
    if (operation == TABLE_TAG && text_is(name, TEXT("Tags")))
        return read_tags(q, 0, w);
    return operation == TABLE_UNTAG && text_is(name, TEXT("TagKeys")) ? read_tags(q, 1, w) : wire_skip(w);
}

static int read_parameter(struct table_request *q, enum table_operation operation, struct text name, struct wire *w) {
    if (is_of_tags(operation))
        return read_tagging(q, operation, name, w);
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
    if (operation == TABLE_UPDATE)
        return read_updated(q, name, w);
    return operation == TABLE_CREATE ? read_created(q, name, w) : wire_skip(w);
}

static void forget(struct table_request *q) {
    *q = (struct table_request){.attributes = q->attributes,
                                .attribute_capacity = q->attribute_capacity,
                                .indexes = q->indexes,
                                .index_capacity = q->index_capacity,
                                .included = q->included,
                                .included_capacity = q->included_capacity,
                                .tags = q->tags,
                                .tag_capacity = q->tag_capacity,
                                .is_protected = -1};
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
    free(q->tags);
}
