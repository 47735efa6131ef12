/* tests/crash/room_locked_test.c - what would make room is behind a lock.
 *
 * Goal     A segment is not full because another process holds the locks of what may go. If the
 *          owner is dead it is recovered, also by a process that is alone: nothing else would, for
 *          the locks are only tried. If it is alive it is waited for, within busy_timeout; then the
 *          answer is LARDER_E_BUSY and says why. Whether the items have expired, may be evicted, or
 *          lie in memory that has to be moved.
 * Method   A process takes the locks of all stripes of a table, and dies or stands still. Puts go
 *          to another table.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/wait.h"
#include "core/memory/lock.h"
#include "core/table/db.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(room_locked, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (UINT64_C(8) << 20)
#define STRIPES 4
#define NOW_S INT64_C(1700000000)
#define WAIT_MS 20000
#define PATIENCE_MS 60

struct fixture {
    struct larder *db;
    struct larder_table *locked, *other;
    struct larder_builder *b;
    int64_t now_s;
};

static int64_t clock_of_test(void *arg) {
    return *(int64_t *)arg;
}

static struct larder_table *make(struct fixture *f, const char *name, enum larder_eviction eviction) {
    const struct larder_table_def def = {
        .name = name, .partition = {"id", LARDER_S}, .ttl_attribute = "until", .eviction = eviction};
    struct larder_table *t;
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, name, &t), LARDER_OK);
    return t;
}

static void begin(struct fixture *f, enum larder_eviction eviction) {
    *f = (struct fixture){.db = testseg_open(SEGMENT_BYTES, STRIPES), .now_s = NOW_S};
    larder_set_clock(f->db, clock_of_test, &f->now_s);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    f->locked = make(f, "locked", eviction);
    f->other = make(f, "other", LARDER_EVICTION_NONE);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.leaked_blocks, 0);
    larder_builder_free(f->b);
    larder_close(f->db);
}

static int put(struct fixture *f, struct larder_table *t, int n, unsigned bytes, int64_t until_s) {
    static const char payload[65536];
    const struct larder_item *item;
    char id[32];
    snprintf(id, sizeof id, "i%d", n);
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_b(f->b, "payload", payload, bytes);
    if (until_s)
        larder_builder_add_int(f->b, "until", until_s);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return larder_put(t, item, NULL);
}

static void forget(struct larder_table *t, int n) {
    char id[32];
    snprintf(id, sizeof id, "i%d", n);
    EXPECT(larder_delete(t, &(struct larder_key){.partition = larder_str(id)}, NULL), LARDER_OK);
}

static int fill(struct fixture *f, unsigned bytes, int64_t until_s) {
    int n = 0, r;
    while ((r = put(f, f->locked, n, bytes, until_s)) == LARDER_OK)
        n++;
    EXPECT(r, LARDER_E_FULL);
    return n;
}

static void fill_evicting(struct fixture *f) {
    struct larder_table_stats stats = {0};
    for (int n = 0; stats.evicted == 0; n++) {
        EXPECT(put(f, f->locked, n, 1000, 0), LARDER_OK);
        EXPECT(larder_table_stats(f->locked, &stats), LARDER_OK);
    }
}

/* ---- Who has the locks ----------------------------------------------------------------------- */

/* One slot for each: a thread holds one stripe at a time. */
struct holder {
    struct larder *db;
    struct writer *w[STRIPES];
};

static int hold(struct holder *h, struct fixture *f) {
    const struct table_view *v = atomic_load(&f->locked->view);
    h->db = f->db;
    for (int i = 0; i < STRIPES; i++)
        if (writer_borrow(f->db, &h->w[i]) || lock_take(h->w[i], &v->items.stripes[i].lock, LOCK_STRIPE))
            return 0;
    return 1;
}

static void let_go(struct holder *h, struct fixture *f) {
    const struct table_view *v = atomic_load(&f->locked->view);
    for (int i = 0; i < STRIPES; i++) {
        lock_drop(h->w[i], &v->items.stripes[i].lock, LOCK_STRIPE);
        writer_end(h->w[i]);
    }
}

static int hold_and_die(void *arg) {
    struct holder h;
    PROC_CHECK(hold(&h, arg));
    raise(SIGKILL);
    return 1;
}

static int hold_and_stop(void *arg) {
    struct holder h;
    PROC_CHECK(hold(&h, arg));
    raise(SIGSTOP);
    let_go(&h, arg);
    return 0;
}

static void a_dead_one_holds(struct fixture *f) {
    struct proc_result end_of = proc_run(hold_and_die, f, WAIT_MS);
    cr_assert(proc_is_signal(end_of, SIGKILL), "%s", proc_text(end_of));
}

/* ---- Dead ------------------------------------------------------------------------------------ */

Test(room_locked, evictable_items_behind_a_dead_owner) {
    struct fixture f;
    begin(&f, LARDER_EVICTION_SIEVE);
    fill_evicting(&f);
    a_dead_one_holds(&f);
    for (int n = 0; n < 1000; n++)
        EXPECT(put(&f, f.other, n, 1000, 0), LARDER_OK);
    end(&f);
}

Test(room_locked, expired_items_behind_a_dead_owner) {
    struct fixture f;
    begin(&f, LARDER_EVICTION_NONE);
    fill(&f, 1000, NOW_S + 10);
    f.now_s += 20;
    a_dead_one_holds(&f);
    for (int n = 0; n < 1000; n++)
        EXPECT(put(&f, f.other, n, 1000, 0), LARDER_OK);
    end(&f);
}

/* A tenth of the items is left, all over the segment. */
Test(room_locked, movable_items_behind_a_dead_owner) {
    struct fixture f;
    begin(&f, LARDER_EVICTION_NONE);
    int count = fill(&f, 300, 0);
    for (int n = 0; n < count; n++)
        if (n % 10 != 0)
            forget(f.locked, n);
    a_dead_one_holds(&f);
    for (int n = 0; n < 60; n++)
        EXPECT(put(&f, f.other, n, 60000, 0), LARDER_OK);
    end(&f);
}

/* ---- Alive ----------------------------------------------------------------------------------- */

static void must_be_busy(struct fixture *f, const char *what) {
    struct holder h;
    cr_assert(hold(&h, f));
    f->db->writers.busy_timeout_ms = PATIENCE_MS;
    int r = LARDER_OK;
    uint64_t begin_ms = 0;
    for (int n = 0; r == LARDER_OK; n++) {
        begin_ms = wait_now_ms();
        r = put(f, f->other, n, 1000, 0);
    }
    EXPECT(r, LARDER_E_BUSY);
    cr_assert(strstr(larder_error(), what) && wait_now_ms() - begin_ms >= PATIENCE_MS, "%s", larder_error());
    let_go(&h, f);
    for (int n = 0; n < 1000; n++)
        EXPECT(put(f, f->other, n, 1000, 0), LARDER_OK);
    end(f);
}

Test(room_locked, evictable_items_behind_a_living_owner) {
    struct fixture f;
    begin(&f, LARDER_EVICTION_SIEVE);
    fill_evicting(&f);
    must_be_busy(&f, "may be evicted");
}

Test(room_locked, expired_items_behind_a_living_owner) {
    struct fixture f;
    begin(&f, LARDER_EVICTION_NONE);
    fill(&f, 1000, NOW_S + 10);
    f.now_s += 20;
    must_be_busy(&f, "have expired");
}

/* Nothing has expired and nothing may be evicted: the lock makes no difference. */
Test(room_locked, a_full_segment_is_full) {
    struct fixture f;
    struct holder h;
    begin(&f, LARDER_EVICTION_NONE);
    fill(&f, 1000, NOW_S + 10);
    cr_assert(hold(&h, &f));
    int r = LARDER_OK;
    for (int n = 0; r == LARDER_OK; n++)
        r = put(&f, f.other, n, 1000, 0);
    EXPECT(r, LARDER_E_FULL);
    let_go(&h, &f);
    end(&f);
}

/* ---- It dies, or goes on, while a put waits -------------------------------------------------- */

struct ender {
    struct larder *db;
    pid_t pid;
    int signal;
    uint64_t waits_before;
};

static uint64_t lock_waits(struct larder *db) {
    struct larder_segment_stats stats;
    return larder_segment_stats(db, &stats) == LARDER_OK ? stats.counters.lock_waits : 0;
}

/* Once the put waits. If it does not, its time limit ends the test. */
static void *end_holder(void *arg) {
    const struct ender *e = arg;
    (void)UNTIL(lock_waits(e->db) > e->waits_before + 2, WAIT_MS);
    kill(e->pid, e->signal);
    return NULL;
}

static void while_a_put_waits(int signal) {
    struct fixture f;
    pthread_t thread;
    int status;
    begin(&f, LARDER_EVICTION_NONE);
    fill(&f, 1000, NOW_S + 10);
    f.now_s += 20;
    f.db->writers.busy_timeout_ms = WAIT_MS;
    pid_t child = proc_fork(hold_and_stop, &f);
    cr_assert(UNTIL(waitpid(child, &status, WUNTRACED | WNOHANG) == child && WIFSTOPPED(status), WAIT_MS));
    struct ender ender = {f.db, child, signal, lock_waits(f.db)};
    cr_assert_eq(pthread_create(&thread, NULL, end_holder, &ender), 0);
    for (int n = 0; n < 1000; n++)
        EXPECT(put(&f, f.other, n, 1000, 0), LARDER_OK);
    pthread_join(thread, NULL);
    struct proc_result end_of = proc_wait(child, WAIT_MS);
    cr_assert(signal == SIGKILL ? proc_is_signal(end_of, SIGKILL) : proc_is_exit(end_of, 0), "%s", proc_text(end_of));
    end(&f);
}

Test(room_locked, the_owner_goes_on_while_a_put_waits) {
    while_a_put_waits(SIGCONT);
}

Test(room_locked, the_owner_dies_while_a_put_waits) {
    while_a_put_waits(SIGKILL);
}
