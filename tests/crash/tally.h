/* tests/crash/tally.h - how many deaths a whole suite has tried.
 *
 * Job      Every Criterion test is a process of its own, so each adds a line to a file that the
 *          runner made before the first one. When the last has ended, the runner adds them up and
 *          prints the total.
 */
#ifndef LARDER_TESTS_CRASH_TALLY_H
#define LARDER_TESTS_CRASH_TALLY_H

#include <stdint.h>

enum tally {
    TALLY_STORES,   /* level 1: deaths in operations */
    TALLY_RECOVERY, /* level 2: deaths in recoveries */
    TALLY_AGAIN,    /* level 3 and deeper: deaths in recoveries of killed recoveries */
    TALLY_LEVELS
};

/* points: stores at which a death was to be tried. killed: processes that were killed. judged:
 * different states that were left, each of which got a verdict. */
void tally_add(enum tally level, uint64_t points, uint64_t killed, uint64_t judged);

#endif
