/* ttl/expire.h - the expirer's work: what is due, shard by shard.
 *
 * Job      Moves the wheel's shards to the present and fires what is due (fire.h). Used by
 *          larder_expire() in the caller's thread and by the expirer's thread.
 * Rules    X1 Any number may work at a time, in any process, and may be stopped or killed anywhere:
 *             what is done to an item is decided under its stripe's lock, and what is taken out of
 *             the wheel follows rule W4. Who is the expirer (expirer.c) is a matter of economy.
 *          X2 A timer that could not be handled stays: for want of memory to arm it anew, or
 *             because its stripe is locked by a process that is stopped. The shard's time then
 *             stands still, and the whole shard is also looked through for what has expired. So a
 *             full segment does not keep expired items because it is full, and a stopped process
 *             keeps nothing but the items of stripes that it holds.
 * Tests    tests/api/ttl_test.c
 */
#ifndef LARDER_TTL_EXPIRE_H
#define LARDER_TTL_EXPIRE_H

#include "ttl/fire.h"

/* All shards. LARDER_OK, LARDER_MORE (items_max, or stopping), LARDER_E_BUSY (something stays
 * locked, all else is done), LARDER_E_CORRUPT. w may be stuck afterwards. */
int expire_run(struct fire_job *job);

#endif
