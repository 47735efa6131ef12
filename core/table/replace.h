/* core/table/replace.h - the short way of an update: of one attribute that is there, by a value of
 * the same type.
 *
 * Idea     The new image is the old one but for one record (core/item/item_add.c). Index slots and
 *          expiry stay as they are, so nothing is looked for by the table's definition.
 * Tests    tests/api/write_test.c, tests/api/increment_test.c
 */
#ifndef LARDER_TABLE_REPLACE_H
#define LARDER_TABLE_REPLACE_H

#include "core/table/write.h"
#include "expr/update.h"

/* Under the lock. u->old is a readable copy of the present item. Makes c->image in the first
 * `half` bytes of w->scratch, and uses the same number behind them. sum: NULL, or of
 * larder_increment(), which gets the sum and says what is wrong with it.
 * LARDER_OK. LARDER_NOT_FOUND: this cannot be done here. LARDER_E_INVAL, LARDER_E_CORRUPT.
 * OBSTACLE_SCRATCH: w->need_bytes is set. */
int replace_locked(struct writer *w, struct write *c, const struct expr_update *u, size_t half, struct item_sum *sum);

#endif
