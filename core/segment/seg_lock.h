/* core/segment/seg_lock.h - the lock file: an inode that only those can open who may write to the
 * segment.
 *
 * Job      Makes, finds and removes the file beside a segment that carries all its locks
 *          (core/segment/live.h).
 * Why      A lock for writing cannot be had where another holds one for reading, and the kernel
 *          gives a lock for reading to anybody who may read the file. So on the segment's own file
 *          a user with read permission could keep all writers out for ever.
 * Picture  DIR/NAME                         the segment, with the mode that was asked for
 *          DIR/.larder-ID-INODE.lock        empty; only those classes of users have rights who have both in NAME's mode
 *          ID is random and stands in the head (lock_id, 16 hexadecimal digits), INODE is the
 *          segment's inode number. Why the inode number: a copy has the ID, too, and must not share
 *          locks with what it is a copy of.
 * Rules    E1 Bit 0 of lock_id says "settled": the file was made, and lock_for is the inode number
 *             it was made for. A settled id never changes as long as lock_for is this file's inode
 *             number; so all who attach agree.
 *          E2 lock_for is another number: the segment is a copy (cp, restored). A new id is drawn,
 *             and settled.
 *          E3 A lock file counts only if it is a regular file on the segment's device with the
 *             segment's owner. Any user may put a file of a known name into a directory like
 *             /dev/shm; one like that makes those who attach to a copy draw another id.
 *          E4 A settled lock file that is missing is never made again: some may still hold locks on
 *             the old one.
 * Settling draw (compare-and-swap of lock_id), make or find the file of that name, lock_for,
 * compare-and-swap of the settled
 *          bit. Any number of processes at once: whichever swap comes first counts, and the others
 *          look again.
 * Crash    Dead anywhere before the last swap: the id names a file that is there or not; the next
 *          one makes or finds it.
 * Limits   A memfd has no directory, and segments of older libraries have no lock file: there the
 *          locks are on the segment's file, and each process that was given any descriptor of it
 *          can hold up its writers. A segment keeps its lock file when it is renamed inside its
 *          directory, not when it is moved out of it.
 * Tests    tests/unit/segment/seg_lock_test.c, tests/api/neighbours_test.c,
 *          tests/crash/birth_test.c
 */
#ifndef LARDER_SEGMENT_SEG_LOCK_H
#define LARDER_SEGMENT_SEG_LOCK_H

#include "core/segment/seg_file.h"

/* For a new segment, mapped, whose creation lock is held and which is not READY: makes its lock
 * file, for the mode that the segment will have. LARDER_OK, LARDER_E_ACCESS, LARDER_E_FULL,
 * LARDER_E_OS. */
int seg_lock_make(struct seg *s, const struct seg_file *file, uint32_t mode);
/* For a READY segment, mapped: opens its lock file, or makes that of a copy. Read-only attachments
 * open it if they may, and do without it otherwise. LARDER_OK; SEG_AGAIN: the segment has just
 * gone; LARDER_E_FORMAT: the lock file is missing; LARDER_E_ACCESS, LARDER_E_FULL, LARDER_E_OS;
 * LARDER_E_BUSY: others keep changing it. */
int seg_lock_attach(struct seg *s, const struct seg_file *file);
/* The same from a head that was read, before anything is mapped; makes nothing. A copy's locks are
 * on the copy. */
int seg_lock_find(struct seg *s, const struct seg_file *file, const struct seg_shm *head);
/* Whether the head names a lock file that was made for this very file. */
int seg_lock_is_settled(const struct seg *s, const struct seg_shm *head);
/* Removes the name of the lock file that the head speaks of, settled or not. LARDER_OK, also if
 * there is none; LARDER_E_ACCESS, LARDER_E_OS. */
int seg_lock_remove(const struct seg *s, const struct seg_file *file, const struct seg_shm *head);
/* Removes the lock files of the file by its inode number, whatever its head says: it is damaged,
 * and goes by force. */
void seg_lock_remove_all(const struct seg *s, const struct seg_file *file);
/* Removes the name of the lock file that is open in *s: its segment has no name any more. */
void seg_lock_remove_orphan(const struct seg *s);

#endif
