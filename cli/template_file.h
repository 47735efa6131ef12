/* cli/template_file.h - a template's file, JSON or YAML, as one document. */
#ifndef LARDER_CLI_TEMPLATE_FILE_H
#define LARDER_CLI_TEMPLATE_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "cli/node_lines.h"
#include "cli/place.h"

/* Parses a template's text. `name` is its path: .json is JSON and .yaml, .yml YAML; what else
 * begins with { or [ is JSON, too. LARDER_OK and a new reference, or LARDER_E_INVAL or
 * LARDER_E_NO_MEMORY with place->problem and its line. `lines` gets the lines of all nodes. */
int template_file_parse(const char *name, const char *text, size_t bytes, struct node_lines *lines, struct place *place,
                        json_t **out);

#endif
