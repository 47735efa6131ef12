/* write.h - the writer: changes job states, counts imports and renews sessions. */
#ifndef SHUTTLE_WRITE_H
#define SHUTTLE_WRITE_H

#include <stdint.h>

/** Runs until the board says that writing ends. @return The exit code of `shuttle write`. */
int write_run(const char *segment, int board_fd, uint32_t slot);

#endif
