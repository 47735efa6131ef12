/* cli/report.h - exit codes, and the one way to write a message to standard error. */
#ifndef LARDER_CLI_REPORT_H
#define LARDER_CLI_REPORT_H

#include <stddef.h>

/* The exit code of a command. `larder --help` documents them: keep report_exit_codes in step. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_NOT_FOUND = 1, /* get, delete: no such item */
    EXIT_USAGE = 2,
    EXIT_INPUT = 3,   /* JSON, a template, a key, a value */
    EXIT_MISSING = 4, /* no such segment, table or index */
    EXIT_FULL = 5,
    EXIT_BUSY = 6,
    EXIT_DAMAGED = 7, /* check found errors, or this is no segment of this format */
    EXIT_OTHER = 8,   /* the system, permissions, what exists already, a closed pipe */
    EXIT_REFUSED = 9  /* the condition is not true; nothing has changed */
};

/* The exit codes as help prints them. */
extern const char report_exit_codes[];

/* Messages start with "larder <command>: " from now on. The name is borrowed for ever. */
void report_command(const char *name);

/* Prints a line on standard error. Control characters become '?': names and values from data must
 * not control a terminal. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and returns `code`, so that a failure reads: return report_error(EXIT_INPUT, "..."). */
int report_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reports a failed larder_ call with larder_error(), in the words of the command line, after
 * "<what>: " (what may be NULL; left out where the text names the segment itself), and returns its
 * exit code. */
int report_result(int result, const char *what);

/* The end of a larder_write(): EXIT_DONE, or its exit code after a message. */
int report_write(int result);

/* The exit code of a larder result; EXIT_DONE for LARDER_OK and LARDER_MORE. */
int report_exit_of(int result);

/* Reports a failed write to standard output with this errno (0: unknown). EPIPE is not reported:
 * the reader has gone. */
int report_output_failed(int error);

/* Replaces control characters by '?', in place. */
void report_clean(char *text);

#endif
