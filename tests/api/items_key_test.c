/* tests/api/items_key_test.c - keys of every type and size.
 *
 * Goal     Keys that are the same number are the same key, keys that only look alike are not. The
 *          longest keys fit.
 * Method   Put under one form, read under another.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/api/items_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"

TestSuite(items_key, .timeout = 60 * SLOW_FACTOR);

Test(items_key, equal_numbers_are_one_key) {
    static const char *const same[] = {"1", "1.0", "1e0", "01", "+1", "100E-2", "0.1e1", "1.000000000000000000"};
    struct fixture f;
    begin(&f, LARDER_N, LARDER_N);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        put_small(&f, larder_num(same[i]), larder_num("-0"), (int)i);
        cr_assert_eq(item_count(&f), 1, "%s", same[i]);
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            cr_assert_eq(mark_of(&f, larder_num(same[k]), larder_num("0.0")), (int64_t)i);
    }
    put_small(&f, larder_num("-1"), larder_num("0"), 100);
    put_small(&f, larder_num("10"), larder_num("0"), 101);
    put_small(&f, larder_num("0.1"), larder_num("0"), 102);
    put_small(&f, larder_num("1.0000000000000000000000000000000000001"), larder_num("0"), 103);
    cr_assert_eq(item_count(&f), 5);
    /* A key as it was read serves as a key. */
    struct larder_key key = {larder_num("10"), larder_num("0")};
    EXPECT(larder_get(f.seen, &key, f.page), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f.page, 0), "pk", &key.partition), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f.page, 0), "sk", &key.sort), LARDER_OK);
    EXPECT(larder_delete(f.t, &key, NULL), LARDER_OK);
    cr_assert_eq(item_count(&f), 4);
    close_all(&f);
}

/* Keys that are alike to code that ignores a length, a zero or the border between the two. */
Test(items_key, keys_that_look_alike_are_different) {
    static const struct {
        const char *pk, *sk;
        size_t pk_bytes, sk_bytes;
    } keys[] = {
        {"ab", "c", 2, 1},       {"a", "bc", 1, 2},        {"abc", "a", 3, 1}, {"a", "b", 1, 1},
        {"a\0", "b", 2, 1},      {"a", "\0b", 1, 2},       {"a", "b\0", 1, 2}, {"\0", "\0", 1, 1},
        {"\0\0", "\0", 2, 1},    {"\0", "\0\0", 1, 2},     {"A", "b", 1, 1},   {"abcdefgh", "i", 8, 1},
        {"abcdefg", "hi", 7, 2}, {"abcdefghi", "j", 9, 1},
    };
    static const enum larder_type types[] = {LARDER_S, LARDER_B};
    const int count = sizeof keys / sizeof *keys;
    for (unsigned type = 0; type < 2; type++) {
        struct fixture f;
        begin(&f, types[type], types[type]);
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < count; i++) {
                struct larder_value pk = {.type = types[type], .data = keys[i].pk, .bytes = keys[i].pk_bytes};
                struct larder_value sk = {.type = types[type], .data = keys[i].sk, .bytes = keys[i].sk_bytes};
                if (pass == 0)
                    put_small(&f, pk, sk, i);
                else
                    cr_assert_eq(mark_of(&f, pk, sk), i);
            }
        cr_assert_eq(item_count(&f), (uint64_t)count);
        close_all(&f);
    }
}

/* Texts of a to z, one of them with a letter of two bytes, or with a byte that is not UTF-8, at
 * each place in turn. */
#define TEXT_BYTES_MAX 70

static struct larder_value text_of(char *to, int bytes, int at, const char *other) {
    for (int i = 0; i < bytes; i++)
        to[i] = (char)('a' + (i * 7 + bytes) % 26);
    for (int i = 0; at >= 0 && other[i]; i++)
        to[at + i] = other[i];
    return (struct larder_value){.type = LARDER_S, .data = to, .bytes = (size_t)bytes};
}

Test(items_key, text_keys_of_all_lengths) {
    struct fixture f;
    char pk_text[TEXT_BYTES_MAX], sk_text[TEXT_BYTES_MAX];
    begin(&f, LARDER_S, LARDER_S);
    for (int pass = 0; pass < 2; pass++)
        for (int bytes = 2; bytes <= TEXT_BYTES_MAX - 2; bytes++)
            for (int at = -1; at <= bytes - 2; at++) { /* -1: ASCII alone */
                struct larder_value pk = text_of(pk_text, bytes, at, "\xc3\xa9");
                struct larder_value sk = text_of(sk_text, TEXT_BYTES_MAX - bytes, bytes % 2 ? at % 2 : -1, "\xc3\xa9");
                if (pass == 0)
                    put_small(&f, pk, sk, bytes * 100 + at);
                else
                    cr_assert_eq(mark_of(&f, pk, sk), bytes * 100 + at, "%d bytes, other at %d", bytes, at);
            }
    close_all(&f);
}

Test(items_key, keys_that_are_no_text_are_refused) {
    struct fixture f;
    char pk_text[TEXT_BYTES_MAX], sk_text[TEXT_BYTES_MAX], words[40];
    begin(&f, LARDER_S, LARDER_S);
    for (int bytes = 1; bytes <= TEXT_BYTES_MAX; bytes++)
        for (int at = 0; at < bytes; at++)
            for (int is_sort = 0; is_sort < 2; is_sort++) {
                struct larder_key key = {text_of(pk_text, bytes, is_sort ? -1 : at, "\xff"),
                                         text_of(sk_text, bytes, is_sort ? at : -1, "\xff")};
                EXPECT(larder_get(f.seen, &key, f.page), LARDER_E_INVAL);
                snprintf(words, sizeof words, "from byte %d on", at);
                cr_assert(strstr(larder_error(), is_sort ? "sort key \"sk\"" : "partition key \"pk\"") &&
                              strstr(larder_error(), words),
                          "%s", larder_error());
            }
    close_all(&f);
}

Test(items_key, largest_keys) {
    static char pk[LARDER_PARTITION_KEY_BYTES_MAX], sk[LARDER_SORT_KEY_BYTES_MAX];
    struct fixture f;
    begin(&f, LARDER_B, LARDER_B);
    memset(pk, 0xff, sizeof pk);
    for (int i = 0; i < 200; i++) {
        pk[sizeof pk - 1] = (char)(i % 2);
        sk[sizeof sk - 1] = (char)i;
        put_small(&f, larder_bin(pk, sizeof pk), larder_bin(sk, sizeof sk), i);
    }
    for (int i = 0; i < 200; i++) {
        pk[sizeof pk - 1] = (char)(i % 2);
        sk[sizeof sk - 1] = (char)i;
        cr_assert_eq(mark_of(&f, larder_bin(pk, sizeof pk), larder_bin(sk, sizeof sk)), i);
    }
    cr_assert_eq(mark_of(&f, larder_bin(pk, sizeof pk - 1), larder_bin(sk, sizeof sk)), -1);
    close_all(&f);
}

Test(items_key, table_without_sort_key_ignores_one) {
    struct fixture f;
    begin(&f, LARDER_S, 0);
    put_small(&f, larder_str("p"), none, 1);
    cr_assert_eq(mark_of(&f, larder_str("p"), none), 1);
    cr_assert_eq(mark_of(&f, larder_str("p"), larder_str("anything")), 1);
    cr_assert_eq(mark_of(&f, larder_str("p"), larder_num("no number")), 1);
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "pk", "p");
    larder_builder_add_int(f.b, "sk", 5); /* an attribute like any other here */
    larder_builder_add_int(f.b, "mark", 2);
    EXPECT(larder_put(f.t, finish(&f), f.page2), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page2), 1);
    cr_assert_eq(item_count(&f), 1);
    close_all(&f);
}
