/* tests/model/model_query.c - a random query, compared with a search of the model.
 *
 * Method   Items of equal sort key may come in any order, but the same one up, down and over pages.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/model/model.h"
#include "tests/support/rng.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(, .timeout = 3600);

struct query {
    struct larder_query_spec spec;
    const struct plan *plan; /* NULL: the table */
    char partition[TEXT_MAX], value[TEXT_MAX], value2[TEXT_MAX];
    int64_t wanted_partition;
    /* of an index of several attributes: 0: its first sort key attribute may have any value */
    int64_t wanted_more, wanted_before;
    char more_text[TEXT_MAX], before_text[TEXT_MAX];
    struct larder_value more, before;
    struct larder_query_key key;
};

/* The column of the sort key attribute that the range is about; -1: none, or the table's. */
static int range_column(const struct query *q) {
    if (!q->plan)
        return -1;
    return q->wanted_before ? q->plan->more_sort - 1 : q->plan->sort;
}

static void column_text(const struct run *r, int column, int n, char text[TEXT_MAX]) {
    text[0] = 0;
    if (column >= 0)
        (void)value_of(r, column, r->m->row[n].value[column], text);
}

static void sort_of(const struct run *r, const struct query *q, int n, char text[TEXT_MAX]) {
    if (q->plan)
        column_text(r, range_column(q), n, text);
    else
        sort_text(n, text);
}

static int compare_texts(int column, const char *a, const char *b) {
    if (column == COL_GN) {
        long x = strtol(a, NULL, 10), y = strtol(b, NULL, 10);
        return (x > y) - (x < y);
    }
    return strcmp(a, b);
}

static int compare_sorts(const struct query *q, const char *a, const char *b) {
    return compare_texts(range_column(q), a, b);
}

/* By all attributes of the sort key. */
static int compare_rows(const struct run *r, const struct query *q, int a, int b) {
    int columns[2] = {q->plan ? q->plan->sort : -1, q->plan ? q->plan->more_sort - 1 : -1}, order = 0;
    char left[TEXT_MAX], right[TEXT_MAX];
    if (!q->plan) {
        sort_text(a, left), sort_text(b, right);
        return strcmp(left, right);
    }
    for (int i = 0; i < 2 && order == 0; i++) {
        column_text(r, columns[i], a, left), column_text(r, columns[i], b, right);
        order = compare_texts(columns[i], left, right);
    }
    return order;
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
    if (q->wanted_more && row->value[q->plan->more_partition - 1] != q->wanted_more)
        return 0;
    if (q->wanted_before && row->value[q->plan->sort] != q->wanted_before)
        return 0;
    sort_of(r, q, n, sort);
    return is_in_range(q, sort);
}

/* A sort value of the right type; not necessarily a stored one. */
static struct larder_value random_sort(struct run *r, const struct query *q, char text[TEXT_MAX]) {
    if (q->plan)
        return value_of(r, range_column(q), 1 + (int64_t)rng_below(&r->rng, 6), text);
    sort_text((int)rng_below(&r->rng, SORTS), text);
    return larder_str(text);
}

static void random_range(struct run *r, struct query *q) {
    enum larder_sort_op op = (enum larder_sort_op)rng_below(&r->rng, LARDER_SORT_BEGINS_WITH + 1);
    int is_number = range_column(q) == COL_GN;
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

/* The second attribute of the partition key; perhaps the first of the sort key. */
static void random_more(struct run *r, struct query *q) {
    if (!q->plan || !q->plan->more_partition)
        return;
    q->wanted_more = 1 + (int64_t)rng_below(&r->rng, 6);
    q->more = value_of(r, q->plan->more_partition - 1, q->wanted_more, q->more_text);
    q->key = (struct larder_query_key){.partition_more = &q->more, .partition_more_count = 1};
    q->spec.more = &q->key;
    if (rng_is_one_in(&r->rng, 2))
        return;
    q->wanted_before = 1 + (int64_t)rng_below(&r->rng, 6);
    q->before = value_of(r, q->plan->sort, q->wanted_before, q->before_text);
    q->key.sort_before = &q->before;
    q->key.sort_before_count = 1;
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
    random_more(r, q);
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
    int seen[ROWS] = {0};
    for (int i = 0; i < count; i++) {
        MUST(is_wanted(r, q, rows[i]) && !seen[rows[i]]);
        seen[rows[i]] = 1;
        int order = i > 0 ? compare_rows(r, q, rows[i - 1], rows[i]) : 0;
        MUST(q->spec.is_descending ? order >= 0 : order <= 0);
    }
    for (int n = 0; n < ROWS; n++)
        MUST(seen[n] == is_wanted(r, q, n));
}

void do_query(struct run *r) {
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

void do_query_of_none(struct run *r) {
    struct larder_query_spec spec = {.index = "no-such-index", .partition = larder_str("x")};
    MUST(larder_query(r->t, &spec, r->page) == LARDER_E_NO_INDEX);
    if (r->m->index_count < PLANS) {
        spec.index = plans[r->m->index_count].name; /* not yet */
        MUST(larder_query(r->t, &spec, r->page) == LARDER_E_NO_INDEX);
    }
}
