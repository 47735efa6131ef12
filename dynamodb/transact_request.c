/* dynamodb/transact_request.c - requests of transactions, read. See transact.h.
 *
 * Sources  API reference of both operations; words for wrong types as those of the other
 *          operations (wire.h).
 * Tests    tests/dynamodb/dynamodb_transact_test.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "dynamodb/transact.h"

/* ---- Actions --------------------------------------------------------------------------------- */

static void note_problem(struct transact *t, const char *message, int is_of_values) {
    if (t->has_problem)
        return;
    snprintf(t->problem, sizeof t->problem, "%s", message);
    t->has_problem = 1;
    t->is_problem_of_values = is_of_values;
    t->problem_action = t->count;
}

/* A map of AttributeValues. *out: where its image lies; *item is resolved by transact_read(). */
static int read_map(struct transact *t, struct values *v, int is_of_values, int *is_given, size_t *image,
                    const struct larder_item **item, struct wire *w) {
    int r = values_read(v, w);
    *is_given = r == LARDER_OK;
    *item = NULL;
    if (r)
        return r;
    t->may_have_duplicates |= v->has_duplicates || v->problem;
    if (v->problem)
        note_problem(t, v->message, is_of_values);
    else if (v->is_too_large || v->has_duplicates)
        note_problem(t, "Item size has exceeded the maximum allowed size", is_of_values);
    if (!v->item)
        return LARDER_OK;
    *item = v->item;
    return wire_result(w, images_keep(&t->images, v->item, image));
}

/* Through the scratch request, which keeps placeholders apart. */
static int read_names(struct transact *t, struct transact_action *a, struct request *scratch, struct wire *w) {
    a->first_name = t->name_count;
    int r = request_append_names(scratch, w, &t->names, &t->name_count, &t->name_capacity);
    a->has_names = scratch->has_names;
    a->name_count = t->name_count - a->first_name;
    return r;
}

static int read_values(struct transact *t, struct transact_action *a, struct request *scratch, struct wire *w) {
    struct values *v = &scratch->maps[MAP_VALUES];
    int r = read_map(t, v, 1, &a->has_values, &a->values_image, &a->values, w);
    a->value_count = v->count;
    a->bad_placeholder = v->bad_placeholder;
    return r;
}

static int read_member(struct transact *t, struct transact_action *a, struct text name, struct request *scratch,
                       struct wire *w) {
    int is_put = a->kind == TRANSACT_PUT, is_get = a->kind == TRANSACT_GET;
    if (text_is(name, TEXT("TableName")))
        return wire_string(w, &a->table_name);
    if (text_is(name, is_put ? TEXT("Item") : TEXT("Key")))
        return read_map(t, &scratch->maps[is_put ? MAP_ITEM : MAP_KEY], 0, &a->has_item, &a->item_image, &a->item, w);
    if (text_is(name, TEXT("ExpressionAttributeNames")))
        return read_names(t, a, scratch, w);
    if (is_get)
        return text_is(name, TEXT("ProjectionExpression")) ? wire_string(w, &a->projection) : wire_skip(w);
    if (text_is(name, TEXT("ConditionExpression")))
        return wire_string(w, &a->condition);
    if (text_is(name, TEXT("ExpressionAttributeValues")))
        return read_values(t, a, scratch, w);
    if (text_is(name, TEXT("ReturnValuesOnConditionCheckFailure")))
        return wire_string(w, &a->on_failure);
    return a->kind == TRANSACT_UPDATE && text_is(name, TEXT("UpdateExpression")) ? wire_string(w, &a->update)
                                                                                 : wire_skip(w);
}

/* ---- TransactItems --------------------------------------------------------------------------- */

static const struct kind {
    struct text name;
    const char *model; /* the type of its structure */
    int is_write;
} kinds[] = {[TRANSACT_CHECK] = {TEXT("ConditionCheck"), "ConditionCheck", 1},
             [TRANSACT_PUT] = {TEXT("Put"), "Put", 1},
             [TRANSACT_DELETE] = {TEXT("Delete"), "Delete", 1},
             [TRANSACT_UPDATE] = {TEXT("Update"), "Update", 1},
             [TRANSACT_GET] = {TEXT("Get"), "Get", 0}};
#define KINDS (sizeof kinds / sizeof *kinds)

static int kind_of(const struct transact *t, struct text name) {
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].is_write == t->is_write && text_is(name, kinds[i].name))
            return (int)i;
    return -1;
}

/* What is in an action, which takes the place of one that came before it in the same element. */
static int read_action(struct transact *t, struct transact_action *a, int kind, struct request *scratch,
                       struct wire *w) {
    struct text name;
    int r = wire_field(w, kinds[kind].model);
    if (r)
        return r < 0 ? r : LARDER_OK;
    *a = (struct transact_action){.kind = (enum transact_kind)kind, .kind_count = a->kind_count + 1};
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        if ((r = read_member(t, a, name, scratch, w)) < 0)
            return r;
    return r < 0 ? r : LARDER_OK;
}

static int read_element(struct transact *t, struct request *scratch, struct wire *w) {
    struct text name;
    unsigned seen = 0;
    int r = wire_grow(w, &t->actions, t->count, &t->capacity, sizeof *t->actions);
    if (r || (r = wire_structure(w, t->is_write ? "TransactWriteItem" : "TransactGetItem")) < 0)
        return r;
    struct transact_action *a = &t->actions[t->count];
    *a = (struct transact_action){.kind = t->is_write ? TRANSACT_CHECK : TRANSACT_GET};
    while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        int kind = kind_of(t, name);
        r = kind < 0 ? wire_skip(w) : read_action(t, a, kind, scratch, w);
        if (r < 0)
            return r;
        if (kind >= 0 && seen >> kind & 1)
            t->may_have_duplicates = 1;
        seen |= kind >= 0 ? 1u << kind : 0;
        r = LARDER_OK;
    }
    t->count += r >= 0;
    return r < 0 ? r : LARDER_OK;
}

static void forget_actions(struct transact *t) {
    for (uint32_t i = 0; i < t->count; i++) {
        larder_item_free(t->actions[i].old);
        free(t->actions[i].reason);
    }
    t->has_actions = t->has_problem = 0;
    t->count = t->name_count = 0;
    images_forget(&t->images);
}

static int read_actions(struct transact *t, struct request *scratch, struct wire *w) {
    forget_actions(t);
    int r = wire_list(w);
    if (r)
        return r;
    t->has_actions = 1;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK)
        if ((r = read_element(t, scratch, w)))
            return r;
    return r;
}

/* ---- The request ----------------------------------------------------------------------------- */

static int read_parameter(struct transact *t, struct text name, struct request *scratch, struct wire *w) {
    if (text_is(name, TEXT("TransactItems")))
        return read_actions(t, scratch, w);
    if (text_is(name, TEXT("ReturnConsumedCapacity")))
        return wire_string(w, &t->return_capacity);
    if (t->is_write && text_is(name, TEXT("ReturnItemCollectionMetrics")))
        return wire_string(w, &t->return_metrics);
    return t->is_write && text_is(name, TEXT("ClientRequestToken")) ? wire_string(w, &t->token) : wire_skip(w);
}

int transact_read(struct transact *t, int is_write, struct request *scratch, struct wire *w) {
    struct text name;
    forget_actions(t);
    t->is_write = is_write;
    t->may_have_duplicates = 0;
    t->return_capacity.at = t->return_metrics.at = t->token.at = NULL;
    if (document_kind(w->reader) != DOCUMENT_OBJECT)
        return failure_set(w->failure, FAILURE_SERIALIZATION, "%s", "");
    int r = wire_result(w, document_begin(w->reader));
    while (r >= 0 && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        r = read_parameter(t, name, scratch, w);
    for (uint32_t i = 0; i < t->count; i++) {
        struct transact_action *a = &t->actions[i];
        a->item = a->item ? images_item(&t->images, a->item_image) : NULL;
        a->values = a->values ? images_item(&t->images, a->values_image) : NULL;
    }
    return r < 0 ? r : LARDER_OK;
}

void transact_free(struct transact *t) {
    forget_actions(t);
    free(t->actions);
    free(t->names);
    images_free(&t->images);
}
