/* dynamodb/table_parts.c - parts of a table's definition in a request: checked, and as the engine
 * has them. See table_parts.h.
 *
 * Sources  Order and words: dynalite's suites ("createTable", "updateTable"), run against the
 *          service. Of projections, of attributes that are defined twice and of keys of several
 *          attributes: the messages that ack-api-quirks recorded of the service (October 2026).
 * Tests    tests/dynamodb/dynamodb_table_test.c, dynamodb_update_table_test.c
 */
#include "dynamodb/table_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVALID "One or more parameter values were invalid: "
#define INCLUDED_MAX 20 /* NonKeyAttributes of an index */

static int refuse(struct larder_dynamodb *d, const char *message) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", message);
}

static int is_given(struct text text, struct text wanted) {
    return text.at && text_is(text, wanted);
}

/* ---- Constraints ----------------------------------------------------------------------------- */

const char *parts_path(struct parts_path *p, const char *list, uint32_t number, const char *rest) {
    snprintf(p->text, sizeof p->text, "%s.%u.member.%s", list, number + 1, rest);
    return p->text;
}

void parts_check_text(struct constraints *c, struct text text, const char *name, const char *alternatives) {
    if (!text.at)
        constraint_add_null(c, name);
    else if (alternatives)
        constraint_add_choice(c, text, name, alternatives);
}

void parts_check_keys(struct constraints *c, const struct table_keys *keys, const char *name) {
    struct parts_path p;
    if (!keys->is_given)
        constraint_add_null(c, name);
    else if (!keys->count)
        constraint_add(c, TEXT("[]"), name, "have length greater than or equal to 1");
    for (uint32_t i = 0; i < keys->count && i < TABLE_KEYS_KEPT; i++) {
        parts_check_text(c, keys->element[i].name, parts_path(&p, name, i, "attributeName"), NULL);
        parts_check_text(c, keys->element[i].type, parts_path(&p, name, i, "keyType"), "HASH, RANGE");
    }
}

void parts_check_throughput(struct constraints *c, const struct table_throughput *t, const char *name) {
    char path[sizeof(struct parts_path) + 32];
    if (!t->is_given)
        return;
    snprintf(path, sizeof path, "%s.writeCapacityUnits", name);
    if (t->has_write)
        constraint_add_range(c, t->write, path, 1, INT64_MAX);
    else
        constraint_add_null(c, path);
    snprintf(path, sizeof path, "%s.readCapacityUnits", name);
    if (t->has_read)
        constraint_add_range(c, t->read, path, 1, INT64_MAX);
    else
        constraint_add_null(c, path);
}

/* Of a part of an index: "globalSecondaryIndexUpdates.1.member.create.indexName". */
static const char *path_in(struct parts_path *p, const char *list, uint32_t number, const char *action,
                           const char *rest) {
    snprintf(p->text, sizeof p->text, "%s.%u.member.%s%s", list, number + 1, action, rest);
    return p->text;
}

void parts_check_table(struct constraints *c, const struct table_request *q) {
    struct parts_path p;
    for (uint32_t i = 0; i < q->attribute_count; i++) {
        parts_check_text(c, q->attributes[i].name, parts_path(&p, "attributeDefinitions", i, "attributeName"), NULL);
        parts_check_text(c, q->attributes[i].type, parts_path(&p, "attributeDefinitions", i, "attributeType"),
                         "B, N, S");
    }
    constraint_add_name(c, q->table_name, "tableName");
    if (q->billing.at)
        constraint_add_choice(c, q->billing, "billingMode", "PROVISIONED, PAY_PER_REQUEST");
    parts_check_throughput(c, &q->throughput, "provisionedThroughput");
}

void parts_check_index(struct constraints *c, const struct table_index *index, const char *list, uint32_t number,
                       const char *action) {
    struct parts_path p;
    path_in(&p, list, number, action, "indexName");
    if (index->name.at)
        constraint_add_name(c, index->name, p.text);
    else
        constraint_add_null(c, p.text);
    parts_check_keys(c, &index->keys, path_in(&p, list, number, action, "keySchema"));
    if (!index->has_projection)
        constraint_add_null(c, path_in(&p, list, number, action, "projection"));
    if (index->projection.at)
        constraint_add_choice(c, index->projection, path_in(&p, list, number, action, "projection.projectionType"),
                              "ALL, INCLUDE, KEYS_ONLY");
    if (index->has_included && !index->included_count)
        constraint_add(c, TEXT("[]"), path_in(&p, list, number, action, "projection.nonKeyAttributes"),
                       "have length greater than or equal to 1");
    if (index->included_count > INCLUDED_MAX)
        constraint_add(c, TEXT("[..]"), path_in(&p, list, number, action, "projection.nonKeyAttributes"),
                       "have length less than or equal to 20");
    parts_check_throughput(c, &index->throughput, path_in(&p, list, number, action, "provisionedThroughput"));
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static const struct table_attribute *definition(const struct table_request *q, struct text name) {
    for (uint32_t i = 0; i < q->attribute_count; i++)
        if (text_is(q->attributes[i].name, name))
            return &q->attributes[i];
    return NULL;
}

size_t parts_list_names(const struct table_attribute *attributes, uint32_t count, char *to, size_t room) {
    size_t used = 0;
    *to = 0;
    for (uint32_t i = 0; i < count && used + 1 < room; i++)
        used += (size_t)snprintf(to + used, room - used, "%s%.*s", i ? ", " : "", (int)attributes[i].name.bytes,
                                 attributes[i].name.at);
    return used;
}

int parts_check_count(struct larder_dynamodb *d, const struct table_keys *keys, int is_global) {
    uint32_t most = is_global ? 2 * LARDER_KEY_ATTRIBUTES_MAX : 2;
    return keys->count <= most ? LARDER_OK
                               : failure_set(&d->failure, FAILURE_VALIDATION,
                                             "1 validation error detected: Value at 'keySchema' " CONSTRAINT
                                             "have length less than or equal to %u",
                                             most);
}

int parts_check_defined(struct larder_dynamodb *d, const struct table_keys *keys) {
    const struct table_request *q = &d->tables_request;
    char names[400], defined[600];
    uint32_t missing = 0;
    for (uint32_t i = 0; i < keys->count; i++)
        missing += !definition(q, keys->element[i].name);
    if (!missing)
        return LARDER_OK;
    parts_list_names(keys->element, keys->count, names, sizeof names);
    parts_list_names(q->attributes, q->attribute_count, defined, sizeof defined);
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       INVALID "Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], "
                               "AttributeDefinitions: [%s]",
                       names, defined);
}

static uint32_t count_of(const struct table_keys *keys, struct text type) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < keys->count && i < TABLE_KEYS_KEPT; i++)
        count += is_given(keys->element[i].type, type);
    return count;
}

/* Developer guide, "Multi-attribute keys pattern". */
static int check_several(struct larder_dynamodb *d, const struct table_keys *keys) {
    uint32_t hashes = count_of(keys, TEXT("HASH"));
    if (hashes > LARDER_KEY_ATTRIBUTES_MAX)
        return refuse(d, INVALID "The KeySchema exceeds the maximum allowed number of HASH key attributes");
    if (keys->count - hashes > LARDER_KEY_ATTRIBUTES_MAX)
        return refuse(d, INVALID "The KeySchema exceeds the maximum allowed number of RANGE key attributes");
    for (uint32_t i = hashes; i < keys->count; i++)
        if (is_given(keys->element[i].type, TEXT("HASH")))
            return refuse(d, INVALID "All HASH key attributes must precede RANGE key attributes in the KeySchema");
    for (uint32_t i = 0; i < keys->count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (text_is(keys->element[k].name, keys->element[i].name))
                return refuse(d, "The KeySchema contains multiple key attributes with the same name");
    return LARDER_OK;
}

int parts_check_order(struct larder_dynamodb *d, const struct table_keys *keys, int is_global) {
    int is_several = keys->count > 2 || (keys->count == 2 && is_given(keys->element[1].type, TEXT("HASH")));
    if (is_global && is_several && is_given(keys->element[0].type, TEXT("HASH")))
        return check_several(d, keys);
    if (keys->count > 1 && text_is(keys->element[0].name, keys->element[1].name))
        return refuse(d, "Both the Hash Key and the Range Key element in the KeySchema have the same name");
    if (!is_given(keys->element[0].type, TEXT("HASH")))
        return refuse(d, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    if (keys->count > 1 && !is_given(keys->element[1].type, TEXT("RANGE")))
        return refuse(d, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type");
    return LARDER_OK;
}

int parts_check_twice(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    for (uint32_t i = 1; i < q->attribute_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (text_is(q->attributes[k].name, q->attributes[i].name))
                return failure_set(&d->failure, FAILURE_VALIDATION, "Attribute Name is duplicated: %.*s",
                                   (int)q->attributes[i].name.bytes, q->attributes[i].name.at);
    return LARDER_OK;
}

static int check_included(struct larder_dynamodb *d, const struct table_index *index) {
    const struct text *names = d->tables_request.included + index->included;
    for (uint32_t i = 1; i < index->included_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (text_is(names[k], names[i]))
                return failure_set(&d->failure, FAILURE_VALIDATION,
                                   INVALID "Duplicate element in NonKeyAttributes: %.*s", (int)names[i].bytes,
                                   names[i].at);
    return LARDER_OK;
}

/* Key attributes may be named, too. */
int parts_check_projection(struct larder_dynamodb *d, const struct table_index *index) {
    int is_include = is_given(index->projection, TEXT("INCLUDE"));
    if (!index->projection.at)
        return refuse(d, INVALID "Unknown ProjectionType: null");
    if (index->has_included == is_include)
        return is_include ? check_included(d, index) : LARDER_OK;
    return failure_set(&d->failure, FAILURE_VALIDATION, INVALID "ProjectionType is %.*s, but NonKeyAttributes is %s",
                       (int)index->projection.bytes, index->projection.at, is_include ? "not specified" : "specified");
}

/* ---- The definition -------------------------------------------------------------------------- */

/* 0-terminated, in made->texts. */
static const char *keep(struct parts_made *m, struct text text) {
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

static struct larder_key_def key_of(struct parts_made *m, const struct table_request *q, const struct table_keys *keys,
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

/* The keys behind the first HASH and the first RANGE. */
static void make_more_keys(struct parts_made *m, const struct table_request *q, const struct table_index *from,
                           struct larder_index_def *index, struct larder_key_def *more) {
    uint32_t hashes = count_of(&from->keys, TEXT("HASH")), made = 0;
    index->sort = key_of(m, q, &from->keys, hashes);
    for (uint32_t i = 1; i < from->keys.count; i++)
        if (i != hashes)
            more[made++] = key_of(m, q, &from->keys, i);
    index->partition_more_count = hashes - 1;
    index->sort_more_count = made - index->partition_more_count;
    index->partition_more = more;
    index->sort_more = more + index->partition_more_count;
}

static void make_index(struct parts_made *m, const struct table_request *q, uint32_t number) {
    const struct table_index *from = &q->indexes[number];
    struct larder_index_def *index = &m->indexes[number];
    *index = (struct larder_index_def){.name = keep(m, from->name),
                                       .is_local = from->is_local,
                                       .partition = key_of(m, q, &from->keys, 0),
                                       .projection = LARDER_PROJECT_ALL};
    make_more_keys(m, q, from, index, m->more + (size_t)number * TABLE_KEYS_KEPT);
    if (text_is(from->projection, TEXT("KEYS_ONLY")))
        index->projection = LARDER_PROJECT_KEYS_ONLY;
    if (!text_is(from->projection, TEXT("INCLUDE")))
        return;
    index->projection = LARDER_PROJECT_INCLUDE;
    index->included = m->included + from->included;
    index->included_count = from->included_count;
}

int parts_make(struct parts_made *m, const struct table_request *q) {
    memset(m, 0, sizeof *m);
    m->texts = malloc(bytes_of_texts(q));
    m->included = malloc((q->included_count + 1) * sizeof *m->included);
    m->more = malloc((q->index_count + 1) * (size_t)TABLE_KEYS_KEPT * sizeof *m->more);
    if (!m->texts || !m->included || !m->more)
        return LARDER_E_NO_MEMORY;
    m->at = m->texts;
    for (uint32_t i = 0; i < q->included_count; i++)
        m->included[i] = keep(m, q->included[i]);
    for (uint32_t i = 0; i < q->index_count; i++)
        make_index(m, q, i);
    m->def = (struct larder_table_def){.name = keep(m, constraint_table_name(q->table_name)),
                                       .partition = key_of(m, q, &q->keys, 0),
                                       .sort = key_of(m, q, &q->keys, 1),
                                       .indexes = m->indexes,
                                       .index_count = q->index_count};
    return m->has_nul ? LARDER_E_INVAL : LARDER_OK;
}

void parts_free(struct parts_made *m) {
    free(m->texts);
    free(m->included);
    free(m->more);
}
