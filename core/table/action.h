/* core/table/action.h - an action of larder_write() or of a transaction.
 *
 * Tests    tests/api/write_test.c, tests/api/transact_test.c
 */
#ifndef LARDER_TABLE_ACTION_H
#define LARDER_TABLE_ACTION_H

#include "core/table/expression.h"
#include "core/table/write.h"

/* Begins with a write of action_kind(), so that its functions find the rest. */
struct act {
    struct write write;
    const struct larder_action *action;
    struct expression_values condition, update; /* of action_bind() */
    /* larder_increment(): the update adds this to a number, and its messages are used; else NULL */
    struct item_sum *sum;
};

/* Whether the members belong together. LARDER_OK or LARDER_E_INVAL, with a message to which the
 * call is to be added. */
int action_check(const struct larder_action *a);
/* Finds the values of both expressions; begin with none. To be ended with action_unbind(), also
 * after a failure. LARDER_OK, LARDER_E_INVAL, LARDER_E_NO_MEMORY, LARDER_E_CORRUPT. */
int action_bind(struct act *act);
void action_unbind(struct act *act);
/* What prepares and decides it. */
const struct write_kind *action_kind(const struct larder_action *a);
/* Does it: checked and bound, and begun by write_begin() without a kind. As larder_write(). */
int action_run(struct act *act);

#endif
