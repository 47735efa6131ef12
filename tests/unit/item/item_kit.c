/* tests/unit/item/item_kit.c - see item_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "core/item/item.h"
#include "core/item/item_records.h"
#include "larder.h"
#include "tests/support/rng.h"
#include "tests/unit/item/item_kit.h"

struct priv *arena;
struct larder_builder *builder;

void set_up(void) {
    arena = priv_new();
    cr_assert_not_null(arena);
    builder = item_builder_new(arena, LARDER_ITEM_BYTES_MAX);
    cr_assert_not_null(builder);
}

void tear_down(void) {
    larder_builder_free(builder);
    priv_destroy(arena);
}

void *block_of(size_t bytes, int fill) {
    void *block = malloc(bytes ? bytes : 1);
    cr_assert_not_null(block);
    memset(block, fill, bytes);
    return block;
}

const struct larder_item *finish(void) {
    const struct larder_item *item = NULL;
    OK(larder_builder_finish(builder, &item));
    cr_assert(item_is_sane(item, item_head(item)->bytes));
    return item;
}

struct larder_item *keep(const struct larder_item *item) {
    struct larder_item *copy = block_of(item_head(item)->bytes, 0);
    memcpy(copy, item, item_head(item)->bytes);
    return copy;
}

int is_same(const struct larder_item *left, const struct larder_item *right) {
    return item_head(left)->bytes == item_head(right)->bytes && !memcmp(left, right, item_head(left)->bytes);
}

struct larder_value get(const struct larder_item *item, const char *name) {
    struct larder_value value = {.type = LARDER_NULL};
    OK(larder_item_get(item, name, &value));
    return value;
}

int is_bytes(struct larder_value value, enum larder_type type, const void *data, size_t bytes) {
    return value.type == type && value.bytes == bytes && (!bytes || !memcmp(value.data, data, bytes));
}

int is_text(struct larder_value value, const char *text) {
    return is_bytes(value, LARDER_S, text, strlen(text));
}

int is_number(struct larder_value value, const char *expected) {
    char text[LARDER_NUMBER_TEXT_MAX];
    return larder_value_number(&value, text) == LARDER_OK && !strcmp(text, expected);
}

void add_everything(void) {
    static const uint8_t binary[] = {0, 1, 0xff};
    OK(larder_builder_add_s(builder, "s", "text"));
    OK(larder_builder_add_s(builder, "empty", ""));
    OK(larder_builder_add_n(builder, "n", "-12.50"));
    OK(larder_builder_add_int(builder, "int", 1764000000));
    OK(larder_builder_add_b(builder, "b", binary, sizeof binary));
    OK(larder_builder_add_b(builder, "empty binary", NULL, 0));
    OK(larder_builder_add_bool(builder, "yes", 7));
    OK(larder_builder_add_bool(builder, "no", 0));
    OK(larder_builder_add_null(builder, "null"));
    OK(larder_builder_begin(builder, "m", LARDER_M));
    OK(larder_builder_add_s(builder, "z", "last"));
    OK(larder_builder_add_n(builder, "a", "1"));
    OK(larder_builder_begin(builder, "inner", LARDER_L));
    OK(larder_builder_add_s(builder, NULL, "in a list in a map"));
    OK(larder_builder_end(builder));
    OK(larder_builder_end(builder));
    OK(larder_builder_begin(builder, "l", LARDER_L));
    OK(larder_builder_add_bool(builder, NULL, 1));
    OK(larder_builder_add_null(builder, NULL));
    OK(larder_builder_begin(builder, NULL, LARDER_M));
    OK(larder_builder_end(builder));
    OK(larder_builder_add_n(builder, NULL, "3"));
    OK(larder_builder_end(builder));
    OK(larder_builder_begin(builder, "empty list", LARDER_L));
    OK(larder_builder_end(builder));
    OK(larder_builder_begin(builder, "ss", LARDER_SS));
    OK(larder_builder_add_s(builder, NULL, "pear"));
    OK(larder_builder_add_s(builder, NULL, ""));
    OK(larder_builder_add_s(builder, NULL, "apple"));
    OK(larder_builder_end(builder));
    OK(larder_builder_begin(builder, "ns", LARDER_NS));
    OK(larder_builder_add_n(builder, NULL, "10"));
    OK(larder_builder_add_n(builder, NULL, "-2"));
    OK(larder_builder_add_n(builder, NULL, "9"));
    OK(larder_builder_end(builder));
    OK(larder_builder_begin(builder, "bs", LARDER_BS));
    OK(larder_builder_add_b(builder, NULL, binary, 2));
    OK(larder_builder_add_b(builder, NULL, binary, 1));
    OK(larder_builder_end(builder));
}

void describe_members(struct larder_iter *it, char *to, size_t bytes) {
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

void describe(struct larder_value value, char *to, size_t bytes) {
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

static void add_random(struct rng *r, const char *name, int depth);

static void add_random_scalar(struct rng *r, const char *name, enum larder_type type) {
    char text[24];
    size_t bytes = (size_t)snprintf(text, sizeof text, "%d", (int)rng_below(r, 2000000) - 1000000);
    if (type == LARDER_S)
        OK(larder_builder_add_sn(builder, name, text, rng_below(r, bytes + 1)));
    else if (type == LARDER_N)
        OK(larder_builder_add_n(builder, name, text));
    else if (type == LARDER_B)
        OK(larder_builder_add_b(builder, name, text, rng_below(r, bytes + 1)));
    else if (type == LARDER_BOOL)
        OK(larder_builder_add_bool(builder, name, (int)rng_below(r, 2)));
    else
        OK(larder_builder_add_null(builder, name));
}

static void add_random_set(struct rng *r, const char *name, enum larder_type type) {
    OK(larder_builder_begin(builder, name, type));
    for (int64_t i = 1 + (int64_t)rng_below(r, 4); i > 0; i--) {
        char text[24];
        size_t bytes = (size_t)snprintf(text, sizeof text, "%d.%d", (int)rng_below(r, 99) + 1, (int)i);
        if (type == LARDER_SS)
            OK(larder_builder_add_sn(builder, NULL, text, bytes));
        else if (type == LARDER_NS)
            OK(larder_builder_add_n(builder, NULL, text));
        else
            OK(larder_builder_add_b(builder, NULL, text, bytes));
    }
    OK(larder_builder_end(builder));
}

static void add_random(struct rng *r, const char *name, int depth) {
    enum larder_type type = (enum larder_type)(1 + rng_below(r, 10));
    if (type >= LARDER_SS) {
        add_random_set(r, name, type);
    } else if (type < LARDER_M || depth > 4) {
        add_random_scalar(r, name, type < LARDER_M ? type : LARDER_S);
    } else {
        OK(larder_builder_begin(builder, name, type));
        uint64_t count = rng_below(r, 5), step = 1 + rng_below(r, 4);
        for (uint64_t i = 0; i < count; i++) {
            char member[8];
            snprintf(member, sizeof member, "%d", (int)((i * step) % 5 + i / 5));
            if (type == LARDER_M)
                OK(larder_builder_name(builder, member, strlen(member)));
            add_random(r, NULL, depth + 1);
        }
        OK(larder_builder_end(builder));
    }
}

struct larder_item *random_item(struct rng *r) {
    uint64_t count = 1 + rng_below(r, 20);
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "PK", "partition"));
    OK(larder_builder_add_n(builder, "SK", "17"));
    for (uint64_t i = 0; i < count; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", (int)((i * 7) % 23));
        add_random(r, name, 0);
    }
    return keep(finish());
}

static const struct item_index_shape index_shapes[] = {
    {.name = "byStatus", .partition = {"Shop", 4, LARDER_S}, .sort = {"Status", 6, LARDER_S}},
    {.name = "byTime", .partition = {"Shop", 4, LARDER_S}, .sort = {"At", 2, LARDER_N}},
    {.name = "byBlob", .partition = {"Blob", 4, LARDER_B}},
};
static const struct item_index_shape lenient_shapes[] = {
    {.name = "byStatus", .partition = {"Shop", 4, LARDER_S}, .sort = {"Status", 6, LARDER_S}, .is_lenient = 1},
    {.name = "byTime", .partition = {"Shop", 4, LARDER_S}, .sort = {"At", 2, LARDER_N}, .is_lenient = 1},
};
const struct item_shape shape = {.partition = {"PK", 2, LARDER_S},
                                 .sort = {"SK", 2, LARDER_N},
                                 .index_count = 3,
                                 .indexes = index_shapes,
                                 .ttl_name = "ExpiresAt",
                                 .ttl_name_bytes = 9};
const struct item_shape lenient_shape = {
    .partition = {"PK", 2, LARDER_S}, .sort = {"SK", 2, LARDER_N}, .index_count = 2, .indexes = lenient_shapes};
const struct item_shape hash_shape = {.partition = {"id", 2, LARDER_B}};

void check_near(const struct item_shape *to_shape, const struct larder_item *item, const void *image) {
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

struct item_head *store(const struct item_shape *to_shape, const struct larder_item *item) {
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

int is_run(struct bytes run, const void *data, size_t bytes) {
    return run.len == bytes && !memcmp(run.at, data, bytes);
}

int reads_the_same(const struct larder_item *left, const struct larder_item *right) {
    static char left_text[65536], right_text[65536];
    struct larder_iter it;
    left_text[0] = right_text[0] = 0;
    larder_iter_item(left, &it);
    describe_members(&it, left_text, sizeof left_text);
    larder_iter_item(right, &it);
    describe_members(&it, right_text, sizeof right_text);
    return !strcmp(left_text, right_text);
}

struct larder_item *item_of_attrs(uint32_t count) {
    char name[16];
    larder_builder_reset(builder);
    OK(larder_builder_add_s(builder, "PK", "SHOP#1"));
    OK(larder_builder_add_n(builder, "SK", "17"));
    OK(larder_builder_add_s(builder, "Shop", "a.example"));
    OK(larder_builder_add_s(builder, "Status", "DONE"));
    OK(larder_builder_add_n(builder, "At", "1764"));
    for (uint32_t i = 5; i < count; i++) {
        snprintf(name, sizeof name, "%c%u", "AZaz"[i % 4], i);
        OK(larder_builder_add_int(builder, name, i));
    }
    return keep(finish());
}
