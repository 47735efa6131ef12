/* core/base/wide.h - functions that are made twice, for processors with 32-byte registers and
 * without.
 *
 * Why      A release build may run on any processor of its architecture. A loop that copies an item
 *          at a time spends a fifth of its instructions on that; with the wider registers half as
 *          many.
 * How      The body is an inline function with a constant argument is_wide. A function with
 *          WIDE_TARGET calls it with 1, another one with 0, and wide_is_here() chooses. The two do
 *          the same.
 * Tests    tests/unit/base/copy_test.c
 */
#ifndef LARDER_BASE_WIDE_H
#define LARDER_BASE_WIDE_H

#include <string.h>

#define WIDE_BYTES 32u

#if defined(__x86_64__)
#define WIDE_TARGET __attribute__((target("avx2,bmi,bmi2")))
static inline int wide_is_here(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}
/* Whether 32 bytes are equal, in four instructions. Only in functions with WIDE_TARGET. */
static inline __attribute__((always_inline)) int wide_are_equal(const void *a, const void *b) {
    typedef unsigned char piece[WIDE_BYTES];
    int are_equal;
    __asm__("vmovdqu %1, %%ymm0\n\t"
            "vpxor %2, %%ymm0, %%ymm0\n\t"
            "vptest %%ymm0, %%ymm0"
            : "=@ccz"(are_equal)
            : "m"(*(const piece *)a), "m"(*(const piece *)b)
            : "xmm0");
    return are_equal;
}
#else
#define WIDE_TARGET
static inline int wide_is_here(void) {
    return 0;
}
static inline int wide_are_equal(const void *a, const void *b) {
    return memcmp(a, b, WIDE_BYTES) == 0;
}
#endif

#endif
