/* tests/crash/cgroup.c - see cgroup.h. */
#include "tests/crash/cgroup.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP_MIB 40

int cgroup_make(char dir[CGROUP_DIR_BYTES]) {
    static const char *const roots[2][2] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                            {"/sys/fs/cgroup", "memory.max"}};
    char path[192];
    for (int i = 0; i < 2; i++) {
        snprintf(dir, CGROUP_DIR_BYTES, "%s/larder-test-%d", roots[i][0], (int)getpid());
        if (mkdir(dir, 0755) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, roots[i][1]);
        FILE *limit = fopen(path, "we");
        int is_set = limit && fprintf(limit, "%dM", GROUP_MIB) > 0;
        if (limit)
            is_set = fclose(limit) == 0 && is_set;
        if (is_set)
            return 1;
        rmdir(dir);
    }
    return 0;
}

int cgroup_join(const char *dir) {
    char path[160];
    snprintf(path, sizeof path, "%s/cgroup.procs", dir);
    FILE *procs = fopen(path, "we");
    int is_in = procs && fprintf(procs, "%d", (int)getpid()) > 0;
    return procs && fclose(procs) == 0 && is_in;
}
