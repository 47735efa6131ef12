/* bench/figures.h - what was measured: rows that can be printed, looked up, written as JSON and
 * read again. */
#ifndef LARDER_BENCH_FIGURES_H
#define LARDER_BENCH_FIGURES_H

#include "bench/perf.h"
#include <stdint.h>

#define ROUNDS_MAX 15

struct latency {
    double rate; /* calls per second that were due; 0: closed loop */
    uint64_t p50_ns, p99_ns, p999_ns, max_ns;
};

struct figure {
    char scene[24], workload[40], engine[16];
    uint64_t items;
    uint32_t item_bytes, workers;
    int is_threads;
    unsigned rounds;
    double rate[ROUNDS_MAX]; /* calls (or items) per second, one per round */
    double median;
    struct latency closed, open;
    /* of one call (or item), in the last round; -1: cannot be counted here */
    double counted[PERF_KINDS];
};

struct figures {
    struct figure *at;
    unsigned count, capacity;
};

/* Sets the median and keeps a copy. */
void figures_add(struct figures *f, struct figure *figure);
/* NULL if there is none. workers: processes; threads are negative. */
const struct figure *figures_find(const struct figures *f, const char *scene, const char *workload, const char *engine,
                                  int workers);
/* 0 if there is none. */
double figures_rate(const struct figures *f, const char *scene, const char *workload, const char *engine, int workers);
void figures_print(const struct figure *figure);

double median_of(const double *values, unsigned count);

#endif
