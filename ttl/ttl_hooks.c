/* ttl/ttl_hooks.c - the wheel as core/ calls it. See ttl.h.
 *
 * Tests    tests/api/ttl_move_test.c
 */
#include "ttl/ttl.h"
#include "ttl/wheel.h"

int timer_add(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t at_s) {
    return wheel_add(w, hash, at_s, (uint16_t)v->ordinal);
}

/* Step 1 was settled before, and a shard holds nothing twice: only the lock is left to drop. */
int timer_recover_shard(struct writer *w, lock_word *lock) {
    lock_drop(w, lock, LOCK_SHARD);
    return LARDER_OK;
}
