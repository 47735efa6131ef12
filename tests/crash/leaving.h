/* tests/crash/leaving.h - leaves and nodes leave their list: acts and worlds of scenarios. */
#ifndef LARDER_TESTS_CRASH_LEAVING_H
#define LARDER_TESTS_CRASH_LEAVING_H

#include "larder.h"
#include "tests/crash/facts.h"

/* A list of full leaves, of which every second is emptied, entry by entry: its neighbours are too
 * full to take what is left. */
void leaving_full_leaves(struct larder *db);
void leaving_act_empty(struct larder *db, int step);
int leaving_node(const struct facts *before, const struct facts *after);
int leaving_tall_node(const struct facts *before, const struct facts *after);

/* A head and one node, both with full leaves; the node's is emptied. */
void leaving_two_leaves(struct larder *db);
int leaving_head(const struct facts *before, const struct facts *after);

/* Leaves with two entries: one more goes from each in turn, and what is left joins a neighbour. */
void leaving_half_leaves(struct larder *db);
void leaving_act_merge(struct larder *db, int step);
/* The last leaf joins the one before it. */
void leaving_act_merge_back(struct larder *db, int step);
/* Of a head and one node: the head goes, too. */
void leaving_two_halves(struct larder *db);
/* Of each leaf one entry is dead; and two neighbours are small. Memory is short. */
void leaving_dead_entries(struct larder *db);
void leaving_act_trim(struct larder *db, int step);
int leaving_trimmed(const struct facts *before, const struct facts *after);
/* The head's leaf is empty. */
void leaving_empty_head(struct larder *db);

#endif
