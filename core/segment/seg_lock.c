/* core/segment/seg_lock.c - see core/segment/seg_lock.h. */
#include "core/segment/seg_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/segment/seg_parts.h"

#define LOCK_SETTLED UINT64_C(1)
#define LOCK_NAME_BEGIN ".larder-"
#define LOCK_NAME_FORMAT LOCK_NAME_BEGIN "%016llx-%llx.lock"
#define LOCK_NAME_MAX 64
#define SETTLE_TRIES 64

/* Internal results of one try. */
#define LOCK_MISSING 1
#define LOCK_OTHERS 2 /* the name belongs to another owner, or to no regular file (rule E3) */

struct lock_place {
    struct stat segment;
    char path[PATH_MAX];
};

/* ---- Names ----------------------------------------------------------------------------------- */

/* The lock file's id; 0: none. A memfd never has one: an id in its head is damage, and would make a
 * file in the root directory. */
static uint64_t lock_id_of(const struct seg *s, const struct seg_shm *head) {
    return s->has_no_name ? 0 : SHM_LOAD(&head->lock_id);
}

/* DIR/ of the segment. For a descriptor that was passed to us, the kernel names the directory. */
static int lock_directory(const struct seg *s, const struct seg_file *file, char path[PATH_MAX]) {
    if (file->path) {
        if (snprintf(path, PATH_MAX, "%s", file->path) >= PATH_MAX)
            return err_set(LARDER_E_INVAL, SEG_NAMED_TEXT ": the path has more than %d bytes", file->shown,
                           PATH_MAX - 1);
    } else if (seg_file_path_of(s->fd, path) != LARDER_OK)
        return err_set(LARDER_E_FORMAT,
                       SEG_NAMED_TEXT ": the file of this descriptor has no name, so there is no lock file beside it: "
                                      "it was removed, or its head is damaged",
                       file->shown);
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) > PATH_MAX - LOCK_NAME_MAX)
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": its directory cannot be found", file->shown);
    slash[1] = 0;
    return LARDER_OK;
}

static int lock_place_of(const struct seg *s, const struct seg_file *file, uint64_t id, struct lock_place *place) {
    if (fstat(s->fd, &place->segment) != 0)
        return err_set_errno("look at segment", file->shown);
    int result = lock_directory(s, file, place->path);
    if (result != LARDER_OK)
        return result;
    size_t at = strlen(place->path);
    snprintf(place->path + at, sizeof place->path - at, LOCK_NAME_FORMAT, (unsigned long long)(id & ~LOCK_SETTLED),
             (unsigned long long)place->segment.st_ino);
    return LARDER_OK;
}

/* Draws an id: never 0, never settled. */
static int lock_draw(uint64_t *id) {
    do {
        if (getrandom(id, sizeof *id, 0) != (ssize_t)sizeof *id)
            return err_set_errno("read", "random bytes");
        *id &= ~LOCK_SETTLED;
    } while (*id == 0);
    return LARDER_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Gives each class of users both rights or none: one alone must not be enough to take a lock. */
static mode_t lock_mode(uint32_t segment_mode) {
    mode_t mode = 0600;
    for (mode_t both = 06; both <= 060; both <<= 3)
        mode |= (segment_mode & both) == both ? both : 0;
    return mode;
}

/* Gives the lock file the owner, group and rights that follow from the segment's. The group gets
 * rights only if it is the same group. */
static int lock_adjust(const struct seg_file *file, int fd, const struct lock_place *place, uint32_t mode) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno("look at the lock file of segment", file->shown);
    int is_owned = st.st_uid == place->segment.st_uid;
    if (!is_owned)
        is_owned = fchown(fd, place->segment.st_uid, place->segment.st_gid) == 0;
    if (!is_owned)
        return err_set(LARDER_E_ACCESS,
                       SEG_NAMED_TEXT ": is a copy; its owner (uid %u) must be the first to open it for writing",
                       file->shown, (unsigned)place->segment.st_uid);
    mode_t wanted = lock_mode(mode);
    if (fstat(fd, &st) == 0 && st.st_gid != place->segment.st_gid && fchown(fd, (uid_t)-1, place->segment.st_gid) != 0)
        wanted &= ~(mode_t)060;
    if ((st.st_mode & 07777u) != wanted && fchmod(fd, wanted) != 0)
        return err_set_errno("set the mode of the lock file of segment", file->shown);
    return LARDER_OK;
}

static int lock_keep(struct seg *s, int fd, const struct stat *st) {
    s->has_lock_file = 1;
    s->lock_fd = fd;
    s->lock_device = st->st_dev;
    s->lock_inode = st->st_ino;
    return LARDER_OK;
}

/* LARDER_OK and open in *s; LOCK_MISSING, LOCK_OTHERS; LARDER_E_ACCESS, LARDER_E_OS. */
static int lock_open(struct seg *s, const struct seg_file *file, const struct lock_place *place) {
    int flags = (s->is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    struct stat st;
    if (lstat(place->path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR ? LOCK_MISSING : err_set_errno("look at", place->path);
    if (!S_ISREG(st.st_mode) || st.st_uid != place->segment.st_uid || st.st_dev != place->segment.st_dev)
        return LOCK_OTHERS;
    int fd = open(place->path, flags);
    if (fd < 0 && errno == ENOENT)
        return LOCK_MISSING;
    if (fd < 0 && errno == EACCES)
        return err_set(LARDER_E_ACCESS,
                       SEG_NAMED_TEXT
                       ": no permission to read and write its lock file %s (owner uid %u, mode %04o; we are uid %u); "
                       "it gets the segment's mode when the owner opens the segment",
                       file->shown, place->path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777u,
                       (unsigned)geteuid());
    if (fd < 0)
        return err_set_errno("open", place->path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == place->segment.st_uid &&
        st.st_dev == place->segment.st_dev)
        return lock_keep(s, fd, &st);
    close(fd);
    return LOCK_OTHERS;
}

/* LARDER_OK and open in *s; LARDER_E_EXISTS without a message; other failures. */
static int lock_create(struct seg *s, const struct seg_file *file, const struct lock_place *place, uint32_t mode) {
    struct stat st;
    int fd = open(place->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return LARDER_E_EXISTS;
    if (fd < 0)
        return err_set_errno("make the lock file", place->path);
    int result = lock_adjust(file, fd, place, mode);
    if (result == LARDER_OK && fstat(fd, &st) != 0)
        result = err_set_errno("look at", place->path);
    if (result == LARDER_OK)
        return lock_keep(s, fd, &st);
    close(fd);
    (void)unlink(place->path);
    return result;
}

static void lock_let_go(struct seg *s) {
    if (s->has_lock_file && s->lock_fd >= 0)
        close(s->lock_fd);
    s->has_lock_file = 0;
}

/* ---- Settling -------------------------------------------------------------------------------- */

static int lock_is_for(const struct seg *s, uint64_t id, uint64_t inode) {
    struct stat st;
    return (id & LOCK_SETTLED) && fstat(s->fd, &st) == 0 && inode == st.st_ino;
}

/* Replaces `id` by a new id. If another process was faster, its id counts. */
static int lock_redraw(struct seg *s, uint64_t id) {
    uint64_t drawn;
    int result = lock_draw(&drawn);
    if (result == LARDER_OK)
        (void)SHM_CAS(&s->shm->lock_id, &id, drawn);
    return result;
}

/* Finds or makes the file of an id that is not settled, and settles it. SETTLE_AGAIN: look
 * again. */
#define SETTLE_AGAIN 3

static int lock_settle(struct seg *s, const struct seg_file *file, uint64_t id, uint32_t mode) {
    struct lock_place place;
    int result = lock_place_of(s, file, id, &place);
    if (result != LARDER_OK)
        return result;
    result = lock_open(s, file, &place);
    if (result == LOCK_MISSING) {
        shm_crash_point();
        result = lock_create(s, file, &place, mode ? mode : (uint32_t)place.segment.st_mode & 0777u);
    }
    if (result == LOCK_OTHERS) {
        result = lock_redraw(s, id);
        return result == LARDER_OK ? SETTLE_AGAIN : result;
    }
    if (result == LARDER_E_EXISTS)
        return SETTLE_AGAIN;
    if (result != LARDER_OK)
        return result;
    uint64_t seen = id;
    SHM_STORE(&s->shm->lock_for, (uint64_t)place.segment.st_ino);
    if (SHM_CAS(&s->shm->lock_id, &seen, id | LOCK_SETTLED) || seen == (id | LOCK_SETTLED))
        return LARDER_OK;
    lock_let_go(s);
    return SETTLE_AGAIN;
}

/* Whether the segment was just removed, and the lock file with it. */
static int lock_went_with_segment(const struct seg *s, const struct seg_file *file) {
    uint32_t state;
    return pread(s->fd, &state, sizeof state, offsetof(struct seg_shm, state)) != (ssize_t)sizeof state ||
           state == SEG_STATE_DESTROYED || !seg_file_is_named(file, s->fd);
}

/* The result and message when a settled lock file is missing. */
static int lock_is_missing(const struct seg *s, const struct seg_file *file, const struct lock_place *place,
                           int result) {
    if (lock_went_with_segment(s, file))
        return SEG_AGAIN;
    if (result == LOCK_OTHERS)
        return err_set(LARDER_E_ACCESS,
                       SEG_NAMED_TEXT ": its lock file %s is not a regular file of the segment's owner (uid %u)",
                       file->shown, place->path, (unsigned)place->segment.st_uid);
    return err_set(LARDER_E_FORMAT,
                   SEG_NAMED_TEXT
                   ": beside it its lock file %.160s is missing, so it cannot be opened to write. Mount the "
                   "directory, not the file; or move it back. Reading and larder export still work. "
                   "larder destroy --force ends it for every process",
                   file->shown, strrchr(place->path, '/') + 1);
}

static int lock_open_settled(struct seg *s, const struct seg_file *file, uint64_t id) {
    struct lock_place place;
    int result = lock_place_of(s, file, id, &place);
    if (result == LARDER_OK)
        result = lock_open(s, file, &place);
    return result > 0 ? lock_is_missing(s, file, &place, result) : result;
}

/* The owner may have changed the segment's mode since. */
static void lock_follow_mode(const struct seg *s, const struct seg_file *file) {
    struct lock_place place;
    if (fstat(s->fd, &place.segment) == 0 && (place.segment.st_uid == geteuid() || geteuid() == 0))
        (void)lock_adjust(file, s->lock_fd, &place, (uint32_t)place.segment.st_mode & 0777u);
}

static int lock_find_or_settle(struct seg *s, const struct seg_file *file, uint32_t mode) {
    for (int tries = 0; tries < SETTLE_TRIES; tries++) {
        uint64_t id = lock_id_of(s, s->shm);
        int result;
        if (id == 0)
            return LARDER_OK;
        if (lock_is_for(s, id, SHM_LOAD(&s->shm->lock_for)))
            return lock_open_settled(s, file, id);
        if (id & LOCK_SETTLED) { /* rule E2 */
            result = lock_redraw(s, id);
            if (result != LARDER_OK)
                return result;
            continue;
        }
        result = lock_settle(s, file, id, mode);
        if (result != SETTLE_AGAIN)
            return result;
    }
    return err_set(LARDER_E_BUSY, SEG_NAMED_TEXT ": other processes keep changing its lock file", file->shown);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

int seg_lock_make(struct seg *s, const struct seg_file *file, uint32_t mode) {
    uint64_t id;
    if (s->is_memfd)
        return LARDER_OK;
    int result = lock_draw(&id);
    if (result != LARDER_OK)
        return result;
    /* before the file is made: a creator that takes over finds and removes it */
    SHM_STORE(&s->shm->lock_id, id);
    return lock_find_or_settle(s, file, mode);
}

/* A reader uses the lock file only to tell which owners are alive. */
static int lock_attach_reader(struct seg *s, const struct seg_file *file) {
    uint64_t id = lock_id_of(s, s->shm);
    struct lock_place place;
    if (id == 0)
        return LARDER_OK;
    if (!lock_is_for(s, id, SHM_LOAD(&s->shm->lock_for)) || lock_place_of(s, file, id, &place) != LARDER_OK ||
        lock_open(s, file, &place) != LARDER_OK) {
        s->has_lock_file = 1;
        s->lock_fd = -1;
    }
    return LARDER_OK;
}

int seg_lock_attach(struct seg *s, const struct seg_file *file) {
    if (s->has_lock_file)
        return LARDER_OK;
    if (s->is_read_only)
        return lock_attach_reader(s, file);
    int result = lock_find_or_settle(s, file, 0);
    if (result == LARDER_OK && s->has_lock_file)
        lock_follow_mode(s, file);
    return result;
}

int seg_lock_is_settled(const struct seg *s, const struct seg_shm *head) {
    return lock_is_for(s, lock_id_of(s, head), SHM_LOAD(&head->lock_for));
}

int seg_lock_find(struct seg *s, const struct seg_file *file, const struct seg_shm *head) {
    return seg_lock_is_settled(s, head) ? lock_open_settled(s, file, SHM_LOAD(&head->lock_id)) : LARDER_OK;
}

int seg_lock_remove(const struct seg *s, const struct seg_file *file, const struct seg_shm *head) {
    struct lock_place place;
    struct stat st;
    uint64_t id = lock_id_of(s, head);
    if (id == 0 || lock_place_of(s, file, id, &place) != LARDER_OK || lstat(place.path, &st) != 0)
        return LARDER_OK;
    if (!S_ISREG(st.st_mode) || st.st_uid != place.segment.st_uid)
        return LARDER_OK; /* rule E3: not ours */
    return unlink(place.path) == 0 || errno == ENOENT ? LARDER_OK : err_set_errno("remove", place.path);
}

void seg_lock_remove_all(const struct seg *s, const struct seg_file *file) {
    struct lock_place place;
    char end[LOCK_NAME_MAX];
    struct dirent *entry;
    if (s->has_no_name || lock_place_of(s, file, 0, &place) != LARDER_OK)
        return;
    snprintf(end, sizeof end, "-%llx.lock", (unsigned long long)place.segment.st_ino);
    *strrchr(place.path, '/') = 0;
    DIR *directory = opendir(*place.path ? place.path : "/");
    while (directory && (entry = readdir(directory)) != NULL) {
        size_t bytes = strlen(entry->d_name);
        struct stat st;
        if (strncmp(entry->d_name, LOCK_NAME_BEGIN, strlen(LOCK_NAME_BEGIN)) == 0 && bytes > strlen(end) &&
            strcmp(entry->d_name + bytes - strlen(end), end) == 0 &&
            fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_uid == place.segment.st_uid)
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    if (directory)
        closedir(directory);
}

void seg_lock_remove_orphan(const struct seg *s) {
    char path[PATH_MAX];
    struct stat st;
    if (!s->has_lock_file || s->lock_fd < 0 || !seg_lock_fd_is_ours(s) ||
        seg_file_path_of(s->lock_fd, path) != LARDER_OK)
        return;
    if (lstat(path, &st) == 0 && st.st_dev == s->lock_device && st.st_ino == s->lock_inode)
        (void)unlink(path);
}
