/* tests/unit/memory/slot_wait_test.c - writer slots are shared: kept only while no other process
 * wants them, waited for when none is free.
 *
 * Goal     Rule W4 of core/memory/writer.h. Handles at rest leave a quarter of the slots to others,
 *          and keep at most eight each. A waiter gets the next slot that becomes free, at once,
 *          whichever process leaves it. Waiters that die, processes that stand still, forks, and a
 *          process that gave up its rights harm no process, themselves included.
 * Method   Small segments (2 to 64 slots). Processes attach, write once and do nothing; children
 *          are killed while they wait.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/slot_map.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(slot_wait, .timeout = 60 * SLOW_FACTOR);

#define LONG_MS 300000u /* time limit of waits that end long before */
#define PROCESSES_MAX 80u

static const struct larder_table_def table_def = {.name = "table", .partition = {"pk", LARDER_S}};

static struct larder *begin(uint32_t slots) {
    struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD,
                               .memfd = -1,
                               .size_bytes = 8u << 20,
                               .stripe_count = 2,
                               .slot_count = slots,
                               .busy_timeout_ms = LONG_MS};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_create(db, &table_def), LARDER_OK, "%s", larder_error());
    return db;
}

static void end(struct larder *db) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_close(db);
}

static struct larder *attach(const struct larder *db) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = larder_memfd(db), .busy_timeout_ms = LONG_MS};
    struct larder *other;
    return larder_open(&o, &other) == LARDER_OK ? other : NULL;
}

static uint32_t slots_used(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.slots_used;
}

static int count_once(struct larder *db) {
    struct larder_table *t;
    const struct larder_key key = {.partition = larder_str("counter")};
    int r = larder_table_open(db, "table", &t);
    return r ? r : larder_increment(t, &key, "n", 1, NULL);
}

static int64_t counted(struct larder *db) {
    struct larder_table *t;
    const struct larder_key key = {.partition = larder_str("counter")};
    int64_t n = -1;
    cr_assert_eq(larder_table_open(db, "table", &t), LARDER_OK);
    cr_assert_eq(larder_increment(t, &key, "n", 0, &n), LARDER_OK, "%s", larder_error());
    return n;
}

/* What children report, and are told. */
struct talk {
    _Atomic uint32_t ready, go, done;
};
static struct talk *talk_new(void) {
    struct talk *talk = mmap(NULL, sizeof *talk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(talk, MAP_FAILED);
    return talk;
}

struct child {
    struct larder *db; /* the parent's: the child attaches by itself */
    struct talk *talk;
    unsigned number;
};

/* ---- Kept, and not --------------------------------------------------------------------------- */

Test(slot_wait, a_handle_keeps_eight_at_most) {
    struct larder *db = begin(64), *other = attach(db);
    struct writer *w[40];
    for (unsigned i = 0; i < 40; i++)
        cr_assert_eq(writer_borrow(db, &w[i]), LARDER_OK);
    cr_assert_eq(slots_used(other), 41);
    for (unsigned i = 0; i < 40; i++)
        writer_return(w[i]);
    cr_assert_eq(slots_used(other), 9, "eight of 40, and the other's");
    larder_close(other);
    end(db);
}

Test(slot_wait, none_of_the_last_quarter_is_kept) {
    struct larder *db = begin(8);
    struct writer *w[8];
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(writer_borrow(db, &w[i]), LARDER_OK);
    for (unsigned i = 0; i < 8; i++)
        writer_return(w[i]);
    cr_assert_eq(slots_used(db), 6);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(SHM_LOAD(&seg_slot(&db->seg, i)->state) == SLOT_LIVE, i < 6, "slot %u", i);
    end(db);
}

Test(slot_wait, one_that_is_waited_for_is_not_kept) {
    struct larder *db = begin(8);
    struct writer *w;
    cr_assert_eq(writer_borrow(db, &w), LARDER_OK);
    slot_bell_listen(&db->seg, 0);
    writer_return(w);
    cr_assert_eq(slots_used(db), 0, "left at the end of the call");
    cr_assert(!slot_bell_is_waited_for(&db->seg), "and the bell was rung");
    cr_assert_eq(writer_borrow(db, &w), LARDER_OK);
    writer_return(w);
    cr_assert_eq(slots_used(db), 1, "no process wants this one");
    end(db);
}

static int write_once_and_rest(void *arg) {
    struct child *c = arg;
    struct larder *db = attach(c->db);
    PROC_CHECK(db != NULL);
    PROC_CHECK(count_once(db) == LARDER_OK);
    atomic_fetch_add(&c->talk->ready, 1);
    pause();
    return 0;
}

/* More processes than slots attach, write and do nothing more. All others write as before. */
Test(slot_wait, processes_at_rest_leave_a_quarter) {
    struct larder *db = begin(64);
    struct child c = {db, talk_new(), 0};
    pid_t pid[PROCESSES_MAX];
    writer_close_all(&db->writers);
    for (unsigned i = 0; i < PROCESSES_MAX; i++) {
        pid[i] = proc_fork(write_once_and_rest, &c);
        cr_assert(UNTIL(c.talk->ready == i + 1, 20000), "process %u cannot write", i);
    }
    cr_assert_eq(slots_used(db), 48);
    uint64_t start = until_own_ms();
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(count_once(db), LARDER_OK, "%s", larder_error());
    cr_assert_lt(until_own_ms(), start + 5000 * SLOW_FACTOR);
    cr_assert_eq(counted(db), PROCESSES_MAX + 100);
    for (unsigned i = 0; i < PROCESSES_MAX; i++)
        proc_kill(pid[i]);
    end(db);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static int wait_for_one(void *arg) {
    struct child *c = arg;
    struct larder *db = attach(c->db);
    PROC_CHECK(db != NULL);
    atomic_fetch_add(&c->talk->ready, 1);
    PROC_CHECK(count_once(db) == LARDER_OK);
    atomic_fetch_add(&c->talk->done, 1);
    larder_close(db);
    return 0;
}

static void borrow_all(struct larder *db, struct writer **w, uint32_t slots) {
    for (uint32_t i = 0; i < slots; i++)
        cr_assert_eq(writer_borrow(db, &w[i]), LARDER_OK, "%s", larder_error());
}

/* Eight processes wait for two slots, and one slot is given back once: they pass it on among
 * themselves. */
Test(slot_wait, one_slot_serves_all_who_wait) {
    struct larder *db = begin(2);
    struct child c = {db, talk_new(), 0};
    struct writer *w[2];
    pid_t pid[8];
    borrow_all(db, w, 2);
    for (unsigned i = 0; i < 8; i++)
        pid[i] = proc_fork(wait_for_one, &c);
    cr_assert(UNTIL(c.talk->ready == 8 && slot_bell_is_waited_for(&db->seg), 20000));
    cr_assert_eq(c.talk->done, 0);
    writer_return(w[0]);
    for (unsigned i = 0; i < 8; i++) {
        struct proc_result r = proc_wait(pid[i], 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    writer_return(w[1]);
    cr_assert_eq(counted(db), 8);
    end(db);
}

/* Killed while they wait: the others get theirs, and the waiters' mark is cleared. */
Test(slot_wait, killed_while_waiting) {
    struct larder *db = begin(2);
    struct child c = {db, talk_new(), 0};
    struct writer *w[2], *again;
    pid_t pid[6];
    borrow_all(db, w, 2);
    for (unsigned i = 0; i < 6; i++)
        pid[i] = proc_fork(wait_for_one, &c);
    cr_assert(UNTIL(c.talk->ready == 6 && slot_bell_is_waited_for(&db->seg), 20000));
    for (unsigned i = 0; i < 6; i += 2)
        cr_assert(proc_is_signal(proc_kill(pid[i]), SIGKILL));
    writer_return(w[1]);
    for (unsigned i = 1; i < 6; i += 2) {
        struct proc_result r = proc_wait(pid[i], 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    writer_return(w[0]);
    for (unsigned i = 0; i < 2; i++) { /* at most one more call gives its slot back for nothing */
        cr_assert_eq(writer_borrow(db, &again), LARDER_OK);
        writer_return(again);
    }
    cr_assert(!slot_bell_is_waited_for(&db->seg));
    cr_assert_eq(slots_used(db), 1, "kept again");
    cr_assert_eq(counted(db), 3);
    end(db);
}

static int take_and_rest(void *arg) {
    struct child *c = arg;
    struct larder *db = attach(c->db);
    struct writer *w[64];
    PROC_CHECK(db != NULL);
    for (unsigned i = 0; i < c->number; i++)
        PROC_CHECK(writer_borrow(db, &w[i]) == LARDER_OK);
    atomic_fetch_add(&c->talk->ready, 1);
    pause();
    return 0;
}

/* How long 32 waiters take when all slots are those of a dead process. */
static uint64_t serve_from_the_dead(void) {
    struct larder *db = begin(64);
    struct child dead = {db, talk_new(), 64}, c = {db, talk_new(), 0};
    pid_t pid[32];
    writer_close_all(&db->writers);
    pid_t victim = proc_fork(take_and_rest, &dead);
    cr_assert(UNTIL(dead.talk->ready == 1, 20000));
    for (unsigned i = 0; i < 32; i++)
        pid[i] = proc_fork(wait_for_one, &c);
    cr_assert(UNTIL(c.talk->ready == 32 && slot_bell_is_waited_for(&db->seg), 20000));
    cr_assert(proc_is_signal(proc_kill(victim), SIGKILL));
    uint64_t start = until_now_ms();
    for (unsigned i = 0; i < 32; i++) {
        struct proc_result r = proc_wait(pid[i], 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    uint64_t took = until_now_ms() - start;
    cr_assert_eq(counted(db), 32);
    end(db);
    return took;
}

/* Each waiter takes one, and none waits for another's turn. On a busy machine they wait for cores:
 * one of several tries is enough. */
Test(slot_wait, dead_owners_serve_all_who_wait) {
    uint64_t took = UINT64_MAX;
    for (int tries = 0; tries < 10 && took >= 5000 * SLOW_FACTOR; tries++)
        took = serve_from_the_dead();
    cr_assert_lt(took, 5000 * SLOW_FACTOR, "%lu ms", (unsigned long)took);
}

/* A stopped process has the slot of the call it is in; the others share the rest. */
Test(slot_wait, stopped_in_a_call_it_holds_that_slot_only) {
    struct larder *db = begin(4);
    struct child stopped = {db, talk_new(), 3}, c = {db, talk_new(), 0};
    writer_close_all(&db->writers);
    pid_t pid = proc_fork(take_and_rest, &stopped);
    cr_assert(UNTIL(stopped.talk->ready == 1, 20000));
    proc_stop(pid);
    for (unsigned i = 0; i < 10; i++) {
        struct proc_result r = proc_run(wait_for_one, &c, 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(slots_used(db), 3);
    proc_kill(pid);
    cr_assert_eq(counted(db), 10);
    end(db);
}

static void *wait_in_thread(void *arg) {
    struct larder *db = arg;
    struct writer *w;
    int r = writer_borrow(db, &w);
    if (r == LARDER_OK)
        writer_return(w);
    return (void *)(intptr_t)r;
}

Test(slot_wait, of_a_destroyed_segment_nobody_waits) {
    struct larder *db = begin(2);
    struct writer *w[2];
    pthread_t thread;
    void *result;
    uint64_t start = until_now_ms();
    borrow_all(db, w, 2);
    cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, db), 0);
    cr_assert(UNTIL(slot_bell_is_waited_for(&db->seg), 20000));
    SHM_STORE(&db->seg.shm->state, SEG_STATE_DESTROYED);
    pthread_join(thread, &result);
    cr_assert_eq((intptr_t)result, LARDER_E_DESTROYED);
    cr_assert_lt(until_now_ms(), start + LONG_MS / 2);
    SHM_STORE(&db->seg.shm->state, SEG_STATE_READY);
    writer_return(w[0]);
    writer_return(w[1]);
    end(db);
}

/* The expirer keeps a slot, unless others want it: here there are two. */
Test(slot_wait, an_expirer_does_not_sit_on_the_last_slot) {
    struct larder *db = begin(2), *other = attach(db);
    struct writer *w;
    writer_close_all(&db->writers);
    writer_close_all(&other->writers);
    /* slot 0: the expirer gets the one that is never kept */
    cr_assert_eq(writer_borrow(db, &w), LARDER_OK);
    cr_assert_eq(larder_expirer_start(db), LARDER_OK);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(count_once(other), LARDER_OK, "%s", larder_error());
    uint64_t owners = SHM_LOAD(&seg_slot(&db->seg, 1)->generation);
    cr_assert(UNTIL(SHM_LOAD(&seg_slot(&db->seg, 1)->generation) >= owners + 3, 20000), "it comes back for each turn");
    writer_return(w);
    larder_expirer_stop(db);
    larder_close(other);
    end(db);
}

/* ---- Forks, and rights given up -------------------------------------------------------------- */

static int count_in_child(void *arg) {
    struct child *c = arg; /* the parent's handle, in the child */
    PROC_CHECK(count_once(c->db) == LARDER_OK);
    PROC_CHECK(count_once(c->db) == LARDER_OK);
    larder_close(c->db);
    return 0;
}

/* Forked while other threads of the process wait. */
Test(slot_wait, forked_in_the_middle) {
    struct larder *db = begin(4);
    struct child c = {db, talk_new(), 0};
    struct writer *w[4];
    pthread_t thread[6];
    pid_t pid;
    void *result;
    borrow_all(db, w, 4);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, wait_in_thread, db), 0);
    cr_assert(UNTIL(slot_bell_is_waited_for(&db->seg), 20000));
    pid = proc_fork(count_in_child, &c);
    for (unsigned i = 0; i < 4; i++)
        writer_return(w[i]);
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(thread[i], &result);
        cr_assert_eq((intptr_t)result, LARDER_OK);
    }
    struct proc_result r = proc_wait(pid, 20000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert_eq(counted(db), 2);
    end(db);
}

static void *count_many(void *arg) {
    struct larder *db = arg;
    for (unsigned i = 0; i < 200; i++) {
        int r = count_once(db);
        if (r != LARDER_OK)
            return (void *)(intptr_t)r;
    }
    return NULL;
}

static int give_up_rights_and_write(void *arg) {
    const char *name = arg;
    struct larder_options o = {.segment = name, .busy_timeout_ms = LONG_MS};
    struct larder *db, *other;
    pthread_t thread[4];
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    PROC_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    PROC_CHECK(larder_open(&o, &other) == LARDER_E_ACCESS);
    slot_bell_listen(&db->seg, 0); /* others want slots, which makes no difference */
    for (unsigned i = 0; i < 4; i++)
        PROC_CHECK(pthread_create(&thread[i], NULL, count_many, db) == 0);
    for (unsigned i = 0; i < 4; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        PROC_CHECK(failed == NULL);
    }
    larder_close(db);
    return 0;
}

/* It cannot take another slot: it keeps the one it has, and its threads take turns with that. */
Test(slot_wait, one_slot_is_enough_after_setuid) {
    char name[TESTSEG_NAME_MAX];
    struct larder *db;
    if (geteuid() != 0)
        return;
    testseg_name(name);
    db = testseg_open_named(name, 8u << 20, 2);
    cr_assert_eq(larder_table_create(db, &table_def), LARDER_OK);
    struct proc_result r = proc_run(give_up_rights_and_write, name, 30000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert_eq(counted(db), 800);
    end(db);
    testseg_destroy(name);
}
