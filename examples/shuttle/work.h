/* work.h - a worker: asks the access patterns and judges every answer. */
#ifndef SHUTTLE_WORK_H
#define SHUTTLE_WORK_H

#include <stdint.h>

/**
 * Runs until the board says that the phase at rest is over.
 * @param share [in] This worker's part of the phase at rest, of share_count.
 * @return The exit code of `shuttle work`: wrong answers are on the board, not in it.
 */
int work_run(const char *segment, int board_fd, uint32_t slot, uint32_t share, uint32_t share_count);

#endif
