/* tests/unit/support/shared_test.c - the judge of keys that many write (tests/torture/shared.h) is
 * judged.
 *
 * Goal     Each rule J1 to J4 accepts what is right, and finds what is wrong: a judge that finds
 *          nothing proves nothing.
 * Method   Small histories by hand: which write began and ended, in which order, and what a read
 *          then shows.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/slow.h"
#include "tests/torture/shared.h"

TestSuite(shared, .timeout = 20 * SLOW_FACTOR);

#define TABLE 0u
#define KEY 5u

static struct shared *new_history(void) {
    struct shared *h = calloc(1, sizeof *h);
    cr_assert(h != NULL);
    h->now_s = SHARED_EPOCH_S;
    return h;
}

static struct shared_note begin_write(struct shared *h, uint32_t author) {
    struct shared_note note;
    shared_take(h, author, TABLE, KEY, &note);
    shared_begin(&note, 0);
    return note;
}

static uint32_t whole_write(struct shared *h, uint32_t author) {
    struct shared_note note = begin_write(h, author);
    shared_acked(&note);
    return note.serial;
}

static int is_seen_rightly(struct shared *h, const struct shared_read *r, uint32_t serial) {
    return shared_judge_seen(h, r, TABLE, KEY, serial, 0) == NULL;
}

/* The write with the serial that arg points to leaves no item. */
static int is_delete(void *arg, uint32_t serial, int64_t value) {
    (void)value;
    return serial == *(uint32_t *)arg;
}

static int is_unseen_rightly(struct shared *h, const struct shared_read *r, uint32_t deleted_by) {
    return shared_judge_unseen(h, r, TABLE, KEY, 0, is_delete, &deleted_by) == NULL;
}

static int is_read_rightly(struct shared *h, uint32_t serial) {
    struct shared_read r;
    shared_read_begin(h, &r);
    shared_read_end(h, &r);
    return serial ? is_seen_rightly(h, &r, serial) : is_unseen_rightly(h, &r, 0);
}

Test(shared, the_last_write_is_seen_and_no_older_one) {
    struct shared *h = new_history();
    cr_assert(is_read_rightly(h, 0)); /* no write yet */
    uint32_t first = whole_write(h, 0), second = whole_write(h, 1);
    cr_assert(is_read_rightly(h, second));
    cr_assert(!is_read_rightly(h, first));
    cr_assert(!is_read_rightly(h, 0), "an acknowledged write is lost");
    cr_assert(!is_read_rightly(h, second + 1), "that was never written");
    free(h);
}

Test(shared, writes_at_once_may_come_in_any_order_but_in_one) {
    struct shared *h = new_history();
    struct shared_note a = begin_write(h, 0), b = begin_write(h, 1);
    shared_acked(&b);
    shared_acked(&a);
    cr_assert(is_read_rightly(h, a.serial));
    cr_assert(is_read_rightly(h, b.serial), "as far as the history tells, that is the later one");
    free(h);
}

Test(shared, what_was_seen_stays) {
    struct shared *h = new_history();
    uint32_t old = whole_write(h, 0);
    struct shared_note pending = begin_write(h, 1);
    cr_assert(is_read_rightly(h, old));
    cr_assert(is_read_rightly(h, pending.serial));
    cr_assert(!is_read_rightly(h, old), "back to an older write after a newer one was seen");
    free(h);
}

Test(shared, a_write_whose_process_died_happened_or_not_but_not_later) {
    struct shared *h = new_history();
    uint32_t old = whole_write(h, 0);
    struct shared_note dead = begin_write(h, 1);
    shared_bury(h, 1);
    cr_assert(is_read_rightly(h, old));
    cr_assert(is_read_rightly(h, dead.serial));
    uint32_t next = whole_write(h, 0);
    cr_assert(is_read_rightly(h, next));
    cr_assert(!is_read_rightly(h, dead.serial), "a write of the dead came back");
    free(h);
}

Test(shared, a_refused_write_is_never_seen) {
    struct shared *h = new_history();
    uint32_t old = whole_write(h, 0);
    struct shared_note refused = begin_write(h, 1);
    cr_assert_null(shared_refused(&refused));
    cr_assert(is_read_rightly(h, old));
    cr_assert(!is_read_rightly(h, refused.serial));
    struct shared_note seen = begin_write(h, 1);
    cr_assert(is_read_rightly(h, seen.serial));
    cr_assert(shared_refused(&seen) != NULL, "refused after it was seen");
    free(h);
}

Test(shared, a_read_is_judged_by_its_own_time) {
    struct shared *h = new_history();
    struct shared_read r;
    uint32_t old = whole_write(h, 0);
    shared_read_begin(h, &r);
    uint32_t new = whole_write(h, 0);
    shared_read_end(h, &r);
    cr_assert(is_seen_rightly(h, &r, old));
    cr_assert(is_seen_rightly(h, &r, new));
    uint32_t later = whole_write(h, 0);
    cr_assert(!is_seen_rightly(h, &r, later), "it was begun after the read had ended");
    free(h);
}

Test(shared, nothing_is_seen_only_of_what_leaves_nothing) {
    struct shared *h = new_history();
    struct shared_read r;
    (void)whole_write(h, 0);
    uint32_t deleted = whole_write(h, 1);
    shared_read_begin(h, &r);
    shared_read_end(h, &r);
    cr_assert(is_unseen_rightly(h, &r, deleted));
    (void)whole_write(h, 0);
    shared_read_begin(h, &r);
    shared_read_end(h, &r);
    cr_assert(!is_unseen_rightly(h, &r, deleted));
    free(h);
}

Test(shared, a_drop_deletes_every_key) {
    struct shared *h = new_history();
    struct shared_note drop;
    uint32_t old = whole_write(h, 0);
    shared_take(h, 1, TABLE, SHARED_DROP, &drop);
    shared_begin(&drop, 0);
    cr_assert(is_read_rightly(h, old));
    cr_assert(is_read_rightly(h, 0));
    shared_acked(&drop);
    cr_assert(is_read_rightly(h, 0));
    cr_assert(!is_read_rightly(h, old), "it was dropped");
    free(h);
}

Test(shared, no_write_is_replaced_twice) {
    struct shared *h = new_history();
    uint32_t old = whole_write(h, 0);
    cr_assert_null(shared_judge_replaced(h, TABLE, KEY, old));
    cr_assert(shared_judge_replaced(h, TABLE, KEY, old) != NULL);
    free(h);
}

/* Writes that lost their places are accepted only while nothing says that they were replaced before
 * the read. */
Test(shared, what_was_forgotten_long_ago_is_wrong) {
    struct shared *h = new_history();
    struct shared_read r;
    uint32_t old = whole_write(h, 0);
    shared_read_begin(h, &r);
    for (unsigned i = 0; i < 2 * SHARED_PLACES; i++)
        (void)whole_write(h, 1);
    shared_read_end(h, &r);
    cr_assert(is_seen_rightly(h, &r, old));
    cr_assert_eq(atomic_load(&h->counts.unjudged), 1);
    cr_assert(!is_read_rightly(h, old), "by now it was replaced before the read began");
    free(h);
}

/* A process that stops with a place taken keeps it; one that dies there leaves nothing. */
Test(shared, a_place_that_is_taken_is_not_given_again) {
    struct shared *h = new_history();
    struct shared_note taken;
    uint32_t last = 0;
    shared_take(h, 1, TABLE, KEY, &taken);
    for (unsigned i = 0; i < 2 * SHARED_PLACES; i++)
        last = whole_write(h, 0);
    cr_assert_neq((last - taken.serial) % SHARED_PLACES, 0);
    cr_assert_eq(atomic_load(&taken.place->state) >> 48, taken.serial);
    shared_bury(h, 1);
    cr_assert(is_read_rightly(h, last));
    cr_assert(!is_read_rightly(h, taken.serial), "it was never begun");
    free(h);
}
