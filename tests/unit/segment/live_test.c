/* tests/unit/segment/live_test.c - the kernel tells which processes are alive.
 *
 * Goal     The claims of core/segment/live.h: a lock lasts exactly as long as its holder's address
 *          space, whatever the holder does with its descriptors and children, on every kind of file
 *          a segment can be.
 * Method   Real processes that take a lock and then exit, execute, fork or are killed; the parent
 *          probes. Each claim is tried on a POSIX shared-memory object and a file in /tmp, which
 *          have lock files, and a memfd, which is its own.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/segment/live.h"
#include "core/segment/seg_lock.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(live, .timeout = 60 * SLOW_FACTOR);

#define SLOT 7
#define KINDS 3
#define FORKS 40

/* What parent and child tell each other. */
struct talk {
    _Atomic int is_held, may_go;
};

struct live_case {
    struct seg seg;
    struct talk *talk;
    char name[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 8];
    int kind;
};

static void live_begin(struct live_case *c, int kind) {
    testseg_name(c->name);
    snprintf(c->path, sizeof c->path, "/tmp/%s", c->name);
    c->kind = kind;
    struct larder_options o = {.segment = kind == 0 ? c->name : c->path,
                               .flags = LARDER_CREATE | (kind == 2 ? LARDER_MEMFD : 0),
                               .memfd = -1,
                               .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    cr_assert_eq(seg_open(&c->seg, &o), LARDER_OK, "%s", larder_error());
    c->talk = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(c->talk, MAP_FAILED);
}

static void live_end(struct live_case *c) {
    seg_close(&c->seg);
    munmap(c->talk, 4096);
    if (c->kind != 2)
        cr_assert_eq(seg_destroy(c->kind == 0 ? c->name : c->path, LARDER_FORCE), LARDER_OK, "%s", larder_error());
}

/* Of the file that has the locks. */
static int lock_fd_of(const struct live_case *c) {
    return c->seg.has_lock_file ? c->seg.lock_fd : c->seg.fd;
}

static int live_held(const struct live_case *c) {
    return live_is_held(&c->seg, SLOT);
}

/* In a child: takes the lock, says so. */
static void hold(struct live_case *c) {
    void *live;
    PROC_CHECK(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live) == LARDER_OK);
    c->talk->is_held = 1;
}

static void wait_to_go(struct live_case *c) {
    PROC_CHECK(UNTIL(c->talk->may_go, 20000));
}

static void for_each_kind(void (*run)(struct live_case *c)) {
    for (int kind = 0; kind < KINDS; kind++) {
        struct live_case c;
        live_begin(&c, kind);
        run(&c);
        live_end(&c);
    }
}

/* Forks `run`, waits until it holds the lock. */
static pid_t start_holder(struct live_case *c, int (*run)(void *arg)) {
    pid_t pid = proc_fork(run, c);
    cr_assert(UNTIL(c->talk->is_held, 10000));
    cr_assert_eq(live_held(c), 1, "seen from another process");
    return pid;
}

/* ---- One process ----------------------------------------------------------------------------- */

static void take_and_drop(struct live_case *c) {
    void *live, *second, *other;
    cr_assert_eq(live_held(c), 0);
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK, "%s", larder_error());
    cr_assert_eq(live_held(c), 1, "seen by the process that holds it");
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &second), LARDER_E_BUSY,
                 "also for the process that holds it");
    cr_assert_eq(live_is_held(&c->seg, SLOT - 1), 0);
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT + 1, &other), LARDER_OK, "slots are independent");
    live_drop(&c->seg, live);
    cr_assert_eq(live_held(c), 0);
    cr_assert_eq(live_is_held(&c->seg, SLOT + 1), 1);
    live_drop(&c->seg, other);
    live_drop(&c->seg, NULL);
}

Test(live, is_held_from_take_to_drop) {
    for_each_kind(take_and_drop);
}

static void probe_read_only(struct live_case *c) {
    void *live;
    struct seg reader;
    struct larder_options o = {.segment = c->kind == 0 ? c->name : c->path,
                               .flags = LARDER_READ_ONLY | (c->kind == 2 ? LARDER_MEMFD : 0),
                               .memfd = c->seg.fd};
    cr_assert_eq(seg_open(&reader, &o), LARDER_OK, "%s", larder_error());
    cr_assert_eq(live_is_held(&reader, SLOT), 0);
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK);
    cr_assert_eq(live_is_held(&reader, SLOT), 1);
    live_drop(&c->seg, live);
    seg_close(&reader);
}

Test(live, is_seen_from_a_read_only_attachment) {
    for_each_kind(probe_read_only);
}

/* ---- Ends of a holder ------------------------------------------------------------------------ */

static int hold_and_exit(void *arg) {
    struct live_case *c = arg;
    hold(c);
    wait_to_go(c);
    return 0;
}

static void ends_with_exit(struct live_case *c) {
    pid_t pid = start_holder(c, hold_and_exit);
    c->talk->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, 20000), 0));
    cr_assert_eq(live_held(c), 0);
}

Test(live, ends_with_exit) {
    for_each_kind(ends_with_exit);
}

static void *pause_for_ever(void *arg) {
    for (;;)
        pause();
    return arg;
}

static int hold_with_threads(void *arg) {
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        PROC_CHECK(pthread_create(&thread, NULL, pause_for_ever, NULL) == 0);
    hold(arg);
    pause();
    return 0;
}

static void ends_with_sigkill(struct live_case *c) {
    pid_t pid = start_holder(c, hold_with_threads);
    cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
    cr_assert_eq(live_held(c), 0);
}

Test(live, ends_with_sigkill_of_a_threaded_process) {
    for_each_kind(ends_with_sigkill);
}

static int hold_and_close_everything(void *arg) {
    struct live_case *c = arg;
    hold(c);
    c->talk->is_held = 0;
    PROC_CHECK(close_range(3, ~0u, 0) == 0);
    c->talk->is_held = 1;
    pause();
    return 0;
}

static void survives_close(struct live_case *c) {
    pid_t pid = start_holder(c, hold_and_close_everything);
    proc_kill(pid);
    cr_assert_eq(live_held(c), 0);
}

Test(live, survives_the_close_of_all_descriptors) {
    for_each_kind(survives_close);
}

static int hold_and_exec(void *arg) {
    struct live_case *c = arg;
    hold(c);
    wait_to_go(c);
    execlp("sleep", "sleep", "60", (char *)NULL);
    return PROC_CANNOT_EXEC;
}

static void ends_with_exec(struct live_case *c) {
    pid_t pid = start_holder(c, hold_and_exec);
    c->talk->may_go = 1;
    cr_assert(UNTIL(live_held(c) == 0, 10000));
    cr_assert_eq(kill(pid, 0), 0, "the program is still there");
    proc_kill(pid);
}

Test(live, ends_with_exec) {
    for_each_kind(ends_with_exec);
}

/* ---- Forked children ------------------------------------------------------------------------- */

static int outlive(void *arg) {
    struct live_case *c = arg;
    c->talk->is_held = 1;
    wait_to_go(c);
    return live_held(c); /* its parent dropped the lock meanwhile */
}

static void child_has_none(struct live_case *c) {
    void *live;
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK);
    pid_t pid = start_holder(c, outlive);
    live_drop(&c->seg, live);
    cr_assert_eq(live_held(c), 0, "while the child lives");
    c->talk->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, 20000), 0));
}

Test(live, is_not_inherited_by_a_forked_child) {
    for_each_kind(child_has_none);
}

static int hold_and_fork(void *arg) {
    struct live_case *c = arg;
    void *live;
    PROC_CHECK(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live) == LARDER_OK);
    if (fork() == 0) { /* bound to no parent: ends by itself when the test releases it */
        c->talk->is_held = 1;
        (void)UNTIL(c->talk->may_go, 20000);
        _exit(0);
    }
    pause();
    return 0;
}

static void dies_with_parent(struct live_case *c) {
    pid_t pid = start_holder(c, hold_and_fork);
    proc_kill(pid);
    cr_assert_eq(live_held(c), 0, "while the grandchild lives");
    c->talk->may_go = 1;
}

Test(live, ends_when_the_parent_of_a_living_child_is_killed) {
    for_each_kind(dies_with_parent);
}

/* ---- What a living process may do without losing it ------------------------------------------ */

/* All calls that take or drop locks of other kinds, on other descriptions of the same file: none is
 * this lock. */
static int hold_and_lock_and_unlock(void *arg) {
    struct live_case *c = arg;
    char path[40];
    hold(c);
    c->talk->is_held = 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", lock_fd_of(c));
    for (int i = 0; i < 3; i++) {
        int fd = i == 2 ? dup(lock_fd_of(c)) : open(path, O_RDWR | O_CLOEXEC);
        struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        struct flock content = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4096};
        PROC_CHECK(fd >= 0);
        /* of the process: goes with the first close of any descriptor */
        PROC_CHECK(fcntl(fd, F_SETLK, &content) == 0);
        PROC_CHECK(fcntl(fd, i ? F_OFD_SETLK : F_SETLK, &all) == 0);
        PROC_CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0 && flock(fd, LOCK_UN) == 0);
        all.l_type = F_WRLCK; /* another owner's lock on the whole file, this byte included */
        PROC_CHECK(fcntl(fd, F_OFD_SETLK, &all) != 0 && fcntl(fd, F_SETLK, &all) != 0);
        close(fd);
        PROC_CHECK(live_held(c) == 1);
    }
    c->talk->is_held = 1;
    pause();
    return 0;
}

static void survives_other_locks(struct live_case *c) {
    pid_t pid = start_holder(c, hold_and_lock_and_unlock);
    void *live;
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_E_BUSY);
    proc_kill(pid);
    cr_assert_eq(live_held(c), 0);
}

Test(live, survives_locks_and_unlocks_of_other_kinds) {
    for_each_kind(survives_other_locks);
}

/* A process that locks the whole file makes dead slots look alive, never live ones dead. */
static void hidden_by_whole_file_lock(struct live_case *c) {
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[40];
    void *live;
    snprintf(path, sizeof path, "/proc/self/fd/%d", lock_fd_of(c));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_eq(live_held(c), 0);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &all), 0);
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_E_BUSY);
    cr_assert_eq(live_held(c), 1);
    close(fd);
    cr_assert_eq(live_held(c), 0);
}

Test(live, a_lock_on_the_whole_file_errs_on_the_safe_side) {
    for_each_kind(hidden_by_whole_file_lock);
}

/* The name goes, and comes back with another file: the lock is on the file, not on the name. */
static void survives_a_new_file(struct live_case *c) {
    struct live_case other = *c;
    void *live, *second;
    if (c->kind == 2)
        return;
    char path[TESTSEG_NAME_MAX + 32];
    snprintf(path, sizeof path, "%s%s", c->kind == 0 ? "/dev/shm/" : "", c->kind == 0 ? c->name : c->path);
    pid_t pid = start_holder(c, hold_and_exit);
    cr_assert_eq(unlink(path), 0);
    seg_lock_remove_orphan(&c->seg);
    struct stat st;
    cr_assert(fstat(c->seg.lock_fd, &st) == 0 && st.st_nlink == 0, "the lock file's name has gone, too");
    cr_assert_eq(live_held(c), 1);
    struct larder_options o = {.segment = c->kind == 0 ? c->name : c->path,
                               .flags = LARDER_CREATE | LARDER_EXCLUSIVE,
                               .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    cr_assert_eq(seg_open(&other.seg, &o), LARDER_OK, "%s", larder_error());
    cr_assert_eq(live_held(&other), 0, "the new file has slots of its own");
    cr_assert_eq(live_take(&other.seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK);
    live_drop(&other.seg, live);
    seg_close(&other.seg);
    cr_assert_eq(live_held(c), 1);
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &second), LARDER_E_BUSY);
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT + 1, &second), LARDER_OK, "of a file without a name: %s",
                 larder_error());
    live_drop(&c->seg, second);
    c->talk->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, 20000), 0));
    cr_assert_eq(live_held(c), 0);
}

Test(live, survives_the_removal_and_replacement_of_the_file) {
    for_each_kind(survives_a_new_file);
}

/* The program's own descriptor of a memfd, and its copies: the lock depends on none of them. */
Test(live, survives_the_close_of_a_passed_memfd) {
    int fd = memfd_create("passed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct live_case c = {.kind = 2};
    struct larder_options o = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = fd, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    void *live;
    cr_assert_eq(seg_open(&c.seg, &o), LARDER_OK, "%s", larder_error());
    cr_assert_eq(live_take(&c.seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK);
    int copy = dup(fd);
    close(fd);
    close(copy);
    cr_assert_eq(live_held(&c), 1);
    live_drop(&c.seg, live);
    cr_assert_eq(live_held(&c), 0);
    seg_close(&c.seg);
}

/* Children that share the memory (vfork, posix_spawn, clone), or copy it without fork handlers. */
static int end_at_once(void *arg) {
    (void)arg;
    return 0;
}

static int wait_for_signal(void *arg) {
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static pid_t start_clone(int flags, int (*run)(void *arg)) {
    static _Alignas(64) char stacks[8][65536];
    static unsigned used;
    char *stack = stacks[used++ % 8];
    pid_t pid = clone(run, stack + sizeof stacks[0], flags | SIGCHLD, NULL);
    cr_assert(pid > 0);
    return pid;
}

static void end_clone(pid_t pid, int is_killed) {
    if (is_killed)
        cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void survives_children(struct live_case *c) {
    static const int kinds[] = {CLONE_VM | CLONE_VFORK, CLONE_VM, CLONE_VM | CLONE_FILES | CLONE_FS, CLONE_FILES, 0};
    char *program[] = {"true", NULL};
    void *live;
    pid_t pid;
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        end_clone(start_clone(kinds[i], end_at_once), 0);
        cr_assert_eq(live_held(c), 1, "clone flags %#x", kinds[i]);
        if (kinds[i] & CLONE_VFORK)
            continue;
        end_clone(start_clone(kinds[i], wait_for_signal), 1);
        cr_assert_eq(live_held(c), 1, "clone flags %#x, killed", kinds[i]);
    }
    cr_assert_eq(posix_spawnp(&pid, "true", NULL, NULL, program, environ), 0);
    cr_assert_eq(live_held(c), 1);
    end_clone(pid, 0);
    cr_assert_eq(live_held(c), 1);
    live_drop(&c->seg, live);
    cr_assert_eq(live_held(c), 0, "and no such child has kept it");
}

Test(live, survives_the_end_of_children_that_share_its_memory) {
    if (SLOW_FACTOR > 1)
        cr_skip_test("a sanitizer's run time does not bear clone()");
    for_each_kind(survives_children);
}

/* A process that shares the memory of a dead one keeps its lock: the dead one looks alive until
 * that child ends, too. */
static int hold_and_die_before_a_clone(void *arg) {
    struct live_case *c = arg;
    void *live;
    PROC_CHECK(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live) == LARDER_OK);
    static _Alignas(64) char stack[65536];
    pid_t pid = clone(wait_for_signal, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    PROC_CHECK(pid > 0);
    c->talk->is_held = pid;
    pause();
    return 0;
}

static void outlived_by_a_clone(struct live_case *c) {
    pid_t pid = start_holder(c, hold_and_die_before_a_clone);
    proc_kill(pid);
    cr_assert_eq(live_held(c), 1, "its memory is still there");
    cr_assert_eq(kill(c->talk->is_held, SIGKILL), 0); /* a child of the child that was killed */
    cr_assert(UNTIL(live_held(c) == 0, 10000), "now it is gone");
}

Test(live, ends_with_the_last_process_that_shares_the_memory) {
    if (SLOW_FACTOR > 1)
        cr_skip_test("a sanitizer's run time does not bear clone()");
    for_each_kind(outlived_by_a_clone);
}

/* A thread that ends, however, is not the process. */
static void *exit_raw(void *arg) {
    syscall(SYS_exit, 0);
    return arg;
}

static void survives_a_thread(struct live_case *c) {
    pthread_t thread;
    void *live;
    cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_OK);
    cr_assert_eq(pthread_create(&thread, NULL, exit_raw, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(live_held(c), 1);
    live_drop(&c->seg, live);
}

Test(live, survives_the_end_of_a_thread) {
    if (SLOW_FACTOR > 1)
        cr_skip_test("a sanitizer's run time does not bear a thread that just ends");
    for_each_kind(survives_a_thread);
}

/* Stopped for any length of time. */
static void survives_stop(struct live_case *c) {
    void *live;
    pid_t pid = start_holder(c, hold_and_exit);
    proc_stop(pid);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(live_held(c), 1);
        cr_assert_eq(live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live), LARDER_E_BUSY);
    }
    proc_resume(pid);
    c->talk->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, 20000), 0));
    cr_assert_eq(live_held(c), 0);
}

Test(live, survives_being_stopped) {
    for_each_kind(survives_stop);
}

/* ---- The fork guard -------------------------------------------------------------------------- */

struct churn {
    struct live_case *c;
    _Atomic int is_over, refused;
};

static void *take_and_drop_on(void *arg) {
    struct churn *churn = arg;
    while (!churn->is_over && !churn->refused) {
        void *live = NULL;
        churn->refused = live_take(&churn->c->seg, LIVE_SLOT_BASE + SLOT, &live) != LARDER_OK;
        live_drop(&churn->c->seg, live);
    }
    return NULL;
}

/* The children live on, so a descriptor that one of them copied would keep its lock for ever. */
Test(live, fork_waits_until_no_descriptor_is_open) {
    struct live_case c;
    pthread_t thread;
    pid_t pids[FORKS];
    live_begin(&c, 0);
    struct churn churn = {.c = &c};
    cr_assert_eq(pthread_atfork(live_fork_prepare, live_fork_parent, live_fork_child), 0);
    cr_assert_eq(pthread_create(&thread, NULL, take_and_drop_on, &churn), 0);
    for (int i = 0; i < FORKS; i++) {
        pids[i] = proc_fork(outlive, &c);
        until_pause();
    }
    churn.is_over = 1;
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(churn.refused, 0, "a forked child has a copy of the lock");
    cr_assert_eq(live_held(&c), 0);
    c.talk->may_go = 1;
    for (int i = 0; i < FORKS; i++)
        cr_assert(proc_is_exit(proc_wait(pids[i], 20000), 0));
    live_end(&c);
}

/* ---- As root: other PID namespaces, other users ---------------------------------------------- */

/* In a namespace of its own, the holder is PID 1, as others are in theirs. */
static int hold_and_die_in_namespace(void *arg) {
    struct live_case *c = arg;
    PROC_CHECK(unshare(CLONE_NEWPID) == 0);
    pid_t pid = fork(); /* not proc_fork(): that child would not see its parent */
    if (pid == 0) {
        PROC_CHECK(getpid() == 1 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        _exit(hold_with_threads(c));
    }
    PROC_CHECK(UNTIL(c->talk->is_held, 10000));
    c->talk->may_go = 1;
    PROC_CHECK(UNTIL(!c->talk->may_go, 10000)); /* the parent has looked */
    return proc_is_signal(proc_kill(pid), SIGKILL) ? live_held(c) : 2;
}

static void across_namespaces(struct live_case *c) {
    pid_t pid = proc_fork(hold_and_die_in_namespace, c);
    cr_assert(UNTIL(c->talk->may_go, 10000));
    cr_assert_eq(live_held(c), 1);
    c->talk->may_go = 0;
    cr_assert(proc_is_exit(proc_wait(pid, 20000), 0), "free as soon as the holder is gone");
    cr_assert_eq(live_held(c), 0);
}

Test(live, is_seen_across_pid_namespaces) {
    if (geteuid() != 0)
        cr_skip_test("needs root");
    for_each_kind(across_namespaces);
}

static int take_as_nobody(void *arg) {
    struct live_case *c = arg;
    void *live;
    PROC_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    int result = live_take(&c->seg, LIVE_SLOT_BASE + SLOT, &live);
    PROC_CHECK(result == LARDER_OK || *larder_error());
    return -result;
}

static void other_user(struct live_case *c) {
    cr_assert(proc_is_exit(proc_run(take_as_nobody, c, 20000), -LARDER_E_ACCESS), "mode 0600");
    cr_assert_eq(fchmod(lock_fd_of(c), 0666), 0);
    cr_assert(proc_is_exit(proc_run(take_as_nobody, c, 20000), LARDER_OK), "mode 0666");
}

Test(live, needs_permission_of_a_process_that_changed_its_user) {
    if (geteuid() != 0)
        cr_skip_test("needs root");
    for_each_kind(other_user);
}
