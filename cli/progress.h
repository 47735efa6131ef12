/* cli/progress.h - a progress bar on standard error, if it is a terminal. */
#ifndef LARDER_CLI_PROGRESS_H
#define LARDER_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label;
    uint64_t total; /* 0: unknown, no bar */
    bool is_on, is_drawn, is_bytes, is_share;
    int64_t started_ns, drawn_ns;
};

/* Whether standard error is a terminal that can redraw a line. */
bool progress_is_possible(void);

/* `total` and `done` count bytes (is_bytes) or items. Draws nothing yet. */
void progress_start(struct progress *progress, bool is_on, const char *label, uint64_t total, bool is_bytes);

/* Redraws at most a few times a second; cheap to call often. */
void progress_show(struct progress *progress, uint64_t done, uint64_t items);

/* The same if there are no items to count: `done` of progress->total. */
void progress_show_share(struct progress *progress, uint64_t done);

/* Takes the bar off the line: before a message, and at the end. */
void progress_hide(struct progress *progress);

#endif
