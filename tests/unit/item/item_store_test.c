/* tests/unit/item/item_store_test.c - images as a table stores them: keys, index slots, key
 * sequences, expiry.
 *
 * Goal     An item that fits a table's shape is stored with its keys, the slots of its indexes and
 *          its expiry. One that does not fit is refused. An overwritten item hands on the key
 *          sequences of keys that stay.
 * Method   A shape with three indexes and one without. Each image is read back as an item, and
 *          checked.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/item/item.h"
#include "core/item/item_records.h"
#include "core/item/num.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/item/item_kit.h"

TestSuite(item_store, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

/* ---- Keys and stored images ------------------------------------------------------------------ */

static int refuses(const struct item_shape *to_shape, const char *text) {
    const struct larder_item *item = finish();
    struct item_head *out = NULL;
    void *block = block_of(item_stored_bytes_max(to_shape, item), 0xaa);
    int result = item_to_stored(to_shape, item, NOW_S, block, &out);
    free(block);
    larder_builder_reset(builder);
    cr_assert_null(out);
    return result == LARDER_E_INVAL && strstr(larder_error(), text);
}

Test(item_store, stores_keys_slots_and_expiry) {
    uint8_t seventeen[NUM_BYTES_MAX];
    size_t number_bytes = num_encode_int64(17, seventeen);
    OK(larder_builder_add_s(builder, "PK", "SHOP#1"));
    OK(larder_builder_add_n(builder, "SK", "17"));
    OK(larder_builder_add_s(builder, "Shop", "a.example"));
    OK(larder_builder_add_s(builder, "Status", "DONE"));
    OK(larder_builder_add_b(builder, "Blob", "\0\1", 2));
    OK(larder_builder_add_int(builder, "ExpiresAt", NOW_S + 60));
    OK(larder_builder_add_s(builder, "other", "x"));
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

/* ---- Key sequences of an overwritten item ---------------------------------------------------- */

/* An item with keys in the three indexes of `shape`; status, at and blob may be NULL. */
static struct item_head *keyed(const char *status, const char *at, const char *blob, const char *other) {
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "PK", "SHOP#1"));
    OK(larder_builder_add_n(builder, "SK", "17"));
    OK(larder_builder_add_s(builder, "Shop", "a.example"));
    if (status)
        OK(larder_builder_add_s(builder, "Status", status));
    if (at)
        OK(larder_builder_add_n(builder, "At", at));
    if (blob)
        OK(larder_builder_add_b(builder, "Blob", blob, strlen(blob)));
    if (other)
        /* before all of them, so that they move */
        OK(larder_builder_add_s(builder, "Another", other));
    struct larder_item *item = keep(finish());
    struct item_head *h = store(&shape, item);
    free(item);
    return h;
}

/* The key sequences that `image` takes from an old one with 11, 12 and 13 where it is in an index;
 * 99 is fresh. */
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

Test(item_store, keeps_key_sequences_of_keys_that_stay) {
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

/* An index key that is the table's key, too, is in the key area: equal records say nothing about
 * it. */
Test(item_store, compares_index_keys_that_are_primary_keys) {
    static const struct item_index_shape by_pk[] = {{.name = "byPk", .partition = {"PK", 2, LARDER_S}}};
    static const struct item_shape pk_shape = {.partition = {"PK", 2, LARDER_S}, .index_count = 1, .indexes = by_pk};
    struct item_head *h[2];
    for (int i = 0; i < 2; i++) {
        larder_builder_reset(builder);
        OK(larder_builder_add_s(builder, "PK", i ? "two" : "one"));
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

/* Any byte of the old item may be any other: nothing is read outside of it, and a slot gets the old
 * sequence or a fresh one. */
Test(item_store, takes_key_sequences_of_damaged_items) {
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

Test(item_store, stores_what_came_out_of_any_table) {
    struct rng r;
    rng_seed(&r, rng_test_seed("item_test stores"));
    for (int i = 0; i < 1000; i++) {
        struct larder_item *item = random_item(&r);
        struct item_head *h = store(&shape, item);
        cr_assert(reads_the_same(item, (struct larder_item *)h));
        struct item_head *again = store(&shape, (struct larder_item *)h);
        cr_assert(is_same((struct larder_item *)h, (struct larder_item *)again));
        free(again);
        /* A table whose partition key is the old sort key; all else is an ordinary attribute. */
        const struct item_shape other = {.partition = {"SK", 2, LARDER_N}};
        struct item_head *moved = store(&other, (struct larder_item *)h), *direct = store(&other, item);
        cr_assert(is_same((struct larder_item *)moved, (struct larder_item *)direct));
        free(moved);
        free(direct);
        free(h);
        free(item);
    }
}

Test(item_store, refuses_keys_that_a_table_cannot_have) {
    static char text[LARDER_PARTITION_KEY_BYTES_MAX + 2];
    memset(text, 'k', sizeof text - 1);
    OK(larder_builder_add_n(builder, "SK", "1"));
    cr_assert(refuses(&shape, "\"PK\""), "%s", larder_error());
    OK(larder_builder_add_s(builder, "PK", "a"));
    cr_assert(refuses(&shape, "\"SK\""), "%s", larder_error());
    OK(larder_builder_add_s(builder, "PK", ""));
    OK(larder_builder_add_n(builder, "SK", "1"));
    cr_assert(refuses(&shape, "0 bytes"), "%s", larder_error());
    OK(larder_builder_add_s(builder, "PK", "a"));
    OK(larder_builder_add_s(builder, "SK", "1"));
    cr_assert(refuses(&shape, "type S; N"), "%s", larder_error());
    OK(larder_builder_add_null(builder, "PK"));
    OK(larder_builder_add_n(builder, "SK", "1"));
    cr_assert(refuses(&shape, "type NULL; S"), "%s", larder_error());
    OK(larder_builder_add_sn(builder, "PK", text, LARDER_PARTITION_KEY_BYTES_MAX + 1));
    OK(larder_builder_add_n(builder, "SK", "1"));
    cr_assert(refuses(&shape, "2049"), "%s", larder_error());
    OK(larder_builder_add_sn(builder, "PK", text, LARDER_PARTITION_KEY_BYTES_MAX));
    OK(larder_builder_add_n(builder, "SK", "1"));
    free(store(&shape, finish()));
    /* Index keys: an attribute must fit, even if the item would not be in the index. */
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
        larder_builder_reset(builder);
        OK(larder_builder_add_s(builder, "PK", "a"));
        OK(larder_builder_add_n(builder, "SK", "1"));
        OK(larder_builder_add(builder, rows[i].name, &rows[i].value));
        struct item_head *h = store(&lenient_shape, finish());
        cr_assert(item_index_slots(h)[0].kseq == 0 && item_index_slots(h)[1].kseq == 0);
        free(h);
        cr_assert(refuses(&shape, rows[i].text), "row %zu: %s", i, larder_error());
    }
}

Test(item_store, refuses_keys_that_a_caller_cannot_mean) {
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

Test(item_store, reads_expiry_by_the_ttl_attribute) {
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
        larder_builder_reset(builder);
        OK(larder_builder_add_n(builder, "ExpiresAt", rows[i].number));
        cr_assert_eq(item_ttl_of(item_head(finish()), "ExpiresAt", 9, NOW_S), rows[i].expiry, "%s", rows[i].number);
    }
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "ExpiresAt", "1764000060"));
    cr_assert_eq(item_ttl_of(item_head(finish()), "ExpiresAt", 9, NOW_S), 0, "text is no time");
    cr_assert_eq(item_ttl_of(item_head(finish()), "absent", 6, NOW_S), 0);
}

/* Offsets go from u16 to u32 by the bytes that a table adds. */
Test(item_store, becomes_wide_when_stored) {
    static char text[65536];
    memset(text, 'x', sizeof text);
    for (size_t bytes = 65300; bytes < 65536; bytes++) {
        larder_builder_reset(builder);
        OK(larder_builder_add_s(builder, "PK", "p"));
        OK(larder_builder_add_n(builder, "SK", "1"));
        OK(larder_builder_add_sn(builder, "text", text, bytes));
        OK(larder_builder_add_s(builder, "z", "after"));
        struct larder_item *item = keep(finish());
        cr_assert_eq(!!(item_head(item)->flags & ITEM_WIDE), item_head(item)->bytes > 65535, "%u",
                     item_head(item)->bytes);
        struct item_head *h = store(&shape, item);
        cr_assert(is_text(get((struct larder_item *)h, "z"), "after"));
        free(h);
        free(item);
    }
}
