/* dynamodb/tags.h - tags of a table.
 *
 * Source   Developer guide, "Tagging restrictions in DynamoDB". Words: as the service's users and
 *          controllers report them.
 * Tests    tests/dynamodb/dynamodb_settings_test.c
 */
#ifndef LARDER_DYNAMODB_TAGS_H
#define LARDER_DYNAMODB_TAGS_H

#include "dynamodb/context.h"

/* Those of a request: what each must be, none twice, not too many. LARDER_OK, LARDER_E_INVAL with
 * the failure set. */
int tags_check(struct larder_dynamodb *d);

#endif
