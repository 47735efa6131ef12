/* tests/crash/repair_enter_test.c - a repair that cannot be done leaves everything as it was.
 *
 * Goal     LARDER_E_BUSY from larder_repair() means that nothing was changed: locks and journals of
 *          dead processes are what their recovery needs, also if the repair had taken their locks
 *          or lived in their slot. Once a lock was cleared, the segment is marked instead. A repair
 *          is not cancelled in the middle, and takes no memory that it does not need.
 * Method   A process dies in larder_table_create() with a run of spans in hand, and another is
 *          stopped with the span lock. So no process can recover the first, and the repair has to
 *          give up. Then the second goes on, and everything must be whole.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

TestSuite(repair_enter, .timeout = 120 * SLOW_FACTOR);

#define SEGMENT_BYTES (8u << 20)
#define STRIPES 512u /* a table's stripes are a run of spans */
#define DEADLINE_MS 20000

/* The segment, mapped, and what children share with the test. */
static int fd = -1;
static struct seg_shm *head;
static struct shared {
    _Atomic uint32_t is_ready, is_over;
    uint64_t k;
} * shared;

static struct larder *attach(void) {
    const struct larder_options o = {.flags = LARDER_MEMFD, .memfd = fd, .busy_timeout_ms = 100};
    struct larder *db;
    return larder_open(&o, &db) == LARDER_OK ? db : NULL;
}

static int create(struct larder *db, const char *name) {
    const struct larder_table_def def = {.name = name, .partition = {"id", LARDER_N}};
    return larder_table_create(db, &def);
}

static int put(struct larder *db, int n, size_t bytes) {
    static char fill[30000];
    struct larder_table *t;
    struct larder_builder *b;
    const struct larder_item *item;
    int r = larder_table_open(db, "plain", &t);
    if (r == LARDER_OK)
        r = larder_builder_new(db, &b);
    if (r)
        return r;
    larder_builder_add_int(b, "id", n);
    larder_builder_add_b(b, "fill", fill, bytes);
    r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static void make_segment(void) {
    const struct larder_options o = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = SEGMENT_BYTES, .stripe_count = STRIPES};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    fd = dup(larder_memfd(db));
    cr_assert_eq(create(db, "plain"), LARDER_OK, "%s", larder_error());
    for (int n = 0; n < 20; n++)
        cr_assert_eq(put(db, n, 50), LARDER_OK, "%s", larder_error());
    larder_close(db);
    head = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(head != MAP_FAILED && shared != MAP_FAILED);
}

static void drop_segment(void) {
    munmap(head, SEGMENT_BYTES);
    munmap(shared, sizeof *shared);
    close(fd);
}

static void *at(uint64_t off) {
    return (unsigned char *)head + off;
}
static struct slot_shm *slot(uint32_t i) {
    return (struct slot_shm *)at(head->slots_off) + i;
}
static struct stripe_shm *stripes(void) {
    return at(((struct table_shm *)at(head->catalog_off))->items_off);
}

/* ---- A dead slot that cannot be recovered ---------------------------------------------------- */

static int create_and_die(void *arg) {
    (void)arg;
    struct larder *db = attach();
    PROC_CHECK(db);
    shm_crash_arm(shared->k);
    PROC_CHECK(create(db, "other") == LARDER_OK);
    shm_crash_arm(0);
    larder_close(db);
    return 0;
}

/* The slot of a process that died in the creation of a table with a run in hand; -1: none. */
static int64_t dead_with_run(void) {
    for (uint32_t i = 0; i < head->slot_count; i++)
        for (unsigned k = 0; k < SLOT_HAND && slot(i)->state == SLOT_LIVE && slot(i)->op == OP_TABLE_CREATE; k++)
            if (slot(i)->hand[k] && head->span_lock == 0 && (head->catalog_lock & ~LOCK_WAITERS) == i + 1)
                return i;
    return -1;
}

static uint32_t make_dead(void) {
    for (shared->k = 1;; shared->k++) {
        cr_assert(proc_is_signal(proc_run(create_and_die, NULL, DEADLINE_MS), 9), "no process died with a run in hand");
        int64_t found = dead_with_run();
        if (found >= 0)
            return (uint32_t)found;
        uint64_t k = shared->k;
        drop_segment();
        make_segment();
        shared->k = k;
    }
}

static int put_and_stop(void *arg) {
    (void)arg;
    struct larder *db = attach();
    PROC_CHECK(db && put(db, 1000, 50) == LARDER_OK);
    shm_crash_arm_stop(shared->k);
    int r = put(db, 1001, 20000);
    shm_crash_arm(0);
    larder_close(db);
    return r == LARDER_OK ? 0 : 1;
}

static int is_stopped_or_over(pid_t pid) {
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    int is_read = f && fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    const char *state = is_read ? strrchr(line, ')') : NULL;
    return state && (state[2] == 'T' || state[2] == 'Z');
}

/* A process that stands in a put with the span lock. */
static pid_t make_stopped(void) {
    for (shared->k = 1; shared->k < 100; shared->k++) {
        pid_t pid = proc_fork(put_and_stop, NULL);
        cr_assert(UNTIL(is_stopped_or_over(pid), DEADLINE_MS));
        if (head->span_lock != 0)
            return pid;
        proc_resume(pid);
        cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    }
    cr_assert_fail("no process stood with the span lock");
    return 0;
}

/* Takes all slots but one, and waits. */
static int fill_slots(void *arg) {
    (void)arg;
    struct larder *db = attach();
    PROC_CHECK(db);
    for (;;) {
        struct writer *w;
        uint32_t free_slots = 0;
        for (uint32_t i = 0; i < head->slot_count; i++)
            free_slots += slot(i)->state == SLOT_FREE;
        if (free_slots <= 1)
            break;
        PROC_CHECK(writer_borrow(db, &w) == LARDER_OK);
    }
    shared->is_ready = 1;
    PROC_CHECK(UNTIL(shared->is_over, DEADLINE_MS));
    return 0;
}

static void repair_is_busy(int is_crowded) {
    make_segment();
    uint32_t dead = make_dead();
    pid_t stopped = make_stopped(), crowd = is_crowded ? proc_fork(fill_slots, NULL) : 0;
    cr_assert(!is_crowded || UNTIL(shared->is_ready, DEADLINE_MS));
    struct larder_repair_report report;
    struct larder_check_report check;
    struct slot_shm before = *slot(dead);
    struct larder *db = attach();
    cr_assert(db);
    cr_assert_eq(larder_repair(db, NULL, &report), LARDER_E_BUSY, "%s", larder_error());
    cr_assert_eq(head->state, SEG_STATE_READY);
    cr_assert_eq(head->catalog_lock & ~LOCK_WAITERS, dead + 1, "the catalog's lock is %#x", head->catalog_lock);
    cr_assert_eq(head->gate_lock & ~LOCK_WAITERS, 0);
    cr_assert_eq(slot(dead)->op, before.op);
    cr_assert_eq(memcmp((void *)slot(dead)->hand, (void *)before.hand, sizeof before.hand), 0);
    cr_assert_eq(memcmp((void *)slot(dead)->step, (void *)before.step, sizeof before.step), 0);
    cr_assert_eq(slot(dead)->state, SLOT_LIVE);
    proc_resume(stopped);
    cr_assert(proc_is_exit(proc_wait(stopped, DEADLINE_MS), 0));
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s", larder_error());
    cr_assert_eq(check.leaked_blocks, 0);
    cr_assert_eq(create(db, "other"), LARDER_OK, "%s", larder_error());
    shared->is_over = 1;
    cr_assert(!is_crowded || proc_is_exit(proc_wait(crowd, DEADLINE_MS), 0));
    larder_close(db);
    drop_segment();
}

Test(repair_enter, busy_leaves_the_locks_of_the_dead) {
    repair_is_busy(0);
}

/* No slot is free but the dead one. */
Test(repair_enter, busy_leaves_the_journal_of_the_dead) {
    repair_is_busy(1);
}

/* ---- The first lock that is cleared is the beginning ----------------------------------------- */

static int idle(void *arg) {
    (void)arg;
    struct larder *db = attach();
    PROC_CHECK(db && put(db, 3, 50) == LARDER_OK);
    shared->is_ready = 1;
    PROC_CHECK(UNTIL(shared->is_over, DEADLINE_MS));
    larder_close(db);
    return 0;
}

static uint32_t late; /* slot of the live process */

/* What a live process may do at any time before it sees the gate: takes a lock that it notes. Only
 * if the repairer came to its end. */
static void take_a_lock(void) {
    slot(late)->locks[0] = (uint64_t)((unsigned char *)&head->span_lock - (unsigned char *)head);
    head->span_lock = late + 1;
}

static void busy_late(uint64_t k, unsigned *busy, unsigned *marked) {
    make_segment();
    pid_t pid = proc_fork(idle, NULL);
    cr_assert(UNTIL(shared->is_ready, DEADLINE_MS));
    for (late = 0; slot(late)->state != SLOT_LIVE || slot(late)->pid != pid; late++)
        cr_assert_lt(late + 1, head->slot_count);
    struct larder *db = attach();
    struct larder_repair_report report;
    uint32_t damaged = 60; /* a free slot */
    for (uint32_t i = 0; i < 3; i++)
        stripes()[i].lock = damaged + 1;
    shm_crash_arm_call(k, take_a_lock);
    int r = larder_repair(db, NULL, &report);
    shm_crash_arm(0);
    if (r == LARDER_E_BUSY) {
        ++*busy;
        *marked += head->state == SEG_STATE_REPAIRING;
        for (uint32_t i = 0; i < 3 && head->state == SEG_STATE_READY; i++)
            cr_assert_eq(stripes()[i].lock & ~LOCK_WAITERS, damaged + 1, "store %lu: READY, and lock %u is gone",
                         (unsigned long)k, i);
    }
    if (head->span_lock == late + 1)
        head->span_lock = 0;
    slot(late)->locks[0] = 0;
    cr_assert_eq(larder_repair(db, NULL, &report), LARDER_OK, "store %lu: %s", (unsigned long)k, larder_error());
    shared->is_over = 1;
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    larder_close(db);
    drop_segment();
}

Test(repair_enter, no_lock_is_cleared_before_all_may_be) {
    unsigned busy = 0, marked = 0;
    /* the check before has most of the stores */
    for (uint64_t k = 1; k <= 200; k += k < 130 ? 8 : 1)
        busy_late(k, &busy, &marked);
    cr_assert(busy > marked && marked > 0, "%u busy, %u marked", busy, marked);
}

/* ---- Cancelled, and memory ------------------------------------------------------------------- */

static _Atomic int is_repaired;

static void *repair_cancelled(void *arg) {
    struct larder_repair_report report;
    pthread_cancel(pthread_self());
    is_repaired = larder_repair(arg, NULL, &report) == LARDER_OK;
    pthread_testcancel();
    return NULL;
}

Test(repair_enter, a_cancelled_thread_finishes_its_repair) {
    pthread_t thread;
    void *end;
    struct larder_check_report check;
    make_segment();
    stripes()[0].count += 3;
    struct larder *db = attach();
    is_repaired = 0;
    cr_assert_eq(pthread_create(&thread, NULL, repair_cancelled, db), 0);
    pthread_join(thread, &end);
    cr_assert(is_repaired && end == PTHREAD_CANCELED);
    cr_assert_eq(head->state, SEG_STATE_READY);
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s", larder_error());
    larder_close(db);
    drop_segment();
}

/* The descriptor of a span that was never claimed says that it is used. */
Test(repair_enter, claims_nothing_for_a_damaged_descriptor) {
    struct larder_repair_report report;
    make_segment();
    struct span_shm *spans = at(head->spans_off);
    uint64_t claimed = head->claimed_bytes;
    spans[head->span_count - 1].state = SPAN_TAIL;
    stripes()[0].count += 3;
    struct larder *db = attach();
    cr_assert_eq(larder_repair(db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.items_kept, 20);
    cr_assert_eq(head->claimed_bytes, claimed, "%lu, not %lu", head->claimed_bytes, claimed);
    cr_assert_eq(spans[head->span_count - 1].state, SPAN_FREE);
    larder_close(db);
    drop_segment();
}
