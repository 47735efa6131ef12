/* tests/model/model_test.c - the whole API against a plain model, call by call.
 *
 * Goal     Whatever calls come in whatever order, each returns what a plain array of rows would
 *          give. The same holds when several processes do so at once, each with keys of its own,
 *          and are killed now and then.
 * Method   Many repetitions: two stripes, leaves of four entries; model.h has the rows,
 *          model_query.c the queries. One process: tables come and go, indexes are added, the TTL
 *          attribute changes, the clock moves, larder_check() now and then. Many: a worker's rows,
 *          and the one it is about to change, are in memory that outlives it. Its successor finds
 *          out whether that change happened, and goes on. LARDER_SEED repeats a run;
 *          LARDER_TEST_LONG makes it minutes.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "index/leaf.h"
#include "larder.h"
#include "tests/model/model.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(model, .timeout = 3600);

/* ---- Writes ---------------------------------------------------------------------------------- */

static int64_t random_value(struct run *r, int column) {
    if (column == COL_EXP1 || column == COL_EXP2) {
        if (!rng_is_one_in(&r->rng, 3))
            return 0;
        return rng_is_one_in(&r->rng, 30) ? VALUE_UNFIT : r->now_s - 5 + (int64_t)rng_below(&r->rng, 40);
    }
    if (rng_is_one_in(&r->rng, 4))
        return 0;
    if (rng_is_one_in(&r->rng, 60))
        return VALUE_UNFIT;
    return 1 + (int64_t)rng_below(&r->rng, column == COL_G ? 2 : 6);
}

struct row random_row(struct run *r) {
    struct row row = {.is_there = 1};
    row.payload = (uint32_t)rng_below(&r->rng, rng_is_one_in(&r->rng, 8) ? PAYLOAD_MAX : 60);
    for (int c = 0; c < COL_VERSION; c++)
        row.value[c] = random_value(r, c);
    row.value[COL_VERSION] = 1000 + (int64_t)rng_below(&r->rng, 1000000);
    return row;
}

void begin_changes(struct run *r, const int *n, const struct row *after, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        r->m->pending[i] = n[i];
        r->m->after[i] = after[i];
    }
    atomic_store(&r->m->pending_count, (int)count);
}

void begin_change(struct run *r, int n, const struct row *after) {
    begin_changes(r, &n, after, 1);
}

/* A death in between leaves rows that are taken over again. */
void end_change(struct run *r, int is_done) {
    for (int i = 0; is_done && i < atomic_load(&r->m->pending_count); i++)
        r->m->row[r->m->pending[i]] = r->m->after[i];
    atomic_store(&r->m->pending_count, 0);
}

int is_unfit_row(const struct run *r, const struct row *row) {
    int is_unfit, any = 0;
    for (uint32_t i = 0; i < r->m->index_count; i++) {
        (void)is_in_index(row, &plans[i], &is_unfit);
        any |= is_unfit;
    }
    return any;
}

/* A page that is given to receive the old item. */
static void must_hold(const struct run *r, const struct larder_page *page, int n, const struct row *before,
                      int was_visible) {
    MUST(larder_page_count(page) == (uint32_t)was_visible);
    MUST(!was_visible || is_row(r, larder_page_item(page, 0), n, before));
}

static void do_put(struct run *r, int n) {
    struct row before = r->m->row[n], after = random_row(r);
    int is_refused = is_unfit_row(r, &after), was_visible = is_visible(r, &before);
    const struct larder_item *item = build(r, n, &after);
    struct larder_page *replaced = rng_is_one_in(&r->rng, 2) ? r->page : NULL;
    begin_change(r, n, &after);
    int result = larder_put(r->t, item, replaced);
    MUST(result == (is_refused ? LARDER_E_INVAL : LARDER_OK));
    if (replaced && !is_refused)
        must_hold(r, replaced, n, &before, was_visible);
    end_change(r, !is_refused);
}

/* Compares with what was just read, or with a copy that a put of the same item made outdated, or
 * expects no item. */
static void do_put_if(struct run *r, int n) {
    struct row before = r->m->row[n], after = random_row(r);
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct larder_key key = row_key(r, n, pk, sk);
    int is_late, was_visible = is_visible(r, &before), wanted = LARDER_OK;
    MUST(larder_get(r->t, &key, r->page) == (was_visible ? LARDER_OK : LARDER_NOT_FOUND));
    const struct larder_item *expected = larder_page_item(r->page, 0);
    is_late = was_visible && rng_is_one_in(&r->rng, 3);
    if (is_late && rng_is_one_in(&r->rng, 2))
        expected = NULL;
    else if (is_late) { /* the same item in another version, unless an added index refuses it */
        int result = larder_put(r->t, expected, NULL);
        MUST(result == LARDER_OK || result == LARDER_E_INVAL);
        is_late = result == LARDER_OK;
    }
    if (is_late)
        wanted = LARDER_CHANGED;
    if (is_unfit_row(r, &after))
        wanted = LARDER_E_INVAL;
    const struct larder_item *item = build(r, n, &after);
    struct larder_page *found = rng_is_one_in(&r->rng, 2) ? r->page : NULL;
    begin_change(r, n, &after);
    MUST(larder_put_if(r->t, item, expected, found) == wanted);
    if (found && wanted >= 0)
        must_hold(r, found, n, &before, was_visible);
    end_change(r, wanted == LARDER_OK);
}

/* Of a number that exists, or does not, or an item that does not; maybe a sort key of an index, or
 * an expiry. */
static void do_increment(struct run *r, int n) {
    static const int columns[] = {COL_GN, COL_EXP1, COL_EXP2, COL_VERSION};
    int column = columns[rng_below(&r->rng, 4)], is_refused, was_visible = is_visible(r, &r->m->row[n]);
    struct row after = was_visible ? r->m->row[n] : (struct row){.is_there = 1, .payload = NO_PAYLOAD};
    int64_t before = after.value[column], by, sum = -1;
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct larder_key key = row_key(r, n, pk, sk);
    is_refused = before == VALUE_UNFIT;
    after.value[column] = before && !is_refused ? before + 1 + (int64_t)rng_below(&r->rng, 9) : random_value(r, column);
    if (after.value[column] == 0 || after.value[column] == VALUE_UNFIT)
        after.value[column] = column == COL_GN || column == COL_VERSION ? 7 : r->now_s + 7;
    by = after.value[column] - before;
    if (column == COL_GN) /* as value_of() gives it */
        by = (before && !is_refused ? by : after.value[column] - 3) * 10;
    if (!before || column == r->m->ttl || column == COL_GN) /* it is put once more: GN is joined with others */
        is_refused |= is_unfit_row(r, &after);
    begin_change(r, n, &after);
    MUST(larder_increment(r->t, &key, col_names[column], by, &sum) == (is_refused ? LARDER_E_INVAL : LARDER_OK));
    MUST(sum == (is_refused ? -1 : column == COL_GN ? (after.value[column] - 3) * 10 : after.value[column]));
    end_change(r, !is_refused);
}

static void do_delete(struct run *r, int n) {
    const struct row before = r->m->row[n], after = {0};
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct larder_key key = row_key(r, n, pk, sk);
    int was_visible = is_visible(r, &before);
    struct larder_page *deleted = rng_is_one_in(&r->rng, 2) ? r->page : NULL;
    begin_change(r, n, &after);
    int result = larder_delete(r->t, &key, deleted);
    MUST(result == (was_visible ? LARDER_OK : LARDER_NOT_FOUND));
    if (deleted)
        must_hold(r, deleted, n, &before, was_visible);
    end_change(r, 1);
}

/* ---- Reads of one and of many ---------------------------------------------------------------- */

static void do_get(struct run *r, int n) {
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct larder_key key = row_key(r, n, pk, sk);
    int result = larder_get(r->t, &key, r->page);
    if (is_visible(r, &r->m->row[n]))
        MUST(result == LARDER_OK && is_row(r, larder_page_item(r->page, 0), n, &r->m->row[n]));
    else
        MUST(result == LARDER_NOT_FOUND);
}

static void do_get_many(struct run *r) {
    char pk[MANY_MAX][TEXT_MAX], sk[MANY_MAX][TEXT_MAX];
    struct larder_key keys[MANY_MAX];
    int rows[MANY_MAX];
    uint32_t count = (uint32_t)rng_below(&r->rng, MANY_MAX + 1);
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = (int)rng_below(&r->rng, ROWS); /* one may come twice */
        keys[i] = row_key(r, rows[i], pk[i], sk[i]);
    }
    MUST(larder_get_many(r->t, keys, count, r->page) == LARDER_OK && larder_page_count(r->page) == count);
    for (uint32_t i = 0; i < count; i++) {
        const struct row *row = &r->m->row[rows[i]];
        const struct larder_item *item = larder_page_item(r->page, i);
        MUST(is_visible(r, row) ? is_row(r, item, rows[i], row) : item == NULL);
    }
}

/* One segment of a parallel scan, in pages. Others' items are passed over. */
static void scan_segment(struct run *r, struct larder_scan_spec *spec, int seen[ROWS]) {
    int result;
    spec->start_key = NULL;
    do {
        result = larder_scan(r->t, spec, r->page);
        MUST(result == LARDER_OK || result == LARDER_MORE);
        MUST(!spec->limit || larder_page_count(r->page) <= spec->limit);
        for (uint32_t i = 0; i < larder_page_count(r->page); i++) {
            int n = row_number(r, larder_page_item(r->page, i));
            if (n < 0)
                continue;
            MUST(!seen[n] && is_visible(r, &r->m->row[n]));
            MUST(is_row(r, larder_page_item(r->page, i), n, &r->m->row[n]));
            seen[n] = 1;
        }
        spec->start_key = larder_page_resume(r->page);
        MUST((spec->start_key != NULL) == (result == LARDER_MORE));
    } while (result == LARDER_MORE);
}

static void do_scan(struct run *r) {
    struct larder_scan_spec spec = {.segment_count = (uint32_t)rng_below(&r->rng, 5)};
    int seen[ROWS] = {0};
    if (rng_is_one_in(&r->rng, 2))
        spec.limit = 1 + (uint32_t)rng_below(&r->rng, 6);
    if (rng_is_one_in(&r->rng, 4))
        spec.bytes_max = 1 + (uint32_t)rng_below(&r->rng, 4000);
    do
        scan_segment(r, &spec, seen);
    while (++spec.segment < spec.segment_count);
    for (int n = 0; n < ROWS; n++)
        MUST(seen[n] == is_visible(r, &r->m->row[n]));
}

/* ---- Tables, one process only ---------------------------------------------------------------- */

/* The second attributes of keys; borrowed by definitions. */
static struct larder_key_def more_keys[PLANS][2];

static struct larder_index_def index_def(const struct plan *plan) {
    struct larder_key_def *more = more_keys[plan - plans];
    struct larder_index_def def = {.name = plan->name, .is_local = plan->is_local, .partition = {"pk", LARDER_S}};
    if (plan->partition >= 0)
        def.partition = (struct larder_key_def){col_names[plan->partition], col_types[plan->partition]};
    if (plan->sort >= 0)
        def.sort = (struct larder_key_def){col_names[plan->sort], col_types[plan->sort]};
    if (!plan->more_partition)
        return def;
    more[0] = (struct larder_key_def){col_names[plan->more_partition - 1], col_types[plan->more_partition - 1]};
    more[1] = (struct larder_key_def){col_names[plan->more_sort - 1], col_types[plan->more_sort - 1]};
    def.partition_more = &more[0];
    def.sort_more = &more[1];
    def.partition_more_count = def.sort_more_count = 1;
    return def;
}

static void make_table(struct run *r) {
    struct larder_index_def indexes[PLANS_AT_FIRST];
    for (uint32_t i = 0; i < PLANS_AT_FIRST; i++)
        indexes[i] = index_def(&plans[i]);
    const struct larder_table_def def = {.name = TABLE,
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = indexes,
                                         .index_count = PLANS_AT_FIRST,
                                         .ttl_attribute = col_names[COL_EXP1]};
    MUST(larder_table_create(r->db, &def) == LARDER_OK);
    MUST(larder_table_create(r->db, &def) == LARDER_E_EXISTS);
    MUST(larder_table_open(r->db, TABLE, &r->t) == LARDER_OK);
    memset(r->m->row, 0, sizeof r->m->row);
    r->m->index_count = PLANS_AT_FIRST;
    r->m->ttl = COL_EXP1;
}

static void do_drop(struct run *r) {
    struct larder_table *gone = r->t;
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct larder_key key = row_key(r, 0, pk, sk);
    MUST(larder_table_drop(r->db, TABLE) == LARDER_OK);
    MUST(larder_table_drop(r->db, TABLE) == LARDER_E_NO_TABLE);
    MUST(larder_get(gone, &key, r->page) == LARDER_E_NO_TABLE);
    make_table(r);
    MUST(larder_get(r->t, &key, r->page) == LARDER_NOT_FOUND);
}

static void do_add_index(struct run *r) {
    if (r->m->index_count == PLANS)
        return;
    struct larder_index_def def = index_def(&plans[r->m->index_count]);
    MUST(larder_index_add(r->t, &def) == LARDER_OK);
    r->m->index_count++;
    MUST(larder_index_add(r->t, &def) == LARDER_E_EXISTS);
}

static void forget_expired(struct run *r) {
    for (int n = 0; n < ROWS; n++)
        if (is_expired(r, &r->m->row[n]))
            r->m->row[n] = (struct row){0};
}

static void do_set_ttl(struct run *r) {
    static const int columns[] = {COL_EXP1, COL_EXP2, -1};
    int column = columns[rng_below(&r->rng, 3)];
    /* Items that have expired by the old attribute would live again by the new one, if they have
     * not been removed yet. */
    MUST(larder_expire(r->db, 0, NULL) == LARDER_OK);
    forget_expired(r);
    MUST(larder_ttl_set(r->t, column >= 0 ? col_names[column] : NULL) == LARDER_OK);
    r->m->ttl = column;
}

static void do_describe(struct run *r) {
    const struct larder_table_def *def;
    MUST(larder_table_describe(r->t, &def) == LARDER_OK);
    MUST(strcmp(def->name, TABLE) == 0 && def->index_count == r->m->index_count);
    for (uint32_t i = 0; i < def->index_count; i++)
        MUST(strcmp(def->indexes[i].name, plans[i].name) == 0);
    MUST(r->m->ttl < 0 ? !def->ttl_attribute : strcmp(def->ttl_attribute, col_names[r->m->ttl]) == 0);
}

static void do_expire(struct run *r) {
    struct larder_table_stats stats;
    uint64_t there = 0;
    MUST(larder_expire(r->db, 0, NULL) == LARDER_OK);
    forget_expired(r);
    for (int n = 0; n < ROWS; n++)
        there += (uint64_t)r->m->row[n].is_there;
    MUST(larder_table_stats(r->t, &stats) == LARDER_OK && stats.item_count == there);
}

static void do_check(struct run *r) {
    struct larder_check_report report;
    MUST(larder_check(r->db, NULL, &report) == LARDER_OK);
    MUST(report.leaked_blocks == 0 && report.stale_entries == 0);
}

/* ---- One process ----------------------------------------------------------------------------- */

/* What one worker among others may do, too. */
static void item_call(struct run *r) {
    int n = (int)rng_below(&r->rng, ROWS);
    uint32_t what = (uint32_t)rng_below(&r->rng, 16);
    r->m->calls++;
    if (what < 3)
        do_put(r, n);
    else if (what < 4)
        do_put_if(r, n);
    else if (what < 6)
        do_delete(r, n);
    else if (what < 7)
        do_get(r, n);
    else if (what < 8)
        do_get_many(r);
    else if (what < 9)
        do_scan(r);
    else if (what < 10)
        do_increment(r, n);
    else if (what < 12)
        do_transact(r);
    else if (what < 13)
        do_transact_get(r);
    else
        do_query(r);
}

static void table_call(struct run *r) {
    static void (*const calls[])(struct run *) = {do_add_index, do_set_ttl,  do_expire,
                                                  do_check,     do_describe, do_query_of_none};
    uint32_t what = (uint32_t)rng_below(&r->rng, 10);
    if (what < sizeof calls / sizeof *calls)
        calls[what](r);
    else if (rng_is_one_in(&r->rng, 20))
        do_drop(r);
    else
        r->now_s += (int64_t)rng_below(&r->rng, 12);
}

static void attach(struct run *r, struct model *m, struct larder *db, uint64_t seed) {
    memset(r, 0, sizeof *r);
    r->m = m;
    r->db = db;
    r->now_s = START_S;
    rng_seed(&r->rng, seed);
    larder_set_clock(db, run_clock, r);
    MUST(larder_builder_new(db, &r->b) == LARDER_OK && larder_page_new(db, &r->page) == LARDER_OK);
    transact_prepare(r);
}

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

Test(model, one_process) {
    struct model *m = calloc(1, sizeof *m);
    struct run run, *r = &run;
    leaf_capacity = 4;
    attach(r, m, testseg_open(SEGMENT_BYTES, 2), rng_test_seed("model"));
    make_table(r);
    for (uint32_t i = 0; i < (is_long() ? 10000000u : 150000u / SLOW_FACTOR); i++) {
        item_call(r);
        if (rng_is_one_in(&r->rng, 60))
            table_call(r);
    }
    do_check(r);
    MUST(larder_table_drop(r->db, TABLE) == LARDER_OK);
    do_check(r);
    larder_close(r->db);
    free(m);
}

/* ---- Many processes -------------------------------------------------------------------------- */

#define WORKERS 3
#define BATCH 64 /* calls between two looks at whether the test is over */

struct crew {
    int memfd;
    uint64_t seed;
    _Atomic uint32_t is_over;
    struct model model[WORKERS];
};

struct hire {
    struct crew *crew;
    uint32_t number, life;
};

/* A predecessor died in the middle of a change: it happened, or it did not. Of several rows all
 * changed, or none. */
static void settle(struct run *r) {
    int count = atomic_load(&r->m->pending_count), before_count = 0, after_count = 0;
    char pk[TEXT_MAX], sk[TEXT_MAX];
    for (int i = 0; i < count; i++) {
        int n = r->m->pending[i];
        struct larder_key key = row_key(r, n, pk, sk);
        int result = larder_get(r->t, &key, r->page);
        PROC_CHECK(result >= 0);
        const struct larder_item *item = result == LARDER_OK ? larder_page_item(r->page, 0) : NULL;
        const struct row *before = &r->m->row[n], *after = &r->m->after[i];
        after_count += after->is_there ? is_row(r, item, n, after) : item == NULL;
        before_count += before->is_there ? is_row(r, item, n, before) : item == NULL;
    }
    PROC_CHECK(after_count == count || before_count == count);
    end_change(r, after_count == count);
}

static int work(void *arg) {
    const struct hire *hire = arg;
    struct crew *crew = hire->crew;
    struct run r;
    struct larder *db;
    struct larder_options o = {
        .flags = LARDER_MEMFD, .memfd = crew->memfd, .busy_timeout_ms = 10000u * SLOW_FACTOR * SLOW_PATIENCE};
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    attach(&r, &crew->model[hire->number], db, crew->seed + hire->number * 1000003u + hire->life);
    PROC_CHECK(larder_table_open(db, TABLE, &r.t) == LARDER_OK);
    settle(&r);
    for (int n = 0; n < ROWS; n++)
        do_get(&r, n);
    while (!atomic_load(&crew->is_over))
        for (int i = 0; i < BATCH; i++)
            item_call(&r);
    larder_close(db);
    return 0;
}

static void run_crew(struct crew *crew, struct rng *rng, unsigned kills) {
    pid_t pid[WORKERS];
    struct hire hire[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        hire[i] = (struct hire){crew, i, 0};
        pid[i] = proc_fork(work, &hire[i]);
    }
    for (unsigned k = 0; k < kills; k++) {
        uint32_t i = (uint32_t)rng_below(rng, WORKERS);
        struct timespec life = {.tv_nsec = (long)rng_below(rng, 25000000)};
        nanosleep(&life, NULL);
        struct proc_result r = proc_kill(pid[i]);
        cr_assert(proc_is_signal(r, SIGKILL), "a worker ended by itself: %s", proc_text(r));
        hire[i].life++;
        pid[i] = proc_fork(work, &hire[i]);
    }
    atomic_store(&crew->is_over, 1);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct proc_result r = proc_wait(pid[i], 20000);
        cr_assert(proc_is_exit(r, 0), "worker %u: %s", i, proc_text(r));
    }
}

Test(model, processes_that_are_killed) {
    struct crew *crew = mmap(NULL, sizeof *crew, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct model *m = calloc(1, sizeof *m);
    struct rng rng;
    struct run r;
    uint64_t calls = 0;
    leaf_capacity = 4;
    crew->seed = rng_test_seed("model processes");
    rng_seed(&rng, crew->seed);
    attach(&r, m, testseg_open(SEGMENT_BYTES, 2), crew->seed);
    make_table(&r);
    cr_assert_eq(larder_ttl_set(r.t, NULL), LARDER_OK); /* each worker has a clock of its own */
    crew->memfd = larder_memfd(r.db);
    for (uint32_t i = 0; i < WORKERS; i++) {
        crew->model[i] = (struct model){.owner = i + 1, .index_count = PLANS_AT_FIRST, .ttl = -1};
    }
    run_crew(crew, &rng, (is_long() ? 20000u : 400u) / SLOW_FACTOR);
    do_check(&r);
    for (uint32_t i = 0; i < WORKERS; i++)
        calls += crew->model[i].calls;
    fprintf(stderr, "model processes: %lu calls\n", (unsigned long)calls);
    cr_assert(calls > 1000);
    larder_close(r.db);
    munmap(crew, sizeof *crew);
    free(m);
}
