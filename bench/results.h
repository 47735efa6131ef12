/* bench/results.h - a run as a JSON file, and two of them compared. */
#ifndef LARDER_BENCH_RESULTS_H
#define LARDER_BENCH_RESULTS_H

#include "bench/machine.h"
#include "bench/targets.h"

void results_write(const char *path, const struct machine *m, const char *plan, const struct figures *f,
                   const struct extras *x, const struct verdict *v, unsigned verdict_count);
/* Prints every ratio of Larder to the limit probe (and to itself where there is none) in both runs.
 * Returns the number of regressions: figures that fell by more than a tenth. Ends the program if a
 * file cannot be read. */
unsigned results_compare(const char *old_path, const char *new_path);
/* Text tables for charts, one file each, into `folder`. */
void results_chart_data(const char *folder, const struct figures *f);

#endif
