/* bench/machine.h - where the figures were taken. */
#ifndef LARDER_BENCH_MACHINE_H
#define LARDER_BENCH_MACHINE_H

#include <stdint.h>

struct machine {
    char cpu[128], kernel[128];
    /* transparent ones: of private and of shared memory */
    char huge_pages[64], shared_huge_pages[64];
    char caches[64]; /* of core 0, from the first level to the last */
    char perf[96];   /* "yes", or why the processor's counters cannot be read */
    unsigned cores;
    uint64_t memory_bytes, page_bytes, cache_bytes; /* of the last level */
    /* of hugetlbfs: the default size, and how many there are */
    uint64_t huge_page_bytes, huge_pages_reserved;
    double load;    /* of the last minute, before anything ran */
    double miss_ns; /* a dependent load from memory, 4 KB pages */
};

void machine_look(struct machine *m);
void machine_print(const struct machine *m);

#endif
