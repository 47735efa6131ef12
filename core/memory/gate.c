/* core/memory/gate.c - keeping all writers out. See gate.h. */
#include "core/memory/gate.h"

int gate_wait(struct writer *w) {
    lock_word *gate = &w->seg->shm->gate_lock;
    int r = lock_take(w, gate, LOCK_GATE);
    if (r == LARDER_OK)
        lock_drop(w, gate, LOCK_GATE);
    return r;
}

int gate_take_stripe(struct writer *w, struct stripe_shm *stripe) {
    for (;;) {
        int r = lock_take(w, &stripe->lock, LOCK_STRIPE);
        if (r || !gate_is_closed(w))
            return r;
        lock_drop(w, &stripe->lock, LOCK_STRIPE);
        r = gate_wait(w);
        if (r)
            return r;
    }
}
