/* tests/support/proc.h - child processes of a test: start, wait with a deadline, kill by pid.
 *
 * Job      A child is a function run after fork() or a program. Its end is told apart as exit code,
 *          signal, or stuck.
 * Rules    P1 Every wait has a deadline. A child that misses it is killed and reaped: no test
 *             leaves a process behind.
 *          P2 A child dies with the thread that started it (PR_SET_PDEATHSIG): start children from
 *             the test's own thread.
 *          P3 Only pids returned by proc_fork() and proc_exec() are ever signalled.
 *          P4 A forked child must not use cr_assert(), which would report through its parent's
 *             pipe: return a number from the function, or use PROC_CHECK().
 * Tests    tests/unit/support/support_test.c
 */
#ifndef LARDER_TESTS_SUPPORT_PROC_H
#define LARDER_TESTS_SUPPORT_PROC_H

#include <stdint.h>
#include <sys/types.h>

#define PROC_CHECK_FAILED 99 /* exit code of a child whose PROC_CHECK() did not hold */
#define PROC_CANNOT_EXEC 127

enum proc_end {
    PROC_EXITED = 1, /* code is the exit code */
    PROC_KILLED,     /* code is the signal */
    PROC_STUCK       /* missed the deadline and was killed; code is the deadline in ms */
};

struct proc_result {
    enum proc_end end;
    int code;
};

/* Runs run(arg) in a forked child that exits with what it returns, without atexit handlers. */
pid_t proc_fork(int (*run)(void *arg), void *arg);

/* Runs a program found by PATH; argv ends with NULL. output_fd receives its standard output, -1:
 * inherited. */
pid_t proc_exec(const char *const argv[], int output_fd);

/* Whether the child has ended; it is not reaped. */
int proc_is_over(pid_t pid);

/* Waits for the child's end, at most deadline_ms (stretched, slow.h), and reaps it. */
struct proc_result proc_wait(pid_t pid, uint32_t deadline_ms);

/* SIGKILL, then reaps. PROC_EXITED if it had ended by itself before. */
struct proc_result proc_kill(pid_t pid);

/* SIGSTOP, returns when every thread of the child has stopped; and SIGCONT. */
void proc_stop(pid_t pid);
void proc_resume(pid_t pid);

/* proc_fork() and proc_wait() in one. */
struct proc_result proc_run(int (*run)(void *arg), void *arg, uint32_t deadline_ms);

int proc_is_exit(struct proc_result r, int code);
int proc_is_signal(struct proc_result r, int signal);

/* "exit 3", "signal 9 (Killed)", "stuck for 2000 ms": for messages; valid until this thread's next
 * call. */
const char *proc_text(struct proc_result r);

/* In a child that is meant to die by SIGSEGV, SIGBUS or SIGABRT: a plain death, no sanitizer
 * report, no core file. */
void proc_expect_crash(void);

/* In a child: says what does not hold, and why, and exits with PROC_CHECK_FAILED. */
#define PROC_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            proc_check_failed(__FILE__, __LINE__, #condition);                                                         \
    } while (0)
void proc_check_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

#endif
