/* bench/smoke.h - judges the answers: every workload on every engine of this build, a few calls
 * each, item by item. */
#ifndef LARDER_BENCH_SMOKE_H
#define LARDER_BENCH_SMOKE_H

/* Prints what was wrong and closes with "N passed, N failed"; returns the number that failed.
 * `folder` is in tmpfs. */
unsigned smoke_run(const char *folder);

#endif
