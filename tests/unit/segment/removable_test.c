/* tests/unit/segment/removable_test.c - names that cannot be removed, and descriptors that have no
 * name.
 *
 * Goal     larder_destroy() marks nothing before it knows that the name can go: where the name is a
 *          mount of the file, or its directory is closed, attached processes work on. A file that
 *          was mounted alone can be read, and the message says what helps. A memfd with a damaged
 *          head makes no file anywhere.
 * Method   Mounts in a mount namespace of a child; without root they are left out.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/seg.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(removable, .timeout = 60 * SLOW_FACTOR);

#define DEADLINE_MS 30000
#define NOT_ALLOWED 77
#define NOBODY 65534

struct place {
    char dir[64], path[128], other[64], alone[128];
};

static void begin(struct place *p) {
    snprintf(p->dir, sizeof p->dir, "/tmp/larder-test-XXXXXX");
    snprintf(p->other, sizeof p->other, "/tmp/larder-test-XXXXXX");
    cr_assert(mkdtemp(p->dir) != NULL && mkdtemp(p->other) != NULL);
    snprintf(p->path, sizeof p->path, "%s/seg", p->dir);
    snprintf(p->alone, sizeof p->alone, "%s/alone", p->other);
}

static void end(struct place *p) {
    testseg_destroy(p->path);
    unlink(p->alone);
    cr_assert_eq(rmdir(p->dir), 0, "something is left in %s", p->dir);
    cr_assert_eq(rmdir(p->other), 0, "something is left in %s", p->other);
}

static int bind_alone(const struct place *p) {
    int fd = open(p->alone, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    PROC_CHECK(fd >= 0);
    close(fd);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(p->path, p->alone, NULL, MS_BIND, NULL) == 0;
}

#define MUST_SAY(text) PROC_CHECK(strstr(larder_error(), text) != NULL)

static int live_with_a_mounted_file(void *arg) {
    const struct place *p = arg;
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}};
    struct larder *db, *reader, *writer;
    const char *names[2];
    uint32_t count;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = p->path}, &db) == LARDER_OK);
    if (!bind_alone(p))
        return NOT_ALLOWED;
    /* Writing is refused, with a message that names the remedy before the destruction; reading
     * works. */
    PROC_CHECK(larder_open(&(struct larder_options){.segment = p->alone}, &writer) == LARDER_E_FORMAT);
    MUST_SAY("Mount the directory, not the file");
    MUST_SAY("Reading and larder export still work");
    MUST_SAY("larder destroy --force ends it for every process");
    PROC_CHECK(strstr(larder_error(), "Mount") < strstr(larder_error(), "destroy"));
    PROC_CHECK(larder_open(&(struct larder_options){.segment = p->alone, .flags = LARDER_READ_ONLY}, &reader) ==
               LARDER_OK);
    /* The name cannot be removed: nothing was changed. */
    PROC_CHECK(larder_destroy(p->alone, LARDER_FORCE) == LARDER_E_OS);
    MUST_SAY("mount --bind");
    MUST_SAY("nothing was changed");
    PROC_CHECK(larder_table_create(db, &def) == LARDER_OK);
    PROC_CHECK(larder_table_list(reader, names, 2, &count) == LARDER_OK && count == 1);
    larder_close(reader);
    larder_close(db);
    PROC_CHECK(larder_open(&(struct larder_options){.segment = p->path}, &db) ==
               LARDER_OK); /* its lock file is there */
    larder_close(db);
    return 0;
}

static void make(const struct place *p) {
    larder_close(testseg_open_named(p->path, LARDER_SEGMENT_BYTES_MIN, 2));
}

Test(removable, file_that_was_mounted_alone) {
    struct place p;
    begin(&p);
    make(&p);
    struct proc_result r = proc_run(live_with_a_mounted_file, &p, DEADLINE_MS);
    end(&p);
    if (proc_is_exit(r, NOT_ALLOWED))
        cr_skip_test("no mounts here");
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

/* The owner of a segment in a directory without write permission. */
static int destroy_in_a_closed_directory(void *arg) {
    const struct place *p = arg;
    struct larder *db;
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return NOT_ALLOWED;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = p->path}, &db) == LARDER_OK);
    for (unsigned how = 0; how <= LARDER_FORCE; how += LARDER_FORCE) {
        PROC_CHECK(larder_destroy(p->path, how) == LARDER_E_ACCESS);
        PROC_CHECK(larder_table_create(db, &(struct larder_table_def){.name = how ? "one" : "two",
                                                                      .partition = {"pk", LARDER_S}}) == LARDER_OK);
    }
    larder_close(db);
    return 0;
}

static int make_as_nobody(void *arg) {
    const struct place *p = arg;
    struct larder *db;
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return NOT_ALLOWED;
    PROC_CHECK(larder_open(&(struct larder_options){.segment = p->path,
                                                    .flags = LARDER_CREATE,
                                                    .size_bytes = LARDER_SEGMENT_BYTES_MIN},
                           &db) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(removable, directory_that_is_closed) {
    struct place p;
    begin(&p);
    if (geteuid() != 0 || chmod(p.dir, 0777) != 0) {
        end(&p);
        cr_skip_test("not root");
    }
    cr_assert(proc_is_exit(proc_run(make_as_nobody, &p, DEADLINE_MS), 0));
    cr_assert_eq(chmod(p.dir, 0755), 0);
    struct proc_result r = proc_run(destroy_in_a_closed_directory, &p, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert_eq(larder_destroy(p.path, LARDER_FORCE | LARDER_ANY_OWNER), LARDER_OK, "%s", larder_error());
    end(&p);
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

static unsigned lock_files_in_root(void) {
    DIR *root = opendir("/");
    struct dirent *entry;
    unsigned count = 0;
    while (root && (entry = readdir(root)) != NULL)
        count += strncmp(entry->d_name, ".larder-", strlen(".larder-")) == 0;
    if (root)
        closedir(root);
    return count;
}

/* Flipped bits of lock_id name a lock file, settled or not. */
Test(removable, memfd_with_a_damaged_head_makes_no_file) {
    static const uint64_t ids[] = {8, 9, 0x28050, UINT64_MAX};
    unsigned before = lock_files_in_root();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct larder *db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2), *other;
        struct larder_options given = {.flags = LARDER_MEMFD, .memfd = larder_memfd(db)};
        cr_assert_eq(pwrite(given.memfd, &ids[i], sizeof ids[i], offsetof(struct seg_shm, lock_id)), sizeof ids[i]);
        cr_assert_eq(larder_open(&given, &other), LARDER_OK, "%s", larder_error());
        larder_close(other);
        given.flags |= LARDER_REPAIR;
        cr_assert_eq(larder_open(&given, &other), LARDER_OK, "%s", larder_error());
        larder_close(other);
        larder_close(db);
    }
    cr_assert_eq(lock_files_in_root(), before);
}

/* A descriptor of a segment that has a name: its lock file is beside it. Once the name is gone, so
 * is the lock file. */
Test(removable, descriptor_of_a_file_whose_name_has_gone) {
    struct place p;
    struct larder *db;
    begin(&p);
    make(&p);
    int fd = open(p.path, O_RDWR | O_CLOEXEC);
    const struct larder_options given = {.flags = LARDER_MEMFD, .memfd = fd};
    cr_assert(fd >= 0);
    cr_assert_eq(larder_open(&given, &db), LARDER_OK, "%s", larder_error());
    larder_close(db);
    cr_assert_eq(unlink(p.path), 0);
    cr_assert_eq(larder_open(&given, &db), LARDER_E_FORMAT);
    cr_assert_not_null(strstr(larder_error(), "has no name"), "%s", larder_error());
    close(fd);
    char command[160];
    /* no process was attached: it stays */
    snprintf(command, sizeof command, "rm -f %s/.larder-*.lock", p.dir);
    cr_assert_eq(system(command), 0);
    end(&p);
}
