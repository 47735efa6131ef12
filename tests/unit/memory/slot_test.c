/* tests/unit/memory/slot_test.c - writers' slots: taken, pooled, given back, lost.
 *
 * Goal     A slot belongs to one writer. All of them can be taken, and then the next call gets
 *          LARDER_E_NO_SLOT. Slots of dead processes are recovered and taken again, whatever they
 *          held. Threads, forks and closes leave none behind.
 * Method   writer_borrow() as every writing call uses it. A second attachment stands for another
 *          process; children die.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/heap_span.h"
#include "core/memory/recover.h"
#include "core/memory/slot_map.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(slot, .timeout = 60 * SLOW_FACTOR);

#define SLOTS 64u
#define SHORT_MS 60u /* busy_timeout_ms of calls that are to be refused */

static struct larder *begin(void) {
    struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD,
                               .memfd = -1,
                               .size_bytes = 8u << 20,
                               .stripe_count = 2,
                               .slot_count = SLOTS};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(db->seg.slot_count, SLOTS);
    return db;
}

/* LARDER_OK and *w, or why there is none, and that the call waited. */
static int try_to_borrow(struct larder *db, struct writer **w) {
    uint64_t start = until_now_ms();
    int r = writer_borrow_within(db, SHORT_MS, w);
    cr_assert(r == LARDER_OK || until_now_ms() >= start + SHORT_MS, "%s at once", larder_result_name(r));
    return r;
}

static void end(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), report.first_error);
    larder_close(db);
}

static uint32_t slots_used(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.slots_used;
}

static uint32_t slots_of(struct larder *db, pid_t pid) {
    struct larder_slot_stats stats[SLOTS];
    uint32_t count, found = 0;
    cr_assert_eq(larder_slot_stats(db, stats, SLOTS, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        found += stats[i].pid == pid && stats[i].is_alive;
    return found;
}

static struct writer *borrow(struct larder *db) {
    struct writer *w;
    int r = writer_borrow(db, &w);
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), larder_error());
    return w;
}

static void borrow_all(struct larder *db, struct writer *w[SLOTS]) {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        w[i] = borrow(db);
        cr_assert(w[i]->id < SLOTS && !(seen >> w[i]->id & 1), "slot %u twice", w[i]->id);
        seen |= UINT64_C(1) << w[i]->id;
    }
}

static void return_all(struct writer *w[SLOTS]) {
    for (uint32_t i = 0; i < SLOTS; i++)
        writer_return(w[i]);
}

/* ---- Taking and giving back ------------------------------------------------------------------ */

Test(slot, says_whose_it_is) {
    struct larder *db = begin();
    uint64_t now_s = (uint64_t)time(NULL);
    struct writer *w = borrow(db);
    cr_assert_eq(SHM_LOAD(&w->slot->state), SLOT_LIVE);
    cr_assert_eq(SHM_LOAD(&w->slot->pid), getpid());
    cr_assert(SHM_LOAD(&w->slot->started_s) >= now_s && SHM_LOAD(&w->slot->started_s) <= now_s + 60);
    cr_assert_eq(live_is_held(&db->seg, w->id), 1);
    uint64_t generation = SHM_LOAD(&w->slot->generation);
    uint32_t id = w->id;
    writer_return(w);
    w = borrow(db);
    cr_assert(w->id == id && SHM_LOAD(&w->slot->generation) == generation, "kept for the next call");
    writer_return(w);
    struct larder *other = testseg_attach(db, 0), *third;
    cr_assert_eq(slots_used(other), 2, "an attached process has one");
    larder_close(db);
    cr_assert_eq(slots_used(other), 1);
    third = testseg_attach(other, 0);
    w = borrow(third);
    cr_assert(w->id == id && SHM_LOAD(&w->slot->generation) == generation + 1, "another owner");
    writer_return(w);
    larder_close(third);
    end(other);
}

Test(slot, all_can_be_taken_and_no_more) {
    struct larder *db = begin(), *other;
    struct writer *w[SLOTS], *one_more = NULL;
    borrow_all(db, w);
    other = testseg_attach(db, 0); /* a reader needs none */
    cr_assert_eq(slots_used(db), SLOTS);
    cr_assert_eq(recover_for_lock(w[0], w[1]->id, LOCK_CATALOG), LARDER_E_BUSY, "a suspicion makes no slot dead");
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(try_to_borrow(i ? other : db, &one_more), LARDER_E_NO_SLOT);
        cr_assert(strstr(larder_error(), "all 64 writer slots") && strstr(larder_error(), "its 1 live process"), "%s",
                  larder_error());
        cr_assert_null(one_more);
    }
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}};
    other->writers.busy_timeout_ms = SHORT_MS;
    cr_assert_eq(larder_table_create(other, &def), LARDER_E_NO_SLOT, "every writing call says so");
    writer_return(w[17]);
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_drop(other, "table"), LARDER_E_NO_SLOT, "the other's pool keeps its slots");
    w[17] = borrow(db);
    return_all(w);
    larder_close(db);
    cr_assert_eq(slots_used(other), 0);
    borrow_all(other, w);
    return_all(w);
    end(other);
}

Test(slot, readers_take_none) {
    struct larder *db = begin(), *reader = testseg_attach(db, LARDER_READ_ONLY);
    struct larder_check_report report;
    struct writer *w;
    cr_assert_eq(writer_borrow(reader, &w), LARDER_E_READ_ONLY);
    cr_assert_eq(larder_check(reader, NULL, &report), LARDER_OK, "%s", report.first_error);
    cr_assert_eq(slots_used(reader), slots_of(reader, getpid()));
    larder_close(db);
    cr_assert_eq(slots_used(reader), 0);
    db = testseg_attach(reader, 0);
    larder_close(reader);
    end(db);
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

struct death {
    struct larder *db;
    uint32_t slots;
    struct talk {
        _Atomic uint32_t has;
    } * talk;
};

/* Takes slots, a block in each, a lock in the first, and waits to be killed. */
static int take_and_wait(void *arg) {
    const struct death *d = arg;
    for (uint32_t i = 0; i < d->slots; i++) {
        struct writer *w;
        uint64_t off;
        int r;
        PROC_CHECK(writer_borrow(d->db, &w) == LARDER_OK);
        while ((r = heap_take(w, 100 + i * 300, HAND_STEP1 | HAND_NEW, 0, &off)) == OBSTACLE_CLAIM)
            PROC_CHECK(writer_claim(w) == LARDER_OK);
        PROC_CHECK(r == LARDER_OK);
        PROC_CHECK(i || lock_take(w, &d->db->seg.shm->expirer_lock, LOCK_EXPIRER) == LARDER_OK);
    }
    atomic_store(&d->talk->has, d->slots);
    pause();
    return 0;
}

static pid_t start(struct death *d) {
    d->talk = mmap(NULL, sizeof *d->talk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(d->talk, MAP_FAILED);
    pid_t pid = proc_fork(take_and_wait, d);
    cr_assert(UNTIL(atomic_load(&d->talk->has) == d->slots, 20000));
    munmap(d->talk, sizeof *d->talk);
    return pid;
}

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

Test(slot, dead_are_recovered_when_no_other_is_free) {
    struct larder *db = begin();
    struct writer *w[SLOTS], *one_more;
    struct larder_segment_stats stats;
    uint64_t bytes = used_bytes(db);
    for (uint64_t round = 1; round <= 12; round++) {
        struct death d = {db, SLOTS, NULL};
        writer_close_all(&db->writers); /* the children need them all */
        cr_assert_eq(slots_used(db), 0);
        pid_t pid = start(&d);
        cr_assert_eq(try_to_borrow(db, &one_more), LARDER_E_NO_SLOT, "they live");
        cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
        cr_assert_eq(slots_used(db), SLOTS, "no process noticed yet");
        borrow_all(db, w);
        cr_assert_eq(used_bytes(db), bytes, "what they had in hand is back");
        cr_assert_eq(lock_owner(&db->seg.shm->expirer_lock), -1);
        cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
        cr_assert_eq(stats.counters.recoveries, round * SLOTS);
        return_all(w);
    }
    end(db);
}

Test(slot, check_recovers_the_dead_and_leaves_the_living) {
    struct larder *db = begin();
    struct larder_check_report report;
    struct death dead = {db, 5, NULL}, living = {db, 1, NULL};
    pid_t pid = start(&dead);
    proc_kill(pid);
    cr_assert_eq(SHM_LOAD(&db->seg.shm->expirer_lock) != 0, 1);
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    cr_assert_eq(report.dead_slots, 5);
    pid = start(&living);
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    cr_assert_eq(report.dead_slots, 0);
    cr_assert_eq(slots_of(db, pid), 1);
    proc_kill(pid);
    end(db);
}

/* Stopped is not dead: its slots stay its own. */
Test(slot, stopped_process_keeps_its_slots) {
    struct larder *db = begin();
    struct writer *w;
    uint32_t count;
    struct death d = {db, SLOTS - 1, NULL};
    pid_t pid = start(&d);
    proc_stop(pid);
    w = borrow(db);
    cr_assert_eq(recover_all(w, &count), LARDER_OK);
    cr_assert_eq(count, 0);
    writer_return(w);
    struct larder *other = testseg_attach(db, 0);
    cr_assert_eq(try_to_borrow(other, &w), LARDER_E_NO_SLOT);
    proc_kill(pid);
    writer_return(borrow(other));
    larder_close(other);
    end(db);
}

/* A writer that cannot go on gives its slot up: for all others it is dead. */
Test(slot, abandoned_is_as_good_as_dead) {
    struct larder *db = begin();
    struct writer *w = borrow(db), *other;
    uint64_t bytes = used_bytes(db), off;
    uint32_t id = w->id, count;
    cr_assert_eq(heap_take(w, 5000, HAND_STEP1 | HAND_NEW, 0, &off), LARDER_OK);
    cr_assert_eq(lock_take(w, &db->seg.shm->catalog_lock, LOCK_CATALOG), LARDER_OK);
    w->is_stuck = 1;
    writer_end(w);
    cr_assert_eq(live_is_held(&db->seg, id), 0);
    other = borrow(db);
    cr_assert_neq(other->id, id, "a dead slot is no free one");
    cr_assert_eq(recover_all(other, &count), LARDER_OK, "%s", larder_error());
    cr_assert_eq(count, 1);
    cr_assert_eq(used_bytes(db), bytes);
    cr_assert_eq(lock_owner(&db->seg.shm->catalog_lock), -1);
    writer_return(other);
    end(db);
}

/* ---- Two meet one death ---------------------------------------------------------------------- */

struct undertaker {
    struct writer *w;
    pthread_barrier_t *both;
};

static void *recover_them(void *arg) {
    struct undertaker *u = arg;
    uint32_t count;
    pthread_barrier_wait(u->both);
    int r = recover_all(u->w, &count);
    return r == LARDER_OK || r == LARDER_E_BUSY ? NULL : u; /* BUSY: the other one has it */
}

/* The expirer goes through the dead slots while another process looks for a slot. That process may
 * find a slot free again behind it, already looked at, and the next one taken, by the expirer. */
Test(slot, one_is_had_while_another_recovers_the_dead) {
    struct larder *db = begin(), *other = testseg_attach(db, 0);
    struct writer *w[SLOTS];
    pthread_barrier_t both;
    cr_assert_eq(pthread_barrier_init(&both, NULL, 2), 0);
    writer_close_all(&other->writers);
    for (unsigned round = 0; round < 400; round++) {
        struct undertaker u = {borrow(db), &both};
        pthread_t thread;
        void *failed;
        unsigned living = SLOTS - 1 - (1 + round % 4);
        for (unsigned i = 0; i < SLOTS - 1; i++)
            w[i] = borrow(db);
        for (unsigned i = living; i < SLOTS - 1; i++)
            writer_abandon(w[i]);
        cr_assert_eq(pthread_create(&thread, NULL, recover_them, &u), 0);
        pthread_barrier_wait(&both);
        writer_return(borrow(other));
        pthread_join(thread, &failed);
        cr_assert_null(failed);
        writer_close_all(&other->writers);
        for (unsigned i = 0; i < living; i++)
            writer_return(w[i]);
        writer_return(u.w);
    }
    pthread_barrier_destroy(&both);
    larder_close(other);
    end(db);
}

struct successor {
    struct larder *db;
    uint64_t k;
};

static int recover_and_stop(void *arg) {
    const struct successor *s = arg;
    struct writer *w;
    shm_crash_arm_stop(s->k);
    PROC_CHECK(writer_borrow(s->db, &w) == LARDER_OK);
    pause();
    return 0;
}

static int is_had_by(struct larder *db, uint32_t id, pid_t pid) {
    struct slot_shm *slot = seg_slot(&db->seg, id);
    return SHM_LOAD(&slot->state) == SLOT_LIVE && SHM_LOAD(&slot->pid) == pid &&
           SHM_LOAD(&slot->found_dead) != (uint32_t)SHM_LOAD(&slot->generation);
}

static int is_stopped(pid_t pid) {
    int status;
    return waitpid(pid, &status, WUNTRACED | WNOHANG) == pid && WIFSTOPPED(status);
}

/* The last slot is dead. The process that recovers and takes it stands still at its k-th store. 1
 * if it came to that store. */
static int wait_for_the_last_one(struct larder *db, struct larder *other, uint32_t last, uint64_t k, unsigned *waited) {
    struct successor s = {db, k};
    struct writer *one_more;
    slot_bell_ring(&db->seg); /* so that its first store says that it waits */
    pid_t pid = proc_fork(recover_and_stop, &s);
    int stopped = 0;
    cr_assert(UNTIL((stopped = is_stopped(pid)) || is_had_by(db, last, pid), 20000));
    if (stopped) {
        int is_free = SHM_LOAD(&seg_slot(&db->seg, last)->state) == SLOT_FREE && live_is_held(&db->seg, last) == 0;
        int r = try_to_borrow(other, &one_more);
        int is_had = is_had_by(db, last, pid);
        cr_assert_eq(r,
                     is_free  ? LARDER_OK
                     : is_had ? LARDER_E_NO_SLOT
                              : LARDER_E_BUSY,
                     "store %u: %s", (unsigned)k, larder_error());
        cr_assert(is_free || is_had || strstr(larder_error(), "no writer slot is free"), "%s", larder_error());
        if (r == LARDER_OK)
            writer_return(one_more);
        writer_close_all(&other->writers);
        *waited += r == LARDER_E_BUSY;
        proc_resume(pid);
        cr_assert(UNTIL(is_had_by(db, last, pid), 20000));
    }
    cr_assert_eq(try_to_borrow(other, &one_more), LARDER_E_NO_SLOT, "and keeps it");
    proc_kill(pid);
    return stopped;
}

/* A dead slot that another process recovers, and a free one that it has not left or taken yet, have
 * no living owner, but must be waited for. The first stores of that process say that it waits, that
 * it is its turn to look for dead slots, and that the owner is dead. Before the last of these no
 * wait is needed; nor between the recovery's last store and the claim's first, where the slot is
 * free. */
Test(slot, the_last_one_is_waited_for_while_another_recovers_it) {
    struct larder *db = begin(), *other = testseg_attach(db, 0);
    struct writer *w[SLOTS];
    uint64_t k = 4;
    unsigned waited = 0;
    writer_close_all(&other->writers);
    borrow_all(db, w);
    uint32_t last = w[SLOTS - 1]->id;
    writer_abandon(w[SLOTS - 1]);
    while (wait_for_the_last_one(db, other, last, k, &waited))
        k++;
    cr_assert(waited >= 7 && k - 4 - waited <= 4, "at %u of %u stores of a recovery and a claim", waited, (unsigned)k);
    writer_return(borrow(other));
    for (unsigned i = 0; i < SLOTS - 1; i++)
        writer_return(w[i]);
    larder_close(other);
    end(db);
}

/* ---- Forks and threads ----------------------------------------------------------------------- */

struct family {
    struct larder *db;
    uint32_t parents; /* slot */
};

static int use_own_slot(void *arg) {
    const struct family *family = arg;
    struct larder *db = family->db;
    struct writer *w;
    PROC_CHECK(writer_borrow(db, &w) == LARDER_OK);
    PROC_CHECK(w->id != family->parents && SHM_LOAD(&w->slot->pid) == getpid());
    PROC_CHECK(live_is_held(&db->seg, family->parents) == 1);
    writer_return(w);
    larder_close(db);
    return 0;
}

Test(slot, forked_child_takes_its_own) {
    struct larder *db = begin();
    struct writer *w = borrow(db);
    struct family arg = {db, w->id};
    writer_return(w); /* idle in the pool, which the child has a copy of */
    for (unsigned i = 0; i < 10; i++) {
        struct proc_result r = proc_run(use_own_slot, &arg, 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
        cr_assert_eq(slots_used(db), 1, "the child gave its own back");
    }
    w = borrow(db);
    cr_assert_eq(w->id, arg.parents);
    writer_return(w);
    end(db);
}

#define THREADS 8u

struct worker {
    struct larder_table *t;
    struct larder *db;
    unsigned number;
    int result;
};

static int put_many(const struct worker *me) {
    struct larder_builder *b;
    int r = larder_builder_new(me->db, &b);
    for (unsigned i = 0; i < 2000 / SLOW_FACTOR && r == LARDER_OK; i++) {
        const struct larder_item *item;
        char key[32];
        snprintf(key, sizeof key, "%u#%u", me->number, i % 100);
        larder_builder_reset(b);
        larder_builder_add_s(b, "pk", key);
        larder_builder_add_int(b, "i", i);
        r = larder_builder_finish(b, &item);
        if (r == LARDER_OK)
            r = larder_put(me->t, item, NULL);
    }
    larder_builder_free(b);
    return r;
}

static void *work(void *arg) {
    struct worker *me = arg;
    me->result = put_many(me);
    return NULL;
}

Test(slot, threads_share_a_pool) {
    struct larder *db = begin(), *other = testseg_attach(db, 0);
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}};
    struct worker worker[THREADS];
    pthread_t thread[THREADS];
    struct larder_table *t;
    struct larder_segment_stats stats;
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(db, "table", &t), LARDER_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){t, db, i, 0};
        cr_assert_eq(pthread_create(&thread[i], NULL, work, &worker[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        cr_assert_eq(worker[i].result, LARDER_OK, "%s", larder_result_name(worker[i].result));
    }
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    cr_assert_leq(stats.slots_used, THREADS + 1);
    cr_assert_eq(stats.counters.puts, THREADS * (2000 / SLOW_FACTOR));
    larder_close(db);
    cr_assert_eq(slots_used(other), 1);
    end(other);
}

struct crowd {
    struct larder *db;
    pthread_barrier_t all_tried;
    _Atomic unsigned got, refused, other;
};

/* Holds its slot until all have tried. */
static void *borrow_in_a_crowd(void *arg) {
    struct crowd *c = arg;
    struct writer *w;
    int r = writer_borrow_within(c->db, 20 * SHORT_MS, &w);
    atomic_fetch_add(r == LARDER_OK ? &c->got : r == LARDER_E_NO_SLOT ? &c->refused : &c->other, 1);
    pthread_barrier_wait(&c->all_tried);
    if (r == LARDER_OK)
        writer_return(w);
    return NULL;
}

Test(slot, more_threads_than_slots_share_what_there_is) {
    struct crowd c = {.db = begin()};
    pthread_t thread[SLOTS + 10];
    cr_assert_eq(pthread_barrier_init(&c.all_tried, NULL, SLOTS + 10), 0);
    for (unsigned i = 0; i < SLOTS + 10; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, borrow_in_a_crowd, &c), 0);
    for (unsigned i = 0; i < SLOTS + 10; i++)
        pthread_join(thread[i], NULL);
    cr_assert(c.got == SLOTS && c.refused == 10 && c.other == 0, "%u got one, %u refused, %u else", c.got, c.refused,
              c.other);
    pthread_barrier_destroy(&c.all_tried);
    end(c.db);
}
