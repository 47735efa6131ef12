/* tests/crash/alloc_test.c - for every operation and every block that it needs: there is no room
 * for that block.
 *
 * Goal     Promise 6: if one of the blocks that an operation needs cannot be had, the operation
 *          fails with LARDER_E_FULL. Nothing that can be read has changed, and no block is lost.
 *          Tried again with room, it does what it would have done.
 * Method   heap_test_takes_left = k lets k blocks be taken and none after. For k = 0, 1, .. until
 *          the operation succeeds: on a copy of a prepared segment, the text of everything
 *          (world_dump) is the same after the failure as before, and larder_check() is clean. Then,
 *          without the limit, the operation succeeds, and the text is the one that it always gives.
 */
#include "core/memory/heap.h"
#include "index/leaf.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(alloc, .timeout = 100 * SLOW_FACTOR);

extern _Atomic int64_t heap_test_takes_left; /* core/memory/heap.c; -1: no limit */

#define TAKES_MAX 200
#define RETRIES 3000 /* of a client that does not give up */

struct scenario {
    const char *name;
    void (*prepare)(struct larder *db);
    int (*act)(struct larder *db);
};

static char *dump_of(int memfd) {
    struct larder *db = world_open(memfd);
    char *text = world_dump(db);
    larder_close(db);
    return text;
}

static void must_be_clean(struct larder *db, const char *name, int k) {
    struct larder_check_report report;
    cr_assert(larder_check(db, NULL, &report) == LARDER_OK, "%s, block %d: %s", name, k, larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0, "%s, block %d", name, k);
}

static void must_show(struct larder *db, const char *expected, const char *name, int k, const char *when) {
    char *text = world_dump(db);
    cr_assert(strcmp(text, expected) == 0, "%s, block %d: %s is not what is seen", name, k, when);
    free(text);
}

/* 1 as long as there is a k-th block to refuse. */
static int refuse_block(const struct scenario *s, int base, int k, const char *before, const char *after) {
    int memfd = world_copy(base);
    struct larder *db = world_open(memfd), *other = world_open(memfd);
    atomic_store(&heap_test_takes_left, k);
    int r = s->act(db);
    atomic_store(&heap_test_takes_left, -1);
    cr_assert(r == LARDER_E_FULL || r == LARDER_OK, "%s, block %d: %s: %s", s->name, k, larder_result_name(r),
              larder_error());
    must_show(other, r == LARDER_OK ? after : before, s->name, k, r == LARDER_OK ? "what was done" : "what was there");
    must_be_clean(other, s->name, k);
    if (r == LARDER_E_FULL) {
        cr_assert(s->act(db) == LARDER_OK, "%s, block %d: again: %s", s->name, k, larder_error());
        must_show(other, after, s->name, k, "what was done at last");
        must_be_clean(db, s->name, k);
    }
    larder_close(db);
    larder_close(other);
    close(memfd);
    return r == LARDER_E_FULL;
}

static int prepare(const struct scenario *s) {
    int memfd = world_create(2);
    struct larder *db = world_open(memfd);
    leaf_capacity = 4;
    s->prepare(db);
    larder_close(db);
    return memfd;
}

static void refuse_each(const struct scenario *s, int least) {
    int base = prepare(s), changed = world_copy(base), k = 0;
    struct larder *db = world_open(changed);
    char *before = dump_of(base);
    cr_assert(s->act(db) == LARDER_OK, "%s: %s", s->name, larder_error());
    char *after = world_dump(db);
    larder_close(db);
    while (k < TAKES_MAX && refuse_block(s, base, k, before, after))
        k++;
    cr_assert(k >= least && k < TAKES_MAX, "%s took %d blocks", s->name, k);
    fprintf(stderr, "%-20s %3d blocks, refused each\n", s->name, k);
    free(before);
    free(after);
    close(base);
    close(changed);
}

/* ---- The operations -------------------------------------------------------------------------- */

static void nothing(struct larder *db) {
    (void)db;
}
static void some_items(struct larder *db) {
    for (int n = 0; n < 20; n++)
        world_put(db, n, 1111, 50, n % 5 == 0 ? world_now_s + 100 : 0);
}
static void many_items(struct larder *db) {
    for (int n = 0; n < 120; n++)
        world_put(db, n, n % 3 ? 1111 : 2222, 20, 0);
}

static int put_first(struct larder *db) {
    return world_try_put(db, 5, 1111, 50, world_now_s + 50);
}
static int put_new(struct larder *db) {
    return world_try_put(db, 50, 1111, 50, world_now_s + 50);
}
static int put_large(struct larder *db) {
    return world_try_put(db, 51, 1111, 4096, 0);
}
static int overwrite_same(struct larder *db) {
    return world_try_put(db, 7, 1111, 50, 0);
}
static int change_all_keys(struct larder *db) {
    return world_try_put(db, 7, 2222, 50, world_now_s + 9);
}
static int leave_all_indexes(struct larder *db) {
    return world_try_put(db, 7, 0, 50, 0);
}

/* Buckets grow and leaves split on the way. Each put is an operation of its own, so only the one
 * that fails is undone. */
static int put_until_split(struct larder *db) {
    for (int n = 120; n < 121; n++) {
        int r = world_try_put(db, n, 1111, 20, 0);
        if (r)
            return r;
    }
    return LARDER_OK;
}

static int create_table(struct larder *db) {
    const struct larder_index_def index = {.name = "Index", .partition = {"A", LARDER_S}};
    const struct larder_table_def def = {
        .name = "Another", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
    return larder_table_create(db, &def);
}
static int set_ttl(struct larder *db) {
    struct larder_table *t;
    int r = larder_table_open(db, WORLD_TABLE, &t);
    return r ? r : larder_ttl_set(t, "keys");
}
static int add_index(struct larder *db) {
    const struct larder_index_def index = {.name = "G3x", .partition = {"L1S", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_table *t;
    int r = larder_table_open(db, WORLD_TABLE, &t);
    return r ? r : larder_index_add(t, &index);
}

Test(alloc, put_into_an_empty_table) {
    refuse_each(&(struct scenario){"put_first", nothing, put_first}, 6);
}
Test(alloc, put_a_new_item) {
    refuse_each(&(struct scenario){"put_new", some_items, put_new}, 5);
}
Test(alloc, put_a_large_item) {
    refuse_each(&(struct scenario){"put_large", some_items, put_large}, 5);
}
Test(alloc, overwrite) {
    refuse_each(&(struct scenario){"overwrite_same", some_items, overwrite_same}, 1);
}
Test(alloc, change_index_keys) {
    refuse_each(&(struct scenario){"change_all_keys", some_items, change_all_keys}, 4);
}
Test(alloc, leave_indexes) {
    refuse_each(&(struct scenario){"leave_all_indexes", some_items, leave_all_indexes}, 1);
}
Test(alloc, split_a_leaf) {
    refuse_each(&(struct scenario){"put_until_split", many_items, put_until_split}, 5);
}
Test(alloc, create_a_table) {
    refuse_each(&(struct scenario){"create_table", some_items, create_table}, 3);
}
Test(alloc, set_a_ttl_attribute) {
    refuse_each(&(struct scenario){"set_ttl", some_items, set_ttl}, 1);
}
Test(alloc, add_an_index) {
    refuse_each(&(struct scenario){"add_index", some_items, add_index}, 20);
}

/* ---- What needs no room ---------------------------------------------------------------------- */

Test(alloc, deletes_need_no_block) {
    int memfd = world_create(2);
    struct larder *db = world_open(memfd);
    struct larder_segment_stats stats;
    leaf_capacity = 4;
    many_items(db);
    atomic_store(&heap_test_takes_left, 0);
    for (int n = 0; n < 120; n++)
        cr_assert(world_delete(db, n) == LARDER_OK, "item %d: %s", n, larder_error());
    cr_assert_eq(world_try_put(db, 1, 0, 10, 0), LARDER_E_FULL);
    must_be_clean(db, "delete", 0);
    atomic_store(&heap_test_takes_left, -1);
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    cr_assert_eq(world_try_put(db, 1, 0, 10, 0), LARDER_OK);
    larder_close(db);
    close(memfd);
}

/* A client that repeats a refused put must not make the segment fuller. */
Test(alloc, trying_again_takes_nothing) {
    for (int k = 0; k < 8; k++) {
        const struct scenario s = {"put_new", some_items, put_new};
        int memfd = prepare(&s);
        struct larder *db = world_open(memfd);
        struct larder_segment_stats before, after;
        atomic_store(&heap_test_takes_left, k);
        int r = put_new(db);
        cr_assert_eq(larder_segment_stats(db, &before), LARDER_OK);
        for (int i = 0; r == LARDER_E_FULL && i < RETRIES; i++) {
            atomic_store(&heap_test_takes_left, k);
            r = put_new(db);
        }
        atomic_store(&heap_test_takes_left, -1);
        cr_assert_eq(larder_segment_stats(db, &after), LARDER_OK);
        /* A leaf with a dead entry may be of another size class than without. Nothing else may
         * change. */
        cr_assert(r == LARDER_OK || after.used_bytes <= before.used_bytes + 1024,
                  "%d failures with %d blocks took %ld bytes", RETRIES, k,
                  (long)(after.used_bytes - before.used_bytes));
        must_be_clean(db, "put_new", k);
        larder_close(db);
        close(memfd);
    }
}
