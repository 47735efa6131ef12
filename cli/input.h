/* cli/input.h - the bytes of a file: plain, gzip or zstd. */
#ifndef LARDER_CLI_INPUT_H
#define LARDER_CLI_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* The largest piece that is read as a whole. The largest item is 400 KB; JSON's escapes and types
 * make it longer, but never this long. */
#define INPUT_PIECE_BYTES_MAX ((size_t)16 << 20)

struct input {
    const char *name; /* for messages; borrowed */
    char *buffer;
    size_t capacity, at, end; /* unread bytes are [at, end) */
    int is_at_end;            /* nothing follows `end` */
    uint64_t number;          /* lines that ended before `at` */
    uint64_t total_bytes;     /* size of a regular file, else 0 */
    uint64_t read_bytes;      /* of the file, so far; compressed ones if it is compressed */
    /* below: input.c */
    int fd;
    struct input_decoder *decoder;
};

/* Opens a file; "-" is standard input. gzip and zstd are recognized by their first bytes.
 * EXIT_DONE, or an exit code after a message. */
int input_open(struct input *input, const char *path);

/* Reads more behind `end`, or sets is_at_end. Bytes before `at` go. EXIT_DONE, or an exit code
 * after a message. */
int input_fill(struct input *input);

/* Always allowed after input_open(), whatever it returned. */
void input_close(struct input *input);

#endif
