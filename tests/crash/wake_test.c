/* tests/crash/wake_test.c - a process that wakes up late, into a world that has moved on.
 *
 * Goal     A process that was stopped before a compare-and-swap, or anywhere else where it holds
 *          nothing or waits for a lock, cannot do harm when it goes on. Meanwhile the lock that it
 *          waits for has had thousands of owners, its table was dropped and made again, bucket
 *          arrays grew, spans were given back and cut for other classes. It gets the lock only when
 *          no process has it. It acts on the table that it meant, or says that this table is gone.
 * Method   For the locks of every rank: the test holds one, a child (the sleeper) runs a call that
 *          needs it and is stopped before its k-th store, for every k up to the one after which it
 *          has the lock. The lock is released, and where the sleeper holds nothing the test drops
 *          and creates its table, fills, changes and empties it, and checks everything. Then the
 *          test takes the lock once more, and lets the sleeper go on: it must wait. Then it
 *          releases the lock. LARDER_TEST_LONG: ten times as many operations while it sleeps.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/heap_span.h"
#include "core/segment/seg.h"
#include "core/table/db.h"
#include "core/table/evict.h"
#include "core/table/move.h"
#include "core/table/trim.h"
#include "index/leaf.h"
#include "tests/crash/evicting.h"
#include "tests/crash/halt.h"
#include "tests/crash/leaving.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(wake, .timeout = 3600);

#define STRIPES 4
#define DEADLINE_MS 20000
#define PATIENCE_MS 600000 /* the sleeper's: time goes on while it stands still */
#define SLEEPERS_ITEM 50
#define LATE_ITEM 51

enum outcome { OUTCOME_OK = 0, OUTCOME_BUSY = 1, OUTCOME_NO_TABLE = 2, OUTCOME_OTHER = 3 };

struct sleeper {
    enum lock_rank rank;
    int (*call)(struct larder_table *t); /* returns a result of the library */
    int is_write;                        /* it puts SLEEPERS_ITEM */
    int is_upkeep;                       /* it works on whatever tables there are when it wakes */
    void (*prepare)(struct larder *db);  /* NULL: twenty items */
};

struct bed {
    const struct sleeper *s;
    int memfd;
    struct larder *db;
    struct writer *w; /* of the test: holds the lock */
    lock_word *lock;
    struct halt sleeper;
    uint64_t k, slept, operations;
};

static int64_t clock_of_test(void *arg) {
    (void)arg;
    return world_now_s;
}

static struct larder *open_with(int memfd, uint32_t patience_ms) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd, .busy_timeout_ms = patience_ms};
    struct larder *db;
    if (larder_open(&o, &db) != LARDER_OK)
        return NULL;
    larder_set_clock(db, clock_of_test, NULL);
    return db;
}

static struct larder_table *table_of(struct larder *db) {
    struct larder_table *t;
    return larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK ? t : NULL;
}

/* ---- The sleeper ----------------------------------------------------------------------------- */

struct sleep {
    const struct sleeper *s;
    int memfd;
    uint64_t k;
};

/* The table is looked up before the sleep: this is the table that the call means. */
static int sleep_in_child(void *arg) {
    const struct sleep *s = arg;
    struct larder *db = open_with(s->memfd, PATIENCE_MS);
    struct larder_table *t = db ? table_of(db) : NULL;
    PROC_CHECK(t != NULL);
    shm_crash_arm_stop(s->k);
    int r = s->s->call(t);
    shm_crash_arm_stop(0);
    larder_close(db);
    return r == LARDER_OK           ? OUTCOME_OK
           : r == LARDER_E_BUSY     ? OUTCOME_BUSY
           : r == LARDER_E_NO_TABLE ? OUTCOME_NO_TABLE
                                    : OUTCOME_OTHER;
}

static int build_item(struct larder_builder *b, int n, unsigned fill, char pk[16], char sk[32],
                      const struct larder_item **item) {
    static const char payload[4096];
    snprintf(pk, 16, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, 32, "SK#%05d", n);
    larder_builder_add_s(b, "PK", pk);
    larder_builder_add_s(b, "SK", sk);
    larder_builder_add_s(b, "G1P", "P1");
    larder_builder_add_s(b, "G1S", sk);
    larder_builder_add_int(b, "exp", world_now_s + 777);
    larder_builder_add_b(b, "fill", payload, fill);
    return larder_builder_finish(b, item);
}

static int put_item(struct larder_table *t, int n, unsigned fill) {
    struct larder_builder *b;
    const struct larder_item *item;
    char pk[16], sk[32];
    PROC_CHECK(larder_builder_new(t->db, &b) == LARDER_OK);
    PROC_CHECK(build_item(b, n, fill, pk, sk, &item) == LARDER_OK);
    int r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static int put_one(struct larder_table *t) {
    return put_item(t, SLEEPERS_ITEM, 30);
}

/* The new item and a change of an old one, or none: in one transaction. */
static int transact_two(struct larder_table *t) {
    const struct larder_item *item;
    struct larder_builder *b;
    struct larder_expr *update, *is_missing;
    char pk[16], sk[32], other_pk[16];
    PROC_CHECK(larder_builder_new(t->db, &b) == LARDER_OK);
    PROC_CHECK(build_item(b, SLEEPERS_ITEM, 30, pk, sk, &item) == LARDER_OK);
    PROC_CHECK(larder_prepare(t->db, LARDER_EXPR_CONDITION, "attribute_not_exists(PK)", NULL, 0, &is_missing) ==
               LARDER_OK);
    PROC_CHECK(larder_prepare(t->db, LARDER_EXPR_UPDATE, "SET G1S = N1P REMOVE fill", NULL, 0, &update) == LARDER_OK);
    snprintf(other_pk, sizeof other_pk, "P%d", 3 % WORLD_PARTITIONS);
    struct larder_action actions[] = {{.kind = LARDER_ACTION_PUT, .table = t, .item = item, .condition = is_missing},
                                      {.kind = LARDER_ACTION_UPDATE,
                                       .table = t,
                                       .key = {larder_str(other_pk), larder_str("SK#00003")},
                                       .update = update}};
    int r = larder_transact(t->db, &(struct larder_transaction){.actions = actions, .count = 2}, NULL, NULL);
    larder_builder_free(b);
    return r;
}

/* of a class that no other process uses: it needs a new span */
static int put_large(struct larder_table *t) {
    return put_item(t, SLEEPERS_ITEM, 3700);
}

static int change_definition(struct larder_table *t) {
    return larder_removal_set(t, LARDER_REMOVAL_RETAIN);
}

static void twenty_items(struct larder *db) {
    for (int n = 0; n < 20; n++)
        world_put(db, n, 1111, 50, 0);
}

static void few_of_many(struct larder *db) {
    for (int n = 0; n < 400; n++)
        world_put(db, n, 0, 0, 0);
    for (int n = 8; n < 400; n++)
        cr_assert_eq(world_delete(db, n), LARDER_OK);
}

/* Entry 0 of leaf 1 of leaving_half_leaves(). */
static int delete_and_merge(struct larder_table *t) {
    int r = larder_delete(t, &(struct larder_key){larder_str("P0"), larder_str("SK#00012")}, NULL);
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

static int with_writer(struct larder_table *t, int (*work)(struct larder_table *t, struct writer *w)) {
    struct writer *w;
    PROC_CHECK(writer_borrow(t->db, &w) == LARDER_OK);
    int r = work(t, w);
    r = w->is_stuck ? LARDER_E_BUSY : r;
    writer_end(w);
    return r;
}

extern _Atomic uint32_t evict_test_batch;
static int evict_with(struct larder_table *t, struct writer *w) {
    int is_blocked;
    (void)t;
    evict_test_batch = 1;
    (void)table_evict(w, 1, &is_blocked);
    evict_test_batch = 0;
    return LARDER_OK;
}
static int evict_one(struct larder_table *t) {
    return with_writer(t, evict_with);
}

static int move_with(struct larder_table *t, struct writer *w) {
    const struct table_view *v = atomic_load(&t->view);
    uint64_t words[HTAB_CHAIN_MAX], off = 0;
    for (uint32_t i = 0; i < STRIPES && !off; i++)
        if (htab_bucket_slots(&v->items, &v->items.stripes[i], 0, words, HTAB_CHAIN_MAX) > 0)
            off = WORD_OFF(words[0]);
    writer_avoid(w, span_index(w->seg, off), 1, 1);
    (void)move_block(w, off);
    w->avoid_count = 0;
    return LARDER_OK;
}
static int move_an_item(struct larder_table *t) {
    return with_writer(t, move_with);
}

static int trim_with(struct larder_table *t, struct writer *w) {
    (void)t;
    (void)table_trim(w);
    return LARDER_OK;
}
static int trim(struct larder_table *t) {
    return with_writer(t, trim_with);
}

/* ---- The world goes on ----------------------------------------------------------------------- */

static uint64_t operations(void) {
    return getenv("LARDER_TEST_LONG") ? 20000 : 2000 / SLOW_FACTOR;
}

static void must_be_clean(const struct bed *b, const char *when) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(b->db, NULL, &report), LARDER_OK, "%s lock, store %lu, %s: %s",
                 lock_rank_name(b->s->rank), (unsigned long)b->k, when, larder_error());
}

/* Puts of all sizes and keys, deletes, growth, from item `from` on. */
static void churn(struct bed *b, int from, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        int n = from + (int)(i * 7 % 130);
        if (i % 3 == 2)
            (void)world_delete(b->db, n);
        else
            cr_assert_eq(world_try_put(b->db, n, (int)(1111 * (1 + i % 3)), (unsigned)(i * 37 % 3000),
                                       i % 5 ? 0 : world_now_s + 100 + (int64_t)i),
                         LARDER_OK, "%s", larder_error());
    }
    b->operations += count;
}

static void empty(struct bed *b, int from) {
    for (int n = from; n < from + 130; n++)
        (void)world_delete(b->db, n);
}

/* Drops the table and makes another one of the same name, in the same place, on the same stripes.
 * Memory of its items goes to other classes meanwhile. */
static void make_table_anew(struct bed *b) {
    const struct larder_table_def *def;
    struct larder_table_def between = {.name = "Between", .partition = {"id", LARDER_S}};
    cr_assert_eq(larder_table_describe(table_of(b->db), &def), LARDER_OK);
    uint64_t items_off = SHM_LOAD(&table_of(b->db)->view->shm->items_off);
    cr_assert_eq(larder_table_drop(b->db, WORLD_TABLE), LARDER_OK, "%s", larder_error());
    /* empties it */
    cr_assert_eq(larder_expire(b->db, 0, NULL), LARDER_OK, "%s", larder_error());
    /* takes the old one's place */
    cr_assert_eq(larder_table_create(b->db, &between), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_drop(b->db, "Between"), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_expire(b->db, 100, NULL), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_create(b->db, def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(SHM_LOAD(&table_of(b->db)->view->shm->items_off), items_off);
}

static int is_there(struct bed *b, int n) {
    char pk[16], sk[32];
    struct larder_page *page;
    snprintf(pk, sizeof pk, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, sizeof sk, "SK#%05d", n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    cr_assert_eq(larder_page_new(b->db, &page), LARDER_OK);
    int r = larder_get(table_of(b->db), &key, page);
    larder_page_free(page);
    cr_assert(r == LARDER_OK || r == LARDER_NOT_FOUND);
    return r == LARDER_OK;
}

/* ---- One sleep ------------------------------------------------------------------------------- */

static int is_noted_by(const struct larder *db, int32_t pid, const lock_word *lock) {
    for (uint32_t i = 0; i < db->seg.slot_count; i++) {
        struct slot_shm *slot = seg_slot(&db->seg, i);
        for (unsigned k = 0; k < SLOT_LOCKS && SHM_LOAD(&slot->pid) == pid; k++)
            if (SHM_LOAD(&slot->locks[k]) == seg_off(&db->seg, lock))
                return 1;
    }
    return 0;
}

static int is_waited_for(const struct bed *b) {
    return (SHM_LOAD(b->lock) & LOCK_WAITERS) != 0;
}

static void take(struct bed *b) {
    cr_assert_eq(lock_take(b->w, b->lock, b->s->rank), LARDER_OK, "%s", larder_error());
}

static void drop(struct bed *b) {
    lock_drop(b->w, b->lock, b->s->rank);
}

/* What the stopped sleeper holds. */
enum hold { HOLDS_NOTHING, HOLDS_OTHERS, HOLDS_THE_LOCK };

static enum hold what_it_holds(struct bed *b) {
    struct halt_locks held;
    halt_look(b->db, &held);
    if (held.count == 0)
        return HOLDS_NOTHING;
    return halt_find(&held, seg_off(&b->db->seg, b->lock)) ? HOLDS_THE_LOCK : HOLDS_OTHERS;
}

/* Sleeper stopped at store k, the lock is free; 0: it ended before. */
static int put_to_sleep(struct bed *b) {
    struct sleep sleep = {b->s, b->memfd, b->k};
    take(b);
    halt_start(&b->sleeper, sleep_in_child, &sleep, 0);
    cr_assert(UNTIL(halt_has_news(&b->sleeper) || is_waited_for(b), DEADLINE_MS));
    /* A sleeper that waits in the kernel wakes, and stops before the store that takes the lock, or
     * later. */
    drop(b);
    return halt_wait(&b->sleeper, DEADLINE_MS);
}

/* It goes on while the test has the lock: it must not get it. */
static void wake_up(struct bed *b, enum hold hold) {
    if (hold == HOLDS_THE_LOCK) {
        halt_go_on(&b->sleeper, 0);
        return;
    }
    take(b);
    halt_go_on(&b->sleeper, 0);
    cr_assert(UNTIL(halt_has_news(&b->sleeper) || is_waited_for(b), DEADLINE_MS));
    cr_assert(lock_is_mine(b->w, b->lock), "store %lu: a %s lock has two owners", (unsigned long)b->k,
              lock_rank_name(b->s->rank));
    drop(b);
}

/* Where it holds nothing, everything happens to its table. Where it holds something (its stripe, to
 * wait for a list), only what can happen without that. */
static void go_through_a_lot(struct bed *b, enum hold hold) {
    int is_refused[8] = {0};
    if (hold == HOLDS_NOTHING) {
        churn(b, 100, operations());
        make_table_anew(b);
        churn(b, 100, operations());
        empty(b, 100);
        world_put(b->db, LATE_ITEM, 1111, 60, 0);
        must_be_clean(b, "while it sleeps");
        return;
    }
    /* the lock has many owners */
    for (uint64_t i = 0; i < operations(); i++, b->operations++) {
        take(b);
        drop(b);
        if (is_refused[i % 8]) /* that stripe is the sleeper's */
            continue;
        int r = world_try_put(b->db, 100 + (int)(i % 8), (int)(1111 * (1 + i % 2)), (unsigned)(i * 37 % 900),
                              world_now_s + 5000 - (int64_t)i);
        cr_assert(r == LARDER_OK || (r == LARDER_E_BUSY && i < 8), "%s", larder_error());
        is_refused[i % 8] = r == LARDER_E_BUSY;
    }
}

static void judge_awake(struct bed *b, enum hold hold, int was_there) {
    int outcome = b->sleeper.end.code, was_dropped = hold == HOLDS_NOTHING, is_known_done = was_there;
    cr_assert_eq(b->sleeper.end.end, PROC_EXITED, "%s", proc_text(b->sleeper.end));
    if (!was_dropped)
        cr_assert_eq(outcome, OUTCOME_OK, "store %lu: outcome %d", (unsigned long)b->k, outcome);
    else if (b->s->is_write) /* done before it was dropped, or never */
        cr_assert_eq(outcome, is_known_done ? OUTCOME_OK : OUTCOME_NO_TABLE, "store %lu: outcome %d",
                     (unsigned long)b->k, outcome);
    else
        cr_assert(outcome == OUTCOME_OK || outcome == OUTCOME_NO_TABLE, "store %lu: outcome %d", (unsigned long)b->k,
                  outcome);
    if (b->s->is_write)
        cr_assert_eq(is_there(b, SLEEPERS_ITEM), !was_dropped, "store %lu: it wrote to another table than it meant",
                     (unsigned long)b->k);
}

/* 0: there is no such store. */
static int sleep_at(struct bed *b, int base, int *has_lock) {
    b->memfd = world_copy(base);
    b->db = open_with(b->memfd, 50);
    cr_assert_eq(writer_borrow(b->db, &b->w), LARDER_OK);
    b->lock = (lock_word *)(b->db->seg.base + (uintptr_t)b->lock);
    int is_stopped = put_to_sleep(b);
    if (is_stopped) {
        enum hold hold = what_it_holds(b);
        int waits = is_noted_by(b->db, b->sleeper.pid, b->lock), was_there = is_there(b, SLEEPERS_ITEM);
        char *before = NULL, *after;
        *has_lock = hold == HOLDS_THE_LOCK;
        if (hold == HOLDS_NOTHING || (hold == HOLDS_OTHERS && waits)) {
            go_through_a_lot(b, hold);
            before = world_dump(b->db);
            b->slept++;
        }
        wake_up(b, hold);
        cr_assert_eq(halt_wait(&b->sleeper, DEADLINE_MS), 0);
        judge_awake(b, hold == HOLDS_NOTHING ? HOLDS_NOTHING : HOLDS_OTHERS, was_there);
        after = world_dump(b->db);
        if (hold == HOLDS_NOTHING && before && !b->s->is_upkeep)
            cr_assert_str_eq(before, after, "store %lu: it changed a table that it never saw", (unsigned long)b->k);
        free(before);
        free(after);
    }
    must_be_clean(b, "at the end");
    b->lock = (lock_word *)(uintptr_t)seg_off(&b->db->seg, b->lock);
    writer_return(b->w);
    larder_close(b->db);
    close(b->memfd);
    halt_forget(&b->sleeper);
    return is_stopped;
}

/* The first lock of the rank that the call takes, as an offset. */
static uint64_t find_lock(const struct sleeper *s, int base) {
    struct sleep sleep = {s, world_copy(base), 1};
    struct larder *db = open_with(sleep.memfd, 50);
    struct halt h;
    struct halt_locks held;
    uint64_t off = 0;
    halt_start(&h, sleep_in_child, &sleep, 0);
    while (halt_wait(&h, DEADLINE_MS) && !off) {
        halt_look(db, &held);
        const struct halt_lock *found = halt_find_rank(&held, s->rank, 1);
        off = found ? found->off : 0;
        halt_go_on(&h, off ? 0 : 1);
    }
    if (!h.end.end)
        halt_wait(&h, DEADLINE_MS);
    larder_close(db);
    close(sleep.memfd);
    halt_forget(&h);
    return off;
}

static void all_sleeps(const struct sleeper *s) {
    struct bed b = {.s = s};
    uint64_t start_ms = until_now_ms();
    leaf_capacity = 4;
    int base = world_create(STRIPES), has_lock = 0;
    struct larder *db = open_with(base, 50);
    (s->prepare ? s->prepare : twenty_items)(db);
    larder_close(db);
    uint64_t off = s->rank == LOCK_GATE ? offsetof(struct seg_shm, gate_lock) : find_lock(s, base);
    cr_assert(off != 0, "the call takes no %s lock", lock_rank_name(s->rank));
    b.lock = (lock_word *)(uintptr_t)off; /* made a pointer for each copy */
    for (b.k = 1; !has_lock && sleep_at(&b, base, &has_lock); b.k++)
        ;
    fprintf(stderr, "%-12s lock: slept at %2lu stores, %lu operations meanwhile; %lu ms\n", lock_rank_name(s->rank),
            (unsigned long)b.slept, (unsigned long)b.operations, (unsigned long)(until_now_ms() - start_ms));
    cr_assert(has_lock && b.slept >= 4, "slept %lu times", (unsigned long)b.slept);
    close(base);
}

#define WAKE(id, rank, call, ...)                                                                                      \
    Test(wake, id) {                                                                                                   \
        static const struct sleeper s = {rank, call, __VA_ARGS__};                                                     \
        all_sleeps(&s);                                                                                                \
    }

WAKE(stripe, LOCK_STRIPE, put_one, .is_write = 1)
WAKE(gate, LOCK_GATE, put_one, .is_write = 1)
WAKE(partition, LOCK_PARTITION, put_one, .is_write = 1)
WAKE(shard, LOCK_SHARD, put_one, .is_write = 1)
WAKE(bin, LOCK_BIN, put_one, .is_write = 1)
WAKE(span, LOCK_SPAN, put_large, .is_write = 1)
WAKE(transact_stripe, LOCK_STRIPE, transact_two, .is_write = 1)
WAKE(transact_gate, LOCK_GATE, transact_two, .is_write = 1)
WAKE(transact_partition, LOCK_PARTITION, transact_two, .is_write = 1)
WAKE(transact_bin, LOCK_BIN, transact_two, .is_write = 1)
WAKE(catalog, LOCK_CATALOG, change_definition, .is_write = 0)
WAKE(merge_partition, LOCK_PARTITION, delete_and_merge, .prepare = leaving_half_leaves)
WAKE(merge_bin, LOCK_BIN, delete_and_merge, .prepare = leaving_half_leaves)
WAKE(evict_partition, LOCK_PARTITION, evict_one, .is_upkeep = 1, .prepare = evicting_items)
WAKE(evict_bin, LOCK_BIN, evict_one, .is_upkeep = 1, .prepare = evicting_items)
WAKE(move_bin, LOCK_BIN, move_an_item, .is_upkeep = 1)
WAKE(trim_bin, LOCK_BIN, trim, .is_upkeep = 1, .prepare = few_of_many)

/* ---- A destroyer ----------------------------------------------------------------------------- */

static int destroy_in_child(void *arg) {
    return larder_destroy(arg, 0) == LARDER_OK ? 0 : 1;
}

static void uuid_of(const char *name, uint32_t flags, uint8_t uuid[16]) {
    struct larder_options o = {.segment = name, .flags = flags, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    struct larder_segment_stats stats;
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    memcpy(uuid, stats.uuid, 16);
    larder_close(db);
}

/* The file is removed by hand while the destroyer stands still, and another process makes a segment
 * of that name. */
Test(wake, a_destroyer_removes_what_it_meant) {
    char name[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 16];
    uint8_t made[16], found[16];
    uint64_t stops = 0;
    for (uint64_t k = 1;; k++) {
        struct halt h;
        testseg_name(name);
        snprintf(path, sizeof path, "/dev/shm/%s", name);
        uuid_of(name, LARDER_CREATE | LARDER_EXCLUSIVE, made);
        halt_start(&h, destroy_in_child, name, k);
        if (!halt_wait(&h, DEADLINE_MS))
            break;
        stops++;
        cr_assert_eq(unlink(path), 0);
        uuid_of(name, LARDER_CREATE | LARDER_EXCLUSIVE, made);
        halt_go_on(&h, 0);
        cr_assert(!halt_wait(&h, DEADLINE_MS) && proc_is_exit(h.end, 0), "%s", proc_text(h.end));
        uuid_of(name, 0, found);
        cr_assert_arr_eq(made, found, 16);
        testseg_destroy(name);
        halt_forget(&h);
    }
    cr_assert_eq(stops, 3);
}
