/* tests/api/removed_test.c - the file of a segment was removed by hand, or another one took its
 * name.
 *
 * Goal     Attached processes notice within a second: their calls give LARDER_E_DESTROYED, of every
 *          process and handle, also with a clock that stands still. No process goes on in the
 *          removed segment while others make a new one. What is not a removal is not taken for one:
 *          a new name, a memfd, a descriptor that the program closed.
 * Method   The file goes by unlink() and rename(). The test waits for a result, with a deadline.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(removed, .timeout = 60 * SLOW_FACTOR);

#define DEADLINE_MS 30000
/* a second, and what the coarse clock and this machine add */
#define WITHIN_MS (1200 * SLOW_FACTOR)
#define SMALL LARDER_SEGMENT_BYTES_MIN

struct world {
    struct larder *db;
    struct larder_table *table;
    struct larder_page *page;
};

static int enter(struct world *w, const char *name, uint32_t flags) {
    struct larder_options o = {.segment = name, .flags = flags, .size_bytes = SMALL};
    const struct larder_table_def def = {.name = "Table", .partition = {"PK", LARDER_S}};
    int r = larder_open(&o, &w->db);
    if (r)
        return r;
    if (flags & LARDER_CREATE)
        (void)larder_table_create(w->db, &def);
    r = larder_table_open(w->db, "Table", &w->table);
    return r ? r : larder_page_new(w->db, &w->page);
}

static int put(struct world *w, int64_t value) {
    struct larder_builder *b;
    const struct larder_item *item;
    int r = larder_builder_new(w->db, &b);
    if (r)
        return r;
    larder_builder_add_s(b, "PK", "a");
    larder_builder_add_int(b, "value", value);
    r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(w->table, item, NULL);
    larder_builder_free(b);
    return r;
}

static int get(struct world *w) {
    struct larder_key key = {.partition = larder_str("a")};
    return larder_get(w->table, &key, w->page);
}

static void path_of(const char *name, char path[TESTSEG_NAME_MAX + 16]) {
    snprintf(path, TESTSEG_NAME_MAX + 16, "/dev/shm/%s", name);
}

static void must_be_gone(struct world *w) {
    struct larder_segment_stats stats;
    EXPECT(get(w), LARDER_E_DESTROYED);
    EXPECT(larder_segment_stats(w->db, &stats), LARDER_E_DESTROYED);
    EXPECT(get(w), LARDER_E_DESTROYED);
}

static int64_t stand_still(void *arg) {
    (void)arg;
    return 1000000;
}

/* A writer, a reader, and one whose clock stands still. Processes that come later have a segment of
 * their own. */
Test(removed, all_that_are_attached_notice) {
    char name[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 16];
    struct world a, b, r, next;
    testseg_name(name);
    path_of(name, path);
    EXPECT(enter(&a, name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    EXPECT(put(&a, 1), LARDER_OK);
    EXPECT(enter(&b, name, 0), LARDER_OK);
    EXPECT(enter(&r, name, LARDER_READ_ONLY), LARDER_OK);
    larder_set_clock(b.db, stand_still, NULL);
    EXPECT(get(&b), LARDER_OK);
    EXPECT(get(&r), LARDER_OK);
    cr_assert_eq(unlink(path), 0);
    EXPECT(enter(&next, name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    cr_assert(UNTIL_OWN(get(&r) == LARDER_E_DESTROYED, WITHIN_MS), "%s", larder_error());
    cr_assert(UNTIL_OWN(get(&b) == LARDER_E_DESTROYED, WITHIN_MS), "%s", larder_error());
    cr_assert(UNTIL_OWN(put(&a, 2) == LARDER_E_DESTROYED, WITHIN_MS), "%s", larder_error());
    must_be_gone(&a);
    must_be_gone(&b);
    must_be_gone(&r);
    EXPECT(put(&next, 3), LARDER_OK);
    larder_close(a.db);
    larder_close(b.db);
    larder_close(r.db);
    EXPECT(put(&next, 4), LARDER_OK);
    larder_close(next.db);
    EXPECT(larder_destroy(name, 0), LARDER_OK);
}

/* A handle that made no call for a while must not answer from the removed segment even once. */
Test(removed, the_first_call_after_a_second_knows) {
    char name[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 16];
    struct world a, r;
    struct timespec start, now;
    testseg_name(name);
    path_of(name, path);
    EXPECT(enter(&a, name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    EXPECT(put(&a, 1), LARDER_OK);
    EXPECT(enter(&r, name, LARDER_READ_ONLY), LARDER_OK);
    EXPECT(get(&r), LARDER_OK);
    cr_assert_eq(unlink(path), 0);
    clock_gettime(CLOCK_REALTIME_COARSE, &start);
    cr_assert(UNTIL((clock_gettime(CLOCK_REALTIME_COARSE, &now), now.tv_sec > start.tv_sec), DEADLINE_MS));
    EXPECT(get(&r), LARDER_E_DESTROYED);
    EXPECT(put(&a, 1), LARDER_E_DESTROYED);
    larder_close(a.db);
    larder_close(r.db);
}

struct two_worlds {
    char name[TESTSEG_NAME_MAX];
    _Atomic int is_attached, is_gone;
};

/* Another process: what it does not notice by itself, the segment's state tells it. */
static int live_in_ghost(void *arg) {
    struct two_worlds *t = arg;
    struct world w;
    PROC_CHECK(enter(&w, t->name, 0) == LARDER_OK && put(&w, 1) == LARDER_OK);
    t->is_attached = 1;
    PROC_CHECK(UNTIL(put(&w, 2) == LARDER_E_DESTROYED, DEADLINE_MS));
    t->is_gone = 1;
    larder_close(w.db);
    PROC_CHECK(enter(&w, t->name, LARDER_CREATE) == LARDER_OK && put(&w, 3) == LARDER_OK);
    larder_close(w.db);
    return 0;
}

Test(removed, another_file_that_takes_the_name_is_another_world) {
    char path[TESTSEG_NAME_MAX + 16], fresh[TESTSEG_NAME_MAX], fresh_path[TESTSEG_NAME_MAX + 16];
    struct two_worlds *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct world a, b;
    cr_assert((void *)t != MAP_FAILED);
    testseg_name(t->name);
    testseg_name(fresh);
    path_of(t->name, path);
    path_of(fresh, fresh_path);
    EXPECT(enter(&a, t->name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    EXPECT(enter(&b, fresh, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    pid_t pid = proc_fork(live_in_ghost, t);
    cr_assert(UNTIL(t->is_attached, DEADLINE_MS));
    cr_assert_eq(rename(fresh_path, path), 0);
    cr_assert(UNTIL(t->is_gone, WITHIN_MS + 1000));
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    EXPECT(put(&a, 1), LARDER_E_DESTROYED);
    EXPECT(put(&b, 1), LARDER_OK);
    EXPECT(get(&b), LARDER_OK);
    larder_close(a.db);
    larder_close(b.db);
    EXPECT(larder_destroy(t->name, 0), LARDER_OK);
    munmap(t, sizeof *t);
}

/* Calls go on for longer than it takes to notice a removal. */
static void must_stay(struct world *w) {
    uint64_t end = until_now_ms() + 1500;
    for (int64_t i = 0; until_now_ms() < end; i++) {
        EXPECT(put(w, i), LARDER_OK);
        EXPECT(get(w), LARDER_OK);
    }
}

Test(removed, a_new_name_is_no_removal) {
    char name[TESTSEG_NAME_MAX], moved[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 16], to[TESTSEG_NAME_MAX + 16];
    struct world a, b;
    testseg_name(name);
    testseg_name(moved);
    path_of(name, path);
    path_of(moved, to);
    EXPECT(enter(&a, name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    cr_assert_eq(rename(path, to), 0);
    must_stay(&a);
    EXPECT(enter(&b, moved, 0), LARDER_OK);
    EXPECT(get(&b), LARDER_OK);
    larder_close(a.db);
    larder_close(b.db);
    EXPECT(larder_destroy(moved, 0), LARDER_OK);
}

Test(removed, a_memfd_has_no_name_to_lose) {
    struct world a = {.db = testseg_open(SMALL, 0)};
    const struct larder_table_def def = {.name = "Table", .partition = {"PK", LARDER_S}};
    EXPECT(larder_table_create(a.db, &def), LARDER_OK);
    EXPECT(larder_table_open(a.db, "Table", &a.table), LARDER_OK);
    EXPECT(larder_page_new(a.db, &a.page), LARDER_OK);
    must_stay(&a);
    larder_close(a.db);
}

/* Code that makes a daemon closes all descriptors, and their numbers get files that have no
 * name. */
static int close_descriptors(void *arg) {
    struct world w;
    char path[] = "/tmp/larder-test-XXXXXX";
    PROC_CHECK(enter(&w, arg, 0) == LARDER_OK && put(&w, 1) == LARDER_OK);
    int other = mkstemp(path);
    PROC_CHECK(other >= 0 && unlink(path) == 0);
    for (int fd = 3; fd < 64; fd++)
        if (fd != other)
            PROC_CHECK(dup2(other, fd) == fd);
    uint64_t end = until_now_ms() + 1500;
    for (int64_t i = 0; until_now_ms() < end; i++)
        PROC_CHECK(put(&w, i) == LARDER_OK && get(&w) == LARDER_OK);
    larder_close(w.db);
    return 0;
}

Test(removed, a_closed_descriptor_is_no_removal) {
    char name[TESTSEG_NAME_MAX];
    struct world a;
    testseg_name(name);
    EXPECT(enter(&a, name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    cr_assert(proc_is_exit(proc_run(close_descriptors, name, DEADLINE_MS), 0));
    EXPECT(put(&a, 1), LARDER_OK);
    larder_close(a.db);
    EXPECT(larder_destroy(name, 0), LARDER_OK);
}

/* A process that makes no call of its own, but carries the expirer. */
struct carrier {
    char name[TESTSEG_NAME_MAX];
    _Atomic int is_attached, may_go;
};

static int carry_expirer(void *arg) {
    struct carrier *c = arg;
    struct world w;
    PROC_CHECK(enter(&w, c->name, 0) == LARDER_OK && larder_expirer_start(w.db) == LARDER_OK);
    c->is_attached = 1;
    PROC_CHECK(UNTIL(c->may_go, DEADLINE_MS));
    larder_close(w.db);
    return 0;
}

Test(removed, the_expirer_notices_too) {
    char dir[64] = "/tmp/larder-test-XXXXXX";
    struct carrier *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct world a;
    cr_assert((void *)c != MAP_FAILED && mkdtemp(dir) != NULL);
    snprintf(c->name, sizeof c->name, "%s/seg", dir);
    EXPECT(enter(&a, c->name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    larder_close(a.db);
    pid_t pid = proc_fork(carry_expirer, c);
    cr_assert(UNTIL(c->is_attached, DEADLINE_MS));
    cr_assert_eq(unlink(c->name), 0);
    cr_assert(UNTIL(rmdir(dir) == 0, 5000 * SLOW_FACTOR), "it removes the lock file, and nothing is left");
    c->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    munmap(c, sizeof *c);
}
