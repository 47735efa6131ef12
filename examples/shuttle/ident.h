/* ident.h - from an item's key back to its place in the load: undoes key_of() for the table. */
#ifndef SHUTTLE_IDENT_H
#define SHUTTLE_IDENT_H

#include <stdbool.h>

#include "gen.h"

/**
 * Finds the place of a key. Reads no more than it needs (a wrong digit elsewhere may pass): the
 * caller then compares the item, keys included, with the generator's item of that place.
 * @return False if no item of the load can have this key.
 */
bool ident_find(const struct gen *g, const char *partition, const char *sort, struct gen_place *out);

#endif
