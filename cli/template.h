/* cli/template.h - table definitions from CloudFormation templates and create-table JSON. */
#ifndef LARDER_CLI_TEMPLATE_H
#define LARDER_CLI_TEMPLATE_H

#include <jansson.h>

#include "cli/place.h"
#include "larder.h"

/* One table of a template, in a list. Its strings belong to the JSON in the set. */
struct template_table {
    struct template_table *next;
    const char *source; /* file it came from, borrowed; for messages */
    struct larder_table_def def;
    struct larder_index_def indexes[LARDER_INDEXES_MAX];
};

/* The tables of all templates read so far, in their order. Zero it to start. */
struct template_set {
    struct template_table *first, **last; /* *last: where the next one goes */
    json_t *documents;                    /* array that keeps the strings alive */
};

/* Adds every table of a document: each AWS::DynamoDB::Table and GlobalTable of a CloudFormation
 * template, or the one of `aws dynamodb create-table --cli-input-json`. `source` is borrowed for as
 * long as the set. LARDER_OK, or LARDER_E_INVAL or LARDER_E_NO_MEMORY with place->problem; then the
 * set may hold a part of the tables and is only good for template_free(). */
int template_add(struct template_set *set, json_t *document, const char *source, struct place *place);

void template_free(struct template_set *set);

#endif
