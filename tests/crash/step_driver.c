/* tests/crash/step_driver.c - see step_driver.h.
 *
 * A tracee stops twice by itself: once at its start, for options to be set, and in step_ready().
 * From there a breakpoint takes it to the first instruction of the function. The function has
 * returned when the next instruction is at the return address on the stack and the stack is one
 * word shorter.
 *
 * One thing would make two runs differ: the kernel's own code for reading the clock (vDSO) tries
 * again if the clock ticks meanwhile, and when it is stepped the clock always ticks. In a tracee it
 * is replaced by a plain system call, one instruction.
 */
#include "tests/crash/step_driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/proc.h"
#include "tests/support/slow.h"

#define ANSWER_MS 30000u /* recording included */
#define EXIT_REFUSED 77

enum order_kind { ORDER_RECORD, ORDER_KILL, ORDER_HOLD, ORDER_GO_ON, ORDER_END };

struct order {
    enum order_kind kind;
    int memfd; /* in the test's process */
    uint32_t n;
};

#define CLOCKS 3

struct step_driver {
    const struct step_target *target;
    uint64_t clock[CLOCKS];   /* addresses of the functions that read the clock; 0: there is none */
    struct step_trace *trace; /* shared */
    int test_end, driver_end; /* of the socket between them */
    pid_t pid, test_pid;
    /* The driver's own */
    pid_t tracee, forker; /* 0: none; forker: the live parent of a forked tracee */
    uint64_t stack, back; /* at the function's first instruction: stack pointer, return address */
};

void step_ready(void) {
    raise(SIGSTOP);
}

const char *step_result_name(enum step_result r) {
    static const char *const names[] = {"done", "strayed", "refused", "too long", "lost"};
    return names[r];
}

#if defined(__x86_64__)

/* ---- The tracee ------------------------------------------------------------------------------ */

__attribute__((noreturn)) static void be_tracee(const struct step_driver *d, int memfd) {
    char path[64];
    struct rlimit none = {0, 0};
    pid_t driver = getppid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    if (getppid() != driver || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(EXIT_REFUSED);
    raise(SIGSTOP);
    /* The test's segment by the test's number: a new descriptor with the same number in every
     * tracee. */
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)d->test_pid, memfd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    _exit(fd < 0 ? 1 : d->target->run(fd, d->target->arg));
}

/* ---- The driver: one tracee at a time -------------------------------------------------------- */

static long peek_user(const struct step_driver *d, size_t offset) {
    return ptrace(PTRACE_PEEKUSER, d->tracee, (void *)offset, NULL);
}

static uint64_t pc_of(const struct step_driver *d) {
    return (uint64_t)peek_user(d, offsetof(struct user, regs.rip));
}

static uint64_t stack_of(const struct step_driver *d) {
    return (uint64_t)peek_user(d, offsetof(struct user, regs.rsp));
}

/* Waits until the tracee stops: the signal it stopped for. 0: it has ended, and is reaped;
 * *end_status says how. */
static int wait_for_stop(struct step_driver *d, int *end_status) {
    int status;
    while (waitpid(d->tracee, &status, __WALL) != d->tracee)
        if (errno != EINTR)
            return -1;
    if (WIFSTOPPED(status))
        return WSTOPSIG(status);
    d->tracee = 0;
    if (end_status)
        *end_status = status;
    return 0;
}

static int is_stopped(struct step_driver *d, int wanted) {
    return wait_for_stop(d, NULL) == wanted;
}

static int run_until(struct step_driver *d, int wanted) {
    return ptrace(PTRACE_CONT, d->tracee, NULL, NULL) == 0 && is_stopped(d, wanted);
}

static int step(struct step_driver *d) {
    return ptrace(PTRACE_SINGLESTEP, d->tracee, NULL, NULL) == 0 && is_stopped(d, SIGTRAP);
}

/* A breakpoint in the first debug register; 0: none. Bit 0 of the seventh switches it on. */
static int set_breakpoint(const struct step_driver *d, uint64_t pc) {
    size_t first = offsetof(struct user, u_debugreg[0]), control = offsetof(struct user, u_debugreg[7]);
    if (ptrace(PTRACE_POKEUSER, d->tracee, (void *)control, NULL))
        return 0;
    return pc == 0 || (ptrace(PTRACE_POKEUSER, d->tracee, (void *)first, (void *)pc) == 0 &&
                       ptrace(PTRACE_POKEUSER, d->tracee, (void *)control, (void *)1) == 0);
}

/* mov $number, %eax; syscall; ret: exactly the eight bytes that one poke writes, to a page of the
 * tracee's own. */
static int replace_clocks(const struct step_driver *d) {
    static const uint8_t number[CLOCKS] = {SYS_clock_gettime, SYS_gettimeofday, SYS_time};
    for (int i = 0; i < CLOCKS; i++) {
        uint64_t code = UINT64_C(0xc3050f00000000b8) | (uint64_t)number[i] << 8;
        if (d->clock[i] && ptrace(PTRACE_POKEDATA, d->tracee, (void *)d->clock[i], (void *)code))
            return 0;
    }
    return 1;
}

static void end_process(pid_t *pid) {
    int status;
    if (*pid == 0)
        return;
    kill(*pid, SIGKILL);
    while (waitpid(*pid, &status, __WALL) == *pid && WIFSTOPPED(status))
        ;
    *pid = 0;
}

/* The tracee forked: its child is the tracee now, and the parent goes on untraced. */
static int follow_fork(struct step_driver *d) {
    unsigned long child = 0;
    if (!run_until(d, SIGTRAP) || ptrace(PTRACE_GETEVENTMSG, d->tracee, NULL, &child) || child == 0)
        return 0;
    d->forker = d->tracee;
    d->tracee = (pid_t)child;
    return is_stopped(d, SIGSTOP) && ptrace(PTRACE_DETACH, d->forker, NULL, NULL) == 0;
}

/* A new tracee, about to execute the first instruction of the function. */
static enum step_result start_tracee(struct step_driver *d, int memfd) {
    uint64_t function = (uint64_t)(uintptr_t)d->target->function;
    d->tracee = fork();
    if (d->tracee == 0)
        be_tracee(d, memfd);
    if (d->tracee < 0) {
        d->tracee = 0; /* kill(-1) would reach every process */
        return STEP_LOST;
    }
    if (!is_stopped(d, SIGSTOP) ||
        ptrace(PTRACE_SETOPTIONS, d->tracee, NULL,
               (void *)(uintptr_t)(PTRACE_O_EXITKILL | (d->target->is_forked ? PTRACE_O_TRACEFORK : 0))) ||
        !replace_clocks(d))
        return STEP_REFUSED;
    if ((d->target->is_forked && !follow_fork(d)) || !run_until(d, SIGSTOP))
        return STEP_LOST;
    if (!set_breakpoint(d, function))
        return STEP_REFUSED;
    if (!run_until(d, SIGTRAP) || pc_of(d) != function)
        return STEP_LOST;
    set_breakpoint(d, 0);
    d->stack = stack_of(d);
    d->back = (uint64_t)ptrace(PTRACE_PEEKDATA, d->tracee, (void *)d->stack, NULL);
    return STEP_DONE;
}

/* Lets it run: the signal it stops for. 0: it has ended, as it should. -1: it has failed. */
static int go_on(struct step_driver *d) {
    int end_status = 0;
    if (ptrace(PTRACE_CONT, d->tracee, NULL, NULL))
        return -1;
    int signal_number = wait_for_stop(d, &end_status);
    return signal_number == 0 && end_status != 0 ? -1 : signal_number;
}

static enum step_result record(struct step_driver *d) {
    struct step_trace *t = d->trace;
    for (t->count = 0; t->count <= STEP_COUNT_MAX; t->count++) {
        uint64_t pc = pc_of(d);
        t->spot[t->count].pc = pc;
        if (pc == d->back && stack_of(d) == d->stack + sizeof(uint64_t))
            return go_on(d) == 0 ? STEP_DONE : STEP_LOST;
        if (!step(d))
            return STEP_LOST;
    }
    t->count = 0;
    return STEP_TOO_LONG;
}

/* Passes a breakpoint on an address `times` times. STRAYED: the process came to its end before
 * that. */
static enum step_result pass(struct step_driver *d, uint64_t pc, uint32_t times) {
    if (!set_breakpoint(d, pc))
        return STEP_LOST;
    for (uint32_t i = 0; i < times; i++) {
        int signal_number = go_on(d);
        if (signal_number != SIGTRAP)
            return signal_number == 0 ? STEP_STRAYED : STEP_LOST;
    }
    set_breakpoint(d, 0);
    return STEP_DONE;
}

static enum step_result go_to(struct step_driver *d, uint32_t n) {
    const struct step_spot *spot = d->trace->spot;
    uint32_t at = spot[n].anchor;
    enum step_result r = at ? pass(d, spot[at].pc, spot[at].hits) : STEP_DONE;
    if (r)
        return r;
    for (; at < n; at++)
        if (!step(d))
            return STEP_LOST;
    return pc_of(d) == spot[n].pc ? STEP_DONE : STEP_STRAYED;
}

static enum step_result obey(struct step_driver *d, const struct order *o) {
    if (o->kind == ORDER_GO_ON) /* a held process that strayed may have ended */
        return !d->tracee || go_on(d) == 0 ? STEP_DONE : STEP_LOST;
    end_process(&d->tracee);
    end_process(&d->forker);
    if (o->kind == ORDER_END)
        return STEP_DONE;
    enum step_result r = start_tracee(d, o->memfd);
    if (r == STEP_DONE)
        r = o->kind == ORDER_RECORD ? record(d) : go_to(d, o->n);
    if (o->kind == ORDER_KILL || (r != STEP_DONE && r != STEP_STRAYED))
        end_process(&d->tracee);
    return r;
}

#else

static enum step_result obey(struct step_driver *d, const struct order *o) {
    (void)d, (void)o;
    return STEP_REFUSED;
}

#endif

/* Driver and tracees take turns: on one CPU a turn is a switch, on two a CPU must wake up. */
static void stay_on_one_cpu(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)sched_getcpu(), &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* Addresses in the vDSO, the same in every process of this program. */
static void find_clocks(struct step_driver *d) {
    static const char *const name[CLOCKS] = {"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"};
    void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    for (int i = 0; vdso && i < CLOCKS; i++)
        d->clock[i] = (uint64_t)(uintptr_t)dlsym(vdso, name[i]);
}

static int drive(void *arg) {
    struct step_driver *d = arg;
    struct order o;
    close(d->test_end); /* or the driver would not see the test close it */
    stay_on_one_cpu();
    while (recv(d->driver_end, &o, sizeof o, 0) == sizeof o) {
        enum step_result r = obey(d, &o);
        if (send(d->driver_end, &r, sizeof r, MSG_NOSIGNAL) != sizeof r)
            break;
    }
    obey(d, &(struct order){.kind = ORDER_END});
    return 0;
}

/* ---- The test's side ------------------------------------------------------------------------- */

static enum step_result order(struct step_driver *d, enum order_kind kind, int memfd, uint32_t n) {
    struct order o = {kind, memfd, n};
    struct pollfd answer = {.fd = d->test_end, .events = POLLIN};
    enum step_result r;
    if (send(d->test_end, &o, sizeof o, MSG_NOSIGNAL) != sizeof o ||
        poll(&answer, 1, (int)(ANSWER_MS * SLOW_FACTOR * SLOW_PATIENCE)) != 1 ||
        recv(d->test_end, &r, sizeof r, 0) != sizeof r)
        return STEP_LOST;
    return r;
}

struct step_driver *step_driver_start(const struct step_target *target) {
    int ends[2];
    struct step_driver *d = calloc(1, sizeof *d);
    void *trace =
        mmap(NULL, sizeof *d->trace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!d || trace == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        abort();
    *d = (struct step_driver){
        .target = target, .trace = trace, .test_end = ends[0], .driver_end = ends[1], .test_pid = getpid()};
    find_clocks(d);
    d->pid = proc_fork(drive, d);
    close(d->driver_end);
    return d;
}

void step_driver_end(struct step_driver *d) {
    close(d->test_end);
    proc_wait(d->pid, ANSWER_MS);
    munmap(d->trace, sizeof *d->trace);
    free(d);
}

const struct step_trace *step_driver_trace(const struct step_driver *d) {
    return d->trace;
}

enum step_result step_record(struct step_driver *d, int memfd) {
    enum step_result r = order(d, ORDER_RECORD, memfd, 0);
    if (r == STEP_DONE)
        step_trace_plan(d->trace);
    return r;
}

enum step_result step_kill_after(struct step_driver *d, int memfd, uint32_t n) {
    return order(d, ORDER_KILL, memfd, n);
}

enum step_result step_hold_after(struct step_driver *d, int memfd, uint32_t n) {
    return order(d, ORDER_HOLD, memfd, n);
}

enum step_result step_go_on(struct step_driver *d) {
    return order(d, ORDER_GO_ON, -1, 0);
}
