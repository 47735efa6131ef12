/* run.h - the supervisor of the demo.
 *
 * Job      Starts the workers and the writer as real processes, kills some of them inside a call,
 *          stores sessions that expire, lets everything come to rest, and reports.
 */
#ifndef SHUTTLE_RUN_H
#define SHUTTLE_RUN_H

#include <stdint.h>

struct run_options {
    const char *segment;
    uint32_t worker_count; /* 1..RUN_WORKERS_MAX */
    uint32_t seconds;      /* of the live phase */
};
#define RUN_WORKERS_MAX 8u

/** @return EXIT_SUCCESS if every answer was right and every process behaved; the exit code of
 *         `shuttle run`. */
int run_demo(const struct run_options *options);

#endif
