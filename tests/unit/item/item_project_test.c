/* tests/unit/item/item_project_test.c - projections.
 *
 * Goal     A projection is the image that a builder would make of the same attributes, within the
 *          promised bytes.
 * Method   Buffers that images go into are exactly as large as promised, so the address sanitizer
 *          sees a byte too many (item_kit.h).
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/item/item.h"
#include "core/item/item_records.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_project, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

static struct larder_item *project(const struct item_head *h, const struct bytes *names, uint32_t count) {
    size_t bytes = item_project_bytes_max(h);
    void *first = block_of(bytes, 0xaa), *second = block_of(bytes, 0x55);
    size_t got = item_project(h, names, count, first);
    cr_assert_eq(got, item_project(h, names, count, second));
    cr_assert_leq(got, bytes);
    cr_assert(is_same(first, second) && item_is_sane(first, got) && item_head(first)->bytes == got);
    free(second);
    return first;
}

Test(item_project, projects_to_what_a_builder_would_make) {
    static const struct bytes names[] = {{(const uint8_t *)"SK", 2},     {(const uint8_t *)"3", 1},
                                         {(const uint8_t *)"absent", 6}, {(const uint8_t *)"PK", 2},
                                         {(const uint8_t *)"14", 2},     {(const uint8_t *)"PK", 2}};
    struct rng r;
    rng_seed(&r, rng_test_seed("item_test projects"));
    for (int i = 0; i < 1000; i++) {
        struct larder_item *item = random_item(&r);
        struct item_head *h = store(&shape, item);
        uint32_t count = (uint32_t)rng_below(&r, sizeof names / sizeof *names + 1);
        struct larder_item *got = project(h, names, count);
        struct larder_member member;
        struct larder_iter it;
        larder_builder_reset(builder);
        larder_iter_item(item, &it);
        while (larder_iter_next(&it, &member) == LARDER_OK)
            for (uint32_t k = 0; k < count; k++)
                if (names[k].len == member.name_bytes && !memcmp(names[k].at, member.name, member.name_bytes)) {
                    OK(larder_builder_add_member(builder, &member));
                    break;
                }
        cr_assert(is_same(got, finish()), "item %d", i);
        free(got);
        free(h);
        free(item);
    }
}

/* Keys of 1 to 16 bytes under names of 1 to 8: there the image of all attributes is larger than its
 * source. */
Test(item_project, projects_within_the_promised_bytes) {
    static const struct item_shape one_key = {.partition = {"abcdefgh", 8, LARDER_S}};
    for (uint32_t name_bytes = 1; name_bytes <= 8; name_bytes++) {
        for (size_t key_bytes = 1; key_bytes <= 16; key_bytes++) {
            struct item_shape to_shape = one_key;
            struct bytes name = {(const uint8_t *)"abcdefgh", name_bytes};
            to_shape.partition.name_bytes = name_bytes;
            larder_builder_reset(builder);
            OK(larder_builder_name(builder, "abcdefgh", name_bytes));
            OK(larder_builder_add_sn(builder, NULL, "0123456789abcdef", key_bytes));
            struct larder_item *item = keep(finish());
            struct item_head *h = store(&to_shape, item);
            struct larder_item *got = project(h, &name, 1);
            cr_assert(is_same(item, got));
            free(got);
            free(h);
            free(item);
        }
    }
}
