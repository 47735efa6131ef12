/* core/item/item_top.c - the builder's usual case: an attribute of the item itself.
 *
 * Job      Does what build_put() does, for names of up to 16 bytes outside containers. All else,
 *          and whatever is to be refused, it leaves to build_put(), which says why.
 * Idea     A program builds items of one kind after each other: the same names in the same order.
 *          So the builder remembers, by place, the name it was given there last: that it is valid,
 *          its byte, its prefix. A name is compared with that by two words. If all names of an item
 *          are the remembered ones, so is the order into which the last item was sorted.
 * Rules    O1 struct build_shape is a memory of earlier items: a name that differs is checked and
 *             looked up, and takes the place of the old one. `order` is of the names there, and is
 *             forgotten when one changes.
 *          O2 `order` is used only for entries that lie in call order.
 * Tests    tests/unit/item/item_build_test.c
 */
#include <endian.h>
#include <string.h>

#include "core/base/utf8.h"
#include "core/item/item_builder.h"
#include "core/item/item_records.h"

/* A name of up to BUILD_NAME_MAX bytes as two words: with its length they tell it from others. */
struct build_words {
    uint64_t first, last;
};
static inline struct build_words build_words_of(const char *name, size_t bytes) {
    struct build_words w = {0, 0};
    uint32_t first, last;
    if (bytes >= sizeof w.first) {
        memcpy(&w.first, name, sizeof w.first);
        memcpy(&w.last, name + bytes - sizeof w.last, sizeof w.last);
    } else if (bytes >= sizeof first) {
        memcpy(&first, name, sizeof first);
        memcpy(&last, name + bytes - sizeof last, sizeof last);
        w = (struct build_words){first, last};
    } else {
        w.first = (uint8_t)name[0] | (uint32_t)(uint8_t)name[bytes / 2] << 8;
        w.last = (uint8_t)name[bytes - 1];
    }
    return w;
}

/* Rule O1, for a name that is not the remembered one. 0: it is none to remember. */
static __attribute__((noinline)) int build_learn_name(struct larder_builder *b, struct build_name *known,
                                                      struct bytes name, struct build_words words) {
    if (item_check_name(name) != LARDER_OK)
        return 0;
    b->shape.is_same = 0;
    b->shape.order_count = 0;
    *known = (struct build_name){.first = words.first,
                                 .last = words.last,
                                 .prefix = build_prefix(name),
                                 .bytes = (uint8_t)name.len,
                                 .byte = item_name_byte(name.at, name.len)};
    return 1;
}

/* The remembered name of the next attribute, which is now the given one. NULL: there is none. */
static inline const struct build_name *build_know(struct larder_builder *b, struct bytes name) {
    uint32_t place = b->levels[0].count;
    if (place >= BUILD_SHAPE_MAX || name.len - 1 >= BUILD_NAME_MAX)
        return NULL;
    struct build_name *known = &b->shape.name[place];
    struct build_words words = build_words_of((const char *)name.at, name.len);
    int is_known = known->bytes == name.len && known->first == words.first && known->last == words.last;
    return __builtin_expect(is_known, 1) || build_learn_name(b, known, name, words) ? known : NULL;
}

/* Room for the record, its entry and what finishing copies beyond. */
static inline int build_has_room(struct larder_builder *b, size_t record_max) {
    size_t end_max = b->records.len + record_max;
    return end_max <= ITEM_IMAGE_BYTES_MAX && build_reserve(b, &b->records, end_max + BUILD_PIECE) == LARDER_OK &&
           build_reserve_entries(b, b->entry_count + 1) == LARDER_OK;
}

static inline void build_push_top(struct larder_builder *b, uint64_t prefix, size_t start, size_t bytes) {
    struct build_level *level = &b->levels[0];
    struct build_entry *entry = &b->entries[b->entry_count++];
    *entry = (struct build_entry){prefix, (uint32_t)start, (uint32_t)bytes};
    if (level->is_sorted && level->count != 0 && entry[-1].prefix >= prefix)
        level->is_sorted = build_compare(b, LARDER_M, entry - 1, entry) < 0;
    level->count++;
}

/* As memcpy(), in place for what most values have. Returns the end. */
static inline uint8_t *build_put_data(uint8_t *to, const uint8_t *from, size_t bytes) {
    uint64_t half[2];
    if (bytes - 16 <= 16) {
        memcpy(half, from + bytes - 16, 16);
        memcpy(to, from, 16);
        memcpy(to + bytes - 16, half, 16);
    } else if (bytes - 8 < 8) {
        memcpy(half, from + bytes - 8, 8);
        memcpy(to, from, 8);
        memcpy(to + bytes - 8, half, 8);
    } else
        return item_put_bytes(to, from, bytes);
    return to + bytes;
}

static inline __attribute__((always_inline)) int put_top(struct larder_builder *b, const char *name, unsigned tag,
                                                         unsigned how, const void *data, size_t bytes) {
    struct bytes text = {b->name.at, b->name.len};
    if (__builtin_expect(name != NULL, 1))
        text = (struct bytes){(const uint8_t *)name, strlen(name)};
    size_t start = b->records.len, added = text.len + bytes + BUILD_MORE_OF(how);
    const struct build_name *known = build_know(b, text);
    if (!known || added > b->ddb_bytes_max - b->ddb_bytes ||
        !build_has_room(b, 2 + 2 * (size_t)ITEM_VARINT_BYTES_MAX + text.len + bytes))
        return 0;
    uint8_t *at = b->records.at + start;
    *at++ = (uint8_t)tag;
    at = item_put_name_as(at, known->byte, text);
    if (how & BUILD_LENGTH)
        at = item_put_varint(at, bytes);
    at = build_put_data(at, data, bytes);
    b->records.len = (size_t)(at - b->records.at);
    b->ddb_bytes += added;
    b->has_name = 0;
    build_push_top(b, known->prefix, start, how & BUILD_OPEN ? 0 : b->records.len - start);
    return 1;
}

int build_put_top(struct larder_builder *b, const char *name, unsigned tag, unsigned how, const void *data,
                  size_t bytes) {
    return put_top(b, name, tag, how, data, bytes);
}

LARDER_API int larder_builder_add_sn(struct larder_builder *b, const char *name, const char *text, size_t bytes) {
    int is_usual = b && text && build_is_top(b, name) && bytes < ITEM_SHORT_S;
    if (__builtin_expect(is_usual, 1) && (utf8_is_ascii(text, bytes) || utf8_valid_bytes(text, bytes) == bytes) &&
        put_top(b, name, ITEM_SHORT_S + (unsigned)bytes, 0, text, bytes))
        return LARDER_OK;
    return build_add_sn(b, name, text, bytes);
}

/* The item was sorted, and its names are the remembered ones: each entry's place in call order is
 * the number of records in front of its own. */
static void build_learn_order(struct larder_builder *b) {
    for (size_t i = 0; i < b->entry_count; i++) {
        uint8_t before = 0;
        for (size_t k = 0; k < b->entry_count; k++)
            before += b->entries[k].offset < b->entries[i].offset;
        b->shape.order[i] = before;
    }
    b->shape.order_count = (uint32_t)b->entry_count;
}

int build_sort_top(struct larder_builder *b, const uint8_t **order) {
    struct build_shape *shape = &b->shape;
    int is_known = shape->is_same && shape->is_in_call_order;
    *order = NULL;
    if (b->levels[0].is_sorted)
        return LARDER_OK;
    if (is_known && shape->order_count == b->entry_count) {
        *order = shape->order;
        return LARDER_OK;
    }
    int result = build_sort(b, &b->levels[0]);
    shape->is_in_call_order = 0;
    if (result == LARDER_OK && is_known)
        build_learn_order(b);
    return result;
}

uint8_t *build_copy_ordered(const struct larder_builder *b, const uint8_t *order, struct item_head *h, uint8_t *to) {
    const struct build_entry *entries = b->entries;
    const uint8_t *records = b->records.at;
    const int is_usual = !item_is_walked(h) && !(h->flags & ITEM_WIDE);
    uint8_t *directory = item_directory(h);
    for (uint32_t i = 0, count = h->attr_count; i < count; i++) {
        const struct build_entry *entry = &entries[order ? order[i] : i];
        const uint8_t *record = records + entry->offset;
        size_t bytes = entry->bytes ? entry->bytes : build_member_bytes(LARDER_M, record);
        uint16_t offset = (uint16_t)(to - (uint8_t *)h);
        if (is_usual)
            memcpy(directory + sizeof offset * i, &offset, sizeof offset);
        else
            item_set_record_offset(h, i, (uint32_t)(to - (uint8_t *)h));
        memcpy(to, record, BUILD_PIECE);
        for (size_t done = BUILD_PIECE; done < bytes; done += BUILD_PIECE)
            memcpy(to + done, record + done, BUILD_PIECE);
        to += bytes;
    }
    return to;
}
