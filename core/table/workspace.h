/* core/table/workspace.h - private memory for a call of several items, kept from call to call.
 *
 * Why      To allocate and free the memory of a small transaction takes an eighth of its
 *          instructions.
 * Idea     A handle keeps one workspace. A call takes it away, or makes one if it is not there:
 *          another thread has it, or it is too small.
 * Rules    K1 A workspace of more than WORKSPACE_KEPT bytes is not kept.
 * Tests    tests/unit/table/workspace_test.c
 */
#ifndef LARDER_TABLE_WORKSPACE_H
#define LARDER_TABLE_WORKSPACE_H

#include <stddef.h>
#include <stdint.h>

#define WORKSPACE_KEPT 65536u

struct larder;
struct workspace {
    size_t bytes; /* at `at` */
    _Alignas(16) uint8_t at[];
};

/* At least so many bytes, not zeroed. NULL: LARDER_E_NO_MEMORY. */
struct workspace *workspace_take(struct larder *db, size_t bytes);
/* Back; NULL: nothing was taken. */
void workspace_give(struct larder *db, struct workspace *w);

#endif
