/* tests/crash/step_trace.c - see step_trace.h. */
#include "tests/crash/step_trace.h"

#include <stdlib.h>

#define HIT_COST 2 /* of passing a breakpoint, in single steps */

static int by_pc_then_number(const void *a, const void *b, void *trace) {
    const struct step_trace *t = trace;
    uint32_t m = *(const uint32_t *)a, n = *(const uint32_t *)b;
    if (t->spot[m].pc != t->spot[n].pc)
        return t->spot[m].pc < t->spot[n].pc ? -1 : 1;
    return m < n ? -1 : m > n;
}

/* Numbers the times that one address is passed. An address that comes twice running is a repeated
 * string instruction: each round is a step of its own, but a breakpoint stops only before the
 * first. The call itself begins on a breakpoint. */
static void count_hits(struct step_trace *t, const uint32_t *number, uint32_t count) {
    int is_usable = t->spot[number[0]].pc != t->spot[0].pc;
    for (uint32_t i = 1; i < count; i++)
        is_usable &= number[i] != number[i - 1] + 1;
    for (uint32_t i = 0; i < count; i++)
        t->spot[number[i]].hits = is_usable ? i + 1 : 0;
}

static void sort_by_address(struct step_trace *t) {
    uint32_t spots = t->count + 1;
    for (uint32_t n = 0; n < spots; n++)
        t->by_address[n] = n;
    qsort_r(t->by_address, spots, sizeof *t->by_address, by_pc_then_number, t);
    t->address_count = 0;
    for (uint32_t i = 0; i < spots; i++)
        if (i == 0 || t->spot[t->by_address[i]].pc != t->spot[t->by_address[i - 1]].pc)
            t->address[t->address_count++] = i;
    t->address[t->address_count] = spots;
}

void step_trace_plan(struct step_trace *t) {
    sort_by_address(t);
    for (uint32_t i = 0; i < t->address_count; i++)
        count_hits(t, &t->by_address[t->address[i]], t->address[i + 1] - t->address[i]);
    for (uint32_t n = 0, best = 0; n <= t->count; n++) {
        uint64_t from_best = (uint64_t)t->spot[best].hits * HIT_COST + (n - best);
        if (t->spot[n].hits && (uint64_t)t->spot[n].hits * HIT_COST < from_best)
            best = n;
        t->spot[n].anchor = best;
    }
}

double step_trace_cost(const struct step_trace *t) {
    double sum = 0;
    for (uint32_t n = 0; n <= t->count; n++)
        sum += t->spot[t->spot[n].anchor].hits + (n - t->spot[n].anchor);
    return sum / (t->count + 1);
}
