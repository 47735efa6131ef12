/* tests/crash/limits_test.c - the system refuses memory, descriptors, file size or address space,
 * or kills for them.
 *
 * Goal     What the process cannot get is an error of the one call, with nothing changed, and no
 *          signal; once it can be had again, the same call succeeds. Where the kernel kills (the
 *          memory limit of a control group), that is a death like any other: the survivors go on. A
 *          file that is cut off under its users ends those that touch it, no others, and the next
 *          creator makes it again.
 * Method   fallocate() is replaced by one that fails at the k-th call, or fills the filesystem
 *          beforehand. priv_test_takes_left lets k private allocations succeed and none after.
 *          setrlimit() in children; a tmpfs and a control group of the test's own, where that is
 *          allowed.
 * See also api/full_test.c (full segments and filesystems), crash/alloc_test.c (no room for the
 *          k-th block), unit/segment/seg_test.c (limits at creation).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/table/db.h"
#include "tests/crash/cgroup.h"
#include "tests/crash/cutoff.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(limits, .timeout = 100 * SLOW_FACTOR);

#define KEYS 40u
#define DEADLINE_MS 60000
#define NOT_ALLOWED 77 /* exit code: this system does not let even root do it */
#define PLACE "/mnt"   /* exists on every system */

extern _Atomic int64_t priv_test_takes_left; /* core/base/priv.c; -1: no limit */

/* ---- fallocate() ----------------------------------------------------------------------------- */

static struct {
    int calls, fail_with; /* errno, 0: none */
    int fills_first;      /* takes everything else that the filesystem of PLACE has */
    int ballast;          /* descriptor of the file that takes it */
} claims;

static void take_all(int fd) {
    for (off_t bytes = 8 << 20; bytes >= 4096; bytes /= 2)
        for (off_t at = lseek(fd, 0, SEEK_END); syscall(SYS_fallocate, fd, 0, at, bytes) == 0; at += bytes)
            ;
}

__attribute__((visibility("default"))) int fallocate(int fd, int mode, off_t from, off_t bytes) {
    claims.calls++;
    if (claims.fills_first)
        take_all(claims.ballast);
    if (claims.fail_with) {
        errno = claims.fail_with;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, from, bytes);
}

/* ---- A history, in the test or in a child of its own ----------------------------------------- */

struct fixture {
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
};

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        const char *must_text = (what);                                                                                \
        if (must_text)                                                                                                 \
            fprintf(stderr, "%s\n", must_text);                                                                        \
        PROC_CHECK(must_text == NULL);                                                                                 \
    } while (0)

static void begin(struct fixture *f, struct larder *db) {
    memset(f, 0, sizeof *f);
    f->h = history_new(KEYS, rng_test_seed("limits"), &f->history_fd);
    f->db = db;
    const struct larder_table_def ballast = {.name = "Ballast", .partition = {"PK", LARDER_S}};
    PROC_CHECK(history_table_create(db) == LARDER_OK && history_attach(&f->c, f->h, db) == LARDER_OK);
    PROC_CHECK(larder_table_create(db, &ballast) == LARDER_OK);
}

static int put_number(struct larder *db, int n, size_t bytes) {
    static const char fill[LARDER_ITEM_BYTES_MAX];
    struct larder_table *t;
    struct larder_builder *b;
    const struct larder_item *item;
    char pk[32];
    snprintf(pk, sizeof pk, "%d", n);
    PROC_CHECK(larder_table_open(db, "Ballast", &t) == LARDER_OK && larder_builder_new(db, &b) == LARDER_OK);
    larder_builder_add_s(b, "PK", pk);
    larder_builder_add_b(b, "fill", fill, bytes);
    PROC_CHECK(larder_builder_finish(b, &item) == LARDER_OK);
    int r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static void must_be_clean(struct fixture *f) {
    struct larder_check_report report;
    PROC_CHECK(larder_check(f->db, NULL, &report) == LARDER_OK);
    PROC_CHECK(report.leaked_blocks == 0 && report.stale_entries == 0);
}

static void end(struct fixture *f) {
    MUST(history_look(&f->c));
    must_be_clean(f);
    larder_close(f->db);
    history_free(f->h);
    close(f->history_fd);
}

static void must_exit_well(struct proc_result r) {
    if (proc_is_exit(r, NOT_ALLOWED))
        cr_skip_test("not allowed here");
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

/* ---- The filesystem -------------------------------------------------------------------------- */

/* Every claim of memory in a growing segment fails once, for each reason that a filesystem may
 * have. */
static unsigned refuse_each_claim(struct fixture *f, int error, int expected, unsigned writes) {
    unsigned refused = 0;
    for (uint32_t i = 0; i < writes; i++) {
        int before = claims.calls;
        claims.fail_with = error;
        int r = history_write(&f->c, i % KEYS);
        /* so that the segment grows all the time */
        int put = put_number(f->db, (int)i, 5000 * (i % 7));
        claims.fail_with = 0;
        PROC_CHECK(r == LARDER_OK || (r == expected && claims.calls > before));
        PROC_CHECK(put == LARDER_OK || (put == expected && claims.calls > before));
        PROC_CHECK(put == LARDER_OK || put_number(f->db, (int)i, 5000 * (i % 7)) == LARDER_OK);
        refused += put != LARDER_OK;
        if (r == LARDER_OK)
            continue;
        refused++;
        MUST(history_get(&f->c, i % KEYS));
        if (refused % 4 == 0)
            MUST(history_look(&f->c));
        /* the same write, now with memory */
        PROC_CHECK(history_write(&f->c, i % KEYS) == LARDER_OK);
    }
    return refused;
}

Test(limits, every_claim_of_memory_fails_once) {
    static const struct {
        int error, expected;
    } reasons[] = {{ENOSPC, LARDER_E_FULL}, {ENOMEM, LARDER_E_FULL}, {EDQUOT, LARDER_E_FULL}, {EIO, LARDER_E_OS}};
    for (unsigned i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        struct fixture f;
        begin(&f, testseg_open(64u << 20, 2));
        unsigned refused = refuse_each_claim(&f, reasons[i].error, reasons[i].expected, 2000);
        cr_assert(refused > 5, "only %u claims were needed", refused);
        fprintf(stderr, "%s: %u writes\n", strerror(reasons[i].error), refused);
        end(&f);
    }
}

static struct larder *open_on_small(const char *options) {
    struct larder *db;
    struct larder_options o = {
        .segment = PLACE "/segment", .flags = LARDER_CREATE, .size_bytes = 256u << 20, .stripe_count = 2};
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return NULL;
    PROC_CHECK(mount("tmpfs", PLACE, "tmpfs", 0, options) == 0);
    claims.ballast = open(PLACE "/else", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    PROC_CHECK(claims.ballast >= 0 && larder_open(&o, &db) == LARDER_OK);
    return db;
}

/* In the middle of each put another process's file takes the last page of the filesystem; then the
 * file is removed. */
static int filled_in_mid_put(void *arg) {
    struct fixture f;
    struct larder *db = open_on_small("size=20m");
    unsigned refused = 0;
    (void)arg;
    if (!db)
        return NOT_ALLOWED;
    begin(&f, db);
    for (uint32_t i = 0; i < 300; i++) {
        claims.fills_first = 1;
        int r = history_write(&f.c, i % KEYS);
        PROC_CHECK(r == LARDER_OK || r == LARDER_E_FULL);
        int put = put_number(db, (int)i, 5000 * (i % 12));
        PROC_CHECK(put == LARDER_OK || put == LARDER_E_FULL);
        claims.fills_first = 0;
        if (r == LARDER_E_FULL || put == LARDER_E_FULL) {
            MUST(history_look(&f.c)); /* with no page left: what is read is there */
            must_be_clean(&f);
            refused++;
        }
        PROC_CHECK(ftruncate(claims.ballast, 0) == 0);
        PROC_CHECK(r == LARDER_OK || history_write(&f.c, i % KEYS) == LARDER_OK);
        PROC_CHECK(put == LARDER_OK || put_number(db, (int)i, 5000 * (i % 12)) == LARDER_OK);
    }
    fprintf(stderr, "%u puts met a full filesystem\n", refused);
    PROC_CHECK(refused > 3);
    end(&f);
    return 0;
}

Test(limits, tmpfs_full_in_mid_put) {
    if (geteuid() != 0)
        cr_skip_test("needs to be root to mount a small filesystem");
    must_exit_well(proc_run(filled_in_mid_put, NULL, DEADLINE_MS));
}

static int read_a_cut_off_file(void *arg) {
    char *path = arg;
    struct larder *db;
    proc_expect_crash();
    PROC_CHECK(larder_open(&(struct larder_options){.segment = path}, &db) == LARDER_OK);
    PROC_CHECK(truncate(path, 8192) == 0);
    struct larder_segment_stats stats;
    return larder_segment_stats(db, &stats); /* looks at every span */
}

/* As larder.h says: only the kernel could keep one user of a file from shortening it (a memfd is
 * sealed against it). */
Test(limits, a_file_cut_off_under_its_users_is_refused_and_made_anew) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[64];
    struct larder *db;
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/segment", dir);
    db = testseg_open_named(path, LARDER_SEGMENT_BYTES_MIN, 2);
    larder_close(db);
    struct proc_result r = proc_run(read_a_cut_off_file, path, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGBUS), "%s", proc_text(r));
    cr_assert_eq(larder_open(&(struct larder_options){.segment = path}, &db), LARDER_E_FORMAT);
    cr_assert(strstr(larder_error(), "truncated"), "%s", larder_error());
    cr_assert_eq(larder_destroy(path, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    db = testseg_open_named(path, LARDER_SEGMENT_BYTES_MIN, 2);
    larder_close(db);
    testseg_destroy(path);
    rmdir(dir);
    db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
    cr_assert(ftruncate(larder_memfd(db), 8192) != 0 && errno == EPERM, "a memfd can be cut off");
    larder_close(db);
}

/* ---- A control group ------------------------------------------------------------------------- */

struct in_group {
    struct fixture *f;
    char dir[CGROUP_DIR_BYTES];
};

/* Writes until the limit is met: history between items of ballast. */
static int write_past_the_limit(void *arg) {
    struct in_group *g = arg;
    struct history_client c;
    int r = LARDER_OK;
    if (!cgroup_join(g->dir))
        return NOT_ALLOWED;
    PROC_CHECK(history_attach(&c, g->f->h, g->f->db) == LARDER_OK);
    for (int n = 0; r == LARDER_OK; n++) {
        r = put_number(g->f->db, n, 100000);
        for (uint32_t i = 0; r == LARDER_OK && i < 5; i++)
            r = history_write(&c, ((uint32_t)n * 5 + i) % KEYS);
    }
    return r == LARDER_E_FULL ? 0 : 1;
}

/* The kernel charges the memory of the segment to the process that touched it first, and kills in
 * the group that is over its limit. */
Test(limits, a_process_over_its_memory_limit) {
    struct fixture f;
    struct in_group g = {&f, ""};
    if (SLOW_FACTOR > 1)
        cr_skip_test("a sanitizer needs more memory than the limit");
    if (geteuid() != 0 || !cgroup_make(g.dir))
        cr_skip_test("may not make a control group with a memory limit here");
    begin(&f, testseg_open(256u << 20, 2));
    unsigned rounds = 3;
    struct proc_result r = {PROC_EXITED, 0};
    for (unsigned i = 0; i < rounds; i++) {
        r = proc_run(write_past_the_limit, &g, DEADLINE_MS);
        fprintf(stderr, "over the limit: %s\n", proc_text(r));
        if (proc_is_exit(r, NOT_ALLOWED))
            break;
        const char *what = history_settle(&f.c, 0, KEYS);
        cr_assert_null(what, "%s", what);
        for (uint32_t k = 0; k < KEYS; k++) /* the survivor is not in that group */
            cr_assert_eq(history_write(&f.c, k), LARDER_OK, "%s", larder_error());
        must_be_clean(&f);
    }
    cr_assert(UNTIL(rmdir(g.dir) == 0, DEADLINE_MS), "%s: %s", g.dir, strerror(errno));
    end(&f);
    cr_assert(proc_is_exit(r, NOT_ALLOWED) || proc_is_exit(r, 0) || proc_is_signal(r, SIGKILL), "%s", proc_text(r));
    if (proc_is_exit(r, NOT_ALLOWED))
        cr_skip_test("may not enter a control group here");
}

/* ---- setrlimit() ----------------------------------------------------------------------------- */

static void set_limit(int which, rlim_t most) {
    struct rlimit limit;
    PROC_CHECK(getrlimit(which, &limit) == 0);
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    PROC_CHECK(setrlimit(which, &limit) == 0);
}

/* SIGXFSZ would end a process that makes a file longer than it may. An attached process makes no
 * file longer. */
static int live_with_small_files(void *arg) {
    struct fixture f; /* stdout may be a file, too: nothing is printed while the limit is 0 */
    char *name = arg;
    struct larder *db;
    struct larder_options o = {.segment = name, .flags = LARDER_CREATE, .size_bytes = 64u << 20};
    set_limit(RLIMIT_FSIZE, 4096);
    PROC_CHECK(larder_open(&o, &db) == LARDER_E_FULL && strstr(larder_error(), "ulimit -f"));
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    begin(&f, db);
    set_limit(RLIMIT_FSIZE, 0);
    int before = claims.calls, r = LARDER_OK;
    for (uint32_t i = 0; i < 100 && r == LARDER_OK; i++) {
        r = put_number(db, (int)i, 100000);
        if (r == LARDER_OK)
            r = history_write(&f.c, i % KEYS);
    }
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    PROC_CHECK(r == LARDER_OK);
    PROC_CHECK(claims.calls > before + 5); /* memory was claimed, within the file's size */
    end(&f);
    return larder_destroy(name, 0);
}

Test(limits, file_size) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    must_exit_well(proc_run(live_with_small_files, name, DEADLINE_MS));
}

/* Leaves no descriptor free. */
static void use_up_descriptors(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    PROC_CHECK(fd >= 0);
    set_limit(RLIMIT_NOFILE, (rlim_t)fd); /* all lower ones are in use */
    PROC_CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EMFILE);
    close(fd);
    PROC_CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EMFILE);
}

/* A forked child, which has no slot yet. */
static int write_without_descriptors(void *arg) {
    struct fixture *f = arg;
    struct larder_check_report report;
    struct larder *db;
    struct rlimit before;
    PROC_CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    use_up_descriptors();
    for (int i = 0; i < 100; i++) {
        PROC_CHECK(history_write(&f->c, 1) == LARDER_E_OS && strstr(larder_error(), "Too many open files"));
        PROC_CHECK(larder_check(f->db, NULL, &report) == LARDER_E_OS);
        PROC_CHECK(larder_open(&(struct larder_options){.flags = LARDER_MEMFD, .memfd = larder_memfd(f->db)}, &db) ==
                   LARDER_E_OS);
    }
    MUST(history_look(&f->c)); /* reads need none */
    PROC_CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    PROC_CHECK(history_write(&f->c, 1) == LARDER_OK);
    must_be_clean(f); /* for which it takes a second slot */
    use_up_descriptors();
    for (uint32_t i = 0; i < 2000; i++) /* nor does a process that has slots */
        PROC_CHECK(history_write(&f->c, i % KEYS) == LARDER_OK);
    must_be_clean(f);
    larder_close(f->db);
    return 0;
}

static int die_at_store_30(void *arg) {
    struct fixture *f = arg;
    shm_crash_arm(30);
    for (uint32_t i = 0;; i++)
        PROC_CHECK(history_write(&f->c, 5) == LARDER_OK);
}

/* It has a slot, but cannot take the dead one's. It waits as for a living one, and then says why.
 * Another process could have recovered it. */
static int recover_without_descriptors(void *arg) {
    struct fixture *f = arg;
    struct larder *db;
    struct history_client c;
    struct rlimit before;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = larder_memfd(f->db), .busy_timeout_ms = 200};
    unsigned refused = 0;
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK && history_attach(&c, f->h, db) == LARDER_OK);
    PROC_CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    PROC_CHECK(proc_is_signal(proc_run(die_at_store_30, f, DEADLINE_MS), SIGKILL));
    MUST(history_settle(&c, 5, 1));
    use_up_descriptors();
    for (uint32_t k = 0; k < 8; k++) {
        int r = history_write(&c, k);
        PROC_CHECK(r == LARDER_OK || (r == LARDER_E_OS && strstr(larder_error(), "Too many open files")));
        refused += r == LARDER_E_OS;
    }
    PROC_CHECK(refused > 0);
    MUST(history_look(&c));
    PROC_CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    for (uint32_t k = 0; k < 8; k++)
        PROC_CHECK(history_write(&c, k) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(limits, descriptors) {
    struct fixture f;
    begin(&f, testseg_open(32u << 20, 2));
    for (uint32_t i = 0; i < 3 * KEYS; i++)
        cr_assert_eq(history_write(&f.c, i % KEYS), LARDER_OK, "%s", larder_error());
    must_exit_well(proc_run(write_without_descriptors, &f, DEADLINE_MS));
    must_exit_well(proc_run(recover_without_descriptors, &f, DEADLINE_MS));
    end(&f);
}

static rlim_t address_space_in_use(void) {
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    PROC_CHECK(statm && fscanf(statm, "%lu", &pages) == 1);
    (void)fclose(statm);
    return (rlim_t)pages * 4096;
}

static int live_without_address_space(void *arg) {
    struct fixture *f = arg;
    struct larder *db;
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = larder_memfd(f->db)};
    struct larder_scan_spec all = {.bytes_max = UINT32_MAX};
    unsigned refused = 0;
    PROC_CHECK(larder_page_new(f->db, &f->c.page) == LARDER_OK);
    set_limit(RLIMIT_AS, address_space_in_use());
    PROC_CHECK(larder_open(&o, &db) == LARDER_E_NO_MEMORY);
    int r = history_write(&f->c, 3); /* a slot is a page of address space */
    PROC_CHECK(r == LARDER_E_NO_MEMORY);
    /* pages grow into what the allocator has left, and no further */
    for (int i = 0; i < 200; i++) {
        struct larder_page *page;
        r = larder_page_new(f->db, &page);
        if (r == LARDER_OK)
            r = larder_scan(f->c.table, &all, page);
        PROC_CHECK(r == LARDER_OK || r == LARDER_E_NO_MEMORY);
        refused += r == LARDER_E_NO_MEMORY;
    }
    PROC_CHECK(refused > 0);
    set_limit(RLIMIT_AS, RLIM_INFINITY);
    PROC_CHECK(history_write(&f->c, 3) == LARDER_OK);
    return 0;
}

Test(limits, address_space) {
    struct fixture f;
    if (SLOW_FACTOR > 1)
        cr_skip_test("a sanitizer needs all the address space there is");
    begin(&f, testseg_open(32u << 20, 2));
    for (uint32_t i = 0; i < 3 * KEYS; i++)
        cr_assert_eq(history_write(&f.c, i % KEYS), LARDER_OK, "%s", larder_error());
    must_exit_well(proc_run(live_without_address_space, &f, DEADLINE_MS));
    end(&f);
}

/* A count that is damage asks for no more memory than the segment's size can account for. */
static int check_damaged_counts(void *arg) {
    struct fixture *f = arg;
    const struct table_view *v;
    struct larder_check_report report;
    PROC_CHECK(table_view(f->c.table, &v) == LARDER_OK);
    for (uint32_t i = 0; i < v->items.stripe_count; i++)
        SHM_STORE(&v->items.stripes[i].count, UINT32_MAX);
    set_limit(RLIMIT_AS, address_space_in_use() + (32u << 20));
    PROC_CHECK(larder_check(f->db, NULL, &report) == LARDER_DAMAGED);
    return 0;
}

Test(limits, address_space_of_a_check) {
    struct fixture f;
    if (SLOW_FACTOR > 1)
        cr_skip_test("a sanitizer needs all the address space there is");
    begin(&f, testseg_open(8u << 20, 2));
    must_exit_well(proc_run(check_damaged_counts, &f, DEADLINE_MS));
    larder_close(f.db);
}

/* ---- Private memory -------------------------------------------------------------------------- */

static const struct larder_item *new_item(struct larder *db, struct larder_builder **b) {
    static const char fill[20000];
    const struct larder_item *item;
    if (larder_builder_new(db, b))
        return NULL;
    larder_builder_add_s(*b, "PK", "P1");
    larder_builder_add_s(*b, "SK", "SK#00007");
    larder_builder_add_s(*b, "G1P", "P0");
    larder_builder_add_s(*b, "G1S", "elsewhere");
    larder_builder_add_b(*b, "blob", fill, sizeof fill);
    return larder_builder_finish(*b, &item) ? NULL : item;
}

static struct larder_table *world_of(struct larder *db, int *r) {
    struct larder_table *t = NULL;
    *r = larder_table_open(db, WORLD_TABLE, &t);
    return t;
}

/* What a call of the API says, from a fresh handle, so that nothing is allocated already. A
 * negative result: nothing was done. */
static int do_put(struct larder *db) {
    struct larder_builder *b;
    struct larder_page *page;
    int r;
    struct larder_table *t = world_of(db, &r);
    if (r || (r = larder_page_new(db, &page)))
        return r;
    const struct larder_item *item = new_item(db, &b);
    return item ? larder_put(t, item, page) : LARDER_E_NO_MEMORY;
}

static int do_delete(struct larder *db) {
    const struct larder_key key = {larder_str("P1"), larder_str("SK#00007")};
    struct larder_page *page;
    int r;
    struct larder_table *t = world_of(db, &r);
    if (r || (r = larder_page_new(db, &page)))
        return r;
    return larder_delete(t, &key, page);
}

static int do_read(struct larder *db) {
    const struct larder_key keys[2] = {{larder_str("P1"), larder_str("SK#00007")},
                                       {larder_str("P0"), larder_str("SK#00003")}};
    struct larder_query_spec by_index = {.index = "G1x", .partition = larder_str("P0"), .limit = 2},
                             by_table = {.partition = larder_str("P1")};
    struct larder_scan_spec some = {.limit = 5};
    struct larder_page *page;
    int r;
    struct larder_table *t = world_of(db, &r);
    if (r || (r = larder_page_new(db, &page)))
        return r;
    if ((r = larder_get(t, keys, page)) < 0 || (r = larder_get_many(t, keys, 2, page)) < 0 ||
        (r = larder_query(t, &by_index, page)) < 0 || (r = larder_query(t, &by_table, page)) < 0 ||
        (r = larder_scan(t, &some, page)) < 0)
        PROC_CHECK(larder_page_count(page) == 0);
    return r < 0 ? r : LARDER_OK;
}

static int do_create(struct larder *db) {
    const struct larder_index_def index = {.name = "byKind", .partition = {"gpk", LARDER_S}};
    const struct larder_table_def def = {
        .name = "another", .partition = {"pk", LARDER_S}, .indexes = &index, .index_count = 1};
    return larder_table_create(db, &def);
}

static int do_drop(struct larder *db) {
    return larder_table_drop(db, WORLD_TABLE);
}

static int do_index_add(struct larder *db) {
    const struct larder_index_def index = {.name = "G9x", .partition = {"G1S", LARDER_S}};
    int r;
    struct larder_table *t = world_of(db, &r);
    return r ? r : larder_index_add(t, &index);
}

static int do_ttl_set(struct larder *db) {
    int r;
    struct larder_table *t = world_of(db, &r);
    return r ? r : larder_ttl_set(t, "keys");
}

static int do_removal_set(struct larder *db) {
    int r;
    struct larder_table *t = world_of(db, &r);
    return r ? r : larder_removal_set(t, LARDER_REMOVAL_RETAIN);
}

static int do_expire(struct larder *db) {
    return larder_expire(db, 0, NULL);
}

static int do_look(struct larder *db) {
    const struct larder_table_def *def;
    struct larder_segment_stats segment;
    struct larder_table_stats stats;
    struct larder_check_report report;
    const char *names[4];
    uint32_t count;
    int r;
    struct larder_table *t = world_of(db, &r);
    if (r || (r = larder_table_describe(t, &def)) || (r = larder_table_list(db, names, 4, &count)) ||
        (r = larder_segment_stats(db, &segment)) || (r = larder_table_stats(t, &stats)))
        return r;
    return larder_check(db, NULL, &report);
}

static int do_start(struct larder *db) {
    int r = larder_expirer_start(db);
    larder_expirer_stop(db);
    return r;
}

static int64_t later_clock(void *arg) {
    return *(int64_t *)arg;
}

static char *dump_of(int memfd) {
    struct larder *db = world_open(memfd);
    char *text = world_dump(db);
    larder_close(db);
    return text;
}

/* 0: there is no k-th allocation. */
static int refuse_allocation(const char *name, int (*call)(struct larder *db), int base, int64_t k,
                             const char *before) {
    int64_t now_s = 6500; /* some items have expired */
    int memfd = world_copy(base);
    struct larder *db = NULL, *other = world_open(memfd);
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd};
    struct larder_check_report report;
    atomic_store(&priv_test_takes_left, k);
    int r = larder_open(&o, &db);
    if (r == LARDER_OK) {
        larder_set_clock(db, later_clock, &now_s);
        r = call(db);
    }
    int is_refused = atomic_load(&priv_test_takes_left) == 0 || r < 0;
    atomic_store(&priv_test_takes_left, -1);
    cr_assert(r >= 0 || r == LARDER_E_NO_MEMORY, "%s, allocation %ld: %s: %s", name, (long)k, larder_result_name(r),
              larder_error());
    if (r < 0) {
        char *text = dump_of(memfd);
        cr_assert_str_eq(text, before, "%s, allocation %ld: it failed and changed something", name, (long)k);
        free(text);
    }
    cr_assert_eq(larder_check(other, NULL, &report), LARDER_OK, "%s, allocation %ld: %s", name, (long)k,
                 larder_error());
    if (r < 0 && db) {
        larder_set_clock(db, later_clock, &now_s);
        r = call(db);
        cr_assert(r >= 0, "%s, allocation %ld, again: %s: %s", name, (long)k, larder_result_name(r), larder_error());
    }
    larder_close(db);
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(other, &stats), LARDER_OK);
    cr_assert(stats.slots_used <= 2, "%s, allocation %ld: a slot is lost", name, (long)k);
    larder_close(other);
    close(memfd);
    return is_refused;
}

Test(limits, every_private_allocation_fails_once) {
    static const struct {
        const char *name;
        int (*call)(struct larder *db);
    } calls[] = {
        {"put", do_put},       {"delete", do_delete},       {"read", do_read},          {"create", do_create},
        {"drop", do_drop},     {"index_add", do_index_add}, {"ttl_set", do_ttl_set},    {"removal_set", do_removal_set},
        {"expire", do_expire}, {"look", do_look},           {"expirer_start", do_start}};
    leaf_capacity = 4;
    int base = world_create(2);
    struct larder *db = world_open(base);
    cutoff_prepare(db);
    char *before = world_dump(db);
    larder_close(db);
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        int64_t k = 0;
        while (refuse_allocation(calls[i].name, calls[i].call, base, k, before))
            cr_assert(++k < 1000, "%s: no end", calls[i].name);
        fprintf(stderr, "%-14s %3ld allocations, each refused\n", calls[i].name, (long)k);
        cr_assert(k > 3);
    }
    free(before);
    close(base);
}
