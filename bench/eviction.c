/* bench/eviction.c - see eviction.h. Uses larder.h alone. */
#include "bench/eviction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cache_sim.h"
#include "bench/clock.h"
#include "bench/crowd.h"
#include "bench/fail.h"
#include "bench/place.h"
#include "bench/trace.h"

/* ---- Traces ---------------------------------------------------------------------------------- */

/* Half of the accesses go to a hot set of half the room, the others pass once. */
static uint32_t scan(const struct trace *t, uint64_t i) {
    uint32_t hot = t->room / 2;
    return i % 2 == 0 ? (uint32_t)(trace_random(i, 2) % hot) : hot + (uint32_t)(i / 2);
}

static uint32_t loop(const struct trace *t, uint64_t i) {
    return (uint32_t)(i % (t->room + t->room / 5));
}

/* A hot set of half the room takes four fifths of the accesses, and moves through the keys once
 * during the trace; the others go anywhere. */
static uint32_t moving(const struct trace *t, uint64_t i) {
    uint32_t keys = t->room * 5, hot = t->room / 2;
    uint64_t base = i * keys / t->length;
    return (uint32_t)(trace_part(i, 3) < 0.8 ? (base + trace_random(i, 2) % hot) % keys : trace_random(i, 1) % keys);
}

static const struct kind {
    const char *name;
    double exponent;
    uint32_t (*key)(const struct trace *t, uint64_t i);
} kinds[] = {
    {"zipf-0.8", 0.8, trace_zipf}, {"zipf-1.0", 1.0, trace_zipf}, {"scan", 0, scan}, {"loop", 0, loop},
    {"moving", 0, moving},
};

/* ---- Latency --------------------------------------------------------------------------------- */

struct latencies {
    uint32_t *ns;
    size_t count, room;
};

static void note(struct latencies *l, uint64_t ns) {
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 65536;
        l->ns = realloc(l->ns, l->room * sizeof *l->ns);
        if (!l->ns)
            fail("no memory for latencies");
    }
    l->ns[l->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double us_at(struct latencies *l, double part) {
    qsort(l->ns, l->count, sizeof *l->ns, by_number);
    return l->count ? l->ns[(size_t)((double)(l->count - 1) * part)] * 1e-3 : 0;
}

/* ---- The engine ------------------------------------------------------------------------------ */

struct run {
    struct place place;
    const struct eviction_plan *plan;
    uint64_t puts, hits;
    double mean_items, seconds;
    struct latencies fresh, full; /* of puts, before and after the first eviction */
};

static uint64_t evicted(struct run *r) {
    struct larder_segment_stats stats;
    place_must(larder_segment_stats(r->place.db, &stats), "stats");
    return stats.counters.evicted;
}

static bool access_key(struct run *r, uint32_t n, bool is_full) {
    struct bench_key k;
    dataset_key(n, &k);
    struct larder_key key = place_key(&k);
    int got = larder_get(r->place.table, &key, r->place.page);
    if (got == LARDER_OK)
        return true;
    place_must(got == LARDER_NOT_FOUND ? LARDER_OK : got, "get");
    const struct larder_item *item = place_item(&r->place, n, r->plan->item_bytes, 0);
    uint64_t start = clock_ns();
    place_must(larder_put(r->place.table, item, NULL), "put");
    note(is_full ? &r->full : &r->fresh, clock_ns() - start);
    r->puts++;
    return false;
}

#define SAMPLES 64u /* looks at how many items there are */

static void run_engine(struct run *r, const struct kind *kind, const struct trace *t) {
    uint32_t samples = 1, every = t->length / 2 / SAMPLES + 1;
    bool is_full = false;
    uint64_t start = 0;
    for (uint32_t i = 0; i < t->length; i++) {
        if (i == t->length / 2)
            start = clock_ns();
        bool is_hit = access_key(r, kind->key(t, i), is_full);
        r->hits += is_hit && i >= t->length / 2;
        if (i % every != 0)
            continue;
        uint64_t gone = evicted(r);
        is_full |= gone > 0;
        if (i >= t->length / 2) {
            r->mean_items += ((double)(r->puts - gone) - r->mean_items) / samples;
            samples++;
        }
    }
    r->seconds = (double)(clock_ns() - start) * 1e-9;
}

/* Accesses of the second half. */
static double counted_of(const struct trace *t) {
    uint32_t count = t->length - t->length / 2;
    return count;
}

static double simulate(enum cache_policy policy, const struct kind *kind, const struct trace *t, uint32_t capacity) {
    struct cache_sim *c = cache_sim_new(policy, t->keys_max, capacity);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < t->length; i++)
        hits += cache_sim_access(c, kind->key(t, i)) && i >= t->length / 2;
    cache_sim_free(c);
    return 100.0 * (double)hits / counted_of(t);
}

static double run_kind(const struct eviction_plan *plan, const struct kind *kind, bool has_expirer) {
    struct run r = {.plan = plan};
    struct trace t = trace_begin(plan->megabytes, plan->item_bytes, kind->exponent);
    place_open(&r.place, -1, (uint64_t)plan->megabytes << 20);
    place_must(larder_eviction_set(r.place.table, LARDER_EVICTION_SIEVE), "eviction");
    if (has_expirer)
        place_must(larder_expirer_start(r.place.db), "expirer");
    run_engine(&r, kind, &t);
    larder_expirer_stop(r.place.db);
    uint32_t capacity = (uint32_t)r.mean_items;
    double counted = counted_of(&t), hits = 100.0 * (double)r.hits / counted, fresh_us = us_at(&r.fresh, 0.99),
           sieve = simulate(CACHE_SIEVE, kind, &t, capacity), full_us = us_at(&r.full, 0.99),
           lru = simulate(CACHE_LRU, kind, &t, capacity);
    printf("%-10s %-8s %8u %8.2f %8.2f %8.2f %10.1f %8.1f %6.1f %8.1f %9.1f %8.2f\n", kind->name,
           has_expirer ? "yes" : "no", capacity, hits, sieve, lru, full_us, fresh_us, full_us / fresh_us,
           us_at(&r.full, 1), us_at(&r.full, 0.5), counted / r.seconds * 1e-6);
    fflush(stdout);
    larder_page_free(r.place.page);
    larder_builder_free(r.place.builder);
    larder_close(r.place.db);
    free(r.fresh.ns);
    free(r.full.ns);
    trace_end(&t);
    return sieve - hits;
}

double eviction_run(const struct eviction_plan *plan) {
    double worst = -100;
    int is_found = 0;
    printf(
        "\neviction: %u MB, items of %u bytes; hit ratios in per cent, beside exact caches of as many items; puts in "
        "us, M accesses/s\n",
        plan->megabytes, plan->item_bytes);
    printf("%-10s %-8s %8s %8s %8s %8s %10s %8s %6s %8s %9s %8s\n", "trace", "expirer", "items", "larder", "SIEVE",
           "LRU", "p99, full", "p99 new", "times", "longest", "median", "rate");
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int has_expirer = 0; has_expirer < 2; has_expirer++) {
            if (plan->trace && strcmp(plan->trace, kinds[i].name) != 0)
                continue;
            double below = run_kind(plan, &kinds[i], has_expirer);
            worst = below > worst ? below : worst;
            is_found = 1;
        }
    if (!plan->trace || strcmp(plan->trace, "crowd") == 0) {
        crowd_run(plan);
        is_found = 1;
    }
    if (!is_found)
        fail("no trace is called \"%s\": zipf-0.8, zipf-1.0, scan, loop, moving, crowd", plan->trace);
    return worst;
}
