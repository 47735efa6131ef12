/* tests/unit/segment/seg_kit.h - short ways to open segments and to look at their files, for the
 * suites of core/segment/seg.h. */
#ifndef LARDER_TESTS_UNIT_SEGMENT_SEG_KIT_H
#define LARDER_TESTS_UNIT_SEGMENT_SEG_KIT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/un.h>

#include "core/segment/seg_layout.h"
#include "larder.h"
#include "tests/support/slow.h"

#define SMALL LARDER_SEGMENT_BYTES_MIN
#define MIB (UINT64_C(1) << 20)
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

struct larder_options options_of(const char *segment, uint32_t flags);
int try_open(struct seg *s, const char *segment, uint32_t flags);
int open_and_close(const char *segment, uint32_t flags);
void must_open(struct seg *s, const char *segment, uint32_t flags);

/* The result, and a message with `part` in it. */
#define EXPECT(call, expected, part)                                                                                   \
    do {                                                                                                               \
        int expect_result = (call);                                                                                    \
        cr_expect(expect_result == (expected), "%s is %s: %s", #call, larder_result_name(expect_result),               \
                  larder_error());                                                                                     \
        cr_expect(strstr(larder_error(), part), "\"%s\" does not speak of \"%s\"", larder_error(), part);              \
    } while (0)

/* A directory of the test's own. */
void make_dir(char dir[64]);
int exists(const char *path);
void write_file(const char *path, const void *data, size_t bytes);

#endif
