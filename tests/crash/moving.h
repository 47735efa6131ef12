/* tests/crash/moving.h - blocks are moved: acts and worlds of scenarios. */
#ifndef LARDER_TESTS_CRASH_MOVING_H
#define LARDER_TESTS_CRASH_MOVING_H

#include "larder.h"
#include "tests/crash/facts.h"

/* One block of each kind, by step. */
#define MOVING_KINDS 6
void moving_act(struct larder *db, int step);
/* The same while other processes write: what is found may be gone by then, and stay. */
void moving_act_beside(struct larder *db, int step);
int moving_happened(const struct facts *before, const struct facts *after);

/* Two spans of large blocks, with one or two in use; one span takes them. */
void moving_sparse_spans(struct larder *db);
void moving_act_compact(struct larder *db, int step);
int moving_has_compacted(const struct facts *before, const struct facts *after);

/* A block of a whole span. */
void moving_one_run(struct larder *db);
void moving_act_run(struct larder *db, int step);

#endif
