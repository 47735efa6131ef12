/* core/memory/gate.h - keeping all writers out, for as long as larder_repair() works.
 *
 * Idea     The closer holds gate_lock, then takes and drops every stripe's lock once (table_flush).
 *          A writer looks at the gate after it has taken its stripe. Either it sees the gate closed
 *          and backs off, or the closer waits for its stripe. gate_lock names its owner like other
 *          locks, so the first waiter notices a closer that has died.
 * Order    LOCK_CATALOG and LOCK_EXPIRER come before LOCK_GATE: definitions do not change while the
 *          gate is closed, and the expirer waits at it.
 * Not here larder_check(): it closes no gate, and waits at a closed one (core/audit/check_look.c).
 * Tests    tests/crash/repair_beside_test.c, tests/crash/repair_enter_test.c
 */
#ifndef LARDER_MEMORY_GATE_H
#define LARDER_MEMORY_GATE_H

#include "core/memory/lock.h"
#include "core/segment/seg.h"

static inline int gate_is_closed(const struct writer *w) {
    return SHM_LOAD(&w->seg->shm->gate_lock) != 0 && !lock_is_mine(w, &w->seg->shm->gate_lock);
}
/* Waits until the gate is open. The caller holds no lock of a rank above LOCK_GATE. LARDER_OK or
 * LARDER_E_BUSY. */
int gate_wait(struct writer *w);
/* Takes a stripe's lock to change items, with the gate open. */
int gate_take_stripe(struct writer *w, struct stripe_shm *stripe);

#endif
