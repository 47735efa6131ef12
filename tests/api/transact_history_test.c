/* tests/api/transact_history_test.c - a random history of transactions is strictly serializable.
 *
 * Goal     Whatever several processes read and write together, by transactions, single gets, gets
 *          together and queries of an index, one after the other some order explains it all, and
 *          the order is that of real time where there is one. Also while processes are killed and
 *          stand still in the middle.
 * Method   Items of two tables name the transaction that wrote them. A worker reads some, notes in
 *          memory shared with the parent what it has seen and will write, and writes with the
 *          condition that each is still the one it has seen. tests/support/serial.h judges what was
 *          noted. The seed is printed; LARDER_SEED repeats it.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/serial.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(transact_history, .timeout = 100 * SLOW_FACTOR);

#define KEYS 8 /* the even ones in one table, the odd ones in the other */
#define WORKERS 3
#define HISTORY (20000u / SLOW_FACTOR)
#define TURNS 30u
#define DEADLINE_MS 60000

struct shared {
    _Atomic uint32_t count;
    _Atomic int is_disturbed; /* all that are to be killed were */
    struct serial_txn txn[HISTORY];
};

struct worker {
    struct larder *db;
    struct larder_table *table[2];
    struct larder_page *page;
    struct larder_builder *item[SERIAL_OPS], *values[SERIAL_OPS];
    struct larder_expr *is_same;
    struct shared *shared;
    struct rng rng;
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void key_text(char text[8], uint32_t key) {
    snprintf(text, 8, "key-%u", key);
}

static void attach(struct worker *w, struct larder *db) {
    w->db = db;
    EXPECT(larder_table_open(db, "even", &w->table[0]), LARDER_OK);
    EXPECT(larder_table_open(db, "odd", &w->table[1]), LARDER_OK);
    EXPECT(larder_page_new(db, &w->page), LARDER_OK);
    EXPECT(larder_prepare(db, LARDER_EXPR_CONDITION, "writer = :seen", NULL, 0, &w->is_same), LARDER_OK);
    for (int i = 0; i < SERIAL_OPS; i++) {
        EXPECT(larder_builder_new(db, &w->item[i]), LARDER_OK);
        EXPECT(larder_builder_new(db, &w->values[i]), LARDER_OK);
    }
}

/* ---- Items ----------------------------------------------------------------------------------- */

static const struct larder_item *build(struct larder_builder *b, uint32_t key, uint32_t writer) {
    char text[8];
    const struct larder_item *item;
    key_text(text, key);
    larder_builder_reset(b);
    larder_builder_add_s(b, "id", text);
    larder_builder_add_s(b, "kind", "all");
    larder_builder_add_int(b, "number", key);
    larder_builder_add_int(b, "writer", writer);
    PROC_CHECK(larder_builder_finish(b, &item) == LARDER_OK);
    return item;
}

static uint32_t number_in(const struct larder_item *item, const char *name) {
    struct larder_value value;
    int64_t number;
    PROC_CHECK(item && larder_item_get(item, name, &value) == LARDER_OK);
    PROC_CHECK(larder_value_int64(&value, &number) == LARDER_OK);
    return (uint32_t)number;
}

/* ---- What a worker does ---------------------------------------------------------------------- */

/* NULL: the history is full. */
static struct serial_txn *begin_one(struct worker *w, uint32_t *number) {
    *number = atomic_fetch_add(&w->shared->count, 1);
    struct serial_txn *txn = *number < HISTORY ? &w->shared->txn[*number] : NULL;
    if (txn)
        txn->start = now();
    return txn;
}

/* A read has no effect, so it may be noted when it is over. */
static void end_read(struct serial_txn *txn) {
    txn->end = now();
    atomic_store(&txn->state, SERIAL_DONE);
}

static void choose_keys(struct worker *w, struct serial_txn *txn) {
    uint32_t from = (uint32_t)rng_below(&w->rng, KEYS), step = rng_is_one_in(&w->rng, 2) ? 1 : 3;
    txn->op_count = 2 + (uint32_t)rng_below(&w->rng, SERIAL_OPS - 1);
    for (uint32_t i = 0; i < txn->op_count; i++)
        txn->op[i] = (struct serial_op){.key = (from + i * step) % KEYS};
}

/* 0: they changed faster than they could be read. */
static int read_keys(struct worker *w, struct serial_txn *txn) {
    struct larder_transact_key keys[SERIAL_OPS] = {0};
    char text[SERIAL_OPS][8];
    for (uint32_t i = 0; i < txn->op_count; i++) {
        key_text(text[i], txn->op[i].key);
        keys[i].table = w->table[txn->op[i].key % 2];
        keys[i].key.partition = larder_str(text[i]);
    }
    int r = larder_transact_get(w->db, keys, txn->op_count, w->page);
    PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY);
    for (uint32_t i = 0; r == LARDER_OK && i < txn->op_count; i++)
        txn->op[i].seen = number_in(larder_page_item(w->page, i), "writer");
    return r == LARDER_OK;
}

static void read_one(struct worker *w, struct serial_txn *txn) {
    char text[8];
    txn->op_count = 1;
    key_text(text, txn->op[0].key);
    struct larder_key key = {.partition = larder_str(text)};
    PROC_CHECK(larder_get(w->table[txn->op[0].key % 2], &key, w->page) == LARDER_OK);
    txn->op[0].seen = number_in(larder_page_item(w->page, 0), "writer");
    end_read(txn);
}

/* All items of a table, as of one moment if the page says so. */
static void read_index(struct worker *w, struct serial_txn *txn) {
    struct larder_query_spec all = {.index = "by-writer", .partition = larder_str("all")};
    PROC_CHECK(larder_query(w->table[txn->op[0].key % 2], &all, w->page) == LARDER_OK);
    if (!larder_page_is_snapshot(w->page))
        return;
    PROC_CHECK(larder_page_count(w->page) == KEYS / 2);
    txn->op_count = KEYS / 2;
    for (uint32_t i = 0; i < KEYS / 2; i++)
        txn->op[i] = (struct serial_op){.key = number_in(larder_page_item(w->page, i), "number"),
                                        .seen = number_in(larder_page_item(w->page, i), "writer")};
    end_read(txn);
}
_Static_assert(KEYS / 2 <= SERIAL_OPS, "a query is one transaction");

/* Writes some of the keys, and only if each is still as it was seen. */
static void write_keys(struct worker *w, struct serial_txn *txn, uint32_t number) {
    struct larder_action actions[SERIAL_OPS] = {0};
    char text[SERIAL_OPS][8];
    for (uint32_t i = 0; i < txn->op_count; i++) {
        struct serial_op *op = &txn->op[i];
        op->is_write = i == 0 || !rng_is_one_in(&w->rng, 3);
        key_text(text[i], op->key);
        larder_builder_reset(w->values[i]);
        larder_builder_add_int(w->values[i], ":seen", op->seen);
        PROC_CHECK(larder_builder_finish(w->values[i], &actions[i].values) == LARDER_OK);
        actions[i].kind = op->is_write ? LARDER_ACTION_PUT : LARDER_ACTION_CHECK;
        actions[i].table = w->table[op->key % 2];
        actions[i].condition = w->is_same;
        if (op->is_write)
            actions[i].item = build(w->item[i], op->key, number + 1);
        else
            actions[i].key.partition = larder_str(text[i]);
    }
    txn->start = now();
    atomic_store(&txn->state, SERIAL_UNKNOWN);
    struct larder_transaction all = {.actions = actions, .count = txn->op_count};
    int r = larder_transact(w->db, &all, NULL, NULL);
    PROC_CHECK(r == LARDER_OK || r == LARDER_REFUSED);
    txn->end = now();
    atomic_store(&txn->state, r == LARDER_OK ? SERIAL_DONE : SERIAL_REFUSED);
}

static int work(void *arg) {
    struct worker *w = arg;
    struct serial_txn *txn;
    uint32_t number;
    attach(w, testseg_attach(w->db, 0));
    while ((txn = begin_one(w, &number))) {
        uint64_t what = rng_below(&w->rng, 8);
        choose_keys(w, txn);
        if (what == 0)
            read_one(w, txn);
        else if (what == 1)
            read_index(w, txn);
        else if (read_keys(w, txn)) {
            if (what < 4)
                end_read(txn);
            else
                write_keys(w, txn, number);
        }
    }
    while (!atomic_load(&w->shared->is_disturbed))
        until_pause();
    return 0;
}

/* ---- The test -------------------------------------------------------------------------------- */

static void make_tables(struct larder *db) {
    const struct larder_index_def index = {
        .name = "by-writer", .partition = {"kind", LARDER_S}, .sort = {"writer", LARDER_N}};
    struct larder_table_def def = {.partition = {"id", LARDER_S}, .indexes = &index, .index_count = 1};
    struct larder_table *table[2];
    struct larder_builder *b;
    const char *const names[] = {"even", "odd"};
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (uint32_t i = 0; i < 2; i++) {
        def.name = names[i];
        EXPECT(larder_table_create(db, &def), LARDER_OK);
        EXPECT(larder_table_open(db, names[i], &table[i]), LARDER_OK);
    }
    for (uint32_t key = 0; key < KEYS; key++)
        EXPECT(larder_put(table[key % 2], build(b, key, 0), NULL), LARDER_OK);
    larder_builder_free(b);
}

static pid_t start(struct worker *w) {
    w->rng.state[0] = rng_next(&w->rng); /* each worker has numbers of its own */
    return proc_fork(work, w);
}

/* Kills one worker after another, and lets another one stand still meanwhile. */
static void disturb(struct worker *w, pid_t pid[WORKERS]) {
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        pid_t *victim = &pid[turn % WORKERS], still = pid[(turn + 1) % WORKERS];
        cr_assert(UNTIL(atomic_load(&w->shared->count) >= (turn + 1) * HISTORY / (TURNS + 1), DEADLINE_MS));
        proc_stop(still);
        UNTIL(atomic_load(&w->shared->count) >= (turn + 1) * HISTORY / (TURNS + 1) + 50,
              2); /* 20 ms, slow.h; or all need what it holds */
        proc_resume(still);
        cr_assert(proc_is_signal(proc_kill(*victim), SIGKILL));
        *victim = start(w);
    }
    atomic_store(&w->shared->is_disturbed, 1);
}

Test(transact_history, is_strictly_serializable) {
    struct worker w = {.db = testseg_open(16u << 20, 4)};
    struct larder_check_report report;
    pid_t pid[WORKERS];
    uint32_t done = 0, unknown = 0, refused = 0;
    w.shared = mmap(NULL, sizeof *w.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(w.shared != MAP_FAILED);
    rng_seed(&w.rng, rng_test_seed("transact_history"));
    make_tables(w.db);
    for (int i = 0; i < WORKERS; i++)
        pid[i] = start(&w);
    disturb(&w, pid);
    for (int i = 0; i < WORKERS; i++) {
        struct proc_result end = proc_wait(pid[i], DEADLINE_MS);
        cr_assert(proc_is_exit(end, 0), "%s", proc_text(end));
    }
    for (uint32_t i = 0; i < HISTORY; i++) {
        done += w.shared->txn[i].state == SERIAL_DONE;
        unknown += w.shared->txn[i].state == SERIAL_UNKNOWN;
        refused += w.shared->txn[i].state == SERIAL_REFUSED;
    }
    const char *said = serial_judge(w.shared->txn, HISTORY, KEYS);
    cr_assert_null(said, "%s", said);
    fprintf(stderr, "history: %u done, %u refused, %u cut off by a death\n", done, refused, unknown);
    cr_assert(done > HISTORY / 3 && refused > 0);
    EXPECT(larder_check(w.db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0, "%s", report.first_error);
    larder_close(w.db);
}
