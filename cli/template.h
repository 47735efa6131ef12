/* cli/template.h - the tables of templates and of other documents that describe tables. */
#ifndef LARDER_CLI_TEMPLATE_H
#define LARDER_CLI_TEMPLATE_H

#include <jansson.h>

#include "cli/evaluate.h"
#include "cli/place.h"
#include "larder.h"

/* One table of a template, in a list. Its strings belong to the JSON in the set. */
struct template_table {
    struct template_table *next;
    const char *source; /* file it came from, borrowed; for messages */
    struct larder_table_def def;
    struct larder_index_def indexes[LARDER_INDEXES_MAX];
    json_t *items; /* array of items in DynamoDB JSON that come with it, or NULL */
};

/* What the command line says about the templates. */
struct template_settings {
    struct evaluate_pairs parameters; /* --parameter NAME=VALUE */
    struct evaluate_pairs names;      /* --name LOGICAL_ID=NAME, or OLD=NEW */
    const char *only_name;            /* --name NAME: of a table that has none */
    bool is_only_name_used;
};

/* The tables of all templates read so far, in their order. Zero it to start. */
struct template_set {
    struct template_table *first, **last; /* *last: where the next one goes */
    json_t *documents;                    /* array that keeps the strings alive */
    struct template_settings *settings;   /* borrowed; NULL: none */
    json_t *notes;                        /* array of texts: what the last document had that means nothing here */
};

/* Adds every table of a document: of a CloudFormation or SAM template, of a file of the Serverless
 * Framework, of `aws dynamodb create-table --cli-input-json`, of the output of describe-table, or
 * of a model of NoSQL Workbench. `source` is borrowed for as long as the set. LARDER_OK, or
 * LARDER_E_INVAL or LARDER_E_NO_MEMORY with place->problem; then the set may hold a part of the
 * tables and is only good for template_free(). */
int template_add(struct template_set *set, json_t *document, const char *source, struct place *place);

void template_free(struct template_set *set);

/* ---- For the files that read a kind of document ---------------------------------------------- */

/* Appends a new table to the list; NULL: out of memory, and place->problem. */
struct template_table *template_append(struct template_set *set, const char *source, struct place *place);
/* Keeps a value, a new reference that is given away, as long as the set. */
int template_keep(struct template_set *set, struct evaluator *e, json_t *value);
/* Notes a text; at most once. */
int template_note(struct template_set *set, struct evaluator *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Notes, in one line, the names of members that were passed over, and how many resources, with
 * their types. */
int template_note_ignored(struct template_set *set, struct evaluator *e, json_t *ignored, json_t *types,
                          size_t resource_count);
/* Reads a plain description into the table; it is kept. */
int template_define(struct template_set *set, struct evaluator *e, json_t *plain, struct template_table *table);
/* Gives a table its name: of --name, of TableName (may be NULL), else its logical id (NULL:
 * none). */
int template_name(struct template_set *set, struct evaluator *e, const char *id, json_t *table_name,
                  struct template_table *table);

/* The kinds: the document, or the part with the tables, is `top`. */
int template_cloudformation(struct template_set *set, struct evaluator *e, json_t *top, const char *source);
int template_workbench(struct template_set *set, struct evaluator *e, json_t *models, const char *source);
/* Whether this is a resource that is a table. */
bool template_is_table(json_t *resource);

#endif
