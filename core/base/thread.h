/* core/base/thread.h - the library's own threads inside a host program.
 *
 * Rules    T1 Such a thread receives no signals: they belong to the host program.
 *          T2 Its owner joins it before the segment is unmapped. Cancellation is disabled
 *             meanwhile: a cancelled join would leave a thread that nothing ends.
 * Tests    tests/api/ttl_thread_test.c, tests/crash/death_test.c
 */
#ifndef LARDER_BASE_THREAD_H
#define LARDER_BASE_THREAD_H

#include <pthread.h>

/* `name`: at most 15 bytes, for debuggers and ps. Returns 0 or an errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg);
void thread_join(pthread_t thread);

#endif
