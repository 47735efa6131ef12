/* core/segment/stopped.h - whether a process that has the segment mapped stands still (SIGSTOP, a
 * debugger).
 *
 * Job      Tells people why a lock is not dropped. No decision of the engine depends on it.
 * Limits   A process id counts in one PID namespace only. So nothing is said unless the process of
 *          that number, as this process sees it, is in the same namespace and has the very segment
 *          mapped; nor where /proc does not tell.
 * Cost     A small file of /proc is read; of a process that stands still also the list of its
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
