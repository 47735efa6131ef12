/* bench/targets.c - see targets.h. */
#include "bench/targets.h"
#include <stdio.h>

struct judge {
    const struct figures *f;
    struct verdict *out;
    unsigned count;
};

static void add(struct judge *j, const char *workload, const char *target, double figure, double wanted,
                int is_at_most) {
    j->out[j->count++] = (struct verdict){workload, target, figure, wanted, is_at_most, figure > 0, 0};
}

static void add_fact(struct judge *j, const char *workload, const char *what, double figure) {
    j->out[j->count++] = (struct verdict){workload, what, figure, 0, 0, figure > 0, 1};
}

/* Larder's rate over another's. */
static void against(struct judge *j, const char *workload, const char *target, const char *scene, const char *name,
                    const char *peer, int workers, double wanted) {
    double mine = figures_rate(j->f, scene, name, "larder", workers),
           theirs = figures_rate(j->f, scene, name, peer, workers);
    add(j, workload, target, theirs > 0 ? mine / theirs : 0, wanted, 0);
}

/* The smallest of Larder's ratios over another engine's: of scenes (a NULL ends them) and of 1 and
 * 2 processes. 0: none was measured. */
static double worst_beside(const struct judge *j, const char *const scenes[], const char *name, const char *peer,
                           int from, int to) {
    double least = 0;
    for (unsigned s = 0; scenes[s]; s++)
        for (int workers = from; workers <= to; workers++) {
            double mine = figures_rate(j->f, scenes[s], name, "larder", workers),
                   theirs = figures_rate(j->f, scenes[s], name, peer, workers);
            double is = theirs > 0 ? mine / theirs : 0;
            if (is > 0 && (least == 0 || is < least))
                least = is;
        }
    return least;
}

static double worst(const struct judge *j, const char *const scenes[], const char *name, int from, int to) {
    return worst_beside(j, scenes, name, "lmdb", from, to);
}

static const char *const loaded[] = {"main", "plain", NULL}, *const aged[] = {"main, aged", "plain, aged", NULL},
                         *const cached[] = {"in cache", "in cache, aged", NULL}, *const plain[] = {"plain", NULL},
                         *const indexed[] = {"main", NULL},
                         *const uncached[] = {"main", "plain", "main, aged", "plain, aged", NULL};

static double larder(const struct judge *j, const char *scene, const char *workload, int workers) {
    return figures_rate(j->f, scene, workload, "larder", workers);
}

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

static double scaling(const struct judge *j, const char *engine) {
    return ratio(figures_rate(j->f, "main", "get", engine, 2), figures_rate(j->f, "main", "get", engine, 1));
}

/* What two processes can do on this machine at most, in the same rounds. */
static void scaling_facts(struct judge *j) {
    add_fact(j, "  compute alone, 2 processes", "x 1 process: the cores", scaling(j, "compute"));
    add_fact(j, "  limit probe, 2 processes", "x 1 process: cores and memory", scaling(j, "limit"));
    add_fact(j, "  Larder's scaling", "of the limit probe's", ratio(scaling(j, "larder"), scaling(j, "limit")));
    if (figures_find(j->f, "main", "get", "larder", -2))
        add_fact(j, "  point get, 2 threads", "x 1 process",
                 ratio(larder(j, "main", "get", -2), larder(j, "main", "get", 1)));
}

static void beside(struct judge *j, const char *workload, const char *read, const char *write, int is_target) {
    char alone_name[64], beside_name[64];
    snprintf(alone_name, sizeof alone_name, "%s | alone", read);
    snprintf(beside_name, sizeof beside_name, "%s | %s", read, write);
    double alone = larder(j, "main", alone_name, 1), with = larder(j, "main", beside_name, 1);
    if (is_target)
        add(j, workload, "of readers alone", ratio(with, alone), 0.7, 0);
    else
        add_fact(j, workload, "of readers alone", ratio(with, alone));
}

static void reads(struct judge *j) {
    against(j, "point get, 1 process", "of the limit probe", "main", "get", "limit", 1, 0.80);
    if (figures_find(j->f, "main", "get", "limit-image", 1)) {
        double image = figures_rate(j->f, "main", "get", "limit-image", 1);
        add_fact(j, "  limit probe, images as long", "of the limit probe",
                 ratio(image, figures_rate(j->f, "main", "get", "limit", 1)));
        add_fact(j, "  Larder's get", "of that probe", ratio(larder(j, "main", "get", 1), image));
    }
    add(j, "point get, 1 process", "x LMDB, least of all scenes", worst(j, uncached, "get", 1, 1), 2.0, 0);
    add_fact(j, "  all in cache", "x LMDB", worst(j, cached, "get", 1, 1));
    add_fact(j, "  all in cache", "of the limit probe",
             ratio(larder(j, "in cache", "get", 1), figures_rate(j->f, "in cache", "get", "limit", 1)));
    add(j, "point get, 2 processes", "x its 1-process figure",
        ratio(larder(j, "main", "get", 2), larder(j, "main", "get", 1)), 1.9, 0);
    scaling_facts(j);
    add(j, "get of 100 at once", "x single gets", ratio(larder(j, "main", "many", 2), larder(j, "main", "get", 2)), 2.0,
        0);
    add(j, "20-item query, table, as loaded", "x LMDB's cursor, the least", worst(j, loaded, "query", 1, 2), 1.3, 0);
    add(j, "  after random overwrites", "x LMDB's cursor, the least", worst(j, aged, "query", 1, 2), 1.1, 0);
    add(j, "  all in cache", "x LMDB's cursor, the least", worst(j, cached, "query", 1, 2), 1.0, 0);
    add(j, "20-item query, index", "x LMDB's cursor, the least", worst(j, uncached, "query-index", 1, 2), 1.3, 0);
    add(j, "20-item query, hot index", "x LMDB's cursor, the least", worst(j, uncached, "query-hot", 1, 2), 1.3, 0);
    beside(j, "gets beside a heavy writer", "get", "overwrite", 1);
    beside(j, "the same, both Zipf", "get-zipf", "overwrite-zipf", 1);
    beside(j, "queries of the writer's partition", "query-one", "move-one", 1);
    add_fact(j, "  compute alone, 2 processes", "of 1 alone: what is there to have", scaling(j, "compute") / 2);
}

/* Beside small pages in the same rounds. */
static void huge_page_facts(struct judge *j) {
    static const char *const workloads[] = {"get", "query", "overwrite"};
    static const char *const engines[] = {"larder-huge", "larder-hugetlb"};
    static const char *const rows[2][3] = {
        {"get, huge pages (advised)", "20-item query, the same", "overwrite, the same"},
        {"get, huge pages (hugetlbfs)", "20-item query, the same", "overwrite, the same"}};
    for (int e = 0; e < 2; e++)
        for (int w = 0; w < 3; w++)
            if (figures_find(j->f, "huge pages", workloads[w], engines[e], 1))
                add_fact(j, rows[e][w], "x small pages",
                         ratio(figures_rate(j->f, "huge pages", workloads[w], engines[e], 1),
                               larder(j, "huge pages", workloads[w], 1)));
    if (figures_find(j->f, "huge pages", "get", "limit-huge", 1))
        add_fact(j, "get of the limit probe, huge pages", "x small pages",
                 ratio(figures_rate(j->f, "huge pages", "get", "limit-huge", 1),
                       figures_rate(j->f, "huge pages", "get", "limit", 1)));
}

static void writes(struct judge *j) {
    against(j, "overwrite, 2 processes", "of the limit probe", "main", "overwrite", "limit", 2, 0.60);
    add(j, "overwrite, built, 1 process", "x LMDB, the least", worst(j, loaded, "overwrite-built", 1, 1), 2.0, 0);
    add(j, "overwrite, built, 2 processes", "x LMDB, the least", worst(j, loaded, "overwrite-built", 2, 2), 5.0, 0);
    add(j, "put, built, no index", "of the limit probe, 1 and 2 processes",
        worst_beside(j, plain, "overwrite-built", "limit", 1, 2), 0.75, 0);
    add_fact(j, "  4 indexes", "of the limit probe, the least",
             worst_beside(j, indexed, "overwrite-built", "limit", 1, 2));
    add_fact(j, "  all in cache, no index", "of the limit probe, the least",
             worst_beside(j, cached, "overwrite-built", "limit", 1, 2));
    add_fact(j, "  prepared, 1 process", "x LMDB, the least", worst(j, loaded, "overwrite", 1, 1));
    add_fact(j, "  prepared, 2 processes", "x LMDB, the least", worst(j, loaded, "overwrite", 2, 2));
    add_fact(j, "  all in cache, built", "x LMDB, the least", worst(j, cached, "overwrite-built", 1, 2));
    against(j, "insert with 4 indexes, built", "x LMDB, one transaction", "main", "insert-built", "lmdb", 2, 3.0);
    against(j, "insert, no index, built", "x LMDB", "plain", "insert-built", "lmdb", 2, 3.0);
    add(j, "counter update", "of overwrite", ratio(larder(j, "main", "count", 2), larder(j, "main", "overwrite", 2)),
        0.5, 0);
    double get = larder(j, "main", "get", 2), overwrite = larder(j, "main", "overwrite", 2);
    add_fact(j, "  a get and then an overwrite", "of overwrite: a counter in two calls", ratio(get, get + overwrite));
}

static double decided(const struct judge *j, const char *workload, const char *engine) {
    return figures_rate(j->f, "conditional", workload, engine, 1);
}

/* A call's time as a multiple of another's. */
static void at_most(struct judge *j, const char *what, const char *target, const char *workload, const char *base,
                    double wanted) {
    static const char *const peers[] = {"lmdb", "sqlite"}, *const rows[] = {"x LMDB", "x SQLite"};
    add(j, what, target, ratio(decided(j, base, "larder"), decided(j, workload, "larder")), wanted, 1);
    for (int i = 0; i < 2; i++)
        if (figures_find(j->f, "conditional", workload, peers[i], 1))
            add_fact(j, "  the same", rows[i], ratio(decided(j, workload, "larder"), decided(j, workload, peers[i])));
}

/* One process, four indexes. */
static void conditions(struct judge *j) {
    at_most(j, "conditional put", "x an overwrite's time", "put-if", "overwrite", 1.5);
    at_most(j, "conditional update", "x an overwrite's time", "update", "overwrite", 1.5);
    at_most(j, "ADD", "x larder_increment()'s time", "add", "count", 1.15);
    at_most(j, "filter of 20 items", "x the query's time", "filter", "query", 1.1);
    at_most(j, "transaction of 4 puts", "x its four puts' time", "transact", "four", 1.6);
}

/* How much slower at the largest count than at 10,000 items, against the same for the limit. */
static void growth(struct judge *j) {
    double big = larder(j, "10^7", "get", 1), small = larder(j, "10^4", "get", 1);
    double limit_big = figures_rate(j->f, "10^7", "get", "limit", 1),
           limit_small = figures_rate(j->f, "10^4", "get", "limit", 1);
    add(j, "get at 10^7 against 10^4 items", "x the limit probe's own growth",
        ratio(ratio(small, big), ratio(limit_small, limit_big)), 1.2, 1);
}

unsigned targets_judge(const struct figures *f, const struct extras *x, struct verdict out[TARGETS_MAX]) {
    struct judge j = {f, out, 0};
    reads(&j);
    writes(&j);
    conditions(&j);
    growth(&j);
    add(&j, "expiry of a million items", "seconds",
        x->expiry.items ? x->expiry.seconds * 1e6 / (double)x->expiry.items : 0, 5.0, 1);
    add(&j, "gets during expiry", "of gets alone", ratio(x->expiry.gets_beside, x->expiry.gets_alone), 0.8, 0);
    add(&j, "memory, no index", "bytes of segment per byte of item", x->memory_plain, 1.35, 1);
    add(&j, "memory, 4 indexes", "bytes of segment per byte of item", x->memory_indexed, 2.0, 1);
    huge_page_facts(&j);
    return j.count;
}

int verdict_is_met(const struct verdict *v) {
    return v->is_known && (v->is_at_most ? v->figure <= v->wanted : v->figure >= v->wanted);
}

static void print_one(const struct verdict *v) {
    printf("%-34s %-36s ", v->workload, v->target);
    if (v->is_fact)
        printf("%8s", "");
    else
        printf("%s %5.2f", v->is_at_most ? "<=" : ">=", v->wanted);
    if (v->is_known)
        printf(" %8.2f  %s\n", v->figure, v->is_fact ? "" : verdict_is_met(v) ? "met" : "MISSED");
    else
        printf(" %8s  not measured\n", "-");
}

void targets_print(const struct verdict *v, unsigned count) {
    printf("\n%-34s %-36s %8s %8s  %s\n", "workload", "measured as", "target", "figure", "verdict");
    for (unsigned i = 0; i < count; i++)
        print_one(&v[i]);
}
