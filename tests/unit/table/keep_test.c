/* tests/unit/table/keep_test.c - finished work leaves nothing in the process.
 *
 * Goal     Attachments opened and closed, definitions changed, pages and builders made and freed,
 *          threads and forked children that come and go: however often, the process gets no larger.
 * Method   Resident memory, addresses and mappings, as the kernel counts them, after a warm-up and
 *          again after many more cycles. With private memory in jemalloc's arenas, and on malloc.
 *          The sanitizers keep freed memory for a while. So under them the cycles run and are
 *          watched, but nothing is measured.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/support/footprint.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(keep, .timeout = 100 * SLOW_FACTOR);

#define WARM_UP (SLOW_FACTOR > 1 ? 10u : 1000u)
#define CYCLES (SLOW_FACTOR > 1 ? 100u : 10000u)

extern _Atomic int priv_test_list_only; /* core/base/priv.c */

struct host {
    char name[TESTSEG_NAME_MAX];
    struct larder *db;
    struct larder_table *t;
};

typedef int cycle(struct host *h, uint32_t i);

/* 0: it did not grow. */
static int grows(struct host *h, cycle *run) {
    for (uint32_t i = 0; i < WARM_UP; i++)
        if (run(h, i))
            return 1;
    struct footprint before = footprint_now();
    for (uint32_t i = 0; i < CYCLES; i++)
        if (run(h, i))
            return 2;
    return SLOW_FACTOR == 1 && footprint_grew(&before) ? 3 : 0;
}

static void host_begin(struct host *h) {
    const struct larder_index_def index = {.name = "index", .partition = {"GSI1PK", LARDER_S}};
    const struct larder_table_def def = {
        .name = "kept", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
    testseg_name(h->name);
    h->db = testseg_open_named(h->name, 16u << 20, 0);
    cr_assert_eq(larder_table_create(h->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(h->db, "kept", &h->t), LARDER_OK);
}

static void must_not_grow(cycle *run) {
    struct host h;
    for (int list_only = 0; list_only < 2; list_only++) {
        priv_test_list_only = list_only;
        host_begin(&h);
        int r = grows(&h, run);
        cr_assert_eq(r, 0, "%s: %d, %s", list_only ? "on malloc" : "in an arena", r, larder_error());
        larder_close(h.db);
        testseg_destroy(h.name);
    }
}

/* ---- Cycles: 0, or what did not work --------------------------------------------------------- */

static int put_and_get(struct larder *db, struct larder_table *t) {
    const struct larder_key key = {.partition = larder_str("key")};
    struct larder_builder *b;
    struct larder_page *page;
    const struct larder_item *item;
    if (larder_builder_new(db, &b) != LARDER_OK || larder_page_new(db, &page) != LARDER_OK ||
        larder_builder_add(b, "PK", &key.partition) != LARDER_OK || larder_builder_add_int(b, "n", 17) != LARDER_OK ||
        larder_builder_finish(b, &item) != LARDER_OK || larder_put(t, item, page) < 0 ||
        larder_get(t, &key, page) != LARDER_OK)
        return 10;
    larder_page_free(page);
    larder_builder_free(b);
    return 0;
}

static int attach(const struct host *h, uint32_t flags, int is_used) {
    const struct larder_options options = {.segment = h->name, .flags = flags};
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    struct larder_builder *b;
    int r = 0;
    if (larder_open(&options, &db) != LARDER_OK)
        return 11;
    if (is_used) /* page and builder stay for larder_close() */
        r = larder_table_open(db, "kept", &t) || larder_page_new(db, &page) || larder_builder_new(db, &b) ||
            (!(flags & LARDER_READ_ONLY) && put_and_get(db, t));
    larder_close(db);
    return r;
}

static int cycle_attach(struct host *h, uint32_t i) {
    return attach(h, i % 2 ? LARDER_READ_ONLY : 0, 0);
}

static int cycle_attach_and_use(struct host *h, uint32_t i) {
    return attach(h, i % 2 ? LARDER_READ_ONLY : 0, 1);
}

static int cycle_attach_several(struct host *h, uint32_t i) {
    const struct larder_options options = {.segment = h->name};
    struct larder *db[3];
    for (int k = 0; k < 3; k++)
        if (larder_open(&options, &db[k]) != LARDER_OK)
            return 12;
    for (uint32_t k = 0; k < 3; k++) /* in another order each time */
        larder_close(db[(k + i) % 3]);
    return 0;
}

static int cycle_change(struct host *h, uint32_t i) {
    const struct larder_table_def *def;
    if (larder_ttl_set(h->t, i % 2 ? "odd" : NULL) != LARDER_OK ||
        larder_removal_set(h->t, i % 2 ? LARDER_REMOVAL_RETAIN : LARDER_REMOVAL_DELETE) != LARDER_OK ||
        larder_table_describe(h->t, &def) != LARDER_OK)
        return 13;
    return put_and_get(h->db, h->t);
}

static int cycle_page_and_builder(struct host *h, uint32_t i) {
    (void)i;
    return put_and_get(h->db, h->t);
}

static int cycle_expirer(struct host *h, uint32_t i) {
    (void)i;
    if (larder_expirer_start(h->db) != LARDER_OK)
        return 14;
    larder_expirer_stop(h->db);
    return 0;
}

static void *thread_main(void *arg) {
    struct host *h = arg;
    const struct larder_key wrong = {.partition = larder_num("1")};
    struct larder_page *page;
    if (larder_page_new(h->db, &page) != LARDER_OK || larder_get(h->t, &wrong, page) != LARDER_E_INVAL ||
        !*larder_error())
        return h;
    larder_page_free(page);
    return put_and_get(h->db, h->t) ? h : NULL;
}

static int cycle_thread(struct host *h, uint32_t i) {
    pthread_t thread;
    void *failed = NULL;
    (void)i;
    if (pthread_create(&thread, NULL, thread_main, h) != 0 || pthread_join(thread, &failed) != 0)
        return 15;
    return failed != NULL;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

Test(keep, attachments) {
    must_not_grow(cycle_attach);
}

Test(keep, attachments_that_were_used) {
    must_not_grow(cycle_attach_and_use);
}

Test(keep, several_attachments) {
    must_not_grow(cycle_attach_several);
}

Test(keep, changes_of_definitions) {
    must_not_grow(cycle_change);
}

Test(keep, pages_and_builders) {
    must_not_grow(cycle_page_and_builder);
}

Test(keep, expirers) {
    must_not_grow(cycle_expirer);
}

Test(keep, threads) {
    must_not_grow(cycle_thread);
}

/* The child goes on with its parent's handle, and with attachments of its own. */
static int child_main(void *arg) {
    struct host *h = arg;
    int r = grows(h, cycle_attach_and_use);
    if (!r)
        r = grows(h, cycle_change);
    return r ? r : grows(h, cycle_page_and_builder);
}

Test(keep, forked_children) {
    struct host h;
    for (int list_only = 0; list_only < 2; list_only++) {
        priv_test_list_only = list_only;
        host_begin(&h);
        cr_assert(proc_is_exit(proc_run(child_main, &h, 60000), 0));
        larder_close(h.db);
        testseg_destroy(h.name);
    }
}

static int child_of_a_cycle(void *arg) {
    struct host *h = arg;
    return put_and_get(h->db, h->t);
}

static int cycle_fork(struct host *h, uint32_t i) {
    if (i % 50)
        return 0;
    return proc_is_exit(proc_run(child_of_a_cycle, h, 20000), 0) ? put_and_get(h->db, h->t) : 16;
}

Test(keep, forks) {
    must_not_grow(cycle_fork);
}
