/* cli/lines.h - a file line by line, plain or gzip. */
#ifndef LARDER_CLI_LINES_H
#define LARDER_CLI_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct lines {
    const char *name; /* for messages */
    gzFile file;
    char *buffer;
    size_t capacity, at, end; /* unread bytes are [at, end) */
    int is_at_end;
    uint64_t number;      /* of the line last returned, from 1 */
    uint64_t total_bytes; /* size of a regular file, else 0 */
};

/* Opens a file; "-" is standard input. gzip is recognized by its first bytes. EXIT_DONE, or an exit
 * code with a message. */
int lines_open(struct lines *lines, const char *path);

/* The next line, without its end; valid until the next call. 1: a line, 0: no more, -1: cannot
 * read, with a message and the exit code in *code. */
int lines_next(struct lines *lines, const char **text, size_t *bytes, int *code);

/* Bytes of the file read so far; of a gzip file, compressed bytes. */
uint64_t lines_position(const struct lines *lines);

/* Always allowed after lines_open(), whatever it returned. */
void lines_close(struct lines *lines);

#endif
