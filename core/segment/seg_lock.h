/* core/segment/seg_lock.h - the lock file, which only users that may write to the segment can open.
 *
 * Job      Makes, finds and removes the file beside a segment that carries all its locks
 *          (core/segment/live.h).
 * Why      A lock for reading blocks all locks for writing, and the kernel grants it to any user
 *          that may read the file. So on the segment's own file a user with read permission could
 *          keep all writers out for ever.
 * Picture  DIR/NAME                    the segment, with the mode that was asked for
 *          DIR/.larder-ID-INODE.lock   empty; a class of users has both rights if it has both in
 *                                      NAME's mode, else none
 *          ID is random and stands in the head (lock_id, 16 hexadecimal digits). INODE is the
 *          segment's inode number: a copy has the same ID, but must not share locks with its
 *          original.
 * Rules    E1 Bit 0 of lock_id says "settled": the file was made, for the inode number in lock_for.
 *             A settled id never changes while lock_for is this file's inode number, so all
 *             attached processes agree.
 *          E2 If lock_for is another number, the segment is a copy (cp, restored). A new id is
 *             drawn and settled.
 *          E3 A lock file counts only if it is a regular file on the segment's device with the
 *             segment's owner. Any user may put a file of a known name into a directory like
 *             /dev/shm; if one stands in the way of a copy, another id is drawn.
 *          E4 A missing settled lock file is never made again: a process may still hold locks on
 *             the old one.
 * Steps    To settle: 1 draw an id (compare-and-swap of lock_id), 2 make or find the file of that
 *          name, 3 lock_for, 4 compare-and-swap of the settled bit. Any number of processes may do
 *          it at once: the first swap counts, and the others look again.
 * Crash    Dead before 4: the id names a file that exists or not; the next process finds or makes
 *          it.
 * Limits   A memfd has no directory, and segments of older libraries have no lock file. There the
 *          locks are on the segment's file, and any process that has a descriptor of it can hold up
 *          its writers. A segment keeps its lock file when it is renamed inside its directory, but
 *          not when it is moved out.
 * Tests    tests/unit/segment/seg_lock_test.c, tests/api/neighbours_test.c,
 *          tests/crash/birth_test.c
 */
#ifndef LARDER_SEGMENT_SEG_LOCK_H
#define LARDER_SEGMENT_SEG_LOCK_H

#include "core/segment/seg_file.h"

/* Makes the lock file of a new segment, for the mode that the segment will have. The segment is
 * mapped and not READY; its creation lock is held. LARDER_OK, LARDER_E_ACCESS, LARDER_E_FULL,
 * LARDER_E_OS. */
int seg_lock_make(struct seg *s, const struct seg_file *file, uint32_t mode);
/* Opens the lock file of a READY, mapped segment, or makes that of a copy. A read-only attachment
 * opens it if it may, and else does without. LARDER_OK; SEG_AGAIN: the segment was just removed;
 * LARDER_E_FORMAT: the lock file is missing; LARDER_E_BUSY: other processes keep changing it;
 * LARDER_E_ACCESS, LARDER_E_FULL, LARDER_E_OS. */
int seg_lock_attach(struct seg *s, const struct seg_file *file);
/* The same from a head that was read, before anything is mapped. Makes nothing: the locks of a copy
 * that has no lock file yet are on the copy itself. */
int seg_lock_find(struct seg *s, const struct seg_file *file, const struct seg_shm *head);
/* Whether the head names a lock file that was made for this file, not for one it is a copy of. */
int seg_lock_is_settled(const struct seg *s, const struct seg_shm *head);
/* Removes the lock file that the head names, settled or not. LARDER_OK, also if there is none;
 * LARDER_E_ACCESS, LARDER_E_OS. */
int seg_lock_remove(const struct seg *s, const struct seg_file *file, const struct seg_shm *head);
/* Removes all lock files with the segment's inode number, whatever its head says: for the forced
 * removal of a damaged segment. */
void seg_lock_remove_all(const struct seg *s, const struct seg_file *file);
/* Removes the lock file that is open in *s, after its segment has lost its name. */
void seg_lock_remove_orphan(const struct seg *s);

#endif
