/* ttl/expire.h - the expirer's work: firing due timers, shard by shard.
 *
 * Job      Moves the wheel's shards to the present and fires due timers (fire.h). Used by
 *          larder_expire() in the caller's thread and by the expirer's thread.
 * Rules    X1 Any number of threads, in any processes, may work at the same time, and may be
 *             stopped or killed anywhere. What happens to an item is decided under its stripe's
 *             lock, and entries leave the wheel by rule W4. Having one expirer (expirer.c) only
 *             saves work.
 *          X2 A timer stays if it could not be handled: for want of memory to arm it again, or
 *             because its stripe is locked by a stopped process. The shard's time then stands
 *             still, and the whole shard is searched for expired items. If nothing has expired,
 *             either, timers that no item needs go (ttl/purge.h), and the walk tries again. So a
 *             full segment does not keep expired items because it is full, and a stopped process
 *             keeps only the items of the stripes it holds.
 * Tests    tests/api/ttl_test.c
 */
#ifndef LARDER_TTL_EXPIRE_H
#define LARDER_TTL_EXPIRE_H

#include "ttl/fire.h"

/* All shards. LARDER_OK, LARDER_MORE (items_max, or stopping), LARDER_E_BUSY (something stays
 * locked, the rest is done), LARDER_E_CORRUPT. w may be stuck afterwards. */
int expire_run(struct fire_job *job);

#endif
