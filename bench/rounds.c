/* bench/rounds.c - see rounds.h. */
#include "bench/rounds.h"
#include "bench/clock.h"
#include "bench/engines.h"
#include "bench/fail.h"
#include "examples/shuttle/rng.h"
#include <string.h>

#define OPEN_LOOP_SHARE 0.5 /* of what the engine can do: a busy service, not an overloaded one */

void stage_open(struct stage *stage, const char *name, const struct scene *scene, const char *engine_names) {
    *stage = (struct stage){.name = name, .scene = *scene};
    printf("\n== %s: %llu items of %u bytes, %d indexes\n", name, (unsigned long long)scene->items, scene->item_bytes,
           scene->indexes);
    for (unsigned i = 0; engines[i]; i++) {
        const char *why = NULL;
        if (!engine_is_named(engines[i], engine_names))
            continue;
        uint64_t start = clock_ns();
        void *state = engines[i]->create(&stage->scene, &why);
        if (!state) {
            printf("  %-14s left out: %s\n", engines[i]->name, why);
            continue;
        }
        stage->loaded[stage->count++] = (struct loaded){engines[i], state};
        printf("  %-14s loaded in %.1f s", engines[i]->name, (double)(clock_ns() - start) * 1e-9);
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

#define REWRITE_AT_ONCE 50000u /* items whose prepared values are kept at a time */

static void rewrite(const struct loaded *l, const uint32_t *order, uint64_t items) {
    for (uint64_t i = 0; i < items;) {
        void *session = l->engine->attach(l->state);
        for (uint64_t end = i + REWRITE_AT_ONCE < items ? i + REWRITE_AT_ONCE : items; i < end; i++) {
            struct write w = {.n = order[i]};
            l->engine->prepare(session, &w);
            if (!l->engine->put(session, &w, 0, 0))
                fail("%s: item %u cannot be put again", l->engine->name, order[i]);
        }
        l->engine->detach(session);
    }
}

void stage_rewrite(struct stage *stage, const char *name) {
    uint64_t items = stage->scene.items;
    struct rng rng = {.state = rng_mix(items)};
    uint32_t *order = calloc(items, sizeof *order);
    if (!order)
        fail("no memory to shuffle %llu items", (unsigned long long)items);
    for (uint32_t i = 0; i < items; i++) {
        uint32_t other = rng_below(&rng, i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    for (unsigned i = 0; i < stage->count; i++)
        if ((stage->loaded[i].engine->can & CAN_WRITE) && !(stage->loaded[i].engine->can & IS_NO_STORE))
            rewrite(&stage->loaded[i], order, items);
    free(order);
    stage->name = name;
}

/* ---- Entering -------------------------------------------------------------------------------- */

static int is_shareable(const struct engine *e, const struct workload *w) {
    int has_writes = w->mix[OP_PUT] + w->mix[OP_INSERT] + w->mix[OP_MOVE] + w->mix[OP_COUNT] > 0;
    return (e->can & CAN_SHARE) || ((e->can & CAN_SHARE_READS) && !has_writes);
}

int stage_takes_part(const struct scene *scene, const struct engine *e, const struct workload *w, int workers) {
    if (!scene->indexes && (w->needs & CAN_INDEX))
        return 0;
    if (scene->indexes && w->mix[OP_INSERT] && !(e->can & CAN_INDEX))
        return 0;
    if (w->expires != scene->expires)
        return 0;
    if ((e->can & w->needs) != w->needs || (workers > 1 && !is_shareable(e, w)) ||
        (workers < -1 && (!(e->can & CAN_THREAD) || !is_shareable(e, w))))
        return 0;
    if ((e->can & IS_NO_STORE) && strcmp(w->name, "get") != 0)
        return 0;
    if ((w->mix[OP_QUERY_PAGE] && !e->query_page) || (w->back == OP_REMOVE && !e->remove) || (w->is_built && !e->build))
        return 0;
    for (unsigned i = 0; i < w->query_indexes; i++)
        if (w->query_index[i] < 0 && !(e->can & CAN_QUERY))
            return 0;
    return 1;
}

static struct entry *enter(struct contest *c, const struct loaded *l, const struct workload *w, int workers) {
    if (c->count == ENTRIES_MAX)
        fail("more than %d entries in one contest", ENTRIES_MAX);
    struct entry *t = &c->entries[c->count++];
    *t = (struct entry){.workload = w,
                        .engine = l->engine,
                        .there = {.items = c->stage->scene.items,
                                  .item_bytes = c->stage->scene.item_bytes,
                                  .workers = (unsigned)(workers < 0 ? -workers : workers),
                                  .is_threads = workers < 0}};
    snprintf(t->there.scene, sizeof t->there.scene, "%s", c->stage->name);
    snprintf(t->there.workload, sizeof t->there.workload, "%s", w->name);
    snprintf(t->there.engine, sizeof t->there.engine, "%s", l->engine->name);
    t->back = t->there;
    return t;
}

static void start(struct entry *t, const struct contest *c, const struct loaded *l) {
    const struct workload *work[CREW_MAX];
    unsigned count = t->there.workers;
    for (unsigned i = 0; i < count; i++)
        work[i] = t->workload;
    if (t->beside)
        work[count++] = t->beside;
    t->crew = crew_start(l->engine, l->state, &c->stage->scene, work, count, t->there.is_threads);
}

void contest_begin(struct contest *c, const struct stage *stage, const struct pace *pace) {
    *c = (struct contest){.stage = stage, .pace = *pace, .entries = calloc(ENTRIES_MAX, sizeof *c->entries)};
    if (!c->entries)
        fail("no memory for a contest");
}

void contest_stage(struct contest *c, const struct stage *stage) {
    c->stage = stage;
}

void contest_enter(struct contest *c, const char *workload, int workers) {
    const struct workload *w = workload_named(workload);
    for (unsigned i = 0; i < c->stage->count; i++)
        if (stage_takes_part(&c->stage->scene, c->stage->loaded[i].engine, w, workers))
            start(enter(c, &c->stage->loaded[i], w, workers), c, &c->stage->loaded[i]);
}

void contest_enter_beside(struct contest *c, const char *engine, const char *workload, const char *beside) {
    for (unsigned i = 0; i < c->stage->count; i++) {
        if (strcmp(c->stage->loaded[i].engine->name, engine) != 0)
            continue;
        struct entry *t = enter(c, &c->stage->loaded[i], workload_named(workload), 1);
        snprintf(t->there.workload, sizeof t->there.workload, "%s | %s", workload, beside);
        if (strcmp(beside, "alone") != 0)
            t->beside = workload_named(beside);
        start(t, c, &c->stage->loaded[i]);
    }
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Rule O1. */
static void check_answers(const struct entry *t, const struct crew_result *r) {
    const struct workload *w = t->workload;
    uint64_t wanted = w->choice == ABSENT ? 0 : r->calls * (w->mix[OP_MANY] ? MANY : 1);
    if (t->engine == &engine_limit)
        return;
    if (w->mix[OP_QUERY] + w->mix[OP_FILTER] ? r->items < r->calls / 2 : r->items != wanted)
        fail("%s: %s: %llu items in %llu calls", t->engine->name, t->there.workload, (unsigned long long)r->items,
             (unsigned long long)r->calls);
}

static double rate_of(const struct entry *t) {
    double rate = 0;
    for (unsigned i = 0; i < t->there.workers; i++) {
        check_answers(t, &t->result[i]);
        rate += t->result[i].calls_per_s;
    }
    return rate * (t->workload->per_call ? t->workload->per_call : 1);
}

static void count_of(const struct entry *t, struct figure *f) {
    double calls = 0;
    for (unsigned i = 0; i < f->workers; i++)
        calls += (double)t->result[i].calls * (t->workload->per_call ? t->workload->per_call : 1);
    for (int k = 0; k < PERF_KINDS; k++) {
        f->counted[k] = 0;
        for (unsigned i = 0; i < f->workers; i++)
            f->counted[k] += t->result[i].counted[k];
        f->counted[k] = f->counted[k] < 0 || calls == 0 ? -1 : f->counted[k] / calls;
    }
}

static void latency_of(const struct entry *t, double rate, struct latency *out) {
    static struct hist sum;
    memset(&sum, 0, sizeof sum);
    for (unsigned i = 0; i < t->there.workers; i++)
        hist_merge(&sum, &t->result[i].latency);
    *out = (struct latency){rate, hist_quantile(&sum, 0.5), hist_quantile(&sum, 0.99), hist_quantile(&sum, 0.999),
                            hist_quantile(&sum, 1.0)};
}

/* One round, and the way back of a paired workload. */
static void one_round(struct entry *t, double seconds, int is_warm_up) {
    struct crew_order there = {.phase = CREW_RUN, .seconds = seconds, .is_warm_up = is_warm_up},
                      back = {.phase = CREW_BACK};
    crew_run(t->crew, &there, t->result);
    double rate = rate_of(t);
    if (!is_warm_up) {
        count_of(t, &t->there);
        t->there.rate[t->there.rounds++] = rate;
    }
    if (t->beside && !is_warm_up && t->result[1].seconds < seconds * 0.9)
        fail("%s ended before %s did", t->beside->name, t->workload->name);
    if (t->workload->back == OP_GET && (!t->beside || t->beside->back == OP_GET))
        return;
    crew_run(t->crew, &back, t->result);
    if (is_warm_up || (t->workload->mix[OP_INSERT] != 100 && t->workload->mix[OP_MOVE] != 100))
        return;
    t->back.rate[t->back.rounds++] = rate_of(t);
    count_of(t, &t->back);
}

static void latency_rounds(struct entry *t, double seconds) {
    unsigned count = t->there.workers;
    struct crew_order o = {.phase = CREW_RUN, .seconds = seconds, .is_timed = 1},
                      back = {.phase = CREW_BACK, .is_timed = 1};
    if (t->beside)
        return; /* its writer would be timed, too */
    crew_run(t->crew, &o, t->result);
    latency_of(t, 0, &t->there.closed);
    if (t->workload->back != OP_GET) {
        crew_run(t->crew, &back, t->result);
        latency_of(t, 0, &t->back.closed);
        return;
    }
    double rate = median_of(t->there.rate, t->there.rounds) / (t->workload->per_call ? t->workload->per_call : 1);
    o.calls_per_s = rate / count * OPEN_LOOP_SHARE;
    crew_run(t->crew, &o, t->result);
    latency_of(t, rate * OPEN_LOOP_SHARE, &t->there.open);
}

static void head_of(const struct entry *t, const struct entry *before, const char *back_name) {
    const struct figure *f = &t->there;
    if (before && strcmp(before->there.scene, f->scene) == 0 && strcmp(before->there.workload, f->workload) == 0 &&
        before->there.workers == f->workers && before->there.is_threads == f->is_threads)
        return;
    printf("\n%s: %s, %u %s: %s\n", f->scene, back_name ? back_name : f->workload, f->workers,
           f->is_threads    ? "threads"
           : f->workers > 1 ? "processes"
                            : "process",
           back_name ? "the way back" : t->workload->what);
    printf("  %-14s %2s %13s %18s%s\n", "", "", "per second", "(of all rounds)",
           f->closed.max_ns ? "        p50       p99     p99.9       max" : "");
}

static void report(struct contest *c, const char *back_name, struct figures *out) {
    for (unsigned i = 0; i < c->count; i++) {
        struct entry *t = &c->entries[i];
        if (back_name && t->workload->back == OP_GET)
            continue;
        head_of(t, i > 0 ? t - 1 : NULL, back_name);
        if (back_name)
            snprintf(t->back.workload, sizeof t->back.workload, "%s", back_name);
        figures_add(out, back_name ? &t->back : &t->there);
        figures_print(&out->at[out->count - 1]);
    }
}

void contest_run(struct contest *c, const char *back_name, struct figures *out) {
    for (unsigned i = 0; i < c->count; i++)
        one_round(&c->entries[i], c->pace.warm_s, 1);
    for (unsigned r = 0; r < c->pace.rounds; r++)
        for (unsigned i = 0; i < c->count; i++)
            one_round(&c->entries[i], c->pace.round_s, 0);
    for (unsigned i = 0; i < c->count; i++) {
        if (c->pace.has_latency)
            latency_rounds(&c->entries[i], c->pace.round_s);
        crew_stop(c->entries[i].crew);
    }
    report(c, NULL, out);
    if (back_name)
        report(c, back_name, out);
    free(c->entries);
    *c = (struct contest){0};
}
