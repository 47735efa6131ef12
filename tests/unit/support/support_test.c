/* tests/unit/support/support_test.c - the helpers that the other suites trust.
 *
 * Goal     A child's end is told apart correctly, no wait is longer than its deadline, random runs
 *          can be repeated.
 * Method   Children that exit, crash and hang on purpose.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

TestSuite(proc, .timeout = 10 * SLOW_FACTOR);
TestSuite(until, .timeout = 10 * SLOW_FACTOR);
TestSuite(rng, .timeout = 10 * SLOW_FACTOR);

static int exit_with(void *arg) {
    return *(int *)arg;
}

static int die_by(void *arg) {
    proc_expect_crash();
    raise(*(int *)arg);
    return 0;
}

static int hang(void *arg) {
    while (!arg)
        pause();
    return 0;
}

static int exit_after_a_byte(void *ends) {
    char byte;
    return (int)read(*(int *)ends, &byte, 1);
}

static int check_what_is_false(void *arg) {
    PROC_CHECK(arg != NULL);
    return 0;
}

Test(proc, tells_exit_codes) {
    for (int code = 0; code < 4; code++)
        cr_assert(proc_is_exit(proc_run(exit_with, &code, 2000), code));
}

Test(proc, tells_signals) {
    int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct proc_result r = proc_run(die_by, &signals[i], 2000);
        cr_assert(proc_is_signal(r, signals[i]), "%s", proc_text(r));
    }
}

Test(proc, kills_what_is_stuck) {
    pid_t pid = proc_fork(hang, NULL);
    struct proc_result r = proc_wait(pid, 50);
    cr_assert_eq(r.end, PROC_STUCK, "%s", proc_text(r));
    cr_assert_eq(kill(pid, 0), -1, "the child is still there");
}

Test(proc, waits_for_a_stopped_child_only_until_the_deadline) {
    pid_t pid = proc_fork(hang, NULL);
    proc_stop(pid);
    cr_assert_eq(proc_wait(pid, 50).end, PROC_STUCK);
}

Test(proc, resumes) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = proc_fork(exit_after_a_byte, ends);
    proc_stop(pid);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    proc_resume(pid);
    cr_assert(proc_is_exit(proc_wait(pid, 2000), 1));
}

Test(proc, reports_a_failed_check) {
    struct proc_result r = proc_run(check_what_is_false, NULL, 2000);
    cr_assert(proc_is_exit(r, PROC_CHECK_FAILED), "%s", proc_text(r));
}

Test(proc, executes_programs) {
    int ends[2];
    char text[8] = {0};
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = proc_exec((const char *const[]){"sh", "-c", "echo hello; exit 5", NULL}, ends[1]);
    close(ends[1]);
    cr_assert(proc_is_exit(proc_wait(pid, 2000), 5));
    cr_assert_eq(read(ends[0], text, sizeof text - 1), 6);
    cr_assert_str_eq(text, "hello\n");
    close(ends[0]);
    pid = proc_exec((const char *const[]){"/nonexistent/program", NULL}, -1);
    cr_assert(proc_is_exit(proc_wait(pid, 2000), PROC_CANNOT_EXEC));
}

Test(until, holds_or_misses) {
    int looks = 0;
    cr_assert(UNTIL(++looks == 5, 2000));
    uint64_t begin = until_now_ms();
    cr_assert_not(UNTIL(0, 20));
    cr_assert_geq(until_now_ms() - begin, 20);
}

Test(rng, repeats) {
    struct rng a, b, other;
    rng_seed(&a, 7);
    rng_seed(&b, 7);
    rng_seed(&other, 8);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t n = rng_next(&a);
        cr_assert_eq(n, rng_next(&b));
        same += n == rng_next(&other);
    }
    cr_assert_eq(same, 0);
}

Test(rng, stays_below_and_reaches_all) {
    struct rng r;
    int seen[10] = {0};
    rng_seed(&r, 1);
    for (int i = 0; i < 1000; i++)
        seen[rng_below(&r, 10)]++;
    for (int i = 0; i < 10; i++)
        cr_assert_gt(seen[i], 50);
    cr_assert_eq(rng_below(&r, 0), 0);
    cr_assert_eq(rng_below(&r, 1), 0);
}

Test(rng, takes_the_seed_of_the_environment) {
    setenv("LARDER_SEED", "0x2a", 1);
    cr_assert_eq(rng_test_seed("rng_test"), 42);
}
