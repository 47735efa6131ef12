/* tests/serve/serve_kill_test.c - workers that are killed while they serve.
 *
 * Goal     No acknowledged write is lost. Only the connections of the dead worker are reset; the
 *          others go on. A successor serves within 100 ms, and answers what waited in the queue of
 *          the dead one.
 * Method   `larder serve` as it is shipped; the workers are children of its supervisor, found by
 *          /proc. What was acknowledged is noted in memory that the writers share with the test.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/serve/serve_kit.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

TestSuite(serve_kill, .timeout = 3600); /* the long form: minutes; meson has the deadline */

#define WORKERS 2
#define WRITERS 4
#define KEYS 8 /* of each writer */

static struct server server;
static struct reply reply;

static void begin(void) {
    static const char *const options[] = {"--workers", "2", NULL};
    server_start(&server, options, 0);
}

static void end(void) {
    reply_free(&reply);
    server_stop(&server);
}

/* All are there, and `dead` (0: any) is none of them. One look: between two, the dead one goes and
 * its successor is not yet there. */
static bool look_at_workers(pid_t pids[WORKERS + 1], pid_t dead) {
    int count = server_workers(&server, pids, WORKERS + 1);
    for (int i = 0; i < count; i++)
        if (dead != 0 && pids[i] == dead)
            return false;
    return count == WORKERS;
}

static bool are_workers_whole(pid_t dead) {
    pid_t pids[WORKERS + 1];
    return look_at_workers(pids, dead);
}

static pid_t kill_one(unsigned which) {
    pid_t pids[WORKERS + 1];
    cr_assert(UNTIL(look_at_workers(pids, 0), 30000));
    cr_assert_eq(kill(pids[which % WORKERS], SIGKILL), 0);
    return pids[which % WORKERS];
}

/* ---- No acknowledged write is lost ----------------------------------------------------------- */

/* What one writer has begun and what was acknowledged, by key: rising numbers. */
struct noted {
    uint64_t begun[KEYS], acknowledged[KEYS];
    uint64_t resets;
    int is_stopped;
};

struct writer {
    struct noted *noted; /* shared */
    int number;
};

/* One write; 0: acknowledged, else the connection has ended. */
static int write_once(int fd, const struct writer *w, int key, uint64_t value) {
    char body[256], text[REQUEST_BYTES_MAX], got[4096];
    size_t bytes = 0;
    snprintf(body, sizeof body, "{\"TableName\":\"Items\",\"Item\":{\"p\":{\"S\":\"%d-%d\"},\"v\":{\"N\":\"%llu\"}}}",
             w->number, key, (unsigned long long)value);
    if (!client_send(fd, text, request_text(text, "PutItem", "", body)))
        return 1;
    while (bytes < 6 || memcmp(got + bytes - 6, "\r\n\r\n{}", 6) != 0) {
        ssize_t n = recv(fd, got + bytes, sizeof got - bytes, 0);
        if (n <= 0)
            return 1;
        bytes += (size_t)n;
    }
    PROC_CHECK(memcmp(got, "HTTP/1.1 200 ", 13) == 0);
    return 0;
}

static int run_writer(void *arg) {
    struct writer *w = arg;
    int fd = client_try(&server);
    PROC_CHECK(fd >= 0);
    for (uint64_t value = 1; !__atomic_load_n(&w->noted->is_stopped, __ATOMIC_RELAXED); value++) {
        int key = (int)(value % KEYS);
        __atomic_store_n(&w->noted->begun[key], value, __ATOMIC_SEQ_CST);
        if (write_once(fd, w, key, value) == 0)
            __atomic_store_n(&w->noted->acknowledged[key], value, __ATOMIC_SEQ_CST);
        else {
            w->noted->resets++;
            close(fd);
            fd = client_try(&server);
            PROC_CHECK(fd >= 0);
        }
    }
    close(fd);
    return 0;
}

/* The value that the segment has now; 0: none. */
static uint64_t value_of(struct larder_table *table, struct larder_page *page, int writer, int key) {
    char name[32];
    int64_t value = 0;
    snprintf(name, sizeof name, "%d-%d", writer, key);
    struct larder_value found;
    struct larder_key partition = {.partition = larder_str(name)};
    int result = larder_get(table, &partition, page);
    if (result == LARDER_NOT_FOUND)
        return 0;
    EXPECT(result, LARDER_OK);
    cr_assert(larder_item_get(larder_page_item(page, 0), "v", &found) == LARDER_OK);
    EXPECT(larder_value_int64(&found, &value), LARDER_OK);
    return (uint64_t)value;
}

static void judge(const struct noted *noted) {
    struct larder_options options = {.segment = server.segment, .memfd = -1};
    struct larder_check_report report;
    struct larder_table *table;
    struct larder_page *page;
    struct larder *db;
    EXPECT(larder_open(&options, &db), LARDER_OK);
    EXPECT(larder_table_open(db, "Items", &table), LARDER_OK);
    EXPECT(larder_page_new(db, &page), LARDER_OK);
    for (int w = 0; w < WRITERS; w++)
        for (int key = 0; key < KEYS; key++) {
            uint64_t value = value_of(table, page, w, key);
            cr_assert(value >= noted[w].acknowledged[key] && value <= noted[w].begun[key],
                      "writer %d, key %d: %llu, acknowledged %llu", w, key, (unsigned long long)value,
                      (unsigned long long)noted[w].acknowledged[key]);
        }
    EXPECT(larder_check(db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.leaked_blocks, 0);
    larder_page_free(page);
    larder_close(db);
}

/* Says what there is instead. */
static void fail_unreplaced(pid_t dead, int round) {
    pid_t pids[WORKERS + 1];
    int count = server_workers(&server, pids, WORKERS + 1);
    for (int i = 0; i < count; i++)
        cr_log_info("there is worker %d", (int)pids[i]);
    cr_assert_fail("worker %d was not replaced, round %d; there are %d, the supervisor %s", (int)dead, round, count,
                   kill(server.pid, 0) == 0 ? "lives" : "has gone");
}

Test(serve_kill, no_acknowledged_write_is_lost, .init = begin, .fini = end) {
    int rounds = getenv("LARDER_TEST_LONG") ? 500 : 20;
    struct noted *noted =
        mmap(NULL, WRITERS * sizeof *noted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct writer writers[WRITERS];
    pid_t pids[WRITERS];
    uint64_t all = 0, resets = 0;
    struct rng rng;
    cr_assert(noted != MAP_FAILED);
    rng_seed(&rng, rng_test_seed("serve_kill"));
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){&noted[i], i};
        pids[i] = proc_fork(run_writer, &writers[i]);
    }
    for (int round = 0; round < rounds; round++) {
        uint64_t before = __atomic_load_n(&noted[round % WRITERS].acknowledged[0], __ATOMIC_SEQ_CST);
        cr_assert(UNTIL(__atomic_load_n(&noted[round % WRITERS].acknowledged[0], __ATOMIC_SEQ_CST) > before, 20000),
                  "a writer stands still");
        usleep((useconds_t)rng_below(&rng, 3000)); /* at any moment of a write */
        pid_t dead = kill_one((unsigned)rng_below(&rng, WORKERS));
        if (!UNTIL(are_workers_whole(dead), 30000))
            fail_unreplaced(dead, round);
    }
    for (int i = 0; i < WRITERS; i++)
        __atomic_store_n(&noted[i].is_stopped, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < WRITERS; i++) {
        struct proc_result result = proc_wait(pids[i], 20000);
        cr_assert(proc_is_exit(result, 0), "writer %d: %s", i, proc_text(result));
        for (int key = 0; key < KEYS; key++)
            all += noted[i].acknowledged[key];
        resets += noted[i].resets;
    }
    judge(noted);
    cr_log_info("%d kills, %llu connections reset, sum of the last writes %llu", rounds, (unsigned long long)resets,
                (unsigned long long)all);
}

/* ---- The others go on ------------------------------------------------------------------------ */

/* A connection answers; false: it was reset or closed. */
static bool is_served(int fd) {
    char got[512];
    return client_send(fd, "GET / HTTP/1.1\r\n\r\n", 18) && recv(fd, got, sizeof got, 0) > 0;
}

Test(serve_kill, only_the_connections_of_the_dead_are_reset, .init = begin, .fini = end) {
    enum { COUNT = 64 };
    int fds[COUNT], reset = 0;
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_open(&server);
        cr_assert(is_served(fds[i]));
    }
    pid_t dead = kill_one(0);
    cr_assert(UNTIL(are_workers_whole(dead), 30000));
    for (int i = 0; i < COUNT; i++) {
        reset += !is_served(fds[i]);
        close(fds[i]);
    }
    /* the kernel deals them out by a hash: all 64 on one side is one in 2^63 */
    cr_assert(reset > 0 && reset < COUNT, "%d of %d were reset", reset, COUNT);
}

/* Several at once, of which some are the successor's. */
static void expect_all_served(void) {
    enum { COUNT = 16 };
    char got[512];
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_open(&server);
        client_say(fds[i], "GET / HTTP/1.1\r\n\r\n");
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert(recv(fds[i], got, sizeof got, 0) > 0);
        close(fds[i]);
    }
}

/* On a busy machine most of the time is that of other processes: one of many tries is enough. */
Test(serve_kill, a_successor_serves_within_100_ms, .init = begin, .fini = end) {
    enum { TRIES = 200, ENOUGH_MS = 100 * SLOW_FACTOR };
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < TRIES && (i < 10 || best > ENOUGH_MS); i++) {
        pid_t dead = kill_one(i);
        uint64_t from = until_now_ms();
        cr_assert(UNTIL(are_workers_whole(dead), 30000));
        expect_all_served();
        uint64_t took = until_now_ms() - from;
        best = took < best ? took : best;
    }
    cr_assert(best <= ENOUGH_MS, "the fastest took %llu ms", (unsigned long long)best);
}

/* Connections in the queue of a worker that stands still, and is killed then. */
Test(serve_kill, what_waits_in_the_queue_is_served, .init = begin, .fini = end) {
    enum { COUNT = 64 };
    int fds[COUNT];
    pid_t pids[WORKERS + 1];
    cr_assert(UNTIL(look_at_workers(pids, 0), 30000));
    cr_assert_eq(kill(pids[0], SIGSTOP), 0);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_open(&server);
        client_say(fds[i], "GET / HTTP/1.1\r\n\r\n");
    }
    cr_assert_eq(kill(pids[0], SIGKILL), 0);
    for (int i = 0; i < COUNT; i++) {
        client_read(fds[i], &reply);
        expect_reply(&reply, 200, NULL);
        close(fds[i]);
    }
}

/* ---- The supervisor -------------------------------------------------------------------------- */

Test(serve_kill, workers_end_with_their_supervisor, .init = begin) {
    pid_t pids[WORKERS + 1];
    cr_assert(UNTIL(look_at_workers(pids, 0), 30000));
    int fd = client_open(&server);
    cr_assert(is_served(fd));
    cr_assert(proc_is_signal(proc_kill(server.pid), SIGKILL));
    for (int i = 0; i < WORKERS; i++)
        cr_assert(UNTIL(kill(pids[i], 0) != 0, 30000), "worker %d is still there", (int)pids[i]);
    client_expect_end(fd);
    close(server.errors);
    testseg_destroy(server.segment);
}

/* What it says of a death: one line. */
Test(serve_kill, a_death_is_noted, .init = begin) {
    char wanted[128];
    pid_t dead = kill_one(1);
    cr_assert(UNTIL(are_workers_whole(dead), 30000));
    end();
    snprintf(wanted, sizeof wanted, "larder serve: worker %d was ended by signal 9 (Killed) and is replaced\n",
             (int)dead);
    cr_assert_str_eq(server.said, wanted);
}

/* A full pipe that nobody reads: lines are lost, workers are not. */
Test(serve_kill, notes_that_nobody_reads, .init = begin, .fini = end) {
    enum { NOTES = 64 }; /* more than the pipe takes */
    cr_assert(fcntl(server.errors, F_SETPIPE_SZ, 4096) >= 4096);
    for (unsigned i = 0; i < NOTES; i++) {
        pid_t dead = kill_one(i);
        cr_assert(UNTIL(are_workers_whole(dead), 30000), "worker %d was not replaced", (int)dead);
    }
}
