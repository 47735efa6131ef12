/* core/base/epoch.c - which calls are under way. See epoch.h. */
#include "core/base/epoch.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

void epoch_begin(struct epochs *e) {
    atomic_init(&e->now, 1);
    pthread_mutex_init(&e->mutex, NULL);
}

void epoch_end(struct epochs *e) {
    pthread_mutex_destroy(&e->mutex);
}

void epoch_use_add(struct epochs *e, struct epoch_use *u) {
    pthread_mutex_lock(&e->mutex);
    u->at = &e->uses;
    u->next = e->uses;
    if (u->next)
        u->next->at = &u->next;
    e->uses = u;
    pthread_mutex_unlock(&e->mutex);
}

void epoch_use_remove(struct epochs *e, struct epoch_use *u) {
    pthread_mutex_lock(&e->mutex);
    if (u->at) {
        *u->at = u->next;
        if (u->next)
            u->next->at = u->at;
        u->at = NULL;
    }
    pthread_mutex_unlock(&e->mutex);
}

/* Rule E3. 1: every thread of this process has executed a full fence since the call. A process
 * registers once; a forked child may have to register again. */
static int fence_everywhere(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return 1;
    return errno == EPERM && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

uint64_t epoch_oldest(struct epochs *e) {
    if (!fence_everywhere())
        return 0;
    uint64_t oldest = UINT64_MAX;
    pthread_mutex_lock(&e->mutex);
    for (struct epoch_use *u = e->uses; u; u = u->next) {
        uint64_t since = atomic_load_explicit(&u->since, memory_order_acquire);
        if (since && since < oldest)
            oldest = since;
    }
    pthread_mutex_unlock(&e->mutex);
    return oldest;
}

void epoch_fork_prepare(struct epochs *e) {
    pthread_mutex_lock(&e->mutex);
}

void epoch_fork_parent(struct epochs *e) {
    pthread_mutex_unlock(&e->mutex);
}

void epoch_fork_child(struct epochs *e) {
    for (struct epoch_use *u = e->uses; u; u = u->next)
        atomic_store_explicit(&u->since, 0, memory_order_relaxed);
    pthread_mutex_unlock(&e->mutex);
}
