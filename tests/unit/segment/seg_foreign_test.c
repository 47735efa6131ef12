/* tests/unit/segment/seg_foreign_test.c - files that are not segments.
 *
 * Goal     No foreign or damaged file is ever mapped, changed or removed. A refusal says why.
 * Method   Files of many kinds. Heads with every field wrong in turn, and with random bytes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/unit/segment/seg_kit.h"

TestSuite(seg_foreign, .timeout = 120 * SLOW_FACTOR);

/* Every call on the file fails, and it is the same afterwards. */
static void is_left_alone(const char *path, const char *part) {
    struct stat before, after;
    cr_assert_eq(lstat(path, &before), 0);
    const uint32_t flags[] = {0, LARDER_READ_ONLY, LARDER_CREATE, LARDER_CREATE | LARDER_EXCLUSIVE};
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        EXPECT(open_and_close(path, flags[i]), LARDER_E_FORMAT, part);
    EXPECT(seg_destroy(path, 0), LARDER_E_FORMAT, part);
    EXPECT(seg_destroy(path, LARDER_FORCE), LARDER_E_FORMAT, part);
    cr_assert_eq(lstat(path, &after), 0, "%s is gone", path);
    cr_expect(before.st_ino == after.st_ino && before.st_size == after.st_size && before.st_mode == after.st_mode &&
                  before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec,
              "%s was changed", path);
    (void)(S_ISDIR(before.st_mode) ? rmdir(path) : unlink(path));
}

Test(seg_foreign, leaves_foreign_files_alone) {
    char dir[64], path[128], other[128];
    unsigned char noise[16384];
    struct rng r;
    rng_seed(&r, rng_test_seed("seg"));
    rng_bytes(&r, noise, sizeof noise);
    make_dir(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(other, sizeof other, "%s/other", dir);

    const size_t sizes[] = {1, 7, 8, 100, sizeof(struct seg_shm), sizeof noise};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        write_file(path, noise, sizes[i]);
        is_left_alone(path, "not a Larder segment");
    }
    static const unsigned char zeros[16384];
    write_file(path, zeros, sizeof zeros);
    is_left_alone(path, "not a Larder segment");
    write_file(path, "\x7f\x45LF\2\1\1", 7);
    is_left_alone(path, "not a Larder segment");
    cr_assert_eq(mkdir(path, 0700), 0);
    is_left_alone(path, "not a regular file");
    cr_assert_eq(mkfifo(path, 0600), 0);
    is_left_alone(path, "not a regular file");
    cr_assert_eq(symlink(other, path), 0);
    is_left_alone(path, "symbolic link");
    cr_assert_not(exists(other));

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    is_left_alone(path, "not a regular file");
    close(fd);
    cr_assert_eq(rmdir(dir), 0, "something was left behind: %s", strerror(errno));

    EXPECT(open_and_close("/tmp/larder-no-such-directory/x", LARDER_CREATE), LARDER_E_NO_SEGMENT,
           "its directory does not exist");
    EXPECT(open_and_close("/dev/null", 0), LARDER_E_FORMAT, "not a regular file");
    EXPECT(open_and_close("/dev/null/x", 0), LARDER_E_NO_SEGMENT, "does not exist");
}

/* Breaks `bytes` bytes at `off` of a good segment, expects `part`, repairs it. */
static void break_head(const char *path, size_t off, const void *wrong, size_t bytes, const char *part) {
    unsigned char right[16];
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pread(fd, right, bytes, (off_t)off) == (ssize_t)bytes);
    cr_assert_eq(pwrite(fd, wrong, bytes, (off_t)off), (ssize_t)bytes);
    EXPECT(open_and_close(path, 0), LARDER_E_FORMAT, part);
    EXPECT(open_and_close(path, LARDER_READ_ONLY), LARDER_E_FORMAT, part);
    EXPECT(open_and_close(path, LARDER_CREATE), LARDER_E_FORMAT, part);
    EXPECT(seg_destroy(path, 0), LARDER_E_FORMAT, part);
    cr_assert_eq(pwrite(fd, right, bytes, (off_t)off), (ssize_t)bytes);
    close(fd);
    cr_assert_eq(open_and_close(path, 0), LARDER_OK, "%s", larder_error());
}

Test(seg_foreign, refuses_a_head_with_any_field_wrong) {
#define FIELD32(field, value, part)                                                                                    \
    { #field, offsetof(struct seg_shm, field), value, 4, part }
#define FIELD64(field, value, part)                                                                                    \
    { #field, offsetof(struct seg_shm, field), value, 8, part }
    const struct {
        const char *name;
        size_t off;
        uint64_t value;
        size_t bytes;
        const char *part;
    } wrong[] = {
        FIELD64(magic, 0, "not a Larder segment"),
        FIELD64(magic, SEG_MAGIC + 1, "not a Larder segment"),
        FIELD32(format_version, 7, "format version 7; this library reads 1 to 4"),
        FIELD32(page_bytes, 16384, "memory pages of 16384"),
        FIELD64(fingerprint, 1, "another layout"),
        FIELD64(size_bytes, SMALL * 2, "truncated: 4194304 bytes of 8388608"),
        FIELD64(size_bytes, SMALL / 2, "size_bytes"),
        FIELD64(size_bytes, SMALL - 1, "size_bytes"),
        FIELD64(size_bytes, UINT64_MAX, "size_bytes"),
        FIELD64(size_bytes, 0, "size_bytes"),
        FIELD32(state, 3, "state 3"),
        FIELD32(stripe_count, 0, "stripe_count"),
        FIELD32(stripe_count, 1, "stripe_count"),
        FIELD32(stripe_count, 17, "stripe_count"),
        FIELD32(stripe_count, 1u << 31, "stripe_count"),
        FIELD32(stripe_count, 32, "geometry"),
        FIELD64(hash_seed, 1, "hash seed"),
        FIELD64(created_s, 1, "identity"),
        FIELD64(sum, 1, "geometry"),
        FIELD32(state, 0, "state 0"),
        FIELD32(slot_count, 0, "slot_count"),
        FIELD32(slot_count, 65, "is invalid"),
        FIELD32(slot_count, UINT32_MAX, "slot_count"),
        FIELD32(arena_count, 0, "arena_count"),
        FIELD32(arena_count, 2, "is invalid"),
        FIELD32(arena_count, UINT32_MAX, "arena_count"),
        FIELD32(shard_count, 0, "shard_count"),
        FIELD32(shard_count, UINT32_MAX, "shard_count"),
        FIELD32(span_count, 0, "span_count"),
        FIELD32(span_count, UINT32_MAX, "span_count"),
        FIELD64(slots_off, 0, "slots_off"),
        FIELD64(catalog_off, UINT64_MAX, "catalog_off"),
        FIELD64(bins_off, 64, "bins_off"),
        FIELD64(shards_off, UINT64_MAX - 63, "shards_off"),
        FIELD64(spans_off, SMALL, "spans_off"),
        FIELD64(data_off, SMALL - SPAN_BYTES, "data_off"),
        FIELD64(data_off, 0, "data_off"),
    };
    char dir[64], path[128];
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    cr_assert_eq(open_and_close(path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        break_head(path, wrong[i].off, &wrong[i].value, wrong[i].bytes, wrong[i].part);
    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}

Test(seg_foreign, random_heads_never_mislead) {
    char dir[64], path[128];
    struct rng r;
    struct seg s;
    struct seg_shm good, bad;
    rng_seed(&r, rng_test_seed("seg"));
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    must_open(&s, path, LARDER_CREATE);
    int fd = dup(s.fd);
    cr_assert_eq(pread(fd, &good, sizeof good, 0), (ssize_t)sizeof good);
    seg_close(&s);
    for (int i = 0; i < 5000; i++) {
        bad = good;
        unsigned char *at = (unsigned char *)&bad + 8; /* the magic stays */
        for (uint64_t k = 1 + rng_below(&r, 3); k > 0; k--)
            at[rng_below(&r, offsetof(struct seg_shm, catalog_lock) - 8)] = (unsigned char)rng_next(&r);
        if (bad.state == SEG_STATE_DESTROYED)
            continue;
        cr_assert_eq(pwrite(fd, &bad, sizeof bad, 0), (ssize_t)sizeof bad);
        int result = seg_open(&s, &(struct larder_options){.segment = path, .busy_timeout_ms = 1});
        cr_assert(result == LARDER_OK || result == LARDER_E_FORMAT, "%s", larder_result_name(result));
        if (result == LARDER_OK) {
            cr_assert(s.bytes == SMALL && s.data_off + (uint64_t)s.span_count * SPAN_BYTES <= SMALL);
            cr_assert(s.slots_off == good.slots_off && s.spans_off == good.spans_off &&
                      s.span_count == good.span_count);
        }
        seg_close(&s);
    }
    close(fd);
    cr_assert_eq(seg_destroy(path, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(rmdir(dir), 0);
}

Test(seg_foreign, truncated_segment_is_refused_and_removed_only_by_force) {
    char dir[64], path[128];
    const off_t sizes[] = {SMALL - 1, 65536, 4096, sizeof(struct seg_shm), sizeof(struct seg_shm) - 1, 8};
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        cr_assert_eq(open_and_close(path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
        cr_assert_eq(truncate(path, sizes[i]), 0);
        EXPECT(open_and_close(path, 0), LARDER_E_FORMAT, "truncated");
        EXPECT(open_and_close(path, LARDER_CREATE), LARDER_E_FORMAT, "truncated");
        EXPECT(seg_destroy(path, 0), LARDER_E_FORMAT, "truncated");
        cr_assert(exists(path));
        cr_assert_eq(seg_destroy(path, LARDER_FORCE), LARDER_OK, "%s", larder_error());
        cr_assert_not(exists(path));
    }
    cr_assert_eq(rmdir(dir), 0);
}

Test(seg_foreign, damaged_segment_destroyed_by_force_tells_those_attached) {
    char name[TESTSEG_NAME_MAX];
    struct seg s;
    testseg_name(name);
    must_open(&s, name, LARDER_CREATE);
    s.shm->data_off = 12345;
    EXPECT(seg_destroy(name, 0), LARDER_E_FORMAT, "data_off");
    cr_assert_eq(SHM_LOAD(&s.shm->state), SEG_STATE_READY);
    cr_assert_eq(seg_destroy(name, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(SHM_LOAD(&s.shm->state), SEG_STATE_DESTROYED);
    seg_close(&s);
}
