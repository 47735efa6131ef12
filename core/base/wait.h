/* core/base/wait.h - clocks, and waiting without a futex: a look every millisecond until a
 * deadline.
 *
 * Tests    tests/unit/memory/lock_test.c, tests/crash/clock_test.c
 */
#ifndef LARDER_BASE_WAIT_H
#define LARDER_BASE_WAIT_H

#include <stdint.h>
#include <time.h>

static inline uint64_t wait_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The same clock at its last tick, up to some milliseconds ago, for a tenth of the price. */
static inline uint64_t wait_now_coarse_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* For system calls that take a struct timespec. */
static inline struct timespec wait_timespec(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

/* How long a thread has worked. On a busy machine most of the time it waits for a core: then a
 * tenth of what has passed, at least, so that nothing lasts for ever. */
struct wait_work {
    uint64_t wall_ns, cpu_ns;
};
static inline struct wait_work wait_work_now(void) {
    struct timespec cpu;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    return (struct wait_work){wait_now_ns(), (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec};
}
static inline uint64_t wait_worked_ns(const struct wait_work *since) {
    struct wait_work now = wait_work_now();
    uint64_t cpu_ns = now.cpu_ns - since->cpu_ns, wall_ns = (now.wall_ns - since->wall_ns) / 10;
    return cpu_ns > wall_ns ? cpu_ns : wall_ns;
}

static inline uint64_t wait_now_ms(void) {
    return wait_now_ns() / 1000000;
}

static inline void wait_a_moment(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Sleeps a millisecond and returns 1; 0 at once if the deadline has passed. */
static inline int wait_until(uint64_t deadline_ms) {
    if (wait_now_ms() >= deadline_ms)
        return 0;
    wait_a_moment();
    return 1;
}

#endif
