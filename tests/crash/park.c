/* tests/crash/park.c - see park.h. */
#include "tests/crash/park.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "core/base/crash.h"

static struct {
    pthread_t thread;
    sem_t news, go; /* news: parked or ended */
    int (*run)(void *arg);
    void *arg;
    int result;
    _Atomic int is_parked, may_go;
} park;

static void wait_on(sem_t *sem) {
    while (sem_wait(sem) != 0)
        if (errno != EINTR)
            abort();
}

static void park_here(void) {
    park.is_parked = 1;
    sem_post(&park.news);
    wait_on(&park.go);
}

static void *park_main(void *arg) {
    (void)arg;
    park.result = park.run(park.arg);
    sem_post(&park.news);
    return NULL;
}

int park_begin(uint64_t k, int (*run)(void *arg), void *arg) {
    park.run = run;
    park.arg = arg;
    park.is_parked = park.may_go = 0;
    if (sem_init(&park.news, 0, 0) || sem_init(&park.go, 0, 0))
        abort();
    shm_crash_arm_call(k, park_here);
    if (pthread_create(&park.thread, NULL, park_main, NULL))
        abort();
    wait_on(&park.news);
    /* it has stopped at its store, or ended without it: no other thread may stop */
    shm_crash_arm(0);
    return park.is_parked;
}

void park_go_on(void) {
    if (park.is_parked && !atomic_exchange(&park.may_go, 1))
        sem_post(&park.go);
}

int park_end(void) {
    park_go_on();
    pthread_join(park.thread, NULL);
    return park.result;
}

uint64_t park_count(int (*run)(void *arg), void *arg) {
    shm_crash_arm(0);
    run(arg);
    return shm_crash_count();
}
