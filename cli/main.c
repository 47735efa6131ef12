/* cli/main.c - the larder command: finds the command, parses its arguments, runs it.
 *
 * Job      What all commands share: descriptors, signals, help, and noticing output that could not
 *          be written.
 * Tests    tests/cli/cli_test.sh
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/report.h"
#include "larder.h"

static const struct command *const main_commands[] = {
    &cmd_create, &cmd_table,  &cmd_destroy, &cmd_ls,       &cmd_info,     &cmd_put,
    &cmd_get,    &cmd_delete, &cmd_update,  &cmd_transact, &cmd_query,    &cmd_scan,
    &cmd_import, &cmd_export, &cmd_expire,  &cmd_check,    &cmd_dynamodb, &cmd_serve,
};
#define MAIN_COMMANDS (sizeof main_commands / sizeof main_commands[0])

/* A caller may have closed a standard descriptor. The segment must never be opened in its place, or
 * output would be written over it. The stand-ins are opened in the wrong direction, so that using
 * them is an error that is noticed. */
static int main_guard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return -1;
    }
    return 0;
}

static const struct command *main_find(const char *name) {
    for (size_t i = 0; i < MAIN_COMMANDS; i++) {
        if (strcmp(main_commands[i]->name, name) == 0)
            return main_commands[i];
    }
    return NULL;
}

static void main_print_help(void) {
    printf("Usage: larder COMMAND [OPERAND]... [OPTION]...\n\n"
           "A cache in shared memory with the data model of DynamoDB.\n\nCommands:\n");
    for (size_t i = 0; i < MAIN_COMMANDS; i++)
        printf("  %-8s %s\n", main_commands[i]->name, main_commands[i]->summary);
    printf("\nlarder COMMAND --help tells more. Every command takes --segment NAME|PATH: a name of POSIX shared\n"
           "memory, or a path (with a /) of a file; default: $LARDER_SEGMENT, else larder.\n"
           "Items and keys are DynamoDB JSON. Results go to standard output, one item per line; messages go to\n"
           "standard error.\n\n"
           "%s",
           report_exit_codes);
}

static int main_run(const struct command *command, int argc, char **argv) {
    struct args args;
    report_command(command->name);
    int code = args_parse(command, argc, argv, &args);
    if (code != EXIT_DONE)
        return code;
    if (args.option[ARGS_HELP].is_given) {
        args_print_help(command);
        return EXIT_DONE;
    }
    const char *segment = args.option[ARGS_SEGMENT].value[0];
    if (segment != NULL && segment[0] == 0)
        return report_error(EXIT_USAGE, "--segment needs a name or a path");
    return command->run(&args);
}

static int main_dispatch(int argc, char **argv) {
    if (argc < 2)
        return report_error(EXIT_USAGE, "a command is missing; see larder --help");
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        const struct command *command = argc > 2 ? main_find(argv[2]) : NULL;
        if (command != NULL)
            args_print_help(command);
        else
            main_print_help();
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("larder %s\n", LARDER_VERSION);
        return EXIT_DONE;
    }
    const struct command *command = main_find(name);
    if (command == NULL && strcmp(name, "repair") == 0)
        return report_error(EXIT_USAGE, "no command \"repair\"; larder check --repair repairs a segment");
    if (command == NULL)
        return report_error(EXIT_USAGE, "unknown command \"%s\"; see larder --help", name);
    return main_run(command, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    if (main_guard_descriptors() != 0)
        return EXIT_OTHER;
    signal(SIGPIPE, SIG_IGN); /* a reader that is gone is an error of write() instead */
    int code = main_dispatch(argc, argv);
    /* Errors that a command has reported itself are not reported again. */
    int is_lost = ferror(stdout);
    errno = 0;
    if (fclose(stdout) != 0)
        is_lost = 1;
    if (is_lost && code == EXIT_DONE)
        code = report_output_failed(errno);
    return code;
}
