/* tests/torture/supervisor.c - starts, kills, stops and resumes the workers, and has the segment
 * audited. See torture.h.
 *
 * Idea     Two ways to die: by a signal from here, at whatever instant it arrives; and by an order
 *          to die at the k-th store from now, which is nearly always in the middle of a write, a
 *          recovery, a drop. The same two ways to be stopped. A stopped worker is resumed after a
 *          while, or killed as it is.
 * Rules    V1 Never attaches, so that the engine cannot delay it.
 *          V2 Signals go to its own children, by pid, before they are reaped.
 *          V3 Every wait has a deadline: a worker's operation, an end, an audit. Missing it is the
 *             verdict "stuck".
 *          V4 A worker's death is noted in the history (shared_bury) before the worker is started
 *             again.
 *          V5 A signal to end, or a closed output (SIGPIPE), ends the run at once and without a
 *             verdict: the parts are killed, the segment is removed, and the exit code is 128 and
 *             the signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/until.h"
#include "tests/torture/torture.h"

#define STUCK_MS (90000u * SLOW_FACTOR) /* an operation, an end */
#define AUDIT_MS (120000u * SLOW_FACTOR)
/* longest write of the survivor; stops of others are shorter */
#define SURVIVOR_MS (5000u * SLOW_FACTOR)
/* and as many times the worst delay of the supervisor's own sleep on this machine */
#define LATE_TIMES 20u
/* and as many times the longest that it took to fork, to die or to print */
#define STOOD_TIMES 3u
#define STOP_MS_MAX 400u
#define ORDER_STORES_MAX 400u /* a put of a small item is some 200 stores */
#define AUDIT_EVERY_MS 1500u
#define AUDIT_EVERY_KILLS 250u
#define REPORT_EVERY_MS 5000u

struct worker {
    pid_t pid; /* 0: none */
    uint32_t starts;
    int is_stopped, is_killed; /* by us */
    int is_doomed;             /* killed, or ordered to die: dead at any moment */
    uint64_t resume_at_ms;     /* when a stopped one goes on, or is killed */
};

struct supervisor {
    struct run *run;
    int run_fd;
    const struct supervisor_options *options;
    struct rng rng;
    struct worker worker[WORKERS_MAX];
    uint64_t start_ms, audited_ms, reported_ms;
    uint32_t kills, kills_by_order, kills_attaching, kills_stopped, stops, audits, emptied, audited_kills;
    /* by how much a sleep of ours ended too late: a busy machine does that to every process */
    uint64_t late_ms;
    /* The longest time to fork, to die after SIGKILL, or to print (a full disk's queue), in which
     * the engine has no part. While the machine lets no process die, dead ones keep their locks;
     * while we print, no stopped one is resumed. */
    uint64_t stood_ms;
    uint32_t passed, failed;
    int verdict; /* EXIT_ */
};

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal) {
    is_interrupted = signal;
}

/* Signals that the caller had ignored stay ignored: nohup. */
static void catch_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signal(signals[i], interrupt) == SIG_IGN)
            signal(signals[i], SIG_IGN);
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static void fail(struct supervisor *s, int verdict, const char *what) {
    static const char *const names[] = {
        [EXIT_WRONG] = "WRONG", [EXIT_USAGE] = "CANNOT RUN", [EXIT_CRASH] = "CRASH", [EXIT_STUCK] = "STUCK"};
    printf("%s after %u kills, seed 0x%llx: %s\n", names[verdict], s->kills, (unsigned long long)s->run->seed, what);
    fflush(stdout);
    s->failed++;
    if (!s->verdict)
        s->verdict = verdict;
}

static void must(struct supervisor *s, int holds, const char *what) {
    if (holds)
        s->passed++;
    else
        fail(s, EXIT_WRONG, what);
}

static const char *text_of(int code, int status) {
    static char text[80];
    if (code == CLD_EXITED)
        snprintf(text, sizeof text, "ended with exit code %d", status);
    else
        snprintf(text, sizeof text, "died by signal %d (%s)", status, strsignal(status));
    return text;
}

/* A part ended that should not have. */
static void judge_end(struct supervisor *s, const char *part, int code, int status) {
    int is_verdict = code == CLD_EXITED && (status == EXIT_WRONG || status == EXIT_STUCK);
    if (is_verdict && atomic_load(&s->run->has_failed) == 2)
        fail(s, status, s->run->failure);
    else
        fail(s, EXIT_CRASH, content_wrong("%s %s", part, text_of(code, status)));
}

/* ---- Children -------------------------------------------------------------------------------- */

static void note_most(uint64_t *most_ms, uint64_t ms) {
    *most_ms = ms > *most_ms ? ms : *most_ms;
}

static pid_t start_part(struct supervisor *s, const char *part, uint32_t a, uint32_t b) {
    char fd[16], first[16], second[16];
    uint64_t start_ms = until_now_ms();
    pid_t parent = getpid(), pid = fork();
    if (pid) {
        note_most(&s->stood_ms, until_now_ms() - start_ms);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_CRASH);
    signal(SIGINT, SIG_IGN); /* from a terminal it is for the supervisor */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    snprintf(fd, sizeof fd, "%d", s->run_fd);
    snprintf(first, sizeof first, "%u", a);
    snprintf(second, sizeof second, "%u", b);
    execl("/proc/self/exe", "larder_torture", "--part", part, fd, first, second, (char *)NULL);
    _exit(EXIT_CRASH);
}

static void start_worker(struct supervisor *s, uint32_t i) {
    struct worker *w = &s->worker[i];
    struct worker_shm *shm = &s->run->worker[i];
    atomic_store(&shm->order, 0);
    for (unsigned t = 0; t < WORKER_THREADS; t++) {
        atomic_store(&shm->busy_since_ms[t], 0);
        atomic_store(&shm->is_paused[t], 0);
    }
    *w = (struct worker){.starts = w->starts + 1};
    w->pid = start_part(s, "worker", i, w->starts);
    if (w->pid < 0) {
        w->pid = 0;
        fail(s, EXIT_USAGE, "fork failed");
    }
}

static void bury(struct supervisor *s, uint32_t i) {
    for (unsigned t = 0; t < WORKER_THREADS; t++)
        shared_bury(&s->run->shared, i * WORKER_THREADS + t);
    s->worker[i].pid = 0;
}

static void note_stop(struct supervisor *s, struct worker *w) {
    w->is_stopped = 1;
    w->resume_at_ms = until_now_ms() + 1 + rng_below(&s->rng, STOP_MS_MAX);
    s->stops++;
}

static void note_end(struct supervisor *s, uint32_t i, const siginfo_t *info) {
    struct worker *w = &s->worker[i];
    int is_ours = info->si_code == CLD_KILLED && info->si_status == SIGKILL && w->is_doomed;
    bury(s, i);
    if (is_ours)
        s->kills++;
    else if (!(info->si_code == CLD_EXITED && info->si_status == 0 && atomic_load(&s->run->is_over)))
        judge_end(s, content_wrong("worker %u", i), info->si_code, info->si_status);
}

/* Takes note of ends and stops. With `must_end`, waits for the end. */
static void look_after(struct supervisor *s, uint32_t i, int must_end) {
    struct worker *w = &s->worker[i];
    siginfo_t info = {0};
    if (!w->pid || waitid(P_PID, (id_t)w->pid, &info, WEXITED | (must_end ? 0 : WSTOPPED | WNOHANG)) != 0 ||
        info.si_pid == 0)
        return;
    if (info.si_code == CLD_STOPPED)
        note_stop(s, w);
    else
        note_end(s, i, &info);
}

static void kill_worker(struct supervisor *s, uint32_t i) {
    struct worker *w = &s->worker[i];
    if (!w->pid || w->is_killed)
        return;
    s->kills_stopped += (uint32_t)w->is_stopped;
    w->is_doomed = w->is_killed = 1;
    kill(w->pid, SIGKILL);
}

static void reap_killed(struct supervisor *s, uint32_t i) {
    uint64_t start_ms = until_now_ms();
    if (s->worker[i].is_killed)
        look_after(s, i, 1);
    note_most(&s->stood_ms, until_now_ms() - start_ms);
}

/* Stopped by SIGSTOP. The heartbeat starts again, because the delay was our doing. */
static void resume(struct supervisor *s, uint32_t i) {
    struct worker *w = &s->worker[i];
    w->is_stopped = 0;
    for (unsigned t = 0; t < WORKER_THREADS; t++)
        if (atomic_load(&s->run->worker[i].busy_since_ms[t]))
            atomic_store(&s->run->worker[i].busy_since_ms[t], until_now_ms());
    kill(w->pid, SIGCONT);
}

/* ---- Watching -------------------------------------------------------------------------------- */

static void watch_heartbeats(struct supervisor *s, uint32_t i) {
    uint64_t now_ms = until_now_ms();
    for (unsigned t = 0; t < WORKER_THREADS; t++) {
        uint64_t since_ms = atomic_load(&s->run->worker[i].busy_since_ms[t]);
        if (s->worker[i].pid && !s->worker[i].is_stopped && since_ms && since_ms + STUCK_MS < now_ms)
            fail(s, EXIT_STUCK, content_wrong("an operation of worker %u takes more than %u ms", i, STUCK_MS));
    }
}

static void watch(struct supervisor *s) {
    for (uint32_t i = 0; i < s->run->worker_count; i++) {
        struct worker *w = &s->worker[i];
        look_after(s, i, 0);
        if (w->pid && w->is_stopped && until_now_ms() >= w->resume_at_ms) {
            if (i != SURVIVOR && rng_is_one_in(&s->rng, 2))
                kill_worker(s, i);
            else
                resume(s, i);
        }
        watch_heartbeats(s, i);
    }
}

static void start_missing(struct supervisor *s) {
    for (uint32_t i = 0; i < s->run->worker_count && !s->verdict; i++)
        if (!s->worker[i].pid)
            start_worker(s, i);
}

static void pause_us(uint64_t us) {
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

/* ---- Doing harm ------------------------------------------------------------------------------ */

static uint32_t any_victim(struct supervisor *s) {
    return 1 + (uint32_t)rng_below(&s->rng, s->run->worker_count - 1);
}

static void kill_now(struct supervisor *s, uint32_t i) {
    kill_worker(s, i);
    reap_killed(s, i);
}

/* In the middle of attaching: started, and killed before it can have done much. */
static void kill_attaching(struct supervisor *s, uint32_t i) {
    kill_now(s, i);
    start_worker(s, i);
    pause_us(rng_below(&s->rng, 3000));
    kill_now(s, i);
    s->kills_attaching++;
}

/* At once; each is reaped as soon as it is dead. */
static void kill_several(struct supervisor *s) {
    uint32_t which = (uint32_t)rng_next(&s->rng);
    for (uint32_t i = 1; i < s->run->worker_count; i++)
        if (which >> (i % 31) & 1)
            kill_worker(s, i);
}

static void order(struct supervisor *s, uint32_t i, uint32_t kind) {
    struct worker *w = &s->worker[i];
    uint64_t k = 1 + rng_below(&s->rng, ORDER_STORES_MAX >> rng_below(&s->rng, 6));
    if (!w->pid)
        return;
    if (kind == ORDER_DIE) {
        w->is_doomed = 1; /* from now on it may be dead any time */
        s->kills_by_order++;
    }
    atomic_store(&s->run->worker[i].order, ORDER(kind, k));
}

static void stop(struct supervisor *s, uint32_t i) {
    struct worker *w = &s->worker[i];
    if (w->pid && !w->is_stopped)
        kill(w->pid, SIGSTOP); /* look_after() will see it */
    (void)s;
}

static void do_harm(struct supervisor *s) {
    uint64_t kind = rng_below(&s->rng, 100);
    uint32_t victim = any_victim(s);
    if (kind < 35)
        kill_worker(s, victim);
    else if (kind < 70)
        order(s, victim, ORDER_DIE);
    else if (kind < 78)
        order(s, victim, ORDER_STOP);
    else if (kind < 85)
        stop(s, victim);
    else if (kind < 90)
        kill_several(s);
    else if (kind < 96)
        kill_attaching(s, victim);
    else
        atomic_fetch_add(&s->run->shared.now_s, 1); /* something expires */
}

/* A sleep that a signal cut short is not late. */
static uint64_t late_by_ms(uint64_t slept_ms, uint64_t wanted_ms) {
    return slept_ms > wanted_ms ? slept_ms - wanted_ms : 0;
}

/* A few microseconds of life as well as many milliseconds. */
static void let_live(struct supervisor *s) {
    static const uint64_t most_us[] = {500, 3000, 6000, 12000, 40000};
    uint64_t us = rng_below(&s->rng, most_us[rng_below(&s->rng, 5)]), start_ms = until_now_ms();
    pause_us(us);
    note_most(&s->late_ms, late_by_ms(until_now_ms() - start_ms, us / 1000));
}

/* The run is over: a verdict, or a signal. */
static int is_ending(const struct supervisor *s) {
    return s->verdict || is_interrupted;
}

/* ---- Audits ---------------------------------------------------------------------------------- */

/* Runs the auditor. */
static void run_audit(struct supervisor *s, uint32_t what) {
    siginfo_t info = {0};
    uint64_t start_ms = until_now_ms();
    pid_t pid = start_part(s, "audit", what, s->audits);
    if (pid < 0) {
        fail(s, EXIT_USAGE, "fork failed");
        return;
    }
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0 && !is_interrupted &&
           until_now_ms() - start_ms < AUDIT_MS)
        until_pause();
    if (info.si_pid == 0) {
        if (!is_interrupted)
            fail(s, EXIT_STUCK, content_wrong("an audit takes more than %u ms", AUDIT_MS));
        kill(pid, SIGKILL);
        waitid(P_PID, (id_t)pid, &info, WEXITED);
        return;
    }
    s->audits++;
    s->emptied += (what & AUDIT_EMPTY) != 0;
    if (info.si_code == CLD_EXITED && info.si_status == 0)
        s->passed++;
    else
        judge_end(s, "the auditor", info.si_code, info.si_status);
}

static int is_at_rest(struct supervisor *s, uint32_t i) {
    uint32_t threads = i % 6 == 5 ? 2 : 1, paused = 0;
    for (unsigned t = 0; t < WORKER_THREADS; t++)
        paused += atomic_load(&s->run->worker[i].is_paused[t]);
    return !s->worker[i].pid || paused == threads;
}

static int are_at_rest(struct supervisor *s) {
    int are = 1;
    for (uint32_t i = 0; i < s->run->worker_count; i++) {
        look_after(s, i, 0);
        if (s->worker[i].is_stopped)
            resume(s, i);
        are = are && is_at_rest(s, i);
    }
    return are;
}

/* Every worker is between two operations, or dead: some audits begin with the death of all that may
 * die. */
static void come_to_rest(struct supervisor *s) {
    atomic_store(&s->run->must_pause, 1);
    if (rng_is_one_in(&s->rng, 3)) {
        for (uint32_t i = 1; i < s->run->worker_count; i++)
            kill_worker(s, i);
        for (uint32_t i = 1; i < s->run->worker_count; i++)
            reap_killed(s, i);
    }
    if (!UNTIL(is_ending(s) || are_at_rest(s), STUCK_MS / SLOW_FACTOR))
        fail(s, EXIT_STUCK, "the workers do not come to rest");
}

static void audit(struct supervisor *s) {
    come_to_rest(s);
    if (!is_ending(s))
        run_audit(s, rng_is_one_in(&s->rng, 3) ? AUDIT_EMPTY : 0);
    atomic_store(&s->run->must_pause, 0);
    s->audited_ms = until_now_ms();
    s->audited_kills = s->kills;
}

/* ---- Reports --------------------------------------------------------------------------------- */

static void report(struct supervisor *s) {
    struct shared_counts *n = &s->run->shared.counts;
    uint64_t start_ms = until_now_ms();
    printf("%6.1f s: %u kills (%u attaching, %u while stopped, %u orders to die), %u stops, %u audits (%u of the empty "
           "segment);\n",
           (double)(start_ms - s->start_ms) / 1000, s->kills, s->kills_attaching, s->kills_stopped, s->kills_by_order,
           s->stops, s->audits, s->emptied);
    printf("          %lu writes, %lu refused for want of room, %lu because busy; %lu reads, %lu keys judged, %lu let "
           "pass;\n",
           (unsigned long)n->writes, (unsigned long)n->refused_full, (unsigned long)n->refused_busy,
           (unsigned long)n->reads, (unsigned long)n->judged, (unsigned long)n->unjudged);
    printf("          %lu transfers in one transaction each, %lu sums of all accounts judged;\n",
           (unsigned long)n->transfers, (unsigned long)n->sums);
    printf("          %lu drops, %lu creates, %lu indexes added, %lu changes of TTL, %lu checks;\n",
           (unsigned long)n->drops, (unsigned long)n->creates, (unsigned long)n->index_adds, (unsigned long)n->ttl_sets,
           (unsigned long)n->checks);
    printf("          slowest write of the survivor %lu ms; a sleep of the supervisor was late by %lu ms at most, a "
           "fork, a death or a print took %lu ms\n",
           (unsigned long)s->run->worker[SURVIVOR].slowest_ms, (unsigned long)s->late_ms, (unsigned long)s->stood_ms);
    fflush(stdout);
    s->reported_ms = until_now_ms();
    note_most(&s->stood_ms, s->reported_ms - start_ms);
}

/* The run did what it is meant to do. */
static void judge_run(struct supervisor *s) {
    struct shared_counts *n = &s->run->shared.counts;
    must(s, s->run->worker[SURVIVOR].slowest_ms < SURVIVOR_MS + LATE_TIMES * s->late_ms + STOOD_TIMES * s->stood_ms,
         "the survivor waited too long for a write");
    must(s, s->kills >= s->options->kills && s->kills > 0, "too few workers were killed");
    if (s->run->worker_count >= 6) { /* every role is played (worker.c) */
        must(s, n->refused_full > 0, "the segment was never full");
        must(s, n->drops > 0 && n->index_adds > 0 && n->ttl_sets > 0, "the tables were not changed");
    }
    must(s, n->unjudged * 20 < n->judged, "too many reads were so long that they could not be judged");
    must(s, n->transfers > 0 && n->sums > 0, "no transfer was done, or no sum was judged");
    must(s, s->emptied > 0, "the segment was never emptied");
}

/* ---- The run --------------------------------------------------------------------------------- */

static int is_done(const struct supervisor *s) {
    const struct supervisor_options *o = s->options;
    return is_ending(s) || (o->seconds && until_now_ms() - s->start_ms >= o->seconds * 1000ull) ||
           (o->kills && s->kills >= o->kills);
}

static int is_audit_due(const struct supervisor *s) {
    return until_now_ms() - s->audited_ms >= AUDIT_EVERY_MS * SLOW_FACTOR ||
           s->kills - s->audited_kills >= AUDIT_EVERY_KILLS;
}

static void torture(struct supervisor *s) {
    while (!is_done(s)) {
        start_missing(s);
        do_harm(s);
        let_live(s);
        watch(s);
        if (is_audit_due(s) && !is_ending(s))
            audit(s);
        if (until_now_ms() - s->reported_ms >= REPORT_EVERY_MS)
            report(s);
    }
}

static void end_workers(struct supervisor *s) {
    atomic_store(&s->run->is_over, 1);
    /* here: all have ended */
    if (!is_ending(s) && !UNTIL(is_interrupted || are_at_rest(s), STUCK_MS / SLOW_FACTOR))
        fail(s, EXIT_STUCK, "a worker does not end");
    for (uint32_t i = 0; i < s->run->worker_count; i++)
        kill_now(s, i);
}

/* Copies a file, sparse where it is zero. */
static void copy_out(int from, const char *to) {
    static unsigned char bytes[1 << 16];
    int fd = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ssize_t got;
    off_t at = 0;
    while (fd >= 0 && (got = pread(from, bytes, sizeof bytes, at)) > 0) {
        int is_zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)got - 1) == 0;
        if (!is_zero && pwrite(fd, bytes, (size_t)got, at) != got)
            break;
        at += got;
    }
    if (fd < 0 || ftruncate(fd, at))
        printf("cannot write %s: %s\n", to, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void keep(struct supervisor *s) {
    char path[512];
    int fd = shm_open(content_wrong("/%s", s->run->segment), O_RDONLY, 0);
    mkdir(s->options->keep_folder, 0777);
    snprintf(path, sizeof path, "%s/0x%llx.segment", s->options->keep_folder, (unsigned long long)s->run->seed);
    if (fd >= 0) {
        copy_out(fd, path);
        close(fd);
    }
    printf("kept: %s", path);
    snprintf(path, sizeof path, "%s/0x%llx.history", s->options->keep_folder, (unsigned long long)s->run->seed);
    copy_out(s->run_fd, path);
    printf(" and %s (struct run)\n", path);
}

int supervise(struct run *run, int run_fd, const struct supervisor_options *options) {
    static struct supervisor s;
    s = (struct supervisor){.run = run, .run_fd = run_fd, .options = options};
    rng_seed(&s.rng, run->seed);
    catch_signals();
    s.start_ms = s.audited_ms = s.reported_ms = until_now_ms();
    run_audit(&s, AUDIT_PREPARE);
    torture(&s);
    if (!is_ending(&s))
        audit(&s);
    end_workers(&s);
    if (!is_ending(&s))
        run_audit(&s, AUDIT_EMPTY);
    report(&s);
    if (!is_ending(&s))
        judge_run(&s);
    if (s.verdict || options->is_kept)
        keep(&s);
    (void)larder_destroy(run->segment, LARDER_FORCE);
    if (is_interrupted && !s.verdict) {
        printf("interrupted\n");
        return 128 + is_interrupted;
    }
    printf("%u passed, %u failed\n", s.passed, s.failed);
    return s.verdict;
}
