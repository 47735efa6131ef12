/* tests/crash/clock_test.c - the system clock is set back an hour and forward a year.
 *
 * Goal     Visibility follows the clock of the process that reads, at every moment: an expired item
 *          is gone, and one that was not collected yet is seen again when the clock goes back. The
 *          expirer collects by its own clock, at once after a jump of any distance. It removes
 *          nothing early, and loses no timer. Waits do not follow this clock: no call takes longer
 *          or shorter, and none hangs. Two processes may disagree by an hour.
 * Method   clock_gettime() and time() are replaced in this program by ones that add an offset to
 *          the clocks of the day, and leave the monotonic ones alone. So the default clock of a
 *          handle is tested, as a host program has it. The offset lies in memory that parent and
 *          children share, one for each.
 * Also     api/ttl_test.c and unit/ttl/wheel_test.c, with the clock that larder_set_clock() gives.
 */
#include <criterion/criterion.h>
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
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(clock, .timeout = 60 * SLOW_FACTOR);

#define HOUR 3600
#define YEAR (365 * 24 * HOUR)
#define DEADLINE_MS 20000
#define SOON_MS 2000 /* for the expirer's next turn and its work */

/* ---- The clocks ------------------------------------------------------------------------------ */

#define PROCESSES 2
static struct shared {
    _Atomic int64_t offset_s[PROCESSES];
    _Atomic uint32_t ready, go_on;
} * shared;
static int me; /* which offset is this process's */

static int is_clock_of_day(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now) {
    long r = syscall(SYS_clock_gettime, clock, now);
    if (r == 0 && shared && is_clock_of_day(clock))
        now->tv_sec += atomic_load(&shared->offset_s[me]);
    return (int)r;
}

__attribute__((visibility("default"))) time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

static int64_t now_s(void) {
    return (int64_t)time(NULL);
}

static void set_clock(int64_t offset_s) {
    atomic_store(&shared->offset_s[me], offset_s);
}

/* ---- A table --------------------------------------------------------------------------------- */

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    int64_t start_s; /* by the true clock */
    uint64_t empty_bytes;
};

static void attach(struct fixture *f, struct larder *db) {
    f->db = db;
    PROC_CHECK(larder_table_open(db, "things", &f->t) == LARDER_OK);
    PROC_CHECK(larder_builder_new(db, &f->b) == LARDER_OK && larder_page_new(db, &f->page) == LARDER_OK);
}

static uint64_t used_bytes(const struct fixture *f) {
    struct larder_segment_stats segment;
    struct larder_table_stats table;
    PROC_CHECK(larder_segment_stats(f->db, &segment) == LARDER_OK && larder_table_stats(f->t, &table) == LARDER_OK);
    return segment.used_bytes - table.bucket_bytes;
}

static uint64_t item_count(const struct fixture *f) {
    struct larder_table_stats table;
    PROC_CHECK(larder_table_stats(f->t, &table) == LARDER_OK);
    return table.item_count;
}

static void begin(struct fixture *f) {
    const struct larder_index_def index = {.name = "byKind", .partition = {"kind", LARDER_S}, .sort = {"pk", LARDER_S}};
    const struct larder_table_def def = {
        .name = "things", .partition = {"pk", LARDER_S}, .indexes = &index, .index_count = 1, .ttl_attribute = "ttl"};
    memset(f, 0, sizeof *f);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)shared != MAP_FAILED);
    f->start_s = now_s();
    struct larder *db = testseg_open(64u << 20, 4);
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    attach(f, db);
    f->empty_bytes = used_bytes(f);
}

static void must_be_clean(const struct fixture *f) {
    struct larder_check_report report;
    PROC_CHECK(larder_check(f->db, NULL, &report) == LARDER_OK);
    PROC_CHECK(report.leaked_blocks == 0 && report.stale_entries == 0);
}

static void end(struct fixture *f) {
    must_be_clean(f);
    larder_close(f->db);
    munmap(shared, sizeof *shared);
    shared = NULL;
}

static void key_of(char pk[32], int n) {
    snprintf(pk, 32, "item%06d", n);
}

static void put(struct fixture *f, int n, int64_t expires_s) {
    const struct larder_item *item;
    char pk[32];
    key_of(pk, n);
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "pk", pk);
    larder_builder_add_s(f->b, "kind", "all");
    larder_builder_add_int(f->b, "ttl", expires_s);
    PROC_CHECK(larder_builder_finish(f->b, &item) == LARDER_OK && larder_put(f->t, item, NULL) == LARDER_OK);
}

/* 1 or 0, by all paths alike. */
static int is_seen(struct fixture *f, int n) {
    char pk[32];
    key_of(pk, n);
    const struct larder_key key = {.partition = larder_str(pk)};
    const struct larder_query_spec query = {
        .index = "byKind", .partition = larder_str("all"), .sort_op = LARDER_SORT_EQ, .sort_value = larder_str(pk)};
    int r = larder_get(f->t, &key, f->page);
    PROC_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND);
    PROC_CHECK(larder_query(f->t, &query, f->page) == LARDER_OK);
    PROC_CHECK(larder_page_count(f->page) == (r == LARDER_OK));
    return r == LARDER_OK;
}

static uint32_t seen(struct fixture *f) {
    const struct larder_scan_spec all = {.bytes_max = UINT32_MAX};
    PROC_CHECK(larder_scan(f->t, &all, f->page) == LARDER_OK);
    return larder_page_count(f->page);
}

static uint64_t expire(struct fixture *f) {
    uint64_t removed = 0, start_ms = until_own_ms();
    PROC_CHECK(larder_expire(f->db, 0, &removed) == LARDER_OK);
    /* years do not pass second by second */
    PROC_CHECK(until_own_ms() - start_ms < SOON_MS * SLOW_FACTOR);
    return removed;
}

/* ---- Jumps ----------------------------------------------------------------------------------- */

Test(clock, set_back_an_hour_shows_again_what_is_not_collected) {
    struct fixture f;
    begin(&f);
    put(&f, 1, f.start_s - 10); /* has expired */
    put(&f, 2, f.start_s + 1000);
    put(&f, 3, f.start_s - 2 * HOUR);
    cr_assert(!is_seen(&f, 1) && is_seen(&f, 2) && !is_seen(&f, 3));
    /* its timer stays, and finds that the item now expires later */
    put(&f, 5, f.start_s + 50);
    put(&f, 5, f.start_s + 5000);
    set_clock(-HOUR);
    cr_assert(is_seen(&f, 1) && is_seen(&f, 2) && !is_seen(&f, 3));
    cr_assert_eq(expire(&f), 1, "by the clock as it is now, one has expired");
    cr_assert(is_seen(&f, 1));
    /* expires before the other two, though the clock was later already */
    put(&f, 4, now_s() + 100);
    set_clock(-HOUR + 99 - 5);
    cr_assert(is_seen(&f, 4));
    cr_assert_eq(expire(&f), 0, "early");
    set_clock(-HOUR + 106);
    cr_assert(!is_seen(&f, 4) && is_seen(&f, 1));
    cr_assert_eq(expire(&f), 1);
    set_clock(0);
    cr_assert(!is_seen(&f, 1) && is_seen(&f, 2));
    cr_assert_eq(expire(&f), 1);
    set_clock(1100);
    cr_assert_eq(expire(&f), 1);
    cr_assert(is_seen(&f, 5));
    set_clock(5000);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(item_count(&f), 0);
    end(&f);
}

Test(clock, set_forward_a_year_collects_all_at_once_and_back_again_nothing_early) {
    enum { ITEMS = 20000 };
    struct fixture f;
    begin(&f);
    for (int n = 0; n < ITEMS; n++) /* over the whole year and more */
        put(&f, n, f.start_s + 100 + (int64_t)n * (2 * YEAR / ITEMS));
    cr_assert_eq(seen(&f), ITEMS);
    cr_assert_eq(expire(&f), 0);
    set_clock(YEAR);
    uint32_t left = seen(&f);
    cr_assert(left > ITEMS / 2 - 100 && left < ITEMS / 2 + 100, "%u", left);
    cr_assert_eq(expire(&f), ITEMS - left);
    cr_assert_eq(item_count(&f), left);
    /* The jump was a mistake: what was collected is gone, what is written now lives by the clock as
     * it is. */
    set_clock(0);
    cr_assert_eq(seen(&f), left);
    for (int n = 0; n < 1000; n++)
        put(&f, n, now_s() + 200 + n);
    cr_assert_eq(expire(&f), 0, "early");
    cr_assert_eq(seen(&f), left + 1000);
    set_clock(700);
    uint64_t due = left + 1000 - seen(&f);
    cr_assert(due >= 500 && due < 520, "%lu", (unsigned long)due);
    uint64_t removed = expire(&f); /* the system's clock goes on, and each second one more is due */
    uint64_t due_now = left + 1000 - seen(&f);
    cr_assert(removed >= due && removed <= due_now, "%lu", (unsigned long)removed);
    must_be_clean(&f);
    set_clock(3 * (int64_t)YEAR);
    cr_assert_eq(seen(&f), 0);
    expire(&f);
    cr_assert_eq(item_count(&f), 0);
    cr_assert_eq(used_bytes(&f), f.empty_bytes, "memory came back");
    end(&f);
}

/* Also to before the epoch, and past what a timer can name. */
Test(clock, nonsense_is_survived) {
    static const int64_t at_s[] = {0, 1, -5, INT32_MAX, UINT32_MAX - 1, UINT32_MAX, (int64_t)UINT32_MAX + 1000};
    struct fixture f;
    begin(&f);
    for (unsigned i = 0; i < sizeof at_s / sizeof *at_s; i++) {
        set_clock(0);
        put(&f, 1, f.start_s + 1000);
        set_clock(at_s[i] - f.start_s);
        cr_assert_eq(is_seen(&f, 1), at_s[i] < f.start_s);
        put(&f, 2, at_s[i] + 100000000);
        cr_assert(at_s[i] < 0 || is_seen(&f, 2));
        expire(&f);
        cr_assert_eq(is_seen(&f, 1), at_s[i] < f.start_s);
        must_be_clean(&f);
    }
    set_clock((int64_t)UINT32_MAX + 400000000 - f.start_s);
    expire(&f);
    cr_assert_eq(seen(&f), 0);
    end(&f);
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* 200 more items, which are 10 in all without them. The thread may get no core for a while: one of
 * several tries is enough. */
static int expires_soon(struct fixture *f) {
    for (int tries = 0; tries < 10; tries++) {
        for (int n = 0; n < 200; n++)
            put(f, n, now_s() - 1 - n);
        uint64_t start_ms = until_now_ms();
        if (!UNTIL(item_count(f) == 10, DEADLINE_MS))
            return 0;
        if (until_now_ms() - start_ms < SOON_MS * SLOW_FACTOR)
            return 1;
    }
    return 0;
}

Test(clock, the_expirer_thread_follows_every_jump) {
    static const int64_t jumps_s[] = {YEAR, -HOUR, HOUR, 0, -YEAR, 2 * YEAR, 60, 0};
    struct fixture f;
    begin(&f);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    for (unsigned i = 0; i < sizeof jumps_s / sizeof *jumps_s; i++) {
        for (int n = 200; n < 210; n++)
            put(&f, n, now_s() + 50 * (int64_t)YEAR);
        cr_assert(expires_soon(&f), "jump %u: %lu items are there", i, (unsigned long)item_count(&f));
        set_clock(jumps_s[i]);
        cr_assert_eq(seen(&f), 10);
    }
    larder_expirer_stop(f.db);
    end(&f);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static int stop_in_mid_write(void *arg) {
    struct fixture *f = arg;
    shm_crash_arm_stop(40);
    for (int n = 0; n < 1000; n++)
        put(f, n, f->start_s + 5 * (int64_t)YEAR);
    return 1;
}

static int is_stopped(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void *jump_about(void *over) {
    for (int64_t i = 0; !atomic_load((_Atomic int *)over); i++) {
        set_clock(i % 2 ? -HOUR : YEAR);
        until_pause();
    }
    return NULL;
}

/* A wait for a lock is as long as the caller said, whatever the clock of the day does meanwhile. */
Test(clock, waits_do_not_follow_it) {
    enum { LIMIT_MS = 300 };
    struct fixture f, impatient;
    struct larder_options o = {.flags = LARDER_MEMFD, .busy_timeout_ms = LIMIT_MS};
    _Atomic int over = 0;
    pthread_t thread;
    int busy = 0;
    begin(&f);
    impatient = f;
    o.memfd = larder_memfd(f.db);
    cr_assert_eq(larder_open(&o, &impatient.db), LARDER_OK);
    attach(&impatient, impatient.db);
    pid_t pid = proc_fork(stop_in_mid_write, &f);
    cr_assert(UNTIL(is_stopped(pid), DEADLINE_MS));
    cr_assert_eq(pthread_create(&thread, NULL, jump_about, &over), 0);
    for (int n = 1000; n < 1020 && busy < 3; n++) {
        char pk[32];
        key_of(pk, n);
        const struct larder_key key = {.partition = larder_str(pk)};
        uint64_t start_ms = until_now_ms(), own_start_ms = until_own_ms();
        int r = larder_delete(impatient.t, &key, NULL);
        uint64_t own_ms = until_own_ms() - own_start_ms, took_ms = until_now_ms() - start_ms;
        cr_assert(r == LARDER_NOT_FOUND || r == LARDER_E_BUSY, "%s", larder_error());
        busy += r == LARDER_E_BUSY;
        cr_assert(r != LARDER_E_BUSY || (took_ms >= LIMIT_MS && own_ms < (LIMIT_MS + 1000) * SLOW_FACTOR), "%lu ms",
                  (unsigned long)took_ms);
    }
    atomic_store(&over, 1);
    pthread_join(thread, NULL);
    cr_assert(busy > 0, "no call had to wait");
    proc_resume(pid);
    proc_kill(pid);
    larder_close(impatient.db);
    set_clock(0);
    end(&f);
}

/* ---- Two processes --------------------------------------------------------------------------- */

/* Its clock is an hour ahead. */
static int an_hour_ahead(void *arg) {
    struct fixture *f = arg;
    me = 1;
    set_clock(HOUR);
    PROC_CHECK(!is_seen(f, 1) && is_seen(f, 2)); /* to the parent it has half an hour to live */
    atomic_store(&shared->ready, 1);
    PROC_CHECK(UNTIL(atomic_load(&shared->go_on) == 1, DEADLINE_MS));
    put(f, 3, now_s() + 10); /* more than an hour, to the parent */
    PROC_CHECK(is_seen(f, 3) && is_seen(f, 4));
    PROC_CHECK(larder_expirer_start(f->db) == LARDER_OK); /* its clock decides what is collected */
    PROC_CHECK(UNTIL(item_count(f) == 3, DEADLINE_MS));
    larder_expirer_stop(f->db);
    return 0;
}

Test(clock, two_processes_an_hour_apart) {
    struct fixture f;
    begin(&f);
    put(&f, 1, f.start_s + HOUR / 2);
    put(&f, 2, f.start_s + 2 * HOUR);
    put(&f, 4, f.start_s + 3 * HOUR);
    pid_t pid = proc_fork(an_hour_ahead, &f);
    cr_assert(UNTIL(atomic_load(&shared->ready) == 1, DEADLINE_MS));
    cr_assert_eq(expire(&f), 0);
    cr_assert(is_seen(&f, 1) && is_seen(&f, 2));
    atomic_store(&shared->go_on, 1);
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert(!is_seen(&f, 1) && is_seen(&f, 2) && is_seen(&f, 3) && is_seen(&f, 4));
    /* The wheel was an hour ahead when this item came, and stays there. */
    put(&f, 5, f.start_s + 100);
    cr_assert_eq(expire(&f), 0);
    set_clock(100);
    cr_assert_eq(expire(&f), 1);
    set_clock(3 * HOUR + 1);
    cr_assert_eq(expire(&f), 3);
    cr_assert_eq(item_count(&f), 0);
    end(&f);
}
