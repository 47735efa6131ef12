/* tests/unit/item/item_build_test.c - items are built and read in place.
 *
 * Goal     Rules I1 to I4 of core/item/item.h: what was added is there, in one order, whatever the
 *          order of the calls.
 * Method   Items of all types, by hand and at random. Random items are copied member by member and
 *          must come out as the same bytes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "core/item/item.h"
#include "core/item/item_records.h"
#include "core/item/num.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_build, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

/* ---- Building and reading -------------------------------------------------------------------- */

Test(item_build, gives_back_all_ten_types) {
    static const uint8_t binary[] = {0, 1, 0xff};
    struct larder_value value;
    int64_t n;
    add_everything();
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_count(item), 15);
    cr_assert(is_text(get(item, "s"), "text"));
    cr_assert(is_text(get(item, "empty"), ""));
    cr_assert(is_number(get(item, "n"), "-12.5"));
    cr_assert(is_bytes(get(item, "b"), LARDER_B, binary, sizeof binary));
    cr_assert(is_bytes(get(item, "empty binary"), LARDER_B, NULL, 0));
    cr_assert(get(item, "yes").type == LARDER_BOOL && get(item, "yes").is_true == 1);
    cr_assert(get(item, "no").type == LARDER_BOOL && get(item, "no").is_true == 0);
    cr_assert_eq(get(item, "null").type, LARDER_NULL);
    value = get(item, "int");
    OK(larder_value_int64(&value, &n));
    cr_assert_eq(n, 1764000000);
    value = get(item, "n");
    cr_assert_eq(larder_value_int64(&value, &n), LARDER_E_INVAL);
    value = get(item, "s");
    cr_assert_eq(larder_value_int64(&value, &n), LARDER_E_INVAL);
    cr_assert_eq(larder_value_number(&value, (char[LARDER_NUMBER_TEXT_MAX]){0}), LARDER_E_INVAL);
    cr_assert_eq(larder_item_get(item, "absent", &value), LARDER_NOT_FOUND);
    cr_assert_eq(larder_item_get(item, "", &value), LARDER_NOT_FOUND);
    cr_assert_eq(larder_item_getn(item, "s\0", 2, &value), LARDER_NOT_FOUND);
}

Test(item_build, walks_everything_in_order) {
    char text[1024] = "";
    struct larder_iter it;
    struct larder_member member;
    add_everything();
    const struct larder_item *item = finish();
    larder_iter_item(item, &it);
    describe_members(&it, text, sizeof text);
    cr_assert_str_eq(text, "b=B3 bs=10:2{B1 B2 } empty='' empty binary=B0 empty list=7:0{} int=1764000000 "
                           "l=7:4{true null 6:0{} 3 } m=6:3{a=1 inner=7:1{'in a list in a map' } z='last' } n=-12.5 "
                           "no=false ns=9:3{-2 9 10 } null=null s='text' ss=8:3{'' 'apple' 'pear' } yes=true ");
    cr_assert_eq(larder_iter_next(&it, &member), LARDER_NOT_FOUND, "the end stays the end");
    struct larder_value scalar = get(item, "s");
    larder_iter_value(&scalar, &it);
    cr_assert_eq(larder_iter_next(&it, &member), LARDER_NOT_FOUND);
}

Test(item_build, may_be_empty) {
    struct larder_iter it;
    struct larder_member member;
    struct larder_value value;
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_count(item), 0);
    cr_assert_eq(larder_item_size(item), 0);
    cr_assert_eq(larder_item_get(item, "x", &value), LARDER_NOT_FOUND);
    larder_iter_item(item, &it);
    cr_assert_eq(larder_iter_next(&it, &member), LARDER_NOT_FOUND);
}

Test(item_build, is_the_same_in_whatever_order_it_is_built) {
    struct rng r;
    struct larder_item *first = NULL;
    rng_seed(&r, rng_test_seed("item_test order"));
    for (int round = 0; round < 200; round++) {
        enum { COUNT = 200 };
        uint32_t order[COUNT];
        larder_builder_reset(builder);
        for (uint32_t i = 0; i < COUNT; i++)
            order[i] = i;
        for (uint32_t i = COUNT; round > 0 && i > 1; i--) { /* the first round adds in order */
            uint32_t k = (uint32_t)rng_below(&r, i), swap = order[i - 1];
            order[i - 1] = order[k];
            order[k] = swap;
        }
        OK(larder_builder_begin(builder, "map", LARDER_M));
        for (int i = 0; i < COUNT; i++) {
            char name[16];
            snprintf(name, sizeof name, "m%03u", order[i]);
            OK(larder_builder_add_int(builder, name, order[i]));
        }
        OK(larder_builder_end(builder));
        OK(larder_builder_begin(builder, "set", LARDER_NS));
        for (int i = 0; i < COUNT; i++)
            OK(larder_builder_add_int(builder, NULL, order[i]));
        OK(larder_builder_end(builder));
        for (int i = 0; i < COUNT; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%03u", order[i]);
            OK(larder_builder_add_s(builder, name, name));
        }
        const struct larder_item *item = finish();
        if (first)
            cr_assert(is_same(first, item), "round %d", round);
        else
            first = keep(item);
    }
    free(first);
}

Test(item_build, can_be_finished_and_added_to_again) {
    OK(larder_builder_add_s(builder, "b", "2"));
    OK(larder_builder_add_s(builder, "a", "1"));
    cr_assert_eq(larder_item_count(finish()), 2);
    struct larder_item *twice = keep(finish());
    cr_assert(is_same(twice, finish()));
    free(twice);
    OK(larder_builder_add_s(builder, "aa", "3"));
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_count(item), 3);
    cr_assert(is_text(get(item, "a"), "1") && is_text(get(item, "aa"), "3") && is_text(get(item, "b"), "2"));
}

Test(item_build, sorts_names_by_bytes_then_length) {
    static const char *const names[] = {"b", "\xc3\xa9", "a", "aa", "B", "ab", "a\x01", "z"};
    static const char *const sorted[] = {"B", "a", "a\x01", "aa", "ab", "b", "z", "\xc3\xa9"};
    struct larder_iter it;
    struct larder_member member;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        OK(larder_builder_add_null(builder, names[i]));
    larder_iter_item(finish(), &it);
    for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++) {
        OK(larder_iter_next(&it, &member));
        cr_assert(member.name_bytes == strlen(sorted[i]) && !memcmp(member.name, sorted[i], member.name_bytes));
    }
}

Test(item_build, takes_names_with_zero_bytes) {
    struct larder_value value;
    OK(larder_builder_name(builder, "a\0b", 3));
    OK(larder_builder_add_s(builder, NULL, "1"));
    OK(larder_builder_name(builder, "a\0c", 3));
    OK(larder_builder_begin(builder, NULL, LARDER_L));
    OK(larder_builder_end(builder));
    const struct larder_item *item = finish();
    OK(larder_item_getn(item, "a\0b", 3, &value));
    cr_assert(is_text(value, "1"));
    OK(larder_item_getn(item, "a\0c", 3, &value));
    cr_assert_eq(value.type, LARDER_L);
    cr_assert_eq(larder_item_get(item, "a", &value), LARDER_NOT_FOUND);
}

/* ---- Numbers as values ----------------------------------------------------------------------- */

Test(item_build, feeds_numbers_read_back_to_builders_and_keys) {
    const struct item_key_attr number = {"k", 1, LARDER_N};
    OK(larder_builder_add_n(builder, "n", "-12.5"));
    struct larder_item *item = keep(finish());
    struct larder_value read = get(item, "n"), text = larder_num("-1.25E1");
    uint8_t from_read[NUM_BYTES_MAX], from_text[NUM_BYTES_MAX];
    size_t read_bytes, text_bytes;
    cr_assert_eq(read.count, 1);
    OK(item_encode_key_value(&number, &read, "key", 1024, from_read, &read_bytes));
    OK(item_encode_key_value(&number, &text, "key", 1024, from_text, &text_bytes));
    cr_assert(read_bytes == text_bytes && !memcmp(from_read, from_text, read_bytes));
    cr_assert(is_number(text, "-12.5"), "text is normalised too");
    larder_builder_reset(builder);
    OK(larder_builder_add(builder, "n", &read));
    cr_assert(is_same(item, finish()));
    larder_builder_reset(builder);
    OK(larder_builder_add(builder, "n", &text));
    cr_assert(is_same(item, finish()));
    free(item);
}

Test(item_build, refuses_encoded_numbers_that_are_none) {
    const struct item_key_attr number = {"k", 1, LARDER_N};
    struct larder_value forged = {.type = LARDER_N, .data = "17", .bytes = 2, .count = 1};
    uint8_t to[NUM_BYTES_MAX];
    size_t bytes;
    cr_assert_eq(larder_builder_add(builder, "n", &forged), LARDER_E_INVAL);
    cr_assert_eq(item_encode_key_value(&number, &forged, "key", 1024, to, &bytes), LARDER_E_INVAL);
    forged.data = NULL;
    larder_builder_reset(builder);
    cr_assert_eq(larder_builder_add(builder, "n", &forged), LARDER_E_INVAL);
    cr_assert_eq(item_encode_key_value(&number, &forged, "key", 1024, to, &bytes), LARDER_E_INVAL);
}

/* ---- Random items ---------------------------------------------------------------------------- */

/* Opens and walks containers instead of copying them whole. */
static void copy_members(struct larder_iter *it, int is_deep) {
    struct larder_member member;
    while (larder_iter_next(it, &member) == LARDER_OK) {
        struct larder_iter inner;
        if (!is_deep || member.value.type < LARDER_M) {
            OK(larder_builder_add_member(builder, &member));
            continue;
        }
        if (member.name)
            OK(larder_builder_name(builder, member.name, member.name_bytes));
        OK(larder_builder_begin(builder, NULL, member.value.type));
        larder_iter_value(&member.value, &inner);
        copy_members(&inner, 1);
        OK(larder_builder_end(builder));
    }
}

Test(item_build, copies_random_items_to_the_same_bytes) {
    struct rng r;
    rng_seed(&r, rng_test_seed("item_test copies"));
    for (int i = 0; i < 2000; i++) {
        struct larder_item *item = random_item(&r);
        for (int is_deep = 0; is_deep < 2; is_deep++) {
            struct larder_iter it;
            larder_builder_reset(builder);
            larder_iter_item(item, &it);
            copy_members(&it, is_deep);
            cr_assert(is_same(item, finish()), "item %d", i);
        }
        free(item);
    }
}

/* ---- Memory ---------------------------------------------------------------------------------- */

Test(item_build, gives_its_memory_back) {
    uint64_t before = priv_bytes(arena);
    struct larder_builder *mine = builder;
    builder = item_builder_new(arena, LARDER_ITEM_BYTES_MAX);
    add_everything();
    finish();
    cr_assert_gt(priv_bytes(arena), before);
    larder_builder_free(builder);
    larder_builder_free(NULL);
    builder = mine;
    cr_assert_eq(priv_bytes(arena), before);
}
