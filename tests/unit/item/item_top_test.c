/* tests/unit/item/item_top_test.c - what the builder remembers of earlier items.
 *
 * Goal     Rules O1 and O2 of core/item/item_top.c: an item's bytes depend on its own attributes
 *          alone, whatever the builder built before; and what is wrong is refused all the same.
 * Method   One builder makes items of a few kinds in random turns. A fresh builder, which remembers
 *          nothing, makes each of them in another order, every name given by larder_builder_name().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/item/item_kit.h"

TestSuite(item_top, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

#define KINDS 5u
#define ATTRS_MAX 40u

/* Names of all lengths around the limits, listed and not, with equal beginnings and ends. */
static const char *const names[] = {"PK",
                                    "SK",
                                    "n",
                                    "m",
                                    "ab",
                                    "ba",
                                    "abc",
                                    "acb",
                                    "data",
                                    "date",
                                    "name",
                                    "owner",
                                    "own2r",
                                    "GSI1PK",
                                    "GSI1SK",
                                    "GSI2PK",
                                    "status",
                                    "version",
                                    "tenantId",
                                    "tenantIe",
                                    "createdAt",
                                    "created_at",
                                    "expires_at",
                                    "abcdefghijk",
                                    "abcdefghijkl",
                                    "abcdefgXijklmnop",
                                    "abcdefghijklmnop",
                                    "abcdefghijklmnopq",
                                    "abcdefghijklmnopr",
                                    "\xc3\xa4",
                                    "\xe2\x82\xac uro",
                                    "a name of some thirty bytes or so",
                                    "x1",
                                    "x2",
                                    "x3",
                                    "x4",
                                    "x5",
                                    "x6",
                                    "x7",
                                    "x8"};
#define NAMES (sizeof names / sizeof *names)

struct kind {
    unsigned count;
    const char *name[ATTRS_MAX];
    unsigned type[ATTRS_MAX];
};

static void draw_kind(struct rng *r, struct kind *k) {
    unsigned char is_used[NAMES] = {0};
    k->count = (unsigned)rng_below(r, rng_is_one_in(r, 4) ? ATTRS_MAX : 14);
    for (unsigned i = 0; i < k->count; i++) {
        unsigned n;
        do
            n = (unsigned)rng_below(r, NAMES);
        while (is_used[n]++);
        k->name[i] = names[n];
        k->type[i] = (unsigned)rng_below(r, 8);
    }
}

/* Adds a value that follows from the seed. name NULL: it was given. */
static void add(const char *name, unsigned type, uint64_t seed) {
    static const unsigned char text[400];
    char short_text[64];
    size_t bytes = seed % 70;
    memset(short_text, 'a' + (int)(seed % 26), sizeof short_text);
    switch (type) {
    case 0:
        OK(larder_builder_add_int(builder, name, (int64_t)seed));
        break;
    case 1:
        OK(larder_builder_add_bool(builder, name, (int)(seed & 1)));
        break;
    case 2:
        OK(larder_builder_add_null(builder, name));
        break;
    case 3:
        OK(larder_builder_begin(builder, name, LARDER_L));
        OK(larder_builder_add_int(builder, NULL, (int64_t)seed));
        OK(larder_builder_end(builder));
        break;
    case 4:
        OK(larder_builder_begin(builder, name, LARDER_M));
        OK(larder_builder_add_s(builder, "z", "inner"));
        OK(larder_builder_add_s(builder, "PK", "inner"));
        OK(larder_builder_end(builder));
        break;
    case 5:
        OK(larder_builder_add_b(builder, name, text, seed % sizeof text));
        break;
    default:
        OK(larder_builder_add_sn(builder, name, short_text, bytes < sizeof short_text ? bytes : sizeof short_text));
    }
}

/* The attributes from the last to the first, by a builder that remembers nothing. */
static struct larder_item *build_afresh(const struct kind *k, uint64_t seed) {
    struct larder_builder *mine = builder;
    builder = item_builder_new(arena, LARDER_ITEM_BYTES_MAX);
    for (unsigned i = k->count; i-- > 0;) {
        OK(larder_builder_name(builder, k->name[i], strlen(k->name[i])));
        add(NULL, k->type[i], seed + i);
    }
    struct larder_item *item = keep(finish());
    larder_builder_free(builder);
    builder = mine;
    return item;
}

/* A kind that is nearly another: one name differs, or two have changed places. */
static void vary(struct rng *r, struct kind *k) {
    unsigned i = (unsigned)rng_below(r, k->count), other = (unsigned)rng_below(r, k->count);
    const char *name = k->name[i];
    k->name[i] = k->name[other];
    k->name[other] = name;
    if (rng_is_one_in(r, 2))
        k->type[i] = (unsigned)rng_below(r, 8);
}

Test(item_top, builds_what_a_fresh_builder_builds) {
    struct rng r;
    struct kind kinds[KINDS];
    rng_seed(&r, rng_test_seed("item_top kinds"));
    for (unsigned i = 0; i < KINDS; i++)
        draw_kind(&r, &kinds[i]);
    for (int turn = 0; turn < 3000; turn++) {
        struct kind *k = &kinds[rng_below(&r, KINDS)];
        if (rng_is_one_in(&r, 20))
            draw_kind(&r, k);
        else if (k->count > 1 && rng_is_one_in(&r, 10))
            vary(&r, k);
        uint64_t repeats = 1 + rng_below(&r, 4), split = rng_below(&r, k->count + 1);
        for (uint64_t again = 0; again < repeats; again++) {
            uint64_t seed = rng_next(&r) / 2;
            struct larder_item *expected = build_afresh(k, seed);
            larder_builder_reset(builder);
            for (unsigned i = 0; i < k->count; i++) {
                if (i == split && again == 1)
                    finish(); /* and then add the rest */
                add(k->name[i], k->type[i], seed + i);
            }
            cr_assert(is_same(expected, finish()), "turn %d", turn);
            cr_assert(is_same(expected, finish()), "finished again, turn %d", turn);
            free(expected);
        }
    }
}

/* The same names in the same order, again and again, but one of them twice. */
Test(item_top, refuses_a_name_that_is_given_twice) {
    for (int turn = 0; turn < 4; turn++) {
        const struct larder_item *item;
        larder_builder_reset(builder);
        OK(larder_builder_add_s(builder, "b", "1"));
        OK(larder_builder_add_s(builder, "a", "2"));
        OK(larder_builder_add_s(builder, turn == 1 ? "c" : "b", "3"));
        cr_assert_eq(larder_builder_finish(builder, &item), turn == 1 ? LARDER_OK : LARDER_E_INVAL);
        cr_assert(turn == 1 || strstr(larder_error(), "\"b\" is given twice"), "%s", larder_error());
    }
}

/* A remembered name is valid; one that differs in a byte is looked at. */
Test(item_top, refuses_bad_names_and_values_after_good_ones) {
    static const struct {
        const char *name, *text;
        const char *says;
    } bad[] = {{"abcdefgh\xff", "x", "is not valid UTF-8"},
               {"", "x", "has 0 bytes"},
               {"abcdefghi", "\xff", "the value is not valid UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int turn = 0; turn < 2; turn++) {
            larder_builder_reset(builder);
            OK(larder_builder_add_s(builder, "abcdefghi", "x"));
        }
        larder_builder_reset(builder);
        cr_assert_eq(larder_builder_add_sn(builder, bad[i].name, bad[i].text, 1), LARDER_E_INVAL);
        cr_assert(strstr(larder_error(), bad[i].says), "%s", larder_error());
        cr_assert_eq(larder_builder_add_sn(builder, "good", "x", 1), LARDER_E_INVAL, "the first failure stays");
        cr_assert(strstr(larder_error(), bad[i].says), "%s", larder_error());
    }
    larder_builder_reset(builder);
    cr_assert_eq(larder_builder_add_sn(NULL, "a", "x", 1), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "larder_builder_add_sn"), "%s", larder_error());
    cr_assert_eq(larder_builder_add_sn(builder, "a", NULL, 1), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "larder_builder_add_sn"), "%s", larder_error());
}

/* The limit of an item counts for remembered names, too. */
Test(item_top, refuses_what_is_too_large) {
    size_t most = LARDER_ITEM_BYTES_MAX - 4;
    char *text = calloc(1, most);
    memset(text, 'x', most);
    for (int turn = 0; turn < 3; turn++) {
        larder_builder_reset(builder);
        OK(larder_builder_add_sn(builder, "b", text, most - 1));
        OK(larder_builder_add_sn(builder, "a", text, 1));
        OK(larder_builder_add_sn(builder, "c", text, 1));
        cr_assert_eq(larder_item_size(finish()), LARDER_ITEM_BYTES_MAX);
        cr_assert_eq(larder_builder_add_sn(builder, "d", text, 1), LARDER_E_INVAL);
    }
    free(text);
}
