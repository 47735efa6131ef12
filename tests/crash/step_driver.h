/* tests/crash/step_driver.h - runs one call of the library in another process, instruction by
 * instruction, and ends it there.
 *
 * Job      Starts a process that prepares itself, lets it run up to the first instruction of the
 *          function under test, records every instruction until the function returns, and in later
 *          runs stops before a chosen one: to kill, or to hold.
 * Picture  the test -- orders, one at a time --> driver -- ptrace --> tracee
 *          A tracee attaches, warms up, calls step_ready() and then the function.
 *          The driver is a child that does nothing but this. It never touches the library, so every
 *          tracee it forks starts with the same addresses and takes the same instructions. The
 *          test, which judges, is the process that survives.
 * Rules    V1 A death is a SIGKILL, and reaped, before the answer comes.
 *          V2 Every answer has a deadline. Driver and tracees end with the test (PDEATHSIG,
 *             PTRACE_O_EXITKILL).
 *          V3 x86-64 only: breakpoints are its debug registers. Where these or ptrace are not to be
 *             had, every answer is STEP_REFUSED.
 */
#ifndef LARDER_TESTS_CRASH_STEP_DRIVER_H
#define LARDER_TESTS_CRASH_STEP_DRIVER_H

#include "tests/crash/step_trace.h"

struct step_target {
    /* In the tracee: prepares, calls step_ready() and then `function`, once. Returns 0 if all went
     * well. */
    int (*run)(int memfd, const void *arg);
    const void *arg;
    const void *function;
    /* The tracee forks before step_ready() and its child goes on; the tracee itself then waits for
     * signals, and is alive until the next order. */
    int is_forked;
};

enum step_result {
    STEP_DONE,
    STEP_STRAYED,  /* it took other instructions than the recorded ones, or ended */
    STEP_REFUSED,  /* not on this machine: see V3 */
    STEP_TOO_LONG, /* more than STEP_COUNT_MAX instructions */
    STEP_LOST      /* the tracee ended or stopped where it should not have; or the driver did */
};
const char *step_result_name(enum step_result r);

struct step_driver;

/* `target` must outlive the driver. */
struct step_driver *step_driver_start(const struct step_target *target);
void step_driver_end(struct step_driver *d);
const struct step_trace *step_driver_trace(const struct step_driver *d);

/* Runs the call whole, on the segment `memfd` of the test, and records it. */
enum step_result step_record(struct step_driver *d, int memfd);
/* Runs the first n instructions of the call; then the process dies. */
enum step_result step_kill_after(struct step_driver *d, int memfd, uint32_t n);
/* The same, but it stands still there until step_go_on(), which lets it run to its end. */
enum step_result step_hold_after(struct step_driver *d, int memfd, uint32_t n);
enum step_result step_go_on(struct step_driver *d);

/* In the tracee: the next call of the function is the one. */
void step_ready(void);

#endif
