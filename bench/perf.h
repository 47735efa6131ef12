/* bench/perf.h - the processor's own counters, where the machine lets a process read them.
 *
 * Job      Counts what happens in user mode in the calling thread: instructions, cycles, misses of
 *          the last-level cache and of the data TLB, page faults. Virtual machines often hide all
 *          except the last. A count that is not available is -1, and perf_why_not() says why.
 */
#ifndef LARDER_BENCH_PERF_H
#define LARDER_BENCH_PERF_H

#include <stdint.h>

enum perf_kind { PERF_INSTRUCTIONS, PERF_CYCLES, PERF_CACHE_MISSES, PERF_TLB_MISSES, PERF_FAULTS, PERF_KINDS };

struct perf {
    int fd[PERF_KINDS]; /* -1: not on this machine */
};

extern const char *const perf_names[PERF_KINDS];

void perf_open(struct perf *p);
void perf_close(struct perf *p);
void perf_start(const struct perf *p);
/* count[k] is -1 where there is no counter. */
void perf_stop(const struct perf *p, double count[PERF_KINDS]);
/* NULL if the processor's counters can be read. */
const char *perf_why_not(void);

#endif
