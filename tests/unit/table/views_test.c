/* tests/unit/table/views_test.c - old views of definitions are freed, but not while they are in
 * use.
 *
 * Goal     Definition changes leave nothing behind in the handle, whichever process makes them. A
 *          view that is in use stays as long as the use. What larder_table_describe() gave away
 *          stays until it is given back, once for each definition.
 * Method   The bytes of the handle's private memory are counted, so this holds in every build. The
 *          address sanitizer sees reads after a free, the thread sanitizer reads during one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "core/table/db.h"
#include "core/table/read.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(views, .timeout = 60 * SLOW_FACTOR);

#define CHANGES (SLOW_FACTOR > 1 ? 500u : 5000u)

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
};

static struct fixture fixture(void) {
    struct fixture f = {.db = testseg_open(8u << 20, 2)};
    const struct larder_table_def def = {.name = "changing", .partition = {"PK", LARDER_S}};
    struct larder_builder *b;
    const struct larder_item *item;
    struct larder_value key = larder_str("key");
    cr_assert_eq(larder_table_create(f.db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f.db, "changing", &f.t), LARDER_OK);
    cr_assert_eq(larder_page_new(f.db, &f.page), LARDER_OK);
    cr_assert_eq(larder_builder_new(f.db, &b), LARDER_OK);
    cr_assert_eq(larder_builder_add(b, "PK", &key), LARDER_OK);
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK);
    cr_assert_eq(larder_put(f.t, item, NULL), LARDER_OK);
    larder_builder_free(b);
    return f;
}

static int get(const struct fixture *f) {
    const struct larder_key key = {.partition = larder_str("key")};
    return larder_get(f->t, &key, f->page);
}

static int change(const struct fixture *f, uint32_t i) {
    return larder_ttl_set(f->t, i % 2 ? "odd" : "even");
}

/* Private memory when a change and a get were the last calls. */
static uint64_t bytes_after(const struct fixture *f, uint32_t changes) {
    for (uint32_t i = 0; i < changes; i++)
        if (change(f, i) != LARDER_OK || get(f) != LARDER_OK)
            return 0;
    return priv_bytes(f->db->priv);
}

Test(views, changes_leave_nothing) {
    struct fixture f = fixture();
    uint64_t before = bytes_after(&f, 10);
    cr_assert_eq(bytes_after(&f, CHANGES), before);
    larder_close(f.db);
}

/* Only reads see the changes of another handle. */
Test(views, changes_of_others_leave_nothing) {
    struct fixture f = fixture(), other = {.db = testseg_attach(f.db, 0)};
    cr_assert_eq(larder_table_open(other.db, "changing", &other.t), LARDER_OK);
    uint64_t before = 0;
    for (uint32_t i = 0; i < CHANGES; i++) {
        cr_assert_eq(change(&other, i), LARDER_OK);
        cr_assert_eq(get(&f), LARDER_OK);
        if (i == 10)
            before = priv_bytes(f.db->priv);
    }
    cr_assert_eq(priv_bytes(f.db->priv), before);
    larder_close(other.db);
    larder_close(f.db);
}

Test(views, removal_policies_and_clocks_leave_nothing) {
    struct fixture f = fixture();
    uint64_t before = 0;
    for (uint32_t i = 0; i < CHANGES; i++) {
        cr_assert_eq(larder_removal_set(f.t, i % 2 ? LARDER_REMOVAL_RETAIN : LARDER_REMOVAL_DELETE), LARDER_OK);
        larder_set_clock(f.db, NULL, NULL);
        cr_assert_eq(get(&f), LARDER_OK);
        if (i == 10)
            before = priv_bytes(f.db->priv);
    }
    cr_assert_eq(priv_bytes(f.db->priv), before);
    larder_close(f.db);
}

static int64_t clock_of_argument(void *arg) {
    return *(int64_t *)arg;
}

Test(views, the_same_clock_is_kept_once) {
    struct fixture f = fixture();
    int64_t now[2] = {1000, 2000};
    larder_set_clock(f.db, clock_of_argument, &now[0]);
    larder_set_clock(f.db, clock_of_argument, &now[1]);
    uint64_t before = priv_bytes(f.db->priv);
    for (int i = 0; i < 1000; i++)
        larder_set_clock(f.db, clock_of_argument, &now[i % 2]);
    cr_assert_eq(priv_bytes(f.db->priv), before);
    cr_assert_eq(db_now(f.db), 2000);
    larder_close(f.db);
}

Test(views, a_view_in_use_stays) {
    struct fixture f = fixture();
    const struct table_view *v;
    cr_assert_eq(change(&f, 0), LARDER_OK);
    uint64_t before = bytes_after(&f, 2);
    struct epoch_use *use = read_begin(f.t, f.page);
    cr_assert_eq(table_view(f.t, &v), LARDER_OK);
    uint64_t life = v->life;
    struct larder_page *own = f.page;
    cr_assert_eq(larder_page_new(f.db, &f.page), LARDER_OK);
    cr_assert_gt(bytes_after(&f, 6), before);
    cr_assert_eq(v->life, life); /* the address sanitizer looks, too */
    cr_assert_str_eq(v->def.name, "changing");
    read_end(f.t, own, use);
    larder_page_free(f.page);
    f.page = own;
    cr_assert_eq(bytes_after(&f, 2), before);
    larder_close(f.db);
}

Test(views, a_page_of_another_handle_protects_what_it_reads) {
    struct fixture f = fixture(), other = {.db = testseg_attach(f.db, 0)};
    const struct table_view *v;
    cr_assert_eq(larder_page_new(other.db, &other.page), LARDER_OK);
    uint64_t before = bytes_after(&f, 2);
    struct epoch_use *use = read_begin(f.t, other.page);
    cr_assert_neq(use, &other.page->use);
    cr_assert_eq(table_view(f.t, &v), LARDER_OK);
    bytes_after(&f, 6);
    cr_assert_str_eq(v->def.name, "changing");
    read_end(f.t, other.page, use);
    cr_assert_eq(bytes_after(&f, 2), before);
    larder_close(other.db);
    larder_close(f.db);
}

Test(views, what_was_described_stays_once_for_each_definition) {
    struct fixture f = fixture();
    const struct larder_table_def *odd = NULL, *even = NULL, *now;
    uint64_t before = 0;
    for (uint32_t i = 0; i < CHANGES; i++) {
        cr_assert_eq(change(&f, i), LARDER_OK);
        cr_assert_eq(larder_table_describe(f.t, &now), LARDER_OK);
        cr_assert_str_eq(now->ttl_attribute, i % 2 ? "odd" : "even");
        const struct larder_table_def **first = i % 2 ? &odd : &even;
        if (!*first)
            *first = now;
        cr_assert_eq(now, *first);
        if (i == 10)
            before = priv_bytes(f.db->priv);
    }
    /* One more or less: the current view is, or is not, the one that was handed out. */
    cr_assert_lt(priv_bytes(f.db->priv), before + 3 * sizeof(struct table_view));
    cr_assert_str_eq(odd->ttl_attribute, "odd");
    cr_assert_str_eq(even->name, "changing");
    larder_close(f.db);
}

/* Of the same fixture: a change, and the definition that it leads to. */
static const struct larder_table_def *described_after(const struct fixture *f, uint32_t i) {
    const struct larder_table_def *def = NULL;
    if (change(f, i) == LARDER_OK)
        larder_table_describe(f->t, &def);
    return def;
}

Test(views, what_was_given_back_is_freed) {
    struct fixture f = fixture();
    uint64_t before = 0;
    for (uint32_t i = 0; i < CHANGES; i++) {
        const struct larder_table_def *def = described_after(&f, i);
        cr_assert(def && larder_table_def_is_current(def));
        cr_assert_eq(change(&f, i + 1), LARDER_OK);
        cr_assert_not(larder_table_def_is_current(def));
        cr_assert_str_eq(def->ttl_attribute, i % 2 ? "odd" : "even");
        larder_table_def_free(def);
        if (i == 10)
            before = priv_bytes(f.db->priv);
    }
    cr_assert_eq(priv_bytes(f.db->priv), before);
    larder_close(f.db);
}

Test(views, given_twice_it_stays_until_given_back_twice) {
    struct fixture f = fixture();
    const struct larder_table_def *first = described_after(&f, 0), *second = NULL;
    bytes_after(&f, 3); /* that ends with "even", too */
    cr_assert_eq(larder_table_describe(f.t, &second), LARDER_OK);
    cr_assert_eq(first, second);
    uint64_t held = bytes_after(&f, 4);
    larder_table_def_free(first);
    cr_assert_eq(bytes_after(&f, 4), held);
    cr_assert_str_eq(second->ttl_attribute, "even");
    larder_table_def_free(second);
    cr_assert_lt(bytes_after(&f, 4), held);
    cr_assert_not(larder_table_def_is_current(NULL));
    larder_close(f.db);
}

/* A definition that the table has again is the table's again, for those that ask for it. */
Test(views, what_was_just_given_is_current) {
    struct fixture f = fixture();
    const struct larder_table_def *first = described_after(&f, 0), *again;
    cr_assert_eq(change(&f, 1), LARDER_OK);
    cr_assert_not(larder_table_def_is_current(first));
    cr_assert_eq(change(&f, 2), LARDER_OK);
    cr_assert_not(larder_table_def_is_current(first));
    cr_assert_eq(larder_table_describe(f.t, &again), LARDER_OK);
    cr_assert_eq(again, first);
    cr_assert(larder_table_def_is_current(again));
    cr_assert_eq(change(&f, 3), LARDER_OK);
    cr_assert_not(larder_table_def_is_current(again));
    larder_table_def_free(first);
    larder_table_def_free(again);
    larder_close(f.db);
}

Test(views, a_definition_outlives_its_table) {
    struct fixture f = fixture();
    const struct larder_table_def *def = described_after(&f, 0);
    larder_page_free(f.page);
    larder_table_close(f.t);
    cr_assert(larder_table_def_is_current(def));
    cr_assert_eq(larder_table_drop(f.db, "changing"), LARDER_OK);
    cr_assert_not(larder_table_def_is_current(def));
    cr_assert_str_eq(def->ttl_attribute, "even");
    larder_table_def_free(def);
    larder_close(f.db);
}

/* As a server does it: each table is another one, and so is each of its definitions. */
static void table_comes_and_goes(const struct fixture *f, uint32_t i) {
    const struct larder_table_def *def, *tagged;
    const struct larder_table_def made = {
        .name = "made", .partition = {"PK", LARDER_S}, .settings = &i, .settings_bytes = sizeof i};
    struct larder_table *t, *again;
    const char *names[2];
    uint32_t count, tag = ~i;
    cr_assert_eq(larder_table_create(f->db, &made), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f->db, "made", &t), LARDER_OK);
    cr_assert_eq(larder_table_open(f->db, "made", &again), LARDER_OK);
    cr_assert_eq(t, again);
    cr_assert_eq(larder_table_list(f->db, names, 2, &count), LARDER_OK);
    cr_assert_eq(larder_table_describe(t, &def), LARDER_OK);
    cr_assert_eq(larder_settings_set(t, def, &tag, sizeof tag), LARDER_OK);
    cr_assert_eq(larder_table_describe(again, &tagged), LARDER_OK);
    larder_table_def_free(def);
    larder_table_close(again);
    cr_assert_eq(larder_table_drop(f->db, "made"), LARDER_OK);
    cr_assert_eq(larder_table_describe(t, &def), LARDER_E_NO_TABLE);
    cr_assert_arr_eq(tagged->settings, &tag, sizeof tag);
    larder_table_close(t);
    larder_table_def_free(tagged);
}

/* The thread that empties dropped tables also uses views: what is retired waits for it. */
static int is_down_to(const struct fixture *f, uint64_t bytes) {
    table_comes_and_goes(f, 0);
    return priv_bytes(f->db->priv) <= bytes;
}

Test(views, tables_leave_nothing) {
    struct fixture f = fixture();
    table_comes_and_goes(&f, 0);
    uint64_t before = priv_bytes(f.db->priv);
    for (uint32_t i = 1; i < CHANGES; i++)
        table_comes_and_goes(&f, i);
    cr_assert(UNTIL(is_down_to(&f, before + 3 * sizeof(struct table_view)), 20000), "%lu bytes, of %lu before",
              priv_bytes(f.db->priv), before);
    larder_close(f.db);
}

/* A use that begins in the parent has no end in the child. */
static int changes_in_child(void *arg) {
    struct fixture *f = arg;
    uint64_t before = bytes_after(f, 10);
    PROC_CHECK(before != 0);
    PROC_CHECK(bytes_after(f, 200) == before);
    return 0;
}

Test(views, a_forked_child_frees_what_its_parent_uses) {
    struct fixture f = fixture();
    struct larder_page *page;
    cr_assert_eq(larder_page_new(f.db, &page), LARDER_OK);
    struct epoch_use *use = read_begin(f.t, page), *visit = views_visit(f.db);
    cr_assert(proc_is_exit(proc_run(changes_in_child, &f, 20000), 0));
    views_depart(f.db, visit);
    read_end(f.t, page, use);
    larder_close(f.db);
}

/* Kernels and containers without membarrier(): nothing is freed before larder_close(), and nothing
 * breaks. */
static int changes_without_membarrier(void *arg) {
    struct fixture *f = arg;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    PROC_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    PROC_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    uint64_t before = bytes_after(f, 10);
    PROC_CHECK(bytes_after(f, 100) > before);
    larder_close(f->db);
    return 0;
}

Test(views, without_membarrier_they_stay) {
    struct fixture f = fixture();
    cr_assert(proc_is_exit(proc_run(changes_without_membarrier, &f, 20000), 0));
    larder_close(f.db);
}

/* ---- Threads --------------------------------------------------------------------------------- */

struct readers {
    struct fixture f;
    _Atomic int is_over;
    _Atomic uint32_t failures, reads;
};

static void *read_all_the_time(void *arg) {
    struct readers *r = arg;
    struct fixture own = r->f;
    const struct larder_key key = {.partition = larder_str("key")};
    const struct larder_query_spec query = {.partition = larder_str("key")};
    const struct larder_scan_spec scan = {.limit = 10};
    struct larder_table_stats stats;
    int64_t n;
    if (larder_page_new(own.db, &own.page) != LARDER_OK)
        r->failures++;
    while (!r->is_over) {
        const struct larder_table_def *def = NULL;
        int is_good = get(&own) == LARDER_OK && larder_query(own.t, &query, own.page) == LARDER_OK &&
                      larder_scan(own.t, &scan, own.page) == LARDER_OK && larder_page_count(own.page) == 1 &&
                      larder_table_stats(own.t, &stats) == LARDER_OK &&
                      larder_table_describe(own.t, &def) == LARDER_OK && def->partition.type == LARDER_S &&
                      larder_increment(own.t, &key, "n", 1, &n) == LARDER_OK;
        if (r->reads++ % 2) /* the others stay */
            larder_table_def_free(def);
        r->failures += !is_good;
    }
    larder_page_free(own.page);
    return NULL;
}

Test(views, are_not_freed_under_readers) {
    struct readers r = {.f = fixture()};
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, read_all_the_time, &r), 0);
    for (uint32_t i = 0; i < CHANGES || r.reads < 100; i++)
        cr_assert_eq(change(&r.f, i), LARDER_OK, "%s", larder_error());
    r.is_over = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    cr_assert_eq(r.failures, 0);
    cr_assert_lt(bytes_after(&r.f, 2), 1u << 20);
    larder_close(r.f.db);
}
