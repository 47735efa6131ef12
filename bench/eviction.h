/* bench/eviction.h - how well, and how fast, a full segment evicts.
 *
 * Method   A trace of accesses; each is a get, and a put after a miss. The first half fills and
 *          warms the cache, the second is counted. Exact SIEVE and exact LRU get the same trace and
 *          as many items as the segment held on average in the second half.
 */
#ifndef LARDER_BENCH_EVICTION_H
#define LARDER_BENCH_EVICTION_H

#include <stdint.h>

struct eviction_plan {
    uint32_t megabytes;  /* of the segment */
    uint32_t item_bytes; /* as DynamoDB counts them */
    const char *trace;   /* NULL: all */
    uint32_t writers;    /* of the crowd, and as many readers: bench/crowd.h */
};

/* Measures, prints a table. Returns by how much the worst trace's hit ratio is below SIEVE's. */
double eviction_run(const struct eviction_plan *plan);

#endif
