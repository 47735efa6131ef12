/* core/segment/live.h - liveness that the kernel keeps: who holds a slot's lock is alive.
 *
 * Job      A slot belongs to whoever holds an open-file-description lock on the slot's byte of the
 *          lock file, which only those can open who may write to the segment
 *          (core/segment/seg_lock.h); where there is none, of the segment's file. The kernel drops
 *          it when the holder's memory goes, by whatever death, and no process can be mistaken for
 *          another, also across PID namespaces and after a PID was reused.
 * Idea     The description that carries the lock has no descriptor: one page of it stays mapped
 *          (PROT_NONE, MADV_DONTFORK) and the descriptor is closed at once. So the lock ends
 *          exactly with this address space (exit, SIGKILL, exec), a forked child does not inherit
 *          it, and a program that closes all descriptors does not lose it. Seen to hold on tmpfs,
 *          ext4 and memfds, and across PID namespaces: tests/unit/segment/live_test.c.
 * Limits   The new description is opened as /proc/self/fd/N: /proc must be there, and a process
 *          that changed its user after larder_open() needs permission on the file as the new user.
 *          A child made by vfork() or posix_spawn() shares the address space, and so the lock,
 *          until it executes its program. The file must lie on a filesystem of this host: NFS and
 *          its kind may take a lock from a process that lives, when a lease runs out. Another's
 *          lock on the whole file, also for reading, hides who is dead, and nobody can take a lock
 *          as long as it lasts: so the file is one that only those can open who may write to the
 *          segment.
 * Rules    V1 open .. close runs under the process-wide fork guard, so that no fork copies the
 *             descriptor.
 *          V2 Recovering a dead slot starts with taking its lock: one recoverer at a time, and if
 *             it dies the next can.
 * Tests    tests/unit/segment/live_test.c
 */
#ifndef LARDER_SEGMENT_LIVE_H
#define LARDER_SEGMENT_LIVE_H

#include "core/segment/seg.h"

/* Byte that slot i locks; the byte before LIVE_SLOT_BASE is the creation lock of seg.c, which is
 * taken on the segment's own file as long as it has no lock file. Far beyond the content: the range
 * locks are only names. */
#define LIVE_SLOT_BASE (INT64_C(1) << 61)
#define LIVE_CREATE_BYTE (LIVE_SLOT_BASE - 1)

/* Takes the lock on `byte`. LARDER_OK and *live; LARDER_E_BUSY if another holds it (no message);
 * LARDER_E_OS. */
int live_take(const struct seg *s, int64_t byte, void **live);
void live_drop(const struct seg *s, void *live);
/* 1 if somebody (this process included) holds the lock on `byte`; 0 if nobody; -1 if it cannot be
 *   told: always so on the
 * read-only attachment of a user that may not write. */
int live_is_locked(const struct seg *s, int64_t byte);
/* The same, but a lock for reading, which any user can take that may read the file, does not
 * count. */
int live_is_locked_for_writing(const struct seg *s, int64_t byte);
/* As live_is_locked() for slot i: 1 if somebody (this process included) holds the lock on slot i; 0
 * if nobody; -1 if it cannot be told. */
int live_is_held(const struct seg *s, uint32_t slot);

/* The fork guard, for core/table/db.c's pthread_atfork handlers. live_fork_prepare waits until no
 * thread is between open and close. */
void live_fork_prepare(void);
void live_fork_parent(void);
void live_fork_child(void);

#endif
