/* dynamodb/constraint.h - parameters that break a constraint of the API's model.
 *
 * Job      Collects them, as the service does: "2 validation errors detected: Value ...; Value
 *          ...". At most ten are listed.
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#ifndef LARDER_DYNAMODB_CONSTRAINT_H
#define LARDER_DYNAMODB_CONSTRAINT_H

#include "dynamodb/failure.h"

#define CONSTRAINT "failed to satisfy constraint: Member must "

struct constraints {
    uint32_t count;
    size_t used;
    char text[FAILURE_MESSAGE_BYTES];
};

/* "Value 'x' at 'name' failed to satisfy constraint: Member must ..". value.at NULL: it is null. */
void constraint_add(struct constraints *c, struct text value, const char *name, const char *must);
/* It is null, and must not be. */
void constraint_add_null(struct constraints *c, const char *name);
/* A name of a table or index, which may be an ARN: its characters and length. */
void constraint_add_name(struct constraints *c, struct text given, const char *name);
/* It is not one of the alternatives, which are written "A, B, C". */
void constraint_add_choice(struct constraints *c, struct text value, const char *name, const char *alternatives);
/* It is not from least to most. */
void constraint_add_range(struct constraints *c, int64_t value, const char *name, int64_t least, int64_t most);
/* LARDER_OK: there are none; LARDER_E_INVAL with the failure set. */
int constraint_report(const struct constraints *c, struct failure *f);

int constraint_is_one_of(struct text value, const char *alternatives);
/* The name in a TableName, which may be an ARN; `given` itself if it is none. */
struct text constraint_table_name(struct text given);

#endif
