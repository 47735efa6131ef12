/* bench/main.c - larder_bench: what script/bench runs.
 *
 * Usage    larder_bench [--quick] [--out FILE] [--charts FOLDER] [--only SCENE]... [--rounds N]
 *                        [--seconds S] [--folder EMPTY-FOLDER-IN-TMPFS]
 *                        [--writers N] [--indexes N] [--megabytes N] [--pattern NAME]
 *                        [--where]  of ageing
 *                        [--megabytes N] [--item-bytes N] [--pattern NAME] [--writers N]  of
 *                        eviction
 *          larder_bench --compare OLD.json NEW.json
 *          larder_bench --smoke      judges the answers of a few calls of everything
 *          larder_bench --engines    which there are, and how each is set up
 *          larder_bench --count WORKLOAD --engine NAME [--calls N]
 *          The last makes N calls in this process, for callgrind: see instructions() of
 *          script/bench. WORKLOAD "all": all of them.
 */
#include "bench/ageing.h"
#include "bench/clock.h"
#include "bench/crowd.h"
#include "bench/engines.h"
#include "bench/eviction.h"
#include "bench/fail.h"
#include "bench/hugepages.h"
#include "bench/results.h"
#include "bench/rounds.h"
#include "bench/smoke.h"
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL: all. */
#define FAST_ENGINES "compute limit limit-image larder lmdb"
#define SIZE_ENGINES "limit larder lmdb"
#define OWN_ENGINES "limit larder"

struct bench {
    bool is_quick;
    const char *only[8];
    unsigned only_count;
    const char *out, *charts;
    unsigned rounds; /* 0: as the plan says */
    double round_s;
    char folder[48];
    struct pace pace;
    struct figures figures;
    struct extras extras;
    struct ageing_plan ageing;
    uint32_t item_bytes; /* of eviction */
};

static bool is_wanted(const struct bench *b, const char *scene) {
    for (unsigned i = 0; i < b->only_count; i++)
        if (strcmp(b->only[i], scene) == 0)
            return true;
    return b->only_count == 0;
}

static struct scene scene_of(const struct bench *b, uint64_t items, uint32_t item_bytes, int indexes,
                             uint64_t spare_items) {
    struct scene s = {.items = items, .item_bytes = item_bytes, .indexes = indexes, .spare_items = spare_items};
    snprintf(s.folder, sizeof s.folder, "%s", b->folder);
    return s;
}

/* ---- The scenes ------------------------------------------------------------------------------ */

/* One contest of a workload at one process and at two, and at two threads of one if asked. */
static void measure(struct bench *b, const struct stage *stage, const char *workload, const char *back_name,
                    int has_threads) {
    struct contest c;
    contest_begin(&c, stage, &b->pace);
    contest_enter(&c, workload, 1);
    contest_enter(&c, workload, 2);
    if (has_threads && !b->is_quick)
        contest_enter(&c, workload, -2);
    contest_run(&c, back_name, &b->figures);
}

static void measure_single(struct bench *b, const struct stage *stage, const char *const names[]) {
    struct contest c;
    for (unsigned i = 0; names[i]; i++) {
        contest_begin(&c, stage, &b->pace);
        contest_enter(&c, names[i], 1);
        contest_run(&c, NULL, &b->figures);
    }
}

/* What is compared with each other, in the same rounds: single gets at 1 and 2 processes and 100 at
 * once; overwrites and counters. */
static void measure_with(struct bench *b, const struct stage *stage, const char *workload, const char *other) {
    struct contest c;
    contest_begin(&c, stage, &b->pace);
    contest_enter(&c, workload, 1);
    contest_enter(&c, workload, 2);
    if (!b->is_quick)
        contest_enter(&c, workload, -2);
    contest_enter(&c, other, 1);
    contest_enter(&c, other, 2);
    contest_run(&c, NULL, &b->figures);
}

static void readers_beside_writers(struct bench *b, const struct stage *stage) {
    static const struct {
        const char *read, *write;
    } pairs[] = {{"get", "overwrite"}, {"get-zipf", "overwrite-zipf"}, {"query-one", "move-one"}};
    static const char *const readers[] = {"larder", "lmdb"};
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct contest c;
        contest_begin(&c, stage, &b->pace);
        for (unsigned e = 0; e < (b->is_quick ? 1 : 2); e++) {
            contest_enter_beside(&c, readers[e], pairs[i].read, "alone");
            contest_enter_beside(&c, readers[e], pairs[i].read, pairs[i].write);
        }
        contest_run(&c, NULL, &b->figures);
    }
}

/* The same after every item was put again in random order. */
static void measure_rewritten(struct bench *b, struct stage *stage, const char *name, const char *const names[]) {
    stage_rewrite(stage, name);
    for (unsigned i = 0; names[i]; i++)
        measure(b, stage, names[i], NULL, 0);
}

static void main_scene(struct bench *b) {
    static const char *const after[] = {"get", "query", "query-index", "query-hot", NULL};
    struct scene scene = scene_of(b, 500000, 300, INDEX_COUNT, 200000);
    struct stage stage;
    if (!is_wanted(b, "main"))
        return;
    stage_open(&stage, "main", &scene, b->is_quick ? FAST_ENGINES : NULL);
    measure_with(b, &stage, "get", "many");
    measure(b, &stage, "query", NULL, 1);
    measure(b, &stage, "query-index", NULL, 0);
    measure(b, &stage, "query-hot", NULL, 0);
    if (!b->is_quick) {
        measure(b, &stage, "get-zipf", NULL, 0);
        measure(b, &stage, "miss", NULL, 0);
    }
    measure_with(b, &stage, "overwrite", "count");
    measure(b, &stage, "overwrite-built", NULL, 0);
    if (!b->is_quick) {
        measure(b, &stage, "overwrite-zipf", NULL, 0);
        measure(b, &stage, "move", NULL, 0);
    }
    measure(b, &stage, "insert", "delete", 0);
    measure(b, &stage, "insert-built", NULL, 0);
    measure(b, &stage, "app", NULL, 0);
    readers_beside_writers(b, &stage);
    measure_rewritten(b, &stage, "main, aged", after);
    stage_close(&stage);
}

/* No index: the work of a plain store. */
static void plain_scene(struct bench *b) {
    static const char *const ycsb[] = {"ycsb-a", "ycsb-b", "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f"};
    static const char *const after[] = {"get", "query", NULL};
    struct scene scene = scene_of(b, 500000, 300, 0, 200000);
    struct stage stage;
    int has_latency = b->pace.has_latency;
    if (!is_wanted(b, "plain"))
        return;
    stage_open(&stage, "plain", &scene, b->is_quick ? FAST_ENGINES : NULL);
    b->pace.has_latency = 0; /* the main scene has it; this one is long */
    measure(b, &stage, "get", NULL, 0);
    measure(b, &stage, "query", NULL, 0);
    measure(b, &stage, "overwrite", NULL, 0);
    measure(b, &stage, "overwrite-built", NULL, 0);
    if (!b->is_quick) {
        measure(b, &stage, "insert", "delete", 0);
        measure(b, &stage, "insert-built", NULL, 0);
    }
    for (unsigned i = 0; i < sizeof ycsb / sizeof *ycsb && !b->is_quick; i++)
        measure(b, &stage, ycsb[i], NULL, 0);
    measure_rewritten(b, &stage, "plain, aged", after);
    b->pace.has_latency = has_latency;
    stage_close(&stage);
}

/* Few enough items for the processor's caches: what instructions cost when memory does not. */
static void cache_scene(struct bench *b) {
    static const char *const measured[] = {"get", "query", "overwrite-built", NULL}, *const after[] = {"query", NULL};
    struct scene scene = scene_of(b, 10000, 300, 0, 1000);
    struct stage stage;
    if (!is_wanted(b, "cache"))
        return;
    stage_open(&stage, "in cache", &scene, FAST_ENGINES);
    for (unsigned i = 0; measured[i]; i++)
        measure(b, &stage, measured[i], NULL, 0);
    measure_rewritten(b, &stage, "in cache, aged", after);
    stage_close(&stage);
}

/* Conditions, updates, filters and transactions; each beside what it is compared with. */
static void conditional_scene(struct bench *b) {
    static const char *const together[][7] = {
        {"overwrite", "put-if", "update", "set", "count", "add"}, {"query", "filter"}, {"four", "transact"}};
    struct scene scene = scene_of(b, 100000, 300, INDEX_COUNT, 1000);
    struct stage stage;
    if (b->is_quick || !is_wanted(b, "conditional"))
        return;
    stage_open(&stage, "conditional", &scene, "larder lmdb sqlite");
    for (unsigned i = 0; i < sizeof together / sizeof *together; i++) {
        struct contest c;
        contest_begin(&c, &stage, &b->pace);
        for (unsigned k = 0; together[i][k]; k++)
            for (int workers = 1; workers <= 2; workers++)
                contest_enter(&c, together[i][k], workers);
        contest_run(&c, NULL, &b->figures);
    }
    stage_close(&stage);
}

static void size_scenes(struct bench *b) {
    static const uint32_t sizes[] = {100, 4096};
    static const char *const measured[] = {"get", "query", "overwrite", NULL};
    for (unsigned i = 0; i < 2 && !b->is_quick && is_wanted(b, "sizes"); i++) {
        struct scene scene = scene_of(b, sizes[i] < 1000 ? 500000 : 200000, sizes[i], 0, 20000);
        struct stage stage;
        stage_open(&stage, sizes[i] < 1000 ? "100 bytes" : "4 KB", &scene, SIZE_ENGINES);
        measure_single(b, &stage, measured);
        stage_close(&stage);
    }
}

#define GROWTH_STEPS 5u

/* All sizes are loaded at once and take turns. */
static void growth_scenes(struct bench *b) {
    static const char *const names[GROWTH_STEPS] = {"10^3", "10^4", "10^5", "10^6", "10^7"};
    static struct stage stages[GROWTH_STEPS];
    struct contest c;
    uint64_t items = 1000;
    if (b->is_quick || !is_wanted(b, "growth"))
        return;
    contest_begin(&c, NULL, &b->pace);
    for (unsigned i = 0; i < GROWTH_STEPS; i++, items *= 10) {
        struct scene scene = scene_of(b, items, 300, 0, 1000);
        snprintf(scene.folder + strlen(scene.folder), 8, "/%u", i);
        if (mkdir(scene.folder, 0700))
            fail("%s: cannot be made", scene.folder);
        stage_open(&stages[i], names[i], &scene, items < 10000000 ? SIZE_ENGINES : OWN_ENGINES);
        contest_stage(&c, &stages[i]);
        contest_enter(&c, "get", 1);
    }
    contest_run(&c, NULL, &b->figures);
    for (unsigned i = 0; i < GROWTH_STEPS; i++) {
        stage_close(&stages[i]);
        rmdir(stages[i].scene.folder);
    }
}

/* Huge pages beside small ones, in the same rounds. */
static void huge_page_scene(struct bench *b) {
    static const char *const measured[] = {"get", "query", "overwrite", NULL};
    struct scene scene = scene_of(b, 500000, 300, INDEX_COUNT, 1000);
    struct stage stage;
    if (b->is_quick || !is_wanted(b, "huge"))
        return;
    const char *why = hugepages_advise();
    if (why)
        printf("\nadvised huge pages are left out: %s\n", why);
    stage_open(&stage, "huge pages", &scene,
               why ? "limit larder larder-hugetlb" : "limit limit-huge larder larder-huge larder-hugetlb");
    measure_single(b, &stage, measured);
    stage_close(&stage);
    hugepages_restore();
}

/* Only if it is asked for: minutes, and no peer has the like. */
static void ageing_scene(struct bench *b) {
    struct ageing_plan plan = b->ageing;
    if (b->only_count == 0 || !is_wanted(b, "ageing"))
        return;
    plan.rounds = b->rounds ? b->rounds : 50;
    plan.writers = plan.writers ? plan.writers : 1;
    plan.megabytes = plan.megabytes ? plan.megabytes : 64;
    if (plan.writers > AGEING_WRITERS_MAX || plan.indexes < 0 || plan.indexes > INDEX_COUNT)
        fail("ageing: 1 to %u writers, 0 to %d indexes", AGEING_WRITERS_MAX, INDEX_COUNT);
    ageing_run(&plan);
}

static void eviction_scene(struct bench *b) {
    if (b->only_count == 0 || !is_wanted(b, "eviction"))
        return;
    struct eviction_plan plan = {.megabytes = b->ageing.megabytes ? b->ageing.megabytes : 64,
                                 .item_bytes = b->item_bytes ? b->item_bytes : 300,
                                 .trace = b->ageing.pattern,
                                 .writers = b->ageing.writers ? b->ageing.writers : 4};
    if (plan.writers > CROWD_MAX)
        fail("eviction: 1 to %u writers", CROWD_MAX);
    eviction_run(&plan);
}

static void own_measures(struct bench *b) {
    if (is_wanted(b, "expiry")) {
        special_expiry(b->is_quick ? 300000 : 1000000, &b->extras.expiry);
        printf("\nexpiry: %llu items with 4 indexes in %.2f s; a reader beside it: %.0f gets/s, alone %.0f\n",
               (unsigned long long)b->extras.expiry.items, b->extras.expiry.seconds, b->extras.expiry.gets_beside,
               b->extras.expiry.gets_alone);
    }
    if (is_wanted(b, "memory")) {
        const uint64_t items = 500000; /* as the targets say, in quick runs too */
        b->extras.memory_plain = special_memory(items, 300, 0);
        b->extras.memory_indexed = special_memory(items, 300, INDEX_COUNT);
        printf("\nmemory: %.2f bytes of segment per byte of item without index, %.2f with 4, after random churn\n",
               b->extras.memory_plain, b->extras.memory_indexed);
    }
}

/* The caller removes the folder that it gave, with anything that an ended run left in it. */
static void make_folder(struct bench *b) {
    if (b->folder[0])
        return;
    snprintf(b->folder, sizeof b->folder, "/dev/shm/larder-bench-%d", (int)getpid());
    if (mkdir(b->folder, 0700))
        fail("%s: cannot be made", b->folder);
}

static int list_engines(void) {
    static const char *const optional[] = {"ck", "lmdb", "bdb", "sqlite", "redis"};
    for (unsigned i = 0; engines[i]; i++)
        printf("%s: %s\n", engines[i]->name, engines[i]->setup);
    printf("left out:");
    for (unsigned o = 0; o < sizeof optional / sizeof *optional; o++) {
        unsigned i = 0;
        while (engines[i] && strcmp(engines[i]->name, optional[o]) != 0)
            i++;
        if (!engines[i])
            printf(" %s", optional[o]);
    }
    putchar('\n');
    return 0;
}

static int smoke(struct bench *b) {
    make_folder(b);
    unsigned failed = smoke_run(b->folder);
    rmdir(b->folder);
    return failed > 0;
}

static int run(struct bench *b) {
    struct verdict verdicts[TARGETS_MAX];
    struct machine machine;
    uint64_t start = clock_ns();
    b->pace = b->is_quick ? (struct pace){0.2, 0.2, 3, 0} : (struct pace){0.3, 0.3, 5, 1};
    if (b->rounds)
        b->pace.rounds = b->rounds < ROUNDS_MAX ? b->rounds : ROUNDS_MAX;
    if (b->round_s > 0)
        b->pace.warm_s = b->pace.round_s = b->round_s;
    make_folder(b);
    machine_look(&machine);
    machine_print(&machine);
    printf("peers as set up:\n");
    for (unsigned i = 0; engines[i]; i++)
        printf("  %-14s %s\n", engines[i]->name, engines[i]->setup);
    main_scene(b);
    plain_scene(b);
    cache_scene(b);
    conditional_scene(b);
    size_scenes(b);
    growth_scenes(b);
    huge_page_scene(b);
    own_measures(b);
    ageing_scene(b);
    eviction_scene(b);
    unsigned count = targets_judge(&b->figures, &b->extras, verdicts);
    targets_print(verdicts, count);
    if (b->out)
        results_write(b->out, &machine, b->is_quick ? "quick" : "full", &b->figures, &b->extras, verdicts, count);
    if (b->charts)
        results_chart_data(b->charts, &b->figures);
    rmdir(b->folder);
    printf("took %.0f s\n", (double)(clock_ns() - start) * 1e-9);
    return 0;
}

/* ---- Counting instructions ------------------------------------------------------------------- */

/* One callgrind dump each (--dump-after): hence its name, and that it is never inlined. */
__attribute__((noinline)) static void count_round(const struct engine *engine, void *session, const struct ring *ring,
                                                  uint32_t calls, int is_back) {
    for (uint32_t i = 0; i < calls; i++)
        workload_call(engine, session, ring, i % ring->count, is_back);
}

/* Prints what each dump is about, and how many calls it holds. */
static void count_one(const struct engine *engine, void *session, struct scene *scene, const struct workload *w,
                      uint32_t calls) {
    struct ring ring;
    scene->ring_calls_max = calls;
    workload_fill(&ring, w, engine, session, scene, 0, 1);
    int is_paired = w->back != OP_GET;
    if (is_paired && calls > ring.count)
        calls = ring.count;
    count_round(engine, session, &ring, calls, 0);
    printf("%s %u\n", w->name, calls);
    if (is_paired)
        count_round(engine, session, &ring, calls, 1);
    if (is_paired)
        printf("%s-back %u\n", w->name, calls);
    ring_free(&ring);
}

/* The workloads of one scene: all that take part, or the one that is named. */
static void count_scene(const struct engine *engine, struct scene *scene, const char *name, uint32_t calls) {
    const char *why = NULL;
    void *state = engine->create(scene, &why), *session = state ? engine->attach(state) : NULL;
    if (!session)
        fail("%s: %s", engine->name, why);
    for (const struct workload *w = workloads; w->name; w++)
        if (strcmp(name, "all") != 0 ? w == workload_named(name) : stage_takes_part(scene, engine, w, 1))
            count_one(engine, session, scene, w, calls);
    engine->detach(session);
    engine->destroy(state);
}

static int count_calls(struct bench *b, const char *name, const char *engine_name, uint32_t calls) {
    struct scene scene = scene_of(b, 20000, 300, INDEX_COUNT, 30000);
    const struct engine *engine = NULL;
    for (unsigned i = 0; engines[i]; i++)
        if (strcmp(engines[i]->name, engine_name) == 0)
            engine = engines[i];
    if (!engine)
        fail("no engine is called \"%s\"", engine_name);
    snprintf(scene.folder, sizeof scene.folder, "/tmp");
    int is_all = strcmp(name, "all") == 0;
    for (int expires = 0; expires <= 1; expires++) {
        scene.expires = expires;
        if (is_all ? !expires || (engine->can & CAN_EXPIRE) : workload_named(name)->expires == expires)
            count_scene(engine, &scene, name, calls);
    }
    return 0;
}

int main(int argc, char **argv) {
    struct bench b = {0};
    const char *count = NULL, *engine = "larder";
    uint32_t calls = 10000;
    bool is_smoke = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--quick") == 0) {
            b.is_quick = true;
            continue;
        }
        if (strcmp(argv[i], "--smoke") == 0) {
            is_smoke = true;
            continue;
        }
        if (strcmp(argv[i], "--where") == 0) {
            b.ageing.shows_where = 1;
            continue;
        }
        if (strcmp(argv[i], "--engines") == 0)
            return list_engines();
        if (!value)
            fail("%s: no such option, or a value is missing", argv[i]);
        if (strcmp(argv[i], "--compare") == 0 && i + 2 < argc)
            return results_compare(value, argv[i + 2]) > 0;
        if (strcmp(argv[i], "--out") == 0)
            b.out = value;
        else if (strcmp(argv[i], "--charts") == 0)
            b.charts = value;
        else if (strcmp(argv[i], "--only") == 0 && b.only_count < 8)
            b.only[b.only_count++] = value;
        else if (strcmp(argv[i], "--folder") == 0)
            snprintf(b.folder, sizeof b.folder, "%s", value);
        else if (strcmp(argv[i], "--rounds") == 0)
            b.rounds = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            b.round_s = strtod(value, NULL);
        else if (strcmp(argv[i], "--writers") == 0)
            b.ageing.writers = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--indexes") == 0)
            b.ageing.indexes = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--megabytes") == 0)
            b.ageing.megabytes = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--item-bytes") == 0)
            b.item_bytes = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--pattern") == 0)
            b.ageing.pattern = value;
        else if (strcmp(argv[i], "--count") == 0)
            count = value;
        else if (strcmp(argv[i], "--engine") == 0)
            engine = value;
        else if (strcmp(argv[i], "--calls") == 0)
            calls = (uint32_t)strtoul(value, NULL, 10);
        else
            fail("%s: no such option", argv[i]);
        i++;
    }
    return is_smoke ? smoke(&b) : count ? count_calls(&b, count, engine, calls) : run(&b);
}
