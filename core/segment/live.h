/* core/segment/live.h - liveness, kept by the kernel: the owner of a slot lives as long as its file
 * lock.
 *
 * Job      A slot belongs to the process that holds an open-file-description lock on the slot's
 *          byte. The byte is one of the lock file (core/segment/seg_lock.h), or of the segment's
 *          file if there is no lock file. The kernel drops the lock when the holder's memory goes,
 *          by whatever death. No process can be mistaken for another, even across PID namespaces
 *          and after PID reuse.
 * Idea     The open file description with the lock has no descriptor: one page of it stays mapped
 *          (PROT_NONE, MADV_DONTFORK), and the descriptor is closed at once. So the lock ends
 *          exactly with this address space (exit, SIGKILL, exec). A forked child does not inherit
 *          it, and a program that closes all descriptors does not lose it.
 *          tests/unit/segment/live_test.c shows this on tmpfs, ext4 and memfds, and across PID
 *          namespaces.
 * Limits   The new description is opened as /proc/self/fd/N. So /proc must be mounted, and a
 *          process that changed its user after larder_open() needs permission on the file as the
 *          new user. A child of vfork() or posix_spawn() shares the address space, and so the lock,
 *          until it executes its program. The file must lie on a filesystem of this host: NFS may
 *          take a lock from a live process when a lease runs out. A lock of another process on the
 *          whole file, even for reading, hides dead owners and blocks all other locks while it
 *          lasts. That is why only users that may write to the segment can open the lock file.
 * Rules    V1 From open to close a thread holds the process-wide fork guard, so no fork copies the
 *             descriptor.
 *          V2 The recovery of a dead slot begins with taking its lock: one recoverer at a time; if
 *             it dies, the next one can.
 * Tests    tests/unit/segment/live_test.c
 */
#ifndef LARDER_SEGMENT_LIVE_H
#define LARDER_SEGMENT_LIVE_H

#include "core/segment/seg.h"

/* Slot i locks byte LIVE_SLOT_BASE + i. The byte before is the creation lock of seg.c, taken on the
 * segment's own file as long as it has no lock file. Far beyond the content: locks need no
 * bytes. */
#define LIVE_SLOT_BASE (INT64_C(1) << 61)
#define LIVE_CREATE_BYTE (LIVE_SLOT_BASE - 1)

/* Takes the lock on `byte`. LARDER_OK and *live; LARDER_E_BUSY (no message) if another description
 * holds it; LARDER_E_ACCESS, LARDER_E_NO_MEMORY, LARDER_E_OS. */
int live_take(const struct seg *s, int64_t byte, void **live);
void live_drop(const struct seg *s, void *live);
/* 1 if a process (this one included) holds the lock on `byte`, 0 if none does, -1 if it cannot be
 *   told. It never can on the read-only attachment of a user that may not write. */
int live_is_locked(const struct seg *s, int64_t byte);
/* The same, but locks for reading do not count: any user that may read the file can take one. */
int live_is_locked_for_writing(const struct seg *s, int64_t byte);
/* live_is_locked() for the byte of slot i. */
int live_is_held(const struct seg *s, uint32_t slot);

/* The fork guard, for core/table/db.c's pthread_atfork handlers. live_fork_prepare() waits until no
 * thread is between open and close. */
void live_fork_prepare(void);
void live_fork_parent(void);
void live_fork_child(void);

#endif
