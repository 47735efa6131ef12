/* tests/crash/pidns_test.c - containers: PID, user and mount namespaces of their own, one segment.
 *
 * Goal     Process ids are no identity: processes that are all number 1, each in its PID namespace,
 *          share a segment, and none takes another for itself or for dead. A process killed in one
 *          namespace is recovered from another, and by one with the same number. Messages and
 *          statistics name the slot, which is the same for all. A user namespace makes no
 *          difference where the file may be opened. Without /proc reading works, and a text says
 *          what is missing.
 * Method   unshare() in children of the test. The segment is a file in /dev/shm that each opens
 *          itself, or an inherited memfd. tests/support/history.h judges every read. Skipped where
 *          namespaces are not allowed.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(pidns, .timeout = 50 * SLOW_FACTOR);

#define KEYS 48u
#define DEADLINE_MS 20000
#define NOTICE_MS 1000
#define NOT_ALLOWED 77

struct fixture {
    char name[TESTSEG_NAME_MAX];
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
    struct rng rng;
    struct shared {
        _Atomic uint32_t ready, stands, written;
    } * shared;
};

static void must(const char *what) {
    cr_assert(what == NULL, "%s", what);
}

static void child_must(const char *what) {
    if (what)
        fprintf(stderr, "child: %s\n", what);
    PROC_CHECK(what == NULL);
}

static void begin(struct fixture *f) {
    memset(f, 0, sizeof *f);
    rng_seed(&f->rng, rng_test_seed("pidns"));
    testseg_name(f->name);
    f->h = history_new(KEYS, rng_next(&f->rng), &f->history_fd);
    f->h->fill_max = 3000;
    f->db = testseg_open_named(f->name, 32u << 20, 2);
    cr_assert_eq(history_table_create(f->db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_attach(&f->c, f->h, f->db), LARDER_OK, "%s", larder_error());
    f->shared = mmap(NULL, sizeof *f->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)f->shared != MAP_FAILED);
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
    testseg_destroy(f->name);
    history_free(f->h);
    close(f->history_fd);
    munmap(f->shared, sizeof *f->shared);
}

/* ---- A process in a namespace ---------------------------------------------------------------- */

struct inside {
    struct fixture *f;
    int (*run)(struct inside *in); /* as process 1 */
    int namespaces;                /* besides CLONE_NEWPID */
    uint32_t first, count;         /* keys */
    uint64_t k;                    /* store before which it stands still */
    /* set from outside: process 1 of a namespace cannot kill or stop itself */
    int is_killed;
};

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

/* The namespaces' parent. Ends as its child ends, by signal or exit code. */
static int enter(void *arg) {
    struct inside *in = arg;
    int status;
    if (unshare(CLONE_NEWPID | in->namespaces) != 0)
        return NOT_ALLOWED;
    if ((in->namespaces & CLONE_NEWUSER) &&
        !(write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", "0 0 1") &&
          write_file("/proc/self/gid_map", "0 0 1")))
        return NOT_ALLOWED;
    pid_t pid = fork();
    PROC_CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        PROC_CHECK(getpid() == 1);
        if ((in->namespaces & CLONE_NEWNS) &&
            (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("proc", "/proc", "proc", 0, NULL) != 0))
            _exit(NOT_ALLOWED);
        _exit(in->run(in));
    }
    if (in->is_killed) {
        PROC_CHECK(UNTIL(atomic_load(&in->f->shared->stands), DEADLINE_MS));
        PROC_CHECK(kill(pid, SIGKILL) == 0);
    }
    PROC_CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

/* A handle of its own, by name. */
static void attach(struct inside *in, struct history_client *c) {
    struct larder *db;
    struct larder_options o = {.segment = in->f->name, .busy_timeout_ms = DEADLINE_MS * SLOW_PATIENCE};
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    PROC_CHECK(history_attach(c, in->f->h, db) == LARDER_OK);
}

/* Slots that are alive and belong to a process 1. */
static uint32_t slots_of_ones(struct larder *db) {
    struct larder_slot_stats slots[64];
    uint32_t count, ones = 0;
    PROC_CHECK(larder_slot_stats(db, slots, 64, &count) == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        ones += slots[i].pid == 1 && slots[i].is_alive;
    return ones;
}

static int write_beside_its_like(struct inside *in) {
    struct history_client c;
    attach(in, &c);
    PROC_CHECK(history_write(&c, in->first) == LARDER_OK);
    atomic_fetch_add(&in->f->shared->ready, 1);
    PROC_CHECK(UNTIL(atomic_load(&in->f->shared->ready) == 2, DEADLINE_MS));
    PROC_CHECK(slots_of_ones(c.db) >= 2);
    for (uint32_t i = 0; i < 3000 / SLOW_FACTOR; i++) {
        PROC_CHECK(history_write(&c, in->first + i % in->count) == LARDER_OK);
        if (i % 250 == 0)
            child_must(history_look(&c));
        if (i % 1000 == 0)
            PROC_CHECK(larder_check(c.db, NULL, &(struct larder_check_report){0}) == LARDER_OK);
    }
    larder_close(c.db);
    return 0;
}

static void skip_if_not_allowed(struct proc_result r) {
    if (proc_is_exit(r, NOT_ALLOWED))
        cr_skip_test("may not have such namespaces here");
}

static void both_write(int first_namespaces, int second_namespaces) {
    struct fixture f;
    begin(&f);
    struct inside in[2] = {{&f, write_beside_its_like, first_namespaces, 0, 20, 0, 0},
                           {&f, write_beside_its_like, second_namespaces, 20, 20, 0, 0}};
    pid_t pid[2];
    for (int i = 0; i < 2; i++)
        pid[i] = proc_fork(enter, &in[i]);
    for (int i = 0; i < 2; i++) {
        struct proc_result r = proc_wait(pid[i], DEADLINE_MS);
        if (proc_is_exit(r, NOT_ALLOWED) && i == 0)
            proc_kill(pid[1]);
        skip_if_not_allowed(r);
        cr_assert(proc_is_exit(r, 0), "process 1 of namespace %d: %s", i, proc_text(r));
    }
    for (uint32_t k = 0; k < KEYS; k++)
        cr_assert_eq(history_write(&f.c, k), LARDER_OK, "%s", larder_error());
    end(&f);
}

Test(pidns, two_processes_with_the_same_number_write_at_once) {
    both_write(0, 0);
}

Test(pidns, each_with_a_proc_of_its_own) {
    both_write(CLONE_NEWNS, CLONE_NEWNS);
}

Test(pidns, one_in_a_user_namespace_as_well) {
    both_write(0, CLONE_NEWUSER | CLONE_NEWNS);
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

static _Atomic uint32_t *stands; /* of this process's fixture */

static void stand_still(void) {
    atomic_store(stands, 1);
    for (;;)
        pause();
}

static int stand_in_mid_write(struct inside *in) {
    struct history_client c;
    attach(in, &c);
    stands = &in->f->shared->stands;
    shm_crash_arm_call(in->k, stand_still);
    for (uint32_t i = 0;; i++)
        PROC_CHECK(history_write(&c, in->first + i % in->count) == LARDER_OK);
}

/* In another namespace: writes all the time, in the same stripes and lists, and so meets the dead
 * slots. */
static int watch(struct inside *in) {
    struct history_client c;
    struct until_slowest slowest = {0};
    attach(in, &c);
    atomic_store(&in->f->shared->ready, 1);
    for (uint32_t i = 0; !atomic_load(&in->f->h->is_over); i++) {
        until_call_begins(&slowest);
        PROC_CHECK(history_write(&c, in->first + i % in->count) == LARDER_OK);
        until_call_ends(&slowest);
        if (i % 64 == 0)
            child_must(history_look(&c));
        atomic_fetch_add(&in->f->shared->written, 1);
    }
    fprintf(stderr, "the slowest write in the other namespace took %lu ms\n", (unsigned long)slowest.own_ms);
    PROC_CHECK(until_is_prompt(&slowest, NOTICE_MS * SLOW_FACTOR));
    larder_close(c.db);
    return 0;
}

Test(pidns, killed_in_one_and_recovered_from_another) {
    struct fixture f;
    unsigned deaths = getenv("LARDER_TEST_LONG") ? 5000 : 80 / SLOW_FACTOR;
    begin(&f);
    struct inside watcher = {&f, watch, 0, 32, 12, 0, 0};
    pid_t pid = proc_fork(enter, &watcher);
    if (!UNTIL(atomic_load(&f.shared->ready) == 1 || proc_is_over(pid), 3000) || proc_is_over(pid)) {
        struct proc_result r = proc_kill(pid);
        skip_if_not_allowed(r);
        cr_assert_fail("the watcher: %s", proc_text(r));
    }
    for (unsigned i = 0; i < deaths; i++) { /* each victim is number 1 again, like the watcher */
        struct inside victim = {&f, stand_in_mid_write, i % 3 == 2 ? CLONE_NEWUSER : 0, 0, 24, 0, 1};
        victim.k = 1 + rng_below(&f.rng, 2000);
        atomic_store(&f.shared->stands, 0);
        struct proc_result r = proc_run(enter, &victim, DEADLINE_MS);
        if (victim.namespaces && proc_is_exit(r, NOT_ALLOWED))
            continue;
        cr_assert(proc_is_exit(r, 128 + SIGKILL), "the victim: %s", proc_text(r));
        uint32_t before = atomic_load(&f.shared->written);
        cr_assert(UNTIL(atomic_load(&f.shared->written) > before + 24, DEADLINE_MS),
                  "death %u: the other namespace waits", i);
        must(history_settle(&f.c, 0, 24));
        if (i % 10 == 0) {
            must(history_look(&f.c));
            must_be_clean(&f);
        }
    }
    atomic_store(&f.h->is_over, 1);
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "the watcher: %s", proc_text(r));
    must_be_clean(&f);
    cr_assert_eq(slots_of_ones(f.db), 0, "a slot of a dead namespace is held");
    end(&f);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* From another namespace: also process 1, so a message with only the pid would say that it holds
 * the lock itself. */
static int find_busy(struct inside *in) {
    struct history_client c;
    struct larder *db;
    struct larder_slot_stats slots[64];
    struct larder_options o = {.segment = in->f->name, .busy_timeout_ms = 100};
    uint32_t count, named = UINT32_MAX, holder = UINT32_MAX;
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK && history_attach(&c, in->f->h, db) == LARDER_OK);
    for (uint32_t k = 24; k < KEYS && named == UINT32_MAX; k++) {
        int r = history_write(&c, k);
        PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY);
        const char *text = r == LARDER_E_BUSY ? strstr(larder_error(), "process 1 (slot ") : NULL;
        PROC_CHECK(r == LARDER_OK || (text && sscanf(text, "process 1 (slot %u) has held", &named) == 1));
    }
    PROC_CHECK(larder_slot_stats(db, slots, 64, &count) == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        if (slots[i].lock_count > 0 && slots[i].is_alive && slots[i].pid == 1)
            holder = slots[i].slot;
    PROC_CHECK(named != UINT32_MAX && named == holder);
    larder_close(db);
    return 0;
}

Test(pidns, messages_name_the_slot) {
    struct fixture f;
    begin(&f);
    for (uint32_t i = 0; i < 3 * KEYS; i++)
        cr_assert_eq(history_write(&f.c, i % KEYS), LARDER_OK);
    struct inside holder = {&f, stand_in_mid_write, 0, 0, 1, 30, 0}, finder = {&f, find_busy, 0, 0, 0, 0, 0};
    pid_t pid = proc_fork(enter, &holder);
    if (!UNTIL(atomic_load(&f.shared->stands) == 1 || proc_is_over(pid), 3000) || proc_is_over(pid)) {
        struct proc_result r = proc_kill(pid);
        skip_if_not_allowed(r);
        cr_assert_fail("the holder: %s", proc_text(r));
    }
    struct proc_result r = proc_run(enter, &finder, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    proc_kill(pid); /* and with it, its namespace */
    cr_assert(UNTIL(slots_of_ones(f.db) == 0, DEADLINE_MS));
    must(history_settle(&f.c, 0, KEYS));
    end(&f);
}

/* ---- Without /proc --------------------------------------------------------------------------- */

static int live_without_proc(void *arg) {
    struct fixture *f = arg;
    struct history_client c;
    struct larder *db;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/proc", "tmpfs", 0, NULL) != 0)
        return NOT_ALLOWED;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = f->name}, &db) == LARDER_OK);
    PROC_CHECK(history_attach(&c, f->h, db) == LARDER_OK);
    child_must(history_look(&c));
    PROC_CHECK(history_write(&c, 1) == LARDER_E_OS && strstr(larder_error(), "is /proc mounted?"));
    child_must(history_look(&c));
    PROC_CHECK(umount("/proc") == 0);
    PROC_CHECK(history_write(&c, 1) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(pidns, without_proc_there_is_reading) {
    struct fixture f;
    begin(&f);
    for (uint32_t i = 0; i < 3 * KEYS; i++)
        cr_assert_eq(history_write(&f.c, i % KEYS), LARDER_OK);
    struct proc_result r = proc_run(live_without_proc, &f, DEADLINE_MS);
    skip_if_not_allowed(r);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    end(&f);
}
