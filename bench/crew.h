/* bench/crew.h - workers that wait for the order, run for a while, and report how far they came.
 *
 * Job      A crew is one to eight workers on one engine: forked processes, or threads of one forked
 *          process. Each has a session and a ring of its own and keeps them over all rounds, so
 *          that rounds of different engines can take turns while everything stays mapped and warm.
 *          Between rounds a crew sleeps on a futex.
 * Rules    X1 A rate is operations by wall time between common start and a worker's own end, summed
 *             over the workers.
 *          X2 Latency is taken in rounds of its own. Closed loop: of each call. Open loop: calls
 *             are due at a fixed rate, and the time counts from when a call was due, so a stall is
 *             charged to all calls that it held up (no coordinated omission). Calls that were due
 *             before the end are made and counted, however late.
 *          X3 A warm-up lasts its time, and on to the end of the ring, so that each page that the
 *             ring touches is mapped before anything counts; but no longer than CREW_WARM_MAX times
 *             its time.
 */
#ifndef LARDER_BENCH_CREW_H
#define LARDER_BENCH_CREW_H

#include "bench/perf.h"
#include "bench/workload.h"
#include "examples/shuttle/hist.h"
#include <sys/types.h>

#define CREW_MAX 8
#define CREW_WARM_MAX 4

enum crew_phase { CREW_RUN, CREW_BACK, CREW_QUIT };

struct crew_order {
    enum crew_phase phase;
    double seconds;
    int is_warm_up;     /* rule X3 */
    int is_timed;       /* every call, into the histogram */
    double calls_per_s; /* open loop; 0: as fast as it can */
};

struct crew_result {
    double seconds, calls_per_s;
    uint64_t calls, items;
    double counted[PERF_KINDS]; /* of all calls; -1: cannot be counted here */
    struct hist latency;
};

struct crew;

/* `work[i]` is worker i's workload. is_threads: of one process. */
struct crew *crew_start(const struct engine *engine, void *state, const struct scene *scene,
                        const struct workload *const work[], unsigned count, int is_threads);
/* Runs all workers once; result[i] is worker i's. */
void crew_run(struct crew *crew, const struct crew_order *order, struct crew_result result[]);
/* Gives the order and returns; crew_wait() collects. */
void crew_begin(struct crew *crew, const struct crew_order *order);
void crew_wait(struct crew *crew, struct crew_result result[]);
void crew_stop(struct crew *crew);

#endif
