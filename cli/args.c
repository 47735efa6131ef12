/* cli/args.c - command line: the options of a command, parsed and printed from one table.
 *
 * Job      Long options only, each at most once unless its table says so, anywhere among the
 *          operands. Checks the number of values, not their meaning.
 * Why      getopt_long() has no options with two values (--sk-between A B), and it takes
 *          abbreviations, which change their meaning as the table grows.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report.h"

/* The index of the option whose name is `text` (without dashes, up to '='), or -1. */
static int args_find(const struct args_option *options, const char *text, size_t bytes) {
    for (int i = 0; options[i].name != NULL; i++) {
        if (strlen(options[i].name) == bytes && memcmp(options[i].name, text, bytes) == 0)
            return i;
    }
    return -1;
}

static int args_repeat(int option, const char *value, struct args *out) {
    if (out->repeated_count == ARGS_REPEATED_MAX)
        return report_error(EXIT_USAGE, "more than %d options that may be repeated", ARGS_REPEATED_MAX);
    out->repeated[out->repeated_count].option = option;
    out->repeated[out->repeated_count++].value = value;
    return EXIT_DONE;
}

/* Takes the option at argv[*at] with its values and moves *at past them. */
static int args_take_option(const struct command *command, int argc, char **argv, int *at, struct args *out) {
    const char *text = argv[*at] + 2, *equals = strchr(text, '=');
    size_t bytes = equals != NULL ? (size_t)(equals - text) : strlen(text);
    int i = args_find(command->options, text, bytes);
    if (i < 0)
        return report_error(EXIT_USAGE, "unknown option --%.*s; see larder %s --help", (int)bytes, text, command->name);
    const struct args_option *option = &command->options[i];
    if (out->option[i].is_given && !option->is_repeated)
        return report_error(EXIT_USAGE, "--%s is given twice", option->name);
    out->option[i].is_given = true;
    *at += 1;
    if (equals != NULL) {
        if (option->value_count != 1)
            return report_error(EXIT_USAGE, "--%s takes %s", option->name,
                                option->value_count == 0 ? "no value" : "two values, each an argument of its own");
        out->option[i].value[0] = equals + 1;
        return option->is_repeated ? args_repeat(i, equals + 1, out) : EXIT_DONE;
    }
    for (int v = 0; v < option->value_count; v++) {
        if (*at >= argc)
            return report_error(EXIT_USAGE, "--%s needs %s", option->name, option->placeholder);
        out->option[i].value[v] = argv[(*at)++];
    }
    return option->is_repeated ? args_repeat(i, out->option[i].value[0], out) : EXIT_DONE;
}

static int args_check_counts(const struct command *command, const struct args *args) {
    if (args->option[ARGS_HELP].is_given)
        return EXIT_DONE;
    if (args->positional_count < command->positional_min)
        return report_error(EXIT_USAGE, "usage: larder %s %s; see larder %s --help", command->name, command->operands,
                            command->name);
    if (command->positional_max >= 0 && args->positional_count > command->positional_max)
        return report_error(EXIT_USAGE, "unexpected operand \"%s\"; see larder %s --help",
                            args->positional[command->positional_max], command->name);
    return EXIT_DONE;
}

int args_parse(const struct command *command, int argc, char **argv, struct args *out) {
    memset(out, 0, sizeof *out);
    out->positional = argv;
    bool is_options_over = false;
    int at = 0;
    while (at < argc) {
        char *text = argv[at];
        if (!is_options_over && strcmp(text, "--") == 0) {
            is_options_over = true;
            at++;
        } else if (!is_options_over && strncmp(text, "--", 2) == 0) {
            int code = args_take_option(command, argc, argv, &at, out);
            if (code != EXIT_DONE)
                return code;
        } else if (!is_options_over && strcmp(text, "-h") == 0) {
            out->option[ARGS_HELP].is_given = true;
            at++;
        } else if (!is_options_over && text[0] == '-' && text[1] != 0) {
            return report_error(EXIT_USAGE, "unknown option %s; see larder %s --help", text, command->name);
        } else {
            out->positional[out->positional_count++] = text;
            at++;
        }
    }
    return args_check_counts(command, out);
}

void args_print_help(const struct command *command) {
    printf("Usage: larder %s %s%s[OPTION]...\n\n%s\nOptions:\n", command->name, command->operands,
           command->operands[0] != 0 ? " " : "", command->details);
    for (const struct args_option *option = command->options; option->name != NULL; option++) {
        char left[48];
        snprintf(left, sizeof left, "--%s %s", option->name, option->placeholder);
        printf("  %-26s %s\n", left, option->help);
    }
    printf("\n%s", report_exit_codes);
}

/* Digits only: strtoull() would take signs and spaces. */
static bool args_digits(const char *text, int base, uint64_t *value, const char **end) {
    char *stop;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long parsed = strtoull(text, &stop, base);
    *value = parsed;
    *end = stop;
    return errno == 0;
}

int args_uint32(const struct command *command, const struct args *args, int option, uint32_t min, uint32_t max,
                uint32_t *out) {
    if (!args->option[option].is_given)
        return EXIT_DONE;
    const char *text = args->option[option].value[0], *end;
    uint64_t value;
    if (!args_digits(text, 10, &value, &end) || *end != 0 || value < min || value > max)
        return report_error(EXIT_USAGE, "--%s takes a number from %u to %u, not \"%s\"", command->options[option].name,
                            min, max, text);
    *out = (uint32_t)value;
    return EXIT_DONE;
}

/* Bits to shift by for a unit, or -1 if the unit is unknown. */
static int args_unit_shift(const char *unit) {
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"", 0}, {"K", 10}, {"k", 10}, {"M", 20}, {"m", 20}, {"G", 30}, {"g", 30}, {"T", 40}, {"t", 40}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].name, unit) == 0)
            return units[i].shift;
    }
    return -1;
}

int args_size(const struct command *command, const struct args *args, int option, uint64_t *bytes) {
    if (!args->option[option].is_given)
        return EXIT_DONE;
    const char *text = args->option[option].value[0], *unit;
    uint64_t value;
    int shift = -1;
    if (args_digits(text, 10, &value, &unit))
        shift = args_unit_shift(unit);
    if (shift < 0 || value == 0 || value > (UINT64_MAX >> shift))
        return report_error(EXIT_USAGE, "--%s takes bytes, or a number with K, M, G or T, not \"%s\"",
                            command->options[option].name, text);
    *bytes = value << shift;
    return EXIT_DONE;
}

int args_mode(const struct command *command, const struct args *args, int option, uint32_t *mode) {
    if (!args->option[option].is_given)
        return EXIT_DONE;
    const char *text = args->option[option].value[0], *end;
    uint64_t value;
    if (!args_digits(text, 8, &value, &end) || *end != 0 || value == 0 || value > 0777)
        return report_error(EXIT_USAGE, "--%s takes octal permissions such as 0660, not \"%s\"",
                            command->options[option].name, text);
    *mode = (uint32_t)value;
    return EXIT_DONE;
}
