/* bench/machine.c - see machine.h. */
#include "bench/machine.h"
#include "bench/clock.h"
#include "bench/dataset.h"
#include "bench/fail.h"
#include "bench/perf.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CHASE_LINES (4u << 20) /* 256 MB */
#define CHASE_LOADS 2000000u

static void first_line(const char *path, const char *field, char *out, size_t room) {
    char line[256];
    FILE *f = fopen(path, "r");
    snprintf(out, room, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        if (field && strncmp(line, field, strlen(field)) != 0)
            continue;
        const char *from = field ? strchr(line, ':') : NULL;
        from = from ? from + 2 : line;
        snprintf(out, room, "%.*s", (int)strcspn(from, "\n"), from);
        break;
    }
    if (f)
        fclose(f);
}

/* A random walk through lines: each load needs the one before. */
static double dependent_miss_ns(void) {
    struct line {
        uint64_t next, pad[7];
    } *lines = mmap(NULL, sizeof *lines * CHASE_LINES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED)
        return 0;
    madvise(lines, sizeof *lines * CHASE_LINES, MADV_NOHUGEPAGE);
    /* odd multiplier: one cycle through all, scattered enough */
    for (uint64_t i = 0; i < CHASE_LINES; i++)
        lines[i].next = (i * UINT64_C(2862933555777941757) + UINT64_C(3037000493)) % CHASE_LINES;
    uint64_t at = 0, start = clock_ns();
    for (unsigned i = 0; i < CHASE_LOADS; i++)
        at = lines[at].next;
    double ns = (double)(clock_ns() - start) / CHASE_LOADS;
    munmap(lines, sizeof *lines * CHASE_LINES);
    return at == UINT64_MAX ? 0 : ns;
}

/* As the kernel describes core 0: sysconf() adds up what a virtual machine cannot see. */
static void look_at_caches(struct machine *m) {
    size_t used = 0;
    for (int i = 0; i < 8; i++) {
        char path[96], level[8], type[24], size[24];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        first_line(path, NULL, level, sizeof level);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        first_line(path, NULL, type, sizeof type);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        first_line(path, NULL, size, sizeof size);
        if (strcmp(level, "unknown") == 0 || strcmp(type, "Instruction") == 0 || used + 16 > sizeof m->caches)
            continue;
        used +=
            (size_t)snprintf(m->caches + used, sizeof m->caches - used, "%sL%.2s %.10s", used ? ", " : "", level, size);
        m->cache_bytes = strtoull(size, NULL, 10) * 1024;
    }
    if (!used)
        snprintf(m->caches, sizeof m->caches, "unknown");
}

static uint64_t number_in(const char *path, const char *field) {
    char text[64];
    first_line(path, field, text, sizeof text);
    return strtoull(text, NULL, 10);
}

/* Of a list as "always [madvise] never", the choice in brackets. */
static void chosen(const char *path, char *out, size_t room) {
    char line[128];
    first_line(path, NULL, line, sizeof line);
    const char *from = strchr(line, '[');
    from = from ? from + 1 : line;
    snprintf(out, room, "%.*s", (int)strcspn(from, "]"), from);
}

void machine_look(struct machine *m) {
    struct utsname name;
    char text[64];
    memset(m, 0, sizeof *m);
    first_line("/proc/cpuinfo", "model name", m->cpu, sizeof m->cpu);
    uname(&name);
    snprintf(m->kernel, sizeof m->kernel, "%.60s %.60s", name.release, name.machine);
    chosen("/sys/kernel/mm/transparent_hugepage/enabled", m->huge_pages, sizeof m->huge_pages);
    chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", m->shared_huge_pages, sizeof m->shared_huge_pages);
    m->huge_page_bytes = number_in("/proc/meminfo", "Hugepagesize") * 1024;
    m->huge_pages_reserved = number_in("/proc/meminfo", "HugePages_Total");
    snprintf(m->perf, sizeof m->perf, "%s", perf_why_not() ? perf_why_not() : "yes");
    m->cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    m->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    m->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * m->page_bytes;
    look_at_caches(m);
    first_line("/proc/loadavg", NULL, text, sizeof text);
    m->load = strtod(text, NULL);
    m->miss_ns = dependent_miss_ns();
}

void machine_print(const struct machine *m) {
    printf("%s, %u cores, caches %s, %.1f GiB; Linux %s\n", m->cpu, m->cores, m->caches,
           (double)m->memory_bytes / 1073741824, m->kernel);
    printf("pages of %llu bytes; transparent huge pages: %s, of shared memory: %s; %llu reserved of %llu KB\n",
           (unsigned long long)m->page_bytes, m->huge_pages, m->shared_huge_pages,
           (unsigned long long)m->huge_pages_reserved, (unsigned long long)m->huge_page_bytes / 1024);
    printf("a dependent miss takes %.0f ns; load before the run: %.2f%s\n", m->miss_ns, m->load,
           m->load > 0.5 ? " (NOT IDLE: the figures are worth less)" : "");
    printf("the processor's counters: %s%s\n", strcmp(m->perf, "yes") == 0 ? "" : "not on this machine: ", m->perf);
}
