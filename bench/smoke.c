/* bench/smoke.c - see smoke.h.
 *
 * Method   One process, a small scene with indexes and one without. What a call has to find is
 *          worked out from bench/dataset.h: the item of a get, the items of a get of 100 in their
 *          order, the next 20 of a partition by brute force. After a write the item is read again.
 *          Then a few workloads in two processes and two threads at once, where rule O1 of
 *          bench/rounds.h judges.
 */
#include "bench/smoke.h"
#include "bench/ageing.h"
#include "bench/engines.h"
#include "bench/fail.h"
#include "bench/rounds.h"
#include <string.h>

#define ITEMS 1000u
#define CALLS 60u

struct trial {
    const struct engine *engine;
    void *session;
    const struct workload *w;
    struct ring ring;
    char wrong[160]; /* empty: nothing so far */
};

static void wrong(struct trial *t, const char *what, uint64_t n, uint64_t is) {
    if (!t->wrong[0])
        snprintf(t->wrong, sizeof t->wrong, "item %llu: %s (%lld)", (unsigned long long)n, what, (long long)is);
}

/* ---- What a query has to find ---------------------------------------------------------------- */

struct sort_key {
    char text[INDEX_KEY_MAX];
};

static int by_bytes(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct sort_key));
}

static struct sort_key sort_key_of(int index, uint64_t n) {
    struct sort_key out = {{0}};
    struct bench_key key;
    struct index_key ik;
    if (index < 0) {
        dataset_key(n, &key);
        memcpy(out.text, key.sk, SK_BYTES);
    } else {
        dataset_index_key(n, index, 0, &ik);
        memcpy(out.text, ik.sort, ik.sort_bytes);
    }
    return out;
}

static int is_same_partition(int index, uint64_t a, uint64_t b) {
    struct index_key x, y;
    if (index < 0)
        return a / PARTITION_ITEMS == b / PARTITION_ITEMS;
    dataset_index_key(a, index, 0, &x);
    dataset_index_key(b, index, 0, &y);
    return x.partition_bytes == y.partition_bytes && memcmp(x.partition, y.partition, x.partition_bytes) == 0;
}

/* The sort keys of n's partition from n's on, in order; returns how many, at most QUERY_LIMIT. */
static unsigned expected(int index, uint64_t n, struct sort_key out[QUERY_LIMIT]) {
    static struct sort_key all[ITEMS];
    struct sort_key from = sort_key_of(index, n);
    unsigned count = 0;
    for (uint64_t m = 0; m < ITEMS; m++) {
        if (!is_same_partition(index, n, m))
            continue;
        all[count] = sort_key_of(index, m);
        count += by_bytes(&all[count], &from) >= 0;
    }
    qsort(all, count, sizeof *all, by_bytes);
    count = count < QUERY_LIMIT ? count : QUERY_LIMIT;
    memcpy(out, all, count * sizeof *out);
    return count;
}

static void judge_query(struct trial *t, const struct op *op, unsigned found) {
    struct sort_key wanted[QUERY_LIMIT];
    unsigned count = expected(op->index, op->n, wanted);
    /* Among equal sort keys the limit probe begins at the item itself. */
    int is_loose = op->index == 3 && t->engine == &engine_limit;
    if (found != count && !is_loose)
        wrong(t, "a query found another number of items", op->n, found);
    for (unsigned i = 0; i < found && i < QUERY_LIMIT && !is_loose; i++) {
        uint64_t n = t->engine->copied(t->session, i);
        struct sort_key is = sort_key_of(op->index, n);
        if (n >= ITEMS || !is_same_partition(op->index, op->n, n) || by_bytes(&is, &wanted[i]) != 0)
            wrong(t, "a query copied another item", op->n, n);
    }
}

/* A page of n's partition of the table, from its begin, in order. */
static void judge_page(struct trial *t, uint64_t n, unsigned found) {
    struct sort_key before = {.text = ""};
    if (found != QUERY_PAGE_LIMIT)
        wrong(t, "a page has another number of items", n, found);
    for (unsigned i = 0; i < found; i++) {
        uint64_t other = t->engine->copied(t->session, i);
        struct sort_key is = sort_key_of(-1, other);
        if (other >= ITEMS || !is_same_partition(-1, n, other) || by_bytes(&is, &before) <= 0)
            wrong(t, "a page copied another item", n, other);
        before = is;
    }
}

/* ---- One call -------------------------------------------------------------------------------- */

static void judge_get(struct trial *t, uint64_t n, int is_there) {
    struct bench_key key;
    dataset_key(n, &key);
    int is_found = t->engine->get(t->session, &key) != 0;
    if (is_found != is_there)
        wrong(t, is_there ? "not found" : "found", n, 0);
    else if (is_found && t->engine->copied(t->session, 0) != n)
        wrong(t, "a get copied another item", n, t->engine->copied(t->session, 0));
}

static void judge_many(struct trial *t, uint32_t at, unsigned found) {
    if (found != MANY)
        wrong(t, "not all of 100 were found", at, found);
    for (unsigned i = 0; i < MANY && found == MANY; i++) {
        uint64_t n = t->ring.ops[(size_t)at * MANY + i].n, is = t->engine->copied(t->session, i);
        if (is != n)
            wrong(t, "a get of 100 copied another item", n, is);
    }
}

/* Under its old index key the item must no longer be found, or must be found again. The limit probe
 * moves nothing. */
static void judge_move(struct trial *t, uint64_t n, int is_back) {
    if (t->engine == &engine_limit)
        return;
    unsigned found = t->engine->query(t->session, 1, n);
    int is_first = found > 0 && t->engine->copied(t->session, 0) == n;
    if (is_first != is_back)
        wrong(t, is_back ? "not in its old place again" : "still in its old place", n, found);
}

static void call(struct trial *t, uint32_t at, int is_back) {
    const struct op *op = &t->ring.ops[at];
    unsigned result = workload_call(t->engine, t->session, &t->ring, at, is_back);
    if (is_back && op->kind != OP_INSERT && op->kind != OP_MOVE)
        return;
    if (op->kind == OP_GET) {
        judge_get(t, op->n, t->w->choice != ABSENT);
    } else if (op->kind == OP_MANY) {
        judge_many(t, at, result);
    } else if (op->kind == OP_QUERY || op->kind == OP_FILTER) {
        judge_query(t, op, result);
    } else if (op->kind == OP_QUERY_PAGE) {
        judge_page(t, op->n, result);
    } else {
        if (result != 1)
            wrong(t, "a write was refused", op->n, result);
        for (uint32_t k = 0; k < FOUR && (op->kind == OP_FOUR || op->kind == OP_TRANSACT); k++)
            judge_get(t, t->ring.writes[op->write + k].n, 1);
        judge_get(t, op->n, !(is_back && op->kind == OP_INSERT));
    }
    if (op->kind == OP_MOVE)
        judge_move(t, op->n, is_back);
}

static void run_trial(struct trial *t, const struct scene *scene) {
    workload_fill(&t->ring, t->w, t->engine, t->session, scene, 0, 1);
    for (uint32_t at = 0; at < t->ring.count; at++)
        call(t, at, 0);
    for (uint32_t at = 0; t->w->back != OP_GET && at < t->ring.count; at++)
        call(t, at, 1);
    ring_free(&t->ring);
}

/* ---- All ------------------------------------------------------------------------------------- */

static void judge_engine(const struct stage *stage, const struct loaded *l, unsigned *passed, unsigned *failed) {
    for (const struct workload *w = workloads; w->name; w++) {
        struct trial t = {.engine = l->engine, .w = w};
        if (!stage_takes_part(&stage->scene, l->engine, w, 1) || (l->engine->can & IS_NO_STORE))
            continue;
        t.session = l->engine->attach(l->state);
        run_trial(&t, &stage->scene);
        l->engine->detach(t.session);
        *(t.wrong[0] ? failed : passed) += 1;
        if (t.wrong[0])
            printf("  WRONG: %s on %s: %s\n", w->name, l->engine->name, t.wrong);
    }
}

static void several_workers(const struct stage *stage, struct figures *figures) {
    static const char *const shared[] = {"get", "many", "query", "overwrite", "overwrite-built", "insert"};
    const struct pace pace = {0.01, 0.01, 1, 1};
    struct contest c;
    contest_begin(&c, stage, &pace);
    for (unsigned i = 0; i < sizeof shared / sizeof *shared; i++) {
        contest_enter(&c, shared[i], 2);
        contest_enter(&c, shared[i], -2);
    }
    contest_enter_beside(&c, "larder", "get", "alone");
    contest_enter_beside(&c, "larder", "query-one", "move-one");
    contest_run(&c, "delete", figures);
}

static void judge_scene(const char *folder, const char *name, int indexes, unsigned *passed, unsigned *failed) {
    struct scene scene = {
        .items = ITEMS, .item_bytes = 300, .indexes = indexes, .spare_items = 400, .ring_calls_max = CALLS};
    struct figures figures = {0};
    struct stage stage;
    snprintf(scene.folder, sizeof scene.folder, "%s", folder);
    stage_open(&stage, name, &scene, NULL);
    for (unsigned i = 0; i < stage.count; i++)
        judge_engine(&stage, &stage.loaded[i], passed, failed);
    stage_rewrite(&stage, "smoke, aged");
    for (unsigned i = 0; i < stage.count; i++)
        judge_engine(&stage, &stage.loaded[i], passed, failed);
    if (indexes)
        several_workers(&stage, &figures);
    *passed += figures.count; /* a wrong answer would have ended the program */
    stage_close(&stage);
    free(figures.at);
}

/* A survivor that is not found ends the program. */
static void judge_ageing(unsigned *passed, unsigned *failed) {
    struct ageing_plan plan = {.megabytes = 12, .rounds = 4, .writers = 2, .indexes = 1};
    double worst = ageing_run(&plan);
    *(worst > 0 ? passed : failed) += 1;
}

unsigned smoke_run(const char *folder) {
    unsigned passed = 0, failed = 0;
    judge_scene(folder, "smoke", INDEX_COUNT, &passed, &failed);
    judge_scene(folder, "smoke, no index", 0, &passed, &failed);
    judge_ageing(&passed, &failed);
    printf("%u passed, %u failed\n", passed, failed);
    return failed;
}
