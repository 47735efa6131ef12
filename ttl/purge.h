/* ttl/purge.h - dropping timers that no item needs any more, long before they would fire.
 *
 * Job      A deleted item leaves its timer, and an item stored again gets another. Where the same
 *          keys come and go all day, such timers would outnumber the items. So the expirer also
 *          goes through slots that are far from due, a few in each second, and drops the timers
 *          that no item is armed for.
 * Why safe A timer is added before its item is published, both under the lock of the item's stripe.
 *          A first look without the lock can only decide to keep a timer. Timers are dropped by
 *          upkeep_expire(), which looks again under the lock.
 * Rules    U1 A second costs each shard about PURGE_KEPT_MAX looks at timers that are still needed.
 *             A shard that had more then rests for as many seconds as that is worth. Dropped timers
 *             are not counted.
 *          U2 wheel_shard_shm.purge says where to go on, and not before which second. It is a hint:
 *             any value is valid.
 *          U3 A purge needs no memory: it takes entries out of chunks, and chunks out of lists.
 * Tests    tests/api/ttl_move_test.c (timers of deleted items)
 */
#ifndef LARDER_TTL_PURGE_H
#define LARDER_TTL_PURGE_H

#include "ttl/fire.h"

/* No memory is left: goes through all slots, those of level 0 included. The expirer does so only
 * when the shard does not rest (U1); larder_expire() always. *freed: chunks given back. LARDER_OK,
 * LARDER_E_BUSY, LARDER_E_CORRUPT. */
int purge_whole_shard(struct fire_job *job, uint32_t shard, uint64_t *freed);
/* Marks the timers of a batch that no item needs, *kept counts the others. LARDER_OK;
 * LARDER_E_BUSY: too much is locked. */
int purge_batch(struct fire_job *job, struct wheel_batch *batch, uint64_t *kept);
/* The shard's time must have reached job->now_s. LARDER_OK, LARDER_E_BUSY, LARDER_E_CORRUPT. */
int purge_shard(struct fire_job *job, uint32_t shard);

#endif
