/* tests/crash/evicting.h - items are evicted: acts and a world of scenarios. */
#ifndef LARDER_TESTS_CRASH_EVICTING_H
#define LARDER_TESTS_CRASH_EVICTING_H

#include "larder.h"
#include "tests/crash/facts.h"

void evicting_act_set(struct larder *db, int step);
/* Some items, a few of them used. */
void evicting_items(struct larder *db);
/* One item goes, as before a put that found no memory. */
void evicting_act(struct larder *db, int step);
int evicting_three_went(const struct facts *before, const struct facts *after);
/* Reads, and the publication of what was read. */
void evicting_act_publish(struct larder *db, int step);
int evicting_has_published(const struct facts *before, const struct facts *after);

#endif
