/* cli/evaluate.h - CloudFormation's functions: from a value of a template to a plain one. */
#ifndef LARDER_CLI_EVALUATE_H
#define LARDER_CLI_EVALUATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/place.h"

#define EVALUATE_DEPTH_MAX 100
#define EVALUATE_STEPS_MAX 500000 /* values looked at, for one document */
#define EVALUATE_TEXT_BYTES_MAX ((size_t)64 << 10)

/* NAME=VALUE of the command line. */
struct evaluate_pair {
    const char *name;
    size_t name_bytes;
    const char *value;
    bool is_used; /* some template has that name */
};
struct evaluate_pairs {
    struct evaluate_pair *pairs;
    size_t count;
};
/* The pair of that name, which is now used; NULL: none, or pairs is NULL. */
const struct evaluate_pair *evaluate_pair(const struct evaluate_pairs *pairs, const char *name);

/* What a template's functions refer to. Members of the template that it does not have are NULL. */
struct evaluator {
    json_t *parameters, *mappings, *conditions, *resources;
    const struct evaluate_pairs *given; /* values of parameters; may be NULL */
    struct place *place;
    bool is_serverless; /* a file of the Serverless Framework: ${...} may stand anywhere */
    bool is_data;       /* no template: ${...} is text like any other */
    size_t root_bytes;  /* of the place's path: where the template begins in its document */
    size_t depth, steps;
};

/* Each gives a new reference: LARDER_OK, or LARDER_E_INVAL or LARDER_E_NO_MEMORY with
 * place->problem. *out NULL: the value is AWS::NoValue, as if it were not there. */

/* The function that a value is, applied: an object, array or scalar, whose inside may still have
 * functions. */
int evaluate_head(struct evaluator *e, json_t *node, json_t **out);
/* A value without any function in it. */
int evaluate_all(struct evaluator *e, json_t *node, json_t **out);
/* A value that is a text or has one: numbers and booleans become their texts. Never NULL. */
int evaluate_text(struct evaluator *e, json_t *node, json_t **out);
/* The members of an object, Fn::ForEach loops expanded. */
int evaluate_members(struct evaluator *e, json_t *object, json_t **out);
/* What a name stands for: a parameter or pseudo parameter. */
int evaluate_name(struct evaluator *e, const char *name, json_t **out);
/* Whether the condition of this name is true. */
int evaluate_condition(struct evaluator *e, const char *name, bool *out);

/* ---- For the files of the evaluator ---------------------------------------------------------- */

/* One step: fails beyond EVALUATE_STEPS_MAX. */
int evaluate_step(struct evaluator *e);
int evaluate_no_memory(struct evaluator *e);
/* Gives a new value out; NULL: out of memory. */
int evaluate_give(struct evaluator *e, json_t *value, json_t **out);
/* A text that may be too long. */
int evaluate_give_text(struct evaluator *e, const char *text, size_t bytes, json_t **out);
/* The scalar's text, a new reference. */
int evaluate_scalar_text(struct evaluator *e, json_t *scalar, json_t **out);
/* The function's argument, if it is an array of min to max elements. */
int evaluate_arguments(struct evaluator *e, json_t *argument, size_t min, size_t max, const char *form);
/* Element i of the arguments as text, and as a value that must be an array. */
int evaluate_text_at(struct evaluator *e, json_t *arguments, size_t i, json_t **out);
int evaluate_list_at(struct evaluator *e, json_t *arguments, size_t i, json_t **out);
/* Fails if the text has a variable of the Serverless Framework. */
int evaluate_check_variable(struct evaluator *e, const char *text);

/* The functions: argument in, value out. */
int evaluate_if(struct evaluator *e, json_t *argument, json_t **out);
int evaluate_sub(struct evaluator *e, json_t *argument, json_t **out);
int evaluate_join(struct evaluator *e, json_t *argument, json_t **out);
int evaluate_split(struct evaluator *e, json_t *argument, json_t **out);
int evaluate_base64(struct evaluator *e, json_t *argument, json_t **out);
int evaluate_to_json(struct evaluator *e, json_t *argument, json_t **out);

#endif
