/* tests/api/slots_test.c - more threads and processes write at once than a segment has slots.
 *
 * Goal     No call gets LARDER_E_NO_SLOT because there are many: a call that finds no free slot
 *          gets one while it waits. Every acknowledged write counts, once. A final refusal is true,
 *          and comes after busy_timeout_ms.
 * Method   Crowds of threads and processes that begin together and add to counters of their own, or
 *          to a common one. The sums are compared with what was acknowledged. Slots from the
 *          smallest number to the default.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(slots, .timeout = 100 * SLOW_FACTOR);

#define THREADS_MAX 2500u
#define PROCESSES_MAX 100u
#define STACK_BYTES (128u << 10)
#define WAIT_MS 60000u

struct crowd {
    uint32_t size_mib, slots, processes, threads, calls;
    int is_one_key;
};

/* Shared by the processes of a crowd. */
struct board {
    _Atomic uint32_t ready, refused, failed;
    int go[2]; /* a pipe: all go when its last writer closes it */
    _Atomic int64_t counted;
    char failure[400];
};

struct party {
    const struct crowd *crowd;
    struct board *board;
    struct larder *db; /* the parent's */
    struct larder_table *t;
    uint32_t process;
};

struct member {
    const struct party *party;
    uint32_t thread;
};

static struct board *board_new(void) {
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
    cr_assert_eq(pipe(board->go), 0);
    return board;
}

static void key_of(const struct crowd *c, uint32_t process, uint32_t thread, char key[32]) {
    if (c->is_one_key)
        process = thread = 0;
    snprintf(key, 32, "%u#%u", process, thread);
}

static void *count_up(void *arg) {
    const struct member *me = arg;
    const struct crowd *c = me->party->crowd;
    struct board *board = me->party->board;
    char key[32];
    key_of(c, me->party->process, me->thread, key);
    const struct larder_key where = {.partition = larder_str(key)};
    atomic_fetch_add(&board->ready, 1);
    char none;
    while (read(board->go[0], &none, 1) < 0)
        ;
    for (uint32_t i = 0; i < c->calls; i++) {
        int r = larder_increment(me->party->t, &where, "n", 1, NULL);
        if (r == LARDER_OK)
            atomic_fetch_add(&board->counted, 1);
        else if (atomic_fetch_add(r == LARDER_E_NO_SLOT ? &board->refused : &board->failed, 1) == 0)
            snprintf(board->failure, sizeof board->failure, "%s: %s", larder_result_name(r), larder_error());
    }
    return NULL;
}

static int run_threads(void *arg) {
    static struct member members[THREADS_MAX];
    static pthread_t thread[THREADS_MAX];
    struct party *p = arg;
    pthread_attr_t small;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = larder_memfd(p->db), .busy_timeout_ms = WAIT_MS};
    struct larder *db;
    close(p->board->go[1]);
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK && larder_table_open(db, "counters", &p->t) == LARDER_OK);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK_BYTES);
    for (uint32_t i = 0; i < p->crowd->threads; i++) {
        members[i] = (struct member){p, i};
        PROC_CHECK(pthread_create(&thread[i], &small, count_up, &members[i]) == 0);
    }
    for (uint32_t i = 0; i < p->crowd->threads; i++)
        pthread_join(thread[i], NULL);
    struct larder_segment_stats stats;
    PROC_CHECK(p->crowd->processes > 1 || larder_segment_stats(db, &stats) == LARDER_OK);
    PROC_CHECK(p->crowd->processes > 1 ||
               /* ended threads keep none: eight of the handle, one of ours */
               stats.slots_used <= 9);
    larder_close(db);
    return 0;
}

static struct larder *open_for(const struct crowd *c) {
    struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD,
                               .memfd = -1,
                               .size_bytes = (uint64_t)c->size_mib << 20,
                               .slot_count = c->slots};
    const struct larder_table_def def = {.name = "counters", .partition = {"pk", LARDER_S}};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    return db;
}

static int64_t sum_of(struct larder *db, const struct crowd *c) {
    struct larder_table *t;
    int64_t sum = 0, n;
    char key[32];
    cr_assert_eq(larder_table_open(db, "counters", &t), LARDER_OK);
    for (uint32_t p = 0; p < (c->is_one_key ? 1 : c->processes); p++)
        for (uint32_t i = 0; i < (c->is_one_key ? 1 : c->threads); i++) {
            key_of(c, p, i, key);
            const struct larder_key where = {.partition = larder_str(key)};
            cr_assert_eq(larder_increment(t, &where, "n", 0, &n), LARDER_OK, "%s", larder_error());
            sum += n;
        }
    return sum;
}

static void run(const struct crowd *c) {
    struct larder_check_report report;
    struct larder *db = open_for(c);
    struct board *board = board_new();
    struct party parties[PROCESSES_MAX];
    pid_t pid[PROCESSES_MAX];
    for (uint32_t i = 0; i < c->processes; i++) {
        parties[i] = (struct party){.crowd = c, .board = board, .db = db, .process = i};
        pid[i] = proc_fork(run_threads, &parties[i]);
    }
    cr_assert(UNTIL(board->ready == c->processes * c->threads, WAIT_MS), "only %u of %u threads began", board->ready,
              c->processes * c->threads);
    close(board->go[1]);
    for (uint32_t i = 0; i < c->processes; i++) {
        struct proc_result r = proc_wait(pid[i], WAIT_MS);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert(board->refused == 0 && board->failed == 0, "%u refused, %u failed: %s", board->refused, board->failed,
              board->failure);
    cr_assert_eq(board->counted, (int64_t)c->processes * c->threads * c->calls);
    cr_assert_eq(sum_of(db, c), board->counted);
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_close(db);
    close(board->go[0]);
    munmap(board, sizeof *board);
}

#define FEWER (SLOW_FACTOR > 1 ? 4u : 1u)

Test(slots, a_thousand_threads_of_one_process) {
    run(&(struct crowd){.size_mib = 64, .processes = 1, .threads = 1000 / FEWER, .calls = 10});
}
Test(slots, more_threads_than_slots) {
    run(&(struct crowd){
        .size_mib = 64, .processes = 1, .threads = THREADS_MAX / FEWER, .calls = 10, .slots = 1024 / FEWER});
}
Test(slots, more_processes_than_slots) {
    run(&(struct crowd){.size_mib = 8, .processes = PROCESSES_MAX / FEWER, .threads = 4, .calls = 20, .slots = 16});
}
Test(slots, crowd_on_four) {
    run(&(struct crowd){.size_mib = 8, .processes = 8, .threads = 8, .calls = 100 / FEWER, .slots = 4});
}
Test(slots, crowd_on_two_and_one_key) {
    run(&(struct crowd){.size_mib = 8, .processes = 8, .threads = 8, .calls = 40 / FEWER, .slots = 2, .is_one_key = 1});
}

/* ---- Threads that ended ---------------------------------------------------------------------- */

struct rest {
    struct party party;
    _Atomic uint32_t *has_ended;
};

static int run_threads_and_rest(void *arg) {
    struct rest *rest = arg;
    (void)run_threads(&rest->party);
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = larder_memfd(rest->party.db)};
    struct larder *db;
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK); /* attached, with nothing to do */
    atomic_store(rest->has_ended, 1);
    pause();
    return 0;
}

/* 64 threads wrote in a segment of 64 slots and were joined; their process lives. Another writes at
 *    once. */
Test(slots, joined_threads_are_in_nobodys_way) {
    const struct crowd c = {.size_mib = 32, .slots = 64, .processes = 2, .threads = 64, .calls = 200 / FEWER};
    struct larder *db = open_for(&c);
    struct board *board = board_new();
    struct rest rest = {{.crowd = &c, .board = board, .db = db}, &board->failed};
    struct larder_table *t;
    const struct larder_key key = {.partition = larder_str("another's")};
    pid_t pid = proc_fork(run_threads_and_rest, &rest);
    close(board->go[1]);
    cr_assert(UNTIL(board->failed, WAIT_MS));
    cr_assert_eq(board->counted, 64 * c.calls, "%s", board->failure);
    cr_assert_eq(larder_table_open(db, "counters", &t), LARDER_OK);
    uint64_t start = until_own_ms();
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(larder_increment(t, &key, "n", 1, NULL), LARDER_OK, "%s", larder_error());
    cr_assert_lt(until_own_ms(), start + 1000 * SLOW_FACTOR);
    proc_kill(pid);
    larder_close(db);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

Test(slots, number_is_what_was_asked_for) {
    const uint32_t asked[] = {LARDER_SLOTS_MIN, 3, 100, LARDER_SLOTS_MAX};
    struct larder_segment_stats stats;
    struct larder *db;
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
        const struct crowd c = {.size_mib = 16, .slots = asked[i]};
        db = open_for(&c);
        cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
        cr_assert_eq(stats.slots_max, asked[i]);
        larder_close(db);
    }
    struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .slot_count = 1};
    cr_assert_eq(larder_open(&o, &db), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "slot_count 1 is not allowed: 2 to 8192"), "%s", larder_error());
    o.slot_count = LARDER_SLOTS_MAX + 1;
    cr_assert_eq(larder_open(&o, &db), LARDER_E_INVAL);
}

/* A slot costs what larder.h says, and nothing else. */
Test(slots, cost_is_what_is_said) {
    uint64_t free_bytes[2];
    for (unsigned i = 0; i < 2; i++) {
        const struct crowd c = {.size_mib = 64, .slots = i ? 1024 + 8 * 1024 / 3 * 2 : 1024};
        struct larder *db = open_for(&c);
        struct larder_segment_stats stats;
        cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
        free_bytes[i] = stats.size_bytes - (stats.claimed_bytes - stats.free_bytes);
        larder_close(db);
    }
    int64_t cost = (int64_t)(free_bytes[0] - free_bytes[1]), said = (int64_t)(8 * 1024 / 3 * 2) * LARDER_SLOT_BYTES;
    cr_assert(cost >= said - 65536 && cost <= said + 65536, "%ld bytes, %ld are said", (long)cost, (long)said);
}
