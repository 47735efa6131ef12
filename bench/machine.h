/* bench/machine.h - where the figures were taken. */
#ifndef LARDER_BENCH_MACHINE_H
#define LARDER_BENCH_MACHINE_H

#include <stdint.h>

struct machine {
    char cpu[128], kernel[128], huge_pages[128];
    unsigned cores;
    uint64_t memory_bytes, page_bytes, cache_bytes; /* of the last level */
    double load;                                    /* of the last minute, before anything ran */
    double miss_ns;                                 /* a dependent load from memory, 4 KB pages */
};

void machine_look(struct machine *m);
void machine_print(const struct machine *m);

#endif
