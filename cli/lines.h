/* cli/lines.h - a file line by line. */
#ifndef LARDER_CLI_LINES_H
#define LARDER_CLI_LINES_H

#include "cli/input.h"

/* The next line, without its end; valid until the next call; input->number is then its number, from
 * 1. 1: a line, 0: no more, -1: cannot read, with a message and the exit code in *code. */
int lines_next(struct input *input, const char **text, size_t *bytes, int *code);

#endif
