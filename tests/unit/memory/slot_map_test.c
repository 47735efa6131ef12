/* tests/unit/memory/slot_map_test.c - the map of free slots, the bell and the turns of waiters.
 *
 * Goal     The first free slot is found, by one of many that look. A wrong map costs time, never a
 *          slot, and never gives a slot to two. A waiter that listens before the bell is rung does
 *          not sleep through it.
 * Method   The functions of core/memory/slot_map.h on a segment of 70 slots, so that the last word
 *          of the map is not full.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "core/base/wait.h"
#include "core/memory/recover.h"
#include "core/memory/slot_map.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(slot_map, .timeout = 60 * SLOW_FACTOR);

#define SLOTS 70u
#define TAKERS 4u
#define ROUNDS (20000u / SLOW_FACTOR)

static struct larder *begin(void) {
    struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD,
                               .memfd = -1,
                               .size_bytes = 8u << 20,
                               .stripe_count = 2,
                               .slot_count = SLOTS};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    writer_close_all(&db->writers);
    return db;
}

static void end(struct larder *db) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_close(db);
}

static void borrow_all(struct larder *db, struct writer *w[SLOTS]) {
    uint32_t seen[SLOTS] = {0};
    for (uint32_t i = 0; i < SLOTS; i++) {
        cr_assert_eq(writer_borrow(db, &w[i]), LARDER_OK, "slot %u of %u: %s", i, SLOTS, larder_error());
        cr_assert_eq(seen[w[i]->id]++, 0, "slot %u twice", w[i]->id);
    }
}

static void return_all(struct writer *w[SLOTS]) {
    for (uint32_t i = 0; i < SLOTS; i++)
        writer_return(w[i]);
}

static void fill_map(const struct seg *s, uint64_t word) {
    SHM_STORE(&seg_slot(s, 0)->map, word);
    SHM_STORE(&seg_slot(s, 1)->map, word);
}

/* ---- The map --------------------------------------------------------------------------------- */

Test(slot_map, gives_the_first_free_one) {
    struct larder *db = begin();
    const struct seg *s = &db->seg;
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_assert_eq(slot_map_take(s, 0), i);
    cr_assert_eq(slot_map_take(s, 0), SLOTS, "none is left");
    slot_map_give(s, 69);
    slot_map_give(s, 3);
    slot_map_give(s, 64);
    cr_assert(!slot_map_is_taken(s, 3) && slot_map_is_taken(s, 4));
    cr_assert_eq(slot_map_take(s, 4), 64, "from 4 on");
    cr_assert_eq(slot_map_take(s, 0), 3);
    cr_assert_eq(slot_map_take(s, 0), 69);
    cr_assert_eq(slot_map_take(s, 69), SLOTS);
    fill_map(s, 0);
    end(db);
}

struct takers {
    struct larder *db;
    _Atomic uint32_t owners[SLOTS], twice, none;
};

static void *take_and_give(void *arg) {
    struct takers *t = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t slot = slot_map_take(&t->db->seg, 0);
        if (slot == SLOTS) {
            atomic_fetch_add(&t->none, 1);
            continue;
        }
        if (atomic_fetch_add(&t->owners[slot], 1) != 0)
            atomic_fetch_add(&t->twice, 1);
        atomic_fetch_sub(&t->owners[slot], 1);
        slot_map_give(&t->db->seg, slot);
    }
    return NULL;
}

Test(slot_map, each_is_given_to_one) {
    static struct takers t;
    pthread_t thread[TAKERS];
    t.db = begin();
    for (uint32_t i = 0; i < SLOTS - TAKERS; i++) /* few are left, so they meet */
        slot_map_take(&t.db->seg, 0);
    for (unsigned i = 0; i < TAKERS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, take_and_give, &t), 0);
    for (unsigned i = 0; i < TAKERS; i++)
        pthread_join(thread[i], NULL);
    cr_assert_eq(t.twice, 0);
    cr_assert_eq(t.none, 0, "there is one for each");
    fill_map(&t.db->seg, 0);
    end(t.db);
}

/* ---- Wrong ones ------------------------------------------------------------------------------ */

/* A segment that an older library used, or a map that was zeroed: nothing is known, everything is
 * found. */
Test(slot_map, empty_one_of_taken_slots_is_learnt) {
    struct larder *db = begin(), *other = testseg_attach(db, 0);
    struct writer *w[SLOTS], *more;
    writer_close_all(&other->writers);
    borrow_all(db, w);
    fill_map(&db->seg, 0);
    cr_assert_eq(writer_borrow_within(other, 50, &more), LARDER_E_NO_SLOT, "none is given twice");
    cr_assert_eq(slot_map_take(&db->seg, 0), SLOTS, "it knows now");
    return_all(w);
    larder_close(other);
    end(db);
}

/* Deaths between a slot's bit and its state leave bits of free slots. */
Test(slot_map, full_one_of_free_slots_hides_none) {
    struct larder *db = begin();
    struct writer *w[SLOTS];
    fill_map(&db->seg, UINT64_MAX);
    borrow_all(db, w);
    return_all(w);
    end(db);
}

Test(slot_map, recovery_mends_it) {
    struct larder *db = begin();
    struct writer *w;
    uint32_t count;
    fill_map(&db->seg, UINT64_MAX);
    cr_assert_eq(writer_borrow(db, &w), LARDER_OK);
    cr_assert_eq(recover_all(w, &count), LARDER_OK);
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_assert_eq(slot_map_is_taken(&db->seg, i), i == w->id, "slot %u", i);
    writer_return(w);
    end(db);
}

/* In steps, as the expirer does it. */
Test(slot_map, recovery_in_steps_comes_round) {
    struct larder *db = begin();
    struct writer *w[SLOTS], *me;
    uint32_t count, total = 0, from = 0, steps = 0;
    borrow_all(db, w);
    for (uint32_t i = 0; i < SLOTS - 1; i++)
        if (i % 3 == 0)
            writer_abandon(w[i]);
    me = w[SLOTS - 1];
    for (; total < (SLOTS + 1) / 3 && steps < 100; steps++) {
        cr_assert_eq(recover_some(me, &from, 10, &count), LARDER_OK);
        cr_assert_leq(count, 10);
        total += count;
    }
    cr_assert(total == (SLOTS + 1) / 3 && steps >= 6 && steps <= 8, "%u recovered in %u steps", total, steps);
    for (uint32_t i = 0; i < SLOTS; i++)
        if (i == SLOTS - 1 || i % 3 != 0)
            writer_return(w[i]);
    end(db);
}

/* ---- Bell and turns -------------------------------------------------------------------------- */

static void *sleep_on_bell(void *arg) {
    struct larder *db = arg;
    uint32_t heard = slot_bell_listen(&db->seg, 0);
    slot_bell_sleep(&db->seg, heard, 0, 300000);
    return NULL;
}

Test(slot_map, bell_wakes_who_listened) {
    struct larder *db = begin();
    const struct seg *s = &db->seg;
    pthread_t thread;
    uint64_t start = until_now_ms();
    uint32_t heard = slot_bell_listen(s, 0);
    cr_assert(slot_bell_is_waited_for(s));
    slot_bell_ring(s);
    cr_assert(!slot_bell_is_waited_for(s));
    slot_bell_sleep(s, heard, 0, 200000); /* it was rung before */
    uint32_t silent = SHM_LOAD(&s->shm->slot_bell);
    slot_bell_ring(s);
    cr_assert_eq(SHM_LOAD(&s->shm->slot_bell), silent, "no listener, nothing is stored");
    cr_assert_eq(pthread_create(&thread, NULL, sleep_on_bell, db), 0);
    cr_assert(UNTIL(slot_bell_is_waited_for(s), 20000));
    slot_bell_ring(s);
    pthread_join(thread, NULL);
    cr_assert_lt(until_now_ms(), start + 200000, "woken");
    end(db);
}

Test(slot_map, turns_are_taken_by_one_at_a_time) {
    struct larder *db = begin();
    const struct seg *s = &db->seg;
    uint32_t from;
    cr_assert(slot_turn_take(s, 1000, 30, &from) && from == 0);
    cr_assert(!slot_turn_take(s, 1001, 30, &from), "another one just took it");
    cr_assert(slot_turn_take(s, 1010, 30, &from) && from == 30);
    cr_assert(slot_turn_take(s, 1020, 30, &from) && from == 60);
    cr_assert(slot_turn_take(s, 1030, 30, &from) && from == 20, "it goes round");
    slot_turn_pass(s, 1030, 22);
    cr_assert(slot_turn_take(s, 1030, 30, &from) && from == 22, "at once");
    /* damage, or another clock: only time is lost */
    SHM_STORE(&s->shm->slot_turn, UINT64_MAX);
    cr_assert(slot_turn_take(s, 1040, 30, &from) && from < SLOTS);
    end(db);
}
