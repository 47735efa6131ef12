/* dynamodb/batch_request.c - requests of batches, read. See batch.h.
 *
 * Sources  API reference of both operations; words for wrong types: dynalite's suites.
 * Tests    tests/dynamodb/dynamodb_batch_test.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "dynamodb/batch.h"

/* What the service says to a scalar where its model has a list or map of a list or map. */
static int is_scalar(struct wire *w, int *result) {
    enum document_kind kind = document_kind(w->reader);
    if (kind == DOCUMENT_BAD || kind == DOCUMENT_NULL || kind == DOCUMENT_ARRAY || kind == DOCUMENT_OBJECT)
        return 0;
    *result = failure_set(w->failure, FAILURE_SERIALIZATION,
                          "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
                          "java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and "
                          "java.lang.Class are in module java.base of loader 'bootstrap')");
    return 1;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static int keep_image(struct batch *b, struct batch_entry *e, const struct larder_item *item, struct wire *w) {
    e->item = item; /* that there is one; batch_read() resolves it */
    return wire_result(w, images_keep(&b->images, item, &e->image));
}

static void note_problem(struct batch *b, struct batch_table *t, const char *message) {
    if (!b->message[0]) {
        snprintf(b->message, sizeof b->message, "%s", message);
        t->has_problem = 1;
    }
}

/* A map of AttributeValues as one entry, into e->item. */
static int read_entry(struct batch *b, struct batch_table *t, struct batch_entry *e, struct values *v, struct wire *w) {
    int r = values_read(v, w);
    if (r) {
        e->is_null = r > 0;
        return r < 0 ? r : LARDER_OK;
    }
    b->may_have_duplicates |= v->has_duplicates || v->problem;
    if (v->problem)
        note_problem(b, t, v->message);
    else if (v->is_too_large || v->has_duplicates)
        note_problem(b, t, "Item size has exceeded the maximum allowed size");
    return v->item ? keep_image(b, e, v->item, w) : LARDER_OK;
}

static struct batch_entry *new_entry(struct batch *b, struct batch_table *t, struct wire *w) {
    if (wire_grow(w, &b->entries, b->entry_count, &b->entry_capacity, sizeof *b->entries))
        return NULL;
    struct batch_entry *e = &b->entries[b->entry_count++];
    *e = (struct batch_entry){.item = NULL};
    t->count++;
    return e;
}

/* ---- BatchGetItem ---------------------------------------------------------------------------- */

static int read_get_keys(struct batch *b, struct batch_table *t, struct values *v, struct wire *w) {
    int r = wire_list(w);
    t->has_entries = r == LARDER_OK;
    t->first = b->entry_count;
    t->count = 0;
    if (r)
        return r;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK) {
        struct batch_entry *e = new_entry(b, t, w);
        if (!e)
            return LARDER_E_NO_MEMORY;
        if (is_scalar(w, &r) || (r = read_entry(b, t, e, v, w)))
            return r;
    }
    return r;
}

/* Through the scratch request, which keeps placeholders apart. */
static int read_get_names(struct batch *b, struct batch_table *t, struct request *scratch, struct wire *w) {
    t->first_name = b->name_count;
    int r = request_append_names(scratch, w, &b->names, &b->name_count, &b->name_capacity);
    t->has_names = scratch->has_names;
    t->name_count = b->name_count - t->first_name;
    return r;
}

static int read_get_attributes(struct batch *b, struct batch_table *t, struct request *scratch, struct wire *w) {
    older_forget(&scratch->older);
    int r = older_read(&scratch->older, OLDER_ATTRIBUTES_TO_GET, NULL, w);
    t->has_attributes = r == LARDER_OK;
    t->first_attribute = b->attribute_count;
    t->attribute_count = 0;
    for (uint32_t i = 0; r == LARDER_OK && i < scratch->older.attribute_count; i++) {
        if (wire_grow(w, &b->attributes, b->attribute_count, &b->attribute_capacity, sizeof *b->attributes))
            return LARDER_E_NO_MEMORY;
        b->attributes[b->attribute_count++] = scratch->older.attributes[i];
        t->attribute_count++;
    }
    return r;
}

static int read_get_member(struct batch *b, struct batch_table *t, struct text name, struct request *scratch,
                           struct wire *w) {
    if (text_is(name, TEXT("Keys")))
        return read_get_keys(b, t, &scratch->maps[MAP_KEY], w);
    if (text_is(name, TEXT("ConsistentRead")))
        return wire_boolean(w, &t->is_consistent);
    if (text_is(name, TEXT("ProjectionExpression")))
        return wire_string(w, &t->projection);
    if (text_is(name, TEXT("ExpressionAttributeNames")))
        return read_get_names(b, t, scratch, w);
    return text_is(name, TEXT("AttributesToGet")) ? read_get_attributes(b, t, scratch, w) : wire_skip(w);
}

static int read_gets(struct batch *b, struct batch_table *t, struct request *scratch, struct wire *w) {
    struct text name;
    int r = wire_structure(w, "KeysAndAttributes");
    if (r)
        return r;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        if ((r = read_get_member(b, t, name, scratch, w)) < 0)
            return r;
    return r;
}

/* ---- BatchWriteItem -------------------------------------------------------------------------- */

/* {"Item": {..}} or {"Key": {..}}. */
static int read_write_request(struct batch *b, struct batch_table *t, struct batch_entry *e, struct request *scratch,
                              struct wire *w) {
    struct text name, wanted = e->is_put ? TEXT("Item") : TEXT("Key");
    int r = wire_field(w, e->is_put ? "PutRequest" : "DeleteRequest");
    if (r)
        return r;
    e->is_null = 1;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        int is_wanted = text_is(name, wanted);
        e->is_null &= !is_wanted;
        r = is_wanted ? read_entry(b, t, e, &scratch->maps[e->is_put ? MAP_ITEM : MAP_KEY], w) : wire_skip(w);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : LARDER_OK;
}

static int read_write_entry(struct batch *b, struct batch_table *t, struct batch_entry *e, struct request *scratch,
                            struct wire *w) {
    struct text name;
    uint32_t count = 0;
    int r = wire_structure(w, "WriteRequest");
    if (r < 0)
        return r;
    while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        int is_put = text_is(name, TEXT("PutRequest"));
        if (is_put || text_is(name, TEXT("DeleteRequest"))) {
            e->is_put = is_put;
            r = read_write_request(b, t, e, scratch, w);
            count += r == LARDER_OK;
        } else
            r = wire_skip(w);
        if (r < 0)
            return r;
        r = LARDER_OK;
    }
    if (r >= 0 && count != 1)
        note_problem(
            b, t,
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes");
    return r < 0 ? r : LARDER_OK;
}

static int read_writes(struct batch *b, struct batch_table *t, struct request *scratch, struct wire *w) {
    int r;
    if (is_scalar(w, &r) || (r = wire_list(w)))
        return r;
    t->has_entries = 1;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK) {
        struct batch_entry *e = new_entry(b, t, w);
        if (!e)
            return LARDER_E_NO_MEMORY;
        if ((r = read_write_entry(b, t, e, scratch, w)))
            return r;
    }
    return r;
}

/* ---- The request ----------------------------------------------------------------------------- */

static int read_table(struct batch *b, struct text name, struct request *scratch, struct wire *w) {
    for (uint32_t i = 0; i < b->table_count; i++)
        b->may_have_duplicates |= text_is(b->tables[i].name, name);
    if (wire_grow(w, &b->tables, b->table_count, &b->table_capacity, sizeof *b->tables))
        return LARDER_E_NO_MEMORY;
    struct batch_table *t = &b->tables[b->table_count++];
    *t = (struct batch_table){.name = name, .first = b->entry_count, .is_consistent = -1};
    return b->is_write ? read_writes(b, t, scratch, w) : read_gets(b, t, scratch, w);
}

static void forget_tables(struct batch *b) {
    b->has_items = 0;
    b->table_count = b->entry_count = b->name_count = b->attribute_count = 0;
    images_forget(&b->images);
    b->message[0] = 0;
}

static int read_tables(struct batch *b, struct request *scratch, struct wire *w) {
    struct text name;
    int r = wire_map(w, b->is_write ? "java.util.List<com.amazonaws.dynamodb.v20120810.WriteRequest>"
                                    : "KeysAndAttributes");
    forget_tables(b);
    if (r)
        return r;
    b->has_items = 1;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        if ((r = read_table(b, name, scratch, w)) < 0)
            return r;
    return r;
}

static int read_parameter(struct batch *b, struct text name, struct request *scratch, struct wire *w) {
    if (text_is(name, TEXT("RequestItems")))
        return read_tables(b, scratch, w);
    if (text_is(name, TEXT("ReturnConsumedCapacity")))
        return wire_string(w, &b->return_capacity);
    if (b->is_write && text_is(name, TEXT("ReturnItemCollectionMetrics")))
        return wire_string(w, &b->return_metrics);
    return wire_skip(w);
}

int batch_read(struct batch *b, int is_write, struct request *scratch, struct wire *w) {
    struct text name;
    b->is_write = is_write;
    b->may_have_duplicates = 0;
    b->return_capacity.at = b->return_metrics.at = NULL;
    forget_tables(b);
    if (document_kind(w->reader) != DOCUMENT_OBJECT)
        return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", "");
    int r = wire_result(w, document_begin(w->reader));
    while (r >= 0 && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        r = read_parameter(b, name, scratch, w);
    for (uint32_t i = 0; i < b->entry_count; i++)
        if (b->entries[i].item)
            b->entries[i].item = images_item(&b->images, b->entries[i].image);
    return r < 0 ? r : LARDER_OK;
}

void batch_free(struct batch *b) {
    free(b->tables);
    free(b->entries);
    free(b->names);
    free(b->attributes);
    images_free(&b->images);
}
