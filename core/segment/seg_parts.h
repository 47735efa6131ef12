/* core/segment/seg_parts.h - what opening, creating and removing a segment share; for the files of
 * this room and core/table/seg_destroy.c.
 *
 * Tests    tests/unit/segment/seg_birth_test.c
 */
#ifndef LARDER_SEGMENT_SEG_PARTS_H
#define LARDER_SEGMENT_SEG_PARTS_H

#include "core/segment/seg_file.h"

/* Internal result: another process works on the file, or the name leads to another file now.
 * Release it, wait a moment, begin again. */
#define SEG_AGAIN 1

/* One deadline for all attempts of a call. */
struct seg_wait {
    uint64_t deadline_ns, started_ns;
};
void seg_wait_begin(struct seg_wait *wait, uint32_t timeout_ms);
/* Sleeps for a moment. False if the deadline has passed: the caller gives up. */
int seg_wait_is_left(const struct seg_wait *wait);
uint64_t seg_wait_ms(const struct seg_wait *wait); /* since seg_wait_begin() */
/* A creator opens its file a moment before it locks it. A file that is neither finished nor locked
 * after so many looks, half a millisecond apart, has no creator. */
#define SEG_ORPHAN_LOOKS 100

/* After s->fd was opened: sets the members that follow from the file. */
void seg_note_file(struct seg *s);
/* Maps `bytes` of s->fd at s->base. LARDER_OK, LARDER_E_ACCESS, LARDER_E_NO_MEMORY, LARDER_E_OS. */
int seg_map(struct seg *s, uint64_t bytes, const char *shown);
/* Checks an untrusted head, maps the segment, copies the geometry. LARDER_OK, LARDER_E_FORMAT, and
 * as seg_map(). */
int seg_attach(struct seg *s, const struct seg_file *file, const struct seg_shm *head, uint64_t file_bytes);
/* Takes the creation lock of s->fd, if the name still leads to it. LARDER_OK and *lock, SEG_AGAIN,
 * LARDER_E_OS. */
int seg_lock_creation(const struct seg *s, const struct seg_file *file, void **lock);
/* The same to remove the segment: the creation locks of the lock file, if s has found one, and of
 * the segment's file. */
struct seg_removal {
    void *creation, *own;
};
int seg_lock_removal(const struct seg *s, const struct seg_file *file, struct seg_removal *locks);
void seg_drop_removal(const struct seg *s, const struct seg_removal *locks);
/* Makes the file of s a segment and maps it; the creation lock is held. A failure leaves
 * nothing. */
int seg_create(struct seg *s, const struct seg_file *file, const struct larder_options *options);

#endif
