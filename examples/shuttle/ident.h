/* ident.h - from an item's key back to its place in the load: undoes key_of() for the table. */
#ifndef SHUTTLE_IDENT_H
#define SHUTTLE_IDENT_H

#include <stdbool.h>

#include "gen.h"

/**
 * Finds whose key this is. Reads no more than it needs to (a wrong digit elsewhere may pass): the
 * caller then compares the item, keys included, with what the generator makes of the place.
 * @return False if no item of the load can have this key.
 */
bool ident_find(const struct gen *g, const char *partition, const char *sort, struct gen_place *out);

#endif
