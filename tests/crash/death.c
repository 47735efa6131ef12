/* tests/crash/death.c - see death.h. */
#include "tests/crash/death.h"
#include "core/base/crash.h"
#include "tests/crash/world.h"
#include "tests/support/proc.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#define DEADLINE_MS 60000
#define WAITER_KEYS 6 /* absent items, in every stripe */

/* Seen by parent and child. */
struct report {
    _Atomic int acked;
    _Atomic uint64_t stores;
    uint64_t hash[DEATH_STORES_MAX + 1];
};

struct run {
    const struct stage *stage;
    const struct doing *doing;
    uint64_t k;
    int is_hashing;
};

static struct report *report;
static const unsigned char *watched; /* the stage, in a child that hashes every state */

static struct report *fresh_report(void) {
    if (!report) {
        report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        cr_assert(report != MAP_FAILED);
    }
    report->acked = 0;
    report->stores = 0;
    return report;
}

static void note_state(uint64_t number) {
    if (number <= DEATH_STORES_MAX)
        report->hash[number] = state_hash(watched);
}

/* Attach and detach are part of what is enumerated. */
static int run_in_child(void *arg) {
    const struct run *run = arg;
    watched = run->stage->bytes;
    shm_crash_watch(run->is_hashing ? note_state : NULL);
    shm_crash_arm(run->k);
    struct larder *db = world_open(run->stage->memfd);
    for (int step = 0; step < run->doing->steps; step++) {
        run->doing->act(db, run->doing->first_step + step);
        report->acked = step + 1;
    }
    larder_close(db);
    report->stores = shm_crash_count();
    return 0;
}

struct doing doing_of(const struct scenario *s, int first_step) {
    return (struct doing){s->act, first_step, scenario_steps(s)};
}

int die_at(const struct stage *stage, const struct doing *doing, uint64_t k, const char *label) {
    struct run run = {stage, doing, k, 0};
    fresh_report();
    struct proc_result r = proc_run(run_in_child, &run, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGKILL), "%s, store %lu: %s", label, (unsigned long)k, proc_text(r));
    return report->acked;
}

uint64_t live_through(const struct stage *stage, const struct doing *doing, uint64_t *hashes, const char *label) {
    struct run run = {stage, doing, 0, hashes != NULL};
    fresh_report();
    struct proc_result r = proc_run(run_in_child, &run, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s: %s", label, proc_text(r));
    cr_assert(report->stores > 0 && report->stores <= DEATH_STORES_MAX, "%s: %lu stores", label,
              (unsigned long)report->stores);
    for (uint64_t j = 1; hashes && j <= report->stores; j++)
        hashes[j] = report->hash[j];
    return report->stores;
}

/* ---- Recoverers ------------------------------------------------------------------------------ */

static void by_check(struct larder *db, int step) {
    struct larder_check_report found;
    (void)step;
    if (larder_check(db, NULL, &found) != LARDER_OK)
        abort();
}

static void by_expiry(struct larder *db, int step) {
    (void)step;
    if (larder_expire(db, 1000, NULL) < 0)
        abort();
}

static int has_world(struct larder *db) {
    struct larder_table *t;
    return larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK;
}

static void by_waiter(struct larder *db, int step) {
    (void)step;
    for (int n = 0; n < WAITER_KEYS && has_world(db); n++)
        if (world_delete(db, WORLD_PROBE + 20 + n) != LARDER_NOT_FOUND)
            abort();
    if (!has_world(db)) /* there is nothing else to wait for */
        by_check(db, 0);
}

static void by_writer(struct larder *db, int step) {
    (void)step;
    if (!has_world(db))
        by_check(db, 0);
    else if (world_try_put(db, WORLD_PROBE, 1111, 10, world_now_s + 600) != LARDER_OK)
        abort();
}

struct doing doing_recovery(enum recoverer by) {
    static void (*const acts[RECOVER_COUNT])(struct larder *, int) = {by_check, by_expiry, by_waiter, by_writer};
    return (struct doing){acts[by], 0, 1};
}

const char *recoverer_name(enum recoverer by) {
    static const char *const names[RECOVER_COUNT] = {"check", "expiry", "waiter", "writer"};
    return names[by];
}
