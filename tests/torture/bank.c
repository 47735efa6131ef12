/* tests/torture/bank.c - transactions between accounts: no amount comes or goes.
 *
 * Job      See torture.h. Accounts are items of the tables "Bank" and "Vault". A transfer of random
 *          size takes from some and gives to as many, in one transaction or not at all. So the sum
 *          of all is what it was at first: in every read of all as of one moment, whatever was
 *          killed or stopped in between. An account has its amount a second time, as a key of an
 *          index; both change together, and each index entry leads to its account.
 */
#include <stdio.h>

#include "tests/support/until.h"
#include "tests/torture/torture.h"

#define ACCOUNTS 24u
#define AMOUNT 1000 /* of each at first */
#define PAIRS_MAX 8u
#define BY 3

static const char *const names[BANK_TABLES] = {"Bank", "Vault"};

static struct larder_table *table_of(const struct client *c, uint32_t n) {
    return c->bank.table[n % BANK_TABLES];
}

static struct larder_key key_of(uint32_t n, char text[16]) {
    snprintf(text, 16, "account%u", n);
    return (struct larder_key){.partition = larder_str(text)};
}

/* ---- The tables ------------------------------------------------------------------------------ */

static struct larder_expr *prepared(struct client *c, enum larder_expr_kind kind, const char *text) {
    struct larder_expr *expr;
    int r = larder_prepare(c->db, kind, text, NULL, 0, &expr);
    if (r)
        client_failed(c, "bank: prepare", r);
    return expr;
}

static const struct larder_item *values_of(struct client *c, int64_t by) {
    const struct larder_item *item;
    struct larder_builder *b;
    int r = larder_builder_new(c->db, &b);
    if (r == LARDER_OK)
        r = larder_builder_add_int(b, ":by", by);
    if (r == LARDER_OK && by < 0)
        r = larder_builder_add_int(b, ":least", -by);
    if (r == LARDER_OK)
        r = larder_builder_finish(b, &item);
    if (r)
        client_failed(c, "bank: values", r);
    return item;
}

/* False: the tables are not there. The auditor makes them again. */
static int open_bank(struct client *c) {
    for (int i = 0; i < BANK_TABLES; i++)
        if (!c->bank.table[i] && larder_table_open(c->db, names[i], &c->bank.table[i])) {
            c->bank.table[i] = NULL;
            return 0;
        }
    if (!c->bank.add) {
        c->bank.is_covered = prepared(c, LARDER_EXPR_CONDITION, "amount >= :least");
        c->bank.add = prepared(c, LARDER_EXPR_UPDATE, "ADD amount :by, ranked :by");
        c->bank.take = values_of(c, -BY);
        c->bank.give = values_of(c, BY);
    }
    return 1;
}

static void put_account(struct client *c, uint32_t n) {
    const struct larder_item *item;
    char text[16];
    struct larder_key key = key_of(n, text);
    larder_builder_reset(c->builder);
    larder_builder_add(c->builder, "PK", &key.partition);
    larder_builder_add_s(c->builder, "branch", "b");
    larder_builder_add_int(c->builder, "amount", AMOUNT);
    larder_builder_add_int(c->builder, "ranked", AMOUNT);
    int r = larder_builder_finish(c->builder, &item);
    if (r == LARDER_OK)
        r = larder_put(table_of(c, n), item, NULL);
    if (r)
        client_failed(c, "bank: put", r);
}

void bank_create(struct client *c) {
    const struct larder_index_def index = {
        .name = "ByAmount", .partition = {"branch", LARDER_S}, .sort = {"ranked", LARDER_N}};
    for (int i = 0; i < BANK_TABLES; i++) {
        const struct larder_table_def def = {
            .name = names[i], .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
        int r = larder_table_create(c->db, &def);
        if (r)
            client_failed(c, "bank: create", r);
        c->bank.table[i] = NULL;
    }
    if (!open_bank(c))
        client_wrong(c, "bank: a table that was made cannot be opened");
    for (uint32_t n = 0; n < ACCOUNTS; n++)
        put_account(c, n);
}

void bank_drop(struct client *c) {
    for (int i = 0; i < BANK_TABLES; i++) {
        int r = larder_table_drop(c->db, names[i]);
        if (r)
            client_failed(c, "bank: drop", r);
        c->bank.table[i] = NULL;
    }
}

/* ---- Transfers ------------------------------------------------------------------------------- */

/* A failure that a client of this segment has to live with, or none. */
static int judge(struct client *c, const char *call, int r) {
    if (r == LARDER_E_NO_TABLE)
        c->bank.table[0] = c->bank.table[1] = NULL;
    else if (r < 0 && r != LARDER_E_FULL && !(r == LARDER_E_BUSY && c->is_impatient))
        client_failed(c, call, r);
    return r;
}

static void transfer(struct client *c) {
    struct larder_action actions[2 * PAIRS_MAX] = {{.kind = LARDER_ACTION_UPDATE}};
    char text[2 * PAIRS_MAX][16];
    uint32_t count = 2 + 2 * (uint32_t)rng_below(&c->rng, PAIRS_MAX), first = (uint32_t)rng_below(&c->rng, ACCOUNTS);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = (first + 5 * i) % ACCOUNTS; /* each once */
        actions[i] = (struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                            .table = table_of(c, n),
                                            .key = key_of(n, text[i]),
                                            .condition = i % 2 ? NULL : c->bank.is_covered,
                                            .update = c->bank.add,
                                            .values = i % 2 ? c->bank.give : c->bank.take};
    }
    struct larder_transaction all = {.actions = actions, .count = count};
    uint64_t start_ms = until_now_ms();
    int r = judge(c, "bank: transact", larder_transact(c->db, &all, NULL, NULL));
    uint64_t took_ms = until_now_ms() - start_ms;
    c->slowest_ms = took_ms > c->slowest_ms ? took_ms : c->slowest_ms;
    if (r == LARDER_OK)
        atomic_fetch_add_explicit(&c->h->counts.transfers, 1, memory_order_relaxed);
}

/* ---- Looking --------------------------------------------------------------------------------- */

static int64_t number_of(struct client *c, const struct larder_item *item, const char *name) {
    struct larder_value value;
    int64_t number;
    if (!item || larder_item_get(item, name, &value) || larder_value_int64(&value, &number))
        client_wrong(c, "bank: an account is missing, or has no amount");
    return number;
}

/* Of an account that was read. */
static int64_t amount_of(struct client *c, const struct larder_item *item) {
    int64_t amount = number_of(c, item, "amount"), ranked = number_of(c, item, "ranked");
    if (amount != ranked)
        client_wrong(
            c, content_wrong("bank: half a change: amount %lld, ranked %lld", (long long)amount, (long long)ranked));
    return amount;
}

static void look_at_all(struct client *c) {
    struct larder_transact_key keys[ACCOUNTS] = {{0}};
    char text[ACCOUNTS][16];
    int64_t sum = 0;
    for (uint32_t n = 0; n < ACCOUNTS; n++) {
        keys[n].table = table_of(c, n);
        keys[n].key = key_of(n, text[n]);
    }
    int r = larder_transact_get(c->db, keys, ACCOUNTS, c->page);
    if (r == LARDER_E_BUSY) /* writers were faster, thousands of times */
        return;
    if (judge(c, "bank: transact_get", r) != LARDER_OK)
        return;
    for (uint32_t n = 0; n < ACCOUNTS; n++)
        sum += amount_of(c, larder_page_item(c->page, n));
    if (sum != (int64_t)ACCOUNTS * AMOUNT)
        client_wrong(c, content_wrong("bank: the sum of all accounts is %lld, not %lld", (long long)sum,
                                      (long long)ACCOUNTS * AMOUNT));
    atomic_fetch_add_explicit(&c->h->counts.sums, 1, memory_order_relaxed);
}

/* By the index: as many accounts as there are, in the order of their amounts. */
static void look_by_index(struct client *c, struct larder_table *t) {
    struct larder_query_spec spec = {.index = "ByAmount", .partition = larder_str("b")};
    if (judge(c, "bank: query", larder_query(t, &spec, c->page)) != LARDER_OK)
        return;
    uint32_t count = larder_page_count(c->page);
    int64_t before = INT64_MIN;
    if (larder_page_is_snapshot(c->page) && count != ACCOUNTS / BANK_TABLES)
        client_wrong(c, content_wrong("bank: the index has %u accounts", count));
    for (uint32_t i = 0; i < count; i++) {
        int64_t amount = amount_of(c, larder_page_item(c->page, i));
        if (larder_page_is_snapshot(c->page) && amount < before)
            client_wrong(c, "bank: the index is not in order");
        before = amount;
    }
}

void bank_look(struct client *c) {
    if (open_bank(c))
        look_at_all(c);
    for (int i = 0; i < BANK_TABLES; i++)
        if (c->bank.table[i])
            look_by_index(c, c->bank.table[i]);
}

void do_bank(struct client *c) {
    if (!c->is_read_only && rng_below(&c->rng, 3) && open_bank(c))
        transfer(c);
    else
        bank_look(c);
}
