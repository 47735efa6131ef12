/* tests/unit/segment/seg_test.c - a new segment: its names, options, geometry, memory and rights.
 *
 * Goal     What is asked for is made, whole and backed. An impossible request is refused, and the
 *          message says why.
 * Method   Tables of bad options and names. A tmpfs that is too small, in a mount namespace of its
 *          own (as root).
 * See also seg_foreign_test.c (files that are not segments), seg_birth_test.c (deaths and races).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/segment/seg_layout.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/unit/segment/seg_kit.h"

TestSuite(seg, .timeout = 120 * SLOW_FACTOR);

/* ---- Names and options ----------------------------------------------------------------------- */

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

/* ---- Geometry -------------------------------------------------------------------------------- */

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

/* Arenas follow the processors, as far as there is room for them. */
Test(seg, arenas_follow_the_processors) {
    static const struct {
        uint64_t mib;
        uint32_t processors, arenas;
    } cases[] = {{2, 1, 1},
                 {255, 64, 1},
                 {256, 2, 4},
                 {256, 4, 4},
                 {256, 5, 5},
                 {256, 64, 16},
                 {1024, 2, 4},
                 {1024, 48, 48},
                 {1024, 64, 64},
                 {1024, 200, 64},
                 {4095, 8, 8},
                 {4096, 2, 8},
                 {4096, 16, 16},
                 {4096, 64, 64},
                 {65536, 1, 8},
                 {65536, 128, 64},
                 {65536, 64, SEG_ARENAS_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(seg_layout_arenas(cases[i].mib * MIB, cases[i].processors), cases[i].arenas, "%llu MiB, %u",
                     (unsigned long long)cases[i].mib, cases[i].processors);
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

/* ---- A new segment --------------------------------------------------------------------------- */

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
    seg_close(&r); /* closing twice does nothing */
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

/* ---- Limits of the system -------------------------------------------------------------------- */

/* exit code: a container or chroot does not let even root have mounts of its own */
#define NO_NAMESPACE 77

static int open_in_small_tmpfs(void *arg) {
    char path[128], other[128];
    struct seg s;
    snprintf(path, sizeof path, "%s/seg", (const char *)arg);
    snprintf(other, sizeof other, "%s/other", (const char *)arg);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return NO_NAMESPACE;
    PROC_CHECK(mount("none", arg, "tmpfs", 0, "size=2m") == 0);
    /* leaves less than a segment needs at first */
    int fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    PROC_CHECK(fd >= 0 && fallocate(fd, 0, 0, 7 * MIB / 4) == 0 && close(fd) == 0);
    struct larder_options o = {.segment = path, .flags = LARDER_CREATE, .size_bytes = 1024 * MIB};
    PROC_CHECK(seg_open(&s, &o) == LARDER_E_FULL && strstr(larder_error(), "no room"));
    PROC_CHECK(!exists(path));
    write_file(path, "", 0);
    PROC_CHECK(seg_open(&s, &o) == LARDER_E_FULL && exists(path));
    struct stat st;
    PROC_CHECK(stat(path, &st) == 0 && st.st_size == 0 && st.st_blocks == 0);
    PROC_CHECK(unlink(other) == 0);
    /* More than the tmpfs has, but what is needed at first fits: spans beyond have no
     * descriptors. */
    PROC_CHECK(seg_open(&s, &o) == LARDER_OK);
    uint64_t claimed = s.shm->claimed_bytes, end = seg_descriptors_end(&s, claimed);
    PROC_CHECK(end < s.data_off && s.data_off < claimed);
    /* no SIGBUS: rule G2 */
    memset(s.base + sizeof(struct seg_shm), 1, end - sizeof(struct seg_shm));
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
