/* tests/api/query_resume_test.c - pages of a query: where they end, where the next one begins, and
 * what is refused.
 *
 * Goal     A resumed query misses nothing and repeats nothing, from another process too, when the
 *          item of its start key was deleted or moved. A start key that makes no sense is refused.
 * Method   One partition; changes between two pages. Tables of queries that must be refused.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/api/query_kit.h"
#include "tests/support/slow.h"

TestSuite(query_resume, .timeout = 100 * SLOW_FACTOR);

/* ---- Resuming -------------------------------------------------------------------------------- */

Test(query_resume, resumes_after_an_item_that_has_gone_or_moved) {
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
                /* Deleted, and put again with a new key sequence; or left out until the end. */
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
    finish(f);
}

Test(query_resume, resumes_from_another_process_with_a_built_key) {
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
    finish(f);
}

Test(query_resume, takes_its_arguments_out_of_the_page_it_fills) {
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
    finish(f);
}

Test(query_resume, ends_a_page_at_its_bytes) {
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
    finish(f);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void check_refused(struct fixture *f, const struct larder_query_spec *spec, int result) {
    larder_builder_reset(f->b);
    int got = larder_query(f->t, spec, f->page);
    cr_assert_eq(got, result, "%s: %s", larder_result_name(got), larder_error());
    cr_assert_str_neq(larder_error(), "");
}

Test(query_resume, refuses_what_makes_no_sense) {
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
    finish(f);
}

Test(query_resume, refuses_start_keys_of_something_else) {
    struct fixture *f = begin();
    const struct larder_item *key;
    fill_one_partition(f, 3);
    larder_builder_reset(f->b);
    /* no sort key */
    must(larder_builder_add_s(f->b, "pk", "p0") | larder_builder_finish(f->b, &key));
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
    /* not a key of the index */
    cr_assert_eq(larder_query(f->t, &by_text, f->page), LARDER_E_INVAL);
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
    /* all three have this sort key: their order is by hash */
    uint32_t after = larder_page_count(f->page);
    by_text.is_descending = 1;
    must(larder_query(f->t, &by_text, f->page));
    cr_assert_eq(after + larder_page_count(f->page), 2);
    finish(f);
}
