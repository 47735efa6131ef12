/* core/segment/stopped.h - whether a process that has the segment mapped stands still (SIGSTOP, a
 * debugger).
 *
 * Job      For messages: why a lock is not dropped. Nothing depends on it but how long a repair
 *          waits.
 * Limits   A process id is valid in one PID namespace only. So the answer is true only if the
 *          process with that id is in the same namespace and has this segment mapped, and /proc
 *          shows both.
 * Cost     Reads a small file of /proc; of a process that stands still also the list of its
 *          mappings.
 * Tests    tests/unit/memory/standstill_test.c
 */
#ifndef LARDER_SEGMENT_STOPPED_H
#define LARDER_SEGMENT_STOPPED_H

#include "core/segment/seg.h"

/* True: process `pid` is attached to *s and stands still. Makes system calls: not under a lock.
 * Sets no message. */
int stopped_is(const struct seg *s, int32_t pid);

#endif
