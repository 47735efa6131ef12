/* tests/crash/order_test.c - orders of two steps that only a race, a timer or a second death shows.
 *
 * Goal     The orders of core/base/swap.h that a death in the middle of a plain put or delete does
 *          not test.
 * Method   Real processes, stopped or killed at the k-th store, for every k. A reader is stopped,
 *          too, in the middle of a copy: a page of the item is taken out of its own mapping
 *          (mprotect), so it stops at exactly that word, in its handler of SIGSEGV, until it is
 *          told to go on. tests/crash/swap_test.sh runs this with each order swapped and expects a
 *          failure.
 */
#include "core/base/crash.h"
#include "core/table/db.h"
#include "index/skl.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(order, .timeout = 60 * SLOW_FACTOR);

#define DEADLINE_MS 20000
#define SEGMENT_BYTES (4u << 20)
#define STRIPES 64
#define LARGE 20000 /* bytes of payload: a run of two spans, six pages */
#define PAGE_BYTES 4096
#define BUSY_MS 3000 /* the owner of a lock is dead: it is had within milliseconds, or never */

static int64_t now_s = 1000;

static int64_t clock_of_test(void *arg) {
    (void)arg;
    return now_s;
}

/* ---- A small segment ------------------------------------------------------------------------- */

static struct larder *attach(int memfd, uint32_t busy_ms) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd, .busy_timeout_ms = busy_ms};
    struct larder *db;
    if (larder_open(&o, &db) != LARDER_OK) {
        fprintf(stderr, "attach: %s\n", larder_error());
        abort();
    }
    larder_set_clock(db, clock_of_test, NULL);
    return db;
}

static struct larder_table *table_of(struct larder *db) {
    struct larder_table *t;
    if (larder_table_open(db, "Order", &t) != LARDER_OK)
        abort();
    return t;
}

static int put(struct larder *db, const char *key, char fill, size_t bytes, int64_t expires_s) {
    static char payload[LARGE];
    struct larder_builder *b;
    const struct larder_item *item;
    memset(payload, fill, bytes);
    if (larder_builder_new(db, &b))
        abort();
    larder_builder_add_s(b, "PK", key);
    larder_builder_add_s(b, "G", "all");
    if (expires_s)
        larder_builder_add_int(b, "exp", expires_s);
    larder_builder_add_sn(b, "fill", payload, bytes);
    if (larder_builder_finish(b, &item))
        abort();
    int r = larder_put(table_of(db), item, NULL);
    larder_builder_free(b);
    return r;
}

/* With the table and nothing in it. */
static int create_with(uint32_t stripe_count) {
    struct larder_options o = {
        .flags = LARDER_MEMFD | LARDER_CREATE, .memfd = -1, .size_bytes = SEGMENT_BYTES, .stripe_count = stripe_count};
    struct larder_index_def index = {.name = "ByG", .partition = {"G", LARDER_S}, .sort = {"PK", LARDER_S}};
    struct larder_table_def def = {
        .name = "Order", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1, .ttl_attribute = "exp"};
    struct larder *db;
    cr_assert(larder_open(&o, &db) == LARDER_OK && larder_table_create(db, &def) == LARDER_OK, "%s", larder_error());
    int memfd = dup(larder_memfd(db));
    larder_close(db);
    return memfd;
}

static int create(void) {
    return create_with(STRIPES);
}

static void must_be_clean(struct larder *db, const char *what, uint64_t k) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    cr_assert(r == LARDER_OK, "%s, store %lu: check: %s: %s", what, (unsigned long)k, larder_result_name(r),
              larder_error());
}

static void must_put(struct larder *db, const char *key, const char *what, uint64_t k) {
    int r = put(db, key, 'p', 10, 0);
    cr_assert(r == LARDER_OK, "%s, store %lu: put %s afterwards: %s: %s", what, (unsigned long)k, key,
              larder_result_name(r), larder_error());
}

/* ---- A child that dies or stops at its k-th store -------------------------------------------- */

struct act {
    int (*run)(struct larder *db);
    int memfd;
    uint64_t k;
    int is_stopped; /* by SIGSTOP; else SIGKILL */
};

static int act_in_child(void *arg) {
    struct act *act = arg;
    struct larder *db = attach(act->memfd, BUSY_MS);
    if (act->is_stopped)
        shm_crash_arm_stop(act->k);
    else
        shm_crash_arm(act->k);
    int r = act->run(db);
    shm_crash_arm(0);
    larder_close(db);
    return r == LARDER_OK ? 0 : 1;
}

/* 1 if it died there, 0 if the operation has fewer stores. */
static int die_at(int (*run)(struct larder *db), int memfd, uint64_t k, const char *what) {
    struct act act = {run, memfd, k, 0};
    struct proc_result r = proc_run(act_in_child, &act, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGKILL) || proc_is_exit(r, 0), "%s, store %lu: %s", what, (unsigned long)k,
              proc_text(r));
    return proc_is_signal(r, SIGKILL);
}

/* 1 once the child has stopped, 0 once it has ended (and is reaped). */
static int is_stopped(pid_t pid) {
    int status = 0;
    cr_assert(UNTIL(waitpid(pid, &status, WUNTRACED | WNOHANG) == pid, DEADLINE_MS), "neither stopped nor ended");
    cr_assert(WIFSTOPPED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0), "status %x", (unsigned)status);
    return WIFSTOPPED(status);
}

/* ---- Memory is given back after the sequence has moved --------------------------------------- */

struct reader {
    int memfd, ready_fd, go_fd;
};

static unsigned char *hidden; /* the page that the reader must not see yet */
static int hidden_ready_fd, hidden_go_fd;

/* The copy has come to the page: tells the test, waits, and goes on. */
static void at_hidden_page(int signal, siginfo_t *info, void *context) {
    (void)context;
    unsigned char *at = info->si_addr;
    char byte = 'r';
    if (!hidden || at < hidden || at >= hidden + PAGE_BYTES)
        _exit(100 + signal);
    mprotect(hidden, PAGE_BYTES, PROT_READ | PROT_WRITE);
    hidden = NULL;
    if (write(hidden_ready_fd, &byte, 1) != 1 || read(hidden_go_fd, &byte, 1) != 1)
        _exit(99);
}

/* The payload of the one large item, wherever it is. */
static unsigned char *find_payload(const struct larder *db, char fill) {
    char wanted[256];
    memset(wanted, fill, sizeof wanted);
    unsigned char *base = (unsigned char *)db->seg.shm;
    uint64_t from = db->seg.data_off, to = SHM_LOAD(&db->seg.shm->claimed_bytes);
    return memmem(base + from, to - from, wanted, sizeof wanted);
}

static int read_in_child(void *arg) {
    struct reader *r = arg;
    struct larder *db = attach(r->memfd, BUSY_MS);
    struct larder_page *page;
    struct larder_value v;
    struct larder_key key = {.partition = larder_str("victim")};
    struct sigaction action = {.sa_sigaction = at_hidden_page, .sa_flags = SA_SIGINFO};
    unsigned char *payload = find_payload(db, 'a');
    PROC_CHECK(payload && larder_page_new(db, &page) == LARDER_OK);
    struct larder_table *t = table_of(db);
    hidden_ready_fd = r->ready_fd;
    hidden_go_fd = r->go_fd;
    hidden = (unsigned char *)(((uintptr_t)payload + 2 * PAGE_BYTES) & ~(uintptr_t)(PAGE_BYTES - 1));
    PROC_CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && mprotect(hidden, PAGE_BYTES, PROT_NONE) == 0);
    PROC_CHECK(larder_get(t, &key, page) == LARDER_OK);
    PROC_CHECK(!hidden); /* else it was never stopped */
    PROC_CHECK(larder_item_get(larder_page_item(page, 0), "fill", &v) == LARDER_OK);
    const char *fill = v.data;
    for (size_t i = 0; i < v.bytes; i++)
        PROC_CHECK(fill[i] == (v.bytes == LARGE ? 'a' : 'n'));
    larder_page_free(page);
    larder_close(db);
    return 0;
}

static int replace_victim(struct larder *db) {
    return put(db, "victim", 'n', 10, 0);
}

static void wait_for_byte(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    cr_assert(poll(&p, 1, DEADLINE_MS * SLOW_FACTOR * SLOW_PATIENCE) == 1 && read(fd, &byte, 1) == 1,
              "the reader did not come to the page");
}

/* The reader has copied half of the victim. A writer replaces it and stops before its k-th store.
 * Another puts an item as large. Whatever the reader then returns, it was the victim or its
 * replacement. Returns 0 if the writer did not stop. */
static int race_at(uint64_t k, unsigned *reused) {
    int ready[2], go[2], memfd = create();
    struct larder *db = attach(memfd, 20);
    cr_assert(pipe(ready) == 0 && pipe(go) == 0);
    cr_assert(put(db, "victim", 'a', LARGE, 0) == LARDER_OK, "%s", larder_error());
    unsigned char *payload = find_payload(db, 'a');
    struct reader reader = {memfd, ready[1], go[0]};
    pid_t reads = proc_fork(read_in_child, &reader);
    wait_for_byte(ready[0]);
    struct act act = {replace_victim, memfd, k, 1};
    pid_t writes = proc_fork(act_in_child, &act);
    int has_stopped = is_stopped(writes);
    /* If a lock that the stopped writer holds is in the way, nothing is reused, either. */
    int r = put(db, "other", 'b', LARGE, 0);
    cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "%s", larder_error());
    *reused += payload[PAGE_BYTES] == 'b';
    cr_assert(write(go[1], "g", 1) == 1);
    struct proc_result read = proc_wait(reads, DEADLINE_MS);
    if (has_stopped) {
        proc_resume(writes);
        struct proc_result wrote = proc_wait(writes, DEADLINE_MS);
        cr_assert(proc_is_exit(wrote, 0), "the writer: %s", proc_text(wrote));
    }
    cr_assert(proc_is_exit(read, 0), "writer stopped before store %lu: a wrong item was read (%s)", (unsigned long)k,
              proc_text(read));
    must_be_clean(db, "after the race", k);
    larder_close(db);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    close(memfd);
    return has_stopped;
}

Test(order, reader_of_reused_memory) {
    unsigned reused = 0;
    uint64_t k = 1;
    while (race_at(k, &reused))
        k++;
    fprintf(stderr, "writer stopped before each of %lu stores, memory was reused after %u\n", (unsigned long)k - 1,
            reused);
    cr_assert_gt(reused, 0, "nothing was reused: this test tests nothing");
}

/* ---- A timer stands before its item says so -------------------------------------------------- */

static int fire(struct larder *db) {
    return larder_expire(db, 0, NULL);
}

static uint64_t items_in(struct larder *db) {
    struct larder_table_stats stats;
    cr_assert(larder_table_stats(table_of(db), &stats) == LARDER_OK, "%s", larder_error());
    return stats.item_count;
}

/* A timer fires for an item whose expiry moved on, and the process that fires it dies. The item
 * must go when its time has come. */
Test(order, timer_of_an_item_that_lives_on) {
    uint64_t k = 1;
    /* Most of its stores clear a new chunk of timers. The short form does not die at each of
     * those. */
    for (int is_dead = 1; is_dead; k += k < 100 || getenv("LARDER_TEST_LONG") ? 1 : 61) {
        int memfd = create();
        struct larder *db = attach(memfd, BUSY_MS);
        now_s = 1000;
        cr_assert(put(db, "lives-on", 'x', 10, 1002) == LARDER_OK && put(db, "lives-on", 'x', 10, 1400) == LARDER_OK,
                  "%s", larder_error());
        /* the wheel is up to date: one turn is left to do */
        cr_assert(larder_expire(db, 0, NULL) == LARDER_OK);
        now_s = 1002;
        is_dead = die_at(fire, memfd, k, "timer");
        must_be_clean(db, "timer", k);
        cr_assert_eq(items_in(db), 1, "store %lu: it went before its time", (unsigned long)k);
        now_s = 1500;
        cr_assert(larder_expire(db, 0, NULL) == LARDER_OK, "%s", larder_error());
        cr_assert_eq(items_in(db), 0, "store %lu: its time has come, and no timer fires", (unsigned long)k);
        must_be_clean(db, "timer", k);
        larder_close(db);
        close(memfd);
    }
    cr_assert_gt(k, 5);
}

/* ---- Locks can be had after every death, of recoveries too ----------------------------------- */

static int recover(struct larder *db) {
    struct larder_check_report report;
    return larder_check(db, NULL, &report); /* recovers every dead slot before it looks */
}

static int delete_victim(struct larder *db) {
    struct larder_key key = {.partition = larder_str("victim")};
    return larder_delete(table_of(db), &key, NULL);
}

/* A segment with two items, and a process that was attached before any death: this one. */
static int prepared(struct larder **survivor) {
    int memfd = create();
    *survivor = attach(memfd, BUSY_MS);
    cr_assert(put(*survivor, "victim", 'a', 100, 0) == LARDER_OK &&
              put(*survivor, "neighbour", 'a', 100, 0) == LARDER_OK);
    return memfd;
}

static void must_go_on(struct larder *survivor, int memfd, const char *what, uint64_t k) {
    must_put(survivor, "victim", what, k);
    must_put(survivor, "neighbour", what, k);
    must_put(survivor, "newcomer", what, k);
    must_be_clean(survivor, what, k);
    larder_close(survivor);
    close(memfd);
}

/* 1 if the delete has a k-th store. Then the recovery of that death dies at its j-th, if j is not 0
 * and it has that many: *is_dead. */
static int die_twice(uint64_t k, uint64_t j, int *is_dead) {
    struct larder *survivor;
    int memfd = prepared(&survivor), has_died = die_at(delete_victim, memfd, k, "delete");
    *is_dead = j && die_at(recover, memfd, j, "recovery");
    must_go_on(survivor, memfd, j ? "delete and recovery" : "delete", k * 10000 + j);
    return has_died;
}

Test(order, locks_after_a_death) {
    int unused;
    uint64_t k = 1;
    while (die_twice(k, 0, &unused))
        k++;
    cr_assert_gt(k, 20);
}

/* The delete dies in its middle, and the recovery at its stores: in the short form at every
 * third. */
Test(order, locks_after_the_death_of_a_recovery) {
    uint64_t tried = 0, j_step = getenv("LARDER_TEST_LONG") ? 1 : 3;
    for (uint64_t k = 10; k <= 50; k += 10) {
        int is_dead = 1;
        for (uint64_t j = 1 + k / 10 % j_step; is_dead; j += j_step, tried++)
            cr_assert(die_twice(k, j, &is_dead), "a delete has fewer than %lu stores", (unsigned long)k);
    }
    fprintf(stderr, "%lu deaths of recoveries\n", (unsigned long)tried);
}

/* ---- A bucket array is filled before it is there --------------------------------------------- */

#define GROWTH_ITEMS 40  /* in two stripes: each outgrows its first array, of 14 slots */
#define GROWTH_BEFORE 20 /* as many are there before */

static _Atomic int *acknowledged; /* shared with the child that dies */

static void key_of(int n, char key[24]) {
    snprintf(key, 24, "item-%d", n);
}

static int put_up_to(struct larder *db, int count) {
    char key[24];
    for (int n = *acknowledged; n < count; n++) {
        key_of(n, key);
        int r = put(db, key, 'g', 10, 0);
        if (r)
            return r;
        *acknowledged = n + 1;
    }
    return LARDER_OK;
}

static int put_many(struct larder *db) {
    return put_up_to(db, GROWTH_ITEMS);
}

static void must_have(struct larder *db, int count, uint64_t k) {
    struct larder_page *page;
    char text[24];
    cr_assert(larder_page_new(db, &page) == LARDER_OK);
    for (int n = 0; n < count; n++) {
        key_of(n, text);
        struct larder_key key = {.partition = larder_str(text)};
        int r = larder_get(table_of(db), &key, page);
        cr_assert(r == LARDER_OK, "store %lu: %s of %d acknowledged ones: %s", (unsigned long)k, text, count,
                  larder_result_name(r));
    }
    larder_page_free(page);
}

Test(order, nothing_is_lost_when_an_array_grows) {
    uint64_t k = 1;
    acknowledged = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(acknowledged != MAP_FAILED);
    for (int is_dead = 1; is_dead; k += getenv("LARDER_TEST_LONG") ? 1 : 5) {
        int memfd = create_with(2);
        struct larder *db = attach(memfd, BUSY_MS);
        *acknowledged = 0;
        cr_assert(put_up_to(db, GROWTH_BEFORE) == LARDER_OK, "%s", larder_error());
        is_dead = die_at(put_many, memfd, k, "growth");
        must_have(db, *acknowledged, k); /* at once, before any process has recovered anything */
        must_put(db, "newcomer", "growth", k);
        must_have(db, *acknowledged, k);
        must_be_clean(db, "growth", k);
        larder_close(db);
        close(memfd);
    }
    munmap((void *)acknowledged, PAGE_BYTES);
    cr_assert_gt(k, 200);
}

/* ---- A node goes after the links to it ------------------------------------------------------- */

#define NODE_LEAVES 6
#define LEAF_FULL 4 /* leaf_capacity */

/* Keys of two digits: in order. */
static void entry_key(int n, char text[24]) {
    key_of(10 + n, text);
}

static void delete_entry(struct larder *db, int leaf, int entry) {
    char text[24];
    entry_key(leaf * LEAF_FULL + entry, text);
    struct larder_key key = {.partition = larder_str(text)};
    if (larder_delete(table_of(db), &key, NULL) != LARDER_OK)
        abort();
}

/* Leaves in a row, all full. */
static int put_leaves(struct larder *db) {
    char text[24];
    for (int n = 0; n < NODE_LEAVES * LEAF_FULL; n++) {
        entry_key(n, text);
        if (put(db, text, 'e', 10, 0) != LARDER_OK)
            abort();
    }
    return LARDER_OK;
}

/* Leaf 1 takes in leaf 2, whose node goes. */
static void halve_leaves(struct larder *db) {
    for (int leaf = 1; leaf <= 2; leaf++) {
        delete_entry(db, leaf, 1);
        delete_entry(db, leaf, 2);
    }
}
static int merge_leaves(struct larder *db) {
    delete_entry(db, 1, 0);
    return LARDER_OK;
}

/* Leaf 1 goes with its node: its neighbours are full. */
static void leave_one_entry(struct larder *db) {
    for (int entry = 0; entry < LEAF_FULL - 1; entry++)
        delete_entry(db, 1, entry);
}
static int empty_leaf(struct larder *db) {
    delete_entry(db, 1, LEAF_FULL - 1);
    return LARDER_OK;
}

/* B2 of index/skl.h: a link leads to a node of the list, which is a block. Returns the nodes. */
static uint32_t links_lead_to_blocks(struct larder *db, const struct skl_list *list, uint64_t k) {
    struct skl_node n = list->head;
    uint32_t nodes = 0;
    uint64_t next = list->head.off;
    while (next != 0) {
        cr_assert(skl_node_read(list, next, &n), "store %lu: level 0 leads to no node", (unsigned long)k);
        for (uint32_t level = 1; level < n.height; level++) {
            uint64_t off = SHM_LOAD(skl_tower(&n, level));
            cr_assert(off == 0 || heap_block_bytes(&db->seg, off) != 0,
                      "store %lu: a link of level %u leads to memory that was given back", (unsigned long)k, level);
        }
        cr_assert(skl_link(list, &n, 0, &next), "store %lu", (unsigned long)k);
        nodes++;
    }
    return nodes;
}

static uint32_t links_of_all(struct larder *db, uint64_t k) {
    const struct table_view *v;
    uint64_t words[HTAB_CHAIN_MAX];
    uint32_t nodes = 0;
    cr_assert(table_view_by_ordinal(db, 0, &v) == LARDER_OK, "%s", larder_error());
    for (uint32_t i = 0; i < v->partitions.stripe_count; i++) {
        struct stripe_shm *stripe = &v->partitions.stripes[i];
        for (uint32_t b = 0, total = htab_bucket_count(&v->partitions, stripe); b < total; b++) {
            int count = htab_bucket_slots(&v->partitions, stripe, b, words, HTAB_CHAIN_MAX);
            for (int n = 0; n < count; n++) {
                const struct block_shm *block = seg_at(&db->seg, WORD_OFF(words[n]), sizeof *block);
                struct skl_list list;
                if (block && skl_find(&list, &v->partitions, block->hash, block->index) && list.slot && !list.leaf_off)
                    nodes += links_lead_to_blocks(db, &list, k);
            }
        }
    }
    return nodes;
}

static void links_after_deaths(void (*prepare)(struct larder *db), int (*run)(struct larder *db)) {
    uint64_t k = 1;
    leaf_capacity = LEAF_FULL;
    for (int is_dead = 1; is_dead; k++) {
        int memfd = create();
        struct larder *db = attach(memfd, BUSY_MS);
        put_leaves(db);
        prepare(db);
        uint32_t nodes = links_of_all(db, 0);
        cr_assert_gt(nodes, NODE_LEAVES / 2);
        is_dead = die_at(run, memfd, k, "a node goes");
        uint32_t left = links_of_all(db, k); /* at once, before any process has recovered anything */
        cr_assert(left == nodes || left + 1 == nodes);
        cr_assert(is_dead || left + 1 == nodes, "no node has gone: this test tests nothing");
        must_put(db, "newcomer", "a node goes", k);
        must_be_clean(db, "a node goes", k);
        larder_close(db);
        close(memfd);
    }
    cr_assert_gt(k, 20);
}

Test(order, links_to_a_node_that_is_merged) {
    links_after_deaths(halve_leaves, merge_leaves);
}

Test(order, links_to_a_node_that_is_emptied) {
    links_after_deaths(leave_one_entry, empty_leaf);
}
