/* core/base/thread.h - threads of the library's own, in a program that belongs to somebody else.
 *
 * Rules    T1 Such a thread receives no signal: they are the host program's.
 *          T2 Its owner joins it before the segment is unmapped, with cancellation held off: to be
 *             cancelled there would leave a thread that nobody ends.
 * Tests    tests/api/ttl_thread_test.c, tests/crash/death_test.c
 */
#ifndef LARDER_BASE_THREAD_H
#define LARDER_BASE_THREAD_H

#include <pthread.h>

/* `name`: at most 15 bytes, for people. Returns an errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg);
void thread_join(pthread_t thread);

#endif
