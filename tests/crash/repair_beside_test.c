/* tests/crash/repair_beside_test.c - other processes are attached while a segment is repaired.
 *
 * Goal     Attached processes, idle, reading, writing, or stopped in a write with damaged locks,
 *          are kept out and go on afterwards. Stripes do not move under them. Of two repairs one
 *          waits.
 * Method   Children say when they are ready, and note what their calls returned.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/table/db.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/crash/repair_harm.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

/* Long runs die at every store. A hang happens in a child, and children have a deadline of their
 * own. */
TestSuite(repair_beside, .timeout = 900 * SLOW_FACTOR);

/* What the test and its children share. */
struct stage {
    _Atomic uint32_t is_ready, is_over, calls, fine, wrong, acked;
    uint64_t k;
    struct copy copy;
};

static struct stage *stage_new(int fd) {
    struct stage *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(s != MAP_FAILED);
    s->copy = copy_of(fd, ITEMS);
    return s;
}

static void stage_end(struct stage *s) {
    drop_copy(&s->copy);
    munmap(s, sizeof *s);
}

static void note_result(struct stage *s, int r) {
    s->calls++;
    s->fine += r >= 0;
    s->wrong += r < 0 && r != LARDER_E_BUSY && r != LARDER_E_CORRUPT && r != LARDER_E_FULL;
}

/* Attached all the while, with a table handle from before; goes on when the repair is done. */
static int wait_and_work(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    PROC_CHECK(attach(&s->copy, 0, &db) == LARDER_OK && larder_table_open(db, "rich", &t) == LARDER_OK);
    PROC_CHECK(larder_page_new(db, &page) == LARDER_OK);
    PROC_CHECK(put_item(db, 3) == LARDER_OK);
    s->is_ready = 1;
    PROC_CHECK(UNTIL(s->is_over, DEADLINE_MS));
    const struct larder_key key = {larder_str("P4"), larder_str("SHARED#PREFIX#00004")};
    PROC_CHECK(larder_get(t, &key, page) == LARDER_OK);
    PROC_CHECK(put_item(db, 4) == LARDER_OK && larder_delete(t, &key, NULL) == LARDER_OK);
    PROC_CHECK(larder_get(t, &key, page) == LARDER_NOT_FOUND);
    must_be_clean(db);
    larder_close(db);
    return 0;
}

/* The slot of a child that has one: the only live one besides ours. */
static struct slot_shm *slot_of_pid(const struct copy *c, pid_t pid) {
    struct slot_shm *slot = at(c, c->head->slots_off);
    for (uint32_t i = 0; i < c->head->slot_count; i++)
        if (slot[i].pid == pid && slot[i].state == SLOT_LIVE)
            return &slot[i];
    return NULL;
}

static void wait_for_ready(const struct stage *s) {
    cr_assert(UNTIL(s->is_ready, DEADLINE_MS));
}

static void finish(struct stage *s, pid_t pid) {
    s->is_over = 1;
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

/* Locks that name a live process which never noted them are damage. The process goes on working
 * after the repair. */
Test(repair_beside, beside_an_idle_process) {
    int fd = make_segment(ITEMS);
    struct stage *s = stage_new(fd);
    struct larder_repair_report report = {0};
    pid_t pid = proc_fork(wait_and_work, s);
    wait_for_ready(s);
    const struct slot_shm *slot = slot_of_pid(&s->copy, pid);
    cr_assert(slot);
    uint32_t owner = (uint32_t)(slot - (struct slot_shm *)at(&s->copy, s->copy.head->slots_off)) + 1;
    s->copy.head->gate_lock = owner;
    s->copy.head->span_lock = owner;
    for (uint32_t i = 0; i < STRIPES; i++)
        stripes_of(&s->copy, (int)i % 2)[i].lock = owner;
    harm_lists(&s->copy);
    cr_assert_eq(repair_here(&s->copy, &report), LARDER_OK, "%s", larder_error());
    cr_assert(report.locks_cleared >= STRIPES && report.items_lost == 1, "%lu locks, %lu items", report.locks_cleared,
              report.items_lost);
    finish(s, pid);
    stage_end(s);
    close(fd);
}

/* The stripes of a table are lost. They cannot move while a process may come back to the old
 * ones. */
Test(repair_beside, stripes_do_not_move_under_others) {
    int fd = make_segment(ITEMS);
    struct stage *s = stage_new(fd);
    struct larder_repair_report report = {0};
    char name[32];
    pid_t pid = proc_fork(wait_and_work, s);
    wait_for_ready(s);
    uint64_t off = table_shm(&s->copy, 0)->partitions_off;
    table_shm(&s->copy, 0)->partitions_off += 8;
    snprintf(name, sizeof name, "process %d", (int)pid);
    cr_assert_eq(repair_here(&s->copy, &report), LARDER_E_BUSY, "%s", larder_error());
    cr_assert(strstr(larder_error(), name), "%s", larder_error());
    cr_assert_eq(s->copy.head->state, SEG_STATE_READY);
    table_shm(&s->copy, 0)->partitions_off = off;
    finish(s, pid);
    stage_end(s);
    close(fd);
}

/* A process that was stopped at the k-th store of a put. */
static int put_and_stop(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    PROC_CHECK(attach(&s->copy, 0, &db) == LARDER_OK && put_item(db, 5) == LARDER_OK);
    s->is_ready = 1;
    shm_crash_arm_stop(s->k);
    int r = put_item(db, 6);
    shm_crash_arm(0);
    PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY || r == LARDER_E_CORRUPT);
    larder_close(db);
    return 0;
}

static int is_stopped(pid_t pid) {
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    int is_read = f && fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    const char *state = is_read ? strrchr(line, ')') : NULL;
    return state && (state[2] == 'T' || state[2] == 'Z');
}

/* A stopped process may really be in the middle of a write: the error names it, nothing is changed,
 * and once it has gone on the repair succeeds. */
static void try_stopped(int fd, uint64_t k, unsigned *busy) {
    struct stage *s = stage_new(fd);
    struct larder_repair_report report = {0};
    char name[32];
    s->k = k;
    pid_t pid = proc_fork(put_and_stop, s);
    wait_for_ready(s);
    cr_assert(UNTIL(is_stopped(pid), DEADLINE_MS));
    harm_expiry(&s->copy);
    int r = repair_here(&s->copy, &report);
    snprintf(name, sizeof name, "process %d", (int)pid);
    cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "store %lu: %s: %s", (unsigned long)k, larder_result_name(r),
              larder_error());
    if (r == LARDER_E_BUSY) {
        ++*busy;
        cr_assert(strstr(larder_error(), name), "store %lu: %s", (unsigned long)k, larder_error());
        cr_assert_eq(s->copy.head->state, SEG_STATE_READY, "store %lu", (unsigned long)k);
    }
    proc_resume(pid);
    struct proc_result end = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(end, 0), "store %lu: %s", (unsigned long)k, proc_text(end));
    judge(&(struct trial){.copy = &s->copy}, "stopped", k);
    stage_end(s);
}

Test(repair_beside, beside_a_stopped_process) {
    int fd = make_segment(ITEMS);
    unsigned busy = 0, tried = 0;
    for (uint64_t k = 1; k < 110; k += is_long() ? 1 : 17, tried++)
        try_stopped(fd, k, &busy);
    cr_assert(busy > tried / 2, "%u of %u", busy, tried);
    close(fd);
}

#define PATIENCE_MS 1000u

/* It is not waited for again by each part of the repair: check, check again, locks, slots. */
Test(repair_beside, a_stopped_process_is_waited_for_once) {
    int fd = make_segment(ITEMS);
    struct stage *s = stage_new(fd);
    struct larder_repair_report report = {0};
    struct larder *db;
    s->k = 30; /* in the middle of the put */
    pid_t pid = proc_fork(put_and_stop, s);
    wait_for_ready(s);
    cr_assert(UNTIL(is_stopped(pid), DEADLINE_MS));
    harm_expiry(&s->copy);
    const struct larder_options o = {.flags = LARDER_MEMFD, .memfd = s->copy.fd, .busy_timeout_ms = PATIENCE_MS};
    cr_assert_eq(larder_open(&o, &db), LARDER_OK);
    uint64_t begun = until_now_ms(), own_begun = until_own_ms();
    cr_assert_eq(larder_repair(db, NULL, &report), LARDER_E_BUSY);
    uint64_t own = until_own_ms() - own_begun, took = until_now_ms() - begun;
    cr_assert(took >= PATIENCE_MS && own < PATIENCE_MS * 3, "%lu ms, %lu of its own", (unsigned long)took,
              (unsigned long)own);
    larder_close(db);
    proc_resume(pid);
    struct proc_result end = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(end, 0), "%s", proc_text(end));
    stage_end(s);
    close(fd);
}

static int read_on(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    PROC_CHECK(attach(&s->copy, s->k ? LARDER_READ_ONLY : 0, &db) == LARDER_OK);
    PROC_CHECK(larder_table_open(db, "rich", &t) == LARDER_OK && larder_page_new(db, &page) == LARDER_OK);
    for (uint32_t i = 0; !s->is_over; i++) {
        static const struct larder_query_spec query = {.index = "G1x", .limit = 100};
        struct larder_query_spec spec = query;
        char pk[16], sk[32];
        spec.partition = larder_str(i % 2 ? "odd" : "even");
        snprintf(pk, sizeof pk, "P%u", i % ITEMS % PARTITIONS);
        snprintf(sk, sizeof sk, "SHARED#PREFIX#%05u", i % ITEMS);
        const struct larder_key key = {larder_str(pk), larder_str(sk)};
        int r = larder_get(t, &key, page);
        note_result(s, r);
        s->wrong += r == LARDER_NOT_FOUND; /* no item is lost here */
        note_result(s, larder_query(t, &spec, page));
        note_result(s, larder_scan(t, &(struct larder_scan_spec){.limit = 200}, page));
        s->is_ready = 1;
    }
    larder_close(db);
    return 0;
}

static int write_on(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    PROC_CHECK(attach(&s->copy, 0, &db) == LARDER_OK);
    for (uint32_t n = ITEMS; !s->is_over; n++) {
        int r = put_item(db, (int)(ITEMS + n % 500));
        note_result(s, r);
        if (r == LARDER_OK && n < ITEMS + 500)
            s->acked++;
        s->is_ready = 1;
    }
    larder_close(db);
    return 0;
}

/* Lists are damaged and repaired again and again beside a reader. It may be told to wait or that
 * something is wrong, and nothing else. */
static void beside(int (*run)(void *arg), int is_read_only, const char *what) {
    int fd = make_segment(ITEMS), rounds = is_long() ? 100 : 8;
    struct stage *s = stage_new(fd);
    struct larder_repair_report report = {0};
    s->k = (uint64_t)is_read_only;
    pid_t pid = proc_fork(run, s);
    wait_for_ready(s);
    for (int i = 0; i < rounds; i++) {
        uint32_t fine = s->fine;
        memset(at(&s->copy, WORD_OFF(*slot_of(&s->copy, 1, (uint32_t)i))), 0xaa, 24);
        int r = repair_here(&s->copy, &report);
        cr_assert(r == LARDER_OK && report.errors_found > 0, "%s: %s: %s", what, larder_result_name(r), larder_error());
        cr_assert(UNTIL(s->fine > fine + 10, DEADLINE_MS), "%s", what);
    }
    finish(s, pid);
    cr_assert_eq(s->wrong, 0, "%s: %u wrong of %u", what, s->wrong, s->calls);
    struct larder *db;
    cr_assert_eq(attach(&s->copy, 0, &db), LARDER_OK);
    struct larder_check_report check;
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s: %s", what, larder_error());
    cr_assert(check.items >= ITEMS + PLAIN + s->acked && check.items <= ITEMS + PLAIN + 500, "%s: %lu items, %u acked",
              what, check.items, s->acked);
    larder_close(db);
    stage_end(s);
    close(fd);
}

Test(repair_beside, beside_a_reader) {
    beside(read_on, 0, "reader");
}
Test(repair_beside, beside_a_read_only_reader) {
    beside(read_on, 1, "read-only reader");
}
Test(repair_beside, beside_a_writer) {
    beside(write_on, 0, "writer");
}

/* Of two repairs at once one does the work, and the other finds it done. Each may be told to wait
 * for the other: for its repair, or, where stripes must be moved, for its attachment. */
static int repair_too(void *arg) {
    struct stage *s = arg;
    struct larder_repair_report report = {0};
    uint64_t end_ms = until_deadline(DEADLINE_MS);
    int r;
    do
        r = repair_here(&s->copy, &report);
    while (r == LARDER_E_BUSY && until_now_ms() < end_ms);
    PROC_CHECK(r == LARDER_OK);
    return 0;
}

Test(repair_beside, two_at_once) {
    int fd = make_segment(ITEMS);
    for (int i = 0; i < (is_long() ? 100 : 10); i++) {
        struct stage *s = stage_new(fd);
        harm_all_caches(&s->copy);
        pid_t one = proc_fork(repair_too, s), other = proc_fork(repair_too, s);
        struct proc_result a = proc_wait(one, DEADLINE_MS), b = proc_wait(other, DEADLINE_MS);
        cr_assert(proc_is_exit(a, 0), "%s", proc_text(a));
        cr_assert(proc_is_exit(b, 0), "%s", proc_text(b));
        judge(&(struct trial){.copy = &s->copy}, "two at once", (uint64_t)i);
        stage_end(s);
    }
    close(fd);
}
