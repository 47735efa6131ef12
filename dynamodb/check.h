/* dynamodb/check.h - what the service checks of a request before it looks for the table.
 *
 * Picture  constraints of single parameters -> parameters that exclude each other -> values ->
 *          expressions (prepared.h)
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#ifndef LARDER_DYNAMODB_CHECK_H
#define LARDER_DYNAMODB_CHECK_H

#include "dynamodb/request.h"

/* Everything but the expressions themselves. LARDER_OK, or LARDER_E_INVAL with the failure set. */
int check_request(const struct request *q, struct failure *f);
/* A problem of a map of values, in the words of the operation. LARDER_OK: it has none. */
int check_values(const struct request *q, enum request_map map, struct failure *f);

#endif
