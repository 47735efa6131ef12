/* bench/rounds.c - see rounds.h. */
#include "bench/rounds.h"
#include "bench/clock.h"
#include "bench/fail.h"
#include <string.h>

#define OPEN_LOOP_SHARE 0.5 /* of what the engine can do: a busy service, not an overloaded one */

void stage_open(struct stage *stage, const char *name, const struct scene *scene,
                const struct engine *const engines[]) {
    *stage = (struct stage){.name = name, .scene = *scene};
    printf("\n== %s: %llu items of %u bytes, %d indexes\n", name, (unsigned long long)scene->items, scene->item_bytes,
           scene->indexes);
    for (unsigned i = 0; engines[i]; i++) {
        const char *why = NULL;
        uint64_t start = clock_ns();
        void *state = engines[i]->create(&stage->scene, &why);
        if (!state) {
            printf("  %-10s left out: %s\n", engines[i]->name, why);
            continue;
        }
        stage->loaded[stage->count++] = (struct loaded){engines[i], state};
        printf("  %-10s loaded in %.1f s", engines[i]->name, (double)(clock_ns() - start) * 1e-9);
        uint64_t bytes = engines[i]->bytes ? engines[i]->bytes(state) : 0;
        if (bytes)
            printf(", %.0f bytes per item", (double)bytes / (double)scene->items);
        putchar('\n');
        fflush(stdout);
    }
}

void stage_close(struct stage *stage) {
    for (unsigned i = 0; i < stage->count; i++)
        stage->loaded[i].engine->destroy(stage->loaded[i].state);
    stage->count = 0;
}

/* ---- One workload -------------------------------------------------------------------------------------------------------- */

struct turn { /* an engine that takes part */
    const struct engine *engine;
    struct crew *crew;
    struct figure there, back;
    struct crew_result result[CREW_MAX];
};

static int takes_part(const struct engine *e, const struct workload *w, int workers, const char *const only[]) {
    if ((e->can & w->needs) != w->needs || (workers > 1 && !(e->can & CAN_SHARE)) ||
        (workers < -1 && !(e->can & CAN_THREAD)))
        return 0;
    if (w->back == OP_REMOVE && !e->remove)
        return 0;
    for (unsigned i = 0; w->query_indexes && i < w->query_indexes; i++)
        if (w->query_index[i] < 0 && !(e->can & CAN_QUERY))
            return 0;
    for (unsigned i = 0; only; i++) {
        if (!only[i])
            return 0;
        if (strcmp(only[i], e->name) == 0)
            break;
    }
    return 1;
}

static double rate_of(const struct turn *t, unsigned count, const struct workload *w) {
    double rate = 0;
    for (unsigned i = 0; i < count; i++)
        rate += t->result[i].calls_per_s;
    return rate * (w->per_call ? w->per_call : 1);
}

static void latency_of(const struct turn *t, unsigned count, double rate, struct latency *out) {
    static struct hist sum;
    memset(&sum, 0, sizeof sum);
    for (unsigned i = 0; i < count; i++)
        hist_merge(&sum, &t->result[i].latency);
    *out = (struct latency){rate, hist_quantile(&sum, 0.5), hist_quantile(&sum, 0.99), hist_quantile(&sum, 0.999),
                            hist_quantile(&sum, 1.0)};
}

static void begin_turn(struct turn *t, const struct stage *stage, const struct loaded *l, const struct workload *w,
                       int workers) {
    const struct workload *work[CREW_MAX];
    unsigned count = (unsigned)(workers < 0 ? -workers : workers);
    for (unsigned i = 0; i < count; i++)
        work[i] = w;
    *t = (struct turn){.engine = l->engine,
                       .there = {.items = stage->scene.items,
                                 .item_bytes = stage->scene.item_bytes,
                                 .workers = count,
                                 .is_threads = workers < 0}};
    snprintf(t->there.scene, sizeof t->there.scene, "%s", stage->name);
    snprintf(t->there.workload, sizeof t->there.workload, "%s", w->name);
    snprintf(t->there.engine, sizeof t->there.engine, "%s", l->engine->name);
    t->back = t->there;
    t->crew = crew_start(l->engine, l->state, &stage->scene, work, count, workers < 0);
}

/* One round of one engine, and the way back of a paired workload. */
static void one_round(struct turn *t, const struct workload *w, double seconds, int is_kept) {
    struct crew_order there = {.phase = CREW_RUN, .seconds = seconds}, back = {.phase = CREW_BACK};
    struct figure *f[2] = {&t->there, &t->back};
    crew_run(t->crew, &there, t->result);
    double rate = rate_of(t, f[0]->workers, w);
    if (w->back != OP_GET)
        crew_run(t->crew, &back, t->result);
    double back_rate = rate_of(t, f[0]->workers, w);
    if (!is_kept)
        return;
    f[0]->rate[f[0]->rounds++] = rate;
    f[1]->rate[f[1]->rounds++] = back_rate;
}

static void latency_rounds(struct turn *t, const struct workload *w, double seconds) {
    unsigned count = t->there.workers;
    struct crew_order o = {.phase = CREW_RUN, .seconds = seconds, .is_timed = 1},
                      back = {.phase = CREW_BACK, .is_timed = 1};
    crew_run(t->crew, &o, t->result);
    latency_of(t, count, 0, &t->there.closed);
    if (w->back != OP_GET) {
        crew_run(t->crew, &back, t->result);
        latency_of(t, count, 0, &t->back.closed);
        return;
    }
    double rate = median_of(t->there.rate, t->there.rounds) / (w->per_call ? w->per_call : 1);
    o.calls_per_s = rate / count * OPEN_LOOP_SHARE;
    crew_run(t->crew, &o, t->result);
    latency_of(t, count, rate * OPEN_LOOP_SHARE, &t->there.open);
}

void measure(const struct stage *stage, const char *workload, const char *back_name, int workers,
             const struct pace *pace, const char *const only[], struct figures *out) {
    static struct turn turns[ENGINES_MAX];
    const struct workload *w = workload_named(workload);
    unsigned count = 0;
    for (unsigned i = 0; i < stage->count; i++)
        if (takes_part(stage->loaded[i].engine, w, workers, only))
            begin_turn(&turns[count++], stage, &stage->loaded[i], w, workers);
    for (unsigned i = 0; i < count; i++)
        one_round(&turns[i], w, pace->warm_s, 0);
    for (unsigned r = 0; r < pace->rounds; r++)
        for (unsigned i = 0; i < count; i++)
            one_round(&turns[i], w, pace->round_s, 1);
    printf("\n%s, %d %s: %s\n", w->name, workers < 0 ? -workers : workers,
           workers < 0   ? "threads"
           : workers > 1 ? "processes"
                         : "process",
           w->what);
    for (unsigned i = 0; i < count; i++) {
        if (pace->has_latency)
            latency_rounds(&turns[i], w, pace->round_s);
        crew_stop(turns[i].crew);
        figures_add(out, &turns[i].there);
        figures_print(&out->at[out->count - 1]);
    }
    if (w->back == OP_GET || !back_name)
        return;
    printf("\n%s, %d: the way back\n", back_name, workers);
    for (unsigned i = 0; i < count; i++) {
        snprintf(turns[i].back.workload, sizeof turns[i].back.workload, "%s", back_name);
        figures_add(out, &turns[i].back);
        figures_print(&out->at[out->count - 1]);
    }
}

/* ---- Beside another ------------------------------------------------------------------------------------------------------ */

void measure_beside(const struct stage *stage, const char *workload, const char *beside, const char *engine,
                    const struct pace *pace, struct figures *out) {
    const struct workload *work[2] = {workload_named(workload), workload_named(beside)};
    struct crew_order o = {.phase = CREW_RUN, .seconds = pace->warm_s}, back = {.phase = CREW_BACK};
    struct crew_result result[CREW_MAX];
    struct figure f = {.items = stage->scene.items, .item_bytes = stage->scene.item_bytes, .workers = 1};
    for (unsigned i = 0; i < stage->count; i++) {
        if (strcmp(stage->loaded[i].engine->name, engine) != 0)
            continue;
        snprintf(f.scene, sizeof f.scene, "%s", stage->name);
        snprintf(f.workload, sizeof f.workload, "%s | %s", workload, beside);
        snprintf(f.engine, sizeof f.engine, "%s", engine);
        struct crew *crew = crew_start(stage->loaded[i].engine, stage->loaded[i].state, &stage->scene, work, 2, 0);
        for (unsigned r = 0; r <= pace->rounds; r++) {
            crew_run(crew, &o, result);
            if (result[1].seconds < result[0].seconds * 0.9)
                fail("%s ended before %s did", beside, workload);
            if (r > 0)
                f.rate[f.rounds++] = result[0].calls_per_s;
            crew_run(crew, &back, result);
            o.seconds = pace->round_s;
        }
        crew_stop(crew);
        figures_add(out, &f);
        printf("\n%s beside a process that does %s\n", workload, beside);
        figures_print(&out->at[out->count - 1]);
    }
}
