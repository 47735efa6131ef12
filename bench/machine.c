/* bench/machine.c - see machine.h. */
#include "bench/machine.h"
#include "bench/clock.h"
#include "bench/dataset.h"
#include "bench/fail.h"
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
    for (uint64_t i = 0; i < CHASE_LINES; i++) /* odd multiplier: one cycle through all, scattered enough */
        lines[i].next = (i * UINT64_C(2862933555777941757) + UINT64_C(3037000493)) % CHASE_LINES;
    uint64_t at = 0, start = clock_ns();
    for (unsigned i = 0; i < CHASE_LOADS; i++)
        at = lines[at].next;
    double ns = (double)(clock_ns() - start) / CHASE_LOADS;
    munmap(lines, sizeof *lines * CHASE_LINES);
    return at == UINT64_MAX ? 0 : ns;
}

void machine_look(struct machine *m) {
    struct utsname name;
    char text[64];
    memset(m, 0, sizeof *m);
    first_line("/proc/cpuinfo", "model name", m->cpu, sizeof m->cpu);
    uname(&name);
    snprintf(m->kernel, sizeof m->kernel, "%.60s %.60s", name.release, name.machine);
    first_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", NULL, m->huge_pages, sizeof m->huge_pages);
    m->cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    m->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    m->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * m->page_bytes;
    m->cache_bytes = (uint64_t)sysconf(_SC_LEVEL3_CACHE_SIZE);
    first_line("/proc/loadavg", NULL, text, sizeof text);
    m->load = strtod(text, NULL);
    m->miss_ns = dependent_miss_ns();
}

void machine_print(const struct machine *m) {
    printf("%s, %u cores, %.0f MB last-level cache, %.1f GiB; Linux %s\n", m->cpu, m->cores,
           (double)m->cache_bytes / 1048576, (double)m->memory_bytes / 1073741824, m->kernel);
    printf("pages of %llu bytes; huge pages for shared memory: %s; a dependent miss takes %.0f ns; load before the "
           "run: %.2f%s\n",
           (unsigned long long)m->page_bytes, m->huge_pages, m->miss_ns, m->load,
           m->load > 0.5 ? " (NOT IDLE: the figures are worth less)" : "");
}
