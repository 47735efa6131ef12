/* core/table/views.h - the views of definitions that a handle has, and when old ones are freed.
 *
 * Job      Keeps the views of a handle: the current ones, those that calls may still read, and
 *          those that larder_table_describe() gave away.
 * Picture  current -- the definition changed --> retired -- no call began before that --> freed
 *              \-- the same, while described --> held -- larder_table_def_free() --> retired
 * Rules    V1 A call that reads views has an epoch_use (core/base/epoch.h). Each page and each
 *             writer has one; other calls borrow one (views_visit).
 *          V2 A view is retired when no table refers to it any more, and freed when every call that
 *             may have found it has ended.
 *          V3 A view that larder_table_describe() gave away is held until it was given back as
 *             often. Of those that are held there is one of each kind. However often a table goes
 *             back to an earlier definition, describing it gives the same memory.
 * Locks    The handle's mutex guards all of it. The mutex of the epochs comes after it.
 * Tests    tests/unit/table/views_test.c, tests/unit/table/keep_test.c
 */
#ifndef LARDER_TABLE_VIEWS_H
#define LARDER_TABLE_VIEWS_H

#include "core/base/epoch.h"

struct larder;
struct table_view;

struct views {
    struct epochs epochs;
    struct table_view *current, *retired, *held;
};

/* A use for one call that has neither page nor writer; it has begun. NULL: LARDER_E_NO_MEMORY, with
 * a message. */
struct epoch_use *views_visit(struct larder *db);
void views_depart(struct larder *db, struct epoch_use *u);

/* Retires the views of catalog entry `ordinal` that are no longer current, and frees what it can.
 * Under the handle's mutex. */
void views_retire(struct larder *db, uint32_t ordinal);
/* The view whose definition the caller may keep until views_give_back(): v, or an earlier one with
 * the same definition. Under the handle's mutex. */
struct table_view *views_hand_out(struct larder *db, struct table_view *v);
/* Ends one views_hand_out(). Under the handle's mutex. */
void views_give_back(struct larder *db, struct table_view *v);

#endif
