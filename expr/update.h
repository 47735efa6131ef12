/* expr/update.h - applying an update expression: the new item that it makes of the old one.
 *
 * Job      Old item, compiled expression and bound values go in, a builder's image comes out: it is
 *          stored as any other item is. Fit for use under a lock: no allocation, no system call,
 *          memory of the caller, bounded time.
 * Rules    P1 Every action sees the old item: values are found there, and indexes count there.
 *             (Developer guide, "Update expressions".)
 *          P2 An error changes nothing: the image is not used then.
 *          P3 Parts that no action names are copied byte for byte.
 * Errors   LARDER_E_INVAL with the service's own text.
 * Stack    Some 200 bytes for each level of the deepest path.
 * Files    update.c walks the item, update_values.c finds the values of SET, update_sets.c joins
 *          and cuts sets.
 * Tests    tests/unit/expr/expr_apply_test.c, expr_naive_test.c
 */
#ifndef LARDER_EXPR_UPDATE_H
#define LARDER_EXPR_UPDATE_H

#include "expr/expr.h"

struct expr_update {
    const struct expr *e;             /* EXPR_UPDATE, checked by expr_check_keys() */
    const struct larder_value *bound; /* by expr_bind() */
    const struct item_head *old;      /* what is there, readable; NULL: nothing, or expired */
    /* without `old`: a builder's image of the key attributes, as item_of_keys() makes it */
    const struct item_head *keys;
};

#define EXPR_TOO_SMALL 1001 /* the buffer; *need says how large it has to be */

/* @param buffer [out] 8-aligned, `room` bytes; *image lies in it. Outputs of a retry are the same.
 * @return LARDER_OK        *image, in a builder's form.
 *         LARDER_NOT_FOUND There is no item, and nothing is added to one: no item is made.
 *         EXPR_TOO_SMALL   *need; a few retries are enough.
 *         LARDER_E_INVAL, LARDER_E_CORRUPT. */
int expr_update(const struct expr_update *u, void *buffer, size_t room, const struct item_head **image, size_t *need);

/* The value that the one action of an update sets, if that is a SET of a whole attribute. It lies
 * in `buffer`, in the old item or in a bound value. As expr_update(), but for *image. */
int expr_update_value(const struct expr_update *u, void *buffer, size_t room, struct larder_value *out, size_t *need);

/* UPDATED_OLD and UPDATED_NEW: expr_project(u->e, image, to) with the old or the new image gives
 * what the actions' paths name there, as the service does: an element that a SET appended is not
 * among it, and one that moved to a removed one's place is. No attributes: nothing is returned. */

#endif
