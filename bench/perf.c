/* bench/perf.c - see perf.h. */
#include "bench/perf.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TLB_MISS (PERF_COUNT_HW_CACHE_DTLB | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

const char *const perf_names[PERF_KINDS] = {"instructions", "cycles", "cache_misses", "tlb_misses", "page_faults"};

static const struct {
    uint32_t type;
    uint64_t config;
} events[PERF_KINDS] = {{PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
                        {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
                        {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
                        {PERF_TYPE_HW_CACHE, TLB_MISS},
                        {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS}};

static int open_event(enum perf_kind kind) {
    struct perf_event_attr a;
    memset(&a, 0, sizeof a);
    a.size = sizeof a;
    a.type = events[kind].type;
    a.config = events[kind].config;
    a.disabled = 1;
    a.exclude_kernel = 1;
    a.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

void perf_open(struct perf *p) {
    for (int k = 0; k < PERF_KINDS; k++)
        p->fd[k] = open_event(k);
}

void perf_close(struct perf *p) {
    for (int k = 0; k < PERF_KINDS; k++)
        if (p->fd[k] >= 0)
            close(p->fd[k]);
}

void perf_start(const struct perf *p) {
    for (int k = 0; k < PERF_KINDS; k++) {
        if (p->fd[k] < 0)
            continue;
        ioctl(p->fd[k], PERF_EVENT_IOC_RESET, 0);
        ioctl(p->fd[k], PERF_EVENT_IOC_ENABLE, 0);
    }
}

void perf_stop(const struct perf *p, double count[PERF_KINDS]) {
    for (int k = 0; k < PERF_KINDS; k++)
        if (p->fd[k] >= 0)
            ioctl(p->fd[k], PERF_EVENT_IOC_DISABLE, 0);
    for (int k = 0; k < PERF_KINDS; k++) {
        uint64_t value;
        count[k] = p->fd[k] >= 0 && read(p->fd[k], &value, sizeof value) == sizeof value ? (double)value : -1;
    }
}

const char *perf_why_not(void) {
    int fd = open_event(PERF_INSTRUCTIONS);
    if (fd >= 0) {
        close(fd);
        return NULL;
    }
    return errno == EACCES || errno == EPERM ? "not allowed: /proc/sys/kernel/perf_event_paranoid"
           : errno == ENOENT || errno == ENODEV || errno == EOPNOTSUPP
               ? "the processor's counters are hidden from this machine"
               : strerror(errno);
}
