/* bench/trace.h - which key an access of a cache asks for.
 *
 * Idea     It follows from the access's number, so that several processes and a simulation see the
 *          same. */
#ifndef LARDER_BENCH_TRACE_H
#define LARDER_BENCH_TRACE_H

#include "bench/dataset.h"
#include <stdint.h>

struct trace {
    uint32_t room; /* items that the segment takes, roughly */
    uint32_t length, keys_max;
    double *sums; /* of Zipf's weights */
    uint32_t sums_count;
};

static inline uint64_t trace_random(uint64_t i, uint64_t salt) {
    return dataset_mix(i * 4 + salt);
}
/* 0 to 1. */
static inline double trace_part(uint64_t i, uint64_t salt) {
    return (double)(trace_random(i, salt) >> 11) * 0x1p-53;
}
/* Of a segment of so many megabytes: 24 accesses for each item that fits. exponent 0: not Zipf. */
struct trace trace_begin(uint32_t megabytes, uint32_t item_bytes, double exponent);
void trace_end(struct trace *t);
/* Over ten times as many keys as items fit. */
uint32_t trace_zipf(const struct trace *t, uint64_t i);

#endif
