/* core/table/windows.h - which spans in a row to empty, so that all runs of a call have room at
 * the same time.
 *
 * Job      A transaction takes block after block, and gives all back if one is missing. So a run
 *          that is made for one of them is of use only if the others have theirs, too. This plans
 *          all of them: first in what is free, then where least has to be moved.
 * Rules    N1 Planned rows do not overlap, so none is made of what another one needs.
 *          N2 Longest first. The heap takes the shortest run that will do, and a transaction its
 *             longest blocks first (core/table/commit.c). Where their choice differs from the
 *             plan's, and a block is missing all the same, the call asks for one run more
 *             (runs_ask_again).
 * Locks    None: a plan is a guess. What has changed meanwhile is met when the spans are emptied.
 * Tests    tests/unit/table/windows_test.c, tests/crash/room_test.c
 */
#ifndef LARDER_TABLE_WINDOWS_H
#define LARDER_TABLE_WINDOWS_H

#include "core/memory/writer.h"

#define RUNS_EXTRA_MAX 16u
#define RUNS_MAX (SPAN_RANGES_MAX - RUNS_EXTRA_MAX)
#define WINDOWS_TRIED 16u

/* The spans that a call needs at the same time. Zero it, then runs_add(). */
struct runs {
    uint32_t count;                   /* of runs of several spans, */
    uint32_t length[SPAN_RANGES_MAX]; /* the longest first; those of runs_ask_again() included */
    uint64_t small_bytes;             /* of blocks that are cut from single spans */
    uint32_t total;                   /* spans of all that, roughly */
    uint32_t extra, extra_length;     /* runs_ask_again(), so many times */
};

/* Adds a block, as heap_take() is asked for it. At most RUNS_MAX. */
void runs_add(struct runs *runs, uint64_t bytes);
/* Forgets all but what runs_ask_again() was told. */
void runs_clear(struct runs *runs);
/* Such a block was missing although there was room for all. False: it was so too often. */
int runs_ask_again(struct runs *runs, uint64_t bytes);

/* Spans that could not be emptied a moment ago. */
struct pinned {
    uint32_t count, at[WINDOWS_TRIED];
};

struct windows {
    struct span_ranges rows; /* all that is planned */
    uint8_t is_free[SPAN_RANGES_MAX];
};

/* Plans. The number of windows that have to be emptied; -1: one of the runs finds no place. */
int windows_plan(const struct seg *s, const struct runs *runs, const struct pinned *pinned, struct windows *plan);

#endif
