/* tests/crash/step_trial.c - see step_trial.h. */
#include "tests/crash/step_trial.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

/* For the survivor to read everything, notice the death, repair it and write: time of its own. */
#define PROMPT_MS 2500u
#define LATER_S 500 /* by then everything has expired */
#define TRIES 5     /* for one instruction, should the process stray */
#define PROBE 399   /* an item that only the survivor writes */
#define PROBES 6    /* as many, from there down: there are two stripes */
#define WARM 8      /* one that the process writes and acknowledges before the call */

/* ---- The process that dies ------------------------------------------------------------------- */

static void warm_up(const struct step_operation *op, struct larder *db) {
    if (op->how == STEP_ATTACHED || op->how == STEP_FORKED)
        world_put(db, WARM, 112, 77, 0);
}

static int run_tracee(int memfd, const void *arg) {
    const struct step_operation *op = arg;
    if (op->how == STEP_ATTACHING)
        step_ready();
    struct larder *db = world_open(memfd);
    warm_up(op, db);
    if (op->how == STEP_FORKED && fork() != 0)
        for (;;)
            pause();
    if (op->how != STEP_ATTACHING)
        step_ready();
    if (op->act)
        op->act(db);
    larder_close(db);
    return 0;
}

/* ---- The process that survives --------------------------------------------------------------- */

/* Says where a process was: file and offset, for addr2line. */
static const char *place(const struct step_trial *t, uint32_t n) {
    static char text[512];
    Dl_info info;
    const void *pc = (const void *)(uintptr_t)t->trace->spot[n].pc;
    if (!dladdr(pc, &info))
        info = (Dl_info){.dli_fname = "?"};
    snprintf(text, sizeof text, "%s: %u of %u instructions (next: %s+0x%lx)", t->op->name, n, t->count, info.dli_fname,
             (unsigned long)((uintptr_t)pc - (uintptr_t)info.dli_fbase));
    return text;
}

/* Writes into every stripe and the partitions that the call changes, which makes the survivor
 * recover the dead process. Leaves no trace in the text. */
static void write_probe(struct larder *db, const char *where) {
    for (int n = PROBE; n > PROBE - PROBES; n--) {
        int r = world_try_put(db, n, n % 2 ? 1111 : 3332, 10, 0);
        cr_assert(r == LARDER_OK, "%s: the survivor cannot write: %s", where, larder_error());
        r = world_delete(db, n);
        cr_assert(r == LARDER_OK, "%s: the survivor cannot delete: %s", where, larder_error());
    }
}

static void must_be_clean(struct larder *db, const char *where) {
    struct larder_check_report report;
    struct larder_slot_stats slots[64];
    uint32_t count;
    int r = larder_check(db, NULL, &report);
    cr_assert(r == LARDER_OK && report.leaked_blocks == 0, "%s: check: %s: %s", where, larder_result_name(r),
              larder_error());
    cr_assert(larder_slot_stats(db, slots, 64, &count) == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(slots[i].is_alive && slots[i].lock_count == 0, "%s: slot %u was not recovered", where, slots[i].slot);
}

/* Blocks in use when all that expires is gone, timers included, so that a timer of an undone write
 * does not count. */
static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    world_now_s += LATER_S;
    int r = larder_expire(db, 0, NULL);
    world_now_s -= LATER_S;
    cr_assert(r == LARDER_OK && larder_segment_stats(db, &stats) == LARDER_OK, "expire: %s", larder_error());
    return stats.used_bytes;
}

static void show_difference(const char *expected, const char *found) {
    const char *a = expected, *b = found;
    while (*a && *a == *b)
        a++, b++;
    while (a > expected && a[-1] != '\n')
        a--, b--;
    fprintf(stderr, "  expected %.100s\n  found    %.100s\n", a, b);
}

/* Whether the new state is seen. Fails if neither the new nor the old one is. */
static int is_new(const struct step_trial *t, struct larder *db, const char *where, const char *when) {
    char *text = world_dump(db);
    int is_after = strcmp(text, t->after.text) == 0, is_before = strcmp(text, t->before.text) == 0;
    if (!is_after && !is_before) {
        show_difference(t->before.text, text);
        show_difference(t->after.text, text);
    }
    free(text);
    cr_assert(is_after || is_before, "%s: what is seen %s is neither the state before nor the one after", where, when);
    return is_after;
}

/* Lists in which a write that is not tidied up yet may have extra entries, just when others add
 * theirs: the items by sort key, G1, G2, L1 and N1. The order of the writers decides whether their
 * leaves got room for these. */
#define LISTS 5u
#define LEAF_STEP_BYTES 64u /* room for one more entry, at most */
#define LEAVES_DIFFER_BYTES (LISTS * LEAF_STEP_BYTES)

/* Blocks in use. An undone write may leave leaves and arrays as large as the finished one would
 * have. must_be_clean() looks for blocks that nothing leads to. */
static void must_not_leak(const struct step_trial *t, struct larder *db, int is_after, const char *where) {
    uint64_t used = used_bytes(db), a = t->before.used_bytes, b = t->after.used_bytes;
    uint64_t low = (is_after || a > b ? b : a) - LEAVES_DIFFER_BYTES;
    uint64_t high = (is_after || b > a ? b : a) + LEAVES_DIFFER_BYTES;
    cr_assert(low <= used && used <= high, "%s: %lu bytes in use, not %lu..%lu", where, (unsigned long)used,
              (unsigned long)low, (unsigned long)high);
}

static void note_time(struct step_trial *t, uint64_t start_ms, const char *where) {
    uint64_t ms = until_own_ms() - start_ms;
    if (ms > t->slowest_ms)
        t->slowest_ms = ms;
    cr_assert(ms <= PROMPT_MS * SLOW_FACTOR, "%s: the survivor was held up for %lu ms", where, (unsigned long)ms);
}

/* world.h gives up by abort(): then at least the instruction is printed. */
static char judged[512];

static void say_where(int signal_number) {
    (void)signal_number;
    ssize_t ignored = write(STDERR_FILENO, judged, strlen(judged));
    (void)ignored;
    signal(SIGABRT, SIG_DFL);
}

/* The verdict of the survivor, which was attached before the death. Returns whether it sees the new
 * state. */
static int judge(struct step_trial *t, struct larder *survivor, uint32_t n) {
    const char *where = judged;
    snprintf(judged, sizeof judged, "%s", place(t, n));
    signal(SIGABRT, say_where);
    uint64_t start_ms = until_own_ms();
    int at_once = is_new(t, survivor, where, "at once");
    write_probe(survivor, where);
    note_time(t, start_ms, where);
    must_be_clean(survivor, where);
    int later = is_new(t, survivor, where, "after recovery");
    cr_assert(later == at_once, "%s: recovery %s what was seen", where, later ? "published" : "took back");
    must_not_leak(t, survivor, later, where);
    return later;
}

/* ---- One instruction ------------------------------------------------------------------------- */

/* No instruction before the one that publishes may show the change, and none after it may miss
 * it. */
static void note_outcome(struct step_trial *t, uint32_t n, int is_after) {
    if (!t->is_visible)
        return;
    if (is_after && n < t->new_from)
        t->new_from = n;
    if (!is_after && n > t->old_until)
        t->old_until = n;
    cr_assert(t->old_until < t->new_from, "%s: is %s, though %s", place(t, n), is_after ? "published" : "lost",
              is_after        ? "it was not after more instructions"
              : n == t->count ? "it had returned"
                              : "it was after fewer");
}

static void must_have(enum step_result r, const struct step_trial *t, uint32_t n) {
    cr_assert(r == STEP_DONE || r == STEP_STRAYED, "%s: the process that is stepped: %s", place(t, n),
              step_result_name(r));
}

static int kill_once(struct step_trial *t, uint32_t n, int *is_strayed) {
    int memfd = world_copy(t->base);
    struct larder *survivor = world_open(memfd);
    enum step_result r = step_kill_after(t->driver, memfd, n);
    must_have(r, t, n);
    *is_strayed = r == STEP_STRAYED;
    int is_after = judge(t, survivor, n);
    larder_close(survivor);
    close(memfd);
    return is_after;
}

/* A process that strayed was killed, too, and judged, but somewhere else. */
void step_kill(struct step_trial *t, uint32_t n) {
    int is_strayed = 1;
    for (int tries = 0; is_strayed; tries++) {
        cr_assert(tries < TRIES, "%s: the process does not get there", place(t, n));
        int is_after = kill_once(t, n, &is_strayed);
        t->kills++;
        t->strayed += (uint32_t)is_strayed;
        if (!is_strayed)
            note_outcome(t, n, is_after);
    }
}

void step_hold(struct step_trial *t, uint32_t n) {
    int memfd = world_copy(t->base);
    struct larder *survivor = world_open(memfd);
    enum step_result r = step_hold_after(t->driver, memfd, n);
    must_have(r, t, n);
    uint64_t start_ms = until_own_ms();
    int is_after = is_new(t, survivor, place(t, n), "of a process that stands still");
    note_time(t, start_ms, place(t, n));
    if (r == STEP_DONE)
        note_outcome(t, n, is_after);
    must_have(step_go_on(t->driver), t, n);
    cr_assert(judge(t, survivor, n), "%s: held there, it ended its call, and nothing is seen of it", place(t, n));
    larder_close(survivor);
    close(memfd);
}

/* ---- The call -------------------------------------------------------------------------------- */

/* The state before or after the operation, without a death. */
static struct step_state undisturbed(const struct step_trial *t, int is_after) {
    int memfd = world_copy(t->base);
    struct larder *survivor = world_open(memfd), *db = world_open(memfd);
    warm_up(t->op, db);
    if (is_after && t->op->act)
        t->op->act(db);
    larder_close(db);
    struct step_state state = {.text = world_dump(survivor)};
    write_probe(survivor, t->op->name);
    must_be_clean(survivor, t->op->name);
    state.used_bytes = used_bytes(survivor);
    larder_close(survivor);
    close(memfd);
    return state;
}

int step_prepare(const struct step_operation *op) {
    int memfd = world_create(2);
    struct larder *db = world_open(memfd);
    op->prepare(db);
    larder_close(db);
    return memfd;
}

void step_begin(struct step_trial *t, const struct step_operation *op, int base) {
    *t = (struct step_trial){.op = op, .base = base};
    t->before = undisturbed(t, 0);
    t->after = undisturbed(t, 1);
    t->target = (struct step_target){run_tracee, op, op->function, op->how == STEP_FORKED};
    t->is_visible = strcmp(t->before.text, t->after.text) != 0;
    t->driver = step_driver_start(&t->target);
    t->trace = step_driver_trace(t->driver);
    int memfd = world_copy(base);
    struct larder *survivor = world_open(memfd);
    enum step_result r = step_record(t->driver, memfd);
    if (r == STEP_REFUSED) {
        step_driver_end(t->driver);
        cr_skip_test("ptrace with debug registers is not to be had here");
    }
    cr_assert(r == STEP_DONE, "%s: recording: %s", op->name, step_result_name(r));
    t->new_from = t->count = t->trace->count;
    cr_assert(judge(t, survivor, t->count), "%s: nothing is seen of it", op->name);
    larder_close(survivor);
    close(memfd);
}

void step_end(struct step_trial *t) {
    step_driver_end(t->driver);
    free(t->before.text);
    free(t->after.text);
    close(t->base);
}

void step_find_publication(struct step_trial *t) {
    while (t->is_visible && t->new_from - t->old_until > 1)
        step_kill(t, t->old_until + (t->new_from - t->old_until) / 2);
}

int step_wreck(struct step_trial *t, uint32_t n) {
    int memfd = world_copy(t->base);
    cr_assert(step_kill_after(t->driver, memfd, n) == STEP_DONE, "%s: not killed there", place(t, n));
    return memfd;
}
