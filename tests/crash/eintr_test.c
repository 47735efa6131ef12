/* tests/crash/eintr_test.c - signals all the time, in every thread, in every call.
 *
 * Goal     A host program may use signals freely: profilers send one every 100 microseconds,
 *          without SA_RESTART. No call gives a wrong result for it, none goes on for ever, and time
 *          limits hold: a lock that a stopped process holds gives LARDER_E_BUSY after
 *          busy_timeout_ms, not earlier and not much later.
 * Method   Each thread gets a timer of its own that interrupts it every 60 microseconds
 *          (timer_create, SIGEV_THREAD_ID). Under it: creating, attaching and destroying; threads
 *          that write at once and wait for each other, with the expirer and checks
 *          (tests/support/history.h judges every read); claims of memory from the kernel, where a
 *          signal takes back what was given (fallocate); recovery of killed processes; waiting for
 *          a stopped process and for a creator. The handler counts, and the test fails if there
 *          were too few signals to prove anything.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(eintr, .timeout = 60 * SLOW_FACTOR);

#define INTERVAL_NS (60000 * SLOW_FACTOR)
#define DEADLINE_MS 20000
#define KEYS 48u

/* ---- Interrupting a thread ------------------------------------------------------------------- */

static _Atomic uint64_t interruptions;
static _Thread_local volatile uint64_t my_interruptions;

static void on_signal(int signal) {
    (void)signal;
    my_interruptions++;
    atomic_fetch_add_explicit(&interruptions, 1, memory_order_relaxed);
}

/* From now on the calling thread is interrupted. */
static timer_t interrupt_me(void) {
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    struct itimerspec often = {{0, INTERVAL_NS}, {0, INTERVAL_NS}};
    timer_t timer;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (sigaction(SIGUSR2, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer) ||
        timer_settime(timer, 0, &often, NULL))
        abort();
    return timer;
}

static void let_me_be(timer_t timer) {
    timer_delete(timer);
}

static void must_have_been_interrupted(uint64_t at_least) {
    uint64_t n = atomic_load(&interruptions);
    fprintf(stderr, "%lu signals\n", (unsigned long)n);
    cr_assert(n >= at_least / SLOW_FACTOR, "only %lu signals", (unsigned long)n);
}

/* A thread that sleeps is interrupted as often as it gets a core: some waits more, if need be. */
static int is_too_quiet(uint64_t at_least, int tries) {
    return tries < 100 && atomic_load(&interruptions) < at_least / SLOW_FACTOR;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int is_stopped(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static uint64_t now_ms(void) {
    return until_now_ms();
}

/* The tmpfs of older kernels: a signal ends the call, and takes back everything that it gave. */
static _Atomic int is_old_kernel, cut_off;

__attribute__((visibility("default"))) int fallocate(int fd, int mode, off_t from, off_t bytes) {
    uint64_t before = my_interruptions;
    if (is_old_kernel && bytes > 65536) {
        /* 0.3 ms per megabyte is what zeroing takes */
        uint64_t end_ns = now_ns() + (uint64_t)bytes * 300 / 1000;
        while (now_ns() < end_ns && my_interruptions == before)
            ;
        if (my_interruptions != before) {
            atomic_fetch_add(&cut_off, 1);
            errno = EINTR;
            return -1;
        }
    }
    return (int)syscall(SYS_fallocate, fd, mode, from, bytes);
}

/* ---- Creating, attaching, claiming ----------------------------------------------------------- */

Test(eintr, create_attach_and_destroy) {
    char name[TESTSEG_NAME_MAX];
    const struct larder_table_def def = {.name = "things", .partition = {"PK", LARDER_S}};
    timer_t timer = interrupt_me();
    for (int i = 0; i < 100; i++) {
        struct larder *db, *other;
        testseg_name(name);
        db = testseg_open_named(name, 64u << 20, 0);
        cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
        cr_assert_eq(larder_open(&(struct larder_options){.segment = name}, &other), LARDER_OK, "%s", larder_error());
        larder_close(other);
        larder_close(db);
        cr_assert_eq(larder_destroy(name, 0), LARDER_OK, "%s", larder_error());
    }
    let_me_be(timer);
    must_have_been_interrupted(100);
}

/* The tables of a large segment are tens of megabytes. So no claim may be so large that it takes
 * longer than the time between two signals. */
Test(eintr, creating_a_large_segment) {
    timer_t timer = interrupt_me();
    for (is_old_kernel = 0; is_old_kernel < 2; is_old_kernel++) {
        struct larder *db = testseg_open(UINT64_C(3) << 30, 0);
        larder_close(db);
    }
    let_me_be(timer);
    must_have_been_interrupted(8);
}

static int put_fill(struct larder_table *t, struct larder_builder *b, int n, size_t bytes) {
    static const char fill[LARDER_ITEM_BYTES_MAX];
    const struct larder_item *item;
    char pk[32];
    snprintf(pk, sizeof pk, "%d", n);
    larder_builder_reset(b);
    larder_builder_add_s(b, "PK", pk);
    larder_builder_add_b(b, "fill", fill, bytes);
    int r = larder_builder_finish(b, &item);
    return r ? r : larder_put(t, item, NULL);
}

/* Fills a segment: every claim of memory is interrupted, and must come to an end. */
static void fill_segment(void) {
    const struct larder_table_def def = {.name = "things", .partition = {"PK", LARDER_S}};
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_check_report report;
    struct larder *db = testseg_open(32u << 20, 4);
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(db, "things", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    timer_t timer = interrupt_me();
    int n = 0, r;
    while ((r = put_fill(t, b, n++, 300000)) == LARDER_OK)
        ;
    let_me_be(timer);
    cr_assert_eq(r, LARDER_E_FULL, "%s: %s", larder_result_name(r), larder_error());
    cr_assert(n > 80, "only %d items", n);
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", larder_error());
    larder_close(db);
}

Test(eintr, claiming_memory_from_the_kernel) {
    for (is_old_kernel = 0; is_old_kernel < 2; is_old_kernel++)
        fill_segment();
    fprintf(stderr, "fallocate was cut off %d times\n", cut_off);
    must_have_been_interrupted(100);
}

/* ---- Waiting for creators -------------------------------------------------------------------- */

/* An empty file is given up only after a moment in which its creator could have gone on. Signals
 * must not shorten that moment. */
Test(eintr, an_unfinished_segment_is_given_up_no_sooner) {
    char path[64] = "/tmp/larder-test-XXXXXX";
    struct larder *db;
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    timer_t timer = interrupt_me();
    uint64_t start_ms = now_ms(), own_start_ms = until_own_ms();
    int r = larder_open(&(struct larder_options){.segment = path}, &db);
    uint64_t own_ms = until_own_ms() - own_start_ms, took_ms = now_ms() - start_ms;
    let_me_be(timer);
    cr_assert_eq(r, LARDER_E_FORMAT, "%s: %s", larder_result_name(r), larder_error());
    cr_assert(took_ms >= 45 && own_ms < 2000 * SLOW_FACTOR, "%lu ms", (unsigned long)took_ms);
    close(fd);
    unlink(path);
    must_have_been_interrupted(10);
}

static int create_and_stop(void *name) {
    struct larder *db;
    shm_crash_arm_stop(3);
    return larder_open(&(struct larder_options){.segment = name, .flags = LARDER_CREATE, .size_bytes = 8u << 20}, &db);
}

Test(eintr, a_stopped_creator_is_waited_for_as_long_as_told) {
    char name[TESTSEG_NAME_MAX];
    struct larder *db;
    enum { LIMIT_MS = 300 };
    testseg_name(name);
    pid_t pid = proc_fork(create_and_stop, name);
    cr_assert(UNTIL(is_stopped(pid), DEADLINE_MS));
    for (int i = 0; i < 2 || is_too_quiet(100, i); i++) {
        struct larder_options o = {
            .segment = name, .flags = i % 2 ? LARDER_CREATE : 0, .size_bytes = 8u << 20, .busy_timeout_ms = LIMIT_MS};
        timer_t timer = interrupt_me();
        uint64_t start_ms = now_ms(), own_start_ms = until_own_ms();
        int r = larder_open(&o, &db);
        uint64_t own_ms = until_own_ms() - own_start_ms, took_ms = now_ms() - start_ms;
        let_me_be(timer);
        cr_assert_eq(r, LARDER_E_BUSY, "%s: %s", larder_result_name(r), larder_error());
        cr_assert(took_ms >= LIMIT_MS && own_ms < (LIMIT_MS + 500) * SLOW_FACTOR, "%lu ms", (unsigned long)took_ms);
    }
    proc_resume(pid);
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    testseg_destroy(name);
    must_have_been_interrupted(100);
}

/* ---- Working together ------------------------------------------------------------------------ */

struct fixture {
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
    struct rng rng;
};

static void begin(struct fixture *f) {
    memset(f, 0, sizeof *f);
    rng_seed(&f->rng, rng_test_seed("eintr"));
    f->h = history_new(KEYS, rng_next(&f->rng), &f->history_fd);
    f->db = testseg_open(24u << 20, 2);
    cr_assert_eq(history_table_create(f->db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_attach(&f->c, f->h, f->db), LARDER_OK);
}

static void must(const char *what) {
    cr_assert(what == NULL, "%s", what);
}

static void must_be_clean(struct fixture *f) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
}

static void end(struct fixture *f) {
    must(history_look(&f->c));
    must_be_clean(f);
    larder_close(f->db);
    history_free(f->h);
    close(f->history_fd);
}

#define THREADS 3u
#define THREAD_KEYS (KEYS / THREADS)

struct share {
    struct fixture *f;
    uint32_t first, rounds;
    const char *failed;
};

static void *write_and_look(void *arg) {
    struct share *s = arg;
    struct history_client c;
    timer_t timer = interrupt_me();
    if (history_attach(&c, s->f->h, s->f->db))
        s->failed = "attach";
    for (uint32_t i = 0; i < s->rounds && !s->failed; i++) {
        if (history_write(&c, s->first + i % THREAD_KEYS))
            s->failed = larder_error();
        else if (i % 200 == 0)
            s->failed = history_look(&c);
        else if (i % 333 == 0 && s->first == 0)
            s->failed = larder_check(s->f->db, NULL, &(struct larder_check_report){0}) ? "check" : NULL;
    }
    if (!s->failed)
        history_detach(&c);
    let_me_be(timer);
    return NULL;
}

Test(eintr, writers_readers_checks_and_the_expirer_at_once) {
    struct fixture f;
    struct share s[THREADS];
    pthread_t thread[THREADS];
    begin(&f);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    for (uint32_t i = 0; i < THREADS; i++) {
        s[i] = (struct share){&f, i * THREAD_KEYS, (getenv("LARDER_TEST_LONG") ? 200000 : 4000) / SLOW_FACTOR, NULL};
        cr_assert_eq(pthread_create(&thread[i], NULL, write_and_look, &s[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_null(s[i].failed, "thread %u: %s", i, s[i].failed);
    larder_expirer_stop(f.db);
    must_have_been_interrupted(500);
    end(&f);
}

/* ---- Deaths and waits ------------------------------------------------------------------------ */

struct victim {
    struct fixture *f;
    uint64_t k;
    int is_stop;
};

static int die_or_stop(void *arg) {
    struct victim *v = arg;
    if (v->is_stop)
        shm_crash_arm_stop(v->k);
    else
        shm_crash_arm(v->k);
    for (uint32_t i = 0;; i++)
        PROC_CHECK(history_write(&v->f->c, i % KEYS) == LARDER_OK);
}

Test(eintr, the_dead_are_recovered) {
    struct fixture f;
    unsigned deaths = getenv("LARDER_TEST_LONG") ? 10000 : 200 / SLOW_FACTOR;
    uint64_t slowest_ms = 0;
    begin(&f);
    timer_t timer = interrupt_me();
    for (unsigned i = 0; i < deaths; i++) {
        struct victim v = {&f, 1 + rng_below(&f.rng, 3000), 0};
        cr_assert(proc_is_signal(proc_run(die_or_stop, &v, DEADLINE_MS), SIGKILL));
        uint64_t start_ms = until_own_ms();
        must(history_settle(&f.c, 0, KEYS));
        for (uint32_t k = 0; k < KEYS; k++)
            cr_assert_eq(history_write(&f.c, k), LARDER_OK, "%s", larder_error());
        uint64_t took_ms = until_own_ms() - start_ms;
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
        if (i % 10 == 0) {
            must(history_look(&f.c));
            must_be_clean(&f);
        }
    }
    let_me_be(timer);
    fprintf(stderr, "the slowest %u writes after a death took %lu ms\n", KEYS, (unsigned long)slowest_ms);
    cr_assert(slowest_ms < 1000 * SLOW_FACTOR);
    must_have_been_interrupted(1000);
    end(&f);
}

Test(eintr, a_stopped_holder_gives_busy_at_its_time) {
    enum { LIMIT_MS = 300 };
    struct fixture f;
    struct larder *db;
    struct history_client c;
    begin(&f);
    for (uint32_t i = 0; i < 3 * KEYS; i++)
        cr_assert_eq(history_write(&f.c, i % KEYS), LARDER_OK);
    cr_assert_eq(
        larder_open(
            &(struct larder_options){.flags = LARDER_MEMFD, .memfd = larder_memfd(f.db), .busy_timeout_ms = LIMIT_MS},
            &db),
        LARDER_OK);
    cr_assert_eq(history_attach(&c, f.h, db), LARDER_OK);
    struct victim v = {&f, 30, 1};
    pid_t pid = proc_fork(die_or_stop, &v);
    cr_assert(UNTIL(is_stopped(pid), DEADLINE_MS));
    timer_t timer = interrupt_me();
    unsigned busy = 0;
    for (uint32_t k = 1; k < KEYS && (busy < 3 || is_too_quiet(100, (int)k)); k++) { /* key 0 is the victim's */
        uint64_t start_ms = now_ms(), own_start_ms = until_own_ms();
        int r = history_write(&c, k);
        uint64_t own_ms = until_own_ms() - own_start_ms, took_ms = now_ms() - start_ms;
        cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "%s", larder_error());
        busy += r == LARDER_E_BUSY;
        cr_assert(r == LARDER_OK || (took_ms >= LIMIT_MS && own_ms < (LIMIT_MS + 500) * SLOW_FACTOR), "%lu ms",
                  (unsigned long)took_ms);
    }
    let_me_be(timer);
    cr_assert(busy > 0, "no call had to wait");
    must_have_been_interrupted(100);
    proc_resume(pid);
    proc_kill(pid);
    must(history_settle(&f.c, 0, KEYS));
    larder_close(db);
    end(&f);
}
