/* bench/crowd.c - see crowd.h. Uses larder.h alone. */
#include "bench/crowd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/cache_sim.h"
#include "bench/clock.h"
#include "bench/fail.h"
#include "bench/place.h"
#include "bench/trace.h"

struct crowd {
    const struct eviction_plan *plan;
    struct trace trace;
    uint32_t steps; /* of each writer */
    _Atomic int is_over;
};

struct member {
    struct crowd *crowd;
    struct place place;
    bool is_writer;
    uint64_t first; /* access of the trace; they follow one another in steps of CROWD_MAX * 2 */
    uint64_t gets, puts, full, counted, hits; /* of a writer, accesses of its later half count */
    uint32_t *put_ns;
    pthread_t thread;
};

static void access_key(struct member *m, uint32_t n, bool counts) {
    struct bench_key k;
    dataset_key(n, &k);
    struct larder_key key = place_key(&k);
    int r = larder_get(m->place.table, &key, m->place.page);
    m->gets++;
    m->counted += counts;
    m->hits += counts && r == LARDER_OK;
    if (r != LARDER_NOT_FOUND) {
        place_must(r, "get");
        return;
    }
    if (!m->is_writer)
        return;
    const struct larder_item *item = place_item(&m->place, n, m->crowd->plan->item_bytes, 0);
    uint64_t start = clock_ns();
    r = larder_put(m->place.table, item, NULL);
    uint64_t ns = clock_ns() - start;
    m->full += r == LARDER_E_FULL;
    place_must(r == LARDER_E_FULL ? LARDER_OK : r, "put");
    m->put_ns[m->puts++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static void *live(void *arg) {
    struct member *m = arg;
    const struct trace *t = &m->crowd->trace;
    for (uint64_t i = 0; m->is_writer ? i < m->crowd->steps : !m->crowd->is_over; i++)
        access_key(m, trace_zipf(t, m->first + i * CROWD_MAX * 2), !m->is_writer || i >= m->crowd->steps / 2);
    return NULL;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* 99 in 100 puts of all writers take no longer. */
static double p99_us(const struct member *m, uint32_t writers) {
    uint64_t count = 0, at = 0;
    for (uint32_t i = 0; i < writers; i++)
        count += m[i].puts;
    uint32_t *all = malloc((count + 1) * sizeof *all);
    if (!all)
        fail("no memory for latencies");
    for (uint32_t i = 0; i < writers; i++)
        for (uint64_t k = 0; k < m[i].puts; k++)
            all[at++] = m[i].put_ns[k];
    qsort(all, count, sizeof *all, by_number);
    uint64_t place = count ? (count - 1) * 99 / 100 : 0;
    double us = count ? all[place] * 1e-3 : 0;
    free(all);
    return us;
}

/* Hits of the later half, in per cent. */
static double simulate(const struct crowd *c, const struct member *m, uint32_t writers, uint32_t capacity) {
    struct cache_sim *sim = cache_sim_new(CACHE_SIEVE, c->trace.keys_max, capacity);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < c->steps; i++)
        for (uint32_t k = 0; k < writers; k++) {
            bool is_hit = cache_sim_access(sim, trace_zipf(&c->trace, m[k].first + (uint64_t)i * CROWD_MAX * 2));
            hits += is_hit && i >= c->steps / 2;
        }
    cache_sim_free(sim);
    uint32_t judged = c->steps - c->steps / 2;
    return 100.0 * (double)hits / ((double)judged * writers);
}

static double percent(uint64_t part, uint64_t all) {
    return all ? 100.0 * (double)part / (double)all : 0;
}

/* One row. Returns the p99 of a put. */
static double run_members(struct crowd *c, struct member *m, uint32_t writers, uint32_t readers, double alone_us) {
    struct larder_table_stats stats;
    uint64_t start = clock_ns(), puts = 0, hits = 0, counted = 0, gets = 0, full = 0, read_hits = 0, reads = 0;
    c->is_over = 0;
    for (uint32_t i = 0; i < writers + readers; i++) {
        m[i].is_writer = i < writers;
        m[i].gets = m[i].counted = m[i].hits = m[i].puts = m[i].full = 0;
        m[i].first += (uint64_t)c->steps * CROWD_MAX * 2; /* on from the last run's */
        if (pthread_create(&m[i].thread, NULL, live, &m[i]))
            fail("a thread cannot be made");
    }
    for (uint32_t i = 0; i < writers; i++)
        pthread_join(m[i].thread, NULL);
    double seconds = (double)(clock_ns() - start) * 1e-9;
    c->is_over = 1;
    for (uint32_t i = 0; i < writers + readers; i++) {
        if (i >= writers)
            pthread_join(m[i].thread, NULL);
        puts += m[i].puts;
        full += m[i].full;
        *(i < writers ? &hits : &read_hits) += m[i].hits;
        *(i < writers ? &counted : &reads) += m[i].counted;
        gets += m[i].gets;
    }
    place_must(larder_table_stats(m[0].place.table, &stats), "stats");
    double us = p99_us(m, writers);
    printf("%2u and %2u  %8llu %8.2f %8.2f %8.2f %10.3f %8.3f %9.1f %6.1f %6llu\n", writers, readers,
           (unsigned long long)stats.item_count, percent(hits, counted),
           simulate(c, m, writers, (uint32_t)stats.item_count), percent(read_hits, reads),
           (double)puts / seconds * 1e-6, (double)gets / seconds * 1e-6, us, alone_us > 0 ? us / alone_us : 1,
           (unsigned long long)full);
    fflush(stdout);
    if (full)
        fail("%llu puts said LARDER_E_FULL in a segment of items that may be evicted", (unsigned long long)full);
    return us;
}

static void open_member(struct crowd *c, struct member *m, const struct member *first, uint32_t number) {
    *m = (struct member){.crowd = c, .first = number};
    place_open(&m->place, first ? larder_memfd(first->place.db) : -1, (uint64_t)c->plan->megabytes << 20);
    m->put_ns = malloc(c->steps * sizeof *m->put_ns);
    if (!m->put_ns)
        fail("no memory for latencies");
    if (!first)
        place_must(larder_eviction_set(m->place.table, LARDER_EVICTION_SIEVE), "eviction");
    place_must(larder_expirer_start(m->place.db), "expirer");
}

static void close_member(struct member *m) {
    larder_expirer_stop(m->place.db);
    larder_page_free(m->place.page);
    larder_builder_free(m->place.builder);
    larder_close(m->place.db);
    free(m->put_ns);
}

/* Until it has evicted as much as it holds. */
static void fill(struct crowd *c, struct member *m) {
    struct larder_segment_stats stats = {0};
    for (uint32_t n = 0; stats.counters.evicted < c->trace.room; n++) {
        place_must(
            larder_put(m->place.table, place_item(&m->place, n % c->trace.keys_max, c->plan->item_bytes, 0), NULL),
            "put");
        if (n % 1024 == 0)
            place_must(larder_segment_stats(m->place.db, &stats), "stats");
    }
}

void crowd_run(const struct eviction_plan *plan) {
    static struct member m[CROWD_MAX * 2];
    struct crowd c = {.plan = plan, .trace = trace_begin(plan->megabytes, plan->item_bytes, 1.0)};
    c.steps = c.trace.room * 6;
    for (uint32_t i = 0; i < plan->writers * 2; i++)
        open_member(&c, &m[i], i ? m : NULL, i);
    printf("\ncrowd: writers and readers of a full segment, Zipf 1.0; hits in per cent, puts and gets in M/s, p99 of a "
           "put "
           "in us\n%-9s %8s %8s %8s %8s %10s %8s %9s %6s %6s\n",
           "writers", "items", "hits", "SIEVE", "readers'", "puts", "gets", "p99 put", "times", "FULL");
    fill(&c, m);
    double alone_us = run_members(&c, m, 1, 0, 0);
    run_members(&c, m, plan->writers, plan->writers, alone_us);
    for (uint32_t i = plan->writers * 2; i-- > 0;)
        close_member(&m[i]);
    trace_end(&c.trace);
}
