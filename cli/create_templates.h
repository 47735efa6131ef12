/* cli/create_templates.h - the templates of a command line, read into one set. */
#ifndef LARDER_CLI_CREATE_TEMPLATES_H
#define LARDER_CLI_CREATE_TEMPLATES_H

#include "cli/args.h"
#include "cli/template.h"

struct create_templates {
    struct template_set set;
    struct template_settings settings;
    struct evaluate_pair pairs[2][ARGS_REPEATED_MAX]; /* of parameters, of names */
};

/* Reads the files that are the operands, with --parameter and --name (the numbers of these
 * options). What the templates have and a cache does not need is reported, a line for each kind.
 * EXIT_DONE, or an exit code after a message. create_templates_free() is always allowed after
 * it. */
int create_templates_read(struct create_templates *templates, const struct args *args, int parameter_option,
                          int name_option);
void create_templates_free(struct create_templates *templates);

#endif
