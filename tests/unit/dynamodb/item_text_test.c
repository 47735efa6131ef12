/* tests/unit/dynamodb/item_text_test.c - items as JSON text: every attribute, within its room.
 *
 * Goal     The text is that of a writer that goes byte by byte, whatever the items before had. No
 *          byte is written beyond json_item_room(), nor read beyond the image, also if the image is
 *          damaged: then the text is JSON, or the writer says so.
 * Method   Items of a table are copied to blocks of exactly their size, their text to a block of
 *          exactly its room: the address sanitizer sees the rest, and bytes behind the room that
 *          must stay. Each with 32-byte registers, where there are some, and without.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/unit/dynamodb/item_text_kit.h"

TestSuite(item_text, .timeout = 60 * SLOW_FACTOR);

#define TEXT_BYTES (1u << 16)

static const struct writer {
    void (*begin)(struct json_writer *w);
    int (*finish)(struct json_writer *w);
    void (*free)(struct json_writer *w);
    uint32_t (*put)(struct json_places *places, const struct larder_item *const *items, uint32_t count,
                    size_t needs_comma, struct json_item *stopped);
} writers[] = {{json_writer_begin, json_writer_finish, json_writer_free, json_items_put},
               {narrow_writer_begin, narrow_writer_finish, narrow_writer_free, narrow_items_put}};
#define WRITERS (sizeof writers / sizeof *writers)

struct fixture {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
    struct larder_page *page;
    struct json_writer writers[WRITERS]; /* they remember what they have seen */
};

static void begin(struct fixture *f) {
    static const struct larder_table_def def = {
        .name = "Items", .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_N}};
    *f = (struct fixture){.db = testseg_open(16u << 20, 4)};
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "Items", &f->table), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->builder), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
}

static void end(struct fixture *f) {
    for (size_t i = 0; i < WRITERS; i++)
        writers[i].free(&f->writers[i]);
    larder_page_free(f->page);
    larder_builder_free(f->builder);
    larder_table_close(f->table);
    larder_close(f->db);
}

static uint64_t draws = 88172645463325252u;

static uint32_t draw(uint32_t below) {
    draws ^= draws << 13, draws ^= draws >> 7, draws ^= draws << 17;
    return (uint32_t)(draws % below);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static void add_key(struct fixture *f, size_t partition_bytes, const char *sort) {
    static char partition[LARDER_PARTITION_KEY_BYTES_MAX];
    memset(partition, 'p', sizeof partition);
    larder_builder_reset(f->builder);
    larder_builder_add_sn(f->builder, "PK", partition, partition_bytes);
    larder_builder_add_n(f->builder, "SK", sort);
}

/* The item of the builder as it comes out of the table, in a block of its own. */
static struct larder_item *stored(struct fixture *f) {
    const struct larder_item *built;
    struct larder_key key = {.sort = {.type = 0}};
    EXPECT(larder_builder_finish(f->builder, &built), LARDER_OK);
    EXPECT(larder_put(f->table, built, NULL), LARDER_OK);
    EXPECT(larder_item_get(built, "PK", &key.partition), LARDER_OK);
    EXPECT(larder_item_get(built, "SK", &key.sort), LARDER_OK);
    EXPECT(larder_get(f->table, &key, f->page), LARDER_OK);
    const struct larder_item *item = larder_page_item(f->page, 0);
    void *copy = malloc(item_head(item)->bytes);
    return memcpy(copy, item, item_head(item)->bytes);
}

/* ---- Byte by byte ---------------------------------------------------------------------------- */

static char *write_text(char *to, const char *text, size_t bytes) {
    *to++ = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"' || text[i] == '\\')
            *to++ = '\\';
        if (text[i] == '\t')
            to += sprintf(to, "\\t");
        else if ((uint8_t)text[i] < 0x20)
            to += sprintf(to, "\\u%04x", text[i]);
        else
            *to++ = text[i];
    }
    *to++ = '"';
    return to;
}

static char *write_item(char *to, const struct larder_item *item) {
    struct larder_iter it;
    struct larder_member member;
    char number[LARDER_NUMBER_TEXT_MAX];
    int is_first = 1;
    larder_iter_item(item, &it);
    *to++ = '{';
    for (; larder_iter_next(&it, &member) == LARDER_OK; is_first = 0) {
        if (!is_first)
            *to++ = ',';
        to = write_text(to, member.name, member.name_bytes);
        if (member.value.type == LARDER_S) {
            to += sprintf(to, ":{\"S\":");
            to = write_text(to, member.value.data, member.value.bytes);
            *to++ = '}';
        } else if (member.value.type == LARDER_N) {
            EXPECT(larder_value_number(&member.value, number), LARDER_OK);
            to += sprintf(to, ":{\"N\":\"%s\"}", number);
        } else
            to += sprintf(to, ":{\"BOOL\":%s}", member.value.is_true ? "true" : "false");
    }
    *to++ = '}';
    *to = 0;
    return to;
}

/* ---- What is written ------------------------------------------------------------------------- */

/* One call for one item, with no byte of room too much. */
static void put_within_room(const struct writer *w, struct json_places *places, const struct larder_item *item) {
    struct json_item at;
    json_item_begin(&at, item_head(item));
    size_t room = json_item_room(&at);
    char *text = malloc(room);
    at = (struct json_item){.to = text, .to_end = text + room};
    w->put(places, &item, 1, 1, &at);
    cr_assert(at.head != NULL, "the room of an item is not enough for it");
    cr_assert(at.to >= text && at.to <= text + room);
    at = (struct json_item){.to = text, .to_end = text + room - 1};
    cr_assert_eq(w->put(places, &item, 1, 1, &at), 0);
    cr_assert(at.head == NULL && at.to == text, "an item is written where there is no room for it");
    free(text);
}

static void expect_items(struct fixture *f, struct larder_item **items, uint32_t count) {
    static char wanted[TEXT_BYTES];
    char *to = wanted;
    *to++ = '[';
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        to = write_item(to, items[i]);
    }
    *to++ = ']';
    cr_assert_lt(to - wanted, (ptrdiff_t)sizeof wanted);
    for (size_t i = 0; i < WRITERS; i++) {
        struct json_writer *w = &f->writers[i];
        for (uint32_t k = 0; k < count; k++)
            put_within_room(&writers[i], &w->places, items[k]);
        writers[i].begin(w);
        document_put_begin(&w->writer, DOCUMENT_ARRAY);
        document_put_items(&w->writer, (const struct larder_item *const *)items, count);
        document_put_end(&w->writer, DOCUMENT_ARRAY);
        EXPECT(writers[i].finish(w), LARDER_OK);
        cr_assert(w->bytes == (size_t)(to - wanted) && memcmp(w->text, wanted, w->bytes) == 0,
                  "writer %zu\nis:  %s\nnot: %.*s", i, w->text, (int)(to - wanted), wanted);
    }
}

static void expect_one(struct fixture *f) {
    struct larder_item *item = stored(f);
    expect_items(f, &item, 1);
    free(item);
}

Test(item_text, names_and_values_of_every_length) {
    struct fixture f;
    char name[20], value[161];
    begin(&f);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    memset(value, 'v', sizeof value);
    for (size_t name_bytes = 1; name_bytes < sizeof name; name_bytes++)
        for (size_t bytes = 0; bytes < sizeof value; bytes += name_bytes % 5 == 4 ? 1 : 7) {
            add_key(&f, 1, "1");
            larder_builder_add_sn(f.builder, name + sizeof name - 1 - name_bytes, value, bytes);
            expect_one(&f);
            larder_builder_add_sn(f.builder, "zz", value, bytes); /* so that the first one is not the last */
            larder_builder_add_sn(f.builder, "zzz", value, 60);
            expect_one(&f);
        }
    end(&f);
}

Test(item_text, keys_of_every_length) {
    struct fixture f;
    begin(&f);
    for (size_t bytes = 1; bytes <= LARDER_PARTITION_KEY_BYTES_MAX; bytes += bytes < 140 ? 1 : 97) {
        add_key(&f, bytes, "12345678901234567890");
        expect_one(&f);
        larder_builder_add_s(f.builder, "a", "b");
        expect_one(&f);
    }
    add_key(&f, LARDER_PARTITION_KEY_BYTES_MAX, "-1e125");
    expect_one(&f);
    end(&f);
}

Test(item_text, numbers) {
    static const char *const others[] = {"0",      "-1",     "0.5",   "1.5",   "100",  "1e20",
                                         "1e19",   "99e18",  "-0.01", "1e125", "1e15", "1e16",
                                         "101e14", "100001", "9",     "10",    "99",   "1e-130"};
    struct fixture f;
    char text[40];
    begin(&f);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        add_key(&f, 1, others[i]);
        larder_builder_add_n(f.builder, "n", others[i]);
        expect_one(&f);
    }
    for (uint32_t i = 0; i < 3000 / SLOW_FACTOR; i++) {
        uint32_t digits = 1 + i % 24;
        text[0] = (char)('1' + draw(9));
        for (uint32_t k = 1; k < digits; k++)
            text[k] = (char)(draw(3) ? '0' + draw(10) : '0');
        text[digits] = 0;
        add_key(&f, 1, text);
        larder_builder_add_n(f.builder, "n", text);
        larder_builder_add_n(f.builder, "total", text);
        expect_one(&f);
    }
    end(&f);
}

Test(item_text, special_bytes_at_every_place) {
    static const char *const special[] = {"\"", "\\", "\t", "\x1f", "\x7f", "\xc3\xa9", " ", "!"};
    static const size_t lengths[] = {1, 15, 16, 17, 30, 31, 32, 33, 63, 64, 100, 127, 128};
    struct fixture f;
    char value[160];
    begin(&f);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t at = 0; at<lengths[l]; at += SLOW_FACTOR> 1 ? 5 : 1) {
            const char *what = special[draw(sizeof special / sizeof *special)];
            memset(value, 'x', lengths[l]);
            memcpy(value + at, what, strlen(what));
            value[lengths[l] < at + strlen(what) ? at + strlen(what) : lengths[l]] = 0;
            add_key(&f, 1, "1");
            larder_builder_add_s(f.builder, "a", value);
            larder_builder_add_s(f.builder, "b", "plain");
            expect_one(&f);
        }
    end(&f);
}

static void add_random(struct fixture *f) {
    static const char *const names[] = {"a", "abcdefghijklmn", "abcdefghijklmno", "city", "n",
                                        "s", "status",         "total",           "ttl"};
    static const char *const numbers[] = {"0", "7", "10", "12345678901234567890", "-5", "1.5", "100", "1250"};
    char name[16], value[200];
    uint32_t more = draw(8) == 0 ? 20 + draw(60) : 0;
    for (uint32_t i = 0; i < sizeof names / sizeof *names + more; i++) {
        if (i < sizeof names / sizeof *names)
            snprintf(name, sizeof name, "%s", names[i]);
        else
            snprintf(name, sizeof name, "z%02u", i);
        uint32_t kind = draw(12), bytes = draw(draw(5) == 0 ? sizeof value : 40);
        memset(value, 'v', sizeof value);
        value[bytes] = 0;
        if (kind < 7)
            larder_builder_add_s(f->builder, name, value);
        else if (kind < 10)
            larder_builder_add_n(f->builder, name, numbers[draw(sizeof numbers / sizeof *numbers)]);
        else if (kind == 10)
            larder_builder_add_bool(f->builder, name, 1);
    }
}

Test(item_text, items_that_differ_from_those_before) {
    struct larder_item *items[20];
    struct fixture f;
    char sort[8];
    begin(&f);
    for (int round = 0; round < 300 / SLOW_FACTOR; round++) {
        uint32_t count = 1 + draw(sizeof items / sizeof *items);
        for (uint32_t i = 0; i < count; i++) {
            snprintf(sort, sizeof sort, "%u", i);
            add_key(&f, 1 + draw(60), sort);
            if (draw(10) != 0)
                add_random(&f);
            items[i] = stored(&f);
        }
        expect_items(&f, items, count);
        for (uint32_t i = 0; i < count; i++)
            free(items[i]);
    }
    end(&f);
}

/* Behind what a page checks of an image, any byte may be anything: tags of keys in all records,
 * values that go on beyond the image. */
Test(item_text, damaged_images) {
    static const uint8_t bytes[] = {0x11, 0x12, 0x21, 0x22, 0xff, 0xfe, 0x80, 0x81, 0x9f, 0xa0, 0x7f, 0x40, 0x41, 0};
    struct fixture f;
    begin(&f);
    for (int round = 0; round < 4000 / SLOW_FACTOR; round++) {
        add_key(&f, draw(4) == 0 ? LARDER_PARTITION_KEY_BYTES_MAX : 1 + draw(40), "12345");
        add_random(&f);
        struct larder_item *item = stored(&f);
        struct item_head *h = (struct item_head *)item;
        size_t from = (size_t)(item_first_record(h) - (const uint8_t *)h);
        if (from < h->bytes)
            for (uint32_t changes = 1 + draw(20); changes > 0; changes--)
                ((uint8_t *)h)[from + draw((uint32_t)(h->bytes - from))] = bytes[draw(sizeof bytes)];
        for (size_t i = 0; i < WRITERS; i++) {
            struct json_writer *w = &f.writers[i];
            put_within_room(&writers[i], &w->places, item);
            writers[i].begin(w);
            document_put_items(&w->writer, (const struct larder_item *const *)&item, 1);
            int r = writers[i].finish(w);
            cr_assert(r == LARDER_OK || r == LARDER_E_CORRUPT, "%d", r);
        }
        free(item);
    }
    end(&f);
}
