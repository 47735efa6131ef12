/* rng.h - random numbers that are a function of their inputs, the same on every machine.
 *
 * Job      rng_mix() scatters 64 bits (the finaliser of SplitMix64). rng_hash() draws a number for
 *          a place in the load without drawing the ones before it. struct rng is a sequence, for
 *          choosing the next question.
 * Not here Quality beyond test data: nothing secret depends on this.
 */
#ifndef SHUTTLE_RNG_H
#define SHUTTLE_RNG_H

#include <stdint.h>

static inline uint64_t rng_mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t rng_hash(uint64_t seed, uint64_t place, uint64_t salt) {
    return rng_mix(rng_mix(rng_mix(seed) ^ place) ^ (salt << 40));
}

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r) {
    return rng_mix(r->state++);
}

/** 0..n-1; n > 0. The bias of the multiplication is below 2^-32; no answer depends on it. */
static inline uint32_t rng_below(struct rng *r, uint32_t n) {
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

/** In [0, 1), with 53 bits. */
static inline double rng_unit(uint64_t draw) {
    return (double)(draw >> 11) * 0x1p-53;
}

#endif
