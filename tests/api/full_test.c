/* tests/api/full_test.c - a full segment is an error, not a mess.
 *
 * Goal     Promise 6: a write that does not fit fails whole with LARDER_E_FULL, says how much was
 *          asked and how much is free, and leaves everything as it was. Reads and deletes go on
 *          working, and after deletes writes do again. It does not matter whether the segment is
 *          full or the filesystem under it.
 * Method   The public functions, on the smallest segment and on a tmpfs of 8 MiB that is mounted
 *          for a child alone. tests/support/history.h compares every key with its last acknowledged
 *          write, and a failed write does not count; larder_check() counts blocks.
 *          (tests/crash/alloc_test.c fails each allocation of each operation in turn.)
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(full, .timeout = 100 * SLOW_FACTOR);

#define KEYS 40u
#define BALLAST_BYTES 3000u
#define BALLAST_MAX 100000u

/* Besides the history, whose keys are watched, a table that only takes up room. */
struct fixture {
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
    struct larder_table *ballast;
    struct rng rng;
    uint32_t ballast_count;
};

/* Also used in a child: no Criterion in the helpers. */
#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        const char *must_text = (what);                                                                                \
        if (must_text)                                                                                                 \
            fprintf(stderr, "%s\n", must_text);                                                                        \
        PROC_CHECK(must_text == NULL);                                                                                 \
    } while (0)

static void begin(struct fixture *f, struct larder *db) {
    const struct larder_table_def ballast = {.name = "Ballast", .partition = {"PK", LARDER_S}};
    memset(f, 0, sizeof *f);
    f->db = db;
    rng_seed(&f->rng, rng_test_seed("full"));
    f->h = history_new(KEYS, rng_next(&f->rng), &f->history_fd);
    PROC_CHECK(history_table_create(db) == LARDER_OK && larder_table_create(db, &ballast) == LARDER_OK);
    PROC_CHECK(larder_table_open(db, "Ballast", &f->ballast) == LARDER_OK);
    PROC_CHECK(history_attach(&f->c, f->h, db) == LARDER_OK);
    for (uint32_t k = 0; k < 4 * KEYS; k++)
        PROC_CHECK(history_write(&f->c, k % KEYS) == LARDER_OK);
}

static void must_be_clean(const struct fixture *f) {
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

/* Without bucket arrays: one may have grown before something else did not fit, and keeps its
 * size. */
static uint64_t used_bytes(struct fixture *f) {
    struct larder_table_stats stats;
    PROC_CHECK(larder_table_stats(f->ballast, &stats) == LARDER_OK);
    return history_used_bytes(&f->c) - stats.bucket_bytes;
}

static int put_ballast(struct fixture *f, uint32_t n, uint32_t bytes) {
    static const char fill[LARDER_ITEM_BYTES_MAX];
    const struct larder_item *item;
    char pk[32];
    snprintf(pk, sizeof pk, "%u", n);
    larder_builder_reset(f->c.builder);
    larder_builder_add_s(f->c.builder, "PK", pk);
    larder_builder_add_b(f->c.builder, "fill", fill, bytes);
    PROC_CHECK(larder_builder_finish(f->c.builder, &item) == LARDER_OK);
    return larder_put(f->ballast, item, NULL);
}

static int delete_ballast(struct fixture *f, uint32_t n) {
    char pk[32];
    snprintf(pk, sizeof pk, "%u", n);
    struct larder_key key = {.partition = larder_str(pk)};
    return larder_delete(f->ballast, &key, NULL);
}

/* Puts more and more, then smaller and smaller, until not even a small item fits. */
static void fill_up(struct fixture *f) {
    for (uint32_t bytes = BALLAST_BYTES; bytes > 8; bytes /= 2) {
        int r = LARDER_OK;
        while (f->ballast_count < BALLAST_MAX && (r = put_ballast(f, f->ballast_count, bytes)) == LARDER_OK)
            f->ballast_count++;
        PROC_CHECK(r == LARDER_E_FULL);
    }
}

static void empty_ballast(struct fixture *f) {
    while (f->ballast_count > 0)
        PROC_CHECK(delete_ballast(f, --f->ballast_count) >= 0); /* some are gone already */
}

/* The message must have the bytes that were asked for, and how many are free. */
static void must_explain(void) {
    unsigned long long asked = 0, of = 0, used = 0, left = 0;
    const char *numbers = strstr(larder_error(), ": ");
    PROC_CHECK(numbers != NULL);
    int count =
        sscanf(numbers, ": %llu bytes asked; of %llu, %llu %*s in use and %llu free", &asked, &of, &used, &left);
    PROC_CHECK(count == 4 && asked > 0 && of > 0 && used > 0 && used + left <= of);
}

/* In a full segment: each write fails and changes nothing, reads and deletes go on. */
static void live_with_full(struct fixture *f) {
    const struct larder_table_def table = {.name = "another", .partition = {"PK", LARDER_S}};
    const struct larder_index_def index = {.name = "another", .partition = {"G1S", LARDER_S}};
    struct larder_table *t;
    const struct larder_table_def *def;
    uint64_t used = used_bytes(f);
    PROC_CHECK(put_ballast(f, BALLAST_MAX + 1, LARDER_ITEM_BYTES_MAX - 100) == LARDER_E_FULL);
    must_explain();
    PROC_CHECK(put_ballast(f, f->ballast_count / 2, LARDER_ITEM_BYTES_MAX - 100) == LARDER_E_FULL);
    must_explain();
    /* Not one byte more. Fewer: what lay in a block of a larger class was moved to its own. */
    PROC_CHECK(used_bytes(f) <= used);
    int r = larder_table_create(f->db, &table); /* a small one may fit between */
    PROC_CHECK(r == LARDER_E_FULL || r == LARDER_OK);
    PROC_CHECK(larder_table_open(f->db, "another", &t) == (r ? LARDER_E_NO_TABLE : LARDER_OK));
    PROC_CHECK(r == LARDER_E_FULL || larder_table_drop(f->db, "another") == LARDER_OK);
    PROC_CHECK(larder_table_describe(f->c.table, &def) == LARDER_OK);
    uint32_t index_count = def->index_count;
    r = larder_index_add(f->c.table, &index);
    PROC_CHECK(r == LARDER_E_FULL || r == LARDER_OK || r == LARDER_E_EXISTS);
    PROC_CHECK(larder_table_describe(f->c.table, &def) == LARDER_OK);
    PROC_CHECK(def->index_count == index_count + (r == LARDER_OK));
    MUST(history_look(&f->c));
    must_be_clean(f);
}

/* Writes that may fit or not, of every size and with every change of index keys. Returns how many
 * did not. */
static uint32_t write_at_the_brink(struct fixture *f, uint32_t rounds) {
    uint32_t refused = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t key = (uint32_t)rng_below(&f->rng, KEYS);
        int r = history_write(&f->c, key);
        PROC_CHECK(r == LARDER_OK || r == LARDER_E_FULL);
        if (r == LARDER_E_FULL) {
            must_explain();
            refused++;
            MUST(history_get(&f->c, key));
            /* The same write would fail again: another item must be deleted, or put. */
            uint32_t n = (uint32_t)rng_below(&f->rng, BALLAST_MAX);
            r = rng_is_one_in(&f->rng, 2) ? delete_ballast(f, n % f->ballast_count)
                                          : put_ballast(f, n % f->ballast_count, (uint32_t)rng_below(&f->rng, 4000));
            PROC_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND || r == LARDER_E_FULL);
        }
        if (i % 50 == 0)
            MUST(history_look(&f->c));
        if (i % 500 == 0)
            must_be_clean(f);
    }
    return refused;
}

/* ---- A full segment -------------------------------------------------------------------------- */

static struct larder *smallest(void) {
    return testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
}

Test(full, a_write_that_does_not_fit_changes_nothing) {
    struct fixture f;
    begin(&f, smallest());
    fill_up(&f);
    live_with_full(&f);
    end(&f);
}

Test(full, deletes_make_room_again_and_again) {
    struct fixture f;
    uint32_t first = 0;
    begin(&f, smallest());
    for (int round = 0; round < 4; round++) {
        fill_up(&f);
        first = round == 0 ? f.ballast_count : first;
        cr_assert(f.ballast_count >= first * 9 / 10, "%u items fitted once, now %u", first, f.ballast_count);
        MUST(history_look(&f.c));
        empty_ballast(&f);
        must_be_clean(&f);
    }
    /* The history's items too, every one of which takes entries of five indexes along. */
    fill_up(&f);
    cr_assert_eq(history_empty(&f.c), LARDER_OK, "%s", larder_error());
    for (uint32_t k = 0; k < KEYS; k++)
        cr_assert(history_write(&f.c, k) >= LARDER_E_FULL);
    empty_ballast(&f);
    for (uint32_t k = 0; k < KEYS; k++)
        cr_assert_eq(history_write(&f.c, k), LARDER_OK, "%s", larder_error());
    end(&f);
}

Test(full, writes_at_the_brink_happen_or_do_not) {
    struct fixture f;
    begin(&f, smallest());
    fill_up(&f);
    uint32_t refused = write_at_the_brink(&f, (getenv("LARDER_TEST_LONG") ? 400000 : 4000) / SLOW_FACTOR);
    cr_assert(refused > 20, "only %u writes did not fit", refused);
    end(&f);
}

Test(full, an_overwrite_as_large_as_before_needs_room_for_both) {
    struct fixture f;
    begin(&f, smallest());
    fill_up(&f);
    /* old and new are there at once: it may or may not fit */
    for (uint32_t n = 0; n < f.ballast_count; n += 7) {
        int r = put_ballast(&f, n, BALLAST_BYTES);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s: %s", larder_result_name(r), larder_error());
    }
    end(&f);
}

/* ---- A full filesystem ----------------------------------------------------------------------- */

/* exists on every system: no test makes or removes a directory that another mounts on */
#define PLACE "/mnt"
#define TMPFS_MIB 8
/* exit code: a container or chroot does not let even root have mounts of its own */
#define NO_NAMESPACE 77

static int mount_small(const char *options, unsigned long flags) {
    return mount("tmpfs", PLACE, "tmpfs", flags, options);
}

/* A segment on a small filesystem of this child's own: no other process sees the mount, and it ends
 * with the child. 0: not allowed here. */
static int begin_on_small(struct fixture *f) {
    struct larder *db;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return 0;
    PROC_CHECK(mount_small("size=8m", 0) == 0);
    struct larder_options o = {
        .segment = PLACE "/segment", .flags = LARDER_CREATE, .size_bytes = 64u << 20, .stripe_count = 2};
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    begin(f, db);
    return 1;
}

static int fill_filesystem(void *arg) {
    struct fixture f;
    (void)arg;
    if (!begin_on_small(&f))
        return NO_NAMESPACE;
    fill_up(&f); /* a store beyond what the filesystem has would be SIGBUS */
    PROC_CHECK(used_bytes(&f) > (TMPFS_MIB << 20) / 2);
    live_with_full(&f);
    write_at_the_brink(&f, 300);
    PROC_CHECK(mount_small("size=16m", MS_REMOUNT) == 0); /* room was made */
    uint32_t before = f.ballast_count;
    fill_up(&f);
    PROC_CHECK(f.ballast_count > before + before / 3);
    live_with_full(&f);
    empty_ballast(&f);
    for (uint32_t i = 0; i < 4 * KEYS; i++)
        PROC_CHECK(history_write(&f.c, i % KEYS) == LARDER_OK);
    end(&f);
    return 0;
}

/* Another process's file takes what the segment has not claimed yet, and is then removed. */
static int share_filesystem(void *arg) {
    struct fixture f;
    (void)arg;
    if (!begin_on_small(&f))
        return NO_NAMESPACE;
    int fd = open(PLACE "/else", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    for (off_t bytes = 8 << 20; bytes >= 4096; bytes /= 2) /* every page that is left */
        for (off_t end = lseek(fd, 0, SEEK_END); fallocate(fd, 0, end, bytes) == 0; end += bytes)
            ;
    fill_up(&f);
    live_with_full(&f);
    PROC_CHECK(unlink(PLACE "/else") == 0 && close(fd) == 0);
    PROC_CHECK(put_ballast(&f, f.ballast_count++, 300000) == LARDER_OK);
    end(&f);
    return 0;
}

static void in_child(int (*run)(void *arg)) {
    if (geteuid() != 0)
        cr_skip_test("needs to be root to mount a small filesystem");
    struct proc_result r = proc_run(run, NULL, 60000);
    if (proc_is_exit(r, NO_NAMESPACE))
        cr_skip_test("may not have mounts of its own here");
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

Test(full, a_full_filesystem_is_no_signal) {
    in_child(fill_filesystem);
}

Test(full, a_filesystem_filled_by_others_is_no_signal) {
    in_child(share_filesystem);
}
