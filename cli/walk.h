/* cli/walk.h - a query or scan, page after page, into a sink. */
#ifndef LARDER_CLI_WALK_H
#define LARDER_CLI_WALK_H

#include <stdint.h>

#include "cli/sink.h"
#include "larder.h"

struct walk {
    struct larder *db;
    struct larder_table *table;
    /* one of the two; the walk changes limit and start_key */
    struct larder_query_spec *query;
    struct larder_scan_spec *scan;
    uint32_t limit; /* items read in total, before a filter; 0: no bound */
    int is_wrapped; /* as in sink_item() */
    /* NULL, or called after each page; a nonzero result ends the walk and is returned */
    int (*between)(void *arg, uint64_t item_count);
    void *between_arg;
    uint64_t item_count; /* items written, or counted */
    uint64_t read_count;
};

/* Runs it. If `limit` ended it and more items may follow, the key to continue with is printed on
 * standard error: more: --start-key '{...}'. EXIT_DONE, or an exit code with a message. */
int walk_run(struct walk *walk, struct sink *sink);

#endif
