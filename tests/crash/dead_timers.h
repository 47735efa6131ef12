/* tests/crash/dead_timers.h - timers of items that are gone: a world and acts of scenarios. */
#ifndef LARDER_TESTS_CRASH_DEAD_TIMERS_H
#define LARDER_TESTS_CRASH_DEAD_TIMERS_H

#include "larder.h"
#include "tests/crash/facts.h"

/* In each chunk of timers some are of items that are gone. */
void dead_timers(struct larder *db);

/* There is no memory for timers to go down. */
void dead_timers_act_expire(struct larder *db, int step);
int dead_timers_went(const struct facts *before, const struct facts *after);

/* There is none for an item, until room is made. */
void dead_timers_act_put(struct larder *db, int step);
int dead_timers_made_room(const struct facts *before, const struct facts *after);

#endif
