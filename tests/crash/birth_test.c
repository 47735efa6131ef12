/* tests/crash/birth_test.c - creation and destruction of a segment, killed at every store and
 * system call.
 *
 * Goal     A creator may die anywhere between the first byte of a segment and the first item in it:
 *          the next creator takes over at once and has a whole segment. A destroyer may die
 *          anywhere: attached processes go on or get an error, and the name is free for the next
 *          creator.
 * Method   For each k a child dies at its k-th point. Then another process creates, attaches,
 *          writes, reads and checks. The second creator dies, too: every pair of points. The damage
 *          of a death is judged from outside, by opening the name.
 */
#include "core/base/crash.h"
#include "tests/crash/tally.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

TestSuite(crash_birth, .timeout = 60 * SLOW_FACTOR);

#define DEADLINE_MS 10000
#define AT_ONCE_MS 4000
#define POINTS_MAX 2000

struct life {
    char name[TESTSEG_NAME_MAX];
    int is_opened_only; /* else a table and an item follow */
    uint64_t k;
};

/* Seen by parent and child. */
static _Atomic uint64_t *points;

static struct larder *create(const char *name) {
    struct larder_options o = {
        .segment = name, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN, .stripe_count = 2};
    struct larder *db;
    return larder_open(&o, &db) == LARDER_OK ? db : NULL;
}

static int put_item(struct larder_table *t, struct larder *db) {
    struct larder_builder *b;
    const struct larder_item *item;
    if (larder_builder_new(db, &b))
        return -1;
    larder_builder_add_s(b, "PK", "P");
    larder_builder_add_int(b, "value", 7);
    int r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

/* A table with one item, as much of it as there is. LARDER_OK or what went wrong. */
static int settle_in(struct larder *db) {
    static const struct larder_index_def index = {.name = "I1x", .partition = {"value", LARDER_N}};
    const struct larder_table_def def = {
        .name = "First", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
    struct larder_table *t;
    int r = larder_table_create(db, &def);
    if (r != LARDER_OK && r != LARDER_E_EXISTS)
        return r;
    r = larder_table_open(db, "First", &t);
    return r == LARDER_OK ? put_item(t, db) : r;
}

static int live(void *arg) {
    const struct life *life = arg;
    shm_crash_arm(life->k);
    struct larder *db = create(life->name);
    PROC_CHECK(db);
    if (!life->is_opened_only)
        PROC_CHECK(settle_in(db) == LARDER_OK);
    larder_close(db);
    *points = shm_crash_count();
    return 0;
}

static int destroy(void *arg) {
    const struct life *life = arg;
    shm_crash_arm(life->k);
    PROC_CHECK(larder_destroy(life->name, 0) == LARDER_OK);
    *points = shm_crash_count();
    return 0;
}

static uint64_t points_of(int (*what)(void *arg), struct life *life) {
    life->k = 0;
    cr_assert(proc_is_exit(proc_run(what, life, DEADLINE_MS), 0));
    cr_assert(*points > 0 && *points < POINTS_MAX, "%lu points", (unsigned long)*points);
    return *points;
}

static void die(int (*what)(void *arg), struct life *life, uint64_t k) {
    life->k = k;
    struct proc_result r = proc_run(what, life, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGKILL), "point %lu: %s", (unsigned long)k, proc_text(r));
}

/* Another process creates at once, and has a segment that is in order. */
static void must_be_taken_over(const struct life *life, uint64_t k, uint64_t j) {
    struct larder_check_report report;
    uint64_t end = until_own_ms() + AT_ONCE_MS * SLOW_FACTOR;
    struct larder *db = create(life->name);
    cr_assert(db, "point %lu.%lu: create: %s", (unsigned long)k, (unsigned long)j, larder_error());
    cr_assert(settle_in(db) == LARDER_OK, "point %lu.%lu: %s", (unsigned long)k, (unsigned long)j, larder_error());
    cr_assert(larder_check(db, NULL, &report) == LARDER_OK && report.items == 1, "point %lu.%lu: %s", (unsigned long)k,
              (unsigned long)j, larder_error());
    cr_assert(until_own_ms() <= end, "point %lu.%lu: the next creator had to wait", (unsigned long)k, (unsigned long)j);
    larder_close(db);
}

static void make_points(void) {
    points = mmap(NULL, sizeof *points, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)points != MAP_FAILED);
}

Test(crash_birth, from_nothing_to_the_first_item) {
    struct life life = {.is_opened_only = 0};
    make_points();
    testseg_name(life.name);
    uint64_t count = points_of(live, &life);
    testseg_destroy(life.name);
    for (uint64_t k = 1; k <= count; k++) {
        die(live, &life, k);
        must_be_taken_over(&life, k, 0);
        testseg_destroy(life.name);
    }
    tally_add(TALLY_STORES, count, count, count);
    fprintf(stderr, "birth: %lu points from nothing to the first item, died at each\n", (unsigned long)count);
}

Test(crash_birth, creators_die_in_a_row) {
    struct life life = {.is_opened_only = 1};
    uint64_t pairs = 0;
    make_points();
    testseg_name(life.name);
    uint64_t count = points_of(live, &life);
    testseg_destroy(life.name);
    for (uint64_t k = 1; k <= count; k++)
        for (uint64_t j = 1;; j++) {
            die(live, &life, k);
            life.k = j;
            struct proc_result r = proc_run(live, &life, DEADLINE_MS);
            cr_assert(proc_is_signal(r, SIGKILL) || proc_is_exit(r, 0), "point %lu.%lu: %s", (unsigned long)k,
                      (unsigned long)j, proc_text(r));
            must_be_taken_over(&life, k, j);
            testseg_destroy(life.name);
            if (proc_is_exit(r, 0)) /* it has no j-th point */
                break;
            pairs++;
        }
    cr_assert(pairs >= count, "%lu pairs", (unsigned long)pairs);
    tally_add(TALLY_RECOVERY, pairs, pairs, pairs);
    fprintf(stderr, "birth: %lu pairs of points of two creators, died at each\n", (unsigned long)pairs);
}

Test(crash_birth, destroyer_dies) {
    struct life life = {.is_opened_only = 0};
    make_points();
    testseg_name(life.name);
    points_of(live, &life);
    uint64_t count = points_of(destroy, &life);
    for (uint64_t k = 1; k <= count; k++) {
        points_of(live, &life);
        struct larder *attached = create(life.name);
        cr_assert(attached);
        die(destroy, &life, k);
        int r = settle_in(attached);
        cr_assert(r == LARDER_OK || r == LARDER_E_DESTROYED, "point %lu: %s", (unsigned long)k, larder_result_name(r));
        must_be_taken_over(&life, k, 0);
        larder_close(attached);
        testseg_destroy(life.name);
    }
    tally_add(TALLY_STORES, count, count, count);
    fprintf(stderr, "birth: %lu points of a destroyer, died at each\n", (unsigned long)count);
}
