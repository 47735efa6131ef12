/* cli/json_item.h - DynamoDB JSON <-> items. */
#ifndef LARDER_CLI_JSON_ITEM_H
#define LARDER_CLI_JSON_ITEM_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/place.h"
#include "larder.h"

/* Resets the builder and builds the item of `json`: {"name": {"S": "text"}, ...}, or that inside
 * {"Item": ...}. LARDER_OK, or LARDER_E_INVAL, LARDER_E_NO_MEMORY with the reason in
 * place->problem. *out lives as long as the builder keeps it. */
int json_item_build(struct larder_builder *builder, const json_t *json, const struct larder_item **out,
                    struct place *place);

/* Whether this reads as an attribute's value, {"S": "text"} and the like, all the way down. */
bool json_item_is_value(const json_t *json);

/* The item as DynamoDB JSON, a new reference. NULL: out of memory, or the item is damaged (for
 * example, text that is not UTF-8). */
json_t *json_item_json(const struct larder_item *item);

#endif
