/* tests/unit/item/item_refuse_test.c - what the builder refuses.
 *
 * Goal     Every refusal that larder.h promises has its result and a text that says why, and lasts
 *          until the reset.
 * Method   A table of wrong uses, each with words that the text must have.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/item/item.h"
#include "core/item/num.h"
#include "larder.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_refuse, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

static char long_name[LARDER_ATTRIBUTE_NAME_MAX + 2];

static int no_name(void) {
    return larder_builder_add_s(builder, NULL, "x");
}
static int empty_name(void) {
    return larder_builder_add_s(builder, "", "x");
}
static int empty_given_name(void) {
    return larder_builder_name(builder, "", 0);
}
static int too_long_name(void) {
    memset(long_name, 'n', sizeof long_name - 1);
    return larder_builder_add_s(builder, long_name, "x");
}
static int too_long_given_name(void) {
    memset(long_name, 'n', sizeof long_name - 1);
    return larder_builder_name(builder, long_name, sizeof long_name - 1);
}
static int null_given_name(void) {
    return larder_builder_name(builder, NULL, 3);
}
static int two_names(void) {
    OK(larder_builder_name(builder, "a", 1));
    return larder_builder_add_s(builder, "b", "x");
}
static int two_given_names(void) {
    OK(larder_builder_name(builder, "a", 1));
    return larder_builder_name(builder, "b", 1);
}
static int name_without_value(void) {
    const struct larder_item *item;
    OK(larder_builder_name(builder, "a", 1));
    return larder_builder_finish(builder, &item);
}
static int name_without_value_in_a_map(void) {
    OK(larder_builder_begin(builder, "m", LARDER_M));
    OK(larder_builder_name(builder, "a", 1));
    return larder_builder_end(builder);
}
static int name_not_utf8(void) {
    return larder_builder_add_s(builder, "a\xff", "x");
}
static int name_in_a_list(void) {
    OK(larder_builder_begin(builder, "l", LARDER_L));
    return larder_builder_add_s(builder, "a", "x");
}
static int given_name_in_a_list(void) {
    OK(larder_builder_begin(builder, "l", LARDER_L));
    OK(larder_builder_name(builder, "a", 1));
    return larder_builder_add_s(builder, NULL, "x");
}
static int name_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_SS));
    return larder_builder_add_s(builder, "a", "x");
}
static int no_name_in_a_map(void) {
    OK(larder_builder_begin(builder, "m", LARDER_M));
    return larder_builder_add_s(builder, NULL, "x");
}
static int text_not_utf8(void) {
    return larder_builder_add_s(builder, "a", "\xc0\x80");
}
static int null_text(void) {
    return larder_builder_add_s(builder, "a", NULL);
}
static int null_binary(void) {
    return larder_builder_add_b(builder, "a", NULL, 1);
}
static int bad_number(void) {
    return larder_builder_add_n(builder, "a", "12x");
}
static int null_number(void) {
    return larder_builder_add_n(builder, "a", NULL);
}
static int bad_number_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_NS));
    return larder_builder_add_n(builder, NULL, "1E126");
}
static int huge_text(void) {
    return larder_builder_add_sn(builder, "a", "not read at all", SIZE_MAX);
}
static int map_by_add(void) {
    return larder_builder_add(builder, "a", &(struct larder_value){.type = LARDER_M});
}
static int no_type_by_add(void) {
    return larder_builder_add(builder, "a", &(struct larder_value){.data = "x", .bytes = 1});
}
static int forged_map(void) {
    struct larder_member m = {"a", 1, {.type = LARDER_M, .data = "\x01", .bytes = 1, .count = 1}};
    return larder_builder_add_member(builder, &m);
}
static int forged_map_of_nothing(void) {
    struct larder_member m = {"a", 1, {.type = LARDER_M, .data = NULL, .bytes = 0, .count = 1}};
    return larder_builder_add_member(builder, &m);
}
static int forged_empty_set(void) {
    struct larder_member m = {"a", 1, {.type = LARDER_SS, .data = NULL, .bytes = 0, .count = 0}};
    return larder_builder_add_member(builder, &m);
}
static int double_name(void) {
    const struct larder_item *item;
    OK(larder_builder_add_s(builder, "a", "1"));
    OK(larder_builder_add_s(builder, "b", "1"));
    OK(larder_builder_add_s(builder, "a", "2"));
    return larder_builder_finish(builder, &item);
}
static int double_name_in_a_row(void) {
    const struct larder_item *item;
    OK(larder_builder_add_s(builder, "a", "1"));
    OK(larder_builder_add_s(builder, "a", "1"));
    return larder_builder_finish(builder, &item);
}
static int double_name_of_many(void) {
    const struct larder_item *item;
    for (int i = 0; i < 100; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i % 99);
        OK(larder_builder_add_int(builder, name, i));
    }
    return larder_builder_finish(builder, &item);
}
static int double_name_in_a_map(void) {
    OK(larder_builder_begin(builder, "m", LARDER_M));
    OK(larder_builder_add_null(builder, "a"));
    OK(larder_builder_add_null(builder, "a"));
    return larder_builder_end(builder);
}
static int double_text_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_SS));
    OK(larder_builder_add_s(builder, NULL, "b"));
    OK(larder_builder_add_s(builder, NULL, "a"));
    OK(larder_builder_add_s(builder, NULL, "b"));
    return larder_builder_end(builder);
}
static int double_number_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_NS));
    OK(larder_builder_add_n(builder, NULL, "1.0"));
    OK(larder_builder_add_n(builder, NULL, "10E-1"));
    return larder_builder_end(builder);
}
static int double_binary_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_BS));
    OK(larder_builder_add_b(builder, NULL, "\0", 1));
    OK(larder_builder_add_b(builder, NULL, "\0", 1));
    return larder_builder_end(builder);
}
static int empty_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_BS));
    return larder_builder_end(builder);
}
static int number_in_a_set_of_texts(void) {
    OK(larder_builder_begin(builder, "s", LARDER_SS));
    return larder_builder_add_n(builder, NULL, "1");
}
static int null_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_NS));
    return larder_builder_add_null(builder, NULL);
}
static int list_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_SS));
    return larder_builder_begin(builder, NULL, LARDER_L);
}
static int set_in_a_set(void) {
    OK(larder_builder_begin(builder, "s", LARDER_SS));
    return larder_builder_begin(builder, NULL, LARDER_SS);
}
static int begin_of_a_scalar(void) {
    return larder_builder_begin(builder, "a", LARDER_S);
}
static int begin_of_no_type(void) {
    return larder_builder_begin(builder, "a", (enum larder_type)11);
}
static int end_of_nothing(void) {
    return larder_builder_end(builder);
}
static int open_map(void) {
    const struct larder_item *item;
    OK(larder_builder_begin(builder, "m", LARDER_M));
    return larder_builder_finish(builder, &item);
}
static int endless_set_of_empty_texts(void) {
    int result = larder_builder_begin(builder, "s", LARDER_SS);
    for (int i = 0; i < 3 * 1000 * 1000 && result == LARDER_OK; i++)
        result = larder_builder_add_s(builder, NULL, "");
    return result;
}

Test(item_refuse, refuses_and_says_why_until_reset) {
    static const struct {
        int (*attempt)(void);
        const char *text; /* must be in the message */
    } rows[] = {
        {no_name, "name"},
        {empty_name, "0 bytes"},
        {empty_given_name, "0 bytes"},
        {too_long_name, "65536 bytes"},
        {too_long_given_name, "65536 bytes"},
        {null_given_name, "name"},
        {two_names, "\"b\""},
        {two_given_names, "larder_builder_name"},
        {name_without_value, "larder_builder_name"},
        {name_without_value_in_a_map, "larder_builder_name"},
        {name_not_utf8, "byte 1"},
        {name_in_a_list, "\"a\""},
        {given_name_in_a_list, "\"a\""},
        {name_in_a_set, "\"a\""},
        {no_name_in_a_map, "name"},
        {text_not_utf8, "\"a\""},
        {null_text, "larder_builder_add_s: text is NULL"},
        {null_binary, "larder_builder_add_b: data is NULL"},
        {bad_number, "\"12x\""},
        {null_number, "larder_builder_add_n: decimal is NULL"},
        {bad_number_in_a_set, "1E126"},
        {huge_text, "409600"},
        {map_by_add, "not M"},
        {no_type_by_add, "no type"},
        {forged_map, "type M"},
        {forged_map_of_nothing, "type M"},
        {forged_empty_set, "type SS"},
        {double_name, "\"a\""},
        {double_name_in_a_row, "\"a\""},
        {double_name_of_many, "\"0\""},
        {double_name_in_a_map, "\"a\""},
        {double_text_in_a_set, "\"b\""},
        {double_number_in_a_set, "\"1\""},
        {double_binary_in_a_set, "1 bytes twice"},
        {empty_set, "BS"},
        {number_in_a_set_of_texts, "type N"},
        {null_in_a_set, "type NULL"},
        {list_in_a_set, "type L"},
        {set_in_a_set, "type SS"},
        {begin_of_a_scalar, "not S"},
        {begin_of_no_type, "no type"},
        {end_of_nothing, "larder_builder_end"},
        {open_map, "open"},
        {endless_set_of_empty_texts, "twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct larder_item *item = NULL;
        struct larder_member member = {"q", 1, {.type = LARDER_NULL}};
        larder_builder_reset(builder);
        cr_assert_eq(rows[i].attempt(), LARDER_E_INVAL, "row %zu passed", i);
        cr_assert(strstr(larder_error(), rows[i].text), "row %zu: %s", i, larder_error());
        char first[256];
        snprintf(first, sizeof first, "%s", larder_error());
        cr_assert_eq(num_encode("other", 5, (uint8_t[NUM_BYTES_MAX]){0}, &(size_t){0}), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_add_s(builder, "q", "x"), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_add_int(builder, "q", 1), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_begin(builder, "q", LARDER_M), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_end(builder), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_name(builder, "q", 1), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_add_member(builder, &member), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_finish(builder, &item), LARDER_E_INVAL);
        cr_assert_null(item);
        cr_assert_str_eq(larder_error(), first, "row %zu", i);
        larder_builder_reset(builder);
        OK(larder_builder_add_s(builder, "q", "x"));
        finish();
    }
}
