/* zipf.h - picks shops as users do: a few very often, most hardly ever.
 *
 * Job      The shop of popularity rank k is picked with a probability proportional to 1 / k^0.99,
 *          the exponent of YCSB. The rank has nothing to do with the shop's size: ordinals are
 *          scattered over the ranks.
 */
#ifndef SHUTTLE_ZIPF_H
#define SHUTTLE_ZIPF_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"

struct zipf {
    uint32_t count;
    double *below; /* below[k]: probability of a rank less than or equal to k */
};

/** False if there is no memory. */
bool zipf_init(struct zipf *z, uint32_t count);
void zipf_done(struct zipf *z);
uint32_t zipf_pick(const struct zipf *z, struct rng *r);

#endif
