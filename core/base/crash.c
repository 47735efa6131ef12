/* core/base/crash.c - see core/base/crash.h. Empty unless LARDER_CRASH_POINTS.
 *
 * Job      Counts the crash points of this process. At the chosen one it kills or stops the
 *          process, or calls a function. The signal is a plain system call: nothing before it
 *          flushes, cleans up or stores.
 * Tests    tests/unit/segment/seg_birth_test.c
 */
#include "core/base/crash.h"

#if LARDER_CRASH_POINTS

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Relaxed: each point only needs a number of its own. */
static _Atomic uint64_t crash_count, crash_at;

static _Atomic int crash_signal;
static void (*_Atomic crash_call)(void); /* NULL: the signal */
static void (*_Atomic crash_watch)(uint64_t number);

static void arm(uint64_t k, int signal, void (*call)(void)) {
    atomic_store_explicit(&crash_at, 0, memory_order_relaxed);
    atomic_store_explicit(&crash_count, 0, memory_order_relaxed);
    atomic_store_explicit(&crash_signal, signal, memory_order_relaxed);
    atomic_store_explicit(&crash_call, call, memory_order_relaxed);
    atomic_store_explicit(&crash_at, k, memory_order_relaxed);
}

void shm_crash_arm(uint64_t k) {
    arm(k, SIGKILL, NULL);
}

void shm_crash_arm_stop(uint64_t k) {
    arm(k, SIGSTOP, NULL);
}

void shm_crash_arm_call(uint64_t k, void (*what)(void)) {
    arm(k, 0, what);
}

uint64_t shm_crash_count(void) {
    return atomic_load_explicit(&crash_count, memory_order_relaxed);
}

void shm_crash_watch(void (*fn)(uint64_t number)) {
    atomic_store_explicit(&crash_watch, fn, memory_order_relaxed);
}

static void send_signal(int signal) {
    syscall(SYS_kill, syscall(SYS_getpid), signal);
    if (signal == SIGKILL)
        for (;;) /* it is on its way to this thread too */
            syscall(SYS_pause);
}

void shm_crash_point(void) {
    atomic_signal_fence(memory_order_seq_cst);
    uint64_t number = atomic_fetch_add_explicit(&crash_count, 1, memory_order_relaxed) + 1;
    void (*watch)(uint64_t) = atomic_load_explicit(&crash_watch, memory_order_relaxed);
    if (__builtin_expect(watch != NULL, 0))
        watch(number);
    if (__builtin_expect(number == atomic_load_explicit(&crash_at, memory_order_relaxed), 0)) {
        void (*call)(void) = atomic_load_explicit(&crash_call, memory_order_relaxed);
        if (call)
            call();
        else
            send_signal(atomic_load_explicit(&crash_signal, memory_order_relaxed));
    }
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
