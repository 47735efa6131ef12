/* cli/sink.h - the output of items: standard output or a file, one JSON document per line. */
#ifndef LARDER_CLI_SINK_H
#define LARDER_CLI_SINK_H

#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include "larder.h"

/* Zero it, or open it, before sink_close(). */
struct sink {
    const char *name; /* for messages; NULL: standard output */
    char *path;       /* the final path, symbolic links followed */
    char *temporary;  /* the path until sink_commit(); NULL if the file is written in place */
    FILE *plain;      /* stdout, or the file */
    gzFile gzip;      /* or this */
    int fd;           /* under gzip */
    char *line;
    size_t line_capacity;
};

void sink_open_stdout(struct sink *sink);

/* A file is written beside its place and renamed by sink_commit(), so that no reader sees half of
 * it; gzip if the name ends in ".gz". A path that is not a regular file (a pipe, a device) is
 * written to directly. EXIT_DONE, or an exit code with a message. */
int sink_open_file(struct sink *sink, const char *path);

/* Writes an item and a line end; is_wrapped: as {"Item": ...}. EXIT_DONE, or an exit code with a
 * message. */
int sink_item(struct sink *sink, const struct larder_item *item, int is_wrapped);

/* For an output without items: [] if the name says that the file is JSON. */
int sink_nothing(struct sink *sink);

/* One item on standard output. EXIT_DONE, or an exit code with a message. */
int sink_one(const struct larder_item *item);

/* Syncs everything to the disk and moves the file to its place. */
int sink_commit(struct sink *sink);

/* Ends a sink; a file that was not committed is removed. */
void sink_close(struct sink *sink);

#endif
