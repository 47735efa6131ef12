/* item.h - the attributes of every kind of item.
 *
 * Job      item_emit() gives all attributes of one item of the load, at a revision, to a sink. Kept
 *          apart from the keys (key.c), which questions need without the rest.
 */
#ifndef SHUTTLE_ITEM_H
#define SHUTTLE_ITEM_H

#include "gen.h"
#include "sink.h"

#define ITEM_REVISION "revision" /* on live items: how often the item was changed since the load */

/* Each import that is counted after the load adds this to a month's usage. */
#define ITEM_IMPORT_PRODUCTS 25

void item_emit(const struct gen *g, struct gen_place p, uint32_t revision, struct sink *s);

/** The fingerprint the item must have. */
uint64_t item_fingerprint(const struct gen *g, struct gen_place p, uint32_t revision);

#endif
