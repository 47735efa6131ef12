/* serve/supervisor.c - serve_run(): starts the workers, replaces those that die, ends them.
 *
 * Picture  supervisor: sockets, no segment -- fork --> worker: its sockets, the segment, an expirer
 * Rules    V1 The supervisor never attaches: nothing that happens to a segment can end it, and a
 *             forked worker inherits no attachment. (It makes a missing segment, and detaches.)
 *          V2 A worker ends with its supervisor (PR_SET_PDEATHSIG).
 *          V3 A worker that dies is replaced at once; one that keeps dying, ever later.
 * Tests    tests/serve/serve_test.sh, tests/serve/serve_kill_test.c
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "serve/credentials.h"
#include "serve/heard.h"
#include "serve/listen.h"
#include "serve/serve.h"
#include "serve/worker.h"

#define STOP_SECONDS 8 /* beyond worker.c's own limit */
#define YOUNG_MS 1000  /* one that dies younger than this has not done much */
/* Until a worker is replaced that ends again and again: by a crash, by itself. */
#define DELAY_MS_MAX_CRASH 80
#define DELAY_MS_MAX 1000

struct child {
    pid_t pid; /* 0: none */
    int64_t started_ms, start_at_ms;
    int delay_ms;
};

struct supervisor {
    const struct serve_options *options;
    struct credentials *credentials;
    struct listen listen;
    struct child children[SERVE_WORKERS_MAX];
    sigset_t signals;
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Workers --------------------------------------------------------------------------------- */

static void run_child(struct supervisor *s, uint32_t i, pid_t parent) __attribute__((noreturn));
static void run_child(struct supervisor *s, uint32_t i, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    listen_close(&s->listen, i);
    exit(worker_run(s->options, s->credentials, listen_of_worker(&s->listen, i), s->listen.address_count));
}

static void start_child(struct supervisor *s, uint32_t i) {
    struct child *child = &s->children[i];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        run_child(s, i, parent);
    child->started_ms = now_ms();
    child->pid = pid > 0 ? pid : 0;
    child->start_at_ms = child->started_ms + DELAY_MS_MAX;
    if (pid < 0 && is_heard())
        s->options->note("a worker could not be started: %s; trying again", strerror(errno));
}

static void note_end(struct supervisor *s, pid_t pid, int status) {
    if (!is_heard())
        return;
    if (WIFSIGNALED(status))
        s->options->note("worker %d was ended by signal %d (%s) and is replaced", (int)pid, WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
    else
        s->options->note("worker %d ended with code %d and is replaced", (int)pid, WEXITSTATUS(status));
}

/* Until the next try: nothing after a kill, which is no fault of the worker. */
static int next_delay_ms(const struct child *child, int status) {
    int max_ms = WIFSIGNALED(status) ? DELAY_MS_MAX_CRASH : DELAY_MS_MAX;
    if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || now_ms() - child->started_ms >= YOUNG_MS)
        return 0;
    return child->delay_ms == 0 ? 10 : child->delay_ms * 2 < max_ms ? child->delay_ms * 2 : max_ms;
}

static void replace(struct supervisor *s, uint32_t i, int status) {
    struct child *child = &s->children[i];
    child->pid = 0;
    child->delay_ms = next_delay_ms(child, status);
    child->start_at_ms = now_ms() + child->delay_ms;
    if (child->delay_ms == 0)
        start_child(s, i);
}

/* Returns how many workers are left. */
static uint32_t reap(struct supervisor *s, bool is_stopping) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->options->worker_count; i++) {
        struct child *child = &s->children[i];
        int status;
        if (child->pid > 0 && waitpid(child->pid, &status, WNOHANG) == child->pid) {
            if (!is_stopping) {
                note_end(s, child->pid, status);
                replace(s, i, status);
            } else
                child->pid = 0;
        }
        left += child->pid > 0;
    }
    return left;
}

/* Starts workers whose delay is over. Returns ms until the next one is to be started; -1: none. */
static int64_t start_delayed(struct supervisor *s) {
    int64_t now = now_ms(), wait = -1;
    for (uint32_t i = 0; i < s->options->worker_count; i++) {
        struct child *child = &s->children[i];
        if (child->pid == 0 && child->start_at_ms <= now)
            start_child(s, i);
        if (child->pid == 0 && (wait < 0 || child->start_at_ms - now < wait))
            wait = child->start_at_ms - now;
    }
    return wait;
}

static void signal_all(struct supervisor *s, int signal) {
    for (uint32_t i = 0; i < s->options->worker_count; i++)
        if (s->children[i].pid > 0)
            kill(s->children[i].pid, signal);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* A signal, or 0 after wait_ms (-1: never). */
static int wait_signal(struct supervisor *s, int64_t wait_ms) {
    struct timespec time = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    int signal = wait_ms < 0 ? sigwaitinfo(&s->signals, NULL) : sigtimedwait(&s->signals, NULL, &time);
    return signal > 0 ? signal : 0;
}

/* Finishes what has begun. A second SIGTERM or SIGINT ends it at once, as the deadline does. */
static void stop(struct supervisor *s) {
    int64_t end = now_ms() + (int64_t)STOP_SECONDS * 1000, left;
    listen_close(&s->listen, UINT32_MAX);
    signal_all(s, SIGTERM);
    while (reap(s, true) > 0) {
        left = end - now_ms();
        int signal = left > 0 ? wait_signal(s, left) : SIGTERM;
        if (signal == SIGTERM || signal == SIGINT)
            signal_all(s, SIGKILL);
    }
}

static void supervise(struct supervisor *s) {
    for (;;) {
        int signal = wait_signal(s, start_delayed(s));
        if (signal == SIGTERM || signal == SIGINT)
            break;
        reap(s, false);
    }
    stop(s);
}

static void note_start(struct supervisor *s) {
    char text[LISTEN_TEXT_BYTES], all[LISTEN_ADDRESSES_MAX * (LISTEN_TEXT_BYTES + 16)] = "";
    for (uint32_t i = 0, used = 0; i < s->listen.address_count; i++) {
        listen_text(&s->listen, i, text);
        used += (uint32_t)snprintf(all + used, sizeof all - used, "%shttp://%s", i > 0 ? ", " : "", text);
    }
    s->options->note("DynamoDB at %s, segment \"%s\", %u worker%s%s", all, s->options->segment,
                     s->options->worker_count, s->options->worker_count == 1 ? "" : "s",
                     s->listen.is_local || s->credentials != NULL
                         ? ""
                         : "; every host that reaches this port can read and change every table");
}

/* The signals that the supervisor waits for are blocked from before the first worker on, and stay
 * so: a second SIGTERM is no other end. */
static void block_signals(struct supervisor *s) {
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    sigaddset(&s->signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &s->signals, NULL);
    signal(SIGCHLD, SIG_DFL); /* a caller that ignores it would have it reap our children */
}

static enum serve_end prepare(struct supervisor *s) {
    char problem[512];
    if (listen_resolve(&s->listen, s->options->listen, problem, sizeof problem) != 0) {
        s->options->note("%s", problem);
        return SERVE_WRONG_OPTION;
    }
    if (!s->listen.is_local && s->options->credentials == NULL && !s->options->is_exposed) {
        s->options->note("%s can be reached from other hosts, and without --credentials each of them could read and "
                         "change every table of segment \"%s\"; give --credentials FILE, or --expose if that is meant",
                         s->options->listen, s->options->segment);
        return SERVE_WRONG_OPTION;
    }
    if (s->options->credentials != NULL &&
        credentials_read(s->options->credentials, &s->credentials, problem, sizeof problem) != 0) {
        s->options->note("%s", problem);
        return SERVE_WRONG_FILE;
    }
    if (listen_open(&s->listen, s->options->worker_count, problem, sizeof problem) != 0) {
        s->options->note("%s", problem);
        return SERVE_FAILED;
    }
    if (!s->options->make(s->options->make_arg)) {
        listen_close(&s->listen, UINT32_MAX);
        return SERVE_NOT_MADE;
    }
    return SERVE_DONE;
}

enum serve_end serve_run(const struct serve_options *options) {
    struct supervisor *s = calloc(1, sizeof *s);
    if (s == NULL)
        return SERVE_FAILED;
    s->options = options;
    enum serve_end end = prepare(s);
    if (end == SERVE_DONE) {
        block_signals(s);
        for (uint32_t i = 0; i < options->worker_count; i++)
            start_child(s, i);
        note_start(s);
        supervise(s);
    }
    credentials_free(s->credentials);
    free(s);
    return end;
}
