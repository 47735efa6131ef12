/* tests/api/ttl_process_test.c - expirers of several processes.
 *
 * Goal     The expirer can be killed, stopped, forked and run twice. Another takes over, and
 *          recovers what the dead one left.
 * Method   Forked children on the clock of ttl_kit.h.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

TestSuite(ttl_process, .timeout = 90 * SLOW_FACTOR);

/* ---- The expirer's thread -------------------------------------------------------------------- */

static uint32_t dead_slots(struct larder *db) {
    struct larder_slot_stats slots[64];
    uint32_t count, dead = 0;
    cr_assert_eq(larder_slot_stats(db, slots, 64, &count), LARDER_OK);
    for (uint32_t i = 0; i < count && i < 64; i++)
        dead += !slots[i].is_alive;
    return dead;
}

/* ---- Processes ------------------------------------------------------------------------------- */

/* A process of its own that carries the expirer until it is killed. */
static int carry_expirer(void *arg) {
    struct fixture *f = arg;
    PROC_CHECK(larder_expirer_start(f->db) == LARDER_OK);
    for (;;)
        pause();
}

Test(ttl_process, a_killed_expirer_is_replaced) {
    struct fixture f = begin();
    for (int round = 0; round < 5; round++) {
        pid_t child = proc_fork(carry_expirer, &f);
        cr_assert(UNTIL(has_expirer(f.db, child), WAIT_MS));
        put_many(&f, 3000, 3);
        atomic_fetch_add(f.clock_s, 3); /* it dies somewhere in this work, or before or after */
        for (int i = 0; i < round; i++)
            until_pause();
        cr_assert(proc_is_signal(proc_kill(child), SIGKILL));
        cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
        cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
        cr_assert(UNTIL(dead_slots(f.db) == 0, WAIT_MS));
        larder_expirer_stop(f.db);
        check(&f);
    }
    finish(&f);
}

Test(ttl_process, a_waiting_thread_takes_over_from_a_killed_process) {
    struct fixture f = begin();
    pid_t child = proc_fork(carry_expirer, &f);
    cr_assert(UNTIL(has_expirer(f.db, child), WAIT_MS));
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    proc_kill(child);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    put(&f, "a", NOW_S + 1);
    atomic_fetch_add(f.clock_s, 1);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    finish(&f);
}

Test(ttl_process, larder_expire_takes_over_from_a_killed_process) {
    struct fixture f = begin();
    pid_t child = proc_fork(carry_expirer, &f);
    cr_assert(UNTIL(has_expirer(f.db, child), WAIT_MS));
    put(&f, "a", NOW_S + 1);
    proc_kill(child);
    atomic_fetch_add(f.clock_s, 1);
    cr_assert_eq(expire(&f), 1);
    finish(&f);
}

static int put_until_killed(void *arg) {
    struct fixture *f = arg;
    char sk[32];
    for (unsigned i = 0;; i++) {
        snprintf(sk, sizeof sk, "s%u", i % 100);
        PROC_CHECK(put_result(f, "p", sk, "ttl", "1700000005") == LARDER_OK);
    }
}

Test(ttl_process, the_thread_repairs_what_killed_writers_left) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    for (int round = 0; round < 20; round++) {
        pid_t child = proc_fork(put_until_killed, &f);
        cr_assert(UNTIL(item_count(&f) > 0, WAIT_MS));
        for (int i = 0; i < round; i++)
            until_pause();
        cr_assert(proc_is_signal(proc_kill(child), SIGKILL));
        cr_assert(UNTIL(dead_slots(f.db) == 0, WAIT_MS));
        check(&f);
    }
    atomic_fetch_add(f.clock_s, 5);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    finish(&f);
}

/* The child of a process with an expirer has none, until it starts one. */
static int start_after_fork(void *arg) {
    struct fixture *f = arg;
    PROC_CHECK(!has_expirer(f->db, getpid()));
    PROC_CHECK(put_result(f, "p", "child", "ttl", "1700000001") == LARDER_OK);
    larder_expirer_stop(f->db);
    PROC_CHECK(larder_expirer_start(f->db) == LARDER_OK);
    PROC_CHECK(larder_expire(f->db, 0, NULL) == LARDER_OK);
    larder_close(f->db);
    return 0;
}

Test(ttl_process, forked_children_do_without) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    for (int round = 0; round < 10; round++) {
        struct proc_result r = proc_run(start_after_fork, &f, WAIT_MS);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
        cr_assert(has_expirer(f.db, getpid()));
    }
    atomic_fetch_add(f.clock_s, 1);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    finish(&f);
}

static void count_signal(int signal) {
    (void)signal;
}

/* Which signals a thread blocks. 0: it is not the expirer. */
static int reads_expirer(const char *tid, uint64_t *blocked) {
    char path[64], line[256];
    int is_expirer = 0, has_blocked = 0;
    snprintf(path, sizeof path, "/proc/self/task/%.16s/status", tid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status)) {
        is_expirer |= strncmp(line, "Name:\tlarder-expirer", 20) == 0;
        has_blocked |= sscanf(line, "SigBlk: %lx", blocked) == 1;
    }
    if (status)
        fclose(status);
    return is_expirer && has_blocked;
}

/* Among the threads of this process, once it has its name. */
static int finds_expirer(uint64_t *blocked) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    int found = 0;
    while (tasks && !found && (entry = readdir(tasks)) != NULL)
        found = reads_expirer(entry->d_name, blocked);
    if (tasks)
        closedir(tasks);
    return found;
}

Test(ttl_process, the_thread_takes_no_signal) {
    struct fixture f = begin();
    struct sigaction action = {.sa_handler = count_signal};
    uint64_t blocked = 0;
    sigaction(SIGUSR1, &action, NULL);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert(UNTIL(finds_expirer(&blocked), WAIT_MS));
    cr_assert(blocked >> (SIGUSR1 - 1) & 1);
    cr_assert(blocked >> (SIGTERM - 1) & 1);
    finish(&f);
}
