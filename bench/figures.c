/* bench/figures.c - see figures.h. */
#include "bench/figures.h"
#include "bench/fail.h"
#include <string.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median_of(const double *values, unsigned count) {
    double sorted[ROUNDS_MAX];
    if (count == 0)
        return 0;
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

void figures_add(struct figures *f, struct figure *figure) {
    figure->median = median_of(figure->rate, figure->rounds);
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? f->capacity * 2 : 64;
        f->at = realloc(f->at, f->capacity * sizeof *f->at);
        if (!f->at)
            fail("no memory for the figures");
    }
    f->at[f->count++] = *figure;
}

const struct figure *figures_find(const struct figures *f, const char *scene, const char *workload, const char *engine,
                                  int workers) {
    for (unsigned i = 0; i < f->count; i++) {
        const struct figure *g = &f->at[i];
        if (strcmp(g->scene, scene) == 0 && strcmp(g->workload, workload) == 0 && strcmp(g->engine, engine) == 0 &&
            (g->is_threads ? -(int)g->workers : (int)g->workers) == workers)
            return g;
    }
    return NULL;
}

double figures_rate(const struct figures *f, const char *scene, const char *workload, const char *engine, int workers) {
    const struct figure *g = figures_find(f, scene, workload, engine, workers);
    return g ? g->median : 0;
}

static void print_ns(uint64_t ns) {
    if (ns < 10000)
        printf(" %6llu ns", (unsigned long long)ns);
    else if (ns < 10000000)
        printf(" %6.1f us", (double)ns / 1e3);
    else
        printf(" %6.1f ms", (double)ns / 1e6);
}

static void print_latency(const struct latency *l) {
    print_ns(l->p50_ns);
    print_ns(l->p99_ns);
    print_ns(l->p999_ns);
    print_ns(l->max_ns);
}

/* The processor's counts. Page faults only if there were some, which a warm round should not
 * have. */
static void print_counted(const struct figure *g) {
    static const char *const shown[PERF_KINDS] = {"instr", "cycles", "LLC misses", "TLB misses", "page faults"};
    for (int k = 0; k < PERF_KINDS; k++)
        if (g->counted[k] >= (k == PERF_FAULTS ? 0.001 : 0))
            printf("  %.*f %s", k < PERF_CACHE_MISSES ? 0 : 3, g->counted[k], shown[k]);
}

void figures_print(const struct figure *g) {
    double low = g->rate[0], high = g->rate[0];
    for (unsigned i = 1; i < g->rounds; i++) {
        low = g->rate[i] < low ? g->rate[i] : low;
        high = g->rate[i] > high ? g->rate[i] : high;
    }
    printf("  %-14s %u%s %12.0f  (%3.0f%% .. %3.0f%%)", g->engine, g->workers, g->is_threads ? "t" : " ", g->median,
           g->median > 0 ? low / g->median * 100 : 0, g->median > 0 ? high / g->median * 100 : 0);
    if (g->closed.max_ns)
        print_latency(&g->closed);
    print_counted(g);
    putchar('\n');
    fflush(stdout);
}
