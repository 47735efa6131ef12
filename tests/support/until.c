/* tests/support/until.c - see until.h. */
#include "tests/support/until.h"

#include <time.h>

#include "tests/support/slow.h"

uint64_t until_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t until_deadline(uint32_t deadline_ms) {
    return until_now_ms() + (uint64_t)deadline_ms * SLOW_FACTOR;
}

void until_pause(void) {
    struct timespec fifth_ms = {.tv_nsec = 200000};
    nanosleep(&fifth_ms, NULL);
}
