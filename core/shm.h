/* core/shm.h - the only way to touch bytes that other processes see.
 *
 * Job      Loads, stores and copies on segment memory. Every store, compare-and-swap and fetch-op on a segment goes through
 *          SHM_STORE, SHM_CAS, SHM_ADD or shm_copy_in(), and nothing else may write there: the crash tests number these
 *          calls and kill the process at the k-th, so the set of states a death can leave is exactly the prefixes of them.
 * Rules    S1 Order: a compiler barrier before each store keeps the program's order, which is the order that survivors of
 *             a SIGKILL see. Release and acquire order other CPUs.
 *          S2 Bytes that a reader may copy while they change are moved as atomic words (shm_copy_in, shm_copy_out), so a race
 *             is a stale value, never undefined behaviour; the reader then validates (core/stripe.h). Release on the writing
 *             side and acquire on the reading side, not fences, order the copy before the validation: a reader that saw a
 *             word of a reused block also sees the sequence that was bumped before the block was given back. On x86-64
 *             these are plain moves.
 * Tests    Every suite under tests/crash/.
 */
#ifndef LARDER_CORE_SHM_H
#define LARDER_CORE_SHM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if LARDER_CRASH_POINTS
/* Counts a store and, in a process that was told to, dies before it. Defined in core/crash.c of the test build. */
void shm_crash_point(void);
#else
static inline void shm_crash_point(void) {
    atomic_signal_fence(memory_order_seq_cst);
}
#endif

#define SHM_LOAD(ptr) atomic_load_explicit((ptr), memory_order_acquire)
#define SHM_LOAD_RELAXED(ptr) atomic_load_explicit((ptr), memory_order_relaxed)

/* Release: all earlier stores of this thread are visible to whoever loads the new value with SHM_LOAD. */
#define SHM_STORE(ptr, value) (shm_crash_point(), atomic_store_explicit((ptr), (value), memory_order_release))

/* *expected is updated on failure, as with the C11 function. Acquire and release. */
#define SHM_CAS(ptr, expected, desired)                                                                                \
    (shm_crash_point(), atomic_compare_exchange_strong_explicit((ptr), (expected), (desired), memory_order_acq_rel,    \
                                                                memory_order_acquire))

#define SHM_ADD(ptr, value) (shm_crash_point(), atomic_fetch_add_explicit((ptr), (value), memory_order_acq_rel))

/* A 64-bit word of segment memory that readers may load while it changes. */
typedef _Atomic uint64_t shm_word;

/* Copies whole words from private memory into a block. Both 8-aligned; bytes is rounded up to whole words by the caller's
 * buffers (both sides must have room for it). */
static inline void shm_copy_in(void *to, const void *from, size_t bytes) {
    shm_word *t = to;
    const uint64_t *f = from;
    size_t words = (bytes + 7) / 8;
    for (size_t i = 0; i < words; i++)
        SHM_STORE(&t[i], f[i]);
}

/* Zeroes whole words of a block that nobody refers to yet. 8-aligned. */
static inline void shm_zero(void *to, size_t bytes) {
    shm_word *t = to;
    for (size_t i = 0; i < (bytes + 7) / 8; i++)
        SHM_STORE(&t[i], 0);
}

/* Copies whole words out of memory that may be changing. Both 8-aligned. */
static inline void shm_copy_out(void *to, const void *from, size_t bytes) {
    uint64_t *t = to;
    const shm_word *f = from;
    size_t words = (bytes + 7) / 8;
    for (size_t i = 0; i < words; i++)
        t[i] = atomic_load_explicit(&f[i], memory_order_acquire);
}

/* True if the words are equal. Both 8-aligned; `shared` may be changing. */
static inline int shm_is_equal(const void *shared, const void *mine, size_t bytes) {
    const shm_word *s = shared;
    const uint64_t *m = mine;
    for (size_t i = 0; i < (bytes + 7) / 8; i++)
        if (atomic_load_explicit(&s[i], memory_order_acquire) != m[i])
            return 0;
    return 1;
}

#define SHM_PREFETCH(ptr) __builtin_prefetch((ptr), 0, 3)

#endif
