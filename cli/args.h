/* cli/args.h - command line: the options of a command, parsed and printed from one table. */
#ifndef LARDER_CLI_ARGS_H
#define LARDER_CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#define ARGS_OPTIONS_MAX 24
#define ARGS_VALUES_MAX 2
#define ARGS_REPEATED_MAX 200 /* of all options that may be repeated */

/* One long option. A table of them starts with ARGS_COMMON and ends with a name of NULL. */
struct args_option {
    const char *name; /* without the dashes */
    int value_count;  /* 0: a switch */
    const char *placeholder;
    const char *help;
    bool is_repeated; /* may be given several times, with one value each: args.repeated has them */
};

/* Every command has these, in these places; its own options follow from ARGS_OWN on. */
enum { ARGS_SEGMENT, ARGS_ANY_OWNER, ARGS_HELP, ARGS_OWN };
#define ARGS_COMMON ARGS_COMMON_OF("also a segment of another user; to read one, this is not needed")
#define ARGS_COMMON_OF(any_owner_help)                                                                                 \
    {"segment", 1, "NAME|PATH", "the segment; default: $LARDER_SEGMENT, else larder"},                                 \
        {"any-owner", 0, "", any_owner_help}, {                                                                        \
        "help", 0, "", "this text"                                                                                     \
    }

/* A parsed command line. Everything in it points into argv. */
struct args {
    struct {
        bool is_given;
        const char *value[ARGS_VALUES_MAX];
    } option[ARGS_OPTIONS_MAX];
    struct {
        int option;
        const char *value;
    } repeated[ARGS_REPEATED_MAX];
    int repeated_count;
    char **positional;
    int positional_count;
};

/* A command of `larder`. */
struct command {
    const char *name;
    const char *operands; /* as usage shows them: "TABLE KEY-JSON" */
    const char *summary;  /* one line for the list of commands */
    const char *details;  /* printed by --help between usage and options; ends with a newline */
    const struct args_option *options;
    int positional_min, positional_max; /* -1: no bound */
    int (*run)(const struct args *args);
};

/* Sorts argv (without program and command name) into options and operands. Options are
 * "--name value" or "--name=value"; "--" ends them. Values are taken as they are, even with a
 * leading dash. Operands are moved to the front of argv. EXIT_DONE, or EXIT_USAGE with a
 * message. */
int args_parse(const struct command *command, int argc, char **argv, struct args *out);

/* Usage, details, options and exit codes on standard output. */
void args_print_help(const struct command *command);

/* Values of given options. EXIT_DONE (out untouched if the option is not given), or EXIT_USAGE with
 * a message. */
int args_uint32(const struct command *command, const struct args *args, int option, uint32_t min, uint32_t max,
                uint32_t *out);
/* 64K 10M 1G 1T */
int args_size(const struct command *command, const struct args *args, int option, uint64_t *bytes);
/* octal */
int args_mode(const struct command *command, const struct args *args, int option, uint32_t *mode);

#endif
