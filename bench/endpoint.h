/* bench/endpoint.h - larder serve beside dynalite: rates, latencies, CPU of the same requests. */
#ifndef LARDER_BENCH_ENDPOINT_H
#define LARDER_BENCH_ENDPOINT_H

#include "bench/targets.h"

struct endpoint_options {
    const char *larder;   /* the command; NULL: the endpoint is not measured */
    const char *dynalite; /* a folder with node_modules/dynalite; NULL or without it: not measured */
    int is_quick;
};

/* Prints a table and adds verdicts. Returns how many. */
unsigned endpoint_measure(const struct endpoint_options *o, struct verdict out[]);

#endif
