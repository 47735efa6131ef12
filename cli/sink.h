/* cli/sink.h - where items go: standard output or a file, one JSON document a line. */
#ifndef LARDER_CLI_SINK_H
#define LARDER_CLI_SINK_H

#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include "larder.h"

/* Zero it, or open it, before sink_close(). */
struct sink {
    const char *name; /* for messages; NULL: standard output */
    char *path;       /* where the file will be, symbolic links followed */
    char *temporary;  /* where it is until sink_commit(); NULL if it is written in place */
    FILE *plain;      /* stdout, or the file */
    gzFile gzip;      /* or this */
    int fd;           /* under gzip */
    char *line;
    size_t line_capacity;
};

void sink_open_stdout(struct sink *sink);

/* A file: written beside its place and renamed by sink_commit(), so that nobody sees half of it;
 * gzip if the name ends in ".gz". What is there and no regular file (a pipe, a device) is written
 * to as it is. EXIT_DONE, or a code with a message. */
int sink_open_file(struct sink *sink, const char *path);

/* Writes an item and a line end; is_wrapped: as {"Item": ...}. EXIT_DONE, or a code with a
 * message. */
int sink_item(struct sink *sink, const struct larder_item *item, int is_wrapped);

/* Everything is on its way to the disk, and the file at its place. */
int sink_commit(struct sink *sink);

/* Ends a sink; a file that was not committed is removed. */
void sink_close(struct sink *sink);

#endif
