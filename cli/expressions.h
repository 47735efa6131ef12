/* cli/expressions.h - the options of expressions, as `aws dynamodb` has them.
 *
 * Job      --expression-attribute-names and --expression-attribute-values become names and an item;
 *          each --...-expression becomes a prepared expression.
 */
#ifndef LARDER_CLI_EXPRESSIONS_H
#define LARDER_CLI_EXPRESSIONS_H

#include <jansson.h>

#include "cli/attach.h"
#include "cli/place.h"

#define EXPRESSIONS_MAX 4

/* Zero it first; expressions_close() is always allowed, before attach_close(). */
struct expressions {
    json_t *names_json; /* the texts of `names` */
    struct larder_expr_name *names;
    uint32_t name_count;
    struct larder_builder *builder;
    const struct larder_item *values; /* NULL: none were given */
    struct larder_expr *prepared[EXPRESSIONS_MAX];
    int prepared_count;
};

/* Two options that follow each other in a command's table. */
#define EXPRESSIONS_OPTIONS                                                                                            \
    {"expression-attribute-names", 1, "JSON", "names for placeholders: {\"#s\": \"status\"}"}, {                       \
        "expression-attribute-values", 1, "JSON", "values for placeholders: {\":n\": {\"N\": \"1\"}}"                  \
    }

/* Reads the two options, of which the first has the number `names_option`. EXIT_DONE, or an exit
 * code after a message. */
int expressions_open(struct expressions *e, struct attach *attach, const struct args *args, int names_option);
/* The same of members of a request: `names` and `values` may be NULL. */
int expressions_open_json(struct expressions *e, struct larder *db, json_t *names, json_t *values, struct place *place);
/* Prepares the expression of an option, if it is given. It ends with expressions_close(). */
int expressions_prepare(struct expressions *e, const struct attach *attach, const struct args *args, int option,
                        enum larder_expr_kind kind, const struct larder_expr **out);
int expressions_prepare_text(struct expressions *e, struct larder *db, const char *text, enum larder_expr_kind kind,
                             const struct larder_expr **out);
void expressions_close(struct expressions *e);

#endif
