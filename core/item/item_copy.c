/* core/item/item_copy.c - larder_builder_add_all(): another item's attributes, except some.
 *
 * Idea     Records have the same bytes in every item, so they are copied as they lie, run by run.
 *          Keys, whose values lie in the key area, become full records.
 * Damage   The item may be a copy in a page, of which only the head is known to be sane. Each
 *          record is read once, with bounds, and checked like a value that a caller adds (rule B3
 *          of core/item/item_build.c).
 * Tests    tests/api/items_copy_test.c
 */
#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/item/item_builder.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

/* The copying of an item except for some attributes. */
struct build_copy {
    const struct item_head *from;
    const uint8_t *run;     /* first record that is not copied yet; NULL: none */
    size_t ddb_bytes;       /* of what was copied */
    uint32_t levels;        /* of M and L in it */
    const char *const *but; /* names of what is left out */
    uint32_t but_count;
    /* a bit by ordinal, unless the item is walked; only the words that it needs are set */
    uint64_t left_out[(ITEM_ATTRS_MAX + 63) / 64];
};

/* A walked item has few attributes: each is compared here. In other items build_leave_out() has
 * looked the names up, so many attributes and many names stay cheap. */
static int build_is_left_out(const struct build_copy *c, uint32_t ordinal, struct bytes name) {
    if (!item_is_walked(c->from))
        return c->left_out[ordinal / 64] >> (ordinal % 64) & 1;
    for (uint32_t i = 0; i < c->but_count; i++)
        if (*c->but[i] == (char)*name.at && strlen(c->but[i]) == name.len && memcmp(c->but[i], name.at, name.len) == 0)
            return 1;
    return 0;
}

static void build_leave_out(struct build_copy *c) {
    if (item_is_walked(c->from))
        return;
    memset(c->left_out, 0, ((size_t)c->from->attr_count + 63) / 64 * sizeof *c->left_out);
    for (uint32_t i = 0; i < c->but_count; i++) {
        uint16_t ordinal = item_find_attr(c->from, c->but[i], strlen(c->but[i]));
        if (ordinal != ITEM_NO_ATTR)
            c->left_out[ordinal / 64] |= UINT64_C(1) << (ordinal % 64);
    }
}

/* Makes room in records and entries for all of an item. */
static int build_make_room(struct larder_builder *b, const struct item_head *from) {
    if (b->levels[0].count + from->attr_count > ITEM_ATTRS_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL, "the item has more than %u attributes, the most that are allowed",
                                     ITEM_ATTRS_MAX));
    /* Keys get their own length fields. */
    size_t bytes = b->records.len + from->bytes - sizeof *from + 2u * ITEM_VARINT_BYTES_MAX;
    int result = build_reserve(b, &b->records, bytes);
    return result == LARDER_OK ? build_reserve_entries(b, b->entry_count + from->attr_count) : result;
}

/* B3. A container was checked in full when it was read. */
static int build_is_sane(const struct item_record *r, const struct larder_value *value) {
    struct bytes name = r->name;
    if (!(*r->name_field.at & ITEM_NAME_LISTED)) {
        const uint8_t *text = value->data;
        size_t with_text = name.len + value->bytes;
        /* A name with its text behind it: both are valid if the whole is, and no character crosses
         * the border. */
        if (value->type == LARDER_S && text == name.at + name.len && value->bytes && !utf8_is_inner_byte(*text) &&
            utf8_valid_bytes((const char *)name.at, with_text) == with_text)
            return 1;
        if (utf8_valid_bytes((const char *)name.at, name.len) < name.len)
            return 0;
    }
    if (value->type == LARDER_S)
        return utf8_valid_bytes(value->data, value->bytes) == value->bytes;
    return value->type != LARDER_N || num_is_sane(value->data, value->bytes);
}

/* Copies the records from c->run to `end`. */
static void build_copy_run(struct larder_builder *b, struct build_copy *c, const uint8_t *end) {
    if (c->run) {
        memcpy(b->records.at + b->records.len, c->run, (size_t)(end - c->run));
        b->records.len += (size_t)(end - c->run);
    }
    c->run = NULL;
}

/* Copies a key attribute, whose value lies in the key area. */
static void build_copy_key(struct larder_builder *b, struct bytes name_field, const struct larder_value *value) {
    uint8_t *at = b->records.at + b->records.len;
    b->records.len = (size_t)(item_put_scalar_record(at, name_field, value) - b->records.at);
}

/* Adds the entry of the record that lies at `offset` in records, or will when its run is copied.
 * previous: the name copied before, or NULL. */
static void build_note_copy(struct larder_builder *b, size_t offset, const struct item_record *r,
                            const struct bytes *previous) {
    struct build_level *level = &b->levels[0];
    struct build_entry entry = {.offset = (uint32_t)offset};
    uint8_t first = *r->name_field.at;
    entry.prefix = first & ITEM_NAME_LISTED ? item_listed_prefix(first) : build_prefix(r->name);
    if (level->is_sorted && b->entry_count > 0) {
        const struct build_entry *last = &b->entries[b->entry_count - 1];
        level->is_sorted =
            last->prefix < entry.prefix ||
            (last->prefix == entry.prefix &&
             item_compare_bytes(previous ? *previous : build_sort_key(b, LARDER_M, last->offset), r->name) < 0);
    }
    b->entries[b->entry_count++] = entry;
    level->count++;
}

/* Reads the record at `at`. Its end; NULL: it leads outside. */
static const uint8_t *build_take_record(const struct build_copy *c, const uint8_t *at, struct item_record *r,
                                        struct larder_value *value) {
    const uint8_t *end = (const uint8_t *)c->from + c->from->bytes;
    if (!item_take_record(at, end, r))
        return NULL;
    if (r->tag < ITEM_SHORT_S || item_tag_bytes(r->tag) > (size_t)(end - r->value))
        return item_tag_keys(r->tag) == ITEM_KEY_FLAGS ? NULL : item_take_record_value(c->from, r, end, value);
    value->type = LARDER_S; /* most are */
    value->data = r->value;
    value->bytes = item_tag_bytes(r->tag);
    return r->value + value->bytes;
}

static void build_measure(struct build_copy *c, struct bytes name, const struct larder_value *value) {
    struct item_measure measure = {.ddb_bytes = 0};
    if (value->type < LARDER_M) {
        c->ddb_bytes += item_attr_ddb_bytes(name, value);
        return;
    }
    item_measure_container(value, &measure);
    c->ddb_bytes += name.len + measure.ddb_bytes;
    if (measure.levels > c->levels)
        c->levels = measure.levels;
}

/* False: a record is invalid. There is room for each key once (build_make_room). */
static int build_copy_all(struct larder_builder *b, struct build_copy *c) {
    const uint8_t *at = item_first_record(c->from);
    struct bytes previous;
    int is_first = 1;
    unsigned keys_seen = 0;
    for (uint32_t i = 0; i < c->from->attr_count; i++) {
        struct item_record r;
        struct larder_value value;
        const uint8_t *start = at;
        at = build_take_record(c, at, &r, &value);
        unsigned is_key = at ? item_tag_keys(r.tag) : 0;
        if (!at || is_key & keys_seen)
            return 0;
        int is_left_out = build_is_left_out(c, i, r.name);
        keys_seen |= is_key;
        if (is_key || is_left_out)
            build_copy_run(b, c, start);
        else if (!c->run)
            c->run = start;
        if (is_left_out)
            continue;
        if (!build_is_sane(&r, &value))
            return 0;
        build_measure(c, r.name, &value);
        build_note_copy(b, b->records.len + (c->run ? (size_t)(start - c->run) : 0), &r, is_first ? NULL : &previous);
        if (is_key)
            build_copy_key(b, r.name_field, &value);
        previous = r.name;
        is_first = 0;
    }
    build_copy_run(b, c, at);
    return 1;
}

LARDER_API int larder_builder_add_all(struct larder_builder *b, const struct larder_item *item, const char *const *but,
                                      uint32_t but_count) {
    struct build_copy c; /* large: only the members that are used are set */
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (ERR_IS_NULL(item) || (but_count && ERR_IS_NULL(but)))
        return build_fail(b, LARDER_E_INVAL);
    for (uint32_t i = 0; i < but_count; i++)
        if (ERR_IS_NULL(but[i]))
            return build_fail(b, LARDER_E_INVAL);
    if (b->level || b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL,
                                     "larder_builder_add_all() adds to the item itself: no map, list or set may be "
                                     "open, and no name given"));
    c.from = item_head(item);
    b->shape.is_same = 0;
    if ((result = build_make_room(b, c.from)) != LARDER_OK)
        return result;
    c.but = but;
    c.but_count = but_count;
    build_leave_out(&c);
    c.run = NULL;
    c.ddb_bytes = 0;
    c.levels = 0;
    if (!build_copy_all(b, &c))
        return build_fail(b, err_set(LARDER_E_CORRUPT, "the item is damaged: a name or value is invalid"));
    if ((result = build_check_levels(b, c.levels)) != LARDER_OK)
        return result;
    if (c.ddb_bytes > b->ddb_bytes_max - b->ddb_bytes || b->records.len > ITEM_IMAGE_BYTES_MAX)
        return build_fail(b,
                          err_set(LARDER_E_INVAL,
                                  "with the attributes of another item the item has %zu bytes; at most %zu are allowed",
                                  b->ddb_bytes + c.ddb_bytes, b->ddb_bytes_max));
    b->ddb_bytes += c.ddb_bytes;
    return LARDER_OK;
}
