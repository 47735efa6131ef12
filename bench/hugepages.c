/* bench/hugepages.c - see hugepages.h. */
#include "bench/hugepages.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARED_SETTING "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define RESERVED "/proc/sys/vm/nr_hugepages"

static struct {
    pid_t owner; /* who changed something: its children end with exit(), too */
    char shared[32], reserved[32], mounted[128];
} before;

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

void hugepages_restore(void) {
    if (before.owner != getpid())
        return;
    if (before.mounted[0] && umount2(before.mounted, MNT_DETACH) == 0)
        rmdir(before.mounted);
    if (before.reserved[0])
        write_text(RESERVED, before.reserved);
    if (before.shared[0])
        write_text(SHARED_SETTING, before.shared);
    memset(&before, 0, sizeof before);
}

static void restore_and_die(int number) {
    hugepages_restore();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void restore_at_end(void) {
    static int is_registered;
    before.owner = getpid();
    if (is_registered++)
        return;
    (void)atexit(hugepages_restore);
    (void)signal(SIGINT, restore_and_die);
    (void)signal(SIGTERM, restore_and_die);
    (void)signal(SIGHUP, restore_and_die);
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
    if (!write_text(SHARED_SETTING, "advise"))
        return SHARED_SETTING " does not allow it, and cannot be changed (root only)";
    restore_at_end();
    memcpy(before.shared, from + 1, bytes);
    before.shared[bytes] = 0;
    return NULL;
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
    unsigned long long had = strtoull(before.reserved, NULL, 10), wanted = had + (bytes + page - 1) / page;
    snprintf(text, sizeof text, "%llu", wanted);
    restore_at_end();
    if (!write_text(RESERVED, text) || !read_text(RESERVED, now, sizeof now))
        return before.reserved[0] = 0, RESERVED " cannot be changed (root only)";
    if (strtoull(now, NULL, 10) < wanted)
        return write_text(RESERVED, before.reserved), "not so much memory in one piece for " RESERVED;
    if (mkdir(folder, 0700) || mount("none", folder, "hugetlbfs", 0, "mode=0700"))
        return write_text(RESERVED, before.reserved), rmdir(folder), "hugetlbfs cannot be mounted (root only)";
    snprintf(before.mounted, sizeof before.mounted, "%s", folder);
    return NULL;
}
