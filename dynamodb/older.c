/* dynamodb/older.c - the parameters that were there before expressions, checked and written as
 * expressions. See older.h.
 *
 * Sources  Checks: dynalite's suites (validateConditions, validateAttributeConditions, updateItem),
 *          run against the service.
 */
#include "dynamodb/older.h"

#include <stdio.h>
#include <stdlib.h>

#include "dynamodb/request.h"
#include "dynamodb/table.h"

#define INVALID "One or more parameter values were invalid: "
#define OPERATORS "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS"
#define BIT(type) (1u << (type))
#define SCALARS (BIT(LARDER_S) | BIT(LARDER_N) | BIT(LARDER_B))
#define SETS (BIT(LARDER_SS) | BIT(LARDER_NS) | BIT(LARDER_BS))
#define ANY (~0u)
#define ATTRIBUTES_MAX 255

/* Written with # for the attribute, : for a value, * for all values. */
static const struct operator{
    struct text name;
    uint32_t least, most; /* values */
    unsigned types;       /* that a filter takes */
    int is_of_keys;
    const char *form;
}
operators[] = {
    {TEXT("EQ"), 1, 1, SCALARS | SETS, 1, "# = :"},
    {TEXT("NE"), 1, 1, SCALARS | SETS, 0, "# <> :"},
    {TEXT("LE"), 1, 1, SCALARS, 1, "# <= :"},
    {TEXT("LT"), 1, 1, SCALARS, 1, "# < :"},
    {TEXT("GE"), 1, 1, SCALARS, 1, "# >= :"},
    {TEXT("GT"), 1, 1, SCALARS, 1, "# > :"},
    {TEXT("NOT_NULL"), 0, 0, ANY, 0, "attribute_exists(#)"},
    {TEXT("NULL"), 0, 0, ANY, 0, "attribute_not_exists(#)"},
    {TEXT("CONTAINS"), 1, 1, SCALARS, 0, "contains(#,:)"},
    {TEXT("NOT_CONTAINS"), 1, 1, SCALARS, 0, "NOT contains(#,:)"},
    {TEXT("BEGINS_WITH"), 1, 1, BIT(LARDER_S) | BIT(LARDER_B), 1, "begins_with(#,:)"},
    {TEXT("IN"), 1, UINT32_MAX, SCALARS, 0, "# IN (*)"},
    {TEXT("BETWEEN"), 2, 2, SCALARS, 1, "# BETWEEN : AND :"},
};

static const struct operator* operator_of(struct text name) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (text_is(operators[i].name, name))
            return &operators[i];
    return NULL;
}

static int refuse(struct failure *f, const char *message) {
    return failure_set(f, FAILURE_VALIDATION, INVALID "%s", message);
}

static int refuse_for(struct failure *f, const char *message, struct text attribute) {
    return failure_set(f, FAILURE_VALIDATION, INVALID "%s for Attribute: %.*s", message, (int)attribute.bytes,
                       attribute.at);
}

/* ---- Constraints ----------------------------------------------------------------------------- */

static void add_member(struct constraints *c, enum older_parameter parameter, struct text attribute, const char *member,
                       struct text value, const char *alternatives) {
    struct text list = older_names[parameter];
    char name[400];
    snprintf(name, sizeof name, "%c%.*s.%.*s.member.%s", list.at[0] | 0x20, (int)list.bytes - 1, list.at + 1,
             (int)attribute.bytes, attribute.at, member);
    if (value.at)
        constraint_add_choice(c, value, name, alternatives);
    else
        constraint_add_null(c, name);
}

void older_add_constraints(const struct older *o, struct constraints *c) {
    if (o->operator.at)
        constraint_add_choice(c, o->operator, "conditionalOperator", "OR, AND");
    for (uint32_t i = 0; i < o->condition_count; i++) {
        const struct older_condition *k = &o->conditions[i];
        if (k->operator.at || k->parameter != OLDER_EXPECTED)
            add_member(c, k->parameter, k->attribute, "comparisonOperator", k->operator, OPERATORS);
    }
    for (uint32_t i = 0; i < o->update_count; i++)
        if (o->updates[i].action.at)
            add_member(c, OLDER_ATTRIBUTE_UPDATES, o->updates[i].attribute, "action", o->updates[i].action,
                       "ADD, PUT, DELETE");
    if (!(o->given >> OLDER_ATTRIBUTES_TO_GET & 1))
        return;
    if (!o->attribute_count)
        constraint_add(c, TEXT("[]"), "attributesToGet", "have length greater than or equal to 1");
    if (o->attribute_count > ATTRIBUTES_MAX)
        constraint_add(c, TEXT("[..]"), "attributesToGet", "have length less than or equal to 255");
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static int check_count(const struct older_condition *c, const struct operator* o, struct failure *f) {
    if (c->value_count >= o->least && c->value_count <= o->most)
        return LARDER_OK;
    return failure_set(f, FAILURE_VALIDATION, INVALID "Invalid number of argument(s) for the %s ComparisonOperator",
                       o->name.at);
}

static int check_list(const struct older_condition *c, struct failure *f) {
    return c->is_mixed ? refuse(f, "AttributeValues inside AttributeValueList must be of same type") : LARDER_OK;
}

static int check_type(const struct older_condition *c, const struct operator* o, struct failure *f) {
    if (!c->value_count || o->types >> c->type & 1)
        return LARDER_OK;
    return failure_set(f, FAILURE_VALIDATION, INVALID "ComparisonOperator %s is not valid for %s AttributeValue type",
                       o->name.at, table_type_name(c->type));
}

static int check_expected(const struct older_condition *c, struct failure *f) {
    char message[160];
    const struct operator* o = c->operator.at ? operator_of(c->operator) : NULL;
    int r;
    if (c->has_list && c->has_value)
        return refuse_for(f, "Value and AttributeValueList cannot be used together", c->attribute);
    if (o) {
        if (c->exists >= 0)
            return refuse_for(f, "Exists and ComparisonOperator cannot be used together", c->attribute);
        snprintf(message, sizeof message, "Value or AttributeValueList must be used with ComparisonOperator: %s",
                 o->name.at);
        if (o->least && !c->has_list && !c->has_value)
            return refuse_for(f, message, c->attribute);
        if ((r = check_count(c, o, f)) || (r = check_list(c, f)))
            return r;
        /* What has no order; equality, IN and contains() take every type. */
        return o->is_of_keys && o != operators ? check_type(c, o, f) : LARDER_OK;
    }
    if (c->has_list)
        return refuse_for(f, "AttributeValueList can only be used with a ComparisonOperator", c->attribute);
    if (c->exists && !c->has_value)
        return refuse_for(f,
                          c->exists < 0 ? "Value must be provided when Exists is null"
                                        : "Value must be provided when Exists is true",
                          c->attribute);
    return !c->exists && c->has_value ? refuse_for(f, "Value cannot be used when Exists is false", c->attribute)
                                      : LARDER_OK;
}

static int check_filter(const struct older_condition *c, struct failure *f) {
    const struct operator* o = operator_of(c->operator);
    int r = check_count(c, o, f);
    if (r || (r = check_list(c, f)))
        return r;
    if ((r = check_type(c, o, f)))
        return r;
    if (c->parameter == OLDER_KEY_CONDITIONS && !o->is_of_keys)
        return failure_set(f, FAILURE_VALIDATION, "Attempted conditional constraint is not an indexable operation");
    return LARDER_OK;
}

static int check_update(const struct older_update *u, struct failure *f) {
    int is_delete = u->action.at && text_is(u->action, TEXT("DELETE"));
    if (!u->has_value)
        return is_delete ? LARDER_OK : refuse(f, "Only DELETE action is allowed when no attribute value is specified");
    if (is_delete && !(SETS >> u->type & 1))
        return failure_set(f, FAILURE_VALIDATION, INVALID "DELETE action with value is not supported for the type %s",
                           table_type_name(u->type));
    if (u->action.at && text_is(u->action, TEXT("ADD")) && !((SETS | BIT(LARDER_N)) >> u->type & 1))
        return failure_set(f, FAILURE_VALIDATION, INVALID "ADD action is not supported for the type %s",
                           table_type_name(u->type));
    return LARDER_OK;
}

static int check_attributes(const struct older *o, struct failure *f) {
    for (uint32_t i = 1; i < o->attribute_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (text_is(o->attributes[i], o->attributes[k]))
                return failure_set(f, FAILURE_VALIDATION, INVALID "Duplicate value in attribute name: %.*s",
                                   (int)o->attributes[i].bytes, o->attributes[i].at);
    return LARDER_OK;
}

int older_check(const struct older *o, const struct values *v, struct failure *f) {
    uint32_t key_conditions = 0;
    int r = LARDER_OK;
    if (o->value_count && v->problem)
        return failure_set(f, FAILURE_VALIDATION, "%s", v->message);
    if (o->value_count && !v->item)
        return failure_set(f, FAILURE_VALIDATION, "Item size has exceeded the maximum allowed size");
    for (uint32_t i = 0; i < o->update_count && r == LARDER_OK; i++)
        r = check_update(&o->updates[i], f);
    for (uint32_t i = 0; i < o->condition_count && r == LARDER_OK; i++) {
        const struct older_condition *c = &o->conditions[i];
        key_conditions += c->parameter == OLDER_KEY_CONDITIONS;
        r = c->parameter == OLDER_EXPECTED ? check_expected(c, f) : check_filter(c, f);
    }
    if (r || (r = check_attributes(o, f)))
        return r;
    /* whether there are too many is said of the key of the table or index: expr/keys.c */
    if (o->given >> OLDER_KEY_CONDITIONS & 1 && !key_conditions)
        return failure_set(f, FAILURE_VALIDATION, "Conditions can be of length 1 or 2 only");
    return LARDER_OK;
}

/* ---- Writing --------------------------------------------------------------------------------- */

#define CONDITION_BYTES 64 /* the longest form with its placeholders, of one value */
#define PLACEHOLDER_BYTES 16

struct writer {
    struct request *q;
    char *at;
    int has_failed;
};

static void put(struct writer *w, const char *text) {
    size_t bytes = strlen(text);
    memcpy(w->at, text, bytes);
    w->at += bytes;
}

/* A new placeholder for an attribute: the text in which it is also lies in the expression. */
static void put_name(struct writer *w, struct text attribute) {
    char *placeholder = w->at;
    w->at += sprintf(w->at, "#%u", w->q->name_count);
    w->has_failed |=
        request_add_name(w->q, (struct text){placeholder, (size_t)(w->at - placeholder)}, attribute) != LARDER_OK;
}

static void put_value(struct writer *w, uint32_t number) {
    w->at += sprintf(w->at, ":%u", number);
}

static void put_form(struct writer *w, const struct older_condition *c, const char *form) {
    uint32_t value = c->value;
    for (; *form; form++) {
        if (*form == '#')
            put_name(w, c->attribute);
        else if (*form == ':')
            put_value(w, value++);
        else if (*form != '*')
            *w->at++ = *form;
        else
            for (uint32_t i = 0; i < c->value_count; i++) {
                put(w, i ? "," : "");
                put_value(w, value + i);
            }
    }
}

static const char *form_of(const struct older_condition *c) {
    if (c->operator.at)
        return operator_of(c->operator)->form;
    return c->exists ? "# = :" : "attribute_not_exists(#)";
}

/* What was put from `start` on becomes the string, if it is anything. */
static void end_string(struct writer *w, enum request_string string, const char *start) {
    if (w->at > start)
        w->q->strings[string] = (struct text){start, (size_t)(w->at - start)};
}

static void write_conditions(struct writer *w, enum older_parameter parameter, enum request_string string) {
    const struct older *o = &w->q->older;
    int is_or = parameter != OLDER_KEY_CONDITIONS && o->operator.at && text_is(o->operator, TEXT("OR"));
    const char *start = w->at;
    for (uint32_t i = 0; i < o->condition_count; i++) {
        if (o->conditions[i].parameter != parameter)
            continue;
        if (w->at > start)
            put(w, is_or ? " OR " : " AND ");
        put_form(w, &o->conditions[i], form_of(&o->conditions[i]));
    }
    end_string(w, string, start);
}

enum clause { CLAUSE_SET, CLAUSE_REMOVE, CLAUSE_ADD, CLAUSE_DELETE, CLAUSE_COUNT };

static enum clause clause_of(const struct older_update *u) {
    if (u->action.at && text_is(u->action, TEXT("ADD")))
        return CLAUSE_ADD;
    if (u->action.at && text_is(u->action, TEXT("DELETE")))
        return u->has_value ? CLAUSE_DELETE : CLAUSE_REMOVE;
    return CLAUSE_SET;
}

static void write_updates(struct writer *w) {
    static const char *const starts[] = {"SET ", " REMOVE ", " ADD ", " DELETE "};
    const struct older *o = &w->q->older;
    const char *start = w->at;
    for (int clause = 0; clause < CLAUSE_COUNT; clause++) {
        int is_first = 1;
        for (uint32_t i = 0; i < o->update_count; i++) {
            if ((int)clause_of(&o->updates[i]) != clause)
                continue;
            put(w, is_first ? starts[clause] : ",");
            is_first = 0;
            put_name(w, o->updates[i].attribute);
            put(w, clause == CLAUSE_SET ? "=" : " ");
            if (clause != CLAUSE_REMOVE)
                put_value(w, o->updates[i].value);
        }
    }
    end_string(w, STRING_UPDATE, start);
}

static void write_attributes(struct writer *w) {
    const struct older *o = &w->q->older;
    const char *start = w->at;
    for (uint32_t i = 0; i < o->attribute_count; i++) {
        put(w, i ? "," : "");
        put_name(w, o->attributes[i]);
    }
    end_string(w, STRING_PROJECTION, start);
}

int older_write(struct request *q) {
    struct older *o = &q->older;
    size_t room = 64 + (size_t)o->condition_count * CONDITION_BYTES +
                  ((size_t)o->value_count + 2u * o->update_count + o->attribute_count) * PLACEHOLDER_BYTES;
    if (!o->given)
        return LARDER_OK;
    if (room > o->text_room) {
        free(o->text);
        o->text_room = 0;
        if (!(o->text = malloc(room)))
            return LARDER_E_NO_MEMORY;
        o->text_room = room;
    }
    struct writer w = {.q = q, .at = o->text};
    write_updates(&w);
    write_conditions(&w, OLDER_EXPECTED, STRING_CONDITION);
    write_conditions(&w, OLDER_KEY_CONDITIONS, STRING_KEY_CONDITION);
    write_conditions(&w, OLDER_QUERY_FILTER, STRING_FILTER);
    write_conditions(&w, OLDER_SCAN_FILTER, STRING_FILTER);
    write_attributes(&w);
    q->has_names = q->name_count > 0;
    if (o->value_count) {
        q->values_map = MAP_OLDER;
        q->has_maps |= 1u << MAP_OLDER;
    }
    return w.has_failed ? LARDER_E_NO_MEMORY : LARDER_OK;
}
