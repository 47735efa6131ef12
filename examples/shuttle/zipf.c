/* zipf.c - picks shops as users do. See zipf.h. */
#include "zipf.h"

#include <math.h>
#include <stdlib.h>

#define ZIPF_EXPONENT 0.99

bool zipf_init(struct zipf *z, uint32_t count) {
    double sum = 0;
    z->count = count;
    z->below = malloc(sizeof *z->below * count);
    if (!z->below)
        return false;
    for (uint32_t k = 0; k < count; k++)
        z->below[k] = sum += pow(k + 1, -ZIPF_EXPONENT);
    for (uint32_t k = 0; k < count; k++)
        z->below[k] /= sum;
    return true;
}

void zipf_done(struct zipf *z) {
    free(z->below);
    z->below = NULL;
}

uint32_t zipf_pick(const struct zipf *z, struct rng *r) {
    double u = rng_unit(rng_next(r));
    uint32_t low = 0, high = z->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (z->below[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    /* a prime: each rank has one shop */
    return (uint32_t)(((uint64_t)low * 2654435761u) % z->count);
}
