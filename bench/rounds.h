/* bench/rounds.h - one workload on several engines, round by round in turn.
 *
 * Job      All engines of a scene are loaded at the same time. For one workload every engine gets a crew; then round after round each
 *          runs for the same time, one after the other, so that whatever the machine does in those minutes is done to all of
 *          them. The median of the rounds is the figure.
 */
#ifndef LARDER_BENCH_ROUNDS_H
#define LARDER_BENCH_ROUNDS_H

#include "bench/crew.h"
#include "bench/figures.h"

#define ENGINES_MAX 10

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

/* Loads `engines` (ends with NULL); those that cannot be had are named and left out. Ends with stage_close(). */
void stage_open(struct stage *stage, const char *name, const struct scene *scene, const struct engine *const engines[]);
void stage_close(struct stage *stage);

/* workers: processes; threads of one process if negative. A paired workload gives two figures: its own, and that of the way back under
 * the name `back_name`. `only`: engines to take part (names, ends with NULL), or NULL for all. */
void measure(const struct stage *stage, const char *workload, const char *back_name, int workers,
             const struct pace *pace, const char *const only[], struct figures *out);
/* Worker 0 does `workload` while worker 1 does `beside`, on one engine: worker 0's rate, under the name "<workload> | <beside>". */
void measure_beside(const struct stage *stage, const char *workload, const char *beside, const char *engine,
                    const struct pace *pace, struct figures *out);

#endif
