/* tests/api/snapshot_test.c - a page of a query is a snapshot, however long it is.
 *
 * Goal     An item that is in a partition all the time is in every page that covers the partition,
 *          also while writers move it from place to place, as long as they leave the page time to
 *          be read. larder_page_is_snapshot() says whether it is one, and is right.
 * Method   Writers in other processes move items about in an index, at a given total rate, or as
 *          fast as they can, or rewrite them, or put and delete others. A reader asks for the whole
 *          partition and judges every page: no item missing, none twice, in order. A page that says
 *          that it is a snapshot must have all items, and so must each page beside slow writers.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(snapshot, .timeout = 110 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define ITEMS_MAX 4000u
#define WRITERS 2
#define RUN_MS 1500
#define DEADLINE_MS 60000

enum style { MOVES, REWRITES };

static struct shared {
    _Atomic int is_over;
    _Atomic uint64_t writes;
} * shared;

struct scene {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    uint32_t items, value_bytes;
    enum style style;
    uint32_t pause_us; /* of each writer between two writes; 0: none */
    int writer;
};

static uint64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int put(struct scene *s, uint32_t i, int64_t score) {
    const struct larder_item *item;
    static char value[4096];
    memset(value, 'v', sizeof value);
    larder_builder_reset(s->b);
    larder_builder_add_int(s->b, "id", i);
    larder_builder_add_s(s->b, "game", "all");
    larder_builder_add_int(s->b, "score", score);
    larder_builder_add_sn(s->b, "value", value, s->value_bytes);
    int r = larder_builder_finish(s->b, &item);
    return r ? r : larder_put(s->t, item, NULL);
}

static void begin(struct scene *s, uint32_t items, uint32_t value_bytes) {
    static const struct larder_index_def ranking = {
        .name = "ranking", .partition = {"game", LARDER_S}, .sort = {"score", LARDER_N}};
    static const struct larder_table_def def = {
        .name = "table", .partition = {"id", LARDER_N}, .indexes = &ranking, .index_count = 1};
    *s = (struct scene){.items = items, .value_bytes = value_bytes};
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(shared, MAP_FAILED);
    s->db = testseg_open(128 * MIB, 16);
    EXPECT(larder_table_create(s->db, &def), LARDER_OK);
    EXPECT(larder_table_open(s->db, "table", &s->t), LARDER_OK);
    EXPECT(larder_builder_new(s->db, &s->b), LARDER_OK);
    EXPECT(larder_page_new(s->db, &s->page), LARDER_OK);
    for (uint32_t i = 0; i < items; i++)
        EXPECT(put(s, i, i * 1000), LARDER_OK);
}

static int writer(void *arg) {
    struct scene *s = arg;
    struct rng r;
    rng_seed(&r, 1 + (uint64_t)s->writer);
    while (!atomic_load(&shared->is_over)) {
        uint32_t i = (uint32_t)rng_below(&r, s->items / WRITERS) * WRITERS + (uint32_t)s->writer;
        int64_t score = s->style == MOVES ? (int64_t)rng_below(&r, s->items * 1000u) : (int64_t)i * 1000;
        int put_result = put(s, i, score);
        PROC_CHECK(put_result == LARDER_OK ||
                   put_result == LARDER_E_BUSY); /* a machine that stands still for seconds */
        atomic_fetch_add(&shared->writes, put_result == LARDER_OK);
        if (s->pause_us)
            usleep(s->pause_us);
    }
    return 0;
}

struct tally {
    uint64_t pages, snapshots, incomplete;
    uint64_t undisturbed, undisturbed_snapshots; /* the reader had a core all the time */
};

/* Judges the page, which covers the partition. Returns whether it has every item. */
static int judge(const struct scene *s, int is_descending) {
    static unsigned char has[ITEMS_MAX];
    uint32_t count = larder_page_count(s->page);
    int64_t last = is_descending ? INT64_MAX : INT64_MIN;
    memset(has, 0, sizeof has);
    for (uint32_t i = 0; i < count; i++) {
        struct larder_value value;
        int64_t id, score;
        const struct larder_item *item = larder_page_item(s->page, i);
        EXPECT(larder_item_get(item, "id", &value), LARDER_OK);
        EXPECT(larder_value_int64(&value, &id), LARDER_OK);
        EXPECT(larder_item_get(item, "score", &value), LARDER_OK);
        EXPECT(larder_value_int64(&value, &score), LARDER_OK);
        cr_assert(!has[id]++, "item %lld is twice in a page", (long long)id);
        cr_assert(is_descending ? score <= last : score >= last, "not in order");
        last = score;
    }
    return count == s->items;
}

static uint64_t switches_of_this_thread(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

static struct tally run(struct scene *s) {
    pid_t pids[WRITERS];
    struct tally tally = {0};
    atomic_store(&shared->is_over, 0);
    for (s->writer = 0; s->writer < WRITERS; s->writer++)
        pids[s->writer] = proc_fork(writer, s);
    uint64_t end_ms = now_ms() + RUN_MS;
    while (now_ms() < end_ms) {
        struct larder_query_spec spec = {.index = "ranking",
                                         .partition = larder_str("all"),
                                         .is_descending = (int)(tally.pages % 2),
                                         .bytes_max = UINT32_MAX};
        uint64_t switches = switches_of_this_thread();
        EXPECT(larder_query(s->t, &spec, s->page), LARDER_OK);
        int is_undisturbed = switches_of_this_thread() == switches;
        int is_whole = judge(s, spec.is_descending), is_snapshot = larder_page_is_snapshot(s->page);
        cr_assert(is_whole || !is_snapshot, "a page that says it is a snapshot has %u of %u items",
                  larder_page_count(s->page), s->items);
        tally.pages++;
        tally.snapshots += (uint64_t)is_snapshot;
        tally.incomplete += (uint64_t)!is_whole;
        tally.undisturbed += (uint64_t)is_undisturbed;
        tally.undisturbed_snapshots += (uint64_t)(is_undisturbed && is_snapshot);
    }
    atomic_store(&shared->is_over, 1);
    for (int i = 0; i < WRITERS; i++)
        cr_assert(proc_is_exit(proc_wait(pids[i], DEADLINE_MS), 0));
    fprintf(stderr, "%u items of %u bytes, %s, %llu writes/s: %llu pages, %llu no snapshot, %llu incomplete\n",
            s->items, s->value_bytes, s->style == MOVES ? "moves" : "rewrites",
            (unsigned long long)atomic_exchange(&shared->writes, 0) * 1000 / RUN_MS, (unsigned long long)tally.pages,
            (unsigned long long)(tally.pages - tally.snapshots), (unsigned long long)tally.incomplete);
    return tally;
}

/* A thousand writes a second: what larder.h promises. */
static void expect_snapshots(uint32_t items, uint32_t value_bytes, enum style style) {
    struct scene s;
    begin(&s, items, value_bytes);
    s.style = style;
    s.pause_us = WRITERS * 500; /* twice as many, but a sleeper is late on a busy machine */
    struct tally tally = run(&s);
    cr_assert_gt(tally.pages, 0);
    /* a reader that gets no CPU on a busy machine sees many writes in a try */
    if (SLOW_FACTOR == 1)
        cr_assert_leq(tally.undisturbed - tally.undisturbed_snapshots, tally.undisturbed / 50 + 1);
    larder_close(s.db);
}

Test(snapshot, pages_of_1000_items_beside_slow_writers) {
    expect_snapshots(1000, 30, MOVES);
}

Test(snapshot, pages_of_1_mib_beside_slow_writers) {
    expect_snapshots(ITEMS_MAX, 200, MOVES);
    expect_snapshots(1000, 1000, MOVES);
}

Test(snapshot, pages_of_1_mib_beside_rewrites) {
    expect_snapshots(ITEMS_MAX, 200, REWRITES);
}

/* Faster than any page can be read: each page still says whether it is a snapshot. */
Test(snapshot, pages_beside_fast_writers_say_what_they_are) {
    struct scene s;
    begin(&s, ITEMS_MAX, 30);
    s.style = MOVES;
    run(&s);
    larder_close(s.db);
}

Test(snapshot, other_reads_say_what_they_are) {
    struct scene s;
    begin(&s, 20, 30);
    const struct larder_key key = {.partition = larder_num("7")}, none = {.partition = larder_num("70000")};
    struct larder_query_spec query = {.index = "ranking", .partition = larder_str("all"), .limit = 3};
    EXPECT(larder_get(s.t, &key, s.page), LARDER_OK);
    cr_assert(larder_page_is_snapshot(s.page));
    EXPECT(larder_get(s.t, &none, s.page), LARDER_NOT_FOUND);
    cr_assert(larder_page_is_snapshot(s.page));
    EXPECT(larder_get_many(s.t, &key, 1, s.page), LARDER_OK);
    cr_assert_not(larder_page_is_snapshot(s.page));
    EXPECT(larder_query(s.t, &query, s.page), LARDER_MORE);
    cr_assert(larder_page_is_snapshot(s.page));
    EXPECT(larder_scan(s.t, &(struct larder_scan_spec){0}, s.page), LARDER_OK);
    cr_assert_not(larder_page_is_snapshot(s.page));
    query.index = NULL;
    query.partition = larder_num("7");
    EXPECT(larder_query(s.t, &query, s.page), LARDER_OK);
    cr_assert(larder_page_is_snapshot(s.page));
    query.index = "no such index";
    EXPECT(larder_query(s.t, &query, s.page), LARDER_E_NO_INDEX);
    cr_assert_not(larder_page_is_snapshot(s.page));
    larder_close(s.db);
}
