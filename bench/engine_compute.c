/* bench/engine_compute.c - the compute probe: no memory at all, a loop in registers. See
 * bench/engine.h.
 *
 * Job      Tells what two processes on this machine can do at most of one's work: less than twice,
 *          on cores that share execution units (two threads of one core, as many virtual machines
 *          have). Four independent chains keep the units busy. It stores nothing and finds nothing;
 *          only its rates at one and at two workers mean something.
 */
#include "bench/engine.h"
#include <stdlib.h>

#define STEPS 100

static void *compute_create(const struct scene *scene, const char **why) {
    static char nothing;
    (void)scene, (void)why;
    return &nothing;
}

static void compute_destroy(void *engine) {
    (void)engine;
}

static void *compute_attach(void *engine) {
    return engine;
}

static void compute_detach(void *session) {
    (void)session;
}

static void compute_prepare(void *session, struct write *w) {
    (void)session, (void)w;
}

static uint64_t compute_get(void *session, const struct bench_key *key) {
    uint64_t a = (uint64_t)key->sk[SK_BYTES - 1], b = a + 1, c = a + 2, d = a + 3;
    (void)session;
    for (int i = 0; i < STEPS; i++) {
        a = (a ^ a >> 31) * UINT64_C(0x9E3779B97F4A7C15);
        b = (b ^ b >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
        c = (c + (c << 7)) ^ c >> 9;
        d = (d + (d << 11)) ^ d >> 13;
    }
    return (a ^ b ^ c ^ d) | 1;
}

const struct engine engine_compute = {
    .name = "compute",
    .setup = "a loop in registers, no memory: what two processes can do of twice one's work",
    .can = CAN_SHARE | CAN_THREAD | IS_NO_STORE,
    .create = compute_create,
    .destroy = compute_destroy,
    .attach = compute_attach,
    .detach = compute_detach,
    .prepare = compute_prepare,
    .get = compute_get,
};
