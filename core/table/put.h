/* core/table/put.h - the image of an item that is to be put, for every kind of write that has one.
 *
 * Tests    tests/api/items_test.c
 */
#ifndef LARDER_TABLE_PUT_H
#define LARDER_TABLE_PUT_H

#include "core/table/write.h"

/* For prepare(): makes c->image of a caller's item by the view's definition, with its key and hash.
 * LARDER_OK, LARDER_E_INVAL, LARDER_E_NO_MEMORY, LARDER_E_CORRUPT. */
int put_prepare(struct writer *w, struct write *c, const struct larder_item *item);
/* For decide(): the same where c has key and hash already. w->scratch has room for it
 * (item_stored_bytes_max()), and `item` lies elsewhere. LARDER_OK, LARDER_E_INVAL,
 * LARDER_E_CORRUPT. */
int put_make(struct writer *w, struct write *c, const struct larder_item *item);

#endif
