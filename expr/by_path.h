/* expr/by_path.h - paths with a common beginning, in the order of struct expr's by_path.
 *
 * Idea     Paths are sorted as records are, so those with the same first steps are neighbours: a
 *          run. A walk over the members of a map meets its runs in their order.
 * Tests    tests/unit/expr/expr_project_test.c, tests/unit/expr/expr_apply_test.c
 */
#ifndef LARDER_EXPR_BY_PATH_H
#define LARDER_EXPR_BY_PATH_H

#include "core/item/item_records.h"
#include "expr/expr.h"

/* Neighbours in by_path that have the same first steps: numbers first .. end - 1. */
struct path_run {
    const struct expr *e;
    uint32_t first, end;
};

/* All paths of a projection, or of the actions of an update. */
static inline struct path_run path_run_all(const struct expr *e) {
    return (struct path_run){e, 0, e->kind == EXPR_UPDATE ? e->action_count : e->path_count};
}

static inline uint32_t path_number(const struct expr *e, uint32_t number) {
    uint32_t at = e->by_path[number];
    return e->kind == EXPR_UPDATE ? e->actions[at].path : at;
}

static inline const struct expr_step *path_step(const struct expr *e, uint32_t number, uint32_t depth) {
    return expr_steps(e, path_number(e, number)) + depth;
}

static inline int path_is_same_step(const struct expr_step *a, const struct expr_step *b) {
    return a->name.at && b->name.at ? item_compare_bytes(a->name, b->name) == 0
                                    : !a->name.at && !b->name.at && a->index == b->index;
}

/* The run at `first` whose paths have the same step `depth`. */
static inline struct path_run path_run_at(const struct path_run *in, uint32_t first, uint32_t depth) {
    struct path_run run = {in->e, first, first + 1};
    while (run.end < in->end && path_is_same_step(path_step(in->e, first, depth), path_step(in->e, run.end, depth)))
        run.end++;
    return run;
}

/* Whether the paths of a run end at this depth. */
static inline int path_is_end(const struct path_run *run, uint32_t depth) {
    return run->e->paths[path_number(run->e, run->first)].count == depth + 1;
}

#endif
