/* cli/table_def.h - the definition of a table from a plain description of it. */
#ifndef LARDER_CLI_TABLE_DEF_H
#define LARDER_CLI_TABLE_DEF_H

#include <jansson.h>

#include "cli/place.h"
#include "larder.h"

/* Reads all but the name, from an object in the words of CreateTable; TimeToLiveSpecification and
 * DeletionProtectionEnabled count, too. `indexes` has room for LARDER_INDEXES_MAX. The definition
 * borrows the strings; the arrays `included` of its indexes, also after a failure, are the caller's
 * to free. LARDER_OK, or LARDER_E_INVAL or LARDER_E_NO_MEMORY with place->problem. */
int table_def_read(struct place *place, const json_t *properties, struct larder_table_def *def,
                   struct larder_index_def *indexes);

#endif
