/* tests/support/rng.c - see rng.h. */
#include "tests/support/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RNG_FIXED_SEED 0x1a2de2c0ffee5eedULL

static uint64_t rng_splitmix(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t rng_fresh_seed(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t state = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return rng_splitmix(&state);
}

uint64_t rng_test_seed(const char *what) {
    const char *given = getenv("LARDER_SEED");
    uint64_t seed = RNG_FIXED_SEED;
    if (given && *given)
        seed = strtoull(given, NULL, 0);
    else if (getenv("LARDER_TEST_LONG"))
        seed = rng_fresh_seed();
    fprintf(stderr, "%s: LARDER_SEED=0x%llx\n", what, (unsigned long long)seed);
    return seed;
}

void rng_seed(struct rng *r, uint64_t seed) {
    for (size_t i = 0; i < 4; i++)
        r->state[i] = rng_splitmix(&seed);
}

static uint64_t rng_rotate(uint64_t x, int by) {
    return (x << by) | (x >> (64 - by));
}

uint64_t rng_next(struct rng *r) {
    uint64_t *s = r->state, result = rng_rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound) {
    if (!bound)
        return 0;
    /* The numbers under 2^64 mod bound would make small results likelier. */
    uint64_t unfair = -bound % bound, n;
    do
        n = rng_next(r);
    while (n < unfair);
    return n % bound;
}

int rng_is_one_in(struct rng *r, uint64_t n) {
    return rng_below(r, n) == 0;
}

void rng_bytes(struct rng *r, void *to, size_t bytes) {
    for (unsigned char *at = to; bytes;) {
        uint64_t word = rng_next(r);
        size_t part = bytes < sizeof word ? bytes : sizeof word;
        memcpy(at, &word, part);
        at += part;
        bytes -= part;
    }
}
