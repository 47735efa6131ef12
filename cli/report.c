/* cli/report.c - exit codes, and the one way to write a message to standard error.
 *
 * Job      Turns results of the library into messages and exit codes. Results of commands go to
 *          standard output (cli/sink.c).
 * Rules    P1 One cause, one exit code; report_exit_codes describes them.
 *          P2 No control character is printed.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/report.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/words.h"
#include "larder.h"

#define REPORT_LINE_BYTES 4096 /* longer messages are cut */

const char report_exit_codes[] = "Exit codes:\n"
                                 "  0  done\n"
                                 "  1  get, delete: no such item\n"
                                 "  2  wrong usage\n"
                                 "  3  bad input: JSON, template, key or value\n"
                                 "  4  no such segment, table or index\n"
                                 "  5  full: the segment, its filesystem or a memory limit\n"
                                 "  6  busy: a live process held a lock for too long\n"
                                 "  7  damaged: check found errors, or not a Larder segment of this format\n"
                                 "  8  refused or failed otherwise: exists already, retained, permissions, system\n"
                                 "  9  put, update, delete: the condition is not true; nothing has changed\n";

static const char *report_name;

void report_command(const char *name) {
    report_name = name;
}

void report_clean(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at != 0; at++) {
        int is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0; /* U+0080..U+009F in UTF-8 */
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
        else if (is_c1)
            at[0] = at[1] = '?';
    }
}

static void report_line(const char *format, va_list arguments) {
    char line[REPORT_LINE_BYTES];
    vsnprintf(line, sizeof line, format, arguments);
    report_clean(line);
    /* If standard error cannot be written, nothing can be done. */
    if (report_name != NULL)
        fprintf(stderr, "larder %s: %s\n", report_name, line);
    else
        fprintf(stderr, "larder: %s\n", line);
}

void report_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    report_line(format, arguments);
    va_end(arguments);
}

int report_error(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    report_line(format, arguments);
    va_end(arguments);
    return code;
}

int report_exit_of(int result) {
    switch (result) {
    case LARDER_OK:
    case LARDER_MORE:
        return EXIT_DONE;
    case LARDER_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case LARDER_E_INVAL:
        return EXIT_INPUT;
    case LARDER_E_NO_TABLE:
    case LARDER_E_NO_INDEX:
    case LARDER_E_NO_SEGMENT:
    case LARDER_E_DESTROYED:
        return EXIT_MISSING;
    case LARDER_E_FULL:
        return EXIT_FULL;
    case LARDER_E_BUSY:
        return EXIT_BUSY;
    case LARDER_DAMAGED:
    case LARDER_E_CORRUPT:
    case LARDER_E_FORMAT:
        return EXIT_DAMAGED;
    default:
        return EXIT_OTHER;
    }
}

int report_result(int result, const char *what) {
    const char *text = larder_error(), *hint = "";
    char words[REPORT_LINE_BYTES];
    if (text[0] == 0)
        text = larder_result_name(result);
    if (result == LARDER_E_NO_SEGMENT && strstr(text, ": does not exist"))
        hint = "; larder create makes it, larder ls --segments lists those there are";
    words_of_command(result, text, words, sizeof words);
    if (what != NULL && strncmp(text, "segment \"", strlen("segment \"")) != 0) /* else it says so itself */
        report_note("%s: %s%s", what, words, hint);
    else
        report_note("%s%s", words, hint);
    return report_exit_of(result);
}

int report_write(int result) {
    if (result == LARDER_REFUSED)
        return report_error(EXIT_REFUSED, "the condition is not true; nothing has changed");
    if (result == LARDER_NOT_FOUND)
        return report_error(EXIT_NOT_FOUND, "no such item");
    return result < 0 ? report_result(result, NULL) : EXIT_DONE;
}

/* Whether the other end of standard output is gone. */
static int report_is_reader_gone(void) {
    struct pollfd output = {.fd = STDOUT_FILENO};
    return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

int report_output_failed(int error) {
    /* stdio remembers that a write failed, but not why. */
    if (error == 0 && report_is_reader_gone())
        error = EPIPE;
    if (error != EPIPE)
        report_note("cannot write to standard output%s%s", error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
    return EXIT_OTHER;
}
