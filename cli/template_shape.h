/* cli/template_shape.h - of an evaluated template, what a table is made of. */
#ifndef LARDER_CLI_TEMPLATE_SHAPE_H
#define LARDER_CLI_TEMPLATE_SHAPE_H

#include <jansson.h>

#include "cli/evaluate.h"

/* What is read of a value. */
struct template_shape {
    const char *name; /* of the member */
    enum { SHAPE_TEXT, SHAPE_OBJECT, SHAPE_LIST } kind;
    const struct template_shape *members; /* of the object, or of each element; NULL: texts */
};

/* The properties of an AWS::DynamoDB::Table, in the words of CreateTable, without TableName; those
 * of an AWS::Serverless::SimpleTable; those of a table in a model of NoSQL Workbench. Each ends
 * with a name of NULL. */
extern const struct template_shape template_shape_table[], template_shape_simple[], template_shape_workbench[];

/* A plain copy of `node` with the members of the shape. Names of others are added to `ignored`, an
 * array of texts, each once. LARDER_OK and a new reference (NULL for AWS::NoValue), or a failure
 * with place->problem. */
int template_shape_copy(struct evaluator *e, json_t *node, const struct template_shape *members, json_t *ignored,
                        json_t **out);

/* Adds a text to an array of texts, once. */
int template_shape_note(struct evaluator *e, json_t *texts, const char *text);

#endif
