/* bench/smoke.h - are the answers right? Every workload on every engine of this build, a few calls
 * each, judged item by item. */
#ifndef LARDER_BENCH_SMOKE_H
#define LARDER_BENCH_SMOKE_H

/* Prints what was wrong and closes with "N passed, N failed"; returns the number that failed.
 * `folder` lies in tmpfs. */
unsigned smoke_run(const char *folder);

#endif
