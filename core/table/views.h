/* core/table/views.h - which views of definitions are in use, so that old ones can be freed.
 *
 * Job      Keeps the views of a handle: the current ones, those that others may still read, and
 *          those that larder_table_describe() gave away.
 * Picture  current -- the definition changed --> retired -- nobody began before that --> freed
 *                                            \-> handed out, if described: stays until larder_close()
 * Rules    V1 A call that reads views has a struct view_use, which says since when: the handle's
 *             epoch at the time when the call began; 0: in no call. Each page and each writer has one; other
 *             calls borrow one (views_visit). A call begins (view_enter) before it looks for its
 *             view, and ends (view_leave) after its last look.
 *          V2 A view is retired in this order: no table refers to it any more, then the epoch is
 *             raised. It is freed when every use that has begun did so in that epoch or later.
 *          V3 A reader stores `since` and then loads the table's view, without a fence of its own.
 *             The side that frees makes the fence for both: membarrier() between V2 and the look at
 *             the uses. After it, a use that was not seen belongs to a reader that will not find the
 *             view. Where the kernel has no membarrier(), retired views stay until larder_close().
 *          V4 Of definitions that were described, one of each kind is kept: as often as a table
 *             goes back to an earlier definition, describing it gives the same memory.
 * Locks    `current`, `retired`, `handed_out`: the handle's mutex. `uses`: uses_mutex, after it.
 * Fork     Only the thread that forks goes on in the child, and it is in no call: no use has begun
 *          there.
 * Tests    tests/unit/table/views_test.c, tests/unit/table/keep_test.c
 */
#ifndef LARDER_TABLE_VIEWS_H
#define LARDER_TABLE_VIEWS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct larder;
struct table_view;

struct view_use {
    _Atomic uint64_t since;
    struct view_use *next, **at; /* list of the handle's uses; NULL: in none */
};

struct views {
    _Atomic uint64_t epoch; /* 1.. */
    struct table_view *current, *retired, *handed_out;
    pthread_mutex_t uses_mutex;
    struct view_use *uses;
};

void views_begin(struct views *s);
void views_end(struct views *s);

static inline void view_enter(struct views *s, struct view_use *u) {
    /* Acquire; pairs with the release in views_retire(): a call with that epoch does not find what
     * was retired before. */
    atomic_store_explicit(&u->since, atomic_load_explicit(&s->epoch, memory_order_acquire), memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* rule V3 */
}
static inline void view_leave(struct view_use *u) {
    /* Release; pairs with the acquire in views_retire(): what was read is read before it is freed. */
    atomic_store_explicit(&u->since, 0, memory_order_release);
}

/* A use that has been part of no handle until now, or shall not be any more. */
void view_use_add(struct views *s, struct view_use *u);
void view_use_remove(struct views *s, struct view_use *u);

/* A use for one call that has neither page nor writer; it has begun. NULL: LARDER_E_NO_MEMORY, with
 * a message. */
struct view_use *views_visit(struct larder *db);
void views_depart(struct larder *db, struct view_use *u);

/* Retires the views of a table's place that are not current any more, and frees what can be freed.
 * Under the handle's mutex. */
void views_retire(struct larder *db, uint32_t ordinal);
/* The view whose definition is given to the caller for the handle's life: v, or an earlier one with
 * the same definition. Under the handle's mutex. */
struct table_view *views_hand_out(struct larder *db, struct table_view *v);

void views_fork_prepare(struct views *s);
void views_fork_parent(struct views *s);
void views_fork_child(struct views *s);

#endif
