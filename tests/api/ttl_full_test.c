/* tests/api/ttl_full_test.c - timers of items that are gone do not keep a segment full.
 *
 * Goal     A put that finds no room drops the timers that no item needs, however far they are from
 *          due, and of dropped tables, too. No expirer is needed. LARDER_E_FULL is left for a
 *          segment that live items fill.
 * Method   A small segment that items without expiry fill but for a little. In it items come and go
 *          so often that their timers would fill the rest several times.
 * See also crash/room_test.c: other calls while the heap says that it is full.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>

#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/slow.h"

TestSuite(ttl_full, .timeout = 60 * SLOW_FACTOR);

#define SMALL_BYTES (4u << 20)
#define DAY_S 86400
#define ROOM_ITEMS 40 /* of about 8 KB: what is left free */
#define ROUNDS 60000  /* of 16 bytes each: about three times that */
#define LAST_S INT64_C(4294967295)

static int put_wide(struct fixture *f, int n) {
    static const char payload[8000];
    const struct larder_item *item;
    char sk[32];
    snprintf(sk, sizeof sk, "wide%d", n);
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "pk", "p");
    larder_builder_add_s(f->b, "sk", sk);
    larder_builder_add_b(f->b, "payload", payload, sizeof payload);
    cr_assert_eq(larder_builder_finish(f->b, &item), LARDER_OK, "%s", larder_error());
    return larder_put(f->t, item, NULL);
}

static void delete (struct fixture *f, const char *sk) {
    struct larder_key key = key_of(sk);
    cr_assert_eq(larder_delete(f->t, &key, NULL), LARDER_OK, "%s", larder_error());
}

static struct fixture begin_nearly_full(void) {
    struct fixture f = begin_sized(SMALL_BYTES);
    char sk[32];
    int n = 0;
    while (put_wide(&f, n) == LARDER_OK)
        n++;
    cr_assert_gt(n, 2 * ROOM_ITEMS);
    for (int i = 0; i < ROOM_ITEMS; i++) {
        snprintf(sk, sizeof sk, "wide%d", --n);
        delete (&f, sk);
    }
    return f;
}

/* An item comes and goes: of `keys` keys, expiring up to `spread_s` after at_s. */
static void come_and_go(struct fixture *f, int round, int keys, int64_t at_s, int spread_s) {
    char sk[32];
    snprintf(sk, sizeof sk, "s%d", round % keys);
    put(f, sk, at_s + (int64_t)round * 7919 % spread_s);
    delete (f, sk);
}

/* ---- Puts ------------------------------------------------------------------------------------ */

Test(ttl_full, far_timers_of_deleted_items_make_room) {
    struct fixture f = begin_nearly_full();
    for (int i = 0; i < ROUNDS; i++)
        come_and_go(&f, i, 100, NOW_S + DAY_S, DAY_S);
    finish(&f);
}

/* They lie on the lowest level of the wheel. */
Test(ttl_full, near_timers_of_deleted_items_make_room) {
    struct fixture f = begin_nearly_full();
    (void)expire(&f); /* the wheel's time is the clock's */
    for (int i = 0; i < ROUNDS; i++)
        come_and_go(&f, i, 100, NOW_S + 10, 90);
    finish(&f);
}

/* Each put is for a second before that of its timer. */
Test(ttl_full, timers_of_overwritten_items_make_room) {
    struct fixture f = begin_nearly_full();
    char sk[32];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(sk, sizeof sk, "s%d", i % 50);
        put(&f, sk, NOW_S + 90 * DAY_S - i / 50 * 60);
    }
    cr_assert_geq(stats_of(&f).wheel_entries, 50);
    finish(&f);
}

/* One of 40 stays, so that hardly a chunk of timers becomes empty. */
Test(ttl_full, timers_beside_those_of_items_that_stay_make_room) {
    struct fixture f = begin_nearly_full();
    char sk[32];
    int stay = 0;
    for (int i = 0; i < ROUNDS / 2; i++) {
        come_and_go(&f, i, 100, NOW_S + DAY_S, DAY_S);
        if (i % 40 == 0 && stay < 500) {
            snprintf(sk, sizeof sk, "stay%d", stay++);
            put(&f, sk, NOW_S + DAY_S + i % DAY_S);
        }
    }
    cr_assert_eq(expire(&f), 0);
    check(&f);
    atomic_store(f.clock_s, NOW_S + 3 * DAY_S);
    cr_assert_eq(expire(&f), (uint64_t)stay);
    finish(&f);
}

/* How many items without expiry fit in. */
static int fill(struct fixture *f) {
    int n = 0;
    while (put_wide(f, n) == LARDER_OK)
        n++;
    return n;
}

Test(ttl_full, timers_of_a_dropped_table_make_room) {
    struct fixture f = begin_sized(SMALL_BYTES);
    const struct larder_table_def def = {
        .name = "other", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .ttl_attribute = "ttl"};
    struct larder_table *things = f.t;
    cr_assert_eq(larder_table_create(f.db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f.db, "other", &f.t), LARDER_OK);
    for (int i = 0; i < ROUNDS; i++)
        come_and_go(&f, i, 100, NOW_S + DAY_S, DAY_S);
    cr_assert_eq(stats_of(&f).wheel_entries, ROUNDS);
    cr_assert_eq(larder_table_drop(f.db, "other"), LARDER_OK, "%s", larder_error());
    f.t = things;
    int count = fill(&f), most = SMALL_BYTES / 8192;
    cr_assert_gt(count, most * 9 / 10, "%d of %d", count, most);
    finish(&f);
}

/* Live items fill it: then a put says so, and it goes on saying so quickly. */
Test(ttl_full, live_items_are_never_dropped) {
    struct fixture f = begin_nearly_full();
    char sk[32];
    int n = 0, refused = 0;
    for (; refused < 1000; n++) {
        char ttl[32];
        snprintf(sk, sizeof sk, "s%d", n);
        snprintf(ttl, sizeof ttl, "%lld", (long long)(NOW_S + DAY_S + n));
        int r = put_result(&f, "p", sk, "ttl", ttl);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
        refused += r == LARDER_E_FULL;
    }
    uint64_t live = stats_of(&f).wheel_entries;
    cr_assert_geq(live, (uint64_t)(n - refused));
    cr_assert_eq(expire(&f), 0);
    atomic_store(f.clock_s, NOW_S + DAY_S + n);
    cr_assert_eq(expire(&f), (uint64_t)(n - refused));
    finish(&f);
}

/* ---- After the last second of the wheel ------------------------------------------------------ */

Test(ttl_full, what_expires_after_the_last_second_is_removed) {
    struct fixture f = begin();
    const int64_t begins[] = {NOW_S, LAST_S - 5, LAST_S, LAST_S + 1000};
    char sk[32];
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        atomic_store(f.clock_s, begins[i]);
        for (int n = 0; n < 100; n++) {
            snprintf(sk, sizeof sk, "s%d", n);
            put(&f, sk, LAST_S + 2000 + n / 10);
        }
        cr_assert_eq(expire(&f), 0);
        atomic_store(f.clock_s, LAST_S + 2004);
        cr_assert_eq(expire(&f), 50);
        cr_assert_eq(visible(&f), 50);
        cr_assert_eq(item_count(&f), 50);
        check(&f);
        atomic_store(f.clock_s, LAST_S + 3000);
        cr_assert_eq(expire(&f), 50);
        cr_assert_eq(stats_of(&f).wheel_entries, 0);
    }
    finish(&f);
}

/* A put that finds no room removes them, too. */
Test(ttl_full, what_expired_after_the_last_second_makes_room) {
    struct fixture f = begin_nearly_full();
    char sk[32], ttl[32];
    int n = 0, r = LARDER_OK;
    atomic_store(f.clock_s, LAST_S + 1000);
    snprintf(ttl, sizeof ttl, "%lld", (long long)(LAST_S + 1001));
    for (; r == LARDER_OK; n++) {
        snprintf(sk, sizeof sk, "s%d", n);
        r = put_result(&f, "p", sk, "ttl", ttl);
    }
    cr_assert_eq(r, LARDER_E_FULL, "%s", larder_error());
    atomic_fetch_add(f.clock_s, 1);
    for (n = 0; n < ROOM_ITEMS / 2; n++)
        cr_assert_eq(put_wide(&f, 1000 + n), LARDER_OK, "%d: %s", n, larder_error());
    finish(&f);
}
