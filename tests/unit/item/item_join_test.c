/* tests/unit/item/item_join_test.c - keys of several attributes as one run of bytes.
 *
 * Goal     Rules J1 to J4 of core/item/item_join.h, for values with every byte that is special. An
 *          image has the joined keys that its attributes say, in a walk and in a directory; it is
 *          sane, each of its readers finds them, and no reader of attributes sees them.
 * Method   Lists of random values over few bytes, joined and compared pair by pair.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/item/item_join.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_join, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

#define PARTS LARDER_KEY_ATTRIBUTES_MAX
#define PART_MAX 4u

struct list {
    uint32_t count;
    struct bytes part[PARTS];
    uint8_t text[PARTS][PART_MAX], joined[PARTS * 2 * (PART_MAX + 1)];
    size_t bytes;
};

/* The same number of values in each, as in one index. */
static void random_list(struct rng *r, struct list *l, uint32_t count) {
    static const uint8_t bytes[] = {0, 1, 2, 'a', 0xfe, 0xff};
    l->count = count;
    uint8_t *end = l->joined;
    for (uint32_t i = 0; i < count; i++) {
        l->part[i] = (struct bytes){l->text[i], 1 + (size_t)rng_below(r, PART_MAX)};
        for (size_t k = 0; k < l->part[i].len; k++)
            l->text[i][k] = bytes[rng_below(r, sizeof bytes)];
        uint8_t *start = end;
        if (i + 1 == count)
            end = item_put_bytes(end, l->part[i].at, l->part[i].len);
        else {
            end = item_join_put(end, l->part[i]);
            cr_assert_eq((size_t)(end - start), item_join_bytes(l->part[i]));
        }
    }
    l->bytes = (size_t)(end - l->joined);
}

static int sign(int order) {
    return (order > 0) - (order < 0);
}

static int compare_lists(const struct list *a, const struct list *b) {
    int order = 0;
    for (uint32_t i = 0; i < a->count && order == 0; i++)
        order = item_compare_bytes(a->part[i], b->part[i]);
    return sign(order);
}

Test(item_join, order_is_that_of_the_values_one_after_the_other) {
    struct rng r;
    rng_seed(&r, rng_test_seed("item join"));
    int equal = 0;
    for (int round = 0; round < 200000 / SLOW_FACTOR; round++) {
        struct list a, b;
        uint32_t count = 1 + (uint32_t)rng_below(&r, PARTS);
        random_list(&r, &a, count);
        random_list(&r, &b, count);
        if (rng_is_one_in(&r, 2)) { /* the same beginning */
            b = a;
            for (uint32_t i = 0; i < count; i++)
                b.part[i].at = b.text[i];
            b.text[count - 1][0] ^= (uint8_t)rng_below(&r, 2);
            b.joined[b.bytes - b.part[count - 1].len] = b.text[count - 1][0];
        }
        int joined = item_compare_bytes((struct bytes){a.joined, a.bytes}, (struct bytes){b.joined, b.bytes});
        cr_assert_eq(sign(joined), compare_lists(&a, &b));
        equal += joined == 0;
    }
    cr_assert_gt(equal, 0);
}

/* J4: a key of values that begin with p begins with the escaped p. */
Test(item_join, beginnings_stay_beginnings) {
    static const uint8_t text[] = {0, 1, 2, 1, 0, 'a'};
    uint8_t whole[20], part[20];
    item_join_put(whole, (struct bytes){text, sizeof text});
    for (size_t bytes = 0; bytes <= sizeof text; bytes++) {
        size_t joined = (size_t)(item_join_put(part, (struct bytes){text, bytes}) - part) - 1;
        cr_assert(memcmp(whole, part, joined) == 0);
    }
}

/* ---- In images ------------------------------------------------------------------------------- */

static const struct item_key_attr more[] = {{.name = "n", .name_bytes = 1, .type = LARDER_N},
                                            {.name = "b", .name_bytes = 1, .type = LARDER_B}};
static const struct item_index_shape joined_indexes[] = {
    {.name = "both",
     .partition = {.name = "s", .name_bytes = 1, .type = LARDER_S, .more_count = 1, .more = &more[0]},
     .sort = {.name = "n", .name_bytes = 1, .type = LARDER_N, .more_count = 1, .more = &more[1]}},
    {.name = "plain", .partition = {.name = "s", .name_bytes = 1, .type = LARDER_S}},
    {.name = "sorted",
     .partition = {.name = "b", .name_bytes = 1, .type = LARDER_B},
     .sort = {.name = "PK", .name_bytes = 2, .type = LARDER_S, .more_count = 1, .more = &more[1]}},
};
static const struct item_shape joined_shape = {.partition = {.name = "PK", .name_bytes = 2, .type = LARDER_S},
                                               .index_count = 3,
                                               .indexes = joined_indexes,
                                               .joined_count = 3};

static struct item_head *store_with(size_t text_bytes, uint32_t fillers, int has_b) {
    char name[24], text[2048];
    memset(text, 't', sizeof text);
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "PK", "key"));
    OK(larder_builder_add_sn(builder, "s", text, text_bytes));
    OK(larder_builder_add_n(builder, "n", "1"));
    if (has_b)
        OK(larder_builder_add_b(builder, "b", "\0\1", 2));
    for (uint32_t i = 0; i < fillers; i++) {
        snprintf(name, sizeof name, "filler%u", i);
        OK(larder_builder_add_int(builder, name, i));
    }
    const struct larder_item *item = finish();
    struct item_head *image, *to = block_of(item_stored_bytes_max(&joined_shape, item), 0x55);
    OK(item_to_stored(&joined_shape, item, NOW_S, to, &image));
    cr_assert_eq(image->attr_count, 3 + fillers + (has_b ? 1 : 0));
    cr_assert(item_is_sane(image, image->bytes) && item_is_readable(image, image->bytes));
    return image;
}

static void expect_keys(const struct item_head *h, size_t text_bytes) {
    char partition[2100];
    static const char sort[] = "\xc1\1\2\0\0\1"; /* 1 is c1 01 */
    static const char key[] = "key\0\0\1";
    memset(partition, 't', text_bytes);
    memcpy(partition + text_bytes, "\0\xc1\1", 3);
    struct item_peek peek;
    struct bytes a, b;
    cr_assert(item_peek_open(&peek, h, h->bytes));
    cr_assert(is_run(item_index_partition(h, 0), partition, text_bytes + 3));
    cr_assert(is_run(item_index_sort(h, 0), sort, sizeof sort - 1));
    cr_assert(item_peek_keys(&peek, 0, &a, &b));
    cr_assert(is_run(a, partition, text_bytes + 3) && is_run(b, sort, sizeof sort - 1));
    cr_assert(is_run(item_index_partition(h, 1), partition, text_bytes) && item_index_sort(h, 1).len == 0);
    cr_assert(item_peek_keys(&peek, 2, &a, &b) && is_run(a, "\0\1", 2) && is_run(b, key, sizeof key - 1));
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(item_slot_is_sane(h, i) && item_slot_is_true(h, i, &joined_indexes[i]));
}

Test(item_join, an_image_has_what_its_attributes_say) {
    static const size_t lengths[] = {1, 120, 127, 128, 2044};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (uint32_t fillers = 0; fillers < 60; fillers += 30) {
            struct item_head *h = store_with(lengths[i], fillers, 1);
            cr_assert_eq(item_is_walked(h), fillers == 0);
            expect_keys(h, lengths[i]);
            struct item_head *plain = block_of(h->bytes, 0);
            memcpy(plain, h, h->bytes);
            cr_assert(item_drop_joined(plain));
            cr_assert(!(plain->flags & ITEM_JOINED) && plain->bytes < h->bytes);
            free(plain);
            free(h);
        }
}

/* Sparse: an attribute is missing; and an entry in one index is none in another. */
Test(item_join, an_image_without_an_attribute_has_no_joined_key_of_it) {
    struct item_head *h = store_with(20, 0, 0);
    cr_assert(!(h->flags & ITEM_JOINED));
    cr_assert(item_index_slots(h)[0].kseq == 0 && item_index_slots(h)[1].kseq == 1 && item_index_slots(h)[2].kseq == 0);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(item_slot_is_true(h, i, &joined_indexes[i]));
    free(h);
}

/* Every changed byte of slots and joined keys is noticed. */
Test(item_join, a_damaged_joined_key_is_noticed) {
    for (uint32_t fillers = 0; fillers < 60; fillers += 30) {
        struct item_head *h = store_with(3, fillers, 1), *plain = block_of(h->bytes, 0), *copy = block_of(h->bytes, 0);
        memcpy(plain, h, h->bytes);
        cr_assert(item_drop_joined(plain));
        for (size_t at = plain->bytes; at < h->bytes; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                memcpy(copy, h, h->bytes);
                ((uint8_t *)copy)[at] ^= (uint8_t)(1u << bit);
                int is_true = item_is_sane(copy, copy->bytes);
                for (uint32_t i = 0; i < 3 && is_true; i++)
                    is_true = item_slot_is_true(copy, i, &joined_indexes[i]);
                cr_assert(!is_true, "byte %zu, bit %u", at, bit);
            }
        free(copy);
        free(plain);
        free(h);
    }
}
