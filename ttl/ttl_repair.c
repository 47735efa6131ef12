/* ttl/ttl_repair.c - empties the wheel, whatever its state. For core/audit/repair.h: the gate is
 * closed, no process is inside a shard.
 *
 * Why so   A wheel of zeros is empty at second 0 (ttl/wheel.h): the expirer's next walk moves the
 *          time to the present, which costs a thousand loads.
 * Tests    tests/crash/repair_area_test.c
 */
#include "ttl/ttl.h"
#include "ttl/wheel.h"

void timer_forget_all(const struct seg *s) {
    for (uint32_t i = 0; i < s->shard_count; i++) {
        struct wheel_shard_shm *shard = wheel_shard(s, i);
        for (uint32_t place = 0; place < WHEEL_LEVELS * WHEEL_SLOTS; place++)
            SHM_PUT(&shard->slot[place / WHEEL_SLOTS][place % WHEEL_SLOTS], 0);
        SHM_PUT(&shard->now_s, 0);
        SHM_PUT(&shard->purge, 0);
    }
}
