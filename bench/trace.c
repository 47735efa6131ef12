/* bench/trace.c - see trace.h. */
#include "bench/trace.h"

#include <math.h>
#include <stdlib.h>

#include "bench/fail.h"

static void prepare_zipf(struct trace *t, double exponent) {
    t->sums_count = t->room * 10;
    t->sums = malloc(t->sums_count * sizeof *t->sums);
    if (!t->sums)
        fail("no memory for a trace");
    double sum = 0;
    for (uint32_t i = 0; i < t->sums_count; i++)
        t->sums[i] = sum += pow(i + 1.0, -exponent);
}

struct trace trace_begin(uint32_t megabytes, uint32_t item_bytes, double exponent) {
    struct trace t = {.room = (uint32_t)(((uint64_t)megabytes << 20) * 9 / 10 / (item_bytes + 90))};
    t.length = t.room * 24;
    t.keys_max = t.room * 13;
    if (exponent > 0)
        prepare_zipf(&t, exponent);
    return t;
}

void trace_end(struct trace *t) {
    free(t->sums);
}

uint32_t trace_zipf(const struct trace *t, uint64_t i) {
    double wanted = trace_part(i, 1) * t->sums[t->sums_count - 1];
    uint32_t low = 0, high = t->sums_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (t->sums[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
