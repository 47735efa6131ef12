/* tests/unit/item/item_add_test.c - a number is added to a number of an image.
 *
 * Goal     item_add_int() makes the image that a builder would make, or says that it cannot.
 * Method   Buffers that images go into are exactly as large as promised, so the address sanitizer
 *          sees a byte too many (item_kit.h).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/item/item.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_add, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

/* The same bytes as building it again, in and out of the directory, whether the number becomes
 * longer or shorter. */
Test(item_add, has_a_number_added_as_if_it_was_built_so) {
    struct rng r;
    rng_seed(&r, rng_test_seed("item_test adds"));
    for (int round = 0; round < 400; round++) {
        uint32_t count = 6 + (uint32_t)rng_below(&r, ITEM_WALKED_MAX);
        char name[16] = "At"; /* the sort key of an index */
        uint32_t i = 5 + (uint32_t)rng_below(&r, count - 5);
        if (rng_below(&r, 4))
            snprintf(name, sizeof name, "%c%u", "AZaz"[i % 4], i);
        struct larder_item *item = item_of_attrs(count);
        struct item_head *from = store(&shape, item), *to = block_of(from->bytes + ITEM_ADDED_BYTES_MAX, 0x77);
        int64_t by = (int64_t)(rng_next(&r) >> (2 + rng_below(&r, 61))) * (rng_below(&r, 2) ? 1 : -1), sum;
        struct bytes named = {(const uint8_t *)name, strlen(name)};
        OK(item_add_int(from, named, by, to, &sum));
        cr_assert_eq(sum, by + (name[0] == 'A' && name[1] == 't' ? 1764 : (int64_t)i));
        larder_builder_reset(builder);
        OK(larder_builder_add_all(builder, item, (const char *const[]){name}, 1));
        OK(larder_builder_add_int(builder, name, sum));
        struct item_head *wanted = store(&shape, finish());
        cr_assert(is_same((struct larder_item *)wanted, (struct larder_item *)to), "%s, %u attributes, %lld", name,
                  count, (long long)by);
        free(wanted);
        free(to);
        free(from);
        free(item);
    }
}

Test(item_add, has_nothing_added_to_what_is_no_integer) {
    struct larder_item *item = item_of_attrs(8);
    struct item_head *from = store(&shape, item), *to = block_of(from->bytes + ITEM_ADDED_BYTES_MAX, 0x77);
    int64_t sum;
    cr_assert_eq(item_add_int(from, (struct bytes){(const uint8_t *)"none", 4}, 1, to, &sum), LARDER_NOT_FOUND);
    cr_assert_eq(item_add_int(from, (struct bytes){(const uint8_t *)"Shop", 4}, 1, to, &sum), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "\"Shop\" is of type S"), "%s", larder_error());
    cr_assert_eq(item_add_int(from, (struct bytes){(const uint8_t *)"At", 2}, INT64_MAX, to, &sum), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), "1764 and 9223372036854775807"), "%s", larder_error());
    free(to);
    free(from);
    free(item);
}
