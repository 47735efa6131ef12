/* tests/crash/kill_test.c - writers killed over and over, on one segment that is never made again.
 *
 * Goal     Promise 1 over time. After every SIGKILL at any moment: acknowledged writes are there,
 *          the one under way is wholly there or wholly not, through gets and all indexes alike, and
 *          no process waits for the dead one. After a thousand of them: no damage, no block lost,
 *          no slot lost, no time lost.
 * Method   Two writers with keys of their own put, change, delete and expire as fast as they can.
 *          The test kills one or both at random moments, attaching included, at once reads
 *          everything (tests/support/history.h judges every read), and starts them again. All the
 *          while a watcher that is never killed reads everything and writes keys of its own in the
 *          same stripes and partitions, so it meets the dead owners. leaf_capacity is 4, so splits
 *          and towers are common. The writers are forked with the handle open, forked without, or
 *          started as new programs.
 * Leaks    In the end everything is deleted, and as much memory is in use as after the same keys
 *          had been written and deleted once without a death. Bucket arrays do not count: they keep
 *          the size they once needed. LARDER_TEST_LONG: 20,000 kills instead of 1,000.
 */
#include "index/leaf.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(kill, .timeout = 3600);

#define SEGMENT_BYTES (32u << 20)
#define WRITERS 2u
#define WRITER_KEYS 24u /* writer w owns keys w * 24 .. */
#define WATCHER_KEYS 12u
#define KEYS (WRITERS * WRITER_KEYS + WATCHER_KEYS)
#define BUSY_MS (10000u * SLOW_FACTOR * SLOW_PATIENCE) /* no writer lives long enough to hold a lock for that */
#define NOTICE_MS 1500u                                /* to notice a death and repair it */
#define CHECK_EVERY 50u
#define PROGRAM_ENV "LARDER_KILL_TEST_WRITER"

enum how { INHERITED, OPENED, PROGRAM, HOWS };

struct world {
    struct history *h;
    int history_fd, memfd;
    struct larder *db;
    struct history_client c; /* the test's own; children make theirs */
    struct rng rng;
    enum how how;
    pid_t writer[WRITERS], watcher;
};

struct job {
    struct world *world;
    uint32_t first;
};

static struct larder *open_memfd(int memfd) {
    struct larder *db = NULL;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd, .busy_timeout_ms = BUSY_MS};
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    return db;
}

/* ---- The victims ----------------------------------------------------------------------------- */

static void write_until_killed(struct history_client *c, uint32_t first) {
    for (;;) {
        PROC_CHECK(history_write(c, first + (uint32_t)rng_below(&c->rng, WRITER_KEYS)) == LARDER_OK);
        if (rng_is_one_in(&c->rng, 200)) {
            int r = larder_expire(c->db, 4, NULL);
            PROC_CHECK(r >= 0 || r == LARDER_E_BUSY); /* another one may be at it, and be slow */
        }
    }
}

static int writer_process(void *arg) {
    struct job *job = arg;
    struct world *w = job->world;
    struct history_client c;
    struct larder *db = w->how == INHERITED ? w->db : open_memfd(w->memfd);
    PROC_CHECK(history_attach(&c, w->h, db) == LARDER_OK);
    write_until_killed(&c, job->first);
    return 0;
}

/* The suite's program, started as a writer: never comes to main(). */
__attribute__((constructor)) static void writer_program(void) {
    const char *what = getenv(PROGRAM_ENV);
    int memfd, history_fd;
    unsigned first;
    struct history_client c;
    if (!what || sscanf(what, "%d %d %u", &memfd, &history_fd, &first) !=
                     3) // NOLINT(bugprone-unchecked-string-to-number-conversion,cert-err34-c)
        return;
    leaf_capacity = 4;
    struct history *h = history_map(history_fd);
    PROC_CHECK(h != NULL);
    PROC_CHECK(history_attach(&c, h, open_memfd(memfd)) == LARDER_OK);
    write_until_killed(&c, first);
}

static pid_t start_program(const struct world *w, uint32_t first) {
    char what[64];
    snprintf(what, sizeof what, "%d %d %u", w->memfd, w->history_fd, first);
    setenv(PROGRAM_ENV, what, 1);
    pid_t pid = proc_exec((const char *const[]){"/proc/self/exe", NULL}, -1);
    unsetenv(PROGRAM_ENV);
    return pid;
}

static void start_writers(struct world *w) {
    for (uint32_t i = 0; i < WRITERS; i++) {
        struct job job = {w, i * WRITER_KEYS};
        if (!w->writer[i])
            w->writer[i] = w->how == PROGRAM ? start_program(w, job.first) : proc_fork(writer_process, &job);
    }
}

/* ---- The watcher ----------------------------------------------------------------------------- */

static void watcher_must(const char *what) {
    if (what) {
        fprintf(stderr, "watcher: %s\n", what);
        _exit(PROC_CHECK_FAILED);
    }
}

static int watcher_process(void *arg) {
    struct world *w = arg;
    struct history_client c;
    struct until_slowest slowest = {0};
    PROC_CHECK(history_attach(&c, w->h, open_memfd(w->memfd)) == LARDER_OK);
    while (!atomic_load(&w->h->is_over)) {
        watcher_must(history_look(&c));
        for (uint32_t i = 0; i < WATCHER_KEYS; i++) {
            until_call_begins(&slowest);
            PROC_CHECK(history_write(&c, WRITERS * WRITER_KEYS + i) == LARDER_OK);
            until_call_ends(&slowest);
        }
    }
    fprintf(stderr, "the watcher's slowest write took %lu ms\n", (unsigned long)slowest.own_ms);
    PROC_CHECK(until_is_prompt(&slowest, (uint64_t)NOTICE_MS * SLOW_FACTOR));
    larder_close(c.db);
    return 0;
}

/* ---- The test -------------------------------------------------------------------------------- */

static void must(const char *what, unsigned kills) {
    cr_assert(what == NULL, "after %u kills: %s", kills, what);
}

static void must_be_clean(struct world *w, unsigned kills) {
    struct larder_check_report report;
    int r = larder_check(w->db, NULL, &report);
    cr_assert(r == LARDER_OK, "after %u kills: check: %s: %s", kills, larder_result_name(r), larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
}

static void pause_us(uint64_t us) {
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

/* A few microseconds of life as well as many milliseconds. */
static void live_a_while(struct world *w) {
    static const uint64_t most_us[] = {300, 2000, 4000, 8000, 25000};
    pause_us(rng_below(&w->rng, most_us[rng_below(&w->rng, 5)]));
}

static void kill_writer(struct world *w, uint32_t i) {
    struct proc_result r = proc_kill(w->writer[i]);
    w->writer[i] = 0;
    cr_assert(proc_is_signal(r, SIGKILL), "a writer ended by itself: %s", proc_text(r));
}

static void one_kill(struct world *w, unsigned number) {
    uint32_t victim = (uint32_t)rng_below(&w->rng, WRITERS + 1); /* the last: all of them */
    start_writers(w);
    live_a_while(w);
    for (uint32_t i = 0; i < WRITERS; i++)
        if (victim == i || victim == WRITERS)
            kill_writer(w, i);
    for (uint32_t i = 0; i < WRITERS; i++)
        if (!w->writer[i])
            must(history_settle(&w->c, i * WRITER_KEYS, WRITER_KEYS), number);
    must(history_look(&w->c), number);
    if (number % CHECK_EVERY == 0) {
        must_be_clean(w, number);
        must(history_look(&w->c), number);
        atomic_fetch_add(&w->h->now_s, 1); /* something expires */
    }
}

/* Slots come back. Those that are left are the test's own, one for each call within a call of
 * larder_check(). */
static void must_hold_all_slots(const struct world *w) {
    struct larder_slot_stats slots[64];
    uint32_t count;
    cr_assert(larder_slot_stats(w->db, slots, 64, &count) == LARDER_OK);
    cr_assert(count <= 2, "%u slots are in use", count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(slots[i].pid == getpid() && slots[i].is_alive, "slot %u still belongs to process %d", slots[i].slot,
                  slots[i].pid);
}

/* Timers of deleted items stay until their second has come. */
static uint64_t empty_and_measure(struct world *w) {
    atomic_fetch_add(&w->h->now_s, HISTORY_EXPIRY_SPAN);
    cr_assert(history_empty(&w->c) == LARDER_OK, "%s", larder_error());
    return history_used_bytes(&w->c);
}

/* Everything is written and deleted once: what is in use then is what an emptied table needs. */
static uint64_t used_when_empty(struct world *w) {
    for (unsigned i = 0; i < 20 * KEYS; i++)
        cr_assert(history_write(&w->c, i % KEYS) == LARDER_OK, "%s", larder_error());
    must(history_look(&w->c), 0);
    uint64_t bytes = empty_and_measure(w);
    atomic_store(&w->h->now_s, HISTORY_EPOCH_S);
    for (uint32_t k = 0; k < KEYS; k++) {
        atomic_store(&w->h->key[k].begun, 0);
        atomic_store(&w->h->key[k].acked, 0);
    }
    must(history_look(&w->c), 0);
    return bytes;
}

static void begin(struct world *w, uint64_t seed) {
    memset(w, 0, sizeof *w);
    rng_seed(&w->rng, seed);
    leaf_capacity = 4;
    w->h = history_new(KEYS, seed, &w->history_fd);
    struct larder *creator = testseg_open(SEGMENT_BYTES, 2);
    cr_assert(history_table_create(creator) == LARDER_OK, "%s", larder_error());
    w->memfd = dup(larder_memfd(creator)); /* inherited by programs */
    larder_close(creator);
    w->db = open_memfd(w->memfd);
    cr_assert(history_attach(&w->c, w->h, w->db) == LARDER_OK, "%s", larder_error());
}

static void end(struct world *w) {
    larder_close(w->db);
    history_free(w->h);
    close(w->memfd);
    close(w->history_fd);
}

static void kill_over_and_over(const char *name, int how, unsigned kills) {
    struct world w;
    begin(&w, rng_test_seed(name));
    uint64_t before = used_when_empty(&w);
    w.watcher = proc_fork(watcher_process, &w);
    for (unsigned i = 1; i <= kills; i++) {
        w.how = how < 0 ? (enum how)rng_below(&w.rng, PROGRAM) : (enum how)how;
        one_kill(&w, i);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        if (w.writer[i])
            kill_writer(&w, i);
    atomic_store(&w.h->is_over, 1);
    struct proc_result r = proc_wait(w.watcher, 20000);
    cr_assert(proc_is_exit(r, 0), "the watcher: %s", proc_text(r));
    must(history_settle(&w.c, 0, KEYS), kills);
    must(history_look(&w.c), kills);
    must_be_clean(&w, kills);
    must_hold_all_slots(&w);
    uint64_t after = empty_and_measure(&w);
    cr_assert_eq(after, before, "%lu bytes are in use, %lu were before", (unsigned long)after, (unsigned long)before);
    end(&w);
}

static unsigned kills_of(unsigned usual) {
    return getenv("LARDER_TEST_LONG") ? usual * 20 : usual / SLOW_FACTOR;
}

Test(kill, thousand_writers) {
    kill_over_and_over("kill", -1, kills_of(1000));
}

Test(kill, writers_that_are_other_programs) {
    kill_over_and_over("kill programs", PROGRAM, kills_of(150));
}

/* ---- Two checks at once ---------------------------------------------------------------------- */

#define DEAD_SLOTS 40

static int die_attached(void *arg) {
    struct world *w = arg;
    (void)open_memfd(w->memfd);
    raise(SIGKILL);
    return 1;
}

/* As soon as the other is ready, too. */
static int check_at_once(struct world *w, struct larder *db) {
    struct larder_check_report report;
    atomic_fetch_add(&w->h->is_over, 1);
    while (atomic_load(&w->h->is_over) < 2)
        ;
    return larder_check(db, NULL, &report);
}

static int checker_process(void *arg) {
    struct world *w = arg;
    struct larder *db = open_memfd(w->memfd);
    int r = check_at_once(w, db);
    if (r)
        fprintf(stderr, "the other check: %s: %s\n", larder_result_name(r), larder_error());
    larder_close(db);
    return r != LARDER_OK;
}

/* larder_check() must not return LARDER_E_BUSY because another process recovers the same dead slot
 * at that moment. */
Test(kill, two_checks_may_meet_in_dead_slots) {
    struct world w;
    begin(&w, 1);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < DEAD_SLOTS; i++)
            cr_assert(proc_is_signal(proc_run(die_attached, &w, 5000), SIGKILL));
        atomic_store(&w.h->is_over, 0);
        pid_t pid = proc_fork(checker_process, &w);
        int r = check_at_once(&w, w.db);
        cr_assert(proc_is_exit(proc_wait(pid, 20000), 0));
        cr_assert(r == LARDER_OK, "round %d: %s: %s", round, larder_result_name(r), larder_error());
    }
    end(&w);
}
