/* cli/lines.c - a file line by line.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/lines.h"

#include <string.h>

#include "cli/report.h"

int lines_next(struct input *input, const char **text, size_t *bytes, int *code) {
    size_t searched = 0; /* bytes after `at` known to hold no line end */
    for (;;) {
        char *start = NULL, *newline = NULL; /* there is no buffer before the first read */
        size_t left = input->end - input->at;
        if (left > 0)
            start = input->buffer + input->at;
        if (left > searched)
            newline = memchr(start + searched, '\n', left - searched);
        if (newline != NULL || (input->is_at_end && left > 0)) {
            *text = start;
            *bytes = newline != NULL ? (size_t)(newline - start) : left;
            input->at += *bytes + (newline != NULL);
            input->number++;
            return 1;
        }
        if (input->is_at_end)
            return 0;
        searched = left;
        *code = input_fill(input);
        if (*code != EXIT_DONE)
            return -1;
    }
}
