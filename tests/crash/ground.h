/* tests/crash/ground.h - a past, and where its structures and items are.
 *
 * Job      Makes the segment of a past (past.h), finds its structures (damage.h), and says which
 *          item an offset belongs to. For suites that damage a copy and then judge what is missing.
 */
#ifndef LARDER_TESTS_CRASH_GROUND_H
#define LARDER_TESTS_CRASH_GROUND_H

#include "tests/crash/damage.h"
#include "tests/crash/past.h"

struct owner {
    uint64_t off, end;
    int table, n;
};

struct ground {
    struct past past;
    struct damage_template where;
    struct owner *owner;
    uint32_t owners;
};

struct ground *ground_new(unsigned number);
void ground_free(struct ground *g);

/* The item whose image has this offset; NULL: none. */
const struct owner *owner_of(const struct ground *g, uint64_t off);

#endif
