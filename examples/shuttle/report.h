/* report.h - the table at the end of the demo. */
#ifndef SHUTTLE_REPORT_H
#define SHUTTLE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"

/** Sums over all slots. */
uint64_t report_compared(const struct board *b);
uint64_t report_wrong(const struct board *b);
uint64_t report_changes(const struct board *b);

/** Prints a line for each pattern, and the first wrong answers. @return True if all were right and
 * none was left out. */
bool report_table(const struct board *b);

/** 1234567 as 1,234,567. */
#define REPORT_NUMBER_BYTES 32
const char *report_number(uint64_t n, char out[REPORT_NUMBER_BYTES]);

#endif
