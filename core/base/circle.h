/* core/base/circle.h - noticing that a chain of offsets leads back into itself.
 *
 * Why      No valid list is a circle, but a damaged segment may hold one, and a walk must end there
 *          too. A limit on hops would have to allow every block that fits into the segment: minutes
 *          in a large one.
 * Idea     Remember one element and compare each following one with it. After 1, 2, 4, 8..
 *          elements, remember the current one instead (Brent 1980). In a circle the remembered
 *          element comes round again, after at most three times as many hops as there are elements.
 * Tests    tests/crash/damage_test.c
 */
#ifndef LARDER_BASE_CIRCLE_H
#define LARDER_BASE_CIRCLE_H

#include <stdint.h>

/* Zero it at the beginning of a chain. */
struct circle {
    uint64_t seen, hops, next;
};

/* Call it for each element. True: this element has been seen before. */
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
