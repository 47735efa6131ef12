/* tests/crash/enum_test.c - for every operation and every store in it: die there.
 *
 * Goal     Promise 1 and 3: whatever store a process dies at, everybody else sees the operation wholly or not at all,
 * through all paths alike, goes on at once, and no block is lost. Method   SIGKILL leaves what was stored, so the
 * states a death can leave are the prefixes of the stores: few enough to try all. Per operation: run it once for the
 * text before and after (world_dump) and the number of stores. Then for each k: copy the segment, a child runs the
 * operation and dies at its k-th store, and a process that was attached all the while (1) reads: the text must be the
 * one before or the one after; (2) writes into the same stripes; (3) reads the same text again; (4) larder_check() is
 * clean. Recovery is one more operation: it dies at each of its stores, too. LARDER_TEST_LONG tries every store also
 * where the short run takes every n-th (recoveries of recoveries).
 */
#include "core/crash.h"
#include "index/leaf.h"
#include "tests/crash/world.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(crash_enum, .timeout = 200 * SLOW_FACTOR);

#define DEADLINE_MS 20000
#define PROBE 399 /* an item that only the surviving process writes */

struct scenario {
    const char *name;
    void (*prepare)(struct larder *db); /* NULL: an empty table */
    void (*act)(struct larder *db, int step);
    int steps; /* calls of act, with step 0, 1, ..; 0 means one */
};

#define STEPS_MAX 16

/* What is seen before the operation and after each of its steps. */
struct texts {
    char *at[STEPS_MAX + 1];
    int count;
};

struct run {
    const struct scenario *scenario;
    int memfd;
    uint64_t k; /* 0: do not die, report the number of stores */
    int report_fd;
};

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

static int steps_of(const struct scenario *s) {
    return s->steps ? s->steps : 1;
}

/* In a child: attach, act, detach, dying at store k. Attach and detach are part of what is enumerated. */
static int act_in_child(void *arg) {
    struct run *run = arg;
    shm_crash_arm(run->k);
    struct larder *db = world_open(run->memfd);
    for (int step = 0; step < steps_of(run->scenario); step++)
        run->scenario->act(db, step);
    larder_close(db);
    uint64_t count = shm_crash_count();
    if (run->report_fd >= 0 && write(run->report_fd, &count, sizeof count) != sizeof count)
        return 1;
    return 0;
}

static int prepare(const struct scenario *s) {
    int memfd = world_create(2);
    if (s->prepare) {
        struct larder *db = world_open(memfd);
        s->prepare(db);
        larder_close(db);
    }
    return memfd;
}

static char *dump_of(int memfd) {
    struct larder *db = world_open(memfd);
    char *text = world_dump(db);
    larder_close(db);
    return text;
}

/* The number of stores of the whole operation. */
static uint64_t measure(const struct scenario *s, int base) {
    int pipe_fds[2], memfd = world_copy(base);
    uint64_t count = 0;
    cr_assert(pipe(pipe_fds) == 0);
    struct run run = {s, memfd, 0, pipe_fds[1]};
    struct proc_result r = proc_run(act_in_child, &run, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s: %s", s->name, proc_text(r));
    cr_assert(read(pipe_fds[0], &count, sizeof count) == sizeof count);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(memfd);
    return count;
}

static void look_at_steps(const struct scenario *s, int base, struct texts *texts) {
    int memfd = world_copy(base);
    struct larder *db = world_open(memfd);
    *texts = (struct texts){.count = steps_of(s) + 1};
    texts->at[0] = world_dump(db);
    for (int step = 0; step < steps_of(s); step++) {
        s->act(db, step);
        texts->at[step + 1] = world_dump(db);
    }
    larder_close(db);
    close(memfd);
}

static void forget(struct texts *texts) {
    for (int i = 0; i < texts->count; i++)
        free(texts->at[i]);
}

static void must_be_clean(struct larder *db, const char *name, uint64_t k) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, NULL, &report);
    cr_assert(r == LARDER_OK, "%s, store %lu: check: %s: %s", name, (unsigned long)k, larder_result_name(r),
              larder_error());
}

/* Prints the first line in which two texts differ. */
static void show_difference(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    fprintf(stderr, "  expected ...%.80s\n  found    ...%.80s\n", a, b);
}

/* After which step this is what is seen. Fails if after none: something is half done. */
static int step_seen(const char *seen, const struct texts *texts, const char *name, uint64_t k, const char *when) {
    for (int i = 0; i < texts->count; i++)
        if (strcmp(seen, texts->at[i]) == 0)
            return i;
    for (int i = 0; i < texts->count && i < 2; i++)
        show_difference(texts->at[i], seen);
    cr_assert_fail("%s, store %lu: %s what is seen is neither the state before nor the one after", name,
                   (unsigned long)k, when);
    return -1;
}

/* Writes into every stripe that matters, which makes the survivor recover the dead. Leaves no trace in the text. */
static void write_probe(struct larder *db, const char *name, uint64_t k) {
    for (int n = PROBE; n > PROBE - 6; n--) {
        int r = world_try_put(db, n, 0, 10, 0);
        cr_assert(r == LARDER_OK || r == LARDER_E_NO_TABLE, "%s, store %lu: put: %s", name, (unsigned long)k,
                  larder_error());
        if (r == LARDER_OK)
            cr_assert(world_delete(db, n) == LARDER_OK);
    }
}

/* The verdict of the survivor, `db`, which was attached before the death. */
static void judge(struct larder *db, const struct texts *texts, const char *name, uint64_t k) {
    const char *tables[8];
    uint32_t count;
    char *text = world_dump(db);
    int at_once = step_seen(text, texts, name, k, "at once");
    free(text);
    cr_assert(larder_table_list(db, tables, 8, &count) == LARDER_OK);
    if (count > 0)
        write_probe(db, name, k);
    must_be_clean(db, name, k);
    text = world_dump(db);
    int later = step_seen(text, texts, name, k, "after recovery");
    free(text);
    /* What readers saw stands: nothing that was published is taken back. */
    cr_assert(later >= at_once, "%s, store %lu: recovery took a published change back", name, (unsigned long)k);
}

static void die_at(const struct scenario *s, int base, uint64_t k, const struct texts *texts) {
    int memfd = world_copy(base);
    struct larder *survivor = world_open(memfd);
    struct run run = {s, memfd, k, -1};
    struct proc_result r = proc_run(act_in_child, &run, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGKILL), "%s, store %lu: %s", s->name, (unsigned long)k, proc_text(r));
    judge(survivor, texts, s->name, k);
    larder_close(survivor);
    close(memfd);
}

static void enumerate(const struct scenario *s) {
    struct texts texts;
    leaf_capacity = 4;
    int base = prepare(s);
    look_at_steps(s, base, &texts);
    uint64_t count = measure(s, base);
    for (uint64_t k = 1; k <= count; k++)
        die_at(s, base, k, &texts);
    fprintf(stderr, "%-28s %5lu stores, died at each\n", s->name, (unsigned long)count);
    forget(&texts);
    close(base);
}

/* ---- Recovery dies, too
 * ----------------------------------------------------------------------------------------------------- */

static void recover_act(struct larder *db, int step) {
    (void)step;
    struct larder_check_report report;
    larder_check(db, NULL, NULL, &report); /* recovers all dead slots first */
}

static void enumerate_recovery(const struct scenario *s, uint64_t k_step, uint64_t j_step) {
    static const struct scenario recovery = {"recovery", NULL, recover_act, 0};
    struct texts texts;
    uint64_t tried = 0;
    leaf_capacity = 4;
    int base = prepare(s);
    look_at_steps(s, base, &texts);
    uint64_t count = measure(s, base);
    for (uint64_t k = 1; k <= count; k += k_step) {
        int crashed = world_copy(base);
        struct run run = {s, crashed, k, -1};
        cr_assert(proc_is_signal(proc_run(act_in_child, &run, DEADLINE_MS), SIGKILL));
        uint64_t stores = measure(&recovery, crashed);
        for (uint64_t j = 1 + k % j_step; j <= stores; j += j_step, tried++) {
            int memfd = world_copy(crashed);
            struct larder *survivor = world_open(memfd);
            struct run again = {&recovery, memfd, j, -1};
            cr_assert(proc_is_signal(proc_run(act_in_child, &again, DEADLINE_MS), SIGKILL));
            judge(survivor, &texts, s->name, k * 100000 + j);
            larder_close(survivor);
            close(memfd);
        }
        close(crashed);
    }
    fprintf(stderr, "recovery of %-16s %5lu deaths of %lu x recovery\n", s->name, (unsigned long)tried,
            (unsigned long)count);
    forget(&texts);
    close(base);
}

/* ---- The operations
 * ----------------------------------------------------------------------------------------------------------- */

static void some_items(struct larder *db) {
    for (int n = 0; n < 20; n++)
        world_put(db, n, 111, 50, 0);
}

static void put_new(struct larder *db, int step) {
    (void)step;
    world_put(db, 50, 111, 50, 0);
}
static void put_no_index(struct larder *db, int step) {
    (void)step;
    world_put(db, 50, 0, 50, 0);
}
static void overwrite_same(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 111, 50, 0);
}
static void overwrite_larger(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 111, 900, 0);
}
static void overwrite_smaller(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 111, 1, 0);
}
static void change_one_key(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 113, 50, 0);
}
static void change_partition(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 112, 50, 0);
}
static void change_two_keys(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 133, 50, 0);
}
static void change_all_keys(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 333, 50, 0);
}
static void leave_indexes(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 0, 50, 0);
}
static void delete_one(struct larder *db, int step) {
    (void)step;
    world_delete(db, 7);
}
static void one_item(struct larder *db) {
    world_put(db, 7, 111, 50, 0);
}
static void first_item(struct larder *db, int step) {
    (void)step;
    world_put(db, 0, 111, 50, 0);
}
static void many_items(struct larder *db) {
    for (int n = 0; n < 120; n++)
        world_put(db, n, n % 3 ? 111 : 10, 20, 0);
}
static void put_some_more(struct larder *db, int step) { /* grows arrays, splits leaves, opens partitions */
    world_put(db, 200 + step, 121, 20, 0);
}
static void delete_some(struct larder *db, int step) { /* empties and unlinks leaves */
    world_delete(db, step);
}
static void large_items(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, 0, 3900, 0);
}
static void take_spans(struct larder *db, int step) {
    world_put(db, 20 + step, 0, 3900, 0);
}
static void return_spans(struct larder *db, int step) {
    world_delete(db, step);
}
static void put_expiring(struct larder *db, int step) {
    (void)step;
    world_put(db, 60, 111, 50, world_now_s + 400);
}
static void expiring_items(struct larder *db) {
    for (int n = 0; n < 6; n++)
        world_put(db, n, 111, 50, world_now_s + 300);
    some_items(db);
    for (int n = 30; n < 33; n++)
        world_put(db, n, 111, 50, world_now_s + 2);
}
static void expire(struct larder *db, int step) {
    (void)step;
    world_now_s += 5;
    larder_expire(db, 0, NULL);
    world_now_s -= 5;
}
static void rearm(struct larder *db, int step) {
    (void)step;
    world_put(db, 30, 111, 50, world_now_s + 1000);
}
static void create_table(struct larder *db, int step) {
    (void)step;
    struct larder_table_def def = {.name = "Second", .partition = {"id", LARDER_S}};
    larder_table_create(db, &def);
}
static void drop_table(struct larder *db, int step) {
    (void)step;
    larder_table_drop(db, WORLD_TABLE);
}
static void add_index(struct larder *db, int step) {
    (void)step;
    struct larder_index_def def = {.name = "G9x", .partition = {"G1P", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_table *t;
    if (larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK)
        larder_index_add(t, &def);
}
static void change_ttl(struct larder *db, int step) {
    (void)step;
    struct larder_table *t;
    if (larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK)
        larder_ttl_set(t, "other");
}
static void only_attach(struct larder *db, int step) { /* a call that takes a slot */
    (void)step;
    world_delete(db, 300);
}

#define ENUMERATE(id, ...)                                                                                             \
    Test(crash_enum, id) {                                                                                             \
        static const struct scenario s = {#id, __VA_ARGS__};                                                           \
        enumerate(&s);                                                                                                 \
    }

ENUMERATE(attach_detach, some_items, only_attach, 0)
ENUMERATE(put_into_empty, NULL, first_item, 0)
ENUMERATE(put_new, some_items, put_new, 0)
ENUMERATE(put_without_index, some_items, put_no_index, 0)
ENUMERATE(overwrite_same, some_items, overwrite_same, 0)
ENUMERATE(overwrite_larger, some_items, overwrite_larger, 0)
ENUMERATE(overwrite_smaller, some_items, overwrite_smaller, 0)
ENUMERATE(change_one_key, some_items, change_one_key, 0)
ENUMERATE(change_partition, some_items, change_partition, 0)
ENUMERATE(change_two_keys, some_items, change_two_keys, 0)
ENUMERATE(change_all_keys, some_items, change_all_keys, 0)
ENUMERATE(leave_indexes, some_items, leave_indexes, 0)
ENUMERATE(delete_one, some_items, delete_one, 0)
ENUMERATE(delete_last, one_item, delete_one, 0)
ENUMERATE(grow_and_split, many_items, put_some_more, 10)
ENUMERATE(empty_leaves, many_items, delete_some, 12)
ENUMERATE(take_spans, large_items, take_spans, 6)
ENUMERATE(return_spans, large_items, return_spans, 12)
ENUMERATE(arm_timer, expiring_items, put_expiring, 0)
ENUMERATE(rearm_timer, expiring_items, rearm, 0)
ENUMERATE(create_table, some_items, create_table, 0)
ENUMERATE(drop_table, some_items, drop_table, 0)
ENUMERATE(add_index, some_items, add_index, 0)
ENUMERATE(change_ttl, expiring_items, change_ttl, 0)

/* The items are expired for the survivor too: before and after are the same text, and their memory must come back. */
Test(crash_enum, expire) {
    static const struct scenario s = {"expire", expiring_items, expire, 0};
    leaf_capacity = 4;
    int base = prepare(&s);
    world_now_s += 5;
    struct texts gone = {{dump_of(base)}, 1};
    world_now_s -= 5;
    uint64_t count = measure(&s, base);
    for (uint64_t k = 1; k <= count; k++) {
        int memfd = world_copy(base);
        struct run run = {&s, memfd, k, -1};
        cr_assert(proc_is_signal(proc_run(act_in_child, &run, DEADLINE_MS), SIGKILL));
        world_now_s += 5;
        struct larder *survivor = world_open(memfd);
        judge(survivor, &gone, s.name, k);
        cr_assert(larder_expire(survivor, 0, NULL) == LARDER_OK, "%s", larder_error());
        must_be_clean(survivor, s.name, k);
        struct larder_table *t;
        struct larder_table_stats stats;
        cr_assert(larder_table_open(survivor, WORLD_TABLE, &t) == LARDER_OK &&
                  larder_table_stats(t, &stats) == LARDER_OK);
        cr_assert(stats.item_count == 20, "store %lu: %lu items are left", (unsigned long)k,
                  (unsigned long)stats.item_count);
        larder_close(survivor);
        world_now_s -= 5;
        close(memfd);
    }
    fprintf(stderr, "%-28s %5lu stores, died at each\n", s.name, (unsigned long)count);
    forget(&gone);
    close(base);
}

Test(crash_enum, recovery_of_key_change) {
    static const struct scenario s = {"change_all_keys", some_items, change_all_keys, 0};
    enumerate_recovery(&s, is_long() ? 1 : 7, is_long() ? 1 : 5);
}

Test(crash_enum, recovery_of_growth) {
    static const struct scenario s = {"grow_and_split", many_items, put_some_more, 10};
    enumerate_recovery(&s, is_long() ? 3 : 97, is_long() ? 1 : 11);
}

Test(crash_enum, recovery_of_drop) {
    static const struct scenario s = {"drop_table", some_items, drop_table, 0};
    enumerate_recovery(&s, is_long() ? 3 : 97, is_long() ? 1 : 17);
}
