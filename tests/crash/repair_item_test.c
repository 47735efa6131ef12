/* tests/crash/repair_item_test.c - small damages of one item, and what a repair reports of items
 * that it could not keep.
 *
 * Goal     larder_check() compares an item's attributes with what follows from them, and
 *          larder_repair() mends it without loss: index slots, half of the hash, padding. A damaged
 *          attribute cannot be mended. items_lost is at least the difference to what counts and
 *          lists still say.
 * Method   A small segment in which one item has a text that is found in memory. Bytes near it are
 *          changed; then check, repair, and every way to read the item.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/item/item.h"
#include "core/segment/layout.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(repair_item, .timeout = 100 * SLOW_FACTOR);

#define SEGMENT_BYTES (4u << 20)
#define STRIPES 4u
#define ITEMS 60
#define MARKED 17 /* the item that is damaged */

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    unsigned char *base;
    struct seg_shm *head;
    int fd, attributes; /* besides the usual ones */
};

static const struct larder_index_def by_group = {
    .name = "byGroup", .partition = {"grp", LARDER_S}, .sort = {"num", LARDER_N}};

static void put(struct fixture *f, struct larder_builder *b, int n) {
    const struct larder_item *item;
    char text[32];
    larder_builder_reset(b);
    snprintf(text, sizeof text, "P%d", n % 3);
    larder_builder_add_s(b, "pk", text);
    snprintf(text, sizeof text, "MARK%03d", n);
    larder_builder_add_s(b, "sk", text);
    snprintf(text, sizeof text, "group%03d", n);
    larder_builder_add_s(b, "grp", text);
    larder_builder_add_int(b, "num", n);
    snprintf(text, sizeof text, "value-%03d", n);
    larder_builder_add_s(b, "v", text);
    for (int i = 0; i < f->attributes; i++) {
        snprintf(text, sizeof text, "a%02d", i);
        larder_builder_add_int(b, text, i);
    }
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

static void begin(struct fixture *f, int adds_index, int attributes) {
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = &by_group,
                                         .index_count = !adds_index};
    struct larder_builder *b;
    *f = (struct fixture){.db = testseg_open(SEGMENT_BYTES, STRIPES), .attributes = attributes};
    f->fd = dup(larder_memfd(f->db));
    f->base = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    cr_assert(f->base != MAP_FAILED);
    f->head = (struct seg_shm *)f->base;
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    for (int n = 0; n < ITEMS; n++)
        put(f, b, n);
    larder_builder_free(b);
    if (adds_index)
        EXPECT(larder_index_add(f->t, &by_group), LARDER_OK);
}

static void end(struct fixture *f) {
    larder_page_free(f->page);
    larder_close(f->db);
    munmap(f->base, SEGMENT_BYTES);
    close(f->fd);
}

static struct table_shm *entry(const struct fixture *f) {
    return (struct table_shm *)(f->base + f->head->catalog_off);
}
static struct stripe_shm *stripes_of(const struct fixture *f) {
    return (struct stripe_shm *)(f->base + entry(f)->items_off);
}

/* The image of the marked item, by its slot. */
static struct item_head *marked_item(const struct fixture *f, shm_word **slot) {
    for (uint32_t s = 0; s < STRIPES; s++) {
        uint64_t word = stripes_of(f)[s].array, lines = WORD_TAG(word) + WORD_TAG(word) / 8 + 1u;
        struct bucket_shm *array = (struct bucket_shm *)(f->base + WORD_OFF(word));
        for (uint64_t i = 0; word && i < lines * BUCKET_SLOTS; i++) {
            *slot = &array[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];
            struct item_head *h = (struct item_head *)(f->base + WORD_OFF(**slot));
            char text[32];
            snprintf(text, sizeof text, "MARK%03d", MARKED);
            if (**slot && memmem(item_key_area(h), item_key_area_bytes(h), text, strlen(text)))
                return h;
        }
    }
    cr_assert(0, "no marked item");
    return NULL;
}

static int get_marked(struct fixture *f) {
    char pk[32], sk[32];
    snprintf(pk, sizeof pk, "P%d", MARKED % 3);
    snprintf(sk, sizeof sk, "MARK%03d", MARKED);
    const struct larder_key key = {.partition = larder_str(pk), .sort = larder_str(sk)};
    return larder_get(f->t, &key, f->page);
}

static uint32_t query_marked(struct fixture *f) {
    char group[32];
    snprintf(group, sizeof group, "group%03d", MARKED);
    const struct larder_query_spec spec = {.index = "byGroup", .partition = larder_str(group)};
    EXPECT(larder_query(f->t, &spec, f->page), LARDER_OK);
    return larder_page_count(f->page);
}

/* What check finds and repair mends; the report says so. */
static void repair(struct fixture *f, const char *what, struct larder_repair_report *report) {
    struct larder_check_report check;
    cr_assert_eq(larder_check(f->db, NULL, &check), LARDER_DAMAGED, "%s", what);
    cr_assert_eq(larder_repair(f->db, NULL, report), LARDER_OK, "%s: %s", what, larder_error());
    cr_assert_eq(larder_check(f->db, NULL, &check), LARDER_OK, "%s: %s", what, larder_error());
}

static void must_be_mended(struct fixture *f, const char *what) {
    struct larder_repair_report report;
    repair(f, what, &report);
    cr_assert_eq(report.items_kept, ITEMS, "%s: %lu", what, (unsigned long)report.items_kept);
    cr_assert_eq(report.items_lost, 0, "%s: %lu", what, (unsigned long)report.items_lost);
    cr_assert_eq(report.items_mended, 1, "%s: %lu", what, (unsigned long)report.items_mended);
    cr_assert_eq(get_marked(f), LARDER_OK, "%s: %s", what, larder_error());
}

/* ---- Index slots and attributes -------------------------------------------------------------- */

/* A key attribute of the index gets another name, so the item is no longer in that index; and it
 * never was, if its slot says nothing. */
Test(repair_item, a_key_attribute_with_another_name) {
    static const char *const names[] = {"grp", "num"};
    for (int i = 0; i < 8; i++) {
        struct fixture f;
        shm_word *slot;
        struct larder_value value;
        begin(&f, i & 1, i & 2 ? 30 : 0);
        struct item_head *h = marked_item(&f, &slot);
        uint8_t *name = memmem(h, h->bytes, names[i / 4], 3);
        cr_assert(name);
        name[2]++; /* "grq", "nun": sorted as before */
        must_be_mended(&f, names[i / 4]);
        cr_assert(larder_item_get(larder_page_item(f.page, 0), i < 4 ? "grq" : "nun", &value) == LARDER_OK);
        cr_assert_eq(query_marked(&f), 0);
        end(&f);
    }
}

/* The other way round: an item that has the attributes, and whose slot and entry say that it is
 * not in the index. */
Test(repair_item, a_slot_that_says_nothing) {
    struct fixture f;
    shm_word *slot;
    struct larder_repair_report report;
    begin(&f, 0, 0);
    struct item_head *h = marked_item(&f, &slot);
    *item_index_slots(h) = (struct item_index_slot){.partition_attr = ITEM_NO_ATTR, .sort_attr = ITEM_NO_ATTR};
    repair(&f, "slot", &report);
    cr_assert(report.items_kept == ITEMS && report.items_mended == 1);
    cr_assert_eq(query_marked(&f), 1);
    end(&f);
}

/* ---- Hash and padding ------------------------------------------------------------------------ */

Test(repair_item, half_of_the_hash) {
    struct fixture f;
    shm_word *slot;
    for (int i = 0; i < 2; i++) {
        begin(&f, 0, 0);
        marked_item(&f, &slot)->hash_high ^= i ? 1u : 0xffffffffu;
        must_be_mended(&f, "hash");
        cr_assert_eq(query_marked(&f), 1);
        end(&f);
    }
}

/* No part of the item says any more that the key is the one that was put. */
Test(repair_item, both_halves_of_the_hash) {
    struct fixture f;
    shm_word *slot;
    struct larder_repair_report report;
    begin(&f, 0, 0);
    marked_item(&f, &slot)->hash_high ^= 1;
    *slot ^= UINT64_C(1) << 48;
    repair(&f, "both halves", &report);
    cr_assert(report.items_kept == ITEMS - 1 && report.items_lost == 1);
    end(&f);
}

Test(repair_item, padding) {
    int tails = 0, keys = 0;
    for (int i = 0; i < 40; i++) {
        struct fixture f;
        shm_word *slot;
        begin(&f, i & 1, i & 2 ? 26 : i % 5);
        struct item_head *h = marked_item(&f, &slot);
        uint8_t *end_of_keys = item_key_area(h) + item_key_area_bytes(h) - 1,
                *end_of_image = (uint8_t *)h + h->bytes - 1;
        uint8_t *last = i & 4 ? end_of_keys : end_of_image;
        if (*last == 0 && i & 4)
            keys++;
        else if (*last == 0 && !(h->flags & ITEM_TIMED) && last[-1] == 0)
            tails++;
        else {
            end(&f);
            continue;
        }
        *last = (uint8_t)(i + 1);
        must_be_mended(&f, i & 4 ? "key padding" : "padding");
        cr_assert_eq(*(i & 4 ? end_of_keys : end_of_image), 0);
        cr_assert_eq(query_marked(&f), 1);
        end(&f);
    }
    cr_assert(tails > 3 && keys > 3, "%d, %d", tails, keys);
}

/* larder_repair(): text that is not UTF-8 any more. */
Test(repair_item, broken_text_is_lost) {
    struct fixture f;
    shm_word *slot;
    struct larder_repair_report report;
    begin(&f, 0, 0);
    struct item_head *h = marked_item(&f, &slot);
    uint8_t *value = memmem(h, h->bytes, "value-", 6);
    value[2] = 0xff;
    cr_assert_eq(get_marked(&f), LARDER_OK);
    repair(&f, "text", &report);
    cr_assert(report.items_kept == ITEMS - 1 && report.items_lost == 1);
    cr_assert_eq(get_marked(&f), LARDER_NOT_FOUND);
    end(&f);
}

/* ---- What is counted as lost ----------------------------------------------------------------- */

Test(repair_item, items_of_a_lost_definition) {
    struct fixture f;
    struct larder_repair_report report;
    begin(&f, 0, 0);
    f.base[entry(&f)->schema_off + 60] ^= 1;
    struct larder *fresh = testseg_attach(f.db, 0); /* which has not read it before */
    larder_page_free(f.page);
    f.page = NULL;
    larder_close(f.db);
    f.db = fresh;
    repair(&f, "definition", &report);
    cr_assert_eq(report.tables_lost, 1);
    cr_assert_eq(report.items_lost, ITEMS, "%lu", (unsigned long)report.items_lost);
    end(&f);
}

Test(repair_item, items_of_lost_stripes) {
    struct fixture f;
    struct larder_repair_report report;
    begin(&f, 0, 0);
    entry(&f)->items_off = 0x12345678;
    repair(&f, "stripes", &report);
    cr_assert_eq(report.tables_lost, 0);
    cr_assert_eq(report.items_lost, ITEMS, "%lu", (unsigned long)report.items_lost);
    end(&f);
}

Test(repair_item, items_of_a_lost_array) {
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct larder_repair_report report;
        begin(&f, 0, 0);
        struct stripe_shm *stripe = &stripes_of(&f)[1];
        uint32_t count = stripe->count;
        stripe->array = WORD_MAKE(WORD_TAG(stripe->array), SEGMENT_BYTES - 64);
        if (i)
            stripe->count = UINT32_MAX; /* a wrong count */
        repair(&f, "array", &report);
        cr_assert_eq(report.items_kept, ITEMS - count);
        cr_assert_eq(report.items_lost, count, "%lu", (unsigned long)report.items_lost); /* its lists know */
        end(&f);
    }
}
