/* cli/json_nul.h - attribute names with zero bytes: JSON can write them (\u0000), jansson refuses
 * them. */
#ifndef LARDER_CLI_JSON_NUL_H
#define LARDER_CLI_JSON_NUL_H

#include <jansson.h>
#include <stddef.h>

#include "cli/place.h"

/* json_loadb() with JSON_TEXT_ITEM. Zero bytes in members' names are replaced by a stand-in, which
 * place->stand_in then names. */
json_t *json_nul_load(const char *text, size_t bytes, struct place *place, json_error_t *error);

/* Whether a name has zero bytes. Then *shown (the caller frees it) is the name with them; NULL: out
 * of memory. */
int json_nul_is_in(const char *name, size_t bytes, const struct place *place, char **shown, size_t *shown_bytes);

#endif
