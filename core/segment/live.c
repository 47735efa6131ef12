/* core/segment/live.c - see core/segment/live.h.
 *
 * Job      Takes, drops and tests liveness locks.
 * Locks    The fork guard is held while an open file description has a descriptor, so no forked
 *          child gets a copy of the descriptor.
 * Crash    Anywhere: the kernel closes the descriptor and unmaps the page; the last of them takes
 *          the lock with it.
 * Tests    tests/unit/segment/live_test.c
 */
#include "core/segment/live.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/err.h"

static pthread_mutex_t live_fork_guard = PTHREAD_MUTEX_INITIALIZER;

void live_fork_prepare(void) {
    pthread_mutex_lock(&live_fork_guard);
}

void live_fork_parent(void) {
    pthread_mutex_unlock(&live_fork_guard);
}

/* The child's only thread is the one that forked, and it holds the guard. */
void live_fork_child(void) {
    pthread_mutex_unlock(&live_fork_guard);
}

static struct flock live_range(int64_t byte, short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

/* Descriptor of the file that carries the locks; -1: this user may not open it. */
static int live_fd(const struct seg *s) {
    return s->has_lock_file ? s->lock_fd : s->fd;
}

/* Opens a new description of the file: a dup() would share its locks with all copies of the
 * descriptor. */
static int live_open(const struct seg *s, int *fd) {
    char path[40];
    *fd = -1;
    if (live_fd(s) < 0)
        return err_set(LARDER_E_ACCESS,
                       "the segment's lock file can be opened only by users that may write to the segment");
    if (!seg_lock_fd_is_ours(s))
        return LARDER_E_OS;
    snprintf(path, sizeof path, "/proc/self/fd/%d", live_fd(s));
    *fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (*fd >= 0)
        return LARDER_OK;
    if (errno == ENOENT)
        return err_note_errno(
            err_set(LARDER_E_OS, "cannot open %s, which slots and creation need: is /proc mounted?", path), ENOENT);
    return err_set_errno("reopen the file with the segment's locks as", path);
}

static int live_lock(int fd, int64_t byte) {
    struct flock range = live_range(byte, F_WRLCK);
    if (fcntl(fd, F_OFD_SETLK, &range) == 0)
        return LARDER_OK;
    if (errno == EAGAIN || errno == EACCES)
        return LARDER_E_BUSY;
    return err_set_errno("lock", "a byte of the file with the segment's locks");
}

/* From here on the mapping alone keeps the description and its lock. NORESERVE: on hugetlbfs the
 * mapping would otherwise reserve a huge page. */
static int live_pin(const struct seg *s, int fd, void **live) {
    void *page = mmap(NULL, s->lock_page_bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (page == MAP_FAILED && errno == ENOMEM)
        return err_set(LARDER_E_NO_MEMORY, "no address space for the page of a writer slot (ulimit -v)");
    if (page == MAP_FAILED)
        return err_set_errno("map", "the page of a liveness lock");
    if (madvise(page, s->lock_page_bytes, MADV_DONTFORK) != 0) {
        int result = err_set_errno("exclude from forked children", "the page of a liveness lock");
        munmap(page, s->lock_page_bytes);
        return result;
    }
    *live = page;
    return LARDER_OK;
}

int live_take(const struct seg *s, int64_t byte, void **live) {
    int fd, cancel_state;
    /* open() and close() are cancellation points; a thread cancelled there would leave the guard
     * locked. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&live_fork_guard);
    int result = live_open(s, &fd);
    if (result == LARDER_OK) {
        result = live_lock(fd, byte);
        if (result == LARDER_OK)
            result = live_pin(s, fd, live);
        close(fd);
    }
    pthread_mutex_unlock(&live_fork_guard);
    pthread_setcancelstate(cancel_state, &cancel_state);
    return result;
}

void live_drop(const struct seg *s, void *live) {
    if (live)
        munmap(live, s->lock_page_bytes);
}

/* Whether a lock of this type on the byte would conflict with another. -1: it cannot be told. */
static int live_would_meet(const struct seg *s, int64_t byte, short type) {
    struct flock range = live_range(byte, type);
    if (live_fd(s) < 0 || !seg_lock_fd_is_ours(s) || fcntl(live_fd(s), F_OFD_GETLK, &range) != 0)
        return -1;
    return range.l_type != F_UNLCK;
}

int live_is_locked(const struct seg *s, int64_t byte) {
    return live_would_meet(s, byte, F_WRLCK);
}

int live_is_locked_for_writing(const struct seg *s, int64_t byte) {
    return live_would_meet(s, byte, F_RDLCK);
}

int live_is_held(const struct seg *s, uint32_t slot) {
    return live_is_locked(s, LIVE_SLOT_BASE + slot);
}
