/* tests/api/ttl_move_test.c - an expiry that moves, and timers of items that are gone.
 *
 * Goal     The expiry that an item has now counts, however often it was moved, taken away or put
 *          back. Timers of deleted items do no harm and do not pile up.
 * Method   The clock of ttl_kit.h; keys whose hashes are nearly equal, of a chosen seed.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/item/item.h"
#include "core/segment/layout.h"
#include "core/segment/seg_layout.h"
#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(ttl_move, .timeout = 90 * SLOW_FACTOR);

Test(ttl_move, a_later_expiry_arms_anew) {
    struct fixture f = begin();
    put(&f, "a", NOW_S + 10);
    for (int i = 1; i <= 50; i++)
        put(&f, "a", NOW_S + 10 + i);
    cr_assert_eq(stats_of(&f).wheel_entries, 1);
    atomic_store(f.clock_s, NOW_S + 59);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    check(&f);
    atomic_store(f.clock_s, NOW_S + 60);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(item_count(&f), 0);
    finish(&f);
}

Test(ttl_move, an_earlier_expiry_counts) {
    struct fixture f = begin();
    put(&f, "a", NOW_S + 1000);
    put(&f, "a", NOW_S + 10);
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(get(&f, "a"), LARDER_NOT_FOUND);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 1000);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    finish(&f);
}

Test(ttl_move, an_expiry_taken_away) {
    struct fixture f = begin();
    put(&f, "a", NOW_S + 10);
    put_number(&f, "a", NULL, NULL);
    atomic_store(f.clock_s, NOW_S + 1000);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    put(&f, "a", NOW_S + 1010);
    atomic_store(f.clock_s, NOW_S + 1010);
    cr_assert_eq(expire(&f), 1);
    finish(&f);
}

/* Whether the item has a place for expiry and timer. */
static int is_timed(const struct fixture *f, const char *sk) {
    cr_assert_eq(get(f, sk), LARDER_OK);
    return (item_head(larder_page_item(f->page, 0))->flags & ITEM_TIMED) != 0;
}

/* Only an item that expires, or that has a timer, has a place for it; the place says that a timer
 * exists. */
Test(ttl_move, a_timer_is_known_through_items_that_do_not_expire) {
    struct fixture f = begin();
    put_number(&f, "a", NULL, NULL);
    put_number(&f, "b", "other", "5");
    put(&f, "c", NOW_S + 1000);
    cr_assert(!is_timed(&f, "a") && !is_timed(&f, "b") && is_timed(&f, "c"));
    for (int i = 0; i < 200; i++) {
        put(&f, "a", NOW_S + 1000 + i);
        cr_assert(is_timed(&f, "a"));
        for (int times = 0; times < 2; times++) {
            put_number(&f, "a", NULL, NULL);
            cr_assert(is_timed(&f, "a"), "a timer stands");
        }
        cr_assert_eq(stats_of(&f).wheel_entries, 2, "round %d", i);
    }
    put(&f, "a", NOW_S + 500); /* earlier: one more, once */
    put_number(&f, "a", NULL, NULL);
    put(&f, "a", NOW_S + 500);
    cr_assert_eq(stats_of(&f).wheel_entries, 3);
    put_number(&f, "a", NULL, NULL);
    check(&f);
    atomic_store(f.clock_s, NOW_S + 5000);
    cr_assert_eq(expire(&f), 1, "c");
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    cr_assert(is_timed(&f, "a"), "as it was put");
    put_number(&f, "a", NULL, NULL);
    cr_assert_not(is_timed(&f, "a"), "nothing stands for it any more");
    put(&f, "a", NOW_S + 5010);
    cr_assert_eq(stats_of(&f).wheel_entries, 1);
    atomic_store(f.clock_s, NOW_S + 5010);
    cr_assert_eq(expire(&f), 1);
    finish(&f);
}

/* An item out of a page brings its own place for a timer, which is not that of the item it
 * replaces. */
Test(ttl_move, an_item_that_is_put_as_it_was_read) {
    struct fixture f = begin();
    struct larder_page *page;
    cr_assert_eq(larder_page_new(f.db, &page), LARDER_OK);
    struct larder_key key = key_of("a");
    put(&f, "a", NOW_S + 100);
    cr_assert_eq(larder_get(f.t, &key, page), LARDER_OK);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(larder_put(f.t, larder_page_item(page, 0), NULL), LARDER_OK, "%s", larder_error());
    cr_assert_eq(stats_of(&f).wheel_entries, 1);
    cr_assert_eq(larder_delete(f.t, &key, NULL), LARDER_OK);
    cr_assert_eq(larder_put(f.t, larder_page_item(page, 0), NULL), LARDER_OK);
    check(&f);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(get(&f, "a"), LARDER_NOT_FOUND);
    cr_assert_eq(expire(&f), 1);
    larder_page_free(page);
    finish(&f);
}

Test(ttl_move, an_item_created_anew_lives_by_its_own_expiry) {
    struct fixture f = begin();
    struct larder_key key = key_of("b");
    put(&f, "a", NOW_S + 10);
    atomic_store(f.clock_s, NOW_S + 20);
    put(&f, "a", NOW_S + 100); /* before the expirer came by */
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 1);
    put(&f, "a", NOW_S + 200); /* after it */
    put(&f, "b", NOW_S + 150);
    cr_assert_eq(larder_delete(f.t, &key, NULL), LARDER_OK);
    put(&f, "b", NOW_S + 300); /* the timer of the deleted one fires first */
    atomic_store(f.clock_s, NOW_S + 199);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(visible(&f), 2);
    atomic_store(f.clock_s, NOW_S + 300);
    cr_assert_eq(expire(&f), 2);
    finish(&f);
}

/* Makes a fixture's segment one in which key_of(sk) of these texts has the same 48 bits of its hash
 * that an item and its slot have. */
#define EQUAL_SEED 42u
static const char *const equal_sk[3][2] = {
    {"018720c4", "0194a27f"}, {"008d4ee7", "01cc0d26"}, {"0052d9e4", "00720a2f"}};

static struct fixture begin_with_seed(uint64_t seed) {
    struct fixture f = {0};
    struct larder *db = testseg_open(SEGMENT_BYTES, 4);
    int fd = dup(larder_memfd(db));
    larder_close(db);
    struct seg_shm *head = mmap(NULL, sizeof *head, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq((void *)head, MAP_FAILED);
    head->hash_seed = seed;
    head->sum = seg_layout_sum(head);
    munmap(head, sizeof *head);
    const struct larder_options options = {.flags = LARDER_MEMFD, .memfd = fd};
    cr_assert_eq(larder_open(&options, &f.db), LARDER_OK, "%s", larder_error());
    close(fd);
    furnish(&f);
    return f;
}

static uint32_t hash_high_of(const struct fixture *f, const char *sk) {
    cr_assert_eq(get(f, sk), LARDER_OK);
    return item_head(larder_page_item(f->page, 0))->hash_high;
}

/* Two keys that a walk of the hash table cannot tell apart are two items all the same, also for
 * timers. */
Test(ttl_move, keys_whose_hashes_are_nearly_equal) {
    struct fixture f = begin_with_seed(EQUAL_SEED);
    for (int i = 0; i < 3; i++) {
        put(&f, equal_sk[i][0], NOW_S + 100);
        put(&f, equal_sk[i][1], NOW_S + 100);
        cr_assert_eq(hash_high_of(&f, equal_sk[i][0]), hash_high_of(&f, equal_sk[i][1]));
    }
    cr_assert_eq(visible(&f), 6);
    put_number(&f, equal_sk[0][0], NULL, NULL); /* its timer finds it, and the other one not */
    put(&f, equal_sk[1][1], NOW_S + 200);
    check(&f);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 4);
    cr_assert_eq(visible(&f), 2);
    check(&f);
    struct larder_key key = key_of(equal_sk[0][0]);
    put_number(&f, equal_sk[0][1], NULL, NULL);
    cr_assert_eq(larder_delete(f.t, &key, NULL), LARDER_OK);
    cr_assert_eq(get(&f, equal_sk[0][1]), LARDER_OK);
    atomic_store(f.clock_s, NOW_S + 200);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(visible(&f), 1);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    check(&f);
    larder_close(f.db);
    munmap((void *)f.clock_s, 4096);
}

/* Keys that come and go must not fill the wheel with timers of deleted items. */
Test(ttl_move, timers_of_deleted_items_do_not_pile_up) {
    struct fixture f = begin();
    struct larder_key key = key_of("a");
    char sk[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(sk, sizeof sk, "s%d", i);
        put(&f, sk, NOW_S + 300 + i * 1000);
    }
    for (int i = 0; i < 20000; i++) {
        put(&f, "a", NOW_S + 3600 + i);
        cr_assert_eq(larder_delete(f.t, &key, NULL), LARDER_OK);
        if (i % 1000 == 999) {
            atomic_fetch_add(f.clock_s, 1);
            cr_assert_eq(expire(&f), 0);
            cr_assert_leq(stats_of(&f).wheel_entries, 2000);
        }
    }
    check(&f);
    atomic_store(f.clock_s, NOW_S + 2000000);
    cr_assert_eq(expire(&f), 1000);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    finish(&f);
}

Test(ttl_move, a_table_made_anew_is_not_harmed_by_old_timers) {
    struct fixture f = begin();
    const struct larder_table_def def = {
        .name = "things", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .ttl_attribute = "ttl"};
    put_many(&f, 500, 50);
    put(&f, "a", NOW_S + 10);
    cr_assert_eq(larder_table_drop(f.db, "things"), LARDER_OK, "%s", larder_error());
    check(&f);
    cr_assert_eq(larder_table_create(f.db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f.db, "things", &f.t), LARDER_OK);
    put(&f, "a", NOW_S + 100);
    put(&f, "b", NOW_S + 10);
    atomic_store(f.clock_s, NOW_S + 60);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    cr_assert_eq(stats_of(&f).wheel_entries, 1);
    cr_assert_eq(larder_table_drop(f.db, "things"), LARDER_OK);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 0);
    finish(&f);
}

Test(ttl_move, a_clock_set_back_keeps_visibility_exact) {
    struct fixture f = begin();
    cr_assert_eq(expire(&f), 0);
    put(&f, "a", NOW_S + 10);
    atomic_store(f.clock_s, NOW_S - 1000);
    put(&f, "b", NOW_S - 990);
    cr_assert_eq(visible(&f), 2);
    atomic_store(f.clock_s, NOW_S - 990);
    cr_assert_eq(visible(&f), 1);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 9);
    cr_assert_eq(expire(&f), 0);
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(expire(&f), 1);
    finish(&f);
}
