/* tests/support/until.c - see until.h. */
#include "tests/support/until.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/slow.h"

#define HOLDERS 8 /* that wait for a core one after the other, before a lock is had */

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t until_now_ms(void) {
    return now_ns() / 1000000;
}

/* The second figure of schedstat. A kernel that has no such file counts nothing. Without stdio: the
 * crash suites ask a million times. */
static uint64_t queued_ns(void) {
    char text[80] = "", *end;
    int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t bytes = read(file, text, sizeof text - 1);
    close(file);
    if (bytes <= 0)
        return 0;
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10);
}

/* Both figures should be of the same moment. On a machine so loaded that they never are, at least
 * the result does not go back. */
uint64_t until_own_ms(void) {
    static _Thread_local uint64_t last_ns;
    uint64_t now = 0, before, after = queued_ns();
    for (int tries = 0; tries < 3; tries++) {
        before = after;
        now = now_ns();
        after = queued_ns();
        if (after == before)
            break;
    }
    uint64_t own_ns = now > after ? now - after : 0;
    if (own_ns > last_ns)
        last_ns = own_ns;
    return last_ns / 1000000;
}

uint64_t until_queued_ms(void) {
    return queued_ns() / 1000000;
}

void until_call_begins(struct until_slowest *s) {
    s->started_own_ms = until_own_ms();
    s->started_queued_ms = until_queued_ms();
}

void until_call_ends(struct until_slowest *s) {
    uint64_t queued_ms = until_queued_ms() - s->started_queued_ms, own_ms = until_own_ms() - s->started_own_ms;
    s->own_ms = own_ms > s->own_ms ? own_ms : s->own_ms;
    s->queued_ms = queued_ms > s->queued_ms ? queued_ms : s->queued_ms;
}

int until_is_prompt(const struct until_slowest *s, uint64_t promised_ms) {
    return s->own_ms <= promised_ms + HOLDERS * s->queued_ms;
}

uint64_t until_deadline(uint32_t deadline_ms) {
    return until_now_ms() + (uint64_t)deadline_ms * SLOW_FACTOR * SLOW_PATIENCE;
}

void until_pause(void) {
    struct timespec fifth_ms = {.tv_nsec = 200000};
    nanosleep(&fifth_ms, NULL);
}
