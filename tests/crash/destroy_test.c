/* tests/crash/destroy_test.c - the segment is destroyed while other processes are attached and at
 * work.
 *
 * Goal     larder_destroy() ends no process. A process inside a call finishes it. From then on
 *          every call of larder.h that needs the segment returns LARDER_E_DESTROYED and says so. No
 *          signal, no hang. larder_close() works, and the memory goes with the last close. A new
 *          segment of the same name has nothing in common with the old one.
 * Method   A thread stands before store k of a write (crash/park.h) while another process destroys,
 *          for many k. Other processes write, read pages of many items, and run the expirer while
 *          their segment is destroyed again and again.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "tests/crash/park.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(destroy, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (8u << 20)
#define KEYS 32u
#define DEADLINE_MS 20000

struct fixture {
    char name[TESTSEG_NAME_MAX];
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
    _Atomic uint32_t *ready; /* shared */
};

static void begin(struct fixture *f) {
    memset(f, 0, sizeof *f);
    testseg_name(f->name);
    f->h = history_new(KEYS, rng_test_seed("destroy"), &f->history_fd);
    f->h->fill_max = 2000;
    f->ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)f->ready != MAP_FAILED);
}

static void make(struct fixture *f) {
    for (uint32_t k = 0; k < KEYS; k++) {
        atomic_store(&f->h->key[k].begun, 0);
        atomic_store(&f->h->key[k].acked, 0);
    }
    f->db = testseg_open_named(f->name, SEGMENT_BYTES, 4);
    cr_assert_eq(history_table_create(f->db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_attach(&f->c, f->h, f->db), LARDER_OK);
    for (uint32_t i = 0; i < 3 * KEYS; i++)
        cr_assert_eq(history_write(&f->c, i % KEYS), LARDER_OK, "%s", larder_error());
}

static void end(struct fixture *f) {
    testseg_destroy(f->name);
    history_free(f->h);
    close(f->history_fd);
    munmap(f->ready, 4096);
}

/* ---- Every call ------------------------------------------------------------------------------ */

#define MUST_BE_DESTROYED(call)                                                                                        \
    do {                                                                                                               \
        int result_ = (call);                                                                                          \
        if (result_ != LARDER_E_DESTROYED || !strstr(larder_error(), "destroyed"))                                     \
            fprintf(stderr, #call ": %s\n", larder_result_name(result_));                                              \
        PROC_CHECK(result_ == LARDER_E_DESTROYED && strstr(larder_error(), "destroyed"));                              \
    } while (0)

static void writes_say_destroyed(struct history_client *c) {
    const struct larder_table_def table = {.name = "another", .partition = {"PK", LARDER_S}};
    const struct larder_index_def index = {.name = "more", .partition = {"G1S", LARDER_S}};
    const struct larder_key key = {larder_str("P0"), larder_str("SK#000")};
    const struct larder_item *item;
    uint64_t removed;
    larder_builder_reset(c->builder);
    larder_builder_add_s(c->builder, "PK", "P0");
    larder_builder_add_s(c->builder, "SK", "SK#000");
    /* private: goes on working */
    PROC_CHECK(larder_builder_finish(c->builder, &item) == LARDER_OK);
    MUST_BE_DESTROYED(larder_put(c->table, item, NULL));
    MUST_BE_DESTROYED(larder_put(c->table, item, c->page));
    MUST_BE_DESTROYED(larder_delete(c->table, &key, NULL));
    MUST_BE_DESTROYED(larder_table_create(c->db, &table));
    MUST_BE_DESTROYED(larder_table_drop(c->db, HISTORY_TABLE));
    MUST_BE_DESTROYED(larder_index_add(c->table, &index));
    MUST_BE_DESTROYED(larder_ttl_set(c->table, "other"));
    MUST_BE_DESTROYED(larder_removal_set(c->table, LARDER_REMOVAL_RETAIN));
    MUST_BE_DESTROYED(larder_expire(c->db, 0, &removed));
    MUST_BE_DESTROYED(larder_expirer_start(c->db));
}

static void reads_say_destroyed(struct history_client *c) {
    const struct larder_key key = {larder_str("P0"), larder_str("SK#000")};
    const struct larder_query_spec by_table = {.partition = larder_str("P0")},
                                   by_index = {.index = "G1x", .partition = larder_str("A")};
    struct larder_table *t;
    const struct larder_table_def *def;
    const char *names[4];
    uint32_t count;
    MUST_BE_DESTROYED(larder_get(c->table, &key, c->page));
    PROC_CHECK(larder_page_count(c->page) == 0);
    MUST_BE_DESTROYED(larder_get_many(c->table, &key, 1, c->page));
    MUST_BE_DESTROYED(larder_query(c->table, &by_table, c->page));
    MUST_BE_DESTROYED(larder_query(c->table, &by_index, c->page));
    MUST_BE_DESTROYED(larder_scan(c->table, &(struct larder_scan_spec){0}, c->page));
    MUST_BE_DESTROYED(larder_table_open(c->db, HISTORY_TABLE, &t));
    MUST_BE_DESTROYED(larder_table_describe(c->table, &def));
    MUST_BE_DESTROYED(larder_table_list(c->db, names, 4, &count));
}

static void looks_say_destroyed(struct history_client *c) {
    struct larder_segment_stats segment;
    struct larder_class_stats classes[4];
    struct larder_table_stats table;
    struct larder_slot_stats slots[4];
    struct larder_check_report report;
    uint32_t count;
    MUST_BE_DESTROYED(larder_segment_stats(c->db, &segment));
    MUST_BE_DESTROYED(larder_class_stats(c->db, classes, 4, &count));
    MUST_BE_DESTROYED(larder_table_stats(c->table, &table));
    MUST_BE_DESTROYED(larder_slot_stats(c->db, slots, 4, &count));
    MUST_BE_DESTROYED(larder_check(c->db, NULL, &report));
}

static void every_call_says_destroyed(struct history_client *c) {
    writes_say_destroyed(c);
    reads_say_destroyed(c);
    looks_say_destroyed(c);
    larder_expirer_stop(c->db);
}

static int read_only_says_destroyed(void *arg) {
    struct fixture *f = arg;
    struct history_client c;
    struct larder *db;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = f->name, .flags = LARDER_READ_ONLY}, &db) == LARDER_OK);
    PROC_CHECK(history_attach(&c, f->h, db) == LARDER_OK);
    atomic_fetch_add(f->ready, 1);
    PROC_CHECK(UNTIL(atomic_load(&f->h->is_over), DEADLINE_MS));
    reads_say_destroyed(&c);
    looks_say_destroyed(&c);
    larder_close(db);
    return 0;
}

Test(destroy, every_call_of_those_attached_says_so) {
    struct fixture f;
    begin(&f);
    make(&f);
    pid_t reader = proc_fork(read_only_says_destroyed, &f);
    cr_assert(UNTIL(atomic_load(f.ready) == 1, DEADLINE_MS));
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    cr_assert_eq(larder_destroy(f.name, 0), LARDER_OK, "%s", larder_error());
    atomic_store(&f.h->is_over, 1);
    every_call_says_destroyed(&f.c);
    larder_close(f.db);
    struct proc_result r = proc_wait(reader, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "the reader: %s", proc_text(r));
    end(&f);
}

/* ---- In mid-write ---------------------------------------------------------------------------- */

static int write_key_4(void *arg) {
    return history_write(arg, 4);
}

static int destroy_it(void *arg) {
    const struct fixture *f = arg;
    PROC_CHECK(larder_destroy(f->name, 0) == LARDER_OK);
    return 0;
}

static uint64_t uuid_of(struct larder *db) {
    struct larder_segment_stats stats;
    uint64_t first = 0;
    PROC_CHECK(larder_segment_stats(db, &stats) == LARDER_OK);
    memcpy(&first, stats.uuid, sizeof first);
    return first;
}

/* 0: the write has no such store. */
static int destroy_at(struct fixture *f, uint64_t k) {
    make(f);
    struct larder *old = f->db, *other = NULL;
    struct history_client old_c = f->c, new_c;
    uint64_t old_uuid = uuid_of(old);
    cr_assert_eq(larder_open(&(struct larder_options){.segment = f->name}, &other), LARDER_OK);
    int is_parked = park_begin(k, write_key_4, &old_c);
    struct proc_result r = proc_run(destroy_it, f, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "store %lu: %s", (unsigned long)k, proc_text(r));
    /* The name is free at once, though the old segment is still in use. */
    f->db = testseg_open_named(f->name, SEGMENT_BYTES, 4);
    cr_assert_eq(history_table_create(f->db), LARDER_OK, "%s", larder_error());
    cr_assert_neq(uuid_of(f->db), old_uuid);
    int written = park_end();
    cr_assert_eq(written, LARDER_OK, "store %lu: the write under way: %s: %s", (unsigned long)k,
                 larder_result_name(written), larder_error());
    every_call_says_destroyed(&old_c);
    larder_close(old);
    larder_close(other);
    /* Nothing of it came into the new one. */
    struct larder_check_report report;
    for (uint32_t i = 0; i < KEYS; i++) {
        atomic_store(&f->h->key[i].begun, 0);
        atomic_store(&f->h->key[i].acked, 0);
    }
    cr_assert_eq(history_attach(&new_c, f->h, f->db), LARDER_OK);
    const char *what = history_look(&new_c);
    cr_assert_null(what, "store %lu: %s", (unsigned long)k, what);
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", larder_error());
    larder_close(f->db);
    testseg_destroy(f->name);
    return is_parked;
}

Test(destroy, while_a_thread_is_in_mid_write) {
    struct fixture f;
    uint64_t tried = 0, stride = getenv("LARDER_TEST_LONG") ? 1 : 3 * SLOW_FACTOR;
    begin(&f);
    for (uint64_t k = 1; destroy_at(&f, k); k += stride)
        tried++;
    cr_assert(tried > 5, "%lu", (unsigned long)tried);
    fprintf(stderr, "destroyed at %lu stores\n", (unsigned long)tried);
    end(&f);
}

/* ---- Under everything at once ---------------------------------------------------------------- */

struct worker {
    struct fixture *f;
    int kind; /* 0 writes, 1 reads pages, 2 expires, 3 checks, 4 changes definitions */
};

/* The result of one more piece of work. A text other than NULL: what was read is wrong, though
 * nothing was destroyed. */
static int work_once(struct worker *w, struct history_client *c, uint32_t i) {
    const struct larder_table_def def = {.name = "another", .partition = {"PK", LARDER_S}};
    struct larder_scan_spec all = {.bytes_max = UINT32_MAX};
    struct larder_query_spec one = {
        .index = "G1x", .partition = larder_str(i % 2 ? "A" : "B"), .bytes_max = UINT32_MAX};
    struct larder_check_report report;
    int r;
    switch (w->kind) {
    case 0:
        return history_write(c, i % KEYS);
    case 1:
        r = i % 3 == 0 ? larder_scan(c->table, &all, c->page) : larder_query(c->table, &one, c->page);
        PROC_CHECK(r >= 0 || larder_page_count(c->page) == 0);
        return r;
    case 2:
        atomic_fetch_add(&c->h->now_s, i % 64 == 0);
        r = larder_expire(c->db, 0, NULL);
        return r == LARDER_E_BUSY ? LARDER_OK : r;
    case 3:
        return larder_check(c->db, NULL, &report);
    default:
        r = larder_table_create(c->db, &def);
        return r ? r : larder_table_drop(c->db, "another");
    }
}

static int work_until_destroyed(void *arg) {
    struct worker *w = arg;
    struct history_client c;
    struct larder *db;
    int r = LARDER_OK;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = w->f->name, .busy_timeout_ms = DEADLINE_MS}, &db) ==
               LARDER_OK);
    PROC_CHECK(history_attach(&c, w->f->h, db) == LARDER_OK);
    PROC_CHECK(w->kind != 2 || larder_expirer_start(db) == LARDER_OK);
    for (uint32_t i = 0; r >= 0; i++) {
        r = work_once(w, &c, i);
        if (i == 3)
            atomic_fetch_add(w->f->ready, 1);
    }
    if (r != LARDER_E_DESTROYED)
        fprintf(stderr, "worker of kind %d: %s: %s\n", w->kind, larder_result_name(r), larder_error());
    PROC_CHECK(r == LARDER_E_DESTROYED);
    every_call_says_destroyed(&c);
    larder_close(db);
    return 0;
}

Test(destroy, while_others_write_read_expire_check_and_change_definitions) {
    enum { KINDS = 5 };
    unsigned rounds = getenv("LARDER_TEST_LONG") ? 1000 : 40 / SLOW_FACTOR;
    struct fixture f;
    begin(&f);
    for (unsigned round = 0; round < rounds; round++) {
        struct worker w[KINDS];
        pid_t pid[KINDS];
        make(&f);
        atomic_store(f.ready, 0);
        for (int i = 0; i < KINDS; i++) {
            w[i] = (struct worker){&f, i};
            pid[i] = proc_fork(work_until_destroyed, &w[i]);
        }
        cr_assert(UNTIL(atomic_load(f.ready) == KINDS, DEADLINE_MS));
        cr_assert_eq(larder_destroy(f.name, 0), LARDER_OK, "%s", larder_error());
        for (int i = 0; i < KINDS; i++) {
            struct proc_result r = proc_wait(pid[i], DEADLINE_MS);
            cr_assert(proc_is_exit(r, 0), "round %u, worker of kind %d: %s", round, i, proc_text(r));
        }
        larder_close(f.db);
    }
    end(&f);
}
