/* tests/crash/stop_recovery_test.c - a recovery stands still.
 *
 * Goal     What stop_test.c shows of operations holds for a process that recovers a dead one, too.
 * Method   A child dies in an operation, at several of its stores; another recovers it, and stops
 *          before every store.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/table/db.h"
#include "tests/crash/stop_judge_kit.h"
#include "tests/crash/stop_kit.h"
#include "tests/crash/world.h"
#include "tests/support/until.h"

/* Of the long run; a usual one is ended by the alarm of criterion_env.c. */
TestSuite(stop_recovery, .timeout = 3600);

struct dying {
    const struct scenario *s;
    int memfd;
    uint64_t k; /* 0: it lives, and says how many stores there are */
    _Atomic uint64_t *stores;
};

static int die_in_child(void *arg) {
    const struct dying *d = arg;
    struct larder *db = world_open(d->memfd);
    shm_crash_arm(d->k);
    for (int step = 0; step < d->s->steps; step++)
        d->s->act(db, step);
    atomic_store(d->stores, shm_crash_count());
    return 0;
}

static uint64_t stores_of(const struct scene *c) {
    _Atomic uint64_t *stores = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct dying d = {c->s, world_copy(c->base), 0, stores};
    cr_assert(proc_is_exit(proc_run(die_in_child, &d, DEADLINE_MS), 0));
    uint64_t count = atomic_load(stores);
    close(d.memfd);
    munmap((void *)stores, 4096);
    return count;
}

/* A process dies in s, after a given part of its stores (their number differs from segment to
 * segment, as hashes do). Another process recovers it by larder_check(), and is stopped at every
 * store. */
static void stop_recovery_of(const struct scenario *s, uint64_t part, uint64_t parts, uint64_t *stops) {
    const struct scenario recovery = {s->name, NULL, check_all, 1, s->stride, 0, s->may_ranks, s->is_alone};
    struct scene c;
    prepare(&c, s);
    struct dying d = {s, c.base, stores_of(&c) * part / parts, NULL};
    cr_assert(proc_is_signal(proc_run(die_in_child, &d, DEADLINE_MS), SIGKILL));
    c.s = &recovery;
    c.is_recovery = 1;
    learn_texts(&c);
    merge_equal_texts(&c);
    stop_and_go(&c, is_long() ? 1 : s->stride * COARSE, is_long() ? 1 : 29);
    *stops += c.stops;
    forget(&c);
}

static void stop_recoveries_of(const struct scenario *s, uint64_t deaths) {
    uint64_t stops = 0, start_ms = until_now_ms();
    deaths = is_long() ? deaths * 8 : deaths;
    for (uint64_t i = 1; i <= deaths; i++)
        stop_recovery_of(s, i, deaths + 1, &stops);
    fprintf(stderr, "recovery of %-16s %2lu deaths, %5lu stops; %lu ms\n", s->name, (unsigned long)deaths,
            (unsigned long)stops, (unsigned long)(until_now_ms() - start_ms));
}

#define STOP_RECOVERY(id, deaths, ...)                                                                                 \
    Test(stop_recovery, recovery_of_##id) {                                                                            \
        static const struct scenario s = {#id, __VA_ARGS__};                                                           \
        stop_recoveries_of(&s, deaths);                                                                                \
    }

STOP_RECOVERY(change_all_keys, 5, some_items, change_all_keys, 1, 3)
STOP_RECOVERY(put_expiring, 4, expiring_items, put_expiring, 1, 5)
STOP_RECOVERY(create_table, 2, some_items, create_table, 1, 3)
STOP_RECOVERY(drop_table, 3, some_items, drop_table, 1, 13)
STOP_RECOVERY(add_index, 2, some_items, add_index, 1, 13, 0, RANK(LOCK_PARTITION))
