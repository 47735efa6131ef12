/* tests/api/errors_open_test.c - files that are not segments, names that are not allowed, what must
 * not be destroyed or touched.
 *
 * Goal     larder_open() and larder_destroy() refuse each with the result that larder.h promises,
 *          and a message that names what was wrong. The file stays as it is.
 * Method   Tables of files, each made for its row, and compared before and after.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/api/errors_kit.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"

TestSuite(errors_open, .timeout = 60 * SLOW_FACTOR);

/* ---- Files that are not segments ------------------------------------------------------------- */

#define PATH_BYTES 96

static void write_file(const char *path, const void *data, size_t bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
    close(fd);
}

/* A segment that goes by unlink() while no process is attached leaves its lock file. */
static void remove_lock_files(const char *dir) {
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d)) != NULL)
        if (strncmp(entry->d_name, ".larder-", 8) == 0)
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static void make_segment(const char *path) {
    struct larder *db;
    const struct larder_options o = {.segment = path, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    const struct larder_table_def def = {
        .name = "table", .partition = {"pk", LARDER_S}, .removal = LARDER_REMOVAL_RETAIN};
    EXPECT(larder_open(&o, &db), LARDER_OK);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    larder_close(db);
}

/* A segment with one field of its head changed. */
static void make_changed(const char *path, size_t offset, uint64_t value, size_t bytes) {
    make_segment(path);
    int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, &value, bytes, (off_t)offset) == (ssize_t)bytes);
    close(fd);
}
#define CHANGED(function, field, value)                                                                                \
    static void function(const char *path) {                                                                           \
        struct seg_shm *head = NULL;                                                                                   \
        make_changed(path, offsetof(struct seg_shm, field), (value), sizeof head->field);                              \
    }
CHANGED(make_version_5, format_version, 5)
CHANGED(make_fingerprint, fingerprint, 12345)
CHANGED(make_page_bytes, page_bytes, 512)
CHANGED(make_state, state, 9)
CHANGED(make_stripes, stripe_count, 3)
CHANGED(make_slots, slot_count, 0xffffffff)
CHANGED(make_arenas, arena_count, 0)
CHANGED(make_shards, shard_count, 77)
CHANGED(make_spans, span_count, 0xffffffff)
CHANGED(make_size, size_bytes, UINT64_MAX)
CHANGED(make_larger, size_bytes, 64 * MIB)
CHANGED(make_data_off, data_off, 64)
CHANGED(make_catalog_off, catalog_off, UINT64_MAX - 8)
CHANGED(make_half_made, state, SEG_STATE_INITIALISING)

static void make_text(const char *path) {
    write_file(path, "This is no segment.\n", 20);
}
static void make_zeros(const char *path) {
    static const char zeros[65536];
    write_file(path, zeros, sizeof zeros);
}
static void make_large_text(const char *path) {
    fill_many();
    write_file(path, many, sizeof many);
}
static void make_empty(const char *path) {
    write_file(path, "", 0);
}
static void make_magic_only(const char *path) {
    const uint64_t magic = SEG_MAGIC;
    write_file(path, &magic, sizeof magic);
}
static void make_head_cut(const char *path) {
    make_segment(path);
    cr_assert_eq(truncate(path, sizeof(struct seg_shm) - 1), 0);
}
static void make_half(const char *path) {
    make_segment(path);
    cr_assert_eq(truncate(path, LARDER_SEGMENT_BYTES_MIN / 2), 0);
}
static void make_byte_short(const char *path) {
    make_segment(path);
    cr_assert_eq(truncate(path, LARDER_SEGMENT_BYTES_MIN - 1), 0);
}
static void make_directory(const char *path) {
    cr_assert_eq(mkdir(path, 0700), 0);
}
static void make_fifo(const char *path) {
    cr_assert_eq(mkfifo(path, 0600), 0);
}
static void make_link(const char *path) {
    char target[PATH_BYTES];
    snprintf(target, sizeof target, "%s.target", path);
    make_segment(target);
    cr_assert_eq(symlink(target, path), 0);
}

static const struct file_row {
    const char *name;
    void (*make)(const char *path); /* NULL: there is nothing */
    struct larder_options options;
    int expected;
    const char *words[WORDS_MAX];
} file_rows[] = {
#define ATTACH                                                                                                         \
    { 0 }
#define CREATE                                                                                                         \
    { .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN }
    {"nothing", NULL, ATTACH, LARDER_E_NO_SEGMENT, {"does not exist"}},
    {"nothing, read-only", NULL, {.flags = LARDER_READ_ONLY}, LARDER_E_NO_SEGMENT, {"does not exist"}},
    {"text", make_text, ATTACH, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"text, to create", make_text, CREATE, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"zeros", make_zeros, CREATE, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"long text", make_large_text, CREATE, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"empty file", make_empty, ATTACH, LARDER_E_FORMAT, {"never finished", "LARDER_CREATE"}},
    {"magic only", make_magic_only, CREATE, LARDER_E_FORMAT, {"truncated", "4194304"}},
    {"head cut off", make_head_cut, CREATE, LARDER_E_FORMAT, {"truncated"}},
    {"half a segment", make_half, ATTACH, LARDER_E_FORMAT, {"truncated", "2097152 bytes of 4194304"}},
    {"half a segment, read-only", make_half, {.flags = LARDER_READ_ONLY}, LARDER_E_FORMAT, {"truncated"}},
    {"a byte short", make_byte_short, ATTACH, LARDER_E_FORMAT, {"truncated", "4194303 bytes of 4194304"}},
    {"version 5", make_version_5, ATTACH, LARDER_E_FORMAT, {"format version 5", "reads 1 to 4"}},
    {"version 5, to create", make_version_5, CREATE, LARDER_E_FORMAT, {"format version 5"}},
    {"other layout", make_fingerprint, ATTACH, LARDER_E_FORMAT, {"another layout"}},
    {"other pages", make_page_bytes, ATTACH, LARDER_E_FORMAT, {"pages of 512 bytes"}},
    {"state 9", make_state, ATTACH, LARDER_E_FORMAT, {"damaged", "state 9"}},
    {"half made", make_half_made, ATTACH, LARDER_E_FORMAT, {"never finished"}},
    {"3 stripes", make_stripes, ATTACH, LARDER_E_FORMAT, {"damaged", "stripe_count 3"}},
    {"too many slots", make_slots, ATTACH, LARDER_E_FORMAT, {"damaged", "slot_count"}},
    {"no arenas", make_arenas, ATTACH, LARDER_E_FORMAT, {"damaged", "arena_count 0"}},
    {"77 shards", make_shards, ATTACH, LARDER_E_FORMAT, {"damaged", "shard_count 77"}},
    {"too many spans", make_spans, ATTACH, LARDER_E_FORMAT, {"damaged", "span_count"}},
    {"endless", make_size, ATTACH, LARDER_E_FORMAT, {"damaged", "size_bytes"}},
    {"larger than its file", make_larger, ATTACH, LARDER_E_FORMAT, {"truncated", "67108864"}},
    {"data in the head", make_data_off, ATTACH, LARDER_E_FORMAT, {"damaged", "data_off 64"}},
    {"catalog nowhere", make_catalog_off, ATTACH, LARDER_E_FORMAT, {"damaged", "catalog_off"}},
    {"directory", make_directory, CREATE, LARDER_E_FORMAT, {"not a regular file"}},
    {"FIFO", make_fifo, CREATE, LARDER_E_FORMAT, {"not a regular file"}},
    {"symbolic link", make_link, ATTACH, LARDER_E_FORMAT, {"symbolic link"}},
    {"there already", make_segment, {.flags = LARDER_CREATE | LARDER_EXCLUSIVE}, LARDER_E_EXISTS, {"exists already"}},
    {"too small",
     NULL,
     {.flags = LARDER_CREATE, .size_bytes = 100000},
     LARDER_E_INVAL,
     {"100000", "too small", "4194304"}},
    {"too small for its stripes",
     NULL,
     {.flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN, .stripe_count = 65536},
     LARDER_E_INVAL,
     {"too small", "stripe_count 65536", "at least"}},
    {"too large",
     NULL,
     {.flags = LARDER_CREATE, .size_bytes = UINT64_C(1) << 62},
     LARDER_E_INVAL,
     {"too large", "at most"}},
    {"5 stripes", NULL, {.flags = LARDER_CREATE, .stripe_count = 5}, LARDER_E_INVAL, {"stripe_count 5", "power of 2"}},
    {"mode without read", NULL, {.flags = LARDER_CREATE, .mode = 0200}, LARDER_E_INVAL, {"mode", "0600"}},
    {"mode beyond", NULL, {.flags = LARDER_CREATE, .mode = 07777}, LARDER_E_INVAL, {"mode"}},
    {"unknown flag", NULL, {.flags = 128}, LARDER_E_INVAL, {"flags 0x80"}},
    {"exclusive only", NULL, {.flags = LARDER_EXCLUSIVE}, LARDER_E_INVAL, {"LARDER_EXCLUSIVE"}},
    {"create read-only", NULL, {.flags = LARDER_CREATE | LARDER_READ_ONLY}, LARDER_E_INVAL, {"LARDER_READ_ONLY"}},
#undef ATTACH
#undef CREATE
};

/* A file's bytes, or none. */
struct content {
    size_t bytes;
    char *data;
    struct stat st;
};

static struct content content_of(const char *path) {
    struct content c = {0};
    if (lstat(path, &c.st) != 0 || !S_ISREG(c.st.st_mode))
        return c;
    int fd = open(path, O_RDONLY);
    c.data = malloc((size_t)c.st.st_size + 1);
    ssize_t got = fd >= 0 && c.data ? read(fd, c.data, (size_t)c.st.st_size) : -1;
    cr_assert_eq(got, c.st.st_size);
    c.bytes = (size_t)got;
    close(fd);
    return c;
}

static void expect_refused(const struct file_row *row, const char *path) {
    struct larder_options options = row->options;
    struct larder *db = NULL;
    options.segment = path;
    options.busy_timeout_ms = 300;
    struct content before = content_of(path);
    int r = larder_open(&options, &db);
    cr_expect_eq(r, row->expected, "%s gives %s: %s", row->name, larder_result_name(r), larder_error());
    cr_expect_null(db, "%s: outputs are written on success only", row->name);
    expect_words(row->name, row->words);
    struct content after = content_of(path);
    cr_expect(before.bytes == after.bytes && before.st.st_mode == after.st.st_mode &&
                  (!before.bytes || memcmp(before.data, after.data, before.bytes) == 0),
              "%s: the file changed", row->name);
    free(before.data);
    free(after.data);
}

Test(errors_open, files_that_are_no_segments) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[PATH_BYTES], target[PATH_BYTES + 8];
    cr_assert_not_null(mkdtemp(dir));
    for (size_t i = 0; i < COUNT(file_rows); i++) {
        snprintf(path, sizeof path, "%s/seg", dir);
        snprintf(target, sizeof target, "%s.target", path);
        if (file_rows[i].make)
            file_rows[i].make(path);
        expect_refused(&file_rows[i], path);
        if (unlink(path) != 0)
            (void)rmdir(path);
        (void)unlink(target);
        remove_lock_files(dir);
    }
    cr_assert_eq(rmdir(dir), 0, "nothing else was made");
}

Test(errors_open, names_that_are_none) {
    static const char *const bad[] = {"", ".hidden", "a b", "name\n", "\xc3\xa4", "/no/such/directory/seg"};
    char long_name[400];
    struct larder *db = NULL;
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    for (size_t i = 0; i <= COUNT(bad); i++) {
        const char *name = i < COUNT(bad) ? bad[i] : long_name;
        const struct larder_options o = {
            .segment = name, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
        int expected = strchr(name, '/') ? LARDER_E_NO_SEGMENT : LARDER_E_INVAL;
        EXPECT(larder_open(&o, &db), expected);
        cr_assert(strstr(larder_error(), strchr(name, '/') ? "its directory does not exist" : "a name is 1 to"), "%s",
                  larder_error());
        EXPECT(larder_destroy(name, LARDER_FORCE), expected);
    }
    cr_assert_null(db);
}

/* ---- Destroying ------------------------------------------------------------------------------ */

static const struct destroy_row {
    const char *name;
    void (*make)(const char *path);
    int force, expected;
    const char *words[WORDS_MAX];
} destroy_rows[] = {
    {"nothing", NULL, 1, LARDER_E_NO_SEGMENT, {"does not exist"}},
    {"text", make_text, 0, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"text, by force", make_text, 1, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"long text, by force", make_large_text, 1, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"retained table", make_segment, 0, LARDER_E_RETAINED, {"\"table\"", "Retain", "LARDER_FORCE"}},
    {"half made", make_half_made, 0, LARDER_E_FORMAT, {"never finished", "LARDER_FORCE"}},
    {"version 5", make_version_5, 0, LARDER_E_FORMAT, {"format version 5"}},
    {"half a segment", make_half, 0, LARDER_E_FORMAT, {"truncated"}},
};

Test(errors_open, destroying_what_must_not_be) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[PATH_BYTES];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/seg", dir);
    for (size_t i = 0; i < COUNT(destroy_rows); i++) {
        const struct destroy_row *row = &destroy_rows[i];
        if (row->make)
            row->make(path);
        struct content before = content_of(path);
        int r = larder_destroy(path, row->force ? LARDER_FORCE : 0);
        cr_expect_eq(r, row->expected, "%s gives %s: %s", row->name, larder_result_name(r), larder_error());
        expect_words(row->name, row->words);
        struct content after = content_of(path);
        cr_expect(before.bytes == after.bytes && (!before.bytes || memcmp(before.data, after.data, before.bytes) == 0),
                  "%s: the file changed", row->name);
        free(before.data);
        free(after.data);
        (void)unlink(path);
        remove_lock_files(dir);
    }
    cr_assert_eq(rmdir(dir), 0);
}

/* ---- Permission ------------------------------------------------------------------------------ */

/* As a user who owns nothing here. */
static int open_as_nobody(void *arg) {
    struct larder *db = NULL;
    const char *path = arg;
    const struct larder_options o = {.segment = path}, read_only = {.segment = path, .flags = LARDER_READ_ONLY};
    PROC_CHECK(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    PROC_CHECK(larder_open(&o, &db) == LARDER_E_ACCESS);
    PROC_CHECK(strstr(larder_error(), "no permission to read and write") && strstr(larder_error(), path));
    PROC_CHECK(larder_open(&read_only, &db) == LARDER_E_ACCESS);
    PROC_CHECK(strstr(larder_error(), "no permission to read"));
    PROC_CHECK(larder_destroy(path, LARDER_FORCE) == LARDER_E_ACCESS && db == NULL);
    return 0;
}

Test(errors_open, no_permission) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[PATH_BYTES];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/seg", dir);
    make_segment(path);
    struct content before = content_of(path);
    for (int is_dir_open = 0; is_dir_open < 2; is_dir_open++) {
        cr_assert_eq(chmod(dir, is_dir_open ? 0755 : 0), 0);
        cr_assert(geteuid() == 0 || !is_dir_open || chmod(path, 0) == 0);
        struct proc_result r = proc_run(open_as_nobody, path, 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(chmod(path, 0600), 0);
    struct content after = content_of(path);
    cr_assert(before.bytes == after.bytes && memcmp(before.data, after.data, before.bytes) == 0);
    free(before.data);
    free(after.data);
    EXPECT(larder_destroy(path, LARDER_FORCE), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}
