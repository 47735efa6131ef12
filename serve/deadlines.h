/* serve/deadlines.h - which connection's time is up.
 *
 * Picture  One list for each kind of deadline. All in a list have the same time from when they
 *          entered it, so the first one is due first, and to enter is to go to the end.
 * Tests    tests/serve/serve_limits_test.c
 */
#ifndef LARDER_SERVE_DEADLINES_H
#define LARDER_SERVE_DEADLINES_H

#include <stdint.h>

enum deadline_kind {
    DEADLINE_IDLE,    /* no request has begun */
    DEADLINE_REQUEST, /* a request is coming, or an answer going */
    DEADLINE_DRAIN,   /* all is answered; what still comes is thrown away */
    DEADLINES
};

/* A member of one of the lists, or of none. Zero it first. */
struct deadline {
    struct deadline *previous, *next;
    int64_t due_ms;
    uint8_t kind;
    uint8_t is_listed;
};

struct deadlines {
    struct {
        struct deadline *first, *last;
        int64_t ms;
    } lists[DEADLINES];
};

/* Puts `d` at the end of a list, from wherever it is. */
void deadline_enter(struct deadlines *all, struct deadline *d, enum deadline_kind kind, int64_t now_ms);
void deadline_leave(struct deadlines *all, struct deadline *d);
/* One whose time is up; NULL: none. */
struct deadline *deadline_due(const struct deadlines *all, int64_t now_ms);
/* Until the next one is due, for epoll_wait(); -1: there is none. */
int deadline_wait_ms(const struct deadlines *all, int64_t now_ms);

#endif
