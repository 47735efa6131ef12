/* cli/table_diff.h - how an existing table differs from a definition. */
#ifndef LARDER_CLI_TABLE_DIFF_H
#define LARDER_CLI_TABLE_DIFF_H

#include "larder.h"

/* Reports (report_note) a line for each difference between the table that is there and the
 * definition that is wanted. Returns their number. */
unsigned table_diff(const struct larder_table_def *there, const struct larder_table_def *wanted);

#endif
