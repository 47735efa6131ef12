/* tests/unit/base/copy_test.c - copies of images in place.
 *
 * Goal     shm_copy_out_here() copies what it shall and nothing else, with narrow and wide
 *          registers.
 * Method   Every size up to twice the one from which on it calls memcpy(), between bytes that must
 *          stay; the source ends where its memory ends. Without crash points, for which copies are
 *          made word by word.
 */
#undef LARDER_CRASH_POINTS
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/base/shm.h"
#include "core/base/wide.h"

#define BYTES_MAX (2u * SHM_PIECES_MAX * SHM_PIECE_BYTES)
#define AROUND 64u

TestSuite(copy, .timeout = 60);

static __attribute__((noinline)) void copy_narrow(void *to, const void *from, size_t bytes) {
    shm_copy_out_here(to, from, bytes, 0);
}
WIDE_TARGET static __attribute__((noinline)) void copy_wide(void *to, const void *from, size_t bytes) {
    shm_copy_out_here(to, from, bytes, 1);
}

static void expect_copy(void (*copy)(void *, const void *, size_t), size_t bytes) {
    _Alignas(8) uint8_t to[AROUND + BYTES_MAX + AROUND];
    uint8_t *from = malloc(bytes);
    cr_assert_not_null(from);
    for (size_t i = 0; i < bytes; i++)
        from[i] = (uint8_t)(i * 7 + i / 256 + 1);
    memset(to, 0xee, sizeof to);
    copy(to + AROUND, from, bytes);
    cr_assert_eq(memcmp(to + AROUND, from, bytes), 0, "%zu bytes", bytes);
    for (size_t i = 0; i < AROUND; i++)
        cr_assert(to[i] == 0xee && to[AROUND + bytes + i] == 0xee, "%zu bytes, %zu beside them", bytes, i);
    free(from);
}

Test(copy, copies_images_of_every_size) {
    for (size_t bytes = SHM_PIECE_BYTES; bytes <= BYTES_MAX; bytes += 8) {
        expect_copy(copy_narrow, bytes);
        if (wide_is_here())
            expect_copy(copy_wide, bytes);
    }
}
