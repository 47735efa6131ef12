/* core/table/views.h - the views of definitions that a handle has, and when old ones are freed.
 *
 * Job      Keeps the views of a handle: the current ones, those that calls may still read, and
 *          those that larder_table_describe() gave away.
 * Picture  current -- the definition changed --> retired -- no call began before that --> freed
 *                                            \-> handed out, if described: until larder_close()
 * Rules    V1 A call that reads views has an epoch_use (core/base/epoch.h). Each page and each
 *             writer has one; other calls borrow one (views_visit).
 *          V2 A view is retired when no table refers to it any more, and freed when every call that
 *             may have found it has ended.
 *          V3 Of definitions that were described, one of each kind is kept. However often a table
 *             goes back to an earlier definition, describing it gives the same memory.
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
    struct table_view *current, *retired, *handed_out;
};

/* A use for one call that has neither page nor writer; it has begun. NULL: LARDER_E_NO_MEMORY, with
 * a message. */
struct epoch_use *views_visit(struct larder *db);
void views_depart(struct larder *db, struct epoch_use *u);

/* Retires the views of catalog entry `ordinal` that are no longer current, and frees what it can.
 * Under the handle's mutex. */
void views_retire(struct larder *db, uint32_t ordinal);
/* The view whose definition the caller may keep until larder_close(): v, or an earlier one with the
 * same definition. Under the handle's mutex. */
struct table_view *views_hand_out(struct larder *db, struct table_view *v);

#endif
