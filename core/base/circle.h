/* core/base/circle.h - noticing that a chain of offsets leads back into itself.
 *
 * Why      No list of ours is a circle, but a damaged segment may hold one, and whoever follows it
 *          must come to an end. A count of hops would have to allow for as many blocks as the
 *          segment has room for: minutes, in a large one.
 * Idea     Remember one element, and compare every following one with it; after 1, 2, 4, 8..
 *          elements remember another (Brent 1980). Inside a circle the remembered one comes round
 *          again, after at most three times as many hops as there are elements.
 * Tests    tests/crash/damage_test.c
 */
#ifndef LARDER_BASE_CIRCLE_H
#define LARDER_BASE_CIRCLE_H

#include <stdint.h>

/* All zero: at the beginning of a chain. */
struct circle {
    uint64_t seen, hops, next;
};

/* The chain's next element. True: it was there before. */
static inline int circle_is_closed(struct circle *c, uint64_t off) {
    if (off == c->seen && c->hops)
        return 1;
    if (c->hops++ == c->next) {
        c->seen = off;
        c->next = c->hops * 2;
    }
    return 0;
}

#endif
