/* worker.h - one process of the demo: its attachment, its oracle, its place on the board.
 *
 * Job      Calls the engine, times the call and nothing else, has the answer judged, and counts it.
 *          Both kinds of process are built on it: work.c asks, write.c changes.
 */
#ifndef SHUTTLE_WORKER_H
#define SHUTTLE_WORKER_H

#include <larder.h>
#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "gen.h"
#include "oracle.h"
#include "zipf.h"

struct worker {
    struct larder *db;
    struct larder_table *table;
    struct larder_page *page;
    struct larder_builder *builder;
    struct gen gen;
    struct zipf zipf;
    struct oracle oracle;
    struct rng rng;
    struct board *board;
    struct board_slot *slot;
    /* calls are neither shown on the board nor timed: the writer checks what it has done */
    bool is_aside;
    unsigned pattern;  /* number of the pattern in progress in patterns[] */
    uint64_t begun_ns; /* when the call in progress began */
    uint64_t spent_ns; /* in calls of the pattern in progress */
};

/** Attaches to the segment, reads what was loaded, maps the board. A failure is explained on
 * stderr. */
bool worker_open(struct worker *w, const char *segment, int board_fd, uint32_t slot);
void worker_close(struct worker *w);

/** Around every call into the engine: adds to spent_ns, and tells the board that a call is under
 * way. */
void worker_call_begins(struct worker *w);
void worker_call_ends(struct worker *w);

/** Asks a question, all its pages, and judges the answer. `id` as in oracle_ask_one(), or
 * WORKER_ANY for oracle_ask(). */
#define WORKER_ANY (GEN_NONE - 1)
bool worker_query(struct worker *w, const struct oracle_question *q, uint32_t id);
/** Gets one item, which must be `id` or, with GEN_NONE, missing. */
bool worker_get(struct worker *w, const char *partition, const char *sort, uint32_t id);

/** Counts the answer of the pattern in progress, right or wrong: one call of spent_ns (0: not a
 * timed one). Starts the next. */
void worker_count(struct worker *w, bool is_right);

#endif
