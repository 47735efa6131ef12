/* core/segment/seg_file.c - see core/segment/seg_file.h.
 *
 * Rules    F1 Symbolic links are refused, as by shm_open(). In a directory that all users may write
 *             to, a link would choose for us which file is opened, and removing it would leave the
 *             segment.
 *          F2 Opening never creates, and creating never opens. So we know who made a file, and the
 *             kernel's protected_regular, which forbids O_CREAT on other users' files in /dev/shm,
 *             is no obstacle.
 *          F3 A file may be made a segment only if it is empty, or has our magic and state
 *             INITIALISING. A creator first writes the whole head at once
 *             (core/segment/seg_create.c), so no death leaves a state in between, and no foreign
 *             file looks like that. On hugetlbfs, which has no write(), the file grows first: there
 *             zeros in place of the head count as empty.
 * Tests    tests/unit/segment/seg_foreign_test.c
 */
#include "core/segment/seg_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/err.h"

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000 /* Linux 5.8 */
#endif

static int seg_file_is_name(const char *name) {
    size_t bytes = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return bytes >= 1 && bytes <= SEG_NAME_BYTES_MAX && name[bytes] == 0 && name[0] != '.';
}

int seg_file_name(struct seg_file *file, const char *segment) {
    *file = (struct seg_file){.shown = segment ? segment : "larder"};
    /* a name as shm_open() takes it, not a file in "/" */
    if (file->shown[0] == '/' && !strchr(file->shown + 1, '/'))
        return err_set(LARDER_E_INVAL,
                       SEG_NAMED_TEXT ": a name has no leading slash, and a path has a folder: \"%.200s\" or "
                                      "\"" SEG_SHM_DIR "%.200s\"",
                       file->shown, file->shown + 1, file->shown + 1);
    if (strchr(file->shown, '/')) {
        file->path = file->shown;
        return LARDER_OK;
    }
    if (!seg_file_is_name(file->shown))
        return err_set(LARDER_E_INVAL,
                       SEG_NAMED_TEXT ": a name is 1 to %d of A-Z a-z 0-9 _ . - and does not start with a dot; a path "
                                      "has a '/'",
                       file->shown, SEG_NAME_BYTES_MAX);
    snprintf(file->shm_path, sizeof file->shm_path, SEG_SHM_DIR "%s", file->shown);
    file->path = file->shm_path;
    return LARDER_OK;
}

/* EACCES alone says little: names owner and mode, if they can be seen. */
static int seg_file_no_access(const struct seg_file *file, int is_read_only) {
    const char *wanted = is_read_only ? "read" : "read and write";
    struct stat st;
    if (lstat(file->path, &st) != 0)
        return err_set(LARDER_E_ACCESS, SEG_NAMED_TEXT ": no permission to %s it or its directory", file->shown,
                       wanted);
    return err_set(LARDER_E_ACCESS, SEG_NAMED_TEXT ": no permission to %s it (owner uid %u, mode %04o; we are uid %u)",
                   file->shown, wanted, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777u, (unsigned)geteuid());
}

static int seg_file_open_failed(const struct seg_file *file, int is_read_only) {
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return err_set(LARDER_E_NO_SEGMENT, SEG_NAMED_TEXT ": does not exist", file->shown);
    case EISDIR:
    case ENXIO: /* a socket, or a FIFO without a reader */
    case ENODEV:
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": is not a regular file", file->shown);
    case ELOOP:
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": is a symbolic link, which is not followed", file->shown);
    case EACCES:
    case EPERM:
    case EROFS:
        return seg_file_no_access(file, is_read_only);
    default:
        return err_set_errno("open segment", file->shown);
    }
}

int seg_file_open(struct seg_file *file, int is_read_only, int *fd) {
    /* NONBLOCK: opening a FIFO or a device must not wait. It means nothing on a regular file. */
    int flags = (is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int opened = open(file->path, flags);
    if (opened < 0)
        return seg_file_open_failed(file, is_read_only);
    struct stat st;
    if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(opened);
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": is not a regular file", file->shown);
    }
    file->is_foreign = st.st_uid != geteuid();
    *fd = opened;
    return LARDER_OK;
}

int seg_file_is_foreign(const struct seg_file *file, int fd, const char *why) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_errno("look at segment", file->shown);
    return err_set(LARDER_E_ACCESS,
                   SEG_NAMED_TEXT ": belongs to another user (owner uid %u, mode %04o; we are uid %u): it %s",
                   file->shown, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777u, (unsigned)geteuid(), why);
}

int seg_file_create(struct seg_file *file, int *fd) {
    int opened = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, SEG_MODE_MAKING);
    if (opened < 0 && errno == EEXIST)
        return LARDER_E_EXISTS;
    if (opened < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(LARDER_E_NO_SEGMENT, SEG_NAMED_TEXT ": its directory does not exist", file->shown);
    if (opened < 0)
        return err_set_errno("create segment", file->shown);
    /* A umask may remove even the owner's bits, which the creation lock needs. The mode asked for
     * comes later. */
    (void)fchmod(opened, SEG_MODE_MAKING);
    file->is_new = 1;
    file->is_foreign = 0;
    *fd = opened;
    return LARDER_OK;
}

int seg_file_is_named(const struct seg_file *file, int fd) {
    struct stat ours, named;
    if (!file->path)
        return 1;
    return fstat(fd, &ours) == 0 && lstat(file->path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static int seg_file_link_of(int fd, char *text, size_t bytes_max) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, text, bytes_max - 1);
    text[bytes < 0 ? 0 : bytes] = 0;
    return bytes > 0;
}

/* The kernel's text may be no path: "/memfd:NAME (deleted)", "PATH (deleted)". It is one only if it
 * leads to the file. */
int seg_file_path_of(int fd, char *path) {
    struct stat ours, found;
    int is_path = seg_file_link_of(fd, path, PATH_MAX) && *path == '/' && fstat(fd, &ours) == 0 &&
                  lstat(path, &found) == 0 && ours.st_dev == found.st_dev && ours.st_ino == found.st_ino;
    return is_path ? LARDER_OK : LARDER_NOT_FOUND;
}

int seg_file_has_no_name(int fd) {
    static const char begin[] = "/memfd:";
    char text[sizeof begin];
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink == 0 && seg_file_link_of(fd, text, sizeof text) &&
           strcmp(text, begin) == 0;
}

/* DIR of DIR/NAME; "" is the root directory's. */
static int seg_file_directory(const struct seg_file *file, char directory[PATH_MAX]) {
    size_t bytes = (size_t)(strrchr(file->path, '/') - file->path);
    if (bytes >= PATH_MAX)
        return err_set(LARDER_E_INVAL, SEG_NAMED_TEXT ": the path is longer than %d bytes", file->shown, PATH_MAX);
    memcpy(directory, file->path, bytes);
    directory[bytes] = 0;
    return LARDER_OK;
}

int seg_file_check_removable(const struct seg_file *file, int fd) {
    char directory[PATH_MAX] = "";
    struct statx named;
    if (!seg_file_is_named(file, fd))
        return LARDER_OK;
    if (statx(AT_FDCWD, file->path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &named) == 0) {
        if (named.stx_attributes & STATX_ATTR_MOUNT_ROOT)
            return err_note_errno(err_set(LARDER_E_OS,
                                          SEG_NAMED_TEXT
                                          ": this name is a mount of the file (mount --bind), which cannot be removed; "
                                          "nothing was changed. Destroy it by the name that it was made under",
                                          file->shown),
                                  EBUSY);
        if (named.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
            return err_note_errno(err_set(LARDER_E_ACCESS,
                                          SEG_NAMED_TEXT
                                          ": its file must not be removed (lsattr, chattr); nothing was changed",
                                          file->shown),
                                  EPERM);
    }
    int result = seg_file_directory(file, directory);
    if (result == LARDER_OK && faccessat(AT_FDCWD, *directory ? directory : "/", W_OK | X_OK, AT_EACCESS) != 0 &&
        (errno == EACCES || errno == EROFS))
        result = err_set_errno("remove segment", file->shown);
    return result;
}

int seg_file_unlink(const struct seg_file *file, int fd) {
    struct stat named;
    if (lstat(file->path, &named) && errno != ENOENT)
        return err_set_errno("remove segment", file->shown);
    if (!seg_file_is_named(file, fd))
        return LARDER_OK;
    if (unlink(file->path) == 0 || errno == ENOENT)
        return LARDER_OK;
    return err_set_errno("remove segment", file->shown);
}

int seg_file_is_huge(int fd) {
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC;
}

uint64_t seg_file_page_bytes(int fd) {
    struct statfs fs;
    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
        return (uint64_t)fs.f_bsize;
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* On many kernels tmpfs gives everything back when a signal comes, so a program with a timer faster
 * than the call would never get its memory. So signals are blocked meanwhile: some tenths of a
 * millisecond per megabyte. */
int seg_file_back(int fd, uint64_t from, uint64_t bytes) {
    sigset_t all, before;
    int failed;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do
        failed = fallocate(fd, 0, (off_t)from, (off_t)bytes);
    while (failed && errno == EINTR); /* SIGSTOP and SIGCONT cannot be blocked */
    int number = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = number;
    return failed;
}

/* Reads as many bytes of the head as there are. -1: it cannot be read. */
static ssize_t seg_look_read(int fd, struct seg_shm *head) {
    size_t have = 0;
    *head = (struct seg_shm){0};
    while (have < sizeof *head) {
        ssize_t got = pread(fd, (char *)head + have, sizeof *head - have, (off_t)have);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got == 0)
            break;
        have += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)have;
}

static int seg_look_is_zero(const struct seg_shm *head) {
    const unsigned char *at = (const unsigned char *)head;
    for (size_t i = 0; i < sizeof *head; i++)
        if (at[i] != 0)
            return 0;
    return 1;
}

/* The file has a whole head that starts with our magic. */
static enum seg_look seg_look_ours(const struct seg_file *file, const struct seg_shm *head, int *result) {
    if (head->format_version < SEG_FORMAT_OLDEST || head->format_version > SEG_FORMAT_NEWEST) {
        *result = err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": has format version %u; this library reads %u to %u",
                          file->shown, head->format_version, SEG_FORMAT_OLDEST, SEG_FORMAT_NEWEST);
        return SEG_LOOK_UNUSABLE;
    }
    uint32_t state = SHM_LOAD(&head->state);
    switch (state) {
    case SEG_STATE_INITIALISING:
        return SEG_LOOK_HALF_MADE;
    case SEG_STATE_READY:
        return SEG_LOOK_READY;
    case SEG_STATE_DESTROYED:
        return SEG_LOOK_DESTROYED;
    case SEG_STATE_REPAIRING:
        *result = err_set(LARDER_E_CORRUPT,
                          SEG_NAMED_TEXT ": its repair was cut off; larder check --repair finishes it", file->shown);
        return SEG_LOOK_REPAIRING;
    default:
        *result = err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": damaged: state %u is invalid", file->shown, state);
        return SEG_LOOK_BAD_STATE;
    }
}

enum seg_look seg_look(const struct seg_file *file, int fd, struct seg_shm *head, uint64_t *file_bytes, int *result) {
    struct stat st;
    /* The head first: a creator sets the size before it says READY, so the size of a READY file is
     * final. */
    ssize_t have = seg_look_read(fd, head);
    if (have < 0 || fstat(fd, &st) != 0) {
        *result = err_set_errno("read segment", file->shown);
        return SEG_LOOK_FAILED;
    }
    *file_bytes = (uint64_t)st.st_size;
    if (have == 0)
        return SEG_LOOK_EMPTY;
    if ((size_t)have < sizeof head->magic || head->magic != SEG_MAGIC) {
        if (have == sizeof *head && seg_look_is_zero(head) && seg_file_is_huge(fd))
            return SEG_LOOK_EMPTY;
        *result = err_set(LARDER_E_FORMAT,
                          SEG_NAMED_TEXT ": not a Larder segment, nor the head of a damaged one: it is left as it is. "
                                         "Is the name right? Only rm removes the file",
                          file->shown);
        return SEG_LOOK_FOREIGN;
    }
    if ((size_t)have < sizeof *head) {
        *result = err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": truncated: %zd bytes of %u at least", file->shown, have,
                          LARDER_SEGMENT_BYTES_MIN);
        return SEG_LOOK_UNUSABLE;
    }
    return seg_look_ours(file, head, result);
}
