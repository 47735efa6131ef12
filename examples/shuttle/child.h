/* child.h - the processes that the supervisor starts, kills and waits for.
 *
 * Rules    C1 Only processes started here are signalled, by pid, and before they are waited for: a
 *             pid that has not been reaped cannot belong to another process.
 *          C2 A child dies with the supervisor (PR_SET_PDEATHSIG).
 */
#ifndef SHUTTLE_CHILD_H
#define SHUTTLE_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "board.h"

struct child {
    pid_t pid; /* 0: none */
    uint32_t slot;
};

/** Starts this program again as `shuttle role ...`. `share` of share_count is a worker's part of
 * the phase at rest. */
bool child_start(struct child *c, const char *role, const char *segment, int board_fd, uint32_t slot, uint32_t share,
                 uint32_t share_count);

/**
 * Kills a child by SIGKILL inside a call into the engine, as far as it can be caught there: it is
 * stopped, looked at, and resumed until it is inside one.
 * @return 1 + the pattern it died in; 0 if it was between two calls at every try.
 */
uint32_t child_kill_in_call(struct child *c, const struct board *board);

/** Waits for the child to end on its own. @return False if it takes longer (then it is killed), or
 * ended badly. */
bool child_join(struct child *c, unsigned seconds_max);
/** Whether it has ended without being asked to; then it is reaped. */
bool child_has_died(struct child *c);

#endif
