/* cli/attach.h - from --segment and a table name to open handles. */
#ifndef LARDER_CLI_ATTACH_H
#define LARDER_CLI_ATTACH_H

#include <stdint.h>

#include "cli/args.h"
#include "larder.h"

/* An open segment and, after attach_table(), a table of it. Zero it first; attach_close() is always
 * allowed. */
struct attach {
    struct larder *db;
    struct larder_table *table;
    const struct larder_table_def *def; /* of table */
    struct larder_builder *builder;     /* after attach_builder() */
};

/* --segment, else $LARDER_SEGMENT, else "larder". */
const char *attach_segment(const struct args *args);

/* LARDER_ANY_OWNER with --any-owner, else 0. */
uint32_t attach_owner_flag(const struct args *args);

/* Opens the segment: a result of larder_open(), without a message. */
int attach_try(const struct args *args, uint32_t flags, struct attach *out);
/* Each returns EXIT_DONE, or an exit code after a message. */
int attach_open(const struct args *args, uint32_t flags, struct attach *out);
int attach_table(const struct args *args, uint32_t flags, const char *table, struct attach *out);

/* A builder in an open segment; attach_close() frees it. */
int attach_builder(struct attach *attach);

/* The secondary index of this name; NULL if there is none. */
const struct larder_index_def *attach_index(const struct larder_table_def *def, const char *name);

void attach_close(struct attach *attach);

#endif
