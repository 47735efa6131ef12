/* run.c - the supervisor of the demo. See run.h.
 *
 * Picture  start all -> live phase, one line a second (a wave of sessions expires; a worker and the
 *          writer are killed and replaced, the writer three times) -> writer ends -> workers ask
 *          everything once -> table.
 */
#include "run.h"

#include <inttypes.h>
#include <larder.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "child.h"
#include "expiry.h"
#include "gen.h"
#include "item.h"
#include "key.h"
#include "load.h"
#include "patterns.h"
#include "report.h"

#define RUN_CHILDREN_MAX (RUN_WORKERS_MAX + 1) /* the writer is the last */
#define RUN_START_SECONDS 60u
#define RUN_DRAIN_SECONDS 30u
#define RUN_REST_SECONDS 300u
#define RUN_MEMORY_SECONDS 5 /* how soon after its expiry a session's memory must be free */
#define RUN_WAVE_PERIOD_S 20

struct run {
    const struct run_options *options;
    struct larder *db;
    struct larder_table *table;
    struct larder_page *page;
    struct larder_builder *builder;
    struct gen gen;
    struct board *board;
    int board_fd;
    struct child child[RUN_CHILDREN_MAX];
    uint32_t slot_count;             /* slots used so far */
    struct larder_counters at_start; /* of the segment: the run shows what it has added */
    uint32_t wave_count;
    bool has_failed;
};

static void run_fail(struct run *r, const char *what) {
    (void)printf("  FAILED: %s\n", what);
    r->has_failed = true;
}

/* The same for a call that just failed in this thread. */
static void run_fail_call(struct run *r, const char *what) {
    (void)printf("  FAILED: %s: %s\n", what, larder_error());
    r->has_failed = true;
}

/* ---- Starting -------------------------------------------------------------------------------- */

static bool run_open(struct run *r) {
    const struct larder_options options = {.segment = r->options->segment};
    struct gen_load load;
    if (larder_open(&options, &r->db) != LARDER_OK ||
        larder_table_open(r->db, KEY_TABLE_NAME, &r->table) != LARDER_OK ||
        larder_page_new(r->db, &r->page) != LARDER_OK || larder_builder_new(r->db, &r->builder) != LARDER_OK) {
        run_fail_call(r, r->options->segment);
        return false;
    }
    if (!load_read(r->table, r->page, &load) || !gen_init(&r->gen, &load))
        return false;
    r->board = board_new(gen_live_count(&r->gen), &r->board_fd);
    if (!r->board)
        run_fail(r, "no board");
    return r->board != NULL;
}

/* A run may follow another on the same segment: the history begins with the revisions in the
 * table. */
static bool run_read_mark(struct run *r, struct gen_place p, struct board_mark *mark) {
    struct key k;
    struct larder_value v;
    int64_t revision;
    (void)key_of(&r->gen, p, 0, KEY_TABLE, &k);
    const struct larder_key key = {larder_str(k.partition), larder_str(k.sort)};
    if (larder_get(r->table, &key, r->page) != LARDER_OK ||
        larder_item_get(larder_page_item(r->page, 0), ITEM_REVISION, &v) != LARDER_OK ||
        larder_value_int64(&v, &revision) != LARDER_OK) {
        run_fail(r, "the table does not hold the items it was loaded with");
        return false;
    }
    atomic_store(&mark->begun, (uint32_t)revision);
    atomic_store(&mark->acked, (uint32_t)revision);
    return true;
}

static bool run_read_marks(struct run *r) {
    for (uint32_t shop = 0; shop < r->gen.load.shop_count; shop++) {
        uint32_t first = r->gen.first_live[shop], n = r->gen.first_live[shop + 1] - first;
        for (uint32_t i = 0; i < n; i++)
            if (!run_read_mark(r, gen_live_place(&r->gen, shop, i), &r->board->mark[first + i]))
                return false;
    }
    return true;
}

/* Starts worker i, or the writer if i == worker_count, in a slot of its own. */
static bool run_start(struct run *r, uint32_t i) {
    const char *role = i == r->options->worker_count ? "write" : "work";
    if (r->slot_count == BOARD_SLOTS_MAX) {
        run_fail(r, "too many processes died");
        return false;
    }
    uint32_t slot = r->slot_count++;
    atomic_store(&r->board->slot[slot].state, BOARD_STARTING);
    if (child_start(&r->child[i], role, r->options->segment, r->board_fd, slot, i, r->options->worker_count))
        return true;
    run_fail(r, "cannot start a process");
    return false;
}

static bool run_wait_started(struct run *r, uint32_t i) {
    for (unsigned n = 0; n < RUN_START_SECONDS * 1000; n++) {
        if (atomic_load(&r->board->slot[r->child[i].slot].state) != BOARD_STARTING)
            return true;
        if (child_has_died(&r->child[i]))
            break;
        (void)usleep(1000);
    }
    run_fail(r, "a process did not come up");
    return false;
}

static bool run_start_all(struct run *r) {
    for (uint32_t i = 0; i <= r->options->worker_count; i++)
        if (!run_start(r, i))
            return false;
    for (uint32_t i = 0; i <= r->options->worker_count; i++)
        if (!run_wait_started(r, i))
            return false;
    return true;
}

/* ---- The live phase -------------------------------------------------------------------------- */

static struct larder_segment_stats run_stats(struct run *r) {
    struct larder_segment_stats stats = {0};
    if (larder_segment_stats(r->db, &stats) != LARDER_OK)
        run_fail_call(r, "larder_segment_stats");
    return stats;
}

/* The number of expired sessions whose memory was freed since the run began. */
static uint64_t run_removed(struct run *r, const struct larder_segment_stats *stats) {
    return stats->counters.expired - r->at_start.expired;
}

static void run_wave(struct run *r) {
    int64_t start = time(NULL);
    if (expiry_store(r->table, r->builder, start) != LARDER_OK) {
        run_fail_call(r, "cannot store the sessions");
        return;
    }
    r->wave_count++;
    atomic_store(&r->board->wave_start, start);
    (void)printf("       %u sessions of 8 KB stored; they expire %d to %d seconds from now\n", EXPIRY_SESSIONS,
                 EXPIRY_FIRST_S, EXPIRY_LAST_S);
}

static void run_show(struct run *r, uint32_t second, uint64_t *compared_before, uint64_t *changes_before) {
    char answers[REPORT_NUMBER_BYTES], changes[REPORT_NUMBER_BYTES];
    struct expiry_look look = {0};
    uint64_t compared = report_compared(r->board), changed = report_changes(r->board);
    struct larder_segment_stats stats = run_stats(r);
    if (expiry_look(r->table, r->page, atomic_load(&r->board->wave_start), &look) != LARDER_OK || look.complaint)
        run_fail(r, look.complaint ? look.complaint : "cannot look at the sessions");
    (void)printf(
        "  %3u s  %9s answers/s  %8s changes/s   sessions: %3u visible, %3" PRIu64 " removed   %.1f MB in use\n",
        second, report_number(compared - *compared_before, answers), report_number(changed - *changes_before, changes),
        look.visible, run_removed(r, &stats), (double)stats.used_bytes * 1e-6);
    (void)fflush(stdout);
    *compared_before = compared;
    *changes_before = changed;
}

static double run_ms(const struct timespec *since) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)(t.tv_sec - since->tv_sec) * 1e3 + (double)(t.tv_nsec - since->tv_nsec) * 1e-6;
}

/* Kills a worker or the writer inside a call, and starts a new process in its place. */
static void run_replace(struct run *r, uint32_t i) {
    const char *who = i == r->options->worker_count ? "the writer" : "a worker";
    struct timespec t;
    int pid = (int)r->child[i].pid;
    uint32_t in_call = child_kill_in_call(&r->child[i], r->board);
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    if (in_call > 0)
        (void)printf("       SIGKILL to %s (process %d), inside its call of pattern %s\n", who, pid,
                     patterns[in_call - 1].label);
    else
        (void)printf("       SIGKILL to %s (process %d), between two calls\n", who, pid);
    if (!run_start(r, i) || !run_wait_started(r, i))
        return;
    (void)printf("       process %d takes its place after %.0f ms\n", (int)r->child[i].pid, run_ms(&t));
}

static void run_watch(struct run *r) {
    for (uint32_t i = 0; i <= r->options->worker_count; i++)
        if (child_has_died(&r->child[i])) {
            run_fail(r, "a process died without being killed");
            (void)run_start(r, i);
        }
}

/* Sleeps until this many whole seconds after `since`. */
static void run_sleep_until(const struct timespec *since, uint32_t seconds) {
    double left_ms = seconds * 1e3 - run_ms(since);
    if (left_ms > 0)
        (void)usleep((useconds_t)(left_ms * 1e3));
}

static void run_live(struct run *r) {
    uint32_t seconds = r->options->seconds, workers = r->options->worker_count;
    uint64_t compared = report_compared(r->board), changes = report_changes(r->board);
    struct timespec begun;
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    for (uint32_t s = 0; s < seconds && !r->has_failed; s++) {
        if (s % RUN_WAVE_PERIOD_S == 0)
            run_wave(r);
        if (s == seconds * 2 / 5)
            run_replace(r, workers / 2);
        if (s == seconds / 2 || s == seconds * 3 / 5 || s == seconds * 7 / 10)
            run_replace(r, workers);
        run_sleep_until(&begun, s + 1);
        run_show(r, s + 1, &compared, &changes);
        run_watch(r);
    }
}

/* ---- Coming to rest -------------------------------------------------------------------------- */

static void run_join(struct run *r, uint32_t i, unsigned seconds_max) {
    if (r->child[i].pid > 0 && !child_join(&r->child[i], seconds_max))
        run_fail(r, "a process did not end well");
}

static void run_rest(struct run *r) {
    struct timespec begun;
    uint64_t before = report_compared(r->board);
    char number[REPORT_NUMBER_BYTES];
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    atomic_store(&r->board->phase, BOARD_DRAIN);
    run_join(r, r->options->worker_count, RUN_DRAIN_SECONDS);
    atomic_store(&r->board->phase, BOARD_REST);
    for (uint32_t i = 0; i < r->options->worker_count; i++)
        run_join(r, i, RUN_REST_SECONDS);
    (void)printf("  the writer has ended; the workers asked everything once more: %s answers in %.1f s\n",
                 report_number(report_compared(r->board) - before, number), run_ms(&begun) / 1e3);
}

/* The memory of all waves must be free soon after their last second. */
static void run_wait_memory(struct run *r) {
    uint64_t stored = (uint64_t)r->wave_count * EXPIRY_SESSIONS, removed;
    struct larder_segment_stats stats;
    int64_t deadline_s = atomic_load(&r->board->wave_start) + EXPIRY_LAST_S + RUN_MEMORY_SECONDS;
    for (;;) {
        stats = run_stats(r);
        removed = run_removed(r, &stats);
        if (removed >= stored || time(NULL) > deadline_s)
            break;
        (void)usleep(100000);
    }
    (void)printf("  %" PRIu64 " sessions expired, the memory of %" PRIu64 " is freed\n", stored, removed);
    if (removed != stored)
        run_fail(r, "expired sessions still hold memory");
}

static void run_show_repairs(struct run *r) {
    struct larder_counters now = run_stats(r).counters, then = r->at_start;
    uint32_t repaired = 0;
    for (uint32_t i = 0; i < r->slot_count; i++)
        repaired += atomic_load(&r->board->slot[i].repaired);
    (void)printf("  dead processes repaired: %" PRIu64 " (writes finished: %" PRIu64 ", undone: %" PRIu64
                 "); puts in doubt that the new writer found: %u\n",
                 now.recoveries - then.recoveries, now.finished - then.finished, now.undone - then.undone, repaired);
}

int run_demo(const struct run_options *options) {
    struct run r = {.options = options, .board_fd = -1};
    if (!run_open(&r) || !run_read_marks(&r)) {
        gen_done(&r.gen);
        larder_close(r.db);
        return EXIT_FAILURE;
    }
    r.at_start = run_stats(&r).counters;
    if (larder_expirer_start(r.db) != LARDER_OK)
        run_fail_call(&r, "larder_expirer_start");
    (void)printf("  %u workers and a writer; %u s live; %u shops, %u items, %u of them change\n", options->worker_count,
                 options->seconds, r.gen.load.shop_count, gen_item_count(&r.gen), gen_live_count(&r.gen));
    (void)fflush(stdout);
    if (run_start_all(&r))
        run_live(&r);
    run_rest(&r);
    run_wait_memory(&r);
    run_show_repairs(&r);
    (void)printf("\n");
    bool is_good = report_table(r.board) && !r.has_failed;
    gen_done(&r.gen);
    larder_close(r.db);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
