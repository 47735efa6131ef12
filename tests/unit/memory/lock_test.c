/* tests/unit/memory/lock_test.c - locks that name their owner's slot.
 *
 * Goal     One holder at a time, over threads and processes. A waiter recovers a dead owner,
 *          whatever kind of lock it held. A stopped one gives LARDER_E_BUSY with its pid in time.
 *          Wrong order and wrong drops stop a debug build. Damaged words are errors, not endless
 *          waits.
 * Method   Real lock words of a segment with a table. Owners are other writers of this process,
 *          threads, or children that are killed or stopped while they hold.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/memory/recover.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(lock, .timeout = 60 * SLOW_FACTOR);

#define RANKS ((unsigned)LOCK_SPAN + 1)
#define BUSY_MS 200u

struct fixture {
    struct larder *db;
    struct writer *w;
    const struct table_view *v;
    lock_word *lock[RANKS]; /* one of each kind */
};

static void begin(struct fixture *f) {
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}};
    struct larder_table *t;
    f->db = testseg_open(8u << 20, 2);
    cr_assert_eq(larder_table_create(f->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f->db, "table", &t), LARDER_OK);
    cr_assert_eq(table_view(t, &f->v), LARDER_OK);
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    struct seg *s = f->w->seg;
    f->lock[LOCK_CATALOG] = &s->shm->catalog_lock;
    f->lock[LOCK_EXPIRER] = &s->shm->expirer_lock;
    f->lock[LOCK_GATE] = &s->shm->gate_lock;
    f->lock[LOCK_STRIPE] = &f->v->items.stripes[1].lock;
    f->lock[LOCK_PARTITION] = &f->v->partitions.stripes[0].lock;
    f->lock[LOCK_SHARD] = (lock_word *)(s->base + s->shards_off);
    f->lock[LOCK_BIN] = &seg_bin(s, 3)->lock;
    f->lock[LOCK_SPAN] = &s->shm->span_lock;
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    writer_return(f->w);
    for (unsigned rank = 0; rank < RANKS; rank++)
        cr_assert_eq(lock_owner(f->lock[rank]), -1, "%s", lock_rank_name(rank));
    int r = larder_check(f->db, NULL, &report);
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), report.first_error);
    larder_close(f->db);
}

static unsigned locks_noted(const struct writer *w) {
    unsigned count = 0;
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        count += SHM_LOAD(&w->slot->locks[i]) != 0;
    return count;
}

static struct writer *second_writer(struct fixture *f) {
    struct writer *w;
    cr_assert_eq(writer_borrow(f->db, &w), LARDER_OK, "%s", larder_error());
    return w;
}

/* ---- One holder ------------------------------------------------------------------------------ */

Test(lock, word_names_the_owner_and_slot_the_lock) {
    struct fixture f;
    begin(&f);
    struct writer *other = second_writer(&f);
    for (unsigned rank = 0; rank < RANKS; rank++) {
        cr_assert_eq(lock_take(f.w, f.lock[rank], rank), LARDER_OK);
        cr_assert_eq(SHM_LOAD(f.lock[rank]), f.w->id + 1);
        cr_assert_eq(lock_owner(f.lock[rank]), (int)f.w->id);
        cr_assert(lock_is_mine(f.w, f.lock[rank]) && !lock_is_mine(other, f.lock[rank]));
        cr_assert_eq(SHM_LOAD(&f.w->slot->locks[0]), seg_off(f.w->seg, f.lock[rank]));
        cr_assert_eq(lock_try(other, f.lock[rank], rank), LARDER_E_BUSY);
        cr_assert_eq(locks_noted(other), 0);
        lock_drop(f.w, f.lock[rank], rank);
        cr_assert_eq(SHM_LOAD(f.lock[rank]), 0);
        cr_assert_eq(locks_noted(f.w), 0);
        cr_assert_eq(lock_try(other, f.lock[rank], rank), LARDER_OK);
        lock_drop(other, f.lock[rank], rank);
    }
    cr_assert_eq(lock_is_mine(f.w, NULL), 0);
    writer_return(other);
    end(&f);
}

/* No code leaves such a word, but a flipped bit does: the lock is free for all that want it. */
Test(lock, word_of_a_waiter_alone_is_free) {
    struct fixture f;
    begin(&f);
    for (unsigned rank = 0; rank < RANKS; rank++) {
        SHM_STORE(f.lock[rank], LOCK_WAITERS);
        cr_assert_eq(lock_try(f.w, f.lock[rank], rank), LARDER_OK);
        cr_assert(lock_is_mine(f.w, f.lock[rank]));
        lock_drop(f.w, f.lock[rank], rank);
        cr_assert_eq(SHM_LOAD(f.lock[rank]), 0);
        SHM_STORE(f.lock[rank], LOCK_WAITERS);
        cr_assert_eq(lock_take(f.w, f.lock[rank], rank), LARDER_OK);
        lock_drop(f.w, f.lock[rank], rank);
        cr_assert_eq(SHM_LOAD(f.lock[rank]), 0);
    }
    end(&f);
}

Test(lock, ranks_are_known_by_place) {
    struct fixture f;
    enum lock_rank rank;
    begin(&f);
    const struct seg *s = f.w->seg;
    for (unsigned wanted = 0; wanted < RANKS; wanted++) {
        uint64_t off = seg_off(s, f.lock[wanted]);
        cr_assert(lock_rank_of(s, off, &rank) && rank == wanted, "%s", lock_rank_name(wanted));
        cr_assert_str_eq(lock_kind(s, off), lock_rank_name(wanted));
    }
    cr_assert_eq(lock_rank_of(s, 0, &rank), 0);
    cr_assert_eq(lock_rank_of(s, s->spans_off, &rank), 0);
    cr_assert_eq(lock_rank_of(s, s->bytes - 8, &rank), 0);
    cr_assert_str_eq(lock_kind(s, s->data_off - 8), "unknown");
    cr_assert_str_eq(lock_rank_name((enum lock_rank)99), "unknown");
    end(&f);
}

Test(lock, stripes_may_be_held_together) {
    struct fixture f;
    begin(&f);
    lock_word *first = &f.v->items.stripes[0].lock, *second = &f.v->items.stripes[1].lock;
    cr_assert_eq(lock_take(f.w, first, LOCK_STRIPE), LARDER_OK);
    cr_assert_eq(lock_take(f.w, second, LOCK_STRIPE), LARDER_OK);
    cr_assert_eq(locks_noted(f.w), 2);
    lock_drop(f.w, first, LOCK_STRIPE);
    cr_assert_eq(f.w->ranks_held, 1u << LOCK_STRIPE, "one is left");
    cr_assert_eq(lock_take(f.w, f.lock[LOCK_BIN], LOCK_BIN), LARDER_OK, "a higher rank still may be taken");
    lock_drop(f.w, f.lock[LOCK_BIN], LOCK_BIN);
    lock_drop(f.w, second, LOCK_STRIPE);
    cr_assert_eq(f.w->ranks_held, 0);
    end(&f);
}

Test(lock, statistics_name_what_is_held) {
    struct fixture f;
    struct larder_slot_stats stats[64], *mine = NULL;
    uint32_t count;
    begin(&f);
    cr_assert_eq(lock_take(f.w, f.lock[LOCK_STRIPE], LOCK_STRIPE), LARDER_OK);
    cr_assert_eq(lock_take(f.w, f.lock[LOCK_SPAN], LOCK_SPAN), LARDER_OK);
    cr_assert_eq(larder_slot_stats(f.db, stats, 64, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        if (stats[i].slot == f.w->id)
            mine = &stats[i];
    cr_assert_not_null(mine);
    cr_assert_eq(mine->lock_count, 2);
    cr_assert_str_eq(mine->lock_kinds[0], "stripe");
    cr_assert_str_eq(mine->lock_kinds[1], "span");
    cr_assert_lt(mine->lock_held_ns, UINT64_C(60000000000));
    lock_drop(f.w, f.lock[LOCK_SPAN], LOCK_SPAN);
    lock_drop(f.w, f.lock[LOCK_STRIPE], LOCK_STRIPE);
    end(&f);
}

/* ---- Mutual exclusion ------------------------------------------------------------------------ */

#define COUNTERS 4u
#define TURNS (40000u / SLOW_FACTOR)

struct shared {
    struct larder *db;
    lock_word *lock[COUNTERS];
    uint64_t counter[COUNTERS]; /* not atomic: only the lock guards it */
};

static int count_up(struct shared *c) {
    struct writer *w;
    if (writer_borrow(c->db, &w))
        return 1;
    for (unsigned i = 0; i < TURNS; i++) {
        unsigned n = i % COUNTERS;
        if (lock_take(w, c->lock[n], LOCK_BIN))
            return 1;
        c->counter[n]++;
        lock_drop(w, c->lock[n], LOCK_BIN);
    }
    writer_return(w);
    return 0;
}

static void *count_in_thread(void *arg) {
    return count_up(arg) ? arg : NULL;
}

static int count_in_process(void *arg) {
    return count_up(arg);
}

static struct shared *begin_counting(struct fixture *f) {
    begin(f);
    struct shared *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(c, MAP_FAILED);
    c->db = f->db;
    for (unsigned i = 0; i < COUNTERS; i++)
        c->lock[i] = &seg_bin(f->w->seg, i)->lock;
    return c;
}

static void end_counting(struct fixture *f, struct shared *c, unsigned counted_by) {
    for (unsigned i = 0; i < COUNTERS; i++) {
        cr_assert_eq(c->counter[i], (uint64_t)counted_by * TURNS / COUNTERS);
        cr_assert_eq(SHM_LOAD(c->lock[i]), 0, "no owner, and no waiter");
    }
    munmap(c, sizeof *c);
    end(f);
}

Test(lock, threads_exclude_each_other) {
    struct fixture f;
    struct shared *c = begin_counting(&f);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_in_thread, c), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    end_counting(&f, c, 4);
}

Test(lock, processes_exclude_each_other) {
    struct fixture f;
    struct shared *c = begin_counting(&f);
    pid_t pids[4];
    for (unsigned i = 0; i < 4; i++)
        pids[i] = proc_fork(count_in_process, c);
    for (unsigned i = 0; i < 4; i++) {
        struct proc_result r = proc_wait(pids[i], 30000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    end_counting(&f, c, 4);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

struct waiter {
    struct larder *db;
    lock_word *lock;
    _Atomic int has_it, may_drop;
    int result;
    uint32_t word; /* as it was when it was ours */
};

static void *wait_and_hold(void *arg) {
    struct waiter *me = arg;
    struct writer *w;
    me->result = writer_borrow(me->db, &w);
    if (me->result == LARDER_OK)
        me->result = lock_take(w, me->lock, LOCK_BIN);
    if (me->result == LARDER_OK) {
        me->word = SHM_LOAD(me->lock);
        atomic_store(&me->has_it, 1);
        (void)UNTIL(atomic_load(&me->may_drop), 20000);
        lock_drop(w, me->lock, LOCK_BIN);
        writer_return(w);
    }
    return NULL;
}

/* A waiter that slept cannot know whether others still do, so it takes the lock with LOCK_WAITERS:
 * else they would not be woken. */
Test(lock, sleepers_are_noted_and_served_one_after_the_other) {
    struct fixture f;
    struct waiter waiter[2];
    pthread_t thread[2];
    begin(&f);
    lock_word *lock = f.lock[LOCK_BIN];
    uint64_t waits = SHM_LOAD(&f.w->slot->lock_waits);
    cr_assert_eq(lock_take(f.w, lock, LOCK_BIN), LARDER_OK);
    for (unsigned i = 0; i < 2; i++) {
        waiter[i] = (struct waiter){.db = f.db, .lock = lock};
        cr_assert_eq(pthread_create(&thread[i], NULL, wait_and_hold, &waiter[i]), 0);
        cr_assert(
            /* the first sleeps, the second may */
            UNTIL(SHM_LOAD(lock) == (LOCK_WAITERS | (f.w->id + 1)), 10000));
    }
    cr_assert(!atomic_load(&waiter[0].has_it) && !atomic_load(&waiter[1].has_it));
    lock_drop(f.w, lock, LOCK_BIN);
    cr_assert(UNTIL(atomic_load(&waiter[0].has_it) || atomic_load(&waiter[1].has_it), 10000));
    unsigned first = atomic_load(&waiter[0].has_it) ? 0 : 1;
    cr_assert_not(atomic_load(&waiter[!first].has_it));
    atomic_store(&waiter[first].may_drop, 1);
    cr_assert(UNTIL(atomic_load(&waiter[!first].has_it), 10000));
    atomic_store(&waiter[!first].may_drop, 1);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        cr_assert_eq(waiter[i].result, LARDER_OK);
    }
    cr_assert(waiter[0].word & LOCK_WAITERS, "%08x", waiter[0].word);
    cr_assert_eq(SHM_LOAD(&f.w->slot->lock_waits), waits, "it did not wait itself");
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
    cr_assert_geq(stats.counters.lock_waits, 1);
    end(&f);
}

#define CUT_MS 1u

struct releaser {
    const struct writer *waiting;
    struct waiter *owner;
    uint64_t waits;
};

/* Some time after the other began to wait. */
static void *release_late(void *arg) {
    struct releaser *r = arg;
    (void)UNTIL(SHM_LOAD(&r->waiting->slot->lock_waits) > r->waits, 20000);
    uint64_t now_ms = until_now_ms();
    (void)UNTIL(until_now_ms() > now_ms + 30 * CUT_MS, 20000);
    atomic_store(&r->owner->may_drop, 1);
    return NULL;
}

/* A call that passes over what is locked cuts its waits short. But where it cannot turn back, it
 * waits as long as any: under the catalog lock alone, too, where a dropped table is emptied. */
Test(lock, a_wait_in_the_middle_of_a_change_is_not_cut_short) {
    struct fixture f;
    pthread_t owner, releaser;
    begin(&f);
    struct waiter holds = {.db = f.db, .lock = f.lock[LOCK_BIN]};
    cr_assert_eq(pthread_create(&owner, NULL, wait_and_hold, &holds), 0);
    cr_assert(UNTIL(atomic_load(&holds.has_it), 10000));
    f.w->inner_timeout_ms = f.w->busy_timeout_ms;
    f.w->busy_timeout_ms = CUT_MS;
    cr_assert_eq(lock_take(f.w, f.lock[LOCK_CATALOG], LOCK_CATALOG), LARDER_OK);
    struct releaser late = {f.w, &holds, SHM_LOAD(&f.w->slot->lock_waits)};
    cr_assert_eq(pthread_create(&releaser, NULL, release_late, &late), 0);
    cr_assert_eq(lock_take(f.w, f.lock[LOCK_BIN], LOCK_BIN), LARDER_OK, "%s", larder_error());
    lock_drop(f.w, f.lock[LOCK_BIN], LOCK_BIN);
    lock_drop(f.w, f.lock[LOCK_CATALOG], LOCK_CATALOG);
    f.w->inner_timeout_ms = 0;
    pthread_join(releaser, NULL);
    pthread_join(owner, NULL);
    cr_assert_eq(holds.result, LARDER_OK);
    end(&f);
}

/* ---- Owners that do not go on ---------------------------------------------------------------- */

struct holder {
    struct larder *db;
    lock_word *lock;
    enum lock_rank rank;
    struct talk {
        _Atomic int has_it;
    } * talk;
};

static int hold_for_ever(void *arg) {
    struct holder *h = arg;
    struct writer *w;
    PROC_CHECK(writer_borrow(h->db, &w) == LARDER_OK);
    PROC_CHECK(lock_take(w, h->lock, h->rank) == LARDER_OK);
    atomic_store(&h->talk->has_it, 1);
    pause();
    return 0;
}

static pid_t start_holder(struct fixture *f, struct holder *h, enum lock_rank rank) {
    struct talk *talk = mmap(NULL, sizeof *talk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(talk, MAP_FAILED);
    *h = (struct holder){f->db, f->lock[rank], rank, talk};
    pid_t pid = proc_fork(hold_for_ever, h);
    cr_assert(UNTIL(atomic_load(&talk->has_it), 10000));
    munmap(talk, sizeof *talk);
    return pid;
}

Test(lock, dead_owner_is_recovered_by_who_waits) {
    struct fixture f;
    begin(&f);
    for (enum lock_rank rank = 0; rank < RANKS; rank++) {
        struct holder h;
        pid_t pid = start_holder(&f, &h, rank);
        cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
        cr_assert_neq(lock_owner(h.lock), -1);
        uint64_t start_ms = until_own_ms();
        cr_assert_eq(lock_take(f.w, h.lock, rank), LARDER_OK, "%s: %s", lock_rank_name(rank), larder_error());
        uint64_t took_ms = until_own_ms() - start_ms;
        cr_assert_lt(took_ms, 500u * SLOW_FACTOR, "%s took %lu ms", lock_rank_name(rank), took_ms);
        lock_drop(f.w, h.lock, rank);
    }
    /* Waiters for inner locks left the rest of the slots to others. */
    uint32_t count;
    cr_assert_eq(recover_all(f.w, &count), LARDER_OK, "%s", larder_error());
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
    cr_assert_eq(stats.counters.recoveries, RANKS);
    end(&f);
}

/* A slot that died often keeps no note of the locks it had: it has room for eight. */
Test(lock, slot_survives_many_deaths) {
    struct fixture f;
    begin(&f);
    for (unsigned i = 0; i < 4 * SLOT_LOCKS; i++) {
        struct holder h;
        uint32_t count;
        cr_assert(proc_is_signal(proc_kill(start_holder(&f, &h, LOCK_STRIPE)), SIGKILL));
        struct slot_shm *dead = seg_slot(f.w->seg, (uint32_t)lock_owner(h.lock));
        unsigned place = 0;
        while (SHM_LOAD(&dead->locks[place]) != 0)
            cr_assert_lt(++place, SLOT_LOCKS);
        /* as if it died while it took one more */
        SHM_STORE(&dead->locks[place], seg_off(f.w->seg, f.lock[LOCK_BIN]));
        cr_assert_eq(recover_all(f.w, &count), LARDER_OK, "death %u: %s", i, larder_error());
        cr_assert_eq(count, 1);
    }
    end(&f);
}

Test(lock, stopped_owner_gives_busy_in_time_and_is_named) {
    struct fixture f;
    begin(&f);
    f.w->busy_timeout_ms = BUSY_MS;
    for (enum lock_rank rank = 0; rank < RANKS; rank++) {
        struct holder h;
        char shown[32];
        pid_t pid = start_holder(&f, &h, rank);
        proc_stop(pid);
        uint64_t start_ms = until_now_ms(), own_start_ms = until_own_ms();
        cr_assert_eq(lock_take(f.w, h.lock, rank), LARDER_E_BUSY, "%s", lock_rank_name(rank));
        uint64_t own_ms = until_own_ms() - own_start_ms, took_ms = until_now_ms() - start_ms;
        cr_assert(took_ms + 1 >= BUSY_MS && own_ms < BUSY_MS + 300u * SLOW_FACTOR, "took %lu ms", took_ms);
        snprintf(shown, sizeof shown, "process %d ", (int)pid);
        cr_assert(strstr(larder_error(), shown) && strstr(larder_error(), lock_rank_name(rank)), "%s", larder_error());
        cr_assert_eq(locks_noted(f.w), 0);
        cr_assert_eq(f.w->ranks_held, 0);
        proc_resume(pid);
        proc_kill(pid);
        cr_assert_eq(lock_take(f.w, h.lock, rank), LARDER_OK, "%s", larder_error());
        lock_drop(f.w, h.lock, rank);
    }
    uint32_t count;
    cr_assert_eq(recover_all(f.w, &count), LARDER_OK, "%s", larder_error());
    end(&f);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

Test(lock, damaged_word_is_an_error_and_no_wait_for_ever) {
    struct fixture f;
    begin(&f);
    struct writer *other = second_writer(&f);
    uint32_t free_slot = 0;
    while (SHM_LOAD(&seg_slot(f.w->seg, free_slot)->state) != SLOT_FREE)
        free_slot++;
    const uint32_t bad[] = {f.w->seg->slot_count + 1,      0x7fffffff, 0xffffffff, f.w->id + 1, free_slot + 1,
                            (free_slot + 1) | LOCK_WAITERS};
    f.w->busy_timeout_ms = BUSY_MS;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        SHM_STORE(f.lock[LOCK_STRIPE], bad[i]);
        cr_assert_eq(lock_take(f.w, f.lock[LOCK_STRIPE], LOCK_STRIPE), LARDER_E_CORRUPT, "%08x", bad[i]);
        cr_assert(strstr(larder_error(), "stripe lock names slot"), "%s", larder_error());
        cr_assert_eq(locks_noted(f.w), 0);
    }
    SHM_STORE(f.lock[LOCK_STRIPE], 0);
    writer_return(other);
    end(&f);
}

/* ---- The enforcer ---------------------------------------------------------------------------- */

struct order {
    struct fixture *f;
    enum lock_rank first, second;
};

static int take_two(void *arg) {
    struct order *o = arg;
    struct writer *w;
    proc_expect_crash();
    PROC_CHECK(writer_borrow(o->f->db, &w) == LARDER_OK);
    lock_word *first = o->f->lock[o->first], *second = o->f->lock[o->second];
    if (o->first == o->second) /* another lock of the same rank */
        second = o->first == LOCK_STRIPE ? &o->f->v->items.stripes[0].lock : &seg_bin(w->seg, 7)->lock;
    PROC_CHECK(lock_take(w, first, o->first) == LARDER_OK);
    PROC_CHECK(lock_take(w, second, o->second) == LARDER_OK);
    lock_drop(w, second, o->second);
    lock_drop(w, first, o->first);
    return 0;
}

static int drop_what_is_not_mine(void *arg) {
    struct fixture *f = arg;
    struct writer *w;
    proc_expect_crash();
    PROC_CHECK(writer_borrow(f->db, &w) == LARDER_OK);
    lock_drop(w, f->lock[LOCK_BIN], LOCK_BIN);
    return 0;
}

Test(lock, wrong_order_stops_a_debug_build) {
    struct fixture f;
    uint32_t count;
    if (!LARDER_ASSERT)
        cr_skip_test("no assertions in this build");
    begin(&f);
    for (enum lock_rank first = 0; first < RANKS; first++)
        for (enum lock_rank second = 0; second < RANKS; second++) {
            int is_right = first < second || (first == LOCK_STRIPE && second == LOCK_STRIPE);
            struct proc_result r = proc_run(take_two, &(struct order){&f, first, second}, 20000);
            cr_assert(is_right ? proc_is_exit(r, 0) : proc_is_signal(r, SIGABRT), "%s then %s: %s",
                      lock_rank_name(first), lock_rank_name(second), proc_text(r));
            cr_assert_eq(recover_all(f.w, &count), LARDER_OK, "%s", larder_error());
        }
    struct proc_result r = proc_run(drop_what_is_not_mine, &f, 20000);
    cr_assert(proc_is_signal(r, SIGABRT), "%s", proc_text(r));
    cr_assert_eq(recover_all(f.w, &count), LARDER_OK);
    end(&f);
}
