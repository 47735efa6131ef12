/* dynamodb/prepared.h - the expressions of a request: checked, prepared, and kept for the next one.
 *
 * Idea     An expression is compiled twice when it is first met: by larder_prepare(), for the
 *          engine to use, and by this library's copy of expr/, which knows names and values and so
 *          finds the service's first error. Both are kept under the text and the names.
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#ifndef LARDER_DYNAMODB_PREPARED_H
#define LARDER_DYNAMODB_PREPARED_H

#include "dynamodb/context.h"

struct prepared {
    struct prepared *next; /* in a list of those that were replaced */
    struct larder_expr *engine;
    struct expr *checked;
    size_t key_bytes;
    char *key;      /* kind, text and names */
    uint8_t used[]; /* one for each name: whether the expression has it */
};

/* Checks the request's expressions, names and values in the service's order, and fills
 * d->expressions. LARDER_OK; LARDER_E_INVAL with the failure set. */
int prepared_take(struct larder_dynamodb *d);
/* The same for one of several parts of a request: expressions of the parts before stay. */
int prepared_take_more(struct larder_dynamodb *d);
/* A failure of the copy of expr/, after one of its functions: LARDER_E_INVAL with the failure
 * set. */
int prepared_fail(struct larder_dynamodb *d, int result);
/* Finds the values of one of them in the request: d->bound. */
int prepared_bind(struct larder_dynamodb *d, const struct prepared *p);
/* The item of the request's values; NULL: it has none. */
const struct larder_item *prepared_values(const struct larder_dynamodb *d);

/* An item with what the paths of a projection or update name in it. *out is NULL if that is
 * nothing; it lives until the next call. LARDER_OK; LARDER_E_INVAL with the failure set. */
int prepared_project(struct larder_dynamodb *d, const struct prepared *p, const struct larder_item *item,
                     const struct larder_item **out);

void prepared_free(struct larder_dynamodb *d, struct prepared *p);
void prepared_free_replaced(struct larder_dynamodb *d);

#endif
