/* tests/api/writers_test.c - several writers share the free memory.
 *
 * Goal     Processes that overwrite a constant set of items never get LARDER_E_FULL, however the
 *          blocks came to lie. A process that puts uses what another one deletes. Memory of small
 *          items serves large ones.
 * Method   Real processes on segments of 64 and 256 MiB (one arena and four), the public functions
 *          alone. All count their LARDER_E_FULL.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(writers, .timeout = 100 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define WORKERS 4u
#define SECONDS 2u
#define FILL_BYTES_MAX 400000u

struct shared { /* between the test's processes */
    _Atomic uint64_t items, puts, full, failed;
    _Atomic int is_over;
};

struct client {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
};

struct work {
    const char *name; /* of the segment */
    struct shared *shared;
    uint64_t seed, used_bytes;     /* load() fills as much */
    uint32_t bytes_min, bytes_max; /* an item's payload follows from its number */
};

static void attach(struct client *c, const char *name) {
    struct larder_options o = {.segment = name};
    PROC_CHECK(larder_open(&o, &c->db) == LARDER_OK && larder_table_open(c->db, "Tab", &c->table) == LARDER_OK &&
               larder_builder_new(c->db, &c->builder) == LARDER_OK);
}

static int put(struct client *c, uint64_t n, uint32_t bytes) {
    static const char payload[FILL_BYTES_MAX];
    const struct larder_item *item;
    char key[32];
    snprintf(key, sizeof key, "k%012lu", (unsigned long)n);
    larder_builder_reset(c->builder);
    larder_builder_add_s(c->builder, "PK", key);
    larder_builder_add_b(c->builder, "v", payload, bytes);
    int r = larder_builder_finish(c->builder, &item);
    return r ? r : larder_put(c->table, item, NULL);
}

static int delete (struct client *c, uint64_t n) {
    char text[32];
    snprintf(text, sizeof text, "k%012lu", (unsigned long)n);
    struct larder_key key = {.partition = larder_str(text)};
    return larder_delete(c->table, &key, NULL);
}

static uint32_t bytes_of(const struct work *work, uint64_t n) {
    return work->bytes_min + (uint32_t)(n * 2654435761u % (work->bytes_max - work->bytes_min + 1));
}

static void note(struct shared *s, int r) {
    atomic_fetch_add(r == LARDER_OK ? &s->puts : r == LARDER_E_FULL ? &s->full : &s->failed, 1);
}

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    PROC_CHECK(larder_segment_stats(db, &stats) == LARDER_OK);
    return stats.used_bytes;
}

static int overwrite(void *arg) {
    const struct work *work = arg;
    struct client c;
    struct rng rng;
    attach(&c, work->name);
    rng_seed(&rng, work->seed);
    while (!work->shared->is_over) {
        uint64_t n = rng_below(&rng, work->shared->items);
        note(work->shared, put(&c, n, bytes_of(work, n)));
    }
    larder_close(c.db);
    return 0;
}

/* By one process that ends: all blocks are of its arena. */
static int load(void *arg) {
    const struct work *work = arg;
    struct client c;
    attach(&c, work->name);
    uint64_t n = 0;
    for (; n % 500 != 0 || used_bytes(c.db) < work->used_bytes; n++)
        PROC_CHECK(put(&c, n, bytes_of(work, n)) == LARDER_OK);
    work->shared->items = n;
    larder_close(c.db);
    return 0;
}

static struct larder *make(char name[TESTSEG_NAME_MAX], uint64_t bytes) {
    struct larder_table_def def = {.name = "Tab", .partition = {"PK", LARDER_S}};
    testseg_name(name);
    struct larder *db = testseg_open_named(name, bytes, 0);
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    return db;
}

static void finish(struct larder *db, const char *name) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_close(db);
    testseg_destroy(name);
}

static struct shared *share(void) {
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(s, MAP_FAILED);
    return s;
}

static void wait_for(pid_t pid) {
    struct proc_result r = proc_wait(pid, 60000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

/* Puts items until `percent` of the segment are in use, of sizes between the two. */
static void overwrite_constant_set(uint64_t bytes, unsigned percent, uint32_t bytes_min, uint32_t bytes_max) {
    char name[TESTSEG_NAME_MAX];
    struct larder *db = make(name, bytes);
    struct work work = {.name = name, .shared = share(), .bytes_min = bytes_min, .bytes_max = bytes_max};
    pid_t pids[WORKERS];
    work.used_bytes = bytes * percent / 100;
    wait_for(proc_fork(load, &work));
    struct work works[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        works[i] = work;
        works[i].seed = i;
        pids[i] = proc_fork(overwrite, &works[i]);
    }
    sleep(SECONDS);
    cr_assert(UNTIL(work.shared->puts > WORKERS, 60000));
    work.shared->is_over = 1;
    for (unsigned i = 0; i < WORKERS; i++)
        wait_for(pids[i]);
    cr_assert_eq(work.shared->full, 0, "%lu of %lu", work.shared->full, work.shared->puts);
    cr_assert(work.shared->failed == 0 && work.shared->puts > WORKERS, "%lu puts", work.shared->puts);
    finish(db, name);
}

Test(writers, overwrite_a_constant_set_64_mib) {
    overwrite_constant_set(64 * MIB, 92, 300, 300);
}
Test(writers, overwrite_a_constant_set_256_mib) {
    overwrite_constant_set(256 * MIB, 92, 300, 300);
}
Test(writers, overwrite_mixed_sizes) {
    overwrite_constant_set(256 * MIB, 80, 100, 2000);
}

/* One process fills until it is full and deletes nine of ten; another fills again. As many go in as
 * were deleted, except for a hundredth. */
Test(writers, one_deletes_and_another_puts) {
    char name[TESTSEG_NAME_MAX];
    struct larder *db = make(name, 256 * MIB);
    struct client a = {.db = db}, b;
    uint64_t count = 0, deleted = 0, again = 0;
    cr_assert_eq(larder_table_open(db, "Tab", &a.table), LARDER_OK);
    cr_assert_eq(larder_builder_new(db, &a.builder), LARDER_OK);
    while (put(&a, count, 300) == LARDER_OK)
        count++;
    for (uint64_t n = 0; n < count; n++)
        if (n % 10 != 0)
            deleted += delete (&a, n) == LARDER_OK;
    attach(&b, name); /* a handle of its own: another slot, another arena */
    while (put(&b, 1000000000 + again, 300) == LARDER_OK)
        again++;
    cr_assert_geq(again * 100, deleted * 99, "%lu of %lu: %s", again, deleted, larder_error());
    larder_close(b.db);
    finish(db, name);
}

static uint64_t fill(struct client *c, uint32_t bytes) {
    uint64_t count = 0;
    while (put(c, count, bytes) == LARDER_OK)
        count++;
    return count;
}

static uint64_t fill_fresh(uint32_t small_bytes, uint32_t bytes) {
    char name[TESTSEG_NAME_MAX];
    struct larder *db = make(name, 16 * MIB);
    struct client c = {.db = db};
    cr_assert_eq(larder_table_open(db, "Tab", &c.table), LARDER_OK);
    cr_assert_eq(larder_builder_new(db, &c.builder), LARDER_OK);
    for (uint64_t n = small_bytes ? fill(&c, small_bytes) : 0; n > 0; n--)
        cr_assert_eq(delete (&c, n - 1), LARDER_OK);
    uint64_t count = fill(&c, bytes);
    finish(db, name);
    return count;
}

Test(writers, what_small_items_used_serves_large_ones) {
    static const struct { uint32_t bytes, percent; } rows[] = {{390000, 90}, {100000, 95}, {20000, 97}, {1000, 98}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t fresh = fill_fresh(0, rows[i].bytes), again = fill_fresh(300, rows[i].bytes);
        cr_assert_geq(again * 100, fresh * rows[i].percent, "%u bytes: %lu of %lu", rows[i].bytes, again, fresh);
    }
}
