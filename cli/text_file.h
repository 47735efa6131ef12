/* cli/text_file.h - the whole text of a file, and how it is encoded. */
#ifndef LARDER_CLI_TEXT_FILE_H
#define LARDER_CLI_TEXT_FILE_H

#include <stddef.h>
#include <stdio.h>

/* No template or item is nearly this large; it ends the reading of endless input. */
#define TEXT_FILE_BYTES_MAX ((size_t)64 << 20)

/* Reads a stream, or a file ("-": standard input), to its end into *text, which the caller frees.
 * `what` names it in messages. EXIT_DONE, or an exit code after a message. */
int text_file_stream(FILE *from, const char *what, char **text, size_t *bytes);
int text_file_read(const char *path, char **text, size_t *bytes);

/* "standard input" for "-". */
const char *text_file_name(const char *path);

/* The word for a text that is UTF-16 or UTF-32, NULL for any other. `bytes` are its first ones,
 * four if there are so many. */
const char *text_file_wide(const char *text, size_t bytes);

/* Bytes of a UTF-8 byte order mark at the beginning: 0 or 3. */
size_t text_file_mark_bytes(const char *text, size_t bytes);

#endif
