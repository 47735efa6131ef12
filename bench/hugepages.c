/* bench/hugepages.c - see hugepages.h. */
#include "bench/hugepages.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARED_SETTING "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define RESERVED "/proc/sys/vm/nr_hugepages"

static struct { char shared[32], reserved[32], mounted[128]; /* empty: as it was */ } before;

/* A child that puts everything back when this process closes the pipe, or ends, however it ends. */
static pid_t keeper;
static int keeper_pipe = -1;

static int read_text(const char *path, char *out, size_t room) {
    FILE *f = fopen(path, "r");
    int is_read = f && fgets(out, (int)room, f) != NULL;
    if (f)
        (void)fclose(f);
    if (is_read)
        out[strcspn(out, "\n")] = 0;
    return is_read;
}

static int write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (!f)
        return 0;
    int is_written = fputs(text, f) >= 0;
    return fclose(f) == 0 && is_written;
}

static void put_back(void) {
    if (before.mounted[0] && umount2(before.mounted, MNT_DETACH) == 0)
        rmdir(before.mounted);
    if (before.reserved[0])
        write_text(RESERVED, before.reserved);
    if (before.shared[0])
        write_text(SHARED_SETTING, before.shared);
}

static void keep(int from) {
    ssize_t got;
    for (int number = 1; number < SIGRTMIN; number++)
        (void)signal(number,
                     /* those that can be: a signal to everything on a terminal comes here, too */
                     SIG_IGN);
    /* what was there changes, until the parent can say no more */
    do
        got = read(from, &before, sizeof before);
    while (got == sizeof before || (got < 0 && errno == EINTR));
    put_back();
    _exit(0);
}

/* Before a change: the keeper learns what to put back. */
static int tell_keeper(void) {
    int ends[2];
    if (keeper_pipe < 0) {
        if (pipe2(ends, O_CLOEXEC))
            return 0;
        fflush(NULL);
        keeper = fork();
        if (keeper == 0) {
            close(ends[1]);
            keep(ends[0]);
        }
        close(ends[0]);
        keeper_pipe = ends[1];
    }
    return keeper > 0 && write(keeper_pipe, &before, sizeof before) == sizeof before;
}

void hugepages_restore(void) {
    if (keeper_pipe < 0)
        return;
    close(keeper_pipe);
    waitpid(keeper, NULL, 0);
    keeper_pipe = -1;
    memset(&before, 0, sizeof before);
}

const char *hugepages_advise(void) {
    char line[128];
    if (!read_text(SHARED_SETTING, line, sizeof line))
        return "the kernel has no " SHARED_SETTING;
    if (strstr(line, "[advise]") || strstr(line, "[within_size]") || strstr(line, "[always]") ||
        strstr(line, "[force]"))
        return NULL;
    const char *from = strchr(line, '[');
    size_t bytes = from ? strcspn(from + 1, "]") : 0;
    if (!from || bytes >= sizeof before.shared)
        return SHARED_SETTING " has no choice marked";
    memcpy(before.shared, from + 1, bytes);
    before.shared[bytes] = 0;
    if (tell_keeper() && write_text(SHARED_SETTING, "advise"))
        return NULL;
    before.shared[0] = 0;
    return SHARED_SETTING " does not allow it, and cannot be changed (root only)";
}

static unsigned long long page_bytes(void) {
    char line[128];
    unsigned long long kb = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "Hugepagesize: %llu", &kb) != 1) {
    }
    if (f)
        (void)fclose(f);
    return kb * 1024;
}

const char *hugepages_mount(const char *folder, uint64_t bytes) {
    char text[32], now[32];
    unsigned long long page = page_bytes();
    if (page == 0 || !read_text(RESERVED, before.reserved, sizeof before.reserved))
        return "the kernel has no hugetlbfs";
    unsigned long long wanted = strtoull(before.reserved, NULL, 10) + (bytes + page - 1) / page;
    snprintf(text, sizeof text, "%llu", wanted);
    snprintf(before.mounted, sizeof before.mounted, "%s", folder);
    if (!tell_keeper() || !write_text(RESERVED, text) || !read_text(RESERVED, now, sizeof now))
        return RESERVED " cannot be changed (root only)";
    if (strtoull(now, NULL, 10) < wanted)
        return "not so much memory in one piece for " RESERVED;
    if (mkdir(folder, 0700) || mount("none", folder, "hugetlbfs", 0, "mode=0700"))
        return "hugetlbfs cannot be mounted (root only)";
    return NULL;
}
