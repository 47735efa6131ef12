/* tests/api/stopped_test.c - a process that stands still harms only those that need what it holds.
 *
 * Goal     Promise 2: a reader that is stopped or killed in the middle of a read delays no process
 *          and keeps no memory, and a stopped writer delays no reader. A writer that needs the very
 *          lock that a stopped process holds is told so after its time limit, with the name of the
 *          holder; all others go on. When the stopped process goes on, or is killed instead, all is
 *          well.
 * Method   The public functions; SIGSTOP at random moments. larder_slot_stats() tells whether a
 *          writer was stopped with a lock held; else it is resumed and stopped again.
 *          tests/support/history.h judges every read.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(stopped, .timeout = 100 * SLOW_FACTOR);

#define SEGMENT_BYTES (32u << 20)
#define KEYS 64u
#define STOPPED_KEYS 8u /* keys 0..7 belong to the process that is stopped, 8.. to the test */
#define BUSY_MS 200u
#define WRITE_MS 10000u
#define AT_ONCE_MS 2000u /* an undelayed call takes far less */
#define SLOTS 64u

struct fixture {
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
    struct rng rng;
};

static void must(const char *what) {
    cr_assert(what == NULL, "%s", what);
}

static void begin(struct fixture *f, uint32_t stripe_count) {
    memset(f, 0, sizeof *f);
    uint64_t seed = rng_test_seed("stopped");
    rng_seed(&f->rng, seed);
    f->h = history_new(KEYS, seed, &f->history_fd);
    struct larder *creator = testseg_open(SEGMENT_BYTES, stripe_count);
    cr_assert_eq(history_table_create(creator), LARDER_OK, "%s", larder_error());
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = larder_memfd(creator), .busy_timeout_ms = BUSY_MS};
    cr_assert_eq(larder_open(&o, &f->db), LARDER_OK, "%s", larder_error());
    larder_close(creator);
    cr_assert_eq(history_attach(&f->c, f->h, f->db), LARDER_OK, "%s", larder_error());
    for (uint32_t k = 0; k < KEYS; k++)
        cr_assert_eq(history_write(&f->c, k), LARDER_OK, "%s", larder_error());
}

static void end(struct fixture *f) {
    larder_close(f->db);
    history_free(f->h);
    close(f->history_fd);
}

static void must_be_clean(const struct fixture *f) {
    struct larder_check_report report;
    int r = LARDER_E_BUSY; /* a live writer may have a lock and get no core */
    cr_assert(UNTIL((r = larder_check(f->db, NULL, &report)) != LARDER_E_BUSY, WRITE_MS), "%s", larder_error());
    cr_assert_eq(r, LARDER_OK, "%s", larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
}

static void pause_us(uint64_t us) {
    struct timespec t = {.tv_nsec = (long)us * 1000};
    nanosleep(&t, NULL);
}

/* ---- Readers --------------------------------------------------------------------------------- */

static int read_until_over(void *arg) {
    struct fixture *f = arg;
    struct history_client c;
    PROC_CHECK(history_attach(&c, f->h, f->db) == LARDER_OK);
    while (!atomic_load(&f->h->is_over)) {
        const char *what = history_look(&c);
        if (what)
            fprintf(stderr, "a reader that was stopped and resumed: %s\n", what);
        PROC_CHECK(what == NULL);
    }
    return 0;
}

/* Overwrites and deletes all that the reader may be in the middle of, and takes the memory for
 * something else. */
static void churn(struct fixture *f, uint64_t empty_bytes) {
    uint64_t start_ms = until_own_ms();
    for (uint32_t i = 0; i < 4 * KEYS; i++)
        cr_assert_eq(history_write(&f->c, i % KEYS), LARDER_OK, "%s", larder_error());
    must(history_look(&f->c));
    cr_assert_eq(history_empty(&f->c), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_used_bytes(&f->c), empty_bytes, "a stopped reader keeps memory");
    must_be_clean(f);
    uint64_t took_ms = until_own_ms() - start_ms;
    cr_assert(took_ms < (uint64_t)AT_ONCE_MS * SLOW_FACTOR, "a stopped reader delayed writers: %lu ms",
              (unsigned long)took_ms);
}

/* The history does not know what churn() deleted behind its back: every key is written again before
 * it is read. */
static void fill_again(struct fixture *f) {
    for (uint32_t k = 0; k < KEYS; k++)
        cr_assert_eq(history_write(&f->c, k), LARDER_OK, "%s", larder_error());
}

/* Emptied and expired: what a table needs for itself. */
static uint64_t empty_bytes_of(struct fixture *f) {
    atomic_store(&f->h->now_s, HISTORY_EPOCH_S + HISTORY_EXPIRY_SPAN);
    cr_assert_eq(history_empty(&f->c), LARDER_OK);
    uint64_t bytes = history_used_bytes(&f->c);
    fill_again(f);
    return bytes;
}

Test(stopped, readers_delay_nobody_and_keep_nothing) {
    struct fixture f;
    struct proc_result r;
    begin(&f, 2);
    uint64_t empty_bytes = empty_bytes_of(&f);
    pid_t pid = proc_fork(read_until_over, &f);
    for (int i = 0; i < (SLOW_FACTOR > 1 ? 20 : 250); i++) {
        int is_killed = i % 4 == 3;
        pause_us(rng_below(&f.rng, 3000));
        proc_stop(pid);
        if (is_killed)
            cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
        churn(&f, empty_bytes);
        fill_again(&f);
        if (is_killed)
            pid = proc_fork(read_until_over, &f);
        else
            proc_resume(pid); /* in the middle of a copy of memory that holds something else now */
    }
    atomic_store(&f.h->is_over, 1);
    r = proc_wait(pid, 10000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    end(&f);
}

/* ---- Writers --------------------------------------------------------------------------------- */

static int write_until_over(void *arg) {
    struct fixture *f = arg;
    struct history_client c;
    PROC_CHECK(history_attach(&c, f->h, f->db) == LARDER_OK);
    while (!atomic_load(&f->h->is_over)) {
        int r = history_write(&c, (uint32_t)rng_below(&c.rng, STOPPED_KEYS));
        /* While it stood still its time limit passed, too. */
        PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY);
    }
    return 0;
}

static int has_kind(const struct larder_slot_stats *s, const char *kind) {
    for (uint32_t i = 0; i < s->lock_count; i++)
        if (strcmp(s->lock_kinds[i], kind) == 0)
            return 1;
    return 0;
}

/* What a stopped process holds. 0: nothing. */
static int locks_of(const struct fixture *f, pid_t pid, struct larder_slot_stats *found) {
    struct larder_slot_stats slots[SLOTS];
    uint32_t count;
    cr_assert_eq(larder_slot_stats(f->db, slots, SLOTS, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        if (slots[i].pid == pid && slots[i].lock_count > 0) {
            *found = slots[i];
            return 1;
        }
    return 0;
}

/* Stops the writer until it holds a stripe; with `alone`, nothing but a stripe. */
static void stop_with_lock(struct fixture *f, pid_t pid, int alone, struct larder_slot_stats *held) {
    for (int tries = 0; tries < 20000; tries++) {
        pause_us(rng_below(&f->rng, 700));
        proc_stop(pid);
        if (locks_of(f, pid, held) && has_kind(held, "stripe") && (!alone || held->lock_count == 1))
            return;
        proc_resume(pid);
    }
    cr_assert_fail("a writer that does nothing else was never stopped inside a write");
}

/* Tries to write each of the test's keys. A failure must name the holder that is in the way. */
static uint32_t try_writes(struct fixture *f, pid_t pid, uint32_t *busy) {
    char who[32];
    uint32_t done = 0;
    snprintf(who, sizeof who, "process %d ", (int)pid);
    *busy = 0;
    for (uint32_t k = STOPPED_KEYS; k < KEYS; k++) {
        uint64_t start_ms = until_now_ms(), own_start_ms = until_own_ms();
        int r = history_write(&f->c, k);
        uint64_t own_ms = until_own_ms() - own_start_ms, took_ms = until_now_ms() - start_ms;
        cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "%s: %s", larder_result_name(r), larder_error());
        cr_assert(own_ms < BUSY_MS + AT_ONCE_MS * SLOW_FACTOR, "a write took %lu ms", (unsigned long)own_ms);
        if (r == LARDER_E_BUSY) {
            cr_assert(strstr(larder_error(), who) && strstr(larder_error(), "stripe"), "%s", larder_error());
            cr_assert(took_ms >= BUSY_MS, "it gave up after %lu ms", (unsigned long)took_ms);
        }
        *busy += r == LARDER_E_BUSY;
        done += r == LARDER_OK;
        if (*busy >= 3 && done >= 3)
            break;
    }
    return done;
}

static void must_read_at_once(struct fixture *f) {
    uint64_t start_ms = until_own_ms();
    for (int i = 0; i < 5; i++)
        must(history_look(&f->c));
    uint64_t took_ms = until_own_ms() - start_ms;
    cr_assert(took_ms < (uint64_t)AT_ONCE_MS * SLOW_FACTOR, "readers wait for a stopped writer: %lu ms",
              (unsigned long)took_ms);
}

/* Writes every key, as soon as the holder in the way goes on. */
static void must_write_all(struct fixture *f) {
    for (uint32_t k = STOPPED_KEYS; k < KEYS; k++) {
        int r = LARDER_E_BUSY;
        cr_assert(UNTIL((r = history_write(&f->c, k)) != LARDER_E_BUSY, WRITE_MS));
        cr_assert_eq(r, LARDER_OK, "%s", larder_error());
    }
}

Test(stopped, a_writer_is_in_the_way_of_its_stripe_only) {
    struct fixture f;
    struct larder_slot_stats held;
    uint32_t busy;
    begin(&f, 4);
    pid_t pid = proc_fork(write_until_over, &f);
    for (int i = 0; i < 4; i++) {
        stop_with_lock(&f, pid, 1, &held);
        must_read_at_once(&f);
        uint32_t done = try_writes(&f, pid, &busy);
        cr_assert(busy > 0 && done > 0, "%u writes were refused, %u done", busy, done);
        cr_assert(locks_of(&f, pid, &held) && held.is_alive && held.lock_held_ns > 100000000u * (uint64_t)busy);
        must_read_at_once(&f);
        proc_resume(pid);
        must_write_all(&f);
        must(history_look(&f.c));
        must_be_clean(&f);
    }
    atomic_store(&f.h->is_over, 1);
    struct proc_result r = proc_wait(pid, 10000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    end(&f);
}

/* Any lock: a list, a size class, a span. A write may then be stuck half way, acknowledged or
 * not. */
static int writes_are_done_or_busy(struct fixture *f) {
    int busy = 0;
    for (uint32_t k = STOPPED_KEYS; k < KEYS && busy < 4; k++) {
        int r = history_write(&f->c, k);
        cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "%s: %s", larder_result_name(r), larder_error());
        busy += r == LARDER_E_BUSY;
    }
    return busy;
}

Test(stopped, all_is_well_when_it_goes_on_or_dies) {
    struct fixture f;
    struct larder_slot_stats held;
    int busy = 0;
    begin(&f, 2);
    pid_t pid = proc_fork(write_until_over, &f);
    for (int i = 0; i < (SLOW_FACTOR > 1 ? 6 : 16); i++) {
        stop_with_lock(&f, pid, 0, &held);
        busy += writes_are_done_or_busy(&f);
        must_read_at_once(&f);
        if (i % 2) {
            cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
            must(history_settle(&f.c, 0, STOPPED_KEYS));
            pid = proc_fork(write_until_over, &f);
        } else
            proc_resume(pid);
        must_write_all(&f);
        must(history_look(&f.c));
    }
    cr_assert(busy > 0, "no call was ever delayed");
    atomic_store(&f.h->is_over, 1);
    struct proc_result r = proc_wait(pid, 10000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    must(history_look(&f.c));
    must_be_clean(&f);
    end(&f);
}
