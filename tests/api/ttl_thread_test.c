/* tests/api/ttl_thread_test.c - the expirer's thread.
 *
 * Goal     larder_expirer_start() removes what expires, beside writers, in turns with another
 *          handle's expirer, and on no read-only handle.
 * Method   The clock of ttl_kit.h; one test runs on the system's clock. No sleeps: waits have a
 *          deadline.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(ttl_thread, .timeout = 90 * SLOW_FACTOR);

Test(ttl_thread, the_thread_removes_what_expires) {
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
    finish(&f);
}

Test(ttl_thread, the_thread_follows_the_system_clock) {
    struct fixture f = begin();
    larder_set_clock(f.db, NULL, NULL);
    put(&f, "a", time(NULL) + 2);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert_eq(get(&f, "a"), LARDER_OK);
    cr_assert(UNTIL(item_count(&f) == 0, WAIT_MS));
    finish(&f); /* with the thread running */
}

Test(ttl_thread, the_thread_finishes_a_change_of_the_attribute) {
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
    finish(&f);
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

Test(ttl_thread, writers_and_the_thread_at_once) {
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
    finish(&f);
}

Test(ttl_thread, two_handles_take_turns) {
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
    finish(&f);
}

Test(ttl_thread, read_only_handles_expire_nothing) {
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
    finish(&f);
}

Test(ttl_thread, a_destroyed_segment_stops_the_work) {
    struct fixture f = begin();
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert(UNTIL(has_expirer(f.db, getpid()), WAIT_MS));
    testseg_destroy(f.name);
    cr_assert_eq(larder_expire(f.db, 0, NULL), LARDER_E_DESTROYED);
    larder_close(f.db);
    munmap((void *)f.clock_s, 4096);
}
