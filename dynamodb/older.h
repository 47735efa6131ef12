/* dynamodb/older.h - the parameters that were there before expressions.
 *
 * Idea     They are read into lists, checked in their own words, and then written as
 *          expressions, with placeholders for names and values: "#0 = :0 AND
 *          attribute_exists(#1)". From there on a request is as any other. So one of them is
 *          limited as the expression is.
 * Source   Developer guide, "Legacy conditional parameters", which has the expression for each.
 * Tests    tests/dynamodb/dynamodb_older_test.c
 */
#ifndef LARDER_DYNAMODB_OLDER_H
#define LARDER_DYNAMODB_OLDER_H

#include "dynamodb/constraint.h"
#include "dynamodb/values.h"

/* Parameters, in the order in which messages list them. */
enum older_parameter {
    OLDER_ATTRIBUTES_TO_GET,
    OLDER_ATTRIBUTE_UPDATES,
    OLDER_EXPECTED,
    OLDER_QUERY_FILTER,
    OLDER_SCAN_FILTER,
    OLDER_CONDITIONAL_OPERATOR,
    OLDER_KEY_CONDITIONS,
    OLDER_COUNT
};

/* Of Expected, a filter or KeyConditions. */
struct older_condition {
    enum older_parameter parameter;
    struct text attribute, operator;
    int exists; /* -1: absent */
    int has_value, has_list, is_mixed;
    enum larder_type type;       /* of the first value */
    uint32_t value, value_count; /* placeholders ":N" from here on */
};

struct older_update {
    struct text attribute, action;
    int has_value;
    enum larder_type type;
    uint32_t value;
};

struct older {
    unsigned given; /* a bit for each parameter */
    struct older_condition *conditions;
    uint32_t condition_count, condition_capacity;
    struct older_update *updates;
    uint32_t update_count, update_capacity;
    struct text *attributes; /* AttributesToGet */
    uint32_t attribute_count, attribute_capacity;
    struct text operator; /* ConditionalOperator */
    uint32_t value_count;
    char *text; /* what older_write() wrote */
    size_t text_room;
};

struct request;

extern const struct text older_names[OLDER_COUNT];

/* Before a request is read. Zero it before the first. */
void older_forget(struct older *o);
void older_free(struct older *o);
/* Reads one of them. Its values go into `v`. As request_read(). */
int older_read(struct older *o, enum older_parameter parameter, struct values *v, struct wire *wire);
/* Ends `v`, if it has values. */
int older_end(struct older *o, struct values *v, struct wire *wire);
/* One of AttributesToGet; LARDER_E_NO_MEMORY. */
int older_add_attribute(struct older *o, struct text name);

/* Enums, and lengths of lists. */
void older_add_constraints(const struct older *o, struct constraints *c);
/* What is checked of them before the table is looked for. `v` has their values. */
int older_check(const struct older *o, const struct values *v, struct failure *f);
/* Writes them as expressions into the request. LARDER_OK, LARDER_E_NO_MEMORY. */
int older_write(struct request *q);

#endif
