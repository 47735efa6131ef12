/* tests/unit/segment/seg_birth_test.c - one segment per name, whatever dies or races.
 *
 * Goal     Of processes that create and destroy one name at the same time, one creates. Half-made
 *          segments are finished or removed. A death leaves nothing behind.
 * Method   Creators and destroyers that die at every crash point, in turn, with a successor. Real
 *          processes racing for one name.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/segment/live.h"
#include "core/segment/seg_layout.h"
#include "core/segment/seg_parts.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"
#include "tests/unit/segment/seg_kit.h"

TestSuite(seg_birth, .timeout = 120 * SLOW_FACTOR);

/* ---- Half-made segments ---------------------------------------------------------------------- */

Test(seg_birth, empty_file_is_taken_by_a_creator_only) {
    char dir[64], path[128];
    struct stat st;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    write_file(path, "", 0);
    cr_assert_eq(chmod(path, 0640), 0);
    EXPECT(open_and_close(path, 0), LARDER_E_FORMAT, "never finished");
    EXPECT(open_and_close(path, LARDER_READ_ONLY), LARDER_E_FORMAT, "never finished");
    EXPECT(seg_destroy(path, 0), LARDER_E_FORMAT, "never finished");
    EXPECT(open_and_close(path, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_E_EXISTS, "LARDER_EXCLUSIVE");
    cr_assert_eq(open_and_close(path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777u) == 0640, "a file that was put there keeps its mode");
    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    write_file(path, "", 0);
    cr_assert_eq(seg_destroy(path, LARDER_FORCE), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}

/* A creator opens the file before it locks it: an empty file is looked at for a while. */
Test(seg_birth, destroyer_gives_a_creator_time_to_lock) {
    char dir[64], path[128];
    struct timespec from, to;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    write_file(path, "", 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    EXPECT(seg_destroy(path, 0), LARDER_E_FORMAT, "never finished");
    clock_gettime(CLOCK_MONOTONIC, &to);
    int64_t ns = (to.tv_sec - from.tv_sec) * INT64_C(1000000000) + to.tv_nsec - from.tv_nsec;
    cr_assert(ns >= SEG_ORPHAN_LOOKS * INT64_C(500000), "%ld ns", (long)ns);
    cr_assert_eq(seg_destroy(path, LARDER_FORCE), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}

struct dying {
    const char *segment;
    uint64_t at; /* crash point */
    int is_destroyer;
};

static int run_dying(void *arg) {
    const struct dying *d = arg;
    shm_crash_arm(d->at);
    return d->is_destroyer ? -seg_destroy(d->segment, 0) : -open_and_close(d->segment, LARDER_CREATE);
}

/* Runs `d` in a child. True if it died at its crash point. */
static int dies(struct dying d) {
    struct proc_result r = proc_run(run_dying, &d, 20000);
    if (proc_is_signal(r, SIGKILL))
        return 1;
    cr_assert(proc_is_exit(r, 0), "point %llu: %s", (unsigned long long)d.at, proc_text(r));
    return 0;
}

/* An attaching process finishes or refuses what a dead creator or destroyer left; a creator makes
 * it good. */
static void judge_remains(const char *segment, uint64_t at) {
    struct seg s;
    int result = open_and_close(segment, 0);
    cr_assert(result == LARDER_OK || result == LARDER_E_FORMAT || result == LARDER_E_NO_SEGMENT, "point %llu: %s",
              (unsigned long long)at, larder_error());
    must_open(&s, segment, LARDER_CREATE);
    cr_assert_eq(SHM_LOAD(&s.shm->state), SEG_STATE_READY);
    for (const unsigned char *b = s.base + sizeof(struct seg_shm); b < s.base + s.shm->claimed_bytes; b++)
        cr_assert(*b == 0, "point %llu", (unsigned long long)at);
    seg_close(&s);
    cr_assert_eq(seg_destroy(segment, 0), LARDER_OK, "%s", larder_error());
}

static void creators_die(const char *segment) {
    uint64_t at = 1;
    for (; dies((struct dying){segment, at, 0}); at++)
        judge_remains(segment, at);
    cr_assert_geq(at, 5);
    cr_assert_eq(seg_destroy(segment, 0), LARDER_OK);
    /* The successor dies as well, at every point of its own. */
    for (uint64_t first = 1; first < at; first++)
        for (uint64_t second = 1; second < at; second++) {
            cr_assert(dies((struct dying){segment, first, 0}));
            (void)dies((struct dying){segment, second, 0});
            judge_remains(segment, first * 100 + second);
        }
}

Test(seg_birth, creator_dies_at_every_point) {
    char name[TESTSEG_NAME_MAX], dir[64], path[128];
    testseg_name(name);
    creators_die(name);
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    creators_die(path);
    cr_assert_eq(rmdir(dir), 0);
}

Test(seg_birth, half_made_segment_is_removed_only_by_force) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    cr_assert(dies((struct dying){name, 4, 0}));
    EXPECT(seg_destroy(name, 0), LARDER_E_FORMAT, "never finished");
    EXPECT(open_and_close(name, 0), LARDER_E_FORMAT, "never finished");
    cr_assert_eq(seg_destroy(name, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    EXPECT(open_and_close(name, 0), LARDER_E_NO_SEGMENT, "does not exist");
}

/* True if the destroyer died. Attached and new processes agree on what it left; another process
 * finishes it. */
static int destroyer_dies(const char *segment, uint64_t at, int is_finished_by_creator) {
    struct seg s;
    must_open(&s, segment, LARDER_CREATE | LARDER_EXCLUSIVE);
    int is_dead = dies((struct dying){segment, at, 1});
    int is_destroyed = SHM_LOAD(&s.shm->state) == SEG_STATE_DESTROYED;
    seg_close(&s);
    cr_assert_eq(open_and_close(segment, 0), is_destroyed ? LARDER_E_NO_SEGMENT : LARDER_OK, "point %llu: %s",
                 (unsigned long long)at, larder_error());
    if (is_finished_by_creator)
        cr_assert_eq(open_and_close(segment, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(segment, 0), is_dead || is_finished_by_creator ? LARDER_OK : LARDER_E_NO_SEGMENT);
    return is_dead;
}

Test(seg_birth, destroyer_dies_at_every_point) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    for (int by_creator = 0; by_creator < 2; by_creator++) {
        uint64_t at = 1;
        while (destroyer_dies(name, at, by_creator))
            at++;
        cr_assert_eq(at, 4, "before the mark, before the lock file goes and before the name does");
    }
}

/* ---- Races ----------------------------------------------------------------------------------- */

struct race {
    const char *segment;
    uint32_t flags;
    _Atomic int is_on, ready, created, existed, failed, uuid_clashes;
    _Atomic uint64_t uuid;
};

static int race_once(void *arg) {
    struct race *race = arg;
    struct seg s;
    race->ready++;
    while (!race->is_on)
        sched_yield();
    int result = try_open(&s, race->segment, race->flags);
    if (result == LARDER_E_EXISTS)
        race->existed++;
    else if (result != LARDER_OK) {
        fprintf(stderr, "%s: %s\n", larder_result_name(result), larder_error());
        race->failed++;
    } else {
        uint64_t uuid, none = 0;
        memcpy(&uuid, s.shm->uuid, sizeof uuid);
        race->created++;
        if (!atomic_compare_exchange_strong(&race->uuid, &none, uuid) && none != uuid)
            race->uuid_clashes++;
    }
    seg_close(&s);
    return 0;
}

#define RACERS 8
#define RACES 50

static void run_race(struct race *race, const char *segment, uint32_t flags) {
    pid_t pids[RACERS];
    memset(race, 0, sizeof *race);
    race->segment = segment;
    race->flags = flags;
    for (int i = 0; i < RACERS; i++)
        pids[i] = proc_fork(race_once, race);
    cr_assert(UNTIL(race->ready == RACERS, 20000));
    race->is_on = 1;
    for (int i = 0; i < RACERS; i++)
        cr_assert(proc_is_exit(proc_wait(pids[i], 20000), 0));
    cr_assert_eq(race->failed, 0);
}

Test(seg_birth, of_many_creators_one_creates) {
    char name[TESTSEG_NAME_MAX];
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(race, MAP_FAILED);
    testseg_name(name);
    for (int round = 0; round < RACES; round++) {
        run_race(race, name, LARDER_CREATE | LARDER_EXCLUSIVE);
        cr_assert(race->created == 1 && race->existed == RACERS - 1, "%d created", race->created);
        cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
        run_race(race, name, LARDER_CREATE);
        cr_assert(race->created == RACERS && race->uuid_clashes == 0, "%d attached", race->created);
        cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
        if (round % 5 == 0) { /* the same over what a dead creator left */
            cr_assert(dies((struct dying){name, 2 + (uint64_t)round / 5 % 4, 0}));
            run_race(race, name, LARDER_CREATE);
            cr_assert(race->created == RACERS && race->uuid_clashes == 0, "%d attached", race->created);
            cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
        }
    }
    munmap(race, sizeof *race);
}

#define ATTACHERS 5
#define MAKE_ROUNDS 200

struct making {
    char name[TESTSEG_NAME_MAX];
    _Atomic int is_over, attached;
};

static int make_and_destroy(void *arg) {
    struct making *making = arg;
    for (int i = 0; i < MAKE_ROUNDS; i++) {
        PROC_CHECK(open_and_close(making->name, LARDER_CREATE | LARDER_EXCLUSIVE) == LARDER_OK);
        PROC_CHECK(seg_destroy(making->name, 0) == LARDER_OK);
    }
    making->is_over = 1;
    return 0;
}

static int attach_on(void *arg) {
    struct making *making = arg;
    struct seg s;
    struct larder_options o = {.segment = making->name, .busy_timeout_ms = 10000};
    while (!making->is_over) {
        int result = seg_open(&s, &o);
        seg_close(&s);
        PROC_CHECK(result == LARDER_OK || result == LARDER_E_NO_SEGMENT);
        making->attached += result == LARDER_OK;
    }
    return 0;
}

/* A file that is being made is not a broken segment: a process that attaches at that moment waits,
 * or came too early. */
Test(seg_birth, attacher_never_takes_the_making_for_damage) {
    pid_t pids[1 + ATTACHERS];
    struct making *making = mmap(NULL, sizeof *making, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(making, MAP_FAILED);
    testseg_name(making->name);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        pids[i] = proc_fork(i == 0 ? make_and_destroy : attach_on, making);
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        struct proc_result r = proc_wait(pids[i], 60000);
        cr_expect(proc_is_exit(r, 0), "%zu: %s", i, proc_text(r));
    }
    cr_expect_gt(making->attached, 0);
    munmap(making, sizeof *making);
}

/* What others do just before this process reads a head; once. Replaces the C library's pread(). */
static const char *finish_before_pread;

ssize_t pread(int fd, void *to, size_t bytes, off_t at) {
    const char *segment = finish_before_pread;
    finish_before_pread = NULL;
    if (segment)
        cr_assert_eq(open_and_close(segment, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    return syscall(SYS_pread64, fd, to, bytes, at);
}

/* Found by the race of creators: the size was read before the state, and so could be older than
 * READY. */
Test(seg_birth, size_is_not_older_than_state) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    cr_assert(dies((struct dying){name, 3, 0}), "with a head and no size");
    finish_before_pread = name;
    cr_assert_eq(open_and_close(name, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(finish_before_pread, NULL);
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
}

#define CHURN_ROUNDS 300

/* Creates, checks that what it got is whole, destroys every other time. */
static int churn(void *arg) {
    struct rng r;
    rng_seed(&r, (uint64_t)getpid());
    for (int i = 0; i < CHURN_ROUNDS; i++) {
        struct seg s;
        int result = try_open(&s, arg, LARDER_CREATE);
        PROC_CHECK(result == LARDER_OK);
        PROC_CHECK(SHM_LOAD(&s.shm->state) != SEG_STATE_INITIALISING && s.shm->size_bytes == SMALL);
        seg_close(&s);
        if (rng_is_one_in(&r, 2)) {
            result = seg_destroy(arg, 0);
            PROC_CHECK(result == LARDER_OK || result == LARDER_E_NO_SEGMENT || result == LARDER_E_FORMAT);
        }
    }
    return 0;
}

static int churn_and_die(void *arg) {
    struct rng r;
    rng_seed(&r, (uint64_t)getpid());
    shm_crash_arm(1 + rng_below(&r, 40));
    return churn(arg);
}

Test(seg_birth, creators_and_destroyers_and_deaths_converge) {
    char name[TESTSEG_NAME_MAX];
    pid_t pids[3];
    testseg_name(name);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        pids[i] = proc_fork(churn, name);
    for (int i = 0; i < 100; i++) {
        struct proc_result r = proc_run(churn_and_die, name, 30000);
        cr_assert(proc_is_signal(r, SIGKILL) || proc_is_exit(r, 0), "%s", proc_text(r));
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        struct proc_result r = proc_wait(pids[i], 30000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(open_and_close(name, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK, "%s", larder_error());
}

struct slow_creator {
    const char *path;
    _Atomic int is_locked, may_go;
};

/* Holds the creation lock of an empty file, then makes the segment after all. */
static int create_slowly(void *arg) {
    struct slow_creator *slow = arg;
    struct seg s = {.fd = open(slow->path, O_RDWR | O_CLOEXEC), .lock_page_bytes = 4096};
    void *lock;
    PROC_CHECK(s.fd >= 0 && live_take(&s, LIVE_CREATE_BYTE, &lock) == LARDER_OK);
    slow->is_locked = 1;
    PROC_CHECK(UNTIL(slow->may_go, 20000));
    live_drop(&s, lock);
    return -open_and_close(slow->path, LARDER_CREATE);
}

static int open_patiently(void *arg) {
    struct seg s;
    struct slow_creator *slow = arg;
    struct larder_options o = {.segment = slow->path, .busy_timeout_ms = 20000};
    int result = seg_open(&s, &o);
    seg_close(&s);
    return -result;
}

Test(seg_birth, waits_for_a_living_creator_and_not_for_a_dead_one) {
    char dir[64], path[128];
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    write_file(path, "", 0);
    struct slow_creator *slow = mmap(NULL, sizeof *slow, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(slow, MAP_FAILED);
    *slow = (struct slow_creator){.path = path};
    pid_t creator = proc_fork(create_slowly, slow);
    cr_assert(UNTIL(slow->is_locked, 10000));
    const uint32_t flags[] = {0, LARDER_READ_ONLY, LARDER_CREATE};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct seg s;
        struct larder_options o = {.segment = path, .flags = flags[i], .size_bytes = SMALL, .busy_timeout_ms = 30};
        uint64_t begin = until_now_ms();
        EXPECT(seg_open(&s, &o), LARDER_E_BUSY, "has been creating");
        cr_expect_geq(until_now_ms() - begin, 30);
    }
    pid_t waiter = proc_fork(open_patiently, slow);
    slow->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(creator, 20000), 0));
    cr_assert(proc_is_exit(proc_wait(waiter, 20000), 0), "it saw the segment come");

    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    write_file(path, "", 0);
    *slow = (struct slow_creator){.path = path};
    creator = proc_fork(create_slowly, slow);
    cr_assert(UNTIL(slow->is_locked, 10000));
    proc_kill(creator);
    cr_assert_eq(open_and_close(path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
    munmap(slow, sizeof *slow);
}
