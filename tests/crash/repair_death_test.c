/* tests/crash/repair_death_test.c - a repair may die anywhere.
 *
 * Goal     Wherever a repair died, the next one finds the same items as if there had been no other.
 * Method   Damage of one kind at a time. A repair dies at its k-th store for every k (short run: a
 *          stride), and the next one is judged.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "larder.h"
#include "tests/crash/repair_harm.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

/* Long runs die at every store. A hang happens in a child, and children have a deadline of their
 * own. */
TestSuite(repair_death, .timeout = 900 * SLOW_FACTOR);

/* the process that dropped it died, and so did a first repair */
static void harm_dropping(struct copy *c) {
    struct table_shm *rich = table_shm(c, 0);
    rich->life = LIFE_NEXT(rich->life, TABLE_DROPPING);
    c->head->state = SEG_STATE_REPAIRING;
}

static const struct exact deaths[] = {{"lists and an image", harm_lists, 1, 0, 0, 0, 0},
                                      {"heap and a slot", harm_heap, 1, 0, 0, 0, 0},
                                      {"array sizes", harm_array_sizes, 0, 0, 0, 0, 0},
                                      {"stripes of lists, links", harm_stripes, 0, 0, 0, 0, 0},
                                      {"locks and journals", harm_locks_and_slots, 0, 0, 0, 0, 0},
                                      {"a table being dropped", harm_dropping, ITEMS, 0, 1, 0, 0}};

struct death {
    const struct copy *copy;
    uint64_t k; /* 0: lives */
    uint64_t *count;
};

static int repair_and_die(void *arg) {
    const struct death *death = arg;
    struct larder_repair_report report = {0};
    shm_crash_arm(death->k);
    int r = repair_here(death->copy, &report);
    *death->count = shm_crash_count();
    PROC_CHECK(r == LARDER_OK);
    return 0;
}

/* Dies at the k-th store. 1 if it got so far. */
static int die_at(const struct copy *c, uint64_t k, uint64_t *count, const char *what) {
    struct death death = {c, k, count};
    struct proc_result r = proc_run(repair_and_die, &death, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, SIGKILL), "%s, store %lu: %s", what, (unsigned long)k,
              proc_text(r));
    return !proc_is_exit(r, 0);
}

/* A cut-off repair is marked, unless it died before it changed anything or after its end. 1 if it
 * is marked. */
static unsigned must_be_marked(const struct copy *c, const char *what, uint64_t k) {
    struct larder *db;
    uint32_t state = c->head->state;
    cr_assert(state == SEG_STATE_READY || state == SEG_STATE_REPAIRING, "%s, store %lu: state %u", what,
              (unsigned long)k, state);
    int r = attach(c, 0, &db);
    cr_assert_eq(r, state == SEG_STATE_READY ? LARDER_OK : LARDER_E_CORRUPT, "%s, store %lu: %s: %s", what,
                 (unsigned long)k, larder_result_name(r), larder_error());
    if (r == LARDER_OK)
        larder_close(db);
    return state == SEG_STATE_REPAIRING;
}

static void die_everywhere(int fd, const struct exact *e, struct rng *rng) {
    uint64_t *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(count != MAP_FAILED);
    struct copy whole = copy_of(fd, ITEMS_SMALL);
    e->harm(&whole);
    cr_assert(!die_at(&whole, 0, count, e->name));
    drop_copy(&whole);
    uint64_t stores = *count, stride = is_long() || stores < 500 ? 1 : stores / (SLOW_FACTOR > 1 ? 25 : 120) + 1;
    fprintf(stderr, "repair, %s: %lu stores, every %lu\n", e->name, (unsigned long)stores, (unsigned long)stride);
    unsigned marked = 0, died = 0;
    for (uint64_t k = 1 + rng_below(rng, stride); k <= stores; k += stride) {
        struct copy c = copy_of(fd, ITEMS_SMALL);
        struct trial trial = {
            .copy = &c, .lost_max = e->lost, .may_lose_tables = e->tables_lost, .is_dropped = e->tables_lost};
        e->harm(&c);
        die_at(&c, k, count, e->name);
        marked += must_be_marked(&c, e->name, k);
        died++;
        if (k % 3 == 0) /* the next repair dies, too, somewhere */
            die_at(&c, 1 + rng_below(rng, stores), count, e->name);
        judge(&trial, e->name, k);
        drop_copy(&c);
    }
    cr_assert(marked > died / 4, "%s: %u of %u were marked", e->name, marked, died);
    munmap(count, sizeof *count);
}

static void test_deaths(size_t i) {
    struct rng rng;
    rng_seed(&rng, rng_test_seed(deaths[i].name));
    int fd = make_segment(ITEMS_SMALL);
    die_everywhere(fd, &deaths[i], &rng);
    close(fd);
}

Test(repair_death, dies_with_lists) {
    test_deaths(0);
}
Test(repair_death, dies_with_heap) {
    test_deaths(1);
}
Test(repair_death, dies_with_arrays) {
    test_deaths(2);
}
Test(repair_death, dies_with_stripes) {
    test_deaths(3);
}
Test(repair_death, dies_with_locks) {
    test_deaths(4);
}

Test(repair_death, dies_with_a_table_being_dropped) {
    test_deaths(5);
}
