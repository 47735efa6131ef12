/* tests/unit/bench/bench_test.c - the benchmark's own arithmetic: bench/crew.h, bench/workload.h
 * and the histogram.
 *
 * Goal     A figure means what it says: in the open loop a stall shows for all the calls that it
 *          held up, also one that lasts beyond the end. Quantiles are right to a sixteenth. No call
 *          reads again what the call before it brought into the cache.
 * Method   An engine that only writes down what it is asked for, and stalls when told to.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/crew.h"
#include "tests/support/slow.h"

TestSuite(bench, .timeout = 60 * SLOW_FACTOR);

#define MS UINT64_C(1000000)
#define ITEMS 50000u

/* ---- An engine of notes ---------------------------------------------------------------------- */

struct notes {
    uint64_t calls, stall_at, stall_ms;
    unsigned char seen[2 * ITEMS], put[2 * ITEMS];
    uint64_t seen_count; /* different items */
};

static void note_item(struct notes *t, uint64_t n) {
    cr_assert_lt(n, sizeof t->seen);
    t->seen_count += t->seen[n] == 0;
    t->seen[n]++;
}

static uint64_t number_of(const struct bench_key *key) {
    char pk[PK_BYTES + 1] = "", sk[SK_BYTES + 1] = "";
    memcpy(pk, key->pk, PK_BYTES);
    memcpy(sk, key->sk, SK_BYTES);
    return strtoull(pk + 5, NULL, 10) * PARTITION_ITEMS + strtoull(sk + SK_BYTES - 3, NULL, 10);
}

static void *notes_attach(void *engine) {
    return engine;
}

static void notes_detach(void *session) {
    (void)session;
}

static void notes_prepare(void *session, struct write *w) {
    (void)session, (void)w;
}

static uint64_t notes_get(void *session, const struct bench_key *key) {
    struct notes *t = session;
    if (t->calls++ == t->stall_at) {
        struct timespec pause = {.tv_nsec = (long)(t->stall_ms * MS)};
        nanosleep(&pause, NULL);
    }
    note_item(t, number_of(key));
    return 1;
}

static uint64_t notes_get_many(void *session, const struct bench_key *keys, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        note_item(session, number_of(&keys[i]));
    return count;
}

static int notes_put(void *session, const struct write *w, int is_new, int is_moved) {
    (void)is_moved;
    cr_assert(!is_new || w->n >= ITEMS, "%llu is not new", (unsigned long long)w->n);
    note_item(session, w->n);
    ((struct notes *)session)->put[w->n]++;
    return 1;
}

static int notes_remove(void *session, uint64_t n) {
    struct notes *t = session;
    cr_assert_eq(t->put[n], 1, "%llu was put %d times", (unsigned long long)n, t->put[n]);
    t->put[n] = 0;
    return 1;
}

static const struct engine notes_engine = {.name = "notes",
                                           .attach = notes_attach,
                                           .detach = notes_detach,
                                           .prepare = notes_prepare,
                                           .get = notes_get,
                                           .get_many = notes_get_many,
                                           .put = notes_put,
                                           .remove = notes_remove};

static const struct scene scene = {.items = ITEMS, .item_bytes = 300, .spare_items = 4000};

/* ---- Latency --------------------------------------------------------------------------------- */

/* Half a second of gets with one stall, at calls_per_s or as fast as they go. */
static struct crew_result stalled(uint64_t stall_at, uint64_t stall_ms, double calls_per_s) {
    static struct notes notes;
    const struct workload *work[] = {workload_named("get")};
    struct crew_order order = {.phase = CREW_RUN, .seconds = 0.5, .is_timed = 1, .calls_per_s = calls_per_s};
    struct crew_result result;
    notes = (struct notes){.stall_at = stall_at, .stall_ms = stall_ms};
    struct crew *crew = crew_start(&notes_engine, &notes, &scene, work, 1, 0);
    crew_run(crew, &order, &result);
    crew_stop(crew);
    return result;
}

/* On a busy machine all calls may be late: one of several tries shows those that are in time. */
Test(bench, stall_is_charged_to_all_that_it_held_up) {
    double usual = 1e12;
    for (int tries = 0; tries < 50 && usual > 50 * MS; tries++) {
        struct crew_result r = stalled(2500, 200, 10000);
        cr_assert_eq(r.calls, 5000, "%llu calls were due and made", (unsigned long long)r.calls);
        /* 2000 of 5000 calls were due during 200 ms: a fifth of all waited for more than 100 ms. */
        cr_assert_geq(hist_quantile(&r.latency, 0.85), 80 * MS);
        cr_assert_geq(hist_quantile(&r.latency, 1.0), 200 * MS);
        usual = (double)hist_quantile(&r.latency, 0.3);
    }
    cr_assert_leq(usual, 50 * MS);
}

Test(bench, closed_loop_sees_a_stall_once) {
    struct crew_result r = stalled(2500, 200, 0);
    cr_assert_geq(hist_quantile(&r.latency, 1.0), 200 * MS);
    cr_assert_leq(hist_quantile(&r.latency, 0.85), 50 * MS);
}

Test(bench, calls_due_before_the_end_count_however_late) {
    struct crew_result r = stalled(4000, 300, 10000); /* until 0.2 s after the end */
    cr_assert_eq(r.calls, 5000, "%llu calls were due and made", (unsigned long long)r.calls);
    cr_assert_geq(hist_quantile(&r.latency, 0.85), 200 * MS);
}

Test(bench, quantiles_are_right_to_a_sixteenth) {
    static struct hist h, sum;
    for (uint64_t ns = 1; ns <= 100000; ns++)
        hist_add(&h, ns);
    hist_add(&sum, 7);
    hist_merge(&sum, &h);
    cr_assert_eq(hist_count(&sum), 100001);
    const double shares[] = {0.01, 0.5, 0.99, 0.999, 1.0};
    for (int i = 0; i < 5; i++) {
        double is = (double)hist_quantile(&sum, shares[i]), wanted = shares[i] * 100000;
        cr_assert(is >= wanted * 0.999 && is <= wanted * 17 / 16, "%g of 1..100000 is %g", shares[i], is);
    }
    cr_assert_eq(hist_quantile(&(struct hist){0}, 0.5), 0);
}

/* ---- What is drawn at random ----------------------------------------------------------------- */

static uint64_t different_items(const char *workload, uint32_t calls, unsigned worker_count) {
    static struct notes notes;
    struct ring ring;
    notes = (struct notes){.stall_at = UINT64_MAX};
    for (unsigned worker = 0; worker < worker_count; worker++) {
        workload_fill(&ring, workload_named(workload), &notes_engine, &notes, &scene, worker, worker_count);
        for (uint32_t at = 0; at < ring.count && at < calls; at++)
            workload_call(&notes_engine, &notes, &ring, at, 0);
        for (uint32_t at = 0; workload_named(workload)->back != OP_GET && at < ring.count; at++)
            workload_call(&notes_engine, &notes, &ring, at, 1);
        ring_free(&ring);
    }
    return notes.seen_count;
}

Test(bench, hundred_at_once_are_others_each_time) {
    /* 20 times 100 of 50,000 drawn at random: some 40 come twice. */
    cr_assert_geq(different_items("many", 20, 1), 1900);
}

Test(bench, overwrites_go_to_every_item) {
    cr_assert_eq(different_items("overwrite", UINT32_MAX, 1), ITEMS);
    cr_assert_eq(different_items("overwrite", UINT32_MAX, 2), ITEMS, "two workers share them");
}

/* The way back asserts that each was put once. */
Test(bench, inserts_are_new_and_go_again) {
    cr_assert_geq(different_items("insert", UINT32_MAX, 2), 3000);
    cr_assert_geq(different_items("ycsb-d", UINT32_MAX, 1), 10000);
}
