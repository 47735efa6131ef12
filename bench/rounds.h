/* bench/rounds.h - workloads on several engines, round by round in turn.
 *
 * Job      All engines of a scene are loaded at the same time. A contest has entries: a workload,
 *          an engine, a number of workers, and perhaps a writer beside them. Each entry gets a
 *          crew; all are warmed up. Then round after round each runs for the same time, one after
 *          the other, so that what the machine does in those minutes affects all of them. The
 *          median of the rounds is the figure. What is compared as a ratio is entered into one
 *          contest.
 * Rules    O1 A round in which a read did not find a stored item, or found one that is not stored,
 *             ends the program: a wrong answer has no speed. (The limit probe has no locks, so two
 *             of its writers may lose an insert; it is not asked.)
 */
#ifndef LARDER_BENCH_ROUNDS_H
#define LARDER_BENCH_ROUNDS_H

#include "bench/crew.h"
#include "bench/figures.h"

#define ENGINES_MAX 10
#define ENTRIES_MAX 64

struct loaded {
    const struct engine *engine;
    void *state;
};

struct stage { /* a scene with its engines loaded */
    const char *name;
    struct scene scene;
    struct loaded loaded[ENGINES_MAX];
    unsigned count;
};

struct pace {
    double warm_s, round_s;
    unsigned rounds;
    int has_latency;
};

struct entry {
    const struct workload *workload, *beside;
    const struct engine *engine;
    struct crew *crew;
    struct figure there, back;
    struct crew_result result[CREW_MAX];
};

struct contest {
    const struct stage *stage;
    struct pace pace;
    struct entry *entries;
    unsigned count;
};

/* Loads the engines of these names (see engine_is_named()); those that are not available are named
 * and left out. Ends with stage_close(). */
void stage_open(struct stage *stage, const char *name, const struct scene *scene, const char *engine_names);
void stage_close(struct stage *stage);

/* Every item is put again, in a random order, on every engine on stage: from here on a partition's
 * items lie apart. Not measured. The stage goes on under another name. */
void stage_rewrite(struct stage *stage, const char *name);

/* Whether an engine can do a workload in a scene with as many workers. An engine without indexes
 * does not insert where there are some. */
int stage_takes_part(const struct scene *scene, const struct engine *engine, const struct workload *w, int workers);

void contest_begin(struct contest *c, const struct stage *stage, const struct pace *pace);
/* Later entries belong to another scene, so that scenes can be compared in the same rounds. */
void contest_stage(struct contest *c, const struct stage *stage);
/* Every engine that can. workers: processes; threads of one process if negative. */
void contest_enter(struct contest *c, const char *workload, int workers);
/* The engine of that name, if it is on stage: one process that does `workload` beside another that
 * does `beside`, whose figure is called "<workload> | <beside>"; "alone": beside none. */
void contest_enter_beside(struct contest *c, const char *engine, const char *workload, const char *beside);
/* Measures and prints. A paired workload (workload.h) gives two figures, the second under the name
 * `back_name`, unless NULL. */
void contest_run(struct contest *c, const char *back_name, struct figures *out);

#endif
