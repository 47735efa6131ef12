/* tests/api/query_join_test.c - indexes whose keys have several attributes.
 *
 * Goal     A query gives what a naive sort of the rows by each attribute in turn gives, whatever
 *          part of the key it names, in pages of any size, in both directions, through a key
 *          condition and through larder_query_spec. Items that lack an attribute are not in the
 *          index. Overwrites, updates of one attribute, deletes and an index that is added later
 *          keep that true, for items with a directory, too.
 * Method   Rows of few values, chosen to collide: zero bytes, ones, beginnings of each other. After
 *          each round of changes many random queries, then larder_check().
 * Source   Developer guide, "Multi-attribute keys pattern": all partition key attributes by
 *          equality; sort key attributes from left to right without a gap, the last one by a range;
 *          an item without one of them is not in the index; each attribute has its own type.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(query_join, .timeout = 110 * SLOW_FACTOR);

#define ROWS 120
#define COLUMNS 5
#define VALUES 8
#define MISSING (-1)

/* Columns: two for partition keys, three for sort keys. Values in their order. */
static const struct column {
    const char *name;
    enum larder_type type;
    struct {
        const char *bytes;
        size_t count;
    } value[VALUES];
} columns[COLUMNS] = {
    {"a", LARDER_S, {{"x", 1}, {"x\0", 2}, {"x\1", 2}, {"xy", 2}, {"y", 1}, {"y\0y", 3}, {"z", 1}, {"zz", 2}}},
    {"b", LARDER_N, {{"-3", 2}, {"-1", 2}, {"0", 1}, {"1", 1}, {"1.01", 4}, {"10", 2}, {"100", 3}, {"1e20", 4}}},
    {"r", LARDER_S, {{"\0", 1}, {"\0\1", 2}, {"\1", 1}, {"a", 1}, {"a\0", 2}, {"a\0b", 3}, {"a\1", 2}, {"ab", 2}}},
    {"s", LARDER_N, {{"-100", 4}, {"-1.5", 4}, {"-1", 2}, {"0", 1}, {"0.5", 3}, {"1", 1}, {"101", 3}, {"1000", 4}}},
    {"t",
     LARDER_B,
     {{"\0", 1}, {"\0\0", 2}, {"\1", 1}, {"q", 1}, {"\xfe", 1}, {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2}}},
};

/* Indexes by columns. */
static const struct plan {
    const char *name;
    int partition[4], partition_count, sort[4], sort_count;
} plans[] = {
    {"abrst", {0, 1}, 2, {2, 3, 4}, 3}, {"atrb", {0}, 1, {4, 2, 1}, 3}, {"all", {3, 2, 1, 0}, 4, {4}, 1},
    {"hash", {0, 1}, 2, {0}, 0},        {"plain", {0}, 1, {2}, 1},      {"later", {1, 0}, 2, {3, 4, 2}, 3},
};
#define PLANS (sizeof plans / sizeof *plans)

struct row {
    int is_there, value[COLUMNS], fillers;
};

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b, *values;
    struct larder_page *page;
    struct rng rng;
    struct row row[ROWS];
};

/* ---- Rows ------------------------------------------------------------------------------------ */

static struct larder_value value_of(int column, int value) {
    const struct column *c = &columns[column];
    return (struct larder_value){.type = c->type, .data = c->value[value].bytes, .bytes = c->value[value].count};
}

static void put(struct fixture *f, int number) {
    const struct row *row = &f->row[number];
    const struct larder_item *item;
    char name[32];
    larder_builder_reset(f->b);
    EXPECT(larder_builder_add_int(f->b, "id", number), LARDER_OK);
    for (int c = 0; c < COLUMNS; c++)
        if (row->value[c] != MISSING) {
            struct larder_value value = value_of(c, row->value[c]);
            EXPECT(larder_builder_add(f->b, columns[c].name, &value), LARDER_OK);
        }
    for (int i = 0; i < row->fillers; i++) {
        snprintf(name, sizeof name, "filler%02d", i);
        EXPECT(larder_builder_add_int(f->b, name, i), LARDER_OK);
    }
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

/* SET of one attribute: to another value, or to the same. */
static void update(struct fixture *f, int number, int column) {
    struct larder_expr *expr;
    char text[40], id[16];
    struct larder_value value = value_of(column, f->row[number].value[column]);
    snprintf(text, sizeof text, "SET %s = :v", columns[column].name);
    EXPECT(larder_prepare(f->db, LARDER_EXPR_UPDATE, text, NULL, 0, &expr), LARDER_OK);
    larder_builder_reset(f->values);
    snprintf(id, sizeof id, "%d", number);
    struct larder_action action = {
        .kind = LARDER_ACTION_UPDATE, .table = f->t, .update = expr, .key = {.partition = larder_num(id)}};
    EXPECT(larder_builder_add(f->values, ":v", &value), LARDER_OK);
    EXPECT(larder_builder_finish(f->values, &action.values), LARDER_OK);
    EXPECT(larder_write(&action, NULL), LARDER_OK);
    larder_expr_free(expr);
}

static void change(struct fixture *f) {
    int number = (int)rng_below(&f->rng, ROWS), column = (int)rng_below(&f->rng, COLUMNS);
    struct row *row = &f->row[number];
    if (row->is_there && rng_is_one_in(&f->rng, 4)) {
        char id[16];
        snprintf(id, sizeof id, "%d", number);
        EXPECT(larder_delete(f->t, &(struct larder_key){.partition = larder_num(id)}, NULL), LARDER_OK);
        row->is_there = 0;
    } else if (row->is_there && row->value[column] != MISSING && rng_is_one_in(&f->rng, 2)) {
        row->value[column] = (int)rng_below(&f->rng, VALUES);
        update(f, number, column);
    } else {
        row->is_there = 1;
        row->fillers = rng_is_one_in(&f->rng, 3) ? 30 : (int)rng_below(&f->rng, 3);
        for (int c = 0; c < COLUMNS; c++)
            row->value[c] = rng_is_one_in(&f->rng, 12) ? MISSING : (int)rng_below(&f->rng, c < 2 ? 2 : VALUES);
        put(f, number);
    }
}

static int is_in(const struct row *row, const struct plan *plan) {
    int is_whole = row->is_there;
    for (int i = 0; i < plan->partition_count; i++)
        is_whole &= row->value[plan->partition[i]] != MISSING;
    for (int i = 0; i < plan->sort_count; i++)
        is_whole &= row->value[plan->sort[i]] != MISSING;
    return is_whole;
}

/* ---- Queries --------------------------------------------------------------------------------- */

struct ask {
    const struct plan *plan;
    int partition[4], before[4], before_count, low, high;
    enum larder_sort_op op;
};

static int begins_with(int column, int value, int start) {
    struct larder_value is = value_of(column, value), with = value_of(column, start);
    return is.bytes >= with.bytes && memcmp(is.data, with.data, with.bytes) == 0;
}

/* Values are in order, so their numbers compare as they do. */
static int is_asked(const struct row *row, const struct ask *q) {
    if (!is_in(row, q->plan))
        return 0;
    for (int i = 0; i < q->plan->partition_count; i++)
        if (row->value[q->plan->partition[i]] != q->partition[i])
            return 0;
    for (int i = 0; i < q->before_count; i++)
        if (row->value[q->plan->sort[i]] != q->before[i])
            return 0;
    int column = q->plan->sort[q->before_count], is = row->value[column];
    switch (q->op) {
    case LARDER_SORT_EQ:
        return is == q->low;
    case LARDER_SORT_LT:
        return is < q->low;
    case LARDER_SORT_LE:
        return is <= q->low;
    case LARDER_SORT_GT:
        return is > q->low;
    case LARDER_SORT_GE:
        return is >= q->low;
    case LARDER_SORT_BETWEEN:
        return is >= q->low && is <= q->high;
    case LARDER_SORT_BEGINS_WITH:
        return begins_with(column, is, q->low);
    default:
        return 1;
    }
}

static int compare_rows(const struct row *a, const struct row *b, const struct plan *plan) {
    for (int i = 0; i < plan->sort_count; i++)
        if (a->value[plan->sort[i]] != b->value[plan->sort[i]])
            return a->value[plan->sort[i]] < b->value[plan->sort[i]] ? -1 : 1;
    return 0;
}

static void draw(struct fixture *f, struct ask *q) {
    memset(q, 0, sizeof *q);
    q->plan = &plans[rng_below(&f->rng, PLANS)];
    const struct row *like = &f->row[rng_below(&f->rng, ROWS)]; /* so that most queries find something */
    for (int i = 0; i < q->plan->partition_count; i++) {
        int value = like->value[q->plan->partition[i]];
        q->partition[i] = value == MISSING ? 0 : value;
    }
    if (!q->plan->sort_count)
        return;
    q->before_count = (int)rng_below(&f->rng, (uint64_t)q->plan->sort_count);
    for (int i = 0; i < q->before_count; i++) {
        int value = like->value[q->plan->sort[i]];
        q->before[i] = value == MISSING ? 0 : value;
    }
    int column = q->plan->sort[q->before_count];
    q->low = (int)rng_below(&f->rng, VALUES);
    q->high = q->low + (int)rng_below(&f->rng, (uint64_t)(VALUES - q->low));
    do
        q->op = (enum larder_sort_op)rng_below(&f->rng, LARDER_SORT_BEGINS_WITH + 1);
    while ((q->op == LARDER_SORT_BEGINS_WITH && columns[column].type == LARDER_N));
}

/* The clauses of the key condition, from the last to the first: their order means nothing. */
static struct larder_expr *condition(struct fixture *f, const struct ask *q, const struct larder_item **values) {
    static const char *const forms[] = {
        [LARDER_SORT_EQ] = "%s = :l AND ",
        [LARDER_SORT_LT] = "%s < :l AND ",
        [LARDER_SORT_LE] = "%s <= :l AND ",
        [LARDER_SORT_GT] = "%s > :l AND ",
        [LARDER_SORT_GE] = "%s >= :l AND ",
        [LARDER_SORT_BETWEEN] = "%s BETWEEN :l AND :h AND ",
        [LARDER_SORT_BEGINS_WITH] = "begins_with(%s, :l) AND ",
    };
    char text[400] = "", name[8];
    struct larder_expr *expr;
    size_t used = 0;
    larder_builder_reset(f->values);
    if (q->op != LARDER_SORT_ANY) {
        int column = q->plan->sort[q->before_count];
        struct larder_value low = value_of(column, q->low), high = value_of(column, q->high);
        used += (size_t)snprintf(text, sizeof text, forms[q->op], columns[column].name);
        EXPECT(larder_builder_add(f->values, ":l", &low), LARDER_OK);
        if (q->op == LARDER_SORT_BETWEEN)
            EXPECT(larder_builder_add(f->values, ":h", &high), LARDER_OK);
    }
    int count = q->before_count + q->plan->partition_count;
    for (int i = count - 1; i >= 0; i--) {
        int k = i - q->plan->partition_count;
        int column = k < 0 ? q->plan->partition[i] : q->plan->sort[k];
        struct larder_value value = value_of(column, k < 0 ? q->partition[i] : q->before[k]);
        snprintf(name, sizeof name, ":v%d", i);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s = %s%s", columns[column].name, name,
                                 i ? " AND " : "");
        EXPECT(larder_builder_add(f->values, name, &value), LARDER_OK);
    }
    EXPECT(larder_builder_finish(f->values, values), LARDER_OK);
    EXPECT(larder_prepare(f->db, LARDER_EXPR_KEY_CONDITION, text, NULL, 0, &expr), LARDER_OK);
    return expr;
}

static int id_of(const struct larder_item *item) {
    struct larder_value value;
    int64_t id;
    EXPECT(larder_item_get(item, "id", &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &id), LARDER_OK);
    return (int)id;
}

/* Whether the item has the row's attributes, as far as the index keeps them. */
static void expect_row(const struct fixture *f, const struct larder_item *item, int is_keys_only) {
    const struct row *row = &f->row[id_of(item)];
    cr_assert_eq(larder_item_count(item),
                 0u + (is_keys_only
                           ? 6
                           : 1 + row->fillers + (row->value[0] != MISSING) + (row->value[1] != MISSING) +
                                 (row->value[2] != MISSING) + (row->value[3] != MISSING) + (row->value[4] != MISSING)));
}

/* All pages of a query; what is asked for, in order, each once. */
static void expect_rows(struct fixture *f, const struct ask *q, struct larder_query_spec *spec) {
    int seen[ROWS] = {0}, last = -1, result, expected = 0, found = 0;
    spec->is_descending = (int)rng_below(&f->rng, 2);
    spec->limit = rng_is_one_in(&f->rng, 2) ? (uint32_t)rng_below(&f->rng, 4) : 0;
    spec->index = q->plan->name;
    spec->start_key = NULL;
    do {
        result = larder_query(f->t, spec, f->page);
        cr_assert(result == LARDER_OK || result == LARDER_MORE, "%s", larder_error());
        for (uint32_t i = 0; i < larder_page_count(f->page); i++) {
            const struct larder_item *item = larder_page_item(f->page, i);
            int id = id_of(item);
            cr_assert(is_asked(&f->row[id], q), "row %d of index %s was not asked for", id, q->plan->name);
            cr_assert_eq(seen[id]++, 0, "row %d comes twice", id);
            expect_row(f, item, strcmp(q->plan->name, "abrst") == 0);
            int order = last < 0 ? 0 : compare_rows(&f->row[last], &f->row[id], q->plan);
            cr_assert(spec->is_descending ? order >= 0 : order <= 0, "rows %d and %d are out of order", last, id);
            last = id;
            found++;
        }
        spec->start_key = larder_page_resume(f->page);
    } while (result == LARDER_MORE);
    for (int i = 0; i < ROWS; i++)
        expected += is_asked(&f->row[i], q);
    cr_assert_eq(found, expected, "index %s, %d attributes, op %d: %d rows of %d", q->plan->name, q->before_count,
                 (int)q->op, found, expected);
}

static void ask_both_ways(struct fixture *f) {
    struct ask q;
    struct larder_value more[4], before[4];
    draw(f, &q);
    for (int i = 1; i < q.plan->partition_count; i++)
        more[i - 1] = value_of(q.plan->partition[i], q.partition[i]);
    for (int i = 0; i < q.before_count; i++)
        before[i] = value_of(q.plan->sort[i], q.before[i]);
    int column = q.plan->sort[q.before_count];
    const struct larder_query_key key = {.partition_more = more,
                                         .partition_more_count = (uint32_t)q.plan->partition_count - 1,
                                         .sort_before = before,
                                         .sort_before_count = (uint32_t)q.before_count};
    struct larder_query_spec spec = {.partition = value_of(q.plan->partition[0], q.partition[0]),
                                     .sort_op = q.op,
                                     .sort_value = value_of(column, q.low),
                                     .sort_value2 = value_of(column, q.high),
                                     .more = &key};
    if (q.plan->sort_count || q.op == LARDER_SORT_ANY)
        expect_rows(f, &q, &spec);
    if (q.op == LARDER_SORT_ANY && q.before_count) /* a condition ends with the last that it names */
        q.op = LARDER_SORT_EQ, q.before_count--, q.low = q.before[q.before_count];
    spec = (struct larder_query_spec){.limit = 0};
    struct larder_expr *expr = condition(f, &q, &spec.values);
    spec.key_condition = expr;
    expect_rows(f, &q, &spec);
    larder_expr_free(expr);
}

static void scan_all(struct fixture *f) {
    for (size_t p = 0; p < PLANS; p++) {
        struct larder_scan_spec spec = {.index = plans[p].name, .limit = 7};
        int seen = 0, expected = 0, result;
        do {
            result = larder_scan(f->t, &spec, f->page);
            cr_assert(result == LARDER_OK || result == LARDER_MORE, "%s", larder_error());
            seen += (int)larder_page_count(f->page);
            spec.start_key = larder_page_resume(f->page);
        } while (result == LARDER_MORE);
        for (int i = 0; i < ROWS; i++)
            expected += is_in(&f->row[i], &plans[p]);
        cr_assert_eq(seen, expected, "index %s", plans[p].name);
    }
}

/* ---- The table ------------------------------------------------------------------------------- */

static struct larder_index_def index_of(const struct plan *plan, struct larder_key_def *more) {
    struct larder_index_def def = {.name = plan->name};
    struct larder_key_def *sort_more = more + 3;
    def.partition = (struct larder_key_def){columns[plan->partition[0]].name, columns[plan->partition[0]].type};
    for (int i = 1; i < plan->partition_count; i++)
        more[i - 1] = (struct larder_key_def){columns[plan->partition[i]].name, columns[plan->partition[i]].type};
    if (plan->sort_count)
        def.sort = (struct larder_key_def){columns[plan->sort[0]].name, columns[plan->sort[0]].type};
    for (int i = 1; i < plan->sort_count; i++)
        sort_more[i - 1] = (struct larder_key_def){columns[plan->sort[i]].name, columns[plan->sort[i]].type};
    def.partition_more = more;
    def.partition_more_count = (uint32_t)plan->partition_count - 1;
    def.sort_more = sort_more;
    def.sort_more_count = plan->sort_count > 1 ? (uint32_t)plan->sort_count - 1 : 0;
    def.projection = strcmp(plan->name, "abrst") == 0 ? LARDER_PROJECT_KEYS_ONLY : LARDER_PROJECT_ALL;
    return def;
}

static struct fixture *begin(uint32_t index_count, const char *what) {
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct larder_index_def indexes[PLANS];
    struct larder_key_def more[PLANS][6];
    memset(f, 0, sizeof *f);
    rng_seed(&f->rng, rng_test_seed(what));
    f->db = testseg_open(16u << 20, 4);
    for (uint32_t i = 0; i < index_count; i++)
        indexes[i] = index_of(&plans[i], more[i]);
    const struct larder_table_def def = {
        .name = "table", .partition = {"id", LARDER_N}, .indexes = indexes, .index_count = index_count};
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->values), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    return f;
}

static void check(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
}

Test(query_join, gives_what_a_naive_sort_gives) {
    struct fixture *f = begin(PLANS - 1, "query_join");
    struct larder_key_def more[6];
    for (int i = 0; i < 3 * ROWS; i++)
        change(f);
    struct larder_index_def later = index_of(&plans[PLANS - 1], more);
    EXPECT(larder_index_add(f->t, &later), LARDER_OK);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 60; i++)
            ask_both_ways(f);
        scan_all(f);
        for (int i = 0; i < 30; i++)
            change(f);
    }
    check(f);
    larder_close(f->db);
}

/* ---- Definitions ----------------------------------------------------------------------------- */

Test(query_join, describe_gives_the_definition_back) {
    struct fixture *f = begin(PLANS, "describe");
    const struct larder_table_def *def;
    EXPECT(larder_table_describe(f->t, &def), LARDER_OK);
    cr_assert_eq(def->index_count, PLANS);
    for (uint32_t i = 0; i < PLANS; i++) {
        struct larder_key_def more[6];
        struct larder_index_def is = def->indexes[i], was = index_of(&plans[i], more);
        cr_assert(is.partition_more_count == was.partition_more_count && is.sort_more_count == was.sort_more_count);
        for (uint32_t k = 0; k < is.partition_more_count; k++)
            cr_assert(strcmp(is.partition_more[k].name, was.partition_more[k].name) == 0 &&
                      is.partition_more[k].type == was.partition_more[k].type);
        for (uint32_t k = 0; k < is.sort_more_count; k++)
            cr_assert(strcmp(is.sort_more[k].name, was.sort_more[k].name) == 0 &&
                      is.sort_more[k].type == was.sort_more[k].type);
    }
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(f->db, &stats), LARDER_OK);
    cr_assert_eq(stats.format_version, 4, "older libraries must not attach");
    struct larder *other = testseg_attach(f->db, 0);
    struct larder_table *t;
    EXPECT(larder_table_open(other, "table", &t), LARDER_OK);
    EXPECT(larder_index_drop(t, "abrst"), LARDER_OK);
    EXPECT(larder_table_describe(t, &def), LARDER_OK);
    cr_assert_eq(def->index_count, PLANS - 1);
    larder_close(other);
    larder_close(f->db);
}

static void refuse_index(struct fixture *f, struct larder_index_def def, const char *says) {
    EXPECT(larder_index_add(f->t, &def), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), says), "%s does not say %s", larder_error(), says);
}

Test(query_join, refuses_definitions) {
    struct fixture *f = begin(0, "definitions");
    const struct larder_key_def more[] = {{"c", LARDER_S}, {"d", LARDER_S}, {"e", LARDER_S},
                                          {"g", LARDER_S}, {"h", LARDER_M}, {NULL, LARDER_S}};
    const struct larder_index_def fine = {.name = "index",
                                          .partition = {"a", LARDER_S},
                                          .sort = {"r", LARDER_S},
                                          .partition_more = more,
                                          .partition_more_count = 1,
                                          .sort_more = more + 1,
                                          .sort_more_count = 2};
    struct larder_index_def def = fine;
    def.partition_more_count = 4;
    refuse_index(f, def, "5 attributes; at most 4");
    def = fine, def.sort_more_count = 4;
    refuse_index(f, def, "5 attributes; at most 4");
    def = fine, def.sort_more = NULL;
    refuse_index(f, def, "NULL");
    def = fine, def.sort_more = more;
    refuse_index(f, def, "twice");
    def = fine, def.sort_more = more + 4, def.sort_more_count = 1;
    refuse_index(f, def, "has type");
    def = fine, def.sort_more = more + 5, def.sort_more_count = 1;
    refuse_index(f, def, "no name");
    def = fine, def.sort.name = NULL;
    refuse_index(f, def, "no first one");
    def = fine, def.partition = (struct larder_key_def){"id", LARDER_S};
    refuse_index(f, def, "two types");
    struct larder_index_def local = fine;
    local.is_local = 1;
    local.partition = (struct larder_key_def){"id", LARDER_N};
    const struct larder_table_def table = {
        .name = "other", .partition = {"id", LARDER_N}, .sort = {"n", LARDER_N}, .indexes = &local, .index_count = 1};
    EXPECT(larder_table_create(f->db, &table), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "only global"), "%s", larder_error());
    EXPECT(larder_index_add(f->t, &fine), LARDER_OK);
    larder_close(f->db);
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* An attribute of the wrong type is refused by a put; one that is missing only leaves the item out
 * of the index. The attributes of a key have a size in all. */
Test(query_join, refuses_items_that_do_not_fit) {
    struct fixture *f = begin(1, "items");
    const struct larder_item *item;
    char text[1100];
    memset(text, 'k', sizeof text);
    EXPECT(larder_builder_add_int(f->b, "id", 1), LARDER_OK);
    EXPECT(larder_builder_add_s(f->b, "s", "no number"), LARDER_OK);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "key of index abrst") && strstr(larder_error(), "\"s\""), "%s", larder_error());
    for (size_t bytes = 1018; bytes <= 1019; bytes++) {
        larder_builder_reset(f->b);
        EXPECT(larder_builder_add_int(f->b, "id", 1), LARDER_OK);
        EXPECT(larder_builder_add_s(f->b, "a", "x"), LARDER_OK);
        EXPECT(larder_builder_add_int(f->b, "b", 1), LARDER_OK);
        EXPECT(larder_builder_add_sn(f->b, "r", text, bytes), LARDER_OK);
        EXPECT(larder_builder_add_int(f->b, "s", 7), LARDER_OK); /* two bytes */
        EXPECT(larder_builder_add_b(f->b, "t", "\0\0", 2), LARDER_OK);
        EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
        EXPECT(larder_put(f->t, item, NULL), bytes == 1018 ? LARDER_OK : LARDER_E_INVAL);
    }
    cr_assert(strstr(larder_error(), "1025 bytes in all; 1 to 1024"), "%s", larder_error());
    for (int count = 65280; count <= 65281; count++) {
        larder_builder_reset(f->b);
        EXPECT(larder_builder_add_int(f->b, "id", 1), LARDER_OK);
        EXPECT(larder_builder_add_s(f->b, "a", "x"), LARDER_OK);
        EXPECT(larder_builder_add_int(f->b, "b", 1), LARDER_OK);
        EXPECT(larder_builder_add_s(f->b, "r", "r"), LARDER_OK);
        EXPECT(larder_builder_add_int(f->b, "s", 7), LARDER_OK);
        EXPECT(larder_builder_add_b(f->b, "t", "t", 1), LARDER_OK);
        for (int i = 6; i < count; i++) {
            snprintf(text, sizeof text, "%04x", i);
            EXPECT(larder_builder_add_null(f->b, text), LARDER_OK);
        }
        EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
        EXPECT(larder_put(f->t, item, NULL), count == 65280 ? LARDER_OK : LARDER_E_INVAL);
    }
    cr_assert(strstr(larder_error(), "65281 attributes") && strstr(larder_error(), "at most 65280"), "%s",
              larder_error());
    check(f);
    larder_close(f->db);
}

static void refuse_query(struct fixture *f, const struct larder_query_spec *spec, const char *says) {
    EXPECT(larder_query(f->t, spec, f->page), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), says), "%s does not say %s", larder_error(), says);
}

Test(query_join, refuses_queries) {
    struct fixture *f = begin(PLANS, "queries");
    const struct larder_value values[] = {larder_num("1"), larder_str("r"), larder_num("2"), larder_bin("t", 1)};
    struct larder_query_key more = {.partition_more = values, .partition_more_count = 1};
    struct larder_query_spec spec = {.index = "abrst", .partition = larder_str("x"), .more = &more};
    EXPECT(larder_query(f->t, &spec, f->page), LARDER_OK);
    spec.more = NULL;
    refuse_query(f, &spec, "has 2 attributes");
    spec.more = &more, more.partition_more_count = 2;
    refuse_query(f, &spec, "has 2 attributes");
    more.partition_more_count = 1, more.partition_more = values + 1;
    refuse_query(f, &spec, "is of type S; N is needed");
    more.partition_more = NULL;
    refuse_query(f, &spec, "NULL");
    more = (struct larder_query_key){
        .partition_more = values, .partition_more_count = 1, .sort_before_count = 3, .sort_before = values + 1};
    refuse_query(f, &spec, "0 to 2");
    more.sort_before_count = 1, more.sort_before = NULL;
    refuse_query(f, &spec, "NULL");
    more.sort_before = values + 1, spec.sort_op = LARDER_SORT_BEGINS_WITH, spec.sort_value = values[2];
    refuse_query(f, &spec, "BEGINS_WITH");
    more.reserved[3] = 1;
    refuse_query(f, &spec, "reserved");
    spec = (struct larder_query_spec){.index = "plain", .partition = larder_str("x"), .more = &more};
    more = (struct larder_query_key){.partition_more = values, .partition_more_count = 1};
    refuse_query(f, &spec, "one attribute");
    larder_close(f->db);
}
