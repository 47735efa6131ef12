/* tests/crash/step_trace.h - one call of the library as the list of its instructions, and the
 * quickest way to each of them.
 *
 * Job      Holds what the step driver recorded: which instruction is next after how many. Says how
 *          a later run of the same call gets to a given one without a step for each before it.
 * Picture  instruction   0 .......... anchor .......... n ....... count
 *          reached by      breakpoint        single steps
 *          An anchor is an instruction whose address the call passes only a few times up to there:
 *          a breakpoint on it, passed `hits` times, and single steps for the rest. Stepping all the
 *          way to each of N instructions costs N * N / 2 steps; this way it is some dozens each.
 * Rules    X1 Two runs of a call are the same instructions only if everything is: contents,
 *             addresses, clock. The driver sees to that, and compares the address it arrives at
 *             with the one recorded.
 *          X2 The trace lies in memory that test and driver share. The test plans, so that the
 *             driver allocates nothing.
 */
#ifndef LARDER_TESTS_CRASH_STEP_TRACE_H
#define LARDER_TESTS_CRASH_STEP_TRACE_H

#include <stdint.h>

#define STEP_COUNT_MAX (1u << 20) /* instructions in one call */

struct step_spot {
    uint64_t pc;
    /* number of an earlier spot, or this one; 0: the call's first instruction, no breakpoint
     * needed */
    uint32_t anchor;
    /* how often a breakpoint here is passed from the call's start to here; 0: no use as an
     * anchor */
    uint32_t hits;
};

struct step_trace {
    uint32_t count; /* instructions of the whole call; spot[count] is where it returned to */
    struct step_spot spot[STEP_COUNT_MAX + 1];
    /* Numbers of spots by address: those of the i-th address are by_address[address[i]] up to
     * by_address[address[i + 1] - 1]. */
    uint32_t address_count, address[STEP_COUNT_MAX + 2], by_address[STEP_COUNT_MAX + 1];
};

/* Fills in the rest once all addresses are there. */
void step_trace_plan(struct step_trace *t);
/* Steps and breakpoints it takes on average to get to an instruction. */
double step_trace_cost(const struct step_trace *t);

#endif
