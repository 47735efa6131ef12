/* tests/api/errno_test.c - larder_errno(): why a system call failed.
 *
 * Goal     With LARDER_E_OS, and where a system call led to another failure, it is the system's
 *          number. It belongs to the failure that larder_error() tells of: another failure without
 *          one sets it to 0, and a thread does not see another's.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"

TestSuite(errno_of_failures, .timeout = 60 * SLOW_FACTOR);

#define DEADLINE_MS 20000

static void *ask(void *arg) {
    *(int *)arg = larder_errno();
    return NULL;
}

/* No descriptor is left. */
static int without_descriptors(void *arg) {
    struct larder *db;
    pthread_t thread;
    int of_other = 4711;
    PROC_CHECK(larder_errno() == 0);
    PROC_CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){3, 3}) == 0);
    PROC_CHECK(larder_open(&(struct larder_options){.segment = arg, .flags = LARDER_CREATE}, &db) == LARDER_E_OS);
    PROC_CHECK(larder_errno() == EMFILE);
    PROC_CHECK(pthread_create(&thread, NULL, ask, &of_other) == 0 && pthread_join(thread, NULL) == 0);
    PROC_CHECK(of_other == 0 && larder_errno() == EMFILE);
    PROC_CHECK(larder_open(&(struct larder_options){.flags = 1u << 31}, &db) == LARDER_E_INVAL);
    PROC_CHECK(larder_errno() == 0);
    return 0;
}

Test(errno_of_failures, is_that_of_the_last_failure) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/seg", dir);
    struct proc_result r = proc_run(without_descriptors, path, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert_eq(rmdir(dir), 0, "something was made");
}
