/* core/table/seg_destroy.c - removes a segment.
 *
 * Job      Marks the segment DESTROYED for those attached, then removes the name. The memory goes
 *          with the last of them.
 * Rules    D1 Under the creation lock, so that no process makes the file a segment meanwhile. That
 *             is the lock file's lock, if there is one, and the segment's own: once the lock file
 *             has gone (crash list, 2), the next process has only the latter. A user that may only
 *             read can withhold the segment's own, and must not stop us. If the lock file was
 *             removed by hand, only force goes on.
 *          D2 A file without our magic is never touched, force or not; an empty one only with
 *             force.
 *          D3 Nothing is marked before the name looks removable: a failure leaves the segment as it
 *             was.
 * Crash    0 look at the name
 *          1 state = DESTROYED
 *              dead here: those attached know; the next creator or destroyer removes the name
 *          2 unlink of the lock file
 *          3 unlink of the segment
 *          State first: after a death between unlink and state those attached would never know.
 *          Lock file before segment: after a death in between it would stay for ever.
 * Tests    tests/unit/segment/seg_birth_test.c
 */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/segment/live.h"
#include "core/segment/seg_layout.h"
#include "core/segment/seg_lock.h"
#include "core/segment/seg_parts.h"
#include "core/table/catalog.h"

/* Removes the lock file that the head names, then the segment's name. */
static int seg_destroy_names(const struct seg *s, const struct seg_file *file, const struct seg_shm *head) {
    int result = seg_file_check_removable(file, s->fd);
    if (result == LARDER_OK)
        result = seg_lock_remove(s, file, head);
    shm_crash_point();
    return result == LARDER_OK ? seg_file_unlink(file, s->fd) : result;
}

/* The name could not be removed although it looked so: a mount, or a mark on the file, came
 * meanwhile. */
static int seg_destroy_half(const struct seg_file *file, int result) {
    struct err_kept why;
    err_keep(&why);
    err_set(result, "%.300s; the segment is destroyed all the same, and its file is left: rm %.100s", why.text,
            file->path);
    return err_note_errno(result, why.number);
}

/* Crash list 0 to 3. If the first of the two names cannot be removed, the segment is as it was. */
static int seg_destroy_marked(struct seg *s, const struct seg_file *file, const struct seg_shm *head) {
    int result = s->shm ? seg_file_check_removable(file, s->fd) : LARDER_OK;
    if (!s->shm || result != LARDER_OK)
        return result == LARDER_OK ? seg_destroy_names(s, file, head) : result;
    uint32_t before = SHM_LOAD(&s->shm->state);
    SHM_STORE(&s->shm->state, SEG_STATE_DESTROYED);
    shm_crash_point();
    result = seg_lock_remove(s, file, head);
    shm_crash_point();
    int is_begun = result == LARDER_OK && s->has_lock_file;
    if (result == LARDER_OK)
        result = seg_file_unlink(file, s->fd);
    if (result != LARDER_OK && is_begun)
        return seg_destroy_half(file, result);
    if (result != LARDER_OK)
        SHM_STORE(&s->shm->state, before);
    return result;
}

static int seg_destroy_check_tables(const struct seg *s, const struct seg_file *file) {
    char table[LARDER_NAME_BYTES_MAX + 1] = "";
    int result = catalog_any_retained(s, table, sizeof table);
    if (result == 0)
        return LARDER_OK;
    if (result > 0)
        return err_set(LARDER_E_RETAINED,
                       SEG_NAMED_TEXT ": the removal policy of table \"%s\" is Retain; LARDER_FORCE overrides it",
                       file->shown, table);
    return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": its tables are damaged; LARDER_FORCE removes it", file->shown);
}

static int seg_destroy_ready(struct seg *s, const struct seg_file *file, const struct seg_shm *head,
                             uint64_t file_bytes, int force) {
    int had_lock_file = s->has_lock_file;
    int result = seg_attach(s, file, head, file_bytes);
    if (result == LARDER_OK) {
        int found = seg_lock_attach(s, file);
        if (found == LARDER_OK && s->has_lock_file != had_lock_file) /* a copy's is made now */
            return SEG_AGAIN;
        result = force && found != SEG_AGAIN ? LARDER_OK : found;
    }
    if (result == LARDER_OK && !force)
        result = seg_destroy_check_tables(s, file);
    if (result == LARDER_OK)
        return seg_destroy_marked(s, file, head);
    /* Damaged. In a head of our version at least the state word is in its place. */
    if (result == LARDER_E_FORMAT && force && file_bytes >= s->lock_page_bytes)
        (void)seg_map(s, s->lock_page_bytes, file->shown);
    return result == LARDER_E_FORMAT && force ? seg_destroy_marked(s, file, head) : result;
}

/* Its creator may be alive, and not have the lock yet. */
static int seg_destroy_unfinished(const struct seg_file *file, unsigned *orphan_looks) {
    if ((*orphan_looks)++ < SEG_ORPHAN_LOOKS)
        return SEG_AGAIN;
    return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": never finished; LARDER_FORCE removes it", file->shown);
}

static int seg_destroy_locked(struct seg *s, const struct seg_file *file, int force, unsigned *orphan_looks) {
    struct seg_shm head;
    uint64_t file_bytes;
    int result = LARDER_E_OS;
    switch (seg_look(file, s->fd, &head, &file_bytes, &result)) {
    case SEG_LOOK_REPAIRING: /* cut off, as we have its lock: what it left is damaged */
        return force ? seg_destroy_ready(s, file, &head, file_bytes, force) : result;
    case SEG_LOOK_READY:
        return seg_destroy_ready(s, file, &head, file_bytes, force);
    case SEG_LOOK_DESTROYED:
        return seg_destroy_names(s, file, &head);
    case SEG_LOOK_EMPTY:
    case SEG_LOOK_HALF_MADE:
        return force ? seg_destroy_names(s, file, &head) : seg_destroy_unfinished(file, orphan_looks);
    case SEG_LOOK_BAD_STATE:
    case SEG_LOOK_UNUSABLE:
        return force ? seg_destroy_names(s, file, &head) : result;
    default:
        return result;
    }
}

/* Opens the file that has the locks, if the head says where it is. */
static int seg_destroy_find_lock(struct seg *s, const struct seg_file *file, int force) {
    struct seg_shm head;
    uint64_t file_bytes;
    int result;
    switch (seg_look(file, s->fd, &head, &file_bytes, &result)) {
    case SEG_LOOK_READY:
    case SEG_LOOK_REPAIRING:
        result = seg_lock_find(s, file, &head);
        return force && result != SEG_AGAIN ? LARDER_OK : result;
    case SEG_LOOK_DESTROYED:
        (void)seg_lock_find(s, file, &head); /* may be gone, too: the segment has its own lock */
        return LARDER_OK;
    default:
        return LARDER_OK;
    }
}

static int seg_destroy_attempt(struct seg_file *file, int force, int is_any_owner, unsigned *orphan_looks) {
    struct seg s = {.fd = -1};
    struct seg_removal lock;
    int result = seg_file_open(file, 0, &s.fd);
    if (result != LARDER_OK)
        return result;
    seg_note_file(&s);
    if (file->is_foreign && !is_any_owner)
        result = seg_file_is_foreign(file, s.fd, "is refused without LARDER_ANY_OWNER (--any-owner)");
    if (result == LARDER_OK)
        result = seg_destroy_find_lock(&s, file, force);
    if (result == LARDER_OK)
        result = seg_lock_removal(&s, file, &lock);
    if (result == SEG_AGAIN)
        *orphan_looks = 0;
    if (result == LARDER_OK) {
        result = seg_destroy_locked(&s, file, force, orphan_looks);
        if (result == LARDER_OK && force)
            seg_lock_remove_all(&s, file);
        seg_drop_removal(&s, &lock);
    }
    seg_close(&s);
    return result;
}

int seg_destroy(const char *name, uint32_t flags) {
    const uint32_t all = LARDER_FORCE | LARDER_ANY_OWNER;
    int is_any_owner = (flags & LARDER_ANY_OWNER) != 0, force = (flags & LARDER_FORCE) != 0;
    struct seg_file file;
    struct seg_wait wait;
    unsigned orphan_looks = 0;
    if (flags & ~all)
        return err_set(LARDER_E_INVAL, "flags are %#x, with bits that mean nothing here; %#x are allowed", flags, all);
    int result = seg_file_name(&file, name);
    if (result != LARDER_OK)
        return result;
    seg_wait_begin(&wait, SEG_BUSY_TIMEOUT_MS);
    do
        result = seg_destroy_attempt(&file, force, is_any_owner, &orphan_looks);
    while (result == SEG_AGAIN && seg_wait_is_left(&wait));
    if (result == SEG_AGAIN)
        return err_set(LARDER_E_BUSY, SEG_NAMED_TEXT ": another process has been creating or removing it for %llu ms",
                       file.shown, (unsigned long long)seg_wait_ms(&wait));
    return result;
}

LARDER_API int larder_destroy(const char *segment, uint32_t flags) {
    int cancel_state; /* as in larder_open() */
    struct err_kept before;
    err_keep(&before);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    int result = seg_destroy(segment, flags);
    if (result >= 0)
        err_put_back(&before);
    pthread_setcancelstate(cancel_state, NULL);
    return result;
}
