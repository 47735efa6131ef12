/* cli/json_text.h - JSON from an argument, standard input or a file, with the place of each
 * error. */
#ifndef LARDER_CLI_JSON_TEXT_H
#define LARDER_CLI_JSON_TEXT_H

#include <jansson.h>

#include "cli/place.h"
#include "larder.h"

/* jansson flags for item and key JSON: strings may hold zero bytes, names may not come twice. */
#define JSON_TEXT_ITEM (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* The JSON of a file; "-" is standard input. EXIT_DONE and a new reference, or an exit code with a
 * message. */
int json_text_file(const char *path, json_t **out);
/* The same of a file with items in it, whose names may hold zero bytes. */
int json_text_file_items(const char *path, struct place *place, json_t **out);

/* The JSON of an argument, or of standard input if it is "-". `what` names it in messages. */
int json_text_of(const char *argument, const char *what, json_t **out);

/* The item of an argument, or of standard input if it is "-". `what` names it in messages ("the
 * item"). */
int json_text_item(struct larder_builder *builder, const char *argument, const char *what,
                   const struct larder_item **out);

#endif
