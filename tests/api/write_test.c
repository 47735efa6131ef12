/* tests/api/write_test.c - larder_write(): puts, updates and deletes under a condition.
 *
 * Goal     The condition sees the present item, expired ones excepted; refused, nothing has
 *          changed. The page gets what `returns` says. An update changes the item, its place in an
 *          index and its expiry. What is not allowed is refused with DynamoDB's message, or names
 *          the member. Of processes that sell from one stock, never more is sold than there is.
 * Method   The public functions only. The language itself: tests/unit/expr/. Deaths at every store:
 *          tests/crash/scenarios.c (write_...).
 * Source   Developer guide, "DynamoDB condition expression CLI example", "Update expressions"; API
 *          reference, UpdateItem ("ReturnValues", "ReturnValuesOnConditionCheckFailure").
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(write, .timeout = 100 * SLOW_FACTOR);

#define START_S INT64_C(1700000000)
#define STOCK (6000 / SLOW_FACTOR)
#define MUCH INT64_C(1000000000)
#define SELLERS 3
#define KILLS 20
#define DEADLINE_MS 60000

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b, *values;
    struct larder_page *page;
};

static int64_t now_s;

static int64_t test_now(void *arg) {
    (void)arg;
    return now_s;
}

static const struct larder_index_def by_holder = {
    .name = "by-holder", .partition = {"holder", LARDER_S}, .sort = {"price", LARDER_N}};

static void begin_in(struct fixture *f, struct larder *db) {
    f->db = db;
    larder_set_clock(f->db, test_now, NULL);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->values), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
}

static void begin(struct fixture *f) {
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"id", LARDER_S},
                                         .indexes = &by_holder,
                                         .index_count = 1,
                                         .ttl_attribute = "expires"};
    struct larder *db = testseg_open(16u << 20, 4);
    now_s = START_S;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    begin_in(f, db);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
    larder_close(f->db);
}

/* ---- Items, expressions, values -------------------------------------------------------------- */

static const struct larder_item *an_item(struct fixture *f, const char *id, const char *holder, int64_t stock) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_s(f->b, "holder", holder);
    larder_builder_add_int(f->b, "price", 20);
    larder_builder_add_int(f->b, "stock", stock);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

/* One value: a number, or with text a string. */
static const struct larder_item *a_value(struct fixture *f, const char *name, const char *text, int64_t number) {
    const struct larder_item *item;
    larder_builder_reset(f->values);
    if (text)
        larder_builder_add_s(f->values, name, text);
    else
        larder_builder_add_int(f->values, name, number);
    EXPECT(larder_builder_finish(f->values, &item), LARDER_OK);
    return item;
}

static struct larder_expr *prepared(struct fixture *f, enum larder_expr_kind kind, const char *text) {
    struct larder_expr *expr;
    EXPECT(larder_prepare(f->db, kind, text, NULL, 0, &expr), LARDER_OK);
    return expr;
}

static struct larder_expr *condition(struct fixture *f, const char *text) {
    return prepared(f, LARDER_EXPR_CONDITION, text);
}

static struct larder_expr *update(struct fixture *f, const char *text) {
    return prepared(f, LARDER_EXPR_UPDATE, text);
}

static struct larder_key key_of(const char *id) {
    return (struct larder_key){.partition = larder_str(id)};
}

static int64_t number_of(const struct larder_item *item, const char *name) {
    struct larder_value value;
    int64_t number;
    EXPECT(larder_item_get(item, name, &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &number), LARDER_OK);
    return number;
}

static int64_t stored(struct fixture *f, const char *id, const char *name) {
    struct larder_key key = key_of(id);
    EXPECT(larder_get(f->t, &key, f->page), LARDER_OK);
    return number_of(larder_page_item(f->page, 0), name);
}

static int held_by(struct fixture *f, const char *holder) {
    EXPECT(
        larder_query(f->t, &(struct larder_query_spec){.index = "by-holder", .partition = larder_str(holder)}, f->page),
        LARDER_OK);
    return (int)larder_page_count(f->page);
}

/* ---- Put ------------------------------------------------------------------------------------- */

Test(write, a_put_only_of_a_new_item) {
    struct fixture f;
    begin(&f);
    struct larder_action put = {.kind = LARDER_ACTION_PUT,
                                .table = f.t,
                                .item = an_item(&f, "one", "ann", 5),
                                .condition = condition(&f, "attribute_not_exists(id)")};
    EXPECT(larder_write(&put, NULL), LARDER_OK);
    put.item = an_item(&f, "one", "bob", 6);
    EXPECT(larder_write(&put, f.page), LARDER_REFUSED);
    cr_assert_eq(larder_page_count(f.page), 0);
    put.returns_on_refusal = 1;
    EXPECT(larder_write(&put, f.page), LARDER_REFUSED);
    cr_assert_eq(larder_page_count(f.page), 1);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 5);
    cr_assert_eq(stored(&f, "one", "stock"), 5);
    cr_assert(held_by(&f, "ann") == 1 && held_by(&f, "bob") == 0);
    end(&f);
}

Test(write, a_put_gives_the_old_item) {
    struct fixture f;
    begin(&f);
    struct larder_action put = {.kind = LARDER_ACTION_PUT,
                                .table = f.t,
                                .item = an_item(&f, "one", "ann", 5),
                                .returns = LARDER_RETURNS_ALL_OLD};
    EXPECT(larder_write(&put, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0, "there was none");
    put.item = an_item(&f, "one", "ann", 6);
    put.condition = condition(&f, "stock = :n");
    put.values = a_value(&f, ":n", NULL, 5);
    EXPECT(larder_write(&put, f.page), LARDER_OK);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 5);
    put.returns = LARDER_RETURNS_NONE;
    put.condition = NULL;
    EXPECT(larder_write(&put, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    end(&f);
}

/* ---- Delete and check ------------------------------------------------------------------------ */

Test(write, a_delete) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    struct larder_action delete = {.kind = LARDER_ACTION_DELETE,
                                   .table = f.t,
                                   .key = key_of("one"),
                                   .condition = condition(&f, "stock < :n"),
                                   .values = a_value(&f, ":n", NULL, 5),
                                   .returns = LARDER_RETURNS_ALL_OLD};
    EXPECT(larder_write(&delete, f.page), LARDER_REFUSED);
    cr_assert_eq(larder_page_count(f.page), 0);
    delete.values = a_value(&f, ":n", NULL, 6);
    EXPECT(larder_write(&delete, f.page), LARDER_OK);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 5);
    EXPECT(larder_write(&delete, f.page), LARDER_REFUSED); /* a missing attribute is not less */
    delete.condition = NULL;
    delete.values = NULL;
    EXPECT(larder_write(&delete, f.page), LARDER_NOT_FOUND);
    cr_assert_eq(held_by(&f, "ann"), 0);
    end(&f);
}

Test(write, a_check_changes_nothing) {
    struct fixture f;
    begin(&f);
    struct larder_action check = {.kind = LARDER_ACTION_CHECK,
                                  .table = f.t,
                                  .key = key_of("one"),
                                  .condition = condition(&f, "attribute_exists(id)"),
                                  .returns_on_refusal = 1};
    EXPECT(larder_write(&check, NULL), LARDER_REFUSED);
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    EXPECT(larder_write(&check, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    check.condition = condition(&f, "stock > :n");
    check.values = a_value(&f, ":n", NULL, 5);
    EXPECT(larder_write(&check, f.page), LARDER_REFUSED);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 5);
    end(&f);
}

/* Expired means gone: for a condition, too. */
Test(write, an_expired_item_is_none) {
    struct fixture f;
    begin(&f);
    const struct larder_item *item = an_item(&f, "one", "ann", 5);
    larder_builder_add_int(f.b, "expires", START_S + 10);
    EXPECT(larder_builder_finish(f.b, &item), LARDER_OK);
    EXPECT(larder_put(f.t, item, NULL), LARDER_OK);
    struct larder_action add = {.kind = LARDER_ACTION_UPDATE,
                                .table = f.t,
                                .key = key_of("one"),
                                .condition = condition(&f, "attribute_not_exists(id)"),
                                .update = update(&f, "ADD stock :n"),
                                .values = a_value(&f, ":n", NULL, 3),
                                .returns = LARDER_RETURNS_ALL_OLD};
    EXPECT(larder_write(&add, f.page), LARDER_REFUSED);
    now_s += 20;
    EXPECT(larder_write(&add, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    cr_assert_eq(stored(&f, "one", "stock"), 3);
    end(&f);
}

/* ---- Update ---------------------------------------------------------------------------------- */

Test(write, an_update_changes_the_item_and_gives_it) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    struct larder_action sell = {.kind = LARDER_ACTION_UPDATE,
                                 .table = f.t,
                                 .key = key_of("one"),
                                 .condition = condition(&f, "stock >= :n"),
                                 .update = update(&f, "SET stock = stock - :n"),
                                 .values = a_value(&f, ":n", NULL, 3),
                                 .returns = LARDER_RETURNS_ALL_NEW};
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 2);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "price"), 20);
    cr_assert_eq(stored(&f, "one", "stock"), 2);
    sell.returns = LARDER_RETURNS_ALL_OLD;
    EXPECT(larder_write(&sell, f.page), LARDER_REFUSED);
    sell.values = a_value(&f, ":n", NULL, 2);
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 2);
    cr_assert_eq(stored(&f, "one", "stock"), 0);
    end(&f);
}

/* API reference, UpdateItem, "ReturnValues"; which parts of a document: tests/unit/expr/
 * expr_apply_test.c ("updated_attributes"). */
Test(write, an_update_gives_what_it_changed) {
    struct fixture f;
    begin(&f);
    struct larder_action sell = {.kind = LARDER_ACTION_UPDATE,
                                 .table = f.t,
                                 .key = key_of("one"),
                                 .update = update(&f, "ADD stock :n REMOVE price"),
                                 .values = a_value(&f, ":n", NULL, -3),
                                 .returns = LARDER_RETURNS_UPDATED_OLD};
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0, "there was no item");
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 2);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), 5);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "price"), 20);
    sell.returns = LARDER_RETURNS_UPDATED_NEW;
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 1);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "stock"), -1);
    sell.update = update(&f, "REMOVE price");
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0, "nothing of it is left");
    sell.update = NULL;
    EXPECT(larder_write(&sell, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    sell.condition = condition(&f, "attribute_exists(price)");
    sell.returns_on_refusal = 1;
    EXPECT(larder_write(&sell, f.page), LARDER_REFUSED);
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 3, "all of it");
    cr_assert_eq(stored(&f, "one", "stock"), -1);
    end(&f);
}

/* One attribute that is there: the short way (core/table/replace.h). Its limits, too. */
Test(write, an_update_of_one_attribute) {
    static char text[3000];
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    struct larder_action set = {
        .kind = LARDER_ACTION_UPDATE, .table = f.t, .key = key_of("one"), .update = update(&f, "SET holder = :v")};
    memset(text, 'h', sizeof text - 1);
    static const size_t lengths[] = {1, 127, 128, 1024, 1025, 2048, 3};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const char *holder = text + sizeof text - 1 - lengths[i];
        set.values = a_value(&f, ":v", holder, 0);
        EXPECT(larder_write(&set, NULL), LARDER_OK);
        cr_assert_eq(held_by(&f, holder), 1);
    }
    set.values = a_value(&f, ":v", text, 0);
    EXPECT(larder_write(&set, NULL), LARDER_E_INVAL); /* longer than a key of the index */
    set.values = a_value(&f, ":v", "", 0);
    EXPECT(larder_write(&set, NULL), LARDER_E_INVAL);
    cr_assert_eq(held_by(&f, "hhh"), 1);
    set.update = update(&f, "SET price = price - :v");
    set.values = a_value(&f, ":v", NULL, 30);
    EXPECT(larder_write(&set, NULL), LARDER_OK);
    cr_assert_eq(stored(&f, "one", "price"), -10);
    set.update = update(&f, "SET stock = if_not_exists(elsewhere, price)");
    set.values = NULL;
    EXPECT(larder_write(&set, NULL), LARDER_OK);
    cr_assert_eq(stored(&f, "one", "stock"), -10);
    set.update = update(&f, "SET expires = :v");
    set.values = a_value(&f, ":v", NULL, START_S + 50);
    EXPECT(larder_write(&set, NULL), LARDER_OK);
    set.values = a_value(&f, ":v", NULL, START_S + 5);
    EXPECT(larder_write(&set, NULL), LARDER_OK);
    set.update = update(&f, "SET price = :v");
    EXPECT(larder_write(&set, NULL), LARDER_OK);
    now_s += 6;
    EXPECT(larder_get(f.t, &set.key, f.page), LARDER_NOT_FOUND);
    end(&f);
}

Test(write, an_update_makes_the_item) {
    struct fixture f;
    begin(&f);
    struct larder_action add = {.kind = LARDER_ACTION_UPDATE, .table = f.t, .key = key_of("new")};
    EXPECT(larder_write(&add, NULL), LARDER_OK); /* the key alone */
    EXPECT(larder_get(f.t, &add.key, f.page), LARDER_OK);
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 1);
    add.update = update(&f, "ADD hits :n");
    add.values = a_value(&f, ":n", NULL, 7);
    add.key = key_of("newer");
    add.returns = LARDER_RETURNS_ALL_NEW;
    EXPECT(larder_write(&add, f.page), LARDER_OK);
    cr_assert_eq(number_of(larder_page_item(f.page, 0), "hits"), 7);
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 2);
    end(&f);
}

Test(write, an_update_moves_the_item_in_an_index_and_in_time) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    struct larder_action give = {.kind = LARDER_ACTION_UPDATE,
                                 .table = f.t,
                                 .key = key_of("one"),
                                 .update = update(&f, "SET holder = :o"),
                                 .values = a_value(&f, ":o", "bob", 0)};
    EXPECT(larder_write(&give, NULL), LARDER_OK);
    cr_assert(held_by(&f, "ann") == 0 && held_by(&f, "bob") == 1);
    give.update = update(&f, "REMOVE holder");
    give.values = NULL;
    EXPECT(larder_write(&give, NULL), LARDER_OK);
    cr_assert_eq(held_by(&f, "bob"), 0);
    give.update = update(&f, "SET expires = :s");
    give.values = a_value(&f, ":s", NULL, START_S + 10);
    EXPECT(larder_write(&give, NULL), LARDER_OK);
    cr_assert_eq(stored(&f, "one", "stock"), 5);
    now_s += 11;
    EXPECT(larder_get(f.t, &give.key, f.page), LARDER_NOT_FOUND);
    uint64_t removed;
    EXPECT(larder_expire(f.db, 0, &removed), LARDER_OK);
    cr_assert_eq(removed, 1);
    end(&f);
}

/* ---- What is refused ------------------------------------------------------------------------- */

#define EXPECT_INVAL(action, words)                                                                                    \
    do {                                                                                                               \
        EXPECT(larder_write(action, f.page), LARDER_E_INVAL);                                                          \
        cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);        \
    } while (0)

Test(write, members_that_do_not_belong_together) {
    struct fixture f;
    begin(&f);
    struct larder_expr *is_new = condition(&f, "attribute_not_exists(id)"), *remove = update(&f, "REMOVE stock");
    const struct larder_item *item = an_item(&f, "one", "ann", 5);
    EXPECT_INVAL((&(struct larder_action){.table = f.t}), "kind is 0");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_PUT}), "table");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.t}), "item is NULL");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_DELETE, .table = f.t, .item = item}), "only a PUT");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.t, .item = item, .update = remove}),
                 "only an UPDATE");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_CHECK, .table = f.t, .key = key_of("one")}),
                 "a CHECK needs one");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.t, .item = item, .condition = remove}),
                 "another kind of expression");
    EXPECT_INVAL(
        (&(struct larder_action){.kind = LARDER_ACTION_UPDATE, .table = f.t, .key = key_of("one"), .update = is_new}),
        "another kind of expression");
    EXPECT_INVAL((&(struct larder_action){
                     .kind = LARDER_ACTION_PUT, .table = f.t, .item = item, .returns = LARDER_RETURNS_ALL_NEW}),
                 "0 to 1 are allowed with PUT");
    EXPECT_INVAL((&(struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.t, .item = item, .reserved = {1}}),
                 "reserved");
    end(&f);
}

Test(write, what_dynamodb_refuses) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "one", "ann", 5), NULL), LARDER_OK);
    struct larder_action a = {.kind = LARDER_ACTION_UPDATE, .table = f.t, .key = key_of("one")};
    a.update = update(&f, "SET id = :v");
    a.values = a_value(&f, ":v", "two", 0);
    EXPECT_INVAL(&a, "Cannot update attribute id. This attribute is part of the key");
    a.update = update(&f, "SET stock = :w");
    EXPECT_INVAL(&a, ":w");
    a.update = update(&f, "SET holder = holder + :v");
    EXPECT_INVAL(&a, "operand type");
    a.update = update(&f, "SET stock = nothing");
    a.values = NULL;
    EXPECT_INVAL(&a, "does not exist in the item");
    a.update = update(&f, "SET stock.part = stock");
    EXPECT_INVAL(&a, "document path provided in the update expression is invalid for update");
    a.update = update(&f, "SET holder = stock"); /* a number, where the index needs a string */
    EXPECT_INVAL(&a, "holder");
    cr_assert_eq(stored(&f, "one", "stock"), 5);
    cr_assert_eq(held_by(&f, "ann"), 1);
    end(&f);
}

/* ---- Many at once ---------------------------------------------------------------------------- */

struct shop {
    struct larder *db;
    struct shop_counts {
        _Atomic int64_t sold;
    } * counts;
};

/* Sells one at a time until nothing is left. A sale is counted after it was acknowledged. */
static int sell(void *arg) {
    struct shop *shop = arg;
    struct fixture f;
    begin_in(&f, shop->db);
    struct larder_action action = {.kind = LARDER_ACTION_UPDATE,
                                   .table = f.t,
                                   .key = key_of("one"),
                                   .condition = condition(&f, "stock >= :n"),
                                   .update = update(&f, "SET stock = stock - :n ADD sales :n"),
                                   .values = a_value(&f, ":n", NULL, 1)};
    int r;
    while ((r = larder_write(&action, NULL)) == LARDER_OK)
        shop->counts->sold++;
    return r == LARDER_REFUSED ? 0 : 1;
}

static void begin_shop(struct fixture *f, struct shop *shop, int64_t stock) {
    begin(f);
    shop->db = f->db;
    shop->counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(larder_put(f->t, an_item(f, "one", "ann", stock), NULL), LARDER_OK);
}

Test(write, no_more_is_sold_than_there_is) {
    struct fixture f;
    struct shop shop;
    pid_t pids[SELLERS];
    begin_shop(&f, &shop, STOCK);
    for (int i = 0; i < SELLERS; i++)
        pids[i] = proc_fork(sell, &shop);
    for (int i = 0; i < SELLERS; i++)
        cr_assert(proc_is_exit(proc_wait(pids[i], DEADLINE_MS), 0));
    cr_assert_eq(shop.counts->sold, STOCK);
    cr_assert_eq(stored(&f, "one", "stock"), 0);
    cr_assert_eq(stored(&f, "one", "sales"), STOCK);
    end(&f);
}

/* A killed seller may have sold one that it did not count. */
Test(write, killed_sellers_lose_nothing) {
    struct fixture f;
    struct shop shop;
    begin_shop(&f, &shop, MUCH);
    for (int i = 0; i < KILLS; i++) {
        int64_t before = shop.counts->sold;
        pid_t pid = proc_fork(sell, &shop);
        cr_assert(UNTIL(shop.counts->sold > before + 10 * i, DEADLINE_MS));
        proc_kill(pid);
        int64_t stock = stored(&f, "one", "stock"), sales = stored(&f, "one", "sales");
        cr_assert_eq(stock + sales, MUCH);
        cr_assert(sales >= shop.counts->sold && sales <= shop.counts->sold + i + 1);
    }
    end(&f);
}
