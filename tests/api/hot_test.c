/* tests/api/hot_test.c - one item that all processes change all the time.
 *
 * Goal     Of 2, 8 and 64 processes that change one item each update counts, and none starves: the
 *          last to reach its number of changes does so while all others go on. The slowest call is
 *          printed.
 * Method   Every change adds 1 to the same number: by larder_increment(), ADD, an update under a
 *          condition, and a transaction with an item of the process's own. Each process notes what
 *          was acknowledged. LARDER_TEST_LONG: fifty times as many.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(hot, .timeout = 120 * SLOW_FACTOR);

#define PROCESSES_MAX 64u
#define DEADLINE_MS 100000
#define BUSY_MS 200000

struct crowd {
    int memfd;
    uint32_t count, wanted; /* processes, and changes of each before any may end */
    _Atomic uint32_t ready, at_their_goal;
    struct {
        _Atomic uint64_t done, slowest_ms;
    } member[PROCESSES_MAX];
};

struct member {
    struct crowd *crowd;
    uint32_t number;
};

struct tools {
    struct larder *db;
    struct larder_table *t;
    struct larder_expr *add, *set, *exists;
    const struct larder_item *one;
    char own[16];
};

static struct larder_key key_of(const char *id) {
    return (struct larder_key){.partition = larder_str(id)};
}

static int open_tools(const struct member *m, struct tools *x) {
    struct larder_options o = {
        .flags = LARDER_MEMFD, .memfd = m->crowd->memfd, .busy_timeout_ms = BUSY_MS * SLOW_FACTOR};
    struct larder_builder *b;
    PROC_CHECK(larder_open(&o, &x->db) == LARDER_OK);
    PROC_CHECK(larder_table_open(x->db, "table", &x->t) == LARDER_OK);
    PROC_CHECK(larder_prepare(x->db, LARDER_EXPR_UPDATE, "ADD n :one", NULL, 0, &x->add) == LARDER_OK);
    PROC_CHECK(larder_prepare(x->db, LARDER_EXPR_UPDATE, "SET n = n + :one", NULL, 0, &x->set) == LARDER_OK);
    PROC_CHECK(larder_prepare(x->db, LARDER_EXPR_CONDITION, "attribute_exists(n)", NULL, 0, &x->exists) == LARDER_OK);
    PROC_CHECK(larder_builder_new(x->db, &b) == LARDER_OK);
    larder_builder_add_int(b, ":one", 1);
    PROC_CHECK(larder_builder_finish(b, &x->one) == LARDER_OK);
    snprintf(x->own, sizeof x->own, "own%u", m->number);
    return 0;
}

static struct larder_action change(const struct tools *x, const char *id, const struct larder_expr *update,
                                   const struct larder_expr *condition) {
    return (struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                  .table = x->t,
                                  .key = key_of(id),
                                  .condition = condition,
                                  .update = update,
                                  .values = x->one};
}

static int change_once(const struct tools *x, uint64_t i) {
    struct larder_key key = key_of("hot");
    struct larder_action both[] = {change(x, "hot", x->add, x->exists), change(x, x->own, x->add, NULL)};
    switch (i % 4) {
    case 0:
        return larder_increment(x->t, &key, "n", 1, NULL);
    case 1:
        return larder_write(
            &(struct larder_action){
                .kind = LARDER_ACTION_UPDATE, .table = x->t, .key = key, .update = x->add, .values = x->one},
            NULL);
    case 2:
        return larder_write(&(struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                                    .table = x->t,
                                                    .key = key,
                                                    .condition = x->exists,
                                                    .update = x->set,
                                                    .values = x->one},
                            NULL);
    default:
        return larder_transact(x->db, &(struct larder_transaction){.actions = both, .count = 2}, NULL, NULL);
    }
}

static void note_time(_Atomic uint64_t *slowest_ms, uint64_t took_ms) {
    if (took_ms > atomic_load(slowest_ms))
        atomic_store(slowest_ms, took_ms);
}

static int work(void *arg) {
    const struct member *m = arg;
    struct crowd *c = m->crowd;
    struct tools x;
    if (open_tools(m, &x))
        return 1;
    atomic_fetch_add(&c->ready, 1);
    PROC_CHECK(UNTIL(atomic_load(&c->ready) == c->count, DEADLINE_MS));
    for (uint64_t i = 0; atomic_load(&c->at_their_goal) < c->count; i++) {
        uint64_t start_ms = until_now_ms();
        PROC_CHECK(change_once(&x, i + m->number) == LARDER_OK);
        note_time(&c->member[m->number].slowest_ms, until_now_ms() - start_ms);
        atomic_fetch_add(&c->member[m->number].done, 1);
        if (i + 1 == c->wanted)
            atomic_fetch_add(&c->at_their_goal, 1);
    }
    larder_close(x.db);
    return 0;
}

static int64_t number_of(struct larder_table *t, struct larder_page *page, const char *id) {
    struct larder_key key = key_of(id);
    struct larder_value value;
    int64_t number;
    EXPECT(larder_get(t, &key, page), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(page, 0), "n", &value), LARDER_OK);
    EXPECT(larder_value_int64(&value, &number), LARDER_OK);
    return number;
}

static void report(const struct crowd *c, uint64_t took_ms) {
    uint64_t least = UINT64_MAX, most = 0, all = 0, slowest_ms = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        uint64_t done = atomic_load(&c->member[i].done);
        least = done < least ? done : least;
        most = done > most ? done : most;
        all += done;
        uint64_t own_ms = atomic_load(&c->member[i].slowest_ms);
        slowest_ms = own_ms > slowest_ms ? own_ms : slowest_ms;
    }
    fprintf(stderr, "hot item: %2u processes, %lu changes in %lu ms; each %lu to %lu; the slowest took %lu ms\n",
            c->count, (unsigned long)all, (unsigned long)took_ms, (unsigned long)least, (unsigned long)most,
            (unsigned long)slowest_ms);
}

static void run(uint32_t count, uint32_t wanted) {
    const struct larder_table_def def = {.name = "table", .partition = {"id", LARDER_S}};
    struct crowd *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct larder *db = testseg_open(16u << 20, 8);
    struct larder_table *t;
    struct larder_page *page;
    struct member member[PROCESSES_MAX];
    struct larder_check_report checked;
    pid_t pid[PROCESSES_MAX];
    int64_t all = 0;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    EXPECT(larder_page_new(db, &page), LARDER_OK);
    struct larder_key key = key_of("hot");
    EXPECT(larder_increment(t, &key, "n", 0, NULL), LARDER_OK);
    c->memfd = larder_memfd(db);
    c->count = count;
    c->wanted = wanted * (getenv("LARDER_TEST_LONG") ? 50 : 1) / SLOW_FACTOR + 1;
    uint64_t start_ms = until_now_ms();
    for (uint32_t i = 0; i < count; i++) {
        member[i] = (struct member){c, i};
        pid[i] = proc_fork(work, &member[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct proc_result r = proc_wait(pid[i], DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "process %u: %s", i, proc_text(r));
        all += (int64_t)atomic_load(&c->member[i].done);
    }
    report(c, until_now_ms() - start_ms);
    cr_assert_eq(number_of(t, page, "hot"), all, "%ld instead of %ld", (long)number_of(t, page, "hot"), (long)all);
    EXPECT(larder_check(db, NULL, &checked), LARDER_OK);
    cr_assert(checked.leaked_blocks == 0 && checked.stale_entries == 0);
    larder_close(db);
    munmap(c, sizeof *c);
}

Test(hot, two_processes) {
    run(2, 4000);
}

Test(hot, eight_processes) {
    run(8, 1000);
}

Test(hot, sixty_four_processes) {
    run(64, 60);
}
