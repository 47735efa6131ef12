/* dynamodb/values.h - AttributeValues of a request become an item.
 *
 * Job      Reads {"name": {"S": "text"}, ..} from a document straight into a builder.
 * Errors   The service looks at a request in two rounds: first at the types of everything
 *          (SerializationException), then at the values. So a value that is not allowed is noted,
 *          nothing more is built, and reading goes on. A type that is not allowed ends it.
 * Tests    tests/dynamodb/dynamodb_values_test.c
 */
#ifndef LARDER_DYNAMODB_VALUES_H
#define LARDER_DYNAMODB_VALUES_H

#include "dynamodb/wire.h"

#define VALUES_MESSAGE_BYTES 1024
#define VALUES_LEVELS_MAX (LARDER_NESTING_MAX - 1) /* of M and L: the attribute is a level itself */

enum values_problem_kind {
    VALUES_OK,
    VALUES_PROBLEM,
    /* a number that is none, or a set that has a member twice: operations word these differently */
    VALUES_PROBLEM_OF_NUMBER_OR_SET
};

struct values {
    struct larder_builder *builder; /* borrowed, and reset by values_read() */
    const struct larder_item *item; /* lives as long as the builder keeps it; NULL with a problem */
    uint32_t count;                 /* attributes */
    int is_too_large;               /* over 400 KB, and nothing worse */
    int has_duplicates;             /* a name was given twice in one map (rule D3): read again */
    enum values_problem_kind problem;
    struct text problem_at; /* the attribute that has it */
    /* the first name that is no placeholder such as ":v": the service says so before it looks at
     * the values; at NULL: all are */
    struct text bad_placeholder;
    char message[VALUES_MESSAGE_BYTES];
    /* members of the set that is being read, to be shown if one comes twice */
    struct text *members;
    uint32_t member_count, member_capacity;
    enum larder_type last_type; /* of the value that values_add() read last */
    int is_muted;               /* there is a problem: nothing more is built */
};

/* Reads a value that is to be a map of AttributeValues. LARDER_OK, whatever problem there is;
 * LARDER_NOT_FOUND: null; LARDER_E_INVAL, LARDER_E_NO_MEMORY: wire->failure is set. */
int values_read(struct values *v, struct wire *wire);
/* The same, value by value: each AttributeValue that comes next becomes the attribute `name`.
 * is_field: it is a member of a structure, which changes words. LARDER_NOT_FOUND: null. */
void values_begin(struct values *v);
int values_add(struct values *v, struct wire *wire, struct text name, int is_field);
int values_end(struct values *v, struct wire *wire);
/* After the last use: gives back what it keeps from call to call. Zero it before the first. */
void values_free(struct values *v);

#endif
