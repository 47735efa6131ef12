/* tests/api/increment_test.c - larder_increment(), larder_increment_n(): numbers that many
 * processes count up.
 *
 * Goal     The number, the item around it, its place in an index and its expiry are what larder.h
 *          says, whether the item, the attribute or neither was there. Sums are
 *          exact, whatever decimals are added. What DynamoDB does not allow is refused, and nothing
 *          changes. Concurrent increments by threads and
 *          processes come to the right sum, and a killed process loses nothing that was counted.
 * Method   The public functions only. Deaths at every store: tests/crash/scenarios.c (increment,
 *          increment_key, increment_new).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(increment, .timeout = 100 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define START_S INT64_C(1700000000)
#define DEADLINE_MS 60000
#define COUNTS (8000u / SLOW_FACTOR)
#define COUNTERS 2
#define KILLS (60u / SLOW_FACTOR + 2)

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
};

static int64_t now_s;

static int64_t test_now(void *arg) {
    (void)arg;
    return now_s;
}

static const struct larder_index_def ranking = {
    .name = "ranking", .partition = {"game", LARDER_S}, .sort = {"score", LARDER_N}};

static void begin_in(struct fixture *f, struct larder *db) {
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"id", LARDER_S},
                                         .sort = {"day", LARDER_N},
                                         .indexes = &ranking,
                                         .index_count = 1,
                                         .ttl_attribute = "expires"};
    f->db = db;
    now_s = START_S;
    larder_set_clock(f->db, test_now, NULL);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
}

static void begin(struct fixture *f) {
    begin_in(f, testseg_open(16 * MIB, 4));
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
    larder_close(f->db);
}

static struct larder_key key_of(const char *id) {
    return (struct larder_key){larder_str(id), larder_num("20261128")};
}

static void begin_item(struct fixture *f, const char *id) {
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_n(f->b, "day", "20261128");
}

static void put_built(struct fixture *f) {
    const struct larder_item *item;
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

/* A player with a score. */
static void put_player(struct fixture *f, const char *id, const char *score, int64_t expires_s) {
    begin_item(f, id);
    larder_builder_add_s(f->b, "game", "chess");
    larder_builder_add_n(f->b, "score", score);
    larder_builder_add_s(f->b, "name", "a name that stays");
    if (expires_s)
        larder_builder_add_int(f->b, "expires", expires_s);
    put_built(f);
}

static int increment(struct fixture *f, const char *id, const char *name, int64_t by, int64_t *value) {
    struct larder_key key = key_of(id);
    return larder_increment(f->t, &key, name, by, value);
}

/* Adds, and the sum is as expected. */
static void adds(struct fixture *f, const char *id, const char *name, int64_t by, int64_t sum) {
    int64_t value = ~sum;
    EXPECT(increment(f, id, name, by, &value), LARDER_OK);
    cr_assert_eq(value, sum);
}

/* The text of a number of the stored item; "" if it, or the item, is not there. */
static const char *stored(struct fixture *f, const char *id, const char *name) {
    static char text[LARDER_NUMBER_TEXT_MAX];
    struct larder_key key = key_of(id);
    struct larder_value value;
    text[0] = 0;
    if (larder_get(f->t, &key, f->page) == LARDER_OK &&
        larder_item_get(larder_page_item(f->page, 0), name, &value) == LARDER_OK)
        EXPECT(larder_value_number(&value, text), LARDER_OK);
    return text;
}

static void must_have(struct fixture *f, const char *id, const char *name, const char *text) {
    cr_assert_str_eq(stored(f, id, name), text);
}

/* Scores of a game in the order of the index. */
static void ranked(struct fixture *f, const char *index, const char *scores) {
    char text[256] = "", number[LARDER_NUMBER_TEXT_MAX];
    struct larder_query_spec q = {.index = index, .partition = larder_str("chess")};
    struct larder_value value;
    EXPECT(larder_query(f->t, &q, f->page), LARDER_OK);
    for (uint32_t i = 0; i < larder_page_count(f->page); i++) {
        EXPECT(larder_item_get(larder_page_item(f->page, i), "score", &value), LARDER_OK);
        EXPECT(larder_value_number(&value, number), LARDER_OK);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", number);
    }
    cr_assert_str_eq(text, scores);
}

/* ---- What comes of it ------------------------------------------------------------------------ */

Test(increment, makes_what_is_not_there) {
    struct fixture f;
    struct larder_key key = key_of("new");
    begin(&f);
    adds(&f, "new", "hits", 5, 5);
    EXPECT(larder_get(f.t, &key, f.page), LARDER_OK);
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 3);
    adds(&f, "new", "misses", -2, -2);
    adds(&f, "new", "hits", 1, 6);
    EXPECT(increment(&f, "new", "hits", 1, NULL), LARDER_OK);
    must_have(&f, "new", "hits", "7");
    must_have(&f, "new", "misses", "-2");
    must_have(&f, "new", "day", "20261128");
    end(&f);
}

Test(increment, leaves_all_else_as_it_was) {
    struct fixture f;
    struct larder_key key = key_of("ann");
    struct larder_value value;
    begin(&f);
    put_player(&f, "ann", "100", START_S + 50);
    adds(&f, "ann", "score", -58, 42);
    EXPECT(larder_get(f.t, &key, f.page), LARDER_OK);
    const struct larder_item *item = larder_page_item(f.page, 0);
    cr_assert_eq(larder_item_count(item), 6);
    EXPECT(larder_item_get(item, "name", &value), LARDER_OK);
    cr_assert(value.bytes == 17 && memcmp(value.data, "a name that stays", 17) == 0);
    cr_assert_eq(larder_item_size(item), 2 + 3 + 3 + 5 + 4 + 5 + 5 + 2 + 4 + 17 + 7 + 6);
    now_s = START_S + 49;
    must_have(&f, "ann", "score", "42");
    now_s = START_S + 50;
    must_have(&f, "ann", "score", "");
    end(&f);
}

Test(increment, moves_the_item_in_an_index) {
    struct fixture f;
    begin(&f);
    put_player(&f, "a", "10", 0);
    put_player(&f, "b", "20", 0);
    put_player(&f, "c", "30", 0);
    adds(&f, "b", "score", 15, 35);
    ranked(&f, "ranking", "10 30 35");
    adds(&f, "c", "score", -130, -100);
    ranked(&f, "ranking", "-100 10 35");
    adds(&f, "a", "other", 1, 1);
    ranked(&f, "ranking", "-100 10 35");
    end(&f);
}

Test(increment, brings_an_item_into_an_index) {
    struct fixture f;
    begin(&f);
    begin_item(&f, "a");
    larder_builder_add_s(f.b, "game", "chess");
    put_built(&f);
    ranked(&f, "ranking", "");
    adds(&f, "a", "score", 3, 3);
    ranked(&f, "ranking", "3");
    end(&f);
}

Test(increment, expired_is_not_there) {
    struct fixture f;
    begin(&f);
    put_player(&f, "a", "10", START_S + 10);
    now_s = START_S + 10;
    adds(&f, "a", "score", 1, 1);
    ranked(&f, "ranking", ""); /* its game is gone, too */
    end(&f);
}

Test(increment, changes_an_expiry) {
    struct fixture f;
    uint64_t removed = 0;
    begin(&f);
    put_player(&f, "a", "10", START_S + 10);
    put_player(&f, "b", "20", START_S + 10);
    adds(&f, "a", "expires", 90, START_S + 100);
    now_s = START_S + 20;
    EXPECT(larder_expire(f.db, 0, &removed), LARDER_OK);
    cr_assert_eq(removed, 1);
    must_have(&f, "a", "score", "10");
    now_s = START_S + 100;
    must_have(&f, "a", "score", "");
    EXPECT(larder_expire(f.db, 0, &removed), LARDER_OK);
    end(&f);
}

Test(increment, works_on_under_a_changed_definition) {
    struct fixture f;
    const struct larder_index_def more = {.name = "more", .partition = {"game", LARDER_S}, .sort = {"score", LARDER_N}};
    begin(&f);
    put_player(&f, "a", "10", START_S + 100);
    put_player(&f, "b", "20", 0);
    EXPECT(larder_index_add(f.t, &more), LARDER_OK);
    adds(&f, "a", "score", 20, 30);
    ranked(&f, "more", "20 30");
    EXPECT(larder_ttl_set(f.t, "until"), LARDER_OK);
    adds(&f, "a", "expires", 1, START_S + 101);
    adds(&f, "b", "until", START_S + 7, START_S + 7);
    now_s = START_S + 500;
    must_have(&f, "a", "score", "30");
    must_have(&f, "b", "score", "");
    end(&f);
}

/* An item of `count` numbers: x00 is 0, x01 is 1 .. */
static void put_numbers(struct fixture *f, int count) {
    char name[16];
    begin_item(f, "a");
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "x%02d", i);
        larder_builder_add_int(f->b, name, i);
    }
    put_built(f);
}

/* In an item without a directory of its attributes, and in one with. */
Test(increment, counts_over_every_length) {
    struct fixture f;
    begin(&f);
    for (int count = 3; count <= 60; count += 57) {
        int64_t sum = 1;
        put_numbers(&f, count);
        for (int64_t by = 1; by < INT64_MAX / 100; by *= 10) {
            adds(&f, "a", "x01", by, sum + by);
            sum += by;
        }
        adds(&f, "a", "x01", -sum, 0);
        adds(&f, "a", "x01", INT64_MIN, INT64_MIN);
        must_have(&f, "a", "x00", "0");
        must_have(&f, "a", "x01", "-9223372036854775808");
        must_have(&f, "a", "x02", "2");
        must_have(&f, "a", "x59", count == 60 ? "59" : "");
    }
    end(&f);
}

/* ---- Refused --------------------------------------------------------------------------------- */

static void refused(struct fixture *f, const char *name, int64_t by, const char *words) {
    int64_t value = 77;
    EXPECT(increment(f, "a", name, by, &value), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    cr_assert_eq(value, 77);
}

static void put_refusing(struct fixture *f) {
    begin_item(f, "a");
    larder_builder_add_s(f->b, "text", "12");
    larder_builder_add_n(f->b, "half", "0.5");
    larder_builder_add_n(f->b, "large", "9223372036854775808");
    larder_builder_add_int(f->b, "most", INT64_MAX);
    larder_builder_add_int(f->b, "least", INT64_MIN);
    larder_builder_add_n(f->b, "longest", "12345678901234567890123456789012345678");
    larder_builder_add_n(f->b, "highest", "9E+125");
    larder_builder_add_n(f->b, "lowest", "1.1E-130");
    larder_builder_add_n(f->b, "expires", "1700000050.5");
    put_built(f);
}

/* An int64_t has no room for them. Without it they are counted. */
Test(increment, refuses_to_give_what_is_no_integer_of_64_bits) {
    struct fixture f;
    begin(&f);
    put_refusing(&f);
    refused(&f, "text", 1, "\"text\" is of type S; N is needed");
    refused(&f, "half", 1, "\"half\" would be 1.5, which is no 64-bit integer; larder_increment_n()");
    refused(&f, "large", 1, "\"large\" would be 9223372036854775809, which is no 64-bit integer");
    refused(&f, "most", 1, "\"most\" would be 9223372036854775808, which");
    refused(&f, "least", -1, "\"least\" would be -9223372036854775809, which");
    refused(&f, "expires", 1, "\"expires\" would be 1700000051.5, which");
    must_have(&f, "a", "half", "0.5");
    must_have(&f, "a", "large", "9223372036854775808");
    must_have(&f, "a", "most", "9223372036854775807");
    adds(&f, "a", "most", -1, INT64_MAX - 1);
    adds(&f, "a", "large", -1, INT64_MAX);
    EXPECT(increment(&f, "a", "half", 1, NULL), LARDER_OK);
    must_have(&f, "a", "half", "1.5");
    EXPECT(increment(&f, "a", "least", -1, NULL), LARDER_OK);
    must_have(&f, "a", "least", "-9223372036854775809");
    end(&f);
}

static int increment_n(struct fixture *f, const char *name, const char *decimal, char *sum) {
    struct larder_key key = key_of("a");
    return larder_increment_n(f->t, &key, name, decimal, sum);
}

/* Adds, and the sum is as expected, given and stored. */
static void adds_n(struct fixture *f, const char *name, const char *decimal, const char *sum) {
    char text[LARDER_NUMBER_TEXT_MAX] = "none";
    EXPECT(increment_n(f, name, decimal, text), LARDER_OK);
    cr_assert_str_eq(text, sum);
    must_have(f, "a", name, sum);
}

Test(increment, decimals_are_exact) {
    struct fixture f;
    begin(&f);
    adds_n(&f, "price", "0.1", "0.1"); /* the item is made */
    adds_n(&f, "price", "0.2", "0.3");
    adds_n(&f, "price", "1", "1.3");
    adds_n(&f, "price", "-1.3", "0");
    adds_n(&f, "price", "12345678901234567890.0000000000000001", "12345678901234567890.0000000000000001");
    adds_n(&f, "price", "-1E-16", "12345678901234567890");
    adds_n(&f, "price", "1E1", "12345678901234567900");
    adds_n(&f, "other", "7", "7");
    adds_n(&f, "other", "9223372036854775807", "9223372036854775814");
    EXPECT(increment_n(&f, "other", "0.5", NULL), LARDER_OK);
    must_have(&f, "a", "other", "9223372036854775814.5");
    must_have(&f, "a", "price", "12345678901234567900");
    end(&f);
}

/* The attribute that orders an index, and the one that the item expires by. */
Test(increment, decimals_move_the_item) {
    struct fixture f;
    begin(&f);
    put_player(&f, "a", "1.5", START_S + 10);
    put_player(&f, "b", "2", 0);
    adds_n(&f, "score", "0.75", "2.25");
    ranked(&f, "ranking", "2 2.25");
    adds_n(&f, "expires", "9.5", "1700000019.5");
    now_s = START_S + 18;
    ranked(&f, "ranking", "2 2.25");
    now_s = START_S + 19;
    ranked(&f, "ranking", "2");
    end(&f);
}

static void refused_n(struct fixture *f, const char *name, const char *decimal, const char *words) {
    char text[LARDER_NUMBER_TEXT_MAX] = "none";
    EXPECT(increment_n(f, name, decimal, text), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    cr_assert_str_eq(text, "none");
}

Test(increment, decimals_that_are_refused) {
    struct fixture f;
    begin(&f);
    put_refusing(&f);
    refused_n(&f, "text", "0.5", "\"text\" is of type S; N is needed");
    refused_n(&f, "half", "x", "\"x\" is not a number");
    refused_n(&f, "half", "1E+126", "below 1E+126");
    refused_n(&f, "longest", "0.1",
              "the sum of 12345678901234567890123456789012345678 and 0.1 has more than 38 significant digits");
    refused_n(&f, "highest", "1E+125", "too large: its magnitude must be below 1E+126");
    refused_n(&f, "lowest", "-1E-130", "too small: its magnitude must be 0 or at least 1E-130");
    must_have(&f, "a", "longest", "12345678901234567890123456789012345678");
    must_have(&f, "a", "half", "0.5");
    adds_n(&f, "longest", "1", "12345678901234567890123456789012345679");
    end(&f);
}

Test(increment, full_is_full) {
    struct fixture f;
    char id[16], fill[4000];
    int64_t value = 0;
    int r = LARDER_OK;
    begin_in(&f, testseg_open(LARDER_SEGMENT_BYTES_MIN, 2));
    put_player(&f, "a", "1", 0);
    memset(fill, 'f', sizeof fill);
    for (unsigned bytes = sizeof fill, n = 0; bytes > 0; bytes /= r == LARDER_E_FULL ? 2 : 1) {
        const struct larder_item *item;
        snprintf(id, sizeof id, "x%u", n++);
        begin_item(&f, id);
        larder_builder_add_sn(f.b, "fill", fill, bytes);
        EXPECT(larder_builder_finish(f.b, &item), LARDER_OK);
        r = larder_put(f.t, item, NULL);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
    }
    EXPECT(increment(&f, "none", "n", 1, &value), LARDER_E_FULL);
    must_have(&f, "none", "n", "");
    r = increment(&f, "a", "score", 1, &value);
    cr_assert(r == LARDER_E_FULL || r == LARDER_OK, "%s", larder_error());
    must_have(&f, "a", "score", r == LARDER_OK ? "2" : "1");
    end(&f);
}

/* ---- Together -------------------------------------------------------------------------------- */

struct counter {
    struct larder *db;
    /* calls that have returned, in memory that outlives the process; or NULL */
    _Atomic uint64_t *said;
};

static int count_up(const struct counter *c, unsigned counts) {
    struct larder_key key = key_of("counter");
    struct larder_table *t;
    PROC_CHECK(larder_table_open(c->db, "table", &t) == LARDER_OK);
    for (unsigned i = 0; i < counts; i++) {
        PROC_CHECK(larder_increment(t, &key, "n", 1, NULL) == LARDER_OK);
        if (c->said)
            atomic_fetch_add(c->said, 1);
    }
    return 0;
}

static int count_in_process(void *arg) {
    return count_up(arg, COUNTS);
}
static int count_until_killed(void *arg) {
    return count_up(arg, UINT32_MAX);
}
static void *count_in_thread(void *arg) {
    return (void *)(intptr_t)count_up(arg, COUNTS);
}

/* They begin without the item, too: one of them makes it. */
Test(increment, processes_count_together) {
    struct fixture f;
    pid_t pids[COUNTERS];
    char sum[32];
    begin(&f);
    struct counter c = {.db = f.db};
    for (int i = 0; i < COUNTERS; i++)
        pids[i] = proc_fork(count_in_process, &c);
    for (int i = 0; i < COUNTERS; i++) {
        struct proc_result r = proc_wait(pids[i], DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    snprintf(sum, sizeof sum, "%u", COUNTERS * COUNTS);
    must_have(&f, "counter", "n", sum);
    end(&f);
}

Test(increment, threads_count_together) {
    struct fixture f;
    pthread_t threads[COUNTERS];
    void *result;
    char sum[32];
    begin(&f);
    struct counter c = {.db = f.db};
    for (int i = 0; i < COUNTERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_in_thread, &c), 0);
    for (int i = 0; i < COUNTERS; i++) {
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_null(result);
    }
    snprintf(sum, sizeof sum, "%u", COUNTERS * COUNTS);
    must_have(&f, "counter", "n", sum);
    end(&f);
}

/* Two count all the time, and one of them is killed again and again. At most one call of each death
 * counted without being acknowledged. */
Test(increment, the_killed_lose_nothing) {
    struct fixture f;
    pid_t pids[COUNTERS];
    begin(&f);
    struct counter c = {.db = f.db};
    c.said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)c.said != MAP_FAILED);
    for (int i = 0; i < COUNTERS; i++)
        pids[i] = proc_fork(count_until_killed, &c);
    for (unsigned kills = 0; kills < KILLS + COUNTERS; kills++) {
        uint64_t before = atomic_load(c.said);
        cr_assert(UNTIL(atomic_load(c.said) > before + 20 + kills, DEADLINE_MS));
        struct proc_result r = proc_kill(pids[kills % COUNTERS]);
        cr_assert(proc_is_signal(r, SIGKILL), "%s", proc_text(r));
        if (kills < KILLS)
            pids[kills % COUNTERS] = proc_fork(count_until_killed, &c);
    }
    uint64_t said = atomic_load(c.said), done = strtoull(stored(&f, "counter", "n"), NULL, 10);
    cr_assert(done >= said && done <= said + KILLS + COUNTERS, "%lu said, %lu counted", (unsigned long)said,
              (unsigned long)done);
    munmap(c.said, 4096);
    end(&f);
}
