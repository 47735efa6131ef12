/* tests/api/open_test.c - larder_open(), larder_close(), larder_memfd() and larder_destroy().
 *
 * Goal     What larder.h says of segments holds for a program that knows nothing else: flags,
 *          results, messages, which process sees which data, what stays of a destroyed segment,
 *          nothing left open or mapped.
 * Method   The public functions only, on names, paths and memfds; other processes by fork.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(open, .timeout = 60 * SLOW_FACTOR);

#define SMALL LARDER_SEGMENT_BYTES_MIN
#define ROUNDS 200

static int try_open(const char *segment, uint32_t flags, struct larder **db) {
    struct larder_options o = {.segment = segment, .flags = flags, .size_bytes = SMALL};
    return larder_open(&o, db);
}

static struct larder *must_open(const char *segment, uint32_t flags) {
    struct larder *db = NULL;
    int result = try_open(segment, flags, &db);
    cr_assert(result == LARDER_OK, "%s: %s", larder_result_name(result), larder_error());
    return db;
}

static int create_table(struct larder *db, enum larder_removal removal) {
    struct larder_table_def def = {.name = "things", .partition = {"PK", LARDER_S}, .removal = removal};
    return larder_table_create(db, &def);
}

static int has_table(struct larder *db) {
    struct larder_table *t;
    return larder_table_open(db, "things", &t) == LARDER_OK;
}

/* ---- Flags ----------------------------------------------------------------------------------- */

Test(open, create_attach_exclusive) {
    char name[TESTSEG_NAME_MAX];
    struct larder *db = NULL;
    testseg_name(name);
    cr_assert_eq(try_open(name, 0, &db), LARDER_E_NO_SEGMENT);
    cr_assert(strstr(larder_error(), name) && db == NULL, "outputs are written on success only");
    cr_assert_eq(try_open(name, LARDER_READ_ONLY, &db), LARDER_E_NO_SEGMENT);
    struct larder *creator = must_open(name, LARDER_CREATE | LARDER_EXCLUSIVE);
    cr_assert_eq(try_open(name, LARDER_CREATE | LARDER_EXCLUSIVE, &db), LARDER_E_EXISTS);
    struct larder *attached = must_open(name, LARDER_CREATE), *reader = must_open(name, LARDER_READ_ONLY);
    cr_assert_eq(create_table(creator, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    cr_assert(has_table(attached) && has_table(reader));
    cr_assert_eq(create_table(reader, LARDER_REMOVAL_DELETE), LARDER_E_READ_ONLY);
    cr_assert_eq(larder_memfd(creator), -1);
    larder_close(creator);
    larder_close(attached);
    larder_close(reader);
    db = must_open(name, 0);
    cr_assert(has_table(db), "a segment outlives its processes");
    larder_close(db);
    testseg_destroy(name);
}

Test(open, refuses_what_means_nothing) {
    struct larder *db = NULL;
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    cr_assert_eq(try_open(name, LARDER_EXCLUSIVE, &db), LARDER_E_INVAL);
    cr_assert_eq(try_open(name, LARDER_CREATE | LARDER_READ_ONLY, &db), LARDER_E_INVAL);
    cr_assert_eq(try_open(name, 0x80, &db), LARDER_E_INVAL);
    cr_assert_eq(try_open("", LARDER_CREATE, &db), LARDER_E_INVAL);
    cr_assert_eq(larder_open(&(struct larder_options){.segment = name, .flags = LARDER_CREATE, .size_bytes = 1}, &db),
                 LARDER_E_INVAL);
    cr_assert_eq(larder_open(&(struct larder_options){.segment = name, .flags = LARDER_CREATE}, NULL), LARDER_E_INVAL);
    cr_assert(*larder_error() && db == NULL);
    cr_assert_eq(larder_destroy(name, LARDER_FORCE), LARDER_E_NO_SEGMENT, "nothing was made");
    larder_close(NULL);
}

Test(open, path_is_a_file) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[64];
    struct stat st;
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/seg", dir);
    struct larder *db = must_open(path, LARDER_CREATE), *other;
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777u) == 0600 && (uint64_t)st.st_size == SMALL);
    cr_assert_eq(chdir(dir), 0);
    other = must_open("./seg", 0);
    cr_assert_eq(create_table(db, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    cr_assert(has_table(other));
    larder_close(db);
    larder_close(other);
    cr_assert_eq(larder_destroy("./seg", 0), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}

Test(open, sizes_and_stripes_are_reported) {
    struct larder *db;
    struct larder_segment_stats stats;
    struct larder_options o = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = SMALL + 1, .stripe_count = 32};
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    cr_assert(stats.size_bytes == SMALL + 65536 && stats.stripe_count == 32 && stats.format_version == 3);
    cr_assert(stats.claimed_bytes > 0 && stats.claimed_bytes <= stats.size_bytes);
    larder_close(db);
}

/* How this kernel treats advised shared memory: see "Huge pages" of larder_open(). */
static int has_advised_huge_pages(void) {
    char line[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "r");
    if (f && !fgets(line, sizeof line, f))
        line[0] = 0;
    if (f)
        (void)fclose(f);
    return strstr(line, "[advise]") || strstr(line, "[within_size]") || strstr(line, "[always]");
}

/* Of this process's shared mappings: kilobytes in huge pages, and whether one was advised. */
static uint64_t shared_huge_kb(int *is_advised) {
    char line[4096];
    uint64_t kb = 0;
    int is_memfd = 0;
    FILE *f = fopen("/proc/self/smaps", "r");
    cr_assert(f != NULL);
    *is_advised = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long long from, to, mapped;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            is_memfd = strstr(line, "/memfd:larder") != NULL;
        if (is_memfd && sscanf(line, "ShmemPmdMapped: %llu", &mapped) == 1)
            kb += mapped;
        if (is_memfd && strncmp(line, "VmFlags:", 8) == 0)
            *is_advised |= strstr(line, " hg") != NULL;
    }
    (void)fclose(f);
    return kb;
}

/* Eight megabytes of items: as much is claimed. */
static void fill(struct larder *db) {
    static char text[200000];
    struct larder_table *t;
    struct larder_builder *b;
    const struct larder_item *item;
    char key[16];
    memset(text, 'x', sizeof text);
    cr_assert(larder_table_open(db, "things", &t) == LARDER_OK && larder_builder_new(db, &b) == LARDER_OK);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%d", i);
        larder_builder_reset(b);
        larder_builder_add_s(b, "PK", key);
        larder_builder_add_sn(b, "text", text, sizeof text);
        cr_assert(larder_builder_finish(b, &item) == LARDER_OK && larder_put(t, item, NULL) == LARDER_OK, "%s",
                  larder_error());
    }
}

Test(open, huge_pages_are_a_hint) {
    int is_advised;
    for (int is_asked = 0; is_asked < 2; is_asked++) {
        struct larder *db;
        struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD | (is_asked ? LARDER_HUGE_PAGES : 0),
                                   .memfd = -1,
                                   .size_bytes = 64 << 20};
        cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
        cr_assert_eq(create_table(db, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
        fill(db);
        uint64_t kb = shared_huge_kb(&is_advised);
        cr_assert_eq(is_advised, is_asked, "advice on the mapping: %d, asked for: %d", is_advised, is_asked);
        if (is_asked && has_advised_huge_pages())
            cr_assert_geq(kb, 4096, "%llu KB of 8 MB lie in huge pages", (unsigned long long)kb);
        struct larder *other;
        o.flags = LARDER_MEMFD | LARDER_HUGE_PAGES | LARDER_READ_ONLY;
        o.memfd = larder_memfd(db);
        cr_assert_eq(larder_open(&o, &other), LARDER_OK, "%s", larder_error());
        cr_assert(has_table(other));
        larder_close(other);
        larder_close(db);
    }
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

/* Sends a descriptor over a socket, as programs pass a memfd to each other. */
static void send_fd(int over, int fd) {
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec one = {"x", 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    cr_assert_eq(sendmsg(over, &message, 0), 1);
}

static int receive_fd(int from) {
    char byte;
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec one = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    int fd = -1;
    if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static int attach_to_received(void *ends) {
    struct larder *db;
    int fd = receive_fd(((int *)ends)[1]);
    PROC_CHECK(fd >= 0);
    PROC_CHECK(larder_open(&(struct larder_options){.flags = LARDER_MEMFD, .memfd = fd}, &db) == LARDER_OK);
    PROC_CHECK(close(fd) == 0); /* it was borrowed */
    PROC_CHECK(create_table(db, LARDER_REMOVAL_DELETE) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(open, memfd_is_passed_to_another_process) {
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid_t pid = proc_fork(attach_to_received, ends);
    struct larder *db = testseg_open(SMALL, 0);
    cr_assert_geq(larder_memfd(db), 0);
    send_fd(ends[0], larder_memfd(db));
    struct proc_result r = proc_wait(pid, 20000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert(has_table(db));
    larder_close(db);
}

static int count_entries(const char *of_dir) {
    int count = 0;
    DIR *dir = opendir(of_dir);
    cr_assert(dir != NULL);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int count_maps(const char *of_name) {
    char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    cr_assert(maps != NULL);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, of_name) != NULL;
    (void)fclose(maps);
    return count;
}

Test(open, close_leaves_nothing_open_or_mapped) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    struct larder *db = must_open(name, LARDER_CREATE);
    cr_assert_eq(create_table(db, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    larder_close(db);
    int fds = count_entries("/proc/self/fd");
    for (int i = 0; i < ROUNDS; i++) {
        db = must_open(name, 0);
        struct larder *refused;
        /* takes a slot */
        cr_assert_eq(larder_table_drop(db, "things"), LARDER_OK, "%s", larder_error());
        cr_assert_eq(create_table(db, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
        cr_assert_eq(try_open(name, LARDER_CREATE | LARDER_EXCLUSIVE, &refused), LARDER_E_EXISTS);
        larder_close(db);
    }
    cr_assert_eq(count_entries("/proc/self/fd"), fds);
    cr_assert_eq(count_maps(name), 0);
    testseg_destroy(name);
}

/* ---- Destroying ------------------------------------------------------------------------------ */

Test(open, destroyed_segment_is_gone_for_all_and_harms_none) {
    char name[TESTSEG_NAME_MAX];
    struct larder_segment_stats before, after;
    testseg_name(name);
    struct larder *old = must_open(name, LARDER_CREATE);
    cr_assert_eq(create_table(old, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_segment_stats(old, &before), LARDER_OK);
    cr_assert_eq(larder_destroy(name, 0), LARDER_OK, "%s", larder_error());
    struct larder_table *t;
    cr_assert_eq(larder_table_open(old, "things", &t), LARDER_E_DESTROYED);
    cr_assert_eq(create_table(old, LARDER_REMOVAL_DELETE), LARDER_E_DESTROYED);
    cr_assert_eq(larder_destroy(name, 0), LARDER_E_NO_SEGMENT);

    struct larder *fresh = must_open(name, LARDER_CREATE);
    cr_assert_not(has_table(fresh), "it is another segment");
    cr_assert_eq(larder_segment_stats(fresh, &after), LARDER_OK);
    cr_assert_neq(memcmp(before.uuid, after.uuid, sizeof before.uuid), 0);
    larder_close(old);
    cr_assert_eq(create_table(fresh, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    larder_close(fresh);
    testseg_destroy(name);
}

Test(open, retained_table_keeps_its_segment) {
    char name[TESTSEG_NAME_MAX];
    testseg_name(name);
    struct larder *db = must_open(name, LARDER_CREATE);
    cr_assert_eq(create_table(db, LARDER_REMOVAL_RETAIN), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_destroy(name, 0), LARDER_E_RETAINED);
    cr_assert(strstr(larder_error(), "things"), "%s", larder_error());
    cr_assert(has_table(db), "it is as it was");
    struct larder_table *t;
    cr_assert_eq(larder_table_open(db, "things", &t), LARDER_OK);
    cr_assert_eq(larder_removal_set(t, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_destroy(name, 0), LARDER_OK, "%s", larder_error());
    larder_close(db);

    db = must_open(name, LARDER_CREATE);
    cr_assert_eq(create_table(db, LARDER_REMOVAL_RETAIN), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_destroy(name, LARDER_FORCE), LARDER_OK, "force overrides it");
    cr_assert_eq(larder_destroy(name, LARDER_FORCE), LARDER_E_NO_SEGMENT);
    larder_close(db);
}

/* ---- Other processes ------------------------------------------------------------------------- */

static int open_in_child(void *arg) {
    struct larder *db;
    int result = try_open(arg, LARDER_CREATE, &db);
    if (result == LARDER_OK) {
        result = create_table(db, LARDER_REMOVAL_DELETE);
        larder_close(db);
    }
    return -result;
}

Test(open, of_processes_starting_at_once_each_is_served) {
    char name[TESTSEG_NAME_MAX];
    pid_t pids[8];
    testseg_name(name);
    for (int round = 0; round < 10; round++) {
        int created = 0;
        for (int i = 0; i < 8; i++)
            pids[i] = proc_fork(open_in_child, name);
        for (int i = 0; i < 8; i++) {
            struct proc_result r = proc_wait(pids[i], 20000);
            cr_assert(proc_is_exit(r, 0) || proc_is_exit(r, -LARDER_E_EXISTS), "%s", proc_text(r));
            created += proc_is_exit(r, 0);
        }
        cr_assert_eq(created, 1, "%d created the table", created);
        testseg_destroy(name);
    }
}

static int use_inherited(void *arg) {
    return !has_table(arg) || create_table(arg, LARDER_REMOVAL_DELETE) != LARDER_E_EXISTS ||
           larder_table_drop(arg, "things") != LARDER_OK;
}

Test(open, forked_child_goes_on_with_the_attachment) {
    struct larder *db = testseg_open(SMALL, 0);
    cr_assert_eq(create_table(db, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    struct proc_result r = proc_run(use_inherited, db, 20000);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert_not(has_table(db));
    cr_assert_eq(create_table(db, LARDER_REMOVAL_DELETE), LARDER_OK, "%s", larder_error());
    larder_close(db);
}
