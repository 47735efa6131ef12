/* core/segment/seg_create.c - makes an empty or half-made file a segment.
 *
 * Job      Lays out the head, gives the file its size, backs the metadata with memory, and says
 *          READY.
 * Crash    The creation lock is held all the time and dies with the creator.
 *            1 size 0                      dead before 2: an empty file, which any creator takes
 *            2 one write of the whole head, state INITIALISING
 *            3 size `size_bytes`
 *            4 memory
 *            5 lock_id, then the lock file is made and settled (core/segment/seg_lock.h)
 *            6 mode_to_set                 dead from 2 to 6: half made; the next creator removes
 *                                          the lock file that lock_id names, and begins at 1
 *            7 state = READY (release)     dead after: a segment, but closed to other users
 *            8 the file's mode
 *            9 mode_to_set = 0             dead before 9: the owner sets the mode when it opens
 *                                          the segment
 *          Until 8 the file has mode 0600, so no other user can hold up a creation by a lock on it.
 *          But a file that was there, empty, with more rights may already be open elsewhere.
 *          hugetlbfs has no write(): there the head is stored through the mapping after 4, and
 *          until then the file's zeros say "empty".
 * Why      Every byte beyond the head is zero, because the file had size 0 after step 1. Free
 *          slots, an empty catalog, free spans, empty bins and an empty wheel are all zero by
 *          design.
 * Tests    tests/unit/segment/seg_birth_test.c dies at every point of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/segment/seg_layout.h"
#include "core/segment/seg_lock.h"
#include "core/segment/seg_parts.h"

#define SEG_MODE_DEFAULT 0600u
#define SEG_CLAIM_STEP (UINT64_C(4) << 20) /* signals are blocked for at most this much */

static int seg_create_identity(struct seg_shm *head) {
    unsigned char random[sizeof head->uuid + sizeof head->hash_seed];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set_errno("read", "random bytes");
    memcpy(head->uuid, random, sizeof head->uuid);
    memcpy(&head->hash_seed, random + sizeof head->uuid, sizeof head->hash_seed);
    head->uuid[6] = (uint8_t)((head->uuid[6] & 0x0f) | 0x40); /* RFC 9562: version 4, */
    head->uuid[8] = (uint8_t)((head->uuid[8] & 0x3f) | 0x80); /* variant 10 */
    head->created_s = (uint64_t)time(NULL);
    return LARDER_OK;
}

/* The mode as asked for, whatever the umask. A file that existed keeps its mode unless one was
 * asked for: an administrator may have put an empty file there with the right mode. */
static int seg_create_mode(const struct seg *s, const struct seg_file *file, uint32_t asked, uint32_t *mode) {
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return err_set_errno("look at segment", file->shown);
    *mode = asked ? asked : (uint32_t)st.st_mode & 0777u;
    if (!asked && (file->is_new || s->is_memfd || !seg_mode_is_possible(*mode)))
        *mode = SEG_MODE_DEFAULT;
    uint32_t now = s->is_memfd ? *mode : SEG_MODE_MAKING;
    /* EPERM: a memfd of another user, passed to us */
    if (fchmod(s->fd, now) == 0 || (errno == EPERM && s->is_memfd))
        return LARDER_OK;
    return err_set_errno("set the mode of segment", file->shown);
}

/* Crash list 8 and 9. */
static void seg_create_open_to_others(const struct seg *s) {
    uint32_t mode = SHM_LOAD(&s->shm->mode_to_set);
    if (mode == 0)
        return;
    shm_crash_point();
    if (fchmod(s->fd, mode) == 0)
        SHM_STORE(&s->shm->mode_to_set, 0);
}

/* Growing a file beyond the limit would raise SIGXFSZ, which ends the program. */
static int seg_create_check_limit(const struct seg_file *file, uint64_t bytes) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes)
        return LARDER_OK;
    return err_set(LARDER_E_FULL,
                   SEG_NAMED_TEXT ": needs %llu bytes; this process may make files of at most %llu (ulimit -f)",
                   file->shown, (unsigned long long)bytes, (unsigned long long)limit.rlim_cur);
}

static int seg_create_resize(const struct seg *s, const struct seg_file *file, uint64_t bytes) {
    shm_crash_point();
    int failed;
    do
        failed = ftruncate(s->fd, (off_t)bytes);
    while (failed && errno == EINTR);
    return failed ? err_set_errno("set the size of segment", file->shown) : LARDER_OK;
}

/* Crash list, 2: at most a page at offset 0, so all of it is there or nothing. */
static int seg_create_write_head(const struct seg *s, const struct seg_file *file, const struct seg_shm *head) {
    shm_crash_point();
    ssize_t put;
    do
        put = pwrite(s->fd, head, sizeof *head, 0);
    while (put < 0 && errno == EINTR);
    if (put == (ssize_t)sizeof *head)
        return LARDER_OK;
    if (put >= 0)
        errno = ENOSPC;
    return err_set_errno("write the head of segment", file->shown);
}
_Static_assert(sizeof(struct seg_shm) <= 4096, "the head is written in one piece");

static int seg_create_claim(const struct seg *s, const struct seg_file *file, uint64_t from, uint64_t to) {
    if (s->wants_huge_pages) /* as back_with_memory() of core/memory/heap_span.c */
        (void)madvise(s->base + from, to - from, MADV_POPULATE_WRITE);
    while (from < to) {
        uint64_t part = to - from < SEG_CLAIM_STEP ? to - from : SEG_CLAIM_STEP;
        shm_crash_point();
        if (seg_file_back(s->fd, from, part) == 0)
            from += part;
        else if (errno == ENOSPC || errno == EDQUOT || errno == ENOMEM)
            return err_set(LARDER_E_FULL, SEG_NAMED_TEXT ": the filesystem has no room for its first %llu bytes",
                           file->shown, (unsigned long long)to);
        else
            return err_set_errno("reserve memory (fallocate) for segment", file->shown);
    }
    return LARDER_OK;
}

/* Crash list 1 to 4. */
static int seg_create_fill(struct seg *s, const struct seg_file *file, const struct seg_shm *head) {
    int is_huge = seg_file_is_huge(s->fd);
    uint64_t claim = seg_layout_first_claim(head);
    int result = seg_create_resize(s, file, 0);
    if (result == LARDER_OK && !is_huge)
        result = seg_create_write_head(s, file, head);
    if (result == LARDER_OK)
        result = seg_create_resize(s, file, head->size_bytes);
    if (result == LARDER_OK)
        result = seg_attach(s, file, head, head->size_bytes);
    if (result == LARDER_OK)
        result = seg_create_claim(s, file, 0, seg_descriptors_end(s, claim));
    if (result == LARDER_OK)
        result = seg_create_claim(s, file, s->data_off / s->lock_page_bytes * s->lock_page_bytes, claim);
    if (result == LARDER_OK && is_huge) { /* the state before the magic, which makes it count */
        SHM_STORE(&s->shm->state, SEG_STATE_INITIALISING);
        shm_copy_in(s->base, head, sizeof *head);
    }
    return result;
}

/* Undoes a failed creation. A file that existed before stays, empty. */
static void seg_create_undo(const struct seg *s, const struct seg_file *file) {
    if (s->shm)
        (void)seg_lock_remove(s, file, s->shm);
    if (ftruncate(s->fd, 0) == 0 && file->is_new && seg_file_is_named(file, s->fd))
        unlink(file->path);
}

int seg_create(struct seg *s, const struct seg_file *file, const struct larder_options *options) {
    struct seg_shm head;
    uint32_t mode = 0;
    int result = seg_layout_plan(&head, options, s->lock_page_bytes);
    if (result != LARDER_OK)
        return result;
    atomic_init(&head.claimed_bytes, seg_layout_first_claim(&head));
    result = seg_create_identity(&head);
    head.sum = seg_layout_sum(&head);
    if (result == LARDER_OK)
        result = seg_create_check_limit(file, head.size_bytes);
    if (result == LARDER_OK)
        result = seg_create_mode(s, file, options->mode, &mode);
    if (result == LARDER_OK)
        result = seg_create_fill(s, file, &head);
    if (result == LARDER_OK)
        result = seg_lock_make(s, file, mode);
    if (result != LARDER_OK) {
        seg_create_undo(s, file);
        return result;
    }
    if (mode != SEG_MODE_MAKING && !s->is_memfd)
        SHM_STORE(&s->shm->mode_to_set, mode);
    /* release: a process that sees READY sees the head */
    SHM_STORE(&s->shm->state, SEG_STATE_READY);
    seg_create_open_to_others(s);
    if (s->is_memfd) /* rule G2; a descriptor that cannot be sealed is used as it is */
        (void)fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK);
    return LARDER_OK;
}
