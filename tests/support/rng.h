/* tests/support/rng.h - random numbers that can be repeated.
 *
 * Job      xoshiro256** seeded by splitmix64 (Blackman and Vigna): same seed, same numbers, on
 *          every machine.
 * Rules    R1 A random test takes its seed from rng_test_seed(), which prints it before the first
 *             number is drawn.
 *          R2 LARDER_SEED repeats a run. Without it the seed is a constant, so that a failure is
 *             the same for everybody; with LARDER_TEST_LONG it is fresh.
 */
#ifndef LARDER_TESTS_SUPPORT_RNG_H
#define LARDER_TESTS_SUPPORT_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

/* The seed for the test `what`, printed to standard error. */
uint64_t rng_test_seed(const char *what);
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in 0..bound-1, without bias; 0 for bound 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* True in one of n calls. */
int rng_is_one_in(struct rng *r, uint64_t n);
void rng_bytes(struct rng *r, void *to, size_t bytes);

#endif
