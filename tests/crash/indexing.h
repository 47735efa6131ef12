/* tests/crash/indexing.h - indexes that come and go, and one with keys of several attributes: acts
 * and worlds of scenarios. */
#ifndef LARDER_TESTS_CRASH_INDEXING_H
#define LARDER_TESTS_CRASH_INDEXING_H

#include "larder.h"

/* An index of the sort key more. */
void indexing_add(struct larder *db, int step);
void indexing_one_more(struct larder *db);
void indexing_drop(struct larder *db, int step);

/* An index with keys of several attributes (world_add_joined()). Item 7 moves in it, or leaves
 * it. */
void indexing_joined_items(struct larder *db);
void indexing_add_joined(struct larder *db, int step);
void indexing_move(struct larder *db, int step);
void indexing_update(struct larder *db, int step); /* of one attribute of the key */
void indexing_leave(struct larder *db, int step);
void indexing_transact(struct larder *db, int step);
void indexing_drop_joined(struct larder *db, int step);

#endif
