/* tests/crash/cgroup.h - a control group with a memory limit, of the test's own.
 *
 * Job      Makes the group, version 1 or 2, and moves the calling process into it. The caller
 *          removes its directory with rmdir() once no process is in it.
 */
#ifndef LARDER_TESTS_CRASH_CGROUP_H
#define LARDER_TESTS_CRASH_CGROUP_H

#define CGROUP_DIR_BYTES 128

/* Makes a group with a limit of 40 MiB and leaves its directory in `dir`. 0: not allowed here. */
int cgroup_make(char dir[CGROUP_DIR_BYTES]);

/* Moves this process into the group. 0: not allowed here. */
int cgroup_join(const char *dir);

#endif
