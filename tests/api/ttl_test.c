/* tests/api/ttl_test.c - expired means gone, and its memory comes back.
 *
 * Goal     An item is there until the second before its expiry and gone from that second on, through every path,
 *          whether or not anybody works as the expirer. Its memory comes back. A change of the TTL attribute counts
 *          at once. The expirer can be killed, stopped, forked and run twice.
 * Method   All processes of a test read one clock in shared memory, which only the test moves; one test runs on the
 *          system's clock. No sleeps: waits for the thread have a deadline.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/item/item.h"
#include "core/segment/layout.h"
#include "core/segment/seg_layout.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(ttl, .timeout = 90 * SLOW_FACTOR);

#define SEGMENT_BYTES (64u << 20)
#define NOW_S INT64_C(1700000000)
#define FIVE_YEARS_S (INT64_C(5) * 366 * 86400)
#define WAIT_MS 10000

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    _Atomic int64_t *clock_s; /* in memory that forked children share */
    char name[TESTSEG_NAME_MAX];
};

static int64_t shared_clock(void *arg) {
    return atomic_load((_Atomic int64_t *)arg);
}

/* Everything of a fixture that lies on the handle. */
static int attach(struct fixture *f) {
    larder_set_clock(f->db, shared_clock, f->clock_s);
    int r = larder_table_open(f->db, "things", &f->t);
    if (r == LARDER_OK)
        r = larder_builder_new(f->db, &f->b);
    return r ? r : larder_page_new(f->db, &f->page);
}

/* A clock and the table, on the handle that is open. */
static void furnish(struct fixture *f) {
    const struct larder_index_def index = {
        .name = "by-owner", .partition = {"owner", LARDER_S}, .sort = {"sk", LARDER_S}};
    const struct larder_table_def def = {.name = "things",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "ttl"};
    f->clock_s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)f->clock_s, MAP_FAILED);
    atomic_store(f->clock_s, NOW_S);
    cr_assert_eq(larder_table_create(f->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(attach(f), LARDER_OK, "%s", larder_error());
}

static struct fixture begin_sized(uint64_t bytes) {
    struct fixture f = {0};
    testseg_name(f.name);
    f.db = testseg_open_named(f.name, bytes, 0);
    furnish(&f);
    return f;
}

static struct fixture begin(void) {
    return begin_sized(SEGMENT_BYTES);
}

static void check(const struct fixture *f) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(f->db, NULL, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.leaked_blocks, 0);
}

static void end(struct fixture *f) {
    check(f);
    larder_close(f->db);
    testseg_destroy(f->name);
    munmap((void *)f->clock_s, 4096);
}

/* An item with one N attribute; name NULL: none. Usable in forked children. */
static int put_result(struct fixture *f, const char *pk, const char *sk, const char *name, const char *number) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "pk", pk);
    larder_builder_add_s(f->b, "sk", sk);
    larder_builder_add_s(f->b, "owner", "me");
    if (name)
        larder_builder_add_n(f->b, name, number);
    int r = larder_builder_finish(f->b, &item);
    return r ? r : larder_put(f->t, item, NULL);
}

static void put_number(struct fixture *f, const char *sk, const char *name, const char *number) {
    cr_assert_eq(put_result(f, "p", sk, name, number), LARDER_OK, "%s", larder_error());
}

static void put(struct fixture *f, const char *sk, int64_t ttl_s) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)ttl_s);
    put_number(f, sk, "ttl", text);
}

static struct larder_key key_of(const char *sk) {
    return (struct larder_key){larder_str("p"), larder_str(sk)};
}

static int get(const struct fixture *f, const char *sk) {
    struct larder_key key = key_of(sk);
    return larder_get(f->t, &key, f->page);
}

static uint32_t query_count(const struct fixture *f, const char *index, const char *partition, int is_descending) {
    struct larder_query_spec spec = {
        .index = index, .partition = larder_str(partition), .is_descending = is_descending};
    cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_OK, "%s", larder_error());
    return larder_page_count(f->page);
}

static uint32_t scan_count(const struct fixture *f) {
    struct larder_scan_spec spec = {0};
    cr_assert_eq(larder_scan(f->t, &spec, f->page), LARDER_OK, "%s", larder_error());
    return larder_page_count(f->page);
}

/* How many items every path agrees to show. */
static uint32_t visible(const struct fixture *f) {
    uint32_t count = scan_count(f);
    cr_assert_eq(query_count(f, NULL, "p", 0), count);
    cr_assert_eq(query_count(f, NULL, "p", 1), count);
    cr_assert_eq(query_count(f, "by-owner", "me", 0), count);
    cr_assert_eq(query_count(f, "by-owner", "me", 1), count);
    return count;
}

static uint64_t expire(const struct fixture *f) {
    uint64_t removed = UINT64_MAX;
    cr_assert_eq(larder_expire(f->db, 0, &removed), LARDER_OK, "%s", larder_error());
    return removed;
}

static struct larder_table_stats stats_of(const struct fixture *f) {
    struct larder_table_stats stats;
    cr_assert_eq(larder_table_stats(f->t, &stats), LARDER_OK, "%s", larder_error());
    return stats;
}

static uint64_t item_count(const struct fixture *f) {
    return stats_of(f).item_count;
}

static uint64_t used_bytes(const struct fixture *f) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(f->db, &stats), LARDER_OK);
    return stats.used_bytes;
}

/* ---- Visibility -------------------------------------------------------------------------------------------------- */

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
    cr_assert_eq(item_count(&f), 2, "nobody worked as the expirer");
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(visible(&f), 1);
    end(&f);
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
    end(&f);
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
    atomic_store(f.clock_s, INT64_C(5000000000)); /* no timer reaches it, but reads know */
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(get(&f, "after-2106"), LARDER_NOT_FOUND);
    cr_assert_eq(visible(&f), 6);
    end(&f);
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
    end(&f);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static void put_many(struct fixture *f, uint32_t count, uint32_t seconds) {
    char pk[32], sk[32], ttl[32];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(pk, sizeof pk, "p%u", i % 997);
        snprintf(sk, sizeof sk, "s%u", i);
        snprintf(ttl, sizeof ttl, "%lld", (long long)atomic_load(f->clock_s) + 1 + i % seconds);
        cr_assert_eq(put_result(f, pk, sk, "ttl", ttl), LARDER_OK, "%s", larder_error());
    }
}

Test(ttl, memory_comes_back) {
    struct fixture f = begin();
    uint64_t used[3];
    for (int round = 0; round < 3; round++) { /* the first leaves bucket arrays, which do not shrink */
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
    end(&f);
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
    end(&f);
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
    end(&f);
}

/* Items whose expiry moved on need memory for a new timer when the old one fires; in a full segment there is none until
 * something that has expired is removed. */
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
    for (uint32_t i = 0; i < count; i++) { /* nine of ten get an hour more, as far as the memory allows */
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
    end(&f);
}

/* ---- An expiry that moves ---------------------------------------------------------------------------------------- */

Test(ttl, a_later_expiry_arms_anew) {
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
    end(&f);
}

Test(ttl, an_earlier_expiry_counts) {
    struct fixture f = begin();
    put(&f, "a", NOW_S + 1000);
    put(&f, "a", NOW_S + 10);
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(get(&f, "a"), LARDER_NOT_FOUND);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 1000);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    end(&f);
}

Test(ttl, an_expiry_taken_away) {
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
    end(&f);
}

/* Whether the item has a place for expiry and timer. */
static int is_timed(const struct fixture *f, const char *sk) {
    cr_assert_eq(get(f, sk), LARDER_OK);
    return (item_head(larder_page_item(f->page, 0))->flags & ITEM_TIMED) != 0;
}

/* Only items that expire, or that a timer stands for, have a place for it; and through those the timer is known. */
Test(ttl, a_timer_is_known_through_items_that_do_not_expire) {
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
    end(&f);
}

/* An item out of a page brings its own place for a timer, which is not that of the item it replaces. */
Test(ttl, an_item_that_is_put_as_it_was_read) {
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
    end(&f);
}

Test(ttl, an_item_created_anew_lives_by_its_own_expiry) {
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
    end(&f);
}

/* Makes a fixture's segment one in which key_of(sk) of these texts has the same 48 bits of its hash that an item and its slot have. */
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

/* Two keys that a walk of the hash table does not tell apart are two items all the same, for timers too. */
Test(ttl, keys_whose_hashes_are_nearly_equal) {
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

/* Keys that come and go must not fill the wheel with timers of what is gone. */
Test(ttl, timers_of_deleted_items_do_not_pile_up) {
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
    end(&f);
}

Test(ttl, a_table_made_anew_is_not_harmed_by_old_timers) {
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
    end(&f);
}

Test(ttl, a_clock_set_back_keeps_visibility_exact) {
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
    end(&f);
}

/* ---- The TTL attribute ------------------------------------------------------------------------------------------- */

static void put_both(struct fixture *f, const char *sk, const char *ttl, const char *other) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "pk", "p");
    larder_builder_add_s(f->b, "sk", sk);
    larder_builder_add_s(f->b, "owner", "me");
    larder_builder_add_n(f->b, "ttl", ttl);
    larder_builder_add_n(f->b, "other", other);
    cr_assert_eq(larder_builder_finish(f->b, &item), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_put(f->t, item, NULL), LARDER_OK, "%s", larder_error());
}

static void set_attribute(struct fixture *f, const char *attribute) {
    cr_assert_eq(larder_ttl_set(f->t, attribute), LARDER_OK, "%s", larder_error());
}

Test(ttl, the_attribute_can_be_changed) {
    struct fixture f = begin(), g = f;
    const struct larder_table_def *def;
    struct larder_options options = {.segment = f.name};
    cr_assert_eq(larder_open(&options, &g.db), LARDER_OK, "%s", larder_error()); /* knows the old definition */
    cr_assert_eq(attach(&g), LARDER_OK);
    put_both(&f, "a", "1700000010", "1700000100");
    put_both(&f, "b", "1700000100", "1700000010");
    cr_assert_eq(visible(&g), 2);
    set_attribute(&f, "other");
    cr_assert_eq(larder_table_describe(f.t, &def), LARDER_OK);
    cr_assert_str_eq(def->ttl_attribute, "other");
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(get(&g, "a"), LARDER_OK);
    cr_assert_eq(get(&g, "b"), LARDER_NOT_FOUND);
    cr_assert_eq(visible(&f), 1);
    cr_assert_eq(visible(&g), 1);
    cr_assert_eq(expire(&g), 1);
    check(&f);
    put_both(&g, "c", "1700000011", "1700000020");
    atomic_store(f.clock_s, NOW_S + 20);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 1);
    cr_assert_eq(item_count(&f), 0);
    larder_close(g.db);
    end(&f);
}

Test(ttl, the_attribute_can_be_removed_and_set_again) {
    struct fixture f = begin();
    put_many(&f, 3000, 50);
    put(&f, "a", NOW_S + 10);
    set_attribute(&f, NULL);
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    cr_assert_eq(expire(&f), 0);
    cr_assert_eq(scan_count(&f), 3001);
    check(&f);
    set_attribute(&f, "ttl");
    cr_assert_eq(get(&f, "a"), LARDER_NOT_FOUND);
    cr_assert_eq(scan_count(&f), 0);
    cr_assert_eq(expire(&f), 3001);
    set_attribute(&f, "ttl"); /* as it is already */
    end(&f);
}

/* The number of changes that an item knows goes round. */
Test(ttl, the_attribute_can_be_changed_thousands_of_times) {
    struct fixture f = begin();
    put_both(&f, "a", "1700000010", "1700000100");
    put_both(&f, "b", "1700000100", "1700000010");
    put_number(&f, "c", NULL, NULL);
    for (uint32_t i = 1; i <= ITEM_TTL_GENERATION_MAX + 2; i++) {
        set_attribute(&f, i % 2 ? "other" : "ttl");
        if (i % 1000 == 0 || i + 4 > ITEM_TTL_GENERATION_MAX) {
            cr_assert_eq(get(&f, "c"), LARDER_OK);
            uint32_t generation = item_ttl_generation(item_head(larder_page_item(f.page, 0)));
            cr_assert_eq(generation, 1 + i % ITEM_TTL_GENERATION_MAX);
            atomic_store(f.clock_s, NOW_S + 10);
            cr_assert_eq(get(&f, "a"), i % 2 ? LARDER_OK : LARDER_NOT_FOUND);
            cr_assert_eq(get(&f, "b"), i % 2 ? LARDER_NOT_FOUND : LARDER_OK);
            atomic_store(f.clock_s, NOW_S);
            check(&f);
        }
    }
    atomic_store(f.clock_s, NOW_S + 100);
    cr_assert_eq(expire(&f), 2);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    end(&f);
}

Test(ttl, a_table_without_attribute_can_get_one) {
    struct fixture f = begin();
    const struct larder_table_def def = {.name = "plain", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}};
    cr_assert_eq(larder_table_create(f.db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(f.db, "plain", &f.t), LARDER_OK);
    put(&f, "a", NOW_S + 10);
    put(&f, "b", NOW_S - 10);
    cr_assert_eq(scan_count(&f), 2);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    set_attribute(&f, "ttl");
    cr_assert_eq(scan_count(&f), 1);
    cr_assert_eq(expire(&f), 1);
    atomic_store(f.clock_s, NOW_S + 10);
    cr_assert_eq(scan_count(&f), 0);
    cr_assert_eq(expire(&f), 1);
    end(&f);
}

Test(ttl, bad_attribute_names_are_refused) {
    struct fixture f = begin();
    char name[LARDER_NAME_BYTES_MAX + 2];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    cr_assert_eq(larder_ttl_set(f.t, name), LARDER_E_INVAL);
    cr_assert_eq(larder_ttl_set(f.t, ""), LARDER_E_INVAL);
    cr_assert_eq(larder_ttl_set(f.t, "\xff"), LARDER_E_INVAL);
    name[LARDER_NAME_BYTES_MAX] = 0;
    cr_assert_eq(larder_ttl_set(f.t, name), LARDER_OK, "%s", larder_error());
    end(&f);
}

/* ---- The expirer's thread ---------------------------------------------------------------------------------------- */

static int has_expirer(struct larder *db, pid_t pid) {
    struct larder_slot_stats slots[64];
    uint32_t count;
    if (larder_slot_stats(db, slots, 64, &count) != LARDER_OK)
        return 0;
    for (uint32_t i = 0; i < count && i < 64; i++)
        if (slots[i].is_expirer && slots[i].is_alive && slots[i].pid == pid)
            return 1;
    return 0;
}

static uint32_t dead_slots(struct larder *db) {
    struct larder_slot_stats slots[64];
    uint32_t count, dead = 0;
    cr_assert_eq(larder_slot_stats(db, slots, 64, &count), LARDER_OK);
    for (uint32_t i = 0; i < count && i < 64; i++)
        dead += !slots[i].is_alive;
    return dead;
}

Test(ttl, the_thread_removes_what_expires) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK, "already running");
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    put_many(&f, 2000, 20);
    atomic_fetch_add(f.clock_s, 10);
    cr_assert(UNTIL(item_count(&f) == 1000, WAIT_MS));
    atomic_fetch_add(f.clock_s, 10);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    cr_assert_eq(larder_expire(f.db, 0, NULL), LARDER_OK, "%s", larder_error()); /* beside it */
    uint64_t begin_ms = until_own_ms();
    larder_expirer_stop(f.db);
    cr_assert_lt(until_own_ms() - begin_ms, 1000 * SLOW_FACTOR);
    larder_expirer_stop(f.db);
    cr_assert_not(has_expirer(f.db, getpid()));
    cr_assert_eq(expire(&f), 0);
    end(&f);
}

Test(ttl, the_thread_follows_the_system_clock) {
    struct fixture f = begin();
    larder_set_clock(f.db, NULL, NULL);
    put(&f, "a", time(NULL) + 2);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    end(&f); /* with the thread running */
}

Test(ttl, the_thread_finishes_a_change_of_the_attribute) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    put_many(&f, 1000, 10);
    set_attribute(&f, NULL);
    atomic_fetch_add(f.clock_s, 10);
    cr_assert_eq(scan_count(&f), 1000);
    set_attribute(&f, "ttl");
    cr_assert_eq(scan_count(&f), 0);
    atomic_fetch_add(f.clock_s, 1); /* the thread has done this second already */
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    end(&f);
}

struct churn {
    struct fixture f; /* builder and page of its own */
    uint64_t seed;
    int failed;
};

static void *churn_main(void *arg) {
    struct churn *c = arg;
    struct rng r;
    char sk[32], ttl[32];
    rng_seed(&r, c->seed);
    for (int i = 0; i < 20000 / SLOW_FACTOR && !c->failed; i++) {
        snprintf(sk, sizeof sk, "s%u", (unsigned)rng_below(&r, 300));
        struct larder_key key = key_of(sk);
        snprintf(ttl, sizeof ttl, "%lld",
                 (long long)atomic_load(c->f.clock_s) + (long long)rng_below(&r, rng_is_one_in(&r, 4) ? 2000 : 5));
        int result = rng_is_one_in(&r, 3) ? larder_delete(c->f.t, &key, NULL) : put_result(&c->f, "p", sk, "ttl", ttl);
        c->failed = result < 0;
        int64_t before_s = atomic_load(c->f.clock_s);
        struct larder_value value;
        int64_t expiry_s;
        if (larder_get(c->f.t, &key, c->f.page) != LARDER_OK)
            continue;
        c->failed |= larder_item_get(larder_page_item(c->f.page, 0), "ttl", &value) != LARDER_OK ||
                     larder_value_int64(&value, &expiry_s) != LARDER_OK || expiry_s <= before_s;
    }
    return NULL;
}

Test(ttl, writers_and_the_thread_at_once) {
    struct fixture f = begin();
    uint64_t seed = rng_test_seed("ttl_test");
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    for (int round = 0; round < 3; round++) {
        struct churn churn[2] = {{f, seed + (uint64_t)round, 0}, {f, ~seed + (uint64_t)round, 0}};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            cr_assert_eq(larder_builder_new(f.db, &churn[i].f.b), LARDER_OK);
            cr_assert_eq(larder_page_new(f.db, &churn[i].f.page), LARDER_OK);
            cr_assert_eq(pthread_create(&threads[i], NULL, churn_main, &churn[i]), 0);
        }
        for (int i = 0; i < 20; i++) {
            atomic_fetch_add(f.clock_s, i == 10 ? 300 : 1);
            if (i % 5 == 0)
                check(&f);
            for (int k = 0; k < 50; k++)
                until_pause();
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            cr_assert_not(churn[i].failed, "writer %d", i);
        }
        check(&f);
    }
    larder_expirer_stop(f.db);
    atomic_fetch_add(f.clock_s, 3000);
    expire(&f);
    cr_assert_eq(item_count(&f), 0);
    cr_assert_eq(stats_of(&f).wheel_entries, 0);
    end(&f);
}

Test(ttl, two_handles_take_turns) {
    struct fixture f = begin(), g = f;
    struct larder_options options = {.segment = f.name};
    cr_assert_eq(larder_open(&options, &g.db), LARDER_OK);
    cr_assert_eq(attach(&g), LARDER_OK);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    cr_assert_eq(larder_expirer_start(g.db), LARDER_OK);
    larder_expirer_stop(f.db);
    put(&f, "a", NOW_S + 1);
    atomic_fetch_add(f.clock_s, 1);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    larder_close(g.db);
    cr_assert_eq(expire(&f), 0);
    end(&f);
}

Test(ttl, read_only_handles_expire_nothing) {
    struct fixture f = begin();
    struct larder *reader;
    struct larder_table *t;
    struct larder_options options = {.segment = f.name, .flags = LARDER_READ_ONLY};
    put(&f, "a", NOW_S + 1);
    cr_assert_eq(larder_open(&options, &reader), LARDER_OK, "%s", larder_error());
    larder_set_clock(reader, shared_clock, f.clock_s);
    cr_assert_eq(larder_table_open(reader, "things", &t), LARDER_OK);
    cr_assert_eq(larder_expirer_start(reader), LARDER_E_READ_ONLY);
    cr_assert_eq(larder_expire(reader, 0, NULL), LARDER_E_READ_ONLY);
    cr_assert_eq(larder_ttl_set(t, NULL), LARDER_E_READ_ONLY);
    struct larder_table_stats stats;
    cr_assert_eq(larder_table_stats(t, &stats), LARDER_OK);
    cr_assert_eq(stats.wheel_entries, 1);
    larder_close(reader);
    end(&f);
}

Test(ttl, a_destroyed_segment_stops_the_work) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    testseg_destroy(f.name);
    cr_assert_eq(larder_expire(f.db, 0, NULL), LARDER_E_DESTROYED);
    larder_close(f.db);
    munmap((void *)f.clock_s, 4096);
}

/* ---- Processes --------------------------------------------------------------------------------------------------- */

/* A process of its own that carries the expirer until it is killed. */
static int carry_expirer(void *arg) {
    struct fixture *f = arg;
    PROC_CHECK(larder_expirer_start(f->db) == LARDER_OK);
    for (;;)
        pause();
}

Test(ttl, a_killed_expirer_is_replaced) {
    struct fixture f = begin();
    for (int round = 0; round < 5; round++) {
        pid_t child = proc_fork(carry_expirer, &f);
        cr_assert(UNTIL(has_expirer(f.db, child), WAIT_MS));
        put_many(&f, 3000, 3);
        atomic_fetch_add(f.clock_s, 3); /* it dies somewhere in this work, or before or after */
        for (int i = 0; i < round; i++)
            until_pause();
        cr_assert(proc_is_signal(proc_kill(child), SIGKILL));
        cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
        cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
        cr_assert(UNTIL(dead_slots(f.db) == 0, WAIT_MS));
        larder_expirer_stop(f.db);
        check(&f);
    }
    end(&f);
}

Test(ttl, a_waiting_thread_takes_over_from_a_killed_process) {
    struct fixture f = begin();
    pid_t child = proc_fork(carry_expirer, &f);
    cr_assert(UNTIL(has_expirer(f.db, child), WAIT_MS));
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    proc_kill(child);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    put(&f, "a", NOW_S + 1);
    atomic_fetch_add(f.clock_s, 1);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    end(&f);
}

Test(ttl, larder_expire_takes_over_from_a_killed_process) {
    struct fixture f = begin();
    pid_t child = proc_fork(carry_expirer, &f);
    cr_assert(UNTIL(has_expirer(f.db, child), WAIT_MS));
    put(&f, "a", NOW_S + 1);
    proc_kill(child);
    atomic_fetch_add(f.clock_s, 1);
    cr_assert_eq(expire(&f), 1);
    end(&f);
}

static int put_until_killed(void *arg) {
    struct fixture *f = arg;
    char sk[32];
    for (unsigned i = 0;; i++) {
        snprintf(sk, sizeof sk, "s%u", i % 100);
        PROC_CHECK(put_result(f, "p", sk, "ttl", "1700000005") == LARDER_OK);
    }
}

Test(ttl, the_thread_repairs_what_killed_writers_left) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    for (int round = 0; round < 20; round++) {
        pid_t child = proc_fork(put_until_killed, &f);
        cr_assert(UNTIL(item_count(&f) > 0, WAIT_MS));
        for (int i = 0; i < round; i++)
            until_pause();
        cr_assert(proc_is_signal(proc_kill(child), SIGKILL));
        cr_assert(UNTIL(dead_slots(f.db) == 0, WAIT_MS));
        check(&f);
    }
    atomic_fetch_add(f.clock_s, 5);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    end(&f);
}

/* The child of a process with an expirer has none, until it starts one. */
static int start_after_fork(void *arg) {
    struct fixture *f = arg;
    PROC_CHECK(!has_expirer(f->db, getpid()));
    PROC_CHECK(put_result(f, "p", "child", "ttl", "1700000001") == LARDER_OK);
    larder_expirer_stop(f->db);
    PROC_CHECK(larder_expirer_start(f->db) == LARDER_OK);
    PROC_CHECK(larder_expire(f->db, 0, NULL) == LARDER_OK);
    larder_close(f->db);
    return 0;
}

Test(ttl, forked_children_do_without) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    for (int round = 0; round < 10; round++) {
        struct proc_result r = proc_run(start_after_fork, &f, WAIT_MS);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
        cr_assert(has_expirer(f.db, getpid()));
    }
    atomic_fetch_add(f.clock_s, 1);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    end(&f);
}

static void count_signal(int signal) {
    (void)signal;
}

Test(ttl, the_thread_takes_no_signal) {
    struct fixture f = begin();
    struct sigaction action = {.sa_handler = count_signal};
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigaction(SIGUSR1, &action, NULL);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    char path[64], line[256];
    uint64_t blocked = 0;
    int found = 0;
    for (pid_t tid = getpid(); tid < getpid() + 64 && !found; tid++) { /* threads of this process by their names */
        snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)tid);
        FILE *status = fopen(path, "r");
        while (status && fgets(line, sizeof line, status)) {
            found |= strncmp(line, "Name:\tlarder-expirer", 20) == 0;
            if (found && sscanf(line, "SigBlk: %lx", &blocked) == 1)
                break;
        }
        if (status)
            fclose(status);
    }
    cr_assert(found);
    cr_assert(blocked >> (SIGUSR1 - 1) & 1);
    cr_assert(blocked >> (SIGTERM - 1) & 1);
    end(&f);
}
