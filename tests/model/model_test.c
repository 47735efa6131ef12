/* tests/model/model_test.c - the whole API against a plain model, call by call.
 *
 * Goal     Whatever calls come in whatever order, each returns what a plain array of rows would give. And the same when several
 *          processes do so at once, each with keys of its own, and are killed now and then.
 * Method   Few keys, few values, many repetitions: two stripes, leaves of four entries. Rows are compared attribute by
 *          attribute. Items of equal sort key may come in any order, but the same one up, down and over pages.
 *          One process: tables come and go, indexes are added, the TTL attribute changes, the clock moves, larder_check() now and
 *          then. Many: a worker's rows, and the one it is about to change, lie in memory that outlives it; its successor finds
 *          out whether that change happened, and goes on. LARDER_SEED repeats a run; LARDER_TEST_LONG makes it minutes.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "index/leaf.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(model, .timeout = 3600); /* of the long run; a usual one is ended by the alarm of criterion_env.c */

#define SEGMENT_BYTES (16u << 20)
#define START_S INT64_C(1700000000)
#define PARTITIONS 3
#define SORTS 8
#define ROWS (PARTITIONS * SORTS)
#define TEXT_MAX 32
#define MANY_MAX 40u
#define PAYLOAD_MAX 5000u
#define TABLE "Model"

/* ---- Rows ------------------------------------------------------------------------------------------------------------ */

/* Attributes that a row may have beside its key. Values are small numbers; 0: it has none. */
enum { COL_G, COL_GS, COL_GN, COL_GB, COL_LS, COL_EXP1, COL_EXP2, COL_VERSION, COL_COUNT };
static const char *const col_names[COL_COUNT] = {"g", "gs", "gn", "gb", "ls", "exp1", "exp2", "version"};
static const enum larder_type col_types[COL_COUNT] = {LARDER_S, LARDER_S, LARDER_N, LARDER_B,
                                                      LARDER_S, LARDER_N, LARDER_N, LARDER_N};
#define NO_PAYLOAD UINT32_MAX
#define VALUE_UNFIT 99 /* of a type that no key and no expiry may have */

struct row {
    int is_there;
    uint32_t payload;
    int64_t value[COL_COUNT];
};

/* The indexes, in the order in which they come to be: the first two with the table. */
struct plan {
    const char *name;
    int partition, sort; /* columns; partition -1: the table's; sort -1: none */
    int is_local;
};
static const struct plan plans[] = {
    {"byText", COL_G, COL_GS, 0},  {"local", -1, COL_LS, 1},  {"byNumber", COL_G, COL_GN, 0},
    {"byBytes", COL_G, COL_GB, 0}, {"byGroup", COL_G, -1, 0},
};
#define PLANS (sizeof plans / sizeof *plans)
#define PLANS_AT_FIRST 2u

/* What outlives a worker. Partition keys begin with its number, so that nobody else's items are under them. */
struct model {
    uint32_t owner;
    uint32_t index_count;
    int ttl;             /* column, or -1 */
    _Atomic int pending; /* the row that is being changed, or -1 */
    struct row after;    /* what it will be */
    struct row row[ROWS];
    uint64_t calls;
};

struct run {
    struct model *m;
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    struct rng rng;
    int64_t now_s;
};

static void run_fails(const struct run *r, const char *what) {
    fprintf(stderr, "model %u, call %lu: %s does not hold (last failure: %s)\n", r->m->owner,
            (unsigned long)r->m->calls, what, larder_error());
    abort();
}
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            run_fails(r, #condition);                                                                                  \
    } while (0)

static int64_t run_clock(void *arg) {
    return ((struct run *)arg)->now_s;
}

static int row_partition(int n) {
    return n / SORTS;
}

static void partition_text(const struct run *r, int partition, char text[TEXT_MAX]) {
    snprintf(text, TEXT_MAX, "w%u-p%d", r->m->owner, partition);
}

/* Sort keys of which some are others' beginnings. */
static void sort_text(int n, char text[TEXT_MAX]) {
    static const char *const texts[SORTS] = {"a", "ab", "abc", "abd", "b", "b#1", "b#10", "b#2"};
    snprintf(text, TEXT_MAX, "%s", texts[n % SORTS]);
}

/* The value of a column as it is given, and in text as it is read. */
static struct larder_value value_of(const struct run *r, int column, int64_t value, char text[TEXT_MAX]) {
    if (column == COL_G)
        snprintf(text, TEXT_MAX, "w%u-g%d", r->m->owner, (int)value);
    else if (column == COL_GN)
        snprintf(text, TEXT_MAX, "%d", (int)(value - 3) * 10);
    else if (col_types[column] == LARDER_N)
        snprintf(text, TEXT_MAX, "%lld", (long long)value);
    else
        snprintf(text, TEXT_MAX, "%.*s", (int)value, "xxyxyy"); /* x, xx, xxy: beginnings of each other */
    if (col_types[column] == LARDER_N)
        return larder_num(text);
    return col_types[column] == LARDER_B ? larder_bin(text, strlen(text)) : larder_str(text);
}

static int is_expired(const struct run *r, const struct row *row) {
    int64_t at_s = r->m->ttl >= 0 ? row->value[r->m->ttl] : 0;
    return at_s && at_s != VALUE_UNFIT && at_s <= r->now_s;
}

static int is_visible(const struct run *r, const struct row *row) {
    return row->is_there && !is_expired(r, row);
}

/* *is_unfit: a put of it is refused, and an index that is added leaves it out. */
static int is_in_index(const struct row *row, const struct plan *plan, int *is_unfit) {
    int64_t partition = plan->partition >= 0 ? row->value[plan->partition] : 1;
    int64_t sort = plan->sort >= 0 ? row->value[plan->sort] : 1;
    *is_unfit = partition == VALUE_UNFIT || sort == VALUE_UNFIT;
    return partition && sort && !*is_unfit;
}

/* ---- Items ----------------------------------------------------------------------------------------------------------- */

static const struct larder_item *build(const struct run *r, int n, const struct row *row) {
    static const unsigned char payload[PAYLOAD_MAX] = {7};
    const struct larder_item *item;
    char pk[TEXT_MAX], sk[TEXT_MAX], text[TEXT_MAX];
    partition_text(r, row_partition(n), pk);
    sort_text(n, sk);
    larder_builder_reset(r->b);
    larder_builder_add_s(r->b, "pk", pk);
    larder_builder_add_s(r->b, "sk", sk);
    for (int c = 0; c < COL_COUNT; c++) {
        if (row->value[c] == VALUE_UNFIT)
            larder_builder_add_bool(r->b, col_names[c], 1);
        else if (row->value[c]) {
            struct larder_value v = value_of(r, c, row->value[c], text);
            larder_builder_add(r->b, col_names[c], &v);
        }
    }
    if (row->payload != NO_PAYLOAD)
        larder_builder_add_b(r->b, "payload", payload, row->payload);
    MUST(larder_builder_finish(r->b, &item) == LARDER_OK);
    return item;
}

static int has_value(const struct larder_item *item, const char *name, const struct larder_value *expected) {
    char number[LARDER_NUMBER_TEXT_MAX];
    struct larder_value v;
    if (larder_item_get(item, name, &v) || v.type != expected->type)
        return 0;
    if (v.type == LARDER_BOOL)
        return v.is_true;
    if (v.type == LARDER_N)
        return larder_value_number(&v, number) == LARDER_OK && strcmp(number, expected->data) == 0;
    return v.bytes == expected->bytes && memcmp(v.data, expected->data, v.bytes) == 0;
}

static int has_text(const struct larder_item *item, const char *name, const char *text) {
    struct larder_value expected = larder_str(text);
    return has_value(item, name, &expected);
}

/* The item is this row, and has nothing else. */
static int is_row(const struct run *r, const struct larder_item *item, int n, const struct row *row) {
    const struct larder_value unfit = {.type = LARDER_BOOL};
    char pk[TEXT_MAX], sk[TEXT_MAX], text[TEXT_MAX];
    struct larder_value v;
    uint32_t count = row->payload == NO_PAYLOAD ? 2 : 3;
    partition_text(r, row_partition(n), pk);
    sort_text(n, sk);
    if (!item || !has_text(item, "pk", pk) || !has_text(item, "sk", sk))
        return 0;
    if (row->payload != NO_PAYLOAD && (larder_item_get(item, "payload", &v) || v.bytes != row->payload))
        return 0;
    for (int c = 0; c < COL_COUNT; c++) {
        if (!row->value[c])
            continue;
        v = row->value[c] == VALUE_UNFIT ? unfit : value_of(r, c, row->value[c], text);
        if (!has_value(item, col_names[c], &v))
            return 0;
        count++;
    }
    return larder_item_count(item) == count;
}

/* Which row of ours an item is, or -1: another worker's. */
static int row_number(const struct run *r, const struct larder_item *item) {
    char pk[TEXT_MAX], sk[TEXT_MAX];
    for (int n = 0; n < ROWS; n++) {
        partition_text(r, row_partition(n), pk);
        sort_text(n, sk);
        if (has_text(item, "pk", pk) && has_text(item, "sk", sk))
            return n;
    }
    return -1;
}

static struct larder_key row_key(const struct run *r, int n, char pk[TEXT_MAX], char sk[TEXT_MAX]) {
    partition_text(r, row_partition(n), pk);
    sort_text(n, sk);
    return (struct larder_key){larder_str(pk), larder_str(sk)};
}

/* ---- Writes ---------------------------------------------------------------------------------------------------------- */

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

static struct row random_row(struct run *r) {
    struct row row = {.is_there = 1};
    row.payload = (uint32_t)rng_below(&r->rng, rng_is_one_in(&r->rng, 8) ? PAYLOAD_MAX : 60);
    for (int c = 0; c < COL_VERSION; c++)
        row.value[c] = random_value(r, c);
    row.value[COL_VERSION] = 1000 + (int64_t)rng_below(&r->rng, 1000000);
    return row;
}

static void begin_change(struct run *r, int n, const struct row *after) {
    r->m->after = *after;
    atomic_store(&r->m->pending, n);
}

/* Dead in the middle of it: the row in the table is r->m->after still, which is what a successor looks for. */
static void end_change(struct run *r, int is_done) {
    if (is_done)
        r->m->row[atomic_load(&r->m->pending)] = r->m->after;
    atomic_store(&r->m->pending, -1);
}

/* A page that was given to receive the item that was there. */
static void must_hold(const struct run *r, const struct larder_page *page, int n, const struct row *before,
                      int was_visible) {
    MUST(larder_page_count(page) == (uint32_t)was_visible);
    MUST(!was_visible || is_row(r, larder_page_item(page, 0), n, before));
}

static void do_put(struct run *r, int n) {
    struct row before = r->m->row[n], after = random_row(r);
    int is_refused = 0, is_unfit, was_visible = is_visible(r, &before);
    for (uint32_t i = 0; i < r->m->index_count; i++) {
        (void)is_in_index(&after, &plans[i], &is_unfit);
        is_refused |= is_unfit;
    }
    const struct larder_item *item = build(r, n, &after);
    struct larder_page *replaced = rng_is_one_in(&r->rng, 2) ? r->page : NULL;
    begin_change(r, n, &after);
    int result = larder_put(r->t, item, replaced);
    MUST(result == (is_refused ? LARDER_E_INVAL : LARDER_OK));
    if (replaced && !is_refused)
        must_hold(r, replaced, n, &before, was_visible);
    end_change(r, !is_refused);
}

/* Compares with what was just read, or with a copy that a put of the same made old, or expects nothing. */
static void do_put_if(struct run *r, int n) {
    struct row before = r->m->row[n], after = random_row(r);
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct larder_key key = row_key(r, n, pk, sk);
    int is_unfit, is_late, was_visible = is_visible(r, &before), wanted = LARDER_OK;
    MUST(larder_get(r->t, &key, r->page) == (was_visible ? LARDER_OK : LARDER_NOT_FOUND));
    const struct larder_item *expected = larder_page_item(r->page, 0);
    is_late = was_visible && rng_is_one_in(&r->rng, 3);
    if (is_late && rng_is_one_in(&r->rng, 2))
        expected = NULL;
    else if (is_late) { /* the same item in another version, unless an index came to be that does not take it */
        int result = larder_put(r->t, expected, NULL);
        MUST(result == LARDER_OK || result == LARDER_E_INVAL);
        is_late = result == LARDER_OK;
    }
    if (is_late)
        wanted = LARDER_CHANGED;
    for (uint32_t i = 0; i < r->m->index_count; i++) {
        (void)is_in_index(&after, &plans[i], &is_unfit);
        if (is_unfit)
            wanted = LARDER_E_INVAL;
    }
    const struct larder_item *item = build(r, n, &after);
    struct larder_page *found = rng_is_one_in(&r->rng, 2) ? r->page : NULL;
    begin_change(r, n, &after);
    MUST(larder_put_if(r->t, item, expected, found) == wanted);
    if (found && wanted >= 0)
        must_hold(r, found, n, &before, was_visible);
    end_change(r, wanted == LARDER_OK);
}

/* Of a number that is there, or is not, or an item that is not; maybe a sort key of an index, or an expiry. */
static void do_increment(struct run *r, int n) {
    static const int columns[] = {COL_GN, COL_EXP1, COL_EXP2, COL_VERSION};
    int column = columns[rng_below(&r->rng, 4)], is_unfit, is_refused, was_visible = is_visible(r, &r->m->row[n]);
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
    for (uint32_t i = 0; (!before || column == r->m->ttl) && i < r->m->index_count; i++) { /* it is put once more */
        (void)is_in_index(&after, &plans[i], &is_unfit);
        is_refused |= is_unfit;
    }
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

/* ---- Reads of one and of many ---------------------------------------------------------------------------------------- */

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

/* ---- Queries --------------------------------------------------------------------------------------------------------- */

struct query {
    struct larder_query_spec spec;
    const struct plan *plan; /* NULL: the table */
    char partition[TEXT_MAX], value[TEXT_MAX], value2[TEXT_MAX];
    int64_t wanted_partition;
};

static void sort_of(const struct run *r, const struct query *q, int n, char text[TEXT_MAX]) {
    text[0] = 0;
    if (!q->plan)
        sort_text(n, text);
    else if (q->plan->sort >= 0)
        (void)value_of(r, q->plan->sort, r->m->row[n].value[q->plan->sort], text);
}

static int compare_sorts(const struct query *q, const char *a, const char *b) {
    if (q->plan && q->plan->sort == COL_GN) {
        long x = strtol(a, NULL, 10), y = strtol(b, NULL, 10);
        return (x > y) - (x < y);
    }
    return strcmp(a, b);
}

static int is_in_range(const struct query *q, const char *sort) {
    int low = compare_sorts(q, sort, q->value);
    switch (q->spec.sort_op) {
    case LARDER_SORT_EQ:
        return low == 0;
    case LARDER_SORT_LT:
        return low < 0;
    case LARDER_SORT_LE:
        return low <= 0;
    case LARDER_SORT_GT:
        return low > 0;
    case LARDER_SORT_GE:
        return low >= 0;
    case LARDER_SORT_BETWEEN:
        return low >= 0 && compare_sorts(q, sort, q->value2) <= 0;
    case LARDER_SORT_BEGINS_WITH:
        return strncmp(sort, q->value, strlen(q->value)) == 0;
    default:
        return 1;
    }
}

static int is_wanted(const struct run *r, const struct query *q, int n) {
    const struct row *row = &r->m->row[n];
    char sort[TEXT_MAX];
    int is_unfit;
    if (!is_visible(r, row) || (q->plan && !is_in_index(row, q->plan, &is_unfit)))
        return 0;
    if ((q->plan && q->plan->partition >= 0 ? row->value[q->plan->partition] : row_partition(n)) != q->wanted_partition)
        return 0;
    sort_of(r, q, n, sort);
    return is_in_range(q, sort);
}

/* A sort value of the right kind; not necessarily one that there is. */
static struct larder_value random_sort(struct run *r, const struct query *q, char text[TEXT_MAX]) {
    if (q->plan)
        return value_of(r, q->plan->sort, 1 + (int64_t)rng_below(&r->rng, 6), text);
    sort_text((int)rng_below(&r->rng, SORTS), text);
    return larder_str(text);
}

static void random_range(struct run *r, struct query *q) {
    enum larder_sort_op op = (enum larder_sort_op)rng_below(&r->rng, LARDER_SORT_BEGINS_WITH + 1);
    int is_number = q->plan && q->plan->sort == COL_GN;
    if ((q->plan && q->plan->sort < 0) || op == LARDER_SORT_ANY || (is_number && op == LARDER_SORT_BEGINS_WITH))
        return;
    q->spec.sort_op = op;
    q->spec.sort_value = random_sort(r, q, q->value);
    if (op != LARDER_SORT_BETWEEN)
        return;
    q->spec.sort_value2 = random_sort(r, q, q->value2);
    if (compare_sorts(q, q->value, q->value2) > 0)
        q->spec.sort_op = LARDER_SORT_GE;
}

static void random_query(struct run *r, struct query *q) {
    uint32_t which = (uint32_t)rng_below(&r->rng, r->m->index_count + 1);
    memset(q, 0, sizeof *q);
    q->plan = which ? &plans[which - 1] : NULL;
    q->spec.index = q->plan ? q->plan->name : NULL;
    if (q->plan && q->plan->partition >= 0) {
        q->wanted_partition = 1 + (int64_t)rng_below(&r->rng, 2);
        q->spec.partition = value_of(r, q->plan->partition, q->wanted_partition, q->partition);
    } else {
        q->wanted_partition = (int64_t)rng_below(&r->rng, PARTITIONS);
        partition_text(r, (int)q->wanted_partition, q->partition);
        q->spec.partition = larder_str(q->partition);
    }
    random_range(r, q);
}

/* Reads the whole range in pages; the rows, in order. */
static int read_range(const struct run *r, struct query *q, int rows[ROWS]) {
    int count = 0, result;
    q->spec.start_key = NULL;
    do {
        result = larder_query(r->t, &q->spec, r->page);
        MUST(result == LARDER_OK || result == LARDER_MORE);
        MUST(!q->spec.limit || larder_page_count(r->page) <= q->spec.limit);
        for (uint32_t i = 0; i < larder_page_count(r->page); i++) {
            int n = row_number(r, larder_page_item(r->page, i));
            MUST(n >= 0 && count < ROWS && is_row(r, larder_page_item(r->page, i), n, &r->m->row[n]));
            rows[count++] = n;
        }
        q->spec.start_key = larder_page_resume(r->page);
        MUST((q->spec.start_key != NULL) == (result == LARDER_MORE));
    } while (result == LARDER_MORE);
    return count;
}

static void must_be_wanted(const struct run *r, const struct query *q, const int *rows, int count) {
    char sort[2][TEXT_MAX];
    int seen[ROWS] = {0};
    for (int i = 0; i < count; i++) {
        MUST(is_wanted(r, q, rows[i]) && !seen[rows[i]]);
        seen[rows[i]] = 1;
        sort_of(r, q, rows[i], sort[i % 2]);
        int order = i > 0 ? compare_sorts(q, sort[(i + 1) % 2], sort[i % 2]) : 0;
        MUST(q->spec.is_descending ? order >= 0 : order <= 0);
    }
    for (int n = 0; n < ROWS; n++)
        MUST(seen[n] == is_wanted(r, q, n));
}

static void do_query(struct run *r) {
    struct query q;
    int up[ROWS], down[ROWS];
    random_query(r, &q);
    if (rng_is_one_in(&r->rng, 2))
        q.spec.limit = 1 + (uint32_t)rng_below(&r->rng, 5);
    if (rng_is_one_in(&r->rng, 4))
        q.spec.bytes_max = 1 + (uint32_t)rng_below(&r->rng, 3000);
    int count = read_range(r, &q, up);
    must_be_wanted(r, &q, up, count);
    q.spec.is_descending = 1;
    q.spec.limit = (uint32_t)rng_below(&r->rng, 4);
    MUST(read_range(r, &q, down) == count);
    must_be_wanted(r, &q, down, count);
    for (int i = 0; i < count; i++) /* equal sort keys, too */
        MUST(up[i] == down[count - 1 - i]);
}

static void do_query_of_none(struct run *r) {
    struct larder_query_spec spec = {.index = "no-such-index", .partition = larder_str("x")};
    MUST(larder_query(r->t, &spec, r->page) == LARDER_E_NO_INDEX);
    if (r->m->index_count < PLANS) {
        spec.index = plans[r->m->index_count].name; /* not yet */
        MUST(larder_query(r->t, &spec, r->page) == LARDER_E_NO_INDEX);
    }
}

/* ---- Tables, one process only ---------------------------------------------------------------------------------------- */

static struct larder_index_def index_def(const struct plan *plan) {
    struct larder_index_def def = {.name = plan->name, .is_local = plan->is_local, .partition = {"pk", LARDER_S}};
    if (plan->partition >= 0)
        def.partition = (struct larder_key_def){col_names[plan->partition], col_types[plan->partition]};
    if (plan->sort >= 0)
        def.sort = (struct larder_key_def){col_names[plan->sort], col_types[plan->sort]};
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
    /* What has expired by the old attribute would live again by the new one, if it has not been removed yet. */
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

/* ---- One process ----------------------------------------------------------------------------------------------------- */

/* What one worker among others may do, too. */
static void item_call(struct run *r) {
    int n = (int)rng_below(&r->rng, ROWS);
    uint32_t what = (uint32_t)rng_below(&r->rng, 13);
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
}

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

Test(model, one_process) {
    struct model *m = calloc(1, sizeof *m);
    struct run run, *r = &run;
    leaf_capacity = 4;
    atomic_store(&m->pending, -1);
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

/* ---- Many processes -------------------------------------------------------------------------------------------------- */

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

/* A predecessor died in the middle of a change: it happened, or it did not. */
static void settle(struct run *r) {
    int n = atomic_load(&r->m->pending);
    char pk[TEXT_MAX], sk[TEXT_MAX];
    if (n < 0)
        return;
    struct larder_key key = row_key(r, n, pk, sk);
    int result = larder_get(r->t, &key, r->page);
    PROC_CHECK(result >= 0);
    const struct larder_item *item = result == LARDER_OK ? larder_page_item(r->page, 0) : NULL;
    const struct row *before = &r->m->row[n], *after = &r->m->after;
    int is_after = after->is_there ? is_row(r, item, n, after) : item == NULL;
    PROC_CHECK(is_after || (before->is_there ? is_row(r, item, n, before) : item == NULL));
    end_change(r, is_after);
}

static int work(void *arg) {
    const struct hire *hire = arg;
    struct crew *crew = hire->crew;
    struct run r;
    struct larder *db;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = crew->memfd, .busy_timeout_ms = 10000u * SLOW_FACTOR};
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
        atomic_store(&crew->model[i].pending, -1);
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
