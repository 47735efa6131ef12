/* dynamodb/json_item.h - items as JSON text, a block of bytes at a time.
 *
 * Job      Writes '"name":{"S":"value"},' for each attribute that is usual: an S of up to 127 bytes
 *          or a key, or an N that is an integer, of printable ASCII, with a name of up to 14
 *          bytes. It stops at the first that is something else, which json_writer.c writes.
 * Idea     The items of a table have the same attributes in the same order. What stands between two
 *          values is kept: at each place, the name's bytes in a record and their text. A record is
 *          compared with them by one comparison, and the text is copied.
 * Bounds   json_item_room() is the only place that says how much is written; the writer asserts it
 *          at each attribute (json_item.c).
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/dynamodb/dynamodb_shape_test.c,
 *          tests/fuzz/document_fuzz.c
 */
#ifndef LARDER_DYNAMODB_JSON_ITEM_H
#define LARDER_DYNAMODB_JSON_ITEM_H

#include "core/item/item_records.h"

#define JSON_ITEM_BLOCK 16u
#define JSON_ITEM_PLACES 32u

/* A record's start as it was met. All zero: none. */
struct json_place {
    char text[24];      /* '"name":{"S":"' */
    uint8_t text_bytes; /* the block of the text ends behind all of these */
    uint8_t value_at;   /* in the record */
    uint8_t kind;       /* json_item.c */
    uint8_t unused;
    uint32_t short_text;               /* what alike() says of a short text with this name */
    uint8_t compared[JSON_ITEM_BLOCK]; /* bits of tag and name */
    uint8_t start[JSON_ITEM_BLOCK];    /* what they are */
};
_Static_assert(sizeof(struct json_place) == 64, "a line of the cache");

struct json_places {
    struct json_place at[JSON_ITEM_PLACES];
};

/* Where an item is read and written. */
struct json_item {
    const struct item_head *head;
    const uint8_t *at, *end; /* of the records: the next one, and behind the last one */
    uint32_t ordinal, left;  /* of the next one; how many there are from it on */
    uint32_t keys;           /* bytes that keys may still take */
    char *to, *to_end;       /* text, and the end of the room for it: at least json_item_room() */
};

/* How many are looked at at once. */
static inline uint32_t json_item_count(const struct json_item *item) {
    uint32_t places = JSON_ITEM_PLACES - item->ordinal % JSON_ITEM_PLACES;
    return item->left < places ? item->left : places;
}
/* Of an attribute's text, besides the bytes of its value: '"name":{"S":"', '"},', and an N, whose
 * text is longer than its bytes. */
#define JSON_ITEM_BESIDE (1u + 14 + 8 + 3 + 24)
/* Behind the text of an item: a block, and the value of a record of a damaged image that goes
 * beyond its end. */
#define JSON_ITEM_BEHIND (32u + 128 + 16)
/* Of the attributes from `at` on that are looked at at once, and of '},{' around them. Keys lie in
 * front of the records. */
static inline size_t json_item_room(const struct json_item *item) {
    return (size_t)(item->end - item->at) + (size_t)json_item_count(item) * JSON_ITEM_BESIDE +
           item->head->partition_bytes + item->head->sort_bytes + JSON_ITEM_BEHIND + 3;
}
/* At the item's first record; no text. */
static inline void json_item_begin(struct json_item *item, const struct item_head *head) {
    item->head = head;
    item->ordinal = 0;
    item->left = head->attr_count;
    item->keys = (uint32_t)head->partition_bytes + head->sort_bytes;
    item->at = item->left ? item_first_record(head) : (const uint8_t *)head;
    item->end = (const uint8_t *)head + head->bytes - item_timed_bytes(head);
}
/* Writes the attributes from `at` on, json_item_count() at most, as far as they are usual. Moves
 * all but `end` and `to_end` on. A record that does not end in the image: `at` is `end`, and it is
 * left. */
void json_item_put(struct json_places *places, struct json_item *item);
/* Writes '{..}' for each of these items, with a comma before all of them but the first one, and
 * before that if needs_comma. Returns how many are whole. Of the next one `stopped` has how far it
 * came: it is not usual. stopped->head NULL: nothing, there is no room for it. `stopped` has `to`
 * and `to_end` at first, and `to` at the end. */
uint32_t json_items_put(struct json_places *places, const struct larder_item *const *items, uint32_t count,
                        size_t needs_comma, struct json_item *stopped);

#endif
