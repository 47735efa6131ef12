/* tests/crash/stores_test.c - nothing stores to a segment without a crash point.
 *
 * Goal     The crash suites try every store that is numbered. Here the processor tells which stores
 *          there are: no instruction may change the segment without a crash point of its own just
 *          before it.
 * Method   A child inherits a handle, makes its mapping read-only, and does an operation of
 *          tests/crash/scenarios.h, from taking a slot to giving it back. Each store faults. The
 *          fault's handler looks at the number of crash points passed: it must have grown since the
 *          last store. Then it makes that page writable and lets the processor do this one
 *          instruction (the trap flag), after which the page is read-only again. In the end there
 *          must be as many stores as points. A store that a compiler made of two, a structure
 *          assigned as a whole, a memcpy: all would fault without a number of their own. A
 *          compare-and-swap that fails faults, too, and is numbered, too.
 * Limits   x86-64, for the trap flag. The expirer's thread blocks all signals (ttl/expirer.c, rule
 *          E3), so its stores are tested in larder_expire(), which runs the same functions.
 *          Creating a segment changes a file before it is mapped.
 */
#include "core/base/crash.h"
#include "core/table/db.h"
#include "index/leaf.h"
#include "tests/crash/scenarios.h"
#include "tests/crash/world.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

TestSuite(crash_stores, .timeout = 60 * SLOW_FACTOR);

#if defined(__x86_64__)

#define DEADLINE_MS 60000
#define PAGE 4096u
#define TRAP_FLAG 0x100
#define WRONG_MAX 8

/* Seen by parent and child. */
struct watch {
    unsigned char *base;
    uint64_t bytes;
    uint64_t points, last_point, stores;
    uint64_t wrong; /* stores without a number of their own */
    uint64_t wrong_off[WRONG_MAX], wrong_at[WRONG_MAX];
    unsigned char *open_page;
};
static struct watch *watch;

/* Async-signal-safe: mprotect is a plain system call. */
static void protect(unsigned char *page, uint64_t bytes, int protection) {
    if (mprotect(page, bytes, protection))
        _exit(PROC_CHECK_FAILED);
}

static void note_store(uint64_t off, uint64_t instruction) {
    uint64_t point = shm_crash_count();
    watch->stores++;
    if (point == watch->last_point) {
        if (watch->wrong < WRONG_MAX) {
            watch->wrong_off[watch->wrong] = off;
            watch->wrong_at[watch->wrong] = instruction;
        }
        watch->wrong++;
    }
    watch->last_point = point;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    unsigned char *at = info->si_addr;
    if (at < watch->base || at >= watch->base + watch->bytes) { /* a real fault */
        signal(number, SIG_DFL);
        return;
    }
    note_store((uint64_t)(at - watch->base), (uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
    watch->open_page = watch->base + (uint64_t)(at - watch->base) / PAGE * PAGE;
    protect(watch->open_page, PAGE, PROT_READ | PROT_WRITE);
    uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)number;
    (void)info;
    protect(watch->open_page, PAGE, PROT_READ);
    uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void watch_stores(struct larder *db) {
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, step = fault;
    step.sa_sigaction = on_step;
    watch->base = db->seg.base;
    watch->bytes = db->seg.bytes;
    PROC_CHECK(sigaction(SIGSEGV, &fault, NULL) == 0 && sigaction(SIGTRAP, &step, NULL) == 0);
    shm_crash_arm(0);
    protect(watch->base, watch->bytes, PROT_READ);
}

struct watched {
    const struct scenario *scenario;
    struct larder *db; /* the parent's: the child takes a slot of its own */
    int first_step;
    void (*cheat)(struct larder *db); /* NULL, or stores something without a number */
};

static int act_watched(void *arg) {
    const struct watched *watched = arg;
    struct larder *db = watched->db;
    watch_stores(db);
    for (int step = 0; step < scenario_steps(watched->scenario); step++)
        watched->scenario->act(db, watched->first_step + step);
    if (watched->cheat)
        watched->cheat(db);
    larder_close(db);
    watch->points = shm_crash_count();
    return 0;
}

static void run_watched(const struct scenario *s, void (*cheat)(struct larder *db)) {
    struct stage stage;
    struct watched watched = {.scenario = s, .cheat = cheat};
    scenario_base(s, &stage, &watched.first_step);
    struct facts before = facts_of(stage.bytes), after;
    watched.db = world_open(stage.memfd);
    watch = mmap(NULL, sizeof *watch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(watch != MAP_FAILED);
    struct proc_result r = proc_run(act_watched, &watched, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s: %s", s->name, proc_text(r));
    larder_close(watched.db);
    after = facts_of(stage.bytes);
    cr_assert(cheat || s->happened(&before, &after), "%s: it did not happen", s->name);
    stage_close(&stage);
}

static void watch_scenario(const char *name) {
    const struct scenario *s = scenario_named(name);
    run_watched(s, NULL);
    for (uint64_t i = 0; i < watch->wrong && i < WRONG_MAX; i++)
        fprintf(stderr, "%s: a store to offset %#lx without a crash point, by the instruction at %#lx\n", name,
                (unsigned long)watch->wrong_off[i], (unsigned long)watch->wrong_at[i]);
    cr_assert(watch->wrong == 0, "%s: %lu of %lu stores have no crash point of their own", name,
              (unsigned long)watch->wrong, (unsigned long)watch->stores);
    cr_assert(watch->stores == watch->points, "%s: %lu crash points, but %lu stores", name,
              (unsigned long)watch->points, (unsigned long)watch->stores);
    fprintf(stderr, "stores: %-20s %5lu stores by the processor's count, %5lu crash points\n", name,
            (unsigned long)watch->stores, (unsigned long)watch->points);
}

#define WATCH(id)                                                                                                      \
    Test(crash_stores, id) {                                                                                           \
        if (scenario_named(#id) == scenario_named("expirer_thread"))                                                   \
            return;                                                                                                    \
        watch_scenario(#id);                                                                                           \
    }
SCENARIOS(WATCH)

/* ---- The test of the test -------------------------------------------------------------------- */

static void cheat_with_a_word(struct larder *db) {
    atomic_store_explicit(&db->seg.shm->span_hint, 0, memory_order_release);
}
static void cheat_with_bytes(struct larder *db) {
    /* one number for many stores: more cache lines than an instruction can write */
    shm_crash_point();
    memset(seg_bin(&db->seg, 0), 0, 4 * sizeof(struct bin_shm));
}

Test(crash_stores, a_plain_store_is_found) {
    run_watched(scenario_named("delete_one"), cheat_with_a_word);
    cr_assert_eq(watch->wrong, 1);
}
Test(crash_stores, a_memset_is_found) {
    run_watched(scenario_named("delete_one"), cheat_with_bytes);
    cr_assert(watch->wrong >= 1);
}

#else
Test(crash_stores, needs_the_trap_flag, .disabled = true) {}
#endif
