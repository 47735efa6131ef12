/* bench/main.c - larder_bench: what script/bench runs.
 *
 * Use      larder_bench [--quick] [--out FILE] [--charts FOLDER] [--only SCENE]...
 *          larder_bench --compare OLD.json NEW.json
 *          larder_bench --count WORKLOAD --engine NAME [--calls N]   so many calls in this process; for callgrind
 */
#include "bench/clock.h"
#include "bench/fail.h"
#include "bench/results.h"
#include "bench/rounds.h"
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct engine *const all_engines[] = {&engine_limit,     &engine_larder, &engine_ck,
                                                   &engine_lmdb,      &engine_bdb,    &engine_sqlite,
                                                   &engine_memcached, &engine_redis,  NULL};
static const struct engine *const fast_engines[] = {&engine_limit, &engine_larder, &engine_lmdb, NULL};
static const struct engine *const own_engines[] = {&engine_limit, &engine_larder, NULL};

struct bench {
    bool is_quick;
    const char *only[8];
    unsigned only_count;
    const char *out, *charts;
    char folder[64];
    struct pace pace;
    struct figures figures;
    struct extras extras;
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

/* ---- The scenes ---------------------------------------------------------------------------------------------------------- */

static void main_scene(struct bench *b) {
    static const char *const always[] = {"get",       "many",      "query", "query-index",
                                         "query-hot", "overwrite", "count", "app"};
    static const char *const full[] = {"get-zipf", "miss", "overwrite-zipf"};
    struct scene scene = scene_of(b, 500000, 300, INDEX_COUNT, 200000);
    struct stage stage;
    if (!is_wanted(b, "main"))
        return;
    stage_open(&stage, "main", &scene, b->is_quick ? fast_engines : all_engines);
    for (int workers = 1; workers <= 2; workers++) {
        for (unsigned i = 0; i < sizeof always / sizeof *always; i++)
            measure(&stage, always[i], NULL, workers, &b->pace, NULL, &b->figures);
        for (unsigned i = 0; !b->is_quick && i < sizeof full / sizeof *full; i++)
            measure(&stage, full[i], NULL, workers, &b->pace, NULL, &b->figures);
        if (!b->is_quick)
            measure(&stage, "move", NULL, workers, &b->pace, NULL, &b->figures);
        measure(&stage, "insert", "delete", workers, &b->pace, NULL, &b->figures);
    }
    if (!b->is_quick) {
        measure(&stage, "get", NULL, -2, &b->pace, NULL, &b->figures);
        measure(&stage, "overwrite", NULL, -2, &b->pace, NULL, &b->figures);
        measure(&stage, "query", NULL, -2, &b->pace, NULL, &b->figures);
    }
    measure_beside(&stage, "get", "overwrite", "larder", &b->pace, &b->figures);
    measure_beside(&stage, "query-hot", "move", "larder", &b->pace, &b->figures);
    stage_close(&stage);
}

/* No index: what a plain store has to do. */
static void plain_scene(struct bench *b) {
    static const char *const ycsb[] = {"ycsb-a", "ycsb-b", "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f"};
    struct scene scene = scene_of(b, 500000, 300, 0, 200000);
    struct stage stage;
    if (b->is_quick || !is_wanted(b, "plain"))
        return;
    stage_open(&stage, "plain", &scene, all_engines);
    for (int workers = 1; workers <= 2; workers++) {
        measure(&stage, "insert", "delete", workers, &b->pace, NULL, &b->figures);
        measure(&stage, "overwrite", NULL, workers, &b->pace, NULL, &b->figures);
        for (unsigned i = 0; i < sizeof ycsb / sizeof *ycsb; i++)
            measure(&stage, ycsb[i], NULL, workers, &b->pace, NULL, &b->figures);
    }
    stage_close(&stage);
}

static void size_scenes(struct bench *b) {
    static const uint32_t sizes[] = {100, 4096};
    for (unsigned i = 0; i < 2 && !b->is_quick && is_wanted(b, "sizes"); i++) {
        struct scene scene = scene_of(b, sizes[i] < 1000 ? 500000 : 200000, sizes[i], 0, 20000);
        struct stage stage;
        stage_open(&stage, sizes[i] < 1000 ? "100 bytes" : "4 KB", &scene, fast_engines);
        measure(&stage, "get", NULL, 1, &b->pace, NULL, &b->figures);
        measure(&stage, "query", NULL, 1, &b->pace, NULL, &b->figures);
        measure(&stage, "overwrite", NULL, 1, &b->pace, NULL, &b->figures);
        stage_close(&stage);
    }
}

static void growth_scenes(struct bench *b) {
    static const struct {
        const char *name;
        uint64_t items;
    } steps[] = {{"10^3", 1000}, {"10^4", 10000}, {"10^5", 100000}, {"10^6", 1000000}, {"10^7", 10000000}};
    for (unsigned i = 0; i < 5 && is_wanted(b, "growth"); i++) {
        if (b->is_quick)
            continue;
        struct scene scene = scene_of(b, steps[i].items, 300, 0, 1000);
        struct stage stage;
        stage_open(&stage, steps[i].name, &scene, steps[i].items < 10000000 ? fast_engines : own_engines);
        measure(&stage, "get", NULL, 1, &b->pace, NULL, &b->figures);
        stage_close(&stage);
    }
}

static void huge_page_scene(struct bench *b) {
    struct scene scene = scene_of(b, 500000, 300, INDEX_COUNT, 1000);
    struct stage stage;
    if (b->is_quick || !is_wanted(b, "huge"))
        return;
    scene.huge_pages = 1;
    stage_open(&stage, "huge pages", &scene, own_engines);
    measure(&stage, "get", NULL, 1, &b->pace, NULL, &b->figures);
    measure(&stage, "query", NULL, 1, &b->pace, NULL, &b->figures);
    measure(&stage, "overwrite", NULL, 1, &b->pace, NULL, &b->figures);
    stage_close(&stage);
}

static void own_measures(struct bench *b) {
    if (is_wanted(b, "expiry")) {
        special_expiry(b->is_quick ? 300000 : 1000000, &b->extras.expiry);
        printf("\nexpiry: %llu items with 4 indexes in %.2f s; a reader beside it: %.0f gets/s, alone %.0f\n",
               (unsigned long long)b->extras.expiry.items, b->extras.expiry.seconds, b->extras.expiry.gets_beside,
               b->extras.expiry.gets_alone);
    }
    if (is_wanted(b, "memory")) {
        uint64_t items = b->is_quick ? 200000 : 500000;
        b->extras.memory_plain = special_memory(items, 300, 0);
        b->extras.memory_indexed = special_memory(items, 300, INDEX_COUNT);
        printf("\nmemory: %.2f bytes of segment per byte of item without index, %.2f with 4, after random churn\n",
               b->extras.memory_plain, b->extras.memory_indexed);
    }
}

static int run(struct bench *b) {
    struct verdict verdicts[TARGETS_MAX];
    struct machine machine;
    uint64_t start = clock_ns();
    b->pace = b->is_quick ? (struct pace){0.3, 0.25, 3, 0} : (struct pace){1.0, 0.6, 5, 1};
    snprintf(b->folder, sizeof b->folder, "/dev/shm/larder-bench-%d", (int)getpid());
    if (mkdir(b->folder, 0700))
        fail("%s: cannot be made", b->folder);
    machine_look(&machine);
    machine_print(&machine);
    printf("peers as set up:\n");
    for (unsigned i = 0; all_engines[i]; i++)
        printf("  %-10s %s\n", all_engines[i]->name, all_engines[i]->setup);
    main_scene(b);
    plain_scene(b);
    size_scenes(b);
    growth_scenes(b);
    huge_page_scene(b);
    own_measures(b);
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

/* ---- Counting instructions ----------------------------------------------------------------------------------------------- */

static int count_calls(struct bench *b, const char *name, const char *engine_name, uint32_t calls) {
    const struct workload *w = workload_named(name);
    struct scene scene = scene_of(b, 20000, 300, INDEX_COUNT, 30000);
    const struct engine *engine = NULL;
    const char *why = NULL;
    struct ring ring;
    for (unsigned i = 0; all_engines[i]; i++)
        if (strcmp(all_engines[i]->name, engine_name) == 0)
            engine = all_engines[i];
    if (!engine)
        fail("no engine is called \"%s\"", engine_name);
    snprintf(scene.folder, sizeof scene.folder, "/tmp");
    void *state = engine->create(&scene, &why), *session = state ? engine->attach(state) : NULL;
    if (!session)
        fail("%s: %s", engine_name, why);
    workload_fill(&ring, w, engine, session, &scene, 0, 1);
    for (uint32_t i = 0; i < calls; i++)
        workload_call(engine, session, &ring, i % ring.count, 0);
    ring_free(&ring);
    engine->detach(session);
    engine->destroy(state);
    return 0;
}

int main(int argc, char **argv) {
    struct bench b = {0};
    const char *count = NULL, *engine = "larder";
    uint32_t calls = 10000;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--quick") == 0) {
            b.is_quick = true;
            continue;
        }
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
    return count ? count_calls(&b, count, engine, calls) : run(&b);
}
