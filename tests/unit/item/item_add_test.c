/* tests/unit/item/item_add_test.c - a number is added to a number of an image.
 *
 * Goal     item_add() makes the image that a builder would make, or says that it cannot.
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

#define ZEROS_25 "0000000000000000000000000"
#define ZEROS_125 ZEROS_25 ZEROS_25 ZEROS_25 ZEROS_25 ZEROS_25

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
        struct item_sum s = {.only_int = 1};
        int64_t by = (int64_t)(rng_next(&r) >> (2 + rng_below(&r, 61))) * (rng_below(&r, 2) ? 1 : -1);
        struct bytes named = {(const uint8_t *)name, strlen(name)};
        s.by = by;
        OK(item_add(from, named, &s, to));
        cr_assert_eq(s.sum, by + (name[0] == 'A' && name[1] == 't' ? 1764 : (int64_t)i));
        larder_builder_reset(builder);
        OK(larder_builder_add_all(builder, item, (const char *const[]){name}, 1));
        OK(larder_builder_add_int(builder, name, s.sum));
        struct item_head *wanted = store(&shape, finish());
        cr_assert(is_same((struct larder_item *)wanted, (struct larder_item *)to), "%s, %u attributes, %lld", name,
                  count, (long long)by);
        free(wanted);
        free(to);
        free(from);
        free(item);
    }
}

/* The same for numbers of any length, which grow over one item and shrink again. */
Test(item_add, has_a_decimal_added_as_if_it_was_built_so) {
    static const char *const steps[][2] = {
        {"0.5", "1764.5"},
        {"12345678901234567890.25", "12345678901234569654.75"},
        {"-1E-17", "12345678901234569654.74999999999999999"},
        {"1E-17", "12345678901234569654.75"},
        {"-12345678901234569654.75", "0"},
        {"1E+125", "1" ZEROS_125},
        {"-1E+125", "0"},
        {"1764", "1764"},
    };
    struct bytes named = {(const uint8_t *)"At", 2};
    for (uint32_t count = 8; count <= 40; count += 32) {
        struct larder_item *item = item_of_attrs(count);
        struct item_head *from = store(&shape, item);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct item_head *to = block_of(from->bytes + ITEM_ADDED_BYTES_MAX, 0x77);
            struct item_sum s = {.is_int = 7};
            OK(num_encode(steps[i][0], strlen(steps[i][0]), s.by_number, &s.by_bytes));
            OK(item_add(from, named, &s, to));
            cr_assert_eq(s.is_int, i == 4 || i > 5);
            larder_builder_reset(builder);
            OK(larder_builder_add_all(builder, item, (const char *const[]){"At"}, 1));
            OK(larder_builder_add_n(builder, "At", steps[i][1]));
            struct item_head *wanted = store(&shape, finish());
            cr_assert(is_same((struct larder_item *)wanted, (struct larder_item *)to), "%s", steps[i][1]);
            free(wanted);
            free(from);
            from = to;
        }
        free(from);
        free(item);
    }
}

/* A text grows and shrinks over every form of its length, beside attributes and index keys that
 * move. */
Test(item_add, has_a_text_replaced_as_if_it_was_built_so) {
    static char text[LARDER_SORT_KEY_BYTES_MAX + 1];
    static const size_t lengths[] = {1, 10, 126, 127, 128, 129, 600, LARDER_SORT_KEY_BYTES_MAX, 300, 5};
    memset(text, 'x', sizeof text - 1);
    for (uint32_t count = 8; count <= 40; count += 32) {
        struct larder_item *item = item_of_attrs(count);
        struct item_head *from = store(&shape, item);
        for (int i = 0; i < 20; i++) {
            const char *name = i < 10 ? "Shop" : "Status"; /* keys of an index */
            struct larder_value value = {.type = LARDER_S, .data = text, .bytes = lengths[i % 10]};
            struct item_head *to = block_of(from->bytes + value.bytes + ITEM_ADDED_BYTES_MAX, 0x77);
            OK(item_replace(from, (struct bytes){(const uint8_t *)name, strlen(name)}, &value, to));
            larder_builder_reset(builder);
            OK(larder_builder_add_all(builder, item, (const char *const[]){name}, 1));
            OK(larder_builder_add_sn(builder, name, text, value.bytes));
            free(item);
            item = keep(finish());
            struct item_head *wanted = store(&shape, item);
            cr_assert(is_same((struct larder_item *)wanted, (struct larder_item *)to), "%s of %zu", name, value.bytes);
            free(wanted);
            free(from);
            from = to;
        }
        free(from);
        free(item);
    }
}

/* Index slots might change, or the layout. */
Test(item_add, replaces_nothing_that_needs_more) {
    struct larder_item *item = item_of_attrs(8);
    struct item_head *from = store(&shape, item), *to = block_of(from->bytes + 2000, 0x77);
    static char text[LARDER_SORT_KEY_BYTES_MAX + 1];
    struct larder_value value = {.type = LARDER_S, .data = text, .bytes = sizeof text};
    struct bytes shop = {(const uint8_t *)"Shop", 4}, none = {(const uint8_t *)"none", 4};
    cr_assert_eq(item_replace(from, shop, &value, to), LARDER_NOT_FOUND, "longer than a key");
    value.bytes = 0;
    cr_assert_eq(item_replace(from, shop, &value, to), LARDER_NOT_FOUND, "empty");
    value.bytes = 3;
    cr_assert_eq(item_replace(from, none, &value, to), LARDER_NOT_FOUND, "not there");
    value.type = LARDER_B;
    cr_assert_eq(item_replace(from, shop, &value, to), LARDER_NOT_FOUND, "another type");
    value = (struct larder_value){.type = LARDER_BOOL};
    cr_assert_eq(item_replace(from, shop, &value, to), LARDER_NOT_FOUND, "no text, number or binary");
    free(to);
    free(from);
    free(item);
}

/* An attribute that is missing counts as 0. */
Test(item_add, begins_at_zero) {
    struct bytes named = {(const uint8_t *)"n", 1};
    struct item_sum s = {.by = -5, .only_int = 1};
    OK(item_sum(named, NULL, &s));
    cr_assert(s.is_int && s.sum == -5);
    OK(num_encode("0.25", 4, s.by_number, &s.by_bytes));
    cr_assert_eq(item_sum(named, NULL, &s), LARDER_E_INVAL);
    s.only_int = 0;
    OK(item_sum(named, NULL, &s));
    cr_assert(!s.is_int && s.bytes == s.by_bytes && memcmp(s.number, s.by_number, s.bytes) == 0);
}

static void refuses(const struct item_head *from, const char *name, const char *by, int only_int, const char *words) {
    struct item_head *to = block_of(from->bytes + ITEM_ADDED_BYTES_MAX, 0x77);
    struct item_sum s = {.only_int = only_int};
    OK(num_encode(by, strlen(by), s.by_number, &s.by_bytes));
    cr_assert_eq(item_add(from, (struct bytes){(const uint8_t *)name, strlen(name)}, &s, to), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    free(to);
}

Test(item_add, has_nothing_added_that_does_not_fit) {
    struct larder_item *item = item_of_attrs(8);
    struct item_head *from = store(&shape, item), *to = block_of(from->bytes + ITEM_ADDED_BYTES_MAX, 0x77);
    struct item_sum s = {.by = 1, .only_int = 1};
    cr_assert_eq(item_add(from, (struct bytes){(const uint8_t *)"none", 4}, &s, to), LARDER_NOT_FOUND);
    refuses(from, "Shop", "1", 0, "\"Shop\" is of type S");
    refuses(from, "At", "9223372036854775807", 1, "\"At\" would be 9223372036854777571, which is no 64-bit integer");
    refuses(from, "At", "0.5", 1, "\"At\" would be 1764.5");
    refuses(from, "At", "1E-38", 0, "1764 and 0.00000000000000000000000000000000000001 has more than 38 significant");
    refuses(from, "At", "1E+50", 0, "more than 38 significant");
    free(to);
    free(from);
    free(item);
}
