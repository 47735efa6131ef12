/* tests/support/criterion_env.c - what Criterion needs to run under the sanitizers, and a last
 * deadline.
 *
 * Job      Criterion runs each test in a process of its own: it executes the suite's program again,
 *          and hands memory over at an address that it picks with rand_r() between 0x200000000000
 *          and 0x600000000000. So:
 *          - The thread sanitizer allows a program only some address ranges, and that span holds
 *            one of them. There, rand_r() is replaced by one that always picks inside it.
 *          - The test's process has a thread besides the test's own (for Criterion's messages), so
 *            for the sanitizer every fork() is one of a threaded process: die_after_fork=0 lets the
 *            child start threads. GCC's runtime cannot do that, clang's can, but it does not watch
 *            them: a test about races starts its threads itself.
 *          - A report after the test's last line comes too late to fail the test. Hence
 *            halt_on_error, and run_suite counts the report files as failures, those of forked
 *            children and leaks included.
 *          - Criterion starts libgit2, which shows the difference of two values in its newer kind
 *            of assertion, cr_assert(eq(...)). libgit2 begins with all certificates of the machine:
 *            a third of what a short test's process costs, more than half under the address
 *            sanitizer. No test here has such an assertion, so both calls do nothing.
 *          Criterion's --timeout does nothing, so each test's process is given an alarm:
 *          LARDER_TEST_TIMEOUT_S seconds, by default 6000. It ends what hangs; a loaded machine is
 *          not a failure. A suite states its own, shorter deadline, for an idle machine:
 *          TestSuite(skl, .timeout = 20 * SLOW_FACTOR). It is stretched here by SLOW_PATIENCE.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/slow.h"

#define CRITERION_ENV_TIMEOUT_S (600 * SLOW_PATIENCE)

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void) {
    return "detect_stack_use_after_return=1:strict_string_checks=1:allow_user_segv_handler=1";
}

const char *__ubsan_default_options(void) {
    return "halt_on_error=1:print_stacktrace=1";
}

const char *__tsan_default_options(void) {
    return "die_after_fork=0:halt_on_error=1:second_deadlock_stack=1";
}

/* BXFI_MAP is set in the process that runs one test, not in the program that starts them. */
__attribute__((constructor)) static void criterion_env_set_alarm(void) {
    const char *given = getenv("LARDER_TEST_TIMEOUT_S");
    if (getenv("BXFI_MAP"))
        alarm(given && atoi(given) > 0 ? (unsigned)atoi(given) : CRITERION_ENV_TIMEOUT_S);
}

/* libgit2's, for Criterion. */
int git_libgit2_init(void);
int git_libgit2_shutdown(void);

__attribute__((visibility("default"))) int git_libgit2_init(void) {
    return 1;
}

__attribute__((visibility("default"))) int git_libgit2_shutdown(void) {
    return 0;
}

/* Where Criterion keeps all suites and tests. A program without any has no such section. */
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)), *__stop_cr_sts[] __attribute__((weak));
extern struct criterion_test *__start_cr_tst[] __attribute__((weak)), *__stop_cr_tst[] __attribute__((weak));

__attribute__((constructor)) static void criterion_env_stretch(void) {
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
        if (*suite)
            (*suite)->data->timeout *= SLOW_PATIENCE;
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++)
        if (*test)
            (*test)->data->timeout *= SLOW_PATIENCE;
}

#if SLOW_IS_TSAN
/* Criterion's address is 0x200000000000 + (result << 24); the sanitizer allows
 * 0x550000000000..0x567fffffffff. */
#define CRITERION_ENV_FIRST 0x350000u
#define CRITERION_ENV_COUNT 0x17fffu

__attribute__((visibility("default"))) int rand_r(unsigned int *seed) {
    *seed = *seed * 1103515245u + 12345u;
    return (int)(CRITERION_ENV_FIRST + (*seed >> 8) % CRITERION_ENV_COUNT);
}
#endif
