/* serve/deadlines.c - which connection's time is up. See deadlines.h.
 *
 * Tests    tests/serve/serve_limits_test.c
 */
#include "serve/deadlines.h"

#include <stddef.h>

void deadline_leave(struct deadlines *all, struct deadline *d) {
    if (!d->is_listed)
        return;
    *(d->previous != NULL ? &d->previous->next : &all->lists[d->kind].first) = d->next;
    *(d->next != NULL ? &d->next->previous : &all->lists[d->kind].last) = d->previous;
    d->is_listed = 0;
}

void deadline_enter(struct deadlines *all, struct deadline *d, enum deadline_kind kind, int64_t now_ms) {
    deadline_leave(all, d);
    d->kind = (uint8_t)kind;
    d->is_listed = 1;
    d->due_ms = now_ms + all->lists[kind].ms;
    d->next = NULL;
    d->previous = all->lists[kind].last;
    *(d->previous != NULL ? &d->previous->next : &all->lists[kind].first) = d;
    all->lists[kind].last = d;
}

struct deadline *deadline_due(const struct deadlines *all, int64_t now_ms) {
    for (int kind = 0; kind < DEADLINES; kind++) {
        struct deadline *first = all->lists[kind].first;
        if (first != NULL && first->due_ms <= now_ms)
            return first;
    }
    return NULL;
}

int deadline_wait_ms(const struct deadlines *all, int64_t now_ms) {
    int64_t wait = -1;
    for (int kind = 0; kind < DEADLINES; kind++) {
        const struct deadline *first = all->lists[kind].first;
        int64_t left = first == NULL ? -1 : first->due_ms > now_ms ? first->due_ms - now_ms : 0;
        if (left >= 0 && (wait < 0 || left < wait))
            wait = left;
    }
    return wait > 60000 ? 60000 : (int)wait;
}
