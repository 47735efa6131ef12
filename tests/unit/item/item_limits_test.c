/* tests/unit/item/item_limits_test.c - the limits of an item, to the byte.
 *
 * Goal     What is just allowed is built and read back; one more is refused: nesting, bytes,
 *          attributes.
 * Method   Buffers that images go into are exactly as large as promised, so the address sanitizer
 *          sees a byte too many (item_kit.h).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/item/item.h"
#include "core/item/item_records.h"
#include "larder.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_limits, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

/* Nested lists, `levels` of them, as a record holds them. */
static size_t put_lists(uint8_t *to, int levels) {
    uint8_t inner[512];
    size_t bytes = 0;
    /* from the innermost out: each becomes the only member of the next */
    for (int i = 0; i < levels - 1; i++) {
        uint8_t count = i > 0, *at = inner;
        *at++ = LARDER_L;
        at = item_put_varint(at, 1 + bytes);
        *at++ = count;
        memcpy(at, to, bytes);
        bytes += (size_t)(at - inner);
        memcpy(to, inner, bytes);
    }
    return bytes;
}

static int nest(int levels) {
    int result = LARDER_OK;
    larder_builder_reset(builder);
    for (int i = 0; i < levels && result == LARDER_OK; i++) {
        if (i % 2)
            result = larder_builder_begin(builder, "m", LARDER_L);
        else
            result = larder_builder_begin(builder, i ? NULL : "top", LARDER_M);
    }
    return result;
}

#define NESTED_MAX (LARDER_NESTING_MAX - 1)

Test(item_limits, nests_31_containers) {
    OK(nest(NESTED_MAX));
    OK(larder_builder_begin(builder, "set", LARDER_SS)); /* a set does not count as a level */
    OK(larder_builder_add_s(builder, NULL, "deep"));
    for (int i = 0; i <= NESTED_MAX; i++)
        OK(larder_builder_end(builder));
    struct larder_item *deep = keep(finish());
    cr_assert_eq(nest(NESTED_MAX + 1), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "32") && strstr(larder_error(), "31"), "%s", larder_error());
    /* The same by copying: fits at the top, not one level down. */
    struct larder_member member = {"top", 3, get(deep, "top")};
    larder_builder_reset(builder);
    OK(larder_builder_add_member(builder, &member));
    cr_assert(is_same(deep, finish()));
    larder_builder_reset(builder);
    OK(larder_builder_begin(builder, "outer", LARDER_M));
    cr_assert_eq(larder_builder_add_member(builder, &member), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "32"), "%s", larder_error());
    free(deep);
}

/* Older builders took one level more. Such items are read and found whole, but can no longer be
 * made. */
Test(item_limits, reads_32_containers_of_an_older_builder) {
    static uint8_t lists[512];
    struct item_measure measure;
    struct larder_member member = {"top", 3, {.type = LARDER_L, .data = lists, .count = 1}};
    struct larder_value *value = &member.value;
    for (int levels = NESTED_MAX; levels <= NESTED_MAX + 2; levels++) {
        value->bytes = put_lists(lists, levels);
        cr_assert_eq(item_measure_container(value, &measure), levels <= LARDER_NESTING_MAX, "%d", levels);
        if (levels <= LARDER_NESTING_MAX)
            cr_assert_eq(measure.levels, (uint32_t)levels);
        larder_builder_reset(builder);
        cr_assert_eq(larder_builder_add_member(builder, &member), levels <= NESTED_MAX ? LARDER_OK : LARDER_E_INVAL,
                     "%d", levels);
    }
}

Test(item_limits, holds_400_kb_to_the_byte) {
    static char text[LARDER_ITEM_BYTES_MAX + 2];
    const struct larder_item *item = NULL;
    memset(text, 'x', sizeof text);
    OK(larder_builder_add_sn(builder, "n", text, LARDER_ITEM_BYTES_MAX - 1));
    item = finish();
    cr_assert_eq(larder_item_size(item), LARDER_ITEM_BYTES_MAX);
    cr_assert_eq(get(item, "n").bytes, LARDER_ITEM_BYTES_MAX - 1);
    larder_builder_reset(builder);
    cr_assert_eq(larder_builder_add_sn(builder, "n", text, LARDER_ITEM_BYTES_MAX), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "409601") && strstr(larder_error(), "409600"), "%s", larder_error());
    cr_assert_eq(larder_builder_finish(builder, &item), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "409601"), "%s", larder_error());
    /* By members: 3 for the list, 1 and 1 each. */
    larder_builder_reset(builder);
    OK(larder_builder_begin(builder, "l", LARDER_L));
    for (int i = 0; i < (LARDER_ITEM_BYTES_MAX - 4) / 2; i++)
        OK(larder_builder_add_null(builder, NULL));
    cr_assert_eq(larder_builder_add_null(builder, NULL), LARDER_E_INVAL);
}

Test(item_limits, counts_bytes_as_dynamodb_does) {
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "\xc3\xa9", "\xe2\x82\xac")); /* 2 + 3 */
    OK(larder_builder_add_b(builder, "b", "\0\0\0\0", 4));         /* 1 + 4 */
    OK(larder_builder_add_n(builder, "n", "0"));                   /* 1 + 1 */
    OK(larder_builder_add_n(builder, "n2", "123456"));             /* 2 + 3 + 1 */
    OK(larder_builder_add_n(builder, "n3", "-12000000"));          /* 2 + 1 + 1 + 1 */
    OK(larder_builder_add_bool(builder, "t", 1));                  /* 1 + 1 */
    OK(larder_builder_add_null(builder, "u"));                     /* 1 + 1 */
    OK(larder_builder_begin(builder, "m", LARDER_M));              /* 1 + 3 */
    OK(larder_builder_add_s(builder, "key", "value"));             /* 1 + 3 + 5 */
    OK(larder_builder_begin(builder, "l", LARDER_L));              /* 1 + 1 + 3 */
    OK(larder_builder_add_s(builder, NULL, ""));                   /* 1 */
    OK(larder_builder_end(builder));
    OK(larder_builder_end(builder));
    OK(larder_builder_begin(builder, "set", LARDER_SS)); /* 3 */
    OK(larder_builder_add_s(builder, NULL, "abc"));      /* 3 */
    OK(larder_builder_end(builder));
    cr_assert_eq(larder_item_size(finish()), 5 + 5 + 2 + 6 + 5 + 2 + 2 + 4 + 9 + 5 + 1 + 6);
}

Test(item_limits, holds_65535_attributes_and_no_more) {
    char name[16];
    struct larder_value value;
    for (uint32_t i = ITEM_ATTRS_MAX; i > 0; i--) {
        snprintf(name, sizeof name, "%04x", i);
        OK(larder_builder_add_null(builder, name));
    }
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_count(item), ITEM_ATTRS_MAX);
    cr_assert(item_head(item)->flags & ITEM_WIDE);
    for (uint32_t i = 1; i <= ITEM_ATTRS_MAX; i += 13) {
        snprintf(name, sizeof name, "%04x", i);
        OK(larder_item_get(item, name, &value));
    }
    cr_assert_eq(larder_builder_add_null(builder, "x"), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "65535"), "%s", larder_error());
}

/* The largest possible image for each byte of DynamoDB's count. */
Test(item_limits, fits_the_largest_image) {
    char name[16];
    for (int first = 1; first < 128; first++) {
        for (int second = 0; second < 128; second++) {
            size_t bytes = (size_t)snprintf(name, sizeof name, second ? "%c%c" : "%c", first, second);
            OK(larder_builder_name(builder, name, bytes));
            OK(larder_builder_begin(builder, NULL, LARDER_BS));
            OK(larder_builder_add_b(builder, NULL, "", 0));
            OK(larder_builder_end(builder));
        }
    }
    OK(larder_builder_begin(builder, "list", LARDER_L));
    size_t left = LARDER_ITEM_BYTES_MAX - (127 + 127 * 127 * 2) - 7;
    for (size_t i = 0; i < left; i++) {
        OK(larder_builder_begin(builder, NULL, LARDER_BS));
        OK(larder_builder_add_b(builder, NULL, "", 0));
        OK(larder_builder_end(builder));
    }
    OK(larder_builder_end(builder));
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_size(item), LARDER_ITEM_BYTES_MAX);
    cr_assert_gt(item_head(item)->bytes, ITEM_IMAGE_BYTES_MAX / 10 * 9);
    cr_assert_lt(item_head(item)->bytes + 4096, ITEM_IMAGE_BYTES_MAX, "room for keys and slots");
}
