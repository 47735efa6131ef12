/* tests/unit/segment/seg_lock_test.c - the lock file beside a segment.
 *
 * Goal     All that attach to a segment use one lock file, whatever was copied, moved, removed, or
 *          put in the way, and whichever process died while it was made. Nothing is left of it when
 *          the segment is gone.
 * Method   A directory of the test's own, so that every file in it is counted. Copies are attached
 *          to by many processes at once, and by one that dies at every store. Files of other users
 *          and mounts need root.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/segment/live.h"
#include "core/segment/seg_layout.h"
#include "core/segment/seg_lock.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

TestSuite(seg_lock, .timeout = 120 * SLOW_FACTOR);

#define SMALL LARDER_SEGMENT_BYTES_MIN
#define NOBODY 65534
#define DEADLINE_MS 30000

struct place {
    char dir[64], path[128], copy[128];
};

static void begin(struct place *p) {
    snprintf(p->dir, sizeof p->dir, "/tmp/larder-test-XXXXXX");
    cr_assert(mkdtemp(p->dir) != NULL);
    snprintf(p->path, sizeof p->path, "%s/seg", p->dir);
    snprintf(p->copy, sizeof p->copy, "%s/copy", p->dir);
}

static int open_as(struct seg *s, const char *path, uint32_t flags, uint32_t mode) {
    return seg_open(s, &(struct larder_options){.segment = path, .flags = flags, .size_bytes = SMALL, .mode = mode});
}

static int open_and_close(const char *path, uint32_t flags) {
    struct seg s;
    int result = open_as(&s, path, flags, 0);
    seg_close(&s);
    return result;
}

static void must_open(struct seg *s, const char *path, uint32_t flags) {
    int result = open_as(s, path, flags, 0);
    cr_assert(result == LARDER_OK, "%s: %s", larder_result_name(result), larder_error());
}

/* How many names in the directory begin like this; the last of them in *name. */
static int count(const char *dir, const char *begin_with, char name[256]) {
    DIR *d = opendir(dir);
    struct dirent *entry;
    int n = 0;
    while (d && (entry = readdir(d)) != NULL)
        if (strncmp(entry->d_name, begin_with, strlen(begin_with)) == 0) {
            n++;
            if (name)
                snprintf(name, 256, "%s", entry->d_name);
        }
    if (d)
        closedir(d);
    return n;
}

static int lock_files(const struct place *p) {
    return count(p->dir, ".larder-", NULL);
}

static void lock_path(const struct place *p, char path[512]) {
    char name[256];
    cr_assert_eq(count(p->dir, ".larder-", name), 1);
    snprintf(path, 512, "%s/%s", p->dir, name);
}

static void copy_file(const char *from, const char *to) {
    const char *const argv[] = {"cp", from, to, NULL};
    cr_assert(proc_is_exit(proc_wait(proc_exec(argv, -1), DEADLINE_MS), 0));
}

static void end(const struct place *p) {
    cr_assert_eq(seg_destroy(p->path, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(lock_files(p), 0, "a lock file is left");
    cr_assert_eq(rmdir(p->dir), 0);
}

/* ---- One segment ----------------------------------------------------------------------------- */

Test(seg_lock, is_beside_the_segment_with_the_rights_of_its_writers) {
    static const struct {
        uint32_t mode, lock_mode;
    } modes[] = {{0, 0600},    {0600, 0600}, {0644, 0600}, {0640, 0600},
                 {0660, 0660}, {0664, 0660}, {0666, 0666}, {0606, 0606}};
    struct place p;
    begin(&p);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct seg s;
        struct stat st;
        cr_assert_eq(open_as(&s, p.path, LARDER_CREATE | LARDER_EXCLUSIVE, modes[i].mode), LARDER_OK, "%s",
                     larder_error());
        cr_assert(fstat(s.fd, &st) == 0 && (st.st_mode & 07777u) == (modes[i].mode ? modes[i].mode : 0600));
        cr_assert(s.has_lock_file && fstat(s.lock_fd, &st) == 0);
        cr_assert_eq(st.st_mode & 07777u, modes[i].lock_mode, "%o", modes[i].mode);
        cr_assert_eq(SHM_LOAD(&s.shm->mode_to_set), 0);
        cr_assert_eq(lock_files(&p), 1);
        cr_assert(fchmod(s.fd, 0666) == 0);
        cr_assert_eq(open_and_close(p.path, LARDER_READ_ONLY), LARDER_OK);
        cr_assert(fstat(s.lock_fd, &st) == 0 && (st.st_mode & 07777u) == modes[i].lock_mode, "nor by a reader");
        cr_assert_eq(open_and_close(p.path, 0), LARDER_OK);
        cr_assert(fstat(s.lock_fd, &st) == 0 && (st.st_mode & 07777u) == 0666, "it follows the segment's mode");
        cr_assert(fchmod(s.fd, 0644) == 0);
        cr_assert_eq(open_and_close(p.path, 0), LARDER_OK);
        cr_assert(fstat(s.lock_fd, &st) == 0 && (st.st_mode & 07777u) == 0600, "also to fewer");
        seg_close(&s);
        cr_assert_eq(seg_destroy(p.path, 0), LARDER_OK, "%s", larder_error());
        cr_assert_eq(lock_files(&p), 0);
    }
    cr_assert_eq(rmdir(p.dir), 0);
}

/* One handle's lock is seen by the other. */
static void must_share_locks(struct seg *a, struct seg *b, int is_shared) {
    void *live;
    cr_assert_eq(live_take(a, LIVE_SLOT_BASE + 3, &live), LARDER_OK, "%s", larder_error());
    cr_assert_eq(live_is_held(b, 3), is_shared);
    live_drop(a, live);
    cr_assert_eq(live_is_held(b, 3), 0);
}

Test(seg_lock, goes_with_a_segment_that_is_renamed_in_its_directory) {
    struct place p;
    struct seg a, b;
    begin(&p);
    must_open(&a, p.path, LARDER_CREATE);
    cr_assert_eq(rename(p.path, p.copy), 0);
    must_open(&b, p.copy, 0);
    must_share_locks(&a, &b, 1);
    cr_assert_eq(rename(p.copy, p.path), 0);
    seg_close(&a);
    seg_close(&b);
    end(&p);
}

Test(seg_lock, missing_is_an_error_that_says_so) {
    struct place p;
    struct seg a, r;
    char lock[512], away[600];
    begin(&p);
    must_open(&a, p.path, LARDER_CREATE);
    lock_path(&p, lock);
    snprintf(away, sizeof away, "%s.away", p.path);
    cr_assert_eq(rename(lock, away), 0);
    cr_assert_eq(open_and_close(p.path, 0), LARDER_E_FORMAT);
    cr_assert(strstr(larder_error(), "lock file") && strstr(larder_error(), "--force"), "%s", larder_error());
    cr_assert_eq(open_and_close(p.path, LARDER_CREATE), LARDER_E_FORMAT);
    cr_assert_eq(open_and_close(p.path, LARDER_REPAIR), LARDER_E_FORMAT);
    cr_assert_eq(seg_destroy(p.path, 0), LARDER_E_FORMAT);
    must_open(&r, p.path, LARDER_READ_ONLY);
    cr_assert_eq(live_is_held(&r, 3), -1, "a reader cannot tell, and does without");
    seg_close(&r);
    cr_assert_eq(symlink(away, lock), 0);
    cr_assert_eq(open_and_close(p.path, 0), LARDER_E_ACCESS, "no link is followed");
    cr_assert_eq(unlink(lock), 0);
    cr_assert_eq(rename(away, lock), 0);
    cr_assert_eq(open_and_close(p.path, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(unlink(lock), 0);
    cr_assert_eq(seg_destroy(p.path, LARDER_FORCE), LARDER_OK, "%s", larder_error());
    cr_assert_eq(SHM_LOAD(&a.shm->state), SEG_STATE_DESTROYED);
    seg_close(&a);
    cr_assert_eq(rmdir(p.dir), 0);
}

Test(seg_lock, segments_without_one_have_their_locks_on_themselves) {
    struct place p;
    struct seg a, b, r;
    char lock[512];
    begin(&p);
    must_open(&a, p.path, LARDER_CREATE);
    lock_path(&p, lock);
    SHM_STORE(&a.shm->lock_id, 0); /* as older libraries left it */
    SHM_STORE(&a.shm->lock_for, 0);
    a.shm->format_version = SEG_FORMAT_OLDEST;
    a.shm->sum = seg_layout_sum(a.shm);
    seg_close(&a);
    cr_assert_eq(unlink(lock), 0);
    must_open(&a, p.path, 0);
    must_open(&b, p.path, LARDER_CREATE);
    must_open(&r, p.path, LARDER_READ_ONLY);
    cr_assert(!a.has_lock_file && !b.has_lock_file && lock_files(&p) == 0);
    must_share_locks(&a, &b, 1);
    must_share_locks(&a, &r, 1);
    seg_close(&a);
    seg_close(&b);
    seg_close(&r);
    end(&p);
}

/* A descriptor of it that was passed on, as one of a memfd is: the kernel knows the directory. */
Test(seg_lock, is_found_by_a_descriptor) {
    struct place p;
    struct seg a, b;
    begin(&p);
    must_open(&a, p.path, LARDER_CREATE);
    cr_assert_eq(seg_open(&b, &(struct larder_options){.flags = LARDER_MEMFD, .memfd = a.fd}), LARDER_OK, "%s",
                 larder_error());
    must_share_locks(&a, &b, 1);
    seg_close(&a);
    seg_close(&b);
    end(&p);
}

/* ---- Copies ---------------------------------------------------------------------------------- */

Test(seg_lock, a_copy_has_one_of_its_own) {
    struct place p;
    struct seg a, b, c;
    begin(&p);
    must_open(&a, p.path, LARDER_CREATE);
    copy_file(p.path, p.copy);
    must_open(&b, p.copy, LARDER_READ_ONLY);
    cr_assert_eq(lock_files(&p), 1, "a reader makes none");
    seg_close(&b);
    must_open(&b, p.copy, 0);
    must_open(&c, p.copy, 0);
    cr_assert_eq(lock_files(&p), 2);
    must_share_locks(&a, &b, 0);
    must_share_locks(&c, &b, 1);
    seg_close(&a);
    seg_close(&b);
    seg_close(&c);
    cr_assert_eq(seg_destroy(p.copy, 0), LARDER_OK, "%s", larder_error());
    copy_file(p.path, p.copy);
    cr_assert_eq(seg_destroy(p.copy, 0), LARDER_OK, "never attached to: %s", larder_error());
    end(&p);
}

#define CROWD 8

struct crowd {
    struct place p;
    _Atomic int is_on, ready;
    _Atomic uint64_t inode[CROWD];
    _Atomic int next;
};

static int join_crowd(void *arg) {
    struct crowd *crowd = arg;
    struct seg s;
    crowd->ready++;
    while (!crowd->is_on)
        sched_yield();
    PROC_CHECK(open_as(&s, crowd->p.copy, 0, 0) == LARDER_OK);
    crowd->inode[crowd->next++] = s.lock_inode;
    seg_close(&s);
    return 0;
}

Test(seg_lock, all_that_come_to_a_copy_at_once_agree) {
    struct crowd *crowd = mmap(NULL, sizeof *crowd, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)crowd != MAP_FAILED);
    begin(&crowd->p);
    cr_assert_eq(open_and_close(crowd->p.path, LARDER_CREATE), LARDER_OK);
    for (int round = 0; round < 40; round++) {
        pid_t pids[CROWD];
        crowd->is_on = crowd->ready = crowd->next = 0;
        copy_file(crowd->p.path, crowd->p.copy);
        for (int i = 0; i < CROWD; i++)
            pids[i] = proc_fork(join_crowd, crowd);
        cr_assert(UNTIL(crowd->ready == CROWD, DEADLINE_MS));
        crowd->is_on = 1;
        for (int i = 0; i < CROWD; i++)
            cr_assert(proc_is_exit(proc_wait(pids[i], DEADLINE_MS), 0));
        for (int i = 1; i < CROWD; i++)
            cr_assert_eq(crowd->inode[i], crowd->inode[0], "two worlds of locks");
        cr_assert_eq(lock_files(&crowd->p), 2);
        cr_assert_eq(seg_destroy(crowd->p.copy, 0), LARDER_OK, "%s", larder_error());
        cr_assert_eq(lock_files(&crowd->p), 1);
    }
    end(&crowd->p);
    munmap(crowd, sizeof *crowd);
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

struct dying {
    const char *path;
    uint64_t at;
    uint32_t flags, mode;
    int is_destroyer;
};

static int run_dying(void *arg) {
    const struct dying *d = arg;
    struct seg s;
    shm_crash_arm(d->at);
    return d->is_destroyer ? -seg_destroy(d->path, 0) : -open_as(&s, d->path, d->flags, d->mode);
}

static int dies(struct dying d) {
    struct proc_result r = proc_run(run_dying, &d, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGKILL) || proc_is_exit(r, 0), "point %lu: %s", (unsigned long)d.at, proc_text(r));
    return proc_is_signal(r, SIGKILL);
}

Test(seg_lock, who_dies_over_a_copy_leaves_it_to_the_next) {
    struct place p;
    begin(&p);
    cr_assert_eq(open_and_close(p.path, LARDER_CREATE), LARDER_OK);
    uint64_t at = 1;
    for (int is_dead = 1; is_dead; at++) {
        struct seg a, b;
        copy_file(p.path, p.copy);
        is_dead = dies((struct dying){p.copy, at, 0, 0, 0});
        must_open(&a, p.copy, 0);
        must_open(&b, p.copy, 0);
        must_share_locks(&a, &b, 1);
        cr_assert_eq(lock_files(&p), 2, "point %lu", (unsigned long)at);
        seg_close(&a);
        seg_close(&b);
        cr_assert_eq(seg_destroy(p.copy, 0), LARDER_OK, "%s", larder_error());
        cr_assert_eq(lock_files(&p), 1, "point %lu", (unsigned long)at);
    }
    cr_assert_geq(at, 5);
    end(&p);
}

/* The mode, too, is what was asked for, whichever process sets it. */
Test(seg_lock, who_dies_over_a_new_segment_leaves_nothing_behind) {
    struct place p;
    begin(&p);
    for (uint64_t first = 1; dies((struct dying){p.path, first, LARDER_CREATE, 0644, 0}); first++) {
        (void)dies((struct dying){p.path, first % 7 + 1, LARDER_CREATE, 0644, 0});
        struct seg s;
        struct stat st;
        cr_assert_eq(open_as(&s, p.path, LARDER_CREATE, 0644), LARDER_OK, "%s", larder_error());
        cr_assert(fstat(s.fd, &st) == 0 && (st.st_mode & 07777u) == 0644, "point %lu: mode %o", (unsigned long)first,
                  st.st_mode);
        cr_assert(fstat(s.lock_fd, &st) == 0 && (st.st_mode & 07777u) == 0600);
        seg_close(&s);
        cr_assert_eq(lock_files(&p), 1, "point %lu", (unsigned long)first);
        cr_assert_eq(seg_destroy(p.path, 0), LARDER_OK, "%s", larder_error());
        cr_assert_eq(lock_files(&p), 0, "point %lu", (unsigned long)first);
    }
    end(&p);
}

Test(seg_lock, who_dies_over_the_removal_leaves_nothing_behind) {
    struct place p;
    begin(&p);
    for (int by_creator = 0; by_creator < 2; by_creator++)
        for (uint64_t at = 1, is_dead = 1; is_dead; at++) {
            cr_assert_eq(open_and_close(p.path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
            is_dead = (uint64_t)dies((struct dying){p.path, at, 0, 0, 1});
            if (by_creator)
                cr_assert_eq(open_and_close(p.path, LARDER_CREATE), LARDER_OK, "%s", larder_error());
            cr_assert_eq(seg_destroy(p.path, 0), is_dead || by_creator ? LARDER_OK : LARDER_E_NO_SEGMENT,
                         "point %lu: %s", (unsigned long)at, larder_error());
            cr_assert_eq(lock_files(&p), 0, "point %lu", (unsigned long)at);
        }
    cr_assert_eq(rmdir(p.dir), 0);
}

/* A file that was removed by hand: the last attached process removes the lock file, too. */
Test(seg_lock, goes_when_the_segment_was_removed_by_hand) {
    struct place p;
    struct seg s;
    begin(&p);
    must_open(&s, p.path, LARDER_CREATE);
    cr_assert_eq(unlink(p.path), 0);
    seg_close(&s);
    cr_assert_eq(lock_files(&p), 0);
    cr_assert_eq(rmdir(p.dir), 0);
}

/* ---- Others ---------------------------------------------------------------------------------- */

/* A user that can read the segment knows the name that the lock file of a copy might get. */
static int squat(void *arg) {
    const struct place *p = arg;
    struct seg s;
    struct stat st;
    char path[512];
    PROC_CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    PROC_CHECK(open_as(&s, p->copy, LARDER_READ_ONLY, 0) == LARDER_OK && fstat(s.fd, &st) == 0);
    uint64_t id = SHM_LOAD(&s.shm->lock_id) & ~UINT64_C(1);
    snprintf(path, sizeof path, "%s/.larder-%016llx-%llx.lock", p->dir, (unsigned long long)id,
             (unsigned long long)st.st_ino);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    PROC_CHECK(fd >= 0 && fchmod(fd, 0666) == 0);
    return 0;
}

Test(seg_lock, a_file_of_another_user_is_no_lock_file) {
    struct place p;
    struct seg a, b;
    if (geteuid() != 0)
        cr_skip_test("needs root");
    begin(&p);
    cr_assert_eq(chmod(p.dir, 01777), 0);
    cr_assert_eq(open_and_close(p.path, LARDER_CREATE), LARDER_OK);
    copy_file(p.path, p.copy);
    cr_assert_eq(chmod(p.copy, 0644), 0);
    /* Make the copy look as if its present id had been drawn for it: its name is the next one. */
    int fd = open(p.copy, O_RDWR | O_CLOEXEC);
    uint64_t id = UINT64_C(0x1122334455667788);
    cr_assert(fd >= 0 && pwrite(fd, &id, sizeof id, offsetof(struct seg_shm, lock_id)) == (ssize_t)sizeof id);
    close(fd);
    cr_assert(proc_is_exit(proc_run(squat, &p, DEADLINE_MS), 0));
    must_open(&a, p.copy, 0);
    must_open(&b, p.copy, 0);
    must_share_locks(&a, &b, 1);
    struct stat st;
    cr_assert(fstat(a.lock_fd, &st) == 0 && st.st_uid == 0 && SHM_LOAD(&a.shm->lock_id) != (id | 1));
    seg_close(&a);
    seg_close(&b);
    cr_assert_eq(seg_destroy(p.copy, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(seg_destroy(p.path, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(lock_files(&p), 1, "the other's is left alone");
    char lock[512];
    lock_path(&p, lock);
    cr_assert(unlink(lock) == 0 && rmdir(p.dir) == 0);
}

#define NO_NAMESPACE 77

struct mounts {
    struct place p;
    char other[64];
    _Atomic int is_held, may_go;
};

/* Sees the directory under another name, in a mount namespace of its own. */
static int hold_elsewhere(void *arg) {
    struct mounts *m = arg;
    struct seg s;
    void *live;
    char path[128], alone[128];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return NO_NAMESPACE;
    PROC_CHECK(mount(m->p.dir, m->other, NULL, MS_BIND, NULL) == 0);
    snprintf(path, sizeof path, "%s/seg", m->other);
    PROC_CHECK(open_as(&s, path, 0, 0) == LARDER_OK);
    PROC_CHECK(live_take(&s, LIVE_SLOT_BASE + 3, &live) == LARDER_OK);
    m->is_held = 1;
    PROC_CHECK(UNTIL(m->may_go, DEADLINE_MS));
    seg_close(&s);
    PROC_CHECK(mount("none", "/mnt", "tmpfs", 0, NULL) == 0);
    snprintf(alone, sizeof alone, "/mnt/alone");
    int fd = open(alone, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    PROC_CHECK(fd >= 0 && close(fd) == 0 && mount(path, alone, NULL, MS_BIND, NULL) == 0);
    PROC_CHECK(open_as(&s, alone, 0, 0) == LARDER_E_FORMAT && strstr(larder_error(), "Mount the directory"));
    PROC_CHECK(open_as(&s, alone, LARDER_READ_ONLY, 0) == LARDER_OK);
    return 0;
}

Test(seg_lock, is_shared_across_mount_namespaces_that_share_the_directory) {
    struct seg s;
    if (geteuid() != 0)
        cr_skip_test("needs root");
    struct mounts *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)m != MAP_FAILED);
    begin(&m->p);
    snprintf(m->other, sizeof m->other, "/tmp/larder-test-XXXXXX");
    cr_assert(mkdtemp(m->other) != NULL);
    must_open(&s, m->p.path, LARDER_CREATE);
    pid_t pid = proc_fork(hold_elsewhere, m);
    if (UNTIL(m->is_held || proc_is_over(pid), 5000) && m->is_held) {
        cr_expect_eq(live_is_held(&s, 3), 1);
        m->may_go = 1;
    }
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    seg_close(&s);
    end(&m->p);
    cr_assert_eq(rmdir(m->other), 0);
    if (proc_is_exit(r, NO_NAMESPACE))
        cr_skip_test("may not have mounts of its own here");
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}
