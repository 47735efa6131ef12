/* cli/words.h - the library's messages in the words of the command line.
 */
#ifndef LARDER_CLI_WORDS_H
#define LARDER_CLI_WORDS_H

#include <stddef.h>

/* Writes `text`, a message of larder_error() for `result`, with --size for size_bytes and the
 * like. What is between double quotes stays: it is a name or a value. Cut at text_bytes. */
void words_of_command(int result, const char *message, char *text, size_t text_bytes);

#endif
