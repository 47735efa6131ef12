/* tests/api/readonly_test.c - a reader writes nothing.
 *
 * Goal     Promise 2, its second half: a reader stores nothing in the segment and works where it
 *          cannot. A read-only attachment shows at once all that a writing one shows, changes
 *          nothing whatever is called, takes no slot, and is enough for a process that may only
 *          read the file.
 * Method   The public functions. The mappings are looked up in /proc/self/maps, and a child really
 *          stores into one. The bytes of the segment are compared before and after every kind of
 *          read, through a writing attachment, too.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(readonly, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (8u << 20)
#define KEYS 60u
#define NOBODY 65534u

/* A named segment with history's table, its writing attachment, and its file. */
struct fixture {
    char name[TESTSEG_NAME_MAX], file[TESTSEG_NAME_MAX + 16];
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
};

static void must(const char *what) {
    cr_assert(what == NULL, "%s", what);
}

static void begin(struct fixture *f) {
    memset(f, 0, sizeof *f);
    testseg_name(f->name);
    snprintf(f->file, sizeof f->file, "/dev/shm/%s", f->name);
    f->h = history_new(KEYS, rng_test_seed("readonly"), &f->history_fd);
    f->db = testseg_open_named(f->name, SEGMENT_BYTES, 4);
    cr_assert_eq(history_table_create(f->db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_attach(&f->c, f->h, f->db), LARDER_OK, "%s", larder_error());
    for (uint32_t i = 0; i < 10 * KEYS; i++)
        cr_assert_eq(history_write(&f->c, i % KEYS), LARDER_OK, "%s", larder_error());
}

static void end(struct fixture *f) {
    larder_close(f->db);
    testseg_destroy(f->name);
    history_free(f->h);
    close(f->history_fd);
}

/* As children use it: a result instead of an assertion. */
static int try_open(const struct fixture *f, uint32_t flags, struct larder **db) {
    struct larder_options o = {.segment = f->name, .flags = flags};
    return larder_open(&o, db);
}

static struct larder *open_reader(const struct fixture *f) {
    struct larder *db = NULL;
    int r = try_open(f, LARDER_READ_ONLY, &db);
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), larder_error());
    return db;
}

/* ---- What it can do -------------------------------------------------------------------------- */

Test(readonly, shows_what_there_is_as_it_changes) {
    struct fixture f;
    struct history_client reader;
    begin(&f);
    cr_assert_eq(history_attach(&reader, f.h, open_reader(&f)), LARDER_OK, "%s", larder_error());
    must(history_look(&reader));
    for (uint32_t i = 0; i < 6 * KEYS; i++) {
        cr_assert_eq(history_write(&f.c, i * 7 % KEYS), LARDER_OK);
        must(history_get(&reader, i * 7 % KEYS));
        if (i % 16 == 0)
            must(history_look(&reader));
    }
    /* a reader sees the expiry of items that are not collected yet */
    atomic_fetch_add(&f.h->now_s, HISTORY_EXPIRY_SPAN / 2);
    must(history_look(&reader));
    larder_close(reader.db);
    end(&f);
}

Test(readonly, describes_and_counts) {
    struct fixture f;
    struct larder_segment_stats segment;
    struct larder_class_stats classes[64];
    struct larder_slot_stats slots[64];
    struct larder_table_stats *mine = malloc(sizeof *mine), *theirs = malloc(sizeof *theirs);
    struct larder_check_report report;
    struct larder_table *t;
    const struct larder_table_def *def;
    const char *names[4];
    uint32_t count, before;
    begin(&f);
    cr_assert_eq(larder_slot_stats(f.db, slots, 64, &before), LARDER_OK);
    struct larder *db = open_reader(&f);
    cr_assert_eq(larder_table_list(db, names, 4, &count), LARDER_OK);
    cr_assert(count == 1 && strcmp(names[0], HISTORY_TABLE) == 0);
    cr_assert_eq(larder_table_open(db, HISTORY_TABLE, &t), LARDER_OK);
    cr_assert_eq(larder_table_describe(t, &def), LARDER_OK);
    cr_assert(def->index_count == 4 && strcmp(def->ttl_attribute, "exp") == 0);
    cr_assert_eq(larder_segment_stats(db, &segment), LARDER_OK);
    cr_assert(segment.table_count == 1 && segment.used_bytes > 0);
    cr_assert_eq(larder_class_stats(db, classes, 64, &count), LARDER_OK);
    cr_assert_eq(larder_table_stats(t, mine), LARDER_OK);
    cr_assert_eq(larder_table_stats(f.c.table, theirs), LARDER_OK);
    cr_assert(mine->item_count == theirs->item_count && mine->item_bytes == theirs->item_bytes);
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.items, mine->item_count);
    cr_assert_eq(larder_slot_stats(db, slots, 64, &count), LARDER_OK);
    cr_assert_eq(count, before, "a reader takes no slot");
    larder_close(db);
    free(mine);
    free(theirs);
    end(&f);
}

/* ---- What it cannot do ----------------------------------------------------------------------- */

static void refused(const char *call, int r) {
    cr_assert_eq(r, LARDER_E_READ_ONLY, "%s: %s", call, larder_result_name(r));
    cr_assert(*larder_error(), "%s says nothing", call);
}

static void *bytes_of(const struct fixture *f, size_t *bytes) {
    struct stat st;
    int fd = open(f->file, O_RDONLY);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    unsigned char *copy = malloc((size_t)st.st_size);
    *bytes = (size_t)st.st_size;
    for (size_t have = 0; have < *bytes;) {
        ssize_t got = read(fd, copy + have, *bytes - have);
        cr_assert(got > 0);
        have += (size_t)got;
    }
    close(fd);
    return copy;
}

/* Every byte of the segment is what it was when `before` was taken. */
static void must_be_untouched(const struct fixture *f, unsigned char *before, const char *by) {
    size_t bytes;
    unsigned char *after = bytes_of(f, &bytes);
    for (size_t i = 0; i < bytes; i++)
        cr_assert(before[i] == after[i], "byte %zu of the segment was changed by %s", i, by);
    free(before);
    free(after);
}

Test(readonly, refuses_every_writing_call_and_changes_nothing) {
    struct fixture f;
    struct history_client reader;
    size_t bytes;
    uint64_t removed;
    begin(&f);
    const struct larder_table_def table = {.name = "another", .partition = {"PK", LARDER_S}};
    const struct larder_index_def index = {.name = "another", .partition = {"G1P", LARDER_S}};
    const struct larder_key key = {larder_str("P0"), larder_str("SK#000")};
    const struct larder_item *item;
    void *before = bytes_of(&f, &bytes);
    cr_assert_eq(history_attach(&reader, f.h, open_reader(&f)), LARDER_OK, "%s", larder_error());
    larder_builder_add_s(reader.builder, "PK", "P0");
    larder_builder_add_s(reader.builder, "SK", "SK#000");
    cr_assert_eq(larder_builder_finish(reader.builder, &item), LARDER_OK);
    refused("put", larder_put(reader.table, item, NULL));
    refused("put of a new key", larder_put(reader.table, item, reader.page));
    refused("delete", larder_delete(reader.table, &key, NULL));
    refused("table_create", larder_table_create(reader.db, &table));
    refused("table_drop", larder_table_drop(reader.db, HISTORY_TABLE));
    refused("table_drop of none", larder_table_drop(reader.db, "another"));
    refused("index_add", larder_index_add(reader.table, &index));
    refused("ttl_set", larder_ttl_set(reader.table, NULL));
    refused("removal_set", larder_removal_set(reader.table, LARDER_REMOVAL_RETAIN));
    refused("expire", larder_expire(reader.db, 0, &removed));
    refused("expirer_start", larder_expirer_start(reader.db));
    larder_expirer_stop(reader.db);
    must(history_look(&reader));
    must_be_untouched(&f, before, "calls that were refused");
    larder_close(reader.db);
    end(&f);
}

Test(readonly, reads_of_any_attachment_store_nothing) {
    struct fixture f;
    struct history_client other;
    size_t bytes;
    begin(&f);
    struct larder *db = NULL;
    cr_assert_eq(try_open(&f, 0, &db), LARDER_OK); /* takes its slot now */
    void *before = bytes_of(&f, &bytes);
    cr_assert_eq(history_attach(&other, f.h, db), LARDER_OK);
    for (int i = 0; i < 20; i++) {
        must(history_look(&other));
        must(history_look(&f.c));
    }
    must_be_untouched(&f, before, "reads of attachments that may write");
    larder_close(db);
    end(&f);
}

/* ---- The mapping ----------------------------------------------------------------------------- */

/* Calls fn for each mapping of the segment's file in this process; the number of them. */
static int for_each_mapping(const char *file, void (*fn)(void *arg, char *at, size_t bytes, const char *access),
                            void *arg) {
    char line[1024], access[8];
    unsigned long from, to, inode;
    unsigned major_number, minor_number;
    struct stat st;
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    PROC_CHECK(maps && stat(file, &st) == 0);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s %*x %x:%x %lu", &from, &to, access, &major_number, &minor_number, &inode) == 6 &&
            inode == st.st_ino && makedev(major_number, minor_number) == st.st_dev) {
            fn(arg, (char *)from, to - from, access);
            count++;
        }
    fclose(maps);
    return count;
}

static void must_be_readable_only(void *arg, char *at, size_t bytes, const char *access) {
    (void)arg;
    PROC_CHECK(strcmp(access, "r--s") == 0);
    PROC_CHECK(bytes > 0 && *(volatile char *)at == 'L'); /* the magic */
}

static int look_at_mapping(void *arg) {
    const struct fixture *f = arg;
    struct history_client reader;
    struct larder *db = NULL;
    PROC_CHECK(try_open(f, LARDER_READ_ONLY, &db) == LARDER_OK);
    PROC_CHECK(history_attach(&reader, f->h, db) == LARDER_OK);
    PROC_CHECK(history_look(&reader) == NULL);
    PROC_CHECK(for_each_mapping(f->file, must_be_readable_only, NULL) == 1);
    larder_close(db);
    return 0;
}

static void store_into(void *arg, char *at, size_t bytes, const char *access) {
    size_t place = *(const size_t *)arg;
    (void)access;
    if (place < bytes)
        *(volatile char *)(at + place) = 'x';
}

struct store {
    const struct fixture *f;
    size_t at;
};

static int store_into_mapping(void *arg) {
    const struct store *s = arg;
    struct larder *db = NULL;
    size_t at = s->at;
    PROC_CHECK(try_open(s->f, LARDER_READ_ONLY, &db) == LARDER_OK);
    proc_expect_crash();
    for_each_mapping(s->f->file, store_into, &at);
    return 0;
}

Test(readonly, mapping_cannot_be_written) {
    struct fixture f;
    begin(&f);
    larder_close(f.db); /* or children would inherit a mapping that can be written */
    struct proc_result r = proc_run(look_at_mapping, &f, 10000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    for (size_t at = 0; at < SEGMENT_BYTES; at += SEGMENT_BYTES / 5 + 64) {
        struct store store = {&f, at};
        r = proc_run(store_into_mapping, &store, 10000);
        cr_assert(proc_is_signal(r, SIGSEGV), "a store at byte %zu: %s", at, proc_text(r));
    }
    cr_assert_eq(try_open(&f, 0, &f.db), LARDER_OK);
    end(&f);
}

/* ---- Permissions ----------------------------------------------------------------------------- */

struct visit {
    const struct fixture *f;
    int may_read;
};

/* As a user who owns nothing. */
static int visit_as_nobody(void *arg) {
    const struct visit *v = arg;
    struct larder *db = NULL;
    struct history_client reader;
    PROC_CHECK(setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
    PROC_CHECK(try_open(v->f, 0, &db) == LARDER_E_ACCESS && db == NULL);
    PROC_CHECK(try_open(v->f, LARDER_CREATE, &db) == LARDER_E_ACCESS && db == NULL);
    int r = try_open(v->f, LARDER_READ_ONLY, &db);
    if (!v->may_read) {
        PROC_CHECK(r == LARDER_E_ACCESS && strstr(larder_error(), "permission"));
        return 0;
    }
    PROC_CHECK(r == LARDER_OK);
    PROC_CHECK(history_attach(&reader, v->f->h, db) == LARDER_OK);
    PROC_CHECK(history_look(&reader) == NULL);
    PROC_CHECK(larder_destroy(v->f->name, LARDER_FORCE) == LARDER_E_ACCESS);
    PROC_CHECK(history_look(&reader) == NULL);
    larder_close(db);
    return 0;
}

static void visit(const struct fixture *f, uid_t owner, mode_t mode, int may_read) {
    struct visit v = {f, may_read};
    cr_assert(chown(f->file, owner, owner) == 0 && chmod(f->file, mode) == 0);
    struct proc_result r = proc_run(visit_as_nobody, &v, 10000);
    cr_assert(proc_is_exit(r, 0), "owner %u, mode %04o: %s", (unsigned)owner, (unsigned)mode, proc_text(r));
}

Test(readonly, a_readable_file_is_enough) {
    struct fixture f;
    if (geteuid() != 0)
        cr_skip_test("needs to be root to become another user");
    begin(&f);
    visit(&f, NOBODY, 0400, 1);
    visit(&f, 0, 0444, 1);
    visit(&f, 0, 0640, 0);
    visit(&f, 0, 0400, 0);
    visit(&f, 0, 0600, 0);
    end(&f);
}

/* ---- Its end --------------------------------------------------------------------------------- */

Test(readonly, learns_that_its_segment_was_destroyed) {
    struct fixture f;
    struct history_client reader;
    const struct larder_key key = {larder_str("P0"), larder_str("SK#000")};
    begin(&f);
    cr_assert_eq(history_attach(&reader, f.h, open_reader(&f)), LARDER_OK);
    testseg_destroy(f.name);
    cr_assert_eq(larder_get(reader.table, &key, reader.page), LARDER_E_DESTROYED);
    cr_assert_eq(larder_scan(reader.table, &(struct larder_scan_spec){0}, reader.page), LARDER_E_DESTROYED);
    larder_close(reader.db);
    end(&f);
}
