/* dynamodb/older_read.c - the parameters that were there before expressions, read. See older.h.
 *
 * Tests    tests/dynamodb/dynamodb_older_test.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "dynamodb/older.h"

const struct text older_names[OLDER_COUNT] = {
    [OLDER_ATTRIBUTES_TO_GET] = TEXT("AttributesToGet"),
    [OLDER_ATTRIBUTE_UPDATES] = TEXT("AttributeUpdates"),
    [OLDER_EXPECTED] = TEXT("Expected"),
    [OLDER_QUERY_FILTER] = TEXT("QueryFilter"),
    [OLDER_SCAN_FILTER] = TEXT("ScanFilter"),
    [OLDER_CONDITIONAL_OPERATOR] = TEXT("ConditionalOperator"),
    [OLDER_KEY_CONDITIONS] = TEXT("KeyConditions"),
};

void older_forget(struct older *o) {
    o->given = 0;
    o->condition_count = o->update_count = o->attribute_count = o->value_count = 0;
    o->operator.at = NULL;
}

void older_free(struct older *o) {
    free(o->conditions);
    free(o->updates);
    free(o->attributes);
    free(o->text);
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* The next placeholder. LARDER_NOT_FOUND: null. */
static int read_value(struct older *o, struct values *v, int is_field, struct wire *w) {
    char name[16];
    if (!o->value_count)
        values_begin(v);
    size_t bytes = (size_t)snprintf(name, sizeof name, ":%u", o->value_count);
    int r = values_add(v, w, (struct text){name, bytes}, is_field);
    o->value_count += r == LARDER_OK;
    return r;
}

int older_end(struct older *o, struct values *v, struct wire *w) {
    return o->value_count ? values_end(v, w) : LARDER_OK;
}

/* A value of a condition, or NOT_FOUND for null. */
static int read_condition_value(struct older *o, struct older_condition *c, struct values *v, int is_field,
                                struct wire *w) {
    uint32_t number = o->value_count;
    int r = read_value(o, v, is_field, w);
    if (r)
        return r;
    if (!c->value_count)
        c->value = number;
    c->is_mixed |= c->value_count && c->type != v->last_type;
    if (!c->value_count++)
        c->type = v->last_type;
    return LARDER_OK;
}

static int read_list(struct older *o, struct older_condition *c, struct values *v, struct wire *w) {
    int r = wire_list(w);
    c->has_list = r == LARDER_OK;
    if (r)
        return r;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK)
        if ((r = read_condition_value(o, c, v, 0, w)) < 0)
            return r;
    return r;
}

/* ---- Conditions ------------------------------------------------------------------------------ */

static int read_condition_member(struct older *o, struct older_condition *c, struct text name, struct values *v,
                                 struct wire *w) {
    int r;
    if (text_is(name, TEXT("ComparisonOperator")))
        return wire_string(w, &c->operator);
    if (text_is(name, TEXT("AttributeValueList")))
        return read_list(o, c, v, w);
    if (c->parameter == OLDER_EXPECTED && text_is(name, TEXT("Exists")))
        return wire_boolean(w, &c->exists);
    if (c->parameter == OLDER_EXPECTED && text_is(name, TEXT("Value"))) {
        r = read_condition_value(o, c, v, 1, w);
        c->has_value = r == LARDER_OK;
        return r;
    }
    return wire_skip(w);
}

static int read_condition(struct older *o, enum older_parameter parameter, struct text attribute, struct values *v,
                          struct wire *w) {
    struct older_condition c = {.parameter = parameter, .attribute = attribute, .exists = -1};
    struct text name;
    int r = wire_structure(w, parameter == OLDER_EXPECTED ? "ExpectedAttributeValue" : "Condition");
    while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        r = read_condition_member(o, &c, name, v, w);
        r = r < 0 ? r : LARDER_OK;
    }
    if (r < 0)
        return r;
    if (wire_grow(w, &o->conditions, o->condition_count, &o->condition_capacity, sizeof *o->conditions))
        return LARDER_E_NO_MEMORY;
    o->conditions[o->condition_count++] = c;
    return LARDER_OK;
}

static int read_conditions(struct older *o, enum older_parameter parameter, struct values *v, struct wire *w) {
    struct text name;
    int r = wire_map(w, parameter == OLDER_EXPECTED ? "ExpectedAttributeValue" : "Condition");
    if (r)
        return r;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        if ((r = read_condition(o, parameter, name, v, w)))
            return r;
    return r < 0 ? r : LARDER_OK;
}

/* ---- Updates --------------------------------------------------------------------------------- */

static int read_update(struct older *o, struct text attribute, struct values *v, struct wire *w) {
    struct older_update u = {.attribute = attribute};
    struct text name;
    int r = wire_structure(w, "AttributeValueUpdate");
    while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        if (text_is(name, TEXT("Action")))
            r = wire_string(w, &u.action);
        else if (text_is(name, TEXT("Value"))) {
            u.value = o->value_count;
            u.has_value = (r = read_value(o, v, 1, w)) == LARDER_OK;
            u.type = v->last_type;
        } else
            r = wire_skip(w);
        r = r < 0 ? r : LARDER_OK;
    }
    if (r < 0)
        return r;
    if (wire_grow(w, &o->updates, o->update_count, &o->update_capacity, sizeof *o->updates))
        return LARDER_E_NO_MEMORY;
    o->updates[o->update_count++] = u;
    return LARDER_OK;
}

static int read_updates(struct older *o, struct values *v, struct wire *w) {
    struct text name;
    int r = wire_map(w, "AttributeValueUpdate");
    if (r)
        return r;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        if ((r = read_update(o, name, v, w)))
            return r;
    return r < 0 ? r : LARDER_OK;
}

/* ---- AttributesToGet ------------------------------------------------------------------------- */

int older_add_attribute(struct older *o, struct text name) {
    if (array_grow(&o->attributes, o->attribute_count, &o->attribute_capacity, sizeof *o->attributes))
        return LARDER_E_NO_MEMORY;
    o->attributes[o->attribute_count++] = name;
    o->given |= 1u << OLDER_ATTRIBUTES_TO_GET;
    return LARDER_OK;
}

static int read_attributes(struct older *o, struct wire *w) {
    struct text name;
    int r = wire_list(w);
    o->attribute_count = 0;
    if (r)
        return r;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK) {
        if ((r = wire_string(w, &name)) < 0)
            return r;
        if (r == LARDER_OK && older_add_attribute(o, name))
            return wire_result(w, LARDER_E_NO_MEMORY);
    }
    return r < 0 ? r : LARDER_OK;
}

int older_read(struct older *o, enum older_parameter parameter, struct values *v, struct wire *w) {
    int r = parameter == OLDER_ATTRIBUTES_TO_GET      ? read_attributes(o, w)
            : parameter == OLDER_ATTRIBUTE_UPDATES    ? read_updates(o, v, w)
            : parameter == OLDER_CONDITIONAL_OPERATOR ? wire_string(w, &o->operator)
                                                      : read_conditions(o, parameter, v, w);
    if (r == LARDER_OK)
        o->given |= 1u << parameter;
    return r;
}
