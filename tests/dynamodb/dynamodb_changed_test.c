/* tests/dynamodb/dynamodb_changed_test.c - an index changes while a Query is answered.
 *
 * Goal     The answer is right by one definition: never items of other keys, never the engine's
 *          words.
 * Method   The library's larder_query() is called through this program's, which changes the index
 *          just before, as another process would.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_changed, .timeout = 60 * SLOW_FACTOR);

#define QUERY                                                                                                          \
    "{'TableName':'Pairs','IndexName':'gs1','KeyConditionExpression':'g = :a AND h = :b',"                             \
    "'ExpressionAttributeValues':{':a':{'S':'A'},':b':{'S':'B'}}}"
#define RIGHT "{'Items':[{'g':{'S':'A'},'h':{'S':'B'},'pk':{'S':'one'}}],'Count':1,'ScannedCount':1}"
#define LEARNED 8 /* requests after which the shape is known, and more */

static struct larder_table *changed; /* before the next query, NULL: nothing is */
static int is_dropped, changes, changes_max, is_turned;

static void add_index(void) {
    const struct larder_index_def def = {
        .name = "gs1", .partition = {is_turned ? "h" : "g", LARDER_S}, .sort = {is_turned ? "g" : "h", LARDER_S}};
    EXPECT(larder_index_add(changed, &def), LARDER_OK);
    is_turned = !is_turned;
}

LARDER_API int larder_query(struct larder_table *t, const struct larder_query_spec *spec, struct larder_page *page) {
    int (*query)(struct larder_table *, const struct larder_query_spec *, struct larder_page *);
    *(void **)&query = dlsym(RTLD_NEXT, "larder_query");
    cr_assert(query);
    if (changed && changes++ < changes_max) {
        EXPECT(larder_index_drop(changed, "gs1"), LARDER_OK);
        if (!is_dropped)
            add_index();
    }
    return query(t, spec, page);
}

static void begin(struct dynamodb_fixture *f, int is_known) {
    const struct larder_table_def def = {.name = "Pairs", .partition = {"pk", LARDER_S}};
    const struct row rows[] = {
        {"PutItem", "{'TableName':'Pairs','Item':{'pk':{'S':'one'},'g':{'S':'A'},'h':{'S':'B'}}}", 200, "{}"},
        {"PutItem", "{'TableName':'Pairs','Item':{'pk':{'S':'two'},'g':{'S':'B'},'h':{'S':'A'}}}", 200, "{}"},
        {"Query", QUERY, 200, RIGHT},
    };
    struct larder_table *pairs;
    dynamodb_begin(f);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "Pairs", &pairs), LARDER_OK);
    changed = pairs;
    is_turned = 0;
    add_index();
    changed = NULL;
    for (int i = 0; i < 2 + (is_known ? LEARNED : 1); i++)
        dynamodb_expect(f, &rows[i < 2 ? i : 2]);
    changed = pairs;
    changes = 0;
}

static void expect_answer(int is_known, int status, const char *answer) {
    const struct row row = {"Query", QUERY, status, answer};
    struct dynamodb_fixture f;
    begin(&f, is_known);
    dynamodb_expect(&f, &row);
    cr_assert(changes >= changes_max);
    dynamodb_end(&f);
}

Test(dynamodb_changed, an_index_gets_other_keys) {
    for (changes_max = 1; changes_max <= 3; changes_max++) {
        expect_answer(0, 200, RIGHT);
        expect_answer(1, 200, RIGHT);
    }
}

Test(dynamodb_changed, an_index_is_dropped) {
    is_dropped = changes_max = 1;
    expect_answer(0, 400, VALIDATION("The table does not have the specified index: gs1"));
    expect_answer(1, 400, VALIDATION("The table does not have the specified index: gs1"));
}

/* Clients try again after a ThrottlingException. */
Test(dynamodb_changed, an_index_changes_all_the_time) {
    changes_max = 200;
    const struct row row = {"Query", QUERY, 400,
                            "{'__type':'com.amazon.coral.availability#ThrottlingException','message':'The table is "
                            "being changed. Try again.'}"};
    struct dynamodb_fixture f;
    begin(&f, 1);
    dynamodb_expect(&f, &row);
    cr_assert(changes < changes_max);
    changed = NULL;
    const struct row calm = {"Query", QUERY, 200, RIGHT};
    dynamodb_expect(&f, &calm);
    dynamodb_end(&f);
}
