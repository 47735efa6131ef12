/* tests/unit/memory/standstill_test.c - a waiter for a stopped process is told that it is stopped.
 *
 * Goal     The message of LARDER_E_BUSY and larder_slot_stats() say that the owner of a lock stands
 *          still, if it does. They do not say so of a process that works, nor of one of the same
 *          number in another PID namespace.
 * Method   Children take a lock of a segment, and stop themselves or wait. Without root the
 *          namespaces are left out.
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/segment/stopped.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(standstill, .timeout = 60 * SLOW_FACTOR);

#define DEADLINE_MS 20000
#define BUSY_MS 50u
#define NOT_ALLOWED 77

struct fixture {
    struct larder *db;
    struct shared {
        _Atomic int has_lock, is_over;
        _Atomic int64_t slot;
    } * shared;
};

static void begin(struct fixture *f) {
    f->db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
    f->shared = mmap(NULL, sizeof *f->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)f->shared != MAP_FAILED);
}

static void end(struct fixture *f) {
    larder_close(f->db);
    munmap(f->shared, sizeof *f->shared);
}

static int hold(void *arg) {
    struct fixture *f = arg;
    struct writer *w;
    PROC_CHECK(writer_borrow(f->db, &w) == LARDER_OK);
    PROC_CHECK(lock_take(w, &w->seg->shm->expirer_lock, LOCK_EXPIRER) == LARDER_OK);
    atomic_store(&f->shared->slot, w->id);
    atomic_store(&f->shared->has_lock, 1);
    PROC_CHECK(UNTIL(atomic_load(&f->shared->is_over), DEADLINE_MS));
    lock_drop(w, &w->seg->shm->expirer_lock, LOCK_EXPIRER);
    writer_end(w);
    return 0;
}

static pid_t start_holder(struct fixture *f) {
    pid_t pid = proc_fork(hold, f);
    cr_assert(UNTIL(atomic_load(&f->shared->has_lock), DEADLINE_MS));
    return pid;
}

static void wait_in_vain(struct fixture *f) {
    struct writer *w;
    cr_assert_eq(writer_borrow(f->db, &w), LARDER_OK, "%s", larder_error());
    w->busy_timeout_ms = BUSY_MS;
    cr_assert_eq(lock_take(w, &w->seg->shm->expirer_lock, LOCK_EXPIRER), LARDER_E_BUSY);
    cr_assert(!strstr(larder_error(), "SIGCONT"), "said inside of the call, where locks may be held");
    writer_end(w);
}

static int is_said_stopped(struct fixture *f) {
    struct larder_slot_stats slots[64];
    uint32_t count;
    cr_assert_eq(larder_slot_stats(f->db, slots, 64, &count), LARDER_OK);
    uint32_t i = 0;
    while (i < count && slots[i].slot != atomic_load(&f->shared->slot))
        i++;
    cr_assert(i < count, "the slot is not in use");
    return slots[i].is_stopped;
}

Test(standstill, message_says_that_the_owner_is_stopped) {
    struct fixture f;
    char wanted[128];
    begin(&f);
    pid_t pid = start_holder(&f);
    wait_in_vain(&f);
    cr_assert(strstr(larder_error(), ") has held a ") && !strstr(larder_error(), "stopped"), "%s", larder_error());
    cr_assert_eq(is_said_stopped(&f), 0);
    proc_stop(pid);
    wait_in_vain(&f);
    snprintf(wanted, sizeof wanted, "; process %d is stopped: continue it (SIGCONT) or kill it; nothing is lost",
             (int)pid);
    cr_assert_not_null(strstr(larder_error(), wanted), "%s", larder_error());
    cr_assert_eq(is_said_stopped(&f), 1);
    proc_resume(pid);
    cr_assert(UNTIL(!is_said_stopped(&f), DEADLINE_MS));
    atomic_store(&f.shared->is_over, 1);
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    end(&f);
}

/* A later failure has its own message. */
Test(standstill, other_messages_stay) {
    struct fixture f;
    struct writer *w;
    begin(&f);
    pid_t pid = start_holder(&f);
    proc_stop(pid);
    cr_assert_eq(writer_borrow(f.db, &w), LARDER_OK);
    w->busy_timeout_ms = BUSY_MS;
    cr_assert_eq(lock_take(w, &w->seg->shm->expirer_lock, LOCK_EXPIRER), LARDER_E_BUSY);
    cr_assert_eq(larder_value_number(NULL, NULL), LARDER_E_INVAL);
    writer_end(w);
    cr_assert(!strstr(larder_error(), "stopped"), "%s", larder_error());
    cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
    end(&f);
}

static int pause_unattached(void *arg) {
    larder_close(arg);
    raise(SIGSTOP);
    return 0;
}

/* A pid alone proves nothing: a process that has not mapped the segment is another one. */
Test(standstill, process_that_is_not_attached_is_not_meant) {
    struct fixture f;
    int status;
    begin(&f);
    struct seg *s = &f.db->seg;
    pid_t pid = proc_fork(pause_unattached, f.db);
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    cr_assert(WIFSTOPPED(status));
    cr_assert_eq(stopped_is(s, pid), 0);
    cr_assert_eq(stopped_is(s, getpid()), 0);
    cr_assert_eq(stopped_is(s, 0), 0);
    cr_assert_eq(stopped_is(s, -1), 0);
    kill(pid, SIGCONT);
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    end(&f);
}

static int hold_elsewhere(void *arg) {
    int status;
    if (unshare(CLONE_NEWPID) != 0)
        return NOT_ALLOWED;
    pid_t pid = fork();
    PROC_CHECK(pid >= 0);
    if (pid == 0)
        _exit(hold(arg));
    struct fixture *f = arg;
    PROC_CHECK(UNTIL(atomic_load(&f->shared->has_lock), DEADLINE_MS));
    PROC_CHECK(kill(pid, SIGSTOP) == 0);
    PROC_CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    atomic_store(&f->shared->has_lock, 2);
    PROC_CHECK(UNTIL(atomic_load(&f->shared->is_over), DEADLINE_MS));
    PROC_CHECK(kill(pid, SIGCONT) == 0);
    PROC_CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(standstill, other_pid_namespace_is_not_guessed_at) {
    struct fixture f;
    begin(&f);
    pid_t pid = proc_fork(hold_elsewhere, &f);
    int is_ready =
        UNTIL(atomic_load(&f.shared->has_lock) == 2 || waitpid(pid, NULL, WNOHANG | WNOWAIT) == pid, DEADLINE_MS);
    if (is_ready && atomic_load(&f.shared->has_lock) == 2) {
        wait_in_vain(&f);
        cr_assert(strstr(larder_error(), "process 1 (slot"), "%s", larder_error());
        cr_assert(!strstr(larder_error(), "stopped"), "%s", larder_error());
        cr_assert_eq(is_said_stopped(&f), 0);
        atomic_store(&f.shared->is_over, 1);
    }
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    end(&f);
    if (proc_is_exit(r, NOT_ALLOWED))
        cr_skip_test("no PID namespaces here");
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}
