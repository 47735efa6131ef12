/* bench/ageing.c - see ageing.h. Uses larder.h alone.
 *
 * Note     Latency is that of larder_put() alone, in all rounds but the first, which is one in a
 *          fresh segment itself. Times in a fresh segment include the kernel's for its pages.
 */
#include "bench/ageing.h"
#include "bench/clock.h"
#include "bench/fail.h"
#include "bench/place.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- Patterns -------------------------------------------------------------------------------- */

/* Between a and b, so that each doubling is as likely. `part`: 0 to 1. */
static uint32_t between(double a, double b, double part) {
    return (uint32_t)(a * pow(b / a, part));
}

static double part_of(uint64_t number) {
    return (double)(dataset_mix(number) >> 11) * 0x1p-53;
}

/* The items of a round have one size, give or take an eighth. */
static uint32_t around(uint32_t bytes, uint64_t n) {
    return (uint32_t)(bytes * (0.875 + part_of(n) / 4));
}

static uint32_t size_changing(uint32_t round, uint64_t n) {
    return around(between(100, 300000, part_of(round * 7 + 1)), n);
}

static uint32_t size_drifting(uint32_t round, uint64_t n) {
    return around(between(200, 100000, round % 50 / 49.0), n);
}

/* Half of the bytes in small items, half in large ones. */
static uint32_t size_bimodal(uint32_t round, uint64_t n) {
    uint32_t small = between(100, 1000, part_of(round * 7 + 2)), large = between(10000, 300000, part_of(round * 7 + 3));
    return around(part_of(n * 3) * (small + large) < small ? large : small, n);
}

static uint32_t size_small(uint32_t round, uint64_t n) {
    return around(between(120, 7000, part_of(round * 7 + 4)), n);
}

/* Every second round 300 bytes, of which nothing is kept; then one large size. */
static uint32_t size_after_300(uint32_t round, uint64_t n) {
    static const uint32_t large[] = {390000, 100000, 20000};
    return round % 2 == 0 ? around(300, n) : large[round / 2 % 3];
}

static const struct pattern {
    const char *name;
    uint32_t (*size)(uint32_t round, uint64_t n);
    uint32_t kept_per_mille;
} patterns[] = {
    {"changing", size_changing, 100}, {"drifting", size_drifting, 100}, {"bimodal", size_bimodal, 100},
    {"small", size_small, 100},       {"after-300", size_after_300, 0},
};

/* ---- Latency --------------------------------------------------------------------------------- */

#define SUBS 16u /* steps per doubling */

struct histogram {
    uint64_t count, at[64 * SUBS];
};

static void note(struct histogram *h, uint64_t ns) {
    ns += SUBS;
    unsigned doubling = 63u - (unsigned)__builtin_clzll(ns);
    h->at[doubling * SUBS + (unsigned)(ns >> (doubling - 4)) % SUBS]++;
    h->count++;
}

static void join(struct histogram *to, const struct histogram *from) {
    to->count += from->count;
    for (unsigned i = 0; i < 64 * SUBS; i++)
        to->at[i] += from->at[i];
}

/* Microseconds. */
static double p99(const struct histogram *h) {
    uint64_t left = h->count / 100;
    unsigned i = 64 * SUBS - 1;
    while (i > 0 && left >= h->at[i])
        left -= h->at[i--];
    return ldexp(1 + (i % SUBS) / (double)SUBS, (int)(i / SUBS)) * 1e-3;
}

/* ---- One writer ------------------------------------------------------------------------------ */

struct live_item {
    uint64_t n;
    uint32_t wanted, bytes;
};

struct ground;

struct hand {
    struct ground *ground;
    struct place place;
    struct live_item *live;
    size_t count, room;
    uint64_t next;           /* number of an item, far from those of the other writers */
    const struct hand *like; /* in a fresh segment: the one whose items it puts */
    struct histogram latency;
    uint64_t failed_ns; /* how long the call took that ended the round */
};

/* A segment and its writers. */
struct ground {
    const struct ageing_plan *plan;
    const struct pattern *pattern;
    uint32_t round;
    _Atomic int is_full;
    struct hand hand[AGEING_WRITERS_MAX];
};

/* False: the segment is full. */
static bool put(struct hand *h, uint64_t n, uint32_t wanted) {
    const struct larder_item *item = place_item(&h->place, n, wanted, 0);
    uint64_t start = clock_ns();
    int r = larder_put(h->place.table, item, NULL);
    uint64_t ns = clock_ns() - start;
    if (r == LARDER_E_FULL) {
        h->failed_ns = ns;
        return false;
    }
    place_must(r, "put");
    note(&h->latency, ns);
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 1024;
        h->live = realloc(h->live, h->room * sizeof *h->live);
        if (!h->live)
            fail("no memory for %zu live items", h->room);
    }
    h->live[h->count++] = (struct live_item){n, wanted, (uint32_t)larder_item_size(item)};
    return true;
}

static void *fill(void *arg) {
    struct hand *h = arg;
    struct ground *g = h->ground;
    while (!g->is_full) {
        uint64_t n = h->next++;
        if (!put(h, n, g->pattern->size(g->round, n)))
            g->is_full = 1;
    }
    return NULL;
}

static void *cull(void *arg) {
    struct hand *h = arg;
    size_t kept = 0;
    for (size_t i = 0; i < h->count; i++) {
        struct live_item *item = &h->live[i];
        struct bench_key k;
        dataset_key(item->n, &k);
        struct larder_key key = place_key(&k);
        if (dataset_mix(item->n + 99) % 1000 >= h->ground->pattern->kept_per_mille)
            place_must(larder_delete(h->place.table, &key, NULL), "delete");
        else {
            if (larder_get(h->place.table, &key, h->place.page) != LARDER_OK ||
                larder_item_size(larder_page_item(h->place.page, 0)) != item->bytes)
                fail("item %llu is gone", (unsigned long long)item->n);
            h->live[kept++] = *item;
        }
    }
    h->count = kept;
    return NULL;
}

static void for_all(struct ground *g, void *(*step)(void *)) {
    pthread_t thread[AGEING_WRITERS_MAX];
    uint32_t writers = g->plan->writers;
    for (uint32_t i = 1; i < writers; i++)
        if (pthread_create(&thread[i], NULL, step, &g->hand[i]))
            fail("a thread cannot be made");
    step(&g->hand[0]);
    for (uint32_t i = 1; i < writers; i++)
        pthread_join(thread[i], NULL);
}

/* like: NULL, or the ground whose items are put again. */
static void open_ground(struct ground *g, const struct ground *like) {
    uint32_t i = 0;
    do { /* one writer at least */
        struct hand *h = &g->hand[i];
        h->ground = g;
        h->like = like ? &like->hand[i] : NULL;
        h->next = (uint64_t)i * 100000000;
        h->place.indexes = g->plan->indexes;
        place_open(&h->place, i ? larder_memfd(g->hand[0].place.db) : -1, (uint64_t)g->plan->megabytes << 20);
    } while (++i < g->plan->writers);
}

static void close_ground(struct ground *g) {
    for (uint32_t i = g->plan->writers; i-- > 0;) {
        larder_page_free(g->hand[i].place.page);
        larder_builder_free(g->hand[i].place.builder);
        larder_close(g->hand[i].place.db);
        free(g->hand[i].live);
    }
    free(g);
}

static struct ground *new_ground(const struct ageing_plan *plan, const struct pattern *pattern,
                                 const struct ground *like) {
    struct ground *g = calloc(1, sizeof *g);
    if (!g)
        fail("no memory");
    g->plan = plan;
    g->pattern = pattern;
    open_ground(g, like);
    return g;
}

static uint64_t payload(const struct ground *g) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < g->plan->writers; i++)
        for (size_t k = 0; k < g->hand[i].count; k++)
            bytes += g->hand[i].live[k].bytes;
    return bytes;
}

/* ---- A fresh segment with the same items ----------------------------------------------------- */

static void *replay(void *arg) {
    struct hand *h = arg;
    const struct hand *like = h->like;
    if (!like)
        return NULL;
    for (size_t i = 0; i < like->count && !h->ground->is_full; i++)
        if (!put(h, like->live[i].n, like->live[i].wanted))
            h->ground->is_full = 1;
    h->next = like->next;
    return fill(h);
}

#define CLASSES_MAX 64u
#define FREE_SHOWN (256u << 10) /* of a size class, in bytes */

static double mb_of(uint64_t bytes) {
    return (double)bytes / 1048576;
}

static void print_indexes(struct larder_table *table, uint64_t payload_bytes) {
    struct larder_index_stats index[INDEX_COUNT + 1];
    uint64_t entries = 0, bytes = 0;
    uint32_t count;
    place_must(larder_index_stats(table, index, INDEX_COUNT + 1, &count), "index stats");
    for (uint32_t i = 0; i < count; i++) {
        entries += index[i].entries;
        bytes += index[i].bytes;
    }
    printf("payload %.2f MB, indexes %.2f (%.1f bytes an entry), ", mb_of(payload_bytes), mb_of(bytes),
           entries ? (double)bytes / (double)entries : 0);
}

static void print_free(struct larder *db) {
    struct larder_class_stats class[CLASSES_MAX];
    uint32_t count;
    place_must(larder_class_stats(db, class, CLASSES_MAX, &count), "class stats");
    for (uint32_t i = 0; i < count && i < CLASSES_MAX; i++)
        if (class[i].blocks_free * class[i].block_bytes > FREE_SHOWN)
            printf("; of %u: %.2f", class[i].block_bytes, mb_of(class[i].blocks_free * class[i].block_bytes));
}

/* --where: what the bytes of a full segment are. */
static void print_where(const char *what, const struct ground *g) {
    const struct place *p = &g->hand[0].place;
    struct larder_table_stats t;
    struct larder_segment_stats s;
    if (!g->plan->shows_where)
        return;
    place_must(larder_table_stats(p->table, &t), "table stats");
    place_must(larder_segment_stats(p->db, &s), "segment stats");
    printf("  %-5s round %2u: %8llu items, ", what, g->round, (unsigned long long)t.item_count);
    print_indexes(p->table, payload(g));
    printf("items %.2f, buckets %.2f, free %.2f", mb_of(t.item_bytes), mb_of(t.bucket_bytes), mb_of(s.free_bytes));
    print_free(p->db);
    printf("\n");
}

static uint64_t fresh_payload(const struct ground *aged, struct histogram *latency) {
    struct ground *fresh = new_ground(aged->plan, aged->pattern, aged);
    fresh->round = aged->round;
    for_all(fresh, replay);
    uint64_t bytes = payload(fresh);
    print_where("fresh", fresh);
    for (uint32_t i = 0; i < aged->plan->writers; i++)
        join(latency, &fresh->hand[i].latency);
    close_ground(fresh);
    return bytes;
}

/* ---- All ------------------------------------------------------------------------------------- */

struct result {
    double sum, worst;
    uint32_t worst_round;
    uint64_t failed_ns; /* the longest call that found no room */
    struct histogram aged, fresh;
};

static void note_share(struct result *r, double share, uint32_t round) {
    if (round == 0 || share < r->worst) {
        r->worst = share;
        r->worst_round = round;
    }
    r->sum += share;
}

static void take_latency(struct ground *g, struct result *r) {
    for (uint32_t i = 0; i < g->plan->writers; i++) {
        struct hand *h = &g->hand[i];
        if (g->round > 0)
            join(&r->aged, &h->latency);
        if (h->failed_ns > r->failed_ns)
            r->failed_ns = h->failed_ns;
        memset(&h->latency, 0, sizeof h->latency);
    }
}

static double run_pattern(const struct ageing_plan *plan, const struct pattern *pattern) {
    static struct result r;
    struct ground *g = new_ground(plan, pattern, NULL);
    memset(&r, 0, sizeof r);
    for (; g->round < plan->rounds; g->round++) {
        g->is_full = 0;
        for_all(g, fill);
        take_latency(g, &r);
        print_where("aged", g);
        note_share(&r, (double)payload(g) / (double)fresh_payload(g, &r.fresh), g->round);
        for_all(g, cull);
    }
    close_ground(g);
    double fresh_us = p99(&r.fresh), aged_us = p99(&r.aged);
    printf("%-10s %6.3f %6.3f  round %2u, %6u bytes %10.1f %8.1f %6.1f %14.1f\n", pattern->name, r.sum / plan->rounds,
           r.worst, r.worst_round, pattern->size(r.worst_round, 1), aged_us, fresh_us, aged_us / fresh_us,
           (double)r.failed_ns * 1e-6);
    fflush(stdout);
    return r.worst;
}

double ageing_run(const struct ageing_plan *plan) {
    double worst = 2;
    int is_found = 0;
    printf(
        "\nageing: %u rounds, %u MB, %u writer%s, %d indexes; live bytes at the first FULL of a round as a share of a "
        "fresh segment's\n",
        plan->rounds, plan->megabytes, plan->writers, plan->writers == 1 ? "" : "s", plan->indexes);
    printf("%-10s %6s %6s  %-22s %11s %8s %6s %14s\n", "pattern", "mean", "worst", "at", "p99 put us", "fresh", "times",
           "longest FULL ms");
    for (unsigned i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (plan->pattern && strcmp(plan->pattern, patterns[i].name) != 0)
            continue;
        double share = run_pattern(plan, &patterns[i]);
        worst = share < worst ? share : worst;
        is_found = 1;
    }
    if (!is_found)
        fail("no pattern is called \"%s\": changing, drifting, bimodal, small, after-300", plan->pattern);
    return worst;
}
