/* bench/hugepages.h - lets this machine give huge pages while the scene that measures them runs, and takes it back.
 *
 * Job      Transparent ones for shared memory that is advised (shmem_enabled), and a hugetlbfs mount with pages reserved. Both need root.
 *          What was there before is restored at the end, also when a measurement ends the program or a signal does (not SIGKILL).
 */
#ifndef LARDER_BENCH_HUGEPAGES_H
#define LARDER_BENCH_HUGEPAGES_H

#include <stdint.h>

/* NULL if shared memory that is advised gets huge pages now, else why not. */
const char *hugepages_advise(void);
/* Mounts hugetlbfs on a new directory `folder` and has room for `bytes`. NULL, or why not. */
const char *hugepages_mount(const char *folder, uint64_t bytes);
void hugepages_restore(void);

#endif
