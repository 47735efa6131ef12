/* tests/crash/token_test.c - a transaction with a client token that is sent again.
 *
 * Goal     Within ten minutes it is done once: sent again in a row, by several processes at once,
 *          and after a death of the sender at any store. One with other contents is refused and
 *          changes nothing; one that was refused has not used its token.
 * Method   Each transaction adds 1 to a counter in one table and puts an item into another. A child
 *          dies at its k-th store, for every k; the parent then sends the same again.
 * Source   API reference, TransactWriteItems, "ClientRequestToken": 1 to 36 characters, valid for
 *          10 minutes, IdempotentParameterMismatch.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/crash.h"
#include "core/table/table_life.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(token, .timeout = 100 * SLOW_FACTOR);

#define DEADLINE_MS 60000
#define STORES_MAX 20000
#define STEP (SLOW_FACTOR > 1 ? 9 : 1)
#define SENDERS 3
#define SENT 150

static int64_t now_s = 1700000000;

static int64_t test_now(void *arg) {
    (void)arg;
    return now_s;
}

struct fixture {
    struct larder *db;
    struct larder_table *counters, *others;
    struct larder_expr *add, *is_small;
    struct larder_page *page;
};

static void begin_in(struct fixture *f, struct larder *db) {
    f->db = db;
    larder_set_clock(db, test_now, NULL);
    EXPECT(larder_table_open(db, "counters", &f->counters), LARDER_OK);
    EXPECT(larder_table_open(db, "others", &f->others), LARDER_OK);
    EXPECT(larder_prepare(db, LARDER_EXPR_UPDATE, "ADD amount :n", NULL, 0, &f->add), LARDER_OK);
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "attribute_not_exists(id) OR amount < :n", NULL, 0, &f->is_small),
           LARDER_OK);
    EXPECT(larder_page_new(db, &f->page), LARDER_OK);
}

static void begin(struct fixture *f) {
    struct larder *db = testseg_open(8u << 20, 4);
    EXPECT(larder_table_create(db, &(struct larder_table_def){.name = "counters", .partition = {"id", LARDER_S}}),
           LARDER_OK);
    EXPECT(larder_table_create(db, &(struct larder_table_def){.name = "others", .partition = {"id", LARDER_S}}),
           LARDER_OK);
    begin_in(f, db);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0, "%s", report.first_error);
    larder_close(f->db);
}

/* Adds `by`, and puts an item that names the token. */
static int send(struct fixture *f, const char *token, int64_t by, int is_limited) {
    struct larder_builder *values, *b;
    struct larder_action actions[2] = {{.kind = LARDER_ACTION_UPDATE,
                                        .table = f->counters,
                                        .key = {larder_str("one"), larder_str("")},
                                        .update = f->add},
                                       {.kind = LARDER_ACTION_PUT, .table = f->others}};
    if (larder_builder_new(f->db, &values) || larder_builder_new(f->db, &b))
        return LARDER_E_NO_MEMORY;
    larder_builder_add_int(values, ":n", by);
    larder_builder_add_s(b, "id", token ? token : "none");
    if (larder_builder_finish(values, &actions[0].values) || larder_builder_finish(b, &actions[1].item))
        return LARDER_E_INVAL;
    if (is_limited)
        actions[0].condition = f->is_small;
    struct larder_transaction all = {.actions = actions, .count = 2, .token = token};
    int r = larder_transact(f->db, &all, NULL, NULL);
    larder_builder_free(values);
    larder_builder_free(b);
    return r;
}

static int64_t amount(struct fixture *f) {
    struct larder_key key = {.partition = larder_str("one")};
    struct larder_value value;
    int64_t number;
    int r = larder_get(f->counters, &key, f->page);
    if (r == LARDER_NOT_FOUND)
        return 0;
    EXPECT(r, LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f->page, 0), "amount", &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &number), LARDER_OK);
    return number;
}

Test(token, is_done_once_in_ten_minutes) {
    struct fixture f;
    begin(&f);
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 1);
    EXPECT(send(&f, "b", 1, 0), LARDER_OK);
    EXPECT(send(&f, NULL, 1, 0), LARDER_OK);
    EXPECT(send(&f, NULL, 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 4);
    now_s += 599;
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 4);
    now_s += 2;
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 5);
    const char *names[4];
    uint32_t count;
    EXPECT(larder_table_list(f.db, names, 4, &count), LARDER_OK);
    cr_assert(count == 2 && strcmp(names[0], "counters") == 0 && strcmp(names[1], "others") == 0);
    end(&f);
}

/* API reference: a string. */
Test(token, is_text) {
    struct fixture f;
    char text[40] = "";
    begin(&f);
    EXPECT(send(&f, "gr\xc3\xbc\xc3\x9f", 1, 0), LARDER_OK);
    struct larder_action action = {
        .kind = LARDER_ACTION_DELETE, .table = f.others, .key = {larder_str("x"), larder_str("")}};
    struct larder_transaction no_text = {.actions = &action, .count = 1, .token = "\xc3"};
    EXPECT(larder_transact(f.db, &no_text, NULL, NULL), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "the token is not UTF-8") && !strstr(larder_error(), "actions["), "%s",
              larder_error());
    EXPECT(send(&f, text, 1, 0), LARDER_E_INVAL);
    memset(text, 'x', 37);
    EXPECT(send(&f, text, 1, 0), LARDER_E_INVAL);
    text[36] = 0;
    EXPECT(send(&f, text, 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 2);
    end(&f);
}

/* No program gets a handle of the table, so none can put into it or change it. */
static void expect_reserved(struct fixture *f) {
    const struct larder_table_def def = {.name = "larder.tokens", .partition = {"id", LARDER_N}};
    const struct larder_table_def other = {.name = "larder.other", .partition = {"id", LARDER_N}};
    struct larder_table *t = NULL;
    EXPECT(larder_table_create(f->db, &def), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "\"larder.\""), "%s", larder_error());
    EXPECT(larder_table_create(f->db, &other), LARDER_E_INVAL);
    EXPECT(larder_table_open(f->db, "larder.tokens", &t), LARDER_E_INVAL);
    cr_assert(!t && strstr(larder_error(), "library's own"), "%s", larder_error());
    EXPECT(larder_table_open(f->db, "larder.other", &t), LARDER_E_NO_TABLE);
}

Test(token, the_table_is_the_librarys_own) {
    struct fixture f;
    begin(&f);
    expect_reserved(&f);
    EXPECT(larder_table_drop(f.db, "larder.tokens"), LARDER_E_NO_TABLE);
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    expect_reserved(&f);
    EXPECT(larder_table_drop(f.db, "larder.tokens"), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "library's own"), "%s", larder_error());
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 1);
    end(&f);
}

/* Libraries before this rule let a program make the table, or change it. */
Test(token, a_table_that_a_program_changed_can_be_dropped) {
    static const struct larder_table_def defs[] = {{.name = "larder.tokens", .partition = {"id", LARDER_N}},
                                                   {.name = "larder.tokens", .partition = {"token", LARDER_S}},
                                                   {.name = "larder.tokens",
                                                    .partition = {"token", LARDER_S},
                                                    .sort = {"s", LARDER_S},
                                                    .ttl_attribute = "expires"},
                                                   {.name = "larder.tokens",
                                                    .partition = {"token", LARDER_S},
                                                    .ttl_attribute = "expires",
                                                    .eviction = LARDER_EVICTION_SIEVE}};
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof defs / sizeof *defs; i++) {
        EXPECT(table_create(f.db, &defs[i]), LARDER_OK);
        EXPECT(send(&f, "a", 1, 0), LARDER_E_INVAL);
        cr_assert(strstr(larder_error(), "drop it to use tokens") && !strstr(larder_error(), "actions["), "%s",
                  larder_error());
        EXPECT(larder_table_drop(f.db, "larder.tokens"), LARDER_OK);
    }
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    cr_assert_eq(amount(&f), 1);
    end(&f);
}

Test(token, other_contents_are_refused) {
    struct fixture f;
    begin(&f);
    EXPECT(send(&f, "a", 1, 0), LARDER_OK);
    cr_assert_eq(send(&f, "a", 2, 0), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "IdempotentParameterMismatch"), "%s", larder_error());
    cr_assert_eq(send(&f, "a", 1, 1), LARDER_E_INVAL);
    cr_assert_eq(amount(&f), 1);
    cr_assert_eq(send(&f, "", 1, 0), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "1 to 36"), "%s", larder_error());
    cr_assert_eq(send(&f, "0123456789012345678901234567890123456", 1, 0), LARDER_E_INVAL);
    EXPECT(send(&f, "012345678901234567890123456789012345", 1, 0), LARDER_OK);
    end(&f);
}

Test(token, a_refused_transaction_has_not_used_it) {
    struct fixture f;
    struct larder_key key = {.partition = larder_str("one")};
    begin(&f);
    EXPECT(send(&f, "a", 5, 0), LARDER_OK);
    EXPECT(send(&f, "b", 5, 1), LARDER_REFUSED);
    EXPECT(send(&f, "b", 5, 1), LARDER_REFUSED);
    EXPECT(larder_delete(f.counters, &key, NULL), LARDER_OK);
    EXPECT(send(&f, "b", 5, 1), LARDER_OK);
    EXPECT(send(&f, "b", 5, 1), LARDER_OK); /* its condition is not true any more */
    cr_assert_eq(amount(&f), 5);
    end(&f);
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

struct sender {
    struct fixture *f;
    const char *token;
    uint64_t k;
};

static int send_and_die(void *arg) {
    const struct sender *s = arg;
    struct fixture f;
    begin_in(&f, testseg_attach(s->f->db, 0));
    shm_crash_arm(s->k);
    return send(&f, s->token, 1, 0) == LARDER_OK ? 0 : 1;
}

Test(token, sent_again_after_a_death_at_any_store) {
    struct fixture f;
    int64_t done = 0;
    int has_lived = 0;
    begin(&f);
    for (uint64_t k = 1; !has_lived && k < STORES_MAX; k += STEP) {
        char token[32];
        snprintf(token, sizeof token, "token-%lu", (unsigned long)k);
        struct proc_result end = proc_run(send_and_die, &(struct sender){&f, token, k}, DEADLINE_MS);
        has_lived = proc_is_exit(end, 0);
        cr_assert(has_lived || proc_is_signal(end, SIGKILL), "%s", proc_text(end));
        EXPECT(send(&f, token, 1, 0), LARDER_OK);
        cr_assert_eq(amount(&f), ++done, "store %lu: %ld of %ld", (unsigned long)k, (long)amount(&f), (long)done);
    }
    cr_assert(has_lived && done > 100 / STEP);
    end(&f);
}

static int send_all(void *arg) {
    struct fixture f;
    begin_in(&f, testseg_attach(((struct fixture *)arg)->db, 0));
    for (int i = 0; i < SENT; i++) {
        char token[32];
        snprintf(token, sizeof token, "token-%d", i);
        if (send(&f, token, 1, 0) != LARDER_OK)
            return 1;
    }
    return 0;
}

Test(token, sent_by_several_processes_at_once) {
    struct fixture f;
    pid_t pids[SENDERS];
    begin(&f);
    for (int i = 0; i < SENDERS; i++)
        pids[i] = proc_fork(send_all, &f);
    for (int i = 0; i < SENDERS; i++)
        cr_assert(proc_is_exit(proc_wait(pids[i], DEADLINE_MS), 0));
    cr_assert_eq(amount(&f), SENT);
    end(&f);
}
