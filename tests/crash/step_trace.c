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

/* Counts how often the address of order[first] is passed. One that comes twice running is a repeated string instruction: each
 * round is a step of its own, but a breakpoint stops only before the first. And the call begins on a breakpoint. */
static uint32_t count_hits(struct step_trace *t, const uint32_t *order, uint32_t first) {
    uint32_t end = first, is_usable = t->spot[order[first]].pc != t->spot[0].pc;
    for (; end <= t->count && t->spot[order[end]].pc == t->spot[order[first]].pc; end++)
        if (end > first && order[end] == order[end - 1] + 1)
            is_usable = 0;
    for (uint32_t i = first; i < end; i++)
        t->spot[order[i]].hits = is_usable ? i - first + 1 : 0;
    return end;
}

void step_trace_plan(struct step_trace *t) {
    uint32_t *order = malloc((t->count + 1) * sizeof *order), best = 0;
    if (!order)
        abort();
    for (uint32_t n = 0; n <= t->count; n++)
        order[n] = n;
    qsort_r(order, t->count + 1, sizeof *order, by_pc_then_number, t);
    for (uint32_t i = 0; i <= t->count;)
        i = count_hits(t, order, i);
    free(order);
    for (uint32_t n = 0; n <= t->count; n++) {
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
