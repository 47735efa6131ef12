/* tests/crash/midfork_test.c - a process forks while one of its threads is inside a put.
 *
 * Goal     The child has no such thread and no part in what it was doing. It reads what is there,
 *          waits for the parent's thread like any other process, writes as soon as that goes on,
 *          and may exit, close, or fork again. The parent's put ends well. If the parent dies
 *          there, its child finishes or undoes the put. An expirer that runs at the fork stays the
 *          parent's. A slot is free after its owner, however many children there were.
 * Method   A thread of the test stands before store k of a put that changes every index key
 *          (crash/park.h). For every k the process forks, and what all see is compared with the
 *          states before and after. Children run while the thread goes on. LARDER_TEST_LONG: every
 *          store for all kinds.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/cutoff.h"
#include "tests/crash/park.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(midfork, .timeout = 100 * SLOW_FACTOR);

#define DEADLINE_MS 20000
#define CHILD_ITEM 380 /* what a child leaves */

enum how { EXITS, CLOSES, FORKS_AGAIN, HOWS };

/* In memory that parent and children share. */
struct talk {
    _Atomic uint32_t has_read, may_write, is_done, saw_after;
};

struct scene {
    int base;
    char *before, *after, *after_both; /* both: the put, and what a child wrote */
    uint64_t stores;
    struct talk *talk;
    /* Of one run. */
    struct larder *db;
    enum how how;
    uint64_t k;
};

static int act(void *db) {
    return cutoff_act(db);
}

static int child_writes(struct larder *db) {
    int r = cutoff_probe(db);
    return r ? r : world_try_put(db, CHILD_ITEM, 213, 333, 0);
}

static void begin(struct scene *s) {
    memset(s, 0, sizeof *s);
    leaf_capacity = 4;
    s->base = world_create(2);
    struct larder *db = world_open(s->base);
    cutoff_prepare(db);
    cr_assert_eq(cutoff_probe(db), LARDER_OK);
    s->before = world_dump(db);
    larder_close(db);
    int memfd = world_copy(s->base);
    db = world_open(memfd);
    s->stores = park_count(act, db);
    s->after = world_dump(db);
    cr_assert_eq(child_writes(db), LARDER_OK);
    s->after_both = world_dump(db);
    larder_close(db);
    close(memfd);
    s->talk = mmap(NULL, sizeof *s->talk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)s->talk != MAP_FAILED);
}

static void end(struct scene *s) {
    free(s->before);
    free(s->after);
    free(s->after_both);
    munmap(s->talk, sizeof *s->talk);
    close(s->base);
}

static int is_text(struct larder *db, const char *wanted) {
    char *text = world_dump(db);
    int is_equal = strcmp(text, wanted) == 0;
    free(text);
    return is_equal;
}

static uint64_t stride(uint64_t usual) {
    return getenv("LARDER_TEST_LONG") ? 1 : usual * SLOW_FACTOR;
}

static void must_be_clean(struct larder *db, uint64_t k) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "store %lu: %s", (unsigned long)k, larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
}

/* All slots in use are this process's. */
static void must_hold_all_slots(struct larder *db, uint64_t k) {
    struct larder_slot_stats slots[64];
    uint32_t count;
    cr_assert_eq(larder_slot_stats(db, slots, 64, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(slots[i].pid == getpid() && slots[i].is_alive && slots[i].lock_count == 0,
                  "store %lu: slot %u belongs to process %d", (unsigned long)k, slots[i].slot, slots[i].pid);
}

static uint32_t slots_of(struct larder *db, pid_t pid) {
    struct larder_slot_stats slots[64];
    uint32_t count, mine = 0;
    PROC_CHECK(larder_slot_stats(db, slots, 64, &count) == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        mine += slots[i].pid == pid && slots[i].is_alive;
    return mine;
}

/* Attached with two slots: one for the thread that will stand still, and one that a forked child
 * must not take as its own. */
static struct larder *open_with_two_slots(int memfd) {
    struct larder *db = world_open(memfd);
    PROC_CHECK(larder_expirer_start(db) == LARDER_OK);
    PROC_CHECK(UNTIL(cutoff_probe(db) == LARDER_OK && slots_of(db, getpid()) >= 2, DEADLINE_MS));
    larder_expirer_stop(db);
    return db;
}

/* ---- The parent goes on ---------------------------------------------------------------------- */

static int grandchild(void *db) {
    PROC_CHECK(cutoff_probe(db) == LARDER_OK);
    return 0;
}

/* Forked while the parent's thread stands somewhere in its put. */
static int child(void *arg) {
    struct scene *s = arg;
    PROC_CHECK(is_text(s->db, s->before) || is_text(s->db, s->after)); /* reads do not wait */
    atomic_store(&s->talk->has_read, 1);
    int r = child_writes(s->db); /* waits for the thread if it stands in the way */
    PROC_CHECK(r == LARDER_OK);
    PROC_CHECK(slots_of(s->db, getpid()) >= 1 && slots_of(s->db, getppid()) >= 2);
    if (s->how == FORKS_AGAIN) {
        struct proc_result g = proc_run(grandchild, s->db, DEADLINE_MS);
        PROC_CHECK(proc_is_exit(g, 0));
    }
    if (s->how == CLOSES)
        larder_close(s->db);
    return 0;
}

static void fork_beside(struct scene *s) {
    pid_t pid = proc_fork(child, s);
    cr_assert(UNTIL(atomic_load(&s->talk->has_read), DEADLINE_MS), "store %lu: the child cannot read",
              (unsigned long)s->k);
    cr_assert_eq(park_end(), LARDER_OK, "store %lu: %s", (unsigned long)s->k,
                 larder_error()); /* at once with the child */
    cr_assert_eq(cutoff_probe(s->db), LARDER_OK, "store %lu: %s", (unsigned long)s->k, larder_error());
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "store %lu: the child: %s", (unsigned long)s->k, proc_text(r));
    cr_assert(is_text(s->db, s->after_both), "store %lu: a write is lost", (unsigned long)s->k);
    must_be_clean(s->db, s->k);
    must_hold_all_slots(s->db, s->k);
}

/* 0: the put has no such store. */
static int fork_at(struct scene *s) {
    int memfd = world_copy(s->base);
    s->db = open_with_two_slots(memfd);
    memset(s->talk, 0, sizeof *s->talk);
    int is_parked = park_begin(s->k, act, s->db);
    if (is_parked)
        fork_beside(s);
    else
        park_end();
    larder_close(s->db);
    close(memfd);
    return is_parked;
}

static void fork_everywhere(enum how how, uint64_t usual_stride) {
    struct scene s;
    uint64_t tried = 0;
    begin(&s);
    s.how = how;
    for (s.k = 1 + (uint64_t)how; fork_at(&s); s.k += stride(usual_stride))
        tried++;
    fprintf(stderr, "forked at %lu of %lu stores\n", (unsigned long)tried, (unsigned long)s.stores);
    cr_assert(tried > s.stores / stride(usual_stride) / 2);
    end(&s);
}

Test(midfork, child_exits_without_close) {
    fork_everywhere(EXITS, 3);
}

Test(midfork, child_closes_what_it_inherited) {
    fork_everywhere(CLOSES, 5);
}

Test(midfork, child_forks_again) {
    fork_everywhere(FORKS_AGAIN, 5);
}

/* ---- The parent dies ------------------------------------------------------------------------- */

/* The dead parent's put blocks its child, whose copy of the parent's memory says that a put is
 * under way. */
static void orphan(struct scene *s) {
    int has_published = is_text(s->db, s->after);
    PROC_CHECK(has_published || is_text(s->db, s->before));
    PROC_CHECK(UNTIL(atomic_load(&s->talk->may_write), DEADLINE_MS)); /* the parent is gone */
    struct larder_check_report report;
    PROC_CHECK(cutoff_probe(s->db) == LARDER_OK);
    PROC_CHECK(larder_check(s->db, NULL, &report) == LARDER_OK);
    PROC_CHECK(is_text(s->db, s->after) || (!has_published && is_text(s->db, s->before)));
    atomic_store(&s->talk->saw_after, is_text(s->db, s->after));
    PROC_CHECK(world_try_put(s->db, CHILD_ITEM, 213, 333, 0) == LARDER_OK);
    larder_close(s->db);
    atomic_store(&s->talk->is_done, 1);
    _exit(0);
}

static int parent_that_dies(void *arg) {
    struct scene *s = arg;
    s->db = world_open(s->base); /* the run's copy */
    if (!park_begin(s->k, act, s->db))
        return 0;
    pid_t pid = fork();
    PROC_CHECK(pid >= 0);
    if (pid == 0)
        orphan(s);
    PROC_CHECK(kill(getpid(), SIGKILL) == 0);
    return 2;
}

static void judge_orphan(struct scene s, struct larder *db, uint64_t *finished) {
    atomic_store(&s.talk->may_write, 1);
    int status;
    cr_assert(UNTIL(waitpid(-1, &status, WNOHANG) > 0, DEADLINE_MS), "store %lu: the orphan is stuck",
              (unsigned long)s.k); /* it is ours now: subreaper */
    cr_assert(atomic_load(&s.talk->is_done) && status == 0, "store %lu: the orphan's status is %#x", (unsigned long)s.k,
              (unsigned)status);
    *finished += atomic_load(&s.talk->saw_after);
    cr_assert(atomic_load(&s.talk->saw_after) == 0 || is_text(db, s.after_both));
    must_be_clean(db, s.k);
    must_hold_all_slots(db, s.k);
}

/* 0: the put has no such store. */
static int die_after_fork_at(const struct scene *scene, uint64_t *finished) {
    struct scene s = *scene;
    s.base = world_copy(scene->base);
    memset(s.talk, 0, sizeof *s.talk);
    struct larder *db = world_open(s.base);
    struct proc_result r = proc_run(parent_that_dies, &s, DEADLINE_MS);
    int is_parked = !proc_is_exit(r, 0);
    cr_assert(!is_parked || proc_is_signal(r, SIGKILL), "store %lu: %s", (unsigned long)s.k, proc_text(r));
    if (is_parked)
        judge_orphan(s, db, finished);
    larder_close(db);
    close(s.base);
    return is_parked;
}

Test(midfork, parent_dies_and_its_child_repairs) {
    struct scene s;
    uint64_t tried = 0, finished = 0;
    begin(&s);
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (s.k = 1; die_after_fork_at(&s, &finished); s.k += stride(3))
        tried++;
    fprintf(stderr, "parents died at %lu of %lu stores; the put was finished %lu times\n", (unsigned long)tried,
            (unsigned long)s.stores, (unsigned long)finished);
    cr_assert(finished > 0 && finished < tried);
    end(&s);
}

/* ---- The expirer ----------------------------------------------------------------------------- */

/* The child has no expirer thread. Neither stop nor close may wait for it, and a new one may be
 * started. */
static int child_of_an_expirer(void *arg) {
    struct scene *s = arg;
    if (s->how == EXITS)
        larder_expirer_stop(s->db);
    if (s->how == FORKS_AGAIN) /* a new one of its own */
        PROC_CHECK(larder_expirer_start(s->db) == LARDER_OK);
    PROC_CHECK(cutoff_probe(s->db) == LARDER_OK);
    larder_expirer_stop(s->db);
    larder_close(s->db);
    return 0;
}

static int remove_expired(void *db) {
    return larder_expire(db, 0, NULL);
}

Test(midfork, while_the_expirer_is_at_work) {
    struct scene s;
    uint64_t removed_at = 0, tried = 0;
    begin(&s);
    int64_t now_s = world_now_s;
    world_now_s = 8000; /* everything with an expiry has expired */
    int memfd = world_copy(s.base);
    s.db = world_open(memfd);
    removed_at = park_count(remove_expired, s.db);
    s.after = (free(s.after), world_dump(s.db));
    larder_close(s.db);
    close(memfd);
    for (s.k = 1; s.k <= removed_at; s.k += stride(removed_at / 40), tried++) {
        memfd = world_copy(s.base);
        s.db = world_open(memfd);
        s.how = (enum how)(tried % HOWS);
        (void)park_begin(s.k, remove_expired, s.db);
        pid_t pid = proc_fork(child_of_an_expirer, &s);
        cr_assert_eq(park_end(), LARDER_OK);
        struct proc_result r = proc_wait(pid, DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "store %lu: the child: %s", (unsigned long)s.k, proc_text(r));
        cr_assert(is_text(s.db, s.after), "store %lu", (unsigned long)s.k);
        must_be_clean(s.db, s.k);
        must_hold_all_slots(s.db, s.k);
        larder_close(s.db);
        close(memfd);
    }
    cr_assert(tried > 5);
    world_now_s = now_s;
    end(&s);
}

/* A thread that just starts or ends holds the address sanitizer's list of threads locked: a child
 * forked at that moment never gets a thread of its own. (A program without Larder shows it.) */
static void let_thread_start(struct scene *s) {
    if (SLOW_IS_ASAN && s->how == FORKS_AGAIN)
        cr_assert(UNTIL(cutoff_probe(s->db) == LARDER_OK && slots_of(s->db, getpid()) >= 2, DEADLINE_MS));
}

/* With the thread of larder_expirer_start(), at any point of its work. */
Test(midfork, while_the_expirer_thread_runs) {
    struct scene s;
    begin(&s);
    for (int i = 0; i < 60 / SLOW_FACTOR; i++) {
        int memfd = world_copy(s.base);
        s.db = world_open(memfd);
        s.how = (enum how)(i % HOWS);
        cr_assert_eq(larder_expirer_start(s.db), LARDER_OK);
        let_thread_start(&s);
        for (int n = 0; n < i; n++) /* a fork at another moment of its first turn each time */
            cr_assert_geq(world_delete(s.db, 399), 0);
        struct proc_result r = proc_run(child_of_an_expirer, &s, DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "the child: %s", proc_text(r));
        larder_expirer_stop(s.db);
        must_be_clean(s.db, 0);
        must_hold_all_slots(s.db, 0);
        larder_close(s.db);
        close(memfd);
    }
    end(&s);
}

/* ---- Many of them ---------------------------------------------------------------------------- */

static int write_and_end(void *arg) {
    struct scene *s = arg;
    PROC_CHECK(cutoff_probe(s->db) == LARDER_OK);
    if (s->how == CLOSES)
        larder_close(s->db);
    return 0;
}

Test(midfork, more_children_than_slots_cost_none) {
    struct scene s;
    struct larder_segment_stats stats;
    unsigned children = getenv("LARDER_TEST_LONG") ? 20000 : 800 / SLOW_FACTOR;
    begin(&s);
    s.db = world_open(s.base);
    for (unsigned i = 0; i < children; i++) {
        s.how = (enum how)(i % 2);
        struct proc_result r = proc_run(write_and_end, &s, DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "child %u: %s", i, proc_text(r));
        if (i % 16 == 0)
            cr_assert_eq(cutoff_probe(s.db), LARDER_OK, "after %u children: %s", i, larder_error());
    }
    cr_assert_eq(larder_segment_stats(s.db, &stats), LARDER_OK);
    cr_assert(children > stats.slots_max, "too few to tell: there are %u slots", stats.slots_max);
    must_be_clean(s.db, 0);
    must_hold_all_slots(s.db, 0);
    cr_assert(is_text(s.db, s.before));
    larder_close(s.db);
    end(&s);
}
