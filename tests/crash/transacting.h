/* tests/crash/transacting.h - items of two tables change at once: acts and worlds of scenarios. */
#ifndef LARDER_TESTS_CRASH_TRANSACTING_H
#define LARDER_TESTS_CRASH_TRANSACTING_H

#include "larder.h"
#include "tests/crash/facts.h"

void transacting_tables(struct larder *db);
void transacting_empty_tables(struct larder *db);
void transacting_act(struct larder *db, int step);
void transacting_act_refused(struct larder *db, int step);
void transacting_act_new(struct larder *db, int step);
void transacting_act_deletes(struct larder *db, int step);
int transacting_three_less(const struct facts *a, const struct facts *b);
int transacting_all_came(const struct facts *a, const struct facts *b);

#endif
