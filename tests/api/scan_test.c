/* tests/api/scan_test.c - larder_scan(): everything exactly once.
 *
 * Goal     An item that is there all the time is returned exactly once, by pages of any size, by 1
 *          to 8 parallel workers, while the table grows and other items come and go, in the same
 *          thread and in others. A scan goes on after a key that was deleted meanwhile. Wrong
 *          specifications are refused.
 * Method   Items are numbered, and marked as seen by number. "Stable" items have even numbers and
 *          stay; the others come and go.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(scan, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define ITEMS_MAX 40000u

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    uint8_t seen[ITEMS_MAX];
};

static int64_t clock_s(void *arg) {
    return *(int64_t *)arg;
}

static struct fixture *begin(uint32_t stripe_count) {
    struct fixture *f = calloc(1, sizeof *f);
    const struct larder_table_def def = {
        .name = "scanned", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_N}, .ttl_attribute = "expires"};
    cr_assert_not_null(f);
    f->db = testseg_open(64 * MIB, stripe_count);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "scanned", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    return f;
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    larder_close(f->db);
    free(f);
}

static int try_put(struct larder_table *t, struct larder_builder *b, uint32_t n, size_t fill, int64_t expires_s) {
    static const char text[5000];
    const struct larder_item *item;
    char pk[16];
    snprintf(pk, sizeof pk, "p%u", n / 10);
    larder_builder_reset(b);
    larder_builder_add_s(b, "pk", pk);
    larder_builder_add_int(b, "sk", n % 10);
    larder_builder_add_int(b, "n", n);
    if (expires_s)
        larder_builder_add_int(b, "expires", expires_s);
    larder_builder_add_b(b, "fill", text, fill);
    int r = larder_builder_finish(b, &item);
    return r ? r : larder_put(t, item, NULL);
}

static int try_delete(struct larder_table *t, uint32_t n) {
    char pk[16], sk[4];
    snprintf(pk, sizeof pk, "p%u", n / 10);
    snprintf(sk, sizeof sk, "%u", n % 10);
    const struct larder_key key = {larder_str(pk), larder_num(sk)};
    return larder_delete(t, &key, NULL);
}

static void put(struct fixture *f, uint32_t n) {
    EXPECT(try_put(f->t, f->b, n, n % 7 * 40, 0), LARDER_OK);
}

static uint32_t number_of(const struct larder_item *item) {
    struct larder_value v;
    int64_t n = -1;
    cr_assert(item && larder_item_get(item, "n", &v) == LARDER_OK);
    EXPECT(larder_value_int64(&v, &n), LARDER_OK);
    cr_assert(n >= 0 && n < ITEMS_MAX);
    return (uint32_t)n;
}

static void see_page(struct fixture *f) {
    for (uint32_t i = 0; i < larder_page_count(f->page); i++)
        f->seen[number_of(larder_page_item(f->page, i))]++;
}

typedef void (*between)(struct fixture *f, uint32_t page);

/* A whole scan by pages, with a change between them. Returns the number of pages. */
static uint32_t scan_all(struct fixture *f, struct larder_scan_spec spec, between meanwhile) {
    uint32_t pages = 0;
    int r;
    do {
        r = larder_scan(f->t, &spec, f->page);
        cr_assert(r == LARDER_OK || r == LARDER_MORE, "%s: %s", larder_result_name(r), larder_error());
        cr_assert_eq(larder_page_resume(f->page) != NULL, r == LARDER_MORE);
        cr_assert(r == LARDER_OK || larder_page_count(f->page) > 0, "a page that goes on has something");
        cr_assert(!spec.limit || larder_page_count(f->page) <= spec.limit);
        cr_assert_eq(larder_page_scanned(f->page), larder_page_count(f->page));
        see_page(f);
        spec.start_key = larder_page_resume(f->page);
        if (meanwhile)
            meanwhile(f, pages);
        cr_assert_lt(pages++, ITEMS_MAX * 2, "it does not end");
    } while (r == LARDER_MORE);
    return pages;
}

/* The items first, first + step, .. below end were seen `times` times, and are forgotten. */
static void expect_seen(struct fixture *f, uint32_t first, uint32_t step, uint32_t end, uint8_t times) {
    for (uint32_t n = first; n < end; n += step) {
        cr_assert_eq(f->seen[n], times, "item %u was seen %u times", n, f->seen[n]);
        f->seen[n] = 0;
    }
}

/* ---- Nothing changes ------------------------------------------------------------------------- */

Test(scan, empty_table_has_an_empty_page) {
    struct fixture *f = begin(2);
    cr_assert_eq(scan_all(f, (struct larder_scan_spec){0}, NULL), 1);
    cr_assert_eq(larder_page_count(f->page), 0);
    end(f);
}

Test(scan, pages_of_any_size_hold_everything_once) {
    static const uint32_t stripes[] = {2, 1024};
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = begin(stripes[i]);
        const uint32_t count = 3000;
        for (uint32_t n = 0; n < count; n++)
            put(f, n);
        static const uint32_t limits[] = {0, 1, 2, 7, 100, 2999, 3000, 3001, UINT32_MAX};
        for (unsigned k = 0; k < sizeof limits / sizeof *limits; k++) {
            uint32_t pages = scan_all(f, (struct larder_scan_spec){.limit = limits[k]}, NULL);
            expect_seen(f, 0, 1, count, 1);
            cr_assert(limits[k] == 0 || pages <= count / limits[k] + 1, "%u pages of %u", pages, limits[k]);
        }
        static const uint32_t bytes[] = {1, 300, 5000, 100000, UINT32_MAX};
        for (unsigned k = 0; k < sizeof bytes / sizeof *bytes; k++) {
            uint32_t pages = scan_all(f, (struct larder_scan_spec){.bytes_max = bytes[k]}, NULL);
            expect_seen(f, 0, 1, count, 1);
            cr_assert(pages > 1 || bytes[k] > 100000, "%u pages of %u bytes", pages, bytes[k]);
        }
        scan_all(f, (struct larder_scan_spec){.limit = 10, .bytes_max = 2000}, NULL);
        expect_seen(f, 0, 1, count, 1);
        end(f);
    }
}

Test(scan, page_ends_at_a_mebibyte_unless_told_otherwise) {
    struct fixture *f = begin(64);
    for (uint32_t n = 0; n < 1000; n++)
        EXPECT(try_put(f->t, f->b, n, 4000, 0), LARDER_OK);
    uint32_t pages = scan_all(f, (struct larder_scan_spec){0}, NULL);
    expect_seen(f, 0, 1, 1000, 1);
    cr_assert(pages >= 3 && pages <= 5, "%u pages of 4 MB", pages);
    end(f);
}

Test(scan, parallel_workers_share_the_table) {
    struct fixture *f = begin(16);
    const uint32_t count = 2000;
    for (uint32_t n = 0; n < count; n++)
        put(f, n);
    for (uint32_t workers = 1; workers <= 8; workers++)
        for (uint32_t limit = 0; limit < 30; limit += 13) {
            for (uint32_t i = 0; i < workers; i++) {
                uint32_t before = 0, after = 0;
                for (uint32_t n = 0; n < count; n++)
                    before += f->seen[n];
                scan_all(f, (struct larder_scan_spec){.segment = i, .segment_count = workers, .limit = limit}, NULL);
                for (uint32_t n = 0; n < count; n++)
                    after += f->seen[n];
                cr_assert_gt((after - before) * workers, count / 2, "worker %u of %u has its share", i, workers);
            }
            expect_seen(f, 0, 1, count, 1);
        }
    for (uint32_t i = 0; i < 999; i++) /* more workers than stripes, and no divisor of anything */
        scan_all(f, (struct larder_scan_spec){.segment = i, .segment_count = 999}, NULL);
    expect_seen(f, 0, 1, count, 1);
    end(f);
}

Test(scan, expired_items_are_not_there) {
    struct fixture *f = begin(8);
    int64_t now_s = 1000;
    larder_set_clock(f->db, clock_s, &now_s);
    for (uint32_t n = 0; n < 1000; n++)
        EXPECT(try_put(f->t, f->b, n, 10, n % 2 ? 2000 : 0), LARDER_OK);
    scan_all(f, (struct larder_scan_spec){.limit = 9}, NULL);
    expect_seen(f, 0, 1, 1000, 1);
    now_s = 2000;
    scan_all(f, (struct larder_scan_spec){.limit = 9}, NULL);
    expect_seen(f, 0, 2, 1000, 1);
    expect_seen(f, 1, 2, 1000, 0);
    end(f);
}

/* Expired items are copied before their expiry is checked: that must not fill a page. */
Test(scan, large_expired_items_fill_no_page) {
    struct fixture *f = begin(2);
    int64_t now_s = 1000;
    larder_set_clock(f->db, clock_s, &now_s);
    for (uint32_t n = 0; n < 2000; n++)
        EXPECT(try_put(f->t, f->b, n, 4500, n == 1000 ? 0 : 2000), LARDER_OK);
    now_s = 2000;
    cr_assert_leq(scan_all(f, (struct larder_scan_spec){.bytes_max = 6000}, NULL), 2);
    expect_seen(f, 1000, 1, 1001, 1);
    expect_seen(f, 0, 1, 2000, 0);
    end(f);
}

/* ---- The table changes between pages --------------------------------------------------------- */

#define STABLE_END 4000u

/* The table grows tenfold, and odd items that the scan has seen or not are deleted again. */
static void come_and_go(struct fixture *f, uint32_t page) {
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t n = (page * 300 + i) * 2 + 1;
        if (n < ITEMS_MAX)
            put(f, n);
        if (i % 3 == 0 && n > 900 && n - 900 < ITEMS_MAX)
            (void)try_delete(f->t, n - 900);
    }
}

Test(scan, growth_between_pages_hides_and_repeats_nothing) {
    static const uint32_t limits[] = {20, 64, 500};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct fixture *f = begin(2);
        for (uint32_t n = 0; n < STABLE_END; n += 2)
            put(f, n);
        scan_all(f, (struct larder_scan_spec){.limit = limits[i]}, come_and_go);
        expect_seen(f, 0, 2, STABLE_END, 1);
        for (uint32_t n = 1; n < ITEMS_MAX; n += 2)
            cr_assert_leq(f->seen[n], 1, "item %u, which was put once, was seen %u times", n, f->seen[n]);
        end(f);
    }
}

static void replace_all(struct fixture *f, uint32_t page) {
    for (uint32_t n = 0; n < 400; n += 2)
        EXPECT(try_put(f->t, f->b, n, page % 9 * 100, 0), LARDER_OK);
}

Test(scan, replaced_items_are_returned_once) {
    struct fixture *f = begin(2);
    for (uint32_t n = 0; n < 400; n += 2)
        put(f, n);
    scan_all(f, (struct larder_scan_spec){.limit = 7}, replace_all);
    expect_seen(f, 0, 2, 400, 1);
    end(f);
}

/* The last item of the page, which is the start key of the next, is deleted. */
static void delete_the_last(struct fixture *f, uint32_t page) {
    (void)page;
    if (larder_page_count(f->page))
        EXPECT(try_delete(f->t, number_of(larder_page_item(f->page, larder_page_count(f->page) - 1))), LARDER_OK);
}

Test(scan, goes_on_after_a_deleted_key) {
    static const uint32_t limits[] = {1, 2, 33};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct fixture *f = begin(2);
        for (uint32_t n = 0; n < 1000; n++)
            put(f, n);
        scan_all(f, (struct larder_scan_spec){.limit = limits[i]}, delete_the_last);
        expect_seen(f, 0, 1, 1000, 1);
        end(f);
    }
}

/* A start key that never existed is a place like any other. */
Test(scan, any_key_is_a_place_to_start) {
    struct fixture *f = begin(4);
    const struct larder_item *key;
    uint32_t rest = 0;
    for (uint32_t n = 0; n < 500; n++)
        put(f, n);
    for (int i = 0; i < 50; i++) {
        char pk[16];
        snprintf(pk, sizeof pk, "never %d", i);
        larder_builder_reset(f->b);
        larder_builder_add_s(f->b, "pk", pk);
        larder_builder_add_int(f->b, "sk", 0);
        EXPECT(larder_builder_finish(f->b, &key), LARDER_OK);
        EXPECT(larder_scan(f->t, &(struct larder_scan_spec){.start_key = key}, f->page), LARDER_OK);
        rest += larder_page_count(f->page);
    }
    cr_assert(rest > 50 * 100 && rest < 50 * 400, "%u items after 50 places", rest);
    end(f);
}

/* ---- The table changes during pages ---------------------------------------------------------- */

struct changer {
    struct fixture *f;
    struct larder *db;
    _Atomic int is_over;
    _Atomic int result;
    _Atomic uint64_t rounds;
};

/* A new table for each round would be slow. Instead the odd items of a small table come, which
 * makes it grow, and go. */
static void *change(void *arg) {
    struct changer *c = arg;
    struct larder_builder *b;
    struct rng rng;
    rng_seed(&rng, 7);
    c->result = larder_builder_new(c->db, &b);
    while (!atomic_load(&c->is_over) && c->result >= 0) {
        uint32_t n = (uint32_t)rng_below(&rng, ITEMS_MAX / 2) * 2 + 1;
        c->result = rng_is_one_in(&rng, 3) ? try_delete(c->f->t, n) : try_put(c->f->t, b, n, n % 200, 0);
        c->rounds++;
    }
    larder_builder_free(b);
    return NULL;
}

Test(scan, growth_during_pages_hides_and_repeats_nothing) {
    unsigned tables = getenv("LARDER_TEST_LONG") ? 300 : 12;
    for (unsigned i = 0; i < tables; i++) {
        struct fixture *f = begin(2);
        struct changer c = {.f = f, .db = f->db};
        pthread_t thread;
        for (uint32_t n = 0; n < 200; n += 2)
            put(f, n);
        cr_assert_eq(pthread_create(&thread, NULL, change, &c), 0);
        uint64_t end_ms = until_now_ms() + 100;
        do {
            scan_all(f, (struct larder_scan_spec){.limit = i % 2 ? 50 : 0, .segment_count = 1}, NULL);
            expect_seen(f, 0, 2, 200, 1);
            /* the others come and go: either answer is right */
            memset(f->seen, 0, sizeof f->seen);
        } while (until_now_ms() < end_ms || (atomic_load(&c.rounds) <= 100 && c.result >= 0));
        atomic_store(&c.is_over, 1);
        pthread_join(thread, NULL);
        cr_assert_geq(c.result, 0, "%s", larder_result_name(c.result));
        end(f);
    }
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void expect_refused(struct fixture *f, struct larder_scan_spec spec, const char *word) {
    EXPECT(larder_scan(f->t, &spec, f->page), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), word), "%s", larder_error());
}

static const struct larder_item *key_item(struct fixture *f, struct larder_value pk, struct larder_value sk) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    if (pk.type)
        EXPECT(larder_builder_add(f->b, "pk", &pk), LARDER_OK);
    if (sk.type)
        EXPECT(larder_builder_add(f->b, "sk", &sk), LARDER_OK);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    return item;
}

Test(scan, bad_specs_are_refused) {
    struct fixture *f = begin(4);
    const struct larder_value none = {0};
    for (uint32_t n = 0; n < 100; n++)
        put(f, n);
    expect_refused(f, (struct larder_scan_spec){.segment = 1}, "segment is 1");
    expect_refused(f, (struct larder_scan_spec){.segment = 4, .segment_count = 4}, "segment is 4");
    expect_refused(f, (struct larder_scan_spec){.segment_count = 1000001}, "1000001");
    expect_refused(f, (struct larder_scan_spec){.start_key = key_item(f, none, none)}, "\"pk\"");
    expect_refused(f, (struct larder_scan_spec){.start_key = key_item(f, larder_str("p1"), none)}, "\"sk\"");
    expect_refused(f, (struct larder_scan_spec){.start_key = key_item(f, larder_str("p1"), larder_str("1"))}, "type S");
    expect_refused(f, (struct larder_scan_spec){.start_key = key_item(f, larder_bin("p", 1), larder_num("1"))},
                   "type B");
    expect_refused(f, (struct larder_scan_spec){.start_key = key_item(f, larder_str(""), larder_num("1"))}, "0 bytes");
    unsigned refused = 0;
    for (uint32_t worker = 0; worker < 4; worker++) { /* a key belongs to one of them */
        struct larder_scan_spec spec = {.segment = worker, .segment_count = 4};
        spec.start_key = key_item(f, larder_str("p1"), larder_num("1"));
        refused += larder_scan(f->t, &spec, f->page) == LARDER_E_INVAL;
    }
    cr_assert_eq(refused, 3);
    EXPECT(larder_scan(f->t, &(struct larder_scan_spec){.segment = 999999, .segment_count = 1000000}, f->page),
           LARDER_OK);
    cr_assert_leq(larder_page_count(f->page), 1);
    EXPECT(larder_scan(f->t, NULL, f->page), LARDER_E_INVAL);
    end(f);
}
