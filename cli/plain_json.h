/* cli/plain_json.h - plain JSON as DynamoDB JSON: {"n": 1} as {"n": {"N": "1"}}. */
#ifndef LARDER_CLI_PLAIN_JSON_H
#define LARDER_CLI_PLAIN_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "larder.h"

#define PLAIN_JSON_DEPTH_MAX 64 /* of lists and objects; the builder allows fewer */

/* The same text with the types written out; numbers keep their digits. Line ends stay where they
 * are. What is no JSON comes out as text that is none either. *out is the caller's to free. NULL,
 * or what is wrong. */
const char *plain_json_typed(const char *text, size_t bytes, char **out, size_t *out_bytes);

/* Gives key attributes of the table and of its indexes, in an item in DynamoDB JSON, the type that
 * they have there: a number for a key that is a text becomes its text, and so on. 0, or -1: out of
 * memory. */
int plain_json_keys(json_t *item, const struct larder_table_def *def);

/* Whether an object looks like plain JSON: a member is no object. */
int plain_json_is_likely(const json_t *object);

#endif
