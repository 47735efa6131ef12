/* tests/api/ttl_test.c - expired means gone, and its memory comes back.
 *
 * Goal     An item is there until the second before its expiry and gone from that second on,
 *          through every path, whether or not an expirer runs. Its memory comes back.
 * Method   The clock of ttl_kit.h. Other suites: an expiry that moves (ttl_move_test.c), the TTL
 *          attribute (ttl_attribute_test.c), the expirer's thread (ttl_thread_test.c) and processes
 *          (ttl_process_test.c).
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/slow.h"

TestSuite(ttl, .timeout = 90 * SLOW_FACTOR);

static uint64_t used_bytes(const struct fixture *f) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f->db, &stats), LARDER_OK);
    return stats.used_bytes;
}

/* ---- Visibility ------------------------------------------------------------------------------ */

Test(ttl, is_visible_until_the_second_before) {
    struct fixture f = begin();
    struct larder_key keys[2] = {key_of("a"), key_of("b")};
    put(&f, "a", NOW_S + 10);
    put(&f, "b", NOW_S + 1000);
    for (int64_t now_s = NOW_S; now_s <= NOW_S + 11; now_s++) {
        int is_there = now_s < NOW_S + 10;
        atomic_store(f.clock_s, now_s);
        cr_assert_eq(get(&f, "a"), is_there ? LARDER_OK : LARDER_NOT_FOUND);
        cr_assert_eq(visible(&f), is_there ? 2 : 1);
        cr_assert_eq(larder_get_many(f.t, keys, 2, f.page), LARDER_OK);
        cr_assert_eq(larder_page_item(f.page, 0) != NULL, is_there);
        cr_assert_not_null(larder_page_item(f.page, 1));
    }
    cr_assert_eq(item_count(&f), 2, "no expirer runs");
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(visible(&f), 1);
    finish(&f);
}

#define MIXED 60
#define MIXED_S 12

/* Most reads of a page take a short way, which has to know those that have expired, and those that
 * never will, one by one. */
Test(ttl, each_item_of_a_page_expires_at_its_own_second) {
    struct fixture f = begin();
    char sk[MIXED][8];
    struct larder_key keys[MIXED];
    int64_t expiry_s[MIXED];
    for (int i = 0; i < MIXED; i++) {
        snprintf(sk[i], sizeof sk[i], i % 7 ? "k%d" : "key%d", i);
        keys[i] = key_of(sk[i]);
        expiry_s[i] = i % 5 ? NOW_S + i * 7 % MIXED_S : INT64_MAX;
        if (i % 5)
            put(&f, sk[i], expiry_s[i]);
        else
            put_number(&f, sk[i], "other", "1");
    }
    for (int64_t now_s = NOW_S - 2; now_s <= NOW_S + MIXED_S; now_s++) {
        uint32_t there = 0;
        atomic_store(f.clock_s, now_s);
        for (int i = 0; i < MIXED; i++) {
            there += expiry_s[i] > now_s;
            cr_assert_eq(get(&f, sk[i]), expiry_s[i] > now_s ? LARDER_OK : LARDER_NOT_FOUND);
        }
        cr_assert_eq(visible(&f), there, "%u", there);
        cr_assert_eq(larder_get_many(f.t, keys, MIXED, f.page), LARDER_OK);
        for (uint32_t i = 0; i < MIXED; i++)
            cr_assert_eq(larder_page_item(f.page, i) != NULL, expiry_s[i] > now_s);
    }
    atomic_store(f.clock_s, INT64_C(-1)); /* no time at which anything has expired */
    cr_assert_eq(visible(&f), MIXED);
    cr_assert_eq(get(&f, sk[1]), LARDER_OK);
    atomic_store(f.clock_s, NOW_S);
    finish(&f);
}

Test(ttl, an_expired_item_counts_as_absent_for_writes) {
    struct fixture f = begin();
    struct larder_key key = key_of("a");
    const struct larder_item *item;
    put(&f, "a", NOW_S + 10);
    atomic_store(f.clock_s, NOW_S + 10);
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_s(f.b, "sk", "a");
    cr_assert_eq(larder_builder_finish(f.b, &item), LARDER_OK);
    cr_assert_eq(larder_put(f.t, item, f.page), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 0);
    put(&f, "a", NOW_S + 20);
    atomic_store(f.clock_s, NOW_S + 20);
    cr_assert_eq(larder_delete(f.t, &key, f.page), LARDER_NOT_FOUND);
    cr_assert_eq(larder_page_count(f.page), 0);
    finish(&f);
}

Test(ttl, values_that_never_expire) {
    struct fixture f = begin();
    const struct larder_item *item;
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)(NOW_S - FIVE_YEARS_S - 86400));
    put_number(&f, "long-past", "ttl", text);
    put_number(&f, "zero", "ttl", "0");
    put_number(&f, "negative", "ttl", "-1700000000");
    put_number(&f, "far", "ttl", "1E100");
    put_number(&f, "after-2106", "ttl", "5000000000");
    put_number(&f, "none", NULL, NULL);
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_s(f.b, "sk", "text");
    larder_builder_add_s(f.b, "owner", "me");
    larder_builder_add_s(f.b, "ttl", "1700000001");
    cr_assert_eq(larder_builder_finish(f.b, &item), LARDER_OK);
    cr_assert_eq(larder_put(f.t, item, NULL), LARDER_OK);
    cr_assert_eq(visible(&f), 7);
    atomic_store(f.clock_s, NOW_S + 40 * INT64_C(31557600));
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(visible(&f), 7);
    atomic_store(f.clock_s, INT64_C(5000000000)); /* later than a timer can say */
    cr_assert_eq(get(&f, "after-2106"), LARDER_NOT_FOUND);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(item_count(&f), 6);
    cr_assert_eq(visible(&f), 6);
    finish(&f);
}

Test(ttl, past_and_fractional_values) {
    struct fixture f = begin();
    cr_assert_eq(expire(&f), 0);
    put(&f, "past", NOW_S - 86400);
    put(&f, "now", NOW_S);
    put_number(&f, "half", "ttl", "1700000001.5");
    cr_assert_eq(visible(&f), 1);
    cr_assert_eq(expire(&f), 2);
    atomic_store(f.clock_s, NOW_S + 1);
    cr_assert_eq(visible(&f), 0);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(item_count(&f), 0);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    finish(&f);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

Test(ttl, memory_comes_back) {
    struct fixture f = begin();
    uint64_t used[3];
    /* the first leaves bucket arrays, which do not shrink */
    for (int round = 0; round < 3; round++) {
        put_many(&f, 5000, 100);
        cr_assert_eq(item_count(&f), 5000);
        cr_assert_eq(stats_of(&f).wheel_entries, 5000);
        atomic_fetch_add(f.clock_s, 100);
        cr_assert_eq(expire(&f), 5000);
        cr_assert_eq(item_count(&f), 0);
        cr_assert_eq(stats_of(&f).wheel_entries, 0);
        used[round] = used_bytes(&f);
        check(&f);
    }
    cr_assert_eq(used[1], used[2]);
    finish(&f);
}

Test(ttl, a_hundred_thousand_items) {
    struct fixture f = begin_sized(256u << 20);
    put_many(&f, 100000, 10);
    for (int second = 1; second <= 10; second++) {
        atomic_fetch_add(f.clock_s, 1);
        cr_assert_eq(expire(&f), 10000);
        cr_assert_eq(item_count(&f), 100000 - (uint64_t)second * 10000);
    }
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
    cr_assert_eq(stats.counters.expired, 100000);
    finish(&f);
}

Test(ttl, items_max_bounds_a_call) {
    struct fixture f = begin();
    uint64_t removed, total = 0;
    put_many(&f, 1000, 3);
    atomic_fetch_add(f.clock_s, 3);
    for (int calls = 0; total < 1000; calls++) {
        int r = larder_expire(f.db, 70, &removed);
        total += removed;
        cr_assert_eq(r, total < 1000 ? LARDER_MORE : LARDER_OK);
        cr_assert_leq(removed, 70);
        cr_assert_lt(calls, 20);
        cr_assert_eq(item_count(&f), 1000 - total);
    }
    finish(&f);
}

/* Items whose expiry moved on need memory for a new timer when the old one fires. A full segment
 * has none until an expired item is removed. */
Test(ttl, a_full_segment_gets_rid_of_what_has_expired) {
    struct fixture f = begin_sized(LARDER_SEGMENT_BYTES_MIN);
    char sk[32], ttl[2][32];
    uint32_t count = 0;
    for (int r = LARDER_OK; r != LARDER_E_FULL; count += r == LARDER_OK) {
        snprintf(sk, sizeof sk, "s%u", count);
        snprintf(ttl[0], sizeof *ttl, "%lld", (long long)NOW_S + 1 + count % 500);
        r = put_result(&f, "p", sk, "ttl", ttl[0]);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
    }
    cr_assert_gt(count, 1000);
    uint32_t later = 0;
    /* nine of ten expire an hour later, as far as the memory allows */
    for (uint32_t i = 0; i < count; i++) {
        snprintf(sk, sizeof sk, "s%u", i);
        snprintf(ttl[1], sizeof *ttl, "%lld", (long long)NOW_S + 3600);
        if (i % 10 != 0)
            later += put_result(&f, "p", sk, "ttl", ttl[1]) == LARDER_OK;
    }
    atomic_store(f.clock_s, NOW_S + 1000);
    cr_assert_eq(expire(&f), count - later);
    cr_assert_eq(item_count(&f), later);
    check(&f);
    put(&f, "new", NOW_S + 2000);
    atomic_store(f.clock_s, NOW_S + 3600);
    cr_assert_eq(expire(&f), later + 1);
    cr_assert_eq(item_count(&f), 0);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    finish(&f);
}
