/* tests/unit/segment/seg_test.c - making, recognising and removing segments.
 *
 * Goal     One segment per name whatever dies or races; no foreign or damaged file is ever mapped, changed or removed;
 * what is refused says why. Method   Tables of bad options, names and files. Heads with every field broken in turn, and
 * with random bytes. Creators and destroyers that die at every crash point, in turn, with a successor. Real processes
 * racing for one name. A tmpfs that is too small, in a mount namespace of its own (as root).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/segment/live.h"
#include "core/segment/seg_layout.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(seg, .timeout = 120 * SLOW_FACTOR);

#define SMALL LARDER_SEGMENT_BYTES_MIN
#define MIB (UINT64_C(1) << 20)
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static struct larder_options options_of(const char *segment, uint32_t flags) {
    return (struct larder_options){.segment = segment, .flags = flags, .size_bytes = SMALL};
}

static int try_open(struct seg *s, const char *segment, uint32_t flags) {
    struct larder_options o = options_of(segment, flags);
    return seg_open(s, &o);
}

static int open_and_close(const char *segment, uint32_t flags) {
    struct seg s;
    int result = try_open(&s, segment, flags);
    seg_close(&s);
    return result;
}

static void must_open(struct seg *s, const char *segment, uint32_t flags) {
    int result = try_open(s, segment, flags);
    cr_assert(result == LARDER_OK, "%s: %s: %s", segment, larder_result_name(result), larder_error());
}

/* The result, and a message with `part` in it. */
#define EXPECT(call, expected, part)                                                                                   \
    do {                                                                                                               \
        int expect_result = (call);                                                                                    \
        cr_expect(expect_result == (expected), "%s is %s: %s", #call, larder_result_name(expect_result),               \
                  larder_error());                                                                                     \
        cr_expect(strstr(larder_error(), part), "\"%s\" does not speak of \"%s\"", larder_error(), part);              \
    } while (0)

/* A directory of the test's own. */
static void make_dir(char dir[64]) {
    snprintf(dir, 64, "/tmp/larder-test-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
}

static int exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static void write_file(const char *path, const void *data, size_t bytes) {
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    cr_assert(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && close(fd) == 0);
}

/* ---- Names and options ---- */

Test(seg, refuses_bad_names) {
    char too_long[202 + 1];
    memset(too_long, 'a', 202);
    too_long[202] = 0;
    const char *bad[] = {"", ".", "..", ".hidden", "a b", "a\n", "\xc3\xa4", "a:b", "a%s%n", too_long};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        EXPECT(open_and_close(bad[i], LARDER_CREATE), LARDER_E_INVAL, "a name is");
        EXPECT(seg_destroy(bad[i], LARDER_FORCE), LARDER_E_INVAL, "a name is");
    }
    too_long[200] = 0;
    cr_expect_eq(open_and_close(too_long, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK, "%s", larder_error());
    cr_expect_eq(seg_destroy(too_long, 0), LARDER_OK);
}

Test(seg, refuses_bad_options) {
    const struct {
        struct larder_options o;
        const char *message;
    } bad[] = {
        {{.flags = 128}, "flags"},
        {{.flags = LARDER_EXCLUSIVE}, "LARDER_EXCLUSIVE"},
        {{.flags = LARDER_REPAIR | LARDER_READ_ONLY}, "LARDER_REPAIR"},
        {{.flags = LARDER_CREATE | LARDER_READ_ONLY}, "LARDER_READ_ONLY"},
        {{.flags = LARDER_MEMFD, .memfd = -1}, "memfd"},
        {{.flags = LARDER_MEMFD | LARDER_CREATE, .memfd = -2}, "memfd"},
        {{.flags = LARDER_MEMFD, .memfd = 1000000}, "memfd"},
        {{.flags = LARDER_CREATE, .mode = 01600}, "mode"},
        {{.flags = LARDER_CREATE, .mode = 0444}, "mode"},
        {{.flags = LARDER_CREATE, .mode = 0602}, "mode"},
        {{.flags = LARDER_CREATE, .mode = 0620}, "mode"},
        {{.flags = LARDER_CREATE, .mode = 0630}, "mode"},
        {{.flags = LARDER_CREATE, .size_bytes = 1}, "4194304"},
        {{.flags = LARDER_CREATE, .size_bytes = SMALL - 1}, "4194304"},
        {{.flags = LARDER_CREATE, .size_bytes = SEG_BYTES_MAX + 1}, "too large"},
        {{.flags = LARDER_CREATE, .size_bytes = UINT64_MAX}, "too large"},
        {{.flags = LARDER_CREATE, .stripe_count = 1}, "stripe_count"},
        {{.flags = LARDER_CREATE, .stripe_count = 48}, "stripe_count"},
        {{.flags = LARDER_CREATE, .stripe_count = 131072}, "stripe_count"},
        {{.flags = LARDER_CREATE, .stripe_count = 65536, .size_bytes = SMALL}, "at least 8"},
    };
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct seg s;
        struct larder_options o = bad[i].o;
        o.segment = name;
        EXPECT(seg_open(&s, &o), LARDER_E_INVAL, bad[i].message);
        cr_expect(s.fd == -1 && s.base == NULL);
        cr_expect_eq(seg_destroy(name, LARDER_FORCE), LARDER_E_NO_SEGMENT, "case %zu left a file", i);
    }
}

/* ---- Geometry ---- */

static void check_areas(const struct seg_shm *h) {
    const uint64_t at[] = {h->slots_off, h->catalog_off, h->bins_off, h->shards_off, h->spans_off, h->data_off};
    const uint64_t bytes[] = {h->slot_count * sizeof(struct slot_shm),
                              LARDER_TABLES_MAX * sizeof(struct table_shm),
                              (uint64_t)h->arena_count * CLASS_COUNT * sizeof(struct bin_shm),
                              0,
                              (uint64_t)h->span_count * sizeof(struct span_shm),
                              (uint64_t)h->span_count * SPAN_BYTES};
    cr_assert_geq(at[0], sizeof *h);
    for (size_t i = 0; i < COUNT_OF(at); i++) {
        cr_assert_eq(at[i] % 64, 0);
        cr_assert_leq(at[i] + bytes[i], i + 1 < COUNT_OF(at) ? at[i + 1] : h->size_bytes, "area %zu", i);
    }
    cr_assert_eq(h->data_off % SPAN_BYTES, 0);
    cr_assert_lt(h->size_bytes - at[5] - bytes[5], SPAN_BYTES, "no span is wasted");
    cr_assert_leq(seg_layout_first_claim(h), h->size_bytes);
    cr_assert_geq(seg_layout_first_claim(h), h->data_off + 8ull * SPAN_BYTES);
}

Test(seg, geometry_holds_for_all_sizes) {
    for (uint64_t size = SMALL; size <= SEG_BYTES_MAX; size += size / 3) {
        struct seg_shm head;
        struct larder_options o = {.size_bytes = size};
        cr_assert_eq(seg_layout_plan(&head, &o, 4096), LARDER_OK, "%s", larder_error());
        cr_assert(head.size_bytes >= size && head.size_bytes % SEG_BYTES_STEP == 0);
        check_areas(&head);
        cr_assert_eq(seg_layout_check(&head, head.size_bytes, 4096, "x"), LARDER_OK, "%s", larder_error());
        EXPECT(seg_layout_check(&head, head.size_bytes - 1, 4096, "x"), LARDER_E_FORMAT, "truncated");
    }
    struct seg_shm small;
    cr_assert_eq(seg_layout_plan(&small, &(struct larder_options){.size_bytes = SMALL}, 4096), LARDER_OK);
    cr_assert_lt(small.data_off, SMALL / 16, "metadata of a small segment is small");
    cr_assert(small.stripe_count == 16 && small.slot_count == 64 && small.arena_count == 1 && small.shard_count == 1);
    cr_assert_eq(seg_layout_plan(&small, &(struct larder_options){0}, 4096), LARDER_OK);
    cr_assert(small.size_bytes == SEG_BYTES_DEFAULT && small.stripe_count == 4096 && small.slot_count == 1024);
    cr_assert_eq(seg_layout_plan(&small, &(struct larder_options){.size_bytes = SMALL + 1}, 2 * MIB), LARDER_OK);
    cr_assert_eq(small.size_bytes, 6 * MIB, "whole huge pages");
}

Test(seg, slots_follow_the_size_or_the_option) {
    const struct {
        uint64_t mib;
        uint32_t asked, slots;
    } cases[] = {
        {4, 0, 64},     {5, 0, 80},         {16, 0, 256}, {63, 0, 1008},   {64, 0, 1024},
        {256, 0, 1024}, {1 << 20, 0, 1024}, {4, 2, 2},    {4, 1000, 1000}, {64, LARDER_SLOTS_MAX, LARDER_SLOTS_MAX}};
    const uint32_t bad[] = {1, LARDER_SLOTS_MAX + 1, UINT32_MAX};
    struct seg_shm head;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct larder_options o = {.size_bytes = cases[i].mib * MIB, .slot_count = cases[i].asked};
        cr_assert_eq(seg_layout_plan(&head, &o, 4096), LARDER_OK, "%s", larder_error());
        cr_assert_eq(head.slot_count, cases[i].slots, "%u MiB: %u", (unsigned)cases[i].mib, head.slot_count);
        check_areas(&head);
        cr_assert_eq(seg_layout_check(&head, head.size_bytes, 4096, "x"), LARDER_OK, "%s", larder_error());
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT(seg_layout_plan(&head, &(struct larder_options){.slot_count = bad[i]}, 4096), LARDER_E_INVAL,
               "slot_count");
        cr_assert(strstr(larder_error(), "2 to 8192"), "%s", larder_error());
    }
    struct larder_options all = {.size_bytes = 4 * MIB, .slot_count = LARDER_SLOTS_MAX, .stripe_count = 8192};
    EXPECT(seg_layout_plan(&head, &all, 4096), LARDER_E_INVAL, "and slot_count 8192");
}

/* ---- A new segment ---- */

Test(seg, new_segment_is_whole_and_backed) {
    static const uint8_t no_uuid[16];
    char name[TESTSEG_NAME_MAX];
    struct seg a, b, r;
    struct stat st;
    testseg_name(name);
    umask(0777);
    must_open(&a, name, LARDER_CREATE | LARDER_EXCLUSIVE);
    cr_assert_eq(fstat(a.fd, &st), 0);
    cr_assert_eq(st.st_mode & 07777u, 0600, "the umask does not count");
    cr_assert_eq((uint64_t)st.st_size, SMALL);
    cr_assert_geq((uint64_t)st.st_blocks * 512,
                  a.shm->claimed_bytes - (a.data_off - seg_descriptors_end(&a, a.shm->claimed_bytes)), "rule G2");
    cr_assert(memcmp(a.shm->uuid, no_uuid, 16) != 0 && a.hash_seed != 0 && a.shm->created_s > 1600000000);
    for (const unsigned char *at = a.base + sizeof(struct seg_shm); at < a.base + a.shm->claimed_bytes; at++)
        cr_assert(*at == 0);

    must_open(&b, name, LARDER_CREATE);
    cr_assert(b.base != a.base && b.hash_seed == a.hash_seed && b.data_off == a.data_off);
    must_open(&r, name, LARDER_READ_ONLY);
    EXPECT(open_and_close(name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_E_EXISTS, name);
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(SHM_LOAD(&r.shm->state), SEG_STATE_DESTROYED);
    EXPECT(open_and_close(name, 0), LARDER_E_NO_SEGMENT, name);
    EXPECT(seg_destroy(name, LARDER_FORCE), LARDER_E_NO_SEGMENT, name);
    seg_close(&a);
    seg_close(&b);
    seg_close(&r);
    seg_close(&r); /* closing twice is nothing */
}

Test(seg, mode_is_as_asked) {
    char name[TESTSEG_NAME_MAX];
    struct seg s;
    struct stat st;
    testseg_name(name);
    umask(077);
    struct larder_options o = {.segment = name, .flags = LARDER_CREATE, .size_bytes = SMALL, .mode = 0664};
    cr_assert_eq(seg_open(&s, &o), LARDER_OK);
    cr_assert(fstat(s.fd, &st) == 0 && (st.st_mode & 07777u) == 0664);
    seg_close(&s);
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
}

static int store_to(void *arg) {
    const struct seg *s = arg;
    proc_expect_crash();
    *(volatile unsigned char *)(s->base + s->data_off) = 1;
    return 0;
}

Test(seg, read_only_mapping_cannot_be_written) {
    char name[TESTSEG_NAME_MAX];
    struct seg a, r;
    testseg_name(name);
    must_open(&a, name, LARDER_CREATE);
    must_open(&r, name, LARDER_READ_ONLY);
    cr_assert(proc_is_signal(proc_run(store_to, &r, 10000), SIGSEGV));
    cr_assert(proc_is_exit(proc_run(store_to, &a, 10000), 0));
    seg_close(&a);
    seg_close(&r);
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
}

Test(seg, memfd_is_sealed_and_can_be_attached) {
    struct seg a, b;
    struct larder_options o = options_of(NULL, LARDER_CREATE | LARDER_MEMFD), given = {.flags = LARDER_MEMFD};
    o.memfd = -1;
    cr_assert_eq(seg_open(&a, &o), LARDER_OK, "%s", larder_error());
    cr_assert(a.is_memfd && (fcntl(a.fd, F_GETFD) & FD_CLOEXEC));
    cr_assert_eq(ftruncate(a.fd, 4096), -1, "rule G2");
    given.memfd = a.fd;
    cr_assert_eq(seg_open(&b, &given), LARDER_OK, "%s", larder_error());
    cr_assert(b.fd != a.fd && b.base != a.base && b.hash_seed == a.hash_seed);
    seg_close(&b);
    given.flags |= LARDER_CREATE | LARDER_EXCLUSIVE;
    EXPECT(seg_open(&b, &given), LARDER_E_EXISTS, "memfd");
    given.flags = LARDER_MEMFD;

    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", a.fd);
    given.memfd = open(path, O_RDONLY);
    EXPECT(seg_open(&b, &given), LARDER_E_ACCESS, "reading and writing");
    given.flags |= LARDER_READ_ONLY;
    cr_assert_eq(seg_open(&b, &given), LARDER_OK, "%s", larder_error());
    seg_close(&b);
    close(given.memfd);
    given.memfd = open("/dev/null", O_RDWR);
    EXPECT(seg_open(&b, &given), LARDER_E_FORMAT, "regular");
    close(given.memfd);
    seg_close(&a);
}

Test(seg, empty_memfd_given_with_create_becomes_a_segment) {
    struct seg s;
    struct larder_options o = options_of(NULL, LARDER_CREATE | LARDER_MEMFD);
    o.memfd = memfd_create("test", MFD_CLOEXEC);
    cr_assert_eq(seg_open(&s, &o), LARDER_OK, "%s", larder_error());
    seg_close(&s);
    cr_assert_eq(fcntl(o.memfd, F_GETFD), FD_CLOEXEC, "still the caller's");
    cr_assert_eq(seg_open(&s, &o), LARDER_OK, "%s", larder_error());
    seg_close(&s);
    close(o.memfd);
}

/* ---- Files that are no segments ---- */

/* Nothing that is tried on it succeeds, and it is the same afterwards. */
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

Test(seg, leaves_foreign_files_alone) {
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

    EXPECT(open_and_close("/tmp/larder-no-such-directory/x", LARDER_CREATE), LARDER_E_NO_SEGMENT, "no directory");
    EXPECT(open_and_close("/dev/null", 0), LARDER_E_FORMAT, "not a regular file");
    EXPECT(open_and_close("/dev/null/x", 0), LARDER_E_NO_SEGMENT, "there is none");
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

Test(seg, refuses_a_head_with_any_field_wrong) {
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
        FIELD32(format_version, 7, "format version 7, this library reads 1 to 2"),
        FIELD32(page_bytes, 16384, "memory pages of 16384"),
        FIELD64(fingerprint, 1, "other layout"),
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
        FIELD32(slot_count, 65, "not possible"),
        FIELD32(slot_count, UINT32_MAX, "slot_count"),
        FIELD32(arena_count, 0, "arena_count"),
        FIELD32(arena_count, 2, "not possible"),
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

Test(seg, random_heads_never_mislead) {
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

Test(seg, truncated_segment_is_refused_and_removed_only_by_force) {
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

Test(seg, damaged_segment_destroyed_by_force_tells_those_attached) {
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

/* ---- Half-made segments ---- */

Test(seg, empty_file_is_taken_by_a_creator_only) {
    char dir[64], path[128];
    struct stat st;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    write_file(path, "", 0);
    cr_assert_eq(chmod(path, 0640), 0);
    EXPECT(open_and_close(path, 0), LARDER_E_FORMAT, "never finished");
    EXPECT(open_and_close(path, LARDER_READ_ONLY), LARDER_E_FORMAT, "never finished");
    EXPECT(seg_destroy(path, 0), LARDER_E_FORMAT, "never finished");
    EXPECT(open_and_close(path, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_E_EXISTS, "LARDER_EXCLUSIVE");
    cr_assert_eq(open_and_close(path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777u) == 0640, "a file that was put there keeps its mode");
    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    write_file(path, "", 0);
    cr_assert_eq(seg_destroy(path, LARDER_FORCE), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}

struct dying {
    const char *segment;
    uint64_t at; /* crash point */
    int is_destroyer;
};

static int run_dying(void *arg) {
    const struct dying *d = arg;
    shm_crash_arm(d->at);
    return d->is_destroyer ? -seg_destroy(d->segment, 0) : -open_and_close(d->segment, LARDER_CREATE);
}

/* Runs `d` in a child. True if it died at its crash point. */
static int dies(struct dying d) {
    struct proc_result r = proc_run(run_dying, &d, 20000);
    if (proc_is_signal(r, SIGKILL))
        return 1;
    cr_assert(proc_is_exit(r, 0), "point %llu: %s", (unsigned long long)d.at, proc_text(r));
    return 0;
}

/* What a dead creator or destroyer left is finished or refused by those who attach, and made good by a creator. */
static void judge_remains(const char *segment, uint64_t at) {
    struct seg s;
    int result = open_and_close(segment, 0);
    cr_assert(result == LARDER_OK || result == LARDER_E_FORMAT || result == LARDER_E_NO_SEGMENT, "point %llu: %s",
              (unsigned long long)at, larder_error());
    must_open(&s, segment, LARDER_CREATE);
    cr_assert_eq(SHM_LOAD(&s.shm->state), SEG_STATE_READY);
    for (const unsigned char *b = s.base + sizeof(struct seg_shm); b < s.base + s.shm->claimed_bytes; b++)
        cr_assert(*b == 0, "point %llu", (unsigned long long)at);
    seg_close(&s);
    cr_assert_eq(seg_destroy(segment, 0), LARDER_OK, "%s", larder_error());
}

static void creators_die(const char *segment) {
    uint64_t at = 1;
    for (; dies((struct dying){segment, at, 0}); at++)
        judge_remains(segment, at);
    cr_assert_geq(at, 5);
    cr_assert_eq(seg_destroy(segment, 0), LARDER_OK);
    /* The successor dies as well, at every point of its own. */
    for (uint64_t first = 1; first < at; first++)
        for (uint64_t second = 1; second < at; second++) {
            cr_assert(dies((struct dying){segment, first, 0}));
            (void)dies((struct dying){segment, second, 0});
            judge_remains(segment, first * 100 + second);
        }
}

Test(seg, creator_dies_at_every_point) {
    char name[TESTSEG_NAME_MAX], dir[64], path[128];
    testseg_name(name);
    creators_die(name);
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    creators_die(path);
    cr_assert_eq(rmdir(dir), 0);
}

Test(seg, half_made_segment_is_removed_only_by_force) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    cr_assert(dies((struct dying){name, 4, 0}));
    EXPECT(seg_destroy(name, 0), LARDER_E_FORMAT, "never finished");
    EXPECT(open_and_close(name, 0), LARDER_E_FORMAT, "never finished");
    cr_assert_eq(seg_destroy(name, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    EXPECT(open_and_close(name, 0), LARDER_E_NO_SEGMENT, "there is none");
}

/* True if the destroyer died. Those attached and those who come agree on what it left; somebody else finishes it. */
static int destroyer_dies(const char *segment, uint64_t at, int is_finished_by_creator) {
    struct seg s;
    must_open(&s, segment, LARDER_CREATE | LARDER_EXCLUSIVE);
    int is_dead = dies((struct dying){segment, at, 1});
    int is_destroyed = SHM_LOAD(&s.shm->state) == SEG_STATE_DESTROYED;
    seg_close(&s);
    cr_assert_eq(open_and_close(segment, 0), is_destroyed ? LARDER_E_NO_SEGMENT : LARDER_OK, "point %llu: %s",
                 (unsigned long long)at, larder_error());
    if (is_finished_by_creator)
        cr_assert_eq(open_and_close(segment, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(segment, 0), is_dead || is_finished_by_creator ? LARDER_OK : LARDER_E_NO_SEGMENT);
    return is_dead;
}

Test(seg, destroyer_dies_at_every_point) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    for (int by_creator = 0; by_creator < 2; by_creator++) {
        uint64_t at = 1;
        while (destroyer_dies(name, at, by_creator))
            at++;
        cr_assert_eq(at, 4, "before the mark, before the lock file goes and before the name does");
    }
}

/* ---- Races ---- */

struct race {
    const char *segment;
    uint32_t flags;
    _Atomic int is_on, ready, created, existed, failed, uuid_clashes;
    _Atomic uint64_t uuid;
};

static int race_once(void *arg) {
    struct race *race = arg;
    struct seg s;
    race->ready++;
    while (!race->is_on)
        sched_yield();
    int result = try_open(&s, race->segment, race->flags);
    if (result == LARDER_E_EXISTS)
        race->existed++;
    else if (result != LARDER_OK) {
        fprintf(stderr, "%s: %s\n", larder_result_name(result), larder_error());
        race->failed++;
    } else {
        uint64_t uuid, none = 0;
        memcpy(&uuid, s.shm->uuid, sizeof uuid);
        race->created++;
        if (!atomic_compare_exchange_strong(&race->uuid, &none, uuid) && none != uuid)
            race->uuid_clashes++;
    }
    seg_close(&s);
    return 0;
}

#define RACERS 8
#define RACES 50

static void run_race(struct race *race, const char *segment, uint32_t flags) {
    pid_t pids[RACERS];
    memset(race, 0, sizeof *race);
    race->segment = segment;
    race->flags = flags;
    for (int i = 0; i < RACERS; i++)
        pids[i] = proc_fork(race_once, race);
    cr_assert(UNTIL(race->ready == RACERS, 20000));
    race->is_on = 1;
    for (int i = 0; i < RACERS; i++)
        cr_assert(proc_is_exit(proc_wait(pids[i], 20000), 0));
    cr_assert_eq(race->failed, 0);
}

Test(seg, of_many_creators_one_creates) {
    char name[TESTSEG_NAME_MAX];
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(race, MAP_FAILED);
    testseg_name(name);
    for (int round = 0; round < RACES; round++) {
        run_race(race, name, LARDER_CREATE | LARDER_EXCLUSIVE);
        cr_assert(race->created == 1 && race->existed == RACERS - 1, "%d created", race->created);
        cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
        run_race(race, name, LARDER_CREATE);
        cr_assert(race->created == RACERS && race->uuid_clashes == 0, "%d attached", race->created);
        cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
        if (round % 5 == 0) { /* the same over what a dead creator left */
            cr_assert(dies((struct dying){name, 2 + (uint64_t)round / 5 % 4, 0}));
            run_race(race, name, LARDER_CREATE);
            cr_assert(race->created == RACERS && race->uuid_clashes == 0, "%d attached", race->created);
            cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
        }
    }
    munmap(race, sizeof *race);
}

#define ATTACHERS 5
#define MAKE_ROUNDS 200

struct making {
    char name[TESTSEG_NAME_MAX];
    _Atomic int is_over, attached;
};

static int make_and_destroy(void *arg) {
    struct making *making = arg;
    for (int i = 0; i < MAKE_ROUNDS; i++) {
        PROC_CHECK(open_and_close(making->name, LARDER_CREATE | LARDER_EXCLUSIVE) == LARDER_OK);
        PROC_CHECK(seg_destroy(making->name, 0) == LARDER_OK);
    }
    making->is_over = 1;
    return 0;
}

static int attach_on(void *arg) {
    struct making *making = arg;
    struct seg s;
    struct larder_options o = {.segment = making->name, .busy_timeout_ms = 10000};
    while (!making->is_over) {
        int result = seg_open(&s, &o);
        seg_close(&s);
        PROC_CHECK(result == LARDER_OK || result == LARDER_E_NO_SEGMENT);
        making->attached += result == LARDER_OK;
    }
    return 0;
}

/* A file that is being made is no broken segment: who attaches at that moment waits, or came too early. */
Test(seg, attacher_never_takes_the_making_for_damage) {
    pid_t pids[1 + ATTACHERS];
    struct making *making = mmap(NULL, sizeof *making, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(making, MAP_FAILED);
    testseg_name(making->name);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        pids[i] = proc_fork(i == 0 ? make_and_destroy : attach_on, making);
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        struct proc_result r = proc_wait(pids[i], 60000);
        cr_expect(proc_is_exit(r, 0), "%zu: %s", i, proc_text(r));
    }
    cr_expect_gt(making->attached, 0);
    munmap(making, sizeof *making);
}

/* What others do just before this process reads a head; once. Stands in for the C library's pread(). */
static const char *finish_before_pread;

ssize_t pread(int fd, void *to, size_t bytes, off_t at) {
    const char *segment = finish_before_pread;
    finish_before_pread = NULL;
    if (segment)
        cr_assert_eq(open_and_close(segment, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    return syscall(SYS_pread64, fd, to, bytes, at);
}

/* Found by the race of creators: the size was looked at before the state, and so could be older than READY. */
Test(seg, size_is_not_older_than_state) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    cr_assert(dies((struct dying){name, 3, 0}), "with a head and no size");
    finish_before_pread = name;
    cr_assert_eq(open_and_close(name, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(finish_before_pread, NULL);
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
}

#define CHURN_ROUNDS 300

/* Creates, checks that what it got is whole, destroys every other time. */
static int churn(void *arg) {
    struct rng r;
    rng_seed(&r, (uint64_t)getpid());
    for (int i = 0; i < CHURN_ROUNDS; i++) {
        struct seg s;
        int result = try_open(&s, arg, LARDER_CREATE);
        PROC_CHECK(result == LARDER_OK);
        PROC_CHECK(SHM_LOAD(&s.shm->state) != SEG_STATE_INITIALISING && s.shm->size_bytes == SMALL);
        seg_close(&s);
        if (rng_is_one_in(&r, 2)) {
            result = seg_destroy(arg, 0);
            PROC_CHECK(result == LARDER_OK || result == LARDER_E_NO_SEGMENT || result == LARDER_E_FORMAT);
        }
    }
    return 0;
}

static int churn_and_die(void *arg) {
    struct rng r;
    rng_seed(&r, (uint64_t)getpid());
    shm_crash_arm(1 + rng_below(&r, 40));
    return churn(arg);
}

Test(seg, creators_and_destroyers_and_deaths_converge) {
    char name[TESTSEG_NAME_MAX];
    pid_t pids[3];
    testseg_name(name);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        pids[i] = proc_fork(churn, name);
    for (int i = 0; i < 100; i++) {
        struct proc_result r = proc_run(churn_and_die, name, 30000);
        cr_assert(proc_is_signal(r, SIGKILL) || proc_is_exit(r, 0), "%s", proc_text(r));
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        struct proc_result r = proc_wait(pids[i], 30000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(open_and_close(name, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK, "%s", larder_error());
}

struct slow_creator {
    const char *path;
    _Atomic int is_locked, may_go;
};

/* Holds the creation lock of an empty file, then makes the segment after all. */
static int create_slowly(void *arg) {
    struct slow_creator *slow = arg;
    struct seg s = {.fd = open(slow->path, O_RDWR | O_CLOEXEC), .lock_page_bytes = 4096};
    void *lock;
    PROC_CHECK(s.fd >= 0 && live_take(&s, LIVE_CREATE_BYTE, &lock) == LARDER_OK);
    slow->is_locked = 1;
    PROC_CHECK(UNTIL(slow->may_go, 20000));
    live_drop(&s, lock);
    return -open_and_close(slow->path, LARDER_CREATE);
}

static int open_patiently(void *arg) {
    struct seg s;
    struct slow_creator *slow = arg;
    struct larder_options o = {.segment = slow->path, .busy_timeout_ms = 20000};
    int result = seg_open(&s, &o);
    seg_close(&s);
    return -result;
}

Test(seg, waits_for_a_living_creator_and_not_for_a_dead_one) {
    char dir[64], path[128];
    make_dir(dir);
    snprintf(path, sizeof path, "%s/seg", dir);
    write_file(path, "", 0);
    struct slow_creator *slow = mmap(NULL, sizeof *slow, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(slow, MAP_FAILED);
    *slow = (struct slow_creator){.path = path};
    pid_t creator = proc_fork(create_slowly, slow);
    cr_assert(UNTIL(slow->is_locked, 10000));
    const uint32_t flags[] = {0, LARDER_READ_ONLY, LARDER_CREATE};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct seg s;
        struct larder_options o = {.segment = path, .flags = flags[i], .size_bytes = SMALL, .busy_timeout_ms = 30};
        uint64_t begin = until_now_ms();
        EXPECT(seg_open(&s, &o), LARDER_E_BUSY, "still creating");
        cr_expect_geq(until_now_ms() - begin, 30);
    }
    pid_t waiter = proc_fork(open_patiently, slow);
    slow->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(creator, 20000), 0));
    cr_assert(proc_is_exit(proc_wait(waiter, 20000), 0), "it saw the segment come");

    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    write_file(path, "", 0);
    *slow = (struct slow_creator){.path = path};
    creator = proc_fork(create_slowly, slow);
    cr_assert(UNTIL(slow->is_locked, 10000));
    proc_kill(creator);
    cr_assert_eq(open_and_close(path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(path, 0), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
    munmap(slow, sizeof *slow);
}

/* ---- Limits of the system ---- */

#define NO_NAMESPACE 77 /* exit code: a container or chroot does not let even root have mounts of its own */

static int open_in_small_tmpfs(void *arg) {
    char path[128], other[128];
    struct seg s;
    snprintf(path, sizeof path, "%s/seg", (const char *)arg);
    snprintf(other, sizeof other, "%s/other", (const char *)arg);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return NO_NAMESPACE;
    PROC_CHECK(mount("none", arg, "tmpfs", 0, "size=2m") == 0);
    int fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* leaves less than a segment needs at first */
    PROC_CHECK(fd >= 0 && fallocate(fd, 0, 0, 7 * MIB / 4) == 0 && close(fd) == 0);
    struct larder_options o = {.segment = path, .flags = LARDER_CREATE, .size_bytes = 1024 * MIB};
    PROC_CHECK(seg_open(&s, &o) == LARDER_E_FULL && strstr(larder_error(), "no room"));
    PROC_CHECK(!exists(path));
    write_file(path, "", 0);
    PROC_CHECK(seg_open(&s, &o) == LARDER_E_FULL && exists(path));
    struct stat st;
    PROC_CHECK(stat(path, &st) == 0 && st.st_size == 0 && st.st_blocks == 0);
    PROC_CHECK(unlink(other) == 0);
    /* More than the tmpfs has, but what is needed at first fits: no span beyond has its descriptor. */
    PROC_CHECK(seg_open(&s, &o) == LARDER_OK);
    uint64_t claimed = s.shm->claimed_bytes, end = seg_descriptors_end(&s, claimed);
    PROC_CHECK(end < s.data_off && s.data_off < claimed);
    memset(s.base + sizeof(struct seg_shm), 1, end - sizeof(struct seg_shm)); /* no SIGBUS: rule G2 */
    memset(s.base + s.data_off, 1, claimed - s.data_off);
    seg_close(&s);
    return 0;
}

Test(seg, too_small_filesystem_is_full_and_stays_clean) {
    char dir[64];
    if (geteuid() != 0)
        cr_skip_test("needs root");
    make_dir(dir);
    struct proc_result r = proc_run(open_in_small_tmpfs, dir, 20000);
    cr_assert_eq(rmdir(dir), 0);
    if (proc_is_exit(r, NO_NAMESPACE))
        cr_skip_test("may not have mounts of its own here");
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

static int open_under_limits(void *arg) {
    struct seg s;
    struct larder_options o = options_of(arg, LARDER_CREATE);
    PROC_CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){SMALL - 1, RLIM_INFINITY}) == 0);
    PROC_CHECK(seg_open(&s, &o) == LARDER_E_FULL && strstr(larder_error(), "ulimit -f"));
    PROC_CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
    if (SLOW_FACTOR == 1) { /* the sanitizers need all the address space there is */
        o.size_bytes = UINT64_C(8) << 30;
        PROC_CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){UINT64_C(4) << 30, RLIM_INFINITY}) == 0);
        PROC_CHECK(seg_open(&s, &o) == LARDER_E_NO_MEMORY && strstr(larder_error(), "ulimit -v"));
    }
    PROC_CHECK(seg_open(&s, &(struct larder_options){.segment = arg}) == LARDER_E_NO_SEGMENT);
    return 0;
}

Test(seg, process_limits_are_errors) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    struct proc_result r = proc_run(open_under_limits, name, 20000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

static int try_as_nobody(void *arg) {
    PROC_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    PROC_CHECK(open_and_close(arg, 0) == LARDER_E_ACCESS && strstr(larder_error(), "owner uid 0, mode 0600"));
    PROC_CHECK(open_and_close(arg, LARDER_CREATE) == LARDER_E_ACCESS);
    PROC_CHECK(open_and_close(arg, LARDER_READ_ONLY) == LARDER_E_ACCESS);
    PROC_CHECK(seg_destroy(arg, LARDER_FORCE) == LARDER_E_ACCESS);
    return 0;
}

/* May write the segment, but not remove it from the sticky /dev/shm. */
static int try_as_guest(void *arg) {
    struct seg s;
    PROC_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    PROC_CHECK(try_open(&s, arg, LARDER_CREATE) == LARDER_E_ACCESS && strstr(larder_error(), "owner uid 0"));
    PROC_CHECK(try_open(&s, arg, LARDER_CREATE | LARDER_ANY_OWNER) == LARDER_OK);
    PROC_CHECK(seg_destroy(arg, LARDER_FORCE) == LARDER_E_ACCESS);
    PROC_CHECK(seg_destroy(arg, LARDER_FORCE | LARDER_ANY_OWNER) == LARDER_E_ACCESS);
    PROC_CHECK(SHM_LOAD(&s.shm->state) == SEG_STATE_READY);
    return 0;
}

Test(seg, permissions_decide) {
    char name[TESTSEG_NAME_MAX];
    struct seg s;
    if (geteuid() != 0)
        cr_skip_test("needs root");
    testseg_name(name);
    must_open(&s, name, LARDER_CREATE);
    struct proc_result r = proc_run(try_as_nobody, name, 20000);
    cr_expect(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert_eq(fchmod(s.fd, 0666), 0);
    cr_assert_eq(open_and_close(name, 0), LARDER_OK, "the lock file follows when the owner comes");
    r = proc_run(try_as_guest, name, 20000);
    cr_expect(proc_is_exit(r, 0), "%s", proc_text(r));
    seg_close(&s);
    cr_assert_eq(seg_destroy(name, 0), LARDER_OK);
}
