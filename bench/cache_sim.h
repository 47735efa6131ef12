/* bench/cache_sim.h - exact caches of equal items, simulated: what eviction is compared with.
 *
 * Job      SIEVE and LRU over keys 0 to keys_max - 1, by lists in arrays. Each access that misses
 *          puts the key.
 */
#ifndef LARDER_BENCH_CACHE_SIM_H
#define LARDER_BENCH_CACHE_SIM_H

#include <stdbool.h>
#include <stdint.h>

enum cache_policy { CACHE_SIEVE, CACHE_LRU };

struct cache_sim;

struct cache_sim *cache_sim_new(enum cache_policy policy, uint32_t keys_max, uint32_t capacity);
/* Whether it was a hit. */
bool cache_sim_access(struct cache_sim *c, uint32_t key);
void cache_sim_free(struct cache_sim *c);

#endif
