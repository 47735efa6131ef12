/* hist.h - how long calls took: a histogram with buckets that grow with the value (log-linear).
 *
 * Picture  16 buckets for 0..15 ns, 16 for 16..31, 16 for 32..63, and so on: a value is known to
 *          one sixteenth.
 * Rules    One process writes, another may read at any time, and the writer may be killed at any
 *          time. Every count is one relaxed atomic word, and a sum over them is right except for
 *          the call in flight.
 */
#ifndef SHUTTLE_HIST_H
#define SHUTTLE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define HIST_SUB_BITS 4
#define HIST_BUCKETS (40 << HIST_SUB_BITS) /* up to 2^43 ns: hours */

struct hist {
    _Atomic uint64_t total_ns, bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);
uint64_t hist_count(const struct hist *h);
/** The value that a share (0..1) of the calls did not exceed, to one sixteenth; 0 if there were
 * none. */
uint64_t hist_quantile(const struct hist *h, double share);
/** Adds `from` to `into`. */
void hist_merge(struct hist *into, const struct hist *from);

#endif
