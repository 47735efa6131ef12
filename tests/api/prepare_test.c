/* tests/api/prepare_test.c - the expressions that an attachment keeps.
 *
 * Goal     The same text with the same names is prepared once; another kind, text or name is
 *          another expression. What is kept is bounded, and lives as long as somebody uses it:
 *          through frees in any order, threads, and forks in the middle.
 * Method   The public functions only: two callers have the same expression if they got the same
 *          pointer.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(prepare, .timeout = 60 * SLOW_FACTOR);

#define ROUNDS (20000 / SLOW_FACTOR)
#define FORKS (20 / SLOW_FACTOR + 2)
#define DEADLINE_MS 30000

static struct larder_expr *prepared(struct larder *db, enum larder_expr_kind kind, const char *text, const char *name) {
    struct larder_expr *expr;
    struct larder_expr_name names[] = {{"#a", name}};
    EXPECT(larder_prepare(db, kind, text, names, name != NULL, &expr), LARDER_OK);
    return expr;
}

Test(prepare, the_same_is_prepared_once) {
    struct larder *db = testseg_open(8u << 20, 4);
    struct larder_expr *one = prepared(db, LARDER_EXPR_CONDITION, "#a = :v", "x");
    cr_assert_eq(prepared(db, LARDER_EXPR_CONDITION, "#a = :v", "x"), one);
    cr_assert_neq(prepared(db, LARDER_EXPR_CONDITION, "#a = :v", "y"), one);
    cr_assert_neq(prepared(db, LARDER_EXPR_FILTER, "#a = :v", "x"), one);
    cr_assert_neq(prepared(db, LARDER_EXPR_CONDITION, "#a = :w", "x"), one);
    struct larder_expr *other;
    const struct larder_expr_name more[] = {{"#a", "x"}, {"#b", "y"}};
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "#a = :v", more, 2, &other), LARDER_OK);
    cr_assert_neq(other, one);
    larder_close(db);
}

/* API reference: ExpressionAttributeNames is a map. Developer guide, "Expression parameters": 2 MB
 * of names and values. */
Test(prepare, names_are_a_map) {
    struct larder *db = testseg_open(8u << 20, 4);
    struct larder_expr *expr;
    static char long_name[(2u << 20) + 1];
    struct larder_expr_name names[] = {{"#b", "x"}, {"#a", "y"}, {"#b", "x"}};
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "#a = #b", names, 2, &expr), LARDER_OK);
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "#a = #b", names, 3, &expr), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "names[0] and names[2] have the same placeholder \"#b\""), "%s",
                       larder_error());
    memset(long_name, 'n', sizeof long_name - 1);
    names[2] = (struct larder_expr_name){"#c", long_name};
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "#a = #b", names, 3, &expr), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "2097160 bytes; 2097152 are allowed"), "%s", larder_error());
    long_name[sizeof long_name - 9] = 0;
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "#a = #b", names, 3, &expr), LARDER_OK);
    larder_close(db);
}

static int add_values(struct larder_builder *b, int count, size_t bytes) {
    static char text[LARDER_ITEM_BYTES_MAX + 1];
    int r = LARDER_OK;
    memset(text, 'x', sizeof text);
    larder_builder_reset(b);
    for (int i = 0; i < count && r == LARDER_OK; i++) {
        char name[16];
        snprintf(name, sizeof name, ":%02d", i);
        text[0] = (char)('a' + i % 26);
        r = larder_builder_add_sn(b, name, text, bytes);
    }
    return r;
}

/* Developer guide, "Expression parameters": 2 MB of names and values. */
Test(prepare, values_have_two_megabytes) {
    struct larder *db = testseg_open(8u << 20, 4);
    const struct larder_table_def def = {.name = "table", .partition = {":00", LARDER_S}};
    struct larder_table *t;
    struct larder_builder *b, *small;
    struct larder_page *page;
    const struct larder_item *item, *values;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    EXPECT(larder_page_new(db, &page), LARDER_OK);
    EXPECT(larder_builder_new(db, &small), LARDER_OK);
    EXPECT(larder_builder_new_values(db, &b), LARDER_OK);
    EXPECT(add_values(small, 1, 10), LARDER_OK);
    EXPECT(larder_builder_add_s(small, "n", "no such value"), LARDER_OK);
    EXPECT(larder_builder_finish(small, &item), LARDER_OK);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);

    EXPECT(add_values(b, 5, 400000), LARDER_OK);
    EXPECT(larder_builder_finish(b, &values), LARDER_OK);
    struct larder_action put = {.kind = LARDER_ACTION_PUT, .table = t, .item = item, .values = values};
    put.condition = prepared(db, LARDER_EXPR_CONDITION, "NOT n IN (:00, :01, :02, :03, :04)", NULL);
    EXPECT(larder_write(&put, page), LARDER_OK);
    put.condition = prepared(db, LARDER_EXPR_CONDITION, "n IN (:00, :01, :02, :03, :04)", NULL);
    EXPECT(larder_write(&put, page), LARDER_REFUSED);

    EXPECT(larder_put(t, values, NULL), LARDER_E_INVAL); /* more than an item */
    EXPECT(add_values(b, 1, LARDER_ITEM_BYTES_MAX + 1), LARDER_E_INVAL);
    EXPECT(add_values(b, 6, 400000), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "with \":05\" the item has 2400018 bytes; at most 2097152 are allowed"),
                       "%s", larder_error());
    /* Each counts 1 byte and takes 5. */
    larder_builder_reset(b);
    EXPECT(larder_builder_begin(b, ":l", LARDER_L), LARDER_OK);
    int r = LARDER_OK;
    for (int i = 0; i < 500000 && r == LARDER_OK; i++)
        if ((r = larder_builder_begin(b, NULL, LARDER_BS)) || (r = larder_builder_add_b(b, NULL, "", 0)) ||
            (r = larder_builder_end(b)))
            break;
    EXPECT(r, LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "bytes as they are kept; at most 2097152 are allowed"), "%s",
                       larder_error());
    larder_close(db);
}

/* What is refused is refused each time, and by its own words. */
Test(prepare, errors_are_not_kept) {
    struct larder *db = testseg_open(8u << 20, 4);
    struct larder_expr *expr = NULL;
    for (int i = 0; i < 2; i++) {
        EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "a =", NULL, 0, &expr), LARDER_E_INVAL);
        cr_assert_not_null(strstr(larder_error(), "Invalid ConditionExpression: Syntax error"));
        cr_assert_null(expr);
    }
    larder_close(db);
}

static uint64_t private_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.private_bytes;
}

/* Thousands of texts, freed before and after others take their places. */
Test(prepare, what_is_kept_is_bounded) {
    struct larder *db = testseg_open(8u << 20, 4);
    struct larder_expr *held[16] = {NULL};
    char text[3000];
    for (int i = 0; i < 4000; i++) {
        snprintf(text, sizeof text, "a%d = :v%*s", i, i % 10 == 0 ? 2000 : 1, " ");
        larder_expr_free(held[i % 16]);
        held[i % 16] = prepared(db, LARDER_EXPR_CONDITION, text, NULL);
    }
    for (int i = 0; i < 16; i++)
        larder_expr_free(held[i]);
    cr_assert_lt(private_bytes(db), 1u << 20);
    larder_close(db);
}

/* ---- Threads and forks ----------------------------------------------------------------------- */

static _Atomic int is_over;

static void *prepare_and_free(void *arg) {
    char text[64];
    for (int i = 0; i < ROUNDS && !is_over; i++) {
        snprintf(text, sizeof text, "a%d = :v", i % 100);
        struct larder_expr *one = prepared(arg, LARDER_EXPR_CONDITION, text, NULL),
                           *two = prepared(arg, LARDER_EXPR_CONDITION, text, NULL);
        larder_expr_free(one);
        larder_expr_free(two);
    }
    return NULL;
}

static int child(void *arg) {
    prepare_and_free(arg);
    return 0;
}

Test(prepare, by_threads_at_once) {
    struct larder *db = testseg_open(8u << 20, 4);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, prepare_and_free, db), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    larder_close(db);
}

/* Children that are forked while other threads are in the middle of it go on. The address sanitizer
 * of clang 14 takes no care of its allocator's locks at a fork: a child may wait for one for
 * ever. */
Test(prepare, by_children, .disabled = SLOW_IS_ASAN) {
    struct larder *db = testseg_open(8u << 20, 4);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, prepare_and_free, db), 0);
    for (int i = 0; i < FORKS; i++)
        cr_assert(proc_is_exit(proc_run(child, db, DEADLINE_MS), 0));
    is_over = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    larder_close(db);
}
