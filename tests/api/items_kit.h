/* tests/api/items_kit.h - one table, two attachments, and whole items compared.
 *
 * Method   Reads go through a second attachment, mapped elsewhere, so that nothing private to the
 *          writer can help.
 */
#ifndef LARDER_TESTS_API_ITEMS_KIT_H
#define LARDER_TESTS_API_ITEMS_KIT_H

#include "larder.h"
#include "tests/support/slow.h"

struct fixture {
    struct larder *db, *other;
    struct larder_table *t, *seen; /* the table, and the same through the other attachment */
    struct larder_builder *b;
    struct larder_page *page, *page2;
};

void begin(struct fixture *f, enum larder_type partition, enum larder_type sort);
void close_all(struct fixture *f);
const struct larder_item *finish(struct fixture *f);

/* An item of two keys and a mark. */
const struct larder_item *small_item(struct fixture *f, struct larder_value pk, struct larder_value sk, int mark);
void put_small(struct fixture *f, struct larder_value pk, struct larder_value sk, int mark);
int64_t int_of(const struct larder_item *item, const char *name);

/* The mark of the item with this key, or -1. */
int64_t mark_of(struct fixture *f, struct larder_value pk, struct larder_value sk);
uint64_t item_count(struct fixture *f);
extern const struct larder_value none;
void expect_same(const struct larder_item *a, const struct larder_item *b);

/* Through get, get_many, query and scan. */
void expect_read(struct fixture *f, const struct larder_key *key, const struct larder_item *item);

static const struct number {
    const char *given, *read;
} numbers[] = {
    {"0", "0"},
    {"-0", "0"},
    {"0e99", "0"},
    {"+7", "7"},
    {"007", "7"},
    {"-1", "-1"},
    {"1.50", "1.5"},
    {".5", "0.5"},
    {"5.", "5"},
    {"1e3", "1000"},
    {"12E-3", "0.012"},
    {"9223372036854775808", "9223372036854775808"},
    {"12345678901234567890123456789012345678", "12345678901234567890123456789012345678"},
    {"-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"},
    {"0.12345678901234567890123456789012345678", "0.12345678901234567890123456789012345678"},
    {"1000000000000000000000000000000000000000000", "1000000000000000000000000000000000000000000"},
};

#define NUMBERS (sizeof numbers / sizeof *numbers)

void add_all_types(struct larder_builder *b);
void expect_text(const struct larder_item *item, const char *name, enum larder_type type, const char *text,
                 size_t bytes);

/* What add_all_types() added, by value: two paths could have the same fault. */
void expect_all_types(const struct larder_item *item);

#endif
