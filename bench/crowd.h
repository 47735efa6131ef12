/* bench/crowd.h - many writers and readers of a full segment that evicts.
 *
 * Method   Threads, each with an attachment of its own, draw keys from Zipf 1.0 over ten times what
 *          fits, each another part of one trace. A writer's access is a get, and a put after a
 *          miss; a reader's is a get. Readers publish what they read by an expirer. First one
 *          writer alone, then all at once, in the same segment, which is full from before the first
 *          count on. Exact SIEVE of as many items gets the accesses of the crowd's writers.
 */
#ifndef LARDER_BENCH_CROWD_H
#define LARDER_BENCH_CROWD_H

#include "bench/eviction.h"

#define CROWD_MAX 16u /* writers, and readers */

/* Measures, prints two rows. Ends the program if a put says LARDER_E_FULL. */
void crowd_run(const struct eviction_plan *plan);

#endif
