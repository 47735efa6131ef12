/* core/base/shm.h - the only way to touch bytes that other processes see.
 *
 * Job      Loads, stores and copies on segment memory. Only SHM_STORE, SHM_PUT, SHM_CAS, SHM_ADD,
 *          SHM_OR, SHM_AND, shm_copy_in() and shm_zero() may write there. The crash tests number
 *          these calls and kill the process at the k-th, so the states that a death can leave are
 *          exactly the prefixes of these calls.
 * Rules    S1 A compiler barrier before each store keeps program order, which is the order that
 *             survivors of a SIGKILL see. Release and acquire order other CPUs.
 *          S2 Bytes that a reader may copy while they change go through shm_copy_in and
 *             shm_copy_out. The copy may mix old and new bytes; the validation after it
 *             (htab_read_ok) discards such a copy. shm_copy_out ends with an acquire fence. A
 *             writer bumps the sequence before it gives a block back, and the next owner takes the
 *             block under the same lock. So a reader that saw a byte of a reused block also sees
 *             the new sequence. Both are memcpy(), or its moves in place, 32 bytes at a time,
 *             between fences that the compiler moves nothing across: the private copy is made once
 *             and stays what it is. C11 has no such copy of memory that may change, so builds with
 *             crash points or the thread sanitizer move atomic words.
 * Tests    Every suite under tests/crash/; tests/unit/base/copy_test.c
 */
#ifndef LARDER_BASE_SHM_H
#define LARDER_BASE_SHM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if LARDER_CRASH_POINTS
/* Counts a store, and dies before it if a test asked for that. In core/base/crash.c of the test
 * build. */
void shm_crash_point(void);
#else
static inline void shm_crash_point(void) {
    atomic_signal_fence(memory_order_seq_cst);
}
#endif

#define SHM_LOAD(ptr) atomic_load_explicit((ptr), memory_order_acquire)
#define SHM_LOAD_RELAXED(ptr) atomic_load_explicit((ptr), memory_order_relaxed)

/* Release: a thread that loads the new value with SHM_LOAD sees all earlier stores of this one. */
#define SHM_STORE(ptr, value) (shm_crash_point(), atomic_store_explicit((ptr), (value), memory_order_release))

/* Stores the value unless it is there already. Under the lock that guards the word. */
#define SHM_PUT(ptr, value)                                                                                            \
    do {                                                                                                               \
        if (SHM_LOAD_RELAXED(ptr) != (value))                                                                          \
            SHM_STORE((ptr), (value));                                                                                 \
    } while (0)

/* *expected is updated on failure, as with the C11 function. Acquire and release. */
#define SHM_CAS(ptr, expected, desired)                                                                                \
    (shm_crash_point(), atomic_compare_exchange_strong_explicit((ptr), (expected), (desired), memory_order_acq_rel,    \
                                                                memory_order_acquire))

#define SHM_ADD(ptr, value) (shm_crash_point(), atomic_fetch_add_explicit((ptr), (value), memory_order_acq_rel))

#define SHM_OR(ptr, value) (shm_crash_point(), atomic_fetch_or_explicit((ptr), (value), memory_order_acq_rel))
#define SHM_AND(ptr, value) (shm_crash_point(), atomic_fetch_and_explicit((ptr), (value), memory_order_acq_rel))

/* A 64-bit word of segment memory that readers may load while it changes. */
typedef _Atomic uint64_t shm_word;

/* Whether copies move atomic words. A build may say 0, so that an address sanitizer sees the copies
 * that are shipped. */
#ifndef SHM_COPIES_WORDS
#if LARDER_CRASH_POINTS || defined(__SANITIZE_THREAD__)
#define SHM_COPIES_WORDS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHM_COPIES_WORDS 1
#endif
#endif
#ifndef SHM_COPIES_WORDS
#define SHM_COPIES_WORDS 0
#endif
#endif

static inline size_t shm_round8(size_t bytes) {
    return (bytes + 7) & ~(size_t)7;
}

/* Copies private memory into a block that nothing refers to yet, or whose lock is held. Both
 * 8-aligned; bytes is rounded up to whole words, for which both sides have room. */
static inline void shm_copy_in(void *to, const void *from, size_t bytes) {
#if SHM_COPIES_WORDS
    shm_word *t = to;
    const uint64_t *f = from;
    for (size_t i = 0; i < shm_round8(bytes) / 8; i++)
        SHM_STORE(&t[i], f[i]);
#else
    shm_crash_point();
    memcpy(to, from, shm_round8(bytes));
    atomic_thread_fence(memory_order_release);
#endif
}

/* Zeroes whole words of a block that nothing refers to yet. 8-aligned. */
static inline void shm_zero(void *to, size_t bytes) {
#if SHM_COPIES_WORDS
    shm_word *t = to;
    for (size_t i = 0; i < shm_round8(bytes) / 8; i++)
        SHM_STORE(&t[i], 0);
#else
    shm_crash_point();
    memset(to, 0, shm_round8(bytes));
    atomic_thread_fence(memory_order_release);
#endif
}

/* Copies whole words out of memory that may be changing. Both 8-aligned. */
static inline void shm_copy_out(void *to, const void *from, size_t bytes) {
#if SHM_COPIES_WORDS
    uint64_t *t = to;
    const shm_word *f = from;
    for (size_t i = 0; i < shm_round8(bytes) / 8; i++)
        t[i] = atomic_load_explicit(&f[i], memory_order_acquire);
#else
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(to, from, shm_round8(bytes));
    atomic_thread_fence(memory_order_acquire);
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* The same in place, for at least 32 bytes, a multiple of 8. Most items have a few hundred, and a
 * call of memcpy() costs a third of copying them. Pieces of 32 bytes in a row, without a loop; the
 * last one may overlap the one before. is_wide: core/base/wide.h. */
#define SHM_PIECE_BYTES 32u
#define SHM_PIECES_MAX 16u
typedef uint64_t shm_piece __attribute__((vector_size(SHM_PIECE_BYTES), aligned(8), may_alias));
static inline __attribute__((always_inline)) void shm_copy_out_here(void *to, const void *from, size_t bytes,
                                                                    int is_wide) {
#if SHM_COPIES_WORDS
    (void)is_wide;
    shm_copy_out(to, from, bytes);
#else
    uint32_t whole = ((uint32_t)bytes - 1) / SHM_PIECE_BYTES; /* pieces before the last one */
    unsigned char *t = to;
    const unsigned char *f = from;
    if (__builtin_expect(bytes > SHM_PIECES_MAX * SHM_PIECE_BYTES, 0)) {
        shm_copy_out(to, from, bytes);
        return;
    }
    atomic_signal_fence(memory_order_seq_cst);
#define SHM_PIECE(at)                                                                                                  \
    (is_wide ? (void)(*(shm_piece *)(t + (at)) = *(const shm_piece *)(f + (at)))                                       \
             : (void)memcpy(t + (at), f + (at), SHM_PIECE_BYTES))
#define SHM_PIECE_OF(i)                                                                                                \
    case (i) + 1:                                                                                                      \
        SHM_PIECE((i)*SHM_PIECE_BYTES);                                                                                \
        __attribute__((fallthrough))
    switch (whole % SHM_PIECES_MAX) {
        SHM_PIECE_OF(14);
        SHM_PIECE_OF(13);
        SHM_PIECE_OF(12);
        SHM_PIECE_OF(11);
        SHM_PIECE_OF(10);
        SHM_PIECE_OF(9);
        SHM_PIECE_OF(8);
        SHM_PIECE_OF(7);
        SHM_PIECE_OF(6);
        SHM_PIECE_OF(5);
        SHM_PIECE_OF(4);
        SHM_PIECE_OF(3);
        SHM_PIECE_OF(2);
        SHM_PIECE_OF(1);
        SHM_PIECE_OF(0);
    case 0:
        SHM_PIECE(bytes - SHM_PIECE_BYTES);
        break;
    default:
        __builtin_unreachable();
    }
#undef SHM_PIECE_OF
#undef SHM_PIECE
    atomic_thread_fence(memory_order_acquire);
    atomic_signal_fence(memory_order_seq_cst);
#endif
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
