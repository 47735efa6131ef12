/* core/base/reserved.h - the reserved members at the end of larder.h's structures.
 *
 * Why      A program built against an older larder.h works with a newer library, and the other way
 *          round: a structure keeps its size, and new members replace reserved ones.
 * Rules    V1 A caller must give 0 there, else LARDER_E_INVAL: the value means something to a newer
 *             library, or the structure was not zeroed.
 *          V2 A caller gets 0 there, which a newer program reads as "not known".
 * Tests    tests/unit/base/frozen_test.c, tests/frozen/frozen_test.sh
 */
#ifndef LARDER_BASE_RESERVED_H
#define LARDER_BASE_RESERVED_H

#include <stddef.h>
#include <stdint.h>

/* LARDER_E_INVAL, with a message that names structure and member. */
int reserved_refuse(const char *structure, const uint64_t *reserved, size_t count) __attribute__((cold));

static inline int reserved_is_zero(const uint64_t *reserved, size_t count) {
    uint64_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= reserved[i];
    return any == 0;
}

/* Rule V1, for `const struct larder_... *given`: LARDER_OK or LARDER_E_INVAL. */
#define RESERVED_CHECK(given, structure)                                                                               \
    (__builtin_expect(reserved_is_zero((given)->reserved, sizeof((given)->reserved) / sizeof *(given)->reserved), 1)   \
         ? 0                                                                                                           \
         : reserved_refuse(structure, (given)->reserved, sizeof((given)->reserved) / sizeof *(given)->reserved))

/* For a structure written to a caller, after it was zeroed. Tests let it fill the reserved members,
 * as a newer library may. */
#if LARDER_CRASH_POINTS
extern int reserved_test_is_used;
#define RESERVED_FILL(written)                                                                                         \
    do {                                                                                                               \
        for (size_t i_ = 0; reserved_test_is_used && i_ < sizeof((written)->reserved) / sizeof *(written)->reserved;   \
             i_++)                                                                                                     \
            (written)->reserved[i_] = UINT64_C(0x1919191919191919);                                                    \
    } while (0)
#else
#define RESERVED_FILL(written) (void)(written)
#endif

#endif
