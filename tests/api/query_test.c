/* tests/api/query_test.c - larder_query() against a search from end to end.
 *
 * Goal     Every operator, on the table and on every kind of index, in both directions, in pages of
 *          every size, gives exactly the items that it should, in order; projections, expiry,
 *          sparse indexes and changes of keys included.
 * Method   A naive table is an array of rows. What a query gives is compared with the rows that a
 *          plain loop selects. Rows of equal sort key may come in any order, but always in the
 *          same.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/api/query_kit.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(query, .timeout = 100 * SLOW_FACTOR);

/* A short text: few different ones, some prefixes of others, bytes over 0x7f. */
static void random_text(struct fixture *f, int column, char *to) {
    static const char *const ends[] = {"", "a", "b", "\xc3\xbf", "aa", "1"};
    int number = (int)rng_below(&f->rng, 12);
    if (types[column] == LARDER_N)
        snprintf(to, TEXT_MAX, "%d", number * 7 - 40);
    else
        snprintf(to, TEXT_MAX, "k%d%s", number, ends[rng_below(&f->rng, sizeof ends / sizeof *ends)]);
}

static void random_row(struct fixture *f, struct row *row) {
    static int version;
    memset(row, 0, sizeof *row);
    snprintf(row->text[COL_PK], TEXT_MAX, "p%d", (int)rng_below(&f->rng, 3));
    random_text(f, COL_SK, row->text[COL_SK]);
    if (!rng_is_one_in(&f->rng, 5))
        snprintf(row->text[COL_G], TEXT_MAX, "g%d", (int)rng_below(&f->rng, 2));
    for (int c = COL_GS; c < COL_COUNT; c++)
        if (!rng_is_one_in(&f->rng, 4))
            random_text(f, c, row->text[c]);
    row->version = ++version;
}

/* Puts or deletes something, in the table and in the naive one. */
static void random_change(struct fixture *f) {
    struct row row;
    random_row(f, &row);
    int at = find_row(f, row.text[COL_PK], row.text[COL_SK]);
    if (at >= 0 && rng_is_one_in(&f->rng, 3)) {
        must(larder_delete(f->t, &(struct larder_key){larder_str(row.text[COL_PK]), larder_str(row.text[COL_SK])},
                           NULL));
        f->row[at] = f->row[--f->count];
        return;
    }
    put(f, &row);
    f->row[at >= 0 ? (uint32_t)at : f->count++] = row;
}

static int begins_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether a row is what the operator asks for. */
static int is_selected(const struct plan *plan, const struct row *row, const char *partition, enum larder_sort_op op,
                       const char *a, const char *b) {
    if (strcmp(row->text[plan->partition], partition) != 0 || (plan->sort >= 0 && !*row->text[plan->sort]))
        return 0;
    if (op == LARDER_SORT_ANY)
        return 1;
    int order = compare_text(plan->sort, row->text[plan->sort], a);
    switch (op) {
    case LARDER_SORT_EQ:
        return order == 0;
    case LARDER_SORT_LT:
        return order < 0;
    case LARDER_SORT_LE:
        return order <= 0;
    case LARDER_SORT_GT:
        return order > 0;
    case LARDER_SORT_GE:
        return order >= 0;
    case LARDER_SORT_BETWEEN:
        return order >= 0 && compare_text(plan->sort, row->text[plan->sort], b) <= 0;
    default:
        return begins_with(row->text[plan->sort], a);
    }
}

/* Reads to the end in pages; `at` receives the rows in the order they came. */
static uint32_t read_all(struct fixture *f, const struct plan *plan, const struct larder_query_spec *from, int *at) {
    struct larder_query_spec spec = *from;
    uint32_t count = 0;
    int result;
    do {
        result = larder_query(f->t, &spec, f->page);
        cr_assert(result == LARDER_OK || result == LARDER_MORE, "%s", larder_error());
        if (spec.limit) {
            cr_assert_leq(larder_page_count(f->page), spec.limit);
            if (result == LARDER_MORE)
                cr_assert_eq(larder_page_count(f->page), spec.limit);
        }
        cr_assert_eq(larder_page_scanned(f->page), larder_page_count(f->page));
        for (uint32_t i = 0; i < larder_page_count(f->page); i++) {
            cr_assert_lt(count, ROWS_MAX);
            at[count++] = row_of(f, plan, larder_page_item(f->page, i));
        }
        spec.start_key = larder_page_resume(f->page);
        cr_assert_eq(spec.start_key != NULL, result == LARDER_MORE);
    } while (result == LARDER_MORE);
    return count;
}

static void check_order(const struct fixture *f, const struct plan *plan, const int *at, uint32_t count, int sign) {
    for (uint32_t i = 1; i < count && plan->sort >= 0; i++)
        cr_assert_leq(
            sign * compare_text(plan->sort, f->row[at[i - 1]].text[plan->sort], f->row[at[i]].text[plan->sort]), 0);
}

static void check_query(struct fixture *f, const struct plan *plan, const char *partition, enum larder_sort_op op,
                        const char *a, const char *b) {
    int first[ROWS_MAX], at[ROWS_MAX], seen[ROWS_MAX] = {0};
    uint32_t want = 0;
    struct larder_query_spec spec = {.index = plan->name, .partition = larder_str(partition), .sort_op = op};
    if (op != LARDER_SORT_ANY)
        spec.sort_value = value_of(plan->sort, a);
    if (op == LARDER_SORT_BETWEEN)
        spec.sort_value2 = value_of(plan->sort, b);
    for (uint32_t i = 0; i < f->count; i++)
        want += (uint32_t)is_selected(plan, &f->row[i], partition, op, a, b);
    uint32_t count = read_all(f, plan, &spec, first);
    cr_assert_eq(count, want, "%u rows instead of %u; index %s, op %d, %s", count, want, plan->name, (int)op, a);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(is_selected(plan, &f->row[first[i]], partition, op, a, b));
        cr_assert_eq(seen[first[i]]++, 0);
    }
    check_order(f, plan, first, count, 1);
    static const uint32_t limits[] = {0, 1, 2, 3, 7, 20};
    for (size_t i = 0; i < sizeof limits / sizeof *limits + 2; i++) {
        spec.limit = i < sizeof limits / sizeof *limits ? limits[i] : count + (uint32_t)i % 2 + (count == 0);
        for (spec.is_descending = 0; spec.is_descending < 2; spec.is_descending++) {
            cr_assert_eq(read_all(f, plan, &spec, at), count);
            for (uint32_t k = 0; k < count; k++)
                cr_assert_eq(at[k], first[spec.is_descending ? count - 1 - k : k]);
        }
    }
}

static void check_all_queries(struct fixture *f, int every) {
    for (size_t p = 0; p < PLANS; p++)
        for (int partition = 0; partition < 3; partition++) {
            char name[TEXT_MAX], a[TEXT_MAX], b[TEXT_MAX];
            snprintf(name, sizeof name, "%c%d", plans[p].partition == COL_PK ? 'p' : 'g', partition);
            check_query(f, &plans[p], name, LARDER_SORT_ANY, "", "");
            for (int op = LARDER_SORT_EQ; op <= LARDER_SORT_BEGINS_WITH && plans[p].sort >= 0; op++) {
                if (!rng_is_one_in(&f->rng, (uint64_t)every))
                    continue;
                if (op == LARDER_SORT_BEGINS_WITH && types[plans[p].sort] == LARDER_N)
                    continue;
                random_text(f, plans[p].sort, a);
                random_text(f, plans[p].sort, b);
                if (op == LARDER_SORT_BETWEEN && compare_text(plans[p].sort, a, b) > 0)
                    check_query(f, &plans[p], name, (enum larder_sort_op)op, b, a);
                else
                    check_query(f, &plans[p], name, (enum larder_sort_op)op, a, b);
            }
        }
}

Test(query, finds_what_a_search_finds) {
    struct fixture *f = begin();
    check_all_queries(f, 1);
    for (int i = 0; i < 1500; i++) {
        random_change(f);
        if (i % 100 == 0)
            check_all_queries(f, 2);
    }
    check_all_queries(f, 1);
    while (f->count) {
        struct row *row = &f->row[--f->count];
        must(larder_delete(f->t, &(struct larder_key){larder_str(row->text[COL_PK]), larder_str(row->text[COL_SK])},
                           NULL));
        if (f->count % 40 == 0)
            check_all_queries(f, 3);
    }
    finish(f);
}

Test(query, begins_with_bytes_that_have_no_successor) {
    struct fixture *f = begin();
    static const char *const texts[] = {"\xff", "\xff\xff", "\xff\xff\x01", "\xfe\xff", "\xfe", "\x01"};
    for (int i = 0; i < 6; i++) {
        struct row row = {.version = i};
        snprintf(row.text[COL_PK], TEXT_MAX, "p0");
        snprintf(row.text[COL_SK], TEXT_MAX, "%d", i);
        snprintf(row.text[COL_G], TEXT_MAX, "g0");
        snprintf(row.text[COL_GB], TEXT_MAX, "%s", texts[i]);
        put(f, &row);
        f->row[f->count++] = row;
    }
    for (int i = 0; i < 6; i++)
        check_query(f, &plans[3], "g0", LARDER_SORT_BEGINS_WITH, texts[i], "");
    finish(f);
}

static int64_t test_now(void *arg) {
    return *(int64_t *)arg;
}

Test(query, leaves_out_what_has_expired) {
    struct fixture *f = begin();
    int64_t now = 1000000;
    larder_set_clock(f->db, test_now, &now);
    for (int i = 0; i < 60; i++) {
        const struct larder_item *item;
        char sk[TEXT_MAX];
        snprintf(sk, sizeof sk, "%03d", i);
        larder_builder_reset(f->b);
        must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_add_s(f->b, "sk", sk) |
             larder_builder_add_s(f->b, "g", "g0"));
        if (i % 3)
            must(larder_builder_add_int(f->b, "ttl", 1000000 + i));
        must(larder_builder_finish(f->b, &item));
        must(larder_put(f->t, item, NULL));
    }
    for (; now < 1000070; now += 7) {
        uint32_t want = 0;
        for (int i = 0; i < 60; i++)
            want += i % 3 == 0 || 1000000 + i > now;
        struct larder_query_spec spec = {.partition = larder_str("p0")};
        must(larder_query(f->t, &spec, f->page));
        cr_assert_eq(larder_page_count(f->page), want);
        cr_assert_eq(larder_page_scanned(f->page), want);
        spec = (struct larder_query_spec){.index = "byGroup", .partition = larder_str("g0"), .limit = 10};
        /* the limit counts what is returned */
        cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_MORE);
        cr_assert_eq(larder_page_count(f->page), 10);
        if (now > 1000030)
            must(larder_expire(f->db, 0, NULL));
    }
    finish(f);
}

Test(query, reads_tables_without_sort_key) {
    struct fixture *f = begin();
    const struct larder_item *item;
    const struct larder_table_def def = {.name = "flat", .partition = {"id", LARDER_N}};
    must(larder_table_create(f->db, &def));
    must(larder_table_open(f->db, "flat", &f->t));
    must(larder_builder_add_n(f->b, "id", "17") | larder_builder_finish(f->b, &item));
    must(larder_put(f->t, item, NULL));
    struct larder_query_spec spec = {.partition = larder_num("17.0"), .limit = 1};
    must(larder_query(f->t, &spec, f->page));
    cr_assert_eq(larder_page_count(f->page), 1);
    spec.start_key = item;
    must(larder_query(f->t, &spec, f->page));
    cr_assert_eq(larder_page_count(f->page), 0);
    spec = (struct larder_query_spec){.partition = larder_num("18")};
    must(larder_query(f->t, &spec, f->page));
    cr_assert_eq(larder_page_count(f->page), 0);
    spec.sort_op = LARDER_SORT_EQ;
    spec.sort_value = larder_num("1");
    cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_E_INVAL);
    finish(f);
}

Test(query, gets_with_eq_and_a_start_key) {
    struct fixture *f = begin();
    const struct larder_item *key;
    fill_one_partition(f, 10);
    struct larder_query_spec spec = {
        .partition = larder_str("p0"), .sort_op = LARDER_SORT_EQ, .sort_value = larder_str("005")};
    for (int i = 0; i < 10; i++) {
        char sk[TEXT_MAX];
        snprintf(sk, sizeof sk, "%03d", i);
        larder_builder_reset(f->b);
        must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_add_s(f->b, "sk", sk) |
             larder_builder_finish(f->b, &key));
        spec.start_key = key;
        for (spec.is_descending = 0; spec.is_descending < 2; spec.is_descending++) {
            /* another key than the one asked for is outside */
            int result = larder_query(f->t, &spec, f->page);
            cr_assert_eq(result, i == 5 ? LARDER_OK : LARDER_E_INVAL);
            cr_assert_eq(larder_page_count(f->page), 0);
        }
    }
    finish(f);
}

#define LARGE (12000 / (SLOW_FACTOR > 1 ? 2 : 1))

Test(query, reads_large_partitions) {
    struct fixture *f = begin();
    const struct larder_item *item;
    for (int i = 0; i < LARGE; i++) {
        char sk[TEXT_MAX];
        int number = (int)((long)i * 7919 % LARGE);
        snprintf(sk, sizeof sk, "%06d", number);
        larder_builder_reset(f->b);
        must(larder_builder_add_s(f->b, "pk", "big") | larder_builder_add_s(f->b, "sk", sk) |
             larder_builder_add_s(f->b, "g", "big") | larder_builder_add_int(f->b, "gn", number) |
             larder_builder_finish(f->b, &item));
        must(larder_put(f->t, item, NULL));
    }
    for (int is_descending = 0; is_descending < 2; is_descending++)
        for (int by_number = 0; by_number < 2; by_number++) {
            struct larder_query_spec spec = {.index = by_number ? "byNumber" : NULL,
                                             .partition = larder_str("big"),
                                             .is_descending = is_descending,
                                             .limit = by_number ? 1000 : 0};
            int result, next = is_descending ? LARGE - 1 : 0;
            do {
                result = larder_query(f->t, &spec, f->page);
                cr_assert_geq(result, 0);
                for (uint32_t i = 0; i < larder_page_count(f->page); i++, next += is_descending ? -1 : 1) {
                    char sk[TEXT_MAX];
                    get_text(larder_page_item(f->page, i), COL_SK, sk);
                    cr_assert_eq(atoi(sk), next);
                }
                spec.start_key = larder_page_resume(f->page);
            } while (result == LARDER_MORE);
            cr_assert_eq(next, is_descending ? -1 : LARGE);
        }
    struct larder_query_spec spec = {.partition = larder_str("big"), .sort_op = LARDER_SORT_BETWEEN};
    spec.sort_value = larder_str("003000");
    spec.sort_value2 = larder_str("003499");
    must(larder_query(f->t, &spec, f->page));
    cr_assert_eq(larder_page_count(f->page), 500);
    finish(f);
}
