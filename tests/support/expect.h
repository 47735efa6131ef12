/* tests/support/expect.h - a call of larder.h gives this result; if not, the test says what it gave
 * and why. */
#ifndef LARDER_TESTS_SUPPORT_EXPECT_H
#define LARDER_TESTS_SUPPORT_EXPECT_H

#include <criterion/criterion.h>

#include "larder.h"

#define EXPECT(result, expected)                                                                                       \
    do {                                                                                                               \
        int expect_got = (result);                                                                                     \
        cr_assert_eq(expect_got, (expected), "%s gives %s: %s", #result, larder_result_name(expect_got),               \
                     larder_error());                                                                                  \
    } while (0)

#endif
