/* tests/support/proc.c - see proc.h. */
#include "tests/support/proc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

/* fork(), with the child bound to its parent's life. */
static pid_t proc_start(void) {
    fflush(NULL); /* or the child would print the parent's buffers again */
    pid_t parent = getpid(), pid = fork();
    cr_assert(pid >= 0, "fork: %s", strerror(errno));
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* died before prctl() */
        _exit(PROC_CHECK_FAILED);
    return 0;
}

pid_t proc_fork(int (*run)(void *arg), void *arg) {
    pid_t pid = proc_start();
    if (pid)
        return pid;
    int code = run(arg);
    fflush(NULL);
    _exit(code);
}

pid_t proc_exec(const char *const argv[], int output_fd) {
    pid_t pid = proc_start();
    if (pid)
        return pid;
    if (output_fd >= 0 && dup2(output_fd, STDOUT_FILENO) < 0)
        _exit(PROC_CANNOT_EXEC);
    execvp(argv[0], (char *const *)argv);
    fprintf(stderr, "exec %s: %s\n", argv[0], strerror(errno));
    _exit(PROC_CANNOT_EXEC);
}

static struct proc_result proc_reap(pid_t pid) {
    int status;
    pid_t got;
    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    cr_assert(got == pid, "waitpid %d: %s", (int)pid, strerror(errno));
    if (WIFSIGNALED(status))
        return (struct proc_result){PROC_KILLED, WTERMSIG(status)};
    return (struct proc_result){PROC_EXITED, WEXITSTATUS(status)};
}

/* True if the child has ended before the deadline; it is not reaped. */
static int proc_has_ended(pid_t pid, uint32_t deadline_ms) {
    int fd = pidfd_open(pid, 0), ready;
    cr_assert(fd >= 0, "pidfd_open %d: %s", (int)pid, strerror(errno));
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    uint64_t end = until_deadline(deadline_ms), now;
    do {
        now = until_now_ms();
        ready = poll(&wanted, 1, now < end ? (int)(end - now) : 0);
    } while (ready < 0 && errno == EINTR);
    close(fd);
    return ready > 0;
}

int proc_is_over(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

struct proc_result proc_wait(pid_t pid, uint32_t deadline_ms) {
    if (proc_has_ended(pid, deadline_ms))
        return proc_reap(pid);
    proc_kill(pid);
    return (struct proc_result){PROC_STUCK, (int)(deadline_ms * SLOW_FACTOR * SLOW_PATIENCE)};
}

struct proc_result proc_kill(pid_t pid) {
    kill(pid, SIGKILL);
    return proc_reap(pid);
}

void proc_stop(pid_t pid) {
    int status = 0;
    kill(pid, SIGSTOP);
    cr_assert(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "%d ended instead of stopping", (int)pid);
}

void proc_resume(pid_t pid) {
    kill(pid, SIGCONT);
}

struct proc_result proc_run(int (*run)(void *arg), void *arg, uint32_t deadline_ms) {
    return proc_wait(proc_fork(run, arg), deadline_ms);
}

int proc_is_exit(struct proc_result r, int code) {
    return r.end == PROC_EXITED && r.code == code;
}

int proc_is_signal(struct proc_result r, int signal) {
    return r.end == PROC_KILLED && r.code == signal;
}

const char *proc_text(struct proc_result r) {
    static _Thread_local char text[80];
    if (r.end == PROC_EXITED)
        snprintf(text, sizeof text, "exit %d", r.code);
    else if (r.end == PROC_KILLED)
        snprintf(text, sizeof text, "signal %d (%s)", r.code, strsignal(r.code));
    else
        snprintf(text, sizeof text, "stuck for %d ms", r.code);
    return text;
}

void proc_expect_crash(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
}

void proc_check_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: child %d: %s does not hold (last failure: %s)\n", file, line, (int)getpid(), condition,
            larder_error());
    _exit(PROC_CHECK_FAILED);
}
