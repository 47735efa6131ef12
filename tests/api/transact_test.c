/* tests/api/transact_test.c - larder_transact(): all actions or none.
 *
 * Goal     Conditions see the items as they were; one that is refused leaves all items as they are,
 *          and each action has its own reason. Limits are DynamoDB's. Two processes that move
 *          amounts between accounts in opposite directions neither deadlock nor lose anything,
 *          while they are killed and others write the accounts singly. A reader that has seen the
 *          new state of one item sees it of all, through get, index and scan, also beside
 *          transactions that were stopped at any store.
 * Method   The public functions only, but for the stores that a child stops at.
 * Source   API reference, TransactWriteItems (limits, "CancellationReasons",
 *          "ReturnValuesOnConditionCheckFailure"); developer guide, "Managing complex workflows
 *          with DynamoDB transactions".
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

TestSuite(transact, .timeout = 100 * SLOW_FACTOR);

#define DEADLINE_MS 60000
#define ACCOUNTS 12
#define START_AMOUNT 1000
#define MOVERS 3
#define KILLS 25
#define MOVES (1500 / SLOW_FACTOR)

struct fixture {
    struct larder *db;
    struct larder_table *t, *other;
    struct larder_builder *b, *values;
    struct larder_page *page;
};

static const struct larder_index_def by_holder = {
    .name = "by-holder", .partition = {"holder", LARDER_S}, .sort = {"amount", LARDER_N}};

static void begin_in(struct fixture *f, struct larder *db) {
    f->db = db;
    EXPECT(larder_table_open(db, "table", &f->t), LARDER_OK);
    EXPECT(larder_table_open(db, "other", &f->other), LARDER_OK);
    EXPECT(larder_builder_new(db, &f->b), LARDER_OK);
    EXPECT(larder_builder_new(db, &f->values), LARDER_OK);
    EXPECT(larder_page_new(db, &f->page), LARDER_OK);
}

static void begin(struct fixture *f) {
    struct larder_table_def def = {
        .name = "table", .partition = {"id", LARDER_S}, .indexes = &by_holder, .index_count = 1};
    struct larder *db = testseg_open(32u << 20, 8);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    def.name = "other";
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    begin_in(f, db);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0, "%s", report.first_error);
    larder_close(f->db);
}

/* ---- Items and actions ----------------------------------------------------------------------- */

static struct larder_key key_of(const char *id) {
    return (struct larder_key){.partition = larder_str(id)};
}

/* Of a builder of its own, so that many can be in one transaction. Ends with the handle. */
static const struct larder_item *an_item(struct fixture *f, const char *id, int64_t amount) {
    const struct larder_item *item;
    struct larder_builder *b;
    EXPECT(larder_builder_new(f->db, &b), LARDER_OK);
    larder_builder_add_s(b, "id", id);
    larder_builder_add_s(b, "holder", "ada");
    larder_builder_add_int(b, "amount", amount);
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    return item;
}

static const struct larder_item *a_number(struct fixture *f, int64_t number) {
    const struct larder_item *item;
    struct larder_builder *b;
    EXPECT(larder_builder_new(f->db, &b), LARDER_OK);
    larder_builder_add_int(b, ":n", number);
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
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

static struct larder_action put_of(struct larder_table *t, const struct larder_item *item) {
    return (struct larder_action){.kind = LARDER_ACTION_PUT, .table = t, .item = item};
}
static struct larder_action delete_of(struct larder_table *t, const char *id) {
    return (struct larder_action){.kind = LARDER_ACTION_DELETE, .table = t, .key = key_of(id)};
}
static struct larder_action check_of(struct larder_table *t, const char *id, const struct larder_expr *condition) {
    return (struct larder_action){.kind = LARDER_ACTION_CHECK, .table = t, .key = key_of(id), .condition = condition};
}

static int transact(struct fixture *f, const struct larder_action *actions, uint32_t count, int *results) {
    struct larder_transaction all = {.actions = actions, .count = count};
    return larder_transact(f->db, &all, results, f->page);
}

/* -1: there is none. */
static int64_t amount_in(struct fixture *f, struct larder_table *t, const char *id) {
    struct larder_value value;
    int64_t amount;
    struct larder_key key = key_of(id);
    int r = larder_get(t, &key, f->page);
    if (r == LARDER_NOT_FOUND)
        return -1;
    cr_assert_eq(r, LARDER_OK, "%s", larder_error());
    EXPECT(larder_item_get(larder_page_item(f->page, 0), "amount", &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &amount), LARDER_OK);
    return amount;
}

static uint32_t held_by_ada(struct fixture *f, struct larder_table *t) {
    struct larder_query_spec spec = {.index = "by-holder", .partition = larder_str("ada")};
    cr_assert(larder_query(t, &spec, f->page) >= 0, "%s", larder_error());
    return larder_page_count(f->page);
}

/* ---- All or none ----------------------------------------------------------------------------- */

Test(transact, all_kinds_of_actions_over_two_tables) {
    struct fixture f;
    int results[4];
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "goes", 1), NULL), LARDER_OK);
    EXPECT(larder_put(f.other, an_item(&f, "grows", 10), NULL), LARDER_OK);
    struct larder_action actions[] = {
        put_of(f.t, an_item(&f, "comes", 5)),
        {.kind = LARDER_ACTION_UPDATE,
         .table = f.other,
         .key = key_of("grows"),
         .update = prepared(&f, LARDER_EXPR_UPDATE, "SET amount = amount + :n"),
         .values = a_number(&f, 7)},
        delete_of(f.t, "goes"),
        delete_of(f.t, "was never there"),
    };
    cr_assert_eq(transact(&f, actions, 4, results), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_page_count(f.page), 0);
    cr_assert(results[0] == LARDER_OK && results[1] == LARDER_OK && results[2] == LARDER_OK &&
              results[3] == LARDER_NOT_FOUND);
    cr_assert_eq(amount_in(&f, f.t, "comes"), 5);
    cr_assert_eq(amount_in(&f, f.t, "goes"), -1);
    cr_assert_eq(amount_in(&f, f.other, "grows"), 17);
    cr_assert_eq(held_by_ada(&f, f.t), 1);
    cr_assert_eq(held_by_ada(&f, f.other), 1);
    end(&f);
}

/* API reference, TransactWriteItems, "CancellationReasons": one for each item, in order, "None" for
 * those that would have been done. All conditions are evaluated. */
Test(transact, one_refusal_refuses_all_and_each_action_has_a_reason) {
    struct fixture f;
    int results[5];
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "a", 1), NULL), LARDER_OK);
    EXPECT(larder_put(f.other, an_item(&f, "b", 2), NULL), LARDER_OK);
    struct larder_action actions[] = {
        put_of(f.t, an_item(&f, "new", 3)),
        check_of(f.t, "a", condition(&f, "amount > :n")),
        put_of(f.other, an_item(&f, "b", 9)),
        check_of(f.other, "none", condition(&f, "attribute_exists(id)")),
        {.kind = LARDER_ACTION_UPDATE,
         .table = f.t,
         .key = key_of("word"),
         .update = prepared(&f, LARDER_EXPR_UPDATE, "SET amount = absent_one + :n"),
         .values = a_number(&f, 1)},
    };
    actions[1].values = a_number(&f, 1);
    actions[1].returns_on_refusal = actions[3].returns_on_refusal = 1;
    cr_assert_eq(transact(&f, actions, 5, results), LARDER_REFUSED, "%s", larder_error());
    cr_assert(results[0] == LARDER_OK && results[1] == LARDER_REFUSED && results[2] == LARDER_OK &&
              results[3] == LARDER_REFUSED && results[4] == LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "actions[4]"), "%s", larder_error());
    cr_assert_eq(larder_page_count(f.page), 5);
    struct larder_value id;
    EXPECT(larder_item_get(larder_page_item(f.page, 1), "id", &id), LARDER_OK);
    cr_assert(id.bytes == 1 && memcmp(id.data, "a", 1) == 0);
    cr_assert(!larder_page_item(f.page, 0) && !larder_page_item(f.page, 2) && !larder_page_item(f.page, 3) &&
              !larder_page_item(f.page, 4));
    cr_assert_eq(amount_in(&f, f.t, "new"), -1);
    cr_assert_eq(amount_in(&f, f.other, "b"), 2);
    end(&f);
}

/* Conditions and updates see the state before the transaction, of the other actions, too. */
Test(transact, conditions_see_the_items_as_they_were) {
    struct fixture f;
    begin(&f);
    struct larder_expr *missing = condition(&f, "attribute_not_exists(id)");
    struct larder_action actions[] = {put_of(f.t, an_item(&f, "x", 1)), put_of(f.t, an_item(&f, "y", 1)),
                                      check_of(f.t, "z", missing)};
    actions[0].condition = actions[1].condition = missing;
    EXPECT(transact(&f, actions, 3, NULL), LARDER_OK);
    EXPECT(transact(&f, actions, 3, NULL), LARDER_REFUSED);
    end(&f);
}

/* An item keeps its key sequences of index keys that do not change, and is found by the index all
 * the same. A stripe's items come and go within one transaction. */
Test(transact, hundred_items_of_few_stripes) {
    struct fixture f;
    struct larder_action actions[LARDER_TRANSACT_ACTIONS_MAX];
    char id[LARDER_TRANSACT_ACTIONS_MAX][32];
    begin(&f);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < LARDER_TRANSACT_ACTIONS_MAX; i++) {
            snprintf(id[i], sizeof id[i], "item-%d", i);
            actions[i] = round == 3 ? delete_of(i % 2 ? f.t : f.other, id[i])
                                    : put_of(i % 2 ? f.t : f.other, an_item(&f, id[i], round == 2 ? 1 : round));
        }
        cr_assert_eq(transact(&f, actions, LARDER_TRANSACT_ACTIONS_MAX, NULL), LARDER_OK, "%s", larder_error());
        cr_assert_eq(held_by_ada(&f, f.t), round == 3 ? 0 : LARDER_TRANSACT_ACTIONS_MAX / 2);
        cr_assert_eq(amount_in(&f, f.t, "item-51"), round == 3 ? -1 : round == 2 ? 1 : round);
    }
    end(&f);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static int refuses(struct fixture *f, const struct larder_action *actions, uint32_t count, const char *word) {
    int r = transact(f, actions, count, NULL);
    return r == LARDER_E_INVAL && strstr(larder_error(), word) != NULL;
}

/* API reference, TransactWriteItems: up to 100 actions; "cannot target the same item"; 4 MB. */
Test(transact, limits) {
    struct fixture f;
    static char fill[390000];
    struct larder_action many[LARDER_TRANSACT_ACTIONS_MAX + 1];
    char id[LARDER_TRANSACT_ACTIONS_MAX + 1][16];
    begin(&f);
    memset(fill, 'x', sizeof fill);
    for (int i = 0; i <= LARDER_TRANSACT_ACTIONS_MAX; i++) {
        snprintf(id[i], sizeof id[i], "%d", i);
        many[i] = delete_of(f.t, id[i]);
    }
    cr_assert(refuses(&f, many, LARDER_TRANSACT_ACTIONS_MAX + 1, "1 to 100 actions"));
    cr_assert(refuses(&f, many, 0, "1 to 100 actions"));
    many[7] = put_of(f.t, an_item(&f, "3", 1));
    cr_assert(refuses(&f, many, 10, "cannot include multiple operations on one item"), "%s", larder_error());
    many[7].table = f.other; /* the same key in another table is another item */
    EXPECT(transact(&f, many, 10, NULL), LARDER_OK);
    for (int i = 0; i < 11; i++) { /* 11 times 390 KB are more than 4 MB */
        const struct larder_item *item;
        struct larder_builder *b;
        EXPECT(larder_builder_new(f.db, &b), LARDER_OK);
        larder_builder_add_s(b, "id", id[i]);
        larder_builder_add_sn(b, "fill", fill, sizeof fill);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        many[i] = put_of(f.t, item);
    }
    cr_assert(refuses(&f, many, 11, "4194304 are allowed"), "%s", larder_error());
    cr_assert_eq(amount_in(&f, f.other, "3"), 1);
    EXPECT(transact(&f, many, 10, NULL), LARDER_OK);
    EXPECT(larder_put(f.t, many[10].item, NULL), LARDER_OK);
    for (int i = 0; i < 11; i++) /* items that are put, checked and deleted count as they were */
        many[i] = i % 3 == 0   ? put_of(f.t, an_item(&f, id[i], 1))
                  : i % 3 == 1 ? delete_of(f.t, id[i])
                               : (struct larder_action){.kind = LARDER_ACTION_CHECK,
                                                        .table = f.t,
                                                        .key = key_of(id[i]),
                                                        .condition = condition(&f, "attribute_exists(id)")};
    cr_assert(refuses(&f, many, 11, "4194304 are allowed"), "%s", larder_error());
    EXPECT(transact(&f, many, 10, NULL), LARDER_OK);
    EXPECT(transact(&f, many + 10, 1, NULL), LARDER_OK);
    end(&f);
}

Test(transact, what_is_not_valid_names_the_action) {
    struct fixture f;
    begin(&f);
    struct larder_action actions[] = {delete_of(f.t, "a"), delete_of(f.t, "b")};
    actions[1].returns = LARDER_RETURNS_ALL_OLD;
    cr_assert(refuses(&f, actions, 2, "actions[1]"), "%s", larder_error());
    actions[1].returns = LARDER_RETURNS_NONE;
    actions[1].kind = LARDER_ACTION_CHECK;
    cr_assert(refuses(&f, actions, 2, "actions[1]"), "%s", larder_error());
    actions[1] = delete_of(f.t, "b");
    actions[1].key.partition = (struct larder_value){.type = LARDER_B, .data = "b", .bytes = 1};
    cr_assert(refuses(&f, actions, 2, "actions[1]"), "%s", larder_error());
    actions[1] = delete_of(NULL, "b");
    cr_assert(refuses(&f, actions, 2, "actions[1]"), "%s", larder_error());
    struct larder *elsewhere = testseg_open(8u << 20, 2);
    struct larder_table_def def = {.name = "table", .partition = {"id", LARDER_S}};
    struct larder_table *foreign;
    EXPECT(larder_table_create(elsewhere, &def), LARDER_OK);
    EXPECT(larder_table_open(elsewhere, "table", &foreign), LARDER_OK);
    actions[1] = delete_of(foreign, "b");
    cr_assert(refuses(&f, actions, 2, "another attachment"), "%s", larder_error());
    larder_close(elsewhere);
    end(&f);
}

/* A full segment: nothing has changed, and nothing is left behind. */
Test(transact, full_segment) {
    struct fixture f;
    static char fill[100000];
    int r = LARDER_OK, count = 0;
    begin(&f);
    memset(fill, 'x', sizeof fill);
    EXPECT(larder_put(f.other, an_item(&f, "mark", 0), NULL), LARDER_OK);
    for (; r == LARDER_OK && count < 1000; count++) {
        struct larder_action actions[3];
        char id[2][32];
        struct larder_builder *b[2];
        for (int i = 0; i < 2; i++) {
            const struct larder_item *item;
            snprintf(id[i], sizeof id[i], "%d-%d", count, i);
            EXPECT(larder_builder_new(f.db, &b[i]), LARDER_OK);
            larder_builder_add_s(b[i], "id", id[i]);
            larder_builder_add_sn(b[i], "fill", fill, sizeof fill);
            EXPECT(larder_builder_finish(b[i], &item), LARDER_OK);
            actions[i] = put_of(f.t, item);
        }
        actions[2] = put_of(f.other, an_item(&f, "mark", count + 1));
        r = transact(&f, actions, 3, NULL);
        larder_builder_free(b[0]);
        larder_builder_free(b[1]);
    }
    cr_assert_eq(r, LARDER_E_FULL, "%s", larder_error());
    cr_assert_eq(amount_in(&f, f.other, "mark"), count - 1);
    struct larder_table_stats stats;
    EXPECT(larder_table_stats(f.t, &stats), LARDER_OK);
    cr_assert_eq(stats.item_count, (uint64_t)(count - 1) * 2);
    end(&f);
}

/* ---- Reading together ------------------------------------------------------------------------ */

static int gets(struct fixture *f, const struct larder_transact_key *keys, uint32_t count) {
    return larder_transact_get(f->db, keys, count, f->page);
}
static int get_refuses(struct fixture *f, const struct larder_transact_key *keys, uint32_t count, const char *word) {
    return gets(f, keys, count) == LARDER_E_INVAL && strstr(larder_error(), word) && larder_page_count(f->page) == 0;
}

/* API reference, TransactGetItems: results in the order of the keys, up to 100, of any tables. */
/* API reference, TransactGetItems: "ProjectionExpression", of each item its own. */
Test(transact, gets_what_was_asked_for_of_each_item) {
    struct fixture f;
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "a", 7), NULL), LARDER_OK);
    EXPECT(larder_put(f.other, an_item(&f, "a", 9), NULL), LARDER_OK);
    struct larder_transact_key keys[] = {
        {.table = f.t, .key = key_of("a"), .projection = prepared(&f, LARDER_EXPR_PROJECTION, "amount")},
        {.table = f.t, .key = key_of("none"), .projection = prepared(&f, LARDER_EXPR_PROJECTION, "amount")},
        {.table = f.other, .key = key_of("a")}};
    EXPECT(larder_transact_get(f.db, keys, 3, f.page), LARDER_OK);
    struct larder_value v;
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 1);
    EXPECT(larder_item_get(larder_page_item(f.page, 0), "amount", &v), LARDER_OK);
    cr_assert_null(larder_page_item(f.page, 1));
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 2)), 3);
    keys[2].projection = condition(&f, "attribute_exists(id)");
    EXPECT(larder_transact_get(f.db, keys, 3, f.page), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "keys[2]: projection was prepared as another kind"), "%s",
                       larder_error());
    end(&f);
}

Test(transact, gets_items_of_two_tables) {
    struct fixture f;
    struct larder_transact_key many[LARDER_TRANSACT_ACTIONS_MAX + 1];
    char id[LARDER_TRANSACT_ACTIONS_MAX + 1][16];
    begin(&f);
    EXPECT(larder_put(f.t, an_item(&f, "a", 1), NULL), LARDER_OK);
    EXPECT(larder_put(f.other, an_item(&f, "a", 2), NULL), LARDER_OK);
    struct larder_transact_key keys[] = {{.table = f.other, .key = key_of("a")},
                                         {.table = f.t, .key = key_of("none")},
                                         {.table = f.t, .key = key_of("a")}};
    cr_assert_eq(gets(&f, keys, 3), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_page_count(f.page), 3);
    cr_assert(!larder_page_item(f.page, 1) && larder_page_is_snapshot(f.page));
    struct larder_value first, last;
    EXPECT(larder_item_get(larder_page_item(f.page, 0), "amount", &first), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f.page, 2), "amount", &last), LARDER_OK);
    int64_t numbers[2];
    EXPECT(larder_value_int64(&first, &numbers[0]), LARDER_OK);
    EXPECT(larder_value_int64(&last, &numbers[1]), LARDER_OK);
    cr_assert(numbers[0] == 2 && numbers[1] == 1);
    for (int i = 0; i <= LARDER_TRANSACT_ACTIONS_MAX; i++) {
        snprintf(id[i], sizeof id[i], "%d", i);
        many[i] = (struct larder_transact_key){.table = f.t, .key = key_of(id[i])};
    }
    cr_assert_eq(gets(&f, many, LARDER_TRANSACT_ACTIONS_MAX), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), LARDER_TRANSACT_ACTIONS_MAX);
    cr_assert(get_refuses(&f, many, LARDER_TRANSACT_ACTIONS_MAX + 1, "1 to 100 keys"));
    cr_assert(get_refuses(&f, many, 0, "1 to 100 keys"));
    many[5].key = key_of("3");
    cr_assert(get_refuses(&f, many, 6, "keys[3] and keys[5] are the same"), "%s", larder_error());
    many[5] = (struct larder_transact_key){.table = NULL, .key = key_of("5")};
    cr_assert(get_refuses(&f, many, 6, "keys[5].table is NULL"));
    many[5] = (struct larder_transact_key){.table = f.t, .key = key_of("5"), .reserved = {1}};
    cr_assert(get_refuses(&f, many, 6, "reserved"));
    end(&f);
}

/* ---- Many processes -------------------------------------------------------------------------- */

struct shared {
    _Atomic uint64_t moves, number;
    _Atomic int is_over;
};
static struct shared *shared;
static int segment;

static struct larder *attach(void) {
    struct larder *db;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = segment, .busy_timeout_ms = 20000};
    EXPECT(larder_open(&o, &db), LARDER_OK);
    return db;
}

static void account_name(char name[16], uint64_t i) {
    snprintf(name, 16, "account-%d", (int)(i % ACCOUNTS));
}

/* One from an account to the next but some, if it has one; the two lie in different tables half the
 * time. */
static int move_one(struct fixture *f, uint64_t seed, const struct larder_expr *from, const struct larder_expr *to,
                    const struct larder_expr *has, const struct larder_item *one) {
    char a[16], b[16];
    account_name(a, seed);
    account_name(b, seed + 1 + seed / ACCOUNTS % (ACCOUNTS - 1));
    struct larder_action actions[] = {{.kind = LARDER_ACTION_UPDATE,
                                       .table = f->t,
                                       .key = key_of(a),
                                       .update = from,
                                       .condition = has,
                                       .values = one},
                                      {.kind = LARDER_ACTION_UPDATE,
                                       .table = seed % 2 ? f->t : f->other,
                                       .key = key_of(b),
                                       .update = to,
                                       .values = one}};
    if (seed % 3 == 0)
        actions[0].table = f->other;
    return transact(f, actions, 2, NULL);
}

static int mover(void *arg) {
    struct fixture f;
    begin_in(&f, attach());
    struct larder_expr *from = prepared(&f, LARDER_EXPR_UPDATE, "SET amount = amount - :n"),
                       *to = prepared(&f, LARDER_EXPR_UPDATE, "ADD amount :n"), *has = condition(&f, "amount >= :n");
    const struct larder_item *one = a_number(&f, 1);
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    while (!atomic_load(&shared->is_over)) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        int r = move_one(&f, seed >> 33, from, to, has, one);
        if (r != LARDER_OK && r != LARDER_REFUSED) {
            fprintf(stderr, "mover: %s\n", larder_error());
            return 1;
        }
        atomic_fetch_add(&shared->moves, 1);
    }
    return 0;
}

static int64_t sum_of(struct fixture *f, struct larder_table *t, int *is_snapshot) {
    int64_t sum = 0, amount;
    struct larder_value value;
    struct larder_query_spec spec = {.index = "by-holder", .partition = larder_str("ada")};
    cr_assert_eq(larder_query(t, &spec, f->page), LARDER_OK, "%s", larder_error());
    *is_snapshot = larder_page_is_snapshot(f->page);
    for (uint32_t i = 0; i < larder_page_count(f->page); i++) {
        EXPECT(larder_item_get(larder_page_item(f->page, i), "amount", &value), LARDER_OK);
        EXPECT(larder_value_int64(&value, &amount), LARDER_OK);
        sum += amount;
    }
    return sum;
}

/* Of all accounts, as of one moment. -1: they changed faster than they could be read. */
static int64_t sum_together(struct fixture *f) {
    struct larder_transact_key keys[2 * ACCOUNTS] = {0};
    char name[ACCOUNTS][16];
    int64_t sum = 0, amount;
    struct larder_value value;
    for (int i = 0; i < 2 * ACCOUNTS; i++) {
        account_name(name[i / 2], (uint64_t)i / 2);
        keys[i].table = i % 2 ? f->other : f->t;
        keys[i].key = key_of(name[i / 2]);
    }
    int r = larder_transact_get(f->db, keys, 2 * ACCOUNTS, f->page);
    if (r == LARDER_E_BUSY)
        return -1;
    cr_assert_eq(r, LARDER_OK, "%s", larder_error());
    for (uint32_t i = 0; i < 2 * ACCOUNTS; i++) {
        EXPECT(larder_item_get(larder_page_item(f->page, i), "amount", &value), LARDER_OK);
        EXPECT(larder_value_int64(&value, &amount), LARDER_OK);
        sum += amount;
    }
    return sum;
}

static void *new_shared(void) {
    void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(at != MAP_FAILED);
    return at;
}

/* Nothing is lost or made, whatever dies or stands still, at any moment. */
Test(transact, amounts_move_between_accounts_while_processes_die) {
    struct fixture f;
    pid_t movers[MOVERS];
    uint64_t kills = 0, sums = 0;
    int is_snapshot;
    begin(&f);
    shared = new_shared();
    segment = larder_memfd(f.db);
    for (int i = 0; i < ACCOUNTS; i++) {
        char name[16];
        account_name(name, (uint64_t)i);
        EXPECT(larder_put(f.t, an_item(&f, name, START_AMOUNT), NULL), LARDER_OK);
        EXPECT(larder_put(f.other, an_item(&f, name, START_AMOUNT), NULL), LARDER_OK);
    }
    for (uintptr_t i = 0; i < MOVERS; i++)
        movers[i] = proc_fork(mover, (void *)(i + 1));
    for (; kills < KILLS || atomic_load(&shared->moves) < MOVES; kills++) {
        uint64_t seen = atomic_load(&shared->moves);
        cr_assert(UNTIL(atomic_load(&shared->moves) > seen + kills % 17, DEADLINE_MS));
        for (int looks = 0; looks < 200; looks++) { /* the last of them beside one that stands still */
            if (looks == 190)
                proc_stop(movers[kills % MOVERS]);
            int64_t sum = sum_together(&f);
            sums += sum >= 0;
            cr_assert(sum < 0 || sum == (int64_t)2 * ACCOUNTS * START_AMOUNT, "sum %ld", (long)sum);
        }
        cr_assert(proc_is_signal(proc_kill(movers[kills % MOVERS]), SIGKILL));
        movers[kills % MOVERS] = proc_fork(mover, (void *)(uintptr_t)(100 + kills));
    }
    atomic_store(&shared->is_over, 1);
    for (int i = 0; i < MOVERS; i++)
        cr_assert(proc_is_exit(proc_wait(movers[i], DEADLINE_MS), 0));
    cr_assert(sums > 100 * kills, "%lu of %lu reads", (unsigned long)sums, (unsigned long)(200 * kills));
    cr_assert_eq(sum_of(&f, f.t, &is_snapshot) + sum_of(&f, f.other, &is_snapshot),
                 (int64_t)2 * ACCOUNTS * START_AMOUNT);
    end(&f);
}
