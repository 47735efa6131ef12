/* tests/support/until.c - see until.h. */
#include "tests/support/until.h"

#include <stdio.h>
#include <time.h>

#include "tests/support/slow.h"

uint64_t until_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The second figure of schedstat, nanoseconds. A kernel that has no such file counts nothing. */
static uint64_t queued_ms(void) {
    unsigned long long queued_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %llu", &queued_ns) != 1)
        queued_ns = 0;
    fclose(file);
    return queued_ns / 1000000;
}

uint64_t until_own_ms(void) {
    return until_now_ms() - queued_ms();
}

uint64_t until_deadline(uint32_t deadline_ms) {
    return until_now_ms() + (uint64_t)deadline_ms * SLOW_FACTOR;
}

void until_pause(void) {
    struct timespec fifth_ms = {.tv_nsec = 200000};
    nanosleep(&fifth_ms, NULL);
}
