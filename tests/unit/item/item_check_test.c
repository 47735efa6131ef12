/* tests/unit/item/item_check_test.c - bytes that are not an item.
 *
 * Goal     item_is_sane() and item_is_readable() refuse everything that readers could not handle.
 *          An image that was not checked at all is read within its bounds.
 * Method   Every truncation, every byte changed, single fields set wrong. What passes is used in
 *          every possible way; the address sanitizer watches.
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

TestSuite(item_check, .timeout = 60 * SLOW_FACTOR, .init = set_up, .fini = tear_down);

static int is_canonical; /* the image is sane, not only readable */

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

/* As a page has it: only the head was looked at. Walks and look-ups stay inside, whatever the
 * records say, and a call that takes the whole item refuses it if it cannot be read. */
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
    OK(larder_builder_add_s(builder, "PK", "partition"));
    OK(larder_builder_add_n(builder, "SK", "17.5"));
    OK(larder_builder_add_s(builder, "Shop", "shop"));
    OK(larder_builder_add_s(builder, "Status", "NEW"));
    OK(larder_builder_add_n(builder, "At", "5"));
    OK(larder_builder_add_b(builder, "Blob", "\1", 1));
    return store(&shape, finish());
}

Test(item_check, is_not_sane_when_truncated) {
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

/* A damaged image that still passes must be readable to the end; other damage must be noticed. */
Test(item_check, survives_damage) {
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

/* A record without an end, and a directory that says the next one begins at 0: the bytes of the
 * head are not a record. */
Test(item_check, is_not_readable_when_a_record_begins_at_0) {
    char text[477] = "";
    larder_builder_reset(builder);
    OK(larder_builder_add_null(builder, "x"));
    OK(larder_builder_add_s(builder, "y", memset(text, 'y', sizeof text - 1)));
    const struct item_head *h = item_head(finish());
    struct item_head *copy = block_of(h->bytes, 0);
    memcpy(copy, h, h->bytes);
    /* As a record, the head is one of a set with a name of two bytes and one string up to the
     * image's end. */
    uint8_t *bytes = (uint8_t *)copy;
    cr_assert(h->bytes == 520 && bytes[0] == LARDER_SS && bytes[1] == 2);
    /* 514 bytes: 1 member, an S of 510 */
    memcpy(bytes + 4, "\x82\x04\x01\x01\xfe\x03", 6); // NOLINT(bugprone-not-null-terminated-result)
    copy->ddb_ttl = 0;
    cr_assert(item_is_readable(copy, h->bytes), "hash and version may be anything");
    uint16_t first;
    memcpy(&first, bytes + sizeof *h, sizeof first);
    memset(bytes + first, '@', h->bytes - first); /* not a type, and text */
    memset(bytes + sizeof *h + sizeof first, 0, sizeof first);
    cr_assert_not(item_is_readable(copy, h->bytes));
    free(copy);
}

Test(item_check, is_not_sane_when_text_is_no_utf8) {
    for (int where = 0; where < 2; where++) { /* in a name, in a value */
        larder_builder_reset(builder);
        OK(larder_builder_add_s(builder, "nam\xc3\xa9", "v\xc3\xa9"));
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

/* One image for one item: offsets that need not be wide are refused as wide, even where they and
 * the sizes agree. */
Test(item_check, is_not_sane_when_wider_than_needed) {
    larder_builder_reset(builder);
    OK(larder_builder_add_null(builder, "x"));
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
Test(item_check, is_not_sane_with) {
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

/* In a table, and read from there. Builders and projections always make a directory. */
Test(item_check, has_no_directory_if_it_has_few_attributes) {
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

/* More attributes than there are places (struct item_places), with whole records. */
Test(item_check, is_not_readable_walked_with_too_many_attributes) {
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
Test(item_check, is_not_sane_with_another_directory) {
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

/* A name of no bytes at the end of the image: its first byte must not be read. */
Test(item_check, has_no_name_without_bytes) {
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "aaaaaaa", ""));
    OK(larder_builder_add_null(builder, "b"));
    const struct item_head *h = item_head(finish());
    cr_assert_eq(h->bytes, sizeof *h + 2 * sizeof(uint16_t) + 9 + 3);
    struct item_head *copy = block_of(h->bytes, 0);
    memcpy(copy, h, h->bytes);
    uint8_t *last = (uint8_t *)copy + h->bytes - 3;
    last[1] = last[2] = 0;
    larder_builder_reset(builder);
    cr_assert_eq(larder_builder_add_all(builder, (struct larder_item *)copy, (const char *const[]){"x"}, 1),
                 LARDER_E_CORRUPT);
    free(copy);
}

/* Bytes by hand that the builder would never make. */
Test(item_check, measures_no_container_that_is_not_one) {
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
        {LARDER_L, 1, "\x81\xff", 2},    /* not text */
        {LARDER_L, 1, "\x41\1", 2},      /* not a number */
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
        {LARDER_NS, 1, "\x42\x80\0", 3}, /* a zero in another form */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct larder_member member = {"a", 1, {.type = rows[i].type, .bytes = rows[i].length, .count = rows[i].count}};
        uint8_t *exact = block_of(rows[i].length, 0);
        memcpy(exact, rows[i].bytes, rows[i].length);
        member.value.data = exact;
        larder_builder_reset(builder);
        cr_assert_eq(larder_builder_add_member(builder, &member), LARDER_E_INVAL, "row %zu", i);
        free(exact);
    }
}
