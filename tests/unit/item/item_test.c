/* tests/unit/item/item_test.c - items: building, reading in place, storing, projecting, checking.
 *
 * Goal     Rules I1 to I4 of core/item/item.h, every refusal the builder and the key checks promise, limits to the byte, and
 *          that item_is_sane() lets nothing through that the readers could trip over.
 * Method   Builders on an arena of their own, no segment. Buffers that images go into are exactly as large as promised,
 *          so the address sanitizer sees a byte too many; they are filled with two patterns, so a byte left to chance
 *          shows. Random items are copied member by member and must come out as the same bytes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "core/base/utf8.h"
#include "core/item/item.h"
#include "core/item/item_records.h"
#include "core/item/num.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

static struct priv *arena;
static struct larder_builder *b;

static void set_up(void) {
    arena = priv_new();
    cr_assert_not_null(arena);
    b = item_builder_new(arena);
    cr_assert_not_null(b);
}

static void tear_down(void) {
    larder_builder_free(b);
    priv_destroy(arena);
}

TestSuite(item, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), LARDER_OK, "%s", larder_error())

/* malloc is 16-aligned, and to the byte for the address sanitizer. */
static void *block_of(size_t bytes, int fill) {
    void *block = malloc(bytes ? bytes : 1);
    cr_assert_not_null(block);
    memset(block, fill, bytes);
    return block;
}

static const struct larder_item *finish(void) {
    const struct larder_item *item = NULL;
    OK(larder_builder_finish(b, &item));
    cr_assert(item_is_sane(item, item_head(item)->bytes));
    return item;
}

/* A copy that outlives the builder's next use. */
static struct larder_item *keep(const struct larder_item *item) {
    struct larder_item *copy = block_of(item_head(item)->bytes, 0);
    memcpy(copy, item, item_head(item)->bytes);
    return copy;
}

static int is_same(const struct larder_item *left, const struct larder_item *right) {
    return item_head(left)->bytes == item_head(right)->bytes && !memcmp(left, right, item_head(left)->bytes);
}

static struct larder_value get(const struct larder_item *item, const char *name) {
    struct larder_value value = {.type = LARDER_NULL};
    OK(larder_item_get(item, name, &value));
    return value;
}

static int is_bytes(struct larder_value value, enum larder_type type, const void *data, size_t bytes) {
    return value.type == type && value.bytes == bytes && (!bytes || !memcmp(value.data, data, bytes));
}

static int is_text(struct larder_value value, const char *text) {
    return is_bytes(value, LARDER_S, text, strlen(text));
}

static int is_number(struct larder_value value, const char *expected) {
    char text[LARDER_NUMBER_TEXT_MAX];
    return larder_value_number(&value, text) == LARDER_OK && !strcmp(text, expected);
}

/* All ten types, some nested. */
static void add_everything(void) {
    static const uint8_t binary[] = {0, 1, 0xff};
    OK(larder_builder_add_s(b, "s", "text"));
    OK(larder_builder_add_s(b, "empty", ""));
    OK(larder_builder_add_n(b, "n", "-12.50"));
    OK(larder_builder_add_int(b, "int", 1764000000));
    OK(larder_builder_add_b(b, "b", binary, sizeof binary));
    OK(larder_builder_add_b(b, "empty binary", NULL, 0));
    OK(larder_builder_add_bool(b, "yes", 7));
    OK(larder_builder_add_bool(b, "no", 0));
    OK(larder_builder_add_null(b, "null"));
    OK(larder_builder_begin(b, "m", LARDER_M));
    OK(larder_builder_add_s(b, "z", "last"));
    OK(larder_builder_add_n(b, "a", "1"));
    OK(larder_builder_begin(b, "inner", LARDER_L));
    OK(larder_builder_add_s(b, NULL, "in a list in a map"));
    OK(larder_builder_end(b));
    OK(larder_builder_end(b));
    OK(larder_builder_begin(b, "l", LARDER_L));
    OK(larder_builder_add_bool(b, NULL, 1));
    OK(larder_builder_add_null(b, NULL));
    OK(larder_builder_begin(b, NULL, LARDER_M));
    OK(larder_builder_end(b));
    OK(larder_builder_add_n(b, NULL, "3"));
    OK(larder_builder_end(b));
    OK(larder_builder_begin(b, "empty list", LARDER_L));
    OK(larder_builder_end(b));
    OK(larder_builder_begin(b, "ss", LARDER_SS));
    OK(larder_builder_add_s(b, NULL, "pear"));
    OK(larder_builder_add_s(b, NULL, ""));
    OK(larder_builder_add_s(b, NULL, "apple"));
    OK(larder_builder_end(b));
    OK(larder_builder_begin(b, "ns", LARDER_NS));
    OK(larder_builder_add_n(b, NULL, "10"));
    OK(larder_builder_add_n(b, NULL, "-2"));
    OK(larder_builder_add_n(b, NULL, "9"));
    OK(larder_builder_end(b));
    OK(larder_builder_begin(b, "bs", LARDER_BS));
    OK(larder_builder_add_b(b, NULL, binary, 2));
    OK(larder_builder_add_b(b, NULL, binary, 1));
    OK(larder_builder_end(b));
}

/* ---- Building and reading ------------------------------------------------------------------------------------ */

Test(item, gives_back_all_ten_types) {
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

/* Writes what a walk over the value finds, as text that is easy to compare. */
static void describe(struct larder_value value, char *to, size_t bytes);

static void describe_members(struct larder_iter *it, char *to, size_t bytes) {
    struct larder_member member;
    size_t n = strlen(to);
    while (larder_iter_next(it, &member) == LARDER_OK) {
        if (member.name)
            snprintf(to + n, bytes - n, "%.*s=", (int)member.name_bytes, member.name);
        describe(member.value, to, bytes);
        n = strlen(to);
        snprintf(to + n, bytes - n, " ");
        n = strlen(to);
    }
}

static void describe(struct larder_value value, char *to, size_t bytes) {
    size_t n = strlen(to);
    char number[LARDER_NUMBER_TEXT_MAX];
    struct larder_iter it;
    switch (value.type) {
    case LARDER_S:
        snprintf(to + n, bytes - n, "'%.*s'", (int)value.bytes, (const char *)value.data);
        break;
    case LARDER_N:
        OK(larder_value_number(&value, number));
        snprintf(to + n, bytes - n, "%s", number);
        break;
    case LARDER_B:
        snprintf(to + n, bytes - n, "B%zu", value.bytes);
        break;
    case LARDER_BOOL:
        snprintf(to + n, bytes - n, value.is_true ? "true" : "false");
        break;
    case LARDER_NULL:
        snprintf(to + n, bytes - n, "null");
        break;
    default:
        snprintf(to + n, bytes - n, "%d:%u{", (int)value.type, value.count);
        larder_iter_value(&value, &it);
        describe_members(&it, to, bytes);
        n = strlen(to);
        snprintf(to + n, bytes - n, "}");
    }
}

Test(item, walks_everything_in_order) {
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

Test(item, may_be_empty) {
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

Test(item, is_the_same_in_whatever_order_it_is_built) {
    struct rng r;
    struct larder_item *first = NULL;
    rng_seed(&r, rng_test_seed("item_test order"));
    for (int round = 0; round < 200; round++) {
        enum { COUNT = 200 };
        uint32_t order[COUNT];
        larder_builder_reset(b);
        for (uint32_t i = 0; i < COUNT; i++)
            order[i] = i;
        for (uint32_t i = COUNT; round > 0 && i > 1; i--) { /* the first round adds in order */
            uint32_t k = (uint32_t)rng_below(&r, i), swap = order[i - 1];
            order[i - 1] = order[k];
            order[k] = swap;
        }
        OK(larder_builder_begin(b, "map", LARDER_M));
        for (int i = 0; i < COUNT; i++) {
            char name[16];
            snprintf(name, sizeof name, "m%03u", order[i]);
            OK(larder_builder_add_int(b, name, order[i]));
        }
        OK(larder_builder_end(b));
        OK(larder_builder_begin(b, "set", LARDER_NS));
        for (int i = 0; i < COUNT; i++)
            OK(larder_builder_add_int(b, NULL, order[i]));
        OK(larder_builder_end(b));
        for (int i = 0; i < COUNT; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%03u", order[i]);
            OK(larder_builder_add_s(b, name, name));
        }
        const struct larder_item *item = finish();
        if (first)
            cr_assert(is_same(first, item), "round %d", round);
        else
            first = keep(item);
    }
    free(first);
}

Test(item, can_be_finished_and_added_to_again) {
    OK(larder_builder_add_s(b, "b", "2"));
    OK(larder_builder_add_s(b, "a", "1"));
    cr_assert_eq(larder_item_count(finish()), 2);
    struct larder_item *twice = keep(finish());
    cr_assert(is_same(twice, finish()));
    free(twice);
    OK(larder_builder_add_s(b, "aa", "3"));
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_count(item), 3);
    cr_assert(is_text(get(item, "a"), "1") && is_text(get(item, "aa"), "3") && is_text(get(item, "b"), "2"));
}

Test(item, sorts_names_by_bytes_then_length) {
    static const char *const names[] = {"b", "\xc3\xa9", "a", "aa", "B", "ab", "a\x01", "z"};
    static const char *const sorted[] = {"B", "a", "a\x01", "aa", "ab", "b", "z", "\xc3\xa9"};
    struct larder_iter it;
    struct larder_member member;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        OK(larder_builder_add_null(b, names[i]));
    larder_iter_item(finish(), &it);
    for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++) {
        OK(larder_iter_next(&it, &member));
        cr_assert(member.name_bytes == strlen(sorted[i]) && !memcmp(member.name, sorted[i], member.name_bytes));
    }
}

Test(item, takes_names_with_zero_bytes) {
    struct larder_value value;
    OK(larder_builder_name(b, "a\0b", 3));
    OK(larder_builder_add_s(b, NULL, "1"));
    OK(larder_builder_name(b, "a\0c", 3));
    OK(larder_builder_begin(b, NULL, LARDER_L));
    OK(larder_builder_end(b));
    const struct larder_item *item = finish();
    OK(larder_item_getn(item, "a\0b", 3, &value));
    cr_assert(is_text(value, "1"));
    OK(larder_item_getn(item, "a\0c", 3, &value));
    cr_assert_eq(value.type, LARDER_L);
    cr_assert_eq(larder_item_get(item, "a", &value), LARDER_NOT_FOUND);
}

/* ---- Numbers as values --------------------------------------------------------------------------------------- */

Test(item, feeds_numbers_read_back_to_builders_and_keys) {
    const struct item_key_attr number = {"k", 1, LARDER_N};
    OK(larder_builder_add_n(b, "n", "-12.5"));
    struct larder_item *item = keep(finish());
    struct larder_value read = get(item, "n"), text = larder_num("-1.25E1");
    uint8_t from_read[NUM_BYTES_MAX], from_text[NUM_BYTES_MAX];
    size_t read_bytes, text_bytes;
    cr_assert_eq(read.count, 1);
    OK(item_encode_key_value(&number, &read, "key", 1024, from_read, &read_bytes));
    OK(item_encode_key_value(&number, &text, "key", 1024, from_text, &text_bytes));
    cr_assert(read_bytes == text_bytes && !memcmp(from_read, from_text, read_bytes));
    cr_assert(is_number(text, "-12.5"), "text is normalised too");
    larder_builder_reset(b);
    OK(larder_builder_add(b, "n", &read));
    cr_assert(is_same(item, finish()));
    larder_builder_reset(b);
    OK(larder_builder_add(b, "n", &text));
    cr_assert(is_same(item, finish()));
    free(item);
}

Test(item, refuses_encoded_numbers_that_are_none) {
    const struct item_key_attr number = {"k", 1, LARDER_N};
    struct larder_value forged = {.type = LARDER_N, .data = "17", .bytes = 2, .count = 1};
    uint8_t to[NUM_BYTES_MAX];
    size_t bytes;
    cr_assert_eq(larder_builder_add(b, "n", &forged), LARDER_E_INVAL);
    cr_assert_eq(item_encode_key_value(&number, &forged, "key", 1024, to, &bytes), LARDER_E_INVAL);
    forged.data = NULL;
    larder_builder_reset(b);
    cr_assert_eq(larder_builder_add(b, "n", &forged), LARDER_E_INVAL);
    cr_assert_eq(item_encode_key_value(&number, &forged, "key", 1024, to, &bytes), LARDER_E_INVAL);
}

/* ---- Refusals ------------------------------------------------------------------------------------------------ */

static char long_name[LARDER_ATTRIBUTE_NAME_MAX + 2];

static int no_name(void) {
    return larder_builder_add_s(b, NULL, "x");
}
static int empty_name(void) {
    return larder_builder_add_s(b, "", "x");
}
static int empty_given_name(void) {
    return larder_builder_name(b, "", 0);
}
static int too_long_name(void) {
    memset(long_name, 'n', sizeof long_name - 1);
    return larder_builder_add_s(b, long_name, "x");
}
static int too_long_given_name(void) {
    memset(long_name, 'n', sizeof long_name - 1);
    return larder_builder_name(b, long_name, sizeof long_name - 1);
}
static int null_given_name(void) {
    return larder_builder_name(b, NULL, 3);
}
static int two_names(void) {
    OK(larder_builder_name(b, "a", 1));
    return larder_builder_add_s(b, "b", "x");
}
static int two_given_names(void) {
    OK(larder_builder_name(b, "a", 1));
    return larder_builder_name(b, "b", 1);
}
static int name_without_value(void) {
    const struct larder_item *item;
    OK(larder_builder_name(b, "a", 1));
    return larder_builder_finish(b, &item);
}
static int name_without_value_in_a_map(void) {
    OK(larder_builder_begin(b, "m", LARDER_M));
    OK(larder_builder_name(b, "a", 1));
    return larder_builder_end(b);
}
static int name_not_utf8(void) {
    return larder_builder_add_s(b, "a\xff", "x");
}
static int name_in_a_list(void) {
    OK(larder_builder_begin(b, "l", LARDER_L));
    return larder_builder_add_s(b, "a", "x");
}
static int given_name_in_a_list(void) {
    OK(larder_builder_begin(b, "l", LARDER_L));
    OK(larder_builder_name(b, "a", 1));
    return larder_builder_add_s(b, NULL, "x");
}
static int name_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_SS));
    return larder_builder_add_s(b, "a", "x");
}
static int no_name_in_a_map(void) {
    OK(larder_builder_begin(b, "m", LARDER_M));
    return larder_builder_add_s(b, NULL, "x");
}
static int text_not_utf8(void) {
    return larder_builder_add_s(b, "a", "\xc0\x80");
}
static int null_text(void) {
    return larder_builder_add_s(b, "a", NULL);
}
static int null_binary(void) {
    return larder_builder_add_b(b, "a", NULL, 1);
}
static int bad_number(void) {
    return larder_builder_add_n(b, "a", "12x");
}
static int null_number(void) {
    return larder_builder_add_n(b, "a", NULL);
}
static int bad_number_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_NS));
    return larder_builder_add_n(b, NULL, "1E126");
}
static int huge_text(void) {
    return larder_builder_add_sn(b, "a", "not read at all", SIZE_MAX);
}
static int map_by_add(void) {
    return larder_builder_add(b, "a", &(struct larder_value){.type = LARDER_M});
}
static int no_type_by_add(void) {
    return larder_builder_add(b, "a", &(struct larder_value){.data = "x", .bytes = 1});
}
static int forged_map(void) {
    struct larder_member m = {"a", 1, {.type = LARDER_M, .data = "\x01", .bytes = 1, .count = 1}};
    return larder_builder_add_member(b, &m);
}
static int forged_map_of_nothing(void) {
    struct larder_member m = {"a", 1, {.type = LARDER_M, .data = NULL, .bytes = 0, .count = 1}};
    return larder_builder_add_member(b, &m);
}
static int forged_empty_set(void) {
    struct larder_member m = {"a", 1, {.type = LARDER_SS, .data = NULL, .bytes = 0, .count = 0}};
    return larder_builder_add_member(b, &m);
}
static int double_name(void) {
    const struct larder_item *item;
    OK(larder_builder_add_s(b, "a", "1"));
    OK(larder_builder_add_s(b, "b", "1"));
    OK(larder_builder_add_s(b, "a", "2"));
    return larder_builder_finish(b, &item);
}
static int double_name_in_a_row(void) {
    const struct larder_item *item;
    OK(larder_builder_add_s(b, "a", "1"));
    OK(larder_builder_add_s(b, "a", "1"));
    return larder_builder_finish(b, &item);
}
static int double_name_of_many(void) {
    const struct larder_item *item;
    for (int i = 0; i < 100; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i % 99);
        OK(larder_builder_add_int(b, name, i));
    }
    return larder_builder_finish(b, &item);
}
static int double_name_in_a_map(void) {
    OK(larder_builder_begin(b, "m", LARDER_M));
    OK(larder_builder_add_null(b, "a"));
    OK(larder_builder_add_null(b, "a"));
    return larder_builder_end(b);
}
static int double_text_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_SS));
    OK(larder_builder_add_s(b, NULL, "b"));
    OK(larder_builder_add_s(b, NULL, "a"));
    OK(larder_builder_add_s(b, NULL, "b"));
    return larder_builder_end(b);
}
static int double_number_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_NS));
    OK(larder_builder_add_n(b, NULL, "1.0"));
    OK(larder_builder_add_n(b, NULL, "10E-1"));
    return larder_builder_end(b);
}
static int double_binary_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_BS));
    OK(larder_builder_add_b(b, NULL, "\0", 1));
    OK(larder_builder_add_b(b, NULL, "\0", 1));
    return larder_builder_end(b);
}
static int empty_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_BS));
    return larder_builder_end(b);
}
static int number_in_a_set_of_texts(void) {
    OK(larder_builder_begin(b, "s", LARDER_SS));
    return larder_builder_add_n(b, NULL, "1");
}
static int null_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_NS));
    return larder_builder_add_null(b, NULL);
}
static int list_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_SS));
    return larder_builder_begin(b, NULL, LARDER_L);
}
static int set_in_a_set(void) {
    OK(larder_builder_begin(b, "s", LARDER_SS));
    return larder_builder_begin(b, NULL, LARDER_SS);
}
static int begin_of_a_scalar(void) {
    return larder_builder_begin(b, "a", LARDER_S);
}
static int begin_of_no_type(void) {
    return larder_builder_begin(b, "a", (enum larder_type)11);
}
static int end_of_nothing(void) {
    return larder_builder_end(b);
}
static int open_map(void) {
    const struct larder_item *item;
    OK(larder_builder_begin(b, "m", LARDER_M));
    return larder_builder_finish(b, &item);
}
static int endless_set_of_empty_texts(void) {
    int result = larder_builder_begin(b, "s", LARDER_SS);
    for (int i = 0; i < 3 * 1000 * 1000 && result == LARDER_OK; i++)
        result = larder_builder_add_s(b, NULL, "");
    return result;
}

Test(item, refuses_and_says_why_until_reset) {
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
        larder_builder_reset(b);
        cr_assert_eq(rows[i].attempt(), LARDER_E_INVAL, "row %zu passed", i);
        cr_assert(strstr(larder_error(), rows[i].text), "row %zu: %s", i, larder_error());
        char first[256];
        snprintf(first, sizeof first, "%s", larder_error());
        cr_assert_eq(num_encode("other", 5, (uint8_t[NUM_BYTES_MAX]){0}, &(size_t){0}), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_add_s(b, "q", "x"), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_add_int(b, "q", 1), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_begin(b, "q", LARDER_M), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_end(b), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_name(b, "q", 1), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_add_member(b, &member), LARDER_E_INVAL);
        cr_assert_eq(larder_builder_finish(b, &item), LARDER_E_INVAL);
        cr_assert_null(item);
        cr_assert_str_eq(larder_error(), first, "row %zu", i);
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "q", "x"));
        finish();
    }
}

Test(item, knows_utf8) {
    static const char *const good[] = {"",
                                       "plain ASCII of more than eight bytes",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "1234567\xc3\xa9",
                                       "12345678\xe2\x82\xacxyz 1234"};
    static const struct {
        const char *text;
        size_t position;
    } bad[] = {
        {"\x80", 0},
        {"\xbf", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2", 0},
        {"\xc2\x41", 0},
        {"\xe0\x80\x80", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xe2\x82", 0},
        {"\xe2\x82\x41", 0},
        {"\xed\xa0\x80", 0},
        {"\xed\xbf\xbf", 0},
        {"\xf0\x80\x80\x80", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf0\x9f\x98", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"12345678\xff", 8},
        {"1234567\xc3", 7},
        {"\xc3\xa9\xa9", 2},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_eq(utf8_valid_bytes(good[i], strlen(good[i])), strlen(good[i]), "row %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(utf8_valid_bytes(bad[i].text, strlen(bad[i].text)), bad[i].position, "row %zu", i);
    cr_assert_eq(utf8_valid_bytes("\xe2\x82\xac", 2), 0, "a character cut off");
    cr_assert_eq(utf8_shown_bytes("a\nb", 3), 1);
    cr_assert_eq(utf8_shown_bytes("a\xff", 2), 1);
    cr_assert_eq(utf8_shown_bytes("12345678901234567890123456789012345678901234567\xc3\xa9", 49), 47);
}

/* ---- Limits -------------------------------------------------------------------------------------------------- */

/* A list with a list in it, and so on: so many, as a record holds them. */
static size_t put_lists(uint8_t *to, int levels) {
    uint8_t inner[512];
    size_t bytes = 0;
    for (int i = 0; i < levels - 1; i++) { /* from the innermost out: each becomes the only member of the next */
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
    larder_builder_reset(b);
    for (int i = 0; i < levels && result == LARDER_OK; i++) {
        if (i % 2)
            result = larder_builder_begin(b, "m", LARDER_L);
        else
            result = larder_builder_begin(b, i ? NULL : "top", LARDER_M);
    }
    return result;
}

#define NESTED_MAX (LARDER_NESTING_MAX - 1)

Test(item, nests_31_containers) {
    OK(nest(NESTED_MAX));
    OK(larder_builder_begin(b, "set", LARDER_SS)); /* a set is no level */
    OK(larder_builder_add_s(b, NULL, "deep"));
    for (int i = 0; i <= NESTED_MAX; i++)
        OK(larder_builder_end(b));
    struct larder_item *deep = keep(finish());
    cr_assert_eq(nest(NESTED_MAX + 1), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "32") && strstr(larder_error(), "31"), "%s", larder_error());
    /* The same by copying: fits at the top, not one level down. */
    struct larder_member member = {"top", 3, get(deep, "top")};
    larder_builder_reset(b);
    OK(larder_builder_add_member(b, &member));
    cr_assert(is_same(deep, finish()));
    larder_builder_reset(b);
    OK(larder_builder_begin(b, "outer", LARDER_M));
    cr_assert_eq(larder_builder_add_member(b, &member), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "32"), "%s", larder_error());
    free(deep);
}

/* Builders took one level more once: such items are read and found whole, but not made any more. */
Test(item, reads_32_containers_of_an_older_builder) {
    static uint8_t lists[512];
    struct item_measure measure;
    struct larder_member member = {"top", 3, {.type = LARDER_L, .data = lists, .count = 1}};
    struct larder_value *value = &member.value;
    for (int levels = NESTED_MAX; levels <= NESTED_MAX + 2; levels++) {
        value->bytes = put_lists(lists, levels);
        cr_assert_eq(item_measure_container(value, &measure), levels <= LARDER_NESTING_MAX, "%d", levels);
        if (levels <= LARDER_NESTING_MAX)
            cr_assert_eq(measure.levels, (uint32_t)levels);
        larder_builder_reset(b);
        cr_assert_eq(larder_builder_add_member(b, &member), levels <= NESTED_MAX ? LARDER_OK : LARDER_E_INVAL, "%d",
                     levels);
    }
}

Test(item, holds_400_kb_to_the_byte) {
    static char text[LARDER_ITEM_BYTES_MAX + 2];
    const struct larder_item *item = NULL;
    memset(text, 'x', sizeof text);
    OK(larder_builder_add_sn(b, "n", text, LARDER_ITEM_BYTES_MAX - 1));
    item = finish();
    cr_assert_eq(larder_item_size(item), LARDER_ITEM_BYTES_MAX);
    cr_assert_eq(get(item, "n").bytes, LARDER_ITEM_BYTES_MAX - 1);
    larder_builder_reset(b);
    cr_assert_eq(larder_builder_add_sn(b, "n", text, LARDER_ITEM_BYTES_MAX), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "409601") && strstr(larder_error(), "409600"), "%s", larder_error());
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "409601"), "%s", larder_error());
    /* By members: 3 for the list, 1 and 1 each. */
    larder_builder_reset(b);
    OK(larder_builder_begin(b, "l", LARDER_L));
    for (int i = 0; i < (LARDER_ITEM_BYTES_MAX - 4) / 2; i++)
        OK(larder_builder_add_null(b, NULL));
    cr_assert_eq(larder_builder_add_null(b, NULL), LARDER_E_INVAL);
}

Test(item, counts_bytes_as_dynamodb_does) {
    larder_builder_reset(b);
    OK(larder_builder_add_s(b, "\xc3\xa9", "\xe2\x82\xac")); /* 2 + 3 */
    OK(larder_builder_add_b(b, "b", "\0\0\0\0", 4));         /* 1 + 4 */
    OK(larder_builder_add_n(b, "n", "0"));                   /* 1 + 1 */
    OK(larder_builder_add_n(b, "n2", "123456"));             /* 2 + 3 + 1 */
    OK(larder_builder_add_n(b, "n3", "-12000000"));          /* 2 + 1 + 1 + 1 */
    OK(larder_builder_add_bool(b, "t", 1));                  /* 1 + 1 */
    OK(larder_builder_add_null(b, "u"));                     /* 1 + 1 */
    OK(larder_builder_begin(b, "m", LARDER_M));              /* 1 + 3 */
    OK(larder_builder_add_s(b, "key", "value"));             /* 1 + 3 + 5 */
    OK(larder_builder_begin(b, "l", LARDER_L));              /* 1 + 1 + 3 */
    OK(larder_builder_add_s(b, NULL, ""));                   /* 1 */
    OK(larder_builder_end(b));
    OK(larder_builder_end(b));
    OK(larder_builder_begin(b, "set", LARDER_SS)); /* 3 */
    OK(larder_builder_add_s(b, NULL, "abc"));      /* 3 */
    OK(larder_builder_end(b));
    cr_assert_eq(larder_item_size(finish()), 5 + 5 + 2 + 6 + 5 + 2 + 2 + 4 + 9 + 5 + 1 + 6);
}

Test(item, holds_65535_attributes_and_no_more) {
    char name[16];
    struct larder_value value;
    for (uint32_t i = ITEM_ATTRS_MAX; i > 0; i--) {
        snprintf(name, sizeof name, "%04x", i);
        OK(larder_builder_add_null(b, name));
    }
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_count(item), ITEM_ATTRS_MAX);
    cr_assert(item_head(item)->flags & ITEM_WIDE);
    for (uint32_t i = 1; i <= ITEM_ATTRS_MAX; i += 13) {
        snprintf(name, sizeof name, "%04x", i);
        OK(larder_item_get(item, name, &value));
    }
    cr_assert_eq(larder_builder_add_null(b, "x"), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "65535"), "%s", larder_error());
}

/* As many bytes of image for a byte by DynamoDB's count as there can be. */
Test(item, fits_the_largest_image) {
    char name[16];
    for (int first = 1; first < 128; first++) {
        for (int second = 0; second < 128; second++) {
            size_t bytes = (size_t)snprintf(name, sizeof name, second ? "%c%c" : "%c", first, second);
            OK(larder_builder_name(b, name, bytes));
            OK(larder_builder_begin(b, NULL, LARDER_BS));
            OK(larder_builder_add_b(b, NULL, "", 0));
            OK(larder_builder_end(b));
        }
    }
    OK(larder_builder_begin(b, "list", LARDER_L));
    size_t left = LARDER_ITEM_BYTES_MAX - (127 + 127 * 127 * 2) - 7;
    for (size_t i = 0; i < left; i++) {
        OK(larder_builder_begin(b, NULL, LARDER_BS));
        OK(larder_builder_add_b(b, NULL, "", 0));
        OK(larder_builder_end(b));
    }
    OK(larder_builder_end(b));
    const struct larder_item *item = finish();
    cr_assert_eq(larder_item_size(item), LARDER_ITEM_BYTES_MAX);
    cr_assert_gt(item_head(item)->bytes, ITEM_IMAGE_BYTES_MAX / 10 * 9);
    cr_assert_lt(item_head(item)->bytes + 4096, ITEM_IMAGE_BYTES_MAX, "room for keys and slots");
}

/* ---- Random items -------------------------------------------------------------------------------------------- */

static void add_random(struct rng *r, const char *name, int depth);

static void add_random_scalar(struct rng *r, const char *name, enum larder_type type) {
    char text[24];
    size_t bytes = (size_t)snprintf(text, sizeof text, "%d", (int)rng_below(r, 2000000) - 1000000);
    if (type == LARDER_S)
        OK(larder_builder_add_sn(b, name, text, rng_below(r, bytes + 1)));
    else if (type == LARDER_N)
        OK(larder_builder_add_n(b, name, text));
    else if (type == LARDER_B)
        OK(larder_builder_add_b(b, name, text, rng_below(r, bytes + 1)));
    else if (type == LARDER_BOOL)
        OK(larder_builder_add_bool(b, name, (int)rng_below(r, 2)));
    else
        OK(larder_builder_add_null(b, name));
}

/* Members of a set: equal ones are avoided by a counter in them. */
static void add_random_set(struct rng *r, const char *name, enum larder_type type) {
    OK(larder_builder_begin(b, name, type));
    for (int64_t i = 1 + (int64_t)rng_below(r, 4); i > 0; i--) {
        char text[24];
        size_t bytes = (size_t)snprintf(text, sizeof text, "%d.%d", (int)rng_below(r, 99) + 1, (int)i);
        if (type == LARDER_SS)
            OK(larder_builder_add_sn(b, NULL, text, bytes));
        else if (type == LARDER_NS)
            OK(larder_builder_add_n(b, NULL, text));
        else
            OK(larder_builder_add_b(b, NULL, text, bytes));
    }
    OK(larder_builder_end(b));
}

static void add_random(struct rng *r, const char *name, int depth) {
    enum larder_type type = (enum larder_type)(1 + rng_below(r, 10));
    if (type >= LARDER_SS) {
        add_random_set(r, name, type);
    } else if (type < LARDER_M || depth > 4) {
        add_random_scalar(r, name, type < LARDER_M ? type : LARDER_S);
    } else {
        OK(larder_builder_begin(b, name, type));
        uint64_t count = rng_below(r, 5), step = 1 + rng_below(r, 4);
        for (uint64_t i = 0; i < count; i++) {
            char member[8];
            snprintf(member, sizeof member, "%d", (int)((i * step) % 5 + i / 5));
            if (type == LARDER_M)
                OK(larder_builder_name(b, member, strlen(member)));
            add_random(r, NULL, depth + 1);
        }
        OK(larder_builder_end(b));
    }
}

static struct larder_item *random_item(struct rng *r) {
    uint64_t count = 1 + rng_below(r, 20);
    larder_builder_reset(b);
    OK(larder_builder_add_s(b, "PK", "partition"));
    OK(larder_builder_add_n(b, "SK", "17"));
    for (uint64_t i = 0; i < count; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", (int)((i * 7) % 23));
        add_random(r, name, 0);
    }
    return keep(finish());
}

/* Opens and walks containers instead of copying them whole. */
static void copy_members(struct larder_iter *it, int is_deep) {
    struct larder_member member;
    while (larder_iter_next(it, &member) == LARDER_OK) {
        struct larder_iter inner;
        if (!is_deep || member.value.type < LARDER_M) {
            OK(larder_builder_add_member(b, &member));
            continue;
        }
        if (member.name)
            OK(larder_builder_name(b, member.name, member.name_bytes));
        OK(larder_builder_begin(b, NULL, member.value.type));
        larder_iter_value(&member.value, &inner);
        copy_members(&inner, 1);
        OK(larder_builder_end(b));
    }
}

Test(item, copies_random_items_to_the_same_bytes) {
    struct rng r;
    rng_seed(&r, rng_test_seed("item_test copies"));
    for (int i = 0; i < 2000; i++) {
        struct larder_item *item = random_item(&r);
        for (int is_deep = 0; is_deep < 2; is_deep++) {
            struct larder_iter it;
            larder_builder_reset(b);
            larder_iter_item(item, &it);
            copy_members(&it, is_deep);
            cr_assert(is_same(item, finish()), "item %d", i);
        }
        free(item);
    }
}

/* ---- Keys and stored images ---------------------------------------------------------------------------------- */

static const struct item_index_shape index_shapes[] = {
    {.name = "byStatus", .partition = {"Shop", 4, LARDER_S}, .sort = {"Status", 6, LARDER_S}},
    {.name = "byTime", .partition = {"Shop", 4, LARDER_S}, .sort = {"At", 2, LARDER_N}},
    {.name = "byBlob", .partition = {"Blob", 4, LARDER_B}},
};
static const struct item_index_shape lenient_shapes[] = {
    {.name = "byStatus", .partition = {"Shop", 4, LARDER_S}, .sort = {"Status", 6, LARDER_S}, .is_lenient = 1},
    {.name = "byTime", .partition = {"Shop", 4, LARDER_S}, .sort = {"At", 2, LARDER_N}, .is_lenient = 1},
};
static const struct item_shape shape = {.partition = {"PK", 2, LARDER_S},
                                        .sort = {"SK", 2, LARDER_N},
                                        .index_count = 3,
                                        .indexes = index_shapes,
                                        .ttl_name = "ExpiresAt",
                                        .ttl_name_bytes = 9};
static const struct item_shape lenient_shape = {
    .partition = {"PK", 2, LARDER_S}, .sort = {"SK", 2, LARDER_N}, .index_count = 2, .indexes = lenient_shapes};
static const struct item_shape hash_shape = {.partition = {"id", 2, LARDER_B}};

#define NOW_S INT64_C(1764000000)

/* With places of attributes that are those of another item, or of none, comes the same. */
static void check_near(const struct item_shape *to_shape, const struct larder_item *item, const void *image) {
    static uint16_t near[ITEM_NEAR_COUNT];
    static struct rng r = {.state = {1, 2, 3, 4}};
    struct item_store s;
    void *block = block_of(item_stored_bytes_max(to_shape, item), 0x33);
    int is_wild = rng_below(&r, 2) == 0;
    for (unsigned i = 0; i < ITEM_NEAR_COUNT && is_wild; i++)
        near[i] = (uint16_t)(rng_below(&r, 2) ? rng_below(&r, 12) : rng_next(&r));
    OK(item_store_key(&s, to_shape, item, near, block));
    OK(item_store_slots(&s));
    item_store_records(&s, NOW_S);
    cr_assert(s.to == block && is_same(block, image));
    free(block);
}

/* Stores into two buffers of exactly the promised size with different garbage: I4. */
static struct item_head *store(const struct item_shape *to_shape, const struct larder_item *item) {
    struct item_head *first = NULL, *second = NULL;
    size_t bytes = item_stored_bytes_max(to_shape, item);
    void *block = block_of(bytes, 0xaa), *other = block_of(bytes, 0x55);
    OK(item_to_stored(to_shape, item, NOW_S, block, &first));
    OK(item_to_stored(to_shape, item, NOW_S, other, &second));
    cr_assert(first == block && second == other && first->bytes <= bytes);
    cr_assert(is_same(block, other));
    cr_assert(item_is_sane(first, first->bytes));
    cr_assert_eq(item_ddb_bytes(first), item_ddb_bytes(item_head(item)));
    check_near(to_shape, item, first);
    free(other);
    return first;
}

static int refuses(const struct item_shape *to_shape, const char *text) {
    const struct larder_item *item = finish();
    struct item_head *out = NULL;
    void *block = block_of(item_stored_bytes_max(to_shape, item), 0xaa);
    int result = item_to_stored(to_shape, item, NOW_S, block, &out);
    free(block);
    larder_builder_reset(b);
    cr_assert_null(out);
    return result == LARDER_E_INVAL && strstr(larder_error(), text);
}

static int is_run(struct bytes run, const void *data, size_t bytes) {
    return run.len == bytes && !memcmp(run.at, data, bytes);
}

/* All attributes of `stored` and those of `item` are the same to a reader. */
static int reads_the_same(const struct larder_item *left, const struct larder_item *right) {
    static char left_text[65536], right_text[65536];
    struct larder_iter it;
    left_text[0] = right_text[0] = 0;
    larder_iter_item(left, &it);
    describe_members(&it, left_text, sizeof left_text);
    larder_iter_item(right, &it);
    describe_members(&it, right_text, sizeof right_text);
    return !strcmp(left_text, right_text);
}

Test(item, stores_keys_slots_and_expiry) {
    uint8_t seventeen[NUM_BYTES_MAX];
    size_t number_bytes = num_encode_int64(17, seventeen);
    OK(larder_builder_add_s(b, "PK", "SHOP#1"));
    OK(larder_builder_add_n(b, "SK", "17"));
    OK(larder_builder_add_s(b, "Shop", "a.example"));
    OK(larder_builder_add_s(b, "Status", "DONE"));
    OK(larder_builder_add_b(b, "Blob", "\0\1", 2));
    OK(larder_builder_add_int(b, "ExpiresAt", NOW_S + 60));
    OK(larder_builder_add_s(b, "other", "x"));
    struct larder_item *item = keep(finish());
    struct item_head *h = store(&shape, item);
    cr_assert_eq(item_expiry_s(h), (uint64_t)NOW_S + 60);
    cr_assert_eq(item_timed_at(h, h)->armed_s, 0);
    cr_assert(h->hash_high == 0 && item_ttl_generation(h) == 0 && h->version == 0 && h->kseq == 0 &&
              h->index_count == 3);
    cr_assert(h->partition_bytes == 6 && !memcmp(item_key_area(h), "SHOP#1", 6));
    cr_assert(h->sort_bytes == number_bytes && !memcmp(item_key_area(h) + 6, seventeen, number_bytes));
    const struct item_index_slot *slots = item_index_slots(h);
    cr_assert(slots[0].kseq == 1 && slots[1].kseq == 0 && slots[2].kseq == 1);
    cr_assert(slots[1].partition_attr == ITEM_NO_ATTR && slots[1].sort_attr == ITEM_NO_ATTR);
    cr_assert(is_run(item_index_partition(h, 0), "a.example", 9));
    cr_assert(is_run(item_index_sort(h, 0), "DONE", 4));
    cr_assert(is_run(item_index_partition(h, 2), "\0\1", 2));
    cr_assert(item_index_sort(h, 2).at == NULL && item_index_sort(h, 2).len == 0);
    cr_assert(is_text(get((struct larder_item *)h, "PK"), "SHOP#1"));
    cr_assert(is_number(get((struct larder_item *)h, "SK"), "17"));
    cr_assert(reads_the_same(item, (struct larder_item *)h));

    struct item_key from_item, from_values;
    struct larder_key key = {.partition = larder_str("SHOP#1"), .sort = larder_num("17.0")};
    OK(item_key_from_item(&shape, item, &from_item));
    OK(item_key_from_values(&shape, &key, &from_values));
    cr_assert(from_item.area_bytes == 8 && from_values.area_bytes == 8 && item_key_area_bytes(h) == 8);
    cr_assert(!memcmp(from_item.area, from_values.area, 8) && !memcmp(from_item.area, item_key_area(h), 8));
    OK(item_key_from_item(&shape, (struct larder_item *)h, &from_item));
    cr_assert(!memcmp(from_item.area, from_values.area, 8));
    free(h);
    free(item);
}

/* ---- Key sequences of an item that is written over ------------------------------------------------------------ */

/* An item with keys in the three indexes of `shape`; status, at and blob may be NULL. */
static struct item_head *keyed(const char *status, const char *at, const char *blob, const char *other) {
    larder_builder_reset(b);
    OK(larder_builder_add_s(b, "PK", "SHOP#1"));
    OK(larder_builder_add_n(b, "SK", "17"));
    OK(larder_builder_add_s(b, "Shop", "a.example"));
    if (status)
        OK(larder_builder_add_s(b, "Status", status));
    if (at)
        OK(larder_builder_add_n(b, "At", at));
    if (blob)
        OK(larder_builder_add_b(b, "Blob", blob, strlen(blob)));
    if (other)
        OK(larder_builder_add_s(b, "Another", other)); /* before all of them, so that they move */
    struct larder_item *item = keep(finish());
    struct item_head *h = store(&shape, item);
    free(item);
    return h;
}

/* The key sequences that `image` takes of an old one with 11, 12 and 13 where it is in an index; 99 is fresh. */
static int takes(struct item_head *old, struct item_head *image, uint32_t first, uint32_t second, uint32_t third) {
    struct item_peek peek;
    const struct item_index_slot *slots = item_index_slots(image);
    for (uint32_t i = 0; i < 3; i++)
        if (item_index_slots(old)[i].kseq)
            item_index_slots(old)[i].kseq = 11 + i;
    cr_assert(item_peek_open(&peek, old, old->bytes));
    int differs = item_peek_take_kseqs(&peek, image, 99);
    cr_assert(slots[0].kseq == first && slots[1].kseq == second && slots[2].kseq == third, "%u %u %u", slots[0].kseq,
              slots[1].kseq, slots[2].kseq);
    free(old);
    free(image);
    return differs;
}

Test(item, keeps_key_sequences_of_keys_that_stay) {
    cr_assert_not(takes(keyed("DONE", "5", "x", NULL), keyed("DONE", "5", "x", NULL), 11, 12, 13));
    cr_assert_not(takes(keyed("DONE", "5", "x", NULL), keyed("DONE", "5", "x", "longer than before"), 11, 12, 13));
    cr_assert_not(takes(keyed("DONE", "5", "x", "a"), keyed("DONE", "5.0", "x", NULL), 11, 12, 13));
    cr_assert(takes(keyed("DONE", "5", "x", NULL), keyed("OPEN", "5", "x", NULL), 99, 12, 13));
    cr_assert(takes(keyed("DONE", "5", "x", NULL), keyed("DONE", "6", "x", NULL), 11, 99, 13));
    cr_assert(takes(keyed("DONE", "5", "x", NULL), keyed("DONE", "5", "y", NULL), 11, 12, 99));
    cr_assert(takes(keyed("DONE", "5", "x", NULL), keyed("DONE", "5", NULL, NULL), 11, 12, 0));
    cr_assert(takes(keyed("DONE", NULL, "x", NULL), keyed("DONE", "5", "x", NULL), 11, 99, 13));
    cr_assert(takes(keyed(NULL, NULL, NULL, NULL), keyed("DONE", "5", "x", NULL), 99, 99, 99));
    cr_assert_not(takes(keyed(NULL, NULL, NULL, NULL), keyed(NULL, NULL, NULL, NULL), 0, 0, 0));
}

/* An index key that is the table's key, too, lies in the key area: equal records say nothing of it. */
Test(item, compares_index_keys_that_are_primary_keys) {
    static const struct item_index_shape by_pk[] = {{.name = "byPk", .partition = {"PK", 2, LARDER_S}}};
    static const struct item_shape pk_shape = {.partition = {"PK", 2, LARDER_S}, .index_count = 1, .indexes = by_pk};
    struct item_head *h[2];
    for (int i = 0; i < 2; i++) {
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "PK", i ? "two" : "one"));
        struct larder_item *item = keep(finish());
        h[i] = store(&pk_shape, item);
        free(item);
    }
    struct item_peek peek;
    cr_assert(item_peek_open(&peek, h[0], h[0]->bytes));
    cr_assert(item_peek_take_kseqs(&peek, h[1], 99));
    cr_assert_eq(item_index_slots(h[1])[0].kseq, 99);
    cr_assert_not(item_peek_take_kseqs(&peek, h[0], 99));
    cr_assert_eq(item_index_slots(h[0])[0].kseq, 1);
    free(h[0]);
    free(h[1]);
}

/* Any byte of the old item may be any other: nothing is read outside of it, and a slot gets the old sequence or a fresh one. */
Test(item, takes_key_sequences_of_damaged_items) {
    static const uint8_t bytes[] = {0, 1, 0x7f, 0x80, 0xff};
    struct item_head *good = keyed("DONE", "5", "x", "a"), *image = keyed("DONE", "5", "x", NULL);
    struct item_head *old = block_of(good->bytes, 0), *fresh = block_of(image->bytes, 0);
    for (size_t at = 0; at < good->bytes; at++)
        for (size_t k = 0; k < sizeof bytes; k++) {
            struct item_peek peek;
            memcpy(old, good, good->bytes);
            memcpy(fresh, image, image->bytes);
            ((uint8_t *)old)[at] = bytes[k];
            if (!item_peek_open(&peek, old, good->bytes))
                continue;
            item_peek_take_kseqs(&peek, fresh, 99);
            for (uint32_t i = 0; i < 3; i++) {
                uint32_t kseq = item_index_slots(fresh)[i].kseq;
                cr_assert(kseq == 99 || kseq == item_peek_kseq(&peek, i), "byte %zu, index %u: %u", at, i, kseq);
            }
        }
    free(old);
    free(fresh);
    free(good);
    free(image);
}

Test(item, stores_what_came_out_of_any_table) {
    struct rng r;
    rng_seed(&r, rng_test_seed("item_test stores"));
    for (int i = 0; i < 1000; i++) {
        struct larder_item *item = random_item(&r);
        struct item_head *h = store(&shape, item);
        cr_assert(reads_the_same(item, (struct larder_item *)h));
        struct item_head *again = store(&shape, (struct larder_item *)h);
        cr_assert(is_same((struct larder_item *)h, (struct larder_item *)again));
        free(again);
        /* A table that has the old sort key as its partition key and an ordinary attribute as nothing. */
        const struct item_shape other = {.partition = {"SK", 2, LARDER_N}};
        struct item_head *moved = store(&other, (struct larder_item *)h), *direct = store(&other, item);
        cr_assert(is_same((struct larder_item *)moved, (struct larder_item *)direct));
        free(moved);
        free(direct);
        free(h);
        free(item);
    }
}

Test(item, refuses_keys_that_a_table_cannot_have) {
    static char text[LARDER_PARTITION_KEY_BYTES_MAX + 2];
    memset(text, 'k', sizeof text - 1);
    OK(larder_builder_add_n(b, "SK", "1"));
    cr_assert(refuses(&shape, "\"PK\""), "%s", larder_error());
    OK(larder_builder_add_s(b, "PK", "a"));
    cr_assert(refuses(&shape, "\"SK\""), "%s", larder_error());
    OK(larder_builder_add_s(b, "PK", ""));
    OK(larder_builder_add_n(b, "SK", "1"));
    cr_assert(refuses(&shape, "0 bytes"), "%s", larder_error());
    OK(larder_builder_add_s(b, "PK", "a"));
    OK(larder_builder_add_s(b, "SK", "1"));
    cr_assert(refuses(&shape, "type S; N"), "%s", larder_error());
    OK(larder_builder_add_null(b, "PK"));
    OK(larder_builder_add_n(b, "SK", "1"));
    cr_assert(refuses(&shape, "type NULL; S"), "%s", larder_error());
    OK(larder_builder_add_sn(b, "PK", text, LARDER_PARTITION_KEY_BYTES_MAX + 1));
    OK(larder_builder_add_n(b, "SK", "1"));
    cr_assert(refuses(&shape, "2049"), "%s", larder_error());
    OK(larder_builder_add_sn(b, "PK", text, LARDER_PARTITION_KEY_BYTES_MAX));
    OK(larder_builder_add_n(b, "SK", "1"));
    free(store(&shape, finish()));
    /* Index keys: what is there must fit, even if the item would not be in the index. */
    static const struct {
        const char *name;
        struct larder_value value;
        const char *text;
    } rows[] = {
        {"Shop", {.type = LARDER_N, .data = "1", .bytes = 1}, "byStatus"},
        {"Status", {.type = LARDER_BOOL}, "byStatus"},
        {"Shop", {.type = LARDER_S}, "0 bytes"},
        {"Status", {.type = LARDER_S, .data = text, .bytes = LARDER_SORT_KEY_BYTES_MAX + 1}, "1025"},
        {"Shop", {.type = LARDER_S, .data = text, .bytes = LARDER_PARTITION_KEY_BYTES_MAX + 1}, "2049"},
        {"At", {.type = LARDER_S, .data = "1", .bytes = 1}, "byTime"},
        {"Blob", {.type = LARDER_B}, "byBlob"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "PK", "a"));
        OK(larder_builder_add_n(b, "SK", "1"));
        OK(larder_builder_add(b, rows[i].name, &rows[i].value));
        struct item_head *h = store(&lenient_shape, finish());
        cr_assert(item_index_slots(h)[0].kseq == 0 && item_index_slots(h)[1].kseq == 0);
        free(h);
        cr_assert(refuses(&shape, rows[i].text), "row %zu: %s", i, larder_error());
    }
}

Test(item, refuses_keys_that_a_caller_cannot_mean) {
    static char text[LARDER_PARTITION_KEY_BYTES_MAX + 2];
    struct item_key out;
    struct larder_key good = {.partition = larder_str("a"), .sort = larder_num("1")};
    struct larder_value bad_partitions[] = {larder_str(""),        larder_str(NULL),         larder_num("1"),
                                            larder_bin("a", 1),    larder_str("\xff"),       larder_str(text),
                                            {.type = LARDER_NULL}, {.data = "a", .bytes = 1}};
    struct larder_value bad_sorts[] = {
        larder_str("1"), larder_num("x"), larder_num(""), larder_num(NULL), {.bytes = 0}};
    memset(text, 'k', sizeof text - 1);
    bad_partitions[5] = larder_str(text);
    for (size_t i = 0; i < sizeof bad_partitions / sizeof *bad_partitions; i++) {
        struct larder_key key = {.partition = bad_partitions[i], .sort = good.sort};
        cr_assert_eq(item_key_from_values(&shape, &key, &out), LARDER_E_INVAL, "row %zu", i);
        cr_assert_neq(larder_error()[0], 0);
    }
    for (size_t i = 0; i < sizeof bad_sorts / sizeof *bad_sorts; i++) {
        struct larder_key key = {.partition = good.partition, .sort = bad_sorts[i]};
        cr_assert_eq(item_key_from_values(&shape, &key, &out), LARDER_E_INVAL, "row %zu", i);
        cr_assert_neq(larder_error()[0], 0);
    }
    struct larder_key binary = {.partition = larder_bin("\0\0\0\0\0\0\0\0\1", 9), .sort = {.type = LARDER_NULL}};
    OK(item_key_from_values(&hash_shape, &binary, &out));
    cr_assert(out.partition_bytes == 9 && out.sort_bytes == 0 && out.area_bytes == 16);
    cr_assert(!memcmp(out.area, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16));
    text[LARDER_PARTITION_KEY_BYTES_MAX] = 0;
    struct larder_key largest = {.partition = larder_str(text),
                                 .sort = larder_num("-1.2345678901234567890123456789012345678")};
    OK(item_key_from_values(&shape, &largest, &out));
    cr_assert_leq(out.area_bytes, ITEM_KEY_AREA_MAX);
}

Test(item, reads_expiry_by_the_ttl_attribute) {
    static const struct {
        const char *number;
        uint64_t expiry;
    } rows[] = {
        {"1764000060", 1764000060},
        {"1764000060.9", 1764000060},
        {"1.7640001E9", 1764000100},
        {"1763999999", 1763999999}, /* just past */
        {"0", 0},
        {"-5", 0},
        {"0.5", 0},
        {"1606320000", 1606320000}, /* five years past to the second */
        {"1606319999", 0},
        {"281474976710655", 281474976710655},
        {"281474976710656", 281474976710655},
        {"1E125", 281474976710655},
        {"-1E125", 0},
        {"1E-130", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        larder_builder_reset(b);
        OK(larder_builder_add_n(b, "ExpiresAt", rows[i].number));
        cr_assert_eq(item_ttl_of(item_head(finish()), "ExpiresAt", 9, NOW_S), rows[i].expiry, "%s", rows[i].number);
    }
    larder_builder_reset(b);
    OK(larder_builder_add_s(b, "ExpiresAt", "1764000060"));
    cr_assert_eq(item_ttl_of(item_head(finish()), "ExpiresAt", 9, NOW_S), 0, "text is no time");
    cr_assert_eq(item_ttl_of(item_head(finish()), "absent", 6, NOW_S), 0);
}

/* Offsets go from u16 to u32 by the bytes that a table adds. */
Test(item, becomes_wide_when_stored) {
    static char text[65536];
    memset(text, 'x', sizeof text);
    for (size_t bytes = 65300; bytes < 65536; bytes++) {
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "PK", "p"));
        OK(larder_builder_add_n(b, "SK", "1"));
        OK(larder_builder_add_sn(b, "text", text, bytes));
        OK(larder_builder_add_s(b, "z", "after"));
        struct larder_item *item = keep(finish());
        cr_assert_eq(!!(item_head(item)->flags & ITEM_WIDE), item_head(item)->bytes > 65535, "%u",
                     item_head(item)->bytes);
        struct item_head *h = store(&shape, item);
        cr_assert(is_text(get((struct larder_item *)h, "z"), "after"));
        free(h);
        free(item);
    }
}

/* ---- Projection ---------------------------------------------------------------------------------------------- */

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

Test(item, projects_to_what_a_builder_would_make) {
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
        larder_builder_reset(b);
        larder_iter_item(item, &it);
        while (larder_iter_next(&it, &member) == LARDER_OK)
            for (uint32_t k = 0; k < count; k++)
                if (names[k].len == member.name_bytes && !memcmp(names[k].at, member.name, member.name_bytes)) {
                    OK(larder_builder_add_member(b, &member));
                    break;
                }
        cr_assert(is_same(got, finish()), "item %d", i);
        free(got);
        free(h);
        free(item);
    }
}

/* Keys of 1 to 16 bytes by names of 1 to 8: where the image of all attributes is larger than what it came from. */
Test(item, projects_within_the_promised_bytes) {
    static const struct item_shape one_key = {.partition = {"abcdefgh", 8, LARDER_S}};
    for (uint32_t name_bytes = 1; name_bytes <= 8; name_bytes++) {
        for (size_t key_bytes = 1; key_bytes <= 16; key_bytes++) {
            struct item_shape to_shape = one_key;
            struct bytes name = {(const uint8_t *)"abcdefgh", name_bytes};
            to_shape.partition.name_bytes = name_bytes;
            larder_builder_reset(b);
            OK(larder_builder_name(b, "abcdefgh", name_bytes));
            OK(larder_builder_add_sn(b, NULL, "0123456789abcdef", key_bytes));
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

/* ---- Sanity -------------------------------------------------------------------------------------------------- */

static int is_canonical; /* what is used is sane, not only readable */

/* Uses everything that an image offers, as a reader would. */
static size_t read_all(struct larder_iter *it) {
    struct larder_member member;
    struct larder_iter inner;
    char text[LARDER_NUMBER_TEXT_MAX];
    size_t sum = 0;
    while (larder_iter_next(it, &member) == LARDER_OK) {
        for (size_t i = 0; i < member.name_bytes; i++)
            sum += (unsigned char)member.name[i];
        if (member.value.type < LARDER_M)
            for (size_t i = 0; i < member.value.bytes; i++)
                sum += ((const uint8_t *)member.value.data)[i];
        if (member.value.type == LARDER_N)
            cr_assert(larder_value_number(&member.value, text) == LARDER_OK || !is_canonical);
        larder_iter_value(&member.value, &inner);
        sum += read_all(&inner);
    }
    return sum;
}

/* Reads, stores and projects it; the address sanitizer watches. */
static size_t use(const struct item_head *h) {
    is_canonical = item_is_sane(h, h->bytes);
    const struct larder_item *item = (const struct larder_item *)h;
    struct larder_iter it;
    struct larder_value value;
    size_t sum = 0;
    larder_iter_item(item, &it);
    sum += read_all(&it);
    for (uint32_t i = 0; i < h->index_count; i++)
        sum += item_index_partition(h, i).len + item_index_sort(h, i).len;
    sum += larder_item_get(item, "PK", &value) == LARDER_OK;
    /* Damage may have made a key of it that this table refuses. */
    struct item_head *out = NULL;
    void *block = block_of(item_stored_bytes_max(&lenient_shape, item), 0xaa);
    if (item_to_stored(&lenient_shape, item, NOW_S, block, &out) == LARDER_OK)
        cr_assert(is_canonical ? item_is_sane(out, out->bytes) : item_is_readable(out, out->bytes));
    free(block);
    block = block_of(item_project_bytes_max(h), 0xaa);
    size_t bytes = item_project(h, &(struct bytes){(const uint8_t *)"PK", 2}, 1, block);
    cr_assert(bytes <= item_project_bytes_max(h) && (!is_canonical || item_is_sane(block, bytes)));
    free(block);
    return sum;
}

/* As a page has it: only the head was looked at. Walks and look-ups stay inside, whatever the records say, and what takes the item whole
 * refuses it if it cannot be read. */
static void use_unchecked(struct item_head *h) {
    static const char *const names[] = {"PK", "SK", "Shop", "Status", "At", "Blob"};
    const struct larder_item *item = (const struct larder_item *)h;
    struct larder_iter it;
    struct larder_member member;
    struct larder_value value;
    struct item_head *out = NULL;
    int is_readable = item_is_readable(h, h->bytes), r;
    uint32_t count = 0;
    size_t sum = 0;
    h->version = 1;
    is_canonical = 0;
    larder_iter_item(item, &it);
    read_all(&it);
    larder_iter_item(item, &it);
    while ((r = larder_iter_next(&it, &member)) == LARDER_OK)
        count++;
    cr_assert(r == LARDER_NOT_FOUND || (!is_readable && r == LARDER_E_CORRUPT && larder_error()[0]));
    cr_assert_eq(larder_iter_next(&it, &member), LARDER_NOT_FOUND, "the walk is over");
    cr_assert(!is_readable || count == h->attr_count);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        r = larder_item_get(item, names[i], &value);
        cr_assert(r == LARDER_OK || r == LARDER_NOT_FOUND || (!is_readable && r == LARDER_E_CORRUPT));
        for (size_t k = 0; r == LARDER_OK && value.type < LARDER_BOOL && k < value.bytes; k++)
            sum += ((const uint8_t *)value.data)[k];
    }
    for (uint32_t i = 0; i < h->index_count; i++) {
        struct bytes keys[] = {item_index_partition(h, i), item_index_sort(h, i)};
        for (int k = 0; k < 2; k++)
            for (size_t at = 0; at < keys[k].len; at++)
                sum += keys[k].at[at];
    }
    cr_assert(sum < SIZE_MAX);
    void *block = block_of(item_stored_bytes_max(&lenient_shape, item), 0xaa);
    r = item_to_stored(&lenient_shape, item, NOW_S, block, &out);
    cr_assert(is_readable || r == LARDER_E_CORRUPT || item_ddb_bytes(h) > LARDER_ITEM_BYTES_MAX);
    free(block);
}

/* An image with all types, keys, and slots in use. */
static struct item_head *everything_stored(void) {
    add_everything();
    OK(larder_builder_add_s(b, "PK", "partition"));
    OK(larder_builder_add_n(b, "SK", "17.5"));
    OK(larder_builder_add_s(b, "Shop", "shop"));
    OK(larder_builder_add_s(b, "Status", "NEW"));
    OK(larder_builder_add_n(b, "At", "5"));
    OK(larder_builder_add_b(b, "Blob", "\1", 1));
    return store(&shape, finish());
}

Test(item, is_not_sane_when_truncated) {
    struct item_head *h = everything_stored();
    for (uint32_t bytes = 0; bytes < h->bytes; bytes++) {
        struct item_head *cut = block_of(bytes, 0);
        memcpy(cut, h, bytes);
        cr_assert_not(item_is_sane(cut, bytes), "%u bytes", bytes);
        if (bytes >= sizeof *h && bytes % 8 == 0) { /* the same with a head that says so */
            cut->bytes = bytes;
            cr_assert_not(item_is_sane(cut, bytes), "%u bytes by the head", bytes);
        }
        free(cut);
    }
    cr_assert_not(item_is_sane((const uint8_t *)h + 4, h->bytes - 4));
    free(h);
}

static int use_if_head_is_sane(struct item_head *h, size_t bytes) {
    if (!item_head_is_sane(h, bytes))
        return 0;
    use_unchecked(h);
    return 1;
}

/* What still passes when damaged must be readable to the end, and what does not must be noticed. */
Test(item, survives_damage) {
    struct item_head *h = everything_stored();
    struct rng r;
    int passed = 0, unchecked = 0;
    rng_seed(&r, rng_test_seed("item_test damage"));
    for (uint32_t at = 0; at < h->bytes; at++) {
        for (int value = 0; value < 256; value++) {
            struct item_head *copy = block_of(h->bytes, 0);
            memcpy(copy, h, h->bytes);
            ((uint8_t *)copy)[at] = (uint8_t)value;
            cr_assert(!item_is_sane(copy, h->bytes) || item_is_readable(copy, h->bytes));
            if (item_is_readable(copy, h->bytes)) {
                passed++;
                if (((uint8_t *)h)[at] != value)
                    use(copy);
            }
            unchecked += use_if_head_is_sane(copy, h->bytes);
            free(copy);
        }
    }
    for (int round = 0; round < 200000; round++) {
        struct item_head *copy = block_of(h->bytes, 0);
        memcpy(copy, h, h->bytes);
        for (uint64_t k = 1 + rng_below(&r, 4); k > 0; k--)
            ((uint8_t *)copy)[rng_below(&r, h->bytes)] ^= (uint8_t)(1u << rng_below(&r, 8));
        cr_assert(!item_is_sane(copy, h->bytes) || item_is_readable(copy, h->bytes));
        if (item_is_readable(copy, h->bytes)) {
            passed++;
            use(copy);
        }
        unchecked += use_if_head_is_sane(copy, h->bytes);
        free(copy);
    }
    cr_assert_gt(passed, 1000);
    cr_assert_gt(unchecked, passed, "some have a head that is sane and records that are not");
    free(h);
}

/* A record without an end, and a directory that says the next begins at 0: the head's bytes are no record. */
Test(item, is_not_readable_when_a_record_begins_at_0) {
    char text[477] = "";
    larder_builder_reset(b);
    OK(larder_builder_add_null(b, "x"));
    OK(larder_builder_add_s(b, "y", memset(text, 'y', sizeof text - 1)));
    const struct item_head *h = item_head(finish());
    struct item_head *copy = block_of(h->bytes, 0);
    memcpy(copy, h, h->bytes);
    /* As a record, the head is one of a set with a name of two bytes and one string up to the image's end. */
    uint8_t *bytes = (uint8_t *)copy;
    cr_assert(h->bytes == 520 && bytes[0] == LARDER_SS && bytes[1] == 2);
    /* 514 bytes: 1 member, an S of 510 */
    memcpy(bytes + 4, "\x82\x04\x01\x01\xfe\x03", 6); // NOLINT(bugprone-not-null-terminated-result)
    copy->ddb_ttl = 0;
    cr_assert(item_is_readable(copy, h->bytes), "hash and version may be anything");
    uint16_t first;
    memcpy(&first, bytes + sizeof *h, sizeof first);
    memset(bytes + first, '@', h->bytes - first); /* no type, and text */
    memset(bytes + sizeof *h + sizeof first, 0, sizeof first);
    cr_assert_not(item_is_readable(copy, h->bytes));
    free(copy);
}

Test(item, is_not_sane_when_text_is_no_utf8) {
    for (int where = 0; where < 2; where++) { /* in a name, in a value */
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "nam\xc3\xa9", "v\xc3\xa9"));
        const struct item_head *h = item_head(finish());
        struct item_head *copy = block_of(h->bytes, 0);
        memcpy(copy, h, h->bytes);
        uint8_t *at = memchr(copy + 1, 0xc3, h->bytes - sizeof *h);
        for (int i = 0; i < where; i++)
            at = memchr(at + 1, 0xc3, (size_t)((uint8_t *)copy + h->bytes - at - 1));
        cr_assert(item_is_sane(copy, h->bytes));
        *at = 0xff;
        cr_assert_not(item_is_sane(copy, h->bytes));
        free(copy);
    }
}

/* One image for one item: offsets that need not be wide are not, even where they and the sizes agree. */
Test(item, is_not_sane_when_wider_than_needed) {
    larder_builder_reset(b);
    OK(larder_builder_add_null(b, "x"));
    const struct item_head *h = item_head(finish());
    struct item_head *wide = block_of(h->bytes + 8, 0);
    size_t records = sizeof *h + sizeof(uint16_t), record_bytes = 3;
    memcpy(wide, h, sizeof *h);
    wide->flags = ITEM_WIDE;
    memset(wide + 1, 0, h->bytes + 8 - sizeof *h);
    item_set_record_offset(wide, 0, (uint32_t)(sizeof *h + sizeof(uint32_t)));
    memcpy((uint8_t *)(wide + 1) + sizeof(uint32_t), (const uint8_t *)h + records, record_bytes);
    wide->bytes = (uint32_t)item_round8(sizeof *h + sizeof(uint32_t) + record_bytes);
    cr_assert(item_is_sane(h, h->bytes));
    cr_assert_not(item_is_sane(wide, wide->bytes));
    *wide = (struct item_head){.bytes = sizeof *wide};
    cr_assert(item_is_sane(wide, wide->bytes));
    wide->flags = ITEM_WIDE;
    cr_assert_not(item_is_sane(wide, wide->bytes));
    wide->flags = ITEM_TIMED;
    cr_assert_not(item_head_is_sane(wide, wide->bytes), "no room for its end");
    wide->bytes += (uint32_t)sizeof(struct item_timed);
    cr_assert(item_is_sane(wide, wide->bytes));
    cr_assert_not(item_head_is_sane(wide, wide->bytes - 8));
    free(wide);
}

/* Single faults, one for each thing that is checked. */
Test(item, is_not_sane_with) {
    struct item_head *h = everything_stored();
    struct item_head *copy = block_of(h->bytes, 0);
    uint16_t pk = (uint16_t)item_record_offset(h, item_find_attr(h, "PK", 2)),
             list = (uint16_t)item_record_offset(h, item_find_attr(h, "l", 1));
#define BREAK(change)                                                                                                  \
    do {                                                                                                               \
        memcpy(copy, h, h->bytes);                                                                                     \
        cr_assert(item_is_sane(copy, h->bytes));                                                                       \
        change;                                                                                                        \
        cr_assert_not(item_is_sane(copy, h->bytes), #change);                                                          \
    } while (0)
    BREAK(copy->bytes += 8);
    BREAK(copy->bytes -= 8);
    BREAK(copy->bytes -= 1);
    BREAK(copy->bytes = 0);
    BREAK(copy->bytes = UINT32_MAX);
    BREAK(copy->attr_count += 1);
    BREAK(copy->attr_count -= 1);
    BREAK(copy->attr_count = 0);
    BREAK(copy->attr_count = 65535);
    BREAK(copy->index_count += 1);
    BREAK(copy->index_count = 255);
    BREAK(copy->flags = ITEM_WIDE);
    BREAK(copy->flags ^= ITEM_TIMED);
    BREAK(copy->flags &= (uint8_t)~ITEM_WALKED);
    BREAK(copy->flags |= ITEM_WIDE);
    BREAK(copy->flags |= 8);
    BREAK(copy->partition_bytes = 0);
    BREAK(copy->partition_bytes = 65535);
    BREAK(copy->sort_bytes = 0);
    BREAK(copy->sort_bytes += 1);
    BREAK(copy->ddb_ttl += 1);
    BREAK(item_key_area(copy)[15] = 1);
    BREAK(item_index_slots(copy)[0].partition_attr = (uint16_t)copy->bytes);
    BREAK(item_index_slots(copy)[0].partition_attr = 0);
    BREAK(item_index_slots(copy)[0].partition_attr += 1);
    BREAK(item_index_slots(copy)[0].partition_attr = ITEM_NO_ATTR);
    BREAK(item_index_slots(copy)[0].partition_attr = list);
    BREAK(item_index_slots(copy)[0].sort_attr = (uint16_t)copy->bytes);
    BREAK(((uint8_t *)copy)[pk] ^= ITEM_IN_PARTITION_KEY);
    BREAK(((uint8_t *)copy)[pk] |= ITEM_IN_SORT_KEY);
    BREAK(((uint8_t *)copy)[pk] |= 0x80);
    BREAK(((uint8_t *)copy)[list] = LARDER_M);
    BREAK(((uint8_t *)copy)[list] |= ITEM_IN_PARTITION_KEY);
    free(copy);
    free(h);
}

/* PK, SK, three attributes of indexes, and others: `count` in all. */
static struct larder_item *item_of_attrs(uint32_t count) {
    char name[16];
    larder_builder_reset(b);
    OK(larder_builder_add_s(b, "PK", "SHOP#1"));
    OK(larder_builder_add_n(b, "SK", "17"));
    OK(larder_builder_add_s(b, "Shop", "a.example"));
    OK(larder_builder_add_s(b, "Status", "DONE"));
    OK(larder_builder_add_n(b, "At", "1764"));
    for (uint32_t i = 5; i < count; i++) {
        snprintf(name, sizeof name, "%c%u", "AZaz"[i % 4], i);
        OK(larder_builder_add_int(b, name, i));
    }
    return keep(finish());
}

/* In a table, and read from there. Builders and projections always make one. */
Test(item, has_no_directory_if_it_has_few_attributes) {
    for (uint32_t count = 5; count <= ITEM_WALKED_MAX + 6; count++) {
        struct larder_item *item = item_of_attrs(count);
        struct item_head *h = store(&shape, item), *again = store(&shape, (struct larder_item *)h);
        struct larder_iter it;
        struct larder_member member;
        struct larder_value value;
        cr_assert_eq(item_is_walked(h), count <= ITEM_WALKED_MAX, "%u", count);
        cr_assert(!item_is_walked(item_head(item)) && is_same((struct larder_item *)h, (struct larder_item *)again));
        cr_assert(reads_the_same(item, (struct larder_item *)h));
        for (larder_iter_item(item, &it); larder_iter_next(&it, &member) == LARDER_OK;) {
            OK(larder_item_getn((struct larder_item *)h, member.name, member.name_bytes, &value));
            cr_assert(value.type == member.value.type && value.bytes == member.value.bytes &&
                      memcmp(value.data, member.value.data, value.bytes) == 0);
        }
        cr_assert_eq(larder_item_get((struct larder_item *)h, "Shape", &value), LARDER_NOT_FOUND);
        cr_assert_eq(item_find_attr(h, "Statu", 5), ITEM_NO_ATTR);
        cr_assert(is_run(item_index_partition(h, 1), "a.example", 9) && item_index_sort(h, 1).len > 0);
        cr_assert(is_run(item_index_sort(h, 0), "DONE", 4) && item_index_partition(h, 2).at == NULL);
        free(again);
        free(h);
        free(item);
    }
}

/* The same bytes that building it anew gives, in and out of the directory, whether the number becomes longer or shorter. */
Test(item, has_a_number_added_as_if_it_was_built_so) {
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
        larder_builder_reset(b);
        OK(larder_builder_add_all(b, item, (const char *const[]){name}, 1));
        OK(larder_builder_add_int(b, name, sum));
        struct item_head *wanted = store(&shape, finish());
        cr_assert(is_same((struct larder_item *)wanted, (struct larder_item *)to), "%s, %u attributes, %lld", name,
                  count, (long long)by);
        free(wanted);
        free(to);
        free(from);
        free(item);
    }
}

Test(item, has_nothing_added_to_what_is_no_integer) {
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

/* More attributes than there are places for (struct item_places), every record of them whole. */
Test(item, is_not_readable_walked_with_too_many_attributes) {
    struct larder_item *item = item_of_attrs(ITEM_WALKED_MAX + 1);
    struct item_head *h = store(&shape, item), *copy = block_of(h->bytes, 0);
    size_t fixed = (size_t)(item_directory(h) - (const uint8_t *)h);
    const uint8_t *first = item_first_record(h), *end = item_walk(first, (uint8_t *)h + h->bytes, h->attr_count);
    memcpy(copy, h, fixed);
    memcpy((uint8_t *)copy + fixed, first, (size_t)(end - first));
    copy->flags = ITEM_WALKED;
    copy->bytes = (uint32_t)item_round8(fixed + (size_t)(end - first));
    cr_assert(item_head_is_sane(copy, copy->bytes));
    cr_assert_not(item_is_readable(copy, copy->bytes));
    cr_assert_not(item_is_sane(copy, copy->bytes));
    copy->version = 1;
    cr_assert_eq(item_check_records(copy), LARDER_E_CORRUPT);
    free(copy);
    free(h);
    free(item);
}

/* What is wrong with the directory of an image that has one. */
Test(item, is_not_sane_with_another_directory) {
    struct larder_item *item = item_of_attrs(ITEM_WALKED_MAX + 1);
    struct item_head *h = store(&shape, item), *copy = block_of(h->bytes, 0);
    uint16_t *offsets = (uint16_t *)((uint8_t *)copy + (item_directory(h) - (const uint8_t *)h));
    BREAK(offsets[3] += 1);
    cr_assert_not(item_is_readable(copy, copy->bytes));
    BREAK(offsets[h->attr_count - 1] = (uint16_t)h->bytes);
    BREAK(copy->flags |= ITEM_WALKED);
    BREAK(copy->flags |= ITEM_WIDE);
    BREAK(item_index_slots(copy)[0].partition_attr = copy->attr_count);
    free(copy);
    free(h);
    free(item);
}

/* A name of no bytes where the image ends: nobody looks for its first one. */
Test(item, has_no_name_without_bytes) {
    larder_builder_reset(b);
    OK(larder_builder_add_s(b, "aaaaaaa", ""));
    OK(larder_builder_add_null(b, "b"));
    const struct item_head *h = item_head(finish());
    cr_assert_eq(h->bytes, sizeof *h + 2 * sizeof(uint16_t) + 9 + 3);
    struct item_head *copy = block_of(h->bytes, 0);
    memcpy(copy, h, h->bytes);
    uint8_t *last = (uint8_t *)copy + h->bytes - 3;
    last[1] = last[2] = 0;
    larder_builder_reset(b);
    cr_assert_eq(larder_builder_add_all(b, (struct larder_item *)copy, (const char *const[]){"x"}, 1),
                 LARDER_E_CORRUPT);
    free(copy);
}

/* Bytes by hand that the builder would never make. */
Test(item, measures_no_container_that_is_not_one) {
    static const struct {
        enum larder_type type;
        uint32_t count;
        const char *bytes;
        size_t length;
    } rows[] = {
        {LARDER_L, 1, "", 0},
        {LARDER_L, 0, "\5", 1},
        {LARDER_L, 1, "\5\5", 2},
        {LARDER_L, UINT32_MAX, "\5", 1},
        {LARDER_L, 1, "\x15", 1},                   /* a key flag inside */
        {LARDER_L, 1, "\0", 1},                     /* no type */
        {LARDER_L, 1, "\x0b", 1},                   /* no such type */
        {LARDER_L, 1, "\4\2", 2},                   /* a BOOL of 2 */
        {LARDER_L, 1, "\3\x81\0x", 4},              /* a length in two bytes that fits one */
        {LARDER_L, 1, "\3\xff\xff\xff\xff\x0f", 6}, /* a length of more bits than any */
        {LARDER_L, 1, "\3\5x", 3},
        {LARDER_L, 1, "\x85x", 2},
        {LARDER_L, 1, "\1\1x", 3},       /* a tag that might say the length itself */
        {LARDER_L, 1, "\2\1\x80", 3},    /* the same */
        {LARDER_L, 1, "\x81\xff", 2},    /* no text */
        {LARDER_L, 1, "\x41\1", 2},      /* no number */
        {LARDER_L, 1, "\x40", 1},        /* the same */
        {LARDER_L, 1, "\7\2\0\5", 4},    /* an L longer than its members */
        {LARDER_M, 1, "\5\0", 2},        /* a name of 0 bytes */
        {LARDER_M, 2, "\5\1b\5\1a", 6},  /* names out of order */
        {LARDER_M, 2, "\5\1a\5\1a", 6},  /* a name twice */
        {LARDER_SS, 0, "", 0},           /* an empty set */
        {LARDER_SS, 1, "\3\1a", 3},      /* the wrong element */
        {LARDER_SS, 1, "\x41\x80", 2},   /* the same */
        {LARDER_SS, 1, "\x11", 1},       /* a key flag inside */
        {LARDER_SS, 2, "\201b\201a", 4}, /* out of order */
        {LARDER_SS, 2, "\201a\201a", 4}, /* twice */
        {LARDER_NS, 1, "\x42\x80\0", 3}, /* a zero that is no zero */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct larder_member member = {"a", 1, {.type = rows[i].type, .bytes = rows[i].length, .count = rows[i].count}};
        uint8_t *exact = block_of(rows[i].length, 0);
        memcpy(exact, rows[i].bytes, rows[i].length);
        member.value.data = exact;
        larder_builder_reset(b);
        cr_assert_eq(larder_builder_add_member(b, &member), LARDER_E_INVAL, "row %zu", i);
        free(exact);
    }
}

/* ---- Memory -------------------------------------------------------------------------------------------------- */

Test(item, gives_its_memory_back) {
    uint64_t before = priv_bytes(arena);
    struct larder_builder *mine = b;
    b = item_builder_new(arena);
    add_everything();
    finish();
    cr_assert_gt(priv_bytes(arena), before);
    larder_builder_free(b);
    larder_builder_free(NULL);
    b = mine;
    cr_assert_eq(priv_bytes(arena), before);
}
