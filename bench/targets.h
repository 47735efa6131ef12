/* bench/targets.h - the promises of speed, each with the figure that keeps or breaks it. */
#ifndef LARDER_BENCH_TARGETS_H
#define LARDER_BENCH_TARGETS_H

#include "bench/figures.h"
#include "bench/special.h"

#define TARGETS_MAX 64

struct verdict {
    const char *workload, *target;
    double figure, wanted;
    int is_at_most; /* else at least */
    int is_known;   /* both sides were measured */
    int is_fact;    /* no target: the bound of the one above it, or a figure to read beside it */
};

struct extras { /* 0: not measured */
    struct expiry_figures expiry;
    double memory_plain, memory_indexed;
};

/* Returns how many. */
unsigned targets_judge(const struct figures *f, const struct extras *x, struct verdict out[TARGETS_MAX]);
void targets_print(const struct verdict *v, unsigned count);
int verdict_is_met(const struct verdict *v);

#endif
