/* tests/crash/room_test.c - a write that finds no room makes some, and expiry needs no particular
 * process.
 *
 * Goal     Where something has expired, no write is refused for want of memory: with no expirer
 *          anywhere, beside one that works, and beside one that stands still with the expirer's
 *          lock or with a stripe. Where nothing has expired a write is refused quickly. Another
 *          process takes the place of an expirer that stands still, and the one that wakes does no
 *          harm.
 * Method   A segment is filled with items that expire, the clock is moved on, and it is filled
 *          again. Processes are stopped for real, by SIGSTOP from outside or at a store
 *          (core/base/crash.h).
 * See also crash/stop_test.c (expire_beside), crash/scenarios.c (make_room, make_room_here,
 *          expirer_thread).
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/base/wait.h"
#include "core/memory/heap.h"
#include "core/table/db.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"

TestSuite(room, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (UINT64_C(8) << 20)
#define STRIPES 128 /* so that their arrays are small blocks */
#define NOW_S INT64_C(1700000000)
#define WAIT_MS 20000

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    _Atomic int64_t *clock_s; /* in memory that forked children share */
};

static int64_t shared_clock(void *arg) {
    return atomic_load((_Atomic int64_t *)arg);
}

static struct fixture begin(void) {
    const struct larder_table_def def = {.name = "things", .partition = {"id", LARDER_S}, .ttl_attribute = "until"};
    struct fixture f = {.db = testseg_open(SEGMENT_BYTES, STRIPES)};
    f.clock_s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)f.clock_s, MAP_FAILED);
    atomic_store(f.clock_s, NOW_S);
    larder_set_clock(f.db, shared_clock, f.clock_s);
    EXPECT(larder_table_create(f.db, &def), LARDER_OK);
    EXPECT(larder_table_open(f.db, "things", &f.t), LARDER_OK);
    EXPECT(larder_builder_new(f.db, &f.b), LARDER_OK);
    return f;
}

static void check(const struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.leaked_blocks, 0);
}

static void end(struct fixture *f) {
    check(f);
    larder_close(f->db);
    munmap((void *)f->clock_s, 4096);
}

static const struct larder_item *item(struct fixture *f, const char *kind, int n, unsigned bytes, int64_t until_s) {
    static const char payload[65536];
    const struct larder_item *made = NULL;
    char id[32];
    snprintf(id, sizeof id, "%s%d", kind, n);
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_b(f->b, "payload", payload, bytes);
    if (until_s)
        larder_builder_add_int(f->b, "until", until_s);
    return larder_builder_finish(f->b, &made) == LARDER_OK ? made : NULL;
}

static int put(struct fixture *f, const char *kind, int n, unsigned bytes, int64_t until_s) {
    return larder_put(f->t, item(f, kind, n, bytes, until_s), NULL);
}

/* Puts items that expire at until_s, until no more go in. Returns how many. */
static int fill(struct fixture *f, int64_t until_s) {
    int count = 0, refused = 0;
    for (int n = 0; refused < 50; n++) {
        int r = put(f, "old", n, 300, until_s);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
        count += r == LARDER_OK;
        refused = r == LARDER_OK ? 0 : refused + 1;
    }
    cr_assert_gt(count, 5000);
    return count;
}

static uint64_t item_count(const struct fixture *f) {
    struct larder_table_stats stats;
    EXPECT(larder_table_stats(f->t, &stats), LARDER_OK);
    return stats.item_count;
}

/* New items, three quarters of what there was, half of which live on; then the old keys again. */
static void fill_again(struct fixture *f, int count) {
    /* free blocks lie between those that live: not everything finds room in them */
    count -= count / 4;
    for (int n = 0; n < count; n++)
        EXPECT(put(f, "new", n, 300, atomic_load(f->clock_s) + (n % 2 ? 5 : 0)), LARDER_OK);
    atomic_fetch_add(f->clock_s, 5);
    for (int n = 0; n < count; n++)
        EXPECT(put(f, "old", n, 300, atomic_load(f->clock_s) + 5), LARDER_OK);
}

/* ---- Room ------------------------------------------------------------------------------------ */

Test(room, without_an_expirer) {
    struct fixture f = begin();
    int count = fill(&f, NOW_S + 3);
    EXPECT(put(&f, "early", 0, 60000, 0), LARDER_E_FULL);
    cr_assert(strstr(larder_error(), "full"));
    atomic_fetch_add(f.clock_s, 3);
    fill_again(&f, count);
    end(&f);
}

/* Only blocks of the items' size become free: a chunk of timers, usually 1,024 bytes, has to use
 * one. */
Test(room, for_timers_in_blocks_of_items) {
    struct fixture f = begin();
    int count = 0, refused = 0;
    while (put(&f, "old", count, 300, NOW_S + 1 + count % 1000) == LARDER_OK)
        count++;
    cr_assert_gt(count, 5000);
    atomic_store(f.clock_s, NOW_S + 500);
    for (int n = 0; n < count; n++) {
        int r = put(&f, "new", n, 300, atomic_load(f.clock_s) + 1 + n * 7 % 1000);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
        refused += r == LARDER_E_FULL;
        if (n % (count / 500) == 0)
            atomic_fetch_add(f.clock_s, 1);
    }
    cr_assert_lt(refused, count / 50, "%d of %d are refused", refused, count);
    end(&f);
}

/* Items of one size are deleted. Smaller ones find room in their blocks, however small. */
Test(room, for_small_items_in_large_blocks) {
    struct fixture f = begin();
    char id[32];
    int count = fill(&f, 0), fitted = 0;
    for (int n = 0; n < count; n++) {
        const struct larder_key key = {.partition = larder_str(id)};
        snprintf(id, sizeof id, "old%d", n);
        if (n % 2)
            (void)larder_delete(f.t, &key, NULL);
    }
    while (put(&f, "s", fitted, 1, 0) == LARDER_OK)
        fitted++;
    cr_assert_gt(fitted, count / 20, "%d fit where %d were deleted", fitted, count / 2);
    end(&f);
}

/* The dropper's thread is at it just now, and holds the catalog again and again. */
Test(room, while_a_dropped_table_is_emptied) {
    const struct larder_table_def def = {.name = "things", .partition = {"id", LARDER_S}, .ttl_attribute = "until"};
    struct fixture f = begin();
    int first = 0;
    for (int round = 0; round < 12; round++) {
        int count = 0;
        while (put(&f, "a", count, 300, 0) == LARDER_OK)
            count++;
        if (round == 0)
            first = count;
        cr_assert_gt(count, first * 9 / 10, "round %d: %d fit, not %d: %s", round, count, first, larder_error());
        EXPECT(larder_table_drop(f.db, "things"), LARDER_OK);
        EXPECT(larder_table_create(f.db, &def), LARDER_OK);
        EXPECT(larder_table_open(f.db, "things", &f.t), LARDER_OK);
    }
    end(&f);
}

Test(room, for_overwrites_of_what_has_expired) {
    struct fixture f = begin();
    int count = fill(&f, NOW_S + 3);
    atomic_fetch_add(f.clock_s, 3);
    count -= count / 20; /* the last few per cent may not fit any more, as blocks lie now */
    for (int n = 0; n < count; n++)
        EXPECT(put(&f, "old", n, 300, NOW_S + 100), LARDER_OK);
    end(&f);
}

Test(room, for_every_write) {
    struct fixture f = begin();
    const struct larder_key key = {.partition = larder_str("counter")};
    const struct larder_index_def by_payload = {.name = "by-payload", .partition = {"payload", LARDER_B}};
    int64_t value;
    for (int round = 0; round < 5; round++) {
        int64_t now_s = atomic_load(f.clock_s);
        int n = 0;
        while (put(&f, "old", n, 300, now_s + 3) == LARDER_OK)
            n++;
        atomic_fetch_add(f.clock_s, 3);
        struct larder_table_def second = {.name = "second", .partition = {"id", LARDER_S}};
        switch (round) {
        case 0:
            EXPECT(larder_put_if(f.t, item(&f, "conditional", 0, 60000, 0), NULL, NULL), LARDER_OK);
            break;
        case 1:
            EXPECT(larder_increment(f.t, &key, "n", 1, &value), LARDER_OK);
            break;
        case 2:
            EXPECT(larder_table_create(f.db, &second), LARDER_OK);
            break;
        case 3:
            EXPECT(larder_index_add(f.t, &by_payload), LARDER_OK);
            break;
        default:
            EXPECT(larder_ttl_set(f.t, "other"), LARDER_OK);
        }
    }
    end(&f);
}

/* A round over the whole wheel finds nothing, and that is remembered. */
Test(room, nothing_has_expired) {
    struct fixture f = begin();
    fill(&f, NOW_S + 1000);
    cr_assert(UNTIL(put(&f, "more", 0, 60000, 0) == LARDER_E_FULL && f.db->quiet_s == NOW_S + 1, WAIT_MS));
    atomic_fetch_add(f.clock_s, 1);
    cr_assert(UNTIL(put(&f, "more", 0, 60000, 0) == LARDER_E_FULL && f.db->quiet_s == NOW_S + 2, WAIT_MS));
    end(&f);
}

/* ---- Timers of items that are gone (ttl/purge.h) --------------------------------------------- */

extern _Atomic int64_t heap_test_takes_left; /* 0: the heap says that it is full */

static uint64_t timer_count(const struct fixture *f) {
    struct larder_table_stats stats;
    EXPECT(larder_table_stats(f->t, &stats), LARDER_OK);
    return stats.wheel_entries;
}

static void come_and_go(struct fixture *f, int count) {
    char id[32];
    for (int n = 0; n < count; n++) {
        snprintf(id, sizeof id, "gone%d", n);
        const struct larder_key key = {.partition = larder_str(id)};
        EXPECT(put(f, "gone", n, 10, NOW_S + 86400 + n * 17), LARDER_OK);
        EXPECT(larder_delete(f->t, &key, NULL), LARDER_OK);
    }
}

/* The time comes to move timers to a lower level, and there is no memory for that. */
/* ---- All blocks of a transaction at once (core/table/windows.h) ------------------------------ */

#define LARGE_ITEMS 4
#define LARGE_BYTES 50000u
#define DEATHS (SLOW_FACTOR > 1 ? 6 : 24)

struct dying {
    struct fixture *f;
    uint64_t store; /* 0: none */
    uint64_t *stores;
};

/* Puts large items, none of which any free run is long enough for. */
static int transact_and_die(void *arg) {
    const struct dying *d = arg;
    struct larder_action actions[LARGE_ITEMS];
    memset(actions, 0, sizeof actions);
    for (int i = 0; i < LARGE_ITEMS; i++) {
        struct fixture own = *d->f;
        if (larder_builder_new(own.db, &own.b) != LARDER_OK)
            return 1;
        actions[i] = (struct larder_action){
            .kind = LARDER_ACTION_PUT, .table = own.t, .item = item(&own, "large", i, LARGE_BYTES, 0)};
    }
    uint64_t before = shm_crash_count();
    if (d->store)
        shm_crash_arm(d->store);
    int r =
        larder_transact(d->f->db, &(struct larder_transaction){.actions = actions, .count = LARGE_ITEMS}, NULL, NULL);
    *d->stores = shm_crash_count() - before;
    return r == LARDER_OK ? 0 : 2;
}

static int forget(struct fixture *f, const char *kind, int n) {
    char id[32];
    snprintf(id, sizeof id, "%s%d", kind, n);
    return larder_delete(f->t, &(struct larder_key){.partition = larder_str(id)}, NULL);
}

/* Items of two spans, and every other one is deleted. Returns how many stay. */
static uint64_t scatter(struct fixture *f) {
    int count = 0;
    while (put(f, "s", count, 20000, 0) == LARDER_OK)
        count++;
    for (int n = 0; n < count; n += 2)
        EXPECT(forget(f, "s", n), LARDER_OK);
    return item_count(f);
}

Test(room, a_death_while_a_transaction_makes_room) {
    uint64_t *stores = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), all = 0;
    for (uint64_t k = 0; k <= DEATHS; k++) {
        struct fixture f = begin();
        uint64_t small = scatter(&f);
        struct dying dying = {&f, all * k / DEATHS, stores};
        struct proc_result end_of = proc_run(transact_and_die, &dying, WAIT_MS);
        all = k == 0 ? *stores : all;
        cr_assert(proc_is_exit(end_of, 0) || (k && proc_is_signal(end_of, SIGKILL)), "%s", proc_text(end_of));
        int has_first = forget(&f, "large", 0) == LARDER_OK;
        for (int i = 1; i < LARGE_ITEMS; i++)
            EXPECT(forget(&f, "large", i), has_first ? LARDER_OK : LARDER_NOT_FOUND);
        cr_assert_eq(item_count(&f), small);
        EXPECT(put(&f, "more", 0, 60000, 0), LARDER_OK);
        end(&f);
    }
    munmap(stores, 4096);
}

/* All items of an index have one partition key, and another writer stands still with the lock of
 * that list. Its table is full of items that may go: that is not a full segment. */
Test(room, what_is_evicted_waits_for_a_lock) {
    const struct larder_index_def index = {.name = "all", .partition = {"g", LARDER_S}, .sort = {"id", LARDER_S}};
    const struct larder_table_def def = {.name = "cache",
                                         .partition = {"id", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .eviction = LARDER_EVICTION_SIEVE};
    struct fixture f = begin();
    struct larder_table *cache;
    struct larder_table_stats stats = {0};
    struct writer *other;
    EXPECT(larder_table_create(f.db, &def), LARDER_OK);
    EXPECT(larder_table_open(f.db, "cache", &cache), LARDER_OK);
    for (int n = 0; stats.evicted == 0; n++) {
        static const char payload[4000];
        const struct larder_item *made;
        char id[32];
        snprintf(id, sizeof id, "c%d", n);
        larder_builder_reset(f.b);
        larder_builder_add_s(f.b, "id", id);
        larder_builder_add_s(f.b, "g", "one");
        larder_builder_add_b(f.b, "payload", payload, sizeof payload);
        EXPECT(larder_builder_finish(f.b, &made), LARDER_OK);
        EXPECT(larder_put(cache, made, NULL), LARDER_OK);
        EXPECT(larder_table_stats(cache, &stats), LARDER_OK);
    }
    uint64_t items = item_count(&f), evicted = stats.evicted;
    const struct table_view *v = atomic_load(&cache->view);
    uint32_t stripe = 0;
    while (stripe < v->partitions.stripe_count && v->partitions.stripes[stripe].count == 0)
        stripe++;
    cr_assert_lt(stripe, v->partitions.stripe_count);
    f.db->writers.busy_timeout_ms = 60;
    EXPECT(writer_borrow(f.db, &other), LARDER_OK);
    EXPECT(lock_take(other, &v->partitions.stripes[stripe].lock, LOCK_PARTITION), LARDER_OK);
    int r = LARDER_OK, n = 0;
    uint64_t begin_ms = 0;
    for (; r == LARDER_OK; n++) {
        begin_ms = wait_now_ms();
        r = put(&f, "n", n, 3000, 0);
    }
    EXPECT(r, LARDER_E_BUSY);
    cr_assert(strstr(larder_error(), "may be evicted") && wait_now_ms() - begin_ms >= 60, "%s", larder_error());
    lock_drop(other, &v->partitions.stripes[stripe].lock, LOCK_PARTITION);
    writer_end(other);
    for (int k = 0; k < 100; k++, n++)
        EXPECT(put(&f, "n", n, 3000, 0), LARDER_OK);
    EXPECT(larder_table_stats(cache, &stats), LARDER_OK);
    cr_assert_gt(stats.evicted, evicted);
    cr_assert_eq(item_count(&f), items + (uint64_t)n - 1);
    end(&f);
}

Test(room, expire_drops_timers_although_it_finds_no_memory) {
    struct fixture f = begin();
    uint64_t removed = 0;
    come_and_go(&f, 5000);
    EXPECT(put(&f, "due", 0, 10, NOW_S + 10), LARDER_OK);
    EXPECT(put(&f, "stays", 0, 10, NOW_S + 86405), LARDER_OK);
    atomic_store(f.clock_s, NOW_S + 86399);
    heap_test_takes_left = 0;
    int r = larder_expire(f.db, 0, &removed);
    heap_test_takes_left = -1;
    EXPECT(r, LARDER_OK);
    cr_assert_eq(removed, 1);
    cr_assert_eq(timer_count(&f), 1);
    check(&f);
    atomic_store(f.clock_s, NOW_S + 86405);
    EXPECT(larder_expire(f.db, 0, &removed), LARDER_OK);
    cr_assert_eq(removed, 1);
    end(&f);
}

Test(room, the_ttl_attribute_can_be_taken_away) {
    struct fixture f = begin();
    come_and_go(&f, 5000);
    heap_test_takes_left = 0; /* until room is made */
    int r = larder_ttl_set(f.t, NULL);
    heap_test_takes_left = -1;
    EXPECT(r, LARDER_OK);
    cr_assert_lt(timer_count(&f), 5000);
    end(&f);
}

/* What stays of several chunks goes into one (rule W6 of ttl/wheel.h). */
Test(room, chunks_with_few_timers_become_one) {
    struct fixture f = begin();
    struct writer *w;
    struct wheel_batch batch;
    int chunks = 0, entries = 0;
    EXPECT(writer_borrow(f.db, &w), LARDER_OK);
    heap_claim_ahead(w, 1 << 18);
    for (uint64_t hash = 1; hash <= 1000; hash++)
        EXPECT(wheel_add(w, hash, 5, 0), LARDER_OK);
    struct wheel_walk walk = {.now_s = 10, .is_sweep = 1};
    while (wheel_collect(w, &walk, &batch) == LARDER_MORE) {
        batch.done = ~(UINT64_C(3) << batch.count / 2) & ((UINT64_C(1) << batch.count) - 1);
        chunks += batch.count > 0;
        EXPECT(wheel_retire(w, &walk, &batch), LARDER_OK);
    }
    cr_assert_gt(chunks, 15);
    cr_assert_geq((int)walk.freed, chunks - 2);
    walk = (struct wheel_walk){.now_s = 10, .is_sweep = 1};
    while (wheel_collect(w, &walk, &batch) == LARDER_MORE) {
        for (uint32_t i = 0; i < batch.count; i++)
            cr_assert_eq(batch.entry[i].second, 5);
        entries += (int)batch.count;
        batch.done = (UINT64_C(1) << batch.count) - 1;
        EXPECT(wheel_retire(w, &walk, &batch), LARDER_OK);
    }
    cr_assert_geq(entries, 2 * chunks - 2);
    cr_assert_leq(entries, 2 * chunks);
    writer_return(w);
    end(&f);
}

/* ---- Expirers -------------------------------------------------------------------------------- */

static int carry_expirer(void *arg) {
    struct fixture *f = arg;
    PROC_CHECK(larder_expirer_start(f->db) == LARDER_OK);
    for (;;)
        pause();
}

static int has_expirer(const struct fixture *f, pid_t pid) {
    struct larder_slot_stats slots[64];
    uint32_t count = 0;
    if (larder_slot_stats(f->db, slots, 64, &count) != LARDER_OK)
        return 0;
    for (uint32_t i = 0; i < count && i < 64; i++)
        if (slots[i].pid == pid && slots[i].is_expirer)
            return 1;
    return 0;
}

/* It has nothing left to do: from its second turn on, it takes no lock but its own until the clock
 * moves. (stop_test shows what a process stopped in the middle of its work keeps from others.) */
static pid_t start_expirer(struct fixture *f) {
    shm_word *beat = &f->db->seg.shm->expirer_beat;
    pid_t child = proc_fork(carry_expirer, f);
    cr_assert(UNTIL(has_expirer(f, child), WAIT_MS));
    for (int turns = 0; turns < 3; turns++) {
        uint64_t seen = SHM_LOAD(beat);
        cr_assert(UNTIL(SHM_LOAD(beat) != seen, WAIT_MS));
    }
    return child;
}

Test(room, beside_a_working_expirer) {
    struct fixture f = begin();
    pid_t child = start_expirer(&f);
    int count = fill(&f, NOW_S + 3);
    atomic_fetch_add(f.clock_s, 3);
    fill_again(&f, count);
    proc_kill(child);
    end(&f);
}

Test(room, beside_a_stopped_expirer) {
    struct fixture f = begin();
    pid_t child = start_expirer(&f);
    int count = fill(&f, NOW_S + 3);
    proc_stop(child);
    atomic_fetch_add(f.clock_s, 3);
    fill_again(&f, count);
    atomic_fetch_add(f.clock_s, 10);
    EXPECT(larder_expire(f.db, 0, NULL), LARDER_OK);
    cr_assert_eq(item_count(&f), 0);
    proc_resume(child);
    proc_kill(child);
    end(&f);
}

Test(room, another_stands_in_for_a_stopped_expirer) {
    struct fixture f = begin();
    for (int round = 0; round < 3; round++) {
        pid_t child = start_expirer(&f);
        EXPECT(larder_expirer_start(f.db), LARDER_OK);
        for (int n = 0; n < 1000; n++)
            EXPECT(put(&f, "short", n, 50, atomic_load(f.clock_s) + 1), LARDER_OK);
        proc_stop(child);
        atomic_fetch_add(f.clock_s, 1);
        cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
        proc_resume(child);
        put(&f, "short", 0, 50, atomic_load(f.clock_s) + 1);
        atomic_fetch_add(f.clock_s, 1);
        cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
        check(&f);
        proc_kill(child); /* and the process that stood in takes its place */
        cr_assert(UNTIL(has_expirer(&f, getpid()), WAIT_MS));
        larder_expirer_stop(f.db);
    }
    end(&f);
}

/* ---- A stopped writer ------------------------------------------------------------------------ */

static int put_and_stop(void *arg) {
    struct fixture *f = arg;
    shm_crash_arm_stop(8); /* it holds its stripe by then */
    (void)put(f, "stopped", 0, 300, NOW_S + 3);
    return 0;
}

/* What it holds, and nothing else, stays as it is. */
Test(room, beside_a_writer_stopped_with_a_stripe) {
    struct fixture f = begin();
    int status, count = fill(&f, NOW_S + 3), busy = 0;
    atomic_fetch_add(f.clock_s, 3);
    f.db->writers.busy_timeout_ms = 20;
    pid_t child = proc_fork(put_and_stop, &f);
    cr_assert(UNTIL(waitpid(child, &status, WUNTRACED | WNOHANG) == child && WIFSTOPPED(status), WAIT_MS));
    for (int n = 0; n < 500; n++) {
        int r = put(&f, "new", n, 300, NOW_S + 3);
        cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "%s", larder_error());
        busy += r == LARDER_E_BUSY;
    }
    cr_assert_lt(busy, 500 * 4 / STRIPES);
    EXPECT(larder_expire(f.db, 0, NULL), LARDER_E_BUSY);
    cr_assert_lt(item_count(&f), (uint64_t)count * 3 / STRIPES);
    kill(child, SIGCONT);
    cr_assert(proc_is_exit(proc_wait(child, WAIT_MS), 0));
    EXPECT(larder_expire(f.db, 0, NULL), LARDER_OK);
    cr_assert_eq(item_count(&f), 0);
    end(&f);
}

/* ---- Two at the same timers (rule W4 of ttl/wheel.h) ----------------------------------------- */

static uint32_t collect(struct writer *w, struct wheel_walk *walk, struct wheel_batch *batch) {
    int r;
    do
        r = wheel_collect(w, walk, batch);
    while (r == LARDER_MORE && batch->count == 0);
    return r == LARDER_MORE ? batch->count : 0;
}

Test(room, what_was_taken_out_by_another_is_not_taken_out_again) {
    struct fixture f = begin();
    struct writer *w[2];
    struct wheel_walk walk[2] = {{.now_s = 10}, {.now_s = 10}};
    struct wheel_batch batch[2];
    for (int i = 0; i < 2; i++)
        EXPECT(writer_borrow(f.db, &w[i]), LARDER_OK);
    for (uint64_t hash = 1; hash <= 4; hash++)
        EXPECT(wheel_add(w[0], hash, 5, 0), LARDER_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(collect(w[i], &walk[i], &batch[i]), 4);
        batch[i].done = 15;
    }
    EXPECT(wheel_retire(w[1], &walk[1], &batch[1]), LARDER_OK);
    /* in the place of the others, and perhaps in their block */
    for (uint64_t hash = 11; hash <= 14; hash++)
        EXPECT(wheel_add(w[1], hash, 5, 0), LARDER_OK);
    EXPECT(wheel_retire(w[0], &walk[0], &batch[0]), LARDER_OK);
    walk[1] = (struct wheel_walk){.now_s = 10};
    cr_assert_eq(collect(w[1], &walk[1], &batch[1]), 4);
    batch[1].done = 15;
    EXPECT(wheel_retire(w[1], &walk[1], &batch[1]), LARDER_OK);
    for (int i = 0; i < 2; i++)
        writer_return(w[i]);
    end(&f);
}
