/* tests/api/evict_test.c - items of evicting tables go when memory is short, and no others.
 *
 * Goal     A full segment with an evicting table takes puts for ever, of any size and into any
 *          table. Items go with all their index entries, unread ones before read ones. Items of
 *          tables that do not evict stay. The policy can be changed, survives attaching, and is
 *          counted.
 * Method   A small segment is filled many times over through the public functions. What a read
 *          noted becomes visible by the process's own writes, or by its expirer.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/api/evict_kit.h"
#include "tests/support/slow.h"

TestSuite(evict, .timeout = 100 * SLOW_FACTOR);

/* Puts of the cache always succeed; others' items stay. */
Test(evict, only_items_of_evicting_tables_go) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < 2000; n++)
        cr_assert_eq(put(&f, f.kept, n, 300), LARDER_OK);
    for (unsigned n = 0; n < 100000; n++)
        cr_assert_eq(put(&f, f.cache, n, 100 + n % 400), LARDER_OK, "put %u: %s", n, larder_error());
    for (unsigned n = 0; n < 2000; n++)
        cr_assert_eq(get(&f, f.kept, n), LARDER_OK);
    cr_expect_eq(get(&f, f.cache, 99999), LARDER_OK, "the newest is there");
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
    cr_expect_gt(evicted(f.cache), 70000);
    cr_expect_eq(stats.counters.evicted, evicted(f.cache));
    cr_expect_eq(stats.full_count, 0);
    cr_expect_eq(evicted(f.kept), 0);
    end(&f);
}

/* Sizes change, and items of runs of spans come into a segment full of small ones, and back. */
Test(evict, every_size_finds_room) {
    struct fixture f;
    begin(&f);
    static const unsigned sizes[] = {100, 3000, LARGE_BYTES, 20000, 60, 9000, LARGE_BYTES, 500};
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (unsigned n = 0; n < 2 * SEGMENT_BYTES / (sizes[k] + 150); n++)
            cr_assert_eq(put(&f, f.cache, n, sizes[k]), LARDER_OK, "%u bytes, item %u: %s", sizes[k], n,
                         larder_error());
    end(&f);
}

/* A put into a table that does not evict makes the cache give way, until nothing of it is left. */
Test(evict, other_tables_push_the_cache_out) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < 40000; n++)
        cr_assert_eq(put(&f, f.cache, n, 200), LARDER_OK);
    unsigned n = 0;
    int r;
    while ((r = put(&f, f.kept, n, 200)) == LARDER_OK)
        n++;
    uint64_t items;
    entries_of(f.cache, &items);
    cr_expect_eq(r, LARDER_E_FULL);
    cr_expect_gt(n, 15000);
    cr_expect_leq(items, 8, "%llu items of the cache are left", (unsigned long long)items);
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
    cr_expect_eq(stats.full_count, 1);
    cr_expect_gt(stats.full_bytes, 0);
    end(&f);
}

#define HOT 1000u

static unsigned hot_left(struct fixture *f) {
    unsigned left = 0;
    for (unsigned n = 0; n < HOT; n++)
        left += get(f, f->cache, n) == LARDER_OK;
    return left;
}

/* What is read stays while a stream of items that nobody reads passes. */
static void stream(struct fixture *f, int reads_many) {
    for (unsigned n = 0; n < 150000; n++) {
        cr_assert_eq(put(f, f->cache, n < HOT ? n : n + 1000000, 200), LARDER_OK);
        if (n % 5 != 0)
            continue;
        char text[16];
        snprintf(text, sizeof text, "k%u", n / 5 % HOT);
        struct larder_key key = {.partition = larder_str(text)};
        int r = reads_many ? larder_get_many(f->cache, &key, 1, f->page) : larder_get(f->cache, &key, f->page);
        cr_assert_geq(r, 0);
    }
}

Test(evict, what_is_read_stays) {
    for (int reads_many = 0; reads_many < 2; reads_many++) {
        struct fixture f;
        begin(&f);
        stream(&f, reads_many);
        cr_expect_geq(hot_left(&f), HOT * 98 / 100, "%u are left", hot_left(&f));
        end(&f);
    }
}

Test(evict, what_a_query_found_stays) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < 97 * 10; n++)
        cr_assert_eq(put(&f, f.cache, n, 200), LARDER_OK);
    struct larder_query_spec query = {.index = "ByGroup", .partition = larder_str("g5"), .limit = 10};
    for (unsigned n = 0; n < 100000; n++) {
        cr_assert_eq(put(&f, f.cache, n * 97 + 1000000 * 97 + 6, 200), LARDER_OK);
        if (n % 500 == 0)
            cr_assert_geq(larder_query(f.cache, &query, f.page), 0, "%s", larder_error());
    }
    cr_assert_geq(larder_query(f.cache, &query, f.page), 0);
    cr_expect_eq(larder_page_count(f.page), 10);
    end(&f);
}

/* Overwritten items count as used. */
Test(evict, what_is_written_again_stays) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < 150000; n++) {
        cr_assert_eq(put(&f, f.cache, n + 1000000, 200), LARDER_OK);
        if (n % 5 == 0)
            cr_assert_eq(put(&f, f.cache, n / 5 % HOT, 200), LARDER_OK);
    }
    cr_expect_geq(hot_left(&f), HOT * 98 / 100, "%u are left", hot_left(&f));
    end(&f);
}

/* A put that finds no room makes some for many. */
Test(evict, ninety_nine_puts_of_a_hundred_evict_nothing) {
    struct fixture f;
    struct larder_segment_stats stats;
    uint64_t before = 0;
    unsigned paid = 0;
    begin(&f);
    for (unsigned n = 0; n < 60000; n++) {
        cr_assert_eq(put(&f, f.cache, n, 200 + n % 50), LARDER_OK);
        if (n < 40000)
            continue;
        cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
        paid += n > 40000 && stats.counters.evicted != before;
        before = stats.counters.evicted;
    }
    cr_expect_leq(paid, 200, "%u of 20000", paid);
    cr_expect_gt(paid, 0);
    end(&f);
}

Test(evict, the_policy_can_be_changed) {
    struct fixture f;
    const struct larder_table_def *def;
    begin(&f);
    cr_assert_eq(larder_table_describe(f.kept, &def), LARDER_OK);
    cr_expect_eq(def->eviction, LARDER_EVICTION_NONE);
    cr_expect_eq(larder_eviction_set(f.kept, (enum larder_eviction)7), LARDER_E_INVAL);
    cr_expect(strstr(larder_error(), "7") != NULL, "%s", larder_error());
    unsigned n = 0;
    while (put(&f, f.kept, n, 500) == LARDER_OK)
        n++;
    for (unsigned i = 0; i < 200; i++) { /* room for the marks */
        char text[16];
        snprintf(text, sizeof text, "k%u", i);
        cr_assert_eq(larder_delete(f.kept, &(struct larder_key){.partition = larder_str(text)}, NULL), LARDER_OK);
    }
    cr_assert_eq(larder_eviction_set(f.kept, LARDER_EVICTION_SIEVE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_describe(f.kept, &def), LARDER_OK);
    cr_expect_eq(def->eviction, LARDER_EVICTION_SIEVE);
    for (unsigned i = 0; i < 20000; i++)
        cr_assert_eq(put(&f, f.kept, n + i, 500), LARDER_OK, "%s", larder_error());
    cr_expect_gt(evicted(f.kept), 10000);
    cr_assert_eq(larder_eviction_set(f.kept, LARDER_EVICTION_NONE), LARDER_OK);
    uint64_t before = evicted(f.kept), items;
    int r = LARDER_OK;
    for (unsigned i = 0; i < 20000 && r == LARDER_OK; i++)
        r = put(&f, f.kept, 100000 + i, 500);
    cr_expect_eq(r, LARDER_E_FULL);
    cr_expect_eq(evicted(f.kept), before);
    cr_assert_eq(larder_eviction_set(f.kept, LARDER_EVICTION_SIEVE), LARDER_OK);
    cr_expect_eq(put(&f, f.kept, 200000, 500), LARDER_OK);
    cr_assert_eq(larder_table_drop(f.db, "Kept"), LARDER_OK);
    f.kept = make(f.db, "Kept", LARDER_EVICTION_NONE); /* perhaps in the same place, with its marks */
    cr_expect_eq(put(&f, f.kept, 0, 500), LARDER_OK);
    entries_of(f.kept, &items);
    cr_expect_eq(items, 1);
    end(&f);
}
