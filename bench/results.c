/* bench/results.c - see results.h. */
#include "bench/results.h"
#include "bench/fail.h"
#include <jansson.h>
#include <string.h>

#define REGRESSION 0.9

static json_t *latency_json(const struct latency *l) {
    return json_pack("{s:f, s:I, s:I, s:I, s:I}", "due_per_s", l->rate, "p50_ns", (json_int_t)l->p50_ns, "p99_ns",
                     (json_int_t)l->p99_ns, "p999_ns", (json_int_t)l->p999_ns, "max_ns", (json_int_t)l->max_ns);
}

static json_t *figure_json(const struct figure *g) {
    json_t *rounds = json_array();
    for (unsigned i = 0; i < g->rounds; i++)
        json_array_append_new(rounds, json_real(g->rate[i]));
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:b, s:f, s:o}", "scene", g->scene, "workload", g->workload,
                          "engine", g->engine, "items", (json_int_t)g->items, "item_bytes", (int)g->item_bytes,
                          "workers", (int)g->workers, "threads", g->is_threads, "per_s", g->median, "rounds", rounds);
    if (g->closed.max_ns)
        json_object_set_new(o, "closed_loop", latency_json(&g->closed));
    if (g->open.max_ns)
        json_object_set_new(o, "open_loop", latency_json(&g->open));
    for (int k = 0; k < PERF_KINDS; k++)
        if (g->counted[k] >= 0)
            json_object_set_new(o, perf_names[k], json_real(g->counted[k]));
    return o;
}

static json_t *machine_json(const struct machine *m) {
    return json_pack("{s:s, s:s, s:i, s:I, s:s, s:I, s:I, s:s, s:s, s:I, s:I, s:s, s:f, s:f}", "cpu", m->cpu, "kernel",
                     m->kernel, "cores", (int)m->cores, "memory_bytes", (json_int_t)m->memory_bytes, "caches",
                     m->caches, "cache_bytes", (json_int_t)m->cache_bytes, "page_bytes", (json_int_t)m->page_bytes,
                     "huge_pages", m->huge_pages, "shared_huge_pages", m->shared_huge_pages, "huge_page_bytes",
                     (json_int_t)m->huge_page_bytes, "huge_pages_reserved", (json_int_t)m->huge_pages_reserved,
                     "counters", m->perf, "load_before", m->load, "miss_ns", m->miss_ns);
}

static json_t *extras_json(const struct extras *x) {
    return json_pack("{s:{s:I, s:f, s:f, s:f}, s:f, s:f}", "expiry", "items", (json_int_t)x->expiry.items, "seconds",
                     x->expiry.seconds, "gets_alone", x->expiry.gets_alone, "gets_beside", x->expiry.gets_beside,
                     "memory_plain", x->memory_plain, "memory_indexed", x->memory_indexed);
}

void results_write(const char *path, const struct machine *m, const char *plan, const struct figures *f,
                   const struct extras *x, const struct verdict *v, unsigned verdict_count) {
    json_t *figures = json_array(), *verdicts = json_array();
    for (unsigned i = 0; i < f->count; i++)
        json_array_append_new(figures, figure_json(&f->at[i]));
    for (unsigned i = 0; i < verdict_count; i++)
        json_array_append_new(verdicts, json_pack("{s:s, s:s, s:s, s:f, s:f, s:s}", "workload", v[i].workload,
                                                  "measure", v[i].target, "bound", v[i].is_at_most ? "<=" : ">=",
                                                  "target", v[i].wanted, "figure", v[i].figure, "verdict",
                                                  v[i].is_fact            ? "no target"
                                                  : !v[i].is_known        ? "not measured"
                                                  : verdict_is_met(&v[i]) ? "met"
                                                                          : "missed"));
    json_t *all = json_pack("{s:s, s:o, s:o, s:o, s:o}", "plan", plan, "machine", machine_json(m), "targets", verdicts,
                            "extras", extras_json(x), "figures", figures);
    if (json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
        fail("%s: cannot be written", path);
    json_decref(all);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static json_t *read_run(const char *path) {
    json_error_t error;
    json_t *run = json_load_file(path, 0, &error);
    if (!run || !json_is_array(json_object_get(run, "figures")))
        fail("%s: no results of script/bench (%s)", path, run ? "no \"figures\"" : error.text);
    return run;
}

static const char *text(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int is_same(const json_t *a, const json_t *b, const char *engine) {
    return strcmp(text(a, "scene"), text(b, "scene")) == 0 && strcmp(text(a, "workload"), text(b, "workload")) == 0 &&
           strcmp(text(b, "engine"), engine) == 0 &&
           json_integer_value(json_object_get(a, "workers")) == json_integer_value(json_object_get(b, "workers")) &&
           json_is_true(json_object_get(a, "threads")) == json_is_true(json_object_get(b, "threads"));
}

static double rate_like(const json_t *run, const json_t *like, const char *engine) {
    size_t i;
    json_t *g;
    json_array_foreach(json_object_get(run, "figures"), i, g) {
        if (is_same(like, g, engine))
            return json_number_value(json_object_get(g, "per_s"));
    }
    return 0;
}

/* What a figure of Larder is a share of, so that the machine's mood cancels out: the limit probe's
 * same figure; for a reader beside a writer the same reader alone; else the limit probe's single
 * gets. */
static double base_of(const json_t *run, const json_t *g) {
    double base = rate_like(run, g, "limit");
    const char *bar = strstr(text(g, "workload"), " | ");
    if (base == 0 && bar && strcmp(bar, " | alone") != 0) {
        json_t *alone = json_copy((json_t *)g);
        json_object_set_new(alone, "workload",
                            json_sprintf("%.*s | alone", (int)(bar - text(g, "workload")), text(g, "workload")));
        base = rate_like(run, alone, "larder");
        json_decref(alone);
    }
    if (base == 0) {
        json_t *get = json_pack("{s:s, s:s, s:i, s:b}", "scene", "main", "workload", "get", "workers", 1, "threads", 0);
        base = rate_like(run, get, "limit");
        json_decref(get);
    }
    return base;
}

static unsigned compared, regressions;

/* is_less_better: seconds and bytes. */
static void compare_one(const char *scene, const char *workload, const char *workers, double was, double is,
                        int is_less_better) {
    if (was <= 0 || is <= 0)
        return;
    double gain = is_less_better ? was / is : is / was;
    printf("%-12s %-28s %7s %10.3f %10.3f %8.2f%s\n", scene, workload, workers, was, is, is / was,
           gain < REGRESSION ? "  WORSE" : "");
    regressions += gain < REGRESSION;
    compared++;
}

static void compare_figures(const json_t *old_run, const json_t *new_run) {
    size_t i;
    json_t *g;
    char workers[16];
    json_array_foreach(json_object_get(new_run, "figures"), i, g) {
        if (strcmp(text(g, "engine"), "larder") != 0)
            continue;
        double was_base = base_of(old_run, g), is_base = base_of(new_run, g);
        snprintf(workers, sizeof workers, "%lld%s", (long long)json_integer_value(json_object_get(g, "workers")),
                 json_is_true(json_object_get(g, "threads")) ? "t" : "");
        if (was_base > 0 && is_base > 0)
            compare_one(text(g, "scene"), text(g, "workload"), workers, rate_like(old_run, g, "larder") / was_base,
                        json_number_value(json_object_get(g, "per_s")) / is_base, 0);
    }
}

static double extra(const json_t *run, const char *group, const char *name) {
    const json_t *extras = json_object_get(run, "extras");
    return json_number_value(json_object_get(group ? json_object_get(extras, group) : extras, name));
}

/* Runs of different sizes can be compared: seconds for a million items. */
static double expiry_s(const json_t *run) {
    double items = extra(run, "expiry", "items");
    return items > 0 ? extra(run, "expiry", "seconds") * 1e6 / items : 0;
}

static double share_of_gets(const json_t *run) {
    double alone = extra(run, "expiry", "gets_alone");
    return alone > 0 ? extra(run, "expiry", "gets_beside") / alone : 0;
}

unsigned results_compare(const char *old_path, const char *new_path) {
    json_t *old_run = read_run(old_path), *new_run = read_run(new_path);
    printf("\n%-12s %-28s %7s %10s %10s %8s\n", "scene", "workload", "workers", "old", "new", "new/old");
    compare_figures(old_run, new_run);
    compare_one("expiry", "seconds for a million", "", expiry_s(old_run), expiry_s(new_run), 1);
    compare_one("expiry", "gets meanwhile, of alone", "", share_of_gets(old_run), share_of_gets(new_run), 0);
    compare_one("memory", "bytes per byte, no index", "", extra(old_run, NULL, "memory_plain"),
                extra(new_run, NULL, "memory_plain"), 1);
    compare_one("memory", "bytes per byte, 4 indexes", "", extra(old_run, NULL, "memory_indexed"),
                extra(new_run, NULL, "memory_indexed"), 1);
    printf("%u figures compared, %u worse by more than a tenth (rates as a share of the limit probe of the same run)\n",
           compared, regressions);
    json_decref(old_run);
    json_decref(new_run);
    return regressions;
}

/* ---- Charts ---------------------------------------------------------------------------------- */

static FILE *chart_file(const char *folder, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.dat", folder, name);
    FILE *f = fopen(path, "w");
    if (!f)
        fail("%s: cannot be written", path);
    return f;
}

static const char *const chart_engines[] = {"limit", "larder", "ck", "lmdb", "bdb", "sqlite", "memcached", "redis"};
#define CHART_ENGINES (sizeof chart_engines / sizeof *chart_engines)

static void throughput_data(const char *folder, const struct figures *f, int workers, const char *name) {
    static const char *const shown[] = {"get", "many", "query", "query-index", "overwrite", "insert", "app"};
    static const char *const labels[] = {
        "get",       "get of 100,\\nper item", "query of\\n20 items", "query of\\n20, index",
        "overwrite", "insert,\\n4 indexes",    "example's\\nmix"};
    FILE *out = chart_file(folder, name);
    fputs("workload", out);
    for (unsigned e = 0; e < CHART_ENGINES; e++)
        fprintf(out, " %s", chart_engines[e]);
    for (unsigned w = 0; w < sizeof shown / sizeof *shown; w++) {
        fprintf(out, "\n\"%s\"", labels[w]);
        for (unsigned e = 0; e < CHART_ENGINES; e++) {
            double rate = figures_rate(f, "main", shown[w], chart_engines[e], workers);
            fprintf(out, rate > 0 ? " %g" : " nan", rate / 1e6);
        }
    }
    fputc('\n', out);
    fclose(out);
}

static void latency_data(const char *folder, const struct figures *f) {
    FILE *out = chart_file(folder, "latency");
    fputs("engine p50 p99 p99.9 max\n", out);
    for (unsigned e = 0; e < CHART_ENGINES; e++) {
        const struct figure *g = figures_find(f, "main", "get", chart_engines[e], 1);
        if (g && g->open.max_ns)
            fprintf(out, "\"%s\\n%.0f k/s\" %g %g %g %g\n", chart_engines[e], g->open.rate / 1e3,
                    (double)g->open.p50_ns / 1e3, (double)g->open.p99_ns / 1e3, (double)g->open.p999_ns / 1e3,
                    (double)g->open.max_ns / 1e3);
    }
    fclose(out);
}

static void growth_data(const char *folder, const struct figures *f) {
    FILE *out = chart_file(folder, "growth");
    fputs("items limit larder lmdb\n", out);
    for (unsigned i = 0; i < f->count; i++) {
        const struct figure *g = &f->at[i];
        if (strncmp(g->scene, "10^", 3) == 0 && strcmp(g->engine, "larder") == 0 && strcmp(g->workload, "get") == 0)
            fprintf(out, "%llu %g %g %g\n", (unsigned long long)g->items,
                    1e9 / figures_rate(f, g->scene, "get", "limit", 1), 1e9 / g->median,
                    figures_rate(f, g->scene, "get", "lmdb", 1) > 0 ? 1e9 / figures_rate(f, g->scene, "get", "lmdb", 1)
                                                                    : 0);
    }
    fclose(out);
}

/* From 1 to 2 workers; the compute probe's get stands in each group, for what the cores allow. */
static void scaling_data(const char *folder, const struct figures *f) {
    static const char *const shown[] = {"get", "query", "query-index", "overwrite", "insert"};
    static const char *const drawn[] = {"compute", "limit", "larder", "lmdb", "bdb", "sqlite"};
    FILE *out = chart_file(folder, "scaling");
    fputs("workload compute limit larder lmdb bdb sqlite larder-threads", out);
    for (unsigned w = 0; w < sizeof shown / sizeof *shown; w++) {
        fprintf(out, "\n%s", shown[w]);
        for (unsigned e = 0; e < sizeof drawn / sizeof *drawn; e++) {
            const char *workload = e == 0 ? "get" : shown[w];
            double one = figures_rate(f, "main", workload, drawn[e], 1);
            double two = figures_rate(f, "main", workload, drawn[e], 2);
            fprintf(out, one > 0 && two > 0 ? " %g" : " nan", two / one);
        }
        double one = figures_rate(f, "main", shown[w], "larder", 1),
               two = figures_rate(f, "main", shown[w], "larder", -2);
        fprintf(out, one > 0 && two > 0 ? " %g" : " nan", two / one);
    }
    fputc('\n', out);
    fclose(out);
}

void results_chart_data(const char *folder, const struct figures *f) {
    throughput_data(folder, f, 1, "throughput-1");
    throughput_data(folder, f, 2, "throughput-2");
    latency_data(folder, f);
    growth_data(folder, f);
    scaling_data(folder, f);
}
