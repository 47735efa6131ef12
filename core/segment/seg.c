/* core/segment/seg.c - opens, attaches and closes segments. See core/segment/seg.h.
 *
 * Idea     Each attempt opens the file, looks at it, and does what its state allows. If another
 *          process works on the file, the attempt releases everything, and a moment later there is
 *          another one, until the caller's time is up. So nothing is remembered of a file that was
 *          meanwhile finished, destroyed or replaced. Attaching to a READY segment takes no lock:
 *          READY says that the head is final (rule G3).
 * Tests    tests/unit/segment/seg_test.c, tests/api/open_test.c
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/base/wait.h"
#include "core/segment/live.h"
#include "core/segment/seg_layout.h"
#include "core/segment/seg_lock.h"
#include "core/segment/seg_parts.h"

#define SEG_PAUSE_NS 500000
#define SEG_HUGE_BYTES (UINT64_C(2) << 20) /* with larger huge pages the hint may have no effect */

struct seg_opening {
    struct larder_options options; /* defaults filled in */
    struct seg_file file;
    struct seg_wait wait;
    unsigned orphan_looks;
    /* in the last attempt: only a lock for reading was in the way */
    int is_reader_in_the_way;
};

/* ---- Waiting --------------------------------------------------------------------------------- */

void seg_wait_begin(struct seg_wait *wait, uint32_t timeout_ms) {
    wait->started_ns = wait_now_ns();
    wait->deadline_ns = wait->started_ns + timeout_ms * UINT64_C(1000000);
}

int seg_wait_is_left(const struct seg_wait *wait) {
    uint64_t now_ns = wait_now_ns(), end_ns = now_ns + SEG_PAUSE_NS;
    if (now_ns >= wait->deadline_ns)
        return 0;
    /* SEG_ORPHAN_LOOKS relies on the pauses, so signals must not shorten them. An absolute end also
     * keeps signals from prolonging them: the rest that nanosleep() reports includes the timer's
     * slack, and with a signal every 60 microseconds it never shrank. */
    struct timespec end = wait_timespec(end_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
    return 1;
}

uint64_t seg_wait_ms(const struct seg_wait *wait) {
    return (wait_now_ns() - wait->started_ns) / 1000000;
}

/* ---- Attaching ------------------------------------------------------------------------------- */

void seg_note_file(struct seg *s) {
    s->lock_page_bytes = seg_file_page_bytes(s->fd);
    s->has_no_name = s->is_memfd && seg_file_has_no_name(s->fd);
    s->wants_huge_pages = s->wants_huge_pages && !seg_file_is_huge(s->fd);
}

/* An address where a huge page of the file can be mapped as one. NULL, which means anywhere, if
 * there is none. */
static void *seg_huge_place(uint64_t bytes) {
    void *found = mmap(NULL, bytes + SEG_HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED)
        return NULL;
    /* only a hint: if another thread takes the place meanwhile, the kernel chooses another */
    munmap(found, bytes + SEG_HUGE_BYTES);
    return (void *)(((uintptr_t)found + SEG_HUGE_BYTES - 1) / SEG_HUGE_BYTES * SEG_HUGE_BYTES);
}

int seg_map(struct seg *s, uint64_t bytes, const char *shown) {
    int protection = s->is_read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void *place = s->wants_huge_pages ? seg_huge_place(bytes) : NULL;
    void *base = mmap(place, bytes, protection, MAP_SHARED | MAP_NORESERVE, s->fd, 0);
    if (base == MAP_FAILED && errno == ENOMEM)
        return err_set(LARDER_E_NO_MEMORY, SEG_NAMED_TEXT ": no address space to map %llu bytes (ulimit -v)", shown,
                       (unsigned long long)bytes);
    if (base == MAP_FAILED)
        return err_set_errno("map segment", shown);
    if (s->wants_huge_pages)
        (void)madvise(base, bytes, MADV_HUGEPAGE);
    s->base = base;
    s->bytes = bytes;
    s->shm = base;
    return LARDER_OK;
}

int seg_attach(struct seg *s, const struct seg_file *file, const struct seg_shm *head, uint64_t file_bytes) {
    int result = seg_layout_check(head, file_bytes, s->lock_page_bytes, file->shown);
    if (result == LARDER_OK)
        result = seg_map(s, head->size_bytes, file->shown);
    if (result != LARDER_OK)
        return result;
    /* From the checked private copy; the mapping may have changed since. */
    s->slots_off = head->slots_off;
    s->catalog_off = head->catalog_off;
    s->bins_off = head->bins_off;
    s->shards_off = head->shards_off;
    s->spans_off = head->spans_off;
    s->data_off = head->data_off;
    s->hash_seed = head->hash_seed;
    s->slot_count = head->slot_count;
    s->span_count = head->span_count;
    s->arena_count = head->arena_count;
    s->shard_count = head->shard_count;
    s->stripe_count = head->stripe_count;
    return LARDER_OK;
}

/* A creator that died after READY left the file closed to other users. The mode that it wanted is
 * in the head. */
static void seg_open_set_mode(const struct seg *s) {
    struct stat st;
    uint32_t mode = SHM_LOAD(&s->shm->mode_to_set);
    if (mode == 0 || s->is_read_only || s->is_memfd || fstat(s->fd, &st) != 0 || st.st_uid != geteuid())
        return;
    if ((st.st_mode & 07777u) == SEG_MODE_MAKING && seg_mode_is_possible(mode))
        (void)fchmod(s->fd, mode);
    SHM_STORE(&s->shm->mode_to_set, 0);
}

/* The state is READY; the creation lock may be held or not. */
static int seg_open_ready(struct seg *s, const struct seg_opening *o, const struct seg_shm *head, uint64_t file_bytes) {
    if (o->options.flags & LARDER_EXCLUSIVE)
        return err_set(LARDER_E_EXISTS, SEG_NAMED_TEXT ": exists already", o->file.shown);
    int result = seg_attach(s, &o->file, head, file_bytes);
    if (result != LARDER_OK)
        return result;
    seg_open_set_mode(s);
    return seg_lock_attach(s, &o->file);
}

/* ---- A file that is not READY ---------------------------------------------------------------- */

int seg_lock_creation(const struct seg *s, const struct seg_file *file, void **lock) {
    int result = live_take(s, LIVE_CREATE_BYTE, lock);
    if (result == LARDER_E_BUSY)
        return SEG_AGAIN;
    if (result == LARDER_OK && !seg_file_is_named(file, s->fd)) {
        live_drop(s, *lock);
        return SEG_AGAIN;
    }
    return result;
}

/* Takes the creation lock of the segment's own file, although there is a lock file. LARDER_OK with
 * *lock NULL if only a lock for reading is in the way. */
static int seg_lock_own(const struct seg *s, void **lock) {
    struct seg own = *s;
    own.has_lock_file = 0;
    int result = live_take(&own, LIVE_CREATE_BYTE, lock);
    if (result != LARDER_E_BUSY)
        return result;
    *lock = NULL;
    return live_is_locked_for_writing(&own, LIVE_CREATE_BYTE) == 1 ? SEG_AGAIN : LARDER_OK;
}

int seg_lock_removal(const struct seg *s, const struct seg_file *file, struct seg_removal *locks) {
    *locks = (struct seg_removal){0};
    int result = seg_lock_creation(s, file, &locks->creation);
    if (result == LARDER_OK && s->has_lock_file) {
        result = seg_lock_own(s, &locks->own);
        if (result != LARDER_OK)
            live_drop(s, locks->creation);
    }
    return result;
}

void seg_drop_removal(const struct seg *s, const struct seg_removal *locks) {
    live_drop(s, locks->own);
    live_drop(s, locks->creation);
}

/* The destroyer died before it removed the name. Attached processes already know; the name may be
 * used again. */
static int seg_open_destroyed(const struct seg *s, const struct seg_opening *o, const struct seg_shm *head) {
    if (!o->file.path)
        return err_set(LARDER_E_DESTROYED, SEG_NAMED_TEXT ": has been destroyed", o->file.shown);
    if (!(o->options.flags & LARDER_CREATE))
        return err_set(LARDER_E_NO_SEGMENT, SEG_NAMED_TEXT ": does not exist; it was destroyed", o->file.shown);
    int result = seg_lock_remove(s, &o->file, head);
    if (result == LARDER_OK)
        result = seg_file_unlink(&o->file, s->fd);
    return result == LARDER_OK ? SEG_AGAIN : result;
}

/* The creation lock of the segment's own file is held. */
static int seg_open_locked(struct seg *s, const struct seg_opening *o) {
    struct seg_shm head;
    uint64_t file_bytes;
    int result = LARDER_E_OS;
    switch (seg_look(&o->file, s->fd, &head, &file_bytes, &result)) {
    case SEG_LOOK_READY:
        return seg_open_ready(s, o, &head, file_bytes);
    case SEG_LOOK_DESTROYED: /* just now: its lock may be on its lock file */
        return SEG_AGAIN;
    case SEG_LOOK_EMPTY:
        return seg_create(s, &o->file, &o->options);
    case SEG_LOOK_HALF_MADE:
        result = seg_lock_remove(s, &o->file, &head);
        return result != LARDER_OK ? result : seg_create(s, &o->file, &o->options);
    default:
        return result;
    }
}

/* LARDER_EXCLUSIVE, and the file exists: this call did not create it, and no call has finished
 * it. */
static int seg_open_not_exclusive(const struct seg_opening *o) {
    return err_set(LARDER_E_EXISTS,
                   SEG_NAMED_TEXT
                   ": exists already, empty or half made; open it without LARDER_EXCLUSIVE to take it over",
                   o->file.shown);
}

/* With LARDER_CREATE: the holder of the creation lock decides what the file becomes (rule G1). */
static int seg_open_take_over(struct seg *s, struct seg_opening *o) {
    void *lock;
    if ((o->options.flags & LARDER_EXCLUSIVE) && !o->file.is_new && !s->is_memfd)
        return seg_open_not_exclusive(o);
    if (o->file.is_foreign)
        return seg_file_is_foreign(&o->file, s->fd, "is not a segment yet, and only its owner may make it one");
    int result = seg_lock_creation(s, &o->file, &lock);
    o->is_reader_in_the_way = result == SEG_AGAIN && live_is_locked(s, LIVE_CREATE_BYTE) == 1 &&
                              live_is_locked_for_writing(s, LIVE_CREATE_BYTE) == 0;
    if (result != LARDER_OK)
        return result;
    result = seg_open_locked(s, o);
    live_drop(s, lock);
    return result;
}

/* With LARDER_CREATE: removes a name that its destroyer left behind. */
static int seg_open_clear(struct seg *s, const struct seg_opening *o, const struct seg_shm *head) {
    struct seg_shm now;
    uint64_t file_bytes;
    struct seg_removal lock;
    (void)seg_lock_find(s, &o->file, head); /* may be gone, too: then the lock is on the file */
    int result = seg_lock_removal(s, &o->file, &lock);
    if (result != LARDER_OK)
        return result;
    result = SEG_AGAIN;
    if (seg_look(&o->file, s->fd, &now, &file_bytes, &result) == SEG_LOOK_DESTROYED)
        result = seg_open_destroyed(s, o, &now);
    seg_drop_removal(s, &lock);
    return result;
}

/* Without LARDER_CREATE: waits as long as the creator lives. */
static int seg_open_unfinished(const struct seg *s, struct seg_opening *o) {
    if (live_is_locked(s, LIVE_CREATE_BYTE) == 1)
        o->orphan_looks = 0;
    else if (o->orphan_looks++ >= SEG_ORPHAN_LOOKS || seg_wait_ms(&o->wait) >= o->options.busy_timeout_ms)
        return err_set(
            LARDER_E_FORMAT,
            SEG_NAMED_TEXT
            ": was never finished, and no process is creating it; open it with LARDER_CREATE to take it over",
            o->file.shown);
    return SEG_AGAIN;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int seg_open_check(const struct larder_options *o) {
    if (RESERVED_CHECK(o, "struct larder_options"))
        return LARDER_E_INVAL;
    const uint32_t all = LARDER_CREATE | LARDER_EXCLUSIVE | LARDER_READ_ONLY | LARDER_MEMFD | LARDER_REPAIR |
                         LARDER_HUGE_PAGES | LARDER_ANY_OWNER;
    if (o->flags & ~all)
        return err_set(LARDER_E_INVAL, "flags %#x has unknown bits; the bits of %#x are allowed", o->flags, all);
    if ((o->flags & LARDER_EXCLUSIVE) && !(o->flags & LARDER_CREATE))
        return err_set(LARDER_E_INVAL, "LARDER_EXCLUSIVE is only allowed with LARDER_CREATE");
    if ((o->flags & LARDER_CREATE) && (o->flags & LARDER_READ_ONLY))
        return err_set(LARDER_E_INVAL, "LARDER_CREATE and LARDER_READ_ONLY exclude each other");
    if ((o->flags & LARDER_REPAIR) && (o->flags & (LARDER_CREATE | LARDER_READ_ONLY)))
        return err_set(LARDER_E_INVAL, "LARDER_REPAIR excludes LARDER_CREATE and LARDER_READ_ONLY");
    if ((o->flags & LARDER_MEMFD) && o->memfd < 0 && (o->memfd != -1 || !(o->flags & LARDER_CREATE)))
        return err_set(LARDER_E_INVAL, "memfd %d is not a descriptor; -1 with LARDER_CREATE makes a new memfd",
                       o->memfd);
    if (!(o->flags & LARDER_CREATE))
        return LARDER_OK;
    if (o->mode != 0 && !seg_mode_is_possible(o->mode))
        return err_set(
            LARDER_E_INVAL,
            "mode %#o is not allowed; permission bits are, with 0600 for the owner, and for no class the right "
            "to write without the right to read",
            o->mode);
    struct seg_shm plan;
    return seg_layout_plan(&plan, o, (uint64_t)sysconf(_SC_PAGESIZE));
}

static int seg_open_begin(struct seg_opening *o, const struct larder_options *options) {
    *o = (struct seg_opening){0};
    if (options)
        o->options = *options;
    if (!o->options.busy_timeout_ms)
        o->options.busy_timeout_ms = SEG_BUSY_TIMEOUT_MS;
    if (o->options.busy_timeout_ms == LARDER_NO_WAIT)
        o->options.busy_timeout_ms = SEG_NO_WAIT_MS;
    seg_wait_begin(&o->wait, o->options.busy_timeout_ms);
    int result = seg_open_check(&o->options);
    if (result != LARDER_OK)
        return result;
    if (!(o->options.flags & LARDER_MEMFD))
        return seg_file_name(&o->file, o->options.segment);
    o->file.shown = "memfd";
    return LARDER_OK;
}

/* The caller's descriptor is borrowed, so the segment gets a copy. */
static int seg_open_given(struct seg *s, const struct larder_options *o) {
    struct stat st;
    int flags = fcntl(o->memfd, F_GETFL);
    if (flags < 0 || fstat(o->memfd, &st) != 0)
        return err_set(LARDER_E_INVAL, "memfd %d is not an open descriptor", o->memfd);
    if (!S_ISREG(st.st_mode))
        return err_set(LARDER_E_FORMAT, "memfd %d is not a memfd or regular file", o->memfd);
    int access = flags & O_ACCMODE;
    if ((flags & O_PATH) || (access != O_RDWR && !(s->is_read_only && access == O_RDONLY)))
        return err_set(LARDER_E_ACCESS, "memfd %d is not open for %s", o->memfd,
                       s->is_read_only ? "reading" : "reading and writing");
    s->fd = fcntl(o->memfd, F_DUPFD_CLOEXEC, 0);
    return s->fd >= 0 ? LARDER_OK : err_set_errno("copy", "the descriptor of a memfd");
}

static int seg_open_file(struct seg *s, struct seg_opening *o) {
    if (o->options.flags & LARDER_MEMFD) {
        if (o->options.memfd >= 0)
            return seg_open_given(s, &o->options);
        s->fd = memfd_create("larder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return s->fd >= 0 ? LARDER_OK : err_set_errno("create", "a memfd");
    }
    o->file.is_new = 0; /* of this attempt */
    int result = seg_file_open(&o->file, s->is_read_only, &s->fd);
    if (result == LARDER_OK && o->file.is_foreign && !s->is_read_only && !(o->options.flags & LARDER_ANY_OWNER))
        return seg_file_is_foreign(&o->file, s->fd, "is refused without LARDER_ANY_OWNER (--any-owner)");
    if (result != LARDER_E_NO_SEGMENT || !(o->options.flags & LARDER_CREATE))
        return result;
    result = seg_file_create(&o->file, &s->fd);
    return result == LARDER_E_EXISTS ? SEG_AGAIN : result;
}

/* A look without the lock may hit the middle of a takeover, where the head is cut off and written
 * again, and see neither state. A bad result counts only if no process works on the file, and after
 * a second look. */
static enum seg_look seg_open_look(const struct seg *s, const struct seg_opening *o, struct seg_shm *head,
                                   uint64_t *file_bytes, int *result) {
    enum seg_look look = seg_look(&o->file, s->fd, head, file_bytes, result);
    if (look != SEG_LOOK_FOREIGN && look != SEG_LOOK_UNUSABLE && look != SEG_LOOK_BAD_STATE)
        return look;
    if (live_is_locked(s, LIVE_CREATE_BYTE) != 1)
        return seg_look(&o->file, s->fd, head, file_bytes, result);
    *result = SEG_AGAIN;
    return SEG_LOOK_FAILED;
}

/* Only a repair may attach to this segment; `result` is for other calls. While the repair lives,
 * they wait for it. */
static int seg_open_broken(struct seg *s, struct seg_opening *o, const struct seg_shm *head, uint64_t file_bytes,
                           int result) {
    if (o->options.flags & LARDER_REPAIR) {
        result = seg_attach(s, &o->file, head, file_bytes);
        return result == LARDER_OK ? seg_lock_attach(s, &o->file) : result;
    }
    if (result != LARDER_E_CORRUPT)
        return result;
    int is_told = seg_lock_find(s, &o->file, head) == LARDER_OK && live_is_locked(s, LIVE_CREATE_BYTE) >= 0;
    if (is_told)
        return live_is_locked(s, LIVE_CREATE_BYTE) == 1 ? SEG_AGAIN : result;
    /* a user that may not write cannot tell whether the repair lives, so it waits */
    if (seg_wait_ms(&o->wait) < o->options.busy_timeout_ms)
        return SEG_AGAIN;
    return err_set(LARDER_E_CORRUPT,
                   SEG_NAMED_TEXT ": is being repaired, or its repair was cut off; larder check --repair finishes it",
                   o->file.shown);
}

static int seg_open_attempt(struct seg *s, struct seg_opening *o) {
    struct seg_shm head;
    uint64_t file_bytes;
    int result = seg_open_file(s, o);
    if (result != LARDER_OK)
        return result;
    seg_note_file(s);
    switch (seg_open_look(s, o, &head, &file_bytes, &result)) {
    case SEG_LOOK_READY:
        return seg_open_ready(s, o, &head, file_bytes);
    case SEG_LOOK_EMPTY:
    case SEG_LOOK_HALF_MADE:
        return o->options.flags & LARDER_CREATE ? seg_open_take_over(s, o) : seg_open_unfinished(s, o);
    case SEG_LOOK_DESTROYED:
        return (o->options.flags & LARDER_CREATE) && o->file.path ? seg_open_clear(s, o, &head)
                                                                  : seg_open_destroyed(s, o, &head);
    case SEG_LOOK_REPAIRING:
    case SEG_LOOK_BAD_STATE:
        return seg_open_broken(s, o, &head, file_bytes, result);
    default:
        return result;
    }
}

int seg_open(struct seg *s, const struct larder_options *options) {
    struct seg_opening o;
    struct seg opened;
    int result = seg_open_begin(&o, options);
    if (result != LARDER_OK) {
        *s = (struct seg){.fd = -1};
        return result;
    }
    do {
        opened = (struct seg){.fd = -1,
                              .is_read_only = (o.options.flags & LARDER_READ_ONLY) != 0,
                              .is_memfd = (o.options.flags & LARDER_MEMFD) != 0,
                              .wants_huge_pages = (o.options.flags & LARDER_HUGE_PAGES) != 0};
        o.is_reader_in_the_way = 0;
        result = seg_open_attempt(&opened, &o);
        if (result != LARDER_OK)
            seg_close(&opened);
    } while (result == SEG_AGAIN && seg_wait_is_left(&o.wait));
    struct stat st;
    if (result == LARDER_OK && fstat(opened.fd, &st) == 0) {
        opened.file_device = st.st_dev;
        opened.file_inode = st.st_ino;
    }
    *s = opened;
    if (result == SEG_AGAIN && o.is_reader_in_the_way)
        return err_set(LARDER_E_BUSY,
                       SEG_NAMED_TEXT
                       ": is empty or half made and readable by other users, and one of them holds a lock "
                       "on it; remove it and create it again",
                       o.file.shown);
    if (result == SEG_AGAIN)
        return err_set(LARDER_E_BUSY,
                       SEG_NAMED_TEXT ": another process has been creating, removing or repairing it for %llu ms",
                       o.file.shown, (unsigned long long)seg_wait_ms(&o.wait));
    return result;
}

static int seg_fd_is(int fd, uint64_t device, uint64_t inode) {
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode)
        return 1;
    err_set(LARDER_E_OS,
            "descriptor %d of the segment was closed by this program; open the segment after closing descriptors", fd);
    err_note_errno(LARDER_E_OS, EBADF);
    return 0;
}

int seg_fd_is_ours(const struct seg *s) {
    /* 0: still being opened */
    return s->file_inode == 0 || seg_fd_is(s->fd, s->file_device, s->file_inode);
}

int seg_lock_fd_is_ours(const struct seg *s) {
    if (!s->has_lock_file)
        return seg_fd_is_ours(s);
    return s->lock_fd >= 0 && seg_fd_is(s->lock_fd, s->lock_device, s->lock_inode);
}

int seg_is_removed(const struct seg *s) {
    struct stat st;
    return !s->is_memfd && s->file_inode != 0 && fstat(s->fd, &st) == 0 && st.st_dev == s->file_device &&
           st.st_ino == s->file_inode && st.st_nlink == 0;
}

void seg_close(struct seg *s) {
    if (seg_is_removed(s))
        seg_lock_remove_orphan(s);
    if (s->base)
        munmap(s->base, s->bytes);
    if (s->fd >= 0 && seg_fd_is_ours(s))
        close(s->fd);
    if (s->has_lock_file && s->lock_fd >= 0 && seg_lock_fd_is_ours(s))
        close(s->lock_fd);
    *s = (struct seg){.fd = -1};
}
