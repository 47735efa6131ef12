/* core/table/upkeep.h - changes to items that no caller asked for.
 *
 * Job      Timers that fire; room in the bucket of a put; images made under an older definition;
 *          items of dropped tables. Each is a write by the protocol of write.h, or a step of its
 *          own.
 * Locks    Each function takes and drops the item's stripe. The caller holds no lock of a rank
 *          above LOCK_GATE.
 * Tests    tests/api/ttl_move_test.c, tests/api/drop_test.c
 */
#ifndef LARDER_TABLE_UPKEEP_H
#define LARDER_TABLE_UPKEEP_H

#include "core/table/write.h"

/* A timer fired (ttl/): looks at the items with this hash whose armed_s is this second. An item
 * that has expired at now_s is removed like by any delete. One whose expiry moved on gets a new
 * timer (core_hooks->timer_add), and its armed_s is set. LARDER_OK: the timer is done with.
 * LARDER_NOT_FOUND: an item expires after the last second, for which this timer is. LARDER_E_FULL,
 * LARDER_E_BUSY, an obstacle: it could not be handled. In all cases but the first it is still
 * needed. *removed counts up by what was removed. */
int upkeep_expire(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t armed_s, int64_t now_s,
                  uint64_t *removed);

/* A put finds no memory: removes what has expired in the bucket of the hash, the item that is to be
 * replaced included. Their timers find nothing when they fire. Returns how many; may leave the
 * writer stuck. */
int upkeep_expire_bucket(struct writer *w, const struct table_view *v, uint64_t hash, int64_t now_s);

/* Under the stripe's lock: sets in *s, whose stripe is set, what write_item_locked() needs for the
 * item in the slot with this word. A damaged item gets no hash: it will be refused. False: a
 * damaged bucket does not lead to it. */
int upkeep_point_at(const struct table_view *v, uint64_t word, const struct item_head *item, struct item_swap *s);

/* Rewrites the items of a stripe whose image was made under an older definition (fewer index slots
 * than the shape, another TTL generation): same attributes, new image, index entries and timer
 * added. Locks the stripe once per item; claims memory itself. LARDER_OK; LARDER_NOT_FOUND: v is no
 * longer current; LARDER_E_FULL; LARDER_E_BUSY; LARDER_E_CORRUPT. */
int upkeep_restamp_stripe(struct writer *w, const struct table_view *v, uint32_t stripe);

/* Deletes the items of a stripe of a table that is being dropped, without work on indexes. *budget,
 * the most items to delete, counts down. LARDER_OK: the stripe is empty; LARDER_MORE;
 * LARDER_E_BUSY; LARDER_E_CORRUPT. */
int upkeep_empty_stripe(struct writer *w, const struct table_view *v, uint32_t stripe, uint32_t *budget);

#endif
