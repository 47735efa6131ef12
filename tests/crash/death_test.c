/* tests/crash/death_test.c - deaths of other kinds than SIGKILL, in the middle of another thread's
 * write.
 *
 * Goal     A process that ends by exec, exit, abort, return or pthread_exit while one of its
 *          threads is inside a put leaves what a SIGKILL there would leave: the put happened or did
 *          not, through every path; no process waits; the slot is free again and no block is lost.
 *          A process image that takes its place finds a segment that works. A child that is another
 *          program from the start (posix_spawn, vfork) harms no other process. A cancelled thread
 *          ends after its call. Threads that come and go cost no slots.
 * Method   crash/death_victim.c, a program of its own, dies while a thread stands before store k,
 *          for every k of a put that changes every index key. The survivor, attached before,
 *          compares what it reads with the states before and after. LARDER_TEST_LONG: every store
 *          for every kind; else one in a few, another choice for each kind.
 * Others   fork in mid-write, child and parent write: midfork_test.c, api/fork_test.c. The segment
 *          is destroyed under attached processes: destroy_test.c. Full filesystem, memory,
 *          descriptors, file size: limits_test.c, api/full_test.c, crash/alloc_test.c. Signals:
 *          eintr_test.c. Clocks: clock_test.c, api/ttl_test.c. PID namespaces: pidns_test.c,
 *          unit/segment/live_test.c.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "tests/crash/cutoff.h"
#include "tests/crash/park.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(death, .timeout = 100 * SLOW_FACTOR);

#define DEADLINE_MS 20000
#define NOTICE_MS 500 /* longest write of a survivor, repairs included */
#define NO_SUCH_STORE 4

struct scene {
    int base; /* the world before */
    char *before, *after;
    uint64_t stores;
    char program[512];
};

static int act(void *db) {
    return cutoff_act(db);
}

static void find_victim(char program[512]) {
    ssize_t n = readlink("/proc/self/exe", program, 480);
    cr_assert(n > 0);
    program[n] = 0;
    strcpy(strrchr(program, '/') + 1, "death_victim");
    cr_assert(access(program, X_OK) == 0, "%s is not built", program);
}

static int copy_of(int base) {
    int memfd = world_copy(base);
    cr_assert(fcntl(memfd, F_SETFD, 0) == 0); /* the victim inherits it */
    return memfd;
}

static void begin(struct scene *s) {
    leaf_capacity = 4;
    find_victim(s->program);
    s->base = world_create(2);
    struct larder *db = world_open(s->base);
    cutoff_prepare(db);
    cr_assert_eq(cutoff_probe(db), LARDER_OK);
    s->before = world_dump(db);
    larder_close(db);
    int memfd = world_copy(s->base);
    db = world_open(memfd);
    s->stores = park_count(act, db);
    s->after = world_dump(db);
    cr_assert(strcmp(s->before, s->after) != 0 && s->stores > 50);
    larder_close(db);
    close(memfd);
}

static void end(struct scene *s) {
    free(s->before);
    free(s->after);
    close(s->base);
}

static pid_t start_victim(const struct scene *s, const char *how, int memfd, uint64_t k) {
    char fd[16], number[24];
    snprintf(fd, sizeof fd, "%d", memfd);
    snprintf(number, sizeof number, "%lu", (unsigned long)k);
    return proc_exec((const char *const[]){s->program, how, fd, number, NULL}, -1);
}

/* 0: the state before, 1: the state after. */
static int must_be_whole(const struct scene *s, struct larder *db, const char *how, uint64_t k) {
    char *text = world_dump(db);
    int is_after = strcmp(text, s->after) == 0;
    cr_assert(is_after || strcmp(text, s->before) == 0, "%s at store %lu: something is half done:\n%s", how,
              (unsigned long)k, text);
    free(text);
    return is_after;
}

static void must_hold_all_slots(struct larder *db, const char *how, uint64_t k) {
    struct larder_slot_stats slots[64];
    uint32_t count;
    cr_assert_eq(larder_slot_stats(db, slots, 64, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(slots[i].pid == getpid() && slots[i].is_alive && slots[i].lock_count == 0,
                  "%s at store %lu: slot %u still belongs to process %d", how, (unsigned long)k, slots[i].slot,
                  slots[i].pid);
}

static uint32_t slots_used(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.slots_used;
}

/* By a survivor that was attached all the time. `must_be_after`: the writer finished. */
static void judge(const struct scene *s, struct larder *db, const char *how, uint64_t k, int must_be_after) {
    struct larder_check_report report;
    int at_once = must_be_whole(s, db, how, k);
    uint64_t start_ms = until_own_ms();
    cr_assert_eq(cutoff_probe(db), LARDER_OK, "%s at store %lu: %s", how, (unsigned long)k, larder_error());
    uint64_t took_ms = until_own_ms() - start_ms;
    cr_assert(took_ms < NOTICE_MS * SLOW_FACTOR, "%s at store %lu: writes took %lu ms", how, (unsigned long)k,
              (unsigned long)took_ms);
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s at store %lu: %s", how, (unsigned long)k,
                 larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
    int later = must_be_whole(s, db, how, k);
    cr_assert(later >= at_once && later >= must_be_after, "%s at store %lu: %s", how, (unsigned long)k,
              later ? "a published write was taken back" : "the write is lost");
    must_hold_all_slots(db, how, k);
}

static int is_wanted_end(struct proc_result r, const char *how) {
    return strcmp(how, "abort") == 0 ? proc_is_signal(r, SIGABRT) : proc_is_exit(r, 0);
}

/* 0: the put has no such store. Their number varies a little with which blocks are free. */
static int die_at(const struct scene *s, const char *how, uint64_t k, int must_be_after) {
    int memfd = copy_of(s->base);
    struct larder *survivor = world_open(memfd);
    struct proc_result r = proc_wait(start_victim(s, how, memfd, k), DEADLINE_MS);
    int has_store = !proc_is_exit(r, NO_SUCH_STORE);
    cr_assert(!has_store || is_wanted_end(r, how), "%s at store %lu: the victim: %s", how, (unsigned long)k,
              proc_text(r));
    judge(s, survivor, how, k, must_be_after || !has_store);
    larder_close(survivor);
    close(memfd);
    return has_store;
}

/* Every `stride`-th store. Each kind counts from another first store. */
static void die_everywhere(const char *how, uint64_t stride, int must_be_after) {
    struct scene s;
    uint64_t tried = 0;
    begin(&s);
    stride *= SLOW_FACTOR;
    if (getenv("LARDER_TEST_LONG"))
        stride = 1;
    for (uint64_t k = 1 + (uint64_t)(unsigned char)how[0] % stride; die_at(&s, how, k, must_be_after); k += stride)
        tried++;
    fprintf(stderr, "%-8s at %lu of %lu stores\n", how, (unsigned long)tried, (unsigned long)s.stores);
    cr_assert(tried > s.stores / stride / 2);
    end(&s);
}

/* ---- The process ends ------------------------------------------------------------------------ */

Test(death, exec_without_close_in_mid_write) {
    die_everywhere("exec", 3, 0);
}

Test(death, exit_in_a_thread_while_another_is_in_mid_write) {
    die_everywhere("exit", 11, 0);
}

Test(death, quick_exit_in_a_thread_while_another_is_in_mid_write) {
    die_everywhere("_exit", 9, 0);
}

Test(death, abort_in_a_thread_while_another_is_in_mid_write) {
    die_everywhere("abort", 9, 0);
}

Test(death, return_from_main_while_a_thread_and_the_expirer_work) {
    die_everywhere("return", 7, 0);
}

Test(death, main_ends_and_the_writer_is_the_last_thread) {
    die_everywhere("last", 7, 1);
}

/* ---- The process goes on --------------------------------------------------------------------- */

Test(death, spawned_and_vforked_programs_harm_nobody_in_mid_write) {
    die_everywhere("spawn", 7, 1);
}

/* ---- A thread is cancelled ------------------------------------------------------------------- */

/* One call of a thread that is cancelled before its k-th store, where an end would leave most
 * behind. */
struct cancelled {
    int (*call)(struct cancelled *c);
    struct larder *db;
    char name[TESTSEG_NAME_MAX];
    uint64_t k;
    int result, is_done;
};

static void cancel_me(void) {
    pthread_cancel(pthread_self());
}

static void *call_and_be_cancelled(void *arg) {
    struct cancelled *c = arg;
    shm_crash_arm_call(c->k, cancel_me);
    c->result = c->call(c);
    c->is_done = 1;
    shm_crash_arm(0);
    pthread_testcancel();
    return NULL;
}

/* 1: it was cancelled, and had finished its call before it ended. */
static int run_cancelled(struct cancelled *c, const char *what) {
    pthread_t thread;
    void *end;
    c->is_done = 0;
    cr_assert_eq(pthread_create(&thread, NULL, call_and_be_cancelled, c), 0);
    cr_assert_eq(pthread_join(thread, &end), 0);
    cr_assert(c->is_done, "%s at store %lu: the thread ended inside the call", what, (unsigned long)c->k);
    cr_assert(c->result >= 0, "%s at store %lu: %s", what, (unsigned long)c->k, larder_result_name(c->result));
    return end == PTHREAD_CANCELED;
}

static int call_put(struct cancelled *c) {
    return cutoff_act(c->db);
}

static int call_expire(struct cancelled *c) {
    return larder_expire(c->db, 0, NULL);
}

static int call_check(struct cancelled *c) {
    struct larder_check_report report;
    return larder_check(c->db, NULL, &report);
}

static void cancel_everywhere(const char *what, int (*call)(struct cancelled *c), uint64_t stride) {
    struct scene s;
    struct cancelled c = {.call = call, .k = 1};
    struct larder_check_report report;
    unsigned tried = 0;
    int is_cancelled = 1;
    begin(&s);
    while (is_cancelled) {
        int memfd = world_copy(s.base);
        c.db = world_open(memfd);
        is_cancelled = run_cancelled(&c, what);
        cr_assert_eq(cutoff_probe(c.db), LARDER_OK, "%s at store %lu: %s", what, (unsigned long)c.k, larder_error());
        cr_assert_eq(larder_check(c.db, NULL, &report), LARDER_OK, "%s", larder_error());
        must_hold_all_slots(c.db, what, c.k);
        cr_assert(slots_used(c.db) <= 2, "%s at store %lu: the slot is lost", what, (unsigned long)c.k);
        larder_close(c.db);
        close(memfd);
        c.k += stride * SLOW_FACTOR;
        tried++;
    }
    cr_assert(tried > 3, "%u", tried);
    end(&s);
}

Test(death, a_thread_cancelled_in_a_put_ends_after_it) {
    cancel_everywhere("put", call_put, 11);
}

Test(death, a_thread_cancelled_in_an_expiry_ends_after_it) {
    cancel_everywhere("expire", call_expire, 5);
}

Test(death, a_thread_cancelled_in_a_check_ends_after_it) {
    cancel_everywhere("check", call_check, 1);
}

static int try_open(const char *name) {
    struct larder_options o = {
        .segment = name, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN, .busy_timeout_ms = 100};
    struct larder *db;
    int r = larder_open(&o, &db);
    if (r == LARDER_OK)
        larder_close(db);
    return r;
}

static int call_create(struct cancelled *c) {
    struct larder_options o = {.segment = c->name, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    return larder_open(&o, &c->db);
}

static int call_close(struct cancelled *c) {
    larder_close(c->db);
    return LARDER_OK;
}

static int call_destroy(struct cancelled *c) {
    return larder_destroy(c->name, 0);
}

static int maps_of(const char *name) {
    char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    cr_assert(maps != NULL);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, name) != NULL;
    (void)fclose(maps);
    return count;
}

/* A creation lock left behind would be held by this process as long as it lives: no process could
 * create or destroy. */
Test(death, a_thread_cancelled_in_open_close_or_destroy_leaves_nothing) {
    struct cancelled c = {.k = 1};
    for (int is_cancelled = 1; is_cancelled; c.k++) {
        testseg_name(c.name);
        c.call = call_create;
        is_cancelled = run_cancelled(&c, "create");
        cr_assert_eq(try_open(c.name), LARDER_OK, "create at %lu: %s", (unsigned long)c.k, larder_error());
        c.call = call_close;
        is_cancelled |= run_cancelled(&c, "close");
        cr_assert_eq(maps_of(c.name), 0, "close at %lu", (unsigned long)c.k);
        c.call = call_destroy;
        is_cancelled |= run_cancelled(&c, "destroy");
        cr_assert_eq(maps_of(c.name), 0, "destroy at %lu", (unsigned long)c.k);
        cr_assert_eq(larder_destroy(c.name, 0), LARDER_E_NO_SEGMENT);
    }
    cr_assert(c.k > 5);
}

static int call_stop(struct cancelled *c) {
    pthread_cancel(pthread_self());
    larder_expirer_stop(c->db);
    return LARDER_OK;
}

static int threads_of_this_process(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    cr_assert(dir != NULL);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

Test(death, a_thread_cancelled_while_it_stops_the_expirer) {
    int threads = threads_of_this_process();
    for (int i = 0; i < 20; i++) {
        struct cancelled c = {.call = call_stop, .db = world_open(world_create(2))};
        cr_assert_eq(larder_expirer_start(c.db), LARDER_OK);
        cr_assert_eq(run_cancelled(&c, "stop"), 1);
        cr_assert(UNTIL(threads_of_this_process() == threads, DEADLINE_MS), "the expirer goes on");
        larder_close(c.db);
    }
}

/* ---- Threads without number ------------------------------------------------------------------ */

struct crowd {
    struct larder *db;
    _Atomic int failed;
};

static void *write_once_and_end(void *arg) {
    struct crowd *c = arg;
    if (world_try_put(c->db, CUTOFF_PROBE, 111, 10, 0) != LARDER_OK)
        c->failed = 1;
    pthread_exit(NULL);
}

/* A thread that ends gives its slot to the pool. So there are as many slots as threads have written
 * at the same moment, no more. */
Test(death, thousands_of_threads_that_write_and_end) {
    enum { ROUNDS = 1000, AT_ONCE = 4 };
    struct crowd c = {.db = world_open(world_create(2))};
    pthread_t thread[AT_ONCE];
    for (int i = 0; i < ROUNDS; i++) {
        for (int t = 0; t < AT_ONCE; t++)
            cr_assert_eq(pthread_create(&thread[t], NULL, write_once_and_end, &c), 0);
        for (int t = 0; t < AT_ONCE; t++)
            cr_assert_eq(pthread_join(thread[t], NULL), 0);
    }
    cr_assert_eq(c.failed, 0, "a write failed");
    cr_assert(slots_used(c.db) <= AT_ONCE, "%u slots", slots_used(c.db));
    struct larder_check_report report;
    cr_assert_eq(larder_check(c.db, NULL, &report), LARDER_OK, "%s", larder_error());
    larder_close(c.db);
}
