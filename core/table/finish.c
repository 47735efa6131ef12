/* core/table/finish.c - finishing or undoing the operation of a dead slot. See finish.h. */
#include "core/table/finish.h"
#include "core/base/err.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/memory/recover.h"
#include "core/table/change.h"
#include "core/table/commit.h"
#include "core/table/table_life.h"

/* An item write may be under way inside another operation (an index being filled, a table being
 * emptied). It comes first, and its stripe's lock goes then: finishing the operation takes stripes
 * one after the other, as the dead thread did. */
int finish_operation(struct writer *dead) {
    if (SHM_LOAD(&dead->slot->record_off) != 0)
        return commit_recover(dead);
    uint32_t op = SHM_LOAD(&dead->slot->op), a = SHM_LOAD(&dead->slot->op_a), b = SHM_LOAD(&dead->slot->op_b);
    int r = SHM_LOAD(&dead->slot->op_stripe_off) != 0 ? change_recover(dead) : step_settle(dead, 0);
    if (r)
        return r;
    r = recover_drop_held(dead, LOCK_STRIPE);
    if (r)
        return r;
    if (op > OP_ITEM && !lock_is_held(dead, LOCK_CATALOG))
        return err_set(LARDER_E_CORRUPT, "slot %u notes operation %u without the catalog's lock", dead->id, op);
    switch (op) {
    case OP_NONE:
    case OP_ITEM:
        return LARDER_OK;
    case OP_TABLE_CREATE:
    case OP_TABLE_DROP:
        return table_recover_op(dead, op, a);
    case OP_INDEX_ADD:
        return core_hooks->index_recover_add(dead, a, b);
    default:
        return err_set(LARDER_E_CORRUPT, "slot %u notes an operation %u that does not exist", dead->id, op);
    }
}
