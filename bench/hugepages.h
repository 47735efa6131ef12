/* bench/hugepages.h - lets this machine give huge pages while the scene that measures them runs,
 * and takes it back.
 *
 * Job      Transparent ones for shared memory that is advised (shmem_enabled), and a hugetlbfs
 *          mount with pages reserved. Both need root. A child of its own puts the old settings back
 *          when this process says so, or ends in whatever way.
 */
#ifndef LARDER_BENCH_HUGEPAGES_H
#define LARDER_BENCH_HUGEPAGES_H

#include <stdint.h>

/* NULL if advised shared memory gets huge pages now, else why not. */
const char *hugepages_advise(void);
/* Mounts hugetlbfs on a new directory `folder` and has room for `bytes`. NULL, or why not. */
const char *hugepages_mount(const char *folder, uint64_t bytes);
void hugepages_restore(void);

#endif
