/* tests/api/query_test.c - larder_query() against a search from end to end.
 *
 * Goal     Every operator, on the table and on every kind of index, in both directions, in pages of every size, gives exactly
 *          the items that it should, in order; projections, expiry, sparse indexes and changes of keys included. Readers beside
 *          writers see every item once, under a key that it has.
 * Method   A naive table is an array of rows. What a query gives is compared with the rows that a plain loop selects; rows of
 *          equal sort key may come in any order, but always in the same.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(query, .timeout = 100 * SLOW_FACTOR);

#define ROWS_MAX 400
#define TEXT_MAX 16

/* Columns that an item may have or not. */
enum { COL_PK, COL_SK, COL_G, COL_GS, COL_GN, COL_GB, COL_LS, COL_COUNT };
static const char *const names[COL_COUNT] = {"pk", "sk", "g", "gs", "gn", "gb", "ls"};
static const enum larder_type types[COL_COUNT] = {LARDER_S, LARDER_S, LARDER_S, LARDER_S, LARDER_N, LARDER_B, LARDER_S};

struct row {
    char text[COL_COUNT][TEXT_MAX]; /* "" missing */
    int version;
};
struct plan { /* an index by its columns */
    const char *name;
    int partition, sort; /* sort -1: none */
};
static const struct plan plans[] = {
    {NULL, COL_PK, COL_SK},     {"byText", COL_G, COL_GS}, {"byNumber", COL_G, COL_GN},
    {"byBytes", COL_G, COL_GB}, {"byGroup", COL_G, -1},    {"local", COL_PK, COL_LS},
};
#define PLANS (sizeof plans / sizeof *plans)

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    struct rng rng;
    struct row row[ROWS_MAX];
    uint32_t count;
};

static void must(int result) {
    cr_assert_eq(result, LARDER_OK, "%s: %s", larder_result_name(result), larder_error());
}

static const char *const included[] = {"version"};
static const struct larder_index_def indexes[] = {
    {.name = "byText", .partition = {"g", LARDER_S}, .sort = {"gs", LARDER_S}},
    {.name = "byNumber",
     .partition = {"g", LARDER_S},
     .sort = {"gn", LARDER_N},
     .projection = LARDER_PROJECT_KEYS_ONLY},
    {.name = "byBytes",
     .partition = {"g", LARDER_S},
     .sort = {"gb", LARDER_B},
     .projection = LARDER_PROJECT_INCLUDE,
     .included = included,
     .included_count = 1},
    {.name = "byGroup", .partition = {"g", LARDER_S}},
    {.name = "local", .is_local = 1, .partition = {"pk", LARDER_S}, .sort = {"ls", LARDER_S}},
};

static struct fixture *begin(void) {
    struct fixture *f = calloc(1, sizeof *f);
    const struct larder_table_def def = {.name = "rows",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = indexes,
                                         .index_count = sizeof indexes / sizeof *indexes,
                                         .ttl_attribute = "ttl"};
    cr_assert_not_null(f);
    f->db = testseg_open(64 << 20, 4);
    must(larder_table_create(f->db, &def));
    must(larder_table_open(f->db, "rows", &f->t));
    must(larder_builder_new(f->db, &f->b));
    must(larder_page_new(f->db, &f->page));
    rng_seed(&f->rng, rng_test_seed("query"));
    return f;
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    must(larder_check(f->db, NULL, &report));
    cr_assert_eq(report.stale_entries, 0);
    larder_close(f->db);
    free(f);
}

static struct larder_value value_of(int column, const char *text) {
    if (types[column] == LARDER_N)
        return larder_num(text);
    return types[column] == LARDER_B ? larder_bin(text, strlen(text)) : larder_str(text);
}

static void put(struct fixture *f, const struct row *row) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    for (int c = 0; c < COL_COUNT; c++)
        if (*row->text[c]) {
            struct larder_value value = value_of(c, row->text[c]);
            must(larder_builder_add(f->b, names[c], &value));
        }
    must(larder_builder_add_int(f->b, "version", row->version));
    must(larder_builder_add_s(f->b, "other", "something else"));
    must(larder_builder_finish(f->b, &item));
    must(larder_put(f->t, item, NULL));
}

static int compare_text(int column, const char *a, const char *b) {
    if (types[column] == LARDER_N)
        return (atoi(a) > atoi(b)) - (atoi(a) < atoi(b));
    return strcmp(a, b);
}

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

static int find_row(const struct fixture *f, const char *pk, const char *sk) {
    for (uint32_t i = 0; i < f->count; i++)
        if (strcmp(f->row[i].text[COL_PK], pk) == 0 && strcmp(f->row[i].text[COL_SK], sk) == 0)
            return (int)i;
    return -1;
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

static void get_text(const struct larder_item *item, int column, char *to) {
    struct larder_value value;
    char number[LARDER_NUMBER_TEXT_MAX];
    must(larder_item_get(item, names[column], &value));
    cr_assert_eq(value.type, types[column]);
    if (value.type == LARDER_N) {
        must(larder_value_number(&value, number));
        snprintf(to, TEXT_MAX, "%.15s", number);
    } else {
        cr_assert_lt(value.bytes, TEXT_MAX);
        memcpy(to, value.data, value.bytes);
        to[value.bytes] = 0;
    }
}

/* The row an item of a page is of; what the projection keeps must be as it is there. */
static int row_of(const struct fixture *f, const struct plan *plan, const struct larder_item *item) {
    char pk[TEXT_MAX], sk[TEXT_MAX], text[TEXT_MAX];
    struct larder_value value;
    get_text(item, COL_PK, pk);
    get_text(item, COL_SK, sk);
    int at = find_row(f, pk, sk);
    cr_assert_geq(at, 0);
    const struct row *row = &f->row[at];
    for (int c = 0; c < COL_COUNT; c++)
        if (c == plan->partition || c == plan->sort) {
            get_text(item, c, text);
            cr_assert_str_eq(text, row->text[c]);
        }
    int is_keys_only = plan->name && strcmp(plan->name, "byNumber") == 0;
    int is_include = plan->name && strcmp(plan->name, "byBytes") == 0;
    cr_assert_eq(larder_item_get(item, "other", &value), is_keys_only || is_include ? LARDER_NOT_FOUND : LARDER_OK);
    if (is_keys_only) {
        cr_assert_eq(larder_item_count(item), 4);
        return at;
    }
    must(larder_item_get(item, "version", &value));
    int64_t version;
    must(larder_value_int64(&value, &version));
    cr_assert_eq(version, row->version);
    return at;
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
    end(f);
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
    end(f);
}

/* ---- Resuming --------------------------------------------------------------------------------------------------------------- */

static void fill_one_partition(struct fixture *f, int count) {
    for (int i = 0; i < count; i++) {
        struct row row = {.version = i};
        snprintf(row.text[COL_PK], TEXT_MAX, "p0");
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", i);
        snprintf(row.text[COL_G], TEXT_MAX, "g0");
        snprintf(row.text[COL_GS], TEXT_MAX, "%d", i / 10); /* many of equal sort key */
        put(f, &row);
        f->row[f->count++] = row;
    }
}

Test(query, resumes_after_an_item_that_has_gone_or_moved) {
    struct fixture *f = begin();
    fill_one_partition(f, 100);
    for (int is_descending = 0; is_descending < 2; is_descending++)
        for (size_t p = 0; p < 2; p++) {
            struct larder_query_spec spec = {.index = plans[p].name,
                                             .partition = larder_str(p ? "g0" : "p0"),
                                             .limit = 1,
                                             .is_descending = is_descending};
            int seen[ROWS_MAX] = {0}, result;
            while ((result = larder_query(f->t, &spec, f->page)) == LARDER_MORE) {
                char sk[TEXT_MAX];
                cr_assert_eq(larder_page_count(f->page), 1);
                const struct larder_item *item = larder_page_item(f->page, 0);
                get_text(item, COL_SK, sk);
                cr_assert_eq(seen[atoi(sk)]++, 0);
                /* Deleted, and put again with a new key sequence; or left away until the end. */
                struct row row = f->row[find_row(f, "p0", sk)];
                must(larder_delete(f->t, &(struct larder_key){larder_str("p0"), larder_str(sk)}, NULL));
                if (atoi(sk) % 2)
                    put(f, &row);
                spec.start_key = larder_page_resume(f->page);
            }
            must(result);
            if (larder_page_count(f->page) == 1)
                seen[row_of(f, &plans[p], larder_page_item(f->page, 0))]++;
            for (int i = 0; i < 100; i++) {
                cr_assert_eq(seen[i], 1, "row %d", i);
                put(f, &f->row[i]);
            }
        }
    end(f);
}

Test(query, resumes_from_another_process_with_a_built_key) {
    struct fixture *f = begin();
    const struct larder_item *key;
    fill_one_partition(f, 30);
    larder_builder_reset(f->b);
    must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_add_s(f->b, "sk", "009x") |
         larder_builder_finish(f->b, &key));
    struct larder_query_spec spec = {.partition = larder_str("p0"), .start_key = key};
    must(larder_query(f->t, &spec, f->page));
    cr_assert_eq(larder_page_count(f->page), 20);
    spec.is_descending = 1;
    must(larder_query(f->t, &spec, f->page));
    cr_assert_eq(larder_page_count(f->page), 10);
    end(f);
}

Test(query, takes_its_arguments_out_of_the_page_it_fills) {
    struct fixture *f = begin();
    fill_one_partition(f, 30);
    struct larder_query_spec spec = {.partition = larder_str("p0"), .limit = 3};
    cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_MORE);
    const struct larder_item *item = larder_page_item(f->page, 2);
    spec.start_key = larder_page_resume(f->page);
    spec.sort_op = LARDER_SORT_GE;
    must(larder_item_get(item, "pk", &spec.partition));
    must(larder_item_get(item, "sk", &spec.sort_value));
    cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_MORE);
    cr_assert_eq(row_of(f, &plans[0], larder_page_item(f->page, 0)), 3);
    end(f);
}

Test(query, ends_a_page_at_its_bytes) {
    struct fixture *f = begin();
    fill_one_partition(f, 100);
    struct larder_query_spec spec = {.partition = larder_str("p0"), .bytes_max = 2000};
    uint32_t pages = 0, count = 0;
    int result;
    do {
        result = larder_query(f->t, &spec, f->page);
        cr_assert_geq(result, 0);
        count += larder_page_count(f->page);
        pages++;
        spec.start_key = larder_page_resume(f->page);
    } while (result == LARDER_MORE);
    cr_assert_eq(count, 100);
    cr_assert_gt(pages, 3);
    spec.bytes_max = 1;
    spec.start_key = NULL;
    cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_MORE);
    cr_assert_eq(larder_page_count(f->page), 1);
    end(f);
}

/* ---- What is refused ---------------------------------------------------------------------------------------------------------- */

static void check_refused(struct fixture *f, const struct larder_query_spec *spec, int result) {
    larder_builder_reset(f->b);
    int got = larder_query(f->t, spec, f->page);
    cr_assert_eq(got, result, "%s: %s", larder_result_name(got), larder_error());
    cr_assert_str_neq(larder_error(), "");
}

Test(query, refuses_what_makes_no_sense) {
    struct fixture *f = begin();
    struct larder_value pk = larder_str("p0"), g = larder_str("g0"), one = larder_num("1"), two = larder_num("2");
    static char long_key[LARDER_SORT_KEY_BYTES_MAX + 2];
    memset(long_key, 'x', sizeof long_key - 1);
    fill_one_partition(f, 3);
    check_refused(f, NULL, LARDER_E_INVAL);
    check_refused(f, &(struct larder_query_spec){.partition = pk, .index = "nothing"}, LARDER_E_NO_INDEX);
    check_refused(f, &(struct larder_query_spec){.partition = one}, LARDER_E_INVAL);
    check_refused(f, &(struct larder_query_spec){.partition = larder_str("")}, LARDER_E_INVAL);
    check_refused(f, &(struct larder_query_spec){.sort_op = LARDER_SORT_ANY}, LARDER_E_INVAL);
    check_refused(f, &(struct larder_query_spec){.partition = pk, .sort_op = (enum larder_sort_op)77, .sort_value = pk},
                  LARDER_E_INVAL);
    check_refused(f, &(struct larder_query_spec){.partition = pk, .sort_op = LARDER_SORT_EQ, .sort_value = one},
                  LARDER_E_INVAL);
    check_refused(f,
                  &(struct larder_query_spec){.partition = pk, .sort_op = LARDER_SORT_EQ, .sort_value = larder_str("")},
                  LARDER_E_INVAL);
    check_refused(
        f, &(struct larder_query_spec){.partition = pk, .sort_op = LARDER_SORT_LT, .sort_value = larder_str(long_key)},
        LARDER_E_INVAL);
    check_refused(f,
                  &(struct larder_query_spec){
                      .partition = g, .index = "byNumber", .sort_op = LARDER_SORT_BEGINS_WITH, .sort_value = one},
                  LARDER_E_INVAL);
    check_refused(
        f,
        &(struct larder_query_spec){
            .partition = g, .index = "byNumber", .sort_op = LARDER_SORT_BETWEEN, .sort_value = two, .sort_value2 = one},
        LARDER_E_INVAL);
    check_refused(
        f,
        &(struct larder_query_spec){.partition = g, .index = "byGroup", .sort_op = LARDER_SORT_EQ, .sort_value = one},
        LARDER_E_INVAL);
    end(f);
}

Test(query, refuses_start_keys_of_something_else) {
    struct fixture *f = begin();
    const struct larder_item *key;
    fill_one_partition(f, 3);
    larder_builder_reset(f->b);
    must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_finish(f->b, &key)); /* no sort key */
    cr_assert_eq(
        larder_query(f->t, &(struct larder_query_spec){.partition = larder_str("p0"), .start_key = key}, f->page),
        LARDER_E_INVAL);
    larder_builder_reset(f->b);
    must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_add_s(f->b, "sk", "000") |
         larder_builder_finish(f->b, &key));
    cr_assert_eq(
        larder_query(f->t, &(struct larder_query_spec){.partition = larder_str("p1"), .start_key = key}, f->page),
        LARDER_E_INVAL); /* another partition */
    struct larder_query_spec by_text = {.index = "byText", .partition = larder_str("g0"), .start_key = key};
    cr_assert_eq(larder_query(f->t, &by_text, f->page), LARDER_E_INVAL); /* no key of the index */
    larder_builder_reset(f->b);
    must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_add_s(f->b, "sk", "000") |
         larder_builder_add_s(f->b, "g", "g0") | larder_builder_add_n(f->b, "gs", "1") |
         larder_builder_finish(f->b, &key));
    by_text.start_key = key;
    cr_assert_eq(larder_query(f->t, &by_text, f->page), LARDER_E_INVAL); /* wrong type */
    larder_builder_reset(f->b);
    must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_add_s(f->b, "sk", "000") |
         larder_builder_add_s(f->b, "g", "g0") | larder_builder_add_s(f->b, "gs", "0") |
         larder_builder_finish(f->b, &key));
    by_text.start_key = key;
    must(larder_query(f->t, &by_text, f->page));
    uint32_t after = larder_page_count(f->page); /* all three have this sort key: their order is by hash */
    by_text.is_descending = 1;
    must(larder_query(f->t, &by_text, f->page));
    cr_assert_eq(after + larder_page_count(f->page), 2);
    end(f);
}

/* ---- Expiry, tables without sort key, large partitions ------------------------------------------------------------------------ */

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
        cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_MORE); /* the limit counts what is returned */
        cr_assert_eq(larder_page_count(f->page), 10);
        if (now > 1000030)
            must(larder_expire(f->db, 0, NULL));
    }
    end(f);
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
    end(f);
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
            int result = larder_query(f->t, &spec, f->page); /* another key than the one asked for is outside */
            cr_assert_eq(result, i == 5 ? LARDER_OK : LARDER_E_INVAL);
            cr_assert_eq(larder_page_count(f->page), 0);
        }
    }
    end(f);
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
    end(f);
}

/* ---- Readers beside writers ----------------------------------------------------------------------------------------------------- */

#define MOVED 160 /* several leaves */

struct moving {
    struct fixture *f;
    _Atomic int is_over;
    _Atomic uint64_t pages;
};

/* Every item is in one of two groups at any time, under a sort key that is its own attribute too. */
static void *read_groups(void *arg) {
    struct moving *m = arg;
    struct larder_page *page;
    must(larder_page_new(m->f->db, &page));
    for (uint64_t round = 0; !atomic_load(&m->is_over); round++) {
        struct larder_query_spec spec = {.index = "byText", .partition = larder_str(round & 1 ? "g0" : "g1")};
        int seen[MOVED] = {0};
        char last[TEXT_MAX] = "", text[TEXT_MAX];
        spec.is_descending = round >> 1 & 1;
        must(larder_query(m->f->t, &spec, page));
        for (uint32_t i = 0; i < larder_page_count(page); i++) {
            const struct larder_item *item = larder_page_item(page, i);
            get_text(item, COL_G, text);
            cr_assert_str_eq(text, round & 1 ? "g0" : "g1");
            get_text(item, COL_SK, text);
            cr_assert_eq(seen[atoi(text)]++, 0);
            get_text(item, COL_GS, text);
            if (i)
                cr_assert_leq(compare_text(COL_GS, spec.is_descending ? text : last, spec.is_descending ? last : text),
                              0);
            memcpy(last, text, sizeof last);
        }
        atomic_fetch_add(&m->pages, 1);
    }
    larder_page_free(page);
    return NULL;
}

/* All items stay in one group, and only their sort keys change: a page that is a snapshot has each of them once. */
static void *read_all_of_group(void *arg) {
    struct moving *m = arg;
    struct larder_page *page;
    must(larder_page_new(m->f->db, &page));
    for (uint64_t round = 0; !atomic_load(&m->is_over); round++) {
        struct larder_query_spec spec = {
            .index = "byText", .partition = larder_str("g0"), .is_descending = (int)(round & 1)};
        int seen[MOVED] = {0};
        char text[TEXT_MAX];
        must(larder_query(m->f->t, &spec, page));
        cr_assert_eq(larder_page_count(page), MOVED, "%u", larder_page_count(page));
        for (uint32_t i = 0; i < MOVED; i++) {
            get_text(larder_page_item(page, i), COL_SK, text);
            cr_assert_eq(seen[atoi(text)]++, 0);
        }
        atomic_fetch_add(&m->pages, 1);
    }
    larder_page_free(page);
    return NULL;
}

static void move_some(struct fixture *f, int group, uint32_t pause_us) {
    struct row row = {.version = 1};
    snprintf(row.text[COL_PK], TEXT_MAX, "p0");
    snprintf(row.text[COL_SK], TEXT_MAX, "%03d", (int)rng_below(&f->rng, MOVED));
    snprintf(row.text[COL_G], TEXT_MAX, "g%d", group);
    snprintf(row.text[COL_GS], TEXT_MAX, "%05d", (int)rng_below(&f->rng, 100000));
    put(f, &row);
    if (pause_us)
        usleep(pause_us);
}

static void move_beside(void *(*reader)(void *arg), int groups, uint32_t pause_us, int moves) {
    struct fixture *f = begin();
    struct moving m = {.f = f};
    pthread_t thread;
    for (int i = 0; i < MOVED; i++) {
        struct row row = {.version = 1, .text = {[COL_PK] = "p0", [COL_G] = "g0", [COL_GS] = "0"}};
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", i);
        put(f, &row);
    }
    cr_assert_eq(pthread_create(&thread, NULL, reader, &m), 0);
    for (int i = 0; i < moves || atomic_load(&m.pages) < 200; i++)
        move_some(f, (int)rng_below(&f->rng, (uint64_t)groups), pause_us);
    atomic_store(&m.is_over, 1);
    pthread_join(thread, NULL);
    end(f);
}

Test(query, shows_items_under_the_keys_they_have) {
    move_beside(read_groups, 2, 0, 100000 / SLOW_FACTOR);
}

Test(query, misses_nothing_that_moves) {
    move_beside(read_all_of_group, 1, 1000 * SLOW_FACTOR, 2000 / SLOW_FACTOR);
}

/* Two writers have an item each that they move between the first and the last leaf of a group, with pauses that a page fits into.
 * A third changes other groups, some of which share a stripe with this one, without pause. So most pages see changes, and most of
 * these changes are none of theirs. */
struct mover {
    struct moving *m;
    struct fixture own; /* its builder and numbers */
    int number;         /* of its item; -1: it changes the other groups */
    uint32_t pause_us;
};

static void *move_to_and_fro(void *arg) {
    struct mover *mover = arg;
    struct fixture *f = &mover->own;
    for (uint32_t i = 0; !atomic_load(&mover->m->is_over); i++) {
        struct row row = {.version = 1};
        int is_other = mover->number < 0;
        snprintf(row.text[COL_PK], TEXT_MAX, is_other ? "p1" : "p0");
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", is_other ? (int)rng_below(&f->rng, MOVED) : mover->number);
        snprintf(row.text[COL_G], TEXT_MAX, is_other ? "n%d" : "g0", (int)rng_below(&f->rng, 8));
        snprintf(row.text[COL_GS], TEXT_MAX, "%05d", is_other ? (int)rng_below(&f->rng, 100000) : i & 1 ? 99999 : 0);
        put(f, &row);
        if (mover->pause_us)
            usleep(mover->pause_us);
    }
    return NULL;
}

Test(query, has_each_item_once_while_two_writers_move_theirs_between_leaves) {
    struct fixture *f = begin();
    struct moving m = {.f = f};
    struct mover *mover = calloc(3, sizeof *mover);
    pthread_t reader, thread[3];
    cr_assert_not_null(mover);
    for (int i = 0; i < MOVED; i++) {
        struct row row = {.version = 1, .text = {[COL_PK] = "p0", [COL_G] = "g0"}};
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", i);
        snprintf(row.text[COL_GS], TEXT_MAX, "%05d", 100 + i * 500);
        put(f, &row);
    }
    for (int i = 0; i < 3; i++) {
        mover[i] = (struct mover){.m = &m, .number = i < 2 ? i * (MOVED - 1) : -1, .own = {.db = f->db, .t = f->t}};
        mover[i].pause_us = i < 2 ? 700 * SLOW_FACTOR : SLOW_FACTOR > 1 ? 100 : 0;
        must(larder_builder_new(f->db, &mover[i].own.b));
        rng_seed(&mover[i].own.rng, rng_next(&f->rng));
        cr_assert_eq(pthread_create(&thread[i], NULL, move_to_and_fro, &mover[i]), 0);
    }
    cr_assert_eq(pthread_create(&reader, NULL, read_all_of_group, &m), 0);
    while (atomic_load(&m.pages) < 20000 / SLOW_FACTOR)
        usleep(1000);
    atomic_store(&m.is_over, 1);
    pthread_join(reader, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    end(f);
    free(mover);
}
