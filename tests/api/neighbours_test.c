/* tests/api/neighbours_test.c - other users of the same host: what each may do, and what it cannot.
 *
 * Goal     The table "Who is trusted with what" of ARCHITECTURE.md, row by row. Above all: nothing
 *          that a user with read rights does stops a writer, and a file of another user never
 *          becomes our segment.
 * Method   Children that give up root for the user 65534 do what the row says while others go on
 *          with their work. Needs root; says so otherwise.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(neighbours, .timeout = 120 * SLOW_FACTOR);

#define NOBODY 65534
#define DEADLINE_MS 60000
#define SMALL LARDER_SEGMENT_BYTES_MIN

static int needs_root(void) {
    if (geteuid() == 0)
        return 0;
    cr_skip_test("needs root, to become another user");
    return 1;
}

/* Another user's process is no longer bound to its parent's life (proc.c) until it says so. */
static void become_nobody(void) {
    PROC_CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
}

static int try_open(const char *name, uint32_t flags, uint32_t mode, struct larder **db) {
    struct larder_options o = {
        .segment = name, .flags = flags, .size_bytes = SMALL, .mode = mode, .busy_timeout_ms = 20000};
    return larder_open(&o, db);
}

static int open_and_close(const char *name, uint32_t flags) {
    struct larder *db;
    int r = try_open(name, flags, 0, &db);
    if (r == LARDER_OK)
        larder_close(db);
    return r;
}

static int make_table(struct larder *db, const char *name) {
    const struct larder_table_def def = {.name = name, .partition = {"PK", LARDER_S}};
    return larder_table_create(db, &def);
}

static int put(struct larder *db, struct larder_table *t, const char *key, int64_t value) {
    struct larder_builder *b;
    const struct larder_item *item;
    int r = larder_builder_new(db, &b);
    if (r)
        return r;
    larder_builder_add_s(b, "PK", key);
    larder_builder_add_int(b, "value", value);
    r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static int put_to(struct larder *db, const char *table, const char *key, int64_t value) {
    struct larder_table *t;
    int r = larder_table_open(db, table, &t);
    return r ? r : put(db, t, key, value);
}

/* ---- A hostile reader ------------------------------------------------------------------------ */

#define SLEEPERS 24

struct hostile {
    char name[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 16];
    _Atomic int is_at_it, may_go;
    unsigned char *map;
};

static struct hostile *hostile_new(void) {
    struct hostile *h = mmap(NULL, sizeof *h, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)h != MAP_FAILED);
    testseg_name(h->name);
    snprintf(h->path, sizeof h->path, "/dev/shm/%s", h->name);
    return h;
}

/* No lock file can be opened, by any name. */
static void try_lock_files(void) {
    DIR *d = opendir("/dev/shm");
    struct dirent *entry;
    char path[512];
    while (d && (entry = readdir(d)) != NULL) {
        if (strncmp(entry->d_name, ".larder-", 8) != 0)
            continue;
        struct stat st;
        snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
        if (stat(path, &st) == 0 && st.st_uid == 0 && (st.st_mode & 06) == 0)
            PROC_CHECK(open(path, O_RDONLY | O_CLOEXEC) < 0 && open(path, O_WRONLY | O_CLOEXEC) < 0 &&
                       unlink(path) != 0);
    }
    if (d)
        closedir(d);
}

/* Sleeps on words where locks are, and so takes wake-ups that are meant for others. */
static void *sleep_on_words(void *arg) {
    struct hostile *h = arg;
    static _Atomic unsigned next;
    for (unsigned i = next++; !h->may_go; i++) {
        const uint32_t *word = (const uint32_t *)(h->map + (size_t)i % (SMALL / 64) * 64);
        struct timespec limit = {0, 2000000}; /* more would take the processor, not wake-ups */
        syscall(SYS_futex, word, FUTEX_WAIT, *(const volatile uint32_t *)word, &limit, NULL, 0);
    }
    return NULL;
}

static int be_hostile(void *arg) {
    struct hostile *h = arg;
    pthread_t thread[SLEEPERS];
    become_nobody();
    int fd = open(h->path, O_RDONLY | O_CLOEXEC);
    PROC_CHECK(fd >= 0 && open(h->path, O_RDWR | O_CLOEXEC) < 0);
    struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    PROC_CHECK(fcntl(fd, F_OFD_SETLK, &all) == 0);
    int second = open(h->path, O_RDONLY | O_CLOEXEC);
    PROC_CHECK(second >= 0 && flock(second, LOCK_EX | LOCK_NB) == 0);
    /* the kernel refuses; the owner would be held up if not */
    (void)fcntl(second, F_SETLEASE, F_RDLCK);
    try_lock_files();
    h->map = mmap(NULL, SMALL, PROT_READ, MAP_SHARED, fd, 0);
    PROC_CHECK((void *)h->map != MAP_FAILED);
    for (int i = 0; i < SLEEPERS; i++)
        PROC_CHECK(pthread_create(&thread[i], NULL, sleep_on_words, h) == 0);
    h->is_at_it = 1;
    while (!h->may_go) /* however slow the machine is: the test's end is its own, too */
        until_pause();
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(thread[i], NULL);
    return 0;
}

/* Writes until it is killed. */
static int write_on(void *arg) {
    struct hostile *h = arg;
    struct larder *db;
    struct larder_table *t;
    PROC_CHECK(try_open(h->name, 0, 0, &db) == LARDER_OK && larder_table_open(db, "Table", &t) == LARDER_OK);
    for (int64_t i = 0;; i++)
        PROC_CHECK(put(db, t, "shared", i) == LARDER_OK);
}

/* All calls that need a lock, by a process that attaches now. */
static int work(void *arg) {
    struct hostile *h = arg;
    struct larder *db;
    struct larder_check_report report;
    struct larder_repair_report repair;
    PROC_CHECK(try_open(h->name, LARDER_CREATE, 0, &db) == LARDER_OK);
    for (int i = 0; i < 200; i++)
        PROC_CHECK(put_to(db, "Table", "shared", i) == LARDER_OK);
    PROC_CHECK(larder_check(db, NULL, &report) == LARDER_OK && report.errors == 0);
    PROC_CHECK(larder_repair(db, NULL, &repair) == LARDER_OK);
    PROC_CHECK(make_table(db, "Other") == LARDER_OK && larder_table_drop(db, "Other") == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(neighbours, a_reader_never_stops_a_writer) {
    struct larder *db;
    if (needs_root())
        return;
    struct hostile *h = hostile_new();
    EXPECT(try_open(h->name, LARDER_CREATE | LARDER_EXCLUSIVE, 0644, &db), LARDER_OK);
    EXPECT(make_table(db, "Table"), LARDER_OK);
    pid_t pid = proc_fork(be_hostile, h);
    cr_assert(UNTIL(h->is_at_it, DEADLINE_MS));
    for (int round = 0; round < 10; round++) {
        pid_t writers[2];
        for (int i = 0; i < 2; i++)
            writers[i] = proc_fork(write_on, h);
        cr_assert(proc_is_exit(proc_run(work, h, DEADLINE_MS), 0), "round %d", round);
        /* in the middle of a call, mostly: the next round recovers it */
        for (int i = 0; i < 2; i++)
            cr_assert(proc_is_signal(proc_kill(writers[i]), SIGKILL));
        EXPECT(put_to(db, "Table", "shared", round), LARDER_OK);
    }
    larder_close(db);
    EXPECT(larder_destroy(h->name, 0), LARDER_OK);
    for (int round = 0; round < 10; round++) {
        EXPECT(try_open(h->name, LARDER_CREATE | LARDER_EXCLUSIVE, 0644, &db), LARDER_OK);
        larder_close(db);
        EXPECT(larder_destroy(h->name, 0), LARDER_OK);
    }
    h->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    munmap(h, sizeof *h);
}

/* ---- Files of another user ------------------------------------------------------------------- */

static int prepare_empty(void *arg) {
    become_nobody();
    int fd = open(arg, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    PROC_CHECK(fd >= 0 && fchmod(fd, 0666) == 0);
    return 0;
}

static int prepare_segment(void *arg) {
    struct larder *db;
    become_nobody();
    PROC_CHECK(try_open(arg, LARDER_CREATE | LARDER_EXCLUSIVE, 0666, &db) == LARDER_OK);
    PROC_CHECK(make_table(db, "Table") == LARDER_OK && put_to(db, "Table", "a", 1) == LARDER_OK);
    larder_close(db);
    return 0;
}

static void must_be_refused(const char *name, uint32_t flags) {
    EXPECT(open_and_close(name, flags), LARDER_E_ACCESS);
    cr_assert(strstr(larder_error(), "65534"), "%s", larder_error());
}

Test(neighbours, an_empty_file_of_another_user_never_becomes_a_segment) {
    const uint32_t flags[] = {0, LARDER_CREATE, LARDER_CREATE | LARDER_EXCLUSIVE, LARDER_CREATE | LARDER_ANY_OWNER,
                              LARDER_CREATE | LARDER_EXCLUSIVE | LARDER_ANY_OWNER};
    if (needs_root())
        return;
    struct hostile *h = hostile_new();
    cr_assert(proc_is_exit(proc_run(prepare_empty, h->path, DEADLINE_MS), 0));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        struct stat st;
        int r = open_and_close(h->name, flags[i]);
        cr_expect(r == LARDER_E_ACCESS || (r == LARDER_E_EXISTS && (flags[i] & LARDER_EXCLUSIVE)), "%#x: %s", flags[i],
                  larder_result_name(r));
        cr_assert(stat(h->path, &st) == 0 && st.st_size == 0 && st.st_uid == NOBODY);
    }
    EXPECT(larder_destroy(h->name, LARDER_FORCE), LARDER_E_ACCESS);
    int r = LARDER_E_BUSY; /* the look at an unfinished file takes its time, and longer without a core */
    cr_assert(UNTIL((r = larder_destroy(h->name, LARDER_ANY_OWNER)) != LARDER_E_BUSY, DEADLINE_MS));
    cr_assert_eq(r, LARDER_E_FORMAT, "%s", larder_error());
    EXPECT(larder_destroy(h->name, LARDER_FORCE | LARDER_ANY_OWNER), LARDER_OK);
    cr_assert_neq(access(h->path, F_OK), 0);
    munmap(h, sizeof *h);
}

Test(neighbours, a_segment_of_another_user_is_for_those_that_ask_for_it) {
    struct larder *db;
    if (needs_root())
        return;
    struct hostile *h = hostile_new();
    cr_assert(proc_is_exit(proc_run(prepare_segment, h->name, DEADLINE_MS), 0));
    must_be_refused(h->name, 0);
    must_be_refused(h->name, LARDER_CREATE);
    must_be_refused(h->name, LARDER_CREATE | LARDER_EXCLUSIVE);
    must_be_refused(h->name, LARDER_REPAIR);
    EXPECT(larder_destroy(h->name, LARDER_FORCE), LARDER_E_ACCESS);
    EXPECT(open_and_close(h->name, LARDER_READ_ONLY), LARDER_OK);
    EXPECT(open_and_close(h->name, LARDER_CREATE | LARDER_EXCLUSIVE | LARDER_ANY_OWNER), LARDER_E_EXISTS);
    EXPECT(open_and_close(h->name, LARDER_REPAIR | LARDER_ANY_OWNER), LARDER_OK);
    EXPECT(try_open(h->name, LARDER_CREATE | LARDER_ANY_OWNER, 0, &db), LARDER_OK);
    EXPECT(put_to(db, "Table", "b", 2), LARDER_OK);
    larder_close(db);
    EXPECT(larder_destroy(h->name, LARDER_ANY_OWNER), LARDER_OK);
    munmap(h, sizeof *h);
}

/* Locks the file for reading as another user, until it is told to go. */
static int lock_for_reading(void *arg) {
    struct hostile *h = arg;
    struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    become_nobody();
    int fd = open(h->path, O_RDONLY | O_CLOEXEC);
    PROC_CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &all) == 0);
    h->is_at_it = 1;
    PROC_CHECK(UNTIL(h->may_go, DEADLINE_MS));
    return 0;
}

/* The one exception: an empty file that was there before, open to others. The message says what to
 * do. */
Test(neighbours, a_reader_of_an_empty_file_of_ours_is_named_as_the_cause) {
    struct larder *db;
    if (needs_root())
        return;
    struct hostile *h = hostile_new();
    int fd = open(h->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    cr_assert(fd >= 0 && fchmod(fd, 0644) == 0 && close(fd) == 0);
    pid_t pid = proc_fork(lock_for_reading, h);
    cr_assert(UNTIL(h->is_at_it, DEADLINE_MS));
    struct larder_options soon = {
        .segment = h->name, .flags = LARDER_CREATE, .size_bytes = SMALL, .busy_timeout_ms = 300};
    EXPECT(larder_open(&soon, &db), LARDER_E_BUSY);
    cr_assert(strstr(larder_error(), "remove it"), "%s", larder_error());
    cr_assert_eq(unlink(h->path), 0);
    EXPECT(open_and_close(h->name, LARDER_CREATE), LARDER_OK);
    h->may_go = 1;
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0));
    EXPECT(larder_destroy(h->name, 0), LARDER_OK);
    munmap(h, sizeof *h);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* What a user other than the owner gets, by the mode of the segment. Directory: /dev/shm,
 * sticky. */
struct row {
    uint32_t mode;
    int read, write, write_any, create, exclusive, destroy, destroy_any;
};

static const struct row rows[] = {
    {0600, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS,
     LARDER_E_ACCESS},
    {0644, LARDER_OK, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS,
     LARDER_E_ACCESS},
    {0666, LARDER_OK, LARDER_E_ACCESS, LARDER_OK, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS, LARDER_E_ACCESS},
};

struct visit {
    const struct row *row;
    const char *name;
};

static int visit(void *arg) {
    const struct visit *v = arg;
    const struct row *row = v->row;
    become_nobody();
    PROC_CHECK(open_and_close(v->name, LARDER_READ_ONLY) == row->read);
    PROC_CHECK(open_and_close(v->name, 0) == row->write);
    PROC_CHECK(open_and_close(v->name, LARDER_ANY_OWNER) == row->write_any);
    PROC_CHECK(open_and_close(v->name, LARDER_CREATE) == row->create);
    PROC_CHECK(open_and_close(v->name, LARDER_CREATE | LARDER_EXCLUSIVE) == row->exclusive);
    PROC_CHECK(larder_destroy(v->name, LARDER_FORCE) == row->destroy);
    PROC_CHECK(larder_destroy(v->name, LARDER_FORCE | LARDER_ANY_OWNER) == row->destroy_any);
    return 0;
}

Test(neighbours, each_gets_what_the_mode_gives_it) {
    if (needs_root())
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct larder *db;
        char name[TESTSEG_NAME_MAX];
        testseg_name(name);
        EXPECT(try_open(name, LARDER_CREATE | LARDER_EXCLUSIVE, rows[i].mode, &db), LARDER_OK);
        EXPECT(make_table(db, "Table"), LARDER_OK);
        struct visit v = {&rows[i], name};
        struct proc_result r = proc_run(visit, &v, DEADLINE_MS);
        cr_expect(proc_is_exit(r, 0), "mode %o: %s", rows[i].mode, proc_text(r));
        EXPECT(put_to(db, "Table", "a", 1), LARDER_OK);
        larder_close(db);
        EXPECT(larder_destroy(name, 0), LARDER_OK);
    }
}

/* The same user has all rights, and so has root, but root needs the flag to ask for another user's
 * segment. */
static int be_the_same_user(void *arg) {
    struct larder *db;
    become_nobody();
    PROC_CHECK(open_and_close(arg, 0) == LARDER_OK && open_and_close(arg, LARDER_CREATE) == LARDER_OK);
    PROC_CHECK(try_open(arg, LARDER_READ_ONLY, 0, &db) == LARDER_OK);
    PROC_CHECK(larder_destroy(arg, 0) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(neighbours, the_same_user_needs_no_flag) {
    char name[TESTSEG_NAME_MAX];
    if (needs_root())
        return;
    testseg_name(name);
    cr_assert(proc_is_exit(proc_run(prepare_segment, name, DEADLINE_MS), 0));
    cr_assert(proc_is_exit(proc_run(be_the_same_user, name, DEADLINE_MS), 0));
}

/* Two users that write to one segment, each killed in turn: the other recovers what it left. */
struct shared {
    char name[TESTSEG_NAME_MAX];
    int is_nobody;
};

static int write_as(void *arg) {
    const struct shared *s = arg;
    struct larder *db;
    struct larder_table *t;
    if (s->is_nobody)
        become_nobody();
    PROC_CHECK(try_open(s->name, LARDER_ANY_OWNER, 0, &db) == LARDER_OK &&
               larder_table_open(db, "Table", &t) == LARDER_OK);
    for (int64_t i = 0; i < 2000 || !s->is_nobody; i++)
        PROC_CHECK(put(db, t, "shared", i) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(neighbours, writers_of_two_users_recover_each_other) {
    struct larder *db;
    struct larder_check_report report;
    if (needs_root())
        return;
    struct shared owner = {.is_nobody = 0}, guest;
    testseg_name(owner.name);
    guest = owner;
    guest.is_nobody = 1;
    EXPECT(try_open(owner.name, LARDER_CREATE | LARDER_EXCLUSIVE, 0666, &db), LARDER_OK);
    EXPECT(make_table(db, "Table"), LARDER_OK);
    for (int i = 0; i < 10; i++) {
        pid_t pid = proc_fork(write_as, &owner), other = proc_fork(write_as, &guest);
        cr_assert(proc_is_exit(proc_wait(other, DEADLINE_MS), 0));
        cr_assert(proc_is_signal(proc_kill(pid), SIGKILL));
        cr_assert(proc_is_exit(proc_run(write_as, &guest, DEADLINE_MS), 0));
    }
    EXPECT(larder_check(db, NULL, &report), LARDER_OK);
    larder_close(db);
    EXPECT(larder_destroy(owner.name, 0), LARDER_OK);
}

/* A directory that all may write to and that is not sticky: its writers may remove files in it, no
 * more. */
static int remove_names(void *arg) {
    become_nobody();
    DIR *d = opendir(arg);
    struct dirent *entry;
    while (d && (entry = readdir(d)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            PROC_CHECK(unlinkat(dirfd(d), entry->d_name, 0) == 0);
    return d ? closedir(d) : 1;
}

Test(neighbours, who_owns_the_directory_may_remove_and_is_noticed) {
    struct larder *db;
    char dir[64] = "/tmp/larder-test-XXXXXX", path[128];
    if (needs_root())
        return;
    cr_assert(mkdtemp(dir) != NULL && chmod(dir, 0777) == 0);
    snprintf(path, sizeof path, "%s/seg", dir);
    EXPECT(try_open(path, LARDER_CREATE | LARDER_EXCLUSIVE, 0600, &db), LARDER_OK);
    EXPECT(make_table(db, "Table"), LARDER_OK);
    cr_assert(proc_is_exit(proc_run(remove_names, dir, DEADLINE_MS), 0));
    cr_assert(UNTIL_OWN(put_to(db, "Table", "a", 1) == LARDER_E_DESTROYED, 2000 * SLOW_FACTOR));
    EXPECT(open_and_close(path, 0), LARDER_E_NO_SEGMENT);
    larder_close(db);
    cr_assert_eq(rmdir(dir), 0);
}

/* ---- EXCLUSIVE ------------------------------------------------------------------------------- */

Test(neighbours, exclusive_means_made_by_this_call) {
    char name[TESTSEG_NAME_MAX], path[TESTSEG_NAME_MAX + 16];
    testseg_name(name);
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && close(fd) == 0);
    EXPECT(open_and_close(name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_E_EXISTS);
    EXPECT(open_and_close(name, LARDER_CREATE), LARDER_OK);
    EXPECT(open_and_close(name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_E_EXISTS);
    EXPECT(larder_destroy(name, 0), LARDER_OK);
    EXPECT(open_and_close(name, LARDER_CREATE | LARDER_EXCLUSIVE), LARDER_OK);
    EXPECT(larder_destroy(name, 0), LARDER_OK);
}
