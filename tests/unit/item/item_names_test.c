/* tests/unit/item/item_names_test.c - attribute names that take one byte.
 *
 * Goal     Each name of the list is found by its text and read back by its byte, and no other text
 *          is. An image has them as one byte, also within maps, and no other form is sane. A name
 *          that is not in the list has its length and bytes, however long.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/item/item_records.h"
#include "tests/support/testseg.h"

TestSuite(item_names, .timeout = 30);

Test(item_names, are_found_and_read_back) {
    for (uint32_t i = 0; i < ITEM_NAMES_COUNT; i++) {
        const struct item_name *name = &item_names[i];
        uint8_t byte = item_name_byte(name->text, name->bytes);
        cr_assert_eq(byte, ITEM_NAME_LISTED + i, "%s", name->text);
        cr_assert_eq(strlen(name->text), name->bytes, "%s", name->text);
        struct bytes read = item_listed_name(byte);
        cr_assert(read.len == name->bytes && memcmp(read.at, name->text, read.len) == 0);
    }
    for (uint32_t i = ITEM_NAMES_COUNT; i < ITEM_NAME_LISTED; i++)
        cr_assert_eq(item_listed_name((uint8_t)(ITEM_NAME_LISTED + i)).len, 0);
}

/* A byte more, less or changed is another name. That may be in the list, too, with its own byte. */
Test(item_names, nothing_else_is_found) {
    for (uint32_t i = 0; i < ITEM_NAMES_COUNT; i++) {
        char name[ITEM_NAME_TEXT_MAX + 2];
        size_t bytes = item_names[i].bytes;
        memcpy(name, item_names[i].text, bytes);
        for (unsigned last = 0; last < 256; last++)
            for (size_t at = bytes - 1; at <= bytes; at++) {
                name[at] = (char)last;
                uint8_t byte = item_name_byte(name, at + 1);
                struct bytes read = item_listed_name(byte);
                cr_assert(byte == 0 || (read.len == at + 1 && memcmp(read.at, name, read.len) == 0));
                name[bytes - 1] = item_names[i].text[bytes - 1];
            }
        cr_assert_eq(item_name_byte(name, bytes), ITEM_NAME_LISTED + i);
    }
    cr_assert_eq(item_name_byte("", 0), 0);
    cr_assert_eq(item_name_byte("pk\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17), 0);
    char longest[256 + 3] = "PK";
    cr_assert_eq(item_name_byte(longest, 256 + 2), 0, "a length modulo 256 is none");
}

static const struct item_head *built(struct larder_builder *b) {
    const struct larder_item *item;
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK, "%s", larder_error());
    return item_head(item);
}

/* Bytes of the record that holds NULL under this name. */
static size_t null_record_bytes(struct larder_builder *b, const char *name) {
    larder_builder_reset(b);
    larder_builder_add_null(b, name);
    const struct item_head *h = built(b);
    struct larder_value value;
    cr_assert_eq(larder_item_get((const struct larder_item *)h, name, &value), LARDER_OK);
    cr_assert(item_is_sane(h, h->bytes));
    cr_assert_eq(item_ddb_bytes(h), strlen(name) + 1, "DynamoDB counts the whole name");
    const uint8_t *first = item_first_record(h);
    return (size_t)(item_walk(first, (const uint8_t *)h + h->bytes, h->attr_count) - first);
}

Test(item_names, of_every_length_are_as_short_as_can_be) {
    struct larder *db = testseg_open(8u << 20, 2);
    struct larder_builder *b;
    char name[1000];
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    cr_assert_eq(null_record_bytes(b, "PK"), 2);
    cr_assert_eq(null_record_bytes(b, "updated_at"), 2);
    memset(name, 'x', sizeof name);
    for (size_t bytes = 1; bytes < sizeof name; bytes++) {
        name[bytes] = 0;
        size_t length = bytes < 128 ? 1 : 3;
        cr_assert_eq(null_record_bytes(b, name), 1 + length + bytes, "%zu", bytes);
        name[bytes] = 'x';
    }
    larder_builder_free(b);
    larder_close(db);
}

Test(item_names, are_one_byte_in_maps_too) {
    struct larder *db = testseg_open(8u << 20, 2);
    struct larder_builder *b;
    struct larder_value map;
    struct larder_iter it;
    struct larder_member member;
    const char *const names[] = {"GSI1PK", "other", "status"};
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    larder_builder_begin(b, "data", LARDER_M);
    for (unsigned i = 3; i-- > 0;)
        larder_builder_add_null(b, names[i]);
    larder_builder_end(b);
    const struct item_head *h = built(b);
    cr_assert_eq(larder_item_get((const struct larder_item *)h, "data", &map), LARDER_OK);
    cr_assert_eq(map.bytes, 2 + 1 + 6 + 2, "other has its length and bytes");
    larder_iter_value(&map, &it);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(larder_iter_next(&it, &member), LARDER_OK);
        cr_assert(member.name_bytes == strlen(names[i]) && memcmp(member.name, names[i], member.name_bytes) == 0);
    }
    larder_builder_free(b);
    larder_close(db);
}

/* An image of one attribute whose name is written as these bytes, and whose value is NULL or an
 * empty S. */
static int is_sane_as(enum larder_type type, const uint8_t *field, size_t field_bytes, size_t name_bytes,
                      int *is_readable) {
    struct {
        _Alignas(8) struct item_head h;
        uint8_t rest[512];
    } image = {.h = {.attr_count = 1, .version = 1}};
    uint8_t *record = (uint8_t *)&image + item_lay_out(&image.h, 1 + field_bytes);
    item_set_ddb_bytes(&image.h, name_bytes + (type == LARDER_NULL));
    item_set_record_offset(&image.h, 0, (uint32_t)(record - (uint8_t *)&image));
    record[0] = type == LARDER_S ? item_scalar_tag(type, 0) : (uint8_t)type;
    memcpy(record + 1, field, field_bytes);
    *is_readable = item_check_records(&image.h) == LARDER_OK;
    return item_is_sane(&image.h, image.h.bytes);
}

static int is_sane_with(const uint8_t *field, size_t field_bytes, size_t name_bytes, int *is_readable) {
    int is_too, is_sane = is_sane_as(LARDER_NULL, field, field_bytes, name_bytes, is_readable);
    cr_assert_eq(is_sane_as(LARDER_S, field, field_bytes, name_bytes, &is_too), is_sane);
    cr_assert_eq(is_too, *is_readable);
    return is_sane;
}

Test(item_names, have_one_form) {
    static uint8_t field[300];
    int is_readable;
    memset(field, 'x', sizeof field);
    for (unsigned byte = ITEM_NAME_LISTED; byte < 256; byte++) {
        field[0] = (uint8_t)byte;
        int is_listed = byte < ITEM_NAME_LISTED + ITEM_NAMES_COUNT;
        cr_assert_eq(is_sane_with(field, 1, item_listed_name((uint8_t)byte).len, &is_readable), is_listed, "%u", byte);
        cr_assert_eq(is_readable, is_listed, "%u", byte);
    }
    memcpy(field, "\002PX", 3);
    cr_assert(is_sane_with(field, 3, 2, &is_readable) && is_readable);
    memcpy(field, "\002PK", 3);
    cr_assert(!is_sane_with(field, 3, 2, &is_readable), "a listed name in full");
    memcpy(field, "\000\177", 2);
    cr_assert(!is_sane_with(field, 2 + 127, 127, &is_readable), "a long form of a short length");
    memcpy(field, "\000\200\001", 3);
    memset(field + 3, 'x', 128);
    cr_assert(is_sane_with(field, 3 + 128, 128, &is_readable) && is_readable);
    field[2] = 0;
    cr_assert(!is_sane_with(field, 3, 0, &is_readable), "no name");
}

/* Keys of a table and of its index: partition and sort key each. */
static struct larder_table *table_with(struct larder *db, const char *const names[4]) {
    struct larder_index_def index = {.name = "GSI1", .partition = {names[2], LARDER_S}, .sort = {names[3], LARDER_S}};
    char name[64];
    snprintf(name, sizeof name, "table-%s", names[0]);
    const struct larder_table_def def = {.name = name,
                                         .partition = {names[0], LARDER_S},
                                         .sort = {names[1], LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1};
    struct larder_table *t;
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(db, def.name, &t), LARDER_OK, "%s", larder_error());
    return t;
}

/* The attributes are added last name first, and with another one before or after all of them. */
static void put_with(struct larder_table *t, struct larder_builder *b, const char *const names[4], const char *sort) {
    larder_builder_reset(b);
    larder_builder_add_s(b, *sort % 2 ? "!" : "~", "other");
    for (unsigned k = 4; k-- > 0;)
        larder_builder_add_s(b, names[k], k % 2 ? sort : "p");
    cr_assert_eq(larder_put(t, (const struct larder_item *)built(b), NULL), LARDER_OK, "%s", larder_error());
}

/* Two of four items by the index, and the key to continue after, which has all four attributes. */
static void check_with(struct larder *db, struct larder_builder *b, const char *const names[4]) {
    struct larder_table *t = table_with(db, names);
    const struct larder_query_spec spec = {.index = "GSI1", .partition = larder_str("p"), .limit = 2};
    struct larder_page *page;
    struct larder_value value;
    for (unsigned i = 0; i < 4; i++)
        put_with(t, b, names, (const char[]){(char)('a' + i), 0});
    cr_assert_eq(larder_page_new(db, &page), LARDER_OK);
    cr_assert_eq(larder_query(t, &spec, page), LARDER_MORE, "%s", larder_error());
    cr_assert_eq(larder_page_count(page), 2);
    for (unsigned k = 0; k < 4; k++) {
        cr_assert_eq(larder_item_get(larder_page_resume(page), names[k], &value), LARDER_OK, "%s", names[k]);
        cr_assert(value.bytes == 1 && *(const char *)value.data == (k % 2 ? 'b' : 'p'));
    }
    larder_page_free(page);
}

Test(item_names, keys_are_found_whether_listed_or_not) {
    struct larder *db = testseg_open(8u << 20, 2);
    struct larder_builder *b;
    struct larder_check_report report;
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    check_with(db, b, (const char *const[]){"PK", "SK", "GSI1PK", "GSI1SK"});
    check_with(db, b, (const char *const[]){"PKx", "SKx", "GSI1PKx", "GSI1SKx"});
    check_with(db, b, (const char *const[]){"status", "a name of some length", "PK2", "pk"});
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_builder_free(b);
    larder_close(db);
}
