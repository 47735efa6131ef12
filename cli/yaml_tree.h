/* cli/yaml_tree.h - YAML text as the JSON that it stands for, with CloudFormation's short tags. */
#ifndef LARDER_CLI_YAML_TREE_H
#define LARDER_CLI_YAML_TREE_H

#include <jansson.h>
#include <stddef.h>

#include "cli/node_lines.h"
#include "cli/place.h"

#define YAML_TREE_DEPTH_MAX 100
#define YAML_TREE_NODES_MAX 200000 /* a node that aliases repeat counts each time */

/* Reads one document. !Sub X becomes {"Fn::Sub": X}, !Ref X {"Ref": X}; numbers and dates stay the
 * texts that they are; true and false are JSON's. LARDER_OK and a new reference, or LARDER_E_INVAL
 * or LARDER_E_NO_MEMORY with place->problem, place->line and place->column. The lines of all nodes
 * go to `lines`, also those that come before a failure. */
int yaml_tree_load(const char *text, size_t bytes, struct node_lines *lines, struct place *place, json_t **out);

#endif
